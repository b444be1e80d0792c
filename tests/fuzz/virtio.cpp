// Rings, descriptors and registers of every virtio device from random memory: the device serves them, refuses them, or asks for a
// reset. The same bytes are a saved state of it, which is loaded or refused.
#include "emulator/devices/virtio_blk.hpp"
#include "emulator/devices/virtio_console.hpp"
#include "emulator/devices/virtio_net.hpp"
#include "emulator/devices/virtio_rng.hpp"
#include "emulator/mem/ram.hpp"
#include "tests/fuzz/fuzz.hpp"

#include <algorithm>
#include <cstring>

namespace {

using namespace trapeze;

constexpr u64 kBase = 0x8000'0000, kQueueBytes = 0x400, kRegisterWrites = 8;

void put(std::vector<u8>& to, std::size_t at, u64 value, unsigned bytes) { std::memcpy(to.data() + at, &value, bytes); }

/// Two queues, the second 0x400 behind the first: descriptors at 0, available ring at 0x100, used ring at 0x200, header at 0x300. Each
/// has one request: of a disk, a sector is read; to the others it is three buffers.
std::vector<std::vector<u8>> seeds() {
    std::vector<u8> memory(2 * kQueueBytes + kRegisterWrites * 6);
    for (u64 queue = 0; queue < 2; ++queue) {
        const u64 base = queue * kQueueBytes;
        const auto descriptor = [&](unsigned i, u64 address, u32 bytes, u16 flags, u16 next) {
            const std::size_t at = base + 16 * i;
            put(memory, at, address, 8), put(memory, at + 8, bytes, 4), put(memory, at + 12, flags, 2), put(memory, at + 14, next, 2);
        };
        descriptor(0, kBase + base + 0x300, 16, 1, 1);
        descriptor(1, kBase + 0x1000, 512, queue ? 1 : 3, 2);
        descriptor(2, kBase + base + 0x318, 1, queue ? 0 : 2, 0);
        descriptor(3, kBase + 0x1000, 1600, queue ? 0 : 2, 0);
        put(memory, base + 0x102, 2, 2);
        put(memory, base + 0x106, 3, 2);
    }
    return {memory};
}

struct Exercise {
    VirtioMmio& device;
    Ram ram{16 * kPageSize};
    DeviceContext context{{ram, kBase, 0, ram.size()}, 0};

    void set(u64 reg, u64 value) { device.write(reg, 4, value, context); }
    void from_outside() {
        device.type("typed");
        if (NetworkPort* port = device.network_port()) {
            port->receive(std::make_shared<const std::vector<u8>>(60, u8{1}));
            (void)port->take_sent();
        }
        if (device.due() == 0) device.advance(context);
        (void)device.take_output();
    }
    void start() {
        set(0x70, 11);
        for (u64 queue = 0; queue < 2; ++queue) {
            const u64 base = kBase + queue * kQueueBytes;
            set(0x30, queue), set(0x38, 8), set(0x80, base), set(0x90, base + 0x100), set(0xa0, base + 0x200), set(0x44, 1);
        }
        set(0x70, 15);
    }
    void run(const std::vector<u8>& input) {
        ram.write(0, std::span(input).first(std::min<std::size_t>(input.size(), ram.size())));
        start();
        set(0x50, 0), set(0x50, 1);
        from_outside();
        for (std::size_t at = input.size() - std::min<std::size_t>(input.size(), kRegisterWrites * 6); at + 6 <= input.size(); at += 6) {
            u16 reg = 0;
            u32 value = 0;
            std::memcpy(&reg, input.data() + at, 2), std::memcpy(&value, input.data() + at + 2, 4);
            set(reg & 0xffc, value);
            (void)device.read(reg & 0xff8, 1u << (value & 3), context);
            set(0x50, value & 1);
            from_outside();
        }
        StateArchive saved(input);
        device.state(saved);
        set(0x50, 0), set(0x50, 1);
        from_outside();
    }
};

void run_disk(const std::vector<u8>& input) {
    static const DiskImage image = disk_image(std::vector<u8>(64 << 10, 7));
    for (DiskMode mode : {DiskMode::WriteThrough, DiskMode::ReadOnly}) {
        VirtioBlk disk(DiskConfig{image, mode});
        Exercise{disk}.run(input);
        while (const auto run = disk.dirty_run()) disk.clean(*run);
    }
}
void run_console(const std::vector<u8>& input) {
    VirtioConsole console;
    Exercise{console}.run(input);
}
void run_rng(const std::vector<u8>& input) {
    VirtioRng rng(1);
    Exercise{rng}.run(input);
}
void run_net(const std::vector<u8>& input) {
    VirtioNet card({2, 0, 0, 0, 0, 1});
    Exercise{card}.run(input);
}

const fuzz::Registration disk_registration({"virtio", run_disk, seeds});
const fuzz::Registration console_registration({"virtio-console", run_console, seeds});
const fuzz::Registration rng_registration({"virtio-rng", run_rng, seeds});
const fuzz::Registration net_registration({"virtio-net", run_net, seeds});

} // namespace
