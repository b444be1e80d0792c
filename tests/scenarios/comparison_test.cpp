// `trapeze compare`: what it counts adds up, its outputs agree with each other, two runs are alike, and the exits of tiny-os's boot are those
// that tests/golden has and docs/exits.md explains.
#include "scenarios/comparison.hpp"
#include "tests/scenarios/child_process.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <map>
#include <regex>
#include <sstream>

using namespace trapeze;
using namespace trapeze::test;
using Json = nlohmann::json;

namespace {

using Words = std::vector<std::string>;
const Words kShort{"compare", "tiny-os", "--append", "run=/bin/hello"};

Ended compare(const Words& more) {
    Words words = kShort;
    words.insert(words.end(), more.begin(), more.end());
    return run_trapeze(words);
}

Json compared(const Words& more = {}) {
    Words words = more;
    words.push_back("--json");
    Json list = Json::parse(compare(words).out, nullptr, false);
    REQUIRE(list.is_array());
    REQUIRE(list.size() >= 4);
    return list;
}

std::vector<std::string> lines_of(const std::string& text) {
    std::vector<std::string> lines;
    std::istringstream stream(text);
    for (std::string line; std::getline(stream, line);) lines.push_back(line);
    return lines;
}

} // namespace

TEST_CASE("compare: what is counted of each mode adds up") {
    u64 bare_boot = 0;
    for (const Json& mode : compared()) {
        const std::string name = mode["mode"];
        CAPTURE(name);
        u64 exits = 0;
        for (const auto& [reason, count] : mode["exits"].items()) exits += count.get<u64>();
        CHECK(exits == mode["total_exits"].get<u64>());
        const u64 boot = mode["boot_cycles"], shadow = mode["shadow_bytes"], gstage = mode["gstage_bytes"];
        if (name == "bare") bare_boot = boot;
        CHECK(boot > 0);
        CHECK(boot < mode["cycles"].get<u64>());
        CHECK(boot >= bare_boot);
        CHECK(mode["vmm_bytes"].get<u64>() == shadow + gstage + mode["other_vmm_bytes"].get<u64>());
        CHECK((gstage > 0) == (name == "hardware-assisted"));
        CHECK((mode["nested_walks"].get<u64>() > 0) == (name == "hardware-assisted"));
        if (name == "trap-and-emulate") CHECK(shadow > 0);
        if (name == "bare" || name == "hardware-assisted" || name == "interpret") CHECK(shadow == 0);
        if (name == "interpret") CHECK(mode["walks"] == 0); // the machine's hart never runs it
        CHECK((mode["software_entries"].get<u64>() > 0) == (name == "interpret" || name == "translate" || name == "trap-and-emulate"));
        CHECK(mode["walk_entries"].get<u64>() >= mode["walks"].get<u64>());
        CHECK(mode["nested_walk_entries"].get<u64>() >= mode["nested_walks"].get<u64>());
        CHECK(mode["host_seconds"].get<double>() > 0);
        CHECK(mode["costs"] == "flat");
    }
}

TEST_CASE("compare: a cost model changes the cycles and is named; the exits are the modes' own") {
    const Json flat = compared(), early = compared({"--costs", "early-vt-x"});
    REQUIRE(early.size() == flat.size());
    for (std::size_t i = 0; i < flat.size(); ++i) {
        CAPTURE(flat[i]["mode"].get<std::string>());
        CHECK(early[i]["costs"] == "early-vt-x");
        if (flat[i]["mode"] == "hardware-assisted") {
            CHECK(early[i]["cycles"].get<u64>() > flat[i]["cycles"].get<u64>());
            CHECK(early[i]["exits"]["sbi call"] == flat[i]["exits"]["sbi call"]);
        }
        if (flat[i]["mode"] == "bare") CHECK(early[i]["cycles"] == flat[i]["cycles"]);
    }
    CHECK(compare({"--costs", "recent-x86"}).out.find("cost model \"recent-x86\"") != std::string::npos);
}

TEST_CASE("compare: two runs differ in the host's time alone") {
    Json once = compared(), twice = compared();
    for (Json* list : {&once, &twice})
        for (Json& mode : *list) mode.erase("host_seconds");
    CHECK(once == twice);
}

TEST_CASE("compare: table, CSV and JSON say the same") {
    const Json list = compared();
    const auto csv = lines_of(compare({"--csv"}).out);
    REQUIRE(csv.size() == list.size() + 1);
    const auto keys = [&] {
        std::vector<std::string> names;
        std::istringstream head(csv[0]);
        for (std::string name; std::getline(head, name, ',');) names.push_back(name);
        return names;
    }();
    for (std::size_t i = 0; i < list.size(); ++i) {
        std::istringstream row(csv[i + 1]);
        std::size_t column = 0;
        for (std::string cell; std::getline(row, cell, ','); ++column) {
            REQUIRE(column < keys.size());
            CAPTURE(keys[column]);
            const std::string quoted_reason = keys[column].starts_with("\"exits: ") ? keys[column].substr(8, keys[column].size() - 9) : "";
            if (!quoted_reason.empty()) CHECK(std::to_string(list[i]["exits"].value(quoted_reason, u64{0})) == cell);
            else if (keys[column] == "exits") CHECK(std::to_string(list[i]["total_exits"].get<u64>()) == cell);
            else if (list[i].contains(keys[column]) && list[i][keys[column]].is_number_integer()) CHECK(std::to_string(list[i][keys[column]].get<u64>()) == cell);
        }
        CHECK(column == keys.size());
    }
    const std::string table = compare({}).out;
    for (const Json& mode : list) {
        CHECK(table.find(mode["mode"].get<std::string>()) != std::string::npos);
        CHECK(table.find(std::to_string(mode["cycles"].get<u64>())) != std::string::npos);
    }
    CHECK(compare({"--csv", "--json"}).status == 2);
}

TEST_CASE("compare: the picture's bars are as long as what they show") {
    const Folder folder;
    const std::string file = folder.path("modes.svg");
    const Json list = compared({"--picture", file});
    const std::string svg = read_text(file);
    CHECK(svg.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\""));
    CHECK(svg.ends_with("</svg>\n"));
    std::map<std::string, double> widths; // by what the bar's title says
    const std::regex bar("<rect [^>]*width=\"([0-9.]+)\" height=\"18\"[^>]*><title>([^<]*)</title>");
    double longest = 0;
    for (std::sregex_iterator at(svg.begin(), svg.end(), bar), end; at != end; ++at) {
        widths[(*at)[2]] = std::stod((*at)[1]);
        longest = std::max(longest, widths[(*at)[2]]);
    }
    u64 most = 0;
    for (const Json& mode : list) most = std::max(most, mode["cycles"].get<u64>());
    for (const Json& mode : list) {
        const u64 cycles = mode["cycles"];
        const double expected = longest * static_cast<double>(cycles) / static_cast<double>(most);
        CHECK(widths[fmt::format("{} cycles", cycles)] == doctest::Approx(expected).epsilon(0.001));
        for (const auto& [reason, count] : mode["exits"].items()) CHECK(widths.count(fmt::format("{}: {}", reason, count.get<u64>())) == 1);
    }
    const Ended wrong = compare({"--picture", folder.path("modes.png")});
    CHECK(wrong.status == 2);
    CHECK(wrong.err.find(".svg") != std::string::npos);
    const Ended nowhere = compare({"--picture", folder.path("no-such-folder/modes.svg")});
    CHECK(nowhere.status == 1);
    CHECK(nowhere.err.find("no-such-folder") != std::string::npos);
}

TEST_CASE("The exits of tiny-os's boot, in each mode, are those in tests/golden, and docs/exits.md tells each of them") {
    const Ended counted = run_trapeze({"compare", "tiny-os", "--append", "shell", "--exits"});
    CHECK(counted.status == 0);
    const std::string golden = scenarios::root_folder() + "/tests/golden/tiny-os-boot-exits.txt";
    CAPTURE(counted.out);
    const bool same = counted.out == read_text(golden);
    CHECK_MESSAGE(same, "the exits of the boot have changed; when that is right, renew the file and the counts in docs/exits.md: "
                        "./trapeze compare tiny-os --append shell --exits > tests/golden/tiny-os-boot-exits.txt");
    const std::string text = read_text(scenarios::root_folder() + "/docs/exits.md");
    const std::regex line("(\\S+) +(\\S.*\\S) +([0-9]+)");
    for (const std::string& counted_line : lines_of(counted.out)) {
        std::smatch part;
        REQUIRE(std::regex_match(counted_line, part, line));
        if (part[3] == "0") continue; // a mode without exits
        const std::string row = fmt::format("| {} | {} |", part[2].str(), part[3].str());
        const std::size_t section = text.find("## " + part[1].str() + "\n");
        CAPTURE(counted_line);
        CAPTURE(row);
        REQUIRE(section != std::string::npos);
        const std::string of_mode = text.substr(section, text.find("\n## ", section + 1) - section);
        CHECK(of_mode.find(row) != std::string::npos);
    }
}
