// Fuzz target: a virtio block device whose rings and registers hold anything. The input fills guest memory; its last bytes are
// register writes. Whatever happens must stay inside the device.
#include "emulator/devices/virtio_blk.hpp"
#include "emulator/mem/ram.hpp"
#include "tests/fuzz/fuzz.hpp"

#include <cstring>

namespace {

using namespace trapeze;

constexpr u64 kBase = 0x8000'0000, kRegisterWrites = 8;

void put(std::vector<u8>& to, std::size_t at, u64 value, unsigned bytes) { std::memcpy(to.data() + at, &value, bytes); }

/// One read request of a sector: descriptors at 0, available ring at 0x100, used ring at 0x200, header at 0x300.
std::vector<std::vector<u8>> seeds() {
    std::vector<u8> memory(0x320 + kRegisterWrites * 6);
    const auto descriptor = [&](unsigned i, u64 address, u32 bytes, u16 flags, u16 next) {
        put(memory, 16 * i, address, 8), put(memory, 16 * i + 8, bytes, 4), put(memory, 16 * i + 12, flags, 2), put(memory, 16 * i + 14, next, 2);
    };
    descriptor(0, kBase + 0x300, 16, 1, 1);
    descriptor(1, kBase + 0x1000, 512, 3, 2);
    descriptor(2, kBase + 0x318, 1, 2, 0);
    put(memory, 0x102, 1, 2);
    return {memory};
}

void run(const std::vector<u8>& input) {
    static const std::vector<u8> image(64 << 10, 7);
    Ram ram(16 * kPageSize);
    VirtioBlk disk(image);
    DeviceContext context{{ram, kBase, 0, ram.size()}, 0};
    const auto set = [&](u64 reg, u64 value) { disk.write(reg, 4, value, context); };
    ram.write(0, std::span(input).first(std::min<std::size_t>(input.size(), ram.size())));
    set(0x70, 11), set(0x38, 8), set(0x80, kBase), set(0x90, kBase + 0x100), set(0xa0, kBase + 0x200), set(0x44, 1), set(0x70, 15);
    set(0x50, 0);
    for (std::size_t at = input.size() - std::min<std::size_t>(input.size(), kRegisterWrites * 6); at + 6 <= input.size(); at += 6) {
        u16 reg = 0;
        u32 value = 0;
        std::memcpy(&reg, input.data() + at, 2), std::memcpy(&value, input.data() + at + 2, 4);
        set(reg & 0xffc, value);
        (void)disk.read(reg & 0xff8, 1u << (value & 3), context);
        set(0x50, 0);
    }
}

const fuzz::Registration registration({"virtio", run, seeds});

} // namespace
