// trapeze flip: runs a guest up to a place, and lets it go on from there in several modes at once.
#include "scenarios/cli.hpp"
#include "scenarios/lanes.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

namespace trapeze::scenarios {

namespace {

struct FlipOptions {
    GuestOptions guest;
    std::string at;
    std::vector<std::string> modes;
    u64 instructions = 1000, step = 100, max_instructions = 50'000'000;
    bool json = false;
};

int flip(const FlipOptions& options) {
    auto config = options.guest.config();
    if (!config) return complain(config.error(), kUsage);
    std::vector<Mode> modes;
    for (const std::string& name : options.modes) {
        const auto mode = vmm::mode_by_name(name);
        if (!mode) return complain(mode.error(), kUsage);
        modes.push_back(mode.value());
    }
    auto session = Session::create(*config);
    if (!session) return complain(session.error(), kFailed);
    if (!options.at.empty()) {
        const auto place = session->resolve(options.at);
        if (!place) return complain(place.error(), kUsage);
        if (session->run_to(place.value(), options.max_instructions) != RunEnd::Budget || session->guest_state().pc != place.value())
            return complain(fmt::format("the guest never came to {}; give another --at, or more --max-instructions", options.at), kLimit);
    }
    auto lanes = Lanes::create(*session, modes);
    if (!lanes) return complain(lanes.error(), kFailed);
    for (u64 done = 0; done < options.instructions;) {
        const u64 next = std::min(options.step, options.instructions - done);
        lanes->step_together(next);
        done += next;
    }
    fmt::print("{}", options.json ? lanes_json(*lanes) : lanes_text(*lanes));
    return 0;
}

} // namespace

void add_flip(Verbs verbs) {
    auto* verb = verbs.app.add_subcommand("flip", "run a guest up to a place, and go on from there in several modes at once, in aligned lanes");
    auto options = std::make_shared<FlipOptions>();
    options->guest.add_to(*verb, true);
    verb->add_option("--at", options->at, "run until the guest comes to this address or symbol");
    verb->add_option("--modes", options->modes, "two to six modes, separated by commas, to go on in")->delimiter(',')->required();
    verb->add_option("--instructions", options->instructions, "how many instructions each lane's guest executes then")->check(CLI::NonNegativeNumber)->capture_default_str();
    verb->add_option("--step", options->step, "instructions between comparisons of the lanes")->check(CLI::PositiveNumber)->capture_default_str();
    verb->add_option("--max-instructions", options->max_instructions, "how far to run to the place")->check(CLI::NonNegativeNumber)->capture_default_str();
    verb->add_flag("--json", options->json, "an object: lanes (mode, instructions, cycles, exits, state, pc), divergences (mode, what, first, other), diverged_at");
    verb->callback([=, status = &verbs.status] { *status = flip(*options); });
}

} // namespace trapeze::scenarios
