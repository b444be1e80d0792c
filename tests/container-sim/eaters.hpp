// Containers that run the program `eater`, for tests of what cgroups limit: its words say what it takes (programs/eater.c).
#pragma once

#include "tests/container-sim/container.hpp"

namespace trapeze::test {

using container::FrameKind;
using container::MemoryEvent;
using container::MemoryGroup;

inline constexpr u64 kMegabyte = (u64{1} << 20) / kPageSize; ///< in pages

/// Each container is in a group of its own below the root.
struct Eaters {
    RootFolder root;
    World world;

    explicit Eaters(u64 ram_bytes = u64{32} << 20) : world(ram_bytes, kAllClasses) {
        root.program("probes/eater", "eater").file("dev/keep", "").file("tmp/keep", "");
        root.file("big", std::string(u64{4} << 20, 'x'));
    }
    u32 start(std::vector<std::string> words) {
        words.insert(words.begin(), "/eater");
        return world.start({.rootfs = root.path(), .arguments = words});
    }
    u32 group_of(u32 own) const { return world.kernel.processes[world.kernel.ttys[own].init].cgroup; }
    MemoryGroup& memory(u32 group) { return world.kernel.cgroups[group].memory; }
    u64 event(u32 group, MemoryEvent event) { return memory(group).events[static_cast<std::size_t>(event)]; }
    u64 kind(u32 group, FrameKind kind) { return memory(group).kinds[static_cast<std::size_t>(kind)]; }
    std::string output(u32 own) {
        std::string text = world.kernel.take_output(own);
        std::erase(text, '\r');
        return text;
    }
};

} // namespace trapeze::test
