// The merge of an overlay: which layer gives each name, what was copied up, what a whiteout hides. The layers themselves are read, not what
// the overlay has looked up so far.
#include "container-sim/seen/seen.hpp"

#include <algorithm>

namespace trapeze::container {

namespace {

bool is_whiteout(const Inode& inode) { return inode.is(mode::kCharacter) && inode.device == 0; }

/// Where a directory of some file system can be reached: in this namespace, else in the host's; else its path in its file system.
std::string where_is(const Kernel& kernel, u32 dentry, u32 mount_namespace) {
    const Vfs& vfs = kernel.vfs;
    const u32 super = vfs.inode_of(dentry).super;
    for (u32 index : {mount_namespace, 0u}) {
        const u32 top = vfs.namespace_at(index).root_mount;
        if (!vfs.mounts.contains(top)) continue;
        Viewer viewer;
        viewer.root = vfs.location_of(top, vfs.mounts.at(top).root);
        for (u32 id : vfs.namespace_at(index).mounts) {
            const Mount& mount = vfs.mounts.at(id);
            if (mount.super != super || (mount.root != dentry && !vfs.is_below(dentry, mount.root))) continue;
            const std::string host = index == mount_namespace ? "" : "host:";
            return host + vfs.path_of(viewer, vfs.location_of(id, dentry));
        }
    }
    const std::string source = vfs.supers.get(super).source;
    return (source.empty() ? std::string(vfs.supers.get(super).type->name) : source) + ":" + vfs.path_in_super(dentry);
}

/// A directory of the overlay: the layers' directories that merge there, by number of the layer.
struct Level {
    std::string path;
    std::vector<std::pair<unsigned, u32>> directories;
};

class Merge {
  public:
    Merge(const Vfs& vfs, const OverlayLayers& layers, OverlaySeen& out, std::size_t most)
        : vfs_(vfs), out_(out), opaque_(layers.user_attributes ? "user.overlay.opaque" : "trusted.overlay.opaque"), most_(most) {}
    void run(Level top) {
        std::vector<Level> next{std::move(top)};
        while (!next.empty() && !out_.cut) {
            const Level level = std::move(next.back());
            next.pop_back();
            std::map<std::string, std::vector<std::pair<unsigned, u32>>> names;
            for (const auto& [layer, directory] : level.directories)
                for (const auto& [name, dentry] : vfs_.inode_of(directory).children) names[name].push_back({layer, dentry});
            for (const auto& [name, found] : names) {
                if (out_.entries.size() >= most_) {
                    out_.cut = true;
                    break;
                }
                add(level.path + "/" + name, found, next);
            }
        }
        std::sort(out_.entries.begin(), out_.entries.end(), [](const OverlayEntry& a, const OverlayEntry& b) { return a.path < b.path; });
    }

  private:
    bool is_opaque(const Inode& inode) const {
        const auto found = inode.attributes.find(opaque_);
        return found != inode.attributes.end() && found->second == "y";
    }
    /// `found`: the layers that have the name, from the top.
    void add(const std::string& path, const std::vector<std::pair<unsigned, u32>>& found, std::vector<Level>& next) {
        OverlayEntry entry;
        entry.path = path, entry.from = found[0].first;
        for (const auto& [layer, dentry] : found) entry.layers.push_back(layer);
        const Inode& top = vfs_.inode_of(found[0].second);
        entry.mode = top.mode, entry.size = top.size();
        if (is_whiteout(top)) {
            if (found.size() == 1) return; // it hides nothing
            entry.answer = LayerAnswer::Whiteout, out_.whiteouts += 1;
            out_.entries.push_back(std::move(entry));
            return;
        }
        const bool upper = entry.from == 0;
        entry.answer = !upper ? LayerAnswer::Lower : found.size() > 1 && !is_whiteout(vfs_.inode_of(found[1].second)) ? LayerAnswer::CopiedUp : LayerAnswer::Upper;
        if (top.is_directory()) {
            Level below{path, {}};
            for (const auto& [layer, dentry] : found) {
                const Inode& inode = vfs_.inode_of(dentry);
                if (!inode.is_directory()) break;
                below.directories.push_back({layer, dentry});
                if (is_opaque(inode)) break;
            }
            if (is_opaque(top)) entry.answer = LayerAnswer::Opaque;
            else if (below.directories.size() > 1) entry.answer = LayerAnswer::Merged;
            next.push_back(std::move(below));
        }
        out_.copied_up += entry.answer == LayerAnswer::CopiedUp, out_.own += entry.answer == LayerAnswer::Upper;
        out_.entries.push_back(std::move(entry));
    }

    const Vfs& vfs_;
    OverlaySeen& out_;
    std::string opaque_;
    std::size_t most_;
};

} // namespace

const char* answer_name(LayerAnswer answer) {
    constexpr const char* kNames[] = {"lower layer", "upper layer only", "copied up", "merged directory", "opaque directory", "whiteout"};
    return kNames[static_cast<std::size_t>(answer)];
}

std::vector<OverlaySeen> overlays_seen(const Kernel& kernel, u32 mount_namespace, std::size_t most) {
    const Vfs& vfs = kernel.vfs;
    std::vector<OverlaySeen> all;
    for (const MountSeen& mount : mount_tree(kernel, mount_namespace).mounts) {
        const auto layers = vfs.overlay_layers.find(vfs.mounts.at(mount.id).super);
        if (layers == vfs.overlay_layers.end()) continue;
        OverlaySeen seen;
        seen.mount = mount.id, seen.place = mount.place;
        Level top;
        const auto add = [&](unsigned number, u32 dentry) {
            seen.layers.push_back(dentry ? where_is(kernel, dentry, mount_namespace) : "");
            if (dentry) top.directories.push_back({number, dentry});
        };
        add(0, layers->second.upper);
        for (unsigned i = 0; i < layers->second.lowers.size(); ++i) add(i + 1, layers->second.lowers[i]);
        Merge(vfs, layers->second, seen, most).run(std::move(top));
        all.push_back(std::move(seen));
    }
    return all;
}

} // namespace trapeze::container
