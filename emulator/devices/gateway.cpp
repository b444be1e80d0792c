#include "emulator/devices/gateway.hpp"

#include <algorithm>

namespace trapeze {

namespace {
constexpr std::size_t kEthernet = 14, kArp = 28, kIp = 20, kIcmp = 8;
constexpr u16 kTypeIp = 0x0800, kTypeArp = 0x0806, kArpRequest = 1, kArpReply = 2;
constexpr u8 kProtocolIcmp = 1, kEchoRequest = 8, kEchoReply = 0, kTimeToLive = 64;
constexpr MacAddress kEveryone = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

u16 word(std::span<const u8> bytes, std::size_t at) { return static_cast<u16>(bytes[at] << 8 | bytes[at + 1]); }
void set_word(std::span<u8> bytes, std::size_t at, u16 value) { bytes[at] = static_cast<u8>(value >> 8), bytes[at + 1] = static_cast<u8>(value); }
template <class Address> bool is(std::span<const u8> bytes, std::size_t at, const Address& address) {
    return std::equal(address.begin(), address.end(), bytes.begin() + static_cast<std::ptrdiff_t>(at));
}
template <class Address> void put(std::span<u8> bytes, std::size_t at, const Address& address) {
    std::copy(address.begin(), address.end(), bytes.begin() + static_cast<std::ptrdiff_t>(at));
}
void copy(std::span<u8> to, std::size_t at, std::span<const u8> from) { std::copy(from.begin(), from.end(), to.begin() + static_cast<std::ptrdiff_t>(at)); }

/// The answer's Ethernet header: back to whom the frame came from.
void turn_around(std::vector<u8>& answer, std::span<const u8> frame) {
    copy(answer, 0, frame.subspan(6, 6));
    put(answer, 6, kGatewayMac);
}

std::optional<std::vector<u8>> answer_arp(std::span<const u8> frame) {
    if (frame.size() < kEthernet + kArp) return std::nullopt;
    const auto arp = frame.subspan(kEthernet, kArp);
    const bool for_ipv4 = word(arp, 0) == 1 && word(arp, 2) == kTypeIp && arp[4] == 6 && arp[5] == 4;
    if (!for_ipv4 || word(arp, 6) != kArpRequest || !is(arp, 24, kGatewayIp)) return std::nullopt;
    std::vector<u8> answer(frame.begin(), frame.begin() + kEthernet + kArp);
    turn_around(answer, frame);
    const auto reply = std::span(answer).subspan(kEthernet);
    set_word(reply, 6, kArpReply);
    put(reply, 8, kGatewayMac), put(reply, 14, kGatewayIp);
    copy(reply, 18, arp.subspan(8, 10)); // its address becomes the target
    return answer;
}

std::optional<std::vector<u8>> answer_ip(std::span<const u8> frame) {
    if (frame.size() < kEthernet + kIp + kIcmp) return std::nullopt;
    const auto ip = frame.subspan(kEthernet);
    const std::size_t bytes = word(ip, 2);
    if (ip[0] != 0x45 || bytes < kIp + kIcmp || bytes > ip.size() || internet_checksum(ip.first(kIp)) != 0) return std::nullopt;
    const bool whole = (word(ip, 6) & 0x3fff) == 0; // no fragment
    const auto icmp = ip.subspan(kIp, bytes - kIp);
    if (!whole || ip[9] != kProtocolIcmp || !is(ip, 16, kGatewayIp) || icmp[0] != kEchoRequest || icmp[1] != 0 || internet_checksum(icmp) != 0)
        return std::nullopt;
    std::vector<u8> answer(frame.begin(), frame.begin() + static_cast<std::ptrdiff_t>(kEthernet + bytes));
    turn_around(answer, frame);
    const auto out = std::span(answer).subspan(kEthernet);
    put(out, 12, kGatewayIp);
    copy(out, 16, ip.subspan(12, 4));
    out[8] = kTimeToLive;
    set_word(out, 10, 0);
    set_word(out, 10, internet_checksum(out.first(kIp)));
    const auto reply = out.subspan(kIp);
    reply[0] = kEchoReply;
    set_word(reply, 2, 0);
    set_word(reply, 2, internet_checksum(reply));
    return answer;
}
} // namespace

u16 internet_checksum(std::span<const u8> bytes) {
    u32 sum = 0;
    for (std::size_t i = 0; i < bytes.size(); i += 2) sum += static_cast<u32>(bytes[i] << 8 | (i + 1 < bytes.size() ? bytes[i + 1] : 0));
    while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
    return static_cast<u16>(~sum);
}

std::optional<std::vector<u8>> gateway_answer(std::span<const u8> frame) {
    if (frame.size() < kEthernet || !(is(frame, 0, kGatewayMac) || is(frame, 0, kEveryone))) return std::nullopt;
    switch (word(frame, 12)) {
    case kTypeArp: return answer_arp(frame);
    case kTypeIp: return is(frame, 0, kGatewayMac) ? answer_ip(frame) : std::nullopt;
    default: return std::nullopt;
    }
}

} // namespace trapeze
