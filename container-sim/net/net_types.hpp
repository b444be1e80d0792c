// The state of the simulated network's lower half: namespaces, devices, routes, neighbours, translation. Plain values; a device, a
// namespace or a socket is named by its index in the Network, and kNone is none.
#pragma once

#include "container-sim/net/net_packet.hpp"

#include <map>
#include <set>

namespace trapeze::container {

inline constexpr u32 kNone = ~u32{0};
inline constexpr u64 kNetSecond = 1'000'000'000; ///< of virtual time, in nanoseconds

enum class DeviceKind : u8 { Loopback, Veth, Bridge, Dummy };
/// The word of `ip link add ... type WORD`; "" for lo.
std::string_view device_word(DeviceKind kind);

struct InterfaceAddress {
    Ipv4 ip = 0;
    u8 prefix = 32;
    Ipv4 broadcast = 0; ///< 0: none
    std::string label;
    bool operator==(const InterfaceAddress&) const = default;
};
struct TrafficCount {
    u64 packets = 0, bytes = 0, dropped = 0;
    bool operator==(const TrafficCount&) const = default;
};

struct NetDevice {
    bool used = false;
    DeviceKind kind = DeviceKind::Dummy;
    u32 net = 0;            ///< namespace that it is in
    u32 ifindex = 0;        ///< its number there
    std::string name;
    MacAddress mac{};
    u32 mtu = 1500;
    bool up = false;        ///< IFF_UP; a veth's carrier is its peer's `up`
    bool promiscuous = false;
    u32 peer = kNone;       ///< veth: the other end
    u32 master = kNone;     ///< the bridge that it is a port of
    std::vector<InterfaceAddress> addresses;
    struct Learnt {
        u32 port = kNone;
        u64 at = 0;         ///< when
        bool operator==(const Learnt&) const = default;
    };
    std::map<MacAddress, Learnt> learnt; ///< bridge: which address is behind which port
    std::set<u32> ports;    ///< bridge: its devices
    bool mac_set = false;   ///< bridge: somebody chose the address, so it does not follow the ports'
    u32 neighbours = 0;     ///< how many entries the neighbour table has for it
    TrafficCount received, sent;
    u32 loss_permille = 0;  ///< of what is sent through it, lost on the way (a lesson's choice)
    bool captured = false;
    bool operator==(const NetDevice&) const = default;
};

/// rtnetlink(7): types of routes.
enum class RouteType : u8 { Unicast = 1, Local = 2, Broadcast = 3, Blackhole = 6, Unreachable = 7, Prohibit = 8 };
enum RouteProtocol : u8 { kRouteKernel = 2, kRouteBoot = 3, kRouteStatic = 4 };
enum RouteScope : u8 { kScopeGlobal = 0, kScopeLink = 253, kScopeHost = 254 };
struct NetRoute {
    Ipv4 destination = 0;
    u8 prefix = 0;
    Ipv4 gateway = 0;       ///< 0: on the link
    u32 device = kNone;
    Ipv4 source = 0;        ///< preferred; 0: the device's first address
    u32 metric = 0;
    u8 scope = kScopeGlobal, protocol = kRouteBoot;
    RouteType type = RouteType::Unicast;
    bool operator==(const NetRoute&) const = default;
};
/// Where a packet goes next, or why it cannot.
struct Hop {
    i64 error = 0;          ///< negated errno
    RouteType type = RouteType::Unicast; ///< Local: this namespace itself
    u32 device = kNone;
    Ipv4 next = 0;          ///< whose link address is needed
    Ipv4 source = 0;        ///< the address to send from
};

/// linux/neighbour.h
enum class NeighbourState : u8 { Incomplete = 1, Reachable = 2, Stale = 4, Delay = 8, Probe = 16, Failed = 32, Permanent = 128 };
struct NetPacket {
    NetBytes bytes;
    u32 id = 0;             ///< of its path
    bool operator==(const NetPacket&) const = default;
};
struct Neighbour {
    NeighbourState state = NeighbourState::Incomplete;
    MacAddress mac{};
    u64 confirmed = 0;      ///< when it was last heard of
    u8 probes = 0;
    std::vector<NetPacket> waiting; ///< for its address
    bool operator==(const Neighbour&) const = default;
};

enum class NatHook : u8 { PreRouting, Output, Forward, PostRouting };
enum class NatAction : u8 { Accept, Drop, Dnat, Snat, Masquerade };
/// A rule of a namespace's packet filter. What is not said matches everything.
struct NatRule {
    NatHook hook = NatHook::PostRouting;
    NatAction action = NatAction::Accept;
    u8 protocol = kIpAny;
    Ipv4 source = 0, destination = 0;
    u8 source_prefix = 0, destination_prefix = 0;
    bool local_destination = false; ///< the destination is an address of the namespace itself
    u16 port = 0;                   ///< destination port
    std::string in, out;            ///< names of devices
    bool not_in = false, not_out = false; ///< any device but that
    Ipv4 to = 0;                    ///< Dnat, Snat
    u16 to_port = 0;                ///< Dnat; 0: as it was
    bool operator==(const NatRule&) const = default;
};
/// Who talks to whom: ports, or an echo's identifier as the source port.
struct FlowKey {
    u8 protocol = 0;
    Ipv4 source = 0;
    u16 source_port = 0;
    Ipv4 destination = 0;
    u16 destination_port = 0;
    auto operator<=>(const FlowKey&) const = default;
    FlowKey inverse() const { return {protocol, destination, destination_port, source, source_port}; }
};
/// A tracked connection: what its first packet looked like is the key; `reply` is how answers look that arrive from outside.
struct Tracked {
    FlowKey reply;
    u64 last = 0;          ///< when a packet of it was seen
    bool replied = false, routed = false, closing = false;
    bool operator==(const Tracked&) const = default;
};

struct FragmentKey {
    Ipv4 source = 0, destination = 0;
    u16 id = 0;
    u8 protocol = 0;
    auto operator<=>(const FragmentKey&) const = default;
};
struct FragmentSet {
    u64 since = 0;
    std::map<u16, NetBytes> parts; ///< by offset
    u32 total = 0;         ///< payload bytes of the whole; 0: the last part has not come
    bool operator==(const FragmentSet&) const = default;
};

/// What /proc/net/snmp counts, as far as a lesson asks.
struct NetCounters {
    u64 ip_received = 0, ip_sent = 0, ip_forwarded = 0, ip_dropped = 0, icmp_received = 0, icmp_sent = 0, udp_received = 0, udp_sent = 0, udp_no_port = 0, udp_full = 0,
        tcp_received = 0, tcp_sent = 0, tcp_retransmitted = 0, tcp_resets_sent = 0, tcp_opened = 0, tcp_accepted = 0, tcp_failed = 0;
    bool operator==(const NetCounters&) const = default;
};

struct NetNamespace {
    bool used = false;
    std::map<u32, u32> devices;          ///< by ifindex
    std::map<std::string, u32> names;
    std::set<std::pair<Ipv4, u32>> local; ///< addresses of the devices that are up, with their device
    std::vector<NetRoute> routes;        ///< the main table, best first
    std::vector<NatRule> rules;
    std::map<FlowKey, Tracked> tracked;
    std::map<FlowKey, FlowKey> replies;  ///< from Tracked::reply to its key
    std::map<FragmentKey, FragmentSet> fragments;
    bool forwards = false;               ///< net.ipv4.ip_forward
    u32 next_ifindex = 1;
    u16 next_ip_id = 1, next_port = 0;
    u32 ping_group_low = 1, ping_group_high = 0; ///< net.ipv4.ping_group_range: nobody
    u32 port_start = 1024;               ///< net.ipv4.ip_unprivileged_port_start
    NetCounters counters;
    bool operator==(const NetNamespace&) const = default;
};

/// One step of a packet's way: where it was and what was decided there.
enum class PathDecision : u8 {
    Sent, Delivered, DeviceSent, DeviceReceived, BridgeForward, BridgeFlood, RouteLocal, RouteNext, RouteForward, NatDestination, NatSource, NatReply, FilterDrop, ArpWait, ArpFailed,
    TtlExpired, NoRoute, NotForwarding, Lost, Dropped, NoListener
};
struct PathStep {
    u32 packet = 0;
    u64 time = 0;
    u32 net = 0, device = kNone;         ///< device may be none
    PathDecision decision = PathDecision::Sent;
    FlowKey flow;                        ///< how the packet looks after it
    Ipv4 address = 0;                    ///< RouteNext, RouteForward, ArpWait: the next hop
    bool operator==(const PathStep&) const = default;
};
struct CapturedPacket {
    u64 time = 0;
    u32 device = 0;
    NetBytes bytes;
    bool operator==(const CapturedPacket&) const = default;
};

} // namespace trapeze::container
