// Floating-point arithmetic against GNU MPFR, which knows neither the host's arithmetic nor soft_float: results and flags of every
// operation, format and rounding mode, on operands that are random, special, or close to where something changes.
//   TRAPEZE_FP_COUNT=n  that many operands for each (else 2000)
#include "emulator/cpu/fpu.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <mpfr.h>

#include <array>
#include <cstdlib>
#include <string>

using namespace trapeze;
using fpu::Operation;

namespace {

constexpr mpfr_prec_t kExact = 4400; ///< bits that hold any sum of products of doubles

class Real {
  public:
    Real() { mpfr_init2(value_, kExact); }
    ~Real() { mpfr_clear(value_); }
    Real(const Real&) = delete;
    Real& operator=(const Real&) = delete;
    operator mpfr_ptr() { return value_; }

  private:
    mpfr_t value_;
};

/// Bits of a result and its fflags.
struct Answer {
    u64 raw = 0;
    u32 flags = 0;
    bool operator==(const Answer&) const = default;
};

template <class F> struct Limits {
    static constexpr soft_float::Format kFormat = fpu::Traits<F>::kFormat;
    static constexpr int kPrecision = static_cast<int>(kFormat.fraction_bits) + 1;
    static constexpr int kLargest = (1 << (kFormat.exponent_bits - 1)) - 1, kSmallest = 1 - kLargest;
    static constexpr u64 kSign = fpu::Traits<F>::kSign, kInfinity = fpu::Traits<F>::kInfinity, kNan = fpu::Traits<F>::kCanonicalNan;
};

template <class F> void set(mpfr_ptr real, u64 raw) {
    using L = Limits<F>;
    const u64 magnitude = raw & ~L::kSign, fraction = raw & ((u64{1} << (L::kPrecision - 1)) - 1);
    const int exponent = static_cast<int>(magnitude >> (L::kPrecision - 1));
    if (magnitude > L::kInfinity) mpfr_set_nan(real);
    else if (magnitude == L::kInfinity) mpfr_set_inf(real, 1);
    else if (magnitude == 0) mpfr_set_zero(real, 1);
    else if (exponent == 0) mpfr_set_ui_2exp(real, fraction, L::kSmallest - L::kPrecision + 1, MPFR_RNDN);
    else mpfr_set_ui_2exp(real, fraction | u64{1} << (L::kPrecision - 1), exponent - L::kLargest - L::kPrecision + 1, MPFR_RNDN);
    if (raw & L::kSign) mpfr_setsign(real, real, 1, MPFR_RNDN);
}
template <class F> bool signaling(u64 raw) {
    return (raw & ~Limits<F>::kSign) > Limits<F>::kInfinity && !(raw & fpu::Traits<F>::kQuiet);
}

/// To an integer. Returns whether it changed.
bool round_to_integer(mpfr_ptr integer, mpfr_ptr real, u8 mode) {
    constexpr mpfr_rnd_t kModes[] = {MPFR_RNDN, MPFR_RNDZ, MPFR_RNDD, MPFR_RNDU};
    if (mode == fpu::RMM) mpfr_round(integer, real);
    else mpfr_rint(integer, real, kModes[mode]);
    return !mpfr_equal_p(integer, real);
}

/// The value rounded to a multiple of 2^unit, as that multiple.
bool round_to_unit(mpfr_ptr integer, mpfr_ptr real, long unit, u8 mode) {
    Real scaled;
    mpfr_mul_2si(scaled, real, -unit, MPFR_RNDN);
    return round_to_integer(integer, scaled, mode);
}

template <class F> Answer rounded(mpfr_ptr real, u8 mode) {
    using L = Limits<F>;
    const u64 sign = mpfr_signbit(real) ? L::kSign : 0;
    if (mpfr_nan_p(real)) return {L::kNan};
    if (mpfr_inf_p(real)) return {sign | L::kInfinity};
    if (mpfr_zero_p(real)) return {sign};
    const long exponent = mpfr_get_exp(real) - 1;
    Real multiple, normal;
    const bool inexact = round_to_unit(multiple, real, std::max<long>(exponent, L::kSmallest) - L::kPrecision + 1, mode);
    round_to_unit(normal, real, exponent - L::kPrecision + 1, mode);
    const long unbounded = mpfr_get_exp(normal) - 1 + exponent - L::kPrecision + 1; // exponent after rounding
    const u64 digits = static_cast<u64>(std::abs(mpfr_get_si(multiple, MPFR_RNDZ)));
    if (unbounded > L::kLargest) {
        const bool away = mode == fpu::RNE || mode == fpu::RMM || mode == (sign ? fpu::RDN : fpu::RUP);
        return {sign | (L::kInfinity - !away), fpu::kOF | fpu::kNX};
    }
    const u32 flags = inexact ? unbounded < L::kSmallest ? fpu::kUF | fpu::kNX : fpu::kNX : 0;
    // Adding the digits to the biased exponent less one carries as it should.
    const u64 biased = exponent < L::kSmallest ? 0 : static_cast<u64>(exponent + L::kLargest - 1);
    return {sign | ((biased << (L::kPrecision - 1)) + digits), flags};
}

/// Rounds toward zero to many bits and marks what is left by a bit far below.
template <class Function> void with_rest(mpfr_ptr result, Function function) {
    mpfr_set_prec(result, 200);
    const bool rest = function(MPFR_RNDZ) != 0;
    mpfr_prec_round(result, kExact, MPFR_RNDN);
    if (!rest) return;
    Real bit;
    mpfr_set_si_2exp(bit, mpfr_signbit(result) ? -1 : 1, mpfr_get_exp(result) - 300, MPFR_RNDN);
    mpfr_add(result, result, bit, MPFR_RNDN);
}

template <Operation op, class F> Answer by_mpfr(std::array<u64, 3> raw, u8 mode) {
    constexpr unsigned kOperands = op == Operation::Sqrt ? 1 : op == Operation::Fma ? 3 : 2;
    Real a, b, c, result;
    set<F>(a, raw[0]), set<F>(b, raw[1]), set<F>(c, raw[2]);
    const mpfr_rnd_t zeros = mode == fpu::RDN ? MPFR_RNDD : MPFR_RNDN; // all is exact; the mode only decides signs of zeros
    bool nan = false, invalid = false;
    for (unsigned i = 0; i < kOperands; ++i) nan |= (raw[i] & ~Limits<F>::kSign) > Limits<F>::kInfinity, invalid |= signaling<F>(raw[i]);
    if constexpr (op == Operation::Add) mpfr_add(result, a, b, zeros);
    if constexpr (op == Operation::Sub) mpfr_sub(result, a, b, zeros);
    if constexpr (op == Operation::Mul) mpfr_mul(result, a, b, zeros);
    if constexpr (op == Operation::Fma) {
        mpfr_fma(result, a, b, c, zeros);
        invalid |= (mpfr_inf_p(a) && mpfr_zero_p(b)) || (mpfr_zero_p(a) && mpfr_inf_p(b));
    }
    if constexpr (op == Operation::Div) with_rest(result, [&](mpfr_rnd_t how) { return mpfr_div(result, a, b, how); });
    if constexpr (op == Operation::Sqrt) with_rest(result, [&](mpfr_rnd_t how) { return mpfr_sqrt(result, a, how); });
    Answer answer = rounded<F>(result, mode);
    if (invalid || (mpfr_nan_p(static_cast<mpfr_ptr>(result)) && !nan)) answer.flags |= fpu::kNV;
    if (op == Operation::Div && mpfr_zero_p(b) && mpfr_regular_p(a)) answer.flags |= fpu::kDZ;
    return answer;
}

/// As the interpreter does it: the host's flags and those that it does not know.
template <class F, class Function> Answer on_machine(Function function) {
    const fpu::HostFloats scope;
    u32 flags = 0;
    const F value = function(flags);
    const u64 raw = fpu::is_nan(value) ? fpu::Traits<F>::kCanonicalNan : fpu::to_bits(value);
    return {raw, flags | fpu::HostFloats::take_flags()};
}

class Operands {
  public:
    u64 next() {
        u64 z = state_ += 0x9e3779b97f4a7c15;
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
        z = (z ^ z >> 27) * 0x94d049bb133111eb;
        return z ^ z >> 31;
    }
    /// Bits of a value of the format.
    template <class F> u64 value() {
        using L = Limits<F>;
        const u64 sign = next() & 1 ? L::kSign : 0, ones = (u64{1} << (L::kPrecision - 1)) - 1;
        const u64 biases[] = {0, 1, 2, L::kLargest - 1, L::kLargest, L::kLargest + 1, L::kLargest + L::kPrecision, 2 * L::kLargest - 1, 2 * L::kLargest};
        u64 fraction = next() & ones;
        switch (next() % 8) { // few digits make ties
        case 0: fraction = 0; break;
        case 1: fraction = ones; break;
        case 2: fraction &= ones << (next() % L::kPrecision); break;
        case 3: fraction >>= next() % L::kPrecision; break;
        case 4: fraction = u64{1} << (next() % (L::kPrecision - 1)); break;
        default: break;
        }
        u64 biased = 0;
        switch (next() % 8) {
        case 0: return sign | L::kInfinity | (next() % 4 ? 0 : fraction); // infinity, and NaNs of both kinds
        case 1: case 2: biased = biases[next() % std::size(biases)]; break;
        case 3: case 4: biased = static_cast<u64>(L::kLargest) - 60 % L::kLargest + next() % 120 % L::kLargest; break; // near one: they meet
        default: biased = next() % (2 * L::kLargest + 1); break;
        }
        return sign | biased << (L::kPrecision - 1) | fraction;
    }

  private:
    u64 state_ = 42;
};

u64 count() {
    const char* const text = std::getenv("TRAPEZE_FP_COUNT");
    return text ? std::strtoull(text, nullptr, 10) : 2000;
}

/// Says the first disagreement of a kind, and stops looking.
bool agree(const char* what, std::array<u64, 3> raw, u8 mode, const Answer& ours, const Answer& right) {
    if (ours == right) return true;
    FAIL_CHECK(fmt::format("{} of {:x} {:x} {:x}, mode {}: {:x} flags {:x}; MPFR has {:x} flags {:x}", what, raw[0], raw[1], raw[2], mode, ours.raw,
                           ours.flags, right.raw, right.flags));
    return false;
}

template <Operation op, class F> void check_operation(const char* name) {
    Operands operands;
    for (u64 i = 0; i < count(); ++i) {
        const std::array<u64, 3> raw = {operands.value<F>(), operands.value<F>(), operands.value<F>()};
        const F a = fpu::from_bits<F>(raw[0]), b = fpu::from_bits<F>(raw[1]), c = fpu::from_bits<F>(raw[2]);
        for (u8 mode = fpu::RNE; mode <= fpu::RMM; ++mode) {
            const Answer right = by_mpfr<op, F>(raw, mode);
            const auto keep = [](fpu::Outcome<F> outcome, u32& flags) { return flags = outcome.flags, outcome.value; };
            const Answer fast = on_machine<F>([&](u32& flags) { return keep(fpu::compute<op>(a, b, c, mode), flags); });
            const Answer soft = on_machine<F>([&](u32& flags) { return keep(fpu::in_software<op>(a, b, c, mode), flags); });
            if (!agree(name, raw, mode, fast, right) || !agree("soft_float's", raw, mode, soft, right)) return;
        }
    }
}
template <class F> void check_arithmetic() {
    check_operation<Operation::Add, F>("sum");
    check_operation<Operation::Sub, F>("difference");
    check_operation<Operation::Mul, F>("product");
    check_operation<Operation::Div, F>("quotient");
    check_operation<Operation::Sqrt, F>("square root");
    check_operation<Operation::Fma, F>("fused product and sum");
}

template <class To, class From> void check_conversion() {
    Operands operands;
    for (u64 i = 0; i < count(); ++i) {
        u64 raw = operands.value<From>();
        if constexpr (sizeof(To) < sizeof(From)) { // half of them close to what the narrower format holds
            u32 ignored = 0;
            if (i % 2) raw = soft_float::convert(Limits<From>::kFormat, Limits<To>::kFormat, operands.value<To>(), 0, ignored) ^ (operands.next() >> (16 + operands.next() % 48));
            raw &= static_cast<typename fpu::Traits<From>::Bits>(~u64{0});
        }
        for (u8 mode = fpu::RNE; mode <= fpu::RMM; ++mode) {
            Real real;
            set<From>(real, raw);
            Answer right = rounded<To>(real, mode);
            if (signaling<From>(raw)) right.flags |= fpu::kNV;
            const Answer ours = on_machine<To>([&](u32& flags) { return fpu::convert<To>(fpu::from_bits<From>(raw), mode, flags); });
            if (!agree("conversion", {raw, sizeof(From), sizeof(To)}, mode, ours, right)) return;
        }
    }
}

template <class F, class Int> Answer integer_by_mpfr(u64 raw, u8 mode) {
    using Range = std::numeric_limits<Int>;
    Real real, integer;
    set<F>(real, raw);
    const auto as_u64 = [](Int value) { return static_cast<u64>(value); };
    if (mpfr_nan_p(static_cast<mpfr_ptr>(real))) return {as_u64(Range::max()), fpu::kNV};
    const bool inexact = round_to_integer(integer, real, mode);
    if (mpfr_cmp_ui(integer, static_cast<u64>(Range::max())) > 0) return {as_u64(Range::max()), fpu::kNV};
    if (mpfr_cmp_si(integer, static_cast<i64>(Range::min())) < 0) return {as_u64(Range::min()), fpu::kNV};
    const u64 value = Range::is_signed ? static_cast<u64>(mpfr_get_si(integer, MPFR_RNDZ)) : mpfr_get_ui(integer, MPFR_RNDZ);
    return {value, inexact ? fpu::kNX : 0};
}

template <class F, class Int> void check_integer() {
    using L = Limits<F>;
    Operands operands;
    for (u64 i = 0; i < count(); ++i) {
        u64 raw = operands.value<F>();
        if (i % 2) { // magnitudes of integers, halves among them
            const u64 biased = L::kLargest - 3 + operands.next() % 70;
            raw = (raw & ~L::kInfinity) | biased << (L::kPrecision - 1);
            if (operands.next() % 2) raw &= ~u64{0} << (operands.next() % L::kPrecision);
        }
        const Int integer = static_cast<Int>(operands.next() >> operands.next() % 64 ^ (operands.next() % 2 ? ~u64{0} << operands.next() % 64 : 0));
        for (u8 mode = fpu::RNE; mode <= fpu::RMM; ++mode) {
            u32 flags = 0;
            Answer ours;
            {
                const fpu::HostFloats scope;
                ours.raw = static_cast<u64>(fpu::to_int<Int>(fpu::from_bits<F>(raw), mode, flags));
                ours.flags = flags | fpu::HostFloats::take_flags();
            }
            // FS is marked dirty by the flags that the function gives itself.
            if (!agree("integer", {raw, sizeof(F), sizeof(Int)}, mode, ours, integer_by_mpfr<F, Int>(raw, mode))) return;
            if (!agree("integer's own flags", {raw, sizeof(F), sizeof(Int)}, mode, {ours.raw, flags}, ours)) return;
            Real real;
            if constexpr (std::is_signed_v<Int>) mpfr_set_si(real, integer, MPFR_RNDN);
            else mpfr_set_ui(real, integer, MPFR_RNDN);
            const Answer from = on_machine<F>([&](u32& raised) { return fpu::from_int<F>(integer, mode, raised); });
            if (!agree("from integer", {static_cast<u64>(integer), sizeof(F), sizeof(Int)}, mode, from, rounded<F>(real, mode))) return;
        }
    }
}

} // namespace

TEST_CASE("F: arithmetic in single precision agrees with MPFR in all rounding modes, flags included") { check_arithmetic<float>(); }
TEST_CASE("D: arithmetic in double precision agrees with MPFR in all rounding modes, flags included") { check_arithmetic<double>(); }

TEST_CASE("fcvt: conversions between formats agree with MPFR") {
    check_conversion<float, double>();
    check_conversion<double, float>();
    check_conversion<fpu::Half, float>();
    check_conversion<fpu::Half, double>();
    check_conversion<float, fpu::Half>();
    check_conversion<double, fpu::Half>();
}

TEST_CASE("fcvt: every half-precision value goes to single and double and back unchanged") {
    for (u32 raw = 0; raw < 0x10000; ++raw) {
        const auto half = fpu::from_bits<fpu::Half>(raw);
        u32 flags = 0;
        const float single = fpu::convert<float>(half, fpu::RNE, flags);
        const double wide = fpu::convert<double>(half, fpu::RNE, flags);
        const u16 expected = fpu::is_nan(half) ? fpu::Traits<fpu::Half>::kCanonicalNan : static_cast<u16>(raw);
        REQUIRE(flags == (fpu::is_signaling(half) ? fpu::kNV : 0));
        flags = 0;
        REQUIRE(fpu::to_bits(fpu::convert<fpu::Half>(single, fpu::RTZ, flags)) == expected);
        REQUIRE(fpu::to_bits(fpu::convert<fpu::Half>(wide, fpu::RMM, flags)) == expected);
        REQUIRE(flags == 0);
    }
}

TEST_CASE("fcvt: conversions to and from integers agree with MPFR and saturate as the specification's table says") {
    check_integer<float, i32>();
    check_integer<float, u32>();
    check_integer<float, i64>();
    check_integer<float, u64>();
    check_integer<double, i32>();
    check_integer<double, u32>();
    check_integer<double, i64>();
    check_integer<double, u64>();
}

TEST_CASE("22.2: a narrower value that is not NaN-boxed reads as the canonical NaN") {
    CHECK(fpu::to_bits(fpu::unbox<float>(0xffffffff3f800000)) == 0x3f800000);
    CHECK(fpu::to_bits(fpu::unbox<float>(0x000000003f800000)) == 0x7fc00000);
    CHECK(fpu::to_bits(fpu::unbox<float>(0xfffffffe3f800000)) == 0x7fc00000);
    CHECK(fpu::to_bits(fpu::unbox<fpu::Half>(0xffffffffffff3c00)) == 0x3c00);
    CHECK(fpu::to_bits(fpu::unbox<fpu::Half>(0xfffffffffffe3c00)) == 0x7e00);
    CHECK(fpu::box(fpu::from_bits<float>(0xff812345)) == 0xffffffff7fc00000);
    CHECK(fpu::box(fpu::from_bits<fpu::Half>(0x3c00)) == 0xffffffffffff3c00);
}

TEST_CASE("the host's floating-point environment is as before after a hart ran") {
    const u32 before = fpu::read_mxcsr();
    {
        const fpu::HostFloats scope;
        u32 flags = 0;
        (void)fpu::convert<float>(1e-300, fpu::RUP, flags);
        CHECK(((flags | fpu::HostFloats::take_flags()) == (fpu::kUF | fpu::kNX)));
        (void)fpu::convert<float>(1e-300, fpu::RUP, flags);
    }
    CHECK(fpu::read_mxcsr() == before);
}
