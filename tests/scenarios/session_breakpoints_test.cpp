// Breakpoints of sessions stop where they say, or are refused with the reason.
#include "tests/scenarios/sessions.hpp"

using namespace trapeze;
using namespace trapeze::test;

namespace {

std::string refusal(Session& session, Breakpoint::Kind kind, u64 value) {
    const auto added = session.add_breakpoint({kind, value, "", true, 0});
    REQUIRE_FALSE(added);
    CHECK(added.error().find("cannot fire") != std::string::npos);
    return added.error();
}

} // namespace

TEST_CASE("A breakpoint at an address stops before its instruction, once each time") {
    for (const Mode mode : kModes) {
        CAPTURE(vmm::mode_row(mode).name);
        Session session = open(tiny_os(mode));
        const u64 place = resolved(session, "system_call");
        REQUIRE(session.add_breakpoint({Breakpoint::Kind::Address, place, "calls", true, 0}));
        u64 before = 0;
        for (u64 hits = 1; hits <= 5; ++hits) {
            REQUIRE(session.run(50'000'000) == RunEnd::Breakpoint);
            CHECK(session.guest_state().pc == place);
            CHECK(session.position() > before);
            CHECK(session.breakpoints()[0].hits == hits);
            before = session.position();
        }
        session.breakpoints()[0].enabled = false;
        CHECK(run_until_idle(session) == RunEnd::Idle);
        CHECK(session.breakpoints()[0].hits == 5);
    }
}

TEST_CASE("A breakpoint on a CSR stops before the instruction that writes it") {
    for (const Mode mode : kModesThatWriteSatp) {
        CAPTURE(vmm::mode_row(mode).name);
        Session session = open(tiny_os(mode));
        REQUIRE(session.add_breakpoint({Breakpoint::Kind::CsrWrite, static_cast<u64>(Csr::satp), "", true, 0}));
        REQUIRE(session.run(50'000'000) == RunEnd::Breakpoint);
        CHECK(session.guest_state().pc == resolved(session, "enable_paging_satp"));
        CHECK(session.guest_state()[Csr::satp] == 0);
        CHECK(session.breakpoints()[0].hits == 1);
        session.step();
        if (session.vmm() && session.vmm()->in_hypervisor()) session.step();
        CHECK((session.guest_state()[Csr::satp] >> 60) == 8); // Sv39
        CHECK(session.breakpoints()[0].hits == 1);
    }
}

TEST_CASE("A breakpoint on a cause stops when that trap was taken") {
    constexpr u64 kFromU = static_cast<u64>(Cause::EcallFromU), kPageFault = static_cast<u64>(Cause::StorePageFault);
    for (const Mode mode : {Mode::Bare, Mode::Interpret}) {
        CAPTURE(vmm::mode_row(mode).name);
        Session session = open(tiny_os(mode));
        run_until_idle(session);
        session.type("pagefault 3\n"); // its first touches of fresh pages are page faults
        for (const u64 cause : {kFromU, kPageFault}) {
            session.breakpoints() = {{Breakpoint::Kind::Cause, cause, "", true, 0}};
            REQUIRE(session.run(50'000'000) == RunEnd::Breakpoint);
            CHECK(session.guest_state()[Csr::scause] == cause);
            CHECK(session.guest_state().pc == session.guest_state()[Csr::stvec]);
        }
        // The firmware's traps are over when they are seen.
        session.reset();
        session.breakpoints() = {{Breakpoint::Kind::Cause, static_cast<u64>(Cause::EcallFromS), "", true, 0}};
        const u64 calls = session.trace().count(EventKind::FirmwareCall);
        REQUIRE(session.run(50'000'000) == RunEnd::Breakpoint);
        CHECK(session.trace().count(EventKind::FirmwareCall) == calls + 1);
    }
    Session trapped = open(tiny_os(Mode::TrapAndEmulate));
    REQUIRE(trapped.add_breakpoint({Breakpoint::Kind::Cause, static_cast<u64>(Cause::IllegalInstruction), "", true, 0}));
    REQUIRE(trapped.run(50'000'000) == RunEnd::Breakpoint);
    REQUIRE(trapped.vmm()->in_hypervisor());
    CHECK(trapped.vmm()->ledger().back().hardware.is(Cause::IllegalInstruction));
}

TEST_CASE("A breakpoint on an exit reason stops before that exit is handled") {
    Session session = open(tiny_os(Mode::TrapAndEmulate));
    for (const ExitReason reason : {ExitReason::SbiCall, ExitReason::GuestSyscall, ExitReason::Mmio, ExitReason::TrapReturn}) {
        CAPTURE(vmm::exit_reason_row(reason).name);
        session.reset();
        session.breakpoints().clear();
        REQUIRE(session.add_breakpoint({Breakpoint::Kind::Exit, static_cast<u64>(reason), "", true, 0}));
        REQUIRE(session.run(50'000'000) == RunEnd::Breakpoint);
        CHECK(session.vmm()->in_hypervisor());
        CHECK(session.vmm()->ledger().back().reason == reason);
        CHECK(session.vmm()->exits(reason) == 1);
    }
}

TEST_CASE("A breakpoint that cannot fire is refused with the reason") {
    Session bare = open(tiny_os(Mode::Bare)), interpreted = open(tiny_os(Mode::Interpret)), trapped = open(tiny_os(Mode::TrapAndEmulate));
    CHECK(refusal(bare, Breakpoint::Kind::Address, 0x80200001).find("even") != std::string::npos);
    CHECK(refusal(bare, Breakpoint::Kind::CsrWrite, 0x5a8).find("no CSR") != std::string::npos);
    CHECK(refusal(bare, Breakpoint::Kind::CsrWrite, 0x10180).find("no CSR") != std::string::npos); // not satp
    CHECK(refusal(bare, Breakpoint::Kind::CsrWrite, static_cast<u64>(Csr::cycle)).find("cycle is read-only") != std::string::npos);
    CHECK(refusal(bare, Breakpoint::Kind::Cause, 14).find("cause 0xe") != std::string::npos);
    CHECK(refusal(bare, Breakpoint::Kind::Cause, kInterruptBit | 14).find("no trap") != std::string::npos);
    CHECK(refusal(bare, Breakpoint::Kind::Exit, static_cast<u64>(ExitReason::Wfi)).find("hypervisor") != std::string::npos);
    CHECK(refusal(interpreted, Breakpoint::Kind::Exit, static_cast<u64>(ExitReason::Wfi)).find("interpreted") != std::string::npos);
    CHECK(refusal(trapped, Breakpoint::Kind::Exit, static_cast<u64>(ExitReason::Count)).find("no exit reason") != std::string::npos);
    CHECK(bare.breakpoints().empty());
    SessionConfig quiet = tiny_os(Mode::Bare);
    quiet.record = class_bit(EventClass::Input);
    Session unrecorded = open(quiet);
    CHECK(refusal(unrecorded, Breakpoint::Kind::Cause, 8).find("record") != std::string::npos);
    CHECK(bare.add_breakpoint({Breakpoint::Kind::Cause, kInterruptBit | 5, "", true, 0}));
}
