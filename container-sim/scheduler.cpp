// The kernel's main loop: choosing a task, running it on the hart, serving what it traps with. Who goes next is
// run_queue.cpp's affair; time slices are counted in instructions. A task that waits is in no queue but those of what it waits for.
#include "container-sim/page_tables.hpp"
#include "container-sim/fs/types.hpp"
#include "container-sim/kernel.hpp"
#include "container-sim/syscalls.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace trapeze::container {

namespace {

constexpr u32 kNobody = ~u32{0};
constexpr u64 kPmpAllNapot = 0x1f;
constexpr int kCodeAccess = 2, kCodeUnmapped = 1; // SEGV_ACCERR, SEGV_MAPERR

int signal_of(const Trap& trap) {
    switch (static_cast<Cause>(trap.cause)) {
    case Cause::IllegalInstruction: return kSigIll;
    case Cause::Breakpoint: return kSigTrap;
    case Cause::LoadMisaligned: case Cause::StoreMisaligned: case Cause::InstructionMisaligned: return kSigBus;
    default: return kSigSegv;
    }
}

} // namespace

Result<Kernel> Kernel::boot(Machine& machine) {
    if (machine.config().builtin_firmware) return Error{"the machine has firmware of its own, so the kernel cannot set it up; create it with builtin_firmware = false"};
    if (machine.harts.size() != 1) return Error{"the kernel runs on one hart so far; create the machine with 1"};
    Kernel kernel;
    kernel.set_up(machine);
    return kernel;
}

/// Does what firmware and the start of a kernel would: every trap comes to S, and S is the kernel's seat.
void Kernel::set_up(Machine& machine) {
    Hart& hart = machine.hart();
    Bus bus = machine.bus();
    hart.reset(0);
    hart.write_csr(Csr::medeleg, ~u64{0}, bus);
    hart.write_csr(Csr::mideleg, ~u64{0}, bus);
    hart.write_csr(Csr::mcounteren, ~u64{0}, bus);
    hart.write_csr(Csr::scounteren, 1 << 1, bus); // rdtime works in user mode, rdcycle does not (Linux since 6.6)
    hart.write_csr(Csr::menvcfg, menvcfg::STCE | menvcfg::ADUE, bus);
    hart.write_csr(Csr::pmpaddr0, ~u64{0}, bus);
    hart.write_csr(Csr::pmpcfg0, kPmpAllNapot, bus);
    hart.state.priv = Priv::U;
    hart.occupy(Priv::S);
    frame_users.assign(machine.ram.size() >> kPageShift, 0);
    frame_charges.assign(frame_users.size(), {});
    for (u64 i = 0; i < kReservedFrames; ++i) frame_users[i] = 1;
    current = kNobody;
    set_up_host();
}

/// The first namespaces, and task 0 of process 0, which stands for the host: parent of what the engine starts.
void Kernel::set_up_host() {
    const auto head = [](NamespaceKind kind) { return NamespaceHead{first_namespace_inode(kind), 0}; };
    PidNamespace first;
    static_cast<NamespaceHead&>(first) = head(NamespaceKind::Pid);
    pid_namespaces.add(first);
    uts_namespaces.add({head(NamespaceKind::Uts), "host"});
    user_namespaces.add({head(NamespaceKind::User), 0, 0, 0, 0, {{0, 0, ~u32{0}}}, {{0, 0, ~u32{0}}}});
    time_namespaces.add({head(NamespaceKind::Time)});
    cgroup_namespaces.add({head(NamespaceKind::Cgroup)});
    ipc_namespaces.add({head(NamespaceKind::Ipc), {}, {}, {}, {}, 0});
    semaphore_undos.add({});
    net_namespaces.add(head(NamespaceKind::Net));
    mnt_namespace_heads.add(head(NamespaceKind::Mnt));
    Viewer boot;
    const Credentials root;
    boot.credentials = &root;
    vfs.start_namespace(0, 0);
    set_up_cgroups(boot);
    const auto make_tree = [&](const FileSystemType& type, const char* source) { // with no options, in an empty file system, this cannot fail
        const u32 super = static_cast<u32>(vfs.make_super(boot, type, {source, "", 0, false, {}}));
        return vfs.new_mount(super, vfs.root_of(super), source, 0);
    };
    vfs.set_root_mount(0, make_tree(kRootfs, "rootfs"));
    const Location bottom = vfs.namespace_root(0);
    const u32 top = make_tree(kRamfs, "host");
    vfs.link_mount(top, bottom.mount, bottom.dentry);
    vfs.put_in_namespace(top, 0);
    ttys.emplace_back();
    terminals.add({});
    spaces.add({});
    processes.emplace_back();
    processes[0].used = true;
    tasks.emplace_back();
    Task& host = tasks[0];
    host.name = "host", host.state = TaskState::Blocked;
    host.descriptors = descriptor_tables.add({});
    const Location at = vfs.namespace_root(0);
    host.context = contexts.add({at, at});
    host.actions = signal_actions.add({});
    give_pid(0, 0);
    processes[0].pid = host.tid;
    processes[0].threads = {0};
}

void Kernel::event(Machine& machine, EventKind kind, const Task& task, std::string_view text) {
    Event event;
    event.kind = kind;
    event.time = machine.cycles(), event.pc = task.pc, event.a = static_cast<u64>(task.tid);
    event.tag = process_of(task).container & 31;
    if (machine.trace.wants(kind)) event.detail = machine.trace.text(text);
    machine.trace.add(event);
}

// --- Who runs and who waits ------------------------------------------------------------------------------------------------

void Kernel::make_runnable(u32 index) {
    Task& task = tasks[index];
    task.state = TaskState::Runnable;
    if (!task.frozen && !task.queued && index != current) enqueue(index), preempt_for(index);
}

/// The task's attempt could not finish: it sleeps until what `waits` names changes, or until its deadline.
void Kernel::block(u32 index) {
    Task& task = tasks[index];
    task.state = TaskState::Blocked;
    task.wakened = Wakened::No;
    for (const WaitKey& key : task.waits) queues.add(key, index);
    if (task.deadline != kForever) timers.insert({task.deadline, index});
}

void Kernel::leave_queues(Task& task) {
    const u32 index = static_cast<u32>(&task - tasks.data());
    for (const WaitKey& key : task.waits) queues.remove(key, index);
    if (task.deadline != kForever) timers.erase({task.deadline, index});
    task.waits.clear();
    task.deadline = kForever;
    if (std::exchange(task.stalled, false)) note_stalled(task.cgroup, false);
    if (std::exchange(task.device_stalled, false)) note_device_stalled(task.cgroup, false);
}

void Kernel::wake_task(u32 index, Wakened why) {
    Task& task = tasks[index];
    if (task.state != TaskState::Blocked) return;
    leave_queues(task);
    task.wakened = why;
    make_runnable(index);
}

void Kernel::wake(WaitKey key, Edge edge) {
    if (edge == Edge::Yes && !edges.empty())
        if (const auto watched = edges.find(key); watched != edges.end()) ++watched->second;
    if (edge == Edge::Yes && !epoll_watchers.empty())
        if (const auto watchers = epoll_watchers.find(key); watchers != epoll_watchers.end())
            for (const auto& [epoll, item] : watchers->second)
                if (EpollSet::Item& own = epolls[epoll].items.at(item); !own.place) own.place = ++epoll_places;
    for (u32 index : queues.waiting(key)) wake_task(index, Wakened::ByKey);
}

void Kernel::expire_timers(Machine& machine) {
    while (!renewals.empty() && renewals.begin()->first <= machine.cycles()) renew_quota(renewals.begin()->second);
    while (!timer_file_deadlines.empty() && timer_file_deadlines.begin()->first <= machine.cycles()) {
        const u32 timer = timer_file_deadlines.begin()->second;
        timer_file_deadlines.erase(timer_file_deadlines.begin());
        wake({WaitKind::Timer, timer});
    }
    while (!timers.empty() && timers.begin()->first <= machine.cycles()) wake_task(timers.begin()->second, Wakened::ByTime);
    while (!posix_deadlines.empty() && std::get<0>(*posix_deadlines.begin()) <= machine.cycles()) {
        const auto [due, process, id] = *posix_deadlines.begin();
        posix_deadlines.erase(posix_deadlines.begin());
        fire_timer(machine, process, id);
    }
    while (!alarms.empty() && alarms.begin()->first <= machine.cycles()) {
        const u32 index = alarms.begin()->second;
        alarms.erase(alarms.begin());
        Process& process = processes[index];
        process.alarm = process.alarm_interval ? machine.cycles() + process.alarm_interval : 0;
        if (process.alarm) alarms.insert({process.alarm, index});
        send_to_process(machine, index, {.number = kSigAlrm, .code = kCodeKernel});
    }
}

/// When all wait, time passes to the first that waits for it. False: nobody does.
bool Kernel::skip_idle(Machine& machine) {
    u64 earliest = std::min(timers.empty() ? kForever : timers.begin()->first, alarms.empty() ? kForever : alarms.begin()->first);
    if (!posix_deadlines.empty()) earliest = std::min(earliest, std::get<0>(*posix_deadlines.begin()));
    if (!timer_file_deadlines.empty()) earliest = std::min(earliest, timer_file_deadlines.begin()->first);
    // What the network has still to do matters only to somebody: connections that are over wait for a minute.
    const auto alive = [](const Process& process) { return process.used && !process.zombie && !process.engine; };
    if (network_due() < earliest && std::any_of(processes.begin() + 1, processes.end(), alive)) earliest = network_due();
    earliest = std::min(earliest, next_renewal());
    if (earliest == kForever) return false;
    if (earliest > machine.cycles()) machine.charge(earliest - machine.cycles());
    return true;
}

void Kernel::load(Machine& machine, Task& task) {
    Hart& hart = machine.hart();
    HartState& s = hart.state;
    s.x = task.x, s.f = task.f, s.pc = task.pc;
    s[Csr::fcsr] = task.fcsr;
    s.priv = Priv::U;
    s[Csr::mstatus] |= mstatus::FS;
    if (loaded_space == task.memory) return;
    loaded_space = task.memory;
    Bus bus = machine.bus();
    hart.write_csr(Csr::satp, satp::kSv39 << 60 | memory_of(task).root >> kPageShift, bus);
    hart.flush_translations();
}

void Kernel::save(Machine& machine, Task& task) {
    const HartState& s = machine.hart().state;
    task.x = s.x, task.f = s.f, task.pc = s.pc;
    task.fcsr = s[Csr::fcsr];
}

KernelStop Kernel::run(Machine& machine, u64 budget, WhenIdle when_idle) {
    KernelStop stop;
    for (const Tty& console : ttys)
        if (console.terminal) feed_terminal(machine, console.terminal);
    while (stop.executed < budget) {
        if (!victims.empty()) end_victims(machine);
        if (engine_news) return stop;
        clock = machine.cycles();
        expire_timers(machine);
        if (network_due() <= machine.cycles()) advance_network(machine);
        if (current == kNobody || slice_left == 0 || tasks[current].state != TaskState::Runnable || tasks[current].frozen) {
            const u32 before = current;
            if (before != kNobody) {
                put_back();
                if (tasks[before].state == TaskState::Runnable && tasks[before].rseq && !tasks[before].in_call) abort_sequence(machine, before);
            }
            const auto next = choose();
            if (!next) {
                if (when_idle == WhenIdle::PassTime && idle_skips < kMostIdleSkips && skip_idle(machine)) {
                    ++idle_skips;
                    continue;
                }
                idle_skips = 0;
                const bool finished = std::none_of(processes.begin() + 1, processes.end(), [](const Process& p) { return p.used && !p.zombie && !p.engine; });
                stop.state = finished ? RunState::Finished : RunState::Idle;
                return stop;
            }
            current = *next;
            slice_left = slice_of(tasks[current]);
            if (before != current) event(machine, EventKind::ContextSwitch, tasks[current], tasks[current].name);
        }
        payer = current;
        if (tasks[current].in_call) {
            attempt_call(machine, current);
            continue;
        }
        if (deliverable(tasks[current])) {
            deliver_signals(machine, current);
            if (tasks[current].state != TaskState::Runnable) continue;
        }
        if (tasks[current].over_high && slow_down(machine, current)) continue;
        if (tasks[current].device_until && wait_for_device(machine, current)) continue;
        load(machine, tasks[current]);
        const Stop hart_stop = machine.run(std::min(budget - stop.executed, slice_left));
        stop.executed += hart_stop.executed;
        clock = machine.cycles();
        if (hart_stop.executed) idle_skips = 0;
        slice_left -= std::min(slice_left, hart_stop.executed);
        save(machine, tasks[current]);
        ran += hart_stop.executed;
        tasks[current].run_cycles += hart_stop.executed;
        process_of(tasks[current]).cycles += hart_stop.executed;
        if (process_of(tasks[current]).cycles >= process_of(tasks[current]).cpu_deadline) check_cpu_time(machine, tasks[current].process);
        if (hart_stop.kind == StopKind::SeatTrap) handle_trap(machine, hart_stop.trap);
        if (hart_stop.kind == StopKind::Halted) return stop.state = RunState::Finished, stop;
    }
    return stop;
}

void Kernel::handle_trap(Machine& machine, const Trap& trap) {
    Task& task = tasks[current];
    task.pc = trap.epc;
    machine.hart().return_from_trap(Priv::S);
    if (trap.is_interrupt()) return;
    switch (static_cast<Cause>(trap.cause)) {
    case Cause::EcallFromU: return begin_call(machine, current);
    case Cause::InstructionPageFault: case Cause::LoadPageFault: case Cause::StorePageFault: {
        const Access access = trap.is(Cause::StorePageFault) ? Access::Store : trap.is(Cause::LoadPageFault) ? Access::Load : Access::Fetch;
        ++process_of(task).faults;
        const i64 result = fault_in(machine, memory_of(task), trap.tval, access);
        if (result == -kENOMEM && victims.empty()) return end_process(machine, task.process, kSigKill); // nobody's end would make room
        if (result == kBusFault) return force_signal(machine, current, {.number = kSigBus, .code = kCodeNoObject, .value = trap.tval});
        if (result != -kEFAULT) return;
        const int code = area_for(memory_of(task), trap.tval) ? kCodeAccess : kCodeUnmapped;
        force_signal(machine, current, {.number = kSigSegv, .code = code, .value = trap.tval});
        return;
    }
    default:
        event(machine, EventKind::ProcessExit, task, fmt::format("{} at 0x{:x} in {}", cause_name(trap.cause), trap.epc, task.name));
        force_signal(machine, current, {.number = signal_of(trap), .code = trap.is(Cause::IllegalInstruction) || trap.is(Cause::Breakpoint) ? 1 : kCodeKernel, .value = trap.epc});
    }
}

// --- System calls -------------------------------------------------------------------------------------------------------------

void Kernel::begin_call(Machine& machine, u32 index) {
    Task& task = tasks[index];
    ++calls_made;
    task.call = task.x[17];
    task.in_call = true;
    task.resume = task.resume_more = 0;
    task.wakened = Wakened::No;
    const bool wanted = machine.trace.wants(EventKind::SyscallEnter);
    Call call{*this, machine, index, {}};
    std::copy_n(task.x.begin() + 10, 6, call.arguments.begin());
    event(machine, EventKind::SyscallEnter, task, wanted ? call.text(syscall_row(task.call), task.call) : std::string());
    if (task.seccomp_mode == SeccompMode::Off || filters_allow(machine, index)) attempt_call(machine, index);
}

/// One attempt. A task that a signal has woken makes it once more, so that what is ready counts and partial work is told; if it would
/// wait again, the signal goes first, and the call ends with EINTR or begins anew as `restart` and the handler's SA_RESTART have it.
void Kernel::attempt_call(Machine& machine, u32 index) {
    if (tasks[index].served) return finish_call(machine, tasks[index], *tasks[index].served);
    Call call{*this, machine, index, {}};
    std::copy_n(tasks[index].x.begin() + 10, 6, call.arguments.begin());
    const SyscallRow* row = syscall_row(tasks[index].call);
    const Attempt attempt = row ? row->handler(call) : Attempt(-kENOSYS);
    Task& task = tasks[index]; // the table may have grown
    if (task.state == TaskState::Free || task.state == TaskState::Zombie) return;
    if (attempt.no_return) { // execve has begun another program, rt_sigreturn gone back to where the signal came
        task.in_call = false;
        const bool wanted = row && machine.trace.wants(EventKind::SyscallExit);
        return event(machine, EventKind::SyscallExit, task, wanted ? fmt::format("{} = {}", row->name, row->format[0] ? "0" : "?") : std::string());
    }
    if (!attempt.blocked) return finish_call(machine, task, attempt.value);
    if (!deliverable(task)) return block(index);
    task.waits.clear();
    task.deadline = kForever;
    deliver_signals(machine, index);
    if (tasks[index].in_call && tasks[index].state == TaskState::Runnable && !deliverable(tasks[index])) return; // no handler ran: it is attempted again
}

void Kernel::finish_call(Machine& machine, Task& task, i64 value) {
    task.in_call = false;
    task.resume = task.resume_more = 0;
    task.served.reset();
    Call call{*this, machine, static_cast<u32>(&task - tasks.data()), {}};
    std::copy_n(task.x.begin() + 10, 6, call.arguments.begin());
    task.x[10] = static_cast<u64>(value);
    task.pc += 4;
    if (!machine.trace.wants(EventKind::SyscallExit)) return event(machine, EventKind::SyscallExit, task, "");
    event(machine, EventKind::SyscallExit, task, call.result_text(syscall_row(task.call), task.call, value));
}

// --- What readers see, and the consoles ------------------------------------------------------------------------------------

/// What is mounted as the root of a task's mount namespace.
std::string Kernel::root_source(const Task& task) const {
    const Location root = vfs.namespace_root(task.namespaces.mnt);
    return root.mount ? vfs.mounts.at(root.mount).source : "";
}

std::vector<ProcessView> Kernel::processes_seen() const {
    std::vector<ProcessView> views;
    for (u32 i = 1; i < processes.size(); ++i) {
        const Process& process = processes[i];
        if (!process.used) continue;
        const Task& task = tasks[process.leader];
        const auto record = pids.find(process.pid);
        const char* state = process.zombie ? "ended" : process.stopped ? "stopped" : task.state == TaskState::Runnable ? "running" : "waiting";
        views.push_back({process.pid, processes[process.parent].pid, record->second.numbers, task.name, state, uts_namespaces[task.namespaces.uts].hostname,
                         root_source(task), task.namespaces, task.credentials.user_namespace, process.container, process.exit_status});
    }
    return views;
}

std::optional<int> Kernel::exit_status(u32 container) const {
    if (container == 0 || container >= ttys.size()) return std::nullopt;
    const Process& init = processes[ttys[container].init];
    return init.zombie ? std::optional(init.exit_status) : std::nullopt;
}

void Kernel::type(u32 container, std::string_view text) {
    constexpr std::size_t kMost = 64 << 10;
    if (container >= ttys.size()) return;
    // Who waits leaves the hart before input wakes it: into what pieces a run was cut must not decide who comes first.
    if (current != kNobody && (tasks[current].state != TaskState::Runnable || tasks[current].frozen)) put_back();
    ttys[container].input.append(text.substr(0, kMost - std::min(kMost, ttys[container].input.size())));
    if (!ttys[container].terminal) wake({WaitKind::Console, container}); // a terminal takes it when the machine runs
}
void Kernel::close_input(u32 container) {
    if (container >= ttys.size()) return;
    if (const u32 own = ttys[container].terminal) return type(container, std::string(1, static_cast<char>(terminals[own].termios.characters[4]))); // VEOF
    ttys[container].closed = true;
    type(container, {}); // wakes who reads
}
std::string Kernel::take_output(u32 container) { 
    if (container >= ttys.size()) return {};
    const u32 own = ttys[container].terminal;
    return std::exchange(own ? terminals[own].output : ttys[container].output, {});
}

} // namespace trapeze::container
