// Memory of the kernel: frames with a count of users, Sv39 tables in the machine's RAM, demand paging, copy on write.
#include "container-sim/page_tables.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace trapeze::container {

std::optional<u64> Kernel::allocate_frame(Machine& machine) {
    if (used_frames + kReservedFrames >= frame_users.size()) drop_cached_pages(machine);
    if (used_frames + kReservedFrames >= frame_users.size()) return std::nullopt;
    for (;;) {
        const u64 index = next_frame;
        next_frame = (next_frame + 1) % frame_users.size();
        if (frame_users[index]) continue;
        frame_users[index] = 1;
        ++used_frames;
        machine.ram.fill(index << kPageShift, kPageSize, 0);
        return kRamBase + (index << kPageShift);
    }
}

void Kernel::release_frame(u64 physical) {
    u32& users = frame_users[frame_index(physical)];
    if (users && --users == 0) --used_frames;
}

/// Ends the process that holds the most memory. Returns its index.
u32 Kernel::end_largest(Machine& machine) {
    u32 largest = tasks[current].process;
    u64 most = 0;
    for (u32 i = 1; i < processes.size(); ++i) {
        if (!processes[i].used || processes[i].zombie) continue;
        AddressSpace& memory = memory_of(tasks[processes[i].threads.front()]);
        u64 pages = 0;
        for (const auto& [begin, vma] : memory.vmas) visit_pages(machine, memory, begin, vma.end, [&](u64, u64) { ++pages; });
        if (pages > most) largest = i, most = pages;
    }
    const Task& victim = tasks[processes[largest].leader];
    event(machine, EventKind::ProcessExit, victim, fmt::format("memory is full: {} holds the most, {} pages, and has to end", victim.name, most));
    end_process(machine, largest, kSigKill);
    return largest;
}

std::optional<u64> Kernel::entry_address(Machine& machine, AddressSpace& memory, u64 va, bool make) {
    if (va >= kUserEnd) return std::nullopt;
    if (!memory.root) {
        const auto root = make ? allocate_frame(machine) : std::nullopt;
        if (!root) return std::nullopt;
        memory.root = *root;
    }
    u64 table = memory.root;
    for (unsigned level = 2; level > 0; --level) {
        const u64 address = table + bits(va, 20 + 9 * level, 12 + 9 * level) * 8;
        u64 entry = read_entry(machine, address);
        if (!(entry & pte::V)) {
            const auto next = make ? allocate_frame(machine) : std::nullopt;
            if (!next) return std::nullopt;
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
    write_entry(machine, *address, make_entry(physical, prot));
    machine.hart().flush_translations();
    return true;
}

/// Pages of an address space that are there.
u64 Kernel::resident_pages(const Machine& machine, const AddressSpace& memory) const {
    u64 pages = 0;
    for (const auto& [begin, vma] : memory.vmas) visit_pages(machine, memory, begin, vma.end, [&](u64, u64) { ++pages; });
    return pages;
}

/// The pages go, the areas stay: what is touched again begins anew.
void Kernel::discard_pages(Machine& machine, AddressSpace& memory, u64 begin, u64 end) {
    visit_pages(machine, memory, begin, end, [&](u64, u64 address) {
        release_frame(pte::address(read_entry(machine, address)));
        write_entry(machine, address, 0);
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
    for (const auto& [begin, vma] : memory.vmas) count_area(vma, -1, detached);
    memory = {};
    if (!detached.empty()) detach_segments(machine, detached);
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
    to.root = 0, to.lock_future = false;
    std::set<u64> none;
    std::erase_if(to.vmas, [](const auto& entry) { return entry.second.flags & area::kDontFork; });
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
        });
    }
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
