// System calls on time (clock_gettime(2), nanosleep(2), setitimer(2)). Time is virtual: cycles of the machine.
#include "container-sim/abi.hpp"
#include "container-sim/syscalls.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace trapeze::container {

namespace {

struct Timespec {
    i64 seconds, nanoseconds;
};
constexpr u64 kSecond = 1'000'000'000, kMostSeconds = 1'000'000'000;
Timespec to_timespec(u64 nanoseconds) { return {static_cast<i64>(nanoseconds / kSecond), static_cast<i64>(nanoseconds % kSecond)}; }
bool valid(const Timespec& time) { return time.seconds >= 0 && time.nanoseconds >= 0 && time.nanoseconds < static_cast<i64>(kSecond); }
u64 to_cycles(const Timespec& time) {
    return (std::min<u64>(static_cast<u64>(time.seconds), kMostSeconds) * kSecond + static_cast<u64>(time.nanoseconds)) / Kernel::kNanosecondsPerCycle;
}
enum Clock : i32 { kRealtime = 0, kMonotonic = 1, kProcessCpu = 2, kThreadCpu = 3, kMonotonicRaw = 4, kRealtimeCoarse = 5, kMonotonicCoarse = 6, kBoottime = 7,
                   kRealtimeAlarm = 8, kBoottimeAlarm = 9, kTai = 11 };

} // namespace

/// When a timeout of a struct timespec ends, in cycles; a null pointer: never. A later attempt finds what the first has kept in resume.
i64 Call::deadline_of(u64 timeout, u64& deadline) const {
    if (task().resume) return deadline = task().resume, 0;
    if (!timeout) return deadline = kForever, 0;
    Timespec time{};
    if (!read_user(timeout, time)) return -kEFAULT;
    if (!valid(time)) return -kEINVAL;
    return deadline = machine.cycles() + to_cycles(time), 0;
}

/// The same for a time of CLOCK_REALTIME.
i64 Call::absolute_deadline(u64 at, u64& deadline) const {
    const bool first = !task().resume;
    if (const i64 error = deadline_of(at, deadline)) return error;
    const u64 offset = static_cast<u64>(clock_offset(kRealtime)) / Kernel::kNanosecondsPerCycle + machine.cycles();
    if (first && at) deadline = deadline > offset ? deadline - offset : 1;
    return 0;
}

bool Call::is_clock(i32 id) const {
    u32 owner = 0;
    bool of_thread = false;
    return id < 0 ? cpu_clock_owner(id, owner, of_thread) : id <= kTai && id != 10;
}

/// What a clock shows, in nanoseconds, and what is added to the machine's own time for it (its epoch, its time namespace's offset).
i64 Call::clock_offset(i32 id) const {
    const TimeNamespace& own = kernel.time_namespaces[task().namespaces.time];
    switch (id) {
    case kRealtime: case kRealtimeCoarse: case kRealtimeAlarm: case kTai: return static_cast<i64>(Kernel::kEpochSeconds * kSecond);
    case kMonotonic: case kMonotonicRaw: case kMonotonicCoarse: return own.monotonic;
    case kBoottime: case kBoottimeAlarm: return own.boottime;
    default: return 0;
    }
}

u64 Call::clock_now(i32 id) const {
    u32 owner = 0;
    bool of_thread = false;
    if (id < 0 || id == kProcessCpu || id == kThreadCpu) {
        if (!cpu_clock_owner(id, owner, of_thread)) return 0;
        return (of_thread ? kernel.tasks[owner].run_cycles : kernel.process_of(kernel.tasks[owner]).cycles) * Kernel::kNanosecondsPerCycle;
    }
    const i64 now = static_cast<i64>(machine.cycles() * Kernel::kNanosecondsPerCycle) + clock_offset(id);
    return now < 0 ? 0 : static_cast<u64>(now);
}

Attempt Call::clock_gettime() const {
    if (!is_clock(int_arg(0))) return -kEINVAL;
    const TimeNamespace& own = kernel.time_namespaces[task().namespaces.time];
    if (task().namespaces.time && clock_offset(int_arg(0)) && int_arg(0) != kRealtime)
        lookup("clock_gettime: {} ns in time namespace {}; outside it is {} ns", clock_now(int_arg(0)), own.inode, machine.cycles() * Kernel::kNanosecondsPerCycle);
    return write_user(arg(1), to_timespec(clock_now(int_arg(0)))) ? Attempt(0) : Attempt(-kEFAULT);
}

Attempt Call::clock_getres() const {
    if (!is_clock(int_arg(0))) return -kEINVAL;
    const bool coarse = int_arg(0) == kRealtimeCoarse || int_arg(0) == kMonotonicCoarse;
    return !arg(1) || write_user(arg(1), Timespec{0, coarse ? 4'000'000 : 1}) ? Attempt(0) : Attempt(-kEFAULT);
}

Attempt Call::clock_settime() const { return is_clock(int_arg(0)) && int_arg(0) == kRealtime ? Attempt(-kEPERM) : Attempt(-kEINVAL); }

Attempt Call::gettimeofday() const {
    Timespec now = to_timespec(clock_now(kRealtime));
    now.nanoseconds /= 1000; // a timeval
    if (arg(0) && !write_user(arg(0), now)) return -kEFAULT;
    return !arg(1) || write_user(arg(1), u64{0}) ? Attempt(0) : Attempt(-kEFAULT); // UTC
}

/// The deadline stays in resume; a handler that interrupts is told what was left.
Attempt Call::sleep(i32 clock, u64 request, u64 remaining, bool absolute) const {
    Task& sleeper = task();
    if (!sleeper.resume) {
        Timespec time{};
        if (!read_user(request, time)) return -kEFAULT;
        if (!valid(time)) return -kEINVAL;
        const i64 begin = absolute ? -clock_offset(clock) / static_cast<i64>(Kernel::kNanosecondsPerCycle) : static_cast<i64>(machine.cycles());
        sleeper.resume = static_cast<u64>(std::max<i64>(1, begin + static_cast<i64>(to_cycles(time))));
    }
    if (machine.cycles() >= sleeper.resume) return 0;
    if (sleeper.wakened == Wakened::BySignal && remaining && !absolute)
        if (!write_user(remaining, to_timespec((sleeper.resume - machine.cycles()) * Kernel::kNanosecondsPerCycle))) return -kEFAULT;
    return wait({WaitKind::Never}, sleeper.resume, Restart::IfUnhandled);
}
Attempt Call::nanosleep() const { return sleep(kMonotonic, arg(0), arg(1), false); }
Attempt Call::clock_nanosleep() const {
    if (!is_clock(int_arg(0)) || int_arg(0) == kThreadCpu) return -kEINVAL;
    if (int_arg(0) < 0 || int_arg(0) == kProcessCpu) return sleep_on_cpu(int_arg(0), arg(2), arg(1) & 1);
    return sleep(int_arg(0), arg(2), arg(3), arg(1) & 1);
}

namespace {
struct IntervalTimes {
    i64 interval_seconds, interval_micros, seconds, micros;
};
constexpr u64 kMicro = 1000;
IntervalTimes interval_times(u64 interval, u64 left) {
    const u64 a = interval * Kernel::kNanosecondsPerCycle / kMicro, b = left * Kernel::kNanosecondsPerCycle / kMicro;
    return {static_cast<i64>(a / 1'000'000), static_cast<i64>(a % 1'000'000), static_cast<i64>(b / 1'000'000), static_cast<i64>(b % 1'000'000)};
}
/// ITIMER_REAL 0, ITIMER_VIRTUAL 1, ITIMER_PROF 2, as they are now.
IntervalTimes interval_now(const Process& process, u64 which, u64 now) {
    if (which == 0) return interval_times(process.alarm_interval, process.alarm > now ? process.alarm - now : 0);
    const CpuInterval& own = which == 1 ? process.virtual_interval : process.profile_interval;
    return interval_times(own.interval, own.next > process.cycles ? own.next - process.cycles : 0);
}
} // namespace

Attempt Call::setitimer() const {
    IntervalTimes given{};
    constexpr u64 kReal = 0, kKinds = 3;
    if (arg(0) >= kKinds) return -kEINVAL;
    if (arg(1) && !read_user(arg(1), given)) return -kEFAULT;
    Process& process = kernel.process_of(task());
    const IntervalTimes old = interval_now(process, arg(0), machine.cycles());
    const Timespec first{given.seconds, given.micros * static_cast<i64>(kMicro)}, again{given.interval_seconds, given.interval_micros * static_cast<i64>(kMicro)};
    if (!valid(first) || !valid(again)) return -kEINVAL;
    if (arg(0) == kReal) {
        if (process.alarm) kernel.alarms.erase({process.alarm, task().process});
        process.alarm_interval = to_cycles(again);
        process.alarm = to_cycles(first) ? machine.cycles() + to_cycles(first) : 0;
        if (process.alarm) kernel.alarms.insert({process.alarm, task().process});
    } else {
        (arg(0) == 1 ? process.virtual_interval : process.profile_interval) = {to_cycles(first) ? process.cycles + to_cycles(first) : 0, to_cycles(again)};
        kernel.plan_cpu_time(task().process);
    }
    return !arg(2) || write_user(arg(2), old) ? Attempt(0) : Attempt(-kEFAULT);
}

Attempt Call::getitimer() const {
    if (arg(0) >= 3) return -kEINVAL;
    return write_user(arg(1), interval_now(kernel.process_of(task()), arg(0), machine.cycles())) ? Attempt(0) : Attempt(-kEFAULT);
}

Attempt Call::times() const {
    constexpr u64 kCyclesPerTick = 1'000'000; // 100 Hz
    const Process& process = kernel.process_of(task());
    if (arg(0) && !write_user(arg(0), std::array<u64, 4>{process.cycles / kCyclesPerTick, 0, process.children_cycles / kCyclesPerTick, 0})) return -kEFAULT;
    return static_cast<i64>(machine.cycles() / kCyclesPerTick);
}

Attempt Call::getrusage() const {
    constexpr i32 kSelf = 0, kChildren = -1, kThread = 1;
    const i32 who = int_arg(0);
    if (who != kSelf && who != kChildren && who != kThread) return -kEINVAL;
    const Process& process = kernel.process_of(task());
    const u64 micros = (who == kSelf ? process.cycles : who == kThread ? task().run_cycles : process.children_cycles) * Kernel::kNanosecondsPerCycle / 1000;
    std::array<u64, 18> usage{micros / 1'000'000, micros % 1'000'000};
    if (who != kChildren) usage[4] = kernel.memory_of(task()).most_resident * kPageSize / 1024; // ru_maxrss
    usage[8] = process.faults; // ru_minflt
    return write_user(arg(1), usage) ? Attempt(0) : Attempt(-kEFAULT);
}

Attempt Call::settimeofday() const {
    Timespec given{};
    if (arg(0) && !read_user(arg(0), given)) return -kEFAULT;
    if (arg(0) && (given.seconds < 0 || given.nanoseconds < 0 || given.nanoseconds > 1'000'000)) return -kEINVAL;
    return -kEPERM;
}

/// adjtimex(2): the state of a clock that nobody corrects.
i64 Call::tell_adjustment(u64 at) const {
    struct {
        u32 modes, pad;
        i64 offset, frequency, most_error, estimated_error;
        i32 status, pad2;
        i64 constant, precision, tolerance, seconds, microseconds, tick, pps[8];
        i32 tai;
        std::array<u8, 44> rest;
    } state{};
    static_assert(sizeof state == 208);
    constexpr i32 kUnsynchronized = 0x40, kError = 5; // STA_UNSYNC, TIME_ERROR
    if (!read_user(at, state)) return -kEFAULT;
    if (state.modes) return -kEPERM;
    const u64 now = clock_now(kRealtime);
    state = {};
    state.status = kUnsynchronized, state.most_error = state.estimated_error = 16'000'000, state.constant = 2, state.precision = 1, state.tolerance = 32'768'000, state.tick = 10'000;
    state.seconds = static_cast<i64>(now / kSecond), state.microseconds = static_cast<i64>(now % kSecond / 1000);
    return write_user(at, state) ? kError : -kEFAULT;
}
Attempt Call::adjtimex() const { return tell_adjustment(arg(0)); }
Attempt Call::clock_adjtime() const { return int_arg(0) == kRealtime ? tell_adjustment(arg(1)) : is_clock(int_arg(0)) ? -kEOPNOTSUPP : -kEINVAL; }

} // namespace trapeze::container
