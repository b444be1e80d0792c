#include "container-sim/engine/run_config.hpp"

#include "container-sim/abi.hpp"
#include "container-sim/engine/containerfile.hpp"
#include "container-sim/signals.hpp"
#include "container-sim/task.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace trapeze::container {

namespace {

std::optional<u64> parse_number(std::string_view text, u64 most) {
    u64 value = 0;
    const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
    return failed == std::errc{} && end == text.data() + text.size() && !text.empty() && value <= most ? std::optional(value) : std::nullopt;
}

std::vector<std::string> split(std::string_view text, char at) {
    std::vector<std::string> parts(1);
    for (char c : text)
        if (c == at) parts.emplace_back();
        else parts.back() += c;
    return parts;
}

/// The line of passwd(5) or group(5) whose first field, or (`by_id`) third, is this.
std::vector<std::string> find_line(const std::string& file, const std::string& wanted, bool by_id) {
    for (const std::string& line : split(file, '\n')) {
        auto fields = split(line, ':');
        if (fields.size() >= 3 && fields[by_id ? 2 : 0] == wanted) return fields;
    }
    return {};
}

/// USER, USER:GROUP, by names or numbers.
Result<void> set_user(RuntimeSpec& spec, const std::string& user, const std::string& passwd, const std::string& group) {
    if (user.empty()) return {};
    const std::size_t colon = user.find(':');
    const std::string name = user.substr(0, colon), group_name = colon == std::string::npos ? "" : user.substr(colon + 1);
    const auto id = parse_number(name, kNoId - 1);
    const auto line = find_line(passwd, name, id.has_value());
    if (!id && line.empty()) return Error{fmt::format("--user {}: the root file system's /etc/passwd has no user {}; give a number, or a name that is there", user, name)};
    const auto read = [](const std::vector<std::string>& fields, std::size_t at) { return fields.size() > at ? parse_number(fields[at], kNoId - 1) : std::nullopt; };
    spec.uid = static_cast<u32>(id ? *id : read(line, 2).value_or(0));
    spec.gid = static_cast<u32>(read(line, 3).value_or(0));
    if (group_name.empty()) {
        for (const std::string& one : split(group, '\n')) { // the groups that it is a member of
            const auto fields = split(one, ':');
            const auto members = fields.size() > 3 ? split(fields[3], ',') : std::vector<std::string>{};
            if (!line.empty() && std::find(members.begin(), members.end(), line[0]) != members.end() && spec.groups.size() < 64)
                if (const auto gid = read(fields, 2)) spec.groups.push_back(static_cast<u32>(*gid));
        }
        return {};
    }
    const auto gid = parse_number(group_name, kNoId - 1);
    const auto group_line = find_line(group, group_name, gid.has_value());
    if (!gid && group_line.empty()) return Error{fmt::format("--user {}: the root file system's /etc/group has no group {}; give a number, or a name that is there", user, group_name)};
    spec.gid = static_cast<u32>(gid ? *gid : read(group_line, 2).value_or(0));
    return {};
}

Result<u64> capability_set(const std::vector<std::string>& names, const char* option) {
    u64 set = 0;
    for (const std::string& name : names) {
        if (name == "ALL" || name == "all") set = kAllCapabilities;
        else if (const auto found = capability_named(name)) set |= bit(*found);
        else return Error{fmt::format("{} {}: there is no such capability; capabilities(7) lists them, as in NET_ADMIN", option, name)};
    }
    return set;
}

Result<void> set_capabilities(RuntimeSpec& spec, const RunConfig& config) {
    auto added = capability_set(config.cap_add, "--cap-add"), dropped = capability_set(config.cap_drop, "--cap-drop");
    if (!added || !dropped) return Error{!added ? added.error() : dropped.error()};
    // ALL on one side, and what the other names is the exception.
    u64 set = config.privileged || added.value() == kAllCapabilities ? kAllCapabilities & ~dropped.value() : (spec.bounding & ~dropped.value()) | added.value();
    spec.bounding = spec.effective = spec.permitted = set;
    if (config.privileged) return {};
    if (config.seccomp == "unconfined") return {};
    if (config.seccomp.empty()) return spec.seccomp = default_profile(set), Result<void>{};
    auto json = parse_json(config.seccomp, config.seccomp_name);
    auto profile = json ? parse_profile(*json, config.seccomp_name, set) : Result<SeccompProfile>(Error{json.error()});
    if (!profile) return Error{profile.error()};
    spec.seccomp = std::move(*profile);
    return {};
}

void set_resources(RuntimeSpec& spec, const RunConfig& config) {
    constexpr u64 kPeriod = 100'000, kNanosecondsPerCpu = 1'000'000'000; // microseconds
    if (config.memory) spec.resources.push_back({"memory.max", fmt::format("{}", config.memory)});
    if (config.nano_cpus) spec.resources.push_back({"cpu.max", fmt::format("{} {}", std::max<u64>(1000, config.nano_cpus * kPeriod / kNanosecondsPerCpu), kPeriod)});
    // Docker's shares of version 1 become weights of version 2 (runc's conversion).
    if (config.cpu_shares) spec.resources.push_back({"cpu.weight", fmt::format("{}", 1 + (std::clamp<u64>(config.cpu_shares, 2, 262144) - 2) * 9999 / 262142)});
    if (config.pids_limit > 0) spec.resources.push_back({"pids.max", fmt::format("{}", config.pids_limit)});
}

void set_namespaces(RuntimeSpec& spec, const RunConfig& config) {
    const auto drop = [&](NamespaceKind kind) { std::erase_if(spec.namespaces, [kind](const SpecNamespace& one) { return one.kind == kind; }); };
    if (config.network == "host") drop(NamespaceKind::Net);
    if (config.pid == "host") drop(NamespaceKind::Pid);
    if (config.ipc == "host") drop(NamespaceKind::Ipc);
    if (config.uts == "host") drop(NamespaceKind::Uts);
    if (config.cgroupns == "host") drop(NamespaceKind::Cgroup); // with cgroup v2 a privileged container has its own too
    if (config.userns != "private") return;
    spec.namespaces.push_back({NamespaceKind::User, ""});
    spec.uids = spec.gids = {{0, 0, 65536}};
}

void set_environment(RuntimeSpec& spec, const RunConfig& config) {
    if (!config.defaults.env.empty()) spec.environment = config.defaults.env;
    std::vector<std::string>& all = spec.environment;
    const auto set = [&](const std::string& variable) {
        const std::string name = variable.substr(0, variable.find('='));
        std::erase_if(all, [&](const std::string& old) { return old.starts_with(name + "="); });
        if (variable.find('=') != std::string::npos) all.push_back(variable);
    };
    set("HOSTNAME=" + spec.hostname);
    if (config.terminal) set("TERM=xterm");
    for (const std::string& variable : config.environment) set(variable);
    const bool home = std::any_of(all.begin(), all.end(), [](const std::string& one) { return one.starts_with("HOME="); });
    if (!home) all.push_back(spec.uid ? "HOME=/" : "HOME=/root");
}

} // namespace

Result<std::vector<std::string>> program_of(const RunConfig& config) {
    std::vector<std::string> program = config.entrypoint ? *config.entrypoint : config.defaults.entrypoint;
    const bool own = config.entrypoint || !config.command.empty(); // then the image's command does not count
    const std::vector<std::string>& rest = own ? config.command : config.defaults.cmd;
    program.insert(program.end(), rest.begin(), rest.end());
    if (program.empty() || program[0].empty()) return Error{fmt::format("{}: neither the image nor the command line names a program; put one behind it", config.image)};
    return program;
}

Result<RuntimeSpec> spec_of(const RunConfig& config, const std::string& id, const std::string& passwd, const std::string& group) {
    if (config.bundle) {
        RuntimeSpec spec = *config.bundle;
        if (spec.cgroup.empty()) spec.cgroup = "/docker/" + id;
        spec.rows = config.rows, spec.columns = config.columns;
        return spec;
    }
    RuntimeSpec spec = default_spec();
    auto program = program_of(config);
    if (!program) return Error{program.error()};
    spec.arguments = std::move(*program);
    spec.terminal = config.terminal, spec.rows = config.rows, spec.columns = config.columns;
    spec.hostname = !config.hostname.empty() ? config.hostname : id.substr(0, 12);
    if (spec.hostname.size() > 64) return Error{fmt::format("--hostname {}...: a host name has at most 64 characters; give a shorter one", spec.hostname.substr(0, 20))};
    if (auto set = set_user(spec, config.user.empty() ? config.defaults.user : config.user, passwd, group); !set) return Error{set.error()};
    spec.working_dir = !config.working_dir.empty() ? config.working_dir : config.defaults.working_dir.empty() ? "/" : config.defaults.working_dir;
    if (spec.working_dir[0] != '/') return Error{fmt::format("--workdir {}: give an absolute path, as in /srv", spec.working_dir)};
    set_environment(spec, config);
    spec.no_new_privileges = config.no_new_privileges, spec.read_only = config.read_only;
    spec.limits = config.limits;
    set_namespaces(spec, config), set_resources(spec, config);
    spec.cgroup = "/docker/" + id;
    if (auto set = set_capabilities(spec, config); !set) return Error{set.error()};
    if (config.privileged) {
        spec.masked.clear(), spec.read_only_paths.clear();
        for (SpecMount& mount : spec.mounts) std::erase(mount.options, "ro");
    }
    for (const std::string& place : config.tmpfs) {
        const std::size_t colon = place.find(':');
        SpecMount mount{place.substr(0, colon), "tmpfs", "tmpfs", {"nosuid", "nodev", "noexec"}};
        if (colon != std::string::npos)
            for (std::string& option : split(place.substr(colon + 1), ',')) mount.options.push_back(std::move(option));
        spec.mounts.push_back(std::move(mount));
    }
    return spec;
}

// --- What options say ---------------------------------------------------------------------------------------------------------------

Result<u64> parse_bytes(const std::string& text, const std::string& option) {
    constexpr u64 kMost = u64{1} << 50;
    std::string digits = text;
    u64 unit = 1;
    const char last = digits.empty() ? '0' : static_cast<char>(digits.back() | 0x20);
    if (last == 'b') digits.pop_back();
    const char scale = digits.empty() ? '0' : static_cast<char>(digits.back() | 0x20);
    if (scale == 'k' || scale == 'm' || scale == 'g') unit = scale == 'k' ? u64{1} << 10 : scale == 'm' ? u64{1} << 20 : u64{1} << 30, digits.pop_back();
    const auto count = parse_number(digits, kMost / unit);
    if (!count || !*count) return Error{fmt::format("{} {}: give a number of bytes, as in 64m", option, text)};
    return *count * unit;
}

Result<PortMap> parse_port(const std::string& text) {
    PortMap port;
    std::string rest = text;
    const std::size_t slash = rest.find('/');
    if (slash != std::string::npos) {
        const std::string protocol = rest.substr(slash + 1);
        if (protocol != "tcp" && protocol != "udp") return Error{fmt::format("--publish {}: the protocol is tcp or udp", text)};
        port.protocol = protocol == "udp" ? kIpUdp : kIpTcp;
        rest.resize(slash);
    }
    const auto parts = split(rest, ':');
    const auto inside = parse_number(parts.back(), 65535), host = parts.size() > 1 ? parse_number(parts[parts.size() - 2], 65535) : inside;
    if (!inside || !*inside || !host || !*host || parts.size() > 3) return Error{fmt::format("--publish {}: give HOST_PORT:CONTAINER_PORT, as in 8080:80", text)};
    port.inside = static_cast<u16>(*inside), port.host = static_cast<u16>(*host);
    return port;
}

Result<VolumeMount> parse_volume(const std::string& text) {
    VolumeMount volume;
    auto parts = split(text, ':');
    if (parts.size() > 1 && (parts.back() == "ro" || parts.back() == "rw")) volume.read_only = parts.back() == "ro", parts.pop_back();
    volume.target = parts.back();
    if (parts.size() == 2) volume.source = parts[0];
    const bool named = !volume.source.empty() && volume.source[0] != '/';
    const bool good_name = std::all_of(volume.source.begin(), volume.source.end(), [](unsigned char c) { return std::isalnum(c) || c == '.' || c == '_' || c == '-'; });
    if (parts.size() > 2 || volume.target.empty() || volume.target[0] != '/' || (parts.size() == 2 && volume.source.empty()) || (named && (!good_name || volume.source[0] == '.')))
        return Error{fmt::format("--volume {}: give NAME:/path or /folder:/path, with :ro behind for reading only", text)};
    return volume;
}

Result<int> parse_signal(const std::string& text) {
    if (const auto given = parse_number(text, kSignals); given && *given) return static_cast<int>(*given);
    for (int i = 1; i <= kSignals; ++i)
        if (const std::string name = signal_name(i); name == text || name == "SIG" + text) return i;
    return Error{fmt::format("{}: there is no such signal; give a name such as TERM, or a number", text)};
}

// --- The layers of an image ----------------------------------------------------------------------------------------------------------

namespace {

/// Whether a layer means the same wherever it lies: none of its entries is below a link of the layers under it, or a further name of a file there.
bool stands_alone(const Layer& layer, const FileTree& below) {
    std::map<std::string, EntryType> own;
    for (const LayerEntry& entry : layer.entries) own[entry.path] = entry.node.type;
    for (const LayerEntry& entry : layer.entries) {
        if (entry.node.type == EntryType::HardLink && (!own.contains(entry.node.target) || own.at(entry.node.target) == EntryType::HardLink)) return false;
        for (std::string above = parent_path(entry.path); !above.empty(); above = parent_path(above)) {
            const auto in_layer = own.find(above);
            const FileNode* node = below.find(above);
            if (in_layer != own.end() ? in_layer->second != EntryType::Directory && in_layer->second != EntryType::Opaque : node && node->type != EntryType::Directory) return false;
        }
    }
    return true;
}

} // namespace

Result<LayerSet> layers_of(const Image& image, const ArchiveLimits& limits) {
    auto unpacked = unpack(image, limits);
    if (!unpacked) return Error{unpacked.error()};
    std::vector<std::string> ids;
    for (const ImageLayer& layer : image.layers) ids.push_back(layer.diff_id);
    return layer_set(std::move(*unpacked), std::move(ids));
}

Result<LayerSet> layer_set(std::vector<Layer> layers, std::vector<std::string> ids) {
    LayerSet set;
    FileTree tree;
    for (std::size_t i = 0; i < layers.size(); ++i) {
        Layer& layer = layers[i];
        std::string id = ids[i];
        const bool alone = stands_alone(layer, tree);
        const FileTree before = alone ? FileTree() : tree;
        if (auto applied = apply_layer(tree, layer); !applied) return Error{applied.error()};
        if (!alone) {
            layer = diff_trees(before, tree);
            for (const std::string& below : set.ids) id += below;
            id = digest_of(id);
        }
        set.layers.push_back(std::make_shared<const Layer>(std::move(layer))), set.ids.push_back(id);
    }
    return set;
}

} // namespace trapeze::container
