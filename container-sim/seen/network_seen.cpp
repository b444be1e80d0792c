// The network as a whole: devices, addresses, bridges, cables, rules and sockets of each namespace; and the way of a packet, hop by hop.
#include "container-sim/errno.hpp"
#include "container-sim/seen/seen.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace trapeze::container {

namespace {

constexpr std::size_t kMostPerList = 200; ///< routes, neighbours, tracked connections or sockets of one namespace
constexpr unsigned kMostTimers = 40;      ///< that pass while a packet is asked about

std::string with_port(Ipv4 ip, u16 port) { return fmt::format("{}:{}", ip_text(ip), port); }
std::string prefix_text(Ipv4 ip, unsigned prefix) { return prefix == 32 ? ip_text(ip) : fmt::format("{}/{}", ip_text(ip), prefix); }

/// For each namespace: "host", or the host name of the first process that is in it.
std::map<u32, std::string> names_of_spaces(const Kernel& kernel) {
    std::map<u32, std::string> names{{0, "host"}};
    for (const Process& process : kernel.processes) {
        if (!process.used || process.zombie) continue;
        const Task& task = kernel.tasks[process.leader];
        names.emplace(task.namespaces.net, kernel.uts_namespaces[task.namespaces.uts].hostname);
    }
    return names;
}
std::string name_of(const std::map<u32, std::string>& names, u32 net) {
    const auto found = names.find(net);
    return found == names.end() ? fmt::format("net {}", net) : found->second;
}

DeviceSeen seen_device(const Network& network, const std::map<u32, std::string>& names, u32 id) {
    const NetDevice& device = network.device(id);
    DeviceSeen seen;
    seen.id = id, seen.ifindex = device.ifindex, seen.name = device.name, seen.mac = mac_text(device.mac), seen.mtu = device.mtu;
    seen.kind = device.kind == DeviceKind::Loopback ? "loopback" : std::string(device_word(device.kind));
    seen.up = device.up, seen.carrier = network.carrier(id), seen.received = device.received, seen.sent = device.sent;
    for (const InterfaceAddress& address : device.addresses) seen.addresses.push_back(fmt::format("{}/{}", ip_text(address.ip), address.prefix));
    if (device.peer != kNone) {
        const NetDevice& peer = network.device(device.peer);
        seen.peer_id = device.peer, seen.peer = peer.net == device.net ? peer.name : fmt::format("{}: {}", name_of(names, peer.net), peer.name);
    }
    if (device.master != kNone) seen.bridge_id = device.master, seen.bridge = network.device(device.master).name;
    for (u32 port : device.ports) seen.ports.push_back(network.device(port).name);
    return seen;
}

std::string route_text(const Network& network, const NetRoute& route) {
    std::string text = route.prefix == 0 ? "default" : prefix_text(route.destination, route.prefix);
    if (route.type == RouteType::Blackhole) text = "blackhole " + text;
    if (route.type == RouteType::Unreachable) text = "unreachable " + text;
    if (route.type == RouteType::Prohibit) text = "prohibit " + text;
    if (route.gateway) text += " via " + ip_text(route.gateway);
    if (route.device != kNone) text += " dev " + network.device(route.device).name;
    if (route.source) text += " src " + ip_text(route.source);
    if (route.metric) text += fmt::format(" metric {}", route.metric);
    return text;
}

std::string rule_text(const NatRule& rule) {
    constexpr const char* kHooks[] = {"prerouting", "output", "forward", "postrouting"};
    std::string text = fmt::format("{}:", kHooks[static_cast<std::size_t>(rule.hook)]);
    if (rule.protocol) text += rule.protocol == kIpTcp ? " tcp" : rule.protocol == kIpUdp ? " udp" : rule.protocol == kIpIcmp ? " icmp" : fmt::format(" protocol {}", rule.protocol);
    if (rule.source_prefix) text += " from " + prefix_text(rule.source, rule.source_prefix);
    if (rule.destination_prefix) text += " to " + prefix_text(rule.destination, rule.destination_prefix);
    if (rule.local_destination) text += " to an address of its own";
    if (rule.port) text += fmt::format(" port {}", rule.port);
    if (!rule.in.empty()) text += fmt::format(" in {}{}", rule.not_in ? "not " : "", rule.in);
    if (!rule.out.empty()) text += fmt::format(" out {}{}", rule.not_out ? "not " : "", rule.out);
    switch (rule.action) {
    case NatAction::Accept: return text + " -> accept";
    case NatAction::Drop: return text + " -> drop";
    case NatAction::Dnat: return text + fmt::format(" -> destination becomes {}", rule.to_port ? with_port(rule.to, rule.to_port) : ip_text(rule.to));
    case NatAction::Snat: return text + " -> source becomes " + ip_text(rule.to);
    case NatAction::Masquerade: return text + " -> source becomes the address of the way out";
    }
    return text;
}

std::string flow_ends(const FlowKey& key) { return fmt::format("{} > {}", with_port(key.source, key.source_port), with_port(key.destination, key.destination_port)); }

const char* tcp_name(TcpState state) {
    constexpr const char* kNames[] = {"none", "established", "syn sent", "syn received", "fin wait 1", "fin wait 2", "time wait", "closed", "close wait", "last ack", "listens", "closing"};
    return kNames[static_cast<std::size_t>(state)];
}

void add_sockets(const Network& network, NetworkSeen& seen) {
    std::map<u32, NetSpaceSeen*> by_index;
    for (NetSpaceSeen& space : seen.spaces) by_index[space.index] = &space;
    for (u32 id : network.socket_ids()) {
        const NetSocket& socket = network.socket(id);
        const auto space = by_index.find(socket.net);
        if (socket.family != kAfInet || space == by_index.end() || space->second->sockets.size() >= kMostPerList) continue;
        const bool tcp = socket.type == kSockStream;
        const SocketAddress local = network.name(id);
        space->second->sockets.push_back({tcp ? "tcp" : socket.type == kSockDgram ? "udp" : "raw", with_port(local.ip, local.port),
                                          socket.remote.family ? with_port(socket.remote.ip, socket.remote.port) : "*",
                                          tcp ? (socket.listening ? "listens" : tcp_name(socket.tcp.state)) : "open"});
    }
}

template <class List, class Text> void add_texts(const List& list, std::vector<std::string>& out, Text text) {
    for (const auto& entry : list) {
        if (out.size() == kMostPerList) return out.push_back(fmt::format("... and {} more", list.size() - kMostPerList));
        out.push_back(text(entry));
    }
}

std::string flow_of(const FlowKey& key) {
    if (!key.protocol) return "";
    if (key.protocol == kIpIcmp) return fmt::format("ICMP {} > {}", ip_text(key.source), ip_text(key.destination));
    return fmt::format("{} {}", key.protocol == kIpTcp ? "TCP" : key.protocol == kIpUdp ? "UDP" : fmt::format("protocol {}", key.protocol), flow_ends(key));
}

HopSeen seen_hop(const Network& network, const std::map<u32, std::string>& names, const PathStep& step) {
    HopSeen hop;
    hop.packet = step.packet, hop.net = step.net, hop.where = name_of(names, step.net);
    if (step.device != kNone && network.device(step.device).used) hop.device = network.device(step.device).name;
    hop.flow = flow_of(step.flow);
    hop.sentence = network.step_text(step);
    const std::size_t begin = hop.sentence.find(": "); // "net 3: leaves through eth0: UDP ..."
    hop.sentence = hop.sentence.substr(begin + 2);
    if (step.flow.protocol)
        if (const std::size_t flow = hop.sentence.rfind(": "); flow != std::string::npos) hop.sentence.resize(flow);
    return hop;
}

/// Sends the packet; 0 or a negated errno.
i64 send_question(Network& network, const PacketQuestion& question) {
    const bool tcp = question.protocol == kIpTcp;
    const i64 socket = network.open(question.net, kAfInet, tcp ? kSockStream : kSockDgram, 0, {});
    if (socket < 0) return socket;
    SocketAddress to;
    to.family = kAfInet, to.ip = question.destination, to.port = question.port;
    const i64 connected = network.connect(static_cast<u32>(socket), to);
    if (connected < 0 && !(tcp && connected == -kEINPROGRESS)) return connected;
    constexpr u8 kText[] = {'?'};
    const i64 sent = tcp ? 0 : network.send(static_cast<u32>(socket), kText);
    return sent < 0 ? sent : 0;
}

} // namespace

NetworkSeen network_seen(const Kernel& kernel) {
    const Network& network = kernel.network;
    const auto names = names_of_spaces(kernel);
    NetworkSeen seen;
    for (u32 index = 0; index < kernel.net_namespaces.end(); ++index) {
        if (!kernel.net_namespaces.contains(index)) continue;
        const NetNamespace& own = network.space(index);
        NetSpaceSeen space;
        space.index = index, space.inode = kernel.namespace_inode(NamespaceKind::Net, index), space.who = name_of(names, index), space.forwards = own.forwards;
        for (const auto& [number, id] : own.devices) space.devices.push_back(seen_device(network, names, id));
        add_texts(own.routes, space.routes, [&](const NetRoute& route) { return route_text(network, route); });
        add_texts(own.rules, space.rules, [](const NatRule& rule) { return rule_text(rule); });
        add_texts(own.tracked, space.tracked, [](const auto& entry) { return fmt::format("{}; answers arrive as {}", flow_of(entry.first), flow_ends(entry.second.reply)); });
        for (const auto& [place, neighbour] : network.neighbours())
            if (network.device(place.first).net == index && space.neighbours.size() < kMostPerList)
                space.neighbours.push_back(fmt::format("{} dev {} lladdr {}", ip_text(place.second), network.device(place.first).name, mac_text(neighbour.mac)));
        seen.spaces.push_back(std::move(space));
    }
    for (const Process& process : kernel.processes)
        if (process.used && !process.zombie)
            for (NetSpaceSeen& space : seen.spaces)
                if (space.index == kernel.tasks[process.leader].namespaces.net) space.members.push_back(process.pid);
    add_sockets(network, seen);
    return seen;
}

PacketPath packet_path(const Kernel& kernel, const PacketQuestion& question) {
    const auto names = names_of_spaces(kernel);
    PacketPath path;
    path.question = fmt::format("{} from {} to {}", question.protocol == kIpTcp ? "a TCP connection" : "a UDP packet", name_of(names, question.net), with_port(question.destination, question.port));
    Network copy = kernel.network;
    copy.clear_steps(), copy.record_paths(true);
    if (const i64 error = send_question(copy, question); error < 0) path.error = errno_name(-error) ? errno_name(-error) : "an error";
    copy.advance(copy.now());
    for (unsigned i = 0; i < kMostTimers && copy.steps().size() < 400 && copy.due() < copy.now() + 4 * kNetSecond; ++i) copy.advance(copy.due());
    // The question is the packet of its first step; what ARP and the answer do are packets of their own.
    for (const PathStep& step : copy.steps()) {
        path.hops.push_back(seen_hop(copy, names, step));
        path.arrived |= step.decision == PathDecision::Delivered && step.packet == copy.steps()[0].packet;
    }
    return path;
}

std::vector<PacketPath> packet_paths(const Kernel& kernel, std::size_t most) {
    const auto names = names_of_spaces(kernel);
    std::map<u32, PacketPath> by_packet;
    std::vector<u32> order;
    for (const PathStep& step : kernel.network.steps()) {
        auto [path, fresh] = by_packet.try_emplace(step.packet);
        if (fresh) order.push_back(step.packet), path->second.question = flow_of(step.flow);
        path->second.hops.push_back(seen_hop(kernel.network, names, step));
        path->second.arrived |= step.decision == PathDecision::Delivered;
    }
    std::vector<PacketPath> paths;
    for (std::size_t i = order.size() - std::min(order.size(), most); i < order.size(); ++i) paths.push_back(std::move(by_packet.at(order[i])));
    return paths;
}

} // namespace trapeze::container
