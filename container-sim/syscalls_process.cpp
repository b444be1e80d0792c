// System calls on processes, namespaces, time and signals.
#include "container-sim/abi.hpp"
#include "container-sim/syscalls.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace trapeze::container {

namespace {

constexpr u64 kCloneVm = 0x100, kCloneFs = 0x200, kCloneFiles = 0x400, kCloneSighand = 0x800, kCloneSysvsem = 0x40000, kCloneVfork = 0x4000, kCloneThread = 0x10000, kCloneNewNs = 0x20000, kCloneSetTls = 0x80000, kCloneParentSetTid = 0x100000,
              kCloneChildClearTid = 0x200000, kCloneChildSetTid = 0x1000000, kCloneNewCgroup = 0x2000000, kCloneNewUts = 0x4000000, kCloneNewIpc = 0x8000000,
              kCloneNewUser = 0x10000000, kCloneNewPid = 0x20000000, kCloneNewNet = 0x40000000;
constexpr u64 kNewAll = kCloneNewNs | kCloneNewUts | kCloneNewPid;
constexpr u64 kNewRefused = kCloneNewCgroup | kCloneNewIpc | kCloneNewUser | kCloneNewNet;
constexpr u64 kNanosecondsPerCycle = 10; // a 100 MHz machine

struct Timespec {
    i64 seconds, nanoseconds;
};
Timespec to_timespec(u64 cycles) {
    const u64 nanoseconds = cycles * kNanosecondsPerCycle;
    return {static_cast<i64>(nanoseconds / 1'000'000'000), static_cast<i64>(nanoseconds % 1'000'000'000)};
}

} // namespace

Attempt Call::getpid() const {
    const i32 own = task().pids.back();
    if (task().namespaces.pid) lookup(fmt::format("getpid: {} in pid namespace {}; outside it is {}", own, namespace_inode(NamespaceKind::Pid, task().namespaces.pid), task().pid));
    return own;
}
Attempt Call::gettid() const { return task().pids.back(); }
Attempt Call::getppid() const {
    const Task& parent = kernel.tasks[task().parent];
    const i32 seen = kernel.pid_in(parent, task().namespaces.pid);
    if (task().namespaces.pid) lookup(fmt::format("getppid: {} in pid namespace {}; outside it is {}", seen, namespace_inode(NamespaceKind::Pid, task().namespaces.pid), parent.pid));
    return seen;
}
Attempt Call::getuid() const { return 0; }
Attempt Call::geteuid() const { return 0; }
Attempt Call::getgid() const { return 0; }
Attempt Call::getegid() const { return 0; }
Attempt Call::getgroups() const { return int_arg(0) < 0 ? -kEINVAL : 0; }
Attempt Call::setpgid() const { return 0; }
Attempt Call::getpgid() const { return task().pids.back(); }
Attempt Call::getsid() const { return task().pids.back(); }
Attempt Call::setsid() const { return task().pids.back(); }
Attempt Call::sched_yield() const {
    kernel.slice_left = 0;
    return 0;
}
Attempt Call::sched_setaffinity() const {
    u64 harts = 0;
    if (!read_user(arg(2), harts)) return -kEFAULT;
    return harts & 1 ? Attempt(0) : Attempt(-kEINVAL);
}
Attempt Call::sched_getaffinity() const {
    if (arg(1) < 8 || arg(1) & 7) return -kEINVAL;
    return write_user(arg(2), u64{1}) ? Attempt(8) : Attempt(-kEFAULT);
}
Attempt Call::set_tid_address() const {
    task().clear_tid = arg(0);
    return task().pids.back();
}
Attempt Call::set_robust_list() const { return 0; }
Attempt Call::futex() const {
    constexpr u64 kCommand = 0x7f, kWait = 0, kWaitBitset = 9;
    if ((arg(1) & kCommand) != kWait && (arg(1) & kCommand) != kWaitBitset) return 0;
    u32 value = 0;
    if (!read_user(arg(0), value)) return -kEFAULT;
    return -kEAGAIN; // there is nobody else to change it
}
Attempt Call::umask() const { return std::exchange(task().umask, static_cast<u32>(arg(0) & 0777)); }
Attempt Call::times() const {
    const std::array<u64, 4> zeros{};
    if (arg(0) && !write_user(arg(0), zeros)) return -kEFAULT;
    return static_cast<i64>(machine.cycles() / 1'000'000);
}

Attempt Call::prctl() const {
    constexpr u64 kSetName = 15, kGetName = 16;
    if (arg(0) == kSetName) {
        std::string name;
        if (const i64 length = kernel.copy_text(machine, task(), arg(1), name, 16); length < 0 && length != -kENAMETOOLONG) return length;
        task().name = name.substr(0, 15);
        return 0;
    }
    if (arg(0) == kGetName) {
        std::array<char, 16> name{};
        std::copy_n(task().name.begin(), std::min<std::size_t>(15, task().name.size()), name.begin());
        return write_user(arg(1), name) ? Attempt(0) : Attempt(-kEFAULT);
    }
    return 0;
}

Attempt Call::prlimit64() const {
    struct Limit {
        u64 current, most;
    };
    constexpr u64 kStack = 3, kFiles = 7, kKinds = 16, kInfinite = ~u64{0};
    if (static_cast<u32>(arg(1)) >= kKinds) return -kEINVAL;
    if (int_arg(0) && !kernel.task_by_pid(int_arg(0), task().namespaces.pid)) return -kESRCH;
    Limit wanted{};
    if (arg(2) && !read_user(arg(2), wanted)) return -kEFAULT;
    if (wanted.current > wanted.most) return -kEINVAL;
    const Limit limit = arg(1) == kStack ? Limit{8 << 20, kInfinite} : arg(1) == kFiles ? Limit{Kernel::kMaxDescriptors, Kernel::kMaxDescriptors} : Limit{kInfinite, kInfinite};
    if (arg(3) && !write_user(arg(3), limit)) return -kEFAULT;
    return 0;
}

Attempt Call::getrandom() const {
    constexpr u64 kAllFlags = 7;
    if (arg(2) & ~kAllFlags) return -kEINVAL;
    const u64 count = std::min<u64>(arg(1), Kernel::kMaxTransfer);
    std::vector<u8> bytes(count);
    for (u8& byte : bytes) {
        kernel.random_state = kernel.random_state * 6364136223846793005 + 1442695040888963407;
        byte = static_cast<u8>(kernel.random_state >> 33);
    }
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

// --- Names -----------------------------------------------------------------------------------------------------------------

Attempt Call::uname() const {
    struct {
        char system[65], node[65], release[65], version[65], machine[65], domain[65];
    } name{};
    static_assert(sizeof name == 390);
    const auto set = [](char (&to)[65], const std::string& text) { std::memcpy(to, text.data(), std::min<std::size_t>(text.size(), 64)); };
    const std::string& own = kernel.uts_namespaces[task().namespaces.uts].hostname;
    set(name.system, "Linux"), set(name.node, own), set(name.release, "6.12.0-trapeze"), set(name.version, "#1"), set(name.machine, "riscv64"), set(name.domain, "(none)");
    if (task().namespaces.uts)
        lookup(fmt::format("uname: nodename \"{}\" in uts namespace {}; outside it is \"{}\"", own, namespace_inode(NamespaceKind::Uts, task().namespaces.uts), kernel.uts_namespaces[0].hostname));
    return write_user(arg(0), name) ? Attempt(0) : Attempt(-kEFAULT);
}

Attempt Call::sethostname() const {
    if (static_cast<i64>(arg(1)) < 0 || arg(1) > 64) return -kEINVAL;
    std::string name(arg(1), '\0');
    if (!kernel.copy_in(machine, task(), arg(0), std::span(reinterpret_cast<u8*>(name.data()), name.size()))) return -kEFAULT;
    kernel.uts_namespaces[task().namespaces.uts].hostname = name;
    if (task().namespaces.uts)
        lookup(fmt::format("sethostname: \"{}\" for uts namespace {}; outside it stays \"{}\"", name, namespace_inode(NamespaceKind::Uts, task().namespaces.uts), kernel.uts_namespaces[0].hostname));
    return 0;
}

// --- Birth and death ------------------------------------------------------------------------------------------------------------

/// New uts and mnt namespaces for a task, as its flags ask; the pid namespace is for its children. 0 or an error.
i64 Call::new_namespaces(Task& target, u64 flags) const {
    constexpr std::size_t kMost = 4096;
    if (kernel.uts_namespaces.size() > kMost || kernel.mount_namespaces.size() > kMost || kernel.pid_namespaces.size() > kMost) return -kENOSPC;
    if (flags & kCloneNewPid) {
        // Once its children go elsewhere, a task makes no further pid namespace (pid_namespaces(7)).
        if (target.pid_namespace_of_children != target.namespaces.pid) return -kEINVAL;
        if (kernel.pid_namespaces[target.pid_namespace_of_children].level + 1 >= kMaxPidLevels) return -kENOSPC;
        kernel.pid_namespaces.push_back({target.pid_namespace_of_children, kernel.pid_namespaces[target.pid_namespace_of_children].level + 1, 1, false});
        target.pid_namespace_of_children = static_cast<u32>(kernel.pid_namespaces.size() - 1);
    }
    if (flags & kCloneNewUts) {
        kernel.uts_namespaces.push_back(kernel.uts_namespaces[target.namespaces.uts]);
        target.namespaces.uts = static_cast<u32>(kernel.uts_namespaces.size() - 1);
    }
    if (flags & kCloneNewNs) {
        kernel.mount_namespaces.push_back(kernel.mount_namespaces[target.namespaces.mnt]);
        target.namespaces.mnt = static_cast<u32>(kernel.mount_namespaces.size() - 1);
    }
    return 0;
}

Attempt Call::unshare() const {
    constexpr u64 kSharedByThreads = kCloneVm | kCloneFs | kCloneFiles | kCloneSighand | kCloneThread | kCloneSysvsem; // there is one thread
    if (arg(0) & ~(kNewAll | kNewRefused | kSharedByThreads)) return -kEINVAL;
    if (arg(0) & kNewRefused) return -kEPERM;
    return new_namespaces(task(), arg(0));
}

Attempt Call::clone() const { return clone_task(arg(0), arg(1), arg(2), arg(3), arg(4)); }

Attempt Call::clone_task(u64 flags, u64 stack, u64 parent_tid, u64 tls, u64 child_tid) const {
    const bool lends = flags & kCloneVm;
    if (task().resume) return static_cast<i64>(task().resume); // a vfork's child has given the memory back
    if (flags & kCloneThread || (lends && !(flags & kCloneVfork))) return -kEINVAL;
    if (flags & kCloneNewNs && flags & kCloneFs) return -kEINVAL;
    if (flags & kNewRefused) return -kEPERM;
    if (kernel.pid_namespaces[task().pid_namespace_of_children].dead) return -kENOMEM;
    const auto child_index = kernel.new_task();
    if (!child_index) return -kEAGAIN;
    Task& parent = task(); // after new_task: the table may have moved
    Task& child = kernel.tasks[*child_index];
    child = parent;
    child.memory = {};
    child.state = TaskState::Free;
    child.lender = 0;
    if (const i64 error = new_namespaces(child, flags)) return error;
    if (!lends && !kernel.copy_space(machine, child.memory, parent.memory)) {
        kernel.free_space(machine, child.memory);
        return -kENOMEM;
    }
    child.parent = index;
    kernel.give_pids(child, child.pid_namespace_of_children);
    for (const Descriptor& descriptor : child.files)
        if (descriptor.file) ++kernel.files[descriptor.file - 1].users;
    child.state = TaskState::Runnable;
    child.restarted = false;
    child.clear_tid = flags & kCloneChildClearTid ? child_tid : 0;
    child.x[10] = 0;
    child.pc += 4;
    if (stack) child.x[2] = stack;
    if (flags & kCloneSetTls) child.x[4] = tls;
    const i32 pid = kernel.pid_in(child, parent.namespaces.pid);
    if (flags & kCloneParentSetTid) write_user(parent_tid, pid);
    if (lends) child.memory = std::exchange(parent.memory, {}), child.lender = parent.pid;
    if (flags & kCloneChildSetTid) {
        const i32 own = child.pids.back();
        kernel.copy_out(machine, child, child_tid, std::span(reinterpret_cast<const u8*>(&own), sizeof own));
    }
    kernel.event(machine, EventKind::ProcessStart, child, fmt::format("{} is born as pid {}, child of {}", child.name, child.pids.back(), parent.pid));
    if (!lends) return pid;
    parent.resume = static_cast<u64>(pid);
    parent.waits_for = WaitFor::Memory;
    return Attempt::block();
}

Attempt Call::execve() const {
    std::string path;
    if (const i64 length = path_arg(0, path); length < 0) return length;
    std::vector<std::string> words, environment;
    if (const i64 error = strings(arg(1), words)) return error;
    if (const i64 error = strings(arg(2), environment)) return error;
    if (words.empty()) words.push_back(path);
    note_root(path);
    const i64 result = kernel.execute(machine, task(), path, words, environment);
    if (result < 0) return result;
    task().restarted = false;
    kernel.event(machine, EventKind::ProcessStart, task(), fmt::format("{} begins", path));
    return Attempt::gone();
}

Attempt Call::exit() const {
    kernel.end_task(machine, index, static_cast<int>(arg(0) & 0xff) << 8);
    return Attempt::gone();
}
Attempt Call::exit_group() const { return exit(); }

Attempt Call::wait4() const {
    constexpr u64 kNoHang = 1, kAll = 0xe000'000b; // and WUNTRACED, WCONTINUED, __WNOTHREAD, __WALL, __WCLONE
    constexpr std::size_t kUsageWords = 18;        // struct rusage
    if (static_cast<u32>(arg(2)) & ~kAll) return -kEINVAL;
    bool any = false;
    i32 awaited = 0;
    for (u32 i = 1; i < kernel.tasks.size(); ++i) {
        Task& child = kernel.tasks[i];
        if (child.state == TaskState::Free || child.parent != index || i == index) continue;
        const i32 pid = kernel.pid_in(child, task().namespaces.pid);
        if (int_arg(0) > 0 && pid != int_arg(0)) continue;
        any = true;
        if (int_arg(0) > 0) awaited = child.pid;
        if (child.state != TaskState::Zombie) continue;
        child.state = TaskState::Free;
        if (arg(1) && !write_user(arg(1), static_cast<i32>(child.exit_status))) return -kEFAULT;
        if (arg(3) && !write_user(arg(3), std::array<u64, kUsageWords>{})) return -kEFAULT;
        return pid;
    }
    if (!any) return -kECHILD;
    if (arg(2) & kNoHang) return 0;
    task().waits_for = WaitFor::Child, task().wait_object = static_cast<u64>(awaited);
    return Attempt::block();
}

// --- Signals ---------------------------------------------------------------------------------------------------------------------

/// Default actions. An init ignores what it does not handle; only SIGKILL from an outer namespace ends it (pid_namespaces(7)).
i64 Call::send_signal(u32 target_index, int number) const {
    Task& target = kernel.tasks[target_index];
    if (number < 0 || number > 64) return -kEINVAL;
    if (number == 0) return 0;
    const bool is_init = target.pids.back() == 1;
    const bool from_inside = kernel.namespace_within(task().namespaces.pid, target.namespaces.pid);
    if (is_init && (from_inside || number != kSigKill)) return 0;
    const u64 handler = target.actions[static_cast<std::size_t>(number)][0];
    const bool harmless = number == kSigChld || number == kSigCont || number == kSigUrg || number == kSigWinch || number == kSigStop || number == kSigTstp ||
                          number == kSigTtin || number == kSigTtou;
    if (number != kSigKill && (handler != 0 || harmless)) return 0; // ignored, or a handler: kept, not called
    kernel.end_task(machine, target_index, number);
    return 0;
}

Attempt Call::kill() const {
    const i32 pid = int_arg(0);
    if (pid > 0) {
        const auto target = kernel.task_by_pid(pid, task().namespaces.pid);
        if (!target || kernel.tasks[*target].state == TaskState::Zombie) return target ? Attempt(0) : Attempt(-kESRCH);
        if (const i64 error = send_signal(*target, int_arg(1))) return error;
        return *target == index && task().state == TaskState::Zombie ? Attempt::gone() : Attempt(0);
    }
    if (pid != -1) return -kESRCH; // no process groups
    bool any = false;
    for (u32 i = 1; i < kernel.tasks.size(); ++i) // stays inside the namespace, spares its init and the caller
        if (i != index && kernel.tasks[i].state != TaskState::Free && kernel.pid_in(kernel.tasks[i], task().namespaces.pid) > 1) any = send_signal(i, int_arg(1)) == 0 || any;
    return any ? Attempt(0) : Attempt(-kESRCH);
}

Attempt Call::tgkill() const {
    const auto target = kernel.task_by_pid(int_arg(1), task().namespaces.pid);
    if (!target) return -kESRCH;
    if (const i64 error = send_signal(*target, int_arg(2))) return error;
    return *target == index && task().state == TaskState::Zombie ? Attempt::gone() : Attempt(0);
}

Attempt Call::sigaltstack() const {
    std::array<u64, 3> stack{0, 2, 0}; // where, SS_DISABLE, how large
    if (arg(1) && !write_user(arg(1), stack)) return -kEFAULT;
    return !arg(0) || read_user(arg(0), stack) ? Attempt(0) : Attempt(-kEFAULT);
}

Attempt Call::rt_sigaction() const {
    const u64 number = arg(0);
    if (number < 1 || number > 64 || arg(3) != 8) return -kEINVAL;
    if (arg(1) && (number == kSigKill || number == kSigStop)) return -kEINVAL;
    auto& action = task().actions[number];
    const auto old = action;
    if (arg(1) && !read_user(arg(1), action)) return -kEFAULT;
    if (arg(2) && !write_user(arg(2), old)) return -kEFAULT;
    return 0;
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
    }
    if (arg(2) && !write_user(arg(2), old)) return -kEFAULT;
    return 0;
}

// --- Time -------------------------------------------------------------------------------------------------------------------------

/// CLOCK_REALTIME to CLOCK_TAI: all of them count from the machine's start.
bool Call::is_clock(i32 id) const { return id >= 0 && id <= 11 && id != 10; }

Attempt Call::clock_gettime() const {
    if (!is_clock(int_arg(0))) return -kEINVAL;
    return write_user(arg(1), to_timespec(machine.cycles())) ? Attempt(0) : Attempt(-kEFAULT);
}

Attempt Call::gettimeofday() const {
    Timespec now = to_timespec(machine.cycles());
    now.nanoseconds /= 1000; // a timeval
    if (arg(0) && !write_user(arg(0), now)) return -kEFAULT;
    return !arg(1) || write_user(arg(1), u64{0}) ? Attempt(0) : Attempt(-kEFAULT); // UTC
}

Attempt Call::sleep(u64 request, bool absolute) const {
    Task& sleeper = task();
    if (!sleeper.resume) {
        Timespec time{};
        if (!read_user(request, time)) return -kEFAULT;
        if (time.seconds < 0 || time.nanoseconds < 0 || time.nanoseconds >= 1'000'000'000) return -kEINVAL;
        constexpr u64 kMostSeconds = 1'000'000'000;
        const u64 cycles = (std::min<u64>(static_cast<u64>(time.seconds), kMostSeconds) * 1'000'000'000 + static_cast<u64>(time.nanoseconds)) / kNanosecondsPerCycle;
        sleeper.resume = std::max<u64>(1, absolute ? cycles : machine.cycles() + cycles);
    }
    if (machine.cycles() >= sleeper.resume) return 0;
    sleeper.waits_for = WaitFor::Time;
    sleeper.wait_object = sleeper.resume;
    return Attempt::block();
}
Attempt Call::nanosleep() const { return sleep(arg(0), false); }
Attempt Call::clock_nanosleep() const { return !is_clock(int_arg(0)) ? Attempt(-kEINVAL) : sleep(arg(2), arg(1) & 1); }

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
    info.uptime = static_cast<i64>(machine.cycles() / 100'000'000);
    info.total = machine.ram.size(), info.free = machine.ram.size() - kernel.used_frames * kPageSize;
    info.processes = static_cast<u16>(kernel.processes().size()), info.unit = 1;
    return write_user(arg(0), info) ? Attempt(0) : Attempt(-kEFAULT);
}

} // namespace trapeze::container
