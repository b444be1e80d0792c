#include "tests/bench/measure.hpp"

#include "scenarios/session.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <unistd.h>

namespace trapeze::bench {

namespace {

using Peer = Result<Sample> (*)(const Workload&, u64);

constexpr double kEnough = 0.5; ///< seconds of work in a run
constexpr u64 kMostRounds = 10'000'000;

constexpr Workload kEndsAtOnce{.name = "hello", .guest = "bare/hello.elf"};

/// What is subtracted: the same guest with one round; for a boot, a guest that prints a line and ends.
const Workload& short_run(const Workload& workload) { return in_rounds(workload) ? workload : kEndsAtOnce; }

/// Rounds that take a peer about kEnough seconds beyond its start-up.
Result<u64> enough_rounds(const Workload& workload, Peer peer) {
    if (!in_rounds(workload)) return u64{1};
    auto shortest = peer(workload, 1);
    if (!shortest) return Error{shortest.error()};
    for (u64 rounds = 16;; rounds *= 8) {
        auto sample = peer(workload, rounds);
        if (!sample) return Error{sample.error()};
        const double seconds = sample->cpu_seconds - shortest->cpu_seconds;
        if (seconds < 0.1 && rounds < kMostRounds) continue;
        return std::max<u64>(2, static_cast<u64>(static_cast<double>(rounds) * kEnough / seconds));
    }
}

/// One peer's part of a pair: seconds and instructions of one round.
struct Part {
    double seconds = 0, instructions = 0;
    std::string console;
};
Result<Part> part_of(const Workload& workload, u64 rounds, Peer peer) {
    auto shortest = peer(short_run(workload), 1);
    if (!shortest) return Error{shortest.error()};
    auto whole = peer(workload, rounds);
    if (!whole) return Error{whole.error()};
    const double units = in_rounds(workload) ? static_cast<double>(rounds - 1) : 1;
    const double begin = in_rounds(workload) ? static_cast<double>(shortest->instructions) : 0;
    return Part{(whole->cpu_seconds - shortest->cpu_seconds) / units, (static_cast<double>(whole->instructions) - begin) / units, std::move(whole->console)};
}

} // namespace

Spread spread_of(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    const std::size_t half = values.size() / 2;
    const double median = values.size() % 2 ? values[half] : (values[half - 1] + values[half]) / 2;
    return {median, values.front(), values.back()};
}

Result<Comparison> compare(const Workload& workload) {
    const auto trapeze_rounds = enough_rounds(workload, run_trapeze);
    if (!trapeze_rounds) return Error{trapeze_rounds.error()};
    const auto qemu_rounds = enough_rounds(workload, run_qemu);
    if (!qemu_rounds) return Error{qemu_rounds.error()};
    std::vector<double> speeds, trapeze_seconds, qemu_seconds;
    Comparison comparison;
    for (int pair = 0; pair < kPairs; ++pair) {
        auto trapeze = part_of(workload, trapeze_rounds.value(), run_trapeze);
        if (!trapeze) return Error{trapeze.error()};
        auto qemu = part_of(workload, qemu_rounds.value(), run_qemu);
        if (!qemu) return Error{qemu.error()};
        if (in_rounds(workload) && trapeze->console != qemu->console)
            return Error{fmt::format("{}: Trapeze printed \"{}\", QEMU \"{}\"", workload.name, trapeze->console, qemu->console)};
        speeds.push_back(qemu->seconds / trapeze->seconds);
        trapeze_seconds.push_back(trapeze->seconds);
        qemu_seconds.push_back(qemu->seconds);
        comparison.instructions = trapeze->instructions;
    }
    comparison.speed = spread_of(speeds);
    comparison.trapeze_seconds = spread_of(trapeze_seconds).median;
    comparison.qemu_seconds = spread_of(qemu_seconds).median;
    comparison.trapeze_mips = comparison.instructions / comparison.trapeze_seconds * 1e-6;
    return comparison;
}

Result<Spread> first_picture() {
    const std::string picture = (std::filesystem::temp_directory_path() / fmt::format("trapeze-bench-{}.png", getpid())).string();
    std::vector<double> seconds;
    for (int i = 0; i < kPairs; ++i) {
        std::error_code failed;
        std::filesystem::remove(picture, failed);
        auto sample = run_command({scenarios::build_folder() + "/bin/trapeze", "--screenshot", picture}, "");
        const bool drawn = std::filesystem::exists(picture, failed);
        std::filesystem::remove(picture, failed);
        if (!sample) return Error{sample.error()};
        if (!drawn) return Error{"the program ended without a picture"};
        seconds.push_back(sample->wall_seconds);
    }
    return spread_of(seconds);
}

} // namespace trapeze::bench
