// Floating point (Unprivileged specification, chapters 21 and 22): the host's arithmetic where it is exact, else soft_float.
// x86-64's SSE does what RISC-V asks for in all rounding modes but RMM, flags included: it, too, detects tininess after rounding. Its
// flags accumulate in MXCSR and are collected when fflags is read and when the hart stops (HostFloats). On other hosts, which may
// detect tininess before rounding, everything is done by soft_float.
#pragma once

#include "emulator/base/types.hpp"
#include "emulator/cpu/soft_float.hpp"

#include <bit>
#include <limits>
#include <type_traits>

namespace trapeze::fpu {

using soft_float::kDZ, soft_float::kNV, soft_float::kNX, soft_float::kOF, soft_float::kUF;
inline constexpr u8 kDynamic = 7; ///< an instruction's rm: the mode is frm's
using soft_float::RDN, soft_float::RMM, soft_float::RNE, soft_float::RTZ, soft_float::RUP;

#ifdef __x86_64__
inline constexpr bool kHostIsExact = true;
#else
inline constexpr bool kHostIsExact = false;
#endif

/// Half precision is only stored and converted; the host need not know it.
struct Half {
    u16 raw = 0;
};

template <class F> struct Traits;
template <> struct Traits<Half> {
    using Bits = u16;
    static constexpr soft_float::Format kFormat = soft_float::kHalf;
    static constexpr Bits kCanonicalNan = 0x7e00, kQuiet = 0x0200, kSign = 0x8000, kInfinity = 0x7c00;
};
template <> struct Traits<float> {
    using Bits = u32;
    static constexpr soft_float::Format kFormat = soft_float::kSingle;
    static constexpr Bits kCanonicalNan = 0x7fc00000, kQuiet = 0x00400000, kSign = 0x80000000, kInfinity = 0x7f800000;
};
template <> struct Traits<double> {
    using Bits = u64;
    static constexpr soft_float::Format kFormat = soft_float::kDouble;
    static constexpr Bits kCanonicalNan = 0x7ff8000000000000, kQuiet = 0x0008000000000000, kSign = 0x8000000000000000,
                          kInfinity = 0x7ff0000000000000;
};

template <class F> typename Traits<F>::Bits to_bits(F value) { return std::bit_cast<typename Traits<F>::Bits>(value); }
template <class F> F from_bits(u64 raw) { return std::bit_cast<F>(static_cast<typename Traits<F>::Bits>(raw)); }
// Tests look at bits: the host's comparisons would raise its own invalid flag for signaling NaNs.
template <class F> bool is_inf(F value) { return (to_bits(value) & ~Traits<F>::kSign) == Traits<F>::kInfinity; }
template <class F> bool is_zero(F value) { return (to_bits(value) & ~Traits<F>::kSign) == 0; }
template <class F> bool is_nan(F value) { return (to_bits(value) & ~Traits<F>::kSign) > Traits<F>::kInfinity; }
template <class F> bool is_signaling(F value) { return is_nan(value) && !(to_bits(value) & Traits<F>::kQuiet); }
template <class F> F negate(F value) { return from_bits<F>(to_bits(value) ^ Traits<F>::kSign); }
template <class F> bool is_negative(F value) { return (to_bits(value) & Traits<F>::kSign) != 0; }

/// Register value of bits that are narrower than the register: NaN-boxed (section 22.2).
template <class Bits> u64 box_bits(Bits raw) {
    if constexpr (sizeof(Bits) == 8) return raw;
    else return ~u64{0} << (8 * sizeof(Bits)) | raw;
}
/// Register value of a result: NaNs become the canonical one.
template <class F> u64 box(F value) {
    if constexpr (kHostIsExact && sizeof(F) > 2) { // no operation results in a signaling NaN, and comparing quiet ones raises nothing
        if (value != value) [[unlikely]] {
            asm volatile(""); // a branch: a conditional move would make what follows wait for the comparison
            return box_bits(Traits<F>::kCanonicalNan);
        }
        return box_bits(to_bits(value));
    }
    return box_bits(is_nan(value) ? Traits<F>::kCanonicalNan : to_bits(value));
}
/// Operand in a register: a narrower value that is not NaN-boxed reads as the canonical NaN.
template <class F> F unbox(u64 reg) {
    using Bits = typename Traits<F>::Bits;
    return from_bits<F>(box_bits(static_cast<Bits>(reg)) == reg ? static_cast<Bits>(reg) : Traits<F>::kCanonicalNan);
}

enum class Operation : u8 { Add, Sub, Mul, Div, Sqrt, Fma };

// --- The host ---------------------------------------------------------------------------------------------------------------

// Operations are written in assembly so that the compiler neither folds them nor moves them across changes of MXCSR.
#ifdef __x86_64__
inline const bool kHostHasFma = __builtin_cpu_supports("fma");

inline u32 read_mxcsr() {
    u32 value;
    asm volatile("stmxcsr %0" : "=m"(value));
    return value;
}
inline void write_mxcsr(u32 value) { asm volatile("ldmxcsr %0" : : "m"(value)); }

template <Operation op, class F> F on_host(F a, [[maybe_unused]] F b, [[maybe_unused]] F c) {
#define TRAPEZE_SSE(name, ...)                                                                                                     \
    if constexpr (sizeof(F) == 4) asm volatile(name "ss " __VA_ARGS__);                                                             \
    else asm volatile(name "sd " __VA_ARGS__)
    if constexpr (op == Operation::Add) { TRAPEZE_SSE("add", "%1, %0" : "+x"(a) : "x"(b)); }
    if constexpr (op == Operation::Sub) { TRAPEZE_SSE("sub", "%1, %0" : "+x"(a) : "x"(b)); }
    if constexpr (op == Operation::Mul) { TRAPEZE_SSE("mul", "%1, %0" : "+x"(a) : "x"(b)); }
    if constexpr (op == Operation::Div) { TRAPEZE_SSE("div", "%1, %0" : "+x"(a) : "x"(b)); }
    if constexpr (op == Operation::Sqrt) { TRAPEZE_SSE("sqrt", "%0, %0" : "+x"(a)); }
    if constexpr (op == Operation::Fma) { TRAPEZE_SSE("vfmadd213", "%2, %1, %0" : "+x"(a) : "x"(b), "x"(c)); }
#undef TRAPEZE_SSE
    return a;
}
template <class To, class From> To convert_on_host(From from) {
    To to;
    if constexpr (sizeof(To) == 4) asm volatile("cvtsd2ss %1, %0" : "=x"(to) : "x"(from));
    else asm volatile("cvtss2sd %1, %0" : "=x"(to) : "x"(from));
    return to;
}
/// i32 or i64, rounded in the host's mode; out of range the smallest one.
template <class Int, class F> Int to_int_on_host(F value, bool truncate) {
    Int result;
    if constexpr (sizeof(F) == 4) {
        if (truncate) asm volatile("cvttss2si %1, %0" : "=r"(result) : "x"(value));
        else asm volatile("cvtss2si %1, %0" : "=r"(result) : "x"(value));
    } else {
        if (truncate) asm volatile("cvttsd2si %1, %0" : "=r"(result) : "x"(value));
        else asm volatile("cvtsd2si %1, %0" : "=r"(result) : "x"(value));
    }
    return result;
}
template <class F> F from_int_on_host(i64 value) {
    F result;
    // Cleared first, for the upper part is kept: the conversion would wait for whatever was there.
    if constexpr (sizeof(F) == 4) asm volatile("xorps %0, %0; cvtsi2ssq %1, %0" : "=&x"(result) : "r"(value));
    else asm volatile("xorps %0, %0; cvtsi2sdq %1, %0" : "=&x"(result) : "r"(value));
    return result;
}
#else
inline constexpr bool kHostHasFma = false;
inline u32 read_mxcsr() { return 0; }
inline void write_mxcsr(u32) {}
template <Operation op, class F> F on_host(F a, F, F) { return a; }
template <class To, class From> To convert_on_host(From) { return {}; }
template <class Int, class F> Int to_int_on_host(F, bool) { return {}; }
template <class F> F from_int_on_host(i64) { return {}; }
#endif

/// MXCSR's default: exceptions masked, nearest even, subnormals as they are, no flag raised.
inline constexpr u32 kMxcsrDefault = 0x1f80;
/// MXCSR's flags are in the opposite order, and it has one more, for subnormal operands, that RISC-V has not.
constexpr u32 flags_of_mxcsr(u32 mxcsr) {
    return (mxcsr & 1 ? kNV : 0) | (mxcsr & 4 ? kDZ : 0) | (mxcsr & 8 ? kOF : 0) | (mxcsr & 16 ? kUF : 0) | (mxcsr & 32 ? kNX : 0);
}

/// The host's floating-point environment while a hart runs: as the guest needs it, whatever the program around has set.
class HostFloats {
  public:
    HostFloats() : before_(read_mxcsr()) { write_mxcsr(kMxcsrDefault); }
    ~HostFloats() { write_mxcsr(before_); }
    HostFloats(const HostFloats&) = delete;
    HostFloats& operator=(const HostFloats&) = delete;
    /// fflags bits that the host's arithmetic has raised since the last call.
    static u32 take_flags() {
        const u32 raised = flags_of_mxcsr(read_mxcsr());
        if (raised) write_mxcsr(kMxcsrDefault);
        return raised;
    }

  private:
    u32 before_;
};

/// The host's rounding mode for one operation; flags stay.
class RoundingScope {
  public:
    explicit RoundingScope(u8 mode) {
        constexpr u32 kControl[] = {0, 3u << 13, 1u << 13, 2u << 13}; // of RNE, RTZ, RDN, RUP
        write_mxcsr(read_mxcsr() | kControl[mode & 3]);
    }
    ~RoundingScope() { write_mxcsr(read_mxcsr() & ~(3u << 13)); }
    RoundingScope(const RoundingScope&) = delete;
    RoundingScope& operator=(const RoundingScope&) = delete;
};

// --- What instructions do ------------------------------------------------------------------------------------------------------

/// A result, and the flags that the host does not know of.
template <class F> struct Outcome {
    F value;
    u32 flags = 0;
};

template <Operation op, class F> Outcome<F> in_software(F a, F b, F c, u8 mode) {
    constexpr soft_float::Format kFormat = Traits<F>::kFormat;
    const u64 x = to_bits(a), y = to_bits(b), z = to_bits(c);
    u32 flags = 0;
    u64 raw = 0;
    if constexpr (op == Operation::Add) raw = soft_float::add(kFormat, x, y, mode, flags);
    if constexpr (op == Operation::Sub) raw = soft_float::subtract(kFormat, x, y, mode, flags);
    if constexpr (op == Operation::Mul) raw = soft_float::multiply(kFormat, x, y, mode, flags);
    if constexpr (op == Operation::Div) raw = soft_float::divide(kFormat, x, y, mode, flags);
    if constexpr (op == Operation::Sqrt) raw = soft_float::square_root(kFormat, x, mode, flags);
    if constexpr (op == Operation::Fma) raw = soft_float::multiply_add(kFormat, x, y, z, mode, flags);
    return {from_bits<F>(raw), flags};
}

/// The host has the operation, and does it exactly when it rounds to nearest even.
template <Operation op> bool host_does() { return kHostIsExact && (op != Operation::Fma || kHostHasFma); }

/// What is not to be had from the host in the mode that it is in.
template <Operation op, class F> [[gnu::noinline]] Outcome<F> compute_slowly(F a, F b, F c, u8 mode) {
    // Infinity times zero is invalid even when the addend is a quiet NaN (section 21.6); hosts differ.
    if constexpr (op == Operation::Fma)
        if ((is_inf(a) && is_zero(b)) || (is_zero(a) && is_inf(b))) return {from_bits<F>(Traits<F>::kCanonicalNan), kNV};
    if (!kHostIsExact || mode == RMM || (op == Operation::Fma && !kHostHasFma)) return in_software<op>(a, b, c, mode);
    const RoundingScope scope(mode);
    return {on_host<op>(a, b, c)};
}

/// The operation, rounded once. A NaN may have any payload still.
template <Operation op, class F> Outcome<F> compute(F a, F b, F c, u8 mode) {
    if (mode == RNE && host_does<op>()) [[likely]] {
        const F value = on_host<op>(a, b, c);
        if (op != Operation::Fma || value == value) [[likely]] return {value};
    }
    return compute_slowly<op>(a, b, c, mode);
}

/// fcvt between formats.
template <class To, class From> To convert(From value, u8 mode, u32& flags) {
    constexpr bool kHalf = sizeof(To) == 2 || sizeof(From) == 2;
    if constexpr (kHostIsExact && !kHalf) {
        if (mode == RNE) return convert_on_host<To>(value);
        if (mode != RMM) {
            const RoundingScope scope(mode);
            return convert_on_host<To>(value);
        }
    }
    return from_bits<To>(soft_float::convert(Traits<To>::kFormat, Traits<From>::kFormat, to_bits(value), mode, flags));
}

template <class Int> constexpr soft_float::Integer integer_type() { return {8 * sizeof(Int), std::numeric_limits<Int>::is_signed}; }

/// fcvt to an integer: rounds, saturates, adds NV or NX to `flags`. The host's own flags say the same.
template <class Int, class F> [[gnu::always_inline]] inline Int to_int(F value, u8 mode, u32& flags) {
    using Signed = std::conditional_t<std::is_same_v<Int, i32>, i32, i64>; // the host converts to signed integers
    // Where the host would raise what is not so: below 0, and what only u64 holds. NaNs and negative values have the larger bits.
    constexpr F kLimit = static_cast<F>(sizeof(Int) == 4 ? u64{0xffffffff} : u64{1} << 63);
    const bool in_range = std::is_signed_v<Int> || to_bits(value) < to_bits(kLimit);
    if (kHostIsExact && (mode == RNE || mode == RTZ) && in_range) {
        const Signed result = to_int_on_host<Signed>(value, mode == RTZ);
        if (result != std::numeric_limits<Signed>::min()) [[likely]] {
            if (from_int_on_host<F>(result) != value) flags |= kNX; // going back is exact
            return static_cast<Int>(result);
        }
    }
    return static_cast<Int>(soft_float::to_integer(integer_type<Int>(), Traits<F>::kFormat, to_bits(value), mode, flags));
}

template <class F, class Int> F from_int(Int value, u8 mode, u32& flags) {
    const bool host = kHostIsExact && mode != RMM && (sizeof(Int) < 8 || std::is_signed_v<Int> || !(value >> (8 * sizeof(Int) - 1)));
    if (host && mode == RNE) [[likely]] return from_int_on_host<F>(static_cast<i64>(value));
    if (host) {
        const RoundingScope scope(mode);
        return from_int_on_host<F>(static_cast<i64>(value));
    }
    return from_bits<F>(soft_float::from_integer(Traits<F>::kFormat, integer_type<Int>(), static_cast<u64>(value), mode, flags));
}

/// fclass's ten bits (section 21.9).
template <class F> u64 classify(F value) {
    const bool negative = is_negative(value);
    const auto magnitude = to_bits(value) & ~Traits<F>::kSign;
    if (magnitude > Traits<F>::kInfinity) return is_signaling(value) ? 1 << 8 : 1 << 9;
    if (magnitude == Traits<F>::kInfinity) return negative ? 1 << 0 : 1 << 7;
    if (magnitude == 0) return negative ? 1 << 3 : 1 << 4;
    const bool subnormal = magnitude < to_bits(std::numeric_limits<F>::min());
    return subnormal ? (negative ? 1 << 2 : 1 << 5) : (negative ? 1 << 1 : 1 << 6);
}

} // namespace trapeze::fpu
