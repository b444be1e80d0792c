// Moving bytes between files without a process's memory between them: splice(2), tee(2), vmsplice(2), sendfile(2). The operations of files read
// and write through a window onto bytes of the kernel's own.
#include "container-sim/abi.hpp"
#include "container-sim/file_operations.hpp"

#include <algorithm>

namespace trapeze::container {

namespace {

constexpr u64 kNoWait = 2, kAllFlags = 15; // SPLICE_F_NONBLOCK, SPLICE_F_*

/// While it lives, kWindow is the address of these bytes for copy_in and copy_out.
class Window {
  public:
    Window(Kernel& kernel, std::vector<u8> bytes) : kernel_(kernel) { kernel.window = std::move(bytes), kernel.window_open = true; }
    ~Window() { kernel_.window.clear(), kernel_.window_open = false; }
    Window(const Window&) = delete;
    Window& operator=(const Window&) = delete;

  private:
    Kernel& kernel_;
};

std::span<const u8> bytes_of(const std::string& text) { return {reinterpret_cast<const u8*>(text.data()), text.size()}; }

} // namespace

/// Reads as many bytes as `out` has; it is cut to what was read. An errno, or `blocked` says that there is nothing yet.
i64 Call::read_into(OpenFile& file, u64* offset, std::vector<u8>& out, Attempt& blocked) const {
    const Window window(kernel, out);
    blocked = read_file(file, Kernel::kWindow, out.size(), offset);
    if (blocked.blocked || blocked.value < 0) return blocked.value;
    out.assign(kernel.window.begin(), kernel.window.begin() + blocked.value);
    return 0;
}

Attempt Call::between_pipes(OpenFile& from, OpenFile& to, u64 bytes, bool wait_for_it, bool take) const {
    Pipe &source = *pipe_of(from), &target = *pipe_of(to);
    if (source.buffer.empty() && !source.writers) return 0;
    if (!target.readers) {
        kernel.send_to_task(machine, index, own_signal(kSigPipe, kCodeUser));
        return -kEPIPE;
    }
    if (source.buffer.empty() || !target.room()) {
        if (!wait_for_it) return -kEAGAIN;
        return wait({WaitKind::Pipe, source.buffer.empty() ? from.object : to.object});
    }
    u64 taken = 0;
    const std::string data = source.front(std::min(bytes, target.room()), taken);
    target.add(bytes_of(data), false);
    if (take) source.drop(taken);
    kernel.wake({WaitKind::Pipe, to.object});
    if (take) kernel.wake({WaitKind::Pipe, from.object}, Edge::No);
    return static_cast<i64>(data.size());
}

Attempt Call::from_pipe(OpenFile& from, OpenFile& to, const u64* offset, u64 bytes, bool wait_for_it) const {
    Pipe& source = *pipe_of(from);
    if (source.buffer.empty()) return !source.writers ? Attempt(0) : wait_for_it ? wait({WaitKind::Pipe, from.object}) : Attempt(-kEAGAIN);
    u64 taken = 0;
    const std::string data = source.front(std::min(bytes, Kernel::kMaxTransfer), taken);
    const Window window(kernel, std::vector<u8>(data.begin(), data.end()));
    const Attempt written = write_file(to, Kernel::kWindow, data.size(), offset);
    if (written.blocked || written.value <= 0) return written;
    kernel.pipes[from.object].drop(static_cast<u64>(written.value) == data.size() ? taken : static_cast<u64>(written.value));
    kernel.wake({WaitKind::Pipe, from.object}, Edge::No);
    return written;
}

Attempt Call::into_pipe(OpenFile& from, OpenFile& to, u64* offset, u64 bytes, bool wait_for_it) const {
    const Pipe& target = *pipe_of(to);
    if (!target.readers) {
        kernel.send_to_task(machine, index, own_signal(kSigPipe, kCodeUser));
        return -kEPIPE;
    }
    if (!target.room()) return wait_for_it ? wait({WaitKind::Pipe, to.object}) : Attempt(-kEAGAIN);
    std::vector<u8> data(std::min(bytes, target.room()));
    Attempt read(0);
    if (const i64 error = read_into(from, offset, data, read); error || read.blocked) return read.blocked ? read : Attempt(error);
    kernel.pipes[to.object].add(data, false);
    if (!data.empty()) kernel.wake({WaitKind::Pipe, to.object});
    return static_cast<i64>(data.size());
}

Attempt Call::splice() const {
    OpenFile *from = kernel.file_of(task(), fd_arg(0)), *to = kernel.file_of(task(), fd_arg(2));
    if (!arg(4)) return 0;
    if (arg(5) & ~kAllFlags) return -kEINVAL;
    if (!from || !to) return -kEBADF;
    const Pipe *source = pipe_of(*from), *target = pipe_of(*to);
    if ((source && arg(1)) || (target && arg(3))) return -kESPIPE;
    if ((from->flags & kAccess) == kWriteOnly || !(to->flags & kAccess)) return -kEBADF;
    const bool nonblocking = (source && from->flags & kNonBlock) || (target && to->flags & kNonBlock) || arg(5) & kNoWait;
    if (source && target) return source == target ? Attempt(-kEINVAL) : between_pipes(*from, *to, arg(4), !nonblocking, true);
    if (!source && !target) return -kEINVAL;
    const unsigned place = source ? 3 : 1;
    OpenFile& other = source ? *to : *from;
    u64 offset = 0;
    if (source && other.flags & kAppend) return -kEINVAL;
    if (arg(place)) {
        if (!file_operations(other.kind).seekable) return -kEINVAL;
        if (!read_user(arg(place), offset)) return -kEFAULT;
        if (static_cast<i64>(offset) < 0) return -kEINVAL;
    }
    u64* const at = arg(place) ? &offset : nullptr;
    const Attempt moved = source ? from_pipe(*from, *to, at, arg(4), !nonblocking) : into_pipe(*from, *to, at, arg(4), !nonblocking);
    if (!at || moved.blocked || moved.value <= 0) return moved;
    if (source) offset += static_cast<u64>(moved.value);
    return write_user(arg(place), offset) ? moved : Attempt(-kEFAULT);
}

Attempt Call::tee() const {
    OpenFile *from = kernel.file_of(task(), fd_arg(0)), *to = kernel.file_of(task(), fd_arg(1));
    if (arg(3) & ~kAllFlags) return -kEINVAL;
    if (!arg(2)) return 0;
    if (!from || !to || (from->flags & kAccess) == kWriteOnly || !(to->flags & kAccess)) return -kEBADF;
    const Pipe *source = pipe_of(*from), *target = pipe_of(*to);
    if (!source || !target || source == target) return -kEINVAL;
    return between_pipes(*from, *to, arg(2), !(arg(3) & kNoWait || (from->flags | to->flags) & kNonBlock), false);
}

/// From memory into a pipe, as much as there is room for; or out of one.
Attempt Call::vmsplice() const {
    OpenFile* file = kernel.file_of(task(), fd_arg(0));
    std::vector<std::pair<u64, u64>> parts;
    if (arg(3) & ~kAllFlags) return -kEINVAL;
    if (!file || !pipe_of(*file)) return -kEBADF;
    if (const i64 error = read_vector(parts, 1, arg(2))) return error;
    if (!(file->flags & kAccess)) return vectored(false, nullptr);
    Pipe& pipe = *pipe_of(*file);
    const bool nonblocking = arg(3) & kNoWait || file->flags & kNonBlock;
    if (!pipe.readers) {
        kernel.send_to_task(machine, index, own_signal(kSigPipe, kCodeUser));
        return -kEPIPE;
    }
    if (!pipe.room()) return nonblocking ? Attempt(-kEAGAIN) : wait({WaitKind::Pipe, file->object});
    i64 total = 0;
    for (const auto& [base, bytes] : parts) {
        std::vector<u8> data(std::min(bytes, pipe.room()));
        if (!kernel.copy_in(machine, task(), base, data)) return total ? total : -kEFAULT;
        pipe.add(data, false);
        total += static_cast<i64>(data.size());
    }
    if (total) kernel.wake({WaitKind::Pipe, file->object});
    return total;
}

/// A file's bytes to whatever takes bytes, at most as many as it takes at once.
Attempt Call::send_from_file(OpenFile& from, OpenFile& to, u64& read_at, u64 bytes) const {
    if (pipe_of(to)) return into_pipe(from, to, &read_at, bytes, !(to.flags & kNonBlock));
    std::vector<u8> data(std::min(bytes, Kernel::kMaxTransfer));
    u64 end = read_at;
    Attempt read(0);
    if (const i64 error = read_into(from, &end, data, read); error || data.empty()) return error;
    const Window window(kernel, data);
    const Attempt written = write_file(to, Kernel::kWindow, data.size(), nullptr);
    if (!written.blocked && written.value > 0) read_at += static_cast<u64>(written.value);
    return written;
}

Attempt Call::sendfile() const {
    OpenFile *to = kernel.file_of(task(), fd_arg(0)), *from = kernel.file_of(task(), fd_arg(1));
    if (!from || !to || (from->flags & kAccess) == kWriteOnly || !(to->flags & kAccess)) return -kEBADF;
    if (from->kind != FileKind::Inode || !kernel.vfs.inodes.get(from->location.inode).is_file() || to->flags & kAppend) return -kEINVAL;
    u64 read_at = from->offset;
    if (arg(2) && !read_user(arg(2), read_at)) return -kEFAULT;
    if (static_cast<i64>(read_at) < 0) return -kEINVAL;
    if (!arg(3)) return 0;
    const Attempt sent = send_from_file(*from, *to, read_at, arg(3));
    if (sent.blocked || sent.value <= 0) return sent;
    if (arg(2) ? !write_user(arg(2), read_at) : (from->offset = read_at, false)) return -kEFAULT;
    return sent;
}

Attempt Call::sync_file_range() const {
    constexpr u64 kBefore = 1, kWrite = 2, kAfter = 4;
    const OpenFile* file = kernel.file_of(task(), fd_arg(0));
    if (!file) return -kEBADF;
    const i64 begin = static_cast<i64>(arg(1)), bytes = static_cast<i64>(arg(2));
    if (arg(3) & ~(kBefore | kWrite | kAfter) || begin < 0 || bytes < 0 || begin + bytes < begin) return -kEINVAL;
    return is_plain_file(*file) || (file->location.dentry && kernel.vfs.is_directory(file->location)) ? Attempt(0) : Attempt(-kESPIPE);
}

} // namespace trapeze::container
