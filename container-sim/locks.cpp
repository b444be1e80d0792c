// fcntl(2)'s record locks, flock(2), and /proc/locks. Who waits is woken whenever a lock of the file goes, and tries again in order.
#include "container-sim/locks.hpp"

#include "container-sim/abi.hpp"
#include "container-sim/fs/proc.hpp"
#include "container-sim/syscalls.hpp"

#include <algorithm>

namespace trapeze::container {

/// struct flock
struct LockRecord {
    i16 type, whence;
    i32 pad;
    i64 start, length;
    i32 pid, pad2;
};
static_assert(sizeof(LockRecord) == 32);

namespace {

constexpr i16 kReadLock = 0, kWriteLock = 1, kUnlock = 2;
constexpr unsigned kMostDeadlockSteps = 10; // as Linux looks

/// What a file is locked as: its inode, or what its kind calls it by.
u64 lock_subject(const OpenFile& file) { return file.location.dentry ? file.location.inode : u64{1} << 63 | static_cast<u64>(file.kind) << 32 | file.object; }
WaitKey lock_key(u64 subject) { return {WaitKind::Inode, subject, 3}; }

const FileLock* conflicting(const std::vector<FileLock>& locks, const FileLock& wanted) {
    const auto found = std::find_if(locks.begin(), locks.end(), [&](const FileLock& lock) { return lock.conflicts(wanted); });
    return found == locks.end() ? nullptr : &*found;
}

/// Takes the bytes of `area` out of its owner's locks.
void cut_out(std::vector<FileLock>& locks, const FileLock& area) {
    std::vector<FileLock> kept;
    std::erase_if(locks, [&](const FileLock& lock) {
        if (!lock.same_owner(area) || !lock.overlaps(area)) return false;
        FileLock rest = lock;
        if (lock.begin < area.begin) rest.end = area.begin - 1, kept.push_back(rest);
        rest = lock;
        if (lock.end > area.end) rest.begin = area.end + 1, kept.push_back(rest);
        return true;
    });
    locks.insert(locks.end(), kept.begin(), kept.end());
}

/// Adds a lock; neighbours of the same owner and kind become one with it. Pre: nothing of its owner is there.
void add_lock(std::vector<FileLock>& locks, FileLock fresh) {
    std::erase_if(locks, [&](const FileLock& lock) {
        const bool touches = lock.same_owner(fresh) && lock.writes == fresh.writes && ((lock.end != ~u64{0} && lock.end + 1 == fresh.begin) || (fresh.end != ~u64{0} && fresh.end + 1 == lock.begin));
        if (touches) fresh.begin = std::min(fresh.begin, lock.begin), fresh.end = std::max(fresh.end, lock.end);
        return touches;
    });
    const auto place = std::find_if(locks.begin(), locks.end(), [&](const FileLock& lock) { return lock.begin > fresh.begin; });
    locks.insert(place, fresh);
}

} // namespace

void Kernel::wake_lock_waiters(u64 subject) {
    if (const auto locks = file_locks.find(subject); locks != file_locks.end() && locks->second.empty()) file_locks.erase(locks);
    wake(lock_key(subject));
}

/// A descriptor of the file is closed: the process's records go, whichever descriptor they were taken with.
void Kernel::drop_process_locks(u32 file, u32 table) {
    const u64 subject = lock_subject(files[file]);
    const auto locks = file_locks.find(subject);
    if (locks != file_locks.end() && std::erase_if(locks->second, [table](const FileLock& lock) { return lock.kind == LockKind::Process && lock.owner == table; })) wake_lock_waiters(subject);
}

/// The open file description goes.
void Kernel::drop_description_locks(u32 file) {
    const u64 subject = lock_subject(files[file]);
    const auto locks = file_locks.find(subject);
    if (locks != file_locks.end() && std::erase_if(locks->second, [file](const FileLock& lock) { return lock.kind != LockKind::Process && lock.owner == file; })) wake_lock_waiters(subject);
}

/// Whether waiting for `owner` (a table of descriptors) would close a circle back to the caller's.
bool Call::would_deadlock(u32 owner) const {
    for (unsigned step = 0; step < kMostDeadlockSteps; ++step) {
        if (owner == task().descriptors) return true;
        const auto waiter = std::find_if(kernel.tasks.begin(), kernel.tasks.end(), [&](const Task& other) {
            return other.state == TaskState::Blocked && other.descriptors == owner && other.resume_more && other.waits.size() == 1 && other.waits[0].kind == WaitKind::Inode && other.waits[0].more == 3;
        });
        if (waiter == kernel.tasks.end()) return false;
        owner = static_cast<u32>(waiter->resume_more - 1);
    }
    return false;
}

/// Bytes that a struct flock names.
i64 Call::lock_area(const OpenFile& file, const LockRecord& record, FileLock& out) const {
    if (record.whence < 0 || record.whence > 2) return -kEINVAL;
    const i64 base = record.whence == 0 ? 0 : record.whence == 1 ? static_cast<i64>(file.offset) : file.location.dentry ? static_cast<i64>(kernel.vfs.size_of(file.location.inode)) : 0;
    i64 begin = 0, end = 0;
    if (__builtin_add_overflow(base, record.start, &begin)) return -kEOVERFLOW;
    if (begin < 0) return -kEINVAL;
    if (record.length > 0) {
        if (__builtin_add_overflow(begin, record.length - 1, &end)) return -kEOVERFLOW;
        out.end = static_cast<u64>(end);
    } else if (record.length < 0) {
        if (begin + record.length < 0) return -kEINVAL;
        out.end = static_cast<u64>(begin - 1), begin += record.length;
    } else {
        out.end = ~u64{0};
    }
    out.begin = static_cast<u64>(begin);
    return 0;
}

/// F_GETLK: the first lock that would keep this one out, or F_UNLCK.
i64 Call::get_lock(const FileLock& wanted, LockRecord record, const std::vector<FileLock>& locks) const {
    const FileLock* other = conflicting(locks, wanted);
    if (!other) {
        record.type = kUnlock;
        return write_user(arg(2), record) ? 0 : -kEFAULT;
    }
    record.type = other->writes ? kWriteLock : kReadLock, record.whence = 0;
    record.start = static_cast<i64>(other->begin), record.length = other->end == ~u64{0} ? 0 : static_cast<i64>(other->end - other->begin + 1);
    record.pid = other->kind == LockKind::Description ? -1 : kernel.pid_in(other->pid, task().namespaces.pid);
    return write_user(arg(2), record) ? 0 : -kEFAULT;
}

Attempt Call::record_lock(OpenFile& file, bool of_description, LockCommand command) const {
    LockRecord record{};
    FileLock wanted;
    if (!read_user(arg(2), record)) return -kEFAULT;
    if (of_description && record.pid) return -kEINVAL;
    if (record.type < kReadLock || record.type > kUnlock || (command == LockCommand::Get && record.type == kUnlock)) return -kEINVAL;
    if (const i64 error = lock_area(file, record, wanted)) return error;
    wanted.kind = of_description ? LockKind::Description : LockKind::Process, wanted.writes = record.type == kWriteLock;
    wanted.owner = of_description ? file_number(fd_arg(0)) : task().descriptors, wanted.pid = kernel.process_of(task()).pid;
    const u64 subject = lock_subject(file);
    if (command == LockCommand::Get) {
        const auto known = kernel.file_locks.find(subject);
        return get_lock(wanted, record, known == kernel.file_locks.end() ? std::vector<FileLock>() : known->second);
    }
    if (record.type == kReadLock && (file.flags & kAccess) == kWriteOnly) return -kEBADF;
    if (record.type == kWriteLock && !(file.flags & kAccess)) return -kEBADF;
    std::vector<FileLock>& locks = kernel.file_locks[subject];
    if (record.type == kUnlock) {
        cut_out(locks, wanted);
        return kernel.wake_lock_waiters(subject), 0;
    }
    if (const FileLock* other = conflicting(locks, wanted)) {
        if (command == LockCommand::Set) return -kEAGAIN;
        const bool both = !of_description && other->kind == LockKind::Process;
        if (both && would_deadlock(other->owner)) return -kEDEADLK;
        task().resume_more = both ? u64{other->owner} + 1 : 0;
        return wait(lock_key(subject));
    }
    if (locks.size() >= kMaxFileLocks || kernel.file_locks.size() >= kMaxFileLocks) return -kENOLCK;
    cut_out(locks, wanted);
    add_lock(locks, wanted);
    kernel.wake_lock_waiters(subject); // a lock may have become a weaker one
    return 0;
}

Attempt Call::flock() const {
    enum : u64 { kShared = 1, kExclusive = 2, kNoBlock = 4, kRelease = 8 };
    const OpenFile* file = kernel.file_of(task(), fd_arg(0));
    const u64 wish = arg(1) & ~kNoBlock;
    if (wish != kShared && wish != kExclusive && wish != kRelease) return -kEINVAL;
    if (!file) return -kEBADF;
    const u64 subject = lock_subject(*file);
    FileLock wanted;
    wanted.kind = LockKind::Whole, wanted.writes = wish == kExclusive, wanted.owner = file_number(fd_arg(0)), wanted.pid = kernel.process_of(task()).pid;
    std::vector<FileLock>& locks = kernel.file_locks[subject];
    const bool has_it = std::any_of(locks.begin(), locks.end(), [&](const FileLock& lock) { return lock.same_owner(wanted) && lock.writes == wanted.writes; });
    if (has_it && wish != kRelease) return 0;
    cut_out(locks, wanted); // it is converted by giving it up first, as Linux does
    const bool free = wish == kRelease || !conflicting(locks, wanted);
    if (free && wish != kRelease) {
        if (locks.size() >= kMaxFileLocks || kernel.file_locks.size() >= kMaxFileLocks) return -kENOLCK;
        locks.push_back(wanted);
    }
    kernel.wake_lock_waiters(subject);
    if (free) return 0;
    return arg(1) & kNoBlock ? Attempt(-kEAGAIN) : wait(lock_key(subject));
}

/// Locks of processes that this proc shows.
std::string show_locks(const Reader& reader) {
    const Kernel& kernel = *reader.viewer.kernel;
    std::string text;
    u64 number = 0;
    for (const auto& [subject, locks] : kernel.file_locks)
        for (const FileLock& lock : locks) {
            const i32 pid = lock.kind == LockKind::Description ? -1 : kernel.pid_in(lock.pid, reader.vfs.supers.get(reader.super).namespace_index);
            if (!pid) continue;
            const Inode* inode = subject >> 63 ? nullptr : &reader.vfs.inodes.get(static_cast<u32>(subject));
            const char* kind = lock.kind == LockKind::Whole ? "FLOCK  ADVISORY  " : lock.kind == LockKind::Description ? "OFDLCK ADVISORY  " : "POSIX  ADVISORY  ";
            const std::string end = lock.end == ~u64{0} ? "EOF" : fmt::format("{}", lock.end);
            text += fmt::format("{}: {}{} {} 00:{:02x}:{} {} {}\n", ++number, kind, lock.writes ? "WRITE" : "READ", pid, inode ? reader.vfs.supers.get(inode->super).device : 0,
                                inode ? inode->number : 0, lock.begin, end);
        }
    return text;
}

} // namespace trapeze::container
