// Fuzz target: archives of images and of layers, and Containerfiles. Seeds: a small image in each form, plain and packed.
#include "container-sim/engine/containerfile.hpp"
#include "container-sim/engine/image.hpp"
#include "tests/fuzz/fuzz.hpp"

#include <zstd.h>

#include <algorithm>
#include <cstdlib>

namespace {

using namespace trapeze;
using namespace trapeze::container;

LayerEntry entry(const std::string& path, EntryType type, const std::string& target = "") {
    LayerEntry made{path, {}};
    made.node.type = type, made.node.target = target;
    if (type == EntryType::File) made.node.content = make_bytes(path);
    return made;
}

std::vector<std::vector<u8>> seeds() {
    LayerEntry attributed = entry(std::string(120, 'n'), EntryType::File);
    attributed.node.xattrs["user.x"] = "y";
    const Layer base{{entry("d", EntryType::Directory), entry("d/f", EntryType::File), entry("d/l", EntryType::Symlink, "../x"), entry("d/h", EntryType::HardLink, "d/f"), attributed}};
    const Layer over{{entry("d/f", EntryType::Whiteout), entry("d", EntryType::Opaque), entry("new", EntryType::File)}};
    std::vector<std::vector<u8>> all;
    const Bytes first = write_layer(base).value(), second = write_layer(over).value();
    auto image = make_image({}, {first, second});
    image->names = {"a:1"};
    std::vector<u8> packed(ZSTD_compressBound(first->size()));
    packed.resize(ZSTD_compress(packed.data(), packed.size(), first->data(), first->size(), 3));
    const std::string containerfile = "FROM scratch\nENV A=\"b c\" D=${A:-x}\nCOPY [\"a\", \"b\"]\nRUN x \\\n y\nCMD [\"z\"]\n";
    for (const Bytes& bytes : {first, second, write_files(oci_layout_files({*image})).value(), write_files(docker_save_files({*image})).value(), make_bytes(packed), make_bytes(containerfile)})
        all.push_back(*bytes);
    return all;
}

/// Layers need no digest, so mutations reach deep into them; a tree that was merged is written and read again.
void run(const std::vector<u8>& input) {
    const Bytes bytes = make_bytes(input);
    const ArchiveLimits limits{.bytes = 8 << 20, .entries = 2000, .ratio = 400, .ratio_from = 1 << 20};
    (void)read_images(bytes, "fuzzed", {.limits = limits});
    if (const auto parsed = parse_containerfile(text_of(bytes), "fuzzed"))
        for (const Instruction& instruction : parsed.value())
            for (const std::string& word : instruction.words) (void)expand_word(word, {"A=b"});
    const auto plain = decompress(bytes, "fuzzed", limits);
    if (!plain) return;
    const auto layer = read_layer(plain.value(), "fuzzed", limits);
    if (!layer) return;
    for (const LayerEntry& each : layer.value().entries)
        if (each.path.starts_with('/') || each.path == ".." || each.path.starts_with("../") || each.path.find("/../") != std::string::npos || each.path.ends_with("/..")) std::abort();
    const auto tree = merge_layers({layer.value()});
    if (!tree) return;
    const auto again = write_layer(layer_of(tree.value()));
    if (!again) return;
    const auto read = read_layer(again.value(), "written", limits);
    if (!read) std::abort();
    const auto merged = merge_layers({read.value()});
    if (!merged || !(merged.value() == tree.value())) std::abort();
}

const fuzz::Registration registration({"archives", run, seeds});

} // namespace
