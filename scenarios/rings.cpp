#include "scenarios/rings.hpp"

#include "scenarios/looking.hpp"

#include <algorithm>

namespace trapeze::scenarios {

std::vector<RingPlace> rings_of(const Session& session) {
    std::vector<RingPlace> rings;
    for (const Board::Attached& attached : board_of(session).devices())
        if (const auto* transport = dynamic_cast<const VirtioMmio*>(attached.device.get()))
            for (unsigned queue = 0; queue < transport->queue_count(); ++queue) rings.push_back({attached.device->name(), attached.base, queue, transport});
    return rings;
}

std::vector<u16> Ring::chain(u16 head) const {
    std::vector<u16> chain;
    for (u16 at = head; at < descriptors.size() && chain.size() < descriptors.size(); at = descriptors[at].next) {
        if (std::find(chain.begin(), chain.end(), at) != chain.end()) break;
        chain.push_back(at);
        if (!descriptors[at].chained()) break;
    }
    return chain;
}

Ring read_ring(const Session& session, const RingPlace& place) {
    constexpr u64 kDescriptorBytes = 16, kUsedBytes = 8, kHeader = 4;
    Ring ring{.queue = place.transport->queue_view(place.queue)};
    const VirtioMmio::QueueView& queue = ring.queue;
    if (!queue.ready) return ring;
    const Bus bus = look_at_guest(session);
    const auto read = [&](u64 address, auto& out) { return look(bus, address, out); };
    if (!read(queue.driver, ring.available_flags) || !read(queue.driver + 2, ring.available_index) || !read(queue.device, ring.used_flags) || !read(queue.device + 2, ring.used_index))
        return ring;
    for (u64 i = 0; i < queue.size; ++i) {
        Ring::Descriptor descriptor{};
        Ring::Used used{};
        u16 head = 0;
        const u64 at = queue.descriptors + i * kDescriptorBytes, element = queue.device + kHeader + i * kUsedBytes;
        if (!read(at, descriptor.address) || !read(at + 8, descriptor.bytes) || !read(at + 12, descriptor.flags) || !read(at + 14, descriptor.next) ||
            !read(queue.driver + kHeader + i * 2, head) || !read(element, used.id) || !read(element + 4, used.bytes))
            return ring;
        ring.descriptors.push_back(descriptor), ring.available.push_back(head), ring.used.push_back(used);
    }
    ring.readable = true;
    return ring;
}

std::string descriptor_flags(const Ring::Descriptor& descriptor) {
    std::string text;
    const auto add = [&](bool set, const char* name) {
        if (set) text += (text.empty() ? "" : " ") + std::string(name);
    };
    add(descriptor.chained(), "NEXT"), add(descriptor.written(), "WRITE"), add(descriptor.indirect(), "INDIRECT");
    return text;
}

std::string virtio_status_text(u32 status) {
    if (!status) return "reset";
    std::string text;
    constexpr std::pair<u32, const char*> kBits[] = {{1, "acknowledge"}, {2, "driver"}, {8, "features ok"}, {4, "driver ok"}, {0x40, "needs reset"}, {0x80, "failed"}};
    for (const auto& [bit, name] : kBits)
        if (status & bit) text += (text.empty() ? "" : ", ") + std::string(name);
    return text;
}

} // namespace trapeze::scenarios
