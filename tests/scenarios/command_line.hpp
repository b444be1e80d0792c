// What the tests of the command line share: running the program, and reading what it prints.
#pragma once

#include "emulator/base/types.hpp"
#include "tests/scenarios/child_process.hpp"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <sstream>

namespace trapeze::test {

using Json = nlohmann::json;
using Words = std::vector<std::string>;

inline constexpr const char* kModeNames[] = {"bare", "interpret", "translate", "trap-and-emulate", "paravirtual", "hardware-assisted"};
inline const std::pair<std::string, std::string> kNoDisplay[] = {{"DISPLAY", ""}, {"WAYLAND_DISPLAY", ""}};

inline Child without_display() {
    Child child;
    child.environment.assign(std::begin(kNoDisplay), std::end(kNoDisplay));
    return child;
}

/// A run that must fail: one sentence on standard error, with these words in it, and nothing else.
inline void refused(const Words& arguments, int status, const Words& named, Child child = without_display()) {
    child.seconds = 60;
    const Ended ended = run_trapeze(arguments, child);
    std::string line;
    for (const std::string& word : arguments) line += word.substr(0, 100) + " ";
    CAPTURE(line);
    CAPTURE(ended.err);
    CHECK(ended.status == status);
    CHECK(ended.out == "");
    CHECK(ended.err.starts_with("trapeze: "));
    CHECK(std::count(ended.err.begin(), ended.err.end(), '\n') == 1);
    for (const std::string& word : named) {
        CAPTURE(word);
        CHECK(ended.err.find(word) != std::string::npos);
    }
}

inline std::vector<std::string> lines_of(const std::string& text) {
    std::vector<std::string> lines;
    std::istringstream stream(text);
    for (std::string line; std::getline(stream, line);) lines.push_back(line);
    return lines;
}

inline Json json_of(const std::string& text) {
    Json json = Json::parse(text, nullptr, false);
    if (json.is_discarded()) FAIL("this is not JSON: " << text.substr(0, 500));
    return json;
}

} // namespace trapeze::test
