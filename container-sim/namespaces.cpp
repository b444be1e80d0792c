// Namespaces: who is in which, what each calls a pid or an id, and who may do what to what they own.
#include "container-sim/namespaces.hpp"
#include "container-sim/kernel.hpp"

namespace trapeze::container {

namespace {
u32 translate(const std::vector<IdRange>& ranges, u32 id, u32 IdRange::*from, u32 IdRange::*to) {
    for (const IdRange& range : ranges)
        if (id >= range.*from && id - range.*from < range.count) return range.*to + (id - range.*from);
    return kNoId;
}
} // namespace

u32 map_into_kernel(const std::vector<IdRange>& ranges, u32 inside) { return translate(ranges, inside, &IdRange::inside, &IdRange::outside); }
u32 map_out_of_kernel(const std::vector<IdRange>& ranges, u32 kernel_id) { return translate(ranges, kernel_id, &IdRange::outside, &IdRange::inside); }

// --- Pids --------------------------------------------------------------------------------------------------------------------

bool Kernel::namespace_within(u32 inner, u32 outer) const {
    while (inner != outer && inner != 0) inner = pid_namespaces[inner].parent;
    return inner == outer;
}

i32 Kernel::pid_in(i32 pid, u32 pid_namespace) const {
    const auto record = pids.find(pid);
    if (record == pids.end() || !namespace_within(record->second.pid_namespace, pid_namespace)) return 0;
    return record->second.numbers[pid_namespaces[pid_namespace].level];
}

std::optional<i32> Kernel::host_pid(i32 pid, u32 pid_namespace) const {
    const auto& members = pid_namespaces[pid_namespace].members;
    const auto found = members.find(pid);
    return found == members.end() ? std::nullopt : std::optional(found->second);
}

std::optional<u32> Kernel::task_by_pid(i32 pid, u32 pid_namespace) const {
    const auto host = host_pid(pid, pid_namespace);
    if (!host || !pids.at(*host).has_task) return std::nullopt;
    const u32 task = pids.at(*host).task;
    return task ? std::optional(task) : std::nullopt;
}

std::optional<u32> Kernel::process_by_pid(i32 pid, u32 pid_namespace) const {
    const auto task = task_by_pid(pid, pid_namespace);
    return task && processes[tasks[*task].process].leader == *task ? std::optional(tasks[*task].process) : std::nullopt;
}

// --- Lifetimes ---------------------------------------------------------------------------------------------------------------

namespace {
/// Calls `visit(kind, index)` for each namespace that a task is in or sends its children to.
template <class Visit> void each_namespace(const Task& task, Visit visit) {
    const NamespaceSet& set = task.namespaces;
    visit(NamespaceKind::Uts, set.uts), visit(NamespaceKind::Mnt, set.mnt), visit(NamespaceKind::Ipc, set.ipc), visit(NamespaceKind::Net, set.net);
    visit(NamespaceKind::Cgroup, set.cgroup), visit(NamespaceKind::Time, set.time), visit(NamespaceKind::User, task.credentials.user_namespace);
    visit(NamespaceKind::Pid, task.pid_namespace_of_children), visit(NamespaceKind::Time, task.time_namespace_of_children);
}
} // namespace

/// A task's own pid namespace is held by its pid.
void Kernel::use_namespaces(const Task& task) {
    each_namespace(task, [this](NamespaceKind kind, u32 index) { use_namespace(kind, index); });
}
void Kernel::release_namespaces(Machine& machine, Task& task) {
    each_namespace(task, [&](NamespaceKind kind, u32 index) { release_namespace(machine, kind, index); });
}

void Kernel::use_namespace(NamespaceKind kind, u32 index) {
    switch (kind) {
    case NamespaceKind::Pid: return pid_namespaces.use(index);
    case NamespaceKind::Uts: return uts_namespaces.use(index);
    case NamespaceKind::User: return user_namespaces.use(index);
    case NamespaceKind::Time: return time_namespaces.use(index);
    case NamespaceKind::Cgroup: return cgroup_namespaces.use(index);
    case NamespaceKind::Ipc: return ipc_namespaces.use(index);
    case NamespaceKind::Net: return net_namespaces.use(index);
    default: return mnt_namespace_heads.use(index);
    }
}

void Kernel::release_namespace(Machine& machine, NamespaceKind kind, u32 index) {
    if (index == 0) return; // the host's stay
    const u32 owner = namespace_head(kind, index).owner;
    const auto last = [&](auto& pool) {
        if (!pool.release(index)) return false;
        pool.erase(index);
        return true;
    };
    bool gone = false;
    switch (kind) {
    case NamespaceKind::Pid:
        if (pid_namespaces.release(index)) erase_pid_namespace(index);
        return;
    case NamespaceKind::User: {
        const u32 parent = user_namespaces[index].parent;
        if (last(user_namespaces)) release_namespace(machine, NamespaceKind::User, parent);
        return;
    }
    case NamespaceKind::Uts: gone = last(uts_namespaces); break;
    case NamespaceKind::Time: gone = last(time_namespaces); break;
    case NamespaceKind::Cgroup: {
        const u32 root = cgroup_namespaces[index].root;
        gone = last(cgroup_namespaces);
        if (gone) release_cgroup(root);
        break;
    }
    case NamespaceKind::Ipc:
        if (ipc_namespaces.users(index) == 1) take_down_ipc(machine, index);
        gone = last(ipc_namespaces);
        break;
    case NamespaceKind::Net:
        gone = last(net_namespaces);
        if (gone) network.remove_namespace(index), settle_network(machine);
        break;
    default:
        gone = last(mnt_namespace_heads);
        if (gone) {
            vfs.free_namespace(index);
            hold_bound_namespaces(machine);
        }
        break;
    }
    if (gone) release_namespace(machine, NamespaceKind::User, owner);
}

void Kernel::erase_pid_namespace(u32 index) {
    const u32 parent = pid_namespaces[index].parent, owner = pid_namespaces[index].owner;
    pid_namespaces.erase(index);
    if (parent && pid_namespaces.release(parent)) erase_pid_namespace(parent);
    if (owner && user_namespaces.release(owner)) user_namespaces.erase(owner);
}

const NamespaceHead& Kernel::namespace_head(NamespaceKind kind, u32 index) const {
    switch (kind) {
    case NamespaceKind::Pid: return pid_namespaces[index];
    case NamespaceKind::Uts: return uts_namespaces[index];
    case NamespaceKind::User: return user_namespaces[index];
    case NamespaceKind::Time: return time_namespaces[index];
    case NamespaceKind::Cgroup: return cgroup_namespaces[index];
    case NamespaceKind::Ipc: return ipc_namespaces[index];
    case NamespaceKind::Net: return net_namespaces[index];
    default: return mnt_namespace_heads[index];
    }
}

u32 Kernel::namespaces_of_kind(NamespaceKind kind) const {
    switch (kind) {
    case NamespaceKind::Pid: return pid_namespaces.size();
    case NamespaceKind::Uts: return uts_namespaces.size();
    case NamespaceKind::User: return user_namespaces.size();
    case NamespaceKind::Time: return time_namespaces.size();
    case NamespaceKind::Cgroup: return cgroup_namespaces.size();
    case NamespaceKind::Ipc: return ipc_namespaces.size();
    case NamespaceKind::Net: return net_namespaces.size();
    default: return mnt_namespace_heads.size();
    }
}

u32 Kernel::namespace_of(const Task& task, NamespaceKind kind) const {
    switch (kind) {
    case NamespaceKind::Pid: return task.namespaces.pid;
    case NamespaceKind::Uts: return task.namespaces.uts;
    case NamespaceKind::User: return task.credentials.user_namespace;
    case NamespaceKind::Time: return task.namespaces.time;
    case NamespaceKind::Cgroup: return task.namespaces.cgroup;
    case NamespaceKind::Ipc: return task.namespaces.ipc;
    case NamespaceKind::Net: return task.namespaces.net;
    default: return task.namespaces.mnt;
    }
}

/// A new namespace of this kind, one user, owned by `owner`; the mnt, uts and user ones begin as copies of `from`.
u32 Kernel::make_namespace(NamespaceKind kind, u32 from, u32 owner) {
    NamespaceHead head{next_namespace_inode++, owner};
    user_namespaces.use(owner);
    switch (kind) {
    case NamespaceKind::Pid: {
        pid_namespaces.use(from);
        PidNamespace made;
        static_cast<NamespaceHead&>(made) = head;
        made.parent = from, made.level = pid_namespaces[from].level + 1;
        return pid_namespaces.add(made);
    }
    case NamespaceKind::Uts: {
        UtsNamespace made = uts_namespaces[from];
        static_cast<NamespaceHead&>(made) = head;
        return uts_namespaces.add(made);
    }
    case NamespaceKind::Time: {
        TimeNamespace made = time_namespaces[from];
        static_cast<NamespaceHead&>(made) = head, made.entered = false;
        return time_namespaces.add(made);
    }
    case NamespaceKind::Cgroup: cgroups.use(from); return cgroup_namespaces.add(CgroupNamespace{head, from}); // `from`: the cgroup that becomes its root
    case NamespaceKind::Ipc: return ipc_namespaces.add({head, {}, {}, {}, {}, 0});
    case NamespaceKind::Net: {
        const u32 index = net_namespaces.add(head);
        (void)network.add_namespace(index); // its lo; without room for that it has none
        return index;
    }
    case NamespaceKind::Mnt: {
        return mnt_namespace_heads.add(head); // its mounts are for the maker to copy (Vfs::copy_namespace) or to make
    }
    default: return 0; // user namespaces are made with their maker's ids: make_user_namespace
    }
}

// --- Ids and capabilities -------------------------------------------------------------------------------------------------------

u32 Kernel::uid_in(const Task& reader, u32 kernel_uid) const {
    const u32 seen = map_out_of_kernel(user_namespaces[reader.credentials.user_namespace].uids, kernel_uid);
    return seen == kNoId ? kOverflowId : seen;
}
u32 Kernel::gid_in(const Task& reader, u32 kernel_gid) const {
    const u32 seen = map_out_of_kernel(user_namespaces[reader.credentials.user_namespace].gids, kernel_gid);
    return seen == kNoId ? kOverflowId : seen;
}

/// user_namespaces(7), "Capabilities": those in one's own namespace count over its descendants, and who made a namespace has all over it.
bool Kernel::capable(const Credentials& who, u32 target, Capability capability) const {
    for (u32 at = target;; at = user_namespaces[at].parent) {
        if (at == who.user_namespace) return who.effective & bit(capability);
        if (user_namespaces[at].level <= user_namespaces[who.user_namespace].level) return false;
        if (user_namespaces[at].parent == who.user_namespace && user_namespaces[at].owner_uid == who.euid) return true;
    }
}

} // namespace trapeze::container
