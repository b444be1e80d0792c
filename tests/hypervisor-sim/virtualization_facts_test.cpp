// What is known to go wrong in trap-and-emulate VMMs without the hypervisor extension, one test a fact. Each guest ends in the same
// state bare, interpreted and under trap-and-emulate (run_everywhere); the checks say what that state must be.
#include "tests/hypervisor-sim/guest_program.hpp"

#include <algorithm>

using namespace trapeze;
using namespace trapeze::test;
using vmm::ExitReason;
using vmm::Mode;

namespace {

constexpr u64 kMachineHandler = kRamBase + 0x1000, kOff = kRamBase + 0x1800, kSupervisorHandler = kRamBase + 0x2000, kUser = kRamBase + 0x3000,
              kSupervisor = kRamBase + 0x4000;
constexpr u64 kPage = kRamBase + 0x10'0000, kTables = kRamBase + 0x20'0000, kBig = kRamBase + 0x40'0000, kOtherBig = kRamBase + 0x60'0000;
constexpr u64 kVirtual = 0x4000'0000; // where the guests' tables map kPage or kBig
constexpr u64 kScratch = kUartBase + 7;
constexpr u64 kSatp = satp::kSv39 << 60 | kTables >> kPageShift;
constexpr u64 kSmallLeaf = kTables + 0x2000, kBigLeaf = kTables + 0x1000; // addresses of the entry for kVirtual
constexpr u64 kKernel = pte::V | pte::R | pte::W | pte::X | pte::A | pte::D;
constexpr u64 kCalls = u64{1} << static_cast<u64>(Cause::EcallFromU) | u64{1} << static_cast<u64>(Cause::EcallFromS);
constexpr u64 kDelegated = 0xb3ff & ~kCalls;
constexpr u64 kSupervisorIrqs = irq_bit(Irq::Ssi) | irq_bit(Irq::Sti) | irq_bit(Irq::Sei);

/// An Sv39 table: the machine's addresses as gigapages for S-mode, and `leaf` at kVirtual, a page of 4 KiB or (big) 2 MiB.
void make_table(Program& p, u64 leaf, bool big = false) {
    p.poke(kTables, kKernel).poke(kTables + 8 * 2, kRamBase >> 2 | kKernel).poke(kTables + 8, kBigLeaf >> 2 | pte::V);
    if (big) p.poke(kBigLeaf, leaf);
    else p.poke(kBigLeaf, kSmallLeaf >> 2 | pte::V).poke(kSmallLeaf, leaf);
}

/// A handler that adds up its traps: their causes, a byte each, the newest lowest, in `causes`; their number in `count`; the last tval. An
/// exception goes on after its instruction (4 bytes); an interrupt is masked.
void add_handler(Program& p, Priv level, unsigned causes, unsigned count, unsigned tval) {
    const bool machine = level == Priv::M;
    const Csr epc = machine ? Csr::mepc : Csr::sepc, enabled = machine ? Csr::mie : Csr::sie;
    const Op ret = machine ? Op::mret : Op::sret;
    p.at(machine ? kMachineHandler : kSupervisorHandler);
    p.csrr(s0, machine ? Csr::mcause : Csr::scause).csrr(tval, machine ? Csr::mtval : Csr::stval).csrr(s5, epc);
    p.op(Op::slli, {causes, causes, 0, 8}).op(Op::andi, {s1, s0, 0, 0xff}).op(Op::or_, {causes, causes, s1}).op(Op::addi, {count, count, 0, 1});
    const u64 interrupt = p.here();
    p.op(Op::bge, {0, s0, 0, 5 * 4}).op(Op::addi, {t2, 0, 0, 1}).op(Op::sll, {t2, t2, s0}).op(Op::csrrc, {0, t2, 0, static_cast<i64>(enabled)}).op(ret);
    REQUIRE(p.here() == interrupt + 5 * 4);
    p.op(Op::addi, {t2, s5, 0, 4}).csrw(epc, t2);
    p.op(Op::addi, {t2, 0, 0, 8}).op(Op::bltu, {0, s0, t2, 4 * 4}).op(Op::addi, {t2, 0, 0, 12}).op(Op::bgeu, {0, s0, t2, 2 * 4});
    p.op(Op::bne, {0, a0, 0, static_cast<i64>(kOff - p.here())}); // a call with a0 != 0: the end
    p.op(ret);
}

/// A guest: `body` in M-mode, with all traps but calls delegated, memory open, and handlers in S-mode (a2 causes, a3 number, a4 tval) and
/// M-mode (s2, s3, s4).
Program guest(void (*body)(Program&)) {
    Program p;
    p.open_pmp().csrw(Csr::mtvec, kMachineHandler, t0).csrw(Csr::stvec, kSupervisorHandler, t0).csrw(Csr::medeleg, kDelegated, t0);
    body(p);
    REQUIRE(p.here() <= kMachineHandler);
    add_handler(p, Priv::M, s2, s3, s4);
    p.at(kOff).finish();
    add_handler(p, Priv::S, a2, a3, a4);
    return p;
}
void end(Program& p) { p.li(a0, 1).op(Op::ecall); }

u64 cause(Cause c) { return static_cast<u64>(c); }
bool is_set(u64 entry, u64 bit) { return (entry & bit) != 0; }

} // namespace

TEST_CASE("1: a privileged instruction is emulated in virtual S and M, and reflected into the guest in virtual U") {
    Program p = guest([](Program& q) { q.csrw(Csr::sscratch, 0x1234, t0).mret_to(Priv::S, kSupervisor); });
    p.at(kUser).csrr(a5, Csr::sscratch).op(Op::sret).op(Op::mret).op(Op::wfi).op(Op::sfence_vma).csrw(Csr::mscratch, 0);
    end(p);
    p.at(kSupervisor).csrr(a1, Csr::sscratch).op(Op::sfence_vma).csrw(Csr::sepc, kUser, t0).op(Op::sret);
    const Running vm = run_everywhere(p);
    CHECK(vm.state().x[a1] == 0x1234);
    CHECK(vm.state().x[a5] == 0);
    CHECK(vm.state().x[a3] == 6); // each of virtual U's was the guest's own illegal instruction
    CHECK(vm.state().x[a2] == 0x0202'0202'0202);
    CHECK(vm.vm->exits(ExitReason::GuestException) == 6);
    CHECK(vm.vm->exits(ExitReason::TrapReturn) >= 2 + 6);
    for (const vmm::ExitDossier& dossier : vm.vm->ledger()) CHECK(dossier.real == PrivMode{Priv::U});
}

TEST_CASE("2: what the guest reads of its CSRs is virtual, and floating-point dirtiness is the hardware's") {
    Program p = guest([](Program& q) { q.mret_to(Priv::S, kSupervisor); });
    p.at(kSupervisor).csrr(a5, Csr::sstatus).op(Op::fadd_d, {1, 1, 1}); // off: illegal
    p.csrs(Csr::sstatus, u64{1} << 13, t0).op(Op::fadd_d, {1, 1, 1}).csrr(a6, Csr::sstatus);
    end(p);
    const Running vm = run_everywhere(p);
    CHECK(get_field(vm.state().x[a5], mstatus::FS) == 0);
    CHECK(get_field(vm.state().x[a6], mstatus::FS) == 3);
    CHECK(is_set(vm.state().x[a6], mstatus::SD));
    CHECK(vm.vm->exits(ExitReason::FpuEnable) == 1);
    CHECK(vm.state().x[a2] == cause(Cause::IllegalInstruction));
}

TEST_CASE("3: SUM belongs to the view: a user page is reachable while it is set, and faults when it is not") {
    Program p = guest([](Program& q) {
        make_table(q, kPage >> 2 | pte::V | pte::R | pte::W | pte::U);
        q.poke(kPage, 0x77).csrw(Csr::satp, kSatp, t0).mret_to(Priv::S, kSupervisor);
    });
    p.at(kSupervisor).li(s6, kVirtual).csrs(Csr::sstatus, mstatus::SUM, t0).op(Op::ld, {a5, s6});
    p.li(t0, mstatus::SUM).op(Op::csrrc, {0, t0, 0, static_cast<i64>(Csr::sstatus)}).op(Op::ld, {a6, s6});
    end(p);
    const Running vm = run_everywhere(p);
    CHECK(vm.state().x[a5] == 0x77);
    CHECK(vm.state().x[a6] == 0);
    CHECK(vm.state().x[a2] == cause(Cause::LoadPageFault));
    CHECK(vm.state().x[a4] == kVirtual);
}

TEST_CASE("4: a load sets the accessed bit of the guest's entry, and only a store the dirty bit") {
    const auto body = [](Program& q) {
        make_table(q, kPage >> 2 | pte::V | pte::R | pte::W);
        q.csrw(Csr::satp, kSatp, t0).mret_to(Priv::S, kSupervisor);
    };
    Program p = guest(body);
    p.at(kSupervisor).li(s6, kVirtual).li(s7, kSmallLeaf).op(Op::ld, {a1, s6}).op(Op::ld, {a5, s7}); // reads its own entry
    p.op(Op::sd, {0, s6, a1}).op(Op::ld, {a6, s7});
    end(p);
    const Running vm = run_everywhere(p);
    CHECK((is_set(vm.state().x[a5], pte::A) && !is_set(vm.state().x[a5], pte::D)));
    CHECK((is_set(vm.state().x[a6], pte::A) && is_set(vm.state().x[a6], pte::D)));
    const auto& ledger = vm.vm->ledger();
    CHECK(std::any_of(ledger.begin(), ledger.end(), [](const vmm::ExitDossier& d) {
        return d.reason == ExitReason::ShadowMiss && d.hardware.is(Cause::StorePageFault) && d.hardware.tval == kVirtual;
    }));
}

TEST_CASE("6: sfence.vma with an address forgets a guest superpage whole") {
    constexpr u64 kFlags = pte::V | pte::R | pte::W | pte::A | pte::D;
    Program p = guest([](Program& q) {
        make_table(q, kBig >> 2 | kFlags, true);
        q.poke(kBig + 0x5000, 0x11).poke(kOtherBig + 0x5000, 0x22).csrw(Csr::satp, kSatp, t0).mret_to(Priv::S, kSupervisor);
    });
    // Touch two of its pages, map it elsewhere, fence one address, read the other.
    p.at(kSupervisor).li(s6, kVirtual).li(s7, kVirtual + 0x5000).op(Op::ld, {a5, s6}).op(Op::ld, {a5, s7});
    p.poke(kBigLeaf, kOtherBig >> 2 | kFlags).op(Op::sfence_vma, {0, s6, 0}).op(Op::ld, {a6, s7});
    end(p);
    const Running vm = run_everywhere(p);
    CHECK(vm.state().x[a5] == 0x11);
    CHECK(vm.state().x[a6] == 0x22);
}

TEST_CASE("6: sfence.vma with an address leaves other pages' shadow entries alone") {
    Program p = guest([](Program& q) {
        make_table(q, kPage >> 2 | pte::V | pte::R | pte::W | pte::A | pte::D);
        q.poke(kSmallLeaf + 8, (kPage + kPageSize) >> 2 | pte::V | pte::R | pte::A).csrw(Csr::satp, kSatp, t0).mret_to(Priv::S, kSupervisor);
    });
    p.at(kSupervisor).li(s6, kVirtual).li(s7, kVirtual + kPageSize).op(Op::ld, {a5, s6}).op(Op::ld, {a5, s7});
    p.op(Op::sfence_vma, {0, s6, 0}).op(Op::ld, {a5, s6}).op(Op::ld, {a5, s7});
    end(p);
    const Running vm = run_everywhere(p);
    const auto misses = [&](u64 va) {
        return std::count_if(vm.vm->ledger().begin(), vm.vm->ledger().end(),
                             [va](const vmm::ExitDossier& d) { return d.reason == ExitReason::ShadowMiss && d.hardware.tval == va; });
    };
    CHECK(misses(kVirtual) == 2);
    CHECK(misses(kVirtual + kPageSize) == 1);
}

TEST_CASE("7: an instruction on an execute-only guest page is fetched and emulated") {
    Program p = guest([](Program& q) {
        make_table(q, kPage >> 2 | pte::V | pte::X);
        q.poke(kPage, encode(Op::csrrs, {a5, 0, 0, static_cast<i64>(Csr::stvec)}) | u64{encode(Op::ecall, {})} << 32);
        q.csrw(Csr::satp, kSatp, t0).li(a0, 1).mret_to(Priv::S, kVirtual);
    });
    const Running vm = run_everywhere(p);
    CHECK(vm.state().x[a5] == kSupervisorHandler);
}

TEST_CASE("8: a call from virtual S is the VMM's firmware's, one from virtual U is the guest kernel's") {
    Program p;
    p.jump(kRamBase + 0x20'0000);
    p.at(kRamBase + 0x20'0000); // where firmware starts a flat image: in S-mode
    const auto call = [&p](u64 extension, u64 function, u64 argument) { p.li(a7, extension).li(a6, function).li(a0, argument).op(Op::ecall); };
    const u64 handler = kRamBase + 0x20'0800, user = kRamBase + 0x20'1000;
    call(1, 0, 'K'); // legacy console_putchar
    p.csrw(Csr::stvec, handler, t0).csrw(Csr::sepc, user, t0).op(Op::sret);
    p.at(handler).csrr(a5, Csr::scause).csrr(s5, Csr::sepc);
    call(1, 0, 'U');
    call(8, 0, 0); // legacy shutdown
    p.at(user).op(Op::ecall);
    Program image; // the flat image begins where the firmware puts it
    auto bytes = p.bytes();
    bytes.erase(bytes.begin(), bytes.begin() + 0x20'0000);
    for (Mode mode : {Mode::Bare, Mode::Interpret, Mode::Translate, Mode::TrapAndEmulate, Mode::HardwareAssisted}) {
        Running running = Running::start(mode, bytes, true);
        running.run(10'000);
        REQUIRE(running.board().halt);
        CHECK(running.board().take_output() == "KU");
        CHECK(running.state().x[a5] == cause(Cause::EcallFromU));
        CHECK(running.state().x[s5] == user);
        if (!running.vm || mode == Mode::Interpret) continue;
        CHECK(running.vm->exits(ExitReason::SbiCall) == (mode == Mode::Translate ? 0 : 3)); // a translated kernel calls out
        CHECK(running.vm->exits(ExitReason::GuestSyscall) == (mode != Mode::HardwareAssisted)); // in VU-mode it goes straight to the guest's kernel
    }
}

TEST_CASE("8: wfi ends by an interrupt that sie enables though SIE is 0, and does not wait when one is pending") {
    Program p = guest([](Program& q) {
        q.csrw(Csr::mideleg, kSupervisorIrqs, t0).csrw(Csr::menvcfg, menvcfg::STCE | menvcfg::ADUE, t0).li(t0, 2).csrw(Csr::mcounteren, t0);
        q.mret_to(Priv::S, kSupervisor);
    });
    p.at(kSupervisor).csrw(Csr::sie, irq_bit(Irq::Sti), t0);
    p.csrr(t0, Csr::time).op(Op::addi, {t0, t0, 0, 1000}).csrw(Csr::stimecmp, t0).op(Op::wfi).op(Op::wfi).csrr(a5, Csr::sip).op(Op::andi, {a5, a5, 0, 0x20});
    p.li(t0, 0).li(t1, 0); // times differ from mode to mode
    p.csrw(Csr::stimecmp, ~u64{0}, t0);
    end(p);
    const Running vm = run_everywhere(p);
    CHECK(vm.state().x[a5] == irq_bit(Irq::Sti));
    CHECK(vm.state().x[a3] == 0); // no trap was taken
    CHECK(vm.vm->exits(ExitReason::Wfi) == 2);
}

TEST_CASE("8: a guest that waits for nothing is idle, and goes on when a key is typed") {
    Program p = guest([](Program& q) {
        constexpr u64 kPriority = kPlicBase + 4 * kUartIrq, kEnable = kPlicBase + 0x2000; // context 0: M-mode
        q.li(t0, kPriority).li(t1, 1).op(Op::sw, {0, t0, t1}).li(t0, kEnable).li(t1, 1 << kUartIrq).op(Op::sw, {0, t0, t1});
        q.li(t0, kUartBase + 1).li(t1, 1).op(Op::sb, {0, t0, t1}).csrw(Csr::mie, irq_bit(Irq::Mei), t0);
        q.op(Op::wfi).li(t0, kUartBase).op(Op::lbu, {a5, t0}).li(a0, 1).op(Op::ecall);
    });
    for (Mode mode : {Mode::Interpret, Mode::Translate, Mode::TrapAndEmulate, Mode::HardwareAssisted}) {
        Running running = Running::start(mode, p.bytes());
        CHECK(running.vm->run(running.machine, 10'000).kind == vmm::VmmStopKind::Idle);
        CHECK(running.vm->run(running.machine, 10'000).kind == vmm::VmmStopKind::Idle);
        running.board().type("k");
        CHECK(running.vm->run(running.machine, 10'000).kind == vmm::VmmStopKind::Halted);
        CHECK(running.state().x[a5] == 'k');
    }
}

TEST_CASE("a key typed while the guest runs interrupts it at once") {
    Program p = guest([](Program& q) {
        constexpr u64 kPriority = kPlicBase + 4 * kUartIrq, kEnable = kPlicBase + 0x2000;
        q.li(t0, kPriority).li(t1, 1).op(Op::sw, {0, t0, t1}).li(t0, kEnable).li(t1, 1 << kUartIrq).op(Op::sw, {0, t0, t1});
        q.li(t0, kUartBase + 1).li(t1, 1).op(Op::sb, {0, t0, t1}).csrw(Csr::mie, irq_bit(Irq::Mei), t0);
        q.csrs(Csr::mstatus, mstatus::MIE, t0).op(Op::jal); // for ever
    });
    Running running = Running::start(Mode::TrapAndEmulate, p.bytes());
    running.run(10'000);
    CHECK(running.state().x[s3] == 0);
    running.board().type("k");
    running.run(100);
    CHECK(running.state().x[s2] == static_cast<u64>(Irq::Mei));
    CHECK(running.vm->exits(ExitReason::Interrupt) == 1);
}

TEST_CASE("9: of several interrupts the highest goes first, and one that sie masks is not taken") {
    Program p = guest([](Program& q) {
        q.csrw(Csr::mideleg, kSupervisorIrqs, t0).csrs(Csr::mip, kSupervisorIrqs, t0).mret_to(Priv::S, kSupervisor);
    });
    p.at(kSupervisor).csrw(Csr::sie, irq_bit(Irq::Sei) | irq_bit(Irq::Ssi), t0).csrs(Csr::sstatus, mstatus::SIE, t0).op(Op::addi);
    p.csrs(Csr::sie, irq_bit(Irq::Sti), t0).op(Op::addi);
    end(p);
    const Running vm = run_everywhere(p);
    CHECK(vm.state().x[a3] == 3);
    CHECK(vm.state().x[a2] == (static_cast<u64>(Irq::Sei) << 16 | static_cast<u64>(Irq::Ssi) << 8 | static_cast<u64>(Irq::Sti)));
}

TEST_CASE("9: interrupts for M-mode go before those for S-mode, external before software before timer") {
    Program p = guest([](Program& q) {
        q.li(t0, kClintBase).li(t1, 1).op(Op::sw, {0, t0, t1});                  // MSIP
        q.li(t0, kClintBase + 0x4000).op(Op::sd, {0, t0, 0});                    // mtimecmp = 0: MTIP
        q.csrw(Csr::mideleg, kSupervisorIrqs, t0).csrs(Csr::mip, irq_bit(Irq::Sei), t0);
        q.csrw(Csr::mie, irq_bit(Irq::Msi) | irq_bit(Irq::Mti) | irq_bit(Irq::Sei), t0).csrs(Csr::mstatus, mstatus::SIE | mstatus::SPIE, t0);
        q.mret_to(Priv::S, kSupervisor);
    });
    p.at(kSupervisor).op(Op::addi);
    end(p);
    const Running vm = run_everywhere(p);
    CHECK((vm.state().x[s2] >> 8) == (static_cast<u64>(Irq::Msi) << 8 | static_cast<u64>(Irq::Mti))); // then the last call
    CHECK(vm.state().x[a2] == static_cast<u64>(Irq::Sei));
}

TEST_CASE("10: a device may be touched by any load or store, with paging on or off") {
    static constexpr auto kTouch = [](Program& q) {
        q.li(s6, kScratch).li(t1, 0x5a).op(Op::sb, {0, s6, t1}).op(Op::lbu, {a5, s6}).op(Op::lb, {a6, s6});
        q.li(t1, 0x3c).op(Op::amoswap_w, {t2, s6, t1}).op(Op::lhu, {t2, s6}).op(Op::lw, {t2, s6}).op(Op::ld, {t2, s6});
        q.op(Op::fld, {1, s6}).op(Op::fsw, {0, s6, 1}).op(Op::sh, {0, s6, t1}).op(Op::lr_w, {t2, s6}).op(Op::lbu, {t2, s6});
        q.li(s6, kClintBase).li(t1, 1).op(Op::sw, {0, s6, t1}).op(Op::lw, {a1, s6}).op(Op::sw, {0, s6, 0});
    };
    Program off = guest([](Program& q) {
        q.csrs(Csr::mstatus, mstatus::FS, t0);
        kTouch(q);
        end(q);
    });
    const Running bare_addresses = run_everywhere(off);
    CHECK(bare_addresses.state().x[a5] == 0x5a);
    CHECK(bare_addresses.vm->exits(ExitReason::Mmio) > 10);
    Program on = guest([](Program& q) {
        make_table(q, 0);
        q.csrs(Csr::mstatus, mstatus::FS, t0).csrw(Csr::satp, kSatp, t0).mret_to(Priv::S, kSupervisor);
    });
    on.at(kSupervisor);
    kTouch(on);
    end(on);
    const Running paged = run_everywhere(on);
    CHECK(paged.state().x[a5] == 0x5a);
    CHECK(paged.vm->exits(ExitReason::Mmio) > 10);
}

TEST_CASE("10: an access to nothing is the guest's own access fault") {
    Program p = guest([](Program& q) { q.li(t0, 0x4000'0000).op(Op::ld, {a5, t0}).op(Op::sd, {0, t0, t0}); end(q); });
    const Running vm = run_everywhere(p);
    CHECK((vm.state().x[s2] >> 8) == (cause(Cause::LoadAccess) << 8 | cause(Cause::StoreAccess)));
    CHECK(vm.vm->exits(ExitReason::Mmio) <= 1); // the finisher
}

TEST_CASE("11: csrrs and csrrc of x0 or 0 do not write, so they may name a read-only CSR") {
    Program p = guest([](Program& q) {
        q.op(Op::csrrs, {a5, 0, 0, static_cast<i64>(Csr::mhartid)}).op(Op::csrrc, {a5, 0, 0, static_cast<i64>(Csr::mhartid)});
        q.op(Op::csrrsi, {a5, 0, 0, static_cast<i64>(Csr::mhartid)}).op(Op::csrrci, {a5, 0, 0, static_cast<i64>(Csr::mhartid)});
        q.op(Op::csrrs, {a5, t0, 0, static_cast<i64>(Csr::mhartid)}).op(Op::csrrwi, {a5, 0, 0, static_cast<i64>(Csr::mhartid)});
        end(q);
    });
    const Running vm = run_everywhere(p);
    CHECK(vm.state().x[s3] == 3); // the two that write, and the last call
    CHECK((vm.state().x[s2] >> 8) == 0x0202);
    CHECK(vm.vm->exits(ExitReason::GuestException) == 2);
}

TEST_CASE("14: an access under MPRV uses the guest's satp, and a fault names the original pc") {
    Program p = guest([](Program& q) {
        make_table(q, kPage >> 2 | pte::V | pte::R);
        q.poke(kPage, 0x99).csrw(Csr::satp, kSatp, t0).li(s6, kVirtual);
        q.li(t0, mstatus::MPP).op(Op::csrrc, {0, t0, 0, static_cast<i64>(Csr::mstatus)}).csrs(Csr::mstatus, mstatus::MPRV | u64{1} << 11, t0);
        q.op(Op::ld, {a5, s6});                                      // as S-mode sees it
        q.li(a6, q.here() + 8).op(Op::addi).op(Op::sd, {0, s6, a5}); // read-only: faults; the handler runs in M with MPP = M
        end(q);
    });
    const Running vm = run_everywhere(p);
    CHECK(vm.state().x[a5] == 0x99);
    CHECK((vm.state().x[s2] >> 8) == cause(Cause::StorePageFault));
    CHECK(vm.vm->exits(ExitReason::Replay) >= 2);
    const auto& ledger = vm.vm->ledger();
    const auto fault = std::find_if(ledger.begin(), ledger.end(), [](const vmm::ExitDossier& d) { return d.injected && d.injection.is(Cause::StorePageFault); });
    REQUIRE(fault != ledger.end());
    CHECK(fault->injection.epc == fault->guest_pc);
    CHECK(fault->injection.tval == kVirtual);
}

TEST_CASE("15: time can be read in virtual U when the guest's counter enables say so, without an exit") {
    Program p = guest([](Program& q) { q.li(t0, 2).csrw(Csr::mcounteren, t0).csrw(Csr::scounteren, t0).mret_to(Priv::U, kUser); });
    p.at(kUser).csrr(a5, Csr::time).op(Op::sltu, {a5, 0, a5}).csrr(a6, Csr::instret);
    end(p);
    const Running vm = run_everywhere(p);
    CHECK(vm.state().x[a2] == cause(Cause::IllegalInstruction)); // instret is not enabled
    const auto& ledger = vm.vm->ledger();
    CHECK(std::none_of(ledger.begin(), ledger.end(), [](const vmm::ExitDossier& d) { return d.guest_pc == kUser && d.reason != ExitReason::ShadowMiss; }));
}

TEST_CASE("memory protection of the guest's own holds in its lower privileges") {
    Program p = guest([](Program& q) {
        q.csrw(Csr::pmpaddr0, (kPage + 0x100) >> 2, t0).csrw(Csr::pmpaddr1, ~u64{0}, t0).csrw(Csr::pmpcfg0, 0x1f11, t0); // NA4, read only
        q.mret_to(Priv::S, kSupervisor);
    });
    p.at(kSupervisor).li(s6, kPage).li(t1, 0x42).op(Op::sd, {0, s6, t1, 0}).op(Op::sw, {0, s6, t1, 0x100}).op(Op::ld, {a5, s6});
    end(p);
    const Running vm = run_everywhere(p);
    CHECK(vm.state().x[a5] == 0x42);
    CHECK(vm.state().x[a2] == cause(Cause::StoreAccess));
    CHECK(vm.vm->exits(ExitReason::Replay) == 2);
}

TEST_CASE("a guest that writes its own code runs what it wrote") {
    Program p = guest([](Program& q) {
        q.li(s6, kPage).li(t1, encode(Op::addi, {a5, 0, 0, 1}) | u64{encode(Op::jalr, {0, ra})} << 32).op(Op::sd, {0, s6, t1});
        q.op(Op::fence_i).op(Op::jalr, {ra, s6}).op(Op::addi, {a6, a5}).li(t1, encode(Op::addi, {a5, 0, 0, 2})).op(Op::sw, {0, s6, t1});
        q.op(Op::fence_i).op(Op::jalr, {ra, s6});
        end(q);
    });
    const Running vm = run_everywhere(p);
    CHECK(vm.state().x[a6] == 1);
    CHECK(vm.state().x[a5] == 2);
}

TEST_CASE("3: MXR belongs to the view: an execute-only page is readable while it is set, and faults when it is not") {
    Program p = guest([](Program& q) {
        make_table(q, kPage >> 2 | pte::V | pte::X);
        q.poke(kPage, 0x77).csrw(Csr::satp, kSatp, t0).mret_to(Priv::S, kSupervisor);
    });
    p.at(kSupervisor).li(s6, kVirtual).csrs(Csr::sstatus, mstatus::MXR, t0).op(Op::ld, {a5, s6});
    p.li(t0, mstatus::MXR).op(Op::csrrc, {0, t0, 0, static_cast<i64>(Csr::sstatus)}).op(Op::ld, {a6, s6});
    end(p);
    const Running vm = run_everywhere(p);
    CHECK(vm.state().x[a5] == 0x77);
    CHECK(vm.state().x[a6] == 0);
    CHECK(vm.state().x[a2] == cause(Cause::LoadPageFault));
}

TEST_CASE("14: what M-mode touched before does not help an access under MPRV") {
    Program p = guest([](Program& q) {
        make_table(q, 0);
        q.csrw(Csr::satp, kSatp, t0).poke(kPage, 0x77).li(s6, kPage).op(Op::ld, {a5, s6});
        q.li(t0, mstatus::MPP).op(Op::csrrc, {0, t0, 0, static_cast<i64>(Csr::mstatus)}).csrs(Csr::mstatus, mstatus::MPRV, t0);
        q.op(Op::ld, {a6, s6}); // as U-mode, which the table does not let in
        end(q);
    });
    const Running vm = run_everywhere(p);
    CHECK(vm.state().x[a5] == 0x77);
    CHECK(vm.state().x[a6] == 0);
    CHECK((vm.state().x[s2] >> 8) == cause(Cause::LoadPageFault));
}

TEST_CASE("a reservation outlives an exit between lr and sc") {
    Program p = guest([](Program& q) {
        q.poke(kPage, 5).li(s6, kPage).li(t1, 6).op(Op::lr_d, {a5, s6}).csrr(t0, Csr::mscratch).op(Op::sc_d, {a6, s6, t1}).op(Op::ld, {a1, s6});
        end(q);
    });
    const Running vm = run_everywhere(p);
    CHECK(vm.state().x[a5] == 5);
    CHECK(vm.state().x[a6] == 0);
    CHECK(vm.state().x[a1] == 6);
}

TEST_CASE("a timer of the guest's interrupts it while it computes, whichever timer it is") {
    for (bool machine_timer : {true, false}) {
        Program p;
        p.csrw(Csr::mtvec, kMachineHandler, t0).csrw(Csr::menvcfg, menvcfg::STCE | menvcfg::ADUE, t0);
        p.csrr(t0, Csr::time).op(Op::addi, {t0, t0, 0, 500});
        if (machine_timer) p.li(t1, kClintBase + 0x4000).op(Op::sd, {0, t1, t0}).csrw(Csr::mie, irq_bit(Irq::Mti), t0);
        else p.csrw(Csr::stimecmp, t0).csrw(Csr::mie, irq_bit(Irq::Sti), t0);
        p.csrs(Csr::mstatus, mstatus::MIE, t0).op(Op::jal); // for ever
        p.at(kMachineHandler).csrr(a5, Csr::mcause).csrr(a6, Csr::time).finish();
        Running running = Running::start(Mode::TrapAndEmulate, p.bytes());
        running.run(50'000);
        REQUIRE(running.board().halt);
        CHECK(running.state().x[a5] == (kInterruptBit | static_cast<u64>(machine_timer ? Irq::Mti : Irq::Sti)));
        CHECK(running.vm->exits(ExitReason::Interrupt) == 1);
        CHECK(running.vm->interpreted() < 50); // the waiting was done on the hart
    }
}
