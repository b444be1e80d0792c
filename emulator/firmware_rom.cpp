#include "emulator/firmware_rom.hpp"

#include <algorithm>
#include <cstring>

namespace trapeze {

namespace {

// hw/riscv/boot.c of QEMU: 64-bit values lie behind the code, at offsets that it names.
constexpr u32 kCode[] = {
    0x00000297, // auipc t0, 0
    0x02828613, // addi  a2, t0, 0x28: the dynamic information
    0xf1402573, // csrr  a0, mhartid
    0x0202b583, // ld    a1, 0x20(t0): the device tree
    0x0182b283, // ld    t0, 0x18(t0): the firmware
    0x00028067, // jr    t0
};
static_assert(sizeof kCode == 0x18);

constexpr u64 kDynamicMagic = 0x4942534f; // "OSBI"
constexpr u64 kDynamicVersion = 2, kNextIsSupervisor = 1, kNoOptions = 0, kBootHart = 0;

} // namespace

u64 ResetRom::read(u64 offset, unsigned size, DeviceContext&) {
    u64 value = 0;
    if (offset < bytes_.size()) std::memcpy(&value, bytes_.data() + offset, std::min<u64>(size, bytes_.size() - offset));
    return value;
}

void ResetRom::state(StateArchive& archive) {
    std::string bytes(bytes_.begin(), bytes_.end());
    archive(bytes);
    if (archive.loading()) bytes_.assign(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(std::min<u64>(bytes.size(), kSize)));
}

std::vector<u8> reset_rom_image(u64 firmware, u64 device_tree, u64 next) {
    const u64 data[] = {firmware, device_tree, kDynamicMagic, kDynamicVersion, next, kNextIsSupervisor, kNoOptions, kBootHart};
    std::vector<u8> image(sizeof kCode + sizeof data);
    std::memcpy(image.data(), kCode, sizeof kCode);
    std::memcpy(image.data() + sizeof kCode, data, sizeof data);
    return image;
}

} // namespace trapeze
