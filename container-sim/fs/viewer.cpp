// What the file system asks of the kernel about who looks.
#include "container-sim/fs/proc.hpp"
#include "container-sim/lookups.hpp"

namespace trapeze::container {

bool Viewer::capable(u32 user_namespace, Capability capability) const {
    if (kernel) {
        const bool granted = kernel->capable(*credentials, user_namespace, capability);
        tell_capable(*this, user_namespace, capability, granted);
        return granted;
    }
    return credentials->user_namespace == 0 && credentials->effective & bit(capability);
}

bool Viewer::maps(const Inode& inode) const {
    if (!kernel || !credentials->user_namespace) return true;
    const UserNamespace& own = kernel->user_namespaces[credentials->user_namespace];
    return map_out_of_kernel(own.uids, inode.uid) != kNoId && map_out_of_kernel(own.gids, inode.gid) != kNoId;
}

bool Viewer::maps_own(u32 user_namespace) const {
    if (!kernel || !user_namespace) return true;
    const UserNamespace& other = kernel->user_namespaces[user_namespace];
    return map_out_of_kernel(other.uids, credentials->fsuid) != kNoId && map_out_of_kernel(other.gids, credentials->fsgid) != kNoId;
}

u32 Viewer::kernel_id(u32 seen, bool group) const {
    if (!kernel) return seen;
    const UserNamespace& own = kernel->user_namespaces[credentials->user_namespace];
    return map_into_kernel(group ? own.gids : own.uids, seen);
}

u32 Viewer::seen_id(u32 kernel_id, bool group) const {
    if (!kernel) return kernel_id;
    const UserNamespace& own = kernel->user_namespaces[credentials->user_namespace];
    const u32 seen = map_out_of_kernel(group ? own.gids : own.uids, kernel_id);
    return seen == kNoId ? kOverflowId : seen;
}

u32 Viewer::net_namespace() const { return kernel ? kernel->tasks[task].namespaces.net : 0; }
u32 Viewer::pid_namespace() const { return kernel ? kernel->tasks[task].namespaces.pid : 0; }
bool Viewer::may_mount_sysfs() const { return !kernel || capable(kernel->namespace_head(NamespaceKind::Net, net_namespace()).owner, Capability::SysAdmin); }
bool Viewer::may_mount_proc() const { return !kernel || capable(kernel->namespace_head(NamespaceKind::Pid, pid_namespace()).owner, Capability::SysAdmin); }
u64 Viewer::memory_bytes() const { return machine ? machine->ram.size() : 0; }
void Viewer::note(EventKind kind, const std::string& text) const {
    if (kernel && machine) kernel->event(*machine, kind, kernel->tasks[task], text);
}

} // namespace trapeze::container
