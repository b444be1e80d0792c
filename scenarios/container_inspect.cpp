// What `inspect` of the prompt says of containers, images, networks and volumes: Docker's members. Those of Docker's that say what this kernel has
// not (block devices, restart policies, links, AppArmor, IPv6) are there where programs look for them, with the value that Docker gives to "none".
#include "scenarios/container_format.hpp"
#include "scenarios/container_options.hpp"
#include "scenarios/container_shell.hpp"
#include "scenarios/shipped_images.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>

namespace trapeze::scenarios {

using namespace container;

namespace {

using Json = nlohmann::ordered_json;

struct InspectOptions {
    std::vector<std::string> names;
    std::string format, type;
};

std::string time_text(u64 nanoseconds) {
    constexpr u64 kSecond = 1'000'000'000;
    if (!nanoseconds) return "0001-01-01T00:00:00Z";
    return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:09}Z", fmt::gmtime(static_cast<std::time_t>(nanoseconds / kSecond)), nanoseconds % kSecond);
}

std::string ip_of(Ipv4 ip) { return ip ? ip_text(ip) : ""; }
std::string port_name(const PortMap& port) { return fmt::format("{}/{}", port.inside, port.protocol == kIpUdp ? "udp" : "tcp"); }
std::string volume_folder(const std::string& name) { return fmt::format("/var/lib/trapeze/volumes/{}/_data", name); }
/// Docker's null for an empty list.
Json list_or_null(const std::vector<std::string>& list) { return list.empty() ? Json() : Json(list); }

Json ports_of(const Container& container, bool bound) {
    Json ports = Json::object();
    if (bound)
        for (const PortMap& port : container.config.ports) ports[port_name(port)].push_back({{"HostIp", "0.0.0.0"}, {"HostPort", fmt::format("{}", port.host)}});
    return ports;
}

Json mounts_of(const Container& container) {
    Json mounts = Json::array();
    std::size_t unnamed = 0;
    for (const VolumeMount& volume : container.config.volumes) {
        Json mount{{"Type", volume.source.starts_with('/') ? "bind" : "volume"}};
        if (!volume.source.starts_with('/')) {
            const bool known = !volume.source.empty() || unnamed < container.anonymous_volumes.size();
            const std::string name = !volume.source.empty() ? volume.source : known ? container.anonymous_volumes[unnamed++] : "";
            mount["Name"] = name, mount["Source"] = volume_folder(name), mount["Destination"] = volume.target, mount["Driver"] = "local";
        } else {
            mount["Source"] = volume.source, mount["Destination"] = volume.target;
        }
        mount["Mode"] = volume.read_only ? "ro" : "", mount["RW"] = !volume.read_only, mount["Propagation"] = volume.source.starts_with('/') ? "rprivate" : "";
        mounts.push_back(std::move(mount));
    }
    return mounts;
}

Json state_of(const Container& container) {
    return {{"Status", state_name(container.state)}, {"Running", container.runs()}, {"Paused", container.state == ContainerState::Paused}, {"Restarting", false},
            {"OOMKilled", container.killed_by_memory}, {"Dead", false}, {"Pid", container.pid}, {"ExitCode", container.exit_code}, {"Error", ""},
            {"StartedAt", time_text(container.started)}, {"FinishedAt", time_text(container.finished)}};
}

Json host_config_of(const Container& container) {
    const RunConfig& config = container.config;
    const auto mode = [](const std::string& given, const char* usual) { return given.empty() ? std::string(usual) : given; };
    Json binds = Json::array(), limits = Json::array(), security = Json::array();
    for (const VolumeMount& volume : config.volumes)
        if (!volume.source.empty()) binds.push_back(fmt::format("{}:{}{}", volume.source, volume.target, volume.read_only ? ":ro" : ""));
    for (const SpecLimit& limit : config.limits) limits.push_back({{"Name", kUlimitNames[limit.kind]}, {"Soft", limit.soft}, {"Hard", limit.hard}});
    if (config.no_new_privileges) security.push_back("no-new-privileges");
    if (!config.seccomp.empty()) security.push_back("seccomp=" + (config.seccomp_name.empty() ? config.seccomp : config.seccomp_name));
    Json json{{"Binds", binds.empty() ? Json() : binds}, {"LogConfig", {{"Type", "json-file"}, {"Config", Json::object()}}}, {"NetworkMode", config.network}, {"PortBindings", ports_of(container, true)},
              {"RestartPolicy", {{"Name", "no"}, {"MaximumRetryCount", 0}}}, {"AutoRemove", config.remove}, {"ConsoleSize", {config.rows, config.columns}},
              {"CapAdd", list_or_null(config.cap_add)}, {"CapDrop", list_or_null(config.cap_drop)}, {"CgroupnsMode", mode(config.cgroupns, "private")},
              {"IpcMode", mode(config.ipc, "private")}, {"OomScoreAdj", container.spec.oom_score_adjust.value_or(0)}, {"PidMode", config.pid}, {"Privileged", config.privileged},
              {"PublishAllPorts", config.publish_all}, {"ReadonlyRootfs", config.read_only}, {"SecurityOpt", security.empty() ? Json() : security}};
    Json tmpfs = Json::object();
    for (const std::string& place : config.tmpfs) tmpfs[place.substr(0, place.find(':'))] = place.find(':') == std::string::npos ? "" : place.substr(place.find(':') + 1);
    if (!tmpfs.empty()) json["Tmpfs"] = tmpfs;
    json["UTSMode"] = config.uts, json["UsernsMode"] = config.userns, json["Runtime"] = "trapeze", json["CpuShares"] = config.cpu_shares, json["Memory"] = config.memory;
    json["NanoCpus"] = config.nano_cpus, json["CgroupParent"] = "", json["MemorySwap"] = config.memory, json["OomKillDisable"] = false;
    json["PidsLimit"] = config.pids_limit ? Json(config.pids_limit) : Json(), json["Ulimits"] = limits;
    json["MaskedPaths"] = container.spec.masked, json["ReadonlyPaths"] = container.spec.read_only_paths;
    return json;
}

Json config_of(const Container& container) {
    const RunConfig& config = container.config;
    Json exposed = Json::object();
    for (const PortMap& port : config.ports) exposed[port_name(port)] = Json::object();
    for (const std::string& port : config.defaults.exposed_ports) exposed[port] = Json::object();
    std::map<std::string, std::string> labels = config.defaults.labels;
    for (const auto& [name, value] : config.labels) labels[name] = value;
    const std::string stop = !config.stop_signal.empty() ? config.stop_signal : config.defaults.stop_signal;
    Json json{{"Hostname", container.spec.hostname}, {"Domainname", container.spec.domainname}, {"User", config.user.empty() ? config.defaults.user : config.user},
              {"AttachStdin", config.interactive && !config.detach}, {"AttachStdout", !config.detach}, {"AttachStderr", !config.detach}};
    if (!exposed.empty()) json["ExposedPorts"] = exposed;
    json["Tty"] = container.spec.terminal, json["OpenStdin"] = config.interactive, json["StdinOnce"] = config.interactive && !config.detach, json["Env"] = container.spec.environment;
    json["Cmd"] = list_or_null(config.command.empty() && !config.entrypoint ? config.defaults.cmd : config.command), json["Image"] = config.image, json["Volumes"] = Json();
    json["WorkingDir"] = config.working_dir.empty() ? config.defaults.working_dir : config.working_dir, json["Entrypoint"] = list_or_null(config.entrypoint.value_or(config.defaults.entrypoint));
    json["Labels"] = labels;
    if (!stop.empty()) json["StopSignal"] = stop;
    return json;
}

Json network_settings_of(const ContainerShell& shell, const Container& container) {
    Json networks = Json::object();
    std::string gateway, card;
    unsigned prefix = 0;
    for (const BridgeNetwork& network : shell.engine.networks()) {
        if (network.name != container.network && (container.runs() || network.name != container.config.network)) continue;
        if (container.address) gateway = ip_of(network.gateway), prefix = network.prefix;
        networks[network.name] = {{"IPAMConfig", Json()}, {"Links", Json()}, {"Aliases", Json()}, {"NetworkID", network.id}, {"Gateway", gateway}, {"IPAddress", ip_of(container.address)}, {"IPPrefixLen", prefix}};
    }
    return {{"Ports", ports_of(container, container.runs())}, {"Gateway", gateway}, {"IPAddress", ip_of(container.address)}, {"IPPrefixLen", prefix}, {"Networks", networks}};
}

Json inspect(const ContainerShell& shell, const Container& container) {
    const auto& arguments = container.spec.arguments;
    const std::string folder = container.folder();
    Json processes = Json();
    for (const ExecProcess& exec : shell.engine.execs())
        if (exec.container == container.id && !exec.exit_code) processes.push_back(fmt::format("{}", exec.pid));
    Json json{{"Id", container.id}, {"Created", time_text(container.created)}, {"Path", arguments.empty() ? "" : arguments[0]},
              {"Args", std::vector<std::string>(arguments.begin() + (arguments.empty() ? 0 : 1), arguments.end())}, {"State", state_of(container)}, {"Image", container.config.image_id},
              {"ResolvConfPath", folder + "/resolv.conf"}, {"HostnamePath", folder + "/hostname"}, {"HostsPath", folder + "/hosts"}, {"LogPath", ""}, {"Name", "/" + container.name},
              {"RestartCount", 0}, {"Driver", "overlay2"}, {"Platform", "linux"}, {"MountLabel", ""}, {"ProcessLabel", ""}, {"AppArmorProfile", ""}, {"ExecIDs", processes},
              {"HostConfig", host_config_of(container)}};
    json["GraphDriver"] = {{"Data", {{"LowerDir", shell.engine.lower_folders_of(container)}, {"MergedDir", folder + "/merged"}, {"UpperDir", folder + "/diff"}, {"WorkDir", folder + "/work"}}}, {"Name", "overlay2"}};
    json["Mounts"] = mounts_of(container), json["Config"] = config_of(container), json["NetworkSettings"] = network_settings_of(shell, container);
    return json;
}

Json inspect(const ContainerShell& shell, const BridgeNetwork& network) {
    Json containers = Json::object();
    for (const Container& container : shell.engine.containers())
        if (container.network == network.name) containers[container.id] = {{"Name", container.name}, {"IPv4Address", fmt::format("{}/{}", ip_of(container.address), network.prefix)}};
    return {{"Name", network.name}, {"Id", network.id}, {"Scope", "local"}, {"Driver", "bridge"}, {"EnableIPv6", false},
            {"IPAM", {{"Driver", "default"}, {"Config", Json::array({{{"Subnet", fmt::format("{}/{}", ip_of(network.subnet), network.prefix)}, {"Gateway", ip_of(network.gateway)}}})}}},
            {"Internal", false}, {"Attachable", false}, {"Containers", containers}, {"Options", {{"com.docker.network.bridge.name", network.device}}}, {"Labels", Json::object()}};
}

Json inspect_volume(const std::string& name) {
    return {{"Driver", "local"}, {"Labels", Json()}, {"Mountpoint", volume_folder(name)}, {"Name", name}, {"Options", Json()}, {"Scope", "local"}};
}

/// Of whatever kind has the name: container, image, network, volume, in Docker's order.
std::optional<Json> find_any(ContainerShell& shell, const std::string& name, const std::string& type) {
    const auto wanted = [&](const char* kind) { return type.empty() || type == kind; };
    if (wanted("container"))
        if (auto found = shell.engine.find(name)) return inspect(shell, **found);
    ImageStore store(default_store_folder());
    if (wanted("image"))
        if (auto image = find_image(store, name))
            if (auto json = inspect_image(*image)) return *json;
    if (wanted("network"))
        for (const BridgeNetwork& network : shell.engine.networks())
            if (network.name == name || network.id.starts_with(name)) return inspect(shell, network);
    const auto& volumes = shell.engine.volumes();
    if (wanted("volume") && std::find(volumes.begin(), volumes.end(), name) != volumes.end()) return inspect_volume(name);
    return std::nullopt;
}

int inspect_all(ContainerShell& shell, const InspectOptions& options) {
    Json all = Json::array();
    int status = 0;
    for (const std::string& name : options.names) {
        if (auto found = find_any(shell, name, options.type)) all.push_back(std::move(*found));
        else status = complain(fmt::format("{}: there is no such {}", name, options.type.empty() ? "container, image, network or volume" : options.type), kFailed);
    }
    if (options.format.empty() || options.format == "json") return fmt::print("{}\n", all.dump(4, ' ', false, Json::error_handler_t::replace)), status;
    for (const Json& one : all) {
        const auto text = fill_template(options.format, one);
        if (!text) return complain(text.error(), kUsage);
        fmt::print("{}\n", text.value());
    }
    return status;
}

} // namespace

void add_inspect_command(CLI::App& app, ContainerShell& shell, int& status, const std::string& type) {
    auto options = std::make_shared<InspectOptions>();
    options->type = type;
    auto* verb = app.add_subcommand("inspect", "all about " + (type.empty() ? "containers, images, networks and volumes" : "one " + type) + ", as JSON");
    verb->add_option("NAME", options->names, "names or ids")->required();
    verb->add_option("-f,--format", options->format, "a template, such as {{.State.ExitCode}} or {{json .Config}}");
    if (type.empty()) verb->add_option("--type", options->type, "container, image, network or volume")->check(CLI::IsMember({"container", "image", "network", "volume"}));
    verb->callback([=, &shell, &status] { status = inspect_all(shell, *options); });
}

} // namespace trapeze::scenarios
