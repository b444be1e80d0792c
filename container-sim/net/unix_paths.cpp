// Where sockets meet names: the socket files of unix(7), and the network namespaces that a message of rtnetlink(7) names.
#include "container-sim/abi.hpp"
#include "container-sim/net/net_calls.hpp"

namespace trapeze::container {

i64 Call::make_socket_file(const std::string& path, u64& node) const {
    const Found found = find(kAtCwd, path, kParent);
    const u32 permissions = 0777 & ~kernel.context_of(task()).umask;
    const i64 made = with_room([&] { return kernel.vfs.create(viewer(), found, {mode::kSocket | permissions, 0, {}}); });
    if (made < 0) return made;
    node = kernel.vfs.dentries.get(static_cast<u32>(made)).inode;
    return 0;
}

/// Who connects must be allowed to write to the socket's file.
i64 Call::find_socket_file(const std::string& path, u64& node) const {
    const Found found = find(kAtCwd, path, kFollow);
    if (found.error) return found.error;
    if (const i64 error = kernel.vfs.permission(viewer(), found.location, mode::kWrite)) return error;
    if (!kernel.vfs.inodes.get(found.location.inode).is(mode::kSocket)) return -kECONNREFUSED;
    node = found.location.inode;
    return 0;
}

i64 Call::named_net(bool by_pid, u32 value) const {
    u32 net = 0;
    if (by_pid) {
        const auto found = kernel.task_by_pid(static_cast<i32>(value), task().namespaces.pid);
        if (!found) return -kESRCH;
        net = kernel.tasks[*found].namespaces.net;
    } else {
        const OpenFile* file = kernel.file_of(task(), value);
        if (!file) return -kEBADF;
        if (file->kind != FileKind::Namespace || static_cast<NamespaceKind>(file->offset) != NamespaceKind::Net) return -kEINVAL;
        net = file->object;
    }
    return has_over(*this, net, Capability::NetAdmin) ? i64{net} : -kEPERM;
}

} // namespace trapeze::container
