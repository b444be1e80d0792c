// System V shared memory (shmget(2), shmop(2), shmctl(2)). A segment takes its frames when they are first touched; all who attach it find the
// same ones. It outlives its name while it is attached.
#include "container-sim/ipc/ipc_calls.hpp"
#include "container-sim/lookups.hpp"

#include "container-sim/abi.hpp"

namespace trapeze::container {

namespace {

constexpr u32 kDestroyed = 01000; // SHM_DEST, shown in its mode
constexpr u64 kReadOnly = 010000, kRound = 020000, kReplace = 040000, kExecute = 0100000;
constexpr u32 kHuge = 04000;
u64 pages_of(u64 bytes) { return (bytes + kPageMask) / kPageSize; }

/// struct shmid64_ds
struct SegmentRecord {
    IpcPermissions permissions;
    u64 bytes, attached, detached, changed;
    i32 creator, last;
    u64 attachments, unused[2];
};
static_assert(sizeof(SegmentRecord) == 112);

} // namespace

/// Areas of all processes that map it (shm_nattch).
u64 Kernel::attachments(u64 serial) const { return segments.at(serial).areas; }

/// The frame of a page of a segment; nullopt: memory is full.
std::optional<u64> Kernel::segment_frame(Machine& machine, u64 serial, u64 page) {
    auto& frames = segments.at(serial).frames;
    if (const auto known = frames.find(page); known != frames.end()) return known->second;
    const auto frame = allocate_frame(machine, FrameKind::Shared);
    if (frame) frames[page] = *frame;
    return frame;
}

void Kernel::erase_segment(u64 serial) {
    SharedSegment& gone = segments.at(serial);
    for (const auto& [page, frame] : gone.frames) release_frame(frame);
    if (gone.named) {
        std::erase_if(ipc_namespaces[gone.ipc_namespace].segments.objects, [serial](const auto& entry) { return entry.second.serial == serial; });
        --ipc_totals.objects;
    }
    segments.erase(serial);
}

/// Areas of these segments have gone: those that are marked for removal, or whose namespace is gone, go with their last area.
void Kernel::detach_segments(Machine& machine, const std::set<u64>& serials) {
    for (u64 serial : serials) {
        const auto found = segments.find(serial);
        if (found == segments.end()) continue;
        SharedSegment& segment = found->second;
        segment.detached = wall_clock(machine) / 1'000'000'000;
        if (current < tasks.size()) segment.last = process_of(tasks[current]).pid;
        if ((segment.removed || !segment.named) && !attachments(serial)) erase_segment(serial);
    }
}

Attempt Call::shmget() const {
    IpcNamespace& own = ipc();
    const u64 bytes = arg(1);
    const u32 flags = static_cast<u32>(arg(2));
    return get_ipc_object(
        *this, own.segments, kernel.ipc_namespaces[0].segments, int_arg(0), flags, own.limits.segments, [&](const SegmentName& name) -> i64 { return bytes > kernel.segments.at(name.serial).bytes ? -kEINVAL : 0; },
        [&](SegmentName& name) -> i64 {
            if (bytes < 1 || bytes > own.limits.segment_bytes || flags & kHuge) return -kEINVAL;
            u64 pages = pages_of(bytes);
            for (const auto& [index, other] : own.segments.objects) pages += pages_of(kernel.segments.at(other.serial).bytes);
            if (pages > own.limits.segment_pages) return -kENOSPC;
            if (pages_of(bytes) > kernel.frame_users.size()) return -kENOMEM;
            SharedSegment segment;
            segment.ipc_namespace = task().namespaces.ipc, segment.bytes = bytes, segment.creator = kernel.process_of(task()).pid;
            kernel.segments[name.serial] = segment;
            return 0;
        });
}

Attempt Call::shmat() const {
    SegmentName* name = int_arg(0) < 0 ? nullptr : ipc().segments.find(int_arg(0));
    const u64 flags = arg(2);
    u64 at = arg(1);
    if (int_arg(0) < 0) return -kEINVAL;
    if (at & kPageMask) {
        if (!(flags & kRound)) return -kEINVAL;
        at &= ~kPageMask;
        if (!at && flags & kReplace) return -kEINVAL;
    }
    if (!at && arg(1) == 0 && flags & kReplace) return -kEINVAL;
    if (!name) return -kEINVAL;
    if (!may_use(*name, (flags & kReadOnly ? 0444u : 0666u) | (flags & kExecute ? 0111u : 0u))) return -kEACCES;
    AddressSpace& memory = kernel.memory_of(task());
    SharedSegment& segment = kernel.segments.at(name->serial);
    const u64 bytes = pages_of(segment.bytes) * kPageSize;
    if (memory.vmas.size() >= Kernel::kMaxVmas) return -kENOMEM;
    Vma vma;
    vma.begin = at ? at : kernel.find_gap(memory, bytes);
    if (!vma.begin) return -kENOMEM;
    if (vma.begin >= kUserEnd || bytes > kUserEnd - vma.begin) return -kEINVAL;
    if (at) {
        const auto after = memory.vmas.lower_bound(at + bytes);
        const bool taken = after != memory.vmas.begin() && std::prev(after)->second.end > at;
        if (taken && !(flags & kReplace)) return -kEINVAL;
        if (!kernel.unmap(machine, memory, at, at + bytes)) return -kENOMEM;
    }
    vma.end = vma.begin + bytes, vma.shared = true, vma.segment = name->serial;
    vma.prot = static_cast<u8>(kProtRead | (flags & kReadOnly ? 0 : kProtWrite) | (flags & kExecute ? kProtExec : 0));
    kernel.add_area(memory, vma);
    segment.attached = seconds_now(), segment.last = kernel.process_of(task()).pid;
    return static_cast<i64>(vma.begin);
}

/// All areas of the segment whose first byte would be at the address go.
Attempt Call::shmdt() const {
    AddressSpace& memory = kernel.memory_of(task());
    if (arg(0) & kPageMask) return -kEINVAL;
    u64 serial = 0;
    std::vector<std::pair<u64, u64>> areas;
    for (auto at = memory.vmas.lower_bound(arg(0)); at != memory.vmas.end(); ++at) {
        const Vma& vma = at->second;
        if (!vma.segment || kernel.segments.at(vma.segment).anonymous || vma.begin - vma.file_offset != arg(0) || (serial && vma.segment != serial)) continue;
        serial = vma.segment;
        areas.push_back({vma.begin, vma.end});
    }
    for (const auto& [begin, end] : areas) kernel.unmap(machine, memory, begin, end);
    return areas.empty() ? -kEINVAL : 0;
}

namespace {

enum SegmentCommand : i32 { kLock = 11, kUnlock = 12, kStatIndex = 13, kInfo = 14, kStatAny = 15 };

i64 tell_limits(const Call& call, IpcNamespace& own) {
    const std::array<u64, 9> limits{own.limits.segment_bytes, 1, own.limits.segments, own.limits.segments, own.limits.segment_pages};
    return call.write_user(call.arg(2), limits) ? own.segments.highest() : -kEFAULT;
}

i64 tell_use(const Call& call, IpcNamespace& own) {
    struct {
        i32 used, pad;
        u64 total, resident, swapped, attempts, successes;
    } info{};
    info.used = static_cast<i32>(own.segments.objects.size());
    for (const auto& [index, name] : own.segments.objects) {
        const SharedSegment& segment = call.kernel.segments.at(name.serial);
        info.total += pages_of(segment.bytes), info.resident += segment.frames.size();
    }
    return call.write_user(call.arg(2), info) ? own.segments.highest() : -kEFAULT;
}

} // namespace

Attempt Call::shmctl() const {
    IpcNamespace& own = ipc();
    const i32 command = int_arg(1);
    if (int_arg(0) < 0 || command < 0) return -kEINVAL;
    if (command == kIpcInfo) return tell_limits(*this, own);
    if (command == kInfo) return tell_use(*this, own);
    const bool by_index = command == kStatIndex || command == kStatAny;
    if (command > kIpcStat && (command < kLock || command > kStatAny)) return -kEINVAL;
    SegmentRecord record{};
    if (command == kIpcSet && !read_user(arg(2), record)) return -kEFAULT;
    SegmentName* name = ipc_object(own.segments, int_arg(0), by_index);
    if (!name) return -kEINVAL;
    SharedSegment& segment = kernel.segments.at(name->serial);
    if (command == kIpcStat || by_index) {
        if (command != kStatAny && !may_use(*name, 0444)) return -kEACCES;
        const u32 pids = task().namespaces.pid;
        record = {permissions_of(*this, *name), segment.bytes, segment.attached, segment.detached, name->changed, kernel.pid_in(segment.creator, pids), kernel.pid_in(segment.last, pids),
                  kernel.attachments(name->serial), {}};
        return write_user(arg(2), record) ? Attempt(by_index ? name->id : 0) : Attempt(-kEFAULT);
    }
    if (command == kLock || command == kUnlock) {
        const u32 euid = task().credentials.euid;
        return euid == name->uid || euid == name->creator_uid || asks_capable(*this, own.owner, Capability::IpcLock) ? Attempt(0) : Attempt(-kEPERM);
    }
    if (!may_control(*name)) return -kEPERM;
    if (command == kIpcSet) return change_ipc_head(*name, record.permissions.uid, record.permissions.gid, record.permissions.mode);
    segment.removed = true;
    name->key = kPrivateKey, name->mode |= kDestroyed;
    if (!kernel.attachments(name->serial)) kernel.erase_segment(name->serial);
    return 0;
}

} // namespace trapeze::container
