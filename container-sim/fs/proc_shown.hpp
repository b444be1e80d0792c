// What rows of /proc/PID share: the thread that one is about, and the use that its process makes of memory.
#pragma once

#include "container-sim/fs/proc.hpp"

namespace trapeze::container {

/// What a row has to do with one thread: nothing is shown of one that has ended.
struct Shown {
    const Kernel& kernel;
    const Task& task;
    const Process& process;
    u32 pids;
    bool is_leader;

    i32 pid(i32 host) const { return host ? kernel.pid_in(host, pids) : 0; }
    i32 parent() const { return pid(kernel.processes[process.parent].pid); }
    char state() const {
        if (task.state == TaskState::Zombie || process.zombie) return 'Z';
        if (task.frozen && task.state == TaskState::Runnable) return 'S';
        return task.state == TaskState::Stopped ? 'T' : task.state == TaskState::Blocked ? 'S' : 'R';
    }
    bool has_memory() const { return kernel.spaces.contains(task.memory) && task.memory; }
};
template <std::string (*show)(const Reader&, const Shown&)> std::string with_task(const Reader& reader) {
    const Task* task = proc_task(reader);
    if (!task) return {};
    const Kernel& kernel = *reader.viewer.kernel;
    const Process& process = kernel.process_of(*task);
    return show(reader, {kernel, *task, process, reader.vfs.supers.get(reader.super).namespace_index, process.pid == task->tid});
}

/// Bytes of an address space: of its areas, and of the pages that are there.
struct MemoryUse {
    u64 size = 0, data = 0, text = 0, stack = 0, locked = 0;
    u64 anonymous = 0, file = 0, shared_memory = 0, tables = 0;
    u64 resident() const { return anonymous + file + shared_memory; }
};
// proc_memory.cpp
MemoryUse memory_use(const Reader& reader, const Shown& shown);
std::string memory_lines(const Reader& reader, const Shown& shown); ///< of /proc/PID/status
std::string show_maps(const Reader& reader, const Shown& shown);
std::string show_smaps(const Reader& reader, const Shown& shown);
std::string show_smaps_rollup(const Reader& reader, const Shown& shown);
std::string show_statm(const Reader& reader, const Shown& shown);

} // namespace trapeze::container
