// cgroup v2 (cgroups(7), Documentation/admin-guide/cgroup-v2.rst): a tree of groups of processes, and controllers that count and limit what
// the processes of a group and of those below it use. Group 0 is the root; every task is in one (Task::cgroup).
//
// How a controller plugs in:
//   - its state is a plain struct in Cgroup (as PidsGroup is). It is kept in every group, enabled or not; when the controller is given to a
//     group anew its limits are reset (Kernel::reset_controller), so that a limit counts only where it is enabled;
//   - its files are rows of cgroup_files.def, whose functions get a CgroupAccess; a file that poll(2) can watch says so by
//     Kernel::cgroup_event(group), as cgroup.events does;
//   - pressure: a stall is counted by adding its cycles to `some` and, when nobody of the group ran, to `full` of the group and all above it;
//   - the kernel calls it where something is used: charge_fork and count_pids for pids, charge_memory for memory (memory_control.cpp). A charge walks from the
//     group to the root: it goes through only when no limit on the way is passed.
//
// Known gaps: cgroup.pressure cannot be switched off; cpuset has no partitions; a descriptor is written with the writer's credentials, not
// with those of who opened it.
#pragma once

#include "emulator/base/types.hpp"

#include <array>
#include <compare>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace trapeze {
class Machine;
}

namespace trapeze::container {

class Kernel;
struct Viewer;
struct Task;

enum class Controller : u8 {
#define CONTROLLER(kind, name, threaded) kind,
#include "container-sim/cgroup_controllers.def"
    Core ///< no controller: the tree's own files
};
using ControllerSet = u32;
constexpr ControllerSet bit(Controller controller) { return ControllerSet{1} << static_cast<unsigned>(controller); }
inline constexpr ControllerSet kAllControllers = bit(Controller::Core) - 1;
inline constexpr ControllerSet kThreadedControllers = 0
#define CONTROLLER(kind, name, threaded) | (threaded ? bit(Controller::kind) : 0)
#include "container-sim/cgroup_controllers.def"
    ;

inline constexpr u64 kNoLimit = ~u64{0}; ///< "max"

/// pids: how many tasks, from birth to the end of waiting for them.
struct PidsGroup {
    u64 most = kNoLimit, current = 0, peak = 0;
    u64 refused = 0, refused_local = 0; ///< forks that this group's limit refused, and those of its own processes
    bool operator==(const PidsGroup&) const = default;
};

/// One entry of a run queue: a task, or a group that has some waiting.
struct Ready {
    u64 virtual_time = 0, turn = 0;
    bool is_group = false;
    u32 index = 0;
    auto operator<=>(const Ready&) const = default;
};
/// cpu: a queue of its own where the controller is enabled, in which its tasks and the groups below take turns; and what is counted.
struct CpuGroup {
    u64 used = 0;                       ///< cycles, of all below too
    u32 weight = 100;
    bool idle = false;                  ///< cpu.idle: it gets what others leave
    std::set<Ready> ready;
    u64 least = 0;                      ///< virtual time that the queue has come to
    u64 virtual_time = 0, turn = 0;     ///< its own place in the queue above, when queued
    bool queued = false;
    u64 quota = kNoLimit, period = 10'000'000; ///< cycles: cpu.max
    u64 left = 0, period_end = 0;       ///< 0: no period runs
    u64 burst = 0;                      ///< cpu.max.burst: cycles that may be left over for later periods
    u64 left_first = 0;                 ///< of the period that runs, when it began
    u64 bursts = 0, burst_cycles = 0;   ///< periods that used more than their quota, and by how much
    bool throttled = false;
    u64 throttled_since = 0, periods = 0, throttles = 0, throttled_cycles = 0;
    u32 waiting = 0;                    ///< tasks here and below that could run and do not
    bool running = false;
    u64 noted = 0;                      ///< cycles up to which pressure has been counted
};
/// io: what has gone to and from the disk, and how much may in a second: reading first, then writing.
struct IoGroup {
    std::array<u64, 2> bytes{}, operations{}; ///< of it and all below
    std::array<u64, 2> most_bytes{kNoLimit, kNoLimit}, most_operations{kNoLimit, kNoLimit};
    std::array<u64, 2> free_at{};       ///< cycles at which the limits let more through
    u32 stalled = 0;                    ///< tasks here and below that wait for the disk
    bool operator==(const IoGroup&) const = default;
};
/// cpuset: harts and memory nodes as bits; 0: as above.
struct CpusetGroup {
    u64 cpus = 0, mems = 0;
    bool operator==(const CpusetGroup&) const = default;
};
/// Pressure stall information (Documentation/accounting/psi.rst): cycles in which some, or all, of a group's tasks waited for something.
struct Pressure {
    u64 some = 0, full = 0;
    u64 averaged = 0, some_then = 0, full_then = 0; ///< when averages were last made, and from what
    std::array<u32, 3> some_average{}, full_average{}; ///< over 10, 60 and 300 seconds, in 2048ths of a hundredth
    bool operator==(const Pressure&) const = default;
};

/// What a page of the machine is used for.
enum class FrameKind : u8 {
    Anonymous,
    File,   ///< of a file, and can be read in again
    Shared, ///< of a file that is nowhere else (tmpfs), or of a shared segment
    Table,  ///< of an address space
    Stack,  ///< the kernel's, of a task
    Kernel,
    Count
};
inline constexpr std::size_t kFrameKinds = static_cast<std::size_t>(FrameKind::Count);

/// Lines of memory.events, in their order.
enum class MemoryEvent : u8 { Low, High, Max, Oom, OomKill, OomGroupKill, Count };
inline constexpr std::size_t kMemoryEvents = static_cast<std::size_t>(MemoryEvent::Count);

/// memory: counted in pages of the machine. A page counts in the group of the process that touched it first, and in all above.
struct MemoryGroup {
    u64 pages = 0, peak = 0;            ///< of it and all below
    std::array<u64, kFrameKinds> kinds{}; ///< of them
    u64 own = 0, files = 0;             ///< charged to the group itself, and of these those that can be read in again
    u64 most = kNoLimit, high = kNoLimit, low = 0, least = 0; ///< pages: memory.max, high, low, min
    u64 most_swap = kNoLimit, high_swap = kNoLimit; ///< pages; there is no swap
    bool oom_group = false;
    std::array<u64, kMemoryEvents> events{}, local_events{};
    u64 faults = 0, major_faults = 0, scanned = 0, reclaimed = 0;
    u64 changes = 1, local_changes = 1; ///< of memory.events and memory.events.local
    u32 stalled = 0;                    ///< tasks here and below that wait for memory
    bool operator==(const MemoryGroup&) const = default;
};

struct Cgroup {
    u32 parent = 0;                     ///< its own number for the root
    u32 domain = 0;                     ///< itself, unless it is threaded: the group whose processes' threads it holds
    unsigned level = 0;
    u32 serial = 0;                     ///< tells it from a later group under the same number
    std::string name;
    std::map<std::string, u32> children;
    u32 directory = 0;                  ///< dentry of its folder
    u32 uid = 0, gid = 0;               ///< who made it: kernel ids that its files begin with
    bool removed = false;               ///< its folder has gone; zombies and namespaces may still be in it
    ControllerSet subtree_control = 0;
    std::set<u32> members;              ///< tasks in it that live
    u32 populated_domains = 0, populated_threaded = 0; ///< children in or below which tasks live
    u32 threaded_children = 0;
    u64 descendants = 0, most_descendants = kNoLimit, most_depth = kNoLimit;
    bool freeze = false;                ///< its own wish
    u32 frozen_by = 0;                  ///< how many of itself and its ancestors wish it
    u64 changes = 1;                    ///< of cgroup.events
    PidsGroup pids;
    CpuGroup cpu;
    CpusetGroup cpuset;
    Pressure cpu_pressure, memory_pressure, io_pressure;
    u32 io_weight = 100;
    IoGroup io;
    MemoryGroup memory;

    bool threaded(u32 own) const { return domain != own; }
    bool populated() const { return !members.empty() || populated_domains || populated_threaded; }
};

/// Somebody reads or writes a file of a group.
struct CgroupAccess {
    Kernel& kernel;
    Machine& machine;
    const Viewer& viewer;
    u32 group;

    Cgroup& own() const;
};

// What cgroup_files.def names: the text of a file, or what is done with a text (blanks around it taken off): 0 or an errno.
#define CGROUP_SHOWN(name, controller, where, id) std::string show_##id(const CgroupAccess& access);
#define CGROUP_STORED(name, controller, where, id) i64 store_##id(const CgroupAccess& access, std::string_view text);
#define CGROUP_FILE(name, controller, where, id) CGROUP_SHOWN(name, controller, where, id) CGROUP_STORED(name, controller, where, id)
namespace cgroup_file {
#include "container-sim/cgroup_files.def"
}

/// "max" or a number as kstrtoull takes it (0x.. and 0.. too); nullopt: neither.
std::optional<u64> parse_limit(std::string_view text);
std::optional<i64> parse_integer(std::string_view text);
/// "max", or bytes with K, M, G, T, P or E behind, in whole pages; nullopt: neither.
std::optional<u64> parse_pages(std::string_view text);
std::vector<std::string_view> words_of(std::string_view text);
std::string limit_text(u64 limit);      ///< with a line end
std::string controllers_text(ControllerSet set);
/// The share of the hart that a nice value stands for (sched(7)); 0 has 1024.
u64 nice_weight(i32 nice);
/// The two lines of a pressure file. `now`: cycles.
std::string pressure_text(Pressure& pressure, u64 now);

} // namespace trapeze::container
