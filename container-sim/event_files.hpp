// Counters, timers, signals and sets of files as open files (eventfd(2), timerfd_create(2), signalfd(2), epoll(7)). Plain values in the
// kernel's pools; OpenFile::object is their number.
#pragma once

#include "emulator/base/types.hpp"

#include <map>
#include <utility>

namespace trapeze::container {

struct EventCounter {
    u64 count = 0;
    bool semaphore = false;
};

struct TimerFile {
    i32 clock = 0;
    u64 next = 0, interval = 0; ///< cycles; next 0: disarmed
};

/// What an epoll instance watches: by descriptor and the open file behind it, as Linux does.
struct EpollSet {
    struct Item {
        u32 events = 0;
        u64 data = 0;
        bool disabled = false; ///< EPOLLONESHOT has fired
        u64 place = 0;         ///< in the list of what is ready, in the order in which it became so; 0: not in it
        u32 told = 0;          ///< EPOLLET: what was ready when it was last told, and how often its object had been woken
        u64 seen = 0;
    };
    std::map<std::pair<u32, u32>, Item> items; ///< (descriptor, open file)
};
inline constexpr std::size_t kMaxEpollItems = 4096;
inline constexpr std::size_t kMaxNestedEpolls = 4; ///< that one watches directly: what is looked through grows with its power
inline constexpr unsigned kMaxEpollNesting = 5; ///< epoll_ctl(2), ELOOP

} // namespace trapeze::container
