// The registers of UART, PLIC, CLINT, RTC and empty virtio slots against QEMU's virt board: one straight program of loads and stores,
// on both, whose loads must give the same. Where QEMU is known to differ, the place says so and the access is left out.
#include "tests/hypervisor-sim/guest_program.hpp"
#include "tests/lockstep/machine_side.hpp"
#include "tests/lockstep/qemu_peer.hpp"

#include <fmt/format.h>

#include <random>

using namespace trapeze;

namespace {

constexpr u64 kResults = 0x8040'0000;

struct Access {
    bool write;
    unsigned size; ///< 1 or 4
    u64 address;
    u32 value = 0;
};

/// Accesses in a row, and what the loads among them gave.
struct Script {
    std::vector<Access> accesses;
    unsigned default_size = 1;
    u64 base = kUartBase;

    Script& at(u64 device, unsigned size) { return base = device, default_size = size, *this; }
    Script& in(u64 offset) { return accesses.push_back({false, default_size, base + offset}), *this; }
    Script& out(u64 offset, u32 value) { return accesses.push_back({true, default_size, base + offset, value}), *this; }
    std::string describe(std::size_t index) const {
        const Access& a = accesses[index];
        return fmt::format("access {}: {} {} bytes at {:#x}{}", index, a.write ? "store" : "load", a.size, a.address,
                           a.write ? fmt::format(" of {:#x}", a.value) : "");
    }
};

lockstep::Program compile(const Script& script, std::size_t& instructions) {
    test::Program code;
    code.li(test::s0, kResults);
    for (const Access& a : script.accesses) {
        code.li(test::t0, a.address);
        if (a.write) code.li(test::t1, a.value).op(a.size == 1 ? Op::sb : Op::sw, {0, test::t0, test::t1});
        else code.op(a.size == 1 ? Op::lbu : Op::lwu, {test::t1, test::t0}).op(Op::sd, {0, test::s0, test::t1}).op(Op::addi, {test::s0, test::s0, 0, 8});
    }
    instructions = (code.here() - kRamBase) / 4;
    lockstep::Program program;
    program.entry = program.begin = kRamBase, program.end = code.here();
    program.segments = {{kRamBase, code.bytes()}, {kResults, std::vector<u8>(8 * script.accesses.size())}};
    return program;
}

template <lockstep::Side Side> std::vector<u8> results(Side& side, const lockstep::Program& program, std::size_t instructions, std::size_t bytes) {
    REQUIRE(side.reset(program));
    for (std::size_t i = 0; i < instructions; ++i) REQUIRE(side.step());
    auto read = side.read(kResults, bytes);
    REQUIRE(read);
    return std::move(*read);
}

void compare(const Script& script) {
    if (!lockstep::QemuPeer::available()) {
        MESSAGE("skipped: qemu-system-riscv64 is not installed (Debian: qemu-system-misc)");
        return;
    }
    auto peer = lockstep::QemuPeer::start();
    REQUIRE_MESSAGE(peer, peer.error());
    std::size_t instructions = 0;
    const lockstep::Program program = compile(script, instructions);
    lockstep::MachineSide ours;
    const std::size_t bytes = 8 * script.accesses.size();
    const auto mine = results(ours, program, instructions, bytes), theirs = results(*peer, program, instructions, bytes);
    std::size_t loads = 0;
    for (std::size_t i = 0; i < script.accesses.size(); ++i) {
        if (script.accesses[i].write) continue;
        const auto at = static_cast<std::ptrdiff_t>(8 * loads++);
        const bool same = std::equal(mine.begin() + at, mine.begin() + at + 8, theirs.begin() + at);
        CHECK_MESSAGE(same, script.describe(i), " gives ", unsigned{mine[static_cast<std::size_t>(at)]}, ", QEMU has ",
                      unsigned{theirs[static_cast<std::size_t>(at)]});
    }
    CHECK(loads > 10);
}

/// Reads every UART register that a read does not change, then IIR twice and LSR.
void look_at_uart(Script& script) {
    for (u64 reg : {1, 3, 4, 6, 7}) script.in(reg);
    script.in(2).in(2).in(5);
}
} // namespace

TEST_CASE("QEMU: the 16550 has the same registers, loopback, FIFO and interrupt identification") {
    Script script;
    look_at_uart(script);
    script.out(3, 0x83).out(0, 0x34).out(1, 0x12).in(0).in(1).out(3, 0x03).in(1);
    script.out(1, 0xff).in(1).out(1, 0).out(4, 0xff).in(4).out(4, 0).out(7, 0x5a);
    look_at_uart(script);
    script.out(1, 2).in(2).in(2).out(1, 2).in(2).out(1, 0).out(1, 2).in(2).in(2); // the transmitter's interrupt
    script.out(0, 'x').in(5).in(2).in(2).out(1, 0);
    for (u32 mcr = 0x10; mcr < 0x20; ++mcr) script.out(4, mcr).in(4).in(6); // loopback of the modem lines
    script.out(4, 0x10).out(2, 0).out(1, 7).out(0, 'a').in(5).in(2).out(0, 'b').in(2).in(5).in(2).in(0).in(5).in(2).in(2); // overrun of one register
    script.out(2, 7).out(1, 4);
    for (u32 i = 0; i < 17; ++i) script.out(0, 'a' + i);
    script.in(2).in(5).in(2).out(1, 0).in(2); // overrun of the FIFO
    for (u32 i = 0; i < 16; ++i) script.in(0);
    script.in(5).out(0, 'q').out(2, 3).in(5); // clearing the FIFO
    script.out(0, 'r').out(2, 0).in(5).out(4, 0);
    compare(script);
}

TEST_CASE("QEMU: random accesses to the 16550 give the same") {
    std::mt19937_64 random(7);
    Script script;
    script.out(4, 0x10);
    for (int i = 0; i < 600; ++i) {
        const u32 value = static_cast<u32>(random());
        switch (random() % 8) {
        case 0: script.out(0, value & 0xff); break;
        case 1: script.out(1, value & 6); break; // the receiver's time-out comes later there
        case 2: script.out(2, value & 7); break;
        case 3: script.out(4, 0x10 | (value & 0xf)); break;
        case 4: script.in(0); break;
        case 5: script.in(2); break;
        case 6: script.in(5); break;
        default: script.in(std::array<u64, 4>{1, 3, 4, 7}[value % 4]); break;
        }
    }
    compare(script);
}

TEST_CASE("QEMU: the PLIC has the same registers, and a claim of a UART interrupt goes the same way") {
    Script script;
    script.at(kPlicBase, 4);
    for (u64 source : {0, 1, 2, 10, 31, 32, 52, 95}) script.out(4 * source, 0xffff'fff5).in(4 * source);
    for (u64 context : {0, 1}) {
        // Not bit 0: source 0 does not exist and its bit is hardwired to zero (PLIC specification, chapter 6); there it can be set.
        for (u64 word : {0, 1, 2}) script.out(0x2000 + 0x80 * context + 4 * word, 0xffff'fffe).in(0x2000 + 0x80 * context + 4 * word);
        for (u32 threshold : {1u, 7u, 0u}) script.out(0x20'0000 + 0x1000 * context, threshold).in(0x20'0000 + 0x1000 * context);
    }
    script.in(0x1000).in(0x1004).in(0x20'0004).in(0x20'1004);
    script.at(kUartBase, 1).out(1, 2).at(kPlicBase, 4).in(0x1000); // the transmitter's interrupt: source 10
    script.in(0x20'1004).in(0x1000).in(0x20'1004).in(0x20'0004);
    script.at(kUartBase, 1).in(2).out(0, 'x').at(kPlicBase, 4).in(0x1000).in(0x20'1004); // raised again while it is served
    script.out(0x20'0004, 77).out(0x20'1004, 10).in(0x20'0004).in(0x20'1004); // completed
    script.at(kUartBase, 1).in(2).at(kPlicBase, 4).out(0x20'1004, 10).out(0x20'0004, 10).in(0x20'1004);
    compare(script);
}

TEST_CASE("QEMU: CLINT, RTC and empty virtio slots have the same registers") {
    Script script;
    script.at(kClintBase, 4).in(0).out(0, 0xffff'ffff).in(0).out(0, 0).in(0);
    script.out(0x4000, 0x1234'5678).out(0x4004, 0x7fff'ffff).in(0x4000).in(0x4004).in(0x8000);
    script.at(kRtcBase, 4).in(0x08).in(0x0c).in(0x10).in(0x18);
    script.out(0x10, 3).in(0x10).out(0x0c, 0x7000'0000).out(0x08, 5).in(0x08).in(0x0c).in(0x18).out(0x14, 1).in(0x18); // an alarm, cleared
    script.out(0x0c, 1).out(0x08, 1).in(0x18); // an alarm in the past
    script.at(kPlicBase, 4).in(0x1000).at(kRtcBase, 4).out(0x1c, 1).out(0x10, 0).in(0x18).in(0x20);
    for (u64 slot = 0; slot < kVirtioSlots; ++slot) {
        script.at(kVirtioBase + slot * kVirtioStride, 4).in(0).in(8).in(12); // version 1 there, where the legacy interface is the default
        script.in(0x10).in(0x34).in(0x70);
    }
    compare(script);
}
