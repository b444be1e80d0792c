// Images for tests: archives written by hand, byte by byte as tar(5) says, so that they can be hostile; and simple images.
#pragma once

#include "container-sim/engine/image.hpp"
#include "tests/container-sim/container.hpp"

#include <fmt/format.h>

namespace trapeze::test {

using container::Bytes;
using container::make_bytes;

/// One entry of a ustar archive.
struct TarEntry {
    std::string name;
    char type = '0';
    std::string content{}, target{};
    u32 mode = 0644, uid = 0, gid = 0, major = 0, minor = 0;
};
inline std::string tar_header(const TarEntry& entry, u64 size) {
    std::string block(512, '\0');
    const auto put = [&](std::size_t at, const std::string& text) { block.replace(at, text.size(), text); };
    put(0, entry.name.substr(0, 100)), put(100, fmt::format("{:07o}", entry.mode)), put(108, fmt::format("{:07o}", entry.uid)), put(116, fmt::format("{:07o}", entry.gid));
    put(124, fmt::format("{:011o}", size)), put(136, "00000000000"), put(148, "        "), put(156, std::string(1, entry.type)), put(157, entry.target.substr(0, 100));
    put(257, std::string("ustar\0" "00", 8)), put(329, fmt::format("{:07o}", entry.major)), put(337, fmt::format("{:07o}", entry.minor));
    unsigned sum = 0;
    for (unsigned char c : block) sum += c;
    put(148, fmt::format("{:06o}", sum) + '\0');
    return block;
}
inline std::string tar_text(const std::vector<TarEntry>& entries) {
    std::string all;
    const auto add = [&](const TarEntry& entry) {
        all += tar_header(entry, entry.content.size()) + entry.content;
        all.append((512 - entry.content.size() % 512) % 512, '\0');
    };
    for (const TarEntry& entry : entries) {
        if (entry.name.size() > 100) add({.name = "././@LongLink", .type = 'L', .content = entry.name + '\0'});
        add(entry);
    }
    return all + std::string(1024, '\0');
}
inline Bytes tar_of(const std::vector<TarEntry>& entries) { return make_bytes(tar_text(entries)); }

inline container::LayerEntry plain_file(const std::string& path, const std::string& text, u32 mode = 0644) {
    container::LayerEntry entry{path, {}};
    entry.node.content = make_bytes(text), entry.node.mode = mode;
    return entry;
}
inline container::LayerEntry other(const std::string& path, container::EntryType type, const std::string& target = "") {
    container::LayerEntry entry{path, {}};
    entry.node.type = type, entry.node.target = target;
    if (type == container::EntryType::Directory) entry.node.mode = 0755;
    if (type == container::EntryType::Symlink) entry.node.mode = 0777;
    return entry;
}
inline Bytes archive_of(const container::Layer& layer) {
    auto bytes = container::write_layer(layer);
    REQUIRE_MESSAGE(bytes, (bytes ? std::string() : bytes.error()));
    return *bytes;
}
inline container::Image image_of(const std::vector<container::Layer>& layers, const std::string& name = "test:latest") {
    std::vector<Bytes> archives;
    for (const auto& layer : layers) archives.push_back(archive_of(layer));
    container::ImageConfig config;
    config.cmd = {"/bin/sh"}, config.env = {"PATH=/bin"};
    auto image = container::make_image(config, archives);
    REQUIRE(image);
    image->names = {name};
    return *image;
}
inline std::vector<std::string> names_of(const container::FileTree& tree) {
    std::vector<std::string> names;
    for (const auto& [name, node] : tree.names)
        if (!name.empty()) names.push_back(name);
    return names;
}
inline std::string text_in(const container::FileTree& tree, const std::string& path) {
    const auto* node = tree.find(path);
    return !node ? "(missing)" : node->content ? std::string(container::text_of(node->content)) : "";
}
/// Puts files of an image's layout into a folder.
inline void write_to(const RootFolder& folder, const std::map<std::string, Bytes>& files) {
    for (const auto& [path, bytes] : files) {
        fs::create_directories(fs::path(folder.path() + "/" + path).parent_path());
        std::ofstream(folder.path() + "/" + path, std::ios::binary).write(reinterpret_cast<const char*>(bytes->data()), static_cast<std::streamsize>(bytes->size()));
    }
}
/// The output of a command of the host, with what it says on standard error.
inline std::string output_of(const std::string& command, int& status) {
    std::string text;
    FILE* pipe = popen((command + " 2>&1").c_str(), "r");
    REQUIRE(pipe);
    char buffer[4096];
    for (std::size_t count; (count = fread(buffer, 1, sizeof buffer, pipe)) > 0;) text.append(buffer, count);
    status = pclose(pipe);
    return text;
}

} // namespace trapeze::test
