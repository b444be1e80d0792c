// The container kernel against the peers there are: operations of the kernel beside this machine's own Linux and qemu-riscv64 (user mode), the
// start of containers, and ten thousand of them.
#pragma once

#include "tests/bench/measure.hpp"

namespace trapeze::bench {

/// One operation of tests/container-sim/programs/calls.c.
struct CallWorkload {
    const char* name;
    u64 rounds;              ///< that are measured here; a peer makes so many times more as it is faster
    u64 peer_rounds;
    double target_ns;        ///< of host time, wanted at most; 0: none
    const char* what;
};
inline constexpr CallWorkload kCallWorkloads[] = {
    {"getpid", 2'000'000, 4'000'000, 100, "getpid(2), and the two dozen instructions of its loop"},
    {"pipe", 100'000, 100'000, 0, "a byte through a pipe to another process and one back"},
    {"fork", 3'000, 5'000, 0, "fork, exit and wait"},
    {"exec", 1'000, 2'000, 0, "fork, execve of a static program, its exit and wait"},
    {"open", 100'000, 200'000, 0, "open, read a byte, close"},
    {"fault", 200'000, 400'000, 0, "first store into an anonymous page"},
    {"namespaces", 1'000, 300, 0, "fork, unshare of six namespaces, exit and wait"},
};
struct CallCost {
    Spread ns;               ///< of host time, an operation
    Spread native_ns, qemu_ns; ///< the peers'; median 0: it could not be run here
    Spread over_native;      ///< ratio, pair by pair
    std::string without;     ///< why a peer is missing
};
Result<CallCost> measure_call(const CallWorkload& workload);

/// Host milliseconds from `run` of an image to its first output and its end, in a machine that has run one before.
Result<Spread> container_start();

struct ManyContainers {
    double seconds = 0;      ///< of host time, to start them all
    u64 bytes = 0;           ///< of the host's memory, more than before
    double first_us = 0, last_us = 0; ///< host time of one start among the first and the last hundred
};
/// Starts so many containers of one image that wait for input.
Result<ManyContainers> many_containers(std::size_t count);

} // namespace trapeze::bench
