// UART 16550A, as QEMU virt's: byte registers, a receive FIFO of 16 bytes, output that is sent at once.
// Typed bytes wait in a queue ("the line") until the guest looks at the chip, so that a driver that clears the FIFO while it
// starts does not lose what was typed before.
// Known inaccuracies: the transmitter takes no time; the receive time-out interrupt comes at once; of the line errors only the overrun,
// which only loopback can cause; no break; modem lines change in loopback alone, without interrupts.
#pragma once

#include "emulator/devices/console_output.hpp"
#include "emulator/devices/device.hpp"

namespace trapeze {

class Uart final : public Device {
  public:
    static constexpr u64 kSize = 0x100;
    static constexpr std::size_t kMaxOutput = ConsoleOutput::kMost; ///< bytes kept until taken; older ones are dropped and counted
    static constexpr std::size_t kMaxInput = 64 << 10; ///< typed bytes kept; further ones are dropped and counted

    const char* name() const override { return "uart"; }
    const char* node_name() const override { return "serial"; }
    std::unique_ptr<Device> clone() const override { return std::make_unique<Uart>(*this); }
    void reset() override; ///< the registers; typed and printed bytes stay
    u64 read(u64 offset, unsigned size, DeviceContext& context) override;
    void write(u64 offset, unsigned size, u64 value, DeviceContext& context) override;
    bool irq() const override { return (interrupt_id() & 1) == 0; }
    u32 irq_raises() const override { return raises_; }
    IrqTrigger irq_trigger() const override { return IrqTrigger::Edge; }
    void type(std::string_view text) override;
    bool listens() const override { return true; }
    std::string take_output() override { return output_.take(); }
    void print(std::string_view text) override { output_.append(text); }
    std::string take_typed(std::size_t most) override;
    void state(StateArchive& archive) override;
    std::vector<DeviceTreeProperty> device_tree() const override;

    // For looking at.
    struct View {
        u8 interrupt_enable, line_control, modem_control, fifo_control;
        std::size_t typed; ///< bytes that wait for the guest, in the FIFO or on the line
        bool overrun;
    };
    View view() const { return {ier_, lcr_, mcr_, fcr_, waiting(), overrun_}; }
    u64 dropped_output() const { return output_.dropped(); }
    u64 dropped_input() const { return dropped_input_; }

  private:
    std::size_t waiting() const { return input_.size() - taken_; }
    std::size_t fifo_bytes() const;
    void look();              ///< bytes of the line enter the FIFO
    u8 receive();
    void transmit(u8 byte);
    u8 interrupt_id() const;  ///< IIR without the FIFO bits; bit 0 set: none
    u8 modem_status() const;
    void set_fifo_control(u8 value);

    u8 ier_ = 0, lcr_ = 0, mcr_ = 8, scratch_ = 0, fcr_ = 0;
    u8 divisor_low_ = 12, divisor_high_ = 0;
    bool transmit_interrupt_ = false; ///< the transmitter became empty and IIR was not read since
    u32 raises_ = 0;
    u8 last_ = 0;                     ///< received without FIFOs: what the register still shows when it is empty
    bool overrun_ = false;            ///< a byte came that had no room; until LSR is read
    u8 in_fifo_ = 0;                  ///< bytes at the head of the input that have entered the FIFO
    std::string input_;               ///< bytes before taken_ are gone
    std::size_t taken_ = 0;
    u64 dropped_input_ = 0;
    ConsoleOutput output_;
};

} // namespace trapeze
