// futex(2): waiting on a word of memory, keyed by its physical address, so that processes that share a page meet. And the robust list.
#include "container-sim/abi.hpp"
#include "container-sim/syscalls.hpp"

#include <algorithm>

namespace trapeze::container {

namespace {
enum : u64 { kWait = 0, kWake = 1, kRequeue = 3, kCompareRequeue = 4, kWakeOp = 5, kLockPi = 6, kUnlockPi = 7, kTryLockPi = 8, kWaitBitset = 9, kWakeBitset = 10, kLockPi2 = 13 };
constexpr u64 kPrivate = 128, kCommand = 0x7f, kRealtimeClock = 256;
constexpr u32 kOwnerDied = 0x4000'0000, kWaiters = 0x8000'0000, kTidMask = 0x3fff'ffff;
constexpr u64 kPiWaiters = u64{1} << 63; // of a key: who waits to own the lock
} // namespace

/// Wakes at most `most` who wait there with one of these bits.
i64 Kernel::wake_futex(WaitKey key, u32 most, u32 bits) {
    i64 woken = 0;
    for (u32 waiter : queues.waiting(key)) {
        if (static_cast<u64>(woken) >= most) break;
        if (!(static_cast<u32>(tasks[waiter].resume_more) & bits)) continue;
        wake_task(waiter, Wakened::ByKey);
        ++woken;
    }
    return woken;
}

/// The key of a futex: its address in this memory (FUTEX_PRIVATE_FLAG), or its place in the machine's, for those who share the page. That
/// brings its page in, alone, so that the key stays while somebody waits.
i64 Call::futex_key(u64 address, WaitKey& key) const {
    u32 value = 0;
    if (address & 3) return -kEINVAL;
    if (arg(1) & kPrivate) {
        if (address >= kUserEnd) return -kEFAULT;
        return key = {WaitKind::Futex, address, task().memory}, 0;
    }
    if (!read_user(address, value) || !write_user(address, value)) return -kEFAULT;
    const auto physical = kernel.physical_of(machine, task(), address);
    if (!physical) return -kEFAULT;
    key = {WaitKind::Futex, *physical};
    return 0;
}

Attempt Call::wait_futex(u32 bits, bool absolute) const {
    Task& own = task();
    if (!bits) return -kEINVAL;
    if (own.resume) { // a later attempt
        if (own.wakened == Wakened::ByKey) return 0;
        if (machine.cycles() >= own.resume) return -kETIMEDOUT;
    }
    WaitKey key;
    u32 value = 0;
    if (const i64 error = futex_key(arg(0), key)) return error;
    if (!read_user(arg(0), value)) return -kEFAULT;
    if (value != static_cast<u32>(arg(2))) return -kEAGAIN;
    u64 deadline = own.resume;
    if (!deadline) {
        if (const i64 error = deadline_of(arg(3), deadline)) return error;
        if (arg(3) && absolute) {
            const i64 offset = clock_offset(arg(1) & kRealtimeClock ? 0 : 1) / static_cast<i64>(Kernel::kNanosecondsPerCycle);
            deadline = static_cast<u64>(std::max<i64>(1, static_cast<i64>(deadline - machine.cycles()) - offset));
        }
    }
    own.resume = deadline, own.resume_more = bits;
    if (machine.cycles() >= deadline) return -kETIMEDOUT;
    return wait(key, deadline, arg(3) ? Restart::IfUnhandled : Restart::IfAsked);
}

Attempt Call::requeue_futex(bool compare) const {
    WaitKey from, to;
    if (static_cast<i32>(arg(2)) < 0 || static_cast<i32>(arg(3)) < 0) return -kEINVAL;
    if (const i64 error = futex_key(arg(0), from)) return error;
    if (const i64 error = futex_key(arg(4), to)) return error;
    u32 value = 0;
    if (compare && (!read_user(arg(0), value) || value != static_cast<u32>(arg(5)))) return -kEAGAIN;
    const i64 woken = kernel.wake_futex(from, static_cast<u32>(arg(2)), ~u32{0});
    i64 moved = 0;
    for (u32 waiter : kernel.queues.waiting(from)) {
        if (moved >= int_arg(3)) break;
        kernel.queues.move(from, to, 1);
        kernel.tasks[waiter].waits = {to};
        ++moved;
    }
    return compare ? woken + moved : woken;
}

/// FUTEX_WAKE_OP: changes the second word, wakes on the first, and on the second if its old value compares as asked.
Attempt Call::wake_op_futex() const {
    WaitKey first, second;
    if (const i64 error = futex_key(arg(0), first)) return error;
    if (const i64 error = futex_key(arg(4), second)) return error;
    const u32 encoded = static_cast<u32>(arg(5)), operation = encoded >> 28 & 7, comparison = encoded >> 24 & 15;
    u32 operand = encoded >> 12 & 0xfff;
    const i32 against = static_cast<i32>(encoded << 20) >> 20;
    if (encoded >> 31) operand = u32{1} << (operand & 31);
    u32 old = 0;
    if (!read_user(arg(4), old)) return -kEFAULT;
    const u32 fresh = operation == 0 ? operand : operation == 1 ? old + operand : operation == 2 ? old | operand : operation == 3 ? old & ~operand : old ^ operand;
    if (operation > 4 || comparison > 5) return -kENOSYS;
    if (!write_user(arg(4), fresh)) return -kEFAULT;
    const i32 was = static_cast<i32>(old);
    const bool holds = comparison == 0 ? was == against : comparison == 1 ? was != against : comparison == 2 ? was < against : comparison == 3 ? was <= against : comparison == 4 ? was > against : was >= against;
    i64 woken = kernel.wake_futex(first, static_cast<u32>(arg(2)), ~u32{0});
    if (holds) woken += kernel.wake_futex(second, static_cast<u32>(arg(3)), ~u32{0});
    return woken;
}

/// FUTEX_LOCK_PI, FUTEX_TRYLOCK_PI: the word holds its owner's tid. No priority is inherited: policies do not change who runs.
Attempt Call::lock_pi_futex(bool tries, bool realtime) const {
    WaitKey key;
    u32 word = 0;
    u64 deadline = 0;
    if (const i64 error = realtime ? absolute_deadline(arg(3), deadline) : deadline_of(arg(3), deadline)) return error;
    if (const i64 error = futex_key(arg(0), key)) return error;
    if (!read_user(arg(0), word)) return -kEFAULT;
    key.more |= kPiWaiters;
    const u32 own = static_cast<u32>(kernel.pid_in(task(), task().namespaces.pid));
    if (!(word & kTidMask)) return write_user(arg(0), own | (word & kOwnerDied) | (kernel.queues.waiting(key).empty() ? 0 : kWaiters)) ? Attempt(0) : Attempt(-kEFAULT);
    if ((word & kTidMask) == own) return -kEDEADLK;
    if (tries) return -kEAGAIN;
    if (!kernel.task_by_pid(static_cast<i32>(word & kTidMask), task().namespaces.pid)) return -kESRCH;
    if (!write_user(arg(0), word | kWaiters)) return -kEFAULT;
    if (machine.cycles() >= deadline) return -kETIMEDOUT;
    task().resume = deadline;
    return wait(key, deadline, Restart::IfAsked);
}

/// FUTEX_UNLOCK_PI: the first who waits is the owner at once.
Attempt Call::unlock_pi_futex() const {
    WaitKey key;
    u32 word = 0;
    if (const i64 error = futex_key(arg(0), key)) return error;
    if (!read_user(arg(0), word)) return -kEFAULT;
    if ((word & kTidMask) != static_cast<u32>(kernel.pid_in(task(), task().namespaces.pid))) return -kEPERM;
    key.more |= kPiWaiters;
    const std::vector<u32> waiting = kernel.queues.waiting(key);
    const u32 fresh = waiting.empty() ? 0 : static_cast<u32>(kernel.pid_in(kernel.tasks[waiting[0]], task().namespaces.pid)) | (waiting.size() > 1 ? kWaiters : 0);
    if (!write_user(arg(0), fresh)) return -kEFAULT;
    if (!waiting.empty()) kernel.serve(waiting[0], 0);
    return 0;
}

Attempt Call::futex() const {
    const u64 command = arg(1) & kCommand;
    WaitKey key;
    switch (command) {
    case kWait: return wait_futex(~u32{0}, false);
    case kWaitBitset: return wait_futex(static_cast<u32>(arg(5)), true);
    case kWake: case kWakeBitset: {
        const u32 bits = command == kWake ? ~u32{0} : static_cast<u32>(arg(5));
        if (!bits) return -kEINVAL;
        if (const i64 error = futex_key(arg(0), key)) return error;
        return kernel.wake_futex(key, static_cast<u32>(arg(2)), bits);
    }
    case kRequeue: return requeue_futex(false);
    case kCompareRequeue: return requeue_futex(true);
    case kWakeOp: return wake_op_futex();
    case kLockPi: case kLockPi2: case kTryLockPi: return lock_pi_futex(command == kTryLockPi, command != kLockPi2 || arg(1) & kRealtimeClock);
    case kUnlockPi: return unlock_pi_futex();
    default: return -kENOSYS;
    }
}

Attempt Call::set_robust_list() const {
    constexpr u64 kHeadBytes = 24;
    if (arg(1) != kHeadBytes) return -kEINVAL;
    return task().robust_list = arg(0), 0;
}
Attempt Call::get_robust_list() const {
    const auto target = int_arg(0) ? kernel.task_by_pid(int_arg(0), task().namespaces.pid) : std::optional(index);
    if (!target) return -kESRCH;
    return write_user(arg(1), kernel.tasks[*target].robust_list) && write_user(arg(2), u64{24}) ? Attempt(0) : Attempt(-kEFAULT);
}

/// The locks that a dying thread held are marked, and one waiter of each is woken (get_robust_list(2)).
void Kernel::walk_robust_list(Machine& machine, u32 index) {
    constexpr unsigned kMost = 2048;
    const Task& task = tasks[index];
    if (!task.robust_list || !task.memory) return;
    struct {
        u64 next;
        i64 offset;
        u64 pending;
    } head{};
    if (!copy_in(machine, task, task.robust_list, std::span(reinterpret_cast<u8*>(&head), sizeof head))) return;
    const auto release = [&](u64 entry) {
        const u64 at = (entry & ~u64{1}) + static_cast<u64>(head.offset);
        u32 word = 0;
        if (at & 3 || !copy_in(machine, task, at, std::span(reinterpret_cast<u8*>(&word), sizeof word))) return;
        if ((word & kTidMask) != static_cast<u32>(pid_in(task, task.namespaces.pid))) return;
        const u32 fresh = (word & kWaiters) | kOwnerDied;
        if (!copy_out(machine, task, at, std::span(reinterpret_cast<const u8*>(&fresh), sizeof fresh))) return;
        if (const auto physical = physical_of(machine, task, at); physical && word & kWaiters) wake_futex({WaitKind::Futex, *physical}, 1, ~u32{0});
    };
    u64 entry = head.next;
    for (unsigned i = 0; i < kMost && entry != task.robust_list; ++i) {
        u64 next = 0;
        if (!copy_in(machine, task, entry & ~u64{1}, std::span(reinterpret_cast<u8*>(&next), sizeof next))) break;
        if (entry != head.pending) release(entry);
        entry = next;
    }
    if (head.pending) release(head.pending);
}

} // namespace trapeze::container
