// Making, removing, linking and renaming names (mknod(2), unlink(2), link(2), rename(2)), with Linux's order of checks.
#include "container-sim/fs/vfs.hpp"

#include <algorithm>

namespace trapeze::container {

namespace {
enum : u32 { kNoReplace = 1, kExchange = 2, kWhiteout = 4 };
constexpr u32 kMaxLinks = 65000;
bool is_whiteout(const NewNode& node) { return (node.mode & mode::kType) == mode::kCharacter && node.device == 0; }
} // namespace

/// A new inode under a name. The dentry, or an errno.
i64 Vfs::create(const Viewer& viewer, const Found& found, const NewNode& wanted, bool exclusive) {
    if (!found.error) return exclusive || found.last != Found::Last::Normal ? -kEEXIST : static_cast<i64>(found.entry);
    if (!found.missing()) return found.error;
    NewNode node = wanted;
    const u32 type = node.mode & mode::kType;
    if (found.slash && type != mode::kDirectory) return -kENOENT;
    if (const i64 error = want_write(found.directory.mount)) return error;
    const u32 directory = found.directory.dentry;
    if (const i64 error = may_create(viewer, directory)) return error;
    const bool device = type == mode::kCharacter || type == mode::kBlock;
    if (device && !is_whiteout(node) && !viewer.capable(0, Capability::Mknod)) return -kEPERM;
    const Inode& above = inode_of(directory);
    const Credentials& who = *viewer.credentials;
    if (!viewer.maps_own(supers.get(above.super).owner)) return -kEOVERFLOW;
    u32 gid = who.fsgid;
    if (above.mode & mode::kSetGid) {
        gid = above.gid;
        if (type == mode::kDirectory) node.mode |= mode::kSetGid;
        else if ((node.mode & (mode::kSetGid | mode::kGroupExecute)) == (mode::kSetGid | mode::kGroupExecute) && !who.in_group(gid) &&
                 !viewer.capable_over(above, Capability::Fsetid))
            node.mode &= ~mode::kSetGid;
    }
    const FileSystemType& row = type_of(found.directory.inode);
    if (row.create) return row.create(*this, viewer, directory, found.name, node);
    return add_node(directory, found.name, node, who.fsuid, gid, viewer.now);
}

/// O_TMPFILE: an inode without a name, in a directory's file system.
i64 Vfs::make_unnamed(const Viewer& viewer, Location directory, u32 permissions) {
    if (const i64 error = permission(viewer, directory, mode::kWrite | mode::kExecute)) return error;
    if (const i64 error = want_write(directory.mount)) return error;
    if (type_of(directory.inode).create) return -kEOPNOTSUPP;
    const i64 made = new_inode(inodes.get(directory.inode).super, mode::kFile | permissions, viewer.credentials->fsuid, viewer.credentials->fsgid, viewer.now);
    if (made < 0) return made;
    Inode& inode = inodes.edit(static_cast<u32>(made));
    inode.links = 0;
    const u32 dentry = new_dentry(directory.dentry, "#" + std::to_string(inode.number), static_cast<u32>(made));
    dentries.edit(dentry).unhashed = true;
    ++garbage;
    return dentry;
}

bool Vfs::is_local_mount_point(const Viewer& viewer, u32 dentry) const {
    for (auto at = covered.lower_bound({dentry, 0}); at != covered.end() && at->first.first == dentry; ++at)
        if (in_namespace(at->second, viewer.mount_namespace)) return true;
    return false;
}

/// unlink(2), or rmdir(2). What is mounted on the name in other namespaces is detached there.
i64 Vfs::remove(const Viewer& viewer, const Found& found, bool directory) {
    if (found.error && !found.missing()) return found.error;
    if (found.last != Found::Last::Normal) {
        if (!directory) return -kEISDIR;
        return found.last == Found::Last::DotDot ? -kENOTEMPTY : found.last == Found::Last::Dot ? -kEINVAL : -kEBUSY;
    }
    if (const i64 error = want_write(found.directory.mount)) return error;
    if (!found.entry) return -kENOENT;
    const u32 dentry = found.entry, inode = dentries.get(dentry).inode;
    if (!directory && found.slash) return inodes.get(inode).is_directory() ? -kEISDIR : -kENOTDIR;
    if (const i64 error = may_delete(viewer, found.directory.dentry, dentry, directory)) return error;
    const FileSystemType& row = type_of(inode);
    if (is_local_mount_point(viewer, dentry)) return -kEBUSY;
    if (row.remove) {
        const i64 error = row.remove(*this, viewer, dentry);
        if (!error) detach_from_dentry(dentry);
        return error;
    }
    if (directory && !inodes.get(inode).children.empty()) return -kENOTEMPTY;
    detach_from_dentry(dentry);
    unhash(dentry);
    Inode& gone = inodes.edit(inode);
    gone.links = directory ? 0 : gone.links - 1;
    gone.times.changed = viewer.now;
    Inode& above = inodes.edit(found.directory.inode);
    above.links -= directory;
    above.times.modified = above.times.changed = viewer.now;
    return 0;
}

i64 Vfs::link(const Viewer& viewer, Location from, const Found& to) {
    if (!to.error) return -kEEXIST;
    if (!to.missing()) return to.error;
    if (to.slash) return -kENOENT;
    if (const i64 error = want_write(to.directory.mount)) return error;
    if (from.mount != to.directory.mount) return -kEXDEV;
    const Inode& inode = inodes.get(from.inode);
    if (const i64 error = may_create(viewer, to.directory.dentry)) return error;
    if (inode.super != inodes.get(to.directory.inode).super) return -kEXDEV;
    if (inode.is_directory()) return -kEPERM;
    const bool unnamed = inode.links == 0 && dentries.get(from.dentry).name.starts_with('#'); // O_TMPFILE may be given its first name
    if (inode.links == 0 && !unnamed) return -kENOENT;
    if (inode.links >= kMaxLinks) return -kEMLINK;
    const FileSystemType& row = type_of(from.inode);
    if (row.link) return row.link(*this, viewer, from.dentry, to.directory.dentry, to.name);
    if (row.create) return -kEPERM;
    const u32 dentry = new_dentry(to.directory.dentry, to.name, from.inode);
    Inode& linked = inodes.edit(from.inode);
    ++linked.links;
    linked.times.changed = viewer.now;
    Inode& above = inodes.edit(to.directory.inode);
    above.children[to.name] = dentry;
    above.times.modified = above.times.changed = viewer.now;
    return 0;
}

bool Vfs::is_below(u32 dentry, u32 ancestor) const {
    for (; dentry != ancestor; dentry = dentries.get(dentry).parent)
        if (dentries.get(dentry).parent == dentry) return false;
    return true;
}

namespace {

/// The moves of rename(2) in a file system in memory.
i64 move_name(Vfs& vfs, const Viewer& viewer, const Renaming& move) {
    const u32 inode = vfs.dentries.get(move.dentry).inode, from = vfs.dentries.get(move.dentry).parent;
    const bool is_directory = vfs.inodes.get(inode).is_directory();
    const std::string old_name = vfs.dentries.get(move.dentry).name;
    const bool target_is_directory = move.target && vfs.inode_of(move.target).is_directory();
    if (move.target && !(move.flags & kExchange)) {
        if (target_is_directory && !vfs.inode_of(move.target).children.empty()) return -kENOTEMPTY;
        vfs.unhash(move.target);
        Inode& gone = vfs.inodes.edit(vfs.dentries.get(move.target).inode);
        gone.links = target_is_directory ? 0 : gone.links - 1;
        gone.times.changed = viewer.now;
    }
    const auto place = [&](u32 dentry, u32 directory, const std::string& name) {
        Dentry& moved = vfs.dentries.edit(dentry);
        moved.parent = directory, moved.name = name;
        vfs.inodes.edit(vfs.dentries.get(directory).inode).children[name] = dentry;
        vfs.inodes.edit(vfs.dentries.get(dentry).inode).times.changed = viewer.now;
    };
    vfs.inodes.edit(vfs.dentries.get(from).inode).children.erase(old_name);
    place(move.dentry, move.directory, move.name);
    if (move.flags & kExchange) place(move.target, from, old_name);
    Inode& source = vfs.inodes.edit(vfs.dentries.get(from).inode);
    source.links -= is_directory, source.links += move.flags & kExchange && target_is_directory;
    source.times.modified = source.times.changed = viewer.now;
    Inode& destination = vfs.inodes.edit(vfs.dentries.get(move.directory).inode);
    destination.links += is_directory, destination.links -= target_is_directory;
    destination.times.modified = destination.times.changed = viewer.now;
    if (move.flags & kWhiteout) {
        const i64 made = vfs.add_node(from, old_name, {mode::kCharacter, 0, {}}, viewer.credentials->fsuid, viewer.credentials->fsgid, viewer.now);
        if (made < 0) return made;
    }
    return 0;
}

} // namespace

i64 Vfs::rename(const Viewer& viewer, const Found& from, const Found& to, u32 flags) {
    if (flags & ~7u || (flags & (kNoReplace | kWhiteout) && flags & kExchange)) return -kEINVAL;
    if (from.error && !from.missing()) return from.error;
    if (to.error && !to.missing()) return to.error;
    if (from.directory.mount != to.directory.mount) return -kEXDEV;
    if (from.last != Found::Last::Normal) return -kEBUSY;
    if (to.last != Found::Last::Normal) return flags & kNoReplace ? -kEEXIST : -kEBUSY;
    if (const i64 error = want_write(from.directory.mount)) return error;
    if (!from.entry) return -kENOENT;
    if (to.entry && flags & kNoReplace) return -kEEXIST;
    if (!to.entry && flags & kExchange) return -kENOENT;
    const bool moves_directory = inode_of(from.entry).is_directory();
    if (flags & kExchange && to.slash && !inode_of(to.entry).is_directory()) return -kENOTDIR;
    if (!moves_directory && (from.slash || (!(flags & kExchange) && to.slash))) return -kENOTDIR;
    const u32 directory = to.directory.dentry;
    if (is_below(directory, from.entry)) return -kEINVAL;
    if (to.entry && is_below(from.directory.dentry, to.entry)) return flags & kExchange ? -kEINVAL : -kENOTEMPTY;
    if (to.entry && dentries.get(to.entry).inode == dentries.get(from.entry).inode) return 0;
    if (const i64 error = may_delete(viewer, from.directory.dentry, from.entry, moves_directory)) return error;
    if (const i64 error = !to.entry ? may_create(viewer, directory)
                                    : may_delete(viewer, directory, to.entry, flags & kExchange ? inode_of(to.entry).is_directory() : moves_directory))
        return error;
    if (moves_directory && directory != from.directory.dentry)
        if (const i64 error = permission(viewer, dentries.get(from.entry).inode, mode::kWrite)) return error;
    if (flags & kExchange && inode_of(to.entry).is_directory() && directory != from.directory.dentry)
        if (const i64 error = permission(viewer, dentries.get(to.entry).inode, mode::kWrite)) return error;
    if (is_local_mount_point(viewer, from.entry) || (to.entry && is_local_mount_point(viewer, to.entry))) return -kEBUSY;
    const FileSystemType& row = type_of(from.directory.inode);
    const Renaming move{from.entry, directory, to.entry, to.name, flags};
    if (!row.rename && row.create) return -kEPERM;
    const i64 error = row.rename ? row.rename(*this, viewer, move) : move_name(*this, viewer, move);
    if (!error && to.entry && !(flags & kExchange)) detach_from_dentry(to.entry);
    return error;
}

i64 Vfs::move_in_memory(const Viewer& viewer, const Renaming& renaming) { return move_name(*this, viewer, renaming); }

} // namespace trapeze::container
