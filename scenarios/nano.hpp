// The nanobenchmarks: what one operation costs in a mode. A guest (scenarios/guests/nano) does nothing else, once N and once 2N times; the
// difference of the two runs is what N operations cost, with nothing of the guest's start in it.
#pragma once

#include "scenarios/comparison.hpp"

#include <span>
#include <string>

namespace trapeze::scenarios {

struct NanoOperation {
    const char* name;      ///< as the guest's command line has it
    const char* sentence;
    const char* published; ///< cycles on bare hardware, with binary translation, and hardware-assisted; empty: none that was checked
};
std::span<const NanoOperation> nano_operations();
/// Where the published figures are from, and what is different there.
extern const char* const kNanoSource;
/// The operation with this name; the error lists those that there are.
Result<NanoOperation> nano_operation(const std::string& name);

/// What `rounds` operations cost.
struct NanoCost {
    std::string operation;
    u64 rounds = 0;
    ModeCost cost; ///< the difference of two runs: times and counts alone
    double per_operation(u64 ModeCost::* value) const { return static_cast<double>(cost.*value) / static_cast<double>(rounds); }
};

inline constexpr u64 kMostRounds = 1'000'000;
/// Pre: 1 <= rounds <= kMostRounds.
Result<NanoCost> measure_nano(const NanoOperation& operation, Mode mode, const vmm::CostModel& costs, u64 rounds);

} // namespace trapeze::scenarios
