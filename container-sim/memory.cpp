// Memory of the kernel: frames with a count of users, Sv39 tables in the machine's RAM, demand paging, copy on write.
#include "container-sim/kernel.hpp"

#include <algorithm>
#include <array>

namespace trapeze::container {

namespace {

constexpr u64 kUserEnd = u64{1} << 38; // Sv39's lower half
constexpr u8 kRead = 1, kWrite = 2, kExec = 4;

u64 offset_of(u64 physical) { return physical - kRamBase; }
u64 read_entry(const Machine& machine, u64 address) {
    u64 entry = 0;
    machine.ram.read(offset_of(address), entry);
    return entry;
}
void write_entry(Machine& machine, u64 address, u64 entry) { machine.ram.write_value(offset_of(address), entry); }
u64 make_entry(u64 physical, u8 prot) {
    return physical >> kPageShift << 10 | pte::V | pte::U | pte::A | pte::D | (prot & (kRead | kWrite) ? pte::R : 0) | (prot & kWrite ? pte::W : 0) |
           (prot & kExec ? pte::X | pte::R : 0);
}

} // namespace

std::optional<u64> Kernel::allocate_frame(Machine& machine) {
    for (std::size_t looked = 0; looked < frame_users_.size(); ++looked) {
        const u64 index = next_frame_;
        next_frame_ = (next_frame_ + 1) % frame_users_.size();
        if (frame_users_[index]) continue;
        frame_users_[index] = 1;
        ++frames_used_;
        machine.ram.fill(index << kPageShift, kPageSize, 0);
        return kRamBase + (index << kPageShift);
    }
    return std::nullopt;
}

void Kernel::release_frame(u64 physical) {
    u16& users = frame_users_[frame_index(physical)];
    if (users && --users == 0) --frames_used_;
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

/// Brings in the page of `va` for this access. 0, or -EFAULT when the process may not, or -ENOMEM.
i64 Kernel::fault_in(Machine& machine, Task& task, u64 va, Access access) {
    auto found = task.memory.vmas.upper_bound(va);
    if (found == task.memory.vmas.begin()) return -EFAULT;
    const Vma vma = (--found)->second;
    const u8 wanted = access == Access::Store ? kWrite : access == Access::Fetch ? kExec : kRead;
    if (va >= vma.end || !(vma.prot & wanted)) return -EFAULT;
    const u64 page = va & ~kPageMask;
    const auto address = entry_address(machine, task.memory, page, true);
    if (!address) return -ENOMEM;
    const u64 entry = read_entry(machine, *address);
    if (!(entry & pte::V)) return populate(machine, task, vma, page, access);
    if (access == Access::Store && !(entry & pte::W)) { // copy on write
        const u64 old = pte::address(entry);
        if (frame_users_[frame_index(old)] == 1) return map_page(machine, task.memory, page, old, vma.prot) ? 0 : -ENOMEM;
        const auto fresh = allocate_frame(machine);
        if (!fresh) return -ENOMEM;
        std::array<u8, kPageSize> bytes;
        machine.ram.read(offset_of(old), bytes);
        machine.ram.write(offset_of(*fresh), bytes);
        release_frame(old);
        return map_page(machine, task.memory, page, *fresh, vma.prot) ? 0 : -ENOMEM;
    }
    // It is there already: the hart's translation was older.
    machine.hart().flush_translations();
    const u64 needed = access == Access::Fetch ? pte::X : access == Access::Load ? pte::R : pte::W;
    if (!(entry & needed)) return map_page(machine, task.memory, page, pte::address(entry), access == Access::Store ? vma.prot : static_cast<u8>(vma.prot & ~kWrite)) ? 0 : -ENOMEM;
    return 0;
}

i64 Kernel::populate(Machine& machine, Task& task, const Vma& vma, u64 page, Access access) {
    const bool from_file = vma.inode && page < vma.file_end;
    const bool whole = from_file && page + kPageSize <= vma.file_end;
    const u64 file_page = vma.file_offset + (page - vma.begin);
    // A whole page of a file that is only read is shared with everyone who maps it.
    if (whole && access != Access::Store && (file_page & kPageMask) == 0) {
        const auto key = std::pair(vma.inode, file_page >> kPageShift);
        if (const auto cached = page_cache_.find(key); cached != page_cache_.end()) {
            share_frame(cached->second);
            return map_page(machine, task.memory, page, cached->second, vma.prot & static_cast<u8>(~kWrite)) ? 0 : -ENOMEM;
        }
    }
    const auto frame = allocate_frame(machine);
    if (!frame) return -ENOMEM;
    if (from_file) {
        const Content content = vfs_.content(vma.inode);
        const u64 bytes = std::min(kPageSize, vma.file_end - page);
        if (content && file_page < content->size()) {
            const u64 count = std::min<u64>(bytes, content->size() - file_page);
            machine.ram.write(offset_of(*frame), std::span(*content).subspan(file_page, count));
        }
    }
    u8 prot = vma.prot;
    if (whole && access != Access::Store && (file_page & kPageMask) == 0) {
        page_cache_[{vma.inode, file_page >> kPageShift}] = *frame;
        share_frame(*frame);
        prot &= static_cast<u8>(~kWrite);
    }
    return map_page(machine, task.memory, page, *frame, prot) ? 0 : -ENOMEM;
}

void Kernel::unmap(Machine& machine, AddressSpace& memory, u64 begin, u64 end) {
    std::vector<Vma> kept;
    for (auto at = memory.vmas.begin(); at != memory.vmas.end();) {
        const Vma vma = at->second;
        if (vma.end <= begin || vma.begin >= end) {
            ++at;
            continue;
        }
        at = memory.vmas.erase(at);
        if (vma.begin < begin) kept.push_back({vma.begin, begin, vma.prot, vma.inode, vma.file_offset, std::min(vma.file_end, begin)});
        if (vma.end > end) kept.push_back({end, vma.end, vma.prot, vma.inode, vma.file_offset + (end - vma.begin), vma.file_end});
        for (u64 page = std::max(begin, vma.begin); page < std::min(end, vma.end); page += kPageSize) {
            const auto address = entry_address(machine, memory, page, false);
            if (!address) { // no table here: on to the next
                page |= (u64{1} << 21) - kPageSize;
                continue;
            }
            const u64 entry = read_entry(machine, *address);
            if (!(entry & pte::V)) continue;
            release_frame(pte::address(entry));
            write_entry(machine, *address, 0);
        }
    }
    for (const Vma& vma : kept) memory.vmas[vma.begin] = vma;
    machine.hart().flush_translations();
}

/// Pages that are there get the new protection; write access comes back by a fault, so that shared ones are copied.
void Kernel::protect_pages(Machine& machine, AddressSpace& memory, u64 begin, u64 end, u8 prot) {
    for (u64 page = begin; page < end; page += kPageSize) {
        const auto address = entry_address(machine, memory, page, false);
        if (!address) {
            page |= (u64{1} << 21) - kPageSize;
            continue;
        }
        const u64 entry = read_entry(machine, *address);
        if (!(entry & pte::V)) continue;
        if (prot & (kRead | kWrite | kExec)) {
            write_entry(machine, *address, make_entry(pte::address(entry), prot & static_cast<u8>(~kWrite)));
        } else { // PROT_NONE: the page stays, out of reach, until it is protected otherwise
            write_entry(machine, *address, (entry & ~(pte::R | pte::W | pte::X)) | pte::X);
        }
    }
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
    memory = {};
    machine.hart().flush_translations();
}

/// fork: both sides keep the frames, and neither may write them in place.
bool Kernel::copy_space(Machine& machine, AddressSpace& to, const AddressSpace& from) {
    to = from;
    to.root = 0;
    auto source = from;
    for (const auto& [begin, vma] : from.vmas) {
        for (u64 page = begin; page < vma.end; page += kPageSize) {
            const auto address = entry_address(machine, source, page, false);
            if (!address) {
                page |= (u64{1} << 21) - kPageSize;
                continue;
            }
            const u64 entry = read_entry(machine, *address);
            if (!(entry & pte::V)) continue;
            const u64 physical = pte::address(entry);
            if (frame_users_[frame_index(physical)] == 0xffff) return false;
            const auto target = entry_address(machine, to, page, true);
            if (!target) return false;
            share_frame(physical);
            write_entry(machine, *address, entry & ~pte::W);
            write_entry(machine, *target, entry & ~pte::W);
        }
    }
    machine.hart().flush_translations();
    return to.root || entry_address(machine, to, 0, true).has_value();
}

// --- Between the kernel and a process: page by page, every pointer checked -------------------------------------------------

bool Kernel::copy_in(Machine& machine, Task& task, u64 va, std::span<u8> out) {
    for (std::size_t done = 0; done < out.size();) {
        const u64 at = va + done;
        if (at < va || fault_in(machine, task, at, Access::Load) < 0) return false;
        const auto address = entry_address(machine, task.memory, at, false);
        const u64 entry = address ? read_entry(machine, *address) : 0;
        if (!(entry & pte::V)) return false;
        const std::size_t chunk = std::min<std::size_t>(out.size() - done, kPageSize - (at & kPageMask));
        machine.ram.read(offset_of(pte::address(entry)) + (at & kPageMask), out.subspan(done, chunk));
        done += chunk;
    }
    return true;
}

bool Kernel::copy_out(Machine& machine, Task& task, u64 va, std::span<const u8> in) {
    for (std::size_t done = 0; done < in.size();) {
        const u64 at = va + done;
        if (at < va || fault_in(machine, task, at, Access::Store) < 0) return false;
        const auto address = entry_address(machine, task.memory, at, false);
        const u64 entry = address ? read_entry(machine, *address) : 0;
        if (!(entry & pte::W)) return false;
        const std::size_t chunk = std::min<std::size_t>(in.size() - done, kPageSize - (at & kPageMask));
        machine.ram.write(offset_of(pte::address(entry)) + (at & kPageMask), in.subspan(done, chunk));
        done += chunk;
    }
    return true;
}

i64 Kernel::copy_text(Machine& machine, Task& task, u64 va, std::string& out, std::size_t most) {
    out.clear();
    for (std::size_t i = 0; i < most; ++i) {
        u8 byte = 0;
        if (!copy_in(machine, task, va + i, std::span(&byte, 1))) return -EFAULT;
        if (!byte) return static_cast<i64>(i);
        out += static_cast<char>(byte);
    }
    return -ENAMETOOLONG;
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
