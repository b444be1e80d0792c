#include "emulator/cpu/soft_float.hpp"

#include <initializer_list>
#include <utility>

namespace trapeze::soft_float {

namespace {

enum class Kind : u8 { Zero, Finite, Infinity, QuietNan, SignalingNan };

/// What a value is. Finite: (-1)^sign * significand * 2^(exponent - 63), bit 63 of the significand set.
struct Number {
    Kind kind = Kind::Zero;
    bool sign = false;
    int exponent = 0;
    u64 significand = 0;
    bool is_nan() const { return kind >= Kind::QuietNan; }
};

/// An exact result, or one with all that is below its low bit gathered in that bit: (-1)^sign * significand * 2^(exponent - 127).
struct Wide {
    bool sign;
    int exponent;
    u128 significand;
};

int bias(Format f) { return (1 << (f.exponent_bits - 1)) - 1; }
int smallest_exponent(Format f) { return 1 - bias(f); }
u64 sign_bit(Format f) { return u64{1} << (f.exponent_bits + f.fraction_bits); }
u64 infinity(Format f) { return ((u64{1} << f.exponent_bits) - 1) << f.fraction_bits; }
u64 canonical_nan(Format f) { return infinity(f) | u64{1} << (f.fraction_bits - 1); }
u64 with_sign(Format f, bool sign, u64 magnitude) { return sign ? magnitude | sign_bit(f) : magnitude; }

Number unpack(Format f, u64 raw) {
    Number n;
    n.sign = raw & sign_bit(f);
    const u64 fraction = raw & ((u64{1} << f.fraction_bits) - 1);
    const u64 exponent = bits(raw, f.exponent_bits + f.fraction_bits - 1, f.fraction_bits);
    if (exponent == (u64{1} << f.exponent_bits) - 1) {
        n.kind = !fraction ? Kind::Infinity : bit(fraction, f.fraction_bits - 1) ? Kind::QuietNan : Kind::SignalingNan;
    } else if (exponent || fraction) {
        n.kind = Kind::Finite;
        const u64 whole = exponent ? fraction | u64{1} << f.fraction_bits : fraction;
        const int zeros = std::countl_zero(whole);
        n.significand = whole << zeros;
        n.exponent = (exponent ? static_cast<int>(exponent) - bias(f) : smallest_exponent(f)) + 63 - zeros - static_cast<int>(f.fraction_bits);
    }
    return n;
}

/// Shifts right; a one that falls out stays in the low bit.
u128 shift_right_sticky(u128 value, unsigned count) {
    if (count == 0) return value;
    if (count > 127) return value != 0;
    return value >> count | ((value << (128 - count)) != 0);
}

bool rounds_up(u8 mode, bool sign, bool odd, u128 rest, u128 half) {
    switch (mode) {
    case RNE: return rest > half || (rest == half && odd);
    case RDN: return sign && rest;
    case RUP: return !sign && rest;
    case RMM: return rest >= half;
    default: return false;
    }
}

struct Rounded {
    u64 value;
    bool inexact;
};
/// The significand without its low `drop` bits, rounded. Range: drop 63..258, and what is kept has at most 63 bits.
Rounded round_off(u128 significand, unsigned drop, bool sign, u8 mode) {
    if (drop > 128) significand = shift_right_sticky(significand, drop - 128), drop = 128;
    const u128 kept = drop == 128 ? 0 : significand >> drop;
    const u128 rest = drop == 128 ? significand : significand & ((u128{1} << drop) - 1);
    const bool up = rounds_up(mode, sign, kept & 1, rest, u128{1} << (drop - 1));
    return {static_cast<u64>(kept) + up, rest != 0};
}

/// Rounds to the format (section 21.2) and raises OF, UF and NX. Pre: bit 127 of the significand is set.
u64 pack(Format f, const Wide& x, u8 mode, u32& flags) {
    const unsigned precision = f.fraction_bits + 1;
    const u64 carried = u64{1} << precision;
    Rounded normal = round_off(x.significand, 128 - precision, x.sign, mode);
    const bool carries = normal.value == carried;
    if (x.exponent < smallest_exponent(f)) {
        const bool tiny = !(carries && x.exponent + 1 == smallest_exponent(f)); // after rounding, as if the exponent had no bound
        const int below = smallest_exponent(f) - x.exponent;
        const Rounded subnormal = round_off(x.significand, 128 - precision + static_cast<unsigned>(below < 130 ? below : 130), x.sign, mode);
        if (subnormal.inexact) flags |= tiny ? kUF | kNX : kNX;
        return with_sign(f, x.sign, subnormal.value); // 2^fraction_bits is the encoding of the smallest normal number
    }
    const int exponent = x.exponent + carries;
    if (exponent > bias(f)) {
        flags |= kOF | kNX;
        const bool to_infinity = mode == RNE || mode == RMM || (mode == RUP && !x.sign) || (mode == RDN && x.sign);
        return with_sign(f, x.sign, to_infinity ? infinity(f) : infinity(f) - 1);
    }
    if (normal.inexact) flags |= kNX;
    const u64 fraction = carries ? 0 : normal.value & ((u64{1} << f.fraction_bits) - 1);
    return with_sign(f, x.sign, static_cast<u64>(exponent + bias(f)) << f.fraction_bits | fraction);
}

/// The same for a significand with zeros above, which may be 0: then the result is a zero of the given sign.
u64 normalize_and_pack(Format f, Wide x, u8 mode, u32& flags) {
    if (!x.significand) return with_sign(f, x.sign, 0);
    const u64 high = static_cast<u64>(x.significand >> 64);
    const int zeros = high ? std::countl_zero(high) : 64 + std::countl_zero(static_cast<u64>(x.significand));
    x.significand <<= zeros;
    x.exponent -= zeros;
    return pack(f, x, mode, flags);
}

u64 invalid(Format f, u32& flags) {
    flags |= kNV;
    return canonical_nan(f);
}
u64 propagate_nan(Format f, std::initializer_list<Number> operands, u32& flags) {
    for (const Number& n : operands)
        if (n.kind == Kind::SignalingNan) flags |= kNV;
    return canonical_nan(f);
}

/// A finite sum of two values with a spare bit above their significands (bit 126 is the highest).
u64 add_wide(Format f, Wide a, Wide b, u8 mode, u32& flags) {
    if (a.exponent < b.exponent || (a.exponent == b.exponent && a.significand < b.significand)) std::swap(a, b);
    b.significand = shift_right_sticky(b.significand, static_cast<unsigned>(a.exponent - b.exponent));
    if (a.sign == b.sign) {
        a.significand += b.significand;
    } else {
        a.significand -= b.significand;
        if (!a.significand) a.sign = mode == RDN; // an exact zero difference (IEEE 754, section 6.3)
    }
    return normalize_and_pack(f, a, mode, flags);
}
/// Its highest bit is bit 126, so that a sum has room.
Wide widen(const Number& n) { return {n.sign, n.exponent + 1, static_cast<u128>(n.significand) << 63}; }

u64 sum(Format f, u64 raw_a, u64 raw_b, bool negate_b, u8 mode, u32& flags) {
    const Number a = unpack(f, raw_a);
    Number b = unpack(f, raw_b);
    if (a.is_nan() || b.is_nan()) return propagate_nan(f, {a, b}, flags);
    b.sign ^= negate_b;
    if (a.kind == Kind::Infinity) return b.kind == Kind::Infinity && a.sign != b.sign ? invalid(f, flags) : with_sign(f, a.sign, infinity(f));
    if (b.kind == Kind::Infinity) return with_sign(f, b.sign, infinity(f));
    if (a.kind == Kind::Zero && b.kind == Kind::Zero) return with_sign(f, a.sign == b.sign ? a.sign : mode == RDN, 0);
    if (a.kind == Kind::Zero) return with_sign(f, b.sign, raw_b & ~sign_bit(f));
    if (b.kind == Kind::Zero) return raw_a;
    return add_wide(f, widen(a), widen(b), mode, flags);
}

/// The integer square root of a number with bit 127 or 126 set; 64 bits, and whether something is left.
u64 integer_root(u128 value, bool& inexact) {
    u64 root = 0;
    for (int i = 63; i >= 0; --i) {
        const u64 candidate = root | u64{1} << i;
        if (static_cast<u128>(candidate) * candidate <= value) root = candidate;
    }
    inexact = static_cast<u128>(root) * root != value;
    return root;
}

} // namespace

u64 add(Format f, u64 a, u64 b, u8 mode, u32& flags) { return sum(f, a, b, false, mode, flags); }
u64 subtract(Format f, u64 a, u64 b, u8 mode, u32& flags) { return sum(f, a, b, true, mode, flags); }

u64 multiply(Format f, u64 raw_a, u64 raw_b, u8 mode, u32& flags) {
    const Number a = unpack(f, raw_a), b = unpack(f, raw_b);
    if (a.is_nan() || b.is_nan()) return propagate_nan(f, {a, b}, flags);
    const bool sign = a.sign != b.sign, zero = a.kind == Kind::Zero || b.kind == Kind::Zero;
    if (a.kind == Kind::Infinity || b.kind == Kind::Infinity) return zero ? invalid(f, flags) : with_sign(f, sign, infinity(f));
    if (zero) return with_sign(f, sign, 0);
    return normalize_and_pack(f, {sign, a.exponent + b.exponent + 1, static_cast<u128>(a.significand) * b.significand}, mode, flags);
}

u64 divide(Format f, u64 raw_a, u64 raw_b, u8 mode, u32& flags) {
    const Number a = unpack(f, raw_a), b = unpack(f, raw_b);
    if (a.is_nan() || b.is_nan()) return propagate_nan(f, {a, b}, flags);
    const bool sign = a.sign != b.sign;
    if (a.kind == b.kind && a.kind != Kind::Finite) return invalid(f, flags);
    if (a.kind == Kind::Infinity) return with_sign(f, sign, infinity(f));
    if (b.kind == Kind::Infinity || a.kind == Kind::Zero) return with_sign(f, sign, 0);
    if (b.kind == Kind::Zero) {
        flags |= kDZ;
        return with_sign(f, sign, infinity(f));
    }
    const u128 dividend = static_cast<u128>(a.significand) << 63; // the quotient has 63 or 64 bits
    const u128 quotient = dividend / b.significand;
    return normalize_and_pack(f, {sign, a.exponent - b.exponent, quotient << 64 | (dividend % b.significand != 0)}, mode, flags);
}

u64 square_root(Format f, u64 raw, u8 mode, u32& flags) {
    const Number a = unpack(f, raw);
    if (a.is_nan()) return propagate_nan(f, {a}, flags);
    if (a.kind == Kind::Zero) return raw;
    if (a.sign) return invalid(f, flags);
    if (a.kind == Kind::Infinity) return raw;
    // significand * 2^(exponent - 63) == square * 2^(even - 126), with half of `even` the root's exponent
    const bool odd = a.exponent & 1;
    const u128 square = static_cast<u128>(a.significand) << (odd ? 64 : 63);
    bool inexact = false;
    const u64 root = integer_root(square, inexact);
    return normalize_and_pack(f, {false, (a.exponent - odd) / 2, static_cast<u128>(root) << 64 | inexact}, mode, flags);
}

u64 multiply_add(Format f, u64 raw_a, u64 raw_b, u64 raw_c, u8 mode, u32& flags) {
    const Number a = unpack(f, raw_a), b = unpack(f, raw_b), c = unpack(f, raw_c);
    const bool zero = a.kind == Kind::Zero || b.kind == Kind::Zero, infinite = a.kind == Kind::Infinity || b.kind == Kind::Infinity;
    if (zero && infinite) return invalid(f, flags);
    if (a.is_nan() || b.is_nan() || c.is_nan()) return propagate_nan(f, {a, b, c}, flags);
    const bool sign = a.sign != b.sign;
    if (infinite) return c.kind == Kind::Infinity && c.sign != sign ? invalid(f, flags) : with_sign(f, sign, infinity(f));
    if (c.kind == Kind::Infinity) return raw_c;
    if (zero && c.kind == Kind::Zero) return with_sign(f, sign == c.sign ? sign : mode == RDN, 0);
    if (zero) return raw_c;
    u128 significand = static_cast<u128>(a.significand) * b.significand;
    int exponent = a.exponent + b.exponent + 1;
    if (c.kind == Kind::Zero) return normalize_and_pack(f, {sign, exponent, significand}, mode, flags);
    if (!(significand >> 127)) significand <<= 1, --exponent; // its 106 bits leave at least 22 zeros below
    return add_wide(f, {sign, exponent + 1, significand >> 1}, widen(c), mode, flags);
}

u64 convert(Format to, Format from, u64 raw, u8 mode, u32& flags) {
    const Number a = unpack(from, raw);
    switch (a.kind) {
    case Kind::Zero: return with_sign(to, a.sign, 0);
    case Kind::Infinity: return with_sign(to, a.sign, infinity(to));
    case Kind::Finite: return pack(to, {a.sign, a.exponent, static_cast<u128>(a.significand) << 64}, mode, flags);
    default: return propagate_nan(to, {a}, flags);
    }
}

u64 to_integer(Integer to, Format f, u64 raw, u8 mode, u32& flags) {
    const Number a = unpack(f, raw);
    const u64 largest = ~u64{0} >> (64 - to.width + to.is_signed);
    const u64 smallest = to.is_signed ? ~largest : 0;
    const auto saturate = [&](bool negative) {
        flags |= kNV;
        return negative ? smallest : largest;
    };
    if (a.is_nan()) return saturate(false);
    if (a.kind == Kind::Zero) return 0;
    if (a.kind == Kind::Infinity || a.exponent > 63) return saturate(a.sign);
    // The significand's integer part has exponent + 1 bits; everything below exponent -66 rounds alike.
    const int exponent = a.exponent < -2 ? -2 : a.exponent;
    const Rounded magnitude = exponent == 63 ? Rounded{a.significand, false}
                                             : round_off(static_cast<u128>(a.significand) << 64 >> 2, static_cast<unsigned>(125 - exponent), a.sign, mode);
    const u64 limit = a.sign ? 0 - smallest : largest;
    if (magnitude.value > limit) return saturate(a.sign);
    if (magnitude.inexact) flags |= kNX;
    return a.sign ? 0 - magnitude.value : magnitude.value;
}

u64 from_integer(Format f, Integer from, u64 value, u8 mode, u32& flags) {
    const u64 number = from.is_signed ? sign_extend(value, from.width) : value & (~u64{0} >> (64 - from.width));
    const bool sign = from.is_signed && number >> 63;
    return normalize_and_pack(f, {sign, 127, sign ? 0 - number : number}, mode, flags);
}

} // namespace trapeze::soft_float
