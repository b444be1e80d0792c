// Asking about files and file systems: stat(2), statx(2), statfs(2), access(2).
#include "container-sim/abi.hpp"
#include "container-sim/lookups.hpp"
#include "container-sim/file_operations.hpp"
#include "container-sim/fs/proc.hpp"

#include <algorithm>

namespace trapeze::container {

namespace {

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

struct StatxTime {
    i64 seconds;
    u32 nanoseconds;
    i32 pad;
};
struct Statx {
    u32 mask, block_size;
    u64 attributes;
    u32 links, uid, gid;
    u16 mode, pad;
    u64 inode, size, blocks, attributes_mask;
    StatxTime accessed, born, changed, modified;
    u32 special_major, special_minor, device_major, device_minor;
    u64 mount;
    u32 alignment[2];
    u64 spare[12];
};
static_assert(sizeof(Statx) == 256);

struct StatFs {
    i64 type, block_size;
    u64 blocks, free, available, files, files_free;
    i32 id[2];
    i64 name_length, fragment_size, flags, spare[4];
};
static_assert(sizeof(StatFs) == 120);

constexpr u64 kSecond = 1'000'000'000;

/// What is known of an inode, ids as the caller's user namespace has them.
struct Known {
    Inode inode;
    u64 size = 0, blocks = 0, device = 0;
    u32 uid = 0, gid = 0, mount = 0;
    bool mount_root = false;
};

Known know(const Call& call, Location at) {
    const Vfs& vfs = call.kernel.vfs;
    const Viewer viewer = call.viewer();
    const Inode& inode = vfs.inodes.get(at.inode);
    Known known{inode, 0, 0, make_device(0, vfs.supers.get(inode.super).device), viewer.seen_id(inode.uid, false), viewer.seen_id(inode.gid, true), at.mount, vfs.is_mount_root(at)};
    note_owner(call, inode.uid, inode.gid, known.uid, known.gid);
    const bool in_memory = !inode.generated && !vfs.type_of(at.inode).alive;
    constexpr u64 kBytesPerName = 20; // as tmpfs counts a directory
    known.size = inode.is_directory() ? (in_memory ? kBytesPerName * (2 + inode.children.size()) : 0) : inode.generated || vfs.type_of(at.inode).alive ? 0 : vfs.size_of(at.inode);
    const Inode& data = vfs.inodes.get(vfs.data_inode(at.inode));
    known.blocks = inode.is_file() ? (data.host_path.empty() ? data.data.pages() * 8 : (data.host_size + 511) / 512) : 0;
    return known;
}

Stat to_stat(const Known& known) {
    Stat stat{};
    const Inode& inode = known.inode;
    stat.device = known.device, stat.inode = inode.number, stat.mode = inode.mode, stat.links = inode.links, stat.uid = known.uid, stat.gid = known.gid;
    stat.special = inode.device, stat.size = static_cast<i64>(known.size), stat.block_size = 4096, stat.blocks = static_cast<i64>(known.blocks);
    const u64 times[] = {inode.times.accessed, inode.times.modified, inode.times.changed};
    for (std::size_t i = 0; i < 3; ++i) stat.times[2 * i] = static_cast<i64>(times[i] / kSecond), stat.times[2 * i + 1] = static_cast<i64>(times[i] % kSecond);
    return stat;
}

Stat stat_without_place(const OpenFile& file) {
    Stat stat{};
    stat.links = 1, stat.block_size = 4096, stat.inode = 4096 + file.object;
    stat.mode = file_operations(file.kind).mode;
    return stat;
}

constexpr u64 kStatFlags = kSymlinkNoFollow | kNoAutomount | kEmptyPath | kStatSync;

} // namespace

/// What a descriptor and a path, or a descriptor alone, lead to: a place, or an open file that has none.
i64 Call::find_for_stat(u64 flags, Location& at, const OpenFile*& file) const {
    std::string path;
    if (flags & ~kStatFlags) return -kEINVAL;
    file = nullptr;
    if (!(flags & kEmptyPath && !arg(1)))
        if (const i64 length = path_arg(1, path); length < 0) return length;
    if (path.empty() && flags & kEmptyPath && int_arg(0) != kAtCwd) {
        file = kernel.any_file_of(task(), fd_arg(0));
        if (!file) return -kEBADF;
        if (file->location.dentry) at = file->location, file = nullptr;
        return 0;
    }
    const Found found = find(int_arg(0), path, (flags & kSymlinkNoFollow ? 0 : kFollow) | (flags & kEmptyPath ? kEmptyPathAllowed : 0));
    if (found.error) return found.error;
    at = found.location;
    if (at.mount == 0 && kernel.vfs.inodes.get(at.inode).is_symlink()) file = proc_open_file(kernel.vfs, viewer(), at.inode);
    return 0;
}

Attempt Call::newfstatat() const {
    Location at;
    const OpenFile* file = nullptr;
    if (const i64 error = find_for_stat(arg(3), at, file)) return error;
    return write_user(arg(2), file ? stat_without_place(*file) : to_stat(know(*this, at))) ? Attempt(0) : Attempt(-kEFAULT);
}

Attempt Call::fstat() const {
    const OpenFile* file = kernel.any_file_of(task(), fd_arg(0));
    if (!file) return -kEBADF;
    return write_user(arg(1), file->location.dentry ? to_stat(know(*this, file->location)) : stat_without_place(*file)) ? Attempt(0) : Attempt(-kEFAULT);
}

Attempt Call::statx() const {
    constexpr u64 kReserved = 0x80000000, kMountRoot = 0x2000, kBasicAndBirth = 0xfff, kMountId = 0x1000;
    if (arg(3) & kReserved) return -kEINVAL;
    Location at;
    const OpenFile* file = nullptr;
    if (const i64 error = find_for_stat(arg(2), at, file)) return error;
    Statx out{};
    const Stat stat = file ? stat_without_place(*file) : to_stat(know(*this, at));
    out.mask = kBasicAndBirth | (file ? 0 : kMountId), out.block_size = 4096, out.links = stat.links, out.uid = stat.uid, out.gid = stat.gid, out.mode = static_cast<u16>(stat.mode);
    out.inode = stat.inode, out.size = static_cast<u64>(stat.size), out.blocks = static_cast<u64>(stat.blocks), out.attributes_mask = kMountRoot;
    out.accessed = {stat.times[0], static_cast<u32>(stat.times[1]), 0}, out.modified = {stat.times[2], static_cast<u32>(stat.times[3]), 0};
    out.changed = {stat.times[4], static_cast<u32>(stat.times[5]), 0};
    out.special_major = device_major(stat.special), out.special_minor = device_minor(stat.special);
    out.device_major = device_major(stat.device), out.device_minor = device_minor(stat.device);
    if (!file) {
        const u64 born = kernel.vfs.inodes.get(at.inode).times.born;
        out.born = {static_cast<i64>(born / kSecond), static_cast<u32>(born % kSecond), 0};
        out.mount = at.mount;
        if (kernel.vfs.is_mount_root(at)) out.attributes |= kMountRoot;
    }
    return write_user(arg(4), out) ? Attempt(0) : Attempt(-kEFAULT);
}

i64 Call::fill_statfs(Location at, u64 to) const {
    if (kernel.vfs.garbage) kernel.sweep_files(); // what nobody uses is free
    const Inode& inode = kernel.vfs.inodes.get(at.inode);
    u32 super = inode.super;
    StatFs out{};
    out.type = kernel.vfs.type_of(at.inode).magic, out.block_size = out.fragment_size = kPageSize, out.name_length = kMaxNameBytes;
    if (const auto layers = kernel.vfs.overlay_layers.find(super); layers != kernel.vfs.overlay_layers.end())
        super = kernel.vfs.inode_of(layers->second.upper ? layers->second.upper : layers->second.lowers[0]).super;
    const Superblock& block = kernel.vfs.supers.get(super);
    const std::string_view type = block.type->name;
    if (type == "tmpfs" || type == "host") {
        out.blocks = block.most_pages == ~u64{0} ? kMaxTreePages : block.most_pages, out.free = out.available = out.blocks - std::min(out.blocks, block.pages);
        out.files = block.most_inodes == ~u64{0} ? kMaxInodes : block.most_inodes, out.files_free = out.files - std::min(out.files, block.inodes);
    }
    out.id[0] = static_cast<i32>(kernel.vfs.supers.get(inode.super).device);
    // ST_RDONLY 1, NOSUID 2, NODEV 4, NOEXEC 8, VALID 0x20, NOATIME 0x400, NODIRATIME 0x800, RELATIME 0x1000
    const auto mount = kernel.vfs.mounts.find(at.mount);
    const u32 flags = mount == kernel.vfs.mounts.end() ? 0 : mount->second.flags;
    out.flags = 0x20 | (flags & 15) | (flags & mount_flag::kNoAtime ? 0x400 : 0) | (flags & mount_flag::kNoDirAtime ? 0x800 : 0) | (flags & mount_flag::kAtimeMask ? 0 : 0x1000);
    if (mount != kernel.vfs.mounts.end() && kernel.vfs.want_write(at.mount)) out.flags |= 1;
    return write_user(to, out) ? 0 : -kEFAULT;
}

Attempt Call::statfs() const {
    const Found found = find_arg(6, 0, kFollow);
    return found.error ? Attempt(found.error) : Attempt(fill_statfs(found.location, arg(1)));
}
Attempt Call::fstatfs() const {
    const OpenFile* file = kernel.any_file_of(task(), fd_arg(0));
    if (!file) return -kEBADF;
    if (file->location.dentry) return fill_statfs(file->location, arg(1));
    StatFs out{};
    out.type = 0x50495045, out.block_size = out.fragment_size = kPageSize, out.name_length = kMaxNameBytes; // PIPEFS_MAGIC
    return write_user(arg(1), out) ? Attempt(0) : Attempt(-kEFAULT);
}

/// access(2): with the real ids, and the capabilities that those would have; AT_EACCESS: with those of now.
i64 Call::check_access(u64 wanted, u64 flags) const {
    constexpr u64 kEffective = 0x200;
    if (wanted & ~u64{7} || flags & ~(kEffective | kSymlinkNoFollow | kEmptyPath)) return -kEINVAL;
    Credentials who = task().credentials;
    if (!(flags & kEffective)) {
        who.fsuid = who.uid, who.fsgid = who.gid;
        const u32 root = viewer().kernel_id(0, false);
        if (!(who.securebits & secbit::kNoSetuidFixup)) who.effective = who.uid == root ? who.permitted : 0;
    }
    std::string path;
    if (const i64 length = path_arg(1, path); length < 0) return length;
    Location base = kernel.context_of(task()).cwd;
    if (path.empty() || path[0] != '/')
        if (const i64 error = base_of(int_arg(0), base)) return error;
    Viewer viewer = this->viewer();
    viewer.credentials = &who;
    note_root(path);
    const Found found = kernel.vfs.walk(viewer, base, path, (flags & kSymlinkNoFollow ? 0 : kFollow) | (flags & kEmptyPath ? kEmptyPathAllowed : 0));
    if (found.error) return found.error;
    const Inode& inode = kernel.vfs.inodes.get(found.location.inode);
    const auto mount = kernel.vfs.mounts.find(found.location.mount);
    if (wanted & mode::kExecute && inode.is_file() && mount != kernel.vfs.mounts.end() &&
        (mount->second.flags & mount_flag::kNoExec || kernel.vfs.supers.get(inode.super).no_execute))
        return -kEACCES;
    if (const i64 error = kernel.vfs.permission(viewer, found.location, static_cast<u32>(wanted))) return error;
    const bool special = !inode.is_file() && !inode.is_directory() && !inode.is_symlink();
    return wanted & mode::kWrite && !special ? kernel.vfs.want_write(found.location.mount) : 0;
}
Attempt Call::faccessat() const { return check_access(arg(2), 0); }
Attempt Call::faccessat2() const { return check_access(static_cast<u32>(arg(2)), arg(3)); }

} // namespace trapeze::container
