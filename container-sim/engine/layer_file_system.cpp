#include "container-sim/engine/layer_file_system.hpp"

#include <fmt/format.h>

namespace trapeze::container {

namespace {

constexpr const char* kOpaque = "trusted.overlay.opaque";
constexpr u64 kSecond = 1'000'000'000;

u32 type_bits(EntryType type) {
    switch (type) {
    case EntryType::Directory: return mode::kDirectory;
    case EntryType::Symlink: return mode::kSymlink;
    case EntryType::Character: case EntryType::Whiteout: return mode::kCharacter;
    case EntryType::Block: return mode::kBlock;
    case EntryType::Fifo: return mode::kFifo;
    default: return mode::kFile;
    }
}

class Importer {
  public:
    Importer(Vfs& vfs, u32 super) : vfs_(vfs), super_(super) { places_[""] = vfs.root_of(super); }

    i64 add(const LayerEntry& entry) {
        const FileNode& node = entry.node;
        if (node.type == EntryType::Opaque) {
            const i64 directory = folder(entry.path);
            if (directory > 0) vfs_.inodes.edit(vfs_.dentries.get(static_cast<u32>(directory)).inode).attributes[kOpaque] = "y";
            return directory;
        }
        if (entry.path.empty() || node.type == EntryType::Directory) {
            const i64 directory = folder(entry.path);
            return directory < 0 ? directory : (describe(static_cast<u32>(directory), node), directory);
        }
        const i64 parent = folder(parent_path(entry.path));
        if (parent < 0) return parent;
        const u32 above = static_cast<u32>(parent);
        const std::string name = base_name(entry.path);
        if (node.type == EntryType::HardLink) return link(above, name, entry);
        const u64 device = node.type == EntryType::Character || node.type == EntryType::Block ? make_device(node.major, node.minor) : 0;
        const i64 made = vfs_.add_node(above, name, {type_bits(node.type) | (node.mode & mode::kPermissions), device, node.target}, node.uid, node.gid, 0);
        if (made < 0) return made;
        const u32 dentry = static_cast<u32>(made);
        places_[entry.path] = dentry;
        describe(dentry, node);
        if (node.type == EntryType::File && node.content) vfs_.inodes.edit(vfs_.dentries.get(dentry).inode).data = FileData(node.content);
        return made;
    }

  private:
    i64 folder(const std::string& path) {
        if (const auto known = places_.find(path); known != places_.end()) return known->second;
        const i64 parent = folder(parent_path(path)); // as deep as clean_path allows
        if (parent < 0) return parent;
        const i64 made = vfs_.add_node(static_cast<u32>(parent), base_name(path), {mode::kDirectory | 0755, 0, {}}, 0, 0, 0);
        if (made > 0) places_[path] = static_cast<u32>(made);
        return made;
    }
    i64 link(u32 above, const std::string& name, const LayerEntry& entry) {
        const auto target = places_.find(entry.node.target);
        if (target == places_.end()) return -kENOENT;
        const u32 inode = vfs_.dentries.get(target->second).inode, dentry = vfs_.new_dentry(above, name, inode);
        vfs_.inodes.edit(vfs_.dentries.get(above).inode).children[name] = dentry;
        ++vfs_.inodes.edit(inode).links;
        places_[entry.path] = dentry;
        return dentry;
    }
    void describe(u32 dentry, const FileNode& node) {
        Inode& inode = vfs_.inodes.edit(vfs_.dentries.get(dentry).inode);
        inode.mode = (inode.mode & mode::kType) | (node.mode & mode::kPermissions), inode.uid = node.uid, inode.gid = node.gid;
        const u64 time = node.mtime > 0 ? static_cast<u64>(node.mtime) * kSecond + node.mtime_nanoseconds : 0;
        inode.times = {time, time, time, time};
        for (const auto& [name, value] : node.xattrs)
            if (!name.starts_with("trusted.overlay.")) inode.attributes[name] = value;
    }

    Vfs& vfs_;
    u32 super_;
    std::map<std::string, u32> places_;
};

} // namespace

Result<u32> import_layer(Vfs& vfs, const Viewer& viewer, const Layer& layer, const std::string& name) {
    const i64 super = vfs.make_super(viewer, kHostFolder, {name, "", 0, false, {}});
    if (super < 0) return Error{fmt::format("{}: there is no room for another file system", name)};
    const u32 index = static_cast<u32>(super);
    Importer importer(vfs, index);
    for (const LayerEntry& entry : layer.entries)
        if (importer.add(entry) < 0) {
            vfs.free_super(index);
            return Error{fmt::format("{}: {} cannot be put into memory: all layers together have more than {} files; remove images or containers", name, entry.path, kMaxInodes)};
        }
    vfs.supers.edit(index).read_only = true;
    return index;
}

Result<Layer> export_layer(Vfs& vfs, u32 directory) {
    Layer layer;
    std::map<u32, std::string> first; // of files with several names
    std::vector<std::pair<std::string, u32>> pending{{"", directory}};
    while (!pending.empty()) {
        const auto [path, dentry] = pending.back();
        pending.pop_back();
        const u32 index = vfs.dentries.get(dentry).inode;
        const Inode inode = vfs.inodes.get(index);
        LayerEntry entry{path, {}};
        FileNode& node = entry.node;
        node.mode = inode.mode & mode::kPermissions, node.uid = inode.uid, node.gid = inode.gid;
        node.mtime = static_cast<i64>(inode.times.modified / kSecond), node.mtime_nanoseconds = static_cast<u32>(inode.times.modified % kSecond);
        for (const auto& [name, value] : inode.attributes)
            if (!name.starts_with("trusted.overlay.")) node.xattrs[name] = value;
        if (inode.is_directory()) {
            node.type = EntryType::Directory;
            for (auto at = inode.children.rbegin(); at != inode.children.rend(); ++at) pending.push_back({path.empty() ? at->first : path + "/" + at->first, at->second});
            const auto opaque = inode.attributes.find(kOpaque);
            if (opaque != inode.attributes.end() && opaque->second == "y") {
                LayerEntry mark{path, {}};
                mark.node.type = EntryType::Opaque;
                layer.entries.push_back(entry), layer.entries.push_back(mark);
                continue;
            }
        } else if (inode.is(mode::kCharacter) && inode.device == 0) {
            node = FileNode(), node.type = EntryType::Whiteout;
        } else if (const auto known = first.find(index); known != first.end()) {
            node = FileNode(), node.type = EntryType::HardLink, node.target = known->second;
        } else if (inode.is_symlink()) {
            node.type = EntryType::Symlink, node.target = inode.target, node.mode = 0777;
        } else if (inode.is_file()) {
            node.content = vfs.content(index);
            if (!node.content) return Error{fmt::format("/{}: the file is too large to become part of a layer", path)};
        } else if (inode.is(mode::kFifo)) {
            node.type = EntryType::Fifo;
        } else if (inode.is(mode::kCharacter) || inode.is(mode::kBlock)) {
            node.type = inode.is(mode::kBlock) ? EntryType::Block : EntryType::Character;
            node.major = device_major(inode.device), node.minor = device_minor(inode.device);
        } else {
            continue; // a socket lives no longer than who made it
        }
        if (!inode.is_directory() && inode.links > 1 && node.type != EntryType::HardLink && node.type != EntryType::Whiteout) first[index] = path;
        if (path.empty()) continue; // the root's own attributes are not a change
        layer.entries.push_back(std::move(entry));
    }
    return layer;
}

} // namespace trapeze::container
