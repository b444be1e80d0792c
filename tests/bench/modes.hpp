// Host time of a mode against bare, on the same guest: the nanobenchmarks (scenarios/guests/nano), whose rounds the command line chooses.
#pragma once

#include "tests/bench/measure.hpp"

#include "hypervisor-sim/vmm.hpp"

#include <vector>

namespace trapeze::bench {

struct ModeWorkload {
    const char* name;
    const char* operation;     ///< of the nanobenchmarks
    double assisted_target;    ///< wanted at most, hardware-assisted over bare; 0: none
    double emulated_target;    ///< the same, trap-and-emulate
    const char* what;
};
inline constexpr ModeWorkload kModeWorkloads[] = {
    {"integer", "call-return", 1.1, 1.15, "a loop that calls a function"},
    {"syscall", "syscall", 0, 0, "a system call and the return from it"},
    {"page_fault", "page-fault", 1.5, 0, "a page fault that the guest's kernel handles"},
    {"process", "process", 0, 0, "tables made, four pages copied, a process run"},
};

/// Seconds of host CPU of one operation in `mode` with the exits' dossiers recorded over those without, in the same way.
Result<Spread> dossiers_over_none(const ModeWorkload& workload, vmm::Mode mode);
/// Seconds of host CPU of one operation in `mode` over those of one bare: kPairs pairs, interleaved, start-up subtracted.
Result<Spread> mode_over_bare(const ModeWorkload& workload, vmm::Mode mode);

} // namespace trapeze::bench
