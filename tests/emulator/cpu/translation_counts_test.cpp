// Walk references are exact: how many entries a hart reads for a TLB miss, in one stage and in two, for every depth and every page size on
// either axis; and that a hit reads none.
#include "emulator/machine.hpp"
#include "tests/hypervisor-sim/guest_program.hpp"

#include <doctest/doctest.h>

using namespace trapeze;
using namespace trapeze::test;

namespace {

constexpr u64 kLeaf = pte::V | pte::R | pte::W | pte::X | pte::U | pte::A | pte::D;
constexpr u64 kCode = kRamBase + 0x1000, kData = kRamBase + 0x3000, kTables = kRamBase + 0x40'0000;

u64 size_of(unsigned level) { return kPageSize << (9 * level); }

/// A hart in U-mode or VU-mode that translates addresses to themselves, with pages of the wanted size in each stage.
class Walker {
  public:
    Walker(unsigned levels, unsigned leaf, unsigned second_levels = 0, unsigned second_leaf = 0) : machine_(make()) {
        Program program;
        program.op(Op::ld, {t0, t1}).op(Op::ld, {t0, t1}).op(Op::ld, {t0, t1}).op(Op::jal);
        const auto words = program.bytes();
        machine_.ram.write(kCode - kRamBase, words);
        Hart& hart = machine_.hart();
        Bus bus = machine_.bus();
        hart.reset(kCode);
        hart.write_csr(Csr::pmpaddr0, ~u64{0}, bus), hart.write_csr(Csr::pmpcfg0, 0x1f, bus);
        const u64 first = make_root(levels, 1);
        map(first, levels, 9, kCode, leaf), map(first, levels, 9, kData, leaf);
        if (second_levels) {
            const u64 end = next_, second = make_root(second_levels, 4); // the first stage's tables are guest memory, too
            for (u64 page = kTables; page < end; page += kPageSize) map(second, second_levels, 11, page, second_leaf);
            map(second, second_levels, 11, kCode, second_leaf), map(second, second_levels, 11, kData, second_leaf);
            hart.write_csr(Csr::hgatp, second, bus), hart.write_csr(Csr::vsatp, first, bus);
        } else {
            hart.write_csr(Csr::satp, first, bus);
        }
        hart.state.priv = Priv::U, hart.state.virt = second_levels != 0;
        hart.state.x[t1] = kData;
        hart.translations = {};
    }
    /// What `instructions` loads from the same page cost.
    TranslationCounts run(u64 instructions) {
        Hart& hart = machine_.hart();
        Bus bus = machine_.bus();
        const u64 before = hart.state.retired;
        const Stop stop = hart.run(bus, instructions);
        CHECK(stop.kind == StopKind::Budget);
        CHECK(hart.state.retired - before == instructions);
        return hart.translations;
    }
    void fence() { machine_.hart().flush_translations(); }

  private:
    static Machine make() {
        MachineConfig config;
        config.builtin_firmware = false;
        auto machine = Machine::create(config);
        REQUIRE(machine);
        return std::move(*machine);
    }
    u64 allocate(u64 pages) {
        const u64 at = next_ = (next_ + pages * kPageSize - 1) & ~(pages * kPageSize - 1);
        next_ += pages * kPageSize;
        return at;
    }
    u64 make_root(unsigned levels, u64 pages) { return u64{levels + 5} << 60 | allocate(pages) >> kPageShift; }
    void map(u64 selector, unsigned levels, unsigned root_bits, u64 address, unsigned leaf) {
        u64 table = satp::root(selector);
        for (unsigned level = levels - 1;; --level) {
            const unsigned shift = kPageShift + 9 * level, width = level + 1 == levels ? root_bits : 9;
            const u64 offset = table - kRamBase + bits(address, shift + width - 1, shift) * 8;
            if (level == leaf) {
                machine_.ram.write_value(offset, (address & ~(size_of(leaf) - 1)) >> 2 | kLeaf);
                return;
            }
            u64 entry = 0;
            machine_.ram.read(offset, entry);
            if (!(entry & pte::V)) machine_.ram.write_value(offset, entry = allocate(1) >> 2 | pte::V);
            table = pte::address(entry);
        }
    }
    Machine machine_;
    u64 next_ = kTables;
};

} // namespace

TEST_CASE("10.4: a TLB miss reads 3, 4 or 5 entries for Sv39, Sv48, Sv57, and one less for each level that a superpage spares") {
    for (const unsigned levels : {3u, 4u, 5u})
        for (unsigned leaf = 0; leaf < levels; ++leaf) {
            CAPTURE(levels);
            CAPTURE(leaf);
            const TranslationCounts counts = Walker(levels, leaf).run(3);
            CHECK(counts.walks == 2); // for the code, and for the data; the other loads hit
            CHECK(counts.entries == 2 * (levels - leaf));
            CHECK(counts.nested_walks == 0);
        }
}

TEST_CASE("15.5: a TLB miss in two stages reads 15, 24 or 35 entries for 4 KiB pages, and fewer with superpages on either axis") {
    for (const unsigned levels : {3u, 4u, 5u})
        for (const unsigned second_levels : {3u, 4u, 5u})
            for (unsigned leaf = 0; leaf < 3; ++leaf)
                for (unsigned second_leaf = 0; second_leaf < 3; ++second_leaf) {
                    CAPTURE(levels);
                    CAPTURE(second_levels);
                    CAPTURE(leaf);
                    CAPTURE(second_leaf);
                    const TranslationCounts counts = Walker(levels, leaf, second_levels, second_leaf).run(3);
                    CHECK(counts.nested_walks == 2);
                    CHECK(counts.nested_entries == 2 * ((levels - leaf + 1) * (second_levels - second_leaf + 1) - 1));
                    CHECK(counts.walks == 0);
                }
    CHECK(Walker(3, 0, 3, 0).run(3).nested_entries == 2 * 15);
    CHECK(Walker(4, 0, 4, 0).run(3).nested_entries == 2 * 24);
    CHECK(Walker(5, 0, 5, 0).run(3).nested_entries == 2 * 35);
}

TEST_CASE("A fence is counted, and what it forgot is walked again") {
    Walker walker(3, 0);
    CHECK(walker.run(1).walks == 2);
    CHECK(walker.run(1).walks == 2);
    walker.fence();
    const TranslationCounts counts = walker.run(1);
    CHECK(counts.walks == 4);
    CHECK(counts.entries == 4 * 3);
    CHECK(counts.flushes == 1);
}
