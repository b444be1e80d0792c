// Waiting: a system call that cannot finish names what it waits for, and is attempted again when that changes. Everything is a value.
#pragma once

#include "emulator/base/types.hpp"

#include <algorithm>
#include <compare>
#include <map>
#include <utility>
#include <vector>

namespace trapeze::container {

enum class WaitKind : u8 { Nothing, Child, Vfork, Pipe, Tty, Futex, Signal, Event, Timer, Epoll, Socket, Exit, Memory, Cgroup, Inode, Ipc, Console, CpuTime, Never };

/// What a task waits for: an object of a kind. `more` tells two apart that share a number (a futex's address beside its memory).
struct WaitKey {
    WaitKind kind = WaitKind::Nothing;
    u64 id = 0, more = 0;
    auto operator<=>(const WaitKey&) const = default;
};

/// Whether a wake is news to those who ask for changes only (EPOLLET).
enum class Edge : u8 { No, Yes };

inline constexpr u64 kForever = ~u64{0}; ///< no deadline

/// How a call that a signal has interrupted goes on (signal(7), "Interruption of system calls").
enum class Restart : u8 {
    IfAsked,     ///< by itself when the handler has SA_RESTART, else EINTR (the kernel's ERESTARTSYS)
    IfUnhandled, ///< EINTR whenever a handler has run (ERESTARTNOHAND, ERESTART_RESTARTBLOCK)
};

/// Who waits for what, first come first served.
class WaitQueues {
  public:
    void add(WaitKey key, u32 task) { queues_[key].push_back(task); }
    void remove(WaitKey key, u32 task) {
        const auto queue = queues_.find(key);
        if (queue == queues_.end()) return;
        std::erase(queue->second, task);
        if (queue->second.empty()) queues_.erase(queue);
    }
    /// Those who wait for it, in order; empty when nobody does.
    std::vector<u32> waiting(WaitKey key) const {
        const auto queue = queues_.find(key);
        return queue == queues_.end() ? std::vector<u32>() : queue->second;
    }
    /// Whether somebody waits for a key from `from` on and below `to`.
    bool waits_between(WaitKey from, WaitKey to) const {
        const auto first = queues_.lower_bound(from);
        return first != queues_.end() && first->first < to;
    }
    /// Those who wait for one under `from` wait for one under `to` from now on (FUTEX_REQUEUE); at most `most`. How many.
    u32 move(WaitKey from, WaitKey to, u32 most) {
        const std::vector<u32> all = waiting(from);
        const u32 count = std::min<u32>(most, static_cast<u32>(all.size()));
        for (u32 i = 0; i < count; ++i) remove(from, all[i]), add(to, all[i]);
        return count;
    }

  private:
    std::map<WaitKey, std::vector<u32>> queues_;
};

} // namespace trapeze::container
