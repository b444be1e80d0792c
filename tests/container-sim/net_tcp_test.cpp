// TCP: connections as RFC 9293 draws them, on networks that lose segments, with peers that refuse, reset, or stop reading.
#include "tests/container-sim/net_world.hpp"

#include <algorithm>

using namespace trapeze;
using namespace trapeze::test;

namespace {
/// Moves `bytes` from one socket to another, as far as windows allow, letting time pass when nothing moves. What arrived.
std::string transfer(NetWorld& world, u32 from, u32 to, const std::string& bytes, std::size_t read_size = 10000) {
    std::string arrived;
    std::size_t sent = 0;
    for (int round = 0; round < 20000 && arrived.size() < bytes.size(); ++round) {
        const i64 taken = sent < bytes.size() ? world.net.send(from, view(std::string_view(bytes).substr(sent))) : 0;
        if (taken > 0) sent += static_cast<std::size_t>(taken);
        const Incoming in = world.net.receive(to, read_size);
        if (in.result > 0) arrived += text(in.data);
        else if (taken <= 0) world.pass(kNetSecond / 10);
    }
    return arrived;
}
std::string pattern(std::size_t bytes) {
    std::string made(bytes, 0);
    for (std::size_t i = 0; i < bytes; ++i) made[i] = static_cast<char>('a' + i * 7 % 26 + i / 1000 % 3);
    return made;
}
} // namespace

TEST_CASE("TCP: a handshake, data both ways, and the four steps of the end") {
    Pair world;
    const auto [listener, client, server] = world.connect();
    CHECK(world.state(client) == TcpState::Established);
    CHECK(world.state(server) == TcpState::Established);
    CHECK(world.net.peer_name(server).ip == ipv4(10, 0, 0, 1));
    CHECK(world.net.name(server).port == 80);
    CHECK(world.net.connect(client, inet(ipv4(10, 0, 0, 2), 80)) == -kEISCONN);
    CHECK(world.net.receive(server, 10).result == -kEAGAIN);
    CHECK(world.net.send(client, view("ask")) == 3);
    CHECK((world.net.poll(server) & kReadyIn) != 0);
    CHECK(world.receive(server, 2) == "as");
    CHECK(world.receive(server) == "k");
    CHECK(world.net.send(server, view("answer")) == 6);
    CHECK(world.net.shutdown(client, false, true) == 0);
    CHECK(world.state(client) == TcpState::FinWait2);
    CHECK(world.state(server) == TcpState::CloseWait);
    CHECK(world.receive(client) == "answer");
    CHECK(world.receive(server) == "");
    CHECK(world.net.send(client, view("x")) == -kEPIPE);
    CHECK(world.net.send(server, view("last")) == 4); // half closed
    CHECK(world.receive(client) == "last");
    world.net.close(server);
    CHECK(world.state(client) == TcpState::TimeWait);
    CHECK((world.net.poll(client) & kReadyHup) != 0);
    CHECK(world.receive(client) == "");
}

TEST_CASE("TCP: TIME_WAIT keeps the port for a minute, unless SO_REUSEADDR") {
    Pair world;
    const auto [listener, client, server] = world.connect();
    world.net.close(server); // the server says goodbye first, and waits
    world.net.close(client);
    CHECK(world.state(server) == TcpState::TimeWait);
    world.net.close(listener);
    const u32 plain = world.open(world.b, kSockStream);
    CHECK(world.net.bind(plain, inet(0, 80)) == -kEADDRINUSE);
    world.net.options(plain).reuse_address = true;
    CHECK(world.net.bind(plain, inet(0, 80)) == -kEADDRINUSE); // the old one had not set it
    world.pass(59 * kNetSecond);
    CHECK(world.net.bind(plain, inet(0, 80)) == -kEADDRINUSE);
    world.pass(2 * kNetSecond);
    CHECK(world.net.bind(plain, inet(0, 80)) == 0);
    CHECK(world.net.sockets() == 1);
}

TEST_CASE("TCP: a closed port resets; so does the end of a socket with unread data, and SO_LINGER 0") {
    Pair world;
    const u32 socket = world.open(world.a, kSockStream);
    CHECK(world.net.connect(socket, inet(ipv4(10, 0, 0, 2), 81)) == -kEINPROGRESS);
    CHECK((world.net.poll(socket) & (kReadyErr | kReadyHup)) == (kReadyErr | kReadyHup));
    CHECK(world.net.take_error(socket) == kECONNREFUSED);
    CHECK(world.net.space(world.b).counters.tcp_resets_sent == 1);
    const auto [listener, client, server] = world.connect();
    world.net.send(client, view("unread"));
    world.net.close(server);
    CHECK(world.net.receive(client, 10).result == -kECONNRESET);
    CHECK(world.receive(client) == "");
    CHECK(world.net.send(client, view("x")) == -kEPIPE);
    const auto second = world.connect(82);
    world.net.options(second.client).linger = true;
    world.net.close(second.client);
    CHECK(world.net.receive(second.server, 10).result == -kECONNRESET);
    CHECK(world.state(second.server) == TcpState::Closed);
}

TEST_CASE("TCP: lost segments are sent again, and everything arrives once and in order") {
    for (u32 loss : {20u, 100u, 300u}) {
        CAPTURE(loss);
        Pair world;
        const auto [listener, client, server] = world.connect();
        world.net.set_loss(world.eth_a, loss), world.net.set_loss(world.eth_b, loss);
        const std::string bytes = pattern(300'000);
        CHECK((transfer(world, client, server, bytes) == bytes));
        CHECK(world.net.space(world.a).counters.tcp_retransmitted > 0);
        world.net.close(client), world.net.close(server);
        world.pass(2000 * kNetSecond);
        CHECK(world.net.sockets() == 1); // only the listener is left
    }
}

TEST_CASE("TCP: nobody answers: the SYN is sent seven times, then ETIMEDOUT; an established connection gives up later") {
    Pair world;
    world.net.set_neighbour(world.eth_a, ipv4(10, 0, 0, 2), world.net.device(world.eth_b).mac, NeighbourState::Permanent);
    world.net.set_loss(world.eth_a, 1000);
    const u32 socket = world.open(world.a, kSockStream);
    CHECK(world.net.connect(socket, inet(ipv4(10, 0, 0, 2), 80)) == -kEINPROGRESS);
    world.pass(126 * kNetSecond);
    CHECK(world.net.connect(socket, inet(ipv4(10, 0, 0, 2), 80)) == -kEALREADY);
    world.pass(2 * kNetSecond);
    CHECK(world.net.connect(socket, inet(ipv4(10, 0, 0, 2), 80)) == -kETIMEDOUT);
    CHECK(world.net.space(world.a).counters.tcp_retransmitted == 6);
    world.net.set_loss(world.eth_a, 0);
    const auto [listener, client, server] = world.connect();
    world.net.set_loss(world.eth_a, 1000);
    world.net.send(client, view("into the void"));
    world.pass(2000 * kNetSecond);
    CHECK(world.net.receive(client, 1).result == -kETIMEDOUT);
}

TEST_CASE("TCP: a reader that stops closes the window; the writer would block, and goes on when it is read") {
    Pair world;
    const auto [listener, client, server] = world.connect();
    const std::string bytes = pattern(400'000);
    std::size_t sent = 0;
    for (i64 taken = 1; taken > 0;) {
        taken = world.net.send(client, view(std::string_view(bytes).substr(sent)));
        if (taken > 0) sent += static_cast<std::size_t>(taken);
        else CHECK(taken == -kEAGAIN);
    }
    CHECK(sent < 140'000);
    CHECK((world.net.poll(client) & kReadyOut) == 0);
    CHECK(world.net.socket(server).tcp.receive.size() <= 65535);
    world.pass(3600 * kNetSecond); // probes keep the connection alive for as long as it takes
    CHECK(world.state(client) == TcpState::Established);
    std::string arrived = world.receive(server, 100'000);
    CHECK((world.net.poll(client) & kReadyOut) != 0);
    arrived += transfer(world, client, server, bytes.substr(sent));
    arrived += world.receive(server, 400'000);
    while (arrived.size() < bytes.size()) {
        const std::string more = world.receive(server, 400'000);
        REQUIRE(more.find("error") == std::string::npos);
        arrived += more;
    }
    CHECK((arrived == bytes));
}

TEST_CASE("listen(2): as many connections wait as the backlog says, and one; the next is not answered until there is room") {
    Pair world;
    const u32 listener = world.listen(world.b, 0, 80, 1);
    CHECK(world.net.accept(listener) == -kEAGAIN);
    u32 clients[3]{};
    for (u32& client : clients) {
        client = world.open(world.a, kSockStream);
        CHECK(world.net.connect(client, inet(ipv4(10, 0, 0, 2), 80)) == -kEINPROGRESS);
    }
    CHECK(world.state(clients[1]) == TcpState::Established);
    CHECK(world.state(clients[2]) == TcpState::SynSent);
    CHECK((world.net.poll(listener) & kReadyIn) != 0);
    CHECK(world.net.accept(listener) >= 0);
    world.pass(2 * kNetSecond); // SYNs are sent again after one second
    CHECK(world.state(clients[2]) == TcpState::Established);
    const u32 late = world.open(world.a, kSockStream);
    CHECK(world.net.connect(late, inet(ipv4(10, 0, 0, 2), 80)) == -kEINPROGRESS);
    world.net.close(listener); // those that were not accepted are reset
    CHECK(world.net.receive(clients[1], 1).result == -kECONNRESET);
    world.pass(4 * kNetSecond);
    CHECK(world.net.connect(late, inet(ipv4(10, 0, 0, 2), 80)) == -kECONNREFUSED);
}

TEST_CASE("TCP: addresses and ports: EADDRINUSE, EADDRNOTAVAIL, EINVAL, and one port for two addresses") {
    Pair world;
    const u32 first = world.listen(world.b, ipv4(10, 0, 0, 2), 80);
    const u32 socket = world.open(world.b, kSockStream);
    CHECK(world.net.bind(socket, inet(ipv4(10, 0, 0, 1), 80)) == -kEADDRNOTAVAIL);
    CHECK(world.net.bind(socket, inet(0, 80)) == -kEADDRINUSE);
    CHECK(world.net.bind(socket, inet(kLoopbackIp, 80)) == 0);
    CHECK(world.net.bind(socket, inet(0, 81)) == -kEINVAL);
    CHECK(world.net.listen(socket, 1) == 0);
    CHECK(world.net.connect(socket, inet(kLoopbackIp, 80)) == -kEISCONN);
    CHECK(world.net.receive(socket, 1).result == -kENOTCONN);
    CHECK(world.net.accept(first) == -kEAGAIN);
    const u32 fresh = world.open(world.b, kSockStream);
    CHECK(world.net.accept(fresh) == -kEINVAL);
    CHECK(world.net.send(fresh, view("x")) == -kEPIPE);
    CHECK(world.net.shutdown(fresh, true, true) == -kENOTCONN);
    CHECK(world.net.peer_name(fresh).family == kAfUnspec);
    CHECK(world.net.bind(fresh, inet(0, 0)) == 0);
    CHECK(world.net.name(fresh).port >= 32768);
}

TEST_CASE("TCP: both may begin at once") {
    Pair world;
    const u32 one = world.open(world.a, kSockStream), two = world.open(world.b, kSockStream);
    REQUIRE(world.net.bind(one, inet(0, 1000)) == 0);
    REQUIRE(world.net.bind(two, inet(0, 2000)) == 0);
    world.net.set_loss(world.eth_a, 1000), world.net.set_loss(world.eth_b, 1000); // neither sees the other's first SYN
    world.net.set_neighbour(world.eth_a, ipv4(10, 0, 0, 2), world.net.device(world.eth_b).mac, NeighbourState::Permanent);
    world.net.set_neighbour(world.eth_b, ipv4(10, 0, 0, 1), world.net.device(world.eth_a).mac, NeighbourState::Permanent);
    REQUIRE(world.net.connect(one, inet(ipv4(10, 0, 0, 2), 2000)) == -kEINPROGRESS);
    REQUIRE(world.net.connect(two, inet(ipv4(10, 0, 0, 1), 1000)) == -kEINPROGRESS);
    world.net.set_loss(world.eth_a, 0), world.net.set_loss(world.eth_b, 0);
    world.pass(2 * kNetSecond);
    CHECK(world.state(one) == TcpState::Established);
    CHECK(world.state(two) == TcpState::Established);
    CHECK(world.net.send(one, view("hello")) == 5);
    CHECK(world.receive(two) == "hello");
}

TEST_CASE("TCP: a forged reset outside the exact place only draws an acknowledgment (RFC 5961)") {
    Pair world;
    const auto [listener, client, server] = world.connect();
    const auto forge = [&](u32 sequence) {
        Ipv4Header ip;
        ip.source = ipv4(10, 0, 0, 1), ip.destination = ipv4(10, 0, 0, 2), ip.protocol = kIpTcp;
        TcpSegment segment;
        segment.source_port = world.net.name(client).port, segment.destination_port = 80, segment.sequence = sequence, segment.flags = kRst;
        world.net.inject(world.eth_b, build_ether({world.net.device(world.eth_b).mac, world.net.device(world.eth_a).mac, kEtherIpv4}, build_ipv4(ip, build_tcp(ip, segment))));
    };
    const u32 next = world.net.socket(server).tcp.receive_next;
    forge(next + 100), forge(next - 100), forge(next + 100'000);
    CHECK(world.state(server) == TcpState::Established);
    forge(next);
    CHECK(world.state(server) == TcpState::Closed);
}

TEST_CASE("TCP: two ends that a forged segment has made disagree do not answer each other for ever") {
    Pair world;
    const auto [listener, client, server] = world.connect();
    Ipv4Header ip;
    ip.source = ipv4(10, 0, 0, 1), ip.destination = ipv4(10, 0, 0, 2), ip.protocol = kIpTcp;
    TcpSegment segment;
    const TcpControl& tcp = world.net.socket(server).tcp;
    const std::string forged = "forged";
    segment.source_port = world.net.name(client).port, segment.destination_port = 80, segment.sequence = tcp.receive_next, segment.acknowledgment = tcp.send_next, segment.flags = kAck;
    segment.window = 1000, segment.data = view(forged);
    world.net.inject(world.eth_b, build_ether({world.net.device(world.eth_b).mac, world.net.device(world.eth_a).mac, kEtherIpv4}, build_ipv4(ip, build_tcp(ip, segment))));
    CHECK(world.receive(server) == "forged");
    world.pass(10 * kNetSecond);
    CHECK(world.net.space(world.a).counters.tcp_sent < 10);
    CHECK(world.net.due() == ~u64{0});
}

TEST_CASE("TCP: sockets end; thousands of connections leave nothing behind") {
    Pair world;
    const u32 listener = world.listen(world.b, 0, 80);
    for (int i = 0; i < 3000; ++i) {
        const u32 client = world.open(world.a, kSockStream);
        REQUIRE(world.net.connect(client, inet(ipv4(10, 0, 0, 2), 80)) == -kEINPROGRESS);
        const i64 server = world.net.accept(listener);
        REQUIRE(server >= 0);
        world.net.close(client), world.net.close(static_cast<u32>(server));
        if (i % 100 == 0) world.pass(kNetSecond);
    }
    world.pass(120 * kNetSecond);
    CHECK(world.net.sockets() == 1);
    CHECK(world.net.due() == ~u64{0});
}
