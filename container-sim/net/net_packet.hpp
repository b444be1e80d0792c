// What travels in the simulated network: Ethernet frames with ARP (RFC 826), IPv4 (RFC 791), ICMP (RFC 792), UDP (RFC 768) and TCP
// (RFC 9293), taken apart and put together. Addresses are numbers in host order; bytes on the wire are in network order.
// Known gaps: IPv4 options are passed over; of TCP's options only the maximum segment size is read and written.
#pragma once

#include "emulator/base/types.hpp"

#include <array>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace trapeze::container {

using Ipv4 = u32; ///< in host order: 127.0.0.1 is 0x7f000001
using MacAddress = std::array<u8, 6>;
using NetBytes = std::vector<u8>;
using NetView = std::span<const u8>;

inline constexpr MacAddress kBroadcastMac{0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
inline constexpr Ipv4 kBroadcastIp = ~Ipv4{0};
enum EtherType : u16 { kEtherIpv4 = 0x0800, kEtherArp = 0x0806, kEtherAll = 3 };
enum IpProtocol : u8 { kIpAny = 0, kIpIcmp = 1, kIpTcp = 6, kIpUdp = 17, kIpRaw = 255 };
inline constexpr std::size_t kEtherHeader = 14, kIpHeader = 20, kUdpHeader = 8, kIcmpHeader = 8, kTcpHeader = 20;

constexpr Ipv4 ipv4(u8 a, u8 b, u8 c, u8 d) { return Ipv4{a} << 24 | Ipv4{b} << 16 | Ipv4{c} << 8 | d; }
constexpr Ipv4 prefix_mask(unsigned bits) { return bits == 0 ? 0 : ~Ipv4{0} << (32 - bits); }
constexpr bool is_loopback(Ipv4 ip) { return ip >> 24 == 127; }
constexpr bool is_multicast(Ipv4 ip) { return ip >> 28 == 14; }
std::string ip_text(Ipv4 ip);
std::string mac_text(const MacAddress& mac);
/// The address of "10.0.0.1"; nullopt when it is none.
std::optional<Ipv4> parse_ip(std::string_view text);

constexpr u16 load16(NetView bytes, std::size_t at) { return static_cast<u16>(bytes[at] << 8 | bytes[at + 1]); }
constexpr u32 load32(NetView bytes, std::size_t at) { return u32{load16(bytes, at)} << 16 | load16(bytes, at + 2); }
constexpr void store16(std::span<u8> bytes, std::size_t at, u16 value) { bytes[at] = static_cast<u8>(value >> 8), bytes[at + 1] = static_cast<u8>(value); }
constexpr void store32(std::span<u8> bytes, std::size_t at, u32 value) {
    store16(bytes, at, static_cast<u16>(value >> 16)), store16(bytes, at + 2, static_cast<u16>(value));
}
/// RFC 1071. `sum` is what was summed before.
u16 internet_checksum(NetView bytes, u32 sum = 0);

struct EtherHeader {
    MacAddress destination{}, source{};
    u16 type = 0;
};
/// Pre: the frame has kEtherHeader bytes.
EtherHeader parse_ether(NetView frame);
NetBytes build_ether(const EtherHeader& header, NetView payload);

struct ArpMessage {
    bool reply = false;
    MacAddress sender_mac{}, target_mac{};
    Ipv4 sender = 0, target = 0;
};
std::optional<ArpMessage> parse_arp(NetView payload);
NetBytes build_arp(const ArpMessage& message);

struct Ipv4Header {
    Ipv4 source = 0, destination = 0;
    u8 protocol = 0, ttl = 64, tos = 0;
    u16 id = 0;
    bool dont_fragment = false, more_fragments = false;
    u16 fragment_offset = 0; ///< bytes
    u16 header_bytes = kIpHeader, total_bytes = 0; ///< of a parsed packet
    bool fragment() const { return more_fragments || fragment_offset; }
};
/// The header of a packet that is whole and whose checksum holds. NetBytes may follow the packet: Ethernet pads.
std::optional<Ipv4Header> parse_ipv4(NetView packet);
NetBytes build_ipv4(const Ipv4Header& header, NetView payload);
inline NetView ip_payload(NetView packet, const Ipv4Header& header) { return packet.subspan(header.header_bytes, header.total_bytes - header.header_bytes); }
/// Writes the header checksum again after a change in place.
void seal_ipv4(NetBytes& packet);

struct UdpDatagram {
    u16 source_port = 0, destination_port = 0;
    NetView data;
};
std::optional<UdpDatagram> parse_udp(const Ipv4Header& ip, NetView payload);
NetBytes build_udp(const Ipv4Header& ip, const UdpDatagram& datagram);

enum IcmpType : u8 { kEchoReply = 0, kUnreachable = 3, kEcho = 8, kTimeExceeded = 11 };
enum IcmpCode : u8 { kNetUnreachable = 0, kHostUnreachable = 1, kProtocolUnreachable = 2, kPortUnreachable = 3, kFragmentationNeeded = 4, kAdminProhibited = 13 };
struct IcmpMessage {
    u8 type = 0, code = 0;
    u32 rest = 0; ///< echo: identifier and sequence number
    NetView data;
    bool error() const { return type != kEcho && type != kEchoReply; }
};
std::optional<IcmpMessage> parse_icmp(NetView payload);
NetBytes build_icmp(const IcmpMessage& message);

enum TcpFlag : u8 { kFin = 1, kSyn = 2, kRst = 4, kPsh = 8, kAck = 16 };
struct TcpSegment {
    u16 source_port = 0, destination_port = 0;
    u32 sequence = 0, acknowledgment = 0;
    u8 flags = 0;
    u16 window = 0;
    u16 mss = 0; ///< 0: no such option
    NetView data;
    /// Sequence numbers that it takes.
    u32 length() const { return static_cast<u32>(data.size()) + ((flags & kSyn) != 0) + ((flags & kFin) != 0); }
};
std::optional<TcpSegment> parse_tcp(const Ipv4Header& ip, NetView payload);
NetBytes build_tcp(const Ipv4Header& ip, const TcpSegment& segment);
/// Writes the checksum of the UDP, TCP or ICMP payload of an unfragmented packet, and the header's, after a change in place.
void seal_transport(NetBytes& packet);

/// One line about a frame, as a capture's summary shows it.
std::string frame_summary(NetView frame);

} // namespace trapeze::container
