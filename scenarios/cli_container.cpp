// trapeze container: runs Linux programs in containers on the simulated kernel, and shows them from outside.
#include "scenarios/cli_container.hpp"
#include "emulator/replace_file.hpp"
#include "scenarios/container_options.hpp"
#include "scenarios/container_views.hpp"
#include "scenarios/container_shell.hpp"
#include "scenarios/shipped_images.hpp"
#include "scenarios/terminal.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iostream>
#include <iterator>

namespace trapeze::scenarios {

namespace {

using container::ContainerSpec;
using container::NamespaceKind;

struct RunOptions {
    std::vector<std::string> words;
    std::string memory = "128M";
    u64 max_instructions = 5'000'000'000;
    std::string store = container::default_store_folder(), recording;
    DockerOptions docker;
    bool json = false, trace = false, ps = false, debug = false, limited = false, explain = false;
    ViewRequest view{.what = {}};
    DebuggerOptions window;
    DebuggerEntry debugger = nullptr;
};

/// One container of the command line: straight from a folder, or (`run`) by the engine.
struct Wanted {
    ContainerSpec spec;
    std::shared_ptr<const container::RunConfig> run;
};
Result<Wanted> make_spec(const DockerOptions& docker, const std::vector<std::string>& words, const std::string& folder) {
    constexpr const char* kHow = "container run [OPTIONS] IMAGE [PROGRAM [ARGUMENT...]], or a root folder and a program in place of these";
    Wanted wanted;
    ContainerSpec& spec = wanted.spec;
    if (words.empty() && docker.bundle.empty()) return Error{fmt::format("name an image, or a root folder: {}", kHow)};
    const bool plain = docker.is_plain() && !words.empty() && container::is_host_folder(words[0]);
    if (plain && words.size() == 1) return Error{fmt::format("a container needs a root folder and a program: {}", kHow)};
    container::ImageStore store(folder);
    auto config = plain ? container::RunConfig() : Result<container::RunConfig>(run_config(docker, store, words));
    if (!config) return Error{config.error(), config.status() ? config.status() : kUsage};
    if (!docker.hostname.empty()) spec.hostname = docker.hostname;
    spec.terminal = plain ? docker.terminal : config->terminal;
    if (plain) {
        spec.rootfs = words[0], spec.arguments.assign(words.begin() + 1, words.end());
        for (const std::string& variable : docker.environment) {
            const std::size_t equals = variable.find('=');
            if (equals == 0 || equals == std::string::npos) return Error{fmt::format("--env {}: give it as KEY=VALUE", variable)};
            std::erase_if(spec.environment, [&](const std::string& old) { return old.starts_with(variable.substr(0, equals + 1)); });
            spec.environment.push_back(variable);
        }
        return wanted;
    }
    if (config->detach) return Error{"-d: this machine ends with the command, and the container with it; leave it out, or run several containers in: trapeze container shell"};
    spec.rootfs = config->image, spec.arguments = config->command;
    if (docker.hostname.empty()) spec.hostname = docker.name.empty() ? config->image : docker.name;
    wanted.run = std::make_shared<const container::RunConfig>(std::move(*config));
    return wanted;
}

/// "IMAGE PROGRAM ARGUMENTS --and [OPTIONS] IMAGE ...": the first one's options have been read already.
Result<std::vector<Wanted>> parse_wanted(const RunOptions& options) {
    std::vector<Wanted> specs;
    DockerOptions docker = options.docker;
    for (auto at = options.words.begin();;) {
        const auto end = std::find(at, options.words.end(), "--and");
        std::vector<std::string> words(at, end);
        if (!specs.empty()) {
            docker = {};
            CLI::App parser;
            parser.set_help_flag();
            docker.add_to(parser);
            parser.prefix_command();
            std::reverse(words.begin(), words.end());
            try {
                parser.parse(words);
            } catch (const CLI::ParseError& failed) { // the library has no other way to tell
                return Error{fmt::format("behind --and: {}", failed.what())};
            }
            words = parser.remaining();
        }
        auto spec = make_spec(docker, words, options.store);
        if (!spec) return Error{spec.error(), spec.status()};
        specs.push_back(std::move(*spec));
        if (end == options.words.end()) return specs;
        at = end + 1;
    }
}

void print_processes(const container::Kernel& kernel) {
    fmt::print("{:>5} {:>5} {:<10} {:<9} {:<12} {:>6}  {:<12} {:<12} {:<12} {}\n", "PID", "PPID", "NAME", "STATE", "HOSTNAME", "INSIDE", "pid ns", "uts ns", "mnt ns", "ROOT");
    for (const container::ProcessView& view : kernel.processes_seen())
        fmt::print("{:>5} {:>5} {:<10} {:<9} {:<12} {:>6}  {:<12} {:<12} {:<12} {}\n", view.pid, view.parent, view.name, view.state, view.hostname, view.pids.back(),
                   kernel.namespace_inode(NamespaceKind::Pid, view.namespaces.pid), kernel.namespace_inode(NamespaceKind::Uts, view.namespaces.uts),
                   kernel.namespace_inode(NamespaceKind::Mnt, view.namespaces.mnt), view.root);
}

nlohmann::ordered_json processes_json(const container::Kernel& kernel) {
    nlohmann::ordered_json list = nlohmann::ordered_json::array();
    for (const container::ProcessView& view : kernel.processes_seen())
        list.push_back({{"pid", view.pid}, {"ppid", view.parent}, {"name", view.name}, {"state", view.state}, {"hostname", view.hostname}, {"pids", view.pids},
                        {"container", view.container}, {"root", view.root},
                        {"namespaces", {{"pid", kernel.namespace_inode(NamespaceKind::Pid, view.namespaces.pid)}, {"uts", kernel.namespace_inode(NamespaceKind::Uts, view.namespaces.uts)},
                                        {"mnt", kernel.namespace_inode(NamespaceKind::Mnt, view.namespaces.mnt)}}}});
    return list;
}

void print_trace(const Session& session, u64& printed) {
    const Trace& events = session.trace();
    for (printed = std::max(printed, events.first()); printed < events.total(); ++printed) {
        const Event& event = events.at(printed);
        fmt::print(stderr, "{:>12} container {}: {}\n", event.time, unsigned{event.tag}, event_text(events, event));
    }
}

/// Runs to the end, feeding what comes on standard input to the first container.
bool run_all(Session& session, const RunOptions& options) {
    u64 printed = 0, shown = 0;
    bool at_end = false;
    while (session.position() < options.max_instructions) {
        const RunEnd why = session.run(std::min<u64>(options.trace ? 5'000 : 500'000, options.max_instructions - session.position()));
        if (options.trace) print_trace(session, printed);
        if (session.config().containers.size() == 1 && !options.json) {
            const std::string& console = session.console();
            std::cout << console.substr(console.size() - std::min<u64>(console.size(), session.printed() - shown)) << std::flush;
            shown = session.printed();
        }
        if (why == RunEnd::Halted) return true;
        if (why != RunEnd::Idle) continue;
        if (at_end) return true;
        if (const auto& runs = session.config().runs; !runs.empty() && runs[0] && !runs[0]->interactive) {
            fmt::print(stderr, "trapeze: all processes wait for what will not come (-i gives a container standard input)\n");
            return true;
        }
        std::string line;
        if (std::getline(std::cin, line)) session.type_to(1, line + "\n");
        else session.close_input(), at_end = true;
    }
    return false;
}

/// The first container's terminal is this one, key by key, until its program ends.
bool run_on_terminal(Session& session, const RunOptions& options) {
    constexpr u64 kSlice = 500'000;
    RawTerminal terminal;
    Keyboard keyboard;
    u64 printed = 0, shown = 0;
    if (terminal.active()) fmt::print(stderr, "trapeze: Ctrl+A x leaves\r\n");
    while (!options.limited || session.position() < options.max_instructions) {
        const RunEnd why = session.run(kSlice);
        if (options.trace) print_trace(session, printed);
        const std::string& console = session.console();
        std::cout << console.substr(console.size() - std::min<u64>(console.size(), session.printed() - shown)) << std::flush;
        shown = session.printed();
        if (why == RunEnd::Halted) return true;
        const std::string keys = keyboard.read(why == RunEnd::Idle ? -1 : 0);
        if (!keys.empty()) session.type_to(1, keys);
        if (keyboard.leave() || RawTerminal::signal()) return true;
        if (why == RunEnd::Idle && keyboard.at_end() && keys.empty()) return true;
    }
    return false;
}

int finish(Session& session, const RunOptions& options, bool ended) {
    const auto& specs = session.config().containers;
    const container::Kernel& kernel = *session.kernel();
    int status = ended ? 0 : kLimit;
    nlohmann::ordered_json list = nlohmann::ordered_json::array();
    for (u32 i = 1; i <= specs.size(); ++i) {
        const auto own = session.container_status(i);
        if (own && ended && !status) status = *own;
        list.push_back({{"hostname", specs[i - 1].hostname}, {"rootfs", specs[i - 1].rootfs}, {"output", session.console_of(i)}, {"status", own.value_or(-1)}});
        if (options.json || specs.size() == 1) continue;
        fmt::print("[{}] {}\n", specs[i - 1].hostname, own ? fmt::format("ended with status {}", *own) : "still runs");
        std::string line;
        for (char c : session.console_of(i) + "\n") {
            if (c != '\n') line += c;
            else if (!line.empty()) fmt::print("[{}] {}\n", specs[i - 1].hostname, line), line.clear();
        }
    }
    if (options.json)
        fmt::print("{}\n", nlohmann::ordered_json{{"containers", list}, {"processes", processes_json(kernel)}, {"system_calls", kernel.system_calls()}, {"pages", kernel.frames_used()},
                                                  {"instructions", session.machine().hart().state.retired}}
                               .dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
    if (!ended) fmt::print(stderr, "trapeze: {} instructions have run, which is the limit (--max-instructions)\n", session.position());
    return status;
}

/// All that the session follows from, in one file. The folders of the host that it uses are only named in it.
Result<void> write_recording(const Session& session, const std::string& path) {
    auto bytes = session.record(true);
    if (!bytes) bytes = session.record(false);
    if (!bytes) return Error{bytes.error()};
    return replace_file(path, *bytes);
}

/// A terminal as large as ours, when ours says how large it is.
void give_terminal(Wanted& wanted) {
    winsize size{};
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || !size.ws_row || !size.ws_col) return;
    wanted.spec.rows = size.ws_row, wanted.spec.columns = size.ws_col;
    if (!wanted.run) return;
    container::RunConfig config = *wanted.run;
    config.rows = size.ws_row, config.columns = size.ws_col;
    wanted.run = std::make_shared<const container::RunConfig>(std::move(config));
}

Result<Session> open_session(const RunOptions& options, int& status) {
    status = kUsage;
    auto specs = parse_wanted(options);
    if (!specs) return status = specs.status() ? specs.status() : kUsage, Result<Session>(Error{specs.error()});
    const auto memory = parse_memory(options.memory);
    if (!memory) return Error{memory.error()};
    const bool terminal = std::any_of(specs->begin(), specs->end(), [](const Wanted& one) { return one.spec.terminal; });
    if (terminal && (specs->size() != 1 || options.json)) return Error{"a terminal is for one container, and its output is no JSON; leave --tty out"};
    SessionConfig config;
    if (terminal) give_terminal((*specs)[0]);
    for (Wanted& one : *specs) config.containers.push_back(std::move(one.spec)), config.runs.push_back(std::move(one.run));
    config.memory_bytes = memory.value();
    config.checkpoint_every = options.debug || !options.recording.empty() ? config.checkpoint_every : 0;
    if (options.ps) config.when_idle = container::WhenIdle::Return; // a sleeping process is still there to be seen
    config.record = options.trace || options.debug || !options.recording.empty() ? class_bit(EventClass::Syscall) | class_bit(EventClass::Namespace) | class_bit(EventClass::Process) : 0;
    auto session = Session::create(config);
    if (!session) status = session.status() ? session.status() : kUsage;
    return session;
}

/// What a start consists of: made once in a machine of its own, up to the program's first instruction.
int explain(const RunOptions& options) {
    auto specs = parse_wanted(options);
    if (!specs) return complain(specs.error(), specs.status() ? specs.status() : kUsage);
    const auto memory = parse_memory(options.memory);
    if (!memory) return complain(memory.error(), kUsage);
    MachineConfig board;
    board.ram_bytes = memory.value(), board.builtin_firmware = false;
    auto machine = Machine::create(board);
    if (!machine) return complain(machine.error(), kFailed);
    auto kernel = container::Kernel::boot(*machine);
    auto engine = kernel ? container::Engine::start(*machine, *kernel) : Result<container::Engine>(Error{kernel.error()});
    if (!engine) return complain(engine.error(), kFailed);
    engine->record(true);
    for (const Wanted& one : *specs) {
        if (!one.run) return complain(fmt::format("{}: the kernel starts a program of a plain folder by itself; give --rootfs to have the engine do it step by step", one.spec.rootfs), kUsage);
        const auto id = engine->run(*machine, *kernel, *one.run);
        fmt::print("{}", container::explain_steps(engine->calls()));
        if (!id) return complain(id.error(), id.status());
    }
    return 0;
}

int view(const Session& session, const RunOptions& options) {
    ViewRequest request = options.view;
    request.json = options.json;
    auto text = container_view(*session.kernel(), session.machine().cycles(), request);
    if (!text) return complain(text.error(), kFailed);
    fmt::print("{}", *text);
    return 0;
}

int run(const RunOptions& options) {
    if (options.explain) return explain(options);
    if (!options.view.what.empty() && !is_view(options.view.what)) return complain(fmt::format("there is no view \"{}\"; there are {}", options.view.what, view_names()), kUsage);
    int status = 0;
    auto session = open_session(options, status);
    if (!session) return complain(session.error(), status);
    if (const std::string missing = missing_display(options.window); options.debug && !missing.empty()) return complain(missing, kFailed);
    if (options.debug) return options.debugger(std::move(*session), std::nullopt, options.window);
    if (options.ps) { // as seen from outside when the programs have had some time
        session->run(options.max_instructions);
        if (!options.view.what.empty()) return view(*session, options);
        if (options.json) fmt::print("{}\n", processes_json(*session->kernel()).dump(2));
        else print_processes(*session->kernel());
        return 0;
    }
    const bool ended = session->config().containers[0].terminal ? run_on_terminal(*session, options) : run_all(*session, options);
    const int status_of_run = finish(*session, options, ended);
    if (options.recording.empty()) return status_of_run;
    const auto written = write_recording(*session, options.recording);
    return written ? status_of_run : complain(written.error(), kFailed);
}

/// What was recorded runs again, up to where it was recorded, and prints the same.
int play(const RunOptions& options) {
    constexpr u64 kMost = u64{2} << 30;
    auto file = container::read_host_file(options.recording, kMost);
    if (!file) return complain(file.error(), kFailed);
    auto replay = Session::replay(**file, options.recording, true);
    if (!replay) return complain(replay.error(), kFailed);
    Session& session = replay->session;
    if (!session.kernel()) return complain(fmt::format("{}: this is a recording of a guest, not of containers", options.recording), kFailed);
    const auto there = session.go_to(replay->position);
    if (!there) return complain(there.error(), kFailed);
    u64 printed = 0;
    if (options.trace) print_trace(session, printed);
    if (session.config().containers.size() == 1 && !options.json) std::cout << session.console() << std::flush;
    return finish(session, options, true);
}

void add_play(CLI::App& parent, int& status) {
    auto options = std::make_shared<RunOptions>();
    auto* verb = parent.add_subcommand("play", "run again what `run --record` has recorded, with the same input, byte for byte");
    verb->add_option("FILE", options->recording, "the recording")->required();
    verb->add_flag("--json", options->json, "print JSON"), verb->add_flag("--trace", options->trace, "print system calls, and what each namespace decided, to standard error");
    verb->callback([=, &status] { status = play(*options); });
}

CLI::App* add_verb(CLI::App& parent, const char* name, const char* about, const std::shared_ptr<RunOptions>& options, int& status) {
    auto* verb = parent.add_subcommand(name, about);
    verb->set_help_flag("--help", "Print this help message and exit"); // -h is a host name
    options->docker.add_to(*verb);
    add_store_option(*verb, options->store);
    verb->add_option("--machine-memory", options->memory, "memory of the machine that all containers share")->capture_default_str();
    verb->add_option("--max-instructions", options->max_instructions, "how far to run")->check(CLI::NonNegativeNumber)->capture_default_str();
    verb->add_flag("--json", options->json, "print JSON");
    verb->prefix_command();
    verb->footer("After the options: IMAGE [PROGRAM [ARGUMENT...]] [--and [OPTIONS] the same for another container].\n"
                 "In place of IMAGE, with no more options than a host name, variables and a terminal: a folder with riscv64 Linux programs, which the\n"
                 "kernel starts by itself, in pid, uts and mnt namespaces. No folder is ever written.");
    verb->callback([=, &status] {
        options->limited = verb->count("--max-instructions") != 0;
        options->words = verb->remaining();
        status = run(*options);
    });
    return verb;
}

} // namespace

Result<std::vector<ContainerSpec>> parse_specs(const std::vector<std::string>& words) {
    std::vector<ContainerSpec> specs;
    for (std::size_t i = 0; i < words.size(); ++i) {
        ContainerSpec spec;
        for (; i < words.size() && words[i].starts_with("--"); ++i) {
            const bool hostname = words[i] == "--hostname", environment = words[i] == "--env";
            if (!hostname && !environment) return Error{fmt::format("container run does not know {}; it knows --hostname NAME and --env KEY=VALUE before ROOTFS", words[i])};
            if (i + 1 == words.size()) return Error{fmt::format("{} needs a value", words[i])};
            ++i;
            if (hostname) {
                spec.hostname = words[i];
                continue;
            }
            const std::size_t equals = words[i].find('=');
            if (equals == 0 || equals == std::string::npos) return Error{fmt::format("--env {}: give it as KEY=VALUE", words[i])};
            std::erase_if(spec.environment, [&](const std::string& old) { return old.starts_with(words[i].substr(0, equals + 1)); });
            spec.environment.push_back(words[i]);
        }
        if (i < words.size()) spec.rootfs = words[i++];
        for (; i < words.size() && words[i] != "--and"; ++i) spec.arguments.push_back(words[i]);
        if (spec.rootfs.empty() || spec.arguments.empty()) return Error{"a container needs a root folder and a program: container run [--hostname NAME] ROOTFS PROGRAM [ARGUMENT...]"};
        specs.push_back(std::move(spec));
    }
    if (specs.empty()) return Error{"name a root folder and a program: container run [--hostname NAME] ROOTFS PROGRAM [ARGUMENT...]"};
    return specs;
}

namespace {

struct ShellOptions {
    std::string memory = "256M", store = container::default_store_folder(), file, output;
};

int run_shell(const ShellOptions& options) {
    ContainerShell::Config config;
    const auto memory = parse_memory(options.memory);
    if (!memory) return complain(memory.error(), kUsage);
    config.memory_bytes = memory.value();
    std::ifstream file;
    if (!options.file.empty()) {
        auto text = container::read_host_file(options.file, 1 << 20); // no pipe, no device: nothing blocks
        if (!text) return complain(text.error(), kUsage);
        file.open(options.file);
    }
    config.interactive = options.file.empty() && isatty(STDIN_FILENO);
    setenv("TRAPEZE_STORE", options.store.c_str(), 1); // for the verbs that know images
    auto shell = ContainerShell::start(config, options.file.empty() ? std::cin : file);
    if (!shell) return complain(shell.error(), kFailed);
    if (config.interactive) fmt::print("One machine, Docker's commands: help, run -it tiny, ps -a, explain run hello, exit\n");
    return shell->run();
}

/// config.json for a bundle, as `runc spec` makes one.
int write_spec(const std::string& path) {
    container::RuntimeSpec spec = container::default_spec();
    spec.terminal = true, spec.hostname = "trapeze", spec.read_only = true, spec.no_new_privileges = true;
    spec.environment.push_back("TERM=xterm"), spec.limits = {{7, 1024, 1024}};
    const std::string text = container::spec_json(spec);
    if (path == "-") return fmt::print("{}", text), 0;
    if (container::host_file_exists(path)) return complain(fmt::format("{}: the file is there already; remove it first, or give another name with -o", path), kFailed);
    const auto written = replace_file(path, {reinterpret_cast<const u8*>(text.data()), text.size()});
    return written ? 0 : complain(written.error(), kFailed);
}

void add_shell(CLI::App& parent, int& status) {
    auto options = std::make_shared<ShellOptions>();
    auto* shell = parent.add_subcommand("shell", "a prompt for Docker's command lines, all against one machine; also from a pipe or a script file");
    add_store_option(*shell, options->store);
    shell->add_option("--machine-memory", options->memory, "memory of the machine that all containers share")->capture_default_str();
    shell->add_option("FILE", options->file, "a script; without it, standard input");
    shell->footer("<<WORD at a line's end gives `run -i` and `exec -i` the lines up to WORD. `explain COMMAND` shows the system calls that a command is.\n"
                  "Time passes while somebody waits for a container, and by `sleep SECONDS`.");
    shell->callback([=, &status] { status = run_shell(*options); });
    auto spec_options = std::make_shared<ShellOptions>();
    spec_options->output = "config.json";
    auto* spec = parent.add_subcommand("spec", "write config.json of the OCI runtime specification, for run --bundle");
    spec->add_option("-o,--output", spec_options->output, "the file; - for standard output")->capture_default_str();
    spec->callback([=, &status] { status = write_spec(spec_options->output); });
}

} // namespace

void add_container(Verbs verbs) {
    auto* verb = verbs.app.add_subcommand("container", "run Linux programs in containers on the simulated kernel");
    verb->require_subcommand(1);
    auto run_options = std::make_shared<RunOptions>();
    auto* run_verb = add_verb(*verb, "run", "run containers to their end; the status is the first failing program's", run_options, verbs.status);
    run_verb->add_flag("--trace", run_options->trace, "print system calls, and what each namespace decided, to standard error");
    run_verb->add_flag("--explain,--dry-run", run_options->explain, "print the system calls that start it, each with its undo, and do not run its program");
    run_verb->add_option("--record", run_options->recording, "write the session to this file, with its images and all that was typed, for container play");
    auto debug_options = std::make_shared<RunOptions>();
    debug_options->debug = true;
    debug_options->debugger = verbs.debugger;
    auto* debug_verb = add_verb(*verb, "debug", "open the debugger on containers", debug_options, verbs.status);
    debug_options->window.add_to(*debug_verb);
    auto ps_options = std::make_shared<RunOptions>();
    ps_options->ps = true;
    ps_options->max_instructions = 2'000'000;
    add_verb(*verb, "ps", "run containers for a while, then list all processes as the host sees them", ps_options, verbs.status);
    add_play(*verb, verbs.status);
    auto view_options = std::make_shared<RunOptions>();
    view_options->ps = true, view_options->max_instructions = 2'000'000;
    auto* view_verb = add_verb(*verb, "view", "run containers for a while, then show processes in their namespaces, mounts, overlays, cgroups, the network, or a packet's way", view_options, verbs.status);
    add_view_options(*view_verb, view_options->view);
    add_shell(*verb, verbs.status);
    add_image_verbs(*verb, verbs.status);
}

} // namespace trapeze::scenarios
