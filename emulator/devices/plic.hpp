// PLIC: the platform-level interrupt controller (RISC-V PLIC specification 1.0). Context 2h is hart h's M-mode, 2h + 1 its S-mode.
#pragma once

#include "emulator/devices/device.hpp"

#include <array>

namespace trapeze {

class Plic {
  public:
    static constexpr u64 kSize = 0x60'0000;
    static constexpr unsigned kSources = 96;   ///< sources 1..95, as QEMU virt's
    static constexpr unsigned kContexts = 16;

    explicit Plic(unsigned harts) : contexts_(harts * 2) {}
    u64 read(u64 offset, unsigned size);  ///< a read of a claim register claims
    void write(u64 offset, unsigned size, u64 value);
    /// Level of an interrupt source, and how often it was raised so far. A raise latches a request; a low level withdraws it. (As QEMU's
    /// sifive_plic: a line that stays high after completion asks again only when it is raised again.)
    void set_level(unsigned source, bool level, u32 raises);
    /// An enabled source above the context's threshold is pending.
    bool asserted(unsigned context) const;
    void reset();
    void state(StateArchive& archive);

  private:
    u32 best(unsigned context) const;

    unsigned contexts_;
    std::array<u32, kSources> priority_{};
    std::array<u32, kSources> raises_{};
    std::array<bool, kSources> level_{}, pending_{}, claimed_{};
    std::array<std::array<u32, kSources / 32>, kContexts> enable_{};
    std::array<u32, kContexts> threshold_{};
};

} // namespace trapeze
