// trapeze container: runs Linux programs in containers on the simulated kernel, and shows them from outside.
#include "container-sim/kernel.hpp"
#include "scenarios/cli_container.hpp"
#include "scenarios/shipped_images.hpp"
#include "scenarios/terminal.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <sys/ioctl.h>
#include <unistd.h>

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
    bool json = false, trace = false, ps = false, debug = false, terminal = false, limited = false;
    DebuggerOptions window;
    DebuggerEntry debugger = nullptr;
};

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

int shell_status(int wait_status) { return wait_status & 0x7f ? 128 + (wait_status & 0x7f) : wait_status >> 8; }

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
        const auto own = kernel.exit_status(i);
        if (own && ended && !status) status = shell_status(*own);
        list.push_back({{"hostname", specs[i - 1].hostname}, {"rootfs", specs[i - 1].rootfs}, {"output", session.console_of(i)}, {"status", own ? shell_status(*own) : -1}});
        if (options.json || specs.size() == 1) continue;
        fmt::print("[{}] {}\n", specs[i - 1].hostname, own ? fmt::format("ended with status {}", shell_status(*own)) : "still runs");
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

/// A terminal as large as ours, when ours says how large it is.
void give_terminal(ContainerSpec& spec) {
    winsize size{};
    spec.terminal = true;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row && size.ws_col) spec.rows = size.ws_row, spec.columns = size.ws_col;
}

Result<Session> open_session(const RunOptions& options, int& status) {
    status = kUsage;
    auto specs = parse_specs(options.words);
    if (!specs) return Error{specs.error()};
    const auto memory = parse_memory(options.memory);
    if (!memory) return Error{memory.error()};
    if (options.terminal && (specs->size() != 1 || options.json)) return Error{"a terminal is for one container, and its output is no JSON; leave --tty out"};
    SessionConfig config;
    config.containers = std::move(*specs);
    if (options.terminal) give_terminal(config.containers[0]);
    config.memory_bytes = memory.value();
    config.checkpoint_every = options.debug ? config.checkpoint_every : 0;
    if (options.ps) config.when_idle = container::WhenIdle::Return; // a sleeping process is still there to be seen
    config.record = options.trace || options.debug ? class_bit(EventClass::Syscall) | class_bit(EventClass::Namespace) | class_bit(EventClass::Process) : 0;
    auto session = Session::create(config);
    if (!session) status = session.status() ? session.status() : kUsage;
    return session;
}

int run(const RunOptions& options) {
    int status = 0;
    auto session = open_session(options, status);
    if (!session) return complain(session.error(), status);
    if (const std::string missing = missing_display(options.window); options.debug && !missing.empty()) return complain(missing, kFailed);
    if (options.debug) return options.debugger(std::move(*session), std::nullopt, options.window);
    if (options.ps) { // as seen from outside when the programs have had some time
        session->run(options.max_instructions);
        if (options.json) fmt::print("{}\n", processes_json(*session->kernel()).dump(2));
        else print_processes(*session->kernel());
        return 0;
    }
    const bool ended = options.terminal ? run_on_terminal(*session, options) : run_all(*session, options);
    return finish(*session, options, ended);
}

CLI::App* add_verb(CLI::App& parent, const char* name, const char* about, const std::shared_ptr<RunOptions>& options, int& status) {
    auto* verb = parent.add_subcommand(name, about);
    verb->add_option("-m,--memory", options->memory, "memory of the machine that all containers share")->capture_default_str();
    verb->add_option("--max-instructions", options->max_instructions, "how far to run")->check(CLI::NonNegativeNumber)->capture_default_str();
    verb->add_flag("--json", options->json, "print JSON");
    verb->prefix_command();
    verb->footer("After the options: [--hostname NAME] [--env KEY=VALUE] ROOTFS PROGRAM [ARGUMENT...] [--and the same for another container].\n"
                 "ROOTFS is a folder with static riscv64 Linux programs; it is never written.");
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

void add_container(Verbs verbs) {
    auto* verb = verbs.app.add_subcommand("container", "run Linux programs in containers on the simulated kernel");
    verb->require_subcommand(1);
    auto run_options = std::make_shared<RunOptions>();
    auto* run_verb = add_verb(*verb, "run", "run containers to their end; the status is the first failing program's", run_options, verbs.status);
    run_verb->add_flag("--trace", run_options->trace, "print system calls, and what each namespace decided, to standard error");
    run_verb->add_flag("-t,--tty", run_options->terminal, "give the container a terminal, which is this one: line editing, job control, Ctrl+C; Ctrl+A x leaves");
    auto debug_options = std::make_shared<RunOptions>();
    debug_options->debug = true;
    debug_options->debugger = verbs.debugger;
    auto* debug_verb = add_verb(*verb, "debug", "open the debugger on containers", debug_options, verbs.status);
    debug_options->window.add_to(*debug_verb);
    auto ps_options = std::make_shared<RunOptions>();
    ps_options->ps = true;
    ps_options->max_instructions = 2'000'000;
    add_verb(*verb, "ps", "run containers for a while, then list all processes as the host sees them", ps_options, verbs.status);
    add_view_verb(*verb, verbs.status);
    add_image_verbs(*verb, verbs.status);
}

} // namespace trapeze::scenarios
