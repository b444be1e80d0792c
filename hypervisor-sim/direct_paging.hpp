// Direct paging, as Xen has it (Barham et al. 2003, section 3.3.3): the hart walks the guest's own page tables, so they hold machine
// addresses. That is safe because the guest cannot write them: every entry is checked here before the hart can see it.
//
// Each page of the guest has a type: a table of one level, writable, or neither, and a count of what uses it so. A page changes its type
// only when nothing uses it, so no page is ever both: a table that the guest could write would let it map anything. The types and counts
// lie in the VMM's own pages of the machine's RAM, so they are copied, saved and accounted with it.
//
// A page becomes a table when the guest pins it, and each table that its entries point to must be one before. Xen types a table at its
// first use instead; said explicitly, no request makes the VMM look at more than 512 entries. Only `start` follows pointers, once.
// Every leaf is a 4 KiB page with U=1: the guest's kernel runs in U-mode like its programs. What keeps a program out of the kernel is the
// root: an address space has two, and only the kernel's has the kernel's pages in it. So the VMM needs no table of its own.
#pragma once

#include "emulator/base/types.hpp"
#include "emulator/cpu/trap.hpp"
#include "emulator/devices/device.hpp"
#include "emulator/mem/ram.hpp"

#include <array>
#include <utility>

namespace trapeze::vmm {

enum class Refusal : u8 {
#define TABLE_REFUSAL(id, ...) id,
#include "hypervisor-sim/table_refusals.def"
    Count,
};
struct RefusalRow {
    i64 error; ///< SBI error code
    const char* sentence;
};
const RefusalRow& refusal_row(Refusal refusal);

/// Tables also say that no device may write them.
enum class PageType : u8 { None = 0, Writable = 1, Table0 = DmaMemory::kReadOnly, Table1, Table2 };

class DirectPaging {
  public:
    DirectPaging() = default;
    /// The guest has `pages` pages from RAM page `first` on; what is known of them is kept in page_info_pages(pages) pages from `info` on.
    DirectPaging(u64 info, u64 first, u64 pages) : info_(info), first_(first), pages_(pages) {}
    /// The last one of them stays empty: the root where there is none.
    static u64 info_pages(u64 pages) { return ((pages * (sizeof(u8) + sizeof(u32)) + kPageMask) >> kPageShift) + 1; }

    /// Checks the table at `root` and all that it leads to, and takes them as the guest's tables. A refusal leaves nothing typed.
    Refusal start(Ram& ram, HostPhys root);
    /// Back to no table at all.
    void forget(Ram& ram);
    Refusal write_entry(Ram& ram, HostPhys entry, u64 value);
    Refusal pin(Ram& ram, HostPhys table, u64 level);
    Refusal unpin(Ram& ram, HostPhys table);
    /// The roots of the address space that is entered from now on; `user` 0: there is none, and user mode faults.
    Refusal load(Ram& ram, HostPhys kernel, HostPhys user);
    /// The page is written by the VMM for the guest, so it must never become a table.
    Refusal hold_writable(Ram& ram, HostPhys page);

    /// The real satp value for the guest's kernel (S) or its programs (U). It always translates.
    u64 satp_for(Priv believed) const;
    PageType type(const Ram& ram, HostPhys page) const; ///< None outside the guest's memory
    u32 uses(const Ram& ram, HostPhys page) const;
    /// RAM offset of the pages' types, a byte each: what devices may not write (DmaMemory).
    u64 types_offset() const { return info_ << kPageShift; }
    u64 bytes() const { return info_pages(pages_) << kPageShift; }
    /// True once after the hart's TLB may hold what an entry no longer says.
    bool take_stale() { return std::exchange(stale_, false); }
    void set_stale() { stale_ = true; }
    /// Entries looked at since the last time this was asked.
    u64 take_checked() { return std::exchange(checked_, 0); }
    bool operator==(const DirectPaging&) const = default;
    void state(StateArchive& archive);

  private:
    bool owns(u64 page) const { return page - first_ < pages_; }
    PageType type_of(const Ram& ram, u64 page) const;
    u32 count_of(const Ram& ram, u64 page) const;
    void set(Ram& ram, u64 page, PageType type, u32 count) const;
    Refusal check(const Ram& ram, u64 entry, unsigned level) const;
    Refusal get(Ram& ram, u64 entry, unsigned level);
    void put(Ram& ram, u64 entry, unsigned level);
    Refusal fill(Ram& ram, u64 page, unsigned level);
    Refusal start_table(Ram& ram, u64 page, unsigned level);

    u64 info_ = 0, first_ = 0, pages_ = 0; ///< RAM page numbers
    std::array<u64, 2> roots_{};           ///< RAM pages: the kernel's, the programs' (0: none)
    bool stale_ = false;
    u64 checked_ = 0;
};

} // namespace trapeze::vmm
