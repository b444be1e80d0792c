// System calls on a process's memory.
#include "container-sim/syscalls.hpp"

#include <algorithm>

namespace trapeze::container {

namespace {
constexpr u64 kShared = 1, kFixed = 0x10, kAnonymous = 0x20;
constexpr u64 kUserEnd = u64{1} << 38;
constexpr std::size_t kMaxVmas = 4096;
u64 round_up(u64 bytes) { return (bytes + kPageMask) & ~kPageMask; }
} // namespace

Attempt Call::brk() const {
    AddressSpace& memory = task().memory;
    const u64 wanted = arg(0);
    if (wanted < memory.break_begin || wanted >= memory.map_below) return static_cast<i64>(memory.break_end);
    const u64 old_end = round_up(memory.break_end), new_end = round_up(wanted);
    if (new_end > old_end) {
        const auto next = memory.vmas.lower_bound(old_end);
        if (next != memory.vmas.end() && next->first < new_end) return static_cast<i64>(memory.break_end);
        auto heap = memory.vmas.find(memory.break_begin);
        if (heap == memory.vmas.end()) memory.vmas[memory.break_begin] = {memory.break_begin, new_end, 3, 0, 0, 0};
        else heap->second.end = new_end;
    } else if (new_end < old_end) {
        kernel.unmap(machine, memory, new_end, old_end);
    }
    memory.break_end = wanted;
    return static_cast<i64>(wanted);
}

Attempt Call::mmap() const {
    AddressSpace& memory = task().memory;
    const u64 bytes = round_up(arg(1)), flags = arg(3);
    if (!arg(1) || bytes < arg(1) || bytes >= kUserEnd || arg(5) & kPageMask) return -kEINVAL;
    if (memory.vmas.size() >= kMaxVmas) return -kENOMEM;
    Vma vma;
    vma.prot = arg(2) & 7;
    if (!(flags & kAnonymous)) {
        const OpenFile* file = kernel.file_of(task(), arg(4));
        if (!file) return -kEBADF;
        if (file->kind != FileKind::Inode || kernel.type_of(file->location.inode) != InodeType::File) return -kEACCES;
        if (flags & kShared && vma.prot & 2) return -kEACCES; // writes would have to reach the file
        vma.inode = file->location.inode;
        vma.file_offset = arg(5);
    }
    if (flags & kFixed) {
        if (arg(0) & kPageMask || arg(0) >= kUserEnd || bytes > kUserEnd - arg(0)) return -kEINVAL;
        vma.begin = arg(0);
        kernel.unmap(machine, memory, vma.begin, vma.begin + bytes);
    } else {
        vma.begin = kernel.find_gap(memory, bytes);
        if (!vma.begin) return -kENOMEM;
    }
    vma.end = vma.begin + bytes;
    vma.file_end = vma.inode ? vma.end : 0;
    memory.vmas[vma.begin] = vma;
    return static_cast<i64>(vma.begin);
}

Attempt Call::munmap() const {
    const u64 bytes = round_up(arg(1));
    if (arg(0) & kPageMask || !bytes || arg(0) >= kUserEnd || bytes > kUserEnd - arg(0)) return -kEINVAL;
    kernel.unmap(machine, task().memory, arg(0), arg(0) + bytes);
    return 0;
}

Attempt Call::mprotect() const {
    AddressSpace& memory = task().memory;
    const u64 begin = arg(0), bytes = round_up(arg(1)), end = begin + bytes;
    if (begin & kPageMask || end < begin || end > kUserEnd) return -kEINVAL;
    if (memory.vmas.size() >= kMaxVmas) return -kENOMEM;
    // Cut the areas at both ends, so that whole ones change.
    for (u64 cut : {begin, end}) {
        auto at = memory.vmas.upper_bound(cut);
        if (at == memory.vmas.begin()) continue;
        Vma& low = (--at)->second;
        if (cut <= low.begin || cut >= low.end) continue;
        Vma high = low;
        high.begin = cut, high.file_offset = low.file_offset + (cut - low.begin);
        low.end = cut;
        memory.vmas[cut] = high;
    }
    u64 covered = begin;
    for (auto at = memory.vmas.lower_bound(begin); at != memory.vmas.end() && at->second.begin < end && at->second.begin == covered; ++at) {
        at->second.prot = arg(2) & 7;
        covered = at->second.end;
    }
    if (covered < end) return -kENOMEM;
    kernel.protect_pages(machine, task().memory, begin, end, arg(2) & 7);
    return 0;
}

Attempt Call::madvise() const { return 0; }

} // namespace trapeze::container
