// Where the network meets the kernel: its time is the machine's, its sockets are open files, and who waits for a socket is woken.
#include "container-sim/abi.hpp"
#include "container-sim/lookups.hpp"
#include "container-sim/net/net_calls.hpp"

namespace trapeze::container {

/// Runs the network's timers, and tells what has changed.
void Kernel::advance_network(Machine& machine) {
    network.advance(machine.cycles() * kNanosecondsPerCycle);
    settle_network(machine);
}

void Kernel::settle_network(Machine& machine) {
    for (u32 id : network.take_changed()) wake({WaitKind::Socket, id});
    for (u32 file : network.take_dropped_files()) close_file(machine, file);
}

/// In cycles: when advance_network has something to do.
u64 Kernel::network_due() const {
    const u64 due = network.due();
    return due == ~u64{0} ? kForever : (due + kNanosecondsPerCycle - 1) / kNanosecondsPerCycle;
}

Network& network_now(const Call& call) {
    call.kernel.advance_network(call.machine);
    return call.kernel.network;
}

i64 socket_of(const Call& call, u32 fd, u32& id) {
    const OpenFile* file = call.kernel.file_of(call.task(), fd);
    if (!file) return -kEBADF;
    if (file->kind != FileKind::Socket) return -kENOTSOCK;
    return id = file->object, 0;
}

bool has_over(const Call& call, u32 net, Capability capability) {
    return asks_capable(call, call.kernel.namespace_head(NamespaceKind::Net, net).owner, capability);
}

SocketCredentials own_credentials(const Call& call) {
    const Task& task = call.task();
    return {static_cast<u32>(call.kernel.process_of(task).pid), task.credentials.euid, task.credentials.egid};
}

i64 install_socket(const Call& call, u32 id, u64 flags) {
    const u32 net = call.kernel.network.socket(id).net;
    OpenFile file;
    file.kind = FileKind::Socket, file.object = id, file.flags = static_cast<u32>(flags & kNonBlock) | 2;
    call.kernel.use_namespace(NamespaceKind::Net, net);
    const bool full = call.kernel.files.size() >= Kernel::kMaxFiles;
    const i64 fd = full ? -kENFILE : call.kernel.install(call.machine, call.task(), file, flags & kCloseOnExec);
    if (!full) return fd;
    call.kernel.network.close(id);
    call.kernel.release_namespace(call.machine, NamespaceKind::Net, net);
    return fd;
}

Attempt wait_for_socket(const Call& call, u32 id, u64 timeout) {
    const WaitKey key{WaitKind::Socket, id};
    if (!timeout) return call.wait(key);
    u64& deadline = call.task().resume_more;
    if (!deadline) deadline = call.machine.cycles() + timeout / Kernel::kNanosecondsPerCycle;
    if (call.machine.cycles() >= deadline) return -kEAGAIN;
    return call.wait(key, deadline, Restart::IfUnhandled);
}

i64 read_address(const Call& call, u64 at, u64 bytes, SocketAddress& address, bool find) {
    constexpr u64 kMostBytes = 128; // struct sockaddr_storage
    if (bytes > kMostBytes) return -kEINVAL;
    NetBytes raw(bytes);
    if (!call.kernel.copy_in(call.machine, call.task(), at, raw)) return -kEFAULT;
    if (const i64 error = parse_address(raw, address)) return error;
    const bool path = address.family == kAfUnix && !address.abstract_name && !address.name.empty();
    return path && find ? call.find_socket_file(address.name, address.node) : 0;
}

i64 write_address(const Call& call, const SocketAddress& address, u64 at, u64 length_at) {
    if (!at) return 0;
    i32 room = 0;
    if (!call.read_user(length_at, room)) return -kEFAULT;
    if (room < 0) return -kEINVAL;
    const NetBytes raw = address.family ? address_bytes(address) : NetBytes{};
    const NetView cut = NetView(raw).first(std::min<std::size_t>(raw.size(), static_cast<std::size_t>(room)));
    if (!call.kernel.copy_out(call.machine, call.task(), at, cut) || !call.write_user(length_at, static_cast<i32>(raw.size()))) return -kEFAULT;
    return 0;
}

Attempt transfer_vectors(const Call& call, OpenFile& file, bool writing) {
    const u32 flags = file.flags & kNonBlock ? kMsgDontWait : 0;
    if (writing) {
        SendRequest request;
        request.id = file.object, request.flags = flags;
        const i64 bytes = gather(call, call.arg(1), call.arg(2), request.data);
        return bytes < 0 ? Attempt(bytes) : send_message(call, std::move(request));
    }
    std::vector<UserPart> parts;
    Incoming incoming;
    const i64 bytes = read_parts(call, call.arg(1), call.arg(2), parts);
    return bytes < 0 ? Attempt(bytes) : receive_message(call, file.object, parts, flags, incoming);
}

// --- Sockets as open files --------------------------------------------------------------------------------------------------------

namespace {

Attempt read_socket(const Call& call, OpenFile& file, u64 to, u64 bytes, u64*) {
    Incoming incoming;
    if (!bytes && call.kernel.network.socket(file.object).type == kSockStream) return 0;
    return receive_message(call, file.object, {{to, bytes}}, file.flags & kNonBlock ? kMsgDontWait : 0, incoming);
}

Attempt write_socket(const Call& call, OpenFile& file, u64 from, u64 bytes, const u64*) {
    SendRequest request;
    request.id = file.object, request.flags = file.flags & kNonBlock ? kMsgDontWait : 0;
    request.data.resize(bytes);
    if (!call.kernel.copy_in(call.machine, call.task(), from, request.data)) return -kEFAULT;
    return send_message(call, std::move(request));
}

i16 poll_socket(const Kernel& kernel, const OpenFile& file) { return static_cast<i16>(kernel.network.poll(file.object) & ~(kReadyReadNormal | kReadyWriteNormal)); }

void close_socket(Kernel& kernel, Machine& machine, OpenFile& file) {
    const u32 net = kernel.network.socket(file.object).net;
    kernel.network.close(file.object);
    kernel.settle_network(machine);
    kernel.release_namespace(machine, NamespaceKind::Net, net);
}

} // namespace

const FileOperations kSocketOperations{.read = read_socket, .write = write_socket, .poll = poll_socket, .wait_key = [](const OpenFile& file) { return WaitKey{WaitKind::Socket, file.object}; },
                                       .ioctl = socket_ioctl, .close = close_socket, .mode = 0140777, .link = "socket"};

} // namespace trapeze::container
