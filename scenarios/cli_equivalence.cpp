// trapeze equivalence: random programs on the machine itself and in a VM, instruction by instruction, until they differ.
#include "hypervisor-sim/equivalence.hpp"
#include "scenarios/cli.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <unistd.h>

#include <algorithm>

namespace trapeze::scenarios {

namespace {

struct EquivalenceOptions {
    std::vector<std::string> modes{"interpret", "translate", "trap-and-emulate", "hardware-assisted"};
    std::vector<std::string> silent;
    std::string shadow_policy = "virtual-tlb";
    u64 programs = 400, seed = 1;
    unsigned steps = 60;
    bool clustering = false;
};

std::string replay_command(const EquivalenceOptions& options, const std::string& mode, u64 seed) {
    std::string silent;
    for (const std::string& name : options.silent) silent += (silent.empty() ? " --silent " : ",") + name;
    return fmt::format("trapeze equivalence --modes {} --seed {} --programs 1 --steps {}{}{}{}", mode, seed, options.steps, silent,
                       options.shadow_policy == "virtual-tlb" ? "" : " --shadow-policy " + options.shadow_policy, options.clustering ? " --cluster" : "");
}

/// Runs the programs in one mode. The exit status: 0 when all agree.
int check_mode(const EquivalenceOptions& options, vmm::EquivalenceCheck check, const std::string& mode) {
    const bool terminal = isatty(STDERR_FILENO);
    for (u64 i = 0; i < options.programs; ++i) {
        check.seed = options.seed + i;
        auto found = vmm::check_equivalence(check);
        if (!found) return complain(found.error(), kFailed);
        if (terminal && i % 100 == 99) fmt::print(stderr, "\r{}: {} of {} programs", mode, i + 1, options.programs);
        const auto& divergence = found.value();
        if (!divergence) continue;
        if (terminal) fmt::print(stderr, "\r\033[K");
        fmt::print("{}Replay: {}\n", vmm::describe(*divergence), replay_command(options, mode, check.seed));
        return kFailed;
    }
    if (terminal) fmt::print(stderr, "\r\033[K");
    fmt::print("{}: {} programs of {} instructions, the same guest-visible state after each one\n", mode, options.programs, options.steps);
    return 0;
}

int equivalence(const EquivalenceOptions& options) {
    vmm::EquivalenceCheck check;
    check.steps = options.steps;
    check.switches.clustering = options.clustering;
    const auto policy = parse_shadow_policy(options.shadow_policy);
    if (!policy) return complain(policy.error(), kUsage);
    check.switches.shadow_policy = policy.value();
    const auto silent = parse_silent(options.silent);
    if (!silent) return complain(silent.error(), kUsage);
    check.silent = silent.value();
    int status = 0;
    for (const std::string& name : options.modes) {
        const auto mode = vmm::mode_by_name(name);
        if (!mode) return complain(mode.error(), kUsage);
        if (mode.value() == Mode::Paravirtual || mode.value() == Mode::Bare)
            return complain(fmt::format("--modes {}: random programs know no hypervisor, and bare is what the others are compared with; give interpret, translate, "
                                        "trap-and-emulate or hardware-assisted", name), kUsage);
        check.mode = mode.value();
        status = std::max(status, check_mode(options, check, name));
    }
    return status;
}

} // namespace

void add_equivalence(Verbs verbs) {
    auto* verb = verbs.app.add_subcommand("equivalence", "run random programs on the machine and in a VM, and compare all guest-visible state (Popek and Goldberg)");
    auto options = std::make_shared<EquivalenceOptions>();
    verb->add_option("--modes", options->modes, "which modes, separated by commas")->delimiter(',')->capture_default_str();
    verb->add_option("--programs", options->programs, "how many programs, each with a state of its own; 100000 are a night's work")->capture_default_str();
    verb->add_option("--seed", options->seed, "what the first program follows from; the next ones count up")->capture_default_str();
    verb->add_option("--steps", options->steps, "instructions of each")->check(CLI::Range(1u, 100'000u))->capture_default_str();
    verb->add_option("--silent", options->silent, "sensitive operations that do not trap in U-mode, as on x86: " + silent_names())->delimiter(',');
    verb->add_option("--shadow-policy", options->shadow_policy, "virtual-tlb or write-protect")->capture_default_str();
    verb->add_flag("--cluster", options->clustering, "trap-and-emulate: several instructions in one exit");
    verb->footer("Exit status: 0 when all agree, 1 at the first difference, which is shown with a command that repeats it.");
    verb->callback([=, status = &verbs.status] { *status = equivalence(*options); });
}

} // namespace trapeze::scenarios
