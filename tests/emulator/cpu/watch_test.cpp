// Watched memory: a run stops before the instruction that would touch it, whatever kind of instruction that is.
#include "emulator/machine.hpp"

#include <doctest/doctest.h>

using namespace trapeze;

namespace {

constexpr u64 kCode = 0x1000, kData = 0x8000; // offsets in RAM
constexpr u32 kNop = 0x13;

/// Runs one instruction behind a nop, with x10 at the data (kData + 128), and x11 = 1. True when the watch stopped before it.
bool stops(u32 word, DataWatch watched) {
    Machine machine = std::move(Machine::create({.ram_bytes = 2 << 20, .builtin_firmware = false})).value();
    Hart& hart = machine.hart();
    hart.reset(kRamBase + kCode);
    hart.state[Csr::mstatus] = mstatus::FS;
    hart.state.x[10] = kRamBase + kData + 128, hart.state.x[11] = 1;
    machine.ram.write_value(kCode, kNop), machine.ram.write_value(kCode + 4, word), machine.ram.write_value(kCode + 8, kNop);
    Watch watch;
    watched.begin += kRamBase + kData, watched.end += kRamBase + kData;
    watch.data.push_back(watched);
    const Stop stop = machine.run(3, watch);
    const bool stopped = stop.kind == StopKind::Breakpoint;
    CHECK(stop.executed == (stopped ? 1 : 3));
    if (stopped) CHECK(hart.state.pc == kRamBase + kCode + 4);
    return stopped;
}

constexpr DataWatch loads(u64 begin, u64 bytes) { return {begin, begin + bytes, true, false}; }
constexpr DataWatch stores(u64 begin, u64 bytes) { return {begin, begin + bytes, false, true}; }

} // namespace

TEST_CASE("A watched byte is touched by the access that covers it, first and last byte included, and by no other") {
    constexpr u32 kLd = 0x00053283, kSw = 0x00b52023, kSh = 0xfeb51f23, kCsd = 0xe10c; // ld t0, 0(a0); sw a1, 0(a0); sh a1, -2(a0); c.sd a1, 0(a0)
    for (u64 byte = 126; byte < 138; ++byte) {
        CAPTURE(byte);
        CHECK(stops(kLd, loads(byte, 1)) == (byte >= 128 && byte < 136));
        CHECK(stops(kSw, stores(byte, 1)) == (byte >= 128 && byte < 132));
        CHECK(stops(kSh, stores(byte, 1)) == (byte < 128));
        CHECK(stops(kCsd | kNop << 16, stores(byte, 1)) == (byte >= 128 && byte < 136));
    }
    CHECK(stops(kLd, loads(0, 4096)));
    CHECK_FALSE(stops(kLd, stores(128, 8)));
    CHECK_FALSE(stops(kSw, loads(128, 8)));
    CHECK_FALSE(stops(kNop, DataWatch{0, 4096, true, true}));
}

TEST_CASE("Atomics, floating point and cache blocks are watched as what they do") {
    constexpr u32 kAmoadd = 0x00b522af, kLr = 0x100532af, kSc = 0x18b532af; // amoadd.w t0, a1, (a0); lr.d t0, (a0); sc.d t0, a1, (a0)
    CHECK(stops(kAmoadd, loads(128, 4)));
    CHECK(stops(kAmoadd, stores(131, 1)));
    CHECK_FALSE(stops(kAmoadd, stores(132, 1)));
    CHECK(stops(kLr, loads(135, 1)));
    CHECK_FALSE(stops(kLr, stores(128, 8)));
    CHECK(stops(kSc, stores(128, 8)));
    CHECK_FALSE(stops(kSc, loads(128, 8)));
    CHECK(stops(0x00053007, loads(128, 1)));  // fld ft0, 0(a0)
    CHECK(stops(0x00052027, stores(128, 1))); // fsw ft0, 0(a0)
    constexpr u32 kCboZero = 0x0045200f;      // cbo.zero (a0): 64 bytes around the address
    CHECK(stops(kCboZero, stores(128 + 63, 1)));
    CHECK_FALSE(stops(kCboZero, stores(128 + 64, 1)));
    CHECK_FALSE(stops(kCboZero, loads(128, 64)));
}
