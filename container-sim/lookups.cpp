#include "container-sim/lookups.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace trapeze::container {

namespace {

/// "through eth0 to 10.0.0.1", "to itself", or why not.
std::string way_text(const Network& network, const Hop& hop) {
    if (hop.error) return errno_name(-hop.error) ? errno_name(-hop.error) : "nowhere";
    if (hop.type == RouteType::Local) return "to itself";
    return fmt::format("through {} to {}", hop.device == kNone ? "no device" : network.device(hop.device).name, ip_text(hop.next));
}

bool port_taken(const Network& network, u32 net, const NetSocket& like, u16 port) {
    const std::vector<u32> ids = network.socket_ids();
    return std::any_of(ids.begin(), ids.end(), [&](u32 id) {
        const NetSocket& other = network.socket(id);
        return other.net == net && other.family == like.family && other.type == like.type && other.port_bound && other.local.port == port;
    });
}

/// Over which user namespace, the answer, and the answer over the host's, or in the task's own.
std::string capability_text(const Kernel& kernel, const Credentials& who, u32 target, Capability capability, bool granted) {
    const auto word = [](bool yes) { return yes ? "yes" : "no"; };
    const auto number = [&](u32 index) { return kernel.namespace_inode(NamespaceKind::User, index); };
    const std::string text = fmt::format("{} over {}user namespace {}: {}", capability_name(capability), target ? "" : "the host's ", number(target), word(granted));
    if (target) return fmt::format("{}; outside, over the host's, it would be {}", text, word(kernel.capable(who, 0, capability)));
    if (who.user_namespace) return fmt::format("{}; its own is user namespace {}, where it would be {}", text, number(who.user_namespace), word(who.effective & bit(capability)));
    return text;
}

} // namespace

bool asks_capable(const Call& call, u32 user_namespace, Capability capability) {
    const bool granted = call.kernel.capable(call.task(), user_namespace, capability);
    if (call.machine.trace.wants(EventKind::NamespaceLookup)) call.lookup(capability_text(call.kernel, call.task().credentials, user_namespace, capability, granted));
    return granted;
}

void tell_capable(const Viewer& viewer, u32 user_namespace, Capability capability, bool granted) {
    if (viewer.kernel && viewer.machine && viewer.machine->trace.wants(EventKind::NamespaceLookup))
        viewer.note(EventKind::NamespaceLookup, capability_text(*viewer.kernel, *viewer.credentials, user_namespace, capability, granted));
}

/// A port belongs to a net namespace: it may be taken here and free outside.
void note_port(const Call& call, u32 socket_id, const SocketAddress& address) {
    if (!call.machine.trace.wants(EventKind::NamespaceLookup)) return;
    const NetSocket& socket = call.kernel.network.socket(socket_id);
    if (!socket.net) return;
    const u64 inode = call.kernel.namespace_inode(NamespaceKind::Net, socket.net);
    if (socket.family == kAfUnix && address.abstract_name) return call.lookup("bind: the abstract name \"{}\" is one of net namespace {}; outside it is free or another's", address.name, inode);
    if (socket.family != kAfInet || !address.port) return;
    call.lookup("bind: port {} of net namespace {}; outside it is {}", address.port, inode, port_taken(call.kernel.network, 0, socket, address.port) ? "taken" : "free");
}

/// Where a packet goes is decided by the routes of the namespace in which its socket was born.
void note_way(const Call& call, const char* name, u32 socket_id, const SocketAddress& to) {
    if (!call.machine.trace.wants(EventKind::NamespaceLookup)) return;
    const NetSocket& socket = call.kernel.network.socket(socket_id);
    if (!socket.net) return;
    const u64 inode = call.kernel.namespace_inode(NamespaceKind::Net, socket.net);
    if (socket.family == kAfUnix && to.abstract_name) return call.lookup("{}: the abstract name \"{}\" is looked for in net namespace {}; outside it would be another's", name, to.name, inode);
    if (to.family != kAfInet || socket.family != kAfInet) return;
    call.lookup("{}: {} by the routes of net namespace {}, {}; outside, {}", name, ip_text(to.ip), inode, way_text(call.kernel.network, call.kernel.network.route(socket.net, to.ip)),
           way_text(call.kernel.network, call.kernel.network.route(0, to.ip)));
}

/// What ip(8) and ifconfig(8) ask for: the devices of one namespace.
void note_devices(const Call& call, const char* name, u32 net) {
    if (net) call.lookup("{}: {} devices of net namespace {}; outside there are {}", name, call.kernel.network.space(net).devices.size(), call.kernel.namespace_inode(NamespaceKind::Net, net),
                    call.kernel.network.space(0).devices.size());
}

/// A process that is named by its number.
void note_pid(const Call& call, const char* name, i32 pid, i32 host_pid) {
    if (call.task().namespaces.pid && pid > 0)
        call.lookup("{}: {} of pid namespace {}; outside it is {}", name, pid, call.kernel.namespace_inode(NamespaceKind::Pid, call.task().namespaces.pid), host_pid ? std::to_string(host_pid) : "nobody that is seen from here");
}

/// A file of a cgroup: which group it is, from the root of the reader's cgroup namespace and from that of all.
void note_cgroup(const Call& call, const std::string& path, Location at) {
    const u32 own = call.task().namespaces.cgroup;
    if (!own || !call.machine.trace.wants(EventKind::NamespaceLookup)) return;
    const u32 folder = call.kernel.vfs.dentries.get(at.dentry).parent;
    const auto group = call.kernel.cgroup_at(call.kernel.vfs.location_of(at.mount, folder));
    if (group) call.lookup("{}: of cgroup {} in cgroup namespace {}; outside it is {}", path, call.kernel.cgroup_path(*group, call.kernel.cgroup_namespaces[own].root), call.kernel.namespace_inode(NamespaceKind::Cgroup, own),
                      call.kernel.cgroup_path(*group, 0));
}

/// A key of System V objects means something in one ipc namespace only. Ids: negative when there is none.
void note_key(const Call& call, i32 key, i64 id, i64 outside) {
    if (!call.task().namespaces.ipc) return;
    const auto text = [](i64 number) { return number < 0 ? std::string("no object") : fmt::format("id {}", number); };
    call.lookup("key 0x{:x}: {} in ipc namespace {}; outside it is {}", static_cast<u32>(key), text(id), call.kernel.namespace_inode(NamespaceKind::Ipc, call.task().namespaces.ipc), text(outside));
}

/// An id that is an argument: what it stands for outside. -1 names nobody.
u32 note_named(const Call& call, const char* what, u32 inside, u32 kernel_id) {
    if (inside == kNoId) return kNoId;
    if (call.task().credentials.user_namespace)
        call.lookup("{} {} of user namespace {}: {}", what, inside, call.kernel.namespace_inode(NamespaceKind::User, call.task().credentials.user_namespace),
               kernel_id == kNoId ? std::string("maps to nobody") : fmt::format("outside it is {}", kernel_id));
    return kernel_id;
}

/// Whose a file is, as a user namespace shows it.
void note_owner(const Call& call, u32 uid, u32 gid, u32 seen_uid, u32 seen_gid) {
    if (uid != seen_uid || gid != seen_gid)
        call.lookup("owner {}:{} in user namespace {}; outside it is {}:{}", seen_uid, seen_gid, call.kernel.namespace_inode(NamespaceKind::User, call.task().credentials.user_namespace), uid, gid);
}

} // namespace trapeze::container
