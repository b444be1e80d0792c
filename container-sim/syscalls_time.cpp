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

bool Call::is_clock(i32 id) const { return id >= 0 && id <= kTai && id != 10; }

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
    if (id == kProcessCpu) return kernel.process_of(task()).cycles * Kernel::kNanosecondsPerCycle;
    if (id == kThreadCpu) return task().run_cycles * Kernel::kNanosecondsPerCycle;
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
Attempt Call::clock_nanosleep() const { return !is_clock(int_arg(0)) || int_arg(0) == kThreadCpu ? Attempt(-kEINVAL) : sleep(int_arg(0), arg(2), arg(3), arg(1) & 1); }

Attempt Call::setitimer() const {
    struct {
        i64 interval_seconds, interval_micros, seconds, micros;
    } given{}, old{};
    constexpr u64 kReal = 0, kKinds = 3, kMicro = 1000;
    if (arg(0) >= kKinds) return -kEINVAL;
    if (arg(1) && !read_user(arg(1), given)) return -kEFAULT;
    Process& process = kernel.process_of(task());
    if (arg(0) != kReal) return 0;
    const u64 left = process.alarm > machine.cycles() ? (process.alarm - machine.cycles()) * Kernel::kNanosecondsPerCycle / kMicro : 0;
    const u64 interval = process.alarm_interval * Kernel::kNanosecondsPerCycle / kMicro;
    old = {static_cast<i64>(interval / 1'000'000), static_cast<i64>(interval % 1'000'000), static_cast<i64>(left / 1'000'000), static_cast<i64>(left % 1'000'000)};
    const Timespec first{given.seconds, given.micros * static_cast<i64>(kMicro)}, again{given.interval_seconds, given.interval_micros * static_cast<i64>(kMicro)};
    if (!valid(first) || !valid(again)) return -kEINVAL;
    if (process.alarm) kernel.alarms.erase({process.alarm, task().process});
    process.alarm_interval = to_cycles(again);
    process.alarm = to_cycles(first) ? machine.cycles() + to_cycles(first) : 0;
    if (process.alarm) kernel.alarms.insert({process.alarm, task().process});
    return !arg(2) || write_user(arg(2), old) ? Attempt(0) : Attempt(-kEFAULT);
}

Attempt Call::getitimer() const {
    constexpr u64 kMicro = 1000;
    if (arg(0) >= 3) return -kEINVAL;
    const Process& process = kernel.process_of(task());
    const u64 left = arg(0) == 0 && process.alarm > machine.cycles() ? (process.alarm - machine.cycles()) * Kernel::kNanosecondsPerCycle / kMicro : 0;
    const u64 interval = arg(0) == 0 ? process.alarm_interval * Kernel::kNanosecondsPerCycle / kMicro : 0;
    return write_user(arg(1), std::array<u64, 4>{interval / 1'000'000, interval % 1'000'000, left / 1'000'000, left % 1'000'000}) ? Attempt(0) : Attempt(-kEFAULT);
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
    usage[8] = process.faults; // ru_minflt
    return write_user(arg(1), usage) ? Attempt(0) : Attempt(-kEFAULT);
}

} // namespace trapeze::container
