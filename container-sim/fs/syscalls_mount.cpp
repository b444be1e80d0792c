// mount(2), umount2(2), pivot_root(2).
#include "container-sim/abi.hpp"
#include "container-sim/file_operations.hpp"
#include "container-sim/fs/types.hpp"

#include <fmt/format.h>

namespace trapeze::container {

/// A string that may be left out; `most` bytes with its end.
i64 Call::optional_text(unsigned argument, std::string& out, std::size_t most) const {
    out.clear();
    if (!arg(argument)) return 0;
    const i64 length = kernel.copy_text(machine, task(), arg(argument), out, most);
    return length == -kENAMETOOLONG ? -kEINVAL : std::min<i64>(0, length);
}

void Call::note_mount(const std::string& what) const {
    lookup("{} in mnt namespace {}{}", what, kernel.namespace_inode(NamespaceKind::Mnt, task().namespaces.mnt), task().namespaces.mnt ? "; outside nothing changes unless the place is shared" : "");
    kernel.hold_bound_namespaces(machine);
    tidy();
}

/// The file of a mount namespace may be bound in an older one only: else a namespace could hold itself.
bool Call::binds_own_namespace(Location from) const {
    const Inode& inode = kernel.vfs.inodes.get(from.inode);
    if (kernel.vfs.type_of(from.inode).magic != kNsfs.magic || inode.kind != static_cast<u32>(NamespaceKind::Mnt)) return false;
    return kernel.vfs.namespace_at(task().namespaces.mnt).sequence >= kernel.vfs.namespace_at(static_cast<u32>(inode.key)).sequence;
}

i64 Call::mount_file_system(Location on, const std::string& type_name, const std::string& source, const std::string& options, u64 flags) const {
    if (type_name.empty()) return -kEINVAL;
    const FileSystemType* type = file_system_type(type_name);
    if (!type || !type->fill) return -kENODEV;
    u32 own_flags = kernel.vfs.flags_of_mount_call(flags);
    MountRequest request;
    request.source = source, request.options = options, request.read_only = flags & ms::kReadOnly;
    const i64 super = kernel.vfs.new_super_for_mount(viewer(), *type, request, own_flags);
    if (super < 0) return super;
    const i64 error = kernel.vfs.mount_new(viewer(), on, static_cast<u32>(super), own_flags, source);
    if (error && !type->single && !type->shared) kernel.vfs.free_super(static_cast<u32>(super));
    return error;
}

Attempt Call::mount() const {
    constexpr u64 kMagic = 0xc0ed0000, kMagicMask = 0xffff0000;
    std::string source, target, type, data;
    if (const i64 error = optional_text(2, type, kMaxPathBytes)) return error;
    if (const i64 error = optional_text(0, source, kMaxPathBytes)) return error;
    if (const i64 error = optional_text(4, data, kPageSize)) return error;
    const Found on = find_arg(6, 1, kFollow);
    if (on.error) return on.error;
    u64 flags = arg(3) & 0xffff'ffff;
    if ((flags & kMagicMask) == kMagic) flags &= ~kMagicMask;
    if (flags & ms::kNoUser) return -kEINVAL;
    Vfs& vfs = kernel.vfs;
    if (!vfs.may_mount(viewer())) return -kEPERM;
    i64 error = 0;
    if (flags & ms::kRemount) {
        if (flags & ms::kReadOnly && kernel.vfs.is_mount_root(on.location) && kernel.has_writers(on.location.mount, !(flags & ms::kBind))) return -kEBUSY;
        error = vfs.remount(viewer(), on.location, flags, data);
    } else if (flags & (ms::kBind | ms::kMove)) {
        if (flags & ms::kPropagation && !(flags & ms::kBind)) return -kEINVAL;
        if (source.empty()) return -kEINVAL;
        const Found from = find(kAtCwd, source, kFollow);
        if (from.error) return from.error;
        if (flags & ms::kBind && binds_own_namespace(from.location)) return -kEINVAL;
        error = flags & ms::kBind ? vfs.bind(viewer(), from.location, on.location, flags & ms::kRecursive) : vfs.move_mount(viewer(), from.location, on.location);
    } else if (flags & ms::kPropagation) {
        error = vfs.change_propagation(viewer(), on.location, flags);
    } else {
        error = with_room([&] { return mount_file_system(on.location, type, source, data, flags); });
    }
    if (!error) note_mount(fmt::format("mount: {} on {}", source.empty() ? type : source, vfs.path_of(viewer(), on.location)));
    return error;
}

Attempt Call::umount2() const {
    constexpr u64 kNoFollowLast = 8, kAll = 15;
    if (arg(1) & ~kAll) return -kEINVAL;
    Found found = find_arg(6, 0, arg(1) & kNoFollowLast ? 0 : kFollow);
    if (found.error) return found.error;
    if (!kernel.vfs.may_mount(viewer())) return -kEPERM;
    found.location = kernel.vfs.cross_mounts(found.location); // "." may be covered, as it is after pivot_root(".", ".")
    constexpr u32 kExpire = 4;
    const u32 mount = found.location.mount;
    u32 flags = static_cast<u32>(arg(1));
    const bool again = flags & kExpire && kernel.vfs.mounts.contains(mount) && kernel.vfs.mounts.at(mount).expires;
    if (again && !kernel.mount_in_use(mount)) flags &= ~kExpire; // marked before and not used since
    const std::string path = kernel.vfs.path_of(viewer(), found.location);
    const i64 error = kernel.vfs.unmount(viewer(), found.location, flags, [this](u32 used) { return kernel.mount_in_use(used); });
    if (error == -kEAGAIN) kernel.vfs.mounts.at(mount).expires = true;
    if (!error) note_mount("umount: " + path);
    return error;
}

/// Everybody whose root or current directory was the old root comes to the new one (pivot_root(2)).
Attempt Call::pivot_root() const {
    if (!kernel.vfs.may_mount(viewer())) return -kEPERM;
    const Found fresh = find_arg(6, 0, kFollow);
    if (fresh.error) return fresh.error;
    if (!kernel.vfs.is_directory(fresh.location)) return -kENOTDIR;
    const Found put_old = find_arg(6, 1, kFollow);
    if (put_old.error) return put_old.error;
    if (!kernel.vfs.is_directory(put_old.location)) return -kENOTDIR;
    const Location old = kernel.context_of(task()).root;
    if (const i64 error = kernel.vfs.pivot_root(viewer(), fresh.location, put_old.location)) return error;
    for (u32 i = 0; i < kernel.contexts.end(); ++i) {
        if (!kernel.contexts.contains(i)) continue;
        FileSystemContext& context = kernel.contexts[i];
        if (context.root == old) context.root = fresh.location;
        if (context.cwd == old) context.cwd = fresh.location;
    }
    note_mount("pivot_root: another root");
    return 0;
}

} // namespace trapeze::container
