#include "hypervisor-sim/nested_paging.hpp"

#include "emulator/cpu/state.hpp"
#include "emulator/devices/board.hpp"
#include "emulator/mem/page_walk.hpp"

namespace trapeze::vmm {

namespace {

constexpr unsigned kRootIndexBits = 11, kIndexBits = 9;
constexpr u64 kVmidShift = 44;

u64 page_number(u64 ram_page) { return (kRamBase >> kPageShift) + ram_page; }
u64 ram_page_of(u64 entry) { return (pte::address(entry) >> kPageShift) - (kRamBase >> kPageShift); }
u64 index_at(u64 guest, unsigned level) {
    const unsigned shift = kPageShift + kIndexBits * level, width = level + 1 == GStageTables::kLevels ? kRootIndexBits : kIndexBits;
    return bits(guest, shift + width - 1, shift);
}
u64 entry_offset(u64 ram_page, u64 index) { return (ram_page << kPageShift) + index * sizeof(u64); }

} // namespace

const char* page_size_name(unsigned level) {
    static constexpr const char* kNames[] = {"4K", "2M", "1G"};
    return level < std::size(kNames) ? kNames[level] : "?";
}

GStageTables::GStageTables(u64 first_page, u64 pages) {
    root_ = (first_page + kRootPages - 1) & ~(kRootPages - 1);
    first_page_ = root_ + kRootPages;
    pages_ = pages - (first_page_ - first_page);
}

u64 GStageTables::hgatp(u64 vmid) const { return satp::kSv39 << 60 | vmid << kVmidShift | page_number(root_); }

u64 GStageTables::allocate(Ram& ram) {
    if (used_ >= pages_) return 0;
    const u64 page = first_page_ + used_++;
    ram.fill(page << kPageShift, kPageSize, 0);
    return page;
}

void GStageTables::drop_all(Ram& ram) {
    ram.fill(root_ << kPageShift, kRootPages << kPageShift, 0);
    used_ = 0;
    mapped_ = {};
    root_made_ = dropped_ = true;
}

bool GStageTables::map(Ram& ram, GuestPhys guest, HostPhys host, u64 permissions, unsigned level) {
    if (!root_made_) drop_all(ram);
    if (pages_ - used_ < kLevels) drop_all(ram);
    u64 table = root_;
    for (unsigned at = kLevels - 1;; --at) {
        const u64 offset = entry_offset(table, index_at(guest.value, at));
        u64 entry = 0;
        ram.read(offset, entry);
        if (at == level) {
            if (entry & pte::V && !pte::is_leaf(entry)) return false;
            if (entry & pte::V) dropped_ = true;
            else ++mapped_[level];
            // To the second stage every access is a user's, so U is set (section 15.5.1).
            ram.write_value(offset, host.value >> kPageShift << 10 | permissions | pte::V | pte::U | pte::A | pte::D);
            return true;
        }
        if (entry & pte::V && pte::is_leaf(entry)) { // a large page gives way to small ones
            --mapped_[at];
            dropped_ = true;
            entry = 0;
        }
        if (!(entry & pte::V)) {
            entry = page_number(allocate(ram)) << 10 | pte::V;
            ram.write_value(offset, entry);
        }
        table = ram_page_of(entry);
    }
}

} // namespace trapeze::vmm
