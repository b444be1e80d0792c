// An image: a configuration and layers (OCI image specification; Docker image specification 1.2). A plain value with the bytes as they
// came, so that digests stay what they were.
//
// Usage:
//   auto loaded = read_images("busybox.tar", {});
//   auto layers = unpack(loaded->images[0], {});
//   auto root = merge_layers(*layers);
#pragma once

#include "container-sim/engine/image_json.hpp"
#include "container-sim/engine/layer_archive.hpp"

namespace trapeze::container {

struct HistoryEntry {
    std::string created, created_by, comment;
    bool empty_layer = false;
    bool operator==(const HistoryEntry&) const = default;
};
/// The configuration's members by their names in the specification (config.md).
struct ImageConfig {
    std::string created, author, architecture = "riscv64", os = "linux", variant;
    std::string user, working_dir, stop_signal;
    std::vector<std::string> env, entrypoint, cmd, exposed_ports, volumes;
    std::map<std::string, std::string> labels;
    std::vector<std::string> diff_ids;
    std::vector<HistoryEntry> history;
    bool operator==(const ImageConfig&) const = default;
};
Result<ImageConfig> parse_image_config(const Bytes& bytes, const std::string& name);
Bytes image_config_bytes(const ImageConfig& config);

struct ImageLayer {
    std::string media_type, digest; ///< of the blob
    std::string diff_id;            ///< digest of the archive in it
    Bytes blob;
};
struct Image {
    Bytes manifest, config_bytes;
    ImageConfig config;
    std::vector<ImageLayer> layers; ///< from the lowest up
    std::vector<std::string> names; ///< "repository:tag"
    std::string id() const { return digest_of(*config_bytes); }
    std::string manifest_digest() const { return digest_of(*manifest); }
    u64 size() const;               ///< bytes of its blobs
};

inline constexpr std::size_t kMaxLayers = 128, kMaxImagesInArchive = 64;

struct ReadOptions {
    std::string architecture = "riscv64", os = "linux";
    ArchiveLimits limits;
};
struct LoadedImages {
    std::vector<Image> images;
    std::vector<std::string> skipped; ///< a sentence for each image of another platform
};
/// Reads all images of a folder or file of the host: an OCI layout, an archive of one, or what `docker save` writes. Digests of manifests,
/// configurations, layers and the archives in them are verified, and every layer is unpacked once to see that it can be.
Result<LoadedImages> read_images(const std::string& path, const ReadOptions& options);
/// The same for an archive in memory.
Result<LoadedImages> read_images(const Bytes& archive, const std::string& name, const ReadOptions& options);

/// The layers of an image, verified against their digests and diff_ids.
Result<std::vector<Layer>> unpack(const Image& image, const ArchiveLimits& limits);
/// An image of a configuration and the archives of layers, which are stored as they are; sets diff_ids.
Result<Image> make_image(ImageConfig config, const std::vector<Bytes>& layer_archives);
/// The same for layers that are blobs already, with their diff_ids.
Result<Image> make_image(ImageConfig config, std::vector<ImageLayer> layers);
/// A layer's archive as a blob, stored as it is.
ImageLayer plain_layer(const Bytes& archive);
/// The manifest for an image that has none yet.
Bytes make_manifest(const Image& image);

/// The files of an OCI layout; and of what `docker save` writes today, which is an OCI layout with a manifest.json beside.
std::map<std::string, Bytes> oci_layout_files(const std::vector<Image>& images);
std::map<std::string, Bytes> docker_save_files(const std::vector<Image>& images);

/// "Busybox" is refused, "busybox" becomes "busybox:latest", "docker.io/library/busybox:1" becomes "busybox:1".
Result<std::string> image_name(const std::string& text);
/// The size that Docker prints: "4.26MB", decimal units with three digits.
std::string human_size(u64 bytes);

} // namespace trapeze::container
