// Who may do what with an inode: the mode's bits, and the capabilities that go beyond them (path_resolution(7), capabilities(7)).
#include "container-sim/fs/vfs.hpp"

namespace trapeze::container {

bool Viewer::capable_over(const Inode& inode, Capability capability) const { return maps(inode) && capable(credentials->user_namespace, capability); }

i64 Vfs::permission(const Viewer& viewer, u32 index, u32 wanted) const {
    const Inode& inode = inodes.get(index);
    if (wanted & mode::kWrite && supers.get(inode.super).read_only && (inode.is_file() || inode.is_directory() || inode.is_symlink())) return -kEROFS;
    if (!wanted) return 0;
    const Credentials& who = *viewer.credentials;
    const u32 bits = who.fsuid == inode.uid ? inode.mode >> 6 : who.in_group(inode.gid) ? inode.mode >> 3 : inode.mode;
    if (!(wanted & ~bits & 7)) return 0;
    if (inode.is_directory()) {
        if (!(wanted & mode::kWrite) && viewer.capable_over(inode, Capability::DacReadSearch)) return 0;
        return viewer.capable_over(inode, Capability::DacOverride) ? 0 : -kEACCES;
    }
    if (wanted == mode::kRead && viewer.capable_over(inode, Capability::DacReadSearch)) return 0;
    if ((!(wanted & mode::kExecute) || inode.mode & 0111) && viewer.capable_over(inode, Capability::DacOverride)) return 0;
    return -kEACCES;
}

i64 Vfs::want_write(u32 mount) const {
    const auto found = mounts.find(mount);
    if (found == mounts.end()) return 0;
    return found->second.flags & mount_flag::kReadOnly || supers.get(found->second.super).read_only ? -kEROFS : 0;
}

i64 Vfs::may_create(const Viewer& viewer, u32 directory) const {
    if (dentries.get(directory).unhashed) return -kENOENT;
    return permission(viewer, dentries.get(directory).inode, mode::kWrite | mode::kExecute);
}

/// In a sticky directory only the owner of a file, or of the directory, takes its name away.
i64 Vfs::may_delete(const Viewer& viewer, u32 directory, u32 dentry, bool want_directory) const {
    const Inode& above = inode_of(directory);
    const Inode& victim = inode_of(dentry);
    if (const i64 error = permission(viewer, dentries.get(directory).inode, mode::kWrite | mode::kExecute)) return error;
    const u32 fsuid = viewer.credentials->fsuid;
    if (above.mode & mode::kSticky && victim.uid != fsuid && above.uid != fsuid && !viewer.capable_over(victim, Capability::Fowner)) return -kEPERM;
    if (want_directory && !victim.is_directory()) return -kENOTDIR;
    if (want_directory && dentries.get(dentry).parent == dentry) return -kEBUSY;
    if (!want_directory && victim.is_directory()) return -kEISDIR;
    return dentries.get(directory).unhashed ? -kENOENT : 0;
}

bool Vfs::owner_or_capable(const Viewer& viewer, u32 index) const {
    const Inode& inode = inodes.get(index);
    return viewer.credentials->fsuid == inode.uid || viewer.capable_over(inode, Capability::Fowner);
}

i64 Vfs::may_open(const Viewer& viewer, Location at, u32 wanted, u64 flags) const {
    constexpr u64 kAccessMode = 3, kNoAtime = 01000000, kTruncateFile = 01000;
    const Inode& inode = inodes.get(at.inode);
    const auto mount = mounts.find(at.mount);
    const u32 mount_flags = mount == mounts.end() ? 0 : mount->second.flags;
    if (inode.is_symlink()) return -kELOOP;
    if (inode.is_directory() && wanted & mode::kWrite) return -kEISDIR;
    if ((inode.is(mode::kCharacter) || inode.is(mode::kBlock)) && (mount_flags & mount_flag::kNoDev || supers.get(inode.super).no_devices)) return -kEACCES;
    if (wanted & mode::kExecute && inode.is_file() && (mount_flags & mount_flag::kNoExec || supers.get(inode.super).no_execute)) return -kEACCES;
    if (const i64 error = permission(viewer, at, wanted)) return error;
    if ((inode.is_file() || inode.is_directory()) && (wanted & mode::kWrite || flags & kTruncateFile) && flags & (kAccessMode | kTruncateFile))
        if (const i64 error = want_write(at.mount)) return error;
    if (flags & kNoAtime && !owner_or_capable(viewer, at.inode)) return -kEPERM;
    return 0;
}

} // namespace trapeze::container
