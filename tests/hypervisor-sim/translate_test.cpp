// Binary translation: what translated code does without the VMM, what makes it forget a block, and that the guest's state is exact
// wherever the hart stops. tests/hypervisor-sim/equivalence_test.cpp compares it with a bare hart, instruction by instruction.
#include "tests/hypervisor-sim/guest_program.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <random>

using namespace trapeze;
using namespace trapeze::test;
using vmm::ExitReason;
using vmm::Mode;
using vmm::Until;
using vmm::Vmm;
using vmm::VmmStopKind;

namespace {

constexpr u64 kHandler = kRamBase + 0x400, kData = kRamBase + 0x10'0000;
constexpr unsigned t3 = 28, t6 = 31;

/// The guest in mode translate, at its end; in all modes it must end in the same way.
Running translated(const Program& program, u64 budget = 200'000) {
    run_everywhere(program, false, "", budget);
    Running running = Running::start(Mode::Translate, program.bytes());
    running.run(budget);
    REQUIRE(running.board().halt);
    return running;
}

/// A loop of `count` rounds around `body`, counted in s0.
template <class Body> Program loop(u64 count, Body body) {
    Program p;
    p.csrw(Csr::mtvec, kHandler, t0).li(s0, count);
    const u64 begin = p.here();
    body(p);
    p.op(Op::addi, {s0, s0, 0, -1}).op(Op::bne, {0, s0, 0, static_cast<i64>(begin - p.here())});
    return p.finish().at(kHandler).csrr(a0, Csr::mcause).csrr(a1, Csr::mepc).csrr(a2, Csr::mtval).finish();
}

} // namespace

TEST_CASE("CSRs that nothing follows from are read and written in place, without an exit") {
    const Program p = loop(1000, [](Program& q) {
        q.csrw(Csr::mscratch, s0).csrr(a3, Csr::mscratch).op(Op::csrrw, {a4, a3, 0, static_cast<i64>(Csr::sscratch)});
        q.op(Op::csrrw, {a5, a5, 0, static_cast<i64>(Csr::sscratch)}).op(Op::csrrwi, {0, 5, 0, static_cast<i64>(Csr::scause)});
        q.csrw(Csr::sepc, s0).csrr(a6, Csr::sepc).csrw(Csr::mepc, a6).csrr(a7, Csr::stvec);
        q.op(Op::csrrci, {s2, 2, 0, static_cast<i64>(Csr::sstatus)}).op(Op::csrrsi, {s3, 2, 0, static_cast<i64>(Csr::sstatus)});
        q.csrr(s4, Csr::sstatus).csrw(Csr::sstatus, s4).op(Op::csrrc, {s5, 0, 0, static_cast<i64>(Csr::sstatus)});
    });
    const Running vm = translated(p);
    CHECK(vm.state()[Csr::mscratch] == 1);
    CHECK(vm.state().x[a6] == 0);
    CHECK(vm.vm->exits() < 40);
    CHECK(vm.vm->exits(ExitReason::CsrAccess) == 0);
}

TEST_CASE("SIE is set in place only when no interrupt waits for it") {
    constexpr u64 kSupervisor = kRamBase + 0x800, kTrap = kRamBase + 0xc00;
    Program p;
    p.open_pmp().csrw(Csr::mtvec, kHandler, t0).csrw(Csr::mideleg, 0x222, t0).csrw(Csr::stvec, kTrap, t0).mret_to(Priv::S, kSupervisor);
    p.at(kHandler).csrr(a0, Csr::mcause).finish();
    p.at(kSupervisor).csrw(Csr::sie, 2, t0).li(s0, 100);
    const u64 begin = p.here();
    p.op(Op::csrrsi, {0, 2, 0, static_cast<i64>(Csr::sstatus)}).op(Op::csrrci, {0, 2, 0, static_cast<i64>(Csr::sstatus)});
    p.op(Op::addi, {s0, s0, 0, -1}).op(Op::bne, {0, s0, 0, static_cast<i64>(begin - p.here())});
    p.op(Op::csrrsi, {0, 2, 0, static_cast<i64>(Csr::sip)}); // pending while SIE is 0
    p.csrr(s1, Csr::sstatus).op(Op::csrrsi, {0, 2, 0, static_cast<i64>(Csr::sstatus)}).op(Op::addi, {s2, s2, 0, 1}).op(Op::ecall);
    p.at(kTrap).csrr(s3, Csr::scause).csrr(s4, Csr::sepc).op(Op::csrrci, {0, 2, 0, static_cast<i64>(Csr::sip)}).op(Op::sret);
    const Running vm = translated(p);
    CHECK(vm.state().x[s3] == (kInterruptBit | 1));
    CHECK(vm.state().x[s2] == 1);
    CHECK(vm.vm->exits() < 40); // not one for each of the hundred
}

TEST_CASE("blocks are linked: a loop over several needs the VMM once for each way") {
    Program p = loop(1000, [](Program& q) {
        q.op(Op::andi, {t0, s0, 0, 1}).op(Op::beq, {0, t0, 0, 12}).op(Op::addi, {s1, s1, 0, 1}).op(Op::jal, {0, 0, 0, 8}).op(Op::addi, {s2, s2, 0, 1});
        q.op(Op::jal, {ra, 0, 0, 8}).op(Op::jal, {0, 0, 0, 8}).op(Op::jalr, {0, ra}); // a call and its return
    });
    const Running vm = translated(p);
    CHECK(vm.state().x[s1] == 500);
    CHECK(vm.state().x[s2] == 500);
    const auto& counts = vm.vm->translations().counts;
    CHECK(counts.chained >= 4);
    CHECK(counts.chained == vm.vm->exits(ExitReason::Dispatch));
    CHECK(vm.vm->exits(ExitReason::Dispatch) < 20);
    CHECK(vm.vm->exits(ExitReason::IndirectMiss) < 4);
    CHECK(counts.invalidated == 0);
}

TEST_CASE("indirect jumps keep their registers, whichever they name") {
    Program p;
    p.csrw(Csr::mtvec, kHandler, t0);
    for (unsigned rd : {0u, ra, t0, t3, 29u, 30u, 31u}) {
        for (unsigned rs : {ra, t3, 29u, 30u, 31u}) {
            p.li(s0, 3);
            const u64 begin = p.here();
            p.op(Op::auipc, {rs}).op(Op::addi, {30, 0, 0, 7}).op(Op::auipc, {rs}).op(Op::jalr, {rd, rs, 0, 17}); // bit 0 is cleared
            p.op(Op::addi, {s1, s1, 0, 1}).op(Op::slli, {s2, s2, 0, 1}).op(Op::xor_, {s2, s2, rd}).op(Op::xor_, {s2, s2, 30});
            p.op(Op::addi, {s0, s0, 0, -1}).op(Op::bne, {0, s0, 0, static_cast<i64>(begin - p.here())});
        }
    }
    if (p.here() < kHandler) p.at(kHandler);
    p.finish();
    const Running vm = translated(p);
    CHECK(vm.state().x[s1] == 0);
    CHECK(vm.state().x[s2] != 0);
}

TEST_CASE("code that the guest overwrites is translated anew, with a fence.i and without") {
    for (const bool fences : {true, false}) {
        const u32 one = encode(Op::addi, {s1, s1, 0, 1}), ten = encode(Op::addi, {s1, s1, 0, 10});
        Program p;
        p.csrw(Csr::mtvec, kHandler, t0).li(s0, 6).li(a3, one).li(a4, ten).li(a6, kRamBase + 0x600);
        const u64 begin = p.here();
        p.op(Op::sw, {0, a6, a3}).op(fences ? Op::fence_i : Op::addi).op(Op::jalr, {ra, a6});
        p.op(Op::sw, {0, a6, a4}).op(fences ? Op::fence_i : Op::addi).op(Op::jalr, {ra, a6});
        p.op(Op::addi, {s0, s0, 0, -1}).op(Op::bne, {0, s0, 0, static_cast<i64>(begin - p.here())}).finish();
        p.at(kHandler).finish().at(kRamBase + 0x600).op(Op::addi).op(Op::jalr, {0, ra});
        const Running vm = translated(p);
        CHECK(vm.state().x[s1] == 66);
        CHECK(vm.vm->translations().counts.invalidated >= 11);
        CHECK(vm.machine.trace.count(EventKind::CodeInvalidated) >= 11);
    }
}

TEST_CASE("code that changes the very instructions after it is seen to do so") {
    Program p;
    p.csrw(Csr::mtvec, kHandler, t0).li(s0, 4).li(a3, encode(Op::addi, {s1, s1, 0, 1}));
    const u64 begin = p.here();
    p.op(Op::auipc, {a4}).op(Op::sw, {0, a4, a3, 12}).op(Op::addi, {a3, a3}).op(Op::addi); // the last one is overwritten
    p.li(t0, 0x100000).op(Op::add, {a3, a3, t0});                                        // adds one more each time
    p.op(Op::addi, {s0, s0, 0, -1}).op(Op::bne, {0, s0, 0, static_cast<i64>(begin - p.here())}).finish().at(kHandler).finish();
    const Running vm = translated(p);
    CHECK(vm.state().x[s1] == 1 + 2 + 3 + 4);
    CHECK(vm.vm->exits(ExitReason::CodeWrite) + vm.vm->exits(ExitReason::CallOut) >= 4);
}

TEST_CASE("a page that is mapped elsewhere is translated anew after the fence, and both translations stay right") {
    constexpr u64 kTables = kRamBase + 0x20'0000, kLow = kTables + 0x2000, kFirst = kRamBase + 0x30'0000, kSecond = kRamBase + 0x30'1000;
    constexpr u64 kMapped = kRamBase + 0x5000, kSupervisor = kRamBase + 0x800, kLeaf = pte::V | pte::R | pte::W | pte::X | pte::A | pte::D;
    Program p;
    p.open_pmp().csrw(Csr::mtvec, kHandler, t0).poke(kTables + 8 * 2, (kTables + 0x1000) >> 2 | pte::V).poke(kTables + 0x1000, kLow >> 2 | pte::V);
    for (u64 page = 0; page < 4; ++page) p.poke(kLow + 8 * page, (kRamBase + page * kPageSize) >> 2 | kLeaf);
    p.poke(kTables + 0x1000 + 8, (kRamBase + 0x20'0000) >> 2 | kLeaf); // the tables themselves
    p.poke(kFirst, encode(Op::addi, {s1, s1, 0, 1}) | u64{encode(Op::jalr, {0, ra})} << 32);
    p.poke(kSecond, encode(Op::addi, {s1, s1, 0, 100}) | u64{encode(Op::jalr, {0, ra})} << 32);
    p.csrw(Csr::satp, satp::kSv39 << 60 | kTables >> kPageShift, t0).mret_to(Priv::S, kSupervisor);
    REQUIRE(p.here() <= kHandler);
    p.at(kHandler).csrr(a0, Csr::mcause).finish();
    p.at(kSupervisor).li(s0, 5).li(a3, kLow + 8 * 5).li(a4, kFirst >> 2 | kLeaf).li(a5, kSecond >> 2 | kLeaf).li(a6, kMapped);
    const u64 begin = p.here();
    for (unsigned entry : {a4, a5}) p.op(Op::sd, {0, a3, entry}).op(Op::sfence_vma, {0, a6}).op(Op::jalr, {ra, a6});
    p.op(Op::sd, {0, a3, a4}).op(Op::sfence_vma).op(Op::jalr, {ra, a6});
    p.op(Op::addi, {s0, s0, 0, -1}).op(Op::bne, {0, s0, 0, static_cast<i64>(begin - p.here())}).op(Op::ecall);
    const Running vm = translated(p);
    CHECK(vm.state().x[s1] == 5 * 102);
}

TEST_CASE("an access that keeps reaching a device becomes a call-out, and plain again when it reaches memory") {
    Program p;
    p.csrw(Csr::mtvec, kHandler, t0).li(a3, kUartBase).li(a4, 'x').li(a5, kData).li(s0, 100);
    const u64 begin = p.here();
    p.op(Op::sb, {0, a3, a4}).op(Op::addi, {s0, s0, 0, -1}).op(Op::bne, {0, s0, 0, static_cast<i64>(begin - p.here())});
    p.op(Op::bne, {0, s1, 0, 20}).li(s1, 1).op(Op::addi, {a3, a5}).li(s0, 500).jump(begin); // once more, to memory
    p.finish().at(kHandler).csrr(a0, Csr::mcause).finish();
    Running vm = translated(p);
    CHECK(vm.board().take_output() == std::string(100, 'x'));
    CHECK(vm.vm->translations().counts.adapted == 2);
    CHECK(vm.vm->exits(ExitReason::Mmio) < 10);
    CHECK(vm.vm->exits(ExitReason::CallOut) > 90);
    CHECK(vm.vm->exits(ExitReason::CallOut) < 140); // not for the 500 stores to memory
}

TEST_CASE("a fault in translated code has the guest's pc, and finds the guest's registers") {
    for (const Op op : {Op::ld, Op::sd, Op::amoadd_d, Op::lr_d}) {
        Program p;
        p.csrw(Csr::mtvec, kHandler, t0);
        for (unsigned i = 1; i < 32; ++i) p.li(i, i * 0x1234'5678'9abcull);
        p.li(s0, 0x4000'0000).csrw(Csr::mscratch, t6).op(Op::csrrw, {t6, t6, 0, static_cast<i64>(Csr::mscratch)}); // nothing is there
        const u64 at = p.here();
        p.op(op, {a3, s0, a3}).finish();
        p.at(kHandler).csrw(Csr::sscratch, t0).csrr(t0, Csr::mcause).op(Op::sd, {0, sp, t0}); // faults again: sp points nowhere
        const u64 again = p.here() - 4;
        Running running = Running::start(Mode::Translate, p.bytes()), bare = Running::start(Mode::Bare, p.bytes());
        Watch watch;
        watch.pcs = {again};
        REQUIRE(running.vm->run(running.machine, 10'000, Until::Budget, watch).kind == VmmStopKind::Breakpoint);
        REQUIRE(bare.machine.run(10'000, watch).kind == StopKind::Breakpoint);
        CHECK(running.state()[Csr::mepc] == at);
        HartState state = running.state();
        state.retired = bare.state().retired;
        CHECK(difference(bare.state(), state) == "");
    }
}

TEST_CASE("what a guest does to addresses in the window is what its own tables say") {
    for (const u64 address : {vmm::window::kBegin, vmm::window::kBegin + 0x40, vmm::window::kHash - 8}) {
        for (const Op op : {Op::ld, Op::sd, Op::jalr}) {
            Program p;
            p.csrw(Csr::mtvec, kHandler, t0).li(a3, address).op(op, {a4, a3, a4}).finish();
            p.at(kHandler).csrr(a0, Csr::mcause).csrr(a1, Csr::mtval).csrr(a2, Csr::mepc).finish();
            const Running vm = translated(p);
            CHECK(vm.state().x[a1] == address);
        }
    }
    // An address that needs no register is known when it is translated.
    Program p;
    p.csrw(Csr::mtvec, kHandler, t0).op(Op::ld, {a4, 0, 0, -1000}).finish().at(kHandler).csrr(a0, Csr::mcause).csrr(a1, Csr::mtval).finish();
    CHECK(translated(p).state().x[a1] == ~u64{999});
}

TEST_CASE("a guest maps the window's addresses and finds its own memory there") {
    constexpr u64 kTables = kRamBase + 0x20'0000, kSupervisor = kRamBase + 0x800, kLeaf = pte::V | pte::R | pte::W | pte::X | pte::A | pte::D;
    Program p;
    p.open_pmp().csrw(Csr::mtvec, kHandler, t0).poke(kTables + 8 * 2, kRamBase >> 2 | kLeaf).poke(kTables + 8 * 511, (kTables + 0x1000) >> 2 | pte::V);
    p.poke(kTables + 0x1000 + 8 * 511, (kRamBase + 0x40'0000) >> 2 | kLeaf);
    p.csrw(Csr::satp, satp::kSv39 << 60 | kTables >> kPageShift, t0).mret_to(Priv::S, kSupervisor);
    p.at(kHandler).csrr(a0, Csr::mcause).finish();
    p.at(kSupervisor).li(a3, vmm::window::kBegin + 0x100).li(a4, 0x1122334455667788).op(Op::sd, {0, a3, a4}).op(Op::ld, {a5, a3}).op(Op::amoadd_d, {a6, a3, a4});
    p.li(t0, encode(Op::addi, {s1, s1, 0, 1}) | u64{encode(Op::jalr, {0, ra})} << 32).op(Op::sd, {0, a3, t0, 8}).op(Op::jalr, {ra, a3, 0, 8}).op(Op::ecall);
    Running vm = translated(p);
    CHECK(vm.state().x[a5] == 0x1122334455667788);
    CHECK(vm.state().x[s1] == 1);
    CHECK(vm.peek(kRamBase + 0x40'0100) == 2 * 0x1122334455667788);
}

TEST_CASE("the debugger's watches are the guest's in translated code") {
    const Program p = loop(20, [](Program& q) { q.li(a3, kData).op(Op::sd, {0, a3, s0}).op(Op::auipc, {a4}).op(Op::csrrw, {a5, a5, 0, static_cast<i64>(Csr::mscratch)}); });
    const auto stops = [&](Mode mode, const Watch& watch) {
        Running running = Running::start(mode, p.bytes());
        std::vector<std::pair<u64, u64>> at;
        while (running.vm->run(running.machine, 100'000, Until::Budget, watch).kind == VmmStopKind::Breakpoint)
            at.emplace_back(running.state().pc, running.state().x[s0]);
        CHECK(running.board().halt);
        at.erase(std::unique(at.begin(), at.end()), at.end()); // an instruction that faults for the VMM is met once more
        return at;
    };
    Watch watches[4];
    for (u64 pc = kRamBase; pc < kRamBase + 0x60; pc += 4) watches[0].pcs.push_back(pc);
    watches[1].csr_writes = {static_cast<u16>(Csr::mscratch)};
    watches[2].data = {{kData, kData + 8, false, true}};
    watches[3].pcs = {kRamBase + 0x20};
    for (const Watch& watch : watches) {
        const auto translated_stops = stops(Mode::Translate, watch);
        CHECK(translated_stops.size() >= 20);
        CHECK(translated_stops == stops(Mode::Interpret, watch));
    }
}

TEST_CASE("a cache that is full is dropped, and the guest goes on") {
    constexpr u64 kInstructions = 600'000;
    Program p;
    for (u64 i = 0; i < kInstructions; ++i) p.op(Op::addi, {s1, s1, 0, 1});
    p.finish();
    Running running = Running::start(Mode::Translate, p.bytes());
    running.run(3'000'000);
    REQUIRE(running.board().halt);
    CHECK(running.state().x[s1] == kInstructions);
    CHECK(running.vm->translations().counts.emptied == 1);
    CHECK(running.vm->translations().bytes_used() <= vmm::window::kCodePages * kPageSize);
}

TEST_CASE("translated programs with loops, calls and tables end as interpreted ones") {
    for (u64 seed = 1; seed <= 60; ++seed) {
        CAPTURE(seed);
        std::mt19937_64 random(seed);
        const auto below = [&](u64 n) { return random() % n; };
        static constexpr Op kPlain[] = {Op::add, Op::sub, Op::xor_, Op::mul, Op::sltu, Op::addw, Op::sra, Op::or_};
        static constexpr unsigned kFree[] = {t1, t2, a0, a1, a2, a3, a4, a5, t3, 29, 30, 31};
        const auto any = [&] { return kFree[below(std::size(kFree))]; };
        const auto work = [&](Program& q) {
            for (u64 n = 1 + below(6); n > 0; --n) {
                switch (below(8)) {
                case 0: q.op(Op::sd, {0, s1, any(), static_cast<i64>(8 * below(32))}); break;
                case 1: q.op(Op::ld, {any(), s1, 0, static_cast<i64>(8 * below(32))}); break;
                case 2: q.op(Op::auipc, {any()}); break;
                case 3: q.op(Op::csrrw, {any(), any(), 0, static_cast<i64>(below(2) ? Csr::mscratch : Csr::sepc)}); break;
                case 4: q.op(Op::csrrs, {any(), 0, 0, static_cast<i64>(below(2) ? Csr::mscratch : Csr::mtvec)}); break;
                default: q.op(kPlain[below(std::size(kPlain))], {any(), any(), any()});
                }
            }
        };
        Program p;
        p.csrw(Csr::mtvec, kHandler, t0).li(s1, kData).jump(kRamBase + 0x800);
        p.at(kHandler).finish().at(kRamBase + 0x500); // two functions
        work(p), p.op(Op::jalr, {0, ra});
        p.at(kRamBase + 0x600);
        work(p), p.op(Op::jalr, {0, ra}).at(kRamBase + 0x800);
        for (unsigned round = 0; round < 6; ++round) {
            p.li(s0, 2 + below(9));
            const u64 begin = p.here();
            work(p);
            p.op(Op::andi, {t0, s0, 0, 1}).op(Op::slli, {t0, t0, 0, 8}).li(s2, kRamBase + 0x500).op(Op::add, {s2, s2, t0}).op(Op::jalr, {ra, s2});
            p.op(below(2) ? Op::blt : Op::bgeu, {0, any(), any(), 8}).op(Op::addi, {any(), any(), 0, static_cast<i64>(below(100))});
            work(p);
            p.op(Op::addi, {s0, s0, 0, -1}).op(Op::bne, {0, s0, 0, static_cast<i64>(begin - p.here())});
        }
        p.finish();
        run_everywhere(p);
    }
}
