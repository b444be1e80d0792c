#include "scenarios/container_options.hpp"

#include "scenarios/shipped_images.hpp"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <cstdlib>

namespace trapeze::scenarios {

using namespace container;

namespace {

constexpr u64 kMaxOptionFile = 1 << 20;

std::optional<u64> whole_number(const std::string& text) {
    u64 value = 0;
    const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
    return failed == std::errc{} && end == text.data() + text.size() && !text.empty() ? std::optional(value) : std::nullopt;
}

/// KEY=VALUE, or KEY alone for the value that the environment of this command has.
Result<void> add_variable(std::vector<std::string>& all, const std::string& text, const std::string& option) {
    const std::string name = text.substr(0, text.find('='));
    if (name.empty()) return Error{fmt::format("{} {}: give KEY=VALUE, or KEY to pass on its own value", option, text)};
    if (name.size() < text.size()) all.push_back(text);
    else if (const char* value = std::getenv(name.c_str())) all.push_back(name + "=" + value);
    return {};
}

Result<void> add_variable_file(std::vector<std::string>& all, const std::string& path) {
    auto file = read_host_file(path, kMaxOptionFile);
    if (!file) return Error{fmt::format("--env-file {}", file.error())};
    std::string line;
    unsigned number = 0;
    for (char c : std::string(text_of(*file)) + "\n") {
        if (c != '\n') {
            line += c;
            continue;
        }
        ++number;
        if (!line.empty() && line.back() == '\r') line.pop_back();
        if (!line.empty() && line[0] != '#')
            if (auto added = add_variable(all, line, fmt::format("{}:{}:", path, number)); !added) return added;
        line.clear();
    }
    return {};
}

/// no-new-privileges, seccomp=FILE, seccomp=unconfined.
Result<void> add_security(RunConfig& config, const std::string& text) {
    if (text == "no-new-privileges" || text == "no-new-privileges=true" || text == "no-new-privileges:true") return config.no_new_privileges = true, Result<void>{};
    if (text == "no-new-privileges=false" || text == "no-new-privileges:false") return {};
    if (text.starts_with("apparmor") || text.starts_with("label")) return {}; // this kernel has neither: nothing is confined by them
    if (!text.starts_with("seccomp=") && !text.starts_with("seccomp:")) return Error{fmt::format("--security-opt {}: give no-new-privileges, seccomp=FILE or seccomp=unconfined", text)};
    const std::string value = text.substr(8);
    if (value == "unconfined") return config.seccomp = value, Result<void>{};
    auto file = read_host_file(value, kMaxOptionFile);
    if (!file) return Error{fmt::format("--security-opt {}", file.error())};
    config.seccomp = std::string(text_of(*file)), config.seccomp_name = value;
    return {};
}

Result<void> add_ulimit(RunConfig& config, const std::string& text) {
    const std::size_t equals = text.find('=');
    const std::string name = text.substr(0, equals), value = equals == std::string::npos ? "" : text.substr(equals + 1);
    const std::size_t colon = value.find(':');
    const auto soft = whole_number(value.substr(0, colon)), hard = colon == std::string::npos ? soft : whole_number(value.substr(colon + 1));
    for (unsigned kind = 0; kind < std::size(kUlimitNames); ++kind)
        if (name == kUlimitNames[kind] && soft && hard && *soft <= *hard) return config.limits.push_back({kind, *soft, *hard}), Result<void>{};
    return Error{fmt::format("--ulimit {}: give NAME=SOFT or NAME=SOFT:HARD, as in nofile=256", text)};
}

Result<void> read_resources(const DockerOptions& options, RunConfig& config) {
    if (!options.memory.empty()) {
        auto bytes = parse_bytes(options.memory, "--memory");
        if (!bytes) return Error{bytes.error()};
        constexpr u64 kLeast = 6 << 20; // Docker's
        if (bytes.value() < kLeast) return Error{fmt::format("--memory {}: give at least 6m", options.memory)};
        config.memory = bytes.value();
    }
    if (!options.memory_swap.empty()) {
        auto bytes = parse_bytes(options.memory_swap, "--memory-swap");
        if (!bytes || !config.memory || bytes.value() != config.memory)
            return Error{fmt::format("--memory-swap {}: this machine has no swap space; give the same as --memory, or leave it out", options.memory_swap)};
        config.memory_swap = config.memory;
    }
    if (!options.cpus.empty()) {
        char* end = nullptr;
        const double cpus = std::strtod(options.cpus.c_str(), &end);
        if (*end || !(cpus >= 0.01) || cpus > 1024) return Error{fmt::format("--cpus {}: give a number such as 0.5", options.cpus)};
        config.nano_cpus = static_cast<u64>(std::llround(cpus * 1e9));
    }
    if (!options.pids_limit.empty()) {
        const auto most = whole_number(options.pids_limit);
        if (!most && options.pids_limit != "-1") return Error{fmt::format("--pids-limit {}: give a number, or -1 for no limit", options.pids_limit)};
        config.pids_limit = most ? static_cast<i64>(std::min<u64>(*most, 1 << 22)) : -1;
    }
    if (!options.cpu_shares.empty()) {
        const auto shares = whole_number(options.cpu_shares);
        if (!shares || *shares < 2 || *shares > 262144) return Error{fmt::format("--cpu-shares {}: give a number from 2 to 262144; 1024 is the usual share", options.cpu_shares)};
        config.cpu_shares = *shares;
    }
    return {};
}

Result<void> check_mode(const std::string& value, const char* option, bool may_share) {
    if (value.empty() || value == "host" || value == "private" || (may_share && value.starts_with("container:"))) return {};
    return Error{fmt::format("{} {}: give host{}", option, value, may_share ? " or container:NAME" : " or private")};
}

Result<RunConfig> common_config(const DockerOptions& options) {
    RunConfig config;
    config.name = options.name, config.hostname = options.hostname, config.user = options.user, config.working_dir = options.working_dir, config.network = options.network;
    config.pid = options.pid, config.ipc = options.ipc, config.uts = options.uts, config.cgroupns = options.cgroupns, config.userns = options.userns, config.tmpfs = options.tmpfs;
    config.cap_add = options.cap_add, config.cap_drop = options.cap_drop, config.stop_signal = options.stop_signal;
    config.detach = options.detach, config.interactive = options.interactive, config.terminal = options.terminal, config.remove = options.remove;
    config.read_only = options.read_only, config.privileged = options.privileged;
    for (const auto& [value, option, may_share] : {std::tuple(options.pid, "--pid", true), {options.ipc, "--ipc", true}, {options.uts, "--uts", true}, {options.cgroupns, "--cgroupns", false}, {options.userns, "--userns", false}})
        if (auto checked = check_mode(value, option, may_share); !checked) return Error{checked.error()};
    if (auto read = read_resources(options, config); !read) return Error{read.error()};
    for (const std::string& path : options.environment_files)
        if (auto added = add_variable_file(config.environment, path); !added) return Error{added.error()};
    for (const std::string& variable : options.environment)
        if (auto added = add_variable(config.environment, variable, "--env"); !added) return Error{added.error()};
    for (const std::string& text : options.security)
        if (auto added = add_security(config, text); !added) return Error{added.error()};
    for (const std::string& text : options.ulimits)
        if (auto added = add_ulimit(config, text); !added) return Error{added.error()};
    for (const std::string& text : options.publish) {
        auto port = parse_port(text);
        if (!port) return Error{port.error()};
        config.ports.push_back(port.value());
    }
    for (const std::string& text : options.volumes) {
        auto volume = parse_volume(text);
        if (!volume) return Error{volume.error()};
        config.volumes.push_back(volume.value());
    }
    for (const std::string& label : options.labels) config.labels[label.substr(0, label.find('='))] = label.find('=') == std::string::npos ? "" : label.substr(label.find('=') + 1);
    if (!options.stop_signal.empty())
        if (auto signal = parse_signal(options.stop_signal); !signal) return Error{"--stop-signal " + signal.error()};
    return config;
}

} // namespace

void DockerOptions::add_to(CLI::App& verb) {
    const char* group = "Docker's options";
    const auto text = [&](const char* names, std::string& to, const char* about) { verb.add_option(names, to, about)->group(group); };
    const auto list = [&](const char* names, std::vector<std::string>& to, const char* about) { verb.add_option(names, to, about)->group(group)->allow_extra_args(false); };
    const auto flag = [&](const char* names, bool& to, const char* about) { verb.add_flag(names, to, about)->group(group); };
    flag("-i,--interactive", interactive, "give it standard input");
    flag("-t,--tty", terminal, "give it a terminal: line editing, job control, Ctrl+C; Ctrl+A x leaves");
    flag("-d,--detach", detach, "do not wait for its end");
    flag("--rm", remove, "remove it when it has ended");
    text("--name", name, "its name");
    text("-h,--hostname", hostname, "its host name");
    list("-e,--env", environment, "a variable: KEY=VALUE, or KEY for the value that it has here");
    list("--env-file", environment_files, "a file with a variable in each line");
    text("-w,--workdir", working_dir, "the folder that it begins in");
    text("-u,--user", user, "USER or USER:GROUP, by names or numbers");
    text("--entrypoint", entrypoint, "program in place of the image's entry point");
    text("-m,--memory", memory, "memory that it may use, as in 64m");
    text("--memory-swap", memory_swap, "memory and swap together: only the same as --memory, for there is no swap");
    text("--cpus", cpus, "processor time that it may use, as in 0.5");
    text("--cpu-shares", cpu_shares, "its share of the processor beside others; 1024 is the usual one");
    text("--pids-limit", pids_limit, "processes and threads that it may have");
    text("--network,--net", network, "bridge, none, host, container:NAME or a network's name");
    list("-p,--publish", publish, "HOST_PORT:CONTAINER_PORT, with /udp behind for UDP");
    list("-v,--volume", volumes, "NAME:/path or /folder:/path, with :ro behind for reading only; the real host's folders are never written");
    list("--tmpfs", tmpfs, "a place to mount an empty file system in memory on");
    list("--cap-add", cap_add, "a capability that it has, or ALL");
    list("--cap-drop", cap_drop, "a capability that it has not, or ALL");
    list("--security-opt", security, "no-new-privileges, seccomp=FILE or seccomp=unconfined");
    list("--ulimit", ulimits, "a limit of each process, as in nofile=256");
    list("-l,--label", labels, "KEY=VALUE, for inspect");
    flag("--read-only", read_only, "its root cannot be written");
    flag("--privileged", privileged, "all capabilities, no filter, nothing hidden");
    text("--pid", pid, "host or container:NAME: whose processes it sees");
    text("--ipc", ipc, "host or container:NAME");
    text("--uts", uts, "host or container:NAME: whose host name it sees");
    text("--cgroupns", cgroupns, "host or private");
    text("--userns", userns, "private: a user namespace of its own");
    text("--stop-signal", stop_signal, "what stop sends first, TERM unless given");
    flag("--rootfs", rootfs, "IMAGE is a folder with a root file system");
    text("--bundle", bundle, "a folder with config.json (OCI runtime specification) and rootfs, in place of IMAGE and COMMAND");
}

bool DockerOptions::is_plain() const {
    DockerOptions plain;
    plain.hostname = hostname, plain.environment = environment, plain.terminal = terminal, plain.interactive = interactive;
    const auto texts = [](const DockerOptions& o) { return std::tie(o.name, o.memory, o.memory_swap, o.cpus, o.pids_limit, o.cpu_shares, o.network, o.user, o.working_dir, o.entrypoint, o.pid, o.ipc, o.uts, o.cgroupns, o.userns, o.bundle, o.stop_signal); };
    const auto lists = [](const DockerOptions& o) { return std::tie(o.publish, o.volumes, o.cap_add, o.cap_drop, o.security, o.environment_files, o.tmpfs, o.labels, o.ulimits, o.detach, o.remove, o.read_only, o.privileged, o.rootfs); };
    return texts(*this) == texts(plain) && lists(*this) == lists(plain);
}

Result<RunConfig> run_config(const DockerOptions& options, ImageStore& store, const std::vector<std::string>& words) {
    if (!options.bundle.empty()) return words.empty() ? bundle_config(options, options.bundle) : Result<RunConfig>(Error{fmt::format("{}: with --bundle, config.json names root and program; leave this out", words[0])});
    if (words.empty()) return Error{"name an image, or a root folder, and a program: container run [OPTIONS] IMAGE [PROGRAM [ARGUMENT...]]"};
    auto config = common_config(options);
    if (!config) return config;
    config->image = words[0], config->command.assign(words.begin() + 1, words.end());
    if (!options.entrypoint.empty()) config->entrypoint = std::vector{options.entrypoint};
    if (options.rootfs) {
        if (!is_host_folder(words[0])) return Error{fmt::format("--rootfs {}: there is no such folder; give one with a root file system", words[0])};
        return config->folder = words[0], config;
    }
    auto image = find_image(store, words[0]);
    if (!image) return Error{image.error(), 125};
    auto layers = layers_of(*image, {});
    if (!layers) return Error{layers.error(), 125};
    config->layers = std::move(*layers), config->defaults = image->config, config->image_id = image->id();
    return config;
}

Result<RunConfig> bundle_config(const DockerOptions& options, const std::string& folder) {
    const std::string path = folder + "/config.json";
    auto file = read_host_file(path, kMaxJsonBytes);
    if (!file) return Error{fmt::format("{}; make one with: trapeze container spec", file.error())};
    auto spec = parse_spec(text_of(*file), path);
    if (!spec) return Error{spec.error()};
    auto config = common_config(options);
    if (!config) return config;
    const std::string root = spec->root.starts_with('/') ? spec->root : folder + "/" + spec->root;
    if (!is_host_folder(root)) return Error{fmt::format("{}: root.path: {} is no folder; put a root file system there", path, root)};
    config->image = folder, config->folder = root, config->terminal = spec->terminal, config->interactive = true;
    config->bundle = std::make_shared<const RuntimeSpec>(std::move(*spec));
    return config;
}

Result<std::vector<std::string>> split_line(const std::string& line) {
    std::vector<std::string> words;
    std::string word;
    bool in_word = false;
    char quote = 0;
    for (std::size_t i = 0; i < line.size(); ++i) {
        const char c = line[i];
        if (quote) {
            if (c == quote) quote = 0;
            else if (c == '\\' && quote == '"' && i + 1 < line.size() && std::string_view("\"\\$`").find(line[i + 1]) != std::string_view::npos) word += line[++i];
            else word += c;
        } else if (c == '\'' || c == '"') {
            quote = c, in_word = true;
        } else if (c == '\\' && i + 1 < line.size()) {
            word += line[++i], in_word = true;
        } else if (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
            if (in_word) words.push_back(std::move(word)), word.clear(), in_word = false;
        } else if (c == '#' && !in_word) {
            break;
        } else {
            word += c, in_word = true;
        }
    }
    if (quote) return Error{fmt::format("a quote ({}) is open at the end of the line; close it", quote)};
    if (in_word) words.push_back(std::move(word));
    return words;
}

} // namespace trapeze::scenarios
