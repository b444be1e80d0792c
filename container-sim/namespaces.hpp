// Namespaces: what a process sees of process ids, names, mounts, devices of the network and so on (namespaces(7)). The first of each kind
// is the host's. Each is owned by a user namespace, against which capabilities over it count.
#pragma once

#include "container-sim/credentials.hpp"

#include <map>
#include <string>
#include <vector>

namespace trapeze::container {

/// NAMESPACE(kind, name as in /proc/PID/ns, its flag of clone(2), inode number of the host's).
enum class NamespaceKind : u8 {
#define NAMESPACE(kind, name, flag, first) kind,
#include "container-sim/namespaces.def"
    Count
};
constexpr const char* namespace_name(NamespaceKind kind) {
    constexpr const char* kNames[] = {
#define NAMESPACE(kind, name, flag, first) name,
#include "container-sim/namespaces.def"
    };
    return kNames[static_cast<std::size_t>(kind)];
}
/// CLONE_NEWPID and its siblings.
constexpr u64 namespace_flag(NamespaceKind kind) {
    constexpr u64 kFlags[] = {
#define NAMESPACE(kind, name, flag, first) flag,
#include "container-sim/namespaces.def"
    };
    return kFlags[static_cast<std::size_t>(kind)];
}
constexpr u64 first_namespace_inode(NamespaceKind kind) {
    constexpr u64 kFirst[] = {
#define NAMESPACE(kind, name, flag, first) first,
#include "container-sim/namespaces.def"
    };
    return kFirst[static_cast<std::size_t>(kind)];
}
inline constexpr u64 kFirstNewNamespace = 4026532200; ///< inode numbers of those that come later count from here

/// Indices into the kernel's pools; 0 is the host's. The user namespace is part of the credentials.
struct NamespaceSet {
    u32 pid = 0, uts = 0, mnt = 0, ipc = 0, net = 0, cgroup = 0, time = 0;
    bool operator==(const NamespaceSet&) const = default;
};

inline constexpr unsigned kMaxPidLevels = 32;  ///< pid_namespaces(7): nesting beyond it is ENOSPC
inline constexpr unsigned kMaxUserLevels = 33; ///< user_namespaces(7)
inline constexpr u32 kMaxNamespaces = 32'768;  ///< of each kind, then ENOSPC (/proc/sys/user/max_*_namespaces)

/// What every namespace has: its number as /proc/PID/ns/KIND shows it, and the user namespace that owns it.
struct NamespaceHead {
    u64 inode = 0;
    u32 owner = 0;
    bool operator==(const NamespaceHead&) const = default;
};

struct PidNamespace : NamespaceHead {
    u32 parent = 0;                ///< its own index for the host's
    unsigned level = 0;
    i32 last_pid = 0;
    bool dead = false;             ///< its init has ended: nobody can be born into it (ENOMEM)
    i32 reboot_signal = 0;         ///< reboot(2) inside: how its init ends
    std::map<i32, i32> members;    ///< pid here to pid of the host's namespace
    bool operator==(const PidNamespace&) const = default;
};
struct UtsNamespace : NamespaceHead {
    std::string hostname, domainname = "(none)";
    bool operator==(const UtsNamespace&) const = default;
};
/// Offsets in nanoseconds of CLOCK_MONOTONIC and CLOCK_BOOTTIME (time_namespaces(7)).
struct TimeNamespace : NamespaceHead {
    i64 monotonic = 0, boottime = 0;
    bool entered = false; ///< a process has been born into it: the offsets stay
    bool operator==(const TimeNamespace&) const = default;
};
struct CgroupNamespace : NamespaceHead {
    u32 root = 0; ///< cgroup that its processes see as /
    bool operator==(const CgroupNamespace&) const = default;
};
struct UserNamespace : NamespaceHead {
    u32 parent = 0;                ///< its own index for the host's
    unsigned level = 0;
    u32 owner_uid = 0, owner_gid = 0; ///< effective ids of who made it, kernel ids
    std::vector<IdRange> uids, gids;  ///< inside to kernel ids; empty: not written yet
    bool setgroups_allowed = true;
    bool operator==(const UserNamespace&) const = default;
};
inline constexpr std::size_t kMaxIdRanges = 340; ///< lines of uid_map

/// A kernel id for an id inside (kNoId: not mapped), and the other way round.
u32 map_into_kernel(const std::vector<IdRange>& ranges, u32 inside);
u32 map_out_of_kernel(const std::vector<IdRange>& ranges, u32 kernel_id);

} // namespace trapeze::container
