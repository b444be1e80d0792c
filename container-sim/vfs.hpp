// The virtual file system: inodes in memory, mounts per mount namespace, path walking (path_resolution(7)). A host folder is mounted as
// a snapshot of its names; contents are read when first opened, and writes stay in memory: the host is never written.
#pragma once

#include "container-sim/errno.hpp"
#include "emulator/base/result.hpp"
#include "emulator/base/types.hpp"

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace trapeze::container {

enum class InodeType : u8 { Directory, File, Symlink, Null, Zero, Tty, Socket, ProcRoot, ProcPid, ProcFile };

using Content = std::shared_ptr<const std::vector<u8>>;

struct Inode {
    InodeType type = InodeType::File;
    u32 mode = 0644;
    u32 parent = 0;
    std::map<std::string, u32> children; ///< of a directory
    std::string target;                  ///< of a symbolic link
    Content content;                     ///< of a file; null until read
    std::string host_path;               ///< where the content comes from; empty: from nowhere
    u64 size = 0;
    bool unlinked = false;               ///< has no name any more, but perhaps users
    bool free = false;
};

/// A place in the tree: which mount, which inode in it.
struct Location {
    u32 mount = 0;
    u32 inode = 0;
    bool operator==(const Location&) const = default;
};
struct Mount {
    u32 root = 0;             ///< inode
    Location on;              ///< where it is mounted
    bool is_root = false;
    bool read_only = false;
    u32 pid_namespace = 0;    ///< of a /proc: whose processes it shows (its mounter's)
    std::string type, source;
    bool operator==(const Mount&) const = default;
};
/// The mounts of one mount namespace, by id.
struct MountNamespace {
    std::map<u32, Mount> mounts;
    u32 root_mount = 0;
    bool operator==(const MountNamespace&) const = default;
};

inline constexpr unsigned kMaxSymlinks = 40;                 ///< then ELOOP
inline constexpr std::size_t kMaxInodes = 200'000;
inline constexpr u64 kMaxFileBytes = u64{256} << 20;         ///< of one file
inline constexpr u64 kMaxTreeBytes = u64{1} << 30;           ///< of all contents in memory

class Vfs {
  public:
    Vfs();

    /// Makes a tree from a host folder. Its symbolic links stay links; nothing outside the folder is ever opened.
    Result<u32> import_folder(const std::string& host_folder);
    u32 make_tree(InodeType type = InodeType::Directory);
    /// A new inode in a directory, or an errno.
    i64 create(u32 directory, const std::string& name, InodeType type, u32 mode);

    const Inode& at(u32 inode) const { return inodes_[inode]; }
    Inode& at(u32 inode) { return inodes_[inode]; }
    /// The bytes of a file, read from the host when needed. Null when they cannot be had.
    Content content(u32 inode);
    i64 write(u32 inode, u64 offset, const std::vector<u8>& bytes);
    i64 truncate(u32 inode, u64 size);
    i64 unlink(u32 directory, const std::string& name, bool want_directory);
    i64 rename(u32 from, const std::string& name, u32 to, const std::string& new_name);
    /// Frees an unlinked inode that nobody uses; its number is given out again.
    void release(u32 inode);
    std::size_t inodes() const { return inodes_.size(); }

    u32 new_mount_id() { return next_mount_++; }

  private:
    Result<void> import_entries(u32 directory, const std::string& host_folder, unsigned depth);
    i64 account(u64 before, u64 after);

    std::vector<Inode> inodes_;
    std::vector<u32> free_;
    u32 next_mount_ = 1;
    u64 bytes_ = 0;
};

} // namespace trapeze::container
