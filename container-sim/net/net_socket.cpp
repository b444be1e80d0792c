// What sockets of all families share: their pool, ports, queues, readiness; each call goes on to the family's own file.
#include "container-sim/errno.hpp"
#include "container-sim/net/network.hpp"

#include <algorithm>

namespace trapeze::container {

namespace {
constexpr u16 kFirstEphemeral = 32768, kLastEphemeral = 60999; ///< net.ipv4.ip_local_port_range

/// The protocol that a socket of a family and type speaks, or a negated errno (socket(2)).
i64 choose_protocol(u16 family, u16 type, u16 protocol) {
    if (type > 10 || type == 0) return -kEINVAL;
    switch (family) {
    case kAfUnix:
        if (protocol > 1) return -kEPROTONOSUPPORT;
        return type == kSockStream || type == kSockDgram || type == kSockSeqpacket || type == kSockRaw ? 0 : -kESOCKTNOSUPPORT;
    case kAfInet:
        if (type == kSockStream) return protocol == 0 || protocol == kIpTcp ? i64{kIpTcp} : -kEPROTONOSUPPORT;
        if (type == kSockDgram) return protocol == 0 ? i64{kIpUdp} : protocol == kIpUdp || protocol == kIpIcmp ? i64{protocol} : -kEPROTONOSUPPORT;
        if (type == kSockRaw) return protocol && protocol < 256 ? protocol : -kEPROTONOSUPPORT;
        return -kESOCKTNOSUPPORT;
    case kAfNetlink:
        if (type != kSockRaw && type != kSockDgram) return -kESOCKTNOSUPPORT;
        return protocol == 0 ? 0 : -kEPROTONOSUPPORT; // NETLINK_ROUTE
    case kAfPacket: return type == kSockRaw || type == kSockDgram ? protocol : -kESOCKTNOSUPPORT;
    default: return -kEAFNOSUPPORT;
    }
}
void forget(std::map<u32, std::vector<u32>>& lists, u32 net, u32 id) {
    const auto list = lists.find(net);
    if (list == lists.end()) return;
    std::erase(list->second, id);
    if (list->second.empty()) lists.erase(list);
}
} // namespace

i64 Network::new_socket() {
    u32 id = static_cast<u32>(sockets_.size());
    if (!free_sockets_.empty()) {
        id = free_sockets_.back();
        free_sockets_.pop_back();
    } else if (sockets_.size() >= kMaxSockets) {
        // A closed connection that only waits for stray segments makes room.
        const auto idle = std::find_if(sockets_.begin(), sockets_.end(), [](const NetSocket& s) { return s.used && !s.open && s.tcp.state == TcpState::TimeWait; });
        if (idle == sockets_.end()) return -kENFILE;
        id = static_cast<u32>(idle - sockets_.begin());
        free_socket(id);
        free_sockets_.pop_back();
    } else {
        sockets_.emplace_back();
    }
    sockets_[id] = {};
    sockets_[id].used = sockets_[id].open = true;
    ++sockets_used_;
    return id;
}

/// Takes it out of every table. Its queued files are dropped.
void Network::free_socket(u32 id) {
    NetSocket& socket = sockets_[id];
    if (!socket.used) return;
    for (QueuedMessage& message : socket.queue) drop_files(message);
    give_port(id);
    if (socket.family == kAfInet && socket.type == kSockRaw) forget(raw_sockets_, socket.net, id);
    if (socket.family == kAfPacket) forget(packet_sockets_, socket.net, id);
    if (socket.family == kAfNetlink) forget(netlink_sockets_, socket.net, id);
    if (socket.tcp.timer) timers_.erase({socket.tcp.timer, TimerKind::Tcp, id, 0});
    changed_.erase(id);
    socket = {};
    --sockets_used_;
    free_sockets_.push_back(id);
}

i64 Network::open(u32 net, u16 family, u16 type, u16 protocol, const SocketCredentials& credentials) {
    const i64 chosen = choose_protocol(family, type, protocol);
    if (chosen < 0) return chosen;
    const NetNamespace& space = spaces_[net];
    if (family == kAfInet && type == kSockDgram && chosen == kIpIcmp && (credentials.group < space.ping_group_low || credentials.group > space.ping_group_high)) return -kEACCES;
    const i64 id = new_socket();
    if (id < 0) return id;
    NetSocket& socket = sockets_[static_cast<u32>(id)];
    socket.net = net, socket.family = family, socket.protocol = static_cast<u16>(chosen), socket.credentials = credentials;
    socket.type = family == kAfUnix && type == kSockRaw ? u16{kSockDgram} : type;
    if (family == kAfInet && type == kSockRaw) raw_sockets_[net].push_back(static_cast<u32>(id));
    if (family == kAfInet && type == kSockRaw && protocol == kIpRaw) socket.options.header_included = true;
    if (family == kAfNetlink) netlink_sockets_[net].push_back(static_cast<u32>(id));
    if (family == kAfPacket) packet_sockets_[net].push_back(static_cast<u32>(id)), socket.local.protocol = socket.protocol;
    return id;
}

void Network::close(u32 id) {
    NetSocket& socket = sockets_[id];
    if (!socket.used || !socket.open) return;
    socket.open = false;
    if (socket.family == kAfUnix) unix_close(id);
    if (socket.family == kAfInet && socket.type == kSockStream) tcp_close(id);
    else free_socket(id);
    pump();
}

std::vector<u32> Network::take_changed() {
    std::vector<u32> taken(changed_.begin(), changed_.end());
    changed_.clear();
    return taken;
}
std::vector<u32> Network::take_dropped_files() { return std::exchange(dropped_files_, {}); }

std::vector<u32> Network::socket_ids() const {
    std::vector<u32> ids;
    for (u32 id = 0; id < sockets_.size(); ++id)
        if (sockets_[id].used) ids.push_back(id);
    return ids;
}

void Network::fail(u32 id, i64 error) {
    sockets_[id].error = error;
    changed(id);
}

i64 Network::take_error(u32 id) { return std::exchange(sockets_[id].error, 0); }

// --- Names and ports ----------------------------------------------------------------------------------------------------------------

SocketAddress Network::local_name(const NetSocket& socket) const {
    SocketAddress name = socket.local;
    name.family = socket.family;
    return name;
}

SocketAddress Network::peer_name(u32 id) const {
    const NetSocket& socket = sockets_[id];
    if (socket.family == kAfUnix) {
        if (socket.peer != kNone) return local_name(sockets_[socket.peer]);
        return {};
    }
    if (socket.family == kAfNetlink) {
        SocketAddress kernel;
        kernel.family = kAfNetlink;
        return kernel;
    }
    if (socket.family == kAfInet && socket.type == kSockStream &&
        (socket.tcp.state == TcpState::Closed || socket.tcp.state == TcpState::SynSent || socket.tcp.state == TcpState::Listen))
        return {};
    return socket.remote;
}

i64 Network::bind(u32 id, SocketAddress address) {
    NetSocket& socket = sockets_[id];
    if (socket.family == kAfUnix) return unix_bind(id, std::move(address));
    if (socket.family == kAfInet) return bind_inet(id, address);
    if (address.family != socket.family) return -kEINVAL;
    if (socket.family == kAfNetlink) return bind_netlink(id, address);
    if (address.ifindex && find_device(socket.net, address.ifindex) == kNone) return -kENODEV;
    socket.local = address;
    if (address.protocol) socket.protocol = address.protocol;
    return 0;
}

i64 Network::bind_inet(u32 id, const SocketAddress& address) {
    NetSocket& socket = sockets_[id];
    if (address.family != kAfInet && (address.family != kAfUnspec || address.ip)) return -kEAFNOSUPPORT;
    const bool usable = !address.ip || address.ip == kBroadcastIp || is_multicast(address.ip) || is_local(socket.net, address.ip);
    if (!usable) return -kEADDRNOTAVAIL;
    if (socket.type == kSockRaw) {
        socket.local.ip = address.ip;
        return 0;
    }
    if (socket.port_bound || (socket.type == kSockStream && socket.tcp.state != TcpState::Closed)) return -kEINVAL;
    if (address.port && !port_free(socket, address.ip, address.port)) return -kEADDRINUSE;
    socket.local.ip = address.ip, socket.local.port = address.port;
    if (!address.port)
        if (const i64 error = choose_port(socket); error < 0) return error;
    take_port(id);
    return 0;
}

u8 Network::port_protocol(const NetSocket& socket) const { return static_cast<u8>(socket.protocol); }

bool Network::port_free(const NetSocket& socket, Ipv4 ip, u16 port) const {
    const auto users = ports_.find({socket.net, port_protocol(socket), port});
    if (users == ports_.end()) return true;
    return std::all_of(users->second.begin(), users->second.end(), [&](u32 id) {
        const NetSocket& other = sockets_[id];
        if (&other == &socket || (ip && other.local.ip && other.local.ip != ip)) return true;
        if (socket.options.reuse_port && other.options.reuse_port) return true;
        return socket.options.reuse_address && other.options.reuse_address && !other.listening;
    });
}

/// The next port of the ephemeral range that nobody uses.
i64 Network::choose_port(NetSocket& socket) {
    NetNamespace& space = spaces_[socket.net];
    constexpr unsigned kPorts = kLastEphemeral - kFirstEphemeral + 1u;
    for (unsigned tries = 0; tries < kPorts; ++tries) {
        const u16 port = static_cast<u16>(kFirstEphemeral + space.next_port);
        space.next_port = static_cast<u16>((space.next_port + 1) % kPorts);
        if (ports_.count({socket.net, port_protocol(socket), port})) continue;
        socket.local.port = port;
        return 0;
    }
    return socket.type == kSockStream ? -kEADDRNOTAVAIL : -kEAGAIN;
}

void Network::take_port(u32 id) {
    NetSocket& socket = sockets_[id];
    socket.port_bound = true;
    ports_[{socket.net, port_protocol(socket), socket.local.port}].push_back(id);
}

void Network::give_port(u32 id) {
    NetSocket& socket = sockets_[id];
    if (socket.family == kAfInet && socket.type == kSockStream && socket.remote.family) {
        const auto connection = connections_.find({socket.net, tcp_key(socket)});
        if (connection != connections_.end() && connection->second == id) connections_.erase(connection);
    }
    if (!socket.port_bound) return;
    socket.port_bound = false;
    const auto users = ports_.find({socket.net, port_protocol(socket), socket.local.port});
    if (users == ports_.end()) return;
    std::erase(users->second, id);
    if (users->second.empty()) ports_.erase(users);
}

// --- Calls --------------------------------------------------------------------------------------------------------------------------

i64 Network::listen(u32 id, u32 backlog) {
    NetSocket& socket = sockets_[id];
    if (socket.type != kSockStream && socket.type != kSockSeqpacket) return -kEOPNOTSUPP;
    if (socket.family == kAfUnix) {
        if (socket.local.family == kAfUnspec || socket.peer != kNone) return -kEINVAL;
        socket.peer_credentials = socket.credentials;
    } else {
        if (socket.tcp.state != TcpState::Closed && socket.tcp.state != TcpState::Listen) return -kEINVAL;
        if (!socket.port_bound) {
            if (const i64 error = choose_port(socket); error < 0) return error;
            take_port(id);
        }
        const auto& users = ports_[{socket.net, port_protocol(socket), socket.local.port}];
        for (u32 other : users)
            if (other != id && sockets_[other].listening && !(socket.options.reuse_port && sockets_[other].options.reuse_port) &&
                (!sockets_[other].local.ip || !socket.local.ip || sockets_[other].local.ip == socket.local.ip))
                return -kEADDRINUSE;
        socket.tcp.state = TcpState::Listen;
    }
    socket.listening = true, socket.backlog = std::min<u32>(backlog, kSomaxconn);
    return 0;
}

i64 Network::connect(u32 id, const SocketAddress& address, const SocketCredentials& credentials) {
    NetSocket& socket = sockets_[id];
    i64 result = -kEOPNOTSUPP;
    if (socket.family == kAfUnix) result = unix_connect(id, address, credentials);
    else if (socket.family == kAfNetlink) result = 0;
    else if (socket.family == kAfInet && socket.type == kSockStream) result = tcp_connect(id, address);
    else if (socket.family == kAfInet) result = connect_datagram(id, address);
    pump();
    return result;
}

i64 Network::accept(u32 id) {
    NetSocket& socket = sockets_[id];
    if (socket.type != kSockStream && socket.type != kSockSeqpacket) return -kEOPNOTSUPP;
    if (!socket.listening) return -kEINVAL;
    if (socket.accept_queue.empty()) return -kEAGAIN;
    const u32 accepted = socket.accept_queue.front();
    socket.accept_queue.erase(socket.accept_queue.begin());
    sockets_[accepted].listener = kNone, sockets_[accepted].open = true;
    if (socket.family == kAfUnix) unix_wake_blocked(id);
    return accepted;
}

i64 Network::shutdown(u32 id, bool reading, bool writing) {
    NetSocket& socket = sockets_[id];
    if (!reading && !writing) return -kEINVAL;
    if (socket.family == kAfUnix) {
        socket.shut_read |= reading, socket.shut_write |= writing;
        if (socket.peer != kNone && socket.type != kSockDgram) {
            sockets_[socket.peer].shut_read |= writing, sockets_[socket.peer].shut_write |= reading;
            changed(socket.peer);
        }
        changed(id);
        return 0;
    }
    if (socket.family != kAfInet) return -kEOPNOTSUPP;
    if (socket.type != kSockStream) {
        if (!socket.remote.family) return -kENOTCONN;
        socket.shut_read |= reading, socket.shut_write |= writing;
        changed(id);
        return 0;
    }
    if (socket.tcp.state == TcpState::Listen && reading) {
        tcp_done(id, 0);
        return 0;
    }
    if (socket.tcp.state == TcpState::Closed || socket.tcp.state == TcpState::SynSent || socket.tcp.state == TcpState::Listen) return -kENOTCONN;
    socket.shut_read |= reading;
    if (writing && !socket.shut_write) tcp_shutdown_write(id);
    changed(id);
    pump();
    return 0;
}

i64 Network::send(u32 id, NetView bytes, const Outgoing& outgoing) {
    NetSocket& socket = sockets_[id];
    i64 result = -kEOPNOTSUPP;
    if (socket.family == kAfUnix) result = unix_send(id, bytes, outgoing);
    else if (socket.family == kAfNetlink) result = netlink_send(id, bytes, outgoing);
    else if (socket.family == kAfPacket) result = send_packet(id, bytes, outgoing);
    else if (socket.type == kSockStream) result = tcp_send(id, bytes);
    else if (socket.type == kSockRaw || socket.protocol == kIpIcmp) result = send_raw(id, bytes, outgoing);
    else result = send_udp(id, bytes, outgoing);
    pump();
    return result;
}

Incoming Network::receive(u32 id, std::size_t most, u32 flags) {
    NetSocket& socket = sockets_[id];
    if (socket.family == kAfUnix) return unix_receive(id, most, flags);
    if (socket.family != kAfInet || socket.type != kSockStream) return receive_datagram(id, most, flags);
    Incoming incoming = tcp_receive(id, most, flags);
    pump();
    return incoming;
}

void Network::enqueue(u32 id, QueuedMessage message) {
    NetSocket& socket = sockets_[id];
    message.full = static_cast<u32>(message.data.size());
    const u64 counts = message.data.size() + kMessageOverhead;
    if (socket.shut_read || socket.queued + counts > datagram_limit(socket)) {
        if (socket.protocol == kIpUdp) ++spaces_[socket.net].counters.udp_full;
        return;
    }
    socket.queued += counts;
    socket.queue.push_back(std::move(message));
    changed(id);
}

Incoming Network::receive_datagram(u32 id, std::size_t most, u32 flags) {
    NetSocket& socket = sockets_[id];
    Incoming incoming;
    if (socket.error) {
        incoming.result = -take_error(id);
        return incoming;
    }
    if (socket.queue.empty()) {
        incoming.result = socket.shut_read ? 0 : -kEAGAIN;
        return incoming;
    }
    QueuedMessage& message = socket.queue.front();
    const std::size_t count = std::min(most, message.data.size());
    incoming.full = message.data.size(), incoming.from = message.from, incoming.destination = message.destination, incoming.ifindex = message.ifindex, incoming.ttl = message.ttl;
    if (count < message.data.size()) incoming.flags |= kMsgTrunc;
    incoming.result = static_cast<i64>(count);
    incoming.data.assign(message.data.begin(), message.data.begin() + static_cast<std::ptrdiff_t>(count));
    if (flags & kMsgPeek) return incoming;
    socket.queued -= message.data.size() + kMessageOverhead;
    socket.queue.erase(socket.queue.begin());
    return incoming;
}

u32 Network::poll(u32 id) const {
    const NetSocket& socket = sockets_[id];
    constexpr u32 kReadable = kReadyIn | kReadyReadNormal, kWritable = kReadyOut | kReadyWriteNormal;
    if (socket.family == kAfUnix) return unix_poll(socket);
    u32 events = socket.error ? u32{kReadyErr} : 0;
    if (socket.family != kAfInet || socket.type != kSockStream) {
        if (!socket.queue.empty() || socket.shut_read) events |= kReadable;
        if (socket.shut_read) events |= kReadyReadHup;
        if (socket.shut_read && socket.shut_write) events |= kReadyHup;
        return events | kWritable;
    }
    if (socket.listening) return events | (socket.accept_queue.empty() ? 0 : kReadable);
    const TcpControl& tcp = socket.tcp;
    const bool ended = tcp.state == TcpState::Closed || tcp.fin_received || socket.shut_read;
    const bool was_connected = socket.remote.family != kAfUnspec;
    if (tcp.state == TcpState::Closed || (ended && socket.shut_write)) events |= kReadyHup;
    if (ended && (tcp.state != TcpState::Closed || was_connected)) events |= kReadable | kReadyReadHup;
    if (tcp.state == TcpState::SynSent || tcp.state == TcpState::SynReceived) return events;
    if (!tcp.receive.empty()) events |= kReadable;
    if (socket.shut_write || tcp.state == TcpState::Closed || tcp.send.size() * 3 < buffer_limit() * 2) events |= kWritable;
    return events;
}

u64 Network::readable(u32 id) const {
    const NetSocket& socket = sockets_[id];
    if (socket.family == kAfInet && socket.type == kSockStream) return socket.tcp.receive.size();
    if (socket.queue.empty()) return 0;
    if (socket.family != kAfUnix || socket.type != kSockStream) return socket.queue.front().data.size();
    u64 bytes = 0;
    for (const QueuedMessage& message : socket.queue) bytes += message.data.size() - message.taken;
    return bytes;
}
u64 Network::unsent(u32 id) const { return sockets_[id].tcp.send.size(); }

} // namespace trapeze::container
