// What a guest's board has, as it is typed: --drive, --device, --netdev in QEMU's words.
//
// Usage: `auto devices = parse_devices({.drives = {"disk.img"}}); session_config.devices = *devices;`
#pragma once

#include "emulator/devices/board_config.hpp"

#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace trapeze::scenarios {

struct DriveSpec {
    std::string file;
    DiskMode mode = DiskMode::CopyOnWrite;
    std::string serial = "trapeze-disk";
};

/// The devices of a board by the names of files; SessionConfig has it.
struct DeviceSpec {
    std::vector<DriveSpec> drives;
    unsigned network_cards = 0;
    bool rng = false, console = false;
    u64 rng_seed = 1;
    bool capture = false;
};

/// The options as they were given.
struct DeviceOptions {
    std::vector<std::string> drives, devices, netdevs, objects;
    u64 rng_seed = 1;
    std::string capture; ///< file; empty: no capture
    void add_to(CLI::App& verb);
};

/// What they ask for; the error names the option, what is wrong in it and what can be given.
/// A drive is attached in the order given; one with if=none where its --device stands, behind those.
Result<DeviceSpec> parse_devices(const DeviceOptions& options);

} // namespace trapeze::scenarios
