// System calls that give an address space its areas: brk, mmap, munmap, mprotect, mremap.
#include "container-sim/abi.hpp"
#include "container-sim/lookups.hpp"
#include "container-sim/syscalls.hpp"

#include <algorithm>

namespace trapeze::container {

namespace {
enum MapFlag : u64 { kShared = 1, kPrivate = 2, kSharedValidate = 3, kKind = 0xf, kFixed = 0x10, kAnonymous = 0x20, kGrowsDown = 0x100, kLocked = 0x2000, kNoReserve = 0x4000,
                     kPopulate = 0x8000, kHugePages = 0x40000, kNoReplace = 0x100000 };
u64 round_up(u64 bytes) { return (bytes + kPageMask) & ~kPageMask; }
/// As the RISC-V kernel has it: what can be written can be read.
u8 protection(u64 prot) { return static_cast<u8>((prot & 7) | (prot & kProtWrite ? kProtRead : 0)); }
constexpr u64 kLowest = 0x10000; // vm.mmap_min_addr
} // namespace

/// Brings in all pages of a range, as far as there is memory.
void Call::touch_pages(u64 begin, u64 end) const {
    AddressSpace& memory = kernel.memory_of(task());
    for (u64 page = begin; page < end; page += kPageSize) {
        const auto area = memory.vmas.upper_bound(page);
        if (area == memory.vmas.begin()) return;
        const Vma& vma = std::prev(area)->second;
        const Access access = vma.prot & kProtWrite && !vma.shared ? Access::Store : vma.prot & kProtRead ? Access::Load : Access::Fetch;
        if (kernel.fault_in(machine, memory, page, access) < 0 || !kernel.victims.empty()) return;
    }
}

/// Room for so many bytes more: RLIMIT_AS, RLIMIT_DATA, and no single promise beyond the machine (vm.overcommit_memory 0).
bool Call::may_add(u64 bytes, bool data, bool reserved) const {
    if (data && reserved && bytes > machine.ram.size()) return false;
    return kernel.may_grow(kernel.process_of(task()), kernel.memory_of(task()), bytes, data);
}

/// RLIMIT_MEMLOCK would be passed by so many bytes more.
bool Call::locks_too_much(u64 bytes) const {
    const u64 limit = kernel.process_of(task()).limits[kLimitLocked].current;
    return kernel.size_of_space(kernel.memory_of(task())).locked + bytes > limit && !asks_capable(*this, 0, Capability::IpcLock);
}

Attempt Call::brk() const {
    AddressSpace& memory = kernel.memory_of(task());
    const u64 wanted = arg(0);
    if (wanted < memory.break_begin || wanted >= memory.map_below) return static_cast<i64>(memory.break_end);
    const u64 old_end = round_up(memory.break_end), new_end = round_up(wanted);
    if (wanted - memory.break_begin > kernel.process_of(task()).limits[kLimitData].current) return static_cast<i64>(memory.break_end);
    if (new_end > old_end) {
        const bool room = memory.vmas.size() < Kernel::kMaxVmas && may_add(new_end - old_end, true, true);
        if (kernel.covers_any(memory, old_end, new_end) || !room) return static_cast<i64>(memory.break_end);
        kernel.add_area(memory, {.begin = old_end, .end = new_end, .prot = kProtRead | kProtWrite, .flags = memory.lock_future ? area::kLocked : u16{0}});
        if (memory.lock_future) touch_pages(old_end, new_end);
    } else if (new_end < old_end && !kernel.unmap(machine, memory, new_end, old_end)) {
        return static_cast<i64>(memory.break_end);
    }
    memory.break_end = wanted;
    return static_cast<i64>(wanted);
}

/// The file that is to be mapped. 0 or an errno.
i64 Call::map_file(Vma& vma, bool shared) const {
    const OpenFile* file = kernel.file_of(task(), fd_arg(4));
    if (!file) return -kEBADF;
    if (file->kind == FileKind::Device) return file->object == 5 ? 0 : -kENODEV; // /dev/zero: as if there were no file
    if (file->kind != FileKind::Inode) return -kENODEV;
    if ((file->flags & kAccess) == kWriteOnly) return -kEACCES;
    if (!is_plain_file(*file)) return -kENODEV;
    const auto mount = kernel.vfs.mounts.find(file->location.mount);
    if (vma.prot & kProtExec && mount != kernel.vfs.mounts.end() && mount->second.flags & mount_flag::kNoExec) return -kEPERM;
    const bool may_write = (file->flags & kAccess) == 2;
    if (shared && vma.prot & kProtWrite && !may_write) return -kEACCES;
    const Inode& inode = kernel.vfs.inodes.get(file->location.inode);
    const bool sealed = sealed_against(inode, seal::kWrite | seal::kFutureWrite) != 0;
    if (shared && vma.prot & kProtWrite && sealed) return -kEPERM;
    if (shared && (!may_write || sealed)) vma.flags |= area::kMayNotWrite;
    vma.inode = kernel.vfs.data_inode(file->location.inode);
    vma.file_offset = arg(5);
    return 0;
}

/// Where the area goes: where it was asked to, or where there is room. 0 or an errno.
i64 Call::place_area(Vma& vma, u64 bytes, u64 flags) const {
    AddressSpace& memory = kernel.memory_of(task());
    if (flags & (kFixed | kNoReplace)) {
        if (arg(0) & kPageMask) return -kEINVAL;
        if (arg(0) >= kUserEnd || bytes > kUserEnd - arg(0)) return -kENOMEM;
        vma.begin = arg(0);
        if (vma.begin < kLowest) return -kEPERM;
        if (flags & kNoReplace && kernel.covers_any(memory, vma.begin, vma.begin + bytes)) return -kEEXIST;
        if (!kernel.unmap(machine, memory, vma.begin, vma.begin + bytes)) return -kENOMEM;
    } else {
        const u64 hint = arg(0) & ~kPageMask;
        const bool fits = hint >= kLowest && hint < kUserEnd && bytes <= kUserEnd - hint && !kernel.covers_any(memory, hint, hint + bytes);
        vma.begin = fits ? hint : kernel.find_gap(memory, bytes);
        if (!vma.begin) return -kENOMEM;
    }
    vma.end = vma.begin + bytes;
    vma.file_end = vma.inode ? vma.end : 0;
    return 0;
}

Attempt Call::mmap() const {
    AddressSpace& memory = kernel.memory_of(task());
    const u64 bytes = round_up(arg(1)), flags = arg(3);
    const bool shared = (flags & kKind) == kShared || (flags & kKind) == kSharedValidate;
    if (arg(5) & kPageMask) return -kEINVAL;
    Vma vma;
    vma.prot = protection(arg(2)), vma.shared = shared;
    if (!(flags & kAnonymous))
        if (const i64 error = map_file(vma, shared)) return error;
    if (!arg(1) || !(shared || (flags & kKind) == kPrivate)) return -kEINVAL;
    if (bytes < arg(1) || bytes >= kUserEnd || memory.vmas.size() >= Kernel::kMaxVmas || flags & kHugePages) return -kENOMEM;
    if (vma.inode && (arg(5) > kMaxFileOffset || bytes > kMaxFileOffset - arg(5))) return -kEOVERFLOW;
    if (flags & kGrowsDown && shared) return -kEINVAL;
    const bool data = vma.prot & kProtWrite && !shared, reserved = !(flags & kNoReserve);
    if (!may_add(bytes, data, reserved) || (shared && !vma.inode && reserved && bytes > machine.ram.size())) return -kENOMEM;
    if (flags & kLocked && !kernel.process_of(task()).limits[kLimitLocked].current && !asks_capable(*this, 0, Capability::IpcLock)) return -kEPERM;
    if ((flags & kLocked || memory.lock_future) && locks_too_much(bytes)) return -kEAGAIN;
    if (const i64 error = place_area(vma, bytes, flags)) return error;
    if (flags & kGrowsDown) vma.flags |= area::kGrowsDown;
    if (flags & kLocked || memory.lock_future) vma.flags |= area::kLocked;
    if (shared && !vma.inode) {
        vma.segment = kernel.next_ipc_serial++;
        SharedSegment& segment = kernel.segments[vma.segment];
        segment.named = false, segment.removed = segment.anonymous = true, segment.bytes = bytes;
    }
    kernel.add_area(memory, vma);
    if (flags & kPopulate || vma.flags & area::kLocked) touch_pages(vma.begin, vma.end);
    return static_cast<i64>(vma.begin);
}

Attempt Call::munmap() const {
    const u64 bytes = round_up(arg(1));
    if (arg(0) & kPageMask || !bytes || arg(0) >= kUserEnd || bytes > kUserEnd - arg(0)) return -kEINVAL;
    return kernel.unmap(machine, kernel.memory_of(task()), arg(0), arg(0) + bytes) ? 0 : -kENOMEM;
}

Attempt Call::mprotect() const {
    constexpr u64 kKnown = 7 | 8; // PROT_SEM has no effect
    AddressSpace& memory = kernel.memory_of(task());
    const u64 begin = arg(0), bytes = round_up(arg(1)), end = begin + bytes;
    const u8 prot = protection(arg(2));
    if (begin & kPageMask) return -kEINVAL;
    if (!arg(1)) return 0;
    if (end <= begin || end > kUserEnd) return -kENOMEM;
    if (arg(2) & ~kKnown) return -kEINVAL;
    if (!kernel.cut_area(memory, begin) || !kernel.cut_area(memory, end)) return -kENOMEM;
    u64 covered = begin;
    i64 error = 0;
    for (auto at = memory.vmas.lower_bound(begin); at != memory.vmas.end() && at->first < end && at->first == covered; ++at) {
        if (prot & kProtWrite && at->second.shared && at->second.flags & area::kMayNotWrite) {
            error = -kEACCES;
            break;
        }
        at->second.prot = prot;
        covered = at->second.end;
    }
    kernel.protect_pages(machine, memory, begin, std::min(covered, end), prot); // up to the first hole, as Linux does
    kernel.join_areas(memory, begin, end);
    return error ? error : covered < end ? -kENOMEM : 0;
}

// --- mremap --------------------------------------------------------------------------------------------------------------------------------

namespace {
enum MoveFlag : u64 { kMayMove = 1, kMoveFixed = 2, kDontUnmap = 4 };
}

/// The area's part at `from` goes on at `to`, `bytes` long; 0 or an errno.
i64 Call::move_area(const Vma& area, u64 from, u64 old_bytes, u64 to, u64 bytes, bool leave) const {
    AddressSpace& memory = kernel.memory_of(task());
    if (memory.vmas.size() + 3 >= Kernel::kMaxVmas) return -kENOMEM;
    Vma moved = area.part(from, std::min(area.end, from + std::max(old_bytes, kPageSize)));
    if (moved.inode) moved.file_end = moved.file_end == moved.end ? to + bytes : moved.file_end - from + to;
    moved.begin = to, moved.end = to + bytes;
    const u64 carried = std::min(old_bytes, bytes);
    if (!kernel.move_pages(machine, memory, from, to, carried)) {
        kernel.move_pages(machine, memory, to, from, carried);
        return -kENOMEM;
    }
    kernel.add_area(memory, moved);
    if (old_bytes && !leave) kernel.unmap(machine, memory, from, from + old_bytes);
    if (moved.flags & area::kLocked) touch_pages(to, to + bytes);
    return 0;
}

/// An area grows where it is, when nothing lies behind it.
bool Call::grow_in_place(u64 begin, u64 old_bytes, u64 bytes) const {
    AddressSpace& memory = kernel.memory_of(task());
    Vma& area = std::prev(memory.vmas.upper_bound(begin))->second;
    const u64 end = begin + bytes;
    if (area.end != begin + old_bytes || end < begin || end > kUserEnd || kernel.covers_any(memory, area.end, end)) return false;
    if (area.inode && area.file_end == area.end) area.file_end = end;
    const u64 before = std::exchange(area.end, end);
    memory.grow(end - before);
    if (area.flags & area::kLocked) touch_pages(before, end);
    return true;
}

Attempt Call::mremap() const {
    AddressSpace& memory = kernel.memory_of(task());
    const u64 from = arg(0), old_bytes = round_up(arg(1)), bytes = round_up(arg(2)), flags = arg(3), to = arg(4);
    if (flags & ~u64{kMayMove | kMoveFixed | kDontUnmap} || (flags & (kMoveFixed | kDontUnmap) && !(flags & kMayMove)) || from & kPageMask || !bytes) return -kEINVAL;
    if (flags & kDontUnmap && old_bytes != bytes) return -kEINVAL;
    if (bytes >> 56) return -kEINVAL; // beyond any RISC-V address space
    if (bytes > kUserEnd || old_bytes > kUserEnd || from >= kUserEnd) return bytes > kUserEnd ? -kENOMEM : -kEFAULT;
    if (flags & kMoveFixed && (to & kPageMask || to >= kUserEnd || bytes > kUserEnd - to || (from + old_bytes > to && to + bytes > from))) return -kEINVAL;
    const auto above = memory.vmas.upper_bound(from);
    if (above == memory.vmas.begin() || std::prev(above)->second.end <= from) return -kEFAULT;
    const Vma area = std::prev(above)->second;
    if (!(flags & kMoveFixed) && old_bytes >= bytes && old_bytes && !(flags & kDontUnmap)) {
        if (old_bytes > bytes && !kernel.unmap(machine, memory, from + bytes, from + old_bytes)) return -kENOMEM;
        return static_cast<i64>(from);
    }
    if (!old_bytes && !area.shared) return -kEINVAL;
    if (old_bytes > area.end - from) return -kEFAULT;
    if (flags & kDontUnmap && (area.shared || area.inode)) return -kEINVAL;
    if (area.inode && bytes > kMaxFileOffset - area.file_offset) return -kEINVAL;
    const u64 more = bytes > old_bytes || flags & kDontUnmap ? bytes - (flags & kDontUnmap ? 0 : old_bytes) : 0;
    if (more && area.flags & area::kLocked && locks_too_much(more)) return -kEAGAIN;
    if (more && !may_add(more, area.prot & kProtWrite && !area.shared, true)) return -kENOMEM;
    if (!(flags & (kMoveFixed | kDontUnmap)) && old_bytes && grow_in_place(from, old_bytes, bytes)) return static_cast<i64>(from);
    if (!(flags & kMayMove)) return -kENOMEM;
    u64 target = to;
    if (!(flags & kMoveFixed)) target = kernel.find_gap(memory, bytes);
    else if (!kernel.unmap(machine, memory, to, to + bytes)) return -kENOMEM;
    if (!target) return -kENOMEM;
    const i64 error = move_area(area, from, old_bytes, target, bytes, flags & kDontUnmap);
    return error ? error : static_cast<i64>(target);
}

} // namespace trapeze::container
