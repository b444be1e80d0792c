// Descriptors that stand for kernel objects: namespaces (/proc/PID/ns/KIND, setns(2)) and processes (pidfd_open(2)).
#include "container-sim/abi.hpp"
#include "container-sim/file_operations.hpp"
#include "container-sim/fs/proc.hpp"

namespace trapeze::container {

namespace {

void close_namespace(Kernel& kernel, Machine& machine, OpenFile& file) { kernel.release_namespace(machine, static_cast<NamespaceKind>(file.offset), file.object); }

Attempt namespace_ioctl(const Call& call, OpenFile& file, u64 request, u64 argument) {
    enum : u64 { kUserns = 0xb701, kParent = 0xb702, kType = 0xb703, kOwnerUid = 0xb704 }; // ioctl_ns(2)
    const auto kind = static_cast<NamespaceKind>(file.offset);
    const Kernel& kernel = call.kernel;
    const u32 own = call.task().credentials.user_namespace;
    const auto visible = [&](u32 user) { // an ancestor of the caller's is outside its scope
        for (u32 at = user;; at = kernel.user_namespaces[at].parent) {
            if (at == own) return true;
            if (at == 0) return false;
        }
    };
    switch (request) {
    case kType: return static_cast<i64>(namespace_flag(kind));
    case kUserns: {
        const u32 owner = kind == NamespaceKind::User ? kernel.user_namespaces[file.object].parent : kernel.namespace_head(kind, file.object).owner;
        if ((kind == NamespaceKind::User && file.object == 0) || !visible(owner)) return -kEPERM;
        return call.open_namespace(NamespaceKind::User, owner);
    }
    case kParent:
        if (kind != NamespaceKind::User && kind != NamespaceKind::Pid) return -kEINVAL;
        if (file.object == 0) return -kEPERM;
        if (kind == NamespaceKind::User ? !visible(kernel.user_namespaces[file.object].parent) : !kernel.namespace_within(kernel.pid_namespaces[file.object].parent, call.task().namespaces.pid)) return -kEPERM;
        return call.open_namespace(kind, kind == NamespaceKind::User ? kernel.user_namespaces[file.object].parent : kernel.pid_namespaces[file.object].parent);
    case kOwnerUid:
        if (kind != NamespaceKind::User) return -kEINVAL;
        return call.write_user(argument, kernel.uid_in(call.task(), kernel.user_namespaces[file.object].owner_uid)) ? Attempt(0) : Attempt(-kEFAULT);
    default: return -kENOTTY;
    }
}

/// A pidfd is readable when its process has ended.
i16 poll_pid(const Kernel& kernel, const OpenFile& file) {
    const auto record = kernel.pids.find(static_cast<i32>(file.object));
    const bool lives = record != kernel.pids.end() && record->second.has_task && !kernel.processes[kernel.tasks[record->second.task].process].zombie;
    return lives ? 0 : kPollIn;
}

} // namespace

const FileOperations kNamespaceOperations{.ioctl = namespace_ioctl, .close = close_namespace, .mode = 0100444};
const FileOperations kPidOperations{.poll = poll_pid, .wait_key = [](const OpenFile& file) { return WaitKey{WaitKind::Exit, file.object}; },
                                    .close = [](Kernel& kernel, Machine&, OpenFile& file) { kernel.release_pid(static_cast<i32>(file.object)); }, .mode = 0100600, .link = "anon_inode:[pidfd]"};

/// A descriptor for a namespace (its kind is kept in the file's offset).
i64 Call::open_namespace(NamespaceKind kind, u32 index) const {
    OpenFile file;
    file.kind = FileKind::Namespace, file.offset = static_cast<u64>(kind), file.object = index;
    kernel.use_namespace(kind, index);
    return kernel.install(machine, task(), file, true);
}

i64 Call::open_pid(u32 process, u32 flags) const {
    OpenFile file;
    file.kind = FileKind::Pid, file.object = static_cast<u32>(kernel.processes[process].pid), file.flags = flags | 2;
    kernel.use_pid(kernel.processes[process].pid);
    return kernel.install(machine, task(), file, true);
}

Attempt Call::pidfd_open() const {
    if (int_arg(0) <= 0 || arg(1) & ~kNonBlock) return -kEINVAL;
    const auto process = kernel.process_by_pid(int_arg(0), task().namespaces.pid);
    if (!process) return kernel.task_by_pid(int_arg(0), task().namespaces.pid) ? -kEINVAL : -kESRCH; // a thread's number: ENOENT since 6.15, EINVAL before
    return open_pid(*process, static_cast<u32>(arg(1)));
}

/// The process behind a pidfd; it may have been reaped meanwhile.
i64 Call::process_behind(u32 fd, u32& process) const {
    const OpenFile* file = kernel.file_of(task(), fd);
    if (!file || file->kind != FileKind::Pid) return -kEBADF;
    const auto record = kernel.pids.find(static_cast<i32>(file->object));
    if (record == kernel.pids.end() || !record->second.has_task) return -kESRCH;
    return process = kernel.tasks[record->second.task].process, 0;
}

Attempt Call::pidfd_send_signal() const {
    u32 process = 0;
    if (arg(3)) return -kEINVAL;
    if (const i64 error = process_behind(fd_arg(0), process)) return error;
    SignalInfo info = own_signal(int_arg(1), kCodeUser);
    if (arg(2))
        if (const i64 error = read_siginfo(arg(2), int_arg(1), info)) return error;
    if (kernel.processes[process].zombie) return -kESRCH;
    return signal_process(process, info);
}

/// A descriptor of another process's, for who may trace it.
Attempt Call::pidfd_getfd() const {
    u32 process = 0;
    if (arg(2)) return -kEINVAL;
    if (const i64 error = process_behind(fd_arg(0), process)) return error;
    const Task& target = kernel.tasks[kernel.processes[process].leader];
    if (kernel.processes[process].zombie || !target.descriptors) return -kESRCH;
    if (!may_trace(viewer(), target)) return -kEPERM;
    const auto& entries = kernel.descriptors_of(target).entries;
    if (fd_arg(1) >= entries.size() || !entries[fd_arg(1)].file) return -kEBADF;
    return kernel.new_descriptor(task(), entries[fd_arg(1)].file - 1, true);
}

/// kcmp(2): whether two processes share something; else which of the two comes first.
Attempt Call::kcmp() const {
    enum : u64 { kFile, kMemory, kFiles, kContext, kHandlers, kInputOutput, kSemaphores };
    const auto first = kernel.task_by_pid(int_arg(0), task().namespaces.pid), second = kernel.task_by_pid(int_arg(1), task().namespaces.pid);
    if (!first || !second) return -kESRCH;
    const Task &a = kernel.tasks[*first], &b = kernel.tasks[*second];
    if (!may_trace(viewer(), a) || !may_trace(viewer(), b)) return -kEPERM;
    const auto order = [](u64 left, u64 right) { return Attempt(left == right ? 0 : left < right ? 1 : 2); };
    switch (arg(2)) {
    case kFile: {
        const auto file = [&](const Task& owner, u64 fd) -> u32 {
            const auto& entries = kernel.descriptors_of(owner).entries;
            return fd < entries.size() ? entries[fd].file : 0;
        };
        const u32 left = file(a, arg(3)), right = file(b, arg(4));
        return left && right ? order(left, right) : Attempt(-kEBADF);
    }
    case kMemory: return order(a.memory, b.memory);
    case kFiles: return order(a.descriptors, b.descriptors);
    case kContext: return order(a.context, b.context);
    case kHandlers: return order(a.actions, b.actions);
    case kInputOutput: return 0; // nobody has a context of its own
    case kSemaphores: return order(a.semaphore_undo, b.semaphore_undo);
    default: return -kEINVAL;
    }
}

} // namespace trapeze::container
