// The engine: containers of one simulated machine with their networks and volumes, and what Docker's commands do to them. A value, like the
// kernel that it works on; what it does it does by system calls (runtime.hpp).
//
// Usage:
//   auto engine = Engine::start(machine, kernel);
//   auto id = engine->run(machine, kernel, config);
//   kernel.run(machine, budget);
//   engine->settle(machine, kernel);             // whenever Kernel::run returns: who has ended is buried, outputs are kept
//
// Files on the machine's host, all below /var/lib/trapeze: layers/N (one read-only file system a layer, mounted when it is first needed),
// containers/ID/{diff,work,merged,hosts,hostname,resolv.conf}, volumes/NAME/_data, host/N (folders of the real host).
//
// Known gaps against Docker: no restart policies, health checks, logging drivers or swarm; a volume does not begin with what the image has at
// its place; names are resolved through /etc/hosts, there is no name server.
#pragma once

#include "container-sim/engine/plan.hpp"
#include "container-sim/engine/run_config.hpp"
#include "container-sim/engine/runtime.hpp"

namespace trapeze::container {

enum class ContainerState : u8 { Created, Running, Paused, Exited };
const char* state_name(ContainerState state);

struct Container {
    std::string id, name;
    RunConfig config;
    RuntimeSpec spec;
    ContainerState state = ContainerState::Created;
    u32 console = 0;                 ///< of its first process; 0: it was never started
    i32 pid = 0;                     ///< of its first process, as the host sees it
    int exit_code = 0;               ///< as a shell tells it
    bool killed_by_memory = false;
    u64 created = 0, started = 0, finished = 0; ///< virtual nanoseconds
    u64 starts = 0;
    std::string network;             ///< it is plugged into; empty: none
    Ipv4 address = 0;
    std::string log;                 ///< the last megabyte of what it has printed
    std::vector<std::string> anonymous_volumes;
    std::string folder() const { return "/var/lib/trapeze/containers/" + id; }
    bool runs() const { return state == ContainerState::Running || state == ContainerState::Paused; }
};

/// A further process in a container.
struct ExecConfig {
    std::vector<std::string> command, environment;
    std::string user, working_dir;
    bool terminal = false, privileged = false, interactive = false, detach = false;
    u16 rows = 24, columns = 80;
};
struct ExecProcess {
    std::string container;           ///< id
    i32 pid = 0;
    u32 console = 0;
    std::optional<int> exit_code;
};

struct BridgeNetwork {
    std::string name, id, device;
    Ipv4 subnet = 0, gateway = 0;
    unsigned prefix = 16;
};

class Engine {
  public:
    static constexpr std::size_t kMaxContainers = 20'000, kMaxLog = 1 << 20;

    /// Sets up the host (its folders, /proc, /sys, cgroups, a bridge) and the engine's process.
    static Result<Engine> start(Machine& machine, Kernel& kernel);

    // --- Containers (engine.cpp). Names are names, ids or the beginning of an id that no other has.
    Result<std::string> create(Machine& machine, Kernel& kernel, const RunConfig& config); ///< its id
    Result<void> start_container(Machine& machine, Kernel& kernel, const std::string& name);
    /// Both; a container that cannot be started is removed again.
    Result<std::string> run(Machine& machine, Kernel& kernel, const RunConfig& config);
    Result<void> remove(Machine& machine, Kernel& kernel, const std::string& name, bool force, bool volumes = false);
    Result<void> rename(const std::string& name, const std::string& to);
    Result<Container*> find(const std::string& name);
    /// By the time they were made.
    const std::vector<Container>& containers() const { return containers_; }
    /// Who has ended is buried, and what was printed is kept. To be called when Kernel::run returns.
    void settle(Machine& machine, Kernel& kernel);
    /// Of the process that had a console last, once it has ended.
    std::optional<int> exit_code(u32 console) const {
        const auto found = exit_codes_.find(console);
        return found == exit_codes_.end() ? std::nullopt : std::optional(found->second);
    }
    /// What a console has printed since the last call.
    std::string take_output(Kernel& kernel, u32 console);

    // --- Signals and further processes (engine_control.cpp)
    Result<void> kill(Machine& machine, Kernel& kernel, const std::string& name, int signal);
    Result<void> pause(Machine& machine, Kernel& kernel, const std::string& name, bool frozen);
    Result<ExecProcess> exec(Machine& machine, Kernel& kernel, const std::string& name, const ExecConfig& config);
    const ExecProcess* exec_of(u32 console) const;
    const std::vector<ExecProcess>& execs() const { return execs_; }

    // --- Networks (engine_network.cpp) and volumes (engine_files.cpp)
    Result<std::string> create_network(Machine& machine, Kernel& kernel, const std::string& name);
    Result<void> remove_network(Machine& machine, Kernel& kernel, const std::string& name);
    const std::vector<BridgeNetwork>& networks() const { return networks_; }
    Result<void> create_volume(Machine& machine, Kernel& kernel, const std::string& name);
    Result<void> remove_volume(Machine& machine, Kernel& kernel, const std::string& name);
    const std::vector<std::string>& volumes() const { return volumes_; }

    // --- Files (engine_files.cpp)
    /// What a container has changed: its upper directory as a layer.
    Result<Layer> changes(Machine& machine, Kernel& kernel, const Container& container) const;
    /// All that its root shows, but for what is mounted in it.
    Result<FileTree> tree(Machine& machine, Kernel& kernel, const Container& container) const;
    /// The overlay's lower folders as in its mount option, the uppermost first; of layers that have been mounted.
    std::string lower_folders_of(const Container& container) const;

    /// What the last command was made of.
    const std::vector<Done>& calls() const { return runtime_.made; }
    /// Calls are kept from now on (or no more); those from before are forgotten.
    void record(bool on) { runtime_.record = on, runtime_.made.clear(); }
    RuntimeState& runtime() { return runtime_; }
    /// The engine's process is killed. Its containers go on, as children of the host's first process.
    void crash(Machine& machine, Kernel& kernel);
    /// A new process for the engine, which finds out what has become of its containers: from the kernel, by their first processes.
    Result<void> restart(Machine& machine, Kernel& kernel);
    bool is_alive(Machine& machine, Kernel& kernel) { return Runtime(machine, kernel, runtime_).is_alive(); }

  private:
    using Calls = std::vector<Step>;
    Result<void> set_up_host(Machine& machine, Kernel& kernel);
    Container* at(const std::string& id);
    Result<StartPlan> plan_for(Machine& machine, Kernel& kernel, Container& container);
    void ended(Machine& machine, Kernel& kernel, Container& container, int status);
    void let_go(Machine& machine, Kernel& kernel, Container& container);
    void keep_output(Kernel& kernel);
    void erase(Machine& machine, Kernel& kernel, Container& container);
    std::string free_name();
    u32 free_console(Kernel& kernel);
    void give_back_console(u32 console);
    bool has_cgroup_files(Machine& machine, Kernel& kernel) const;
    // engine_control.cpp
    Result<void> share_namespaces(Container& container, RuntimeSpec& spec);
    // engine_network.cpp
    Result<void> plug(Container& container, NetworkPlan& plan);
    void open_ports(Calls& steps, const Container& container) const;
    void close_ports(Machine& machine, Kernel& kernel, const Container& container);
    std::string hosts_text(const Container& container) const;
    void tell_hosts(Machine& machine, Kernel& kernel, const std::string& network);
    // engine_files.cpp
    Result<std::string> lower_folders(Machine& machine, Kernel& kernel, const RunConfig& config);
    Result<std::string> mount_layer(Machine& machine, Kernel& kernel, const std::string& id, const Layer& layer);
    Result<std::string> mount_host_folder(Machine& machine, Kernel& kernel, const std::string& folder);
    Result<void> mount_at(Machine& machine, Kernel& kernel, u32 super, const std::string& path, const std::string& source);
    Result<void> add_volumes(Machine& machine, Kernel& kernel, Container& container, RuntimeSpec& spec);
    std::string file_of_root(Machine& machine, Kernel& kernel, const RunConfig& config, const std::string& folder, const std::string& path) const;
    void remove_tree(Machine& machine, Kernel& kernel, const std::string& path);
    Result<void> perform(Machine& machine, Kernel& kernel, const std::string& subject, const Calls& steps);

    RuntimeState runtime_;
    std::vector<Container> containers_;
    std::vector<ExecProcess> execs_;
    std::vector<BridgeNetwork> networks_;
    std::vector<std::string> volumes_;
    std::map<std::string, std::string> places_;  ///< of layers and host folders, by their id
    std::map<u32, std::string> fresh_;           ///< printed, not taken yet, by console
    std::map<u32, std::string> owners_;          ///< console to container's id
    std::map<u32, int> exit_codes_;              ///< by console
    std::set<u32> free_consoles_;                ///< of those that were removed
    u64 made_ = 0;                               ///< containers ever
};

} // namespace trapeze::container
