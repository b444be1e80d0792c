// The tree of mounts of one namespace, with whom its mounts share what happens on them.
#include "container-sim/seen/seen.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace trapeze::container {

namespace {

constexpr std::size_t kMostReceivers = 16;

/// Looks from the root of a namespace's tree, whatever is mounted over it.
Viewer from_top(const Kernel& kernel, u32 mount_namespace) {
    Viewer viewer;
    viewer.mount_namespace = mount_namespace;
    const u32 top = kernel.vfs.namespace_at(mount_namespace).root_mount;
    if (const auto mount = kernel.vfs.mounts.find(top); mount != kernel.vfs.mounts.end()) viewer.root = kernel.vfs.location_of(top, mount->second.root);
    return viewer;
}

std::string place_of(const Kernel& kernel, u32 mount) {
    const Mount& own = kernel.vfs.mounts.at(mount);
    if (!own.mount_namespace) return "";
    return kernel.vfs.path_of(from_top(kernel, own.mount_namespace - 1), kernel.vfs.location_of(mount, own.root));
}

MountSeen seen_mount(const Kernel& kernel, const Viewer& viewer, u32 id, unsigned depth) {
    const Vfs& vfs = kernel.vfs;
    const Mount& mount = vfs.mounts.at(id);
    const Superblock& super = vfs.supers.get(mount.super);
    MountSeen seen;
    seen.id = id, seen.parent = mount.parent, seen.depth = depth;
    seen.place = vfs.path_of(viewer, vfs.location_of(id, mount.root));
    seen.type = super.type->name, seen.source = mount.source.empty() ? "none" : mount.source;
    seen.root = super.type->root_text ? super.type->root_text(vfs, viewer, mount.root) : vfs.path_in_super(mount.root);
    seen.flags = (vfs.want_write(id) ? "ro" : "rw") + vfs.mount_options(id);
    seen.group = mount.group, seen.master = mount.master, seen.unbindable = mount.unbindable, seen.locked = mount.locked;
    seen.hidden = vfs.covered.contains({mount.root, id});
    for (u32 receiver : vfs.receivers(id)) {
        if (seen.receivers.size() == kMostReceivers) break;
        const Mount& other = vfs.mounts.at(receiver);
        if (other.mount_namespace) seen.receivers.push_back(fmt::format("{}:{}", kernel.namespace_inode(NamespaceKind::Mnt, other.mount_namespace - 1), place_of(kernel, receiver)));
    }
    return seen;
}

} // namespace

std::string propagation_text(const MountSeen& mount) {
    std::string text;
    if (mount.group) text = fmt::format("shared:{}", mount.group);
    if (mount.master) text += fmt::format("{}master:{}", text.empty() ? "" : " ", mount.master);
    if (text.empty()) text = mount.unbindable ? "unbindable" : "private";
    return text;
}

MountTree mount_tree(const Kernel& kernel, u32 mount_namespace) {
    const Vfs& vfs = kernel.vfs;
    const MountNamespace& own = vfs.namespace_at(mount_namespace);
    MountTree tree;
    tree.inode = kernel.namespace_inode(NamespaceKind::Mnt, mount_namespace);
    tree.owner = kernel.namespace_inode(NamespaceKind::User, own.owner);
    const Viewer viewer = from_top(kernel, mount_namespace);
    std::vector<std::pair<u32, unsigned>> next;
    if (vfs.mounts.contains(own.root_mount)) next.push_back({own.root_mount, 0});
    while (!next.empty()) {
        const auto [id, depth] = next.back();
        next.pop_back();
        tree.mounts.push_back(seen_mount(kernel, viewer, id, depth));
        const std::vector<u32>& below = vfs.mounts.at(id).children;
        for (auto child = below.rbegin(); child != below.rend(); ++child) next.push_back({*child, depth + 1});
    }
    return tree;
}

} // namespace trapeze::container
