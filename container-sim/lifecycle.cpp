// Birth and death of processes and threads: pids, parents, zombies, and the end of a pid namespace with its init.
#include "container-sim/abi.hpp"
#include "container-sim/kernel.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace trapeze::container {

std::optional<u32> Kernel::new_task() {
    while (!free_tasks.empty()) {
        const u32 index = *free_tasks.begin();
        free_tasks.erase(free_tasks.begin());
        if (!tasks[index].queued) return tasks[index] = Task(), index;
    }
    if (tasks.size() >= max_tasks()) return std::nullopt;
    tasks.emplace_back();
    return static_cast<u32>(tasks.size() - 1);
}

std::optional<u32> Kernel::new_process(u32 parent) {
    u32 index = static_cast<u32>(processes.size());
    if (free_processes.empty()) processes.emplace_back();
    else index = *free_processes.begin(), free_processes.erase(free_processes.begin());
    processes[index].used = true;
    processes[index].parent = parent;
    processes[parent].children.push_back(index);
    return index;
}

// --- Pids ------------------------------------------------------------------------------------------------------------------

/// A number in the namespace and in each one above it (pid_namespaces(7)), the innermost ones as `wanted` (clone3's set_tid). False: one of
/// them has none left. Pre: what is wanted is free.
bool Kernel::give_pid(u32 index, u32 pid_namespace, std::span<const i32> wanted) {
    PidRecord record;
    record.pid_namespace = pid_namespace, record.users = 1, record.task = index, record.has_task = true;
    record.numbers.assign(pid_namespaces[pid_namespace].level + 1, 0);
    for (u32 at = pid_namespace;; at = pid_namespaces[at].parent) {
        PidNamespace& in = pid_namespaces[at];
        constexpr i32 kAgainFrom = 300;
        if (in.members.size() + kAgainFrom >= static_cast<std::size_t>(kMaxPid)) return false;
        i32 number = in.last_pid;
        if (!wanted.empty()) {
            record.numbers[in.level] = wanted[0];
            wanted = wanted.subspan(1);
        } else {
            do number = number + 1 >= kMaxPid ? kAgainFrom : number + 1;
            while (in.members.contains(number));
            record.numbers[in.level] = in.last_pid = number;
        }
        if (at == 0) break;
    }
    const i32 host = record.numbers[0];
    for (u32 at = pid_namespace;; at = pid_namespaces[at].parent) {
        pid_namespaces[at].members[record.numbers[pid_namespaces[at].level]] = host;
        if (at == 0) break;
    }
    use_namespace(NamespaceKind::Pid, pid_namespace);
    tasks[index].tid = host;
    tasks[index].namespaces.pid = pid_namespace;
    pids[host] = std::move(record);
    return true;
}

void Kernel::release_pid(i32 pid) {
    const auto found = pids.find(pid);
    if (found == pids.end() || --found->second.users) return;
    const u32 own = found->second.pid_namespace;
    for (u32 at = own;; at = pid_namespaces[at].parent) {
        pid_namespaces[at].members.erase(found->second.numbers[pid_namespaces[at].level]);
        if (at == 0) break;
    }
    pids.erase(found);
    if (pid_namespaces.contains(own) && own) {
        if (pid_namespaces.release(own)) erase_pid_namespace(own);
    }
}

void Kernel::set_group(Process& process, i32 group) {
    if (group) use_pid(group);
    if (process.group) release_pid(process.group);
    process.group = group;
}
void Kernel::set_session(Process& process, i32 session) {
    if (session) use_pid(session);
    if (process.session) release_pid(process.session);
    process.session = session;
}

std::optional<u32> Kernel::init_of(u32 pid_namespace) const {
    const auto& members = pid_namespaces[pid_namespace].members;
    const auto init = members.find(1);
    if (init == members.end()) return std::nullopt;
    const PidRecord& record = pids.at(init->second);
    return record.has_task && tasks[record.task].state != TaskState::Free ? std::optional(tasks[record.task].process) : std::nullopt;
}

// --- Parents ----------------------------------------------------------------------------------------------------------------

void Kernel::set_parent(u32 child, u32 parent) {
    std::erase(processes[processes[child].parent].children, child);
    processes[child].parent = parent;
    processes[parent].children.push_back(child);
}

/// Who gets a dying process's children: the nearest subreaper above it in its pid namespace, else that namespace's init, else the host.
u32 Kernel::reaper_of(const Process& process) const {
    const u32 pid_namespace = tasks[process.leader].namespaces.pid;
    for (u32 at = process.parent; at != 0; at = processes[at].parent) {
        const Process& candidate = processes[at];
        if (tasks[candidate.leader].namespaces.pid != pid_namespace) break;
        if (candidate.subreaper && !candidate.zombie && !candidate.exiting) return at;
    }
    const auto init = pid_namespace ? init_of(pid_namespace) : std::nullopt;
    return init && &processes[*init] != &process && !processes[*init].zombie && !processes[*init].exiting ? *init : 0;
}

// --- Death -------------------------------------------------------------------------------------------------------------------

/// What a task holds of the kernel's pools goes. Its registers and credentials stay for those who look at a zombie.
void Kernel::release_task(Machine& machine, Task& task) {
    leave_queues(task);
    if (task.clear_tid && task.memory && spaces.users(task.memory) > 1) {
        const u32 zero = 0;
        copy_out(machine, task, task.clear_tid, std::span(reinterpret_cast<const u8*>(&zero), sizeof zero));
        if (const auto physical = physical_of(machine, task, task.clear_tid)) wake({WaitKind::Futex, *physical});
    }
    if (task.descriptors) release_descriptors(machine, std::exchange(task.descriptors, 0));
    if (task.context && contexts.release(task.context)) contexts.erase(task.context);
    task.context = 0;
    release_filter(std::exchange(task.seccomp, 0));
    release_undo(machine, std::exchange(task.semaphore_undo, 0));
    release_space(machine, std::exchange(task.memory, 0));
    wake({WaitKind::Vfork, static_cast<u64>(task.tid)});
    wake({WaitKind::Exit, static_cast<u64>(task.tid)});
}

/// One thread ends; with the last one the process does.
void Kernel::end_thread(Machine& machine, u32 index, int code) {
    Task& task = tasks[index];
    if (task.state == TaskState::Zombie || task.state == TaskState::Free) return;
    const u32 process = task.process;
    walk_robust_list(machine, index);
    leave_cgroup(index);
    release_task(machine, tasks[index]);
    tasks[index].state = TaskState::Zombie;
    std::erase(processes[process].threads, index);
    if (index == processes[process].leader) tasks[index].exit_code = code;
    else drop_task(machine, index);
    if (!processes[process].threads.empty()) return;
    if (!processes[process].exiting) processes[process].exit_status = tasks[processes[process].leader].exit_code;
    become_zombie(machine, process);
}

/// A thread's own slot is free again.
void Kernel::drop_task(Machine& machine, u32 index) {
    Task& task = tasks[index];
    if (task.actions && signal_actions.release(task.actions)) signal_actions.erase(task.actions);
    release_namespaces(machine, task);
    count_pids(task.cgroup, -1);
    release_cgroup(task.cgroup);
    if (const auto record = pids.find(task.tid); record != pids.end()) record->second.has_task = false;
    release_pid(task.tid);
    const bool queued = task.queued;
    task = Task();
    task.queued = queued;
    free_tasks.insert(index);
}

void Kernel::end_process(Machine& machine, u32 index, int status) {
    Process& process = processes[index];
    if (!process.used || process.zombie || process.exiting) return;
    process.exiting = true;
    process.exit_status = status;
    const std::vector<u32> threads = process.threads;
    for (u32 thread : threads) end_thread(machine, thread, status);
}

/// The last thread is gone: children get another parent, the parent is told.
void Kernel::become_zombie(Machine& machine, u32 index) {
    Process& process = processes[index];
    process.exiting = process.zombie = true;
    const Task& leader = tasks[process.leader];
    event(machine, EventKind::ProcessExit, leader,
          fmt::format("{} ends, {}", leader.name, process.exit_status & 0x7f ? fmt::format("by signal {}", process.exit_status & 0x7f) : fmt::format("status {}", process.exit_status >> 8)));
    if (process.alarm) alarms.erase({process.alarm, index});
    drop_timers(index);
    const bool is_init = leader.namespaces.pid != 0 && pids.at(process.pid).numbers.back() == 1;
    if (is_init) kill_namespace(machine, leader.namespaces.pid);
    end_session(machine, index);
    const u32 reaper = reaper_of(processes[index]);
    const std::vector<u32> children = processes[index].children;
    for (u32 child : children) {
        const i32 wanted = processes[child].parent_death_signal;
        set_parent(child, reaper);
        release_orphans(machine, child, index, 0);
        if (wanted && !processes[child].zombie) send_to_process(machine, child, {.number = wanted, .code = kCodeKernel});
        if (processes[child].zombie) {
            if (!reaper && !is_container_init(child)) reap(machine, child);
            else wake({WaitKind::Child, reaper});
        }
    }
    release_orphans(machine, index, processes[index].parent, index);
    notify_parent_of_end(machine, index);
}

/// SIGCHLD to the parent, or the zombie goes at once when the parent does not want to know (wait(2), NOTES) or is the host.
void Kernel::notify_parent_of_end(Machine& machine, u32 index) {
    const Process& process = processes[index];
    const u32 parent = process.parent;
    wake({WaitKind::Exit, static_cast<u64>(process.pid)});
    engine_news |= processes[parent].engine;
    if (parent == 0) {
        if (!is_container_init(index)) reap(machine, index);
        return;
    }
    const SignalAction& action = signal_actions[tasks[processes[parent].leader].actions][kSigChld];
    const bool unwanted = process.exit_signal == kSigChld && (action.handler == sa::kIgnore || action.flags & sa::kNoChildWait);
    const int status = process.exit_status;
    const bool sends = process.exit_signal >= 1 && process.exit_signal <= kSignals; // clone takes any number: what is no signal is not sent
    if (sends && !(unwanted && action.handler == sa::kIgnore)) {
        const int code = status & 0x7f ? (status & 0x80 ? kChildDumped : kChildKilled) : kChildExited;
        send_to_process(machine, parent, {.number = process.exit_signal, .code = code, .sender = process.pid, .uid = tasks[process.leader].credentials.uid,
                                          .value = static_cast<u64>(status & 0x7f ? status & 0x7f : status >> 8 & 0xff)});
    }
    if (unwanted) reap(machine, index);
    wake({WaitKind::Child, parent});
}

bool Kernel::is_container_init(u32 process) const {
    const u32 container = processes[process].container;
    return container && ttys[container].init == process;
}

/// A zombie's last traces go.
void Kernel::reap(Machine& machine, u32 index) {
    Process& process = processes[index];
    processes[process.parent].children_cycles += process.cycles + process.children_cycles;
    std::erase(processes[process.parent].children, index);
    set_group(process, 0);
    set_session(process, 0);
    drop_task(machine, process.leader);
    processes[index] = Process();
    free_processes.insert(index);
}

/// pid_namespaces(7): with its init all of a namespace ends, and nobody can be born into it any more.
void Kernel::kill_namespace(Machine& machine, u32 pid_namespace) {
    pid_namespaces[pid_namespace].dead = true;
    for (u32 i = 1; i < processes.size(); ++i)
        if (processes[i].used && !processes[i].zombie && namespace_within(tasks[processes[i].leader].namespaces.pid, pid_namespace)) end_process(machine, i, kSigKill);
    for (u32 i = 1; i < processes.size(); ++i) // nobody is left to ask for them
        if (processes[i].used && processes[i].zombie && namespace_within(tasks[processes[i].leader].namespaces.pid, pid_namespace) && !is_container_init(i) && !processes[i].children.size()) {
            const u32 parent = processes[i].parent;
            if (parent != 0 && namespace_within(tasks[processes[parent].leader].namespaces.pid, pid_namespace)) reap(machine, i);
        }
}

/// The leader of a session has ended: its terminal's foreground group gets SIGHUP (credentials(7)).
void Kernel::end_session(Machine& machine, u32 index) {
    const Process& process = processes[index];
    if (process.session != process.pid || !process.tty) return;
    const u32 terminal = process.tty - 1;
    send_to_group(machine, terminals[terminal].foreground, {.number = kSigHup, .code = kCodeKernel});
    leave_terminal(terminal);
}

} // namespace trapeze::container
