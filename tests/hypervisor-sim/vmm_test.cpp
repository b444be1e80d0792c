// The VMM as its callers see it: set-up and its errors, stops, the ledger, and guests that mean harm.
#include "tests/hypervisor-sim/guest_program.hpp"

#include <fstream>
#include <unistd.h>

using namespace trapeze;
using namespace trapeze::test;
using vmm::ExitReason;
using vmm::Mode;
using vmm::Until;
using vmm::Vmm;
using vmm::VmmStopKind;

TEST_CASE("a mode is found by its name, and the error lists the modes") {
    CHECK(vmm::mode_by_name("trap-and-emulate").value() == Mode::TrapAndEmulate);
    const auto unknown = vmm::mode_by_name("sideways");
    REQUIRE(!unknown);
    CHECK(unknown.error().find("\"sideways\"") != std::string::npos);
    for (std::size_t i = 0; i < static_cast<std::size_t>(Mode::Count); ++i)
        CHECK(unknown.error().find(vmm::mode_row(static_cast<Mode>(i)).name) != std::string::npos);
    for (const char* name : {"bare", "interpret", "translate", "trap-and-emulate", "paravirtual", "hardware-assisted"}) CHECK(vmm::mode_by_name(name));
}

TEST_CASE("a VMM refuses a machine that cannot hold it, and says why") {
    vmm::VmConfig guest;
    MachineConfig config;
    config.builtin_firmware = false;
    const auto refused = [&](const char* why) {
        auto machine = Machine::create(config);
        REQUIRE(machine);
        const auto vm = Vmm::create(*machine, guest);
        REQUIRE(!vm);
        CAPTURE(vm.error());
        CHECK(vm.error().find(why) != std::string::npos);
    };
    refused("give the machine more");
    config.ram_bytes = Vmm::machine_bytes(guest);
    config.builtin_firmware = true;
    refused("builtin_firmware = false");
    config.builtin_firmware = false;
    config.harts = 2;
    refused("2 harts");
    config.harts = 1;
    guest.mode = Mode::Bare;
    refused("bare has no hypervisor");
    guest.mode = Mode::Interpret;
    guest.ram_bytes = 12345;
    refused("12345 bytes");
    guest.ram_bytes = ~u64{4095};
    refused("give the machine more");
}

TEST_CASE("an exit is seen before it is handled, and handled by the next unit") {
    Program p;
    p.csrw(Csr::mscratch, 0x42, t0).op(Op::jal);
    Running running = Running::start(Mode::TrapAndEmulate, p.bytes());
    Vmm& vm = *running.vm;
    CHECK(vm.run(running.machine, 1000, Until::NextExit).kind == VmmStopKind::Exit);
    REQUIRE(vm.in_hypervisor());
    CHECK(vm.ledger().back().reason == ExitReason::ShadowMiss); // the first fetch
    CHECK(!vm.ledger().back().complete);
    CHECK(vm.run(running.machine, 1, Until::ExitHandled).kind == VmmStopKind::Exit);
    CHECK(!vm.in_hypervisor());
    CHECK(vm.ledger().back().complete);
    CHECK(vm.run(running.machine, 1000, Until::NextExit).kind == VmmStopKind::Exit);
    const vmm::ExitDossier before = vm.ledger().back();
    CHECK(before.reason == ExitReason::CsrAccess);
    CHECK(before.hardware.is(Cause::IllegalInstruction));
    CHECK(before.word == encode(Op::csrrw, {0, t0, 0, static_cast<i64>(Csr::mscratch)}));
    CHECK((before.believed == Priv::M && before.real == PrivMode{Priv::U}));
    CHECK(before.steps.empty());
    CHECK(running.machine.hart().state.priv == Priv::S); // the VMM's seat
    vm.run(running.machine, 1, Until::ExitHandled);
    const vmm::ExitDossier& after = vm.ledger().back();
    REQUIRE(after.changes.size() == 1);
    CHECK(after.changes[0] == vmm::CsrChange{static_cast<u16>(Csr::mscratch), 0, 0x42});
    CHECK(after.resume_pc == before.guest_pc + 4);
    CHECK(step_text(after.steps[1]) == "decode " + disassemble(before.word, before.guest_pc));
    CHECK(running.machine.hart().state.priv == Priv::U);
}

TEST_CASE("a breakpoint of the guest's stops it, also right after an exit") {
    Program p;
    p.csrw(Csr::mscratch, 0x42, t0);
    const u64 after_exit = p.here();
    p.op(Op::addi).op(Op::addi).op(Op::jal);
    for (Mode mode : {Mode::Interpret, Mode::Translate, Mode::TrapAndEmulate, Mode::HardwareAssisted}) {
        Running running = Running::start(mode, p.bytes());
        Watch watch;
        watch.pcs = {after_exit};
        CHECK(running.vm->run(running.machine, 1000, Until::Budget, watch).kind == VmmStopKind::Breakpoint);
        CHECK(running.state().pc == after_exit);
        watch = {};
        watch.csr_writes = {static_cast<u16>(Csr::mscratch)};
        Running again = Running::start(mode, p.bytes());
        CHECK(again.vm->run(again.machine, 1000, Until::Budget, watch).kind == VmmStopKind::Breakpoint);
        CHECK(again.state().pc == after_exit - 4);
        CHECK(again.state()[Csr::mscratch] == 0);
    }
}

TEST_CASE("a guest's trap stops it when every trap is watched") {
    Program p;
    p.csrw(Csr::mtvec, kRamBase + 0x100, t0).op(Op::ebreak).at(kRamBase + 0x100).op(Op::jal);
    for (Mode mode : {Mode::Interpret, Mode::Translate, Mode::TrapAndEmulate, Mode::HardwareAssisted}) {
        Running running = Running::start(mode, p.bytes());
        Watch watch;
        watch.every_trap = true;
        CHECK(running.vm->run(running.machine, 1000, Until::Budget, watch).kind == VmmStopKind::Breakpoint);
        CHECK(running.state().pc == kRamBase + 0x100);
        CHECK(running.state()[Csr::mcause] == static_cast<u64>(Cause::Breakpoint));
    }
}

TEST_CASE("the ledger keeps the newest exits and counts all of them") {
    Program p;
    const u64 loop = p.here();
    p.csrw(Csr::mscratch, 0).jump(loop);
    Running running = Running::start(Mode::TrapAndEmulate, p.bytes());
    running.run(20'000);
    CHECK(running.vm->exits() > Vmm::kLedgerSize);
    CHECK(running.vm->ledger().size() == Vmm::kLedgerSize);
    CHECK(running.vm->ledger().back().number == running.vm->exits());
    u64 sum = 0;
    for (std::size_t i = 0; i < static_cast<std::size_t>(ExitReason::Count); ++i) sum += running.vm->exits(static_cast<ExitReason>(i));
    CHECK(sum == running.vm->exits());
    CHECK(running.machine.trace.count(EventKind::VmExit) == running.vm->exits());
}

TEST_CASE("a guest that loops on a faulting trap vector stays within its budget") {
    for (u64 vector : {u64{0}, u64{0x4000'0000}, ~u64{0} << 2, kUartBase, kRamBase + kGuestBytes}) {
        Program p;
        p.csrw(Csr::mtvec, vector, t0).op(Op::ebreak);
        for (Mode mode : {Mode::Interpret, Mode::Translate, Mode::TrapAndEmulate, Mode::HardwareAssisted}) {
            Running running = Running::start(mode, p.bytes());
            const vmm::VmmStop stop = running.vm->run(running.machine, 5000);
            CHECK(stop.kind == VmmStopKind::Budget);
            CHECK(stop.executed == 5000);
            CHECK(running.state().pc == vector);
        }
    }
}

TEST_CASE("tables outside the guest's memory are access faults of the guest") {
    for (u64 root : {u64{0}, (kRamBase + kGuestBytes) >> kPageShift, satp::PPN, kUartBase >> kPageShift}) {
        Program p;
        p.open_pmp().csrw(Csr::mtvec, kRamBase + 0x200, t0).csrw(Csr::satp, satp::kSv39 << 60 | root, t0).mret_to(Priv::S, kRamBase + 0x100);
        p.at(kRamBase + 0x200).csrr(a0, Csr::mcause).finish();
        Running vm = run_everywhere(p);
        CHECK(vm.state().x[a0] == static_cast<u64>(Cause::InstructionAccess));
    }
}

TEST_CASE("a guest reaches nothing of the machine outside its own memory") {
    Program p;
    p.csrw(Csr::mtvec, kRamBase + 0x200, t0);
    p.li(s0, kRamBase + kGuestBytes).li(s1, 0x10'0000).li(a1, 0);
    const u64 loop = p.here();
    p.op(Op::sd, {0, s0, s1}).op(Op::add, {s0, s0, s1}).op(Op::addi, {a1, a1, 0, 1}).li(t0, 64).op(Op::bltu, {0, a1, t0, static_cast<i64>(loop - p.here())});
    p.finish();
    p.at(kRamBase + 0x200).op(Op::addi, {a2, a2, 0, 1}).csrr(t1, Csr::mepc).op(Op::addi, {t1, t1, 0, 4}).csrw(Csr::mepc, t1).op(Op::mret);
    Running vm = run_everywhere(p);
    CHECK(vm.state().x[a2] == 64); // each store faulted
}

TEST_CASE("a guest that touches more pages than the shadow tables can hold goes on") {
    // Its pages lie a gigabyte's three hundredth apart in virtual memory, so that each needs a table of its own.
    constexpr u64 kTables = kRamBase + 0x20'0000, kLeaf = pte::V | pte::R | pte::W | pte::X | pte::A | pte::D;
    Program p;
    p.open_pmp().csrw(Csr::mtvec, kRamBase + 0x400, t0);
    p.poke(kTables + 8 * 2, kRamBase >> 2 | kLeaf);
    p.li(s0, kTables).li(s1, (kRamBase & ~u64{0x3fff'ffff}) >> 2 | kLeaf); // every other gigabyte maps RAM's
    for (unsigned i = 3; i < 200; ++i) p.op(Op::sd, {0, s0, s1, static_cast<i64>(8 * i)});
    p.csrw(Csr::satp, satp::kSv39 << 60 | kTables >> kPageShift, t0).mret_to(Priv::S, kRamBase + 0x800);
    REQUIRE(p.here() <= kRamBase + 0x400);
    p.at(kRamBase + 0x400).finish();
    p.at(kRamBase + 0x800).li(s0, u64{3} << 30 | 0x1000).li(s1, u64{1} << 30).li(a1, 0).li(a3, 197 * 7).li(a4, 0).li(a5, u64{200} << 30);
    const u64 loop = p.here();
    p.op(Op::ld, {a2, s0}).op(Op::add, {s0, s0, s1}).op(Op::addi, {a1, a1, 0, 1});
    p.op(Op::bltu, {0, s0, a5, 6 * 4});
    p.op(Op::lui, {t0, 0, 0, 0x200000}).op(Op::add, {a4, a4, t0}).op(Op::lui, {t1, 0, 0, 0x1000}); // the next 2 MiB
    p.op(Op::addi, {s0, 0, 0, 3}).op(Op::slli, {s0, s0, 0, 30}).op(Op::add, {s0, s0, a4});
    p.op(Op::bltu, {0, a1, a3, static_cast<i64>(loop - p.here())});
    p.op(Op::ecall);
    Running vm = run_everywhere(p);
    CHECK(vm.machine.trace.count(EventKind::ShadowFlush) > 0);
    CHECK(vm.vm->vmm_bytes() <= Vmm::machine_bytes(vm.vm->config()) - kGuestBytes);
}

TEST_CASE("one run's trace is the other's, byte for byte") {
    Program p;
    p.csrw(Csr::mtvec, kRamBase + 0x200, t0).csrw(Csr::mscratch, 1, t0).op(Op::ebreak).at(kRamBase + 0x200).finish();
    Running first = Running::start(Mode::TrapAndEmulate, p.bytes()), second = Running::start(Mode::TrapAndEmulate, p.bytes());
    for (Running* running : {&first, &second}) {
        running->machine.trace.record(kAllClasses);
        running->run(10'000);
        REQUIRE(running->board().halt);
    }
    CHECK(first.machine.trace == second.machine.trace);
    CHECK(first.machine.trace.total() > 10);
}

TEST_CASE("without dossiers a guest runs the same, exit by exit, and the ledger keeps no steps") {
    Program p; // registers, memory protection, a device, its own trap
    p.csrw(Csr::mscratch, 0x42, t0).csrw(Csr::mtvec, kRamBase + 0x1000, t0).csrw(Csr::pmpaddr1, 0x1234, t0).csrw(Csr::mie, irq_bit(Irq::Mti), t0);
    p.li(t0, kClintBase).op(Op::lw, {t1, t0}).op(Op::ebreak).poke(kRamBase + 0x20'0000, 7).open_pmp().mret_to(Priv::S, kRamBase + 0x2000);
    p.at(kRamBase + 0x1000).csrr(t0, Csr::mepc).op(Op::addi, {t0, t0, 0, 4}).csrw(Csr::mepc, t0).op(Op::mret);
    p.at(kRamBase + 0x2000).csrw(Csr::sscratch, 3, t0).finish();
    for (Mode mode : {Mode::Interpret, Mode::Translate, Mode::TrapAndEmulate, Mode::HardwareAssisted}) {
        CAPTURE(vmm::mode_row(mode).name);
        Running with = Running::start(mode, p.bytes()), without = Running::start(mode, p.bytes(), false, [](vmm::VmConfig& config) { config.dossiers = false; });
        with.run(100'000), without.run(100'000);
        REQUIRE(with.board().halt);
        REQUIRE(without.board().halt);
        CHECK(difference(with.state(), without.state()) == "");
        CHECK(with.machine == without.machine);
        CHECK(with.vm->exits() == without.vm->exits());
        for (std::size_t i = 0; i < static_cast<std::size_t>(ExitReason::Count); ++i)
            CHECK(with.vm->exits(static_cast<ExitReason>(i)) == without.vm->exits(static_cast<ExitReason>(i)));
        CHECK(with.vm->ledger().size() == std::min<u64>(with.vm->exits(), Vmm::kLedgerSize));
        if (without.vm->exits() == 0) continue; // interpreted all the way
        REQUIRE(without.vm->ledger().size() == 1);
        CHECK(without.vm->ledger().back().steps.empty());
        CHECK(without.vm->ledger().back().changes.empty());
        CHECK(without.vm->ledger().back().cost == with.vm->ledger().back().cost);
    }
}

#ifndef __SANITIZE_ADDRESS__ // which takes memory of its own
namespace {
/// Memory of the host that this process has, in bytes.
u64 resident() {
    u64 size = 0, pages = 0;
    std::ifstream("/proc/self/statm") >> size >> pages;
    return pages * static_cast<u64>(sysconf(_SC_PAGESIZE));
}
} // namespace

TEST_CASE("a VM with 64 MiB of which it touches 4 takes less than 6 MiB of the host") {
    constexpr u64 kTouchedPages = 1024;
    constexpr std::size_t kVms = 8; // so that what the process had free already counts little
    Program p;
    p.li(t0, kRamBase + 0x10'0000).li(t1, kRamBase + 0x10'0000 + (kTouchedPages - 1) * kPageSize).li(t2, kPageSize);
    const u64 loop = p.here();
    p.op(Op::sd, {0, t0, t0}).op(Op::add, {t0, t0, t2}).op(Op::bltu, {0, t0, t1, static_cast<i64>(loop - p.here())}).op(Op::jal);
    std::vector<Running> vms; // all stay, so that none gets what another one has left
    for (Mode mode : {Mode::Interpret, Mode::Translate, Mode::TrapAndEmulate, Mode::HardwareAssisted}) {
        CAPTURE(vmm::mode_row(mode).name);
        const u64 before = resident();
        for (std::size_t i = 0; i < kVms; ++i) {
            vms.push_back(Running::start(mode, p.bytes(), false, [](vmm::VmConfig& config) { config.ram_bytes = u64{64} << 20; }));
            vms.back().run(10'000);
            REQUIRE(vms.back().machine.ram.touched_pages() >= kTouchedPages);
        }
        const u64 each = (resident() - before) / kVms;
        MESSAGE(std::string(vmm::mode_row(mode).name), ": ", each >> 10, " KiB a VM");
        CHECK(each < u64{6} << 20);
    }
}
#endif
