// The goldfish real-time clock of QEMU's virt board: nanoseconds since 1970, with an alarm (docs: goldfish VIRTUAL-HARDWARE).
// Its time is the machine's: it starts at kStart and passes with mtime, so that every run of a guest sees the same dates.
// Known inaccuracies: its resolution is a tick of mtime (100 ns).
#pragma once

#include "emulator/devices/device.hpp"

namespace trapeze {

class Rtc final : public Device {
  public:
    static constexpr u64 kSize = 0x1000;
    static constexpr u64 kStart = u64{1'767'225'600} * 1'000'000'000; ///< 2026-01-01 00:00:00 UTC, in ns since 1970

    const char* name() const override { return "rtc"; }
    const char* node_name() const override { return "rtc"; }
    std::unique_ptr<Device> clone() const override { return std::make_unique<Rtc>(*this); }
    void reset() override; ///< alarm and interrupt; the time that was set stays
    u64 read(u64 offset, unsigned size, DeviceContext& context) override;
    void write(u64 offset, unsigned size, u64 value, DeviceContext& context) override;
    bool irq() const override { return pending_ && enabled_; }
    u32 irq_raises() const override { return raises_; }
    u64 due() const override { return running_ ? alarm_tick_ : ~u64{0}; }
    void advance(DeviceContext& context) override;
    void state(StateArchive& archive) override;
    std::vector<DeviceTreeProperty> device_tree() const override { return {{"compatible", {}, {"google,goldfish-rtc"}}}; }

  private:
    u64 now(const DeviceContext& context) const; ///< ns since 1970
    void set_time(u64 time, const DeviceContext& context) { offset_ += time - now(context); }
    void set_alarm(const DeviceContext& context);
    void fire();

    u64 offset_ = 0;         ///< ns that the guest has moved the clock by, modulo 2^64
    u64 alarm_ = 0;          ///< ns since 1970
    u64 alarm_tick_ = 0;     ///< mtime at which it fires, while it runs
    u32 time_high_ = 0;      ///< latched by a read of the low half
    bool running_ = false, pending_ = false, enabled_ = false;
    u32 raises_ = 0;
};

} // namespace trapeze
