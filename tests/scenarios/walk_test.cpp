// `trapeze walk`: every entry of a page walk, by stage and level, of a guest that runs.
#include "tests/scenarios/child_process.hpp"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <algorithm>

using namespace trapeze::test;
using Json = nlohmann::json;

namespace {

constexpr const char* kUserPage = "0x10000"; // where tiny-os's programs begin

Json walked(const std::string& mode, std::vector<std::string> more = {}) {
    std::vector<std::string> words{"walk", "tiny-os", kUserPage, "--mode", mode, "--exit-on", "$ ", "--json"};
    words.insert(words.end(), more.begin(), more.end());
    const Ended ended = run_trapeze(words);
    CAPTURE(ended.err);
    CHECK(ended.status == 0);
    Json json = Json::parse(ended.out, nullptr, false);
    REQUIRE(json.is_object());
    return json;
}

long entries_of(const Json& walk, int stage) {
    return std::count_if(walk["entries"].begin(), walk["entries"].end(), [&](const Json& entry) { return entry["stage"] == stage; });
}

} // namespace

TEST_CASE("walk: a guest's 4 KiB page is 3 reads bare, 15 over a G-stage of 4 KiB, 11 over one of 2 MiB, and 3 in shadow tables") {
    const Json bare = walked("bare");
    CHECK(bare["guest"]["mapped"] == true);
    CHECK(bare["guest"]["reads"] == 3);
    CHECK(bare.count("machine") == 0);
    for (const auto& [page, reads] : {std::pair{"4K", 15}, std::pair{"2M", 11}}) {
        CAPTURE(std::string(page));
        const Json assisted = walked("hardware-assisted", {"--gstage-page", page});
        CHECK(assisted["guest"]["reads"] == 3);
        CHECK(assisted["machine"]["mapped"] == true);
        CHECK(assisted["machine"]["reads"] == reads);
        CHECK(entries_of(assisted["machine"], 1) == 3);
        CHECK(entries_of(assisted["machine"], 2) == reads - 3);
    }
    const Json shadow = walked("trap-and-emulate");
    CHECK(shadow["guest"]["reads"] == 3);
    CHECK(shadow["machine"]["reads"].get<int>() <= 3); // as far as the VMM has filled it in
    CHECK(entries_of(shadow["machine"], 2) == 0);
}

TEST_CASE("walk: as text it names stage and level of each entry, and says when the place is never reached") {
    const Ended text = run_trapeze({"walk", "tiny-os", kUserPage, "--mode", "hardware-assisted", "--gstage-page", "4K", "--exit-on", "$ "});
    CHECK(text.status == 0);
    CHECK(text.out.find("G-stage level 2: entry at 0x") != std::string::npos);
    CHECK(text.out.find("\nlevel 0: entry at 0x") != std::string::npos);
    CHECK(text.out.find("15 entries read: 3 of the guest's table, 12 of the G-stage") != std::string::npos);
    const Ended never = run_trapeze({"walk", "tiny-os", kUserPage, "--exit-on", "no such text", "--max-instructions", "10000"});
    CHECK(never.status == 3);
    CHECK(never.err.find("no such text") != std::string::npos);
    CHECK(run_trapeze({"walk", "tiny-os", "no_such_symbol"}).status == 2);
    const Ended at = run_trapeze({"walk", "tiny-os", "kernel_main", "--break", "kernel_main"});
    CHECK(at.out.find("no translation is in force") != std::string::npos);
}
