// Mounts: a file system (or a part of one) seen at a place in a mount namespace's tree, with flags of its own, and with peers and masters
// that mounting events propagate to (mount_namespaces(7), Documentation/filesystems/sharedsubtree.rst).
#pragma once

#include "container-sim/fs/inode.hpp"

#include <set>

namespace trapeze::container {

/// Flags of one mount, numbered as MOUNT_ATTR_* of mount_setattr(2).
namespace mount_flag {
inline constexpr u32 kReadOnly = 1, kNoSuid = 2, kNoDev = 4, kNoExec = 8, kNoAtime = 0x10, kStrictAtime = 0x20, kAtimeMask = 0x70, kNoDirAtime = 0x80, kNoSymFollow = 0x200000;
}

struct Mount {
    u32 parent = 0;           ///< mount; 0: the root of its tree
    u32 point = 0;            ///< dentry of the parent's file system that it covers
    u32 super = 0;
    u32 root = 0;             ///< dentry of its own file system
    u32 mount_namespace = 0;  ///< index + 1; 0: in no namespace (detached)
    u32 flags = 0;
    u32 locked_flags = 0;     ///< which may not be cleared: set in a more privileged namespace
    bool locked = false;      ///< may not be taken off alone: mounted in a more privileged namespace
    bool unbindable = false;
    bool anonymous = false;   ///< made by open_tree or fsmount, not attached yet
    u32 group = 0;            ///< of peers; 0: not shared
    u32 master = 0;           ///< group that it receives from; 0: none
    bool expires = false;     ///< umount2(MNT_EXPIRE) has been asked once
    std::string source;
    std::vector<u32> children;
};

/// mount(2)'s flags.
namespace ms {
inline constexpr u64 kReadOnly = 1, kNoSuid = 2, kNoDev = 4, kNoExec = 8, kRemount = 32, kNoSymFollow = 256, kNoAtime = 1024, kNoDirAtime = 2048, kBind = 4096, kMove = 8192,
                     kRecursive = 16384, kSilent = 32768, kUnbindable = 1 << 17, kPrivate = 1 << 18, kSlave = 1 << 19, kShared = 1 << 20, kRelatime = 1 << 21,
                     kStrictAtime = 1 << 24, kNoUser = u64{1} << 31;
inline constexpr u64 kPropagation = kUnbindable | kPrivate | kSlave | kShared;
} // namespace ms

// How a tree of mounts is copied.
inline constexpr u32 kCopyUnbindable = 1; ///< unbindable mounts, too: for a new namespace
inline constexpr u32 kSharedToSlave = 2;  ///< what was shared receives only: for a namespace of another user namespace
inline constexpr u32 kCopyPrivate = 4;    ///< without peers and masters

/// Peers, and who receives from them.
struct PeerGroup {
    std::set<u32> peers, slaves; ///< mounts
};

/// One mount namespace: the root of its tree, all mounts in it.
struct MountNamespace {
    u32 root_mount = 0;
    u32 owner = 0;            ///< user namespace
    std::set<u32> mounts;
    bool used = false;
    u64 sequence = 0;         ///< counts namespaces: a file of an older one may be bound in a newer, not the other way round
};

/// What fsopen(2) prepares.
struct MountContext {
    const FileSystemType* type = nullptr;
    std::string source, options;
    bool read_only = false;
    u32 super = 0;            ///< once it has been created
    bool mounted = false;
};

inline constexpr std::size_t kMaxMounts = 100'000;     ///< of one namespace (fs.mount-max)
inline constexpr std::size_t kMaxAllMounts = 400'000;

} // namespace trapeze::container
