// /proc/sysvipc and the limits of ipc namespaces in /proc/sys: each reader sees its own namespace's.
#include "container-sim/fs/proc.hpp"

#include <fmt/format.h>

namespace trapeze::container {

namespace {

IpcNamespace& own_ipc(const Reader& reader) { return reader.viewer.kernel->ipc_namespaces[reader.viewer.kernel->tasks[reader.viewer.task].namespaces.ipc]; }
i32 seen_pid(const Reader& reader, i32 pid) { return reader.viewer.kernel->pid_in(pid, reader.viewer.kernel->tasks[reader.viewer.task].namespaces.pid); }
/// uid, gid, cuid, cgid
std::string ids_text(const Reader& reader, const IpcHead& head) {
    return fmt::format("{:5} {:5} {:5} {:5}", reader.viewer.seen_id(head.uid, false), reader.viewer.seen_id(head.gid, true), reader.viewer.seen_id(head.creator_uid, false),
                       reader.viewer.seen_id(head.creator_gid, true));
}

std::string show_messages(const Reader& reader) {
    std::string text = "       key      msqid perms      cbytes       qnum lspid lrpid   uid   gid  cuid  cgid      stime      rtime      ctime\n";
    for (const auto& [index, queue] : own_ipc(reader).queues.objects)
        text += fmt::format("{:10} {:10}  {:4o}  {:10} {:10} {:5} {:5} {} {:10} {:10} {:10}\n", queue.key, queue.id, queue.mode, queue.bytes, queue.messages.size(),
                            seen_pid(reader, queue.last_sender), seen_pid(reader, queue.last_receiver), ids_text(reader, queue), queue.sent, queue.received, queue.changed);
    return text;
}
std::string show_semaphores(const Reader& reader) {
    std::string text = "       key      semid perms      nsems   uid   gid  cuid  cgid      otime      ctime\n";
    for (const auto& [index, set] : own_ipc(reader).sets.objects)
        text += fmt::format("{:10} {:10}  {:4o} {:10} {} {:10} {:10}\n", set.key, set.id, set.mode, set.semaphores.size(), ids_text(reader, set), set.used, set.changed);
    return text;
}
std::string show_segments(const Reader& reader) {
    const Kernel& kernel = *reader.viewer.kernel;
    std::string text = "       key      shmid perms                  size  cpid  lpid nattch   uid   gid  cuid  cgid      atime      dtime      ctime                   rss                  swap\n";
    for (const auto& [index, name] : own_ipc(reader).segments.objects) {
        const SharedSegment& segment = kernel.segments.at(name.serial);
        text += fmt::format("{:10} {:10}  {:4o} {:21} {:5} {:5}  {:5} {} {:10} {:10} {:10} {:21} {:21}\n", name.key, name.id, name.mode, segment.bytes, seen_pid(reader, segment.creator),
                            seen_pid(reader, segment.last), kernel.attachments(name.serial), ids_text(reader, name), segment.attached, segment.detached, name.changed,
                            segment.frames.size() * kPageSize, 0);
    }
    return text;
}

template <u64 IpcLimits::*limit> std::string show_limit(const Reader& reader) { return fmt::format("{}\n", own_ipc(reader).limits.*limit); }
/// One number, at most `most`, from who has CAP_SYS_RESOURCE over the namespace.
template <u64 IpcLimits::*limit, u64 most> i64 store_limit(const Reader& reader, std::string_view text) {
    IpcNamespace& own = own_ipc(reader);
    if (!reader.viewer.capable(own.owner, Capability::SysAdmin)) return -kEPERM;
    const auto value = parse_number(text);
    if (!value || *value < 0 || static_cast<u64>(*value) > most) return -kEINVAL;
    own.limits.*limit = static_cast<u64>(*value);
    return static_cast<i64>(text.size());
}
std::string show_semaphore_limits(const Reader& reader) {
    const IpcLimits& limits = own_ipc(reader).limits;
    return fmt::format("{}\t{}\t{}\t{}\n", limits.set_semaphores, limits.semaphores, limits.operations, limits.sets);
}

constexpr u64 kAny = ~u64{0}, kInt = 0x7fff'ffff;

} // namespace

const std::vector<SystemControl> kIpcControls = {
    {"sysvipc", {"msg", 0444, show_messages, nullptr}},
    {"sysvipc", {"sem", 0444, show_semaphores, nullptr}},
    {"sysvipc", {"shm", 0444, show_segments, nullptr}},
    {"sys/kernel", {"shmmax", 0644, show_limit<&IpcLimits::segment_bytes>, store_limit<&IpcLimits::segment_bytes, kAny>}},
    {"sys/kernel", {"shmall", 0644, show_limit<&IpcLimits::segment_pages>, store_limit<&IpcLimits::segment_pages, kAny>}},
    {"sys/kernel", {"shmmni", 0644, show_limit<&IpcLimits::segments>, store_limit<&IpcLimits::segments, kMaxIpcIndex>}},
    {"sys/kernel", {"sem", 0444, show_semaphore_limits, nullptr}},
    {"sys/kernel", {"msgmax", 0644, show_limit<&IpcLimits::message_bytes>, store_limit<&IpcLimits::message_bytes, (u64{1} << 20)>}},
    {"sys/kernel", {"msgmnb", 0644, show_limit<&IpcLimits::queue_bytes>, store_limit<&IpcLimits::queue_bytes, kInt>}},
    {"sys/kernel", {"msgmni", 0644, show_limit<&IpcLimits::queues>, store_limit<&IpcLimits::queues, kMaxIpcIndex>}},
    {"sys/fs/mqueue", {"queues_max", 0644, show_limit<&IpcLimits::posix_queues>, store_limit<&IpcLimits::posix_queues, kInt>}},
    {"sys/fs/mqueue", {"msg_max", 0644, show_limit<&IpcLimits::posix_messages>, store_limit<&IpcLimits::posix_messages, 65536>}},
    {"sys/fs/mqueue", {"msgsize_max", 0644, show_limit<&IpcLimits::posix_bytes>, store_limit<&IpcLimits::posix_bytes, (u64{1} << 24)>}},
    {"sys/fs/mqueue", {"msg_default", 0644, show_limit<&IpcLimits::posix_default_messages>, store_limit<&IpcLimits::posix_default_messages, 65536>}},
    {"sys/fs/mqueue", {"msgsize_default", 0644, show_limit<&IpcLimits::posix_default_bytes>, store_limit<&IpcLimits::posix_default_bytes, (u64{1} << 24)>}},
};

} // namespace trapeze::container
