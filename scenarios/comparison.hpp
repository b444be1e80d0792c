// The ledger of what each mode costs: the same guest run in several modes, and what was counted of each. Everything but the host's time
// is exact: the same on every machine.
#pragma once

#include "scenarios/session.hpp"

#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace trapeze::scenarios {

/// What one mode cost. Times in cycles are those of the cost model.
struct ModeCost {
    std::string mode, console, end, stuck;
    u64 instructions = 0;       ///< retired by the guest, directly or emulated
    u64 cycles = 0;
    u64 boot_cycles = 0;        ///< until the console held the mark; 0: it never did, or none was given
    u64 exits = 0;
    std::vector<std::pair<std::string, u64>> exits_by_reason;
    u64 walks = 0, entries = 0, nested_walks = 0, nested_entries = 0; ///< of page tables by the machine's hart, in one stage and in two
    u64 software_entries = 0;   ///< entries of the guest's tables that the VMM read
    u64 flushes = 0;            ///< of the hart's TLB
    u64 memory_bytes = 0;       ///< of the machine that were ever touched
    u64 vmm_bytes = 0;          ///< of them the VMM's own, for this VM
    u64 shadow_bytes = 0, gstage_bytes = 0, other_vmm_bytes = 0;
    double host_seconds = 0;    ///< differs from run to run

    u64 exits_of(const std::string& reason) const;
    bool operator==(const ModeCost&) const = default;
};

/// One number of the ledger: its key in JSON and CSV, its title in the table, and how many bits the table leaves out (10: KiB).
struct ModeFigure {
    const char* key;
    const char* title;
    u64 ModeCost::* value;
    unsigned shift = 0;
};
std::span<const ModeFigure> mode_figures();

struct CompareLimits {
    u64 units = 2'000'000'000;  ///< how far to run
    bool stop_when_stuck = true;
    std::string exit_on;        ///< end when the console holds this; empty: nothing
    std::string boot_mark;      ///< the end of the boot; empty: none. Looked for every kBootSlice units
    static constexpr u64 kBootSlice = 256;
};

/// Runs a session to its end, or to a limit, and counts. `progress` is called with the position from time to time.
ModeCost measure_mode(Session& session, const CompareLimits& limits, const std::function<void(u64)>& progress = {});
/// What was counted of a session so far.
ModeCost count_mode(const Session& session);
/// The reasons that some mode exited for, in the order of the table of reasons.
std::vector<std::string> reasons_of(std::span<const ModeCost> modes);

std::string comparison_json(std::span<const ModeCost> modes, const std::string& costs);
/// A line of keys, and one for each mode.
std::string comparison_csv(std::span<const ModeCost> modes, const std::string& costs);
/// Exits alone, a line for each mode and reason, as tests/golden has them.
std::string comparison_exits(std::span<const ModeCost> modes);
/// A picture: for each mode a bar of cycles, and one of exits that is divided by reason.
std::string comparison_svg(std::span<const ModeCost> modes, const std::string& guest, const std::string& costs);

} // namespace trapeze::scenarios
