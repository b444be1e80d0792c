// The controller io of cgroup v2. The machine's disk, 254:0, is where folders of the host and layers of images lie: what is read of them for
// the first time, and what is written to them, goes through it. io.max makes who passes it wait until the disk would have been done.
//
// Known gaps: writing goes to the disk at once, not later; a wait comes behind the transfer, not before it; the disk itself takes no time;
// io.weight shares nothing, for nothing queues.
#include "container-sim/page_tables.hpp"

#include <algorithm>

namespace trapeze::container {

namespace {
constexpr u64 kSecond = 1'000'000'000 / Kernel::kNanosecondsPerCycle;
}

/// Bytes of a file go to or from the disk, in one piece, in the name of `payer`.
void Kernel::charge_io(Machine& machine, u32 inode, u64 bytes, bool writing) {
    if (!bytes || is_of_memory(inode)) return;
    const std::size_t way = writing ? 1 : 0;
    Task& task = tasks[payer];
    for (u32 at = process_of(task).cgroup;; at = cgroups[at].parent) {
        IoGroup& io = cgroups[at].io;
        io.bytes[way] += bytes, ++io.operations[way];
        if (at == 0) return;
        const u64 by_bytes = io.most_bytes[way] == kNoLimit ? 0 : bytes * kSecond / io.most_bytes[way];
        const u64 by_count = io.most_operations[way] == kNoLimit ? 0 : kSecond / io.most_operations[way];
        const u64 cost = std::max(by_bytes, by_count);
        if (!cost) continue;
        io.free_at[way] = std::max(io.free_at[way], machine.cycles()) + cost;
        task.device_until = std::max(task.device_until, io.free_at[way]);
    }
}

/// A task on its way back to its program has moved more than io.max allows: it waits. True: it does.
bool Kernel::wait_for_device(Machine& machine, u32 index) {
    Task& task = tasks[index];
    const u64 until = std::exchange(task.device_until, 0);
    if (until <= machine.cycles()) return false;
    task.device_stalled = true;
    note_device_stalled(task.cgroup, true);
    task.deadline = until;
    return block(index), true;
}

/// A task begins to wait for the disk, or goes on: pressure of its group and those above.
void Kernel::note_device_stalled(u32 group, bool more) {
    for (;; group = cgroups[group].parent) {
        note_stall(group);
        cgroups[group].io.stalled += more ? 1 : ~u32{0};
        if (group == 0) return;
    }
}

/// read(2) and its like bring a file's pages into memory, where the next reader finds them. Without room for them they do without.
void Kernel::cache_read(Machine& machine, u32 inode, u64 offset, u64 bytes) {
    if (!bytes || is_of_memory(inode)) return;
    u64 missing = 0;
    for (u64 page = offset >> kPageShift; page <= (offset + bytes - 1) >> kPageShift; ++page) {
        u64 frame = 0;
        if (const auto cached = page_cache.find({inode, page}); cached != page_cache.end()) {
            renew_turn(cached);
            continue;
        }
        missing += kPageSize;
        if (!enter_page(machine, inode, page, frame)) break;
    }
    charge_io(machine, inode, missing, false);
}

} // namespace trapeze::container
