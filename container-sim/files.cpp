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

InodeType Kernel::type_of(u32 inode) const {
    if (!(inode & kProc)) return vfs_.at(inode).type;
    const u32 entry = proc_entry(inode);
    return entry == kFolder || entry == kSys || entry == kSysKernel ? InodeType::ProcPid : InodeType::ProcFile;
}

/// Child of a /proc folder as this reader sees it (in the pid namespace of the one who reads); 0 when there is none.
u32 Kernel::proc_child(const Task& task, u32 inode, const std::string& name) const {
    if (inode & kProc) {
        if (proc_entry(inode) == kSys) return name == "kernel" ? proc_inode(0, kSysKernel) : 0;
        if (proc_entry(inode) == kSysKernel) return name == "hostname" ? proc_inode(0, kHostname) : 0;
        for (const ProcName& file : kTaskFiles)
            if (name == file.name) return proc_inode(proc_task(inode), file.entry);
        return 0;
    }
    const u32 self = static_cast<u32>(&task - tasks_.data());
    if (name == "self") return proc_inode(self, kFolder);
    for (const ProcName& file : kRootFiles)
        if (name == file.name) return proc_inode(self, file.entry);
    const i32 pid = static_cast<i32>(std::strtol(name.c_str(), nullptr, 10));
    const auto found = pid > 0 ? task_by_pid(pid, task.namespaces.pid) : std::nullopt;
    return found ? proc_inode(*found, kFolder) : 0;
}

std::string Kernel::proc_text(const Task& reader, u32 inode) const {
    const u32 index = proc_task(inode);
    if (index >= tasks_.size()) return {};
    const Task& task = tasks_[index];
    const i32 pid = pid_in(task, reader.namespaces.pid), parent = pid_in(tasks_[task.parent], reader.namespaces.pid);
    const char state = task.state == TaskState::Zombie ? 'Z' : task.state == TaskState::Blocked ? 'S' : 'R';
    switch (proc_entry(inode)) {
    case kStat: {
        std::string text = fmt::format("{} ({}) {} {} {} {}", pid, task.name, state, parent, pid, pid);
        for (int i = 0; i < 46; ++i) text += " 0";
        return text + "\n";
    }
    case kStatus:
        return fmt::format("Name:\t{}\nState:\t{}\nTgid:\t{}\nPid:\t{}\nPPid:\t{}\nUid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\nNSpid:\t{}\nThreads:\t1\n", task.name, state, pid, pid, parent,
                           fmt::join(task.pids.begin() + std::min<std::ptrdiff_t>(pid_namespaces_[reader.namespaces.pid].level, static_cast<std::ptrdiff_t>(task.pids.size())), task.pids.end(), "\t"));
    case kCmdline: {
        std::string text;
        for (const std::string& argument : task.arguments) text += argument + '\0';
        return text;
    }
    case kComm: return task.name + "\n";
    case kHostname: return uts_namespaces_[reader.namespaces.uts].hostname + "\n";
    case kUptime: return "0.00 0.00\n";
    case kMeminfo:
        return fmt::format("MemTotal: {:>10} kB\nMemFree: {:>11} kB\nMemAvailable: {:>6} kB\n", frame_users_.size() * 4, (frame_users_.size() - frames_used_) * 4,
                           (frame_users_.size() - frames_used_) * 4);
    case kMounts: {
        std::string text;
        for (const auto& [id, mount] : mounts_of(task).mounts)
            text += fmt::format("{} {} {} {} 0 0\n", mount.is_root ? "rootfs" : mount.source, mount.is_root ? "/" : path_of(task, mount.on), mount.type, mount.read_only ? "ro" : "rw");
        return text;
    }
    default: return {};
    }
}

std::vector<std::pair<std::string, InodeType>> Kernel::list(const Task& reader, Location at) const {
    std::vector<std::pair<std::string, InodeType>> names{{".", InodeType::Directory}, {"..", InodeType::Directory}};
    if (at.inode & kProc) {
        if (proc_entry(at.inode) == kSys) names.emplace_back("kernel", InodeType::ProcPid);
        else if (proc_entry(at.inode) == kSysKernel) names.emplace_back("hostname", InodeType::ProcFile);
        else
            for (const ProcName& file : kTaskFiles) names.emplace_back(file.name, InodeType::ProcFile);
        return names;
    }
    const Inode& inode = vfs_.at(at.inode);
    if (inode.type == InodeType::ProcRoot) {
        for (u32 i = 1; i < tasks_.size(); ++i)
            if (const i32 pid = tasks_[i].state == TaskState::Free ? 0 : pid_in(tasks_[i], reader.namespaces.pid)) names.emplace_back(fmt::format("{}", pid), InodeType::ProcPid);
        names.emplace_back("self", InodeType::ProcPid);
        for (const ProcName& file : kRootFiles) names.emplace_back(file.name, file.entry == kSys ? InodeType::ProcPid : InodeType::ProcFile);
        return names;
    }
    for (const auto& [name, child] : inode.children) names.emplace_back(name, vfs_.at(child).type);
    return names;
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
    if (at == task.root) return at;
    if (at.inode & kProc) {
        if (proc_entry(at.inode) == kSysKernel) return {at.mount, proc_inode(0, kSys)};
        return {at.mount, mounts_of(task).mounts.at(at.mount).root};
    }
    const auto& mounts = mounts_of(task).mounts;
    for (auto mount = mounts.find(at.mount); mount != mounts.end() && mount->second.root == at.inode; mount = mounts.find(at.mount)) {
        if (mount->second.is_root) return at;
        at = mount->second.on;
        if (at == task.root) return at;
    }
    return {at.mount, vfs_.at(at.inode).parent};
}

Kernel::Found Kernel::walk(const Task& task, Location from, const std::string& path, bool follow_last, unsigned depth) const {
    Found found;
    if (path.empty()) return found.error = -ENOENT, found;
    if (depth > kMaxSymlinks) return found.error = -ELOOP, found;
    Location at = path[0] == '/' ? task.root : from;
    found.directory = at, found.name = ".";
    for (std::size_t begin = 0; begin < path.size();) {
        const std::size_t end = std::min(path.find('/', begin), path.size());
        const std::string part = path.substr(begin, end - begin);
        begin = end + 1;
        if (part.empty() || part == ".") continue;
        const InodeType type = type_of(at.inode);
        if (type != InodeType::Directory && type != InodeType::ProcRoot && type != InodeType::ProcPid) return found.error = -ENOTDIR, found;
        const bool last = path.find_first_not_of('/', end) == std::string::npos;
        found.directory = at, found.name = part, found.error = 0;
        if (part == "..") {
            at = step_up(task, at);
            continue;
        }
        u32 child = 0;
        if (type != InodeType::Directory) {
            child = proc_child(task, at.inode, part);
        } else if (const auto entry = vfs_.at(at.inode).children.find(part); entry != vfs_.at(at.inode).children.end()) {
            child = entry->second;
        }
        if (!child) return found.error = -ENOENT, found.location = last ? at : Location{}, found.name = last ? part : "", found;
        const Location next = cross_mounts(task, {at.mount, child});
        if (type_of(next.inode) == InodeType::Symlink && (!last || follow_last)) {
            const Found target = walk(task, at, vfs_.at(next.inode).target, true, depth + 1);
            if (target.error) return target;
            at = target.location;
            if (last) found.directory = target.directory, found.name = target.name;
            continue;
        }
        at = next;
    }
    found.location = at;
    return found;
}

std::string Kernel::path_of(const Task& task, Location at) const {
    std::string path;
    for (unsigned depth = 0; depth < 256 && !(at == task.root); ++depth) {
        Location here = at;
        const auto& mounts = mounts_of(task).mounts;
        while (mounts.contains(here.mount) && mounts.at(here.mount).root == here.inode && !mounts.at(here.mount).is_root) here = mounts.at(here.mount).on;
        const Location up = step_up(task, at);
        if (up == at) break;
        std::string name = "?";
        if (here.inode & kProc) {
            name = fmt::format("{}", pid_in(tasks_[proc_task(here.inode)], task.namespaces.pid));
        } else {
            for (const auto& [entry, child] : vfs_.at(vfs_.at(here.inode).parent).children)
                if (child == here.inode) name = entry;
        }
        path = "/" + name + path;
        at = up;
    }
    return path.empty() ? "/" : path;
}

// --- Descriptors ----------------------------------------------------------------------------------------------------------------

/// A new open file description with no user yet: new_descriptor adds the first.
i64 Kernel::new_file(OpenFile file) {
    file.users = 0;
    if ((file.kind == FileKind::Inode) && type_of(file.location.inode) == InodeType::Tty) file.kind = FileKind::Tty;
    for (std::size_t i = 0; i < files_.size(); ++i)
        if (!files_[i].users) return files_[i] = std::move(file), static_cast<i64>(i);
    if (files_.size() >= kMaxFiles) return -ENFILE;
    files_.push_back(std::move(file));
    return static_cast<i64>(files_.size() - 1);
}

i64 Kernel::new_descriptor(Task& task, u32 file, bool close_on_exec, u32 least) {
    for (u32 fd = least; fd < kMaxDescriptors; ++fd) {
        if (fd >= task.files.size()) task.files.resize(fd + 1);
        if (task.files[fd].file) continue;
        task.files[fd] = {file + 1, close_on_exec};
        ++files_[file].users;
        return fd;
    }
    return -EMFILE;
}

OpenFile* Kernel::file_of(Task& task, u64 fd) { return fd < task.files.size() && task.files[fd].file ? &files_[task.files[fd].file - 1] : nullptr; }

/// Which of `events` (POLLIN 1, POLLOUT 4) hold, with POLLHUP 0x10 and POLLERR 8.
i16 Kernel::poll_file(const OpenFile& file, i16 events) const {
    constexpr i16 kIn = 1, kOut = 4, kError = 8, kHangUp = 0x10;
    i16 now = 0;
    switch (file.kind) {
    case FileKind::Tty: now = kOut | (ttys_[file.object].input.empty() && !ttys_[file.object].closed ? 0 : kIn); break;
    case FileKind::PipeRead: now = (pipes_[file.object].buffer.empty() ? 0 : kIn) | (pipes_[file.object].writers ? 0 : kHangUp); break;
    case FileKind::PipeWrite: now = (pipes_[file.object].buffer.size() < kPipeBytes ? kOut : 0) | (pipes_[file.object].readers ? 0 : kError); break;
    case FileKind::Inode: now = kIn | kOut; break;
    }
    return static_cast<i16>(now & (events | kError | kHangUp));
}

void Kernel::close_file(u32 file) {
    OpenFile& open = files_[file];
    if (!open.users || --open.users) return;
    if (open.kind == FileKind::PipeRead) --pipes_[open.object].readers;
    if (open.kind == FileKind::PipeWrite) --pipes_[open.object].writers;
    if (open.kind == FileKind::PipeRead || open.kind == FileKind::PipeWrite) {
        Pipe& pipe = pipes_[open.object];
        if (!pipe.readers && !pipe.writers) pipe = {};
    }
    open = {};
}

void Kernel::close_all(Task& task, bool only_on_exec) {
    for (Descriptor& descriptor : task.files)
        if (descriptor.file && (!only_on_exec || descriptor.close_on_exec)) {
            close_file(descriptor.file - 1);
            descriptor = {};
        }
}

} // namespace trapeze::container
