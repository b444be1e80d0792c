// Instruction words made from the instruction table: for programs that are put together at run time (translated code, random guests, tests).
#pragma once

#include "emulator/isa/isa.hpp"

namespace trapeze {

struct Operands {
    unsigned rd = 0, rs1 = 0, rs2 = 0; ///< 0 to 31; for CsrI rs1 is the immediate
    i64 imm = 0;                       ///< for Csr and CsrI the CSR number
};

/// The 32-bit word of `op`. Bits of the operands that its format has no place for are left out; rounding is dynamic.
u32 encode(Op op, const Operands& operands = {});

} // namespace trapeze
