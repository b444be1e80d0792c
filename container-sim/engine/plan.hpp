// A runtime's plan: the system calls that make a container of its specification, in the order in which crun makes them.
//
// The engine's own: the container's folder, its cgroup, namespaces to be entered, the birth of the first process into new ones, id maps,
// the cable to its network. From then on the container's, with all that the engine may do still: mounts, devices, what is hidden, the new
// root, host name, terminal, limits, capabilities, filter, ids, and the program.
#pragma once

#include "container-sim/engine/runtime_spec.hpp"
#include "container-sim/engine/steps.hpp"
#include "container-sim/net/net_packet.hpp"

namespace trapeze::container {

/// A container's end of a cable to a bridge.
struct NetworkPlan {
    bool loopback = false;           ///< a new net namespace: its lo comes up
    std::string bridge, veth;        ///< names on the host; empty: no cable
    Ipv4 address = 0, gateway = 0;
    unsigned prefix = 16;
};

struct StartPlan {
    RuntimeSpec spec;
    std::string folder;              ///< the container's on the host: diff, work and merged are in it
    std::string overlay;             ///< options of the root's overlay
    bool cgroups = false;            ///< the hierarchy has files
    NetworkPlan network;
    std::string name;                ///< for sentences
};
/// The steps that start a container. The error names what cannot be done.
Result<std::vector<Step>> plan_start(const StartPlan& plan);

/// A further process in a running container.
struct ExecPlan {
    RuntimeSpec spec;                ///< its process; the rest is the container's
    i32 pid = 0;                     ///< the container's first process, as the host sees it
    std::vector<NamespaceKind> kinds; ///< that it shares with the host no more
};
Result<std::vector<Step>> plan_exec(const ExecPlan& plan);

// Parts, each adding to a list.
namespace planning {
using Steps = std::vector<Step>;
inline constexpr u64 kOpenPath = 010000000, kOpenClose = 02000000, kOpenWrite = 1, kOpenReadWrite = 2, kOpenCreate = 0100, kOpenTruncate = 01000, kOpenDirectory = 0200000, kOpenNoTerminal = 0400;

/// mkdirat of a folder of the host, undone by unlinkat.
Step make_folder(const std::string& path, u64 permissions, std::string why);
/// openat, write, close.
void write_file(Steps& steps, Step::By by, const std::string& path, const std::string& text, const std::string& why, bool create = false);
Result<void> add_mounts(Steps& steps, const RuntimeSpec& spec);          ///< plan_mounts.cpp
void add_devices(Steps& steps, const RuntimeSpec& spec);
void add_hidden_paths(Steps& steps, const RuntimeSpec& spec);
void add_new_root(Steps& steps, const RuntimeSpec& spec);
Result<void> add_process(Steps& steps, const RuntimeSpec& spec);         ///< plan_process.cpp
void add_terminal(Steps& steps, const RuntimeSpec& spec, bool console_file);
void add_cable(Steps& steps, const NetworkPlan& network);                ///< plan_network.cpp
void add_interfaces(Steps& steps, const NetworkPlan& network);
Step netlink_socket();                                                   ///< the engine's, kept as "engine_netlink"
Step make_bridge(const std::string& name);
void give_address(Steps& steps, Step::By by, const std::string& device, Ipv4 address, unsigned prefix, const std::string& socket);
Step drop_link(const std::string& name);
} // namespace planning

} // namespace trapeze::container
