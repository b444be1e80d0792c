// The virtio transport over memory-mapped registers, version 2 (virtio 1.2, section 4.2), with split virtqueues (section 2.7).
// A concrete device (virtio_blk.hpp) says its number, features and configuration space, and serves one chain of buffers at a time.
//
// Everything in the rings is the guest's and is checked: a chain longer than the queue, an address outside memory, a buffer to
// read after one to write, or an index that runs ahead sets DEVICE_NEEDS_RESET, and the device stops until it is reset (section 2.1.2).
// Known inaccuracies: requests are served at the notification, in no time; the legacy interface (version 1) and VIRTIO_F_EVENT_IDX
// are not offered; a driver that does not accept VIRTIO_F_VERSION_1 is served all the same, as QEMU does.
#pragma once

#include "emulator/devices/device.hpp"

#include <array>

namespace trapeze {

/// The buffers of one request: those that the device reads, then those that it writes, each as one run of bytes.
class VirtioChain {
  public:
    struct Buffer {
        u64 address;
        u32 bytes;
    };
    VirtioChain(const DmaMemory& memory, std::vector<Buffer> readable, std::vector<Buffer> writable);

    u64 readable_left() const { return readable_left_; }
    u64 writable_left() const { return writable_left_; }
    u64 written() const { return written_; }
    /// Takes the next bytes that the driver gave. False when there are fewer, or when they lie outside memory.
    bool read(std::span<u8> out);
    /// Puts the next bytes for the driver. False as for read.
    bool write(std::span<const u8> in);
    /// Leaves `bytes` of the writable part as they are.
    void skip_writable(u64 bytes);

  private:
    struct Cursor {
        std::size_t buffer = 0;
        u64 done = 0; ///< bytes of that buffer
    };
    const DmaMemory& memory_;
    std::vector<Buffer> readable_, writable_;
    Cursor read_at_, write_at_;
    u64 readable_left_ = 0, writable_left_ = 0, written_ = 0;
};

class VirtioMmio : public Device {
  public:
    static constexpr u64 kSize = 0x1000;
    static constexpr unsigned kMaxQueues = 2;
    static constexpr u32 kQueueSize = 256;
    static constexpr u64 kVersion1 = u64{1} << 32, kIndirect = u64{1} << 28;

    const char* node_name() const override { return "virtio_mmio"; }
    void reset() override;
    /// Of itself it only looks once into queue 0 after `wake`: what comes from outside goes there.
    u64 due() const override { return wake_ ? 0 : poll_at_; }
    void advance(DeviceContext& context) override;
    u64 read(u64 offset, unsigned size, DeviceContext& context) override;
    void write(u64 offset, unsigned size, u64 value, DeviceContext& context) override;
    bool irq() const override { return interrupts_ != 0; }
    u32 irq_raises() const override { return raises_; }
    void state(StateArchive& archive) override;
    std::vector<DeviceTreeProperty> device_tree() const override { return {{"compatible", {}, {"virtio,mmio"}}}; }
    /// A backend that looks by itself: after a notification of this queue it looks again every `ticks` ticks for as long as it finds something,
    /// and meanwhile tells the driver not to notify it (section 2.7.10). 0 ticks, as from the start: it looks at notifications only.
    /// Range: queue < kMaxQueues. A reset of the device leaves this as it is.
    void poll(unsigned queue, u64 ticks) { polled_ = queue, poll_ticks_ = ticks; }

    // For looking at.
    struct QueueView {
        u32 size = 0;
        bool ready = false;
        u64 descriptors = 0, driver = 0, device = 0; ///< bus addresses of the descriptors, the available ring, the used ring
        u16 next_available = 0, next_used = 0;       ///< how far the device is
        u64 kicks = 0;                               ///< notifications by the driver since the reset
    };
    unsigned queue_count() const { return queues(); }
    /// Pre: queue < queue_count().
    QueueView queue_view(unsigned queue) const {
        const Queue& q = queues_[queue];
        return {q.size, q.ready != 0, q.descriptors, q.driver, q.device, q.next_available, q.next_used, q.kicks};
    }
    u32 status() const { return status_; }
    u32 interrupts() const { return interrupts_; }
    u64 offered_features() const { return features() | kVersion1 | kIndirect; }
    u64 accepted_features() const { return driver_features_; }

  protected:
    virtual u32 device_id() const = 0; ///< section 5; 0: an empty slot
    virtual u64 features() const { return 0; } ///< besides VERSION_1 and INDIRECT_DESC
    virtual unsigned queues() const { return 1; }
    virtual u8 config_byte(u64) const { return 0; }
    virtual void begin_notification() {}
    /// False: the queue's buffers stay with the device until there is something for them.
    virtual bool ready(unsigned) const { return true; }
    /// Serves a request. False: it is malformed, and the device needs a reset.
    virtual bool serve(unsigned, VirtioChain&) { return false; }

    bool driver_ok() const { return (status_ & (kDriverOk | kNeedsReset)) == kDriverOk; } ///< the driver is ready, and so is the device
    bool accepted(u64 feature) const { return driver_features_ & feature; }
    /// Something came from outside.
    void wake() { wake_ = true; }

  private:
    static constexpr u32 kFeaturesOk = 8, kDriverOk = 4, kNeedsReset = 0x40; ///< of the status (section 2.1)
    struct Queue {
        u32 size = kQueueSize;
        u32 ready = 0;
        u64 descriptors = 0, driver = 0, device = 0; ///< bus addresses of the three parts
        u16 next_available = 0, next_used = 0;
        u64 kicks = 0;
    };
    struct Descriptor {
        u64 address;
        u32 bytes;
        u16 flags, next;
    };
    u64 read_register(u64 offset) const;
    void write_register(u64 offset, u32 value, DeviceContext& context);
    void write_queue(Queue& queue, u64 offset, u32 value);
    void set_status(u32 value);
    void needs_reset();
    void interrupt(u32 reason) { interrupts_ |= reason, ++raises_; }
    void look_into(unsigned index, DeviceContext& context);
    void look_again(DeviceContext& context);
    void suppress_notifications(bool on, DeviceContext& context);
    bool use_buffers(unsigned index, const DmaMemory& memory); ///< false: malformed
    bool serve_head(unsigned index, u16 head, const DmaMemory& memory);
    bool gather(const Queue& queue, u16 head, const DmaMemory& memory, std::vector<VirtioChain::Buffer>& readable,
                std::vector<VirtioChain::Buffer>& writable) const;

    u32 status_ = 0, interrupts_ = 0, raises_ = 0, device_select_ = 0, driver_select_ = 0, queue_select_ = 0;
    u64 driver_features_ = 0;
    std::array<Queue, kMaxQueues> queues_{};
    bool wake_ = false;
    u32 polled_ = 0;          ///< the queue that it looks into by itself
    u64 poll_ticks_ = 0;      ///< every so many ticks; 0: none
    u64 poll_at_ = ~u64{0};   ///< next time; ~0: it waits for a notification
};

/// A slot without a device: it answers with the magic value and device number 0.
class VirtioEmpty final : public VirtioMmio {
  public:
    const char* name() const override { return "virtio"; }
    std::unique_ptr<Device> clone() const override { return std::make_unique<VirtioEmpty>(*this); }

  protected:
    u32 device_id() const override { return 0; }
    unsigned queues() const override { return 0; }
};

} // namespace trapeze
