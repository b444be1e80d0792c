#include "ui/sheet.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace trapeze::ui {

namespace {

std::string padded(const std::string& text, std::size_t width) { return text + std::string(width - std::min(width, width_of(text)), ' '); }

std::string table_text(const Table& table) {
    std::vector<std::size_t> widths;
    for (const std::string& title : table.columns) widths.push_back(width_of(title));
    for (const auto& row : table.rows)
        for (std::size_t i = 0; i < std::min(row.size(), widths.size()); ++i) widths[i] = std::max(widths[i], width_of(row[i]));
    std::string text;
    const auto line = [&](const std::vector<std::string>& cells) {
        std::string out;
        for (std::size_t i = 0; i < cells.size(); ++i) out += (i ? "  " : "") + padded(cells[i], i < widths.size() ? widths[i] : 0);
        out.erase(out.find_last_not_of(' ') + 1);
        text += out + "\n";
    };
    line(table.columns);
    for (const auto& row : table.rows) line(row);
    return text;
}

std::string csv_line(const std::vector<std::string>& cells) {
    std::string line;
    for (const std::string& cell : cells) {
        if (&cell != &cells.front()) line += ',';
        if (cell.find_first_of(",\"\r\n") == std::string::npos) {
            line += cell;
            continue;
        }
        line += '"';
        for (char c : cell) line += c == '"' ? "\"\"" : std::string(1, c);
        line += '"';
    }
    return line + "\r\n";
}

} // namespace

std::size_t width_of(const std::string& text) {
    std::size_t width = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const auto c = static_cast<unsigned char>(text[i]);
        // Hangul syllables, U+AC00 to U+D7A3, are as wide as two letters.
        const bool syllable = i + 1 < text.size() && ((c == 0xea && static_cast<unsigned char>(text[i + 1]) >= 0xb0) || c == 0xeb || c == 0xec || (c == 0xed && static_cast<unsigned char>(text[i + 1]) <= 0x9e));
        width += (c & 0xc0) == 0x80 ? 0 : syllable ? 2 : 1;
    }
    return width;
}

std::string hex(u64 value) { return fmt::format("0x{:x}", value); }
std::string hex_digits(u64 value) { return fmt::format("{:016x}", value); }

Sheet& Sheet::say(std::string sentence) {
    parts_.push_back({std::move(sentence), {}});
    return *this;
}

Sheet& Sheet::add(Table table) {
    parts_.push_back({{}, std::move(table)});
    return *this;
}

bool Sheet::has_table() const {
    return std::any_of(parts_.begin(), parts_.end(), [](const Part& part) { return !part.table.columns.empty(); });
}

std::string Sheet::text() const {
    std::string text;
    for (const Part& part : parts_) {
        if (!part.table.columns.empty()) text += table_text(part.table);
        else text += part.sentence + (part.sentence.ends_with('\n') ? "" : "\n");
    }
    return text;
}

std::string Sheet::csv() const {
    std::string text;
    if (!has_table()) {
        for (const Part& part : parts_) text += csv_line({part.sentence});
        return text;
    }
    for (const Part& part : parts_) {
        if (part.table.columns.empty()) continue;
        if (!text.empty()) text += "\r\n";
        text += csv_line(part.table.columns);
        for (const auto& row : part.table.rows) text += csv_line(row);
    }
    return text;
}

} // namespace trapeze::ui
