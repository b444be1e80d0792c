// Which frames of the machine's memory containers have mapped, and which of them they share: pages of the files of one image are there once,
// however many containers run from it.
#pragma once

#include "container-sim/kernel.hpp"

namespace trapeze::container {

/// Frames that processes of one container have in their page tables, each counted once.
struct ContainerMemory {
    u32 container = 0;                   ///< number; 0: processes of the host
    u64 mapped = 0;
    u64 shared = 0;                      ///< of them, those that another container has mapped, too
    u64 cached = 0;                      ///< of them, pages of files
    u64 own() const { return mapped - shared; }
    bool operator==(const ContainerMemory&) const = default;
};

/// A row for each container that has a process with memory, by number.
std::vector<ContainerMemory> memory_of_containers(const Kernel& kernel, const Machine& machine);

} // namespace trapeze::container
