// IPv4 of a namespace: packets that are sent, received, forwarded, cut and put together again, and ICMP (RFC 791, 792, 1122, 1812).
#include "container-sim/errno.hpp"
#include "container-sim/net/network.hpp"

#include <algorithm>

namespace trapeze::container {

namespace {
constexpr u64 kFragmentTime = 30 * kNetSecond; ///< net.ipv4.ipfrag_time
constexpr std::size_t kMaxPacket = 65535, kQuoted = 8; ///< bytes of the payload that an ICMP error quotes at least
constexpr std::size_t kMaxQuote = 548;                 ///< bytes of the packet that an ICMP error quotes at most

/// What an ICMP error means to a socket (net/ipv4/icmp.c: icmp_err_convert), and whether it is final.
struct IcmpMeaning {
    i64 error;
    bool hard;
};
IcmpMeaning meaning(const IcmpMessage& icmp) {
    if (icmp.type != kUnreachable) return {kEHOSTUNREACH, false};
    switch (icmp.code) {
    case kNetUnreachable: return {kENETUNREACH, false};
    case kProtocolUnreachable: return {kENOPROTOOPT, true};
    case kPortUnreachable: return {kECONNREFUSED, true};
    case kFragmentationNeeded: return {kEMSGSIZE, false};
    default: return {kEHOSTUNREACH, false};
    }
}
} // namespace

/// Sends a whole IPv4 packet from a namespace. Pre: its header is sound.
i64 Network::ip_output(u32 net, NetBytes packet, u32 out_device, u32 id) {
    Passage passage;
    passage.net = net, passage.id = id ? id : new_packet();
    note(passage, PathDecision::Sent, packet);
    if (!nat_begin(passage, NatHook::Output, packet)) return -kEPERM;
    const Hop hop = route(net, load32(packet, 16), load32(packet, 12), out_device);
    if (hop.error) {
        note(passage, PathDecision::NoRoute, packet);
        return hop.error;
    }
    ++spaces_[net].counters.ip_sent;
    note(passage, hop.type == RouteType::Local ? PathDecision::RouteLocal : PathDecision::RouteNext, packet, hop.device, hop.next);
    return ip_finish(passage, hop, std::move(packet));
}

/// Out through the hop's device, cut if it must be.
i64 Network::ip_finish(Passage& passage, const Hop& hop, NetBytes packet) {
    if (hop.device == kNone || !devices_[hop.device].up) return -kENETDOWN;
    if (!nat_end(passage, packet, hop.device)) return -kEPERM;
    const u32 mtu = devices_[hop.device].mtu;
    if (packet.size() <= mtu || hop.type == RouteType::Local) {
        ip_transmit(passage, hop, std::move(packet));
        return 0;
    }
    const auto header = parse_ipv4(packet);
    if (!header || header->dont_fragment) {
        if (passage.in != kNone) send_icmp_error(passage, kUnreachable, kFragmentationNeeded, mtu, packet);
        return -kEMSGSIZE;
    }
    for (NetBytes& part : split(packet, mtu)) ip_transmit(passage, hop, std::move(part));
    return 0;
}

void Network::ip_transmit(Passage& passage, const Hop& hop, NetBytes packet) {
    const NetDevice& device = devices_[hop.device];
    const auto framed = [&](const MacAddress& to) { transmit(hop.device, {build_ether({to, device.mac, kEtherIpv4}, packet), passage.id}); };
    if (device.kind == DeviceKind::Loopback || device.kind == DeviceKind::Dummy) return framed({});
    if (hop.type == RouteType::Broadcast) return framed(kBroadcastMac);
    if (is_multicast(hop.next)) return framed({1, 0, 0x5e, static_cast<u8>(hop.next >> 16 & 0x7f), static_cast<u8>(hop.next >> 8), static_cast<u8>(hop.next)});
    resolve(hop.device, hop.next, {std::move(packet), passage.id});
}

std::vector<NetBytes> Network::split(const NetBytes& packet, std::size_t mtu) const {
    std::vector<NetBytes> parts;
    auto header = parse_ipv4(packet);
    if (!header) return parts;
    const NetView payload = ip_payload(packet, *header);
    const std::size_t most = (mtu - kIpHeader) & ~std::size_t{7};
    const bool more_after = header->more_fragments;
    const u16 begin = header->fragment_offset;
    for (std::size_t at = 0; at < payload.size(); at += most) {
        const std::size_t count = std::min(most, payload.size() - at);
        header->fragment_offset = static_cast<u16>(begin + at), header->more_fragments = more_after || at + count < payload.size();
        parts.push_back(build_ipv4(*header, payload.subspan(at, count)));
    }
    return parts;
}

/// The whole packet when this was the part that was missing.
std::optional<NetBytes> Network::reassemble(u32 net, const Ipv4Header& header, const NetBytes& packet) {
    auto& sets = spaces_[net].fragments;
    const FragmentKey key{header.source, header.destination, header.id, header.protocol};
    std::erase_if(sets, [&](const auto& set) { return set.second.since + kFragmentTime < now_; });
    if (sets.size() >= kMaxFragmentSets && !sets.count(key))
        sets.erase(std::min_element(sets.begin(), sets.end(), [](const auto& a, const auto& b) { return a.second.since < b.second.since; }));
    const NetView payload = ip_payload(packet, header);
    const std::size_t end = header.fragment_offset + payload.size();
    if (end > kMaxPacket - kIpHeader || payload.empty() || (header.more_fragments && payload.size() % 8)) return std::nullopt;
    FragmentSet& set = sets[key];
    if (set.parts.empty()) set.since = now_;
    if (!header.more_fragments) set.total = static_cast<u32>(end);
    set.parts.emplace(header.fragment_offset, NetBytes(payload.begin(), payload.end()));
    NetBytes whole;
    for (const auto& [offset, bytes] : set.parts) {
        if (offset > whole.size()) return std::nullopt;
        if (offset < whole.size()) { // overlapping parts are an attack (RFC 5722)
            sets.erase(key);
            return std::nullopt;
        }
        whole.insert(whole.end(), bytes.begin(), bytes.end());
    }
    if (!set.total || whole.size() < set.total) return std::nullopt;
    sets.erase(key);
    Ipv4Header joined = header;
    joined.more_fragments = false, joined.fragment_offset = 0;
    return build_ipv4(joined, whole);
}

void Network::ip_input(u32 id, NetPacket arrived) {
    Passage passage;
    passage.net = devices_[id].net, passage.in = id, passage.id = arrived.id;
    NetNamespace& space = spaces_[passage.net];
    ++space.counters.ip_received;
    auto header = parse_ipv4(arrived.bytes);
    const bool martian = header && ((is_loopback(header->source) && devices_[id].kind != DeviceKind::Loopback) || is_multicast(header->source) || header->source == kBroadcastIp);
    if (!header || martian) {
        ++space.counters.ip_dropped;
        return;
    }
    arrived.bytes.resize(header->total_bytes); // without Ethernet's padding
    const bool local = is_local(passage.net, header->destination);
    if (header->fragment() && (local || !space.rules.empty())) {
        auto whole = reassemble(passage.net, *header, arrived.bytes);
        if (!whole) return;
        arrived.bytes = std::move(*whole);
    }
    if (!nat_begin(passage, NatHook::PreRouting, arrived.bytes)) return;
    const Ipv4 destination = load32(arrived.bytes, 16);
    if (is_local(passage.net, destination)) return ip_deliver(passage, std::move(arrived.bytes));
    const Hop hop = route(passage.net, destination);
    if (destination == kBroadcastIp || (!hop.error && hop.type == RouteType::Broadcast && hop.device == id)) return ip_deliver(passage, std::move(arrived.bytes));
    if (!is_multicast(destination)) ip_forward(passage, std::move(arrived.bytes));
}

void Network::ip_deliver(Passage& passage, NetBytes packet) {
    if (!nat_end(passage, packet, kNone)) return;
    const auto header = parse_ipv4(packet);
    if (!header) return;
    note(passage, PathDecision::RouteLocal, packet, passage.in);
    const NetView payload = ip_payload(packet, *header);
    raw_input(passage, *header, packet);
    switch (header->protocol) {
    case kIpIcmp: return icmp_input(passage, *header, payload);
    case kIpUdp: return udp_input(passage, *header, payload, packet);
    case kIpTcp: return tcp_input(passage, *header, payload);
    default: break;
    }
    const auto raws = raw_sockets_.find(passage.net);
    const bool wanted = raws != raw_sockets_.end() && std::any_of(raws->second.begin(), raws->second.end(), [&](u32 s) { return sockets_[s].protocol == header->protocol; });
    if (!wanted) send_icmp_error(passage, kUnreachable, kProtocolUnreachable, 0, packet);
}

void Network::ip_forward(Passage& passage, NetBytes packet) {
    NetNamespace& space = spaces_[passage.net];
    if (!space.forwards) {
        ++space.counters.ip_dropped;
        return note(passage, PathDecision::NotForwarding, packet, passage.in);
    }
    const Hop hop = route(passage.net, load32(packet, 16));
    if (hop.error) {
        note(passage, PathDecision::NoRoute, packet, passage.in);
        return send_icmp_error(passage, kUnreachable, hop.error == -kENETUNREACH ? kNetUnreachable : hop.error == -kEACCES ? kAdminProhibited : kHostUnreachable, 0, packet);
    }
    if (hop.type == RouteType::Broadcast) return;
    if (packet[8] <= 1) {
        note(passage, PathDecision::TtlExpired, packet, passage.in);
        return send_icmp_error(passage, kTimeExceeded, 0, 0, packet);
    }
    --packet[8];
    seal_ipv4(packet);
    if (!filter(passage, packet, hop.device)) return note(passage, PathDecision::FilterDrop, packet, passage.in);
    ++space.counters.ip_forwarded;
    note(passage, PathDecision::RouteForward, packet, hop.device, hop.next);
    (void)ip_finish(passage, hop, std::move(packet));
}

/// Tells a packet's sender what became of it. Never about an error, a later fragment or a broadcast (RFC 1122, 3.2.2).
void Network::send_icmp_error(const Passage& passage, u8 type, u8 code, u32 rest, const NetBytes& about) {
    const auto header = parse_ipv4(about);
    if (!header || header->fragment_offset || !header->source || is_multicast(header->source) || is_multicast(header->destination) || header->destination == kBroadcastIp) return;
    const NetView payload = ip_payload(about, *header);
    if (header->protocol == kIpIcmp && (payload.size() < kIcmpHeader || (payload[0] != kEcho && payload[0] != kEchoReply))) return;
    if (payload.size() < kQuoted) return;
    const IcmpMessage message{type, code, rest, NetView(about).first(std::min(about.size(), kMaxQuote))};
    const Hop back = route(passage.net, header->source);
    if (back.error) return;
    ++spaces_[passage.net].counters.icmp_sent;
    Ipv4Header answer;
    answer.source = passage.in != kNone && is_local(passage.net, header->destination) ? header->destination : back.source;
    answer.destination = header->source, answer.protocol = kIpIcmp, answer.id = spaces_[passage.net].next_ip_id++, answer.tos = 0xc0;
    if (ip_output(passage.net, build_ipv4(answer, build_icmp(message))) < 0 && back.type == RouteType::Local) icmp_error_input(passage.net, message);
}

void Network::icmp_input(const Passage& passage, const Ipv4Header& ip, NetView payload) {
    const auto icmp = parse_icmp(payload);
    if (!icmp) return;
    ++spaces_[passage.net].counters.icmp_received;
    if (icmp->error()) return icmp_error_input(passage.net, *icmp);
    if (icmp->type != kEcho || !is_local(passage.net, ip.destination)) return;
    Ipv4Header answer;
    answer.source = ip.destination, answer.destination = ip.source, answer.protocol = kIpIcmp, answer.tos = ip.tos, answer.id = spaces_[passage.net].next_ip_id++;
    ++spaces_[passage.net].counters.icmp_sent;
    (void)ip_output(passage.net, build_ipv4(answer, build_icmp({kEchoReply, 0, icmp->rest, icmp->data})));
}

/// An error about a packet that this namespace sent: to the socket that it came from.
void Network::icmp_error_input(u32 net, const IcmpMessage& icmp) {
    if (icmp.type != kUnreachable && icmp.type != kTimeExceeded) return;
    const NetView quoted = icmp.data;
    const std::size_t header = quoted.empty() ? 0 : static_cast<std::size_t>(quoted[0] & 15) * 4;
    if (header < kIpHeader || quoted.size() < header + kQuoted) return;
    // As the answers to the quoted packet would have looked.
    const FlowKey key{quoted[9], load32(quoted, 16), load16(quoted, header + 2), load32(quoted, 12), load16(quoted, header)};
    const IcmpMeaning means = meaning(icmp);
    if (key.protocol == kIpTcp) {
        const u32 id = find_tcp(net, key);
        if (id != kNone && means.error == kEMSGSIZE) {
            const u16 mtu = static_cast<u16>(icmp.rest);
            if (mtu >= 68 && mtu - 40u < sockets_[id].tcp.mss) sockets_[id].tcp.mss = static_cast<u16>(mtu - 40u), tcp_retransmit(id);
            return;
        }
        tcp_fail_by_icmp(net, key, means.error, means.hard);
    } else if (key.protocol == kIpUdp) {
        const u32 id = find_udp(net, key, kNone);
        if (id != kNone && ((means.hard && sockets_[id].remote.family) || sockets_[id].options.receive_errors)) fail(id, means.error);
    }
}

} // namespace trapeze::container
