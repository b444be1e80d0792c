// The files of the controllers cpu and cpuset, and pressure.
#include "container-sim/cgroups.hpp"
#include "container-sim/fs/types.hpp"
#include "container-sim/kernel.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

namespace trapeze::container {

namespace {

constexpr u64 kCyclesPerMicrosecond = 1000 / Kernel::kNanosecondsPerCycle;
u64 microseconds(u64 cycles) { return cycles / kCyclesPerMicrosecond; }
constexpr i32 kLeastNice = -20, kMostNice = 19;

/// "0-2,5" as bits. -kEINVAL: it is not a list; -kERANGE: more than there are.
i64 parse_list(std::string_view text, unsigned count, u64& bits) {
    u64 found = 0;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find(','), text.size());
        const std::string_view one = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
        const std::size_t dash = one.find('-');
        const auto first = parse_integer(one.substr(0, dash)), last = dash == std::string_view::npos ? first : parse_integer(one.substr(dash + 1));
        if (!first || !last || *first < 0 || *last < *first) return -kEINVAL;
        if (*last >= static_cast<i64>(count)) return -kERANGE;
        for (i64 i = *first; i <= *last; ++i) found |= u64{1} << i;
    }
    return bits = found, 0;
}
std::string list_text(u64 bits) {
    std::string text;
    for (unsigned first = 0; first < 64; ++first) {
        if (!(bits >> first & 1)) continue;
        unsigned last = first;
        while (last + 1 < 64 && bits >> (last + 1) & 1) ++last;
        text += (text.empty() ? "" : ",") + (first == last ? fmt::format("{}", first) : fmt::format("{}-{}", first, last));
        first = last;
    }
    return text + "\n";
}
constexpr unsigned kHarts = 1, kNodes = 1;

/// What of its parents' bits a group has.
u64 effective(const Kernel& kernel, u32 group, u64 CpusetGroup::*which, u64 all) {
    std::vector<u32> path;
    for (u32 at = group; at != 0; at = kernel.cgroups[at].parent) path.push_back(at);
    for (; !path.empty(); path.pop_back())
        if (const u64 own = kernel.cgroups[path.back()].cpuset.*which & all) all = own;
    return all;
}

} // namespace

/// The words of a line.
std::vector<std::string_view> words_of(std::string_view text) {
    std::vector<std::string_view> words;
    for (std::size_t begin; (begin = text.find_first_not_of(" \t")) != std::string_view::npos;) {
        const std::size_t end = std::min(text.find_first_of(" \t", begin), text.size());
        words.push_back(text.substr(begin, end - begin));
        text.remove_prefix(end);
    }
    return words;
}

u64 Kernel::effective_cpus(u32 group) const { return effective(*this, group, &CpusetGroup::cpus, (u64{1} << kHarts) - 1); }

// --- Pressure: averages as Linux makes them, by steps of two seconds in fixed point --------------------------------------------------------

std::string pressure_text(Pressure& pressure, u64 now) {
    constexpr u64 kStep = 2'000'000'000 / Kernel::kNanosecondsPerCycle, kOne = 2048, kMostSteps = 3000;
    constexpr u64 kDecay[] = {1677, 1981, 2034}; // of 2048, in two seconds, over 10, 60 and 300 seconds
    const u64 steps = (now - pressure.averaged) / kStep;
    if (steps) {
        const u64 passed = now - pressure.averaged;
        const auto average = [&](u64 grown, std::array<u32, 3>& averages) {
            const u64 share = std::min<u64>(grown, passed) * 100 / std::max<u64>(1, passed / kOne); // per cent, in 2048ths
            for (std::size_t i = 0; i < averages.size(); ++i)
                for (u64 step = 0; step < std::min(steps, kMostSteps); ++step) averages[i] = static_cast<u32>((averages[i] * kDecay[i] + share * (kOne - kDecay[i]) + (share >= averages[i] ? kOne - 1 : 0)) / kOne);
        };
        average(pressure.some - pressure.some_then, pressure.some_average);
        average(pressure.full - pressure.full_then, pressure.full_average);
        pressure.averaged = now, pressure.some_then = pressure.some, pressure.full_then = pressure.full;
    }
    const auto line = [&](const char* name, const std::array<u32, 3>& averages, u64 total) {
        const auto number = [](u32 value) { return fmt::format("{}.{:02}", value >> 11, (value & 2047) * 100 >> 11); };
        return fmt::format("{} avg10={} avg60={} avg300={} total={}\n", name, number(averages[0]), number(averages[1]), number(averages[2]), microseconds(total));
    };
    return line("some", pressure.some_average, pressure.some) + line("full", pressure.full_average, pressure.full);
}

namespace cgroup_file {

std::string show_cpu_pressure(const CgroupAccess& access) {
    access.kernel.clock = access.machine.cycles();
    access.kernel.note_stall(access.group);
    return pressure_text(access.own().cpu_pressure, access.machine.cycles());
}
std::string show_memory_pressure(const CgroupAccess& access) {
    access.kernel.clock = access.machine.cycles();
    access.kernel.note_stall(access.group);
    return pressure_text(access.own().memory_pressure, access.machine.cycles());
}
std::string show_io_pressure(const CgroupAccess& access) {
    access.kernel.clock = access.machine.cycles();
    access.kernel.note_stall(access.group);
    return pressure_text(access.own().io_pressure, access.machine.cycles());
}
// Triggers are not there.
i64 store_cpu_pressure(const CgroupAccess&, std::string_view) { return -kEOPNOTSUPP; }
i64 store_memory_pressure(const CgroupAccess&, std::string_view) { return -kEOPNOTSUPP; }
i64 store_io_pressure(const CgroupAccess&, std::string_view) { return -kEOPNOTSUPP; }

// --- cpu ----------------------------------------------------------------------------------------------------------------------------------

std::string show_cpu_stat(const CgroupAccess& access) {
    access.kernel.account_current();
    const CpuGroup& cpu = access.own().cpu;
    std::string text = fmt::format("usage_usec {0}\nuser_usec {0}\nsystem_usec 0\nnice_usec 0\n", microseconds(cpu.used));
    if (access.group == 0 || !(access.kernel.controllers_of(access.group) & bit(Controller::Cpu))) return text;
    const u64 throttled = cpu.throttled_cycles + (cpu.throttled ? access.machine.cycles() - cpu.throttled_since : 0);
    return text + fmt::format("nr_periods {}\nnr_throttled {}\nthrottled_usec {}\nnr_bursts {}\nburst_usec {}\n", cpu.periods, cpu.throttles, microseconds(throttled), cpu.bursts, microseconds(cpu.burst_cycles));
}

std::string show_cpu_weight(const CgroupAccess& access) { return fmt::format("{}\n", access.own().cpu.idle ? 0 : access.own().cpu.weight); }
i64 store_cpu_weight(const CgroupAccess& access, std::string_view text) {
    const auto value = parse_integer(text);
    if (!value || *value < 0 || access.own().cpu.idle) return -kEINVAL;
    if (*value < 1 || *value > 10'000) return -kERANGE;
    return access.own().cpu.weight = static_cast<u32>(*value), 0;
}

/// The nice value whose weight is nearest.
std::string show_cpu_weight_nice(const CgroupAccess& access) {
    const i64 weight = static_cast<i64>((access.own().cpu.weight * u64{1024} + 50) / 100);
    i32 nearest = kLeastNice;
    for (i32 nice = kLeastNice; nice <= kMostNice; ++nice)
        if (std::abs(static_cast<i64>(nice_weight(nice)) - weight) < std::abs(static_cast<i64>(nice_weight(nearest)) - weight)) nearest = nice;
    return fmt::format("{}\n", nearest);
}
i64 store_cpu_weight_nice(const CgroupAccess& access, std::string_view text) {
    const auto value = parse_integer(text);
    if (!value || access.own().cpu.idle) return -kEINVAL;
    if (*value < kLeastNice || *value > kMostNice) return -kERANGE;
    return access.own().cpu.weight = static_cast<u32>(std::clamp<u64>((nice_weight(static_cast<i32>(*value)) * 100 + 512) / 1024, 1, 10'000)), 0;
}

std::string show_cpu_max(const CgroupAccess& access) {
    const CpuGroup& cpu = access.own().cpu;
    return fmt::format("{} {}\n", cpu.quota == kNoLimit ? "max" : fmt::format("{}", microseconds(cpu.quota)), microseconds(cpu.period));
}
i64 store_cpu_max(const CgroupAccess& access, std::string_view text) {
    constexpr u64 kLeast = 1000, kMostPeriod = 1'000'000, kMostQuota = u64{1} << 44; // microseconds
    const auto words = words_of(text);
    CpuGroup& cpu = access.own().cpu;
    if (words.empty()) return -kEINVAL;
    const auto quota = parse_limit(words[0]), period = words.size() > 1 ? parse_limit(words[1]) : std::optional(microseconds(cpu.period));
    if (!quota || !period || *period < kLeast || *period > kMostPeriod || *quota < kLeast || (*quota != kNoLimit && (*quota > kMostQuota || *quota < microseconds(cpu.burst)))) return -kEINVAL;
    Kernel& kernel = access.kernel;
    kernel.account_current();
    kernel.renewals.erase({cpu.period_end, access.group});
    if (std::exchange(cpu.throttled, false)) cpu.throttled_cycles += access.machine.cycles() - cpu.throttled_since;
    cpu.quota = *quota == kNoLimit ? kNoLimit : *quota * kCyclesPerMicrosecond, cpu.period = *period * kCyclesPerMicrosecond;
    cpu.left = cpu.left_first = cpu.quota, cpu.period_end = 0;
    kernel.enqueue_group(access.group);
    return 0;
}

/// What of a quota is left over may be used in later periods, as far as this.
std::string show_cpu_max_burst(const CgroupAccess& access) { return fmt::format("{}\n", microseconds(access.own().cpu.burst)); }
i64 store_cpu_max_burst(const CgroupAccess& access, std::string_view text) {
    constexpr u64 kMost = u64{1} << 44; // microseconds
    const auto burst = parse_integer(text);
    CpuGroup& cpu = access.own().cpu;
    if (!burst || *burst < 0 || static_cast<u64>(*burst) > kMost) return -kEINVAL;
    if (cpu.quota != kNoLimit && static_cast<u64>(*burst) > microseconds(cpu.quota)) return -kEINVAL;
    return cpu.burst = static_cast<u64>(*burst) * kCyclesPerMicrosecond, 0;
}

std::string show_cpu_idle(const CgroupAccess& access) { return access.own().cpu.idle ? "1\n" : "0\n"; }
i64 store_cpu_idle(const CgroupAccess& access, std::string_view text) {
    const auto value = parse_integer(text);
    if (!value || *value < 0 || *value > 1) return -kEINVAL;
    return access.own().cpu.idle = *value == 1, 0;
}

// --- cpuset ---------------------------------------------------------------------------------------------------------------------------------

std::string show_cpuset_cpus(const CgroupAccess& access) { return list_text(access.own().cpuset.cpus); }
i64 store_cpuset_cpus(const CgroupAccess& access, std::string_view text) { return parse_list(text, kHarts, access.own().cpuset.cpus); }
std::string show_cpuset_mems(const CgroupAccess& access) { return list_text(access.own().cpuset.mems); }
i64 store_cpuset_mems(const CgroupAccess& access, std::string_view text) { return parse_list(text, kNodes, access.own().cpuset.mems); }
std::string show_cpuset_cpus_effective(const CgroupAccess& access) { return list_text(access.kernel.effective_cpus(access.group)); }
std::string show_cpuset_mems_effective(const CgroupAccess& access) { return list_text(effective(access.kernel, access.group, &CpusetGroup::mems, (u64{1} << kNodes) - 1)); }

} // namespace cgroup_file
} // namespace trapeze::container
