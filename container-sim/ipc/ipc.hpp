// What processes of one ipc namespace share (sysvipc(7), mq_overview(7)): semaphore sets, message queues, segments of memory, POSIX message
// queues. Plain values; who waits for one of them is in the kernel's wait queues.
//
// Known gaps: no huge pages, no locking of segments in memory, SIGEV_THREAD of mq_notify(3) is EINVAL.
#pragma once

#include "container-sim/namespaces.hpp"
#include "emulator/base/types.hpp"

#include <algorithm>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace trapeze::container {

inline constexpr i32 kPrivateKey = 0;               ///< IPC_PRIVATE; what is marked for removal has it as well
inline constexpr u32 kMaxIpcIndex = 32'768;         ///< of objects of one kind in a namespace; an id is sequence * this + index
inline constexpr std::size_t kMaxIpcObjects = 65'536, kMaxSemaphores = 1 << 20, kMaxUndoEntries = 1 << 18; ///< of the whole kernel, then ENOSPC

/// struct ipc64_perm: what every System V object has. Ids are the kernel's.
struct IpcHead {
    i32 key = 0, id = 0;
    u32 uid = 0, gid = 0, creator_uid = 0, creator_gid = 0;
    u32 mode = 0;
    u64 serial = 0;                 ///< never given out again: what waits and mappings call it by
    u64 changed = 0;                ///< seconds of CLOCK_REALTIME, as all times here
    bool operator==(const IpcHead&) const = default;
};

struct Semaphore {
    i32 value = 0, last = 0;        ///< last: pid in the host's namespace of who changed it
    bool operator==(const Semaphore&) const = default;
};
struct SemaphoreSet : IpcHead {
    u64 used = 0;
    std::vector<Semaphore> semaphores;
    bool operator==(const SemaphoreSet&) const = default;
};
/// What is undone when the last task that shares it ends (SEM_UNDO, CLONE_SYSVSEM): by the set's serial and the semaphore's number.
struct SemaphoreUndo {
    u32 ipc_namespace = 0;
    std::map<std::pair<u64, u16>, i32> adjustments;
    bool operator==(const SemaphoreUndo&) const = default;
};

struct SystemMessage {
    i64 type = 0;
    std::string text;
    bool operator==(const SystemMessage&) const = default;
};
struct SystemQueue : IpcHead {
    std::deque<SystemMessage> messages;
    u64 bytes = 0, most_bytes = 0;
    u64 sent = 0, received = 0;
    i32 last_sender = 0, last_receiver = 0;
    bool operator==(const SystemQueue&) const = default;
};

/// A name for a segment of memory; the memory itself may outlive it.
struct SegmentName : IpcHead {
    bool operator==(const SegmentName&) const = default;
};
struct SharedSegment {
    u32 ipc_namespace = 0;
    bool named = true;              ///< its namespace has it
    bool removed = false;           ///< goes with the last mapping (SHM_DEST)
    u64 bytes = 0;
    u64 attached = 0, detached = 0;
    i32 creator = 0, last = 0;
    u64 areas = 0;                  ///< of all processes that map it
    bool anonymous = false;         ///< not System V's: shared by fork alone
    std::map<u64, u64> frames;      ///< page of the segment to its frame, which it holds as a user
    bool operator==(const SharedSegment&) const = default;
};

/// Objects of one kind in a namespace, by index. Ids are given out as ipc_addid does: the next free index in a cycle of at least 64, and a
/// new sequence number whenever the index does not grow.
template <class T> struct IpcTable {
    std::map<u32, T> objects;
    u32 next = 0, last = ~u32{0}, sequence = 0;

    T* find(i32 id) {
        const auto found = objects.find(static_cast<u32>(id) % kMaxIpcIndex);
        return id >= 0 && found != objects.end() && found->second.id == id ? &found->second : nullptr;
    }
    T* by_key(i32 key) {
        const auto found = std::find_if(objects.begin(), objects.end(), [key](const auto& entry) { return entry.second.key == key; });
        return found == objects.end() ? nullptr : &found->second;
    }
    T* by_index(u32 index) {
        const auto found = objects.find(index);
        return found == objects.end() ? nullptr : &found->second;
    }
    /// Gives it its id. Pre: fewer than kMaxIpcIndex objects.
    T& add(T object) {
        constexpr u32 kShortestCycle = 64;
        const u32 cycle = std::min(std::max(static_cast<u32>(objects.size()) * 3 / 2, kShortestCycle), kMaxIpcIndex);
        u32 index = next;
        while (index < cycle && objects.contains(index)) ++index;
        if (index >= cycle) index = 0;
        while (objects.contains(index)) ++index;
        next = index + 1;
        if (last != ~u32{0} && index <= last) sequence = (sequence + 1) % (u32{1} << 16);
        last = index;
        object.id = static_cast<i32>(sequence * kMaxIpcIndex + index);
        return objects[index] = std::move(object);
    }
    void erase(i32 id) { objects.erase(static_cast<u32>(id) % kMaxIpcIndex); }
    u32 highest() const { return objects.empty() ? 0 : objects.rbegin()->first; }
    bool operator==(const IpcTable&) const = default;
};

/// /proc/sys/kernel/shm*, sem, msg* and /proc/sys/fs/mqueue/*.
struct IpcLimits {
    u64 segment_bytes = ~u64{0} - (1 << 24), segment_pages = ~u64{0} - (1 << 24), segments = 4096;
    u64 set_semaphores = 32'000, semaphores = 1'024'000'000, operations = 500, sets = 32'000;
    u64 message_bytes = 8192, queue_bytes = 16'384, queues = 32'000;
    u64 posix_queues = 256, posix_messages = 10, posix_bytes = 8192, posix_default_messages = 10, posix_default_bytes = 8192;
    bool operator==(const IpcLimits&) const = default;
};

/// One notification that a process has asked for (mq_notify(3)).
struct QueueNotice {
    i32 owner = 0;                  ///< pid in the host's namespace; 0: nobody
    u32 table = 0;                  ///< its descriptors: closing one of the queue's forgets it
    i32 kind = 0, number = 0;
    u64 value = 0;
    bool operator==(const QueueNotice&) const = default;
};
struct PosixMessage {
    u32 priority = 0;
    std::string text;
    bool operator==(const PosixMessage&) const = default;
};
/// By inode in the mqueue file system.
struct PosixQueue {
    i64 most_messages = 0, message_bytes = 0;
    std::vector<PosixMessage> messages; ///< the highest priority first, older ones first among the same
    u64 bytes = 0;
    u64 charge = 0;                 ///< against its maker's RLIMIT_MSGQUEUE
    u32 maker = 0;                  ///< uid
    u32 opens = 0;
    u32 ipc_namespace = 0;
    QueueNotice notice;
    bool operator==(const PosixQueue&) const = default;
};

struct IpcNamespace : NamespaceHead {
    IpcTable<SemaphoreSet> sets;
    IpcTable<SystemQueue> queues;
    IpcTable<SegmentName> segments;
    IpcLimits limits;
    u32 queue_mount = 0;            ///< of its mqueue file system, in no tree; 0: not asked for yet
    bool operator==(const IpcNamespace&) const = default;
};

/// Of all namespaces together: what bounds the host's memory.
struct IpcTotals {
    u64 objects = 0, semaphores = 0, bytes = 0;
    bool operator==(const IpcTotals&) const = default;
};
inline constexpr u64 kMessageOverhead = 64; ///< bytes that an empty message counts for in IpcTotals

} // namespace trapeze::container
