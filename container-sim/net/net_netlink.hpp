// rtnetlink's words (linux/netlink.h, rtnetlink.h, if_link.h, if_addr.h, neighbour.h): headers, attributes, and how messages are read
// and written. Numbers are in the machine's byte order, addresses in the network's.
#pragma once

#include "container-sim/net/net_socket.hpp"

#include <algorithm>
#include <cstring>

namespace trapeze::container {

enum NetlinkType : u16 {
    kNlNoop = 1, kNlError = 2, kNlDone = 3, kNewLink = 16, kDelLink, kGetLink, kSetLink, kNewAddr, kDelAddr, kGetAddr, kNewRoute = 24, kDelRoute, kGetRoute, kNewNeigh = 28, kDelNeigh, kGetNeigh,
    kNewRule = 32, kDelRule, kGetRule, kNewNsid = 88, kDelNsid, kGetNsid
};
enum NetlinkFlag : u16 { kNlRequest = 1, kNlMulti = 2, kNlAck = 4, kNlReplace = 0x100, kNlExcl = 0x200, kNlCreate = 0x400, kNlDump = 0x300 };
inline constexpr u16 kNested = 0x8000, kAttributeMask = 0x3fff;

enum LinkAttribute : u16 {
    kIflaAddress = 1, kIflaBroadcast, kIflaName, kIflaMtu, kIflaLink, kIflaQdisc, kIflaMaster = 10, kIflaTxQueue = 13, kIflaOperState = 16, kIflaLinkMode, kIflaLinkInfo, kIflaNetPid,
    kIflaStats64 = 23, kIflaGroup = 27, kIflaNetFd, kIflaPromiscuity = 30, kIflaTxQueues, kIflaRxQueues, kIflaCarrier, kIflaLinkNetId = 37, kIflaAltName = 53
};
enum LinkInfoAttribute : u16 { kInfoKind = 1, kInfoData, kInfoSlaveKind = 4 };
enum AddressAttribute : u16 { kIfaAddress = 1, kIfaLocal, kIfaLabel, kIfaBroadcast, kIfaCacheInfo = 6, kIfaFlags = 8 };
enum RouteAttribute : u16 { kRtaDst = 1, kRtaSrc, kRtaIif, kRtaOif, kRtaGateway, kRtaPriority, kRtaPrefSrc, kRtaTable = 15 };
enum NeighbourAttribute : u16 { kNdaDst = 1, kNdaLlAddr };

struct NetlinkHeader {
    u32 length;
    u16 type, flags;
    u32 sequence, port;
};
struct LinkMessage {
    u8 family, pad;
    u16 type;
    u32 index, flags, change;
};
struct AddressMessage {
    u8 family, prefix, flags, scope;
    u32 index;
};
struct RouteMessage {
    u8 family, destination_bits, source_bits, tos, table, protocol, scope, type;
    u32 flags;
};
struct NeighbourMessage {
    u8 family, pad1;
    u16 pad2;
    u32 index;
    u16 state;
    u8 flags, type;
};
static_assert(sizeof(NetlinkHeader) == 16 && sizeof(LinkMessage) == 16 && sizeof(AddressMessage) == 8 && sizeof(RouteMessage) == 12 && sizeof(NeighbourMessage) == 12);

/// The attributes of a message by their number, the last of each; what does not fit ends the list.
class Attributes {
  public:
    explicit Attributes(NetView bytes) {
        while (bytes.size() >= 4) {
            u16 length = 0, type = 0;
            std::memcpy(&length, bytes.data(), 2), std::memcpy(&type, bytes.data() + 2, 2);
            if (length < 4 || length > bytes.size()) return;
            found_[type & kAttributeMask] = bytes.subspan(4, length - 4u);
            bytes = bytes.subspan(std::min<std::size_t>((length + 3u) & ~3u, bytes.size()));
        }
    }
    bool has(u16 type) const { return found_.count(type); }
    NetView bytes(u16 type) const {
        const auto found = found_.find(type);
        return found == found_.end() ? NetView{} : found->second;
    }
    u32 number(u16 type, u32 otherwise = 0) const {
        const NetView value = bytes(type);
        if (value.size() < 4) return otherwise;
        u32 number = 0;
        std::memcpy(&number, value.data(), 4);
        return number;
    }
    std::string text(u16 type) const {
        const NetView value = bytes(type);
        return std::string(value.begin(), std::find(value.begin(), value.end(), u8{0}));
    }
    Ipv4 ip(u16 type) const { return bytes(type).size() >= 4 ? load32(bytes(type), 0) : 0; }

  private:
    std::map<u16, NetView> found_;
};

/// One message in the making.
class NetlinkWriter {
  public:
    template <class Body> NetlinkWriter(u16 type, u16 flags, u32 sequence, u32 port, const Body& body) {
        append(NetlinkHeader{0, type, flags, sequence, port});
        append(body);
    }
    template <class T> void number(u16 type, T value) { bytes(type, {reinterpret_cast<const u8*>(&value), sizeof value}); }
    void text(u16 type, std::string_view value) {
        NetBytes with_end(value.begin(), value.end());
        with_end.push_back(0);
        bytes(type, with_end);
    }
    void ip(u16 type, Ipv4 value) {
        u8 raw[4];
        store32(raw, 0, value);
        bytes(type, raw);
    }
    void bytes(u16 type, NetView value) {
        append(static_cast<u16>(value.size() + 4)), append(type);
        out_.insert(out_.end(), value.begin(), value.end());
        out_.resize((out_.size() + 3) & ~std::size_t{3});
    }
    std::size_t begin(u16 type) {
        const std::size_t at = out_.size();
        append(u16{0}), append(static_cast<u16>(type | kNested));
        return at;
    }
    void end(std::size_t at) {
        const u16 length = static_cast<u16>(out_.size() - at);
        std::memcpy(out_.data() + at, &length, 2);
    }
    template <class T> void append(const T& value) {
        const u8* raw = reinterpret_cast<const u8*>(&value);
        out_.insert(out_.end(), raw, raw + sizeof value);
    }
    NetBytes take() {
        const u32 length = static_cast<u32>(out_.size());
        std::memcpy(out_.data(), &length, 4);
        return std::move(out_);
    }

  private:
    NetBytes out_;
};

/// All that the messages name, for the caller to resolve before it sends them.
std::vector<NamespaceRequest> namespaces_named(NetView messages);

} // namespace trapeze::container
