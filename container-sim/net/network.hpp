// The network of the container kernel: namespaces with devices, routes and sockets, in one value. Frames really travel: what a socket
// sends becomes packets that are routed, translated, resolved by ARP, bridged and received again. Time is passed in; nothing waits.
//
// Usage:
//   Network network;
//   const u32 net = network.add_namespace();
//   auto [a, b] = *network.add_veth(0, "veth0", net, "eth0");
//   network.add_address(a, {ipv4(10, 0, 0, 1), 24}), network.set_up(a, true) ...
//   i64 s = network.open(net, kAfInet, kSockStream, 0, {});
//   network.advance(now);               // timers up to now, and what is on its way
//   for (u32 changed : network.take_changed()) wake(changed);
//
// A call returns a negated errno; -EAGAIN says that it would block, -EINPROGRESS that a connection is being made.
// Known gaps: no IPv6, no multicast groups, no TCP congestion control, urgent data, window scaling or selective acknowledgment;
// neighbours go from reachable to stale by age and are asked again when used; only the main routing table.
#pragma once

#include "container-sim/net/net_netlink.hpp"
#include "emulator/base/result.hpp"

namespace trapeze::container {

class Network {
  public:
    static constexpr std::size_t kMaxNamespaces = 20000, kMaxDevices = 65536, kMaxSockets = 16384, kMaxInFlight = 8192, kMaxPumped = 32768, kMaxAddresses = 256, kMaxRoutes = 4096,
                                 kMaxNeighbours = 4096, kMaxLearnt = 16384, kMaxTracked = 8192, kMaxFragmentSets = 64, kMaxWaitingForArp = 128, kMaxRules = 4096, kMaxSteps = 65536,
                                 kMaxCaptureBytes = 64 << 20, kMaxNameBytes = 15, kMaxRights = 253, kMaxRoutedMtu = 65536, kSomaxconn = 4096, kMaxFilesInFlight = 4096;

    Network();
    bool operator==(const Network&) const = default;

    // --- Time ---------------------------------------------------------------------------------------------------------------------
    /// Does what is due by `now` (nanoseconds of virtual time, never going back).
    void advance(u64 now);
    /// When advance() has something to do next; ~0: never.
    u64 due() const;
    u64 now() const { return now_; }
    /// Sockets whose readiness may have changed since the last call, ascending.
    std::vector<u32> take_changed();
    /// Files of SCM_RIGHTS that nobody will receive any more: each gives up one user.
    std::vector<u32> take_dropped_files();

    // --- Namespaces and devices (net_device.cpp) ----------------------------------------------------------------------------------
    /// A namespace with `lo`, down: the one with this number, or the first that is free. 0 always is. Negative: -ENOSPC.
    i64 add_namespace(u32 net);
    i64 add_namespace();
    void remove_namespace(u32 net);
    const NetNamespace& space(u32 net) const { return spaces_[net]; }
    NetNamespace& space(u32 net) { return spaces_[net]; }
    const NetDevice& device(u32 id) const { return devices_[id]; }
    u32 find_device(u32 net, const std::string& name) const;
    u32 find_device(u32 net, u32 ifindex) const;
    /// A new device, or a negated errno. A name with %d gets the first free number.
    i64 add_device(u32 net, DeviceKind kind, const std::string& name);
    struct VethPair {
        u32 first, second;
    };
    std::optional<VethPair> add_veth(u32 net, const std::string& name, u32 peer_net, const std::string& peer_name, i64* error = nullptr);
    i64 remove_device(u32 id);
    i64 rename_device(u32 id, const std::string& name);
    i64 move_device(u32 id, u32 net);
    i64 set_up(u32 id, bool up);
    i64 set_mtu(u32 id, u32 mtu);
    i64 set_mac(u32 id, const MacAddress& mac);
    /// Makes a device a port of a bridge, or (kNone) of none.
    i64 set_master(u32 id, u32 bridge);
    void set_promiscuous(u32 id, bool on) { devices_[id].promiscuous = on; }
    void set_loss(u32 id, u32 permille) { devices_[id].loss_permille = permille; }
    bool carrier(u32 id) const;
    u32 device_flags(u32 id) const; ///< IFF_*

    // --- Addresses, routes, neighbours, translation (net_route.cpp, net_neighbour.cpp, net_nat.cpp) -------------------------------
    i64 add_address(u32 id, InterfaceAddress address);
    i64 remove_address(u32 id, Ipv4 ip, unsigned prefix);
    i64 add_route(u32 net, NetRoute route, bool replace = false);
    /// The first route that is like it; fields that are 0 (prefix and destination excepted) match everything.
    i64 remove_route(u32 net, const NetRoute& like);
    bool is_local(u32 net, Ipv4 ip) const;
    Hop route(u32 net, Ipv4 destination, Ipv4 source = 0, u32 out_device = kNone) const;
    const std::map<std::pair<u32, Ipv4>, Neighbour>& neighbours() const { return neighbours_; }
    /// As it is now: a reachable one becomes stale with age.
    NeighbourState neighbour_state(const Neighbour& neighbour) const;
    i64 set_neighbour(u32 id, Ipv4 ip, const MacAddress& mac, NeighbourState state);
    i64 remove_neighbour(u32 id, Ipv4 ip);
    i64 add_rule(u32 net, NatRule rule);
    i64 remove_rule(u32 net, const NatRule& rule);

    // --- Watching (net_watch.cpp) -------------------------------------------------------------------------------------------------
    void capture(u32 id, bool on) { devices_[id].captured = on; }
    const std::vector<CapturedPacket>& captured() const { return captured_; }
    /// A pcapng file of what the captured devices sent and received.
    std::vector<u8> pcapng_file() const;
    void record_paths(bool on) { recording_ = on; }
    const std::vector<PathStep>& steps() const { return steps_; }
    void clear_steps() { steps_.clear(); }
    /// The way of one packet, a line a step.
    std::string path_text(u32 packet) const;
    std::string step_text(const PathStep& step) const;

    // --- Sockets (net_socket.cpp and the families' files) -------------------------------------------------------------------------
    i64 open(u32 net, u16 family, u16 type, u16 protocol, const SocketCredentials& credentials);
    /// Two connected unix sockets. 0 or a negated errno.
    i64 open_pair(u32 net, u16 type, const SocketCredentials& credentials, u32& first, u32& second);
    /// The last user lets go of it.
    void close(u32 id);
    const NetSocket& socket(u32 id) const { return sockets_[id]; }
    SocketOptions& options(u32 id) { return sockets_[id].options; }
    i64 bind(u32 id, SocketAddress address);
    i64 listen(u32 id, u32 backlog);
    i64 connect(u32 id, const SocketAddress& address, const SocketCredentials& credentials = {});
    /// The new socket; -EAGAIN: none is waiting.
    i64 accept(u32 id);
    i64 shutdown(u32 id, bool reading, bool writing);
    /// NetBytes taken, which may be fewer than offered.
    i64 send(u32 id, NetView bytes, const Outgoing& outgoing = {});
    Incoming receive(u32 id, std::size_t most, u32 flags = 0);
    /// Which number a netlink socket would like to have when it is bound to none: its process's.
    void suggest_port(u32 id, u32 port) { sockets_[id].suggested_port = port; }
    /// A netlink socket hears of what a group (RTNLGRP_*, from 1) is told, or does not any more.
    i64 join(u32 id, u32 group, bool on);
    SocketAddress name(u32 id) const { return local_name(sockets_[id]); }
    /// Family 0: there is no peer (ENOTCONN).
    SocketAddress peer_name(u32 id) const;
    SocketCredentials peer_credentials(u32 id) const { return sockets_[id].peer_credentials; }
    /// Events of poll(2) that hold now.
    u32 poll(u32 id) const;
    /// SO_ERROR: tells it once.
    i64 take_error(u32 id);
    /// NetBytes that a receive would find at once (FIONREAD), and those not yet acknowledged (SIOCOUTQ).
    u64 readable(u32 id) const;
    u64 unsent(u32 id) const;
    std::size_t sockets() const { return sockets_used_; }
    /// Every socket that is used, ascending.
    std::vector<u32> socket_ids() const;

    /// Throws a frame at a device, as if it had come over its cable.
    void inject(u32 id, NetBytes frame);

  private:
    struct InFlight {
        u32 device;  ///< that it arrives at
        NetPacket frame;
        bool operator==(const InFlight&) const = default;
    };
    enum class TimerKind : u8 { Tcp, Neighbour };
    struct Timer {
        u64 at;
        TimerKind kind;
        u32 object;      ///< socket or device
        Ipv4 ip;
        auto operator<=>(const Timer&) const = default;
    };
    /// What is known of a packet while one namespace handles it.
    struct Passage {
        u32 net = 0;
        u32 in = kNone;  ///< device that it came through; none: made here
        u32 id = 0;
        bool tracked = false, reply = false;
        FlowKey key;     ///< of the tracked connection
    };

    // net_device.cpp
    bool valid_name(const std::string& name) const;
    std::string free_name(u32 net, const std::string& pattern) const;
    void enter(u32 id, u32 net);
    void leave(u32 id);
    void announce(u32 id);
    void withdraw(u32 id);
    void announce_address(u32 id, const InterfaceAddress& address);
    void withdraw_address(u32 id, const InterfaceAddress& address);
    void drop_neighbours(u32 id);
    void choose_bridge_mac(u32 bridge);

    // net_pump.cpp
    void pump();
    void run_timers();
    void receive_frame(u32 id, NetPacket frame);
    void transmit(u32 id, NetPacket frame);
    void queue_frame(u32 id, NetPacket frame);
    bool lost(const NetDevice& sender);
    void bridge_input(u32 port, NetPacket frame);
    void bridge_output(u32 bridge, const NetPacket& frame, u32 except);
    void show_to_packet_sockets(u32 id, const NetBytes& frame, bool outgoing);

    // net_neighbour.cpp
    void resolve(u32 id, Ipv4 next, NetPacket packet);
    Neighbour* make_neighbour(u32 id, Ipv4 ip);
    void ask(u32 id, Ipv4 ip, const Neighbour& neighbour);
    void arp_input(u32 id, NetView payload);
    void neighbour_timer(u32 id, Ipv4 ip);
    void learn_neighbour(u32 id, Ipv4 ip, const MacAddress& mac, bool create);

    // net_ip.cpp
    i64 ip_output(u32 net, NetBytes packet, u32 out_device = kNone, u32 id = 0);
    void ip_input(u32 id, NetPacket packet);
    void ip_deliver(Passage& passage, NetBytes packet);
    void ip_forward(Passage& passage, NetBytes packet);
    i64 ip_finish(Passage& passage, const Hop& hop, NetBytes packet);
    void ip_transmit(Passage& passage, const Hop& hop, NetBytes packet);
    std::vector<NetBytes> split(const NetBytes& packet, std::size_t mtu) const;
    std::optional<NetBytes> reassemble(u32 net, const Ipv4Header& header, const NetBytes& packet);
    void send_icmp_error(const Passage& passage, u8 type, u8 code, u32 rest, const NetBytes& about);
    void icmp_input(const Passage& passage, const Ipv4Header& ip, NetView payload);
    void icmp_error_input(u32 net, const IcmpMessage& icmp);
    u32 new_packet() { return ++next_packet_; }

    // net_nat.cpp
    bool nat_begin(Passage& passage, NatHook hook, NetBytes& packet);
    bool nat_end(Passage& passage, NetBytes& packet, u32 out_device);
    bool nat_icmp_error(Passage& passage, NetBytes& packet);
    bool filter(const Passage& passage, const NetBytes& packet, u32 out_device);
    bool matches(const NatRule& rule, u32 net, const FlowKey& key, u32 in, u32 out) const;
    void choose_source(u32 net, const FlowKey& key, Tracked& tracked, Ipv4 source);
    bool make_room_to_track(NetNamespace& space) const;
    u64 track_timeout(const FlowKey& key, const Tracked& tracked) const;
    void forget_tracked(NetNamespace& space, const FlowKey& key) const;

    // net_watch.cpp
    void note(const Passage& passage, PathDecision decision, NetView packet, u32 device = kNone, Ipv4 address = 0);
    void note_frame(u32 id, PathDecision decision, const NetPacket& frame);
    void keep(u32 id, const NetBytes& frame);

    // net_socket.cpp
    i64 new_socket();
    void free_socket(u32 id);
    void changed(u32 id) { changed_.insert(id); }
    void fail(u32 id, i64 error);
    SocketAddress local_name(const NetSocket& socket) const;
    i64 bind_inet(u32 id, const SocketAddress& address);
    i64 choose_port(NetSocket& socket);
    bool port_free(const NetSocket& socket, Ipv4 ip, u16 port) const;
    void take_port(u32 id);
    void give_port(u32 id);
    u8 port_protocol(const NetSocket& socket) const;
    u64 datagram_limit(const NetSocket& socket) const { return socket.options.receive_buffer; }
    void enqueue(u32 id, QueuedMessage message);
    Incoming receive_datagram(u32 id, std::size_t most, u32 flags);

    // net_inet.cpp: UDP, raw and packet sockets
    i64 connect_datagram(u32 id, const SocketAddress& address);
    i64 send_udp(u32 id, NetView bytes, const Outgoing& outgoing);
    i64 send_raw(u32 id, NetView bytes, const Outgoing& outgoing);
    i64 send_packet(u32 id, NetView bytes, const Outgoing& outgoing);
    void udp_input(const Passage& passage, const Ipv4Header& ip, NetView payload, const NetBytes& packet);
    u32 find_udp(u32 net, const FlowKey& key, u32 in) const;
    void raw_input(const Passage& passage, const Ipv4Header& ip, NetView packet);
    u32 socket_device(const NetSocket& socket) const;

    // net_tcp.cpp, net_tcp_input.cpp
    i64 tcp_connect(u32 id, const SocketAddress& address);
    i64 tcp_send(u32 id, NetView bytes);
    Incoming tcp_receive(u32 id, std::size_t most, u32 flags);
    void tcp_shutdown_write(u32 id);
    void tcp_close(u32 id);
    bool tcp_output(u32 id);
    i64 tcp_transmit(u32 id, u32 sequence, u8 flags, NetView data);
    void tcp_acknowledge(u32 id) { (void)tcp_transmit(id, sockets_[id].tcp.send_next, kAck, {}); }
    void tcp_reset(u32 id);
    void tcp_refuse(const Passage& passage, const Ipv4Header& ip, const TcpSegment& segment);
    void tcp_timer(u32 id);
    void tcp_retransmit(u32 id);
    void tcp_set_timer(u32 id, u64 at);
    void tcp_done(u32 id, i64 error);
    void tcp_enter_time_wait(u32 id);
    u32 tcp_window(const NetSocket& socket) const;
    std::size_t buffer_limit() const;
    u16 tcp_mss(const NetSocket& socket) const;
    void tcp_input(const Passage& passage, const Ipv4Header& ip, NetView payload);
    u32 find_tcp(u32 net, const FlowKey& key) const;
    void tcp_listen_input(u32 id, const Passage& passage, const Ipv4Header& ip, const TcpSegment& segment);
    void tcp_challenge(u32 id, const TcpSegment& segment);
    void tcp_syn_sent_input(u32 id, const TcpSegment& segment);
    bool tcp_acceptable(const TcpControl& tcp, const NetSocket& socket, const TcpSegment& segment) const;
    bool tcp_established_by(u32 id);
    bool tcp_take_acknowledgment(u32 id, const TcpSegment& segment);
    void tcp_take_data(u32 id, const TcpSegment& segment);
    void tcp_take_fin(u32 id);
    void tcp_segment_input(u32 id, const TcpSegment& segment);
    void tcp_reset_input(u32 id);
    void tcp_fail_by_icmp(u32 net, const FlowKey& key, i64 error, bool hard);
    FlowKey tcp_key(const NetSocket& socket) const;

    // net_unix.cpp
    i64 unix_bind(u32 id, SocketAddress address);
    i64 unix_connect(u32 id, const SocketAddress& address, const SocketCredentials& credentials);
    i64 unix_send(u32 id, NetView bytes, const Outgoing& outgoing);
    Incoming unix_receive(u32 id, std::size_t most, u32 flags);
    void unix_close(u32 id);
    void unix_wake_blocked(u32 id);
    u32 unix_poll(const NetSocket& socket) const;
    i64 unix_target(const NetSocket& socket, const Outgoing& outgoing, u32& target) const;
    void drop_files(QueuedMessage& message);
    struct UnixName {
        u32 net = 0;          ///< abstract
        std::string name;     ///< abstract
        u64 node = 0;         ///< path
        auto operator<=>(const UnixName&) const = default;
    };
    UnixName unix_name(u32 net, const SocketAddress& address) const;

    // net_netlink.cpp, net_netlink_list.cpp
    struct NetlinkRequest {
        u32 socket, net;
        NetlinkHeader header;
        NetView body;
        const Outgoing* outgoing;
    };
    i64 netlink_send(u32 id, NetView bytes, const Outgoing& outgoing);
    void netlink_answer(u32 id, NetBytes message, bool join);
    i64 bind_netlink(u32 id, const SocketAddress& address);
    struct NetlinkReply { ///< whom a message goes to, and as the answer to what
        u32 sequence = 0, port = 0;
        u16 flags = 0;
    };
    NetlinkReply reply_to(const NetlinkRequest& request, u16 flags) const { return {request.header.sequence, sockets_[request.socket].local.netlink_port, flags}; }
    bool has_listeners(u32 net) const { return netlink_sockets_.count(net); }
    void notify(u32 net, u32 group, const NetBytes& message);
    void notify_link(u32 id, bool gone);
    void notify_address(u32 id, const InterfaceAddress& address, bool gone);
    i64 netlink_request(const NetlinkRequest& request);
    u32 netlink_device(u32 net, u32 index, NetView attributes) const;
    i64 netlink_target(const NetlinkRequest& request, NetView attributes, u32& net) const;
    i64 netlink_new_link(const NetlinkRequest& request);
    i64 netlink_create(const NetlinkRequest& request, const LinkMessage& message, NetView attributes);
    i64 netlink_change(u32 id, u32 target, const LinkMessage& message, NetView attributes);
    i64 netlink_one_link(const NetlinkRequest& request);
    i64 netlink_address(const NetlinkRequest& request);
    i64 netlink_route(const NetlinkRequest& request);
    i64 netlink_get_route(const NetlinkRequest& request);
    i64 netlink_neighbour(const NetlinkRequest& request);
    i64 netlink_dump(const NetlinkRequest& request);
    NetBytes netlink_link_message(u32 id, u16 type, const NetlinkReply& reply) const;
    NetBytes netlink_address_message(u32 id, const InterfaceAddress& address, u16 type, const NetlinkReply& reply) const;
    NetBytes netlink_route_message(const NetRoute& route, const NetlinkReply& reply) const;

    static constexpr u64 kMessageOverhead = 64; ///< what a queued message counts beside its bytes

    struct PortKey {
        u32 net;
        u8 protocol;
        u16 port;
        auto operator<=>(const PortKey&) const = default;
    };

    u64 now_ = 0;
    std::vector<NetNamespace> spaces_;
    std::vector<NetDevice> devices_;
    std::vector<u32> free_devices_;
    u32 devices_made_ = 0;
    std::map<std::pair<u32, Ipv4>, Neighbour> neighbours_;
    std::vector<NetSocket> sockets_;
    std::vector<u32> free_sockets_;
    std::size_t sockets_used_ = 0;
    std::map<PortKey, std::vector<u32>> ports_;
    std::map<std::pair<u32, FlowKey>, u32> connections_; ///< TCP sockets with a peer, as their incoming segments look
    std::map<u32, std::vector<u32>> raw_sockets_;        ///< by namespace
    std::map<u32, std::vector<u32>> packet_sockets_, netlink_sockets_;
    std::map<UnixName, u32> unix_names_;
    u64 files_in_flight_ = 0;
    u32 next_autobind_ = 0;
    std::vector<InFlight> flying_;
    std::size_t flown_ = 0;   ///< of flying_, those that have arrived
    std::set<Timer> timers_;
    std::set<u32> changed_;
    std::vector<u32> dropped_files_;
    u32 sequence_ = 0x1000;   ///< from which initial sequence numbers come
    u64 random_ = 0x2545f4914f6cdd1d; ///< which frames are lost
    u32 next_packet_ = 0;
    bool recording_ = false, pumping_ = false;
    std::vector<PathStep> steps_;
    std::vector<CapturedPacket> captured_;
    std::size_t captured_bytes_ = 0;
};

} // namespace trapeze::container
