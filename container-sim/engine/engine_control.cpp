// Signals to containers, freezing them, sharing namespaces between them, and further processes in them.
#include "container-sim/engine/engine.hpp"

#include "container-sim/abi.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace trapeze::container {

using namespace planning;

Result<void> Engine::kill(Machine& machine, Kernel& kernel, const std::string& name, int signal) {
    auto found = find(name);
    if (!found) return Error{found.error(), found.status()};
    const Container& container = **found;
    if (!container.runs()) return Error{fmt::format("{}: the container does not run", name), 1};
    Runtime runtime(machine, kernel, runtime_);
    const i64 error = runtime.call(engine_call("kill", {number(static_cast<u64>(container.pid)), number(static_cast<u64>(signal), signal_name(signal))}, "to its first process"));
    return error ? Result<void>(Error{fmt::format("{}: the signal cannot be sent (error {})", name, -error), 1}) : Result<void>();
}

/// By the freezer of its cgroup.
Result<void> Engine::pause(Machine& machine, Kernel& kernel, const std::string& name, bool frozen) {
    auto found = find(name);
    if (!found) return Error{found.error(), found.status()};
    Container& container = **found;
    const ContainerState wanted = frozen ? ContainerState::Running : ContainerState::Paused;
    if (container.state != wanted) return Error{fmt::format("{}: the container is {}, not {}", name, state_name(container.state), state_name(wanted)), 1};
    Calls steps;
    write_file(steps, Step::By::Engine, "/sys/fs/cgroup" + container.spec.cgroup + "/cgroup.freeze", frozen ? "1" : "0", frozen ? "none of its processes runs" : "they go on");
    if (auto done = perform(machine, kernel, name, steps); !done) return done;
    container.state = frozen ? ContainerState::Paused : ContainerState::Running;
    return {};
}

/// --pid, --ipc, --uts and --network with container:NAME: the files of its first process's namespaces.
Result<void> Engine::share_namespaces(Container& container, RuntimeSpec& spec) {
    const std::tuple<NamespaceKind, const char*, const std::string&> kinds[] = {{NamespaceKind::Pid, "--pid", container.config.pid}, {NamespaceKind::Ipc, "--ipc", container.config.ipc},
                                                                                {NamespaceKind::Uts, "--uts", container.config.uts}, {NamespaceKind::Net, "--network", container.config.network}};
    for (const auto& [kind, option, value] : kinds) {
        if (!value.starts_with("container:")) continue;
        auto other = find(value.substr(10));
        if (!other) return Error{fmt::format("{} {}: {}", option, value, other.error())};
        if (!(*other)->runs()) return Error{fmt::format("{} {}: the container does not run; start it first", option, value)};
        for (SpecNamespace& one : spec.namespaces)
            if (one.kind == kind) one.path = fmt::format("/proc/{}/ns/{}", (*other)->pid, namespace_name(kind));
    }
    return {};
}

Result<ExecProcess> Engine::exec(Machine& machine, Kernel& kernel, const std::string& name, const ExecConfig& config) {
    auto found = find(name);
    if (!found) return Error{found.error(), found.status()};
    const Container& container = **found;
    if (!container.runs()) return Error{fmt::format("{}: the container does not run; start it first", name), 1};
    if (container.state == ContainerState::Paused) return Error{fmt::format("{}: the container is paused; unpause it first", name), 1};
    if (config.command.empty()) return Error{fmt::format("exec {}: name a program behind it", name), 1};
    const std::string passwd = file_of_root(machine, kernel, container.config, container.folder(), "etc/passwd"), group = file_of_root(machine, kernel, container.config, container.folder(), "etc/group");
    RunConfig wanted = container.config;
    wanted.command = config.command, wanted.entrypoint = std::vector<std::string>{}, wanted.bundle = nullptr;
    wanted.environment.insert(wanted.environment.end(), config.environment.begin(), config.environment.end());
    wanted.terminal = config.terminal, wanted.rows = config.rows, wanted.columns = config.columns, wanted.privileged |= config.privileged;
    if (!config.user.empty()) wanted.user = config.user;
    if (!config.working_dir.empty()) wanted.working_dir = config.working_dir;
    auto process = spec_of(wanted, container.id, passwd, group);
    if (!process) return Error{process.error(), 1};
    ExecPlan plan{std::move(*process), container.pid, {}};
    plan.spec.oom_score_adjust.reset();
    plan.spec.cgroup = has_cgroup_files(machine, kernel) ? container.spec.cgroup : "";
    for (const SpecNamespace& one : container.spec.namespaces) plan.kinds.push_back(one.kind);
    auto steps = plan_exec(plan);
    if (!steps) return Error{steps.error(), 1};
    Runtime runtime(machine, kernel, runtime_);
    runtime.name(container.name);
    const u32 console = free_console(kernel);
    kernel.ttys[console] = {};
    auto started = runtime.perform(*steps, console);
    if (!started) return give_back_console(console), Result<ExecProcess>(Error{started.error(), started.status()});
    exit_codes_.erase(console);
    execs_.push_back({container.id, started->pid, started->console, std::nullopt});
    if (!config.interactive && !config.terminal) kernel.close_input(started->console);
    return execs_.back();
}

const ExecProcess* Engine::exec_of(u32 console) const {
    for (const ExecProcess& one : execs_)
        if (one.console == console) return &one;
    return nullptr;
}

// --- The engine's own process ------------------------------------------------------------------------------------------------------------

void Engine::crash(Machine& machine, Kernel& kernel) {
    const auto task = Runtime(machine, kernel, runtime_).task_of(runtime_.pid);
    if (!task) return;
    kernel.end_process(machine, kernel.tasks[*task].process, kSigKill);
    kernel.engine_news = false;
    runtime_.pid = 0;
}

Result<void> Engine::restart(Machine& machine, Kernel& kernel) {
    runtime_.kept.clear();
    if (auto begun = Runtime(machine, kernel, runtime_).begin(); !begun) return begun;
    Calls steps;
    for (int fd = 0; fd < 3; ++fd) steps.push_back(engine_call("openat", {here(), text("/dev/null"), number(kOpenReadWrite, "O_RDWR"), number(0)}, ""));
    steps.push_back(netlink_socket());
    Runtime runtime(machine, kernel, runtime_);
    runtime.name("the engine");
    auto done = runtime.perform(steps);
    if (!done) return Error{done.error()};
    runtime_.kept["engine_netlink"] = runtime.kept().at("engine_netlink");
    const u32 own = kernel.process_of(kernel.tasks[*runtime.task_of(runtime_.pid)]).pid ? kernel.tasks[*runtime.task_of(runtime_.pid)].process : 0;
    std::vector<std::pair<std::string, int>> gone;
    for (Container& container : containers_) {
        if (!container.runs()) continue;
        // Its console knows the first process; while the engine was away the host's first process was the parent, and kept the status.
        const u32 process = kernel.ttys[container.console].init;
        const bool there = process && kernel.processes[process].used && kernel.processes[process].pid == container.pid;
        if (there && !kernel.processes[process].zombie) kernel.set_parent(process, own);
        else gone.push_back({container.id, there ? kernel.processes[process].exit_status : 0});
        if (there && kernel.processes[process].zombie) kernel.reap(machine, process);
    }
    keep_output(kernel);
    for (const auto& [id, status] : gone)
        if (Container* container = at(id)) ended(machine, kernel, *container, status);
    for (ExecProcess& exec : execs_)
        if (!exec.exit_code && !runtime.task_of(exec.pid)) exec.exit_code = 137;
    return {};
}

} // namespace trapeze::container
