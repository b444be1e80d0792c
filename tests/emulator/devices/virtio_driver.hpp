// A driver of one virtio device's queues, for tests: eight descriptors a queue, a page for each of its parts and its buffers.
#pragma once

#include "emulator/devices/virtio_mmio.hpp"
#include "emulator/mem/ram.hpp"

#include <doctest/doctest.h>

#include <array>
#include <string>

namespace trapeze::test {

struct VirtioDriver {
    static constexpr u64 kBase = 0x8000'0000;
    static constexpr u32 kQueue = 8;
    static constexpr u16 kWrite = 2;

    explicit VirtioDriver(VirtioMmio& device) : device(device) {}
    VirtioMmio& device;
    Ram ram{64 * kPageSize};
    DeviceContext context{{ram, kBase, 0, ram.size()}, 0};
    std::array<u16, 2> available{};

    static u64 part(unsigned queue, unsigned page) { return kBase + (queue * 16 + page) * kPageSize; }
    static u64 buffer(unsigned queue, unsigned index) { return part(queue, 4 + index); }

    u32 get(u64 reg) { return static_cast<u32>(device.read(reg, 4, context)); }
    void set(u64 reg, u64 value) { device.write(reg, 4, value, context); }
    void put(u64 address, auto value) { REQUIRE(ram.write_value(address - kBase, value)); }
    template <class T> T see(u64 address) {
        T value{};
        REQUIRE(ram.read(address - kBase, value));
        return value;
    }
    std::string text(u64 address, std::size_t bytes) {
        std::string out(bytes, '\0');
        REQUIRE(ram.read(address - kBase, std::span(reinterpret_cast<u8*>(out.data()), bytes)));
        return out;
    }
    u32 features() {
        set(0x14, 0);
        return get(0x10);
    }
    /// The steps of section 3.1.1, with all `queues` set up; the first `accepted` 32 feature bits.
    void start(unsigned queues, u32 accepted = 0, bool version1 = true) {
        available = {};
        set(0x70, 0), set(0x70, 3);
        set(0x24, 1), set(0x20, version1);
        set(0x24, 0), set(0x20, accepted);
        set(0x70, 11);
        REQUIRE(get(0x70) == 11);
        for (unsigned q = 0; q < queues; ++q) {
            set(0x30, q), set(0x38, kQueue);
            for (unsigned page = 0; page < 3; ++page) REQUIRE(ram.fill(part(q, page) - kBase, kPageSize, 0));
            set(0x80, part(q, 0)), set(0x90, part(q, 1)), set(0xa0, part(q, 2));
            set(0x44, 1);
        }
        set(0x70, 15);
    }
    /// Gives the device one buffer.
    void give(unsigned queue, u64 address, u32 bytes, u16 flags) {
        const u16 index = available[queue] % kQueue;
        const u64 descriptor = part(queue, 0) + 16 * index;
        put(descriptor, address), put(descriptor + 8, bytes), put(descriptor + 12, flags), put(descriptor + 14, u16{0});
        put(part(queue, 1) + 4 + 2 * index, index);
        put(part(queue, 1) + 2, ++available[queue]);
        set(0x50, queue);
    }
    u16 used(unsigned queue) { return see<u16>(part(queue, 2) + 2); }
    u32 used_bytes(unsigned queue, unsigned index) { return see<u32>(part(queue, 2) + 4 + 8 * (index % kQueue) + 4); }
    bool needs_reset() { return get(0x70) & 0x40; }
    void poll() {
        if (device.due() <= context.ticks) device.advance(context);
    }
};

/// Saves `from`, loads it into `to`, and requires that nothing was lost and that a shorter archive is noticed.
template <class T> void carry_over(T& from, T& to) {
    StateArchive saved;
    from.state(saved);
    StateArchive load(saved.bytes());
    to.state(load);
    REQUIRE_FALSE(load.failed());
    StateArchive again;
    to.state(again);
    CHECK(again.bytes() == saved.bytes());
    T damaged = to;
    StateArchive cut(std::vector<u8>(saved.bytes().begin(), saved.bytes().end() - 1));
    damaged.state(cut);
    CHECK(cut.failed());
}

} // namespace trapeze::test
