// The commands of `container shell` that show containers: ps, logs, top, stats, diff, port.
#include "container-sim/abi.hpp"
#include "scenarios/container_format.hpp"
#include "scenarios/container_shell.hpp"
#include "scenarios/container_views.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <iostream>

namespace trapeze::scenarios {

using namespace container;

namespace {

using Json = nlohmann::ordered_json;

constexpr u64 kSecond = 1'000'000'000;
constexpr std::size_t kShortId = 12;

struct ViewOptions {
    std::vector<std::string> names;
    std::vector<std::string> filters;
    bool all = false, quiet = false, no_trunc = false, latest = false, follow = false;
    std::size_t last = 0;
    std::string tail = "all", format;
};

std::string ago(const ContainerShell& shell, u64 when) { return duration_text(static_cast<i64>((shell.now() - when) / kSecond)); }

std::string status_text(const ContainerShell& shell, const Container& container) {
    switch (container.state) {
    case ContainerState::Created: return "Created";
    case ContainerState::Exited: return fmt::format("Exited ({}) {} ago", container.exit_code, ago(shell, container.finished));
    case ContainerState::Paused: return fmt::format("Up {} (Paused)", ago(shell, container.started));
    default: return "Up " + ago(shell, container.started);
    }
}

/// As Docker's CreatedAt: in the machine's time.
std::string created_text(u64 nanoseconds) { return fmt::format("{:%Y-%m-%d %H:%M:%S} +0000 UTC", fmt::gmtime(static_cast<std::time_t>(nanoseconds / kSecond))); }

std::string mounts_text(const Container& container) {
    std::string all;
    for (const VolumeMount& volume : container.config.volumes) all += (all.empty() ? "" : ",") + (volume.source.empty() ? volume.target : volume.source);
    return all;
}

std::string ports_text(const Container& container) {
    std::string all;
    for (const PortMap& port : container.config.ports)
        if (container.runs()) all += fmt::format("{}0.0.0.0:{}->{}/{}", all.empty() ? "" : ", ", port.host, port.inside, port.protocol == kIpUdp ? "udp" : "tcp");
    return all;
}

/// Program and arguments as Docker shows them: in quotes what has a blank, 20 characters unless all are wanted.
std::string command_text(const Container& container, bool whole) {
    constexpr std::size_t kMost = 20;
    std::string text, quoted;
    for (const std::string& argument : container.spec.arguments) {
        const bool blank = !text.empty() && argument.find(' ') != std::string::npos;
        text += fmt::format("{}{}{}{}", text.empty() ? "" : " ", blank ? "'" : "", argument, blank ? "'" : "");
    }
    if (!whole && text.size() > kMost) text = text.substr(0, kMost - 1) + "…";
    for (unsigned char c : text)
        if (c == '"' || c == '\\') quoted += {'\\', static_cast<char>(c)};
        else if (c == '\n' || c == '\t') quoted += c == '\n' ? "\\n" : "\\t";
        else if (c < ' ' || c == 0x7f) quoted += fmt::format("\\x{:02x}", c);
        else quoted += static_cast<char>(c);
    return "\"" + quoted + "\"";
}

std::string labels_text(const Container& container) {
    std::string all;
    for (const auto& [name, value] : container.config.labels) all += fmt::format("{}{}={}", all.empty() ? "" : ",", name, value);
    return all;
}

Json row_of(const ContainerShell& shell, const Container& container, bool whole) {
    return {{"ID", whole ? container.id : container.id.substr(0, kShortId)}, {"Image", container.config.image}, {"Command", command_text(container, whole)},
            {"RunningFor", ago(shell, container.created) + " ago"}, {"Status", status_text(shell, container)}, {"Ports", ports_text(container)}, {"Names", container.name},
            {"CreatedAt", created_text(container.created)}, {"State", state_name(container.state)}, {"Networks", container.config.network},
            {"Labels", labels_text(container)}, {"Mounts", mounts_text(container)}};
}

/// Docker's filters: name (a part of it), id (its beginning), status, ancestor (the image), label, exited (the status), network, volume. The same
/// key twice: one of both; other keys: all of them.
Result<bool> passes(const Container& container, const std::vector<std::string>& filters) {
    std::map<std::string, bool> by_key;
    for (const std::string& filter : filters) {
        const std::size_t equals = filter.find('=');
        const std::string key = filter.substr(0, equals), value = equals == std::string::npos ? "" : filter.substr(equals + 1);
        const RunConfig& config = container.config;
        const auto label = config.labels.find(value.substr(0, value.find('=')));
        const std::pair<const char*, bool> known[] = {{"name", container.name.find(value) != std::string::npos}, {"id", container.id.starts_with(value)},
            {"status", value == state_name(container.state)}, {"ancestor", value == config.image || value + ":latest" == config.image || value == config.image + ":latest"},
            {"label", label != config.labels.end() && (value.find('=') == std::string::npos || value == label->first + "=" + label->second)},
            {"exited", container.state == ContainerState::Exited && value == fmt::format("{}", container.exit_code)}, {"network", value == config.network},
            {"volume", std::any_of(config.volumes.begin(), config.volumes.end(), [&](const VolumeMount& one) { return one.source == value || one.target == value; })}};
        const auto row = std::find_if(std::begin(known), std::end(known), [&](const auto& one) { return key == one.first; });
        if (row == std::end(known) || equals == std::string::npos) return Error{fmt::format("--filter {}: give name=, id=, status=, ancestor=, label=, exited=, network= or volume=, and a value", filter)};
        by_key[key] = by_key[key] || row->second;
    }
    return std::all_of(by_key.begin(), by_key.end(), [](const auto& one) { return one.second; });
}

int list(ContainerShell& shell, const ViewOptions& options) {
    constexpr Column kColumns[] = {{"CONTAINER ID", "ID"}, {"IMAGE", "Image"}, {"COMMAND", "Command"}, {"CREATED", "RunningFor"}, {"STATUS", "Status"}, {"PORTS", "Ports"}, {"NAMES", "Names"}};
    std::vector<Json> rows;
    const auto& containers = shell.engine.containers();
    if (const auto known = passes(Container(), options.filters); !known) return complain(known.error(), kUsage);
    const std::size_t most = options.latest ? 1 : options.last;
    const bool any_state = options.all || most || std::any_of(options.filters.begin(), options.filters.end(), [](const std::string& one) { return one.starts_with("status=") || one.starts_with("exited="); });
    for (auto at = containers.rbegin(); at != containers.rend() && !(most && rows.size() == most); ++at) {
        if (passes(*at, options.filters).value() && (any_state || at->runs())) rows.push_back(row_of(shell, *at, options.no_trunc));
    }
    if (!options.quiet) return print_listing({std::begin(kColumns), std::end(kColumns)}, rows, options.format);
    for (const Json& row : rows) fmt::print("{}\n", row["ID"].get<std::string>());
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
    constexpr Column kColumns[] = {{"CONTAINER ID", "ID"}, {"NAME", "Name"}, {"CPU %", "CPUPerc"}, {"MEM USAGE / LIMIT", "MemUsage"}, {"MEM %", "MemPerc"}, {"NET I/O", "NetIO"}, {"BLOCK I/O", "BlockIO"}, {"PIDS", "PIDs"}};
    constexpr const char* kNoDisks = "0B / 0B"; // the machine that runs containers has none
    std::vector<Json> rows;
    const u64 all_memory = shell.machine.ram.size();
    for (const Container& container : shell.engine.containers()) {
        const bool named = std::any_of(options.names.begin(), options.names.end(), [&](const std::string& name) { return name == container.name || container.id.starts_with(name); });
        if (options.names.empty() ? !container.runs() : !named) continue;
        u64 cycles = 0, pages = 0, received = 0, sent = 0, tasks = 0;
        for (const Process* process : processes_of(shell, container)) {
            cycles += process->cycles + process->children_cycles, tasks += process->threads.size();
            const MemoryGroup& memory = shell.kernel.cgroups[process->cgroup].memory; // files that can be read in again do not count, as Docker has it
            pages = std::max(pages, process->cgroup ? memory.pages - memory.kinds[static_cast<std::size_t>(FrameKind::File)] : shell.kernel.memory_of(shell.kernel.tasks[process->leader]).resident);
        }
        if (const u32 veth = shell.kernel.network.find_device(0, "veth" + container.id.substr(0, 7)); veth != kNone)
            received = shell.kernel.network.device(veth).sent.bytes, sent = shell.kernel.network.device(veth).received.bytes; // the other end's view
        const u64 span = std::max<u64>(1, (shell.now() - container.started) / Kernel::kNanosecondsPerCycle), limit = container.config.memory ? container.config.memory : all_memory, used = pages * kPageSize;
        rows.push_back({{"ID", container.id.substr(0, kShortId)}, {"Name", container.name}, {"CPUPerc", fmt::format("{:.2f}%", container.runs() ? 100.0 * static_cast<double>(cycles) / static_cast<double>(span) : 0.0)},
                        {"MemUsage", fmt::format("{} / {}", binary_size(used), binary_size(limit))}, {"MemPerc", fmt::format("{:.2f}%", 100.0 * static_cast<double>(used) / static_cast<double>(limit))},
                        {"NetIO", fmt::format("{} / {}", human_size(received), human_size(sent))}, {"BlockIO", kNoDisks}, {"PIDs", fmt::format("{}", tasks)}});
    }
    return print_listing({std::begin(kColumns), std::end(kColumns)}, rows, options.format);
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
    constexpr const char* kFormat = "json, a template such as \"{{.ID}} {{.Names}}\", or table and a template";
    const auto add = [&](const char* name, const char* about, int (*show)(ContainerShell&, const ViewOptions&), bool named) {
        auto options = std::make_shared<ViewOptions>();
        auto* verb = app.add_subcommand(name, about);
        if (named) verb->add_option("CONTAINER", options->names, "names or ids")->required(show != stats);
        verb->callback([=, &shell, &status] { status = show(shell, *options); });
        return std::pair(verb, options);
    };
    auto [ps, ps_options] = add("ps", "list the containers that run", list, false);
    ps->add_flag("-a,--all", ps_options->all, "also those that do not"), ps->add_flag("-q,--quiet", ps_options->quiet, "ids alone");
    ps->add_flag("--no-trunc", ps_options->no_trunc, "whole ids and commands"), ps->add_flag("-l,--latest", ps_options->latest, "the one that was made last");
    ps->add_option("-n,--last", ps_options->last, "the so many that were made last"), ps->add_option("-f,--filter", ps_options->filters, "name=, id=, status=, ancestor=, label=, exited=, network=, volume=")->allow_extra_args(false);
    ps->add_option("--format", ps_options->format, kFormat);
    auto [log, log_options] = add("logs", "what a container has printed", logs, true);
    log->add_flag("-f,--follow", log_options->follow, "and goes on to print, until it ends"), log->add_option("-n,--tail", log_options->tail, "so many lines of the end")->capture_default_str();
    add("top", "the processes of a container, with the host's numbers", top, true);
    auto [stat, stat_options] = add("stats", "what containers use", stats, true);
    stat->add_flag("--no-stream", stat_options->all, "once, as here always"), stat->add_option("--format", stat_options->format, kFormat);
    add("diff", "the files that a container has added (A), changed (C) and removed (D)", diff, true);
    auto request = std::make_shared<ViewRequest>();
    auto* view = app.add_subcommand("view", "processes in their namespaces, mounts, overlays, cgroups, the network, or a packet's way");
    add_view_options(*view, *request);
    view->add_flag("--json", request->json, "as JSON");
    view->callback([=, &shell, &status] {
        auto text = container_view(shell.kernel, shell.machine.cycles(), *request);
        if (!text) status = complain(text.error(), kFailed);
        else fmt::print("{}", *text), status = 0;
    });
    add("port", "the ports of a container that the host passes on", ports, true);
}

} // namespace trapeze::scenarios
