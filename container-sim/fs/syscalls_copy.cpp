// Moving bytes between files inside the kernel, and files without a name: copy_file_range(2), memfd_create(2).
#include "container-sim/abi.hpp"
#include "container-sim/file_operations.hpp"
#include "container-sim/fs/types.hpp"

#include <algorithm>

namespace trapeze::container {

/// Bytes from one regular file to another; places move by what was copied. How many, or an errno.
i64 Call::copy_between(OpenFile& from, OpenFile& to, u64& read_at, u64& write_at, u64 bytes) const {
    bytes = std::min(bytes, Kernel::kMaxTransfer);
    std::vector<u8> data(bytes);
    const u32 source = kernel.vfs.data_inode(from.location.inode), target = kernel.vfs.data_inode(to.location.inode);
    kernel.pull_pages(machine, source, read_at, read_at + bytes);
    kernel.pull_pages(machine, target, write_at, write_at + bytes);
    const u64 size = kernel.vfs.size_of(source);
    if (read_at < size) kernel.cache_read(machine, source, read_at, std::min(bytes, size - read_at));
    const i64 count = kernel.vfs.read_data(source, read_at, data);
    if (count <= 0) return count;
    data.resize(static_cast<std::size_t>(kernel.hold_pages(machine, to.location.inode, write_at, static_cast<u64>(count))));
    if (data.empty()) return -kENOMEM;
    const i64 written = with_room([&] { return kernel.vfs.write_data(to.location.inode, write_at, data, viewer().now); });
    if (written < count) kernel.release_holes(to.location.inode, write_at, static_cast<u64>(count));
    if (written <= 0) return written;
    kernel.charge_io(machine, kernel.vfs.data_inode(to.location.inode), static_cast<u64>(written), true);
    kernel.renew_pages(machine, target, write_at, write_at + static_cast<u64>(written));
    kernel.vfs.drop_privilege_bits(viewer(), to.location.inode);
    read_at += static_cast<u64>(written), write_at += static_cast<u64>(written);
    return written;
}

bool Call::is_plain_file(const OpenFile& file) const {
    return file.kind == FileKind::Inode && kernel.vfs.inodes.get(file.location.inode).is_file() && !kernel.vfs.inodes.get(file.location.inode).generated;
}

Attempt Call::copy_file_range() const {
    OpenFile *from = kernel.file_of(task(), fd_arg(0)), *to = kernel.file_of(task(), fd_arg(2));
    if (arg(5)) return -kEINVAL;
    if (!from || !to || (from->flags & kAccess) == kWriteOnly || !(to->flags & kAccess) || to->flags & kAppend) return -kEBADF;
    for (const OpenFile* file : {from, to})
        if (file->location.dentry && kernel.vfs.is_directory(file->location)) return -kEISDIR;
    if (!is_plain_file(*from) || !is_plain_file(*to)) return -kEINVAL;
    u64 read_at = from->offset, write_at = to->offset;
    if ((arg(1) && !read_user(arg(1), read_at)) || (arg(3) && !read_user(arg(3), write_at))) return -kEFAULT;
    if (static_cast<i64>(read_at) < 0 || static_cast<i64>(write_at) < 0) return -kEINVAL;
    if (kernel.vfs.data_inode(from->location.inode) == kernel.vfs.data_inode(to->location.inode) && read_at < write_at + arg(4) && write_at < read_at + arg(4)) return -kEINVAL;
    const i64 count = copy_between(*from, *to, read_at, write_at, arg(4));
    if (count <= 0) return count;
    if (arg(1) ? !write_user(arg(1), read_at) : (from->offset = read_at, false)) return -kEFAULT;
    if (arg(3) ? !write_user(arg(3), write_at) : (to->offset = write_at, false)) return -kEFAULT;
    return count;
}

// --- memfd -----------------------------------------------------------------------------------------------------------------------------

Attempt Call::memfd_create() const {
    constexpr u64 kCloseOnExecFlag = 1, kAllowSealing = 2, kNoExecSeal = 8, kExec = 16;
    constexpr std::size_t kMaxMemoryName = 249;
    std::string name;
    if (arg(1) & ~(kCloseOnExecFlag | kAllowSealing | kNoExecSeal | kExec) || (arg(1) & (kNoExecSeal | kExec)) == (kNoExecSeal | kExec)) return -kEINVAL;
    const i64 length = kernel.copy_text(machine, task(), arg(0), name, kMaxMemoryName + 1);
    if (length < 0) return length == -kENAMETOOLONG ? -kEINVAL : length;
    const u32 sealed = arg(1) & kNoExecSeal ? seal::kExec : arg(1) & kAllowSealing ? 0 : seal::kSeal;
    const i64 dentry = with_room([&] { return kernel.vfs.make_memory_file(viewer(), "memfd:" + name, arg(1) & kNoExecSeal ? 0666 : 0777, sealed); });
    if (dentry < 0) return dentry;
    OpenFile file;
    file.location = kernel.vfs.location_of(kernel.vfs.memory_mount, static_cast<u32>(dentry)), file.flags = 2 | 0100000;
    return kernel.install(machine, task(), std::move(file), arg(1) & kCloseOnExecFlag);
}

/// fcntl(F_ADD_SEALS) and F_GET_SEALS.
i64 Call::change_seals(const OpenFile& file, std::optional<u64> more) const {
    constexpr u64 kAll = seal::kSeal | seal::kShrink | seal::kGrow | seal::kWrite | seal::kFutureWrite | seal::kExec;
    const u32 index = file.location.dentry ? file.location.inode : 0;
    if (!index || kernel.vfs.inodes.get(index).seals == ~u32{0}) return -kEINVAL;
    const u32 now = kernel.vfs.inodes.get(index).seals;
    if (!more) return now;
    if (!(file.flags & kAccess) || now & seal::kSeal) return -kEPERM;
    if (*more & ~kAll) return -kEINVAL;
    if (*more & seal::kWrite && kernel.mapped_for_stores(index)) return -kEBUSY;
    kernel.vfs.inodes.edit(index).seals = now | static_cast<u32>(*more);
    return 0;
}

/// Memory with a name that is in no directory.
i64 Vfs::make_memory_file(const Viewer& viewer, const std::string& name, u32 permissions, u32 seals) {
    if (!memory_mount) {
        const i64 super = make_super(viewer, kRamfs, {"tmpfs", "", 0, false, {}});
        if (super < 0) return super;
        memory_mount = new_mount(static_cast<u32>(super), root_of(static_cast<u32>(super)), "tmpfs", 0);
    }
    const Mount& mount = mounts.at(memory_mount);
    const i64 made = new_inode(mount.super, mode::kFile | permissions, viewer.credentials->fsuid, viewer.credentials->fsgid, viewer.now);
    if (made < 0) return made;
    Inode& inode = inodes.edit(static_cast<u32>(made));
    inode.links = 0, inode.seals = seals;
    const u32 dentry = new_dentry(mount.root, name, static_cast<u32>(made));
    dentries.edit(dentry).unhashed = true;
    ++garbage;
    return dentry;
}

} // namespace trapeze::container
