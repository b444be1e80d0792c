// trapeze container load, save, images, history, tag, rmi, build: Docker's words, flags and columns.
#include "container-sim/engine/engine.hpp"
#include "container-sim/engine/image_build.hpp"
#include "emulator/replace_file.hpp"
#include "scenarios/cli_container.hpp"
#include "scenarios/container_format.hpp"
#include "scenarios/shipped_images.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <iostream>
#include <iterator>

namespace trapeze::scenarios {

using namespace container;

namespace {

using Json = nlohmann::ordered_json;

struct ImageOptions {
    std::string store = default_store_folder();
    std::string file, format = "docker-archive", output, containerfile, context, target, listing;
    std::vector<std::string> names;
    bool quiet = false, no_trunc = false, no_cache = false, json = false;
};

std::string shortened(const std::string& id, bool whole) { return whole ? id : hex_of(id).substr(0, 12); }

/// "repository", "tag" of a name.
std::pair<std::string, std::string> parts_of(const std::string& name) {
    const std::size_t colon = name.rfind(':');
    return name.empty() ? std::pair<std::string, std::string>("<none>", "<none>") : std::pair(name.substr(0, colon), name.substr(colon + 1));
}

Result<Bytes> read_input(u64 most) {
    if (isatty(0)) return Error{"load reads an archive: give -i FILE, or its bytes on standard input"};
    std::vector<u8> bytes;
    char buffer[65536];
    while (std::cin.read(buffer, sizeof buffer), std::cin.gcount() > 0) {
        bytes.insert(bytes.end(), buffer, buffer + std::cin.gcount());
        if (bytes.size() > most) return Error{fmt::format("standard input: more than {} MiB; give a smaller image", most >> 20)};
    }
    return make_bytes(std::move(bytes));
}

int load(const ImageOptions& options) {
    const std::string file = !options.file.empty() ? options.file : options.target;
    const ReadOptions reading;
    auto input = file.empty() || file == "-" ? read_input(reading.limits.bytes) : Result<Bytes>(Bytes{});
    if (!input) return complain(input.error(), kUsage);
    auto loaded = *input ? read_images(*input, "standard input", reading) : read_images(file, reading);
    if (!loaded) return complain(loaded.error(), kFailed);
    ImageStore store(options.store);
    if (auto prepared = prepare_store(store); !prepared) return complain(prepared.error(), kFailed);
    if (auto added = store.add(loaded->images); !added) return complain(added.error(), kFailed);
    for (const Image& image : loaded->images) {
        for (const std::string& name : image.names) fmt::print("Loaded image: {}\n", name);
        if (image.names.empty()) fmt::print("Loaded image ID: {}\n", image.id());
    }
    for (const std::string& sentence : loaded->skipped) fmt::print(stderr, "trapeze: {}; left out\n", sentence);
    return 0;
}

int save(const ImageOptions& options) {
    ImageStore store(options.store);
    std::vector<Image> images;
    for (const std::string& name : options.names) {
        auto image = find_image(store, name);
        if (!image) return complain(image.error(), kFailed);
        if (const auto wanted = image_name(name); wanted && std::find(image->names.begin(), image->names.end(), wanted.value()) != image->names.end()) image->names = {wanted.value()};
        images.push_back(std::move(*image));
    }
    const auto files = options.format == "docker-archive" ? docker_save_files(images) : oci_layout_files(images);
    if (options.format == "oci-dir") {
        if (options.output.empty()) return complain("save --format oci-dir writes a folder; give -o FOLDER", kUsage);
        if (host_file_exists(options.output)) return complain(fmt::format("{}: it is there already; give a folder that is not", options.output), kFailed);
        for (const auto& [path, bytes] : files) {
            const std::string whole = options.output + "/" + path;
            auto made = make_host_folder(whole.substr(0, whole.rfind('/')));
            if (made) made = replace_file(whole, *bytes);
            if (!made) return complain(made.error(), kFailed);
        }
        return 0;
    }
    auto archive = write_files(files);
    if (!archive) return complain(archive.error(), kFailed);
    if (options.output.empty()) {
        if (isatty(1)) return complain("an archive would disturb the terminal; give -o FILE", kUsage);
        std::cout.write(reinterpret_cast<const char*>((*archive)->data()), static_cast<std::streamsize>((*archive)->size()));
        return 0;
    }
    const auto written = replace_file(options.output, **archive);
    return written ? 0 : complain(written.error(), kFailed);
}

int list_images(const ImageOptions& options) {
    ImageStore store(options.store);
    if (auto prepared = prepare_store(store); !prepared) return complain(prepared.error(), kFailed);
    auto images = store.list();
    if (!images) return complain(images.error(), kFailed);
    std::vector<Json> rows;
    Json list = Json::array();
    for (const StoredImage& image : *images) {
        std::vector<std::string> names = image.names.empty() ? std::vector<std::string>{""} : image.names;
        const std::size_t before = rows.size();
        for (const std::string& name : names) {
            const auto [repository, tag] = parts_of(name);
            if (!options.target.empty() && repository != options.target && name != options.target) continue;
            rows.push_back({{"Repository", repository}, {"Tag", tag}, {"ID", shortened(image.id, options.no_trunc)}, {"CreatedSince", time_ago(image.created)}, {"Size", human_size(image.size)}, {"CreatedAt", image.created}});
            list.push_back({{"repository", repository}, {"tag", tag}, {"id", image.id}, {"created", image.created}, {"size", image.size}});
        }
        if (options.quiet && rows.size() > before) fmt::print("{}\n", shortened(image.id, options.no_trunc));
    }
    if (options.quiet) return 0;
    if (options.json) return fmt::print("{}\n", list.dump(2)), 0;
    return print_listing({{"REPOSITORY", "Repository"}, {"TAG", "Tag"}, {"IMAGE ID", "ID"}, {"CREATED", "CreatedSince"}, {"SIZE", "Size"}}, rows, options.listing);
}

int history(const ImageOptions& options) {
    ImageStore store(options.store);
    auto image = find_image(store, options.target);
    if (!image) return complain(image.error(), kFailed);
    std::vector<Json> rows;
    std::size_t layer = 0;
    for (const HistoryEntry& entry : image->config.history) {
        u64 size = 0;
        if (!entry.empty_layer && layer < image->layers.size()) size = image->layers[layer++].blob->size();
        std::string by = entry.created_by;
        if (!options.no_trunc && by.size() > 45) by = by.substr(0, 44) + "…";
        rows.push_back({{"ID", "<missing>"}, {"CreatedSince", time_ago(entry.created)}, {"CreatedBy", by}, {"Size", human_size(size)}, {"Comment", entry.comment}, {"CreatedAt", entry.created}});
    }
    if (!rows.empty()) rows.back()["ID"] = shortened(image->id(), options.no_trunc);
    std::reverse(rows.begin(), rows.end());
    if (!options.quiet) return print_listing({{"IMAGE", "ID"}, {"CREATED", "CreatedSince"}, {"CREATED BY", "CreatedBy"}, {"SIZE", "Size"}, {"COMMENT", "Comment"}}, rows, options.listing);
    for (const Json& row : rows) fmt::print("{}\n", row["ID"].get<std::string>());
    return 0;
}

int tag(const ImageOptions& options) {
    ImageStore store(options.store);
    auto image = find_image(store, options.names.at(0));
    if (!image) return complain(image.error(), kFailed);
    const auto tagged = store.tag(options.names.at(0), options.names.at(1));
    return tagged ? 0 : complain(tagged.error(), kFailed);
}

int remove_images(const ImageOptions& options) {
    ImageStore store(options.store);
    int status = 0;
    for (const std::string& name : options.names) {
        auto lines = store.remove(name);
        if (!lines) status = complain(lines.error(), kFailed);
        else
            for (const std::string& line : *lines) fmt::print("{}\n", line);
    }
    return status;
}

/// RUN: the program in a container of its own over what has been built so far, with no network; what it wrote is the layer.
Result<Layer> run_step(const RunStep& step) {
    constexpr u64 kMachineBytes = u64{256} << 20, kSlice = 50'000'000, kMostInstructions = 20'000'000'000;
    MachineConfig board;
    board.ram_bytes = kMachineBytes, board.builtin_firmware = false;
    auto machine = Machine::create(board);
    if (!machine) return Error{machine.error()};
    auto kernel = Kernel::boot(*machine);
    auto engine = kernel ? Engine::start(*machine, *kernel) : Result<Engine>(Error{kernel.error()});
    if (!engine) return Error{engine.error()};
    RunConfig config;
    config.image = "RUN", config.network = "none", config.command = step.arguments, config.defaults.env = step.environment, config.user = step.user, config.working_dir = step.working_dir;
    std::vector<std::string> ids;
    for (std::size_t i = 0; i < step.lower.size(); ++i) ids.push_back(fmt::format("layer {}", i));
    auto layers = layer_set(step.lower, ids);
    if (!layers) return Error{layers.error()};
    config.layers = std::move(*layers);
    const auto id = engine->run(*machine, *kernel, config);
    if (!id) return Error{id.error()};
    const u32 console = engine->containers()[0].console;
    for (u64 done = 0; done < kMostInstructions && !engine->exit_code(console);) {
        const KernelStop stop = kernel->run(*machine, kSlice);
        const bool news = kernel->engine_news;
        done += stop.executed;
        engine->settle(*machine, *kernel);
        fmt::print("{}", engine->take_output(*kernel, console));
        if (!news && stop.state != RunState::Budget) break;
    }
    const auto code = engine->exit_code(console);
    if (!code) return Error{fmt::format("the command has not ended after {} instructions, or waits for what will not come", kMostInstructions)};
    if (*code) return Error{fmt::format("the command \"{}\" returned {}; mend it", fmt::join(step.arguments, " "), *code)};
    auto layer = engine->changes(*machine, *kernel, engine->containers()[0]);
    if (!layer) return layer;
    for (LayerEntry& entry : layer->entries) entry.node.mtime = 0, entry.node.mtime_nanoseconds = 0; // the same files give the same image
    return layer;
}

int build(const ImageOptions& options) {
    ImageStore store(options.store);
    BuildOptions building;
    building.context = options.context, building.names = options.names, building.created = time_now(), building.no_cache = options.no_cache;
    building.containerfile = options.containerfile;
    for (const char* name : {"/Containerfile", "/Dockerfile"})
        if (building.containerfile.empty() && host_file_exists(options.context + name)) building.containerfile = options.context + name;
    if (building.containerfile.empty()) return complain(fmt::format("{}: neither a Containerfile nor a Dockerfile is in it; write one, or name it with -f", options.context), kUsage);
    building.runner = run_step;
    building.finder = [&](const std::string& name) { return find_image(store, name); };
    const auto image = build_image(store, building, [&](const std::string& line) {
        if (!options.quiet) fmt::print("{}\n", line);
    });
    if (!image) return complain(image.error(), kFailed);
    if (options.quiet) fmt::print("{}\n", image.value().id());
    return 0;
}

CLI::App* add_verb(CLI::App& parent, const char* name, const char* about, const std::shared_ptr<ImageOptions>& options, int& status, int (*run)(const ImageOptions&)) {
    auto* verb = parent.add_subcommand(name, about);
    add_store_option(*verb, options->store);
    verb->callback([=, &status] { status = run(*options); });
    return verb;
}

} // namespace

void add_store_option(CLI::App& verb, std::string& folder) { verb.add_option("--store", folder, "folder of the images")->capture_default_str(); }

std::string time_now() {
    std::time_t now = std::time(nullptr);
    if (const char* set = std::getenv("SOURCE_DATE_EPOCH")) now = static_cast<std::time_t>(std::strtoll(set, nullptr, 10));
    std::tm parts{};
    gmtime_r(&now, &parts);
    char text[32];
    return std::string(text, std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts));
}

/// As units.HumanDuration of Docker.
std::string time_ago(const std::string& time) {
    std::tm parts{};
    if (time.empty() || !strptime(time.c_str(), "%Y-%m-%dT%H:%M:%S", &parts)) return "N/A";
    return duration_text(std::time(nullptr) - timegm(&parts)) + " ago";
}
std::string duration_text(i64 span) {
    const i64 seconds = std::max<i64>(0, span), minutes = seconds / 60, hours = (seconds + 1800) / 3600;
    if (seconds < 1) return "Less than a second";
    if (seconds == 1) return "1 second";
    if (seconds < 60) return fmt::format("{} seconds", seconds);
    if (minutes == 1) return "About a minute";
    if (minutes < 60) return fmt::format("{} minutes", minutes);
    if (hours == 1) return "About an hour";
    if (hours < 48) return fmt::format("{} hours", hours);
    if (hours < 24 * 7 * 2) return fmt::format("{} days", hours / 24);
    if (hours < 24 * 30 * 2) return fmt::format("{} weeks", hours / 24 / 7);
    if (hours < 24 * 365 * 2) return fmt::format("{} months", hours / 24 / 30);
    return fmt::format("{} years", hours / 24 / 365);
}

Result<nlohmann::ordered_json> inspect_image(const Image& image) {
    const ImageConfig& config = image.config;
    nlohmann::ordered_json process{{"User", config.user}, {"Env", config.env}, {"Cmd", config.cmd}, {"Entrypoint", config.entrypoint}, {"WorkingDir", config.working_dir}, {"Labels", config.labels}};
    nlohmann::ordered_json json{{"Id", image.id()}, {"RepoTags", image.names}, {"Created", config.created}, {"Architecture", config.architecture}, {"Os", config.os}, {"Size", image.size()},
                                {"Config", process}, {"RootFS", {{"Type", "layers"}, {"Layers", config.diff_ids}}}};
    json["Descriptor"] = {{"mediaType", "application/vnd.oci.image.manifest.v1+json"}, {"digest", image.manifest_digest()}, {"size", image.manifest->size()}};
    return json;
}

void add_image_verbs(CLI::App& parent, int& status) {
    constexpr const char* kListing = "json, a template such as \"{{.ID}} {{.Size}}\", or table and a template";
    const auto make = [] { return std::make_shared<ImageOptions>(); };
    auto options = make();
    auto* verb = add_verb(parent, "load", "put the images of an archive (docker save, OCI layout; tar, gzip, zstd) or of an OCI layout's folder into the store", options, status, load);
    verb->add_option("-i,--input", options->file, "the archive or folder; without it, standard input");
    verb->add_option("FILE", options->target, "the same");
    options = make();
    verb = add_verb(parent, "save", "write images to an archive that docker load, podman load and skopeo read", options, status, save);
    verb->add_option("-o,--output", options->output, "file to write; without it, standard output");
    verb->add_option("--format", options->format, "what to write")->check(CLI::IsMember({"docker-archive", "oci-archive", "oci-dir"}))->capture_default_str();
    verb->add_option("IMAGE", options->names, "names or ids")->required();
    options = make();
    verb = add_verb(parent, "images", "list the images", options, status, list_images);
    verb->add_flag("-q,--quiet", options->quiet, "ids alone");
    verb->add_flag("--no-trunc", options->no_trunc, "whole ids");
    verb->add_flag("--json", options->json, "print JSON");
    verb->add_option("--format", options->listing, kListing);
    verb->add_option("REPOSITORY", options->target, "only this one");
    options = make();
    verb = add_verb(parent, "history", "show the steps that made an image, the last one first", options, status, history);
    verb->add_flag("-q,--quiet", options->quiet, "ids alone");
    verb->add_flag("--no-trunc", options->no_trunc, "whole ids and commands");
    verb->add_option("--format", options->listing, kListing);
    verb->add_option("IMAGE", options->target, "name or id")->required();
    options = make();
    verb = add_verb(parent, "tag", "give an image another name", options, status, tag);
    verb->add_option("IMAGE", options->names, "name or id, then the new name")->required()->expected(2);
    options = make();
    verb = add_verb(parent, "rmi", "remove names of images, and images with their last name", options, status, remove_images);
    verb->add_option("IMAGE", options->names, "names or ids")->required();
    options = make();
    verb = add_verb(parent, "build", "build an image from a Containerfile", options, status, build);
    verb->add_option("-t,--tag", options->names, "name of the image");
    verb->add_option("-f,--file", options->containerfile, "the Containerfile; without it, CONTEXT/Containerfile or CONTEXT/Dockerfile");
    verb->add_flag("--no-cache", options->no_cache, "run every step");
    verb->add_flag("-q,--quiet", options->quiet, "print the id alone");
    verb->add_option("CONTEXT", options->context, "the folder that COPY takes files from")->required();
}

} // namespace trapeze::scenarios
