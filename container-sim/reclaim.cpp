// Making room in memory: pages of files that can be read in again go, those first that were wanted longest ago; pages that nobody maps before
// those that are taken out of address spaces. memory.min and memory.low keep a group's pages when room is made for a group above.
//
// Known gaps: no swap, so that nothing else can go; a page's age is that of its last coming in or being mapped, not of its last use.
#include "container-sim/page_tables.hpp"

#include <algorithm>

namespace trapeze::container {

namespace {

constexpr u64 kYoung = 16; ///< turns

/// What of a group's protection counts under a parent whose own is smaller than what its children ask for (effective_protection).
u64 effective(u64 pages, u64 setting, u64 parent_effective, u64 siblings) {
    const u64 own = std::min(pages, setting);
    return siblings > parent_effective ? own * parent_effective / siblings : own;
}

} // namespace

/// Pages that each group below one keeps, as memory.low or memory.min have it. The group itself keeps nothing: it is the one that is full.
std::map<u32, u64> Kernel::protected_pages(u32 group, bool low) const {
    std::map<u32, u64> kept{{group, 0}};
    const auto setting = [&](u32 at) { return low ? cgroups[at].memory.low : cgroups[at].memory.least; };
    for (u32 at : cgroups_below(group)) {
        u64 siblings = 0;
        for (const auto& [name, child] : cgroups[at].children) siblings += std::min(cgroups[child].memory.pages, setting(child));
        for (const auto& [name, child] : cgroups[at].children)
            kept[child] = effective(cgroups[child].memory.pages, setting(child), at == group ? ~u64{0} : kept[at], siblings);
    }
    return kept;
}

/// Makes room for `wanted` pages in a group and those below it. How many there are now more; none, when nothing can go.
u64 Kernel::reclaim(Machine& machine, u32 group, u64 wanted) {
    if (reclaimable.empty()) return 0;
    const std::vector<u32> groups = cgroups_below(group);
    const auto least = protected_pages(group, false), low = protected_pages(group, true);
    for (bool past_low : {false, true}) {
        std::map<u32, u64> may_lose;
        u64 all = 0;
        bool kept_by_low = false;
        for (u32 at : groups) {
            const u64 files = cgroups[at].memory.files, pages = cgroups[at].memory.pages, keeps = past_low ? least.at(at) : std::max(least.at(at), low.at(at));
            all += may_lose[at] = std::min(files, pages - std::min(pages, keeps));
            if (past_low && files && low.at(at) && pages <= low.at(at)) memory_event(at, MemoryEvent::Low);
            kept_by_low |= !past_low && files && low.at(at);
        }
        u64 done = 0;
        for (bool mapped : {false, true})
            for (u32 at : groups) { // each loses its share
                const u64 share = all ? std::min(may_lose[at], (may_lose[at] * wanted + all - 1) / all) : 0;
                const u64 gone = done < wanted ? reclaim_pages(machine, at, std::min(share, wanted - done), mapped) : 0;
                may_lose[at] -= gone, done += gone;
            }
        if (done || !kept_by_low) return done;
    }
    return 0;
}

/// Pages of one group, the oldest first; `mapped`: also those that are in address spaces, but for the last few, without which a program whose
/// instruction needs several pages would never get on.
u64 Kernel::reclaim_pages(Machine& machine, u32 group, u64 wanted, bool mapped) {
    u64 done = 0, seen = 0;
    for (auto at = reclaimable.lower_bound({group, 0}); done < wanted && at != reclaimable.end() && at->first.first == group;) {
        const auto page = page_cache.find(at->second);
        ++at, ++seen; // dropping the page takes its own entry away
        const bool unused = frame_users[frame_index(page->second.frame)] == 1, young = next_page_turn - page->second.turn <= kYoung;
        if (!unused && !(mapped && !young && unmap_cached(machine, page->first.first, page->first.second, page->second.frame))) continue;
        write_back(machine, page);
        drop_page(page), ++done;
    }
    for (u32 up = group; seen; up = cgroups[up].parent) {
        cgroups[up].memory.scanned += seen, cgroups[up].memory.reclaimed += done;
        if (up == 0) break;
    }
    return done;
}

/// A page of a file leaves all address spaces. False: it stays, for it is locked, waited on as a futex, or in use otherwise.
bool Kernel::unmap_cached(Machine& machine, u32 inode, u64 page, u64 frame) {
    if (queues.waits_between({WaitKind::Futex, frame}, {WaitKind::Futex, frame + kPageSize})) return false;
    std::vector<std::pair<u32, u64>> entries; // space, address of the entry
    for (u32 i = 1; i < spaces.end(); ++i) {
        if (!spaces.contains(i)) continue;
        for (const auto& [begin, vma] : spaces[i].vmas) {
            if (vma.inode != inode || page < vma.page_of(begin) || page >= vma.page_of(begin) + vma.bytes() / kPageSize) continue;
            const auto address = entry_address(machine, spaces[i], begin + ((page - vma.page_of(begin)) << kPageShift), false);
            const u64 entry = address ? read_entry(machine, *address) : 0;
            if (!(entry & pte::V) || pte::address(entry) != frame) continue;
            if (vma.flags & area::kLocked) return false;
            entries.push_back({i, *address});
        }
    }
    if (frame_users[frame_index(frame)] != entries.size() + 1) return false;
    for (const auto& [space, address] : entries) {
        write_entry(machine, address, 0), release_frame(frame);
        --spaces[space].resident;
    }
    machine.hart().flush_translations();
    return true;
}

} // namespace trapeze::container
