// What the system calls on sockets share: the network at the present time, sockets behind descriptors, addresses in the caller's memory.
#pragma once

#include "container-sim/file_operations.hpp"

namespace trapeze::container {

/// The network, its timers run up to now.
Network& network_now(const Call& call);
/// The socket behind a descriptor. EBADF, ENOTSOCK.
i64 socket_of(const Call& call, u32 fd, u32& id);
/// A struct sockaddr of the caller's. `find`: a unix path name is looked up, and what it leads to must be writable.
i64 read_address(const Call& call, u64 at, u64 bytes, SocketAddress& address, bool find);
/// Writes an address and its length, cut to what the caller has room for (value-result). Nothing when `at` is null.
i64 write_address(const Call& call, const SocketAddress& address, u64 at, u64 length_at);
/// A descriptor for a socket; it holds the namespace of the socket's birth. On failure the socket closes.
i64 install_socket(const Call& call, u32 id, u64 flags);
SocketCredentials own_credentials(const Call& call);
/// Waits until the socket changes or its timeout (ns; 0: none) is over, then -EAGAIN.
Attempt wait_for_socket(const Call& call, u32 id, u64 timeout);
/// Whether the caller has a capability over a socket's network.
bool has_over(const Call& call, u32 net, Capability capability);

/// A message to be sent: sendto, sendmsg, write.
struct SendRequest {
    u32 file = 0;            ///< number of the open file
    u32 id = 0;
    NetBytes data;
    Outgoing outgoing;
    u32 flags = 0;
};
Attempt send_message(const Call& call, SendRequest request);
/// Gathers what iovecs point to; a negated errno.
i64 gather(const Call& call, u64 vectors, u64 count, NetBytes& data);

/// One message received into `parts`; what it brought is in `incoming`.
struct UserPart {
    u64 base = 0, bytes = 0;
};
i64 read_parts(const Call& call, u64 vectors, u64 count, std::vector<UserPart>& parts);
Attempt receive_message(const Call& call, u32 id, const std::vector<UserPart>& parts, u32 flags, Incoming& incoming);

/// readv(2), writev(2): the vectors are one message.
Attempt transfer_vectors(const Call& call, OpenFile& file, bool writing);

i64 set_option(const Call& call, u32 id, int level, int name, u64 at, u32 bytes);
i64 get_option(const Call& call, u32 id, int level, int name, NetBytes& value);
Attempt socket_ioctl(const Call& call, OpenFile& file, u64 request, u64 argument);

} // namespace trapeze::container
