// A host folder as a file system. Its symbolic links stay links; nothing outside the folder is ever opened, and the host is never written.
#include "container-sim/fs/types.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

namespace trapeze::container {

namespace fs = std::filesystem;

namespace {

constexpr unsigned kMaxDepth = 64;

Result<void> import_entries(Vfs& vfs, u32 directory, const std::string& host_folder, unsigned depth, u64 now) {
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
        const u32 permissions = static_cast<u32>(status.permissions()) & mode::kPermissions;
        const std::string name = entry.path().filename().string();
        const u32 type = fs::is_symlink(status) ? mode::kSymlink : fs::is_directory(status) ? mode::kDirectory : mode::kFile;
        if (type == mode::kFile && !fs::is_regular_file(status)) continue; // devices and sockets of the host stay there
        const std::string target = type == mode::kSymlink ? fs::read_symlink(entry.path(), failed).string() : "";
        const i64 dentry = name.size() > kMaxNameBytes ? -kENAMETOOLONG : vfs.add_node(directory, name, {type | (type == mode::kSymlink ? 0777 : permissions), 0, target}, 0, 0, now);
        if (dentry < 0) return Error{fmt::format("{}: more than {} files cannot be mounted; give a smaller root file system", host_folder, kMaxInodes)};
        if (type == mode::kFile) {
            Inode& inode = vfs.inodes.edit(vfs.dentries.get(static_cast<u32>(dentry)).inode);
            inode.host_size = entry.file_size(failed);
            if (inode.host_size) inode.host_path = entry.path().string();
        } else if (type == mode::kDirectory) {
            if (const auto nested = import_entries(vfs, static_cast<u32>(dentry), entry.path().string(), depth + 1, now); !nested) return nested;
        }
    }
    return {};
}

} // namespace

Result<u32> import_folder(Vfs& vfs, const Viewer& viewer, const std::string& host_folder) {
    std::error_code failed;
    if (!fs::is_directory(host_folder, failed)) return Error{host_folder + ": there is no such folder; give one that holds a root file system"};
    const i64 super = vfs.make_super(viewer, kHostFolder, {host_folder, "", 0, false, {}});
    if (super < 0) return Error{fmt::format("{}: there is no room for another file system", host_folder)};
    if (const auto imported = import_entries(vfs, vfs.root_of(static_cast<u32>(super)), host_folder, 0, viewer.now); !imported) {
        vfs.free_super(static_cast<u32>(super));
        return Error{imported.error()};
    }
    return static_cast<u32>(super);
}

} // namespace trapeze::container
