// What the kinds of System V objects share: who may use them, ends of calls that wait for them, and the end of their namespace (sysvipc(7)).
#include "container-sim/ipc/ipc_calls.hpp"
#include "container-sim/lookups.hpp"

namespace trapeze::container {

/// Ends the call of a task that waits, with a result; the task finds it when it is attempted again.
void Kernel::serve(u32 index, i64 value) {
    if (tasks[index].state != TaskState::Blocked) return;
    tasks[index].served = value;
    wake_task(index, Wakened::ByKey);
}

/// Makes the attempts of those who wait under a key for them, in their order: nobody who comes later is served before.
void Kernel::serve_waiters(Machine& machine, WaitKey key, i64 (*attempt)(const Call& call)) {
    const u32 before = payer;
    for (u32 waiter : queues.waiting(key)) {
        payer = waiter;
        Call call{*this, machine, waiter, {}};
        std::copy_n(tasks[waiter].x.begin() + 10, 6, call.arguments.begin());
        const i64 result = attempt(call);
        if (result != kWouldWait) serve(waiter, result);
    }
    payer = before;
}

/// Attempts the whole calls of those who wait under a key.
void Kernel::complete_calls(Machine& machine, WaitKey key) {
    serve_waiters(machine, key, [](const Call& call) {
        const std::vector<WaitKey> waits = call.task().waits;
        const u64 deadline = call.task().deadline;
        const Attempt attempt = syscall_row(call.task().call)->handler(call);
        if (attempt.blocked) call.task().waits = waits, call.task().deadline = deadline; // it stays where it is queued
        return attempt.blocked ? kWouldWait : attempt.value;
    });
}

u64 Call::seconds_now() const { return kernel.wall_clock(machine) / 1'000'000'000; }

/// ipcperms: `flags` as a mode's bits for the user, the group or others.
bool Call::may_use(const IpcHead& object, u32 flags) const {
    const Credentials& own = task().credentials;
    const u32 wanted = (flags >> 6 | flags >> 3 | flags) & 7;
    const bool is_user = own.euid == object.creator_uid || own.euid == object.uid, in_group = own.in_group(object.creator_gid) || own.in_group(object.gid);
    const u32 granted = is_user ? object.mode >> 6 : in_group ? object.mode >> 3 : object.mode;
    return !(wanted & ~granted & 7) || asks_capable(*this, ipc().owner, Capability::IpcOwner);
}

/// IPC_SET and IPC_RMID: its owner, its maker, or CAP_SYS_ADMIN over the namespace.
bool Call::may_control(const IpcHead& object) const {
    const u32 own = task().credentials.euid;
    return own == object.uid || own == object.creator_uid || asks_capable(*this, ipc().owner, Capability::SysAdmin);
}

IpcHead Call::new_ipc_head(i32 key, u32 flags) const {
    const Credentials& own = task().credentials;
    IpcHead head;
    head.key = key, head.mode = flags & 0777, head.serial = kernel.next_ipc_serial++, head.changed = seconds_now();
    head.uid = head.creator_uid = own.euid, head.gid = head.creator_gid = own.egid;
    return head;
}

/// IPC_SET: owner and mode, as the caller names them.
i64 Call::change_ipc_head(IpcHead& object, u32 uid, u32 gid, u32 mode) const {
    const u32 owner = kernel_uid(uid), group = kernel_gid(gid);
    if (owner == kNoId || group == kNoId) return -kEINVAL;
    object.uid = owner, object.gid = group, object.mode = (object.mode & ~0777u) | (mode & 0777), object.changed = seconds_now();
    return 0;
}

IpcPermissions permissions_of(const Call& call, const IpcHead& head) {
    const auto uid = [&](u32 id) { return call.kernel.uid_in(call.task(), id); };
    const auto gid = [&](u32 id) { return call.kernel.gid_in(call.task(), id); };
    return {head.key, uid(head.uid), gid(head.gid), uid(head.creator_uid), gid(head.creator_gid), head.mode, static_cast<u16>(static_cast<u32>(head.id) / kMaxIpcIndex), 0, 0, {}};
}

/// The last process has left an ipc namespace: its objects go. Memory that is attached stays with those who have it.
void Kernel::take_down_ipc(Machine& machine, u32 index) {
    IpcNamespace& gone = ipc_namespaces[index];
    ipc_totals.objects -= gone.sets.objects.size() + gone.queues.objects.size() + gone.segments.objects.size();
    for (const auto& [at, set] : gone.sets.objects) {
        ipc_totals.semaphores -= set.semaphores.size();
        forget_undo(set.serial, std::nullopt);
    }
    for (const auto& [at, queue] : gone.queues.objects) ipc_totals.bytes -= queue.bytes + queue.messages.size() * kMessageOverhead;
    std::set<u64> unnamed;
    for (const auto& [at, segment] : gone.segments.objects) segments.at(segment.serial).named = false, unnamed.insert(segment.serial);
    detach_segments(machine, unnamed);
    vfs.garbage += gone.queue_mount != 0; // unless it is mounted or open somewhere, its file system goes with the next sweep
    for (auto queue = posix_queues.begin(); queue != posix_queues.end();) {
        const u32 inode = queue->first;
        const bool idle = queue++->second.ipc_namespace == index && !posix_queues.at(inode).opens;
        if (idle) drop_queue(inode);
        else if (posix_queues.at(inode).ipc_namespace == index) posix_queues.at(inode).ipc_namespace = 0;
    }
}

} // namespace trapeze::container
