// Shadow paging: the tables that the real hart walks while a guest runs. They lie in the machine's RAM, in pages that only the VMM has,
// and map what the guest's own tables map, but to where the guest's memory really is. Entries appear when the guest first touches a
// page (a fault fills in one) and vanish when the guest says that its tables changed: the policy "virtual TLB", which the
// architecture allows because a TLB may remember just as much (Privileged specification, section 10.2.1).
//
// One root belongs to one view of memory: what the guest's privilege, SUM, MXR and satp let it touch. Every entry is a 4 KiB leaf with
// U=1, because the guest really runs in U-mode; bits 9:8, which hardware ignores, keep the size of the guest's own page.
// A value: holds page numbers, never pointers.
#pragma once

#include "emulator/base/types.hpp"
#include "emulator/cpu/trap.hpp"
#include "emulator/mem/ram.hpp"

#include <utility>
#include <vector>

namespace trapeze::vmm {

/// The view of memory that a root serves.
struct ShadowKey {
    Priv priv = Priv::M;  ///< virtual privilege
    bool sum = false, mxr = false;
    bool replay = false;  ///< data accesses must not succeed on the hart: mstatus.MPRV is in force
    u64 satp = 0;         ///< the guest's; 0: no translation
    u64 window = 0;       ///< RAM page of the table that maps the last 2 MiB, which are the VMM's own here; 0: they are the guest's
    bool operator==(const ShadowKey&) const = default;
};

class ShadowTables {
  public:
    static constexpr std::size_t kMaxRoots = 16;
    static constexpr u64 kFewestPages = 64; ///< enough for any one instruction to make progress

    ShadowTables() = default;
    /// Uses `pages` pages of RAM from page number `first_page` on. Pre: first_page > 0, pages >= kFewestPages, all inside the RAM.
    ShadowTables(u64 first_page, u64 pages) : first_page_(first_page), pages_(pages) {}

    /// The real satp value that selects this view's root; makes an empty root when there is none, at the cost of the one
    /// that was not used for longest.
    u64 select(Ram& ram, const ShadowKey& key);
    /// Maps one 4 KiB page in this view. `permissions`: pte::R, W, X. `guest_level`: 0, 1, 2 for a guest page of 4 KiB, 2 MiB, 1 GiB.
    /// When no page is left for tables, everything is dropped first.
    void install(Ram& ram, const ShadowKey& key, u64 va, HostPhys page, u64 permissions, unsigned guest_level);

    /// Forgets all views with translation; returns how many roots there were.
    unsigned drop_translated();
    unsigned drop_all();
    /// Forgets what is remembered of the guest page that holds `va`, as large as that page is. Returns the entries cleared.
    unsigned drop_address(Ram& ram, u64 va);

    /// Forgets [va, va + bytes) of one view; both are multiples of a page, and va may be cut to 39 bits. Returns the entries cleared.
    unsigned drop_range(Ram& ram, const ShadowKey& key, u64 va, u64 bytes);

    /// Takes the right to store to a page of the machine's from every view.
    void write_protect(Ram& ram, HostPhys page);
    /// Views with a window have nothing of the guest's from here on.
    static constexpr u64 kWindow = ~u64{0} - (u64{2} << 20) + 1;

    /// True once after anything was dropped: the hart's TLB must follow.
    bool take_dropped() { return std::exchange(dropped_, false); }
    /// True once after everything was dropped because no page was left.
    bool take_exhausted() { return std::exchange(exhausted_, false); }
    u64 pages_used() const { return used_; }
    std::size_t roots() const { return roots_.size(); }
    bool operator==(const ShadowTables&) const = default;
    /// Saves or loads; the pages themselves are in the RAM. Loading fails for tables of another place or size.
    void state(StateArchive& archive);

  private:
    struct Root {
        ShadowKey key;
        u64 page = 0;
        u64 last_used = 0;
        unsigned largest_level = 0; ///< largest guest page filled in
        std::vector<u64> tables;    ///< pages of the lower levels
        bool operator==(const Root&) const = default;
    };
    Root& root_of(Ram& ram, const ShadowKey& key);
    bool open_window(Ram& ram, Root& root);
    u64 allocate(Ram& ram); ///< page number; 0: none left
    void release(Root& root);
    void drop(std::size_t index);

    u64 first_page_ = 0, pages_ = 0;
    u64 fresh_ = 0; ///< pages never used so far begin here, counted from first_page_
    u64 used_ = 0;
    u64 clock_ = 0;
    std::vector<u64> free_;
    std::vector<Root> roots_;
    bool dropped_ = false, exhausted_ = false;
};

} // namespace trapeze::vmm
