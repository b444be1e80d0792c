// A board with every device: accesses of any size to any register at advancing times, typing, and saved states from anywhere. And the
// network: frames of any bytes through the switch to the gateway.
#include "emulator/devices/board.hpp"
#include "emulator/devices/gateway.hpp"
#include "emulator/mem/ram.hpp"
#include "tests/fuzz/fuzz.hpp"

#include <algorithm>
#include <cstring>

namespace {

using namespace trapeze;

/// What an access is, in 16 bytes of the input.
struct Access {
    u32 offset;
    u8 window, size, flags, pause;
    u64 value;
};
static_assert(sizeof(Access) == 16);

Board full_board() {
    BoardConfig config;
    config.disks = {{disk_image(std::vector<u8>(8192))}};
    config.network_cards = 2, config.rng = true, config.console = true, config.capture = true;
    return Board(2, config);
}

void run_board(const std::vector<u8>& input) {
    static const Board fresh = full_board();
    Board board = fresh;
    static const std::vector<Board::Window> windows = fresh.windows();
    Ram ram(16 * kPageSize);
    DeviceContext context{{ram, kRamBase, 0, ram.size()}, 0};
    for (std::size_t at = 0; at + sizeof(Access) <= input.size(); at += sizeof(Access)) {
        Access access;
        std::memcpy(&access, input.data() + at, sizeof access);
        const Board::Window& window = windows[access.window % windows.size()];
        const u64 address = window.base + access.offset % window.size;
        const unsigned size = 1u << (access.size & 3);
        u64 value = 0;
        if (access.flags & 1) (void)board.write(address, size, access.value, context);
        else (void)board.read(address, size, value, context);
        if (access.flags & 2) board.type("key");
        context.ticks += access.pause;
        board.poll(context);
        for (unsigned hart = 0; hart < 3; ++hart) (void)board.lines(hart, context.ticks);
        (void)board.next_event(context.ticks);
    }
    (void)board.take_output();
    StateArchive load(input);
    board.state(load);
    board.poll(context);
    (void)board.lines(0, context.ticks);
}

std::vector<std::vector<u8>> board_seeds() {
    StateArchive saved;
    full_board().state(saved);
    std::vector<u8> accesses(64 * sizeof(Access));
    for (std::size_t i = 0; i < 64; ++i) {
        const Access access{static_cast<u32>(i * 4), static_cast<u8>(i), 2, static_cast<u8>(i), 50, i};
        std::memcpy(accesses.data() + i * sizeof access, &access, sizeof access);
    }
    return {saved.bytes(), accesses};
}

void run_network(const std::vector<u8>& input) {
    (void)gateway_answer(input);
    Network network;
    network.capture(true);
    network.plug(), network.plug();
    u64 ticks = 0;
    for (std::size_t at = 0; at < input.size(); at += 1 + input[at] % 64) {
        const std::size_t bytes = std::min<std::size_t>(input.size() - at, input[at]);
        network.send(input[at] % 4, std::make_shared<const std::vector<u8>>(input.begin() + static_cast<long>(at), input.begin() + static_cast<long>(at + bytes)), ticks);
        ticks += input[at];
        while (network.take(ticks)) {}
    }
    StateArchive load(input);
    network.state(load);
    while (network.take(~u64{0})) {}
}

std::vector<std::vector<u8>> network_seeds() {
    std::vector<u8> ping(kGatewayMac.begin(), kGatewayMac.end());
    const u8 rest[] = {2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0, 0, 28, 0, 0, 0, 0, 64, 1, 0x62, 0xcc, 10, 0, 2, 15, 10, 0, 2, 2, 8, 0, 0xf7, 0xff, 0, 0, 0, 0};
    ping.insert(ping.end(), std::begin(rest), std::end(rest));
    std::vector<u8> arp(6, 0xff);
    const u8 question[] = {2, 0, 0, 0, 0, 1, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 10, 0, 2, 15, 0, 0, 0, 0, 0, 0, 10, 0, 2, 2};
    arp.insert(arp.end(), std::begin(question), std::end(question));
    return {ping, arp};
}

const fuzz::Registration board_registration({"board", run_board, board_seeds});
const fuzz::Registration network_registration({"network", run_network, network_seeds});

} // namespace
