// What a board has besides what every board has (CLINT, PLIC, UART, RTC, test finisher): the same for the machine and for a VM.
// The virtio devices take slots from 0 on, in this order: disks, network cards, rng, console. So a kernel that looks for its disk
// in slot 0 finds it there.
#pragma once

#include "emulator/base/result.hpp"
#include "emulator/base/types.hpp"

#include <memory>
#include <string>
#include <vector>

namespace trapeze {

/// What becomes of the sectors that a guest writes: they stay with the machine, are refused, or are also given to the host, which
/// takes them with VirtioBlk::take_dirty and writes them to the image's file.
enum class DiskMode : u8 { CopyOnWrite, ReadOnly, WriteThrough };

using DiskImage = std::shared_ptr<const std::vector<u8>>;
inline DiskImage disk_image(std::vector<u8> bytes) { return std::make_shared<const std::vector<u8>>(std::move(bytes)); }

struct DiskConfig {
    DiskImage image; ///< whole sectors of 512 bytes; shared, never changed
    DiskMode mode = DiskMode::CopyOnWrite;
    std::string serial = "trapeze-disk"; ///< what get-id answers, at most 20 bytes
};

struct BoardConfig {
    std::vector<DiskConfig> disks = {};
    unsigned network_cards = 0;      ///< each with an address of its own: 52:54:00:12:34:56 and the following
    bool capture = false;            ///< keep what passes the network, for pcapng
    bool rng = false;
    u64 rng_seed = 1;
    bool console = false;            ///< a virtio console besides the UART
};

/// Size of all disks together, in bytes.
u64 disk_bytes(const BoardConfig& config);
/// Whether a board can have this; the error says what not, and what can be had.
Result<void> check_board(const BoardConfig& config);

} // namespace trapeze
