// The controller memory of cgroup v2: which group pays for a page, limits, and being slowed down beyond memory.high. What makes room is in
// reclaim.cpp, who has to end when nothing does in out_of_memory.cpp, the files in cgroup_memory.cpp.
//
// Known gaps: of the kernel's own memory only page tables and stacks count, not inodes, sockets and pipes; a charge is exact, one page at a
// time, where Linux takes 64 in advance; what a call takes after somebody was chosen to end goes over the limit until that one has ended.
#include "container-sim/page_tables.hpp"

#include <algorithm>

namespace trapeze::container {

namespace {
constexpr u64 kBatch = 32;         ///< pages that are reclaimed at once (SWAP_CLUSTER_MAX)
constexpr u32 kChargeBatch = 64;   ///< pages beyond memory.high after which a task is slowed down (MEMCG_CHARGE_BATCH)
}

/// The group that memory of a group counts in: the nearest that has the controller.
u32 Kernel::memory_home(u32 group) const {
    while (group != 0 && (cgroups[group].removed || !(controllers_of(group) & bit(Controller::Memory)))) group = cgroups[group].parent;
    return group;
}

/// Pages more for a group and all above it. False: a limit would be passed, nothing can be reclaimed and nobody can be ended.
bool Kernel::charge_memory(Machine& machine, u32 group, FrameKind kind, u64 pages) {
    const auto full = [&]() -> std::optional<u32> {
        for (u32 at = group; at != 0; at = cgroups[at].parent)
            if (cgroups[at].memory.most != kNoLimit && cgroups[at].memory.pages + pages > cgroups[at].memory.most) return at;
        return std::nullopt;
    };
    while (const auto at = full()) {
        if (is_ending(*at)) break; // there will be room
        memory_event(*at, MemoryEvent::Max);
        if (reclaim(machine, *at, std::max(pages, kBatch))) continue;
        if (!out_of_memory(machine, *at)) return false;
        break;
    }
    count_memory(group, kind, static_cast<i64>(pages));
    for (u32 at = group; at != 0; at = cgroups[at].parent)
        if (cgroups[at].memory.pages > cgroups[at].memory.high) return tasks[payer].over_high += static_cast<u32>(pages), true;
    return true;
}

void Kernel::count_memory(u32 group, FrameKind kind, i64 pages) {
    cgroups[group].memory.own += static_cast<u64>(pages);
    for (u32 at = group;; at = cgroups[at].parent) {
        MemoryGroup& memory = cgroups[at].memory;
        memory.pages += static_cast<u64>(pages);
        memory.kinds[static_cast<std::size_t>(kind)] += static_cast<u64>(pages);
        memory.peak = std::max(memory.peak, memory.pages);
        if (at == 0) return;
    }
}

void Kernel::charge_frame(u64 index, u32 group, FrameKind kind) {
    frame_charges[index].group = group & 0xfff'ffff, frame_charges[index].kind = static_cast<u32>(kind) & 0xf;
}

/// A group goes, or its controller does: what is charged to it counts in another from now on. Pre: that one lies above.
void Kernel::pass_on_charges(u32 from, u32 to) {
    if (!cgroups[from].memory.own || from == to) return;
    const auto pass = [&](FrameKind kind, u64 pages) { count_memory(from, kind, -static_cast<i64>(pages)), count_memory(to, kind, static_cast<i64>(pages)); };
    for (u64 i = 0; i < frame_charges.size(); ++i) {
        if (!frame_users[i] || frame_charges[i].group != from) continue;
        const FrameKind kind = static_cast<FrameKind>(frame_charges[i].kind);
        pass(kind, 1), charge_frame(i, to, kind);
    }
    for (Task& task : tasks)
        if (task.stack_group == from) pass(FrameKind::Stack, kStackPages), task.stack_group = to;
    std::vector<std::pair<u64, std::pair<u32, u64>>> files; // turn and page
    const auto begin = reclaimable.lower_bound({from, 0}), end = reclaimable.lower_bound({from + 1, 0});
    for (auto page = begin; page != end; ++page) files.push_back({page->first.second, page->second});
    reclaimable.erase(begin, end);
    for (const auto& [turn, page] : files) reclaimable[{to, turn}] = page;
    cgroups[to].memory.files += std::exchange(cgroups[from].memory.files, 0);
}

/// A line of memory.events counts one more, in the group and in all above it; memory.events.local only in the group.
void Kernel::memory_event(u32 group, MemoryEvent event) {
    const std::size_t line = static_cast<std::size_t>(event);
    ++cgroups[group].memory.local_events[line], ++cgroups[group].memory.local_changes;
    tell_cgroup_file(group, "memory.events.local");
    for (u32 at = group; at != 0; at = cgroups[at].parent) {
        ++cgroups[at].memory.events[line], ++cgroups[at].memory.changes;
        tell_cgroup_file(at, "memory.events");
    }
}

/// The kernel's stack of a new task. False: its group has no room for it.
bool Kernel::charge_stack(Machine& machine, u32 index) {
    const u32 group = memory_home(tasks[index].cgroup);
    if (!charge_memory(machine, group, FrameKind::Stack, kStackPages)) return false;
    tasks[index].stack_group = group;
    return true;
}
void Kernel::give_back_stack(Task& task) {
    if (task.stack_group) count_memory(*task.stack_group, FrameKind::Stack, -static_cast<i64>(kStackPages));
    task.stack_group.reset();
}

/// A page has come in at a task's touch; `major`: it was read.
void Kernel::count_fault(bool major) {
    for (u32 at = paying_group();; at = cgroups[at].parent) {
        ++cgroups[at].memory.faults, cgroups[at].memory.major_faults += major;
        if (at == 0) return;
    }
}

// --- memory.high ---------------------------------------------------------------------------------------------------------------------------

/// A task on its way back to its program has taken more than memory.high allows: room is made, and if there is none it waits, the longer the
/// farther its group is beyond (mem_cgroup_handle_over_high). True: it waits.
bool Kernel::slow_down(Machine& machine, u32 index) {
    constexpr u64 kPrecision = 20, kScaling = 14, kSecond = 1'000'000'000 / kNanosecondsPerCycle, kMost = 2 * kSecond, kLeast = kSecond / 100;
    if (tasks[index].over_high < kChargeBatch) return false;
    const u64 pages = std::exchange(tasks[index].over_high, 0);
    u64 worst = 0;
    for (u32 at = memory_home(process_of(tasks[index]).cgroup); at != 0; at = cgroups[at].parent) {
        const MemoryGroup& memory = cgroups[at].memory;
        if (memory.pages <= memory.high) continue;
        memory_event(at, MemoryEvent::High);
        reclaim(machine, at, std::max(pages, kBatch));
        const u64 high = std::max<u64>(1, memory.high);
        if (memory.pages > high) worst = std::max(worst, std::min(((memory.pages - high) << kPrecision) / high, u64{1} << 26));
    }
    const u64 wait = std::min(kMost, (worst * worst >> kPrecision) * (kSecond >> kScaling) * pages / kChargeBatch);
    if (wait <= kLeast) return false;
    tasks[index].stalled = true;
    note_stalled(tasks[index].cgroup, true);
    tasks[index].deadline = machine.cycles() + wait;
    return block(index), true;
}

/// A task begins to wait for memory, or goes on: pressure of its group and those above.
void Kernel::note_stalled(u32 group, bool more) {
    for (;; group = cgroups[group].parent) {
        note_stall(group);
        cgroups[group].memory.stalled += more ? 1 : ~u32{0};
        if (group == 0) return;
    }
}

} // namespace trapeze::container
