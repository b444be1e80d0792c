// The Lua console in the debugger: what is typed moves the session that the panels show, and is told of as text.
#include "scenarios/files.hpp"
#include "ui/panels.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>

using namespace trapeze;
using namespace trapeze::ui;

namespace {

Debugger guest() {
    scenarios::SessionConfig config;
    config.guest = "tiny-os", config.mode = vmm::Mode::TrapAndEmulate;
    auto session = Session::create(config);
    REQUIRE_MESSAGE(session, (session ? "" : session.error()));
    return Debugger(std::move(*session), std::nullopt);
}

/// Types a line, waits until it has ended, and gives what the panel says of it.
std::string enter(Debugger& debugger, const std::string& code) {
    debugger.apply({Action::EnterLua, 0, code});
    while (debugger.lua_busy()) debugger.tick(5);
    const auto& entry = debugger.lua_console().entries().back();
    return entry.error.empty() ? entry.output.empty() ? "" : entry.output.back() : "error: " + entry.error;
}

std::string panel_text(const Debugger& debugger) { return panel_row(PanelId::Lua).sheet(debugger, {}).text(); }

} // namespace

TEST_CASE("Lua typed in the debugger moves and changes the session that the panels show") {
    Debugger debugger = guest();
    CHECK(enter(debugger, "run_to('enable_paging_satp')") == "");
    const u64 there = debugger.session().position();
    CHECK(there > 0);
    CHECK(debugger.farthest() == there);
    CHECK(enter(debugger, "break_on('csr', 'satp') return run()") == "= \"breakpoint\"");
    CHECK(debugger.session().breakpoints().size() == 1);
    const u64 histories = debugger.histories();
    CHECK(enter(debugger, "go_to(5)") == "");
    CHECK(debugger.session().position() == 5);
    CHECK(debugger.histories() > histories);
    enter(debugger, "set('a0', 0x1234)");
    CHECK(debugger.session().guest_state().x[10] == 0x1234);
    CHECK(debugger.guest_before().x[10] != 0x1234); // marked as changed
    const std::string text = panel_text(debugger);
    CHECK(text.find("> set('a0', 0x1234)") != std::string::npos);
    CHECK(text.find("= \"breakpoint\"") != std::string::npos);
}

TEST_CASE("A line of Lua that does not end leaves the window alive, keeps other commands away, and is stopped by F6 or Esc") {
    Debugger debugger = guest();
    enter(debugger, "kept = 5");
    for (const Action stop : {Action::Pause, Action::HideOverlay}) {
        debugger.apply({Action::EnterLua, 0, "while true do end"});
        debugger.tick(1);
        REQUIRE(debugger.lua_busy());
        CHECK(debugger.moving());
        debugger.apply({Action::Step});
        CHECK(debugger.session().position() == 0);
        CHECK(debugger.message().find("F6") != std::string::npos);
        debugger.apply({stop});
        CHECK_FALSE(debugger.lua_busy());
    }
    CHECK(enter(debugger, "kept") == "= 5");
    debugger.apply({Action::Step});
    CHECK(debugger.session().position() == 1);
}

TEST_CASE("A session that Lua opens takes the place of the one that is shown, and the console stays") {
    Debugger debugger = guest();
    enter(debugger, "kept = 6");
    const u64 sessions = debugger.sessions();
    CHECK(enter(debugger, "session.open{guest = 'tiny-os', mode = 'bare'} return mode()") == "= \"bare\"");
    CHECK(debugger.sessions() > sessions);
    CHECK(debugger.session().config().mode == vmm::Mode::Bare);
    CHECK(enter(debugger, "kept") == "= 6");
    debugger.apply({Action::FreePlay, 0, "interpret"});
    CHECK(enter(debugger, "mode() .. kept") == "= \"interpret6\"");
}

TEST_CASE("A script file runs in the console at the start; one that is missing is named") {
    Debugger debugger = guest();
    const std::string file = (std::filesystem::temp_directory_path() / "trapeze-lua-test.lua").string();
    std::ofstream(file) << "say('hello')\nx = 3\nboom()\n";
    REQUIRE(debugger.run_script(file));
    while (debugger.lua_busy()) debugger.tick(5);
    const std::string text = panel_text(debugger);
    CHECK(text.find("hello") != std::string::npos);
    CHECK(text.find(file + ":3:") != std::string::npos);
    CHECK(enter(debugger, "x") == "= 3");
    std::filesystem::remove(file);
    const auto missing = debugger.run_script(file);
    REQUIRE_FALSE(missing);
    CHECK(missing.error().find(file) != std::string::npos);
}

TEST_CASE("The shipped example of a panel shows what happens, says it as text, and draws; without scripts there is no such panel") {
    Debugger debugger = guest();
    CHECK_FALSE(debugger.shows(PanelId::Scripted1));
    CHECK(panel_row(PanelId::Scripted1).sheet(debugger, {}).text().find("No script") != std::string::npos);
    REQUIRE(debugger.run_script(scenarios::root_folder() + "/scenarios/scripts/exits.lua"));
    while (debugger.lua_busy()) debugger.tick(5);
    CHECK(debugger.shows(PanelId::Scripted1));
    CHECK_FALSE(debugger.shows(PanelId::Scripted2));
    CHECK(panel_title(PanelId::Scripted1, debugger) == std::string("Exits over time"));
    for (int i = 0; i < 3; ++i) debugger.apply({Action::NextTrap}), debugger.tick(0);
    const auto& panel = debugger.lua_console().panels().front();
    CHECK_MESSAGE(panel.error.empty(), panel.error);
    CHECK(panel.parts.size() == 4);
    const std::string text = panel_row(PanelId::Scripted1).sheet(debugger, {}).text();
    CHECK(text.find("3 exits") != std::string::npos);
    CHECK(text.find("exits since the panel was drawn before: 3 values, 1 to 1") != std::string::npos);
    debugger.apply({Action::StepBack});
    debugger.tick(0);
    CHECK(panel.error.empty());
}
