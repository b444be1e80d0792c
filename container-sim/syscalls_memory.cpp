// System calls on a process's memory.
#include "container-sim/abi.hpp"
#include "container-sim/syscalls.hpp"

#include <algorithm>

namespace trapeze::container {

namespace {
constexpr u64 kShared = 1, kPrivate = 2, kSharedValidate = 3, kKind = 0xf, kFixed = 0x10, kAnonymous = 0x20, kNoReplace = 0x100000;
u64 round_up(u64 bytes) { return (bytes + kPageMask) & ~kPageMask; }
/// As the RISC-V kernel has it: what can be written can be read.
u8 protection(u64 prot) { return static_cast<u8>((prot & 7) | (prot & kProtWrite ? kProtRead : 0)); }
constexpr u64 kLowest = 0x10000; // vm.mmap_min_addr
bool covers_any(const AddressSpace& memory, u64 begin, u64 end) {
    const auto after = memory.vmas.lower_bound(end);
    return after != memory.vmas.begin() && std::prev(after)->second.end > begin;
}
} // namespace

Attempt Call::brk() const {
    AddressSpace& memory = kernel.memory_of(task());
    const u64 wanted = arg(0);
    if (wanted < memory.break_begin || wanted >= memory.map_below) return static_cast<i64>(memory.break_end);
    const u64 old_end = round_up(memory.break_end), new_end = round_up(wanted);
    if (new_end > old_end) {
        const auto next = memory.vmas.lower_bound(old_end);
        if (next != memory.vmas.end() && next->first < new_end) return static_cast<i64>(memory.break_end);
        const auto heap = next == memory.vmas.begin() ? next : std::prev(next);
        const bool goes_on = heap != next && heap->second.end == old_end && heap->first >= memory.break_begin && heap->second.prot == (kProtRead | kProtWrite) &&
                             !heap->second.inode && !heap->second.shared;
        if (goes_on) heap->second.end = new_end;
        else if (memory.vmas.size() >= Kernel::kMaxVmas) return static_cast<i64>(memory.break_end);
        else memory.vmas[old_end] = {.begin = old_end, .end = new_end, .prot = kProtRead | kProtWrite};
    } else if (new_end < old_end) {
        kernel.unmap(machine, memory, new_end, old_end);
    }
    memory.break_end = wanted;
    return static_cast<i64>(wanted);
}

Attempt Call::mmap() const {
    AddressSpace& memory = kernel.memory_of(task());
    const u64 bytes = round_up(arg(1)), flags = arg(3);
    const bool shared = (flags & kKind) == kShared || (flags & kKind) == kSharedValidate;
    if (arg(5) & kPageMask) return -kEINVAL;
    Vma vma;
    vma.prot = protection(arg(2));
    if (!(flags & kAnonymous)) {
        const OpenFile* file = kernel.file_of(task(), fd_arg(4));
        if (!file) return -kEBADF;
        if (file->kind != FileKind::Inode) return -kENODEV;
        if ((file->flags & kAccess) == kWriteOnly) return -kEACCES;
        if (!is_plain_file(*file)) return -kENODEV;
        const auto mount = kernel.vfs.mounts.find(file->location.mount);
        if (vma.prot & kProtExec && mount != kernel.vfs.mounts.end() && mount->second.flags & mount_flag::kNoExec) return -kEPERM;
        if (shared && vma.prot & kProtWrite) return -kEACCES; // writes would have to reach the file
        vma.inode = kernel.vfs.data_inode(file->location.inode);
        vma.file_offset = arg(5);
    }
    if (!arg(1) || !(shared || (flags & kKind) == kPrivate)) return -kEINVAL;
    if (bytes < arg(1) || bytes >= kUserEnd || memory.vmas.size() >= Kernel::kMaxVmas) return -kENOMEM;
    if (flags & (kFixed | kNoReplace)) {
        if (arg(0) & kPageMask) return -kEINVAL;
        if (arg(0) >= kUserEnd || bytes > kUserEnd - arg(0)) return -kENOMEM;
        vma.begin = arg(0);
        if (vma.begin < kLowest) return -kEPERM;
        if (flags & kNoReplace && covers_any(memory, vma.begin, vma.begin + bytes)) return -kEEXIST;
        kernel.unmap(machine, memory, vma.begin, vma.begin + bytes);
    } else {
        vma.begin = kernel.find_gap(memory, bytes);
        if (!vma.begin) return -kENOMEM;
    }
    vma.end = vma.begin + bytes;
    vma.file_end = vma.inode ? vma.end : 0;
    vma.shared = shared && !vma.inode;
    memory.vmas[vma.begin] = vma;
    // What is shared has its frames from the start, so that those who come to share it by fork find the same ones.
    for (u64 page = vma.begin; vma.shared && page < vma.end; page += kPageSize)
        if (kernel.populate(machine, memory, vma, page, Access::Store) < 0) {
            kernel.unmap(machine, memory, vma.begin, vma.end);
            return -kENOMEM;
        }
    return static_cast<i64>(vma.begin);
}

Attempt Call::munmap() const {
    const u64 bytes = round_up(arg(1));
    if (arg(0) & kPageMask || !bytes || arg(0) >= kUserEnd || bytes > kUserEnd - arg(0)) return -kEINVAL;
    if (kernel.memory_of(task()).vmas.size() >= Kernel::kMaxVmas) return -kENOMEM;
    kernel.unmap(machine, kernel.memory_of(task()), arg(0), arg(0) + bytes);
    return 0;
}

Attempt Call::mprotect() const {
    AddressSpace& memory = kernel.memory_of(task());
    const u64 begin = arg(0), bytes = round_up(arg(1)), end = begin + bytes;
    if (begin & kPageMask || end < begin || end > kUserEnd) return -kEINVAL;
    if (memory.vmas.size() >= Kernel::kMaxVmas) return -kENOMEM;
    // Cut the areas at both ends, so that whole ones change.
    for (u64 cut : {begin, end}) {
        auto at = memory.vmas.upper_bound(cut);
        if (at == memory.vmas.begin()) continue;
        Vma& low = (--at)->second;
        if (cut <= low.begin || cut >= low.end) continue;
        const Vma high = low.part(cut, low.end);
        low = low.part(low.begin, cut);
        memory.vmas[cut] = high;
    }
    u64 covered = begin;
    for (auto at = memory.vmas.lower_bound(begin); at != memory.vmas.end() && at->second.begin < end && at->second.begin == covered; ++at) {
        at->second.prot = protection(arg(2));
        covered = at->second.end;
    }
    kernel.protect_pages(machine, kernel.memory_of(task()), begin, std::min(covered, end), protection(arg(2))); // up to the first hole, as Linux does
    return covered < end ? Attempt(-kENOMEM) : Attempt(0);
}

Attempt Call::madvise() const {
    constexpr u64 kDontNeed = 4;
    const u64 begin = arg(0), end = begin + round_up(arg(1));
    if (begin & kPageMask || end < begin) return -kEINVAL;
    if (end > kUserEnd) return -kENOMEM;
    if (arg(2) != kDontNeed) return 0;
    for (const auto& [at, vma] : kernel.memory_of(task()).vmas) // private pages begin anew; shared ones are still the others'
        if (!vma.shared && vma.begin < end && vma.end > begin) kernel.discard_pages(machine, kernel.memory_of(task()), std::max(begin, vma.begin), std::min(end, vma.end));
    return 0;
}

} // namespace trapeze::container
