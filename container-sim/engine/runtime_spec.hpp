// What a container is to be, in the terms of the OCI runtime specification (config.md, config-linux.md of version 1.0): what an engine
// gives to its runtime, and what `config.json` of a bundle holds.
//
// Known gaps: no hooks, no Windows, Solaris or VM sections, no Intel RDT; devices beyond the default ones, sysctls beyond those that /proc/sys
// has and AppArmor or SELinux labels are read and refused with a sentence.
#pragma once

#include "container-sim/credentials.hpp"
#include "container-sim/engine/seccomp_profile.hpp"
#include "container-sim/namespaces.hpp"

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace trapeze::container {

struct SpecMount {
    std::string destination, type, source;
    std::vector<std::string> options;
    bool operator==(const SpecMount&) const = default;
};
struct SpecNamespace {
    NamespaceKind kind = NamespaceKind::Pid;
    std::string path;                ///< of a namespace's file to enter; empty: a new one
    bool operator==(const SpecNamespace&) const = default;
};
struct SpecLimit {
    unsigned kind = 0;               ///< RLIMIT_*
    u64 soft = 0, hard = 0;
    bool operator==(const SpecLimit&) const = default;
};
/// Files of the cgroup and what is written to them, in order: "memory.max", "1048576".
using CgroupFiles = std::vector<std::pair<std::string, std::string>>;

struct RuntimeSpec {
    bool terminal = false;
    u16 rows = 24, columns = 80;
    u32 uid = 0, gid = 0;
    std::vector<u32> groups;
    std::optional<u32> umask;
    std::vector<std::string> arguments, environment;
    std::string working_dir = "/";
    u64 bounding = 0, effective = 0, permitted = 0, inheritable = 0, ambient = 0;
    std::vector<SpecLimit> limits;
    bool no_new_privileges = false;
    std::optional<i32> oom_score_adjust;

    std::string root = "rootfs";     ///< of a bundle: the folder that the root's lowest layer is
    bool read_only = false;
    std::string hostname, domainname;
    std::vector<SpecMount> mounts;
    std::vector<SpecNamespace> namespaces;
    std::vector<IdRange> uids, gids; ///< of a new user namespace
    std::string cgroup;              ///< path from the root of the hierarchy
    CgroupFiles resources;
    std::optional<SeccompProfile> seccomp;
    std::vector<std::string> masked, read_only_paths;
    std::vector<std::pair<std::string, std::string>> sysctls;
    std::string propagation;         ///< of the root: "", "private", "rslave", ...

    bool has(NamespaceKind kind) const { return find(kind) != nullptr; }
    const SpecNamespace* find(NamespaceKind kind) const {
        for (const SpecNamespace& one : namespaces)
            if (one.kind == kind) return &one;
        return nullptr;
    }
};

/// What Docker gives a container that asks for nothing: its mounts, namespaces, 14 capabilities, masked paths, filter.
RuntimeSpec default_spec();
inline constexpr Capability kDefaultCapabilities[] = {Capability::Chown, Capability::DacOverride, Capability::Fsetid, Capability::Fowner, Capability::Mknod, Capability::NetRaw,
                                                      Capability::Setgid, Capability::Setuid, Capability::Setfcap, Capability::Setpcap, Capability::NetBindService, Capability::SysChroot,
                                                      Capability::Kill, Capability::AuditWrite};
/// "NET_ADMIN" and "CAP_NET_ADMIN" in any case; nullopt: there is none of that name.
std::optional<Capability> capability_named(std::string name);

/// config.json as runc's `spec` writes it; and reading one. The error names the file and the member.
std::string spec_json(const RuntimeSpec& spec);
Result<RuntimeSpec> parse_spec(std::string_view text, const std::string& name);

} // namespace trapeze::container
