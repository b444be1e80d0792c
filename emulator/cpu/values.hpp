// Operations on values that the bodies of instructions.def name: pure functions of registers' contents.
#pragma once

#include "emulator/base/types.hpp"

#include <bit>
#include <limits>
#include <type_traits>

namespace trapeze {

struct Values {
    static u64 sext32(u64 v) { return static_cast<u64>(static_cast<i64>(static_cast<i32>(v))); }
    static u64 zext32(u64 v) { return static_cast<u32>(v); }
    static u64 sra(u64 v, u64 n) { return static_cast<u64>(static_cast<i64>(v) >> n); }
    static u64 eq(u64 a, u64 b) { return a == b; }
    static u64 ne(u64 a, u64 b) { return a != b; }
    static u64 lt(u64 a, u64 b) { return static_cast<i64>(a) < static_cast<i64>(b); }
    static u64 ge(u64 a, u64 b) { return static_cast<i64>(a) >= static_cast<i64>(b); }
    static u64 ltu(u64 a, u64 b) { return a < b; }
    static u64 geu(u64 a, u64 b) { return a >= b; }
    static u64 mulh(u64 a, u64 b) { return static_cast<u64>(static_cast<i128>(static_cast<i64>(a)) * static_cast<i64>(b) >> 64); }
    static u64 mulhsu(u64 a, u64 b) { return static_cast<u64>(static_cast<i128>(static_cast<i64>(a)) * static_cast<i128>(b) >> 64); }
    static u64 mulhu(u64 a, u64 b) { return static_cast<u64>(static_cast<u128>(a) * b >> 64); }
    // Division never traps: by zero gives all ones (rem: the dividend), overflow the dividend (rem: 0).
    template <class T> static u64 divide(u64 a, u64 b) {
        const T x = static_cast<T>(a), y = static_cast<T>(b);
        if (y == 0) return ~u64{0};
        if (std::is_signed_v<T> && x == std::numeric_limits<T>::min() && y == static_cast<T>(-1)) return widen(x);
        return widen(static_cast<T>(x / y));
    }
    template <class T> static u64 remainder(u64 a, u64 b) {
        const T x = static_cast<T>(a), y = static_cast<T>(b);
        if (y == 0) return widen(x);
        if (std::is_signed_v<T> && x == std::numeric_limits<T>::min() && y == static_cast<T>(-1)) return 0;
        return widen(static_cast<T>(x % y));
    }
    /// 32-bit results are sign-extended, also the unsigned ones.
    template <class T> static u64 widen(T v) { return sizeof(T) == 4 ? sext32(static_cast<u64>(v)) : static_cast<u64>(v); }
    static u64 div(u64 a, u64 b) { return divide<i64>(a, b); }
    static u64 divu(u64 a, u64 b) { return divide<u64>(a, b); }
    static u64 rem(u64 a, u64 b) { return remainder<i64>(a, b); }
    static u64 remu(u64 a, u64 b) { return remainder<u64>(a, b); }
    static u64 divw(u64 a, u64 b) { return divide<i32>(a, b); }
    static u64 divuw(u64 a, u64 b) { return divide<u32>(a, b); }
    static u64 remw(u64 a, u64 b) { return remainder<i32>(a, b); }
    static u64 remuw(u64 a, u64 b) { return remainder<u32>(a, b); }

    // Bits (Zba, Zbb, Zbc, Zbs).
    static u64 select(u64 condition, u64 yes, u64 no) { return condition ? yes : no; }
    static u64 sext(u64 v, unsigned width) { return sign_extend(v, width); }
    static u64 clz(u64 v) { return static_cast<u64>(std::countl_zero(v)); }
    static u64 ctz(u64 v) { return static_cast<u64>(std::countr_zero(v)); }
    static u64 cpop(u64 v) { return static_cast<u64>(std::popcount(v)); }
    static u64 rotate_right(u64 v, u64 n) { return std::rotr(v, static_cast<int>(n & 63)); }
    static u64 rotate_right_word(u64 v, u64 n) { return sext32(std::rotr(static_cast<u32>(v), static_cast<int>(n & 31))); }
    static u64 byte_reverse(u64 v) { return __builtin_bswap64(v); }
    /// Each byte that has a one becomes 255.
    static u64 or_combine(u64 v) {
        v |= v >> 4 & 0x0f0f0f0f0f0f0f0f, v |= v >> 2 & 0x3333333333333333, v |= v >> 1 & 0x5555555555555555;
        return (v & 0x0101010101010101) * 255;
    }
    /// The product of polynomials over one bit: 127 bits.
    static u128 carryless(u64 a, u64 b) {
        u128 product = 0;
        for (; b; b &= b - 1) product ^= static_cast<u128>(a) << std::countr_zero(b);
        return product;
    }
    static u64 clmul(u64 a, u64 b) { return static_cast<u64>(carryless(a, b)); }
    static u64 clmulh(u64 a, u64 b) { return static_cast<u64>(carryless(a, b) >> 64); }
    static u64 clmulr(u64 a, u64 b) { return static_cast<u64>(carryless(a, b) >> 63); }
};

} // namespace trapeze
