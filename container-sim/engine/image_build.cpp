#include "container-sim/engine/image_build.hpp"

#include "container-sim/engine/host_files.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace trapeze::container {

namespace {

/// "80", "80/udp", "7000-7010/tcp" with its protocol.
Result<std::string> exposed_port(const std::string& word) {
    const std::size_t slash = word.find('/');
    const std::string protocol = slash == std::string::npos ? "tcp" : word.substr(slash + 1), ports = word.substr(0, slash);
    const auto is_port = [](const std::string& text) {
        return !text.empty() && text.size() <= 5 && std::all_of(text.begin(), text.end(), [](unsigned char c) { return std::isdigit(c); }) && std::stoul(text) - 1 < 65535;
    };
    const std::size_t dash = ports.find('-');
    const bool good = is_port(ports.substr(0, dash)) && (dash == std::string::npos || is_port(ports.substr(dash + 1)));
    if (!good || (protocol != "tcp" && protocol != "udp" && protocol != "sctp")) return Error{fmt::format("EXPOSE {}: give a port from 1 to 65535, with /udp behind for UDP", word)};
    return ports + "/" + protocol;
}


/// The image as it is after the instructions so far.
struct Builder {
    ImageStore& store;
    const BuildOptions& options;
    const std::function<void(const std::string& line)>& log;
    ImageConfig config;
    std::vector<ImageLayer> blobs;
    std::vector<Layer> layers;
    FileTree tree;
    std::string key; ///< of all that led here

    Result<void> from(const Instruction& instruction);
    Result<void> copy(const Instruction& instruction);
    Result<void> run(const Instruction& instruction);
    Result<void> set(const Instruction& instruction);
    Result<void> apply(const Instruction& instruction);
    Result<void> add_layer(const Bytes& archive, const std::string& created_by);
    Result<std::vector<std::string>> expanded(const std::vector<std::string>& words) const;
    std::string absolute(const std::string& path) const {
        if (path.starts_with('/')) return path;
        return (config.working_dir.empty() || config.working_dir == "/" ? "" : config.working_dir) + "/" + path;
    }
    void note(const std::string& created_by, bool empty_layer) { config.history.push_back({options.created, created_by, "", empty_layer}); }
    void extend_key(const std::string& part) { key = hex_of(digest_of(key + '\n' + part)); }
};

Result<std::vector<std::string>> Builder::expanded(const std::vector<std::string>& words) const {
    std::vector<std::string> all;
    for (const std::string& word : words) {
        auto value = expand_word(word, config.env);
        if (!value) return Error{value.error()};
        all.push_back(*value);
    }
    return all;
}

Result<void> Builder::from(const Instruction& instruction) {
    if (const auto platform = instruction.flags.find("platform"); platform != instruction.flags.end() && platform->second != "linux/riscv64")
        return Error{fmt::format("--platform={}: this machine is linux/riscv64", platform->second)};
    config.created = options.created;
    if (instruction.words[0] == "scratch") return {};
    auto image = options.finder ? options.finder(instruction.words[0]) : store.find(instruction.words[0]);
    if (!image) return Error{image.error()};
    auto unpacked = unpack(*image, options.limits);
    auto merged = unpacked ? merge_layers(*unpacked) : Result<FileTree>(Error{unpacked.error()});
    if (!merged) return Error{merged.error()};
    config = image->config, config.created = options.created;
    blobs = image->layers, layers = std::move(*unpacked), tree = std::move(*merged);
    extend_key(image->id());
    return {};
}

Result<void> Builder::add_layer(const Bytes& archive, const std::string& created_by) {
    blobs.push_back(plain_layer(archive));
    auto layer = read_layer(archive, "the new layer", options.limits);
    if (!layer) return Error{layer.error()};
    if (auto applied = apply_layer(tree, *layer); !applied) return applied;
    layers.push_back(std::move(*layer));
    note(created_by, false);
    return {};
}

std::optional<u32> number_of(std::string_view text, int base) {
    u32 value = 0;
    const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value, base);
    return failed == std::errc{} && end == text.data() + text.size() && !text.empty() ? std::optional(value) : std::nullopt;
}

Result<void> Builder::copy(const Instruction& instruction) {
    auto words = expanded(instruction.words);
    if (!words) return Error{words.error()};
    CopyRequest request;
    request.destination = absolute(words->back());
    words->pop_back();
    if (words->size() > 1 && !request.destination.ends_with('/')) return Error{fmt::format("several files are copied to {}; end it with /, for it must be a folder", request.destination)};
    if (request.destination.ends_with("/.")) request.destination.pop_back();
    request.sources = *words;
    if (const auto owner = instruction.flags.find("chown"); owner != instruction.flags.end()) {
        const std::size_t colon = owner->second.find(':');
        const auto uid = number_of(owner->second.substr(0, colon), 10), gid = colon == std::string::npos ? uid : number_of(owner->second.substr(colon + 1), 10);
        if (!uid || !gid) return Error{fmt::format("--chown={}: give numbers, as in --chown=1000:1000", owner->second)};
        request.uid = *uid, request.gid = *gid;
    }
    if (const auto mode = instruction.flags.find("chmod"); mode != instruction.flags.end()) {
        request.mode = number_of(mode->second, 8);
        if (!request.mode || *request.mode > 07777) return Error{fmt::format("--chmod={}: give an octal number, as in --chmod=755", mode->second)};
    }
    auto layer = copy_layer(tree, options.context, request, options.limits);
    auto archive = layer ? write_layer(*layer) : Result<Bytes>(Error{layer.error()});
    if (!archive) return Error{archive.error()};
    const std::string digest = digest_of(**archive);
    extend_key("COPY " + digest);
    if (!options.no_cache && store.cached(key) == digest) log(" ---> Using cache");
    else if (auto kept = store.remember(key, digest, *archive); !kept) return kept;
    return add_layer(*archive, instruction.text);
}

Result<void> Builder::run(const Instruction& instruction) {
    extend_key("RUN " + json_text(Json{instruction.words, config.env, config.user, config.working_dir}));
    const std::string created_by = fmt::format("RUN {}", fmt::join(instruction.words, " "));
    if (const auto digest = options.no_cache ? std::nullopt : store.cached(key))
        if (const auto archive = store.blob(*digest)) {
            log(" ---> Using cache");
            return add_layer(archive.value(), created_by);
        }
    if (!options.runner) return Error{"RUN needs a kernel to run on, and there is none here"};
    auto change = options.runner({layers, instruction.words, config.env, config.user, config.working_dir});
    auto archive = change ? write_layer(*change) : Result<Bytes>(Error{change.error()});
    if (!archive) return Error{archive.error()};
    if (auto kept = store.remember(key, digest_of(**archive), *archive); !kept) return kept;
    return add_layer(*archive, created_by);
}

/// The instructions that change the configuration alone.
Result<void> Builder::set(const Instruction& instruction) {
    extend_key(instruction.text);
    if (instruction.keyword == Keyword::Cmd) config.cmd = instruction.words;
    if (instruction.keyword == Keyword::Entrypoint) config.entrypoint = instruction.words, config.cmd.clear();
    if (instruction.keyword == Keyword::Cmd || instruction.keyword == Keyword::Entrypoint) return note(instruction.text, true), Result<void>{};
    const auto words = expanded(instruction.words); // all with the environment from before this instruction
    if (!words) return Error{words.error()};
    for (const std::string& word : words.value()) {
        const std::size_t equals = word.find('=');
        if (instruction.keyword == Keyword::Env) set_variable(config.env, word.substr(0, equals), word.substr(equals + 1));
        if (instruction.keyword == Keyword::Label) config.labels[word.substr(0, equals)] = word.substr(equals + 1);
        if (instruction.keyword == Keyword::User) config.user = word;
        if (instruction.keyword != Keyword::Expose) continue;
        auto port = exposed_port(word);
        if (!port) return Error{port.error()};
        config.exposed_ports.push_back(*port);
    }
    if (instruction.keyword != Keyword::Workdir) return note(instruction.text, true), Result<void>{};
    const auto folder = clean_path("." + absolute(words.value()[0]));
    if (!folder) return Error{fmt::format("{}: {}", words.value()[0], folder.error())};
    config.working_dir = "/" + folder.value();
    if (is_directory(tree, folder.value())) return note(instruction.text, true), Result<void>{};
    Layer layer;
    add_folders(layer, tree, folder.value());
    auto archive = write_layer(layer);
    if (!archive) return Error{archive.error()};
    return add_layer(*archive, instruction.text);
}

Result<void> Builder::apply(const Instruction& instruction) {
    switch (instruction.keyword) {
    case Keyword::From: return from(instruction);
    case Keyword::Copy: return copy(instruction);
    case Keyword::Run: return run(instruction);
    default: return set(instruction);
    }
}

} // namespace

Result<Image> build_image(ImageStore& store, const BuildOptions& options, const std::function<void(const std::string& line)>& log) {
    if (!is_host_folder(options.context)) return Error{fmt::format("{}: there is no such folder; give the one that COPY takes files from", options.context)};
    auto text = read_host_file(options.containerfile, 1 << 20);
    if (!text) return Error{text.error()};
    auto instructions = parse_containerfile(text_of(*text), options.containerfile);
    if (!instructions) return Error{instructions.error()};
    Builder builder{store, options, log, {}, {}, {}, {}, {}};
    for (std::size_t i = 0; i < instructions->size(); ++i) {
        const Instruction& instruction = (*instructions)[i];
        log(fmt::format("Step {}/{} : {}", i + 1, instructions->size(), instruction.text));
        if (auto applied = builder.apply(instruction); !applied) return Error{fmt::format("{}:{}: {}", options.containerfile, instruction.line, applied.error())};
    }
    auto image = make_image(std::move(builder.config), std::move(builder.blobs));
    if (!image) return image;
    for (const std::string& given : options.names) {
        auto name = image_name(given);
        if (!name) return Error{name.error()};
        image->names.push_back(*name);
    }
    if (auto added = store.add({*image}); !added) return Error{added.error()};
    log("Successfully built " + hex_of(image->id()).substr(0, 12));
    for (const std::string& name : image->names) log("Successfully tagged " + name);
    return image;
}

} // namespace trapeze::container
