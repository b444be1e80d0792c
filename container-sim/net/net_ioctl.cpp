// ioctl(2) on sockets: what ifconfig, route, arp and brctl ask and change (netdevice(7)).
#include "container-sim/abi.hpp"
#include "container-sim/lookups.hpp"
#include "container-sim/net/net_calls.hpp"

#include <cstring>

namespace trapeze::container {

namespace {

enum Request : u64 {
    kReadable = 0x541b, kNonBlocking = 0x5421, kUnsent = 0x5411, kAddRoute = 0x890b, kDelRoute = 0x890c, kGetName = 0x8910, kGetConf = 0x8912, kGetFlags = 0x8913, kSetFlags = 0x8914,
    kGetAddress = 0x8915, kSetAddress = 0x8916, kGetPeer = 0x8917, kGetBroadcast = 0x8919, kSetBroadcast = 0x891a, kGetMask = 0x891b, kSetMask = 0x891c, kGetMetric = 0x891d, kGetMtu = 0x8921,
    kSetMtu = 0x8922, kSetName = 0x8923, kSetMac = 0x8924, kGetMac = 0x8927, kGetIndex = 0x8933, kGetQueue = 0x8942, kGetNamespace = 0x894c, kGetMap = 0x8970, kAddBridge = 0x89a0,
    kDelBridge = 0x89a1, kAddPort = 0x89a2, kDelPort = 0x89a3
};
constexpr std::size_t kNameBytes = 16;
constexpr u16 kHardwareEthernet = 1, kHardwareLoopback = 772;

struct InterfaceRequest { ///< struct ifreq
    char name[kNameBytes];
    u8 value[24];
    std::string text() const { return std::string(name, strnlen(name, kNameBytes)).substr(0, std::string(name, strnlen(name, kNameBytes)).find(':')); } // eth0:1 is eth0's
    template <class T> T get() const {
        T out;
        std::memcpy(&out, value, sizeof out);
        return out;
    }
    template <class T> void set(T in) {
        std::memset(value, 0, sizeof value);
        std::memcpy(value, &in, sizeof in);
    }
    void set_ip(Ipv4 ip) {
        set(u16{kAfInet});
        store32(value, 4, ip);
    }
    Ipv4 ip() const { return load32(value, 4); }
    void set_mac(const MacAddress& mac, bool loopback) {
        set(u16{loopback ? kHardwareLoopback : kHardwareEthernet});
        std::copy(mac.begin(), mac.end(), value + 2);
    }
};
static_assert(sizeof(InterfaceRequest) == 40);

u8 prefix_of(Ipv4 mask) { return static_cast<u8>(std::countl_one(mask)); }
/// The mask that an address had before there were prefixes: SIOCSIFADDR sets it.
u8 class_prefix(Ipv4 ip) { return ip >> 31 == 0 ? 8 : ip >> 30 == 2 ? 16 : 24; }

/// What a device is asked. nullopt: not one of these requests.
std::optional<i64> ask_device(const Network& network, u32 id, u64 request, InterfaceRequest& answer) {
    const NetDevice& device = network.device(id);
    const InterfaceAddress* address = device.addresses.empty() ? nullptr : &device.addresses.front();
    switch (request) {
    case kGetFlags: return answer.set(static_cast<u16>(network.device_flags(id))), 0;
    case kGetAddress: case kGetPeer: return address ? (answer.set_ip(address->ip), 0) : -kEADDRNOTAVAIL;
    case kGetBroadcast: return address ? (answer.set_ip(address->broadcast), 0) : -kEADDRNOTAVAIL;
    case kGetMask: return address ? (answer.set_ip(prefix_mask(address->prefix)), 0) : -kEADDRNOTAVAIL;
    case kGetMetric: return answer.set(i32{0}), 0;
    case kGetMtu: return answer.set(static_cast<i32>(device.mtu)), 0;
    case kGetMac: return answer.set_mac(device.mac, device.kind == DeviceKind::Loopback), 0;
    case kGetIndex: return answer.set(static_cast<i32>(device.ifindex)), 0;
    case kGetQueue: return answer.set(i32{1000}), 0;
    case kGetMap: return answer.set(u64{0}), 0;
    default: return std::nullopt;
    }
}

/// Changes the first address of a device; the others stay.
i64 change_address(Network& network, u32 id, u64 request, Ipv4 ip) {
    const NetDevice& device = network.device(id);
    InterfaceAddress address;
    if (!device.addresses.empty()) address = device.addresses.front();
    else if (request != kSetAddress) return -kEADDRNOTAVAIL;
    const InterfaceAddress before = address;
    if (request == kSetAddress) {
        address.ip = ip, address.prefix = class_prefix(ip);
        address.broadcast = device.kind == DeviceKind::Loopback ? 0 : ip | ~prefix_mask(address.prefix);
    } else if (request == kSetMask) {
        if (ip & (~ip >> 1)) return -kEINVAL; // not one run of ones
        if (before.broadcast == (before.ip | ~prefix_mask(before.prefix))) address.broadcast = address.ip | ~ip;
        address.prefix = prefix_of(ip);
    } else {
        address.broadcast = ip;
    }
    if (!device.addresses.empty()) (void)network.remove_address(id, before.ip, before.prefix);
    return request == kSetAddress && ip == 0 ? 0 : network.add_address(id, address);
}

std::optional<i64> change_device(Network& network, u32 net, u32 id, u64 request, const InterfaceRequest& wanted) {
    constexpr u16 kUp = 1, kPromiscuous = 0x100;
    switch (request) {
    case kSetFlags:
        network.set_promiscuous(id, wanted.get<u16>() & kPromiscuous);
        return network.set_up(id, wanted.get<u16>() & kUp);
    case kSetAddress: case kSetMask: case kSetBroadcast: return change_address(network, id, request, wanted.ip());
    case kSetMtu: return network.set_mtu(id, static_cast<u32>(wanted.get<i32>()));
    case kSetName: return network.rename_device(id, std::string(reinterpret_cast<const char*>(wanted.value), strnlen(reinterpret_cast<const char*>(wanted.value), kNameBytes)));
    case kSetMac: {
        MacAddress mac;
        std::copy_n(wanted.value + 2, mac.size(), mac.begin());
        return network.set_mac(id, mac);
    }
    case kAddPort: case kDelPort: {
        const u32 port = network.find_device(net, static_cast<u32>(wanted.get<i32>()));
        if (port == kNone) return -kEINVAL;
        if (request == kAddPort) return network.device(port).master == kNone ? network.set_master(port, id) : -kEBUSY;
        return network.device(port).master == id ? network.set_master(port, kNone) : -kEINVAL;
    }
    default: return std::nullopt;
    }
}

/// SIOCGIFCONF: names and addresses of the devices that have one.
i64 list_devices(const Call& call, u32 net, u64 at) {
    struct Conf { ///< struct ifconf
        i32 bytes, pad;
        u64 buffer;
    } conf{};
    if (!call.read_user(at, conf)) return -kEFAULT;
    const Network& network = call.kernel.network;
    i32 used = 0;
    for (const auto& [index, id] : network.space(net).devices)
        for (const InterfaceAddress& address : network.device(id).addresses) {
            InterfaceRequest one{};
            std::memcpy(one.name, address.label.data(), std::min(address.label.size(), kNameBytes - 1));
            one.set_ip(address.ip);
            if (conf.buffer && used + static_cast<i32>(sizeof one) > conf.bytes) break;
            if (conf.buffer && !call.write_user(conf.buffer + static_cast<u64>(used), one)) return -kEFAULT;
            used += static_cast<i32>(sizeof one);
        }
    conf.bytes = used;
    return call.write_user(at, conf) ? 0 : -kEFAULT;
}

/// SIOCADDRT, SIOCDELRT with a struct rtentry.
i64 change_route(const Call& call, u32 net, u64 at, bool add) {
    struct {
        u64 pad1;
        u8 destination[16], gateway[16], mask[16];
        u16 flags;
        i16 pad2;
        u32 pad3;
        u64 pad4, pad5;
        i16 metric, pad6;
        u32 pad7;
        u64 device;
    } entry{};
    constexpr u16 kGateway = 2, kHost = 4, kReject = 0x200;
    if (!call.read_user(at, entry)) return -kEFAULT;
    NetRoute route;
    route.destination = load32(entry.destination, 4);
    route.prefix = entry.flags & kHost ? 32 : prefix_of(load32(entry.mask, 4));
    route.metric = entry.metric > 0 ? static_cast<u32>(entry.metric - 1) : 0;
    if (entry.flags & kGateway) route.gateway = load32(entry.gateway, 4);
    if (entry.flags & kReject) route.type = RouteType::Unreachable;
    if (entry.device) {
        std::string name;
        if (const i64 length = call.kernel.copy_text(call.machine, call.task(), entry.device, name, kNameBytes); length < 0) return length;
        route.device = call.kernel.network.find_device(net, name);
        if (route.device == kNone) return -kENODEV;
    }
    if (!route.gateway) route.scope = kScopeLink;
    return add ? call.kernel.network.add_route(net, route) : call.kernel.network.remove_route(net, route);
}

bool is_read(u64 request) { return request == kGetName || request == kGetConf || (request >= kGetFlags && request <= kGetMetric && request != kSetFlags && request != kSetAddress && request != kSetBroadcast && request != kSetMask) ||
                                   request == kGetMtu || request == kGetMac || request == kGetIndex || request == kGetQueue || request == kGetMap; }

i64 device_ioctl(const Call& call, u32 net, u64 request, u64 argument) {
    Network& network = network_now(call);
    if (!is_read(request) && !has_over(call, net, Capability::NetAdmin)) return -kEPERM;
    if (request == kGetConf) return list_devices(call, net, argument);
    if (request == kAddRoute || request == kDelRoute) return change_route(call, net, argument, request == kAddRoute);
    if (request == kAddBridge || request == kDelBridge) {
        std::string name;
        if (const i64 length = call.kernel.copy_text(call.machine, call.task(), argument, name, kNameBytes); length < 0) return length;
        if (request == kAddBridge) return std::min<i64>(network.add_device(net, DeviceKind::Bridge, name), 0);
        const u32 id = network.find_device(net, name);
        if (id == kNone) return -kENXIO;
        return network.device(id).kind != DeviceKind::Bridge ? -kEPERM : network.device(id).up ? -kEBUSY : network.remove_device(id);
    }
    InterfaceRequest wanted{};
    if (!call.read_user(argument, wanted)) return -kEFAULT;
    if (request == kGetName) {
        const u32 id = network.find_device(net, static_cast<u32>(wanted.get<i32>()));
        if (id == kNone) return -kENODEV;
        std::memset(wanted.name, 0, kNameBytes);
        std::memcpy(wanted.name, network.device(id).name.data(), network.device(id).name.size());
        return call.write_user(argument, wanted) ? 0 : -kEFAULT;
    }
    const u32 id = network.find_device(net, wanted.text());
    if (id == kNone) return -kENODEV;
    if (const auto asked = ask_device(network, id, request, wanted)) return *asked ? *asked : call.write_user(argument, wanted) ? 0 : -kEFAULT;
    return change_device(network, net, id, request, wanted).value_or(-kENOTTY);
}

} // namespace

Attempt socket_ioctl(const Call& call, OpenFile& file, u64 request, u64 argument) {
    const u32 id = file.object, net = call.kernel.network.socket(id).net;
    switch (request) {
    case kReadable:
        if (call.kernel.network.socket(id).listening) return -kEINVAL;
        return call.write_user(argument, static_cast<i32>(call.kernel.network.readable(id))) ? Attempt(0) : Attempt(-kEFAULT);
    case kUnsent: return call.write_user(argument, static_cast<i32>(call.kernel.network.unsent(id))) ? Attempt(0) : Attempt(-kEFAULT);
    case kNonBlocking: {
        i32 on = 0;
        if (!call.read_user(argument, on)) return -kEFAULT;
        file.flags = static_cast<u32>(on ? file.flags | kNonBlock : file.flags & ~kNonBlock);
        return 0;
    }
    case kGetNamespace: return has_over(call, net, Capability::NetAdmin) ? Attempt(call.open_namespace(NamespaceKind::Net, net)) : Attempt(-kEPERM);
    default: break;
    }
    const bool of_devices = (request >= kAddRoute && request <= kGetMap) || (request >= kAddBridge && request <= kDelPort);
    if (!of_devices) return -kENOTTY;
    note_devices(call, "ioctl", net);
    const i64 result = device_ioctl(call, net, request, argument);
    call.kernel.settle_network(call.machine);
    return result;
}

} // namespace trapeze::container
