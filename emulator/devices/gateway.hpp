// The host at the other end of the network: 10.0.2.2, as in QEMU's user networking. It answers ARP requests for its address
// (RFC 826) and ICMP echo requests (RFC 792), so that a guest can try its network card.
// Known inaccuracies: nothing lies beyond it; no IP options, no fragments, no IPv6.
#pragma once

#include "emulator/devices/network.hpp"

namespace trapeze {

inline constexpr MacAddress kGatewayMac = {0x52, 0x55, 0x0a, 0x00, 0x02, 0x02};
inline constexpr std::array<u8, 4> kGatewayIp = {10, 0, 2, 2};

/// What it sends back for a frame, or nothing. Total: the frame may hold anything.
std::optional<std::vector<u8>> gateway_answer(std::span<const u8> frame);

/// The internet checksum (RFC 1071) of bytes that are read as big-endian words.
u16 internet_checksum(std::span<const u8> bytes);

} // namespace trapeze
