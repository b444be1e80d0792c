// Layers: merge, whiteouts, hard links and diff (OCI image specification, layer.md), and what is refused in their archives.
#include "tests/container-sim/images.hpp"

#include <zlib.h>
#include <zstd.h>

#include <random>

using namespace trapeze;
using namespace trapeze::test;
using namespace trapeze::container;

namespace {

FileTree merged(const std::vector<Layer>& layers) {
    auto tree = merge_layers(layers);
    REQUIRE_MESSAGE(tree, (tree ? std::string() : tree.error()));
    return *tree;
}
Layer read_back(const Bytes& archive) {
    auto layer = read_layer(archive, "test.tar", {});
    REQUIRE_MESSAGE(layer, (layer ? std::string() : layer.error()));
    return *layer;
}
std::string refusal(const std::vector<TarEntry>& entries, const ArchiveLimits& limits = {}) {
    auto layer = read_layer(tar_of(entries), "test.tar", limits);
    return layer ? "(accepted)" : layer.error();
}
bool mentions(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

std::string gzip(const std::string& text) {
    z_stream stream{};
    REQUIRE(deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
    std::string out(deflateBound(&stream, text.size()) + 64, '\0');
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data())), stream.avail_in = static_cast<uInt>(text.size());
    stream.next_out = reinterpret_cast<Bytef*>(out.data()), stream.avail_out = static_cast<uInt>(out.size());
    REQUIRE(deflate(&stream, Z_FINISH) == Z_STREAM_END);
    out.resize(stream.total_out);
    deflateEnd(&stream);
    return out;
}
std::string zstd(const std::string& text) {
    std::string out(ZSTD_compressBound(text.size()), '\0');
    out.resize(ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 3));
    return out;
}

} // namespace

TEST_CASE("layer.md, whiteouts: a layer hides files and whole folders of those below it, and nothing of its own") {
    const Layer base{{other("etc", EntryType::Directory), plain_file("etc/one", "1"), plain_file("etc/two", "2"), other("etc/deep", EntryType::Directory), plain_file("etc/deep/x", "x"), plain_file("etc-kept", "k")}};
    CHECK(names_of(merged({base, {{other("etc/one", EntryType::Whiteout)}}})) == std::vector<std::string>{"etc", "etc-kept", "etc/deep", "etc/deep/x", "etc/two"});
    CHECK(names_of(merged({base, {{other("etc", EntryType::Whiteout)}}})) == std::vector<std::string>{"etc-kept"});
    // the whiteout stands behind the file that replaces what it hides: the order in the archive does not matter
    CHECK(text_in(merged({base, {{plain_file("etc/one", "new"), other("etc/one", EntryType::Whiteout)}}}), "etc/one") == "new");
    const FileTree opaque = merged({base, {{plain_file("etc/three", "3"), other("etc", EntryType::Opaque)}}});
    CHECK(names_of(opaque) == std::vector<std::string>{"etc", "etc-kept", "etc/three"});
    CHECK(names_of(merged({base, {{other("missing/there", EntryType::Whiteout), other("missing", EntryType::Opaque)}}})) == names_of(merged({base})));
}

TEST_CASE("layers: a file replaces a folder with all that is in it, a folder only gives its attributes to one that is there") {
    const Layer base{{other("d", EntryType::Directory), plain_file("d/f", "f")}};
    CHECK(names_of(merged({base, {{plain_file("d", "a file now")}}})) == std::vector<std::string>{"d"});
    LayerEntry again = other("d", EntryType::Directory);
    again.node.mode = 0700;
    const FileTree tree = merged({base, {{again}}});
    CHECK(tree.find("d")->mode == 0700);
    CHECK(text_in(tree, "d/f") == "f");
    CHECK_FALSE(merge_layers({base, {{plain_file("d/f/below-a-file", "")}}}));
}

TEST_CASE("layers: entries below a symbolic link go where it leads, never out of the tree; loops end") {
    const Layer base{{other("usr", EntryType::Directory), other("usr/lib", EntryType::Directory), other("lib", EntryType::Symlink, "usr/lib"), other("up", EntryType::Symlink, "../../../../usr"),
                      other("absolute", EntryType::Symlink, "/usr/lib"), other("a", EntryType::Symlink, "b"), other("b", EntryType::Symlink, "a")}};
    const FileTree tree = merged({base, {{plain_file("lib/one", "1"), plain_file("up/two", "2"), plain_file("absolute/three", "3")}}});
    CHECK(text_in(tree, "usr/lib/one") == "1");
    CHECK(text_in(tree, "usr/two") == "2");
    CHECK(text_in(tree, "usr/lib/three") == "3");
    CHECK(tree.find("lib")->type == EntryType::Symlink);
    const auto loop = merge_layers({base, {{plain_file("a/x", "")}}});
    REQUIRE_FALSE(loop);
    CHECK(mentions(loop.error(), "symbolic links"));
}

TEST_CASE("layers: hard links are names of one file; replacing one name breaks it off, as copy-up does") {
    const Layer base{{plain_file("a", "text"), other("b", EntryType::HardLink, "a")}};
    FileTree tree = merged({base});
    CHECK(tree.names.at("a") == tree.names.at("b"));
    tree = merged({base, {{plain_file("a", "new")}}});
    CHECK(text_in(tree, "a") == "new");
    CHECK(text_in(tree, "b") == "text");
    const auto outside = merge_layers({{{other("b", EntryType::HardLink, "etc/shadow")}}});
    REQUIRE_FALSE(outside);
    CHECK(mentions(outside.error(), "hard link to etc/shadow"));
}

TEST_CASE("layers: what is written is read back the same, byte for byte the same each time") {
    LayerEntry device = other("dev/null", EntryType::Character);
    device.node.major = 1, device.node.minor = 3, device.node.mode = 0666;
    LayerEntry rich = plain_file("name with spaces and \xc3\xa4\xed\x95\x9c", std::string(5000, 'x'), 04755);
    rich.node.uid = 3'000'000, rich.node.gid = 12, rich.node.mtime = 1'700'000'000, rich.node.mtime_nanoseconds = 5;
    rich.node.xattrs["user.note"] = std::string("binary\0value", 12);
    const std::string deep = std::string(90, 'd') + "/" + std::string(120, 'e') + "/" + std::string(200, 'f');
    const Layer layer{{other("dev", EntryType::Directory), device, rich, plain_file(deep, "long name"), other("link", EntryType::Symlink, std::string(300, 't')),
                       other("hard", EntryType::HardLink, deep), other("fifo", EntryType::Fifo), other("gone", EntryType::Whiteout), other("dev", EntryType::Opaque)}};
    const Bytes archive = archive_of(layer);
    CHECK(read_back(archive) == layer);
    CHECK(*archive == *archive_of(layer));
}

TEST_CASE("layers: overlayfs's own whiteouts are taken: character device 0:0 and trusted.overlay.opaque; aufs's bookkeeping is left out") {
    LayerEntry folder = other("d", EntryType::Directory);
    folder.node.xattrs["trusted.overlay.opaque"] = "y";
    LayerEntry device = other("gone", EntryType::Character);
    const Layer read = read_back(archive_of({{folder, device}}));
    CHECK(read == Layer{{other("d", EntryType::Opaque), other("d", EntryType::Directory), other("gone", EntryType::Whiteout)}});
    CHECK(read_back(tar_of({{.name = ".wh..wh.aufs"}, {.name = ".wh..wh.plnk", .type = '5'}})).entries.empty());
    CHECK(read_back(tar_of({{.name = "dev/null", .type = '3', .major = 1, .minor = 3}})).entries[0].node.type == EntryType::Character);
}

TEST_CASE("layers: diff of two trees applied to the first gives the second, over random changes") {
    std::mt19937 random(7);
    const std::vector<std::string> names{"a", "a-b", "a/x", "a/y", "a/y/z", "b", "b/x", "c", "c/d", "c/d/e"};
    const auto random_layer = [&] {
        Layer layer;
        for (const std::string& name : names) {
            if (random() % 3 == 0) continue;
            switch (random() % 6) {
            case 0: layer.entries.push_back(other(name, EntryType::Whiteout)); break;
            case 1: layer.entries.push_back(other(name, EntryType::Symlink, "target" + std::to_string(random() % 3))); break;
            case 2: layer.entries.push_back(plain_file(name, std::to_string(random() % 3))); break;
            case 3: layer.entries.push_back(other(name, EntryType::HardLink, names[random() % names.size()])); break;
            default: layer.entries.push_back(other(name, EntryType::Directory)); break;
            }
        }
        return layer;
    };
    unsigned compared = 0;
    for (unsigned i = 0; i < 8000; ++i) {
        auto lower = merge_layers({random_layer()}), upper = lower;
        if (!lower || !apply_layer(*upper, random_layer())) continue;
        Layer change = diff_trees(*lower, *upper);
        FileTree again = *lower;
        const auto applied = apply_layer(again, change);
        REQUIRE_MESSAGE(applied, (applied ? std::string() : applied.error()));
        REQUIRE(again == *upper);
        REQUIRE(merged({read_back(archive_of(layer_of(*upper)))}) == *upper);
        if (*lower == *upper) REQUIRE(change.entries.empty());
        ++compared;
    }
    CHECK(compared > 200);
}

TEST_CASE("layers: changes are listed as docker diff does") {
    const FileTree lower = merged({{{other("etc", EntryType::Directory), plain_file("etc/a", "1"), plain_file("etc/b", "2"), other("var", EntryType::Directory), plain_file("var/log", "")}}});
    const Layer change{{plain_file("etc/a", "new"), plain_file("etc/c", "3"), other("var/log", EntryType::Whiteout)}};
    CHECK(change_lines(lower, change) == std::vector<std::string>{"C /etc", "C /etc/a", "A /etc/c", "C /var", "D /var/log"});
}

TEST_CASE("hostile archives: names that lead out are refused, with the archive, the entry and the mend") {
    for (const char* name : {"../etc/passwd", "a/../../b", "a/..", "./../x"}) {
        CAPTURE(name);
        const std::string why = refusal({{.name = name}});
        CHECK(mentions(why, "test.tar: "));
        CHECK(mentions(why, name));
        CHECK(mentions(why, "leads upward (..); pack it"));
    }
    CHECK(mentions(refusal({{.name = "/etc/passwd"}}), "an absolute name; pack it"));
    CHECK(mentions(refusal({{.name = "link", .type = '1', .target = "../../etc/shadow"}}), "a hard link to ../../etc/shadow"));
    CHECK(mentions(refusal({{.name = "link", .type = '1', .target = "/etc/shadow"}}), "a hard link to /etc/shadow"));
    CHECK(refusal({{.name = "link", .type = '2', .target = "../../etc/shadow"}}) == "(accepted)"); // a symbolic link is read inside the container
    CHECK(mentions(refusal({{.name = std::string(300, 'n')}}), "300 bytes"));
    std::string deep;
    for (int i = 0; i < 300; ++i) deep += "d/";
    CHECK(mentions(refusal({{.name = deep + "x"}}), "more than 256 folders"));
    CHECK(mentions(refusal({{.name = std::string(5000, '/') + "x"}}), "5001 bytes"));
}

TEST_CASE("hostile archives: whiteouts of nothing, names twice, a root that is no folder, owners that are none") {
    for (const char* name : {".wh.", ".wh..", ".wh...", "a/.wh..."}) {
        CAPTURE(name);
        CHECK(mentions(refusal({{.name = name}}), "whiteout of nothing"));
    }
    CHECK(mentions(refusal({{.name = ".wh.d/x"}}), "begins with .wh."));
    CHECK(mentions(refusal({{.name = "a", .content = "1"}, {.name = "./a", .content = "2"}}), "there twice"));
    CHECK(mentions(refusal({{.name = "a", .type = '5'}, {.name = "a", .type = '2', .target = "/etc"}}), "there twice"));
    CHECK(refusal({{.name = "a", .type = '5'}, {.name = "a/", .type = '5', .mode = 0700}}) == "(accepted)");
    CHECK(mentions(refusal({{.name = "./", .type = '2', .target = "/etc"}}), "root"));
}

TEST_CASE("hostile archives: too many entries, too many bytes, sizes that lie, and truncation anywhere") {
    std::vector<TarEntry> many;
    for (int i = 0; i < 50; ++i) many.push_back({.name = "f" + std::to_string(i), .content = std::string(1000, 'x')});
    CHECK(mentions(refusal(many, {.entries = 10}), "more than 10 entries"));
    CHECK(mentions(refusal(many, {.bytes = 20'000}), "would be larger"));
    const std::string whole = tar_text(many), lies = tar_header({.name = "huge"}, u64{7} << 30) + std::string(2048, 'x');
    CHECK(mentions(read_layer(make_bytes(lies), "test.tar", {}).error(), "huge: the unpacked files would be larger than 1024 MiB"));
    for (std::size_t size = 1; size < whole.size() - 1024; size += 97) { // none of these may crash; most are refused
        auto layer = read_layer(make_bytes(whole.substr(0, size)), "test.tar", {});
        if (layer) CHECK(layer->entries.size() <= size / 1024 + 1);
        else CHECK(mentions(layer.error(), "test.tar: "));
    }
    CHECK(mentions(read_layer(make_bytes("no archive at all, just some text"), "test.tar", {}).error(), "test.tar: "));
}

TEST_CASE("hostile archives: bombs are stopped by what they unpack to, and damaged data is told") {
    const std::string zeros(std::size_t{80} << 20, '\0');
    for (const std::string& packed : {gzip(zeros), zstd(zeros)}) {
        auto unpacked = decompress(make_bytes(packed), "bomb", {});
        REQUIRE_FALSE(unpacked);
        CHECK(mentions(unpacked.error(), "bomb: it would unpack to more than 400 times its size"));
        CHECK_FALSE(decompress(make_bytes(packed.substr(0, packed.size() / 2)), "cut", {.bytes = u64{1} << 30, .entries = 10, .ratio = 1'000'000}));
    }
    const std::string text = tar_text({{.name = "f", .content = std::string(3000, 'y')}});
    for (const std::string& packed : {gzip(text), zstd(text)}) {
        auto unpacked = decompress(make_bytes(packed), "layer", {});
        REQUIRE_MESSAGE(unpacked, (unpacked ? std::string() : unpacked.error()));
        CHECK(text_of(*unpacked) == text);
        CHECK(mentions(decompress(make_bytes(packed), "layer", {.bytes = 100}).error(), "more than 0 MiB"));
        auto damaged = decompress(make_bytes(packed.substr(0, packed.size() - 9)), "layer", {});
        CHECK((!damaged || text_of(*damaged) != text));
    }
    CHECK(text_of(decompress(make_bytes(gzip(gzip(text))), "layer", {}).value()) == gzip(text)); // one level only
}
