#include "emulator/devices/virtio_net.hpp"

#include <algorithm>
#include <cstring>

namespace trapeze {

namespace {
constexpr u64 kFeatureMac = 1 << 5, kFeatureStatus = 1 << 16;
constexpr u16 kLinkUp = 1;

/// Section 5.1.6. A driver that does not accept VIRTIO_F_VERSION_1 knows it without num_buffers.
struct NetHeader {
    u8 flags = 0, gso_type = 0;
    u16 header_length = 0, gso_size = 0, checksum_start = 0, checksum_offset = 0;
    u16 buffers = 1;
};
static_assert(sizeof(NetHeader) == 12);
constexpr u64 kLegacyHeader = 10;
} // namespace

u64 VirtioNet::features() const { return kFeatureMac | kFeatureStatus; }

u64 VirtioNet::header_bytes() const { return accepted(kVersion1) ? sizeof(NetHeader) : kLegacyHeader; }

u8 VirtioNet::config_byte(u64 offset) const {
    if (offset < mac_.size()) return mac_[offset];
    return offset == mac_.size() ? kLinkUp : 0; // the status, of two bytes
}

void VirtioNet::reset() {
    VirtioMmio::reset();
    waiting_.clear();
    sent_.clear();
}

void VirtioNet::receive(Frame frame) {
    if (!driver_ok() || waiting_.size() >= kMaxWaiting) {
        ++dropped_;
        return;
    }
    waiting_.push_back(std::move(frame));
    wake();
}

bool VirtioNet::serve(unsigned queue, VirtioChain& chain) { return queue == kTransmit ? transmit(chain) : give(chain); }

bool VirtioNet::transmit(VirtioChain& chain) {
    NetHeader header;
    if (!chain.read(std::span(reinterpret_cast<u8*>(&header), header_bytes()))) return false;
    if (chain.readable_left() > Network::kMaxFrame) return ++dropped_, true;
    std::vector<u8> frame(chain.readable_left());
    if (!chain.read(frame)) return false;
    sent_.push_back(std::make_shared<const std::vector<u8>>(std::move(frame)));
    return true;
}

bool VirtioNet::give(VirtioChain& chain) {
    const Frame frame = std::move(waiting_.front());
    waiting_.pop_front();
    if (header_bytes() + frame->size() > chain.writable_left()) return ++dropped_, true;
    const NetHeader header;
    return chain.write(std::span(reinterpret_cast<const u8*>(&header), header_bytes())) && chain.write(*frame);
}

void VirtioNet::state(StateArchive& archive) {
    VirtioMmio::state(archive);
    u64 count = waiting_.size();
    archive(mac_), archive(dropped_), archive(count);
    if (!archive.loading()) {
        for (const Frame& frame : waiting_) {
            std::vector<u8> bytes = *frame;
            archive(bytes);
        }
        return;
    }
    waiting_.clear();
    sent_.clear();
    for (u64 i = 0; i < count && !archive.failed(); ++i) {
        std::vector<u8> bytes;
        archive(bytes);
        if (archive.failed() || bytes.size() > Network::kMaxFrame || waiting_.size() >= kMaxWaiting) continue;
        waiting_.push_back(std::make_shared<const std::vector<u8>>(std::move(bytes)));
    }
}

} // namespace trapeze
