// Page tables in a map of entries, for tests of whoever walks them.
#pragma once

#include "emulator/mem/page_walk.hpp"

#include <unordered_map>
#include <vector>

namespace trapeze::testing {

class Tables {
  public:
    /// A register value that selects a new, empty table of this depth; `second`: a second stage's, whose root is four pages.
    u64 root(unsigned levels, bool second = false) { return u64{levels + 5} << 60 | (allocate(second ? 4 : 1) >> kPageShift); }
    /// Maps the page of `va` at `level` (0: 4 KiB) with the leaf's flags, making the tables on the way. `tables`: where those lie, root first.
    void map(u64 selector, unsigned levels, u64 va, u64 target, unsigned level, u64 flags, bool second = false, std::vector<u64>* tables = nullptr) {
        u64 table = satp::root(selector);
        for (unsigned at = levels - 1;; --at) {
            const unsigned shift = kPageShift + 9 * at, width = second && at + 1 == levels ? 11 : 9;
            if (tables) tables->push_back(table);
            u64& entry = entries_[table + bits(va, shift + width - 1, shift) * 8];
            if (at == level) return void(entry = target >> 2 | flags);
            if (!(entry & pte::V)) entry = allocate(1) >> 2 | pte::V;
            table = pte::address(entry);
        }
    }
    PageWalk walk(const Translation& t, u64 va, Access access) const {
        return walk_page_tables(t, va, access, [this](u64 address, u64& entry) {
            const auto known = entries_.find(address);
            return entry = known == entries_.end() ? 0 : known->second, true;
        });
    }
    /// An entry that lies elsewhere than where it says it is: a guest's table in host memory.
    void put(u64 address, u64 entry) { entries_[address] = entry; }
    const std::unordered_map<u64, u64>& entries() const { return entries_; }

  private:
    u64 allocate(u64 pages) {
        next_ = (next_ + 0x3fff) & ~u64{0x3fff}; // a second stage's root is aligned to its size
        const u64 at = next_;
        next_ += pages * kPageSize;
        return at;
    }
    std::unordered_map<u64, u64> entries_;
    u64 next_ = 0x10'0000;
};

/// A guest's tables under a second stage that maps guest physical memory kOffset higher.
class TwoStages {
  public:
    static constexpr u64 kOffset = u64{1} << 32;
    TwoStages(unsigned first, unsigned second, unsigned second_level = 0) : first_levels_(first), second_levels_(second), second_level_(second_level) {
        first_root_ = guest_.root(first);
        second_root_ = host_.root(second, true);
    }
    u64 host(u64 guest) const { return guest + kOffset; }
    void map(u64 va, u64 guest, unsigned level, u64 flags) {
        tables_.clear();
        guest_.map(first_root_, first_levels_, va, guest, level, flags, false, &tables_);
        constexpr u64 kAll = pte::V | pte::R | pte::W | pte::X | pte::U | pte::A | pte::D;
        for (u64 table : tables_) protect_guest(table, kAll);
        protect_guest(guest + (level ? va & ((u64{1} << (12 + 9 * level)) - 1) & ~kPageMask : 0), kAll);
        for (const auto& [address, entry] : guest_.entries()) host_.put(host(address), entry);
    }
    /// Where the guest believes the table of a level to be. Range: level < first stage's levels.
    u64 first_table_guest(unsigned level) const { return tables_[tables_.size() - 1 - level]; }
    void protect_guest(u64 guest, u64 flags) {
        const u64 size = u64{1} << (12 + 9 * second_level_);
        host_.map(second_root_, second_levels_, guest, host(guest) & ~(size - 1), second_level_, flags, true);
    }
    void unmap_guest(u64 guest) { protect_guest(guest, 0); }
    PageWalk walk(u64 va, Access access, bool execute_read = false) const {
        Translation t{first_root_, second_root_, {.priv = Priv::U, .execute_read = execute_read}, {.priv = Priv::U, .execute_read = execute_read}};
        return host_.walk(t, va, access);
    }

  private:
    unsigned first_levels_, second_levels_, second_level_;
    u64 first_root_ = 0, second_root_ = 0;
    std::vector<u64> tables_;
    Tables guest_, host_;
};

} // namespace trapeze::testing
