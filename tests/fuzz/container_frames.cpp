// Fuzz target: frames thrown at a namespace that listens, forwards and translates. Checksums are put right, so that mutations get
// through; the input is frames, each after its length, and between them calls on the sockets and time that passes.
#include "container-sim/net/network.hpp"
#include "tests/fuzz/fuzz.hpp"

#include <algorithm>
#include <cstdlib>

namespace {

using namespace trapeze;
using namespace trapeze::container;

SocketAddress inet(Ipv4 ip, u16 port) {
    SocketAddress address;
    address.family = kAfInet, address.ip = ip, address.port = port;
    return address;
}

struct World {
    Network net;
    u32 space = 0, eth = 0, mate = 0;
    std::vector<u32> sockets;
};
World make_world() {
    World world;
    Network& net = world.net;
    world.space = static_cast<u32>(net.add_namespace());
    const auto veth = net.add_veth(0, "v0", world.space, "eth0");
    world.mate = veth->first, world.eth = veth->second;
    (void)net.add_address(world.mate, {ipv4(10, 0, 0, 1), 24, 0, ""});
    (void)net.add_address(world.eth, {ipv4(10, 0, 0, 2), 24, 0, ""});
    for (u32 device : {world.mate, world.eth}) (void)net.set_up(device, true);
    (void)net.set_up(net.find_device(world.space, std::string("lo")), true);
    (void)net.add_route(world.space, {.gateway = ipv4(10, 0, 0, 1)});
    net.space(world.space).forwards = true;
    NatRule rule;
    rule.action = NatAction::Masquerade;
    (void)net.add_rule(world.space, rule);
    rule.hook = NatHook::PreRouting, rule.action = NatAction::Dnat, rule.port = 8080, rule.to = ipv4(10, 0, 0, 1), rule.to_port = 80;
    (void)net.add_rule(world.space, rule);
    const auto open = [&](u32 space, u16 type, u16 protocol) { return world.sockets.emplace_back(static_cast<u32>(net.open(space, kAfInet, type, protocol, {}))); };
    const u32 listener = open(world.space, kSockStream, 0);
    (void)net.bind(listener, inet(0, 80)), (void)net.listen(listener, 5);
    const u32 client = open(0, kSockStream, 0);
    (void)net.bind(client, inet(0, 1000));
    (void)net.connect(client, inet(ipv4(10, 0, 0, 2), 80));
    world.sockets.push_back(static_cast<u32>(net.accept(listener)));
    (void)net.bind(open(world.space, kSockDgram, 0), inet(0, 53));
    open(world.space, kSockRaw, kIpIcmp);
    world.sockets.push_back(static_cast<u32>(net.open(world.space, kAfPacket, kSockRaw, kEtherAll, {})));
    return world;
}

void add(std::vector<u8>& input, const NetBytes& frame) {
    input.push_back(0), input.push_back(static_cast<u8>(frame.size() >> 8)), input.push_back(static_cast<u8>(frame.size()));
    input.insert(input.end(), frame.begin(), frame.end());
}
std::vector<std::vector<u8>> seeds() {
    const World world = make_world();
    const MacAddress to = world.net.device(world.eth).mac, from = world.net.device(world.mate).mac;
    Ipv4Header ip;
    ip.source = ipv4(10, 0, 0, 1), ip.destination = ipv4(10, 0, 0, 2);
    const auto packet = [&](u8 protocol, NetView payload) {
        ip.protocol = protocol;
        return build_ether({to, from, kEtherIpv4}, build_ipv4(ip, payload));
    };
    const TcpControl& server = world.net.socket(world.sockets[2]).tcp;
    const NetBytes data(100, 'x');
    std::vector<std::vector<u8>> all;
    for (u8 flags : {u8{kSyn}, u8{kAck}, u8{kAck | kFin}, u8{kRst}, u8{kAck | kPsh}}) {
        std::vector<u8> input;
        const TcpSegment segment{static_cast<u16>(flags == kSyn ? 2000 : 1000), 80, server.receive_next, server.send_next, flags, 1000, static_cast<u16>(flags == kSyn ? 1460 : 0), data};
        add(input, packet(kIpTcp, build_tcp(ip, segment)));
        input.insert(input.end(), {1, 2, 3, 2, 5, 1});
        all.push_back(input);
    }
    std::vector<u8> input;
    add(input, build_ether({kBroadcastMac, from, kEtherArp}, build_arp({false, from, {}, ipv4(10, 0, 0, 1), ipv4(10, 0, 0, 2)})));
    add(input, packet(kIpUdp, build_udp(ip, {53, 53, data})));
    add(input, packet(kIpUdp, build_udp(ip, {53, 54, data})));
    add(input, packet(kIpIcmp, build_icmp({kEcho, 0, 1, data})));
    add(input, packet(kIpIcmp, build_icmp({kUnreachable, kPortUnreachable, 0, build_ipv4(ip, build_tcp(ip, {80, 1000, 1, 1, kAck, 1, 0, {}}))})));
    ip.more_fragments = true;
    add(input, packet(kIpUdp, data));
    ip.fragment_offset = 96, ip.more_fragments = false;
    add(input, packet(kIpUdp, data));
    all.push_back(input);
    return all;
}

void use_socket(World& world, u8 which, u8 what) {
    const u32 id = world.sockets[which % world.sockets.size()];
    switch (what % 6) {
    case 0: (void)world.net.receive(id, 1000); break;
    case 1: (void)world.net.send(id, NetBytes(what * 40u, 'y')); break;
    case 2: (void)world.net.shutdown(id, what & 8, what & 16); break;
    case 3: (void)world.net.poll(id); break;
    case 4:
        if (const i64 accepted = world.net.accept(id); accepted >= 0) world.net.close(static_cast<u32>(accepted));
        break;
    default: (void)world.net.connect(id, inet(ipv4(10, 0, 0, 1), static_cast<u16>(what))); break;
    }
}

void run(const std::vector<u8>& input) {
    static const World fresh = make_world();
    World world = fresh;
    std::size_t at = 0;
    while (at + 3 <= input.size()) {
        const u8 kind = input[at], high = input[at + 1], low = input[at + 2];
        at += 3;
        if (kind % 4 == 1) use_socket(world, high, low);
        else if (kind % 4 == 2) world.net.advance(world.net.now() + u64{high} * kNetSecond);
        else {
            const std::size_t size = std::min<std::size_t>((high << 8 | low) % 1600, input.size() - at);
            NetBytes frame(input.begin() + static_cast<std::ptrdiff_t>(at), input.begin() + static_cast<std::ptrdiff_t>(at + size));
            at += size;
            if (frame.size() >= kEtherHeader + kIpHeader && load16(frame, 12) == kEtherIpv4) {
                NetBytes packet(frame.begin() + kEtherHeader, frame.end());
                seal_transport(packet);
                std::copy(packet.begin(), packet.end(), frame.begin() + kEtherHeader);
            }
            world.net.inject(world.eth, std::move(frame));
        }
    }
    for (u32 id : world.net.socket_ids())
        if (world.net.socket(id).tcp.receive.size() > 65535 || world.net.socket(id).queued > 400'000) std::abort();
    for (u32 id : world.sockets) world.net.close(id);
    world.net.remove_namespace(world.space);
    (void)world.net.take_changed();
}

const fuzz::Registration registration({"container-frames", run, seeds});

} // namespace
