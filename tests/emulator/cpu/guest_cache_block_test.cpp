// Zicbom and Zicboz in guests (Unprivileged specification, cache-management operations): who may, and what their faults say.
#include "tests/emulator/cpu/guest_bench.hpp"

#include <doctest/doctest.h>

using namespace trapeze;

namespace {

struct BlockOperation {
    Op op;
    u64 field; ///< of xenvcfg
};
constexpr BlockOperation kOperations[] = {{Op::cbo_inval, envcfg::CBIE}, {Op::cbo_clean, envcfg::CBCFE}, {Op::cbo_flush, envcfg::CBCFE}, {Op::cbo_zero, envcfg::CBZE}};
constexpr u64 kAll = envcfg::CBIE | envcfg::CBCFE | envcfg::CBZE;

u32 on_a0(Op op) { return row(op).match | kA0 << 15; }
u64 environment(u64 field, bool open) { return open ? kAll : kAll & ~field; }

/// Opens everything, and gives the guest one gigabyte of the second stage with these flags. Code lies there too.
void open_with_second_stage(Bench& bench, u64 flags) {
    const u64 root = kRamBase + 0x10'0000;
    bench.machine.ram.write_value(root + 16 - kRamBase, kRamBase >> 2 | pte::V | pte::U | pte::A | flags);
    bench.write(Csr::hgatp, satp::kSv39 << 60 | root >> 12);
    bench.write(Csr::menvcfg, kAll), bench.write(Csr::henvcfg, kAll), bench.write(Csr::senvcfg, kAll);
}

} // namespace

TEST_CASE("Zicbom, Zicboz: to a guest, menvcfg makes them illegal, henvcfg and a user's senvcfg virtual instructions") {
    for (const auto& [op, field] : kOperations)
        for (PrivMode mode : {kModeVs, kModeVu, kModeS, kModeU})
            for (unsigned open = 0; open < 8; ++open) {
                Bench bench({}, mode);
                const bool machine = open & 1, hypervisor = open & 2, supervisor = open & 4, user = mode.priv == Priv::U;
                bench.write(Csr::menvcfg, environment(field, machine));
                bench.write(Csr::henvcfg, environment(field, hypervisor));
                bench.write(Csr::senvcfg, environment(field, supervisor));
                auto expected = kAllowed;
                if (!machine || (!mode.virt && user && !supervisor)) expected = kIllegal;
                else if (mode.virt && (!hypervisor || (user && !supervisor))) expected = kVirtual;
                CAPTURE(row(op).mnemonic);
                CAPTURE(mode_text(mode));
                CAPTURE(open);
                CHECK(bench.refused(op) == expected);
            }
}

TEST_CASE("Zicbom, Zicboz: a refused one goes to the hypervisor with its bits, and changes nothing") {
    Bench bench({on_a0(Op::cbo_zero)}, kModeVs);
    open_with_second_stage(bench, pte::R | pte::W | pte::X | pte::D);
    bench.write(Csr::henvcfg, kAll & ~envcfg::CBZE);
    bench.s.x[kA0] = kRamBase + 0x8000;
    bench.machine.ram.write_value(0x8000, u64{7});
    const Trap trap = bench.step().trap;
    CHECK(trap.is(Cause::VirtualInstruction));
    CHECK(bench.read(Csr::stval) == on_a0(Op::cbo_zero));
    CHECK((bench.read(Csr::hstatus) & hstatus::GVA) == 0);
    u64 kept = 0;
    bench.machine.ram.read(0x8000, kept);
    CHECK(kept == 7);
}

TEST_CASE("Zicbom, Zicboz: a guest-page fault is a store's, and names the address in the register") {
    for (const auto& [op, field] : kOperations) {
        CAPTURE(row(op).mnemonic);
        Bench bench({on_a0(op)}, kModeVs);
        open_with_second_stage(bench, pte::R | pte::X);
        const u64 missing = 0x4000'0000 + 64 + 44; // not mapped by the second stage
        bench.s.x[kA0] = missing;
        const Trap trap = bench.step().trap;
        CHECK(trap.is(Cause::StoreGuestPageFault));
        CHECK(bench.read(Csr::stval) == missing);
        CHECK(bench.read(Csr::htval) == missing >> 2);
        CHECK((bench.read(Csr::hstatus) & hstatus::GVA) != 0);
        // The transformed instruction: the operation and funct3, without registers; the fault has no distance from the address.
        CHECK(bench.read(Csr::htinst) == (on_a0(op) & ~(0x1fu << 15)));
    }
}

TEST_CASE("Zicbom: a guest may manage blocks that it may read; cbo.zero needs to write them") {
    for (const auto& [op, field] : kOperations) {
        CAPTURE(row(op).mnemonic);
        Bench bench({on_a0(op)}, kModeVs);
        open_with_second_stage(bench, pte::R | pte::X);
        bench.s.x[kA0] = kRamBase + 0x8007;
        const Hart::StepResult result = bench.step();
        CHECK(result.trapped == (op == Op::cbo_zero));
        if (result.trapped) CHECK(result.trap.is(Cause::StoreGuestPageFault));
        if (result.trapped) CHECK(bench.read(Csr::htval) == (kRamBase + 0x8007) >> 2);
    }
}

TEST_CASE("Zicboz: cbo.zero of a guest clears the block where the second stage has it") {
    Bench bench({on_a0(Op::cbo_zero)}, kModeVs);
    open_with_second_stage(bench, pte::R | pte::W | pte::X | pte::D);
    for (u64 at = 0x8000; at < 0x8100; at += 8) bench.machine.ram.write_value(at, ~u64{0});
    bench.s.x[kA0] = kRamBase + 0x8040 + 13;
    REQUIRE_FALSE(bench.step().trapped);
    for (u64 at = 0x8000; at < 0x8100; at += 8) {
        u64 value = 0;
        bench.machine.ram.read(at, value);
        CHECK(value == (at >= 0x8040 && at < 0x8080 ? 0 : ~u64{0}));
    }
}
