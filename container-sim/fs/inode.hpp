// What the virtual file system is made of: inodes (a file and what is known about it), dentries (a name in a directory), superblocks (one
// file system of some type), and the rows of operations that a type of file system is.
#pragma once

#include "container-sim/credentials.hpp"
#include "container-sim/errno.hpp"
#include "container-sim/fs/file_data.hpp"
#include "emulator/base/result.hpp"
#include "emulator/base/types.hpp"
#include "emulator/trace/trace.hpp"

#include <array>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace trapeze {
class Machine;
}

namespace trapeze::container {

class Kernel;
class Vfs;

/// The type bits of a mode (inode(7)).
namespace mode {
inline constexpr u32 kType = 0170000, kFifo = 0010000, kCharacter = 0020000, kDirectory = 0040000, kBlock = 0060000, kFile = 0100000, kSymlink = 0120000, kSocket = 0140000;
inline constexpr u32 kSetUid = 04000, kSetGid = 02000, kSticky = 01000, kGroupExecute = 010, kPermissions = 07777;
inline constexpr u32 kRead = 4, kWrite = 2, kExecute = 1;
} // namespace mode

/// F_SEAL_* of fcntl(2): what may not be done to a memfd any more.
namespace seal {
inline constexpr u32 kSeal = 1, kShrink = 2, kGrow = 4, kWrite = 8, kFutureWrite = 16, kExec = 32;
}

constexpr u64 make_device(u32 major, u32 minor) { return (minor & 0xff) | (u64{major} << 8) | (u64{minor & 0xfff00} << 12); }
constexpr u32 device_major(u64 device) { return static_cast<u32>(device >> 8 & 0xfff); }
constexpr u32 device_minor(u64 device) { return static_cast<u32>((device & 0xff) | (device >> 12 & 0xfff00)); }

struct GeneratedFile;

struct Times {
    u64 accessed = 0, modified = 0, changed = 0, born = 0; ///< virtual nanoseconds
};

struct Inode {
    u32 super = 0;                          ///< superblock; 0: this number is free
    u64 number = 0;                         ///< st_ino
    u32 mode = 0;                           ///< type and permissions
    u32 uid = 0, gid = 0;                   ///< kernel ids
    u32 links = 1;
    u64 device = 0;                         ///< st_rdev of a device node
    Times times;
    u64 version = 0;                        ///< counts changes of the contents
    std::map<std::string, u32> children;    ///< of a directory: name to dentry
    std::string target;                     ///< of a symbolic link
    FileData data;                          ///< of a regular file
    std::string host_path;                  ///< of a file of a host folder that has not been read yet
    u64 host_size = 0;
    std::map<std::string, std::string> attributes; ///< extended ones (xattr(7))
    const GeneratedFile* generated = nullptr; ///< text made when it is read
    u64 key = 0;                            ///< of a generated file, directory or link: what it is about
    u32 kind = 0;                           ///< of the same: what it is
    u32 first_dentry = 0;                    ///< of an inode in memory: its first name
    u32 seals = ~u32{0};                    ///< of a memfd: F_SEAL_*; ~0 elsewhere

    bool is(u32 type) const { return (mode & mode::kType) == type; }
    bool is_directory() const { return is(mode::kDirectory); }
    bool is_file() const { return is(mode::kFile); }
    bool is_symlink() const { return is(mode::kSymlink); }
    u64 size() const { return is_file() ? (host_path.empty() ? data.size() : host_size) : is_symlink() ? target.size() : 0; }
};

/// A name in a directory. A directory has one; a file as many as it has links.
struct Dentry {
    u32 inode = 0;                          ///< 0: this number is free
    u32 parent = 0;                         ///< itself: the root of its file system
    std::string name;
    bool unhashed = false;                  ///< removed from its directory, but perhaps in use
};

/// A place: which mount, and which name below it. The inode is the dentry's.
struct Location {
    u32 mount = 0, dentry = 0, inode = 0;
    bool operator==(const Location& other) const { return mount == other.mount && dentry == other.dentry; }
};

/// Who looks: the identity, the place and the time of one system call.
struct Viewer {
    Kernel* kernel = nullptr;               ///< null in tests of the file system alone
    Machine* machine = nullptr;
    u32 task = 0;
    const Credentials* credentials = nullptr;
    Location root, cwd;
    u32 mount_namespace = 0;
    u32 umask = 022;
    u64 now = 0;                            ///< virtual nanoseconds

    bool capable(u32 user_namespace, Capability capability) const;
    /// A capability over an inode: held in the viewer's own user namespace, which must map the inode's ids.
    bool capable_over(const Inode& inode, Capability capability) const;
    bool maps(const Inode& inode) const;
    /// True when the viewer's own file ids exist in that user namespace.
    bool maps_own(u32 user_namespace) const;
    /// The kernel's id of one that the viewer names (kNoId: it is not mapped), and the other way round (65534).
    u32 kernel_id(u32 seen, bool group) const;
    u32 seen_id(u32 kernel_id, bool group) const;
    u32 net_namespace() const;
    u32 pid_namespace() const;
    bool may_mount_sysfs() const;           ///< its user namespace must own its net namespace, or be above
    bool may_mount_proc() const;
    void note(EventKind kind, const std::string& text) const; ///< an event of the viewer's
    std::string cgroup_text(const struct Task& shown) const; ///< /proc/PID/cgroup
    u64 memory_bytes() const;               ///< of the machine; 0: not known
};

/// What a generated file is read or written through.
struct Reader {
    Vfs& vfs;
    const Viewer& viewer;
    u32 super;
    u32 inode;
    u64 key;
};
/// A file whose text is made when it is read, and whose writes are acted upon: one row of a table.
struct GeneratedFile {
    const char* name;
    u32 mode;                               ///< permissions
    std::string (*show)(const Reader& reader);                      ///< null: reading is EINVAL
    i64 (*store)(const Reader& reader, std::string_view text);      ///< null: writing is EIO; bytes taken, or an errno
    i64 (*may_open)(const Reader& reader) = nullptr;                ///< beyond the mode: 0 or an errno
    u64 (*changes)(const Kernel& kernel, u64 key) = nullptr;        ///< counts what poll(2) tells as POLLPRI to who has not read it since
};

/// One entry of a listing, as getdents64 gives it.
struct Listed {
    std::string name;
    u64 number = 0;
    u32 mode = 0;
};

struct Superblock;
/// What is asked of a new file system: mount(2)'s source and options, or what fsconfig(2) was given.
struct MountRequest {
    std::string source, options;
    u32 user_namespace = 0;                 ///< the mounter's
    bool read_only = false;
    std::vector<std::pair<std::string, Location>> places; ///< options whose paths have been walked already
};
/// What a new name in a directory is to be.
struct NewNode {
    u32 mode = 0;                           ///< type and permissions, umask applied
    u64 device = 0;
    std::string target;
};

/// rename(2), all of it checked.
struct Renaming {
    u32 dentry = 0, directory = 0, target = 0; ///< what moves, where to, and what has the name there (0: nothing)
    std::string name;
    u32 flags = 0;
};

/// A type of file system as a row of operations; null takes what Vfs does for inodes in memory.
struct FileSystemType {
    const char* name;
    u32 magic;                              ///< statfs(2)
    bool for_users;                         ///< may be mounted in a user namespace (FS_USERNS_MOUNT)
    bool nodev;                             ///< /proc/filesystems says so
    bool single;                            ///< one superblock for all mounts of it
    i64 (*shared)(Vfs& vfs, const Viewer& viewer, const MountRequest& request);           ///< the one of the viewer's namespace; null: each mount has a new one
    i64 (*fill)(Vfs& vfs, const Viewer& viewer, u32 super, const MountRequest& request);
    i64 (*check)(const Viewer& viewer, const std::string& option);  ///< one option: 0 or an errno; null: told when mounted
    i64 (*change)(Vfs& vfs, const Viewer& viewer, u32 super, const std::string& options); ///< MS_REMOUNT
    i64 (*lookup)(Vfs& vfs, const Viewer& viewer, u32 directory, const std::string& name); ///< dentry, 0, or an errno
    void (*list)(Vfs& vfs, const Viewer& viewer, u32 directory, std::vector<Listed>& out);
    i64 (*create)(Vfs& vfs, const Viewer& viewer, u32 directory, const std::string& name, const NewNode& node); ///< dentry or an errno
    i64 (*remove)(Vfs& vfs, const Viewer& viewer, u32 dentry);
    i64 (*link)(Vfs& vfs, const Viewer& viewer, u32 dentry, u32 directory, const std::string& name);
    i64 (*rename)(Vfs& vfs, const Viewer& viewer, const Renaming& renaming);
    i64 (*copy_up)(Vfs& vfs, const Viewer& viewer, u32 dentry);                     ///< before an inode changes
    i64 (*follow)(Vfs& vfs, const Viewer& viewer, u32 inode, Location& out);       ///< of a magic link; kNoMagic: an ordinary one
    std::string (*link_text)(Vfs& vfs, const Viewer& viewer, u32 inode);            ///< of a link made up when read
    std::string (*options)(const Vfs& vfs, const Superblock& super);               ///< as /proc/mounts shows them
    u32 (*mount_root)(const Vfs& vfs, const Viewer& viewer, u32 super);             ///< dentry that a new mount shows as its root
    std::string (*root_text)(const Vfs& vfs, const Viewer& viewer, u32 dentry);     ///< a mount's root in mountinfo
    bool (*alive)(Vfs& vfs, const Viewer& viewer, u32 inode);                ///< false: what it is about has gone (d_revalidate)
    bool of_memory;                         ///< its files are pages of the machine's memory and nowhere else
};
const FileSystemType* file_system_type(std::string_view name);
const std::vector<const FileSystemType*>& file_system_types();

inline constexpr i64 kNoMagic = 1;

struct Superblock {
    const FileSystemType* type = nullptr;   ///< null: this number is free
    u32 root = 0;                           ///< dentry
    u32 owner = 0;                          ///< user namespace of the mounter
    u32 device = 0;                         ///< minor of st_dev 0:N
    std::string source;
    bool read_only = false;
    bool no_devices = false, no_execute = false; ///< SB_I_NODEV, SB_I_NOEXEC
    u64 most_pages = ~u64{0}, pages = 0;
    u64 most_inodes = ~u64{0}, inodes = 0;
    u64 next_number = 1;
    std::string shown;                      ///< its options as /proc/mounts shows them
    u32 node_uid = kNoId, node_gid = kNoId, node_mode = 0600; ///< of a devpts: what terminals get
    u32 namespace_index = 0;                ///< pid namespace of a proc, net namespace of a sysfs, cgroup root of a cgroup2
    u32 hide_processes = 0;                 ///< of a proc: hidepid=
    u64 key = 0;                            ///< of `single` ones: what they are shared by
};

inline constexpr unsigned kMaxSymlinks = 40;                 ///< then ELOOP
inline constexpr std::size_t kMaxNameBytes = 255, kMaxPathBytes = 4096;
inline constexpr std::size_t kMaxInodes = 400'000;
inline constexpr u64 kMaxFileBytes = u64{256} << 20;         ///< that one write or read of the host makes of one file
inline constexpr u64 kMaxFileOffset = (u64{1} << 63) - 1 - kPageMask;
inline constexpr u64 kMaxTreePages = u64{1} << 18;           ///< of all contents in memory: 1 GiB

} // namespace trapeze::container
