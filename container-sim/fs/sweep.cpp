// Giving back what has neither name nor user any more: dentries, inodes, mounts, file systems. Everything that is in use is marked from
// the places that tasks, open files and mappings hold; the rest goes.
#include "container-sim/fs/vfs.hpp"

#include <algorithm>

namespace trapeze::container {

namespace {

struct Marks {
    Vfs& vfs;
    std::vector<bool> dentries, inodes, supers;
    std::set<u32> mounts;

    explicit Marks(Vfs& v) : vfs(v), dentries(v.dentries.end()), inodes(v.inodes.end()), supers(v.supers.end()) {}
    void inode(u32 index) {
        if (!index || index >= inodes.size() || inodes[index]) return;
        inodes[index] = true;
        supers[vfs.inodes.get(index).super] = true;
        if (const auto node = vfs.overlay_nodes.find(index); node != vfs.overlay_nodes.end()) {
            if (node->second.upper) dentry(node->second.upper);
            for (u32 lower : node->second.lowers) dentry(lower);
        }
    }
    void dentry(u32 index) {
        while (index && index < dentries.size() && !dentries[index]) {
            dentries[index] = true;
            inode(vfs.dentries.get(index).inode);
            if (vfs.dentries.get(index).parent == index) break;
            index = vfs.dentries.get(index).parent;
        }
    }
    void mount(u32 id) {
        const auto found = vfs.mounts.find(id);
        if (found == vfs.mounts.end() || !mounts.insert(id).second) return;
        dentry(found->second.root);
        supers[found->second.super] = true;
        if (found->second.point) dentry(found->second.point);
        if (found->second.parent) mount(found->second.parent);
        for (u32 child : found->second.children) mount(child);
    }
};

} // namespace

std::vector<u32> Vfs::sweep(const Users& users) {
    Marks marks(*this);
    for (const auto& [id, mount] : mounts)
        if (mount.mount_namespace) marks.mount(id);
    marks.mount(nsfs_mount), marks.mount(memory_mount);
    for (const Location& place : users.places) marks.dentry(place.dentry), marks.mount(place.mount);
    for (u32 inode : users.inodes) marks.inode(inode);
    for (u32 mount : users.mounts) marks.mount(mount);
    for (bool again = true; again;) { // an overlay keeps the file systems of its layers
        again = false;
        for (const auto& [super, layers] : overlay_layers) {
            if (!marks.supers[super] || marks.dentries[root_of(super)]) continue;
            marks.dentry(root_of(super)), marks.dentry(layers.upper), marks.dentry(layers.work);
            for (u32 lower : layers.lowers) marks.dentry(lower);
            again = true;
        }
    }
    for (u32 super = 1; super < supers.end(); ++super)
        if (supers.get(super).type && supers.get(super).type->single) marks.supers[super] = true;
    std::vector<u32> dead;
    for (const auto& [id, mount] : mounts)
        if (!marks.mounts.contains(id)) dead.push_back(id);
    for (u32 id : dead) unlink_mount(id), set_group(id, 0), set_master(id, 0);
    for (u32 id : dead) mounts.erase(id);
    // A name stays while its file system is there, unless it is only a memory of a lookup; one that was removed, while somebody is in it.
    const auto stays = [&](u32 index) {
        const Dentry& dentry = dentries.get(index);
        if (marks.dentries[index]) return true;
        const bool remembered = type_of(dentry.inode).alive && inodes.get(dentry.inode).key; // what it is about is looked up again
        return !dentry.unhashed && marks.supers[inodes.get(dentry.inode).super] && !remembered;
    };
    for (u32 i = 1; i < dentries.end(); ++i)
        if (dentries.get(i).inode && stays(i)) marks.inode(dentries.get(i).inode);
    for (u32 i = 1; i < dentries.end(); ++i) {
        if (!dentries.get(i).inode || stays(i)) continue;
        if (marks.dentries[dentries.get(i).parent]) unhash(i);
        dentries.remove(i);
    }
    std::vector<u32> freed;
    for (u32 i = 1; i < inodes.end(); ++i) {
        const u32 super = inodes.get(i).super;
        if (!super || marks.inodes[i]) continue;
        const u64 taken = inodes.get(i).data.pages();
        give_pages(super, taken);
        --supers.edit(super).inodes;
        overlay_nodes.erase(i);
        inodes.remove(i);
        freed.push_back(i);
    }
    for (u32 super = 1; super < supers.end(); ++super)
        if (supers.get(super).type && !marks.supers[super]) overlay_layers.erase(super), supers.remove(super);
    garbage = 0;
    return freed;
}

} // namespace trapeze::container
