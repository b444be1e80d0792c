// Images: OCI layouts and docker save archives, as folders and as files, verified from the index down to the files.
#include "tests/container-sim/images.hpp"

using namespace trapeze;
using namespace trapeze::test;
using namespace trapeze::container;

namespace {

bool mentions(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

Image two_layers() {
    return image_of({{{other("etc", EntryType::Directory), plain_file("etc/a", "1"), plain_file("etc/b", "2")}}, {{other("etc/a", EntryType::Whiteout), plain_file("etc/c", "3")}}}, "two:1");
}
std::string refusal(const std::map<std::string, Bytes>& files, const ReadOptions& options = {}) {
    auto archive = write_files(files);
    REQUIRE(archive);
    auto loaded = read_images(*archive, "test.tar", options);
    return loaded ? "(accepted)" : loaded.error();
}
/// The same layout with one part of its JSON files replaced and all digests made right again.
std::map<std::string, Bytes> with_config(const std::string& config_text, const std::vector<ImageLayer>& layers) {
    Image image;
    image.config_bytes = make_bytes(config_text), image.layers = layers, image.names = {"x:1"};
    image.config.architecture = "riscv64";
    image.manifest = make_manifest(image);
    return oci_layout_files({image});
}
std::map<std::string, Bytes> replaced(std::map<std::string, Bytes> files, const std::string& path, const std::string& from, const std::string& to) {
    std::string text(text_of(files.at(path)));
    const std::size_t at = text.find(from);
    REQUIRE(at != std::string::npos);
    files[path] = make_bytes(text.replace(at, from.size(), to));
    return files;
}

} // namespace

TEST_CASE("images: what is written as OCI layout and as docker save is read back, as folder and as archive, with the same digests") {
    const Image image = two_layers();
    for (const bool docker : {false, true}) {
        const auto files = docker ? docker_save_files({image}) : oci_layout_files({image});
        RootFolder folder;
        write_to(folder, files);
        std::vector<Result<LoadedImages>> loads;
        loads.push_back(read_images(folder.path(), {}));
        loads.push_back(read_images(write_files(files).value(), "test.tar", {}));
        for (const auto& loaded : loads) {
            REQUIRE_MESSAGE(loaded, (loaded ? std::string() : loaded.error()));
            REQUIRE(loaded.value().images.size() == 1);
            const Image& again = loaded.value().images[0];
            CHECK(again.id() == image.id());
            CHECK(again.manifest_digest() == image.manifest_digest());
            CHECK(again.names == std::vector<std::string>{"two:1"});
            CHECK(again.config == image.config);
            CHECK(names_of(merge_layers(unpack(again, {}).value()).value()) == std::vector<std::string>{"etc", "etc/b", "etc/c"});
        }
    }
}

TEST_CASE("images: an old docker save archive, with a folder for each layer and links between them") {
    const Image image = two_layers();
    const std::string config = hex_of(image.id()) + ".json";
    std::vector<TarEntry> entries{{.name = "one/layer.tar", .content = std::string(text_of(image.layers[0].blob))}, {.name = "two/layer.tar", .content = std::string(text_of(image.layers[1].blob))},
                                  {.name = "again", .type = '5'}, {.name = "again/layer.tar", .type = '2', .target = "../two/layer.tar"}, {.name = config, .content = std::string(text_of(image.config_bytes))}};
    entries.push_back({.name = "manifest.json", .content = R"([{"Config":")" + config + R"(","RepoTags":["docker.io/library/old:3"],"Layers":["one/layer.tar","again/layer.tar"]}])"});
    auto loaded = read_images(tar_of(entries), "old.tar", {});
    REQUIRE_MESSAGE(loaded, (loaded ? std::string() : loaded.error()));
    CHECK(loaded->images[0].names == std::vector<std::string>{"old:3"});
    CHECK(loaded->images[0].id() == image.id());
    entries[3].target = "../../../etc/passwd";
    CHECK(mentions(read_images(tar_of(entries), "old.tar", {}).error(), "old.tar: again/layer.tar: a link to ../../../etc/passwd: a name that leads upward"));
    entries[3].target = "../two/layer.tar", entries[4].content += " ";
    CHECK(mentions(read_images(tar_of(entries), "old.tar", {}).error(), "does not have the digest that is its name"));
}

TEST_CASE("images: every digest is verified: a changed byte in any file of a layout is refused") {
    const auto files = oci_layout_files({two_layers()});
    for (const auto& [path, bytes] : files) {
        if (path == "oci-layout" || path == "index.json") continue;
        CAPTURE(path);
        auto changed = files;
        std::vector<u8> other_bytes = *bytes;
        other_bytes[other_bytes.size() / 3] ^= 1;
        changed[path] = make_bytes(other_bytes);
        CHECK(mentions(refusal(changed), "does not have that digest"));
        changed.erase(path);
        CHECK(mentions(refusal(changed), "is missing in it"));
        other_bytes.push_back(0);
        changed[path] = make_bytes(other_bytes);
        CHECK(mentions(refusal(changed), "bytes, "));
    }
}

TEST_CASE("images: a layer whose archive is not the one that the configuration names is refused") {
    const Image image = two_layers();
    std::string config(text_of(image.config_bytes));
    const std::size_t at = config.find(hex_of(image.layers[1].diff_id));
    config.replace(at, 64, std::string(64, 'a'));
    CHECK(mentions(refusal(with_config(config, image.layers)), "what is in it does not have the digest sha256:aaaa"));
    CHECK(mentions(refusal(with_config(std::string(text_of(image.config_bytes)), {image.layers[0]})), "has 1 layers, its configuration names 2"));
}

TEST_CASE("images: wrong media types are refused by name") {
    const auto files = oci_layout_files({two_layers()});
    CHECK(mentions(refusal(replaced(files, "index.json", "image.manifest.v1+json", "image.signature.v1+json")), "is neither an index nor a manifest"));
    Image image = two_layers();
    image.layers[0].media_type = "application/vnd.oci.image.layer.v1.tar+gzip";
    image.manifest = make_manifest(image);
    CHECK(mentions(refusal(oci_layout_files({image})), "does not tell how it is packed"));
    image.layers[0].media_type = "application/x-executable";
    image.manifest = make_manifest(image);
    CHECK(mentions(refusal(oci_layout_files({image})), "application/x-executable is no layer's"));
}

TEST_CASE("images: one for another processor is refused with its platform; of several, the one for riscv64 is taken") {
    ImageConfig config;
    config.architecture = "amd64";
    auto foreign = make_image(config, {archive_of({{plain_file("f", "amd64")}})});
    REQUIRE(foreign);
    foreign->names = {"multi:1"};
    CHECK(mentions(refusal(oci_layout_files({*foreign})), "is made for linux/amd64, not for linux/riscv64; get the linux/riscv64 one"));
    CHECK(mentions(refusal(docker_save_files({*foreign})), "is made for linux/amd64"));
    Image own = two_layers();
    own.names = {"multi:1"};
    auto loaded = read_images(write_files(oci_layout_files({*foreign, own})).value(), "test.tar", {});
    REQUIRE_MESSAGE(loaded, (loaded ? std::string() : loaded.error()));
    CHECK(loaded->images.size() == 1);
    CHECK(loaded->images[0].id() == own.id());
}

TEST_CASE("images: JSON that is too deep, too large, no JSON, or of other types is refused; nothing recurses over it") {
    const auto files = oci_layout_files({two_layers()});
    const auto with_index = [&](const std::string& text) {
        auto changed = files;
        changed["index.json"] = make_bytes(text);
        return refusal(changed);
    };
    CHECK(mentions(with_index(std::string(1'000'000, '[')), "nests more than 64 deep"));
    std::string wide = "{\"schemaVersion\":2,\"manifests\":[";
    wide.append(5 << 20, ' ');
    CHECK(mentions(with_index(wide + "]}"), "bytes"));
    CHECK(mentions(with_index("{\"schemaVersion\":2,\"manifests\":"), "no JSON"));
    CHECK(mentions(with_index("[]"), "no JSON object"));
    CHECK(mentions(with_index("{\"schemaVersion\":1,\"manifests\":[]}"), "should be 2"));
    CHECK(mentions(with_index("{\"schemaVersion\":2,\"manifests\":[]}"), "there is no image in it"));
    CHECK(mentions(with_index("{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":1,\"digest\":\"x\"}]}"), "should be a string"));
    CHECK(mentions(with_index("{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":\"m\",\"size\":3,\"digest\":\"sha256:../../../etc/passwd\"}]}"), "is no sha256 digest"));
    CHECK(mentions(refusal({{"something", make_bytes("else")}}), "neither index.json"));
    CHECK(mentions(refusal(with_config("{\"architecture\":\"riscv64\",\"os\":\"linux\",\"config\":{\"Env\":\"A=b\"}}", {})), "\"Env\" should be an array"));
}

TEST_CASE("images: an index that names itself ends") {
    auto files = oci_layout_files({two_layers()});
    const std::string inner = R"({"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.index.v1+json","digest":"sha256:0000000000000000000000000000000000000000000000000000000000000000","size":9}]})";
    std::string text = inner; // an index in an index, five deep
    for (int i = 0; i < 5; ++i) {
        files["blobs/sha256/" + hex_of(digest_of(text))] = make_bytes(text);
        text = R"({"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.index.v1+json","digest":")" + digest_of(text) + R"(","size":)" + std::to_string(text.size()) + "}]}";
    }
    files["index.json"] = make_bytes(text);
    CHECK(mentions(refusal(files), "indexes nest more than 3 deep"));
}

TEST_CASE("images: names are Docker's") {
    CHECK(image_name("busybox").value() == "busybox:latest");
    CHECK(image_name("docker.io/library/busybox:1.36").value() == "busybox:1.36");
    CHECK(image_name("localhost:5000/a/b").value() == "localhost:5000/a/b:latest");
    for (const char* bad : {"", "Busybox", "a b", "a:", "a:-x", "../../etc", "/a", "a//b", "a:b:c d"}) {
        CAPTURE(bad);
        CHECK_FALSE(image_name(bad));
    }
    CHECK(human_size(4'261'502) == "4.26MB");
    CHECK(human_size(999) == "999B");
}
