// Packets on the way: ARP, ping, bridges, forwarding, fragments, errors, translation; seen in captures and as paths.
#include "tests/container-sim/net_world.hpp"

#include <algorithm>

using namespace trapeze;
using namespace trapeze::test;

namespace {
/// Sends one echo request from a raw socket; the reply's (or error's) ICMP type and code, or -1.
int ping(NetWorld& world, u32 space, Ipv4 to, u64 wait = 0, std::size_t bytes = 56, u8 ttl = 64) {
    const u32 socket = world.open(space, kSockRaw, kAfInet, kIpIcmp);
    world.net.options(socket).ttl = ttl;
    const NetBytes data(bytes, 'p');
    const SocketAddress target = inet(to, 0);
    const NetBytes request = build_icmp({kEcho, 0, 0x1234'0001, data});
    int answer = -1;
    if (world.net.send(socket, request, {.to = &target}) >= 0) {
        world.pass(wait);
        for (Incoming in = world.net.receive(socket, 65536); in.result > 0; in = world.net.receive(socket, 65536)) {
            const auto ip = parse_ipv4(in.data);
            REQUIRE(ip);
            const auto icmp = parse_icmp(ip_payload(in.data, *ip));
            REQUIRE(icmp);
            if (icmp->type == kEcho) continue; // to an address of our own
            if (icmp->type == kEchoReply) CHECK(icmp->data.size() == bytes);
            answer = icmp->type << 8 | icmp->code;
        }
    }
    world.net.close(socket);
    return answer;
}
constexpr int kReplied = kEchoReply << 8;
std::size_t count(const Network& net, std::string_view part) {
    return static_cast<std::size_t>(std::count_if(net.captured().begin(), net.captured().end(), [&](const CapturedPacket& p) { return frame_summary(p.bytes).find(part) != std::string::npos; }));
}
} // namespace

TEST_CASE("ping: over lo, over a veth pair, and between containers of a bridge that learns") {
    Pair pair;
    CHECK(ping(pair, pair.a, kLoopbackIp) == kReplied);
    CHECK(ping(pair, pair.a, ipv4(10, 0, 0, 1)) == kReplied);
    CHECK(ping(pair, pair.a, ipv4(10, 0, 0, 2)) == kReplied);
    CHECK(ping(pair, pair.a, ipv4(10, 0, 0, 2), 0, 20000) == kReplied); // in fragments
    Bridged bridged;
    bridged.net.capture(bridged.inner[1], true);
    CHECK(ping(bridged, bridged.inside[0], ipv4(172, 17, 0, 1)) == kReplied);
    const std::size_t flooded = bridged.net.captured().size();
    CHECK(flooded == 1); // the question "who has 172.17.0.1?" alone
    CHECK(ping(bridged, bridged.inside[0], ipv4(172, 17, 0, 1)) == kReplied);
    CHECK(bridged.net.captured().size() == flooded);
    CHECK(ping(bridged, bridged.inside[0], ipv4(172, 17, 0, 3)) == kReplied);
    CHECK(bridged.net.device(bridged.bridge).learnt.size() == 2);
}

TEST_CASE("ARP: asked three times, a second apart, then the sender is told that the host is unreachable") {
    Pair world;
    world.net.capture(world.eth_a, true);
    const u32 socket = world.open(world.a, kSockStream);
    CHECK(world.net.connect(socket, inet(ipv4(10, 0, 0, 9), 80)) == -kEINPROGRESS);
    world.pass(2 * kNetSecond);
    CHECK(world.net.connect(socket, inet(ipv4(10, 0, 0, 9), 80)) == -kEALREADY);
    world.pass(2 * kNetSecond);
    CHECK(count(world.net, "who has 10.0.0.9?") == 3);
    CHECK(world.net.connect(socket, inet(ipv4(10, 0, 0, 9), 80)) == -kEHOSTUNREACH);
    CHECK(ping(world, world.a, ipv4(10, 0, 0, 9), 5 * kNetSecond) == (kUnreachable << 8 | kHostUnreachable));
    CHECK(world.net.neighbours().at({world.eth_a, ipv4(10, 0, 0, 9)}).state == NeighbourState::Failed);
}

TEST_CASE("ARP: an entry becomes stale with age and is confirmed when it is used") {
    Pair world;
    CHECK(ping(world, world.a, ipv4(10, 0, 0, 2)) == kReplied);
    const auto& entry = world.net.neighbours().at({world.eth_a, ipv4(10, 0, 0, 2)});
    CHECK(world.net.neighbour_state(entry) == NeighbourState::Reachable);
    CHECK(entry.mac == world.net.device(world.eth_b).mac);
    world.pass(31 * kNetSecond);
    CHECK(world.net.neighbour_state(entry) == NeighbourState::Stale);
    CHECK(ping(world, world.a, ipv4(10, 0, 0, 2), kNetSecond) == kReplied);
    CHECK(world.net.neighbour_state(entry) == NeighbourState::Reachable);
}

TEST_CASE("forwarding: only when ip_forward says so; each hop takes one from the time to live") {
    Bridged world;
    NetRoute back;
    back.destination = ipv4(172, 17, 0, 0), back.prefix = 16, back.gateway = ipv4(192, 0, 2, 1);
    REQUIRE(world.net.add_route(world.outside, back) == 0);
    world.net.space(0).rules.clear();
    CHECK(ping(world, world.inside[0], ipv4(192, 0, 2, 2)) == kReplied);
    CHECK(ping(world, world.inside[0], ipv4(192, 0, 2, 2), 0, 56, 1) == kTimeExceeded << 8);
    CHECK(ping(world, world.inside[0], ipv4(192, 0, 2, 2), 0, 56, 2) == kReplied);
    CHECK(ping(world, world.inside[0], ipv4(198, 51, 100, 1)) == (kUnreachable << 8 | kNetUnreachable));
    world.net.space(0).forwards = false;
    CHECK(ping(world, world.inside[0], ipv4(192, 0, 2, 2)) == -1);
}

TEST_CASE("UDP: a datagram arrives whole, also in fragments; a closed port answers ECONNREFUSED to who is connected") {
    Pair world;
    const u32 server = world.open(world.b, kSockDgram), client = world.open(world.a, kSockDgram);
    REQUIRE(world.net.bind(server, inet(0, 53)) == 0);
    const SocketAddress to = inet(ipv4(10, 0, 0, 2), 53);
    const std::string large(30000, 'u');
    CHECK(world.net.send(client, view(large), {.to = &to}) == 30000);
    CHECK((world.receive(server) == large));
    CHECK(world.net.send(client, view("short"), {.to = &to}) == 5);
    const Incoming cut = world.net.receive(server, 2);
    CHECK(text(cut.data) == "sh");
    CHECK(cut.full == 5);
    CHECK((cut.flags & kMsgTrunc) != 0);
    CHECK(cut.from.ip == ipv4(10, 0, 0, 1));
    CHECK(world.net.send(server, view("answer"), {.to = &cut.from}) == 6);
    CHECK(world.receive(client) == "answer");
    CHECK(world.net.send(client, view(std::string(65508, 'x')), {.to = &to}) == -kEMSGSIZE);

    const u32 other = world.open(world.a, kSockDgram);
    const SocketAddress closed = inet(ipv4(10, 0, 0, 2), 54);
    CHECK(world.net.send(other, view("?"), {.to = &closed}) == 1);
    CHECK(world.net.receive(other, 1).result == -kEAGAIN);
    REQUIRE(world.net.connect(other, closed) == 0);
    CHECK(world.net.send(other, view("?")) == 1);
    CHECK((world.net.poll(other) & kReadyErr) != 0);
    CHECK(world.net.receive(other, 1).result == -kECONNREFUSED);
    CHECK(world.net.receive(other, 1).result == -kEAGAIN);
    CHECK(world.net.send(other, view("x"), {.to = nullptr}) == 1);
    const u32 nowhere = world.open(world.a, kSockDgram);
    CHECK(world.net.send(nowhere, view("x")) == -kEDESTADDRREQ);
    const SocketAddress everyone = inet(ipv4(10, 0, 0, 255), 53);
    CHECK(world.net.send(nowhere, view("x"), {.to = &everyone}) == -kEACCES);
    world.net.options(nowhere).broadcast = true;
    CHECK(world.net.send(nowhere, view("to all"), {.to = &everyone}) == 6);
    CHECK(world.receive(server) == "to all");
}

TEST_CASE("UDP: what nobody reads fills the queue, and then is dropped") {
    Pair world;
    const u32 server = world.open(world.b, kSockDgram), client = world.open(world.a, kSockDgram);
    REQUIRE(world.net.bind(server, inet(0, 9)) == 0);
    const SocketAddress to = inet(ipv4(10, 0, 0, 2), 9);
    for (int i = 0; i < 1000; ++i) REQUIRE(world.net.send(client, view(std::string(1000, 'x')), {.to = &to}) == 1000);
    CHECK(world.net.socket(server).queued <= 212992);
    CHECK(world.net.space(world.b).counters.udp_full > 700);
}

TEST_CASE("masquerade: the world outside sees the host, and its answers find the container") {
    Bridged world;
    const u32 server = world.open(world.outside, kSockDgram);
    REQUIRE(world.net.bind(server, inet(0, 53)) == 0);
    const SocketAddress to = inet(ipv4(192, 0, 2, 2), 53);
    u32 clients[2]{};
    for (unsigned i = 0; i < 2; ++i) { // both from the same port: the translation has to tell them apart
        clients[i] = world.open(world.inside[i], kSockDgram);
        REQUIRE(world.net.bind(clients[i], inet(0, 4000)) == 0);
        REQUIRE(world.net.send(clients[i], view("from " + std::to_string(i)), {.to = &to}) == 6);
    }
    const Incoming first = world.net.receive(server, 100), second = world.net.receive(server, 100);
    CHECK(first.from.ip == ipv4(192, 0, 2, 1));
    CHECK(second.from.ip == ipv4(192, 0, 2, 1));
    CHECK(first.from.port == 4000);
    CHECK(second.from.port != 4000);
    world.net.send(server, view("to 1"), {.to = &second.from}), world.net.send(server, view("to 0"), {.to = &first.from});
    CHECK(world.receive(clients[0]) == "to 0");
    CHECK(world.receive(clients[1]) == "to 1");
    CHECK(ping(world, world.inside[0], ipv4(192, 0, 2, 2)) == kReplied);
    // An error from outside about a translated packet reaches its sender.
    const SocketAddress closed = inet(ipv4(192, 0, 2, 2), 54);
    REQUIRE(world.net.connect(clients[0], closed) == 0);
    REQUIRE(world.net.send(clients[0], view("?")) == 1);
    CHECK(world.net.receive(clients[0], 1).result == -kECONNREFUSED);
}

TEST_CASE("port publishing: the host's port leads to the container, from outside, from the host, and from another container") {
    Bridged world;
    NatRule publish;
    publish.hook = NatHook::PreRouting, publish.action = NatAction::Dnat, publish.protocol = kIpTcp, publish.local_destination = true, publish.port = 8080;
    publish.to = ipv4(172, 17, 0, 2), publish.to_port = 80;
    REQUIRE(world.net.add_rule(0, publish) == 0);
    publish.hook = NatHook::Output;
    REQUIRE(world.net.add_rule(0, publish) == 0);
    NatRule hairpin; // the answer to a neighbour on the bridge must come back through the host, which knows the translation
    hairpin.action = NatAction::Masquerade, hairpin.source = ipv4(172, 17, 0, 0), hairpin.source_prefix = 16, hairpin.out = "docker0";
    REQUIRE(world.net.add_rule(0, hairpin) == 0);
    const u32 server = world.listen(world.inside[0], 0, 80);
    for (u32 from : {world.outside, u32{0}, world.inside[1]}) {
        CAPTURE(from);
        world.net.record_paths(true);
        const u32 client = world.open(from, kSockStream);
        const Ipv4 host = from == world.inside[1] ? ipv4(172, 17, 0, 1) : ipv4(192, 0, 2, 1);
        CHECK(world.net.connect(client, inet(host, 8080)) == -kEINPROGRESS);
        CHECK(world.net.connect(client, inet(host, 8080)) == 0);
        const i64 accepted = world.net.accept(server);
        REQUIRE(accepted >= 0);
        CHECK(world.net.send(client, view("GET")) == 3);
        CHECK(world.receive(static_cast<u32>(accepted)) == "GET");
        CHECK(world.net.name(static_cast<u32>(accepted)).port == 80);
        CHECK(world.net.peer_name(client).port == 8080);
        world.net.close(static_cast<u32>(accepted));
        CHECK(world.receive(client) == "");
        world.net.close(client);
    }
    const u32 other_port = world.open(world.outside, kSockStream);
    CHECK(world.net.connect(other_port, inet(ipv4(192, 0, 2, 1), 8081)) == -kEINPROGRESS);
    CHECK(world.net.connect(other_port, inet(ipv4(192, 0, 2, 1), 8081)) == -kECONNREFUSED);
}

TEST_CASE("packet filter: a rule on forwarded packets keeps containers apart, and answers still pass") {
    Bridged world;
    NatRule drop;
    drop.hook = NatHook::Forward, drop.action = NatAction::Drop, drop.in = "eth0";
    REQUIRE(world.net.add_rule(0, drop) == 0);
    NetRoute back;
    back.destination = ipv4(172, 17, 0, 0), back.prefix = 16, back.gateway = ipv4(192, 0, 2, 1);
    REQUIRE(world.net.add_route(world.outside, back) == 0);
    CHECK(ping(world, world.inside[0], ipv4(192, 0, 2, 2)) == kReplied);
    CHECK(ping(world, world.outside, ipv4(172, 17, 0, 2)) == -1);
    REQUIRE(world.net.remove_rule(0, drop) == 0);
    CHECK(ping(world, world.outside, ipv4(172, 17, 0, 2)) == kReplied);
}

TEST_CASE("the path of one packet: each decision from the socket to the world outside, with what was rewritten") {
    Bridged world;
    const u32 server = world.open(world.outside, kSockDgram), client = world.open(world.inside[0], kSockDgram);
    REQUIRE(world.net.bind(server, inet(0, 53)) == 0);
    REQUIRE(world.net.bind(client, inet(0, 4000)) == 0);
    const SocketAddress to = inet(ipv4(192, 0, 2, 2), 53);
    world.net.send(client, view("warm up"), {.to = &to});
    world.net.record_paths(true);
    world.net.send(client, view("?"), {.to = &to});
    REQUIRE_FALSE(world.net.steps().empty());
    CHECK(world.net.path_text(world.net.steps().front().packet) ==
          "net 1: a socket sends it: UDP 172.17.0.2:4000 > 192.0.2.2:53\n"
          "net 1: route: eth0, next hop 172.17.0.1: UDP 172.17.0.2:4000 > 192.0.2.2:53\n"
          "net 1: leaves through eth0: UDP 172.17.0.2:4000 > 192.0.2.2:53\n"
          "net 0: arrives at veth0: UDP 172.17.0.2:4000 > 192.0.2.2:53\n"
          "net 0: arrives at docker0: UDP 172.17.0.2:4000 > 192.0.2.2:53\n"
          "net 0: is forwarded: eth0, next hop 192.0.2.2: UDP 172.17.0.2:4000 > 192.0.2.2:53\n"
          "net 0: its source is translated: UDP 192.0.2.1:4000 > 192.0.2.2:53\n"
          "net 0: leaves through eth0: UDP 192.0.2.1:4000 > 192.0.2.2:53\n"
          "net 3: arrives at eth0: UDP 192.0.2.1:4000 > 192.0.2.2:53\n"
          "net 3: is for this namespace itself: UDP 192.0.2.1:4000 > 192.0.2.2:53\n"
          "net 3: a socket receives it: UDP 192.0.2.1:4000 > 192.0.2.2:53\n");
}

TEST_CASE("a loop of bridges floods for ever, and the host stays bounded") {
    NetWorld world;
    u32 bridges[2]{};
    for (unsigned i = 0; i < 2; ++i) {
        bridges[i] = static_cast<u32>(world.net.add_device(0, DeviceKind::Bridge, "br%d"));
        REQUIRE(world.net.set_up(bridges[i], true) == 0);
    }
    for (unsigned cable = 0; cable < 3; ++cable) {
        const auto veth = world.net.add_veth(0, "a" + std::to_string(cable), 0, "b" + std::to_string(cable));
        REQUIRE(world.net.set_master(veth->first, bridges[0]) == 0);
        REQUIRE(world.net.set_master(veth->second, bridges[1]) == 0);
        for (u32 end : {veth->first, veth->second}) REQUIRE(world.net.set_up(end, true) == 0);
    }
    world.net.inject(world.net.find_device(0, std::string("a0")), build_ether({kBroadcastMac, {2, 9, 9, 9, 9, 9}, kEtherArp}, build_arp({false, {2, 9, 9, 9, 9, 9}, {}, 1, 2})));
    const u64 begin = world.net.now();
    for (int i = 0; i < 10; ++i) {
        REQUIRE(world.net.due() > world.net.now());
        world.net.advance(world.net.due());
    }
    CHECK(world.net.now() > begin);
    u64 dropped = 0;
    for (u32 id = 1; id < 9; ++id) dropped += world.net.device(id).received.dropped;
    CHECK(dropped > 0);
}

TEST_CASE("packet sockets see frames as they are, in both directions; captures are pcapng") {
    Pair world;
    const u32 watcher = world.open(world.a, kSockRaw, kAfPacket, kEtherAll);
    world.net.capture(world.eth_a, true);
    CHECK(ping(world, world.a, ipv4(10, 0, 0, 2)) == kReplied);
    std::vector<std::string> seen;
    for (Incoming in = world.net.receive(watcher, 2000); in.result > 0; in = world.net.receive(watcher, 2000)) seen.push_back(frame_summary(in.data));
    REQUIRE(seen.size() == 4);
    CHECK(seen[0] == "ARP, who has 10.0.0.2? tell 10.0.0.1");
    CHECK(seen[1].find("ARP, 10.0.0.2 is at 02:54:") == 0);
    CHECK(seen[2] == "10.0.0.1 > 10.0.0.2: ICMP echo request, length 64");
    CHECK(seen[3] == "10.0.0.2 > 10.0.0.1: ICMP echo reply, length 64");
    const auto file = world.net.pcapng_file();
    CHECK(load32(file, 0) == 0x0a0d0d0a);
    CHECK(std::string(file.begin(), file.end()).find("eth0@net1") != std::string::npos);
    CHECK(world.net.captured().size() == 4);
}
