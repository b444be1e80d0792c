// Frames under way: from device to device, through bridges, up to the protocols; and the timers that make something happen later.
#include "container-sim/errno.hpp"
#include "container-sim/net/network.hpp"

#include <algorithm>

namespace trapeze::container {

namespace {
constexpr u64 kStormPause = 10'000;           ///< ns until a pump that had too many frames goes on
constexpr u64 kBridgeAgeing = 300 * kNetSecond;  ///< bridge(8): ageing_time
constexpr std::size_t kMaxTimersAtOnce = 4096;
bool is_group(const MacAddress& mac) { return mac[0] & 1; }
/// IEEE 802.1D 7.12.6: 01:80:c2:00:00:0X stays on its link.
bool stays_on_link(const MacAddress& mac) { return mac[0] == 1 && mac[1] == 0x80 && mac[2] == 0xc2 && !mac[3] && !mac[4] && mac[5] < 16; }
} // namespace

void Network::advance(u64 now) {
    now_ = std::max(now_, now);
    pump();
    run_timers();
    pump();
}

u64 Network::due() const {
    const u64 timer = timers_.empty() ? ~u64{0} : timers_.begin()->at;
    return flown_ < flying_.size() ? std::min(timer, now_ + kStormPause) : timer;
}

void Network::run_timers() {
    for (std::size_t count = 0; count < kMaxTimersAtOnce && !timers_.empty() && timers_.begin()->at <= now_; ++count) {
        const Timer timer = *timers_.begin();
        timers_.erase(timers_.begin());
        if (timer.kind == TimerKind::Tcp) tcp_timer(timer.object);
        else neighbour_timer(timer.object, timer.ip);
    }
}

/// Lets everything that is under way arrive, and what that causes, up to a bound: a loop of bridges goes on in the next pump.
void Network::pump() {
    if (pumping_) return;
    pumping_ = true;
    for (std::size_t count = 0; count < kMaxPumped && flown_ < flying_.size(); ++count) {
        InFlight arriving = std::move(flying_[flown_++]);
        receive_frame(arriving.device, std::move(arriving.frame));
        if (flown_ < kMaxInFlight) continue;
        flying_.erase(flying_.begin(), flying_.begin() + static_cast<std::ptrdiff_t>(flown_));
        flown_ = 0;
    }
    flying_.erase(flying_.begin(), flying_.begin() + static_cast<std::ptrdiff_t>(flown_));
    flown_ = 0;
    pumping_ = false;
}

void Network::inject(u32 id, NetBytes frame) {
    queue_frame(id, {std::move(frame), new_packet()});
    pump();
}

void Network::queue_frame(u32 id, NetPacket frame) {
    if (flying_.size() - flown_ >= kMaxInFlight) {
        ++devices_[id].received.dropped;
        return;
    }
    flying_.push_back({id, std::move(frame)});
}

/// xorshift64: which frames are lost is the same in each run.
bool Network::lost(const NetDevice& sender) {
    if (!sender.loss_permille) return false;
    random_ ^= random_ << 13, random_ ^= random_ >> 7, random_ ^= random_ << 17;
    return random_ % 1000 < sender.loss_permille;
}

/// Pre: the frame has an Ethernet header.
void Network::transmit(u32 id, NetPacket frame) {
    NetDevice& device = devices_[id];
    if (!device.up || (device.kind != DeviceKind::Bridge && !carrier(id))) {
        ++device.sent.dropped;
        note_frame(id, PathDecision::Dropped, frame);
        return;
    }
    ++device.sent.packets, device.sent.bytes += frame.bytes.size();
    note_frame(id, PathDecision::DeviceSent, frame);
    keep(id, frame.bytes);
    show_to_packet_sockets(id, frame.bytes, true);
    if (lost(device)) {
        note_frame(id, PathDecision::Lost, frame);
        return;
    }
    if (device.kind == DeviceKind::Loopback) queue_frame(id, std::move(frame));
    else if (device.kind == DeviceKind::Veth) queue_frame(device.peer, std::move(frame));
    else if (device.kind == DeviceKind::Bridge) bridge_output(id, frame, kNone);
}

void Network::receive_frame(u32 id, NetPacket frame) {
    NetDevice& device = devices_[id];
    if (!device.used || frame.bytes.size() < kEtherHeader) return;
    if (!device.up) {
        ++device.received.dropped;
        note_frame(id, PathDecision::Dropped, frame);
        return;
    }
    ++device.received.packets, device.received.bytes += frame.bytes.size();
    note_frame(id, PathDecision::DeviceReceived, frame);
    if (device.kind != DeviceKind::Loopback) keep(id, frame.bytes);
    show_to_packet_sockets(id, frame.bytes, false);
    if (device.master != kNone) return bridge_input(id, std::move(frame));
    const EtherHeader ether = parse_ether(frame.bytes);
    if (device.kind != DeviceKind::Loopback && !is_group(ether.destination) && ether.destination != device.mac) return; // for another host
    if (ether.type == kEtherArp) {
        arp_input(id, NetView(frame.bytes).subspan(kEtherHeader));
    } else if (ether.type == kEtherIpv4) {
        frame.bytes.erase(frame.bytes.begin(), frame.bytes.begin() + kEtherHeader);
        ip_input(id, std::move(frame));
    }
}

void Network::bridge_input(u32 port, NetPacket frame) {
    const u32 bridge = devices_[port].master;
    NetDevice& device = devices_[bridge];
    if (!device.up) {
        note_frame(bridge, PathDecision::Dropped, frame);
        return;
    }
    const EtherHeader ether = parse_ether(frame.bytes);
    if (is_group(ether.source)) return;
    if (device.learnt.size() < kMaxLearnt || device.learnt.count(ether.source)) device.learnt[ether.source] = {port, now_};
    if (ether.destination == device.mac || (is_group(ether.destination) && stays_on_link(ether.destination))) return receive_frame(bridge, std::move(frame));
    if (!is_group(ether.destination)) {
        const auto known = device.learnt.find(ether.destination);
        if (known != device.learnt.end() && known->second.at + kBridgeAgeing > now_) {
            if (known->second.port == port) return;
            note_frame(bridge, PathDecision::BridgeForward, frame);
            return transmit(known->second.port, std::move(frame));
        }
    }
    note_frame(bridge, PathDecision::BridgeFlood, frame);
    bridge_output(bridge, frame, port);
    if (is_group(ether.destination) || device.promiscuous) receive_frame(bridge, std::move(frame));
}

/// Out through the port that is known for it, or through all but one.
void Network::bridge_output(u32 bridge, const NetPacket& frame, u32 except) {
    const NetDevice& device = devices_[bridge];
    const MacAddress to = parse_ether(frame.bytes).destination;
    const auto known = is_group(to) ? device.learnt.end() : device.learnt.find(to);
    if (except == kNone && known != device.learnt.end() && known->second.at + kBridgeAgeing > now_) return transmit(known->second.port, frame);
    for (u32 port : device.ports)
        if (port != except && devices_[port].up) transmit(port, frame);
}

} // namespace trapeze::container
