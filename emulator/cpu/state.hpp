// HartState: the architectural state of one hart, a plain value that copies and compares. The virtual hart of a VM has the same type.
#pragma once

#include "emulator/base/types.hpp"
#include "emulator/cpu/trap.hpp"
#include "emulator/isa/isa.hpp"
#include "emulator/mem/page_walk.hpp"

#include <array>

namespace trapeze {

/// Fields of mstatus (Privileged specification, section 3.1.6).
namespace mstatus {
inline constexpr u64 SIE = 1u << 1, MIE = 1u << 3, SPIE = 1u << 5, MPIE = 1u << 7, SPP = 1u << 8, MPP = 3u << 11, FS = 3u << 13,
                     MPRV = 1u << 17, SUM = 1u << 18, MXR = 1u << 19, TVM = 1u << 20, TW = 1u << 21, TSR = 1u << 22,
                     UXL = u64{3} << 32, SXL = u64{3} << 34, GVA = u64{1} << 38, MPV = u64{1} << 39, SD = u64{1} << 63;
}
/// Fields of hstatus (section 15.2.1).
namespace hstatus {
inline constexpr u64 GVA = 1u << 6, SPV = 1u << 7, SPVP = 1u << 8, HU = 1u << 9, VTVM = 1u << 20, VTW = 1u << 21, VTSR = 1u << 22, VSXL = u64{3} << 32;
}
/// Fields of menvcfg and henvcfg (sections 3.1.18, 15.2.5).
namespace menvcfg {
inline constexpr u64 ADUE = u64{1} << 61, PBMTE = u64{1} << 62, STCE = u64{1} << 63;
}

/// Fields that menvcfg, henvcfg and senvcfg have in common (section 3.1.18).
namespace envcfg {
inline constexpr u64 CBIE = 3u << 4, CBCFE = 1u << 6, CBZE = 1u << 7;
}
/// Fields of mstateen0 and hstateen0 (Smstateen); SE is one of the others as well.
namespace stateen {
inline constexpr u64 ENVCFG = u64{1} << 62, SE = u64{1} << 63;
}

struct HartState {
    std::array<u64, 33> x{}; ///< x[32] swallows writes to x0 and is 0 whenever the hart is stopped
    std::array<u64, 32> f{}; ///< NaN-boxed
    u64 pc = 0;
    Priv priv = Priv::M;
    bool virt = false;             ///< the hypervisor extension's V
    bool waiting = false;          ///< in wfi
    bool reserved = false;         ///< LR reservation held
    u64 reservation = 0;           ///< its physical address
    u64 reserved_value = 0;        ///< what LR read there
    u64 retired = 0;               ///< instructions retired since reset
    u64 cycles = 0;                ///< time base: retired, plus what the cost model charged, plus idle time skipped
    u64 retired_offset = 0;        ///< minstret = retired + retired_offset
    u64 cycles_offset = 0;         ///< mcycle = cycles + cycles_offset
    std::array<u64, kCsrCount> csrs{}; ///< by slot(); views and counters keep nothing in theirs

    u64& operator[](Csr csr) { return csrs[slot(csr)]; }
    u64 operator[](Csr csr) const { return csrs[slot(csr)]; }
    PrivMode mode() const { return {priv, virt}; }
    bool operator==(const HartState&) const = default;
};

/// Floating-point state was changed: in a guest, both its own status and the one beneath say so (section 15.2.11).
inline void set_fs_dirty(HartState& s) {
    s[Csr::mstatus] |= mstatus::FS;
    if (s.virt) s[Csr::vsstatus] |= mstatus::FS;
}

inline bool fs_dirty(const HartState& s) {
    const auto dirty = [](u64 status) { return (status & mstatus::FS) == mstatus::FS; };
    return dirty(s[Csr::mstatus]) && (!s.virt || dirty(s[Csr::vsstatus]));
}

/// Floating-point instructions are illegal.
inline bool fs_off(const HartState& s) {
    return !(s[Csr::mstatus] & mstatus::FS) || (s.virt && !(s[Csr::vsstatus] & mstatus::FS));
}

/// The tick of time at which the guest's timer raises VSTIP: vstimecmp is in the guest's time. ~0: never.
inline u64 guest_timer_tick(const HartState& s) {
    if (!(s[Csr::menvcfg] & s[Csr::henvcfg] & menvcfg::STCE)) return ~u64{0};
    const u64 compare = s[Csr::vstimecmp], delta = s[Csr::htimedelta];
    return compare == ~u64{0} ? compare : compare - delta;
}

/// What a hart is built with; it never changes.
struct HartFeatures {
    bool hypervisor = true;     ///< the H extension
    unsigned paging_levels = 5; ///< deepest table: 3 for Sv39, 4 for Sv48, 5 for Sv57
    u8 silent = 0;              ///< silent_bit of each sensitive operation that does not trap in U-mode
    bool misaligned_traps = false; ///< misaligned loads and stores trap; false: they are done. AMOs, lr and sc always trap
    bool operator==(const HartFeatures&) const = default;
};

} // namespace trapeze
