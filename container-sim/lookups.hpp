// The audit of lookups: what a namespace, a cgroup or a capability decided is an event, with the answer and what it would have been outside.
// Each is put together only while somebody records such events. Paths and /proc are told in fs/places.cpp; pids and names where their calls are.
#pragma once

#include "container-sim/syscalls.hpp"

namespace trapeze::container {

/// Asks Kernel::capable for the calling task, and tells the answer.
bool asks_capable(const Call& call, u32 user_namespace, Capability capability);
/// The same for who looks at files.
void tell_capable(const Viewer& viewer, u32 user_namespace, Capability capability, bool granted);

/// A port, or an abstract name, that a socket is bound to.
void note_port(const Call& call, u32 socket_id, const SocketAddress& address);
/// Where a socket's packets to an address go, here and outside.
void note_way(const Call& call, const char* name, u32 socket_id, const SocketAddress& to);
/// The devices of a net namespace are listed.
void note_devices(const Call& call, const char* name, u32 net);
/// A process is named by its number. host_pid 0: there is none.
void note_pid(const Call& call, const char* name, i32 pid, i32 host_pid);
/// A file of a cgroup is opened.
void note_cgroup(const Call& call, const std::string& path, Location at);
/// A key of System V objects means something in one ipc namespace only. Ids: negative when there is none.
void note_key(const Call& call, i32 key, i64 id, i64 outside);
/// An id that is an argument; returns what it stands for outside. -1 names nobody.
u32 note_named(const Call& call, const char* what, u32 inside, u32 kernel_id);
/// Whose a file is.
void note_owner(const Call& call, u32 uid, u32 gid, u32 seen_uid, u32 seen_gid);

} // namespace trapeze::container
