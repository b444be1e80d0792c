// POSIX message queues (mq_overview(7)): files of an ipc namespace's mqueue file system, which can be mounted as well.
#include "container-sim/ipc/ipc_calls.hpp"
#include "container-sim/lookups.hpp"

#include "container-sim/abi.hpp"
#include "container-sim/file_operations.hpp"
#include "container-sim/fs/types.hpp"

namespace trapeze::container {

/// struct mq_attr
struct QueueAttributes {
    i64 flags, most_messages, message_bytes, messages, unused[4];
};
static_assert(sizeof(QueueAttributes) == 64);

namespace {

constexpr u32 kMostPriority = 32'768; // MQ_PRIO_MAX
constexpr u64 kHardMessages = 65'536, kHardBytes = u64{1} << 24, kBytesEach = 96; // what Linux reckons for a message beside its text
constexpr int kCodeMessage = -3;                                                    // SI_MESGQ
enum NoticeKind : i32 { kSignal = 0, kNothing = 1 };
WaitKey receivers_of(u32 inode) { return {WaitKind::Ipc, inode, 3}; }
WaitKey senders_of(u32 inode) { return {WaitKind::Ipc, inode, 4}; }
WaitKey poll_key(const OpenFile& file) { return {WaitKind::Ipc, file.location.inode, 5}; }

/// What cat shows of a queue.
Attempt read_queue(const Call& call, OpenFile& file, u64 to, u64 bytes, u64* offset) {
    const PosixQueue& queue = call.kernel.posix_queues.at(file.location.inode);
    const std::string text = fmt::format("QSIZE:{:<10} NOTIFY:{:<5} SIGNO:{:<5} NOTIFY_PID:{:<6}\n", queue.bytes, queue.notice.owner ? queue.notice.kind : 0,
                                         queue.notice.owner && queue.notice.kind == kSignal ? queue.notice.number : 0, call.kernel.pid_in(queue.notice.owner, call.task().namespaces.pid));
    u64& at = offset ? *offset : file.offset;
    const std::string_view part = std::string_view(text).substr(std::min<u64>(at, text.size()), bytes);
    if (!call.kernel.copy_out(call.machine, call.task(), to, std::span(reinterpret_cast<const u8*>(part.data()), part.size()))) return -kEFAULT;
    at += part.size();
    return static_cast<i64>(part.size());
}

i16 poll_queue(const Kernel& kernel, const OpenFile& file) {
    const PosixQueue& queue = kernel.posix_queues.at(file.location.inode);
    return static_cast<i16>((queue.messages.empty() ? 0 : kPollIn) | (static_cast<i64>(queue.messages.size()) < queue.most_messages ? kPollOut : 0));
}

void close_queue(Kernel& kernel, Machine&, OpenFile& file) {
    if (--kernel.posix_queues.at(file.location.inode).opens == 0 && !kernel.vfs.inodes.get(file.location.inode).links) kernel.drop_queue(file.location.inode);
}

void flush_queue(Kernel& kernel, OpenFile& file, u32 table) {
    QueueNotice& notice = kernel.posix_queues.at(file.location.inode).notice;
    if (notice.owner && notice.table == table) notice = {};
}

i64 send_for_waiter(const Call& call) {
    OpenFile* file = nullptr;
    return call.send_posix(file);
}
i64 receive_for_waiter(const Call& call) {
    OpenFile* file = nullptr;
    return call.receive_posix(file);
}

} // namespace

const FileOperations kMessageQueueOperations{.read = read_queue, .poll = poll_queue, .wait_key = poll_key, .close = close_queue, .flush = flush_queue, .seekable = true};

void Kernel::drop_queue(u32 inode) {
    const auto queue = posix_queues.find(inode);
    if (queue == posix_queues.end()) return;
    ipc_totals.bytes -= queue->second.bytes + queue->second.messages.size() * kMessageOverhead;
    posix_queues.erase(queue);
}

i64 queue_super(Vfs& vfs, const Viewer& viewer) {
    IpcNamespace& own = viewer.kernel->ipc_namespaces[viewer.kernel->tasks[viewer.task].namespaces.ipc];
    if (!own.queue_mount) {
        const i64 super = vfs.make_super(viewer, kMqueue, {"mqueue", "", own.owner, false, {}});
        if (super < 0) return super;
        own.queue_mount = vfs.new_mount(static_cast<u32>(super), vfs.root_of(static_cast<u32>(super)), "mqueue", 0);
    }
    return vfs.mounts.at(own.queue_mount).super;
}

i64 mountable_queue_super(Vfs& vfs, const Viewer& viewer) {
    const u32 owner = viewer.kernel->ipc_namespaces[viewer.kernel->tasks[viewer.task].namespaces.ipc].owner;
    return viewer.capable(owner, Capability::SysAdmin) ? queue_super(vfs, viewer) : -kEPERM;
}

i64 create_queue_file(Vfs& vfs, const Viewer& viewer, u32 directory, const std::string& name, const NewNode& node) {
    if ((node.mode & mode::kType) != mode::kFile) return -kEPERM;
    return vfs.add_node(directory, name, node, viewer.credentials->fsuid, viewer.credentials->fsgid, viewer.now);
}

/// The place of a queue in the namespace's own mount of its file system.
i64 Call::queue_place(unsigned name_at, Found& found) const {
    std::string name;
    if (const i64 length = path_arg(name_at, name); length < 0) return length;
    if (name.empty()) return -kENOENT;
    if (name.find('/') != std::string::npos || name == "." || name == "..") return -kEACCES;
    if (const i64 super = with_room([&] { return queue_super(kernel.vfs, viewer()); }); super < 0) return super;
    const u32 mount = ipc().queue_mount;
    found = kernel.vfs.walk(viewer(), kernel.vfs.location_of(mount, kernel.vfs.mounts.at(mount).root), name, kParent);
    return found.error && !found.missing() ? found.error : 0;
}

/// A queue for a new file; without attributes it has the namespace's defaults.
i64 Call::make_queue(u32 inode, const QueueAttributes* given) const {
    const IpcLimits& limits = ipc().limits;
    PosixQueue queue;
    queue.most_messages = static_cast<i64>(std::min(limits.posix_messages, limits.posix_default_messages));
    queue.message_bytes = static_cast<i64>(std::min(limits.posix_bytes, limits.posix_default_bytes));
    const bool beyond = asks_capable(*this, 0, Capability::SysResource);
    if (given) {
        const u64 most = beyond ? kHardMessages : limits.posix_messages, bytes = beyond ? kHardBytes : limits.posix_bytes;
        if (given->most_messages <= 0 || given->message_bytes <= 0 || static_cast<u64>(given->most_messages) > most || static_cast<u64>(given->message_bytes) > bytes) return -kEINVAL;
        queue.most_messages = given->most_messages, queue.message_bytes = given->message_bytes;
    }
    u64 count = 0, charged = 0;
    for (const auto& [other, there] : kernel.posix_queues) {
        count += there.ipc_namespace == task().namespaces.ipc;
        if (there.maker == task().credentials.uid) charged += there.charge;
    }
    if ((count >= limits.posix_queues && !asks_capable(*this, 0, Capability::SysResource)) || kernel.posix_queues.size() >= kMaxIpcObjects) return -kENOSPC;
    queue.charge = static_cast<u64>(queue.most_messages) * (static_cast<u64>(queue.message_bytes) + kBytesEach);
    if (charged + queue.charge > kernel.process_of(task()).limits[kLimitQueues].current) return -kEMFILE;
    queue.maker = task().credentials.uid, queue.ipc_namespace = task().namespaces.ipc;
    kernel.posix_queues[inode] = std::move(queue);
    return 0;
}

/// A file of an mqueue file system, by mq_open or by its path. Pre: the caller may.
Attempt Call::open_queue(Location at, u64 flags) const {
    if (!kernel.posix_queues.contains(at.inode))
        if (const i64 error = make_queue(at.inode, nullptr)) return error;
    OpenFile file;
    file.kind = FileKind::MessageQueue, file.location = at, file.flags = static_cast<u32>(flags & (kAccess | kNonBlock));
    ++kernel.posix_queues.at(at.inode).opens;
    return kernel.install(machine, task(), std::move(file), flags & kCloseOnExec);
}

Attempt Call::mq_open() const {
    const u64 flags = arg(1);
    QueueAttributes attributes{};
    Found found;
    if (arg(3) && !read_user(arg(3), attributes)) return -kEFAULT;
    if (const i64 error = queue_place(0, found)) return error;
    if (!found.missing()) {
        if (flags & kCreate && flags & kExclusive) return -kEEXIST;
        if ((flags & kAccess) == kAccess) return -kEINVAL;
        static constexpr u32 kWanted[] = {mode::kRead, mode::kWrite, mode::kRead | mode::kWrite};
        if (const i64 error = kernel.vfs.permission(viewer(), found.location, kWanted[flags & kAccess])) return error;
        return open_queue(found.location, flags | kCloseOnExec);
    }
    if (!(flags & kCreate)) return -kENOENT;
    const u32 permissions = static_cast<u32>(arg(2)) & ~kernel.context_of(task()).umask & mode::kPermissions;
    const i64 made = with_room([&] { return kernel.vfs.create(viewer(), found, {mode::kFile | permissions, 0, {}}); });
    if (made < 0) return made;
    const Location at = kernel.vfs.location_of(found.directory.mount, static_cast<u32>(made));
    if (const i64 error = make_queue(at.inode, arg(3) ? &attributes : nullptr)) {
        kernel.vfs.drop_tree(at.dentry);
        return error;
    }
    return open_queue(at, flags | kCloseOnExec);
}

Attempt Call::mq_unlink() const {
    Found found;
    if (const i64 error = queue_place(0, found)) return error;
    if (found.missing()) return -kENOENT;
    const u32 inode = found.location.inode;
    const i64 error = kernel.vfs.remove(viewer(), found, false);
    const auto queue = kernel.posix_queues.find(inode);
    if (!error && queue != kernel.posix_queues.end() && !queue->second.opens) kernel.drop_queue(inode);
    tidy();
    return error;
}

// --- Messages -------------------------------------------------------------------------------------------------------------------------

/// A message has come to an empty queue that nobody waits for: who asked is told, once.
void Kernel::notify_of_message(Machine& machine, PosixQueue& queue, const Task& sender) {
    const QueueNotice notice = std::exchange(queue.notice, {});
    const auto record = pids.find(notice.owner);
    if (!notice.owner || notice.kind != kSignal || record == pids.end() || !record->second.has_task) return;
    send_to_process(machine, tasks[record->second.task].process,
                    {.number = notice.number, .code = kCodeMessage, .sender = process_of(sender).pid, .uid = sender.credentials.uid, .value = notice.value});
}

/// 0, an errno, or kWouldWait. `file` is the queue's, when it is one.
i64 Call::send_posix(OpenFile*& file) const {
    file = kernel.file_of(task(), fd_arg(0));
    if (!file || file->kind != FileKind::MessageQueue || !(file->flags & kAccess)) return -kEBADF;
    const u32 inode = file->location.inode;
    PosixQueue& queue = kernel.posix_queues.at(inode);
    if (arg(2) > static_cast<u64>(queue.message_bytes)) return -kEMSGSIZE;
    PosixMessage message{static_cast<u32>(arg(3)), std::string(arg(2), '\0')};
    if (!kernel.copy_in(machine, task(), arg(1), std::span(reinterpret_cast<u8*>(message.text.data()), message.text.size()))) return -kEFAULT;
    if (static_cast<i64>(queue.messages.size()) >= queue.most_messages) return file->flags & kNonBlock ? -kEAGAIN : kWouldWait;
    const u64 cost = arg(2) + kMessageOverhead, most = kernel.frame_users.size() * kPageSize / 8;
    if (kernel.ipc_totals.bytes + cost > most) return -kENOMEM;
    kernel.ipc_totals.bytes += cost, queue.bytes += arg(2);
    const bool first = queue.messages.empty();
    const auto place = std::find_if(queue.messages.begin(), queue.messages.end(), [&](const PosixMessage& other) { return other.priority < message.priority; });
    queue.messages.insert(place, std::move(message));
    kernel.serve_waiters(machine, receivers_of(inode), receive_for_waiter);
    if (first && !queue.messages.empty()) kernel.notify_of_message(machine, queue, task());
    kernel.wake(poll_key(*file));
    return 0;
}

i64 Call::receive_posix(OpenFile*& file) const {
    file = kernel.file_of(task(), fd_arg(0));
    if (!file || file->kind != FileKind::MessageQueue || (file->flags & kAccess) == kWriteOnly) return -kEBADF;
    const u32 inode = file->location.inode;
    PosixQueue& queue = kernel.posix_queues.at(inode);
    if (arg(2) < static_cast<u64>(queue.message_bytes)) return -kEMSGSIZE;
    if (queue.messages.empty()) return file->flags & kNonBlock ? -kEAGAIN : kWouldWait;
    const PosixMessage message = queue.messages.front();
    queue.messages.erase(queue.messages.begin());
    queue.bytes -= message.text.size(), kernel.ipc_totals.bytes -= message.text.size() + kMessageOverhead;
    const bool told = (!arg(3) || write_user(arg(3), message.priority)) &&
                      kernel.copy_out(machine, task(), arg(1), std::span(reinterpret_cast<const u8*>(message.text.data()), message.text.size()));
    const WaitKey polled = poll_key(*file);
    kernel.serve_waiters(machine, senders_of(inode), send_for_waiter);
    kernel.wake(polled);
    return told ? static_cast<i64>(message.text.size()) : -kEFAULT;
}

Attempt Call::transfer_posix(bool sending) const {
    u64 deadline = 0;
    if (sending && arg(3) >= kMostPriority) return -kEINVAL;
    if (const i64 error = absolute_deadline(arg(4), deadline)) return error;
    OpenFile* file = nullptr;
    const i64 result = sending ? send_posix(file) : receive_posix(file);
    if (result != kWouldWait) return result;
    if (machine.cycles() >= deadline) return -kETIMEDOUT;
    task().resume = deadline;
    return wait(sending ? senders_of(file->location.inode) : receivers_of(file->location.inode), deadline, Restart::IfAsked);
}
Attempt Call::mq_timedsend() const { return transfer_posix(true); }
Attempt Call::mq_timedreceive() const { return transfer_posix(false); }

Attempt Call::mq_notify() const {
    struct {
        u64 value;
        i32 number, kind;
        std::array<u8, 48> rest;
    } wanted{};
    static_assert(sizeof wanted == 64);
    if (arg(1) && !read_user(arg(1), wanted)) return -kEFAULT;
    if (arg(1) && wanted.kind != kNothing && (wanted.kind != kSignal || wanted.number < 0 || wanted.number > kSignals)) return -kEINVAL;
    const OpenFile* file = kernel.file_of(task(), fd_arg(0));
    if (!file || file->kind != FileKind::MessageQueue) return -kEBADF;
    QueueNotice& notice = kernel.posix_queues.at(file->location.inode).notice;
    const i32 own = kernel.process_of(task()).pid;
    if (!arg(1)) {
        if (notice.owner == own) notice = {};
        return 0;
    }
    if (notice.owner) return -kEBUSY;
    notice = {own, task().descriptors, wanted.kind, wanted.number, wanted.value};
    return 0;
}

Attempt Call::mq_getsetattr() const {
    QueueAttributes fresh{};
    if (arg(1) && !read_user(arg(1), fresh)) return -kEFAULT;
    if (arg(1) && static_cast<u64>(fresh.flags) & ~kNonBlock) return -kEINVAL;
    OpenFile* file = kernel.file_of(task(), fd_arg(0));
    if (!file || file->kind != FileKind::MessageQueue) return -kEBADF;
    const PosixQueue& queue = kernel.posix_queues.at(file->location.inode);
    const QueueAttributes old{static_cast<i64>(file->flags & kNonBlock), queue.most_messages, queue.message_bytes, static_cast<i64>(queue.messages.size()), {}};
    if (arg(1)) file->flags = static_cast<u32>((file->flags & ~kNonBlock) | static_cast<u64>(fresh.flags));
    return !arg(2) || write_user(arg(2), old) ? Attempt(0) : Attempt(-kEFAULT);
}

} // namespace trapeze::container
