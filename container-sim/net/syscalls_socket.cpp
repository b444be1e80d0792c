// System calls that make, name, connect and end sockets (socket(2) and its siblings).
#include "container-sim/abi.hpp"
#include "container-sim/lookups.hpp"
#include "container-sim/net/net_calls.hpp"

#include <fmt/format.h>

namespace trapeze::container {

namespace {
constexpr u64 kTypeMask = 0xf;

/// What the last two of socket's own arguments may hold.
bool flags_allowed(u64 flags) { return !(flags & ~(kCloseOnExec | kNonBlock)); }
/// Packet sockets are given their protocol in the network's order.
u16 protocol_of(u16 family, u32 protocol) { return static_cast<u16>(family == kAfPacket ? (protocol & 0xff) << 8 | (protocol >> 8 & 0xff) : protocol); }
} // namespace

Attempt Call::socket() const {
    const u64 flags = arg(1) & ~kTypeMask;
    if (!flags_allowed(flags) || int_arg(2) < 0) return -kEINVAL;
    const u16 family = arg(0) > 0xff ? u16{0xff} : static_cast<u16>(arg(0)), type = static_cast<u16>(arg(1) & kTypeMask);
    const u32 net = task().namespaces.net;
    const bool raw = family == kAfPacket || (family == kAfInet && type == kSockRaw);
    if (raw && !has_over(*this, net, Capability::NetRaw)) return -kEPERM;
    const u16 protocol = int_arg(2) > 0xffff ? u16{0xffff} : protocol_of(family, static_cast<u32>(int_arg(2)));
    const i64 id = network_now(*this).open(net, family, type, protocol, own_credentials(*this));
    if (id < 0) return id;
    if (family == kAfNetlink) kernel.network.suggest_port(static_cast<u32>(id), static_cast<u32>(kernel.pid_in(kernel.process_of(task()), task().namespaces.pid)));
    if (net) lookup("socket: its devices, addresses and ports are those of net namespace {}; outside they would be the host's", kernel.namespace_inode(NamespaceKind::Net, net));
    return install_socket(*this, static_cast<u32>(id), flags);
}

Attempt Call::socketpair() const {
    const u64 flags = arg(1) & ~kTypeMask;
    if (!flags_allowed(flags)) return -kEINVAL;
    if (arg(0) != kAfUnix) return arg(0) == kAfInet || arg(0) == kAfNetlink ? -kEOPNOTSUPP : -kEAFNOSUPPORT;
    if (arg(2) > 1) return -kEPROTONOSUPPORT;
    std::array<u32, 2> ids{};
    Network& network = network_now(*this);
    if (const i64 error = network.open_pair(task().namespaces.net, static_cast<u16>(arg(1) & kTypeMask), own_credentials(*this), ids[0], ids[1]); error < 0) return error;
    std::array<i32, 2> fds{-1, -1};
    i64 error = 0;
    for (unsigned end = 0; end < 2; ++end) {
        const i64 fd = install_socket(*this, ids[end], flags);
        fds[end] = static_cast<i32>(fd);
        if (fd < 0) error = fd;
    }
    if (!error && write_user(arg(3), fds)) return 0;
    for (i32 fd : fds)
        if (fd >= 0) kernel.close_descriptor(machine, task(), static_cast<u32>(fd));
    return error ? error : -kEFAULT;
}

Attempt Call::bind() const {
    u32 id = 0;
    SocketAddress address;
    if (const i64 error = socket_of(*this, fd_arg(0), id)) return error;
    if (const i64 error = read_address(*this, arg(1), static_cast<u32>(arg(2)), address, false)) return error == -kEAFNOSUPPORT ? -kEINVAL : error;
    Network& network = network_now(*this);
    const NetSocket& socket = network.socket(id);
    const bool low = socket.family == kAfInet && socket.type != kSockRaw && address.port && address.port < network.space(socket.net).port_start;
    if (low && !has_over(*this, socket.net, Capability::NetBindService)) return -kEACCES;
    if (socket.family == kAfUnix && address.family == kAfUnix && !address.abstract_name && !address.name.empty()) {
        if (socket.local.family) return -kEINVAL;
        if (const i64 error = make_socket_file(address.name, address.node)) return error == -kEEXIST ? -kEADDRINUSE : error;
    }
    note_port(*this, id, address);
    const i64 result = network.bind(id, address);
    kernel.settle_network(machine);
    return result;
}

Attempt Call::listen() const {
    u32 id = 0;
    if (const i64 error = socket_of(*this, fd_arg(0), id)) return error;
    const i64 result = network_now(*this).listen(id, static_cast<u32>(int_arg(1) < 0 ? 0x7fffffff : int_arg(1)));
    kernel.settle_network(machine);
    return result;
}

Attempt Call::connect() const {
    u32 id = 0;
    SocketAddress address;
    if (const i64 error = socket_of(*this, fd_arg(0), id)) return error;
    if (const i64 error = read_address(*this, arg(1), static_cast<u32>(arg(2)), address, true)) return error;
    Network& network = network_now(*this);
    const bool patient = !(kernel.file_of(task(), fd_arg(0))->flags & kNonBlock);
    if (!network.socket(id).connecting) note_way(*this, "connect", id, address);
    i64 result = network.connect(id, address, own_credentials(*this));
    if (patient && result == -kEINPROGRESS) result = network.connect(id, address, own_credentials(*this)); // over lo it is there already
    kernel.settle_network(machine);
    if (!patient || (result != -kEALREADY && result != -kEAGAIN)) return result;
    const Attempt waiting = wait_for_socket(*this, id, network.socket(id).options.send_timeout);
    return waiting.blocked ? waiting : Attempt(result == -kEALREADY ? -kEINPROGRESS : -kEAGAIN);
}

Attempt Call::accept4() const {
    u32 id = 0;
    if (!flags_allowed(arg(3))) return -kEINVAL;
    if (const i64 error = socket_of(*this, fd_arg(0), id)) return error;
    Network& network = network_now(*this);
    const i64 accepted = network.accept(id);
    kernel.settle_network(machine);
    if (accepted == -kEAGAIN && !(kernel.file_of(task(), fd_arg(0))->flags & kNonBlock)) return wait_for_socket(*this, id, network.socket(id).options.receive_timeout);
    if (accepted < 0) return accepted;
    const i64 fd = install_socket(*this, static_cast<u32>(accepted), arg(3));
    if (fd < 0 || !arg(1)) return fd;
    SocketAddress peer = network.peer_name(static_cast<u32>(accepted));
    if (!peer.family) peer.family = network.socket(static_cast<u32>(accepted)).family;
    if (const i64 error = write_address(*this, peer, arg(1), arg(2))) {
        kernel.close_descriptor(machine, task(), static_cast<u32>(fd));
        return error;
    }
    return fd;
}

Attempt Call::accept() const {
    Call call = *this;
    call.arguments[3] = 0;
    return call.accept4();
}

Attempt Call::getsockname() const {
    u32 id = 0;
    if (const i64 error = socket_of(*this, fd_arg(0), id)) return error;
    return write_address(*this, kernel.network.name(id), arg(1), arg(2));
}

Attempt Call::getpeername() const {
    u32 id = 0;
    if (const i64 error = socket_of(*this, fd_arg(0), id)) return error;
    const SocketAddress peer = kernel.network.peer_name(id);
    if (!peer.family) return -kENOTCONN;
    return write_address(*this, peer, arg(1), arg(2));
}

Attempt Call::shutdown() const {
    enum : u64 { kRead, kWrite, kBoth };
    u32 id = 0;
    if (const i64 error = socket_of(*this, fd_arg(0), id)) return error;
    if (arg(1) > kBoth) return -kEINVAL;
    const i64 result = network_now(*this).shutdown(id, arg(1) != kWrite, arg(1) != kRead);
    kernel.settle_network(machine);
    return result;
}

} // namespace trapeze::container
