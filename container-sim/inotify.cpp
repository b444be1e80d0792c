// inotify(7): what happens to an inode is told to those who watch it, and to those who watch the folder that it is in, with its name there.
#include "container-sim/inotify.hpp"

#include "container-sim/abi.hpp"
#include "container-sim/file_operations.hpp"

#include <algorithm>
#include <cstring>

namespace trapeze::container {

namespace {

constexpr std::size_t kEventsBetweenCounts = 64;

WaitKey queue_key(u32 queue) { return {WaitKind::Inode, queue, 4}; }

/// struct inotify_event; a name is padded with zeros to a multiple of its size.
struct EventHead {
    i32 watch;
    u32 mask, cookie, bytes;
};
static_assert(sizeof(EventHead) == 16);
u32 name_bytes(const std::string& name) { return name.empty() ? 0 : static_cast<u32>((name.size() + sizeof(EventHead)) / sizeof(EventHead) * sizeof(EventHead)); }
u64 event_bytes(const WatchEvent& event) { return sizeof(EventHead) + name_bytes(event.name); }

Attempt read_events(const Call& call, OpenFile& file, u64 to, u64 bytes, u64*) {
    WatchQueue& queue = call.kernel.watch_queues[file.object];
    if (queue.events.empty()) return file.flags & kNonBlock ? Attempt(-kEAGAIN) : call.wait(queue_key(file.object));
    if (event_bytes(queue.events.front()) > bytes) return -kEINVAL;
    std::vector<u8> data;
    std::size_t told = 0;
    for (; told < queue.events.size() && data.size() + event_bytes(queue.events[told]) <= bytes; ++told) {
        const WatchEvent& event = queue.events[told];
        const EventHead head{event.watch, event.mask, event.cookie, name_bytes(event.name)};
        const std::size_t at = data.size();
        data.resize(at + event_bytes(event));
        std::memcpy(data.data() + at, &head, sizeof head);
        std::memcpy(data.data() + at + sizeof head, event.name.data(), event.name.size());
    }
    if (!call.kernel.copy_out(call.machine, call.task(), to, data)) return -kEFAULT;
    queue.events.erase(queue.events.begin(), queue.events.begin() + static_cast<std::ptrdiff_t>(told));
    return static_cast<i64>(data.size());
}

Attempt queue_ioctl(const Call& call, OpenFile& file, u64 request, u64 argument) {
    constexpr u64 kReadable = 0x541b; // FIONREAD
    if (request != kReadable) return -kENOTTY;
    u64 bytes = 0;
    for (const WatchEvent& event : call.kernel.watch_queues[file.object].events) bytes += event_bytes(event);
    return call.write_user(argument, static_cast<i32>(bytes)) ? Attempt(0) : Attempt(-kEFAULT);
}

} // namespace

const FileOperations kWatchOperations{.read = read_events,
                                      .poll = [](const Kernel& kernel, const OpenFile& file) { return kernel.watch_queues[file.object].events.empty() ? i16{0} : kPollIn; },
                                      .wait_key = [](const OpenFile& file) { return queue_key(file.object); }, .ioctl = queue_ioctl,
                                      .close = [](Kernel& kernel, Machine&, OpenFile& file) { kernel.watch_queues.erase(file.object); }, .mode = 0600, .link = "anon_inode:inotify"};

/// An event for a queue. One that is like the last is not told twice; beyond the limit one event says that others are missing.
void Kernel::queue_watch_event(u32 index, WatchEvent event) {
    WatchQueue& queue = watch_queues[index];
    if (!queue.events.empty() && queue.events.back() == event) return;
    bool full = queue.events.size() >= kMaxWatchEvents;
    if (!full && queue.events.size() % kEventsBetweenCounts == kEventsBetweenCounts - 1) { // many queues that nobody reads are bounded together
        std::size_t total = 0;
        for (u32 i = 0; i < watch_queues.end(); ++i) total += watch_queues.contains(i) ? watch_queues[i].events.size() : 0;
        full = total >= 16 * kMaxWatchEvents;
    }
    if (full) {
        if (queue.events.back().mask & watch::kOverflow) return;
        event = {-1, watch::kOverflow, 0, ""};
    }
    queue.events.push_back(std::move(event));
    wake(queue_key(index));
}

/// Tells who watches the inode (with no name), or (`name`) the folder that it is.
void Kernel::tell_watchers_of(u32 inode, u32 mask, u32 cookie, const std::string& name) {
    for (u32 i = 0; i < watch_queues.end(); ++i) {
        if (!watch_queues.contains(i)) continue;
        for (auto at = watch_queues[i].watches.begin(); at != watch_queues[i].watches.end();) {
            const auto [number, own] = *at++;
            if (own.inode != inode || !(own.mask & mask & watch::kAll)) continue;
            queue_watch_event(i, {number, mask, cookie, name});
            if (own.mask & watch::kOneShot) watch_queues[i].watches.erase(number), queue_watch_event(i, {number, watch::kIgnored, 0, ""});
        }
    }
}

/// Something has happened to the file behind a name.
void Kernel::tell_watchers(u32 dentry, u32 mask) {
    if (!watch_queues.size() || !dentry) return;
    const Dentry& entry = vfs.dentries.get(dentry);
    if (!entry.inode) return;
    const u32 folder = vfs.inodes.get(entry.inode).is_directory() ? watch::kIsFolder : 0;
    if (entry.parent != dentry && !entry.unhashed) tell_watchers_of(vfs.dentries.get(entry.parent).inode, mask | folder, 0, entry.name);
    tell_watchers_of(entry.inode, mask | folder, 0, "");
}

/// A name has come to a folder or has gone from it.
void Kernel::tell_name(u32 directory, u32 inode, const std::string& name, u32 mask, u32 cookie) {
    if (!watch_queues.size()) return;
    tell_watchers_of(vfs.dentries.get(directory).inode, mask | (vfs.inodes.get(inode).is_directory() ? watch::kIsFolder : 0), cookie, name);
}

/// An inode's last name has gone: who watches it is told, and watches it no longer.
void Kernel::tell_deleted(u32 inode) {
    if (!watch_queues.size()) return;
    if (vfs.inodes.get(inode).links && !vfs.inodes.get(inode).is_directory()) return tell_watchers_of(inode, watch::kAttributes, 0, "");
    tell_watchers_of(inode, watch::kDeleteSelf, 0, "");
    for (u32 i = 0; i < watch_queues.end(); ++i)
        if (watch_queues.contains(i))
            for (auto at = watch_queues[i].watches.begin(); at != watch_queues[i].watches.end();) {
                const i32 number = at->first;
                if (at++->second.inode != inode) continue;
                watch_queues[i].watches.erase(number);
                queue_watch_event(i, {number, watch::kIgnored, 0, ""});
            }
}

Attempt Call::inotify_init1() const {
    if (arg(0) & ~(kNonBlock | kCloseOnExec)) return -kEINVAL;
    std::size_t own = 0;
    for (u32 i = 0; i < kernel.watch_queues.end(); ++i) own += kernel.watch_queues.contains(i) && kernel.watch_queues[i].owner == task().credentials.uid;
    if (own >= kMaxWatchQueues) return -kEMFILE;
    WatchQueue queue;
    queue.owner = task().credentials.uid;
    OpenFile file;
    file.kind = FileKind::Watch, file.object = kernel.watch_queues.add(std::move(queue)), file.flags = static_cast<u32>(arg(0) & kNonBlock);
    return kernel.install(machine, task(), std::move(file), arg(0) & kCloseOnExec);
}

Attempt Call::inotify_add_watch() const {
    const u32 mask = static_cast<u32>(arg(2));
    constexpr u32 kOptions = watch::kOnlyFolders | watch::kDontFollow | watch::kExcludeUnlinked | watch::kMaskCreate | watch::kMaskAdd | watch::kIsFolder | watch::kOneShot;
    const OpenFile* file = kernel.file_of(task(), fd_arg(0));
    if (!(mask & watch::kAll) || mask & ~(watch::kAll | kOptions | watch::kUnmounted | watch::kOverflow | watch::kIgnored)) return -kEINVAL;
    if (!file) return -kEBADF;
    if ((mask & (watch::kMaskAdd | watch::kMaskCreate)) == (watch::kMaskAdd | watch::kMaskCreate) || file->kind != FileKind::Watch) return -kEINVAL;
    const u32 index = file->object;
    const Found found = find_arg(6, 1, mask & watch::kDontFollow ? 0 : kFollow);
    if (found.error) return found.error;
    if (mask & watch::kOnlyFolders && !kernel.vfs.is_directory(found.location)) return -kENOTDIR;
    if (const i64 error = kernel.vfs.permission(viewer(), found.location, mode::kRead)) return error;
    WatchQueue& queue = kernel.watch_queues[index];
    const u32 kept = mask & (watch::kAll | watch::kExcludeUnlinked | watch::kOneShot);
    for (auto& [number, own] : queue.watches) {
        if (own.inode != found.location.inode) continue;
        if (mask & watch::kMaskCreate) return -kEEXIST;
        own.mask = mask & watch::kMaskAdd ? own.mask | kept : kept;
        return number;
    }
    std::size_t total = 0;
    for (u32 i = 0; i < kernel.watch_queues.end(); ++i) total += kernel.watch_queues.contains(i) && kernel.watch_queues[i].owner == queue.owner ? kernel.watch_queues[i].watches.size() : 0;
    if (total >= kMaxWatches) return -kENOSPC;
    queue.watches[queue.next] = {found.location.inode, kept};
    return queue.next++;
}

Attempt Call::inotify_rm_watch() const {
    const OpenFile* file = kernel.file_of(task(), fd_arg(0));
    if (!file) return -kEBADF;
    if (file->kind != FileKind::Watch || !kernel.watch_queues[file->object].watches.erase(int_arg(1))) return -kEINVAL;
    kernel.queue_watch_event(file->object, {int_arg(1), watch::kIgnored, 0, ""});
    return 0;
}

} // namespace trapeze::container
