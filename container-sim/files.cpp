// Paths and open files: walking with mounts and links, descriptors, and what /proc shows. /proc has no inodes of its own: numbers above
// kProc stand for what is made up when it is read.
#include "container-sim/kernel.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace trapeze::container {

namespace {

// A made-up inode of /proc: kProc | task << 8 | entry. Entry 0 is the task's folder.
constexpr u32 kProc = 0x8000'0000;
enum ProcEntry : u32 { kFolder, kStat, kStatus, kCmdline, kComm, kMounts, kUptime, kMeminfo, kHostname, kSys, kSysKernel, kEntries };
struct ProcName {
    const char* name;
    ProcEntry entry;
};
constexpr ProcName kTaskFiles[] = {{"stat", kStat}, {"status", kStatus}, {"cmdline", kCmdline}, {"comm", kComm}, {"mounts", kMounts}};
constexpr ProcName kRootFiles[] = {{"mounts", kMounts}, {"uptime", kUptime}, {"meminfo", kMeminfo}, {"sys", kSys}};

u32 proc_inode(u32 task, u32 entry) { return kProc | task << 8 | entry; }
u32 proc_task(u32 inode) { return (inode & ~kProc) >> 8; }
u32 proc_entry(u32 inode) { return inode & 0xff; }

} // namespace

bool Kernel::is_folder(u32 inode) const {
    const InodeType type = type_of(inode);
    return type == InodeType::Directory || type == InodeType::ProcRoot || type == InodeType::ProcPid;
}

InodeType Kernel::type_of(u32 inode) const {
    if (!(inode & kProc)) return vfs.at(inode).type;
    const u32 entry = proc_entry(inode);
    return entry == kFolder || entry == kSys || entry == kSysKernel ? InodeType::ProcPid : InodeType::ProcFile;
}

/// Child of a /proc folder: processes as the pid namespace sees them for which it was mounted; 0 when there is none.
u32 Kernel::proc_child(const Task& task, Location at, const std::string& name) const {
    const u32 pids = proc_namespace(task, at), inode = at.inode;
    if (inode & kProc) {
        if (proc_entry(inode) == kSys) return name == "kernel" ? proc_inode(0, kSysKernel) : 0;
        if (proc_entry(inode) == kSysKernel) return name == "hostname" ? proc_inode(0, kHostname) : 0;
        const Process& shown = processes[proc_task(inode)]; // it may have ended while its folder was open, and another may be in its place
        if (!shown.used || !pid_in(shown, pids)) return 0;
        for (const ProcName& file : kTaskFiles)
            if (name == file.name) return proc_inode(proc_task(inode), file.entry);
        return 0;
    }
    const u32 self = task.process;
    if (name == "self") return pid_in(task, pids) ? proc_inode(self, kFolder) : 0;
    for (const ProcName& file : kRootFiles)
        if (name == file.name) return proc_inode(self, file.entry);
    const i32 pid = static_cast<i32>(std::strtol(name.c_str(), nullptr, 10));
    const auto found = pid > 0 && name == fmt::format("{}", pid) ? process_by_pid(pid, pids) : std::nullopt;
    return found ? proc_inode(*found, kFolder) : 0;
}

std::string Kernel::proc_text(const Task& reader, Location at) const {
    const u32 index = proc_task(at.inode), seen_in = proc_namespace(reader, at);
    const Process& process = processes[index];
    const Task& task = tasks[process.leader];
    const i32 pid = pid_in(process, seen_in), parent = pid_in(processes[process.parent], seen_in);
    const std::vector<i32>& numbers = pids.at(process.pid).numbers;
    const char state = process.zombie ? 'Z' : process.stopped ? 'T' : task.state == TaskState::Blocked ? 'S' : 'R';
    switch (proc_entry(at.inode)) {
    case kStat: {
        std::string text = fmt::format("{} ({}) {} {} {} {}", pid, task.name, state, parent, pid, pid);
        for (int i = 0; i < 46; ++i) text += " 0";
        return text + "\n";
    }
    case kStatus:
        return fmt::format("Name:\t{}\nState:\t{}\nTgid:\t{}\nPid:\t{}\nPPid:\t{}\nUid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\nNSpid:\t{}\nThreads:\t1\n", task.name, state, pid, pid, parent,
                           fmt::join(numbers.begin() + std::min<std::ptrdiff_t>(pid_namespaces[seen_in].level, static_cast<std::ptrdiff_t>(numbers.size())), numbers.end(), "\t"));
    case kCmdline: {
        std::string text;
        for (const std::string& argument : process.arguments) text += argument + '\0';
        return text;
    }
    case kComm: return task.name + "\n";
    case kHostname: return uts_namespaces[reader.namespaces.uts].hostname + "\n";
    case kUptime: return "0.00 0.00\n";
    case kMeminfo:
        return fmt::format("MemTotal: {:>10} kB\nMemFree: {:>11} kB\nMemAvailable: {:>6} kB\n", frame_users.size() * 4, (frame_users.size() - used_frames) * 4,
                           (frame_users.size() - used_frames) * 4);
    case kMounts: {
        std::string text;
        for (const auto& [id, mount] : mounts_of(task).mounts)
            text += fmt::format("{} {} {} {} 0 0\n", mount.is_root ? "rootfs" : mount.source, mount.is_root ? "/" : path_of(task, mount.on), mount.type, mount.read_only ? "ro" : "rw");
        return text;
    }
    default: return {};
    }
}

/// What a namespace decided about a file of /proc, and what it would be outside; empty when none did.
std::string Kernel::proc_note(const Task& reader, Location at) const {
    const u32 pids = proc_namespace(reader, at);
    const Process& process = processes[proc_task(at.inode)];
    const Task& task = tasks[process.leader];
    switch (proc_entry(at.inode)) {
    case kStat: case kStatus: case kCmdline: case kComm:
        if (!pids) return {};
        return fmt::format("process {} of pid namespace {}, for which this /proc was mounted; outside it is {}", pid_in(process, pids), namespace_inode(NamespaceKind::Pid, pids), process.pid);
    case kHostname:
        if (!reader.namespaces.uts) return {};
        return fmt::format("\"{}\" in uts namespace {}; outside it is \"{}\"", uts_namespaces[reader.namespaces.uts].hostname,
                           namespace_inode(NamespaceKind::Uts, reader.namespaces.uts), uts_namespaces[0].hostname);
    case kMounts:
        if (!task.namespaces.mnt) return {};
        return fmt::format("{} mounts of mnt namespace {}; outside there are {}", mounts_of(task).mounts.size(), namespace_inode(NamespaceKind::Mnt, task.namespaces.mnt),
                           mount_namespaces[0].mounts.size());
    default: return {};
    }
}

std::vector<Kernel::Entry> Kernel::list(const Task& reader, Location at) const {
    std::vector<Entry> entries{{".", InodeType::Directory, at.inode}, {"..", InodeType::Directory, step_up(reader, at).inode}};
    const auto add = [&](const std::string& name, u32 inode) { entries.push_back({name, type_of(inode), inode}); };
    if (at.inode & kProc) {
        const u32 task = proc_task(at.inode);
        if (proc_entry(at.inode) == kSys) add("kernel", proc_inode(task, kSysKernel));
        else if (proc_entry(at.inode) == kSysKernel) add("hostname", proc_inode(task, kHostname));
        else
            for (const ProcName& file : kTaskFiles)
                if (proc_child(reader, at, file.name)) add(file.name, proc_inode(task, file.entry));
        return entries;
    }
    const Inode& inode = vfs.at(at.inode);
    if (inode.type == InodeType::ProcRoot) {
        const u32 pids = proc_namespace(reader, at);
        for (u32 i = 1; i < processes.size(); ++i)
            if (const i32 pid = processes[i].used ? pid_in(processes[i], pids) : 0) add(fmt::format("{}", pid), proc_inode(i, kFolder));
        const u32 self = reader.process;
        if (pid_in(reader, pids)) add("self", proc_inode(self, kFolder));
        for (const ProcName& file : kRootFiles) add(file.name, proc_inode(self, file.entry));
        return entries;
    }
    for (const auto& [name, child] : inode.children) add(name, child);
    return entries;
}

// --- Walking -----------------------------------------------------------------------------------------------------------------

/// Down into whatever is mounted here, however often.
Location Kernel::cross_mounts(const Task& task, Location at) const {
    for (bool again = true; again;) {
        again = false;
        for (const auto& [id, mount] : mounts_of(task).mounts)
            if (!mount.is_root && mount.on == at) {
                at = {id, mount.root};
                again = true;
            }
    }
    return at;
}

/// "..": never above the task's root, and out of a mount to where it is mounted.
Location Kernel::step_up(const Task& task, Location at) const {
    if (at == context_of(task).root) return at;
    if (at.inode & kProc) {
        if (proc_entry(at.inode) == kSysKernel) return {at.mount, proc_inode(0, kSys)};
        return {at.mount, mounts_of(task).mounts.at(at.mount).root};
    }
    const auto& mounts = mounts_of(task).mounts;
    for (auto mount = mounts.find(at.mount); mount != mounts.end() && mount->second.root == at.inode; mount = mounts.find(at.mount)) {
        if (mount->second.is_root) return at;
        at = mount->second.on;
        if (at == context_of(task).root) return at;
    }
    return {at.mount, vfs.at(at.inode).parent};
}

Kernel::Found Kernel::walk(const Task& task, Location from, const std::string& path, bool follow_last) const {
    unsigned links = 0;
    return walk(task, from, path, follow_last, links);
}

/// `links` counts those of the whole path, however they are nested: a few long ones that name each other would otherwise never end.
Kernel::Found Kernel::walk(const Task& task, Location from, const std::string& path, bool follow_last, unsigned& links) const {
    constexpr std::size_t kMaxName = 255;
    Found found;
    if (path.empty()) return found.error = -kENOENT, found;
    Location at = path[0] == '/' ? context_of(task).root : from;
    found.directory = at, found.name = ".";
    for (std::size_t begin = 0; begin < path.size();) {
        const std::size_t end = std::min(path.find('/', begin), path.size());
        const std::string part = path.substr(begin, end - begin);
        begin = end + 1;
        if (!is_folder(at.inode)) return found.error = -kENOTDIR, found; // so are "file/" and "file/."
        if (part == ".") found.directory = at, found.name = part;
        if (part.empty() || part == ".") continue;
        if (part.size() > kMaxName) return found.error = -kENAMETOOLONG, found;
        const InodeType type = type_of(at.inode);
        const bool last = path.find_first_not_of('/', end) == std::string::npos, slash_follows = end < path.size();
        found.directory = at, found.name = part, found.error = 0;
        if (part == "..") {
            at = step_up(task, at);
            continue;
        }
        u32 child = 0;
        if (type != InodeType::Directory) {
            child = proc_child(task, at, part);
        } else if (const auto entry = vfs.at(at.inode).children.find(part); entry != vfs.at(at.inode).children.end()) {
            child = entry->second;
        }
        if (!child) return found.error = -kENOENT, found.location = last ? at : Location{}, found.name = last ? part : "", found;
        const Location next = cross_mounts(task, {at.mount, child});
        if (type_of(next.inode) == InodeType::Symlink && (!last || follow_last || slash_follows)) {
            if (++links > kMaxSymlinks) return found.error = -kELOOP, found;
            Found target = walk(task, at, vfs.at(next.inode).target, true, links);
            if (target.error && !last) target.location = {}; // what is missing is not the last part
            if (target.error) return target;
            at = target.location;
            if (last) found.directory = target.directory, found.name = target.name;
            continue;
        }
        at = next;
    }
    if (path.back() == '/' && !is_folder(at.inode)) return found.error = -kENOTDIR, found;
    found.location = at;
    return found;
}

std::string Kernel::path_of(const Task& task, Location at) const {
    std::string path;
    for (unsigned depth = 0; depth < 256 && !(at == context_of(task).root); ++depth) {
        Location here = at;
        const auto& mounts = mounts_of(task).mounts;
        while (mounts.contains(here.mount) && mounts.at(here.mount).root == here.inode && !mounts.at(here.mount).is_root) here = mounts.at(here.mount).on;
        const Location up = step_up(task, at);
        if (up == at) break;
        std::string name = "?";
        if (here.inode & kProc) {
            name = fmt::format("{}", pid_in(processes[proc_task(here.inode)], task.namespaces.pid));
        } else {
            for (const auto& [entry, child] : vfs.at(vfs.at(here.inode).parent).children)
                if (child == here.inode) name = entry;
        }
        path = "/" + name + path;
        at = up;
    }
    return path.empty() ? "/" : path;
}

// --- Inodes ------------------------------------------------------------------------------------------------------------------

/// Frees the inodes that have no name and no user any more. False: there is none.
bool Kernel::reclaim_inodes() {
    std::vector<bool> used(vfs.inodes());
    const auto use = [&](u32 inode) { if (inode < used.size()) used[inode] = true; };
    for (u32 i = 0; i < files.end(); ++i)
        if (files.contains(i) && files[i].kind == FileKind::Inode) use(files[i].location.inode);
    for (u32 i = 0; i < contexts.end(); ++i)
        if (contexts.contains(i)) use(contexts[i].root.inode), use(contexts[i].cwd.inode);
    for (u32 i = 0; i < spaces.end(); ++i)
        for (const auto& [begin, vma] : spaces[i].vmas) use(vma.inode);
    bool any = false;
    for (u32 inode = 1; inode < used.size(); ++inode)
        if (vfs.at(inode).unlinked && !used[inode]) {
            forget_pages(inode);
            vfs.release(inode);
            any = true;
        }
    return any;
}

i64 Kernel::create_inode(u32 directory, const std::string& name, InodeType type, u32 mode) {
    const i64 made = vfs.create(directory, name, type, mode);
    return made == -kENOSPC && reclaim_inodes() ? vfs.create(directory, name, type, mode) : made;
}

} // namespace trapeze::container
