// Small guests for tests, made of instruction words that come from the instruction table; and running one bare and in each mode,
// where it must end in the same guest-visible state.
#pragma once

#include "emulator/isa/encode.hpp"
#include "hypervisor-sim/equivalence.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

namespace trapeze::test {

using vmm::difference;

inline constexpr u64 kGuestBytes = u64{16} << 20;
inline constexpr unsigned ra = 1, sp = 2, t0 = 5, t1 = 6, t2 = 7, s0 = 8, s1 = 9, a0 = 10, a1 = 11, a2 = 12, a3 = 13, a4 = 14, a5 = 15, a6 = 16,
                          a7 = 17, s2 = 18, s3 = 19, s4 = 20, s5 = 21, s6 = 22, s7 = 23;

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

/// A guest in one mode.
struct Running : vmm::GuestInMode {
    /// `change`: what a test has different of the VM.
    static Running start(vmm::Mode mode, const std::vector<u8>& image, bool firmware = false, void (*change)(vmm::VmConfig&) = nullptr) {
        vmm::VmConfig guest;
        guest.mode = mode;
        guest.ram_bytes = kGuestBytes;
        guest.firmware = firmware;
        guest.features = vmm::kCommonFeatures;
        if (change) change(guest);
        auto created = vmm::GuestInMode::create(guest);
        REQUIRE(created);
        REQUIRE(created->load(image, "test guest"));
        return {std::move(*created)};
    }
    u64 peek(u64 physical) { return read(physical); }
};

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
        CHECK(vmm::difference(bare.state(), state) == "");
        CHECK(running.board().take_output() == console);
        CHECK(guest_memory(running) == memory);
        if (mode == vmm::Mode::TrapAndEmulate) return running;
    }
    return bare;
}

} // namespace trapeze::test
