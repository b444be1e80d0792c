// TCP, the side of the socket: connections begun and ended, segments sent, sent again, and given up (RFC 9293, RFC 6298).
// Known gaps: no congestion control, no delayed acknowledgments, no urgent data; the timeout does not follow measured round trips.
#include "container-sim/errno.hpp"
#include "container-sim/net/network.hpp"

#include <algorithm>

namespace trapeze::container {

namespace {
constexpr u64 kFirstTimeout = kNetSecond, kDataTimeout = kNetSecond / 5, kLongestTimeout = 120 * kNetSecond; ///< TCP_TIMEOUT_INIT, TCP_RTO_MIN, TCP_RTO_MAX
constexpr u64 kTimeWait = 60 * kNetSecond;                       ///< TCP_TIMEWAIT_LEN
constexpr u8 kSynRetries = 6, kSynAckRetries = 5, kRetries = 15; ///< net.ipv4.tcp_syn_retries, tcp_synack_retries, tcp_retries2
constexpr std::size_t kBuffer = 65535, kLeastBuffer = 4096, kManySockets = 1024;
constexpr u32 kHeaders = kIpHeader + kTcpHeader;
constexpr u16 kLargestMss = 65495, kLeastMss = 88;
} // namespace

FlowKey Network::tcp_key(const NetSocket& socket) const { return {kIpTcp, socket.remote.ip, socket.remote.port, socket.local.ip, socket.local.port}; }

/// NetBytes that a direction of one connection may hold: less when there are very many, so that all together stay bounded.
std::size_t Network::buffer_limit() const { return sockets_used_ <= kManySockets ? kBuffer : std::max(kLeastBuffer, kBuffer * kManySockets / sockets_used_); }

u16 Network::tcp_mss(const NetSocket& socket) const {
    const Hop hop = route(socket.net, socket.remote.ip, socket.local.ip, socket_device(socket));
    const u32 mtu = hop.error || hop.device == kNone ? 576 : devices_[hop.device].mtu;
    return static_cast<u16>(std::clamp<u32>(mtu > kHeaders ? mtu - kHeaders : 0, kLeastMss, kLargestMss));
}

i64 Network::tcp_connect(u32 id, const SocketAddress& address) {
    NetSocket& socket = sockets_[id];
    TcpControl& tcp = socket.tcp;
    if (address.family == kAfUnspec) {
        if (tcp.state != TcpState::Closed && tcp.state != TcpState::Listen && tcp.state != TcpState::SynSent) tcp_reset(id);
        tcp_done(id, 0);
        socket.remote = {}, socket.connecting = false;
        return 0;
    }
    if (socket.connecting) {
        if (tcp.state == TcpState::SynSent || tcp.state == TcpState::SynReceived) return -kEALREADY;
        socket.connecting = false;
        if (tcp.state != TcpState::Closed) return 0;
        socket.remote = {};
        const i64 error = take_error(id);
        return error ? -error : -kECONNABORTED;
    }
    if (tcp.state != TcpState::Closed) return -kEISCONN;
    if (address.family != kAfInet) return -kEAFNOSUPPORT;
    const Ipv4 to = address.ip ? address.ip : ipv4(127, 0, 0, 1);
    const Hop hop = route(socket.net, to, socket.local.ip, socket_device(socket));
    if (hop.error) return hop.error;
    if (hop.type == RouteType::Broadcast || is_multicast(to)) return -kENETUNREACH;
    const SocketAddress before = socket.local;
    if (!socket.local.ip) socket.local.ip = hop.source;
    if (!socket.port_bound) {
        if (const i64 error = choose_port(socket); error < 0) return socket.local = before, error;
        take_port(id);
    }
    socket.remote = {}, socket.remote.family = kAfInet, socket.remote.ip = to, socket.remote.port = address.port;
    if (connections_.count({socket.net, tcp_key(socket)})) return socket.remote = {}, -kEADDRNOTAVAIL;
    connections_[{socket.net, tcp_key(socket)}] = id;
    tcp = {};
    socket.shut_read = socket.shut_write = false, socket.error = 0, socket.connecting = true;
    tcp.state = TcpState::SynSent, tcp.mss = tcp_mss(socket), tcp.timeout = kFirstTimeout;
    tcp.send_unacked = sequence_ += 64'000, tcp.send_unacked += static_cast<u32>(now_ / 4000);
    tcp.send_next = tcp.send_unacked + 1;
    ++spaces_[socket.net].counters.tcp_opened;
    tcp_set_timer(id, now_ + kFirstTimeout);
    (void)tcp_transmit(id, tcp.send_unacked, kSyn, {}); // if it cannot leave now, it is sent again
    return -kEINPROGRESS;
}

i64 Network::tcp_send(u32 id, NetView bytes) {
    NetSocket& socket = sockets_[id];
    TcpControl& tcp = socket.tcp;
    if (socket.error) return -take_error(id);
    if (socket.shut_write) return -kEPIPE;
    if (tcp.state == TcpState::SynSent || tcp.state == TcpState::SynReceived) return -kEAGAIN;
    if (tcp.state != TcpState::Established && tcp.state != TcpState::CloseWait) return -kEPIPE;
    const std::size_t limit = buffer_limit();
    if (bytes.empty()) return 0;
    if (tcp.send.size() >= limit) return -kEAGAIN;
    const std::size_t count = std::min(bytes.size(), limit - tcp.send.size());
    tcp.send.insert(tcp.send.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(count));
    tcp_output(id);
    return static_cast<i64>(count);
}

Incoming Network::tcp_receive(u32 id, std::size_t most, u32 flags) {
    NetSocket& socket = sockets_[id];
    TcpControl& tcp = socket.tcp;
    Incoming incoming;
    incoming.from = peer_name(id);
    if (!tcp.receive.empty()) {
        const std::size_t count = std::min(most, tcp.receive.size());
        incoming.data.assign(tcp.receive.begin(), tcp.receive.begin() + static_cast<std::ptrdiff_t>(count));
        incoming.result = static_cast<i64>(count), incoming.full = count;
        if (flags & kMsgPeek) return incoming;
        tcp.receive.erase(tcp.receive.begin(), tcp.receive.begin() + static_cast<std::ptrdiff_t>(count));
        const bool receiving = tcp.state == TcpState::Established || tcp.state == TcpState::FinWait1 || tcp.state == TcpState::FinWait2;
        const u32 known = tcp.advertised - tcp.receive_next, now = tcp_window(socket);
        if (receiving && now > known && now - known >= std::min<u32>(tcp.mss, static_cast<u32>(buffer_limit()) / 2) && known < buffer_limit() / 2) tcp_acknowledge(id);
        return incoming;
    }
    if (socket.error) incoming.result = -take_error(id);
    else if (tcp.fin_received || socket.shut_read) incoming.result = 0;
    else if (tcp.state == TcpState::Listen || (tcp.state == TcpState::Closed && !socket.remote.family)) incoming.result = -kENOTCONN;
    else incoming.result = tcp.state == TcpState::Closed ? 0 : -kEAGAIN;
    return incoming;
}

/// The window to offer: what there is room for, but its right edge never goes back, and no silly small steps (RFC 9293, 3.8.6.2.2).
u32 Network::tcp_window(const NetSocket& socket) const {
    const TcpControl& tcp = socket.tcp;
    const u32 limit = static_cast<u32>(buffer_limit());
    const u32 room = tcp.receive.size() < limit ? limit - static_cast<u32>(tcp.receive.size()) : 0;
    const i32 promised = static_cast<i32>(tcp.advertised - tcp.receive_next);
    const u32 least = promised > 0 ? static_cast<u32>(promised) : 0;
    if (room < std::min<u32>(tcp.mss, limit / 2)) return least;
    return std::max(room, least);
}

i64 Network::tcp_transmit(u32 id, u32 sequence, u8 flags, NetView data) {
    NetSocket& socket = sockets_[id];
    TcpControl& tcp = socket.tcp;
    TcpSegment segment;
    segment.source_port = socket.local.port, segment.destination_port = socket.remote.port;
    segment.sequence = sequence, segment.flags = flags, segment.data = data;
    const bool resets = flags & kRst;
    const u32 window = resets ? 0 : tcp.state == TcpState::SynSent ? std::min<u32>(static_cast<u32>(buffer_limit()), 65535) : tcp_window(socket);
    segment.window = static_cast<u16>(std::min<u32>(window, 65535));
    if (flags & kAck) segment.acknowledgment = tcp.receive_next;
    if (flags & kSyn) segment.mss = tcp_mss(socket);
    if (!resets) tcp.advertised = tcp.receive_next + segment.window;
    NetNamespace& space = spaces_[socket.net];
    ++space.counters.tcp_sent;
    Ipv4Header ip;
    ip.source = socket.local.ip, ip.destination = socket.remote.ip, ip.protocol = kIpTcp, ip.ttl = socket.options.ttl, ip.tos = socket.options.tos, ip.dont_fragment = true;
    ip.id = space.next_ip_id++;
    return ip_output(socket.net, build_ipv4(ip, build_tcp(ip, segment)), socket_device(socket));
}

/// Sends what the window allows. Whether anything was sent, and thereby acknowledged.
bool Network::tcp_output(u32 id) {
    NetSocket& socket = sockets_[id];
    TcpControl& tcp = socket.tcp;
    const bool sending = tcp.state == TcpState::Established || tcp.state == TcpState::CloseWait || tcp.state == TcpState::FinWait1 || tcp.state == TcpState::Closing || tcp.state == TcpState::LastAck;
    if (!sending) return false;
    bool sent = false;
    while (!tcp.fin_sent) {
        const u32 flight = tcp.send_next - tcp.send_unacked;
        const u32 unsent = static_cast<u32>(tcp.send.size()) - flight;
        const u32 window = tcp.send_window > flight ? tcp.send_window - flight : 0;
        const u32 count = std::min({unsent, window, u32{tcp.mss}});
        if (!count || (count < tcp.mss && flight && !socket.options.no_delay && !tcp.fin_queued)) break; // Nagle (RFC 9293, 3.7.4)
        const NetBytes data(tcp.send.begin() + flight, tcp.send.begin() + flight + count);
        (void)tcp_transmit(id, tcp.send_next, count == unsent ? kAck | kPsh : kAck, data);
        tcp.send_next += count;
        sent = true;
    }
    if (tcp.fin_queued && !tcp.fin_sent && tcp.send_next - tcp.send_unacked == tcp.send.size()) {
        (void)tcp_transmit(id, tcp.send_next, kFin | kAck, {});
        ++tcp.send_next;
        tcp.fin_sent = sent = true;
    }
    if (!tcp.timer && (tcp.send_next != tcp.send_unacked || !tcp.send.empty())) {
        tcp.timeout = kDataTimeout;
        tcp_set_timer(id, now_ + tcp.timeout);
    }
    return sent;
}

/// Sends the first segment again that is not acknowledged.
void Network::tcp_retransmit(u32 id) {
    TcpControl& tcp = sockets_[id].tcp;
    ++spaces_[sockets_[id].net].counters.tcp_retransmitted;
    if (tcp.state == TcpState::SynSent) return (void)tcp_transmit(id, tcp.send_unacked, kSyn, {});
    if (tcp.state == TcpState::SynReceived) return (void)tcp_transmit(id, tcp.send_unacked, kSyn | kAck, {});
    const u32 flight = tcp.send_next - tcp.send_unacked - (tcp.fin_sent ? 1 : 0);
    const u32 count = std::min({flight, u32{tcp.mss}, static_cast<u32>(tcp.send.size())});
    if (count) (void)tcp_transmit(id, tcp.send_unacked, kAck | kPsh, NetBytes(tcp.send.begin(), tcp.send.begin() + count));
    else if (tcp.fin_sent) (void)tcp_transmit(id, tcp.send_unacked, kFin | kAck, {});
}

void Network::tcp_set_timer(u32 id, u64 at) {
    TcpControl& tcp = sockets_[id].tcp;
    if (tcp.timer) timers_.erase({tcp.timer, TimerKind::Tcp, id, 0});
    tcp.timer = at;
    if (at) timers_.insert({at, TimerKind::Tcp, id, 0});
}

void Network::tcp_timer(u32 id) {
    NetSocket& socket = sockets_[id];
    TcpControl& tcp = socket.tcp;
    tcp.timer = 0;
    if (tcp.state == TcpState::TimeWait || tcp.state == TcpState::FinWait2) return tcp_done(id, 0);
    if (tcp.state == TcpState::Closed || tcp.state == TcpState::Listen) return;
    const u8 most = tcp.state == TcpState::SynSent ? kSynRetries : tcp.state == TcpState::SynReceived ? kSynAckRetries : kRetries;
    if (tcp.retries >= most) {
        ++spaces_[socket.net].counters.tcp_failed;
        return tcp_done(id, kETIMEDOUT);
    }
    ++tcp.retries;
    tcp.timeout = std::min(tcp.timeout * 2, kLongestTimeout);
    tcp_set_timer(id, now_ + tcp.timeout);
    const bool probe = tcp.send_next == tcp.send_unacked; // everything sent is acknowledged, and the window is closed
    if (probe) return (void)tcp_transmit(id, tcp.send_unacked - 1, kAck, {});
    tcp.recovering = true, tcp.recover = tcp.send_next;
    tcp_retransmit(id);
}

/// The connection is no more. `error` waits for whoever uses the socket next.
void Network::tcp_done(u32 id, i64 error) {
    NetSocket& socket = sockets_[id];
    const TcpState before = socket.tcp.state;
    tcp_set_timer(id, 0);
    give_port(id);
    socket.tcp.state = TcpState::Closed, socket.tcp.send.clear(), socket.tcp.early.clear();
    if (error) socket.error = error;
    if (before == TcpState::Listen) {
        socket.listening = false, socket.accept_queue.clear(), socket.half_open = 0;
        for (u32 child = 0; child < sockets_.size(); ++child) {
            if (!sockets_[child].used || sockets_[child].listener != id || sockets_[child].family != kAfInet) continue;
            sockets_[child].listener = kNone;
            if (sockets_[child].tcp.state != TcpState::Closed) tcp_reset(child);
            tcp_done(child, 0);
        }
    }
    if (socket.listener != kNone && before == TcpState::SynReceived) {
        --sockets_[socket.listener].half_open;
        socket.listener = kNone;
    }
    changed(id);
    if (!socket.open && socket.listener == kNone) free_socket(id);
}

void Network::tcp_enter_time_wait(u32 id) {
    sockets_[id].tcp.state = TcpState::TimeWait;
    tcp_set_timer(id, now_ + kTimeWait);
    changed(id);
}

void Network::tcp_shutdown_write(u32 id) {
    NetSocket& socket = sockets_[id];
    socket.shut_write = true;
    TcpControl& tcp = socket.tcp;
    if (tcp.state == TcpState::Established || tcp.state == TcpState::SynReceived) tcp.state = TcpState::FinWait1;
    else if (tcp.state == TcpState::CloseWait) tcp.state = TcpState::LastAck;
    else return;
    tcp.fin_queued = true;
    tcp_output(id);
}

void Network::tcp_reset(u32 id) {
    ++spaces_[sockets_[id].net].counters.tcp_resets_sent;
    (void)tcp_transmit(id, sockets_[id].tcp.send_next, kRst | kAck, {});
}

/// Nobody holds the socket any more: it says goodbye, or, with unread data or SO_LINGER 0, breaks off (RFC 2525, 2.17).
void Network::tcp_close(u32 id) {
    NetSocket& socket = sockets_[id];
    TcpControl& tcp = socket.tcp;
    socket.listener = kNone;
    if (tcp.state == TcpState::Closed || tcp.state == TcpState::Listen || tcp.state == TcpState::SynSent) return tcp_done(id, 0);
    if (tcp.state == TcpState::TimeWait) return;
    const bool abort = !tcp.receive.empty() || (socket.options.linger && socket.options.linger_seconds == 0);
    if (abort) {
        tcp_reset(id);
        return tcp_done(id, 0);
    }
    if (!socket.shut_write) tcp_shutdown_write(id);
    if (tcp.state == TcpState::FinWait2) tcp_set_timer(id, now_ + kTimeWait); // net.ipv4.tcp_fin_timeout
}

} // namespace trapeze::container
