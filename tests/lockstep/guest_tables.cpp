#include "tests/lockstep/generator.hpp"

namespace trapeze::lockstep {

namespace {

/// Tables of any depth, in pages that follow each other.
class TableBuilder {
  public:
    /// A new root of one page, or of four that are aligned to their size: one of a second stage.
    u64 root(unsigned levels, bool second) {
        levels_ = levels, root_bits_ = second ? 11 : 9;
        while (second && entries_.size() / 512 % 4) page();
        root_ = page();
        for (unsigned i = 1; second && i < 4; ++i) page();
        return root_;
    }
    /// An entry of the newest root at a level; the pointers above it are made.
    void put(u64 address, unsigned level, u64 entry) {
        if (level >= levels_) return;
        u64 table = root_;
        for (unsigned at = levels_ - 1; at > level; --at) {
            u64& pointer = slot(table, address, at);
            if (!pointer) {
                const u64 fresh = page();
                slot(table, address, at) = fresh >> kPageShift << 10 | pte::V; // the pages may have moved
            }
            table = pte::address(slot(table, address, at));
        }
        slot(table, address, level) = entry;
    }
    std::size_t pages() const { return entries_.size() / 512; }
    Segment segment() const {
        Segment made{kGuestTables, {}};
        for (u64 entry : entries_)
            for (unsigned i = 0; i < 8; ++i) made.bytes.push_back(static_cast<u8>(entry >> (8 * i)));
        return made;
    }

  private:
    u64 page() {
        const u64 address = kGuestTables + entries_.size() * sizeof(u64);
        entries_.resize(entries_.size() + 512);
        return address;
    }
    u64& slot(u64 table, u64 address, unsigned level) {
        const unsigned shift = kPageShift + 9 * level, width = level + 1 == levels_ ? root_bits_ : 9;
        return entries_[(table - kGuestTables) / sizeof(u64) + bits(address, shift + width - 1, shift)];
    }

    std::vector<u64> entries_;
    u64 root_ = 0;
    unsigned levels_ = 3, root_bits_ = 9;
};

constexpr u64 leaf(u64 physical, u64 flags) { return physical >> kPageShift << 10 | flags; }
constexpr u64 kEverything = pte::V | pte::R | pte::W | pte::X | pte::A | pte::D;
constexpr std::size_t kMostTablePages = 64;

} // namespace

/// Two tables for a first stage and two for a second, each of three to five levels. Handlers are always mapped where they are, and so are most
/// pages of code; data is mapped to data, in pages and superpages, to where there is no memory, and beyond what the second stage can reach.
Segment Generator::guest_tables() {
    TableBuilder builder;
    first_stage_updates_ = random_.chance(40);
    const u64 always = first_stage_updates_ ? 0 : pte::A | pte::D;
    const auto code_pages = [&](auto flags) {
        for (u64 page = 0; page < 16; ++page) builder.put(kCode + page * kPageSize, 0, leaf(kCode + page * kPageSize, flags()));
    };
    for (unsigned table = 0; table < 2; ++table) {
        const unsigned levels = 3 + static_cast<unsigned>(random_.below(3));
        const u64 root = builder.root(levels, false);
        first_stages_.push_back((satp::kSv39 + levels - 3) << 60 | root >> kPageShift);
        const auto rights = [&] { return random_rights() | always; };
        const auto data = [&]() -> u64 {
            if (!first_stage_updates_ && random_.chance(10)) return random_.pick({kTooLarge, kNotCanonical, u64{0x9000'0000}});
            return (random_.chance(20) ? kSuperpageAddress : random_.chance(20) ? kGigapageAddress : kData) + random_.below(kDataPages) * kPageSize;
        };
        builder.put(kPrologue, 0, leaf(kPrologue, kEverything & ~pte::W));
        code_pages([&] { return random_.chance(70) ? rights() | pte::V | pte::R | pte::X : rights(); });
        for (u64 page = 0; page < kDataPages; ++page) builder.put(kData + page * kPageSize, 0, leaf(data(), rights()));
        builder.put(kSuperpageAddress, 1, leaf(random_.chance(50) ? kData : kSuperpageAddress, rights()) | (random_.chance(5) ? u64{1} << 10 : 0));
        builder.put(kGigapageAddress, 2, leaf(kPrologue, rights()) | (random_.chance(5) ? u64{1} << 18 : 0));
    }
    const auto always_in_second = first_stage_updates_ ? kEverything & ~(pte::A | pte::D) : 0;
    for (unsigned table = 0; table < 2; ++table) {
        const unsigned levels = 3 + static_cast<unsigned>(random_.below(3));
        const u64 root = builder.root(levels, true);
        second_stages_.push_back((satp::kSv39 + levels - 3) << 60 | root >> kPageShift);
        const auto rights = [&] {
            const u64 flags = random_rights() | always_in_second | (random_.chance(85) || first_stage_updates_ ? pte::U : 0);
            return first_stage_updates_ ? flags & ~pte::kReserved : flags;
        };
        builder.put(kPrologue, 0, leaf(kPrologue, kEverything | pte::U));
        code_pages([&] { return random_.chance(80) ? rights() | pte::V | pte::R | pte::X | pte::U : rights(); });
        for (u64 page = 0; page < kDataPages; ++page) builder.put(kData + page * kPageSize, 0, leaf(kData + random_.below(kDataPages) * kPageSize, rights()));
        builder.put(kSuperpageAddress, 1, leaf(kData, rights()) | (!first_stage_updates_ && random_.chance(5) ? u64{1} << 10 : 0));
        builder.put(kGigapageAddress, 2, leaf(kPrologue, rights()) | (!first_stage_updates_ && random_.chance(5) ? u64{1} << 18 : 0));
        const bool flawed = !first_stage_updates_ && random_.chance(30);
        for (u64 page = 0; page < kMostTablePages; ++page) {
            const u64 flags = flawed && random_.chance(5) ? rights() | pte::A | pte::D : kEverything | pte::U;
            builder.put(kGuestTables + page * kPageSize, 0, leaf(kGuestTables + page * kPageSize, flags));
        }
    }
    return builder.segment();
}

} // namespace trapeze::lockstep
