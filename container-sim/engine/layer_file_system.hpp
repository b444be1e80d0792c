// A layer of an image as a read-only file system, to be one of the lower directories of an overlay: whiteouts are devices 0:0 and opaque
// directories have trusted.overlay.opaque, as Linux's overlay has them. And an overlay's upper directory as a layer again.
#pragma once

#include "container-sim/engine/layer.hpp"
#include "container-sim/fs/types.hpp"

namespace trapeze::container {

/// The new file system's number. File contents are shared with the layer, not copied.
Result<u32> import_layer(Vfs& vfs, const Viewer& viewer, const Layer& layer, const std::string& name);
/// What a directory holds, as a layer over what lies below it: hard links, whiteouts and opaque directories told as such.
Result<Layer> export_layer(Vfs& vfs, u32 directory);

} // namespace trapeze::container
