// Propagation of mounting events among peers and to slaves (Documentation/filesystems/sharedsubtree.rst of Linux). A peer group is a
// number; all peers of a group have the same master.
#include "container-sim/fs/vfs.hpp"

#include <algorithm>

namespace trapeze::container {

void Vfs::set_group(u32 id, u32 group) {
    Mount& mount = mounts.at(id);
    if (mount.group == group) return;
    if (const u32 old = mount.group) {
        groups[old].peers.erase(id);
        if (groups[old].peers.empty()) { // the last peer is gone: who received from the group receives from its master
            const std::set<u32> slaves = groups[old].slaves;
            for (u32 slave : slaves) set_master(slave, mount.master);
            groups.erase(old);
        }
    }
    mount.group = group;
    if (group) groups[group].peers.insert(id);
}

void Vfs::set_master(u32 id, u32 group) {
    Mount& mount = mounts.at(id);
    if (mount.master) {
        if (const auto old = groups.find(mount.master); old != groups.end()) old->second.slaves.erase(id);
    }
    mount.master = group;
    if (group) groups[group].slaves.insert(id);
}

void Vfs::change_type(u32 id, u64 type) {
    Mount& mount = mounts.at(id);
    if (type == ms::kShared) {
        if (!mount.group) set_group(id, next_group++);
        mount.unbindable = false;
        return;
    }
    if (const u32 group = mount.group) { // leaves its peers, and receives from those that stay
        const bool others = groups[group].peers.size() > 1;
        set_group(id, 0);
        if (others) set_master(id, group);
    }
    if (type == ms::kSlave) return;
    set_master(id, 0);
    mount.unbindable = type == ms::kUnbindable;
}

/// Peers first, then slaves, their peers and theirs; only such as are in a namespace.
std::vector<u32> Vfs::receivers(u32 id) const {
    std::vector<u32> found, pending{mounts.at(id).group};
    std::set<u32> seen{pending[0], 0};
    if (!pending[0]) return {};
    for (std::size_t i = 0; i < pending.size(); ++i) {
        const PeerGroup& group = groups.at(pending[i]);
        for (u32 peer : group.peers)
            if (peer != id && mounts.at(peer).mount_namespace) found.push_back(peer);
        for (u32 slave : group.slaves) {
            const u32 own = mounts.at(slave).group;
            if (!own && mounts.at(slave).mount_namespace) found.push_back(slave);
            if (seen.insert(own).second) pending.push_back(own);
        }
    }
    return found;
}

/// A copy of a mount from `root` down, and of what is mounted below; in no namespace. The copy, or an errno.
i64 Vfs::copy_tree(u32 id, u32 root, bool recursive, u32 how, std::map<u32, u32>* copies) {
    std::map<u32, u32> own;
    if (!copies) copies = &own;
    const auto copy_one = [&](u32 from, u32 at_root) {
        const Mount& old = mounts.at(from);
        const u32 copy = new_mount(old.super, at_root, old.source, old.flags);
        Mount& fresh = mounts.at(copy);
        fresh.locked_flags = old.locked_flags, fresh.locked = old.locked, fresh.unbindable = old.unbindable;
        (*copies)[from] = copy;
        if (how & kCopyPrivate) return copy;
        if (how & kSharedToSlave && old.group) return set_master(copy, old.group), copy;
        set_group(copy, old.group);
        set_master(copy, old.master);
        return copy;
    };
    if (!recursive) return copy_one(id, root);
    std::vector<u32> tree{id};
    for (std::size_t i = 0; i < tree.size(); ++i)
        for (u32 child : mounts.at(tree[i]).children) {
            if (i == 0 && !is_below(mounts.at(child).point, root)) continue;
            if (!(how & kCopyUnbindable) && mounts.at(child).unbindable) {
                if (mounts.at(child).locked) return -kEPERM;
                continue;
            }
            tree.push_back(child);
        }
    if (mounts.size() + tree.size() > kMaxAllMounts) return -kENOSPC;
    for (u32 one : tree) {
        const u32 copy = copy_one(one, one == id ? root : mounts.at(one).root);
        if (one != id) link_mount(copy, copies->at(mounts.at(one).parent), mounts.at(one).point);
    }
    return copies->at(id);
}

namespace {

/// A tree that is about to be mounted, and the copies of it that go to receivers.
struct Propagation {
    Vfs& vfs;
    u32 source;
    std::map<std::pair<u32, u32>, u32> copy_groups; ///< (mount of the source tree, group of receivers) to the peer group of its copies there

    u32 group_for(u32 mount, u32 receiving_group) {
        u32& group = copy_groups[{mount, receiving_group}];
        if (!group) group = vfs.next_group++;
        return group;
    }
    /// The copies at a group of receivers, or, when none of those could take one, at the nearest group above.
    u32 nearest_copies(u32 mount, u32 group) const {
        for (; group; group = vfs.mounts.at(*vfs.groups.at(group).peers.begin()).master) {
            const auto found = copy_groups.find({mount, group});
            if (found != copy_groups.end()) return found->second;
            if (vfs.groups.at(group).peers.empty()) break;
        }
        return 0;
    }
    i64 copy_to(u32 receiver, u32 point, std::vector<std::pair<u32, std::pair<u32, u32>>>& made);
};

/// Copies to peers of the place are peers of the source; copies to slaves receive from those.
i64 Propagation::copy_to(u32 receiver, u32 point, std::vector<std::pair<u32, std::pair<u32, u32>>>& made) {
    std::map<u32, u32> copies;
    const i64 copy = vfs.copy_tree(source, vfs.mounts.at(source).root, true, kCopyPrivate, &copies);
    if (copy < 0) return copy;
    const Mount& to = vfs.mounts.at(receiver);
    for (const auto& [from, fresh] : copies) {
        const auto direct = copy_groups.find({from, to.group});
        const bool peer_of_source = to.group && direct != copy_groups.end() && direct->second == vfs.mounts.at(from).group;
        if (to.group) vfs.set_group(fresh, group_for(from, to.group));
        if (peer_of_source) vfs.set_master(fresh, vfs.mounts.at(from).master);
        else vfs.set_master(fresh, nearest_copies(from, to.master));
    }
    made.push_back({static_cast<u32>(copy), {receiver, point}});
    return 0;
}

} // namespace

/// Mounts a tree at a place and, when that is shared, copies of it at the same place of all who receive from there.
i64 Vfs::attach_recursive(u32 id, Location on, bool moved) {
    const u32 index = mounts.at(on.mount).mount_namespace - 1;
    const std::vector<u32> tree = tree_of(id);
    if (!moved && namespaces[index].mounts.size() + tree.size() > kMaxMounts) return -kENOSPC;
    std::vector<std::pair<u32, std::pair<u32, u32>>> made;
    if (mounts.at(on.mount).group) {
        Propagation propagation{*this, id, {}};
        const std::vector<u32> to = receivers(on.mount);
        u64 total = 0;
        for (u32 receiver : to) // as many as will be made
            total += is_below(on.dentry, mounts.at(receiver).root) ? tree.size() : 0;
        if (mounts.size() + total > kMaxAllMounts) return -kENOSPC;
        for (u32 one : tree) {
            change_type(one, ms::kShared);
            propagation.copy_groups[{one, mounts.at(on.mount).group}] = mounts.at(one).group;
        }
        for (u32 receiver : to)
            if (is_below(on.dentry, mounts.at(receiver).root))
                if (const i64 error = propagation.copy_to(receiver, on.dentry, made)) return error;
    }
    const auto settle = [this](u32 mount, u32 parent, u32 point) {
        // What is mounted there already comes to lie on the new one.
        const auto there = covered.find({point, parent});
        const u32 above = there == covered.end() ? 0 : there->second;
        if (above) unlink_mount(above);
        link_mount(mount, parent, point);
        const Location top = cross_mounts(location_of(mount, mounts.at(mount).root));
        if (above) link_mount(above, top.mount, top.dentry);
        put_in_namespace(mount, mounts.at(parent).mount_namespace - 1);
    };
    if (moved) unlink_mount(id);
    settle(id, on.mount, on.dentry);
    const u32 owner = namespaces[index].owner;
    for (const auto& [copy, place] : made) {
        mounts.at(copy).locked = false;
        settle(copy, place.first, place.second);
        if (namespaces[mounts.at(copy).mount_namespace - 1].owner != owner) lock_tree(copy);
    }
    return 0;
}

/// The mounts at the same place of those who receive from each victim's parent go along, when nothing that stays is mounted in them.
/// Children first.
std::vector<u32> Vfs::unmount_with_receivers(const std::vector<u32>& victims) const {
    std::vector<u32> candidates;
    std::set<u32> going(victims.begin(), victims.end());
    for (u32 victim : victims) {
        const Mount& mount = mounts.at(victim);
        if (!mount.parent) continue;
        for (u32 receiver : receivers(mount.parent)) {
            const auto there = covered.find({mount.point, receiver});
            if (there != covered.end() && !going.contains(there->second)) candidates.push_back(there->second), going.insert(there->second);
        }
    }
    for (bool again = true; again;) { // some stay, and so do those in which they are mounted
        again = false;
        for (u32 candidate : candidates) {
            const Mount& mount = mounts.at(candidate);
            const bool held = std::any_of(mount.children.begin(), mount.children.end(), [&](u32 child) { return !going.contains(child) && mounts.at(child).point != mount.root; });
            const bool locked = mount.locked && !going.contains(mount.parent);
            if ((held || locked) && going.erase(candidate)) again = true;
        }
        std::erase_if(candidates, [&](u32 candidate) { return !going.contains(candidate); });
    }
    std::vector<u32> all = victims;
    all.insert(all.end(), candidates.begin(), candidates.end());
    std::map<u32, unsigned> depths;
    for (u32 one : all)
        for (u32 up = one; mounts.at(up).parent; up = mounts.at(up).parent) ++depths[one];
    std::stable_sort(all.begin(), all.end(), [&](u32 a, u32 b) { return depths[a] > depths[b]; });
    return all;
}

bool Vfs::busy_elsewhere(u32 id, const InUse& in_use) const {
    const Mount& mount = mounts.at(id);
    if (!mount.parent) return false;
    for (u32 receiver : receivers(mount.parent)) {
        const auto there = covered.find({mount.point, receiver});
        if (there != covered.end() && mounts.at(there->second).children.empty() && in_use(there->second)) return true;
    }
    return false;
}

} // namespace trapeze::container
