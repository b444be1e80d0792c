// Stepping units: each ends where its name says, in every kind of session.
#include "container-sim/kernel.hpp"
#include "scenarios/files.hpp"
#include "scenarios/session_units.hpp"
#include "tests/scenarios/sessions.hpp"

using namespace trapeze;
using namespace trapeze::test;
using namespace trapeze::scenarios;

namespace {

RunEnd step_by(Session& session, StepUnit unit, ExitReason reason = ExitReason::Count) {
    auto step = UnitStep::create(session, unit, reason);
    if (!step) FAIL(step.error());
    RunEnd why = RunEnd::Budget;
    for (int i = 0; i < 100'000 && why == RunEnd::Budget; ++i) why = step->advance(session, 1000);
    return why;
}

} // namespace

TEST_CASE("A block ends behind its jump, and has none inside") {
    Session session = open(tiny_os(Mode::Bare));
    for (int i = 0; i < 50; ++i) {
        const u64 begin = session.position();
        REQUIRE(step_by(session, StepUnit::Block) != RunEnd::Budget);
        const u64 end = session.position(), after = session.guest_state().pc;
        REQUIRE(session.go_to(begin));
        while (session.position() + 1 < end) {
            const auto lines = session.code(0, 0);
            REQUIRE(session.step() == RunEnd::Budget);
            REQUIRE(session.guest_state().pc == lines.front().pc + lines.front().length); // one after the other
        }
        session.step();
        CHECK(session.guest_state().pc == after);
    }
}

TEST_CASE("A step by a system call stops in the kernel's trap vector, in every mode") {
    for (const Mode mode : kModes) {
        CAPTURE(vmm::mode_row(mode).name);
        Session session = open(tiny_os(mode));
        REQUIRE(step_by(session, StepUnit::SystemCall) == RunEnd::Trap);
        const u64 first = session.position();
        CHECK(session.csr(session.guest_state(), Csr::scause) == static_cast<u64>(Cause::EcallFromU));
        REQUIRE(step_by(session, StepUnit::SystemCall) == RunEnd::Trap);
        CHECK(session.position() > first);
    }
}

TEST_CASE("A step by a context switch ends in another address space, in every mode") {
    for (const Mode mode : kModes) {
        CAPTURE(vmm::mode_row(mode).name);
        Session session = open(tiny_os(mode));
        for (int i = 0; i < 3; ++i) {
            const u64 before = session.csr(session.guest_state(), Csr::satp);
            REQUIRE(step_by(session, StepUnit::Switch) == RunEnd::Trap);
            CHECK(session.csr(session.guest_state(), Csr::satp) != before);
        }
    }
}

TEST_CASE("A step to the next exit of a kind leaves the others out, and keeps the breakpoints as they were") {
    Session session = open(tiny_os(Mode::TrapAndEmulate));
    session.toggle_breakpoint(0);
    REQUIRE(step_by(session, StepUnit::ExitKind, ExitReason::Fence) == RunEnd::Trap);
    CHECK(session.vmm()->ledger().back().reason == ExitReason::Fence);
    CHECK(session.vmm()->exits(ExitReason::Fence) == 1);
    CHECK(session.breakpoints().size() == 1);
    CHECK_FALSE(UnitStep::create(open(tiny_os(Mode::Bare)), StepUnit::ExitKind, ExitReason::Fence));
}

TEST_CASE("A step by a system call or a context switch of containers ends with one more of them") {
    SessionConfig config;
    container::ContainerSpec spec;
    spec.rootfs = build_folder() + "/guests/linux", spec.arguments = {"/whoami"};
    for (const char* name : {"web", "db"}) spec.hostname = name, config.containers.push_back(spec);
    config.record = kAllClasses;
    Session session = open(config);
    const u64 switches = session.trace().count(EventKind::ContextSwitch);
    REQUIRE(step_by(session, StepUnit::Switch) == RunEnd::Trap);
    CHECK(session.trace().count(EventKind::ContextSwitch) == switches + 1);
    const u64 calls = session.kernel()->system_calls();
    REQUIRE(step_by(session, StepUnit::SystemCall) == RunEnd::Trap);
    CHECK(session.kernel()->system_calls() == calls + 1);
}
