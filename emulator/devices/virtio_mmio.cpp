#include "emulator/devices/virtio_mmio.hpp"

#include <algorithm>
#include <bit>
#include <utility>

namespace trapeze {

namespace {
enum Register : u64 {
    kMagic = 0x000, kVersion = 0x004, kDeviceId = 0x008, kVendorId = 0x00c, kDeviceFeatures = 0x010, kDeviceFeaturesSel = 0x014,
    kDriverFeatures = 0x020, kDriverFeaturesSel = 0x024, kQueueSel = 0x030, kQueueNumMax = 0x034, kQueueNum = 0x038,
    kQueueReady = 0x044, kQueueNotify = 0x050, kInterruptStatus = 0x060, kInterruptAck = 0x064, kStatus = 0x070,
    kQueueDescLow = 0x080, kQueueDescHigh = 0x084, kQueueDriverLow = 0x090, kQueueDriverHigh = 0x094, kQueueDeviceLow = 0x0a0,
    kQueueDeviceHigh = 0x0a4, kShmLenLow = 0x0b0, kShmLenHigh = 0x0b4, kShmBaseLow = 0x0b8, kShmBaseHigh = 0x0bc, kConfig = 0x100,
};
constexpr u32 kMagicValue = 0x7472'6976;  // "virt"
constexpr u32 kVendorValue = 0x554d'4551; // "QEMU": drivers written for its board check it
constexpr u32 kUsedBuffer = 1, kConfigChange = 2; // InterruptStatus
constexpr u16 kNext = 1, kWrite = 2, kIndirectTable = 4; // descriptor flags
constexpr u16 kNoInterrupt = 1; // available ring's flags
constexpr u16 kNoNotify = 1;    // used ring's flags
constexpr u32 kDescriptorBytes = 16;

template <class T> bool load(const DmaMemory& memory, u64 address, T& value) {
    return memory.read(address, std::span(reinterpret_cast<u8*>(&value), sizeof value));
}
template <class T> bool store(const DmaMemory& memory, u64 address, const T& value) {
    return memory.write(address, std::span(reinterpret_cast<const u8*>(&value), sizeof value));
}

void set_low(u64& address, u32 value) { address = (address & ~u64{0xffff'ffff}) | value; }
void set_high(u64& address, u32 value) { address = (address & 0xffff'ffff) | u64{value} << 32; }

u64 total(const std::vector<VirtioChain::Buffer>& buffers) {
    u64 bytes = 0;
    for (const auto& b : buffers) bytes += b.bytes;
    return bytes;
}
} // namespace

// --- A chain of buffers ---------------------------------------------------------------------------------------------------

VirtioChain::VirtioChain(const DmaMemory& memory, std::vector<Buffer> readable, std::vector<Buffer> writable)
    : memory_(memory), readable_(std::move(readable)), writable_(std::move(writable)), readable_left_(total(readable_)),
      writable_left_(total(writable_)) {}

bool VirtioChain::read(std::span<u8> out) {
    if (out.size() > readable_left_) return false;
    for (std::size_t done = 0; done < out.size();) {
        const Buffer& buffer = readable_[read_at_.buffer];
        const std::size_t chunk = std::min<u64>(out.size() - done, buffer.bytes - read_at_.done);
        if (!memory_.read(buffer.address + read_at_.done, out.subspan(done, chunk))) return false;
        done += chunk, read_at_.done += chunk;
        if (read_at_.done == buffer.bytes) ++read_at_.buffer, read_at_.done = 0;
    }
    readable_left_ -= out.size();
    return true;
}

bool VirtioChain::write(std::span<const u8> in) {
    if (in.size() > writable_left_) return false;
    for (std::size_t done = 0; done < in.size();) {
        const Buffer& buffer = writable_[write_at_.buffer];
        const std::size_t chunk = std::min<u64>(in.size() - done, buffer.bytes - write_at_.done);
        if (!memory_.write(buffer.address + write_at_.done, in.subspan(done, chunk))) return false;
        done += chunk, write_at_.done += chunk;
        if (write_at_.done == buffer.bytes) ++write_at_.buffer, write_at_.done = 0;
    }
    writable_left_ -= in.size();
    written_ += in.size();
    return true;
}

void VirtioChain::skip_writable(u64 bytes) {
    bytes = std::min(bytes, writable_left_);
    writable_left_ -= bytes;
    while (bytes) {
        const u64 chunk = std::min(bytes, writable_[write_at_.buffer].bytes - write_at_.done);
        bytes -= chunk, write_at_.done += chunk;
        if (write_at_.done == writable_[write_at_.buffer].bytes) ++write_at_.buffer, write_at_.done = 0;
    }
}

// --- Registers ------------------------------------------------------------------------------------------------------------

void VirtioMmio::reset() {
    status_ = interrupts_ = device_select_ = driver_select_ = queue_select_ = 0;
    driver_features_ = 0;
    queues_ = {};
    wake_ = false;
    poll_at_ = ~u64{0};
}

void VirtioMmio::advance(DeviceContext& context) {
    if (std::exchange(wake_, false)) look_into(0, context);
    if (poll_at_ <= context.ticks) look_again(context);
}

/// Goes on as long as there is something; then wants to be notified again, and looks once more in case it was not.
void VirtioMmio::look_again(DeviceContext& context) {
    const u16 before = queues_[polled_].next_used;
    look_into(polled_, context);
    const bool found = queues_[polled_].next_used != before;
    poll_at_ = found ? context.ticks + poll_ticks_ : ~u64{0};
    if (found) return;
    suppress_notifications(false, context);
    look_into(polled_, context);
}

void VirtioMmio::suppress_notifications(bool on, DeviceContext& context) {
    const Queue& queue = queues_[polled_];
    if (driver_ok() && queue.ready && !store(context.memory, queue.device, static_cast<u16>(on ? kNoNotify : 0))) needs_reset();
}

u64 VirtioMmio::read(u64 offset, unsigned size, DeviceContext&) {
    if (offset < kConfig) return size == 4 && offset % 4 == 0 ? read_register(offset) : 0;
    u64 value = 0;
    for (unsigned i = 0; i < size; ++i) value |= u64{config_byte(offset - kConfig + i)} << (8 * i);
    return value;
}

u64 VirtioMmio::read_register(u64 offset) const {
    switch (offset) {
    case kMagic: return kMagicValue;
    case kVersion: return 2;
    case kDeviceId: return device_id();
    case kVendorId: return kVendorValue;
    default: break;
    }
    if (device_id() == 0) return 0;
    const u64 offered = features() | kVersion1 | kIndirect;
    const Queue* queue = queue_select_ < queues() ? &queues_[queue_select_] : nullptr;
    switch (offset) {
    case kDeviceFeatures: return device_select_ < 2 ? static_cast<u32>(offered >> (32 * device_select_)) : 0;
    case kQueueNumMax: return queue ? kQueueSize : 0;
    case kQueueReady: return queue ? queue->ready : 0;
    case kInterruptStatus: return interrupts_;
    case kStatus: return status_;
    case kShmLenLow: case kShmLenHigh: case kShmBaseLow: case kShmBaseHigh: return 0xffff'ffff; // no shared memory region
    default: return 0;
    }
}

void VirtioMmio::write(u64 offset, unsigned size, u64 value, DeviceContext& context) {
    if (device_id() == 0 || size != 4 || offset % 4 || offset >= kConfig) return;
    write_register(offset, static_cast<u32>(value), context);
}

void VirtioMmio::write_register(u64 offset, u32 value, DeviceContext& context) {
    switch (offset) {
    case kDeviceFeaturesSel: device_select_ = value; break;
    case kDriverFeaturesSel: driver_select_ = value; break;
    case kDriverFeatures:
        if (status_ & kFeaturesOk) break; // settled
        if (driver_select_ == 0) set_low(driver_features_, value);
        else if (driver_select_ == 1) set_high(driver_features_, value);
        break;
    case kQueueSel: queue_select_ = value; break;
    case kQueueNotify:
        if (value < queues()) ++queues_[value].kicks, look_into(value, context);
        if (!poll_ticks_ || value != polled_ || poll_at_ != ~u64{0}) break;
        suppress_notifications(true, context);
        poll_at_ = context.ticks + poll_ticks_;
        break;
    case kInterruptAck: interrupts_ &= ~value; break;
    case kStatus: set_status(value); break;
    default:
        if (queue_select_ < queues()) write_queue(queues_[queue_select_], offset, value);
        break;
    }
}

void VirtioMmio::write_queue(Queue& queue, u64 offset, u32 value) {
    if (offset == kQueueReady) {
        queue.ready = value & 1;
        if (!queue.ready) queue.next_available = queue.next_used = 0;
        return;
    }
    if (queue.ready) return; // section 4.2.2.2: not to be changed then
    switch (offset) {
    case kQueueNum:
        if (value >= 1 && value <= kQueueSize && std::has_single_bit(value)) queue.size = value;
        else needs_reset();
        break;
    case kQueueDescLow: set_low(queue.descriptors, value); break;
    case kQueueDescHigh: set_high(queue.descriptors, value); break;
    case kQueueDriverLow: set_low(queue.driver, value); break;
    case kQueueDriverHigh: set_high(queue.driver, value); break;
    case kQueueDeviceLow: set_low(queue.device, value); break;
    case kQueueDeviceHigh: set_high(queue.device, value); break;
    default: break;
    }
}

void VirtioMmio::set_status(u32 value) {
    if (value == 0) return reset();
    // Section 3.1.1: FEATURES_OK stays clear when the driver accepted something that was not offered.
    if ((value & kFeaturesOk) && (driver_features_ & ~(features() | kVersion1 | kIndirect))) value &= ~kFeaturesOk;
    status_ = (value & 0xff & ~kNeedsReset) | (status_ & kNeedsReset);
}

void VirtioMmio::needs_reset() {
    status_ |= kNeedsReset;
    if (status_ & kDriverOk) interrupt(kConfigChange);
}

// --- Split virtqueues -----------------------------------------------------------------------------------------------------

void VirtioMmio::look_into(unsigned index, DeviceContext& context) {
    if (driver_ok() && !use_buffers(index, context.memory)) needs_reset();
}

bool VirtioMmio::use_buffers(unsigned index, const DmaMemory& memory) {
    Queue& queue = queues_[index];
    if (!queue.ready) return true;
    u16 flags = 0, available = 0;
    if (!load(memory, queue.driver, flags) || !load(memory, queue.driver + 2, available)) return false;
    if (static_cast<u16>(available - queue.next_available) > queue.size) return false;
    begin_notification();
    const u16 first_used = queue.next_used;
    while (queue.next_available != available && ready(index)) {
        u16 head = 0;
        if (!load(memory, queue.driver + 4 + 2 * (queue.next_available % queue.size), head)) return false;
        ++queue.next_available;
        if (!serve_head(index, head, memory)) return false;
    }
    if (queue.next_used != first_used && !(flags & kNoInterrupt)) interrupt(kUsedBuffer);
    return true;
}

bool VirtioMmio::serve_head(unsigned index, u16 head, const DmaMemory& memory) {
    Queue& queue = queues_[index];
    std::vector<VirtioChain::Buffer> readable, writable;
    if (!gather(queue, head, memory, readable, writable)) return false;
    VirtioChain chain(memory, std::move(readable), std::move(writable));
    if (!serve(index, chain)) return false;
    const u32 used[2] = {head, static_cast<u32>(std::min<u64>(chain.written(), ~u32{0}))};
    const u64 element = queue.device + 4 + 8 * (queue.next_used % queue.size);
    if (!store(memory, element, used[0]) || !store(memory, element + 4, used[1])) return false;
    ++queue.next_used;
    return store(memory, queue.device + 2, queue.next_used);
}

bool VirtioMmio::gather(const Queue& queue, u16 head, const DmaMemory& memory, std::vector<VirtioChain::Buffer>& readable,
                        std::vector<VirtioChain::Buffer>& writable) const {
    u64 table = queue.descriptors;
    u32 entries = queue.size;
    bool indirect = false;
    u16 index = head;
    for (u32 steps = 0; steps < queue.size; ++steps) { // section 2.7.5.3.1: no chain is longer than the queue
        Descriptor descriptor{};
        static_assert(sizeof descriptor == kDescriptorBytes);
        if (index >= entries || !load(memory, table + u64{index} * kDescriptorBytes, descriptor)) return false;
        if (descriptor.flags & kIndirectTable) {
            if (indirect || (descriptor.flags & kNext) || descriptor.bytes == 0 || descriptor.bytes % kDescriptorBytes) return false;
            table = descriptor.address;
            entries = descriptor.bytes / kDescriptorBytes;
            indirect = true;
            index = 0;
            continue;
        }
        const bool to_driver = descriptor.flags & kWrite;
        if (!to_driver && !writable.empty()) return false;
        if (descriptor.bytes) (to_driver ? writable : readable).push_back({descriptor.address, descriptor.bytes});
        if (!(descriptor.flags & kNext)) return true;
        index = descriptor.next;
    }
    return false;
}

void VirtioMmio::state(StateArchive& archive) {
    for (u32* reg : {&status_, &interrupts_, &raises_, &device_select_, &driver_select_, &queue_select_}) archive(*reg);
    archive(driver_features_);
    u8 woken = wake_;
    archive(woken);
    wake_ = woken & 1;
    u64 polled = polled_;
    archive.at_most(polled, kMaxQueues - 1), archive(poll_ticks_), archive(poll_at_);
    polled_ = static_cast<u32>(polled);
    for (Queue& q : queues_) {
        archive(q.size), archive(q.ready), archive(q.descriptors), archive(q.driver), archive(q.device);
        archive(q.next_available), archive(q.next_used), archive(q.kicks);
        if (q.size == 0 || q.size > kQueueSize || !std::has_single_bit(q.size)) q.size = kQueueSize; // from a damaged file
    }
}

} // namespace trapeze
