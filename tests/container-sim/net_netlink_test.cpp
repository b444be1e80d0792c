// rtnetlink(7): links, addresses, routes and neighbours by messages, as ip(8) sends them, and what listeners hear.
#include "tests/container-sim/net_world.hpp"

#include <algorithm>

using namespace trapeze;
using namespace trapeze::test;

namespace {
struct Heard {
    std::vector<u16> types;
    i32 error = 1;               ///< of the last NLMSG_ERROR; 1: there was none
    std::vector<std::string> names; ///< IFLA_IFNAME of the links
};
struct Speaker : NetWorld {
    u32 here = space();
    u32 fd = open(here, kSockRaw, kAfNetlink);

    Heard listen(u32 socket) {
        Heard heard;
        for (Incoming in = net.receive(socket, 65536); in.result > 0; in = net.receive(socket, 65536)) {
            NetView rest = in.data;
            NetlinkHeader header{};
            while (rest.size() >= sizeof header) {
                std::memcpy(&header, rest.data(), sizeof header);
                REQUIRE(header.length >= sizeof header);
                REQUIRE(header.length <= rest.size());
                heard.types.push_back(header.type);
                const NetView body = rest.subspan(sizeof header, header.length - sizeof header);
                if (header.type == kNlError) std::memcpy(&heard.error, body.data(), 4);
                if (header.type == kNewLink) heard.names.push_back(Attributes(body.subspan(sizeof(LinkMessage))).text(kIflaName));
                rest = rest.subspan(std::min<std::size_t>((header.length + 3u) & ~3u, rest.size()));
            }
        }
        return heard;
    }
    Heard say(NetBytes message, bool privileged = true, std::map<NamespaceRequest, i64> resolved = {}) {
        CHECK(net.send(fd, message, {.to = nullptr, .privileged = privileged, .resolved = resolved}) == static_cast<i64>(message.size()));
        return listen(fd);
    }
};
NetlinkWriter link_request(u16 type, u16 flags, u32 index = 0, u32 up = 0) { return NetlinkWriter(type, kNlRequest | kNlAck | flags, 7, 0, LinkMessage{0, 0, 0, index, up, up}); }
NetBytes make_veth(const std::string& name, const std::string& peer, i32 peer_pid = 0) {
    NetlinkWriter out = link_request(kNewLink, kNlCreate | kNlExcl);
    out.text(kIflaName, name);
    const std::size_t info = out.begin(kIflaLinkInfo);
    out.text(kInfoKind, "veth");
    const std::size_t data = out.begin(kInfoData), other = out.begin(1);
    out.append(LinkMessage{});
    out.text(kIflaName, peer);
    if (peer_pid) out.number(kIflaNetPid, peer_pid);
    out.end(other), out.end(data), out.end(info);
    return out.take();
}
} // namespace

TEST_CASE("rtnetlink: a veth pair is made, its other end in the namespace of a process that the sender names") {
    Speaker world;
    const u32 there = world.space();
    const NetBytes message = make_veth("v0", "eth0", 42);
    CHECK(namespaces_named(message) == std::vector<NamespaceRequest>{{true, 42}});
    CHECK(world.say(message, true, {{{true, 42}, -kESRCH}}).error == -kESRCH);
    CHECK(world.say(message, true, {{{true, 42}, there}}).error == 0);
    CHECK(world.net.find_device(world.here, std::string("v0")) != kNone);
    CHECK(world.net.find_device(there, std::string("eth0")) != kNone);
    CHECK(world.say(make_veth("v0", "x")).error == -kEEXIST);
    CHECK(world.net.find_device(world.here, std::string("x")) == kNone); // nothing is left of what failed
    CHECK(world.say(make_veth("v1", "x"), false).error == -kEPERM);
    CHECK(world.say(make_veth("a-name-of-sixteen", "x")).error == -kERANGE);
    const u32 v0 = world.net.find_device(world.here, std::string("v0"));
    NetlinkWriter move = link_request(kNewLink, 0, world.net.device(v0).ifindex);
    move.number(kIflaNetFd, 5);
    CHECK(world.say(move.take(), true, {{{false, 5}, there}}).error == 0);
    CHECK(world.net.device(v0).net == there);
}

TEST_CASE("rtnetlink: addresses and routes; listings end with NLMSG_DONE") {
    Speaker world;
    CHECK(world.say(make_veth("v0", "v1")).error == 0);
    for (const char* name : {"v0", "v1"}) CHECK(world.say(link_request(kNewLink, 0, world.net.device(world.net.find_device(world.here, std::string(name))).ifindex, 1).take()).error == 0);
    const u32 v0 = world.net.find_device(world.here, std::string("v0"));
    NetlinkWriter address(kNewAddr, kNlRequest | kNlAck | kNlCreate | kNlExcl, 8, 0, AddressMessage{kAfInet, 24, 0, 0, world.net.device(v0).ifindex});
    address.ip(kIfaLocal, ipv4(10, 1, 0, 1));
    const NetBytes add_address = address.take();
    CHECK(world.say(add_address).error == 0);
    CHECK(world.say(add_address).error == -kEEXIST);
    CHECK(world.net.route(world.here, ipv4(10, 1, 0, 9)).device == v0);
    NetlinkWriter route(kNewRoute, kNlRequest | kNlAck | kNlCreate | kNlExcl, 9, 0, RouteMessage{kAfInet, 0, 0, 0, 254, 3, 0, 1, 0});
    route.ip(kRtaGateway, ipv4(10, 1, 0, 9));
    CHECK(world.say(route.take()).error == 0);
    CHECK(world.net.route(world.here, ipv4(8, 8, 8, 8)).next == ipv4(10, 1, 0, 9));
    const auto list = [&](u16 type, u8 family) { return world.say(NetlinkWriter(type, kNlRequest | kNlDump, 10, 0, LinkMessage{family, 0, 0, 0, 0, 0}).take(), false); };
    const Heard links = list(kGetLink, 0);
    CHECK(links.names == std::vector<std::string>{"lo", "v1", "v0"});
    CHECK(links.types.back() == kNlDone);
    CHECK(list(kGetAddr, kAfInet).types == std::vector<u16>{kNewAddr, kNlDone});
    CHECK(list(kGetRoute, kAfInet).types == std::vector<u16>{kNewRoute, kNewRoute, kNlDone});
    CHECK(list(kGetAddr, kAfInet6).types == std::vector<u16>{kNlDone});
    NetlinkWriter removal = link_request(kDelLink, 0);
    removal.text(kIflaName, "v1");
    CHECK(world.say(removal.take()).error == 0);
    CHECK(world.net.find_device(world.here, std::string("v0")) == kNone);
}

TEST_CASE("rtnetlink: those who joined a group hear what changes in their namespace, and in no other") {
    Speaker world;
    const u32 listener = world.open(world.here, kSockRaw, kAfNetlink), stranger = world.open(world.space(), kSockRaw, kAfNetlink);
    for (u32 socket : {listener, stranger}) {
        SocketAddress groups;
        groups.family = kAfNetlink, groups.groups = 1 | 16; // RTMGRP_LINK, RTMGRP_IPV4_IFADDR
        REQUIRE(world.net.bind(socket, groups) == 0);
    }
    const u32 bridge = static_cast<u32>(world.net.add_device(world.here, DeviceKind::Bridge, "br0"));
    REQUIRE(world.net.add_address(bridge, {ipv4(10, 2, 0, 1), 24, 0, ""}) == 0);
    REQUIRE(world.net.remove_device(bridge) == 0);
    CHECK(world.listen(listener).types == std::vector<u16>{kNewLink, kNewAddr, kDelAddr, kDelLink});
    CHECK(world.listen(stranger).types.empty());
    for (int i = 0; i < 2000; ++i) REQUIRE(world.net.remove_device(static_cast<u32>(world.net.add_device(world.here, DeviceKind::Dummy, "d%d"))) == 0);
    CHECK(world.net.socket(listener).queued < 300'000); // a listener that does not listen is not told more
    CHECK(world.net.receive(listener, 1).result == -kENOBUFS);
}
