#include "tests/bench/back.hpp"

#include "scenarios/session.hpp"

#include <fmt/format.h>

#include <ctime>
#include <fstream>
#include <random>

namespace trapeze::bench {

namespace {

constexpr int kRecordings = 3, kPlaces = 60;

double processor_seconds() {
    timespec now{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

/// Of this process, resident.
double mebibytes() {
    std::ifstream file("/proc/self/statm");
    double all = 0, resident = 0;
    file >> all >> resident;
    return resident * kPageSize / (1 << 20);
}

Result<scenarios::Session> session_of(const BackWorkload& workload, u64 checkpoint_every) {
    scenarios::SessionConfig config;
    config.guest = "nano", config.append = workload.append, config.mode = workload.mode;
    config.checkpoint_every = checkpoint_every;
    return scenarios::Session::create(std::move(config));
}

/// Processor seconds of the whole run.
Result<double> run_whole(const BackWorkload& workload, scenarios::Session& session) {
    const double before = processor_seconds();
    session.run(workload.units);
    if (session.position() < workload.units) return Error{fmt::format("{}: the guest ends after {} units", workload.name, session.position())};
    return processor_seconds() - before;
}

/// Milliseconds of one call, which must succeed.
template <class Call>
Result<double> time_of(const Call& call) {
    const double before = processor_seconds();
    if (auto done = call(); !done) return Error{done.error()};
    return (processor_seconds() - before) * 1e3;
}

} // namespace

Result<BackResult> measure_back(const BackWorkload& workload) {
    const u64 every = scenarios::SessionConfig{}.checkpoint_every;
    BackResult result;
    std::vector<double> ratios;
    for (int i = 0; i < kRecordings; ++i) {
        auto plain = session_of(workload, 0);
        if (!plain) return Error{plain.error()};
        auto without = run_whole(workload, *plain);
        if (!without) return Error{without.error()};
        auto recorded = session_of(workload, every);
        if (!recorded) return Error{recorded.error()};
        auto with = run_whole(workload, *recorded);
        if (!with) return Error{with.error()};
        ratios.push_back(*with / *without);
    }
    result.recording = spread_of(ratios);

    auto session = session_of(workload, every);
    if (!session) return Error{session.error()};
    if (auto whole = run_whole(workload, *session); !whole) return Error{whole.error()};
    result.mebibytes = mebibytes();
    const scenarios::Session end = *session;
    std::mt19937_64 lot(1);
    std::vector<double> jumps, steps;
    for (int i = 0; i < kPlaces; ++i) {
        const u64 place = 1 + lot() % (workload.units - 1);
        scenarios::Session here = end; // what one jump leaves behind does not help the next one
        auto jump = time_of([&] { return here.go_to(place); });
        if (!jump) return Error{jump.error()};
        auto step = time_of([&] { return here.step_back(); });
        if (!step) return Error{step.error()};
        jumps.push_back(*jump), steps.push_back(*step);
    }
    result.jump = spread_of(jumps), result.step = spread_of(steps);
    return result;
}

} // namespace trapeze::bench
