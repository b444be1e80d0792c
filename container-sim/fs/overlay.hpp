// What the overlay file system keeps (Documentation/filesystems/overlayfs.rst): its layers, and of each inode where it lies in them.
#pragma once

#include "container-sim/fs/inode.hpp"

namespace trapeze::container {

/// The layers of one overlay, as private places: what is mounted over them later does not show.
struct OverlayLayers {
    u32 upper = 0;                 ///< dentry; 0: read-only
    u32 work = 0;
    std::vector<u32> lowers;       ///< dentries, the topmost first
    std::map<u32, u32> by_upper;   ///< upper inode to the overlay's: names of one file are one file
    std::string text;              ///< lowerdir=..,upperdir=..,workdir=.. as given
    bool user_attributes = false;  ///< userxattr
};
/// One inode of an overlay: the dentries that it is made of.
struct OverlayNode {
    u32 upper = 0;                 ///< 0: only below
    std::vector<u32> lowers;       ///< of a directory all that merge, topmost first; of anything else at most one
    bool opaque = false;           ///< the upper directory hides those below
};

} // namespace trapeze::container
