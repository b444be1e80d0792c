// The images that ship, and the verbs of `trapeze container` that know images.
#include "scenarios/shipped_images.hpp"
#include "tests/container-sim/images.hpp"

using namespace trapeze;
using namespace trapeze::test;
using namespace trapeze::container;

TEST_CASE("images: those that ship are made on first use, the same each time, and can be had again after rmi") {
    RootFolder folder;
    ImageStore store(folder.path() + "/store");
    auto tiny = scenarios::find_image(store, "tiny");
    REQUIRE_MESSAGE(tiny, (tiny ? std::string() : tiny.error()));
    CHECK(store.list()->size() == 2);
    const FileTree tree = merge_layers(unpack(*tiny, {}).value()).value();
    CHECK(tree.names.at("bin/sh") == tree.names.at("bin/cat"));
    CHECK(tree.find("tmp")->mode == 01777);
    REQUIRE(store.remove("tiny"));
    CHECK(scenarios::find_image(store, "tiny")->id() == tiny->id());
    CHECK_FALSE(scenarios::find_image(store, "busybox"));
}

TEST_CASE("container verbs: an image is built, saved, removed, loaded and listed") {
    RootFolder folder;
    folder.file("context/Containerfile", "FROM hello\nCOPY text /\nENV A=1\n").file("context/text", "t");
    const std::string trapeze = fmt::format("SOURCE_DATE_EPOCH=1 TRAPEZE_STORE={}/store {}/bin/trapeze container ", folder.path(), scenarios::build_folder());
    const auto run = [&](const std::string& arguments) {
        int status = 0;
        const std::string output = output_of(trapeze + arguments, status);
        CHECK_MESSAGE(status == 0, arguments, "\n", output);
        return output;
    };
    CHECK(run("build -t mine:2 " + folder.path() + "/context").find("Step 3/3 : ENV A=1") != std::string::npos);
    const std::string id = run("build -q -t mine:2 " + folder.path() + "/context");
    run("save mine:2 -o " + folder.path() + "/mine.tar");
    run("save mine:2 --format oci-dir -o " + folder.path() + "/mine");
    CHECK(run("rmi mine:2").find("Untagged: mine:2\nDeleted: sha256:") == 0);
    CHECK(run("load -i " + folder.path() + "/mine.tar") == "Loaded image: mine:2\n");
    CHECK(run("load " + folder.path() + "/mine") == "Loaded image: mine:2\n");
    run("tag mine:2 other");
    const std::string images = run("images");
    CHECK(images.starts_with("REPOSITORY   TAG"));
    CHECK(images.find(id.substr(7, 12)) != std::string::npos);
    CHECK(run("history other").find("COPY text /") != std::string::npos);
    int status = 0;
    CHECK(output_of(trapeze + "load " + folder.path() + "/context/text", status).find("no tar archive") != std::string::npos);
    CHECK(status != 0);
}
