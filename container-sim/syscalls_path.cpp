// System calls on names: opening, listing, asking about, making, moving and removing files and folders.
#include "container-sim/abi.hpp"
#include "container-sim/syscalls.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace trapeze::container {

namespace {

u32 mode_of(InodeType type, u32 permissions) {
    switch (type) {
    case InodeType::Directory: case InodeType::ProcRoot: case InodeType::ProcPid: return 0040000 | permissions;
    case InodeType::Symlink: return 0120000 | 0777;
    case InodeType::Null: case InodeType::Zero: case InodeType::Tty: return 0020000 | permissions;
    case InodeType::Socket: return 0140000 | permissions;
    default: return 0100000 | permissions;
    }
}
/// Device numbers of null(4) and tty(4).
u64 device_of(InodeType type) { return type == InodeType::Null ? 0x103 : type == InodeType::Zero ? 0x105 : type == InodeType::Tty ? 0x500 : 0; }
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
    if (fd == kAtCwd) return out = kernel.context_of(task()).cwd, 0;
    const OpenFile* file = kernel.file_of(task(), static_cast<u32>(fd));
    if (!file) return -kEBADF;
    if (file->kind != FileKind::Inode) return -kENOTDIR;
    return out = file->location, 0;
}

Kernel::Found Call::find(i32 fd, const std::string& path, bool follow) const {
    Location base = kernel.context_of(task()).root;
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
                       kernel.namespace_inode(NamespaceKind::Mnt, task().namespaces.mnt), mounts.mounts.at(mounts.root_mount).source, path));
}

/// A file of /proc that a namespace decided.
void Call::note_proc(const std::string& path, Location at) const {
    if (const std::string note = kernel.proc_note(task(), at); !note.empty()) lookup(fmt::format("{}: {}", path, note));
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
        if (path.back() == '/') return -kEISDIR;
        const i64 made = kernel.create_inode(found.location.inode, found.name, InodeType::File, static_cast<u32>(arg(3)) & 0777 & ~kernel.context_of(task()).umask);
        if (made < 0) return made;
        found.location.inode = static_cast<u32>(made);
    } else if (found.error) {
        return found.error;
    } else if (flags & kCreate && flags & kExclusive) {
        return -kEEXIST;
    }
    const InodeType type = kernel.type_of(found.location.inode);
    const bool is_folder = kernel.is_folder(found.location.inode);
    if (flags & kDirectory && !is_folder) return type == InodeType::Symlink && !(flags & kNoFollow) ? -kELOOP : -kENOTDIR;
    if (is_folder && flags & (kAccess | kCreate)) return -kEISDIR;
    if (type == InodeType::Symlink) return -kELOOP;
    if (type == InodeType::ProcFile && flags & kAccess) return -kEACCES;
    if (flags & kTruncate && type == InodeType::File && (flags & kAccess))
        if (const i64 error = resize(found.location.inode, 0)) return error;
    OpenFile file;
    file.location = found.location, file.flags = static_cast<u32>(flags), file.object = kernel.process_of(task()).container;
    if (type == InodeType::ProcFile) {
        file.generated = kernel.proc_text(task(), found.location);
        note_proc(path, found.location);
    }
    const i64 number = kernel.new_file(std::move(file));
    return number < 0 ? number : kernel.new_descriptor(task(), static_cast<u32>(number), flags & kCloseOnExec);
}

Attempt Call::getdents64() const {
    OpenFile* file = kernel.file_of(task(), arg(0));
    if (!file) return -kEBADF;
    if (file->kind != FileKind::Inode || !kernel.is_folder(file->location.inode)) return -kENOTDIR;
    const auto entries = kernel.list(task(), file->location);
    std::vector<u8> data;
    const u64 most = std::min(arg(2), Kernel::kMaxTransfer);
    u64 at = file->offset;
    for (; at < entries.size(); ++at) {
        const auto& [name, type, number] = entries[at];
        const std::size_t length = (19 + name.size() + 1 + 7) & ~std::size_t{7};
        if (data.size() + length > most) break;
        std::vector<u8> record(length);
        const u64 inode = number;
        const i64 next = static_cast<i64>(at + 1);
        const u16 short_length = static_cast<u16>(length);
        std::memcpy(record.data(), &inode, 8), std::memcpy(record.data() + 8, &next, 8), std::memcpy(record.data() + 16, &short_length, 2);
        record[18] = entry_type(type);
        std::memcpy(record.data() + 19, name.data(), name.size());
        data.insert(data.end(), record.begin(), record.end());
    }
    if (data.empty() && at < entries.size()) return -kEINVAL;
    if (!kernel.copy_out(machine, task(), arg(1), data)) return -kEFAULT;
    file->offset = at;
    return static_cast<i64>(data.size());
}

i64 Call::fill_stat(Location at, u64 to) const {
    Stat stat{};
    const InodeType type = kernel.type_of(at.inode);
    const bool made_up = at.inode >> 31;
    stat.device = at.mount, stat.inode = at.inode, stat.links = 1, stat.block_size = 4096;
    stat.mode = mode_of(type, made_up ? 0555 : kernel.vfs.at(at.inode).mode);
    if (!made_up) stat.size = static_cast<i64>(kernel.vfs.at(at.inode).size);
    stat.special = device_of(type);
    stat.blocks = (stat.size + 511) / 512;
    return write_user(to, stat) ? 0 : -kEFAULT;
}

i64 Call::fill_stat_of(const OpenFile& file, u64 to) const {
    if (file.kind == FileKind::Inode) return fill_stat(file.location, to);
    Stat stat{};
    stat.links = 1, stat.block_size = 4096;
    stat.mode = file.kind == FileKind::Tty ? 0020620u : 0010600u;
    stat.special = file.kind == FileKind::Tty ? device_of(InodeType::Tty) : 0;
    return write_user(to, stat) ? 0 : -kEFAULT;
}

Attempt Call::newfstatat() const {
    std::string path;
    if (arg(3) & ~(kSymlinkNoFollow | kNoAutomount | kEmptyPath | kStatSync)) return -kEINVAL;
    if (const i64 length = path_arg(1, path); length < 0) return length;
    if (path.empty() && arg(3) & kEmptyPath) {
        if (int_arg(0) == kAtCwd) return fill_stat(kernel.context_of(task()).cwd, arg(2));
        const OpenFile* file = kernel.file_of(task(), fd_arg(0));
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
    if (int_arg(3) <= 0) return -kEINVAL;
    if (const i64 length = path_arg(1, path); length < 0) return length;
    if (path == "/proc/self/exe") {
        target = kernel.process_of(task()).executable;
    } else {
        const Kernel::Found found = find(int_arg(0), path, false);
        if (found.error) return found.error;
        if (kernel.type_of(found.location.inode) != InodeType::Symlink) return -kEINVAL;
        target = kernel.vfs.at(found.location.inode).target;
    }
    const u64 count = std::min<u64>(static_cast<u32>(arg(3)), target.size());
    return kernel.copy_out(machine, task(), arg(2), std::span(reinterpret_cast<const u8*>(target.data()), count)) ? Attempt(static_cast<i64>(count)) : Attempt(-kEFAULT);
}

Attempt Call::faccessat() const {
    constexpr u64 kExecute = 1, kAll = 7;
    std::string path;
    if (arg(2) & ~kAll) return -kEINVAL;
    if (const i64 length = path_arg(1, path); length < 0) return length;
    const Kernel::Found found = find(int_arg(0), path, true);
    if (found.error || !(arg(2) & kExecute) || kernel.type_of(found.location.inode) != InodeType::File) return found.error;
    return kernel.vfs.at(found.location.inode).mode & 0111 ? 0 : -kEACCES;
}

Attempt Call::getcwd() const {
    const std::string path = kernel.path_of(task(), kernel.context_of(task()).cwd);
    if (arg(1) < path.size() + 1) return -kERANGE;
    return kernel.copy_out(machine, task(), arg(0), std::span(reinterpret_cast<const u8*>(path.c_str()), path.size() + 1)) ? Attempt(static_cast<i64>(path.size() + 1)) : Attempt(-kEFAULT);
}

Attempt Call::chdir() const {
    std::string path;
    if (const i64 length = path_arg(0, path); length < 0) return length;
    const Kernel::Found found = kernel.walk(task(), kernel.context_of(task()).cwd, path, true);
    if (found.error) return found.error;
    if (!kernel.is_folder(found.location.inode)) return -kENOTDIR;
    kernel.context_of(task()).cwd = found.location;
    return 0;
}

Attempt Call::fchdir() const {
    const OpenFile* file = kernel.file_of(task(), fd_arg(0));
    if (!file) return -kEBADF;
    if (file->kind != FileKind::Inode || !kernel.is_folder(file->location.inode)) return -kENOTDIR;
    kernel.context_of(task()).cwd = file->location;
    return 0;
}

Attempt Call::chroot() const {
    std::string path;
    if (const i64 length = path_arg(0, path); length < 0) return length;
    const Kernel::Found found = kernel.walk(task(), kernel.context_of(task()).cwd, path, true);
    if (found.error) return found.error;
    if (kernel.type_of(found.location.inode) != InodeType::Directory) return -kENOTDIR;
    kernel.context_of(task()).root = found.location;
    return 0;
}

Attempt Call::mkdirat() const {
    std::string path;
    if (const i64 length = path_arg(1, path); length < 0) return length;
    return std::min<i64>(0, make(int_arg(0), path, InodeType::Directory, static_cast<u32>(arg(2)) & 01777 & ~kernel.context_of(task()).umask));
}

/// A new name for something other than a file. The inode, or an error.
i64 Call::make(i32 fd, const std::string& path, InodeType type, u32 mode) const {
    const Kernel::Found found = find(fd, path, false);
    if (!found.error) return -kEEXIST;
    if (found.error != -kENOENT || !found.location.inode) return found.error;
    if (type != InodeType::Directory && path.back() == '/') return -kENOENT;
    if (kernel.type_of(found.location.inode) != InodeType::Directory) return -kEACCES;
    return kernel.create_inode(found.location.inode, found.name, type, mode);
}

Attempt Call::symlinkat() const {
    std::string target, path;
    if (const i64 length = path_arg(0, target); length < 0) return length;
    if (const i64 length = path_arg(2, path); length < 0) return length;
    if (target.empty()) return -kENOENT;
    const i64 made = make(int_arg(1), path, InodeType::Symlink, 0777);
    if (made < 0) return made;
    Inode& link = kernel.vfs.at(static_cast<u32>(made));
    link.size = target.size();
    link.target = std::move(target);
    return 0;
}

Attempt Call::fchmod() const {
    const OpenFile* file = kernel.file_of(task(), fd_arg(0));
    if (!file) return -kEBADF;
    return file->kind == FileKind::Inode ? change_mode(file->location.inode, static_cast<u32>(arg(1))) : 0;
}

Attempt Call::fchmodat() const {
    std::string path;
    if (const i64 length = path_arg(1, path); length < 0) return length;
    const Kernel::Found found = find(int_arg(0), path, true);
    return found.error ? found.error : change_mode(found.location.inode, static_cast<u32>(arg(2)));
}

i64 Call::change_mode(u32 inode, u32 mode) const {
    if (inode >> 31) return -kEPERM; // of /proc
    kernel.vfs.at(inode).mode = mode & 07777;
    return 0;
}

Attempt Call::utimensat() const {
    std::string path;
    std::array<i64, 4> times{};
    if (arg(2) && !read_user(arg(2), times)) return -kEFAULT;
    if (!arg(1)) return kernel.file_of(task(), fd_arg(0)) ? 0 : -kEBADF;
    if (const i64 length = path_arg(1, path); length < 0) return length;
    return find(int_arg(0), path, !(arg(3) & kSymlinkNoFollow)).error;
}

/// Gives a file another length; what is mapped of it from now on is read anew.
i64 Call::resize(u32 inode, u64 bytes) const {
    i64 error = kernel.vfs.truncate(inode, bytes);
    if (error == -kENOSPC && kernel.reclaim_inodes()) error = kernel.vfs.truncate(inode, bytes);
    if (!error) kernel.forget_pages(inode);
    return error;
}

Attempt Call::truncate() const {
    std::string path;
    if (static_cast<i64>(arg(1)) < 0) return -kEINVAL;
    if (const i64 length = path_arg(0, path); length < 0) return length;
    const Kernel::Found found = find(kAtCwd, path, true);
    if (found.error) return found.error;
    if (kernel.is_folder(found.location.inode)) return -kEISDIR;
    return kernel.type_of(found.location.inode) == InodeType::File ? resize(found.location.inode, arg(1)) : -kEINVAL;
}

Attempt Call::unlinkat() const {
    std::string path;
    if (arg(2) & ~kRemoveDir) return -kEINVAL;
    if (const i64 length = path_arg(1, path); length < 0) return length;
    const Kernel::Found found = find(int_arg(0), path, false);
    if (found.error) return found.error;
    if (!(arg(2) & kRemoveDir) && kernel.is_folder(found.location.inode)) return -kEISDIR;
    if (kernel.type_of(found.directory.inode) != InodeType::Directory) return -kEPERM; // of /proc
    if (found.name == "..") return -kENOTEMPTY;
    if (is_busy(found)) return found.name == "." && path.find_first_not_of('/') != std::string::npos ? -kEINVAL : -kEBUSY;
    return kernel.vfs.unlink(found.directory.inode, found.name, arg(2) & kRemoveDir);
}

/// True for what no name in its folder stands for, and for what something is mounted on.
bool Call::is_busy(const Kernel::Found& found) const {
    const auto& children = kernel.vfs.at(found.directory.inode).children;
    const auto entry = children.find(found.name);
    return entry == children.end() || entry->second != found.location.inode;
}

Attempt Call::renameat2() const {
    std::string from_path, to_path;
    if (const i64 length = path_arg(1, from_path); length < 0) return length;
    if (const i64 length = path_arg(3, to_path); length < 0) return length;
    if (arg(4)) return -kEINVAL; // no exchange, no whiteout, no RENAME_NOREPLACE
    const Kernel::Found from = find(int_arg(0), from_path, false), to = find(int_arg(2), to_path, false);
    if (from.error) return from.error;
    if (to.error && (to.error != -kENOENT || !to.location.inode)) return to.error;
    const Location folder = to.error ? to.location : to.directory;
    if (from.directory.mount != folder.mount) return -kEXDEV;
    if (kernel.type_of(from.directory.inode) != InodeType::Directory || kernel.type_of(folder.inode) != InodeType::Directory) return -kEPERM; // of /proc
    if (is_busy(from) || (!to.error && is_busy(to))) return -kEBUSY;
    const bool moves_folder = kernel.type_of(from.location.inode) == InodeType::Directory;
    if (!moves_folder && to.error && to_path.back() == '/') return -kENOTDIR;
    for (u32 up = folder.inode; up != kernel.vfs.at(up).parent; up = kernel.vfs.at(up).parent)
        if (up == from.location.inode) return -kEINVAL; // into itself
    return kernel.vfs.rename(from.directory.inode, from.name, folder.inode, to.name);
}

} // namespace trapeze::container
