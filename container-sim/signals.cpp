// Signals: sending, stopping and continuing, and calling handlers on riscv64 (arch/riscv's frame: siginfo, then ucontext; the trampoline that
// returns is a page of the kernel's, as its vDSO has it).
#include "container-sim/signals.hpp"
#include "container-sim/abi.hpp"
#include "container-sim/kernel.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>

namespace trapeze::container {

bool PendingSignals::add(const SignalInfo& info) {
    constexpr int kFirstRealTime = 32;
    if (info.number < kFirstRealTime && set() & signal_bit(info.number)) return true;
    if (queue_.size() >= kMost) return false;
    queue_.push_back(info);
    return true;
}

/// Faults first, as Linux has it, then the lowest number.
std::optional<SignalInfo> PendingSignals::take(u64 set) {
    constexpr u64 kFaults = signal_bit(kSigSegv) | signal_bit(kSigBus) | signal_bit(kSigIll) | signal_bit(kSigTrap) | signal_bit(kSigFpe) | signal_bit(kSigSys);
    u64 candidates = this->set() & set;
    if (!candidates) return std::nullopt;
    if (candidates & kFaults) candidates &= kFaults;
    const int number = std::countr_zero(candidates) + 1;
    const auto found = std::find_if(queue_.begin(), queue_.end(), [&](const SignalInfo& info) { return info.number == number; });
    const SignalInfo info = *found;
    queue_.erase(found);
    return info;
}

void PendingSignals::discard(u64 set) {
    std::erase_if(queue_, [set](const SignalInfo& info) { return set & signal_bit(info.number); });
}

void PendingSignals::discard_timer(i32 id) {
    std::erase_if(queue_, [id](const SignalInfo& info) { return info.code == kCodeTimer && info.raw_pid == id; });
}
bool PendingSignals::has_timer(i32 id) const {
    return std::any_of(queue_.begin(), queue_.end(), [id](const SignalInfo& info) { return info.code == kCodeTimer && info.raw_pid == id; });
}

u64 PendingSignals::set() const {
    u64 set = 0;
    for (const SignalInfo& info : queue_) set |= signal_bit(info.number);
    return set;
}

SignalDefault default_action(int number) {
    switch (number) {
    case kSigChld: case kSigUrg: case kSigWinch: return SignalDefault::Ignore;
    case kSigCont: return SignalDefault::Continue;
    case kSigStop: case kSigTstp: case kSigTtin: case kSigTtou: return SignalDefault::Stop;
    case kSigQuit: case kSigIll: case kSigTrap: case kSigAbrt: case kSigBus: case kSigFpe: case kSigSegv: case kSigXcpu: case kSigXfsz: case kSigSys: return SignalDefault::Core;
    default: return SignalDefault::End;
    }
}

const char* signal_name(int number) {
    static constexpr const char* kNames[] = {"0", "SIGHUP", "SIGINT", "SIGQUIT", "SIGILL", "SIGTRAP", "SIGABRT", "SIGBUS", "SIGFPE", "SIGKILL", "SIGUSR1",
                                             "SIGSEGV", "SIGUSR2", "SIGPIPE", "SIGALRM", "SIGTERM", "SIGSTKFLT", "SIGCHLD", "SIGCONT", "SIGSTOP", "SIGTSTP", "SIGTTIN",
                                             "SIGTTOU", "SIGURG", "SIGXCPU", "SIGXFSZ", "SIGVTALRM", "SIGPROF", "SIGWINCH", "SIGIO", "SIGPWR", "SIGSYS"};
    return number >= 0 && number < 32 ? kNames[number] : "SIGRT";
}

namespace {

constexpr u64 kStops = signal_bit(kSigStop) | signal_bit(kSigTstp) | signal_bit(kSigTtin) | signal_bit(kSigTtou);
constexpr u64 kNeverBlocked = signal_bit(kSigKill) | signal_bit(kSigStop);

/// What rt_sigreturn finds on the stack again: siginfo_t and ucontext_t of riscv64.
struct Frame {
    std::array<u8, 128> info;
    u64 flags, link, stack_base;
    u32 stack_flags, stack_pad;
    u64 stack_size, mask;
    std::array<u8, 120> unused;
    u64 pad;
    u64 pc;
    std::array<u64, 31> x;
    std::array<u64, 32> f;
    u64 fcsr;
    std::array<u8, 528 - 264> rest_of_fp;
};
static_assert(sizeof(Frame) == 1088);

std::array<u8, 128> siginfo_bytes(const SignalInfo& info, i32 sender, u32 uid) {
    std::array<u8, 128> bytes{};
    const auto put = [&](std::size_t at, auto value) { std::memcpy(bytes.data() + at, &value, sizeof value); };
    put(0, info.number), put(4, info.error), put(8, info.code);
    const bool fault = info.code > 0 && info.code < kCodeKernel && (info.number == kSigSegv || info.number == kSigBus || info.number == kSigIll || info.number == kSigTrap || info.number == kSigFpe);
    if (fault) {
        put(16, info.value);
    } else if (info.number == kSigChld && info.code > 0) {
        put(16, sender), put(20, uid), put(24, static_cast<i32>(info.value));
    } else if (info.number == kSigSys && info.code == kCodeSeccomp) {
        put(16, info.value), put(24, info.call), put(28, kAuditArchRiscv64);
    } else if (info.code == kCodeTimer) {
        put(16, info.raw_pid), put(20, info.overrun), put(24, info.value);
    } else {
        put(16, sender), put(20, uid), put(24, info.value);
    }
    return bytes;
}

} // namespace

// --- Sending -----------------------------------------------------------------------------------------------------------------------

/// pid_namespaces(7): to an init, what it does not handle is lost, but for SIGKILL and SIGSTOP from an ancestor namespace.
bool Kernel::is_ignored(const Process& process, const SignalInfo& info) const {
    const Task& leader = tasks[process.leader];
    const SignalAction& action = signal_actions[leader.actions][static_cast<std::size_t>(info.number)];
    const auto record = pids.find(process.pid);
    const bool is_init = record != pids.end() && record->second.pid_namespace != 0 && record->second.numbers.back() == 1;
    if (is_init && action.handler == sa::kDefault) {
        const auto sender = pids.find(info.sender);
        const bool inside = info.sender && sender != pids.end() && namespace_within(sender->second.pid_namespace, record->second.pid_namespace);
        return inside || !(signal_bit(info.number) & kNeverBlocked);
    }
    if (signal_bit(info.number) & kNeverBlocked) return false;
    return action.handler == sa::kIgnore || (action.handler == sa::kDefault && default_action(info.number) == SignalDefault::Ignore);
}

/// SIGCONT and the stops undo each other where they are pending, and SIGCONT and SIGKILL start what is stopped (signal(7)).
void Kernel::prepare_signal(Machine& machine, u32 index, int number) {
    Process& process = processes[index];
    const u64 gone = signal_bit(number) & kStops ? signal_bit(kSigCont) : number == kSigCont ? kStops : 0;
    if (gone) {
        process.pending.discard(gone);
        for (u32 thread : process.threads) tasks[thread].pending.discard(gone);
    }
    if (number == kSigCont || number == kSigKill) continue_process(machine, index);
}

/// Whether what is pending ends the task's process, without a handler of its own.
bool Kernel::ends_by_signal(u32 index) const {
    const Task& task = tasks[index];
    const u64 wanted = deliverable(task);
    for (int number = 1; wanted && number <= kSignals; ++number) {
        if (!(wanted & signal_bit(number))) continue;
        const SignalAction& action = signal_actions[task.actions][static_cast<std::size_t>(number)];
        if (number != kSigKill && action.handler != sa::kDefault) continue;
        const SignalDefault what = default_action(number);
        if (what != SignalDefault::Stop && what != SignalDefault::Ignore && what != SignalDefault::Continue) return true;
    }
    return false;
}

/// A frozen process that has been told to end does so.
void Kernel::thaw_to_end(u32 process) {
    for (u32 thread : processes[process].threads) {
        tasks[thread].frozen = false;
        if (tasks[thread].state == TaskState::Runnable) make_runnable(thread);
    }
}

void Kernel::wake_for_signal(u32 index) {
    if (!deliverable(tasks[index])) return;
    if (tasks[index].frozen && ends_by_signal(index)) thaw_to_end(tasks[index].process);
    wake_task(index, Wakened::BySignal);
}

/// With the sender's pid as the receiver knows it: the sender may be gone when the signal is taken.
SignalInfo Kernel::as_seen(const SignalInfo& info, const Task& receiver) const {
    SignalInfo seen = info;
    if (!seen.raw_pid && seen.sender) seen.raw_pid = pid_in(seen.sender, receiver.namespaces.pid);
    return seen;
}

void Kernel::send_to_process(Machine& machine, u32 index, const SignalInfo& info) {
    Process& process = processes[index];
    if (!info.number || !process.used || process.zombie || index == 0) return;
    prepare_signal(machine, index, info.number);
    const bool ignored = is_ignored(process, info);
    const bool blocked_by_all = std::all_of(process.threads.begin(), process.threads.end(), [&](u32 t) { return tasks[t].blocked_signals & signal_bit(info.number); });
    if (ignored && !blocked_by_all) return;
    process.pending.add(as_seen(info, tasks[process.leader]));
    wake({WaitKind::Signal, process.leader});
    wake({WaitKind::Signal, ~u64{0}});
    for (u32 thread : process.threads) // the first that would take it
        if (!(tasks[thread].blocked_signals & signal_bit(info.number))) {
            wake_for_signal(thread);
            if (info.number != kSigKill) break;
        }
}

void Kernel::send_to_task(Machine& machine, u32 index, const SignalInfo& info) {
    Task& task = tasks[index];
    if (!info.number || task.state == TaskState::Zombie || task.state == TaskState::Free) return;
    if (info.number == kSigKill) return send_to_process(machine, task.process, info);
    prepare_signal(machine, task.process, info.number);
    if (is_ignored(process_of(task), info) && !(task.blocked_signals & signal_bit(info.number))) return;
    task.pending.add(as_seen(info, task));
    wake({WaitKind::Signal, process_of(task).leader});
    wake({WaitKind::Signal, ~u64{0}});
    wake_for_signal(index);
}

void Kernel::send_to_group(Machine& machine, i32 group, const SignalInfo& info) {
    for (u32 i = 1; group && i < processes.size(); ++i)
        if (processes[i].used && !processes[i].zombie && processes[i].group == group) send_to_process(machine, i, info);
}

/// A fault of its own making: neither blocking nor ignoring helps against it.
void Kernel::force_signal(Machine& machine, u32 index, const SignalInfo& info) {
    Task& task = tasks[index];
    const SignalAction& action = signal_actions[task.actions][static_cast<std::size_t>(info.number)];
    if (action.handler == sa::kIgnore || task.blocked_signals & signal_bit(info.number) || action.handler == sa::kDefault) {
        event(machine, EventKind::ProcessExit, task, fmt::format("{} at 0x{:x} ends {}", signal_name(info.number), task.pc, task.name));
        const bool dumps = default_action(info.number) == SignalDefault::Core && process_of(task).limits[kLimitCore].current;
        return end_process(machine, task.process, info.number | (dumps ? 0x80 : 0));
    }
    task.pending.add(info);
}

// --- Stopping ------------------------------------------------------------------------------------------------------------------------

void Kernel::tell_parent(Machine& machine, u32 index, int code, int status) {
    const Process& process = processes[index];
    if (process.parent == 0) return;
    wake({WaitKind::Child, process.parent});
    const SignalAction& action = signal_actions[tasks[processes[process.parent].leader].actions][kSigChld];
    if (action.flags & sa::kNoChildStop) return;
    send_to_process(machine, process.parent, {.number = kSigChld, .code = code, .sender = process.pid, .uid = tasks[process.leader].credentials.uid, .value = static_cast<u64>(status)});
}

void Kernel::stop_process(Machine& machine, u32 index, int number) {
    Process& process = processes[index];
    process.stopped = process.report_stop = true;
    process.report_continue = false;
    process.stop_signal = number;
    for (u32 thread : process.threads) {
        Task& task = tasks[thread];
        if (task.state == TaskState::Blocked) leave_queues(task);
        dequeue(thread);
        task.state = TaskState::Stopped;
    }
    tell_parent(machine, index, kChildStopped, number);
}

void Kernel::continue_process(Machine& machine, u32 index) {
    Process& process = processes[index];
    if (!process.stopped) return;
    process.stopped = process.report_stop = false;
    process.report_continue = true;
    for (u32 thread : process.threads) make_runnable(thread); // who waited in a call attempts it again
    tell_parent(machine, index, kChildContinued, kSigCont);
}

// --- Delivering ----------------------------------------------------------------------------------------------------------------------

u64 Kernel::deliverable(const Task& task) const { return (task.pending.set() | process_of(task).pending.set()) & ~(task.blocked_signals & ~kNeverBlocked); }

/// Acts on what is pending until a handler has been called, the task has ended or stopped, or nothing is left. A call that it was in ends
/// with EINTR or begins anew when a handler is called.
void Kernel::deliver_signals(Machine& machine, u32 index) {
    while (tasks[index].state == TaskState::Runnable || tasks[index].state == TaskState::Blocked) {
        Task& task = tasks[index];
        const u64 wanted = deliverable(task);
        const auto info = take_signal(machine, task, wanted);
        if (!info) break;
        SignalAction& entry = signal_actions[task.actions][static_cast<std::size_t>(info->number)];
        const SignalAction action = entry;
        if (is_ignored(process_of(task), *info)) continue;
        if (action.handler == sa::kDefault || info->number == kSigKill || info->number == kSigStop) {
            switch (default_action(info->number)) {
            case SignalDefault::Stop:
                if (info->number != kSigStop && is_orphaned(process_of(task).group, 0)) continue; // nobody would continue it
                stop_process(machine, task.process, info->number);
                break;
            case SignalDefault::Ignore: case SignalDefault::Continue: continue;
            case SignalDefault::Core: end_process(machine, task.process, info->number | (process_of(task).limits[kLimitCore].current ? 0x80 : 0)); break;
            default: end_process(machine, task.process, info->number);
            }
            return;
        }
        if (task.in_call) {
            const bool again = task.restart == Restart::IfAsked && action.flags & sa::kRestart;
            if (again) task.in_call = false; // pc is at the ecall still
            else finish_call(machine, task, -kEINTR);
        }
        if (tasks[index].rseq) abort_sequence(machine, index);
        if (tasks[index].state == TaskState::Zombie || tasks[index].state == TaskState::Free) return;
        if (action.flags & sa::kResetHand) entry.handler = sa::kDefault;
        if (!push_frame(machine, tasks[index], *info, action)) return end_process(machine, tasks[index].process, kSigSegv);
        // What else is pending is put on top: the last handler to be called is the first to run.
    }
    if (tasks[index].restore_blocked && !tasks[index].in_call) tasks[index].blocked_signals = *std::exchange(tasks[index].restore_blocked, std::nullopt);
}

/// The handler's frame. False: the stack is not there.
bool Kernel::push_frame(Machine& machine, Task& task, const SignalInfo& info, const SignalAction& action) {
    constexpr u32 kDisabled = 2, kOnStack = 1;
    const u64 sp = task.x[2];
    const AlternateStack& alternate = task.alternate_stack;
    const bool on_alternate = sp - alternate.base < alternate.size && !(alternate.flags & kDisabled);
    const u64 top = action.flags & sa::kOnStack && !(alternate.flags & kDisabled) && !on_alternate ? alternate.base + alternate.size : sp;
    const u64 at = (top - sizeof(Frame)) & ~u64{15};
    Frame frame{};
    frame.info = siginfo_bytes(info, info.raw_pid ? info.raw_pid : pid_in(info.sender, task.namespaces.pid), uid_in(task, info.uid));
    frame.stack_base = alternate.base, frame.stack_size = alternate.size, frame.stack_flags = alternate.flags & kDisabled ? kDisabled : on_alternate ? kOnStack : 0;
    frame.mask = task.restore_blocked.value_or(task.blocked_signals);
    frame.pc = task.pc;
    std::copy_n(task.x.begin() + 1, 31, frame.x.begin());
    frame.f = task.f, frame.fcsr = task.fcsr;
    if (!copy_out(machine, task, at, std::span(reinterpret_cast<const u8*>(&frame), sizeof frame))) return false;
    task.restore_blocked.reset();
    task.blocked_signals |= action.mask | (action.flags & sa::kNoDefer ? 0 : signal_bit(info.number));
    task.blocked_signals &= ~kNeverBlocked;
    task.x[1] = kTrampoline, task.x[2] = at, task.pc = action.handler;
    task.x[10] = static_cast<u64>(info.number), task.x[11] = at, task.x[12] = at + offsetof(Frame, flags);
    event(machine, EventKind::Signal, task, fmt::format("{} calls {}'s handler at 0x{:x}", signal_name(info.number), task.name, action.handler));
    return true;
}

/// rt_sigreturn: registers and mask as the frame has them. False: it cannot be read.
bool Kernel::pop_frame(Machine& machine, Task& task) {
    Frame frame{};
    if (!copy_in(machine, task, task.x[2], std::span(reinterpret_cast<u8*>(&frame), sizeof frame))) return false;
    task.pc = frame.pc;
    std::copy_n(frame.x.begin(), 31, task.x.begin() + 1);
    task.f = frame.f, task.fcsr = frame.fcsr & 0xff;
    task.blocked_signals = frame.mask & ~kNeverBlocked;
    return true;
}

} // namespace trapeze::container
