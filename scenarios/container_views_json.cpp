// The views of the container kernel as JSON: one object a row, numbers as numbers, a limit that is not there as null.
#include "scenarios/container_views.hpp"

namespace trapeze::scenarios {

namespace {

using namespace container;
using Json = nlohmann::ordered_json;

Json limit_json(u64 limit) { return limit == kNoLimit ? Json(nullptr) : Json(limit); }
Json traffic_json(const TrafficCount& count) { return {{"packets", count.packets}, {"bytes", count.bytes}, {"dropped", count.dropped}}; }

Json process_json(const ProcessSeen& seen) {
    Json namespaces = Json::object();
    for (std::size_t i = 0; i < kNamespaceKinds; ++i) namespaces[namespace_name(static_cast<NamespaceKind>(i))] = seen.inodes.values[i];
    return {{"pid", seen.pid}, {"ppid", seen.parent}, {"depth", seen.depth}, {"pids", seen.pids}, {"name", seen.name}, {"state", seen.state}, {"threads", seen.threads},
            {"container", seen.container}, {"namespaces", namespaces}, {"uid", {{"inside", seen.uid_inside}, {"outside", seen.uid}}}, {"gid", {{"inside", seen.gid_inside}, {"outside", seen.gid}}},
            {"capabilities", seen.capabilities}, {"hostname", seen.hostname}, {"root", seen.root}, {"mounts", seen.mounts}, {"cgroup", {{"inside", seen.cgroup_inside}, {"outside", seen.cgroup}}},
            {"time_offset_ns", seen.time_offset}, {"devices", seen.devices}};
}

Json device_json(const DeviceSeen& device) {
    return {{"name", device.name}, {"ifindex", device.ifindex}, {"kind", device.kind}, {"mac", device.mac}, {"mtu", device.mtu}, {"up", device.up}, {"carrier", device.carrier},
            {"addresses", device.addresses}, {"peer", device.peer}, {"bridge", device.bridge}, {"ports", device.ports}, {"received", traffic_json(device.received)}, {"sent", traffic_json(device.sent)}};
}

} // namespace

Json processes_json(const ProcessMatrix& matrix) {
    Json processes = Json::array(), namespaces = Json::array();
    for (const ProcessSeen& seen : matrix.processes) processes.push_back(process_json(seen));
    for (const NamespaceSeen& seen : matrix.namespaces)
        namespaces.push_back({{"kind", namespace_name(seen.kind)}, {"number", seen.inode}, {"owner", seen.owner}, {"processes", seen.members}});
    return {{"processes", processes}, {"namespaces", namespaces}};
}

Json mounts_json(const MountTree& tree) {
    Json mounts = Json::array();
    for (const MountSeen& mount : tree.mounts)
        mounts.push_back({{"id", mount.id}, {"parent", mount.parent}, {"depth", mount.depth}, {"place", mount.place}, {"type", mount.type}, {"source", mount.source}, {"root", mount.root},
                          {"flags", mount.flags}, {"shared", mount.group}, {"master", mount.master}, {"unbindable", mount.unbindable}, {"locked", mount.locked}, {"covered", mount.hidden},
                          {"receivers", mount.receivers}});
    return {{"namespace", tree.inode}, {"owner", tree.owner}, {"mounts", mounts}};
}

Json overlays_json(const std::vector<OverlaySeen>& overlays) {
    Json list = Json::array();
    for (const OverlaySeen& overlay : overlays) {
        Json entries = Json::array();
        for (const OverlayEntry& entry : overlay.entries)
            entries.push_back({{"path", entry.path}, {"mode", entry.mode}, {"size", entry.size}, {"answer", answer_name(entry.answer)}, {"from", entry.from}, {"layers", entry.layers}});
        list.push_back({{"mount", overlay.mount}, {"place", overlay.place}, {"layers", overlay.layers}, {"copied_up", overlay.copied_up}, {"whiteouts", overlay.whiteouts}, {"own", overlay.own},
                        {"cut", overlay.cut}, {"entries", entries}});
    }
    return list;
}

Json cgroups_json(const std::vector<CgroupSeen>& tree) {
    Json list = Json::array();
    for (const CgroupSeen& group : tree) {
        Json figures = Json::array(), counts = Json::object(), pressure = Json::object();
        for (const CgroupFigure& figure : group.figures)
            figures.push_back({{"controller", figure.controller}, {"name", figure.name}, {"used", figure.used}, {"limit", limit_json(figure.limit)}, {"unit", figure.unit}});
        for (const CgroupCount& count : group.counts) counts[count.name] = count.count;
        for (const PressureSeen& seen : group.pressure)
            pressure[seen.resource] = {{"some_us", seen.some}, {"full_us", seen.full}, {"some_avg10", seen.some_average}, {"full_avg10", seen.full_average}};
        list.push_back({{"path", group.path}, {"depth", group.depth}, {"controllers", group.controllers}, {"subtree_control", group.given}, {"processes", group.processes}, {"threads", group.threads},
                        {"populated", group.populated}, {"frozen", group.frozen}, {"throttled", group.throttled}, {"removed", group.removed},
                        {"cpu", {{"weight", group.weight}, {"quota_us", limit_json(group.quota)}, {"period_us", group.period}, {"used_us", group.used_cpu}, {"throttled_us", group.throttled_cpu}}},
                        {"figures", figures}, {"counts", counts}, {"pressure", pressure}});
    }
    return list;
}

Json network_json(const NetworkSeen& network) {
    Json list = Json::array();
    for (const NetSpaceSeen& space : network.spaces) {
        Json devices = Json::array(), sockets = Json::array();
        for (const DeviceSeen& device : space.devices) devices.push_back(device_json(device));
        for (const SocketSeen& socket : space.sockets) sockets.push_back({{"protocol", socket.protocol}, {"local", socket.local}, {"remote", socket.remote}, {"state", socket.state}});
        list.push_back({{"namespace", space.inode}, {"who", space.who}, {"processes", space.members}, {"forwards", space.forwards}, {"devices", devices}, {"routes", space.routes},
                        {"rules", space.rules}, {"neighbours", space.neighbours}, {"connections", space.tracked}, {"sockets", sockets}});
    }
    return list;
}

Json packet_json(const PacketPath& path) {
    Json hops = Json::array();
    for (const HopSeen& hop : path.hops)
        hops.push_back({{"packet", hop.packet}, {"in", hop.where}, {"device", hop.device}, {"what", hop.sentence}, {"flow", hop.flow}});
    return {{"question", path.question}, {"arrived", path.arrived}, {"error", path.error}, {"hops", hops}};
}

} // namespace trapeze::scenarios
