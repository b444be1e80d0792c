// The tree of mounts: attaching, binding, moving, changing and taking off, with Linux's checks (mount(2), umount(2), pivot_root(2)).
#include "container-sim/fs/vfs.hpp"

#include <algorithm>

namespace trapeze::container {

bool Vfs::is_mount_root(Location at) const {
    const auto mount = mounts.find(at.mount);
    return mount != mounts.end() && mount->second.root == at.dentry;
}
bool Vfs::in_namespace(u32 mount, u32 index) const {
    const auto found = mounts.find(mount);
    return found != mounts.end() && found->second.mount_namespace == index + 1;
}

bool Vfs::is_namespace_file(u32 mount) const { return nsfs_mount && mounts.at(mount).super == mounts.at(nsfs_mount).super; }

u32 Vfs::new_mount(u32 super, u32 root, const std::string& source, u32 flags) {
    Mount mount;
    mount.super = super, mount.root = root, mount.source = source, mount.flags = flags;
    mounts[next_mount] = std::move(mount);
    return next_mount++;
}

void Vfs::link_mount(u32 mount, u32 parent, u32 point) {
    Mount& linked = mounts.at(mount);
    linked.parent = parent, linked.point = point, linked.anonymous = false;
    mounts.at(parent).children.push_back(mount);
    covered[{point, parent}] = mount;
}

void Vfs::unlink_mount(u32 mount) {
    Mount& gone = mounts.at(mount);
    if (!gone.parent) return;
    std::erase(mounts.at(gone.parent).children, mount);
    const auto entry = covered.find({gone.point, gone.parent});
    if (entry != covered.end() && entry->second == mount) covered.erase(entry);
    gone.parent = gone.point = 0;
}

std::vector<u32> Vfs::tree_of(u32 mount) const {
    std::vector<u32> tree{mount};
    for (std::size_t i = 0; i < tree.size(); ++i) {
        const auto& children = mounts.at(tree[i]).children;
        tree.insert(tree.end(), children.begin(), children.end());
    }
    return tree;
}

void Vfs::put_in_namespace(u32 mount, u32 index) {
    for (u32 one : tree_of(mount)) {
        mounts.at(one).mount_namespace = index + 1;
        namespaces[index].mounts.insert(one);
        if (is_namespace_file(one)) bound_namespaces.insert(one);
    }
}

/// Takes mounts off for good; who is in one stays there, in no namespace. What is left on a victim's root comes down to where that was.
void Vfs::detach(const std::vector<u32>& victims) {
    const std::set<u32> all(victims.begin(), victims.end());
    for (u32 victim : victims) {
        const Mount gone = mounts.at(victim);
        for (u32 child : gone.children) { // only what covers its root can be left
            if (all.contains(child)) continue;
            unlink_mount(child);
            if (gone.parent) link_mount(child, gone.parent, gone.point);
        }
        const bool replaced = gone.parent && covered.at({gone.point, gone.parent}) != victim;
        if (gone.parent) {
            std::erase(mounts.at(gone.parent).children, victim);
            if (!replaced) covered.erase({gone.point, gone.parent});
        }
        Mount& mount = mounts.at(victim);
        mount.parent = mount.point = 0;
        change_type(victim, ms::kPrivate);
        if (mount.mount_namespace) namespaces[mount.mount_namespace - 1].mounts.erase(victim);
        mount.mount_namespace = 0;
        bound_namespaces.erase(victim);
        ++garbage;
    }
}

void Vfs::detach_from_dentry(u32 dentry) {
    for (auto at = covered.lower_bound({dentry, 0}); at != covered.end() && at->first.first == dentry; at = covered.lower_bound({dentry, 0})) {
        std::vector<u32> tree = tree_of(at->second);
        std::reverse(tree.begin(), tree.end());
        detach(tree);
    }
}

bool Vfs::may_mount(const Viewer& viewer) const { return viewer.capable(namespaces[viewer.mount_namespace].owner, Capability::SysAdmin); }

u32 Vfs::flags_of_mount_call(u64 flags) const {
    u32 own = 0;
    const std::pair<u64, u32> kPairs[] = {{ms::kReadOnly, mount_flag::kReadOnly}, {ms::kNoSuid, mount_flag::kNoSuid}, {ms::kNoDev, mount_flag::kNoDev},
                                          {ms::kNoExec, mount_flag::kNoExec}, {ms::kNoDirAtime, mount_flag::kNoDirAtime}, {ms::kNoSymFollow, mount_flag::kNoSymFollow}};
    for (const auto& [from, to] : kPairs)
        if (flags & from) own |= to;
    if (flags & ms::kNoAtime) own |= mount_flag::kNoAtime;
    if (flags & ms::kStrictAtime) own = (own & ~mount_flag::kAtimeMask) | mount_flag::kStrictAtime;
    return own;
}

// --- New mounts --------------------------------------------------------------------------------------------------------------------

/// A user namespace may mount a proc or sysfs only where one is wholly visible already: nothing that covers a part of it may be uncovered.
bool Vfs::too_revealing(const Viewer& viewer, u32 super, u32& flags) const {
    const std::string_view type = supers.get(super).type->name;
    const u32 owner = namespaces[viewer.mount_namespace].owner;
    if (!owner || (type != "proc" && type != "sysfs")) return false;
    for (u32 id : namespaces[viewer.mount_namespace].mounts) {
        const Mount& mount = mounts.at(id);
        if (supers.get(mount.super).type->name != type || mount.root != root_of(mount.super)) continue;
        if (mount.locked_flags & mount_flag::kReadOnly && !(flags & mount_flag::kReadOnly)) continue;
        if (mount.locked_flags & mount_flag::kAtimeMask && (mount.flags ^ flags) & mount_flag::kAtimeMask) continue;
        const bool covered_in_part = std::any_of(mount.children.begin(), mount.children.end(), [&](u32 child) {
            const Inode& below = inode_of(mounts.at(child).point);
            return mounts.at(child).locked && !(below.is_directory() && below.children.empty());
        });
        if (covered_in_part) continue;
        flags |= mount.locked_flags & (mount_flag::kReadOnly | mount_flag::kAtimeMask);
        return false;
    }
    return true;
}

/// A file system for mount(2) or fsconfig(2)'s CREATE. Its number, or an errno.
i64 Vfs::new_super_for_mount(const Viewer& viewer, const FileSystemType& type, MountRequest request, u32& flags) {
    request.user_namespace = viewer.credentials->user_namespace;
    if (!viewer.capable(type.for_users ? request.user_namespace : 0, Capability::SysAdmin)) return -kEPERM;
    const i64 super = type.shared ? type.shared(*this, viewer, request) : make_super(viewer, type, request);
    if (super < 0) return super;
    if (too_revealing(viewer, static_cast<u32>(super), flags)) {
        if (supers.get(static_cast<u32>(super)).key == 0) free_super(static_cast<u32>(super));
        return -kEPERM;
    }
    return super;
}

/// What a new mount of a file system shows as its root.
u32 Vfs::mount_root(const Viewer& viewer, u32 super) const {
    const FileSystemType& type = *supers.get(super).type;
    return type.mount_root ? type.mount_root(*this, viewer, super) : root_of(super);
}

i64 Vfs::mount_new(const Viewer& viewer, Location on, u32 super, u32 flags, const std::string& source) {
    if (!in_namespace(on.mount, viewer.mount_namespace)) return -kEINVAL;
    if (mounts.at(on.mount).super == super && is_mount_root(on)) return -kEBUSY;
    if (dentries.get(on.dentry).unhashed) return -kENOENT;
    if (inode_of(root_of(super)).is_directory() != is_directory(on)) return -kENOTDIR;
    const u32 mount = new_mount(super, mount_root(viewer, super), source, flags);
    const i64 error = attach_recursive(mount, on, false);
    if (error) mounts.erase(mount);
    return error;
}

bool Vfs::has_locked_children(u32 mount, u32 below) const {
    const auto& children = mounts.at(mount).children;
    return std::any_of(children.begin(), children.end(), [&](u32 child) { return mounts.at(child).locked && is_below(mounts.at(child).point, below); });
}

i64 Vfs::clone_tree(const Viewer& viewer, Location from, bool recursive) {
    const Mount& old = mounts.at(from.mount);
    if (old.unbindable) return -kEINVAL;
    if (!in_namespace(from.mount, viewer.mount_namespace) && !old.anonymous && !is_namespace_file(from.mount)) return -kEINVAL;
    if (!recursive && has_locked_children(from.mount, from.dentry)) return -kEINVAL;
    const i64 copy = copy_tree(from.mount, from.dentry, recursive, 0, nullptr);
    if (copy > 0) mounts.at(static_cast<u32>(copy)).locked = false;
    return copy;
}

i64 Vfs::bind(const Viewer& viewer, Location from, Location on, bool recursive) {
    if (!in_namespace(on.mount, viewer.mount_namespace)) return -kEINVAL;
    const i64 copy = clone_tree(viewer, from, recursive);
    if (copy < 0) return copy;
    i64 error = dentries.get(on.dentry).unhashed ? -kENOENT : is_directory(on) != is_directory(from) ? -kENOTDIR : 0;
    if (!error) error = attach_recursive(static_cast<u32>(copy), on, false);
    if (error) {
        std::vector<u32> tree = tree_of(static_cast<u32>(copy));
        std::reverse(tree.begin(), tree.end());
        detach(tree);
        for (u32 one : tree) mounts.erase(one);
    }
    return error;
}

/// MS_MOVE and move_mount(2); a tree that open_tree or fsmount made is attached.
i64 Vfs::move_mount(const Viewer& viewer, Location from, Location on) {
    const auto moved = mounts.find(from.mount);
    if (moved == mounts.end() || !in_namespace(on.mount, viewer.mount_namespace)) return -kEINVAL;
    const Mount& old = moved->second;
    if (!old.anonymous && (!in_namespace(from.mount, viewer.mount_namespace) || !old.parent)) return -kEINVAL;
    if (old.locked || !is_mount_root(from) || is_directory(from) != is_directory(on)) return -kEINVAL;
    if (old.parent && mounts.at(old.parent).group) return -kEINVAL;
    const std::vector<u32> tree = tree_of(from.mount);
    if (mounts.at(on.mount).group && std::any_of(tree.begin(), tree.end(), [&](u32 one) { return mounts.at(one).unbindable; })) return -kEINVAL;
    for (u32 at = on.mount; at; at = mounts.at(at).parent)
        if (at == from.mount) return -kELOOP;
    if (dentries.get(on.dentry).unhashed) return -kENOENT;
    return attach_recursive(from.mount, on, !old.anonymous);
}

// --- Changing ------------------------------------------------------------------------------------------------------------------------

/// Flags that a more privileged namespace has set may not be cleared in a less privileged one.
bool Vfs::may_change_flags(const Mount& mount, u32 flags) const {
    const u32 sticky = mount.locked_flags & ~mount_flag::kAtimeMask;
    if (sticky & ~flags) return false;
    return !(mount.locked_flags & mount_flag::kAtimeMask) || !((mount.flags ^ flags) & (mount_flag::kAtimeMask | mount_flag::kNoDirAtime));
}

i64 Vfs::remount(const Viewer& viewer, Location at, u64 flags, const std::string& data) {
    if (!in_namespace(at.mount, viewer.mount_namespace) || !is_mount_root(at)) return -kEINVAL;
    Mount& mount = mounts.at(at.mount);
    u32 wanted = flags_of_mount_call(flags);
    if (!(flags & (ms::kNoAtime | ms::kNoDirAtime | ms::kRelatime | ms::kStrictAtime))) wanted |= mount.flags & (mount_flag::kAtimeMask | mount_flag::kNoDirAtime);
    if (!may_change_flags(mount, wanted)) return -kEPERM;
    if (!(flags & ms::kBind)) {
        Superblock& super = supers.edit(mount.super);
        if (!viewer.capable(super.owner, Capability::SysAdmin)) return -kEPERM;
        if (super.type->change)
            if (const i64 error = super.type->change(*this, viewer, mount.super, data)) return error;
        supers.edit(mount.super).read_only = flags & ms::kReadOnly;
    }
    mount.flags = wanted;
    return 0;
}

i64 Vfs::change_propagation(const Viewer& viewer, Location at, u64 flags) {
    const u64 type = flags & ms::kPropagation;
    if (!is_mount_root(at) || flags & ~(ms::kPropagation | ms::kRecursive | ms::kSilent) || !type || type & (type - 1)) return -kEINVAL;
    if (!in_namespace(at.mount, viewer.mount_namespace)) return -kEINVAL;
    for (u32 mount : flags & ms::kRecursive ? tree_of(at.mount) : std::vector<u32>{at.mount}) change_type(mount, type);
    return 0;
}

/// mount_setattr(2).
i64 Vfs::set_mount_flags(const Viewer& viewer, Location at, u32 set, u32 clear, u64 propagation, bool recursive) {
    if (!is_mount_root(at)) return -kEINVAL;
    if (!mounts.at(at.mount).anonymous && !in_namespace(at.mount, viewer.mount_namespace)) return -kEINVAL;
    const std::vector<u32> tree = recursive ? tree_of(at.mount) : std::vector<u32>{at.mount};
    const auto flags_for = [&](const Mount& mount) { return (mount.flags & ~clear) | set; };
    for (u32 one : tree)
        if (!may_change_flags(mounts.at(one), flags_for(mounts.at(one)))) return -kEPERM;
    for (u32 one : tree) {
        Mount& mount = mounts.at(one);
        mount.flags = flags_for(mount);
        if (propagation) change_type(one, propagation);
    }
    return 0;
}

// --- Taking off ------------------------------------------------------------------------------------------------------------------------

i64 Vfs::unmount(const Viewer& viewer, Location at, u32 flags, const InUse& in_use) {
    constexpr u32 kForce = 1, kDetach = 2, kExpire = 4;
    if (!is_mount_root(at) || !in_namespace(at.mount, viewer.mount_namespace)) return -kEINVAL;
    const Mount& mount = mounts.at(at.mount);
    if (mount.locked) return -kEINVAL;
    if (flags & kForce && !viewer.capable(0, Capability::SysAdmin)) return -kEPERM;
    if (flags & kExpire && (flags & (kForce | kDetach) || at.mount == viewer.root.mount)) return -kEINVAL;
    if (at.mount == viewer.root.mount && !(flags & kDetach)) { // the root cannot go: it becomes read-only
        if (!viewer.capable(supers.get(mount.super).owner, Capability::SysAdmin)) return -kEPERM;
        supers.edit(mount.super).read_only = true;
        return 0;
    }
    if (!mount.parent) return -kEINVAL;
    if (!(flags & kDetach) && (!mount.children.empty() || in_use(at.mount) || busy_elsewhere(at.mount, in_use))) return -kEBUSY;
    if (flags & kExpire) return -kEAGAIN;
    detach(unmount_with_receivers(tree_of(at.mount)));
    return 0;
}

/// Does a place lie below another, through mounts?
bool Vfs::reachable(Location at, Location from) const {
    while (at.mount != from.mount && mounts.at(at.mount).parent) at = location_of(mounts.at(at.mount).parent, mounts.at(at.mount).point);
    return at.mount == from.mount && is_below(at.dentry, from.dentry);
}

i64 Vfs::pivot_root(const Viewer& viewer, Location fresh, Location put_old) {
    const Location root = viewer.root;
    const auto shared_parent = [this](u32 mount) { return mounts.at(mount).parent && mounts.at(mounts.at(mount).parent).group; };
    if (mounts.at(put_old.mount).group || shared_parent(fresh.mount) || shared_parent(root.mount)) return -kEINVAL;
    if (!in_namespace(root.mount, viewer.mount_namespace) || !in_namespace(fresh.mount, viewer.mount_namespace) || mounts.at(fresh.mount).locked) return -kEINVAL;
    if (dentries.get(fresh.dentry).unhashed) return -kENOENT;
    if (fresh.mount == root.mount || put_old.mount == root.mount) return -kEBUSY;
    if (!is_mount_root(root) || !mounts.at(root.mount).parent || !is_mount_root(fresh) || !mounts.at(fresh.mount).parent) return -kEINVAL;
    if (!reachable(put_old, fresh) || !reachable(fresh, root)) return -kEINVAL;
    const Mount old = mounts.at(root.mount);
    unlink_mount(fresh.mount);
    unlink_mount(root.mount);
    if (old.locked) mounts.at(fresh.mount).locked = true, mounts.at(root.mount).locked = false;
    link_mount(root.mount, put_old.mount, put_old.dentry);
    link_mount(fresh.mount, old.parent, old.point);
    return 0;
}

} // namespace trapeze::container
