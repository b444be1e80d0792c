#include "emulator/devices/clint.hpp"

namespace trapeze {

namespace {
constexpr u64 kMtimecmp = 0x4000, kMtime = 0xbff8;

/// The part of a 64-bit register that an access of `size` bytes at `shift` bytes sees.
u64 part(u64 value, u64 shift, unsigned size) { return size == 8 ? value : (value >> (8 * shift)) & 0xffffffff; }
} // namespace

void Clint::reset() {
    msip_ = {};
    mtimecmp_.fill(~u64{0});
}

u64 Clint::read(u64 offset, unsigned size, u64 ticks) const {
    if (size < 4) return 0;
    if (offset < harts_ * 4) return msip_[offset / 4];
    if (offset >= kMtimecmp && offset < kMtimecmp + harts_ * 8) return part(mtimecmp_[(offset - kMtimecmp) / 8], offset & 4, size);
    if (offset >= kMtime && offset < kMtime + 8) return part(ticks, offset & 4, size);
    return 0;
}

void Clint::write(u64 offset, unsigned size, u64 value) {
    if (size < 4) return;
    if (offset < harts_ * 4) msip_[offset / 4] = value & 1;
    if (offset < kMtimecmp || offset >= kMtimecmp + harts_ * 8) return;
    u64& compare = mtimecmp_[(offset - kMtimecmp) / 8];
    if (size == 8) compare = value;
    else if (offset & 4) compare = (compare & 0xffffffff) | value << 32;
    else compare = (compare & ~u64{0xffffffff}) | (value & 0xffffffff);
}

} // namespace trapeze
