// Namespaces: what a process sees of process ids, names and mounts (namespaces(7)). The first of each kind is the host's.
#pragma once

#include "emulator/base/types.hpp"

#include <string>
#include <vector>

namespace trapeze::container {

enum class NamespaceKind : u8 { Pid, Uts, Mnt, Count };
/// Names as in /proc/PID/ns.
constexpr const char* namespace_name(NamespaceKind kind) { return kind == NamespaceKind::Pid ? "pid" : kind == NamespaceKind::Uts ? "uts" : "mnt"; }

/// Index into the kernel's table of that kind; 0 is the host's.
struct NamespaceSet {
    u32 pid = 0, uts = 0, mnt = 0;
    bool operator==(const NamespaceSet&) const = default;
};

inline constexpr unsigned kMaxPidLevels = 32; ///< pid_namespaces(7): nesting beyond it is ENOSPC

struct PidNamespace {
    u32 parent = 0;   ///< its own index for the host's
    unsigned level = 0;
    i32 next_pid = 1;
    bool dead = false; ///< its init has ended: nobody can be born into it (ENOMEM)
    bool operator==(const PidNamespace&) const = default;
};
struct UtsNamespace {
    std::string hostname;
    bool operator==(const UtsNamespace&) const = default;
};

/// A number as /proc/PID/ns/KIND shows it: Linux's first inode numbers for the host's, then counting on.
constexpr u64 namespace_inode(NamespaceKind kind, u32 index) {
    constexpr u64 kFirst[] = {4026531836, 4026531838, 4026531841};
    return index == 0 ? kFirst[static_cast<std::size_t>(kind)] : 4026532200 + u64{index} * 8 + static_cast<u64>(kind);
}

} // namespace trapeze::container
