// System calls on files, folders, pipes and terminals.
#include "container-sim/syscalls.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace trapeze::container {

namespace {

constexpr i32 kAtCwd = -100;
constexpr u64 kAccess = 3, kWriteOnly = 1, kCreate = 0100, kExclusive = 0200, kTruncate = 01000, kAppend = 02000, kDirectory = 0200000, kNoFollow = 0400000,
              kCloseOnExec = 02000000, kNonBlock = 04000;
constexpr u64 kSymlinkNoFollow = 0x100, kRemoveDir = 0x200, kEmptyPath = 0x1000;
constexpr int kSigPipe = 13;

u32 mode_of(InodeType type, u32 permissions) {
    switch (type) {
    case InodeType::Directory: case InodeType::ProcRoot: case InodeType::ProcPid: return 0040000 | permissions;
    case InodeType::Symlink: return 0120000 | 0777;
    case InodeType::Null: case InodeType::Zero: case InodeType::Tty: return 0020000 | permissions;
    default: return 0100000 | permissions;
    }
}
u8 entry_type(InodeType type) { return static_cast<u8>(mode_of(type, 0) >> 12); }

/// struct stat of asm-generic.
struct Stat {
    u64 device, inode;
    u32 mode, links, uid, gid;
    u64 special, pad;
    i64 size;
    i32 block_size, pad2;
    i64 blocks;
    i64 times[6];
    u32 unused[2];
};
static_assert(sizeof(Stat) == 128);

} // namespace

i64 Call::base_of(i32 fd, Location& out) const {
    if (fd == kAtCwd) return out = task().cwd, 0;
    const OpenFile* file = kernel.file_of(task(), static_cast<u32>(fd));
    if (!file) return -kEBADF;
    if (file->kind != FileKind::Inode) return -kENOTDIR;
    return out = file->location, 0;
}

Kernel::Found Call::find(i32 fd, const std::string& path, bool follow) const {
    Location base = task().root;
    if (path.empty() || path[0] != '/') {
        Kernel::Found failed;
        if ((failed.error = base_of(fd, base))) return failed;
    }
    return kernel.walk(task(), base, path, follow);
}

/// An absolute path in a mount namespace of its own: which root decided, and that the host would have looked elsewhere.
void Call::note_root(const std::string& path) const {
    if (!task().namespaces.mnt || path.empty() || path[0] != '/') return;
    const auto& mounts = kernel.mounts_of(task());
    lookup(fmt::format("path \"{}\": from the root of mnt namespace {}, which is {}; outside it is the host's {}", path,
                       namespace_inode(NamespaceKind::Mnt, task().namespaces.mnt), mounts.mounts.at(mounts.root_mount).source, path));
}

Attempt Call::openat() const {
    std::string path;
    if (const i64 length = path_arg(1, path); length < 0) return length;
    note_root(path);
    const u64 flags = arg(2);
    Kernel::Found found = find(int_arg(0), path, !(flags & kNoFollow) && !((flags & kCreate) && (flags & kExclusive)));
    const bool missing = found.error == -kENOENT && found.location.inode && !found.name.empty();
    if (missing && flags & kCreate) {
        if (kernel.type_of(found.location.inode) != InodeType::Directory) return -kEACCES;
        const i64 made = kernel.vfs_.create(found.location.inode, found.name, InodeType::File, static_cast<u32>(arg(3)) & 0777 & ~task().umask);
        if (made < 0) return made;
        found.location.inode = static_cast<u32>(made);
    } else if (found.error) {
        return found.error;
    } else if (flags & kCreate && flags & kExclusive) {
        return -kEEXIST;
    }
    const InodeType type = kernel.type_of(found.location.inode);
    const bool is_folder = type == InodeType::Directory || type == InodeType::ProcRoot || type == InodeType::ProcPid;
    if (flags & kDirectory && !is_folder) return -kENOTDIR;
    if (is_folder && (flags & kAccess)) return -kEISDIR;
    if (type == InodeType::Symlink) return -kELOOP;
    if (flags & kTruncate && type == InodeType::File && (flags & kAccess))
        if (const i64 error = kernel.vfs_.truncate(found.location.inode, 0)) return error;
    OpenFile file;
    file.location = found.location, file.flags = static_cast<u32>(flags), file.object = task().tty;
    if (type == InodeType::ProcFile) {
        file.generated = kernel.proc_text(task(), found.location.inode);
        if (task().namespaces.pid || task().namespaces.uts) lookup(fmt::format("{}: made for a reader in pid namespace {}", path, namespace_inode(NamespaceKind::Pid, task().namespaces.pid)));
    }
    const i64 number = kernel.new_file(std::move(file));
    return number < 0 ? number : kernel.new_descriptor(task(), static_cast<u32>(number), flags & kCloseOnExec);
}

Attempt Call::close() const {
    if (!kernel.file_of(task(), arg(0))) return -kEBADF;
    Descriptor& descriptor = task().files[arg(0)];
    kernel.close_file(descriptor.file - 1);
    descriptor = {};
    return 0;
}

Attempt Call::dup() const { return kernel.file_of(task(), arg(0)) ? kernel.new_descriptor(task(), task().files[arg(0)].file - 1, false) : -kEBADF; }

Attempt Call::dup3() const {
    if (!kernel.file_of(task(), arg(0)) || arg(1) >= Kernel::kMaxDescriptors) return -kEBADF;
    if (arg(0) == arg(1)) return -kEINVAL;
    const u32 file = task().files[arg(0)].file;
    if (kernel.file_of(task(), arg(1))) {
        kernel.close_file(task().files[arg(1)].file - 1);
        task().files[arg(1)] = {};
    }
    return kernel.new_descriptor(task(), file - 1, arg(2) & kCloseOnExec, static_cast<u32>(arg(1)));
}

Attempt Call::fcntl() const {
    enum : u64 { kDup = 0, kGetFd = 1, kSetFd = 2, kGetFl = 3, kSetFl = 4, kDupCloexec = 1030 };
    OpenFile* file = kernel.file_of(task(), arg(0));
    if (!file) return -kEBADF;
    Descriptor& descriptor = task().files[arg(0)];
    switch (arg(1)) {
    case kDup: case kDupCloexec:
        if (arg(2) >= Kernel::kMaxDescriptors) return -kEINVAL;
        return kernel.new_descriptor(task(), descriptor.file - 1, arg(1) == kDupCloexec, static_cast<u32>(arg(2)));
    case kGetFd: return descriptor.close_on_exec;
    case kSetFd: return descriptor.close_on_exec = arg(2) & 1, 0;
    case kGetFl: return file->flags;
    case kSetFl: return file->flags = static_cast<u32>((file->flags & ~(kAppend | kNonBlock)) | (arg(2) & (kAppend | kNonBlock))), 0;
    default: return -kEINVAL;
    }
}

Attempt Call::ioctl() const {
    enum : u64 { kTcGets = 0x5401, kTcSets = 0x5402, kTcSetsw = 0x5403, kWindowSize = 0x5413, kTcGets2 = 0x802c542a };
    OpenFile* file = kernel.file_of(task(), arg(0));
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
    std::size_t index = 0;
    while (index < kernel.pipes_.size() && kernel.pipes_[index].used) ++index;
    if (index >= Kernel::kMaxFiles) return -kENFILE;
    if (index == kernel.pipes_.size()) kernel.pipes_.emplace_back();
    kernel.pipes_[index] = {"", 1, 1, true};
    std::array<i32, 2> fds{-1, -1};
    for (unsigned end = 0; end < 2; ++end) {
        OpenFile file;
        file.kind = end ? FileKind::PipeWrite : FileKind::PipeRead;
        file.object = static_cast<u32>(index), file.flags = static_cast<u32>(arg(1) & kNonBlock) | end;
        const i64 number = kernel.new_file(file);
        fds[end] = number < 0 ? -1 : static_cast<i32>(kernel.new_descriptor(task(), static_cast<u32>(number), arg(1) & kCloseOnExec));
    }
    const bool told = fds[0] >= 0 && fds[1] >= 0 && write_user(arg(0), fds);
    if (told) return 0;
    for (i32 fd : fds)
        if (fd >= 0) kernel.close_file(task().files[static_cast<u32>(fd)].file - 1), task().files[static_cast<u32>(fd)] = {};
    kernel.pipes_[index] = {};
    return fds[1] < 0 ? -kEMFILE : -kEFAULT;
}

// --- Reading and writing ----------------------------------------------------------------------------------------------------------

/// A line at a time, as a terminal gives it; ^D (or the end of what is typed) ends the file.
void Call::read_tty(std::vector<u8>& bytes, u32 tty, u64 most) const {
    std::string& input = kernel.ttys_[tty].input;
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
        Pipe& pipe = kernel.pipes_[file.object];
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
        if (kernel.ttys_[file.object].input.empty() && !kernel.ttys_[file.object].closed) {
            task().waits_for = WaitFor::TtyInput, task().wait_object = file.object;
            return Attempt::block();
        }
        read_tty(data, file.object, bytes);
        return kernel.copy_out(machine, task(), to, data) ? Attempt(static_cast<i64>(data.size())) : Attempt(-kEFAULT);
    }
    const InodeType type = kernel.type_of(file.location.inode);
    if (type == InodeType::Directory || type == InodeType::ProcRoot || type == InodeType::ProcPid) return -kEISDIR;
    if (type == InodeType::Null) return 0;
    if (type == InodeType::Zero) data.assign(bytes, 0);
    u64& at = offset ? *offset : file.offset;
    if (type == InodeType::ProcFile) {
        if (at < file.generated.size()) data.assign(file.generated.begin() + static_cast<std::ptrdiff_t>(at), file.generated.begin() + static_cast<std::ptrdiff_t>(at + std::min<u64>(bytes, file.generated.size() - at)));
    } else if (type == InodeType::File) {
        const Content content = kernel.vfs_.content(file.location.inode);
        if (!content) return -kEIO;
        if (at < content->size()) data.assign(content->begin() + static_cast<std::ptrdiff_t>(at), content->begin() + static_cast<std::ptrdiff_t>(at + std::min<u64>(bytes, content->size() - at)));
    }
    if (!kernel.copy_out(machine, task(), to, data)) return -kEFAULT;
    at += data.size();
    return static_cast<i64>(data.size());
}

Attempt Call::write_file(OpenFile& file, u64 from, u64 bytes) const {
    bytes = std::min(bytes, Kernel::kMaxTransfer);
    if (file.kind == FileKind::PipeRead || (file.flags & kAccess) == 0) return -kEBADF;
    if (file.kind == FileKind::PipeWrite) {
        Pipe& pipe = kernel.pipes_[file.object];
        if (!pipe.readers) {
            send_signal(index, kSigPipe);
            return task().state == TaskState::Zombie ? Attempt::gone() : Attempt(-kEPIPE);
        }
        if (pipe.buffer.size() >= kPipeBytes) {
            if (file.flags & kNonBlock) return -kEAGAIN;
            task().waits_for = WaitFor::PipeRoom, task().wait_object = file.object;
            return Attempt::block();
        }
        bytes = std::min<u64>(bytes, kPipeBytes - pipe.buffer.size());
    }
    std::vector<u8> data(bytes);
    if (!kernel.copy_in(machine, task(), from, data)) return -kEFAULT;
    if (file.kind == FileKind::PipeWrite) {
        kernel.pipes_[file.object].buffer.append(data.begin(), data.end());
        return static_cast<i64>(bytes);
    }
    if (file.kind == FileKind::Tty) {
        constexpr std::size_t kMostPrinted = 1 << 20;
        std::string& output = kernel.ttys_[file.object].output;
        if (output.size() > kMostPrinted) output.erase(0, kMostPrinted / 2);
        output.append(data.begin(), data.end());
        return static_cast<i64>(bytes);
    }
    const InodeType type = kernel.type_of(file.location.inode);
    if (type == InodeType::Null || type == InodeType::Zero) return static_cast<i64>(bytes);
    if (type != InodeType::File) return -kEINVAL;
    if (file.flags & kAppend) file.offset = kernel.vfs_.at(file.location.inode).size;
    const i64 written = kernel.vfs_.write(file.location.inode, file.offset, data);
    if (written > 0) file.offset += static_cast<u64>(written);
    return written;
}

Attempt Call::read() const {
    OpenFile* file = kernel.file_of(task(), arg(0));
    return file ? read_file(*file, arg(1), arg(2), nullptr) : -kEBADF;
}
Attempt Call::write() const {
    OpenFile* file = kernel.file_of(task(), arg(0));
    return file ? write_file(*file, arg(1), arg(2)) : -kEBADF;
}
Attempt Call::pread64() const {
    OpenFile* file = kernel.file_of(task(), arg(0));
    if (!file) return -kEBADF;
    if (file->kind != FileKind::Inode) return -kESPIPE;
    u64 offset = arg(3);
    return read_file(*file, arg(1), arg(2), &offset);
}

Attempt Call::vectored(bool writing) const {
    struct Part {
        u64 base, bytes;
    };
    constexpr u64 kMostParts = 1024;
    OpenFile* file = kernel.file_of(task(), arg(0));
    if (!file) return -kEBADF;
    if (arg(2) > kMostParts) return -kEINVAL;
    i64 total = 0;
    for (u64 i = 0; i < arg(2); ++i) {
        Part part{};
        if (!read_user(arg(1) + i * sizeof part, part)) return total ? total : -kEFAULT;
        if (!part.bytes) continue;
        const Attempt one = writing ? write_file(*file, part.base, part.bytes) : read_file(*file, part.base, part.bytes, nullptr);
        if (one.no_return || (one.blocked && !total)) return one;
        if (one.blocked || one.value < 0) {
            task().waits_for = WaitFor::Nothing;
            return total ? total : one.value;
        }
        total += one.value;
        if (static_cast<u64>(one.value) < part.bytes) break;
    }
    return total;
}
Attempt Call::readv() const { return vectored(false); }
Attempt Call::writev() const { return vectored(true); }
Attempt Call::sendfile() const { return -kEINVAL; }

Attempt Call::lseek() const {
    OpenFile* file = kernel.file_of(task(), arg(0));
    if (!file) return -kEBADF;
    if (file->kind != FileKind::Inode) return -kESPIPE;
    const InodeType type = kernel.type_of(file->location.inode);
    const i64 size = static_cast<i64>(type == InodeType::ProcFile ? file->generated.size() : file->location.inode >> 31 ? 0 : kernel.vfs_.at(file->location.inode).size);
    const i64 from = arg(2) == 0 ? 0 : arg(2) == 1 ? static_cast<i64>(file->offset) : size;
    const i64 distance = static_cast<i64>(arg(1));
    constexpr i64 kFarthest = i64{1} << 50;
    if (distance > kFarthest || distance < -kFarthest) return -kEINVAL;
    const i64 to = from + distance;
    if (arg(2) > 2 || to < 0) return -kEINVAL;
    file->offset = static_cast<u64>(to);
    return to;
}

Attempt Call::ftruncate() const {
    OpenFile* file = kernel.file_of(task(), arg(0));
    if (!file) return -kEBADF;
    if (file->kind != FileKind::Inode || kernel.type_of(file->location.inode) != InodeType::File || !(file->flags & kAccess) || static_cast<i64>(arg(1)) < 0) return -kEINVAL;
    return kernel.vfs_.truncate(file->location.inode, arg(1));
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
        if (time[0] < 0 || time[1] < 0) return -kEINVAL;
        const u64 cycles = std::min<u64>(static_cast<u64>(time[0]), 1'000'000'000) * kCyclesPerSecond + static_cast<u64>(time[1]) / kNanosecondsPerCycle;
        task().resume = arg(2) ? machine.cycles() + cycles : ~u64{0};
    }
    if (!count && machine.cycles() < task().resume) {
        task().waits_for = WaitFor::Poll, task().wait_object = task().resume;
        return Attempt::block();
    }
    return kernel.copy_out(machine, task(), arg(0), std::span(reinterpret_cast<const u8*>(fds.data()), fds.size() * sizeof(PollFd))) ? Attempt(count) : Attempt(-kEFAULT);
}

// --- Names --------------------------------------------------------------------------------------------------------------------------

Attempt Call::getdents64() const {
    OpenFile* file = kernel.file_of(task(), arg(0));
    if (!file) return -kEBADF;
    const InodeType type = file->kind == FileKind::Inode ? kernel.type_of(file->location.inode) : InodeType::File;
    if (type != InodeType::Directory && type != InodeType::ProcRoot && type != InodeType::ProcPid) return -kENOTDIR;
    const auto names = kernel.list(task(), file->location);
    std::vector<u8> data;
    const u64 most = std::min(arg(2), Kernel::kMaxTransfer);
    for (; file->offset < names.size(); ++file->offset) {
        const auto& [name, entry] = names[file->offset];
        const std::size_t length = (19 + name.size() + 1 + 7) & ~std::size_t{7};
        if (data.size() + length > most) break;
        std::vector<u8> record(length);
        const u64 inode = file->offset + 1;
        const i64 next = static_cast<i64>(file->offset + 1);
        const u16 short_length = static_cast<u16>(length);
        std::memcpy(record.data(), &inode, 8), std::memcpy(record.data() + 8, &next, 8), std::memcpy(record.data() + 16, &short_length, 2);
        record[18] = entry_type(entry);
        std::memcpy(record.data() + 19, name.data(), name.size());
        data.insert(data.end(), record.begin(), record.end());
    }
    if (data.empty() && file->offset < names.size()) return -kEINVAL;
    return kernel.copy_out(machine, task(), arg(1), data) ? Attempt(static_cast<i64>(data.size())) : Attempt(-kEFAULT);
}

i64 Call::fill_stat(Location at, u64 to) const {
    Stat stat{};
    const InodeType type = kernel.type_of(at.inode);
    const bool made_up = at.inode >> 31;
    stat.device = at.mount, stat.inode = at.inode, stat.links = 1, stat.block_size = 4096;
    stat.mode = mode_of(type, made_up ? 0555 : kernel.vfs_.at(at.inode).mode);
    if (!made_up) stat.size = static_cast<i64>(kernel.vfs_.at(at.inode).size);
    stat.blocks = (stat.size + 511) / 512;
    return write_user(to, stat) ? 0 : -kEFAULT;
}

i64 Call::fill_stat_of(const OpenFile& file, u64 to) const {
    if (file.kind == FileKind::Inode) return fill_stat(file.location, to);
    Stat stat{};
    stat.links = 1, stat.block_size = 4096;
    stat.mode = file.kind == FileKind::Tty ? 0020620u : 0010600u;
    stat.special = file.kind == FileKind::Tty ? 0x8800 + file.object : 0;
    return write_user(to, stat) ? 0 : -kEFAULT;
}

Attempt Call::newfstatat() const {
    std::string path;
    if (const i64 length = path_arg(1, path); length < 0) return length;
    if (path.empty() && arg(3) & kEmptyPath) {
        if (int_arg(0) == kAtCwd) return fill_stat(task().cwd, arg(2));
        const OpenFile* file = kernel.file_of(task(), arg(0));
        return file ? fill_stat_of(*file, arg(2)) : -kEBADF;
    }
    note_root(path);
    const Kernel::Found found = find(int_arg(0), path, !(arg(3) & kSymlinkNoFollow));
    return found.error ? found.error : fill_stat(found.location, arg(2));
}

Attempt Call::fstat() const {
    const OpenFile* file = kernel.file_of(task(), arg(0));
    return file ? fill_stat_of(*file, arg(1)) : -kEBADF;
}

Attempt Call::readlinkat() const {
    std::string path, target;
    if (const i64 length = path_arg(1, path); length < 0) return length;
    if (path == "/proc/self/exe") {
        target = task().executable;
    } else {
        const Kernel::Found found = find(int_arg(0), path, false);
        if (found.error) return found.error;
        if (kernel.type_of(found.location.inode) != InodeType::Symlink) return -kEINVAL;
        target = kernel.vfs_.at(found.location.inode).target;
    }
    const u64 count = std::min<u64>(arg(3), target.size());
    if (static_cast<i64>(arg(3)) <= 0) return -kEINVAL;
    return kernel.copy_out(machine, task(), arg(2), std::span(reinterpret_cast<const u8*>(target.data()), count)) ? Attempt(static_cast<i64>(count)) : Attempt(-kEFAULT);
}

Attempt Call::faccessat() const {
    std::string path;
    if (const i64 length = path_arg(1, path); length < 0) return length;
    return find(int_arg(0), path, true).error;
}

Attempt Call::getcwd() const {
    const std::string path = kernel.path_of(task(), task().cwd);
    if (arg(1) < path.size() + 1) return -kERANGE;
    return kernel.copy_out(machine, task(), arg(0), std::span(reinterpret_cast<const u8*>(path.c_str()), path.size() + 1)) ? Attempt(static_cast<i64>(path.size() + 1)) : Attempt(-kEFAULT);
}

Attempt Call::chdir() const {
    std::string path;
    if (const i64 length = path_arg(0, path); length < 0) return length;
    const Kernel::Found found = kernel.walk(task(), task().cwd, path, true);
    if (found.error) return found.error;
    const InodeType type = kernel.type_of(found.location.inode);
    if (type != InodeType::Directory && type != InodeType::ProcRoot && type != InodeType::ProcPid) return -kENOTDIR;
    task().cwd = found.location;
    return 0;
}

Attempt Call::chroot() const {
    std::string path;
    if (const i64 length = path_arg(0, path); length < 0) return length;
    const Kernel::Found found = kernel.walk(task(), task().cwd, path, true);
    if (found.error) return found.error;
    if (kernel.type_of(found.location.inode) != InodeType::Directory) return -kENOTDIR;
    task().root = found.location;
    return 0;
}

Attempt Call::mkdirat() const {
    std::string path;
    if (const i64 length = path_arg(1, path); length < 0) return length;
    const Kernel::Found found = find(int_arg(0), path, false);
    if (!found.error) return -kEEXIST;
    if (found.error != -kENOENT || !found.location.inode) return found.error;
    if (kernel.type_of(found.location.inode) != InodeType::Directory) return -kEACCES;
    return std::min<i64>(0, kernel.vfs_.create(found.location.inode, found.name, InodeType::Directory, static_cast<u32>(arg(2)) & 0777 & ~task().umask));
}

Attempt Call::unlinkat() const {
    std::string path;
    if (const i64 length = path_arg(1, path); length < 0) return length;
    const Kernel::Found found = find(int_arg(0), path, false);
    if (found.error) return found.error;
    if (kernel.type_of(found.directory.inode) != InodeType::Directory || found.name == "." || found.name == "..") return -kEINVAL;
    if (!kernel.vfs_.at(found.directory.inode).children.contains(found.name)) return -kEBUSY; // a mount point's root
    for (const auto& [id, mount] : kernel.mounts_of(task()).mounts)
        if (!mount.is_root && mount.on == Location{found.directory.mount, kernel.vfs_.at(found.directory.inode).children.at(found.name)}) return -kEBUSY;
    return kernel.vfs_.unlink(found.directory.inode, found.name, arg(2) & kRemoveDir);
}

Attempt Call::renameat2() const {
    std::string from_path, to_path;
    if (const i64 length = path_arg(1, from_path); length < 0) return length;
    if (const i64 length = path_arg(3, to_path); length < 0) return length;
    if (arg(4)) return -kEINVAL;
    const Kernel::Found from = find(int_arg(0), from_path, false), to = find(int_arg(2), to_path, false);
    if (from.error) return from.error;
    if (to.error && (to.error != -kENOENT || !to.location.inode)) return to.error;
    const Location folder = to.error ? to.location : to.directory;
    if (kernel.type_of(from.directory.inode) != InodeType::Directory || kernel.type_of(folder.inode) != InodeType::Directory) return -kEACCES;
    if (from.directory.mount != folder.mount) return -kEXDEV;
    for (u32 up = folder.inode; up != kernel.vfs_.at(up).parent; up = kernel.vfs_.at(up).parent)
        if (up == from.location.inode) return -kEINVAL; // into itself
    if (!to.error && kernel.type_of(to.location.inode) == InodeType::Directory) return -kEEXIST;
    auto& source = kernel.vfs_.at(from.directory.inode).children;
    if (!source.contains(from.name)) return -kEBUSY;
    const u32 inode = source.at(from.name);
    source.erase(from.name);
    kernel.vfs_.at(folder.inode).children[to.name] = inode;
    kernel.vfs_.at(inode).parent = folder.inode;
    return 0;
}

} // namespace trapeze::container
