#include "scenarios/container_recording.hpp"

#include "container-sim/engine/run_config.hpp"
#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <filesystem>

namespace trapeze::scenarios {

namespace {

using namespace container;
using Json = nlohmann::json;

constexpr std::size_t kMostContainers = 64;

/// Every member that is a text, a number, a flag or a list of texts, with its name in the JSON: `act` is done to each, to save or to load.
template <class Config, class Act> void for_each_member(Config& c, Act act) {
    act("image", c.image), act("image_id", c.image_id), act("folder", c.folder), act("name", c.name), act("hostname", c.hostname), act("user", c.user);
    act("working_dir", c.working_dir), act("network", c.network), act("pid", c.pid), act("ipc", c.ipc), act("uts", c.uts), act("cgroupns", c.cgroupns), act("userns", c.userns);
    act("stop_signal", c.stop_signal), act("command", c.command), act("environment", c.environment), act("cap_add", c.cap_add), act("cap_drop", c.cap_drop), act("tmpfs", c.tmpfs);
    act("labels", c.labels), act("memory", c.memory), act("memory_swap", c.memory_swap), act("nano_cpus", c.nano_cpus), act("cpu_shares", c.cpu_shares), act("pids_limit", c.pids_limit);
    act("interactive", c.interactive), act("terminal", c.terminal), act("detach", c.detach), act("remove", c.remove), act("read_only", c.read_only), act("privileged", c.privileged);
    act("no_new_privileges", c.no_new_privileges), act("publish_all", c.publish_all), act("rows", c.rows), act("columns", c.columns), act("seccomp", c.seccomp), act("seccomp_name", c.seccomp_name);
}
template <class Spec, class Act> void for_each_member_of_spec(Spec& s, Act act) {
    act("hostname", s.hostname), act("rootfs", s.rootfs), act("arguments", s.arguments), act("environment", s.environment), act("terminal", s.terminal), act("rows", s.rows), act("columns", s.columns);
}

std::vector<u8> bytes_of(std::string_view text) { return {text.begin(), text.end()}; }
std::string text_in(const RecordedFiles& files, const std::string& name) {
    const auto found = files.find(name);
    return found == files.end() ? std::string() : std::string(found->second.begin(), found->second.end());
}

Result<Json> run_json(const RunConfig& run, const std::string& name, RecordedFiles& files) {
    Json json = Json::object(), ports = Json::array(), volumes = Json::array(), limits = Json::array(), layers = Json::array();
    for_each_member(run, [&](const char* member, const auto& value) { json[member] = value; });
    for (const PortMap& port : run.ports) ports.push_back({port.host, port.inside, port.protocol});
    for (const VolumeMount& volume : run.volumes) volumes.push_back({volume.source, volume.target, volume.read_only});
    for (const SpecLimit& limit : run.limits) limits.push_back({limit.kind, limit.soft, limit.hard});
    for (std::size_t i = 0; i < run.layers.layers.size(); ++i) {
        const std::string file = "layer " + run.layers.ids[i];
        layers.push_back(run.layers.ids[i]);
        if (files.contains(file)) continue; // of another container's image
        auto archive = write_layer(*run.layers.layers[i]);
        if (!archive) return Error{archive.error()};
        files[file] = **archive;
    }
    json["ports"] = ports, json["volumes"] = volumes, json["limits"] = limits, json["layers"] = layers;
    json["entrypoint"] = run.entrypoint ? Json(*run.entrypoint) : Json();
    json["bundle"] = run.bundle != nullptr;
    if (run.bundle) files["bundle " + name] = bytes_of(spec_json(*run.bundle));
    files["image " + name] = *image_config_bytes(run.defaults);
    return json;
}

Result<RunConfig> run_of(const Json& json, const std::string& name, const RecordedFiles& files) {
    RunConfig run;
    for_each_member(run, [&](const char* member, auto& value) { json.at(member).get_to(value); });
    for (const Json& port : json.at("ports")) run.ports.push_back({port.at(0), port.at(1), port.at(2)});
    for (const Json& volume : json.at("volumes")) run.volumes.push_back({volume.at(0), volume.at(1), volume.at(2)});
    for (const Json& limit : json.at("limits")) run.limits.push_back({limit.at(0), limit.at(1), limit.at(2)});
    for (const Json& id : json.at("layers")) {
        const std::string file = "layer " + id.get<std::string>();
        const auto found = files.find(file);
        if (found == files.end() || run.layers.layers.size() == kMaxLayers) return Error{fmt::format("the {} is not in it", file)};
        auto layer = read_layer(make_bytes(found->second), file, {});
        if (!layer) return Error{layer.error()};
        run.layers.layers.push_back(std::make_shared<const Layer>(std::move(*layer))), run.layers.ids.push_back(id);
    }
    if (!json.at("entrypoint").is_null()) run.entrypoint = json.at("entrypoint").get<std::vector<std::string>>();
    if (json.at("bundle")) {
        auto spec = parse_spec(text_in(files, "bundle " + name), "config.json");
        if (!spec) return Error{spec.error()};
        run.bundle = std::make_shared<const RuntimeSpec>(std::move(*spec));
    }
    auto image = parse_image_config(make_bytes(text_in(files, "image " + name)), "the image's configuration");
    if (!image) return Error{image.error()};
    run.defaults = std::move(*image);
    return run;
}

/// The folders of the host that containers have.
std::vector<std::string> folders_of(const SessionConfig& config) {
    std::vector<std::string> folders;
    for (std::size_t i = 0; i < config.containers.size(); ++i) {
        const RunConfig* run = i < config.runs.size() ? config.runs[i].get() : nullptr;
        if (!run) folders.push_back(config.containers[i].rootfs);
        if (!run) continue;
        if (!run->folder.empty()) folders.push_back(run->folder);
        for (const VolumeMount& volume : run->volumes)
            if (volume.source.starts_with('/')) folders.push_back(volume.source);
    }
    return folders;
}

} // namespace

Result<Json> record_containers(const SessionConfig& config, bool with_files, RecordedFiles& files) {
    if (config.containers.empty()) return Json();
    if (const auto folders = folders_of(config); with_files && !folders.empty())
        return Error{fmt::format("{}: a container uses this folder, and a recording does not hold folders; make an image of it (container build: FROM scratch, COPY) and run that", folders[0])};
    Json all = Json::array();
    for (std::size_t i = 0; i < config.containers.size(); ++i) {
        Json one = Json::object();
        for_each_member_of_spec(config.containers[i], [&](const char* member, const auto& value) { one[member] = value; });
        if (i < config.runs.size() && config.runs[i]) {
            auto run = run_json(*config.runs[i], fmt::format("{}", i), files);
            if (!run) return run;
            one["run"] = std::move(*run);
        }
        all.push_back(std::move(one));
    }
    try {
        (void)all.dump();
    } catch (const Json::type_error&) { // the library has no other way to tell
        return Error{"an argument or a variable of a container is no text in UTF-8, which a recording cannot hold"};
    }
    return all;
}

Result<void> replay_containers(const Json& json, const RecordedFiles& files, bool trusted, SessionConfig& config) {
    for (const Json& one : json) {
        if (config.containers.size() == kMostContainers) return Error{fmt::format("more than {} containers", kMostContainers)};
        const std::string name = fmt::format("{}", config.containers.size());
        ContainerSpec& spec = config.containers.emplace_back();
        for_each_member_of_spec(spec, [&](const char* member, auto& value) { one.at(member).get_to(value); });
        config.runs.emplace_back();
        if (!one.contains("run")) continue;
        auto run = run_of(one.at("run"), name, files);
        if (!run) return Error{run.error()};
        config.runs.back() = std::make_shared<const RunConfig>(std::move(*run));
    }
    if (const auto folders = folders_of(config); !trusted && !folders.empty())
        return Error{fmt::format("it names {}, a folder of another machine; it cannot be opened", folders[0])};
    return {};
}

u32 folders_checksum(const SessionConfig& config) {
    namespace fs = std::filesystem;
    u32 sum = 0;
    for (const std::string& folder : folders_of(config)) {
        std::error_code failed;
        std::vector<std::string> lines;
        for (auto at = fs::recursive_directory_iterator(folder, fs::directory_options::skip_permission_denied, failed); !failed && at != fs::recursive_directory_iterator(); at.increment(failed)) {
            std::error_code unknown;
            const bool file = at->is_regular_file(unknown) && !at->is_symlink(unknown);
            const u64 size = file ? at->file_size(unknown) : 0;
            const auto time = file ? at->last_write_time(unknown).time_since_epoch().count() : 0;
            lines.push_back(fmt::format("{} {} {} {}\n", at->path().string(), static_cast<int>(at->symlink_status(unknown).permissions()), size, time));
        }
        std::sort(lines.begin(), lines.end());
        for (const std::string& line : lines) sum = static_cast<u32>(crc32_z(sum, reinterpret_cast<const unsigned char*>(line.data()), line.size()));
    }
    return sum;
}

} // namespace trapeze::scenarios
