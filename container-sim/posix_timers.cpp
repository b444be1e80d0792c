// timer_create(2) and its siblings, and what expires with a process's CPU time: ITIMER_VIRTUAL, ITIMER_PROF, RLIMIT_CPU, timers of CPU clocks.
// A timer whose signal is pending stands still until that is taken; then it moves on to its next time, and the overrun says what it missed.
#include "container-sim/posix_timers.hpp"

#include "container-sim/abi.hpp"
#include "container-sim/syscalls.hpp"

#include <algorithm>
#include <limits>

namespace trapeze::container {

namespace {

constexpr i32 kSignalKind = 0, kNoneKind = 1, kThreadKind = 4;
constexpr u64 kSecondOfCycles = 1'000'000'000 / Kernel::kNanosecondsPerCycle;

bool of_cpu(const PosixTimer& timer) { return timer.counts_thread || timer.counts_process; }

/// Moves a periodic timer past `now`; how many times it expired beyond once.
u64 move_on(PosixTimer& timer, u64 now) {
    const u64 missed = now > timer.next ? (now - timer.next) / timer.interval : 0;
    timer.next += (missed + 1) * timer.interval;
    return missed;
}

} // namespace

/// What a timer's clock shows, in cycles.
u64 Kernel::timer_now(const Machine& machine, const PosixTimer& timer, const Process& process) const {
    if (timer.counts_process) return process.cycles;
    if (!timer.counts_thread) return machine.cycles();
    const auto record = pids.find(timer.thread);
    return record != pids.end() && record->second.has_task ? tasks[record->second.task].run_cycles : 0;
}

void Kernel::arm_timer(u32 process, i32 id) {
    const PosixTimer& timer = processes[process].timers.at(id);
    if (!timer.next || timer.kind == kNoneKind) return;
    if (of_cpu(timer)) plan_cpu_time(process);
    else posix_deadlines.insert({timer.next, process, id});
}

void Kernel::disarm_timer(u32 process, i32 id) {
    PosixTimer& timer = processes[process].timers.at(id);
    posix_deadlines.erase({timer.next, process, id});
    timer.next = 0, timer.queued = false;
    processes[process].pending.discard_timer(id);
    for (u32 thread : processes[process].threads) tasks[thread].pending.discard_timer(id);
}

/// A timer's time has come. Pre: it is in no set of deadlines.
void Kernel::fire_timer(Machine& machine, u32 index, i32 id) {
    PosixTimer& timer = processes[index].timers.at(id);
    if (timer.queued) return;
    SignalInfo info{.number = timer.number, .code = kCodeTimer, .value = timer.value};
    info.raw_pid = id;
    const auto record = pids.find(timer.thread);
    const bool to_thread = timer.kind == kThreadKind;
    if (to_thread && (record == pids.end() || !record->second.has_task)) return;
    if (to_thread) send_to_task(machine, record->second.task, info);
    else send_to_process(machine, index, info);
    const PendingSignals& pending = to_thread ? tasks[record->second.task].pending : processes[index].pending;
    timer.queued = pending.has_timer(id);
    if (timer.queued) return;
    if (!timer.interval) timer.next = 0; // it is ignored, or another signal of its number is pending already
    else move_on(timer, timer_now(machine, timer, processes[index]));
    arm_timer(index, id);
}

/// The next of these signals for a task; its timer moves on.
std::optional<SignalInfo> Kernel::take_signal(Machine& machine, Task& task, u64 set) {
    auto info = task.pending.take(set);
    if (!info) info = process_of(task).pending.take(set);
    if (!info || info->code != kCodeTimer) return info;
    Process& process = process_of(task);
    const auto found = process.timers.find(info->raw_pid);
    if (found == process.timers.end() || !found->second.queued) return info;
    PosixTimer& timer = found->second;
    timer.queued = false;
    timer.overrun = 0;
    if (timer.interval) timer.overrun = static_cast<i32>(std::min<u64>(move_on(timer, timer_now(machine, timer, process)), std::numeric_limits<i32>::max()));
    else timer.next = 0;
    info->overrun = timer.overrun;
    arm_timer(task.process, info->raw_pid);
    return info;
}

void Kernel::drop_timers(u32 index) {
    Process& process = processes[index];
    for (auto& [id, timer] : process.timers) posix_deadlines.erase({timer.next, index, id});
    process.timers.clear();
}

// --- CPU time --------------------------------------------------------------------------------------------------------------------------

/// When something happens next for a process, in its own cycles: at that count check_cpu_time has to look.
void Kernel::plan_cpu_time(u32 index) {
    Process& process = processes[index];
    u64 earliest = kForever;
    const auto at = [&](u64 cycles) { earliest = std::min(earliest, cycles); };
    for (const CpuInterval* interval : {&process.virtual_interval, &process.profile_interval})
        if (interval->next) at(interval->next);
    const Limit& limit = process.limits[kLimitCpu];
    for (u64 seconds : {limit.current, limit.most})
        if (seconds < kForever / kSecondOfCycles) at(std::max<u64>(seconds, 1) * kSecondOfCycles);
    for (const auto& [id, timer] : process.timers) {
        if (!timer.next || timer.queued || !of_cpu(timer) || timer.kind == kNoneKind) continue;
        const auto record = pids.find(timer.thread);
        const bool lives = record != pids.end() && record->second.has_task;
        if (timer.counts_process) at(timer.next);
        else if (lives) at(process.cycles + (timer.next - std::min(timer.next, tasks[record->second.task].run_cycles)));
    }
    if (process.cpu_sleep) at(process.cpu_sleep);
    process.cpu_deadline = earliest;
}

/// RLIMIT_CPU: SIGXCPU each second from the soft limit on, SIGKILL at the hard one.
void Kernel::check_cpu_limit(Machine& machine, u32 index) {
    Process& process = processes[index];
    Limit& limit = process.limits[kLimitCpu];
    const auto reached = [&](u64 seconds) { return seconds < kForever / kSecondOfCycles && process.cycles >= std::max<u64>(seconds, 1) * kSecondOfCycles; };
    if (reached(limit.most)) return send_to_process(machine, index, {.number = kSigKill, .code = kCodeKernel});
    if (!reached(limit.current)) return;
    limit.current = std::max<u64>(limit.current, 1) + 1;
    send_to_process(machine, index, {.number = kSigXcpu, .code = kCodeKernel});
}

void Kernel::check_cpu_time(Machine& machine, u32 index) {
    check_cpu_limit(machine, index);
    for (const auto& [interval, number] : {std::pair{&Process::virtual_interval, kSigVtalrm}, std::pair{&Process::profile_interval, kSigProf}}) {
        CpuInterval& own = processes[index].*interval;
        if (!own.next || processes[index].cycles < own.next) continue;
        own.next = own.interval ? own.next + ((processes[index].cycles - own.next) / own.interval + 1) * own.interval : 0;
        send_to_process(machine, index, {.number = number, .code = kCodeKernel});
    }
    std::vector<i32> due;
    for (const auto& [id, timer] : processes[index].timers)
        if (of_cpu(timer) && timer.next && !timer.queued && timer.kind != kNoneKind && timer_now(machine, timer, processes[index]) >= timer.next) due.push_back(id);
    for (i32 id : due) fire_timer(machine, index, id);
    if (processes[index].cpu_sleep && processes[index].cycles >= processes[index].cpu_sleep) {
        processes[index].cpu_sleep = 0;
        wake({WaitKind::CpuTime, index});
    }
    plan_cpu_time(index);
}

// --- The calls ---------------------------------------------------------------------------------------------------------------------------

namespace {

struct Timespec {
    i64 seconds, nanoseconds;
};
struct TimerTimes {
    Timespec interval, value;
};
bool valid(const Timespec& time) { return time.seconds >= 0 && time.nanoseconds >= 0 && time.nanoseconds < 1'000'000'000; }
u64 to_cycles(const Timespec& time) { return std::min<u64>(static_cast<u64>(time.seconds), 1'000'000'000) * kSecondOfCycles + (static_cast<u64>(time.nanoseconds) + Kernel::kNanosecondsPerCycle - 1) / Kernel::kNanosecondsPerCycle; }
Timespec from_cycles(u64 cycles) { return {static_cast<i64>(cycles / kSecondOfCycles), static_cast<i64>(cycles % kSecondOfCycles * Kernel::kNanosecondsPerCycle)}; }

/// struct sigevent
struct EventRequest {
    u64 value;
    i32 number, kind, thread;
    std::array<u8, 44> rest;
};
static_assert(sizeof(EventRequest) == 64);

TimerTimes times_of(const PosixTimer& timer, u64 now) {
    if (!timer.next) return {from_cycles(timer.interval), {0, 0}};
    u64 next = timer.next;
    if (next <= now && timer.interval) next += ((now - next) / timer.interval + 1) * timer.interval;
    const bool over = next <= now;
    if (over && timer.kind == kNoneKind) return {from_cycles(timer.interval), {0, 0}};
    return {from_cycles(timer.interval), over ? Timespec{0, 1} : from_cycles(next - now)};
}

} // namespace

PosixTimer* Call::own_timer(i32 id) const {
    auto& timers = kernel.process_of(task()).timers;
    const auto found = timers.find(id);
    return found == timers.end() ? nullptr : &found->second;
}

Attempt Call::timer_create() const {
    Process& process = kernel.process_of(task());
    EventRequest event{};
    event.kind = kSignalKind, event.number = kSigAlrm;
    PosixTimer timer;
    timer.clock = int_arg(0);
    u32 owner = 0;
    const bool cpu = timer.clock < 0 || timer.clock == 2 || timer.clock == 3;
    if (!is_clock(timer.clock) || timer.clock == 4 || timer.clock == 5 || timer.clock == 6) return timer.clock >= 4 && timer.clock <= 6 ? -kEOPNOTSUPP : -kEINVAL;
    if (cpu && !cpu_clock_owner(timer.clock, owner, timer.counts_thread)) return -kEINVAL;
    if (cpu && kernel.tasks[owner].process != task().process) return -kEPERM;
    timer.counts_process = cpu && !timer.counts_thread;
    if (timer.counts_thread) timer.thread = kernel.tasks[owner].tid;
    if (arg(1) && !read_user(arg(1), event)) return -kEFAULT;
    if (process.timers.size() >= kMaxTimers) return -kEAGAIN;
    i32 id = process.next_timer;
    while (process.timers.contains(id)) id = id == std::numeric_limits<i32>::max() ? 0 : id + 1;
    process.next_timer = id == std::numeric_limits<i32>::max() ? 0 : id + 1; // an event that is refused has had its number
    if (event.kind != kNoneKind && event.kind != kSignalKind && event.kind != kThreadKind) return -kEINVAL;
    if (event.kind != kNoneKind && (event.number < 1 || event.number > kSignals)) return -kEINVAL;
    if (event.kind == kThreadKind) {
        const auto thread = kernel.task_by_pid(event.thread, task().namespaces.pid);
        if (!thread || kernel.tasks[*thread].process != task().process) return -kEINVAL;
        timer.thread = kernel.tasks[*thread].tid;
    }
    timer.kind = event.kind, timer.number = event.number, timer.value = arg(1) ? event.value : static_cast<u64>(id);
    if (!write_user(arg(2), id)) return -kEFAULT;
    process.timers[id] = timer;
    return 0;
}

Attempt Call::timer_settime() const {
    constexpr u64 kAbsolute = 1;
    TimerTimes wanted{};
    if (!arg(2)) return -kEINVAL;
    if (!read_user(arg(2), wanted)) return -kEFAULT;
    if (!valid(wanted.interval) || !valid(wanted.value)) return -kEINVAL;
    PosixTimer* timer = own_timer(int_arg(0));
    if (!timer) return -kEINVAL;
    const Process& process = kernel.process_of(task());
    const u64 now = kernel.timer_now(machine, *timer, process);
    const TimerTimes old = times_of(*timer, now);
    kernel.disarm_timer(task().process, int_arg(0));
    timer->interval = to_cycles(wanted.interval), timer->overrun = 0;
    const i64 offset = of_cpu(*timer) ? 0 : clock_offset(timer->clock) / static_cast<i64>(Kernel::kNanosecondsPerCycle);
    const u64 given = to_cycles(wanted.value);
    if (given) timer->next = arg(1) & kAbsolute ? static_cast<u64>(std::max<i64>(1, static_cast<i64>(given) - offset)) : now + given;
    kernel.arm_timer(task().process, int_arg(0));
    return !arg(3) || write_user(arg(3), old) ? Attempt(0) : Attempt(-kEFAULT);
}

Attempt Call::timer_gettime() const {
    const PosixTimer* timer = own_timer(int_arg(0));
    if (!timer) return -kEINVAL;
    return write_user(arg(1), times_of(*timer, kernel.timer_now(machine, *timer, kernel.process_of(task())))) ? Attempt(0) : Attempt(-kEFAULT);
}
Attempt Call::timer_getoverrun() const {
    const PosixTimer* timer = own_timer(int_arg(0));
    return timer ? Attempt(timer->overrun) : Attempt(-kEINVAL);
}
Attempt Call::timer_delete() const {
    if (!own_timer(int_arg(0))) return -kEINVAL;
    kernel.disarm_timer(task().process, int_arg(0));
    kernel.process_of(task()).timers.erase(int_arg(0));
    return 0;
}

/// The task whose CPU time a clock counts (clock_getcpuclockid(3)): the caller's own, or one that the number names. False: there is none.
bool Call::cpu_clock_owner(i32 clock, u32& owner, bool& of_thread) const {
    constexpr i32 kProcess = 2, kThread = 3, kThreadBit = 4, kKind = 3;
    of_thread = clock == kThread || (clock < 0 && clock & kThreadBit);
    if (clock == kProcess || clock == kThread) return owner = index, true;
    if (clock >= 0 || (clock & kKind) == kKind) return false; // clocks of devices
    const i32 pid = ~(clock >> 3);
    if (!pid) return owner = index, true;
    const auto found = kernel.task_by_pid(pid, task().namespaces.pid);
    if (!found || (of_thread && kernel.tasks[*found].process != task().process)) return false;
    if (!of_thread && kernel.process_of(kernel.tasks[*found]).leader != *found) return false;
    return owner = *found, true;
}

Attempt Call::sleep_on_cpu(i32 clock, u64 request, bool absolute) const {
    Process& process = kernel.process_of(task());
    u32 owner = 0;
    bool of_thread = false;
    if (!cpu_clock_owner(clock, owner, of_thread) || of_thread || kernel.tasks[owner].process != task().process) return -kEINVAL;
    if (!task().resume) {
        Timespec time{};
        if (!read_user(request, time)) return -kEFAULT;
        if (!valid(time)) return -kEINVAL;
        task().resume = std::max<u64>(1, to_cycles(time) + (absolute ? 0 : process.cycles));
    }
    if (process.cycles >= task().resume) return 0;
    process.cpu_sleep = process.cpu_sleep ? std::min(process.cpu_sleep, task().resume) : task().resume;
    kernel.plan_cpu_time(task().process);
    return wait({WaitKind::CpuTime, task().process}, kForever, Restart::IfUnhandled);
}

} // namespace trapeze::container
