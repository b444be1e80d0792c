// Making, removing and renaming names, and where a task stands: mkdir(2), mknod(2), link(2), unlink(2), rename(2), chdir(2), chroot(2).
#include "container-sim/abi.hpp"
#include "container-sim/lookups.hpp"
#include "container-sim/file_operations.hpp"
#include "container-sim/fs/types.hpp"

#include <algorithm>

namespace trapeze::container {

/// A new name for something. 0 or an errno.
i64 Call::make_node(i32 base, unsigned path_at, const NewNode& node) const {
    std::string path;
    if (const i64 length = path_arg(path_at, path); length < 0) return length;
    const Found found = find(base, path, kParent);
    const i64 made = with_room([&] { return kernel.vfs.create(viewer(), found, node); });
    if (made > 0) kernel.tell_name(found.directory.dentry, kernel.vfs.dentries.get(static_cast<u32>(made)).inode, found.name, watch::kCreate);
    tidy();
    return made == -kEACCES && (node.mode & mode::kType) == mode::kFile && !found.error ? -kEEXIST : std::min<i64>(0, made);
}

Attempt Call::mkdirat() const {
    return make_node(int_arg(0), 1, {mode::kDirectory | (static_cast<u32>(arg(2)) & 01777 & ~kernel.context_of(task()).umask), 0, {}});
}

Attempt Call::mknodat() const {
    u32 kind = static_cast<u32>(arg(2)) & mode::kType;
    if (kind == 0) kind = mode::kFile;
    if (kind == mode::kDirectory) return -kEPERM;
    if (kind != mode::kFile && kind != mode::kFifo && kind != mode::kSocket && kind != mode::kCharacter && kind != mode::kBlock) return -kEINVAL;
    const bool device = kind == mode::kCharacter || kind == mode::kBlock;
    return make_node(int_arg(0), 1, {kind | (static_cast<u32>(arg(2)) & mode::kPermissions & ~kernel.context_of(task()).umask), device ? u64{static_cast<u32>(arg(3))} : 0, {}});
}

Attempt Call::symlinkat() const {
    std::string target;
    if (const i64 length = path_arg(0, target); length < 0) return length;
    if (target.empty()) return -kENOENT;
    return make_node(int_arg(1), 2, {mode::kSymlink | 0777, 0, target});
}

Attempt Call::unlinkat() const {
    if (arg(2) & ~kRemoveDir) return -kEINVAL;
    const Found found = find_arg(0, 1, kParent);
    const u32 inode = found.entry ? kernel.vfs.dentries.get(found.entry).inode : 0;
    const i64 error = with_room([&] { return kernel.vfs.remove(viewer(), found, arg(2) & kRemoveDir); });
    if (!error && kernel.watch_queues.size()) {
        if (!kernel.vfs.inodes.get(inode).is_directory()) kernel.tell_watchers_of(inode, watch::kAttributes, 0, "");
        kernel.tell_name(found.directory.dentry, inode, found.name, watch::kDelete);
        kernel.tell_deleted(inode);
    }
    if (!error) kernel.free_unlinked(machine, inode);
    if (!error) kernel.hold_bound_namespaces(machine), tidy();
    return error;
}

Attempt Call::linkat() const {
    constexpr u64 kFollowOld = 0x400;
    if (arg(4) & ~(kFollowOld | kEmptyPath)) return -kEINVAL;
    if (arg(4) & kEmptyPath && !asks_capable(*this, 0, Capability::DacReadSearch)) {
        std::string path; // only its opener, with the same credentials, may give a descriptor's file a name
        if (const i64 length = path_arg(1, path); length < 0) return length;
        if (path.empty()) return -kENOENT;
    }
    const Found from = find_arg(0, 1, (arg(4) & kFollowOld ? kFollow : 0) | (arg(4) & kEmptyPath ? kEmptyPathAllowed : 0));
    if (from.error) return from.error;
    const Found to = find_arg(2, 3, kParent);
    const i64 error = with_room([&] { return kernel.vfs.link(viewer(), from.location, to); });
    if (error < 0) return error;
    kernel.tell_watchers_of(from.location.inode, watch::kAttributes, 0, "");
    kernel.tell_name(to.directory.dentry, from.location.inode, to.name, watch::kCreate);
    return 0;
}

Attempt Call::renameat2() const {
    const Found from = find_arg(0, 1, kParent);
    if (from.error && !from.missing()) return arg(4) & ~u64{7} ? -kEINVAL : from.error;
    const Found to = find_arg(2, 3, kParent);
    const u32 moved = from.entry ? kernel.vfs.dentries.get(from.entry).inode : 0, replaced = to.entry ? kernel.vfs.dentries.get(to.entry).inode : 0;
    const i64 error = with_room([&] { return kernel.vfs.rename(viewer(), from, to, static_cast<u32>(arg(4))); });
    if (!error && kernel.watch_queues.size() && moved != replaced) {
        ++kernel.move_cookie;
        kernel.tell_name(from.directory.dentry, moved, from.name, watch::kMovedFrom, kernel.move_cookie);
        kernel.tell_name(to.directory.dentry, moved, to.name, watch::kMovedTo, kernel.move_cookie);
        if (replaced && !(arg(4) & 2)) kernel.tell_deleted(replaced);
        kernel.tell_watchers_of(moved, watch::kMoveSelf, 0, "");
    }
    if (!error && replaced && moved != replaced && !(arg(4) & 2)) kernel.free_unlinked(machine, replaced);
    if (!error) kernel.hold_bound_namespaces(machine), tidy();
    return error;
}

Attempt Call::getcwd() const {
    const Location cwd = kernel.context_of(task()).cwd;
    if (kernel.vfs.dentries.get(cwd.dentry).unhashed) return -kENOENT;
    bool unreachable = false;
    std::string path = kernel.vfs.path_of(viewer(), cwd, &unreachable);
    if (unreachable) path.insert(0, "(unreachable)");
    if (path.size() + 1 > kMaxPathBytes) return -kENAMETOOLONG;
    if (arg(1) < path.size() + 1) return -kERANGE;
    return kernel.copy_out(machine, task(), arg(0), std::span(reinterpret_cast<const u8*>(path.c_str()), path.size() + 1)) ? Attempt(static_cast<i64>(path.size() + 1)) : Attempt(-kEFAULT);
}

/// Where a task may go: into a directory that it may search.
i64 Call::enterable(Location at) const {
    if (!kernel.vfs.is_directory(at)) return -kENOTDIR;
    return kernel.vfs.permission(viewer(), at, mode::kExecute);
}

Attempt Call::chdir() const {
    const Found found = find_arg(6, 0, kFollow);
    if (found.error) return found.error;
    if (const i64 error = enterable(found.location)) return error;
    kernel.context_of(task()).cwd = found.location;
    return 0;
}

Attempt Call::fchdir() const {
    const OpenFile* file = kernel.any_file_of(task(), fd_arg(0));
    if (!file) return -kEBADF;
    if (!file->location.dentry) return -kENOTDIR;
    const Location at = file->location;
    if (const i64 error = enterable(at)) return error;
    kernel.context_of(task()).cwd = at;
    return 0;
}

Attempt Call::chroot() const {
    const Found found = find_arg(6, 0, kFollow);
    if (found.error) return found.error;
    if (const i64 error = enterable(found.location)) return error;
    if (!has(Capability::SysChroot)) return -kEPERM;
    kernel.context_of(task()).root = found.location;
    return 0;
}

} // namespace trapeze::container
