#include "container-sim/engine/plan.hpp"

#include "container-sim/abi.hpp"
#include "container-sim/fs/mount.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace trapeze::container {

namespace planning {

Step make_folder(const std::string& path, u64 permissions, std::string why) {
    Step step = engine_call("mkdirat", {here(), text(path), octal(permissions)}, std::move(why));
    step.undo = {engine_call("unlinkat", {here(), text(path), number(kRemoveDir, "AT_REMOVEDIR")}, "")};
    return step;
}

void write_file(Steps& steps, Step::By by, const std::string& path, const std::string& content, const std::string& why, bool create) {
    const u64 flags = kOpenWrite | kOpenClose | (create ? kOpenCreate | kOpenTruncate : 0);
    Step open;
    open.by = by, open.call = "openat", open.why = why, open.keep = "file";
    open.arguments = {here(), text(path), number(flags, create ? "O_WRONLY|O_CREAT|O_TRUNC|O_CLOEXEC" : "O_WRONLY|O_CLOEXEC"), octal(0644)};
    if (create) open.undo = {engine_call("unlinkat", {here(), text(path), number(0)}, "")};
    else open.undone_by = "close";
    Step write;
    write.by = by, write.call = "write", write.arguments = {kept("file"), text(content), length(content)};
    write.undone_by = create ? "goes with the file" : "what it says goes with what it is about";
    Step close;
    close.by = by, close.call = "close", close.arguments = {kept("file")};
    steps.push_back(std::move(open)), steps.push_back(std::move(write)), steps.push_back(std::move(close));
}

} // namespace planning

using namespace planning;

namespace {

/// struct clone_args (clone3(2)).
struct CloneArgs {
    u64 flags = 0, pidfd = 0, child_tid = 0, parent_tid = 0, exit_signal = 0, stack = 0, stack_size = 0, tls = 0, set_tid = 0, set_tid_size = 0, cgroup = 0;
};
static_assert(sizeof(CloneArgs) == 88);
constexpr std::size_t kCgroupAt = 80;

constexpr const char* flag_name(NamespaceKind kind) {
    switch (kind) {
    case NamespaceKind::Pid: return "CLONE_NEWPID";
    case NamespaceKind::User: return "CLONE_NEWUSER";
    case NamespaceKind::Uts: return "CLONE_NEWUTS";
    case NamespaceKind::Ipc: return "CLONE_NEWIPC";
    case NamespaceKind::Net: return "CLONE_NEWNET";
    case NamespaceKind::Mnt: return "CLONE_NEWNS";
    case NamespaceKind::Cgroup: return "CLONE_NEWCGROUP";
    default: return "CLONE_NEWTIME";
    }
}

Step clone_step(u64 flags, std::string shown, bool into_cgroup, std::string why) {
    CloneArgs wanted;
    wanted.flags = flags | (into_cgroup ? kCloneIntoCgroup : 0), wanted.exit_signal = kSigChld;
    if (into_cgroup) shown += shown.empty() ? "CLONE_INTO_CGROUP" : "|CLONE_INTO_CGROUP";
    Argument argument = bytes(raw(wanted), fmt::format("flags={}, exit_signal=SIGCHLD{}", shown.empty() ? "0" : shown, into_cgroup ? ", cgroup={cgroup}" : ""));
    if (into_cgroup) argument.patches.push_back({kCgroupAt, "cgroup"});
    Step step = engine_call("clone3", {argument, number(sizeof wanted)}, std::move(why));
    step.special = Step::Special::Clone, step.keep = "child";
    step.undo = {engine_call("kill", {kept("child"), number(kSigKill, "SIGKILL")}, ""), engine_call("wait4", {kept("child"), null(), number(0), null()}, "")};
    return step;
}

/// The file of another's namespace, opened to be entered.
Step open_namespace(NamespaceKind kind, const std::string& path) {
    Step step = engine_call("openat", {here(), text(path), number(kOpenClose, "O_RDONLY|O_CLOEXEC"), number(0)}, fmt::format("the {} namespace that it is to share", namespace_name(kind)));
    step.keep = fmt::format("ns_{}", namespace_name(kind)), step.undone_by = "close";
    return step;
}
Step enter_namespace(Step::By by, NamespaceKind kind) {
    Step step;
    step.by = by, step.call = "setns", step.arguments = {kept(fmt::format("ns_{}", namespace_name(kind))), number(namespace_flag(kind), flag_name(kind))};
    step.why = by == Step::By::Engine ? "its next child is born there" : "enters it";
    step.undone_by = "goes with the process";
    return step;
}
/// The engine's own pid namespace, and its children's again.
void come_back(Steps& steps) {
    steps.push_back(engine_call("setns", {kept("own_pid"), number(namespace_flag(NamespaceKind::Pid), "CLONE_NEWPID")}, "further children are born beside the engine again"));
    for (const char* name : {"own_pid", "ns_pid"}) steps.push_back(engine_call("close", {kept(name)}, ""));
}
void go_there(Steps& steps) {
    Step own = engine_call("openat", {here(), text("/proc/self/ns/pid"), number(kOpenClose, "O_RDONLY|O_CLOEXEC"), number(0)}, "the way back");
    own.keep = "own_pid", own.undone_by = "close";
    steps.push_back(own);
    Step enter = enter_namespace(Step::By::Engine, NamespaceKind::Pid);
    enter.undo = {engine_call("setns", {kept("own_pid"), number(namespace_flag(NamespaceKind::Pid), "CLONE_NEWPID")}, "")};
    enter.undone_by.clear();
    steps.push_back(enter);
}

void add_cgroup(Steps& steps, const RuntimeSpec& spec, bool files) {
    const std::string folder = "/sys/fs/cgroup" + spec.cgroup;
    steps.push_back(make_folder(folder, 0755, "the cgroup by which it is counted and limited"));
    if (!files) return;
    for (const auto& [file, value] : spec.resources) write_file(steps, Step::By::Engine, folder + "/" + file, value, fmt::format("limit: {}", file));
    Step open = engine_call("openat", {here(), text(folder), number(kOpenDirectory | kOpenClose, "O_RDONLY|O_DIRECTORY|O_CLOEXEC"), number(0)}, "where the child is to be born");
    open.keep = "cgroup", open.undone_by = "close";
    steps.push_back(open);
}

std::string map_text(const std::vector<IdRange>& ranges) {
    std::string all;
    for (const IdRange& range : ranges) all += fmt::format("{} {} {}\n", range.inside, range.outside, range.count);
    return all;
}

void add_birth(Steps& steps, const RuntimeSpec& spec, bool cgroup) {
    u64 flags = 0;
    std::string shown;
    for (const SpecNamespace& one : spec.namespaces) {
        if (!one.path.empty()) steps.push_back(open_namespace(one.kind, one.path));
        if (!one.path.empty() || one.kind == NamespaceKind::Cgroup) continue; // its cgroup namespace comes once it is in its cgroup
        flags |= namespace_flag(one.kind);
        shown += (shown.empty() ? "" : "|") + std::string(flag_name(one.kind));
    }
    const bool joins_pid = spec.find(NamespaceKind::Pid) && !spec.find(NamespaceKind::Pid)->path.empty();
    if (joins_pid) go_there(steps);
    steps.push_back(clone_step(flags, shown, cgroup, "the container's first process, in namespaces of its own"));
    if (joins_pid) come_back(steps);
    if (cgroup) steps.push_back(engine_call("close", {kept("cgroup")}, ""));
    const SpecNamespace* user = spec.find(NamespaceKind::User);
    if (user && user->path.empty()) {
        write_file(steps, Step::By::Engine, "/proc/{child}/uid_map", map_text(spec.uids), "which of the host's users its users are");
        write_file(steps, Step::By::Engine, "/proc/{child}/gid_map", map_text(spec.gids), "and which groups");
    }
}

void add_entering(Steps& steps, const RuntimeSpec& spec) {
    const SpecNamespace* user = spec.find(NamespaceKind::User);
    if (user && !user->path.empty()) steps.push_back(enter_namespace(Step::By::Container, NamespaceKind::User));
    for (const SpecNamespace& one : spec.namespaces)
        if (!one.path.empty() && one.kind != NamespaceKind::Pid && one.kind != NamespaceKind::User) steps.push_back(enter_namespace(Step::By::Container, one.kind));
    for (const SpecNamespace& one : spec.namespaces)
        if (!one.path.empty() && one.kind != NamespaceKind::Pid) steps.push_back(engine_call("close", {kept(fmt::format("ns_{}", namespace_name(one.kind)))}, ""));
    if (!user) return;
    steps.push_back(container_call("setresgid", {number(0), number(0), number(0)}, "root of its user namespace"));
    steps.push_back(container_call("setresuid", {number(0), number(0), number(0)}, ""));
    for (std::size_t i = steps.size() - 2; i < steps.size(); ++i) steps[i].undone_by = "goes with the process";
}

void add_root(Steps& steps, const StartPlan& plan) {
    const std::string root = plan.folder + "/merged";
    Step make_private = container_call("mount", {null(), text("/"), null(), mount_flags(ms::kPrivate | ms::kRecursive), null()}, "what is mounted from here on stays inside");
    Step mount = container_call("mount", {text("overlay"), text(root), text("overlay"), mount_flags(0), text(plan.overlay)}, "its root: the image's layers, and what it writes on top");
    Step open = container_call("openat", {here(), text(root), number(kOpenPath | kOpenDirectory | kOpenClose, "O_PATH|O_DIRECTORY|O_CLOEXEC"), number(0)}, "from which all places inside are looked up");
    open.keep = "root";
    make_private.undone_by = mount.undone_by = "goes with the mnt namespace", open.undone_by = "close";
    steps.push_back(make_private), steps.push_back(mount), steps.push_back(open);
}

void add_names(Steps& steps, const RuntimeSpec& spec) {
    const SpecNamespace* uts = spec.find(NamespaceKind::Uts);
    if (!uts || !uts->path.empty()) return;
    const auto set = [&](const char* call, const std::string& name, const char* why) {
        if (name.empty()) return;
        Step step = container_call(call, {text(name), number(name.size())}, why);
        step.undone_by = "goes with the uts namespace";
        steps.push_back(step);
    };
    set("sethostname", spec.hostname, "the host name that it sees"), set("setdomainname", spec.domainname, "its domain name");
}

} // namespace

Result<std::vector<Step>> plan_start(const StartPlan& plan) {
    const RuntimeSpec& spec = plan.spec;
    if (!spec.has(NamespaceKind::Mnt) || !spec.find(NamespaceKind::Mnt)->path.empty()) return Error{fmt::format("{}: a container needs a mnt namespace of its own; add {{\"type\": \"mount\"}} to linux.namespaces", plan.name)};
    const SpecNamespace* user = spec.find(NamespaceKind::User);
    if (user && user->path.empty() && (spec.uids.empty() || spec.gids.empty())) return Error{fmt::format("{}: a user namespace needs linux.uidMappings and linux.gidMappings", plan.name)};
    Steps steps;
    steps.push_back(make_folder(plan.folder + "/merged", 0755, "where its root will be"));
    add_cgroup(steps, spec, plan.cgroups);
    add_birth(steps, spec, plan.cgroups);
    add_cable(steps, plan.network);
    add_entering(steps, spec);
    add_root(steps, plan);
    if (spec.has(NamespaceKind::Cgroup) && spec.find(NamespaceKind::Cgroup)->path.empty()) {
        steps.push_back(container_call("unshare", {number(namespace_flag(NamespaceKind::Cgroup), "CLONE_NEWCGROUP")}, "the cgroup that it is in is the root that it sees"));
        steps.back().undone_by = "goes with the process";
    }
    if (!spec.terminal) add_terminal(steps, spec, true);
    if (auto added = add_mounts(steps, spec); !added) return Error{added.error()};
    add_interfaces(steps, plan.network);
    add_devices(steps, spec);
    add_new_root(steps, spec);
    add_names(steps, spec);
    for (const auto& [name, value] : spec.sysctls) {
        std::string path = "/proc/sys/" + name;
        std::replace(path.begin() + 10, path.end(), '.', '/');
        write_file(steps, Step::By::Container, path, value, fmt::format("sysctl {}", name));
    }
    add_hidden_paths(steps, spec);
    if (spec.terminal) add_terminal(steps, spec, true);
    if (auto added = add_process(steps, spec); !added) return Error{added.error()};
    return steps;
}

Result<std::vector<Step>> plan_exec(const ExecPlan& plan) {
    Steps steps;
    const bool joins_pid = std::find(plan.kinds.begin(), plan.kinds.end(), NamespaceKind::Pid) != plan.kinds.end();
    for (NamespaceKind kind : plan.kinds) steps.push_back(open_namespace(kind, fmt::format("/proc/{}/ns/{}", plan.pid, namespace_name(kind))));
    if (joins_pid) go_there(steps);
    steps.push_back(clone_step(0, "", false, "a further process of the container"));
    if (joins_pid) come_back(steps);
    if (!plan.spec.cgroup.empty()) write_file(steps, Step::By::Engine, "/sys/fs/cgroup" + plan.spec.cgroup + "/cgroup.procs", "{child}", "counted and limited with the others");
    const auto enter = [&](NamespaceKind kind) {
        if (kind != NamespaceKind::Pid) steps.push_back(enter_namespace(Step::By::Container, kind));
    };
    if (!plan.spec.terminal) add_terminal(steps, plan.spec, false);
    for (NamespaceKind kind : plan.kinds)
        if (kind != NamespaceKind::Mnt) enter(kind);
    for (NamespaceKind kind : plan.kinds)
        if (kind == NamespaceKind::Mnt) enter(kind);
    for (NamespaceKind kind : plan.kinds)
        if (kind != NamespaceKind::Pid) steps.push_back(engine_call("close", {kept(fmt::format("ns_{}", namespace_name(kind)))}, ""));
    if (plan.spec.terminal) add_terminal(steps, plan.spec, false);
    if (auto added = add_process(steps, plan.spec); !added) return Error{added.error()};
    return steps;
}

} // namespace trapeze::container
