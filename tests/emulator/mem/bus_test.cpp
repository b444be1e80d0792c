#include "emulator/mem/bus.hpp"

#include <doctest/doctest.h>

using namespace trapeze;

namespace {
struct Fixture {
    Ram ram{4 * kPageSize};
    Board board{1};
    Trace trace;
    Bus bus{ram, board, trace, kRamBase, 0, 4 * kPageSize, 0};
};
} // namespace

TEST_CASE_FIXTURE(Fixture, "The bus reaches RAM in place, devices through the board, and faults elsewhere") {
    u64 value = 0;
    CHECK(bus.write(kRamBase + 4, 4, 0x1234'5678, 0));
    CHECK(bus.read(kRamBase + 4, 2, value, 0));
    CHECK(value == 0x5678);
    CHECK(bus.read(kClintBase + 0xbff8, 8, value, 12345));
    CHECK(value == ticks_of(12345));
    for (u64 nowhere : {u64{0}, kRamBase - 8, kRamBase + 4 * kPageSize, ~u64{7}, kUartBase - 8}) {
        CHECK_FALSE(bus.read(nowhere, 8, value, 0));
        CHECK_FALSE(bus.write(nowhere, 8, 0, 0));
    }
    CHECK_FALSE(bus.read(kRamBase + 4 * kPageSize - 4, 8, value, 0)); // half inside
}

TEST_CASE_FIXTURE(Fixture, "A window on RAM is moved and bounded") {
    Bus window{ram, board, trace, 0x8000'0000, kPageSize, kPageSize, 1};
    CHECK(window.write(0x8000'0000, 8, 42, 0));
    u64 value = 0;
    CHECK(ram.read(kPageSize, value));
    CHECK(value == 42);
    CHECK_FALSE(window.write(0x8000'0000 + kPageSize, 1, 1, 0));
}

TEST_CASE_FIXTURE(Fixture, "HTIF: storing 1 to tohost ends with success, an odd value with its code") {
    board.tohost = kRamBase + 64;
    CHECK(bus.watched_page(kRamBase + 100));
    CHECK_FALSE(bus.watched_page(kRamBase + kPageSize));
    CHECK_FALSE(bus.watched_page(0));
    SUBCASE("success") {
        bus.write(kRamBase + 64, 8, 1, 0);
        CHECK(board.halt == Halt{0, false});
        u64 stored = 0;
        ram.read(64, stored);
        CHECK(stored == 1);
    }
    SUBCASE("a failing test's number") {
        bus.write(kRamBase + 64, 4, 7 << 1 | 1, 0);
        CHECK(board.halt == Halt{7, false});
    }
    SUBCASE("the upper half and other addresses do nothing") {
        bus.write(kRamBase + 68, 4, 1, 0);
        bus.write(kRamBase + 72, 8, 1, 0);
        bus.write(kRamBase + 64, 4, 2, 0);
        CHECK_FALSE(board.halt);
    }
    SUBCASE("device 1, command 1 prints a character") {
        bus.write(kRamBase + 64, 8, u64{0x0101} << 48 | 'x', 0);
        CHECK_FALSE(board.halt);
        CHECK(board.take_output() == "x");
    }
}
