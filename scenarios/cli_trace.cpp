// trapeze trace: runs a guest and prints what happened, event by event; or containers, system call by system call.
#include "scenarios/cli_container.hpp"
#include "scenarios/syscall_trace.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

namespace trapeze::scenarios {

namespace {

struct TraceOptions {
    GuestOptions guest;
    u64 max_instructions = 1'000'000;
    std::vector<std::string> classes{"trap", "exit"};
    std::string format = "text";
    bool json = false, syscalls = false, no_lookups = false;
    std::vector<std::string> calls, words;
    std::vector<u64> pids;
    std::string hostname;
};

struct ClassName {
    const char* name;
    u32 bits;
};
constexpr ClassName kClasses[] = {{"trap", class_bit(EventClass::Trap)}, {"csr", class_bit(EventClass::Csr)},
                                  {"input", class_bit(EventClass::Input)}, {"exit", class_bit(EventClass::Exit)},
                                  {"paging", class_bit(EventClass::Paging)}, {"all", kAllClasses}};

Result<u32> parse_classes(const std::vector<std::string>& names) {
    u32 bits = 0;
    for (const std::string& name : names) {
        u32 found = 0;
        for (const ClassName& known : kClasses)
            if (name == known.name) found = known.bits;
        if (!found) return Error{fmt::format("there is no event class \"{}\"; the classes are trap, csr, input, exit, paging, all", name)};
        bits |= found;
    }
    return bits;
}

int trace(const TraceOptions& options) {
    auto config = options.guest.config();
    if (!config) return complain(config.error(), kUsage);
    const auto classes = parse_classes(options.classes);
    if (!classes) return complain(classes.error(), kUsage);
    if (options.format != "text" && options.format != "json") return complain(fmt::format("--format {}: give text or json", options.format), kUsage);
    config->checkpoint_every = 0;
    config->record = classes.value();
    auto session = Session::create(*config);
    if (!session) return complain(session.error(), kFailed);
    const bool json = options.json || options.format == "json";
    // Short stretches, so that the ring never overwrites what is not printed yet: at most a few events an instruction.
    constexpr u64 kStretch = Trace::kDefaultCapacity / 8;
    u64 printed = 0;
    while (session->position() < options.max_instructions) {
        const RunEnd why = session->run(std::min(kStretch, options.max_instructions - session->position()));
        const Trace& events = session->trace();
        for (printed = std::max(printed, events.first()); printed < events.total(); ++printed) {
            const Event& event = events.at(printed);
            if (json) fmt::print("{}\n", event_json(events, event));
            else fmt::print("{:>12} {}{} {}\n", event.time, event.tag ? "vm" : "  ", event.tag ? fmt::format("{}", unsigned{event.tag}) : " ", event_text(events, event));
        }
        if (why != RunEnd::Budget) break;
    }
    return 0;
}

/// Containers, in stretches so short that neither the ring nor the table of texts overflows.
int trace_syscalls(const TraceOptions& options) {
    constexpr u64 kStretch = 20'000;
    auto specs = parse_specs(options.words);
    if (!specs) return complain(specs.error(), kUsage);
    auto lines = SyscallTrace::create({options.calls, options.pids, options.json || options.format == "json", !options.no_lookups});
    if (!lines) return complain(lines.error(), kUsage);
    SessionConfig config;
    config.containers = std::move(*specs), config.checkpoint_every = 0;
    config.record = class_bit(EventClass::Syscall) | class_bit(EventClass::Namespace) | class_bit(EventClass::Process);
    auto session = Session::create(config);
    if (!session) return complain(session.error(), session.status() ? session.status() : kUsage);
    const auto print = [](const std::string& line) { fmt::print("{}\n", line); };
    session->close_input();
    RunEnd why = RunEnd::Budget;
    while (why == RunEnd::Budget && session->position() < options.max_instructions) {
        why = session->run(std::min(kStretch, options.max_instructions - session->position()));
        lines->take(session->trace(), print);
    }
    lines->finish(print);
    return 0;
}

} // namespace

void add_trace(Verbs verbs) {
    auto* verb = verbs.app.add_subcommand("trace", "run a guest and print every event: time in cycles, then a sentence");
    auto options = std::make_shared<TraceOptions>();
    options->guest.add_to(*verb, true);
    verb->add_option("--max-instructions", options->max_instructions, "how far to run")->check(CLI::NonNegativeNumber)->capture_default_str();
    verb->add_option("--class", options->classes, "what to print: trap, csr, input, exit, paging, all")->delimiter(',')->capture_default_str();
    verb->add_option("--format", options->format, "text, or json for one JSON object a line")->capture_default_str();
    verb->add_flag("--json", options->json, "the same as --format json");
    verb->add_flag("--syscalls", options->syscalls, "run containers, and print their system calls as strace does: ROOTFS PROGRAM [ARGUMENT...] [--and ...]");
    verb->add_option("-e,--calls", options->calls, "with --syscalls: only these calls; names, %file, %process, %network, %memory, %signal, %desc, %creds, %namespace; !NAME: all but")->delimiter(',')->allow_extra_args(false);
    verb->add_option("-p,--pid", options->pids, "with --syscalls: only these processes, by their pid outside")->delimiter(',')->allow_extra_args(false);
    verb->add_option("--hostname", options->hostname, "with --syscalls: the first container's host name");
    verb->add_flag("--no-lookups", options->no_lookups, "with --syscalls: leave out what namespaces and mounts decided");
    verb->prefix_command();
    verb->footer("Two runs of the same command print the same bytes.");
    verb->callback([=, status = &verbs.status] {
        options->words = verb->remaining();
        if (!options->syscalls) {
            *status = options->words.empty() ? trace(*options) : complain(fmt::format("trace does not know \"{}\"; `trapeze trace --help` lists its options", options->words[0]), kUsage);
            return;
        }
        if (!options->guest.guest.empty()) options->words.insert(options->words.begin(), options->guest.guest);
        if (!options->hostname.empty()) options->words.insert(options->words.begin(), {"--hostname", options->hostname});
        if (!verb->count("--max-instructions")) options->max_instructions = 5'000'000'000;
        *status = trace_syscalls(*options);
    });
}

} // namespace trapeze::scenarios
