// Changing what is known about an inode: mode, owner, times, length, extended attributes (inode(7), xattr(7)).
#include "container-sim/fs/vfs.hpp"

#include <algorithm>

namespace trapeze::container {

i64 Vfs::copy_up(const Viewer& viewer, Location at) {
    const FileSystemType& row = type_of(at.inode);
    return row.copy_up ? row.copy_up(*this, viewer, at.dentry) : 0;
}

i64 Vfs::change_mode(const Viewer& viewer, Location at, u32 permissions) {
    if (const i64 error = want_write(at.mount)) return error;
    if (inodes.get(at.inode).is_symlink()) return -kEOPNOTSUPP;
    if (!owner_or_capable(viewer, at.inode)) return -kEPERM;
    if (const i64 error = copy_up(viewer, at)) return error;
    Inode& inode = inodes.edit(at.inode);
    permissions &= mode::kPermissions;
    if (!viewer.credentials->in_group(inode.gid) && !viewer.capable_over(inode, Capability::Fsetid)) permissions &= ~mode::kSetGid;
    inode.mode = (inode.mode & mode::kType) | permissions;
    inode.times.changed = viewer.now;
    mirror_to_layer(at.inode);
    return 0;
}

i64 Vfs::change_owner(const Viewer& viewer, Location at, u32 uid, u32 gid) {
    if (const i64 error = want_write(at.mount)) return error;
    const Inode& before = inodes.get(at.inode);
    const Credentials& who = *viewer.credentials;
    const bool owner = who.fsuid == before.uid, may = viewer.capable_over(before, Capability::Chown);
    if (uid != kNoId && !(owner && uid == before.uid) && !may) return -kEPERM;
    if (gid != kNoId && !(owner && (gid == before.gid || who.in_group(gid))) && !may) return -kEPERM;
    if (const i64 error = copy_up(viewer, at)) return error;
    Inode& inode = inodes.edit(at.inode);
    if (uid != kNoId) inode.uid = uid;
    if (gid != kNoId) inode.gid = gid;
    if (!inode.is_directory()) { // whoever they were for is another now
        inode.mode &= ~mode::kSetUid;
        if (inode.mode & mode::kGroupExecute) inode.mode &= ~mode::kSetGid;
        inode.attributes.erase("security.capability");
    }
    inode.times.changed = viewer.now;
    mirror_to_layer(at.inode);
    return 0;
}

i64 Vfs::change_times(const Viewer& viewer, Location at, std::optional<u64> accessed, std::optional<u64> modified, bool touch) {
    if (const i64 error = want_write(at.mount)) return error;
    if (!owner_or_capable(viewer, at.inode)) {
        if (!touch) return -kEPERM;
        if (const i64 error = permission(viewer, at, mode::kWrite)) return error;
    }
    if (const i64 error = copy_up(viewer, at)) return error;
    Inode& inode = inodes.edit(at.inode);
    if (accessed) inode.times.accessed = *accessed;
    if (modified) inode.times.modified = *modified;
    inode.times.changed = viewer.now;
    mirror_to_layer(at.inode);
    return 0;
}

/// truncate(2): the permissions have been checked (a descriptor may write although the file's mode does not let it any more).
i64 Vfs::truncate(const Viewer& viewer, Location at, u64 size) {
    if (const i64 error = copy_up(viewer, at)) return error;
    if (const i64 error = resize_data(at.inode, size, viewer.now)) return error;
    drop_privilege_bits(viewer, at.inode);
    return 0;
}

void Vfs::drop_privilege_bits(const Viewer& viewer, u32 index) {
    const Inode& inode = inodes.get(index);
    const bool set_gid = (inode.mode & (mode::kSetGid | mode::kGroupExecute)) == (mode::kSetGid | mode::kGroupExecute);
    const bool has_capability = inode.attributes.contains("security.capability");
    if (!inode.is_file() || (!(inode.mode & mode::kSetUid) && !set_gid && !has_capability)) return;
    if (has_capability) inodes.edit(index).attributes.erase("security.capability");
    if (!viewer.capable(0, Capability::Fsetid)) inodes.edit(index).mode &= ~(mode::kSetUid | (set_gid ? mode::kSetGid : 0));
    mirror_to_layer(index);
}

/// relatime: reading moves the access time when it is not newer than a change, or a day old.
void Vfs::touch_read(Location at, u64 now) {
    constexpr u64 kDay = u64{86400} * 1'000'000'000;
    const auto mount = mounts.find(at.mount);
    const u32 flags = mount == mounts.end() ? 0 : mount->second.flags;
    const Inode& inode = inodes.get(at.inode);
    const Times& times = inode.times;
    if (flags & (mount_flag::kNoAtime | mount_flag::kReadOnly) || supers.get(inode.super).read_only) return;
    if (inode.is_directory() && flags & mount_flag::kNoDirAtime) return;
    if (!(flags & mount_flag::kStrictAtime) && times.accessed > times.modified && times.accessed > times.changed && now < times.accessed + kDay) return;
    if (times.accessed != now) inodes.edit(at.inode).times.accessed = now;
}

// --- Extended attributes -------------------------------------------------------------------------------------------------------

namespace {
constexpr std::size_t kMaxValue = 65536, kMaxAll = 1 << 20;
constexpr u32 kCreate = 1, kReplace = 2;

bool keeps_attributes(const FileSystemType& type) {
    const std::string_view name = type.name;
    return name == "tmpfs" || name == "rootfs" || name == "host" || name == "overlay" || name == "devtmpfs" || name == "ramfs";
}
} // namespace

/// May this attribute be read, or changed, by name? xattr_permission of Linux: trusted.* is not even seen without CAP_SYS_ADMIN.
i64 Vfs::attribute_permission(const Viewer& viewer, Location at, const std::string& name, bool write) const {
    const Inode& inode = inodes.get(at.inode);
    if (write)
        if (const i64 error = want_write(at.mount)) return error;
    if (name.empty() || name.size() > 255) return -kERANGE;
    if (name.starts_with("trusted.")) return viewer.capable(0, Capability::SysAdmin) ? 0 : write ? -kEPERM : -kENODATA;
    if (name.starts_with("security.")) {
        if (!write) return 0;
        if (name == "security.capability") return viewer.capable_over(inode, Capability::Setfcap) ? 0 : -kEPERM;
        return viewer.capable(supers.get(inode.super).owner, Capability::SysAdmin) ? 0 : -kEPERM;
    }
    if (!name.starts_with("user.")) return -kEOPNOTSUPP;
    if (!inode.is_file() && !inode.is_directory()) return write ? -kEPERM : -kENODATA;
    if (inode.is_directory() && inode.mode & mode::kSticky && write && !owner_or_capable(viewer, at.inode)) return -kEPERM;
    return permission(viewer, at, write ? mode::kWrite : mode::kRead);
}

i64 Vfs::set_attribute(const Viewer& viewer, Location at, const std::string& name, const std::string& value, u32 flags) {
    if (flags & ~(kCreate | kReplace)) return -kEINVAL;
    if (value.size() > kMaxValue) return -kE2BIG;
    if (const i64 error = attribute_permission(viewer, at, name, true)) return error;
    if (!keeps_attributes(type_of(at.inode)) || name == "user." || name == "trusted." || name == "security.") return -kEOPNOTSUPP;
    if (const i64 error = copy_up(viewer, at)) return error;
    const auto& there = inodes.get(at.inode).attributes;
    if (flags & kCreate && there.contains(name)) return -kEEXIST;
    if (flags & kReplace && !there.contains(name)) return -kENODATA;
    std::size_t bytes = name.size() + value.size();
    for (const auto& [key, text] : there) bytes += key.size() + text.size();
    if (bytes > kMaxAll) return -kENOSPC;
    Inode& inode = inodes.edit(at.inode);
    inode.attributes[name] = value;
    inode.times.changed = viewer.now;
    mirror_to_layer(at.inode);
    return 0;
}

i64 Vfs::get_attribute(const Viewer& viewer, Location at, const std::string& name, std::string& out) {
    if (const i64 error = attribute_permission(viewer, at, name, false)) return error;
    if (!keeps_attributes(type_of(at.inode))) return -kEOPNOTSUPP;
    const auto& there = inodes.get(at.inode).attributes;
    const auto found = there.find(name);
    if (found == there.end()) return -kENODATA;
    out = found->second;
    return static_cast<i64>(out.size());
}

i64 Vfs::list_attributes(const Viewer& viewer, Location at, std::string& out) {
    const bool trusted = viewer.capable(0, Capability::SysAdmin);
    for (const auto& [name, value] : inodes.get(at.inode).attributes)
        if (trusted || !name.starts_with("trusted.")) out += name + '\0';
    return static_cast<i64>(out.size());
}

i64 Vfs::remove_attribute(const Viewer& viewer, Location at, const std::string& name) {
    if (const i64 error = attribute_permission(viewer, at, name, true)) return error;
    if (!keeps_attributes(type_of(at.inode))) return -kEOPNOTSUPP;
    if (!inodes.get(at.inode).attributes.contains(name)) return -kENODATA;
    if (const i64 error = copy_up(viewer, at)) return error;
    Inode& inode = inodes.edit(at.inode);
    inode.attributes.erase(name);
    inode.times.changed = viewer.now;
    mirror_to_layer(at.inode);
    return 0;
}

} // namespace trapeze::container
