// The tree of cgroups with what each uses, of which limit, what its controllers have refused, and how long its tasks have waited.
#include "container-sim/seen/seen.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace trapeze::container {

namespace {

constexpr u64 kCyclesPerMicrosecond = 1000 / Kernel::kNanosecondsPerCycle;
u64 microseconds(u64 cycles) { return cycles / kCyclesPerMicrosecond; }

/// The number behind "avg10=" in a line of a pressure file.
std::string average_in(const std::string& text, const char* line) {
    const std::size_t begin = text.find(std::string(line) + " avg10=");
    if (begin == std::string::npos) return "0.00";
    const std::size_t value = text.find('=', begin) + 1;
    return text.substr(value, text.find(' ', value) - value);
}

PressureSeen seen_pressure(const char* resource, Pressure pressure, u64 now) {
    const std::string text = pressure_text(pressure, now);
    return {resource, microseconds(pressure.some), microseconds(pressure.full), average_in(text, "some"), average_in(text, "full")};
}

void add_cpu(const Cgroup& group, u64 now, CgroupSeen& seen) {
    const CpuGroup& cpu = group.cpu;
    seen.weight = cpu.idle ? 0 : cpu.weight;
    seen.quota = cpu.quota == kNoLimit ? kNoLimit : microseconds(cpu.quota), seen.period = microseconds(cpu.period);
    seen.used_cpu = microseconds(cpu.used), seen.throttled = cpu.throttled;
    seen.throttled_cpu = microseconds(cpu.throttled_cycles + (cpu.throttled && now > cpu.throttled_since ? now - cpu.throttled_since : 0));
    if (seen.quota != kNoLimit && cpu.period_end) seen.figures.push_back({"cpu", "this period", microseconds(cpu.quota - std::min(cpu.left, cpu.quota)), seen.quota, "us"});
    seen.counts.push_back({"cpu.stat nr_periods", cpu.periods});
    seen.counts.push_back({"cpu.stat nr_throttled", cpu.throttles});
}

void add_memory(const MemoryGroup& memory, CgroupSeen& seen) {
    static constexpr const char* kEvents[kMemoryEvents] = {"low", "high", "max", "oom", "oom_kill", "oom_group_kill"};
    const auto bytes = [](u64 pages) { return pages == kNoLimit ? kNoLimit : pages * kPageSize; };
    seen.figures.push_back({"memory", "current", bytes(memory.pages), bytes(memory.most), "bytes"});
    if (memory.high != kNoLimit) seen.figures.push_back({"memory", "high", bytes(memory.pages), bytes(memory.high), "bytes"});
    for (std::size_t i = 0; i < kMemoryEvents; ++i) seen.counts.push_back({fmt::format("memory.events {}", kEvents[i]), memory.events[i]});
}

void add_others(const Kernel& kernel, u32 number, const Cgroup& group, CgroupSeen& seen) {
    const ControllerSet own = kernel.controllers_of(number);
    if (own & bit(Controller::Pids)) {
        seen.figures.push_back({"pids", "current", group.pids.current, group.pids.most, "tasks"});
        seen.counts.push_back({"pids.events max", group.pids.refused});
    }
    if (own & bit(Controller::Memory)) add_memory(group.memory, seen);
    if (group.most_descendants != kNoLimit) seen.figures.push_back({"cgroup", "descendants", group.descendants, group.most_descendants, "groups"});
}

CgroupSeen seen_group(const Kernel& kernel, u32 number, u64 now) {
    const Cgroup& group = kernel.cgroups[number];
    CgroupSeen seen;
    seen.number = number, seen.depth = group.level;
    seen.path = kernel.cgroup_path(number, 0), seen.name = number ? group.name : "/";
    seen.controllers = controllers_text(kernel.controllers_of(number)), seen.given = controllers_text(group.subtree_control);
    for (std::string* text : {&seen.controllers, &seen.given})
        if (!text->empty() && text->back() == '\n') text->pop_back();
    std::set<i32> processes;
    for (u32 task : group.members) processes.insert(kernel.processes[kernel.tasks[task].process].pid);
    seen.processes.assign(processes.begin(), processes.end());
    seen.threads = static_cast<u32>(group.members.size());
    seen.populated = group.populated(), seen.frozen = group.frozen_by != 0, seen.removed = group.removed;
    if (kernel.controllers_of(number) & bit(Controller::Cpu)) add_cpu(group, now, seen);
    else seen.used_cpu = microseconds(group.cpu.used);
    add_others(kernel, number, group, seen);
    seen.pressure = {seen_pressure("cpu", group.cpu_pressure, now), seen_pressure("memory", group.memory_pressure, now), seen_pressure("io", group.io_pressure, now)};
    return seen;
}

} // namespace

std::vector<CgroupSeen> cgroup_tree(const Kernel& kernel, u64 now) {
    std::vector<CgroupSeen> tree;
    std::vector<u32> next{0};
    while (!next.empty()) {
        const u32 number = next.back();
        next.pop_back();
        tree.push_back(seen_group(kernel, number, now));
        const auto& below = kernel.cgroups[number].children;
        for (auto child = below.rbegin(); child != below.rend(); ++child) next.push_back(child->second);
    }
    return tree;
}

} // namespace trapeze::container
