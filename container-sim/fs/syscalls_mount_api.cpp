// The mount calls that work on descriptors: fsopen(2), fsconfig(2), fsmount(2), open_tree(2), move_mount(2), mount_setattr(2).
#include "container-sim/abi.hpp"
#include "container-sim/file_operations.hpp"
#include "container-sim/fs/types.hpp"

#include <algorithm>

namespace trapeze::container {

namespace {

constexpr u64 kNoFollowLast = 0x100, kRecursive = 0x8000;
constexpr std::size_t kMaxContexts = 4096, kMaxOptions = 16 << 10;

/// There is nothing to tell about what went wrong.
Attempt read_context(const Call&, OpenFile&, u64, u64, u64*) { return -kENODATA; }
void close_context(Kernel& kernel, Machine&, OpenFile& file) {
    MountContext& context = kernel.mount_contexts[file.object];
    if (context.super && !context.mounted && !context.type->single && !context.type->shared) kernel.vfs.free_super(context.super);
    kernel.mount_contexts.release(file.object);
    kernel.mount_contexts.erase(file.object);
}

} // namespace

const FileOperations kMountContextOperations{.read = read_context, .close = close_context, .mode = 0100600, .link = "anon_inode:[fscontext]"};

Attempt Call::fsopen() const {
    std::string name;
    if (!kernel.vfs.may_mount(viewer())) return -kEPERM;
    if (arg(1) & ~u64{1}) return -kEINVAL;
    if (const i64 length = kernel.copy_text(machine, task(), arg(0), name, kPageSize); length < 0) return length;
    const FileSystemType* type = file_system_type(name);
    if (!type) return -kENODEV;
    if (kernel.mount_contexts.size() >= kMaxContexts) return -kENFILE;
    OpenFile file;
    file.kind = FileKind::MountContext, file.object = kernel.mount_contexts.add(MountContext{type, "", "", false, 0, false}), file.flags = 2;
    return kernel.install(machine, task(), file, arg(1) & 1);
}

/// One option more; wrong ones are told at once where the type can tell.
i64 Call::add_option(MountContext& context, const std::string& key, const std::optional<std::string>& value) const {
    if (context.super) return -kEBUSY;
    if (key == "source" && value) {
        if (!context.source.empty()) return -kEINVAL;
        return context.source = *value, 0;
    }
    if (key == "ro" && !value) return context.read_only = true, 0;
    if (key == "rw" && !value) return context.read_only = false, 0;
    std::string text = key;
    if (value) {
        text += '=';
        for (char c : *value) text += c == ',' ? std::string("\\,") : std::string(1, c);
    }
    if (context.options.size() + text.size() > kMaxOptions) return -kE2BIG;
    if (context.type->check)
        if (const i64 error = context.type->check(viewer(), text)) return error;
    context.options += (context.options.empty() ? "" : ",") + text;
    return 0;
}

Attempt Call::fsconfig() const {
    enum : u64 { kSetFlag, kSetString, kSetBinary, kSetPath, kSetPathEmpty, kSetFd, kCreateSuper, kReconfigure, kCreateExclusive };
    const OpenFile* file = kernel.file_of(task(), fd_arg(0));
    if (int_arg(0) < 0 || !file) return int_arg(0) < 0 ? -kEINVAL : -kEBADF;
    if (file->kind != FileKind::MountContext) return -kEINVAL;
    MountContext& context = kernel.mount_contexts[file->object];
    std::string key, value;
    if (arg(1) == kCreateSuper || arg(1) == kCreateExclusive) {
        if (arg(2) || arg(3) || arg(4)) return -kEINVAL;
        if (context.super) return -kEBUSY;
        MountRequest request;
        request.source = context.source, request.options = context.options, request.read_only = context.read_only;
        u32 flags = 0;
        const i64 super = with_room([&] { return kernel.vfs.new_super_for_mount(viewer(), *context.type, request, flags); });
        if (super < 0) return super;
        kernel.mount_contexts[file->object].super = static_cast<u32>(super);
        return 0;
    }
    if (arg(1) > kCreateExclusive) return -kEOPNOTSUPP;
    if (!arg(2)) return -kEINVAL;
    if (const i64 length = kernel.copy_text(machine, task(), arg(2), key, 256); length < 0) return length;
    if (arg(1) == kSetFlag) return arg(3) || arg(4) ? Attempt(-kEINVAL) : Attempt(add_option(context, key, std::nullopt));
    if (arg(1) != kSetString && arg(1) != kSetPath) return -kEOPNOTSUPP;
    if (!arg(3) || (arg(1) == kSetString && arg(4))) return -kEINVAL;
    if (const i64 length = kernel.copy_text(machine, task(), arg(3), value, kMaxPathBytes); length < 0) return length;
    return add_option(context, key, value);
}

Attempt Call::fsmount() const {
    constexpr u64 kCloseOnExecFlag = 1, kKnown = 0x2000ff & ~u64{0x40};
    if (!kernel.vfs.may_mount(viewer())) return -kEPERM;
    if (arg(1) & ~kCloseOnExecFlag || static_cast<u32>(arg(2)) & ~kKnown) return -kEINVAL;
    const OpenFile* file = kernel.file_of(task(), fd_arg(0));
    if (!file) return -kEBADF;
    if (file->kind != FileKind::MountContext) return -kEINVAL;
    MountContext& context = kernel.mount_contexts[file->object];
    if (!context.super || context.mounted) return -kEINVAL;
    context.mounted = true;
    const u32 mount = kernel.vfs.new_mount(context.super, kernel.vfs.mount_root(viewer(), context.super), context.source, static_cast<u32>(arg(2)) | (context.read_only ? mount_flag::kReadOnly : 0));
    kernel.vfs.mounts.at(mount).anonymous = true;
    return open_detached(mount, arg(1) & kCloseOnExecFlag);
}

/// A descriptor for the root of a tree of mounts that is attached nowhere.
i64 Call::open_detached(u32 mount, bool close_on_exec) const {
    OpenFile file;
    file.kind = FileKind::Path, file.flags = 010000000;
    file.location = kernel.vfs.location_of(mount, kernel.vfs.mounts.at(mount).root);
    ++kernel.vfs.garbage; // to be looked at again once the descriptor is closed
    return kernel.install(machine, task(), file, close_on_exec);
}

Attempt Call::open_tree() const {
    constexpr u64 kClone = 1, kKnown = kClone | kCloseOnExec | kEmptyPath | kNoAutomount | kRecursive | kNoFollowLast;
    const u64 flags = static_cast<u32>(arg(2));
    if (flags & ~kKnown || (flags & (kClone | kRecursive)) == kRecursive) return -kEINVAL;
    if (flags & kClone && !kernel.vfs.may_mount(viewer())) return -kEPERM;
    const Found found = find_arg(0, 1, (flags & kNoFollowLast ? 0 : kFollow) | (flags & kEmptyPath ? kEmptyPathAllowed : 0));
    if (found.error) return found.error;
    if (!(flags & kClone)) return open_location(found.location, 010000000 | (flags & kCloseOnExec), false, "");
    const i64 mount = kernel.vfs.clone_tree(viewer(), found.location, flags & kRecursive);
    if (mount < 0) return mount;
    kernel.vfs.mounts.at(static_cast<u32>(mount)).anonymous = true;
    return open_detached(static_cast<u32>(mount), flags & kCloseOnExec);
}

Attempt Call::move_mount() const {
    enum : u64 { kFromLinks = 1, kFromEmpty = 4, kToLinks = 0x10, kToEmpty = 0x40, kKnown = 0x77 };
    if (!kernel.vfs.may_mount(viewer())) return -kEPERM;
    if (arg(4) & ~kKnown) return -kEINVAL;
    const Found from = find_arg(0, 1, (arg(4) & kFromLinks ? kFollow : 0) | (arg(4) & kFromEmpty ? kEmptyPathAllowed : 0));
    if (from.error) return from.error;
    const Found to = find_arg(2, 3, (arg(4) & kToLinks ? kFollow : 0) | (arg(4) & kToEmpty ? kEmptyPathAllowed : 0));
    if (to.error) return to.error;
    const i64 error = kernel.vfs.move_mount(viewer(), from.location, to.location);
    if (!error) note_mount("move_mount: on " + kernel.vfs.path_of(viewer(), to.location));
    return error;
}

Attempt Call::mount_setattr() const {
    struct Attributes {
        u64 set, clear, propagation, user_namespace;
    };
    constexpr u64 kKnown = mount_flag::kReadOnly | mount_flag::kNoSuid | mount_flag::kNoDev | mount_flag::kNoExec | mount_flag::kAtimeMask | mount_flag::kNoDirAtime | mount_flag::kNoSymFollow;
    const u64 flags = static_cast<u32>(arg(2));
    Attributes wanted{};
    if (flags & ~(kEmptyPath | kNoAutomount | kRecursive | kNoFollowLast)) return -kEINVAL;
    if (arg(4) > kPageSize) return -kE2BIG;
    if (arg(4) < sizeof wanted) return -kEINVAL;
    if (!kernel.vfs.may_mount(viewer())) return -kEPERM;
    if (!read_user(arg(3), wanted)) return -kEFAULT;
    if (!wanted.set && !wanted.clear && !wanted.propagation) return 0;
    if (wanted.propagation & ~ms::kPropagation || wanted.propagation & (wanted.propagation - 1)) return -kEINVAL;
    if ((wanted.set | wanted.clear) & ~kKnown) return -kEINVAL;
    // Times are one of several: to set one, the whole of them is cleared.
    if (wanted.clear & mount_flag::kAtimeMask ? (wanted.clear & mount_flag::kAtimeMask) != mount_flag::kAtimeMask : (wanted.set & mount_flag::kAtimeMask) != 0) return -kEINVAL;
    const Found found = find_arg(0, 1, (flags & kNoFollowLast ? 0 : kFollow) | (flags & kEmptyPath ? kEmptyPathAllowed : 0));
    if (found.error) return found.error;
    if (wanted.set & mount_flag::kReadOnly && kernel.vfs.is_mount_root(found.location) && kernel.has_writers(found.location.mount, false)) return -kEBUSY;
    return kernel.vfs.set_mount_flags(viewer(), found.location, static_cast<u32>(wanted.set), static_cast<u32>(wanted.clear), wanted.propagation, flags & kRecursive);
}

} // namespace trapeze::container
