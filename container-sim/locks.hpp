// Locks on files: records of a process (fcntl(2), F_SETLK), records of an open file description (F_OFD_SETLK), whole files (flock(2)).
//
// Known gap: no leases, no mandatory locks.
#pragma once

#include "emulator/base/types.hpp"

namespace trapeze::container {

enum class LockKind : u8 { Process, Description, Whole };
struct FileLock {
    LockKind kind = LockKind::Process;
    bool writes = false;
    u64 begin = 0, end = ~u64{0};   ///< bytes, both inside; all ones: to the end of the file, however far that moves
    u32 owner = 0;                  ///< descriptor table of the process; else open file description
    i32 pid = 0;                    ///< of who took it, in the host's namespace
    bool operator==(const FileLock&) const = default;

    bool overlaps(const FileLock& other) const { return begin <= other.end && other.begin <= end; }
    bool same_owner(const FileLock& other) const { return kind == other.kind && owner == other.owner; }
    /// Records of both kinds keep each other out; whole files are a world of their own.
    bool conflicts(const FileLock& other) const {
        return (kind == LockKind::Whole) == (other.kind == LockKind::Whole) && !same_owner(other) && overlaps(other) && (writes || other.writes);
    }
};
inline constexpr std::size_t kMaxFileLocks = 65'536; ///< of the whole kernel, then ENOLCK

} // namespace trapeze::container
