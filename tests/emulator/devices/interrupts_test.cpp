// CLINT, PLIC and the board's lines.
#include "emulator/devices/board.hpp"
#include "emulator/mem/ram.hpp"

#include <doctest/doctest.h>

using namespace trapeze;

TEST_CASE("CLINT: mtimecmp is two words or one double word, mtime is the machine's") {
    Clint clint(2);
    CHECK(clint.read(0x4008, 8, 0) == ~u64{0}); // no timer until one is set
    clint.write(0x4008, 4, 0x1111'1111);
    clint.write(0x400c, 4, 0x2222'2222);
    CHECK(clint.mtimecmp(1) == 0x2222'2222'1111'1111);
    CHECK(clint.mtimecmp(0) == ~u64{0});
    clint.write(0xbff8, 8, 99);
    CHECK(clint.read(0xbff8, 8, 0x1'0000'0002) == 0x1'0000'0002);
    CHECK(clint.read(0xbffc, 4, 0x1'0000'0002) == 1);
}

TEST_CASE("CLINT: registers of harts that do not exist, and odd sizes, read zero") {
    Clint clint(1);
    clint.write(4, 4, 1);
    clint.write(0x4008, 8, 5);
    CHECK(clint.read(4, 4, 0) == 0);
    CHECK(clint.read(0x4008, 8, 0) == 0);
    CHECK(clint.read(0, 1, 0) == 0);
    clint.write(0, 4, 0xffff'ffff);
    CHECK(clint.read(0, 4, 0) == 1); // one bit
    CHECK(clint.msip(0));
}

namespace {
constexpr u64 kClaim0 = 0x20'0004, kClaim1 = 0x20'1004, kThreshold1 = 0x20'1000, kEnable1 = 0x2080;
}

TEST_CASE("PLIC: a raised source above the threshold is claimed once, highest priority first, lowest number on a tie") {
    Plic plic(1);
    for (unsigned source : {3, 5, 7}) plic.write(4 * source, 4, source == 7 ? 2 : 1);
    plic.write(kEnable1, 4, 1 << 3 | 1 << 5 | 1 << 7);
    for (unsigned source : {7, 5, 3}) plic.set_line(source, true, 1, IrqTrigger::Level);
    CHECK(plic.read(0x1000, 4) == (1 << 3 | 1 << 5 | 1 << 7));
    CHECK(plic.asserted(1));
    CHECK_FALSE(plic.asserted(0)); // nothing is enabled for M-mode
    CHECK(plic.read(kClaim1, 4) == 7);
    CHECK(plic.read(kClaim1, 4) == 3);
    CHECK(plic.read(kClaim1, 4) == 5);
    CHECK(plic.read(kClaim1, 4) == 0);
    CHECK_FALSE(plic.asserted(1));
}

TEST_CASE("PLIC chapter 3: a level-triggered source makes one request at a time, and another at completion while it is high") {
    Plic plic(1);
    plic.write(4 * 8, 4, 1);
    plic.write(kEnable1, 4, 1 << 8);
    plic.set_line(8, true, 1, IrqTrigger::Level);
    CHECK(plic.read(kClaim1, 4) == 8);
    plic.set_line(8, true, 2, IrqTrigger::Level); // while it is being served
    CHECK_FALSE(plic.asserted(1));
    CHECK(plic.read(0x1000, 4) == 0);
    plic.write(kClaim1, 4, 8);
    plic.set_line(8, true, 2, IrqTrigger::Level);
    CHECK(plic.asserted(1));
    plic.set_line(8, false, 2, IrqTrigger::Level); // the request was accepted: the handler will see that nothing is left to do
    CHECK(plic.asserted(1));
    CHECK(plic.read(kClaim1, 4) == 8);
    plic.write(kClaim1, 4, 8);
    plic.set_line(8, false, 2, IrqTrigger::Level);
    CHECK_FALSE(plic.asserted(1));
}

TEST_CASE("PLIC chapter 3: an edge-triggered source asks again after completion when it was raised meanwhile, not because it is high") {
    Plic plic(1);
    plic.write(4 * 10, 4, 1);
    plic.write(kEnable1, 4, 1 << 10);
    plic.set_line(10, true, 1, IrqTrigger::Edge);
    CHECK(plic.read(kClaim1, 4) == 10);
    plic.set_line(10, true, 1, IrqTrigger::Edge);
    plic.write(kClaim1, 4, 10);
    plic.set_line(10, true, 1, IrqTrigger::Edge);
    CHECK_FALSE(plic.asserted(1));
    plic.set_line(10, true, 2, IrqTrigger::Edge);
    CHECK(plic.read(kClaim1, 4) == 10);
    plic.set_line(10, true, 4, IrqTrigger::Edge); // twice while it is being served
    CHECK_FALSE(plic.asserted(1));
    plic.write(kClaim1, 4, 10);
    CHECK(plic.read(kClaim1, 4) == 10);
    plic.write(kClaim1, 4, 10);
    plic.set_line(10, true, 4, IrqTrigger::Edge);
    CHECK_FALSE(plic.asserted(1));
}

TEST_CASE("PLIC chapter 7: a claim is not bounded by the threshold") {
    Plic plic(1);
    plic.write(4 * 1, 4, 3);
    plic.write(kEnable1, 4, 2);
    plic.write(kThreshold1, 4, 7);
    plic.set_line(1, true, 1, IrqTrigger::Level);
    CHECK_FALSE(plic.asserted(1));
    CHECK(plic.read(kClaim1, 4) == 1);
}

TEST_CASE("PLIC: every hart has an M and an S context with enables, threshold and claim of its own; a request is claimed once") {
    for (unsigned harts = 1; harts <= 8; ++harts) {
        Plic plic(harts);
        plic.write(4 * 33, 4, 1);
        for (unsigned context = 0; context < 2 * harts; ++context) {
            plic.write(0x2000 + 0x80 * context + 4, 4, context % 3 ? 2 : 0);
            plic.write(0x20'0000 + 0x1000 * context, 4, context % 2);
        }
        plic.set_line(33, true, 1, IrqTrigger::Level);
        for (unsigned context = 0; context < 2 * harts; ++context) CHECK(plic.asserted(context) == (context % 3 && context % 2 == 0));
        CHECK(plic.read(0x20'1004, 4) == 33);
        for (unsigned context = 0; context < 2 * harts; ++context) CHECK(plic.read(0x20'0004 + 0x1000 * context, 4) == 0);
        CHECK_FALSE(plic.asserted(2 * harts)); // no such context
        CHECK(plic.read(0x2000 + 0x80 * 2 * harts + 4, 4) == 0);
    }
}

TEST_CASE("PLIC: any offset and size can be read and written, priorities and thresholds keep three bits") {
    Plic plic(2);
    for (u64 offset = 0; offset < Plic::kSize; offset += offset < 0x4000 || offset % 0x1000 < 12 ? 4 : 0xff4) {
        for (unsigned size : {1, 2, 4, 8}) plic.write(offset, size, ~u64{0}), (void)plic.read(offset, size);
    }
    CHECK(plic.read(4 * 95, 4) == 7);
    CHECK(plic.read(4 * 96, 4) == 0);
    CHECK(plic.read(0, 4) == 0);
    CHECK(plic.read(0x20'0000, 4) == 7);
    CHECK(plic.read(0x1000, 4) == 0); // pending bits are not written
}

TEST_CASE("PLIC: thresholds hide, foreign completions are ignored, source 0 does not exist") {
    Plic plic(1);
    plic.write(4 * 1, 4, 3);
    plic.write(kEnable1, 4, 3);
    CHECK(plic.read(kEnable1, 4) == 2);
    plic.set_line(0, true, 1, IrqTrigger::Level);
    plic.set_line(200, true, 1, IrqTrigger::Level);
    plic.set_line(1, true, 1, IrqTrigger::Level);
    plic.write(kThreshold1, 4, 3);
    CHECK_FALSE(plic.asserted(1));
    plic.write(kThreshold1, 4, 2);
    CHECK(plic.read(kClaim1, 4) == 1);
    plic.write(kClaim0, 4, 1); // context 0 has it disabled
    CHECK_FALSE(plic.asserted(1));
    plic.write(kClaim1, 4, 0xffff'ffff);
    plic.set_line(1, true, 1, IrqTrigger::Level);
    CHECK_FALSE(plic.asserted(1));
    plic.write(kClaim1, 4, 1);
    plic.set_line(1, true, 1, IrqTrigger::Level);
    CHECK(plic.asserted(1));
    CHECK(plic.read(0x5f'fffc, 4) == 0);
    CHECK(plic.read(kClaim1, 8) == 0); // wrong size: no claim
    CHECK(plic.asserted(1));
}

TEST_CASE("Board: timer, software and external lines are bits of mip") {
    Board board(2);
    Ram ram(kPageSize);
    DeviceContext context{{ram, kRamBase, 0, ram.size()}, 100};
    CHECK(board.lines(0, 100) == 0);
    board.write(kClintBase + 0x4008, 8, 100, context);
    CHECK(board.lines(1, 99) == 0);
    CHECK(board.next_tick(1) == 100);
    CHECK(board.lines(1, 100) == irq_bit(Irq::Mti));
    board.write(kClintBase, 4, 1, context);
    CHECK(board.lines(0, 0) == irq_bit(Irq::Msi));
    board.write(kClintBase, 4, 0, context);

    board.write(kPlicBase + 4 * kUartIrq, 4, 1, context);
    board.write(kPlicBase + 0x2080, 4, 1 << kUartIrq, context);
    board.write(kUartBase + 1, 1, 1, context); // receive interrupt
    CHECK(board.lines(0, 0) == 0);
    board.type("k");
    CHECK(board.lines(0, 0) == irq_bit(Irq::Sei));
    u64 value = 0;
    board.read(kPlicBase + 0x20'1004, 4, value, context);
    CHECK(value == kUartIrq);
    board.read(kUartBase, 1, value, context);
    CHECK(value == 'k');
    board.write(kPlicBase + 0x20'1004, 4, kUartIrq, context);
    CHECK(board.lines(0, 0) == 0);
    CHECK(board.lines(99, 0) == 0); // no such hart
}

TEST_CASE("Board: the finisher switches the machine off, and only the first request counts") {
    Board board(1);
    Ram ram(kPageSize);
    DeviceContext context{{ram, kRamBase, 0, ram.size()}, 0};
    board.write(kFinisherBase, 4, 0x1234, context);
    CHECK_FALSE(board.halt);
    SUBCASE("pass") { 
        board.write(kFinisherBase, 4, 0x5555, context);
        CHECK(board.halt == Halt{0, false});
    }
    SUBCASE("fail") {
        board.write(kFinisherBase, 4, 9 << 16 | 0x3333, context);
        board.write(kFinisherBase, 4, 0x5555, context);
        CHECK(board.halt == Halt{9, false});
    }
    SUBCASE("reset") { 
        board.write(kFinisherBase, 4, 0x7777, context);
        CHECK(board.halt == Halt{0, true});
    }
    board.reset();
    CHECK_FALSE(board.halt);
}

TEST_CASE("Board: its state goes through an archive unchanged, and a damaged archive is noticed") {
    Board board(2);
    Ram ram(kPageSize);
    DeviceContext context{{ram, kRamBase, 0, ram.size()}, 0};
    board.type("typed"), board.print("printed");
    board.write(kPlicBase + 4 * 10, 4, 5, context);
    board.write(kFinisherBase, 4, 3 << 16 | 0x3333, context);
    board.tohost = 0x8000'1000;
    StateArchive saved;
    board.state(saved);

    Board other(2);
    StateArchive load(saved.bytes());
    other.state(load);
    CHECK_FALSE(load.failed());
    StateArchive again;
    other.state(again);
    CHECK(again.bytes() == saved.bytes());
    CHECK(other.halt == Halt{3, false});
    CHECK(other.take_output() == "printed");

    for (std::size_t length = 0; length < saved.bytes().size(); length += 37) {
        StateArchive cut(std::vector<u8>(saved.bytes().begin(), saved.bytes().begin() + static_cast<long>(length)));
        other.state(cut);
        CHECK(cut.failed());
    }
}

TEST_CASE("Board: a copy is independent") {
    Board board(1);
    Board copy = board;
    copy.print("x");
    CHECK(board.take_output().empty());
    CHECK(copy.take_output() == "x");
    copy = board;
    CHECK(copy.devices().size() == board.devices().size());
    CHECK(copy.find("uart") != board.find("uart"));
    CHECK(board.find("nothing") == nullptr);
}
