// Processes and their threads as the simulated kernel keeps them. All plain values: what threads share lies in the kernel's pools, and a
// blocked system call is a value in its task.
#pragma once

#include "container-sim/cgroups.hpp"
#include "container-sim/credentials.hpp"
#include "container-sim/namespaces.hpp"
#include "container-sim/pipe.hpp"
#include "container-sim/posix_timers.hpp"
#include "container-sim/seccomp.hpp"
#include "container-sim/signals.hpp"
#include "container-sim/fs/vfs.hpp"
#include "container-sim/waiting.hpp"
#include "emulator/base/types.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <string>
#include <vector>

namespace trapeze::container {

/// What else is known about a stretch of an address space.
namespace area {
inline constexpr u16 kLocked = 1, kGrowsDown = 2, kDontFork = 4, kWipeOnFork = 8, kMayNotWrite = 16; ///< the last: the file is open for reading only
}

/// A stretch of a process's address space (proc(5), /proc/PID/maps).
struct Vma {
    u64 begin = 0, end = 0;      ///< bytes, page-aligned
    u8 prot = 0;                 ///< PROT_READ 1, PROT_WRITE 2, PROT_EXEC 4
    u32 inode = 0;               ///< file behind it; 0: anonymous
    u64 file_offset = 0;         ///< of the file, at `begin`
    u64 file_end = 0;            ///< address after the last byte that comes from the file; zeros follow
    bool shared = false;         ///< MAP_SHARED: stores reach the file, or the segment, and everybody who maps it
    u16 flags = 0;               ///< area::
    u64 segment = 0;             ///< of shared memory without a file, by serial; file_offset counts from its begin
    /// The same area between two addresses in it.
    Vma part(u64 from, u64 to) const {
        Vma vma = *this;
        vma.begin = from, vma.end = to;
        if (inode || segment) vma.file_offset += from - begin;
        if (inode && file_end == end) vma.file_end = to;
        return vma;
    }
    /// Does `next`, which begins where this area ends, go on with the same?
    bool goes_on(const Vma& next) const {
        const bool same_place = next.inode == inode && next.segment == segment && (!(inode || segment) || next.file_offset == file_offset + (end - begin));
        return next.begin == end && next.prot == prot && next.shared == shared && next.flags == flags && same_place && (!inode || (file_end == end && next.file_end == next.end));
    }
    u64 bytes() const { return end - begin; }
    /// Which page of its file or segment an address shows.
    u64 page_of(u64 address) const { return (file_offset + (address - begin)) >> 12; }
};
struct AddressSpace {
    u64 root = 0;                ///< physical address of the Sv39 root table
    std::map<u64, Vma> vmas;     ///< by begin
    u64 break_begin = 0, break_end = 0;
    u64 map_below = 0;           ///< mmap places from here downwards
    u64 stack_limit = ~u64{0};   ///< RLIMIT_STACK
    u64 searched_bytes = ~u64{0}, searched_to = 0; ///< no gap of so many bytes lies above that address
    u64 resident = 0, most_resident = 0; ///< pages that are there, now and at most (VmHWM)
    u64 tables = 0;              ///< pages of its tables
    u64 bytes = 0, most_bytes = 0; ///< of all areas, now and at most (VmPeak)
    void grow(u64 more) { most_bytes = std::max(most_bytes, bytes += more); }
    bool lock_future = false;    ///< mlockall(MCL_FUTURE)
};

struct SpaceSize {
    u64 all = 0, data = 0, locked = 0; ///< bytes
};

enum class FileKind : u8 {
#define FILE_KIND(kind, operations) kind,
#include "container-sim/file_kinds.def"
};
/// An open file description (open(2)): shared by descriptors that were duplicated.
struct OpenFile {
    FileKind kind = FileKind::Inode;
    Location location;
    u64 offset = 0;
    u32 flags = 0;               ///< O_ACCMODE, O_APPEND, O_NONBLOCK
    u32 object = 0;              ///< pipe, tty, or whatever its kind keeps elsewhere
    std::string generated;       ///< text of a made-up file, made when its reading began
    u64 seen_changes = 0;        ///< of a made-up file that poll(2) can watch: what it counted when it was read last
    std::shared_ptr<const std::vector<Listed>> listing; ///< of a directory, made when its listing began
};
struct Descriptor {
    u32 file = 0;                ///< number of OpenFile + 1; 0: closed
    bool close_on_exec = false;
};
/// What CLONE_FILES shares.
struct DescriptorTable {
    std::vector<Descriptor> entries;
};
/// What CLONE_FS shares.
struct FileSystemContext {
    Location root, cwd;
    u32 umask = 022;
};

enum class TaskState : u8 { Free, Runnable, Blocked, Stopped, Zombie };
enum class Wakened : u8 { No, ByKey, ByTime, BySignal };

/// A thread.
struct Task {
    TaskState state = TaskState::Free;
    u32 process = 0;
    i32 tid = 0;                         ///< in the host's namespace
    std::string name;                    ///< comm
    Credentials credentials;
    NamespaceSet namespaces;
    u32 pid_namespace_of_children = 0, time_namespace_of_children = 0; ///< unshare changes only these
    u32 memory = 0, descriptors = 0, context = 0, actions = 0;         ///< in the kernel's pools

    std::array<u64, 33> x{};
    std::array<u64, 32> f{};
    u64 pc = 0, fcsr = 0;

    PendingSignals pending;              ///< for this thread alone
    u64 blocked_signals = 0;
    std::optional<u64> restore_blocked;  ///< sigsuspend and its like: the mask to go back to once a handler has been called
    AlternateStack alternate_stack;

    bool in_call = false;                ///< a system call has been attempted and is attempted again when the task is woken
    u64 call = 0;                        ///< its number, and what its first argument was
    std::vector<WaitKey> waits;
    u64 deadline = kForever;             ///< cycles
    Restart restart = Restart::IfAsked;
    Wakened wakened = Wakened::No;
    u64 resume = 0, resume_more = 0;     ///< what an attempt keeps for the next: a deadline, bytes written, a child
    std::optional<i64> served;           ///< somebody else has ended its call, with this result
    bool queued = false;                 ///< in the run queue
    bool on_hart = false;                ///< it was chosen and has not been put back
    bool frozen = false;                 ///< by its cgroup: it does not run
    u64 virtual_time = 0, turn = 0;      ///< its place in the run queue of `home`, when queued
    u32 home = 0;                        ///< cgroup
    u64 affinity = ~u64{0};              ///< harts that it may use, by sched_setaffinity
    u32 cgroup = 0;
    u32 over_high = 0;                   ///< pages taken beyond a memory.high since it was last slowed down for that
    bool stalled = false;                ///< it waits because of memory.high
    u64 device_until = 0;                ///< cycles at which what it has moved to and from the disk is over, by io.max
    bool device_stalled = false;         ///< it waits for that
    std::optional<u32> stack_group;      ///< cgroup in which its stack in the kernel counts

    u32 policy = 0;                      ///< SCHED_*
    i32 priority = 0;                    ///< of SCHED_FIFO and SCHED_RR
    bool reset_on_fork = false;
    u64 rseq = 0;                        ///< rseq(2): where its structure is; 0: not registered
    u32 rseq_bytes = 0, rseq_signature = 0;
    i32 session_keyring = 0;             ///< keyctl(2); 0: none
    u32 semaphore_undo = 0;              ///< in the kernel's pool; 0: none yet
    u64 clear_tid = 0;
    u64 robust_list = 0;
    i32 exit_code = 0;
    SeccompMode seccomp_mode = SeccompMode::Off;
    u32 seccomp = 0;                     ///< its newest filter in the kernel's pool; 0: none
    u64 run_cycles = 0;
};

struct Limit {
    u64 current = ~u64{0}, most = ~u64{0};
};
inline constexpr unsigned kLimits = 16; ///< RLIMIT_*
enum LimitKind : unsigned { kLimitCpu, kLimitFileSize, kLimitData, kLimitStack, kLimitCore, kLimitRss, kLimitProcesses, kLimitFiles, kLimitLocked, kLimitSpace, kLimitLocks, kLimitSignals, kLimitQueues, kLimitNice, kLimitRealTime };

/// A thread group.
struct Process {
    bool used = false, zombie = false;
    u32 parent = 0;                      ///< process
    std::vector<u32> children;           ///< processes
    u32 leader = 0;                      ///< task
    std::vector<u32> threads;            ///< tasks that live, the leader among them
    i32 pid = 0;                         ///< in the host's namespace
    i32 group = 0, session = 0;          ///< pids of the host's namespace; 0: of nobody there
    u32 tty = 0;                         ///< controlling terminal + 1; 0: none
    std::vector<std::string> arguments, environment;
    std::string executable;              ///< path of the program, as /proc/self/exe shows it
    u32 executable_inode = 0;            ///< whose contents run
    Location program;                    ///< where it is
    u64 stack_begin = 0;                 ///< an address in the first thread's stack
    PendingSignals pending;              ///< for whichever thread takes it
    bool stopped = false, report_stop = false, report_continue = false;
    int stop_signal = 0;
    bool exiting = false;                ///< exit_group, a fatal signal: all its threads end
    int exit_status = 0;                 ///< as wait4 reports it
    i32 exit_signal = 17;                ///< told to the parent; 0: none
    u32 personality = 0;                 ///< personality(2)
    u32 barriers = 0;                    ///< membarrier(2): the kinds that it has registered for
    bool subreaper = false, dumpable = true, has_executed = false;
    i32 parent_death_signal = 0;
    std::array<Limit, kLimits> limits{};
    u64 alarm = 0, alarm_interval = 0;   ///< ITIMER_REAL, in cycles
    std::map<i32, PosixTimer> timers;    ///< timer_create(2), by id
    i32 next_timer = 0;
    CpuInterval virtual_interval, profile_interval; ///< ITIMER_VIRTUAL, ITIMER_PROF
    u64 cpu_sleep = 0;                   ///< cycles at which a thread that sleeps on its CPU clock wakes; 0: none does
    u64 cpu_deadline = kForever;         ///< cycles at which check_cpu_time has something to do
    u64 started = 0, cycles = 0, children_cycles = 0;
    u64 faults = 0;
    i32 nice = 0, oom_score_adjust = 0;
    u32 cgroup = 0;                      ///< that its memory counts in: the domain of its leader's
    u32 container = 0;                   ///< number of the container it belongs to; 0: the host
    bool engine = false;                 ///< the engine's own: it waits for commands from outside, and no run goes on for its sake
};

/// A pid lives as long as its task, or as a process group or session is named after it.
struct PidRecord {
    std::vector<i32> numbers;            ///< in each namespace from the host's down to its own
    u32 pid_namespace = 0;
    u32 users = 0;
    u32 task = 0;
    bool has_task = false;
};

/// What a reader sees of one process: a row of the process x namespace matrix.
struct ProcessView {
    i32 pid = 0, parent = 0;
    std::vector<i32> pids;
    std::string name, state, hostname, root;
    NamespaceSet namespaces;
    u32 user_namespace = 0;
    u32 container = 0;
    int exit_status = 0;
};

} // namespace trapeze::container
