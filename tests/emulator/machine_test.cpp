// The machine: turns of harts, time while everything waits, stops, copies.
#include "emulator/loader.hpp"

#include <doctest/doctest.h>

using namespace trapeze;

namespace {

constexpr u32 kWfi = 0x10500073, kEcall = 0x73, kSelf = 0x6f /* j . */, kNop = 0x13;
/// auipc x6, 1; loop: addi x5, x5, 1; sd x5, 0(x6); j loop
const std::vector<u32> kCounting = {0x0000'1317, 0x0012'8293, 0x0053'3023, 0xff9f'f06f};

std::vector<u8> image(const std::vector<u32>& words) {
    const auto* bytes = reinterpret_cast<const u8*>(words.data());
    return {bytes, bytes + words.size() * 4};
}

Machine machine(const std::vector<u32>& words, bool firmware, unsigned harts = 1) {
    MachineConfig config;
    config.ram_bytes = 16 << 20;
    config.harts = harts;
    config.builtin_firmware = firmware;
    Machine m = std::move(Machine::create(config)).value();
    REQUIRE(load_guest_bytes(m, image(words), "program"));
    return m;
}
} // namespace

TEST_CASE("Configurations that cannot be had are refused with the range that can") {
    const auto refused = [](auto change) {
        MachineConfig config;
        change(config);
        const auto m = Machine::create(config);
        REQUIRE_FALSE(m);
        return m.error();
    };
    CHECK(refused([](auto& c) { c.harts = 0; }).find("1 to 8") != std::string::npos);
    CHECK(refused([](auto& c) { c.harts = 9; }).find("1 to 8") != std::string::npos);
    CHECK(refused([](auto& c) { c.ram_bytes = 4096; }).find("1 MiB") != std::string::npos);
    CHECK(refused([](auto& c) { c.ram_bytes = u64{9} << 30; }).find("8 GiB") != std::string::npos);
    CHECK(refused([](auto& c) { c.ram_bytes = (1 << 20) + 1; }).find("4 KiB") != std::string::npos);
    CHECK(refused([](auto& c) { c.board.disks.resize(9, {disk_image(std::vector<u8>(512))}); }).find("8 slots") != std::string::npos);
    CHECK(refused([](auto& c) { c.board.disks = {{disk_image(std::vector<u8>(700))}}; }).find("512") != std::string::npos);
}

TEST_CASE("run(a) then run(b) is run(a + b), for one hart and for several") {
    for (unsigned harts : {1u, 3u}) {
        Machine whole = machine(kCounting, false, harts);
        Machine parts = whole;
        CHECK(whole.run(10'000).executed == 10'000);
        for (u64 n : {1, 998, 1, 1, 2500, 3000, 3499}) CHECK(parts.run(static_cast<u64>(n)).executed == static_cast<u64>(n));
        CHECK(whole == parts);
        whole.step();
        CHECK_FALSE(whole == parts);
    }
}

TEST_CASE("Harts share time: each has its turn, and no cycle counter runs ahead by more than a turn") {
    Machine m = machine(kCounting, false, 3);
    m.run(30'500);
    for (const Hart& h : m.harts) {
        CHECK(h.state.retired >= 10'000);
        CHECK(h.state.cycles + 1000 >= m.cycles());
    }
}

TEST_CASE("wfi skips the time to the timer that was set") {
    Machine m = machine({kEcall, kWfi, kSelf}, true);
    Hart& h = m.hart();
    Bus bus = m.bus();
    h.state.x[17] = 0x54494d45, h.state.x[16] = 0, h.state.x[10] = 5000;
    h.write_csr(Csr::sie, irq_bit(Irq::Sti), bus);
    CHECK(m.run(100).kind == StopKind::Budget);
    CHECK(h.state.cycles >= 5000 * kCyclesPerTick);
    CHECK(h.state.cycles < 5000 * kCyclesPerTick + 200);
    CHECK(h.state.pc == kRamBase + 0x20'0008);
}

TEST_CASE("wfi with nothing to wait for returns, and typing wakes the hart") {
    Machine m = machine({kWfi, kSelf}, true, 2);
    Hart& h = m.hart();
    Bus bus = m.bus();
    h.write_csr(Csr::sie, irq_bit(Irq::Sei), bus);
    bus.write(kUartBase + 1, 1, 1, 0);
    bus.write(kPlicBase + 4 * kUartIrq, 4, 1, 0);
    bus.write(kPlicBase + 0x2080, 4, 1 << kUartIrq, 0);
    const u64 before = m.cycles();
    CHECK(m.run(1'000'000).kind == StopKind::Wfi);
    CHECK(m.cycles() < before + 10); // no time passed
    m.board.type("x");
    CHECK(m.run(100).kind == StopKind::Budget);
    CHECK(h.state.pc == kRamBase + 0x20'0004);
}

TEST_CASE("A machine that was switched off stays off, and says so once on the trace") {
    Machine m = machine({kEcall}, true);
    m.trace.record(kAllClasses);
    m.hart().state.x[17] = 0x53525354, m.hart().state.x[16] = 0, m.hart().state.x[10] = 0, m.hart().state.x[11] = 1;
    CHECK(m.run(1000).kind == StopKind::Halted);
    CHECK(m.board.halt->code == 1);
    CHECK(m.run(1000).kind == StopKind::Halted);
    CHECK(m.run(1000).executed == 0);
    CHECK(m.trace.count(EventKind::Halted) == 1);
    m.reset();
    CHECK_FALSE(m.board.halt);
}

TEST_CASE("A breakpoint right behind a firmware call is not missed, and is left again") {
    Machine m = machine({kEcall, kNop, kSelf}, true);
    m.hart().state.x[17] = 0x10;
    Watch watch;
    watch.pcs = {kRamBase + 0x20'0004};
    CHECK(m.run(1000, watch).kind == StopKind::Breakpoint);
    CHECK(m.hart().state.pc == kRamBase + 0x20'0004);
    CHECK(m.run(1000, watch).kind == StopKind::Budget);
}

TEST_CASE("A breakpoint where a hart's turn begins is not missed") {
    Machine m = machine({kNop, kSelf}, false, 2);
    Watch watch;
    watch.pcs = {kRamBase + 4};
    CHECK(m.run(5000, watch).hart == 0);
    const Stop second = m.run(1'000'000, watch);
    CHECK(second.kind == StopKind::Breakpoint);
}

TEST_CASE("A copy of a machine runs on by itself, and to the same place") {
    Machine a = machine(kCounting, false, 2);
    a.run(777);
    Machine b = a;
    CHECK(a == b);
    b.run(5000);
    CHECK_FALSE(a == b);
    a.run(5000);
    CHECK(a == b);
}

TEST_CASE("charge adds time to every hart") {
    Machine m = machine(kCounting, false, 2);
    m.charge(500);
    CHECK(m.hart(0).state.cycles == 500);
    CHECK(m.hart(1).state.cycles == 500);
}
