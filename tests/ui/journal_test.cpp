// Crash recovery: a real debugger is killed, and the next one offers its session as it was.
#include "tests/scenarios/child_process.hpp"
#include "tests/ui/screen.hpp"
#include "ui/journal.hpp"

#include <algorithm>
#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>

using namespace trapeze;
using namespace trapeze::test;
using nlohmann::json;

namespace {

json state_in(const std::string& file) {
    std::ifstream in(file);
    const json parsed = json::parse(in, nullptr, false);
    return parsed.is_discarded() ? json::object() : parsed;
}

std::size_t journals(const std::string& folder) {
    std::error_code failed;
    const std::filesystem::directory_iterator all(folder, failed);
    return static_cast<std::size_t>(std::count_if(begin(all), end(all), [](const auto& entry) { return entry.path().extension() == ".journal" && !entry.path().filename().string().starts_with(".part-"); }));
}

} // namespace

TEST_CASE("A debugger that is killed leaves its session to the next one, as it was seconds before") {
    auto screen = Screen::open(1280, 800);
    REQUIRE_MESSAGE(screen, (screen ? "" : screen.error()));
    const std::string folder = (*screen)->folder().string(), state = folder + "/state.json";
    setenv("XDG_CONFIG_HOME", folder.c_str(), 1);
    setenv("XDG_STATE_HOME", folder.c_str(), 1);
    const std::vector<std::string> debug = {std::string(std::getenv("TRAPEZE_BIN")) + "/trapeze", "debug", "tiny-os", "--mode", "trap-and-emulate", "--state-file", state};
    json before;
    {
        ScreenProgram program(debug, (*screen)->display());
        REQUIRE(wait_for([&] { return !state_in(state).empty(); }, 20));
        REQUIRE((*screen)->drive({"mousemove", "600", "795"}));
        REQUIRE((*screen)->drive({"key", "F5"}));
        REQUIRE(wait_for([&] { return state_in(state)["message"] == "The guest waits for input."; }, 20));
        REQUIRE(wait_for([&] { return journals(folder + "/trapeze") == 1; }, 20));
        before = state_in(state);
        REQUIRE(kill(program.pid(), SIGKILL) == 0);
        program.wait(10);
    }
    CHECK(journals(folder + "/trapeze") == 1);
    std::filesystem::remove(state);
    ScreenProgram program(debug, (*screen)->display());
    REQUIRE(wait_for([&] { return state_in(state).value("message", "").find("Ctrl+Shift+R") != std::string::npos; }, 20));
    REQUIRE((*screen)->drive({"key", "ctrl+shift+r"}));
    REQUIRE(wait_for([&] { return state_in(state)["position"] == before["position"]; }, 20));
    const json after = state_in(state);
    for (const char* what : {"pc", "exits", "console", "satp", "mode"}) CHECK(after[what] == before[what]);
    REQUIRE((*screen)->drive({"key", "ctrl+q"}));
    CHECK(program.wait(10) == 0);
    CHECK(journals(folder + "/trapeze") == 0);
}
