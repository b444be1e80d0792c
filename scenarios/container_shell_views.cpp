// The commands of `container shell` that show containers: ps, logs, inspect, top, stats, diff, port.
#include "container-sim/abi.hpp"
#include "scenarios/container_shell.hpp"
#include "scenarios/shipped_images.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <iostream>

namespace trapeze::scenarios {

using namespace container;

namespace {

constexpr u64 kSecond = 1'000'000'000;

struct ViewOptions {
    std::vector<std::string> names;
    bool all = false, quiet = false, no_trunc = false, latest = false, follow = false, json = false;
    std::string tail = "all";
};

std::string time_text(u64 nanoseconds) {
    if (!nanoseconds) return "0001-01-01T00:00:00Z";
    const std::time_t seconds = static_cast<std::time_t>(nanoseconds / kSecond);
    return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:09}Z", fmt::gmtime(seconds), nanoseconds % kSecond);
}

std::string ago(const ContainerShell& shell, u64 when) { return duration_text(static_cast<i64>((shell.now() - when) / kSecond)); }

std::string status_text(const ContainerShell& shell, const Container& container) {
    switch (container.state) {
    case ContainerState::Created: return "Created";
    case ContainerState::Exited: return fmt::format("Exited ({}) {} ago", container.exit_code, ago(shell, container.finished));
    case ContainerState::Paused: return fmt::format("Up {} (Paused)", ago(shell, container.started));
    default: return "Up " + ago(shell, container.started);
    }
}

std::string ports_text(const Container& container) {
    std::string all;
    for (const PortMap& port : container.config.ports)
        if (container.runs()) all += fmt::format("{}0.0.0.0:{}->{}/{}", all.empty() ? "" : ", ", port.host, port.inside, port.protocol == kIpUdp ? "udp" : "tcp");
    return all;
}

std::string command_text(const Container& container, bool whole) {
    std::string text = fmt::format("{}", fmt::join(container.spec.arguments, " "));
    constexpr std::size_t kMost = 20;
    if (!whole && text.size() > kMost) text = text.substr(0, kMost - 1) + "…";
    return "\"" + text + "\"";
}

int list(const ContainerShell& shell, const ViewOptions& options) {
    std::vector<std::vector<std::string>> rows{{"CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES"}};
    const auto& containers = shell.engine.containers();
    for (auto at = containers.rbegin(); at != containers.rend(); ++at) {
        if (!options.all && !options.latest && !at->runs()) continue;
        const std::string id = options.no_trunc ? at->id : at->id.substr(0, 12);
        if (options.quiet) fmt::print("{}\n", id);
        rows.push_back({id, at->config.image, command_text(*at, options.no_trunc), ago(shell, at->created) + " ago", status_text(shell, *at), ports_text(*at), at->name});
        if (options.latest) break;
    }
    if (!options.quiet) print_columns(rows);
    return 0;
}

Result<const Container*> find(ContainerShell& shell, const std::string& name) {
    auto found = shell.engine.find(name);
    if (!found) return Error{found.error(), found.status()};
    return *found;
}

int logs(ContainerShell& shell, const ViewOptions& options) {
    auto found = find(shell, options.names.at(0));
    if (!found) return complain(found.error(), kFailed);
    std::string text = (*found)->log;
    if (options.tail != "all") {
        char* end = nullptr;
        const unsigned long most = std::strtoul(options.tail.c_str(), &end, 10);
        if (*end || options.tail.empty()) return complain(fmt::format("--tail {}: give a number of lines, or all", options.tail), kUsage);
        std::size_t begin = text.size();
        for (unsigned long lines = 0; begin > 0; --begin)
            if (text[begin - 1] == '\n' && begin != text.size() && ++lines == most) break;
        text.erase(0, most ? begin : text.size());
    }
    std::cout << text;
    if (!options.follow || !(*found)->runs()) return 0;
    (void)shell.engine.take_output(shell.kernel, (*found)->console);
    (void)shell.follow((*found)->console, false, false);
    return 0;
}

std::string ip_of(Ipv4 ip) { return ip ? ip_text(ip) : ""; }

nlohmann::ordered_json inspect(const ContainerShell& shell, const Container& container) {
    using Json = nlohmann::ordered_json;
    const RunConfig& config = container.config;
    const auto& arguments = container.spec.arguments;
    Json ports = Json::object(), mounts = Json::array(), networks = Json::object();
    for (const PortMap& port : config.ports) ports[fmt::format("{}/{}", port.inside, port.protocol == kIpUdp ? "udp" : "tcp")] = Json::array({{{"HostIp", "0.0.0.0"}, {"HostPort", fmt::format("{}", port.host)}}});
    for (const VolumeMount& volume : config.volumes)
        mounts.push_back({{"Type", volume.source.starts_with('/') ? "bind" : "volume"}, {"Source", volume.source}, {"Destination", volume.target}, {"RW", !volume.read_only}});
    std::string gateway;
    for (const BridgeNetwork& network : shell.engine.networks())
        if (network.name == container.network) gateway = ip_of(network.gateway), networks[network.name] = {{"NetworkID", network.id}, {"IPAddress", ip_of(container.address)}, {"IPPrefixLen", network.prefix}, {"Gateway", gateway}};
    Json json{{"Id", container.id}, {"Created", time_text(container.created)}, {"Path", arguments.empty() ? "" : arguments[0]},
              {"Args", std::vector<std::string>(arguments.begin() + (arguments.empty() ? 0 : 1), arguments.end())}};
    json["State"] = {{"Status", state_name(container.state)}, {"Running", container.runs()}, {"Paused", container.state == ContainerState::Paused}, {"Pid", container.pid},
                     {"ExitCode", container.exit_code}, {"StartedAt", time_text(container.started)}, {"FinishedAt", time_text(container.finished)}};
    json["Image"] = config.image_id, json["Name"] = "/" + container.name;
    json["HostConfig"] = {{"NetworkMode", config.network}, {"PortBindings", ports}, {"AutoRemove", config.remove}, {"CapAdd", config.cap_add}, {"CapDrop", config.cap_drop}, {"IpcMode", config.ipc},
                          {"PidMode", config.pid}, {"UTSMode", config.uts}, {"UsernsMode", config.userns}, {"Privileged", config.privileged}, {"ReadonlyRootfs", config.read_only},
                          {"Memory", config.memory}, {"NanoCpus", config.nano_cpus}, {"CpuShares", config.cpu_shares}, {"PidsLimit", config.pids_limit}};
    json["GraphDriver"] = {{"Name", "overlay2"}, {"Data", {{"UpperDir", container.folder() + "/diff"}, {"WorkDir", container.folder() + "/work"}, {"MergedDir", container.folder() + "/merged"}}}};
    json["Mounts"] = mounts;
    json["Config"] = {{"Hostname", container.spec.hostname}, {"User", config.user}, {"Tty", container.spec.terminal}, {"OpenStdin", config.interactive}, {"Env", container.spec.environment},
                      {"Cmd", config.command}, {"Image", config.image}, {"WorkingDir", container.spec.working_dir}, {"Labels", config.labels}};
    json["NetworkSettings"] = {{"IPAddress", ip_of(container.address)}, {"Gateway", gateway}, {"Ports", ports}, {"Networks", networks}};
    return json;
}

int inspect_all(ContainerShell& shell, const ViewOptions& options) {
    nlohmann::ordered_json all = nlohmann::ordered_json::array();
    int status = 0;
    ImageStore store(default_store_folder());
    for (const std::string& name : options.names) {
        if (auto found = find(shell, name)) {
            all.push_back(inspect(shell, **found));
        } else if (auto image = find_image(store, name)) {
            if (auto json = inspect_image(*image)) all.push_back(*json);
        } else {
            status = complain(fmt::format("{}: there is no such container or image", name), kFailed);
        }
    }
    fmt::print("{}\n", all.dump(4, ' ', false, nlohmann::json::error_handler_t::replace));
    return status;
}

/// The processes of a container: those that its first one has begun, and further ones by exec.
std::vector<const Process*> processes_of(const ContainerShell& shell, const Container& container) {
    std::set<u32> consoles{container.console};
    for (const Process& process : shell.kernel.processes)
        if (process.used)
            if (const ExecProcess* exec = shell.engine.exec_of(process.container); exec && exec->container == container.id) consoles.insert(process.container);
    std::vector<const Process*> own;
    for (const Process& process : shell.kernel.processes)
        if (process.used && !process.zombie && process.container && consoles.contains(process.container)) own.push_back(&process);
    return own;
}

std::string clock_text(u64 cycles) {
    const u64 seconds = cycles * Kernel::kNanosecondsPerCycle / kSecond;
    return fmt::format("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
}

int top(ContainerShell& shell, const ViewOptions& options) {
    auto found = find(shell, options.names.at(0));
    if (!found) return complain(found.error(), kFailed);
    if (!(*found)->runs()) return complain(fmt::format("{}: the container does not run", options.names[0]), kFailed);
    std::vector<std::vector<std::string>> rows{{"UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"}};
    for (const Process* process : processes_of(shell, **found)) {
        const Task& leader = shell.kernel.tasks[process->leader];
        const u64 started = Kernel::kEpochSeconds + process->started * Kernel::kNanosecondsPerCycle / kSecond;
        rows.push_back({leader.credentials.uid ? fmt::format("{}", leader.credentials.uid) : "root", fmt::format("{}", process->pid), fmt::format("{}", shell.kernel.processes[process->parent].pid), "0",
                        fmt::format("{:%H:%M}", fmt::gmtime(static_cast<std::time_t>(started))), process->tty ? "pts/0" : "?", clock_text(process->cycles), fmt::format("{}", fmt::join(process->arguments, " "))});
    }
    print_columns(rows);
    return 0;
}

std::string binary_size(u64 bytes) {
    constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB"};
    double value = static_cast<double>(bytes);
    std::size_t unit = 0;
    while (value >= 1024 && unit < 3) value /= 1024, ++unit;
    return unit && value < 100 ? fmt::format("{:.4g}{}", value, kUnits[unit]) : fmt::format("{:.0f}{}", value, kUnits[unit]);
}

int stats(ContainerShell& shell, const ViewOptions& options) {
    std::vector<std::vector<std::string>> rows{{"CONTAINER ID", "NAME", "CPU %", "MEM USAGE / LIMIT", "MEM %", "NET I/O", "PIDS"}};
    const u64 all_memory = shell.machine.ram.size();
    for (const Container& container : shell.engine.containers()) {
        const bool named = std::any_of(options.names.begin(), options.names.end(), [&](const std::string& name) { return name == container.name || container.id.starts_with(name); });
        if (options.names.empty() ? !container.runs() : !named) continue;
        u64 cycles = 0, pages = 0, received = 0, sent = 0, tasks = 0;
        for (const Process* process : processes_of(shell, container)) {
            cycles += process->cycles + process->children_cycles, tasks += process->threads.size();
            pages += shell.kernel.resident_pages(shell.machine, shell.kernel.memory_of(shell.kernel.tasks[process->leader]));
        }
        if (const u32 veth = shell.kernel.network.find_device(0, "veth" + container.id.substr(0, 7)); veth != kNone)
            received = shell.kernel.network.device(veth).sent.bytes, sent = shell.kernel.network.device(veth).received.bytes; // the other end's view
        const u64 span = std::max<u64>(1, (shell.now() - container.started) / Kernel::kNanosecondsPerCycle), limit = container.config.memory ? container.config.memory : all_memory, used = pages * kPageSize;
        rows.push_back({container.id.substr(0, 12), container.name, fmt::format("{:.2f}%", container.runs() ? 100.0 * static_cast<double>(cycles) / static_cast<double>(span) : 0.0),
                        fmt::format("{} / {}", binary_size(used), binary_size(limit)), fmt::format("{:.2f}%", 100.0 * static_cast<double>(used) / static_cast<double>(limit)),
                        fmt::format("{} / {}", human_size(received), human_size(sent)), fmt::format("{}", tasks)});
    }
    print_columns(rows);
    return 0;
}

int diff(ContainerShell& shell, const ViewOptions& options) {
    auto found = find(shell, options.names.at(0));
    if (!found) return complain(found.error(), kFailed);
    const Container& container = **found;
    auto change = shell.engine.changes(shell.machine, shell.kernel, container);
    FileTree below;
    for (const auto& layer : container.config.layers.layers)
        if (auto applied = apply_layer(below, *layer); !applied) return complain(applied.error(), kFailed);
    if (!change) return complain(change.error(), kFailed);
    for (const std::string& line : change_lines(below, *change)) fmt::print("{}\n", line);
    return 0;
}

int ports(ContainerShell& shell, const ViewOptions& options) {
    auto found = find(shell, options.names.at(0));
    if (!found) return complain(found.error(), kFailed);
    for (const PortMap& port : (*found)->config.ports) fmt::print("{}/{} -> 0.0.0.0:{}\n", port.inside, port.protocol == kIpUdp ? "udp" : "tcp", port.host);
    return 0;
}

} // namespace

void add_view_commands(CLI::App& app, ContainerShell& shell, int& status) {
    const auto add = [&](const char* name, const char* about, int (*show)(ContainerShell&, const ViewOptions&), bool named) {
        auto options = std::make_shared<ViewOptions>();
        auto* verb = app.add_subcommand(name, about);
        if (named) verb->add_option("CONTAINER", options->names, "names or ids")->required(show != stats);
        verb->callback([=, &shell, &status] { status = show(shell, *options); });
        return std::pair(verb, options);
    };
    auto [ps, ps_options] = add("ps", "list the containers that run", [](ContainerShell& s, const ViewOptions& o) { return list(s, o); }, false);
    ps->add_flag("-a,--all", ps_options->all, "also those that do not"), ps->add_flag("-q,--quiet", ps_options->quiet, "ids alone");
    ps->add_flag("--no-trunc", ps_options->no_trunc, "whole ids and commands"), ps->add_flag("-l,--latest", ps_options->latest, "the one that was made last");
    auto [log, log_options] = add("logs", "what a container has printed", logs, true);
    log->add_flag("-f,--follow", log_options->follow, "and goes on to print, until it ends"), log->add_option("-n,--tail", log_options->tail, "so many lines of the end")->capture_default_str();
    add("inspect", "all about containers and images, as JSON", inspect_all, true);
    add("top", "the processes of a container, with the host's numbers", top, true);
    auto [stat, stat_options] = add("stats", "what containers use", stats, true);
    stat->add_flag("--no-stream", stat_options->all, "once, as here always");
    add("diff", "the files that a container has added (A), changed (C) and removed (D)", diff, true);
    add("port", "the ports of a container that the host passes on", ports, true);
}

} // namespace trapeze::scenarios
