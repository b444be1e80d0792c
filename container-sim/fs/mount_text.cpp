// /proc/PID/mounts and /proc/PID/mountinfo (proc(5)).
#include "container-sim/fs/vfs.hpp"

#include <fmt/format.h>

namespace trapeze::container {

namespace {

/// Blanks and the like as octal escapes.
std::string mangled(const std::string& text, bool device = false) {
    std::string out;
    for (char c : text)
        if (c == ' ' || c == '\t' || c == '\n' || c == '\\' || (device && c == '#')) out += fmt::format("\\{:03o}", static_cast<unsigned>(c));
        else out += c;
    return out;
}

} // namespace

/// Flags of the mount itself, behind ro or rw.
std::string Vfs::mount_options(u32 id) const {
    const u32 flags = mounts.at(id).flags;
    std::string text;
    if (flags & mount_flag::kNoSuid) text += ",nosuid";
    if (flags & mount_flag::kNoDev) text += ",nodev";
    if (flags & mount_flag::kNoExec) text += ",noexec";
    if (flags & mount_flag::kNoAtime) text += ",noatime";
    if (flags & mount_flag::kNoDirAtime) text += ",nodiratime";
    if (!(flags & mount_flag::kAtimeMask)) text += ",relatime";
    if (flags & mount_flag::kNoSymFollow) text += ",nosymfollow";
    return text;
}

/// The mounts of a namespace that can be reached from a root, a line each; `info`: as mountinfo has them.
std::string Vfs::mounts_text(const Viewer& viewer, u32 index, Location root, bool info) const {
    Viewer there = viewer;
    there.root = root;
    std::string text;
    for (u32 id : namespaces[index].mounts) {
        const Mount& mount = mounts.at(id);
        const Superblock& super = supers.get(mount.super);
        bool unreachable = false;
        const std::string on = path_of(there, location_of(id, mount.root), &unreachable);
        if (unreachable) continue;
        const std::string options = super.type->options ? super.type->options(*this, super) : "";
        const std::string source = mount.source.empty() ? "none" : mangled(mount.source, true);
        if (!info) {
            text += fmt::format("{} {} {} {}{}{} 0 0\n", source, mangled(on), super.type->name, want_write(id) ? "ro" : "rw", mount_options(id), options);
            continue;
        }
        const std::string shown_root = super.type->root_text ? super.type->root_text(*this, viewer, mount.root) : path_in_super(mount.root);
        text += fmt::format("{} {} 0:{} {} {} {}{}", id, mount.parent ? mount.parent : id, super.device, mangled(shown_root), mangled(on),
                            mount.flags & mount_flag::kReadOnly ? "ro" : "rw", mount_options(id));
        if (mount.group) text += fmt::format(" shared:{}", mount.group);
        if (mount.master) {
            text += fmt::format(" master:{}", mount.master);
            if (const u32 from = dominating_group(id, index, root); from && from != mount.master) text += fmt::format(" propagate_from:{}", from);
        }
        if (mount.unbindable) text += " unbindable";
        text += fmt::format(" - {} {} {}{}\n", super.type->name, source, super.read_only ? "ro" : "rw", options);
    }
    return text;
}

/// The nearest group above that has a peer which can be seen from here.
u32 Vfs::dominating_group(u32 id, u32 index, Location root) const {
    Viewer there;
    there.root = root;
    for (u32 group = mounts.at(id).master; group;) {
        const auto found = groups.find(group);
        if (found == groups.end() || found->second.peers.empty()) return 0;
        for (u32 peer : found->second.peers) {
            bool unreachable = !in_namespace(peer, index);
            if (!unreachable) path_of(there, location_of(peer, mounts.at(peer).root), &unreachable);
            if (!unreachable) return group;
        }
        group = mounts.at(*found->second.peers.begin()).master;
    }
    return 0;
}

} // namespace trapeze::container
