// Mount namespaces: making, copying and ending them (mount_namespaces(7)).
#include "container-sim/fs/vfs.hpp"

#include <algorithm>

namespace trapeze::container {

/// An empty one under a number of the caller's.
void Vfs::start_namespace(u32 index, u32 owner) {
    if (index >= namespaces.size()) namespaces.resize(index + 1);
    namespaces[index] = {};
    namespaces[index].owner = owner, namespaces[index].used = true, namespaces[index].sequence = ++namespace_sequence;
}

/// Nobody is in it any more: all its mounts go, without a word to peers.
void Vfs::free_namespace(u32 index) {
    if (index >= namespaces.size() || !namespaces[index].used) return;
    if (const u32 root = namespaces[index].root_mount) {
        std::vector<u32> tree = tree_of(root);
        std::reverse(tree.begin(), tree.end());
        detach(tree);
    }
    namespaces[index] = {};
}

void Vfs::set_root_mount(u32 index, u32 mount) {
    namespaces[index].root_mount = mount;
    put_in_namespace(mount, index);
}

Location Vfs::namespace_root(u32 index) const {
    const u32 mount = namespaces[index].root_mount;
    return mount ? cross_mounts(location_of(mount, mounts.at(mount).root)) : Location{};
}

/// In a less privileged namespace nobody may uncover what a mount covers, nor clear its flags.
void Vfs::lock_tree(u32 mount) {
    for (u32 one : tree_of(mount)) {
        Mount& locked = mounts.at(one);
        locked.locked_flags |= mount_flag::kAtimeMask | (locked.flags & (mount_flag::kReadOnly | mount_flag::kNoSuid | mount_flag::kNoDev | mount_flag::kNoExec));
        if (one != mount) locked.locked = true;
    }
}

i64 Vfs::copy_namespace(u32 index, u32 from, u32 owner, const std::vector<Location*>& places) {
    const u32 root = namespaces[from].root_mount;
    const bool less_privileged = owner != namespaces[from].owner;
    std::map<u32, u32> copies;
    const i64 copy = copy_tree(root, mounts.at(root).root, true, kCopyUnbindable | (less_privileged ? kSharedToSlave : 0), &copies);
    if (copy < 0) return copy;
    if (less_privileged) lock_tree(static_cast<u32>(copy));
    start_namespace(index, owner);
    set_root_mount(index, static_cast<u32>(copy));
    for (Location* place : places)
        if (const auto found = copies.find(place->mount); found != copies.end()) place->mount = found->second;
    return 0;
}

} // namespace trapeze::container
