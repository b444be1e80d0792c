// The overlay file system: a writable upper directory over read-only lower ones (Documentation/filesystems/overlayfs.rst of Linux, with
// redirect_dir, index, metacopy and xino off). An inode of the overlay is its own; OverlayNode says which of the layers' it stands for.
//
// Known gaps: changes of the layers behind the overlay's back may or may not be seen (undefined on Linux); whiteouts by xattr are not known.
#include "container-sim/fs/options.hpp"
#include "container-sim/fs/types.hpp"
#include "container-sim/kernel.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace trapeze::container {

namespace {

constexpr std::size_t kMaxLowers = 500;

std::string opaque_name(const OverlayLayers& layers) { return layers.user_attributes ? "user.overlay.opaque" : "trusted.overlay.opaque"; }
bool is_whiteout(const Inode& inode) { return inode.is(mode::kCharacter) && inode.device == 0; }

/// One operation on an overlay.
struct Overlay {
    Vfs& vfs;
    const Viewer& viewer;
    u32 super;

    Overlay(Vfs& v, const Viewer& w, u32 dentry) : vfs(v), viewer(w), super(v.inode_of(dentry).super) {}
    const OverlayLayers& layers() const { return vfs.overlay_layers.at(super); }
    OverlayNode& node(u32 dentry) { return vfs.overlay_nodes.at(vfs.dentries.get(dentry).inode); }
    bool is_opaque(u32 layer_dentry) const {
        const auto& attributes = vfs.inode_of(layer_dentry).attributes;
        const auto found = attributes.find(opaque_name(layers()));
        return found != attributes.end() && found->second == "y";
    }
    i64 in_layer(u32 directory, const std::string& name) { return vfs.lookup(viewer, directory, name); }
    bool in_lowers(u32 directory, const std::string& name);
    i64 find(u32 directory, const std::string& name, OverlayNode& out);
    u32 adopt(u32 directory, const std::string& name, const OverlayNode& found);
    void copy_attributes(u32 inode, u32 layer_dentry);
    i64 copy_up_one(u32 dentry);
    i64 copy_up(u32 dentry);
    i64 place_in_upper(u32 directory, const std::string& name, u32 inode);
    void take_from_upper(u32 dentry);
    i64 put_whiteout(u32 directory, const std::string& name);
    bool is_empty(u32 dentry);
    i64 set_opaque(u32 dentry);
};

/// What the layers of a directory have under a name. 1: something, 0: nothing (or a whiteout), or an errno.
i64 Overlay::find(u32 directory, const std::string& name, OverlayNode& out) {
    const OverlayNode above = node(directory);
    const auto look = [&](u32 layer) -> i64 { return in_layer(layer, name); };
    if (above.upper) {
        const i64 there = look(above.upper);
        if (there < 0) return there;
        if (there) {
            const u32 dentry = static_cast<u32>(there);
            if (is_whiteout(vfs.inode_of(dentry))) return 0;
            out.upper = dentry;
            if (!vfs.inode_of(dentry).is_directory()) return 1;
            out.opaque = is_opaque(dentry);
            if (out.opaque) return 1;
        }
    }
    for (u32 lower : above.lowers) {
        const i64 there = look(lower);
        if (there < 0) return there;
        if (!there) continue;
        const u32 dentry = static_cast<u32>(there);
        const Inode& inode = vfs.inode_of(dentry);
        if (is_whiteout(inode)) break;
        const bool first = !out.upper && out.lowers.empty();
        if (!inode.is_directory()) {
            if (first) out.lowers.push_back(dentry);
            break;
        }
        out.lowers.push_back(dentry);
        if (is_opaque(dentry)) break;
    }
    return out.upper || !out.lowers.empty();
}

/// Would the lower layers show this name if the upper one had nothing?
bool Overlay::in_lowers(u32 directory, const std::string& name) {
    for (u32 lower : node(directory).lowers)
        if (const i64 there = in_layer(lower, name); there > 0) return !is_whiteout(vfs.inode_of(static_cast<u32>(there)));
    return false;
}

void Overlay::copy_attributes(u32 inode, u32 layer_dentry) {
    const Inode from = vfs.inode_of(layer_dentry);
    Inode& to = vfs.inodes.edit(inode);
    to.mode = from.mode, to.uid = from.uid, to.gid = from.gid, to.device = from.device, to.target = from.target, to.times = from.times;
    to.links = from.links;
    to.attributes = from.attributes;
    std::erase_if(to.attributes, [](const auto& entry) { return entry.first.starts_with("trusted.overlay.") || entry.first.starts_with("user.overlay."); });
}

/// A dentry of the overlay for what was found; names of one upper inode share one of the overlay's. 0: no room.
u32 Overlay::adopt(u32 directory, const std::string& name, const OverlayNode& found) {
    const u32 top = found.upper ? found.upper : found.lowers[0];
    auto& by_upper = vfs.overlay_layers.at(super).by_upper;
    u32 inode = 0;
    if (found.upper)
        if (const auto known = by_upper.find(vfs.dentries.get(top).inode); known != by_upper.end() && vfs.overlay_nodes.contains(known->second)) inode = known->second;
    if (!inode) {
        const i64 made = vfs.new_inode(super, vfs.inode_of(top).mode, 0, 0, viewer.now);
        if (made < 0) return 0;
        inode = static_cast<u32>(made);
        copy_attributes(inode, top);
        vfs.overlay_nodes[inode] = found;
        if (found.upper && !vfs.inodes.get(inode).is_directory()) by_upper[vfs.dentries.get(top).inode] = inode;
    }
    const u32 dentry = vfs.new_dentry(directory, name, inode);
    vfs.inodes.edit(vfs.dentries.get(directory).inode).children[name] = dentry;
    return dentry;
}

i64 overlay_lookup(Vfs& vfs, const Viewer& viewer, u32 directory, const std::string& name) {
    Overlay overlay(vfs, viewer, directory);
    OverlayNode found;
    const i64 there = overlay.find(directory, name, found);
    if (there <= 0) return there;
    const u32 dentry = overlay.adopt(directory, name, found);
    if (!dentry) return -kENOMEM;
    if (found.lowers.size() + (found.upper ? 1 : 0) > 1)
        viewer.note(EventKind::MergedLookup, fmt::format("{}: {} layers merge here{}", vfs.path_in_super(dentry), found.lowers.size() + (found.upper ? 1 : 0),
                                                         found.upper ? ", the upper one on top" : ""));
    return dentry;
}

/// The names of all layers, each once, but those that a whiteout hides.
void overlay_list(Vfs& vfs, const Viewer& viewer, u32 directory, std::vector<Listed>& out) {
    Overlay overlay(vfs, viewer, directory);
    const OverlayNode above = overlay.node(directory);
    std::vector<u32> sources = above.lowers;
    if (above.upper) sources.insert(sources.begin(), above.upper);
    std::map<std::string, u32> names;
    for (u32 source : sources)
        for (const auto& [name, dentry] : vfs.inode_of(source).children) names.emplace(name, dentry);
    for (const auto& [name, dentry] : names) {
        const Inode& inode = vfs.inode_of(dentry);
        if (is_whiteout(inode)) continue;
        const u32 known = vfs.child(directory, name);
        out.push_back({name, known ? vfs.inode_of(known).number : inode.number, inode.mode});
    }
}

// --- Copying up --------------------------------------------------------------------------------------------------------------------

/// A name for an inode in an upper directory, in place of a whiteout perhaps; the directory's times stay.
i64 Overlay::place_in_upper(u32 directory, const std::string& name, u32 inode) {
    const u32 upper = node(directory).upper;
    if (const u32 old = vfs.child(upper, name)) vfs.unhash(old);
    const u32 dentry = vfs.new_dentry(upper, name, inode);
    Inode& above = vfs.inodes.edit(vfs.dentries.get(upper).inode);
    above.children[name] = dentry;
    above.links += vfs.inodes.get(inode).is_directory();
    return dentry;
}

i64 Overlay::copy_up_one(u32 dentry) {
    OverlayNode& own = node(dentry);
    const u32 lower = own.lowers[0], from = vfs.dentries.get(lower).inode, directory = vfs.dentries.get(dentry).parent;
    const u32 target_super = vfs.inode_of(node(directory).upper).super;
    const u32 data = vfs.data_inode(from);
    if (vfs.inodes.get(data).is_file())
        if (const i64 error = vfs.load(data)) return error;
    const i64 made = vfs.new_inode(target_super, vfs.inodes.get(from).mode, 0, 0, viewer.now);
    if (made < 0) return made;
    const u32 fresh = static_cast<u32>(made);
    const u64 size = vfs.inodes.get(data).data.size();
    if (!vfs.take_pages(target_super, vfs.inodes.get(data).data.pages())) {
        vfs.inodes.remove(fresh);
        return -kENOSPC;
    }
    copy_attributes(fresh, lower);
    const FileData bytes = vfs.inodes.get(data).data;
    Inode& copy = vfs.inodes.edit(fresh);
    copy.data = bytes;
    copy.links = copy.is_directory() ? 2 : 1;
    const bool is_directory = copy.is_directory();
    if (!is_directory && viewer.kernel && viewer.machine && viewer.kernel->hold_pages(*viewer.machine, fresh, 0, size) < size) {
        viewer.kernel->forget_pages(fresh);
        vfs.give_pages(target_super, bytes.pages());
        vfs.inodes.remove(fresh);
        return -kENOSPC;
    }
    const u32 upper = static_cast<u32>(place_in_upper(directory, vfs.dentries.get(dentry).name, fresh));
    OverlayNode& changed = node(dentry);
    changed.upper = upper;
    if (!is_directory) {
        vfs.overlay_layers.at(super).by_upper[fresh] = vfs.dentries.get(dentry).inode;
        vfs.inodes.edit(vfs.dentries.get(dentry).inode).links = 1; // its other names below stay what they were
    }
    viewer.note(EventKind::CopyUp, fmt::format("{}: copied up{}; the lower layer keeps its own", vfs.path_in_super(dentry), is_directory ? ", a directory" : fmt::format(", {} bytes", size)));
    return 0;
}

i64 Overlay::copy_up(u32 dentry) {
    std::vector<u32> needed;
    for (u32 at = dentry; !node(at).upper; at = vfs.dentries.get(at).parent) {
        needed.push_back(at);
        if (vfs.dentries.get(at).parent == at) return -kEROFS;
    }
    if (!layers().upper) return -kEROFS;
    for (auto at = needed.rbegin(); at != needed.rend(); ++at)
        if (const i64 error = copy_up_one(*at)) return error;
    return 0;
}

i64 overlay_copy_up(Vfs& vfs, const Viewer& viewer, u32 dentry) { return Overlay(vfs, viewer, dentry).copy_up(dentry); }

// --- Changing names ------------------------------------------------------------------------------------------------------------------

i64 Overlay::set_opaque(u32 dentry) {
    OverlayNode& own = node(dentry);
    own.opaque = true, own.lowers.clear();
    vfs.inodes.edit(vfs.dentries.get(own.upper).inode).attributes[opaque_name(layers())] = "y";
    return 0;
}

i64 Overlay::put_whiteout(u32 directory, const std::string& name) {
    const u32 upper = node(directory).upper;
    const i64 made = vfs.add_node(upper, name, {mode::kCharacter, 0, {}}, 0, 0, viewer.now);
    if (made < 0) return made;
    viewer.note(EventKind::Whiteout, fmt::format("{}/{}: a whiteout hides what the lower layers have", vfs.path_in_super(directory) == "/" ? "" : vfs.path_in_super(directory), name));
    return 0;
}

/// The upper layer's name goes, with the whiteouts in it when it is a directory.
void Overlay::take_from_upper(u32 dentry) {
    const u32 upper = node(dentry).upper;
    if (!upper) return;
    const u32 inode = vfs.dentries.get(upper).inode, above = vfs.dentries.get(vfs.dentries.get(upper).parent).inode;
    if (vfs.inodes.get(inode).is_directory()) {
        vfs.drop_tree(upper);
    } else {
        vfs.unhash(upper);
        --vfs.inodes.edit(inode).links;
    }
    vfs.inodes.edit(above).times.modified = viewer.now;
}

bool Overlay::is_empty(u32 dentry) {
    std::vector<Listed> entries;
    overlay_list(vfs, viewer, dentry, entries);
    return entries.empty();
}

i64 overlay_create(Vfs& vfs, const Viewer& viewer, u32 directory, const std::string& name, const NewNode& wanted) {
    if ((wanted.mode & mode::kType) == mode::kCharacter && !wanted.device) return -kEPERM; // whiteouts are its own business
    Overlay overlay(vfs, viewer, directory);
    if (const i64 error = overlay.copy_up(directory)) return error;
    const Inode above = vfs.inode_of(directory);
    const u32 gid = above.mode & mode::kSetGid ? above.gid : viewer.credentials->fsgid;
    const i64 made = vfs.new_inode(vfs.inode_of(overlay.node(directory).upper).super, wanted.mode, viewer.credentials->fsuid, gid, viewer.now);
    if (made < 0) return made;
    Inode& fresh = vfs.inodes.edit(static_cast<u32>(made));
    fresh.device = wanted.device, fresh.target = wanted.target;
    const bool is_directory = fresh.is_directory();
    OverlayNode node;
    node.upper = static_cast<u32>(overlay.place_in_upper(directory, name, static_cast<u32>(made)));
    const u32 dentry = overlay.adopt(directory, name, node);
    if (!dentry) return -kENOSPC;
    if (is_directory && !overlay.node(directory).lowers.empty()) overlay.set_opaque(dentry); // nothing below may show through
    Inode& parent = vfs.inodes.edit(vfs.dentries.get(directory).inode);
    parent.links += is_directory;
    parent.times.modified = parent.times.changed = viewer.now;
    vfs.mirror_to_layer(vfs.dentries.get(directory).inode);
    return dentry;
}

i64 overlay_remove(Vfs& vfs, const Viewer& viewer, u32 dentry) {
    Overlay overlay(vfs, viewer, dentry);
    const Dentry gone = vfs.dentries.get(dentry);
    const bool is_directory = vfs.inodes.get(gone.inode).is_directory();
    if (is_directory && !overlay.is_empty(dentry)) return -kENOTEMPTY;
    if (const i64 error = overlay.copy_up(gone.parent)) return error;
    overlay.take_from_upper(dentry);
    if (overlay.in_lowers(gone.parent, gone.name))
        if (const i64 error = overlay.put_whiteout(gone.parent, gone.name)) return error;
    vfs.unhash(dentry);
    Inode& inode = vfs.inodes.edit(gone.inode);
    inode.links = is_directory ? 0 : inode.links - 1;
    inode.times.changed = viewer.now;
    Inode& parent = vfs.inodes.edit(vfs.dentries.get(gone.parent).inode);
    parent.links -= is_directory;
    parent.times.modified = parent.times.changed = viewer.now;
    vfs.mirror_to_layer(vfs.dentries.get(gone.parent).inode);
    return 0;
}

i64 overlay_link(Vfs& vfs, const Viewer& viewer, u32 dentry, u32 directory, const std::string& name) {
    Overlay overlay(vfs, viewer, dentry);
    if (const i64 error = overlay.copy_up(dentry)) return error;
    if (const i64 error = overlay.copy_up(directory)) return error;
    const u32 upper_inode = vfs.dentries.get(overlay.node(dentry).upper).inode, inode = vfs.dentries.get(dentry).inode;
    overlay.place_in_upper(directory, name, upper_inode);
    ++vfs.inodes.edit(upper_inode).links;
    const u32 fresh = vfs.new_dentry(directory, name, inode);
    vfs.inodes.edit(vfs.dentries.get(directory).inode).children[name] = fresh;
    Inode& linked = vfs.inodes.edit(inode);
    ++linked.links;
    linked.times.changed = viewer.now;
    return 0;
}

i64 overlay_rename(Vfs& vfs, const Viewer& viewer, const Renaming& move) {
    constexpr u32 kExchange = 2, kWhiteoutFlag = 4;
    if (move.flags & (kExchange | kWhiteoutFlag)) return -kEINVAL;
    Overlay overlay(vfs, viewer, move.dentry);
    const Dentry old = vfs.dentries.get(move.dentry);
    const bool is_directory = vfs.inodes.get(old.inode).is_directory();
    if (is_directory && !overlay.node(move.dentry).lowers.empty()) return -kEXDEV; // what lies below would stay behind (redirect_dir=off)
    if (move.target && vfs.inode_of(move.target).is_directory() && !overlay.is_empty(move.target)) return -kENOTEMPTY;
    for (u32 needed : {move.dentry, move.directory, old.parent})
        if (const i64 error = overlay.copy_up(needed)) return error;
    if (move.target) {
        overlay.take_from_upper(move.target);
        const u32 target_inode = vfs.dentries.get(move.target).inode;
        const bool target_is_directory = vfs.inodes.get(target_inode).is_directory();
        vfs.unhash(move.target);
        Inode& gone = vfs.inodes.edit(target_inode);
        gone.links = target_is_directory ? 0 : gone.links - 1;
        vfs.inodes.edit(vfs.dentries.get(move.directory).inode).links -= target_is_directory;
    }
    const u32 upper = overlay.node(move.dentry).upper, to = overlay.node(move.directory).upper;
    if (const u32 whiteout = vfs.child(to, move.name); whiteout && whiteout != upper) vfs.unhash(whiteout);
    if (const i64 error = vfs.move_in_memory(viewer, {upper, to, 0, move.name, 0})) return error;
    if (const i64 error = vfs.move_in_memory(viewer, {move.dentry, move.directory, 0, move.name, 0})) return error;
    if (is_directory && !overlay.node(move.directory).lowers.empty()) overlay.set_opaque(move.dentry);
    return overlay.in_lowers(old.parent, old.name) ? overlay.put_whiteout(old.parent, old.name) : 0;
}

// --- Mounting --------------------------------------------------------------------------------------------------------------------------

/// Directories between colons; a backslash takes the next character as it is.
std::vector<std::string> split_lowers(const std::string& text) {
    std::vector<std::string> parts(1);
    for (std::size_t i = 0; i < text.size(); ++i)
        if (text[i] == '\\' && i + 1 < text.size()) parts.back() += text[++i];
        else if (text[i] == ':') parts.emplace_back();
        else parts.back() += text[i];
    return parts;
}

struct Asked {
    std::vector<std::string> lowers;
    std::string upper, work, shown;
    bool user_attributes = false;
};
i64 read_options(const std::string& text, Asked& out) {
    for (const MountOption& option : split_options(text)) {
        const std::string value = option.value.value_or("");
        if (option.name == "lowerdir") out.lowers = split_lowers(value);
        else if (option.name == "lowerdir+") out.lowers.push_back(value);
        else if (option.name == "upperdir") out.upper = value;
        else if (option.name == "workdir") out.work = value;
        else if (option.name == "userxattr") out.user_attributes = true;
        else if ((option.name == "redirect_dir" && (value == "on" || value == "follow")) || (option.name == "metacopy" && value == "on")) return -kEINVAL;
        else if (option.name != "index" && option.name != "redirect_dir" && option.name != "metacopy" && option.name != "xino" && option.name != "nfs_export" &&
                 option.name != "volatile" && option.name != "uuid" && option.name != "verity")
            return -kEINVAL;
    }
    for (const std::string& lower : out.lowers) out.shown += (out.shown.empty() ? ",lowerdir=" : ":") + lower;
    if (!out.upper.empty()) out.shown += ",upperdir=" + out.upper + ",workdir=" + out.work;
    if (out.user_attributes) out.shown += ",userxattr";
    return 0;
}

i64 fill_overlay(Vfs& vfs, const Viewer& viewer, u32 super, const MountRequest& request) {
    Asked asked;
    if (const i64 error = read_options(request.options, asked)) return error;
    if (asked.lowers.empty() || asked.lowers.size() > kMaxLowers || (!asked.upper.empty() && asked.work.empty())) return -kEINVAL;
    if (asked.upper.empty() && asked.lowers.size() == 1) return -kEINVAL; // at least two layers
    OverlayLayers layers;
    layers.text = asked.shown, layers.user_attributes = asked.user_attributes;
    const auto place = [&](const std::string& path, Location& out) -> i64 {
        const Found found = vfs.walk(viewer, viewer.cwd, path, kFollow);
        if (found.error) return found.error;
        return vfs.is_directory(found.location) ? (out = found.location, 0) : -kENOTDIR;
    };
    Location upper, work;
    if (!asked.upper.empty()) {
        if (const i64 error = place(asked.upper, upper)) return error;
        if (const i64 error = place(asked.work, work)) return error;
        if (upper.mount != work.mount || vfs.want_write(upper.mount)) return -kEINVAL;
        if (vfs.is_below(upper.dentry, work.dentry) || vfs.is_below(work.dentry, upper.dentry)) return -kEINVAL; // separate subtrees
        const FileSystemType& type = vfs.type_of(upper.inode);
        if (type.create || type.lookup) return -kEINVAL; // made-up files and other overlays cannot take what is written
        if (!vfs.child(work.dentry, "work"))
            if (const i64 made = vfs.add_directory(work.dentry, "work", 0, viewer.now); made < 0) return made;
        layers.upper = upper.dentry, layers.work = work.dentry;
    } else {
        vfs.supers.edit(super).read_only = true;
    }
    for (const std::string& path : asked.lowers) {
        Location lower;
        if (const i64 error = place(path, lower)) return error;
        layers.lowers.push_back(lower.dentry);
    }
    OverlayNode root;
    root.upper = layers.upper, root.lowers = layers.lowers;
    vfs.overlay_layers[super] = layers;
    if (const i64 error = make_root(vfs, viewer, super, 0755, 0, 0)) return error;
    const u32 dentry = vfs.root_of(super), inode = vfs.dentries.get(dentry).inode;
    vfs.overlay_nodes[inode] = root;
    Overlay(vfs, viewer, dentry).copy_attributes(inode, root.upper ? root.upper : root.lowers[0]);
    return 0;
}

std::string overlay_options(const Vfs& vfs, const Superblock& super) {
    const auto layers = vfs.overlay_layers.find(vfs.inode_of(super.root).super);
    return layers == vfs.overlay_layers.end() ? "" : layers->second.text;
}

} // namespace

const FileSystemType kOverlay = [] {
    FileSystemType type{};
    type.name = "overlay", type.magic = 0x794c7630, type.for_users = true, type.nodev = true, type.fill = fill_overlay, type.options = overlay_options;
    type.lookup = overlay_lookup, type.list = overlay_list, type.create = overlay_create, type.remove = overlay_remove, type.link = overlay_link;
    type.rename = overlay_rename, type.copy_up = overlay_copy_up;
    return type;
}();

/// What an overlay's inode is, its upper layer's is as well.
void Vfs::mirror_to_layer(u32 index) {
    const auto node = overlay_nodes.find(index);
    if (node == overlay_nodes.end() || !node->second.upper) return;
    const Inode from = inodes.get(index);
    Inode& to = inodes.edit(dentries.get(node->second.upper).inode);
    to.mode = from.mode, to.uid = from.uid, to.gid = from.gid, to.times = from.times;
    std::map<std::string, std::string> attributes = from.attributes;
    for (const auto& [name, value] : to.attributes)
        if (name.starts_with("trusted.overlay.") || name.starts_with("user.overlay.")) attributes[name] = value;
    to.attributes = std::move(attributes);
}

} // namespace trapeze::container
