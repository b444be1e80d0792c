// Who has to end when memory is full and nothing can be reclaimed: of the processes in the group whose limit is reached, or of all, the one
// that holds the most (mm/oom_kill.c). It ends at the next step of the main loop, with a SIGKILL that nothing can hold up.
//
// Known gap: when nobody may be ended, Linux waits for room or panics; here the call fails, and a program that touches memory ends.
#include "container-sim/page_tables.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace trapeze::container {

/// Somebody in a group or below it ends already, which makes room.
bool Kernel::is_ending(u32 group) const {
    return std::any_of(victims.begin(), victims.end(), [&](const Victim& one) { return cgroup_within(processes[one.process].cgroup, group); });
}

/// oom_badness: pages that a process holds, its tables among them, and its oom_score_adj in thousandths of `total`. nullopt: it may not be ended.
std::optional<i64> Kernel::badness(u32 index, u64 total) const {
    constexpr i32 kNever = -1000;
    const Process& process = processes[index];
    if (!index || !process.used || !process.pid || process.zombie || process.exiting || process.engine || process.threads.empty() || process.oom_score_adjust == kNever) return std::nullopt;
    const u32 space = tasks[process.threads.front()].memory;
    if (!space) return std::nullopt;
    return static_cast<i64>(spaces[space].resident + spaces[space].tables) + process.oom_score_adjust * static_cast<i64>(total / 1000);
}

/// Chooses who ends, for the limit of a group (0: for the machine's memory). False: there is nobody.
bool Kernel::out_of_memory(Machine& machine, u32 group) {
    if (is_ending(group)) return true;
    if (group != 0) memory_event(group, MemoryEvent::Oom);
    const u64 total = group != 0 ? cgroups[group].memory.most : frame_users.size();
    std::optional<u32> worst;
    i64 most = 0;
    for (u32 i = 1; i < processes.size(); ++i) {
        if (!cgroup_within(processes[i].cgroup, group)) continue;
        const auto points = badness(i, total);
        if (!points || (worst && (*points < most || (*points == most && processes[i].pid < processes[*worst].pid)))) continue; // among equals the younger
        worst = i, most = *points;
    }
    if (!worst) return false;
    u32 whole = 0; // the topmost group with memory.oom.group on the way up
    for (u32 at = processes[*worst].cgroup; at != 0; at = cgroups[at].parent) {
        if (cgroups[at].memory.oom_group) whole = at;
        if (at == group) break;
    }
    const Task& leader = tasks[processes[*worst].leader];
    const std::string where = group ? fmt::format("memory of cgroup {} is full ({} pages)", cgroup_path(group, 0), total) : "memory is full";
    event(machine, EventKind::ProcessExit, leader, fmt::format("{}: {} holds the most, {} pages (badness {}), and has to end", where, leader.name,
                                                               spaces[tasks[processes[*worst].threads.front()].memory].resident, most));
    choose_victim(*worst);
    if (!whole) return true;
    memory_event(whole, MemoryEvent::OomGroupKill);
    for (u32 i = 1; i < processes.size(); ++i) {
        if (i == *worst || !cgroup_within(processes[i].cgroup, whole) || !badness(i, total)) continue;
        const Task& member = tasks[processes[i].leader];
        event(machine, EventKind::ProcessExit, member, fmt::format("memory.oom.group: {} has to end with it", member.name));
        choose_victim(i);
    }
    return true;
}

/// One process, and whoever else has the same address space.
void Kernel::choose_victim(u32 index) {
    const u32 space = tasks[processes[index].threads.front()].memory;
    const auto add = [&](u32 process) {
        if (std::any_of(victims.begin(), victims.end(), [&](const Victim& one) { return one.process == process; })) return;
        victims.push_back({process, processes[process].pid});
        memory_event(memory_home(processes[process].cgroup), MemoryEvent::OomKill);
    };
    add(index);
    for (u32 i = 1; i < processes.size() && spaces.users(space) > processes[index].threads.size(); ++i)
        if (processes[i].used && !processes[i].zombie && !processes[i].threads.empty() && tasks[processes[i].threads.front()].memory == space) add(i);
}

void Kernel::end_victims(Machine& machine) {
    const std::vector<Victim> chosen = std::exchange(victims, {});
    for (const Victim& victim : chosen)
        if (processes[victim.process].used && processes[victim.process].pid == victim.pid) end_process(machine, victim.process, kSigKill);
}

} // namespace trapeze::container
