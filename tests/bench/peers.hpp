// The two that are compared, each running the same guest file: Trapeze's machine on this thread, and qemu-system-riscv64.
#pragma once

#include "emulator/base/result.hpp"
#include "tests/bench/workloads.hpp"

#include <string>
#include <vector>

namespace trapeze::bench {

struct Sample {
    double cpu_seconds = 0;  ///< user and system time, start-up included
    double wall_seconds = 0;
    u64 instructions = 0;    ///< retired or trapped; 0 when the peer does not tell
    std::string console;
};

/// Runs the guest to its end. `rounds` is ignored by workloads that are not in rounds.
Result<Sample> run_trapeze(const Workload& workload, u64 rounds);
Result<Sample> run_qemu(const Workload& workload, u64 rounds);

/// Runs a command to its end, or until it prints `until`, when it is killed. An error when it fails or takes longer than two minutes.
Result<Sample> run_command(const std::vector<std::string>& command, const std::string& until);

/// Path of a workload's guest or disk. The error says what to set or build.
Result<std::string> path_of(const Workload& workload, const char* file);

} // namespace trapeze::bench
