// Small networks for tests: namespaces joined by a veth pair, or by a bridge with a host that forwards and translates.
#pragma once

#include "container-sim/errno.hpp"
#include "container-sim/net/network.hpp"

#include <doctest/doctest.h>

#include <string>

namespace trapeze::test {

using namespace trapeze::container;

inline SocketAddress inet(Ipv4 ip, u16 port) {
    SocketAddress address;
    address.family = kAfInet, address.ip = ip, address.port = port;
    return address;
}
inline NetView view(std::string_view text) { return {reinterpret_cast<const u8*>(text.data()), text.size()}; }
inline std::string text(const NetBytes& bytes) { return {bytes.begin(), bytes.end()}; }
inline constexpr Ipv4 kLoopbackIp = ipv4(127, 0, 0, 1);

struct NetWorld {
    Network net;

    u32 open(u32 space, u16 type, u16 family = kAfInet, u16 protocol = 0) {
        const i64 id = net.open(space, family, type, protocol, {.task = 100 + space});
        REQUIRE(id >= 0);
        return static_cast<u32>(id);
    }
    u32 space() {
        const i64 id = net.add_namespace();
        REQUIRE(id >= 0);
        return static_cast<u32>(id);
    }
    void lo_up(u32 space) { REQUIRE(net.set_up(net.find_device(space, std::string("lo")), true) == 0); }
    /// Lets virtual time pass, timer by timer.
    void pass(u64 nanoseconds) {
        const u64 end = net.now() + nanoseconds;
        while (net.due() <= end) net.advance(net.due());
        net.advance(end);
    }
    std::string receive(u32 socket, std::size_t most = 65536) {
        const Incoming incoming = net.receive(socket, most);
        return incoming.result >= 0 ? text(incoming.data) : "error " + std::to_string(-incoming.result);
    }
    u32 listen(u32 space, Ipv4 ip, u16 port, u32 backlog = 5) {
        const u32 id = open(space, kSockStream);
        REQUIRE(net.bind(id, inet(ip, port)) == 0);
        REQUIRE(net.listen(id, backlog) == 0);
        return id;
    }
    TcpState state(u32 socket) const { return net.socket(socket).tcp.state; }
};

/// Two namespaces, a and b, 10.0.0.1 and 10.0.0.2 at the ends of a veth pair; lo is up in both.
struct Pair : NetWorld {
    u32 a, b, eth_a, eth_b;
    Pair() : a(space()), b(space()) {
        const auto veth = net.add_veth(a, "eth0", b, "eth0");
        REQUIRE(veth);
        eth_a = veth->first, eth_b = veth->second;
        REQUIRE(net.add_address(eth_a, {ipv4(10, 0, 0, 1), 24, 0, ""}) == 0);
        REQUIRE(net.add_address(eth_b, {ipv4(10, 0, 0, 2), 24, 0, ""}) == 0);
        for (u32 device : {eth_a, eth_b}) REQUIRE(net.set_up(device, true) == 0);
        lo_up(a), lo_up(b);
    }
    /// A connection from a to a listener on b's port 80.
    struct Connection {
        u32 listener, client, server;
    };
    Connection connect(u16 port = 80) {
        Connection made{listen(b, 0, port), open(a, kSockStream), kNone};
        REQUIRE(net.connect(made.client, inet(ipv4(10, 0, 0, 2), port)) == -kEINPROGRESS);
        REQUIRE(net.connect(made.client, inet(ipv4(10, 0, 0, 2), port)) == 0);
        const i64 accepted = net.accept(made.listener);
        REQUIRE(accepted >= 0);
        made.server = static_cast<u32>(accepted);
        return made;
    }
};

/// Docker's picture: containers on a bridge of the host (172.17.0.1/16), the host forwards and masquerades to an outside world
/// (192.0.2.2) behind its eth0 (192.0.2.1).
struct Bridged : NetWorld {
    u32 bridge, outside, host_eth;
    u32 inside[2]{};  ///< namespaces of the containers, 172.17.0.2 and .3
    u32 inner[2]{}, outer[2]{}; ///< their eth0, and its other end
    Bridged() {
        lo_up(0);
        bridge = static_cast<u32>(net.add_device(0, DeviceKind::Bridge, "docker0"));
        REQUIRE(net.add_address(bridge, {ipv4(172, 17, 0, 1), 16, 0, ""}) == 0);
        REQUIRE(net.set_up(bridge, true) == 0);
        for (unsigned i = 0; i < 2; ++i) {
            inside[i] = space();
            const auto veth = net.add_veth(0, "veth" + std::to_string(i), inside[i], "eth0");
            outer[i] = veth->first, inner[i] = veth->second;
            REQUIRE(net.set_master(outer[i], bridge) == 0);
            REQUIRE(net.add_address(inner[i], {ipv4(172, 17, 0, static_cast<u8>(2 + i)), 16, 0, ""}) == 0);
            for (u32 device : {outer[i], inner[i]}) REQUIRE(net.set_up(device, true) == 0);
            REQUIRE(net.add_route(inside[i], {.gateway = ipv4(172, 17, 0, 1)}) == 0);
            lo_up(inside[i]);
        }
        outside = space();
        const auto uplink = net.add_veth(0, "eth0", outside, "eth0");
        host_eth = uplink->first;
        REQUIRE(net.add_address(uplink->first, {ipv4(192, 0, 2, 1), 24, 0, ""}) == 0);
        REQUIRE(net.add_address(uplink->second, {ipv4(192, 0, 2, 2), 24, 0, ""}) == 0);
        for (u32 device : {uplink->first, uplink->second}) REQUIRE(net.set_up(device, true) == 0);
        lo_up(outside);
        net.space(0).forwards = true;
        NatRule masquerade;
        masquerade.action = NatAction::Masquerade, masquerade.source = ipv4(172, 17, 0, 0), masquerade.source_prefix = 16, masquerade.out = "docker0", masquerade.not_out = true;
        REQUIRE(net.add_rule(0, masquerade) == 0);
    }
};

} // namespace trapeze::test
