// Open files that are inodes: reading and writing them at a place.
#include "container-sim/abi.hpp"
#include "container-sim/file_operations.hpp"

#include <algorithm>

namespace trapeze::container {

namespace {

template <class Bytes> std::vector<u8> part_of(const Bytes& from, u64 at, u64 bytes) {
    if (at >= from.size()) return {};
    const auto begin = from.begin() + static_cast<std::ptrdiff_t>(at);
    return {begin, begin + static_cast<std::ptrdiff_t>(std::min<u64>(bytes, from.size() - at))};
}

Attempt read_inode(const Call& call, OpenFile& file, u64 to, u64 bytes, u64* offset) {
    Kernel& kernel = call.kernel;
    const InodeType type = kernel.type_of(file.location.inode);
    if (kernel.is_folder(file.location.inode)) return -kEISDIR;
    std::vector<u8> data;
    u64& at = offset ? *offset : file.offset;
    if (type == InodeType::Null) return 0;
    if (type == InodeType::Zero) data.assign(bytes, 0);
    if (type == InodeType::ProcFile) data = part_of(file.generated, at, bytes);
    if (type == InodeType::File) {
        const Content content = kernel.vfs.content(file.location.inode);
        if (!content) return -kEIO;
        data = part_of(*content, at, bytes);
    }
    if (!kernel.copy_out(call.machine, call.task(), to, data)) return -kEFAULT;
    at += data.size();
    return static_cast<i64>(data.size());
}

/// At `*offset` (pwrite64), or where the file stands.
Attempt write_inode(const Call& call, OpenFile& file, u64 from, u64 bytes, const u64* offset) {
    Kernel& kernel = call.kernel;
    std::vector<u8> data(bytes);
    if (!kernel.copy_in(call.machine, call.task(), from, data)) return -kEFAULT;
    const InodeType type = kernel.type_of(file.location.inode);
    if (type == InodeType::Null || type == InodeType::Zero) return static_cast<i64>(bytes);
    if (type != InodeType::File) return -kEINVAL;
    if (data.empty()) return 0;
    const u32 inode = file.location.inode;
    const u64 at = file.flags & kAppend ? kernel.vfs.at(inode).size : offset ? *offset : file.offset;
    const u64 limit = kernel.process_of(call.task()).limits[kLimitFileSize].current;
    if (at >= limit) {
        kernel.send_to_task(call.machine, call.index, {.number = kSigXfsz, .code = kCodeKernel});
        return -kEFBIG;
    }
    if (data.size() > limit - at) data.resize(limit - at);
    i64 written = kernel.vfs.write(inode, at, data);
    if (written == -kENOSPC && kernel.reclaim_inodes()) written = kernel.vfs.write(inode, at, data);
    if (written > 0) kernel.forget_pages(inode);
    if (written > 0 && !offset) file.offset = at + static_cast<u64>(written);
    return written;
}

} // namespace

const FileOperations kInodeOperations{.read = read_inode, .write = write_inode, .seekable = true};

} // namespace trapeze::container
