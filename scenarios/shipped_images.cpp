#include "scenarios/shipped_images.hpp"

#include "scenarios/files.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace trapeze::scenarios {

using namespace container;

namespace {

constexpr u64 kMaxProgram = 16 << 20;
constexpr const char* kTools[] = {"cat", "chmod", "echo", "env", "false", "hostname", "id", "kill", "ln", "ls", "mkdir", "mv", "ps", "pwd", "rm", "sh", "sleep", "touch", "true"};

LayerEntry entry(const std::string& path, EntryType type, u32 mode) {
    LayerEntry made{path, {}};
    made.node.type = type, made.node.mode = mode;
    return made;
}

Result<LayerEntry> program(const std::string& guest, const std::string& path) {
    auto bytes = read_host_file(build_folder() + "/guests/" + guest, kMaxProgram);
    if (!bytes) return Error{fmt::format("{}; ./trapeze build makes it", bytes.error())};
    LayerEntry made = entry(path, EntryType::File, 0755);
    made.node.content = *bytes;
    return made;
}

Result<Image> image(const std::string& name, ImageConfig config, const std::vector<Layer>& layers, const std::vector<std::string>& steps) {
    std::vector<Bytes> archives;
    for (const Layer& layer : layers) {
        auto archive = write_layer(layer);
        if (!archive) return Error{archive.error()};
        archives.push_back(*archive);
    }
    for (const std::string& step : steps) config.history.push_back({"", step, "", false});
    config.history.push_back({"", fmt::format("CMD [\"{}\"]", fmt::join(config.cmd, "\", \"")), "", true});
    auto made = make_image(std::move(config), archives);
    if (made) made->names = {name};
    return made;
}

LayerEntry text_file(const std::string& path, const std::string& text) {
    LayerEntry made = entry(path, EntryType::File, 0644);
    made.node.content = make_bytes(text);
    return made;
}

Result<Image> make_tiny() {
    Layer tools;
    tools.entries.push_back(entry("bin", EntryType::Directory, 0755));
    auto all = program("linux/tiny", "bin/cat");
    auto whoami = program("linux/whoami", "bin/whoami");
    if (!all || !whoami) return Error{!all ? all.error() : whoami.error()};
    tools.entries.push_back(*all);
    tools.entries.push_back(*whoami);
    for (const char* tool : kTools) {
        if (tool == std::string_view("cat")) continue;
        LayerEntry link = entry(std::string("bin/") + tool, EntryType::HardLink, 0755);
        link.node.target = "bin/cat";
        tools.entries.push_back(link);
    }
    Layer files;
    for (const char* folder : {"dev", "etc", "proc", "root", "sys", "tmp"})
        files.entries.push_back(entry(folder, EntryType::Directory, folder == std::string_view("tmp") ? 01777 : 0755));
    files.entries.push_back(text_file("etc/group", "root:x:0:\nuser:x:1000:\n"));
    files.entries.push_back(text_file("etc/motd", "A tiny image, made of Trapeze's own programs.\n"));
    files.entries.push_back(text_file("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/:/bin/sh\n"));
    ImageConfig config;
    config.env = {"PATH=/bin"}, config.cmd = {"/bin/sh"};
    return image("tiny:latest", config, {tools, files}, {"COPY bin /bin", "COPY etc /etc"});
}

Result<Image> make_hello() {
    auto hello = program("programs/hello", "hello");
    if (!hello) return Error{hello.error()};
    ImageConfig config;
    config.env = {"PATH=/"}, config.cmd = {"/hello"};
    return image("hello:latest", config, {{{*hello}}}, {"COPY hello /"});
}

} // namespace

Result<Image> shipped_image(const std::string& name) {
    if (name == "tiny:latest") return make_tiny();
    if (name == "hello:latest") return make_hello();
    return Error{fmt::format("{}: no image of that name ships; {} do", name, fmt::join(kShippedImages, " and "))};
}

Result<Image> find_image(ImageStore& store, const std::string& name_or_id) {
    if (auto prepared = prepare_store(store); !prepared) return Error{prepared.error()};
    auto found = store.find(name_or_id);
    const auto name = image_name(name_or_id);
    if (found || !name || std::find(std::begin(kShippedImages), std::end(kShippedImages), name.value()) == std::end(kShippedImages)) return found;
    auto made = shipped_image(name.value());
    if (!made) return made;
    if (auto added = store.add({*made}); !added) return Error{added.error()};
    return made;
}

Result<void> prepare_store(ImageStore& store) {
    if (host_file_exists(store.folder() + "/index.json")) return {};
    std::vector<Image> images;
    for (const char* name : kShippedImages) {
        auto made = shipped_image(name);
        if (!made) return Error{made.error()};
        images.push_back(std::move(*made));
    }
    return store.add(images);
}

} // namespace trapeze::scenarios
