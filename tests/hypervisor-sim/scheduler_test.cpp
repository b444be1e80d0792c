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
constexpr Mode kModes[] = {Mode::Interpret, Mode::Translate, Mode::TrapAndEmulate, Mode::Paravirtual, Mode::HardwareAssisted};
constexpr u64 kSecret = 0x5ec2e75ec2e75ec2;

struct Together {
    Machine machine;
    VmScheduler vms;

    static Together start(const std::vector<std::pair<Mode, std::vector<u8>>>& guests, std::vector<u64> weights = {}, bool firmware = false) {
        std::vector<vmm::VmConfig> configs;
        for (const auto& [mode, image] : guests) {
            vmm::VmConfig config;
            config.mode = mode, config.ram_bytes = kGuestBytes, config.firmware = firmware;
            config.board.disks = {{disk_image(std::vector<u8>(64 * 512, 0x5a))}};
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

/// A guest that reads and writes a word of every page below `end`: of all devices' windows and of all memory that the machine has; and of each
/// further MiB up to 8 GiB. It faults on what is not there and goes on. a4 counts secrets found; when done it starts again, a5 counts rounds.
std::vector<u8> prowler(u64 end) {
    constexpr u64 kDevices = 0x1100'0000, kMiB = 1 << 20;
    Program p;
    p.open_pmp().csrw(Csr::mtvec, kHandler, t0).li(s4, kSecret);
    const u64 round = p.here();
    const auto prowl = [&p](u64 begin, u64 end, u64 stride) {
        p.li(t0, begin).li(s3, end).li(s6, stride);
        const u64 look = p.here();
        p.op(Op::auipc, {s7}).op(Op::ld, {t1, t0}).op(Op::bne, {0, t1, s4, 8}).op(Op::addi, {a4, a4, 0, 1});
        // Its own code and finisher it leaves alone.
        p.op(Op::srli, {t2, t0, 0, 16}).li(s0, kRamBase >> 16).op(Op::beq, {0, t2, s0, 16}).li(s0, kFinisherBase >> 16).op(Op::beq, {0, t2, s0, 8}).op(Op::sd, {0, t0, t0});
        p.op(Op::add, {t0, t0, s6}).op(Op::bltu, {0, t0, s3, static_cast<i64>(look - p.here())});
    };
    prowl(0, kDevices, kPageSize);
    prowl(kDevices, kRamBase, kMiB);
    prowl(kRamBase, end, kPageSize);
    prowl(end, u64{8} << 30, kMiB);
    p.op(Op::addi, {a5, a5, 0, 1}).jump(round);
    p.at(kHandler).csrr(s1, Csr::mepc).op(Op::addi, {s1, s1, 0, 4}).csrw(Csr::mepc, s1).op(Op::mret);
    return p.bytes();
}

/// Reads and writes every CSR number, in M-mode and then in S-mode; what exists gets its old value back. a5 is 1 and then 2 when a mode is done.
std::vector<u8> csr_prowler() {
    constexpr u64 kBegin = kRamBase + 0x1'0000, kSupervisor = kRamBase + 0x4'0000, kSupervisorHandler = kHandler + 0x100;
    Program p;
    p.open_pmp().csrw(Csr::mtvec, kHandler, t0).csrw(Csr::stvec, kSupervisorHandler, t0).csrw(Csr::medeleg, ~u64{0}, t0).jump(kBegin);
    p.at(kHandler).csrr(s1, Csr::mepc).op(Op::addi, {s1, s1, 0, 4}).csrw(Csr::mepc, s1).op(Op::mret);
    p.at(kSupervisorHandler).csrr(s1, Csr::sepc).op(Op::addi, {s1, s1, 0, 4}).csrw(Csr::sepc, s1).op(Op::sret);
    const auto all = [&p] {
        p.li(t1, ~u64{0});
        for (i64 number = 0; number < 4096; ++number) p.op(Op::csrrw, {a0, t1, 0, number}).op(Op::csrrw, {0, a0, 0, number});
        p.op(Op::addi, {a5, a5, 0, 1});
    };
    p.at(kBegin);
    all();
    p.mret_to(Priv::S, kSupervisor);
    p.at(kSupervisor);
    all();
    return p.op(Op::jal).bytes();
}

/// Gives its disk rings that lie outside its memory or across its end, and chains that lead outside, straddle the end, or lead back to themselves.
std::vector<u8> ring_prowler() {
    constexpr u64 kTable = kRamBase + 0x10'0000, kAvailable = kTable + 0x1000, kUsed = kTable + 0x2000, kEnd = kRamBase + kGuestBytes, kBuffer = kTable + 0x3000;
    constexpr u32 kNext = 1, kWrite = 2;
    struct Descriptor {
        u64 address;
        u32 length, flags, next;
    };
    struct Shape {
        u64 table, available, used;
        Descriptor first, second;
    };
    const Descriptor header{kBuffer, 16, kNext, 1}, good{kBuffer + 16, 512, kWrite, 0};
    const Shape shapes[] = {
        {kEnd, kAvailable, kUsed, header, good},                    // rings outside
        {kTable, kEnd + 0x1000, kUsed, header, good},
        {kTable, kAvailable, kEnd + 0x2000, header, good},
        {0, 0, 0, header, good},
        {kEnd - 16, kAvailable, kUsed, header, good},               // and across the end
        {kTable, kEnd - 4, kUsed, header, good},
        {kTable, kAvailable, kEnd - 4, header, good},
        {kTable, kAvailable, kUsed, header, {kEnd, 512, kWrite, 0}}, // a buffer outside
        {kTable, kAvailable, kUsed, header, {kRamBase - 512, 512, kWrite, 0}},
        {kTable, kAvailable, kUsed, header, {u64{0} - 256, 512, kWrite, 0}},
        {kTable, kAvailable, kUsed, header, {kEnd - 256, 512, kWrite, 0}}, // across the end
        {kTable, kAvailable, kUsed, header, {kBuffer, ~u32{0}, kWrite, 0}},
        {kTable, kAvailable, kUsed, header, {kBuffer, 512, kWrite | kNext, 1}}, // cyclic
        {kTable, kAvailable, kUsed, header, {kBuffer, 512, kWrite | kNext, 0}},
        {kTable, kAvailable, kUsed, header, {kBuffer, 512, kWrite | kNext, 0xffff}},
    };
    Program p;
    p.open_pmp().csrw(Csr::mtvec, kHandler, t0).jump(kRamBase + 0x1'0000);
    p.at(kHandler).csrr(s1, Csr::mepc).op(Op::addi, {s1, s1, 0, 4}).csrw(Csr::mepc, s1).op(Op::mret).at(kRamBase + 0x1'0000);
    const auto device = [&p](u64 offset, u64 value) { p.li(t0, kVirtioBase + offset).li(t1, value).op(Op::sw, {0, t0, t1}); };
    p.li(t0, kVirtioBase).op(Op::lw, {t1, t0, 0, 8}).li(t2, 2).op(Op::beq, {0, t1, t2, 8}).op(Op::jal); // it is a disk, or nothing is tried
    for (const Shape& shape : shapes) {
        unsigned at = 0;
        for (const Descriptor& d : {shape.first, shape.second}) {
            p.poke(kTable + at, d.address).poke(kTable + at + 8, u64{d.next} << 48 | u64{d.flags} << 32 | d.length);
            at += 16;
        }
        p.poke(kBuffer, 0).poke(kBuffer + 8, 0).poke(kAvailable, u64{1} << 16).poke(kUsed, 0); // a read of sector 0; one chain, which begins at 0
        for (u64 status : {0, 1, 3}) device(0x70, status);
        device(0x24, 1), device(0x20, 1); // driver features: version 1
        device(0x70, 11), device(0x30, 0), device(0x38, 8);
        device(0x80, shape.table & 0xffff'ffff), device(0x84, shape.table >> 32);
        device(0x90, shape.available & 0xffff'ffff), device(0x94, shape.available >> 32);
        device(0xa0, shape.used & 0xffff'ffff), device(0xa4, shape.used >> 32);
        device(0x44, 1), device(0x70, 15), device(0x50, 0);
        p.op(Op::addi, {a5, a5, 0, 1});
    }
    return p.op(Op::jal).bytes();
}

/// All of a VM's memory.
std::vector<u8> memory_of(Together& t, std::size_t index) {
    std::vector<u8> bytes(kGuestBytes);
    Bus bus = t.vms.vm(index).guest_bus(t.machine);
    REQUIRE(bus.ram.read(bus.ram_offset(kRamBase), bytes));
    return bytes;
}

/// Runs victim and attacker until the attacker's a5 is `done`; the victim must then be, to the byte, as when it runs as many instructions alone.
void check_isolated(Mode victim, Mode attacker, const std::vector<u8>& attack, u64 done) {
    CAPTURE(std::string(vmm::mode_row(victim).name));
    CAPTURE(std::string(vmm::mode_row(attacker).name));
    Together t = Together::start({{victim, keeper()}, {attacker, attack}}, {100, 400});
    for (int i = 0; i < 400 && t.state(1).x[a5] < done; ++i) t.vms.run(t.machine, 100'000);
    CHECK(t.state(1).x[a5] == done); // it came through
    for (int i = 0; i < 400 && t.state(0).x[a5] < 2; ++i) t.vms.run(t.machine, 100'000);
    CHECK(t.state(0).x[a5] >= 2);
    CHECK(t.state(0).x[a4] == 0);
    Together alone = Together::start({{victim, keeper()}});
    const u64 wanted = t.vms.vm(0).guest_instructions(t.machine);
    for (u64 now = 0; (now = alone.vms.vm(0).guest_instructions(alone.machine)) < wanted;) alone.vms.run(alone.machine, wanted - now);
    CHECK(alone.vms.vm(0).guest_instructions(alone.machine) == wanted);
    if (victim != Mode::Translate) CHECK(vmm::difference(t.state(0), alone.state(0)) == ""); // whose counter counts translated instructions, so that the two stop at different places of the loop
    CHECK(memory_of(t, 0) == memory_of(alone, 0));
}

/// Victim and attacker: each technique against itself, and against the two beside it in the table, once each way.
std::vector<std::pair<Mode, Mode>> opponents() {
    std::vector<std::pair<Mode, Mode>> pairs;
    for (std::size_t i = 0; i < std::size(kModes); ++i) {
        pairs.emplace_back(kModes[i], kModes[i]);
        pairs.emplace_back(kModes[i], kModes[(i + 1) % std::size(kModes)]);
        pairs.emplace_back(kModes[(i + 1) % std::size(kModes)], kModes[i]);
    }
    return pairs;
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

TEST_CASE("a VM that tries every page that a device or memory has finds and changes nothing of another one's") {
    for (const auto& [victim, attacker] : opponents()) {
        CAPTURE(std::string(vmm::mode_row(victim).name));
        CAPTURE(std::string(vmm::mode_row(attacker).name));
        const u64 end = kRamBase + Together::start({{victim, keeper()}, {attacker, keeper()}}).machine.ram.size();
        Together t = Together::start({{victim, keeper()}, {attacker, prowler(end)}}, {1, 40});
        for (int i = 0; i < 400 && t.state(1).x[a5] == 0; ++i) t.vms.run(t.machine, 1'000'000);
        CHECK(t.state(1).x[a5] > 0); // it came through
        CHECK(t.state(1).x[a4] == 0);
        t.vms.run(t.machine, 2'000'000);
        CHECK(t.state(0).x[a5] > 0);
        CHECK(t.state(0).x[a4] == 0);
    }
}

TEST_CASE("a VM that reads and writes every CSR changes nothing of another one's") {
    for (const auto& [victim, attacker] : opponents()) check_isolated(victim, attacker, csr_prowler(), 2);
}

TEST_CASE("a VM whose rings point outside its memory, across its end or in circles changes nothing of another one's") {
    for (const auto& [victim, attacker] : opponents()) check_isolated(victim, attacker, ring_prowler(), 15);
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
