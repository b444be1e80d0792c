// System calls on open files: descriptors, reading and writing, and waiting for any of them.
#include "container-sim/abi.hpp"
#include "container-sim/file_operations.hpp"
#include "container-sim/net/net_calls.hpp"

#include <algorithm>

namespace trapeze::container {

Attempt Call::close() const {
    if (!kernel.any_file_of(task(), fd_arg(0))) return -kEBADF;
    kernel.close_descriptor(machine, task(), fd_arg(0));
    return 0;
}

Attempt Call::close_range() const {
    constexpr u64 kUnshare = 2, kOnExec = 4;
    const u32 first = fd_arg(0), last = fd_arg(1);
    if (arg(2) & ~(kUnshare | kOnExec) || first > last) return -kEINVAL;
    if (arg(2) & kUnshare) unshare_descriptors();
    auto& entries = kernel.descriptors_of(task()).entries;
    for (u32 fd = first; fd < entries.size() && fd <= last; ++fd) {
        if (arg(2) & kOnExec) entries[fd].close_on_exec = true;
        else kernel.close_descriptor(machine, task(), fd);
    }
    return 0;
}

u32 Call::file_number(u32 fd) const { return kernel.descriptors_of(task()).entries[fd].file - 1; }

Attempt Call::dup() const { return kernel.any_file_of(task(), fd_arg(0)) ? kernel.new_descriptor(task(), file_number(fd_arg(0)), false) : -kEBADF; }

Attempt Call::dup3() const {
    const u32 from = fd_arg(0), to = fd_arg(1);
    if (arg(2) & ~kCloseOnExec || from == to) return -kEINVAL;
    if (!kernel.any_file_of(task(), from) || to >= std::min<u64>(kernel.process_of(task()).limits[kLimitFiles].current, Kernel::kMaxDescriptors)) return -kEBADF;
    if (kernel.any_file_of(task(), to)) kernel.close_descriptor(machine, task(), to);
    return kernel.new_descriptor(task(), file_number(from), arg(2) & kCloseOnExec, to);
}

Attempt Call::fcntl() const {
    enum : u64 { kDup = 0, kGetFd = 1, kSetFd = 2, kGetFl = 3, kSetFl = 4, kDupCloexec = 1030, kGetLock = 5, kSetLock = 6, kSetLockWait = 7, kOfdGet = 36, kOfdSet = 37, kOfdSetWait = 38, kSetPipeSize = 1031, kGetPipeSize = 1032, kAddSeals = 1033, kGetSeals = 1034 };
    constexpr u64 kDirect = 040000;
    OpenFile* file = kernel.any_file_of(task(), fd_arg(0));
    if (!file) return -kEBADF;
    if (file->kind == FileKind::Path && arg(1) != kDup && arg(1) != kDupCloexec && arg(1) != kGetFd && arg(1) != kSetFd && arg(1) != kGetFl) return -kEBADF;
    Descriptor& descriptor = kernel.descriptors_of(task()).entries[fd_arg(0)];
    switch (arg(1)) {
    case kDup: case kDupCloexec:
        if (arg(2) >= kernel.process_of(task()).limits[kLimitFiles].current) return -kEINVAL;
        return kernel.new_descriptor(task(), descriptor.file - 1, arg(1) == kDupCloexec, static_cast<u32>(arg(2)));
    case kGetFd: return descriptor.close_on_exec;
    case kSetFd: return descriptor.close_on_exec = arg(2) & 1, 0;
    case kGetFl: return file->flags & ~static_cast<u32>(kCreate | kExclusive | kNoTerminal | kTruncate | kCloseOnExec);
    case kSetFl: return file->flags = static_cast<u32>((file->flags & ~(kAppend | kNonBlock | kDirect)) | (arg(2) & (kAppend | kNonBlock | kDirect))), 0;
    case kGetLock: case kOfdGet: return record_lock(*file, arg(1) == kOfdGet, LockCommand::Get);
    case kSetLock: case kOfdSet: return record_lock(*file, arg(1) == kOfdSet, LockCommand::Set);
    case kSetLockWait: case kOfdSetWait: return record_lock(*file, arg(1) == kOfdSetWait, LockCommand::Wait);
    case kSetPipeSize: return set_pipe_size(*file, arg(2));
    case kGetPipeSize: return pipe_of(*file) ? Attempt(static_cast<i64>(pipe_of(*file)->capacity)) : Attempt(-kEBADF);
    case kAddSeals: return change_seals(*file, arg(2));
    case kGetSeals: return change_seals(*file, std::nullopt);
    default: return -kEINVAL;
    }
}

Attempt Call::ioctl() const {
    constexpr u64 kNonBlocking = 0x5421, kCloseOnExecSet = 0x5451, kCloseOnExecClear = 0x5450; // FIONBIO, FIOCLEX, FIONCLEX
    OpenFile* file = kernel.file_of(task(), fd_arg(0));
    if (!file) return -kEBADF;
    Descriptor& descriptor = kernel.descriptors_of(task()).entries[fd_arg(0)];
    i32 value = 0;
    switch (arg(1)) {
    case kNonBlocking:
        if (!read_user(arg(2), value)) return -kEFAULT;
        return file->flags = static_cast<u32>(value ? file->flags | kNonBlock : file->flags & ~kNonBlock), 0;
    case kCloseOnExecSet: return descriptor.close_on_exec = true, 0;
    case kCloseOnExecClear: return descriptor.close_on_exec = false, 0;
    default: break;
    }
    const auto operation = file_operations(file->kind).ioctl;
    return operation ? operation(*this, *file, arg(1), arg(2)) : Attempt(-kENOTTY);
}

// --- Reading and writing ----------------------------------------------------------------------------------------------------------

Attempt Call::read_file(OpenFile& file, u64 to, u64 bytes, u64* offset) const {
    if ((file.flags & kAccess) == kWriteOnly) return -kEBADF;
    const auto operation = file_operations(file.kind).read;
    return operation ? operation(*this, file, to, std::min(bytes, Kernel::kMaxTransfer), offset) : file.kind == FileKind::PipeWrite ? Attempt(-kEBADF) : Attempt(-kEINVAL);
}

Attempt Call::write_file(OpenFile& file, u64 from, u64 bytes, const u64* offset) const {
    if ((file.flags & kAccess) == 0) return -kEBADF;
    const auto operation = file_operations(file.kind).write;
    return operation ? operation(*this, file, from, std::min(bytes, Kernel::kMaxTransfer), offset) : file.kind == FileKind::PipeRead ? Attempt(-kEBADF) : Attempt(-kEINVAL);
}

Attempt Call::read() const {
    OpenFile* file = kernel.file_of(task(), fd_arg(0));
    return file ? read_file(*file, arg(1), arg(2), nullptr) : -kEBADF;
}
Attempt Call::write() const {
    OpenFile* file = kernel.file_of(task(), fd_arg(0));
    return file ? write_file(*file, arg(1), arg(2), nullptr) : -kEBADF;
}
Attempt Call::pread64() const {
    OpenFile* file = kernel.file_of(task(), fd_arg(0));
    if (!file) return -kEBADF;
    if (static_cast<i64>(arg(3)) < 0) return -kEINVAL;
    if (!file_operations(file->kind).seekable) return -kESPIPE;
    u64 offset = arg(3);
    return read_file(*file, arg(1), arg(2), &offset);
}
Attempt Call::pwrite64() const {
    OpenFile* file = kernel.file_of(task(), fd_arg(0));
    if (!file) return -kEBADF;
    if (static_cast<i64>(arg(3)) < 0) return -kEINVAL;
    if (!file_operations(file->kind).seekable) return -kESPIPE;
    const u64 offset = arg(3);
    return write_file(*file, arg(1), arg(2), &offset);
}

/// struct iovec at an argument: addresses and lengths, all of them looked at before any is used.
i64 Call::read_vector(std::vector<std::pair<u64, u64>>& out, unsigned argument, u64 count) const {
    constexpr u64 kMostParts = 1024;
    if (count > kMostParts) return -kEINVAL;
    out.resize(count);
    for (u64 i = 0; i < count; ++i) {
        std::array<u64, 2> part{};
        if (!read_user(arg(argument) + i * sizeof part, part)) return -kEFAULT;
        if (static_cast<i64>(part[1]) < 0) return -kEINVAL;
        out[i] = {part[0], part[1]};
    }
    return 0;
}

/// readv, writev and their siblings; `offset`: preadv, pwritev.
Attempt Call::vectored(bool writing, u64* offset) const {
    OpenFile* file = kernel.file_of(task(), fd_arg(0));
    std::vector<std::pair<u64, u64>> parts;
    if (!file) return -kEBADF;
    if (const i64 error = read_vector(parts, 1, arg(2))) return error;
    if (file->kind == FileKind::Socket) return transfer_vectors(*this, *file, writing);
    // What earlier attempts have moved is told by resume_more; resume is the part's own.
    i64 total = static_cast<i64>(task().resume_more);
    u64 skip = task().resume_more;
    for (auto [base, bytes] : parts) {
        const u64 done = std::min(skip, bytes);
        skip -= done, base += done, bytes -= done;
        if (!bytes) continue;
        bytes = std::min(bytes, Kernel::kMaxTransfer - std::min(Kernel::kMaxTransfer, static_cast<u64>(total)));
        u64 at = offset ? *offset + static_cast<u64>(total) : 0;
        const Attempt one = writing ? write_file(*file, base, bytes, offset ? &at : nullptr) : read_file(*file, base, bytes, offset ? &at : nullptr);
        if (one.blocked && writing) return task().resume_more = static_cast<u64>(total), one;
        if (one.no_return || (one.blocked && !total)) return one;
        if (one.blocked || one.value < 0) return task().waits.clear(), total ? total : one.value;
        task().resume = 0;
        total += one.value;
        if (static_cast<u64>(one.value) < bytes || static_cast<u64>(total) >= Kernel::kMaxTransfer) break;
    }
    return total;
}
Attempt Call::readv() const { return vectored(false, nullptr); }
Attempt Call::writev() const { return vectored(true, nullptr); }

/// preadv and pwritev, and (`second`) those that take flags and, with -1, the file's own place.
Attempt Call::positioned(bool writing, bool second) const {
    constexpr u64 kHighPriority = 1, kDataSync = 2, kSync = 4, kNoWait = 8, kAppendWrite = 16, kNoAppend = 32;
    const OpenFile* file = kernel.file_of(task(), fd_arg(0));
    const bool own_place = second && arg(3) == ~u64{0};
    if (static_cast<i64>(arg(3)) < 0 && !own_place) return -kEINVAL;
    if (!file) return -kEBADF;
    if (!own_place && !file_operations(file->kind).seekable) return -kESPIPE;
    if (second && arg(5) & ~(kHighPriority | kDataSync | kSync | kNoWait | (writing ? kAppendWrite | kNoAppend : 0))) return -kEOPNOTSUPP;
    u64 offset = arg(3);
    if (second && arg(5) & kAppendWrite && file->location.dentry) offset = kernel.vfs.size_of(file->location.inode);
    return vectored(writing, own_place ? nullptr : &offset);
}
Attempt Call::preadv() const { return positioned(false, false); }
Attempt Call::pwritev() const { return positioned(true, false); }
Attempt Call::preadv2() const { return positioned(false, true); }
Attempt Call::pwritev2() const { return positioned(true, true); }

Attempt Call::lseek() const {
    OpenFile* file = kernel.file_of(task(), fd_arg(0));
    if (!file) return -kEBADF;
    if (!file_operations(file->kind).seekable) return -kESPIPE;
    constexpr u64 kEnd = 2, kData = 3, kHole = 4;
    if (arg(2) > kHole) return -kEINVAL;
    const bool generated = kernel.vfs.inodes.get(file->location.inode).generated;
    const i64 size = static_cast<i64>(generated ? file->generated.size() : kernel.vfs.size_of(file->location.inode));
    if (arg(2) > kEnd) {
        if (!is_plain_file(*file) || static_cast<i64>(arg(1)) < 0 || static_cast<i64>(arg(1)) >= size) return is_plain_file(*file) ? -kENXIO : -kEINVAL;
        if (const i64 error = kernel.vfs.load(kernel.vfs.data_inode(file->location.inode))) return error;
        const u64 found = kernel.vfs.inodes.get(kernel.vfs.data_inode(file->location.inode)).data.seek(arg(1), arg(2) == kHole);
        if (arg(2) == kData && found == static_cast<u64>(size)) return -kENXIO;
        return file->offset = found, static_cast<i64>(found);
    }
    const i64 from = arg(2) == 0 ? 0 : arg(2) == 1 ? static_cast<i64>(file->offset) : size;
    const i64 distance = static_cast<i64>(arg(1));
    constexpr i64 kFarthest = i64{1} << 50;
    if (distance > kFarthest || distance < -kFarthest) return -kEINVAL;
    const i64 to = from + distance;
    if (to < 0) return -kEINVAL;
    file->offset = static_cast<u64>(to);
    return to;
}

// --- Waiting for any of several ----------------------------------------------------------------------------------------------------

i16 Call::poll_file(const OpenFile& file, i16 events) const {
    const auto operation = file_operations(file.kind).poll;
    const i16 now = operation ? operation(kernel, file) : static_cast<i16>(kPollIn | kPollOut);
    return static_cast<i16>(now & (events | kPollError | kPollHangUp));
}

void Call::add_wait_key(std::vector<WaitKey>& keys, const OpenFile& file) const {
    if (file.kind == FileKind::Epoll) return add_epoll_keys(keys, file.object, 0);
    if (const auto key = file_operations(file.kind).wait_key) keys.push_back(key(file));
}

/// ppoll's and pselect6's signal mask: a pointer to it, null for none, applied at the first attempt.
i64 Call::take_mask(u64 at, u64 size) const {
    if (!at || task().restore_blocked) return 0;
    u64 mask = 0;
    if (size != 8) return -kEINVAL;
    if (!read_user(at, mask)) return -kEFAULT;
    apply_mask(mask);
    return 0;
}

/// A call that had a mask of its own ends without a handler: the old mask is back at once.
Attempt Call::end_masked(i64 value) const {
    if (task().restore_blocked) task().blocked_signals = *std::exchange(task().restore_blocked, std::nullopt);
    return value;
}

Attempt Call::ppoll() const {
    struct PollFd {
        i32 fd;
        i16 events, happened;
    };
    if (arg(1) > std::min<u64>(Kernel::kMaxDescriptors, kernel.process_of(task()).limits[kLimitFiles].current)) return -kEINVAL;
    std::vector<PollFd> fds(arg(1));
    if (!kernel.copy_in(machine, task(), arg(0), std::span(reinterpret_cast<u8*>(fds.data()), fds.size() * sizeof(PollFd)))) return -kEFAULT;
    u64 deadline = 0;
    if (const i64 error = deadline_of(arg(2), deadline)) return error;
    if (const i64 error = take_mask(arg(3), arg(4))) return error;
    i64 count = 0;
    std::vector<WaitKey> keys;
    for (PollFd& fd : fds) {
        const OpenFile* file = fd.fd < 0 ? nullptr : kernel.file_of(task(), static_cast<u32>(fd.fd));
        fd.happened = fd.fd < 0 ? i16{0} : file ? poll_file(*file, fd.events) : kPollInvalid;
        count += fd.happened != 0;
        if (file) add_wait_key(keys, *file);
    }
    if (!count && machine.cycles() < deadline) {
        task().resume = deadline;
        return wait_any(std::move(keys), deadline, Restart::IfUnhandled);
    }
    const bool told = kernel.copy_out(machine, task(), arg(0), std::span(reinterpret_cast<const u8*>(fds.data()), fds.size() * sizeof(PollFd)));
    return end_masked(told ? count : -kEFAULT);
}

Attempt Call::pselect6() const {
    constexpr u64 kBits = 1024;
    if (arg(0) > kBits) return -kEINVAL;
    std::array<std::array<u64, kBits / 64>, 3> wanted{}, ready{};
    const std::size_t bytes = (arg(0) + 63) / 64 * 8;
    for (unsigned set = 0; set < 3; ++set)
        if (arg(1 + set) && !kernel.copy_in(machine, task(), arg(1 + set), std::span(reinterpret_cast<u8*>(wanted[set].data()), bytes))) return -kEFAULT;
    u64 deadline = 0;
    if (const i64 error = deadline_of(arg(4), deadline)) return error;
    std::array<u64, 2> mask{};
    if (arg(5) && !read_user(arg(5), mask)) return -kEFAULT;
    if (const i64 error = take_mask(mask[0], mask[1])) return error;
    constexpr std::array<i16, 3> kEvents{kPollIn | kPollHangUp | kPollError, kPollOut | kPollError, kPollPriority};
    i64 count = 0;
    std::vector<WaitKey> keys;
    for (u64 fd = 0; fd < arg(0); ++fd)
        for (unsigned set = 0; set < 3; ++set) {
            if (!(wanted[set][fd / 64] >> fd % 64 & 1)) continue;
            const OpenFile* file = kernel.file_of(task(), static_cast<u32>(fd));
            if (!file) return end_masked(-kEBADF);
            add_wait_key(keys, *file);
            if (!(poll_file(*file, kEvents[set]) & kEvents[set])) continue;
            ready[set][fd / 64] |= u64{1} << fd % 64;
            ++count;
        }
    if (!count && machine.cycles() < deadline) {
        task().resume = deadline;
        return wait_any(std::move(keys), deadline, Restart::IfUnhandled);
    }
    for (unsigned set = 0; set < 3; ++set)
        if (arg(1 + set) && !kernel.copy_out(machine, task(), arg(1 + set), std::span(reinterpret_cast<const u8*>(ready[set].data()), bytes))) return end_masked(-kEFAULT);
    return end_masked(count);
}

} // namespace trapeze::container
