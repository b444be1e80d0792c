// The areas of an address space: placing, cutting, joining, counting and moving them.
#include "container-sim/page_tables.hpp"

#include <algorithm>

namespace trapeze::container {

/// Shared memory counts the areas that map it: it goes with the last one.
void Kernel::count_area(const Vma& vma, int change, std::set<u64>& detached) {
    if (!vma.segment) return;
    segments.at(vma.segment).areas += static_cast<u64>(change);
    if (change < 0) detached.insert(vma.segment);
}

/// Pre: nothing is there. What goes on with the same before and behind becomes one area with it.
void Kernel::add_area(AddressSpace& memory, Vma vma) {
    std::set<u64> none;
    count_area(vma, 1, none);
    memory.vmas[vma.begin] = vma;
    memory.grow(vma.bytes());
    join_areas(memory, vma.begin, vma.end);
}

/// Areas between two addresses, and those that touch them, become one where they go on with the same.
void Kernel::join_areas(AddressSpace& memory, u64 begin, u64 end) {
    auto at = memory.vmas.lower_bound(begin);
    if (at != memory.vmas.begin()) --at;
    while (at != memory.vmas.end() && at->first < end) {
        const auto next = std::next(at);
        if (next == memory.vmas.end() || next->first > end) return;
        if (!at->second.goes_on(next->second)) {
            at = next;
            continue;
        }
        std::set<u64> still_there;
        count_area(next->second, -1, still_there);
        if (at->second.inode) at->second.file_end = next->second.file_end;
        at->second.end = next->second.end;
        memory.vmas.erase(next);
    }
}

/// No area lies on both sides of the address any more. False: there would be too many.
bool Kernel::cut_area(AddressSpace& memory, u64 address) {
    auto at = memory.vmas.upper_bound(address);
    if (at == memory.vmas.begin()) return true;
    Vma& low = (--at)->second;
    if (address <= low.begin || address >= low.end) return true;
    if (memory.vmas.size() >= kMaxVmas) return false;
    const Vma high = low.part(address, low.end);
    low = low.part(low.begin, address);
    std::set<u64> none;
    count_area(high, 1, none);
    memory.vmas[address] = high;
    return true;
}

/// False, with nothing done: there would be too many areas.
bool Kernel::unmap(Machine& machine, AddressSpace& memory, u64 begin, u64 end) {
    if (!cut_area(memory, begin) || !cut_area(memory, end)) return false;
    std::set<u64> detached;
    std::set<u32> files;
    auto at = memory.vmas.lower_bound(begin);
    if (at == memory.vmas.end() || at->first >= end) return true;
    while (at != memory.vmas.end() && at->first < end) {
        count_area(at->second, -1, detached);
        memory.bytes -= at->second.bytes();
        if (at->second.inode) files.insert(at->second.inode);
        at = memory.vmas.erase(at);
    }
    discard_pages(machine, memory, begin, end);
    if (!detached.empty()) detach_segments(machine, detached);
    for (u32 inode : files) free_unlinked(machine, inode);
    memory.searched_bytes = ~u64{0};
    return true;
}

u64 Kernel::find_gap(AddressSpace& memory, u64 bytes) {
    const bool known = bytes >= memory.searched_bytes;
    u64 end = known ? memory.searched_to : memory.map_below;
    auto at = std::make_reverse_iterator(memory.vmas.lower_bound(end));
    for (; at != memory.vmas.rend(); ++at) {
        const Vma& vma = at->second;
        if (vma.end <= end && end - vma.end >= bytes) break;
        end = std::min(end, vma.begin);
    }
    if (end <= bytes + (u64{1} << 32)) return 0;
    memory.searched_bytes = bytes, memory.searched_to = end;
    return end - bytes;
}

bool Kernel::covers_any(const AddressSpace& memory, u64 begin, u64 end) const {
    const auto after = memory.vmas.lower_bound(end);
    return after != memory.vmas.begin() && std::prev(after)->second.end > begin;
}

/// Bytes of all areas: what RLIMIT_AS counts; of those that are private and writable, RLIMIT_DATA; of locked ones, RLIMIT_MEMLOCK.
SpaceSize Kernel::size_of_space(const AddressSpace& memory) const {
    SpaceSize size;
    for (const auto& [begin, vma] : memory.vmas) {
        size.all += vma.bytes();
        if (vma.prot & kProtWrite && !vma.shared && !(vma.flags & area::kGrowsDown)) size.data += vma.bytes();
        if (vma.flags & area::kLocked) size.locked += vma.bytes();
    }
    return size;
}

/// May a process have so many bytes more?
bool Kernel::may_grow(const Process& process, const AddressSpace& memory, u64 bytes, bool data) const {
    const u64 all = process.limits[kLimitSpace].current, most_data = process.limits[kLimitData].current;
    if (all == ~u64{0} && (most_data == ~u64{0} || !data)) return true;
    const SpaceSize size = size_of_space(memory);
    return size.all + bytes <= all && (!data || size.data + bytes <= most_data);
}

/// The pages of an area appear at another address; the area itself is the caller's business. False: no memory for tables.
bool Kernel::move_pages(Machine& machine, AddressSpace& memory, u64 from, u64 to, u64 bytes) {
    bool room = true;
    visit_pages(machine, memory, from, from + bytes, [&](u64 page, u64 address) {
        const auto target = room ? entry_address(machine, memory, page - from + to, true) : std::nullopt;
        room = target.has_value();
        if (!room) return;
        write_entry(machine, *target, read_entry(machine, address));
        write_entry(machine, address, 0);
    });
    machine.hart().flush_translations();
    return room;
}

} // namespace trapeze::container
