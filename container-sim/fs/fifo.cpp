// Named pipes (fifo(7)): a name for a pipe, whose two sides find each other when they are opened.
#include "container-sim/abi.hpp"
#include "container-sim/file_operations.hpp"

namespace trapeze::container {

namespace {

// One descriptor that is both ends.
Attempt read_both(const Call& call, OpenFile& file, u64 to, u64 bytes, u64* offset) { return kPipeReadOperations.read(call, file, to, bytes, offset); }
Attempt write_both(const Call& call, OpenFile& file, u64 from, u64 bytes, const u64* offset) { return kPipeWriteOperations.write(call, file, from, bytes, offset); }
i16 poll_both(const Kernel& kernel, const OpenFile& file) { return static_cast<i16>(kPipeReadOperations.poll(kernel, file) | kPipeWriteOperations.poll(kernel, file)); }
void close_both(Kernel& kernel, Machine& machine, OpenFile& file) {
    kPipeWriteOperations.close(kernel, machine, file);
    kPipeReadOperations.close(kernel, machine, file);
}

} // namespace

const FileOperations kFifoOperations{.read = read_both, .write = write_both, .poll = poll_both, .wait_key = [](const OpenFile& file) { return WaitKey{WaitKind::Pipe, file.object}; },
                                     .close = close_both, .link = "pipe"};

/// fifo(7): an open waits for the other side. Who waits has no effect yet: the other side finds it among the waiting.
Attempt Call::open_fifo(Location at, u64 flags) const {
    const u64 access = flags & kAccess;
    const u32 inode = kernel.vfs.data_inode(at.inode);
    const WaitKey readers{WaitKind::Inode, inode, 1}, writers{WaitKind::Inode, inode, 2}; // who waits as a reader, as a writer
    auto known = kernel.fifos.find(inode);
    if (known != kernel.fifos.end() && (!kernel.pipes.contains(known->second) || kernel.pipes[known->second].fifo != inode)) kernel.fifos.erase(known), known = kernel.fifos.end();
    Pipe* pipe = known == kernel.fifos.end() ? nullptr : &kernel.pipes[known->second];
    const bool has_readers = (pipe && pipe->readers) || !kernel.queues.waiting(readers).empty(), has_writers = (pipe && pipe->writers) || !kernel.queues.waiting(writers).empty();
    if (access == kWriteOnly && !has_readers && flags & kNonBlock) return -kENXIO;
    if (access == kWriteOnly && !has_readers) return wait(writers);
    if (access == 0 && !has_writers && !(flags & kNonBlock)) return wait(readers);
    if (!pipe) {
        if (kernel.pipes.size() >= Kernel::kMaxFiles) return -kENFILE;
        kernel.fifos[inode] = kernel.new_pipe(inode);
    }
    const u32 index = kernel.fifos[inode];
    OpenFile file;
    file.location = at, file.object = index, file.flags = static_cast<u32>(flags & (kAccess | kNonBlock | kAppend));
    file.kind = access == 0 ? FileKind::PipeRead : access == kWriteOnly ? FileKind::PipeWrite : FileKind::Fifo;
    if (access != kWriteOnly) ++kernel.pipes[index].readers;
    if (access != 0) ++kernel.pipes[index].writers;
    kernel.wake({WaitKind::Pipe, index});
    const i64 descriptor = kernel.install(machine, task(), std::move(file), flags & kCloseOnExec);
    if (descriptor < 0) return descriptor;
    // Who waits for this side has the pipe open from now on, even if this one closes it before it runs again.
    if (access != kWriteOnly) kernel.complete_calls(machine, writers);
    if (access != 0) kernel.complete_calls(machine, readers);
    return descriptor;
}

} // namespace trapeze::container
