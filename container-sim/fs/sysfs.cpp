// sysfs(5), as far as ip and cgroup tools look at it: the folders that others hang on to, and a few files that never change.
#include "container-sim/fs/types.hpp"

namespace trapeze::container {

namespace {

constexpr const char* kFolders[] = {"block", "bus", "class", "class/net", "class/mem", "class/tty", "dev", "dev/block", "dev/char", "devices", "devices/system",
                                    "devices/system/cpu", "devices/system/cpu/cpu0", "devices/system/node", "devices/virtual", "devices/virtual/net", "firmware", "fs",
                                    "fs/cgroup", "hypervisor", "kernel", "kernel/debug", "kernel/mm", "kernel/mm/transparent_hugepage", "kernel/security", "kernel/tracing",
                                    "module", "power"};

template <const char* text> std::string show_text(const Reader&) { return text; }
constexpr char kOneHart[] = "0\n", kNever[] = "always madvise [never]\n", kTrue[] = "1\n";

struct FixedFile {
    const char* folder;
    GeneratedFile row;
};
const FixedFile kFiles[] = {
    {"devices/system/cpu", {"online", 0444, show_text<kOneHart>, nullptr, nullptr}},
    {"devices/system/cpu", {"possible", 0444, show_text<kOneHart>, nullptr, nullptr}},
    {"devices/system/cpu", {"present", 0444, show_text<kOneHart>, nullptr, nullptr}},
    {"devices/system/cpu/cpu0", {"online", 0444, show_text<kTrue>, nullptr, nullptr}},
    {"kernel/mm/transparent_hugepage", {"enabled", 0444, show_text<kNever>, nullptr, nullptr}},
};

i64 fill_sysfs(Vfs& vfs, const Viewer& viewer, u32 super, const MountRequest&) {
    if (!viewer.may_mount_sysfs()) return -kEPERM;
    if (const i64 error = make_root(vfs, viewer, super, 0555, 0, 0)) return error;
    vfs.supers.edit(super).no_devices = vfs.supers.edit(super).no_execute = true;
    vfs.supers.edit(super).namespace_index = viewer.net_namespace();
    for (const char* path : kFolders) {
        u32 at = vfs.root_of(super);
        for (std::string_view rest = path; !rest.empty();) {
            const std::size_t end = std::min(rest.find('/'), rest.size());
            const i64 made = vfs.add_directory(at, std::string(rest.substr(0, end)), 0755, viewer.now);
            if (made < 0) return made;
            at = static_cast<u32>(made);
            rest.remove_prefix(std::min(end + 1, rest.size()));
            if (!rest.empty()) continue;
            for (const FixedFile& file : kFiles)
                if (std::string_view(file.folder) == path)
                    if (const i64 error = vfs.add_generated(at, file.row, 0, viewer.now); error < 0) return error;
        }
    }
    return 0;
}

i64 refuse_create(Vfs&, const Viewer&, u32, const std::string&, const NewNode& node) { return (node.mode & mode::kType) == mode::kFile ? -kEACCES : -kEPERM; }
i64 refuse_remove(Vfs&, const Viewer&, u32) { return -kEPERM; }

} // namespace

const FileSystemType kSysfs = [] {
    FileSystemType type{};
    type.name = "sysfs", type.magic = 0x62656572, type.for_users = true, type.nodev = true, type.fill = fill_sysfs;
    type.create = refuse_create, type.remove = refuse_remove;
    return type;
}();

} // namespace trapeze::container
