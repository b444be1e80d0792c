// What a hart with the hypervisor extension spares the VMM, and what it leaves to it.
#include "tests/hypervisor-sim/guest_program.hpp"

#include <algorithm>

using namespace trapeze;
using namespace trapeze::test;
using vmm::ExitReason;
using vmm::Mode;
using vmm::StepKind;

namespace {

constexpr u64 kEntry = kRamBase + 0x20'0000, kHandler = kEntry + 0x1000, kUserCode = kEntry + 0x2000, kRoot = kRamBase + 0x40'0000;
constexpr u64 kScratchRegister = kUartBase + 7;

/// A guest kernel that the VMM's firmware starts in S-mode at kEntry.
struct Kernel : Program {
    Kernel() { at(kEntry); }
    std::vector<u8> image() const {
        std::vector<u8> all = bytes();
        all.erase(all.begin(), all.begin() + (kEntry - kRamBase));
        return all;
    }
};

/// Hardware-assisted, with what a test changes of the VM.
Running start_assisted(const Kernel& kernel, void (*change)(vmm::VmConfig&) = [](vmm::VmConfig&) {}) {
    vmm::VmConfig guest;
    guest.mode = Mode::HardwareAssisted;
    guest.ram_bytes = kGuestBytes;
    change(guest);
    auto created = vmm::GuestInMode::create(guest);
    REQUIRE(created);
    REQUIRE(created->load(kernel.image(), "test guest"));
    return {std::move(*created)};
}

u64 steps_of(const Running& running, StepKind kind) {
    u64 count = 0;
    for (const vmm::ExitDossier& exit : running.vm->ledger())
        count += static_cast<u64>(std::count_if(exit.steps.begin(), exit.steps.end(), [&](const vmm::DossierStep& step) { return step.kind == kind; }));
    return count;
}

} // namespace

TEST_CASE("a guest kernel's own registers, traps and returns cost no exit") {
    Kernel k;
    k.csrw(Csr::stvec, kHandler, t0).csrw(Csr::sscratch, 5, t0).csrr(a5, Csr::sscratch).csrw(Csr::sepc, kUserCode, t0).op(Op::sret);
    k.at(kHandler).csrr(a2, Csr::scause).csrr(a3, Csr::sepc).finish();
    k.at(kUserCode).op(Op::ecall);
    Running running = start_assisted(k);
    running.run(10'000);
    REQUIRE(running.board().halt);
    CHECK(running.state().x[a5] == 5);
    CHECK(running.state().x[a2] == static_cast<u64>(Cause::EcallFromU));
    CHECK(running.state().x[a3] == kUserCode);
    CHECK(running.vm->exits() == 2); // the first touch of memory, and the device that switches it off
    CHECK(running.vm->exits(ExitReason::GStageMiss) == 1);
    CHECK(running.vm->exits(ExitReason::Mmio) == 1);
}

TEST_CASE("the G-stage is filled on first touch, in pages as large as is allowed") {
    Kernel k;
    for (u64 at : {u64{0}, u64{0x1000}, u64{0x1008}, u64{0x20'0000}, u64{0x60'0000}}) k.li(t0, kRoot + at).op(Op::sd, {0, t0, t0});
    k.finish();
    struct Case {
        void (*change)(vmm::VmConfig&);
        std::array<u64, 3> mapped;
    };
    const Case cases[] = {{[](vmm::VmConfig& c) { c.switches.gstage_level = 0; }, {5, 0, 0}}, // four pages of data, one of code
                          {[](vmm::VmConfig& c) { c.switches.gstage_level = 1; }, {0, 4, 0}},
                          {[](vmm::VmConfig& c) { c.switches.gstage_level = 2, c.ram_bytes = u64{1} << 30; }, {0, 0, 1}}};
    for (const Case& one : cases) {
        Running running = start_assisted(k, one.change);
        running.run(10'000);
        REQUIRE(running.board().halt);
        CHECK(running.vm->gstage().mapped() == one.mapped);
        CHECK(running.vm->exits(ExitReason::GStageMiss) == one.mapped[0] + one.mapped[1] + one.mapped[2]);
        CHECK(running.peek(kRoot + 0x60'0000) == kRoot + 0x60'0000);
        CHECK(running.vm->vmm_bytes() <= u64{9} * kPageSize);
    }
}

TEST_CASE("a page of the guest's own table that the G-stage lacks is filled in as well") {
    Kernel k; // the table is written by the test below, so that the guest has never touched it
    k.csrw(Csr::satp, satp::kSv39 << 60 | kRoot >> kPageShift, t0).finish();
    Running running = start_assisted(k, [](vmm::VmConfig& c) { c.switches.gstage_level = 0; });
    Bus bus = running.bus();
    constexpr u64 kLeaf = pte::V | pte::R | pte::W | pte::X | pte::A | pte::D;
    REQUIRE(bus.ram.write_value(bus.ram_offset(kRoot), kLeaf));
    REQUIRE(bus.ram.write_value(bus.ram_offset(kRoot + 16), kRamBase >> 2 | kLeaf));
    running.run(10'000);
    REQUIRE(running.board().halt);
    CHECK(running.vm->exits(ExitReason::GStageMiss) == 2); // the code, and the root of the guest's table
    const auto& ledger = running.vm->ledger();
    CHECK(std::any_of(ledger.begin(), ledger.end(), [](const vmm::ExitDossier& exit) { // section 15.6.3: the pseudo-instruction of a 64-bit read
        return exit.hardware.tinst == 0x3000 && exit.hardware.tval2 << 2 == kRoot + 16;
    }));
}

TEST_CASE("a device is reached by a guest-page fault, whose htinst says what was to be done") {
    Kernel k;
    k.li(t0, kScratchRegister).li(t1, 0x5a).op(Op::sb, {0, t0, t1}).op(Op::lbu, {a5, t0}).finish();
    Running running = start_assisted(k);
    running.run(10'000);
    REQUIRE(running.board().halt);
    CHECK(running.state().x[a5] == 0x5a);
    CHECK(running.vm->exits(ExitReason::Mmio) == 3);
    CHECK(steps_of(running, StepKind::GuestPhysical) == 4); // and the code's page
    for (const vmm::ExitDossier& exit : running.vm->ledger()) {
        if (exit.reason != ExitReason::Mmio) continue;
        CHECK(exit.real == PrivMode{Priv::S, true});
        CHECK((exit.hardware.tinst & 0x7f) == (exit.word & 0x7f)); // the transformed instruction keeps its opcode
    }
}

TEST_CASE("the guest's timer is the hart's own vstimecmp, or exits when it is trapped") {
    Kernel k;
    k.csrw(Csr::stvec, kHandler, t0).csrr(t0, Csr::time).op(Op::addi, {t0, t0, 0, 300}).csrw(Csr::stimecmp, t0);
    k.csrw(Csr::sie, irq_bit(Irq::Sti), t0).csrs(Csr::sstatus, mstatus::SIE, t0).op(Op::jal); // for ever
    k.at(kHandler).csrr(a5, Csr::scause).finish();
    for (bool trapped : {false, true}) {
        Running running = trapped ? start_assisted(k, [](vmm::VmConfig& c) { c.switches.trapped_timer = true; }) : start_assisted(k);
        running.run(1'000'000);
        REQUIRE(running.board().halt);
        CHECK(running.state().x[a5] == (kInterruptBit | static_cast<u64>(Irq::Sti)));
        CHECK(running.vm->exits(ExitReason::CsrAccess) == trapped); // the write of stimecmp
        CHECK(running.vm->exits(ExitReason::Interrupt) == trapped); // the machine's timer stood in for it
        CHECK((steps_of(running, StepKind::SetPending) > 0) == trapped);
    }
}

TEST_CASE("a typed key reaches a running guest through hvip") {
    Kernel k;
    k.csrw(Csr::stvec, kHandler, t0).li(t0, kPlicBase).li(t1, 1).op(Op::sw, {0, t0, t1, 40}); // priority of source 10, the UART
    k.li(t0, kPlicBase + 0x2080).li(t1, 1u << 10).op(Op::sw, {0, t0, t1}).li(t0, kPlicBase + 0x20'1000).op(Op::sw, {0, t0, 0});
    k.li(t0, kUartBase).li(t1, 1).op(Op::sb, {0, t0, t1, 1});
    k.csrw(Csr::sie, irq_bit(Irq::Sei), t0).csrs(Csr::sstatus, mstatus::SIE, t0).op(Op::jal);
    k.at(kHandler).csrr(a5, Csr::scause).finish();
    Running running = start_assisted(k);
    running.run(2'000);
    CHECK(!running.board().halt);
    running.board().type("x");
    running.run(2'000);
    REQUIRE(running.board().halt);
    CHECK(running.state().x[a5] == (kInterruptBit | static_cast<u64>(Irq::Sei)));
}

TEST_CASE("wfi gives the hart back to the VMM") {
    Kernel k;
    k.csrr(t0, Csr::time).op(Op::addi, {t0, t0, 0, 500}).csrw(Csr::stimecmp, t0).csrw(Csr::sie, irq_bit(Irq::Sti), t0).op(Op::wfi).finish();
    Running running = start_assisted(k);
    running.run(1'000);
    REQUIRE(running.board().halt);
    CHECK(running.vm->exits(ExitReason::Wfi) == 1);
    CHECK(steps_of(running, StepKind::Idle) == 1);
}

TEST_CASE("hardware assistance needs a hart that has it") {
    vmm::VmConfig guest;
    guest.mode = Mode::HardwareAssisted;
    MachineConfig config{.ram_bytes = vmm::Vmm::machine_bytes(guest), .builtin_firmware = false};
    config.features.hypervisor = false;
    auto machine = Machine::create(config);
    REQUIRE(machine);
    const auto refused = vmm::Vmm::create(*machine, guest);
    REQUIRE(!refused);
    CHECK(refused.error().find("hypervisor extension") != std::string::npos);
}
