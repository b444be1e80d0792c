#include "container-sim/memory_sharing.hpp"

#include "container-sim/page_tables.hpp"

#include <map>
#include <set>

namespace trapeze::container {

namespace {

/// Address spaces of each container: threads, and processes by CLONE_VM, have one together.
std::map<u32, std::set<u32>> spaces_of_containers(const Kernel& kernel) {
    std::map<u32, std::set<u32>> spaces;
    for (const Process& process : kernel.processes)
        for (u32 thread : process.used && !process.zombie ? process.threads : std::vector<u32>())
            if (const u32 space = kernel.tasks[thread].memory) spaces[process.container].insert(space);
    return spaces;
}

/// Calls visit(frame) once for each frame that the container has mapped.
template <class Visit> void visit_frames(const Kernel& kernel, const Machine& machine, const std::set<u32>& spaces, Visit visit) {
    std::vector<bool> seen(kernel.frame_users.size());
    for (u32 space : spaces)
        for (const auto& [begin, vma] : kernel.spaces[space].vmas)
            visit_pages(machine, kernel.spaces[space], begin, vma.end, [&](u64, u64 address) {
                const u64 frame = kernel.frame_index(pte::address(read_entry(machine, address)));
                if (!seen[frame]) seen[frame] = true, visit(frame);
            });
}

} // namespace

std::vector<ContainerMemory> memory_of_containers(const Kernel& kernel, const Machine& machine) {
    const auto spaces = spaces_of_containers(kernel);
    std::vector<u32> containers(kernel.frame_users.size());
    for (const auto& [container, own] : spaces) visit_frames(kernel, machine, own, [&](u64 frame) { ++containers[frame]; });
    std::vector<bool> of_file(kernel.frame_users.size());
    for (const auto& [page, cached] : kernel.page_cache) of_file[kernel.frame_index(cached.frame)] = true;
    std::vector<ContainerMemory> rows;
    for (const auto& [container, own] : spaces) {
        ContainerMemory& row = rows.emplace_back();
        row.container = container;
        visit_frames(kernel, machine, own, [&](u64 frame) { ++row.mapped, row.shared += containers[frame] > 1, row.cached += of_file[frame]; });
    }
    return rows;
}

} // namespace trapeze::container
