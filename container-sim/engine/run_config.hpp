// What a person asks of a container with Docker's words, and what that means in the runtime's (dockerd's part of the work).
#pragma once

#include "container-sim/engine/image.hpp"
#include "container-sim/engine/runtime_spec.hpp"
#include "container-sim/net/net_packet.hpp"

#include <memory>

namespace trapeze::container {

/// The layers of an image, unpacked, the lowest first. Shared by all containers of the image.
struct LayerSet {
    std::vector<std::shared_ptr<const Layer>> layers;
    std::vector<std::string> ids;    ///< what tells a layer in its place from all others
};
/// Layers for a root: each layer as it changes those below, so that they can be laid over each other as they are.
Result<LayerSet> layer_set(std::vector<Layer> layers, std::vector<std::string> ids);
Result<LayerSet> layers_of(const Image& image, const ArchiveLimits& limits);

struct PortMap {
    u16 host = 0, inside = 0;
    u8 protocol = kIpTcp;
    bool operator==(const PortMap&) const = default;
};
struct VolumeMount {
    std::string source;              ///< a volume's name, an absolute folder of the host, or empty: a volume without a name
    std::string target;
    bool read_only = false;
    bool operator==(const VolumeMount&) const = default;
};

/// One `run`. Members are named after Docker's options.
struct RunConfig {
    std::string image;               ///< its name or id, as given; or the folder
    std::string image_id;
    LayerSet layers;
    std::string folder;              ///< of the host, in place of an image: --rootfs
    std::shared_ptr<const RuntimeSpec> bundle; ///< config.json's, in place of most of what follows
    ImageConfig defaults;            ///< the image's

    std::string name, hostname, user, working_dir, network = "bridge", pid, ipc, uts, cgroupns, stop_signal;
    std::vector<std::string> command, environment, cap_add, cap_drop, tmpfs;
    std::optional<std::vector<std::string>> entrypoint;
    std::map<std::string, std::string> labels;
    std::vector<PortMap> ports;
    std::vector<VolumeMount> volumes;
    std::vector<SpecLimit> limits;
    u64 memory = 0, memory_swap = 0; ///< bytes; 0: no limit
    u64 nano_cpus = 0, cpu_shares = 0;
    i64 pids_limit = 0;
    bool interactive = false, terminal = false, detach = false, remove = false, read_only = false, privileged = false, no_new_privileges = false, publish_all = false;
    u16 rows = 24, columns = 80;
    std::string seccomp;             ///< empty: the default; "unconfined"; or a profile's text
    std::string seccomp_name;        ///< of its file, for sentences
    std::string userns;              ///< empty or "host"; "private": a user namespace of its own, all ids as they are
};

/// The program: entry point and command, the image's where none is given. The error says that there is none.
Result<std::vector<std::string>> program_of(const RunConfig& config);
/// All of the specification that does not depend on other containers. `passwd` and `group` are files of the root, for names in --user.
Result<RuntimeSpec> spec_of(const RunConfig& config, const std::string& id, const std::string& passwd, const std::string& group);
/// "--memory 64m": bytes, with b, k, m or g behind.
Result<u64> parse_bytes(const std::string& text, const std::string& option);
/// "8080:80", "80", "127.0.0.1:8080:80/udp".
Result<PortMap> parse_port(const std::string& text);
/// "NAME:/path", "/folder:/path:ro", "/path".
Result<VolumeMount> parse_volume(const std::string& text);
/// The signal of a number or name: "TERM", "SIGTERM", "15".
Result<int> parse_signal(const std::string& text);

} // namespace trapeze::container
