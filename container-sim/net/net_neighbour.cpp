// Neighbour tables: which link address belongs to an IPv4 address on a device, found out by ARP (RFC 826, arp(7)).
// Known inaccuracy: an entry that is used after base_reachable_time is asked for at once, by unicast; Linux waits 5 s before it asks.
#include "container-sim/errno.hpp"
#include "container-sim/net/network.hpp"

#include <algorithm>

namespace trapeze::container {

namespace {
constexpr u64 kReachableTime = 30 * kNetSecond; ///< base_reachable_time
constexpr u64 kRetransmitTime = kNetSecond;     ///< retrans_time
constexpr u8 kMaxProbes = 3;                 ///< mcast_solicit, ucast_solicit
} // namespace

NeighbourState Network::neighbour_state(const Neighbour& neighbour) const {
    return neighbour.state == NeighbourState::Reachable && neighbour.confirmed + kReachableTime < now_ ? NeighbourState::Stale : neighbour.state;
}

/// The entry, made when there is none. At the limit the one that was heard of longest ago makes room.
Neighbour* Network::make_neighbour(u32 id, Ipv4 ip) {
    const auto found = neighbours_.find({id, ip});
    if (found != neighbours_.end()) return &found->second;
    if (devices_[id].neighbours >= kMaxNeighbours) {
        auto oldest = neighbours_.end();
        for (auto at = neighbours_.lower_bound({id, 0}); at != neighbours_.end() && at->first.first == id; ++at)
            if (at->second.state != NeighbourState::Permanent && (oldest == neighbours_.end() || at->second.confirmed < oldest->second.confirmed)) oldest = at;
        if (oldest == neighbours_.end()) return nullptr;
        neighbours_.erase(oldest);
        --devices_[id].neighbours;
    }
    ++devices_[id].neighbours;
    return &neighbours_[{id, ip}];
}

void Network::drop_neighbours(u32 id) {
    const auto begin = neighbours_.lower_bound({id, 0});
    auto end = begin;
    while (end != neighbours_.end() && end->first.first == id) ++end;
    neighbours_.erase(begin, end);
    devices_[id].neighbours = 0;
}

i64 Network::set_neighbour(u32 id, Ipv4 ip, const MacAddress& mac, NeighbourState state) {
    Neighbour* neighbour = make_neighbour(id, ip);
    if (!neighbour) return -kENOBUFS;
    neighbour->state = state, neighbour->mac = mac, neighbour->confirmed = now_;
    const std::vector<NetPacket> waiting = std::exchange(neighbour->waiting, {});
    for (const NetPacket& packet : waiting) resolve(id, ip, packet);
    pump();
    return 0;
}

i64 Network::remove_neighbour(u32 id, Ipv4 ip) {
    if (!neighbours_.erase({id, ip})) return -kENOENT;
    --devices_[id].neighbours;
    return 0;
}

/// Sends an IP packet to `next` on a device's link, as soon as its link address is known.
void Network::resolve(u32 id, Ipv4 next, NetPacket packet) {
    Neighbour* neighbour = make_neighbour(id, next);
    if (!neighbour) return;
    const NeighbourState state = neighbour_state(*neighbour);
    if (state == NeighbourState::Stale) {
        neighbour->state = NeighbourState::Probe, neighbour->probes = 0;
        timers_.insert({now_, TimerKind::Neighbour, id, next});
    }
    if (state != NeighbourState::Incomplete && state != NeighbourState::Failed) {
        transmit(id, {build_ether({neighbour->mac, devices_[id].mac, kEtherIpv4}, packet.bytes), packet.id});
        return;
    }
    Passage passage;
    passage.net = devices_[id].net, passage.id = packet.id;
    note(passage, PathDecision::ArpWait, packet.bytes, id, next);
    const bool fresh = state == NeighbourState::Failed || (neighbour->waiting.empty() && neighbour->probes == 0);
    if (neighbour->waiting.size() >= kMaxWaitingForArp) neighbour->waiting.erase(neighbour->waiting.begin());
    neighbour->waiting.push_back(std::move(packet));
    neighbour->state = NeighbourState::Incomplete;
    if (!fresh) return;
    neighbour->probes = 0;
    neighbour_timer(id, next);
}

/// Asks (again), or gives up.
void Network::neighbour_timer(u32 id, Ipv4 ip) {
    const auto found = neighbours_.find({id, ip});
    if (found == neighbours_.end()) return;
    Neighbour& neighbour = found->second;
    if (neighbour.state != NeighbourState::Incomplete && neighbour.state != NeighbourState::Probe) return;
    if (neighbour.probes < kMaxProbes) {
        ++neighbour.probes;
        timers_.insert({now_ + kRetransmitTime, TimerKind::Neighbour, id, ip});
        return ask(id, ip, neighbour);
    }
    neighbour.state = NeighbourState::Failed, neighbour.probes = 0;
    const std::vector<NetPacket> waiting = std::exchange(neighbour.waiting, {});
    for (const NetPacket& packet : waiting) {
        Passage passage;
        passage.net = devices_[id].net, passage.id = packet.id;
        note(passage, PathDecision::ArpFailed, packet.bytes, id, ip);
        send_icmp_error(passage, kUnreachable, kHostUnreachable, 0, packet.bytes);
    }
}

void Network::ask(u32 id, Ipv4 ip, const Neighbour& neighbour) {
    const NetDevice& device = devices_[id];
    const Hop hop = route(device.net, ip, 0, id);
    const bool by_name = neighbour.state == NeighbourState::Probe;
    const ArpMessage question{false, device.mac, by_name ? neighbour.mac : MacAddress{}, hop.source, ip};
    transmit(id, {build_ether({by_name ? neighbour.mac : kBroadcastMac, device.mac, kEtherArp}, build_arp(question)), new_packet()});
}

void Network::learn_neighbour(u32 id, Ipv4 ip, const MacAddress& mac, bool create) {
    const auto found = neighbours_.find({id, ip});
    if (found == neighbours_.end() && !create) return;
    Neighbour* neighbour = make_neighbour(id, ip);
    if (!neighbour || neighbour->state == NeighbourState::Permanent) return;
    neighbour->mac = mac, neighbour->confirmed = now_, neighbour->state = NeighbourState::Reachable, neighbour->probes = 0;
    const std::vector<NetPacket> waiting = std::exchange(neighbour->waiting, {});
    for (const NetPacket& packet : waiting) transmit(id, {build_ether({mac, devices_[id].mac, kEtherIpv4}, packet.bytes), packet.id});
}

void Network::arp_input(u32 id, NetView payload) {
    const auto message = parse_arp(payload);
    if (!message || message->sender_mac[0] & 1) return;
    const NetDevice& device = devices_[id];
    const bool for_us = is_local(device.net, message->target) && !is_loopback(message->target);
    if (message->sender && !is_local(device.net, message->sender)) learn_neighbour(id, message->sender, message->sender_mac, for_us);
    if (message->reply || !for_us) return;
    const ArpMessage answer{true, device.mac, message->sender_mac, message->target, message->sender};
    transmit(id, {build_ether({message->sender_mac, device.mac, kEtherArp}, build_arp(answer)), new_packet()});
}

} // namespace trapeze::container
