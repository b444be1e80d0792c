// Writing images: an OCI layout, and what `docker save` writes.
#include "container-sim/engine/image.hpp"

namespace trapeze::container {

namespace {
constexpr const char* kManifestType = "application/vnd.oci.image.manifest.v1+json";

Json descriptor(const std::string& type, const std::string& digest, u64 size) { return {{"mediaType", type}, {"digest", digest}, {"size", size}}; }
std::string blob_path(const std::string& digest) { return "blobs/sha256/" + hex_of(digest); }
std::string manifest_type(const Image& image) {
    const Json manifest = Json::parse(text_of(image.manifest), nullptr, false);
    return manifest.is_object() && manifest.contains("mediaType") && manifest["mediaType"].is_string() ? manifest["mediaType"].get<std::string>() : kManifestType;
}
} // namespace

Bytes make_manifest(const Image& image) {
    Json manifest{{"schemaVersion", 2}, {"mediaType", kManifestType}};
    manifest["config"] = descriptor("application/vnd.oci.image.config.v1+json", image.id(), image.config_bytes->size());
    manifest["layers"] = Json::array();
    for (const ImageLayer& layer : image.layers) manifest["layers"].push_back(descriptor(layer.media_type, layer.digest, layer.blob->size()));
    return make_bytes(json_text(manifest));
}

std::map<std::string, Bytes> oci_layout_files(const std::vector<Image>& images) {
    std::map<std::string, Bytes> files;
    Json index{{"schemaVersion", 2}, {"mediaType", "application/vnd.oci.image.index.v1+json"}, {"manifests", Json::array()}};
    for (const Image& image : images) {
        files[blob_path(image.manifest_digest())] = image.manifest;
        files[blob_path(image.id())] = image.config_bytes;
        for (const ImageLayer& layer : image.layers) files[blob_path(layer.digest)] = layer.blob;
        Json entry = descriptor(manifest_type(image), image.manifest_digest(), image.manifest->size());
        entry["platform"] = {{"architecture", image.config.architecture}, {"os", image.config.os}};
        if (image.names.empty()) index["manifests"].push_back(entry);
        for (const std::string& name : image.names) {
            entry["annotations"] = {{"org.opencontainers.image.ref.name", name}};
            index["manifests"].push_back(entry);
        }
    }
    files["index.json"] = make_bytes(json_text(index));
    files["oci-layout"] = make_bytes(json_text({{"imageLayoutVersion", "1.0.0"}}));
    return files;
}

std::map<std::string, Bytes> docker_save_files(const std::vector<Image>& images) {
    std::map<std::string, Bytes> files = oci_layout_files(images);
    Json manifest = Json::array();
    for (const Image& image : images) {
        Json entry{{"Config", blob_path(image.id())}, {"RepoTags", image.names}, {"Layers", Json::array()}};
        for (const ImageLayer& layer : image.layers) entry["Layers"].push_back(blob_path(layer.digest));
        manifest.push_back(entry);
    }
    files["manifest.json"] = make_bytes(json_text(manifest));
    return files;
}

} // namespace trapeze::container
