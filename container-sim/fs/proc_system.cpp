// The files of /proc itself and of /proc/sys, which are about the whole machine or about a namespace of the reader's.
#include "container-sim/fs/proc.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace trapeze::container {

/// A decimal number with blanks around it, as sysctl files take it.
std::optional<i64> parse_number(std::string_view text) {
    while (!text.empty() && (text.back() == '\n' || text.back() == ' ' || text.back() == '\0')) text.remove_suffix(1);
    text.remove_prefix(std::min(text.find_first_not_of(" \t"), text.size()));
    const bool negative = !text.empty() && text[0] == '-';
    if (negative) text.remove_prefix(1);
    if (text.empty() || text.size() > 18 || text.find_first_not_of("0123456789") != std::string_view::npos) return std::nullopt;
    const i64 value = std::stoll(std::string(text));
    return negative ? -value : value;
}

namespace {

const Task& reader_task(const Reader& reader) { return reader.viewer.kernel->tasks[reader.viewer.task]; }

// --- /proc -----------------------------------------------------------------------------------------------------------------------

struct Totals {
    u64 busy = 0, running = 0, processes = 0, threads = 0;
};
Totals totals(const Kernel& kernel) {
    Totals all;
    for (const auto& [pid, record] : kernel.pids) {
        if (!record.has_task || !record.task) continue;
        const Task& task = kernel.tasks[record.task];
        ++all.threads;
        all.running += task.state == TaskState::Runnable;
        all.busy += task.run_cycles;
        all.processes += kernel.process_of(task).pid == pid;
    }
    return all;
}
u64 nanoseconds(const Reader& reader) { return reader.viewer.machine->cycles() * Kernel::kNanosecondsPerCycle; }

std::string show_stat(const Reader& reader) {
    const Totals all = totals(*reader.viewer.kernel);
    const u64 ticks = nanoseconds(reader) / 10'000'000, busy = std::min(ticks, all.busy * Kernel::kNanosecondsPerCycle / 10'000'000);
    const std::string times = fmt::format("{} 0 0 {} 0 0 0 0 0 0", busy, ticks - busy);
    return fmt::format("cpu  {}\ncpu0 {}\nintr 0\nctxt 0\nbtime {}\nprocesses {}\nprocs_running {}\nprocs_blocked 0\nsoftirq 0\n", times, times, Kernel::kEpochSeconds,
                       reader.viewer.kernel->pid_namespaces[0].last_pid, std::max<u64>(1, all.running));
}
/// What the root of all cgroups has been charged, and what is free. Files in memory count as cached.
std::string show_meminfo(const Reader& reader) {
    const Kernel& kernel = *reader.viewer.kernel;
    const auto of = [&](FrameKind kind) { return kernel.cgroups[0].memory.kinds[static_cast<std::size_t>(kind)] * 4; };
    const u64 total = kernel.frame_users.size() * 4, free = (kernel.frame_users.size() - Kernel::kReservedFrames - kernel.used_frames) * 4;
    const u64 files = of(FrameKind::File), shared = of(FrameKind::Shared), anonymous = of(FrameKind::Anonymous), stacks = of(FrameKind::Stack);
    u64 mapped = 0, dirty = 0;
    for (const auto& [page, cached] : kernel.page_cache) {
        mapped += kernel.frame_users[kernel.frame_index(cached.frame)] > 1 ? 4 : 0;
        dirty += cached.turn && kernel.stored_pages.contains(page) ? 4 : 0;
    }
    std::string text;
    const auto line = [&](const char* name, u64 value) { text += fmt::format("{:<16}{:>8} kB\n", std::string(name) + ":", value); };
    line("MemTotal", total), line("MemFree", free), line("MemAvailable", std::min(total, free + files)), line("Buffers", 0), line("Cached", files + shared), line("SwapCached", 0);
    line("Active", 0), line("Inactive", anonymous + files + shared), line("SwapTotal", 0), line("SwapFree", 0), line("Dirty", dirty), line("Writeback", 0), line("AnonPages", anonymous);
    line("Mapped", mapped), line("Shmem", shared), line("KReclaimable", 0), line("Slab", 0), line("SReclaimable", 0), line("SUnreclaim", 0), line("KernelStack", stacks);
    line("PageTables", of(FrameKind::Table)), line("CommitLimit", total), line("Committed_AS", anonymous + shared);
    return text;
}
std::string show_uptime(const Reader& reader) {
    const u64 hundredths = nanoseconds(reader) / 10'000'000, busy = std::min(hundredths, totals(*reader.viewer.kernel).busy * Kernel::kNanosecondsPerCycle / 10'000'000);
    return fmt::format("{}.{:02} {}.{:02}\n", hundredths / 100, hundredths % 100, (hundredths - busy) / 100, (hundredths - busy) % 100);
}
std::string show_loadavg(const Reader& reader) {
    const Totals all = totals(*reader.viewer.kernel);
    return fmt::format("0.00 0.00 0.00 {}/{} {}\n", std::max<u64>(1, all.running), all.threads, reader.viewer.kernel->pid_namespaces[reader.vfs.supers.get(reader.super).namespace_index].last_pid);
}
std::string show_version(const Reader&) { return fmt::format("Linux version {} (trapeze) {}\n", kKernelRelease, kKernelVersion); }
std::string show_filesystems(const Reader&) {
    std::string text;
    for (const FileSystemType* type : file_system_types()) text += fmt::format("{}\t{}\n", type->nodev ? "nodev" : "", type->name);
    return text;
}
std::string show_cpuinfo(const Reader&) { return "processor\t: 0\nhart\t\t: 0\nisa\t\t: rv64imafdc_zicntr_zicsr_zifencei\nmmu\t\t: sv39\nuarch\t\t: trapeze\n\n"; }
std::string show_cmdline(const Reader&) { return "\n"; }
std::string show_devices(const Reader&) { return "Character devices:\n  1 mem\n  5 /dev/tty\n  5 /dev/console\n  5 /dev/ptmx\n136 pts\n\nBlock devices:\n"; }
std::string show_swaps(const Reader&) { return "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"; }
std::string show_cgroups(const Reader& reader) {
    std::string text = "#subsys_name\thierarchy\tnum_cgroups\tenabled\n";
    const u32 groups = reader.viewer.kernel->cgroups.size();
#define CONTROLLER(kind, name, threaded) text += fmt::format("{}\t0\t{}\t1\n", name, groups);
#include "container-sim/cgroup_controllers.def"
    return text;
}
/// Of the whole machine: of the root of all cgroups.
template <Pressure Cgroup::*which> std::string show_pressure(const Reader& reader) {
    Kernel& kernel = *reader.viewer.kernel;
    kernel.clock = reader.viewer.machine->cycles();
    kernel.note_stall(0);
    return pressure_text(kernel.cgroups[0].*which, kernel.clock);
}
i64 refuse_trigger(const Reader&, std::string_view) { return -kEOPNOTSUPP; }
std::string show_nothing(const Reader&) { return ""; }

// --- /proc/sys ---------------------------------------------------------------------------------------------------------------------

template <const char* text> std::string fixed(const Reader&) { return text; }
#define FIXED(name, text) constexpr char name[] = text "\n"
FIXED(kOverflow, "65534");
FIXED(kLastCapability, "40");
FIXED(kZero, "0");
FIXED(kOne, "1");
FIXED(kOsType, "Linux");
FIXED(kEntropy, "256");
FIXED(kPidMax, "32768");
FIXED(kManyFiles, "9223372036854775807");
FIXED(kOpenMost, "1048576");
FIXED(kMountMost, "100000");
FIXED(kPipeMost, "1048576");
FIXED(kMapMost, "65530");
FIXED(kMapLowest, "65536");
FIXED(kSwappiness, "60");
FIXED(kThreadsMost, "32768");
FIXED(kGroupsMost, "65536");
FIXED(kNamespacesMost, "32768");
FIXED(kCore, "core");
FIXED(kModprobe, "/sbin/modprobe");
FIXED(kSeccompActions, "kill_process kill_thread trap errno user_notif trace log allow");
FIXED(kPrintk, "7\t4\t1\t7");
FIXED(kPortRange, "32768\t60999");
FIXED(kBacklog, "4096");
#undef FIXED

std::string show_hostname(const Reader& reader) { return reader.viewer.kernel->uts_namespaces[reader_task(reader).namespaces.uts].hostname + "\n"; }
std::string show_domainname(const Reader& reader) { return reader.viewer.kernel->uts_namespaces[reader_task(reader).namespaces.uts].domainname + "\n"; }
/// What sethostname(2) does, up to the first line end.
template <std::string UtsNamespace::*field> i64 store_name(const Reader& reader, std::string_view text) {
    Kernel& kernel = *reader.viewer.kernel;
    const u32 uts = reader_task(reader).namespaces.uts;
    if (!reader.viewer.capable(kernel.uts_namespaces[uts].owner, Capability::SysAdmin)) return -kEPERM;
    kernel.uts_namespaces[uts].*field = std::string(text.substr(0, std::min<std::size_t>(64, text.find('\n'))));
    return static_cast<i64>(text.size());
}
std::string show_release(const Reader&) { return std::string(kKernelRelease) + "\n"; }
std::string show_kernel_version(const Reader&) { return std::string(kKernelVersion) + "\n"; }

u32 pids_of(const Reader& reader) { return reader_task(reader).namespaces.pid; }
std::string show_last_pid(const Reader& reader) { return fmt::format("{}\n", reader.viewer.kernel->pid_namespaces[pids_of(reader)].last_pid); }
i64 store_last_pid(const Reader& reader, std::string_view text) {
    PidNamespace& pids = reader.viewer.kernel->pid_namespaces[pids_of(reader)];
    if (!reader.viewer.capable(pids.owner, Capability::SysAdmin) && !reader.viewer.capable(pids.owner, Capability::CheckpointRestore)) return -kEPERM;
    const auto value = parse_number(text);
    if (!value || *value < 0 || *value >= Kernel::kMaxPid) return -kEINVAL;
    pids.last_pid = static_cast<i32>(*value);
    return static_cast<i64>(text.size());
}

/// A random UUID; the boot's is the same each time.
std::string uuid_text(u64 high, u64 low) {
    return fmt::format("{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}\n", high >> 32, (high >> 16) & 0xffff, high & 0xfff, (low >> 48 & 0x3fff) | 0x8000, low & 0xffff'ffff'ffff);
}
std::string show_boot_id(const Reader&) { return uuid_text(0x7472'6170'657a'6531, 0x626f'6f74'2d69'6431); }
std::string show_uuid(const Reader& reader) {
    std::array<u64, 2> words{};
    for (u64& word : words)
        for (int i = 0; i < 8; ++i) {
            u64& state = reader.viewer.kernel->random_state;
            state = state * 6364136223846793005 + 1442695040888963407;
            word = word << 8 | (state >> 33 & 0xff);
        }
    return uuid_text(words[0], words[1]);
}

} // namespace

const std::vector<GeneratedFile> kProcFiles = {
    {"stat", 0444, show_stat, nullptr},
    {"meminfo", 0444, show_meminfo, nullptr},
    {"uptime", 0444, show_uptime, nullptr},
    {"loadavg", 0444, show_loadavg, nullptr},
    {"version", 0444, show_version, nullptr},
    {"filesystems", 0444, show_filesystems, nullptr},
    {"cpuinfo", 0444, show_cpuinfo, nullptr},
    {"cmdline", 0444, show_cmdline, nullptr},
    {"devices", 0444, show_devices, nullptr},
    {"swaps", 0444, show_swaps, nullptr},
    {"locks", 0444, show_locks, nullptr},
    {"cgroups", 0444, show_cgroups, nullptr},
    {"modules", 0444, show_nothing, nullptr},
    {"partitions", 0444, show_nothing, nullptr},
    {"kcore", 0400, show_nothing, nullptr},
    {"kmsg", 0400, show_nothing, nullptr},
    {"keys", 0444, show_nothing, nullptr},
    {"timer_list", 0400, show_nothing, nullptr},
    {"sysrq-trigger", 0200, nullptr, nullptr},
};

const std::vector<SystemControl> kSystemControls = {
    {"pressure", {"cpu", 0666, show_pressure<&Cgroup::cpu_pressure>, refuse_trigger}},
    {"pressure", {"memory", 0666, show_pressure<&Cgroup::memory_pressure>, refuse_trigger}},
    {"pressure", {"io", 0666, show_pressure<&Cgroup::io_pressure>, refuse_trigger}},
    {"bus", {"", 0, nullptr, nullptr}},
    {"fs", {"", 0, nullptr, nullptr}},
    {"irq", {"", 0, nullptr, nullptr}},
    {"sys/kernel", {"hostname", 0644, show_hostname, store_name<&UtsNamespace::hostname>}},
    {"sys/kernel", {"domainname", 0644, show_domainname, store_name<&UtsNamespace::domainname>}},
    {"sys/kernel", {"ostype", 0444, fixed<kOsType>, nullptr}},
    {"sys/kernel", {"osrelease", 0444, show_release, nullptr}},
    {"sys/kernel", {"version", 0444, show_kernel_version, nullptr}},
    {"sys/kernel", {"pid_max", 0444, fixed<kPidMax>, nullptr}},
    {"sys/kernel", {"cap_last_cap", 0444, fixed<kLastCapability>, nullptr}},
    {"sys/kernel", {"ns_last_pid", 0666, show_last_pid, store_last_pid}},
    {"sys/kernel", {"overflowuid", 0444, fixed<kOverflow>, nullptr}},
    {"sys/kernel", {"overflowgid", 0444, fixed<kOverflow>, nullptr}},
    {"sys/kernel", {"threads-max", 0444, fixed<kThreadsMost>, nullptr}},
    {"sys/kernel", {"ngroups_max", 0444, fixed<kGroupsMost>, nullptr}},
    {"sys/kernel", {"core_pattern", 0444, fixed<kCore>, nullptr}},
    {"sys/kernel", {"modprobe", 0644, fixed<kModprobe>, nullptr}},
    {"sys/kernel", {"printk", 0444, fixed<kPrintk>, nullptr}},
    {"sys/kernel", {"randomize_va_space", 0444, fixed<kZero>, nullptr}},
    {"sys/kernel", {"dmesg_restrict", 0444, fixed<kZero>, nullptr}},
    {"sys/kernel/seccomp", {"actions_avail", 0444, fixed<kSeccompActions>, nullptr}},
    {"sys/kernel/random", {"boot_id", 0444, show_boot_id, nullptr}},
    {"sys/kernel/random", {"uuid", 0444, show_uuid, nullptr}},
    {"sys/kernel/random", {"entropy_avail", 0444, fixed<kEntropy>, nullptr}},
    {"sys/kernel/random", {"poolsize", 0444, fixed<kEntropy>, nullptr}},
    {"sys/fs", {"overflowuid", 0444, fixed<kOverflow>, nullptr}},
    {"sys/fs", {"overflowgid", 0444, fixed<kOverflow>, nullptr}},
    {"sys/fs", {"file-max", 0444, fixed<kManyFiles>, nullptr}},
    {"sys/fs", {"nr_open", 0444, fixed<kOpenMost>, nullptr}},
    {"sys/fs", {"mount-max", 0444, fixed<kMountMost>, nullptr}},
    {"sys/fs", {"pipe-max-size", 0444, fixed<kPipeMost>, nullptr}},
    {"sys/fs", {"protected_hardlinks", 0444, fixed<kZero>, nullptr}},
    {"sys/fs", {"protected_symlinks", 0444, fixed<kZero>, nullptr}},
    {"sys/vm", {"overcommit_memory", 0444, fixed<kOne>, nullptr}},
    {"sys/vm", {"swappiness", 0444, fixed<kSwappiness>, nullptr}},
    {"sys/vm", {"max_map_count", 0444, fixed<kMapMost>, nullptr}},
    {"sys/vm", {"mmap_min_addr", 0444, fixed<kMapLowest>, nullptr}},
    {"sys/user", {"max_user_namespaces", 0444, fixed<kNamespacesMost>, nullptr}},
    {"sys/user", {"max_mnt_namespaces", 0444, fixed<kNamespacesMost>, nullptr}},
    {"sys/user", {"max_pid_namespaces", 0444, fixed<kNamespacesMost>, nullptr}},
    {"sys/user", {"max_net_namespaces", 0444, fixed<kNamespacesMost>, nullptr}},
    {"sys/user", {"max_uts_namespaces", 0444, fixed<kNamespacesMost>, nullptr}},
    {"sys/user", {"max_ipc_namespaces", 0444, fixed<kNamespacesMost>, nullptr}},
    {"sys/user", {"max_cgroup_namespaces", 0444, fixed<kNamespacesMost>, nullptr}},
    {"sys/user", {"max_time_namespaces", 0444, fixed<kNamespacesMost>, nullptr}},
    {"sys/net/core", {"somaxconn", 0444, fixed<kBacklog>, nullptr}},
    {"sys/net/ipv4", {"ip_local_port_range", 0444, fixed<kPortRange>, nullptr}},
    {"sys/net/ipv6/conf/all", {"disable_ipv6", 0444, fixed<kOne>, nullptr}},
};

} // namespace trapeze::container
