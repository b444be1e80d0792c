// The types of file systems, one row each, and what their sources share.
#pragma once

#include "container-sim/fs/vfs.hpp"

namespace trapeze::container {

extern const FileSystemType kTmpfs, kRamfs, kRootfs, kHostFolder, kMqueue, kDevpts, kProc, kSysfs, kCgroup2, kOverlay, kNsfs;

/// The root directory of a new file system. 0 or an errno.
i64 make_root(Vfs& vfs, const Viewer& viewer, u32 super, u32 permissions, u32 uid, u32 gid);
/// A file system from a host folder: a snapshot of its names; contents are read when first used, and writes stay in memory. Its number.
Result<u32> import_folder(Vfs& vfs, const Viewer& viewer, const std::string& host_folder);

/// The mqueue file system of the viewer's ipc namespace, made when it is first needed; and the only files in it (ipc/posix_queues.cpp).
i64 queue_super(Vfs& vfs, const Viewer& viewer);
i64 mountable_queue_super(Vfs& vfs, const Viewer& viewer); ///< the same, for who may administer the namespace
i64 create_queue_file(Vfs& vfs, const Viewer& viewer, u32 directory, const std::string& name, const NewNode& node);

i64 add_terminal_node(Vfs& vfs, const Viewer& viewer, u32 super, u32 number);
void remove_terminal_node(Vfs& vfs, u32 super, u32 number);

} // namespace trapeze::container
