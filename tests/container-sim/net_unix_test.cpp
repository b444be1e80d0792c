// Unix domain sockets: streams, datagrams, packets, names, and what travels with a message.
#include "tests/container-sim/net_world.hpp"

#include <algorithm>
#include <utility>

using namespace trapeze;
using namespace trapeze::test;

namespace {
SocketAddress abstract(const std::string& name) {
    SocketAddress address;
    address.family = kAfUnix, address.name = name, address.abstract_name = true;
    return address;
}
SocketAddress path(const std::string& name, u64 node) {
    SocketAddress address;
    address.family = kAfUnix, address.name = name, address.node = node;
    return address;
}
std::pair<u32, u32> open_pair(NetWorld& world, u16 type) {
    std::pair<u32, u32> ends;
    REQUIRE(world.net.open_pair(0, type, {.task = 1}, ends.first, ends.second) == 0);
    return ends;
}
} // namespace

TEST_CASE("unix(7): abstract names are the network namespace's own; path names cross") {
    NetWorld world;
    const u32 other = world.space();
    const u32 here = world.open(0, kSockStream, kAfUnix), there = world.open(other, kSockStream, kAfUnix);
    CHECK(world.net.bind(here, abstract("name")) == 0);
    CHECK(world.net.listen(here, 1) == 0);
    CHECK(world.net.connect(there, abstract("name")) == -kECONNREFUSED);
    const u32 twin = world.open(other, kSockStream, kAfUnix);
    CHECK(world.net.bind(twin, abstract("name")) == 0);
    CHECK(world.net.connect(world.open(0, kSockStream, kAfUnix), abstract("name")) == 0);
    const u32 again = world.open(0, kSockStream, kAfUnix);
    CHECK(world.net.bind(again, abstract("name")) == -kEADDRINUSE);
    CHECK(world.net.bind(again, path("/run/s", 77)) == 0);
    CHECK(world.net.bind(again, path("/run/t", 78)) == -kEINVAL);
    CHECK(world.net.listen(again, 1) == 0);
    CHECK(world.net.connect(there, path("/other/way/to/s", 77)) == 0);
    CHECK(world.net.peer_name(there).name == "/run/s");
    world.net.close(again);
    CHECK(world.net.connect(world.open(0, kSockStream, kAfUnix), path("/run/s", 77)) == -kECONNREFUSED);
    const u32 automatic = world.open(0, kSockDgram, kAfUnix);
    SocketAddress unnamed;
    unnamed.family = kAfUnix;
    CHECK(world.net.bind(automatic, unnamed) == 0);
    CHECK(world.net.name(automatic).name == "00000");
}

TEST_CASE("unix(7): a stream has no borders, and tells its reader when the peer is gone") {
    NetWorld world;
    const auto [a, b] = open_pair(world, kSockStream);
    CHECK(world.net.receive(b, 10).result == -kEAGAIN);
    CHECK(world.net.send(a, view("one")) == 3);
    CHECK(world.net.send(a, view("two")) == 3);
    CHECK(world.net.readable(b) == 6);
    CHECK(world.receive(b, 4) == "onet");
    CHECK(text(world.net.receive(b, 10, kMsgPeek).data) == "wo");
    CHECK(world.receive(b) == "wo");
    CHECK(world.net.send(a, view("end")) == 3);
    world.net.close(a);
    CHECK(world.receive(b) == "end");
    CHECK(world.receive(b) == "");
    CHECK(world.net.send(b, view("x")) == -kEPIPE);
    CHECK((world.net.poll(b) & (kReadyHup | kReadyIn | kReadyReadHup)) == (kReadyHup | kReadyIn | kReadyReadHup));
    const auto [c, d] = open_pair(world, kSockStream);
    world.net.send(c, view("unread"));
    world.net.close(d);
    CHECK(world.net.receive(c, 1).result == -kECONNRESET);
}

TEST_CASE("unix(7): a stream that nobody reads fills, and its writer is woken when there is room") {
    NetWorld world;
    const auto [a, b] = open_pair(world, kSockStream);
    u64 sent = 0;
    for (i64 taken = 1; taken > 0;) {
        taken = world.net.send(a, view(std::string(10'000, 's')));
        if (taken > 0) sent += static_cast<u64>(taken);
        else CHECK(taken == -kEAGAIN);
    }
    CHECK(sent > 150'000);
    CHECK(sent < 300'000);
    CHECK((world.net.poll(a) & kReadyOut) == 0);
    (void)world.net.take_changed();
    CHECK(world.receive(b, 100'000).size() == 100'000);
    const auto changed = world.net.take_changed();
    CHECK(std::find(changed.begin(), changed.end(), a) != changed.end());
    CHECK((world.net.poll(a) & kReadyOut) != 0);
}

TEST_CASE("unix(7): datagrams and packets keep their borders") {
    NetWorld world;
    const u32 server = world.open(0, kSockDgram, kAfUnix), client = world.open(0, kSockDgram, kAfUnix);
    REQUIRE(world.net.bind(server, abstract("log")) == 0);
    const SocketAddress to = abstract("log");
    CHECK(world.net.send(client, view("x")) == -kENOTCONN);
    CHECK(world.net.send(client, view("first"), {.to = &to}) == 5);
    CHECK(world.net.send(client, view(""), {.to = &to}) == 0);
    const Incoming cut = world.net.receive(server, 3);
    CHECK(text(cut.data) == "fir");
    CHECK((cut.flags & kMsgTrunc) != 0);
    CHECK(world.net.receive(server, 3).result == 0);
    CHECK(world.net.receive(server, 3).result == -kEAGAIN);
    for (int i = 0; i < 11; ++i) CHECK(world.net.send(client, view("x"), {.to = &to}) == 1);
    CHECK(world.net.send(client, view("x"), {.to = &to}) == -kEAGAIN); // net.unix.max_dgram_qlen
    const auto [a, b] = open_pair(world, kSockSeqpacket);
    CHECK(world.net.send(a, view("one")) == 3);
    CHECK(world.net.send(a, view("two")) == 3);
    CHECK(world.receive(b) == "one");
    CHECK(world.receive(b) == "two");
    CHECK(world.net.connect(world.open(0, kSockStream, kAfUnix), to) == -kEPROTOTYPE);
    world.net.close(server);
    CHECK(world.net.send(client, view("x"), {.to = &to}) == -kECONNREFUSED);
}

TEST_CASE("SCM_RIGHTS: files arrive with their message; those that nobody receives are handed back") {
    NetWorld world;
    const auto [a, b] = open_pair(world, kSockStream);
    CHECK(world.net.send(a, view("plain")) == 5);
    CHECK(world.net.send(a, view("files"), {.files = {7, 8}}) == 5);
    CHECK(world.net.send(a, view("after")) == 5);
    const Incoming first = world.net.receive(b, 100);
    CHECK(text(first.data) == "plainfiles"); // a message with files ends a read
    CHECK(first.files == std::vector<u32>{7, 8});
    CHECK(world.receive(b) == "after");
    CHECK(world.net.send(a, view("x"), {.files = {9, 10}}) == 1);
    CHECK(world.net.take_dropped_files().empty());
    world.net.close(b);
    CHECK(world.net.take_dropped_files() == std::vector<u32>{9, 10});
    const auto [c, d] = open_pair(world, kSockDgram);
    CHECK(world.net.send(c, view("x"), {.files = std::vector<u32>(254, 1)}) == -kEINVAL);
    CHECK(world.net.send(c, view("x"), {.files = std::vector<u32>(253, 1)}) == 1);
    CHECK(world.net.receive(d, 1).files.size() == 253);
}

TEST_CASE("SCM_CREDENTIALS and SO_PEERCRED: who sent, and who is at the other end") {
    NetWorld world;
    const u32 listener = world.open(0, kSockStream, kAfUnix), client = world.open(0, kSockStream, kAfUnix);
    REQUIRE(world.net.bind(listener, abstract("s")) == 0);
    REQUIRE(world.net.listen(listener, 0) == 0);
    REQUIRE(world.net.connect(client, abstract("s"), {.task = 42, .user = 1000, .group = 1000}) == 0);
    const u32 second = world.open(0, kSockStream, kAfUnix);
    CHECK(world.net.connect(second, abstract("s")) == -kEAGAIN); // backlog 0: one waits
    const i64 server = world.net.accept(listener);
    REQUIRE(server >= 0);
    CHECK(world.net.peer_credentials(static_cast<u32>(server)).task == 42);
    CHECK(world.net.peer_credentials(client).task == 100);
    const auto changed = world.net.take_changed();
    CHECK(std::find(changed.begin(), changed.end(), second) != changed.end());
    CHECK(world.net.connect(second, abstract("s")) == 0);
    world.net.options(static_cast<u32>(server)).pass_credentials = true;
    world.net.send(client, view("a"), {.credentials = {.task = 1}}), world.net.send(client, view("b"), {.credentials = {.task = 2}});
    const Incoming first = world.net.receive(static_cast<u32>(server), 10), other = world.net.receive(static_cast<u32>(server), 10);
    CHECK(text(first.data) == "a"); // messages of different senders do not run together
    CHECK(first.credentials->task == 1);
    CHECK(other.credentials->task == 2);
    world.net.close(listener);
    CHECK((world.net.poll(second) & kReadyHup) != 0);
}
