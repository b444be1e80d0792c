// Job control: which group has the terminal, who is stopped for touching it, and what happens to those who are left behind
// (credentials(7), "Process group ID"; setpgid(2)).
#include "container-sim/abi.hpp"
#include "container-sim/syscalls.hpp"

#include <algorithm>

namespace trapeze::container {

/// True when nobody outside the group, but of its session, is a parent of one of its members (`without` does not count): nobody would continue it.
bool Kernel::is_orphaned(i32 group, u32 without) const {
    for (u32 i = 1; i < processes.size(); ++i) {
        const Process &member = processes[i], &parent = processes[member.parent];
        if (!member.used || member.zombie || member.group != group || i == without || member.parent == 0) continue;
        if (parent.group != group && parent.session == member.session) return false;
    }
    return true;
}

/// A process has ended or lost its parent `former`: stopped jobs that nobody will continue get SIGHUP and SIGCONT.
void Kernel::release_orphans(Machine& machine, u32 process, u32 former, u32 without) {
    const i32 group = processes[process].group;
    if (processes[former].group == group || processes[former].session != processes[process].session || !is_orphaned(group, without)) return;
    const bool stopped = std::any_of(processes.begin(), processes.end(), [&](const Process& p) { return p.used && !p.zombie && p.group == group && p.stopped; });
    if (!stopped) return;
    send_to_group(machine, group, {.number = kSigHup, .code = kCodeKernel});
    send_to_group(machine, group, {.number = kSigCont, .code = kCodeKernel});
}

/// Whether a task may use its controlling terminal: 0, EIO, or its group is stopped first.
Attempt Kernel::check_foreground(const Call& call, u32 terminal, int signal) {
    const Task& task = call.task();
    const Process& process = process_of(task);
    const i32 foreground = terminals[terminal].foreground;
    if (process.tty != terminal + 1 || !foreground || process.group == foreground) return 0;
    const bool ignored = task.blocked_signals & signal_bit(signal) || signal_actions[task.actions][static_cast<std::size_t>(signal)].handler == sa::kIgnore;
    if (ignored) return signal == kSigTtin ? -kEIO : 0;
    if (is_orphaned(process.group, 0)) return -kEIO;
    send_to_group(call.machine, process.group, {.number = signal, .code = kCodeKernel});
    return call.wait({WaitKind::Tty, terminal});
}

void Kernel::set_foreground(Terminal& terminal, i32 group) {
    if (group) use_pid(group);
    if (terminal.foreground) release_pid(terminal.foreground);
    terminal.foreground = group;
}

void Kernel::take_terminal(Process& leader, u32 index) {
    terminals[index].session = leader.session;
    set_foreground(terminals[index], leader.group);
    leader.tty = index + 1;
}

/// The session and its terminal part.
void Kernel::leave_terminal(u32 index) {
    for (Process& process : processes)
        if (process.used && process.tty == index + 1) process.tty = 0;
    set_foreground(terminals[index], 0);
    terminals[index].session = 0;
}

/// The other end is gone: the session's leader is told, and whoever has the terminal open reads its end from now on.
void Kernel::hang_up(Machine& machine, u32 index) {
    const i32 session = terminals[index].session;
    ++terminals[index].generation;
    terminals[index].slaves = 0, terminals[index].slave_gone = true;
    terminals[index].flush_input();
    if (const auto record = pids.find(session); session && record != pids.end() && record->second.has_task) {
        const u32 leader = tasks[record->second.task].process;
        send_to_process(machine, leader, {.number = kSigHup, .code = kCodeKernel});
        send_to_process(machine, leader, {.number = kSigCont, .code = kCodeKernel});
    }
    leave_terminal(index);
    wake({WaitKind::Tty, index});
}

void Kernel::resize_terminal(Machine& machine, Terminal& terminal, const WindowSize& size) {
    if (terminal.size == size) return;
    terminal.size = size;
    send_to_group(machine, terminal.foreground, {.number = kSigWinch, .code = kCodeKernel});
}

} // namespace trapeze::container
