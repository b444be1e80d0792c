// Network namespaces and their devices: born, renamed, moved, joined to bridges, gone (network_namespaces(7), veth(4), bridge(8)).
#include "container-sim/errno.hpp"
#include "container-sim/net/network.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace trapeze::container {

namespace {
constexpr u32 kMinMtu = 68, kMaxEthernetMtu = 65535, kLoopbackMtu = 65536;
} // namespace

std::string_view device_word(DeviceKind kind) {
    switch (kind) {
    case DeviceKind::Veth: return "veth";
    case DeviceKind::Bridge: return "bridge";
    case DeviceKind::Dummy: return "dummy";
    case DeviceKind::Loopback: break;
    }
    return "";
}

Network::Network() { (void)add_namespace(); }

i64 Network::add_namespace() {
    u32 net = 0;
    while (net < spaces_.size() && spaces_[net].used) ++net;
    return add_namespace(net);
}

/// Pre: there is none of this number.
i64 Network::add_namespace(u32 net) {
    if (net >= kMaxNamespaces) return -kENOSPC;
    if (net >= spaces_.size()) spaces_.resize(net + 1);
    spaces_[net].used = true;
    const i64 lo = add_device(net, DeviceKind::Loopback, "lo");
    if (lo < 0) spaces_[net] = {};
    return lo < 0 ? lo : net;
}

/// Pre: no open socket was born in it.
void Network::remove_namespace(u32 net) {
    if (net == 0 || net >= spaces_.size() || !spaces_[net].used) return;
    for (u32 id : socket_ids())
        if (sockets_[id].net == net && sockets_[id].family == kAfInet) tcp_done(id, 0);
    while (!spaces_[net].devices.empty()) {
        const u32 id = spaces_[net].devices.rbegin()->second;
        if (devices_[id].kind == DeviceKind::Loopback) devices_[id].kind = DeviceKind::Dummy; // lo goes with its namespace alone
        (void)remove_device(id);
    }
    spaces_[net] = {};
}

u32 Network::find_device(u32 net, const std::string& name) const {
    const auto found = spaces_[net].names.find(name);
    return found == spaces_[net].names.end() ? kNone : found->second;
}
u32 Network::find_device(u32 net, u32 ifindex) const {
    const auto found = spaces_[net].devices.find(ifindex);
    return found == spaces_[net].devices.end() ? kNone : found->second;
}

/// dev_valid_name of Linux: no more than 15 bytes, no slash, colon or space, not "." or "..".
bool Network::valid_name(const std::string& name) const {
    if (name.empty() || name.size() > kMaxNameBytes || name == "." || name == "..") return false;
    return std::all_of(name.begin(), name.end(), [](char c) { return c != '/' && c != ':' && static_cast<u8>(c) > ' '; });
}

/// "veth%d" becomes the first name that is free; others stay. "" when there is none.
std::string Network::free_name(u32 net, const std::string& pattern) const {
    const std::size_t percent = pattern.find('%');
    if (percent == std::string::npos) return valid_name(pattern) ? pattern : "";
    if (pattern.compare(percent, 2, "%d") != 0 || pattern.find('%', percent + 1) != std::string::npos) return "";
    const std::string prefix = pattern.substr(0, percent), suffix = pattern.substr(percent + 2);
    u32 number = 0;
    while (spaces_[net].names.count(fmt::format("{}{}{}", prefix, number, suffix))) ++number;
    const std::string name = fmt::format("{}{}{}", prefix, number, suffix);
    return valid_name(name) ? name : "";
}

i64 Network::add_device(u32 net, DeviceKind kind, const std::string& pattern) {
    const std::string name = free_name(net, pattern);
    if (name.empty()) return -kEINVAL;
    if (spaces_[net].names.count(name)) return -kEEXIST;
    u32 id = static_cast<u32>(devices_.size());
    if (!free_devices_.empty()) {
        id = free_devices_.back();
        free_devices_.pop_back();
    } else if (devices_.size() >= kMaxDevices) {
        return -kENOMEM;
    } else {
        devices_.emplace_back();
    }
    NetDevice& device = devices_[id];
    device = {};
    device.used = true, device.kind = kind, device.name = name;
    if (kind == DeviceKind::Loopback) {
        device.mtu = kLoopbackMtu;
    } else { // locally administered, and another for each device that ever was
        const u32 number = ++devices_made_;
        device.mac = {0x02, 0x54, static_cast<u8>(number >> 24), static_cast<u8>(number >> 16), static_cast<u8>(number >> 8), static_cast<u8>(number)};
    }
    enter(id, net);
    notify_link(id, false);
    return id;
}

std::optional<Network::VethPair> Network::add_veth(u32 net, const std::string& name, u32 peer_net, const std::string& peer_name, i64* error) {
    const i64 second = add_device(peer_net, DeviceKind::Veth, peer_name); // the peer comes first, as Linux numbers them
    const i64 first = second < 0 ? second : add_device(net, DeviceKind::Veth, name);
    if (first < 0) {
        if (second >= 0) (void)remove_device(static_cast<u32>(second));
        if (error) *error = first;
        return std::nullopt;
    }
    devices_[static_cast<u32>(first)].peer = static_cast<u32>(second), devices_[static_cast<u32>(second)].peer = static_cast<u32>(first);
    return VethPair{static_cast<u32>(first), static_cast<u32>(second)};
}

void Network::enter(u32 id, u32 net) {
    NetNamespace& space = spaces_[net];
    NetDevice& device = devices_[id];
    device.net = net;
    if (!device.ifindex || space.devices.count(device.ifindex)) device.ifindex = space.next_ifindex;
    space.next_ifindex = std::max(space.next_ifindex, device.ifindex + 1);
    space.devices[device.ifindex] = id, space.names[device.name] = id;
}

/// Out of its namespace, with what hung on it there.
void Network::leave(u32 id) {
    (void)set_up(id, false);
    (void)set_master(id, kNone);
    NetDevice& device = devices_[id];
    for (const u32 port : std::set<u32>(device.ports)) (void)set_master(port, kNone);
    for (const InterfaceAddress& address : std::exchange(device.addresses, {})) {
        spaces_[device.net].local.erase({address.ip, id});
        notify_address(id, address, true);
    }
    drop_neighbours(id);
    notify_link(id, true);
    spaces_[device.net].devices.erase(device.ifindex), spaces_[device.net].names.erase(device.name);
}

i64 Network::remove_device(u32 id) {
    if (devices_[id].kind == DeviceKind::Loopback) return -kEOPNOTSUPP;
    const u32 peer = devices_[id].peer;
    leave(id);
    devices_[id] = {};
    free_devices_.push_back(id);
    if (peer == kNone) return 0;
    devices_[peer].peer = kNone;
    return remove_device(peer); // a veth does not live without its other end
}

i64 Network::rename_device(u32 id, const std::string& pattern) {
    NetDevice& device = devices_[id];
    if (pattern == device.name) return 0;
    const std::string name = free_name(device.net, pattern);
    if (name.empty()) return -kEINVAL;
    auto& names = spaces_[device.net].names;
    if (names.count(name)) return -kEEXIST;
    names.erase(device.name), names[name] = id;
    for (InterfaceAddress& address : device.addresses)
        if (address.label == device.name) address.label = name;
    device.name = name;
    return 0;
}

i64 Network::move_device(u32 id, u32 net) {
    NetDevice& device = devices_[id];
    if (device.net == net) return 0;
    if (device.kind == DeviceKind::Loopback || device.kind == DeviceKind::Bridge) return -kEINVAL; // bound to their namespace
    if (spaces_[net].names.count(device.name)) return -kEEXIST;
    leave(id);
    enter(id, net);
    return 0;
}

i64 Network::set_up(u32 id, bool up) {
    NetDevice& device = devices_[id];
    if (device.up == up) return 0;
    if (!up) withdraw(id);
    device.up = up;
    if (!up) drop_neighbours(id);
    else announce(id);
    if (up && device.kind == DeviceKind::Loopback && device.addresses.empty()) (void)add_address(id, {ipv4(127, 0, 0, 1), 8, 0, device.name});
    notify_link(id, false);
    return 0;
}

bool Network::carrier(u32 id) const {
    const NetDevice& device = devices_[id];
    if (device.kind == DeviceKind::Veth) return device.peer != kNone && devices_[device.peer].up;
    if (device.kind != DeviceKind::Bridge) return true;
    return std::any_of(device.ports.begin(), device.ports.end(), [&](u32 port) { return devices_[port].up && carrier(port); });
}

i64 Network::set_mtu(u32 id, u32 mtu) {
    const bool loopback = devices_[id].kind == DeviceKind::Loopback;
    if (mtu < kMinMtu || mtu > (loopback ? kMaxRoutedMtu : kMaxEthernetMtu)) return -kEINVAL;
    devices_[id].mtu = mtu;
    return 0;
}

i64 Network::set_mac(u32 id, const MacAddress& mac) {
    if (mac[0] & 1 || mac == MacAddress{}) return -kEADDRNOTAVAIL;
    if (devices_[id].kind == DeviceKind::Loopback) return -kEOPNOTSUPP;
    devices_[id].mac = mac, devices_[id].mac_set = true;
    if (devices_[id].master != kNone) choose_bridge_mac(devices_[id].master);
    return 0;
}

i64 Network::set_master(u32 id, u32 bridge) {
    NetDevice& device = devices_[id];
    if (device.master == bridge) return 0;
    if (bridge != kNone) {
        if (devices_[bridge].kind != DeviceKind::Bridge || devices_[bridge].net != device.net) return -kEOPNOTSUPP;
        if (device.kind == DeviceKind::Bridge) return -kELOOP;
        if (device.kind == DeviceKind::Loopback) return -kEINVAL;
    }
    if (device.master != kNone) {
        const u32 old = std::exchange(device.master, kNone);
        devices_[old].ports.erase(id);
        std::erase_if(devices_[old].learnt, [&](const auto& entry) { return entry.second.port == id; });
        choose_bridge_mac(old);
    }
    if (bridge == kNone) return 0;
    device.master = bridge;
    devices_[bridge].ports.insert(id);
    choose_bridge_mac(bridge);
    return 0;
}

/// A bridge wears the lowest address of its ports until it is given one.
void Network::choose_bridge_mac(u32 bridge) {
    NetDevice& device = devices_[bridge];
    if (device.mac_set || device.ports.empty()) return;
    device.mac = devices_[*std::min_element(device.ports.begin(), device.ports.end(), [&](u32 a, u32 b) { return devices_[a].mac < devices_[b].mac; })].mac;
}

} // namespace trapeze::container
