#include "container-sim/fs/vfs.hpp"

#include <algorithm>

namespace trapeze::container {

const FileSystemType* file_system_type(std::string_view name) {
    for (const FileSystemType* type : file_system_types())
        if (name == type->name) return type;
    return nullptr;
}

i64 Vfs::make_super(const Viewer& viewer, const FileSystemType& type, const MountRequest& request, std::string*) {
    Superblock super;
    super.type = &type, super.source = request.source, super.owner = request.user_namespace, super.read_only = request.read_only;
    super.device = next_device++;
    super.no_devices = request.user_namespace != 0;
    const u32 index = supers.add(super);
    if (const i64 error = type.fill(*this, viewer, index, request)) {
        free_super(index);
        return error;
    }
    return index;
}

i64 Vfs::new_inode(u32 super, u32 mode, u32 uid, u32 gid, u64 now) {
    const Superblock& block = supers.get(super);
    if (inodes.live() >= kMaxInodes || block.inodes >= block.most_inodes) return -kENOSPC;
    Inode inode;
    inode.super = super, inode.mode = mode, inode.uid = uid, inode.gid = gid;
    inode.links = inode.is_directory() ? 2 : 1;
    inode.times = {now, now, now, now};
    Superblock& own = supers.edit(super);
    inode.number = own.next_number++;
    ++own.inodes;
    return inodes.add(std::move(inode));
}

u32 Vfs::new_dentry(u32 parent, const std::string& name, u32 inode) {
    const u32 dentry = dentries.add({inode, parent, name, false});
    if (!parent) dentries.edit(dentry).parent = dentry;
    return dentry;
}

i64 Vfs::add_node(u32 directory, const std::string& name, const NewNode& node, u32 uid, u32 gid, u64 now) {
    const u32 parent = dentries.get(directory).inode;
    const i64 made = new_inode(inodes.get(parent).super, node.mode, uid, gid, now);
    if (made < 0) return made;
    const u32 inode = static_cast<u32>(made), dentry = new_dentry(directory, name, inode);
    Inode& fresh = inodes.edit(inode);
    fresh.device = node.device, fresh.target = node.target, fresh.first_dentry = dentry;
    const bool is_directory = fresh.is_directory();
    Inode& above = inodes.edit(parent);
    above.children[name] = dentry;
    above.links += is_directory;
    above.times.modified = above.times.changed = now;
    return dentry;
}

/// The name goes; whoever is in it stays there.
void Vfs::unhash(u32 dentry) {
    const Dentry gone = dentries.get(dentry);
    if (gone.unhashed || gone.parent == dentry) return;
    Inode& above = inodes.edit(dentries.get(gone.parent).inode);
    const auto entry = above.children.find(gone.name);
    if (entry != above.children.end() && entry->second == dentry) above.children.erase(entry);
    dentries.edit(dentry).unhashed = true;
    ++garbage;
}

void Vfs::free_super(u32 super) {
    for (u32 i = 1; i < dentries.end(); ++i)
        if (dentries.get(i).inode && inodes.get(dentries.get(i).inode).super == super) dentries.remove(i);
    for (u32 i = 1; i < inodes.end(); ++i)
        if (inodes.get(i).super == super) {
            pages -= std::min(pages, inodes.get(i).data.pages());
            overlay_nodes.erase(i);
            inodes.remove(i);
        }
    overlay_layers.erase(super);
    supers.remove(super);
}

u32 Vfs::data_inode(u32 inode) const {
    for (unsigned depth = 0; depth < 8; ++depth) { // an overlay's layer may be an overlay
        const auto node = overlay_nodes.find(inode);
        if (node == overlay_nodes.end()) break;
        const u32 dentry = node->second.upper ? node->second.upper : node->second.lowers.empty() ? 0 : node->second.lowers[0];
        if (!dentry) break;
        inode = dentries.get(dentry).inode;
    }
    return inode;
}

i64 Vfs::add_generated(u32 directory, const GeneratedFile& row, u64 key, u64 now, u32 uid, u32 gid) {
    const i64 dentry = add_node(directory, row.name, {mode::kFile | row.mode, 0, {}}, uid, gid, now);
    if (dentry < 0) return dentry;
    Inode& inode = inodes.edit(dentries.get(static_cast<u32>(dentry)).inode);
    inode.generated = &row, inode.key = key;
    return dentry;
}

i64 Vfs::add_directory(u32 directory, const std::string& name, u32 permissions, u64 now) {
    if (const u32 there = child(directory, name)) return there;
    return add_node(directory, name, {mode::kDirectory | permissions, 0, {}}, 0, 0, now);
}

u32 Vfs::dentry_of_magic(u32 inode) const { return inodes.get(inode).first_dentry; }

u32 Vfs::child(u32 directory, const std::string& name) const {
    const auto& children = inode_of(directory).children;
    const auto found = children.find(name);
    return found == children.end() ? 0 : found->second;
}

void Vfs::drop_tree(u32 dentry) {
    std::vector<u32> pending{dentry};
    while (!pending.empty()) {
        const u32 one = pending.back();
        pending.pop_back();
        for (const auto& [name, below] : inode_of(one).children) pending.push_back(below);
        detach_from_dentry(one);
        const u32 inode = dentries.get(one).inode, parent = dentries.get(one).parent;
        if (inodes.get(inode).is_directory() && one == dentry && parent != one) --inodes.edit(dentries.get(parent).inode).links;
        unhash(one);
        inodes.edit(inode).links = 0;
    }
}

} // namespace trapeze::container
