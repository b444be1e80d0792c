// CLINT: software interrupts and the machine timer (SiFive FU540 manual, chapter 9; QEMU virt's window of 64 KiB).
#pragma once

#include "emulator/devices/device.hpp"

#include <array>

namespace trapeze {

class Clint {
  public:
    static constexpr u64 kSize = 0x1'0000;

    explicit Clint(unsigned harts) : harts_(harts) { reset(); }
    u64 read(u64 offset, unsigned size, u64 ticks) const;
    /// A write to mtime is ignored: time is the machine's.
    void write(u64 offset, unsigned size, u64 value);
    bool msip(unsigned hart) const { return msip_[hart] & 1; }
    void set_msip(unsigned hart, bool level) { msip_[hart] = level; }
    /// The machine timer interrupt is pending while mtime >= mtimecmp.
    u64 mtimecmp(unsigned hart) const { return mtimecmp_[hart]; }
    void set_mtimecmp(unsigned hart, u64 tick) { mtimecmp_[hart] = tick; }
    void reset();
    void state(StateArchive& archive) { archive(msip_), archive(mtimecmp_); }

  private:
    unsigned harts_;
    std::array<u32, 8> msip_{};
    std::array<u64, 8> mtimecmp_{};
};

} // namespace trapeze
