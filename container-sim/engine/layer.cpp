#include "container-sim/engine/layer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace trapeze::container {

namespace {

constexpr unsigned kMaxLinks = 40; ///< path_resolution(7)

bool same_content(const Bytes& a, const Bytes& b) {
    if (a == b) return true;
    const std::size_t size_a = a ? a->size() : 0, size_b = b ? b->size() : 0;
    return size_a == size_b && (size_a == 0 || *a == *b);
}

/// The names below a directory: those that begin with "path/", or all but the root for the root.
std::pair<std::map<std::string, u32>::iterator, std::map<std::string, u32>::iterator> below(FileTree& tree, const std::string& path) {
    if (path.empty()) return {tree.names.upper_bound(""), tree.names.end()};
    return {tree.names.lower_bound(path + "/"), tree.names.lower_bound(path + static_cast<char>('/' + 1))};
}
void remove_below(FileTree& tree, const std::string& path) {
    const auto [from, to] = below(tree, path);
    tree.names.erase(from, to);
}
void remove(FileTree& tree, const std::string& path) {
    remove_below(tree, path);
    tree.names.erase(path);
}

std::string join(const std::string& directory, const std::string& name) { return directory.empty() ? name : directory + "/" + name; }

std::vector<std::string> parts_of(std::string_view path) {
    std::vector<std::string> parts;
    for (std::size_t at = 0; at < path.size();) {
        const std::size_t end = std::min(path.find('/', at), path.size());
        if (end > at) parts.emplace_back(path.substr(at, end - at));
        at = end + 1;
    }
    return parts;
}

u32 add_node(FileTree& tree, FileNode node) {
    tree.nodes.push_back(std::move(node));
    return static_cast<u32>(tree.nodes.size() - 1);
}

/// Where a directory's path leads when its symbolic links are followed inside the tree; missing directories are made in `make`, which is
/// the same tree, or null.
Result<std::string> resolve_directory(const FileTree& tree, const std::string& path, FileTree* make) {
    std::vector<std::string> rest = parts_of(path);
    std::reverse(rest.begin(), rest.end());
    std::string at;
    unsigned links = 0;
    while (!rest.empty()) {
        const std::string part = rest.back();
        rest.pop_back();
        if (part == ".") continue;
        if (part == "..") {
            at = parent_path(at);
            continue;
        }
        const std::string next = join(at, part);
        const auto found = tree.names.find(next);
        if (found == tree.names.end()) {
            if (!make) return Error{fmt::format("there is no folder {}", next)};
            if (next.size() > kMaxPath || tree.names.size() >= kMaxTreeEntries) return Error{fmt::format("the folder {} cannot be made: the tree is too large", next)};
            make->names[next] = add_node(*make, FileTree::root_node());
            at = next;
            continue;
        }
        const FileNode& node = tree.nodes[found->second];
        if (node.type == EntryType::Directory) {
            at = next;
            continue;
        }
        if (node.type != EntryType::Symlink) return Error{fmt::format("{} is no folder in the layers below; a layer that makes it one must have an entry for it", next)};
        if (++links > kMaxLinks) return Error{fmt::format("{} leads through more than {} symbolic links", path, kMaxLinks)};
        if (node.target.starts_with('/')) at.clear();
        std::vector<std::string> target = parts_of(node.target);
        rest.insert(rest.end(), target.rbegin(), target.rend());
    }
    return at;
}

Result<std::string> place_of(const FileTree& tree, const std::string& path, FileTree* make) {
    if (path.empty()) return path;
    auto directory = resolve_directory(tree, parent_path(path), make);
    if (!directory) return directory;
    return join(*directory, base_name(path));
}

Result<void> apply_entry(FileTree& tree, const LayerEntry& entry) {
    auto place = place_of(tree, entry.path, &tree);
    if (!place) return Error{fmt::format("{}: {}", entry.path, place.error())};
    const auto old = tree.names.find(*place);
    const bool directory = entry.node.type == EntryType::Directory;
    if (directory && old != tree.names.end() && tree.nodes[old->second].type == EntryType::Directory) {
        tree.nodes[old->second] = entry.node;
        return {};
    }
    if (place->empty()) return Error{"the root is given as something else than a folder"};
    u32 node = 0;
    if (entry.node.type == EntryType::HardLink) {
        auto target = place_of(tree, entry.node.target, nullptr);
        const auto found = target ? tree.names.find(*target) : tree.names.end();
        if (found == tree.names.end() || tree.nodes[found->second].type == EntryType::Directory)
            return Error{fmt::format("{}: a hard link to {}, which is no file of this layer or one below; make the image again from whole layers", entry.path, entry.node.target)};
        if (*target == *place) return {};
        node = found->second;
    } else {
        node = add_node(tree, entry.node);
    }
    if (tree.names.size() >= kMaxTreeEntries) return Error{fmt::format("{}: the image has more than {} files; give a smaller one", entry.path, kMaxTreeEntries)};
    remove(tree, *place);
    tree.names[*place] = node;
    return {};
}

/// The names of each node that has several, by the first.
std::map<u32, std::string> first_names(const FileTree& tree) {
    std::map<u32, std::string> first;
    for (const auto& [name, node] : tree.names) first.try_emplace(node, name);
    return first;
}

} // namespace

bool operator==(const FileNode& a, const FileNode& b) {
    return a.type == b.type && a.mode == b.mode && a.uid == b.uid && a.gid == b.gid && a.mtime == b.mtime && a.mtime_nanoseconds == b.mtime_nanoseconds &&
           a.target == b.target && a.major == b.major && a.minor == b.minor && a.xattrs == b.xattrs && same_content(a.content, b.content);
}

const FileNode* FileTree::find(const std::string& path) const {
    const auto found = names.find(path);
    return found == names.end() ? nullptr : &nodes[found->second];
}

bool operator==(const FileTree& a, const FileTree& b) {
    if (a.names.size() != b.names.size()) return false;
    const auto first_a = first_names(a), first_b = first_names(b);
    for (auto in_a = a.names.begin(), in_b = b.names.begin(); in_a != a.names.end(); ++in_a, ++in_b)
        if (in_a->first != in_b->first || first_a.at(in_a->second) != first_b.at(in_b->second) || !(a.nodes[in_a->second] == b.nodes[in_b->second])) return false;
    return true;
}

Result<std::string> clean_path(std::string_view name) {
    if (name.empty()) return Error{"an entry without a name"};
    if (name.size() > kMaxPath) return Error{fmt::format("a name of {} bytes (at most {})", name.size(), kMaxPath)};
    if (name.starts_with('/')) return Error{"an absolute name; pack it with names relative to the root (tar without -P)"};
    if (name.find('\0') != std::string_view::npos) return Error{"a name with a zero byte in it"};
    std::string clean;
    std::size_t depth = 0;
    for (const std::string& part : parts_of(name)) {
        if (part == ".") continue;
        if (part == "..") return Error{"a name that leads upward (..); pack it with names below the root"};
        if (part.size() > kMaxName) return Error{fmt::format("a part of {} bytes in the name (at most {})", part.size(), kMaxName)};
        if (++depth > kMaxPathDepth) return Error{fmt::format("a name with more than {} folders in it", kMaxPathDepth)};
        clean = join(clean, part);
    }
    return clean;
}

std::string parent_path(const std::string& path) {
    const std::size_t slash = path.rfind('/');
    return slash == std::string::npos ? "" : path.substr(0, slash);
}
std::string base_name(const std::string& path) { return path.substr(path.rfind('/') + 1); }

bool is_directory(const FileTree& tree, const std::string& path) { return bool{resolve_directory(tree, path, nullptr)}; }

/// Whiteouts hide only what lies below the layer, so they go first, wherever in the archive they stand (layer.md, "Whiteouts").
Result<void> apply_layer(FileTree& tree, const Layer& layer) {
    for (const LayerEntry& entry : layer.entries) {
        if (entry.node.type != EntryType::Whiteout && entry.node.type != EntryType::Opaque) continue;
        const bool opaque = entry.node.type == EntryType::Opaque;
        auto place = opaque ? resolve_directory(tree, entry.path, nullptr) : place_of(tree, entry.path, nullptr);
        if (!place) continue; // nothing there to hide
        if (opaque) remove_below(tree, *place);
        else if (!place->empty()) remove(tree, *place);
    }
    for (const LayerEntry& entry : layer.entries) {
        if (entry.node.type == EntryType::Whiteout || entry.node.type == EntryType::Opaque) continue;
        if (const auto applied = apply_entry(tree, entry); !applied) return applied;
    }
    return {};
}

Result<FileTree> merge_layers(const std::vector<Layer>& layers) {
    FileTree tree;
    for (const Layer& layer : layers)
        if (const auto applied = apply_layer(tree, layer); !applied) return Error{applied.error()};
    return tree;
}

Layer layer_of(const FileTree& tree) {
    Layer layer;
    const auto first = first_names(tree);
    for (const auto& [name, index] : tree.names) {
        LayerEntry entry{name, tree.nodes[index]};
        if (first.at(index) != name) {
            entry.node.type = EntryType::HardLink, entry.node.target = first.at(index);
            entry.node.content = nullptr, entry.node.xattrs.clear();
        }
        layer.entries.push_back(std::move(entry));
    }
    return layer;
}

Layer diff_trees(const FileTree& lower, const FileTree& upper) {
    Layer layer;
    const auto first_lower = first_names(lower), first_upper = first_names(upper);
    std::set<u32> changed; // nodes of upper of which one name differs: all their names are given, for a link needs its file in the same layer
    const auto same = [&](const std::string& name, u32 index) {
        const auto below_it = lower.names.find(name);
        return below_it != lower.names.end() && lower.nodes[below_it->second] == upper.nodes[index] && first_lower.at(below_it->second) == first_upper.at(index);
    };
    for (const auto& [name, index] : upper.names)
        if (!same(name, index)) changed.insert(index);
    for (const LayerEntry& entry : layer_of(upper).entries)
        if (changed.contains(upper.names.at(entry.path))) layer.entries.push_back(entry);
    std::set<std::string> hidden; // what lies below these needs no whiteout of its own
    for (const auto& [name, index] : lower.names) {
        if (!name.empty() && hidden.contains(parent_path(name))) {
            if (lower.nodes[index].type == EntryType::Directory) hidden.insert(name);
            continue;
        }
        const FileNode* now = upper.find(name);
        if (lower.nodes[index].type == EntryType::Directory && (!now || now->type != EntryType::Directory)) hidden.insert(name);
        if (now) continue;
        LayerEntry whiteout{name, {}};
        whiteout.node.type = EntryType::Whiteout;
        layer.entries.push_back(std::move(whiteout));
    }
    std::stable_sort(layer.entries.begin(), layer.entries.end(), [](const LayerEntry& a, const LayerEntry& b) { return a.path < b.path; });
    return layer;
}

std::vector<std::string> change_lines(const FileTree& lower, const Layer& change) {
    std::map<std::string, char> kinds;
    for (const LayerEntry& entry : change.entries) {
        if (entry.node.type == EntryType::Opaque || entry.path.empty()) continue;
        kinds[entry.path] = entry.node.type == EntryType::Whiteout ? 'D' : lower.find(entry.path) ? 'C' : 'A';
        for (std::string above = parent_path(entry.path); !above.empty(); above = parent_path(above)) kinds.try_emplace(above, 'C');
    }
    std::vector<std::string> lines;
    for (const auto& [path, kind] : kinds) lines.push_back(fmt::format("{} /{}", kind, path));
    return lines;
}

} // namespace trapeze::container
