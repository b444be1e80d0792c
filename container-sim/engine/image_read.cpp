// Reading images: an OCI layout (image-layout.md) as a folder or an archive, and the archives of `docker save`, old and new.
#include "container-sim/engine/host_files.hpp"
#include "container-sim/engine/image.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace trapeze::container {

namespace {

constexpr unsigned kMaxIndexDepth = 3;

/// Where files are taken from by relative name: a folder of the host, or an archive in memory.
struct Source {
    std::string name, folder;
    std::map<std::string, Bytes> files;

    bool has(const std::string& path) const { return folder.empty() ? files.contains(path) : host_file_exists(folder + "/" + path); }
    Result<Bytes> read(const std::string& path, u64 most) const {
        if (!folder.empty()) return read_host_file(folder + "/" + path, most);
        const auto found = files.find(path);
        if (found == files.end()) return Error{fmt::format("{}: {} is missing in it; get it again, whole", name, path)};
        if (found->second->size() > most) return Error{fmt::format("{}: {} has {} bytes (at most {})", name, path, found->second->size(), most)};
        return found->second;
    }
};

struct Descriptor {
    std::string media_type, digest, where;
    i64 size = 0;
    std::string architecture, os;
    std::map<std::string, std::string> annotations;
};

bool is_index(const std::string& type) { return type == "application/vnd.oci.image.index.v1+json" || type == "application/vnd.docker.distribution.manifest.list.v2+json"; }
bool is_manifest(const std::string& type) { return type == "application/vnd.oci.image.manifest.v1+json" || type == "application/vnd.docker.distribution.manifest.v2+json"; }
bool is_config(const std::string& type) { return type == "application/vnd.oci.image.config.v1+json" || type == "application/vnd.docker.container.image.v1+json"; }
std::optional<Compression> layer_compression(std::string_view type) {
    for (const char* base : {"application/vnd.oci.image.layer.v1.tar", "application/vnd.oci.image.layer.nondistributable.v1.tar", "application/vnd.docker.image.rootfs.diff.tar",
                             "application/vnd.docker.image.rootfs.foreign.diff.tar"}) {
        if (!type.starts_with(base)) continue;
        const std::string_view rest = type.substr(std::string_view(base).size());
        if (rest.empty()) return Compression::None;
        if (rest == "+gzip" || rest == ".gzip") return Compression::Gzip;
        if (rest == "+zstd" || rest == ".zstd") return Compression::Zstd;
    }
    return std::nullopt;
}

Result<Descriptor> parse_descriptor(const Json& json, const std::string& where) {
    Fields fields(json, where);
    Descriptor result;
    result.where = where;
    result.media_type = fields.text("mediaType", true), result.digest = fields.text("digest", true);
    result.size = fields.number("size").value_or(-1);
    result.annotations = fields.pairs("annotations");
    if (const Json* platform = fields.object("platform")) {
        Fields inner(*platform, where + ": platform");
        result.architecture = inner.text("architecture"), result.os = inner.text("os");
        if (inner.problem()) return Error{*inner.problem()};
    }
    if (fields.problem()) return Error{*fields.problem()};
    if (!is_digest(result.digest)) return Error{fmt::format("{}: \"{}\" is no sha256 digest; the image must be made again", where, result.digest.substr(0, 80))};
    if (result.size < 0) return Error{fmt::format("{}: the descriptor of {} has no size; the image must be made again", where, result.digest)};
    return result;
}

Result<Bytes> read_blob(const Source& source, const Descriptor& descriptor, u64 most) {
    auto bytes = source.read("blobs/sha256/" + hex_of(descriptor.digest), most);
    if (!bytes) return bytes;
    if ((*bytes)->size() != static_cast<u64>(descriptor.size))
        return Error{fmt::format("{}: blob {} has {} bytes, {} says {}; get the image again", source.name, descriptor.digest, (*bytes)->size(), descriptor.where, descriptor.size)};
    if (digest_of(**bytes) != descriptor.digest)
        return Error{fmt::format("{}: blob {} does not have that digest; it was changed or damaged, get the image again", source.name, descriptor.digest)};
    return bytes;
}

/// Reads one source; collects images and what was skipped.
struct ImageReader {
    const Source& source;
    const ReadOptions& options;
    LoadedImages loaded;
    u64 left = options.limits.bytes;

    Result<void> take_index(const Json& index, const std::string& where, const std::vector<std::string>& names, unsigned depth);
    Result<void> take_manifest(const Descriptor& descriptor, std::vector<std::string> names);
    Result<void> take_saved(const Json& entry, const std::string& where);
    Result<void> add(Image image);
    Result<void> read_layers(Image& image, const Json& layers, const std::string& where);
    bool fits(const std::string& architecture, const std::string& os) const { return architecture == options.architecture && os == options.os; }
};

std::vector<std::string> names_of(const Descriptor& descriptor) {
    for (const char* key : {"io.containerd.image.name", "org.opencontainers.image.ref.name"}) {
        const auto found = descriptor.annotations.find(key);
        if (found == descriptor.annotations.end()) continue;
        if (const auto name = image_name(found->second)) return {name.value()};
    }
    return {};
}

Result<void> ImageReader::take_index(const Json& index, const std::string& where, const std::vector<std::string>& names, unsigned depth) {
    if (depth > kMaxIndexDepth) return Error{fmt::format("{}: indexes nest more than {} deep; make the image again", source.name, kMaxIndexDepth)};
    Fields fields(index, where);
    if (fields.number("schemaVersion") != 2) fields.note("\"schemaVersion\" should be 2");
    const Json* manifests = fields.array("manifests");
    if (!manifests) fields.note("\"manifests\" is missing");
    if (fields.problem()) return Error{*fields.problem()};
    std::vector<std::string> others;
    const std::size_t before = loaded.images.size();
    for (std::size_t i = 0; i < manifests->size(); ++i) {
        auto descriptor = parse_descriptor((*manifests)[i], fmt::format("{}: manifests[{}]", where, i));
        if (!descriptor) return Error{descriptor.error()};
        std::vector<std::string> own = names_of(*descriptor);
        if (own.empty()) own = names;
        if (!descriptor->architecture.empty() && !fits(descriptor->architecture, descriptor->os)) {
            if (descriptor->architecture != "unknown") others.push_back(descriptor->os + "/" + descriptor->architecture); // "unknown": attestations
            continue;
        }
        if (is_index(descriptor->media_type)) {
            auto bytes = read_blob(source, *descriptor, kMaxJsonBytes);
            auto json = bytes ? parse_json(text_of(*bytes), source.name + ": " + descriptor->digest) : Result<Json>(Error{bytes.error()});
            if (!json) return Error{json.error()};
            if (auto taken = take_index(*json, source.name + ": " + descriptor->digest, own, depth + 1); !taken) return taken;
        } else if (is_manifest(descriptor->media_type)) {
            if (auto taken = take_manifest(*descriptor, own); !taken) return taken;
        } else {
            return Error{fmt::format("{}: the media type {} is neither an index nor a manifest; give an image", descriptor->where, descriptor->media_type.substr(0, 100))};
        }
    }
    if (loaded.images.size() == before && !others.empty())
        loaded.skipped.push_back(fmt::format("{}: {} is made for {}, not for {}/{}", source.name, names.empty() ? "the image" : names[0], fmt::join(others, ", "), options.os, options.architecture));
    return {};
}

Result<void> ImageReader::read_layers(Image& image, const Json& layers, const std::string& where) {
    if (layers.size() > kMaxLayers) return Error{fmt::format("{}: {} layers (at most {}); put steps together", where, layers.size(), kMaxLayers)};
    for (std::size_t i = 0; i < layers.size(); ++i) {
        auto descriptor = parse_descriptor(layers[i], fmt::format("{}: layers[{}]", where, i));
        if (!descriptor) return Error{descriptor.error()};
        if (!layer_compression(descriptor->media_type))
            return Error{fmt::format("{}: the media type {} is no layer's; give an image with layers in tar, gzip or zstd", descriptor->where, descriptor->media_type.substr(0, 100))};
        auto blob = read_blob(source, *descriptor, left);
        if (!blob) return Error{blob.error()};
        left -= (*blob)->size();
        image.layers.push_back({descriptor->media_type, descriptor->digest, "", *blob});
    }
    return {};
}

Result<void> ImageReader::take_manifest(const Descriptor& descriptor, std::vector<std::string> names) {
    const std::string where = source.name + ": " + descriptor.digest;
    Image image;
    auto bytes = read_blob(source, descriptor, kMaxJsonBytes);
    if (!bytes) return Error{bytes.error()};
    image.manifest = *bytes;
    auto json = parse_json(text_of(*bytes), where);
    if (!json) return Error{json.error()};
    Fields fields(*json, where);
    if (fields.number("schemaVersion") != 2) fields.note("\"schemaVersion\" should be 2");
    if (const std::string type = fields.text("mediaType"); !type.empty() && type != descriptor.media_type) fields.note("its media type is not the one that its index gives");
    const Json* config = fields.object("config");
    const Json* layers = fields.array("layers");
    if (!config || !layers) fields.note("\"config\" or \"layers\" is missing");
    if (fields.problem()) return Error{*fields.problem()};
    auto config_descriptor = parse_descriptor(*config, where + ": config");
    if (!config_descriptor) return Error{config_descriptor.error()};
    if (!is_config(config_descriptor->media_type))
        return Error{fmt::format("{}: the media type {} is no image's configuration; give an image of a root file system", where, config_descriptor->media_type.substr(0, 100))};
    auto config_bytes = read_blob(source, *config_descriptor, kMaxJsonBytes);
    if (!config_bytes) return Error{config_bytes.error()};
    image.config_bytes = *config_bytes;
    auto parsed = parse_image_config(image.config_bytes, source.name + ": " + config_descriptor->digest);
    if (!parsed) return Error{parsed.error()};
    image.config = std::move(*parsed);
    image.names = std::move(names);
    if (!fits(image.config.architecture, image.config.os)) return add(std::move(image));
    if (auto read = read_layers(image, *layers, where); !read) return read;
    return add(std::move(image));
}

/// One element of docker save's manifest.json (Docker image specification 1.2, "Combined Image JSON + Filesystem Changeset Format").
Result<void> ImageReader::take_saved(const Json& entry, const std::string& where) {
    Fields fields(entry, where);
    const std::string config_name = fields.text("Config", true);
    const std::vector<std::string> layers = fields.texts("Layers"), tags = fields.texts("RepoTags");
    if (fields.problem()) return Error{*fields.problem()};
    if (layers.size() > kMaxLayers) return Error{fmt::format("{}: {} layers (at most {}); put steps together", where, layers.size(), kMaxLayers)};
    Image image;
    const auto clean = clean_path(config_name);
    if (!clean) return Error{fmt::format("{}: Config: {}", where, clean.error())};
    auto config = source.read(clean.value(), kMaxJsonBytes);
    if (!config) return Error{config.error()};
    image.config_bytes = *config;
    std::string stem = base_name(clean.value());
    if (stem.ends_with(".json")) stem.resize(stem.size() - 5);
    if ("sha256:" + stem != image.id()) return Error{fmt::format("{}: {} does not have the digest that is its name; it was changed or damaged, save the image again", source.name, config_name)};
    auto parsed = parse_image_config(image.config_bytes, source.name + ": " + config_name);
    if (!parsed) return Error{parsed.error()};
    image.config = std::move(*parsed);
    for (const std::string& tag : tags) {
        auto name = image_name(tag);
        if (!name) return Error{fmt::format("{}: RepoTags: {}", where, name.error())};
        image.names.push_back(*name);
    }
    if (!fits(image.config.architecture, image.config.os)) return add(std::move(image));
    for (const std::string& layer : layers) {
        const auto path = clean_path(layer);
        if (!path) return Error{fmt::format("{}: Layers: {}", where, path.error())};
        auto blob = source.read(path.value(), left);
        if (!blob) return Error{blob.error()};
        left -= (*blob)->size();
        const Compression compression = compression_of(*blob);
        const char* suffix = compression == Compression::Gzip ? "+gzip" : compression == Compression::Zstd ? "+zstd" : "";
        image.layers.push_back({fmt::format("application/vnd.oci.image.layer.v1.tar{}", suffix), digest_of(**blob), "", *blob});
    }
    image.manifest = make_manifest(image);
    return add(std::move(image));
}

Result<void> ImageReader::add(Image image) {
    const std::string what = image.names.empty() ? image.id().substr(0, 19) : image.names[0];
    if (!fits(image.config.architecture, image.config.os)) {
        loaded.skipped.push_back(fmt::format("{}: {} is made for {}/{}, not for {}/{}", source.name, what, image.config.os, image.config.architecture, options.os, options.architecture));
        return {};
    }
    if (image.layers.size() != image.config.diff_ids.size())
        return Error{fmt::format("{}: {} has {} layers, its configuration names {}; get the image again", source.name, what, image.layers.size(), image.config.diff_ids.size())};
    for (std::size_t i = 0; i < image.layers.size(); ++i) image.layers[i].diff_id = image.config.diff_ids[i];
    for (Image& known : loaded.images) {
        if (known.id() != image.id()) continue;
        for (const std::string& name : image.names)
            if (std::find(known.names.begin(), known.names.end(), name) == known.names.end()) known.names.push_back(name);
        return {};
    }
    if (loaded.images.size() >= kMaxImagesInArchive) return Error{fmt::format("{}: more than {} images; save fewer at once", source.name, kMaxImagesInArchive)};
    if (auto layers = unpack(image, options.limits); !layers) return Error{fmt::format("{}: {}", source.name, layers.error())};
    else if (auto tree = merge_layers(*layers); !tree) return Error{fmt::format("{}: {}: {}", source.name, what, tree.error())};
    loaded.images.push_back(std::move(image));
    return {};
}

Result<LoadedImages> read_source(const Source& source, const ReadOptions& options) {
    ImageReader reader{source, options, {}};
    const bool layout = source.has("index.json"), saved = source.has("manifest.json");
    if (!layout && !saved)
        return Error{fmt::format("{}: neither index.json (an OCI image layout) nor manifest.json (docker save) is in it; make it with docker save, or skopeo copy to oci: or docker-archive:", source.name)};
    if (layout) {
        if (!source.has("oci-layout")) return Error{fmt::format("{}: the file oci-layout is missing; make the layout again", source.name)};
        auto marker_bytes = source.read("oci-layout", kMaxJsonBytes);
        auto marker = marker_bytes ? parse_json(text_of(*marker_bytes), source.name + ": oci-layout") : Result<Json>(Error{marker_bytes.error()});
        if (!marker) return Error{marker.error()};
        Fields fields(*marker, source.name + ": oci-layout");
        if (!fields.text("imageLayoutVersion", true).starts_with("1.")) fields.note("\"imageLayoutVersion\" should be 1.0.0");
        if (fields.problem()) return Error{*fields.problem()};
    }
    for (const char* file : {"index.json", "manifest.json"}) {
        if (!source.has(file)) continue;
        auto bytes = source.read(file, kMaxJsonBytes);
        auto json = bytes ? parse_json(text_of(*bytes), source.name + ": " + file) : Result<Json>(Error{bytes.error()});
        if (!json) return Error{json.error()};
        const std::string where = source.name + ": " + file;
        if (file == std::string_view("index.json")) {
            if (auto taken = reader.take_index(*json, where, {}, 0); !taken) return Error{taken.error()};
            continue;
        }
        if (!json->is_array()) return Error{fmt::format("{}: no JSON array; give what docker save wrote", where)};
        for (std::size_t i = 0; i < json->size(); ++i)
            if (auto taken = reader.take_saved((*json)[i], fmt::format("{}[{}]", where, i)); !taken) return Error{taken.error()};
    }
    if (reader.loaded.images.empty()) {
        if (reader.loaded.skipped.empty()) return Error{fmt::format("{}: there is no image in it", source.name)};
        return Error{fmt::format("{}; get the {}/{} one (skopeo copy --override-arch {} ...)", reader.loaded.skipped[0], options.os, options.architecture, options.architecture)};
    }
    return std::move(reader.loaded);
}

} // namespace

Result<LoadedImages> read_images(const Bytes& archive, const std::string& name, const ReadOptions& options) {
    auto plain = decompress(archive, name, options.limits);
    if (!plain) return Error{plain.error()};
    auto files = read_files(*plain, name, options.limits);
    if (!files) return Error{files.error()};
    return read_source({name, "", std::move(*files)}, options);
}

Result<LoadedImages> read_images(const std::string& path, const ReadOptions& options) {
    if (is_host_folder(path)) return read_source({path, path, {}}, options);
    auto bytes = read_host_file(path, options.limits.bytes);
    if (!bytes) return Error{bytes.error()};
    return read_images(*bytes, path, options);
}

Result<std::vector<Layer>> unpack(const Image& image, const ArchiveLimits& limits) {
    std::vector<Layer> layers;
    ArchiveLimits left = limits;
    for (const ImageLayer& layer : image.layers) {
        const std::string name = "layer " + layer.digest;
        const auto compression = layer_compression(layer.media_type);
        if (compression != compression_of(layer.blob))
            return Error{fmt::format("{}: its media type {} does not tell how it is packed; make the image again", name, layer.media_type)};
        auto archive = decompress(layer.blob, name, left);
        if (!archive) return Error{archive.error()};
        if (digest_of(**archive) != layer.diff_id)
            return Error{fmt::format("{}: what is in it does not have the digest {} that the configuration names; get the image again", name, layer.diff_id)};
        auto unpacked = read_layer(*archive, name, left);
        if (!unpacked) return Error{unpacked.error()};
        left.bytes -= std::min<u64>(left.bytes, (*archive)->size()), left.entries -= std::min(left.entries, unpacked->entries.size());
        layers.push_back(std::move(*unpacked));
    }
    return layers;
}

} // namespace trapeze::container
