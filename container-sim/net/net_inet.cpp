// UDP, raw and ping sockets, and packet sockets (udp(7), raw(7), icmp(7), packet(7)).
#include "container-sim/errno.hpp"
#include "container-sim/net/network.hpp"

#include <algorithm>

namespace trapeze::container {

namespace {
constexpr std::size_t kMaxUdp = 65507, kMaxIp = 65535;

/// The destination of one send: named, or the connected peer. A negated errno when there is none.
i64 destination(const NetSocket& socket, const Outgoing& outgoing, SocketAddress& to) {
    if (!outgoing.to && !socket.remote.family) return -kEDESTADDRREQ;
    to = outgoing.to ? *outgoing.to : socket.remote;
    if (to.family != kAfInet && to.family != kAfUnspec) return -kEAFNOSUPPORT;
    if (!to.ip) to.ip = ipv4(127, 0, 0, 1); // "this host"
    return 0;
}
} // namespace

/// The device that SO_BINDTODEVICE names; none: any.
u32 Network::socket_device(const NetSocket& socket) const { return socket.options.device ? find_device(socket.net, socket.options.device) : kNone; }

i64 Network::connect_datagram(u32 id, const SocketAddress& address) {
    NetSocket& socket = sockets_[id];
    if (address.family == kAfUnspec) {
        socket.remote = {};
        return 0;
    }
    if (address.family != kAfInet) return -kEAFNOSUPPORT;
    SocketAddress to = address;
    if (!to.ip) to.ip = ipv4(127, 0, 0, 1);
    const Hop hop = route(socket.net, to.ip, socket.local.ip, socket_device(socket));
    if (hop.error) return hop.error;
    if (hop.type == RouteType::Broadcast && !socket.options.broadcast) return -kEACCES;
    if (socket.type == kSockDgram && !socket.port_bound) {
        if (const i64 error = choose_port(socket); error < 0) return error;
        take_port(id);
    }
    if (!socket.local.ip) socket.local.ip = hop.source;
    socket.remote = to;
    return 0;
}

i64 Network::send_udp(u32 id, NetView bytes, const Outgoing& outgoing) {
    NetSocket& socket = sockets_[id];
    SocketAddress to;
    if (bytes.size() > kMaxUdp) return -kEMSGSIZE;
    if (const i64 error = destination(socket, outgoing, to); error < 0) return error;
    if (!to.port) return -kEINVAL;
    if (socket.shut_write) return -kEPIPE;
    if (socket.error) return -take_error(id);
    const u32 bound = socket_device(socket);
    const Hop hop = route(socket.net, to.ip, is_multicast(socket.local.ip) || socket.local.ip == kBroadcastIp ? 0 : socket.local.ip, bound);
    if (hop.error) return hop.error;
    if (hop.type == RouteType::Broadcast && !socket.options.broadcast) return -kEACCES;
    if (!socket.port_bound) {
        if (const i64 error = choose_port(socket); error < 0) return error;
        take_port(id);
    }
    NetNamespace& space = spaces_[socket.net];
    Ipv4Header ip;
    ip.source = hop.source, ip.destination = to.ip, ip.protocol = kIpUdp, ip.ttl = socket.options.ttl, ip.tos = socket.options.tos, ip.id = space.next_ip_id++;
    ++space.counters.udp_sent;
    const i64 error = ip_output(socket.net, build_ipv4(ip, build_udp(ip, {socket.local.port, to.port, bytes})), bound);
    return error < 0 ? error : static_cast<i64>(bytes.size());
}

/// The socket that a datagram is for. `key` is how it looks when it arrives: the source is the peer.
u32 Network::find_udp(u32 net, const FlowKey& key, u32 in) const {
    const auto users = ports_.find({net, kIpUdp, key.destination_port});
    if (users == ports_.end()) return kNone;
    u32 best = kNone;
    int best_score = -1;
    for (u32 id : users->second) {
        const NetSocket& socket = sockets_[id];
        int score = 0;
        if (socket.local.ip && socket.local.ip != key.destination) continue;
        if (socket.local.ip) score += 2;
        if (socket.remote.family && (socket.remote.ip != key.source || socket.remote.port != key.source_port)) continue;
        if (socket.remote.family) score += 4;
        if (socket.options.device && in != kNone && socket_device(socket) != in) continue;
        if (socket.options.device) score += 4;
        if (score > best_score) best = id, best_score = score;
    }
    return best;
}

void Network::udp_input(const Passage& passage, const Ipv4Header& ip, NetView payload, const NetBytes& packet) {
    const auto udp = parse_udp(ip, payload);
    if (!udp) return;
    NetNamespace& space = spaces_[passage.net];
    QueuedMessage message;
    message.data.assign(udp->data.begin(), udp->data.end());
    message.from.family = kAfInet, message.from.ip = ip.source, message.from.port = udp->source_port;
    message.destination = ip.destination, message.ttl = ip.ttl, message.ifindex = passage.in == kNone ? 0 : devices_[passage.in].ifindex;
    if (!is_local(passage.net, ip.destination)) { // a broadcast is for all that listen
        const auto users = ports_.find({passage.net, kIpUdp, udp->destination_port});
        if (users == ports_.end()) return;
        for (u32 id : std::vector<u32>(users->second)) {
            const NetSocket& socket = sockets_[id];
            if ((!socket.local.ip || socket.local.ip == ip.destination) && (!socket.options.device || socket_device(socket) == passage.in)) enqueue(id, message);
        }
        return;
    }
    const u32 id = find_udp(passage.net, {kIpUdp, ip.source, udp->source_port, ip.destination, udp->destination_port}, passage.in);
    if (id == kNone) {
        ++space.counters.udp_no_port;
        note(passage, PathDecision::NoListener, packet, passage.in);
        return send_icmp_error(passage, kUnreachable, kPortUnreachable, 0, packet);
    }
    ++space.counters.udp_received;
    note(passage, PathDecision::Delivered, packet, passage.in);
    enqueue(id, std::move(message));
}

/// Raw sockets see whole packets of their protocol; ping sockets the echo replies to their identifier.
void Network::raw_input(const Passage& passage, const Ipv4Header& ip, NetView packet) {
    QueuedMessage message;
    message.from.family = kAfInet, message.from.ip = ip.source, message.destination = ip.destination, message.ttl = ip.ttl;
    message.ifindex = passage.in == kNone ? 0 : devices_[passage.in].ifindex;
    const NetView payload = packet.subspan(ip.header_bytes, ip.total_bytes - ip.header_bytes);
    if (const auto raws = raw_sockets_.find(passage.net); raws != raw_sockets_.end()) {
        for (u32 id : std::vector<u32>(raws->second)) {
            const NetSocket& socket = sockets_[id];
            if (socket.protocol != ip.protocol || (socket.local.ip && socket.local.ip != ip.destination) || (socket.remote.family && socket.remote.ip != ip.source)) continue;
            if (ip.protocol == kIpIcmp && !payload.empty() && payload[0] < 32 && socket.options.icmp_filter >> payload[0] & 1) continue;
            if (socket.options.device && socket_device(socket) != passage.in) continue;
            message.data.assign(packet.begin(), packet.begin() + ip.total_bytes);
            enqueue(id, message);
        }
    }
    if (ip.protocol != kIpIcmp || payload.size() < kIcmpHeader || payload[0] != kEchoReply) return;
    const auto pings = ports_.find({passage.net, kIpIcmp, load16(payload, 4)});
    if (pings == ports_.end()) return;
    message.data.assign(payload.begin(), payload.end());
    for (u32 id : std::vector<u32>(pings->second)) enqueue(id, message);
}

i64 Network::send_raw(u32 id, NetView bytes, const Outgoing& outgoing) {
    NetSocket& socket = sockets_[id];
    SocketAddress to;
    if (const i64 error = destination(socket, outgoing, to); error < 0) return error;
    if (socket.error) return -take_error(id);
    const bool whole = socket.options.header_included;
    if (bytes.size() + (whole ? 0 : kIpHeader) > kMaxIp) return -kEMSGSIZE;
    const u32 bound = socket_device(socket);
    const Hop hop = route(socket.net, to.ip, socket.local.ip, bound);
    if (hop.error) return hop.error;
    if (hop.type == RouteType::Broadcast && !socket.options.broadcast) return -kEACCES;
    NetBytes payload(bytes.begin(), bytes.end());
    NetNamespace& space = spaces_[socket.net];
    if (socket.type == kSockDgram) { // a ping socket: its port is the identifier
        if (payload.size() < kIcmpHeader || payload[0] != kEcho || payload[1]) return -kEINVAL;
        if (!socket.port_bound) {
            if (const i64 error = choose_port(socket); error < 0) return error;
            take_port(id);
        }
        store16(payload, 2, 0), store16(payload, 4, socket.local.port);
        store16(payload, 2, internet_checksum(payload));
    }
    NetBytes packet;
    if (whole) {
        if (payload.size() < kIpHeader || (payload[0] & 15) * 4u > payload.size() || (payload[0] & 15) * 4u < kIpHeader) return -kEINVAL;
        store16(payload, 2, static_cast<u16>(payload.size()));
        if (!load32(payload, 12)) store32(payload, 12, hop.source);
        if (!load16(payload, 4)) store16(payload, 4, space.next_ip_id++);
        packet = std::move(payload);
        packet[0] = static_cast<u8>(0x40 | (packet[0] & 15));
        seal_ipv4(packet);
    } else {
        Ipv4Header ip;
        ip.source = hop.source, ip.destination = to.ip, ip.protocol = static_cast<u8>(socket.protocol), ip.ttl = socket.options.ttl, ip.tos = socket.options.tos, ip.id = space.next_ip_id++;
        packet = build_ipv4(ip, payload);
    }
    if (socket.protocol == kIpIcmp) ++space.counters.icmp_sent;
    const i64 error = ip_output(socket.net, std::move(packet), bound);
    return error < 0 ? error : static_cast<i64>(bytes.size());
}

i64 Network::send_packet(u32 id, NetView bytes, const Outgoing& outgoing) {
    const NetSocket& socket = sockets_[id];
    const SocketAddress to = outgoing.to ? *outgoing.to : socket.local;
    if (outgoing.to && to.family != kAfPacket) return -kEINVAL;
    const u32 out = find_device(socket.net, to.ifindex);
    if (out == kNone) return -kENXIO;
    if (!devices_[out].up) return -kENETDOWN;
    NetBytes frame(bytes.begin(), bytes.end());
    if (socket.type == kSockDgram) frame = build_ether({to.mac, devices_[out].mac, to.protocol ? to.protocol : socket.protocol}, bytes);
    if (frame.size() < kEtherHeader) return -kEINVAL;
    if (frame.size() > devices_[out].mtu + kEtherHeader) return -kEMSGSIZE;
    transmit(out, {std::move(frame), new_packet()});
    return static_cast<i64>(bytes.size());
}

void Network::show_to_packet_sockets(u32 id, const NetBytes& frame, bool outgoing) {
    enum : u8 { kHost, kBroadcast, kMulticast, kOther, kOutgoing };
    const auto watchers = packet_sockets_.find(devices_[id].net);
    if (watchers == packet_sockets_.end()) return;
    const NetDevice& device = devices_[id];
    const EtherHeader ether = parse_ether(frame);
    QueuedMessage message;
    message.from.family = kAfPacket, message.from.protocol = ether.type, message.from.ifindex = device.ifindex, message.from.mac = ether.source;
    const bool for_us = ether.destination == device.mac || device.kind == DeviceKind::Loopback;
    message.from.packet_type = outgoing ? kOutgoing : ether.destination == kBroadcastMac ? kBroadcast : ether.destination[0] & 1 ? kMulticast : for_us ? kHost : kOther;
    for (u32 watcher : std::vector<u32>(watchers->second)) {
        const NetSocket& socket = sockets_[watcher];
        if (socket.local.ifindex && socket.local.ifindex != device.ifindex) continue;
        if (socket.protocol != kEtherAll && (outgoing || socket.protocol != ether.type)) continue;
        message.data.assign(frame.begin() + (socket.type == kSockDgram ? kEtherHeader : 0), frame.end());
        enqueue(watcher, message);
    }
}

} // namespace trapeze::container
