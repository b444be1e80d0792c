// The hypervisor extension (Privileged specification, chapter 15): what a guest may do, where its traps go, and what they say.
#include "tests/emulator/cpu/guest_bench.hpp"

#include <doctest/doctest.h>

using namespace trapeze;

TEST_CASE("15.6.1: a hypervisor register is a virtual instruction to a guest and illegal to a user") {
    for (Csr csr : {Csr::hstatus, Csr::hgatp, Csr::hvip, Csr::vsstatus, Csr::vsatp, Csr::htimedelta}) {
        CHECK(Bench({}, kModeS).refused(csr) == kAllowed);
        CHECK(Bench({}, kModeVs).refused(csr) == kVirtual);
        CHECK(Bench({}, kModeVu).refused(csr) == kVirtual);
        CHECK(Bench({}, kModeU).refused(csr) == kIllegal);
    }
    CHECK(Bench({}, kModeVs).refused(Csr::hgeip, true) == kIllegal); // nobody may write it
    CHECK(Bench({}, kModeVs).refused(Csr::mstatus) == kIllegal);
    CHECK(Bench({}, kModeVs).refused(static_cast<Csr>(0x6ff)) == kIllegal);
}

TEST_CASE("15.6.1: a supervisor register is a virtual instruction in VU-mode when HS-mode could access it") {
    CHECK(Bench({}, kModeVu).refused(Csr::sstatus) == kVirtual);
    CHECK(Bench({}, kModeVu).refused(Csr::satp) == kVirtual);
    CHECK(Bench({}, kModeU).refused(Csr::sstatus) == kIllegal);
    Bench bench({}, kModeVu);
    bench.write(Csr::mstatus, mstatus::TVM); // assumed 0 for this question
    CHECK(bench.refused(Csr::satp) == kVirtual);
    bench.write(Csr::menvcfg, 0); // HS-mode could not touch stimecmp either
    CHECK(bench.refused(Csr::stimecmp) == kIllegal);
}

TEST_CASE("15.2.1: VTVM, VTW and VTSR trap VS-mode as virtual instructions; TVM, TW and TSR trap HS-mode as illegal ones") {
    Bench guest({}, kModeVs), host({}, kModeS);
    for (Op op : {Op::sfence_vma, Op::sinval_vma, Op::wfi, Op::sret}) CHECK(guest.refused(op) == kAllowed);
    guest.write(Csr::hstatus, hstatus::VTVM | hstatus::VTW | hstatus::VTSR);
    host.write(Csr::mstatus, mstatus::TVM | mstatus::TW | mstatus::TSR);
    for (Op op : {Op::sfence_vma, Op::sinval_vma, Op::wfi, Op::sret}) {
        CHECK(guest.refused(op) == kVirtual);
        CHECK(host.refused(op) == kIllegal);
    }
    CHECK(guest.refused(Csr::satp) == kVirtual);
    for (Op op : {Op::sfence_w_inval, Op::sfence_inval_ir}) CHECK(guest.refused(op) == kAllowed);
    CHECK(host.refused(Csr::hgatp) == kIllegal);
    CHECK(host.refused(Op::hfence_gvma) == kIllegal);
    CHECK(host.refused(Op::hfence_vvma) == kAllowed);
    guest.write(Csr::mstatus, mstatus::TW); // the machine's own wish comes first
    CHECK(guest.refused(Op::wfi) == kIllegal);
}

TEST_CASE("15.6.1: supervisor instructions are virtual instructions in VU-mode, wfi unless TW is set") {
    Bench bench({}, kModeVu);
    for (Op op : {Op::sfence_vma, Op::sret, Op::wfi, Op::sfence_w_inval, Op::hfence_gvma}) CHECK(bench.refused(op) == kVirtual);
    CHECK(bench.refused(Op::mret) == kIllegal);
    bench.write(Csr::mstatus, mstatus::TW);
    CHECK(bench.refused(Op::wfi) == kIllegal);
    for (Op op : {Op::sfence_vma, Op::wfi, Op::hfence_gvma}) CHECK(Bench({}, kModeU).refused(op) == kIllegal);
}

TEST_CASE("15.2.6: a counter that hcounteren hides is a virtual instruction, one that mcounteren hides is illegal") {
    Bench bench({}, kModeVs);
    CHECK(bench.refused(Csr::time) == kAllowed);
    bench.write(Csr::hcounteren, 0);
    CHECK(bench.refused(Csr::time) == kVirtual);
    bench.write(Csr::mcounteren, 0);
    CHECK(bench.refused(Csr::time) == kIllegal);
    Bench user({}, kModeVu);
    user.write(Csr::scounteren, 0);
    CHECK(user.refused(Csr::time) == kVirtual);
}

TEST_CASE("Sstc: a guest's stimecmp needs henvcfg.STCE and hcounteren.TM") {
    Bench bench({}, kModeVs);
    CHECK(bench.refused(Csr::stimecmp) == kAllowed);
    bench.write(Csr::henvcfg, 0);
    CHECK(bench.refused(Csr::stimecmp) == kVirtual);
    bench.write(Csr::menvcfg, 0);
    CHECK(bench.refused(Csr::stimecmp) == kIllegal);
    CHECK(bench.read(Csr::henvcfg) == 0);
}

TEST_CASE("15.2.11: a guest's supervisor registers are the vs ones") {
    Bench bench({csrw(Csr::sscratch, kA0), csrr(Csr::sscratch, kA1)});
    bench.s.x[kA0] = 0x1234;
    bench.write(Csr::sscratch, 7);
    bench.step();
    bench.step();
    CHECK(bench.s.x[kA1] == 0x1234);
    CHECK(bench.read(Csr::vsscratch) == 0x1234);
    CHECK(bench.read(Csr::sscratch) == 7);
}

TEST_CASE("15.6.2: a trap of a guest goes to VS-mode only where hedeleg says so") {
    Bench to_guest({kEcall}, kModeVu);
    to_guest.write(Csr::hedeleg, ~u64{0});
    const Trap inner = to_guest.step().trap;
    CHECK(inner.to_virt);
    CHECK(to_guest.s.mode() == kModeVs);
    CHECK(to_guest.s.pc == kVs);
    CHECK(to_guest.read(Csr::vscause) == static_cast<u64>(Cause::EcallFromU));
    CHECK(to_guest.read(Csr::vsepc) == kRamBase);
    CHECK((to_guest.read(Csr::vsstatus) & mstatus::SPP) == 0);

    Bench to_host({kEcall}, kModeVs);
    to_host.write(Csr::hedeleg, ~u64{0}); // bit 10, a call from VS-mode, cannot be delegated
    to_host.step();
    CHECK(to_host.s.mode() == kModeS);
    CHECK(to_host.s.pc == kHs);
    CHECK(to_host.read(Csr::scause) == static_cast<u64>(Cause::EcallFromVs));
    CHECK((to_host.read(Csr::hstatus) & (hstatus::SPV | hstatus::SPVP)) == (hstatus::SPV | hstatus::SPVP));
    CHECK((to_host.read(Csr::sstatus) & mstatus::SPP) != 0);

    Bench to_machine({kEcall}, kModeVs);
    to_machine.write(Csr::medeleg, 0);
    to_machine.step();
    CHECK(to_machine.s.mode() == PrivMode{Priv::M, false});
    CHECK((to_machine.read(Csr::mstatus) & mstatus::MPV) != 0);
    CHECK(get_field(to_machine.read(Csr::mstatus), mstatus::MPP) == 1);
}

TEST_CASE("15.6.4: sret from HS-mode enters the guest when SPV is set, sret in the guest stays there, mret goes by MPV") {
    Bench host({kSret}, kModeS);
    host.write(Csr::sepc, 0x8000'4000);
    host.write(Csr::hstatus, hstatus::SPV);
    host.write(Csr::sstatus, mstatus::SPP);
    host.step();
    CHECK(host.s.mode() == kModeVs);
    CHECK(host.s.pc == 0x8000'4000);
    CHECK((host.read(Csr::hstatus) & hstatus::SPV) == 0);

    Bench guest({kSret}, kModeVs);
    guest.write(Csr::vsepc, 0x8000'5000);
    guest.write(Csr::vsstatus, mstatus::SPIE);
    guest.step();
    CHECK(guest.s.mode() == kModeVu);
    CHECK(guest.s.pc == 0x8000'5000);
    CHECK((guest.read(Csr::vsstatus) & mstatus::SIE) != 0);

    for (u64 previous : {u64{1}, u64{3}}) { // S, M
        Bench machine({kMret}, {Priv::M, false});
        machine.write(Csr::mstatus, set_field(mstatus::MPV, mstatus::MPP, previous));
        machine.step();
        CHECK(machine.s.virt == (previous == 1)); // M-mode is never virtual
        CHECK((machine.read(Csr::mstatus) & mstatus::MPV) == 0);
    }
}

TEST_CASE("15.2.4: an injected interrupt is taken in VS-mode under the supervisor's number, where delegated and enabled") {
    struct Case { Irq irq; u64 guest_code; };
    for (const Case c : {Case{Irq::Vssi, 1}, Case{Irq::Vsti, 5}, Case{Irq::Vsei, 9}}) {
        Bench bench({kNop}, kModeVs);
        bench.write(Csr::hideleg, kGuestIrqs), bench.write(Csr::hie, kGuestIrqs);
        bench.write(Csr::hvip, irq_bit(c.irq));
        CHECK_FALSE(bench.step().trapped); // vsstatus.SIE is 0
        CHECK(bench.read(Csr::vsip) == u64{1} << c.guest_code);
        bench.write(Csr::vsstatus, mstatus::SIE);
        const Trap trap = bench.step().trap;
        CHECK(trap.to_virt);
        CHECK(bench.read(Csr::vscause) == (kInterruptBit | c.guest_code));
        CHECK(bench.s.pc == kVs);

        Bench undelegated({kNop}, kModeVs); // then it is the hypervisor's, who is always open to a guest's
        undelegated.write(Csr::hie, kGuestIrqs), undelegated.write(Csr::hvip, irq_bit(c.irq));
        undelegated.step();
        CHECK(undelegated.read(Csr::scause) == (kInterruptBit | static_cast<u64>(c.irq)));
        CHECK(undelegated.s.mode() == kModeS);
    }
}

TEST_CASE("15.2.3: interrupts of VS-mode are not taken outside of it, and the hypervisor's go first") {
    Bench host({kNop, kNop}, kModeS);
    host.write(Csr::hideleg, kGuestIrqs), host.write(Csr::hie, kGuestIrqs), host.write(Csr::hvip, kGuestIrqs);
    host.write(Csr::sstatus, mstatus::SIE);
    CHECK_FALSE(host.step().trapped);

    Bench both({kNop}, kModeVs);
    both.write(Csr::hideleg, kGuestIrqs), both.write(Csr::hie, kGuestIrqs), both.write(Csr::hvip, kGuestIrqs);
    both.write(Csr::vsstatus, mstatus::SIE);
    both.write(Csr::sie, irq_bit(Irq::Ssi)), both.write(Csr::sip, irq_bit(Irq::Ssi));
    both.step();
    CHECK(both.read(Csr::scause) == (kInterruptBit | static_cast<u64>(Irq::Ssi)));
    CHECK((both.read(Csr::hstatus) & hstatus::SPV) != 0);
}

TEST_CASE("15.2.7: a guest's time is moved by htimedelta, and so is its timer") {
    Bench bench({csrr(Csr::time, kA0), kNop}, kModeVs);
    bench.s.cycles = 1000 * kCyclesPerTick;
    bench.write(Csr::htimedelta, ~u64{0} - 99); // 100 ticks behind
    bench.step();
    CHECK(bench.s.x[kA0] == 900);
    bench.write(Csr::vstimecmp, 901);
    CHECK((bench.read(Csr::hip) & irq_bit(Irq::Vsti)) == 0);
    CHECK(guest_timer_tick(bench.s) == 1001);
    bench.s.cycles = 1001 * kCyclesPerTick;
    CHECK((bench.read(Csr::hip) & irq_bit(Irq::Vsti)) != 0);
    bench.write(Csr::henvcfg, 0);
    CHECK((bench.read(Csr::hip) & irq_bit(Irq::Vsti)) == 0);
}

TEST_CASE("15.2.2, 15.4.2: delegation registers hold what they may") {
    Bench bench({}, {Priv::M, false});
    bench.write(Csr::mideleg, 0);
    CHECK(bench.read(Csr::mideleg) == kGuestIrqs);
    bench.write(Csr::hideleg, ~u64{0});
    CHECK(bench.read(Csr::hideleg) == kGuestIrqs);
    bench.write(Csr::hedeleg, ~u64{0});
    CHECK((bench.read(Csr::hedeleg) & (u64{0xf} << 20 | 0xe00)) == 0); // guest-page faults and calls are not the guest's
    bench.write(Csr::mip, irq_bit(Irq::Vssi));
    CHECK(bench.read(Csr::hvip) == irq_bit(Irq::Vssi));
    bench.write(Csr::hip, 0);
    CHECK(bench.read(Csr::mip) == 0);
}

TEST_CASE("10.1.11, 15.2.10: a register that selects a table refuses modes that there are not, and hgatp keeps its root aligned") {
    Bench bench({}, {Priv::M, false});
    for (u64 mode = 0; mode < 16; ++mode) {
        const bool known = mode == 0 || (mode >= 8 && mode <= 10);
        for (Csr csr : {Csr::satp, Csr::vsatp, Csr::hgatp}) {
            bench.write(csr, 0);
            bench.write(csr, mode << 60 | 0x1234);
            CHECK(bench.read(csr) == (known ? mode << 60 | 0x1234 : 0));
        }
    }
    bench.write(Csr::hgatp, ~u64{0} >> 4 | satp::kSv39 << 60);
    CHECK(bench.read(Csr::hgatp) == (satp::kSv39 << 60 | u64{0x3fff} << 44 | (satp::PPN & ~u64{3})));
    Bench shallow({}, {Priv::M, false}, {.paging_levels = 3});
    shallow.write(Csr::satp, satp::kSv48 << 60);
    CHECK(shallow.read(Csr::satp) == 0);
}

TEST_CASE("15.3.1: hlv and hsv reach the guest's memory in the mode that SPVP says; a user needs HU") {
    // Guest physical pages are mapped 64 KiB higher by a second stage of one gigapage's worth of 2 MiB leaves.
    Bench bench({hlv(0x68004073, kA0, kA1)}, kModeS);
    const u64 root = kRamBase + 0x10'0000, table = kRamBase + 0x10'4000, leaves = kRamBase + 0x10'5000;
    const auto put = [&](u64 address, u64 entry) { bench.machine.ram.write_value(address - kRamBase, entry); };
    put(root, table >> 2 | pte::V);
    put(table, leaves >> 2 | pte::V);
    constexpr u64 kFlags = pte::V | pte::R | pte::W | pte::U | pte::A | pte::D;
    put(leaves + 8 * 5, (kRamBase + 0x20'0000) >> 2 | kFlags); // guest page 5
    put(kRamBase + 0x20'0010, 0xcafe'f00d);
    bench.write(Csr::hgatp, satp::kSv39 << 60 | root >> 12);
    bench.s.x[kA1] = 0x5010;
    CHECK_FALSE(bench.step().trapped);
    CHECK(bench.s.x[kA0] == sign_extend(0xcafe'f00d, 32));

    bench.s.pc = kRamBase;
    bench.s.x[kA1] = 0x6012;
    const Trap fault = bench.step().trap;
    CHECK(fault.is(Cause::LoadGuestPageFault));
    CHECK(bench.read(Csr::stval) == 0x6012);
    CHECK(bench.read(Csr::htval) == 0x6012 >> 2);
    CHECK(bench.read(Csr::htinst) == hlv(0x68004073, kA0, 0)); // rs1 gone, rd kept
    CHECK((bench.read(Csr::hstatus) & hstatus::GVA) != 0);
    CHECK((bench.read(Csr::hstatus) & hstatus::SPV) == 0);

    CHECK(Bench({}, kModeU).refused(Op::hlv_w) == kIllegal);
    Bench user({}, kModeU);
    user.write(Csr::hstatus, hstatus::HU);
    CHECK(user.refused(Op::hlv_w) == kAllowed);
    CHECK(Bench({}, kModeVs).refused(Op::hlv_w) == kVirtual);
}

TEST_CASE("15.6.3: a guest's faulting store tells its transformed instruction and guest physical address") {
    Bench bench({0x00b5a623}, kModeVs); // sw a1, 12(a1)
    const u64 root = kRamBase + 0x10'0000;
    const auto put = [&](u64 address, u64 entry) { bench.machine.ram.write_value(address - kRamBase, entry); };
    put(root + 8 * 2, kRamBase >> 2 | pte::V | pte::R | pte::X | pte::U | pte::A | pte::D); // code is there, and may not be written
    bench.write(Csr::hgatp, satp::kSv39 << 60 | root >> 12);
    bench.s.x[kA1] = kRamBase + 0x8000;
    const Trap fault = bench.step().trap;
    CHECK(fault.is(Cause::StoreGuestPageFault));
    CHECK(fault.tval == kRamBase + 0x800c);
    CHECK(fault.tval2 == (kRamBase + 0x800c) >> 2);
    CHECK(fault.tinst == (0x00b5a623u & ~0xfe0f8f80u));
    CHECK(bench.s.mode() == kModeS);

    Bench compressed({0x0000c18c}, kModeVs); // c.sw a1, 0(a1)
    compressed.machine.ram.write_value(root - kRamBase + 16, kRamBase >> 2 | pte::V | pte::R | pte::X | pte::U | pte::A | pte::D);
    compressed.write(Csr::hgatp, satp::kSv39 << 60 | root >> 12);
    compressed.s.x[kA1] = kRamBase + 0x8000;
    CHECK(compressed.step().trap.tinst == (0x00b5a023u & ~0xfe0f8f82u)); // bit 1 says that it was compressed
}

TEST_CASE("15.5: the same address means different things to hypervisor and guest, without a fence between them") {
    Bench bench({0x0005b503, 0x0005b503}, kModeVs); // ld a0, 0(a1), twice
    const u64 root = kRamBase + 0x10'0000, table = kRamBase + 0x10'4000;
    const auto put = [&](u64 address, u64 value) { bench.machine.ram.write_value(address - kRamBase, value); };
    constexpr u64 kFlags = pte::V | pte::R | pte::W | pte::X | pte::U | pte::A | pte::D;
    put(root + 8 * 2, table >> 2 | pte::V);
    put(table, kRamBase >> 2 | kFlags);
    put(table + 8 * 2, (kRamBase + 0x60'0000) >> 2 | kFlags); // guest 0x8040_0000 lies at 0x8060_0000
    put(kRamBase + 0x40'0000, 4), put(kRamBase + 0x60'0000, 6);
    bench.write(Csr::hgatp, satp::kSv39 << 60 | root >> 12);
    bench.s.x[kA1] = kRamBase + 0x40'0000;
    for (int round = 0; round < 3; ++round) {
        bench.s.pc = kRamBase, bench.s.priv = Priv::S, bench.s.virt = true;
        bench.machine.run(1);
        CHECK(bench.s.x[kA0] == 6);
        bench.s.pc = kRamBase, bench.s.virt = false;
        bench.machine.run(1);
        CHECK(bench.s.x[kA0] == 4);
    }
}

TEST_CASE("15.2.11: floating point in a guest needs both statuses, and makes both dirty") {
    constexpr u32 kFmv = 0xf2000053; // fmv.d.x ft0, zero
    Bench off({kFmv}, kModeVs);
    off.write(Csr::mstatus, mstatus::FS);
    CHECK(off.step().trap.is(Cause::IllegalInstruction));
    Bench on({kFmv}, kModeVs);
    on.write(Csr::mstatus, 1u << 13), on.write(Csr::vsstatus, 1u << 13); // initial
    CHECK_FALSE(on.step().trapped);
    CHECK((on.read(Csr::mstatus) & mstatus::FS) == mstatus::FS);
    CHECK((on.read(Csr::vsstatus) & mstatus::FS) == mstatus::FS);
    CHECK((on.read(Csr::vsstatus) & mstatus::SD) != 0);
}

TEST_CASE("a hart without the hypervisor extension knows nothing of it") {
    Bench bench({}, {Priv::M, false}, {.hypervisor = false});
    for (Csr csr : {Csr::hstatus, Csr::vsatp, Csr::mtinst, Csr::mtval2}) CHECK(bench.refused(csr) == kIllegal);
    CHECK(bench.refused(Op::hfence_gvma) == kIllegal);
    CHECK((bench.read(Csr::misa) >> ('H' - 'A') & 1) == 0);
    bench.write(Csr::mstatus, mstatus::MPV | mstatus::GVA);
    CHECK((bench.read(Csr::mstatus) & (mstatus::MPV | mstatus::GVA)) == 0);
    CHECK((bench.read(Csr::mideleg) & kGuestIrqs) == 0);
}
