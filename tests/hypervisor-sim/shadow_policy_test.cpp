// The two shadow policies, and exit clustering: what each exits for, and what it spares.
#include "tests/hypervisor-sim/guest_program.hpp"

#include <algorithm>

using namespace trapeze;
using namespace trapeze::test;
using vmm::ExitReason;
using vmm::Mode;
using vmm::ShadowPolicy;

namespace {

constexpr u64 kTables = kRamBase + 0x20'0000, kLeaf = kTables + 0x2000, kPage = kRamBase + 0x10'0000, kVirtual = 0x4000'0000;
constexpr u64 kKernel = pte::V | pte::R | pte::W | pte::X | pte::A | pte::D;
constexpr u64 kSupervisor = kRamBase + 0x4000;

/// A guest kernel with a page mapped at kVirtual; `body` runs in S-mode under its own table.
Program guest(void (*body)(Program&)) {
    Program p;
    p.open_pmp().csrw(Csr::menvcfg, menvcfg::ADUE, t0);
    p.poke(kTables, kKernel).poke(kTables + 16, kRamBase >> 2 | kKernel).poke(kTables + 8, (kTables + 0x1000) >> 2 | pte::V);
    p.poke(kTables + 0x1000, kLeaf >> 2 | pte::V).poke(kLeaf, kPage >> 2 | kKernel);
    p.poke(kPage, 11).poke(kPage + kPageSize, 22);
    p.csrw(Csr::satp, satp::kSv39 << 60 | kTables >> kPageShift, t0).mret_to(Priv::S, kSupervisor);
    p.at(kSupervisor);
    body(p);
    p.finish();
    return p;
}

/// Remaps the page at kVirtual `times` times, and reads it after each; a5 adds up what it reads.
void remap(Program& p, unsigned times, bool fence) {
    p.li(s2, kVirtual).op(Op::ld, {t2, s2});
    for (unsigned i = 0; i < times; ++i) {
        p.poke(kLeaf, (kPage + (i + 1) % 2 * kPageSize) >> 2 | kKernel);
        if (fence) p.op(Op::sfence_vma, {0, s2, 0});
        p.op(Op::ld, {t2, s2}).op(Op::add, {a5, a5, t2});
    }
}

Running run_to_end(const Program& program, void (*change)(vmm::VmConfig&) = nullptr) {
    Running running = Running::start(Mode::TrapAndEmulate, program.bytes(), false, change);
    running.run(200'000);
    REQUIRE(running.board().halt);
    return running;
}

void synced(vmm::VmConfig& config) { config.switches.shadow_policy = ShadowPolicy::WriteProtect; }

} // namespace

TEST_CASE("under write-protect a write of a table exits and takes effect at once; under virtual TLB it exits at the fence") {
    const Program p = guest([](Program& q) { remap(q, 4, true); });
    const Running lazy = run_to_end(p), eager = run_to_end(p, synced);
    CHECK(lazy.state().x[a5] == 22 + 11 + 22 + 11);
    CHECK(eager.state().x[a5] == lazy.state().x[a5]);
    CHECK(lazy.vm->exits(ExitReason::TableWrite) == 0);
    CHECK(eager.vm->exits(ExitReason::TableWrite) == 4);
    CHECK(lazy.vm->exits(ExitReason::Fence) == 4); // the instruction traps under both
    CHECK(eager.vm->exits(ExitReason::Fence) == 4);
    CHECK(eager.vm->tracker().tables() == 3);
    const auto count = [](const Running& vm, vmm::StepKind kind) {
        u64 n = 0;
        for (const auto& exit : vm.vm->ledger())
            n += static_cast<u64>(std::count_if(exit.steps.begin(), exit.steps.end(), [&](const vmm::DossierStep& step) { return step.kind == kind; }));
        return n;
    };
    CHECK(count(eager, vmm::StepKind::Sync) == 4);
    CHECK(count(eager, vmm::StepKind::InSync) == 4);
    CHECK(count(lazy, vmm::StepKind::FlushAddress) == 4);
}

TEST_CASE("under write-protect the guest sees a changed mapping without a fence, as it may") {
    const Program p = guest([](Program& q) { remap(q, 3, false); });
    CHECK(run_to_end(p, synced).state().x[a5] == 22 + 11 + 22);
    CHECK(run_to_end(p).state().x[a5] == 11 + 11 + 11); // a TLB may remember
}

TEST_CASE("a table that is written again and again without being walked is let go of") {
    const Program p = guest([](Program& q) {
        q.li(s2, kVirtual).op(Op::ld, {t2, s2}).li(t0, kLeaf + 0x800).li(t1, 500);
        const u64 loop = q.here();
        q.op(Op::sd, {0, t0, t1}).op(Op::addi, {t1, t1, 0, -1}).op(Op::bne, {0, t1, 0, static_cast<i64>(loop - q.here())});
        q.op(Op::ld, {a5, s2});
    });
    const Running vm = run_to_end(p, synced);
    CHECK(vm.state().x[a5] == 11);
    CHECK(vm.vm->exits(ExitReason::TableWrite) == vmm::TableTracker::kFlood + 1);
}

TEST_CASE("a table that a device writes is noticed") {
    const Program p = guest([](Program& q) {
        q.li(s2, kVirtual).op(Op::ld, {t2, s2}).li(a4, 1);
        const u64 loop = q.here();
        q.op(Op::ld, {a5, s2}).op(Op::csrrs, {0, 0, 0, static_cast<i64>(Csr::sscratch)}).op(Op::beq, {0, a5, t2, static_cast<i64>(loop - q.here())});
    });
    Running running = Running::start(Mode::TrapAndEmulate, p.bytes(), false, synced);
    running.run(20'000);
    REQUIRE(!running.board().halt);
    Bus bus = running.bus();
    REQUIRE(bus.ram.write_value(bus.ram_offset(kLeaf), (kPage + kPageSize) >> 2 | kKernel)); // as a disk's transfer does
    running.run(20'000);
    REQUIRE(running.board().halt);
    CHECK(running.state().x[a5] == 22);
}

TEST_CASE("a pair of trapping instructions emulated in one exit spares the other exit") {
    const Program q = guest([](Program& body) {
        body.li(sp, kPage);
        for (unsigned i = 0; i < 10; ++i) body.csrw(Csr::sscratch, i, t0).csrr(t1, Csr::sscratch).op(Op::add, {a5, a5, t1}).op(Op::ld, {t2, sp});
    });
    const Running single = run_to_end(q), clustered = run_to_end(q, [](vmm::VmConfig& c) { c.switches.clustering = true; });
    CHECK(single.state().x[a5] == 45);
    CHECK(clustered.state().x[a5] == 45);
    CHECK(clustered.vm->clustered() >= 10);
    const auto trapped = [](const Running& vm) { return vm.vm->exits(ExitReason::CsrAccess) + vm.vm->exits(ExitReason::TrapReturn); };
    CHECK(trapped(single) - trapped(clustered) == clustered.vm->clustered());
    CHECK(clustered.machine.cycles() < single.machine.cycles());
}
