// The goldfish RTC: a date that is the same in every run, and an alarm that wakes a hart.
#include "emulator/devices/rtc.hpp"
#include "emulator/machine.hpp"

#include <doctest/doctest.h>

using namespace trapeze;

namespace {
struct RtcFixture {
    Ram ram{kPageSize};
    DeviceContext context{{ram, 0, 0, kPageSize}, 0};
    Rtc rtc;
    u32 in(u64 reg) { return static_cast<u32>(rtc.read(reg, 4, context)); }
    void out(u64 reg, u64 value) { rtc.write(reg, 4, value, context); }
    u64 time() {
        const u64 low = in(0);
        return u64{in(4)} << 32 | low;
    }
    void alarm(u64 at) { out(0xc, at >> 32), out(8, at); }
};
} // namespace

TEST_CASE_FIXTURE(RtcFixture, "RTC: time starts at 2026-01-01 and passes with mtime, a hundred nanoseconds a tick") {
    CHECK(time() == u64{1'767'225'600} * 1'000'000'000);
    context.ticks = kTimebaseHz * 86'400;
    CHECK(time() == u64{1'767'225'600 + 86'400} * 1'000'000'000);
}

TEST_CASE_FIXTURE(RtcFixture, "RTC: reading the low half latches the high half") {
    context.ticks = 0;
    const u64 low = in(0);
    context.ticks = kTimebaseHz * 3600;
    CHECK((u64{in(4)} << 32 | low) == Rtc::kStart);
}

TEST_CASE_FIXTURE(RtcFixture, "RTC: the time can be set, keeps passing, and survives a reset") {
    out(4, 0), out(0, 5000);
    CHECK(time() == 5000);
    context.ticks += 10;
    rtc.reset();
    CHECK(time() == 6000);
}

TEST_CASE_FIXTURE(RtcFixture, "RTC: an alarm interrupts at its tick, once, while its interrupt is enabled") {
    out(0x10, 1);
    alarm(Rtc::kStart + 1001); // between two ticks: the later one
    CHECK(in(0x18) == 1);
    CHECK(rtc.due() == 11);
    context.ticks = 10;
    rtc.advance(context);
    CHECK_FALSE(rtc.irq());
    context.ticks = 11;
    rtc.advance(context);
    CHECK(rtc.irq());
    CHECK(in(0x18) == 0);
    CHECK(rtc.due() == ~u64{0});
    out(0x10, 0);
    CHECK_FALSE(rtc.irq());
    out(0x10, 1);
    CHECK(rtc.irq());
    out(0x1c, 1);
    CHECK_FALSE(rtc.irq());
}

TEST_CASE_FIXTURE(RtcFixture, "RTC: an alarm in the past fires at once, a cleared or unreachable one never") {
    out(0x10, 1);
    alarm(1);
    CHECK(rtc.irq());
    out(0x1c, 1);
    alarm(Rtc::kStart + 1000);
    out(0x14, 1);
    CHECK(rtc.due() == ~u64{0});
    context.ticks = 1000;
    alarm(~u64{0});
    CHECK(rtc.due() > u64{1} << 50);
    CHECK_FALSE(rtc.irq());
}

TEST_CASE_FIXTURE(RtcFixture, "RTC: other sizes and offsets read zero and change nothing") {
    CHECK(rtc.read(0, 8, context) == 0);
    CHECK(rtc.read(1, 1, context) == 0);
    rtc.write(0, 8, 0, context);
    CHECK(time() == Rtc::kStart);
    for (u64 offset = 0x20; offset < Rtc::kSize; offset += 4) {
        out(offset, ~u64{0});
        CHECK(in(offset) == 0);
    }
}

TEST_CASE_FIXTURE(RtcFixture, "RTC: its state goes through an archive") {
    out(0x10, 1), out(4, 7);
    const u64 set = time();
    alarm(set + 5000);
    StateArchive saved;
    rtc.state(saved);
    Rtc other;
    StateArchive load(saved.bytes());
    other.state(load);
    CHECK_FALSE(load.failed());
    CHECK(other.due() == rtc.due());
    CHECK(other.read(0, 4, context) == static_cast<u32>(set));
}

TEST_CASE("A waiting hart is woken by the RTC's alarm at its very tick, and a reset does not turn time back") {
    MachineConfig config;
    config.ram_bytes = 1 << 20;
    config.builtin_firmware = false;
    Machine machine = std::move(Machine::create(config)).value();
    Hart& hart = machine.hart();
    Bus bus = machine.bus();
    hart.reset(kRamBase);
    bus.write(kRamBase, 4, 0x10500073, 0);    // wfi
    bus.write(kRamBase + 4, 4, 0x0000006f, 0); // j .
    hart.write_csr(Csr::mie, irq_bit(Irq::Mei), bus);
    bus.write(kPlicBase + 4 * kRtcIrq, 4, 1, 0);
    bus.write(kPlicBase + 0x2000, 4, 1 << kRtcIrq, 0);
    bus.write(kRtcBase + 0x10, 4, 1, 0);
    const u64 at = Rtc::kStart + 100'000; // tick 1000
    bus.write(kRtcBase + 0xc, 4, at >> 32, 0), bus.write(kRtcBase + 8, 4, at & 0xffff'ffff, 0);
    Machine parts = machine;
    machine.run(50);
    CHECK(hart.state.pc == kRamBase + 4);
    CHECK(ticks_of(hart.state.cycles) >= 1000);
    CHECK(hart.state.cycles < 1000 * kCyclesPerTick + 60);
    for (int i = 0; i < 50; ++i) parts.run(1);
    CHECK(parts == machine);
    const u64 before = machine.cycles();
    machine.reset();
    CHECK(machine.cycles() == before);
}
