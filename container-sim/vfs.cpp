#include "container-sim/vfs.hpp"

#include <fmt/format.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

namespace trapeze::container {

namespace fs = std::filesystem;

namespace {
constexpr unsigned kMaxDepth = 64;

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

Vfs::Vfs() : inodes_(1) { inodes_[0].type = InodeType::Directory; } // inode 0 is nobody's

u32 Vfs::make_tree(InodeType type) {
    Inode root;
    root.type = type, root.mode = 0755;
    inodes_.push_back(root);
    const u32 id = static_cast<u32>(inodes_.size() - 1);
    inodes_[id].parent = id;
    return id;
}

i64 Vfs::create(u32 directory, const std::string& name, InodeType type, u32 mode) {
    if (name.size() > 255) return -kENAMETOOLONG;
    if (inodes_[directory].unlinked) return -kENOENT;
    if (free_.empty() && inodes_.size() >= kMaxInodes) return -kENOSPC;
    Inode inode;
    inode.type = type, inode.mode = mode, inode.parent = directory;
    if (type == InodeType::File) inode.content = std::make_shared<const std::vector<u8>>();
    u32 id = static_cast<u32>(inodes_.size());
    if (free_.empty()) inodes_.push_back(std::move(inode));
    else id = free_.back(), free_.pop_back(), inodes_[id] = std::move(inode);
    inodes_[directory].children[name] = id;
    return id;
}

void Vfs::release(u32 id) {
    if (inodes_[id].free) return;
    if (inodes_[id].content) account(inodes_[id].content->size(), 0);
    inodes_[id] = {};
    inodes_[id].free = true;
    free_.push_back(id);
}

Result<u32> Vfs::import_folder(const std::string& host_folder) {
    std::error_code failed;
    if (!fs::is_directory(host_folder, failed)) return Error{host_folder + ": there is no such folder; give one that holds a root file system"};
    const u32 root = make_tree();
    if (const auto imported = import_entries(root, host_folder, 0); !imported) return Error{imported.error()};
    return root;
}

Result<void> Vfs::import_entries(u32 directory, const std::string& host_folder, unsigned depth) {
    if (depth > kMaxDepth) return Error{host_folder + ": the folder is nested too deeply"};
    std::error_code failed;
    std::vector<fs::directory_entry> entries;
    for (auto at = fs::directory_iterator(host_folder, failed); !failed && at != fs::directory_iterator(); at.increment(failed)) {
        entries.push_back(*at);
        if (entries.size() > kMaxInodes) break;
    }
    if (failed) return Error{fmt::format("{}: the folder cannot be read: {}", host_folder, failed.message())};
    std::sort(entries.begin(), entries.end());
    for (const fs::directory_entry& entry : entries) {
        const auto status = entry.symlink_status(failed);
        const u32 mode = static_cast<u32>(status.permissions()) & 07777;
        const std::string name = entry.path().filename().string();
        const InodeType type = fs::is_symlink(status) ? InodeType::Symlink : fs::is_directory(status) ? InodeType::Directory : InodeType::File;
        if (type == InodeType::File && !fs::is_regular_file(status)) continue; // devices and sockets of the host stay there
        const i64 id = create(directory, name, type, mode);
        if (id < 0) return Error{fmt::format("{}: more than {} files cannot be mounted; give a smaller root file system", host_folder, kMaxInodes)};
        Inode& inode = inodes_[static_cast<std::size_t>(id)];
        if (type == InodeType::Symlink) {
            inode.target = fs::read_symlink(entry.path(), failed).string();
            inode.size = inode.target.size();
        } else if (type == InodeType::File) {
            inode.content = nullptr;
            inode.host_path = entry.path().string();
            inode.size = entry.file_size(failed);
        } else if (const auto nested = import_entries(static_cast<u32>(id), entry.path().string(), depth + 1); !nested) {
            return nested;
        }
    }
    return {};
}

Content Vfs::content(u32 id) {
    Inode& inode = inodes_[id];
    if (inode.type != InodeType::File) return nullptr;
    if (!inode.content && !inode.host_path.empty()) {
        inode.content = bytes_ + inode.size <= kMaxTreeBytes ? read_host_file(inode.host_path) : nullptr;
        if (inode.content) inode.size = inode.content->size(), bytes_ += inode.size;
    }
    return inode.content;
}

/// Keeps what all files take within bounds. Returns 0, -kEFBIG or -kENOSPC.
i64 Vfs::account(u64 before, u64 after) {
    if (after > kMaxFileBytes) return -kEFBIG;
    if (after > before && bytes_ + (after - before) > kMaxTreeBytes) return -kENOSPC;
    bytes_ = bytes_ - std::min(bytes_, before) + after;
    return 0;
}

i64 Vfs::write(u32 id, u64 offset, const std::vector<u8>& bytes) {
    const Content old = content(id);
    if (!old) return -EIO;
    if (offset > kMaxFileBytes || bytes.size() > kMaxFileBytes - offset) return -kEFBIG;
    const u64 size = std::max<u64>(old->size(), offset + bytes.size());
    if (const i64 error = account(old->size(), size)) return error;
    // The file's own vector is written in place while nobody else (a checkpoint, a mapping) holds it.
    Inode& inode = inodes_[id];
    inode.host_path.clear();
    std::shared_ptr<std::vector<u8>> fresh;
    if (inode.content.use_count() <= 2) fresh = std::const_pointer_cast<std::vector<u8>>(inode.content);
    else fresh = std::make_shared<std::vector<u8>>(*old);
    fresh->resize(size);
    std::copy(bytes.begin(), bytes.end(), fresh->begin() + static_cast<std::ptrdiff_t>(offset));
    inode.content = fresh;
    inode.size = size;
    return static_cast<i64>(bytes.size());
}

i64 Vfs::truncate(u32 id, u64 size) {
    const Content old = content(id);
    if (!old) return -EIO;
    if (const i64 error = account(old->size(), size)) return error;
    auto fresh = std::make_shared<std::vector<u8>>(old->begin(), old->begin() + static_cast<std::ptrdiff_t>(std::min<u64>(size, old->size())));
    fresh->resize(size);
    inodes_[id].content = fresh;
    inodes_[id].size = size;
    inodes_[id].host_path.clear();
    return 0;
}

i64 Vfs::unlink(u32 directory, const std::string& name, bool want_directory) {
    auto& children = inodes_[directory].children;
    const auto found = children.find(name);
    if (found == children.end()) return -kENOENT;
    const Inode& victim = inodes_[found->second];
    const bool is_directory = victim.type == InodeType::Directory;
    if (want_directory && !is_directory) return -kENOTDIR;
    if (!want_directory && is_directory) return -kEISDIR;
    if (is_directory && !victim.children.empty()) return -kENOTEMPTY;
    inodes_[found->second].unlinked = true;
    children.erase(found);
    return 0;
}

/// rename(2) within one mount; what had the new name loses it. Pre: `name` is there, and `to` does not lie in it.
i64 Vfs::rename(u32 from, const std::string& name, u32 to, const std::string& new_name) {
    if (inodes_[to].unlinked) return -kENOENT;
    const u32 inode = inodes_[from].children.at(name);
    const bool is_directory = inodes_[inode].type == InodeType::Directory;
    if (const auto old = inodes_[to].children.find(new_name); old != inodes_[to].children.end()) {
        if (old->second == inode) return 0;
        if (const i64 error = unlink(to, new_name, is_directory)) return error;
    }
    inodes_[from].children.erase(name);
    inodes_[to].children[new_name] = inode;
    inodes_[inode].parent = to;
    return 0;
}

} // namespace trapeze::container
