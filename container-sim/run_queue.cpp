// Who runs next: a fair share of the hart by weights. Each group with the cpu controller has a queue in which its tasks, and the groups below
// it, take turns by virtual time, cycles divided by weight; the root's queue is where choosing begins. Ties go by who came first, so the
// order is the same in each run. A group with a quota (cpu.max) that has used it up waits for its next period. Pressure is counted here.
//
// Tasks under SCHED_FIFO and SCHED_RR go before all others, by priority, whatever group they are in; when one wakes it takes the hart at once.
//
// Known gaps: one hart; a woken task under SCHED_OTHER does not take the hart from another before its slice ends; real-time tasks are held
// back by no quota and may take the whole hart.
#include "container-sim/kernel.hpp"

#include <algorithm>

namespace trapeze::container {

namespace {

constexpr u32 kNobody = ~u32{0};
constexpr u64 kUnit = 1024, kIdleWeight = 3;
constexpr u32 kPolicyFifo = 1, kPolicyRoundRobin = 2, kPolicyIdle = 5;
constexpr u64 kRealTimeSlice = 10'000'000; // 100 ms
bool is_real_time(const Task& task) { return task.policy == kPolicyFifo || task.policy == kPolicyRoundRobin; }
/// sched(7): nice -20 to 19; a step is about 1.25 times as much.
constexpr u64 kNiceWeights[] = {88761, 71755, 56483, 46273, 36291, 29154, 23254, 18705, 14949, 11916, 9548, 7620, 6100, 4904, 3906, 3121, 2501, 1991, 1586, 1277,
                                1024,  820,   655,   526,   423,   335,   272,   215,   172,   137,   110,  87,   70,   56,   45,   36,   29,   23,   18,   15};

u64 weight_of_group(const CpuGroup& cpu) { return cpu.idle ? kIdleWeight : std::max<u64>(1, cpu.weight * kUnit / 100); }

} // namespace

u64 nice_weight(i32 nice) { return kNiceWeights[std::clamp(nice, -20, 19) + 20]; }

u64 Kernel::weight_of(const Task& task) const { return task.policy == kPolicyIdle ? kIdleWeight : nice_weight(process_of(task).nice); }

/// The group whose queue the tasks of a group wait in.
u32 Kernel::cpu_home(u32 group) const {
    while (group != 0 && !(controllers_of(group) & bit(Controller::Cpu))) group = cgroups[group].parent;
    return group;
}

// --- Queues --------------------------------------------------------------------------------------------------------------------------

void Kernel::enqueue(u32 index) {
    Task& task = tasks[index];
    if (task.queued) return;
    if (is_real_time(task)) {
        task.turn = next_turn++, task.queued = true;
        real_time.insert({-task.priority, task.turn, index});
        return note_waiting(task.cgroup, true);
    }
    task.home = cpu_home(task.cgroup);
    CpuGroup& cpu = cgroups[task.home].cpu;
    task.virtual_time = std::max(task.virtual_time, cpu.least); // who has slept gets no more than the others for it
    task.turn = next_turn++, task.queued = true;
    cpu.ready.insert({task.virtual_time, task.turn, false, index});
    note_waiting(task.cgroup, true);
    enqueue_group(task.home);
}

void Kernel::dequeue(u32 index) {
    Task& task = tasks[index];
    if (!task.queued) return;
    task.queued = false;
    if (real_time.erase({-task.priority, task.turn, index})) return note_waiting(task.cgroup, false);
    cgroups[task.home].cpu.ready.erase({task.virtual_time, task.turn, false, index});
    note_waiting(task.cgroup, false);
    if (cgroups[task.home].cpu.ready.empty()) dequeue_group(task.home);
}

/// A group takes its turn in the queue above while somebody waits in its own, unless its quota is used up.
void Kernel::enqueue_group(u32 group) {
    for (CpuGroup* cpu = &cgroups[group].cpu; group != 0 && !cpu->queued && !cpu->throttled && !cpu->ready.empty(); cpu = &cgroups[group].cpu) {
        const u32 above = cpu_home(cgroups[group].parent);
        cpu->virtual_time = std::max(cpu->virtual_time, cgroups[above].cpu.least);
        cpu->turn = next_turn++, cpu->queued = true;
        cgroups[above].cpu.ready.insert({cpu->virtual_time, cpu->turn, true, group});
        group = above;
    }
}

void Kernel::dequeue_group(u32 group) {
    for (CpuGroup* cpu = &cgroups[group].cpu; group != 0 && cpu->queued; cpu = &cgroups[group].cpu) {
        const u32 above = cpu_home(cgroups[group].parent);
        cpu->queued = false;
        cgroups[above].cpu.ready.erase({cpu->virtual_time, cpu->turn, true, group});
        if (!cgroups[above].cpu.ready.empty()) return;
        group = above;
    }
}

/// The task that has had least of what it should get, from the root down.
std::optional<u32> Kernel::choose() {
    if (!real_time.empty()) {
        const u32 first = std::get<2>(*real_time.begin());
        dequeue(first);
        tasks[first].on_hart = true;
        note_running(tasks[first].cgroup, true);
        return first;
    }
    for (u32 at = 0; !cgroups[at].cpu.ready.empty();) {
        CpuGroup& cpu = cgroups[at].cpu;
        const Ready first = *cpu.ready.begin();
        cpu.least = std::max(cpu.least, first.virtual_time);
        if (first.is_group) {
            at = first.index;
            continue;
        }
        dequeue(first.index);
        tasks[first.index].on_hart = true;
        note_running(tasks[first.index].cgroup, true);
        return first.index;
    }
    return std::nullopt;
}

/// The current task's slice is over, or it waits: what it has used is counted, and if it could go on it queues again.
void Kernel::put_back() {
    const u32 index = current;
    leave_hart(index);
    current = kNobody;
    Task& task = tasks[index];
    const bool lets_go_first = std::exchange(yields, false);
    if (task.state != TaskState::Runnable || task.frozen) return;
    if (task.policy == kPolicyFifo && !lets_go_first) { // it stays the first of its priority
        task.queued = true;
        real_time.insert({-task.priority, task.turn, index});
        return note_waiting(task.cgroup, true);
    }
    const std::set<Ready>& others = cgroups[cpu_home(task.cgroup)].cpu.ready;
    if (lets_go_first && !others.empty()) task.virtual_time = std::max(task.virtual_time, others.begin()->virtual_time);
    enqueue(index);
}

/// A real-time task that can run takes the hart from whoever is less urgent.
void Kernel::preempt_for(u32 index) {
    if (current == kNobody || index == current || !is_real_time(tasks[index])) return;
    if (!is_real_time(tasks[current]) || tasks[current].priority < tasks[index].priority) slice_left = 0;
}

void Kernel::leave_hart(u32 index) {
    Task& task = tasks[index];
    if (!task.on_hart) return;
    if (index == current) account_current();
    task.on_hart = false;
    note_running(task.cgroup, false);
}

/// At most this many instructions before others are looked at again: a slice, or what quotas have left.
u64 Kernel::slice_of(const Task& task) const {
    if (is_real_time(task)) return kRealTimeSlice;
    u64 slice = kSlice;
    for (u32 at = task.cgroup; at != 0; at = cgroups[at].parent) {
        const CpuGroup& cpu = cgroups[at].cpu;
        if (cpu.quota != kNoLimit) slice = std::min(slice, cpu.period_end ? cpu.left : cpu.quota);
    }
    return std::max<u64>(1, slice);
}

// --- Counting ------------------------------------------------------------------------------------------------------------------------------

void Kernel::account_current() {
    const u64 cycles = std::exchange(ran, 0);
    if (current == kNobody || !tasks[current].on_hart || !cycles) return;
    if (is_real_time(tasks[current])) { // no share and no quota is used up
        for (u32 at = tasks[current].cgroup;; at = cgroups[at].parent) {
            cgroups[at].cpu.used += cycles;
            if (at == 0) return;
        }
    }
    tasks[current].virtual_time += cycles * kUnit / weight_of(tasks[current]);
    charge_cpu(tasks[current].cgroup, cycles);
}

void Kernel::charge_cpu(u32 group, u64 cycles) {
    for (u32 at = group;; at = cgroups[at].parent) {
        CpuGroup& cpu = cgroups[at].cpu;
        cpu.used += cycles;
        if (at == 0) return;
        if (!(controllers_of(at) & bit(Controller::Cpu))) continue;
        if (cpu.queued) dequeue_group(at);
        cpu.virtual_time += cycles * kUnit / weight_of_group(cpu);
        if (cpu.quota != kNoLimit) {
            if (!cpu.period_end) cpu.left = cpu.left_first = std::max(cpu.left, cpu.quota), cpu.period_end = clock + cpu.period, renewals.insert({cpu.period_end, at});
            cpu.left -= std::min(cpu.left, cycles);
            if (!cpu.left && !cpu.throttled) throttle(at);
        }
        enqueue_group(at);
    }
}

void Kernel::throttle(u32 group) {
    CpuGroup& cpu = cgroups[group].cpu;
    ++cpu.throttles;
    cpu.throttled = true, cpu.throttled_since = clock;
    dequeue_group(group);
}

/// A period of cpu.max is over. The next one begins if something was used in this one.
void Kernel::renew_quota(u32 group) {
    CpuGroup& cpu = cgroups[group].cpu;
    renewals.erase({cpu.period_end, group});
    if (std::exchange(cpu.throttled, false)) cpu.throttled_cycles += clock - cpu.throttled_since;
    const u64 spent = cpu.left_first - std::min(cpu.left_first, cpu.left);
    const bool used = cpu.period_end && cpu.quota != kNoLimit && spent;
    cpu.period_end = used ? std::max(cpu.period_end, clock) + cpu.period : 0;
    cpu.periods += used;
    if (used && spent > cpu.quota) ++cpu.bursts, cpu.burst_cycles += spent - cpu.quota;
    cpu.left = cpu.left_first = cpu.quota == kNoLimit ? kNoLimit : cpu.quota + std::min(cpu.left, cpu.burst);
    if (used) renewals.insert({cpu.period_end, group});
    enqueue_group(group);
}

/// When somebody who waits for nothing but a quota goes on; ~0: never.
u64 Kernel::next_renewal() const {
    for (const auto& [end, group] : renewals)
        if (cgroups[group].cpu.throttled && !cgroups[group].cpu.ready.empty()) return end;
    return kForever;
}

// --- Pressure ------------------------------------------------------------------------------------------------------------------------------

/// The time up to now was one of waiting for a group, or it was not.
void Kernel::note_stall(u32 group) {
    Cgroup& own = cgroups[group];
    const u64 passed = clock - std::exchange(own.cpu.noted, clock);
    if (own.memory.stalled) own.memory_pressure.some += passed;
    if (own.memory.stalled && !own.cpu.waiting && !own.cpu.running) own.memory_pressure.full += passed;
    if (own.io.stalled) own.io_pressure.some += passed;
    if (own.io.stalled && !own.cpu.waiting && !own.cpu.running) own.io_pressure.full += passed;
    if (!own.cpu.waiting) return;
    own.cpu_pressure.some += passed;
    if (!own.cpu.running && group != 0) own.cpu_pressure.full += passed;
}
void Kernel::note_waiting(u32 group, bool more) {
    for (;; group = cgroups[group].parent) {
        note_stall(group);
        cgroups[group].cpu.waiting += more ? 1 : ~u32{0};
        if (group == 0) return;
    }
}
void Kernel::note_running(u32 group, bool running) {
    for (;; group = cgroups[group].parent) {
        note_stall(group);
        cgroups[group].cpu.running = running;
        if (group == 0) return;
    }
}

} // namespace trapeze::container
