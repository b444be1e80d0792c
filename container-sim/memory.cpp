// Memory of the kernel: frames with a count of users, Sv39 tables in the machine's RAM, demand paging, copy on write.
#include "container-sim/abi.hpp"
#include "container-sim/kernel.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace trapeze::container {

namespace {

constexpr u8 kRead = 1, kWrite = 2, kExec = 4;

u64 offset_of(u64 physical) { return physical - kRamBase; }
u64 read_entry(const Machine& machine, u64 address) {
    u64 entry = 0;
    machine.ram.read(offset_of(address), entry);
    return entry;
}
void write_entry(Machine& machine, u64 address, u64 entry) { machine.ram.write_value(offset_of(address), entry); }
/// Calls visit(va, address of its entry) for each page that is there. What has no table is skipped whole.
template <class Visit> void visit_pages(const Machine& machine, const AddressSpace& memory, u64 begin, u64 end, Visit visit) {
    if (!memory.root) return;
    for (u64 va = begin; va < end;) {
        u64 table = memory.root;
        unsigned level = 2;
        for (; level > 0; --level) {
            const u64 entry = read_entry(machine, table + bits(va, 20 + 9 * level, 12 + 9 * level) * 8);
            if (!(entry & pte::V)) break;
            table = pte::address(entry);
        }
        const u64 address = table + bits(va, 20, 12) * 8;
        if (level == 0 && read_entry(machine, address) & pte::V) visit(va, address);
        const u64 span = kPageSize << 9 * level;
        va = (va & ~(span - 1)) + span;
    }
}
u64 make_entry(u64 physical, u8 prot) {
    return physical >> kPageShift << 10 | pte::V | pte::U | pte::A | pte::D | (prot & (kRead | kWrite) ? pte::R : 0) | (prot & kWrite ? pte::W : 0) |
           (prot & kExec ? pte::X | pte::R : 0);
}

} // namespace

std::optional<u64> Kernel::allocate_frame(Machine& machine) {
    if (used_frames + kReservedFrames >= frame_users.size()) drop_cached_pages();
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

/// Pages of files that nobody maps any more make room.
void Kernel::drop_cached_pages() {
    std::erase_if(page_cache, [this](const auto& page) {
        const bool unused = frame_users[frame_index(page.second)] == 1;
        if (unused) release_frame(page.second);
        return unused;
    });
}

/// A file has changed: who maps it from now on sees the new bytes. Private pages that are mapped already stay as they are.
void Kernel::forget_pages(u32 inode) {
    const auto begin = page_cache.lower_bound({inode, 0}), end = page_cache.lower_bound({inode + 1, 0});
    for (auto page = begin; page != end; ++page) release_frame(page->second);
    page_cache.erase(begin, end);
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

/// Brings in the page of `va` for this access. 0, or -kEFAULT when the process may not, or -kENOMEM.
i64 Kernel::fault_in(Machine& machine, AddressSpace& memory, u64 va, Access access) {
    auto found = memory.vmas.upper_bound(va);
    if (found == memory.vmas.begin()) return -kEFAULT;
    const Vma vma = (--found)->second;
    const u8 wanted = access == Access::Store ? kWrite : access == Access::Fetch ? kExec : kRead;
    if (va >= vma.end || !(vma.prot & wanted)) return -kEFAULT;
    const u64 page = va & ~kPageMask;
    const auto address = entry_address(machine, memory, page, true);
    if (!address) return -kENOMEM;
    const u64 entry = read_entry(machine, *address);
    if (!(entry & pte::V)) return populate(machine, memory, vma, page, access);
    if (access == Access::Store && !(entry & pte::W)) { // copy on write
        const u64 old = pte::address(entry);
        if (vma.shared || frame_users[frame_index(old)] == 1) return map_page(machine, memory, page, old, vma.prot) ? 0 : -kENOMEM;
        const auto fresh = allocate_frame(machine);
        if (!fresh) return -kENOMEM;
        std::array<u8, kPageSize> bytes;
        machine.ram.read(offset_of(old), bytes);
        machine.ram.write(offset_of(*fresh), bytes);
        release_frame(old);
        return map_page(machine, memory, page, *fresh, vma.prot) ? 0 : -kENOMEM;
    }
    // It is there already: the hart's translation was older.
    machine.hart().flush_translations();
    const u64 needed = access == Access::Fetch ? pte::X : access == Access::Load ? pte::R : pte::W;
    if (!(entry & needed)) return map_page(machine, memory, page, pte::address(entry), access == Access::Store ? vma.prot : static_cast<u8>(vma.prot & ~kWrite)) ? 0 : -kENOMEM;
    return 0;
}

i64 Kernel::populate(Machine& machine, AddressSpace& memory, const Vma& vma, u64 page, Access access) {
    if (vma.segment) {
        const auto frame = segment_frame(machine, vma.segment, (vma.file_offset + (page - vma.begin)) >> kPageShift);
        if (!frame) return -kENOMEM;
        share_frame(*frame);
        return map_page(machine, memory, page, *frame, vma.prot) ? 0 : -kENOMEM;
    }
    const bool from_file = vma.inode && page < vma.file_end;
    const bool whole = from_file && page + kPageSize <= vma.file_end;
    const u64 file_page = vma.file_offset + (page - vma.begin);
    // A whole page of a file that is only read is shared with everyone who maps it.
    if (whole && access != Access::Store && (file_page & kPageMask) == 0) {
        const auto key = std::pair(vma.inode, file_page >> kPageShift);
        if (const auto cached = page_cache.find(key); cached != page_cache.end()) {
            share_frame(cached->second);
            return map_page(machine, memory, page, cached->second, vma.prot & static_cast<u8>(~kWrite)) ? 0 : -kENOMEM;
        }
    }
    const auto frame = allocate_frame(machine);
    if (!frame) return -kENOMEM;
    if (from_file) {
        std::array<u8, kPageSize> bytes;
        const i64 count = vfs.read_data(vma.inode, file_page, std::span(bytes).first(std::min(kPageSize, vma.file_end - page)));
        if (count > 0) machine.ram.write(offset_of(*frame), std::span(bytes).first(static_cast<std::size_t>(count)));
    }
    u8 prot = vma.prot;
    if (whole && access != Access::Store && (file_page & kPageMask) == 0) {
        page_cache[{vma.inode, file_page >> kPageShift}] = *frame;
        share_frame(*frame);
        prot &= static_cast<u8>(~kWrite);
    }
    return map_page(machine, memory, page, *frame, prot) ? 0 : -kENOMEM;
}

/// Pages of an address space that are there.
u64 Kernel::resident_pages(const Machine& machine, const AddressSpace& memory) const {
    u64 pages = 0;
    for (const auto& [begin, vma] : memory.vmas) visit_pages(machine, memory, begin, vma.end, [&](u64, u64) { ++pages; });
    return pages;
}

void Kernel::unmap(Machine& machine, AddressSpace& memory, u64 begin, u64 end) {
    std::vector<Vma> kept;
    std::set<u64> detached;
    for (auto at = memory.vmas.begin(); at != memory.vmas.end();) {
        const Vma vma = at->second;
        if (vma.end <= begin || vma.begin >= end) {
            ++at;
            continue;
        }
        at = memory.vmas.erase(at);
        if (vma.segment) detached.insert(vma.segment);
        if (vma.begin < begin) kept.push_back(vma.part(vma.begin, begin));
        if (vma.end > end) kept.push_back(vma.part(end, vma.end));
    }
    for (const Vma& vma : kept) memory.vmas[vma.begin] = vma;
    discard_pages(machine, memory, begin, end);
    if (!detached.empty()) detach_segments(machine, detached);
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
        const u64 none = make_entry(physical, kRead) & ~pte::U;
        write_entry(machine, address, prot ? make_entry(physical, prot & static_cast<u8>(~kWrite)) : none);
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
    for (const auto& [begin, vma] : memory.vmas)
        if (vma.segment) detached.insert(vma.segment);
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
    to.root = 0;
    bool room = entry_address(machine, to, 0, true).has_value();
    for (const auto& [begin, vma] : from.vmas)
        visit_pages(machine, from, begin, vma.end, [&, shared = vma.shared](u64 page, u64 address) {
            const u64 entry = shared ? read_entry(machine, address) : read_entry(machine, address) & ~pte::W;
            const auto target = room ? entry_address(machine, to, page, true) : std::nullopt;
            room = target.has_value();
            if (!room) return;
            share_frame(pte::address(entry));
            write_entry(machine, address, entry);
            write_entry(machine, *target, entry);
        });
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

u64 Kernel::find_gap(const AddressSpace& memory, u64 bytes) const {
    u64 end = memory.map_below;
    for (auto at = memory.vmas.rbegin(); at != memory.vmas.rend(); ++at) {
        const Vma& vma = at->second;
        if (vma.begin >= end) continue;
        if (vma.end <= end && end - vma.end >= bytes) return end - bytes;
        end = std::min(end, vma.begin);
    }
    return end > bytes + (u64{1} << 32) ? end - bytes : 0;
}

} // namespace trapeze::container
