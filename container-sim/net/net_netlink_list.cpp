// rtnetlink(7): what is there, as messages: links with their addresses, routes, neighbours.
#include "container-sim/errno.hpp"
#include "container-sim/net/net_netlink.hpp"
#include "container-sim/net/network.hpp"

#include <algorithm>

namespace trapeze::container {

namespace {
constexpr u16 kHardwareEthernet = 1, kHardwareLoopback = 772; ///< ARPHRD_*
constexpr u32 kQueueLength = 1000;
constexpr u8 kTableMain = 254;
enum OperationalState : u8 { kUnknown = 0, kDown = 2, kLowerLayerDown = 7, kUp = 6 };

struct LinkStatistics { ///< struct rtnl_link_stats64
    u64 rx_packets = 0, tx_packets = 0, rx_bytes = 0, tx_bytes = 0, rx_errors = 0, tx_errors = 0, rx_dropped = 0, tx_dropped = 0, multicast = 0, others[14]{};
};
struct CacheInfo { ///< struct ifa_cacheinfo: lifetimes for ever
    u32 preferred = ~u32{0}, valid = ~u32{0}, created = 0, updated = 0;
};
} // namespace

/// IFF_*, as netdevice(7) has them.
u32 Network::device_flags(u32 id) const {
    constexpr u32 kIffUp = 1, kBroadcast = 2, kLoopback = 8, kRunning = 0x40, kNoArp = 0x80, kPromiscuous = 0x100, kMulticast = 0x1000, kLowerUp = 0x10000;
    const NetDevice& device = devices_[id];
    u32 flags = device.kind == DeviceKind::Loopback ? kLoopback : device.kind == DeviceKind::Dummy ? kBroadcast | kNoArp : kBroadcast | kMulticast;
    if (device.promiscuous) flags |= kPromiscuous;
    if (device.up) flags |= kIffUp | (carrier(id) ? kRunning | kLowerUp : 0);
    return flags;
}

NetBytes Network::netlink_link_message(u32 id, u16 type, const NetlinkReply& reply) const {
    const NetDevice& device = devices_[id];
    const bool loopback = device.kind == DeviceKind::Loopback, linked = carrier(id);
    const LinkMessage head{0, 0, loopback ? kHardwareLoopback : kHardwareEthernet, device.ifindex, device_flags(id), 0};
    NetlinkWriter out(type, reply.flags, reply.sequence, reply.port, head);
    out.text(kIflaName, device.name);
    out.number(kIflaTxQueue, kQueueLength);
    out.number(kIflaOperState, !device.up ? kDown : device.kind == DeviceKind::Loopback || device.kind == DeviceKind::Dummy ? kUnknown : linked ? kUp : device.kind == DeviceKind::Veth ? kLowerLayerDown : kDown);
    out.number(kIflaLinkMode, u8{0});
    out.number(kIflaMtu, device.mtu);
    out.number(kIflaGroup, u32{0}), out.number(kIflaPromiscuity, u32{device.promiscuous}), out.number(kIflaTxQueues, u32{1}), out.number(kIflaRxQueues, u32{1});
    out.number(kIflaCarrier, u8{linked && device.up});
    out.text(kIflaQdisc, device.up ? "noqueue" : "noop");
    out.bytes(kIflaAddress, device.mac), out.bytes(kIflaBroadcast, loopback ? MacAddress{} : kBroadcastMac);
    LinkStatistics statistics;
    statistics.rx_packets = device.received.packets, statistics.rx_bytes = device.received.bytes, statistics.rx_dropped = device.received.dropped;
    statistics.tx_packets = device.sent.packets, statistics.tx_bytes = device.sent.bytes, statistics.tx_dropped = device.sent.dropped;
    out.number(kIflaStats64, statistics);
    if (device.master != kNone) out.number(kIflaMaster, devices_[device.master].ifindex);
    if (device.peer != kNone) {
        out.number(kIflaLink, devices_[device.peer].ifindex);
        if (devices_[device.peer].net != device.net) out.number(kIflaLinkNetId, u32{0});
    }
    if (!device_word(device.kind).empty()) {
        const std::size_t info = out.begin(kIflaLinkInfo);
        out.text(kInfoKind, device_word(device.kind));
        if (device.master != kNone) out.text(kInfoSlaveKind, "bridge");
        out.end(info);
    }
    return out.take();
}

NetBytes Network::netlink_address_message(u32 id, const InterfaceAddress& address, u16 type, const NetlinkReply& reply) const {
    constexpr u8 kPermanent = 0x80;
    const AddressMessage head{kAfInet, address.prefix, kPermanent, is_loopback(address.ip) ? kScopeHost : kScopeGlobal, devices_[id].ifindex};
    NetlinkWriter out(type, reply.flags, reply.sequence, reply.port, head);
    out.ip(kIfaAddress, address.ip), out.ip(kIfaLocal, address.ip);
    if (address.broadcast) out.ip(kIfaBroadcast, address.broadcast);
    out.text(kIfaLabel, address.label);
    out.number(kIfaFlags, u32{kPermanent}), out.number(kIfaCacheInfo, CacheInfo{});
    return out.take();
}

NetBytes Network::netlink_route_message(const NetRoute& route, const NetlinkReply& reply) const {
    const RouteMessage head{kAfInet, route.prefix, 0, 0, kTableMain, route.protocol, route.scope, static_cast<u8>(route.type), 0};
    NetlinkWriter out(kNewRoute, reply.flags, reply.sequence, reply.port, head);
    out.number(kRtaTable, u32{kTableMain});
    if (route.prefix) out.ip(kRtaDst, route.destination);
    if (route.metric) out.number(kRtaPriority, route.metric);
    if (route.source) out.ip(kRtaPrefSrc, route.source);
    if (route.gateway) out.ip(kRtaGateway, route.gateway);
    if (route.device != kNone) out.number(kRtaOif, devices_[route.device].ifindex);
    return out.take();
}

/// A listing, and its end.
i64 Network::netlink_dump(const NetlinkRequest& request) {
    const NetNamespace& space = spaces_[request.net];
    const u8 family = request.body.empty() ? u8{0} : request.body[0];
    const bool inet = family == kAfUnspec || family == kAfInet;
    const NetlinkReply reply = reply_to(request, kNlMulti);
    bool first = true;
    const auto add = [&](NetBytes message) {
        netlink_answer(request.socket, std::move(message), !first);
        first = false;
    };
    for (const auto& [index, id] : space.devices) {
        if (request.header.type == kGetLink && family != kAfInet6 && family != 7) add(netlink_link_message(id, kNewLink, reply)); // 7: AF_BRIDGE
        if (request.header.type == kGetAddr && inet)
            for (const InterfaceAddress& address : devices_[id].addresses) add(netlink_address_message(id, address, kNewAddr, reply));
        if (request.header.type != kGetNeigh || !inet) continue;
        for (auto at = neighbours_.lower_bound({id, 0}); at != neighbours_.end() && at->first.first == id; ++at) {
            const NeighbourMessage head{kAfInet, 0, 0, index, static_cast<u16>(neighbour_state(at->second)), 0, 1};
            NetlinkWriter out(kNewNeigh, reply.flags, reply.sequence, reply.port, head);
            out.ip(kNdaDst, at->first.second);
            if (at->second.mac != MacAddress{}) out.bytes(kNdaLlAddr, at->second.mac);
            add(out.take());
        }
    }
    if (request.header.type == kGetRoute && inet)
        for (const NetRoute& route : space.routes) add(netlink_route_message(route, reply));
    NetlinkWriter done(kNlDone, reply.flags, reply.sequence, reply.port, i32{0});
    netlink_answer(request.socket, done.take(), false);
    return 0;
}

// --- Notifications ------------------------------------------------------------------------------------------------------------------

/// A number of its own in its namespace: the one asked for, its process's, or one of those that no process has.
i64 Network::bind_netlink(u32 id, const SocketAddress& address) {
    NetSocket& socket = sockets_[id];
    const auto taken = [&](u32 port) {
        const auto& others = netlink_sockets_.at(socket.net);
        return std::any_of(others.begin(), others.end(), [&](u32 other) { return other != id && sockets_[other].local.netlink_port == port; });
    };
    if (address.netlink_port && taken(address.netlink_port)) return -kEADDRINUSE;
    u32 port = address.netlink_port ? address.netlink_port : socket.local.netlink_port ? socket.local.netlink_port : socket.suggested_port;
    if (!port || (!address.netlink_port && taken(port))) port = ~id; // as far from pids as can be
    socket.local.netlink_port = port, socket.local.groups |= address.groups;
    return 0;
}

i64 Network::join(u32 id, u32 group, bool on) {
    if (group < 1 || group > 32) return group == 0 ? -kEINVAL : 0;
    const u32 mask = u32{1} << (group - 1);
    u32& groups = sockets_[id].local.groups;
    groups = on ? groups | mask : groups & ~mask;
    return 0;
}

void Network::notify(u32 net, u32 group, const NetBytes& message) {
    const auto listeners = netlink_sockets_.find(net);
    if (listeners == netlink_sockets_.end()) return;
    for (u32 id : listeners->second) {
        if (!(sockets_[id].local.groups >> (group - 1) & 1)) continue;
        if (sockets_[id].queued + message.size() > sockets_[id].options.receive_buffer) fail(id, kENOBUFS);
        else netlink_answer(id, message, false);
    }
}

void Network::notify_link(u32 id, bool gone) {
    constexpr u32 kGroupLink = 1;
    if (has_listeners(devices_[id].net)) notify(devices_[id].net, kGroupLink, netlink_link_message(id, gone ? kDelLink : kNewLink, {}));
}

void Network::notify_address(u32 id, const InterfaceAddress& address, bool gone) {
    constexpr u32 kGroupAddress = 5;
    if (has_listeners(devices_[id].net)) notify(devices_[id].net, kGroupAddress, netlink_address_message(id, address, gone ? kDelAddr : kNewAddr, {}));
}

} // namespace trapeze::container
