// The monitor commands of `trapeze gdb`. A command is a row: name, what follows it, what it does. They are reached from a socket, so none
// of them touches the host.
#include "scenarios/gdb_target.hpp"
#include "scenarios/walk.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace trapeze::scenarios {

namespace {

constexpr u64 kEvents = 10, kMostEvents = 1000;

struct Call {
    Session& session;
    unsigned hart;
    bool& physical;
    std::string argument;
};

std::optional<u64> parse_number(std::string_view text, int base = 10) {
    if (text.starts_with("0x")) base = 16, text.remove_prefix(2);
    u64 value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
    return text.empty() || error != std::errc() || end != text.data() + text.size() ? std::nullopt : std::optional(value);
}

std::string mode(Call& call) {
    const vmm::ModeRow& row = vmm::mode_row(call.session.config().mode);
    return fmt::format("{}: {}\n", row.name, row.sentence);
}

std::string privilege(Call& call) {
    const char* believed = mode_text(call.session.guest_state(call.hart).mode());
    if (!call.session.vmm()) return fmt::format("hart {}: {}-mode\n", call.hart, believed);
    const char* real = vmm::mode_row(call.session.config().mode).kernel_privilege;
    return fmt::format("hart {}: the guest believes that it is in {}-mode; its kernel really runs in: {}{}\n", call.hart, believed, real,
                       call.session.vmm()->in_hypervisor() ? "; an exit waits to be handled" : "");
}

/// The walk of the guest's own table, and of what the hart walks for it, entry by entry.
std::string walk(Call& call) {
    const auto address = call.session.resolve(call.argument);
    return address ? describe_walks(call.session, call.hart, address.value()) : address.error() + "\n";
}

std::string exits(Call& call) {
    const vmm::Vmm* const vmm = call.session.vmm();
    if (!vmm) return "this session has no hypervisor, so there are no exits\n";
    std::string text = fmt::format("{} exits\n", vmm->exits());
    for (unsigned i = 0; i < static_cast<unsigned>(vmm::ExitReason::Count); ++i) {
        const auto reason = static_cast<vmm::ExitReason>(i);
        if (vmm->exits(reason)) text += fmt::format("{:>12} {}\n", vmm->exits(reason), vmm::exit_reason_row(reason).name);
    }
    return text;
}

std::string events(Call& call) {
    const auto count = call.argument.empty() ? std::optional(kEvents) : parse_number(call.argument);
    if (!count) return fmt::format("\"{}\" is no number of events\n", call.argument);
    const Trace& trace = call.session.trace();
    const u64 shown = std::min({*count, kMostEvents, trace.total() - trace.first()});
    std::string text;
    for (u64 i = trace.total() - shown; i < trace.total(); ++i) text += fmt::format("{:>12} {}\n", trace.at(i).time, event_text(trace, trace.at(i)));
    return text.empty() ? "nothing has happened yet\n" : text;
}

std::string checkpoint(Call& call) {
    const u64 position = call.session.position();
    return fmt::format("position {0}; `monitor go {0}` comes back here. Going back reaches to {1}.\n", position, call.session.earliest());
}

std::string go(Call& call) {
    const auto position = parse_number(call.argument);
    if (!position) return fmt::format("\"{}\" is no position; `monitor checkpoint` tells the one you are at\n", call.argument);
    if (*position > call.session.position()) return fmt::format("position {} has not been yet; continue to get there\n", *position);
    const auto went = call.session.go_to(*position);
    if (!went) return went.error() + "\n";
    return fmt::format("position {}; GDB does not know that registers changed: type `maintenance flush register-cache`\n", *position);
}

std::string memory(Call& call) {
    if (call.argument != "physical" && call.argument != "virtual") return "say physical or virtual\n";
    call.physical = call.argument == "physical";
    return fmt::format("addresses are {} from now on\n", call.argument);
}

std::string type(Call& call) {
    call.session.type(call.argument + "\n");
    return fmt::format("{} characters typed, and Enter\n", call.argument.size());
}

std::string help(Call& call);

struct Command {
    const char* name;
    const char* argument;
    const char* sentence;
    std::string (*run)(Call&);
};
constexpr Command kCommands[] = {
    {"help", "", "lists these commands", help},
    {"mode", "", "how the guest is run", mode},
    {"privilege", "", "the privilege level of the shown hart, as the guest believes it and as it is", privilege},
    {"walk", "ADDRESS", "walks the page table for an address or a symbol, entry by entry", walk},
    {"exits", "", "counts of exits from the guest, by reason", exits},
    {"events", "[N]", "the last events of the trace", events},
    {"checkpoint", "", "names the position of this moment", checkpoint},
    {"go", "POSITION", "goes back to a position", go},
    {"memory", "physical|virtual", "what the addresses of memory are from now on", memory},
    {"type", "TEXT", "types a line at the guest's console", type},
};

std::string help(Call&) {
    std::string text;
    for (const Command& command : kCommands) text += fmt::format("monitor {:<24} {}\n", fmt::format("{} {}", command.name, command.argument), command.sentence);
    return text;
}

} // namespace

std::string answer_monitor(Session& session, const std::string& command, unsigned hart, bool& physical) {
    const std::size_t space = command.find(' ');
    const std::string name = command.substr(0, space);
    const std::size_t begin = command.find_first_not_of(' ', std::min(space, command.size()));
    Call call{session, hart, physical, begin == std::string::npos ? std::string() : command.substr(begin)};
    for (const Command& known : kCommands)
        if (name == known.name) return known.run(call);
    return fmt::format("there is no command \"{}\"; `monitor help` lists them\n", name);
}

} // namespace trapeze::scenarios
