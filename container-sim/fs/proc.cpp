// The folders and links of proc(5). A proc shows the processes of its mounter's pid namespace.
#include "container-sim/fs/proc.hpp"
#include "container-sim/file_operations.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace trapeze::container {

namespace {

constexpr const char* kProcessFolders[] = {"task", "fd", "fdinfo", "ns", "net"};
constexpr const char* kProcessLinks[] = {"exe", "cwd", "root"};
constexpr std::pair<const char*, NamespaceKind> kNamespaceLinks[] = {
    {"cgroup", NamespaceKind::Cgroup}, {"ipc", NamespaceKind::Ipc}, {"mnt", NamespaceKind::Mnt}, {"net", NamespaceKind::Net}, {"pid", NamespaceKind::Pid},
    {"pid_for_children", NamespaceKind::Pid}, {"time", NamespaceKind::Time}, {"time_for_children", NamespaceKind::Time}, {"user", NamespaceKind::User},
    {"uts", NamespaceKind::Uts}};

std::optional<u32> number_of(const std::string& name) {
    if (name.empty() || name.size() > 9 || name.find_first_not_of("0123456789") != std::string::npos || (name[0] == '0' && name.size() > 1)) return std::nullopt;
    return static_cast<u32>(std::stoul(name));
}

/// A made-up name in a directory.
i64 make(Vfs& vfs, const Viewer& viewer, u32 directory, const std::string& name, u32 kind, u64 key, u32 mode) {
    u32 uid = 0, gid = 0;
    const Task* task = proc_tid(key) ? proc_task(vfs, viewer, vfs.inode_of(directory).super, key) : nullptr;
    if (task && viewer.kernel->process_of(*task).dumpable) uid = task->credentials.euid, gid = task->credentials.egid;
    const i64 dentry = vfs.add_node(directory, name, {mode, 0, {}}, uid, gid, viewer.now);
    if (dentry < 0) return dentry;
    Inode& inode = vfs.inodes.edit(vfs.dentries.get(static_cast<u32>(dentry)).inode);
    inode.kind = kind, inode.key = key;
    return dentry;
}
i64 make_file(Vfs& vfs, const Viewer& viewer, u32 directory, const GeneratedFile& row, u64 key) {
    const i64 dentry = make(vfs, viewer, directory, row.name, kProcFile, key, mode::kFile | row.mode);
    if (dentry >= 0) vfs.inodes.edit(vfs.dentries.get(static_cast<u32>(dentry)).inode).generated = &row;
    return dentry;
}
constexpr u32 kFolder = mode::kDirectory | 0555, kLink = mode::kSymlink | 0777;

// --- Looking up ----------------------------------------------------------------------------------------------------------------

/// hidepid=2: to who may not trace it a process is not there.
bool hidden(const Vfs& vfs, const Viewer& viewer, u32 super, const Task& task) { return vfs.supers.get(super).hide_processes >= 2 && !may_trace(viewer, task); }

i64 lookup_root(Vfs& vfs, const Viewer& viewer, u32 directory, const std::string& name) {
    const auto pid = number_of(name);
    const u32 super = vfs.inode_of(directory).super;
    const auto host = pid && *pid ? viewer.kernel->host_pid(static_cast<i32>(*pid), vfs.supers.get(super).namespace_index) : std::nullopt;
    const Task* task = host ? proc_task(vfs, viewer, super, proc_key(*host)) : nullptr;
    if (!task || hidden(vfs, viewer, super, *task)) return -kENOENT;
    return make(vfs, viewer, directory, name, kProcProcess, proc_key(*host), kFolder);
}

i64 lookup_process(Vfs& vfs, const Viewer& viewer, u32 directory, const std::string& name, u64 key, bool whole) {
    for (const GeneratedFile& row : kProcessFiles)
        if (name == row.name) return make_file(vfs, viewer, directory, row, key);
    if (name == "task") return whole ? make(vfs, viewer, directory, name, kProcThreads, key, kFolder) : -kENOENT;
    if (name == "fd") return make(vfs, viewer, directory, name, kProcDescriptors, key, mode::kDirectory | 0500);
    if (name == "fdinfo") return make(vfs, viewer, directory, name, kProcDescriptorInfos, key, kFolder);
    if (name == "ns") return make(vfs, viewer, directory, name, kProcNamespaces, key, mode::kDirectory | 0511);
    if (name == "net") return make(vfs, viewer, directory, name, kProcNet, key, kFolder);
    if (name == "exe") return make(vfs, viewer, directory, name, kProcExe, key, kLink);
    if (name == "cwd") return make(vfs, viewer, directory, name, kProcCwd, key, kLink);
    if (name == "root") return make(vfs, viewer, directory, name, kProcRootLink, key, kLink);
    return -kENOENT;
}

std::string show_descriptor_info(const Reader& reader) {
    const Task* task = proc_task(reader);
    const OpenFile* file = task ? reader.viewer.kernel->any_file_of(*task, proc_more(reader.key)) : nullptr;
    if (!file) return "";
    const Inode& inode = reader.vfs.inodes.get(file->location.inode);
    return fmt::format("pos:\t{}\nflags:\t0{:o}\nmnt_id:\t{}\nino:\t{}\n", file->offset, file->flags, file->location.mount, inode.number);
}
const GeneratedFile kDescriptorInfo{"", 0444, show_descriptor_info, nullptr};

i64 lookup_descriptor(Vfs& vfs, const Viewer& viewer, u32 directory, const std::string& name, const Task& task, bool info) {
    const auto fd = number_of(name);
    const OpenFile* file = fd ? viewer.kernel->any_file_of(task, *fd) : nullptr;
    if (!file) return -kENOENT;
    const u64 key = proc_key(task.tid, *fd);
    if (info) {
        const i64 dentry = make(vfs, viewer, directory, name, kProcFile, key, mode::kFile | 0444);
        if (dentry >= 0) vfs.inodes.edit(vfs.dentries.get(static_cast<u32>(dentry)).inode).generated = &kDescriptorInfo;
        return dentry;
    }
    constexpr u32 kPath = 010000000;
    const u32 access = file->flags & 3, bits = file->flags & kPath ? 0 : access == 0 ? 0500 : access == 1 ? 0300 : 0700;
    return make(vfs, viewer, directory, name, kProcDescriptorLink, key, mode::kSymlink | bits);
}

i64 proc_lookup(Vfs& vfs, const Viewer& viewer, u32 directory, const std::string& name) {
    const Inode inode = vfs.inode_of(directory);
    if (inode.kind == kProcStatic) return -kENOENT;
    if (inode.kind == kProcRoot) return lookup_root(vfs, viewer, directory, name);
    const Task* task = proc_task(vfs, viewer, inode.super, inode.key);
    if (!task) return -kENOENT;
    switch (inode.kind) {
    case kProcProcess: return lookup_process(vfs, viewer, directory, name, inode.key, true);
    case kProcThread: return lookup_process(vfs, viewer, directory, name, inode.key, false);
    case kProcThreads: {
        const auto tid = number_of(name);
        const auto host = tid && *tid ? viewer.kernel->host_pid(static_cast<i32>(*tid), vfs.supers.get(inode.super).namespace_index) : std::nullopt;
        const Task* thread = host ? proc_task(vfs, viewer, inode.super, proc_key(*host)) : nullptr;
        return thread && thread->process == task->process ? make(vfs, viewer, directory, name, kProcThread, proc_key(*host), kFolder) : -kENOENT;
    }
    case kProcDescriptors: return lookup_descriptor(vfs, viewer, directory, name, *task, false);
    case kProcDescriptorInfos: return lookup_descriptor(vfs, viewer, directory, name, *task, true);
    case kProcNamespaces:
        for (u32 i = 0; i < std::size(kNamespaceLinks); ++i)
            if (name == kNamespaceLinks[i].first) return make(vfs, viewer, directory, name, kProcNamespaceLink, proc_key(proc_tid(inode.key), i), kLink);
        return -kENOENT;
    case kProcNet:
        for (const GeneratedFile& row : kProcNetFiles)
            if (name == row.name) return make_file(vfs, viewer, directory, row, inode.key);
        return -kENOENT;
    default: return -kENOENT;
    }
}

/// What a name is about may have gone, or belong to somebody else by now.
bool proc_alive(Vfs& vfs, const Viewer& viewer, u32 index) {
    const Inode& inode = vfs.inodes.get(index);
    if (!proc_tid(inode.key)) return true;
    const Task* task = proc_task(vfs, viewer, inode.super, inode.key);
    if (!task || (inode.kind == kProcProcess && hidden(vfs, viewer, inode.super, *task))) return false;
    if (inode.kind == kProcDescriptorLink || inode.generated == &kDescriptorInfo) {
        const OpenFile* file = viewer.kernel->any_file_of(*task, proc_more(inode.key));
        if (!file) return false;
    }
    const bool owned = viewer.kernel->process_of(*task).dumpable;
    const u32 uid = owned ? task->credentials.euid : 0, gid = owned ? task->credentials.egid : 0;
    if (inode.uid != uid || inode.gid != gid) {
        Inode& changed = vfs.inodes.edit(index);
        changed.uid = uid, changed.gid = gid;
    }
    return true;
}

// --- Listing ---------------------------------------------------------------------------------------------------------------------

void proc_list(Vfs& vfs, const Viewer& viewer, u32 directory, std::vector<Listed>& out) {
    const Inode inode = vfs.inode_of(directory);
    const Kernel& kernel = *viewer.kernel;
    const auto add = [&](const std::string& name, u32 mode) {
        const u32 known = vfs.child(directory, name);
        u64 number = 0xc000'0000 + (inode.number << 12); // a name that nobody has looked up yet
        for (char c : name) number = (number ^ static_cast<u8>(c)) * 0x100000001b3;
        out.push_back({name, known ? vfs.inode_of(known).number : number & 0xffff'ffff, mode});
    };
    if (inode.kind == kProcStatic || inode.kind == kProcRoot)
        for (const auto& [name, dentry] : inode.children)
            if (!proc_tid(vfs.inode_of(dentry).key)) add(name, vfs.inode_of(dentry).mode);
    if (inode.kind == kProcRoot)
        for (const auto& [pid, host] : kernel.pid_namespaces[vfs.supers.get(inode.super).namespace_index].members)
            if (const Task* task = proc_task(vfs, viewer, inode.super, proc_key(host)); task && kernel.process_of(*task).pid == host && !hidden(vfs, viewer, inode.super, *task)) add(fmt::format("{}", pid), kFolder);
    const Task* task = proc_tid(inode.key) ? proc_task(vfs, viewer, inode.super, inode.key) : nullptr;
    if (!task) return;
    const u32 pids = vfs.supers.get(inode.super).namespace_index;
    switch (inode.kind) {
    case kProcProcess: case kProcThread:
        for (const GeneratedFile& row : kProcessFiles) add(row.name, mode::kFile | row.mode);
        for (const char* name : kProcessFolders)
            if (inode.kind == kProcProcess || std::string_view(name) != "task") add(name, kFolder);
        for (const char* name : kProcessLinks) add(name, kLink);
        break;
    case kProcThreads:
        for (u32 thread : kernel.process_of(*task).threads)
            if (const i32 tid = kernel.pid_in(kernel.tasks[thread], pids)) add(fmt::format("{}", tid), kFolder);
        break;
    case kProcDescriptors: case kProcDescriptorInfos:
        for (u32 fd = 0; fd < Kernel::kMaxDescriptors; ++fd)
            if (viewer.kernel->any_file_of(*task, fd)) add(fmt::format("{}", fd), inode.kind == kProcDescriptors ? kLink : mode::kFile | 0444);
        break;
    case kProcNamespaces:
        for (const auto& [name, kind] : kNamespaceLinks) add(name, kLink);
        break;
    case kProcNet:
        for (const GeneratedFile& row : kProcNetFiles) add(row.name, mode::kFile | row.mode);
        break;
    default: break;
    }
}

// --- Links -------------------------------------------------------------------------------------------------------------------------

i64 proc_follow(Vfs& vfs, const Viewer& viewer, u32 index, Location& out) {
    const Inode inode = vfs.inodes.get(index);
    if (inode.kind < kProcExe) return kNoMagic;
    const Task* task = proc_task(vfs, viewer, inode.super, inode.key);
    if (!task) return -kENOENT;
    if (!may_trace(viewer, *task)) return -kEACCES;
    const Kernel& kernel = *viewer.kernel;
    const Process& process = kernel.process_of(*task);
    if (inode.kind != kProcNamespaceLink && process.zombie) return -kENOENT;
    switch (inode.kind) {
    case kProcExe: out = process.program; break;
    case kProcCwd: out = kernel.context_of(*task).cwd; break;
    case kProcRootLink: out = kernel.context_of(*task).root; break;
    case kProcNamespaceLink: {
        const auto& [name, kind] = kNamespaceLinks[proc_more(inode.key)];
        u32 own = kernel.namespace_of(*task, kind);
        if (std::string_view(name) == "pid_for_children") own = task->pid_namespace_of_children;
        if (std::string_view(name) == "time_for_children") own = task->time_namespace_of_children;
        out = vfs.namespace_file(static_cast<u32>(kind), own, kernel.namespace_inode(kind, own), namespace_name(kind), viewer.now);
        break;
    }
    case kProcDescriptorLink: {
        const OpenFile* file = viewer.kernel->any_file_of(*task, proc_more(inode.key));
        if (!file) return -kENOENT;
        out = file->location;
        break;
    }
    default: break;
    }
    if (!out.dentry) out = {0, vfs.dentry_of_magic(index), index}; // a file without a place: the link stands for it
    return 0;
}

std::string proc_link_text(Vfs& vfs, const Viewer& viewer, u32 index) {
    const Inode inode = vfs.inodes.get(index);
    const u32 pids = vfs.supers.get(inode.super).namespace_index;
    const Kernel& kernel = *viewer.kernel;
    if (inode.kind == kProcSelf || inode.kind == kProcThreadSelf) {
        const Task& own = kernel.tasks[viewer.task];
        const i32 pid = kernel.pid_in(kernel.process_of(own), pids);
        if (!pid) return "";
        return inode.kind == kProcSelf ? fmt::format("{}", pid) : fmt::format("{}/task/{}", pid, kernel.pid_in(own, pids));
    }
    if (inode.kind < kProcExe) return inode.target;
    Location target;
    const Task* task = proc_task(vfs, viewer, inode.super, inode.key);
    if (!task || proc_follow(vfs, viewer, index, target) < 0) return "";
    if (inode.kind == kProcDescriptorLink) return descriptor_text(vfs, viewer, *task, proc_more(inode.key));
    if (inode.kind == kProcNamespaceLink) return vfs.dentries.get(target.dentry).name;
    return vfs.path_of(viewer, target);
}

// --- Mounting ------------------------------------------------------------------------------------------------------------------------

i64 fill_proc(Vfs& vfs, const Viewer& viewer, u32 super, const MountRequest& request) {
    if (!viewer.may_mount_proc()) return -kEPERM;
    if (request.options.find("hidepid=") == std::string::npos && request.options.find("subset=") == std::string::npos && request.options.find("gid=") == std::string::npos &&
        !request.options.empty())
        return -kEINVAL;
    if (const i64 error = make_root(vfs, viewer, super, 0555, 0, 0)) return error;
    Superblock& block = vfs.supers.edit(super);
    block.namespace_index = viewer.pid_namespace();
    block.no_devices = block.no_execute = true;
    if (const std::size_t at = request.options.find("hidepid="); at != std::string::npos) {
        const char level = at + 8 < request.options.size() ? request.options[at + 8] : '0';
        block.hide_processes = level == '2' || level == 'i' || level == '4' ? 2 : level == '1' ? 1 : 0;
    }
    const u32 root = block.root;
    vfs.inodes.edit(vfs.dentries.get(root).inode).kind = kProcRoot;
    for (const GeneratedFile& row : kProcFiles)
        if (const i64 made = make_file(vfs, viewer, root, row, 0); made < 0) return made;
    const auto link = [&](const char* name, u32 kind, const char* target) {
        const i64 dentry = make(vfs, viewer, root, name, kind, 0, kLink);
        if (dentry >= 0) vfs.inodes.edit(vfs.dentries.get(static_cast<u32>(dentry)).inode).target = target;
    };
    link("self", kProcSelf, ""), link("thread-self", kProcThreadSelf, ""), link("mounts", kProcStatic, "self/mounts"), link("net", kProcStatic, "self/net");
    std::vector<const SystemControl*> controls; // inodes point at the rows of the tables themselves
    for (const auto* table : {&kSystemControls, &kNetControls, &kIpcControls})
        for (const SystemControl& control : *table) controls.push_back(&control);
    for (const SystemControl* row : controls) {
        const SystemControl& control = *row;
        u32 at = root;
        for (std::string_view rest = control.folder; !rest.empty();) {
            const std::size_t end = std::min(rest.find('/'), rest.size());
            const i64 made = vfs.add_directory(at, std::string(rest.substr(0, end)), 0555, viewer.now);
            if (made < 0) return made;
            at = static_cast<u32>(made);
            rest.remove_prefix(std::min(end + 1, rest.size()));
        }
        if (const i64 made = *control.row.name ? make_file(vfs, viewer, at, control.row, 0) : 0; made < 0) return made;
    }
    return 0;
}

i64 refuse_create(Vfs&, const Viewer&, u32, const std::string&, const NewNode& node) { return (node.mode & mode::kType) == mode::kFile ? -kEACCES : -kEPERM; }
i64 refuse_remove(Vfs&, const Viewer&, u32) { return -kEPERM; }

} // namespace

const FileSystemType kProc = [] {
    FileSystemType type{};
    type.name = "proc", type.magic = 0x9fa0, type.for_users = true, type.nodev = true, type.fill = fill_proc, type.lookup = proc_lookup, type.list = proc_list;
    type.create = refuse_create, type.remove = refuse_remove, type.follow = proc_follow, type.link_text = proc_link_text, type.alive = proc_alive;
    return type;
}();

const Task* proc_task(const Vfs& vfs, const Viewer& viewer, u32 super, u64 key) {
    const Kernel& kernel = *viewer.kernel;
    const auto record = kernel.pids.find(proc_tid(key));
    if (record == kernel.pids.end() || !record->second.has_task || !record->second.task) return nullptr;
    return kernel.pid_in(proc_tid(key), vfs.supers.get(super).namespace_index) ? &kernel.tasks[record->second.task] : nullptr;
}

bool may_trace(const Viewer& viewer, const Task& task) {
    const Kernel& kernel = *viewer.kernel;
    if (kernel.tasks[viewer.task].process == task.process) return true;
    const Credentials &own = *viewer.credentials, &other = task.credentials;
    const bool same_ids = own.fsuid == other.uid && own.fsuid == other.euid && own.fsuid == other.suid && own.fsgid == other.gid && own.fsgid == other.egid && own.fsgid == other.sgid;
    const bool privileged = viewer.capable(other.user_namespace, Capability::SysPtrace);
    if (!same_ids && !privileged) return false;
    if (!kernel.process_of(task).dumpable && !privileged) return false;
    const bool no_more_than_own = own.user_namespace == other.user_namespace && !(other.permitted & ~own.permitted);
    return no_more_than_own || privileged;
}

i64 require_trace(const Reader& reader) {
    const Task* task = proc_task(reader);
    return !task ? -kESRCH : may_trace(reader.viewer, *task) ? 0 : -kEACCES;
}

std::string descriptor_text(Vfs& vfs, const Viewer& viewer, const Task& task, u32 fd) {
    const OpenFile* file = viewer.kernel->any_file_of(task, fd);
    if (!file) return "";
    if (file->location.dentry) return vfs.path_of(viewer, file->location);
    const std::string link = file_operations(file->kind).link;
    return link.starts_with("anon_inode:") ? link : fmt::format("{}:[{}]", link.empty() ? "anon_inode" : link, 4096 + file->object);
}

const OpenFile* proc_open_file(const Vfs& vfs, const Viewer& viewer, u32 index) {
    const Inode& inode = vfs.inodes.get(index);
    if (inode.kind != kProcDescriptorLink || vfs.supers.get(inode.super).type != &kProc) return nullptr;
    const Task* task = proc_task(vfs, viewer, inode.super, inode.key);
    return task ? viewer.kernel->any_file_of(*task, proc_more(inode.key)) : nullptr;
}

std::string proc_note(const Vfs& vfs, const Viewer& viewer, u32 index) {
    const Inode& inode = vfs.inodes.get(index);
    if (vfs.supers.get(inode.super).type != &kProc || !inode.generated) return {};
    const Kernel& kernel = *viewer.kernel;
    const Task& reader = kernel.tasks[viewer.task];
    const u32 pids = vfs.supers.get(inode.super).namespace_index;
    const std::string name = inode.generated->name;
    const u32 uts = reader.namespaces.uts;
    if (name == "hostname" && uts)
        return fmt::format("\"{}\" in uts namespace {}; outside it is \"{}\"", kernel.uts_namespaces[uts].hostname, kernel.namespace_inode(NamespaceKind::Uts, uts), kernel.uts_namespaces[0].hostname);
    const Task* task = proc_tid(inode.key) ? proc_task(vfs, viewer, inode.super, inode.key) : nullptr;
    if (!task) return {};
    if ((name == "mounts" || name == "mountinfo") && task->namespaces.mnt)
        return fmt::format("{} mounts of mnt namespace {}; outside there are {}", vfs.namespace_at(task->namespaces.mnt).mounts.size(),
                           kernel.namespace_inode(NamespaceKind::Mnt, task->namespaces.mnt), vfs.namespace_at(0).mounts.size());
    if (name == "cgroup" && reader.namespaces.cgroup)
        return fmt::format("{} in cgroup namespace {}; outside it is {}", kernel.cgroup_path(task->cgroup, kernel.cgroup_namespaces[reader.namespaces.cgroup].root),
                           kernel.namespace_inode(NamespaceKind::Cgroup, reader.namespaces.cgroup), kernel.cgroup_path(task->cgroup, 0));
    if ((name == "stat" || name == "status" || name == "cmdline" || name == "comm") && pids)
        return fmt::format("process {} of pid namespace {}, for which this /proc was mounted; outside it is {}", kernel.pid_in(*task, pids), kernel.namespace_inode(NamespaceKind::Pid, pids), task->tid);
    return {};
}

} // namespace trapeze::container
