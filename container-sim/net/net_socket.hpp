// Sockets as values: what a socket(2) of each family remembers, and what passes between a caller and the Network.
#pragma once

#include "container-sim/net/net_types.hpp"

namespace trapeze::container {

enum SocketFamily : u16 { kAfUnspec = 0, kAfUnix = 1, kAfInet = 2, kAfInet6 = 10, kAfNetlink = 16, kAfPacket = 17 };
enum SocketType : u16 { kSockStream = 1, kSockDgram = 2, kSockRaw = 3, kSockSeqpacket = 5 };
// send(2), recv(2)
inline constexpr u32 kMsgPeek = 2, kMsgCtrunc = 8, kMsgTrunc = 0x20, kMsgDontWait = 0x40, kMsgEor = 0x80, kMsgWaitAll = 0x100, kMsgErrQueue = 0x2000, kMsgNoSignal = 0x4000,
                     kMsgMore = 0x8000, kMsgCmsgCloexec = 0x40000000, kMsgOutOfBand = 1, kMsgDontRoute = 4;
// poll(2)
inline constexpr u32 kReadyIn = 1, kReadyPri = 2, kReadyOut = 4, kReadyErr = 8, kReadyHup = 0x10, kReadyReadNormal = 0x40, kReadyWriteNormal = 0x100, kReadyReadHup = 0x2000;

/// An address of any family. `family` 0 is none.
struct SocketAddress {
    u16 family = kAfUnspec;
    Ipv4 ip = 0;                   ///< inet
    u16 port = 0;
    std::string name;              ///< unix: the path, or the abstract name without its leading zero
    bool abstract_name = false;
    u64 node = 0;                  ///< unix path: the socket file, as the caller's file system numbers it; not 0
    u32 ifindex = 0;               ///< packet
    u16 protocol = 0;              ///< packet: EtherType
    u8 packet_type = 0;            ///< packet: PACKET_HOST 0, BROADCAST 1, MULTICAST 2, OTHERHOST 3, OUTGOING 4
    MacAddress mac{};
    u32 netlink_port = 0, groups = 0;
    bool operator==(const SocketAddress&) const = default;
};
/// The address in a struct sockaddr. A negated errno when it is none; `node` is left to the caller.
i64 parse_address(NetView bytes, SocketAddress& address);
/// The struct sockaddr, as long as getsockname(2) says.
NetBytes address_bytes(const SocketAddress& address);

/// unix(7) SCM_CREDENTIALS, in the numbers of the initial namespaces; the caller translates.
struct SocketCredentials {
    u32 task = 0;                  ///< the caller's name for a process: its pid in the initial namespace
    u32 user = 0, group = 0;
    bool operator==(const SocketCredentials&) const = default;
};

struct QueuedMessage {
    NetBytes data;
    std::size_t taken = 0;         ///< stream: bytes that have been read
    SocketAddress from;
    std::vector<u32> files;        ///< SCM_RIGHTS: opaque; each counts one user of the caller's
    SocketCredentials credentials;
    Ipv4 destination = 0;          ///< IP_PKTINFO
    u32 ifindex = 0;
    u8 ttl = 0;
    u32 full = 0;                  ///< bytes of the whole message
    bool operator==(const QueuedMessage&) const = default;
};

enum class TcpState : u8 { None, Established, SynSent, SynReceived, FinWait1, FinWait2, TimeWait, Closed, CloseWait, LastAck, Listen, Closing }; ///< as /proc/net/tcp numbers them
struct TcpControl {
    TcpState state = TcpState::Closed;
    u32 send_unacked = 0, send_next = 0, send_window = 0; ///< RFC 9293: SND.UNA, SND.NXT, SND.WND
    u32 window_sequence = 0, window_acknowledgment = 0;   ///< SND.WL1, SND.WL2
    u32 receive_next = 0;          ///< RCV.NXT
    u32 advertised = 0;            ///< right edge of the window that the peer knows
    u32 recover = 0;               ///< after a timeout: what had been sent by then
    bool recovering = false;
    u16 mss = 536;
    NetBytes send;                    ///< from send_unacked on: unacknowledged, then unsent
    NetBytes receive;
    std::map<u32, NetBytes> early;    ///< segments behind a gap, by their distance from receive_next when they came (sequence number)
    bool fin_queued = false, fin_sent = false, fin_received = false;
    u8 retries = 0;
    u64 timer = 0;                 ///< when something is to be done again; 0: nothing
    u64 timeout = 0;               ///< the present retransmission timeout
    u64 challenged = 0;            ///< when a senseless segment was last answered; 0: never
    bool operator==(const TcpControl&) const = default;
};

struct SocketOptions {
    bool reuse_address = false, reuse_port = false, broadcast = false, keep_alive = false, pass_credentials = false, no_delay = false, header_included = false, packet_info = false,
         receive_ttl = false, receive_errors = false, linger = false, out_of_band_inline = false, timestamp = false, cork = false;
    u32 linger_seconds = 0, send_buffer = 212992, receive_buffer = 212992, priority = 0, mark = 0, device = 0; ///< device: ifindex of SO_BINDTODEVICE
    u64 receive_timeout = 0, send_timeout = 0; ///< ns; 0: none
    u8 ttl = 64, tos = 0;
    u32 icmp_filter = 0;           ///< types not wanted
    u32 user_timeout = 0, keep_idle = 7200, keep_interval = 75, keep_count = 9;
    bool operator==(const SocketOptions&) const = default;
};

struct NetSocket {
    bool used = false;
    bool open = false;             ///< somebody holds it; TCP finishes without
    u32 net = 0;                   ///< namespace of its birth
    u16 family = 0, type = 0, protocol = 0;
    SocketAddress local, remote;   ///< family 0: none
    u32 suggested_port = 0;        ///< netlink
    bool port_bound = false;       ///< inet: it is in the table of ports
    bool connecting = false;       ///< connect(2) has begun and its end was not told
    i64 error = 0;                 ///< pending (SO_ERROR): an errno, positive
    bool shut_read = false, shut_write = false;
    SocketOptions options;
    std::vector<QueuedMessage> queue;
    u64 queued = 0;                ///< bytes in it
    TcpControl tcp;
    bool listening = false;
    u32 backlog = 0;
    u32 half_open = 0;             ///< handshakes under way
    std::vector<u32> accept_queue;
    u32 listener = kNone;          ///< whom a new connection will be given to
    u32 peer = kNone;              ///< unix
    std::set<u32> blocked;         ///< unix: sockets that wait for room here
    SocketCredentials credentials; ///< of who made it (SO_PEERCRED shows the peer's)
    SocketCredentials peer_credentials;
    bool had_peer = false;         ///< unix: it was connected once
    bool operator==(const NetSocket&) const = default;
};

/// A namespace that a netlink message names: by a process (IFLA_NET_NS_PID) or a descriptor (IFLA_NET_NS_FD) of the sender.
struct NamespaceRequest {
    bool by_pid = false;
    u32 value = 0;
    auto operator<=>(const NamespaceRequest&) const = default;
};

/// What a caller sends beside the bytes.
struct Outgoing {
    const SocketAddress* to = nullptr;
    std::vector<u32> files{};      ///< taken over if the result is not negative
    SocketCredentials credentials{};
    bool privileged = false;       ///< netlink: CAP_NET_ADMIN over the socket's namespace
    std::map<NamespaceRequest, i64> resolved{}; ///< netlink: the namespaces that the messages name, or negated errnos (namespaces_named)
    bool more = false;             ///< MSG_MORE
};
struct Incoming {
    i64 result = 0;                ///< bytes, 0 at the end, or a negated errno
    NetBytes data;
    SocketAddress from;
    std::vector<u32> files;        ///< the receiver's now
    std::optional<SocketCredentials> credentials;
    u32 flags = 0;                 ///< MSG_TRUNC, MSG_EOR
    std::size_t full = 0;          ///< the datagram's whole length
    Ipv4 destination = 0;
    u32 ifindex = 0;
    u8 ttl = 0;
};

} // namespace trapeze::container
