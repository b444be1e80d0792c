// A session's devices and the host: the files of disks, and the capture of the network.
#include "scenarios/session.hpp"

#include "emulator/devices/rtc.hpp"
#include "emulator/trace/pcapng.hpp"

#include <fmt/format.h>

namespace trapeze::scenarios {

Result<BoardConfig> open_devices(const SessionConfig& config, std::vector<std::shared_ptr<DiskFile>>& disks) {
    const DeviceSpec& asked = config.devices;
    BoardConfig board;
    for (DriveSpec drive : asked.drives) {
        // What a session that goes back wrote would have to be unwritten; its disks change in memory only.
        const bool writes = config.write_disks && config.checkpoint_every == 0;
        if (drive.mode == DiskMode::WriteThrough && !writes) drive.mode = DiskMode::CopyOnWrite;
        auto file = DiskFile::open(drive);
        if (!file) return Error{file.error()};
        board.disks.push_back(file->config());
        disks.push_back(std::make_shared<DiskFile>(std::move(*file)));
    }
    board.network_cards = asked.network_cards;
    board.capture = asked.capture;
    board.rng = asked.rng, board.rng_seed = asked.rng_seed;
    board.console = asked.console;
    return board;
}

/// Does `action` to each disk of the board and its file.
template <class Action> void Session::for_disks(Action action) {
    std::size_t index = 0;
    for (const auto& attached : board().devices()) {
        auto* disk = dynamic_cast<VirtioBlk*>(attached.device.get());
        if (disk && index < disks_.size()) action(*disk, *disks_[index++]);
    }
}

Result<void> Session::write_back() {
    Result<void> first;
    for_disks([&](VirtioBlk& disk, DiskFile& file) {
        if (auto written = file.write_back(disk); !written && first) first = std::move(written);
    });
    return first;
}

std::string Session::rescue_disks() {
    std::string sentences;
    for_disks([&](VirtioBlk& disk, DiskFile& file) {
        if (!disk.dirty()) return;
        const auto path = file.rescue(disk);
        sentences += (sentences.empty() ? "" : "; ") + (path ? fmt::format("the whole disk as the guest left it is in {}", path.value()) : path.error());
    });
    return sentences;
}

std::vector<u8> Session::capture() const {
    constexpr u64 kNsPerTick = 1'000'000'000 / kTimebaseHz;
    const Network& network = board().network;
    std::vector<CapturedFrame> frames;
    for (const Network::Captured& c : network.captured()) frames.push_back({Rtc::kStart + c.ticks * kNsPerTick, c.port, *c.frame});
    std::vector<std::string> names = {"gateway"};
    for (unsigned port = 1; port < network.ports(); ++port) names.push_back(fmt::format("net{}", port - 1));
    return pcapng(frames, names);
}

u64 Session::not_captured() const { return board().network.not_captured(); }

} // namespace trapeze::scenarios
