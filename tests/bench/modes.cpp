#include "tests/bench/modes.hpp"

#include "scenarios/session.hpp"

#include <fmt/format.h>

#include <ctime>

namespace trapeze::bench {

namespace {

constexpr double kEnoughSeconds = 0.2;
constexpr u64 kMostRounds = u64{1} << 27;

double cpu_seconds() {
    timespec now{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

struct Way {
    vmm::Mode mode;
    bool dossiers = true;
};

/// Runs the guest to its end; the host's CPU time of that.
Result<double> run_rounds(const ModeWorkload& workload, Way way, u64 rounds) {
    scenarios::SessionConfig config;
    config.guest = "nano", config.mode = way.mode, config.dossiers = way.dossiers, config.append = fmt::format("{} {}", workload.operation, rounds);
    config.record = 0, config.checkpoint_every = 0;
    auto session = scenarios::Session::create(config);
    if (!session) return Error{session.error()};
    const double begin = cpu_seconds();
    constexpr u64 kMostUnits = u64{1} << 36;
    if (session->run(kMostUnits) != scenarios::RunEnd::Halted)
        return Error{fmt::format("nano, {} in mode {}: the guest does not end", config.append, vmm::mode_row(way.mode).name)};
    return cpu_seconds() - begin;
}

/// Rounds that take about kEnoughSeconds in this way.
Result<u64> enough_rounds(const ModeWorkload& workload, Way way) {
    for (u64 rounds = 256;; rounds *= 4) {
        const auto seconds = run_rounds(workload, way, rounds);
        if (!seconds) return Error{seconds.error()};
        if (seconds.value() > kEnoughSeconds / 4 || rounds >= kMostRounds)
            return std::max<u64>(256, static_cast<u64>(static_cast<double>(rounds) * kEnoughSeconds / std::max(seconds.value(), 1e-6)));
    }
}

Result<double> seconds_of_one(const ModeWorkload& workload, Way way, u64 rounds) {
    const auto once = run_rounds(workload, way, rounds), twice = run_rounds(workload, way, 2 * rounds);
    if (!once) return once;
    if (!twice) return twice;
    return (twice.value() - once.value()) / static_cast<double>(rounds);
}

/// Host time of one way over another: kPairs interleaved pairs.
Result<Spread> ratios(const ModeWorkload& workload, Way way, Way base) {
    const auto rounds = enough_rounds(workload, way), rounds_base = enough_rounds(workload, base);
    if (!rounds) return Error{rounds.error()};
    if (!rounds_base) return Error{rounds_base.error()};
    std::vector<double> all;
    for (int i = 0; i < kPairs; ++i) {
        const auto below = seconds_of_one(workload, base, rounds_base.value()), above = seconds_of_one(workload, way, rounds.value());
        if (!below) return Error{below.error()};
        if (!above) return Error{above.error()};
        all.push_back(above.value() / below.value());
    }
    return spread_of(std::move(all));
}

} // namespace

Result<Spread> mode_over_bare(const ModeWorkload& workload, vmm::Mode mode) { return ratios(workload, {mode, false}, {vmm::Mode::Bare, false}); }

Result<Spread> dossiers_over_none(const ModeWorkload& workload, vmm::Mode mode) { return ratios(workload, {mode, true}, {mode, false}); }

} // namespace trapeze::bench
