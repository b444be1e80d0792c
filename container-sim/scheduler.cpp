// Running tasks: choosing one, loading it onto the hart, serving what it traps with. Round robin with time slices counted in
// instructions; a task that waits is looked at again when its turn comes.
#include "container-sim/abi.hpp"
#include "container-sim/kernel.hpp"
#include "container-sim/syscalls.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace trapeze::container {

namespace {

constexpr u32 kNobody = ~u32{0};
constexpr u64 kPmpAllNapot = 0x1f;

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
    for (u64 i = 0; i < kReservedFrames; ++i) frame_users[i] = 1;
    pid_namespaces.emplace_back();
    uts_namespaces.push_back({"host"});
    mount_namespaces.emplace_back();
    Mount root;
    root.root = vfs.make_tree(), root.is_root = true, root.type = "tmpfs", root.source = "host";
    mount_namespaces[0].root_mount = vfs.new_mount_id();
    mount_namespaces[0].mounts[mount_namespaces[0].root_mount] = root;
    ttys.emplace_back();
    tasks.emplace_back(); // task 0 stands for the host: parent of what the engine starts
    tasks[0].pid = pid_namespaces[0].next_pid++;
    tasks[0].name = "host", tasks[0].state = TaskState::Blocked, tasks[0].waits_for = WaitFor::Child;
    tasks[0].root = tasks[0].cwd = {mount_namespaces[0].root_mount, root.root};
    current = kNobody;
}

void Kernel::event(Machine& machine, EventKind kind, const Task& task, std::string_view text) {
    Event event;
    event.kind = kind;
    event.time = machine.cycles(), event.pc = task.pc, event.a = static_cast<u64>(task.pid);
    event.tag = task.container & 31;
    if (machine.trace.wants(kind)) event.detail = machine.trace.text(text);
    machine.trace.add(event);
}

// --- Scheduling ---------------------------------------------------------------------------------------------------------

bool Kernel::ready(Machine& machine, Task& task) const {
    if (task.state == TaskState::Runnable) return true;
    if (task.state != TaskState::Blocked) return false;
    const u32 index = static_cast<u32>(&task - tasks.data());
    switch (task.waits_for) {
    case WaitFor::Child: {
        bool any = false, ended = false;
        for (const Task& child : tasks) {
            if (child.parent != index || child.state == TaskState::Free || &child == &task) continue;
            if (task.wait_object && child.pid != static_cast<i32>(task.wait_object)) continue;
            any = true;
            ended |= child.state == TaskState::Zombie;
        }
        return index != 0 && (ended || !any);
    }
    case WaitFor::Memory: return task.memory.root != 0;
    case WaitFor::PipeData: return !pipes[task.wait_object].buffer.empty() || !pipes[task.wait_object].writers;
    case WaitFor::PipeRoom: return pipes[task.wait_object].buffer.size() + kPipeAtomic <= kPipeBytes || !pipes[task.wait_object].readers;
    case WaitFor::TtyInput: return !ttys[task.wait_object].input.empty() || ttys[task.wait_object].closed;
    case WaitFor::Time: return machine.cycles() >= task.wait_object;
    case WaitFor::Poll:
        return machine.cycles() >= task.wait_object ||
               std::any_of(task.polled.begin(), task.polled.end(), [this](const Task::Polled& p) { return poll_file(files[p.file], p.events) != 0; });
    default: return false;
    }
}

std::optional<u32> Kernel::choose(Machine& machine) {
    const u32 count = static_cast<u32>(tasks.size());
    const u32 start = current == kNobody ? 0 : current;
    for (u32 i = 1; i <= count; ++i) {
        const u32 index = (start + i) % count;
        if (index != 0 && ready(machine, tasks[index])) return index;
    }
    return std::nullopt;
}

/// When all wait, time passes to the first that waits for it. False: nobody does.
bool Kernel::skip_idle(Machine& machine) {
    u64 earliest = ~u64{0};
    for (const Task& task : tasks)
        if (task.state == TaskState::Blocked && (task.waits_for == WaitFor::Time || (task.waits_for == WaitFor::Poll && task.wait_object != ~u64{0})))
            earliest = std::min(earliest, task.wait_object);
    if (earliest == ~u64{0}) return false;
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
    Bus bus = machine.bus();
    hart.write_csr(Csr::satp, satp::kSv39 << 60 | task.memory.root >> kPageShift, bus);
    hart.flush_translations();
}

void Kernel::save(Machine& machine, Task& task) {
    const HartState& s = machine.hart().state;
    task.x = s.x, task.f = s.f, task.pc = s.pc;
    task.fcsr = s[Csr::fcsr];
}

KernelStop Kernel::run(Machine& machine, u64 budget, WhenIdle when_idle) {
    KernelStop stop;
    while (stop.executed < budget) {
        if (current == kNobody || slice_left == 0 || tasks[current].state != TaskState::Runnable) {
            const u32 before = current;
            const auto next = choose(machine);
            if (!next) {
                if (when_idle == WhenIdle::PassTime && skip_idle(machine)) continue;
                const bool finished = std::none_of(tasks.begin() + 1, tasks.end(), [](const Task& t) { return t.state == TaskState::Blocked; });
                stop.state = finished ? RunState::Finished : RunState::Idle;
                current = kNobody;
                return stop;
            }
            current = *next;
            slice_left = kSlice;
            Task& task = tasks[current];
            task.state = TaskState::Runnable;
            task.waits_for = WaitFor::Nothing;
            if (before != current) event(machine, EventKind::ContextSwitch, task, task.name);
        }
        load(machine, tasks[current]);
        const Stop hart_stop = machine.run(std::min(budget - stop.executed, slice_left));
        stop.executed += hart_stop.executed;
        slice_left -= std::min(slice_left, hart_stop.executed);
        save(machine, tasks[current]);
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
    case Cause::EcallFromU: return system_call(machine, task);
    case Cause::InstructionPageFault: case Cause::LoadPageFault: case Cause::StorePageFault: {
        const Access access = trap.is(Cause::StorePageFault) ? Access::Store : trap.is(Cause::LoadPageFault) ? Access::Load : Access::Fetch;
        i64 result = fault_in(machine, task, trap.tval, access);
        while (result == -kENOMEM && end_largest(machine) != current) result = fault_in(machine, task, trap.tval, access);
        if (result == -kEFAULT) end_task(machine, current, kSigSegv);
        return;
    }
    default:
        event(machine, EventKind::ProcessExit, task, fmt::format("{} at 0x{:x} ends {}", cause_name(trap.cause), trap.epc, task.name));
        end_task(machine, current, signal_of(trap));
    }
}

void Kernel::system_call(Machine& machine, Task& task) {
    if (!task.restarted) ++calls_made;
    const u32 index = current;
    Call call{*this, machine, index, {}};
    std::copy_n(task.x.begin() + 10, 6, call.arguments.begin());
    const SyscallRow* row = syscall_row(task.x[17]);
    const std::string entry = machine.trace.wants(EventKind::SyscallEnter) && !task.restarted ? call.text(row, task.x[17]) : std::string();
    if (!task.restarted) event(machine, EventKind::SyscallEnter, task, entry);
    const Attempt attempt = row ? row->handler(call) : Attempt(-kENOSYS);
    Task& after = tasks[index]; // the table may have grown
    if (attempt.no_return) return;
    if (attempt.blocked) {
        after.state = TaskState::Blocked;
        after.restarted = true;
        return; // pc stays at the ecall: waking makes the same attempt again
    }
    after.restarted = false;
    after.resume = 0;
    after.x[10] = static_cast<u64>(attempt.value);
    after.pc += 4;
    if (machine.trace.wants(EventKind::SyscallExit)) event(machine, EventKind::SyscallExit, after, call.result_text(row, after.x[17], attempt.value));
    else event(machine, EventKind::SyscallExit, after, "");
}

// --- Tasks ---------------------------------------------------------------------------------------------------------------

std::optional<u32> Kernel::new_task() {
    for (u32 i = 1; i < tasks.size(); ++i)
        if (tasks[i].state == TaskState::Free) return tasks[i] = Task(), i;
    if (tasks.size() >= kMaxTasks) return std::nullopt;
    tasks.emplace_back();
    return static_cast<u32>(tasks.size() - 1);
}

bool Kernel::namespace_within(u32 inner, u32 outer) const {
    while (inner != outer && inner != 0) inner = pid_namespaces[inner].parent;
    return inner == outer;
}

i32 Kernel::pid_in(const Task& task, u32 pid_namespace) const {
    if (task.pids.empty() || !namespace_within(task.namespaces.pid, pid_namespace)) return 0;
    const unsigned level = pid_namespaces[pid_namespace].level;
    return level < task.pids.size() ? task.pids[level] : 0;
}

/// A pid in its namespace and in each one above it (pid_namespaces(7)).
void Kernel::give_pids(Task& task, u32 pid_namespace) {
    task.namespaces.pid = task.pid_namespace_of_children = pid_namespace;
    task.pids.assign(pid_namespaces[pid_namespace].level + 1, 0);
    for (u32 at = pid_namespace;; at = pid_namespaces[at].parent) {
        task.pids[pid_namespaces[at].level] = pid_namespaces[at].next_pid++;
        if (at == 0) break;
    }
    task.pid = task.pids[0];
}

std::optional<u32> Kernel::task_by_pid(i32 pid, u32 pid_namespace) const {
    for (u32 i = 1; i < tasks.size(); ++i)
        if (tasks[i].state != TaskState::Free && pid_in(tasks[i], pid_namespace) == pid) return i;
    return std::nullopt;
}

/// The task becomes a zombie; its children go to its namespace's init; if it is that init, its namespace ends with it.
void Kernel::end_task(Machine& machine, u32 index, int status) {
    Task& task = tasks[index];
    if (task.state == TaskState::Zombie || task.state == TaskState::Free) return;
    event(machine, EventKind::ProcessExit, task, fmt::format("{} ends, {}", task.name, status & 0x7f ? fmt::format("by signal {}", status & 0x7f) : fmt::format("status {}", status >> 8)));
    close_all(task, false);
    release_space(machine, task, task.memory);
    task.state = TaskState::Zombie;
    task.exit_status = status;
    u32 reaper = 0;
    for (u32 i = 1; i < tasks.size(); ++i)
        if (i != index && tasks[i].state != TaskState::Free && tasks[i].state != TaskState::Zombie && tasks[i].namespaces.pid == task.namespaces.pid && tasks[i].pids.back() == 1) reaper = i;
    for (Task& child : tasks)
        if (child.state != TaskState::Free && child.parent == index && &child != &task) {
            child.parent = reaper;
            if (!reaper && child.state == TaskState::Zombie) child.state = TaskState::Free;
        }
    if (task.pids.back() == 1 && task.namespaces.pid != 0) kill_namespace(machine, task.namespaces.pid);
    if (task.parent == 0 && !(task.container && ttys[task.container].init == index)) task.state = TaskState::Free; // nobody waits
}

void Kernel::kill_namespace(Machine& machine, u32 pid_namespace) {
    pid_namespaces[pid_namespace].dead = true;
    for (u32 i = 1; i < tasks.size(); ++i)
        if (tasks[i].state != TaskState::Free && tasks[i].state != TaskState::Zombie && namespace_within(tasks[i].namespaces.pid, pid_namespace))
            end_task(machine, i, kSigKill);
}

// --- What readers see, and the consoles ------------------------------------------------------------------------------------

std::vector<ProcessView> Kernel::processes() const {
    static constexpr const char* kStates[] = {"free", "running", "waiting", "ended"};
    std::vector<ProcessView> views;
    for (u32 i = 1; i < tasks.size(); ++i) {
        const Task& task = tasks[i];
        if (task.state == TaskState::Free) continue;
        views.push_back({task.pid, tasks[task.parent].pid, task.pids, task.name, kStates[static_cast<std::size_t>(task.state)],
                         uts_namespaces[task.namespaces.uts].hostname, mounts_of(task).mounts.at(mounts_of(task).root_mount).source, task.namespaces, task.container,
                         task.exit_status});
    }
    return views;
}

std::optional<int> Kernel::exit_status(u32 container) const {
    if (container == 0 || container >= ttys.size()) return std::nullopt;
    const Task& init = tasks[ttys[container].init];
    return init.state == TaskState::Zombie ? std::optional(init.exit_status) : std::nullopt;
}

void Kernel::type(u32 container, std::string_view text) {
    constexpr std::size_t kMost = 64 << 10;
    if (container < ttys.size()) ttys[container].input.append(text.substr(0, kMost - std::min(kMost, ttys[container].input.size())));
}
void Kernel::close_input(u32 container) {
    if (container < ttys.size()) ttys[container].closed = true;
}
std::string Kernel::take_output(u32 container) { return container < ttys.size() ? std::exchange(ttys[container].output, {}) : std::string(); }

} // namespace trapeze::container
