// What others say of our images: umoci unpacks to what our merge says, skopeo reads and copies what we save. Both come from Debian.
#include "container-sim/engine/image_store.hpp"
#include "tests/container-sim/images.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace trapeze;
using namespace trapeze::test;
using namespace trapeze::container;

namespace {

bool is_installed(const char* program) {
    if (access((std::string("/usr/bin/") + program).c_str(), X_OK) == 0) return true;
    MESSAGE(program, " is not installed: what it would say of our images is not compared (./trapeze test installs it)");
    return false;
}
void must(const std::string& command) {
    int status = 0;
    const std::string output = output_of(command, status);
    REQUIRE_MESSAGE(status == 0, command, "\n", output);
}

/// "path type mode size content-or-target" of everything below a folder of the host, and of a tree.
std::string lines_of_folder(const std::string& folder) {
    std::vector<std::string> lines;
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
        struct stat info {};
        REQUIRE(lstat(entry.path().c_str(), &info) == 0);
        const std::string name = entry.path().lexically_relative(folder).string();
        if (S_ISLNK(info.st_mode)) lines.push_back(name + " -> " + fs::read_symlink(entry.path()).string());
        else if (S_ISDIR(info.st_mode)) lines.push_back(fmt::format("{}/ {:o}", name, info.st_mode & 07777));
        else lines.push_back(fmt::format("{} {:o} {} links, {} s: {}", name, info.st_mode & 07777, info.st_nlink, info.st_mtime, file_text(entry.path())));
    }
    std::sort(lines.begin(), lines.end());
    return fmt::format("{}", fmt::join(lines, "\n"));
}
std::string lines_of_tree(const FileTree& tree) {
    std::vector<std::string> lines;
    for (const auto& [name, index] : tree.names) {
        const FileNode& node = tree.nodes[index];
        if (name.empty()) continue;
        const auto links = std::count_if(tree.names.begin(), tree.names.end(), [&](const auto& each) { return each.second == index; });
        if (node.type == EntryType::Symlink) lines.push_back(name + " -> " + node.target);
        else if (node.type == EntryType::Directory) lines.push_back(fmt::format("{}/ {:o}", name, node.mode));
        else lines.push_back(fmt::format("{} {:o} {} links, {} s: {}", name, node.mode, links, node.mtime, text_in(tree, name)));
    }
    std::sort(lines.begin(), lines.end());
    return fmt::format("{}", fmt::join(lines, "\n"));
}

/// Three layers with all that can be: whiteouts, an opaque folder, hard links, links of both kinds, a folder made a file and back.
Image rich_image() {
    LayerEntry dated = plain_file("etc/dated", "d", 0600);
    dated.node.mtime = 1'600'000'000;
    const Layer base{{other("etc", EntryType::Directory), plain_file("etc/a", "1"), plain_file("etc/b", "2"), dated, other("var", EntryType::Directory), other("var/cache", EntryType::Directory),
                      plain_file("var/cache/x", "x"), plain_file("var/cache/y", "y"), other("usr", EntryType::Directory), other("usr/lib", EntryType::Directory),
                      other("lib", EntryType::Symlink, "usr/lib"), plain_file("usr/lib/libc", "c", 0755), other("usr/lib/libc.6", EntryType::HardLink, "usr/lib/libc"),
                      other("turns", EntryType::Directory), plain_file("turns/inner", "i"), plain_file("\xc3\xa4\xed\x95\x9c", "utf-8"), plain_file("set-id", "s", 04755)}};
    const Layer second{{other("etc/a", EntryType::Whiteout), plain_file("etc/c", "3"), other("var/cache", EntryType::Opaque), plain_file("var/cache/z", "z"), plain_file("turns", "a file now"),
                        plain_file("usr/lib/libc", "new", 0755), plain_file("lib/through-link", "t")}};
    const Layer third{{other("turns", EntryType::Whiteout), other("turns", EntryType::Directory), plain_file("turns/again", "a"), other("etc/b", EntryType::Symlink, "c"), other("var", EntryType::Whiteout)}};
    return image_of({base, second, third}, "rich:1");
}

} // namespace

TEST_CASE("umoci unpacks our layout to the tree that our merge gives, and packs a change as our diff does") {
    if (!is_installed("umoci")) return;
    RootFolder layout, bundle;
    const Image image = rich_image();
    write_to(layout, oci_layout_files({image}));
    fs::rename(layout.path() + "/index.json", layout.path() + "/index.full.json"); // umoci takes tags without a colon
    std::string index = file_text(layout.path() + "/index.full.json");
    index.replace(index.find("rich:1"), 6, "rich");
    layout.file("index.json", index);
    must(fmt::format("umoci unpack --rootless --image {}:rich {}/b", layout.path(), bundle.path()));
    const std::string root = bundle.path() + "/b/rootfs";
    const FileTree merged = merge_layers(unpack(image, {}).value()).value();
    CHECK(lines_of_folder(root) == lines_of_tree(merged));
    fs::remove(root + "/etc/c");
    std::ofstream(root + "/etc/fresh") << "made outside";
    const timespec whole_second[2] = {{1'650'000'000, 0}, {1'650'000'000, 0}}; // umoci would round
    REQUIRE(utimensat(AT_FDCWD, (root + "/etc/fresh").c_str(), whole_second, 0) == 0);
    fs::remove_all(root + "/turns");
    must(fmt::format("umoci repack --image {}:changed {}/b", layout.path(), bundle.path()));
    auto loaded = read_images(layout.path(), {});
    REQUIRE_MESSAGE(loaded, (loaded ? std::string() : loaded.error()));
    const auto changed = std::find_if(loaded->images.begin(), loaded->images.end(), [](const Image& each) { return each.names == std::vector<std::string>{"changed:latest"}; });
    REQUIRE(changed != loaded->images.end());
    const std::vector<Layer> layers = unpack(*changed, {}).value();
    REQUIRE(layers.size() == 4); // gzip, with whiteouts as umoci writes them
    const FileTree after = merge_layers(layers).value();
    const std::string expected = lines_of_folder(root);
    CHECK(lines_of_tree(after) == expected);
    std::vector<std::string> changes;
    for (const LayerEntry& entry : diff_trees(merged, after).entries)
        if (entry.node.type != EntryType::Directory) changes.push_back((entry.node.type == EntryType::Whiteout ? "-" : "+") + entry.path);
    CHECK(changes == std::vector<std::string>{"-etc/c", "+etc/fresh", "-turns"});
}

TEST_CASE("skopeo reads what we save, in each form, and copies it back to the same image") {
    if (!is_installed("skopeo")) return;
    RootFolder folder;
    const Image image = rich_image();
    folder.file("policy.json", R"({"default":[{"type":"insecureAcceptAnything"}]})");
    write_to(folder, {{"saved.tar", write_files(docker_save_files({image})).value()}, {"layout.tar", write_files(oci_layout_files({image})).value()}});
    ImageStore store(folder.path() + "/store");
    REQUIRE(store.add({image}));
    const std::string skopeo = fmt::format("skopeo --policy {}/policy.json --tmpdir {} --override-arch riscv64 --override-os linux ", folder.path(), folder.path());
    unsigned made = 0;
    for (const std::string& from : {"docker-archive:" + folder.path() + "/saved.tar", "oci-archive:" + folder.path() + "/layout.tar:rich:1", "oci:" + folder.path() + "/store:rich:1"}) {
        CAPTURE(from);
        int status = 0;
        const std::string inspected = output_of(skopeo + "inspect " + from, status);
        REQUIRE_MESSAGE(status == 0, inspected);
        const auto json = parse_json(inspected, "skopeo");
        REQUIRE(json);
        CHECK(json.value()["Architecture"] == "riscv64");
        CHECK(json.value()["Layers"].size() == 3);
        for (const std::string& to : {"oci:" + folder.path() + "/copy" + std::to_string(made) + ":rich", "oci-archive:" + folder.path() + "/copy" + std::to_string(made) + ".tar:rich",
                                      "docker-archive:" + folder.path() + "/copy" + std::to_string(made) + ".docker.tar:rich:1"}) {
            must(skopeo + "copy " + from + " " + to);
            const std::string path = to.substr(to.find(':') + 1, to.find(":rich") - to.find(':') - 1);
            auto loaded = read_images(path, {});
            REQUIRE_MESSAGE(loaded, (loaded ? std::string() : loaded.error()));
            CHECK(loaded->images.at(0).config == image.config);
            if (from.starts_with("oci") && to.starts_with("oci")) CHECK(loaded->images.at(0).id() == image.id()); // between the two forms skopeo writes the JSON anew
            CHECK(merge_layers(unpack(loaded->images[0], {}).value()).value() == merge_layers(unpack(image, {}).value()).value());
        }
        ++made;
    }
}
