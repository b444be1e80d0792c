// System V message queues (msgop(2), msgctl(2)).
#include "container-sim/ipc/ipc_calls.hpp"
#include "container-sim/lookups.hpp"

#include <limits>

namespace trapeze::container {

namespace {

constexpr u32 kNoError = 010000, kExcept = 020000, kCopy = 040000;
WaitKey receivers_of(const SystemQueue& queue) { return {WaitKind::Ipc, queue.serial, 1}; }
WaitKey senders_of(const SystemQueue& queue) { return {WaitKind::Ipc, queue.serial, 2}; }

i64 receive_for_waiter(const Call& call) {
    SystemQueue* queue = call.ipc().queues.find(call.int_arg(0));
    return queue ? call.receive_system(*queue) : -kEIDRM;
}

/// The message that msgrcv's type chooses; messages.end() when there is none.
std::deque<SystemMessage>::iterator choose(std::deque<SystemMessage>& messages, i64 type, u32 flags) {
    const auto first = [&](auto accepts) { return std::find_if(messages.begin(), messages.end(), accepts); };
    if (flags & kCopy) return type < 0 || static_cast<u64>(type) >= messages.size() ? messages.end() : messages.begin() + type;
    if (type == 0) return messages.begin();
    if (type > 0) return flags & kExcept ? first([type](const SystemMessage& message) { return message.type != type; }) : first([type](const SystemMessage& message) { return message.type == type; });
    const i64 most = type == std::numeric_limits<i64>::min() ? std::numeric_limits<i64>::max() : -type;
    auto lowest = messages.end();
    for (auto at = messages.begin(); at != messages.end(); ++at)
        if (at->type <= most && (lowest == messages.end() || at->type < lowest->type)) lowest = at;
    return lowest;
}

/// struct msqid64_ds
struct QueueRecord {
    IpcPermissions permissions;
    u64 sent, received, changed, bytes, count, most_bytes;
    i32 last_sender, last_receiver;
    u64 unused[2];
};
static_assert(sizeof(QueueRecord) == 120);

} // namespace

Attempt Call::msgget() const {
    IpcNamespace& own = ipc();
    return get_ipc_object(
        *this, own.queues, kernel.ipc_namespaces[0].queues, int_arg(0), static_cast<u32>(arg(1)), own.limits.queues, [](const SystemQueue&) -> i64 { return 0; },
        [&](SystemQueue& queue) -> i64 { return queue.most_bytes = own.limits.queue_bytes, 0; });
}

Attempt Call::msgsnd() const {
    IpcNamespace& own = ipc();
    const u64 size = arg(2);
    SystemMessage message;
    if (!read_user(arg(1), message.type)) return -kEFAULT;
    if (size > own.limits.message_bytes || int_arg(0) < 0 || message.type < 1) return -kEINVAL;
    message.text.resize(size);
    if (!kernel.copy_in(machine, task(), arg(1) + 8, std::span(reinterpret_cast<u8*>(message.text.data()), size))) return -kEFAULT;
    SystemQueue* queue = own.queues.find(int_arg(0));
    if (!queue) return -kEINVAL;
    if (!may_use(*queue, 0222)) return -kEACCES;
    const bool fits = queue->bytes + size <= queue->most_bytes && queue->messages.size() + 1 <= queue->most_bytes;
    if (!fits) return arg(3) & kIpcNoWait ? Attempt(-kEAGAIN) : wait(senders_of(*queue), kForever, Restart::IfUnhandled);
    const u64 most = kernel.frame_users.size() * kPageSize / 8;
    if (kernel.ipc_totals.bytes + size + kMessageOverhead > most) return -kENOMEM;
    kernel.ipc_totals.bytes += size + kMessageOverhead;
    queue->bytes += size, queue->sent = seconds_now(), queue->last_sender = kernel.process_of(task()).pid;
    queue->messages.push_back(std::move(message));
    kernel.serve_waiters(machine, receivers_of(*queue), receive_for_waiter);
    return 0;
}

/// Bytes, an errno, or kWouldWait when there is no such message.
i64 Call::receive_system(SystemQueue& queue) const {
    const u32 flags = static_cast<u32>(arg(4));
    const auto chosen = choose(queue.messages, static_cast<i64>(arg(3)), flags);
    if (chosen == queue.messages.end()) return flags & kIpcNoWait ? -kENOMSG : kWouldWait;
    if (chosen->text.size() > arg(2) && !(flags & kNoError)) return -kE2BIG;
    const SystemMessage message = *chosen;
    if (!(flags & kCopy)) {
        queue.messages.erase(chosen);
        queue.bytes -= message.text.size();
        kernel.ipc_totals.bytes -= message.text.size() + kMessageOverhead;
        queue.received = seconds_now(), queue.last_receiver = kernel.process_of(task()).pid;
        kernel.wake(senders_of(queue));
    }
    const u64 count = std::min<u64>(arg(2), message.text.size());
    const bool told = write_user(arg(1), message.type) && kernel.copy_out(machine, task(), arg(1) + 8, std::span(reinterpret_cast<const u8*>(message.text.data()), count));
    return told ? static_cast<i64>(count) : -kEFAULT;
}

Attempt Call::msgrcv() const {
    const u32 flags = static_cast<u32>(arg(4));
    if (int_arg(0) < 0 || static_cast<i64>(arg(2)) < 0) return -kEINVAL;
    if (flags & kCopy && (flags & kExcept || !(flags & kIpcNoWait))) return -kEINVAL;
    SystemQueue* queue = ipc().queues.find(int_arg(0));
    if (!queue) return -kEINVAL;
    if (!may_use(*queue, 0444)) return -kEACCES;
    const i64 result = receive_system(*queue);
    return result == kWouldWait ? wait(receivers_of(*queue), kForever, Restart::IfUnhandled) : Attempt(result);
}

Attempt Call::msgctl() const {
    enum : i32 { kStatIndex = 11, kInfo = 12, kStatAny = 13 };
    IpcNamespace& own = ipc();
    const i32 command = int_arg(1);
    if (int_arg(0) < 0 || command < 0) return -kEINVAL;
    if (command == kIpcInfo || command == kInfo) {
        struct {
            i32 pool, map, most, queue_bytes, queues, segment_size, messages;
            u16 segments, pad;
        } info{};
        u64 messages = 0, bytes = 0;
        for (const auto& [index, queue] : own.queues.objects) messages += queue.messages.size(), bytes += queue.bytes;
        const bool counts = command == kInfo;
        info.most = static_cast<i32>(own.limits.message_bytes), info.queue_bytes = static_cast<i32>(own.limits.queue_bytes), info.queues = static_cast<i32>(own.limits.queues);
        info.segment_size = 16, info.segments = 0xffff;
        info.pool = counts ? static_cast<i32>(own.queues.objects.size()) : info.queues * info.queue_bytes / 1024;
        info.map = counts ? static_cast<i32>(messages) : info.queue_bytes, info.messages = counts ? static_cast<i32>(bytes) : info.queue_bytes;
        return write_user(arg(2), info) ? Attempt(own.queues.highest()) : Attempt(-kEFAULT);
    }
    const bool by_index = command == kStatIndex || command == kStatAny;
    if (command > kIpcStat && !by_index) return -kEINVAL;
    QueueRecord record{};
    if (command == kIpcSet && !read_user(arg(2), record)) return -kEFAULT;
    SystemQueue* queue = ipc_object(own.queues, int_arg(0), by_index);
    if (!queue) return -kEINVAL;
    if (command == kIpcStat || by_index) {
        if (command != kStatAny && !may_use(*queue, 0444)) return -kEACCES;
        const u32 pids = task().namespaces.pid;
        record = {permissions_of(*this, *queue), queue->sent, queue->received, queue->changed, queue->bytes, queue->messages.size(), queue->most_bytes,
                  kernel.pid_in(queue->last_sender, pids), kernel.pid_in(queue->last_receiver, pids), {}};
        return write_user(arg(2), record) ? Attempt(by_index ? queue->id : 0) : Attempt(-kEFAULT);
    }
    if (!may_control(*queue)) return -kEPERM;
    if (command == kIpcSet) {
        if (record.most_bytes > own.limits.queue_bytes && !asks_capable(*this, 0, Capability::SysResource)) return -kEPERM;
        if (const i64 error = change_ipc_head(*queue, record.permissions.uid, record.permissions.gid, record.permissions.mode)) return error;
        queue->most_bytes = record.most_bytes;
        kernel.wake(senders_of(*queue)), kernel.wake(receivers_of(*queue));
        return 0;
    }
    for (const WaitKey& key : {receivers_of(*queue), senders_of(*queue)})
        for (u32 waiter : kernel.queues.waiting(key)) kernel.serve(waiter, -kEIDRM);
    kernel.ipc_totals.bytes -= queue->bytes + queue->messages.size() * kMessageOverhead;
    --kernel.ipc_totals.objects;
    own.queues.erase(queue->id);
    return 0;
}

} // namespace trapeze::container
