// Several VMs on one machine: they share the hart by weight, and nothing else.
#include "hypervisor-sim/scheduler.hpp"
#include "tests/hypervisor-sim/guest_program.hpp"

#include <algorithm>
#include <array>
#include <cstring>

using namespace trapeze;
using namespace trapeze::test;
using vmm::Mode;
using vmm::VmmStopKind;
using vmm::VmScheduler;

namespace {

constexpr u64 kHandler = kRamBase + 0x8000;
constexpr Mode kModes[] = {Mode::Interpret, Mode::TrapAndEmulate, Mode::HardwareAssisted};
constexpr u64 kSecret = 0x5ec2e75ec2e75ec2;

struct Together {
    Machine machine;
    VmScheduler vms;

    static Together start(const std::vector<std::pair<Mode, std::vector<u8>>>& guests, std::vector<u64> weights = {}, bool firmware = false) {
        std::vector<vmm::VmConfig> configs;
        for (const auto& [mode, image] : guests) {
            vmm::VmConfig config;
            config.mode = mode, config.ram_bytes = kGuestBytes, config.firmware = firmware;
            configs.push_back(config);
        }
        auto machine = Machine::create({.ram_bytes = VmScheduler::machine_bytes(configs), .builtin_firmware = false});
        REQUIRE(machine);
        auto vms = VmScheduler::create(*machine, configs, weights);
        REQUIRE(vms);
        Together together{std::move(*machine), std::move(*vms)};
        for (std::size_t i = 0; i < guests.size(); ++i) REQUIRE(together.vms.vm(i).load(together.machine, guests[i].second, "test guest"));
        return together;
    }
    HartState state(std::size_t index) const { return vms.vm(index).guest_state(machine); }
};

/// Counts in a5 for ever.
std::vector<u8> counting() {
    Program p;
    p.op(Op::addi, {a5, a5, 0, 1}).op(Op::jal, {0, 0, 0, -4});
    return p.bytes();
}

/// A guest in S-mode that fills its memory from 2 MiB on with a pattern, then looks after it for ever; a5 counts the rounds, a4 the words that changed.
std::vector<u8> keeper() {
    constexpr u64 kBegin = kRamBase + 0x20'0000, kEnd = kBegin + 0x1'0000;
    Program p;
    p.open_pmp().li(s2, kBegin).li(s3, kEnd).li(s4, kSecret);
    p.op(Op::addi, {t0, s2});
    const u64 fill = p.here();
    p.op(Op::sd, {0, t0, s4}).op(Op::addi, {t0, t0, 0, 8}).op(Op::bltu, {0, t0, s3, static_cast<i64>(fill - p.here())});
    const u64 round = p.here();
    p.op(Op::addi, {t0, s2});
    const u64 look = p.here();
    p.op(Op::ld, {t1, t0}).op(Op::beq, {0, t1, s4, 8}).op(Op::addi, {a4, a4, 0, 1});
    p.op(Op::addi, {t0, t0, 0, 8}).op(Op::bltu, {0, t0, s3, static_cast<i64>(look - p.here())});
    p.op(Op::addi, {a5, a5, 0, 1}).jump(round);
    return p.bytes();
}

/// A guest that reads and writes a word of every page of the whole physical address space up to 8 GiB, and of the addresses of all
/// devices, through every CSR's help that it can get: it faults on what is not there and goes on. a4 counts secrets found; when done it
/// starts again, a5 counts rounds.
std::vector<u8> prowler() {
    Program p;
    p.open_pmp().csrw(Csr::mtvec, kHandler, t0).li(s2, 0).li(s3, u64{8} << 30).li(s4, kSecret).li(s6, 0x1000);
    const u64 round = p.here();
    p.op(Op::addi, {t0, s2});
    const u64 look = p.here();
    p.op(Op::auipc, {s7}).op(Op::ld, {t1, t0}).op(Op::bne, {0, t1, s4, 8}).op(Op::addi, {a4, a4, 0, 1});
    // Its own code and finisher it leaves alone.
    p.op(Op::srli, {t2, t0, 0, 16}).li(s0, kRamBase >> 16).op(Op::beq, {0, t2, s0, 16}).li(s0, kFinisherBase >> 16).op(Op::beq, {0, t2, s0, 8}).op(Op::sd, {0, t0, t0});
    p.op(Op::add, {t0, t0, s6}).op(Op::bltu, {0, t0, s3, static_cast<i64>(look - p.here())});
    p.op(Op::addi, {a5, a5, 0, 1}).jump(round);
    p.at(kHandler).csrr(s1, Csr::mepc).op(Op::addi, {s1, s1, 0, 4}).csrw(Csr::mepc, s1).op(Op::mret);
    return p.bytes();
}

} // namespace

TEST_CASE("VMs share the hart by their weights") {
    for (Mode mode : {Mode::TrapAndEmulate, Mode::HardwareAssisted}) {
        Together t = Together::start({{mode, counting()}, {mode, counting()}, {mode, counting()}}, {100, 200, 300});
        CHECK(t.vms.run(t.machine, 6'000'000).kind == VmmStopKind::Budget);
        u64 used = 0;
        for (std::size_t i = 0; i < 3; ++i) used += t.vms.share(i).used;
        CHECK(used == t.machine.cycles());
        for (std::size_t i = 0; i < 3; ++i) {
            CAPTURE(i);
            const double share = static_cast<double>(t.vms.share(i).used) / static_cast<double>(used);
            CHECK(share == doctest::Approx((i + 1) / 6.0).epsilon(0.02));
            CHECK(t.vms.share(i).used + t.vms.share(i).stolen == used); // it always had work
            CHECK(t.state(i).x[a5] > 0);
        }
    }
}

TEST_CASE("VMs of every technique run side by side, as each would alone") {
    std::vector<std::pair<Mode, std::vector<u8>>> guests;
    for (Mode mode : kModes) guests.emplace_back(mode, keeper());
    Together t = Together::start(guests);
    t.vms.run(t.machine, 20'000'000);
    for (std::size_t i = 0; i < guests.size(); ++i) {
        CAPTURE(vmm::mode_row(kModes[i]).name);
        CHECK(t.state(i).x[a5] > 2);
        CHECK(t.state(i).x[a4] == 0);
    }
}

TEST_CASE("a VM that waits gives its time to the others, and is not stolen from") {
    Program p; // sleeps until its timer, again and again
    p.csrw(Csr::menvcfg, menvcfg::STCE, t0).csrw(Csr::mie, irq_bit(Irq::Sti), t0);
    const u64 loop = p.here();
    p.csrr(t0, Csr::time).op(Op::addi, {t0, t0, 0, 2000}).csrw(Csr::stimecmp, t0).op(Op::wfi).op(Op::addi, {a5, a5, 0, 1}).jump(loop);
    for (Mode mode : {Mode::TrapAndEmulate, Mode::HardwareAssisted}) {
        Together t = Together::start({{mode, p.bytes()}, {mode, counting()}});
        t.vms.run(t.machine, 3'000'000);
        CHECK(t.state(0).x[a5] > 5);
        CHECK(t.vms.share(0).used < t.vms.share(1).used / 5);
        CHECK(t.vms.share(0).stolen < t.vms.share(1).used / 2);
        CHECK(t.vms.idle() == 0);
        Together both = Together::start({{mode, p.bytes()}, {mode, p.bytes()}});
        both.vms.run(both.machine, 100'000);
        CHECK(both.vms.idle() > both.machine.cycles() / 2);
    }
}

TEST_CASE("a guest that asks is told how much time others stole from it, in every mode") {
    constexpr u64 kStealTime = 0x535441, kRecord = kRamBase + 0x30'0000, kNanosecondsPerCycle = 10;
    Program p;
    p.li(s2, kRecord).op(Op::addi, {a0, s2}).li(a1, 0).li(a2, 0).li(a6, 0).li(a7, kStealTime).op(Op::ecall).op(Op::addi, {s3, a0});
    const u64 loop = p.here();
    p.op(Op::lwu, {s5, s2}).op(Op::ld, {s4, s2, 0, 8}).op(Op::lbu, {s6, s2, 0, 16}).op(Op::addi, {a5, a5, 0, 1}).jump(loop);
    for (Mode mode : {Mode::Interpret, Mode::Translate, Mode::TrapAndEmulate, Mode::Paravirtual, Mode::HardwareAssisted}) {
        CAPTURE(vmm::mode_row(mode).name);
        Together t = Together::start({{mode, p.bytes()}, {Mode::TrapAndEmulate, counting()}}, {}, true);
        const auto record = [&t](u64 offset) {
            u64 value = 0;
            Bus bus = t.vms.vm(0).guest_bus(t.machine);
            REQUIRE(bus.ram.read(bus.ram_offset(kRecord + offset), value));
            return value;
        };
        t.vms.run(t.machine, 1'000'000);
        for (std::size_t next : {1, 0})
            while (t.vms.current() != next) t.vms.run(t.machine, VmScheduler::kSlice / 4);
        CHECK(t.state(0).x[s3] == 0);
        const u64 stolen = t.vms.share(0).stolen * kNanosecondsPerCycle;
        CHECK(stolen > 0);
        CHECK(record(8) == stolen);
        CHECK(record(16) == 0);
        t.vms.run(t.machine, VmScheduler::kSlice / 4);
        REQUIRE(t.vms.current() == 0);
        const HartState seen = t.state(0);
        CHECK(seen.x[s4] == stolen);
        CHECK(seen.x[s5] % 2 == 0);
        CHECK(seen.x[s5] > 2);
        CHECK(seen.x[s6] == 0);
        while (t.vms.current() == 0) t.vms.run(t.machine, VmScheduler::kSlice / 4);
        CHECK(record(16) == 1); // it has work, and the other one has the hart
    }
}

TEST_CASE("run(a) and run(b) leave the same as run(a + b) with several VMs") {
    const std::vector<std::pair<Mode, std::vector<u8>>> guests{{Mode::TrapAndEmulate, keeper()}, {Mode::HardwareAssisted, keeper()}, {Mode::Interpret, keeper()}};
    Together whole = Together::start(guests), parts = Together::start(guests);
    whole.vms.run(whole.machine, 300'000);
    for (u64 used = 0, piece = 1; used < 300'000; piece = piece * 7 % 9973) used += parts.vms.run(parts.machine, std::min(piece, 300'000 - used)).executed;
    CHECK(whole.machine == parts.machine);
    for (std::size_t i = 0; i < guests.size(); ++i) {
        CHECK(whole.vms.share(i) == parts.vms.share(i));
        CHECK(whole.state(i) == parts.state(i));
    }
}

TEST_CASE("a VM that tries every page of the address space finds and changes nothing of another one's") {
    for (Mode victim : kModes) {
        for (Mode attacker : kModes) {
            CAPTURE(vmm::mode_row(victim).name);
            CAPTURE(vmm::mode_row(attacker).name);
            Together t = Together::start({{victim, keeper()}, {attacker, prowler()}}, {1, 40});
            for (int i = 0; i < 400 && t.state(1).x[a5] == 0; ++i) t.vms.run(t.machine, 1'000'000);
            CHECK(t.state(1).x[a5] > 0); // it came through
            CHECK(t.state(1).x[a4] == 0);
            t.vms.run(t.machine, 2'000'000);
            CHECK(t.state(0).x[a5] > 0);
            CHECK(t.state(0).x[a4] == 0);
        }
    }
}

TEST_CASE("a scheduler refuses no VMs, and weights beyond its limits") {
    auto machine = Machine::create({.ram_bytes = u64{64} << 20, .builtin_firmware = false});
    REQUIRE(machine);
    CHECK(VmScheduler::create(*machine, {}).error().find("give 1 to 1000") != std::string::npos);
    vmm::VmConfig config;
    config.ram_bytes = kGuestBytes;
    for (u64 weight : {u64{0}, VmScheduler::kMostWeight + 1}) {
        const std::array<u64, 1> weights{weight};
        CHECK(VmScheduler::create(*machine, {config}, weights).error().find("weight") != std::string::npos);
    }
    CHECK(VmScheduler::create(*machine, {config, config, config, config}).error().find("VM 4: ") == 0);
}
