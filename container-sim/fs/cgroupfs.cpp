// cgroup2 as a type of file system: one for all mounts, in which each group is a folder. A mount shows it from the root of the mounter's
// cgroup namespace. Files are made when they are first looked up; their rows are cgroup_files.def.
#include "container-sim/cgroups.hpp"
#include "container-sim/fs/options.hpp"
#include "container-sim/fs/types.hpp"
#include "container-sim/kernel.hpp"

#include <algorithm>

namespace trapeze::container {

namespace {

constexpr u64 key_of(u32 group, u32 serial) { return group | u64{serial} << 32; }
std::optional<u32> group_of(const Kernel& kernel, u64 key) {
    const u32 group = static_cast<u32>(key);
    if (!kernel.cgroups.contains(group) || kernel.cgroups[group].serial != static_cast<u32>(key >> 32) || kernel.cgroups[group].removed) return std::nullopt;
    return group;
}

// --- Files -----------------------------------------------------------------------------------------------------------------------------

std::string show(const Reader& reader, std::string (*text)(const CgroupAccess&)) {
    const auto group = group_of(*reader.viewer.kernel, reader.key);
    return group ? text({*reader.viewer.kernel, *reader.viewer.machine, reader.viewer, *group}) : "";
}

/// Who is in the root of a cgroup namespace may not write there what belongs to the outside, under nsdelegate.
bool is_outsiders(const Kernel& kernel, const Viewer& viewer, u32 group, std::string_view name) {
    const u32 own = kernel.tasks[viewer.task].namespaces.cgroup;
    const bool delegatable = name == "cgroup.procs" || name == "cgroup.threads" || name == "cgroup.subtree_control";
    return kernel.cgroup_nsdelegate && own != 0 && kernel.cgroup_namespaces[own].root == group && !delegatable;
}

i64 store(const Reader& reader, std::string_view text, std::string_view name, i64 (*act)(const CgroupAccess&, std::string_view)) {
    constexpr const char* kBlanks = " \t\n\r\v\f";
    Kernel& kernel = *reader.viewer.kernel;
    const auto group = group_of(kernel, reader.key);
    if (!group) return -kENODEV;
    if (text.empty()) return 0;
    if (is_outsiders(kernel, reader.viewer, *group, name)) return -kEPERM;
    const std::size_t length = text.size(), begin = std::min(text.find_first_not_of(kBlanks), length);
    text.remove_prefix(begin);
    text = text.substr(0, text.find_last_not_of(kBlanks) + 1);
    const i64 error = act({kernel, *reader.viewer.machine, reader.viewer, *group}, text);
    return error ? error : static_cast<i64>(length);
}

enum class Where : u8 { Everywhere, BelowRoot };
struct CgroupFile {
    Controller controller;
    Where where;
    GeneratedFile row;
};

u64 changes_of_events(const Kernel& kernel, u64 key) {
    const auto group = group_of(kernel, key);
    return group ? kernel.cgroups[*group].changes : 0;
}
u64 changes_of_memory_events(const Kernel& kernel, u64 key) {
    const auto group = group_of(kernel, key);
    return group ? kernel.cgroups[*group].memory.changes : 0;
}
u64 changes_of_local_memory_events(const Kernel& kernel, u64 key) {
    const auto group = group_of(kernel, key);
    return group ? kernel.cgroups[*group].memory.local_changes : 0;
}
/// Processes of a threaded group belong to its domain.
i64 may_open_procs(const Reader& reader) {
    const auto group = group_of(*reader.viewer.kernel, reader.key);
    return group && reader.viewer.kernel->cgroups[*group].threaded(*group) ? -kEOPNOTSUPP : 0;
}

const std::vector<CgroupFile> kFiles = [] {
    std::vector<CgroupFile> files = {
#define SHOW(id) [](const Reader& reader) { return show(reader, cgroup_file::show_##id); }
#define STORE(name, id) [](const Reader& reader, std::string_view text) { return store(reader, text, name, cgroup_file::store_##id); }
#define CGROUP_FILE(name, controller, where, id) {Controller::controller, Where::where, {name, 0644, SHOW(id), STORE(name, id)}},
#define CGROUP_SHOWN(name, controller, where, id) {Controller::controller, Where::where, {name, 0444, SHOW(id), nullptr}},
#define CGROUP_STORED(name, controller, where, id) {Controller::controller, Where::where, {name, 0200, nullptr, STORE(name, id)}},
#include "container-sim/cgroup_files.def"
#undef SHOW
#undef STORE
    };
    for (CgroupFile& file : files) {
        if (std::string_view(file.row.name) == "cgroup.events") file.row.changes = changes_of_events;
        if (std::string_view(file.row.name) == "memory.events") file.row.changes = changes_of_memory_events;
        if (std::string_view(file.row.name) == "memory.events.local") file.row.changes = changes_of_local_memory_events;
        if (std::string_view(file.row.name) == "cgroup.procs") file.row.may_open = may_open_procs;
    }
    return files;
}();

bool is_there(const Kernel& kernel, u32 group, const CgroupFile& file) {
    if (group == 0 && file.where == Where::BelowRoot) return false;
    return file.controller == Controller::Core || kernel.controllers_of(group) & bit(file.controller);
}

// --- Folders -----------------------------------------------------------------------------------------------------------------------------

i64 cgroup_lookup(Vfs& vfs, const Viewer& viewer, u32 directory, const std::string& name) {
    if (!viewer.kernel) return 0;
    const u64 key = vfs.inode_of(directory).key;
    const auto group = group_of(*viewer.kernel, key);
    if (!group) return 0;
    for (const CgroupFile& file : kFiles)
        if (name == file.row.name) {
            const Cgroup& own = viewer.kernel->cgroups[*group];
            return is_there(*viewer.kernel, *group, file) ? vfs.add_generated(directory, file.row, key, viewer.now, own.uid, own.gid) : 0;
        }
    return 0;
}

void cgroup_list(Vfs& vfs, const Viewer& viewer, u32 directory, std::vector<Listed>& out) {
    const auto group = viewer.kernel ? group_of(*viewer.kernel, vfs.inode_of(directory).key) : std::nullopt;
    if (!group) return;
    for (const CgroupFile& file : kFiles)
        if (is_there(*viewer.kernel, *group, file)) vfs.lookup(viewer, directory, file.row.name);
    for (const auto& [name, dentry] : vfs.inode_of(directory).children) out.push_back({name, vfs.inode_of(dentry).number, vfs.inode_of(dentry).mode});
}

i64 cgroup_create(Vfs& vfs, const Viewer& viewer, u32 directory, const std::string& name, const NewNode& node) {
    const u32 type = node.mode & mode::kType;
    if (type != mode::kDirectory) return type == mode::kFile ? -kEACCES : -kEPERM;
    const auto parent = group_of(*viewer.kernel, vfs.inode_of(directory).key);
    if (!parent) return -kENODEV;
    const i64 group = viewer.kernel->make_cgroup(*parent, name, viewer.credentials->fsuid, viewer.credentials->fsgid);
    return group < 0 ? group : viewer.kernel->make_cgroup_folder(static_cast<u32>(group), node.mode, viewer.now);
}

i64 cgroup_remove(Vfs& vfs, const Viewer& viewer, u32 dentry) {
    if (!vfs.inode_of(dentry).is_directory()) return -kEPERM;
    const auto group = group_of(*viewer.kernel, vfs.inode_of(dentry).key);
    return group ? viewer.kernel->remove_cgroup(*group) : -kENODEV;
}

// --- Mounting --------------------------------------------------------------------------------------------------------------------------------

i64 fill_cgroup2(Vfs& vfs, const Viewer& viewer, u32 super, const MountRequest&) { return make_root(vfs, viewer, super, 0755, 0, 0); }

i64 check_option(const Viewer&, const std::string& option) {
    static constexpr const char* kKnown[] = {"nsdelegate", "favordynmods", "memory_localevents", "memory_recursiveprot", "memory_hugetlb_accounting", "pids_localevents"};
    return std::any_of(std::begin(kKnown), std::end(kKnown), [&](const char* known) { return option == known; }) ? 0 : -kEINVAL;
}

/// Options count only in the first cgroup namespace.
i64 apply_options(Vfs& vfs, const Viewer& viewer, u32 super, const std::string& options) {
    bool delegate = false;
    for (const MountOption& option : split_options(options)) {
        if (option.value) return -kEINVAL;
        if (const i64 error = check_option(viewer, option.name)) return error;
        delegate |= option.name == "nsdelegate";
    }
    if (viewer.kernel->tasks[viewer.task].namespaces.cgroup != 0) return 0;
    viewer.kernel->cgroup_nsdelegate = delegate;
    vfs.supers.edit(super).shown = delegate ? ",nsdelegate" : "";
    return 0;
}

/// The one file system that all mounts show.
i64 shared_super(Vfs& vfs, const Viewer& viewer, const MountRequest& request) {
    if (!viewer.kernel || !viewer.kernel->cgroup_super) return 0;
    const u32 own = viewer.kernel->tasks[viewer.task].namespaces.cgroup;
    if (!viewer.capable(viewer.kernel->cgroup_namespaces[own].owner, Capability::SysAdmin)) return -kEPERM;
    if (const i64 error = apply_options(vfs, viewer, viewer.kernel->cgroup_super, request.options)) return error;
    return viewer.kernel->cgroup_super;
}

u32 root_of_namespace(const Viewer& viewer) { return viewer.kernel->cgroup_namespaces[viewer.kernel->tasks[viewer.task].namespaces.cgroup].root; }
u32 cgroup_root(const Vfs& vfs, const Viewer& viewer, u32 super) { return viewer.kernel ? viewer.kernel->cgroups[root_of_namespace(viewer)].directory : vfs.root_of(super); }

std::string root_text(const Vfs& vfs, const Viewer& viewer, u32 dentry) {
    const auto group = viewer.kernel ? group_of(*viewer.kernel, vfs.inode_of(dentry).key) : std::nullopt;
    return group ? viewer.kernel->cgroup_path(*group, root_of_namespace(viewer)) : "/";
}

} // namespace

const FileSystemType kCgroup2 = [] {
    FileSystemType type{};
    type.name = "cgroup2", type.magic = 0x63677270, type.for_users = true, type.nodev = true, type.single = true, type.fill = fill_cgroup2, type.check = check_option;
    type.change = apply_options, type.lookup = cgroup_lookup, type.list = cgroup_list, type.create = cgroup_create, type.remove = cgroup_remove;
    type.options = [](const Vfs&, const Superblock& super) { return super.shown; };
    type.shared = shared_super, type.mount_root = cgroup_root, type.root_text = root_text;
    return type;
}();

// --- What the tree asks of its folders ------------------------------------------------------------------------------------------------------

/// A folder for a group. Its dentry, or an errno; then the group is gone again.
i64 Kernel::make_cgroup_folder(u32 group, u32 permissions, u64 now) {
    const Cgroup& own = cgroups[group];
    const i64 dentry = vfs.add_node(cgroups[own.parent].directory, own.name, {mode::kDirectory | (permissions & mode::kPermissions), 0, {}}, own.uid, own.gid, now);
    if (dentry < 0) return remove_cgroup(group), dentry;
    cgroups[group].directory = static_cast<u32>(dentry);
    vfs.inodes.edit(vfs.dentries.get(static_cast<u32>(dentry)).inode).key = key_of(group, own.serial);
    return dentry;
}

/// The group behind a folder of a cgroup2; nullopt: the place is something else.
std::optional<u32> Kernel::cgroup_at(Location at) const {
    if (!at.inode || vfs.supers.get(vfs.inodes.get(at.inode).super).type != &kCgroup2 || !vfs.is_directory(at)) return std::nullopt;
    return group_of(*this, vfs.inodes.get(at.inode).key);
}

/// Whether somebody may write to a group's cgroup.procs: 0 or an errno.
i64 Kernel::may_write_cgroup(const Viewer& viewer, u32 group) {
    const i64 file = vfs.lookup(viewer, cgroups[group].directory, "cgroup.procs");
    return file <= 0 ? -kENODEV : vfs.permission(viewer, vfs.dentries.get(static_cast<u32>(file)).inode, mode::kWrite);
}

/// Files of controllers that the group has no longer.
void Kernel::drop_cgroup_files(u32 group) {
    for (const CgroupFile& file : kFiles)
        if (const u32 known = vfs.child(cgroups[group].directory, file.row.name); known && !is_there(*this, group, file)) vfs.drop_tree(known);
}

/// The root of the tree, and the file system that shows it.
void Kernel::set_up_cgroups(const Viewer& boot) {
    cgroup_super = static_cast<u32>(vfs.make_super(boot, kCgroup2, {"cgroup2", "", 0, false, {}})); // with no options, in an empty file system, this cannot fail
    Cgroup root;
    root.serial = next_cgroup_serial++, root.subtree_control = kAllControllers, root.directory = vfs.root_of(cgroup_super);
    const u32 index = cgroups.add(std::move(root));
    vfs.inodes.edit(vfs.dentries.get(cgroups[index].directory).inode).key = key_of(index, cgroups[index].serial);
}

} // namespace trapeze::container
