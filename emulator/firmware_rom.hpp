// The reset ROM, as QEMU virt's mask ROM at 0x1000: where the first instructions and what they hand over to firmware lie. It is read
// like any memory, and ignores writes.
// Known inaccuracy: instructions are not fetched from it. `start_firmware` leaves each hart as the ROM's six instructions would.
#pragma once

#include "emulator/devices/device.hpp"

namespace trapeze {

class ResetRom final : public Device {
  public:
    static constexpr u64 kBase = 0x1000, kSize = 0xf000;
    /// Where `reset_rom_image` puts the structure that a2 points to.
    static constexpr u64 kDynamicInfo = kBase + 0x28;

    const char* name() const override { return "rom"; }
    const char* node_name() const override { return "rom"; }
    std::unique_ptr<Device> clone() const override { return std::make_unique<ResetRom>(*this); }
    void reset() override {}
    u64 read(u64 offset, unsigned size, DeviceContext& context) override;
    void write(u64, unsigned, u64, DeviceContext&) override {}
    void state(StateArchive& archive) override;
    /// Nothing: QEMU's tree does not have it either.
    std::vector<DeviceTreeProperty> device_tree() const override { return {}; }

    /// Pre: at most kSize bytes.
    void fill(std::vector<u8> bytes) { bytes_ = std::move(bytes); }

  private:
    std::vector<u8> bytes_;
};

/// What QEMU virt's ROM holds: code that sets a0 = mhartid, a1 = `device_tree`, a2 = the dynamic information and jumps to `firmware`; then
/// the dynamic information of OpenSBI's fw_dynamic (struct fw_dynamic_info, version 2): the next stage starts at `next` in S-mode.
std::vector<u8> reset_rom_image(u64 firmware, u64 device_tree, u64 next);

} // namespace trapeze
