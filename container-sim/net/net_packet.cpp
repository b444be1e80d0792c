#include "container-sim/net/net_packet.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace trapeze::container {

namespace {
constexpr u16 kDontFragment = 0x4000, kMoreFragments = 0x2000, kOffsetMask = 0x1fff;
constexpr u8 kOptionEnd = 0, kOptionNop = 1, kOptionMss = 2;
constexpr std::size_t kArpBytes = 28;

u32 pseudo_header(const Ipv4Header& ip, std::size_t bytes) {
    return (ip.source >> 16) + (ip.source & 0xffff) + (ip.destination >> 16) + (ip.destination & 0xffff) + ip.protocol + static_cast<u32>(bytes);
}
void copy(NetView from, NetBytes& to, std::size_t at) { std::copy(from.begin(), from.end(), to.begin() + static_cast<std::ptrdiff_t>(at)); }
MacAddress mac_at(NetView bytes, std::size_t at) {
    MacAddress mac;
    std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(at), mac.size(), mac.begin());
    return mac;
}

/// The maximum segment size among a segment's options; 0 when there is none.
u16 find_mss(NetView options) {
    for (std::size_t at = 0; at < options.size() && options[at] != kOptionEnd;) {
        if (options[at] == kOptionNop) {
            ++at;
            continue;
        }
        if (at + 1 >= options.size() || options[at + 1] < 2 || at + options[at + 1] > options.size()) return 0;
        if (options[at] == kOptionMss && options[at + 1] == 4) return load16(options, at + 2);
        at += options[at + 1];
    }
    return 0;
}
} // namespace

std::string ip_text(Ipv4 ip) { return fmt::format("{}.{}.{}.{}", ip >> 24, ip >> 16 & 255, ip >> 8 & 255, ip & 255); }
std::string mac_text(const MacAddress& mac) { return fmt::format("{:02x}:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]); }

std::optional<Ipv4> parse_ip(std::string_view text) {
    Ipv4 ip = 0;
    for (unsigned part = 0; part < 4; ++part) {
        const std::size_t end = part < 3 ? text.find('.') : text.size();
        if (end == std::string_view::npos || end == 0 || end > 3) return std::nullopt;
        unsigned value = 0;
        for (char c : text.substr(0, end)) {
            if (c < '0' || c > '9') return std::nullopt;
            value = value * 10 + static_cast<unsigned>(c - '0');
        }
        if (value > 255) return std::nullopt;
        ip = ip << 8 | value;
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return ip;
}

u16 internet_checksum(NetView bytes, u32 sum) {
    u64 total = sum;
    for (std::size_t at = 0; at + 1 < bytes.size(); at += 2) total += load16(bytes, at);
    if (bytes.size() % 2) total += u64{bytes.back()} << 8;
    while (total >> 16) total = (total & 0xffff) + (total >> 16);
    return static_cast<u16>(~total);
}

EtherHeader parse_ether(NetView frame) { return {mac_at(frame, 0), mac_at(frame, 6), load16(frame, 12)}; }

NetBytes build_ether(const EtherHeader& header, NetView payload) {
    NetBytes frame(kEtherHeader + payload.size());
    copy(header.destination, frame, 0), copy(header.source, frame, 6);
    store16(frame, 12, header.type);
    copy(payload, frame, kEtherHeader);
    return frame;
}

std::optional<ArpMessage> parse_arp(NetView payload) {
    if (payload.size() < kArpBytes || load32(payload, 0) != 0x0001'0800 || load16(payload, 4) != 0x0604) return std::nullopt;
    const u16 operation = load16(payload, 6);
    if (operation != 1 && operation != 2) return std::nullopt;
    return ArpMessage{operation == 2, mac_at(payload, 8), mac_at(payload, 18), load32(payload, 14), load32(payload, 24)};
}

NetBytes build_arp(const ArpMessage& message) {
    NetBytes bytes(kArpBytes);
    store32(bytes, 0, 0x0001'0800), store16(bytes, 4, 0x0604), store16(bytes, 6, message.reply ? 2 : 1);
    copy(message.sender_mac, bytes, 8), copy(message.target_mac, bytes, 18);
    store32(bytes, 14, message.sender), store32(bytes, 24, message.target);
    return bytes;
}

std::optional<Ipv4Header> parse_ipv4(NetView packet) {
    if (packet.size() < kIpHeader || packet[0] >> 4 != 4) return std::nullopt;
    Ipv4Header header;
    header.header_bytes = static_cast<u16>((packet[0] & 15) * 4), header.total_bytes = load16(packet, 2);
    if (header.header_bytes < kIpHeader || header.total_bytes < header.header_bytes || header.total_bytes > packet.size()) return std::nullopt;
    if (internet_checksum(packet.first(header.header_bytes)) != 0) return std::nullopt;
    const u16 fragment = load16(packet, 6);
    header.tos = packet[1], header.id = load16(packet, 4), header.ttl = packet[8], header.protocol = packet[9];
    header.dont_fragment = fragment & kDontFragment, header.more_fragments = fragment & kMoreFragments;
    header.fragment_offset = static_cast<u16>((fragment & kOffsetMask) * 8);
    header.source = load32(packet, 12), header.destination = load32(packet, 16);
    return header;
}

NetBytes build_ipv4(const Ipv4Header& header, NetView payload) {
    NetBytes packet(kIpHeader + payload.size());
    packet[0] = 0x45, packet[1] = header.tos;
    store16(packet, 2, static_cast<u16>(packet.size())), store16(packet, 4, header.id);
    const int flags = (header.dont_fragment ? kDontFragment : 0) | (header.more_fragments ? kMoreFragments : 0);
    store16(packet, 6, static_cast<u16>(flags | header.fragment_offset / 8));
    packet[8] = header.ttl, packet[9] = header.protocol;
    store32(packet, 12, header.source), store32(packet, 16, header.destination);
    copy(payload, packet, kIpHeader);
    seal_ipv4(packet);
    return packet;
}

void seal_ipv4(NetBytes& packet) {
    const std::size_t bytes = std::min<std::size_t>((packet[0] & 15) * 4, packet.size());
    store16(packet, 10, 0);
    store16(packet, 10, internet_checksum(NetView(packet).first(bytes)));
}

std::optional<UdpDatagram> parse_udp(const Ipv4Header& ip, NetView payload) {
    if (payload.size() < kUdpHeader) return std::nullopt;
    const u16 bytes = load16(payload, 4);
    if (bytes < kUdpHeader || bytes > payload.size()) return std::nullopt;
    payload = payload.first(bytes);
    if (load16(payload, 6) && internet_checksum(payload, pseudo_header(ip, bytes)) != 0) return std::nullopt;
    return UdpDatagram{load16(payload, 0), load16(payload, 2), payload.subspan(kUdpHeader)};
}

NetBytes build_udp(const Ipv4Header& ip, const UdpDatagram& datagram) {
    NetBytes bytes(kUdpHeader + datagram.data.size());
    store16(bytes, 0, datagram.source_port), store16(bytes, 2, datagram.destination_port), store16(bytes, 4, static_cast<u16>(bytes.size()));
    copy(datagram.data, bytes, kUdpHeader);
    const u16 sum = internet_checksum(bytes, pseudo_header(ip, bytes.size()));
    store16(bytes, 6, sum ? sum : 0xffff);
    return bytes;
}

std::optional<IcmpMessage> parse_icmp(NetView payload) {
    if (payload.size() < kIcmpHeader || internet_checksum(payload) != 0) return std::nullopt;
    return IcmpMessage{payload[0], payload[1], load32(payload, 4), payload.subspan(kIcmpHeader)};
}

NetBytes build_icmp(const IcmpMessage& message) {
    NetBytes bytes(kIcmpHeader + message.data.size());
    bytes[0] = message.type, bytes[1] = message.code;
    store32(bytes, 4, message.rest);
    copy(message.data, bytes, kIcmpHeader);
    store16(bytes, 2, internet_checksum(bytes));
    return bytes;
}

std::optional<TcpSegment> parse_tcp(const Ipv4Header& ip, NetView payload) {
    if (payload.size() < kTcpHeader) return std::nullopt;
    const std::size_t header = static_cast<std::size_t>(payload[12] >> 4) * 4;
    if (header < kTcpHeader || header > payload.size() || internet_checksum(payload, pseudo_header(ip, payload.size())) != 0) return std::nullopt;
    TcpSegment segment;
    segment.source_port = load16(payload, 0), segment.destination_port = load16(payload, 2);
    segment.sequence = load32(payload, 4), segment.acknowledgment = load32(payload, 8);
    segment.flags = payload[13], segment.window = load16(payload, 14);
    segment.mss = find_mss(payload.subspan(kTcpHeader, header - kTcpHeader));
    segment.data = payload.subspan(header);
    return segment;
}

NetBytes build_tcp(const Ipv4Header& ip, const TcpSegment& segment) {
    const std::size_t header = kTcpHeader + (segment.mss ? 4 : 0);
    NetBytes bytes(header + segment.data.size());
    store16(bytes, 0, segment.source_port), store16(bytes, 2, segment.destination_port);
    store32(bytes, 4, segment.sequence), store32(bytes, 8, segment.acknowledgment);
    bytes[12] = static_cast<u8>(header / 4 << 4), bytes[13] = segment.flags;
    store16(bytes, 14, segment.window);
    if (segment.mss) bytes[20] = kOptionMss, bytes[21] = 4, store16(bytes, 22, segment.mss);
    copy(segment.data, bytes, header);
    store16(bytes, 16, internet_checksum(bytes, pseudo_header(ip, bytes.size())));
    return bytes;
}

void seal_transport(NetBytes& packet) {
    seal_ipv4(packet);
    const auto ip = parse_ipv4(packet);
    if (!ip || ip->fragment()) return;
    const std::span<u8> payload = std::span(packet).subspan(ip->header_bytes, ip->total_bytes - ip->header_bytes);
    if (ip->protocol == kIpTcp && payload.size() >= kTcpHeader) {
        store16(payload, 16, 0);
        store16(payload, 16, internet_checksum(payload, pseudo_header(*ip, payload.size())));
    } else if (ip->protocol == kIpUdp && payload.size() >= kUdpHeader && load16(payload, 6)) {
        store16(payload, 6, 0);
        const u16 sum = internet_checksum(payload, pseudo_header(*ip, payload.size()));
        store16(payload, 6, sum ? sum : 0xffff);
    } else if (ip->protocol == kIpIcmp && payload.size() >= kIcmpHeader) {
        store16(payload, 2, 0);
        store16(payload, 2, internet_checksum(payload));
    }
}

namespace {
std::string tcp_flags(u8 flags) {
    std::string text;
    for (const auto& [flag, name] : {std::pair{kSyn, 'S'}, {kFin, 'F'}, {kRst, 'R'}, {kPsh, 'P'}, {kAck, '.'}})
        if (flags & flag) text += name;
    return text;
}

std::string ip_summary(NetView packet) {
    const auto ip = parse_ipv4(packet);
    if (!ip) return "IPv4, damaged";
    const NetView payload = ip_payload(packet, *ip);
    const std::string from = ip_text(ip->source), to = ip_text(ip->destination);
    if (ip->fragment()) return fmt::format("{} > {}: fragment at {}", from, to, ip->fragment_offset);
    if (ip->protocol == kIpTcp)
        if (const auto tcp = parse_tcp(*ip, payload))
            return fmt::format("{}:{} > {}:{}: TCP [{}], seq {}, ack {}, win {}, length {}", from, tcp->source_port, to, tcp->destination_port, tcp_flags(tcp->flags), tcp->sequence,
                               tcp->acknowledgment, tcp->window, tcp->data.size());
    if (ip->protocol == kIpUdp)
        if (const auto udp = parse_udp(*ip, payload)) return fmt::format("{}:{} > {}:{}: UDP, length {}", from, udp->source_port, to, udp->destination_port, udp->data.size());
    if (ip->protocol == kIpIcmp)
        if (const auto icmp = parse_icmp(payload))
            return fmt::format("{} > {}: ICMP {}, length {}", from, to,
                               icmp->type == kEcho ? "echo request" : icmp->type == kEchoReply ? "echo reply" : icmp->type == kUnreachable ? fmt::format("unreachable (code {})", icmp->code)
                               : icmp->type == kTimeExceeded ? std::string("time exceeded") : fmt::format("type {}", icmp->type), payload.size());
    return fmt::format("{} > {}: protocol {}, length {}", from, to, ip->protocol, payload.size());
}
} // namespace

std::string frame_summary(NetView frame) {
    if (frame.size() < kEtherHeader) return "no Ethernet frame";
    const EtherHeader ether = parse_ether(frame);
    const NetView payload = frame.subspan(kEtherHeader);
    if (ether.type == kEtherIpv4) return ip_summary(payload);
    if (ether.type == kEtherArp)
        if (const auto arp = parse_arp(payload))
            return arp->reply ? fmt::format("ARP, {} is at {}", ip_text(arp->sender), mac_text(arp->sender_mac)) : fmt::format("ARP, who has {}? tell {}", ip_text(arp->target), ip_text(arp->sender));
    return fmt::format("{} > {}: type {:#06x}, length {}", mac_text(ether.source), mac_text(ether.destination), ether.type, frame.size());
}

} // namespace trapeze::container
