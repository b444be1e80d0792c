// The switch, the gateway that answers ARP and ping, and the virtio network card (virtio 1.2, section 5.1).
#include "emulator/devices/board.hpp"
#include "emulator/devices/gateway.hpp"
#include "emulator/devices/virtio_net.hpp"
#include "emulator/mem/ram.hpp"
#include "tests/emulator/devices/virtio_driver.hpp"

#include <algorithm>
#include <deque>

using namespace trapeze;
using test::VirtioDriver;

namespace {
constexpr MacAddress kA = {2, 0, 0, 0, 0, 1}, kB = {2, 0, 0, 0, 0, 2}, kC = {2, 0, 0, 0, 0, 3}, kEveryone = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

std::vector<u8> bytes_of(const MacAddress& to, const MacAddress& from, std::vector<u8> rest) {
    std::vector<u8> bytes(to.begin(), to.end());
    bytes.insert(bytes.end(), from.begin(), from.end());
    bytes.insert(bytes.end(), rest.begin(), rest.end());
    return bytes;
}
Frame frame(const MacAddress& to, const MacAddress& from, std::vector<u8> rest = {0x88, 0xb5, 1, 2, 3}) {
    return std::make_shared<const std::vector<u8>>(bytes_of(to, from, std::move(rest)));
}
/// Who has 10.0.2.2? Tell 10.0.2.15.
const std::vector<u8> kArpRequest = {8, 6, 0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 10, 0, 2, 15, 0, 0, 0, 0, 0, 0, 10, 0, 2, 2};
/// An echo request from 10.0.2.15, id 0x1234, number 1, "ping"; its checksums are not filled in.
std::vector<u8> echo_request() {
    return {8, 0, 0x45, 0, 0, 32, 0xab, 0xcd, 0x40, 0, 64, 1, 0, 0, 10, 0, 2, 15, 10, 0, 2, 2, 8, 0, 0, 0, 0x12, 0x34, 0, 1, 'p', 'i', 'n', 'g'};
}
std::vector<u8> with_checksums(std::vector<u8> rest) {
    const auto put = [&](std::size_t at, u16 sum) { rest[at] = static_cast<u8>(sum >> 8), rest[at + 1] = static_cast<u8>(sum); };
    put(12, internet_checksum(std::span(rest).subspan(2, 20)));
    put(24, internet_checksum(std::span(rest).subspan(22)));
    return rest;
}
} // namespace

TEST_CASE("RFC 1071: the checksum of the example in section 3") {
    const u8 example[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
    CHECK(internet_checksum(example) == static_cast<u16>(~0xddf2));
    CHECK(internet_checksum(std::span(example).first(3)) == static_cast<u16>(~(0x0001 + 0xf200)));
}

TEST_CASE("Switch: frames arrive after the latency, in order, also from a sender whose clock is behind") {
    Network network;
    const unsigned one = network.plug(), two = network.plug();
    CHECK(one == 1);
    CHECK(network.due() == ~u64{0});
    network.send(one, frame(kB, kA, {1, 2}), 1000);
    network.send(two, frame(kA, kB, {3, 4}), 950);
    CHECK(network.due() == 1000 + Network::kLatencyTicks);
    CHECK_FALSE(network.take(1000 + Network::kLatencyTicks - 1));
    const auto first = network.take(1000 + Network::kLatencyTicks), second = network.take(1000 + Network::kLatencyTicks);
    REQUIRE(first);
    REQUIRE(second);
    CHECK(first->frame->back() == 2);
    CHECK(second->frame->back() == 4);
    CHECK_FALSE(network.take(~u64{0}));
}

TEST_CASE("Switch: an unknown address is flooded, a learnt one goes to its port alone, never back where it came from") {
    Network network;
    network.plug(), network.plug(), network.plug();
    const auto ports = [&](unsigned from, Frame f) {
        network.send(from, std::move(f), 0);
        return network.take(~u64{0})->ports;
    };
    CHECK(ports(1, frame(kB, kA)) == std::vector<unsigned>{2, 3});
    CHECK(ports(2, frame(kA, kB)) == std::vector<unsigned>{1});
    CHECK(ports(1, frame(kB, kA)) == std::vector<unsigned>{2});
    CHECK(ports(3, frame(kEveryone, kC)) == std::vector<unsigned>{1, 2});
    CHECK(ports(1, frame(kA, kC)).empty()); // kA is behind port 1 itself
    CHECK(ports(3, frame(kC, kB)) == std::vector<unsigned>{1}); // kC has moved
    network.reset();
    CHECK(ports(1, frame(kB, kA)) == std::vector<unsigned>{2, 3});
}

TEST_CASE("Switch: what is no frame, and a flood, is dropped and counted") {
    Network network;
    network.plug();
    network.send(1, std::make_shared<const std::vector<u8>>(13), 0);
    network.send(1, std::make_shared<const std::vector<u8>>(Network::kMaxFrame + 1), 0);
    network.send(5, frame(kA, kB), 0);
    network.send(1, nullptr, 0);
    CHECK(network.dropped() == 4);
    for (std::size_t i = 0; i < Network::kMaxInFlight + 7; ++i) network.send(1, frame(kA, kB), 0);
    CHECK(network.dropped() == 11);
    for (u32 i = 0; i < 2 * Network::kMaxAddresses; ++i) {
        network.send(1, frame(kA, {2, 0, static_cast<u8>(i >> 16), static_cast<u8>(i >> 8), static_cast<u8>(i), 9}), 0);
        while (network.take(~u64{0})) {}
    }
    StateArchive saved;
    network.state(saved);
    CHECK(saved.bytes().size() < Network::kMaxAddresses * 16);
}

TEST_CASE("Gateway: ARP for its address is answered, for another not") {
    const auto answer = gateway_answer(bytes_of(kEveryone, kA, kArpRequest));
    REQUIRE(answer);
    CHECK(*answer == bytes_of(kA, kGatewayMac, {8, 6, 0, 1, 8, 0, 6, 4, 0, 2, 0x52, 0x55, 10, 0, 2, 2, 10, 0, 2, 2, 2, 0, 0, 0, 0, 1, 10, 0, 2, 15}));
    auto other = kArpRequest;
    other.back() = 3;
    CHECK_FALSE(gateway_answer(bytes_of(kEveryone, kA, other)));
    CHECK_FALSE(gateway_answer(bytes_of(kB, kA, kArpRequest)));
}

TEST_CASE("Gateway: an echo request is answered with its data, source and destination exchanged, and right checksums") {
    const auto request = with_checksums(echo_request());
    CHECK((request[12] << 8 | request[13]) == 0x76ff); // 4500+0020+abcd+4000+4001+0a00+020f+0a00+0202 = 188ff; 88ff + 1 = 8900, inverted
    const auto answer = gateway_answer(bytes_of(kGatewayMac, kA, request));
    REQUIRE(answer);
    auto expected = echo_request();
    std::swap_ranges(expected.begin() + 14, expected.begin() + 18, expected.begin() + 18);
    expected[22] = 0; // echo reply
    CHECK(*answer == bytes_of(kA, kGatewayMac, with_checksums(expected)));
}

TEST_CASE("Gateway: what is damaged, cut, fragmented or for somebody else is not answered") {
    const auto good = bytes_of(kGatewayMac, kA, with_checksums(echo_request()));
    REQUIRE(gateway_answer(good));
    for (std::size_t length = 0; length < good.size(); ++length) CHECK_FALSE(gateway_answer(std::span(good).first(length)));
    for (std::size_t at = 12; at < good.size(); ++at) { // every byte counts but the Ethernet source
        auto spoiled = good;
        spoiled[at] ^= 0x40;
        CHECK_FALSE(gateway_answer(spoiled));
    }
    auto padded = good; // as short frames are: to 60 bytes
    padded.resize(60);
    CHECK(gateway_answer(padded)->size() == good.size());
}

namespace {
/// A board with network cards, driven from outside.
struct NetFixture {
    explicit NetFixture(unsigned cards) : board(1, config(cards)) {
        for (auto& d : board.devices())
            if (d.port) drivers.emplace_back(static_cast<VirtioMmio&>(*d.device)), bases.push_back(d.base);
    }
    static BoardConfig config(unsigned cards) {
        BoardConfig config;
        config.network_cards = cards;
        config.capture = true;
        return config;
    }
    void start(unsigned card) {
        drivers[card].start(2, 1 << 5);
        for (unsigned i = 0; i < 4; ++i) drivers[card].give(0, VirtioDriver::buffer(0, i), 1526, VirtioDriver::kWrite);
    }
    void send(unsigned card, const std::vector<u8>& bytes) {
        VirtioDriver& driver = drivers[card];
        std::vector<u8> with_header(12);
        with_header.insert(with_header.end(), bytes.begin(), bytes.end());
        REQUIRE(driver.ram.write(VirtioDriver::buffer(1, 0) - VirtioDriver::kBase, with_header));
        // The notification must come through the board, which takes what was sent.
        const u16 index = driver.available[1] % VirtioDriver::kQueue;
        driver.give(1, VirtioDriver::buffer(1, 0), static_cast<u32>(with_header.size()), 0);
        CHECK(driver.used(1) == index + 1);
        board.write(bases[card] + 0x50, 4, 1, driver.context);
    }
    void poll(u64 ticks) {
        for (auto& driver : drivers) driver.context.ticks = ticks;
        board.poll(drivers[0].context);
    }
    std::string received(unsigned card, unsigned index) {
        return drivers[card].text(VirtioDriver::buffer(0, index) + 12, drivers[card].used_bytes(0, index) - 12);
    }
    static std::string text(const std::vector<u8>& bytes) { return {bytes.begin(), bytes.end()}; }

    Board board;
    std::deque<VirtioDriver> drivers;
    std::vector<u64> bases;
};
struct OneCard : NetFixture {
    OneCard() : NetFixture(1) { start(0); }
};
} // namespace

TEST_CASE_FIXTURE(OneCard, "5.1.4: the card has QEMU's first address, and its link is up") {
    CHECK(drivers[0].get(8) == 1);
    CHECK(drivers[0].device.read(0x100, 4, drivers[0].context) == 0x1200'5452);
    CHECK(drivers[0].device.read(0x104, 2, drivers[0].context) == 0x5634);
    CHECK(drivers[0].device.read(0x106, 2, drivers[0].context) == 1);
    CHECK((drivers[0].features() & (1 << 5 | 1 << 16)) == (1 << 5 | 1 << 16));
}

TEST_CASE_FIXTURE(OneCard, "5.1.6: a ping to 10.0.2.2 comes back, at its time, with a header in front") {
    const MacAddress mine = {0x52, 0x54, 0, 0x12, 0x34, 0x56};
    poll(0);
    send(0, bytes_of(kEveryone, mine, kArpRequest));
    CHECK(board.next_event(0) == Network::kLatencyTicks);
    poll(Network::kLatencyTicks);
    CHECK(drivers[0].used(0) == 0); // the answer is on its way
    poll(2 * Network::kLatencyTicks);
    REQUIRE(drivers[0].used(0) == 1);
    CHECK(received(0, 0) == text(*gateway_answer(bytes_of(kEveryone, mine, kArpRequest))));
    CHECK(drivers[0].see<u16>(VirtioDriver::buffer(0, 0) + 10) == 1); // num_buffers
    const auto echo = bytes_of(kGatewayMac, mine, with_checksums(echo_request()));
    send(0, echo);
    poll(10 * Network::kLatencyTicks);
    poll(11 * Network::kLatencyTicks);
    REQUIRE(drivers[0].used(0) == 2);
    CHECK(received(0, 1) == text(*gateway_answer(echo)));
    CHECK(board.next_event(11 * Network::kLatencyTicks) == ~u64{0});
}

TEST_CASE("5.1.6: two cards reach each other through the switch, and everything is captured") {
    NetFixture net(2);
    net.start(0), net.start(1);
    const auto sent = bytes_of(kB, kA, {0x88, 0xb5, 'x', 'y', 'z'});
    net.send(0, sent);
    // Both drivers have memories of their own; the card that receives is polled with its own.
    for (auto& driver : net.drivers) driver.context.ticks = Network::kLatencyTicks;
    net.board.poll(net.drivers[1].context);
    REQUIRE(net.drivers[1].used(0) == 1);
    CHECK(net.received(1, 0) == NetFixture::text(sent));
    CHECK(net.drivers[0].used(0) == 0);
    REQUIRE(net.board.network.captured().size() == 1);
    CHECK(net.board.network.captured()[0].port == 1);
    CHECK(net.board.network.captured()[0].ticks == Network::kLatencyTicks);
    CHECK(*net.board.network.captured()[0].frame == sent);
}

TEST_CASE_FIXTURE(OneCard, "5.1.6: frames wait for buffers, and go where they do not fit or are too many") {
    auto& card = static_cast<VirtioNet&>(drivers[0].device);
    for (int i = 0; i < 6; ++i) card.receive(frame(kA, kB, {static_cast<u8>(i)}));
    drivers[0].poll();
    CHECK(drivers[0].used(0) == 4); // as many as there were buffers
    drivers[0].give(0, VirtioDriver::buffer(0, 0), 20, VirtioDriver::kWrite); // too small for number 4
    CHECK(drivers[0].used_bytes(0, 4) == 0);
    CHECK(card.dropped() == 1);
    drivers[0].give(0, VirtioDriver::buffer(0, 0), 1526, VirtioDriver::kWrite);
    CHECK(drivers[0].see<u8>(VirtioDriver::buffer(0, 0) + 12 + 12) == 5);
    for (std::size_t i = 0; i < VirtioNet::kMaxWaiting + 2; ++i) card.receive(frame(kA, kB));
    CHECK(card.dropped() == 3);
}

TEST_CASE_FIXTURE(OneCard, "5.1.6: a huge frame is dropped, a header that is cut is malformed, and a resting card takes nothing") {
    auto& card = static_cast<VirtioNet&>(drivers[0].device);
    drivers[0].give(1, VirtioDriver::buffer(1, 0), 4096, 0);
    CHECK(card.take_sent().empty());
    CHECK(card.dropped() == 1);
    CHECK_FALSE(drivers[0].needs_reset());
    drivers[0].give(1, VirtioDriver::buffer(1, 0), 11, 0);
    CHECK(drivers[0].needs_reset());
    card.receive(frame(kA, kB));
    CHECK(card.dropped() == 2);
}

TEST_CASE_FIXTURE(OneCard, "5.1.6: without VIRTIO_F_VERSION_1 the header has ten bytes") {
    drivers[0].start(2, 1 << 5, false);
    drivers[0].give(1, VirtioDriver::buffer(1, 0), 10 + 20, 0);
    auto& card = static_cast<VirtioNet&>(drivers[0].device);
    const auto sent = card.take_sent();
    REQUIRE(sent.size() == 1);
    CHECK(sent[0]->size() == 20);
}

TEST_CASE_FIXTURE(OneCard, "5.1: card and network go through an archive with what is on its way; a reset loses it") {
    send(0, bytes_of(kEveryone, kA, kArpRequest));
    static_cast<VirtioNet&>(drivers[0].device).receive(frame(kA, kB));
    StateArchive saved;
    board.state(saved);
    Board other(1, config(1));
    StateArchive load(saved.bytes());
    other.state(load);
    CHECK_FALSE(load.failed());
    StateArchive again;
    other.state(again);
    CHECK(again.bytes() == saved.bytes());
    CHECK(other.network.due() == board.network.due());
    for (std::size_t length = 0; length < saved.bytes().size(); length += 101) {
        StateArchive cut(std::vector<u8>(saved.bytes().begin(), saved.bytes().begin() + static_cast<long>(length)));
        other.state(cut);
        CHECK(cut.failed());
    }
    board.reset();
    CHECK(board.network.due() == ~u64{0});
    CHECK(drivers[0].device.due() == ~u64{0});
}
