// The built-in firmware (RISC-V SBI specification 2.0), called directly and by programs.
#include "emulator/loader.hpp"

#include <doctest/doctest.h>

using namespace trapeze;

namespace {

constexpr u64 kBaseId = 0x10, kTime = 0x54494d45, kIpi = 0x735049, kRfence = 0x52464e43, kHsm = 0x48534d, kReset = 0x53525354, kDebug = 0x4442434e,
              kPmu = 0x504d55;
constexpr i64 kNotSupported = -2, kInvalidParam = -3, kInvalidAddress = -5, kAlreadyAvailable = -6, kAlreadyStarted = -7, kAlreadyStopped = -8;

struct Fixture {
    Machine machine = make();
    static Machine make() {
        MachineConfig config;
        config.ram_bytes = 16 << 20;
        config.harts = 3;
        Machine m = std::move(Machine::create(config)).value();
        REQUIRE(load_guest_bytes(m, std::vector<u8>(64, 0), "flat"));
        return m;
    }
    struct Answer {
        i64 error;
        u64 value;
    };
    /// An ecall from S-mode on a hart, delivered and served.
    Answer call(u64 extension, u64 function, u64 a0 = 0, u64 a1 = 0, u64 a2 = 0, unsigned hart = 0, u64 a3 = 0) {
        Hart& h = machine.hart(hart);
        Bus bus = machine.bus();
        h.state.priv = Priv::S;
        h.state.x[17] = extension, h.state.x[16] = function, h.state.x[10] = a0, h.state.x[11] = a1, h.state.x[12] = a2, h.state.x[13] = a3;
        Trap trap;
        trap.cause = static_cast<u64>(Cause::EcallFromS), trap.epc = h.state.pc;
        const u64 pc = h.state.pc;
        trap = h.deliver(trap, bus);
        REQUIRE(trap.to == Priv::M);
        machine.firmware.serve(trap, machine.harts, hart, bus);
        if (!machine.board.halt && machine.firmware.status[hart] == Firmware::HartStatus::Started) {
            CHECK(h.state.priv == Priv::S);
            CHECK(h.state.pc == pc + 4);
        }
        return {static_cast<i64>(h.state.x[10]), h.state.x[11]};
    }
};
} // namespace

TEST_CASE_FIXTURE(Fixture, "A kernel starts in S-mode on hart 0, with exceptions and interrupts delegated to it") {
    const HartState& s = machine.hart().state;
    CHECK(s.priv == Priv::S);
    CHECK(s.pc == kRamBase + 0x20'0000);
    CHECK(s.x[10] == 0);
    CHECK((s[Csr::mideleg] & 0x222) == 0x222);
    for (Cause c : {Cause::IllegalInstruction, Cause::Breakpoint, Cause::EcallFromU, Cause::LoadPageFault, Cause::StorePageFault, Cause::InstructionPageFault})
        CHECK(bit(s[Csr::medeleg], static_cast<unsigned>(c)));
    CHECK_FALSE(bit(s[Csr::medeleg], static_cast<unsigned>(Cause::EcallFromS)));
    for (Cause c : {Cause::EcallFromVs, Cause::InstructionGuestPageFault, Cause::LoadGuestPageFault, Cause::VirtualInstruction, Cause::StoreGuestPageFault})
        CHECK(bit(s[Csr::medeleg], static_cast<unsigned>(c)) == machine.hart().features().hypervisor);
    // What the device tree promises (Sstc, Svpbmt, Svadu) is switched on.
    for (u64 enable : {menvcfg::STCE, menvcfg::PBMTE, menvcfg::ADUE}) CHECK((s[Csr::menvcfg] & enable) != 0);
    CHECK((s[Csr::mstatus] & mstatus::FS) == 0);
    CHECK(machine.firmware.status[1] == Firmware::HartStatus::Stopped);
}

TEST_CASE_FIXTURE(Fixture, "16: steal time is there only where a VMM offers it, and its record is checked") {
    constexpr u64 kStealTime = 0x535441, kNone = ~u64{0}, kRecord = kRamBase + 0x30'0040;
    CHECK(call(kBaseId, 3, kStealTime).value == 0);
    CHECK(call(kStealTime, 0, kRecord).error == kNotSupported);
    machine.firmware.offers_steal_time = true;
    CHECK(call(kBaseId, 3, kStealTime).value == 1);
    CHECK(call(kStealTime, 1, kRecord).error == kNotSupported);
    CHECK(call(kStealTime, 0, kRecord, 0, 1).error == kInvalidParam);    // flags
    CHECK(call(kStealTime, 0, kRecord + 32).error == kInvalidParam);     // not 64-byte aligned
    CHECK(call(kStealTime, 0, kRecord, 1).error == kInvalidAddress);     // above 64 bits
    CHECK(call(kStealTime, 0, kNone, 0).error == kInvalidParam);         // half of "none"
    for (u64 outside : {u64{0}, u64{0x1000'0000}, kRamBase + machine.ram.size()}) CHECK(call(kStealTime, 0, outside).error == kInvalidAddress);
    CHECK(machine.firmware.steal_record == Firmware::kNoRecord);

    const auto word = [this](u64 offset) {
        u64 value = 0;
        machine.ram.read(kRecord - kRamBase + offset, value);
        return value;
    };
    Bus bus = machine.bus();
    machine.ram.write_value(kRecord - kRamBase, u64{0x1234'5678});
    machine.ram.write_value(kRecord - kRamBase + 56, ~u64{0});
    machine.firmware.tell_stolen(1000, false, bus);
    CHECK(word(0) == 0x1234'5678); // nobody has asked
    CHECK(call(kStealTime, 0, kRecord).error == 0);
    for (u64 offset = 0; offset < 64; offset += 8) CHECK(word(offset) == 0);
    machine.firmware.tell_stolen(1000, true, bus);
    CHECK(word(0) == 2); // sequence, even; flags 0
    CHECK(word(8) == 1000);
    CHECK(word(16) == 1);
    machine.firmware.tell_stolen(3000, false, bus);
    CHECK(word(0) == 4);
    CHECK(word(8) == 3000);
    CHECK(word(16) == 0);
    CHECK(call(kStealTime, 0, kNone, kNone).error == 0);
    machine.firmware.tell_stolen(9000, true, bus);
    CHECK(word(8) == 3000);
}

TEST_CASE_FIXTURE(Fixture, "4: Base says version 2.0 and which extensions there are") {
    CHECK(call(kBaseId, 0).value == u64{2} << 24);
    for (u64 present : {kBaseId, kTime, kIpi, kRfence, kHsm, kReset, kDebug, kPmu}) CHECK(call(kBaseId, 3, present).value == 1);
    for (u64 legacy = 0; legacy <= 8; ++legacy) CHECK(call(kBaseId, 3, legacy).value == 1);
    CHECK(call(kBaseId, 3, 0x1234567).value == 0);
    CHECK(call(kBaseId, 99).error == kNotSupported);
    CHECK(call(0x1234567, 0).error == kNotSupported);
    CHECK(machine.trace.count(EventKind::FirmwareCall) == 21);
}

TEST_CASE_FIXTURE(Fixture, "6: set_timer moves the supervisor's timer") {
    Bus bus = machine.bus();
    CHECK(call(kTime, 0, 500).error == 0);
    CHECK(machine.hart().state[Csr::stimecmp] == 500);
    CHECK((machine.hart().mip(bus) & irq_bit(Irq::Sti)) == 0);
    call(kTime, 0, 0);
    CHECK((machine.hart().mip(bus) & irq_bit(Irq::Sti)) != 0);
}

TEST_CASE_FIXTURE(Fixture, "7, 8: IPIs and fences go to a mask of harts that must exist") {
    Bus bus = machine.bus();
    CHECK(call(kIpi, 0, 0b10, 1).error == 0); // hart 1 + 1
    CHECK((machine.hart(2).mip(bus) & irq_bit(Irq::Ssi)) != 0);
    CHECK((machine.hart(1).mip(bus) & irq_bit(Irq::Ssi)) == 0);
    CHECK(call(kIpi, 0, 0, ~u64{0}).error == 0); // all
    CHECK((machine.hart(1).mip(bus) & irq_bit(Irq::Ssi)) != 0);
    CHECK(call(kIpi, 0, 0b1000, 0).error == kInvalidParam);
    CHECK(call(kIpi, 0, 1, 3).error == kInvalidParam);
    CHECK(call(kRfence, 0, 0b111).error == 0);
    CHECK(call(kRfence, 1, 0b111, 0).error == 0);
    CHECK(call(kRfence, 1, ~u64{0}, 0).error == kInvalidParam);
    CHECK(call(kRfence, 50).error == kNotSupported);
    const bool has_guests = bit(machine.hart().read_csr(Csr::misa, bus), 'H' - 'A');
    for (u64 guest_fence : {3, 4, 5, 6}) CHECK(call(kRfence, guest_fence, 1).error == (has_guests ? 0 : kNotSupported));
}

TEST_CASE_FIXTURE(Fixture, "9: harts are started once, at an address in RAM, and stop") {
    CHECK(call(kHsm, 2, 1).value == 1); // stopped
    CHECK(call(kHsm, 0, 1, 0x1000).error == kInvalidAddress);
    CHECK(call(kHsm, 0, 7, kRamBase).error == kInvalidParam);
    CHECK(call(kHsm, 0, 1, kRamBase + 0x100, 42).error == 0);
    CHECK(machine.hart(1).state.pc == kRamBase + 0x100);
    CHECK(machine.hart(1).state.x[10] == 1);
    CHECK(machine.hart(1).state.x[11] == 42);
    CHECK(machine.hart(1).state.priv == Priv::S);
    CHECK(call(kHsm, 0, 1, kRamBase).error == kAlreadyAvailable);
    CHECK(call(kHsm, 2, 1).value == 0);
    CHECK(call(kHsm, 2, 9).error == kInvalidParam);
    call(kHsm, 1, 0, 0, 0, 1);
    CHECK(call(kHsm, 2, 1).value == 1);
    CHECK(call(kHsm, 3, 0x8000'0000).error == kNotSupported);
    CHECK(call(kHsm, 3, 0x1000'0000).error == kNotSupported); // another platform's kind
    CHECK(call(kHsm, 3, 1).error == kInvalidParam);           // reserved
    CHECK(call(kHsm, 3, 0xffff'ffff'0000'0000).error == 0);   // the kind is 32 bits wide
    CHECK(machine.hart().state.waiting);
    CHECK(call(kHsm, 2, 0, 0, 0, 2).value == 4); // suspended, as another hart sees it
    machine.hart().state.waiting = false;
    CHECK(call(kHsm, 2, 0, 0, 0, 2).value == 0);
    CHECK(call(kHsm, 4).error == kNotSupported);
}

TEST_CASE_FIXTURE(Fixture, "10: shutdown, failure and reboot") {
    SUBCASE("shutdown") {
        call(kReset, 0, 0, 0);
        CHECK(machine.board.halt.value() == Halt{0, false});
    }
    SUBCASE("system failure") {
        call(kReset, 0, 0, 1);
        CHECK(machine.board.halt.value() == Halt{1, false});
    }
    SUBCASE("reboot") {
        call(kReset, 0, 1, 0);
        CHECK(machine.board.halt.value() == Halt{0, true});
    }
    SUBCASE("legacy") {
        call(8, 0);
        CHECK(machine.board.halt.value() == Halt{0, false});
    }
    SUBCASE("an unknown kind") {
        CHECK(call(kReset, 0, 77).error == kInvalidParam);
        CHECK(call(kReset, 0, 0, 2).error == kInvalidParam); // an unknown reason
        CHECK(call(kReset, 1).error == kNotSupported);
        CHECK_FALSE(machine.board.halt);
    }
}

TEST_CASE_FIXTURE(Fixture, "12: the debug console writes from and reads into RAM, and only RAM") {
    const std::string hello = "hello";
    machine.ram.write(0x500, std::span(reinterpret_cast<const u8*>(hello.data()), hello.size()));
    CHECK(call(kDebug, 0, 5, kRamBase + 0x500).value == 5);
    CHECK(call(kDebug, 2, '!').error == 0);
    CHECK(machine.board.take_output() == "hello!");
    machine.board.type("ab");
    CHECK(call(kDebug, 1, 10, kRamBase + 0x600).value == 2);
    u16 typed = 0;
    machine.ram.read(0x600, typed);
    CHECK(typed == ('a' | 'b' << 8));
    for (u64 address : {u64{0}, kUartBase, kRamBase + (16 << 20) - 2, ~u64{0}}) {
        CHECK(call(kDebug, 0, 5, address).error == kInvalidParam);
        CHECK(call(kDebug, 1, 5, address).error == kInvalidParam);
    }
    CHECK(call(kDebug, 0, 5, kRamBase, 1).error == kInvalidParam); // upper half of the address
    CHECK(call(kDebug, 0, ~u64{0}, kRamBase).value <= 16 << 20);   // a huge count is served in part
}

TEST_CASE_FIXTURE(Fixture, "11: the cycle and instruction counters are found, started, stopped and set; others do not exist") {
    Bus bus = machine.bus();
    CHECK(call(kPmu, 0).value == 2);
    CHECK(call(kPmu, 1, 0).value == (0xc00 | 63u << 12)); // a hardware counter of 64 bits
    CHECK(call(kPmu, 1, 1).value == (0xc02 | 63u << 12));
    CHECK(call(kPmu, 1, 2).error == kInvalidParam);
    CHECK(call(kPmu, 1, ~u64{0}).error == kInvalidParam);

    constexpr u64 kCycles = 1, kInstructions = 2, kCacheMisses = 4, kSkipMatch = 1, kClearAndStart = 6;
    CHECK(call(kPmu, 2, 0, 3, 0, 0, kCycles).value == 0);
    CHECK(call(kPmu, 2, 0, 3, 0, 0, kInstructions).value == 1);
    CHECK(call(kPmu, 2, 0, 3, 0, 0, kCacheMisses).error == kNotSupported);
    CHECK(call(kPmu, 2, 0, 1, 0, 0, kInstructions).error == kNotSupported); // not among those asked for
    CHECK(call(kPmu, 2, 1, 1, kSkipMatch, 0, kCycles).value == 1);
    CHECK(call(kPmu, 2, 2, 1, 0, 0, kCycles).error == kInvalidParam);

    CHECK(call(kPmu, 4, 0, 3).error == 0);
    CHECK(machine.hart().read_csr(Csr::mcountinhibit, bus) == 5);
    CHECK(call(kPmu, 4, 0, 1).error == kAlreadyStopped);
    CHECK(call(kPmu, 3, 1, 1, 1, 0, 1000).error == 0); // with an initial value
    CHECK(machine.hart().read_csr(Csr::mcountinhibit, bus) == 1);
    CHECK(machine.hart().read_csr(Csr::instret, bus) - 1000 <= 1);
    CHECK(call(kPmu, 3, 1, 1).error == kAlreadyStarted);
    CHECK(call(kPmu, 2, 0, 1, kClearAndStart, 0, kCycles).value == 0);
    CHECK(machine.hart().read_csr(Csr::mcountinhibit, bus) == 0);
    for (u64 function : {3, 4}) {
        CHECK(call(kPmu, function, 0, 4).error == kInvalidParam);
        CHECK(call(kPmu, function, 1, 2).error == kInvalidParam);
        CHECK(call(kPmu, function, ~u64{0}, 1).error == kInvalidParam);
        CHECK(call(kPmu, function, 0, ~u64{0}).error == kInvalidParam);
    }
    CHECK(call(kPmu, 5, 0).error == kInvalidParam);
    CHECK(call(kPmu, 99).error == kNotSupported);
}

TEST_CASE_FIXTURE(Fixture, "5: legacy IPIs and fences read their hart mask from memory") {
    Bus bus = machine.bus();
    const u64 mask = 0b110;
    machine.ram.write(0x700, std::span(reinterpret_cast<const u8*>(&mask), sizeof mask));
    CHECK(call(4, 0, kRamBase + 0x700).error == 0);
    CHECK((machine.hart(0).mip(bus) & irq_bit(Irq::Ssi)) == 0);
    CHECK((machine.hart(1).mip(bus) & irq_bit(Irq::Ssi)) != 0);
    CHECK((machine.hart(2).mip(bus) & irq_bit(Irq::Ssi)) != 0);
    CHECK(call(3, 0, 0, 0, 0, 2).error == 1); // clear_ipi says what was pending
    CHECK((machine.hart(2).mip(bus) & irq_bit(Irq::Ssi)) == 0);
    CHECK(call(4, 0, 0).error == 0); // address 0: all harts
    CHECK((machine.hart(0).mip(bus) & irq_bit(Irq::Ssi)) != 0);
    for (u64 fence : {5, 6, 7}) CHECK(call(fence, 0, kRamBase + 0x700).error == 0);
    for (u64 address : {u64{0x1234'5678'9000}, ~u64{0}, kRamBase + (16 << 20) - 4}) CHECK(call(4, 0, address).error == kInvalidAddress);
}

TEST_CASE_FIXTURE(Fixture, "5: the legacy console") {
    call(1, 0, 'x');
    CHECK(machine.board.take_output() == "x");
    CHECK(call(2, 0).error == -1);
    machine.board.type("y");
    CHECK(call(2, 0).error == 'y');
}

TEST_CASE_FIXTURE(Fixture, "A trap that nobody handles switches the machine off with a sentence") {
    Hart& h = machine.hart();
    Bus bus = machine.bus();
    h.write_csr(Csr::medeleg, 0, bus);
    Trap trap;
    trap.cause = static_cast<u64>(Cause::LoadPageFault), trap.epc = 0x1234;
    trap = h.deliver(trap, bus);
    machine.firmware.serve(trap, machine.harts, 0, bus);
    CHECK(machine.board.halt.value() == Halt{1, false});
    CHECK(machine.board.take_output().find("load page fault") != std::string::npos);
}
