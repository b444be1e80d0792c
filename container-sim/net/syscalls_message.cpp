// System calls that send and receive (send(2), recv(2)): with addresses, iovecs, and what travels beside the bytes (cmsg(3)).
#include "container-sim/abi.hpp"
#include "container-sim/lookups.hpp"
#include "container-sim/net/net_calls.hpp"

#include <cstring>

namespace trapeze::container {

namespace {

constexpr u64 kMostVectors = 1024;
constexpr u32 kSolSocket = 1, kScmRights = 1, kScmCredentials = 2, kIpProtoIp = 0, kIpTtl = 2, kIpPktInfo = 8;
constexpr u64 kMostControl = 20 << 10; ///< net.core.optmem_max

struct MessageHeader { ///< struct msghdr
    u64 name;
    u32 name_bytes, pad;
    u64 vectors, count, control, control_bytes;
    u32 flags, pad2;
};
static_assert(sizeof(MessageHeader) == 56);
struct ControlHeader { ///< struct cmsghdr
    u64 bytes;
    u32 level, type;
};
struct UserCredentials { ///< struct ucred
    i32 pid;
    u32 uid, gid;
};
constexpr u64 aligned(u64 bytes) { return (bytes + 7) & ~u64{7}; }

/// SCM_CREDENTIALS as the sender wrote it: only its own ids, unless it may change them.
i64 check_credentials(const Call& call, const UserCredentials& given, SocketCredentials& out) {
    const Kernel& kernel = call.kernel;
    const Credentials& own = call.task().credentials;
    const u32 uid = call.kernel_uid(given.uid), gid = call.kernel_gid(given.gid);
    const u32 pids = call.task().namespaces.pid;
    const bool own_pid = given.pid == kernel.pid_in(kernel.process_of(call.task()), pids);
    if (!own_pid && !asks_capable(call, kernel.pid_namespaces[pids].owner, Capability::SysAdmin)) return -kEPERM;
    if (uid != own.uid && uid != own.euid && uid != own.suid && !call.has(Capability::Setuid)) return -kEPERM;
    if (gid != own.gid && gid != own.egid && gid != own.sgid && !call.has(Capability::Setgid)) return -kEPERM;
    if (uid == kNoId || gid == kNoId) return -kEINVAL;
    const auto host = kernel.host_pid(given.pid, pids);
    if (!host) return -kESRCH;
    out = {static_cast<u32>(*host), uid, gid};
    return 0;
}

void release_files(const Call& call, std::vector<u32>& files) {
    for (u32 file : files) call.kernel.close_file(call.machine, file);
    files.clear();
}

/// What a message brings beside its bytes. The files are used once more from here on.
i64 read_control(const Call& call, u64 at, u64 bytes, Outgoing& outgoing) {
    if (bytes > kMostControl) return -kENOBUFS;
    for (u64 done = 0; bytes - done >= sizeof(ControlHeader);) {
        ControlHeader head{};
        if (!call.read_user(at + done, head)) return -kEFAULT;
        if (head.bytes < sizeof head || head.bytes > bytes - done) return -kEINVAL;
        const u64 data = at + done + sizeof head, size = head.bytes - sizeof head;
        if (head.level == kSolSocket && head.type == kScmRights) {
            for (u64 i = 0; i < size / 4; ++i) {
                u32 fd = 0;
                if (!call.read_user(data + i * 4, fd)) return -kEFAULT;
                if (!call.kernel.file_of(call.task(), fd)) return -kEBADF;
                if (outgoing.files.size() >= Network::kMaxRights) return -kEINVAL;
                const u32 file = call.kernel.descriptors_of(call.task()).entries[fd].file - 1;
                call.kernel.files.use(file);
                outgoing.files.push_back(file);
            }
        } else if (head.level == kSolSocket && head.type == kScmCredentials) {
            UserCredentials given{};
            if (size != sizeof given) return -kEINVAL;
            if (!call.read_user(data, given)) return -kEFAULT;
            if (const i64 error = check_credentials(call, given, outgoing.credentials)) return error;
        } else if (head.level == kSolSocket) {
            return -kEINVAL;
        }
        done += aligned(head.bytes);
        if (done > bytes) break;
    }
    return 0;
}

/// The control messages that fit into the receiver's room.
class ControlWriter {
  public:
    ControlWriter(const Call& call, u64 at, u64 room) : call_(call), at_(at), room_(room) {}
    template <class T> void add(u32 level, u32 type, const T& value) { add(level, type, NetView(reinterpret_cast<const u8*>(&value), sizeof value)); }
    void add(u32 level, u32 type, NetView value) {
        const ControlHeader head{sizeof head + value.size(), level, type};
        if (used_ + head.bytes > room_) {
            truncated = true;
            return;
        }
        faulted |= !call_.write_user(at_ + used_, head) || !call_.kernel.copy_out(call_.machine, call_.task(), at_ + used_ + sizeof head, value);
        used_ = std::min(used_ + aligned(head.bytes), room_);
    }
    /// How many 4-byte values a message would have room for.
    u64 room_for_words() const { return room_ > used_ + sizeof(ControlHeader) ? (room_ - used_ - sizeof(ControlHeader)) / 4 : 0; }
    u64 used() const { return used_; }
    bool truncated = false, faulted = false;

  private:
    const Call& call_;
    u64 at_, room_, used_ = 0;
};

void write_control(const Call& call, u32 id, Incoming& incoming, u32 flags, ControlWriter& out) {
    const NetSocket& socket = call.kernel.network.socket(id);
    if (socket.family == kAfUnix && socket.options.pass_credentials && incoming.credentials) {
        const SocketCredentials& from = *incoming.credentials;
        out.add(kSolSocket, kScmCredentials, UserCredentials{call.kernel.pid_in(static_cast<i32>(from.task), call.task().namespaces.pid), call.kernel.uid_in(call.task(), from.user), call.kernel.gid_in(call.task(), from.group)});
    }
    if (socket.options.packet_info && socket.family == kAfInet) {
        struct {
            u32 index;
            u8 spec[4], address[4];
        } info{incoming.ifindex, {}, {}};
        store32(info.spec, 0, incoming.destination), store32(info.address, 0, incoming.destination);
        out.add(kIpProtoIp, kIpPktInfo, info);
    }
    if (socket.options.receive_ttl && socket.family == kAfInet) out.add(kIpProtoIp, kIpTtl, u32{incoming.ttl});
    if (incoming.files.empty()) return;
    std::vector<i32> fds;
    const u64 room = out.room_for_words();
    for (u32 file : incoming.files) {
        const i64 fd = fds.size() < room ? call.kernel.new_descriptor(call.task(), file, flags & kMsgCmsgCloexec) : -kEMFILE;
        if (fd < 0) {
            out.truncated = true;
            break;
        }
        fds.push_back(static_cast<i32>(fd));
    }
    release_files(call, incoming.files);
    if (!fds.empty()) out.add(kSolSocket, kScmRights, NetView(reinterpret_cast<const u8*>(fds.data()), fds.size() * 4));
}

i64 read_header(const Call& call, u64 at, MessageHeader& header) {
    if (!call.read_user(at, header)) return -kEFAULT;
    if (static_cast<i32>(header.name_bytes) < 0) return -kEINVAL;
    return header.count > kMostVectors ? -kEMSGSIZE : 0;
}
} // namespace

i64 read_parts(const Call& call, u64 vectors, u64 count, std::vector<UserPart>& parts) {
    if (count > kMostVectors) return -kEINVAL;
    parts.resize(count);
    if (!call.kernel.copy_in(call.machine, call.task(), vectors, std::span(reinterpret_cast<u8*>(parts.data()), count * sizeof(UserPart)))) return -kEFAULT;
    u64 total = 0;
    for (UserPart& part : parts) {
        if (static_cast<i64>(part.bytes) < 0) return -kEINVAL;
        part.bytes = std::min(part.bytes, Kernel::kMaxTransfer - total);
        total += part.bytes;
    }
    return static_cast<i64>(total);
}

i64 gather(const Call& call, u64 vectors, u64 count, NetBytes& data) {
    std::vector<UserPart> parts;
    const i64 total = read_parts(call, vectors, count, parts);
    if (total < 0) return total;
    data.resize(static_cast<std::size_t>(total));
    std::size_t done = 0;
    for (const UserPart& part : parts) {
        if (!call.kernel.copy_in(call.machine, call.task(), part.base, std::span(data).subspan(done, part.bytes))) return -kEFAULT;
        done += part.bytes;
    }
    return total;
}

/// All of it, however often the sender has to wait. Files that are not taken over are let go.
Attempt send_message(const Call& call, SendRequest request) {
    constexpr u32 kKnown = kMsgDontWait | kMsgNoSignal | kMsgMore | kMsgEor | kMsgDontRoute | 0x800; // MSG_CONFIRM
    Network& network = network_now(call);
    const NetSocket& socket = network.socket(request.id);
    u64& done = call.task().resume;
    const auto finish = [&](i64 value) -> Attempt {
        release_files(call, request.outgoing.files);
        call.kernel.settle_network(call.machine);
        if (value >= 0 || !done) return value;
        return static_cast<i64>(std::exchange(done, 0)); // what went before the error
    };
    if (request.flags & ~kKnown) return finish(request.flags & kMsgOutOfBand ? -kEOPNOTSUPP : -kEINVAL);
    if (!request.outgoing.credentials.task) request.outgoing.credentials = own_credentials(call);
    if (request.outgoing.to && !done) note_way(call, "send", request.id, *request.outgoing.to);
    if (socket.family == kAfNetlink) note_devices(call, "netlink", socket.net);
    for (;;) {
        Outgoing outgoing = request.outgoing;
        if (done) outgoing.files.clear();
        const i64 taken = network.send(request.id, NetView(request.data).subspan(std::min<u64>(done, request.data.size())), outgoing);
        if (taken >= 0 && !done) request.outgoing.files.clear(); // they travel now
        if (taken >= 0) {
            done += static_cast<u64>(taken);
            if (done >= request.data.size() || !taken) return finish(static_cast<i64>(std::exchange(done, 0)));
            continue;
        }
        if (taken != -kEAGAIN) {
            const bool signals = taken == -kEPIPE && !done && socket.type == kSockStream && !(request.flags & kMsgNoSignal);
            if (signals) call.kernel.send_to_task(call.machine, call.index, {.number = kSigPipe, .code = kCodeUser, .sender = call.kernel.process_of(call.task()).pid});
            return finish(taken);
        }
        if (request.flags & kMsgDontWait || (done && call.task().wakened == Wakened::BySignal)) return finish(-kEAGAIN);
        release_files(call, request.outgoing.files);
        call.kernel.settle_network(call.machine);
        const Attempt waiting = wait_for_socket(call, request.id, socket.options.send_timeout);
        return waiting.blocked ? waiting : finish(-kEAGAIN);
    }
}

Attempt receive_message(const Call& call, u32 id, const std::vector<UserPart>& parts, u32 flags, Incoming& incoming) {
    Network& network = network_now(call);
    const NetSocket& socket = network.socket(id);
    if (flags & kMsgOutOfBand) return socket.type == kSockStream ? -kEINVAL : -kEOPNOTSUPP;
    u64 most = 0;
    for (const UserPart& part : parts) most += part.bytes;
    u64& before = call.task().resume; // MSG_WAITALL: what has been delivered
    incoming = {};
    if (flags & kMsgErrQueue) incoming.result = -kEAGAIN;
    else incoming = network.receive(id, most - std::min(before, most), flags);
    call.kernel.settle_network(call.machine);
    const bool stream = socket.type == kSockStream;
    if (incoming.result > 0 || (incoming.result == 0 && !stream)) {
        u64 skip = before, at = 0;
        for (const UserPart& part : parts) {
            const u64 passed = std::min(skip, part.bytes), count = std::min<u64>(part.bytes - passed, incoming.data.size() - at);
            skip -= passed;
            if (count && !call.kernel.copy_out(call.machine, call.task(), part.base + passed, NetView(incoming.data).subspan(at, count))) {
                release_files(call, incoming.files);
                return -kEFAULT;
            }
            at += count;
        }
        before += static_cast<u64>(incoming.result);
        if (!(stream && flags & kMsgWaitAll && !(flags & kMsgPeek) && before < most && incoming.files.empty())) {
            const u64 total = std::exchange(before, 0);
            return flags & kMsgTrunc && !stream ? static_cast<i64>(incoming.full) : static_cast<i64>(total);
        }
        return receive_message(call, id, parts, flags, incoming);
    }
    const bool waits = incoming.result == -kEAGAIN && !(flags & (kMsgDontWait | kMsgErrQueue)) && !(before && call.task().wakened == Wakened::BySignal);
    const Attempt waiting = waits ? wait_for_socket(call, id, socket.options.receive_timeout) : Attempt(incoming.result);
    if (waiting.blocked) return waiting;
    return before ? Attempt(static_cast<i64>(std::exchange(before, 0))) : waiting;
}

namespace {

/// Fills in what a message needs beside its bytes; a negated errno.
i64 prepare(const Call& call, SendRequest& request, u64 name, u64 name_bytes, SocketAddress& to) {
    if (name && name_bytes) {
        if (const i64 error = read_address(call, name, name_bytes, to, true)) return error;
        request.outgoing.to = &to;
    }
    const NetSocket& socket = call.kernel.network.socket(request.id);
    if (socket.family == kAfNetlink) {
        request.outgoing.privileged = has_over(call, socket.net, Capability::NetAdmin);
        for (const NamespaceRequest& named : namespaces_named(request.data)) request.outgoing.resolved[named] = call.named_net(named.by_pid, named.value);
    }
    return 0;
}

Attempt send_one(const Call& call, u32 fd, u64 header_at, u32 flags) {
    SendRequest request;
    MessageHeader header{};
    SocketAddress to;
    if (const i64 error = socket_of(call, fd, request.id)) return error;
    if (const i64 error = read_header(call, header_at, header)) return error;
    if (const i64 bytes = gather(call, header.vectors, header.count, request.data); bytes < 0) return bytes;
    request.flags = flags | (call.kernel.file_of(call.task(), fd)->flags & kNonBlock ? kMsgDontWait : 0);
    if (const i64 error = prepare(call, request, header.name, header.name_bytes, to)) return error;
    if (header.control && header.control_bytes)
        if (const i64 error = read_control(call, header.control, header.control_bytes, request.outgoing)) {
            release_files(call, request.outgoing.files);
            return error;
        }
    return send_message(call, std::move(request));
}

Attempt receive_one(const Call& call, u32 fd, u64 header_at, u32 flags) {
    u32 id = 0;
    MessageHeader header{};
    std::vector<UserPart> parts;
    Incoming incoming;
    if (const i64 error = socket_of(call, fd, id)) return error;
    if (const i64 error = read_header(call, header_at, header)) return error;
    if (const i64 total = read_parts(call, header.vectors, header.count, parts); total < 0) return total;
    if (call.kernel.file_of(call.task(), fd)->flags & kNonBlock) flags |= kMsgDontWait;
    const Attempt attempt = receive_message(call, id, parts, flags, incoming);
    if (attempt.blocked || attempt.value < 0) return attempt;
    ControlWriter control(call, header.control, header.control ? header.control_bytes : 0);
    write_control(call, id, incoming, flags, control);
    if (header.name) {
        const NetBytes name = incoming.from.family && call.kernel.network.socket(id).type != kSockStream ? address_bytes(incoming.from) : NetBytes{};
        if (!call.kernel.copy_out(call.machine, call.task(), header.name, NetView(name).first(std::min<std::size_t>(name.size(), header.name_bytes)))) return -kEFAULT;
        header.name_bytes = static_cast<u32>(name.size());
    }
    header.control_bytes = control.used();
    header.flags = incoming.flags | (control.truncated ? kMsgCtrunc : 0) | (flags & kMsgCmsgCloexec);
    return control.faulted || !call.write_user(header_at, header) ? Attempt(-kEFAULT) : attempt;
}

} // namespace

Attempt Call::sendto() const {
    SendRequest request;
    SocketAddress to;
    if (const i64 error = socket_of(*this, fd_arg(0), request.id)) return error;
    request.data.resize(std::min(arg(2), Kernel::kMaxTransfer));
    if (!kernel.copy_in(machine, task(), arg(1), request.data)) return -kEFAULT;
    request.flags = static_cast<u32>(arg(3)) | (kernel.file_of(task(), fd_arg(0))->flags & kNonBlock ? kMsgDontWait : 0);
    if (const i64 error = prepare(*this, request, arg(4), static_cast<u32>(arg(5)), to)) return error;
    return send_message(*this, std::move(request));
}

Attempt Call::recvfrom() const {
    u32 id = 0;
    Incoming incoming;
    if (const i64 error = socket_of(*this, fd_arg(0), id)) return error;
    const u32 flags = static_cast<u32>(arg(3)) | (kernel.file_of(task(), fd_arg(0))->flags & kNonBlock ? kMsgDontWait : 0);
    const Attempt attempt = receive_message(*this, id, {{arg(1), std::min(arg(2), Kernel::kMaxTransfer)}}, flags, incoming);
    if (attempt.blocked || attempt.value < 0) return attempt;
    release_files(*this, incoming.files);
    if (!arg(4)) return attempt;
    const bool named = incoming.from.family && kernel.network.socket(id).type != kSockStream;
    const i64 error = write_address(*this, named ? incoming.from : SocketAddress{}, arg(4), arg(5));
    return error ? Attempt(error) : attempt;
}

Attempt Call::sendmsg() const { return send_one(*this, fd_arg(0), arg(1), static_cast<u32>(arg(2))); }
Attempt Call::recvmsg() const { return receive_one(*this, fd_arg(0), arg(1), static_cast<u32>(arg(2))); }

namespace {
constexpr u64 kManyHeader = 64, kMostMessages = 1024; ///< struct mmsghdr: a msghdr and the bytes of its message

/// sendmmsg, recvmmsg: the first may wait, and only while no other has passed.
Attempt many(const Call& call, bool sending, u32 flags) {
    constexpr u32 kWaitForOne = 0x10000;
    const u64 count = std::min(call.arg(2) & 0xffffffff, kMostMessages);
    for (u64 i = 0; i < count; ++i) {
        const u64 at = call.arg(1) + i * kManyHeader;
        const u32 own = (i ? flags | kMsgDontWait : flags) & ~kWaitForOne;
        const Attempt one = sending ? send_one(call, call.fd_arg(0), at, own) : receive_one(call, call.fd_arg(0), at, own);
        if (one.blocked) return one;
        if (one.value < 0) return i ? static_cast<i64>(i) : one.value;
        if (!call.write_user(at + sizeof(MessageHeader), static_cast<u32>(one.value))) return i ? static_cast<i64>(i) : -kEFAULT;
    }
    return static_cast<i64>(count);
}
} // namespace

Attempt Call::sendmmsg() const { return many(*this, true, static_cast<u32>(arg(3))); }
Attempt Call::recvmmsg() const { return many(*this, false, static_cast<u32>(arg(3))); }

} // namespace trapeze::container
