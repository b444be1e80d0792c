#include "scenarios/container_comparison.hpp"

#include "container-sim/kernel.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>

namespace trapeze::scenarios {

namespace {

constexpr u64 kStartSlice = 256, kSlice = 1'000'000; ///< units between looks: until the first output, and after it

constexpr PlaceFigure kFigures[] = {
    {"start_instructions", "instructions to first output", &PlaceCost::start_instructions},
    {"start_cycles", "modelled cycles to first output", &PlaceCost::start_cycles},
    {"instructions", "instructions in all", &PlaceCost::instructions},
    {"cycles", "modelled cycles in all", &PlaceCost::cycles},
    {"crossings", "boundary crossed, times", &PlaceCost::crossings},
    {"system_calls", "system calls of the kernel outside", &PlaceCost::system_calls},
    {"table_reads", "page-table entries read", &PlaceCost::table_reads},
    {"memory_bytes", "memory touched, KiB", &PlaceCost::memory_bytes, 10},
};

std::string boundary_of(Mode mode) {
    switch (mode) {
    case Mode::Bare: return "none: the guest has the machine";
    case Mode::Paravirtual: return "hypercall, and what traps";
    case Mode::Interpret: case Mode::Translate: return "every instruction is the VMM's";
    default: return "instruction that traps (exit)";
    }
}

u64 instructions_of(const Session& session) { return session.vmm() ? session.vmm()->guest_instructions(session.machine()) : session.machine().hart().state.retired; }

u64 table_reads_of(const Session& session) {
    u64 reads = 0;
    for (const Hart& hart : session.machine().harts) reads += hart.translations.entries + hart.translations.nested_entries;
    const vmm::Vmm* vmm = session.vmm();
    if (!vmm) return reads;
    const TranslationCounts& inside = vmm->guest_hart().translations;
    return reads + (vmm->mode() == Mode::Interpret ? inside.entries + inside.nested_entries : vmm->table_entries_read());
}

u64 crossings_of(const Session& session) {
    if (session.vmm()) return session.vmm()->exits();
    const container::Kernel* kernel = session.kernel();
    if (!kernel) return 0;
    u64 faults = 0;
    for (const container::Process& process : kernel->processes) faults += process.used ? process.faults : 0;
    return kernel->system_calls() + faults;
}

/// Runs to the end. `mark`: the program's first line; empty: whatever is printed first.
PlaceCost measure(Session& session, const std::string& mark, u64 units) {
    const auto begin = std::chrono::steady_clock::now();
    PlaceCost cost;
    RunEnd why = RunEnd::Budget;
    u64 printed = 0;
    while (why == RunEnd::Budget && session.position() < units) {
        why = session.run(std::min(cost.start_instructions ? kSlice : kStartSlice, units - session.position()));
        if (cost.start_instructions || session.printed() == printed) continue;
        printed = session.printed();
        if (session.console().find(mark) != std::string::npos) cost.start_instructions = instructions_of(session), cost.start_cycles = session.machine().cycles();
    }
    cost.end = why == RunEnd::Halted ? "halted" : why == RunEnd::Idle ? "idle" : "limit";
    cost.instructions = instructions_of(session), cost.cycles = session.machine().cycles();
    cost.crossings = crossings_of(session), cost.table_reads = table_reads_of(session);
    cost.system_calls = session.kernel() ? session.kernel()->system_calls() : 0;
    cost.memory_bytes = session.machine().ram.touched_pages() * kPageSize;
    cost.output = session.console();
    std::erase(cost.output, '\r'); // a VM's terminal has them
    cost.host_seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    return cost;
}

Result<PlaceCost> in_container(const PlacesAsked& asked) {
    SessionConfig config;
    container::ContainerSpec spec;
    spec.rootfs = build_folder() + "/guests/root", spec.arguments = {"/bin/" + asked.program}, spec.environment.clear(); // as init gives it
    config.containers = {spec}, config.memory_bytes = asked.memory_bytes, config.checkpoint_every = 0, config.record = 0;
    auto session = Session::create(config);
    if (!session) return Error{session.error()};
    session->close_input();
    PlaceCost cost = measure(*session, "", asked.units);
    cost.place = "container", cost.boundary = "system call, page fault";
    return cost;
}

Result<PlaceCost> in_vm(const PlacesAsked& asked, Mode mode, const std::string& mark) {
    SessionConfig config;
    config.guest = "tiny-os", config.mode = mode, config.append = "run=/bin/" + asked.program;
    config.memory_bytes = asked.memory_bytes, config.costs = asked.costs, config.checkpoint_every = 0, config.record = 0, config.dossiers = false;
    auto session = Session::create(config);
    if (!session) return Error{session.error()};
    PlaceCost cost = measure(*session, mark, asked.units);
    cost.place = vmm::mode_row(mode).name, cost.boundary = boundary_of(mode);
    return cost;
}

} // namespace

std::span<const PlaceFigure> place_figures() { return kFigures; }

Result<std::vector<PlaceCost>> measure_places(const PlacesAsked& asked) {
    if (asked.program.empty() || asked.program.find('/') != std::string::npos)
        return Error{fmt::format("compare --container {}: name a program of tiny-os's /bin, such as hello or primes", asked.program)};
    auto inside = in_container(asked);
    if (!inside) return Error{inside.error()};
    std::vector<PlaceCost> places{std::move(*inside)};
    const std::string mark = places[0].output.substr(0, places[0].output.find('\n'));
    for (const Mode mode : asked.modes) {
        auto cost = in_vm(asked, mode, mark);
        if (!cost) return Error{cost.error()};
        places.push_back(std::move(*cost));
    }
    return places;
}

std::string places_text(std::span<const PlaceCost> places) {
    constexpr std::size_t kTitle = 36;
    std::string text;
    const auto row = [&](const std::string& title, const auto& cell) {
        text += fmt::format("{:<{}}", title, kTitle);
        for (const PlaceCost& place : places) text += fmt::format("{:>18}", cell(place));
        text += "\n";
    };
    row("", [](const PlaceCost& p) { return p.place; });
    for (const PlaceFigure& figure : kFigures) {
        row(figure.title, [&](const PlaceCost& p) { return fmt::format("{}", p.*figure.value >> figure.shift); });
        if (figure.value != &PlaceCost::start_instructions && figure.value != &PlaceCost::memory_bytes) continue;
        row("  container's, times", [&](const PlaceCost& p) { return places[0].*figure.value ? fmt::format("{:.1f}", static_cast<double>(p.*figure.value) / static_cast<double>(places[0].*figure.value)) : "-"; });
    }
    row("the host's seconds", [](const PlaceCost& p) { return fmt::format("{:.3f}", p.host_seconds); });
    row("the run", [](const PlaceCost& p) { return p.end; });
    text += "\n";
    for (const PlaceCost& place : places) text += fmt::format("{:<18} boundary: {}\n", place.place, place.boundary);
    const std::string& own = places[0].output;
    const bool same = std::all_of(places.begin(), places.end(), [&](const PlaceCost& p) { return p.output.find(own) != std::string::npos; });
    text += fmt::format("\nWhat the program printed: {}. A VM's figures begin at power-on and hold its kernel's start; the container's kernel runs already.\n", same ? "the same everywhere" : "DIFFERENT");
    return text;
}

std::string places_json(std::span<const PlaceCost> places) {
    nlohmann::ordered_json list = nlohmann::ordered_json::array();
    for (const PlaceCost& place : places) {
        nlohmann::ordered_json one{{"place", place.place}, {"boundary", place.boundary}};
        for (const PlaceFigure& figure : kFigures) one[figure.key] = place.*figure.value;
        one["host_seconds"] = place.host_seconds, one["end"] = place.end, one["output"] = place.output;
        list.push_back(one);
    }
    return list.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

std::string places_csv(std::span<const PlaceCost> places) {
    std::string text = "place,boundary";
    for (const PlaceFigure& figure : kFigures) text += fmt::format(",{}", figure.key);
    text += ",host_seconds,end\n";
    for (const PlaceCost& place : places) {
        text += fmt::format("\"{}\",\"{}\"", place.place, place.boundary);
        for (const PlaceFigure& figure : kFigures) text += fmt::format(",{}", place.*figure.value);
        text += fmt::format(",{:.3f},\"{}\"\n", place.host_seconds, place.end);
    }
    return text;
}

} // namespace trapeze::scenarios
