// Unix domain sockets (unix(7)): streams, datagrams, sequenced packets; path names (the file system says which socket file), abstract
// names (each network namespace has its own); files and credentials that travel with a message.
// Known gap: files that are only reachable through queues that nobody can read (a cycle) stay until those sockets close.
#include "container-sim/errno.hpp"
#include "container-sim/net/network.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace trapeze::container {

namespace {
constexpr u64 kMessageCharge = 512;          ///< what a message counts beside its bytes
constexpr std::size_t kMostDatagrams = 10;   ///< net.unix.max_dgram_qlen
constexpr std::size_t kMergeBelow = 4096;    ///< stream: small writes share a message
constexpr u32 kReadable = kReadyIn | kReadyReadNormal, kWritable = kReadyOut | kReadyWriteNormal;
bool is_stream(const NetSocket& socket) { return socket.type == kSockStream; }
bool is_datagram(const NetSocket& socket) { return socket.type == kSockDgram; }
} // namespace

Network::UnixName Network::unix_name(u32 net, const SocketAddress& address) const {
    if (address.abstract_name) return {net, address.name, 0};
    return {0, "", address.node};
}

void Network::drop_files(QueuedMessage& message) {
    files_in_flight_ -= message.files.size();
    dropped_files_.insert(dropped_files_.end(), message.files.begin(), message.files.end());
    message.files.clear();
}

i64 Network::unix_bind(u32 id, SocketAddress address) {
    NetSocket& socket = sockets_[id];
    if (address.family != kAfUnix) return -kEINVAL;
    const bool automatic = address.name.empty() && !address.abstract_name;
    if (socket.local.family) return automatic ? 0 : -kEINVAL;
    if (automatic) { // "\0" and five digits
        address.abstract_name = true;
        do address.name = fmt::format("{:05x}", next_autobind_++ & 0xfffff);
        while (unix_names_.count(unix_name(socket.net, address)));
    } else if (!address.abstract_name && !address.node) {
        return -kENOENT;
    }
    if (!unix_names_.emplace(unix_name(socket.net, address), id).second) return -kEADDRINUSE;
    socket.local = std::move(address);
    return 0;
}

i64 Network::open_pair(u32 net, u16 type, const SocketCredentials& credentials, u32& first, u32& second) {
    const i64 one = open(net, kAfUnix, type, 0, credentials);
    if (one < 0) return one;
    const i64 two = open(net, kAfUnix, type, 0, credentials);
    if (two < 0) return close(static_cast<u32>(one)), two;
    first = static_cast<u32>(one), second = static_cast<u32>(two);
    for (const auto& [id, peer] : {std::pair{first, second}, {second, first}}) {
        NetSocket& socket = sockets_[id];
        socket.peer = peer, socket.had_peer = true, socket.peer_credentials = credentials;
    }
    return 0;
}

i64 Network::unix_connect(u32 id, const SocketAddress& address, const SocketCredentials& credentials) {
    if (is_datagram(sockets_[id]) && address.family == kAfUnspec) {
        sockets_[id].peer = kNone;
        return 0;
    }
    if (address.family != kAfUnix || (address.name.empty() && !address.abstract_name)) return -kEINVAL;
    const auto named = unix_names_.find(unix_name(sockets_[id].net, address));
    if (named == unix_names_.end()) return -kECONNREFUSED;
    const u32 target = named->second;
    if (sockets_[target].type != sockets_[id].type) return -kEPROTOTYPE;
    if (is_datagram(sockets_[id])) {
        if (sockets_[target].peer != kNone && sockets_[target].peer != id) return -kEPERM;
        sockets_[id].peer = target, sockets_[id].had_peer = true;
        return 0;
    }
    if (sockets_[id].peer != kNone || sockets_[id].had_peer) return -kEISCONN;
    if (sockets_[id].listening) return -kEINVAL;
    if (!sockets_[target].listening || sockets_[target].shut_read) return -kECONNREFUSED;
    if (sockets_[target].accept_queue.size() > sockets_[target].backlog) {
        sockets_[target].blocked.insert(id);
        return -kEAGAIN;
    }
    const i64 made = new_socket();
    if (made < 0) return -kENOMEM;
    const u32 other = static_cast<u32>(made);
    NetSocket &socket = sockets_[id], &listener = sockets_[target], &server = sockets_[other];
    server.open = false, server.net = listener.net, server.family = kAfUnix, server.type = listener.type, server.local = listener.local, server.options = listener.options;
    server.credentials = listener.credentials, server.peer_credentials = credentials, server.peer = id, server.had_peer = true, server.listener = target;
    socket.peer = other, socket.had_peer = true, socket.peer_credentials = listener.peer_credentials;
    listener.accept_queue.push_back(other);
    changed(target), changed(id);
    return 0;
}

/// The socket that a message goes to; a negated errno when there is none.
i64 Network::unix_target(const NetSocket& socket, const Outgoing& outgoing, u32& target) const {
    target = socket.peer;
    if (!is_datagram(socket)) {
        if (outgoing.to && is_stream(socket)) return socket.peer != kNone ? -kEISCONN : -kEOPNOTSUPP;
        if (target == kNone) return socket.had_peer ? -kEPIPE : -kENOTCONN;
        return socket.shut_write || sockets_[target].shut_read ? -kEPIPE : 0;
    }
    if (outgoing.to) {
        if (outgoing.to->family != kAfUnix || (outgoing.to->name.empty() && !outgoing.to->abstract_name)) return -kEINVAL;
        const auto named = unix_names_.find(unix_name(socket.net, *outgoing.to));
        if (named == unix_names_.end()) return -kECONNREFUSED;
        target = named->second;
        if (!is_datagram(sockets_[target])) return -kEPROTOTYPE;
    }
    if (target == kNone) return socket.had_peer ? -kECONNREFUSED : -kENOTCONN;
    if (socket.shut_write || sockets_[target].shut_read) return -kEPIPE;
    return sockets_[target].peer != kNone && &sockets_[sockets_[target].peer] != &socket ? -kEPERM : 0;
}

i64 Network::unix_send(u32 id, NetView bytes, const Outgoing& outgoing) {
    NetSocket& socket = sockets_[id];
    u32 target = kNone;
    if (socket.error) return -take_error(id);
    if (const i64 error = unix_target(socket, outgoing, target); error < 0) return error;
    if (outgoing.files.size() > kMaxRights) return -kEINVAL;
    if (files_in_flight_ + outgoing.files.size() > kMaxFilesInFlight) return -kETOOMANYREFS;
    NetSocket& to = sockets_[target];
    const u64 limit = socket.options.send_buffer;
    std::size_t count = bytes.size();
    bool full = false;
    if (is_stream(socket)) {
        if (!count) return 0;
        count = std::min<std::size_t>(count, to.queued + kMessageCharge < limit ? limit - to.queued - kMessageCharge : 0);
        full = count == 0;
    } else if (count + kMessageCharge > limit) {
        return -kEMSGSIZE;
    } else {
        full = is_datagram(socket) ? to.queue.size() > kMostDatagrams : to.queued + count + kMessageCharge > limit && !to.queue.empty();
    }
    if (full) {
        to.blocked.insert(id);
        return -kEAGAIN;
    }
    const bool merge = is_stream(socket) && outgoing.files.empty() && !to.queue.empty() && to.queue.back().files.empty() && to.queue.back().data.size() < kMergeBelow &&
                       to.queue.back().credentials == outgoing.credentials;
    if (!merge) {
        QueuedMessage message;
        message.from = socket.local, message.from.family = kAfUnix;
        message.files = outgoing.files, message.credentials = outgoing.credentials;
        files_in_flight_ += message.files.size();
        to.queue.push_back(std::move(message));
        to.queued += kMessageCharge;
    }
    QueuedMessage& last = to.queue.back();
    last.data.insert(last.data.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(count));
    last.full = static_cast<u32>(last.data.size());
    to.queued += count;
    changed(target);
    return static_cast<i64>(count);
}

void Network::unix_wake_blocked(u32 id) {
    for (u32 waiting : std::exchange(sockets_[id].blocked, {})) changed(waiting);
}

/// A datagram or packet as a whole; of a stream what there is, up to the end of a message that brought files.
Incoming Network::unix_receive(u32 id, std::size_t most, u32 flags) {
    NetSocket& socket = sockets_[id];
    Incoming incoming;
    if (socket.queue.empty()) {
        if (socket.error) incoming.result = -take_error(id);
        else if (is_datagram(socket)) incoming.result = socket.shut_read ? 0 : -kEAGAIN;
        else if (!socket.had_peer) incoming.result = is_stream(socket) ? -kEINVAL : -kENOTCONN;
        else incoming.result = socket.shut_read || socket.peer == kNone ? 0 : -kEAGAIN;
        return incoming;
    }
    const bool peek = flags & kMsgPeek;
    std::size_t used = 0; // messages that are read to their end
    for (QueuedMessage& message : socket.queue) {
        const bool first = &message == &socket.queue.front();
        if (!first && socket.options.pass_credentials && message.credentials != *incoming.credentials) break;
        const std::size_t count = std::min(most - incoming.data.size(), message.data.size() - message.taken);
        const auto begin = message.data.begin() + static_cast<std::ptrdiff_t>(message.taken);
        incoming.data.insert(incoming.data.end(), begin, begin + static_cast<std::ptrdiff_t>(count));
        if (first) incoming.credentials = message.credentials, incoming.from = message.from;
        const bool brought = !message.files.empty();
        if (!peek) {
            files_in_flight_ -= message.files.size();
            incoming.files.insert(incoming.files.end(), message.files.begin(), message.files.end());
            message.files.clear();
        }
        if (!is_stream(socket)) {
            incoming.full = message.data.size();
            if (count < message.data.size()) incoming.flags |= kMsgTrunc;
            if (socket.type == kSockSeqpacket) incoming.flags |= kMsgEor;
            used = 1;
            break;
        }
        if (!peek) message.taken += count, socket.queued -= count;
        if (!peek && message.taken < message.data.size()) break;
        if (incoming.data.size() == most && peek) break;
        ++used;
        if (brought || incoming.data.size() == most) break;
    }
    incoming.result = static_cast<i64>(incoming.data.size());
    if (is_stream(socket)) incoming.full = incoming.data.size();
    if (peek) return incoming;
    for (std::size_t i = 0; i < used; ++i) socket.queued -= kMessageCharge + (is_stream(socket) ? 0 : socket.queue[i].data.size());
    socket.queue.erase(socket.queue.begin(), socket.queue.begin() + static_cast<std::ptrdiff_t>(used));
    if (socket.peer != kNone) changed(socket.peer);
    unix_wake_blocked(id);
    return incoming;
}

/// What hangs on a socket that nobody holds any more. The caller frees it.
void Network::unix_close(u32 id) {
    NetSocket& socket = sockets_[id];
    if (socket.local.family && socket.listener == kNone) {
        const auto named = unix_names_.find(unix_name(socket.net, socket.local));
        if (named != unix_names_.end() && named->second == id) unix_names_.erase(named);
    }
    unix_wake_blocked(id);
    for (u32 pending : std::exchange(socket.accept_queue, {})) {
        const u32 client = sockets_[pending].peer;
        if (client != kNone) sockets_[client].error = kECONNRESET;
        unix_close(pending);
        free_socket(pending);
    }
    if (is_datagram(socket)) {
        for (u32 other = 0; other < sockets_.size(); ++other)
            if (sockets_[other].used && sockets_[other].family == kAfUnix && sockets_[other].peer == id) sockets_[other].peer = kNone, changed(other);
        return;
    }
    if (socket.peer == kNone) return;
    NetSocket& peer = sockets_[socket.peer];
    peer.peer = kNone, peer.shut_read = peer.shut_write = true;
    if (!socket.queue.empty()) peer.error = kECONNRESET;
    peer.blocked.erase(id);
    changed(socket.peer);
}

u32 Network::unix_poll(const NetSocket& socket) const {
    u32 events = socket.error ? u32{kReadyErr} : 0;
    if (socket.listening) return events | (socket.accept_queue.empty() ? 0 : kReadable);
    if (!socket.queue.empty() || socket.shut_read) events |= kReadable;
    if (socket.shut_read) events |= kReadyReadHup;
    if (socket.shut_read && socket.shut_write) events |= kReadyHup;
    if (!is_datagram(socket) && !socket.had_peer) events |= kReadyHup;
    const bool has_peer = socket.peer != kNone;
    if (is_datagram(socket)) return events | (has_peer && sockets_[socket.peer].queue.size() > kMostDatagrams ? 0 : kWritable);
    return events | (has_peer && (sockets_[socket.peer].queued + kMessageCharge) * 4 > u64{socket.options.send_buffer} * 3 ? 0 : kWritable);
}

} // namespace trapeze::container
