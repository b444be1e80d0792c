// UART 16550A at its byte registers (National Semiconductor PC16550D data sheet). Transmission takes no time; the receive FIFO has
// 16 bytes as seen by the guest, behind it waits what was typed. Known inaccuracy: no baud rate, no receive time-out.
#pragma once

#include "emulator/devices/device.hpp"

namespace trapeze {

class Uart final : public Device {
  public:
    static constexpr u64 kSize = 0x100;
    static constexpr std::size_t kMaxTyped = 64 << 10;   ///< bytes waiting for the guest; more are dropped
    static constexpr std::size_t kMaxPrinted = 1 << 20;  ///< bytes waiting for the host; the oldest are dropped

    const char* name() const override { return "uart"; }
    const char* node_name() const override { return "serial"; }
    std::unique_ptr<Device> clone() const override { return std::make_unique<Uart>(*this); }
    void reset() override;
    u64 read(u64 offset, unsigned size, DeviceContext& context) override;
    void write(u64 offset, unsigned size, u64 value, DeviceContext& context) override;
    bool irq() const override;
    u32 irq_raises() const override { return raises_; }
    void type(std::string_view text) override;
    std::string take_output() override;
    void print(std::string_view text) override;
    std::string take_typed(std::size_t most) override;
    void state(StateArchive& archive) override;
    std::vector<DeviceTreeProperty> device_tree() const override;

  private:
    bool dlab() const { return line_control_ & 0x80; }

    std::string typed_;
    std::string printed_;
    u8 interrupt_enable_ = 0, fifo_control_ = 0, line_control_ = 0, modem_control_ = 0, scratch_ = 0, divisor_low_ = 0, divisor_high_ = 0;
    u32 raises_ = 0;
    bool transmit_empty_pending_ = false; ///< THRE interrupt not acknowledged yet
};

} // namespace trapeze
