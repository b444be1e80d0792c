// System calls on scheduling (sched(7), nice(2)). What the scheduler makes of policies and priorities is in run_queue.cpp.
#include "container-sim/abi.hpp"
#include "container-sim/lookups.hpp"
#include "container-sim/syscalls.hpp"

#include <algorithm>

namespace trapeze::container {

namespace {

enum Policy : u32 { kOther = 0, kFifo = 1, kRoundRobin = 2, kBatch = 3, kIdle = 5, kDeadline = 6 };
constexpr u32 kResetOnFork = 0x4000'0000;
constexpr i32 kLowestRealTime = 1, kHighestRealTime = 99;
bool is_real_time(u32 policy) { return policy == kFifo || policy == kRoundRobin; }
bool is_policy(u32 policy) { return policy == kOther || is_real_time(policy) || policy == kBatch || policy == kIdle; }

/// struct sched_attr, its first version
struct ScheduleAttributes {
    u32 size, policy;
    u64 flags;
    i32 nice;
    u32 priority;
    u64 runtime, deadline, period;
};
static_assert(sizeof(ScheduleAttributes) == 48);

} // namespace

/// The thread that a scheduling call names; the errno of a number that is nobody's.
i64 Call::scheduled(i32 pid, u32& target) const {
    if (pid < 0) return -kEINVAL;
    const auto found = pid ? kernel.task_by_pid(pid, task().namespaces.pid) : std::optional(index);
    return found ? (target = *found, 0) : -kESRCH;
}

/// Gives a thread a policy (sched(7), "Privileges and resource limits").
i64 Call::change_policy(u32 target, u32 policy, i32 priority, bool reset_on_fork) const {
    Task& other = kernel.tasks[target];
    if (!is_policy(policy)) return -kEINVAL;
    if (is_real_time(policy) ? priority < kLowestRealTime || priority > kHighestRealTime : priority != 0) return -kEINVAL;
    if (!asks_capable(*this, other.credentials.user_namespace, Capability::SysNice)) {
        const u32 own = task().credentials.euid;
        const u64 most = kernel.process_of(other).limits[kLimitRealTime].current;
        if (own != other.credentials.euid && own != other.credentials.uid) return -kEPERM;
        if (is_real_time(policy) && (policy != other.policy && !most)) return -kEPERM;
        if (is_real_time(policy) && priority > other.priority && static_cast<u64>(priority) > most) return -kEPERM;
        if (other.reset_on_fork && !reset_on_fork) return -kEPERM;
    }
    const bool queued = other.queued;
    kernel.dequeue(target);
    other.policy = policy, other.priority = priority, other.reset_on_fork = reset_on_fork;
    if (queued) kernel.enqueue(target), kernel.preempt_for(target);
    if (target == kernel.current) kernel.slice_left = 0; // others may be more urgent now
    return 0;
}

Attempt Call::sched_yield() const {
    kernel.slice_left = 0, kernel.yields = true;
    return 0;
}
Attempt Call::sched_setaffinity() const {
    u64 harts = 0;
    u32 target = 0;
    if (!read_user(arg(2), harts)) return -kEFAULT;
    if (scheduled(int_arg(0), target)) return -kESRCH;
    if (!(harts & kernel.effective_cpus(kernel.tasks[target].cgroup))) return -kEINVAL; // none of them is of its cpuset
    return kernel.tasks[target].affinity = harts, 0;
}
Attempt Call::sched_getaffinity() const {
    u32 target = 0;
    if (arg(1) < 8 || arg(1) & 7) return -kEINVAL;
    if (scheduled(int_arg(0), target)) return -kESRCH;
    const u64 all = kernel.effective_cpus(kernel.tasks[target].cgroup), own = all & kernel.tasks[target].affinity;
    return write_user(arg(2), own ? own : all) ? Attempt(8) : Attempt(-kEFAULT);
}

Attempt Call::sched_getscheduler() const {
    u32 target = 0;
    if (const i64 error = scheduled(int_arg(0), target)) return error;
    return static_cast<i64>(kernel.tasks[target].policy | (kernel.tasks[target].reset_on_fork ? kResetOnFork : 0));
}
Attempt Call::sched_getparam() const {
    u32 target = 0;
    if (!arg(1)) return -kEINVAL;
    if (const i64 error = scheduled(int_arg(0), target)) return error;
    return write_user(arg(1), kernel.tasks[target].priority) ? Attempt(0) : Attempt(-kEFAULT);
}
Attempt Call::sched_setscheduler() const {
    u32 target = 0;
    i32 priority = 0;
    const u32 policy = static_cast<u32>(arg(1));
    if (static_cast<i32>(policy) < 0 || !arg(2) || int_arg(0) < 0) return -kEINVAL;
    if (!read_user(arg(2), priority)) return -kEFAULT;
    if (const i64 error = scheduled(int_arg(0), target)) return error;
    return change_policy(target, policy & ~kResetOnFork, priority, policy & kResetOnFork);
}
Attempt Call::sched_setparam() const {
    u32 target = 0;
    i32 priority = 0;
    if (!arg(1) || int_arg(0) < 0) return -kEINVAL;
    if (!read_user(arg(1), priority)) return -kEFAULT;
    if (const i64 error = scheduled(int_arg(0), target)) return error;
    return change_policy(target, kernel.tasks[target].policy, priority, kernel.tasks[target].reset_on_fork);
}
Attempt Call::sched_get_priority_max() const { return is_real_time(static_cast<u32>(arg(0))) ? kHighestRealTime : is_policy(static_cast<u32>(arg(0))) || arg(0) == kDeadline ? 0 : -kEINVAL; }
Attempt Call::sched_get_priority_min() const { return is_real_time(static_cast<u32>(arg(0))) ? kLowestRealTime : is_policy(static_cast<u32>(arg(0))) || arg(0) == kDeadline ? 0 : -kEINVAL; }

Attempt Call::sched_rr_get_interval() const {
    constexpr i64 kRoundRobinSlice = 100'000'000;
    u32 target = 0;
    if (const i64 error = scheduled(int_arg(0), target)) return error;
    const u32 policy = kernel.tasks[target].policy;
    const i64 slice = policy == kRoundRobin ? kRoundRobinSlice : policy == kFifo ? 0 : static_cast<i64>(Kernel::kSlice * Kernel::kNanosecondsPerCycle);
    return write_user(arg(1), std::array<i64, 2>{0, slice}) ? Attempt(0) : Attempt(-kEFAULT);
}

Attempt Call::sched_setattr() const {
    constexpr u64 kKnownFlags = 0x7f, kFlagReset = 1, kKeepPolicy = 8, kKeepParameters = 16;
    ScheduleAttributes wanted{};
    u32 target = 0;
    if (!arg(1) || int_arg(0) < 0 || arg(2)) return -kEINVAL;
    if (!read_user(arg(1), wanted.size)) return -kEFAULT;
    if (wanted.size && (wanted.size < sizeof wanted || wanted.size > kPageSize)) return -kE2BIG;
    if (!read_user(arg(1), wanted)) return -kEFAULT;
    if (static_cast<i32>(wanted.policy) < 0 || wanted.flags & ~kKnownFlags) return -kEINVAL;
    if (const i64 error = scheduled(int_arg(0), target)) return error;
    const u32 policy = wanted.flags & kKeepPolicy ? kernel.tasks[target].policy : wanted.policy;
    const i32 priority = wanted.flags & kKeepParameters ? kernel.tasks[target].priority : static_cast<i32>(wanted.priority);
    if (const i64 error = change_policy(target, policy, priority, wanted.flags & kFlagReset)) return error;
    if (is_real_time(policy) || wanted.flags & kKeepParameters) return 0;
    return change_nice(kernel.tasks[target].process, wanted.nice);
}
Attempt Call::sched_getattr() const {
    u32 target = 0;
    if (!arg(1) || int_arg(0) < 0 || arg(2) < sizeof(ScheduleAttributes) || arg(2) > kPageSize || arg(3)) return -kEINVAL;
    if (const i64 error = scheduled(int_arg(0), target)) return error;
    const Task& other = kernel.tasks[target];
    const ScheduleAttributes now{sizeof(ScheduleAttributes), other.policy, other.reset_on_fork ? 1u : 0u, is_real_time(other.policy) ? 0 : kernel.process_of(other).nice, static_cast<u32>(other.priority), 0, 0, 0};
    return write_user(arg(1), now) ? Attempt(0) : Attempt(-kEFAULT);
}

Attempt Call::getcpu() const {
    if (arg(0) && !write_user(arg(0), u32{0})) return -kEFAULT;
    return !arg(1) || write_user(arg(1), u32{0}) ? Attempt(0) : Attempt(-kEFAULT);
}

// --- nice values (setpriority(2)) ---------------------------------------------------------------------------------------------------------

i64 Call::change_nice(u32 target, i32 wanted) const {
    Process& process = kernel.processes[target];
    const Credentials &own = task().credentials, &other = kernel.tasks[process.leader].credentials;
    wanted = std::clamp(wanted, -20, 19);
    if (own.euid != other.uid && own.euid != other.euid && !asks_capable(*this, other.user_namespace, Capability::SysNice)) return -kEPERM;
    const u64 most = process.limits[kLimitNice].current;
    const bool within = most != ~u64{0} && static_cast<u64>(20 - wanted) <= most;
    if (wanted < process.nice && !within && !asks_capable(*this, 0, Capability::SysNice)) return -kEACCES;
    return process.nice = wanted, 0;
}

/// Processes that setpriority's `which` and `who` name, in order.
i64 Call::prioritized(std::vector<u32>& out) const {
    enum : u64 { kProcess, kGroup, kUser };
    const i32 who = int_arg(1);
    if (arg(0) > kUser) return -kEINVAL;
    std::optional<i32> group = kernel.process_of(task()).group;
    u32 uid = task().credentials.uid;
    if (arg(0) == kProcess) {
        const auto target = who ? kernel.task_by_pid(who, task().namespaces.pid) : std::optional(index);
        if (target) out.push_back(kernel.tasks[*target].process);
    }
    if (arg(0) == kGroup && who) group = kernel.host_pid(who, task().namespaces.pid);
    if (arg(0) == kUser && who) uid = kernel_uid(static_cast<u32>(who));
    for (u32 i = 1; arg(0) != kProcess && i < kernel.processes.size(); ++i) {
        const Process& process = kernel.processes[i];
        if (!process.used || process.zombie || !kernel.pid_in(process, task().namespaces.pid)) continue;
        if (arg(0) == kGroup ? group && process.group == *group : kernel.tasks[process.leader].credentials.uid == uid) out.push_back(i);
    }
    return out.empty() ? -kESRCH : 0;
}

Attempt Call::setpriority() const {
    std::vector<u32> targets;
    if (const i64 error = prioritized(targets)) return error;
    i64 result = 0;
    for (u32 target : targets)
        if (const i64 error = change_nice(target, int_arg(2))) result = error;
    return result;
}
Attempt Call::getpriority() const {
    std::vector<u32> targets;
    if (const i64 error = prioritized(targets)) return error;
    i32 best = 19;
    for (u32 target : targets) best = std::min(best, kernel.processes[target].nice);
    return 20 - best;
}

} // namespace trapeze::container
