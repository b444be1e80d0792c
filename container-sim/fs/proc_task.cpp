// The files of one process or thread in proc(5), as ps, top, lsns, nsenter and the like read them.
#include "container-sim/fs/proc_shown.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace trapeze::container {

namespace {

constexpr u64 kTicksPerSecond = 100;
u64 ticks(u64 cycles) { return cycles * Kernel::kNanosecondsPerCycle / (1'000'000'000 / kTicksPerSecond); }

std::string show_stat(const Reader& reader, const Shown& s) {
    const MemoryUse memory = memory_use(reader, s);
    const Process& p = s.process;
    const u64 own_ticks = ticks(s.is_leader ? p.cycles : s.task.run_cycles);
    const u32 terminal = p.tty ? static_cast<u32>(make_device(136, s.kernel.terminals[p.tty - 1].index)) : 0;
    return fmt::format("{} ({}) {} {} {} {} {} {} 0 {} 0 0 0 {} 0 {} 0 {} {} {} 0 {} {} {} 18446744073709551615 0 0 0 0 0 {} {} 0 0 0 0 0 {} 0 0 0 0 0 0 0 0 0 0 0 0 0 {}\n",
                       s.pid(s.is_leader ? p.pid : s.task.tid), s.task.name, s.state(), s.parent(), s.pid(p.group), s.pid(p.session), terminal, p.tty ? s.pid(s.kernel.terminals[p.tty - 1].foreground) : -1, p.faults,
                       own_ticks, ticks(p.children_cycles), 20 + p.nice, p.nice, std::max<std::size_t>(1, p.threads.size()), ticks(p.started), memory.size,
                       memory.resident() / kPageSize, s.task.pending.set() & 0x7fffffff, s.task.blocked_signals & 0x7fffffff, p.exit_signal, p.zombie ? p.exit_status : 0);
}

std::string pids_in_levels(const Shown& s, i32 host) {
    std::string text;
    const auto record = s.kernel.pids.find(host);
    if (record == s.kernel.pids.end()) return "\t0";
    const auto& numbers = record->second.numbers;
    for (std::size_t level = s.kernel.pid_namespaces[s.pids].level; level < numbers.size(); ++level) text += fmt::format("\t{}", numbers[level]);
    return text;
}

std::string show_status(const Reader& reader, const Shown& s) {
    const Credentials& c = s.task.credentials;
    const auto ids = [&](bool group, std::array<u32, 4> own) {
        std::string text;
        for (u32 id : own) text += fmt::format("\t{}", reader.viewer.seen_id(id, group));
        return text;
    };
    static constexpr std::pair<char, const char*> kStates[] = {{'R', "running"}, {'S', "sleeping"}, {'T', "stopped"}, {'Z', "zombie"}};
    const char state = s.state();
    const char* word = std::find_if(std::begin(kStates), std::end(kStates), [&](const auto& pair) { return pair.first == state; })->second;
    std::string text = fmt::format("Name:\t{}\n", s.task.name);
    if (!s.process.zombie) text += fmt::format("Umask:\t{:04o}\n", s.kernel.context_of(s.task).umask);
    text += fmt::format("State:\t{} ({})\nTgid:\t{}\nNgid:\t0\nPid:\t{}\nPPid:\t{}\nTracerPid:\t0\n", state, word, s.pid(s.process.pid), s.pid(s.task.tid), s.parent());
    text += fmt::format("Uid:{}\nGid:{}\nFDSize:\t{}\nGroups:\t", ids(false, {c.uid, c.euid, c.suid, c.fsuid}), ids(true, {c.gid, c.egid, c.sgid, c.fsgid}),
                        s.process.zombie ? 0 : std::max<std::size_t>(64, s.kernel.descriptor_tables[s.task.descriptors].entries.size()));
    for (u32 group : c.groups) text += fmt::format("{} ", reader.viewer.seen_id(group, true));
    text += fmt::format("\nNStgid:{}\nNSpid:{}\nNSpgid:{}\nNSsid:{}\nKthread:\t0\n", pids_in_levels(s, s.process.pid), pids_in_levels(s, s.task.tid), pids_in_levels(s, s.process.group),
                        pids_in_levels(s, s.process.session));
    if (s.has_memory()) text += memory_lines(reader, s) + "CoreDumping:\t0\nTHP_enabled:\t0\nuntag_mask:\t0xffffffffffffffff\n";
    u64 ignored = 0, caught = 0;
    if (!s.process.zombie)
        for (int number = 1; number <= kSignals; ++number) {
            const u64 handler = s.kernel.signal_actions[s.task.actions][static_cast<std::size_t>(number)].handler;
            if (handler == sa::kIgnore) ignored |= signal_bit(number);
            else if (handler != sa::kDefault) caught |= signal_bit(number);
        }
    text += fmt::format("Threads:\t{}\nSigQ:\t0/{}\nSigPnd:\t{:016x}\nShdPnd:\t{:016x}\nSigBlk:\t{:016x}\nSigIgn:\t{:016x}\nSigCgt:\t{:016x}\n", std::max<std::size_t>(1, s.process.threads.size()),
                        PendingSignals::kMost, s.task.pending.set(), s.process.pending.set(), s.task.blocked_signals, ignored, caught);
    text += fmt::format("CapInh:\t{:016x}\nCapPrm:\t{:016x}\nCapEff:\t{:016x}\nCapBnd:\t{:016x}\nCapAmb:\t{:016x}\n", c.inheritable, c.permitted, c.effective, c.bounding, c.ambient);
    text += fmt::format("NoNewPrivs:\t{}\nSeccomp:\t{}\nSeccomp_filters:\t{}\n", c.no_new_privileges ? 1 : 0, static_cast<unsigned>(s.task.seccomp_mode),
                        s.task.seccomp ? s.kernel.seccomp_filters[s.task.seccomp].number : 0);
    return text + "Cpus_allowed:\t1\nCpus_allowed_list:\t0\nMems_allowed:\t1\nMems_allowed_list:\t0\nvoluntary_ctxt_switches:\t0\nnonvoluntary_ctxt_switches:\t0\n";
}

std::string joined(const std::vector<std::string>& words) {
    std::string text;
    for (const std::string& word : words) text += word + '\0';
    return text;
}
std::string show_cmdline(const Reader&, const Shown& s) { return s.process.zombie ? "" : joined(s.process.arguments); }
std::string show_environ(const Reader&, const Shown& s) { return s.process.zombie ? "" : joined(s.process.environment); }
std::string show_comm(const Reader&, const Shown& s) { return s.task.name + "\n"; }
i64 store_comm(const Reader& reader, std::string_view text) {
    const Task* task = proc_task(reader);
    Kernel& kernel = *reader.viewer.kernel;
    if (!task) return -kESRCH;
    if (task->process != kernel.tasks[reader.viewer.task].process) return -kEINVAL;
    std::string name(text.substr(0, 15));
    while (!name.empty() && name.back() == '\n') name.pop_back();
    kernel.tasks[kernel.pids.at(task->tid).task].name = name;
    return static_cast<i64>(text.size());
}

std::string mounts_of(const Reader& reader, const Shown& s, bool info) {
    if (s.process.zombie) return {};
    return reader.vfs.mounts_text(reader.viewer, s.task.namespaces.mnt, s.kernel.context_of(s.task).root, info);
}
std::string show_mounts(const Reader& reader, const Shown& s) { return mounts_of(reader, s, false); }
std::string show_mountinfo(const Reader& reader, const Shown& s) { return mounts_of(reader, s, true); }

std::string show_limits(const Reader&, const Shown& s) {
    static constexpr std::pair<const char*, const char*> kNames[] = {
        {"Max cpu time", "seconds"}, {"Max file size", "bytes"}, {"Max data size", "bytes"}, {"Max stack size", "bytes"}, {"Max core file size", "bytes"}, {"Max resident set", "bytes"},
        {"Max processes", "processes"}, {"Max open files", "files"}, {"Max locked memory", "bytes"}, {"Max address space", "bytes"}, {"Max file locks", "locks"},
        {"Max pending signals", "signals"}, {"Max msgqueue size", "bytes"}, {"Max nice priority", ""}, {"Max realtime priority", ""}, {"Max realtime timeout", "us"}};
    std::string text = fmt::format("{:<25} {:<20} {:<20} {:<10}\n", "Limit", "Soft Limit", "Hard Limit", "Units");
    const auto number = [](u64 limit) { return limit == ~u64{0} ? std::string("unlimited") : fmt::format("{}", limit); };
    for (unsigned i = 0; i < kLimits; ++i) {
        const Limit& limit = s.process.limits[i];
        text += fmt::format("{:<25} {:<20} {:<20} {:<10}\n", kNames[i].first, number(limit.current), number(limit.most), kNames[i].second);
    }
    return text;
}

std::string show_oom_score_adj(const Reader&, const Shown& s) { return fmt::format("{}\n", s.process.oom_score_adjust); }
i64 store_oom_score_adj(const Reader& reader, std::string_view text) {
    const Task* task = proc_task(reader);
    if (!task) return -kESRCH;
    const auto value = parse_number(text);
    if (!value || *value < -1000 || *value > 1000) return -kEINVAL;
    Process& process = reader.viewer.kernel->processes[task->process];
    if (*value < process.oom_score_adjust && !reader.viewer.capable(0, Capability::SysResource)) return -kEACCES;
    process.oom_score_adjust = static_cast<i32>(*value);
    return static_cast<i64>(text.size());
}
/// proc_oom_score: badness in thousandths of the memory, from 0 to 2000, scaled.
std::string show_oom_score(const Reader&, const Shown& s) {
    const u64 total = s.kernel.frame_users.size();
    const auto points = s.kernel.badness(s.task.process, total);
    return fmt::format("{}\n", points ? std::max<i64>(0, (1000 + *points * 1000 / static_cast<i64>(total)) * 2 / 3) : 0);
}
std::string show_zero(const Reader&, const Shown&) { return "0\n"; }
std::string show_cgroup(const Reader& reader, const Shown& s) { return reader.viewer.cgroup_text(s.task); }
std::string show_loginuid(const Reader&, const Shown&) { return "4294967295"; }

/// Offsets of the time namespace of a process's children; they can be written until somebody is in it.
std::string show_time_offsets(const Reader&, const Shown& s) {
    constexpr i64 kSecond = 1'000'000'000;
    const TimeNamespace& own = s.kernel.time_namespaces[s.task.time_namespace_of_children];
    std::string text;
    for (const auto& [name, offset] : {std::pair{"monotonic", own.monotonic}, std::pair{"boottime", own.boottime}}) {
        const i64 rest = (offset % kSecond + kSecond) % kSecond;
        text += fmt::format("{:<10} {:10} {:9}\n", name, (offset - rest) / kSecond, rest);
    }
    return text;
}
i64 store_time_offsets(const Reader& reader, std::string_view text) {
    constexpr i64 kSecond = 1'000'000'000, kMostSeconds = 4'000'000'000;
    const Task* task = proc_task(reader);
    if (!task) return -kESRCH;
    Kernel& kernel = *reader.viewer.kernel;
    TimeNamespace& own = kernel.time_namespaces[task->time_namespace_of_children];
    i64 monotonic = own.monotonic, boottime = own.boottime;
    for (std::string_view rest = text; !rest.empty();) {
        const std::size_t end = std::min(rest.find('\n'), rest.size());
        const std::string line(rest.substr(0, end));
        rest.remove_prefix(std::min(end + 1, rest.size()));
        char clock[10] = "", extra = 0;
        long long seconds = 0, nanoseconds = 0;
        if (std::sscanf(line.c_str(), "%9s %lld %lld %c", clock, &seconds, &nanoseconds, &extra) != 3 || nanoseconds < 0 || nanoseconds >= kSecond) return -kEINVAL;
        const std::string_view name = clock;
        if (name != "monotonic" && name != "1" && name != "boottime" && name != "7") return -kEINVAL;
        if (seconds > kMostSeconds || seconds < -kMostSeconds) return -kERANGE;
        const i64 offset = seconds * kSecond + nanoseconds;
        if (offset + static_cast<i64>(reader.viewer.machine->cycles() * Kernel::kNanosecondsPerCycle) < 0) return -kERANGE;
        (name == "monotonic" || name == "1" ? monotonic : boottime) = offset;
    }
    if (!reader.viewer.capable(own.owner, Capability::SysTime)) return -kEPERM;
    if (own.entered || !task->time_namespace_of_children) return -kEACCES;
    own.monotonic = monotonic, own.boottime = boottime;
    return static_cast<i64>(text.size());
}

// --- Ids of a user namespace --------------------------------------------------------------------------------------------------------

std::string map_text(const Reader& reader, const Shown& s, bool groups) {
    const Kernel& kernel = s.kernel;
    const UserNamespace& mapped = kernel.user_namespaces[s.task.credentials.user_namespace];
    const u32 own = reader.viewer.credentials->user_namespace;
    // Outside ids are shown as the reader's namespace calls them; one's own namespace is shown as its parent does.
    const u32 lower = own == s.task.credentials.user_namespace && own ? mapped.parent : own;
    const auto& translate = groups ? kernel.user_namespaces[lower].gids : kernel.user_namespaces[lower].uids;
    std::string text;
    for (const IdRange& range : groups ? mapped.gids : mapped.uids) text += fmt::format("{:10} {:10} {:10}\n", range.inside, map_out_of_kernel(translate, range.outside), range.count);
    return text;
}
std::string show_uid_map(const Reader& reader, const Shown& s) { return map_text(reader, s, false); }
std::string show_gid_map(const Reader& reader, const Shown& s) { return map_text(reader, s, true); }
std::string show_setgroups(const Reader&, const Shown& s) { return s.kernel.user_namespaces[s.task.credentials.user_namespace].setgroups_allowed ? "allow\n" : "deny\n"; }

template <bool groups> i64 store_map(const Reader& reader, std::string_view text) {
    const Task* task = proc_task(reader);
    Kernel& kernel = *reader.viewer.kernel;
    if (!task) return -kESRCH;
    const i64 error = kernel.write_id_map(kernel.tasks[reader.viewer.task], task->credentials.user_namespace, groups, std::string(text));
    return error ? error : static_cast<i64>(text.size());
}
i64 store_setgroups(const Reader& reader, std::string_view text) {
    const Task* task = proc_task(reader);
    Kernel& kernel = *reader.viewer.kernel;
    if (!task) return -kESRCH;
    const i64 error = kernel.write_setgroups(kernel.tasks[reader.viewer.task], task->credentials.user_namespace, std::string(text));
    return error ? error : static_cast<i64>(text.size());
}

} // namespace

const std::vector<GeneratedFile> kProcessFiles = {
    {"stat", 0444, with_task<show_stat>, nullptr},
    {"status", 0444, with_task<show_status>, nullptr},
    {"statm", 0444, with_task<show_statm>, nullptr},
    {"cmdline", 0444, with_task<show_cmdline>, nullptr},
    {"comm", 0644, with_task<show_comm>, store_comm},
    {"environ", 0400, with_task<show_environ>, nullptr, require_trace},
    {"maps", 0444, with_task<show_maps>, nullptr, require_trace},
    {"smaps", 0444, with_task<show_smaps>, nullptr, require_trace},
    {"smaps_rollup", 0444, with_task<show_smaps_rollup>, nullptr, require_trace},
    {"mounts", 0444, with_task<show_mounts>, nullptr},
    {"mountinfo", 0444, with_task<show_mountinfo>, nullptr},
    {"limits", 0644, with_task<show_limits>, nullptr},
    {"oom_score", 0444, with_task<show_oom_score>, nullptr},
    {"oom_score_adj", 0644, with_task<show_oom_score_adj>, store_oom_score_adj},
    {"cgroup", 0444, with_task<show_cgroup>, nullptr},
    {"uid_map", 0644, with_task<show_uid_map>, store_map<false>},
    {"gid_map", 0644, with_task<show_gid_map>, store_map<true>},
    {"setgroups", 0644, with_task<show_setgroups>, store_setgroups},
    {"loginuid", 0644, with_task<show_loginuid>, nullptr},
    {"sessionid", 0444, with_task<show_loginuid>, nullptr},
    {"timens_offsets", 0644, with_task<show_time_offsets>, store_time_offsets},
    {"wchan", 0444, with_task<show_zero>, nullptr},
};

} // namespace trapeze::container
