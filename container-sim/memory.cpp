// Memory of the kernel: frames with a count of users, Sv39 tables in the machine's RAM, demand paging, copy on write.
#include "container-sim/page_tables.hpp"

#include <algorithm>
#include <array>

namespace trapeze::container {

/// A page of zeros, for which the group of `payer` pays. nullopt: there is no memory, or the group may not have more.
std::optional<u64> Kernel::allocate_frame(Machine& machine, FrameKind kind) {
    const u32 group = paying_group();
    if (!charge_memory(machine, group, kind)) return std::nullopt;
    if (!make_room(machine)) return count_memory(group, kind, -1), std::nullopt;
    while (frame_users[next_frame]) next_frame = (next_frame + 1) % frame_users.size();
    const u64 index = std::exchange(next_frame, (next_frame + 1) % frame_users.size());
    frame_users[index] = 1;
    charge_frame(index, group, kind);
    ++used_frames;
    machine.ram.fill(index << kPageShift, kPageSize, 0);
    return kRamBase + (index << kPageShift);
}

/// A frame is free, or becomes so. A few are kept for what goes on while somebody has been chosen to end and has not ended yet.
bool Kernel::make_room(Machine& machine) {
    constexpr u64 kBatch = 32;
    const u64 frames = frame_users.size() - kReservedFrames, kept = std::min<u64>(frames / 64, 512);
    if (used_frames + kept < frames || reclaim(machine, 0, kBatch)) return true;
    return out_of_memory(machine, 0) && used_frames < frames;
}

void Kernel::release_frame(u64 physical) {
    const u64 index = frame_index(physical);
    u32& users = frame_users[index];
    if (!users || --users) return;
    --used_frames;
    count_memory(frame_charges[index].group, static_cast<FrameKind>(frame_charges[index].kind), -1);
}

std::optional<u64> Kernel::entry_address(Machine& machine, AddressSpace& memory, u64 va, bool make) {
    if (va >= kUserEnd) return std::nullopt;
    if (!memory.root) {
        const auto root = make ? allocate_frame(machine, FrameKind::Table) : std::nullopt;
        if (!root) return std::nullopt;
        memory.root = *root, ++memory.tables;
    }
    u64 table = memory.root;
    for (unsigned level = 2; level > 0; --level) {
        const u64 address = table + bits(va, 20 + 9 * level, 12 + 9 * level) * 8;
        u64 entry = read_entry(machine, address);
        if (!(entry & pte::V)) {
            const auto next = make ? allocate_frame(machine, FrameKind::Table) : std::nullopt;
            if (!next) return std::nullopt;
            ++memory.tables;
            entry = *next >> kPageShift << 10 | pte::V;
            write_entry(machine, address, entry);
        }
        table = pte::address(entry);
    }
    return table + bits(va, 20, 12) * 8;
}

bool Kernel::map_page(Machine& machine, AddressSpace& memory, u64 va, u64 physical, u8 prot) {
    const auto address = entry_address(machine, memory, va, true);
    if (!address) return false;
    if (!(read_entry(machine, *address) & pte::V)) memory.most_resident = std::max(memory.most_resident, ++memory.resident);
    write_entry(machine, *address, make_entry(physical, prot));
    machine.hart().flush_translations();
    return true;
}

/// The pages go, the areas stay: what is touched again begins anew.
void Kernel::discard_pages(Machine& machine, AddressSpace& memory, u64 begin, u64 end) {
    visit_pages(machine, memory, begin, end, [&](u64, u64 address) {
        release_frame(pte::address(read_entry(machine, address)));
        write_entry(machine, address, 0);
        --memory.resident;
    });
    machine.hart().flush_translations();
}

/// Pages that are there get the new protection; write access comes back by a fault, so that shared ones are copied.
void Kernel::protect_pages(Machine& machine, AddressSpace& memory, u64 begin, u64 end, u8 prot) {
    visit_pages(machine, memory, begin, end, [&](u64, u64 address) {
        const u64 physical = pte::address(read_entry(machine, address));
        // PROT_NONE: the page stays, out of a user's reach, until it is protected otherwise
        const u64 none = make_entry(physical, kProtRead) & ~pte::U;
        write_entry(machine, address, prot ? make_entry(physical, prot & static_cast<u8>(~kProtWrite)) : none);
    });
    machine.hart().flush_translations();
}

void Kernel::free_table(Machine& machine, u64 table, int level) {
    for (u64 i = 0; i < 512; ++i) {
        const u64 entry = read_entry(machine, table + i * 8);
        if (!(entry & pte::V)) continue;
        if (level > 0) free_table(machine, pte::address(entry), level - 1);
        else release_frame(pte::address(entry));
    }
    release_frame(table);
}

void Kernel::free_space(Machine& machine, AddressSpace& memory) {
    if (memory.root) free_table(machine, memory.root, 2);
    std::set<u64> detached;
    std::set<u32> files;
    for (const auto& [begin, vma] : memory.vmas) {
        count_area(vma, -1, detached);
        if (vma.inode) files.insert(vma.inode);
    }
    memory = {};
    if (!detached.empty()) detach_segments(machine, detached);
    for (u32 inode : files) free_unlinked(machine, inode);
    machine.hart().flush_translations();
}

/// A task lets go of its address space; with the last one it is freed.
void Kernel::release_space(Machine& machine, u32 space) {
    if (!space || !spaces.release(space)) return;
    free_space(machine, spaces[space]);
    spaces.erase(space);
    if (loaded_space == space) loaded_space = ~u32{0};
}

/// fork: both sides keep the frames, and neither may write them in place (but what they share by MAP_SHARED). False: memory is full.
bool Kernel::copy_space(Machine& machine, AddressSpace& to, const AddressSpace& from) {
    to = from;
    to.root = to.tables = to.resident = to.most_resident = 0, to.lock_future = false;
    std::set<u64> none;
    std::erase_if(to.vmas, [&](const auto& entry) { return entry.second.flags & area::kDontFork && (to.bytes -= entry.second.bytes(), true); });
    to.most_bytes = to.bytes;
    for (auto& [begin, vma] : to.vmas) vma.flags &= static_cast<u16>(~area::kLocked), count_area(vma, 1, none);
    bool room = entry_address(machine, to, 0, true).has_value();
    for (const auto& [begin, vma] : to.vmas) {
        if (vma.flags & area::kWipeOnFork) continue;
        visit_pages(machine, from, begin, vma.end, [&, shared = vma.shared](u64 page, u64 address) {
            const u64 entry = shared ? read_entry(machine, address) : read_entry(machine, address) & ~pte::W;
            const auto target = room ? entry_address(machine, to, page, true) : std::nullopt;
            room = target.has_value();
            if (!room) return;
            share_frame(pte::address(entry));
            write_entry(machine, address, entry);
            write_entry(machine, *target, entry);
            ++to.resident;
        });
    }
    to.most_resident = to.resident;
    machine.hart().flush_translations();
    return room;
}

// --- Between the kernel and a process: page by page, every pointer checked -------------------------------------------------

bool Kernel::copy_in(Machine& machine, const Task& task, u64 va, std::span<u8> out) {
    if (window_open && va >= kWindow) return va - kWindow <= window.size() && out.size() <= window.size() - (va - kWindow) && (std::copy_n(window.begin() + static_cast<std::ptrdiff_t>(va - kWindow), out.size(), out.begin()), true);
    for (std::size_t done = 0; done < out.size();) {
        const u64 at = va + done;
        if (at < va || fault_in(machine, memory_of(task), at, Access::Load) < 0) return false;
        const auto address = entry_address(machine, memory_of(task), at, false);
        const u64 entry = address ? read_entry(machine, *address) : 0;
        if (!(entry & pte::V)) return false;
        const std::size_t chunk = std::min<std::size_t>(out.size() - done, kPageSize - (at & kPageMask));
        machine.ram.read(offset_of(pte::address(entry)) + (at & kPageMask), out.subspan(done, chunk));
        done += chunk;
    }
    return true;
}

bool Kernel::copy_out(Machine& machine, const Task& task, u64 va, std::span<const u8> in) {
    if (window_open && va >= kWindow) return va - kWindow <= window.size() && in.size() <= window.size() - (va - kWindow) && (std::copy(in.begin(), in.end(), window.begin() + static_cast<std::ptrdiff_t>(va - kWindow)), true);
    for (std::size_t done = 0; done < in.size();) {
        const u64 at = va + done;
        if (at < va || fault_in(machine, memory_of(task), at, Access::Store) < 0) return false;
        const auto address = entry_address(machine, memory_of(task), at, false);
        const u64 entry = address ? read_entry(machine, *address) : 0;
        if (!(entry & pte::W)) return false;
        const std::size_t chunk = std::min<std::size_t>(in.size() - done, kPageSize - (at & kPageMask));
        machine.ram.write(offset_of(pte::address(entry)) + (at & kPageMask), in.subspan(done, chunk));
        done += chunk;
    }
    return true;
}

i64 Kernel::copy_text(Machine& machine, const Task& task, u64 va, std::string& out, std::size_t most) {
    out.clear();
    while (out.size() < most) { // never over the end of a page: the next may not be there
        std::array<u8, 256> bytes;
        const u64 at = va + out.size();
        const std::size_t count = std::min<std::size_t>({bytes.size(), most - out.size(), kPageSize - (at & kPageMask)});
        if (!copy_in(machine, task, at, std::span(bytes.data(), count))) return -kEFAULT;
        const auto end = std::find(bytes.begin(), bytes.begin() + count, 0);
        out.append(bytes.begin(), end);
        if (end != bytes.begin() + count) return static_cast<i64>(out.size());
    }
    return -kENAMETOOLONG;
}

std::optional<u64> Kernel::physical_of(Machine& machine, const Task& task, u64 va) {
    const auto address = entry_address(machine, memory_of(task), va, false);
    const u64 entry = address ? read_entry(machine, *address) : 0;
    return entry & pte::V ? std::optional(pte::address(entry) | (va & kPageMask)) : std::nullopt;
}

} // namespace trapeze::container
