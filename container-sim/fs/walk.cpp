// Paths: walking them down through directories, links and mounts (path_resolution(7)), and telling the path of a place.
#include "container-sim/fs/vfs.hpp"

#include <algorithm>

namespace trapeze::container {

/// A name in a directory: its dentry, 0 when there is none, or an errno.
i64 Vfs::lookup(const Viewer& viewer, u32 directory, const std::string& name) {
    const FileSystemType& type = type_of(dentries.get(directory).inode);
    if (const u32 there = child(directory, name)) {
        if (!type.alive || type.alive(*this, viewer, dentries.get(there).inode)) return there;
        drop_tree(there);
    }
    return type.lookup ? type.lookup(*this, viewer, directory, name) : 0;
}

/// Down into whatever is mounted here, however often.
Location Vfs::cross_mounts(Location at) const {
    for (auto found = covered.find({at.dentry, at.mount}); found != covered.end(); found = covered.find({at.dentry, at.mount}))
        at = location_of(found->second, mounts.at(found->second).root);
    return at;
}

/// "..": never above the viewer's root, and out of a mount to where it is mounted.
Location Vfs::step_up(const Viewer& viewer, Location at, bool* crossed) const {
    const u32 before = at.mount;
    const Location begin = at;
    for (;;) {
        const auto mount = mounts.find(at.mount);
        if (mount == mounts.end()) return at;
        if (at == viewer.root || (at.dentry == mount->second.root && !mount->second.parent)) { // nothing is above: one stays, on what is mounted there
            at = cross_mounts(begin);
            if (crossed) *crossed = at.mount != before;
            return at;
        }
        if (at.dentry != mount->second.root) break;
        at = location_of(mount->second.parent, mount->second.point);
    }
    at = cross_mounts(location_of(at.mount, dentries.get(at.dentry).parent));
    if (crossed) *crossed = at.mount != before;
    return at;
}

namespace {

/// One walk: what is left of the path, and where it stands.
struct Walk {
    Vfs& vfs;
    Viewer viewer;
    u32 flags;
    Location at;
    std::string rest;
    unsigned links = 0;
    Found found;

    i64 step(const std::string& part, bool last);
    i64 enter(Location next, bool last, std::size_t end);
    i64 follow(Location link, bool last, std::size_t end);
    void run();
};

/// A link: its text takes its place in the path, or, a magic one, leads on from where it points.
i64 Walk::follow(Location link, bool last, std::size_t end) {
    const auto mount = vfs.mounts.find(link.mount);
    if (++links > kMaxSymlinks || flags & kNoSymlinks) return -kELOOP;
    if (mount != vfs.mounts.end() && mount->second.flags & mount_flag::kNoSymFollow) return -kELOOP;
    const FileSystemType& type = vfs.type_of(link.inode);
    Location target;
    const i64 magic = type.follow ? type.follow(vfs, viewer, link.inode, target) : kNoMagic;
    if (magic < 0) return magic;
    if (magic != kNoMagic) {
        if (flags & kNoMagicLinks) return -kELOOP;
        if (flags & (kBeneath | kInRoot)) return -kEXDEV;
        if (flags & kNoCrossing && target.mount != at.mount) return -kEXDEV;
        at = target;
        found.directory = at, found.entry = 0, found.last = Found::Last::Dot, found.magic = last;
        rest.erase(0, end);
        return 0;
    }
    const std::string text = type.link_text ? type.link_text(vfs, viewer, link.inode) : vfs.inodes.get(link.inode).target;
    if (text.empty()) return -kENOENT;
    if (text[0] == '/') {
        if (flags & kBeneath || (flags & kNoCrossing && viewer.root.mount != at.mount)) return -kEXDEV;
        at = viewer.root;
        found.directory = at, found.name = "/", found.entry = 0, found.last = Found::Last::Root;
    }
    rest = text + rest.substr(end);
    return 0;
}

i64 Walk::enter(Location next, bool last, std::size_t end) {
    const bool slash_follows = end < rest.size();
    if (vfs.inodes.get(next.inode).is_symlink() && (!last || flags & kFollow || (slash_follows && !(flags & kParent)))) return follow(next, last, end);
    if (flags & kNoCrossing && next.mount != at.mount) return -kEXDEV;
    at = next;
    rest.erase(0, end);
    return 0;
}

i64 Walk::step(const std::string& part, bool last) {
    const std::size_t end = rest.find(part) + part.size();
    found.slash = last && end < rest.size();
    found.magic = false;
    if (!vfs.is_directory(at)) return -kENOTDIR; // so are "file/" and "file/."
    if (const i64 error = vfs.permission(viewer, at, mode::kExecute)) return error;
    if (part.size() > kMaxNameBytes) return -kENAMETOOLONG;
    found.directory = at, found.name = part, found.entry = 0;
    if (part == ".") {
        found.last = Found::Last::Dot;
        rest.erase(0, end);
        return 0;
    }
    if (part == "..") {
        found.last = Found::Last::DotDot;
        if (flags & kBeneath && at == viewer.root) return -kEXDEV;
        bool crossed = false;
        const Location up = vfs.step_up(viewer, at, &crossed);
        if (flags & kNoCrossing && crossed) return -kEXDEV;
        at = up;
        rest.erase(0, end);
        return 0;
    }
    found.last = Found::Last::Normal;
    const i64 dentry = vfs.lookup(viewer, at.dentry, part);
    if (dentry <= 0) {
        if (dentry < 0 || !last) found.directory = {};
        return dentry ? dentry : -kENOENT;
    }
    found.entry = static_cast<u32>(dentry);
    return enter(vfs.cross_mounts(vfs.location_of(at.mount, found.entry)), last, end);
}

void Walk::run() {
    for (std::size_t begin; (begin = rest.find_first_not_of('/')) != std::string::npos;) {
        rest.erase(0, begin);
        const std::size_t end = std::min(rest.find('/'), rest.size());
        const bool last = rest.find_first_not_of('/', end) == std::string::npos;
        if ((found.error = step(rest.substr(0, end), last))) return;
    }
    if (found.slash && !(flags & kParent) && !vfs.is_directory(at)) found.error = -kENOTDIR;
    found.location = at;
}

} // namespace

Found Vfs::walk(const Viewer& viewer, Location base, std::string_view path, u32 flags) {
    Walk walk{*this, viewer, flags, base, std::string(path), 0, {}};
    Found& found = walk.found;
    if (path.empty()) {
        found.error = flags & kEmptyPathAllowed ? 0 : -kENOENT;
        if (!found.error) found.location = found.directory = base, found.last = Found::Last::Dot;
        return found;
    }
    if (flags & (kInRoot | kBeneath)) walk.viewer.root = base;
    if (path[0] == '/') {
        if (flags & kBeneath) return found.error = -kEXDEV, found;
        if (flags & kNoCrossing && walk.viewer.root.mount != base.mount && !(flags & kInRoot)) return found.error = -kEXDEV, found;
        walk.at = walk.viewer.root;
        found.last = Found::Last::Root, found.name = "/";
    }
    found.directory = walk.at;
    walk.run();
    return std::move(walk.found);
}

std::vector<Listed> Vfs::list(const Viewer& viewer, Location at) {
    const Inode& directory = inodes.get(at.inode);
    std::vector<Listed> entries{{".", directory.number, directory.mode}};
    const Inode& above = inodes.get(step_up(viewer, at).inode);
    entries.push_back({"..", above.number, above.mode});
    const FileSystemType& type = type_of(at.inode);
    if (type.list) type.list(*this, viewer, at.dentry, entries);
    else
        for (const auto& [name, dentry] : directory.children) entries.push_back({name, inode_of(dentry).number, inode_of(dentry).mode});
    return entries;
}

/// The path as the viewer's root sees it. `unreachable`: it does not lie below that root.
std::string Vfs::path_of(const Viewer& viewer, Location at, bool* unreachable) const {
    std::string path;
    const bool deleted = dentries.get(at.dentry).unhashed;
    bool outside = false;
    while (!(at == viewer.root) && path.size() <= 2 * kMaxPathBytes) {
        const auto mount = mounts.find(at.mount);
        if (mount != mounts.end() && mount->second.root == at.dentry) {
            if (!mount->second.parent) {
                outside = true;
                break;
            }
            at = location_of(mount->second.parent, mount->second.point);
            continue;
        }
        const Dentry& here = dentries.get(at.dentry);
        if (here.parent == at.dentry) {
            outside = true;
            break;
        }
        path.insert(0, "/" + here.name);
        at.dentry = here.parent;
    }
    if (unreachable) *unreachable = outside;
    if (path.empty()) path = "/";
    return deleted ? path + " (deleted)" : path;
}

/// From the root of its own file system.
std::string Vfs::path_in_super(u32 dentry) const {
    std::string path;
    const bool deleted = dentries.get(dentry).unhashed;
    for (; dentries.get(dentry).parent != dentry && path.size() <= 2 * kMaxPathBytes; dentry = dentries.get(dentry).parent) path.insert(0, "/" + dentries.get(dentry).name);
    if (path.empty()) path = "/";
    return deleted ? path + "//deleted" : path;
}

} // namespace trapeze::container
