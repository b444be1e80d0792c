// Saving a session to a file, and restoring it: everything that changes while it runs, after a list of what it was made of. A session
// is restored with the same guest and options, as for QEMU's -loadvm; what is different is named.
#include "emulator/snapshot.hpp"
#include "emulator/replace_file.hpp"
#include "scenarios/cost_model.hpp"
#include "scenarios/session.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace trapeze::scenarios {

namespace {

struct Ingredient {
    const char* name;
    std::string value;
};

std::string cost_text(const vmm::CostModel& c) {
    std::string text = c.name + ":";
    for (const CostField& field : cost_fields()) text += fmt::format(" {}", c.*field.value);
    return text;
}

std::vector<Ingredient> ingredients(const SessionConfig& config, u32 guest_checksum, u32 disk_checksum) {
    return {{"mode", vmm::mode_row(config.mode).name},
            {"memory", fmt::format("{} KiB", config.memory_bytes >> 10)},
            {"number of harts", std::to_string(config.harts)},
            {"firmware", config.firmware ? "builtin" : config.firmware_file.empty() ? "none" : "a file"},
            {"set of devices", fmt::format("{} disks, {} network cards{}{}", config.devices.drives.size(), config.devices.network_cards,
                                           config.devices.rng ? ", rng" : "", config.devices.console ? ", console" : "")},
            {"largest page of the G-stage", vmm::page_size_name(config.switches.gstage_level)},
            {"timer", config.switches.trapped_timer ? "trapped" : "vstimecmp"},
            {"shadow policy", vmm::shadow_policy_name(config.switches.shadow_policy)},
            {"way to emulate", config.switches.clustering ? "clustered" : "one by one"},
            {"set of silent operations", std::to_string(config.silent)},
            {"kernel command line", config.append},
            {"costs", cost_text(config.costs)},
            {"guest (checksum of its file)", fmt::format("{:08x}", guest_checksum)},
            {"disk (checksum of its image)", config.devices.drives.empty() ? "none" : fmt::format("{:08x}", disk_checksum)}};
}

} // namespace

/// Saves or loads; returns the sentence's end that says what is different, empty when nothing is.
std::string Session::state(StateArchive& archive) {
    for (Ingredient& own : ingredients(config_, guest_checksum_, disk_checksum_)) {
        std::string value = own.value;
        archive(value);
        if (archive.failed()) return "it is damaged; save it again";
        if (value != own.value)
            return fmt::format("it was saved with another {}: \"{}\" then, \"{}\" now; give what it was saved with", own.name, value, own.value);
    }
    now_.machine.state(archive);
    if (now_.vmm) now_.vmm->state(archive);
    archive(now_.position), archive(now_.halted), archive(now_.exit_code), archive(now_.printed), archive(now_.console), archive(now_.lanes_seen);
    u64 lanes = now_.lanes.size();
    archive.at_most(lanes, now_.lanes.max_size());
    if (archive.loading()) now_.lanes.clear();
    for (u64 i = 0; i < lanes && !archive.failed(); ++i) {
        LaneChange change = archive.loading() ? LaneChange{} : now_.lanes[i];
        archive(change.time), archive.limited(change.lane, static_cast<Lane>(static_cast<u8>(Lane::Hardware) + 1)), archive(change.pc);
        if (archive.loading()) now_.lanes.push_back(change);
    }
    if (archive.loading() && (!archive.complete() || now_.console.size() > now_.printed)) return "it is damaged; save it again";
    return {};
}

Result<std::vector<u8>> Session::save_bytes() {
    if (now_.kernel) return Error{"the state of a session with containers cannot be saved; record it, and it is played again up to here"};
    flush_caches(); // this session goes on exactly as the restored one
    StateArchive archive;
    (void)state(archive);
    return pack_snapshot(SnapshotKind::Session, archive.bytes());
}

Result<void> Session::save(const std::string& path) {
    const auto bytes = save_bytes();
    if (!bytes) return Error{fmt::format("{}: {}", path, bytes.error())};
    return replace_file(path, bytes.value());
}

Result<Session> Session::restore_bytes(const SessionConfig& config, std::span<const u8> file, const std::string& name) {
    if (!config.containers.empty()) return Error{fmt::format("{}: a session with containers cannot be restored", name)};
    auto session = create(config);
    if (!session) return session;
    auto content = unpack_snapshot(SnapshotKind::Session, file, largest_content(session->now_.machine.ram.size(), session->disk_bytes_), name);
    if (!content) return Error{content.error()};
    StateArchive archive(std::move(content).value());
    const std::string different = session->state(archive);
    if (!different.empty()) return Error{fmt::format("{}: this snapshot cannot be restored: {}", name, different)};
    session->now_.machine.trace.record(config.record);
    session->checkpoints_.clear(), session->stride_ = 1, session->pristine_ = false;
    session->take_checkpoint();
    return session;
}

Result<Session> Session::restore(const SessionConfig& config, const std::string& path) {
    auto file = read_file(path);
    if (!file) return Error{file.error()};
    return restore_bytes(config, *file, path);
}

} // namespace trapeze::scenarios
