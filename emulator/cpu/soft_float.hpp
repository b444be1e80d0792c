// IEEE 754 arithmetic in integers: what the host's arithmetic cannot do exactly (ties away from zero, half precision, conversions that
// the host lacks) or at all. RISC-V's choices: NaN results are canonical, tininess is detected after rounding (Unprivileged
// specification, section 21.3 and 21.4). Slower than the host by an order of magnitude; fpu.hpp chooses.
//
// Values are the low bits of a u64. Flags are fflags bits and are only ever set.
#pragma once

#include "emulator/base/types.hpp"

namespace trapeze::soft_float {

/// A binary interchange format. Range: at most 64 bits in all, at most 53 of precision.
struct Format {
    unsigned exponent_bits, fraction_bits;
};
inline constexpr Format kHalf{5, 10}, kSingle{8, 23}, kDouble{11, 52};

/// fflags bits and the encoding of rounding modes (section 21.2).
inline constexpr u32 kNV = 16, kDZ = 8, kOF = 4, kUF = 2, kNX = 1;
enum Rounding : u8 { RNE = 0, RTZ = 1, RDN = 2, RUP = 3, RMM = 4 };

u64 add(Format format, u64 a, u64 b, u8 mode, u32& flags);
u64 subtract(Format format, u64 a, u64 b, u8 mode, u32& flags);
u64 multiply(Format format, u64 a, u64 b, u8 mode, u32& flags);
u64 divide(Format format, u64 a, u64 b, u8 mode, u32& flags);
u64 square_root(Format format, u64 a, u8 mode, u32& flags);
/// a * b + c, rounded once. Infinity times zero is invalid also when c is a quiet NaN.
u64 multiply_add(Format format, u64 a, u64 b, u64 c, u8 mode, u32& flags);
u64 convert(Format to, Format from, u64 a, u8 mode, u32& flags);

/// An integer type of the guest. Range: width 1..64.
struct Integer {
    unsigned width;
    bool is_signed;
};
/// Out of range and NaN saturate and are invalid (table 30 of section 21.7). The result is sign-extended if signed, else zero-extended.
u64 to_integer(Integer to, Format format, u64 a, u8 mode, u32& flags);
u64 from_integer(Format format, Integer from, u64 value, u8 mode, u32& flags);

} // namespace trapeze::soft_float
