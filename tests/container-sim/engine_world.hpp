// A machine with an engine, an image of the tiny programs, and what is counted to see that nothing is left behind.
#pragma once

#include "container-sim/engine/engine.hpp"
#include "tests/container-sim/images.hpp"

namespace trapeze::test {

using container::Engine;
using container::RunConfig;

inline container::LayerEntry program_entry(const std::string& built, const std::string& path) {
    container::LayerEntry entry{path, {}};
    entry.node.mode = 0755;
    entry.node.content = make_bytes(file_text(guest(built)));
    return entry;
}
/// bin/sh and its siblings, etc with passwd and group.
inline container::Image tiny_image() {
    static const container::Image image = [] {
        container::Layer tools, files;
        tools.entries = {other("bin", container::EntryType::Directory), program_entry("linux/tiny", "bin/sh")};
        for (const char* name : {"cat", "echo", "hostname", "id", "ls", "mkdir", "ps", "rm", "sleep", "touch", "true", "env", "pwd", "kill", "mv", "chmod"})
            tools.entries.push_back(other(std::string("bin/") + name, container::EntryType::HardLink, "bin/sh"));
        files.entries = {other("etc", container::EntryType::Directory), plain_file("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/:/bin/sh\n"),
                         plain_file("etc/group", "root:x:0:\nuser:x:1000:\nextra:x:5000:user\n"), other("tmp", container::EntryType::Directory)};
        return image_of({tools, files}, "tiny:latest");
    }();
    return image;
}
inline RunConfig config_of(const std::vector<std::string>& command, const container::Image& image = tiny_image()) {
    RunConfig config;
    config.image = image.names.empty() ? "image" : image.names[0], config.image_id = image.id(), config.defaults = image.config;
    auto layers = container::layers_of(image, {});
    REQUIRE_MESSAGE(layers, (layers ? std::string() : layers.error()));
    config.layers = *layers;
    config.command = command;
    return config;
}

/// What the kernel holds, by kind.
struct Resources {
    std::vector<std::pair<std::string, u64>> counts;
    bool operator==(const Resources&) const = default;
};
inline doctest::String toString(const Resources& resources) {
    std::string all;
    for (const auto& [name, count] : resources.counts) all += fmt::format("{} {}, ", name, count);
    return all.c_str();
}

struct EngineWorld : World {
    Engine engine;

    explicit EngineWorld(u64 ram_bytes = u64{64} << 20, u32 record = 0) : World(ram_bytes, record), engine(begin()) {}
    Result<std::string> try_run(const RunConfig& config) { return engine.run(machine, kernel, config); }
    /// Runs a container that must start; its id.
    std::string start_image(const RunConfig& config) {
        auto id = try_run(config);
        REQUIRE_MESSAGE(id, (id ? std::string() : id.error()));
        return *id;
    }
    /// Until all containers have ended or wait.
    void go(u64 budget = 500'000'000) {
        for (u64 done = 0; done < budget;) {
            const auto stop = kernel.run(machine, budget - done);
            done += stop.executed;
            const bool news = kernel.engine_news;
            engine.settle(machine, kernel);
            if (!news && stop.state != RunState::Budget) return;
        }
    }
    container::Container& of(const std::string& name) {
        auto found = engine.find(name);
        REQUIRE_MESSAGE(found, (found ? std::string() : found.error()));
        return **found;
    }
    /// Runs a command of the tiny image to its end: what it printed.
    std::string output_of(RunConfig config, const std::string& input = "") {
        config.interactive = !input.empty();
        const std::string id = start_image(config);
        const u32 console = of(id).console;
        kernel.type(console, input);
        kernel.close_input(console);
        go();
        return of(id).log;
    }
    std::string sh(const std::string& script) { return output_of(config_of({"/bin/sh", "-c", script})); }

    Resources resources() {
        kernel.sweep_files();
        kernel.drop_cached_pages(machine);
        Resources all;
        const auto count = [&](const char* name, u64 value) { all.counts.push_back({name, value}); };
        u64 tasks = 0, processes = 0, devices = 0, rules = kernel.network.space(0).rules.size();
        for (const auto& task : kernel.tasks) tasks += task.state != container::TaskState::Free;
        for (const auto& process : kernel.processes) processes += process.used;
        for (u32 i = 0; i < kernel.net_namespaces.end(); ++i)
            if (kernel.net_namespaces.contains(i)) devices += kernel.network.space(i).devices.size();
        count("tasks", tasks), count("processes", processes), count("pids", kernel.pids.size()), count("consoles", kernel.ttys.size()), count("terminals", kernel.terminals.size());
        for (unsigned kind = 0; kind < static_cast<unsigned>(container::NamespaceKind::Count); ++kind)
            count(namespace_name(static_cast<container::NamespaceKind>(kind)), kernel.namespaces_of_kind(static_cast<container::NamespaceKind>(kind)));
        count("mounts", kernel.vfs.mounts.size()), count("file systems", kernel.vfs.supers.live()), count("inodes", kernel.vfs.inodes.live()), count("names", kernel.vfs.dentries.live());
        count("files", kernel.files.size()), count("descriptor tables", kernel.descriptor_tables.size()), count("contexts", kernel.contexts.size()), count("spaces", kernel.spaces.size());
        count("filters", kernel.seccomp_filters.size()), count("devices", devices), count("rules", rules), count("sockets", kernel.network.sockets()), count("frames", kernel.frames_used());
        return all;
    }

  private:
    Engine begin() {
        auto started = Engine::start(machine, kernel);
        REQUIRE_MESSAGE(started, (started ? std::string() : started.error()));
        return *started;
    }
};

} // namespace trapeze::test
