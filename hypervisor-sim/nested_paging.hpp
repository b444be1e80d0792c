// Nested paging: the G-stage tables of a hardware-assisted VM. The hart itself translates twice: the guest's own tables give a guest
// physical address, these give where that lies in the machine (Privileged specification, section 15.5). They lie in the machine's RAM, in
// pages that only the VMM has. Entries appear when the guest first touches a page, and stay: what the guest does to its own tables is no
// concern of theirs. A value: holds page numbers, never pointers.
#pragma once

#include "emulator/base/types.hpp"
#include "emulator/cpu/trap.hpp"
#include "emulator/mem/ram.hpp"

#include <array>
#include <utility>
#include <vector>

namespace trapeze::vmm {

class GStageTables {
  public:
    static constexpr unsigned kLevels = 3;        ///< Sv39x4
    static constexpr u64 kRootPages = 4;          ///< the root is 16 KiB, aligned to its size (section 15.5.1)
    static constexpr u64 kFewestPages = 16;

    GStageTables() = default;
    /// Uses `pages` pages of RAM from page number `first_page` on. Pre: pages >= kFewestPages, all inside the RAM.
    GStageTables(u64 first_page, u64 pages);

    /// The value of hgatp that selects these tables under this VMID.
    u64 hgatp(u64 vmid) const;
    /// Maps the page of `level` (0: 4 KiB, 1: 2 MiB, 2: 1 GiB) that holds `guest`; both addresses must be aligned to it. `permissions`:
    /// pte::R, W, X. False: a smaller mapping is already there, so the page cannot become a larger one.
    /// When no page is left for tables, everything is dropped first.
    bool map(Ram& ram, GuestPhys guest, HostPhys host, u64 permissions, unsigned level);
    void drop_all(Ram& ram);

    /// True once after anything was dropped: the hart's TLB must follow.
    bool take_dropped() { return std::exchange(dropped_, false); }
    u64 pages_used() const { return root_made_ ? kRootPages + used_ : 0; }
    /// Leaves of each level that are mapped now.
    const std::array<u64, kLevels>& mapped() const { return mapped_; }
    bool operator==(const GStageTables&) const = default;
    /// Saves or loads; the pages themselves are in the RAM. Loading fails for tables of another place or size.
    void state(StateArchive& archive);

  private:
    u64 allocate(Ram& ram); ///< page number; 0: none left

    u64 root_ = 0;             ///< page number of the first of its four
    u64 first_page_ = 0, pages_ = 0; ///< of the lower tables
    u64 used_ = 0;
    std::array<u64, kLevels> mapped_{};
    bool root_made_ = false, dropped_ = false;
};

/// The levels' page sizes as the command line names them: "4K", "2M", "1G".
const char* page_size_name(unsigned level);

} // namespace trapeze::vmm
