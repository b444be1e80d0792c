// trapeze nano: what one operation costs in each mode; the table grows as it is measured.
#include "scenarios/cli.hpp"
#include "scenarios/cost_model.hpp"
#include "scenarios/nano.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cstdio>

namespace trapeze::scenarios {

namespace {

struct NanoOptions {
    std::vector<std::string> modes, operations;
    std::string costs = "flat";
    u64 rounds = 1000;
    bool json = false, csv = false;
};

struct Plan {
    std::vector<Mode> modes;
    std::vector<NanoOperation> operations;
    vmm::CostModel costs;
};

Result<Plan> plan(const NanoOptions& options) {
    Plan plan;
    for (std::size_t i = 0; options.modes.empty() && i < static_cast<std::size_t>(Mode::Count); ++i)
        plan.modes.push_back(static_cast<Mode>(i));
    for (const std::string& name : options.modes) {
        const auto mode = vmm::mode_by_name(name);
        if (!mode) return Error{mode.error()};
        plan.modes.push_back(mode.value());
    }
    if (options.operations.empty()) plan.operations.assign(nano_operations().begin(), nano_operations().end());
    for (const std::string& name : options.operations) {
        const auto operation = nano_operation(name);
        if (!operation) return Error{operation.error()};
        plan.operations.push_back(operation.value());
    }
    auto costs = load_cost_model(options.costs);
    if (!costs) return Error{costs.error()};
    plan.costs = std::move(*costs);
    if (options.rounds < 1 || options.rounds > kMostRounds) return Error{fmt::format("--rounds {}: give 1 to {}", options.rounds, kMostRounds)};
    return plan;
}

nlohmann::ordered_json json_of(const NanoCost& nano, const std::string& costs) {
    nlohmann::ordered_json exits = nlohmann::ordered_json::object();
    for (const auto& [reason, count] : nano.cost.exits_by_reason) exits[reason] = count;
    return {{"operation", nano.operation}, {"mode", nano.cost.mode}, {"costs", costs}, {"rounds", nano.rounds}, {"cycles", nano.cost.cycles},
            {"instructions", nano.cost.instructions}, {"exits", exits}, {"total_exits", nano.cost.exits},
            {"cycles_per_operation", nano.per_operation(&ModeCost::cycles)}, {"exits_per_operation", nano.per_operation(&ModeCost::exits)},
            {"entries_per_operation", nano.per_operation(&ModeCost::entries) + nano.per_operation(&ModeCost::nested_entries)},
            {"software_entries_per_operation", nano.per_operation(&ModeCost::software_entries)}};
}

void print_csv(const NanoCost& nano, const std::string& costs) {
    fmt::print("{},{},\"{}\",{},{},{},{},{:.3f},{:.3f}\n", nano.operation, nano.cost.mode, costs, nano.rounds, nano.cost.cycles, nano.cost.instructions, nano.cost.exits,
               nano.per_operation(&ModeCost::cycles), nano.per_operation(&ModeCost::exits));
}

void print_head(const Plan& plan) {
    fmt::print("cycles and exits of one operation; cost model {}\n\n{:<15}", plan.costs.name, "");
    for (const Mode mode : plan.modes) fmt::print("{:>20}", vmm::mode_row(mode).name);
    fmt::print("   published\n");
}

void print_feet() {
    fmt::print("\n");
    for (const NanoOperation& operation : nano_operations()) fmt::print("{:<15}{}\n", operation.name, operation.sentence);
    fmt::print("\nA cycle is an instruction, plus what the cost model charges for exits: a trap that the guest takes by itself costs one. In mode interpret there\n"
               "are no exits: each instruction is interpreted.\n{}", kNanoSource);
}

int nano(const NanoOptions& options) {
    if (options.json && options.csv) return complain("--json and --csv: the output can be one of them; leave one away", kUsage);
    const auto planned = plan(options);
    if (!planned) return complain(planned.error(), kUsage);
    const bool table = !options.json && !options.csv;
    nlohmann::ordered_json list = nlohmann::ordered_json::array();
    if (table) print_head(planned.value());
    if (options.csv) fmt::print("operation,mode,costs,rounds,cycles,instructions,exits,cycles_per_operation,exits_per_operation\n");
    for (const NanoOperation& operation : planned.value().operations) {
        if (table) fmt::print("{:<15}", operation.name);
        for (const Mode mode : planned.value().modes) {
            const auto measured = measure_nano(operation, mode, planned.value().costs, options.rounds);
            if (!measured) return complain(measured.error(), kFailed);
            const NanoCost& cost = measured.value();
            if (options.json) list.push_back(json_of(cost, planned.value().costs.name));
            else if (options.csv) print_csv(cost, planned.value().costs.name);
            else fmt::print("{:>13.1f} {:>6}", cost.per_operation(&ModeCost::cycles), fmt::format("{:.4g}", cost.per_operation(&ModeCost::exits)));
            std::fflush(stdout);
        }
        if (table) fmt::print("   {}\n", operation.published);
    }
    if (options.json) fmt::print("{}\n", list.dump(2));
    if (table) print_feet();
    return 0;
}

} // namespace

void add_nano(Verbs verbs) {
    auto* verb = verbs.app.add_subcommand("nano", "measure single operations in each mode: a system call, a CSR write, a page fault, a context switch, ...");
    auto options = std::make_shared<NanoOptions>();
    verb->add_option("operations", options->operations, "which operations; all by default");
    verb->add_option("--modes", options->modes, "which modes, separated by commas; all that are available by default")->delimiter(',');
    verb->add_option("--costs", options->costs, "cost model: a file, or the name of a shipped one (`trapeze costs` lists them)")->capture_default_str();
    verb->add_option("--rounds", options->rounds, "N: each operation is run N and 2N times, and the difference divided by N")->capture_default_str();
    verb->add_flag("--csv", options->csv, "a line of names, and one for each operation and mode");
    verb->add_flag("--json", options->json, "a list of objects: operation, mode, costs, rounds, cycles, exits (reason to count), cycles_per_operation, ...");
    verb->callback([=, status = &verbs.status] { *status = nano(*options); });
}

} // namespace trapeze::scenarios
