// struct sockaddr of each family, read and written (sys/un.h, netinet/in.h, linux/netlink.h, linux/if_packet.h).
#include "container-sim/errno.hpp"
#include "container-sim/net/net_socket.hpp"

#include <algorithm>
#include <cstring>

namespace trapeze::container {

namespace {
constexpr std::size_t kUnixPath = 108, kInetBytes = 16, kNetlinkBytes = 12, kPacketBytes = 20, kShortPacketBytes = 12;

template <class T> T at(NetView bytes, std::size_t offset) {
    T value;
    std::memcpy(&value, bytes.data() + offset, sizeof value);
    return value;
}
template <class T> void put(NetBytes& bytes, std::size_t offset, T value) { std::memcpy(bytes.data() + offset, &value, sizeof value); }

i64 parse_unix(NetView bytes, SocketAddress& address) {
    if (bytes.size() > 2 + kUnixPath) return -kEINVAL;
    const char* text = reinterpret_cast<const char*>(bytes.data()) + 2;
    const std::size_t size = bytes.size() - 2;
    if (size == 0) return 0; // unnamed
    address.abstract_name = text[0] == 0;
    address.name = address.abstract_name ? std::string(text + 1, size - 1) : std::string(text, strnlen(text, size));
    return 0;
}
} // namespace

i64 parse_address(NetView bytes, SocketAddress& address) {
    address = {};
    if (bytes.size() < 2) return -kEINVAL;
    address.family = at<u16>(bytes, 0);
    switch (address.family) {
    case kAfUnspec: return 0;
    case kAfUnix: return parse_unix(bytes, address);
    case kAfInet:
        if (bytes.size() < kInetBytes) return -kEINVAL;
        address.port = load16(bytes, 2), address.ip = load32(bytes, 4);
        return 0;
    case kAfNetlink:
        if (bytes.size() < kNetlinkBytes) return -kEINVAL;
        address.netlink_port = at<u32>(bytes, 4), address.groups = at<u32>(bytes, 8);
        return 0;
    case kAfPacket:
        if (bytes.size() < kShortPacketBytes) return -kEINVAL;
        address.protocol = load16(bytes, 2), address.ifindex = at<u32>(bytes, 4);
        if (bytes.size() >= kShortPacketBytes + 6) std::copy_n(bytes.begin() + kShortPacketBytes, 6, address.mac.begin());
        return 0;
    default: return -kEAFNOSUPPORT;
    }
}

NetBytes address_bytes(const SocketAddress& address) {
    NetBytes bytes(2);
    put(bytes, 0, address.family);
    switch (address.family) {
    case kAfUnix:
        if (address.abstract_name) bytes.push_back(0);
        bytes.insert(bytes.end(), address.name.begin(), address.name.end());
        if (!address.abstract_name && !address.name.empty()) bytes.push_back(0);
        break;
    case kAfInet:
        bytes.resize(kInetBytes);
        store16(bytes, 2, address.port), store32(bytes, 4, address.ip);
        break;
    case kAfNetlink:
        bytes.resize(kNetlinkBytes);
        put(bytes, 4, address.netlink_port), put(bytes, 8, address.groups);
        break;
    case kAfPacket:
        bytes.resize(kPacketBytes);
        store16(bytes, 2, address.protocol), put(bytes, 4, address.ifindex);
        put<u16>(bytes, 8, 1), bytes[10] = address.packet_type, bytes[11] = 6; // ARPHRD_ETHER
        std::copy(address.mac.begin(), address.mac.end(), bytes.begin() + kShortPacketBytes);
        break;
    default: break;
    }
    return bytes;
}

} // namespace trapeze::container
