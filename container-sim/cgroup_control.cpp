// Moving processes between groups, giving controllers to them, freezing and killing them: the cgroup.* files.
#include "container-sim/abi.hpp"
#include "container-sim/cgroups.hpp"
#include "container-sim/fs/types.hpp"
#include "container-sim/kernel.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace trapeze::container {

// --- What a group may be ("Threads", "No Internal Process Constraint") -------------------------------------------------------------------

/// A domain whose threads, or whose threaded controllers, are spread below it.
bool Kernel::is_thread_root(u32 group) const {
    const Cgroup& own = cgroups[group];
    if (own.threaded(group)) return false;
    return own.threaded_children || (!own.members.empty() && own.subtree_control & kThreadedControllers);
}

/// False: it is threaded, or a domain below a thread root, which holds nobody.
bool Kernel::is_valid_domain(u32 group) const {
    if (cgroups[group].threaded(group)) return false;
    while (group != 0) {
        group = cgroups[group].parent;
        if ((group != 0 && is_thread_root(group)) || cgroups[group].threaded(group)) return false;
    }
    return true;
}

bool Kernel::can_be_thread_root(u32 group) const {
    if (group == 0) return true;
    const Cgroup& own = cgroups[group];
    return is_valid_domain(group) && !own.populated_domains && !(own.subtree_control & ~kThreadedControllers);
}

/// Whether processes may come into a group at all.
i64 Kernel::may_hold_processes(u32 group) const {
    if (!is_valid_domain(cgroups[group].domain)) return -kEOPNOTSUPP;
    if (can_be_thread_root(group) || cgroups[group].threaded(group)) return 0;
    return cgroups[group].subtree_control ? -kEBUSY : 0;
}

/// Whether somebody may bring a task from one group to another: writing to cgroup.procs of their common ancestor must be allowed, and under
/// nsdelegate both must be seen from the cgroup namespace. `whole`: the process, not one thread.
i64 Kernel::may_migrate(const Viewer& viewer, u32 from, u32 to, bool whole) {
    u32 common = from;
    while (!cgroup_within(to, common)) common = cgroups[common].parent;
    if (const i64 error = may_write_cgroup(viewer, common)) return error;
    const u32 root = cgroup_namespaces[tasks[viewer.task].namespaces.cgroup].root;
    if (cgroup_nsdelegate && (!cgroup_within(from, root) || !cgroup_within(to, root))) return -kENOENT;
    if (const i64 error = may_hold_processes(to)) return error;
    return !whole && cgroups[from].domain != cgroups[to].domain ? -kEOPNOTSUPP : 0;
}

// --- Controllers ---------------------------------------------------------------------------------------------------------------------------

namespace {

std::optional<Controller> controller_named(std::string_view name) {
#define CONTROLLER(kind, text, threaded) \
    if (name == text) return Controller::kind;
#include "container-sim/cgroup_controllers.def"
    return std::nullopt;
}

/// "+memory -pids" as two sets, the last word on one counting. False: it is not that.
bool parse_controllers(std::string_view text, ControllerSet& enable, ControllerSet& disable) {
    while (!text.empty()) {
        const std::size_t end = std::min(text.find(' '), text.size());
        const std::string_view word = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
        if (word.empty()) continue;
        const auto controller = controller_named(word.substr(1));
        if (!controller || (word[0] != '+' && word[0] != '-')) return false;
        (word[0] == '+' ? enable : disable) |= bit(*controller);
        (word[0] == '+' ? disable : enable) &= ~bit(*controller);
    }
    return true;
}

} // namespace

/// Whether the group may give more controllers to its children.
i64 Kernel::may_enable(u32 group, ControllerSet enable) const {
    if (!enable) return 0;
    if (!is_valid_domain(cgroups[group].domain)) return -kEOPNOTSUPP;
    if (group == 0) return 0;
    const bool in_threads = cgroups[group].threaded(group);
    if (enable & ~kThreadedControllers) {
        if (is_thread_root(group) || in_threads) return -kEOPNOTSUPP;
    } else if (can_be_thread_root(group) || in_threads) {
        return 0;
    }
    return cgroups[group].members.empty() ? 0 : -kEBUSY; // no internal processes
}

i64 Kernel::change_controllers(u32 group, ControllerSet enable, ControllerSet disable) {
    Cgroup& own = cgroups[group];
    if (enable & ~own.subtree_control & ~controllers_of(group)) return -kENOENT; // from above only
    enable &= ~own.subtree_control, disable &= own.subtree_control;
    for (const auto& [name, child] : own.children)
        if (cgroups[child].subtree_control & disable) return -kEBUSY;
    if (const i64 error = may_enable(group, enable)) return error;
    // Who waits for the hart waits in another queue when cpu comes or goes.
    std::vector<u32> waiting;
    if ((enable | disable) & bit(Controller::Cpu))
        for (u32 at : cgroups_below(group))
            for (u32 task : cgroups[at].members)
                if (tasks[task].queued) waiting.push_back(task);
    for (u32 task : waiting) dequeue(task);
    own.subtree_control = (own.subtree_control | enable) & ~disable;
    for (const auto& [name, child] : own.children) {
        for (u32 i = 0; i < static_cast<u32>(Controller::Core); ++i)
            if ((enable | disable) & ControllerSet{1} << i) reset_controller(child, static_cast<Controller>(i));
        drop_cgroup_files(child);
    }
    for (u32 task : waiting) tasks[task].virtual_time = 0, enqueue(task);
    return 0;
}

/// A controller comes to a group or leaves it: its limits are as in the beginning.
void Kernel::reset_controller(u32 group, Controller controller) {
    Cgroup& own = cgroups[group];
    if (controller == Controller::Pids) own.pids = {.current = own.pids.current, .peak = own.pids.current};
    if (controller == Controller::Cpuset) own.cpuset = {};
    if (controller == Controller::Io) {
        own.io_weight = 100;
        IoGroup fresh;
        fresh.bytes = own.io.bytes, fresh.operations = own.io.operations, fresh.stalled = own.io.stalled;
        own.io = fresh;
    }
    if (controller == Controller::Memory) {
        pass_on_charges(group, memory_home(own.parent));
        const u32 stalled = own.memory.stalled;
        own.memory = {}, own.memory.stalled = stalled;
    }
    if (controller != Controller::Cpu) return;
    CpuGroup fresh; // its queue is empty here
    fresh.used = own.cpu.used, fresh.waiting = own.cpu.waiting, fresh.running = own.cpu.running, fresh.noted = own.cpu.noted;
    renewals.erase({own.cpu.period_end, group});
    own.cpu = std::move(fresh);
}

// --- pids ------------------------------------------------------------------------------------------------------------------------------------

/// Whether one task more may be born into a group: -kEAGAIN when it or one above it is full.
i64 Kernel::charge_fork(u32 group) {
    for (u32 at = group; at != 0; at = cgroups[at].parent) {
        PidsGroup& pids = cgroups[at].pids;
        if (pids.current < pids.most) continue;
        ++pids.refused, ++cgroups[group].pids.refused_local;
        for (u32 above = cgroups[at].parent; above != 0; above = cgroups[above].parent) ++cgroups[above].pids.refused;
        return -kEAGAIN;
    }
    return 0;
}
void Kernel::count_pids(u32 group, i64 more) {
    for (u32 at = group;; at = cgroups[at].parent) {
        PidsGroup& pids = cgroups[at].pids;
        pids.current += static_cast<u64>(more);
        pids.peak = std::max(pids.peak, pids.current);
        if (at == 0) return;
    }
}

// --- The freezer ---------------------------------------------------------------------------------------------------------------------------

/// A frozen task does not run; what it waits for may come meanwhile, and it goes on from there.
void Kernel::set_frozen(u32 index, bool frozen) {
    Task& task = tasks[index];
    if (task.frozen == frozen) return;
    task.frozen = frozen;
    if (frozen && ends_by_signal(index)) thaw_to_end(task.process);
    if (task.frozen) dequeue(index);
    else if (task.state == TaskState::Runnable) make_runnable(index);
}

void Kernel::freeze_cgroup(u32 group, bool freeze) {
    if (cgroups[group].freeze == freeze) return;
    cgroups[group].freeze = freeze;
    for (u32 at : cgroups_below(group)) {
        Cgroup& own = cgroups[at];
        const bool before = own.frozen_by != 0;
        own.frozen_by += freeze ? 1 : ~u32{0};
        if (before == (own.frozen_by != 0)) continue;
        const std::set<u32> members = own.members;
        for (u32 task : members) set_frozen(task, own.frozen_by != 0);
        cgroup_event(at);
    }
}

/// cgroup.kill: SIGKILL to everybody in and below a group, also to the inits of pid namespaces.
void Kernel::kill_cgroup(Machine& machine, u32 group) {
    for (u32 at : cgroups_below(group)) {
        const std::set<u32> members = cgroups[at].members;
        for (u32 task : members)
            if (tasks[task].state != TaskState::Free) send_to_process(machine, tasks[task].process, {.number = kSigKill, .code = kCodeKernel});
    }
}

// --- The files --------------------------------------------------------------------------------------------------------------------------------

namespace cgroup_file {

std::string show_type(const CgroupAccess& access) {
    if (access.own().threaded(access.group)) return "threaded\n";
    return !access.kernel.is_valid_domain(access.group) ? "domain invalid\n" : access.kernel.is_thread_root(access.group) ? "domain threaded\n" : "domain\n";
}

/// A group that becomes threaded joins its parent's domain, for good.
i64 store_type(const CgroupAccess& access, std::string_view text) {
    Kernel& kernel = access.kernel;
    if (text != "threaded") return -kEINVAL;
    Cgroup& own = access.own();
    if (own.threaded(access.group)) return 0;
    if (own.populated() || own.subtree_control & ~kThreadedControllers) return -kEOPNOTSUPP;
    const u32 domain = kernel.cgroups[own.parent].domain;
    if (!kernel.is_valid_domain(domain) || !kernel.can_be_thread_root(domain)) return -kEOPNOTSUPP;
    for (u32 at : kernel.cgroups_below(access.group))
        if (at == access.group || kernel.cgroups[at].threaded(at)) kernel.cgroups[at].domain = domain;
    ++kernel.cgroups[own.parent].threaded_children;
    kernel.drop_cgroup_files(access.group);
    return 0;
}

/// Processes as the reader's pid namespace numbers them, 0 for those it cannot see; a domain has those of its threaded groups, too.
std::string show_procs(const CgroupAccess& access) {
    const Kernel& kernel = access.kernel;
    std::set<std::pair<i32, i32>> seen; // number there, number here
    for (u32 at : kernel.cgroups_below(access.group)) {
        if (at != access.group && kernel.cgroups[at].domain != access.group) continue;
        for (u32 task : kernel.cgroups[at].members) {
            const i32 pid = kernel.process_of(kernel.tasks[task]).pid;
            seen.insert({pid, kernel.pid_in(pid, access.viewer.pid_namespace())});
        }
    }
    std::string text;
    for (const auto& [pid, number] : seen) text += fmt::format("{}\n", number);
    return text;
}
std::string show_threads(const CgroupAccess& access) {
    std::set<std::pair<i32, i32>> seen;
    for (u32 task : access.own().members) seen.insert({access.kernel.tasks[task].tid, access.kernel.pid_in(access.kernel.tasks[task], access.viewer.pid_namespace())});
    std::string text;
    for (const auto& [tid, number] : seen) text += fmt::format("{}\n", number);
    return text;
}

namespace {
i64 attach(const CgroupAccess& access, std::string_view text, bool whole) {
    Kernel& kernel = access.kernel;
    const auto number = parse_integer(text);
    if (!number || *number < 0 || *number > Kernel::kMaxPid * 64) return -kEINVAL;
    const auto found = *number ? kernel.task_by_pid(static_cast<i32>(*number), access.viewer.pid_namespace()) : std::optional(access.viewer.task);
    if (!found) return -kESRCH;
    const u32 leader = kernel.process_of(kernel.tasks[*found]).leader, first = whole ? leader : *found;
    if (const i64 error = kernel.may_migrate(access.viewer, kernel.tasks[first].cgroup, access.group, whole)) return error;
    const std::vector<u32> threads = whole ? kernel.process_of(kernel.tasks[*found]).threads : std::vector<u32>{*found};
    for (u32 thread : threads) kernel.move_to_cgroup(thread, access.group);
    return 0;
}
} // namespace

i64 store_procs(const CgroupAccess& access, std::string_view text) { return attach(access, text, true); }
i64 store_threads(const CgroupAccess& access, std::string_view text) { return attach(access, text, false); }

std::string show_controllers(const CgroupAccess& access) { return controllers_text(access.kernel.controllers_of(access.group)); }
std::string show_subtree_control(const CgroupAccess& access) { return controllers_text(access.own().subtree_control); }
i64 store_subtree_control(const CgroupAccess& access, std::string_view text) {
    ControllerSet enable = 0, disable = 0;
    if (!parse_controllers(text, enable, disable)) return -kEINVAL;
    return access.kernel.change_controllers(access.group, enable, disable);
}

std::string show_events(const CgroupAccess& access) {
    return fmt::format("populated {}\nfrozen {}\n", access.own().populated() ? 1 : 0, access.own().frozen_by ? 1 : 0);
}

namespace {
i64 store_count(u64& to, std::string_view text) {
    const auto value = parse_integer(text);
    if (text != "max" && !value) return -kEINVAL;
    if (value && (*value < 0 || *value > 0x7fff'ffff)) return -kERANGE;
    return to = value ? static_cast<u64>(*value) : kNoLimit, 0;
}
} // namespace
std::string show_max_descendants(const CgroupAccess& access) { return limit_text(access.own().most_descendants); }
i64 store_max_descendants(const CgroupAccess& access, std::string_view text) { return store_count(access.own().most_descendants, text); }
std::string show_max_depth(const CgroupAccess& access) { return limit_text(access.own().most_depth); }
i64 store_max_depth(const CgroupAccess& access, std::string_view text) { return store_count(access.own().most_depth, text); }
std::string show_stat(const CgroupAccess& access) { return fmt::format("nr_descendants {}\nnr_dying_descendants 0\n", access.own().descendants); }

std::string show_freeze(const CgroupAccess& access) { return access.own().freeze ? "1\n" : "0\n"; }
i64 store_freeze(const CgroupAccess& access, std::string_view text) {
    const auto value = parse_integer(text);
    if (!value) return -kEINVAL;
    if (*value != 0 && *value != 1) return -kERANGE;
    return access.kernel.freeze_cgroup(access.group, *value == 1), 0;
}
i64 store_kill(const CgroupAccess& access, std::string_view text) {
    const auto value = parse_integer(text);
    if (!value) return -kEINVAL;
    if (*value != 1) return -kERANGE;
    if (access.own().threaded(access.group)) return -kEOPNOTSUPP;
    return access.kernel.kill_cgroup(access.machine, access.group), 0;
}

std::string show_pids_max(const CgroupAccess& access) { return limit_text(access.own().pids.most); }
i64 store_pids_max(const CgroupAccess& access, std::string_view text) {
    const auto value = parse_limit(text);
    if (!value || (*value != kNoLimit && *value > u64{4} << 20)) return -kEINVAL;
    return access.own().pids.most = *value, 0;
}
std::string show_pids_current(const CgroupAccess& access) { return fmt::format("{}\n", access.own().pids.current); }
std::string show_pids_peak(const CgroupAccess& access) { return fmt::format("{}\n", access.own().pids.peak); }
std::string show_pids_events(const CgroupAccess& access) { return fmt::format("max {}\n", access.own().pids.refused); }
std::string show_pids_events_local(const CgroupAccess& access) { return fmt::format("max {}\n", access.own().pids.refused_local); }

} // namespace cgroup_file
} // namespace trapeze::container
