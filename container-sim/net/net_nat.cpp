// Translation of addresses and a packet filter: rules that a connection's first packet is held against, and a table of connections by
// which all later packets are rewritten (conntrack; RFC 3022). A namespace without rules tracks nothing.
// Known gap: rules match addresses, ports and devices, and are one list a hook; nftables' tables and iptables' chains are not modelled.
#include "container-sim/errno.hpp"
#include "container-sim/net/network.hpp"

#include <algorithm>

namespace trapeze::container {

namespace {
constexpr u16 kFirstPort = 1024;
constexpr unsigned kMaxPortTries = 4096;

/// Who talks to whom in a packet; nullopt for what has no ports and is no echo.
std::optional<FlowKey> flow_of(NetView packet, std::size_t ip_header) {
    if (packet.size() < ip_header + 4) return std::nullopt;
    FlowKey key{packet[9], load32(packet, 12), 0, load32(packet, 16), 0};
    if (key.protocol == kIpTcp || key.protocol == kIpUdp) {
        key.source_port = load16(packet, ip_header), key.destination_port = load16(packet, ip_header + 2);
    } else if (key.protocol == kIpIcmp) {
        if (packet.size() < ip_header + kIcmpHeader || (packet[ip_header] != kEcho && packet[ip_header] != kEchoReply)) return std::nullopt;
        key.source_port = key.destination_port = load16(packet, ip_header + 4);
    }
    return key;
}
std::size_t header_bytes(NetView packet) { return static_cast<std::size_t>(packet[0] & 15) * 4; }

/// Writes addresses and ports into an IP packet without its checksums.
void rewrite(std::span<u8> packet, const FlowKey& to) {
    const std::size_t at = header_bytes(packet);
    store32(packet, 12, to.source), store32(packet, 16, to.destination);
    if (to.protocol == kIpTcp || to.protocol == kIpUdp) {
        store16(packet, at, to.source_port), store16(packet, at + 2, to.destination_port);
    } else if (to.protocol == kIpIcmp && packet.size() >= at + 6) {
        const bool asks = packet[at] == kEcho;
        store16(packet, at + 4, asks ? to.source_port : to.destination_port);
    }
}
bool in_network(Ipv4 ip, Ipv4 network, u8 prefix) { return ((ip ^ network) & prefix_mask(prefix)) == 0; }
} // namespace

i64 Network::add_rule(u32 net, NatRule rule) {
    if (rule.source_prefix > 32 || rule.destination_prefix > 32) return -kEINVAL;
    const bool begins = rule.hook == NatHook::PreRouting || rule.hook == NatHook::Output;
    if (rule.action == NatAction::Dnat && (!begins || !rule.to)) return -kEINVAL;
    if ((rule.action == NatAction::Snat || rule.action == NatAction::Masquerade) && rule.hook != NatHook::PostRouting) return -kEINVAL;
    if (spaces_[net].rules.size() >= kMaxRules) return -kENOSPC;
    spaces_[net].rules.push_back(std::move(rule));
    return 0;
}

i64 Network::remove_rule(u32 net, const NatRule& rule) {
    auto& rules = spaces_[net].rules;
    const auto found = std::find(rules.begin(), rules.end(), rule);
    if (found == rules.end()) return -kENOENT;
    rules.erase(found);
    return 0;
}

bool Network::matches(const NatRule& rule, u32 net, const FlowKey& key, u32 in, u32 out) const {
    const auto named = [&](const std::string& name, bool negated, u32 id) { return name.empty() || ((id != kNone && devices_[id].name == name) != negated); };
    return (!rule.protocol || rule.protocol == key.protocol) && in_network(key.source, rule.source, rule.source_prefix) &&
           in_network(key.destination, rule.destination, rule.destination_prefix) && (!rule.port || rule.port == key.destination_port) && named(rule.in, rule.not_in, in) &&
           named(rule.out, rule.not_out, out) && (!rule.local_destination || is_local(net, key.destination));
}

/// nf_conntrack's timeouts, in ns.
u64 Network::track_timeout(const FlowKey& key, const Tracked& tracked) const {
    if (key.protocol == kIpTcp) return (tracked.closing ? 120 : tracked.replied ? 432'000 : 120) * kNetSecond;
    if (key.protocol == kIpUdp) return (tracked.replied ? 120 : 30) * kNetSecond;
    return 30 * kNetSecond;
}

void Network::forget_tracked(NetNamespace& space, const FlowKey& key) const {
    const auto found = space.tracked.find(key);
    if (found == space.tracked.end()) return;
    space.replies.erase(found->second.reply);
    space.tracked.erase(found);
}

bool Network::make_room_to_track(NetNamespace& space) const {
    if (space.tracked.size() < kMaxTracked) return true;
    std::vector<FlowKey> old;
    for (const auto& [key, tracked] : space.tracked)
        if (tracked.last + track_timeout(key, tracked) < now_) old.push_back(key);
    for (const FlowKey& key : old) forget_tracked(space, key);
    return space.tracked.size() < kMaxTracked;
}

/// On the way in, or from a socket: finds the packet's connection, or begins one, and rewrites the destination. False: dropped.
bool Network::nat_begin(Passage& passage, NatHook hook, NetBytes& packet) {
    NetNamespace& space = spaces_[passage.net];
    if (space.rules.empty() && space.tracked.empty()) return true;
    const auto header = parse_ipv4(packet);
    if (!header || header->fragment_offset) return true;
    auto key = flow_of(packet, header->header_bytes);
    if (!key) return header->protocol != kIpIcmp || nat_icmp_error(passage, packet);
    const bool icmp_reply = key->protocol == kIpIcmp && packet[header->header_bytes] == kEchoReply;
    auto known = space.tracked.find(*key);
    const auto reply = space.replies.find(*key);
    if (known != space.tracked.end() && known->second.last + track_timeout(*key, known->second) < now_) forget_tracked(space, *key), known = space.tracked.end();
    if (reply != space.replies.end() && (key->protocol == kIpIcmp ? icmp_reply : known == space.tracked.end())) {
        passage.tracked = passage.reply = true, passage.key = reply->second;
    } else if (known != space.tracked.end()) {
        passage.tracked = true, passage.key = *key;
    } else if (icmp_reply || !make_room_to_track(space)) {
        return icmp_reply;
    } else {
        Tracked fresh;
        fresh.reply = key->inverse();
        for (const NatRule& rule : space.rules) {
            if (rule.hook != hook || !matches(rule, passage.net, *key, passage.in, kNone)) continue;
            if (rule.action == NatAction::Drop) return note(passage, PathDecision::FilterDrop, packet, passage.in), false;
            if (rule.action == NatAction::Dnat) fresh.reply.source = rule.to, fresh.reply.source_port = rule.to_port && key->protocol != kIpIcmp ? rule.to_port : fresh.reply.source_port;
            break;
        }
        if (space.replies.count(fresh.reply)) return false; // two connections that answers could not tell apart
        space.replies[fresh.reply] = *key;
        space.tracked[*key] = fresh;
        passage.tracked = true, passage.key = *key;
    }
    Tracked& tracked = space.tracked[passage.key];
    tracked.last = now_, tracked.replied |= passage.reply;
    if (key->protocol == kIpTcp && packet.size() > header->header_bytes + 13u && packet[header->header_bytes + 13u] & (kFin | kRst)) tracked.closing = true;
    FlowKey to = *key;
    if (passage.reply) to.destination = passage.key.source, to.destination_port = passage.key.source_port;
    else to.destination = tracked.reply.source, to.destination_port = key->protocol == kIpIcmp ? key->destination_port : tracked.reply.source_port;
    if (to == *key) return true;
    rewrite(packet, to);
    seal_transport(packet);
    note(passage, passage.reply ? PathDecision::NatReply : PathDecision::NatDestination, packet, passage.in);
    return true;
}

/// A source port that no other connection's answers come to.
void Network::choose_source(u32 net, const FlowKey& key, Tracked& tracked, Ipv4 source) {
    NetNamespace& space = spaces_[net];
    FlowKey reply = tracked.reply;
    reply.destination = source;
    space.replies.erase(tracked.reply);
    for (unsigned tries = 0; tries < kMaxPortTries && space.replies.count(reply); ++tries) {
        reply.destination_port = static_cast<u16>(reply.destination_port < kFirstPort || reply.destination_port == 65535 ? kFirstPort : reply.destination_port + 1);
        if (key.protocol == kIpIcmp) reply.source_port = reply.destination_port;
    }
    tracked.reply = reply;
    space.replies[reply] = key;
}

/// On the way out (or, without a device, to a socket): rewrites the source. False: dropped.
bool Network::nat_end(Passage& passage, NetBytes& packet, u32 out_device) {
    if (!passage.tracked) return true;
    NetNamespace& space = spaces_[passage.net];
    const auto found = space.tracked.find(passage.key);
    const auto header = parse_ipv4(packet);
    if (found == space.tracked.end() || !header) return true;
    Tracked& tracked = found->second;
    const auto key = flow_of(packet, header->header_bytes);
    if (!key) return true;
    if (!passage.reply && !tracked.routed && out_device != kNone) {
        for (const NatRule& rule : space.rules) {
            if (rule.hook != NatHook::PostRouting || !matches(rule, passage.net, *key, passage.in, out_device)) continue;
            if (rule.action == NatAction::Drop) return note(passage, PathDecision::FilterDrop, packet, out_device), false;
            if (rule.action == NatAction::Snat) choose_source(passage.net, passage.key, tracked, rule.to);
            if (rule.action == NatAction::Masquerade)
                if (const Hop hop = route(passage.net, key->destination, 0, devices_[out_device].kind == DeviceKind::Loopback ? kNone : out_device); !hop.error && hop.source)
                    choose_source(passage.net, passage.key, tracked, hop.source);
            break;
        }
    }
    if (!passage.reply) tracked.routed = true;
    FlowKey to = *key;
    if (passage.reply) to.source = passage.key.destination, to.source_port = passage.key.destination_port;
    else to.source = tracked.reply.destination, to.source_port = tracked.reply.destination_port;
    if (to == *key) return true;
    rewrite(packet, to);
    seal_transport(packet);
    note(passage, passage.reply ? PathDecision::NatReply : PathDecision::NatSource, packet, out_device);
    return true;
}

/// An error about a packet that was rewritten: both headers become what the sender knows.
bool Network::nat_icmp_error(Passage& passage, NetBytes& packet) {
    NetNamespace& space = spaces_[passage.net];
    const std::size_t at = header_bytes(packet) + kIcmpHeader;
    if (packet.size() < at + kIpHeader) return true;
    const std::span<u8> quoted = std::span(packet).subspan(at);
    if (quoted[0] >> 4 != 4 || header_bytes(quoted) < kIpHeader || quoted.size() < header_bytes(quoted) + kIcmpHeader) return true;
    const auto inner = flow_of(quoted, header_bytes(quoted));
    if (!inner) return true;
    FlowKey shown = *inner;
    Ipv4 from = load32(packet, 12);
    if (const auto forward = space.replies.find(inner->inverse()); forward != space.replies.end()) {
        shown = forward->second;
        if (from == inner->destination) from = shown.destination;
    } else if (const auto back = space.tracked.find(inner->inverse()); back != space.tracked.end()) {
        shown = back->second.reply;
        if (from == inner->destination) from = shown.destination;
    }
    if (shown == *inner) return true;
    rewrite(quoted, shown);
    store16(quoted, 10, 0);
    store16(quoted, 10, internet_checksum(NetView(quoted).first(header_bytes(quoted))));
    store32(packet, 12, from), store32(packet, 16, shown.source);
    seal_transport(packet);
    note(passage, PathDecision::NatReply, packet, passage.in);
    return true;
}

/// Whether a packet may be forwarded. Answers of a connection that began the other way always may.
bool Network::filter(const Passage& passage, const NetBytes& packet, u32 out_device) {
    if (passage.tracked && passage.reply) return true;
    const auto header = parse_ipv4(packet);
    if (!header) return false;
    FlowKey key{header->protocol, header->source, 0, header->destination, 0};
    if (const auto flow = flow_of(packet, header->header_bytes)) key = *flow;
    for (const NatRule& rule : spaces_[passage.net].rules)
        if (rule.hook == NatHook::Forward && matches(rule, passage.net, key, passage.in, out_device)) return rule.action != NatAction::Drop;
    return true;
}

} // namespace trapeze::container
