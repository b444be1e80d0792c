// The hart by itself: traps, privilege, translation, counts. Programs are a few words, placed by hand.
#include "emulator/machine.hpp"

#include <doctest/doctest.h>

#include <initializer_list>

using namespace trapeze;

namespace {

Machine machine_with(std::initializer_list<u32> words, bool firmware = false) {
    Machine machine = std::move(Machine::create({.ram_bytes = 16 << 20, .builtin_firmware = firmware})).value();
    u64 at = 0;
    for (u32 word : words) machine.ram.write_value(at, word), at += 4;
    machine.hart().reset(kRamBase);
    return machine;
}

constexpr u32 kNop = 0x13, kEcall = 0x73, kEbreak = 0x100073, kWfi = 0x10500073, kMret = 0x30200073, kSelfJump = 0x6f;

} // namespace

TEST_CASE("hart: a budget is spent to the instruction") {
    Machine machine = machine_with({kNop, kNop, kNop, kSelfJump});
    CHECK(machine.run(2).executed == 2);
    CHECK(machine.hart().state.pc == kRamBase + 8);
    CHECK(machine.run(1000).executed == 1000);
    CHECK(machine.hart().state.retired == 1002);
}

TEST_CASE("hart: run(a) then run(b) equals run(a + b)") {
    for (u64 a : {1, 2, 3, 7, 63, 64, 65}) {
        Machine split = machine_with({0x00150513, 0x00a585b3, 0xff9ff06f}); // addi a0,a0,1; add a1,a1,a0; j -8
        Machine whole = split;
        split.run(a);
        split.run(500 - a);
        whole.run(500);
        CHECK(split == whole);
    }
}

TEST_CASE("3.1.15: an illegal instruction traps with its bits in mtval") {
    Machine machine = machine_with({0xffffffff});
    machine.hart().state[Csr::mtvec] = kRamBase + 0x100;
    machine.run(1);
    const HartState& s = machine.hart().state;
    CHECK(s.pc == kRamBase + 0x100);
    CHECK(s[Csr::mcause] == static_cast<u64>(Cause::IllegalInstruction));
    CHECK(s[Csr::mepc] == kRamBase);
    CHECK(s[Csr::mtval] == 0xffffffff);
    CHECK(s.retired == 0);
}

TEST_CASE("3.1.8: delegated exceptions from U go to S, others to M") {
    Machine machine = machine_with({kEcall, kEbreak});
    HartState& s = machine.hart().state;
    s[Csr::mtvec] = kRamBase + 0x100;
    s[Csr::stvec] = kRamBase + 0x200;
    s[Csr::medeleg] = 1u << static_cast<u64>(Cause::EcallFromU);
    s[Csr::pmpaddr0] = ~u64{0} >> 10;
    s[Csr::pmpcfg0] = 0x1f;
    s.priv = Priv::U;
    machine.run(1);
    CHECK(s.priv == Priv::S);
    CHECK(s.pc == kRamBase + 0x200);
    CHECK(s[Csr::scause] == static_cast<u64>(Cause::EcallFromU));
    CHECK(get_field(s[Csr::mstatus], mstatus::SPP) == 0);
    s.priv = Priv::U;
    s.pc = kRamBase + 4;
    machine.run(1);
    CHECK(s.priv == Priv::M);
    CHECK(s[Csr::mcause] == static_cast<u64>(Cause::Breakpoint));
}

TEST_CASE("seat: a trap into an occupied level returns with the level's registers set") {
    Machine machine = machine_with({kNop, kEcall});
    HartState& s = machine.hart().state;
    s[Csr::medeleg] = 1u << static_cast<u64>(Cause::EcallFromU);
    s[Csr::pmpaddr0] = ~u64{0} >> 10;
    s[Csr::pmpcfg0] = 0x1f;
    s.priv = Priv::U;
    machine.hart().occupy(Priv::S);
    const Stop stop = machine.run(100);
    CHECK(stop.kind == StopKind::SeatTrap);
    CHECK(stop.executed == 2);
    CHECK(stop.trap.to == Priv::S);
    CHECK(stop.trap.from == Priv::U);
    CHECK(s[Csr::sepc] == kRamBase + 4);
    s[Csr::sepc] += 4;
    machine.hart().return_from_trap(Priv::S);
    CHECK(s.priv == Priv::U);
    CHECK(s.pc == kRamBase + 8);
}

TEST_CASE("3.3.1: jumping into the void faults and stays within its budget") {
    Machine machine = machine_with({0x00000067}); // jr zero: mtvec is 0 as well
    const Stop stop = machine.run(10000);
    CHECK(stop.kind == StopKind::Budget);
    CHECK(stop.executed == 10000);
    CHECK(machine.hart().state[Csr::mcause] == static_cast<u64>(Cause::InstructionAccess));
}

TEST_CASE("3.3.3: wfi without a scheduled event gives the hart back") {
    Machine machine = machine_with({kWfi, kNop, kSelfJump});
    machine.hart().state[Csr::mie] = irq_bit(Irq::Msi);
    const Stop stop = machine.run(1000);
    CHECK(stop.kind == StopKind::Wfi);
    CHECK(stop.executed == 1);
    machine.board.clint.set_msip(0, true);
    CHECK(machine.run(3).executed == 3);
    CHECK(machine.hart().state.pc == kRamBase + 8);
}

TEST_CASE("3.3.3: wfi with a timer skips to it") {
    Machine machine = machine_with({kWfi, kSelfJump});
    machine.hart().state[Csr::mie] = irq_bit(Irq::Mti);
    machine.board.clint.set_mtimecmp(0, 5000);
    machine.run(10);
    CHECK(machine.cycles() >= 5000 * kCyclesPerTick);
    CHECK(machine.cycles() < 5000 * kCyclesPerTick + 20);
}

TEST_CASE("stores into decoded code are seen by the next fetch") {
    // lui a1, 0x13 is patched over the instruction at +16 on the second pass
    Machine machine = machine_with({
        0x00000297, // auipc t0, 0
        0x0142a303, // lw t1, 20(t0)
        0x0062a823, // sw t1, 16(t0)
        kNop,
        0x00100513, // addi a0, zero, 1
        0x00200513, // addi a0, zero, 2: the new instruction
        kSelfJump,
    });
    Machine once = machine;
    once.hart().state.pc = kRamBase + 12;
    once.run(2); // decodes the block first
    CHECK(once.hart().state.x[10] == 1);
    once.hart().state.pc = kRamBase;
    once.run(5);
    CHECK(once.hart().state.x[10] == 2);
}

TEST_CASE("copies of a machine do not see each other's writes") {
    Machine machine = machine_with({0x00a5a023, 0xffdff06f}); // sw a0, 0(a1); j -4
    machine.hart().state.x[11] = kRamBase + 0x2000;
    machine.hart().state.x[10] = 1;
    machine.run(10);
    Machine copy = machine;
    copy.hart().state.x[10] = 2;
    copy.run(10);
    machine.run(10);
    u32 mine = 0, theirs = 0;
    machine.ram.read(0x2000, mine);
    copy.ram.read(0x2000, theirs);
    CHECK(mine == 1);
    CHECK(theirs == 2);
}

namespace {

constexpr u32 load(u32 rd, u32 base) { return base << 15 | 3 << 12 | rd << 7 | 0x03; }          // ld rd, 0(base)
constexpr u32 store(u32 value, u32 base) { return value << 20 | base << 15 | 3 << 12 | 0x23; }   // sd value, 0(base)
constexpr u32 call(u32 target) { return target << 15 | 1 << 7 | 0x67; }                         // jalr ra, target
constexpr u32 move(u32 rd, u32 from) { return from << 15 | rd << 7 | 0x13; }
constexpr u32 fence_of(u32 address) { return 0x12000073 | address << 15; }                      // sfence.vma address
constexpr u32 kS0 = 8, kS1 = 9, kA0 = 10, kA1 = 11, kA2 = 12, kA3 = 13, kS2 = 18, kS3 = 19;
constexpr u64 kAll = pte::V | pte::R | pte::W | pte::X | pte::A | pte::D;
constexpr u64 kWindow = 0x4000'0000, kTables = 0x10'0000, kOldFrame = 0x40'0000, kNewFrame = 0x60'0000;

constexpr u64 leaf(u64 ram_offset, u64 flags = kAll) { return (kRamBase + ram_offset) >> 2 | flags; }

/// In S-mode under Sv39: RAM is mapped to itself by one large page, s0 is the window's address and s3 that of its second page. The store of s1
/// to s2 maps the window to another frame.
Machine machine_with_window(std::initializer_list<u32> words, bool superpage) {
    Machine machine = machine_with(words);
    const u64 last = superpage ? kTables + 0x1000 : kTables + 0x2000;
    machine.ram.write_value(kTables + 8 * 2, leaf(0));
    machine.ram.write_value(kTables + 8 * 1, leaf(kTables + 0x1000, pte::V));
    if (!superpage) machine.ram.write_value(kTables + 0x1000, leaf(kTables + 0x2000, pte::V));
    machine.ram.write_value(last, leaf(kOldFrame));
    HartState& s = machine.hart().state;
    s[Csr::satp] = satp::kSv39 << 60 | (kRamBase + kTables) >> kPageShift;
    s[Csr::pmpaddr0] = ~u64{0} >> 10, s[Csr::pmpcfg0] = 0x1f;
    s.priv = Priv::S;
    s.x[kS0] = kWindow, s.x[kS1] = leaf(kNewFrame), s.x[kS2] = kRamBase + last, s.x[kS3] = kWindow + kPageSize;
    return machine;
}

} // namespace

TEST_CASE("10.2.1: after a fence of an address, loads and stores go where its page is now") {
    Machine machine = machine_with_window({load(kA0, kS0), store(kS1, kS2), fence_of(kS0), load(kA1, kS0), store(kA0, kS0), kSelfJump}, false);
    machine.ram.write_value(kOldFrame, u64{1}), machine.ram.write_value(kNewFrame, u64{2});
    machine.run(6);
    CHECK(machine.hart().state.x[kA0] == 1);
    CHECK(machine.hart().state.x[kA1] == 2);
    u64 stored = 0;
    CHECK(machine.ram.read(kNewFrame, stored));
    CHECK(stored == 1);
}

TEST_CASE("10.2.1: a fence of an address covers the whole superpage that it lies in") {
    Machine machine = machine_with_window({load(kA0, kS0), load(kA1, kS3), store(kS1, kS2), fence_of(kS0), load(kA2, kS0), load(kA3, kS3), kSelfJump}, true);
    machine.ram.write_value(kOldFrame, u64{1}), machine.ram.write_value(kOldFrame + kPageSize, u64{2});
    machine.ram.write_value(kNewFrame, u64{3}), machine.ram.write_value(kNewFrame + kPageSize, u64{4});
    machine.run(7);
    const HartState& s = machine.hart().state;
    CHECK(s.x[kA0] == 1);
    CHECK(s.x[kA1] == 2);
    CHECK(s.x[kA2] == 3);
    CHECK(s.x[kA3] == 4);
}

TEST_CASE("10.2.1: after a fence of an address, code is fetched from where its page is now") {
    for (bool superpage : {false, true}) {
        Machine machine = machine_with_window({call(kS0), move(kA1, kA0), store(kS1, kS2), fence_of(kS0), call(kS0), kSelfJump}, superpage);
        constexpr u32 kReturn = 0x8067;
        machine.ram.write_value(kOldFrame, u32{0x00100513}), machine.ram.write_value(kOldFrame + 4, kReturn); // li a0, 1
        machine.ram.write_value(kNewFrame, u32{0x00200513}), machine.ram.write_value(kNewFrame + 4, kReturn); // li a0, 2
        machine.run(10);
        CHECK(machine.hart().state.pc == kRamBase + 20);
        CHECK(machine.hart().state.x[kA1] == 1);
        CHECK(machine.hart().state.x[kA0] == 2);
    }
}

TEST_CASE("14.2: lr, sc and AMOs on a page that was touched before give what they give on a new one") {
    constexpr u32 kReserve = 0x1000302f | kS0 << 15, kConditional = 0x1800302f | kS0 << 15, kAdd = 0x0000302f | kS0 << 15;
    const auto program = {store(kA0, kS0), kReserve | kA1 << 7, kConditional | kS1 << 20 | kA2 << 7, kConditional | kA0 << 20 | kA3 << 7, kAdd | kA0 << 20 | kA0 << 7, kSelfJump};
    Machine warm = machine_with_window(program, false), cold = warm;
    warm.hart().state.x[kA0] = cold.hart().state.x[kA0] = 7;
    warm.run(5);
    for (int i = 0; i < 5; ++i) cold.hart().flush_translations(), cold.run(1);
    const HartState& s = warm.hart().state;
    CHECK(s.x[kA1] == 7);
    CHECK(s.x[kA2] == 0);
    CHECK(s.x[kA3] == 1);
    CHECK(s.x[kA0] == s.x[kS1]);
    u64 stored = 0;
    CHECK(warm.ram.read(kOldFrame, stored));
    CHECK(stored == s.x[kS1] + 7);
    CHECK(warm == cold);
}
