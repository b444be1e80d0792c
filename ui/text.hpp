// What the window says in the user's language. Text is written in English where it is said, and looked up there: tr("No trap yet."). The catalogues are
// ui/text/LANGUAGE.def, keyed by the English text. Registers, CSRs, instructions and the field's standard terms stay as the specifications have them.
#pragma once

#include "emulator/base/types.hpp"

#include <fmt/format.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace trapeze::ui {

enum class Language : u8 { English, Korean, Count };

/// "en", "ko"; and what the language calls itself.
const char* language_code(Language language);
const char* language_name(Language language);
/// Of a code, or of a locale's name such as "ko_KR.UTF-8"; nullopt: there is no catalogue for it.
std::optional<Language> language_by_code(const std::string& code);
/// The one that the environment asks for (LC_ALL, LC_MESSAGES, LANG, in this order); English where none is asked for that there is.
Language language_of_environment();

/// The language of everything that is said from now on. One for the program, as there is one window.
Language language();
void set_language(Language language);

/// The text in the user's language; what has no entry stays English.
const char* tr(const char* english);
std::string tr(const std::string& english);
/// The same for a format of fmt. Pre: the catalogue's entry has the placeholders of the English (tests/ui/text_test.cpp holds that).
template <class... Args> std::string trf(const char* english, Args&&... args) { return fmt::format(fmt::runtime(tr(english)), std::forward<Args>(args)...); }
/// Marks a text that is translated where it is shown.
constexpr const char* later(const char* english) { return english; }

/// The catalogue of a language, in its file's order: English, and what it is there.
const std::vector<std::pair<const char*, const char*>>& catalogue(Language language);

} // namespace trapeze::ui
