// System calls on signals (signal(7)).
#include "container-sim/abi.hpp"
#include "container-sim/lookups.hpp"
#include "container-sim/syscalls.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace trapeze::container {

/// kill(2): the same user, or CAP_KILL over the target's user namespace; SIGCONT within a session.
bool Call::may_signal(u32 target, int number) const {
    const Credentials &own = task().credentials, &other = kernel.tasks[kernel.processes[target].leader].credentials;
    if (own.euid == other.uid || own.euid == other.suid || own.uid == other.uid || own.uid == other.suid) return true;
    if (number == kSigCont && kernel.processes[target].session == kernel.process_of(task()).session) return true;
    return asks_capable(*this, other.user_namespace, Capability::Kill);
}

SignalInfo Call::own_signal(int number, int code) const {
    return {.number = number, .code = code, .sender = kernel.process_of(task()).pid, .uid = task().credentials.uid};
}

i64 Call::signal_process(u32 target, const SignalInfo& info) const {
    if (info.number < 0 || info.number > kSignals) return -kEINVAL;
    if (!may_signal(target, info.number)) return -kEPERM;
    if (info.number && task().namespaces.pid && kernel.is_ignored(kernel.processes[target], info) && !kernel.processes[target].zombie) {
        const i32 seen = kernel.pid_in(kernel.processes[target], task().namespaces.pid);
        if (seen == 1) lookup("kill: {} to pid 1 of pid namespace {} is lost: its init does not handle it; outside, {} would end", signal_name(info.number),
                                          kernel.namespace_inode(NamespaceKind::Pid, task().namespaces.pid), kernel.processes[target].pid);
    }
    kernel.send_to_process(machine, target, info);
    return 0;
}

Attempt Call::kill() const {
    const i32 pid = int_arg(0);
    const SignalInfo info = own_signal(int_arg(1), kCodeUser);
    if (info.number < 0 || info.number > kSignals) return -kEINVAL;
    if (pid > 0) {
        const auto target = kernel.process_by_pid(pid, task().namespaces.pid);
        const auto thread = target ? std::nullopt : kernel.task_by_pid(pid, task().namespaces.pid); // Linux takes a thread's number as well
        note_pid(*this, "kill", pid, target ? kernel.processes[*target].pid : thread ? kernel.tasks[*thread].tid : 0);
        if (!target && !thread) return -kESRCH;
        return signal_process(target ? *target : kernel.tasks[*thread].process, info);
    }
    const auto group = pid == 0 ? std::optional(kernel.process_of(task()).group) : pid == -1 ? std::optional(0) : kernel.host_pid(-pid, task().namespaces.pid);
    if (!group) return -kESRCH;
    i64 result = -kESRCH;
    for (u32 i = 1; i < kernel.processes.size(); ++i) {
        const Process& process = kernel.processes[i];
        if (!process.used) continue;
        const i32 seen = kernel.pid_in(process, task().namespaces.pid);
        if (pid == -1 ? seen <= 1 || i == task().process : process.group != *group) continue; // -1 stays inside the namespace, spares its init and the caller
        const i64 one = signal_process(i, info);
        if (result != 0) result = one;
    }
    return result;
}

Attempt Call::tgkill() const {
    if (int_arg(0) <= 0 || int_arg(1) <= 0 || int_arg(2) < 0 || int_arg(2) > kSignals) return -kEINVAL;
    const auto target = kernel.task_by_pid(int_arg(1), task().namespaces.pid);
    if (!target || kernel.pid_in(kernel.process_of(kernel.tasks[*target]), task().namespaces.pid) != int_arg(0)) return -kESRCH;
    if (!may_signal(kernel.tasks[*target].process, int_arg(2))) return -kEPERM;
    kernel.send_to_task(machine, *target, own_signal(int_arg(2), kCodeThread));
    return 0;
}

Attempt Call::tkill() const {
    if (int_arg(0) <= 0 || int_arg(1) < 0 || int_arg(1) > kSignals) return -kEINVAL;
    const auto target = kernel.task_by_pid(int_arg(0), task().namespaces.pid);
    if (!target) return -kESRCH;
    if (!may_signal(kernel.tasks[*target].process, int_arg(1))) return -kEPERM;
    kernel.send_to_task(machine, *target, own_signal(int_arg(1), kCodeThread));
    return 0;
}

/// What the caller says about itself may not look like the kernel's or kill's (rt_sigqueueinfo(2)).
i64 Call::read_siginfo(u64 at, int number, SignalInfo& info) const {
    struct {
        i32 number, error, code, pad, pid;
        u32 uid;
        u64 value;
    } given{};
    if (!read_user(at, given)) return -kEFAULT;
    info = {.number = number, .code = given.code, .sender = kernel.process_of(task()).pid, .uid = given.uid, .value = given.value, .raw_pid = given.pid};
    return number < 0 || number > kSignals ? -kEINVAL : 0;
}

Attempt Call::rt_sigqueueinfo() const {
    SignalInfo info;
    if (const i64 error = read_siginfo(arg(2), int_arg(1), info)) return error;
    const auto target = kernel.process_by_pid(int_arg(0), task().namespaces.pid);
    if ((info.code >= 0 || info.code == kCodeThread) && (!target || *target != task().process)) return -kEPERM;
    return target ? signal_process(*target, info) : -kESRCH;
}

Attempt Call::rt_tgsigqueueinfo() const {
    SignalInfo info;
    if (const i64 error = read_siginfo(arg(3), int_arg(2), info)) return error;
    const auto target = kernel.task_by_pid(int_arg(1), task().namespaces.pid);
    if (!target || kernel.pid_in(kernel.process_of(kernel.tasks[*target]), task().namespaces.pid) != int_arg(0)) return -kESRCH;
    if ((info.code >= 0 || info.code == kCodeThread) && kernel.tasks[*target].process != task().process) return -kEPERM;
    kernel.send_to_task(machine, *target, info);
    return 0;
}

Attempt Call::sigaltstack() const {
    constexpr u32 kOnStack = 1, kDisabled = 2;
    constexpr u64 kLeast = 2048;
    struct {
        u64 base;
        u32 flags, pad;
        u64 size;
    } given{}, old{};
    AlternateStack& own = task().alternate_stack;
    const bool on_it = task().x[2] - own.base < own.size && !(own.flags & kDisabled);
    old = {own.base, own.flags & kDisabled ? kDisabled : on_it ? kOnStack : 0, 0, own.size};
    if (arg(0)) {
        if (!read_user(arg(0), given)) return -kEFAULT;
        if (on_it) return -kEPERM;
        if ((given.flags & ~(kOnStack | kDisabled | 0x8000'0000)) || (given.flags & 3) == 3) return -kEINVAL;
        if (given.flags & kDisabled) own = {};
        else if (given.size < kLeast) return -kENOMEM;
        else own = {given.base, given.size, given.flags & 0x8000'0000};
    }
    return !arg(1) || write_user(arg(1), old) ? Attempt(0) : Attempt(-kEFAULT);
}

Attempt Call::rt_sigaction() const {
    const u64 number = arg(0);
    if (number < 1 || number > kSignals || arg(3) != 8) return -kEINVAL;
    SignalAction& action = kernel.signal_actions[task().actions][number];
    const SignalAction old = action;
    SignalAction given;
    if (arg(1) && !read_user(arg(1), given)) return -kEFAULT;
    if (arg(1) && (number == kSigKill || number == kSigStop)) return -kEINVAL;
    if (arg(1)) {
        action = given;
        action.mask &= ~(signal_bit(kSigKill) | signal_bit(kSigStop));
        const bool ignores = given.handler == sa::kIgnore || (given.handler == sa::kDefault && default_action(static_cast<int>(number)) == SignalDefault::Ignore);
        if (ignores) { // what is pending is forgotten
            kernel.process_of(task()).pending.discard(signal_bit(static_cast<int>(number)));
            for (u32 thread : kernel.process_of(task()).threads) kernel.tasks[thread].pending.discard(signal_bit(static_cast<int>(number)));
        }
    }
    return !arg(2) || write_user(arg(2), old) ? Attempt(0) : Attempt(-kEFAULT);
}

Attempt Call::rt_sigprocmask() const {
    constexpr u64 kBlock = 0, kUnblock = 1, kSet = 2;
    if (arg(3) != 8) return -kEINVAL;
    u64& mask = task().blocked_signals;
    const u64 old = mask;
    if (arg(1)) {
        u64 given = 0;
        if (!read_user(arg(1), given)) return -kEFAULT;
        if (arg(0) > kSet) return -kEINVAL;
        mask = arg(0) == kBlock ? mask | given : arg(0) == kUnblock ? mask & ~given : given;
        mask &= ~(signal_bit(kSigKill) | signal_bit(kSigStop));
    }
    return !arg(2) || write_user(arg(2), old) ? Attempt(0) : Attempt(-kEFAULT);
}

Attempt Call::rt_sigpending() const {
    if (arg(1) > 8) return -kEINVAL;
    const u64 pending = (task().pending.set() | kernel.process_of(task()).pending.set()) & task().blocked_signals;
    return kernel.copy_out(machine, task(), arg(0), std::span(reinterpret_cast<const u8*>(&pending), arg(1))) ? Attempt(0) : Attempt(-kEFAULT);
}

/// Waits under another mask; the old one comes back when a handler has been called.
Attempt Call::rt_sigsuspend() const {
    u64 mask = 0;
    if (arg(1) != 8) return -kEINVAL;
    if (!task().restore_blocked) {
        if (!read_user(arg(0), mask)) return -kEFAULT;
        apply_mask(mask);
    }
    return wait({WaitKind::Never}, kForever, Restart::IfUnhandled);
}

void Call::apply_mask(u64 mask) const {
    task().restore_blocked = task().blocked_signals;
    task().blocked_signals = mask & ~(signal_bit(kSigKill) | signal_bit(kSigStop));
}

Attempt Call::rt_sigtimedwait() const {
    u64 set = 0;
    if (arg(3) != 8) return -kEINVAL;
    if (!read_user(arg(0), set)) return -kEFAULT;
    set &= ~(signal_bit(kSigKill) | signal_bit(kSigStop));
    if (const auto info = kernel.take_signal(machine, task(), set)) {
        struct {
            i32 number, error, code, pad, pid;
            u32 uid;
            u64 value;
            std::array<u8, 96> rest;
        } out{info->number, 0, info->code, 0, info->raw_pid ? info->raw_pid : kernel.pid_in(info->sender, task().namespaces.pid), kernel.uid_in(task(), info->uid), info->value, {}};
        static_assert(sizeof out == 128);
        return !arg(1) || write_user(arg(1), out) ? Attempt(info->number) : Attempt(-kEFAULT);
    }
    u64 deadline = 0;
    if (const i64 error = deadline_of(arg(2), deadline)) return error;
    if (machine.cycles() >= deadline) return -kEAGAIN;
    task().resume = deadline;
    return wait({WaitKind::Signal, kernel.process_of(task()).leader}, deadline, Restart::IfUnhandled);
}

Attempt Call::rt_sigreturn() const {
    if (!kernel.pop_frame(machine, task())) kernel.end_process(machine, task().process, kSigSegv);
    return Attempt::gone();
}

Attempt Call::restart_syscall() const { return -kEINTR; } // calls are attempted again by the kernel itself

} // namespace trapeze::container
