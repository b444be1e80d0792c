// System calls about pages that are mapped: madvise, mlock and its siblings, mincore, msync; another process's memory.
#include "container-sim/page_tables.hpp"
#include "container-sim/lookups.hpp"
#include "container-sim/fs/proc.hpp"
#include "container-sim/syscalls.hpp"

#include <algorithm>

namespace trapeze::container {

namespace {
u64 round_up(u64 bytes) { return (bytes + kPageMask) & ~kPageMask; }
}

/// Calls act(area) for each area of a range, cut at both ends where `cut`. 0, -kENOMEM when there are holes, or what `act` answered last but 0.
i64 Call::for_areas(u64 begin, u64 end, bool cut, const std::function<i64(Vma&)>& act) const {
    AddressSpace& memory = kernel.memory_of(task());
    if (cut && (!kernel.cut_area(memory, begin) || !kernel.cut_area(memory, end))) return -kENOMEM;
    u64 covered = begin;
    bool hole = false;
    auto at = memory.vmas.upper_bound(begin);
    if (at != memory.vmas.begin() && std::prev(at)->second.end > begin) --at;
    for (; at != memory.vmas.end() && at->first < end; ++at) {
        hole |= at->first > covered;
        if (const i64 error = act(at->second)) return error;
        covered = at->second.end;
    }
    return hole || covered < end ? -kENOMEM : 0;
}

// --- madvise -------------------------------------------------------------------------------------------------------------------------------

namespace {

enum Advice : u64 { kWillNeed = 3, kDontNeed = 4, kFree = 8, kRemove = 9, kDontFork = 10, kDoFork = 11, kMergeable = 12, kDoDump = 17, kWipeOnFork = 18, kKeepOnFork = 19,
                    kCold = 20, kPageOut = 21, kPopulateRead = 22, kPopulateWrite = 23, kDontNeedLocked = 24, kCollapse = 25 };

/// MADV_REMOVE: a hole in what is shared.
i64 punch_area(const Call& call, const Vma& vma, u64 begin, u64 end) {
    constexpr u32 kKeepSize = 1, kPunchHole = 2;
    if (vma.flags & area::kLocked || !(vma.inode || vma.segment)) return -kEINVAL;
    if (!vma.shared || !(vma.prot & kProtWrite)) return -kEACCES;
    const u64 from = vma.page_of(begin) << kPageShift, bytes = end - begin;
    if (vma.segment) {
        const auto& frames = call.kernel.segments.at(vma.segment).frames;
        for (auto at = frames.lower_bound(from >> kPageShift); at != frames.end() && at->first << kPageShift < from + bytes; ++at)
            call.machine.ram.fill(offset_of(at->second), kPageSize, 0);
        return 0;
    }
    call.kernel.pull_pages(call.machine, vma.inode, from, from + bytes);
    const i64 error = call.kernel.vfs.allocate_data(vma.inode, kKeepSize | kPunchHole, from, bytes, call.viewer().now);
    if (!error) call.kernel.renew_pages(call.machine, vma.inode, from, from + bytes);
    return error;
}

i64 drop_area(const Call& call, const Vma& vma, u64 advice, u64 begin, u64 end) {
    if (vma.flags & area::kLocked && advice != kDontNeedLocked) return -kEINVAL;
    if (advice == kFree && (vma.inode || vma.shared)) return -kEINVAL;
    call.kernel.discard_pages(call.machine, call.kernel.memory_of(call.task()), begin, end); // what is shared stays in its file
    return 0;
}

i64 flag_area(Vma& vma, u64 advice) {
    if (advice == kWipeOnFork && (vma.inode || vma.shared)) return -kEINVAL;
    const u16 flag = advice <= kDoFork ? area::kDontFork : area::kWipeOnFork;
    if (advice == kDontFork || advice == kWipeOnFork) vma.flags |= flag;
    else vma.flags &= static_cast<u16>(~flag);
    return 0;
}

} // namespace

Attempt Call::madvise() const {
    const u64 begin = arg(0), end = begin + round_up(arg(1)), advice = static_cast<u32>(arg(2));
    const bool known = advice <= kDontNeed || (advice >= kFree && advice <= kDontNeedLocked);
    if (!known || begin & kPageMask || end < begin) return -kEINVAL;
    if (begin == end) return 0;
    if (end > kUserEnd) return -kENOMEM;
    AddressSpace& memory = kernel.memory_of(task());
    const bool flags = advice == kDontFork || advice == kDoFork || advice == kWipeOnFork || advice == kKeepOnFork;
    const i64 result = for_areas(begin, end, flags, [&](Vma& vma) -> i64 {
        const u64 from = std::max(begin, vma.begin), to = std::min(end, vma.end);
        if (flags) return flag_area(vma, advice);
        if (advice == kDontNeed || advice == kFree || advice == kDontNeedLocked) return drop_area(*this, vma, advice, from, to);
        if (advice == kRemove) return punch_area(*this, vma, from, to);
        return 0;
    });
    if (flags) kernel.join_areas(memory, begin, end);
    if (result || (advice != kPopulateRead && advice != kPopulateWrite)) return result;
    for (u64 page = begin; page < end; page += kPageSize)
        if (const i64 error = kernel.fault_in(machine, memory, page, advice == kPopulateWrite ? Access::Store : Access::Load); error < 0) return error == kBusFault ? -kEFAULT : error == -kEFAULT ? -kEINVAL : error;
    return 0;
}

// --- Locked pages. Nothing is ever paged out, so that a lock is a promise kept already -----------------------------------------------------------------

Attempt Call::mlock() const { return lock_range(0); }
Attempt Call::mlock2() const { return arg(2) & ~u64{1} ? Attempt(-kEINVAL) : lock_range(arg(2)); }

Attempt Call::lock_range(u64 flags) const {
    constexpr u64 kOnFault = 1;
    const u64 begin = arg(0) & ~kPageMask, end = round_up(arg(0) + arg(1));
    if (!kernel.process_of(task()).limits[kLimitLocked].current && !asks_capable(*this, 0, Capability::IpcLock)) return -kEPERM;
    u64 more = 0;
    if (end < begin) return -kEINVAL;
    if (begin == end) return 0;
    for_areas(begin, end, false, [&](Vma& vma) -> i64 { return more += vma.flags & area::kLocked ? 0 : std::min(end, vma.end) - std::max(begin, vma.begin), 0; });
    if (locks_too_much(std::max(more, end - begin > kUserEnd ? end - begin : 0))) return -kENOMEM;
    if (const i64 error = for_areas(begin, end, true, [](Vma& vma) -> i64 { return vma.flags |= area::kLocked, 0; })) return error;
    kernel.join_areas(kernel.memory_of(task()), begin, end);
    if (!(flags & kOnFault)) touch_pages(begin, end);
    return 0;
}

Attempt Call::munlock() const {
    const u64 begin = arg(0) & ~kPageMask, end = round_up(arg(0) + arg(1));
    if (end < begin) return -kEINVAL;
    if (begin == end) return 0;
    const i64 error = for_areas(begin, end, true, [](Vma& vma) -> i64 { return vma.flags &= static_cast<u16>(~area::kLocked), 0; });
    kernel.join_areas(kernel.memory_of(task()), begin, end);
    return error;
}

Attempt Call::mlockall() const {
    constexpr u64 kCurrent = 1, kFuture = 2, kOnFault = 4;
    AddressSpace& memory = kernel.memory_of(task());
    if (!arg(0) || arg(0) & ~(kCurrent | kFuture | kOnFault) || arg(0) == kOnFault) return -kEINVAL;
    const u64 limit = kernel.process_of(task()).limits[kLimitLocked].current;
    const bool capable = asks_capable(*this, 0, Capability::IpcLock);
    if (!limit && !capable) return -kEPERM;
    if (arg(0) & kCurrent && kernel.size_of_space(memory).all > limit && !capable) return -kENOMEM;
    memory.lock_future = arg(0) & kFuture;
    if (!(arg(0) & kCurrent)) return 0;
    for (auto& [begin, vma] : memory.vmas) vma.flags |= area::kLocked;
    if (arg(0) & kOnFault) return 0;
    const std::map<u64, Vma> areas = memory.vmas;
    for (const auto& [begin, vma] : areas) touch_pages(begin, vma.end);
    return 0;
}

Attempt Call::munlockall() const {
    AddressSpace& memory = kernel.memory_of(task());
    memory.lock_future = false;
    for (auto& [begin, vma] : memory.vmas) vma.flags &= static_cast<u16>(~area::kLocked);
    return 0;
}

// --- What is there, and what is stored ------------------------------------------------------------------------------------------------------------

Attempt Call::mincore() const {
    constexpr u64 kChunk = u64{4096} << kPageShift;
    AddressSpace& memory = kernel.memory_of(task());
    const u64 begin = arg(0), end = begin + round_up(arg(1));
    if (begin & kPageMask) return -kEINVAL;
    if (end < begin || end > kUserEnd) return -kENOMEM;
    for (u64 at = begin; at < end; at += kChunk) {
        const u64 to = std::min(end, at + kChunk);
        std::vector<u8> resident((to - at) >> kPageShift);
        visit_pages(machine, memory, at, to, [&](u64 page, u64) { resident[(page - at) >> kPageShift] = 1; });
        const i64 hole = for_areas(at, to, false, [&](Vma& vma) -> i64 {
            if (!vma.inode) return 0;
            const u64 first = vma.page_of(std::max(at, vma.begin)), last = vma.page_of(std::min(to, vma.end));
            for (auto cached = kernel.page_cache.lower_bound({vma.inode, first}); cached != kernel.page_cache.end() && cached->first.first == vma.inode && cached->first.second < last; ++cached)
                resident[(vma.begin - at + (cached->first.second << kPageShift) - vma.file_offset) >> kPageShift] = 1;
            return 0;
        });
        if (hole) return hole;
        if (!kernel.copy_out(machine, task(), arg(2) + ((at - begin) >> kPageShift), resident)) return -kEFAULT;
    }
    return 0;
}

Attempt Call::msync() const {
    constexpr u64 kAsync = 1, kInvalidate = 2, kSync = 4;
    const u64 begin = arg(0), end = begin + round_up(arg(1)), flags = arg(2);
    if (flags & ~(kAsync | kInvalidate | kSync) || begin & kPageMask || (flags & kAsync && flags & kSync)) return -kEINVAL;
    if (end < begin) return -kENOMEM;
    if (begin == end) return 0;
    return for_areas(begin, end, false, [&](Vma& vma) -> i64 {
        if (flags & kInvalidate && vma.flags & area::kLocked) return -kEBUSY;
        if (vma.inode && vma.shared && flags & kSync)
            kernel.pull_pages(machine, vma.inode, vma.page_of(std::max(begin, vma.begin)) << kPageShift, vma.page_of(std::min(end, vma.end)) << kPageShift);
        return 0;
    });
}

// --- Another process's memory ---------------------------------------------------------------------------------------------------------------------

namespace {
struct Stretch {
    u64 at = 0, bytes = 0;
};
bool read_stretches(const Call& call, u64 at, u64 count, std::vector<Stretch>& out) {
    out.resize(count);
    return call.kernel.copy_in(call.machine, call.task(), at, std::span(reinterpret_cast<u8*>(out.data()), count * sizeof(Stretch)));
}
} // namespace

/// Bytes between the two lists of stretches, as many as can be reached.
Attempt Call::copy_process_memory(bool writing) const {
    constexpr u64 kMostStretches = 1024;
    std::vector<Stretch> own, other;
    if (arg(5) || arg(2) > kMostStretches || arg(4) > kMostStretches) return -kEINVAL;
    if (!read_stretches(*this, arg(1), arg(2), own) || !read_stretches(*this, arg(3), arg(4), other)) return -kEFAULT;
    const auto target = kernel.task_by_pid(int_arg(0), task().namespaces.pid);
    if (!target || !kernel.tasks[*target].memory) return -kESRCH;
    if (!may_trace(viewer(), kernel.tasks[*target])) return -kEPERM;
    u64 total = 0;
    for (std::size_t mine = 0, theirs = 0; mine < own.size() && theirs < other.size() && total < Kernel::kMaxTransfer;) {
        Stretch &here = own[mine], &there = other[theirs];
        if (!here.bytes || !there.bytes) {
            here.bytes ? ++theirs : ++mine;
            continue;
        }
        std::array<u8, kPageSize> bytes;
        const u64 from = writing ? here.at : there.at, to = writing ? there.at : here.at;
        const std::span<u8> part = std::span(bytes).first(std::min({here.bytes, there.bytes, kPageSize - (from & kPageMask), kPageSize - (to & kPageMask)}));
        const Task &reader = kernel.tasks[writing ? index : *target], &writer = kernel.tasks[writing ? *target : index];
        if (!kernel.copy_in(machine, reader, from, part) || !kernel.copy_out(machine, writer, to, part)) return total ? static_cast<i64>(total) : -kEFAULT;
        here.at += part.size(), here.bytes -= part.size(), there.at += part.size(), there.bytes -= part.size(), total += part.size();
    }
    return static_cast<i64>(total);
}
Attempt Call::process_vm_readv() const { return copy_process_memory(false); }
Attempt Call::process_vm_writev() const { return copy_process_memory(true); }

} // namespace trapeze::container
