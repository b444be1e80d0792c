// A subset of Containerfile(5): FROM (scratch or an image, once), COPY, RUN, ENV, ENTRYPOINT, CMD, WORKDIR, USER, LABEL, EXPOSE.
//
// Known gaps against Docker: one stage; no ARG, ADD, SHELL, VOLUME, STOPSIGNAL, HEALTHCHECK, ONBUILD, no here-documents, no .dockerignore.
#pragma once

#include "emulator/base/result.hpp"
#include "emulator/base/types.hpp"

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace trapeze::container {

enum class Keyword : u8 { From, Copy, Run, Env, Entrypoint, Cmd, Workdir, User, Label, Expose };

struct Instruction {
    Keyword keyword = Keyword::From;
    unsigned line = 0;                        ///< where it begins, from 1
    std::string text;                         ///< the whole instruction with its lines joined
    std::map<std::string, std::string> flags; ///< COPY --chown=1:1
    std::vector<std::string> words;           ///< RUN, CMD, ENTRYPOINT: the arguments, with /bin/sh -c in front in the shell form; ENV, LABEL:
                                              ///< "KEY=VALUE", the value still quoted; else words, still quoted
};

/// `name` is the file's, for sentences of the form "Containerfile:3: ...".
Result<std::vector<Instruction>> parse_containerfile(std::string_view text, const std::string& name);

/// A word without its quotes and with $NAME and ${NAME}, ${NAME:-word}, ${NAME:+word} replaced from "NAME=VALUE" lines. Single quotes keep all.
Result<std::string> expand_word(std::string_view word, const std::vector<std::string>& environment);
/// Sets NAME in "NAME=VALUE" lines.
void set_variable(std::vector<std::string>& environment, const std::string& name, const std::string& value);

} // namespace trapeze::container
