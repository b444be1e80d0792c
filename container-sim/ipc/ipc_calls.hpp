// What the system calls on System V objects share: struct ipc64_perm, and how xxxget finds or makes an object (svipc(7)).
#pragma once

#include "container-sim/lookups.hpp"

namespace trapeze::container {

inline constexpr i64 kWouldWait = 1'000'000'000'000; ///< of an attempt for another task: it goes on waiting
inline constexpr u32 kIpcCreate = 01000, kIpcExclusive = 02000, kIpcNoWait = 04000;
enum IpcCommand : i32 { kIpcRemove = 0, kIpcSet = 1, kIpcStat = 2, kIpcInfo = 3 };

struct IpcPermissions {
    i32 key;
    u32 uid, gid, creator_uid, creator_gid, mode;
    u16 sequence, pad;
    u32 pad2;
    u64 unused[2];
};
static_assert(sizeof(IpcPermissions) == 48);
IpcPermissions permissions_of(const Call& call, const IpcHead& head);

/// semget, msgget, shmget: the id of the object with this key. `fits` looks at one that is there, `make` makes a new one; both give an errno. `host`: the table of the host's
/// namespace, for what the answer would be outside.
template <class T, class Fits, class Make> i64 get_ipc_object(const Call& call, IpcTable<T>& table, IpcTable<T>& host, i32 key, u32 flags, u64 most, Fits fits, Make make) {
    if (key != kPrivateKey) {
        const T *own = table.by_key(key), *outside = host.by_key(key);
        note_key(call, key, own ? own->id : -1, outside ? outside->id : -1);
        if (const T* there = table.by_key(key)) {
            if (flags & kIpcCreate && flags & kIpcExclusive) return -kEEXIST;
            if (const i64 error = fits(*there)) return error;
            return call.may_use(*there, flags & 0777) ? there->id : -kEACCES;
        }
        if (!(flags & kIpcCreate)) return -kENOENT;
    }
    if (table.objects.size() >= most || table.objects.size() >= kMaxIpcIndex || call.kernel.ipc_totals.objects >= kMaxIpcObjects) return -kENOSPC;
    T object;
    static_cast<IpcHead&>(object) = call.new_ipc_head(key, flags);
    if (const i64 error = make(object)) return error;
    ++call.kernel.ipc_totals.objects;
    return table.add(std::move(object)).id;
}

/// The object that xxxctl's command is about: by index for `by_index`, else by id. Null: EINVAL.
template <class T> T* ipc_object(IpcTable<T>& table, i32 number, bool by_index) { return by_index ? number < 0 ? nullptr : table.by_index(static_cast<u32>(number)) : table.find(number); }

} // namespace trapeze::container
