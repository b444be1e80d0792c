// The virtual file system: file systems of several types, mounted in the trees of mount namespaces, and paths walked through them
// (path_resolution(7)). It knows no processes: who looks comes with each call as a Viewer.
//
// Usage:
//   Found found = vfs.walk(viewer, viewer.cwd, "a/b", kFollow);
//   if (i64 error = vfs.permission(viewer, found.location, mode::kRead)) return error;
//
// Known gaps: no access control lists, no file locks' leases, no quotas.
#pragma once

#include "container-sim/fs/inode.hpp"
#include "container-sim/fs/mount.hpp"
#include "container-sim/fs/overlay.hpp"
#include "container-sim/fs/chunk_pool.hpp"

#include <functional>

namespace trapeze::container {

/// How a path is walked.
inline constexpr u32 kFollow = 1;           ///< a link in the last part
inline constexpr u32 kEmptyPathAllowed = 2;
inline constexpr u32 kParent = 4;           ///< the last part is a name to make or take away: not followed even with a slash behind it
inline constexpr u32 kNoCrossing = 0x10, kNoMagicLinks = 0x20, kNoSymlinks = 0x40, kBeneath = 0x80, kInRoot = 0x100; ///< openat2(2)

/// Where a path leads.
struct Found {
    i64 error = 0;                   ///< of the walk; -kENOENT with a directory: only the last name is missing
    Location location;               ///< what the path names, mounts crossed
    Location directory;              ///< where the last name is, or would be
    std::string name;                ///< the last name
    u32 entry = 0;                   ///< its dentry, mounts not crossed
    enum class Last : u8 { Normal, Dot, DotDot, Root } last = Last::Normal;
    bool slash = false;              ///< the path ends in a slash
    bool magic = false;              ///< the last part was a magic link

    bool missing() const { return error == -kENOENT && directory.dentry; }
};

class Vfs {
  public:
    // --- vfs.cpp: file systems, inodes and names
    /// A new file system; its number, or an errno. `why` says in a sentence what failed, when more can be said.
    i64 make_super(const Viewer& viewer, const FileSystemType& type, const MountRequest& request, std::string* why = nullptr);
    /// Makes an inode; its number, or -kENOSPC.
    i64 new_inode(u32 super, u32 mode, u32 uid, u32 gid, u64 now);
    u32 new_dentry(u32 parent, const std::string& name, u32 inode);
    /// A name in a directory of a file system in memory. The dentry, or an errno.
    i64 add_node(u32 directory, const std::string& name, const NewNode& node, u32 uid, u32 gid, u64 now);
    void unhash(u32 dentry);
    void free_super(u32 super);
    u32 root_of(u32 super) const { return supers.get(super).root; }
    const Inode& inode_of(u32 dentry) const { return inodes.get(dentries.get(dentry).inode); }
    const Superblock& super_of(u32 inode) const { return supers.get(inodes.get(inode).super); }
    const FileSystemType& type_of(u32 inode) const { return *super_of(inode).type; }
    Location location_of(u32 mount, u32 dentry) const { return {mount, dentry, dentries.get(dentry).inode}; }
    bool is_directory(Location at) const { return inodes.get(at.inode).is_directory(); }
    /// The inode whose data a file has: itself, or an overlay's layer's.
    u32 data_inode(u32 inode) const;
    u64 size_of(u32 inode) const { return inodes.get(data_inode(inode)).size(); }
    /// Generated files, for file systems whose text is made when read: a row's file as a name in a directory.
    i64 add_generated(u32 directory, const GeneratedFile& row, u64 key, u64 now, u32 uid = 0, u32 gid = 0);
    i64 add_directory(u32 directory, const std::string& name, u32 permissions, u64 now);
    /// Takes a name and everything below it away, for file systems that make names themselves.
    void drop_tree(u32 dentry);
    u32 child(u32 directory, const std::string& name) const;

    i64 make_memory_file(const Viewer& viewer, const std::string& name, u32 permissions, u32 seals); ///< syscalls_copy.cpp; the dentry
    u32 dentry_of_magic(u32 inode) const;                ///< the name of an inode that has one only
    // --- nsfs.cpp
    Location namespace_file(u32 kind, u32 index, u64 number, const std::string& kind_name, u64 now);

    // --- data.cpp: contents
    i64 load(u32 inode);                                 ///< of a host folder's file: reads it from the host. 0 or -kEIO
    Content content(u32 inode);                          ///< all of a file; null when it cannot be had
    i64 read_data(u32 inode, u64 offset, std::span<u8> out);
    i64 write_data(u32 inode, u64 offset, std::span<const u8> in, u64 now);
    i64 resize_data(u32 inode, u64 size, u64 now);
    i64 allocate_data(u32 inode, u32 mode, u64 offset, u64 bytes, u64 now); ///< fallocate(2)
    void store_page(u32 inode, u64 page, std::span<const u8> bytes);
    void mark_changed(u32 outer, u32 inode, u64 now);
    bool take_pages(u32 super, u64 pages);
    void give_pages(u32 super, u64 pages);

    // --- permissions.cpp
    i64 permission(const Viewer& viewer, u32 inode, u32 wanted) const;
    i64 permission(const Viewer& viewer, Location at, u32 wanted) const { return permission(viewer, at.inode, wanted); }
    i64 want_write(u32 mount) const;                     ///< -kEROFS when the mount or its file system is read-only
    i64 may_create(const Viewer& viewer, u32 directory) const;
    i64 may_delete(const Viewer& viewer, u32 directory, u32 dentry, bool want_directory) const;
    bool owner_or_capable(const Viewer& viewer, u32 inode) const;
    i64 may_open(const Viewer& viewer, Location at, u32 wanted, u64 flags) const;

    // --- walk.cpp
    Found walk(const Viewer& viewer, Location base, std::string_view path, u32 flags);
    i64 lookup(const Viewer& viewer, u32 directory, const std::string& name);
    Location step_up(const Viewer& viewer, Location at, bool* crossed = nullptr) const;
    Location cross_mounts(Location at) const;
    std::vector<Listed> list(const Viewer& viewer, Location at);
    std::string path_of(const Viewer& viewer, Location at, bool* unreachable = nullptr) const;
    std::string path_in_super(u32 dentry) const;

    // --- names.cpp: changing names. All check permissions; a result of 0 or more is success
    i64 create(const Viewer& viewer, const Found& found, const NewNode& node, bool exclusive = true);
    i64 remove(const Viewer& viewer, const Found& found, bool directory);
    i64 link(const Viewer& viewer, Location from, const Found& to);
    bool is_below(u32 dentry, u32 ancestor) const;
    i64 rename(const Viewer& viewer, const Found& from, const Found& to, u32 flags);
    i64 make_unnamed(const Viewer& viewer, Location directory, u32 permissions); ///< O_TMPFILE; the dentry
    i64 move_in_memory(const Viewer& viewer, const Renaming& renaming);          ///< rename(2) without its checks

    // --- attributes.cpp
    i64 change_mode(const Viewer& viewer, Location at, u32 permissions);
    i64 change_owner(const Viewer& viewer, Location at, u32 uid, u32 gid);       ///< kernel ids; kNoId: stays
    /// Times in nanoseconds; nullopt: stays. `touch`: both are now, for which write permission is enough.
    i64 change_times(const Viewer& viewer, Location at, std::optional<u64> accessed, std::optional<u64> modified, bool touch);
    i64 truncate(const Viewer& viewer, Location at, u64 size);
    i64 set_attribute(const Viewer& viewer, Location at, const std::string& name, const std::string& value, u32 flags);
    i64 get_attribute(const Viewer& viewer, Location at, const std::string& name, std::string& out);
    i64 list_attributes(const Viewer& viewer, Location at, std::string& out);
    i64 remove_attribute(const Viewer& viewer, Location at, const std::string& name);
    i64 attribute_permission(const Viewer& viewer, Location at, const std::string& name, bool write) const;
    void mirror_to_layer(u32 inode);                                             ///< an overlay's inode has changed: so has its upper layer's
    void touch_read(Location at, u64 now);
    void drop_privilege_bits(const Viewer& viewer, u32 inode);                   ///< a write by somebody without CAP_FSETID
    i64 copy_up(const Viewer& viewer, Location at);                              ///< before a change; no effect but on an overlay

    // --- mounts.cpp: the tree of mounts, and what mount(2) and its siblings do to it
    using InUse = std::function<bool(u32 mount)>;        ///< does anybody stand in it, or have a file of it open?
    u32 new_mount(u32 super, u32 root, const std::string& source, u32 flags);
    i64 mount_new(const Viewer& viewer, Location on, u32 super, u32 flags, const std::string& source);
    i64 new_super_for_mount(const Viewer& viewer, const FileSystemType& type, MountRequest request, u32& flags);
    i64 bind(const Viewer& viewer, Location from, Location on, bool recursive);
    i64 move_mount(const Viewer& viewer, Location from, Location on);
    i64 remount(const Viewer& viewer, Location at, u64 flags, const std::string& data);
    i64 change_propagation(const Viewer& viewer, Location at, u64 flags);
    i64 unmount(const Viewer& viewer, Location at, u32 flags, const InUse& in_use);
    i64 pivot_root(const Viewer& viewer, Location new_root, Location put_old);
    /// A detached copy of the mount at a place (open_tree(2) with OPEN_TREE_CLONE). The mount, or an errno.
    i64 clone_tree(const Viewer& viewer, Location from, bool recursive);
    i64 set_mount_flags(const Viewer& viewer, Location at, u32 set, u32 clear, u64 propagation, bool recursive);
    u32 mount_root(const Viewer& viewer, u32 super) const;
    bool may_mount(const Viewer& viewer) const;
    u32 flags_of_mount_call(u64 flags) const;
    bool is_mount_root(Location at) const;
    bool in_namespace(u32 mount, u32 index) const;
    bool is_namespace_file(u32 mount) const;
    std::vector<u32> tree_of(u32 mount) const;           ///< the mount and all below it, parents first
    void link_mount(u32 mount, u32 parent, u32 point);
    void unlink_mount(u32 mount);
    void put_in_namespace(u32 mount, u32 index);         ///< a whole tree
    void detach(const std::vector<u32>& victims);
    void detach_from_dentry(u32 dentry);                 ///< a name that goes takes the mounts on it along

    // --- mount_namespaces.cpp
    void start_namespace(u32 index, u32 owner);
    void free_namespace(u32 index);
    /// Copies the tree of a namespace (CLONE_NEWNS); `places` that lie on copied mounts move to the copies. 0 or an errno.
    i64 copy_namespace(u32 index, u32 from, u32 owner, const std::vector<Location*>& places);
    MountNamespace& namespace_at(u32 index) { return namespaces[index]; }
    const MountNamespace& namespace_at(u32 index) const { return namespaces[index]; }
    Location namespace_root(u32 index) const;            ///< with what is mounted on it
    void set_root_mount(u32 index, u32 mount);
    void lock_tree(u32 mount);

    // --- propagation.cpp
    void set_group(u32 mount, u32 group);
    void set_master(u32 mount, u32 group);
    void change_type(u32 mount, u64 type);               ///< one of ms::kPropagation
    i64 attach_recursive(u32 mount, Location on, bool moved);
    std::vector<u32> unmount_with_receivers(const std::vector<u32>& victims) const;
    bool busy_elsewhere(u32 mount, const InUse& in_use) const;
    std::vector<u32> receivers(u32 mount) const;         ///< mounts that what happens on `mount` propagates to
    i64 copy_tree(u32 mount, u32 root, bool recursive, u32 how, std::map<u32, u32>* copies);

    // --- mount_text.cpp
    std::string mounts_text(const Viewer& viewer, u32 index, Location root, bool info) const;
    std::string mount_options(u32 mount) const;
    u32 dominating_group(u32 mount, u32 index, Location root) const;

    // --- sweep.cpp: giving back what has neither name nor user
    struct Users {
        std::vector<Location> places;
        std::vector<u32> inodes;                         ///< mapped, without a place
        std::vector<u32> mounts;
    };
    /// The freed inodes, so that what is cached of them can go.
    std::vector<u32> sweep(const Users& users);
    bool wants_sweep() const { return garbage > 1000 + inodes.live() / 2; }

    ChunkPool<Inode> inodes;
    ChunkPool<Dentry> dentries;
    ChunkPool<Superblock> supers;
    std::map<u32, Mount> mounts;
    std::map<std::pair<u32, u32>, u32> covered;          ///< (dentry, parent mount) to what is mounted there
    std::map<u32, PeerGroup> groups;
    std::vector<MountNamespace> namespaces;
    std::map<u32, OverlayNode> overlay_nodes;            ///< by inode
    std::map<u32, OverlayLayers> overlay_layers;         ///< by superblock
    u32 next_mount = 1, next_group = 1, next_device = 1;
    u64 namespace_sequence = 0;
    u32 memory_mount = 0;                                ///< holds memfds; in no namespace
    std::set<u32> bound_namespaces;                      ///< mounts of files of namespaces
    u32 nsfs_mount = 0;                                  ///< holds the files of namespaces; in no namespace itself
    u64 pages = 0;                                       ///< of all contents
    u64 garbage = 0;                                     ///< names and mounts removed since the last sweep

    Vfs() { namespaces.reserve(16); }

  private:
    bool is_local_mount_point(const Viewer& viewer, u32 dentry) const;
    bool has_locked_children(u32 mount, u32 below) const;
    bool may_change_flags(const Mount& mount, u32 flags) const;
    bool too_revealing(const Viewer& viewer, u32 super, u32& flags) const;
    bool reachable(Location at, Location from) const;
};

} // namespace trapeze::container
