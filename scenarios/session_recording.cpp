// Recordings: a session as one file that is played again, here or on another machine. In it are the configuration, the guest's files, the log of
// input and the position; and, when the session did not begin with its guest's start (it was restored, flipped or changed by hand), the state
// that it began with. Everything else follows from these.
#include "emulator/snapshot.hpp"
#include "container-sim/kernel.hpp"
#include "scenarios/container_recording.hpp"
#include "scenarios/cost_model.hpp"
#include "scenarios/session.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>

namespace trapeze::scenarios {

namespace {

using Json = nlohmann::json;

constexpr u64 kMostBytes = u64{2} << 30;      ///< of a recording's content
constexpr u64 kMostInputs = 1'000'000, kMostFiles = 1000, kLeastInterval = 1000;
constexpr u64 kMostCost = 1'000'000'000;

Json config_json(const SessionConfig& c) {
    Json costs{{"name", c.costs.name}}, drives = Json::array();
    for (const CostField& field : cost_fields()) costs[field.name] = c.costs.*field.value;
    for (const DriveSpec& drive : c.devices.drives) drives.push_back({{"file", drive.file}, {"mode", static_cast<int>(drive.mode)}, {"serial", drive.serial}});
    return {{"guest", c.guest}, {"mode", vmm::mode_row(c.mode).name}, {"memory", c.memory_bytes}, {"append", c.append}, {"initrd", c.initrd},
            {"device_tree", c.device_tree}, {"firmware_file", c.firmware_file}, {"firmware", c.firmware}, {"trap_misaligned", c.trap_misaligned},
            {"shadow_policy", static_cast<int>(c.switches.shadow_policy)}, {"clustering", c.switches.clustering}, {"gstage_level", c.switches.gstage_level},
            {"trapped_timer", c.switches.trapped_timer}, {"silent", c.silent}, {"drives", drives}, {"network_cards", c.devices.network_cards},
            {"rng", c.devices.rng}, {"console", c.devices.console}, {"rng_seed", c.devices.rng_seed}, {"capture", c.devices.capture}, {"harts", c.harts},
            {"record", c.record}, {"dossiers", c.dossiers}, {"costs", costs}, {"checkpoint_every", c.checkpoint_every}, {"when_idle", static_cast<int>(c.when_idle)}};
}

/// Pre: `json` is an object; a member that is missing or of another type throws.
Result<SessionConfig> config_of(const Json& json) {
    SessionConfig c;
    const auto mode = vmm::mode_by_name(json.at("mode").get<std::string>());
    if (!mode) return Error{mode.error()};
    c.mode = mode.value();
    c.guest = json.at("guest"), c.memory_bytes = json.at("memory"), c.append = json.at("append"), c.initrd = json.at("initrd");
    c.device_tree = json.at("device_tree"), c.firmware_file = json.at("firmware_file"), c.firmware = json.at("firmware"), c.trap_misaligned = json.at("trap_misaligned");
    c.switches.shadow_policy = json.at("shadow_policy").get<int>() == static_cast<int>(vmm::ShadowPolicy::WriteProtect) ? vmm::ShadowPolicy::WriteProtect : vmm::ShadowPolicy::VirtualTlb;
    c.switches.clustering = json.at("clustering"), c.switches.trapped_timer = json.at("trapped_timer"), c.silent = json.at("silent");
    c.switches.gstage_level = std::min(json.at("gstage_level").get<unsigned>(), vmm::GStageTables::kLevels - 1);
    for (const Json& drive : json.at("drives")) {
        const int how = drive.at("mode");
        const bool known = how >= 0 && how <= static_cast<int>(DiskMode::WriteThrough);
        c.devices.drives.push_back({drive.at("file"), known ? static_cast<DiskMode>(how) : DiskMode::CopyOnWrite, drive.at("serial")});
    }
    c.devices.network_cards = json.at("network_cards"), c.devices.rng = json.at("rng"), c.devices.console = json.at("console");
    c.devices.rng_seed = json.at("rng_seed"), c.devices.capture = json.at("capture"), c.harts = json.at("harts"), c.record = json.at("record");
    c.dossiers = json.at("dossiers"), c.checkpoint_every = std::max(json.at("checkpoint_every").get<u64>(), kLeastInterval);
    c.when_idle = json.value("when_idle", 0) == static_cast<int>(container::WhenIdle::Return) ? container::WhenIdle::Return : container::WhenIdle::PassTime;
    c.costs.name = json.at("costs").at("name");
    for (const CostField& field : cost_fields()) c.costs.*field.value = std::min(json.at("costs").at(field.name).get<u64>(), kMostCost);
    if (c.harts != 1 && c.mode != Mode::Bare) return Error{"a VM has one hart"};
    return c;
}

void bytes_state(StateArchive& archive, std::vector<u8>& bytes) { archive(bytes); }

} // namespace

Result<std::vector<u8>> Session::record(bool with_files) const {
    if (now_.kernel && !pristine_) return Error{"a session with containers that was changed by hand cannot be recorded"};
    if (with_files && !config_.devices.drives.empty()) return Error{"a session with disks cannot be recorded in one file yet; boot --save and --restore keep its state"};
    if (!config_.checkpoint_every) return Error{"this session keeps no log of its past, so it cannot be played again; start it with checkpoints"};
    std::map<std::string, std::vector<u8>> files;
    if (config_.files) files = *config_.files;
    for (const std::string* path : {&config_.guest, &config_.initrd, &config_.device_tree, &config_.firmware_file}) {
        if (!with_files || config_.files || path->empty()) continue;
        const auto found = path == &config_.guest ? find_guest(*path) : Result<std::string>(*path);
        if (!found) return Error{found.error()};
        auto bytes = read_file(found.value());
        if (!bytes) return Error{bytes.error()};
        files[*path] = std::move(*bytes);
    }
    auto containers = record_containers(config_, with_files, files);
    if (!containers) return Error{containers.error()};
    std::vector<u8> base;
    if (!pristine_) {
        Session first = fork();
        if (const auto gone = first.go_to(earliest()); !gone) return Error{gone.error()};
        first.next_input_ = 0;
        auto bytes = first.save_bytes();
        if (!bytes) return bytes;
        base = std::move(*bytes);
    }
    StateArchive archive;
    Json described = config_json(config_);
    described["containers"] = std::move(*containers);
    std::string config = described.dump(-1, ' ', false, Json::error_handler_t::replace);
    u64 count = files.size(), inputs = inputs_.size(), position = now_.position;
    u32 guest = now_.kernel ? folders_checksum(config_) : guest_checksum_, disk = disk_checksum_;
    archive(config), archive(count);
    for (auto& [path, bytes] : files) {
        std::string name = path;
        archive(name), bytes_state(archive, bytes);
    }
    archive(guest), archive(disk), archive(base), archive(inputs);
    for (Input input : inputs_) archive(input.position), archive(input.text), archive(input.container), archive(input.end);
    archive(position);
    return pack_snapshot(SnapshotKind::Recording, archive.bytes());
}

Result<Session::Replay> Session::replay(std::span<const u8> recording, const std::string& name, bool trusted) {
    auto content = unpack_snapshot(SnapshotKind::Recording, recording, kMostBytes, name);
    if (!content) return Error{content.error()};
    const Error damaged{fmt::format("{}: this recording is damaged; save it again", name)};
    StateArchive archive(std::move(content).value());
    std::string text;
    u64 count = 0, inputs = 0, position = 0;
    u32 guest = 0, disk = 0;
    std::vector<u8> base;
    archive(text), archive.at_most(count, kMostFiles);
    auto files = std::make_shared<std::map<std::string, std::vector<u8>>>();
    for (u64 i = 0; i < count && !archive.failed(); ++i) {
        std::string path;
        archive(path), bytes_state(archive, (*files)[path]);
    }
    archive(guest), archive(disk), archive(base), archive.at_most(inputs, kMostInputs);
    std::vector<Input> log;
    for (u64 i = 0; i < inputs && !archive.failed(); ++i) {
        Input input{0};
        archive(input.position), archive(input.text), archive(input.container), archive(input.end);
        if (!log.empty() && input.position < log.back().position) archive.fail();
        log.push_back(std::move(input));
    }
    archive(position);
    const Json json = Json::parse(text, nullptr, false);
    if (!archive.complete() || !json.is_object()) return damaged;
    try {
        auto config = config_of(json);
        if (!config) return Error{fmt::format("{}: {}", name, config.error())};
        if (!trusted || count) config->files = files;
        if (!trusted && !config->devices.drives.empty()) return Error{fmt::format("{}: this recording names disks of another machine; it cannot be opened", name)};
        if (const Json containers = json.value("containers", Json()); !containers.is_null())
            if (const auto read = replay_containers(containers, *files, trusted, *config); !read) return Error{fmt::format("{}: {}", name, read.error())};
        const u32 folders = folders_checksum(*config);
        auto session = base.empty() ? create(*config) : restore_bytes(*config, base, name);
        if (!session) return Error{session.error()};
        if ((session->now_.kernel ? folders : session->guest_checksum_) != guest || session->disk_checksum_ != disk)
            return Error{fmt::format("{}: the files of the guest are others now than when this was recorded; bring them back, or start anew", name)};
        session->inputs_ = std::move(log);
        session->next_input_ = 0;
        if (position < session->earliest()) return damaged;
        return Replay{std::move(*session), position};
    } catch (const Json::exception&) { // a member that is missing or of another type
        return damaged;
    }
}

} // namespace trapeze::scenarios
