// Building an image from a Containerfile: each instruction that changes files makes a layer; what RUN makes is remembered by the content
// that it was made from, so that a second build runs nothing. The same files give the same image, bit for bit: times in layers are zero.
//
// Usage:
//   auto image = build_image(store, {.containerfile = "web/Containerfile", .context = "web", .names = {"web:latest"}}, log);
#pragma once

#include "container-sim/engine/containerfile.hpp"
#include "container-sim/engine/image_store.hpp"

#include <functional>

namespace trapeze::container {

/// What a RUN is: a program in a container of its own, over the tree so far.
struct RunStep {
    const std::vector<Layer>& lower;
    std::vector<std::string> arguments, environment;
    std::string user, working_dir;
};
/// Runs it to its end and gives what it changed; the error tells its status or why it could not start.
using StepRunner = std::function<Result<Layer>(const RunStep& step)>;
/// An image that is not in the store: those that ship with the program.
using ImageFinder = std::function<Result<Image>(const std::string& name)>;

struct BuildOptions {
    std::string containerfile;       ///< file of the host
    std::string context;             ///< folder of the host that COPY takes from
    std::vector<std::string> names;  ///< for the image
    std::string created;             ///< RFC 3339; empty: no time
    bool no_cache = false;
    StepRunner runner;               ///< without one, RUN is refused
    ImageFinder finder;              ///< where FROM looks; without one, in the store
    ArchiveLimits limits;
};
/// Builds, and puts the image into the store. `log` gets Docker's lines ("Step 1/4 : FROM scratch").
Result<Image> build_image(ImageStore& store, const BuildOptions& options, const std::function<void(const std::string& line)>& log);

/// The files that COPY takes: what a folder of the host holds below `context`, as entries of a layer. Nothing outside `context` is read.
struct CopyRequest {
    std::vector<std::string> sources; ///< relative to the context; * ? and [] match as in glob(7)
    std::string destination;          ///< absolute; ends with / when it must be a folder
    u32 uid = 0, gid = 0;
    std::optional<u32> mode;          ///< of files, in place of their own
};
Result<Layer> copy_layer(const FileTree& tree, const std::string& context, const CopyRequest& request, const ArchiveLimits& limits);
/// Entries for those folders of a path, and of those above it, that the tree has not.
void add_folders(Layer& layer, const FileTree& tree, const std::string& path, u32 uid = 0, u32 gid = 0);

} // namespace trapeze::container
