// The debugger's commands that go back, its branches, and files of sessions, without a window.
#include "tests/scenarios/sessions.hpp"
#include "ui/debugger.hpp"

#include <nlohmann/json.hpp>

using namespace trapeze;
using namespace trapeze::test;
using namespace trapeze::ui;

namespace {

Debugger debugger_of(Mode mode, u64 checkpoint_every = 100'000) { return Debugger(open(tiny_os(mode, checkpoint_every)), std::nullopt); }
void settle(Debugger& debugger) {
    for (int i = 0; i < 10'000 && debugger.busy(); ++i) debugger.tick(10);
    REQUIRE_FALSE(debugger.busy());
}

} // namespace

TEST_CASE("Back to the last trap is where the next trap stopped, and where a value came from is the operand's last change") {
    Debugger debugger = debugger_of(Mode::TrapAndEmulate);
    for (int i = 0; i < 20; ++i) debugger.apply({Action::NextTrap}); // by then the kernel has a stack
    const u64 trap = debugger.session().position();
    for (int i = 0; i < 5; ++i) debugger.apply({Action::Step});
    debugger.apply({Action::BackToTrap});
    settle(debugger);
    CHECK(debugger.session().position() == trap);
    CHECK(debugger.message() == "Back at a trap.");
    debugger.apply({Action::BackToRegister, 2});
    settle(debugger);
    const u64 stack = debugger.session().guest_state().x[2];
    debugger.apply({Action::Step});
    CHECK(debugger.session().guest_state().x[2] != stack);
}

TEST_CASE("A long way is gone in slices, shows how far it is, and can be cancelled") {
    Debugger debugger = debugger_of(Mode::Bare, 100'000'000); // no checkpoint but the first
    debugger.apply({Action::Run});
    settle(debugger);
    const u64 idle = debugger.session().position();
    const HartState state = debugger.session().guest_state();
    debugger.apply({Action::BackToPhysical, kRamBase});
    for (int i = 0; i < 3 && debugger.busy(); ++i) debugger.tick(0);
    if (debugger.busy()) {
        CHECK(debugger.progress().value() >= 0);
        debugger.apply({Action::Step}); // not now
        CHECK(debugger.message().find("cancels") != std::string::npos);
        debugger.apply({Action::Pause});
    }
    CHECK_FALSE(debugger.busy());
    CHECK(debugger.session().position() == idle);
    CHECK(debugger.session().guest_state() == state);
}

TEST_CASE("Running back stops where a breakpoint's condition is true, and comes back here when it nowhere is") {
    Debugger debugger = debugger_of(Mode::Bare);
    debugger.apply({Action::Run});
    settle(debugger);
    const u64 end = debugger.session().position();
    debugger.apply({Action::AddBreakpoint, 0, "csr satp"});
    debugger.apply({Action::ReverseRun});
    settle(debugger);
    const u64 last = debugger.session().position(), value = debugger.session().csr(debugger.session().guest_state(), Csr::satp);
    REQUIRE(last < end);
    debugger.apply({Action::GoTo, end});
    settle(debugger);
    debugger.apply({Action::ConditionBreakpoint, 0, "csr('satp') == 0"}); // the first write of all
    debugger.apply({Action::ReverseRun});
    settle(debugger);
    CHECK(debugger.session().position() < last);
    CHECK(debugger.session().csr(debugger.session().guest_state(), Csr::satp) == 0);
    CHECK(value != 0);
    debugger.apply({Action::GoTo, end});
    settle(debugger);
    debugger.apply({Action::ConditionBreakpoint, 0, "false"});
    debugger.apply({Action::ReverseRun});
    settle(debugger);
    CHECK(debugger.session().position() == end);
}

TEST_CASE("Branches are kept where they were left, and compared") {
    Debugger debugger = debugger_of(Mode::Bare);
    debugger.apply({Action::Run});
    settle(debugger);
    debugger.apply({Action::NextBranch});
    CHECK(debugger.message().find("no other branch") != std::string::npos);
    debugger.apply({Action::Fork, 0, "typed"});
    CHECK(debugger.branch() == "typed");
    debugger.apply({Action::Type, 0, "echo other way\n"});
    settle(debugger);
    debugger.apply({Action::CompareBranches});
    CHECK(debugger.message().find("the consoles differ after") != std::string::npos);
    const u64 typed = debugger.session().position();
    debugger.apply({Action::NextBranch});
    CHECK(debugger.branch() == "main");
    CHECK(debugger.session().console().find("other way") == std::string::npos);
    debugger.apply({Action::NextBranch});
    CHECK(debugger.branch() == "typed");
    CHECK(debugger.session().position() == typed);
    debugger.apply({Action::StepBack});
    settle(debugger);
    CHECK(debugger.session().position() == typed - 1);
}

TEST_CASE("A session that was saved opens at the same place with the same past") {
    const Folder folder;
    const std::string file = folder.path("run.trapeze");
    Debugger debugger = debugger_of(Mode::TrapAndEmulate);
    debugger.apply({Action::Run});
    settle(debugger);
    debugger.apply({Action::Type, 0, "uname\n"});
    settle(debugger);
    debugger.apply({Action::SaveSession, 0, file});
    REQUIRE(debugger.message().find("Saved to") != std::string::npos);
    Debugger other = debugger_of(Mode::Bare);
    other.apply({Action::OpenSession, 0, file});
    settle(other);
    CHECK(other.session().position() == debugger.session().position());
    CHECK(other.session().console() == debugger.session().console());
    CHECK(other.session().machine() == debugger.session().machine());
    other.apply({Action::OpenSession, 0, folder.write("foreign", "PNG, not a session")});
    CHECK(other.message().find("not a snapshot") != std::string::npos);
}
