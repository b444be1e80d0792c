// PLIC: the platform-level interrupt controller (RISC-V PLIC specification 1.0). Context 2h is hart h's M-mode, 2h + 1 its S-mode.
// Its gateways are level-triggered but the UART's, which takes each raise as an edge: drivers that never read IIR, such as xv6's
// first ones, live with a line that stays high, as they do on QEMU's board.
// Where QEMU 7.2 differs, this follows the specification: a request that was accepted stays when the line falls, a level that is still
// high at completion asks again, and a claim is not bounded by the threshold.
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
    /// The line of an interrupt source as it is now, and how often it was raised so far. A level-triggered gateway makes one request of
    /// a high line at a time; an edge-triggered one a request of each raise that comes while the line is high, and of several while a
    /// request is served only one.
    void set_line(unsigned source, bool level, u32 raises, IrqTrigger trigger);
    /// An enabled source above the context's threshold is pending.
    bool asserted(unsigned context) const;
    void reset();
    void state(StateArchive& archive);

    // For looking at. Pre: source < kSources, context < contexts().
    unsigned contexts() const { return contexts_; }
    u32 priority(unsigned source) const { return priority_[source]; }
    bool level(unsigned source) const { return level_[source]; }
    bool pending(unsigned source) const { return pending_[source]; }
    bool claimed(unsigned source) const { return claimed_[source]; }
    u32 raises(unsigned source) const { return raises_[source]; }
    bool enabled(unsigned context, unsigned source) const { return enable_[context][source / 32] >> source % 32 & 1; }
    u32 threshold(unsigned context) const { return threshold_[context]; }

  private:
    u32 best(unsigned context, u32 above) const; ///< of the enabled pending sources the first, 0: none

    unsigned contexts_;
    std::array<u32, kSources> priority_{};
    std::array<u32, kSources> raises_{};
    std::array<bool, kSources> level_{}, pending_{}, claimed_{}; ///< claimed: the gateway waits for the completion
    std::array<std::array<u32, kSources / 32>, kContexts> enable_{};
    std::array<u32, kContexts> threshold_{};
};

} // namespace trapeze
