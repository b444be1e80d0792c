// HartState: the architectural state of one hart, a plain value that copies and compares. The virtual hart of a VM has the same type.
#pragma once

#include "emulator/base/types.hpp"
#include "emulator/cpu/trap.hpp"
#include "emulator/isa/isa.hpp"

#include <array>

namespace trapeze {

/// Fields of mstatus (Privileged specification, section 3.1.6).
namespace mstatus {
inline constexpr u64 SIE = 1u << 1, MIE = 1u << 3, SPIE = 1u << 5, MPIE = 1u << 7, SPP = 1u << 8, MPP = 3u << 11, FS = 3u << 13,
                     MPRV = 1u << 17, SUM = 1u << 18, MXR = 1u << 19, TVM = 1u << 20, TW = 1u << 21, TSR = 1u << 22,
                     UXL = u64{3} << 32, SXL = u64{3} << 34, SD = u64{1} << 63;
}
/// Fields of satp (section 10.1.11).
namespace satp {
inline constexpr u64 MODE = u64{15} << 60, ASID = u64{0xffff} << 44, PPN = (u64{1} << 44) - 1;
inline constexpr u64 kBare = 0, kSv39 = 8;
}
/// Fields of menvcfg (section 3.1.18).
namespace menvcfg {
inline constexpr u64 ADUE = u64{1} << 61, STCE = u64{1} << 63;
}

struct HartState {
    std::array<u64, 33> x{}; ///< x[32] swallows writes to x0 and is 0 whenever the hart is stopped
    std::array<u64, 32> f{}; ///< NaN-boxed
    u64 pc = 0;
    Priv priv = Priv::M;
    bool virt = false;             ///< the hypervisor extension's V; always false so far
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
    bool operator==(const HartState&) const = default;
};

} // namespace trapeze
