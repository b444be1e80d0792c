// The panels drawn without a window: with each kind of session, in each theme, at several sizes.
#include "tests/ui/headless.hpp"

using namespace trapeze;
using namespace trapeze::test;
using namespace trapeze::ui;

namespace {

/// Draws it everywhere; drawing alone asks for nothing.
void check_draws(const Debugger& debugger) {
    for (const auto& [width, height] : {std::pair{1280.f, 800.f}, {1024.f, 700.f}, {1920.f, 1080.f}, {320.f, 240.f}})
        for (const float scale : {1.0f, 2.0f}) {
            CAPTURE(width);
            CAPTURE(scale);
            Headless screen(width, height, scale, scale > 1);
            for (int i = 0; i < 3; ++i) CHECK(screen.frame(debugger).empty());
            CHECK(screen.vertices() > 300);
        }
}

} // namespace

TEST_CASE("The panels draw every kind of session, at its start, running and at its end") {
    for (const vmm::Mode mode : {vmm::Mode::Bare, vmm::Mode::Interpret, vmm::Mode::TrapAndEmulate}) {
        Debugger debugger(guest(mode), std::nullopt);
        check_draws(debugger);
        debugger.apply({Action::NextTrap});
        check_draws(debugger);
        debugger.apply({Action::Type, 0, "poweroff\n"});
        for (int i = 0; i < 3000 && debugger.running(); ++i) debugger.tick(10);
        CHECK(debugger.session().halted());
        check_draws(debugger);
    }
}

TEST_CASE("The panels draw containers, from their start until all have ended") {
    Debugger debugger = containers();
    check_draws(debugger);
    debugger.apply({Action::NextTrap});
    check_draws(debugger);
    debugger.apply({Action::Run});
    for (int i = 0; i < 3000 && debugger.running(); ++i) debugger.tick(10);
    CHECK(debugger.session().halted());
    check_draws(debugger);
}

TEST_CASE("The panels draw every step of the lesson, with right and wrong answers, and its end") {
    Debugger debugger = lesson();
    for (u64 wrong = 0; !debugger.lesson()->finished() && wrong < 9; ++wrong) {
        check_draws(debugger);
        debugger.apply({Action::Answer, wrong % 3});
        check_draws(debugger);
        debugger.apply({Action::LessonAct});
        REQUIRE(debugger.lesson()->complete());
        check_draws(debugger);
        debugger.apply({Action::LessonNext});
    }
    CHECK(debugger.lesson()->finished());
    check_draws(debugger);
}

TEST_CASE("Help, palette and card lie above every session, and draw at every size") {
    Debugger debugger = lesson();
    for (const Action action : {Action::ShowHelp, Action::ShowPalette, Action::ShowStart}) {
        debugger.apply({action});
        CHECK(debugger.overlay() != Overlay::None);
        check_draws(debugger);
        debugger.apply({action});
        CHECK(debugger.overlay() == Overlay::None);
    }
}

TEST_CASE("Every panel of every layout draws in every kind of session, unlocked as well") {
    Debugger sessions[] = {Debugger(guest(vmm::Mode::Bare), std::nullopt), Debugger(guest(vmm::Mode::HardwareAssisted), std::nullopt), containers(), lesson()};
    for (Debugger& debugger : sessions) {
        debugger.workspace().set_locked(false);
        Headless screen(1280, 800, 1, false);
        for (std::size_t i = 0; i < kPanels; ++i) {
            const auto panel = static_cast<PanelId>(i);
            if (!debugger.shows(panel)) continue;
            debugger.apply({Action::ShowPanel, i});
            for (int frame = 0; frame < 2; ++frame) CHECK(screen.frame(debugger).empty());
            CHECK(window_layout(debugger, 21)[panel].width > 0);
        }
        for (std::size_t i = 0; i < kLayouts; ++i) {
            debugger.apply({static_cast<Action>(static_cast<std::size_t>(Action::LayoutTrap) + i)});
            for (int frame = 0; frame < 2; ++frame) CHECK(screen.frame(debugger).empty());
        }
    }
}

TEST_CASE("Every panel says something as text in every kind of session") {
    const Debugger sessions[] = {Debugger(guest(vmm::Mode::Bare), std::nullopt), Debugger(guest(vmm::Mode::TrapAndEmulate), std::nullopt), containers(), lesson()};
    for (const Debugger& debugger : sessions)
        for (std::size_t i = 0; i < kPanels; ++i) {
            const auto panel = static_cast<PanelId>(i);
            CAPTURE(panel_names(panel).name);
            CHECK(panel_row(panel).sheet(debugger, {}).text().size() > 1 - (panel == PanelId::Console));
        }
}

TEST_CASE("A title is dragged to the edge of another panel once the layout is unlocked, and not before") {
    Debugger debugger(guest(vmm::Mode::TrapAndEmulate), std::nullopt);
    Headless screen(1280, 800, 1, false);
    screen.frame(debugger);
    const auto drag = [&](PanelId panel, PanelId target) {
        const Rectangle from = window_layout(debugger, 21)[panel], to = window_layout(debugger, 21)[target];
        for (const Command& command : screen.drag(debugger, {from.x + 30, from.y + 10}, {to.x + to.width / 2, to.bottom() - 8})) debugger.apply(command);
    };
    const SplitNode shipped = debugger.workspace().tree();
    drag(PanelId::Code, PanelId::Csrs);
    CHECK(debugger.workspace().tree() == shipped);
    debugger.apply({Action::ToggleLock});
    drag(PanelId::Code, PanelId::Csrs);
    const Division division = window_layout(debugger, 21);
    CHECK(division[PanelId::Code].y == division[PanelId::Csrs].bottom());
    debugger.apply({Action::ResetLayout});
    CHECK(debugger.workspace().tree() == shipped);
}

TEST_CASE("A border follows the mouse once the layout is unlocked") {
    Debugger debugger(guest(vmm::Mode::TrapAndEmulate), std::nullopt);
    debugger.apply({Action::ToggleLock});
    Headless screen(1280, 800, 1, false);
    screen.frame(debugger);
    const float before = window_layout(debugger, 21)[PanelId::Code].bottom();
    for (const Command& command : screen.drag(debugger, {100, before}, {100, before - 80})) debugger.apply(command);
    CHECK(window_layout(debugger, 21)[PanelId::Code].bottom() == doctest::Approx(before - 80).epsilon(0.01));
}

TEST_CASE("Every answer of a question can be clicked, anywhere on its line") {
    const Debugger debugger = lesson();
    Headless screen(1280, 800, 1, false);
    screen.frame(debugger);
    const Rectangle place = window_layout(debugger, 21)[PanelId::Lesson];
    for (const float part : {0.06f, 0.5f, 0.9f}) {
        std::vector<u64> answers;
        for (float y = place.y; y < place.y + place.height; y += 4)
            for (const Command& command : screen.click(debugger, {place.x + place.width * part, y})) {
                REQUIRE(command.action == Action::Answer);
                if (answers.empty() || answers.back() != command.number) answers.push_back(command.number);
            }
        CHECK(answers == std::vector<u64>{0, 1, 2});
    }
}

TEST_CASE("A click selects a line of code, and an exit of the ledger") {
    Debugger debugger(guest(vmm::Mode::TrapAndEmulate), std::nullopt);
    for (int i = 0; i < 12; ++i) debugger.apply({Action::NextTrap});
    Headless screen(1280, 800, 1, false);
    for (int i = 0; i < 4; ++i) screen.frame(debugger);
    const auto clicked = [&](PanelId id) {
        const Rectangle place = window_layout(debugger, 21)[id];
        Commands commands;
        for (float part = 0.7f; commands.empty() && part < 0.95f; part += 0.04f) // a symbol's name is no line of code
            commands = screen.click(debugger, {place.x + place.width * 0.6f, place.y + place.height * part});
        return commands;
    };
    const Commands code = clicked(PanelId::Code), ledger = clicked(PanelId::Ledger);
    REQUIRE(code.size() == 1);
    CHECK(code[0].action == Action::SelectLine);
    CHECK(code[0].number != debugger.session().guest_state().pc);
    REQUIRE(ledger.size() == 1);
    CHECK(ledger[0].action == Action::SelectExit);
    debugger.apply(ledger[0]);
    REQUIRE(debugger.selected_exit());
    CHECK(debugger.selected_exit()->number == ledger[0].number);
}
