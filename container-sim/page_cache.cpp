// Pages of files in the machine's memory. There is one of each page, for all who map the file, in whatever container. Files keep their bytes
// in the file system; a page that somebody may store to through a shared mapping is newer than that, and is looked at first: `stored_pages`.
// A file of a file system that is nothing but memory (tmpfs) has a frame for each of its pages as long as it has the page (hold_pages).
#include "container-sim/page_tables.hpp"

#include <algorithm>
#include <array>

namespace trapeze::container {

/// The frame of a page of a file, read in when it is not there yet. 0, kBusFault when the file ends before it, or -kENOMEM.
i64 Kernel::cached_page(Machine& machine, u32 inode, u64 page, u64& frame) {
    if (const auto cached = page_cache.find({inode, page}); cached != page_cache.end()) {
        renew_turn(cached);
        return frame = cached->second.frame, 0;
    }
    if (page >= (vfs.size_of(inode) + kPageMask) >> kPageShift) return kBusFault;
    if (!enter_page(machine, inode, page, frame)) return -kENOMEM;
    charge_io(machine, inode, kPageSize, false);
    count_fault(!is_of_memory(inode));
    return 0;
}

/// Pre: the page is not there.
bool Kernel::enter_page(Machine& machine, u32 inode, u64 page, u64& frame) {
    const bool of_memory = is_of_memory(inode);
    const auto fresh = allocate_frame(machine, of_memory ? FrameKind::Shared : FrameKind::File);
    if (!fresh) return false;
    const auto entry = page_cache.insert({{inode, page}, {*fresh, of_memory ? 0 : next_page_turn++}}).first;
    if (entry->second.turn) {
        const u32 group = frame_charges[frame_index(*fresh)].group;
        reclaimable[{group, entry->second.turn}] = entry->first;
        ++cgroups[group].memory.files;
    }
    read_in(machine, inode, page, frame = *fresh);
    return true;
}

/// Somebody wants the page: it goes later than those that nobody has wanted since.
void Kernel::renew_turn(PageCache::iterator page) {
    if (!page->second.turn) return;
    const u32 group = frame_charges[frame_index(page->second.frame)].group;
    reclaimable.erase({group, page->second.turn});
    page->second.turn = next_page_turn++;
    reclaimable[{group, page->second.turn}] = page->first;
}

/// The page leaves the cache; its frame goes with whoever maps it last. What comes behind it.
Kernel::PageCache::iterator Kernel::drop_page(PageCache::iterator page) {
    if (page->second.turn) {
        const u32 group = frame_charges[frame_index(page->second.frame)].group;
        reclaimable.erase({group, page->second.turn});
        --cgroups[group].memory.files;
    }
    stored_pages.erase(page->first);
    release_frame(page->second.frame);
    return page_cache.erase(page);
}

/// What was stored to the page reaches its file.
void Kernel::write_back(Machine& machine, PageCache::const_iterator page) {
    if (!stored_pages.contains(page->first)) return;
    std::array<u8, kPageSize> bytes;
    machine.ram.read(offset_of(page->second.frame), bytes);
    vfs.store_page(page->first.first, page->first.second, bytes);
    charge_io(machine, page->first.first, kPageSize, true);
}

/// Frames for the pages of bytes that are to be written to a file of memory alone. How many of the bytes have theirs, from the first on.
u64 Kernel::hold_pages(Machine& machine, u32 outer, u64 offset, u64 bytes) {
    const u32 inode = vfs.data_inode(outer);
    if (!bytes || !is_of_memory(inode)) return bytes;
    for (u64 page = offset >> kPageShift; page <= (offset + bytes - 1) >> kPageShift; ++page) {
        u64 frame = 0;
        if (!page_cache.contains({inode, page}) && (!victims.empty() || !enter_page(machine, inode, page, frame))) return std::max(offset, page << kPageShift) - offset;
    }
    return bytes;
}

/// Frames of pages that such a file does not have after all, or any more, and that nobody maps.
void Kernel::release_holes(u32 outer, u64 offset, u64 bytes) {
    const u32 inode = vfs.data_inode(outer);
    if (!is_of_memory(inode)) return;
    const u64 end = bytes > kMaxFileOffset - offset ? kMaxFileOffset : offset + bytes;
    for (auto at = page_cache.lower_bound({inode, offset >> kPageShift}); at != page_cache.end() && at->first.first == inode && at->first.second << kPageShift < end;) {
        const bool hole = vfs.inodes.get(inode).data.pages_for(at->first.second << kPageShift, kPageSize) && !stored_pages.contains(at->first);
        at = hole && frame_users[frame_index(at->second.frame)] == 1 ? drop_page(at) : std::next(at);
    }
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
    if (const auto cached = page_cache.find({inode, page}); cached != page_cache.end()) write_back(machine, cached);
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
        machine.ram.write(offset_of(at->second.frame) + (from - page), part);
    }
}

/// A file has become shorter: nobody has pages behind its end any more, not even copies of his own.
void Kernel::cut_pages(Machine& machine, u32 inode) {
    const u64 size = vfs.size_of(inode), first = (size + kPageMask) >> kPageShift;
    if (page_cache.lower_bound({inode, 0}) == page_cache.lower_bound({inode + 1, 0})) return;
    unmap_file(machine, inode, first);
    for (auto page = page_cache.lower_bound({inode, first}); page != page_cache.end() && page->first.first == inode;) page = drop_page(page);
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

/// All pages of files that nobody maps and that can be read in again go.
void Kernel::drop_cached_pages(Machine& machine) {
    for (auto page = page_cache.begin(); page != page_cache.end();) {
        const bool unused = page->second.turn && frame_users[frame_index(page->second.frame)] == 1;
        if (unused) write_back(machine, page);
        page = unused ? drop_page(page) : std::next(page);
    }
}

/// A file has gone.
void Kernel::forget_pages(u32 inode) {
    for (auto page = page_cache.lower_bound({inode, 0}); page != page_cache.end() && page->first.first == inode;) page = drop_page(page);
}

/// Somebody has a file open, mapped, as his program, or as a mount.
bool Kernel::has_users(u32 inode) const {
    for (u32 i = 0; i < files.end(); ++i)
        if (files.contains(i) && files[i].location.inode && vfs.data_inode(files[i].location.inode) == inode) return true;
    for (u32 i = 1; i < spaces.end(); ++i)
        if (spaces.contains(i) && std::any_of(spaces[i].vmas.begin(), spaces[i].vmas.end(), [&](const auto& entry) { return entry.second.inode == inode; })) return true;
    const auto runs = [&](const Process& process) { return process.used && !process.threads.empty() && vfs.data_inode(process.executable_inode) == inode; };
    if (std::any_of(processes.begin(), processes.end(), runs)) return true;
    return std::any_of(vfs.mounts.begin(), vfs.mounts.end(), [&](const auto& mount) { return vfs.data_inode(vfs.dentries.get(mount.second.root).inode) == inode; });
}

/// The contents of a file that has neither name nor user any more go at once; what is left of it at the next sweep.
void Kernel::free_unlinked(Machine& machine, u32 outer) {
    const u32 inode = vfs.data_inode(outer);
    const Inode& file = vfs.inodes.get(inode);
    if (file.links || !file.is_file() || file.generated || !file.host_path.empty()) return;
    const auto cached = page_cache.lower_bound({inode, 0});
    if ((!file.data.pages() && (cached == page_cache.end() || cached->first.first != inode)) || has_users(inode)) return;
    vfs.resize_data(inode, 0, wall_clock(machine));
    forget_pages(inode);
}

} // namespace trapeze::container
