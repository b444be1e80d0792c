// Pages of files in the machine's memory. There is one of each page, for all who map the file, in whatever container. Files keep their bytes
// in the file system; a page that somebody may store to through a shared mapping is newer than that, and is looked at first: `stored_pages`.
#include "container-sim/page_tables.hpp"

#include <algorithm>
#include <array>

namespace trapeze::container {

/// The frame of a page of a file, read in when it is not there yet. 0, kBusFault when the file ends before it, or -kENOMEM.
i64 Kernel::cached_page(Machine& machine, u32 inode, u64 page, u64& frame) {
    if (const auto cached = page_cache.find({inode, page}); cached != page_cache.end()) return frame = cached->second, 0;
    if (page >= (vfs.size_of(inode) + kPageMask) >> kPageShift) return kBusFault;
    const auto fresh = allocate_frame(machine);
    if (!fresh) return -kENOMEM;
    page_cache[{inode, page}] = frame = *fresh;
    read_in(machine, inode, page, frame);
    return 0;
}

void Kernel::read_in(Machine& machine, u32 inode, u64 page, u64 frame) {
    std::array<u8, kPageSize> bytes{};
    vfs.read_data(inode, page << kPageShift, bytes); // a host's file that cannot be read any more is zeros
    machine.ram.write(offset_of(frame), bytes);
}

/// A shared mapping is about to write a page: the file system must have room for it. 0, or kBusFault.
i64 Kernel::begin_stores(Machine& machine, u32 inode, u64 page) {
    constexpr u32 kKeepSize = 1;
    if (vfs.allocate_data(inode, kKeepSize, page << kPageShift, kPageSize, wall_clock(machine))) return kBusFault;
    stored_pages.insert({inode, page});
    return 0;
}

/// What was stored through mappings reaches the file: before its bytes are read, or written in part.
void Kernel::pull_pages(Machine& machine, u32 inode, u64 begin, u64 end) {
    if (stored_pages.empty() || begin >= end) return;
    const u64 last = (end - 1) >> kPageShift;
    for (auto at = stored_pages.lower_bound({inode, begin >> kPageShift}); at != stored_pages.end() && at->first == inode && at->second <= last; ++at) pull_page(machine, inode, at->second);
}
void Kernel::pull_page(Machine& machine, u32 inode, u64 page) {
    const auto cached = page_cache.find({inode, page});
    if (cached == page_cache.end()) return;
    std::array<u8, kPageSize> bytes;
    machine.ram.read(offset_of(cached->second), bytes);
    vfs.store_page(inode, page, bytes);
}

/// A file's bytes have been written: its pages in memory follow, for all who map them.
void Kernel::renew_pages(Machine& machine, u32 inode, u64 begin, u64 end) {
    if (page_cache.empty() || begin >= end) return;
    std::array<u8, kPageSize> bytes;
    for (auto at = page_cache.lower_bound({inode, begin >> kPageShift}); at != page_cache.end() && at->first.first == inode && at->first.second << kPageShift < end; ++at) {
        const u64 page = at->first.second << kPageShift, from = std::max(begin, page);
        const std::span<u8> part = std::span(bytes).first(std::min(end - from, page + kPageSize - from));
        std::fill(part.begin(), part.end(), u8{0}); // behind the file's end
        vfs.read_data(inode, from, part);
        machine.ram.write(offset_of(at->second) + (from - page), part);
    }
}

/// A file has become shorter: nobody has pages behind its end any more, not even copies of his own.
void Kernel::cut_pages(Machine& machine, u32 inode) {
    const u64 size = vfs.size_of(inode), first = (size + kPageMask) >> kPageShift;
    if (page_cache.lower_bound({inode, 0}) == page_cache.lower_bound({inode + 1, 0})) return;
    unmap_file(machine, inode, first);
    const auto begin = page_cache.lower_bound({inode, first}), end = page_cache.lower_bound({inode + 1, 0});
    for (auto page = begin; page != end; ++page) release_frame(page->second), stored_pages.erase(page->first);
    page_cache.erase(begin, end);
    if (size & kPageMask) renew_pages(machine, inode, size, first << kPageShift);
}

/// The pages of a file from `first` on leave all address spaces; who touches them again faults.
void Kernel::unmap_file(Machine& machine, u32 inode, u64 first) {
    for (u32 i = 1; i < spaces.end(); ++i) {
        if (!spaces.contains(i)) continue;
        for (const auto& [begin, vma] : spaces[i].vmas) {
            if (vma.inode != inode || vma.page_of(vma.end) <= first) continue;
            const u64 from = vma.page_of(begin) >= first ? begin : begin + ((first - vma.page_of(begin)) << kPageShift);
            if (from < std::min(vma.end, vma.file_end & ~kPageMask)) discard_pages(machine, spaces[i], from, std::min(vma.end, vma.file_end & ~kPageMask));
        }
    }
}

bool Kernel::mapped_for_stores(u32 inode) const {
    for (u32 i = 1; i < spaces.end(); ++i) {
        if (!spaces.contains(i)) continue;
        const auto& areas = spaces[i].vmas;
        if (std::any_of(areas.begin(), areas.end(), [inode](const auto& entry) { return entry.second.inode == inode && entry.second.shared && !(entry.second.flags & area::kMayNotWrite); })) return true;
    }
    return false;
}

/// Pages of files that nobody maps make room.
void Kernel::drop_cached_pages(Machine& machine) {
    std::erase_if(page_cache, [&](const auto& page) {
        const bool unused = frame_users[frame_index(page.second)] == 1;
        if (unused && stored_pages.contains(page.first)) {
            std::array<u8, kPageSize> bytes;
            machine.ram.read(offset_of(page.second), bytes);
            vfs.store_page(page.first.first, page.first.second, bytes);
            stored_pages.erase(page.first);
        }
        if (unused) release_frame(page.second);
        return unused;
    });
}

/// A file has gone.
void Kernel::forget_pages(u32 inode) {
    const auto begin = page_cache.lower_bound({inode, 0}), end = page_cache.lower_bound({inode + 1, 0});
    for (auto page = begin; page != end; ++page) release_frame(page->second), stored_pages.erase(page->first);
    page_cache.erase(begin, end);
}

} // namespace trapeze::container
