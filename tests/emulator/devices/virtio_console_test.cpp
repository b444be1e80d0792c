// virtio 1.2, section 5.3: the console.
#include "emulator/devices/board.hpp"
#include "emulator/devices/virtio_console.hpp"
#include "tests/emulator/devices/virtio_driver.hpp"

using namespace trapeze;
using test::VirtioDriver;

namespace {
struct ConsoleFixture {
    VirtioConsole console;
    VirtioDriver driver{console};
    void print(const std::string& text) {
        REQUIRE(driver.ram.write(driver.buffer(1, 0) - VirtioDriver::kBase, std::span(reinterpret_cast<const u8*>(text.data()), text.size())));
        driver.give(1, driver.buffer(1, 0), static_cast<u32>(text.size()), 0);
    }
    void offer(unsigned index, u32 bytes) { driver.give(0, driver.buffer(0, index), bytes, VirtioDriver::kWrite); }
};
} // namespace

TEST_CASE_FIXTURE(ConsoleFixture, "5.3: what the guest puts into the transmit queue is printed, in order, once") {
    CHECK(driver.get(8) == 3);
    driver.start(2);
    print("hello, "), print("console");
    CHECK(console.take_output() == "hello, console");
    CHECK(console.take_output().empty());
    CHECK(driver.used(1) == 2);
    CHECK(console.irq());
}

TEST_CASE_FIXTURE(ConsoleFixture, "5.3: typed bytes fill the receive buffers that the guest gives, then wait for the next") {
    driver.start(2);
    offer(0, 4), offer(1, 4);
    CHECK(driver.used(0) == 0); // nothing was typed
    CHECK(console.due() == ~u64{0});
    console.type("abcdefghij");
    CHECK(console.due() == 0);
    driver.poll();
    CHECK(driver.used(0) == 2);
    CHECK(driver.used_bytes(0, 0) == 4);
    CHECK(driver.text(driver.buffer(0, 0), 4) + driver.text(driver.buffer(0, 1), 4) == "abcdefgh");
    CHECK(console.irq());
    CHECK(console.due() == ~u64{0}); // it does not ask again and again
    offer(2, 100);
    CHECK(driver.used_bytes(0, 2) == 2);
    CHECK(driver.text(driver.buffer(0, 2), 2) == "ij");
}

TEST_CASE_FIXTURE(ConsoleFixture, "5.3: what was typed before the driver came is there when it does") {
    CHECK_FALSE(console.listens());
    console.type("early");
    driver.poll();
    driver.start(2);
    CHECK(console.listens());
    offer(0, 16);
    CHECK(driver.text(driver.buffer(0, 0), 5) == "early");
}

TEST_CASE_FIXTURE(ConsoleFixture, "5.3: input and output are bounded, and what is dropped is counted") {
    console.type(std::string(VirtioConsole::kMaxInput + 3, 'i'));
    CHECK(console.dropped_input() == 3);
    driver.start(2);
    driver.give(1, VirtioDriver::kBase + 16 * kPageSize, 40 * kPageSize, 0);
    CHECK(console.take_output().size() == VirtioConsole::kMaxRequestBytes);
    CHECK(console.dropped_output() == 40 * kPageSize - VirtioConsole::kMaxRequestBytes);
}

TEST_CASE_FIXTURE(ConsoleFixture, "5.3: a receive buffer that cannot be written to is malformed once something comes") {
    driver.start(2);
    driver.give(0, driver.buffer(0, 0), 16, 0);
    CHECK_FALSE(driver.needs_reset());
    console.type("x");
    driver.poll();
    CHECK(driver.needs_reset());
    CHECK_FALSE(console.listens());
}

TEST_CASE_FIXTURE(ConsoleFixture, "5.3: its state goes through an archive") {
    driver.start(2);
    print("out"), console.type("in");
    VirtioConsole other;
    test::carry_over(console, other);
    CHECK(other.take_output() == "out");
    CHECK(other.listens());
    CHECK(other.due() == 0);
}

TEST_CASE("Board: typed bytes go to the UART until the guest drives the virtio console; both print") {
    BoardConfig config;
    config.console = true;
    Board board(1, config);
    Ram ram(64 * kPageSize);
    DeviceContext context{{ram, kRamBase, 0, ram.size()}, 0};
    board.type("u");
    u64 value = 0;
    CHECK(board.read(kUartBase, 1, value, context));
    CHECK(value == 'u');
    VirtioDriver driver(static_cast<VirtioMmio&>(*board.find("virtio-console")));
    driver.start(2);
    driver.give(0, driver.buffer(0, 0), 8, VirtioDriver::kWrite);
    board.type("v");
    board.poll(driver.context);
    CHECK(driver.text(driver.buffer(0, 0), 1) == "v");
    board.print("from the firmware");
    CHECK(board.take_output() == "from the firmware");
}
