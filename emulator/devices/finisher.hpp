// Test finisher (SiFive's, as on QEMU virt): one word switches the machine off or resets it.
#pragma once

#include "emulator/devices/device.hpp"

namespace trapeze {

class Finisher final : public Device {
  public:
    static constexpr u64 kSize = 0x1000;
    static constexpr u32 kPass = 0x5555, kFail = 0x3333, kReset = 0x7777;

    const char* name() const override { return "finisher"; }
    const char* node_name() const override { return "test"; }
    std::unique_ptr<Device> clone() const override { return std::make_unique<Finisher>(*this); }
    void reset() override { request_.reset(); }
    u64 read(u64, unsigned, DeviceContext&) override { return 0; }
    void write(u64 offset, unsigned, u64 value, DeviceContext&) override {
        if (offset != 0) return;
        switch (value & 0xffff) {
        case kPass: request_ = Halt{0, false}; break;
        case kFail: request_ = Halt{static_cast<u32>(bits(value, 31, 16)), false}; break;
        case kReset: request_ = Halt{0, true}; break;
        default: break;
        }
    }
    std::optional<Halt> halt_request() const override { return request_; }
    void state(StateArchive& a) override {
        u8 set = request_.has_value(), reset = request_ && request_->reset;
        u32 code = request_ ? request_->code : 0;
        a(set), a(code), a(reset);
        if (a.loading()) request_ = set ? std::optional(Halt{code, reset != 0}) : std::nullopt;
    }
    std::vector<DeviceTreeProperty> device_tree() const override { return {{"compatible", {}, {"sifive,test1", "sifive,test0", "syscon"}}}; }

  private:
    std::optional<Halt> request_;
};

} // namespace trapeze
