// trapeze compare: the same guest in each mode, side by side.
#include "scenarios/cli.hpp"
#include "scenarios/stuck.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <unistd.h>

#include <algorithm>

namespace trapeze::scenarios {

namespace {

constexpr u64 kLimitByDefault = 2'000'000'000;

struct CompareOptions {
    GuestOptions guest;
    std::vector<std::string> modes;
    u64 max_instructions = kLimitByDefault;
    std::string exit_on;
    bool json = false;
};

struct Column {
    std::string mode, console, end, stuck;
    std::vector<std::pair<std::string, u64>> exits;
    u64 total_exits = 0, instructions = 0, cycles = 0, memory_bytes = 0, vmm_bytes = 0;
};

/// Shows on a terminal how far a run has come, and clears the line at the end.
class Progress {
  public:
    explicit Progress(const std::string& mode) : mode_(mode), terminal_(isatty(STDERR_FILENO)) {}
    ~Progress() {
        if (shown_) fmt::print(stderr, "\r\033[K");
    }
    Progress(const Progress&) = delete;
    Progress& operator=(const Progress&) = delete;
    void show(u64 position) {
        if (!terminal_ || position / kStep == shown_) return;
        shown_ = position / kStep;
        fmt::print(stderr, "\r{}: {} million instructions", mode_, position / 1'000'000);
    }

  private:
    static constexpr u64 kStep = 50'000'000;
    std::string mode_;
    bool terminal_;
    u64 shown_ = 0;
};

Column measure(Session& session, const CompareOptions& options, const std::string& mode) {
    Column column;
    column.mode = mode;
    StuckGuard guard;
    Progress progress(mode);
    RunEnd why = RunEnd::Budget;
    while (why == RunEnd::Budget && session.position() < options.max_instructions && column.end.empty()) {
        why = session.run(std::min(StuckGuard::kSlice, options.max_instructions - session.position()));
        progress.show(session.position());
        if (!options.exit_on.empty() && session.console().find(options.exit_on) != std::string::npos) column.end = "text";
        if (why != RunEnd::Budget || options.max_instructions != kLimitByDefault) continue;
        column.stuck = guard.look(session).value_or("");
        if (!column.stuck.empty()) column.end = "stuck";
    }
    if (column.end.empty()) column.end = why == RunEnd::Halted ? "halted" : why == RunEnd::Idle ? "idle" : "limit";
    column.console = session.console();
    column.cycles = session.machine().cycles();
    column.memory_bytes = session.machine().ram.touched_pages() * kPageSize;
    column.instructions = session.machine().hart().state.retired;
    if (const vmm::Vmm* vmm = session.vmm()) {
        column.instructions = vmm->guest_instructions(session.machine());
        column.vmm_bytes = vmm->vmm_bytes();
        column.total_exits = vmm->exits();
        for (std::size_t i = 0; i < static_cast<std::size_t>(vmm::ExitReason::Count); ++i) {
            const auto reason = static_cast<vmm::ExitReason>(i);
            if (vmm->exits(reason)) column.exits.emplace_back(vmm::exit_reason_row(reason).name, vmm->exits(reason));
        }
    }
    return column;
}

void print_json(const std::vector<Column>& columns) {
    nlohmann::ordered_json list = nlohmann::ordered_json::array();
    for (const Column& column : columns) {
        nlohmann::ordered_json exits = nlohmann::ordered_json::object();
        for (const auto& [reason, count] : column.exits) exits[reason] = count;
        list.push_back({{"mode", column.mode}, {"exits", exits}, {"instructions", column.instructions}, {"cycles", column.cycles},
                        {"memory_bytes", column.memory_bytes}, {"vmm_bytes", column.vmm_bytes}, {"end", column.end}, {"console", column.console}});
    }
    fmt::print("{}\n", list.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
}

void print_row(const std::string& title, const std::vector<Column>& columns, const auto& cell) {
    fmt::print("{:<26}", title);
    for (const Column& column : columns) fmt::print("{:>18}", cell(column));
    fmt::print("\n");
}

void print_table(const std::vector<Column>& columns, const std::string& costs) {
    const auto number = [](u64 value) { return fmt::format("{}", value); };
    print_row("", columns, [](const Column& c) { return c.mode; });
    print_row("guest instructions", columns, [&](const Column& c) { return number(c.instructions); });
    print_row("modelled cycles", columns, [&](const Column& c) { return number(c.cycles); });
    print_row("memory touched, KiB", columns, [&](const Column& c) { return number(c.memory_bytes >> 10); });
    print_row("of it the VMM's tables", columns, [&](const Column& c) { return number(c.vmm_bytes >> 10); });
    print_row("exits", columns, [&](const Column& c) { return number(c.total_exits); });
    for (std::size_t i = 0; i < static_cast<std::size_t>(vmm::ExitReason::Count); ++i) {
        const std::string name = vmm::exit_reason_row(static_cast<vmm::ExitReason>(i)).name;
        const auto count = [&](const Column& c) {
            for (const auto& [reason, n] : c.exits)
                if (reason == name) return n;
            return u64{0};
        };
        if (std::any_of(columns.begin(), columns.end(), [&](const Column& c) { return count(c) != 0; }))
            print_row("  " + name, columns, [&](const Column& c) { return number(count(c)); });
    }
    const bool same = std::all_of(columns.begin(), columns.end(), [&](const Column& c) { return c.console == columns.front().console; });
    print_row("the run", columns, [](const Column& c) { return c.end; });
    fmt::print("\nConsole output: {}. Cycles are those of the cost model \"{}\": compare ratios, not cycles.\n",
               same ? "the same in each mode" : "DIFFERENT between the modes", costs);
}

int compare(CompareOptions options) {
    if (options.modes.empty())
        for (std::size_t i = 0; i < static_cast<std::size_t>(Mode::Count); ++i)
            options.modes.push_back(vmm::mode_row(static_cast<Mode>(i)).name);
    if (options.guest.guest == "tiny-os" && options.guest.append.empty()) options.guest.append = "test"; // so that it ends by itself
    std::vector<Column> columns;
    for (const std::string& mode : options.modes) {
        options.guest.mode = mode;
        auto config = options.guest.config();
        if (!config) return complain(config.error(), kUsage);
        config->checkpoint_every = 0;
        config->record = class_bit(EventClass::Trap); // for StuckGuard
        auto session = Session::create(*config);
        if (!session) return complain(session.error(), kFailed);
        columns.push_back(measure(*session, options, mode));
        if (!columns.back().stuck.empty()) complain(fmt::format("{}, mode {}: {}", options.guest.guest, mode, columns.back().stuck), kFailed);
    }
    if (options.json) print_json(columns);
    else print_table(columns, options.guest.costs);
    return 0;
}

} // namespace

void add_compare(Verbs verbs) {
    auto* verb = verbs.app.add_subcommand("compare", "run the same guest in each mode: exits by reason, instructions, modelled cycles, memory");
    auto options = std::make_shared<CompareOptions>();
    options->guest.add_to(*verb, false);
    verb->add_option("--modes", options->modes, "which modes, separated by commas; all by default")->delimiter(',');
    verb->add_option("--max-instructions", options->max_instructions, "how far to run in each mode")->check(CLI::NonNegativeNumber)->capture_default_str();
    verb->add_option("--exit-on", options->exit_on, "end when the console prints this text");
    verb->add_flag("--json", options->json, "a list of objects: mode, exits (reason to count), instructions, cycles, memory_bytes, vmm_bytes, end, console");
    verb->footer("tiny-os runs its self-test unless --append says otherwise.");
    verb->callback([=, status = &verbs.status] { *status = compare(*options); });
}

} // namespace trapeze::scenarios
