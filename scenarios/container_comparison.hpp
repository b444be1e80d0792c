// The same program file in a container and in a VM of each mode, side by side: what it takes until the program says its first word, and which
// boundary is crossed how often on the way. tiny-os has Linux's system-call numbers, so its programs run in both.
#pragma once

#include "scenarios/session.hpp"

#include <span>
#include <string>
#include <vector>

namespace trapeze::scenarios {

/// One place where the program ran. All but host_seconds is exact.
struct PlaceCost {
    std::string place;          ///< "container", or the mode of the VM
    std::string boundary;       ///< what is crossed, in words
    u64 start_instructions = 0; ///< retired from the start of everything to the first output; 0: there was none
    u64 start_cycles = 0;       ///< of the cost model
    u64 instructions = 0, cycles = 0; ///< to the end
    u64 crossings = 0;          ///< exits of the VM; system calls and page faults of the container
    u64 system_calls = 0;       ///< that the kernel outside has answered; of a VM none: they are the guest kernel's
    u64 table_reads = 0;        ///< entries of page tables that the hart or the VMM has read
    u64 memory_bytes = 0;       ///< of the machine, touched
    double host_seconds = 0;    ///< differs from run to run
    std::string output, end;    ///< the program's; "halted", "idle" or "limit"
    bool operator==(const PlaceCost&) const = default;
};
struct PlaceFigure {
    const char* key;
    const char* title;
    u64 PlaceCost::* value;
    unsigned shift = 0;         ///< bits that the table leaves out (10: KiB)
};
std::span<const PlaceFigure> place_figures();

struct PlacesAsked {
    std::string program{};      ///< of tiny-os's /bin
    std::vector<Mode> modes{};
    u64 memory_bytes = u64{128} << 20, units = 500'000'000;
    vmm::CostModel costs{};
};
/// Runs it everywhere, the container first. The error says what is missing.
Result<std::vector<PlaceCost>> measure_places(const PlacesAsked& asked);

std::string places_text(std::span<const PlaceCost> places);
std::string places_json(std::span<const PlaceCost> places);
std::string places_csv(std::span<const PlaceCost> places);

} // namespace trapeze::scenarios
