// The shadow policy "write-protect and sync": the VMM remembers which pages of the guest hold page tables that shadow entries were made
// from, and takes the right to store to them away. A store there exits, is carried out, and what came from the changed entry is
// forgotten; so shadow tables never say anything old, and a fence has nothing left to do. (The other policy, "virtual TLB", lets the guest
// write and forgets at fences: shadow_paging.hpp.)
//
// What else writes a table, a virtual device or a debugger, is noticed by the page's version and costs all that came from the page.
// A page that is written again and again without being walked is no table any longer: it is let go of, as KVM does ("write flooding").
// A value: holds page numbers, never pointers.
#pragma once

#include "hypervisor-sim/shadow_paging.hpp"

#include <map>

namespace trapeze::vmm {

enum class ShadowPolicy : u8 { VirtualTlb, WriteProtect };
const char* shadow_policy_name(ShadowPolicy policy);

class TableTracker {
  public:
    static constexpr u64 kMostUses = 64;  ///< of one table; beyond it, the oldest are forgotten with what came from them
    static constexpr unsigned kFlood = 8; ///< stores to a table without a walk through it

    bool tracks(HostPhys address) const { return tables_.contains(address.value >> kPageShift); }
    /// An entry of this table, of this level, was read to fill in `va` for a view. True: the table is new, and to be write-protected.
    bool add(Ram& ram, ShadowTables& shadow, HostPhys table, const ShadowKey& key, unsigned level, u64 va);
    /// The guest has stored to the entry at this address: forgets what came from it. Returns the shadow entries cleared.
    unsigned stored(Ram& ram, ShadowTables& shadow, HostPhys entry);
    /// The VMM itself has changed bits of an entry that mean nothing to the shadow (accessed, dirty).
    void marked(Ram& ram, HostPhys entry);
    /// Looks for tables that were written behind the VMM's back, and forgets what came from them. Returns the shadow entries cleared.
    unsigned check(Ram& ram, ShadowTables& shadow);
    void clear() { tables_.clear(); }

    std::size_t tables() const { return tables_.size(); }
    bool operator==(const TableTracker&) const = default;
    /// Saves or loads; tables lie in these pages of the machine's address space. The pages' versions are looked at anew after loading.
    void state(StateArchive& archive, u64 first_page, u64 pages);

  private:
    struct Use {
        ShadowKey key;
        u64 va = 0;     ///< first address that the table decides about
        u8 level = 0;   ///< of its entries
        bool operator==(const Use&) const = default;
    };
    struct Table {
        u32 version = 0; ///< Ram::code_version when it was last looked at
        u32 stores = 0;  ///< since it was last walked
        std::vector<Use> uses;
        bool operator==(const Table&) const = default;
    };
    void watch(Ram& ram, u64 page, Table& table);
    void forget_below(const Use& use, u64 begin, u64 bytes);
    unsigned forget_table(Ram& ram, ShadowTables& shadow, const Table& table);

    std::map<u64, Table> tables_; ///< by page of the machine's address space
    u64 generation_ = 0;          ///< Ram::code_generation when all were last looked at
    bool loaded_ = false;         ///< from a file, which does not hold versions
};

} // namespace trapeze::vmm
