// The configuration of an image, its name, and making one.
#include "container-sim/engine/image.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

namespace trapeze::container {

namespace {

void parse_process(const Json& object, const std::string& where, ImageConfig& config, std::optional<std::string>& problem) {
    Fields fields(object, where + ": config");
    config.user = fields.text("User");
    config.working_dir = fields.text("WorkingDir");
    config.stop_signal = fields.text("StopSignal");
    config.env = fields.texts("Env");
    config.entrypoint = fields.texts("Entrypoint");
    config.cmd = fields.texts("Cmd");
    config.exposed_ports = fields.keys("ExposedPorts");
    config.volumes = fields.keys("Volumes");
    config.labels = fields.pairs("Labels");
    problem = fields.problem();
}

Json set_of(const std::vector<std::string>& names) {
    Json set = Json::object();
    for (const std::string& name : names) set[name] = Json::object();
    return set;
}

bool is_repository(std::string_view text) {
    if (text.empty() || text.size() > 255 || text.front() == '/' || text.back() == '/') return false;
    return std::all_of(text.begin(), text.end(), [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-' || c == '/' || c == ':'; }) &&
           text.find("//") == std::string_view::npos && text.find("..") == std::string_view::npos;
}
bool is_tag(std::string_view text) {
    if (text.empty() || text.size() > 128 || text.front() == '.' || text.front() == '-') return false;
    return std::all_of(text.begin(), text.end(), [](unsigned char c) { return std::isalnum(c) || c == '.' || c == '_' || c == '-'; });
}

} // namespace

Result<ImageConfig> parse_image_config(const Bytes& bytes, const std::string& name) {
    auto json = parse_json(text_of(bytes), name);
    if (!json) return Error{json.error()};
    Fields fields(*json, name);
    ImageConfig config;
    config.created = fields.text("created"), config.author = fields.text("author");
    config.architecture = fields.text("architecture"), config.os = fields.text("os"), config.variant = fields.text("variant");
    std::optional<std::string> problem;
    if (const Json* process = fields.object("config")) parse_process(*process, name, config, problem);
    if (problem) return Error{*problem};
    if (const Json* rootfs = fields.object("rootfs")) {
        Fields inner(*rootfs, name + ": rootfs");
        if (inner.text("type", true) != "layers") inner.note("\"type\" should be \"layers\"");
        config.diff_ids = inner.texts("diff_ids");
        if (inner.problem()) return Error{*inner.problem()};
    }
    if (const Json* history = fields.array("history"))
        for (const Json& each : *history) {
            Fields inner(each, name + ": history");
            config.history.push_back({inner.text("created"), inner.text("created_by"), inner.text("comment"), inner.flag("empty_layer")});
            if (inner.problem()) return Error{*inner.problem()};
        }
    for (const std::string& id : config.diff_ids)
        if (!is_digest(id)) return Error{fmt::format("{}: rootfs: \"{}\" is no sha256 digest", name, id.substr(0, 80))};
    if (fields.problem()) return Error{*fields.problem()};
    return config;
}

Bytes image_config_bytes(const ImageConfig& config) {
    Json process = Json::object();
    if (!config.user.empty()) process["User"] = config.user;
    if (!config.exposed_ports.empty()) process["ExposedPorts"] = set_of(config.exposed_ports);
    if (!config.env.empty()) process["Env"] = config.env;
    if (!config.entrypoint.empty()) process["Entrypoint"] = config.entrypoint;
    if (!config.cmd.empty()) process["Cmd"] = config.cmd;
    if (!config.volumes.empty()) process["Volumes"] = set_of(config.volumes);
    if (!config.working_dir.empty()) process["WorkingDir"] = config.working_dir;
    if (!config.labels.empty()) process["Labels"] = config.labels;
    if (!config.stop_signal.empty()) process["StopSignal"] = config.stop_signal;
    Json json;
    if (!config.created.empty()) json["created"] = config.created;
    if (!config.author.empty()) json["author"] = config.author;
    json["architecture"] = config.architecture, json["os"] = config.os;
    if (!config.variant.empty()) json["variant"] = config.variant;
    json["config"] = process;
    json["rootfs"] = {{"type", "layers"}, {"diff_ids", config.diff_ids}};
    json["history"] = Json::array();
    for (const HistoryEntry& entry : config.history) {
        Json one = Json::object();
        if (!entry.created.empty()) one["created"] = entry.created;
        if (!entry.created_by.empty()) one["created_by"] = entry.created_by;
        if (!entry.comment.empty()) one["comment"] = entry.comment;
        if (entry.empty_layer) one["empty_layer"] = true;
        json["history"].push_back(one);
    }
    return make_bytes(json_text(json));
}

ImageLayer plain_layer(const Bytes& archive) {
    const std::string digest = digest_of(*archive);
    return {"application/vnd.oci.image.layer.v1.tar", digest, digest, archive};
}

Result<Image> make_image(ImageConfig config, const std::vector<Bytes>& layer_archives) {
    std::vector<ImageLayer> layers;
    for (const Bytes& archive : layer_archives) layers.push_back(plain_layer(archive));
    return make_image(std::move(config), std::move(layers));
}

Result<Image> make_image(ImageConfig config, std::vector<ImageLayer> layers) {
    if (layers.size() > kMaxLayers) return Error{fmt::format("an image of {} layers (at most {}); put steps together", layers.size(), kMaxLayers)};
    Image image;
    config.diff_ids.clear();
    for (const ImageLayer& layer : layers) config.diff_ids.push_back(layer.diff_id);
    image.layers = std::move(layers);
    image.config_bytes = image_config_bytes(config);
    image.config = std::move(config);
    image.manifest = make_manifest(image);
    return image;
}

Result<std::string> image_name(const std::string& text) {
    std::string name = text;
    for (const char* prefix : {"docker.io/library/", "docker.io/", "index.docker.io/library/"})
        if (name.starts_with(prefix)) {
            name = name.substr(std::string_view(prefix).size());
            break;
        }
    const std::size_t slash = name.rfind('/'), colon = name.find(':', slash == std::string::npos ? 0 : slash);
    const std::string repository = name.substr(0, colon), tag = colon == std::string::npos ? "latest" : name.substr(colon + 1);
    if (!is_repository(repository))
        return Error{fmt::format("\"{}\" is no name of an image; a name has lower-case letters, digits and . _ - /, then perhaps : and a tag", text.substr(0, 80))};
    if (!is_tag(tag)) return Error{fmt::format("\"{}\": \"{}\" is no tag; a tag has letters, digits and . _ -", text.substr(0, 80), tag.substr(0, 40))};
    return repository + ":" + tag;
}

/// As units.HumanSizeWithPrecision of Docker: three significant digits.
std::string human_size(u64 bytes) {
    static constexpr const char* kUnits[] = {"B", "kB", "MB", "GB", "TB"};
    double value = static_cast<double>(bytes);
    unsigned unit = 0;
    for (; value >= 1000 && unit < 4; ++unit) value /= 1000;
    return fmt::format("{:.3g}{}", value, kUnits[unit]);
}

u64 Image::size() const {
    u64 total = manifest->size() + config_bytes->size();
    for (const ImageLayer& layer : layers) total += layer.blob->size();
    return total;
}

} // namespace trapeze::container
