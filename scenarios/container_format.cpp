#include "scenarios/container_format.hpp"

#include "scenarios/cli.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

namespace trapeze::scenarios {

namespace {

using Json = nlohmann::ordered_json;

std::string text_of_value(const Json& value) {
    if (value.is_string()) return value.get<std::string>();
    if (value.is_null()) return "<nil>";
    return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

/// Text, or a place to fill: the names on the way to a member.
struct Piece {
    std::string text;
    bool place = false, as_json = false;
    std::vector<std::string> path;
};

Result<Piece> parse_place(const std::string& text) {
    Piece piece{text, true, false, {}};
    std::string path = text.substr(std::min(text.size(), text.find_first_not_of(' ')));
    path.erase(path.find_last_not_of(' ') + 1);
    piece.as_json = path.starts_with("json ");
    if (piece.as_json) path.erase(0, path.find_first_not_of(' ', 4));
    if (!path.starts_with('.') || path.find(' ') != std::string::npos)
        return Error{fmt::format("--format: {{{{{}}}}} is not known here; {{{{.Name}}}}, {{{{.Outer.Inner}}}} and {{{{json .Name}}}} are", text)};
    for (std::size_t begin = 1; begin < path.size();) {
        const std::size_t end = std::min(path.size(), path.find('.', begin));
        piece.path.push_back(path.substr(begin, end - begin)), begin = end + 1;
    }
    return piece;
}

Result<std::vector<Piece>> parse_template(const std::string& text) {
    std::vector<Piece> pieces(1);
    for (std::size_t at = 0; at < text.size();) {
        if (text.compare(at, 2, "{{") == 0) {
            const std::size_t end = text.find("}}", at);
            if (end == std::string::npos) return Error{fmt::format("--format: {} has no }}}} at its end", text.substr(at))};
            auto place = parse_place(text.substr(at + 2, end - at - 2));
            if (!place) return Error{place.error()};
            pieces.push_back(std::move(*place)), pieces.emplace_back(), at = end + 2;
        } else if (text[at] == '\\' && at + 1 < text.size() && (text[at + 1] == 't' || text[at + 1] == 'n')) {
            pieces.back().text += text[at + 1] == 't' ? '\t' : '\n', at += 2;
        } else {
            pieces.back().text += text[at++];
        }
    }
    return pieces;
}

Result<std::string> fill(const std::vector<Piece>& pieces, const Json& value) {
    std::string filled;
    for (const Piece& piece : pieces) {
        if (!piece.place) {
            filled += piece.text;
            continue;
        }
        const Json* at = &value;
        for (const std::string& name : piece.path) {
            if (!at->is_object() || !at->contains(name)) return Error{fmt::format("--format: {{{{{}}}}}: there is no {}; {{{{json .}}}} shows what there is", piece.text, name)};
            at = &(*at)[name];
        }
        filled += piece.as_json ? at->dump(-1, ' ', false, Json::error_handler_t::replace) : text_of_value(*at);
    }
    return filled;
}

/// "CREATED AT" for CreatedAt, as Docker heads a member that has no column of its own.
std::string heading_of(const std::string& member) {
    std::string heading;
    for (std::size_t i = 0; i < member.size(); ++i) {
        if (i && std::isupper(static_cast<unsigned char>(member[i])) && std::islower(static_cast<unsigned char>(member[i - 1]))) heading += ' ';
        heading += static_cast<char>(std::toupper(static_cast<unsigned char>(member[i])));
    }
    return heading;
}

std::vector<std::string> cells_of(const std::string& line) {
    std::vector<std::string> cells{""};
    for (char c : line)
        if (c == '\t') cells.emplace_back();
        else cells.back() += c;
    return cells;
}

} // namespace

void print_columns(const std::vector<std::vector<std::string>>& rows) {
    std::vector<std::size_t> widths;
    const auto width_of = [](const std::string& text) { return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; })); };
    for (const auto& row : rows)
        for (std::size_t i = 0; i < row.size(); ++i) {
            widths.resize(std::max(widths.size(), i + 1));
            widths[i] = std::max(widths[i], width_of(row[i]));
        }
    for (const auto& row : rows) {
        std::string line;
        for (std::size_t i = 0; i < row.size(); ++i) line += row[i] + (i + 1 < row.size() ? std::string(widths[i] - width_of(row[i]) + 3, ' ') : "");
        fmt::print("{}\n", line);
    }
}

Result<std::string> fill_template(const std::string& text, const Json& value) {
    auto pieces = parse_template(text);
    return pieces ? fill(*pieces, value) : Result<std::string>(Error{pieces.error()});
}

int print_listing(const std::vector<Column>& columns, const std::vector<Json>& rows, const std::string& format) {
    if (format == "json" || format == "{{json .}}") {
        for (const Json& row : rows) fmt::print("{}\n", row.dump(-1, ' ', false, Json::error_handler_t::replace));
        return 0;
    }
    const bool table = format.empty() || format == "table" || format.starts_with("table ");
    std::string one = format.starts_with("table ") ? format.substr(6) : format;
    if (table && (format.empty() || format == "table")) {
        one.clear();
        for (const Column& column : columns) one += fmt::format("{}{{{{.{}}}}}", one.empty() ? "" : "\t", column.member);
    }
    Json headings = Json::object();
    if (!rows.empty())
        for (const auto& [member, value] : rows[0].items()) headings[member] = heading_of(member);
    for (const Column& column : columns) headings[column.member] = column.heading;
    auto pieces = parse_template(one);
    if (!pieces) return complain(pieces.error(), kUsage);
    std::vector<std::vector<std::string>> lines;
    for (std::size_t i = table ? 0 : 1; i <= rows.size(); ++i) {
        const auto line = fill(*pieces, i ? rows[i - 1] : headings);
        if (!line) return complain(line.error(), kUsage);
        if (table) lines.push_back(cells_of(line.value()));
        else fmt::print("{}\n", line.value());
    }
    print_columns(lines);
    return 0;
}

} // namespace trapeze::scenarios
