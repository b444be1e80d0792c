// Addresses of devices and the routes of a namespace: where a packet goes next (rtnetlink(7), ip-route(8)).
#include "container-sim/errno.hpp"
#include "container-sim/net/network.hpp"

#include <algorithm>

namespace trapeze::container {

namespace {
/// The order of lookup: the longest prefix first, then the lowest metric, then the oldest.
bool before(const NetRoute& a, const NetRoute& b) { return a.prefix != b.prefix ? a.prefix > b.prefix : a.metric < b.metric; }
bool same_place(const NetRoute& a, const NetRoute& b) { return a.destination == b.destination && a.prefix == b.prefix && a.metric == b.metric; }
} // namespace

i64 Network::add_address(u32 id, InterfaceAddress address) {
    NetDevice& device = devices_[id];
    if (address.prefix > 32 || is_multicast(address.ip) || address.ip == kBroadcastIp) return -kEINVAL;
    if (device.addresses.size() >= kMaxAddresses) return -kENOBUFS;
    for (const InterfaceAddress& other : device.addresses)
        if (other.ip == address.ip && other.prefix == address.prefix) return -kEEXIST;
    if (address.label.empty()) address.label = device.name;
    device.addresses.push_back(address);
    spaces_[device.net].local.insert({address.ip, id});
    if (device.up) announce_address(id, address);
    notify_address(id, address, false);
    return 0;
}

i64 Network::remove_address(u32 id, Ipv4 ip, unsigned prefix) {
    auto& addresses = devices_[id].addresses;
    const auto found = std::find_if(addresses.begin(), addresses.end(), [&](const InterfaceAddress& a) { return a.ip == ip && (prefix > 32 || a.prefix == prefix); });
    if (found == addresses.end()) return -kEADDRNOTAVAIL;
    const InterfaceAddress gone = *found;
    addresses.erase(found);
    withdraw_address(id, gone);
    notify_address(id, gone, true);
    return 0;
}

/// A device that comes up makes the networks of its addresses reachable. The addresses are local even while it is down.
void Network::announce(u32 id) {
    for (const InterfaceAddress& address : std::vector<InterfaceAddress>(devices_[id].addresses)) announce_address(id, address);
}

void Network::withdraw(u32 id) {
    std::erase_if(spaces_[devices_[id].net].routes, [&](const NetRoute& route) { return route.device == id; });
}

void Network::announce_address(u32 id, const InterfaceAddress& address) {
    const NetDevice& device = devices_[id];
    if (device.kind == DeviceKind::Loopback || address.prefix == 32) return;
    NetRoute route;
    route.destination = address.ip & prefix_mask(address.prefix), route.prefix = address.prefix, route.device = id, route.source = address.ip;
    route.scope = kScopeLink, route.protocol = kRouteKernel;
    (void)add_route(device.net, route);
}

void Network::withdraw_address(u32 id, const InterfaceAddress& address) {
    NetNamespace& space = spaces_[devices_[id].net];
    space.local.erase({address.ip, id});
    std::erase_if(space.routes, [&](const NetRoute& route) { return route.device == id && route.source == address.ip; });
    for (const InterfaceAddress& other : devices_[id].addresses) { // one of the same network keeps its route
        space.local.insert({other.ip, id});
        if (devices_[id].up) announce_address(id, other);
    }
}

i64 Network::add_route(u32 net, NetRoute route, bool replace) {
    NetNamespace& space = spaces_[net];
    if (route.prefix > 32 || route.destination & ~prefix_mask(route.prefix)) return -kEINVAL;
    if (route.type == RouteType::Unicast) {
        if (route.gateway) {
            const Hop hop = this->route(net, route.gateway, 0, route.device);
            if (hop.type == RouteType::Local) return -kEINVAL;
            if (hop.error || hop.next != route.gateway) return -kENETUNREACH; // a gateway must be on a link
            if (route.device == kNone) route.device = hop.device;
        }
        if (route.device == kNone || devices_[route.device].net != net) return -kENODEV;
        if (!devices_[route.device].up) return -kENETDOWN;
        if (route.source && !is_local(net, route.source)) return -kEINVAL;
    }
    const auto same = std::find_if(space.routes.begin(), space.routes.end(), [&](const NetRoute& other) { return same_place(route, other); });
    if (same != space.routes.end()) {
        if (!replace) return -kEEXIST;
        *same = route;
        return 0;
    }
    if (space.routes.size() >= kMaxRoutes) return -kENOBUFS;
    space.routes.insert(std::upper_bound(space.routes.begin(), space.routes.end(), route, before), route);
    return 0;
}

i64 Network::remove_route(u32 net, const NetRoute& like) {
    auto& routes = spaces_[net].routes;
    const auto found = std::find_if(routes.begin(), routes.end(), [&](const NetRoute& route) {
        return route.destination == like.destination && route.prefix == like.prefix && (!like.gateway || route.gateway == like.gateway) && (like.device == kNone || route.device == like.device) &&
               (!like.metric || route.metric == like.metric) && (!like.source || route.source == like.source);
    });
    if (found == routes.end()) return -kESRCH;
    routes.erase(found);
    return 0;
}

bool Network::is_local(u32 net, Ipv4 ip) const {
    const NetNamespace& space = spaces_[net];
    if (is_loopback(ip)) return space.local.lower_bound({ipv4(127, 0, 0, 0), 0}) != space.local.end() && is_loopback(space.local.lower_bound({ipv4(127, 0, 0, 0), 0})->first);
    const auto found = space.local.lower_bound({ip, 0});
    return found != space.local.end() && found->first == ip;
}

Hop Network::route(u32 net, Ipv4 destination, Ipv4 source, u32 out_device) const {
    const NetNamespace& space = spaces_[net];
    Hop hop;
    hop.next = destination, hop.source = source;
    if (out_device == kNone && is_local(net, destination)) {
        hop.type = RouteType::Local, hop.device = find_device(net, std::string("lo"));
        if (!hop.source) hop.source = destination;
        return hop;
    }
    if (out_device != kNone && (destination == kBroadcastIp || is_multicast(destination))) {
        hop.type = destination == kBroadcastIp ? RouteType::Broadcast : RouteType::Unicast, hop.device = out_device;
        if (!hop.source && !devices_[out_device].addresses.empty()) hop.source = devices_[out_device].addresses.front().ip;
        return hop;
    }
    for (const NetRoute& route : space.routes) {
        if ((destination & prefix_mask(route.prefix)) != route.destination) continue;
        if (out_device != kNone && route.device != out_device) continue;
        if (route.type != RouteType::Unicast) {
            hop.error = route.type == RouteType::Blackhole ? -kEINVAL : route.type == RouteType::Prohibit ? -kEACCES : -kEHOSTUNREACH;
            return hop;
        }
        const NetDevice& device = devices_[route.device];
        hop.device = route.device, hop.next = route.gateway ? route.gateway : destination;
        if (!hop.source && route.source) hop.source = route.source;
        if (!hop.source && !device.addresses.empty()) hop.source = device.addresses.front().ip;
        for (const InterfaceAddress& address : device.addresses) {
            const Ipv4 last = address.ip | ~prefix_mask(address.prefix);
            if (destination == kBroadcastIp || (address.prefix < 31 && destination == last)) hop.type = RouteType::Broadcast;
            if (!source && !route.source && (hop.next & prefix_mask(address.prefix)) == (address.ip & prefix_mask(address.prefix))) {
                hop.source = address.ip;
                break;
            }
        }
        return hop;
    }
    if (destination == kBroadcastIp) hop.type = RouteType::Broadcast, hop.device = find_device(net, std::string("lo"));
    else hop.error = -kENETUNREACH;
    return hop;
}

} // namespace trapeze::container
