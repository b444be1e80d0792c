// getsockopt(2), setsockopt(2): the options of socket(7), ip(7), tcp(7), raw(7), netlink(7) and packet(7) that programs set.
#include "container-sim/abi.hpp"
#include "container-sim/net/net_calls.hpp"

#include <cstring>

namespace trapeze::container {

namespace {

enum Level : int { kLevelIp = 0, kLevelSocket = 1, kLevelTcp = 6, kLevelUdp = 17, kLevelRaw = 255, kLevelPacket = 263, kLevelNetlink = 270 };
enum SocketOption : int {
    kReuseAddress = 2, kType = 3, kError = 4, kDontRoute = 5, kBroadcast = 6, kSendBuffer = 7, kReceiveBuffer = 8, kKeepAlive = 9, kOobInline = 10, kPriority = 12, kLinger = 13,
    kReusePort = 15, kPassCredentials = 16, kPeerCredentials = 17, kReceiveLow = 18, kSendLow = 19, kReceiveTimeout = 20, kSendTimeout = 21, kBindToDevice = 25, kAttachFilter = 26,
    kDetachFilter = 27, kTimestamp = 29, kAcceptConnections = 30, kSendBufferForce = 32, kReceiveBufferForce = 33, kMark = 36, kProtocol = 38, kDomain = 39, kPeerGroups = 59, kPeerPidFd = 77
};
enum IpOption : int { kTos = 1, kTtl = 2, kHeaderIncluded = 3, kPacketInfo = 8, kMtuDiscover = 10, kReceiveErrors = 11, kReceiveTtl = 12, kMulticastIf = 32, kMulticastTtl = 33, kMulticastLoop = 34 };
enum TcpOption : int { kNoDelay = 1, kMaxSegment = 2, kCork = 3, kKeepIdle = 4, kKeepInterval = 5, kKeepCount = 6, kDeferAccept = 9, kInfo = 11, kQuickAck = 12, kUserTimeout = 18 };
constexpr u32 kMostBuffer = 212992, kLeastSend = 4608, kLeastReceive = 2304; ///< net.core.wmem_max; SOCK_MIN_SNDBUF, SOCK_MIN_RCVBUF

NetBytes bytes_of(i32 value) {
    NetBytes bytes(4);
    std::memcpy(bytes.data(), &value, 4);
    return bytes;
}

/// struct timeval to nanoseconds: EDOM outside of its range; negative seconds are no waiting at all.
i64 set_timeout(const Call& call, u64 at, u32 bytes, u64& timeout) {
    std::array<i64, 2> time{};
    if (bytes < sizeof time) return -kEINVAL;
    if (!call.read_user(at, time)) return -kEFAULT;
    if (time[1] < 0 || time[1] >= 1'000'000) return -kEDOM;
    constexpr i64 kLongest = 1'000'000'000;
    timeout = time[0] < 0 ? 1 : static_cast<u64>(std::min(time[0], kLongest)) * kNetSecond + static_cast<u64>(time[1]) * 1000;
    return 0;
}
NetBytes timeout_bytes(u64 timeout) {
    const std::array<i64, 2> time{static_cast<i64>(timeout / kNetSecond), static_cast<i64>(timeout % kNetSecond / 1000)};
    NetBytes bytes(sizeof time);
    std::memcpy(bytes.data(), time.data(), sizeof time);
    return bytes;
}

i64 set_device(const Call& call, u32 id, u64 at, u32 bytes) {
    std::string name(std::min<u32>(bytes, Network::kMaxNameBytes), 0);
    if (!call.kernel.copy_in(call.machine, call.task(), at, std::span(reinterpret_cast<u8*>(name.data()), name.size()))) return -kEFAULT;
    name.resize(strnlen(name.data(), name.size()));
    Network& network = call.kernel.network;
    if (name.empty()) return network.options(id).device = 0, 0;
    const u32 device = network.find_device(network.socket(id).net, name);
    if (device == kNone) return -kENODEV;
    return network.options(id).device = network.device(device).ifindex, 0;
}

/// The beginning of struct tcp_info that is known here.
NetBytes tcp_info(const NetSocket& socket) {
    const TcpControl& tcp = socket.tcp;
    struct {
        u8 state, congestion_state, retransmits, probes, backoff, options, scales, flags;
        u32 timeout, acknowledge_timeout, send_mss, receive_mss, unacknowledged, others[19];
    } info{};
    info.state = static_cast<u8>(tcp.state), info.retransmits = tcp.retries;
    info.timeout = static_cast<u32>(tcp.timeout / 1000), info.send_mss = info.receive_mss = tcp.mss;
    info.unacknowledged = (tcp.send_next - tcp.send_unacked + tcp.mss - 1) / std::max<u32>(tcp.mss, 1);
    NetBytes bytes(sizeof info);
    std::memcpy(bytes.data(), &info, sizeof info);
    return bytes;
}

i64 set_socket_option(const Call& call, u32 id, int name, i32 value) {
    SocketOptions& options = call.kernel.network.options(id);
    const u32 wanted = static_cast<u32>(std::max(value, 0));
    switch (name) {
    case kReuseAddress: return options.reuse_address = value, 0;
    case kReusePort: return options.reuse_port = value, 0;
    case kBroadcast: return options.broadcast = value, 0;
    case kKeepAlive: return options.keep_alive = value, 0;
    case kOobInline: return options.out_of_band_inline = value, 0;
    case kPassCredentials: return options.pass_credentials = value, 0;
    case kTimestamp: return options.timestamp = value, 0;
    case kPriority: return options.priority = wanted, 0;
    case kSendBuffer: case kSendBufferForce: return options.send_buffer = std::max(std::min(wanted, kMostBuffer) * 2, kLeastSend), 0;
    case kReceiveBuffer: case kReceiveBufferForce: return options.receive_buffer = std::max(std::min(wanted, kMostBuffer) * 2, kLeastReceive), 0;
    case kMark: return has_over(call, call.kernel.network.socket(id).net, Capability::NetAdmin) ? (options.mark = static_cast<u32>(value), 0) : -kEPERM;
    case kDontRoute: case kReceiveLow: case kDetachFilter: return 0;
    default: return -kENOPROTOOPT;
    }
}

i64 set_ip_option(SocketOptions& options, int name, i32 value) {
    switch (name) {
    case kTos: return options.tos = static_cast<u8>(value), 0;
    case kTtl: return value == -1 ? (options.ttl = 64, 0) : value < 1 || value > 255 ? -kEINVAL : (options.ttl = static_cast<u8>(value), 0);
    case kHeaderIncluded: return options.header_included = value, 0;
    case kPacketInfo: return options.packet_info = value, 0;
    case kReceiveErrors: return options.receive_errors = value, 0;
    case kReceiveTtl: return options.receive_ttl = value, 0;
    case kMtuDiscover: case kMulticastIf: case kMulticastTtl: case kMulticastLoop: return 0;
    default: return -kENOPROTOOPT;
    }
}

i64 set_tcp_option(SocketOptions& options, int name, i32 value) {
    switch (name) {
    case kNoDelay: return options.no_delay = value, 0;
    case kCork: return options.cork = value, 0;
    case kKeepIdle: return value < 1 ? -kEINVAL : (options.keep_idle = static_cast<u32>(value), 0);
    case kKeepInterval: return value < 1 ? -kEINVAL : (options.keep_interval = static_cast<u32>(value), 0);
    case kKeepCount: return value < 1 ? -kEINVAL : (options.keep_count = static_cast<u32>(value), 0);
    case kUserTimeout: return value < 0 ? -kEINVAL : (options.user_timeout = static_cast<u32>(value), 0);
    case kMaxSegment: case kDeferAccept: case kQuickAck: return 0;
    default: return -kENOPROTOOPT;
    }
}

i64 get_socket_option(const Call& call, u32 id, int name, NetBytes& value) {
    const NetSocket& socket = call.kernel.network.socket(id);
    const SocketOptions& options = socket.options;
    const auto number = [&](i64 n) -> i64 { return value = bytes_of(static_cast<i32>(n)), 0; };
    switch (name) {
    case kType: return number(socket.type);
    case kDomain: return number(socket.family);
    case kProtocol: return number(socket.protocol);
    case kError: return number(call.kernel.network.take_error(id));
    case kAcceptConnections: return number(socket.listening);
    case kReuseAddress: return number(options.reuse_address);
    case kReusePort: return number(options.reuse_port);
    case kBroadcast: return number(options.broadcast);
    case kKeepAlive: return number(options.keep_alive);
    case kOobInline: return number(options.out_of_band_inline);
    case kPassCredentials: return number(options.pass_credentials);
    case kTimestamp: return number(options.timestamp);
    case kPriority: return number(options.priority);
    case kMark: return number(options.mark);
    case kSendBuffer: return number(options.send_buffer);
    case kReceiveBuffer: return number(options.receive_buffer);
    case kReceiveLow: case kSendLow: return number(1);
    case kReceiveTimeout: return value = timeout_bytes(options.receive_timeout), 0;
    case kSendTimeout: return value = timeout_bytes(options.send_timeout), 0;
    case kLinger: {
        value = bytes_of(options.linger);
        const NetBytes seconds = bytes_of(static_cast<i32>(options.linger_seconds));
        value.insert(value.end(), seconds.begin(), seconds.end());
        return 0;
    }
    case kPeerCredentials: {
        const SocketCredentials peer = call.kernel.network.peer_credentials(id);
        const bool known = peer.task || socket.family != kAfUnix;
        const i32 pid = known ? call.kernel.pid_in(static_cast<i32>(peer.task), call.task().namespaces.pid) : 0;
        for (i32 word : {pid, known ? static_cast<i32>(call.kernel.uid_in(call.task(), peer.user)) : -1, known ? static_cast<i32>(call.kernel.gid_in(call.task(), peer.group)) : -1}) {
            const NetBytes raw = bytes_of(word);
            value.insert(value.end(), raw.begin(), raw.end());
        }
        return 0;
    }
    case kPeerPidFd: {
        const i32 pid = static_cast<i32>(call.kernel.network.peer_credentials(id).task);
        const auto record = call.kernel.pids.find(pid);
        if (!pid) return -kENODATA;
        if (record == call.kernel.pids.end() || !record->second.has_task) return -kESRCH;
        const i64 fd = call.open_pid(call.kernel.tasks[record->second.task].process, 0);
        return fd < 0 ? fd : number(fd);
    }
    default: return -kENOPROTOOPT;
    }
}

} // namespace

i64 set_option(const Call& call, u32 id, int level, int name, u64 at, u32 bytes) {
    Network& network = call.kernel.network;
    SocketOptions& options = network.options(id);
    const u16 family = network.socket(id).family;
    if (level == kLevelSocket && name == kBindToDevice) return set_device(call, id, at, bytes);
    if (level == kLevelSocket && (name == kAttachFilter)) return 0; // a filter only saves work
    if (level == kLevelSocket && name == kReceiveTimeout) return set_timeout(call, at, bytes, options.receive_timeout);
    if (level == kLevelSocket && name == kSendTimeout) return set_timeout(call, at, bytes, options.send_timeout);
    if (level == kLevelPacket && family == kAfPacket) return 0; // membership, auxiliary data: nothing to keep
    i32 value = 0;
    if (bytes < sizeof value && !(level == kLevelIp && bytes)) return -kEINVAL;
    if (bytes >= sizeof value ? !call.read_user(at, value) : !call.kernel.copy_in(call.machine, call.task(), at, std::span(reinterpret_cast<u8*>(&value), 1))) return -kEFAULT;
    if (level == kLevelSocket && name == kLinger) {
        std::array<i32, 2> linger{};
        if (bytes < sizeof linger) return -kEINVAL;
        if (!call.read_user(at, linger)) return -kEFAULT;
        options.linger = linger[0], options.linger_seconds = static_cast<u32>(std::max(linger[1], 0));
        return 0;
    }
    if (level == kLevelSocket) return set_socket_option(call, id, name, value);
    if (level == kLevelNetlink && family == kAfNetlink) return name == 1 || name == 2 ? network.join(id, static_cast<u32>(value), name == 1) : 0; // NETLINK_ADD_MEMBERSHIP
    if (family != kAfInet) return family == kAfUnix ? -kEOPNOTSUPP : -kENOPROTOOPT;
    if (level == kLevelIp) return set_ip_option(options, name, value);
    if (level == kLevelTcp && network.socket(id).type == kSockStream) return set_tcp_option(options, name, value);
    if (level == kLevelRaw && name == 1 && network.socket(id).protocol == kIpIcmp) return options.icmp_filter = static_cast<u32>(value), 0; // ICMP_FILTER
    return -kENOPROTOOPT;
}

i64 get_option(const Call& call, u32 id, int level, int name, NetBytes& value) {
    const NetSocket& socket = call.kernel.network.socket(id);
    const SocketOptions& options = socket.options;
    const auto number = [&](i64 n) -> i64 { return value = bytes_of(static_cast<i32>(n)), 0; };
    if (level == kLevelSocket) return get_socket_option(call, id, name, value);
    if (socket.family == kAfNetlink && level == kLevelNetlink) return number(0);
    if (socket.family != kAfInet) return socket.family == kAfUnix ? -kEOPNOTSUPP : -kENOPROTOOPT;
    if (level == kLevelIp) {
        switch (name) {
        case kTos: return number(options.tos);
        case kTtl: return number(options.ttl);
        case kHeaderIncluded: return number(options.header_included);
        case kPacketInfo: return number(options.packet_info);
        case kReceiveErrors: return number(options.receive_errors);
        case kReceiveTtl: return number(options.receive_ttl);
        default: return -kENOPROTOOPT;
        }
    }
    if (level != kLevelTcp || socket.type != kSockStream) return -kENOPROTOOPT;
    switch (name) {
    case kNoDelay: return number(options.no_delay);
    case kMaxSegment: return number(socket.tcp.mss);
    case kCork: return number(options.cork);
    case kKeepIdle: return number(options.keep_idle);
    case kKeepInterval: return number(options.keep_interval);
    case kKeepCount: return number(options.keep_count);
    case kUserTimeout: return number(options.user_timeout);
    case kDeferAccept: case kQuickAck: return number(0);
    case kInfo: return value = tcp_info(socket), 0;
    default: return -kENOPROTOOPT;
    }
}

Attempt Call::setsockopt() const {
    u32 id = 0;
    if (const i64 error = socket_of(*this, fd_arg(0), id)) return error;
    if (int_arg(4) < 0) return -kEINVAL;
    return set_option(*this, id, int_arg(1), int_arg(2), arg(3), static_cast<u32>(int_arg(4)));
}

Attempt Call::getsockopt() const {
    u32 id = 0;
    i32 room = 0;
    NetBytes value;
    if (const i64 error = socket_of(*this, fd_arg(0), id)) return error;
    if (!read_user(arg(4), room)) return -kEFAULT;
    if (room < 0) return -kEINVAL;
    if (const i64 error = get_option(*this, id, int_arg(1), int_arg(2), value)) return error;
    value.resize(std::min<std::size_t>(value.size(), static_cast<std::size_t>(room)));
    if (!kernel.copy_out(machine, task(), arg(3), value) || !write_user(arg(4), static_cast<i32>(value.size()))) return -kEFAULT;
    return 0;
}

} // namespace trapeze::container
