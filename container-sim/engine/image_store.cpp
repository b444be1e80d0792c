#include "container-sim/engine/image_store.hpp"

#include "emulator/replace_file.hpp"

#include <fmt/format.h>

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <set>

namespace trapeze::container {

namespace {
constexpr u64 kMaxBlob = u64{1} << 30;
constexpr const char* kNameKey = "org.opencontainers.image.ref.name";

Result<Json> json_of(const Result<Bytes>& bytes, const std::string& name) {
    if (!bytes) return Error{bytes.error()};
    return parse_json(text_of(bytes.value()), name);
}

/// The digests that a manifest names.
std::vector<std::string> named_by(const Json& manifest) {
    std::vector<std::string> all;
    const auto add = [&](const Json& descriptor) {
        if (descriptor.is_object() && descriptor.contains("digest") && descriptor["digest"].is_string() && is_digest(descriptor["digest"].get<std::string>()))
            all.push_back(descriptor["digest"].get<std::string>());
    };
    if (!manifest.is_object()) return all;
    if (manifest.contains("config")) add(manifest["config"]);
    if (manifest.contains("layers") && manifest["layers"].is_array())
        for (const Json& layer : manifest["layers"]) add(layer);
    return all;
}
} // namespace

Result<std::vector<ImageStore::Entry>> ImageStore::read_index() const {
    std::vector<Entry> entries;
    const std::string path = folder_ + "/index.json";
    if (!host_file_exists(path)) return entries;
    auto json = json_of(read_host_file(path, kMaxJsonBytes), path);
    if (!json) return Error{json.error()};
    Fields fields(*json, path);
    const Json* manifests = fields.array("manifests");
    if (!manifests) return Error{fmt::format("{}: \"manifests\" is missing; it is no index of images: remove the folder, or give another with --store", path)};
    for (const Json& each : *manifests) {
        Fields row(each, path);
        Entry entry{row.text("mediaType"), row.text("digest", true), row.pairs("annotations")[kNameKey], static_cast<u64>(row.number("size").value_or(0))};
        if (row.problem()) return Error{*row.problem()};
        if (!is_digest(entry.digest)) return Error{fmt::format("{}: \"{}\" is no digest", path, entry.digest.substr(0, 80))};
        entries.push_back(std::move(entry));
    }
    return entries;
}

Result<void> ImageStore::write_index(const std::vector<Entry>& entries) const {
    Json index{{"schemaVersion", 2}, {"mediaType", "application/vnd.oci.image.index.v1+json"}, {"manifests", Json::array()}};
    for (const Entry& entry : entries) {
        Json row{{"mediaType", entry.media_type}, {"digest", entry.digest}, {"size", entry.size}};
        if (!entry.name.empty()) row["annotations"] = {{kNameKey, entry.name}};
        index["manifests"].push_back(row);
    }
    return replace_file(folder_ + "/index.json", *make_bytes(json_text(index)));
}

Result<HostLock> ImageStore::begin_change() const {
    for (const char* below : {"/blobs/sha256", "/cache"})
        if (auto made = make_host_folder(folder_ + below); !made) return Error{made.error()};
    auto lock = HostLock::take(folder_ + "/lock");
    if (!lock) return lock;
    if (const std::string marker = folder_ + "/oci-layout"; !host_file_exists(marker))
        if (auto written = replace_file(marker, *make_bytes(R"({"imageLayoutVersion":"1.0.0"})")); !written) return Error{written.error()};
    return lock;
}

Result<void> ImageStore::put_blob(const std::string& digest, const Bytes& bytes) const {
    if (auto there = read_host_file(blob_file(digest), kMaxBlob); there && digest_of(**there) == digest) return {};
    return replace_file(blob_file(digest), *bytes);
}

Result<Bytes> ImageStore::blob(const std::string& digest) const {
    auto bytes = read_host_file(blob_file(digest), kMaxBlob);
    if (bytes && digest_of(**bytes) != digest) return Error{fmt::format("{}: the blob does not have the digest that is its name; remove the image and load it again", blob_file(digest))};
    return bytes;
}

/// A name goes to another image; the one that had it stays, without a name if it has no other.
void ImageStore::take_name(std::vector<Entry>& entries, const std::string& name, const std::string& new_digest) {
    const auto old = std::find_if(entries.begin(), entries.end(), [&](const Entry& entry) { return entry.name == name; });
    if (old == entries.end()) return;
    const auto has_others = std::count_if(entries.begin(), entries.end(), [&](const Entry& entry) { return entry.digest == old->digest; }) > 1;
    if (has_others || old->digest == new_digest) entries.erase(old);
    else old->name.clear();
}

Result<void> ImageStore::add(const std::vector<Image>& images) {
    auto lock = begin_change();
    if (!lock) return Error{lock.error()};
    auto entries = read_index();
    if (!entries) return Error{entries.error()};
    for (const Image& image : images) {
        for (const ImageLayer& layer : image.layers)
            if (auto put = put_blob(layer.digest, layer.blob); !put) return put;
        if (auto put = put_blob(image.id(), image.config_bytes); !put) return put;
        if (auto put = put_blob(image.manifest_digest(), image.manifest); !put) return put;
        Entry entry{"application/vnd.oci.image.manifest.v1+json", image.manifest_digest(), "", image.manifest->size()};
        if (const Json manifest = Json::parse(text_of(image.manifest), nullptr, false); manifest.is_object() && manifest.contains("mediaType") && manifest["mediaType"].is_string())
            entry.media_type = manifest["mediaType"].get<std::string>();
        for (const std::string& name : image.names) take_name(*entries, name, entry.digest);
        const bool known = std::any_of(entries->begin(), entries->end(), [&](const Entry& old) { return old.digest == entry.digest; });
        if (image.names.empty() && !known) entries->push_back(entry);
        if (!image.names.empty()) std::erase_if(*entries, [&](const Entry& old) { return old.digest == entry.digest && old.name.empty(); });
        for (const std::string& name : image.names) entry.name = name, entries->push_back(entry);
    }
    if (auto written = write_index(*entries); !written) return written;
    collect(*entries);
    return {};
}

/// Removes blobs that neither an image nor the cache names, and what an interrupted writer left.
void ImageStore::collect(const std::vector<Entry>& entries) const {
    std::set<std::string> used;
    for (const Entry& entry : entries) {
        used.insert(hex_of(entry.digest));
        const auto manifest = json_of(read_host_file(blob_file(entry.digest), kMaxJsonBytes), "");
        if (!manifest) return; // a damaged image is not made worse
        for (const std::string& digest : named_by(manifest.value())) used.insert(hex_of(digest));
    }
    for (const std::string& key : names_in_host_folder(folder_ + "/cache"))
        if (const auto digest = cached(key)) used.insert(hex_of(*digest));
    for (const std::string& name : names_in_host_folder(folder_ + "/blobs/sha256"))
        if (!used.contains(name)) unlink((folder_ + "/blobs/sha256/" + name).c_str());
    for (const char* below : {"", "/cache"})
        for (const std::string& name : names_in_host_folder(folder_ + below))
            if (name.starts_with(".part-")) unlink((folder_ + below + "/" + name).c_str());
}

Result<Image> ImageStore::load(const std::vector<Entry>& entries, const std::string& digest) const {
    Image image;
    auto manifest = blob(digest);
    auto json = json_of(manifest, digest);
    if (!json) return Error{json.error()};
    image.manifest = *manifest;
    Fields fields(*json, blob_file(digest));
    const Json* config = fields.object("config");
    const Json* layers = fields.array("layers");
    if (!config || !layers) return Error{fmt::format("{}: no manifest; remove the image and load it again", blob_file(digest))};
    Fields config_fields(*config, blob_file(digest));
    const std::string config_digest = config_fields.text("digest", true);
    if (!is_digest(config_digest)) return Error{fmt::format("{}: \"config\" has no digest", blob_file(digest))};
    auto config_bytes = blob(config_digest);
    if (!config_bytes) return Error{config_bytes.error()};
    image.config_bytes = *config_bytes;
    auto parsed = parse_image_config(image.config_bytes, blob_file(config_digest));
    if (!parsed) return Error{parsed.error()};
    image.config = std::move(*parsed);
    if (layers->size() != image.config.diff_ids.size()) return Error{fmt::format("{}: it has not as many layers as its configuration names", blob_file(digest))};
    for (std::size_t i = 0; i < layers->size(); ++i) {
        Fields row((*layers)[i], blob_file(digest));
        ImageLayer layer{row.text("mediaType", true), row.text("digest", true), image.config.diff_ids[i], nullptr};
        if (row.problem() || !is_digest(layer.digest)) return Error{row.problem().value_or(blob_file(digest) + ": a layer has no digest")};
        auto bytes = blob(layer.digest);
        if (!bytes) return Error{bytes.error()};
        layer.blob = *bytes;
        image.layers.push_back(std::move(layer));
    }
    for (const Entry& entry : entries)
        if (entry.digest == digest && !entry.name.empty()) image.names.push_back(entry.name);
    return image;
}

/// The digest of the manifest that is meant.
Result<std::string> ImageStore::resolve(const std::vector<Entry>& entries, const std::string& name_or_id) const {
    if (const auto name = image_name(name_or_id))
        for (const Entry& entry : entries)
            if (entry.name == name.value()) return entry.digest;
    std::string prefix = name_or_id.starts_with("sha256:") ? name_or_id.substr(7) : name_or_id;
    const bool hexadecimal = !prefix.empty() && prefix.find_first_not_of("0123456789abcdef") == std::string::npos;
    std::set<std::string> matching;
    for (const Entry& entry : entries) {
        if (!hexadecimal) break;
        const auto manifest = json_of(read_host_file(blob_file(entry.digest), kMaxJsonBytes), "");
        const auto named = manifest ? named_by(manifest.value()) : std::vector<std::string>{};
        if (!named.empty() && hex_of(named[0]).starts_with(prefix)) matching.insert(entry.digest);
    }
    if (matching.size() == 1) return *matching.begin();
    if (matching.size() > 1) return Error{fmt::format("{}: several images' ids begin so; give more of the id", name_or_id)};
    std::vector<std::string> known;
    for (const Entry& entry : entries)
        if (!entry.name.empty()) known.push_back(entry.name);
    return Error{fmt::format("No such image: {} (there {}); load one, or build it", name_or_id.substr(0, 100),
                             known.empty() ? std::string("is none") : fmt::format("{} {}", known.size() == 1 ? "is" : "are", fmt::join(known, ", ")))};
}

Result<Image> ImageStore::find(const std::string& name_or_id) const {
    const auto entries = read_index();
    if (!entries) return Error{entries.error()};
    const auto digest = resolve(entries.value(), name_or_id);
    if (!digest) return Error{digest.error()};
    return load(entries.value(), digest.value());
}

Result<bool> ImageStore::has(const std::string& name_or_id) const {
    const auto entries = read_index();
    if (!entries) return Error{entries.error()};
    return bool{resolve(entries.value(), name_or_id)};
}

Result<std::vector<StoredImage>> ImageStore::list() const {
    const auto entries = read_index();
    if (!entries) return Error{entries.error()};
    std::vector<StoredImage> rows;
    for (const Entry& entry : entries.value()) {
        const auto known = std::find_if(rows.begin(), rows.end(), [&](const StoredImage& row) { return row.manifest_digest == entry.digest; });
        if (known != rows.end()) {
            known->names.push_back(entry.name);
            continue;
        }
        const auto image = load(entries.value(), entry.digest);
        if (!image) return Error{image.error()};
        rows.push_back({image.value().names, image.value().id(), entry.digest, image.value().config.created, image.value().size()});
        rows.back().names = entry.name.empty() ? std::vector<std::string>{} : std::vector<std::string>{entry.name};
    }
    return rows;
}

Result<void> ImageStore::tag(const std::string& name_or_id, const std::string& new_name) {
    const auto name = image_name(new_name);
    if (!name) return Error{name.error()};
    auto lock = begin_change();
    if (!lock) return Error{lock.error()};
    auto entries = read_index();
    if (!entries) return Error{entries.error()};
    const auto digest = resolve(*entries, name_or_id);
    if (!digest) return Error{digest.error()};
    Entry entry = *std::find_if(entries->begin(), entries->end(), [&](const Entry& old) { return old.digest == digest.value(); });
    take_name(*entries, name.value(), digest.value());
    std::erase_if(*entries, [&](const Entry& old) { return old.digest == digest.value() && old.name.empty(); });
    entry.name = name.value();
    entries->push_back(entry);
    return write_index(*entries);
}

Result<std::vector<std::string>> ImageStore::remove(const std::string& name_or_id) {
    auto lock = begin_change();
    if (!lock) return Error{lock.error()};
    auto entries = read_index();
    if (!entries) return Error{entries.error()};
    const auto digest = resolve(*entries, name_or_id);
    if (!digest) return Error{digest.error()};
    const auto image = load(*entries, digest.value());
    const auto name = image_name(name_or_id);
    const bool by_name = name && std::any_of(entries->begin(), entries->end(), [&](const Entry& entry) { return entry.name == name.value(); });
    std::vector<std::string> lines;
    std::erase_if(*entries, [&](const Entry& entry) {
        if (entry.digest != digest.value() || (by_name && entry.name != name.value())) return false;
        if (!entry.name.empty()) lines.push_back("Untagged: " + entry.name);
        return true;
    });
    if (std::none_of(entries->begin(), entries->end(), [&](const Entry& entry) { return entry.digest == digest.value(); }))
        lines.push_back("Deleted: " + (image ? image.value().id() : digest.value()));
    if (auto written = write_index(*entries); !written) return Error{written.error()};
    collect(*entries);
    return lines;
}

std::optional<std::string> ImageStore::cached(const std::string& key) const {
    const auto bytes = read_host_file(folder_ + "/cache/" + key, 200);
    if (!bytes || !is_digest(text_of(bytes.value()))) return std::nullopt;
    return std::string(text_of(bytes.value()));
}

Result<void> ImageStore::remember(const std::string& key, const std::string& digest, const Bytes& archive) {
    auto lock = begin_change();
    if (!lock) return Error{lock.error()};
    if (auto put = put_blob(digest, archive); !put) return put;
    return replace_file(folder_ + "/cache/" + key, *make_bytes(digest));
}

std::string default_store_folder() {
    if (const char* set = std::getenv("TRAPEZE_STORE"); set && *set) return set;
    if (const char* data = std::getenv("XDG_DATA_HOME"); data && *data) return std::string(data) + "/trapeze/images";
    const char* home = std::getenv("HOME");
    return std::string(home && *home ? home : "/tmp") + "/.local/share/trapeze/images";
}

} // namespace trapeze::container
