// virtio-mmio transport, version 2 (virtio 1.2, section 4.2), with a block device behind it (section 5.2). An empty slot answers with
// device id 0, as QEMU virt's do. Everything in a ring is the guest's and untrusted: chains are bounded by the queue's size, ranges
// are checked, and what is malformed stops the device with DEVICE_NEEDS_RESET.
#pragma once

#include "emulator/devices/device.hpp"

#include <array>
#include <map>

namespace trapeze {

/// A disk image: shared base, sectors written since are kept apart, so that copies of a machine are cheap.
class Disk {
  public:
    static constexpr u64 kSectorBytes = 512;

    Disk() = default;
    explicit Disk(std::vector<u8> image);
    u64 sectors() const { return sectors_; }
    /// False, with nothing done, outside the disk.
    bool read(u64 sector, std::span<u8, kSectorBytes> out) const;
    bool write(u64 sector, std::span<const u8, kSectorBytes> in);
    void state(StateArchive& archive);

  private:
    using Sector = std::array<u8, kSectorBytes>;
    std::shared_ptr<const std::vector<u8>> base_;
    std::map<u64, std::shared_ptr<const Sector>> written_;
    u64 sectors_ = 0;
};

class VirtioBlock final : public Device {
  public:
    static constexpr u64 kSize = 0x1000;
    static constexpr u32 kQueueMax = 256;

    VirtioBlock() = default;                              ///< an empty slot
    explicit VirtioBlock(Disk disk) : disk_(std::move(disk)), present_(true) {}

    const char* name() const override { return present_ ? "virtio-blk" : "virtio-empty"; }
    const char* node_name() const override { return "virtio_mmio"; }
    std::unique_ptr<Device> clone() const override { return std::make_unique<VirtioBlock>(*this); }
    void reset() override;
    u64 read(u64 offset, unsigned size, DeviceContext& context) override;
    void write(u64 offset, unsigned size, u64 value, DeviceContext& context) override;
    bool irq() const override { return interrupt_status_ != 0; }
    u32 irq_raises() const override { return raises_; }
    void state(StateArchive& archive) override;
    std::vector<DeviceTreeProperty> device_tree() const override { return {{"compatible", {}, {"virtio,mmio"}}}; }

  private:
    struct Descriptor {
        u64 address;
        u32 length;
        u16 flags;
        u16 next;
    };
    struct Queue {
        u32 size = 0;
        bool ready = false;
        u64 descriptors = 0, available = 0, used = 0;
        u16 last_available = 0;
    };
    void write_status(u32 value);
    void write_queue_register(u64 offset, u32 value);
    void serve_queue(DmaMemory& memory);
    /// Descriptors of the chain that starts at `head`, indirect ones resolved; false when malformed.
    bool collect(DmaMemory& memory, u16 head, std::vector<Descriptor>& chain) const;
    bool serve_request(DmaMemory& memory, const std::vector<Descriptor>& chain, u32& written);
    u8 transfer(DmaMemory& memory, u32 type, u64 sector, const std::vector<Descriptor>& chain, u32& written);
    void fail() { status_ |= 0x40, interrupt_status_ |= 2, ++raises_; } ///< DEVICE_NEEDS_RESET, with a configuration change

    Disk disk_;
    bool present_ = false;
    u32 status_ = 0, interrupt_status_ = 0, raises_ = 0, feature_select_ = 0, driver_feature_select_ = 0, queue_select_ = 0;
    u64 driver_features_ = 0;
    Queue queue_;
};

} // namespace trapeze
