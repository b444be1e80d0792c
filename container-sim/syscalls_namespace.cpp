// System calls on namespaces: unshare(2), setns(2), and the id maps of user namespaces (user_namespaces(7)).
#include "container-sim/abi.hpp"
#include "container-sim/lookups.hpp"
#include "container-sim/file_operations.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace trapeze::container {

namespace {
constexpr NamespaceKind kAllKinds[] = {
#define NAMESPACE(kind, name, flag, first) NamespaceKind::kind,
#include "container-sim/namespaces.def"
};
constexpr u64 all_namespace_flags() {
    u64 flags = 0;
    for (NamespaceKind kind : kAllKinds) flags |= namespace_flag(kind);
    return flags;
}
} // namespace

/// A new user namespace for `target`, in which it has all capabilities; its owner is who it was before.
i64 Call::enter_new_user_namespace(Task& target) const {
    Credentials& own = target.credentials;
    const u32 parent = own.user_namespace;
    if (kernel.user_namespaces[parent].level + 1 > kMaxUserLevels || kernel.user_namespaces.size() >= kMaxNamespaces) return -kENOSPC;
    const FileSystemContext& context = kernel.context_of(task());
    if (!(context.root == kernel.vfs.namespace_root(task().namespaces.mnt))) return -kEPERM; // in a chroot
    if (kernel.uid_in(target, own.euid) == kOverflowId || kernel.gid_in(target, own.egid) == kOverflowId) return -kEPERM;
    UserNamespace made;
    made.inode = kernel.next_namespace_inode++, made.owner = parent, made.parent = parent, made.level = kernel.user_namespaces[parent].level + 1;
    made.owner_uid = own.euid, made.owner_gid = own.egid, made.setgroups_allowed = kernel.user_namespaces[parent].setgroups_allowed;
    // The new one holds its parent; the task holds the new one in place of it.
    const u32 made_index = kernel.user_namespaces.add(made);
    own.user_namespace = made_index;
    own.permitted = own.effective = own.bounding = kAllCapabilities;
    own.inheritable = own.ambient = 0, own.securebits = 0;
    return 0;
}

/// New namespaces for a task, as its flags ask; pid and (for unshare) time are for its children. With `for_child` the task is one that is
/// being born. 0 or an error.
i64 Call::new_namespaces(u32 target_index, u64 flags, bool for_child) const {
    Task& target = kernel.tasks[target_index];
    flags &= all_namespace_flags();
    if (!flags) return 0;
    if (flags & namespace_flag(NamespaceKind::User))
        if (const i64 error = enter_new_user_namespace(target)) return error;
    const u32 owner = target.credentials.user_namespace;
    const u64 others = flags & ~namespace_flag(NamespaceKind::User);
    if (others && !kernel.capable(target, owner, Capability::SysAdmin)) {
        lookup("new namespaces: refused, CAP_SYS_ADMIN over user namespace {} is missing", kernel.namespace_inode(NamespaceKind::User, owner));
        return -kEPERM;
    }
    // Once its children go elsewhere, a task makes no further pid namespace (pid_namespaces(7)).
    if (flags & namespace_flag(NamespaceKind::Pid)) {
        if (target.pid_namespace_of_children != target.namespaces.pid) return -kEINVAL;
        if (kernel.pid_namespaces[target.pid_namespace_of_children].level + 1 > kMaxPidLevels) return -kENOSPC;
    }
    const auto replace = [&](NamespaceKind kind, u32& index, u32 from) {
        const u32 made = kernel.make_namespace(kind, from, owner);
        kernel.release_namespace(machine, kind, index);
        index = made;
    };
    for (NamespaceKind kind : kAllKinds) {
        if (!(others & namespace_flag(kind))) continue;
        if (kernel.namespaces_of_kind(kind) >= kMaxNamespaces) return -kENOSPC;
        switch (kind) {
        case NamespaceKind::Pid: replace(kind, target.pid_namespace_of_children, target.pid_namespace_of_children); break;
        case NamespaceKind::Time: replace(kind, target.time_namespace_of_children, target.namespaces.time); break;
        case NamespaceKind::Uts: replace(kind, target.namespaces.uts, target.namespaces.uts); break;
        case NamespaceKind::Ipc: replace(kind, target.namespaces.ipc, target.namespaces.ipc); break;
        case NamespaceKind::Net: replace(kind, target.namespaces.net, target.namespaces.net); break;
        case NamespaceKind::Cgroup: replace(kind, target.namespaces.cgroup, task().cgroup); break;
        case NamespaceKind::Mnt: {
            const u32 from = target.namespaces.mnt, made = kernel.make_namespace(kind, from, owner);
            FileSystemContext& context = kernel.context_of(target);
            if (const i64 error = kernel.vfs.copy_namespace(made, from, owner, {&context.root, &context.cwd})) return kernel.release_namespace(machine, kind, made), error;
            kernel.release_namespace(machine, kind, std::exchange(target.namespaces.mnt, made));
            break;
        }
        default: break;
        }
    }
    if (for_child && flags & namespace_flag(NamespaceKind::Time)) {
        kernel.use_namespace(NamespaceKind::Time, target.time_namespace_of_children);
        kernel.release_namespace(machine, NamespaceKind::Time, target.namespaces.time);
        target.namespaces.time = target.time_namespace_of_children;
    }
    return 0;
}

void Call::unshare_descriptors() const {
    if (kernel.descriptor_tables.users(task().descriptors) == 1) return;
    const u32 own = kernel.copy_descriptors(task().descriptors);
    kernel.release_descriptors(machine, std::exchange(task().descriptors, own));
}
void Call::unshare_context() const {
    if (kernel.contexts.users(task().context) == 1) return;
    const u32 own = kernel.contexts.add(FileSystemContext(kernel.context_of(task())));
    kernel.contexts.release(std::exchange(task().context, own));
}

Attempt Call::unshare() const {
    constexpr u64 kOfThreads = kCloneVm | kCloneSighand | kCloneThread;
    u64 flags = arg(0);
    if (flags & ~(all_namespace_flags() | kCloneFs | kCloneFiles | kCloneSysvsem | kOfThreads)) return -kEINVAL;
    if (flags & namespace_flag(NamespaceKind::User)) flags |= kCloneThread | kCloneFs;
    if (flags & namespace_flag(NamespaceKind::Mnt)) flags |= kCloneFs;
    const bool threaded = kernel.process_of(task()).threads.size() > 1;
    if (flags & kOfThreads && threaded) return -kEINVAL;
    if (flags & namespace_flag(NamespaceKind::Pid) && task().pid_namespace_of_children != task().namespaces.pid) return -kEINVAL;
    if (flags & kCloneFs) unshare_context(); // its own before places in it move to another namespace's mounts
    if (const i64 error = new_namespaces(index, flags, false)) return error;
    if (flags & (kCloneSysvsem | namespace_flag(NamespaceKind::Ipc))) kernel.release_undo(machine, std::exchange(task().semaphore_undo, 0));
    if (flags & kCloneFiles) unshare_descriptors();
    return 0;
}

// --- setns ------------------------------------------------------------------------------------------------------------------------

/// Whether the caller may enter it, and that it is possible at all (setns(2), ERRORS).
i64 Call::check_entry(NamespaceKind kind, u32 target) const {
    const bool threaded = kernel.process_of(task()).threads.size() > 1;
    const auto needs = [&](u32 owner, Capability capability) { return asks_capable(*this, owner, capability); };
    const u32 own_user = task().credentials.user_namespace;
    if (kind == NamespaceKind::User) {
        if (target == own_user) return -kEINVAL;
        if (threaded || kernel.contexts.users(task().context) > 1) return -kEINVAL;
        return needs(target, Capability::SysAdmin) ? 0 : -kEPERM;
    }
    const u32 owner = kernel.namespace_head(kind, target).owner;
    if (kind == NamespaceKind::Pid) {
        if (!needs(owner, Capability::SysAdmin) || !needs(own_user, Capability::SysAdmin)) return -kEPERM;
        return kernel.namespace_within(target, task().namespaces.pid) ? 0 : -kEINVAL; // never to an ancestor
    }
    if (kind == NamespaceKind::Time && threaded) return -kEUSERS;
    if (kind == NamespaceKind::Mnt) {
        if (!needs(owner, Capability::SysAdmin) || !needs(own_user, Capability::SysChroot) || !needs(own_user, Capability::SysAdmin)) return -kEPERM;
        return kernel.contexts.users(task().context) > 1 ? -kEINVAL : 0;
    }
    return needs(owner, Capability::SysAdmin) && needs(own_user, Capability::SysAdmin) ? 0 : -kEPERM;
}

void Call::enter(NamespaceKind kind, u32 target) const {
    Task& own = task();
    kernel.use_namespace(kind, target);
    const auto put = [&](u32& slot) { kernel.release_namespace(machine, kind, std::exchange(slot, target)); };
    switch (kind) {
    case NamespaceKind::User:
        put(own.credentials.user_namespace);
        own.credentials.permitted = own.credentials.effective = own.credentials.bounding = kAllCapabilities;
        own.credentials.inheritable = own.credentials.ambient = 0, own.credentials.securebits = 0;
        break;
    case NamespaceKind::Pid: put(own.pid_namespace_of_children); break;
    case NamespaceKind::Uts: put(own.namespaces.uts); break;
    case NamespaceKind::Ipc:
        kernel.release_undo(machine, std::exchange(own.semaphore_undo, 0)); // what it has to undo is in the old one
        put(own.namespaces.ipc);
        break;
    case NamespaceKind::Net: put(own.namespaces.net); break;
    case NamespaceKind::Cgroup: put(own.namespaces.cgroup); break;
    case NamespaceKind::Time:
        put(own.namespaces.time);
        kernel.use_namespace(kind, target);
        kernel.release_namespace(machine, kind, std::exchange(own.time_namespace_of_children, target));
        break;
    default: {
        put(own.namespaces.mnt);
        FileSystemContext& context = kernel.context_of(own);
        context.root = context.cwd = kernel.vfs.namespace_root(target);
        break;
    }
    }
    lookup("setns: enters {} namespace {}", namespace_name(kind), kernel.namespace_inode(kind, target));
}

Attempt Call::setns() const {
    const OpenFile* file = kernel.file_of(task(), fd_arg(0));
    if (!file) return -kEBADF;
    if (file->kind == FileKind::Namespace) {
        const auto kind = static_cast<NamespaceKind>(file->offset);
        const u32 target = file->object;
        if (arg(1) && arg(1) != namespace_flag(kind)) return -kEINVAL;
        if (const i64 error = check_entry(kind, target)) return error;
        return enter(kind, target), 0;
    }
    u32 process = 0;
    if (file->kind != FileKind::Pid) return -kEINVAL;
    if (!arg(1) || arg(1) & ~all_namespace_flags()) return -kEINVAL;
    if (const i64 error = process_behind(fd_arg(0), process)) return error;
    if (kernel.processes[process].zombie) return -kESRCH;
    const u32 leader = kernel.processes[process].leader;
    // Its user namespace first, so that what it owns may be entered; all are checked before one is.
    const Credentials before = task().credentials;
    std::vector<std::pair<NamespaceKind, u32>> wanted;
    if (arg(1) & namespace_flag(NamespaceKind::User)) wanted.push_back({NamespaceKind::User, kernel.tasks[leader].credentials.user_namespace});
    for (NamespaceKind kind : kAllKinds)
        if (kind != NamespaceKind::User && arg(1) & namespace_flag(kind)) wanted.push_back({kind, kernel.namespace_of(kernel.tasks[leader], kind)});
    for (const auto& [kind, target] : wanted) {
        if (const i64 error = check_entry(kind, target)) return task().credentials = before, error;
        if (kind == NamespaceKind::User) task().credentials.user_namespace = target, task().credentials.effective = kAllCapabilities;
    }
    task().credentials = before;
    for (const auto& [kind, target] : wanted) enter(kind, target);
    return 0;
}

// --- Id maps: what is written to /proc/PID/uid_map, gid_map, setgroups --------------------------------------------------------------

/// `text` as lines "inside outside count" becomes the map of `target`. `writer` has the file open. 0 or an error (user_namespaces(7)).
i64 Kernel::write_id_map(const Task& writer, u32 target, bool groups, const std::string& text) {
    UserNamespace& own = user_namespaces[target];
    std::vector<IdRange>& map = groups ? own.gids : own.uids;
    if (target == 0 || !map.empty()) return -kEPERM; // once
    if (!capable(writer, target, Capability::SysAdmin)) return -kEPERM;
    if (writer.credentials.user_namespace != target && writer.credentials.user_namespace != own.parent) return -kEPERM;
    std::vector<IdRange> ranges;
    if (const i64 error = parse_id_map(text, ranges)) return error;
    const UserNamespace& parent = user_namespaces[own.parent];
    const u32 euid = writer.credentials.euid, egid = writer.credentials.egid;
    const bool privileged = capable(writer, own.parent, groups ? Capability::Setgid : Capability::Setuid) && capable(writer.credentials, own.parent, groups ? Capability::Setgid : Capability::Setuid);
    const bool single = ranges.size() == 1 && ranges[0].count == 1;
    const u32 mapped = single ? map_into_kernel(groups ? parent.gids : parent.uids, ranges[0].outside) : kNoId;
    const bool own_id = single && euid == own.owner_uid && (groups ? mapped == egid && !own.setgroups_allowed : mapped == euid);
    if (!privileged && !own_id) return -kEPERM;
    for (IdRange& range : ranges) {
        const u32 first = map_into_kernel(groups ? parent.gids : parent.uids, range.outside), last = map_into_kernel(groups ? parent.gids : parent.uids, range.outside + (range.count - 1));
        if (first == kNoId || last == kNoId || last - first != range.count - 1) return -kEPERM;
        range.outside = first;
    }
    map = std::move(ranges);
    return 0;
}

i64 Kernel::parse_id_map(const std::string& text, std::vector<IdRange>& ranges) const {
    if (text.size() >= kPageSize) return -kEINVAL;
    for (std::size_t begin = 0; begin < text.size();) {
        const std::size_t end = std::min(text.find('\n', begin), text.size());
        const std::string line = text.substr(begin, end - begin);
        begin = end + 1;
        unsigned long long values[3]{};
        char extra = 0;
        if (std::sscanf(line.c_str(), "%llu %llu %llu %c", &values[0], &values[1], &values[2], &extra) != 3) return -kEINVAL;
        if (values[0] > kNoId || values[1] > kNoId || values[2] > kNoId || !values[2]) return -kEINVAL;
        const IdRange range{static_cast<u32>(values[0]), static_cast<u32>(values[1]), static_cast<u32>(values[2])};
        if (range.inside == kNoId || range.outside == kNoId || range.inside + range.count < range.inside || range.outside + range.count < range.outside) return -kEINVAL;
        for (const IdRange& other : ranges) {
            const bool apart = (range.inside >= other.inside + other.count || other.inside >= range.inside + range.count) &&
                               (range.outside >= other.outside + other.count || other.outside >= range.outside + range.count);
            if (!apart) return -kEINVAL;
        }
        if (ranges.size() == kMaxIdRanges) return -kEINVAL;
        ranges.push_back(range);
    }
    return ranges.empty() ? -kEINVAL : 0;
}

/// "deny" before gid_map is written keeps setgroups(2) away; "allow" cannot follow it.
i64 Kernel::write_setgroups(const Task& writer, u32 target, const std::string& text) {
    UserNamespace& own = user_namespaces[target];
    const std::string word = text.substr(0, text.find_last_not_of(" \n\t") + 1);
    if (!capable(writer, target, Capability::SysAdmin)) return -kEACCES;
    if (word != "allow" && word != "deny") return -kEINVAL;
    if (word == "allow") return own.setgroups_allowed ? 0 : -kEPERM;
    if (!own.gids.empty()) return -kEPERM;
    own.setgroups_allowed = false;
    return 0;
}

} // namespace trapeze::container
