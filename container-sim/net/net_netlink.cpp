// rtnetlink(7): links, addresses, routes and neighbours, made, changed, removed and listed by messages, as ip(8) sends them.
// Known gaps: no notifications to groups, no tables but main, no IPv6, no traffic control; listings are filtered by nothing.
#include "container-sim/net/net_netlink.hpp"

#include "container-sim/errno.hpp"
#include "container-sim/net/network.hpp"

#include <algorithm>

namespace trapeze::container {

namespace {
constexpr std::size_t kDatagram = 4000, kMaxMessages = 1024;
constexpr u16 kVethPeer = 1; ///< VETH_INFO_PEER
constexpr u8 kTableMain = 254;

template <class T> bool read(NetView bytes, T& out) {
    if (bytes.size() < sizeof out) return false;
    std::memcpy(&out, bytes.data(), sizeof out);
    return true;
}
/// Calls visit(header, body) for each whole message.
template <class Visit> void each_message(NetView bytes, Visit visit) {
    NetlinkHeader header{};
    for (std::size_t count = 0; count < kMaxMessages && read(bytes, header) && header.length >= sizeof header && header.length <= bytes.size(); ++count) {
        visit(header, bytes.subspan(sizeof header, header.length - sizeof header), bytes.first(header.length));
        bytes = bytes.subspan(std::min<std::size_t>((std::size_t{header.length} + 3) & ~std::size_t{3}, bytes.size()));
    }
}
template <class T> NetView after(NetView body) { return body.size() > sizeof(T) ? body.subspan(sizeof(T)) : NetView{}; }
void collect(const Attributes& attributes, std::vector<NamespaceRequest>& named) {
    if (attributes.bytes(kIflaNetPid).size() >= 4) named.push_back({true, attributes.number(kIflaNetPid)});
    if (attributes.bytes(kIflaNetFd).size() >= 4) named.push_back({false, attributes.number(kIflaNetFd)});
}
NetView veth_peer(const Attributes& attributes) { return Attributes(Attributes(attributes.bytes(kIflaLinkInfo)).bytes(kInfoData)).bytes(kVethPeer); }
} // namespace

std::vector<NamespaceRequest> namespaces_named(NetView messages) {
    std::vector<NamespaceRequest> named;
    each_message(messages, [&](const NetlinkHeader& header, NetView body, NetView) {
        if (header.type != kNewLink && header.type != kSetLink) return;
        const Attributes attributes(after<LinkMessage>(body));
        collect(attributes, named);
        collect(Attributes(after<LinkMessage>(veth_peer(attributes))), named);
    });
    return named;
}

i64 Network::netlink_send(u32 id, NetView bytes, const Outgoing& outgoing) {
    if (sockets_[id].queued > sockets_[id].options.receive_buffer) return -kENOBUFS;
    if (!sockets_[id].local.netlink_port) (void)bind_netlink(id, {});
    each_message(bytes, [&](const NetlinkHeader& header, NetView body, NetView whole) {
        if (!(header.flags & kNlRequest) || header.type < kNewLink) return;
        const NetlinkRequest request{id, sockets_[id].net, header, body, &outgoing};
        const i64 error = netlink_request(request);
        if (error == 0 && !(header.flags & kNlAck)) return;
        NetlinkWriter answer(kNlError, 0, header.sequence, sockets_[id].local.netlink_port, static_cast<i32>(error));
        for (u8 byte : error ? whole : whole.first(sizeof header)) answer.append(byte);
        netlink_answer(id, answer.take(), false);
    });
    return static_cast<i64>(bytes.size());
}

/// Into the queue, beside what is there already of the same listing.
void Network::netlink_answer(u32 id, NetBytes message, bool join) {
    NetSocket& socket = sockets_[id];
    changed(id);
    if (join && !socket.queue.empty() && socket.queue.back().data.size() + message.size() <= kDatagram) {
        NetBytes& last = socket.queue.back().data;
        last.insert(last.end(), message.begin(), message.end());
        socket.queued += message.size();
        return;
    }
    QueuedMessage queued;
    queued.data = std::move(message);
    queued.from.family = kAfNetlink;
    queued.full = static_cast<u32>(queued.data.size());
    socket.queued += queued.data.size() + kMessageOverhead;
    socket.queue.push_back(std::move(queued));
}

i64 Network::netlink_request(const NetlinkRequest& request) {
    const u16 type = request.header.type;
    const bool asks = type == kGetLink || type == kGetAddr || type == kGetRoute || type == kGetNeigh || type == kGetRule || type == kGetNsid;
    if (!asks && !request.outgoing->privileged) return -kEPERM;
    if (asks && (request.header.flags & kNlDump) == kNlDump) return netlink_dump(request);
    switch (type) {
    case kNewLink: case kSetLink: return netlink_new_link(request);
    case kDelLink: case kGetLink: return netlink_one_link(request);
    case kNewAddr: case kDelAddr: return netlink_address(request);
    case kNewRoute: case kDelRoute: return netlink_route(request);
    case kGetRoute: return netlink_get_route(request);
    case kNewNeigh: case kDelNeigh: return netlink_neighbour(request);
    case kGetNsid: {
        constexpr u16 kNetnsaNsid = 1;
        NetlinkWriter answer(kNewNsid, 0, request.header.sequence, sockets_[request.socket].local.netlink_port, u32{0});
        answer.number(kNetnsaNsid, i32{-1}); // not assigned
        netlink_answer(request.socket, answer.take(), false);
        return 0;
    }
    default: return -kEOPNOTSUPP;
    }
}

// --- Links --------------------------------------------------------------------------------------------------------------------------

/// The device that a message means, by its number or its name.
u32 Network::netlink_device(u32 net, u32 index, NetView attributes) const {
    if (index) return find_device(net, index);
    const Attributes found(attributes);
    if (found.has(kIflaName)) return find_device(net, found.text(kIflaName));
    return found.has(kIflaAltName) ? find_device(net, found.text(kIflaAltName)) : kNone;
}

/// The namespace that a link is to be in; kNone and an error when it is not to be had.
i64 Network::netlink_target(const NetlinkRequest& request, NetView attributes, u32& net) const {
    std::vector<NamespaceRequest> named;
    collect(Attributes(attributes), named);
    if (named.empty()) return 0;
    const auto found = request.outgoing->resolved.find(named.back());
    if (found == request.outgoing->resolved.end()) return -kEINVAL;
    if (found->second < 0) return found->second;
    net = static_cast<u32>(found->second);
    return 0;
}

i64 Network::netlink_new_link(const NetlinkRequest& request) {
    LinkMessage message{};
    if (!read(request.body, message)) return -kEINVAL;
    const NetView attributes = after<LinkMessage>(request.body);
    const Attributes wanted(attributes), peer(after<LinkMessage>(veth_peer(wanted)));
    if (wanted.text(kIflaName).size() > kMaxNameBytes || peer.text(kIflaName).size() > kMaxNameBytes) return -kERANGE;
    const u32 id = netlink_device(request.net, message.index, attributes);
    if (id == kNone) return request.header.type == kNewLink && request.header.flags & kNlCreate ? netlink_create(request, message, attributes) : -kENODEV;
    if (request.header.type == kNewLink && request.header.flags & kNlExcl) return -kEEXIST;
    u32 target = devices_[id].net;
    if (const i64 error = netlink_target(request, attributes, target)) return error;
    return netlink_change(id, target, message, attributes);
}

i64 Network::netlink_create(const NetlinkRequest& request, const LinkMessage& message, NetView attributes) {
    const Attributes wanted(attributes), info(wanted.bytes(kIflaLinkInfo));
    const std::string kind = info.text(kInfoKind), name = wanted.text(kIflaName);
    u32 net = request.net;
    if (const i64 error = netlink_target(request, attributes, net)) return error;
    i64 made = -kEOPNOTSUPP;
    if (kind == "veth") {
        const NetView peer = veth_peer(wanted);
        const Attributes other(after<LinkMessage>(peer));
        u32 peer_net = request.net;
        if (const i64 error = netlink_target(request, after<LinkMessage>(peer), peer_net)) return error;
        const auto pair = add_veth(net, name.empty() ? "veth%d" : name, peer_net, other.has(kIflaName) ? other.text(kIflaName) : "veth%d", &made);
        if (!pair) return made;
        made = pair->first;
        if (other.bytes(kIflaAddress).size() == 6) {
            MacAddress mac;
            std::copy_n(other.bytes(kIflaAddress).begin(), 6, mac.begin());
            (void)set_mac(pair->second, mac);
        }
        if (other.has(kIflaMtu)) (void)set_mtu(pair->second, other.number(kIflaMtu));
    } else if (kind == "bridge" || kind == "dummy") {
        made = add_device(net, kind == "bridge" ? DeviceKind::Bridge : DeviceKind::Dummy, name.empty() ? kind + "%d" : name);
    }
    if (made < 0) return made;
    const i64 error = netlink_change(static_cast<u32>(made), net, message, attributes);
    if (error < 0) (void)remove_device(static_cast<u32>(made));
    return error;
}

i64 Network::netlink_change(u32 id, u32 target, const LinkMessage& message, NetView attributes) {
    constexpr u32 kUp = 1, kPromiscuous = 0x100;
    const Attributes wanted(attributes);
    if (target != devices_[id].net)
        if (const i64 error = move_device(id, target)) return error;
    if (wanted.bytes(kIflaAddress).size() == 6) {
        MacAddress mac;
        std::copy_n(wanted.bytes(kIflaAddress).begin(), 6, mac.begin());
        if (const i64 error = set_mac(id, mac)) return error;
    }
    if (wanted.has(kIflaMtu))
        if (const i64 error = set_mtu(id, wanted.number(kIflaMtu))) return error;
    if (wanted.has(kIflaName) && !wanted.text(kIflaName).empty()) {
        if (devices_[id].up && devices_[id].name != wanted.text(kIflaName) && devices_[id].kind == DeviceKind::Loopback) return -kEBUSY;
        if (const i64 error = rename_device(id, wanted.text(kIflaName))) return error;
    }
    if (wanted.has(kIflaMaster)) {
        const u32 index = wanted.number(kIflaMaster);
        const u32 bridge = index ? find_device(devices_[id].net, index) : kNone;
        if (index && bridge == kNone) return -kEINVAL;
        if (const i64 error = set_master(id, bridge)) return error;
    }
    const u32 change = message.change ? message.change : message.flags; // ifi_change 0: what is set is meant
    if (change & kPromiscuous) set_promiscuous(id, message.flags & kPromiscuous);
    return change & kUp ? set_up(id, message.flags & kUp) : 0;
}

i64 Network::netlink_one_link(const NetlinkRequest& request) {
    LinkMessage message{};
    if (!read(request.body, message)) return -kEINVAL;
    const Attributes named(after<LinkMessage>(request.body));
    if (!message.index && !named.has(kIflaName) && !named.has(kIflaAltName)) return -kEINVAL;
    const u32 id = netlink_device(request.net, message.index, after<LinkMessage>(request.body));
    if (id == kNone) return -kENODEV;
    if (request.header.type == kDelLink) return remove_device(id);
    netlink_answer(request.socket, netlink_link_message(id, kNewLink, reply_to(request, 0)), false);
    return 0;
}

// --- Addresses, routes, neighbours --------------------------------------------------------------------------------------------------

i64 Network::netlink_address(const NetlinkRequest& request) {
    AddressMessage message{};
    if (request.body.empty() || request.body[0] != kAfInet) return -kEOPNOTSUPP;
    if (!read(request.body, message)) return -kEINVAL;
    const Attributes wanted(after<AddressMessage>(request.body));
    const u32 id = find_device(request.net, message.index);
    if (id == kNone) return -kENODEV;
    const Ipv4 ip = wanted.has(kIfaLocal) ? wanted.ip(kIfaLocal) : wanted.ip(kIfaAddress);
    if (!wanted.has(kIfaLocal) && !wanted.has(kIfaAddress)) return -kEINVAL;
    if (request.header.type == kDelAddr) return remove_address(id, ip, message.prefix);
    if (request.header.flags & kNlReplace) (void)remove_address(id, ip, message.prefix);
    return add_address(id, {ip, message.prefix, wanted.ip(kIfaBroadcast), wanted.text(kIfaLabel)});
}

i64 Network::netlink_route(const NetlinkRequest& request) {
    RouteMessage message{};
    if (request.body.empty() || request.body[0] != kAfInet) return -kEOPNOTSUPP;
    if (!read(request.body, message)) return -kEINVAL;
    const Attributes wanted(after<RouteMessage>(request.body));
    NetRoute route;
    route.destination = wanted.ip(kRtaDst), route.prefix = message.destination_bits, route.gateway = wanted.ip(kRtaGateway), route.source = wanted.ip(kRtaPrefSrc);
    route.metric = wanted.number(kRtaPriority), route.scope = message.scope, route.protocol = message.protocol;
    if (wanted.has(kRtaOif)) {
        route.device = find_device(request.net, wanted.number(kRtaOif));
        if (route.device == kNone) return -kENODEV;
    }
    if (request.header.type == kDelRoute) return remove_route(request.net, route);
    switch (message.type) {
    case 1: case 3: break;
    case 6: case 7: case 8: route.type = static_cast<RouteType>(message.type); break;
    default: return -kEINVAL;
    }
    return add_route(request.net, route, request.header.flags & kNlReplace);
}

i64 Network::netlink_get_route(const NetlinkRequest& request) {
    RouteMessage message{};
    if (!read(request.body, message)) return -kEINVAL;
    const Attributes wanted(after<RouteMessage>(request.body));
    if (message.family != kAfInet || !wanted.has(kRtaDst)) return -kEINVAL;
    const Hop hop = route(request.net, wanted.ip(kRtaDst), wanted.ip(kRtaSrc), wanted.has(kRtaOif) ? find_device(request.net, wanted.number(kRtaOif)) : kNone);
    if (hop.error || hop.device == kNone) return hop.error ? hop.error : -kENETUNREACH;
    const RouteMessage answer{kAfInet, 32, 0, 0, kTableMain, 0, 0, static_cast<u8>(hop.type), 0x200}; // RTM_F_CLONED
    NetlinkWriter out(kNewRoute, 0, request.header.sequence, sockets_[request.socket].local.netlink_port, answer);
    out.ip(kRtaDst, wanted.ip(kRtaDst));
    if (hop.next != wanted.ip(kRtaDst)) out.ip(kRtaGateway, hop.next);
    out.number(kRtaOif, devices_[hop.device].ifindex), out.ip(kRtaPrefSrc, hop.source);
    netlink_answer(request.socket, out.take(), false);
    return 0;
}

i64 Network::netlink_neighbour(const NetlinkRequest& request) {
    NeighbourMessage message{};
    if (!read(request.body, message)) return -kEINVAL;
    if (message.family != kAfInet) return -kEOPNOTSUPP;
    const Attributes wanted(after<NeighbourMessage>(request.body));
    const u32 id = find_device(request.net, message.index);
    if (id == kNone) return -kENODEV;
    if (!wanted.has(kNdaDst)) return -kEINVAL;
    if (request.header.type == kDelNeigh) return remove_neighbour(id, wanted.ip(kNdaDst));
    const bool known = neighbours_.count({id, wanted.ip(kNdaDst)});
    if (known && request.header.flags & kNlExcl) return -kEEXIST;
    if (!known && !(request.header.flags & kNlCreate)) return -kENOENT;
    if (wanted.bytes(kNdaLlAddr).size() != 6) return -kEINVAL;
    MacAddress mac;
    std::copy_n(wanted.bytes(kNdaLlAddr).begin(), 6, mac.begin());
    return set_neighbour(id, wanted.ip(kNdaDst), mac, message.state & 0x80 ? NeighbourState::Permanent : message.state & 2 ? NeighbourState::Reachable : NeighbourState::Stale);
}

} // namespace trapeze::container
