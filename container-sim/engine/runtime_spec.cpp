#include "container-sim/engine/runtime_spec.hpp"

#include <algorithm>
#include <cctype>

namespace trapeze::container {

RuntimeSpec default_spec() {
    RuntimeSpec spec;
    for (Capability capability : kDefaultCapabilities) spec.bounding |= bit(capability);
    spec.effective = spec.permitted = spec.bounding;
    spec.mounts = {{"/proc", "proc", "proc", {"nosuid", "noexec", "nodev"}},
                   {"/dev", "tmpfs", "tmpfs", {"nosuid", "strictatime", "mode=755", "size=65536k"}},
                   {"/dev/pts", "devpts", "devpts", {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}},
                   {"/sys", "sysfs", "sysfs", {"nosuid", "noexec", "nodev", "ro"}},
                   {"/sys/fs/cgroup", "cgroup", "cgroup", {"ro", "nosuid", "noexec", "nodev"}},
                   {"/dev/mqueue", "mqueue", "mqueue", {"nosuid", "noexec", "nodev"}},
                   {"/dev/shm", "tmpfs", "shm", {"nosuid", "noexec", "nodev", "mode=1777", "size=65536k"}}};
    for (NamespaceKind kind : {NamespaceKind::Mnt, NamespaceKind::Net, NamespaceKind::Uts, NamespaceKind::Pid, NamespaceKind::Ipc, NamespaceKind::Cgroup}) spec.namespaces.push_back({kind, ""});
    spec.masked = {"/proc/asound", "/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware"};
    spec.read_only_paths = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"};
    spec.environment = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"};
    spec.arguments = {"sh"};
    return spec;
}

std::optional<Capability> capability_named(std::string name) {
    std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
    if (!name.starts_with("CAP_")) name = "CAP_" + name;
    for (unsigned i = 0; i < kCapabilities; ++i)
        if (capability_name(static_cast<Capability>(i)) == name) return static_cast<Capability>(i);
    return std::nullopt;
}

} // namespace trapeze::container
