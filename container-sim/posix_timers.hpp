// Timers of a process that send signals (timer_create(2)). Plain values; which expire next is in the kernel's sets.
#pragma once

#include "emulator/base/types.hpp"

namespace trapeze::container {

struct PosixTimer {
    i32 clock = 0;
    i32 kind = 0, number = 0;    ///< SIGEV_SIGNAL 0, SIGEV_NONE 1, SIGEV_THREAD_ID 4; the signal
    u64 value = 0;
    i32 thread = 0;              ///< SIGEV_THREAD_ID, or whose time a clock of a thread counts: in the host's namespace; 0: the process
    u64 next = 0, interval = 0;  ///< cycles of the machine, or of a CPU clock's owner; next 0: disarmed
    bool queued = false;         ///< its signal has not been taken yet: it goes on when it is
    i32 overrun = 0;             ///< times that it expired beyond the one that its last signal told
    bool counts_thread = false, counts_process = false; ///< its clock is one of CPU time
    bool operator==(const PosixTimer&) const = default;
};
inline constexpr std::size_t kMaxTimers = 1024; ///< of a process, then EAGAIN (RLIMIT_SIGPENDING)

/// setitimer(2)'s timers of CPU time: cycles of the process.
struct CpuInterval {
    u64 next = 0, interval = 0;
    bool operator==(const CpuInterval&) const = default;
};

} // namespace trapeze::container
