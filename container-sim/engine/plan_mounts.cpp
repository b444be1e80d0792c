// Mounts, devices, hidden paths and the new root of a container. Before its root is the root, a place inside is opened with
// openat2(RESOLVE_IN_ROOT): no link of the image leads out of it.
#include "container-sim/engine/plan.hpp"

#include "container-sim/abi.hpp"
#include "container-sim/errno.hpp"
#include "container-sim/fs/inode.hpp"
#include "container-sim/fs/mount.hpp"

#include <fmt/format.h>

namespace trapeze::container::planning {

namespace {

constexpr const char* kWithMounts = "goes with the mnt namespace";

struct OpenHow {
    u64 flags = 0, mode = 0, resolve = 0;
};

Step open_inside(const std::string& path, const std::string& keep) {
    constexpr u64 kInRoot = 16;
    Step step = container_call("openat2", {kept("root"), text(path), bytes(raw(OpenHow{kOpenPath | kOpenClose, 0, kInRoot}), "flags=O_PATH|O_CLOEXEC, resolve=RESOLVE_IN_ROOT"), number(sizeof(OpenHow))}, "");
    step.keep = keep, step.undone_by = "close";
    return step;
}
Step close_kept(const std::string& name) { return container_call("close", {kept(name)}, ""); }

std::vector<std::string> parts_of(const std::string& path) {
    std::vector<std::string> parts;
    for (std::size_t at = 0; at < path.size();) {
        const std::size_t end = std::min(path.find('/', at), path.size());
        if (end > at) parts.push_back(path.substr(at, end - at));
        at = end + 1;
    }
    return parts;
}

/// The folders of a path inside, and at its end a folder or (`file`) an empty file: what is there already stays.
void make_inside(Steps& steps, const std::string& path, bool file) {
    const auto parts = parts_of(path);
    std::string above;
    for (std::size_t i = 0; i < parts.size(); ++i) {
        if (i) steps.push_back(open_inside(above, "above"));
        const Argument in = i ? kept("above") : kept("root");
        const bool last = i + 1 == parts.size();
        Step step = last && file ? container_call("mknodat", {in, text(parts[i]), number(mode::kFile | 0644, "S_IFREG|0644"), number(0)}, "a place for it")
                                 : container_call("mkdirat", {in, text(parts[i]), octal(0755)}, "a place for it");
        step.fine = {kEEXIST, kEROFS}, step.undone_by = "goes with the container's files";
        steps.push_back(step);
        if (i) steps.push_back(close_kept("above"));
        above += (above.empty() ? "" : "/") + parts[i];
    }
}

struct MountOptions {
    u64 flags = 0;
    std::string data;
    std::vector<u64> propagation;
};

constexpr std::pair<const char*, u64> kSet[] = {{"ro", ms::kReadOnly}, {"nosuid", ms::kNoSuid}, {"nodev", ms::kNoDev}, {"noexec", ms::kNoExec}, {"noatime", ms::kNoAtime},
                                                {"nodiratime", ms::kNoDirAtime}, {"relatime", ms::kRelatime}, {"strictatime", ms::kStrictAtime}, {"bind", ms::kBind}, {"rbind", ms::kBind | ms::kRecursive}};
constexpr std::pair<const char*, u64> kCleared[] = {{"rw", ms::kReadOnly}, {"suid", ms::kNoSuid}, {"dev", ms::kNoDev}, {"exec", ms::kNoExec}, {"defaults", 0}, {"norelatime", ms::kRelatime}};
constexpr std::pair<const char*, u64> kPropagation[] = {{"private", ms::kPrivate}, {"rprivate", ms::kPrivate | ms::kRecursive}, {"shared", ms::kShared}, {"rshared", ms::kShared | ms::kRecursive},
                                                        {"slave", ms::kSlave}, {"rslave", ms::kSlave | ms::kRecursive}, {"unbindable", ms::kUnbindable}, {"runbindable", ms::kUnbindable | ms::kRecursive}};

MountOptions read_options(const std::vector<std::string>& options) {
    MountOptions read;
    for (const std::string& option : options) {
        bool known = false;
        for (const auto& [name, flag] : kSet)
            if (option == name) read.flags |= flag, known = true;
        for (const auto& [name, flag] : kCleared)
            if (option == name) read.flags &= ~flag, known = true;
        for (const auto& [name, flag] : kPropagation)
            if (option == name) read.propagation.push_back(flag), known = true;
        if (!known) read.data += (read.data.empty() ? "" : ",") + option;
    }
    return read;
}

const char* purpose(const SpecMount& mount) {
    if (mount.type == "proc") return "the processes of its own pid namespace";
    if (mount.type == "sysfs") return "the devices of its own net namespace";
    if (mount.type == "cgroup" || mount.type == "cgroup2") return "its own part of the hierarchy";
    if (mount.type == "devpts") return "terminals of its own";
    if (mount.type == "mqueue") return "message queues of its own ipc namespace";
    if (mount.destination == "/dev") return "an empty folder for devices";
    if (mount.destination == "/dev/shm") return "shared memory";
    return "";
}

void add_mount(Steps& steps, const SpecMount& mount, const MountOptions& options, bool file) {
    constexpr u64 kBindRemount = ms::kReadOnly | ms::kNoSuid | ms::kNoDev | ms::kNoExec | ms::kNoAtime | ms::kNoDirAtime;
    const bool bind = options.flags & ms::kBind;
    const std::string type = mount.type == "cgroup" ? "cgroup2" : mount.type;
    make_inside(steps, mount.destination, file);
    steps.push_back(open_inside(mount.destination, "target"));
    const std::string target = "/proc/self/fd/{target}";
    Step step = container_call("mount", {text(mount.source), text(target), bind ? null() : text(type), mount_flags(bind ? options.flags & (ms::kBind | ms::kRecursive) : options.flags),
                                         options.data.empty() || bind ? null() : text(options.data)}, purpose(mount));
    if (bind) step.why = fmt::format("{} of the host, seen as {}", mount.source, mount.destination);
    step.undone_by = kWithMounts;
    steps.push_back(step), steps.push_back(close_kept("target"));
    if (bind && options.flags & kBindRemount) { // a bind takes no flags at first
        steps.push_back(open_inside(mount.destination, "target"));
        Step again = container_call("mount", {null(), text(target), null(), mount_flags(ms::kRemount | ms::kBind | (options.flags & kBindRemount)), null()}, "and its flags");
        again.undone_by = kWithMounts;
        steps.push_back(again), steps.push_back(close_kept("target"));
    }
    for (u64 flags : options.propagation) {
        steps.push_back(open_inside(mount.destination, "target"));
        Step change = container_call("mount", {null(), text(target), null(), mount_flags(flags), null()}, "who hears of what is mounted there");
        change.undone_by = kWithMounts;
        steps.push_back(change), steps.push_back(close_kept("target"));
    }
}

} // namespace

Result<void> add_mounts(Steps& steps, const RuntimeSpec& spec) {
    constexpr std::size_t kMost = 200;
    if (spec.mounts.size() > kMost) return Error{fmt::format("a container has at most {} mounts; give fewer", kMost)};
    for (SpecMount mount : spec.mounts) {
        for (const std::string& part : parts_of(mount.destination))
            if (part == "..") return Error{fmt::format("mounts: {} leads upward; give a path below the root", mount.destination)};
        if (parts_of(mount.destination).empty()) return Error{fmt::format("mounts: \"{}\" is no place for a mount; give a path below the root", mount.destination)};
        // Only groups that its user namespace has can own its terminals.
        if (spec.find(NamespaceKind::User) && mount.type == "devpts" && map_into_kernel(spec.gids, 5) == kNoId) std::erase(mount.options, "gid=5");
        const bool file = mount.type == "bind-file";
        MountOptions options = read_options(mount.options);
        if (mount.type.starts_with("bind") && !(options.flags & ms::kBind)) options.flags |= ms::kBind;
        add_mount(steps, mount, options, file);
    }
    return {};
}

void add_devices(Steps& steps, const RuntimeSpec& spec) {
    bool own = false; // a /dev of its own
    for (const SpecMount& mount : spec.mounts) own |= mount.destination == "/dev" && mount.type == "tmpfs";
    if (!own) return;
    struct Node {
        const char* name;
        u32 major, minor;
    };
    constexpr Node kNodes[] = {{"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0}};
    constexpr std::pair<const char*, const char*> kLinks[] = {{"/proc/self/fd", "fd"}, {"/proc/self/fd/0", "stdin"}, {"/proc/self/fd/1", "stdout"}, {"/proc/self/fd/2", "stderr"}, {"pts/ptmx", "ptmx"}};
    steps.push_back(open_inside("dev", "dev"));
    steps.push_back(container_call("umask", {octal(0)}, ""));
    const bool binds = spec.find(NamespaceKind::User); // nobody makes devices in a user namespace: the host's are bound
    for (const Node& node : kNodes) {
        const u32 type = binds ? mode::kFile : mode::kCharacter;
        Step make = container_call("mknodat", {kept("dev"), text(node.name), number(type | 0666u, binds ? "S_IFREG|0666" : "S_IFCHR|0666"),
                                               number(binds ? 0 : make_device(node.major, node.minor), fmt::format("makedev({}, {})", node.major, node.minor))}, "a device that every program may use");
        make.undone_by = kWithMounts;
        steps.push_back(make);
        if (!binds) continue;
        Step bind = container_call("mount", {text(fmt::format("/dev/{}", node.name)), text(fmt::format("/proc/self/fd/{{dev}}/{}", node.name)), null(), mount_flags(ms::kBind), null()}, "");
        bind.undone_by = kWithMounts;
        steps.push_back(bind);
    }
    for (const auto& [target, name] : kLinks) {
        Step link = container_call("symlinkat", {text(target), kept("dev"), text(name)}, "");
        link.undone_by = kWithMounts;
        steps.push_back(link);
    }
    steps.push_back(container_call("umask", {octal(spec.umask.value_or(022))}, ""));
    steps.push_back(close_kept("dev"));
}

void add_new_root(Steps& steps, const RuntimeSpec& spec) {
    constexpr u64 kDetach = 2;
    const auto add = [&](Step step, const char* undone) { step.undone_by = undone, steps.push_back(std::move(step)); };
    add(container_call("fchdir", {kept("root")}, "into the new root"), "goes with the process");
    add(container_call("pivot_root", {text("."), text(".")}, "the new root is the root, the host's lies on top of it"), kWithMounts);
    add(container_call("umount2", {text("."), number(kDetach, "MNT_DETACH")}, "and the host's is gone: nothing inside leads there any more"), kWithMounts);
    add(container_call("chdir", {text("/")}, ""), "goes with the process");
    add(close_kept("root"), "");
    if (!spec.propagation.empty())
        for (const auto& [name, flags] : kPropagation)
            if (spec.propagation == name) add(container_call("mount", {null(), text("/"), null(), mount_flags(flags), null()}, "who hears of what is mounted"), kWithMounts);
}

void add_hidden_paths(Steps& steps, const RuntimeSpec& spec) {
    const auto add = [&](Step step) {
        step.fine = {kENOENT, kENOTDIR}, step.undone_by = kWithMounts;
        steps.push_back(std::move(step));
    };
    for (const std::string& path : spec.read_only_paths) {
        add(container_call("mount", {text(path), text(path), null(), mount_flags(ms::kBind | ms::kRecursive), null()}, "what it may read, but not change"));
        Step again = container_call("mount", {null(), text(path), null(), mount_flags(ms::kRemount | ms::kBind | ms::kReadOnly | ms::kNoSuid | ms::kNoDev | ms::kNoExec), null()}, "");
        again.fine = {kENOENT, kENOTDIR, kEINVAL}, again.undone_by = kWithMounts;
        steps.push_back(std::move(again));
    }
    for (const std::string& path : spec.masked) { // a file, or a folder; most are not there
        add(container_call("mount", {text("/dev/null"), text(path), null(), mount_flags(ms::kBind), null()}, "what is none of its business"));
        add(container_call("mount", {text("tmpfs"), text(path), text("tmpfs"), mount_flags(ms::kReadOnly), text("size=4k,mode=755")}, ""));
    }
    if (spec.read_only) {
        Step step = container_call("mount", {null(), text("/"), null(), mount_flags(ms::kRemount | ms::kBind | ms::kReadOnly), null()}, "nothing is written to its root");
        step.undone_by = kWithMounts;
        steps.push_back(step);
    }
}

} // namespace trapeze::container::planning
