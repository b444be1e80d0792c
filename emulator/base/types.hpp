// Fixed-width types, bit helpers and strong address types, used by every layer.
#pragma once

#include <bit>
#include <compare>
#include <cstddef>
#include <cstdint>

namespace trapeze {

using u8 = std::uint8_t;
using u16 = std::uint16_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;
using u128 = unsigned __int128;
using i8 = std::int8_t;
using i16 = std::int16_t;
using i32 = std::int32_t;
using i64 = std::int64_t;
using i128 = __int128;

static_assert(std::endian::native == std::endian::little, "guest memory is accessed in place; the host must be little-endian");

/// An address in one named address space. Two address spaces never mix without saying so.
template <class Space> struct Address {
    u64 value = 0;
    constexpr Address() = default;
    constexpr explicit Address(u64 v) : value(v) {}
    constexpr Address operator+(u64 bytes) const { return Address(value + bytes); }
    constexpr u64 operator-(Address other) const { return value - other.value; }
    constexpr auto operator<=>(const Address&) const = default;
};
using HostPhys = Address<struct HostPhysSpace>;   ///< on the bus of the machine
using GuestPhys = Address<struct GuestPhysSpace>; ///< what a guest of a VMM believes is physical
using GuestVirt = Address<struct GuestVirtSpace>; ///< virtual, in whatever runs on the hart

inline constexpr u64 kPageSize = 4096;
inline constexpr u64 kPageShift = 12;
inline constexpr u64 kPageMask = kPageSize - 1;

/// Bits [high:low] of `value`, right-aligned. Range: 63 >= high >= low >= 0.
constexpr u64 bits(u64 value, unsigned high, unsigned low) {
    return (value >> low) & (~u64{0} >> (63 - (high - low)));
}
constexpr bool bit(u64 value, unsigned index) { return (value >> index) & 1; }
/// Sign-extends the low `width` bits. Range: 1..64.
constexpr u64 sign_extend(u64 value, unsigned width) {
    return static_cast<u64>(static_cast<i64>(value << (64 - width)) >> (64 - width));
}
/// The field of `value` that `mask` (contiguous bits) selects, right-aligned.
constexpr u64 get_field(u64 value, u64 mask) { return (value & mask) >> std::countr_zero(mask); }
constexpr u64 set_field(u64 value, u64 mask, u64 field) {
    return (value & ~mask) | ((field << std::countr_zero(mask)) & mask);
}

} // namespace trapeze
