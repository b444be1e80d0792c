// How two peers are compared: pairs of runs, interleaved, each with a short run beside it whose time is subtracted.
#pragma once

#include "tests/bench/peers.hpp"

namespace trapeze::bench {

inline constexpr int kPairs = 5;

struct Spread {
    double median = 0, least = 0, most = 0;
};
/// Pre: not empty.
Spread spread_of(std::vector<double> values);

struct Comparison {
    Spread speed;                ///< Trapeze's, as a multiple of QEMU's
    double trapeze_seconds = 0;  ///< of a round, or of the boot; median
    double qemu_seconds = 0;
    double instructions = 0;     ///< guest instructions of a round or of the boot, as Trapeze counts them
    double trapeze_mips = 0;     ///< million guest instructions a second; median
};
/// Chooses rounds for each side so that it works for about half a second, then runs kPairs pairs. An error when a peer fails or
/// when the two print different check values.
Result<Comparison> compare(const Workload& workload);

/// Wall-clock seconds of the built program from its start until it has written the debugger's first picture.
Result<Spread> first_picture();

} // namespace trapeze::bench
