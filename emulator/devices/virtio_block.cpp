#include "emulator/devices/virtio_block.hpp"

#include <array>
#include <cstring>

namespace trapeze {

namespace {

// virtio 1.2, section 4.2.2
enum Register : u64 {
    kMagic = 0x000, kVersion = 0x004, kDeviceId = 0x008, kVendorId = 0x00c, kDeviceFeatures = 0x010, kDeviceFeaturesSel = 0x014,
    kDriverFeatures = 0x020, kDriverFeaturesSel = 0x024, kQueueSel = 0x030, kQueueNumMax = 0x034, kQueueNum = 0x038, kQueueReady = 0x044,
    kQueueNotify = 0x050, kInterruptStatus = 0x060, kInterruptAck = 0x064, kStatus = 0x070, kQueueDescLow = 0x080, kQueueDescHigh = 0x084,
    kQueueDriverLow = 0x090, kQueueDriverHigh = 0x094, kQueueDeviceLow = 0x0a0, kQueueDeviceHigh = 0x0a4, kConfigGeneration = 0x0fc,
    kConfig = 0x100,
};
constexpr u64 kFeatureVersion1 = u64{1} << 32, kFeatureFlush = 1 << 9, kFeatureIndirect = 1 << 28;
constexpr u64 kFeatures = kFeatureVersion1 | kFeatureFlush | kFeatureIndirect;
constexpr u32 kStatusDriverOk = 4, kStatusFeaturesOk = 8, kStatusNeedsReset = 0x40;
constexpr u16 kNext = 1, kDeviceWrites = 2, kIndirect = 4;
constexpr u32 kRequestIn = 0, kRequestOut = 1, kRequestFlush = 4, kRequestGetId = 8;
constexpr u8 kOk = 0, kIoError = 1, kUnsupported = 2;
constexpr std::size_t kMaxChain = VirtioBlock::kQueueMax;

u64 with_low(u64 value, u32 low) { return (value & ~u64{0xffffffff}) | low; }
u64 with_high(u64 value, u32 high) { return (value & 0xffffffff) | u64{high} << 32; }

template <class T> bool dma_read(DmaMemory& memory, u64 address, T& out) {
    return memory.read(address, std::span(reinterpret_cast<u8*>(&out), sizeof out));
}
template <class T> bool dma_write(DmaMemory& memory, u64 address, const T& in) {
    return memory.write(address, std::span(reinterpret_cast<const u8*>(&in), sizeof in));
}

} // namespace

Disk::Disk(std::vector<u8> image) : sectors_(image.size() / kSectorBytes) {
    base_ = std::make_shared<const std::vector<u8>>(std::move(image));
}

bool Disk::read(u64 sector, std::span<u8, kSectorBytes> out) const {
    if (sector >= sectors_) return false;
    const auto found = written_.find(sector);
    const u8* from = found != written_.end() ? found->second->data() : base_->data() + sector * kSectorBytes;
    std::memcpy(out.data(), from, kSectorBytes);
    return true;
}

bool Disk::write(u64 sector, std::span<const u8, kSectorBytes> in) {
    if (sector >= sectors_) return false;
    auto copy = std::make_shared<Sector>();
    std::memcpy(copy->data(), in.data(), kSectorBytes);
    written_[sector] = std::move(copy);
    return true;
}

void Disk::state(StateArchive& a) {
    u64 count = written_.size();
    a(count);
    if (a.loading()) {
        written_.clear();
        for (u64 i = 0; i < count && !a.failed(); ++i) {
            u64 sector = 0;
            Sector data{};
            a(sector), a(data);
            write(sector, data);
        }
    } else {
        for (const auto& [number, data] : written_) {
            u64 sector = number;
            Sector copy = *data;
            a(sector), a(copy);
        }
    }
}

void VirtioBlock::reset() {
    status_ = interrupt_status_ = feature_select_ = driver_feature_select_ = queue_select_ = 0;
    driver_features_ = 0;
    queue_ = {};
}

void VirtioBlock::state(StateArchive& a) {
    a(status_), a(interrupt_status_), a(raises_), a(feature_select_), a(driver_feature_select_), a(queue_select_), a(driver_features_);
    a(queue_.size), a(queue_.ready), a(queue_.descriptors), a(queue_.available), a(queue_.used), a(queue_.last_available);
    disk_.state(a);
}

u64 VirtioBlock::read(u64 offset, unsigned size, DeviceContext&) {
    if (offset >= kConfig) {
        u64 capacity = disk_.sectors();
        const u64 at = offset - kConfig;
        u64 value = 0;
        if (present_ && at + size <= sizeof capacity) std::memcpy(&value, reinterpret_cast<const u8*>(&capacity) + at, size);
        return value;
    }
    if (size != 4) return 0;
    switch (offset) {
    case kMagic: return 0x74726976; // "virt"
    case kVersion: return 2;
    case kDeviceId: return present_ ? 2 : 0;
    case kVendorId: return 0x554d4551; // as QEMU's, which guests such as xv6 check
    default: break;
    }
    if (!present_) return 0;
    switch (offset) {
    case kDeviceFeatures: return feature_select_ == 0 ? kFeatures & 0xffffffff : feature_select_ == 1 ? kFeatures >> 32 : 0;
    case kQueueNumMax: return queue_select_ == 0 ? kQueueMax : 0;
    case kQueueReady: return queue_select_ == 0 && queue_.ready;
    case kInterruptStatus: return interrupt_status_;
    case kStatus: return status_;
    default: return 0;
    }
}

void VirtioBlock::write_status(u32 value) {
    if (value == 0) return reset();
    // Drivers that never look at the high feature word (xv6) do not accept VERSION_1; they get the same device.
    if (value & kStatusFeaturesOk && driver_features_ & ~kFeatures) value &= ~kStatusFeaturesOk;
    status_ = value | (status_ & kStatusNeedsReset);
}

void VirtioBlock::write_queue_register(u64 offset, u32 value) {
    if (queue_select_ != 0 || (queue_.ready && offset != kQueueReady)) return;
    switch (offset) {
    case kQueueNum: queue_.size = value && value <= kQueueMax && std::has_single_bit(value) ? value : 0; break;
    case kQueueReady:
        queue_.ready = value & 1 && queue_.size;
        if (!queue_.ready) queue_.last_available = 0;
        break;
    case kQueueDescLow: queue_.descriptors = with_low(queue_.descriptors, value); break;
    case kQueueDescHigh: queue_.descriptors = with_high(queue_.descriptors, value); break;
    case kQueueDriverLow: queue_.available = with_low(queue_.available, value); break;
    case kQueueDriverHigh: queue_.available = with_high(queue_.available, value); break;
    case kQueueDeviceLow: queue_.used = with_low(queue_.used, value); break;
    case kQueueDeviceHigh: queue_.used = with_high(queue_.used, value); break;
    default: break;
    }
}

void VirtioBlock::write(u64 offset, unsigned size, u64 value, DeviceContext& context) {
    if (!present_ || size != 4 || offset >= kConfig) return;
    const u32 word = static_cast<u32>(value);
    switch (offset) {
    case kDeviceFeaturesSel: feature_select_ = word; break;
    case kDriverFeaturesSel: driver_feature_select_ = word; break;
    case kDriverFeatures:
        if (status_ & kStatusFeaturesOk) break;
        if (driver_feature_select_ == 0) driver_features_ = with_low(driver_features_, word);
        if (driver_feature_select_ == 1) driver_features_ = with_high(driver_features_, word);
        break;
    case kQueueSel: queue_select_ = word; break;
    case kQueueNotify:
        if (word == 0 && status_ & kStatusDriverOk && !(status_ & kStatusNeedsReset) && queue_.ready) serve_queue(context.memory);
        break;
    case kInterruptAck: interrupt_status_ &= ~word; break;
    case kStatus: write_status(word); break;
    default: write_queue_register(offset, word);
    }
}

void VirtioBlock::serve_queue(DmaMemory& memory) {
    u16 available_index = 0;
    if (!dma_read(memory, queue_.available + 2, available_index)) return fail();
    if (static_cast<u16>(available_index - queue_.last_available) > queue_.size) return fail();
    while (queue_.last_available != available_index) {
        u16 head = 0;
        const u64 slot = queue_.last_available % queue_.size;
        if (!dma_read(memory, queue_.available + 4 + 2 * slot, head) || head >= queue_.size) return fail();
        std::vector<Descriptor> chain;
        u32 written = 0;
        if (!collect(memory, head, chain) || !serve_request(memory, chain, written)) return fail();
        u16 used_index = 0;
        if (!dma_read(memory, queue_.used + 2, used_index)) return fail();
        const std::array<u32, 2> element{head, written};
        if (!dma_write(memory, queue_.used + 4 + 8 * (used_index % queue_.size), element)) return fail();
        if (!dma_write(memory, queue_.used + 2, static_cast<u16>(used_index + 1))) return fail();
        ++queue_.last_available;
        interrupt_status_ |= 1;
        ++raises_;
    }
}

bool VirtioBlock::collect(DmaMemory& memory, u16 head, std::vector<Descriptor>& chain) const {
    u64 table = queue_.descriptors;
    u32 table_size = queue_.size, index = head;
    bool indirect = false;
    while (true) {
        Descriptor descriptor;
        if (index >= table_size || chain.size() >= kMaxChain || !dma_read(memory, table + 16 * u64{index}, descriptor)) return false;
        if (descriptor.flags & kIndirect) {
            if (indirect || descriptor.flags & kNext || descriptor.length % 16 || descriptor.length / 16 > kMaxChain || !descriptor.length) return false;
            indirect = true;
            table = descriptor.address, table_size = descriptor.length / 16, index = 0;
            continue;
        }
        chain.push_back(descriptor);
        if (!(descriptor.flags & kNext)) return true;
        index = descriptor.next;
    }
}

/// A request is a header to read, data, and one status byte to write (section 5.2.6).
bool VirtioBlock::serve_request(DmaMemory& memory, const std::vector<Descriptor>& chain, u32& written) {
    struct Header {
        u32 type, reserved;
        u64 sector;
    } header;
    if (chain.size() < 2 || chain.front().length < sizeof header || chain.front().flags & kDeviceWrites) return false;
    if (!(chain.back().flags & kDeviceWrites) || chain.back().length < 1) return false;
    if (!dma_read(memory, chain.front().address, header)) return false;
    const u8 status = transfer(memory, header.type, header.sector, chain, written);
    ++written;
    return dma_write(memory, chain.back().address, status);
}

u8 VirtioBlock::transfer(DmaMemory& memory, u32 type, u64 sector, const std::vector<Descriptor>& chain, u32& written) {
    if (type == kRequestFlush) return kOk;
    if (type != kRequestIn && type != kRequestOut && type != kRequestGetId) return kUnsupported;
    for (std::size_t i = 1; i + 1 < chain.size(); ++i) {
        const Descriptor& data = chain[i];
        const bool to_guest = type != kRequestOut;
        if (((data.flags & kDeviceWrites) != 0) != to_guest) return kIoError;
        if (type == kRequestGetId) {
            std::array<u8, 20> id{'t', 'r', 'a', 'p', 'e', 'z', 'e'};
            const u32 length = std::min<u32>(data.length, id.size());
            if (!memory.write(data.address, std::span<const u8>(id.data(), length))) return kIoError;
            written += length;
            return kOk;
        }
        if (data.length % Disk::kSectorBytes) return kIoError;
        for (u32 done = 0; done < data.length; done += Disk::kSectorBytes, ++sector) {
            std::array<u8, Disk::kSectorBytes> buffer;
            const bool moved = to_guest ? disk_.read(sector, buffer) && memory.write(data.address + done, buffer)
                                        : memory.read(data.address + done, buffer) && disk_.write(sector, buffer);
            if (!moved) return kIoError;
            if (to_guest) written += Disk::kSectorBytes;
        }
    }
    return kOk;
}

} // namespace trapeze
