// Opening files and listing directories: openat(2), openat2(2), getdents64(2), readlink(2).
#include "container-sim/abi.hpp"
#include "container-sim/file_operations.hpp"
#include "container-sim/fs/proc.hpp"

#include <algorithm>
#include <cstring>

namespace trapeze::container {

namespace {
constexpr u64 kPath = 010000000, kTemporary = 020000000, kNoAtimeFlag = 01000000, kLargeFile = 0100000;
constexpr u64 kKnownFlags = kAccess | kCreate | kExclusive | kNoTerminal | kTruncate | kAppend | kNonBlock | kDirectory | kNoFollow | kCloseOnExec | kPath | kTemporary | kNoAtimeFlag |
                            kLargeFile | 010000 /* O_DSYNC */ | 04010000 /* O_SYNC */ | 040000 /* O_DIRECT */ | 020000 /* O_ASYNC */;

u32 wanted_by(u64 flags) {
    static constexpr u32 kByAccess[] = {mode::kRead, mode::kWrite, mode::kRead | mode::kWrite, mode::kRead | mode::kWrite};
    return kByAccess[flags & kAccess] | (flags & kTruncate ? mode::kWrite : 0);
}
} // namespace

/// A new descriptor for what a path leads to; `mode` for what is made. The descriptor, or an errno.
Attempt Call::open_path(i32 base, const std::string& path, u64 flags, u32 permissions, u32 walk_flags) const {
    if (flags & kPath) flags &= kPath | kDirectory | kNoFollow | kCloseOnExec;
    const bool unnamed = flags & kTemporary;
    if (unnamed && (!(flags & kDirectory) || !(flags & kAccess) || flags & kCreate)) return -kEINVAL;
    if ((flags & (kCreate | kDirectory)) == (kCreate | kDirectory)) return -kEINVAL;
    const bool follows = !(flags & kNoFollow) && (flags & (kCreate | kExclusive)) != (kCreate | kExclusive);
    Found found = find(base, path, walk_flags | (follows ? kFollow : 0) | (flags & kCreate && !follows ? kParent : 0));
    bool created = false;
    if (flags & kCreate) {
        if (found.missing() && found.slash) return -kEISDIR;
        if (found.missing()) {
            const i64 dentry = with_room([&] { return kernel.vfs.create(viewer(), found, {mode::kFile | (permissions & ~kernel.context_of(task()).umask & mode::kPermissions), 0, {}}); });
            if (dentry < 0) return dentry;
            found.location = kernel.vfs.location_of(found.directory.mount, static_cast<u32>(dentry));
            kernel.tell_name(found.directory.dentry, found.location.inode, found.name, watch::kCreate);
            created = true;
        } else if (!found.error && flags & kExclusive) {
            return -kEEXIST;
        } else if (!found.error && (found.slash || found.last != Found::Last::Normal) && !found.magic) {
            return -kEISDIR;
        }
    }
    if (found.error && !created) return found.error;
    if (unnamed) {
        if (!kernel.vfs.is_directory(found.location)) return -kENOTDIR;
        const i64 dentry = with_room([&] { return kernel.vfs.make_unnamed(viewer(), found.location, permissions & ~kernel.context_of(task()).umask & mode::kPermissions); });
        if (dentry < 0) return dentry;
        found.location = kernel.vfs.location_of(found.location.mount, static_cast<u32>(dentry));
        created = true, flags &= ~kDirectory;
    }
    return open_location(found.location, flags, created, path);
}

/// What a location is, opened. Pre: it exists.
Attempt Call::open_location(Location at, u64 flags, bool created, const std::string& path) const {
    Vfs& vfs = kernel.vfs;
    const Viewer viewer = this->viewer();
    const Inode& inode = vfs.inodes.get(at.inode);
    const bool directory = inode.is_directory();
    if (!created) {
        if (flags & kDirectory && !directory) return -kENOTDIR;
        if (flags & kCreate && directory) return -kEISDIR;
        if (!(flags & kPath)) {
            if (inode.is_symlink() && at.mount == 0) return reopen(at, flags);
            const i64 error = vfs.may_open(viewer, at, wanted_by(flags), flags);
            if (error) return error;
        }
    }
    OpenFile file;
    file.location = at, file.flags = static_cast<u32>(flags & ~(kCreate | kExclusive | kNoTerminal | kTruncate | kCloseOnExec | kTemporary));
    if (flags & kPath) {
        file.kind = FileKind::Path;
        return kernel.install(machine, task(), std::move(file), flags & kCloseOnExec);
    }
    file.flags |= kLargeFile; // as 64-bit kernels do
    if (inode.is(mode::kSocket)) return -kENXIO;
    if (inode.is(mode::kFifo)) return open_fifo(at, flags);
    if (inode.is(mode::kCharacter) || inode.is(mode::kBlock)) return open_device(at, flags);
    if (&vfs.type_of(at.inode) == &kMqueue && inode.is_file()) return open_queue(at, flags);
    if (vfs.type_of(at.inode).magic == kNsfs.magic) return open_namespace(static_cast<NamespaceKind>(inode.kind), static_cast<u32>(inode.key));
    if (inode.generated && inode.generated->may_open)
        if (const i64 error = inode.generated->may_open({vfs, viewer, inode.super, at.inode, inode.key})) return error;
    if (inode.generated && !inode.generated->store && wanted_by(flags) & mode::kWrite && &vfs.type_of(at.inode) == &kProc && vfs.path_in_super(at.dentry).starts_with("/sys/")) return -kEACCES; // nobody's mode is overridden
    if (inode.is_file() && !created && wanted_by(flags) & mode::kWrite) {
        if (is_running_program(vfs.data_inode(at.inode))) return -kETXTBSY;
        if (const i64 error = with_room([&] { return vfs.copy_up(viewer, at); })) return error;
        if (flags & kTruncate && !vfs.inodes.get(at.inode).generated) {
            if (const i64 error = resize(at, 0)) return error;
        }
    }
    if (vfs.inodes.get(at.inode).generated) note_proc(path, at);
    kernel.tell_watchers(at.dentry, watch::kOpen);
    return kernel.install(machine, task(), std::move(file), flags & kCloseOnExec);
}

bool Call::is_running_program(u32 inode) const {
    return std::any_of(kernel.processes.begin(), kernel.processes.end(), [&](const Process& process) { return process.used && !process.zombie && process.executable_inode == inode; });
}

/// /proc/PID/fd/N of something that has no place in the file system: another description of the same object.
i64 Call::reopen(Location link, u64 flags) const {
    const OpenFile* file = proc_open_file(kernel.vfs, viewer(), link.inode);
    if (!file) return -kENOENT;
    if (file->kind == FileKind::Tty) return open_slave(file->object, {}, flags | kNoTerminal).value;
    if (file->kind != FileKind::PipeRead && file->kind != FileKind::PipeWrite && file->kind != FileKind::Console) return -kENXIO;
    OpenFile again = *file;
    again.flags = static_cast<u32>(flags & ~(kCreate | kExclusive | kNoTerminal | kTruncate | kCloseOnExec)), again.offset = 0;
    if (file->kind != FileKind::Console) {
        if ((flags & kAccess) > kWriteOnly) return -kEACCES; // an end that reads and writes is not kept as one
        again.kind = flags & kAccess ? FileKind::PipeWrite : FileKind::PipeRead;
        ++(flags & kAccess ? kernel.pipes[file->object].writers : kernel.pipes[file->object].readers);
        kernel.pipes.use(file->object);
    }
    return kernel.install(machine, task(), std::move(again), flags & kCloseOnExec);
}

Attempt Call::openat() const {
    std::string path;
    if (const i64 length = path_arg(1, path); length < 0) return length;
    return open_path(int_arg(0), path, arg(2) & kKnownFlags, static_cast<u32>(arg(3)) & mode::kPermissions, 0);
}

Attempt Call::openat2() const {
    struct How {
        u64 flags, mode, resolve;
    };
    enum : u64 { kNoXdev = 1, kNoMagic = 2, kNoLinks = 4, kResolveBeneath = 8, kResolveInRoot = 16, kCached = 32 };
    How how{};
    std::string path;
    if (arg(3) < sizeof how) return -kEINVAL;
    if (arg(3) > kPageSize) return -kE2BIG;
    if (!read_user(arg(2), how)) return -kEFAULT;
    std::vector<u8> more(arg(3) - sizeof how);
    if (!kernel.copy_in(machine, task(), arg(2) + sizeof how, more)) return -kEFAULT;
    if (std::any_of(more.begin(), more.end(), [](u8 byte) { return byte != 0; })) return -kE2BIG;
    if (how.flags & ~kKnownFlags || how.resolve & ~u64{63}) return -kEINVAL;
    if ((how.resolve & kResolveBeneath && how.resolve & kResolveInRoot)) return -kEINVAL;
    if (how.flags & kPath && how.flags & ~(kPath | kDirectory | kNoFollow | kCloseOnExec)) return -kEINVAL;
    if (how.mode & ~u64{07777} || (how.mode && !(how.flags & (kCreate | kTemporary)))) return -kEINVAL;
    if (how.resolve & kCached) return -kEAGAIN; // callers try again without it
    u32 flags = 0;
    if (how.resolve & kNoXdev) flags |= kNoCrossing;
    if (how.resolve & (kNoMagic | kNoLinks)) flags |= kNoMagicLinks;
    if (how.resolve & kNoLinks) flags |= kNoSymlinks;
    if (how.resolve & kResolveBeneath) flags |= kBeneath;
    if (how.resolve & kResolveInRoot) flags |= kInRoot;
    if (const i64 length = path_arg(1, path); length < 0) return length;
    return open_path(int_arg(0), path, how.flags, static_cast<u32>(how.mode), flags);
}

/// The entries of one listing are fixed when it begins: what comes and goes meanwhile moves no other.
Attempt Call::getdents64() const {
    OpenFile* file = kernel.file_of(task(), fd_arg(0));
    if (!file) return -kEBADF;
    if (!file->location.dentry || !kernel.vfs.is_directory(file->location)) return -kENOTDIR;
    if (kernel.vfs.inodes.get(file->location.inode).links == 0) return -kENOENT;
    if (!file->offset || !file->listing) {
        auto entries = kernel.vfs.list(viewer(), file->location);
        file = kernel.file_of(task(), fd_arg(0));
        file->listing = std::make_shared<const std::vector<Listed>>(std::move(entries));
        kernel.vfs.touch_read(file->location, viewer().now);
        kernel.tell_watchers(file->location.dentry, watch::kAccess);
    }
    constexpr std::size_t kHead = 19;
    const auto& entries = *file->listing;
    std::vector<u8> data;
    const u64 most = std::min(arg(2), Kernel::kMaxTransfer);
    u64 at = file->offset;
    for (; at < entries.size(); ++at) {
        const Listed& entry = entries[at];
        const std::size_t length = (kHead + entry.name.size() + 1 + 7) & ~std::size_t{7};
        if (data.size() + length > most) break;
        std::vector<u8> record(length);
        const i64 next = static_cast<i64>(at + 1);
        const u16 short_length = static_cast<u16>(length);
        std::memcpy(record.data(), &entry.number, 8), std::memcpy(record.data() + 8, &next, 8), std::memcpy(record.data() + 16, &short_length, 2);
        record[18] = static_cast<u8>(entry.mode >> 12);
        std::memcpy(record.data() + kHead, entry.name.data(), entry.name.size());
        data.insert(data.end(), record.begin(), record.end());
    }
    if (data.empty() && at < entries.size()) return -kEINVAL;
    if (!kernel.copy_out(machine, task(), arg(1), data)) return -kEFAULT;
    file->offset = at;
    return static_cast<i64>(data.size());
}

Attempt Call::readlinkat() const {
    std::string path;
    if (int_arg(3) <= 0) return -kEINVAL;
    if (const i64 length = path_arg(1, path); length < 0) return length;
    const Found found = find(int_arg(0), path, path.empty() ? kEmptyPathAllowed : 0);
    if (found.error) return found.error;
    const Inode& inode = kernel.vfs.inodes.get(found.location.inode);
    if (!inode.is_symlink()) return path.empty() ? -kENOENT : -kEINVAL;
    const FileSystemType& type = kernel.vfs.type_of(found.location.inode);
    if (inode.kind >= kProcExe && &type == &kProc) {
        Location target;
        const i64 error = type.follow(kernel.vfs, viewer(), found.location.inode, target);
        if (error < 0) return error;
    }
    const std::string target = type.link_text ? type.link_text(kernel.vfs, viewer(), found.location.inode) : inode.target;
    if (target.empty()) return -kENOENT;
    const u64 count = std::min<u64>(static_cast<u32>(arg(3)), target.size());
    return kernel.copy_out(machine, task(), arg(2), std::span(reinterpret_cast<const u8*>(target.data()), count)) ? Attempt(static_cast<i64>(count)) : Attempt(-kEFAULT);
}

} // namespace trapeze::container
