// What a panel says, as text: for copying, for CSV files and for the command line. A list of sentences and tables.
#pragma once

#include "emulator/base/types.hpp"

#include <string>
#include <vector>

namespace trapeze::ui {

struct Table {
    std::vector<std::string> columns;
    std::vector<std::vector<std::string>> rows{};
};

class Sheet {
  public:
    /// A line of text; of several with line feeds each is one.
    Sheet& say(std::string sentence);
    Sheet& add(Table table);
    /// Sentences as they are, tables with columns under each other.
    std::string text() const;
    /// The tables, as RFC 4180 has it, with a line of titles each and an empty line between. Without a table: the text, a line a row.
    std::string csv() const;
    bool empty() const { return parts_.empty(); }
    bool has_table() const;

  private:
    struct Part {
        std::string sentence;
        Table table;
    };
    std::vector<Part> parts_;
};

/// How many characters a text is wide: UTF-8 sequences count as one, Hangul syllables as two.
std::size_t width_of(const std::string& text);
std::string hex(u64 value);        ///< "0x80200000"
std::string hex_digits(u64 value); ///< all sixteen

} // namespace trapeze::ui
