// Files that stand for namespaces (namespaces(7), /proc/PID/ns): one inode each, in a file system that is mounted nowhere until bound.
#include "container-sim/fs/types.hpp"

#include <fmt/format.h>

namespace trapeze::container {

namespace {
i64 fill_nsfs(Vfs& vfs, const Viewer& viewer, u32 super, const MountRequest&) { return make_root(vfs, viewer, super, 0555, 0, 0); }
} // namespace

const FileSystemType kNsfs = [] {
    FileSystemType type{};
    type.name = "nsfs", type.magic = 0x6e736673, type.nodev = true, type.single = true, type.fill = fill_nsfs;
    type.alive = [](Vfs&, const Viewer&, u32) { return true; }; // only remembered: a sweep drops those that nobody uses
    return type;
}();

/// The file of a namespace; `number` is its inode number, which is never given out again.
Location Vfs::namespace_file(u32 kind, u32 index, u64 number, const std::string& kind_name, u64 now) {
    if (!nsfs_mount) {
        const Credentials root;
        Viewer kernel_itself;
        kernel_itself.credentials = &root, kernel_itself.now = now;
        const i64 super = make_super(kernel_itself, kNsfs, {"nsfs", "", 0, false, {}});
        if (super < 0) return {};
        nsfs_mount = new_mount(static_cast<u32>(super), root_of(static_cast<u32>(super)), "nsfs", 0);
    }
    const u32 root = mounts.at(nsfs_mount).root;
    const std::string name = fmt::format("{}:[{}]", kind_name, number);
    if (const u32 known = child(root, name)) return location_of(nsfs_mount, known);
    const i64 dentry = add_node(root, name, {mode::kFile | 0444, 0, {}}, 0, 0, now);
    if (dentry < 0) return {};
    Inode& inode = inodes.edit(dentries.get(static_cast<u32>(dentry)).inode);
    inode.number = number, inode.kind = kind, inode.key = index;
    return location_of(nsfs_mount, static_cast<u32>(dentry));
}

} // namespace trapeze::container
