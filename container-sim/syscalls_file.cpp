// System calls on open files: descriptors, reading and writing, pipes and terminals, waiting for any of them.
#include "container-sim/abi.hpp"
#include "container-sim/syscalls.hpp"

#include <algorithm>

namespace trapeze::container {

Attempt Call::close() const {
    if (!kernel.file_of(task(), fd_arg(0))) return -kEBADF;
    Descriptor& descriptor = task().files[fd_arg(0)];
    kernel.close_file(descriptor.file - 1);
    descriptor = {};
    return 0;
}

Attempt Call::dup() const { return kernel.file_of(task(), fd_arg(0)) ? kernel.new_descriptor(task(), task().files[fd_arg(0)].file - 1, false) : -kEBADF; }

Attempt Call::dup3() const {
    const u32 from = fd_arg(0), to = fd_arg(1);
    if (arg(2) & ~kCloseOnExec || from == to) return -kEINVAL;
    if (!kernel.file_of(task(), from) || to >= Kernel::kMaxDescriptors) return -kEBADF;
    const u32 file = task().files[from].file;
    if (kernel.file_of(task(), to)) {
        kernel.close_file(task().files[to].file - 1);
        task().files[to] = {};
    }
    return kernel.new_descriptor(task(), file - 1, arg(2) & kCloseOnExec, to);
}

Attempt Call::fcntl() const {
    enum : u64 { kDup = 0, kGetFd = 1, kSetFd = 2, kGetFl = 3, kSetFl = 4, kDupCloexec = 1030 };
    OpenFile* file = kernel.file_of(task(), fd_arg(0));
    if (!file) return -kEBADF;
    Descriptor& descriptor = task().files[fd_arg(0)];
    switch (arg(1)) {
    case kDup: case kDupCloexec:
        if (arg(2) >= Kernel::kMaxDescriptors) return -kEINVAL;
        return kernel.new_descriptor(task(), descriptor.file - 1, arg(1) == kDupCloexec, static_cast<u32>(arg(2)));
    case kGetFd: return descriptor.close_on_exec;
    case kSetFd: return descriptor.close_on_exec = arg(2) & 1, 0;
    case kGetFl: return file->flags & ~static_cast<u32>(kCreate | kExclusive | kNoTerminal | kTruncate | kCloseOnExec);
    case kSetFl: return file->flags = static_cast<u32>((file->flags & ~(kAppend | kNonBlock)) | (arg(2) & (kAppend | kNonBlock))), 0;
    default: return -kEINVAL;
    }
}

Attempt Call::ioctl() const {
    enum : u64 { kTcGets = 0x5401, kTcSets = 0x5402, kTcSetsw = 0x5403, kWindowSize = 0x5413, kTcGets2 = 0x802c542a };
    OpenFile* file = kernel.file_of(task(), fd_arg(0));
    if (!file) return -kEBADF;
    if (file->kind != FileKind::Tty) return -kENOTTY;
    switch (arg(1)) {
    case kTcGets: case kTcGets2: {
        std::array<u32, 11> termios{0x500, 0x5, 0xbf, 0x8a3b}; // input, output, control and local modes of a fresh terminal
        return kernel.copy_out(machine, task(), arg(2), std::span(reinterpret_cast<const u8*>(termios.data()), arg(1) == kTcGets ? 36 : 44)) ? Attempt(0) : Attempt(-kEFAULT);
    }
    case kTcSets: case kTcSetsw: return 0;
    case kWindowSize: {
        const std::array<u16, 4> size{24, 80, 0, 0};
        return write_user(arg(2), size) ? Attempt(0) : Attempt(-kEFAULT);
    }
    default: return -kENOTTY;
    }
}

Attempt Call::pipe2() const {
    if (arg(1) & ~(kCloseOnExec | kNonBlock)) return -kEINVAL;
    std::size_t index = 0;
    while (index < kernel.pipes.size() && kernel.pipes[index].used) ++index;
    if (index >= Kernel::kMaxFiles) return -kENFILE;
    if (index == kernel.pipes.size()) kernel.pipes.emplace_back();
    kernel.pipes[index] = {"", 1, 1, true};
    std::array<i32, 2> fds{-1, -1};
    i64 error = -kEFAULT;
    for (unsigned end = 0; end < 2; ++end) {
        OpenFile file;
        file.kind = end ? FileKind::PipeWrite : FileKind::PipeRead;
        file.object = static_cast<u32>(index), file.flags = static_cast<u32>(arg(1) & kNonBlock) | end;
        const i64 number = kernel.new_file(file);
        const i64 fd = number < 0 ? number : kernel.new_descriptor(task(), static_cast<u32>(number), arg(1) & kCloseOnExec);
        if (fd < 0) error = fd;
        fds[end] = static_cast<i32>(fd);
    }
    const bool told = fds[0] >= 0 && fds[1] >= 0 && write_user(arg(0), fds);
    if (told) return 0;
    for (i32 fd : fds)
        if (fd >= 0) kernel.close_file(task().files[static_cast<u32>(fd)].file - 1), task().files[static_cast<u32>(fd)] = {};
    kernel.pipes[index] = {};
    return error;
}

// --- Reading and writing ----------------------------------------------------------------------------------------------------------

/// At most a line at a time, as a terminal gives it; at the end of what will be typed, nothing.
void Call::read_tty(std::vector<u8>& bytes, u32 tty, u64 most) const {
    std::string& input = kernel.ttys[tty].input;
    const std::size_t line = input.find('\n');
    const std::size_t count = std::min<std::size_t>(most, line == std::string::npos ? input.size() : line + 1);
    bytes.assign(input.begin(), input.begin() + static_cast<std::ptrdiff_t>(count));
    input.erase(0, count);
}

Attempt Call::read_file(OpenFile& file, u64 to, u64 bytes, u64* offset) const {
    bytes = std::min(bytes, Kernel::kMaxTransfer);
    std::vector<u8> data;
    if (file.kind == FileKind::PipeWrite || (file.flags & kAccess) == kWriteOnly) return -kEBADF;
    if (file.kind == FileKind::PipeRead) {
        Pipe& pipe = kernel.pipes[file.object];
        if (!bytes) return 0;
        if (pipe.buffer.empty() && pipe.writers) {
            if (file.flags & kNonBlock) return -kEAGAIN;
            task().waits_for = WaitFor::PipeData, task().wait_object = file.object;
            return Attempt::block();
        }
        data.assign(pipe.buffer.begin(), pipe.buffer.begin() + static_cast<std::ptrdiff_t>(std::min<u64>(bytes, pipe.buffer.size())));
        if (!kernel.copy_out(machine, task(), to, data)) return -kEFAULT;
        pipe.buffer.erase(0, data.size());
        return static_cast<i64>(data.size());
    }
    if (file.kind == FileKind::Tty) {
        if (!bytes) return 0;
        if (kernel.ttys[file.object].input.empty() && !kernel.ttys[file.object].closed) {
            task().waits_for = WaitFor::TtyInput, task().wait_object = file.object;
            return Attempt::block();
        }
        read_tty(data, file.object, bytes);
        return kernel.copy_out(machine, task(), to, data) ? Attempt(static_cast<i64>(data.size())) : Attempt(-kEFAULT);
    }
    const InodeType type = kernel.type_of(file.location.inode);
    if (kernel.is_folder(file.location.inode)) return -kEISDIR;
    if (type == InodeType::Null) return 0;
    if (type == InodeType::Zero) data.assign(bytes, 0);
    u64& at = offset ? *offset : file.offset;
    if (type == InodeType::ProcFile) {
        if (at < file.generated.size()) data.assign(file.generated.begin() + static_cast<std::ptrdiff_t>(at), file.generated.begin() + static_cast<std::ptrdiff_t>(at + std::min<u64>(bytes, file.generated.size() - at)));
    } else if (type == InodeType::File) {
        const Content content = kernel.vfs.content(file.location.inode);
        if (!content) return -kEIO;
        if (at < content->size()) data.assign(content->begin() + static_cast<std::ptrdiff_t>(at), content->begin() + static_cast<std::ptrdiff_t>(at + std::min<u64>(bytes, content->size() - at)));
    }
    if (!kernel.copy_out(machine, task(), to, data)) return -kEFAULT;
    at += data.size();
    return static_cast<i64>(data.size());
}

/// All of it goes in, however often the writer has to wait; up to PIPE_BUF bytes in one piece (pipe(7)).
Attempt Call::write_pipe(OpenFile& file, u64 from, u64 bytes) const {
    Pipe& pipe = kernel.pipes[file.object];
    u64& done = task().resume;
    if (!bytes) return 0;
    if (!pipe.readers) {
        send_signal(index, kSigPipe);
        if (task().state == TaskState::Zombie) return Attempt::gone();
        return done ? Attempt(static_cast<i64>(std::exchange(done, 0))) : Attempt(-kEPIPE);
    }
    const u64 left = bytes - done, room = kPipeBytes - pipe.buffer.size();
    std::vector<u8> data(room < std::min<u64>(left, kPipeAtomic) ? 0 : std::min(left, room));
    if (!kernel.copy_in(machine, task(), from + done, data)) return done ? Attempt(static_cast<i64>(std::exchange(done, 0))) : Attempt(-kEFAULT);
    pipe.buffer.append(data.begin(), data.end());
    done += data.size();
    if (done == bytes || (done && file.flags & kNonBlock)) return static_cast<i64>(std::exchange(done, 0));
    if (file.flags & kNonBlock) return -kEAGAIN;
    task().waits_for = WaitFor::PipeRoom, task().wait_object = file.object;
    return Attempt::block();
}

/// At `*offset` (pwrite64), or where the file stands.
Attempt Call::write_file(OpenFile& file, u64 from, u64 bytes, const u64* offset) const {
    bytes = std::min(bytes, Kernel::kMaxTransfer);
    if (file.kind == FileKind::PipeRead || (file.flags & kAccess) == 0) return -kEBADF;
    if (file.kind == FileKind::PipeWrite) return write_pipe(file, from, bytes);
    std::vector<u8> data(bytes);
    if (!kernel.copy_in(machine, task(), from, data)) return -kEFAULT;
    if (file.kind == FileKind::Tty) {
        constexpr std::size_t kMostPrinted = 1 << 20;
        std::string& output = kernel.ttys[file.object].output;
        if (output.size() > kMostPrinted) output.erase(0, kMostPrinted / 2);
        output.append(data.begin(), data.end());
        return static_cast<i64>(bytes);
    }
    const InodeType type = kernel.type_of(file.location.inode);
    if (type == InodeType::Null || type == InodeType::Zero) return static_cast<i64>(bytes);
    if (type != InodeType::File) return -kEINVAL;
    if (data.empty()) return 0;
    const u32 inode = file.location.inode;
    const u64 at = file.flags & kAppend ? kernel.vfs.at(inode).size : offset ? *offset : file.offset;
    i64 written = kernel.vfs.write(inode, at, data);
    if (written == -kENOSPC && kernel.reclaim_inodes()) written = kernel.vfs.write(inode, at, data);
    if (written > 0) kernel.forget_pages(inode);
    if (written > 0 && !offset) file.offset = at + static_cast<u64>(written);
    return written;
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
    if (file->kind != FileKind::Inode) return -kESPIPE;
    u64 offset = arg(3);
    return read_file(*file, arg(1), arg(2), &offset);
}
Attempt Call::pwrite64() const {
    OpenFile* file = kernel.file_of(task(), fd_arg(0));
    if (!file) return -kEBADF;
    if (static_cast<i64>(arg(3)) < 0) return -kEINVAL;
    if (file->kind != FileKind::Inode) return -kESPIPE;
    const u64 offset = arg(3);
    return write_file(*file, arg(1), arg(2), &offset);
}

Attempt Call::vectored(bool writing) const {
    struct Part {
        u64 base, bytes;
    };
    constexpr u64 kMostParts = 1024;
    OpenFile* file = kernel.file_of(task(), fd_arg(0));
    if (!file) return -kEBADF;
    if (arg(2) > kMostParts) return -kEINVAL;
    i64 total = 0;
    for (u64 i = 0; i < arg(2); ++i) {
        Part part{};
        if (!read_user(arg(1) + i * sizeof part, part)) return total ? total : -kEFAULT;
        if (!part.bytes) continue;
        part.bytes = std::min(part.bytes, Kernel::kMaxTransfer - static_cast<u64>(total));
        const Attempt one = writing ? write_file(*file, part.base, part.bytes, nullptr) : read_file(*file, part.base, part.bytes, nullptr);
        if (one.no_return || (one.blocked && !total)) return one;
        if (one.blocked || one.value < 0) {
            task().waits_for = WaitFor::Nothing;
            total += static_cast<i64>(std::exchange(task().resume, 0)); // what a pipe has taken of this part
            return total ? total : one.value;
        }
        total += one.value;
        if (static_cast<u64>(one.value) < part.bytes || static_cast<u64>(total) == Kernel::kMaxTransfer) break;
    }
    return total;
}
Attempt Call::readv() const { return vectored(false); }
Attempt Call::writev() const { return vectored(true); }
Attempt Call::sendfile() const { return -kEINVAL; }

Attempt Call::lseek() const {
    OpenFile* file = kernel.file_of(task(), fd_arg(0));
    if (!file) return -kEBADF;
    if (file->kind != FileKind::Inode) return -kESPIPE;
    if (arg(2) > 2) return -kEINVAL;
    const InodeType type = kernel.type_of(file->location.inode);
    const i64 size = static_cast<i64>(type == InodeType::ProcFile ? file->generated.size() : file->location.inode >> 31 ? 0 : kernel.vfs.at(file->location.inode).size);
    const i64 from = arg(2) == 0 ? 0 : arg(2) == 1 ? static_cast<i64>(file->offset) : size;
    const i64 distance = static_cast<i64>(arg(1));
    constexpr i64 kFarthest = i64{1} << 50;
    if (distance > kFarthest || distance < -kFarthest) return -kEINVAL;
    const i64 to = from + distance;
    if (to < 0) return -kEINVAL;
    file->offset = static_cast<u64>(to);
    return to;
}

Attempt Call::ftruncate() const {
    OpenFile* file = kernel.file_of(task(), fd_arg(0));
    if (!file) return -kEBADF;
    if (file->kind != FileKind::Inode || kernel.type_of(file->location.inode) != InodeType::File || !(file->flags & kAccess) || static_cast<i64>(arg(1)) < 0) return -kEINVAL;
    return resize(file->location.inode, arg(1));
}

Attempt Call::ppoll() const {
    struct PollFd {
        i32 fd;
        i16 events, happened;
    };
    constexpr i16 kInvalid = 0x20;
    constexpr u64 kCyclesPerSecond = 100'000'000, kNanosecondsPerCycle = 10;
    if (arg(1) > Kernel::kMaxDescriptors) return -kEINVAL;
    std::vector<PollFd> fds(arg(1));
    if (!kernel.copy_in(machine, task(), arg(0), std::span(reinterpret_cast<u8*>(fds.data()), fds.size() * sizeof(PollFd)))) return -kEFAULT;
    i64 count = 0;
    task().polled.clear();
    for (PollFd& fd : fds) {
        const OpenFile* file = fd.fd < 0 ? nullptr : kernel.file_of(task(), static_cast<u32>(fd.fd));
        fd.happened = fd.fd < 0 ? i16{0} : file ? kernel.poll_file(*file, fd.events) : kInvalid;
        count += fd.happened != 0;
        if (file) task().polled.push_back({task().files[static_cast<u32>(fd.fd)].file - 1, fd.events});
    }
    if (!task().resume) {
        std::array<i64, 2> time{};
        if (arg(2) && !read_user(arg(2), time)) return -kEFAULT;
        if (time[0] < 0 || time[1] < 0 || time[1] >= 1'000'000'000) return -kEINVAL;
        const u64 cycles = std::min<u64>(static_cast<u64>(time[0]), 1'000'000'000) * kCyclesPerSecond + static_cast<u64>(time[1]) / kNanosecondsPerCycle;
        task().resume = arg(2) ? machine.cycles() + cycles : ~u64{0};
    }
    if (!count && machine.cycles() < task().resume) {
        task().waits_for = WaitFor::Poll, task().wait_object = task().resume;
        return Attempt::block();
    }
    return kernel.copy_out(machine, task(), arg(0), std::span(reinterpret_cast<const u8*>(fds.data()), fds.size() * sizeof(PollFd))) ? Attempt(count) : Attempt(-kEFAULT);
}

} // namespace trapeze::container
