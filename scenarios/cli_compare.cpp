// trapeze compare: the same guest in each mode, side by side.
#include "scenarios/cli.hpp"
#include "emulator/replace_file.hpp"
#include "scenarios/comparison.hpp"
#include "scenarios/container_comparison.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <unistd.h>

#include <algorithm>

namespace trapeze::scenarios {

namespace {

constexpr u64 kLimitByDefault = 2'000'000'000;
constexpr const char* kTinyOsBooted = "paging is on"; // the last line of its kernel before the first process runs

struct CompareOptions {
    GuestOptions guest;
    std::vector<std::string> modes;
    u64 max_instructions = kLimitByDefault;
    std::string exit_on, boot_mark, picture;
    bool json = false, csv = false, exits = false, container = false;
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

void print_row(const std::string& title, const std::vector<ModeCost>& columns, const auto& cell) {
    fmt::print("{:<26}", title);
    for (const ModeCost& column : columns) fmt::print("{:>18}", cell(column));
    fmt::print("\n");
}

void print_table(const std::vector<ModeCost>& columns, const std::string& costs, const std::string& boot_mark) {
    print_row("", columns, [](const ModeCost& c) { return c.mode; });
    for (const ModeFigure& figure : mode_figures()) {
        const auto value = [&](const ModeCost& c) { return c.*figure.value; };
        const bool part = figure.title[0] == ' '; // of the figure above: left out when there is none of it
        if (part && std::none_of(columns.begin(), columns.end(), [&](const ModeCost& c) { return value(c) != 0; })) continue;
        print_row(figure.title, columns, [&](const ModeCost& c) {
            return figure.value == &ModeCost::boot_cycles && !value(c) ? std::string("-") : fmt::format("{}", value(c) >> figure.shift);
        });
    }
    for (const std::string& reason : reasons_of(columns)) print_row("  " + reason, columns, [&](const ModeCost& c) { return fmt::format("{}", c.exits_of(reason)); });
    print_row("the host's seconds", columns, [](const ModeCost& c) { return fmt::format("{:.2f}", c.host_seconds); });
    print_row("the run", columns, [](const ModeCost& c) { return c.end; });
    const bool same = std::all_of(columns.begin(), columns.end(), [&](const ModeCost& c) { return c.console == columns.front().console; });
    fmt::print("\nConsole output: {}. Cycles are those of the cost model \"{}\": compare ratios, not cycles.\n",
               same ? "the same in each mode" : "DIFFERENT between the modes", costs);
    if (boot_mark.empty()) return;
    fmt::print("Booted: when the console held \"{}\" (--boot-mark), to within {} instructions.\n", boot_mark, CompareLimits::kBootSlice);
}

Result<void> write_picture(const CompareOptions& options, const std::vector<ModeCost>& columns, const std::string& costs) {
    const std::string svg = comparison_svg(columns, options.guest.guest, costs);
    return replace_file(options.picture, {reinterpret_cast<const u8*>(svg.data()), svg.size()});
}

/// The program in a container and in VMs.
int compare_places(CompareOptions options) {
    PlacesAsked asked;
    asked.program = options.guest.guest;
    if (options.exits || !options.picture.empty() || !options.exit_on.empty() || !options.boot_mark.empty())
        return complain("compare --container has no --exits, --picture, --exit-on or --boot-mark; leave these away", kUsage);
    options.guest.guest = "tiny-os";
    for (const std::string& mode : options.modes) {
        options.guest.mode = mode;
        auto config = options.guest.config();
        if (!config) return complain(config.error(), kUsage);
        asked.modes.push_back(config->mode), asked.memory_bytes = config->memory_bytes, asked.costs = config->costs;
    }
    if (options.max_instructions != kLimitByDefault) asked.units = options.max_instructions;
    const auto places = measure_places(asked);
    if (!places) return complain(places.error(), kUsage);
    fmt::print("{}", options.json ? places_json(places.value()) : options.csv ? places_csv(places.value()) : places_text(places.value()));
    return 0;
}

int compare(CompareOptions options) {
    if (options.json + options.csv + options.exits > 1) return complain("--json, --csv and --exits: the output can be one of them; leave the others away", kUsage);
    if (!options.picture.empty() && !options.picture.ends_with(".svg"))
        return complain(fmt::format("--picture {}: the picture is SVG; give a file that ends in .svg", options.picture), kUsage);
    if (options.modes.empty())
        for (std::size_t i = 0; i < static_cast<std::size_t>(Mode::Count); ++i)
            options.modes.push_back(vmm::mode_row(static_cast<Mode>(i)).name);
    if (options.container) return compare_places(std::move(options));
    if (options.guest.guest == "tiny-os" && options.guest.append.empty()) options.guest.append = "test"; // so that it ends by itself
    if (options.guest.guest == "tiny-os" && options.boot_mark.empty()) options.boot_mark = kTinyOsBooted;
    CompareLimits limits{options.max_instructions, options.max_instructions == kLimitByDefault, options.exit_on, options.boot_mark};
    std::vector<ModeCost> columns;
    std::string costs;
    for (const std::string& mode : options.modes) {
        options.guest.mode = mode;
        auto config = options.guest.config();
        if (!config) return complain(config.error(), kUsage);
        costs = config->costs.name;
        config->checkpoint_every = 0;
        config->record = class_bit(EventClass::Trap); // for StuckGuard
        auto session = Session::create(*config);
        if (!session) return complain(session.error(), kFailed);
        Progress progress(mode);
        columns.push_back(measure_mode(*session, limits, [&](u64 position) { progress.show(position); }));
        if (!columns.back().stuck.empty()) complain(fmt::format("{}, mode {}: {}", options.guest.guest, mode, columns.back().stuck), kFailed);
    }
    if (options.json) fmt::print("{}", comparison_json(columns, costs));
    else if (options.csv) fmt::print("{}", comparison_csv(columns, costs));
    else if (options.exits) fmt::print("{}", comparison_exits(columns));
    else print_table(columns, costs, options.boot_mark);
    if (!options.picture.empty())
        if (const auto written = write_picture(options, columns, costs); !written) return complain(written.error(), kFailed);
    return 0;
}

} // namespace

void add_compare(Verbs verbs) {
    auto* verb = verbs.app.add_subcommand("compare", "run the same guest in each mode: modelled cycles, exits by reason, page walks, memory");
    auto options = std::make_shared<CompareOptions>();
    options->guest.add_to(*verb, false);
    verb->add_option("--modes", options->modes, "which modes, separated by commas; all by default")->delimiter(',');
    verb->add_option("--max-instructions", options->max_instructions, "how far to run in each mode")->check(CLI::NonNegativeNumber)->capture_default_str();
    verb->add_option("--exit-on", options->exit_on, "end when the console prints this text");
    verb->add_option("--boot-mark", options->boot_mark, "text of the console that ends the boot; tiny-os has one of its own");
    verb->add_option("--picture", options->picture, "draw bars of cycles, and of exits by reason, into this SVG file");
    verb->add_flag("--container", options->container, "the guest is a program of tiny-os, such as hello: run it in a container and in a VM of each mode");
    verb->add_flag("--csv", options->csv, "a line of names, and one for each mode");
    verb->add_flag("--exits", options->exits, "exits alone, a line for each mode and reason: mode, reason, count");
    verb->add_flag("--json", options->json, "a list of objects: mode, costs, instructions, cycles, exits (reason to count), page walks, memory, host_seconds, end, console");
    verb->footer("tiny-os runs its self-test unless --append says otherwise. Page walks are the hart's own, where its TLB misses; pages of devices are in no TLB.");
    verb->callback([=, status = &verbs.status] { *status = compare(*options); });
}

} // namespace trapeze::scenarios
