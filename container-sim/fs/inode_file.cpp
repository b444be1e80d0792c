// Open files that are inodes: reading and writing regular files, made-up ones, and the devices that the kernel itself is.
#include "container-sim/abi.hpp"
#include "container-sim/file_operations.hpp"
#include "container-sim/fs/types.hpp"

#include <algorithm>

namespace trapeze::container {

namespace {

/// As many bytes as there are pages for: a buffer may end in the middle.
Attempt give(const Call& call, const std::vector<u8>& data, u64 to, u64& at) {
    std::size_t given = 0;
    while (given < data.size()) {
        const std::span<const u8> part = std::span(data).subspan(given, std::min<std::size_t>(data.size() - given, kPageSize - ((to + given) & kPageMask)));
        if (!call.kernel.copy_out(call.machine, call.task(), to + given, part)) break;
        given += part.size();
    }
    if (!given && !data.empty()) return -kEFAULT;
    at += given;
    return static_cast<i64>(given);
}

/// The text is made when reading begins, and again whenever it begins anew.
Attempt read_generated(const Call& call, OpenFile& file, u64 to, u64 bytes, u64& at) {
    const Viewer viewer = call.viewer();
    const Inode inode = call.kernel.vfs.inodes.get(file.location.inode);
    if (!inode.generated->show) return -kEINVAL;
    if (at == 0) {
        const FileSystemType& type = call.kernel.vfs.type_of(file.location.inode);
        if (type.alive && !type.alive(call.kernel.vfs, viewer, file.location.inode)) return -kESRCH;
        if (inode.generated->changes) file.seen_changes = inode.generated->changes(call.kernel, inode.key);
        file.generated = inode.generated->show({call.kernel.vfs, viewer, inode.super, file.location.inode, inode.key});
    }
    std::vector<u8> data;
    if (at < file.generated.size()) {
        const auto begin = file.generated.begin() + static_cast<std::ptrdiff_t>(at);
        data.assign(begin, begin + static_cast<std::ptrdiff_t>(std::min<u64>(bytes, file.generated.size() - at)));
    }
    return give(call, data, to, at);
}

Attempt read_inode(const Call& call, OpenFile& file, u64 to, u64 bytes, u64* offset) {
    Vfs& vfs = call.kernel.vfs;
    const Inode& inode = vfs.inodes.get(file.location.inode);
    if (inode.is_directory()) return -kEISDIR;
    u64& at = offset ? *offset : file.offset;
    if (inode.generated) return read_generated(call, file, to, bytes, at);
    const u64 size = vfs.size_of(file.location.inode);
    std::vector<u8> data(at < size ? std::min(bytes, size - at) : 0);
    call.kernel.pull_pages(call.machine, vfs.data_inode(file.location.inode), at, at + data.size());
    call.kernel.cache_read(call.machine, vfs.data_inode(file.location.inode), at, data.size());
    const i64 count = data.empty() ? 0 : vfs.read_data(file.location.inode, at, data);
    if (count < 0) return count;
    data.resize(static_cast<std::size_t>(count));
    if (!(file.flags & 01000000)) vfs.touch_read(file.location, call.viewer().now);
    if (count > 0) call.kernel.tell_watchers(file.location.dentry, watch::kAccess);
    return give(call, data, to, at);
}

Attempt write_generated(const Call& call, OpenFile& file, const std::vector<u8>& data) {
    const Inode inode = call.kernel.vfs.inodes.get(file.location.inode);
    if (!inode.generated->store) return -kEINVAL;
    const Viewer viewer = call.viewer();
    const i64 result = inode.generated->store({call.kernel.vfs, viewer, inode.super, file.location.inode, inode.key}, {reinterpret_cast<const char*>(data.data()), data.size()});
    if (result > 0) call.kernel.files_changed(file.location.inode);
    return result;
}

/// As much as there is room for, down to nothing.
i64 write_what_fits(const Call& call, u32 inode, u64 at, std::span<const u8> data) {
    i64 written = call.with_room([&] { return call.kernel.vfs.write_data(inode, at, data, call.viewer().now); });
    while (written == -kENOSPC && data.size() > kPageSize) {
        const u64 end = (at + data.size() - 1) & ~kPageMask;
        data = data.first(end > at ? end - at : 0);
        if (data.empty()) break;
        written = call.kernel.vfs.write_data(inode, at, data, call.viewer().now);
    }
    return written;
}

/// At `*offset` (pwrite64), or where the file stands.
Attempt write_inode(const Call& call, OpenFile& file, u64 from, u64 bytes, const u64* offset) {
    Kernel& kernel = call.kernel;
    std::vector<u8> data(bytes);
    if (!kernel.copy_in(call.machine, call.task(), from, data)) return -kEFAULT;
    const u32 index = file.location.inode;
    const Inode& inode = kernel.vfs.inodes.get(index);
    if (inode.generated) return write_generated(call, file, data);
    if (!inode.is_file()) return -kEINVAL;
    if (data.empty()) return 0;
    const u64 size = kernel.vfs.size_of(index);
    const u64 at = file.flags & kAppend ? size : offset ? *offset : file.offset;
    if (const i64 error = call.sealed_against(inode, seal::kWrite | (at + bytes > size ? seal::kGrow : 0))) return error;
    const u64 limit = kernel.process_of(call.task()).limits[kLimitFileSize].current;
    if (at >= limit) {
        kernel.send_to_task(call.machine, call.index, {.number = kSigXfsz, .code = kCodeKernel});
        return -kEFBIG;
    }
    if (data.size() > limit - at) data.resize(limit - at);
    kernel.pull_pages(call.machine, kernel.vfs.data_inode(index), at, at + data.size());
    const u64 wanted = data.size();
    data.resize(kernel.hold_pages(call.machine, index, at, wanted));
    const i64 written = data.empty() ? -kENOMEM : write_what_fits(call, index, at, data);
    if (written < static_cast<i64>(wanted)) kernel.release_holes(index, at, wanted);
    if (written <= 0) return written;
    kernel.charge_io(call.machine, kernel.vfs.data_inode(index), static_cast<u64>(written), true);
    kernel.renew_pages(call.machine, kernel.vfs.data_inode(index), at, at + static_cast<u64>(written));
    kernel.vfs.drop_privilege_bits(call.viewer(), index);
    kernel.tell_watchers(file.location.dentry, watch::kModify);
    if (!offset) file.offset = at + static_cast<u64>(written);
    return written;
}

// --- Devices of major number 1 (null(4), random(4)) --------------------------------------------------------------------------------------

enum Memory : u32 { kNullDevice = 3, kZeroDevice = 5, kFullDevice = 7, kRandomDevice = 8, kUrandomDevice = 9 };

Attempt read_device(const Call& call, OpenFile& file, u64 to, u64 bytes, u64*) {
    if (file.object == kNullDevice) return 0;
    std::vector<u8> data(bytes);
    if (file.object == kRandomDevice || file.object == kUrandomDevice)
        for (u8& byte : data) {
            u64& state = call.kernel.random_state;
            state = state * 6364136223846793005 + 1442695040888963407;
            byte = static_cast<u8>(state >> 33);
        }
    u64 ignored = 0;
    return give(call, data, to, ignored);
}
Attempt write_device(const Call&, OpenFile& file, u64, u64 bytes, const u64*) { return file.object == kFullDevice ? Attempt(-kENOSPC) : Attempt(static_cast<i64>(bytes)); }

Attempt refuse_read(const Call&, OpenFile&, u64, u64, u64*) { return -kEBADF; }
Attempt refuse_write(const Call&, OpenFile&, u64, u64, const u64*) { return -kEBADF; }

/// Files are always ready; a made-up one may have news as well.
i16 poll_inode(const Kernel& kernel, const OpenFile& file) {
    const Inode& inode = kernel.vfs.inodes.get(file.location.inode);
    const bool news = inode.generated && inode.generated->changes && inode.generated->changes(kernel, inode.key) != file.seen_changes;
    return static_cast<i16>(kPollIn | kPollOut | (news ? kPollError | kPollPriority : 0));
}

} // namespace

const FileOperations kInodeOperations{.read = read_inode, .write = write_inode, .poll = poll_inode,
                                      .wait_key = [](const OpenFile& file) { return WaitKey{WaitKind::Inode, file.location.inode}; }, .seekable = true};
const FileOperations kDeviceOperations{.read = read_device, .write = write_device, .seekable = true};
const FileOperations kPathOperations{.read = refuse_read, .write = refuse_write};

/// A device node, opened by its number: /dev/null and its like, the controlling terminal, a container's terminal.
i64 Call::open_device(Location at, u64 flags) const {
    const Inode& inode = kernel.vfs.inodes.get(at.inode);
    if (!inode.is(mode::kCharacter)) return -kENXIO;
    const u32 major = device_major(inode.device), minor = device_minor(inode.device);
    OpenFile file;
    file.location = at, file.flags = static_cast<u32>(flags & ~(kCreate | kExclusive | kNoTerminal | kTruncate | kCloseOnExec));
    if (major == 1 && (minor == kNullDevice || minor == kZeroDevice || minor == kFullDevice || minor == kRandomDevice || minor == kUrandomDevice)) {
        file.kind = FileKind::Device, file.object = minor;
        return kernel.install(machine, task(), std::move(file), flags & kCloseOnExec);
    }
    return major == 136 || (major == 5 && minor <= 2) ? open_terminal(at, flags).value : -kENXIO;
}

} // namespace trapeze::container
