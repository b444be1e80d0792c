// The process x namespace matrix, and who is in each namespace.
#include "container-sim/seen/seen.hpp"

#include <algorithm>

namespace trapeze::container {

namespace {

constexpr NamespaceKind kind_at(std::size_t i) { return static_cast<NamespaceKind>(i); }

/// What its cgroup, network, mounts and clock look like from inside.
void add_surroundings(const Kernel& kernel, const Task& task, ProcessSeen& seen) {
    seen.cgroup = kernel.cgroup_path(task.cgroup, 0);
    seen.cgroup_inside = kernel.cgroup_path(task.cgroup, kernel.cgroup_namespaces[task.namespaces.cgroup].root);
    seen.time_offset = kernel.time_namespaces[task.namespaces.time].monotonic;
    for (const auto& [index, id] : kernel.network.space(task.namespaces.net).devices) seen.devices.push_back(kernel.network.device(id).name);
    seen.mounts = static_cast<u32>(kernel.vfs.namespace_at(task.namespaces.mnt).mounts.size());
}

ProcessSeen seen_process(const Kernel& kernel, const Process& process, unsigned depth) {
    const Task& task = kernel.tasks[process.leader];
    ProcessSeen seen;
    seen.pid = process.pid, seen.parent = kernel.processes[process.parent].pid, seen.depth = depth;
    if (const auto record = kernel.pids.find(process.pid); record != kernel.pids.end()) seen.pids = record->second.numbers;
    if (seen.pids.empty()) seen.pids = {process.pid};
    seen.threads = static_cast<u32>(process.threads.size());
    seen.name = task.name;
    seen.state = process.zombie ? "ended" : process.stopped ? "stopped" : task.frozen ? "frozen" : task.state == TaskState::Runnable ? "running" : "waiting";
    seen.container = process.container;
    const Credentials& who = task.credentials;
    seen.uid = who.euid, seen.gid = who.egid, seen.capabilities = who.effective;
    seen.uid_inside = kernel.uid_in(task, who.euid), seen.gid_inside = kernel.gid_in(task, who.egid);
    if (process.zombie) return seen; // it has let go of its namespaces
    for (std::size_t i = 0; i < kNamespaceKinds; ++i) {
        seen.namespaces[kind_at(i)] = kernel.namespace_of(task, kind_at(i));
        seen.inodes[kind_at(i)] = kernel.namespace_inode(kind_at(i), seen.namespaces[kind_at(i)]);
    }
    seen.hostname = kernel.uts_namespaces[task.namespaces.uts].hostname;
    seen.root = kernel.root_source(task);
    add_surroundings(kernel, task, seen);
    return seen;
}

bool is_top(const Kernel& kernel, u32 process) {
    const u32 parent = kernel.processes[process].parent;
    return parent == process || parent == 0 || parent >= kernel.processes.size() || !kernel.processes[parent].used;
}

void add_namespaces(const Kernel& kernel, ProcessMatrix& matrix) {
    std::map<std::pair<std::size_t, u32>, NamespaceSeen> all;
    for (const ProcessSeen& process : matrix.processes) {
        if (process.state == "ended") continue;
        for (std::size_t i = 0; i < kNamespaceKinds; ++i) {
            NamespaceSeen& seen = all[{i, process.namespaces[kind_at(i)]}];
            seen.kind = kind_at(i), seen.index = process.namespaces[kind_at(i)], seen.inode = process.inodes[kind_at(i)];
            seen.owner = kernel.namespace_inode(NamespaceKind::User, kernel.namespace_head(kind_at(i), seen.index).owner);
            seen.members.push_back(process.pid);
        }
    }
    for (auto& [place, seen] : all) matrix.namespaces.push_back(std::move(seen));
}

} // namespace

ProcessMatrix process_matrix(const Kernel& kernel) {
    ProcessMatrix matrix;
    std::vector<std::pair<u32, unsigned>> next; // process and depth; the last one is shown first
    for (u32 i = static_cast<u32>(kernel.processes.size()); i-- > 1;)
        if (kernel.processes[i].used && is_top(kernel, i)) next.push_back({i, 0});
    while (!next.empty()) {
        const auto [index, depth] = next.back();
        next.pop_back();
        const Process& process = kernel.processes[index];
        matrix.processes.push_back(seen_process(kernel, process, depth));
        for (auto child = process.children.rbegin(); child != process.children.rend(); ++child)
            if (kernel.processes[*child].used && *child != index) next.push_back({*child, depth + 1});
        if (matrix.processes.size() > Kernel::kMaxTasks) break;
    }
    add_namespaces(kernel, matrix);
    return matrix;
}

std::optional<u32> namespace_of_process(const Kernel& kernel, i32 pid, NamespaceKind kind) {
    for (const Process& process : kernel.processes)
        if (process.used && !process.zombie && process.pid == pid) return kernel.namespace_of(kernel.tasks[process.leader], kind);
    return std::nullopt;
}

} // namespace trapeze::container
