// System calls on processes: birth, programs, death, waiting; process groups and sessions; limits.
#include "container-sim/abi.hpp"
#include "container-sim/lookups.hpp"
#include "container-sim/fs/types.hpp"
#include "container-sim/syscalls.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace trapeze::container {

// --- Who am I ---------------------------------------------------------------------------------------------------------------

Attempt Call::getpid() const {
    const i32 host = kernel.process_of(task()).pid, own = kernel.pid_in(host, task().namespaces.pid);
    if (task().namespaces.pid) lookup("getpid: {} in pid namespace {}; outside it is {}", own, kernel.namespace_inode(NamespaceKind::Pid, task().namespaces.pid), host);
    return own;
}
Attempt Call::gettid() const { return kernel.pid_in(task(), task().namespaces.pid); }
Attempt Call::getppid() const {
    const i32 host = kernel.processes[kernel.process_of(task()).parent].pid, seen = kernel.pid_in(host, task().namespaces.pid);
    if (task().namespaces.pid) lookup("getppid: {} in pid namespace {}; outside it is {}", seen, kernel.namespace_inode(NamespaceKind::Pid, task().namespaces.pid), host);
    return seen;
}

// --- Process groups and sessions (setpgid(2), setsid(2)) -----------------------------------------------------------------------

Attempt Call::setpgid() const {
    const i32 own = kernel.pid_in(kernel.process_of(task()), task().namespaces.pid);
    const i32 pid = int_arg(0) ? int_arg(0) : own, wanted = int_arg(1) ? int_arg(1) : pid;
    if (wanted < 0) return -kEINVAL;
    const auto target = kernel.process_by_pid(pid, task().namespaces.pid);
    if (!target) return -kESRCH;
    Process &process = kernel.processes[*target], &self = kernel.process_of(task());
    if (*target != task().process) {
        if (process.parent != task().process) return -kESRCH;
        if (process.session != self.session) return -kEPERM;
        if (process.has_executed) return -kEACCES;
    }
    if (process.session == process.pid) return -kEPERM; // a session's leader stays
    const auto group = kernel.host_pid(wanted, task().namespaces.pid);
    if (!group) return -kEPERM;
    if (*group != process.pid) {
        const bool there = std::any_of(kernel.processes.begin(), kernel.processes.end(), [&](const Process& p) { return p.used && p.group == *group && p.session == self.session; });
        if (!there) return -kEPERM;
    }
    kernel.set_group(process, *group);
    return 0;
}

Attempt Call::getpgid() const {
    const auto target = int_arg(0) ? kernel.process_by_pid(int_arg(0), task().namespaces.pid) : std::optional(task().process);
    return target ? Attempt(kernel.pid_in(kernel.processes[*target].group, task().namespaces.pid)) : Attempt(-kESRCH);
}
Attempt Call::getsid() const {
    const auto target = int_arg(0) ? kernel.process_by_pid(int_arg(0), task().namespaces.pid) : std::optional(task().process);
    return target ? Attempt(kernel.pid_in(kernel.processes[*target].session, task().namespaces.pid)) : Attempt(-kESRCH);
}

Attempt Call::setsid() const {
    Process& process = kernel.process_of(task());
    const bool leads = std::any_of(kernel.processes.begin(), kernel.processes.end(), [&](const Process& p) { return p.used && p.group == process.pid; });
    if (leads) return -kEPERM;
    kernel.set_session(process, process.pid);
    kernel.set_group(process, process.pid);
    process.tty = 0;
    return kernel.pid_in(process, task().namespaces.pid);
}

// --- Limits ---------------------------------------------------------------------------------------------------------------------

Attempt Call::prlimit64() const {
    if (static_cast<u32>(arg(1)) >= kLimits) return -kEINVAL;
    const auto target = int_arg(0) ? kernel.process_by_pid(int_arg(0), task().namespaces.pid) : std::optional(task().process);
    if (!target) return -kESRCH;
    Limit wanted{};
    if (arg(2) && !read_user(arg(2), wanted)) return -kEFAULT;
    if (wanted.current > wanted.most && arg(2)) return -kEINVAL;
    Limit& limit = kernel.processes[*target].limits[arg(1)];
    const Limit old = limit;
    if (*target != task().process) {
        const Credentials &own = task().credentials, &other = kernel.tasks[kernel.processes[*target].leader].credentials;
        const bool same = own.uid == other.uid && own.uid == other.euid && own.uid == other.suid && own.gid == other.gid && own.gid == other.egid && own.gid == other.sgid;
        if (!same && !asks_capable(*this, other.user_namespace, Capability::SysResource)) return -kEPERM;
    }
    if (arg(2)) {
        if (wanted.most > limit.most && !asks_capable(*this, 0, Capability::SysResource)) return -kEPERM;
        if (arg(1) == kLimitFiles && wanted.most > Kernel::kMaxFiles) return -kEPERM;
        limit = wanted;
        if (arg(1) == kLimitCpu) kernel.plan_cpu_time(*target);
        if (const Task& leader = kernel.tasks[kernel.processes[*target].leader]; arg(1) == kLimitStack && leader.memory) kernel.memory_of(leader).stack_limit = wanted.current;
    }
    return !arg(3) || write_user(arg(3), old) ? Attempt(0) : Attempt(-kEFAULT);
}

Attempt Call::set_tid_address() const {
    task().clear_tid = arg(0);
    return kernel.pid_in(task(), task().namespaces.pid);
}
Attempt Call::umask() const { return std::exchange(kernel.context_of(task()).umask, static_cast<u32>(arg(0) & 0777)); }

Attempt Call::getrandom() const {
    constexpr u64 kAllFlags = 7;
    if (arg(2) & ~kAllFlags) return -kEINVAL;
    const u64 count = std::min<u64>(arg(1), Kernel::kMaxTransfer);
    std::vector<u8> bytes(count);
    for (u8& byte : bytes) byte = kernel.random_byte();
    return kernel.copy_out(machine, task(), arg(0), bytes) ? Attempt(static_cast<i64>(count)) : Attempt(-kEFAULT);
}

Attempt Call::riscv_hwprobe() const {
    constexpr u64 kMostPairs = 64;
    struct Pair {
        i64 key;
        u64 value;
    };
    if (arg(1) > kMostPairs) return -kEINVAL;
    for (u64 i = 0; i < arg(1); ++i) // -1: this key is not known here
        if (!write_user(arg(0) + i * sizeof(Pair), Pair{-1, 0})) return -kEFAULT;
    return 0;
}
Attempt Call::riscv_flush_icache() const { return 0; }

// --- Names -----------------------------------------------------------------------------------------------------------------

Attempt Call::uname() const {
    struct {
        char system[65], node[65], release[65], version[65], machine[65], domain[65];
    } name{};
    static_assert(sizeof name == 390);
    const auto set = [](char (&to)[65], const std::string& text) { std::memcpy(to, text.data(), std::min<std::size_t>(text.size(), 64)); };
    const UtsNamespace& own = kernel.uts_namespaces[task().namespaces.uts];
    set(name.system, "Linux"), set(name.node, own.hostname), set(name.release, kKernelRelease), set(name.version, kKernelVersion), set(name.machine, "riscv64"), set(name.domain, own.domainname);
    if (task().namespaces.uts) lookup("uname: nodename \"{}\" in uts namespace {}; outside it is \"{}\"", own.hostname, own.inode, kernel.uts_namespaces[0].hostname);
    return write_user(arg(0), name) ? Attempt(0) : Attempt(-kEFAULT);
}

i64 Call::change_name(std::string UtsNamespace::*which, const char* call) const {
    UtsNamespace& own = kernel.uts_namespaces[task().namespaces.uts];
    if (!asks_capable(*this, own.owner, Capability::SysAdmin)) return -kEPERM;
    if (static_cast<i64>(arg(1)) < 0 || arg(1) > 64) return -kEINVAL;
    std::string name(arg(1), '\0');
    if (!kernel.copy_in(machine, task(), arg(0), std::span(reinterpret_cast<u8*>(name.data()), name.size()))) return -kEFAULT;
    own.*which = name;
    if (task().namespaces.uts) lookup("{}: \"{}\" for uts namespace {}; outside it stays \"{}\"", call, name, own.inode, kernel.uts_namespaces[0].*which);
    return 0;
}
Attempt Call::sethostname() const { return change_name(&UtsNamespace::hostname, "sethostname"); }
Attempt Call::setdomainname() const { return change_name(&UtsNamespace::domainname, "setdomainname"); }

/// reboot(2) inside a pid namespace: its init ends by SIGHUP (restart) or SIGINT (halt, power off).
Attempt Call::reboot() const {
    constexpr u64 kMagic = 0xfee1dead;
    enum : u64 { kRestart = 0x1234567, kHalt = 0xcdef0123, kPowerOff = 0x4321fedc, kRestart2 = 0xa1b2c3d4, kCadOff = 0, kCadOn = 0x89abcdef };
    const u32 own = task().namespaces.pid;
    if (!asks_capable(*this, kernel.pid_namespaces[own].owner, Capability::SysBoot)) return -kEPERM;
    const u64 magic2 = arg(1) & 0xffff'ffff, command = arg(2) & 0xffff'ffff;
    if ((arg(0) & 0xffff'ffff) != kMagic || (magic2 != 672274793 && magic2 != 85072278 && magic2 != 369367448 && magic2 != 537993216)) return -kEINVAL;
    if (own == 0) return -kEPERM; // the host's machine goes on
    if (command != kRestart && command != kRestart2 && command != kHalt && command != kPowerOff) return -kEINVAL;
    const int number = command == kRestart || command == kRestart2 ? kSigHup : kSigInt;
    lookup("reboot: ends the init of pid namespace {} by {}; outside, the machine goes on", kernel.namespace_inode(NamespaceKind::Pid, own), signal_name(number));
    if (const auto init = kernel.init_of(own)) kernel.end_process(machine, *init, number);
    return task().state == TaskState::Zombie || task().state == TaskState::Free ? Attempt::gone() : Attempt(0);
}

// --- Birth ------------------------------------------------------------------------------------------------------------------------

/// struct clone_args
struct CloneArguments {
    u64 flags = 0, pidfd = 0, child_tid = 0, parent_tid = 0, exit_signal = 0, stack = 0, stack_size = 0, tls = 0, set_tid = 0, set_tid_size = 0, cgroup = 0;
};
static_assert(sizeof(CloneArguments) == 88);

namespace {
constexpr u64 kExitSignal = 0xff;
}

Attempt Call::clone() const {
    CloneArguments wanted;
    wanted.flags = arg(0) & 0xffff'ffff & ~kExitSignal, wanted.exit_signal = arg(0) & kExitSignal, wanted.stack = arg(1);
    wanted.parent_tid = wanted.pidfd = arg(2), wanted.tls = arg(3), wanted.child_tid = arg(4);
    if (wanted.flags & kClonePidFd && wanted.flags & kCloneParentSetTid) return -kEINVAL;
    wanted.flags &= ~namespace_flag(NamespaceKind::Time); // clone's own low byte is the signal
    return clone_task(wanted);
}

Attempt Call::clone3() const {
    constexpr u64 kLeast = 64;
    CloneArguments wanted;
    if (arg(1) < kLeast) return -kEINVAL;
    if (arg(1) > kPageSize) return -kE2BIG;
    std::vector<u8> bytes(arg(1));
    if (!kernel.copy_in(machine, task(), arg(0), bytes)) return -kEFAULT;
    for (std::size_t i = sizeof wanted; i < bytes.size(); ++i)
        if (bytes[i]) return -kE2BIG;
    std::memcpy(&wanted, bytes.data(), std::min(bytes.size(), sizeof wanted));
    if (wanted.flags & kCloneIntoCgroup && (wanted.cgroup > 0x7fff'ffff || arg(1) < sizeof wanted)) return -kEINVAL;
    if (wanted.exit_signal > kSignals || wanted.flags & kExitSignal & ~namespace_flag(NamespaceKind::Time)) return -kEINVAL;
    if (wanted.flags & (kCloneThread | kCloneParent) && wanted.exit_signal) return -kEINVAL;
    if (!wanted.stack != !wanted.stack_size || wanted.set_tid_size > kMaxPidLevels || !wanted.set_tid != !wanted.set_tid_size) return -kEINVAL;
    if (wanted.flags & kCloneClearSighand && wanted.flags & kCloneSighand) return -kEINVAL;
    if (wanted.stack) wanted.stack += wanted.stack_size;
    return clone_task(wanted);
}

/// Flags that do not go together (clone(2), ERRORS).
i64 Call::check_clone(u64 flags) const {
    if (flags & kCloneThread && (flags & (kCloneVm | kCloneSighand)) != (kCloneVm | kCloneSighand)) return -kEINVAL;
    if (flags & kCloneSighand && !(flags & kCloneVm)) return -kEINVAL;
    if (flags & kCloneSysvsem && flags & namespace_flag(NamespaceKind::Ipc)) return -kEINVAL;
    const u64 fs = kCloneFs;
    if (flags & fs && flags & (namespace_flag(NamespaceKind::Mnt) | namespace_flag(NamespaceKind::User))) return -kEINVAL;
    if (flags & (kCloneThread | kCloneParent) && flags & (namespace_flag(NamespaceKind::Pid) | namespace_flag(NamespaceKind::User))) return -kEINVAL;
    if (flags & kCloneThread && task().pid_namespace_of_children != task().namespaces.pid) return -kEINVAL;
    if (flags & kCloneThread && task().time_namespace_of_children != task().namespaces.time) return -kEINVAL;
    if (flags & kCloneParent && kernel.pids.at(kernel.process_of(task()).pid).numbers.back() == 1) return -kEINVAL; // an init has no siblings
    const bool for_child = flags & namespace_flag(NamespaceKind::Pid);
    if (kernel.pid_namespaces[task().pid_namespace_of_children].dead && !for_child) return -kENOMEM;
    const Process& process = kernel.process_of(task());
    const u64 limit = process.limits[kLimitProcesses].current;
    if (task().credentials.uid != 0 && limit != ~u64{0} && !asks_capable(*this, 0, Capability::SysResource)) {
        u64 own = 0;
        for (const Task& other : kernel.tasks) own += other.state != TaskState::Free && other.credentials.uid == task().credentials.uid;
        if (own >= limit) return -kEAGAIN;
    }
    return 0;
}

/// The child's parts: shared or copied, as the flags ask. Pre: the child is a copy of its maker that holds nothing yet.
bool Call::share_parts(Task& child, const Task& maker, u64 flags) const {
    if (flags & kCloneVm) {
        kernel.spaces.use(child.memory = maker.memory);
    } else {
        child.memory = kernel.spaces.add({});
        if (!kernel.copy_space(machine, kernel.memory_of(child), kernel.memory_of(maker))) {
            kernel.release_space(machine, std::exchange(child.memory, 0));
            return false;
        }
    }
    if (flags & kCloneFiles) kernel.descriptor_tables.use(child.descriptors = maker.descriptors);
    else child.descriptors = kernel.copy_descriptors(maker.descriptors);
    if (flags & kCloneFs) kernel.contexts.use(child.context = maker.context);
    else child.context = kernel.contexts.add(FileSystemContext(kernel.context_of(maker)));
    if (flags & kCloneSighand) {
        kernel.signal_actions.use(child.actions = maker.actions);
    } else {
        child.actions = kernel.signal_actions.add(SignalActions(kernel.signal_actions[maker.actions]));
        if (flags & kCloneClearSighand)
            for (SignalAction& action : kernel.signal_actions[child.actions]) action = action.handler == sa::kIgnore ? action : SignalAction();
    }
    return true;
}

/// A process for the child, unless it is a thread of its maker's.
i64 Call::child_process(u32 child, u64 flags, u64 exit_signal) const {
    const u32 maker = task().process;
    if (flags & kCloneThread) {
        kernel.processes[maker].threads.push_back(child);
        kernel.tasks[child].process = maker;
        return 0;
    }
    const u32 parent = flags & kCloneParent ? kernel.processes[maker].parent : maker;
    const auto made = kernel.new_process(parent);
    if (!made) return -kEAGAIN;
    Process &process = kernel.processes[*made], &from = kernel.processes[maker];
    process.leader = child, process.threads = {child};
    process.tty = from.tty, process.arguments = from.arguments, process.environment = from.environment, process.executable = from.executable;
    process.executable_inode = from.executable_inode, process.limits = from.limits, process.nice = from.nice, process.cgroup = kernel.cgroups[kernel.tasks[child].cgroup].domain;
    process.container = from.container, process.dumpable = from.dumpable, process.oom_score_adjust = from.oom_score_adjust;
    process.personality = from.personality, process.program = from.program, process.stack_begin = from.stack_begin;
    process.exit_signal = static_cast<i32>(exit_signal), process.started = machine.cycles();
    kernel.tasks[child].process = *made;
    kernel.plan_cpu_time(*made);
    return 0;
}

Attempt Call::clone_task(const CloneArguments& wanted) const {
    const u64 flags = wanted.flags;
    if (task().resume) { // a vfork's child has begun a program or ended
        const auto record = kernel.pids.find(static_cast<i32>(task().resume_more));
        const bool waits = record != kernel.pids.end() && record->second.has_task && kernel.tasks[record->second.task].memory == task().memory;
        if (waits) return wait({WaitKind::Vfork, task().resume_more});
        return static_cast<i64>(task().resume);
    }
    if (const i64 error = check_clone(flags)) return error;
    u32 cgroup = task().cgroup;
    if (flags & kCloneIntoCgroup)
        if (const i64 error = target_cgroup(static_cast<u32>(wanted.cgroup), !(flags & kCloneThread), cgroup)) return error;
    if (const i64 error = kernel.charge_fork(cgroup)) {
        lookup("fork: refused, pids.max of cgroup {} or of one above it is reached", kernel.cgroup_path(cgroup, 0));
        return error;
    }
    const auto made = kernel.new_task();
    if (!made) return -kEAGAIN;
    const u32 child_index = *made;
    {
        Task copy = task();
        const bool queued = kernel.tasks[child_index].queued;
        copy.memory = copy.descriptors = copy.context = copy.actions = 0;
        copy.state = TaskState::Free, copy.queued = queued;
        copy.pending = {}, copy.in_call = false, copy.waits.clear(), copy.deadline = kForever, copy.restore_blocked.reset();
        if (std::exchange(copy.reset_on_fork, false)) copy.policy = 0, copy.priority = 0;
        if (flags & kCloneVm) copy.rseq = 0;
        copy.cgroup = cgroup, copy.on_hart = false, copy.semaphore_undo = 0, copy.robust_list = 0, copy.clear_tid = 0, copy.run_cycles = 0, copy.tid = 0;
        copy.over_high = 0, copy.stalled = false, copy.stack_group.reset(), copy.device_until = 0, copy.device_stalled = false;
        kernel.tasks[child_index] = std::move(copy);
    }
    const auto give_up = [&](i64 error) {
        abandon_child(child_index);
        return Attempt(error);
    };
    if (task().seccomp) kernel.seccomp_filters.use(task().seccomp);
    kernel.cgroups.use(cgroup);
    if (flags & kCloneSysvsem) kernel.semaphore_undos.use(kernel.tasks[child_index].semaphore_undo = own_undo());
    kernel.use_namespaces(kernel.tasks[child_index]);
    if (!kernel.charge_stack(machine, child_index)) return give_up(-kENOMEM);
    if (!share_parts(kernel.tasks[child_index], task(), flags)) return give_up(-kENOMEM); // before its namespaces: a new mount namespace moves its root
    if (const i64 error = new_namespaces(child_index, flags, true)) return give_up(error);
    if (const i64 error = child_process(child_index, flags, wanted.exit_signal)) return give_up(error);
    std::vector<i32> numbers;
    if (const i64 error = wanted_pids(wanted, kernel.tasks[child_index].pid_namespace_of_children, numbers)) return give_up(error);
    if (!kernel.give_pid(child_index, kernel.tasks[child_index].pid_namespace_of_children, numbers)) return give_up(-kEAGAIN);
    return finish_clone(child_index, wanted);
}

/// clone3's set_tid: numbers of the child from its own namespace upwards, for who has CAP_CHECKPOINT_RESTORE over each.
i64 Call::wanted_pids(const CloneArguments& wanted, u32 pid_namespace, std::vector<i32>& out) const {
    if (wanted.set_tid_size > kernel.pid_namespaces[pid_namespace].level + 1) return -kEINVAL;
    out.resize(wanted.set_tid_size);
    if (!kernel.copy_in(machine, task(), wanted.set_tid, std::span(reinterpret_cast<u8*>(out.data()), out.size() * sizeof(i32)))) return -kEFAULT;
    u32 at = pid_namespace;
    for (i32 number : out) {
        const PidNamespace& in = kernel.pid_namespaces[at];
        if (number < 1 || number >= Kernel::kMaxPid || (number != 1 && !in.members.contains(1) && at)) return -kEINVAL;
        if (!asks_capable(*this, in.owner, Capability::CheckpointRestore) && !asks_capable(*this, in.owner, Capability::SysAdmin)) return -kEPERM;
        if (in.members.contains(number)) return -kEEXIST;
        at = in.parent;
    }
    return 0;
}

/// CLONE_INTO_CGROUP: the group behind a descriptor of its folder, if the caller may bring the child there.
i64 Call::target_cgroup(u32 fd, bool whole, u32& group) const {
    const OpenFile* file = kernel.any_file_of(task(), fd);
    if (!file) return -kEBADF;
    const Location at = file->location;
    const auto found = kernel.cgroup_at(at);
    if (!found) return at.inode && kernel.vfs.type_of(at.inode).magic == kCgroup2.magic && kernel.vfs.is_directory(at) ? -kENODEV : -kEBADF;
    const Viewer own = viewer();
    if (const i64 error = kernel.may_write_cgroup(own, *found)) return error;
    if (const i64 error = kernel.may_migrate(own, task().cgroup, *found, whole)) return error;
    return group = *found, 0;
}

/// What a child that could not be born holds already goes again.
void Call::abandon_child(u32 index) const {
    Task& child = kernel.tasks[index];
    if (child.process != task().process && child.process && kernel.processes[child.process].leader == index) {
        std::erase(kernel.processes[kernel.processes[child.process].parent].children, child.process);
        kernel.processes[child.process] = Process();
        kernel.free_processes.insert(child.process);
    } else {
        std::erase(kernel.process_of(task()).threads, index);
    }
    if (child.memory) kernel.release_space(machine, child.memory);
    if (child.descriptors) kernel.release_descriptors(machine, child.descriptors);
    if (child.context && kernel.contexts.release(child.context)) kernel.contexts.erase(child.context);
    if (child.actions && kernel.signal_actions.release(child.actions)) kernel.signal_actions.erase(child.actions);
    kernel.release_filter(child.seccomp);
    kernel.release_undo(machine, child.semaphore_undo);
    kernel.release_namespaces(machine, child);
    kernel.give_back_stack(child);
    kernel.release_cgroup(child.cgroup);
    const bool queued = child.queued;
    child = Task();
    child.queued = queued;
    kernel.free_tasks.insert(index);
}

/// time_namespaces(7): who is born, or begins a program, is in the time namespace that was for children; its offsets stay from then on.
void Call::enter_time_of_children(Task& own) const {
    if (own.namespaces.time == own.time_namespace_of_children) return;
    kernel.use_namespace(NamespaceKind::Time, own.time_namespace_of_children);
    kernel.release_namespace(machine, NamespaceKind::Time, std::exchange(own.namespaces.time, own.time_namespace_of_children));
    kernel.time_namespaces[own.namespaces.time].entered = true;
}

Attempt Call::finish_clone(u32 child_index, const CloneArguments& wanted) const {
    const u64 flags = wanted.flags;
    Task &child = kernel.tasks[child_index], &maker = task();
    Process& process = kernel.process_of(child);
    if (!(flags & kCloneVm)) enter_time_of_children(child);
    if (!(flags & kCloneThread)) {
        process.pid = child.tid;
        kernel.set_group(process, kernel.process_of(maker).group);
        kernel.set_session(process, kernel.process_of(maker).session);
    }
    child.clear_tid = flags & kCloneChildClearTid ? wanted.child_tid : 0;
    child.x[10] = 0;
    child.pc += 4;
    if (wanted.stack) child.x[2] = wanted.stack;
    if (flags & kCloneVm && !(flags & kCloneVfork)) child.alternate_stack = {};
    if (flags & kCloneSetTls) child.x[4] = wanted.tls;
    const i32 seen = kernel.pid_in(child, maker.namespaces.pid);
    if (flags & kCloneParentSetTid) write_user(wanted.parent_tid, seen);
    if (flags & kClonePidFd) write_user(wanted.pidfd, static_cast<i32>(open_pid(child.process, 0)));
    if (flags & kCloneChildSetTid) {
        const i32 own = kernel.pid_in(child, child.namespaces.pid);
        kernel.copy_out(machine, child, wanted.child_tid, std::span(reinterpret_cast<const u8*>(&own), sizeof own));
    }
    kernel.join_cgroup(child_index);
    kernel.make_runnable(child_index);
    kernel.event(machine, EventKind::ProcessStart, child, fmt::format("{} is born as {} {}, child of {}", child.name, flags & kCloneThread ? "thread" : "pid",
                 kernel.pid_in(child, child.namespaces.pid), kernel.process_of(maker).pid));
    if (!(flags & kCloneVfork)) return seen;
    maker.resume = static_cast<u64>(seen), maker.resume_more = static_cast<u64>(child.tid);
    return wait({WaitKind::Vfork, static_cast<u64>(child.tid)}, kForever, Restart::IfAsked);
}

// --- Programs and death ----------------------------------------------------------------------------------------------------------

Attempt Call::execve() const {
    std::string path;
    if (const i64 length = path_arg(0, path); length < 0) return length;
    std::vector<std::string> words, environment;
    if (const i64 error = strings(arg(1), words)) return error;
    if (const i64 error = strings(arg(2), environment)) return error;
    if (words.empty()) words.emplace_back();
    note_root(path);
    const i64 result = kernel.execute(machine, index, path, words, environment);
    if (result < 0) return result;
    enter_time_of_children(task());
    kernel.event(machine, EventKind::ProcessStart, task(), fmt::format("{} begins", path));
    return Attempt::gone();
}

/// A program by descriptor and path, or (AT_EMPTY_PATH) the descriptor's own file; it then calls itself /dev/fd/N.
Attempt Call::execveat() const {
    ProgramPlace place;
    if (arg(4) & ~(kEmptyPath | kSymlinkNoFollow)) return -kEINVAL;
    if (const i64 length = path_arg(1, place.path); length < 0) return length;
    if (place.path.empty() && !(arg(4) & kEmptyPath)) return -kENOENT;
    std::vector<std::string> words, environment;
    if (const i64 error = strings(arg(2), words)) return error;
    if (const i64 error = strings(arg(3), environment)) return error;
    if (words.empty()) words.emplace_back();
    place.base = kernel.context_of(task()).root;
    if (place.path.empty() || place.path[0] != '/')
        if (const i64 error = base_of(int_arg(0), place.base)) return error;
    place.flags = (arg(4) & kSymlinkNoFollow ? 0 : kFollow) | (arg(4) & kEmptyPath ? kEmptyPathAllowed : 0);
    std::string name = place.path;
    if (int_arg(0) != kAtCwd && (name.empty() || name[0] != '/')) name = fmt::format("/dev/fd/{}{}{}", int_arg(0), name.empty() ? "" : "/", name);
    const i64 result = kernel.execute(machine, index, name, words, environment, 0, &place);
    if (result < 0) return result;
    enter_time_of_children(task());
    kernel.event(machine, EventKind::ProcessStart, task(), fmt::format("{} begins", name));
    return Attempt::gone();
}

Attempt Call::exit() const {
    kernel.end_thread(machine, index, static_cast<int>(arg(0) & 0xff) << 8);
    return Attempt::gone();
}
Attempt Call::exit_group() const {
    kernel.end_process(machine, task().process, static_cast<int>(arg(0) & 0xff) << 8);
    return Attempt::gone();
}

Attempt Call::sysinfo() const {
    struct {
        i64 uptime;
        u64 loads[3], total, free, shared, buffers, total_swap, free_swap;
        u16 processes, pad;
        u32 pad2;
        u64 total_high, free_high;
        u32 unit;
        u32 pad3;
    } info{};
    info.uptime = static_cast<i64>(machine.cycles() * Kernel::kNanosecondsPerCycle / 1'000'000'000) + kernel.time_namespaces[task().namespaces.time].boottime / 1'000'000'000;
    info.total = machine.ram.size(), info.free = machine.ram.size() - kernel.used_frames * kPageSize;
    for (const Task& other : kernel.tasks) info.processes = static_cast<u16>(info.processes + (other.state != TaskState::Free));
    info.unit = 1;
    return write_user(arg(0), info) ? Attempt(0) : Attempt(-kEFAULT);
}

/// 0xffffffff asks only.
Attempt Call::personality() const {
    const u32 wanted = static_cast<u32>(arg(0)), old = kernel.process_of(task()).personality;
    if (wanted != ~u32{0}) kernel.process_of(task()).personality = wanted;
    return old;
}

// --- What nobody may do to the machine of all -----------------------------------------------------------------------------------

Attempt Call::acct() const { return -kEPERM; }
Attempt Call::kexec_load() const { return -kEPERM; }
Attempt Call::init_module() const { return -kEPERM; }
Attempt Call::finit_module() const { return -kEPERM; }
Attempt Call::delete_module() const { return -kEPERM; }
Attempt Call::swapon() const { return -kEPERM; }
Attempt Call::swapoff() const { return -kEPERM; }

/// The kernel's log, which is empty: what happens is on the trace.
Attempt Call::syslog() const {
    enum : i32 { kReadAll = 3, kUnread = 9, kSize = 10 };
    constexpr i64 kLogBytes = 1 << 17;
    const i32 action = int_arg(0);
    if (action < 0 || action > kSize) return -kEINVAL;
    if (action != kReadAll && action != kSize && !asks_capable(*this, 0, Capability::Syslog)) return -kEPERM;
    if ((action == kReadAll || action == 2) && (!arg(1) || int_arg(2) < 0)) return -kEINVAL;
    return action == kSize ? kLogBytes : 0;
}

} // namespace trapeze::container
