// A machine that is about to run a few instructions in a guest, for tests of what the hypervisor extension makes of them.
#pragma once

#include "emulator/machine.hpp"

#include <initializer_list>
#include <optional>
#include <utility>

namespace trapeze {

inline constexpr u64 kM = kRamBase + 0x1000, kHs = kRamBase + 0x2000, kVs = kRamBase + 0x3000; // where traps go
inline constexpr PrivMode kModeU{Priv::U, false}, kModeS{Priv::S, false}, kModeVu{Priv::U, true}, kModeVs{Priv::S, true};
inline constexpr u64 kGuestIrqs = irq_bit(Irq::Vssi) | irq_bit(Irq::Vsti) | irq_bit(Irq::Vsei);

/// A machine about to run `words` in a mode, with everything allowed that M-mode can allow and nothing delegated to the guest.
struct Bench {
    Machine machine;
    HartState& s;

    explicit Bench(std::initializer_list<u32> words, PrivMode mode = kModeVs, HartFeatures features = {})
        : machine(std::move(Machine::create({.ram_bytes = 16 << 20, .features = features, .builtin_firmware = false})).value()), s(machine.hart().state) {
        u64 at = 0;
        for (u32 word : words) machine.ram.write_value(at, word), at += 4;
        machine.hart().reset(kRamBase);
        write(Csr::mtvec, kM), write(Csr::stvec, kHs), write(Csr::vstvec, kVs);
        write(Csr::medeleg, ~u64{0}), write(Csr::mideleg, ~u64{0});
        write(Csr::mcounteren, ~u64{0}), write(Csr::hcounteren, ~u64{0}), write(Csr::scounteren, ~u64{0});
        write(Csr::menvcfg, menvcfg::STCE | menvcfg::ADUE | menvcfg::PBMTE), write(Csr::henvcfg, menvcfg::STCE | menvcfg::ADUE | menvcfg::PBMTE);
        for (Csr opened : {Csr::mstateen0, Csr::mstateen1, Csr::mstateen2, Csr::mstateen3}) write(opened, ~u64{0});
        write(Csr::pmpaddr0, ~u64{0}), write(Csr::pmpcfg0, 0x1f);
        s.priv = mode.priv, s.virt = mode.virt;
    }
    u64 read(Csr csr) {
        Bus bus = machine.bus();
        return machine.hart().read_csr(csr, bus);
    }
    void write(Csr csr, u64 value) {
        Bus bus = machine.bus();
        machine.hart().write_csr(csr, value, bus);
    }
    /// Runs one instruction; its trap as it was delivered.
    Hart::StepResult step() {
        Bus bus = machine.bus();
        return machine.hart().step(bus);
    }
    std::optional<Cause> refused(Csr csr, bool writes = false) { return machine.hart().csr_fault(static_cast<u16>(csr), writes); }
    std::optional<Cause> refused(Op op) { return machine.hart().instruction_fault(op); }
};

inline constexpr u32 kNop = 0x13, kEcall = 0x73, kSret = 0x10200073, kMret = 0x30200073;
inline constexpr unsigned kA0 = 10, kA1 = 11;
constexpr u32 hlv(u32 word, unsigned rd, unsigned rs1) { return word | rs1 << 15 | rd << 7; }
constexpr u32 csrr(Csr csr, unsigned rd) { return 0x2073 | static_cast<u32>(csr) << 20 | rd << 7; }
constexpr u32 csrw(Csr csr, unsigned rs1) { return 0x1073 | static_cast<u32>(csr) << 20 | rs1 << 15; }
inline const auto kIllegal = std::optional(Cause::IllegalInstruction), kVirtual = std::optional(Cause::VirtualInstruction);
inline const std::optional<Cause> kAllowed;


} // namespace trapeze
