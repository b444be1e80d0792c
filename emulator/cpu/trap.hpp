// A trap is a plain value with all its fields; so is the reason why a hart stopped.
#pragma once

#include "emulator/base/types.hpp"

namespace trapeze {

/// Privilege levels, encoded as in mstatus.MPP (Privileged specification, table 1). Hs stands in tables only, for what needs HS-mode or
/// more: no hart is ever in it.
enum class Priv : u8 { U = 0, S = 1, Hs = 2, M = 3 };

/// Letter of a privilege level: 'U', 'S', 'H', 'M'.
constexpr char priv_letter(Priv p) { return p == Priv::U ? 'U' : p == Priv::S ? 'S' : p == Priv::Hs ? 'H' : 'M'; }

/// A privilege level and the hypervisor extension's virtualization mode: U, HS (virt = false) or VU, VS.
struct PrivMode {
    Priv priv = Priv::S;
    bool virt = false;
    bool operator==(const PrivMode&) const = default;
};
/// The specification's name of a mode: "U", "S", "M", "VU", "VS".
constexpr const char* mode_text(PrivMode mode) {
    return mode.priv == Priv::M ? "M" : mode.priv == Priv::U ? (mode.virt ? "VU" : "U") : mode.virt ? "VS" : "S";
}

/// mcause/scause values (Privileged specification, table "mcause values after trap"). Interrupts have bit 63 set.
enum class Cause : u64 {
    InstructionMisaligned = 0,
    InstructionAccess = 1,
    IllegalInstruction = 2,
    Breakpoint = 3,
    LoadMisaligned = 4,
    LoadAccess = 5,
    StoreMisaligned = 6,
    StoreAccess = 7,
    EcallFromU = 8,
    EcallFromS = 9,
    EcallFromVs = 10,
    EcallFromM = 11,
    InstructionPageFault = 12,
    LoadPageFault = 13,
    StorePageFault = 15,
    InstructionGuestPageFault = 20,
    LoadGuestPageFault = 21,
    VirtualInstruction = 22,
    StoreGuestPageFault = 23,
};
inline constexpr u64 kInterruptBit = u64{1} << 63;

/// Interrupt numbers, as bits of mip/mie and codes of xcause.
enum class Irq : u8 { Ssi = 1, Vssi = 2, Msi = 3, Sti = 5, Vsti = 6, Mti = 7, Sei = 9, Vsei = 10, Mei = 11, Sgei = 12 };
constexpr u64 irq_bit(Irq irq) { return u64{1} << static_cast<u8>(irq); }

/// Everything that is known about one trap, before and after its delivery.
struct Trap {
    u64 cause = 0;  ///< as written to xcause, interrupt bit included
    u64 epc = 0;    ///< address of the instruction that trapped or was interrupted
    u64 tval = 0;   ///< as written to xtval
    u64 tval2 = 0;  ///< guest physical address >> 2 for guest-page faults, else 0
    u64 tinst = 0;  ///< transformed instruction or pseudo-instruction, else 0
    Priv from = Priv::M;
    Priv to = Priv::M;
    bool from_virt = false, to_virt = false;
    bool guest_address = false; ///< tval is a guest virtual address (hstatus.GVA)

    bool is_interrupt() const { return cause & kInterruptBit; }
    u64 code() const { return cause & ~kInterruptBit; }
    bool is(Cause c) const { return cause == static_cast<u64>(c); }
    bool operator==(const Trap&) const = default;
};

/// Name of an xcause value in the specification's words, such as "load page fault". Never null.
const char* cause_name(u64 cause);

/// Why Hart::run or Machine::run returned.
enum class StopKind : u8 {
    Budget,     ///< the instruction budget is spent
    SeatTrap,   ///< a trap was delivered into a privilege level whose seat is occupied
    Wfi,        ///< waiting for an interrupt, and nothing is scheduled that would bring one
    Breakpoint, ///< a breakpoint or watch of the debugger; the instruction has not run
    Halted,     ///< the machine was switched off; see Board::halt
};

struct Stop {
    StopKind kind = StopKind::Budget;
    Trap trap; ///< for SeatTrap
    u32 hart = 0;
    u64 executed = 0; ///< units of the budget used: instructions retired, trapped or interrupted before
};

} // namespace trapeze
