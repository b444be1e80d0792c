// Changing what is known about a file: chmod(2), chown(2), utimensat(2), truncate(2), fallocate(2), xattr(7), sync(2).
#include "container-sim/abi.hpp"
#include "container-sim/file_operations.hpp"
#include "container-sim/fs/types.hpp"

#include <algorithm>

namespace trapeze::container {

namespace {
constexpr u64 kFollowSymlink = 0x400; // AT_SYMLINK_FOLLOW
}

/// The place of a descriptor; one that has none is a pipe, a socket or the like.
i64 Call::place_of(u32 fd, Location& at) const {
    const OpenFile* file = kernel.file_of(task(), fd);
    if (!file) return -kEBADF;
    at = file->location;
    return 0;
}

Attempt Call::fchmod() const {
    Location at;
    if (const i64 error = place_of(fd_arg(0), at)) return error;
    return at.dentry ? with_room([&] { return kernel.vfs.change_mode(viewer(), at, static_cast<u32>(arg(1))); }) : 0;
}
/// The result of a change of attributes; who watches the file is told when there was one.
i64 Call::told(Location at, i64 result) const {
    if (!result) kernel.tell_watchers(at.dentry, watch::kAttributes);
    return result;
}

i64 Call::change_mode_at(u64 flags) const {
    if (flags & ~(kSymlinkNoFollow | kEmptyPath)) return -kEINVAL;
    const Found found = find_arg(0, 1, (flags & kSymlinkNoFollow ? 0 : kFollow) | (flags & kEmptyPath ? kEmptyPathAllowed : 0));
    if (found.error) return found.error;
    return told(found.location, with_room([&] { return kernel.vfs.change_mode(viewer(), found.location, static_cast<u32>(arg(2))); }));
}
Attempt Call::fchmodat() const { return change_mode_at(0); }
Attempt Call::fchmodat2() const { return change_mode_at(arg(3)); }

/// Ids as the caller's user namespace calls them; -1 leaves one as it is.
i64 Call::change_owner_of(Location at, u32 uid, u32 gid) const {
    const u32 new_uid = kernel_uid(uid), new_gid = kernel_gid(gid);
    if ((uid != kNoId && new_uid == kNoId) || (gid != kNoId && new_gid == kNoId)) return -kEINVAL;
    return told(at, with_room([&] { return kernel.vfs.change_owner(viewer(), at, new_uid, new_gid); }));
}
Attempt Call::fchown() const {
    Location at;
    if (const i64 error = place_of(fd_arg(0), at)) return error;
    return at.dentry ? change_owner_of(at, static_cast<u32>(arg(1)), static_cast<u32>(arg(2))) : 0;
}
Attempt Call::fchownat() const {
    if (arg(4) & ~(kSymlinkNoFollow | kEmptyPath)) return -kEINVAL;
    const Found found = find_arg(0, 1, (arg(4) & kSymlinkNoFollow ? 0 : kFollow) | (arg(4) & kEmptyPath ? kEmptyPathAllowed : 0));
    return found.error ? found.error : change_owner_of(found.location, static_cast<u32>(arg(2)), static_cast<u32>(arg(3)));
}

Attempt Call::utimensat() const {
    constexpr i64 kNow = 0x3fffffff, kOmit = 0x3ffffffe, kSecond = 1'000'000'000;
    std::array<i64, 4> given{0, kNow, 0, kNow};
    if (arg(2) && !read_user(arg(2), given)) return -kEFAULT;
    const Viewer viewer = this->viewer();
    std::optional<u64> times[2];
    bool touch = true;
    for (std::size_t i = 0; i < 2; ++i) {
        const i64 part = given[2 * i + 1];
        touch = touch && part == kNow;
        if (part == kOmit) continue;
        if (part != kNow && (part < 0 || part >= kSecond)) return -kEINVAL;
        times[i] = part == kNow ? viewer.now : static_cast<u64>(std::clamp<i64>(given[2 * i], 0, 0x3'ffff'ffff)) * kSecond + static_cast<u64>(part);
    }
    if (arg(3) & ~(kSymlinkNoFollow | kEmptyPath)) return -kEINVAL;
    if (!times[0] && !times[1]) return 0;
    Location at;
    if (!arg(1)) {
        if (arg(3)) return -kEINVAL;
        if (const i64 error = place_of(fd_arg(0), at)) return error;
        if (!at.dentry) return 0;
    } else {
        const Found found = find_arg(0, 1, (arg(3) & kSymlinkNoFollow ? 0 : kFollow) | (arg(3) & kEmptyPath ? kEmptyPathAllowed : 0));
        if (found.error) return found.error;
        at = found.location;
    }
    return told(at, with_room([&] { return kernel.vfs.change_times(viewer, at, times[0], times[1], touch); }));
}

/// Gives a file another length; who maps more than is left of it loses the rest.
i64 Call::resize(Location at, u64 bytes) const {
    const u64 before = kernel.vfs.size_of(at.inode);
    if (bytes > kernel.process_of(task()).limits[kLimitFileSize].current && bytes > before) {
        kernel.send_to_task(machine, index, {.number = kSigXfsz, .code = kCodeKernel});
        return -kEFBIG;
    }
    if (bytes < before) kernel.pull_pages(machine, kernel.vfs.data_inode(at.inode), bytes & ~kPageMask, bytes);
    const i64 error = with_room([&] { return kernel.vfs.truncate(viewer(), at, bytes); });
    if (!error && bytes < before) kernel.cut_pages(machine, kernel.vfs.data_inode(at.inode));
    if (!error) kernel.tell_watchers(at.dentry, watch::kModify);
    return error;
}

Attempt Call::truncate() const {
    if (static_cast<i64>(arg(1)) < 0) return -kEINVAL;
    const Found found = find_arg(6, 0, kFollow);
    if (found.error) return found.error;
    const Inode& inode = kernel.vfs.inodes.get(found.location.inode);
    if (inode.is_directory()) return -kEISDIR;
    if (!inode.is_file()) return -kEINVAL;
    if (const i64 error = kernel.vfs.want_write(found.location.mount)) return error;
    if (const i64 error = kernel.vfs.permission(viewer(), found.location, mode::kWrite)) return error;
    if (is_running_program(kernel.vfs.data_inode(found.location.inode))) return -kETXTBSY;
    return inode.generated ? Attempt(0) : resize(found.location, arg(1));
}

Attempt Call::ftruncate() const {
    OpenFile* file = kernel.file_of(task(), fd_arg(0));
    if (static_cast<i64>(arg(1)) < 0) return -kEINVAL;
    if (!file) return -kEBADF;
    if (!file->location.dentry || !(file->flags & kAccess) || !kernel.vfs.inodes.get(file->location.inode).is_file()) return -kEINVAL;
    const Inode& inode = kernel.vfs.inodes.get(file->location.inode);
    if (inode.generated) return 0;
    if (const i64 error = sealed_against(inode, arg(1) < kernel.vfs.size_of(file->location.inode) ? seal::kShrink : arg(1) > kernel.vfs.size_of(file->location.inode) ? seal::kGrow : 0)) return error;
    return resize(file->location, arg(1));
}

i64 Call::sealed_against(const Inode& inode, u32 seals) const { return inode.seals != ~u32{0} && inode.seals & seals ? -kEPERM : 0; }

Attempt Call::fallocate() const {
    constexpr u64 kPunch = 2;
    const OpenFile* file = kernel.file_of(task(), fd_arg(0));
    if (static_cast<i64>(arg(2)) < 0 || static_cast<i64>(arg(3)) <= 0) return -kEINVAL;
    if (!file || !(file->flags & kAccess)) return -kEBADF;
    if (!file->location.dentry) return -kESPIPE;
    const Location at = file->location;
    const Inode& inode = kernel.vfs.inodes.get(at.inode);
    if (inode.is_directory()) return -kEISDIR;
    if (!inode.is_file()) return -kENODEV;
    if (inode.generated) return -kEOPNOTSUPP;
    if (arg(2) + arg(3) > kMaxFileOffset) return -kEFBIG;
    if (const i64 error = sealed_against(inode, arg(1) & kPunch ? seal::kWrite : arg(2) + arg(3) > kernel.vfs.size_of(at.inode) ? seal::kGrow : 0)) return error;
    if (const i64 error = with_room([&] { return kernel.vfs.copy_up(viewer(), at); })) return error;
    kernel.pull_pages(machine, kernel.vfs.data_inode(at.inode), arg(2), arg(2) + arg(3));
    const u32 data = kernel.vfs.data_inode(at.inode);
    const Superblock& super = kernel.vfs.super_of(data);
    const bool fits = arg(3) / kPageSize <= kMaxTreePages && super.pages + kernel.vfs.inodes.get(data).data.pages_for(arg(2), arg(3)) <= super.most_pages;
    if (!(arg(1) & ~u64{1}) && fits && kernel.hold_pages(machine, data, arg(2), arg(3)) < arg(3)) return kernel.release_holes(data, arg(2), arg(3)), -kENOMEM;
    const i64 error = with_room([&] { return kernel.vfs.allocate_data(at.inode, static_cast<u32>(arg(1)), arg(2), arg(3), viewer().now); });
    if (error) kernel.release_holes(data, arg(2), arg(3));
    if (!error && arg(1) & kPunch) kernel.renew_pages(machine, kernel.vfs.data_inode(at.inode), arg(2), arg(2) + arg(3)), kernel.release_holes(at.inode, arg(2), arg(3));
    return error;
}

// Everything is as stable as it gets at once.
Attempt Call::sync() const { return 0; }
Attempt Call::fsync() const {
    const OpenFile* file = kernel.file_of(task(), fd_arg(0));
    return !file ? -kEBADF : file->location.dentry ? 0 : -kEINVAL;
}
Attempt Call::fdatasync() const { return fsync(); }
Attempt Call::syncfs() const { return kernel.file_of(task(), fd_arg(0)) ? 0 : -kEBADF; }

// --- Extended attributes --------------------------------------------------------------------------------------------------------------

namespace {
constexpr std::size_t kMaxAttributeName = 255;
}

i64 Call::attribute_name(unsigned argument, std::string& out) const {
    const i64 length = kernel.copy_text(machine, task(), arg(argument), out, kMaxAttributeName + 1);
    if (length == -kENAMETOOLONG || length == 0) return -kERANGE;
    return std::min<i64>(0, length);
}

/// Where the first argument of an xattr call leads: a path, not followed at its end, or followed, or a descriptor.
i64 Call::attribute_place(AttributeOf which, Location& at) const {
    if (which == AttributeOf::Descriptor) {
        if (const i64 error = place_of(fd_arg(0), at)) return error;
        return at.dentry ? 0 : -kEOPNOTSUPP;
    }
    const Found found = find_arg(6, 0, which == AttributeOf::Target ? kFollow : 0);
    at = found.location;
    return found.error;
}

Attempt Call::set_attribute(AttributeOf which) const {
    constexpr u64 kMostBytes = 65536;
    std::string name;
    if (arg(4) & ~u64{3}) return -kEINVAL;
    if (const i64 error = attribute_name(1, name)) return error;
    if (arg(3) > kMostBytes) return -kE2BIG;
    std::string value(arg(3), '\0');
    if (!kernel.copy_in(machine, task(), arg(2), std::span(reinterpret_cast<u8*>(value.data()), value.size()))) return -kEFAULT;
    Location at;
    if (const i64 error = attribute_place(which, at)) return error;
    return with_room([&] { return kernel.vfs.set_attribute(viewer(), at, name, value, static_cast<u32>(arg(4))); });
}

/// Hands a text over, or tells only its length when there is no room for any.
i64 Call::give_text(const std::string& text, u64 to, u64 room) const {
    if (!room) return static_cast<i64>(text.size());
    if (text.size() > room) return -kERANGE;
    return kernel.copy_out(machine, task(), to, std::span(reinterpret_cast<const u8*>(text.data()), text.size())) ? static_cast<i64>(text.size()) : -kEFAULT;
}

Attempt Call::get_attribute(AttributeOf which) const {
    std::string name, value;
    Location at;
    if (const i64 error = attribute_place(which, at)) return error;
    if (const i64 error = attribute_name(1, name)) return error;
    const i64 result = kernel.vfs.get_attribute(viewer(), at, name, value);
    return result < 0 ? result : give_text(value, arg(2), arg(3));
}
Attempt Call::list_attributes(AttributeOf which) const {
    std::string names;
    Location at;
    if (const i64 error = attribute_place(which, at)) return error;
    const i64 result = kernel.vfs.list_attributes(viewer(), at, names);
    return result < 0 ? result : give_text(names, arg(1), arg(2));
}
Attempt Call::remove_attribute(AttributeOf which) const {
    std::string name;
    Location at;
    if (const i64 error = attribute_name(1, name)) return error;
    if (const i64 error = attribute_place(which, at)) return error;
    return with_room([&] { return kernel.vfs.remove_attribute(viewer(), at, name); });
}

Attempt Call::setxattr() const { return set_attribute(AttributeOf::Target); }
Attempt Call::lsetxattr() const { return set_attribute(AttributeOf::Link); }
Attempt Call::fsetxattr() const { return set_attribute(AttributeOf::Descriptor); }
Attempt Call::getxattr() const { return get_attribute(AttributeOf::Target); }
Attempt Call::lgetxattr() const { return get_attribute(AttributeOf::Link); }
Attempt Call::fgetxattr() const { return get_attribute(AttributeOf::Descriptor); }
Attempt Call::listxattr() const { return list_attributes(AttributeOf::Target); }
Attempt Call::llistxattr() const { return list_attributes(AttributeOf::Link); }
Attempt Call::flistxattr() const { return list_attributes(AttributeOf::Descriptor); }
Attempt Call::removexattr() const { return remove_attribute(AttributeOf::Target); }
Attempt Call::lremovexattr() const { return remove_attribute(AttributeOf::Link); }
Attempt Call::fremovexattr() const { return remove_attribute(AttributeOf::Descriptor); }
Attempt Call::name_to_handle_at() const { return -kEOPNOTSUPP; }

} // namespace trapeze::container
