// Lines of source for addresses of code, from an ELF file's DWARF line tables. The sources themselves are read from where the compiler found
// them, as far as they are there.
//
// Known inaccuracies: of code that is compiled from several places (inlined, merged) the line table's own answer is given, a line for each address.
#pragma once

#include "scenarios/session.hpp"

#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace trapeze::scenarios {

class SourceLines {
  public:
    struct Place {
        std::string file; ///< as the compiler was told, made absolute with its folder
        unsigned line = 0;
        bool operator==(const Place&) const = default;
    };
    /// From the bytes of an ELF file. One without line tables, or a damaged one, has no lines.
    static SourceLines read(std::span<const u8> elf);
    /// Of the program or kernel that a session runs, as its file is now; none where there is no such file.
    static SourceLines of(const Session& session);

    bool empty() const { return rows_.empty(); }
    std::optional<Place> at(u64 address) const;
    /// The text of a line, without blanks at its ends; nullopt: the file is not there, or not so long.
    std::optional<std::string> text(const Place& place) const;

  private:
    struct Row {
        u64 address = 0;
        u32 file = 0, line = 0; ///< line 0: no line of source from here on
    };
    std::vector<Row> rows_;     ///< in order of address
    std::vector<std::string> files_;
    mutable std::map<std::string, std::vector<std::string>> sources_; ///< those that were asked for
};

} // namespace trapeze::scenarios
