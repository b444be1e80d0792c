#include "emulator/devices/uart.hpp"
#include "emulator/mem/ram.hpp"

#include <doctest/doctest.h>

using namespace trapeze;

namespace {
struct UartFixture {
    Ram ram{kPageSize};
    DeviceContext context{{ram, 0, 0, kPageSize}, 0};
    Uart uart;
    u8 in(u64 reg) { return static_cast<u8>(uart.read(reg, 1, context)); }
    void out(u64 reg, u8 value) { uart.write(reg, 1, value, context); }
};
} // namespace

TEST_CASE_FIXTURE(UartFixture, "16550: what is written to THR is printed once, and the transmitter is always empty") {
    out(0, 'h'), out(0, 'i');
    CHECK((in(5) & 0x60) == 0x60);
    CHECK(uart.take_output() == "hi");
    CHECK(uart.take_output().empty());
}

TEST_CASE_FIXTURE(UartFixture, "16550: the divisor latch hides data and interrupt enable") {
    out(3, 0x83);
    out(0, 0x34), out(1, 0x12);
    CHECK(in(0) == 0x34);
    CHECK(in(1) == 0x12);
    out(3, 0x03);
    CHECK(in(1) == 0);
    CHECK(uart.take_output().empty());
    out(7, 0x5a);
    CHECK(in(7) == 0x5a);
}

TEST_CASE_FIXTURE(UartFixture, "16550: received bytes come in order and interrupt while they wait") {
    uart.type("ab");
    CHECK_FALSE(uart.irq()); // not enabled
    out(1, 1);
    CHECK(uart.irq());
    CHECK(in(2) == 4);
    CHECK((in(5) & 1) == 1);
    CHECK(in(0) == 'a');
    CHECK(in(0) == 'b');
    CHECK((in(5) & 1) == 0);
    CHECK_FALSE(uart.irq());
    CHECK(in(2) == 1);
    CHECK(in(0) == 'b'); // nothing new
}

TEST_CASE_FIXTURE(UartFixture, "16550: with FIFOs, fewer bytes than the trigger are a time-out") {
    out(2, 0xc1); // enable, trigger 14
    out(1, 1);
    uart.type("x");
    CHECK(in(2) == 0xcc);
    uart.type(std::string(13, 'y'));
    CHECK(in(2) == 0xc4);
}

TEST_CASE_FIXTURE(UartFixture, "16550: the transmit interrupt comes on enabling and after each byte; reading IIR acknowledges it") {
    out(1, 2);
    CHECK(uart.irq());
    CHECK(in(2) == 2);
    CHECK_FALSE(uart.irq());
    CHECK(in(2) == 1);
    out(0, 'z');
    CHECK(uart.irq());
    out(1, 0);
    CHECK_FALSE(uart.irq());
}

TEST_CASE_FIXTURE(UartFixture, "16550: clearing the FIFO drops what the guest has seen, not what was typed ahead") {
    uart.type("early");
    out(2, 0x07); // a driver starts
    CHECK((in(5) & 1) == 1); // it looks
    out(2, 0x07);
    uart.type("late");
    CHECK(in(0) == 'l');
}

TEST_CASE_FIXTURE(UartFixture, "16550: loopback returns bytes and modem lines, and prints nothing") {
    out(4, 0x1a); // loop, RTS, OUT2
    CHECK((in(6) & 0xf0) == 0x90);
    out(0, 'q');
    CHECK(uart.take_output().empty());
    CHECK(in(0) == 'q');
    out(4, 0);
    CHECK((in(6) & 0xf0) == 0xb0);
}

TEST_CASE_FIXTURE(UartFixture, "16550: input and output are bounded, and what is dropped is counted") {
    uart.type(std::string(Uart::kMaxInput + 5, 'i'));
    CHECK(uart.dropped_input() == 5);
    CHECK(uart.take_typed(Uart::kMaxInput * 2).size() == Uart::kMaxInput);
    for (std::size_t i = 0; i < Uart::kMaxOutput + 10; ++i) out(0, i < Uart::kMaxOutput ? 'o' : 'n');
    const std::string kept = uart.take_output();
    CHECK(kept.size() <= Uart::kMaxOutput);
    CHECK(kept.ends_with("nnnnnnnnnn")); // the oldest went
    CHECK(kept.size() + uart.dropped_output() == Uart::kMaxOutput + 10);
    uart.print(std::string(3 * Uart::kMaxOutput, 'p'));
    CHECK(uart.take_output().size() <= Uart::kMaxOutput);
}

TEST_CASE_FIXTURE(UartFixture, "16550: interrupts have their order: line status, received data, transmitter") {
    out(2, 0x01), out(4, 0x10); // FIFOs, loopback
    for (int i = 0; i < 17; ++i) out(0, static_cast<u8>('a' + i));
    out(1, 7);
    CHECK(in(2) == 0xc6);
    CHECK(in(5) == 0x63); // overrun, data ready
    CHECK(in(5) == 0x61); // reading cleared the overrun
    CHECK(in(2) == 0xc4);
    for (int i = 0; i < 16; ++i) CHECK(in(0) == static_cast<u8>('a' + i));
    CHECK(in(2) == 0xc2);
    CHECK(in(2) == 0xc1);
    out(4, 0);
    uart.type("q");
    CHECK(in(0) == 'q'); // the byte that had no room is gone
}

TEST_CASE_FIXTURE(UartFixture, "16550: what Linux's 8250 driver probes for finds a 16550A without known bugs") {
    out(1, 0);
    CHECK((in(1) & 0xf) == 0);
    out(1, 0xf);
    CHECK((in(1) & 0xf) == 0xf);
    out(1, 0);
    out(4, 0x1a); // loopback, OUT2, RTS: DCD and CTS
    CHECK((in(6) & 0xf0) == 0x90);
    out(4, 0);
    out(3, 0xbf), out(2, 0), out(3, 0); // an extended feature register would be here
    out(2, 1);
    CHECK((in(2) >> 6) == 3);
    out(2, 0x27); // a 16750 would show bit 5
    CHECK((in(2) >> 5) == 6);
    out(2, 1);
    for (int i = 0; i < 2; ++i) { // twice: the transmit interrupt comes again when it is enabled again
        out(1, 2);
        CHECK((in(2) & 0xf) == 2);
        out(1, 0);
    }
    out(1, 2);
    CHECK((in(5) & 0x40) != 0);
    CHECK((in(2) & 1) == 0);
}

TEST_CASE_FIXTURE(UartFixture, "16550: without FIFOs the empty receive register shows its last byte; clearing the transmit FIFO empties it") {
    uart.type("x");
    CHECK(in(0) == 'x');
    CHECK(in(0) == 'x');
    CHECK((in(5) & 1) == 0);
    out(1, 2);
    CHECK(in(2) == 2);
    CHECK(in(2) == 1);
    out(2, 4);
    CHECK(in(2) == 2);
    out(2, 1);
    CHECK(in(0) == 0);
}

TEST_CASE_FIXTURE(UartFixture, "16550: its state goes through an archive") {
    out(3, 0x1b), out(7, 0x5a), out(2, 0xc1), out(1, 5), out(4, 0x1f);
    uart.type("typed"), uart.print("printed");
    StateArchive saved;
    uart.state(saved);
    Uart other;
    StateArchive load(saved.bytes());
    other.state(load);
    CHECK_FALSE(load.failed());
    StateArchive again;
    other.state(again);
    CHECK(again.bytes() == saved.bytes());
    CHECK(other.take_output() == "printed");
    CHECK(other.take_typed(9) == "typed");
}

TEST_CASE_FIXTURE(UartFixture, "16550: registers that do not exist read zero") {
    for (u64 reg = 8; reg < Uart::kSize; ++reg) {
        out(reg, 0xff);
        CHECK(in(reg) == 0);
    }
}
