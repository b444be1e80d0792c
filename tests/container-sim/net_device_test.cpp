// Network namespaces and devices: what is born how, and dies with what.
#include "tests/container-sim/net_world.hpp"

using namespace trapeze;
using namespace trapeze::test;

TEST_CASE("network_namespaces(7): a new namespace has lo, down: first ENETUNREACH, then, with lo up, ECONNREFUSED") {
    NetWorld world;
    const u32 space = world.space();
    CHECK(world.net.space(space).devices.size() == 1);
    CHECK_FALSE(world.net.device(world.net.find_device(space, std::string("lo"))).up);
    const u32 socket = world.open(space, kSockStream);
    CHECK(world.net.connect(socket, inet(kLoopbackIp, 80)) == -kENETUNREACH);
    world.lo_up(space);
    CHECK(world.net.connect(socket, inet(kLoopbackIp, 80)) == -kEINPROGRESS);
    CHECK(world.net.connect(socket, inet(kLoopbackIp, 80)) == -kECONNREFUSED);
    const u32 datagrams = world.open(space, kSockDgram);
    CHECK(world.net.connect(datagrams, inet(ipv4(10, 1, 1, 1), 80)) == -kENETUNREACH);
}

TEST_CASE("veth(4): an end does not live without the other, and one whose namespace ends takes the other along") {
    Pair world;
    CHECK(world.net.find_device(world.b, std::string("eth0")) == world.eth_b);
    world.net.remove_namespace(world.a);
    CHECK(world.net.find_device(world.b, std::string("eth0")) == kNone);
    CHECK(world.net.route(world.b, ipv4(10, 0, 0, 1)).error == -kENETUNREACH);
    CHECK_FALSE(world.net.is_local(world.b, ipv4(10, 0, 0, 2)));
    const u32 again = world.space(); // the freed namespace starts anew
    CHECK(again == world.a);
    CHECK(world.net.find_device(again, std::string("lo")) != kNone);
}

TEST_CASE("devices: names are checked, numbered and free once per namespace") {
    NetWorld world;
    CHECK(world.net.add_device(0, DeviceKind::Dummy, "a/b") == -kEINVAL);
    CHECK(world.net.add_device(0, DeviceKind::Dummy, "sixteen-bytes-xx") == -kEINVAL);
    CHECK(world.net.add_device(0, DeviceKind::Dummy, "lo") == -kEEXIST);
    const i64 first = world.net.add_device(0, DeviceKind::Bridge, "br%d"), second = world.net.add_device(0, DeviceKind::Bridge, "br%d");
    REQUIRE(second >= 0);
    CHECK(world.net.device(static_cast<u32>(first)).name == "br0");
    CHECK(world.net.device(static_cast<u32>(second)).name == "br1");
    CHECK(world.net.rename_device(static_cast<u32>(second), "br0") == -kEEXIST);
    CHECK(world.net.rename_device(static_cast<u32>(second), "core") == 0);
    CHECK(world.net.find_device(0, std::string("core")) == static_cast<u32>(second));
    CHECK(world.net.remove_device(world.net.find_device(0, std::string("lo"))) == -kEOPNOTSUPP);
    CHECK(world.net.move_device(static_cast<u32>(first), world.space()) == -kEINVAL);
    CHECK(world.net.set_master(static_cast<u32>(first), static_cast<u32>(second)) == -kELOOP);
}

TEST_CASE("devices: one that moves to another namespace loses what hung on it") {
    Pair world;
    const u32 other = world.space();
    REQUIRE(world.net.move_device(world.eth_b, other) == 0);
    CHECK(world.net.find_device(world.b, std::string("eth0")) == kNone);
    CHECK(world.net.find_device(other, std::string("eth0")) == world.eth_b);
    CHECK_FALSE(world.net.device(world.eth_b).up);
    CHECK(world.net.device(world.eth_b).addresses.empty());
    CHECK_FALSE(world.net.carrier(world.eth_a));
    CHECK(world.net.space(world.b).routes.empty());
}

TEST_CASE("routes: the longest prefix decides, then the metric; a gateway must be on a link") {
    Pair world;
    CHECK(world.net.add_route(world.a, {.gateway = ipv4(10, 9, 9, 9)}) == -kENETUNREACH);
    REQUIRE(world.net.add_route(world.a, {.gateway = ipv4(10, 0, 0, 2)}) == 0);
    CHECK(world.net.add_route(world.a, {.gateway = ipv4(10, 0, 0, 3)}) == -kEEXIST);
    CHECK(world.net.route(world.a, ipv4(8, 8, 8, 8)).next == ipv4(10, 0, 0, 2));
    CHECK(world.net.route(world.a, ipv4(10, 0, 0, 77)).next == ipv4(10, 0, 0, 77));
    CHECK(world.net.route(world.a, ipv4(8, 8, 8, 8)).source == ipv4(10, 0, 0, 1));
    NetRoute refused;
    refused.destination = ipv4(8, 0, 0, 0), refused.prefix = 8, refused.type = RouteType::Unreachable;
    REQUIRE(world.net.add_route(world.a, refused) == 0);
    CHECK(world.net.route(world.a, ipv4(8, 8, 8, 8)).error == -kEHOSTUNREACH);
    CHECK(world.net.route(world.a, ipv4(10, 0, 0, 255)).type == RouteType::Broadcast);
    REQUIRE(world.net.remove_route(world.a, {}) == 0);
    CHECK(world.net.route(world.a, ipv4(9, 9, 9, 9)).error == -kENETUNREACH);
    REQUIRE(world.net.set_up(world.eth_a, false) == 0);
    CHECK(world.net.route(world.a, ipv4(10, 0, 0, 77)).error == -kENETUNREACH);
}

TEST_CASE("network: a copy is a network of its own, and the same calls lead to the same state") {
    Pair world;
    Network copy = world.net;
    CHECK(copy == world.net);
    const auto both = world.connect();
    CHECK_FALSE(copy == world.net);
    Pair again;
    again.connect();
    CHECK(again.net == world.net);
    world.net.send(both.client, view("x"));
    CHECK_FALSE(again.net == world.net);
}
