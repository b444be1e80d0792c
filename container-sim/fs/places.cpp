// What tasks have to do with the file system: who looks, what is in use, and giving back what is not.
#include "container-sim/abi.hpp"
#include "container-sim/fs/proc.hpp"
#include "container-sim/lookups.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace trapeze::container {

Viewer Kernel::viewer_of(Machine& machine, u32 task) {
    Viewer viewer;
    const Task& who = tasks[task];
    viewer.kernel = this, viewer.machine = &machine, viewer.task = task, viewer.credentials = &who.credentials;
    viewer.root = context_of(who).root, viewer.cwd = context_of(who).cwd, viewer.umask = context_of(who).umask;
    viewer.mount_namespace = who.namespaces.mnt;
    viewer.now = wall_clock(machine);
    return viewer;
}
u64 Kernel::wall_clock(const Machine& machine) const { return kEpochSeconds * 1'000'000'000 + machine.cycles() * kNanosecondsPerCycle; }

/// Does anybody stand in a mount, run a program from it or have a file of it open?
bool Kernel::mount_in_use(u32 mount) const {
    for (u32 i = 0; i < contexts.end(); ++i)
        if (contexts.contains(i) && (contexts[i].root.mount == mount || contexts[i].cwd.mount == mount)) return true;
    for (u32 i = 0; i < files.end(); ++i)
        if (files.contains(i) && files[i].location.mount == mount) return true;
    return std::any_of(processes.begin(), processes.end(), [&](const Process& process) { return process.used && !process.zombie && process.program.mount == mount; });
}

/// A file of the mount, or of its file system (`whole`), is open for writing.
bool Kernel::has_writers(u32 mount, bool whole) const {
    const u32 super = vfs.mounts.at(mount).super;
    for (u32 i = 0; i < files.end(); ++i) {
        if (!files.contains(i) || !files[i].location.dentry || !(files[i].flags & 3) || files[i].flags & 010000000) continue;
        const Inode& inode = vfs.inodes.get(files[i].location.inode);
        if (inode.is_file() && (whole ? inode.super == super : files[i].location.mount == mount)) return true;
    }
    return false;
}

/// Frees what has neither name nor user any more. True: something was freed.
bool Kernel::sweep_files() {
    Vfs::Users users;
    for (u32 i = 0; i < contexts.end(); ++i)
        if (contexts.contains(i)) users.places.push_back(contexts[i].root), users.places.push_back(contexts[i].cwd);
    for (u32 i = 0; i < files.end(); ++i)
        if (files.contains(i) && files[i].location.dentry) users.places.push_back(files[i].location);
    for (const Process& process : processes)
        if (process.used && !process.zombie) users.places.push_back(process.program), users.inodes.push_back(process.executable_inode);
    for (u32 i = 0; i < spaces.end(); ++i)
        if (spaces.contains(i))
            for (const auto& [begin, vma] : spaces[i].vmas)
                if (vma.inode) users.inodes.push_back(vma.inode);
    for (u32 i = 0; i < watch_queues.end(); ++i)
        if (watch_queues.contains(i))
            for (const auto& [number, watched] : watch_queues[i].watches) users.inodes.push_back(watched.inode);
    for (u32 i = 0; i < ipc_namespaces.end(); ++i)
        if (ipc_namespaces.contains(i) && ipc_namespaces[i].queue_mount) users.mounts.push_back(ipc_namespaces[i].queue_mount);
    const std::vector<u32> freed = vfs.sweep(users);
    for (u32 inode : freed) forget_pages(inode), drop_queue(inode);
    return !freed.empty();
}

/// A namespace lives while a file of it is mounted somewhere (ip netns).
void Kernel::hold_bound_namespaces(Machine& machine) {
    std::set<std::pair<u32, u32>> bound;
    for (u32 mount : vfs.bound_namespaces) {
        const Inode& file = vfs.inode_of(vfs.mounts.at(mount).root);
        bound.insert({file.kind, static_cast<u32>(file.key)});
    }
    if (bound == held_namespaces) return;
    const auto before = std::exchange(held_namespaces, bound);
    for (const auto& [kind, index] : bound)
        if (!before.contains({kind, index})) use_namespace(static_cast<NamespaceKind>(kind), index);
    for (const auto& [kind, index] : before)
        if (!bound.contains({kind, index})) release_namespace(machine, static_cast<NamespaceKind>(kind), index);
}

std::string Kernel::path_of(Machine& machine, u32 task, Location at) { return vfs.path_of(viewer_of(machine, task), at); }

// --- In a call ---------------------------------------------------------------------------------------------------------------------

Viewer Call::viewer() const { return kernel.viewer_of(machine, index); }

/// Where a path that does not begin with a slash is looked up.
i64 Call::base_of(i32 fd, Location& out) const {
    if (fd == kAtCwd) return out = kernel.context_of(task()).cwd, 0;
    const OpenFile* file = kernel.any_file_of(task(), static_cast<u32>(fd));
    if (!file) return -kEBADF;
    if (!file->location.dentry) return -kENOTDIR;
    return out = file->location, 0;
}

Found Call::find(i32 fd, const std::string& path, u32 flags) const {
    Location base = kernel.context_of(task()).root;
    if (path.empty() || path[0] != '/' || flags & (kBeneath | kInRoot | kNoCrossing)) {
        Found failed;
        if (!path.empty() || flags & kEmptyPathAllowed)
            if ((failed.error = base_of(fd, base))) return failed;
        if (!path.empty() && fd != kAtCwd && !kernel.vfs.is_directory(base)) return failed.error = -kENOTDIR, failed;
    }
    note_root(path);
    return kernel.vfs.walk(viewer(), base, path, flags);
}

/// The path in an argument, and where it leads from the descriptor in another.
Found Call::find_arg(unsigned fd, unsigned path_at, u32 flags) const {
    std::string path;
    Found found;
    if ((found.error = std::min<i64>(0, path_arg(path_at, path)))) return found;
    return find(fd < 6 ? int_arg(fd) : kAtCwd, path, flags);
}

/// Runs `act` again once what nobody uses has been given back, when there was no room.
i64 Call::with_room(const std::function<i64()>& act) const {
    const i64 result = act();
    if (result == -kENOSPC && kernel.vfs.garbage && kernel.sweep_files()) return act();
    return result;
}

void Call::tidy() const {
    if (kernel.vfs.wants_sweep()) kernel.sweep_files();
}

/// An absolute path in a mount namespace of its own: which root decided, and that the host would have looked elsewhere.
void Call::note_root(const std::string& path) const {
    if (!task().namespaces.mnt || path.empty() || path[0] != '/') return;
    const auto mount = kernel.vfs.mounts.find(kernel.context_of(task()).root.mount);
    if (mount == kernel.vfs.mounts.end()) return;
    lookup("path \"{}\": from the root of mnt namespace {}, which is {}; outside it is the host's {}", path, kernel.namespace_inode(NamespaceKind::Mnt, task().namespaces.mnt),
                       mount->second.source, path);
}

/// A file of /proc that a namespace decided.
void Call::note_proc(const std::string& path, Location at) const {
    if (const std::string note = proc_note(kernel.vfs, viewer(), at.inode); !note.empty()) lookup("{}: {}", path, note);
    note_cgroup(*this, path, at);
}

} // namespace trapeze::container
