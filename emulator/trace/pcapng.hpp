// Writes captured network frames as pcapng (draft-ietf-opsawg-pcapng), which Wireshark and tcpdump read.
// Usage: `std::vector<u8> file = pcapng(frames, {"gateway", "net0"});`
#pragma once

#include "emulator/base/types.hpp"

#include <span>
#include <string>
#include <vector>

namespace trapeze {

struct CapturedFrame {
    u64 time_ns;        ///< since 1970
    u32 interface;      ///< index of the interface that it came from
    std::span<const u8> bytes;
};

/// A whole file: one section, an Ethernet interface for each name, then the frames in the order given.
/// Pre: each frame's interface has a name.
std::vector<u8> pcapng(std::span<const CapturedFrame> frames, const std::vector<std::string>& interfaces);

} // namespace trapeze
