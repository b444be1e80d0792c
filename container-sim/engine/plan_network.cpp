// The cable between a container and its bridge: messages of rtnetlink(7), as ip(8) sends them.
#include "container-sim/engine/plan.hpp"

#include "container-sim/errno.hpp"
#include "container-sim/net/net_netlink.hpp"

#include <fmt/format.h>

namespace trapeze::container::planning {

namespace {

constexpr u16 kVethPeer = 1; // VETH_INFO_PEER
constexpr u32 kUp = 1;       // IFF_UP
constexpr u16 kAsk = kNlRequest | kNlAck;

Step message(Step::By by, NetlinkWriter& writer, const std::string& shown, const std::string& why, const std::string& socket) {
    Step step;
    NetBytes data = writer.take();
    const std::size_t size = data.size();
    step.by = by, step.call = "sendto", step.special = Step::Special::Netlink, step.why = why;
    step.arguments = {kept(socket), bytes(std::move(data), shown), number(size), number(0), null(), number(0)};
    return step;
}

/// A link that is to be up.
Step set_up(const std::string& name, const std::string& why) {
    NetlinkWriter writer(kNewLink, kAsk, 1, 0, LinkMessage{0, 0, 0, 0, kUp, kUp});
    writer.text(kIflaName, name);
    Step step = message(Step::By::Container, writer, fmt::format("RTM_NEWLINK {} up", name), why, "netlink");
    step.undone_by = "goes with the net namespace";
    return step;
}

} // namespace

Step drop_link(const std::string& name) {
    NetlinkWriter writer(kDelLink, kAsk, 1, 0, LinkMessage{});
    writer.text(kIflaName, name);
    Step step = message(Step::By::Engine, writer, fmt::format("RTM_DELLINK {}", name), "", "engine_netlink");
    step.fine = {kENODEV};
    return step;
}

Step netlink_socket() {
    constexpr u64 kCloseOnExec = 02000000;
    Step step = engine_call("socket", {number(kAfNetlink, "AF_NETLINK"), number(kSockRaw | kCloseOnExec, "SOCK_RAW|SOCK_CLOEXEC"), number(0, "NETLINK_ROUTE")}, "to change links, addresses and routes");
    step.keep = "engine_netlink";
    return step;
}

Step make_bridge(const std::string& name) {
    NetlinkWriter writer(kNewLink, kAsk | kNlCreate | kNlExcl, 1, 0, LinkMessage{0, 0, 0, 0, kUp, kUp});
    writer.text(kIflaName, name);
    const std::size_t info = writer.begin(kIflaLinkInfo);
    writer.text(kInfoKind, "bridge");
    writer.end(info);
    Step step = message(Step::By::Engine, writer, fmt::format("RTM_NEWLINK {} type bridge up", name), "the switch that its containers are plugged into", "engine_netlink");
    step.undo = {drop_link(name)};
    return step;
}

void give_address(Steps& steps, Step::By by, const std::string& device, Ipv4 address, unsigned prefix, const std::string& socket) {
    constexpr u64 kGetIndex = 0x8933; // SIOCGIFINDEX
    std::vector<u8> request(40); // struct ifreq: a name, then the number
    std::copy(device.begin(), device.end(), request.begin());
    Step ask;
    ask.by = by, ask.call = "ioctl", ask.arguments = {kept(socket), number(kGetIndex, "SIOCGIFINDEX"), bytes(std::move(request), device)};
    ask.keep = "device", ask.keep_from = {2, 16};
    steps.push_back(std::move(ask));
    NetlinkWriter writer(kNewAddr, kAsk | kNlCreate | kNlExcl, 1, 0, AddressMessage{kAfInet, static_cast<u8>(prefix), 0, 0, 0});
    writer.ip(kIfaLocal, address), writer.ip(kIfaAddress, address), writer.ip(kIfaBroadcast, address | ((u64{1} << (32 - prefix)) - 1));
    Step step = message(by, writer, fmt::format("RTM_NEWADDR {}/{} dev {}", ip_text(address), prefix, device), "its address", socket);
    step.arguments[1].patches.push_back({sizeof(NetlinkHeader) + 4, "device"}), step.undone_by = "goes with the device";
    steps.push_back(std::move(step));
}

/// One end on the bridge, the other, eth0, in the net namespace of the container's first process.
void add_cable(Steps& steps, const NetworkPlan& network) {
    if (network.veth.empty()) return;
    NetlinkWriter writer(kNewLink, kAsk | kNlCreate | kNlExcl, 1, 0, LinkMessage{0, 0, 0, 0, kUp, kUp});
    writer.text(kIflaName, network.veth);
    std::vector<u8> bridge_name(40);
    std::copy(network.bridge.begin(), network.bridge.end(), bridge_name.begin());
    constexpr u64 kGetIndex = 0x8933;
    Step ask = engine_call("ioctl", {kept("engine_netlink"), number(kGetIndex, "SIOCGIFINDEX"), bytes(std::move(bridge_name), network.bridge)}, "the bridge's number");
    ask.keep = "bridge", ask.keep_from = {2, 16};
    steps.push_back(std::move(ask));
    constexpr u32 kBridgeMark = 0xb41d'6e00, kChildMark = 0xc411'd000; // found again below: the numbers are known when the step is made
    writer.number(kIflaMaster, kBridgeMark);
    const std::size_t info = writer.begin(kIflaLinkInfo);
    writer.text(kInfoKind, "veth");
    const std::size_t data = writer.begin(kInfoData), peer = writer.begin(kVethPeer);
    writer.append(LinkMessage{});
    writer.text(kIflaName, "eth0"), writer.number(kIflaNetPid, kChildMark);
    writer.end(peer), writer.end(data), writer.end(info);
    Step step = message(Step::By::Engine, writer, fmt::format("RTM_NEWLINK {} master {} up type veth peer eth0 in the net namespace of {{child}}", network.veth, network.bridge),
                        "a cable from the bridge into its net namespace", "engine_netlink");
    Argument& sent = step.arguments[1];
    for (const auto& [mark, name] : {std::pair(kBridgeMark, "bridge"), std::pair(kChildMark, "child")}) {
        const auto pattern = raw(mark);
        const auto at = std::search(sent.bytes.begin(), sent.bytes.end(), pattern.begin(), pattern.end());
        sent.patches.push_back({static_cast<std::size_t>(at - sent.bytes.begin()), name});
    }
    step.undo = {drop_link(network.veth)};
    steps.push_back(std::move(step));
}

/// Inside: lo, eth0 with its address, and the way out.
void add_interfaces(Steps& steps, const NetworkPlan& network) {
    if (!network.loopback) return;
    Step open = container_call("socket", {number(kAfNetlink, "AF_NETLINK"), number(kSockRaw | 02000000, "SOCK_RAW|SOCK_CLOEXEC"), number(0, "NETLINK_ROUTE")}, "to set up its network");
    open.keep = "netlink", open.undone_by = "close";
    steps.push_back(std::move(open));
    steps.push_back(set_up("lo", "its own lo is down when a net namespace is new"));
    if (!network.veth.empty()) {
        give_address(steps, Step::By::Container, "eth0", network.address, network.prefix, "netlink");
        steps.push_back(set_up("eth0", "its end of the cable"));
        NetlinkWriter writer(kNewRoute, kAsk | kNlCreate | kNlExcl, 1, 0, RouteMessage{kAfInet, 0, 0, 0, 254, kRouteBoot, kScopeGlobal, 1, 0});
        writer.ip(kRtaGateway, network.gateway);
        Step route = message(Step::By::Container, writer, fmt::format("RTM_NEWROUTE default via {}", ip_text(network.gateway)), "everything else is behind the bridge", "netlink");
        route.undone_by = "goes with the net namespace";
        steps.push_back(std::move(route));
    }
    steps.push_back(container_call("close", {kept("netlink")}, ""));
}

} // namespace trapeze::container::planning
