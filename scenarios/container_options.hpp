// Docker's options of `run`, `create` and `exec`, for the command line and for the prompt of `container shell`.
#pragma once

#include "container-sim/engine/engine.hpp"
#include "container-sim/engine/image_store.hpp"

#include <CLI/CLI.hpp>

namespace trapeze::scenarios {

/// RLIMIT_* by their numbers, with Docker's names.
inline constexpr const char* kUlimitNames[] = {"cpu", "fsize", "data", "stack", "core", "rss", "nproc", "nofile", "memlock", "as"};

struct DockerOptions {
    std::string name, hostname, memory, memory_swap, cpus, pids_limit, cpu_shares, network = "bridge", user, working_dir, entrypoint, pid, ipc, uts, cgroupns, userns, bundle, stop_signal;
    std::vector<std::string> publish, volumes, cap_add, cap_drop, security, environment, environment_files, tmpfs, labels, ulimits;
    bool detach = false, interactive = false, terminal = false, remove = false, read_only = false, privileged = false, rootfs = false;

    void add_to(CLI::App& verb);
    /// Only what a program started straight from a folder can have, without an engine.
    bool is_plain() const;
};

/// What an image name, or with --rootfs a folder, and a command mean with these options. Files that options name are read.
Result<container::RunConfig> run_config(const DockerOptions& options, container::ImageStore& store, const std::vector<std::string>& words);
/// config.json of a bundle's folder.
Result<container::RunConfig> bundle_config(const DockerOptions& options, const std::string& folder);
/// Words as a POSIX shell splits a line: blanks, quotes, backslashes, and # for a comment.
Result<std::vector<std::string>> split_line(const std::string& line);

} // namespace trapeze::scenarios
