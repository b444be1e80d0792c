// Floating point on the host's: IEEE 754 arithmetic with RISC-V's NaN rules (Unprivileged specification, chapters 21 and 22).
// Exceptions accumulate in the host's floating-point environment and are collected when fflags is read (FpEnvironment).
// Known inaccuracy: the rounding mode RMM (ties away from zero) is done as RNE for arithmetic; conversions to integers do it right.
#pragma once

#include "emulator/base/types.hpp"

#include <cfenv>
#include <cmath>
#include <limits>

namespace trapeze::fpu {

inline constexpr u32 kNV = 16, kDZ = 8, kOF = 4, kUF = 2, kNX = 1;
enum Rounding : u8 { RNE = 0, RTZ = 1, RDN = 2, RUP = 3, RMM = 4 };

template <class F> struct Traits;
template <> struct Traits<float> {
    using Bits = u32;
    static constexpr Bits kCanonicalNan = 0x7fc00000, kQuiet = 0x00400000, kSign = 0x80000000, kInfinity = 0x7f800000;
};
template <> struct Traits<double> {
    using Bits = u64;
    static constexpr Bits kCanonicalNan = 0x7ff8000000000000, kQuiet = 0x0008000000000000, kSign = 0x8000000000000000,
                          kInfinity = 0x7ff0000000000000;
};

template <class F> typename Traits<F>::Bits to_bits(F value) { return std::bit_cast<typename Traits<F>::Bits>(value); }
// Tests look at bits: the host's comparisons would raise its own invalid flag for signaling NaNs.
template <class F> bool is_inf(F value) { return (to_bits(value) & ~Traits<F>::kSign) == Traits<F>::kInfinity; }
template <class F> bool is_nan(F value) { return (to_bits(value) & ~Traits<F>::kSign) > Traits<F>::kInfinity; }
template <class F> bool is_signaling(F value) { return is_nan(value) && !(to_bits(value) & Traits<F>::kQuiet); }

/// Register value of a result: NaNs become the canonical one, singles are NaN-boxed.
template <class F> u64 box(F value) {
    const auto raw = is_nan(value) ? Traits<F>::kCanonicalNan : to_bits(value);
    if constexpr (sizeof(F) == 4) return 0xffffffff00000000 | raw;
    else return raw;
}
/// Operand in a register: a single that is not NaN-boxed reads as the canonical NaN.
template <class F> F unbox(u64 reg) {
    if constexpr (sizeof(F) == 4) return std::bit_cast<float>(reg >> 32 == 0xffffffff ? static_cast<u32>(reg) : Traits<float>::kCanonicalNan);
    else return std::bit_cast<double>(reg);
}

/// fflags bits of what the host's arithmetic has raised since the last clear.
inline u32 host_flags() {
    const int raised = std::fetestexcept(FE_ALL_EXCEPT);
    return (raised & FE_INVALID ? kNV : 0) | (raised & FE_DIVBYZERO ? kDZ : 0) | (raised & FE_OVERFLOW ? kOF : 0) |
           (raised & FE_UNDERFLOW ? kUF : 0) | (raised & FE_INEXACT ? kNX : 0);
}
inline void clear_host_flags() {
    if (std::fetestexcept(FE_ALL_EXCEPT)) std::feclearexcept(FE_ALL_EXCEPT); // clearing is slow, and seldom needed
}

/// The host's rounding mode for one operation.
class RoundingScope {
  public:
    explicit RoundingScope(u8 mode) : changed_(mode != RNE && mode != RMM) {
        if (changed_) std::fesetround(mode == RTZ ? FE_TOWARDZERO : mode == RDN ? FE_DOWNWARD : FE_UPWARD);
    }
    ~RoundingScope() {
        if (changed_) std::fesetround(FE_TONEAREST);
    }
    RoundingScope(const RoundingScope&) = delete;
    RoundingScope& operator=(const RoundingScope&) = delete;

  private:
    bool changed_;
};

/// Keeps the compiler from moving an operation across changes of the environment, or from folding it.
template <class F> F opaque(F value) {
    asm volatile("" : "+x"(value) : : "memory");
    return value;
}

/// fcvt to an integer: rounds, saturates, adds to `flags` (NV or NX, never both).
template <class F, class Int> Int to_int(F value, u8 mode, u32& flags) {
    using Limits = std::numeric_limits<Int>;
    if (is_nan(value)) return flags |= kNV, Limits::max();
    F rounded = value;
    if (mode == RMM) {
        std::fexcept_t before; // round() may raise inexact on its own
        std::fegetexceptflag(&before, FE_ALL_EXCEPT);
        rounded = opaque(std::round(opaque(value)));
        std::fesetexceptflag(&before, FE_ALL_EXCEPT);
    } else {
        RoundingScope scope(mode);
        rounded = opaque(std::nearbyint(opaque(value)));
    }
    // 2^digits is exact in F; the largest integer may not be.
    const F above = std::ldexp(F{1}, Limits::digits);
    const F below = Limits::is_signed ? -above : F{0};
    if (rounded >= above) return flags |= kNV, Limits::max();
    if (rounded < below) return flags |= kNV, Limits::min();
    if (rounded != value) flags |= kNX;
    return static_cast<Int>(rounded);
}

/// fclass's ten bits (section 21.9).
template <class F> u64 classify(F value) {
    const bool negative = std::signbit(value);
    const auto magnitude = to_bits(value) & ~Traits<F>::kSign;
    if (magnitude > Traits<F>::kInfinity) return is_signaling(value) ? 1 << 8 : 1 << 9;
    if (magnitude == Traits<F>::kInfinity) return negative ? 1 << 0 : 1 << 7;
    if (magnitude == 0) return negative ? 1 << 3 : 1 << 4;
    const bool subnormal = magnitude < to_bits(std::numeric_limits<F>::min());
    return subnormal ? (negative ? 1 << 2 : 1 << 5) : (negative ? 1 << 1 : 1 << 6);
}

} // namespace trapeze::fpu
