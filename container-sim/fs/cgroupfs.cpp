// cgroup2 as a type of file system: folders in memory. What cgroups are and do is added to them.
#include "container-sim/fs/types.hpp"

namespace trapeze::container {

namespace {
i64 fill_cgroup2(Vfs& vfs, const Viewer& viewer, u32 super, const MountRequest&) { return make_root(vfs, viewer, super, 0755, 0, 0); }
} // namespace

const FileSystemType kCgroup2 = [] {
    FileSystemType type{};
    type.name = "cgroup2", type.magic = 0x63677270, type.for_users = true, type.nodev = true, type.fill = fill_cgroup2;
    return type;
}();

} // namespace trapeze::container
