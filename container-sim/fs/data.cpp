// Contents of files: all reading and writing of bytes goes through here, by inode, so that whatever is cached of a file can follow.
#include "container-sim/fs/vfs.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

namespace trapeze::container {

namespace {

/// A regular file's bytes, without following a link in its last part.
Content read_host_file(const std::string& path) {
    const int fd = open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return nullptr;
    struct stat info {};
    Content content;
    if (fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && static_cast<u64>(info.st_size) <= kMaxFileBytes) {
        std::vector<u8> bytes(static_cast<std::size_t>(info.st_size));
        std::size_t done = 0;
        while (done < bytes.size()) {
            const ssize_t count = read(fd, bytes.data() + done, bytes.size() - done);
            if (count <= 0) break;
            done += static_cast<std::size_t>(count);
        }
        bytes.resize(done); // the file may have shrunk meanwhile
        content = std::make_shared<const std::vector<u8>>(std::move(bytes));
    }
    close(fd);
    return content;
}

} // namespace

/// Room for more pages of a file system, within its own limit and everybody's.
bool Vfs::take_pages(u32 super, u64 count) {
    const Superblock& block = supers.get(super);
    if (count > kMaxTreePages || pages + count > kMaxTreePages || block.pages + count > block.most_pages) return false;
    pages += count;
    supers.edit(super).pages += count;
    return true;
}
void Vfs::give_pages(u32 super, u64 count) {
    pages -= std::min(pages, count);
    Superblock& block = supers.edit(super);
    block.pages -= std::min(block.pages, count);
}

i64 Vfs::load(u32 inode) {
    const Inode& file = inodes.get(inode);
    if (file.host_path.empty()) return 0;
    if (!take_pages(file.super, (file.host_size + kPageMask) / kPageSize)) return -kEIO;
    const Content bytes = read_host_file(file.host_path);
    Inode& loaded = inodes.edit(inode);
    give_pages(loaded.super, (loaded.host_size + kPageMask) / kPageSize);
    if (!bytes) return -kEIO;
    FileData data(bytes);
    if (!take_pages(loaded.super, data.pages())) return -kEIO;
    loaded.data = std::move(data);
    loaded.host_path.clear();
    return 0;
}

Content Vfs::content(u32 inode) {
    inode = data_inode(inode);
    const Inode& file = inodes.get(inode);
    if (!file.is_file() || file.generated || file.size() > kMaxFileBytes || load(inode)) return nullptr;
    return inodes.get(inode).data.whole();
}

i64 Vfs::read_data(u32 inode, u64 offset, std::span<u8> out) {
    inode = data_inode(inode);
    if (const i64 error = load(inode)) return error;
    return static_cast<i64>(inodes.get(inode).data.read(offset, out));
}

/// What an overlay shows of a file changes with the layer's.
void Vfs::mark_changed(u32 outer, u32 inode, u64 now) {
    for (u32 one : {inode, outer}) {
        Inode& changed = inodes.edit(one);
        changed.times.modified = changed.times.changed = now;
        ++changed.version;
    }
}

i64 Vfs::write_data(u32 outer, u64 offset, std::span<const u8> in, u64 now) {
    const u32 inode = data_inode(outer);
    if (offset > kMaxFileOffset || in.size() > kMaxFileOffset - offset) return -kEFBIG;
    if (const i64 error = load(inode)) return error;
    const Inode& file = inodes.get(inode);
    if (!take_pages(file.super, file.data.pages_for(offset, in.size()))) return -kENOSPC;
    inodes.edit(inode).data.write(offset, in);
    mark_changed(outer, inode, now);
    return static_cast<i64>(in.size());
}

/// What was stored to a page in memory, as far as the file reaches. Its times have changed when the storing began.
void Vfs::store_page(u32 inode, u64 page, std::span<const u8> bytes) {
    const u64 size = size_of(inode), begin = page * kPageSize;
    if (begin < size) inodes.edit(inode).data.write(begin, bytes.first(std::min(kPageSize, size - begin)));
}

i64 Vfs::resize_data(u32 outer, u64 size, u64 now) {
    const u32 inode = data_inode(outer);
    if (size > kMaxFileOffset) return -kEFBIG;
    if (const i64 error = load(inode)) return error;
    Inode& file = inodes.edit(inode);
    const u64 before = file.data.pages();
    file.data.resize(size);
    const u64 after = file.data.pages();
    if (after < before) give_pages(file.super, before - after);
    mark_changed(outer, inode, now);
    return 0;
}

i64 Vfs::allocate_data(u32 outer, u32 how, u64 offset, u64 bytes, u64 now) {
    constexpr u32 kKeepSize = 1, kPunchHole = 2, kZeroRange = 16;
    const u32 inode = data_inode(outer);
    if (how & ~(kKeepSize | kPunchHole | kZeroRange)) return -kEOPNOTSUPP;
    if (how == kPunchHole || how & kZeroRange) return -kEOPNOTSUPP; // as tmpfs: a hole only with KEEP_SIZE, no zero range
    if (offset > kMaxFileOffset || bytes > kMaxFileOffset - offset) return -kEFBIG;
    if (const i64 error = load(inode)) return error;
    Inode& file = inodes.edit(inode);
    const u64 before = file.data.pages();
    if (how & kPunchHole) {
        file.data.punch(offset, bytes);
        give_pages(file.super, before - std::min(before, file.data.pages()));
    } else {
        if (bytes / kPageSize > kMaxTreePages || !take_pages(file.super, file.data.pages_for(offset, bytes))) return -kENOSPC;
        Inode& same = inodes.edit(inode);
        same.data.reserve(offset, bytes);
        if (!(how & kKeepSize) && offset + bytes > same.data.size()) same.data.resize(offset + bytes);
    }
    mark_changed(outer, inode, now);
    return 0;
}

} // namespace trapeze::container
