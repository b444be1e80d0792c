// What a reader sees of the container kernel: processes in their namespaces, mounts, overlays, cgroups, the network and a packet's way.
#include "container-sim/seen/seen.hpp"
#include "tests/container-sim/engine_world.hpp"

using namespace trapeze;
using namespace trapeze::container;
using namespace trapeze::test;

namespace {

/// A container named web that waits, in a network of the engine's.
struct Waiting : EngineWorld {
    std::string id;
    explicit Waiting(const std::string& script = "cat", const std::function<void(RunConfig&)>& change = {}) {
        RunConfig config = config_of({"sh", "-c", script});
        config.name = "web", config.hostname = "web", config.interactive = true; // nobody types
        if (change) change(config);
        id = start_image(config);
        go(50'000'000);
    }
    const ProcessSeen& init(const ProcessMatrix& matrix) const {
        for (const ProcessSeen& seen : matrix.processes)
            if (seen.hostname == "web" && seen.pids.back() == 1) return seen;
        FAIL("no first process of the container");
        return matrix.processes[0];
    }
    u32 space(NamespaceKind kind) const { return init(process_matrix(kernel)).namespaces[kind]; }
};

const OverlayEntry* entry_at(const OverlaySeen& overlay, const std::string& path) {
    for (const OverlayEntry& entry : overlay.entries)
        if (entry.path == path) return &entry;
    return nullptr;
}

} // namespace

TEST_CASE("seen: the matrix has every process with its namespaces, and what it sees inside and outside") {
    const Waiting world;
    const ProcessMatrix matrix = process_matrix(world.kernel);
    const ProcessSeen& init = world.init(matrix);
    CHECK(init.pid > 1);
    CHECK(init.pids.front() == init.pid);
    CHECK(init.pids.back() == 1);
    for (const NamespaceKind kind : {NamespaceKind::Pid, NamespaceKind::Uts, NamespaceKind::Mnt, NamespaceKind::Ipc, NamespaceKind::Net, NamespaceKind::Cgroup}) {
        CHECK(init.namespaces[kind] != 0);
        CHECK(init.inodes[kind] != first_namespace_inode(kind));
    }
    CHECK(init.namespaces[NamespaceKind::User] == 0);
    CHECK(init.inodes[NamespaceKind::User] == first_namespace_inode(NamespaceKind::User));
    CHECK(init.cgroup_inside == "/");
    CHECK(init.cgroup != "/");
    CHECK(init.devices == std::vector<std::string>{"lo", "eth0"});
    // The tree: each process comes after its parent, one deeper.
    for (std::size_t i = 0; i < matrix.processes.size(); ++i)
        if (matrix.processes[i].depth) {
            const auto parent = std::find_if(matrix.processes.begin(), matrix.processes.begin() + static_cast<long>(i), [&](const ProcessSeen& p) { return p.pid == matrix.processes[i].parent; });
            REQUIRE(parent != matrix.processes.begin() + static_cast<long>(i));
            CHECK(parent->depth + 1 == matrix.processes[i].depth);
        }
    // The namespaces list their members.
    const auto own = std::find_if(matrix.namespaces.begin(), matrix.namespaces.end(), [&](const NamespaceSeen& n) { return n.kind == NamespaceKind::Pid && n.index == init.namespaces[NamespaceKind::Pid]; });
    REQUIRE(own != matrix.namespaces.end());
    CHECK(own->members.front() == init.pid);
    CHECK(own->owner == first_namespace_inode(NamespaceKind::User));
    CHECK(namespace_of_process(world.kernel, init.pid, NamespaceKind::Pid) == own->index);
    CHECK_FALSE(namespace_of_process(world.kernel, 31'000, NamespaceKind::Pid));
}

TEST_CASE("seen: the mount tree of a container has its overlay as root, proc below it, and nothing of the host's") {
    const Waiting world;
    const u32 mnt = world.space(NamespaceKind::Mnt);
    const MountTree tree = mount_tree(world.kernel, mnt);
    REQUIRE(tree.mounts.size() > 3);
    const auto at = [&](const std::string& place) {
        const auto found = std::find_if(tree.mounts.begin(), tree.mounts.end(), [&](const MountSeen& m) { return m.place == place && !m.hidden; });
        REQUIRE_MESSAGE(found != tree.mounts.end(), place);
        return *found;
    };
    CHECK(at("/").type == "overlay");
    CHECK(at("/proc").type == "proc");
    CHECK(at("/proc").depth == at("/").depth + 1);
    CHECK(at("/proc").parent == at("/").id);
    CHECK(propagation_text(at("/proc")) == "private");
    CHECK(tree.inode == world.kernel.namespace_inode(NamespaceKind::Mnt, mnt));
    for (const MountSeen& mount : tree.mounts) CHECK(mount.place.find("/var/lib/trapeze") == std::string::npos);
    // The host's tree shows the layers.
    const MountTree host = mount_tree(world.kernel, 0);
    CHECK(std::any_of(host.mounts.begin(), host.mounts.end(), [](const MountSeen& m) { return m.place.starts_with("/var/lib/trapeze/layers/"); }));
}

TEST_CASE("seen: an overlay's entries say which layer gives them, what was copied up and what a whiteout hides") {
    const Waiting world("echo more >> /etc/passwd; rm /etc/group; echo new > /tmp/new; cat");
    const auto overlays = overlays_seen(world.kernel, world.space(NamespaceKind::Mnt));
    REQUIRE(overlays.size() == 1);
    const OverlaySeen& overlay = overlays[0];
    CHECK(overlay.place == "/");
    REQUIRE(overlay.layers.size() == 4); // upper, the two of the image, and what the engine adds below
    CHECK(overlay.layers[0].find("/diff") != std::string::npos);
    CHECK(overlay.layers[1].find("/var/lib/trapeze/layers/") != std::string::npos);
    CHECK_FALSE(overlay.cut);
    const auto answer = [&](const std::string& path) {
        const OverlayEntry* entry = entry_at(overlay, path);
        REQUIRE_MESSAGE(entry, path);
        return *entry;
    };
    CHECK(answer("/etc/passwd").answer == LayerAnswer::CopiedUp);
    CHECK(answer("/etc/passwd").layers == std::vector<unsigned>{0, 1});
    CHECK(answer("/etc/group").answer == LayerAnswer::Whiteout);
    CHECK(answer("/etc/group").from == 0);
    CHECK(answer("/tmp/new").answer == LayerAnswer::Upper);
    CHECK(answer("/tmp/new").size == 4);
    CHECK(answer("/etc").answer == LayerAnswer::Merged);
    CHECK(answer("/bin/sh").answer == LayerAnswer::Lower);
    CHECK(answer("/bin/sh").from == 2);
    CHECK(overlay.whiteouts == 1);
    CHECK(overlay.copied_up >= 1);
    const auto few = overlays_seen(world.kernel, world.space(NamespaceKind::Mnt), 2);
    CHECK(few[0].cut);
    CHECK(few[0].entries.size() == 2);
}

TEST_CASE("seen: the cgroup tree has limits, use, refusals and throttling of each group") {
    const Waiting world("cat & cat & cat & cat & exec cat", [](RunConfig& config) { config.pids_limit = 4, config.nano_cpus = 100'000'000; });
    const auto tree = cgroup_tree(world.kernel, world.machine.cycles());
    REQUIRE(!tree.empty());
    CHECK(tree[0].path == "/");
    CHECK(tree[0].depth == 0);
    const auto own = std::find_if(tree.begin(), tree.end(), [](const CgroupSeen& group) { return !group.processes.empty() && group.quota == 10'000; });
    REQUIRE(own != tree.end());
    CHECK(own->period == 100'000);
    const auto figure = std::find_if(own->figures.begin(), own->figures.end(), [](const CgroupFigure& f) { return f.controller == "pids"; });
    REQUIRE(figure != own->figures.end());
    CHECK(figure->limit == 4);
    CHECK(figure->used <= 4);
    CHECK(own->threads == figure->used);
    CHECK(std::any_of(own->counts.begin(), own->counts.end(), [](const CgroupCount& c) { return c.name == "pids.events max" && c.count > 0; }));
    for (const CgroupSeen& group : tree) CHECK(group.pressure.size() == 3);
}

TEST_CASE("seen: the network has the container's cable to the bridge, and the packet's way crosses it") {
    const Waiting world;
    const NetworkSeen network = network_seen(world.kernel);
    const u32 net = world.space(NamespaceKind::Net);
    const auto own = std::find_if(network.spaces.begin(), network.spaces.end(), [&](const NetSpaceSeen& s) { return s.index == net; });
    REQUIRE(own != network.spaces.end());
    CHECK(own->who == "web");
    REQUIRE(own->devices.size() == 2);
    CHECK(own->devices[1].name == "eth0");
    CHECK(own->devices[1].kind == "veth");
    CHECK(own->devices[1].peer.starts_with("host: "));
    REQUIRE(own->devices[1].addresses.size() == 1);
    CHECK(network.spaces[0].who == "host");
    CHECK(std::any_of(network.spaces[0].devices.begin(), network.spaces[0].devices.end(), [](const DeviceSeen& d) { return d.kind == "bridge" && d.ports.size() == 1; }));
    CHECK_FALSE(network.spaces[0].rules.empty());

    const Kernel before = world.kernel;
    const Ipv4 gateway = world.engine.networks()[0].gateway;
    const PacketPath path = packet_path(world.kernel, {.net = net, .destination = gateway, .port = 9});
    CHECK(path.error.empty());
    CHECK_FALSE(path.arrived); // nobody listens
    CHECK(std::any_of(path.hops.begin(), path.hops.end(), [](const HopSeen& hop) { return hop.where == "web" && hop.device == "eth0" && hop.sentence == "leaves through eth0"; }));
    CHECK(std::any_of(path.hops.begin(), path.hops.end(), [](const HopSeen& hop) { return hop.where == "host" && hop.sentence == "nobody listens there"; }));
    CHECK(before.network == world.kernel.network); // a copy was asked
    CHECK_FALSE(packet_path(world.kernel, {.net = net, .destination = ipv4(203, 0, 113, 1), .port = 9}).arrived);
}

TEST_CASE("seen: a network of its own without a route says why nothing can be sent") {
    const Waiting world("cat", [](RunConfig& config) { config.network = "none"; });
    const PacketPath path = packet_path(world.kernel, {.net = world.space(NamespaceKind::Net), .destination = ipv4(10, 0, 0, 2), .port = 9});
    CHECK(path.error == "ENETUNREACH");
}
