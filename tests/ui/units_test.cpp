// Larger steps, the speed ladder, the mode flip and the timeline, as commands of the debugger; and what a panel is as SVG.
#include "tests/scenarios/sessions.hpp"
#include "tests/ui/headless.hpp"
#include "ui/svg.hpp"

#include <algorithm>

using namespace trapeze;
using namespace trapeze::test;
using namespace trapeze::ui;

namespace {

Debugger debugger_of(Mode mode) { return Debugger(open(tiny_os(mode)), std::nullopt); }
void settle(Debugger& debugger) {
    for (int i = 0; i < 10'000 && debugger.busy(); ++i) debugger.tick(10);
    REQUIRE_FALSE(debugger.busy());
}

} // namespace

TEST_CASE("Larger steps end where they say, and a breakpoint on the way ends them too") {
    Debugger debugger = debugger_of(Mode::TrapAndEmulate);
    debugger.apply({Action::NextSystemCall});
    settle(debugger);
    CHECK(debugger.session().csr(debugger.session().guest_state(), Csr::scause) == static_cast<u64>(Cause::EcallFromU));
    const u64 table = debugger.session().csr(debugger.session().guest_state(), Csr::satp);
    debugger.apply({Action::NextSwitch});
    settle(debugger);
    CHECK(debugger.session().csr(debugger.session().guest_state(), Csr::satp) != table);
    const ExitReason reason = debugger.selected_exit()->reason;
    const u64 before = debugger.session().vmm()->exits(reason);
    debugger.apply({Action::NextOfKind});
    settle(debugger);
    CHECK(debugger.selected_exit()->reason == reason);
    CHECK(debugger.session().vmm()->exits(reason) == before + 1);
    debugger.apply({Action::StepBack});
    settle(debugger);
    debugger.apply({Action::AddBreakpoint, 0, "exit sret or mret"});
    debugger.apply({Action::NextSwitch});
    settle(debugger);
    CHECK(debugger.selected_exit()->reason == ExitReason::TrapReturn);
    Debugger bare = debugger_of(Mode::Bare);
    bare.apply({Action::NextOfKind});
    CHECK(bare.message().find("never exits") != std::string::npos);
}

TEST_CASE("At the foot of the speed ladder an instruction a second is run, at its head as many as there can be") {
    Debugger debugger = debugger_of(Mode::Bare);
    for (int i = 0; i < 20; ++i) debugger.apply({Action::Slower});
    CHECK(debugger.speed() == 1);
    debugger.tick(1);
    debugger.apply({Action::Run});
    for (int i = 0; i < 50; ++i) debugger.tick(1);
    CHECK(debugger.running());
    CHECK(debugger.session().position() <= 1);
    for (int i = 0; i < 20; ++i) debugger.apply({Action::Faster});
    CHECK(debugger.speed() == 0);
    settle(debugger);
    CHECK(debugger.session().position() > 10'000);
}

TEST_CASE("The mode flip steps its lanes together, and leaves the session where it is") {
    Debugger debugger = debugger_of(Mode::TrapAndEmulate);
    debugger.apply({Action::FlipStep});
    CHECK(debugger.message().find("no lanes") != std::string::npos);
    const auto place = debugger.session().resolve("native_enable_paging");
    REQUIRE(place);
    debugger.apply({Action::SelectLine, place.value()});
    debugger.apply({Action::RunToLine});
    const u64 position = debugger.session().position();
    debugger.apply({Action::Flip, 0, "bare,trap-and-emulate,hardware-assisted"});
    REQUIRE(debugger.flip());
    REQUIRE(debugger.flip()->size() == 3);
    debugger.apply({Action::FlipExit});
    const auto costs = debugger.flip()->costs();
    CHECK(costs[0].exits == 0);
    CHECK(costs[1].exits >= 1);
    CHECK(costs[0].instructions == costs[1].instructions);
    CHECK(costs[0].pc == costs[1].pc);
    CHECK(debugger.flip()->divergences().empty());
    debugger.apply({Action::FlipMany});
    CHECK(debugger.flip()->instructions(2) == costs[2].instructions + 100);
    CHECK(debugger.session().position() == position);
    const std::string text = panel_row(PanelId::Flip).sheet(debugger, {}).text();
    CHECK(text.find("hardware-assisted") != std::string::npos);
    CHECK(text.find("All guests are alike") != std::string::npos);
    debugger.apply({Action::Flip});
    CHECK_FALSE(debugger.flip());
}

TEST_CASE("The timeline goes to where it is dragged, on and on while it is dragged") {
    Debugger debugger = debugger_of(Mode::Bare);
    debugger.apply({Action::Run});
    settle(debugger);
    const u64 end = debugger.session().position();
    for (const u64 place : {end / 2, end / 3, end / 7}) debugger.apply({Action::GoTo, place, "in slices"}); // faster than it can follow
    settle(debugger);
    CHECK(debugger.session().position() == end / 7);
    Headless screen(1280, 800, 1, false);
    screen.frame(debugger);
    screen.drag(debugger, {400, 780}, {560, 780});
    settle(debugger);
    CHECK(debugger.session().position() > end / 7);
    CHECK(debugger.session().position() < end);
    CHECK(debugger.farthest() == end);
}

TEST_CASE("A panel as SVG has its words as text, and those of no other panel") {
    Debugger debugger = debugger_of(Mode::TrapAndEmulate);
    Headless screen(1280, 800, 1, false);
    for (int i = 0; i < 3; ++i) screen.frame(debugger);
    const std::string svg = svg_of(*ImGui::GetDrawData(), "CSRs: real beside virtual###csrs", window_layout(debugger, 21)[PanelId::Csrs]);
    CHECK(svg.starts_with("<svg "));
    CHECK(svg.ends_with("</svg>\n"));
    CHECK(svg.find(">satp</text>") != std::string::npos);
    CHECK(svg.find("<path ") != std::string::npos);
    CHECK(svg.find("Trap ledger") == std::string::npos);
    for (const char* mark : {"<g ", "<clipPath ", "<text "}) {
        const std::string end = "</" + std::string(mark + 1, std::string(mark).size() - 2) + ">";
        std::size_t opened = 0, closed = 0;
        for (std::size_t at = 0; (at = svg.find(mark, at)) != std::string::npos; ++at) ++opened;
        for (std::size_t at = 0; (at = svg.find(end, at)) != std::string::npos; ++at) ++closed;
        CHECK(opened == closed);
    }
}
