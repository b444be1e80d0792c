// The commands of `container shell` that do something to containers, networks and volumes.
#include "container-sim/abi.hpp"
#include "container-sim/engine/containerfile.hpp"
#include "container-sim/errno.hpp"
#include "emulator/replace_file.hpp"
#include "scenarios/container_format.hpp"
#include "scenarios/container_options.hpp"
#include "scenarios/container_shell.hpp"
#include "scenarios/shipped_images.hpp"

#include <fmt/format.h>

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <iostream>

namespace trapeze::scenarios {

using namespace container;

namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kShortId = 12;

struct CommandOptions {
    DockerOptions docker;
    std::vector<std::string> names;
    std::string text, message, author, signal = "KILL";
    double seconds = 10;
    bool force = false, volumes = false, all = false, attach = false, interactive = false;
};
using Options = std::shared_ptr<CommandOptions>;

template <class T> int report(const Result<T>& result) { return result ? 0 : complain(result.error(), result.status() ? result.status() : kFailed); }

CLI::App* command(CLI::App& app, const char* name, const char* about, int& status, std::function<int()> run) {
    auto* verb = app.add_subcommand(name, about);
    verb->callback([run = std::move(run), &status] { status = run(); });
    return verb;
}

/// `act` for each name, which is printed when it went well.
template <class Act> int for_each_name(const std::vector<std::string>& names, Act act) {
    int status = 0;
    for (const std::string& name : names) {
        const Result<void> done = act(name);
        if (!done) status = report(done);
        else fmt::print("{}\n", name);
    }
    return status;
}

void set_window(u16& rows, u16& columns) {
    winsize size{};
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row && size.ws_col) rows = size.ws_row, columns = size.ws_col;
}

int run_container(ContainerShell& shell, const DockerOptions& options, const std::vector<std::string>& words, bool starts) {
    ImageStore store(default_store_folder());
    auto config = run_config(options, store, words);
    if (!config) return report(config);
    set_window(config->rows, config->columns);
    auto id = starts ? shell.engine.run(shell.machine, shell.kernel, *config) : shell.engine.create(shell.machine, shell.kernel, *config);
    if (!id) return report(id);
    if (!starts || config->detach) return fmt::print("{}\n", *id), 0;
    auto made = shell.engine.find(*id);
    if (!made) return report(made);
    return shell.follow((*made)->console, config->interactive, (*made)->spec.terminal);
}

Result<void> stop(ContainerShell& shell, const std::string& name, double seconds) {
    auto found = shell.engine.find(name);
    if (!found) return Error{found.error(), found.status()};
    if (!(*found)->runs()) return {};
    const std::string id = (*found)->id, wanted = !(*found)->config.stop_signal.empty() ? (*found)->config.stop_signal : (*found)->config.defaults.stop_signal;
    const auto signal = parse_signal(wanted.empty() ? "TERM" : wanted);
    if (!signal) return Error{signal.error()};
    if ((*found)->state == ContainerState::Paused)
        if (auto thawed = shell.engine.pause(shell.machine, shell.kernel, id, false); !thawed) return thawed;
    if (auto sent = shell.engine.kill(shell.machine, shell.kernel, id, signal.value()); !sent) return sent;
    const auto ended = [&] {
        auto now = shell.engine.find(id);
        return !now || !(*now)->runs();
    };
    if (shell.wait_for(seconds, ended)) return {};
    if (auto sent = shell.engine.kill(shell.machine, shell.kernel, id, kSigKill); !sent) return sent;
    return shell.wait_for(1, ended) ? Result<void>() : Result<void>(Error{fmt::format("{}: it does not end, even by SIGKILL; look at it with top", name)});
}

Result<void> start(ContainerShell& shell, const std::string& name) { return shell.engine.start_container(shell.machine, shell.kernel, name); }

int attach(ContainerShell& shell, const std::string& name) {
    auto found = shell.engine.find(name);
    if (!found) return report(found);
    if (!(*found)->runs()) return complain(fmt::format("{}: the container does not run", name), kFailed);
    return shell.follow((*found)->console, (*found)->config.interactive || (*found)->spec.terminal, (*found)->spec.terminal);
}

int wait_for_end(ContainerShell& shell, const std::vector<std::string>& names) {
    for (const std::string& name : names) {
        auto found = shell.engine.find(name);
        if (!found) return report(found);
        const std::string id = (*found)->id;
        int code = (*found)->exit_code;
        bool idle = false;
        constexpr double kPatience = 365.0 * 86400;
        shell.wait_for(kPatience, [&] {
            auto now = shell.engine.find(id);
            if (now) code = (*now)->exit_code, idle = !(*now)->runs();
            return !now || idle;
        });
        if (!idle && shell.engine.find(id)) return complain(fmt::format("{}: it waits for what will not come", name), kFailed);
        fmt::print("{}\n", code);
    }
    return 0;
}

int exec(ContainerShell& shell, const CommandOptions& options, const std::vector<std::string>& words) {
    if (words.size() < 2) return complain("exec needs a container and a program: exec [OPTIONS] CONTAINER PROGRAM [ARGUMENT...]", kUsage);
    ExecConfig config;
    config.command.assign(words.begin() + 1, words.end()), config.environment = options.docker.environment, config.user = options.docker.user, config.working_dir = options.docker.working_dir;
    config.terminal = options.docker.terminal, config.interactive = options.docker.interactive, config.detach = options.docker.detach, config.privileged = options.docker.privileged;
    set_window(config.rows, config.columns);
    auto process = shell.engine.exec(shell.machine, shell.kernel, words[0], config);
    if (!process) return report(process);
    return config.detach ? 0 : shell.follow(process->console, config.interactive, config.terminal);
}

int commit(ContainerShell& shell, const CommandOptions& options) {
    auto found = shell.engine.find(options.names.at(0));
    if (!found) return report(found);
    const Container& container = **found;
    ImageStore store(default_store_folder());
    auto change = container.config.folder.empty() ? shell.engine.changes(shell.machine, shell.kernel, container) : Result<Layer>(Layer());
    if (!container.config.folder.empty()) { // of a folder, all becomes one layer
        auto tree = shell.engine.tree(shell.machine, shell.kernel, container);
        if (!tree) return report(tree);
        change = layer_of(*tree);
    }
    auto archive = change ? write_layer(*change) : Result<Bytes>(Error{change.error()});
    if (!archive) return report(archive);
    ImageConfig config = container.config.defaults;
    std::vector<ImageLayer> layers;
    if (container.config.folder.empty()) {
        auto base = find_image(store, container.config.image_id);
        if (!base) return report(base);
        layers = base->layers;
    }
    layers.push_back(plain_layer(*archive));
    if (!container.config.command.empty()) config.cmd = container.config.command;
    if (container.config.entrypoint) config.entrypoint = *container.config.entrypoint;
    for (const std::string& variable : container.config.environment) set_variable(config.env, variable.substr(0, variable.find('=')), variable.substr(variable.find('=') + 1));
    if (!container.config.working_dir.empty()) config.working_dir = container.config.working_dir;
    if (!container.config.user.empty()) config.user = container.config.user;
    config.created = time_now(), config.author = options.author;
    config.history.push_back({config.created, fmt::format("{}", fmt::join(container.spec.arguments, " ")), options.message, false});
    auto image = make_image(std::move(config), std::move(layers));
    if (!image) return report(image);
    if (options.names.size() > 1) {
        auto name = image_name(options.names[1]);
        if (!name) return report(name);
        image->names = {*name};
    }
    if (auto added = store.add({*image}); !added) return report(added);
    fmt::print("{}\n", image->id());
    return 0;
}

/// CONTAINER:/path, or a path of the host.
std::pair<std::string, std::string> place_of(const std::string& text) {
    const std::size_t colon = text.find(':');
    return colon == std::string::npos || text[0] == '/' || text[0] == '.' ? std::pair(std::string(), text) : std::pair(text.substr(0, colon), text.substr(colon + 1));
}

int copy_out_of(ContainerShell& shell, const std::string& name, const std::string& path, std::string to) {
    auto found = shell.engine.find(name);
    if (!found) return report(found);
    auto tree = shell.engine.tree(shell.machine, shell.kernel, **found);
    const auto clean = clean_path("." + (path.starts_with('/') ? path : "/" + path));
    if (!tree || !clean) return complain(!tree ? tree.error() : fmt::format("{}: {}", path, clean.error()), kFailed);
    const FileNode* node = tree->find(clean.value());
    if (!node) return complain(fmt::format("{}:{}: there is no such file", name, path), kFailed);
    if (node->type != EntryType::File) return complain(fmt::format("{}:{}: this is no plain file; only those are copied out", name, path), kFailed);
    const Bytes content = node->content ? node->content : make_bytes("");
    if (to == "-") return std::cout.write(reinterpret_cast<const char*>(content->data()), static_cast<std::streamsize>(content->size())), 0;
    if (is_host_folder(to)) to += "/" + base_name(clean.value());
    return report(replace_file(to, *content));
}

/// Through the container's own root while it runs, else into what it has written.
int copy_into(ContainerShell& shell, const std::string& from, const std::string& name, std::string path) {
    constexpr u64 kMostFile = 64 << 20, kPiece = 256 << 10;
    auto found = shell.engine.find(name);
    if (!found) return report(found);
    auto file = read_host_file(from, kMostFile);
    if (!file) return report(file);
    if (path.ends_with('/')) path += base_name(from);
    const Container& container = **found;
    const std::string place = container.runs() ? fmt::format("/proc/{}/root{}", container.pid, path) : container.folder() + "/diff" + path;
    Runtime runtime(shell.machine, shell.kernel, shell.engine.runtime());
    Step open = engine_call("openat", {here(), text(place), number(planning::kOpenWrite | planning::kOpenCreate | planning::kOpenTruncate | planning::kOpenClose, "O_WRONLY|O_CREAT|O_TRUNC|O_CLOEXEC"), octal(0755)}, "");
    open.keep = "file";
    i64 result = runtime.call(open);
    for (u64 at = 0; result >= 0 && at < (*file)->size(); at += kPiece) {
        const auto begin = (*file)->begin() + static_cast<std::ptrdiff_t>(at);
        std::vector<u8> piece(begin, begin + static_cast<std::ptrdiff_t>(std::min<u64>(kPiece, (*file)->size() - at)));
        const u64 size = piece.size();
        result = runtime.call(engine_call("write", {kept("file"), bytes(std::move(piece), "..."), number(size)}, ""));
    }
    if (runtime.kept().contains("file")) (void)runtime.call(engine_call("close", {kept("file")}, ""));
    if (result >= 0) return 0;
    const char* error = errno_name(-result);
    return complain(fmt::format("{}:{}: it cannot be written ({}); its folder must be there, and its root writable", name, path, error ? error : "error"), kFailed);
}

int copy(ContainerShell& shell, const std::vector<std::string>& names) {
    const auto [from, from_path] = place_of(names.at(0));
    const auto [to, to_path] = place_of(names.at(1));
    if (from.empty() == to.empty()) return complain("cp copies between a container and the host: cp CONTAINER:/path HOST_PATH, or the other way round", kUsage);
    return to.empty() ? copy_out_of(shell, from, from_path, to_path) : copy_into(shell, from_path, to, to_path);
}

/// The engine's process is killed, or begun again: containers go on meanwhile.
int engine_process(ContainerShell& shell, const std::string& what) {
    const bool alive = shell.engine.is_alive(shell.machine, shell.kernel);
    if (what == "status") return fmt::print("{}\n", alive ? fmt::format("running, pid {}", shell.engine.runtime().pid) : "not running"), 0;
    if (what == "kill") {
        if (!alive) return complain("the engine is not running; begin it again with: engine start", kFailed);
        shell.engine.crash(shell.machine, shell.kernel);
        return fmt::print("the engine is gone; its containers go on\n"), 0;
    }
    if (alive) return complain("the engine runs already", kFailed);
    return report(shell.engine.restart(shell.machine, shell.kernel));
}

/// `ls` of a kind of thing: the first member in quiet.
void add_list_command(CLI::App& group, const char* about, int& status, const std::vector<Column>& columns, std::function<std::vector<Json>()> rows) {
    auto options = std::make_shared<CommandOptions>();
    auto* verb = command(group, "ls", about, status, [=] {
        const std::vector<Json> all = rows();
        const char* id = columns[0].member == std::string_view("ID") ? "ID" : "Name";
        if (!options->all) return print_listing(columns, all, options->text);
        for (const Json& row : all) fmt::print("{}\n", row[id].get<std::string>());
        return 0;
    });
    verb->add_flag("-q,--quiet", options->all, "ids or names alone"), verb->add_option("--format", options->text, "json, or a template such as {{.Name}}");
}

void add_network_commands(CLI::App& app, ContainerShell& shell, int& status) {
    auto* network = app.add_subcommand("network", "networks: create, rm, ls, inspect");
    network->require_subcommand(1);
    auto options = std::make_shared<CommandOptions>();
    command(*network, "create", "make a network: a bridge with addresses of its own", status, [=, &shell] {
        auto id = shell.engine.create_network(shell.machine, shell.kernel, options->names.at(0));
        if (id) fmt::print("{}\n", *id);
        return report(id);
    })->add_option("NAME", options->names, "its name")->required()->expected(1);
    options = std::make_shared<CommandOptions>();
    command(*network, "rm", "remove networks", status, [=, &shell] {
        return for_each_name(options->names, [&](const std::string& name) { return shell.engine.remove_network(shell.machine, shell.kernel, name); });
    })->add_option("NETWORK", options->names, "names")->required();
    add_list_command(*network, "list the networks", status, {{"NETWORK ID", "ID"}, {"NAME", "Name"}, {"DRIVER", "Driver"}, {"SCOPE", "Scope"}}, [&shell] {
        std::vector<Json> rows;
        for (const BridgeNetwork& one : shell.engine.networks()) rows.push_back({{"ID", one.id.substr(0, kShortId)}, {"Name", one.name}, {"Driver", "bridge"}, {"Scope", "local"}});
        for (const auto& [name, driver] : {std::pair("host", "host"), std::pair("none", "null")})
            rows.push_back({{"ID", hex_of(digest_of(fmt::format("network {}", name))).substr(0, kShortId)}, {"Name", name}, {"Driver", driver}, {"Scope", "local"}});
        std::sort(rows.begin(), rows.end(), [](const Json& a, const Json& b) { return a["Name"].get_ref<const std::string&>() < b["Name"].get_ref<const std::string&>(); });
        return rows;
    });
    add_inspect_command(*network, shell, status, "network");
    auto* volume = app.add_subcommand("volume", "volumes: create, rm, ls, inspect");
    volume->require_subcommand(1);
    options = std::make_shared<CommandOptions>();
    command(*volume, "create", "make a volume", status, [=, &shell] {
        return for_each_name(options->names, [&](const std::string& name) { return shell.engine.create_volume(shell.machine, shell.kernel, name); });
    })->add_option("NAME", options->names, "its name")->required()->expected(1);
    options = std::make_shared<CommandOptions>();
    command(*volume, "rm", "remove volumes with all that is in them", status, [=, &shell] {
        return for_each_name(options->names, [&](const std::string& name) { return shell.engine.remove_volume(shell.machine, shell.kernel, name); });
    })->add_option("VOLUME", options->names, "names")->required();
    add_list_command(*volume, "list the volumes", status, {{"DRIVER", "Driver"}, {"VOLUME NAME", "Name"}}, [&shell] {
        std::vector<Json> rows;
        for (const std::string& name : shell.engine.volumes()) rows.push_back({{"Driver", "local"}, {"Name", name}, {"Scope", "local"}, {"Mountpoint", fmt::format("/var/lib/trapeze/volumes/{}/_data", name)}});
        std::sort(rows.begin(), rows.end(), [](const Json& a, const Json& b) { return a["Name"].get_ref<const std::string&>() < b["Name"].get_ref<const std::string&>(); });
        return rows;
    });
    add_inspect_command(*volume, shell, status, "volume");
}

void add_life_commands(CLI::App& app, ContainerShell& shell, int& status) {
    const auto with_names = [&](const char* name, const char* about, std::function<int(const CommandOptions&)> run) {
        auto options = std::make_shared<CommandOptions>();
        auto* verb = command(app, name, about, status, [options, run = std::move(run)] { return run(*options); });
        verb->add_option("CONTAINER", options->names, "names or ids")->required();
        return std::pair(verb, options);
    };
    auto [start_verb, start_options] = with_names("start", "start containers that were created or have ended", [&shell](const CommandOptions& o) {
        const int status = for_each_name(o.names, [&](const std::string& name) { return start(shell, name); });
        return status || !o.attach ? status : attach(shell, o.names[0]);
    });
    start_verb->add_flag("-a,--attach", start_options->attach, "show what it prints, and wait for its end");
    auto [stop_verb, stop_options] = with_names("stop", "ask containers to end (SIGTERM), and end them after a while (SIGKILL)", [&shell](const CommandOptions& o) {
        return for_each_name(o.names, [&](const std::string& name) { return stop(shell, name, o.seconds); });
    });
    stop_verb->add_option("-t,--time", stop_options->seconds, "seconds to wait")->check(CLI::Range(0.0, 1e6))->capture_default_str();
    auto [restart_verb, restart_options] = with_names("restart", "stop and start again", [&shell](const CommandOptions& o) {
        return for_each_name(o.names, [&](const std::string& name) {
            auto stopped = stop(shell, name, o.seconds);
            return stopped ? start(shell, name) : stopped;
        });
    });
    restart_verb->add_option("-t,--time", restart_options->seconds, "seconds to wait")->check(CLI::Range(0.0, 1e6))->capture_default_str();
    auto [kill_verb, kill_options] = with_names("kill", "send a signal to containers' first programs", [&shell](const CommandOptions& o) {
        auto signal = parse_signal(o.signal);
        if (!signal) return report(signal);
        return for_each_name(o.names, [&](const std::string& name) { return shell.engine.kill(shell.machine, shell.kernel, name, signal.value()); });
    });
    kill_verb->add_option("-s,--signal", kill_options->signal, "its name or number")->capture_default_str();
    with_names("pause", "freeze all processes of containers", [&shell](const CommandOptions& o) {
        return for_each_name(o.names, [&](const std::string& name) { return shell.engine.pause(shell.machine, shell.kernel, name, true); });
    });
    with_names("unpause", "let them go on", [&shell](const CommandOptions& o) {
        return for_each_name(o.names, [&](const std::string& name) { return shell.engine.pause(shell.machine, shell.kernel, name, false); });
    });
    auto [rm_verb, rm_options] = with_names("rm", "remove containers", [&shell](const CommandOptions& o) {
        return for_each_name(o.names, [&](const std::string& name) { return shell.engine.remove(shell.machine, shell.kernel, name, o.force, o.volumes); });
    });
    rm_verb->add_flag("-f,--force", rm_options->force, "also those that run"), rm_verb->add_flag("-v,--volumes", rm_options->volumes, "with their volumes that have no name");
    with_names("wait", "wait for containers' ends, and print their statuses", [&shell](const CommandOptions& o) { return wait_for_end(shell, o.names); });
    with_names("attach", "show what a container prints, and wait for its end", [&shell](const CommandOptions& o) { return attach(shell, o.names[0]); });
    with_names("rename", "CONTAINER NEW_NAME", [&shell](const CommandOptions& o) {
        return o.names.size() == 2 ? report(shell.engine.rename(o.names[0], o.names[1])) : complain("rename needs a container and its new name", kUsage);
    });
    auto [commit_verb, commit_options] = with_names("commit", "CONTAINER [NAME[:TAG]]: make an image of what a container has become", [&shell](const CommandOptions& o) { return commit(shell, o); });
    commit_verb->add_option("-m,--message", commit_options->message, "for the history"), commit_verb->add_option("-a,--author", commit_options->author, "for the image");
    auto copy_options = std::make_shared<CommandOptions>();
    command(app, "cp", "copy a file between a container and the host", status, [copy_options, &shell] { return copy(shell, copy_options->names); })
        ->add_option("PATHS", copy_options->names, "CONTAINER:/path HOST_PATH, or HOST_PATH CONTAINER:/path")->required()->expected(2);
}

} // namespace

void add_container_commands(CLI::App& app, ContainerShell& shell, int& status) {
    for (const bool starts : {true, false}) {
        auto options = std::make_shared<CommandOptions>();
        auto* verb = app.add_subcommand(starts ? "run" : "create", starts ? "make a container of an image and start it" : "make a container of an image, to be started later");
        verb->set_help_flag("--help", "Print this help message and exit");
        options->docker.add_to(*verb);
        verb->prefix_command();
        verb->callback([=, &shell, &status] { status = run_container(shell, options->docker, verb->remaining(), starts); });
    }
    auto options = std::make_shared<CommandOptions>();
    auto* verb = app.add_subcommand("exec", "run a further program in a container");
    verb->add_flag("-i,--interactive", options->docker.interactive, "give it standard input"), verb->add_flag("-t,--tty", options->docker.terminal, "give it a terminal");
    verb->add_flag("-d,--detach", options->docker.detach, "do not wait for its end"), verb->add_flag("--privileged", options->docker.privileged, "all capabilities");
    verb->add_option("-e,--env", options->docker.environment, "a variable: KEY=VALUE")->allow_extra_args(false);
    verb->add_option("-u,--user", options->docker.user, "USER or USER:GROUP"), verb->add_option("-w,--workdir", options->docker.working_dir, "the folder that it begins in");
    verb->prefix_command();
    verb->callback([=, &shell, &status] { status = exec(shell, *options, verb->remaining()); });
    add_life_commands(app, shell, status);
    add_network_commands(app, shell, status);
    auto engine_options = std::make_shared<CommandOptions>();
    command(app, "engine", "kill, start, status: the engine's own process; containers live without it", status, [=, &shell] { return engine_process(shell, engine_options->text); })
        ->add_option("WHAT", engine_options->text, "kill, start or status")->required()->check(CLI::IsMember({"kill", "start", "status"}));
    auto sleep_options = std::make_shared<CommandOptions>();
    command(app, "sleep", "let time pass", status, [=, &shell] { return shell.wait_for(sleep_options->seconds, [] { return false; }), 0; })
        ->add_option("SECONDS", sleep_options->seconds, "so many seconds")->required()->check(CLI::Range(0.0, 1e6));
}

} // namespace trapeze::scenarios
