// What Docker's commands list: rows under Docker's headings, or with --format as JSON or by a template, of which {{.Name}}, {{.Outer.Inner}} and
// {{json .Name}} are known.
#pragma once

#include "emulator/base/result.hpp"

#include <nlohmann/json.hpp>

#include <string>
#include <vector>

namespace trapeze::scenarios {

/// Heading of a column, and the member of a row's object that it shows: Docker's names for both.
struct Column {
    const char* heading;
    const char* member;
};

/// Rows under headings: columns as wide as their widest cell, three spaces between.
void print_columns(const std::vector<std::vector<std::string>>& rows);
/// Format: empty for all columns; "json", an object a line; a template, a line for each row; "table TEMPLATE", where \t parts the columns. The exit
/// status, after a sentence when the template is not understood.
int print_listing(const std::vector<Column>& columns, const std::vector<nlohmann::ordered_json>& rows, const std::string& format);
/// A template with its places filled from `value`. The error names what is not there or not known.
Result<std::string> fill_template(const std::string& text, const nlohmann::ordered_json& value);

} // namespace trapeze::scenarios
