// A virtio queue as it lies in the guest's memory (virtio 1.2, section 2.7), for looking at.
#pragma once

#include "emulator/devices/virtio_mmio.hpp"
#include "scenarios/session.hpp"

#include <string>
#include <vector>

namespace trapeze::scenarios {

/// A queue of a device of the guest's board.
struct RingPlace {
    std::string device;
    u64 base;       ///< bus address of the device's registers
    unsigned queue;
    const VirtioMmio* transport;
};
/// All queues that devices offer, in the order of their addresses.
std::vector<RingPlace> rings_of(const Session& session);

struct Ring {
    struct Descriptor {
        u64 address;
        u32 bytes;
        u16 flags, next;
        bool chained() const { return flags & 1; }
        bool written() const { return flags & 2; }  ///< by the device
        bool indirect() const { return flags & 4; }
    };
    struct Used {
        u32 id, bytes;
    };
    VirtioMmio::QueueView queue;
    bool readable = false;       ///< the driver has given it, and all three parts lie in memory
    u16 available_flags = 0, available_index = 0, used_flags = 0, used_index = 0;
    std::vector<Descriptor> descriptors{};
    std::vector<u16> available{}; ///< heads of chains, by place in the ring
    std::vector<Used> used{};
    /// Chains that the driver has made available, and the device has not taken.
    u16 waiting() const { return static_cast<u16>(available_index - queue.next_available); }
    /// The descriptors of a chain, in order; ends at a loop, or at an index outside.
    std::vector<u16> chain(u16 head) const;
};
Ring read_ring(const Session& session, const RingPlace& place);
std::string descriptor_flags(const Ring::Descriptor& descriptor);
/// The device's status register in words, such as "acknowledge, driver, features ok, driver ok".
std::string virtio_status_text(u32 status);

} // namespace trapeze::scenarios
