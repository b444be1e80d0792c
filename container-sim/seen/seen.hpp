// What a reader sees of the container kernel: plain values, each made by one function from a const kernel. The command line prints them, JSON
// carries them, panels draw them; none of them holds anything that points into the kernel.
//
// Usage:
//   const ProcessMatrix matrix = process_matrix(kernel);
//   const MountTree tree = mount_tree(kernel, matrix.processes[0].namespaces[NamespaceKind::Mnt]);
//   const PacketPath path = packet_path(kernel, {.net = 1, .destination = ipv4(10, 0, 0, 2), .port = 80});
//
// Lists that a program inside can make long are cut at a limit, and say so (`cut`).
#pragma once

#include "container-sim/kernel.hpp"

namespace trapeze::container {

inline constexpr std::size_t kNamespaceKinds = static_cast<std::size_t>(NamespaceKind::Count);

// --- Processes and their namespaces (processes_seen.cpp) ----------------------------------------------------------------------------------

/// A value for each kind of namespace.
template <class T> struct ByNamespace {
    std::array<T, kNamespaceKinds> values{};
    T& operator[](NamespaceKind kind) { return values[static_cast<std::size_t>(kind)]; }
    const T& operator[](NamespaceKind kind) const { return values[static_cast<std::size_t>(kind)]; }
    bool operator==(const ByNamespace&) const = default;
};

/// A row of the process x namespace matrix: where a process lives, and what it is told there where the host would be told something else.
struct ProcessSeen {
    i32 pid = 0, parent = 0;           ///< outside: in the host's pid namespace
    unsigned depth = 0;                ///< in the tree of processes
    std::vector<i32> pids;             ///< in each pid namespace from the host's down to its own
    u32 threads = 0;
    std::string name, state;
    u32 container = 0;                 ///< 0: the host's
    ByNamespace<u32> namespaces;       ///< indices; 0 is the host's
    ByNamespace<u64> inodes;           ///< as /proc/PID/ns shows them
    u32 uid = 0, gid = 0;              ///< outside: kernel ids
    u32 uid_inside = 0, gid_inside = 0; ///< as its own user namespace shows them
    u64 capabilities = 0;              ///< effective, over its own user namespace
    std::string hostname, root;        ///< root: what is mounted there
    std::string cgroup, cgroup_inside; ///< path from the root of all, and from the root of its cgroup namespace
    i64 time_offset = 0;               ///< ns that CLOCK_MONOTONIC is ahead of the host's inside
    std::vector<std::string> devices;  ///< of its net namespace
    u32 mounts = 0;                    ///< in its mnt namespace
    bool operator==(const ProcessSeen&) const = default;
};
/// One namespace, and who is in it.
struct NamespaceSeen {
    NamespaceKind kind = NamespaceKind::Pid;
    u32 index = 0;
    u64 inode = 0, owner = 0;          ///< owner: inode of the user namespace against which capabilities over it count
    std::vector<i32> members;          ///< pids outside
    bool operator==(const NamespaceSeen&) const = default;
};
struct ProcessMatrix {
    std::vector<ProcessSeen> processes; ///< parents before their children
    std::vector<NamespaceSeen> namespaces; ///< by kind, the host's first; those that somebody is in
    bool operator==(const ProcessMatrix&) const = default;
};
ProcessMatrix process_matrix(const Kernel& kernel);
/// The index of the namespace that a process is in; nullopt: there is no such process (its pid is the host's).
std::optional<u32> namespace_of_process(const Kernel& kernel, i32 pid, NamespaceKind kind);

// --- Mounts and overlays (mounts_seen.cpp, overlays_seen.cpp) -----------------------------------------------------------------------------------

struct MountSeen {
    u32 id = 0, parent = 0;            ///< parent 0: the root of the tree
    unsigned depth = 0;
    std::string place;                 ///< in the namespace, from the root of its tree
    std::string type, source, root;    ///< root: which directory of its file system it shows
    std::string flags;                 ///< "rw,nosuid,..."
    u32 group = 0, master = 0;         ///< of peers; that it receives from; 0: none
    bool unbindable = false, locked = false;
    bool hidden = false;               ///< another mount lies over it
    std::vector<std::string> receivers; ///< what is mounted below it turns up there, too: "namespace:place"
    bool operator==(const MountSeen&) const = default;
};
struct MountTree {
    u64 inode = 0, owner = 0;          ///< of the mnt namespace, and of the user namespace that owns it
    std::vector<MountSeen> mounts;     ///< parents before what is mounted below them
    bool operator==(const MountTree&) const = default;
};
/// "shared:3 master:1", "private", "unbindable", ...
std::string propagation_text(const MountSeen& mount);
/// Pre: the mount namespace exists.
MountTree mount_tree(const Kernel& kernel, u32 mount_namespace);

enum class LayerAnswer : u8 { Lower, Upper, CopiedUp, Merged, Opaque, Whiteout };
/// "copied up" and so on.
const char* answer_name(LayerAnswer answer);
struct OverlayEntry {
    std::string path;                  ///< in the overlay
    u32 mode = 0;                      ///< type and permissions, of the layer that gives it
    u64 size = 0;
    std::vector<unsigned> layers;      ///< which have the name: 0 is the upper one, 1 the topmost lower
    unsigned from = 0;                 ///< the layer whose contents a reader gets; of a whiteout: the one that hides
    LayerAnswer answer = LayerAnswer::Lower;
    bool operator==(const OverlayEntry&) const = default;
};
struct OverlaySeen {
    u32 mount = 0;
    std::string place;                 ///< in its namespace
    std::vector<std::string> layers;   ///< where they are: the upper one first ("": there is none), then the lower ones from the top
    std::vector<OverlayEntry> entries; ///< by path
    u64 copied_up = 0, whiteouts = 0, own = 0; ///< entries that are only in the upper layer: own
    bool cut = false;
    bool operator==(const OverlaySeen&) const = default;
};
inline constexpr std::size_t kMostOverlayEntries = 4000; ///< of one overlay
/// The overlays of a mount namespace.
std::vector<OverlaySeen> overlays_seen(const Kernel& kernel, u32 mount_namespace, std::size_t most = kMostOverlayEntries);

// --- Cgroups (cgroups_seen.cpp) ---------------------------------------------------------------------------------------------------------

/// One figure of a controller: what is used of what limit.
struct CgroupFigure {
    std::string controller, name;      ///< "pids", "current"
    u64 used = 0, limit = kNoLimit;    ///< kNoLimit: there is none
    std::string unit;                  ///< "tasks", "us", "bytes"
    bool operator==(const CgroupFigure&) const = default;
};
/// What a controller has counted since the group was made: refusals, throttled periods, kills.
struct CgroupCount {
    std::string name;                  ///< as the kernel's file calls it: "pids.events max"
    u64 count = 0;
    bool operator==(const CgroupCount&) const = default;
};
struct PressureSeen {
    std::string resource;
    u64 some = 0, full = 0;            ///< microseconds in which some, or all, of the tasks waited
    std::string some_average, full_average; ///< over 10 s, per cent
    bool operator==(const PressureSeen&) const = default;
};
struct CgroupSeen {
    u32 number = 0;
    unsigned depth = 0;
    std::string path, name;
    std::string controllers, given;    ///< which it has, and which it gives to those below
    std::vector<i32> processes;        ///< pids outside
    u32 threads = 0;
    bool populated = false, frozen = false, throttled = false, removed = false;
    u32 weight = 100;                  ///< cpu.weight
    u64 quota = kNoLimit, period = 0;  ///< cpu.max, microseconds
    u64 used_cpu = 0, throttled_cpu = 0; ///< microseconds
    std::vector<CgroupFigure> figures;
    std::vector<CgroupCount> counts;
    std::vector<PressureSeen> pressure;
    bool operator==(const CgroupSeen&) const = default;
};
/// The whole tree, parents first. `now`: cycles of the machine.
std::vector<CgroupSeen> cgroup_tree(const Kernel& kernel, u64 now);

// --- Network (network_seen.cpp) ---------------------------------------------------------------------------------------------------------

struct DeviceSeen {
    u32 id = 0, ifindex = 0;
    std::string name, kind, mac;
    u32 mtu = 0;
    bool up = false, carrier = false;
    std::vector<std::string> addresses; ///< "172.17.0.2/16"
    std::string peer, bridge;          ///< "net 0: veth1"; the bridge that it is a port of
    std::vector<std::string> ports;    ///< of a bridge
    u32 peer_id = kNone, bridge_id = kNone;
    TrafficCount received, sent;
    bool operator==(const DeviceSeen&) const = default;
};
struct SocketSeen {
    std::string protocol, local, remote, state;
    bool operator==(const SocketSeen&) const = default;
};
struct NetSpaceSeen {
    u32 index = 0;
    u64 inode = 0;
    std::vector<i32> members;          ///< pids outside
    std::string who;                   ///< a name for readers: "host", or the host name of who is in it
    bool forwards = false;
    std::vector<DeviceSeen> devices;
    std::vector<std::string> routes, rules, neighbours, tracked; ///< as sentences of the kind that ip(8) prints
    std::vector<SocketSeen> sockets;
    bool operator==(const NetSpaceSeen&) const = default;
};
struct NetworkSeen {
    std::vector<NetSpaceSeen> spaces;
    bool operator==(const NetworkSeen&) const = default;
};
NetworkSeen network_seen(const Kernel& kernel);

/// A packet that is asked about.
struct PacketQuestion {
    u32 net = 0;                       ///< whose program sends it
    Ipv4 destination = 0;
    u16 port = 0;
    u8 protocol = kIpUdp;              ///< kIpUdp, kIpTcp (its SYN)
};
struct HopSeen {
    u64 packet = 0;                    ///< which of the packets: ARP and answers are others
    u32 net = 0;
    std::string where, device, sentence, flow;
    bool operator==(const HopSeen&) const = default;
};
struct PacketPath {
    std::string question, error;       ///< error: why nothing could be sent; empty: it was
    std::vector<HopSeen> hops;
    bool arrived = false;
    bool operator==(const PacketPath&) const = default;
};
/// Sends it in a copy of the network, and tells its way hop by hop; the kernel itself stays as it is.
PacketPath packet_path(const Kernel& kernel, const PacketQuestion& question);
/// The ways of the packets that were really sent since recording began (Network::record_paths), the newest last.
std::vector<PacketPath> packet_paths(const Kernel& kernel, std::size_t most = 64);

} // namespace trapeze::container
