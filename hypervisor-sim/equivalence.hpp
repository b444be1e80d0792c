// The equivalence property of Popek and Goldberg (1974), executed: from the same random state, random instructions of every privilege
// must leave the same guest-visible state on the machine itself and in a VM, after each single one. Needs no expectation.
//
// What is compared: registers, pc, privilege, CSRs, retired instructions, the reservation, and memory at the end; not time. A translated
// guest knows differently how many instructions have retired (translate.cpp), so there that is left out, and so is what its kernel does
// in the VMM's window. Neither are programs compared that run silent operations in virtual U under translation: user code runs directly
// there, and sees what it would have seen on x86.
//
// Usage:
//   if (const auto found = check_equivalence({.mode = Mode::TrapAndEmulate, .seed = 7})) fmt::print("{}", describe(*found));
#pragma once

#include "hypervisor-sim/vmm.hpp"

namespace trapeze::vmm {

/// A guest in one mode: the machine that it has, or believes to have.
struct GuestInMode {
    Mode mode;
    Machine machine;
    std::optional<Vmm> vm;

    /// A guest of `config.mode` (bare: on a machine with the same memory, firmware and features), not loaded yet.
    static Result<GuestInMode> create(const VmConfig& config);
    Result<LoadedGuest> load(std::vector<u8> bytes, const std::string& name);
    Board& board() { return vm ? vm->board() : machine.board; }
    Bus bus() { return vm ? vm->guest_bus(machine) : machine.bus(); }
    HartState state() const { return vm ? vm->guest_state(machine) : machine.hart().state; }
    /// Runs at most `budget` units; what was used.
    u64 run(u64 budget) { return vm ? vm->run(machine, budget).executed : machine.run(budget).executed; }
    u64 read(u64 physical);
};

/// What the virtual hart of every mode can have.
inline constexpr HartFeatures kCommonFeatures{.hypervisor = false, .paging_levels = 3};

/// The first thing that a guest could tell two of its states apart by, such as "register a0"; empty: nothing. Time does not count.
std::string difference(const HartState& a, const HartState& b);

struct EquivalenceCheck {
    Mode mode = Mode::TrapAndEmulate;
    u64 seed = 1;           ///< program and state follow from it
    unsigned steps = 60;    ///< instructions
    VmSwitches switches;
    u8 silent = 0;          ///< sensitive operations that do not trap in U-mode, on either machine: bits of silent_bit
};

/// Where the parts of a random guest lie, in its physical memory.
namespace random_guest_layout {
inline constexpr u64 kCode = kRamBase, kData = kRamBase + 0x10000, kBig = kRamBase + 0x20'0000, kTables = kRamBase + 0xc0'0000;
}

/// The random guest of a check, in its mode or bare.
Result<GuestInMode> random_guest(const EquivalenceCheck& check, Mode mode);

struct Divergence {
    EquivalenceCheck check;
    unsigned step = 0;      ///< instructions that agreed before
    std::string what;       ///< what differs
    HartState before;       ///< of both, before the instruction
    u32 word = 0;           ///< the instruction; 0: none can be fetched
    HartState bare, virtualised; ///< after it
};

/// Runs the program on the machine and in the mode; the first difference, if there is one. The error is one of set-up.
Result<std::optional<Divergence>> check_equivalence(const EquivalenceCheck& check);
/// The divergence in sentences: the instruction, and both states where they differ. Ends with a line break.
std::string describe(const Divergence& divergence);

} // namespace trapeze::vmm
