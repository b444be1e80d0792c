// Small guests for tests, made of instruction words that come from the instruction table; and running one bare and in each mode,
// where it must end in the same guest-visible state.
#pragma once

#include "emulator/machine.hpp"
#include "hypervisor-sim/vmm.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

namespace trapeze::test {

inline constexpr u64 kGuestBytes = u64{16} << 20;
inline constexpr unsigned ra = 1, sp = 2, t0 = 5, t1 = 6, t2 = 7, s0 = 8, s1 = 9, a0 = 10, a1 = 11, a2 = 12, a3 = 13, a4 = 14, a5 = 15, a6 = 16,
                          a7 = 17, s2 = 18, s3 = 19, s4 = 20, s5 = 21, s6 = 22, s7 = 23;

struct Operands {
    unsigned rd = 0, rs1 = 0, rs2 = 0;
    i64 imm = 0;
};

/// The instruction word of a table row.
inline u32 encode(Op op, Operands o) {
    const InstructionRow& r = row(op);
    const u32 imm = static_cast<u32>(o.imm), rd = o.rd << 7, rs1 = o.rs1 << 15, rs2 = o.rs2 << 20;
    const auto field = [imm](unsigned high, unsigned low, unsigned at) { return static_cast<u32>(bits(imm, high, low)) << at; };
    switch (r.format) {
    case Format::None: case Format::Fence: return r.match;
    case Format::I: case Format::Load: case Format::FLoad: case Format::Jalr: case Format::Csr: case Format::CsrI:
    case Format::Shift5: case Format::Shift6: return r.match | rd | rs1 | imm << 20;
    case Format::Store: case Format::FStore: return r.match | rs1 | rs2 | field(11, 5, 25) | field(4, 0, 7);
    case Format::B: return r.match | rs1 | rs2 | field(12, 12, 31) | field(10, 5, 25) | field(4, 1, 8) | field(11, 11, 7);
    case Format::U: return r.match | rd | (imm & 0xfffff000);
    case Format::J: return r.match | rd | field(20, 20, 31) | field(10, 1, 21) | field(11, 11, 20) | field(19, 12, 12);
    case Format::FRm: case Format::FRm1: case Format::FR4: case Format::FToXRm: case Format::XToFRm: return r.match | rd | rs1 | rs2 | 7u << 12;
    default: return r.match | rd | rs1 | rs2;
    }
}

/// Words of a guest that is loaded at kRamBase and starts there in M-mode.
class Program {
  public:
    u64 here() const { return kRamBase + words_.size() * 4; }
    Program& op(Op op, Operands operands = {}) { return word(encode(op, operands)); }
    Program& word(u32 w) { return words_.push_back(w), *this; }
    /// Goes on at an address; what is between is illegal.
    Program& at(u64 address) {
        REQUIRE(address >= here());
        words_.resize((address - kRamBase) / 4);
        return *this;
    }
    Program& li(unsigned rd, u64 value) {
        const i64 low = static_cast<i64>(sign_extend(value, 12));
        const u64 high = value - static_cast<u64>(low);
        if (high == 0) return op(Op::addi, {rd, 0, 0, low});
        if (sign_extend(value, 32) == value) {
            op(Op::lui, {rd, 0, 0, static_cast<i64>(high)});
            return op(Op::addiw, {rd, rd, 0, low});
        }
        li(rd, static_cast<u64>(static_cast<i64>(high) >> 12));
        op(Op::slli, {rd, rd, 0, 12});
        return op(Op::addi, {rd, rd, 0, low});
    }
    Program& jump(u64 address) { return op(Op::jal, {0, 0, 0, static_cast<i64>(address - here())}); }
    Program& csrw(Csr csr, unsigned rs) { return op(Op::csrrw, {0, rs, 0, static_cast<i64>(csr)}); }
    Program& csrw(Csr csr, u64 value, unsigned scratch) { return li(scratch, value).csrw(csr, scratch); }
    Program& csrr(unsigned rd, Csr csr) { return op(Op::csrrs, {rd, 0, 0, static_cast<i64>(csr)}); }
    Program& csrs(Csr csr, u64 value, unsigned scratch) { return li(scratch, value).op(Op::csrrs, {0, scratch, 0, static_cast<i64>(csr)}); }
    /// Stores `value` (8 bytes) at a physical or virtual address.
    Program& poke(u64 address, u64 value) { return li(t0, address).li(t1, value).op(Op::sd, {0, t0, t1}); }
    /// Opens all memory to lower privileges.
    Program& open_pmp() { return csrw(Csr::pmpaddr0, ~u64{0}, t0).csrw(Csr::pmpcfg0, 0x1f, t0); }
    /// mret or sret to `address` at a privilege.
    Program& mret_to(Priv priv, u64 address) {
        csrw(Csr::mepc, address, t0);
        li(t0, mstatus::MPP).op(Op::csrrc, {0, t0, 0, static_cast<i64>(Csr::mstatus)});
        csrs(Csr::mstatus, static_cast<u64>(priv) << 11, t0);
        return op(Op::mret);
    }
    /// Switches the machine off with success, through the test finisher.
    Program& finish() { return li(t0, kFinisherBase).li(t1, 0x5555).op(Op::sw, {0, t0, t1}).op(Op::jal); }

    std::vector<u8> bytes() const {
        const auto* first = reinterpret_cast<const u8*>(words_.data());
        return {first, first + words_.size() * 4};
    }

  private:
    std::vector<u32> words_;
};

/// What the virtual hart of every mode can have.
inline constexpr HartFeatures kFeatures{.hypervisor = false, .paging_levels = 3};

/// A guest in one mode: the machine that it has, or believes to have.
struct Running {
    vmm::Mode mode;
    Machine machine;
    std::optional<vmm::Vmm> vm;

    static Running start(vmm::Mode mode, const std::vector<u8>& image, bool firmware = false) {
        MachineConfig config;
        config.builtin_firmware = firmware && mode == vmm::Mode::Bare;
        vmm::VmConfig guest;
        guest.mode = mode;
        guest.ram_bytes = kGuestBytes;
        guest.firmware = firmware;
        guest.features = kFeatures;
        config.features = guest.features;
        config.features.hypervisor = mode == vmm::Mode::HardwareAssisted;
        config.ram_bytes = mode == vmm::Mode::Bare ? kGuestBytes : vmm::Vmm::machine_bytes(guest);
        auto machine = Machine::create(config);
        REQUIRE(machine);
        Running running{mode, std::move(*machine), {}};
        if (mode == vmm::Mode::Bare) {
            REQUIRE(load_guest_bytes(running.machine, image, "test guest"));
        } else {
            auto vm = vmm::Vmm::create(running.machine, guest);
            REQUIRE(vm);
            running.vm = std::move(*vm);
            REQUIRE(running.vm->load(running.machine, image, "test guest"));
        }
        return running;
    }
    Board& board() { return vm ? vm->board() : machine.board; }
    Bus bus() { return vm ? vm->guest_bus(machine) : machine.bus(); }
    HartState state() const { return vm ? vm->guest_state(machine) : machine.hart().state; }
    /// Runs at most `budget` units; what was used.
    u64 run(u64 budget) { return vm ? vm->run(machine, budget).executed : machine.run(budget).executed; }
    u64 peek(u64 physical) {
        u64 value = 0;
        Bus b = bus();
        REQUIRE(b.ram.read(b.ram_offset(physical), value));
        return value;
    }
};

/// What a guest can know of its state, time excepted.
inline std::string difference(const HartState& a, const HartState& b) {
    for (unsigned i = 0; i < 32; ++i) {
        if (a.x[i] != b.x[i]) return std::string("register ") + register_name(i);
        if (a.f[i] != b.f[i]) return std::string("register ") + fp_register_name(i);
    }
    if (a.pc != b.pc) return "pc";
    if (a.priv != b.priv) return "privilege";
    if (a.waiting != b.waiting) return "waiting";
    if (a.reserved != b.reserved || (a.reserved && (a.reservation != b.reservation || a.reserved_value != b.reserved_value))) return "reservation";
    if (a.retired != b.retired) return "retired instructions";
    for (std::size_t i = 0; i < kCsrCount; ++i)
        if (a.csrs[i] != b.csrs[i]) return std::string("CSR ") + csr_row_at(i).name;
    return {};
}

inline std::vector<u8> guest_memory(Running& running) {
    std::vector<u8> bytes(kGuestBytes);
    Bus bus = running.bus();
    REQUIRE(bus.ram.read(bus.ram_offset(kRamBase), bytes));
    return bytes;
}

/// Runs a guest that switches itself off in all modes, requires the same end of all, and returns the trap-and-emulate one.
inline Running run_everywhere(const Program& program, bool firmware = false, const std::string& typed = "", u64 budget = 200'000) {
    auto bare = Running::start(vmm::Mode::Bare, program.bytes(), firmware);
    bare.board().type(typed);
    bare.run(budget);
    REQUIRE(bare.board().halt);
    const std::string console = bare.board().take_output();
    const std::vector<u8> memory = guest_memory(bare);
    for (vmm::Mode mode : {vmm::Mode::Interpret, vmm::Mode::HardwareAssisted, vmm::Mode::Translate, vmm::Mode::TrapAndEmulate}) {
        CAPTURE(vmm::mode_row(mode).name);
        auto running = Running::start(mode, program.bytes(), firmware);
        running.board().type(typed);
        running.run(budget);
        REQUIRE(running.board().halt);
        CHECK(*running.board().halt == *bare.board().halt);
        HartState state = running.state();
        if (mode == vmm::Mode::Translate) state.retired = bare.state().retired; // it counts translated instructions
        CHECK(difference(bare.state(), state) == "");
        CHECK(running.board().take_output() == console);
        CHECK(guest_memory(running) == memory);
        if (mode == vmm::Mode::TrapAndEmulate) return running;
    }
    return bare;
}

} // namespace trapeze::test
