// TCP, the side of the wire: what each arriving segment does to a connection (RFC 9293, 3.10.7; RFC 5961 for resets).
#include "container-sim/errno.hpp"
#include "container-sim/net/network.hpp"

#include <algorithm>

namespace trapeze::container {

namespace {
constexpr u64 kFirstTimeout = kNetSecond, kFinTimeout = 60 * kNetSecond;
constexpr u64 kChallengePause = kNetSecond / 2; ///< net.ipv4.tcp_invalid_ratelimit
constexpr std::size_t kMaxEarly = 128;
constexpr u16 kDefaultMss = 536, kLeastMss = 88;
/// Sequence numbers go round: a comes after b.
bool after(u32 a, u32 b) { return static_cast<i32>(a - b) > 0; }
} // namespace

/// The connection of a segment, or who listens for it. `key` is how the segment looks.
u32 Network::find_tcp(u32 net, const FlowKey& key) const {
    if (const auto connection = connections_.find({net, key}); connection != connections_.end()) return connection->second;
    const auto users = ports_.find({net, kIpTcp, key.destination_port});
    u32 best = kNone;
    if (users == ports_.end()) return best;
    for (u32 id : users->second) {
        const NetSocket& socket = sockets_[id];
        if (!socket.listening || (socket.local.ip && socket.local.ip != key.destination)) continue;
        if (best == kNone || (socket.local.ip && !sockets_[best].local.ip)) best = id;
    }
    return best;
}

void Network::tcp_input(const Passage& passage, const Ipv4Header& ip, NetView payload) {
    const auto segment = parse_tcp(ip, payload);
    if (!segment || !is_local(passage.net, ip.destination)) return;
    ++spaces_[passage.net].counters.tcp_received;
    const FlowKey key{kIpTcp, ip.source, segment->source_port, ip.destination, segment->destination_port};
    u32 id = find_tcp(passage.net, key);
    if (id != kNone && sockets_[id].tcp.state == TcpState::TimeWait && segment->flags & kSyn && after(segment->sequence, sockets_[id].tcp.receive_next)) {
        tcp_done(id, 0); // a new connection may take the place of one that is over
        id = find_tcp(passage.net, key);
    }
    if (id == kNone || sockets_[id].tcp.state == TcpState::Closed) {
        note(passage, PathDecision::NoListener, build_ipv4(ip, payload), passage.in);
        return tcp_refuse(passage, ip, *segment);
    }
    note(passage, PathDecision::Delivered, build_ipv4(ip, payload), passage.in);
    switch (sockets_[id].tcp.state) {
    case TcpState::Listen: return tcp_listen_input(id, passage, ip, *segment);
    case TcpState::SynSent: return tcp_syn_sent_input(id, *segment);
    default: return tcp_segment_input(id, *segment);
    }
}

/// Answers a segment that nobody expects with a reset.
void Network::tcp_refuse(const Passage& passage, const Ipv4Header& ip, const TcpSegment& segment) {
    if (segment.flags & kRst) return;
    TcpSegment answer;
    answer.source_port = segment.destination_port, answer.destination_port = segment.source_port;
    if (segment.flags & kAck) answer.sequence = segment.acknowledgment, answer.flags = kRst;
    else answer.acknowledgment = segment.sequence + segment.length(), answer.flags = kRst | kAck;
    NetNamespace& space = spaces_[passage.net];
    ++space.counters.tcp_resets_sent, ++space.counters.tcp_sent;
    Ipv4Header header;
    header.source = ip.destination, header.destination = ip.source, header.protocol = kIpTcp, header.dont_fragment = true, header.id = space.next_ip_id++;
    (void)ip_output(passage.net, build_ipv4(header, build_tcp(header, answer)));
}

/// A SYN begins a connection, if there is room for it.
void Network::tcp_listen_input(u32 id, const Passage& passage, const Ipv4Header& ip, const TcpSegment& segment) {
    if (segment.flags & kRst) return;
    if (segment.flags & kAck) return tcp_refuse(passage, ip, segment);
    if (!(segment.flags & kSyn)) return;
    if (sockets_[id].accept_queue.size() > sockets_[id].backlog || sockets_[id].half_open > std::max<u32>(sockets_[id].backlog, 8)) return; // it will be sent again
    const i64 made = new_socket();
    if (made < 0) return;
    const u32 child = static_cast<u32>(made);
    NetSocket& listener = sockets_[id];
    NetSocket& socket = sockets_[child];
    socket.open = false, socket.net = listener.net, socket.family = kAfInet, socket.type = kSockStream, socket.protocol = kIpTcp, socket.options = listener.options;
    socket.credentials = listener.credentials, socket.listener = id;
    socket.local.family = socket.remote.family = kAfInet;
    socket.local.ip = ip.destination, socket.local.port = segment.destination_port, socket.remote.ip = ip.source, socket.remote.port = segment.source_port;
    take_port(child);
    connections_[{socket.net, tcp_key(socket)}] = child;
    ++listener.half_open;
    TcpControl& tcp = socket.tcp;
    tcp.state = TcpState::SynReceived, tcp.timeout = kFirstTimeout;
    tcp.mss = std::min(std::max(segment.mss ? segment.mss : kDefaultMss, kLeastMss), tcp_mss(socket));
    tcp.receive_next = segment.sequence + 1, tcp.advertised = tcp.receive_next;
    tcp.send_window = segment.window, tcp.window_sequence = segment.sequence;
    tcp.send_unacked = (sequence_ += 64'000) + static_cast<u32>(now_ / 4000), tcp.send_next = tcp.send_unacked + 1, tcp.window_acknowledgment = tcp.send_unacked;
    tcp_set_timer(child, now_ + kFirstTimeout);
    (void)tcp_transmit(child, tcp.send_unacked, kSyn | kAck, {});
}

void Network::tcp_syn_sent_input(u32 id, const TcpSegment& segment) {
    NetSocket& socket = sockets_[id];
    TcpControl& tcp = socket.tcp;
    const bool acknowledges = segment.flags & kAck && segment.acknowledgment == tcp.send_next;
    if (segment.flags & kAck && !acknowledges) {
        if (!(segment.flags & kRst)) (void)tcp_transmit(id, segment.acknowledgment, kRst, {});
        return;
    }
    if (segment.flags & kRst) {
        if (!acknowledges) return;
        ++spaces_[socket.net].counters.tcp_failed;
        return tcp_done(id, kECONNREFUSED);
    }
    if (!(segment.flags & kSyn)) return;
    tcp.receive_next = segment.sequence + 1, tcp.advertised = tcp.receive_next;
    tcp.send_window = segment.window, tcp.window_sequence = segment.sequence, tcp.window_acknowledgment = segment.acknowledgment;
    tcp.mss = std::min(std::max(segment.mss ? segment.mss : kDefaultMss, kLeastMss), tcp_mss(socket));
    if (!acknowledges) { // both began at once
        tcp.state = TcpState::SynReceived;
        return (void)tcp_transmit(id, tcp.send_unacked, kSyn | kAck, {});
    }
    tcp.send_unacked = segment.acknowledgment, tcp.state = TcpState::Established, tcp.retries = 0;
    tcp_set_timer(id, 0);
    tcp_acknowledge(id);
    changed(id);
}

/// Answers what cannot be right with where we are; seldom, or two ends that disagree would answer each other for ever.
void Network::tcp_challenge(u32 id, const TcpSegment& segment) {
    TcpControl& tcp = sockets_[id].tcp;
    if (segment.data.empty() || segment.flags & kSyn) {
        if (tcp.challenged && now_ < tcp.challenged + kChallengePause) return;
        tcp.challenged = std::max<u64>(now_, 1);
    }
    tcp_acknowledge(id);
}

/// RFC 9293, table 6: whether any of the segment lies in the window.
bool Network::tcp_acceptable(const TcpControl& tcp, const NetSocket&, const TcpSegment& segment) const {
    const i32 edge = static_cast<i32>(tcp.advertised - tcp.receive_next);
    const u32 window = edge > 0 ? static_cast<u32>(edge) : 0, length = segment.length();
    const auto inside = [&](u32 sequence) { return sequence - tcp.receive_next < window; };
    if (!length) return window ? inside(segment.sequence) || segment.sequence == tcp.receive_next : segment.sequence == tcp.receive_next;
    if (!window) return length == 1 && segment.flags & kFin && segment.sequence == tcp.receive_next;
    return inside(segment.sequence) || inside(segment.sequence + length - 1);
}

void Network::tcp_reset_input(u32 id) {
    NetSocket& socket = sockets_[id];
    switch (socket.tcp.state) {
    case TcpState::SynReceived: return tcp_done(id, socket.listener == kNone ? i64{kECONNREFUSED} : 0);
    case TcpState::CloseWait: return tcp_done(id, kEPIPE);
    case TcpState::LastAck: case TcpState::Closing: case TcpState::TimeWait: return tcp_done(id, 0);
    default:
        socket.shut_write = true;
        return tcp_done(id, kECONNRESET);
    }
}

/// The last acknowledgment of a handshake. False: the listener has no room, and the segment counts as lost.
bool Network::tcp_established_by(u32 id) {
    NetSocket& socket = sockets_[id];
    if (socket.listener != kNone) {
        NetSocket& listener = sockets_[socket.listener];
        if (listener.accept_queue.size() > listener.backlog) return false;
        --listener.half_open;
        listener.accept_queue.push_back(id);
        ++spaces_[socket.net].counters.tcp_accepted;
        changed(socket.listener);
    }
    socket.tcp.state = socket.tcp.fin_queued ? TcpState::FinWait1 : TcpState::Established;
    socket.tcp.retries = 0;
    tcp_set_timer(id, 0);
    changed(id);
    return true;
}

/// What the peer has got, and how much more it can take. False: the connection is over, or the segment is no good.
bool Network::tcp_take_acknowledgment(u32 id, const TcpSegment& segment) {
    TcpControl& tcp = sockets_[id].tcp;
    if (after(segment.acknowledgment, tcp.send_next)) {
        tcp_challenge(id, segment);
        return false;
    }
    if (after(segment.acknowledgment, tcp.send_unacked)) {
        const u32 taken = segment.acknowledgment - tcp.send_unacked;
        const u32 data = std::min<u32>(taken, static_cast<u32>(tcp.send.size()));
        tcp.send.erase(tcp.send.begin(), tcp.send.begin() + data);
        tcp.send_unacked = segment.acknowledgment, tcp.retries = 0;
        tcp_set_timer(id, 0);
        changed(id);
        if (tcp.recovering && after(tcp.recover, tcp.send_unacked)) tcp_retransmit(id); // the next one that was lost
        else tcp.recovering = false;
    } else if (tcp.send_next == tcp.send_unacked && !tcp.send.empty()) {
        tcp.retries = 0; // the peer answers: its window may stay closed for ever
    }
    const bool newer = after(segment.sequence, tcp.window_sequence) || (segment.sequence == tcp.window_sequence && !after(tcp.window_acknowledgment, segment.acknowledgment));
    if (newer) {
        if (!tcp.send_window && segment.window && tcp.send_next == tcp.send_unacked) tcp_set_timer(id, 0);
        tcp.send_window = segment.window, tcp.window_sequence = segment.sequence, tcp.window_acknowledgment = segment.acknowledgment;
    }
    if (!tcp.fin_sent || tcp.send_unacked != tcp.send_next) return true;
    if (tcp.state == TcpState::FinWait1) {
        tcp.state = TcpState::FinWait2;
        if (!sockets_[id].open) tcp_set_timer(id, now_ + kFinTimeout);
    } else if (tcp.state == TcpState::Closing) {
        tcp_enter_time_wait(id);
        return false;
    } else if (tcp.state == TcpState::LastAck) {
        tcp_done(id, 0);
        return false;
    }
    return true;
}

/// Appends what is next, keeps what came early.
void Network::tcp_take_data(u32 id, const TcpSegment& segment) {
    NetSocket& socket = sockets_[id];
    TcpControl& tcp = socket.tcp;
    const auto take = [&](u32 sequence, NetView data) {
        const u32 old = tcp.receive_next - sequence; // bytes that have been here before
        if (after(sequence, tcp.receive_next)) return false;
        if (old >= data.size()) return true;
        const u32 room = tcp.advertised - tcp.receive_next;
        data = data.subspan(old, std::min<std::size_t>(data.size() - old, room));
        tcp.receive.insert(tcp.receive.end(), data.begin(), data.end());
        tcp.receive_next += static_cast<u32>(data.size());
        return true;
    };
    if (!take(segment.sequence, segment.data)) {
        const u32 distance = segment.sequence - tcp.receive_next, window = tcp.advertised - tcp.receive_next;
        if (distance < window && tcp.early.size() < kMaxEarly) {
            const NetView data = segment.data.first(std::min<std::size_t>(segment.data.size(), window - distance));
            NetBytes& kept = tcp.early[segment.sequence];
            if (kept.size() < data.size()) kept.assign(data.begin(), data.end());
        }
        return;
    }
    for (bool found = true; found;) {
        found = false;
        for (auto at = tcp.early.begin(); at != tcp.early.end() && !found; ++at) {
            if (!take(at->first, at->second)) continue;
            tcp.early.erase(at);
            found = true;
            break;
        }
    }
    changed(id);
}

void Network::tcp_take_fin(u32 id) {
    TcpControl& tcp = sockets_[id].tcp;
    tcp.fin_received = true;
    ++tcp.receive_next;
    tcp_acknowledge(id);
    changed(id);
    if (tcp.state == TcpState::Established) tcp.state = TcpState::CloseWait;
    else if (tcp.state == TcpState::FinWait1) tcp.state = TcpState::Closing;
    else if (tcp.state == TcpState::FinWait2) tcp_enter_time_wait(id);
}

/// A segment for a connection that is past its first SYN.
void Network::tcp_segment_input(u32 id, const TcpSegment& segment) {
    NetSocket& socket = sockets_[id];
    TcpControl& tcp = socket.tcp;
    if (tcp.state == TcpState::SynReceived && segment.flags & kSyn && segment.sequence + 1 == tcp.receive_next) {
        if (!(segment.flags & kAck)) return tcp_retransmit(id); // our answer to it was lost
        if (segment.acknowledgment != tcp.send_next || !tcp_established_by(id)) return; // both began at once
        tcp.send_unacked = segment.acknowledgment, tcp.send_window = segment.window;
        return tcp_acknowledge(id);
    }
    if (!tcp_acceptable(tcp, socket, segment)) {
        if (segment.flags & kRst) return;
        if (tcp.state == TcpState::TimeWait && segment.flags & kFin) tcp_enter_time_wait(id);
        return tcp_challenge(id, segment);
    }
    if (segment.flags & kRst) return segment.sequence == tcp.receive_next ? tcp_reset_input(id) : tcp_challenge(id, segment);
    if (segment.flags & kSyn) return tcp_challenge(id, segment);
    if (!(segment.flags & kAck)) return;
    if (tcp.state == TcpState::SynReceived) {
        if (segment.acknowledgment != tcp.send_next) return (void)tcp_transmit(id, segment.acknowledgment, kRst, {});
        if (!tcp_established_by(id)) return;
    }
    if (!tcp_take_acknowledgment(id, segment)) return;
    const bool receiving = tcp.state == TcpState::Established || tcp.state == TcpState::FinWait1 || tcp.state == TcpState::FinWait2;
    const bool new_data = !segment.data.empty() && after(segment.sequence + static_cast<u32>(segment.data.size()), tcp.receive_next);
    if (receiving && new_data && !socket.open && socket.listener == kNone) { // nobody will ever read it
        tcp_reset(id);
        return tcp_done(id, 0);
    }
    const u32 before = tcp.receive_next;
    if (receiving && !segment.data.empty()) tcp_take_data(id, segment);
    const bool fin = segment.flags & kFin && receiving && segment.sequence + segment.data.size() == tcp.receive_next;
    if (fin) tcp_take_fin(id);
    const bool sent = tcp_output(id);
    if (!segment.data.empty() && !fin && (!sent || tcp.receive_next == before)) tcp_acknowledge(id);
}

void Network::tcp_fail_by_icmp(u32 net, const FlowKey& key, i64 error, bool) {
    const auto connection = connections_.find({net, key});
    if (connection == connections_.end()) return;
    const TcpState state = sockets_[connection->second].tcp.state;
    if (state == TcpState::SynSent) tcp_done(connection->second, error); // later ones may pass (RFC 1122, 4.2.3.9)
}

} // namespace trapeze::container
