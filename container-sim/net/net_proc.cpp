// /proc/net/dev, route, arp, tcp, udp, raw, unix, packet, netlink, snmp: as proc_net(5) has them.
#include "container-sim/net/net_proc.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace trapeze::container {

namespace {

/// Addresses stand there as the number that a little-endian machine reads from memory.
u32 swapped(Ipv4 ip) { return ip >> 24 | (ip >> 8 & 0xff00) | (ip << 8 & 0xff0000) | ip << 24; }

std::string dev_text(const Network& network, u32 net) {
    std::string text = "Inter-|   Receive                                                |  Transmit\n"
                       " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n";
    for (const auto& [index, id] : network.space(net).devices) {
        const NetDevice& device = network.device(id);
        text += fmt::format("{:>6}: {:7} {:7} {:4} {:4} {:4} {:5} {:10} {:9} {:8} {:7} {:4} {:4} {:4} {:5} {:7} {:10}\n", device.name, device.received.bytes, device.received.packets, 0,
                            device.received.dropped, 0, 0, 0, 0, device.sent.bytes, device.sent.packets, 0, device.sent.dropped, 0, 0, 0, 0);
    }
    return text;
}

std::string route_text(const Network& network, u32 net) {
    constexpr u32 kUp = 1, kGateway = 2, kHost = 4;
    std::string text = fmt::format("{:<127}\n", "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT");
    std::vector<NetRoute> routes = network.space(net).routes;
    std::stable_sort(routes.begin(), routes.end(), [](const NetRoute& a, const NetRoute& b) { return a.destination < b.destination; }); // as a trie is walked
    for (const NetRoute& route : routes) {
        if (route.type != RouteType::Unicast) continue;
        const u32 flags = kUp | (route.gateway ? kGateway : 0) | (route.prefix == 32 ? kHost : 0);
        text += fmt::format("{:<127}\n", fmt::format("{}\t{:08X}\t{:08X}\t{:04X}\t0\t0\t{}\t{:08X}\t0\t0\t0", network.device(route.device).name, swapped(route.destination), swapped(route.gateway), flags,
                                                     route.metric, swapped(prefix_mask(route.prefix))));
    }
    return text;
}

std::string arp_text(const Network& network, u32 net) {
    constexpr u32 kComplete = 2, kPermanent = 4;
    std::string text = "IP address       HW type     Flags       HW address            Mask     Device\n";
    for (const auto& [index, id] : network.space(net).devices)
        for (auto at = network.neighbours().lower_bound({id, 0}); at != network.neighbours().end() && at->first.first == id; ++at) {
            const Neighbour& neighbour = at->second;
            const bool known = neighbour.state != NeighbourState::Incomplete && neighbour.state != NeighbourState::Failed;
            const u32 flags = (known ? kComplete : 0) | (neighbour.state == NeighbourState::Permanent ? kPermanent : 0);
            text += fmt::format("{:<16} 0x{:<10x}0x{:<10x}{}     *        {}\n", ip_text(at->first.second), 1, flags, mac_text(neighbour.mac), network.device(id).name);
        }
    return text;
}

/// The lines of tcp, udp and raw: one a socket.
std::string inet_text(const Network& network, u32 net, u16 type, u8 protocol) {
    constexpr unsigned kUnconnected = 7; // TCP_CLOSE
    std::string text;
    unsigned line = 0;
    for (u32 id : network.socket_ids()) {
        const NetSocket& socket = network.socket(id);
        if (socket.net != net || socket.family != kAfInet || socket.type != type || (protocol && socket.protocol != protocol)) continue;
        const bool stream = type == kSockStream;
        if (stream && (socket.tcp.state == TcpState::Closed || (!socket.port_bound && !socket.listening))) continue;
        if (type == kSockDgram && !socket.port_bound) continue;
        const unsigned state = stream ? static_cast<unsigned>(socket.tcp.state) : socket.remote.family ? 1 : kUnconnected;
        const u64 waiting = socket.listening ? socket.accept_queue.size() : stream ? socket.tcp.receive.size() : socket.queued;
        const u16 port = type == kSockRaw ? socket.protocol : socket.local.port;
        text += fmt::format("{:>4}: {:08X}:{:04X} {:08X}:{:04X} {:02X} {:08X}:{:08X} {:02X}:{:08X} {:08X} {:>5} {:>8} {} 2 0000000000000000{}\n", line++, swapped(socket.local.ip), port,
                            swapped(socket.remote.ip), socket.remote.port, state, socket.tcp.send.size(), waiting, socket.tcp.timer ? 1 : 0, 0, socket.tcp.retries, socket.credentials.user, 0, id + 1,
                            stream ? " 100 0 0 10 0" : " 0");
    }
    return text;
}
std::string tcp_text(const Network& network, u32 net) {
    return fmt::format("{:<149}\n", "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode") + inet_text(network, net, kSockStream, 0);
}
std::string datagram_head() { return fmt::format("{:<127}\n", "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops"); }
std::string udp_text(const Network& network, u32 net) { return datagram_head() + inet_text(network, net, kSockDgram, kIpUdp); }
std::string icmp_text(const Network& network, u32 net) { return datagram_head() + inet_text(network, net, kSockDgram, kIpIcmp); }
std::string raw_text(const Network& network, u32 net) { return datagram_head() + inet_text(network, net, kSockRaw, 0); }

std::string unix_text(const Network& network, u32 net) {
    constexpr u32 kAccepts = 0x10000;
    std::string text = "Num       RefCount Protocol Flags    Type St Inode Path\n";
    for (u32 id : network.socket_ids()) {
        const NetSocket& socket = network.socket(id);
        if (socket.net != net || socket.family != kAfUnix) continue;
        const std::string name = socket.local.name.empty() ? "" : (socket.local.abstract_name ? " @" : " ") + socket.local.name;
        text += fmt::format("0000000000000000: {:08X} 00000000 {:08X} {:04X} {:02X} {:>5}{}\n", 2 + socket.queue.size(), socket.listening ? kAccepts : 0, socket.type, socket.peer != kNone ? 3 : 1, id + 1, name);
    }
    return text;
}

std::string packet_text(const Network& network, u32 net) {
    std::string text = "sk               RefCnt Type Proto  Iface R Rmem   User   Inode\n";
    for (u32 id : network.socket_ids()) {
        const NetSocket& socket = network.socket(id);
        if (socket.net == net && socket.family == kAfPacket)
            text += fmt::format("0000000000000000 3      {:<4} {:04x}   {:<5} 1 {:<6} {:<6} {:<6}\n", socket.type, socket.protocol, socket.local.ifindex, socket.queued, socket.credentials.user, id + 1);
    }
    return text;
}

std::string netlink_text(const Network& network, u32 net) {
    std::string text = "sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode\n";
    for (u32 id : network.socket_ids()) {
        const NetSocket& socket = network.socket(id);
        if (socket.net == net && socket.family == kAfNetlink)
            text += fmt::format("0000000000000000 {:<3} {:<10} {:08x} {:<8} {:<8} {:<5} {:<8} {:<8} {:<8}\n", 0, socket.local.netlink_port, socket.local.groups, socket.queued, 0, 0, 2, 0, id + 1);
    }
    return text;
}

std::string snmp_text(const Network& network, u32 net) {
    const NetNamespace& space = network.space(net);
    const NetCounters& c = space.counters;
    u64 established = 0;
    for (u32 id : network.socket_ids()) established += network.socket(id).net == net && network.socket(id).tcp.state == TcpState::Established && network.socket(id).type == kSockStream;
    return fmt::format("Ip: Forwarding DefaultTTL InReceives ForwDatagrams InDiscards OutRequests\nIp: {} 64 {} {} {} {}\n", space.forwards ? 1 : 2, c.ip_received, c.ip_forwarded, c.ip_dropped, c.ip_sent) +
           fmt::format("Icmp: InMsgs OutMsgs\nIcmp: {} {}\n", c.icmp_received, c.icmp_sent) +
           fmt::format("Tcp: ActiveOpens PassiveOpens AttemptFails CurrEstab InSegs OutSegs RetransSegs OutRsts\nTcp: {} {} {} {} {} {} {} {}\n", c.tcp_opened, c.tcp_accepted, c.tcp_failed, established,
                       c.tcp_received, c.tcp_sent, c.tcp_retransmitted, c.tcp_resets_sent) +
           fmt::format("Udp: InDatagrams NoPorts RcvbufErrors OutDatagrams\nUdp: {} {} {} {}\n", c.udp_received, c.udp_no_port, c.udp_full, c.udp_sent);
}

} // namespace

const std::vector<NetFile>& net_files() {
    static const std::vector<NetFile> files = {{"arp", arp_text}, {"dev", dev_text}, {"icmp", icmp_text}, {"netlink", netlink_text}, {"packet", packet_text}, {"raw", raw_text}, {"route", route_text},
                                               {"snmp", snmp_text}, {"tcp", tcp_text}, {"udp", udp_text}, {"unix", unix_text}};
    return files;
}

} // namespace trapeze::container
