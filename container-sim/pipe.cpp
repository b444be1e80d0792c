// Pipes (pipe(7)).
#include "container-sim/abi.hpp"
#include "container-sim/lookups.hpp"
#include "container-sim/file_operations.hpp"

#include <algorithm>
#include <bit>

namespace trapeze::container {

namespace {

constexpr u64 kPackets = 040000; // O_DIRECT

WaitKey pipe_key(const OpenFile& file) { return {WaitKind::Pipe, file.object}; }

Attempt read_pipe(const Call& call, OpenFile& file, u64 to, u64 bytes, u64*) {
    Pipe& pipe = call.kernel.pipes[file.object];
    if (!bytes) return 0;
    if (pipe.buffer.empty() && pipe.writers) return file.flags & kNonBlock ? Attempt(-kEAGAIN) : call.wait(pipe_key(file));
    u64 taken = 0;
    const std::string data = pipe.front(bytes, taken);
    if (!call.kernel.copy_out(call.machine, call.task(), to, std::span(reinterpret_cast<const u8*>(data.data()), data.size()))) return -kEFAULT;
    pipe.drop(taken);
    if (!data.empty()) call.kernel.wake(pipe_key(file), Edge::No);
    return static_cast<i64>(data.size());
}

/// All of it goes in, however often the writer has to wait; up to PIPE_BUF bytes in one piece.
Attempt write_pipe(const Call& call, OpenFile& file, u64 from, u64 bytes, const u64*) {
    Pipe& pipe = call.kernel.pipes[file.object];
    u64& done = call.task().resume;
    if (!bytes) return 0;
    if (!pipe.readers) {
        if (done) return static_cast<i64>(std::exchange(done, 0));
        call.kernel.send_to_task(call.machine, call.index, {.number = kSigPipe, .code = kCodeUser, .sender = call.kernel.process_of(call.task()).pid});
        return -kEPIPE;
    }
    const u64 left = bytes - done, room = pipe.room();
    std::vector<u8> data(room < std::min<u64>(left, kPipeAtomic) ? 0 : std::min(left, room));
    if (!call.kernel.copy_in(call.machine, call.task(), from + done, data)) return done ? Attempt(static_cast<i64>(std::exchange(done, 0))) : Attempt(-kEFAULT);
    pipe.add(data, file.flags & kPackets);
    done += data.size();
    if (!data.empty()) call.kernel.wake(pipe_key(file));
    const bool interrupted = done && call.task().wakened == Wakened::BySignal;
    if (done == bytes || interrupted || (done && file.flags & kNonBlock)) return static_cast<i64>(std::exchange(done, 0));
    return file.flags & kNonBlock ? Attempt(-kEAGAIN) : call.wait(pipe_key(file));
}

i16 poll_read_end(const Kernel& kernel, const OpenFile& file) {
    const Pipe& pipe = kernel.pipes[file.object];
    return static_cast<i16>((pipe.buffer.empty() ? 0 : kPollIn) | (pipe.writers ? 0 : kPollHangUp));
}
i16 poll_write_end(const Kernel& kernel, const OpenFile& file) {
    const Pipe& pipe = kernel.pipes[file.object];
    return static_cast<i16>((pipe.room() >= kPipeAtomic ? kPollOut : 0) | (pipe.readers ? 0 : kPollError));
}

Attempt pipe_ioctl(const Call& call, OpenFile& file, u64 request, u64 argument) {
    constexpr u64 kReadable = 0x541b; // FIONREAD
    if (request != kReadable) return -kENOTTY;
    return call.write_user(argument, static_cast<i32>(call.kernel.pipes[file.object].buffer.size())) ? Attempt(0) : Attempt(-kEFAULT);
}

void close_end(Kernel& kernel, OpenFile& file, u32 Pipe::*end) {
    Pipe& pipe = kernel.pipes[file.object];
    --(pipe.*end);
    kernel.wake({WaitKind::Pipe, file.object});
    if (!pipe.readers && !pipe.writers && kernel.pipes.release(file.object)) {
        kernel.pipe_bytes -= pipe.capacity;
        kernel.pipes.erase(file.object);
    }
}

} // namespace

const FileOperations kPipeReadOperations{.read = read_pipe, .poll = poll_read_end, .wait_key = pipe_key, .ioctl = pipe_ioctl,
                                         .close = [](Kernel& kernel, Machine&, OpenFile& file) { close_end(kernel, file, &Pipe::readers); }, .link = "pipe"};
const FileOperations kPipeWriteOperations{.write = write_pipe, .poll = poll_write_end, .wait_key = pipe_key, .ioctl = pipe_ioctl,
                                          .close = [](Kernel& kernel, Machine&, OpenFile& file) { close_end(kernel, file, &Pipe::writers); }, .link = "pipe"};

Attempt Call::pipe2() const {
    if (arg(1) & ~(kCloseOnExec | kNonBlock | kPackets)) return -kEINVAL;
    if (kernel.pipes.size() >= Kernel::kMaxFiles) return -kENFILE;
    const u32 pipe = kernel.new_pipe(0);
    kernel.pipes[pipe].readers = kernel.pipes[pipe].writers = 1;
    std::array<i32, 2> fds{-1, -1};
    i64 error = 0;
    for (unsigned end = 0; end < 2 && error >= 0; ++end) {
        OpenFile file;
        file.kind = end ? FileKind::PipeWrite : FileKind::PipeRead;
        file.object = pipe, file.flags = static_cast<u32>(arg(1) & (kNonBlock | kPackets)) | end;
        error = kernel.install(machine, task(), file, arg(1) & kCloseOnExec);
        fds[end] = static_cast<i32>(error);
        if (error < 0 && end == 0) kernel.pipes[pipe].writers = 0, close_end(kernel, file, &Pipe::readers);
    }
    if (error >= 0 && write_user(arg(0), fds)) return 0;
    for (i32 fd : fds)
        if (fd >= 0) kernel.close_descriptor(machine, task(), static_cast<u32>(fd));
    return error < 0 ? error : -kEFAULT;
}

/// A new pipe without ends. Many pipes hold little each.
u32 Kernel::new_pipe(u32 fifo) {
    constexpr u64 kSmall = 2 * kPageSize;
    Pipe fresh;
    fresh.fifo = fifo;
    if (pipe_bytes >= kManyPipeBytes) fresh.capacity = kSmall;
    pipe_bytes += fresh.capacity;
    return pipes.add(fresh);
}

/// The pipe behind a file; null when it is none.
Pipe* Call::pipe_of(const OpenFile& file) const {
    return file.kind == FileKind::PipeRead || file.kind == FileKind::PipeWrite || file.kind == FileKind::Fifo ? &kernel.pipes[file.object] : nullptr;
}

/// F_SETPIPE_SZ: whole pages, a power of two of them.
i64 Call::set_pipe_size(const OpenFile& file, u64 wanted) const {
    Pipe* pipe = pipe_of(file);
    if (!pipe) return -kEBADF;
    if (static_cast<u32>(wanted) > u32{1} << 31) return -kEINVAL;
    const u64 size = std::bit_ceil(std::max<u64>(static_cast<u32>(wanted), kPageSize));
    const bool privileged = asks_capable(*this, 0, Capability::SysResource);
    if (size > pipe->capacity && !privileged && (size > kMostPipeBytes || kernel.pipe_bytes - pipe->capacity + size > kManyPipeBytes)) return -kEPERM;
    if (kernel.pipe_bytes - pipe->capacity + size > std::max(kManyPipeBytes, kernel.frame_users.size() * kPageSize / 4)) return -kENOMEM;
    if (pipe->buffer.size() > size) return -kEBUSY;
    kernel.pipe_bytes += size - pipe->capacity;
    pipe->capacity = size;
    kernel.wake({WaitKind::Pipe, file.object});
    return static_cast<i64>(size);
}

} // namespace trapeze::container
