// Layers of an image and the trees that they add up to (OCI image specification, layer.md). A layer is what its archive says, entry by
// entry, with whiteouts; a tree is a root file system, with hard links as names of one node. Both are plain values; no host file is touched.
//
// Usage:
//   auto tree = merge_layers(layers);
//   Layer change = diff_trees(lower, upper);   // merge of lower and change is upper again
#pragma once

#include "container-sim/engine/digest.hpp"
#include "emulator/base/result.hpp"

#include <map>
#include <string>
#include <vector>

namespace trapeze::container {

/// Whiteout: hides what has this path in the layers below. Opaque: hides everything that a directory holds in the layers below.
enum class EntryType : u8 { File, Directory, Symlink, HardLink, Character, Block, Fifo, Whiteout, Opaque };

/// What inode(7) tells of a file, and its content.
struct FileNode {
    EntryType type = EntryType::File;
    u32 mode = 0644;                          ///< permissions with set-user-ID, set-group-ID and sticky bits: 07777
    u32 uid = 0, gid = 0;
    i64 mtime = 0;                            ///< seconds since 1970
    u32 mtime_nanoseconds = 0;
    std::string target;                       ///< of a symbolic link; of a hard link, the path in the tree
    u32 major = 0, minor = 0;                 ///< of a device
    std::map<std::string, std::string> xattrs;
    Bytes content;                            ///< of a file; null is empty
    std::size_t size() const { return content ? content->size() : 0; }
};
bool operator==(const FileNode& a, const FileNode& b);

struct LayerEntry {
    std::string path;                         ///< relative, without "." and "..", as clean_path makes it; empty: the root itself
    FileNode node;
    bool operator==(const LayerEntry&) const = default;
};
struct Layer {
    std::vector<LayerEntry> entries;          ///< in the archive's order
    bool operator==(const Layer&) const = default;
};

/// A root file system.
struct FileTree {
    std::map<std::string, u32> names{{"", 0}}; ///< clean path to index of the node; names with one index are hard links
    std::vector<FileNode> nodes{root_node()};

    const FileNode* find(const std::string& path) const;
    static FileNode root_node() {
        FileNode node;
        node.type = EntryType::Directory, node.mode = 0755;
        return node;
    }
};
/// Same names, same files, and the same names are hard links of each other.
bool operator==(const FileTree& a, const FileTree& b);

inline constexpr std::size_t kMaxPath = 4096, kMaxName = 255, kMaxPathDepth = 256;
inline constexpr std::size_t kMaxTreeEntries = 200'000;

/// "./a//b/" as "a/b". The error says what is wrong with the name, without naming the archive: "..", absolute, too long, too deep.
Result<std::string> clean_path(std::string_view name);
/// All but the last part of a clean path, and the last part.
std::string parent_path(const std::string& path);
std::string base_name(const std::string& path);

/// True when a clean path leads to a folder of the tree, through symbolic links or not.
bool is_directory(const FileTree& tree, const std::string& path);
/// Puts a layer over a tree. Entries below a symbolic link of the tree go to where it leads, never out of the tree.
Result<void> apply_layer(FileTree& tree, const Layer& layer);
Result<FileTree> merge_layers(const std::vector<Layer>& layers);
/// What must be applied to `lower` to get `upper`, sorted by path: only what differs, and whiteouts for what is gone.
Layer diff_trees(const FileTree& lower, const FileTree& upper);
/// A tree as the one layer that makes it.
Layer layer_of(const FileTree& tree);

/// "A /path", "C /path" and "D /path", as `docker diff` prints the changes of a layer over what lies below it.
std::vector<std::string> change_lines(const FileTree& lower, const Layer& change);

} // namespace trapeze::container
