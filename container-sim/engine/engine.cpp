#include "container-sim/engine/engine.hpp"

#include "container-sim/abi.hpp"
#include "container-sim/errno.hpp"
#include "container-sim/net/net_socket.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace trapeze::container {

using namespace planning;

namespace {

constexpr const char* kFirstWords[] = {"brave", "calm", "eager", "fond", "gentle", "happy", "keen", "lucid", "merry", "nimble", "proud", "quiet", "swift", "tidy", "vivid", "wise"};
constexpr const char* kSecondWords[] = {"alder", "birch", "cedar", "dahlia", "elder", "fern", "ginkgo", "hazel", "iris", "juniper", "larch", "maple", "olive", "poplar", "rowan", "willow"};
constexpr std::size_t kShortId = 12;
constexpr int kUsage = 125; ///< Docker's own failures

bool is_name(const std::string& text) {
    return text.size() > 1 && text.size() <= 128 && std::isalnum(static_cast<unsigned char>(text[0])) &&
           std::all_of(text.begin(), text.end(), [](unsigned char c) { return std::isalnum(c) || c == '_' || c == '.' || c == '-'; });
}

/// As a shell tells a wait4 status.
int exit_code_of(int status) { return status & 0x7f ? 128 + (status & 0x7f) : status >> 8 & 0xff; }

void mount_step(std::vector<Step>& steps, const char* type, const char* place, const char* options, const char* why) {
    steps.push_back(engine_call("mount", {text(type), text(place), text(type), number(0), *options ? text(options) : null()}, why));
}

} // namespace

const char* state_name(ContainerState state) {
    constexpr const char* kNames[] = {"created", "running", "paused", "exited"};
    return kNames[static_cast<unsigned>(state)];
}

Result<Engine> Engine::start(Machine& machine, Kernel& kernel) {
    Engine engine;
    if (auto begun = Runtime(machine, kernel, engine.runtime_).begin(); !begun) return Error{begun.error()};
    if (auto set = engine.set_up_host(machine, kernel); !set) return Error{set.error()};
    return engine;
}

Result<void> Engine::perform(Machine& machine, Kernel& kernel, const std::string& subject, const Calls& steps) {
    Runtime runtime(machine, kernel, runtime_);
    runtime.name(subject);
    auto done = runtime.perform(steps);
    return done ? Result<void>() : Result<void>(Error{done.error(), done.status()});
}

/// What an init of the host would have done before an engine is started, and then the engine's first network.
Result<void> Engine::set_up_host(Machine& machine, Kernel& kernel) {
    Calls steps;
    for (const char* folder : {"/proc", "/sys", "/dev", "/tmp", "/var", "/var/lib", "/var/lib/trapeze"}) {
        steps.push_back(make_folder(folder, 0755, ""));
        steps.back().fine = {kEEXIST};
    }
    mount_step(steps, "proc", "/proc", "", ""), mount_step(steps, "sysfs", "/sys", "", ""), mount_step(steps, "cgroup2", "/sys/fs/cgroup", "", "");
    mount_step(steps, "host", "/var/lib/trapeze", "", "what containers write is as on a disk: it takes no memory of the machine");
    steps.push_back(engine_call("fchmodat", {here(), text("/var/lib/trapeze"), number(0711)}, ""));
    constexpr std::tuple<const char*, u32, u32> kNodes[] = {{"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0}, {"console", 5, 1}};
    for (const auto& [name, major, minor] : kNodes) {
        steps.push_back(engine_call("mknodat", {here(), text(fmt::format("/dev/{}", name)), number(mode::kCharacter | 0666u, "S_IFCHR|0666"), number(make_device(major, minor))}, ""));
        steps.back().fine = {kEEXIST};
    }
    for (const char* folder : {"layers", "containers", "volumes", "host"}) steps.push_back(make_folder(fmt::format("/var/lib/trapeze/{}", folder), 0711, ""));
    for (int fd = 0; fd < 3; ++fd) steps.push_back(engine_call("openat", {here(), text("/dev/null"), number(kOpenReadWrite, "O_RDWR"), number(0)}, ""));
    steps.push_back(netlink_socket());
    write_file(steps, Step::By::Engine, "/proc/sys/net/ipv4/ip_forward", "1", "the host passes on what is not for itself");
    Runtime runtime(machine, kernel, runtime_);
    runtime.name("the engine");
    auto done = runtime.perform(steps);
    if (!done) return Error{done.error()};
    runtime_.kept["engine_netlink"] = runtime.kept().at("engine_netlink");
    Calls cgroups{make_folder("/sys/fs/cgroup/docker", 0755, "the cgroup of all containers")};
    if (has_cgroup_files(machine, kernel))
        for (const char* folder : {"/sys/fs/cgroup", "/sys/fs/cgroup/docker"}) write_file(cgroups, Step::By::Engine, fmt::format("{}/cgroup.subtree_control", folder), "+cpu +memory +pids", "");
    if (auto made = perform(machine, kernel, "the engine", cgroups); !made) return made;
    auto network = create_network(machine, kernel, "bridge");
    return network ? Result<void>() : Result<void>(Error{network.error()});
}

namespace {
bool has_file(Machine& machine, Kernel& kernel, const std::string& path) {
    const Viewer viewer = kernel.viewer_of(machine, 0);
    return !kernel.vfs.walk(viewer, viewer.cwd, path, kFollow).error;
}
} // namespace

bool Engine::has_cgroup_files(Machine& machine, Kernel& kernel) const { return has_file(machine, kernel, "/sys/fs/cgroup/cgroup.procs"); }

// --- Names ------------------------------------------------------------------------------------------------------------------------------

Container* Engine::at(const std::string& id) {
    const auto found = std::find_if(containers_.begin(), containers_.end(), [&](const Container& one) { return one.id == id; });
    return found == containers_.end() ? nullptr : &*found;
}

Result<Container*> Engine::find(const std::string& name) {
    const std::string wanted = name.starts_with('/') ? name.substr(1) : name;
    Container* found = nullptr;
    for (Container& one : containers_) {
        if (one.name == wanted || one.id == wanted) return &one;
        if (wanted.empty() || !one.id.starts_with(wanted)) continue;
        if (found) return Error{fmt::format("{}: several containers have an id that begins like this; give more of it", name)};
        found = &one;
    }
    if (found) return found;
    return Error{fmt::format("{}: there is no such container; ps -a lists them", name), 1};
}

std::string Engine::free_name() {
    for (u64 i = made_;; ++i) {
        const u64 round = i / 256;
        const std::string name = fmt::format("{}_{}{}", kFirstWords[i * 7 % 16], kSecondWords[(i / 16 * 5 + i * 3) % 16], round ? fmt::format("{}", round) : "");
        if (std::none_of(containers_.begin(), containers_.end(), [&](const Container& one) { return one.name == name; })) return name;
    }
}

Result<void> Engine::rename(const std::string& name, const std::string& to) {
    auto found = find(name);
    if (!found) return Error{found.error()};
    if (!is_name(to)) return Error{fmt::format("{}: a name has letters, digits, _ . and -, and begins with a letter or digit", to)};
    if (std::any_of(containers_.begin(), containers_.end(), [&](const Container& one) { return one.name == to; })) return Error{fmt::format("{}: another container has this name; remove it or choose another", to)};
    (*found)->name = to;
    return {};
}

// --- Life -------------------------------------------------------------------------------------------------------------------------------

Result<std::string> Engine::create(Machine& machine, Kernel& kernel, const RunConfig& config) {
    if (containers_.size() >= kMaxContainers) return Error{fmt::format("there are {} containers; remove some first", containers_.size()), kUsage};
    Container fresh;
    fresh.id = hex_of(digest_of(fmt::format("container {}", made_)));
    fresh.name = config.name.empty() ? free_name() : config.name;
    if (!is_name(fresh.name)) return Error{fmt::format("--name {}: a name has letters, digits, _ . and -, and begins with a letter or digit", fresh.name), kUsage};
    if (std::any_of(containers_.begin(), containers_.end(), [&](const Container& one) { return one.name == fresh.name; }))
        return Error{fmt::format("--name {}: another container has this name; remove it or choose another", fresh.name), kUsage};
    fresh.config = config, fresh.created = kernel.wall_clock(machine);
    if (auto lowers = lower_folders(machine, kernel, config); !lowers) return Error{lowers.error(), kUsage};
    const std::string passwd = file_of_root(machine, kernel, config, "", "etc/passwd"), group = file_of_root(machine, kernel, config, "", "etc/group");
    auto spec = spec_of(config, fresh.id, passwd, group);
    if (!spec) return Error{spec.error(), kUsage};
    fresh.spec = std::move(*spec);
    const std::string folder = fresh.folder();
    Calls steps{make_folder(folder, 0711, "the container's folder"), make_folder(folder + "/diff", 0755, "what it will write"), make_folder(folder + "/work", 0700, "")};
    write_file(steps, Step::By::Engine, folder + "/hostname", fresh.spec.hostname + "\n", "its /etc/hostname", true);
    write_file(steps, Step::By::Engine, folder + "/hosts", hosts_text(fresh), "its /etc/hosts", true);
    write_file(steps, Step::By::Engine, folder + "/resolv.conf", "# there is no name server in this machine\n", "its /etc/resolv.conf", true);
    if (auto made = perform(machine, kernel, fresh.name, steps); !made) return Error{made.error(), kUsage};
    ++made_;
    containers_.push_back(std::move(fresh));
    return containers_.back().id;
}

/// Everything that is known only now: where layers lie, who shares what, which address is free.
Result<StartPlan> Engine::plan_for(Machine& machine, Kernel& kernel, Container& container) {
    StartPlan plan;
    plan.name = container.name, plan.folder = container.folder(), plan.spec = container.spec;
    auto lowers = lower_folders(machine, kernel, container.config);
    if (!lowers) return Error{lowers.error()};
    plan.overlay = fmt::format("lowerdir={},upperdir={}/diff,workdir={}/work", *lowers, plan.folder, plan.folder);
    plan.cgroups = has_cgroup_files(machine, kernel);
    for (const auto& [file, value] : plan.spec.resources)
        if (!has_file(machine, kernel, "/sys/fs/cgroup/docker/" + file)) return Error{fmt::format("{}: this kernel's cgroups have no such limit; leave out the option that sets it", file)};
    if (auto shared = share_namespaces(container, plan.spec); !shared) return Error{shared.error()};
    if (auto added = add_volumes(machine, kernel, container, plan.spec); !added) return Error{added.error()};
    if (auto plugged = plug(container, plan.network); !plugged) return Error{plugged.error()};
    return plan;
}

Result<void> Engine::start_container(Machine& machine, Kernel& kernel, const std::string& name) {
    auto found = find(name);
    if (!found) return Error{found.error(), found.status()};
    Container& container = **found;
    if (container.runs()) return {};
    auto plan = plan_for(machine, kernel, container);
    auto steps = plan ? plan_start(*plan) : Result<Calls>(Error{plan.error(), plan.status()});
    if (!steps) return let_go(machine, kernel, container), Result<void>(Error{steps.error(), kUsage});
    if (container.network.size()) open_ports(*steps, container);
    Runtime runtime(machine, kernel, runtime_);
    runtime.name(container.config.image.empty() ? container.name : container.config.image);
    const u32 console = container.console ? container.console : free_console(kernel);
    kernel.ttys[console] = {};
    auto started = runtime.perform(*steps, console);
    if (!started) {
        if (!container.console) give_back_console(console);
        let_go(machine, kernel, container);
        return Error{started.error(), started.status() ? started.status() : kUsage};
    }
    container.console = started->console, container.pid = started->pid;
    container.state = ContainerState::Running, container.started = kernel.wall_clock(machine), container.exit_code = 0;
    ++container.starts;
    owners_[container.console] = container.id;
    exit_codes_.erase(container.console);
    if (!container.config.interactive && !container.spec.terminal) kernel.close_input(container.console);
    if (!container.network.empty()) tell_hosts(machine, kernel, container.network);
    return {};
}

Result<std::string> Engine::run(Machine& machine, Kernel& kernel, const RunConfig& config) {
    auto id = create(machine, kernel, config);
    if (!id) return id;
    if (auto started = start_container(machine, kernel, *id); !started) {
        (void)remove(machine, kernel, *id, true, true);
        return Error{started.error(), started.status()};
    }
    return id;
}

Result<void> Engine::remove(Machine& machine, Kernel& kernel, const std::string& name, bool force, bool volumes) {
    auto found = find(name);
    if (!found) return Error{found.error(), found.status()};
    if ((*found)->runs()) {
        if (!force) return Error{fmt::format("{}: the container runs; stop it first, or remove it with -f", name)};
        if (auto killed = kill(machine, kernel, name, kSigKill); !killed) return killed;
        (void)pause(machine, kernel, name, false);
        kernel.run(machine, 1'000'000, WhenIdle::Return); // its processes come to their end
        settle(machine, kernel);
    }
    auto still = find(name);
    if (!still) return {}; // --rm
    if ((*still)->runs()) return Error{fmt::format("{}: the container has not ended within a million instructions; try again", name)};
    const std::vector<std::string> anonymous = volumes ? (*still)->anonymous_volumes : std::vector<std::string>{};
    erase(machine, kernel, **still);
    for (const std::string& volume : anonymous) (void)remove_volume(machine, kernel, volume);
    return {};
}

void Engine::erase(Machine& machine, Kernel& kernel, Container& container) {
    let_go(machine, kernel, container);
    remove_tree(machine, kernel, container.folder());
    owners_.erase(container.console);
    give_back_console(container.console);
    for (const ExecProcess& one : execs_)
        if (one.container == container.id) give_back_console(one.console);
    std::erase_if(execs_, [&](const ExecProcess& one) { return one.container == container.id; });
    const std::string id = container.id;
    std::erase_if(containers_, [&](const Container& one) { return one.id == id; });
}

// --- What happens meanwhile ------------------------------------------------------------------------------------------------------------

void Engine::keep_output(Kernel& kernel) {
    const auto keep = [&](u32 console) {
        std::string text = kernel.take_output(console);
        if (text.empty()) return;
        if (const auto owner = owners_.find(console); owner != owners_.end())
            if (Container* container = at(owner->second)) {
                container->log += text;
                if (container->log.size() > kMaxLog) container->log.erase(0, container->log.size() - kMaxLog / 2);
            }
        std::string& fresh = fresh_[console];
        fresh += text;
        if (fresh.size() > kMaxLog) fresh.erase(0, fresh.size() - kMaxLog / 2);
    };
    for (const Container& container : containers_)
        if (container.runs()) keep(container.console);
    for (const ExecProcess& exec : execs_)
        if (!exec.exit_code) keep(exec.console);
}

/// Consoles are numbered; the lowest number that nobody has.
u32 Engine::free_console(Kernel& kernel) {
    if (free_consoles_.empty()) return kernel.ttys.emplace_back(), static_cast<u32>(kernel.ttys.size() - 1);
    const u32 console = *free_consoles_.begin();
    free_consoles_.erase(free_consoles_.begin());
    return console;
}
void Engine::give_back_console(u32 console) {
    if (console) free_consoles_.insert(console);
}

std::string Engine::take_output(Kernel& kernel, u32 console) {
    keep_output(kernel);
    const auto found = fresh_.find(console);
    if (found == fresh_.end()) return {};
    std::string text = std::move(found->second);
    fresh_.erase(found);
    return text;
}

void Engine::settle(Machine& machine, Kernel& kernel) {
    keep_output(kernel);
    if (!std::exchange(kernel.engine_news, false)) return;
    Runtime runtime(machine, kernel, runtime_);
    if (!runtime.is_alive()) return;
    constexpr u64 kNoHang = 1;
    Step wait = engine_call("wait4", {number(~u64{0}, "-1"), room(4), number(kNoHang, "WNOHANG"), null()}, "who has ended");
    wait.keep = "status", wait.keep_from = {1, 0};
    for (i64 pid = runtime.call(wait); pid > 0; pid = runtime.call(wait)) {
        const int status = static_cast<int>(runtime.kept().at("status"));
        for (ExecProcess& exec : execs_)
            if (exec.pid == pid && !exec.exit_code) exit_codes_[exec.console] = *(exec.exit_code = exit_code_of(status)), runtime.drop_console(exec.console);
        const auto owner = std::find_if(containers_.begin(), containers_.end(), [&](const Container& one) { return one.pid == pid && one.runs(); });
        if (owner != containers_.end()) ended(machine, kernel, *owner, status);
    }
}

namespace {
/// A process of a cgroup has ended because the group's memory was full.
bool was_out_of_memory(Machine& machine, Kernel& kernel, const std::string& cgroup) {
    const Viewer viewer = kernel.viewer_of(machine, 0);
    const Found found = kernel.vfs.walk(viewer, viewer.cwd, "/sys/fs/cgroup" + cgroup, kFollow);
    const auto group = found.error ? std::nullopt : kernel.cgroup_at(found.location);
    return group && *group != 0 && kernel.cgroups[*group].memory.events[static_cast<std::size_t>(MemoryEvent::OomKill)] > 0;
}
} // namespace

void Engine::ended(Machine& machine, Kernel& kernel, Container& container, int status) {
    container.killed_by_memory = was_out_of_memory(machine, kernel, container.spec.cgroup);
    container.state = ContainerState::Exited, container.exit_code = exit_code_of(status), container.finished = kernel.wall_clock(machine);
    exit_codes_[container.console] = container.exit_code;
    let_go(machine, kernel, container);
    if (!container.config.remove) return;
    const std::vector<std::string> anonymous = container.anonymous_volumes;
    erase(machine, kernel, container);
    for (const std::string& volume : anonymous) (void)remove_volume(machine, kernel, volume);
}

/// What it had while it ran: terminal, ports, address, cgroup, the place of its root.
void Engine::let_go(Machine& machine, Kernel& kernel, Container& container) {
    Runtime runtime(machine, kernel, runtime_);
    runtime.drop_console(container.console);
    close_ports(machine, kernel, container);
    if (container.starts) {
        const auto drop_folder = [&](const std::string& path) { (void)runtime.call(engine_call("unlinkat", {here(), text(path), number(kRemoveDir, "AT_REMOVEDIR")}, "")); };
        if (container.pid) {
            if (!container.network.empty()) (void)runtime.call(drop_link("veth" + container.id.substr(0, 7)));
            drop_folder("/sys/fs/cgroup" + container.spec.cgroup), drop_folder(container.folder() + "/merged");
        }
    }
    container.pid = 0, container.address = 0;
    const std::string network = std::exchange(container.network, "");
    if (!network.empty()) tell_hosts(machine, kernel, network);
}

} // namespace trapeze::container
