// F1: whatever panel has the focus, something is written about what is in it.
#include "tests/scenarios/sessions.hpp"
#include "ui/focused.hpp"

using namespace trapeze;
using namespace trapeze::test;
using namespace trapeze::ui;

namespace {

std::string explained_in(Debugger& debugger, PanelId panel, PanelState state = {}) {
    state.focus = panel;
    debugger.apply({Action::Explain, 0, focused_things(debugger, state)});
    std::string keys;
    for (const scenarios::Explanation& entry : debugger.explained()) keys += entry.key + "\n";
    debugger.apply({Action::HideOverlay});
    return keys;
}

Debugger after_exits(Mode mode) {
    Debugger debugger(open(tiny_os(mode, 100'000)), std::nullopt);
    for (int i = 0; i < 40; ++i) debugger.apply({Action::NextTrap});
    return debugger;
}

} // namespace

TEST_CASE("F1 tells something in every panel of every mode") {
    for (std::size_t mode = 0; mode < static_cast<std::size_t>(vmm::Mode::Count); ++mode) {
        CAPTURE(vmm::mode_row(static_cast<vmm::Mode>(mode)).name);
        Debugger debugger = after_exits(static_cast<vmm::Mode>(mode));
        for (std::size_t i = 0; i < kPanels; ++i) {
            const auto panel = static_cast<PanelId>(i);
            CAPTURE(panel_names(panel).name);
            if (debugger.shows(panel)) CHECK(explained_in(debugger, panel) != "");
        }
    }
}

TEST_CASE("F1 tells of the CSR, the exit, the breakpoint and the event that are looked at") {
    Debugger debugger = after_exits(Mode::TrapAndEmulate);
    PanelState state;
    state.csr = Csr::sstatus;
    CHECK(explained_in(debugger, PanelId::Csrs, state).starts_with("sstatus"));
    const std::string reason = vmm::exit_reason_row(debugger.selected_exit()->reason).name;
    CHECK(explained_in(debugger, PanelId::Ledger).find(reason) != std::string::npos);
    debugger.apply({Action::AddBreakpoint, 0, "cause load page fault"});
    CHECK(explained_in(debugger, PanelId::Breakpoints) == "load page fault\n");
    const Trace& trace = debugger.session().trace();
    for (state.event_chosen = trace.first(); trace.at(state.event_chosen).kind != EventKind::VmExit;) ++state.event_chosen;
    CHECK(explained_in(debugger, PanelId::Events, state).find(trace.text_of(trace.at(state.event_chosen).detail)) != std::string::npos);
}

TEST_CASE("F1 in the walk tells of the bits that its entry has") {
    Debugger debugger = after_exits(Mode::HardwareAssisted);
    debugger.apply({Action::Run});
    for (int i = 0; i < 1000 && debugger.running(); ++i) debugger.tick(10);
    const std::string bits = explained_in(debugger, PanelId::Walk);
    CHECK(bits.find("V\n") != std::string::npos);
    CHECK(bits.find("X\n") != std::string::npos);
    CHECK(bits.find("U\n") == std::string::npos); // the kernel's code
}
