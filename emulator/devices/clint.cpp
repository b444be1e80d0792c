// Registers of 4 bytes; mtime and mtimecmp also as 8 bytes. Reads elsewhere give 0, writes elsewhere are ignored.
#include "emulator/devices/clint.hpp"

namespace trapeze {

namespace {
constexpr u64 kMtimecmp = 0x4000, kMtime = 0xbff8;

u64 part(u64 value, u64 offset, unsigned size) {
    if (size == 8) return offset % 8 == 0 ? value : 0;
    if (size != 4 || offset % 4) return 0;
    return static_cast<u32>(value >> (offset % 8 * 8));
}

void set_part(u64& value, u64 offset, unsigned size, u64 in) {
    if (size == 8 && offset % 8 == 0) value = in;
    else if (size == 4 && offset % 4 == 0) value = set_field(value, u64{0xffff'ffff} << (offset % 8 * 8), in);
}
} // namespace

u64 Clint::read(u64 offset, unsigned size, u64 ticks) const {
    if (offset < 4 * harts_) return size == 4 && offset % 4 == 0 ? msip_[offset / 4] : 0;
    if (offset >= kMtimecmp && offset < kMtimecmp + 8 * harts_) return part(mtimecmp_[(offset - kMtimecmp) / 8], offset, size);
    if (offset >= kMtime && offset < kMtime + 8) return part(ticks, offset, size);
    return 0;
}

void Clint::write(u64 offset, unsigned size, u64 value) {
    if (offset < 4 * harts_ && size == 4 && offset % 4 == 0) msip_[offset / 4] = value & 1;
    else if (offset >= kMtimecmp && offset < kMtimecmp + 8 * harts_)
        set_part(mtimecmp_[(offset - kMtimecmp) / 8], offset, size, value);
}

void Clint::reset() {
    msip_.fill(0);
    mtimecmp_.fill(~u64{0});
}

} // namespace trapeze
