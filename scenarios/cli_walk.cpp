// trapeze walk: runs a guest up to a place, and shows the page walk for an address.
#include "scenarios/cli.hpp"
#include "scenarios/walk.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace trapeze::scenarios {

namespace {

constexpr u64 kStretch = 256; // between looks at the console

struct WalkOptions {
    GuestOptions guest;
    std::string address, exit_on, break_at;
    u64 max_instructions = 2'000'000;
    bool json = false;
};

nlohmann::ordered_json json_of(const PageWalk& walk) {
    nlohmann::ordered_json entries = nlohmann::ordered_json::array();
    for (unsigned i = 0; i < walk.steps; ++i)
        entries.push_back({{"stage", walk.read[i].second ? 2 : 1}, {"level", walk.read[i].level}, {"address", walk.read[i].entry_address}, {"entry", walk.read[i].entry}});
    nlohmann::ordered_json json{{"entries", entries}, {"reads", walk.steps}, {"mapped", walk.outcome == PageWalk::Outcome::Ok}};
    if (walk.outcome == PageWalk::Outcome::Ok) json["physical"] = walk.physical;
    return json;
}

/// Runs until the place that is asked for. Empty: there.
std::string run_to_place(Session& session, const WalkOptions& options) {
    RunEnd why = RunEnd::Budget;
    while (why == RunEnd::Budget && session.position() < options.max_instructions) {
        why = session.run(std::min(kStretch, options.max_instructions - session.position()));
        if (!options.exit_on.empty() && session.console().find(options.exit_on) != std::string::npos) return {};
        if (why == RunEnd::Breakpoint) return {};
    }
    if (!options.exit_on.empty()) return fmt::format("the console never printed \"{}\"; give another --exit-on, or more --max-instructions", options.exit_on);
    if (!options.break_at.empty()) return fmt::format("the guest never came to {}; give another --break, or more --max-instructions", options.break_at);
    return {};
}

int walk(const WalkOptions& options) {
    auto config = options.guest.config();
    if (!config) return complain(config.error(), kUsage);
    config->checkpoint_every = 0;
    config->record = 0;
    auto session = Session::create(*config);
    if (!session) return complain(session.error(), kFailed);
    if (!options.break_at.empty()) {
        const auto place = session->resolve(options.break_at);
        if (!place) return complain(place.error(), kUsage);
        if (const auto added = session->add_breakpoint({.value = place.value(), .label = options.break_at}); !added) return complain(added.error(), kUsage);
    }
    const auto address = session->resolve(options.address);
    if (!address) return complain(address.error(), kUsage);
    if (const std::string missed = run_to_place(*session, options); !missed.empty()) return complain(missed, kLimit);
    if (!options.json) return fmt::print("{}", describe_walks(*session, 0, address.value())), 0;
    nlohmann::ordered_json json{{"address", address.value()}, {"guest", json_of(guest_walk(*session, 0, address.value()))}};
    if (session->vmm() && config->mode != Mode::Interpret) json["machine"] = json_of(machine_walk(*session, address.value()));
    fmt::print("{}\n", json.dump(2));
    return 0;
}

} // namespace

void add_walk(Verbs verbs) {
    auto* verb = verbs.app.add_subcommand("walk", "run a guest up to a place, and show the page walk for an address: every entry read, by stage and level");
    auto options = std::make_shared<WalkOptions>();
    options->guest.add_to(*verb, true);
    verb->add_option("address", options->address, "a virtual address, or a symbol of the guest's")->required();
    verb->add_option("--break", options->break_at, "run until the guest comes to this address or symbol");
    verb->add_option("--exit-on", options->exit_on, "run until the console prints this text");
    verb->add_option("--max-instructions", options->max_instructions, "how far to run otherwise")->check(CLI::NonNegativeNumber)->capture_default_str();
    verb->add_flag("--json", options->json, "an object: address, guest and machine (entries: stage, level, address, entry; reads, mapped, physical)");
    verb->callback([=, status = &verbs.status] { *status = walk(*options); });
}

} // namespace trapeze::scenarios
