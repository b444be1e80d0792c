// The virtio console (virtio 1.2, section 5.3) with one port: what the guest calls hvc0. Queue 0 takes what is typed to the guest,
// queue 1 brings what it prints.
// Known inaccuracies: no further ports, no size and no emergency write are offered. Of one request at most 64 KiB are printed.
#pragma once

#include "emulator/devices/console_output.hpp"
#include "emulator/devices/virtio_mmio.hpp"

namespace trapeze {

class VirtioConsole final : public VirtioMmio {
  public:
    static constexpr std::size_t kMaxInput = 64 << 10; ///< typed bytes kept; further ones are dropped and counted
    static constexpr u64 kMaxRequestBytes = 64 << 10;
    static constexpr unsigned kTransmit = 1; ///< number of the queue that brings what the guest prints

    const char* name() const override { return "virtio-console"; }
    std::unique_ptr<Device> clone() const override { return std::make_unique<VirtioConsole>(*this); }
    bool listens() const override { return driver_ok(); }
    void type(std::string_view text) override;
    std::string take_output() override { return output_.take(); }
    void state(StateArchive& archive) override;

    u64 dropped_output() const { return output_.dropped(); }
    u64 dropped_input() const { return dropped_input_; }

  protected:
    u32 device_id() const override { return 3; }
    unsigned queues() const override { return 2; }
    bool ready(unsigned queue) const override { return queue == kTransmit || !input_.empty(); }
    bool serve(unsigned queue, VirtioChain& chain) override;

  private:
    bool receive(VirtioChain& chain);
    bool transmit(VirtioChain& chain);

    std::string input_;
    u64 dropped_input_ = 0;
    ConsoleOutput output_;
};

} // namespace trapeze
