// Watching the network: the path of each packet as steps, and captures of devices as pcapng.
#include "container-sim/net/network.hpp"
#include "emulator/trace/pcapng.hpp"

#include <fmt/format.h>

namespace trapeze::container {

namespace {
FlowKey seen_flow(NetView packet) {
    FlowKey key;
    if (packet.size() < kIpHeader) return key;
    key = {packet[9], load32(packet, 12), 0, load32(packet, 16), 0};
    const std::size_t header = static_cast<std::size_t>(packet[0] & 15) * 4;
    if ((key.protocol == kIpTcp || key.protocol == kIpUdp) && packet.size() >= header + 4 && !(load16(packet, 6) & 0x1fff))
        key.source_port = load16(packet, header), key.destination_port = load16(packet, header + 2);
    return key;
}
std::string end_text(u8 protocol, Ipv4 ip, u16 port) { return protocol == kIpTcp || protocol == kIpUdp ? fmt::format("{}:{}", ip_text(ip), port) : ip_text(ip); }
std::string flow_text(const FlowKey& key) {
    if (!key.protocol) return "";
    const std::string protocol = key.protocol == kIpTcp ? "TCP" : key.protocol == kIpUdp ? "UDP" : key.protocol == kIpIcmp ? "ICMP" : fmt::format("protocol {}", key.protocol);
    return fmt::format("{} {} > {}", protocol, end_text(key.protocol, key.source, key.source_port), end_text(key.protocol, key.destination, key.destination_port));
}
/// What was decided; {device} and {address} are filled in.
std::string_view sentence(PathDecision decision) {
    switch (decision) {
    case PathDecision::Sent: return "a socket sends it";
    case PathDecision::Delivered: return "a socket receives it";
    case PathDecision::DeviceSent: return "leaves through {device}";
    case PathDecision::DeviceReceived: return "arrives at {device}";
    case PathDecision::BridgeForward: return "the bridge {device} knows the port of its destination";
    case PathDecision::BridgeFlood: return "the bridge {device} does not know its destination, or it is for all: out through every other port";
    case PathDecision::RouteLocal: return "is for this namespace itself";
    case PathDecision::RouteNext: return "route: {device}, next hop {address}";
    case PathDecision::RouteForward: return "is forwarded: {device}, next hop {address}";
    case PathDecision::NatDestination: return "its destination is translated";
    case PathDecision::NatSource: return "its source is translated";
    case PathDecision::NatReply: return "an answer: the translation is undone";
    case PathDecision::FilterDrop: return "a rule drops it";
    case PathDecision::ArpWait: return "waits: who has {address}?";
    case PathDecision::ArpFailed: return "nobody on {device} has {address}";
    case PathDecision::TtlExpired: return "its time to live is over";
    case PathDecision::NoRoute: return "there is no route";
    case PathDecision::NotForwarding: return "is not for this namespace, and that does not forward (net.ipv4.ip_forward is 0)";
    case PathDecision::Lost: return "is lost on the way from {device}";
    case PathDecision::Dropped: return "is dropped: {device} is down or has no carrier";
    case PathDecision::NoListener: return "nobody listens there";
    }
    return "";
}
} // namespace

void Network::note(const Passage& passage, PathDecision decision, NetView packet, u32 device, Ipv4 address) {
    if (recording_ && steps_.size() < kMaxSteps) steps_.push_back({passage.id, now_, passage.net, device, decision, seen_flow(packet), address});
}

void Network::note_frame(u32 id, PathDecision decision, const NetPacket& frame) {
    if (!recording_ || steps_.size() >= kMaxSteps) return;
    const bool ip = parse_ether(frame.bytes).type == kEtherIpv4;
    steps_.push_back({frame.id, now_, devices_[id].net, id, decision, ip ? seen_flow(NetView(frame.bytes).subspan(kEtherHeader)) : FlowKey{}, 0});
}

std::string Network::step_text(const PathStep& step) const {
    std::string text(sentence(step.decision));
    const auto fill = [&](std::string_view place, const std::string& with) {
        if (const std::size_t at = text.find(place); at != std::string::npos) text.replace(at, place.size(), with);
    };
    fill("{device}", step.device == kNone ? "" : devices_[step.device].used ? devices_[step.device].name : "a device that is gone");
    fill("{address}", ip_text(step.address));
    return fmt::format("net {}: {}{}{}", step.net, text, step.flow.protocol ? ": " : "", flow_text(step.flow));
}

std::string Network::path_text(u32 packet) const {
    std::string text;
    for (const PathStep& step : steps_)
        if (step.packet == packet) text += step_text(step) + "\n";
    return text;
}

void Network::keep(u32 id, const NetBytes& frame) {
    if (!devices_[id].captured || captured_bytes_ + frame.size() > kMaxCaptureBytes) return;
    captured_bytes_ += frame.size();
    captured_.push_back({now_, id, frame});
}

std::vector<u8> Network::pcapng_file() const {
    std::map<u32, u32> interfaces; // device to its number in the file
    for (const CapturedPacket& packet : captured_) interfaces.emplace(packet.device, 0);
    std::vector<std::string> names;
    for (auto& [id, number] : interfaces) {
        number = static_cast<u32>(names.size());
        names.push_back(fmt::format("{}@net{}", devices_[id].name, devices_[id].net));
    }
    std::vector<CapturedFrame> frames;
    for (const CapturedPacket& packet : captured_) frames.push_back({packet.time, interfaces.at(packet.device), packet.bytes});
    return pcapng(frames, names);
}

} // namespace trapeze::container
