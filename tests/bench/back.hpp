// What going back costs: recording while a guest runs, and steps back to any place of a long run.
#pragma once

#include "tests/bench/measure.hpp"

#include "hypervisor-sim/vmm.hpp"

namespace trapeze::bench {

struct BackWorkload {
    const char* name;
    const char* append; ///< operation of the nanobenchmarks and its rounds, more than the run needs
    vmm::Mode mode;
    u64 units;          ///< length of the run, in units of progress
    const char* what;
};
inline constexpr BackWorkload kBackWorkloads[] = {
    {"bare_integer", "call-return 4000000000", vmm::Mode::Bare, 10'000'000'000, "ten billion instructions of a loop that calls a function"},
    {"bare_syscall", "syscall 400000000", vmm::Mode::Bare, 10'000'000'000, "ten billion instructions of system calls"},
    {"bare_page_fault", "page-fault 400000000", vmm::Mode::Bare, 10'000'000'000, "ten billion instructions of page faults"},
    {"assisted_syscall", "syscall 400000000", vmm::Mode::HardwareAssisted, 1'000'000'000, "a billion instructions of system calls"},
    {"emulated_syscall", "syscall 400000000", vmm::Mode::TrapAndEmulate, 20'000'000, "twenty million instructions of system calls, two exits each"},
    {"emulated_integer", "call-return 4000000000", vmm::Mode::TrapAndEmulate, 1'000'000'000, "a billion instructions of a loop that calls a function"},
};

struct BackResult {
    Spread recording; ///< processor time of the run with checkpoints over that without
    Spread jump;      ///< milliseconds to a place chosen by lot, in a session that is at the end of the run
    Spread step;      ///< milliseconds of one step back from there
    double mebibytes = 0; ///< resident in all of the process at the end of the run
};
Result<BackResult> measure_back(const BackWorkload& workload);

} // namespace trapeze::bench
