// The tree of cgroup v2: who is in which group, how groups come and go, and what a cgroup namespace shows of it.
#include "container-sim/cgroups.hpp"
#include "container-sim/abi.hpp"
#include "container-sim/fs/types.hpp"
#include "container-sim/kernel.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace trapeze::container {

Cgroup& CgroupAccess::own() const { return kernel.cgroups[group]; }

// --- The tree -----------------------------------------------------------------------------------------------------------------------

/// Whether a group is `ancestor` or lies below it.
bool Kernel::cgroup_within(u32 group, u32 ancestor) const {
    while (group != ancestor && group != 0) group = cgroups[group].parent;
    return group == ancestor;
}

/// The controllers that a group has files of.
ControllerSet Kernel::controllers_of(u32 group) const {
    if (group == 0) return kAllControllers;
    const ControllerSet given = cgroups[cgroups[group].parent].subtree_control;
    return cgroups[group].threaded(group) ? given & kThreadedControllers : given;
}

/// All groups below one, and itself first.
std::vector<u32> Kernel::cgroups_below(u32 group) const {
    std::vector<u32> all{group};
    for (std::size_t i = 0; i < all.size(); ++i)
        for (const auto& [name, child] : cgroups[all[i]].children) all.push_back(child);
    return all;
}

/// A new group below another. Its number, or an errno.
i64 Kernel::make_cgroup(u32 parent, const std::string& name, u32 uid, u32 gid) {
    if (name.find('\n') != std::string::npos) return -kEINVAL; // /proc/PID/cgroup could not be read any more
    if (cgroups[parent].removed) return -kENODEV;
    if (cgroups.size() >= kMaxCgroups) return -kENOSPC;
    u64 depth = 1;
    for (u32 at = parent;; at = cgroups[at].parent, ++depth) {
        if (cgroups[at].descendants >= cgroups[at].most_descendants || depth > cgroups[at].most_depth) return -kEAGAIN;
        if (at == 0) break;
    }
    Cgroup made;
    made.parent = parent, made.level = cgroups[parent].level + 1, made.name = name, made.serial = next_cgroup_serial++;
    made.uid = uid, made.gid = gid, made.frozen_by = cgroups[parent].frozen_by;
    const u32 index = cgroups.add(std::move(made));
    cgroups[index].domain = index;
    cgroups.use(parent);
    cgroups[parent].children[name] = index;
    for (u32 at = parent;; at = cgroups[at].parent) {
        ++cgroups[at].descendants;
        if (at == 0) break;
    }
    return index;
}

/// rmdir(2): only of a group without children in which nobody lives.
i64 Kernel::remove_cgroup(u32 group) {
    Cgroup& gone = cgroups[group];
    if (group == 0 || gone.populated() || !gone.children.empty()) return -kEBUSY;
    if (gone.removed) return -kENODEV;
    pass_on_charges(group, memory_home(gone.parent));
    gone.removed = true;
    Cgroup& parent = cgroups[gone.parent];
    parent.children.erase(gone.name);
    parent.threaded_children -= gone.threaded(group);
    for (u32 at = gone.parent;; at = cgroups[at].parent) {
        --cgroups[at].descendants;
        if (at == 0) break;
    }
    if (gone.directory) vfs.drop_tree(gone.directory);
    release_cgroup(group);
    return 0;
}

/// One user less: its name, a task, a namespace or a child. A removed group keeps its ancestors, in whose numbers it still counts.
void Kernel::release_cgroup(u32 group) {
    while (cgroups.release(group)) {
        const u32 parent = cgroups[group].parent;
        cgroups.erase(group);
        group = parent;
    }
}

/// The group's cgroup.events says something else now.
void Kernel::cgroup_event(u32 group) {
    ++cgroups[group].changes;
    tell_cgroup_file(group, "cgroup.events");
}

/// Who polls a file of a group is woken.
void Kernel::tell_cgroup_file(u32 group, const char* name) {
    const Cgroup& own = cgroups[group];
    if (own.removed || !own.directory) return;
    if (const u32 file = vfs.child(own.directory, name)) wake({WaitKind::Inode, vfs.dentries.get(file).inode});
}

// --- Who is in it --------------------------------------------------------------------------------------------------------------------

/// Somebody lives in a group now, or nobody any more: so its ancestors may be populated or not.
void Kernel::change_members(u32 group, u32 task, bool enters) {
    const bool before = cgroups[group].populated();
    if (enters) cgroups[group].members.insert(task);
    else cgroups[group].members.erase(task);
    bool changed = before != cgroups[group].populated();
    for (u32 at = group; changed; at = cgroups[at].parent) {
        cgroup_event(at);
        if (at == 0) break;
        Cgroup& parent = cgroups[cgroups[at].parent];
        const bool was = parent.populated();
        u32& count = cgroups[at].threaded(at) ? parent.populated_threaded : parent.populated_domains;
        count += enters ? 1 : ~u32{0};
        changed = was != parent.populated();
    }
}

/// A new task in its group. Pre: charge_fork has allowed it, and the task holds its group.
void Kernel::join_cgroup(u32 index) {
    Task& task = tasks[index];
    task.frozen = cgroups[task.cgroup].frozen_by != 0;
    count_pids(task.cgroup, 1);
    change_members(task.cgroup, index, true);
}

/// A task lives no more. It is counted until it has been waited for.
void Kernel::leave_cgroup(u32 index) {
    give_back_stack(tasks[index]);
    dequeue(index);
    leave_hart(index);
    if (cgroups[tasks[index].cgroup].members.contains(index)) change_members(tasks[index].cgroup, index, false);
}

/// A living task goes to another group, with what is counted of it.
void Kernel::move_to_cgroup(u32 index, u32 group) {
    Task& task = tasks[index];
    if (task.cgroup == group || !cgroups[task.cgroup].members.contains(index)) return;
    const u32 before = task.cgroup;
    const bool queued = task.queued, on_hart = task.on_hart;
    dequeue(index);
    leave_hart(index);
    cgroups.use(group);
    change_members(group, index, true);
    change_members(before, index, false);
    count_pids(group, 1);
    count_pids(before, -1);
    task.cgroup = group, task.virtual_time = 0;
    if (task.stalled) note_stalled(before, false), note_stalled(group, true);
    if (task.device_stalled) note_device_stalled(before, false), note_device_stalled(group, true);
    if (queued) enqueue(index);
    if (on_hart) task.on_hart = true, note_running(group, true);
    if (process_of(task).leader == index) process_of(task).cgroup = cgroups[group].domain;
    set_frozen(index, cgroups[group].frozen_by != 0);
    release_cgroup(before);
}

// --- What is seen of it ---------------------------------------------------------------------------------------------------------------

/// A group's path as somebody sees it to whom `root` is the root: "/../c" for one that lies outside.
std::string Kernel::cgroup_path(u32 group, u32 root) const {
    std::string down, up;
    u32 at = group, from = root;
    while (cgroups[from].level > cgroups[at].level || !cgroup_within(at, from)) from = cgroups[from].parent, up += "/..";
    for (; at != from; at = cgroups[at].parent) down.insert(0, "/" + cgroups[at].name);
    const std::string path = up + down;
    return path.empty() ? "/" : path;
}

/// A line of /proc/PID/cgroup.
std::string Kernel::cgroup_line(const Task& shown, u32 root) const {
    return fmt::format("0::{}{}\n", cgroup_path(shown.cgroup, root), cgroups[shown.cgroup].removed ? " (deleted)" : "");
}

std::string Viewer::cgroup_text(const Task& shown) const {
    if (!kernel) return "0::/\n";
    return kernel->cgroup_line(shown, kernel->cgroup_namespaces[kernel->tasks[task].namespaces.cgroup].root);
}

// --- Texts of files --------------------------------------------------------------------------------------------------------------------

std::optional<i64> parse_integer(std::string_view text) {
    const bool negative = !text.empty() && text[0] == '-';
    if (!text.empty() && (text[0] == '-' || text[0] == '+')) text.remove_prefix(1);
    unsigned base = 10;
    if (text.size() > 2 && text[0] == '0' && (text[1] | 0x20) == 'x') base = 16, text.remove_prefix(2);
    else if (text.size() > 1 && text[0] == '0') base = 8;
    if (text.empty()) return std::nullopt;
    i64 value = 0;
    for (char c : text) {
        const char lower = static_cast<char>(c | 0x20);
        const unsigned digit = c >= '0' && c <= '9' ? static_cast<unsigned>(c - '0') : lower >= 'a' && lower <= 'f' ? static_cast<unsigned>(lower - 'a' + 10) : 99;
        if (digit >= base || __builtin_mul_overflow(value, static_cast<i64>(base), &value) || __builtin_add_overflow(value, static_cast<i64>(digit), &value)) return std::nullopt;
    }
    return negative ? -value : value;
}

std::optional<u64> parse_limit(std::string_view text) {
    if (text == "max") return kNoLimit;
    const auto value = parse_integer(text);
    return value && *value >= 0 ? std::optional(static_cast<u64>(*value)) : std::nullopt;
}

std::string limit_text(u64 limit) { return limit == kNoLimit ? "max\n" : fmt::format("{}\n", limit); }

std::string controllers_text(ControllerSet set) {
    std::string text;
    const auto add = [&](Controller controller, const char* name) {
        if (set & bit(controller)) text += (text.empty() ? "" : " ") + std::string(name);
    };
#define CONTROLLER(kind, name, threaded) add(Controller::kind, name);
#include "container-sim/cgroup_controllers.def"
    return text + "\n";
}

} // namespace trapeze::container
