// Watching files and folders (inotify(7)). Plain values in the kernel's pool; OpenFile::object is their number.
//
// Known gaps: what a host folder's files do outside is not seen; IN_UNMOUNT is not told.
#pragma once

#include "emulator/base/types.hpp"

#include <deque>
#include <map>
#include <string>

namespace trapeze::container {

/// The bits of an event's mask, and of what is asked for.
namespace watch {
inline constexpr u32 kAccess = 1, kModify = 2, kAttributes = 4, kCloseWrite = 8, kCloseNoWrite = 0x10, kOpen = 0x20, kMovedFrom = 0x40, kMovedTo = 0x80, kCreate = 0x100, kDelete = 0x200,
                     kDeleteSelf = 0x400, kMoveSelf = 0x800, kAll = 0xfff, kUnmounted = 0x2000, kOverflow = 0x4000, kIgnored = 0x8000, kOnlyFolders = 0x100'0000, kDontFollow = 0x200'0000,
                     kExcludeUnlinked = 0x400'0000, kMaskCreate = 0x1000'0000, kMaskAdd = 0x2000'0000, kIsFolder = 0x4000'0000, kOneShot = 0x8000'0000;
}

struct WatchEvent {
    i32 watch = 0;
    u32 mask = 0, cookie = 0;
    std::string name;
    bool operator==(const WatchEvent&) const = default;
};
struct WatchQueue {
    struct Watch {
        u32 inode = 0, mask = 0;
        bool operator==(const Watch&) const = default;
    };
    std::map<i32, Watch> watches;    ///< by watch descriptor
    i32 next = 1;
    u32 owner = 0;                   ///< uid, for the limits
    std::deque<WatchEvent> events;
};
inline constexpr std::size_t kMaxWatchQueues = 128, kMaxWatches = 8192, kMaxWatchEvents = 16'384; ///< /proc/sys/fs/inotify

} // namespace trapeze::container
