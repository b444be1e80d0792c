// The image store: names, ids, blobs shared by images, and a writer that is killed at any step.
#include "container-sim/engine/image_store.hpp"
#include "tests/container-sim/images.hpp"

#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace trapeze;
using namespace trapeze::test;
using namespace trapeze::container;

namespace {

bool mentions(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }
Image one(const std::string& text, const std::string& name) { return image_of({{{plain_file("shared", "in both")}}, {{plain_file("own", text)}}}, name); }
std::size_t blobs_in(const ImageStore& store) { return names_in_host_folder(store.folder() + "/blobs/sha256").size(); }
std::vector<std::string> names_in(const ImageStore& store) {
    std::vector<std::string> names;
    auto rows = store.list();
    REQUIRE_MESSAGE(rows, (rows ? std::string() : rows.error()));
    for (const StoredImage& row : *rows) names.insert(names.end(), row.names.begin(), row.names.end());
    std::sort(names.begin(), names.end());
    return names;
}

/// Runs `work` in a child that is killed at its `step`th system call; false when it ended before.
template <class Work> bool killed_at(unsigned step, Work work) {
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
        raise(SIGSTOP);
        work();
        _exit(0);
    }
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    for (unsigned calls = 0; WIFSTOPPED(status); ++calls) {
        if (calls == step * 2) { // a stop at the entry and one at the exit of each call
            kill(child, SIGKILL);
            waitpid(child, &status, 0);
            return true;
        }
        if (ptrace(PTRACE_SYSCALL, child, nullptr, nullptr) != 0) break;
        REQUIRE(waitpid(child, &status, 0) == child);
    }
    REQUIRE(WIFEXITED(status));
    return false;
}

} // namespace

TEST_CASE("image store: images are found by name and by the beginning of the id, layers that two share are kept once") {
    RootFolder folder;
    ImageStore store(folder.path());
    CHECK(store.list()->empty());
    const Image a = one("a", "a:latest"), b = one("b", "b:1");
    REQUIRE(store.add({a, b}));
    CHECK(blobs_in(store) == 2 * 2 + 3); // two manifests, two configurations, three layers
    CHECK(names_in(store) == std::vector<std::string>{"a:latest", "b:1"});
    CHECK(store.find("a")->id() == a.id());
    CHECK(store.find("docker.io/library/b:1")->id() == b.id());
    CHECK(store.find(hex_of(b.id()).substr(0, 12))->id() == b.id());
    CHECK(store.find(a.id())->id() == a.id());
    auto missing = store.find("c");
    REQUIRE_FALSE(missing);
    CHECK(missing.error() == "No such image: c (there are a:latest, b:1); load one, or build it");
}

TEST_CASE("image store: a tag is another name; the image goes with its last name, and with it the blobs that nobody else has") {
    RootFolder folder;
    ImageStore store(folder.path());
    const Image a = one("a", "a:latest"), b = one("b", "b:latest");
    REQUIRE(store.add({a, b}));
    REQUIRE(store.tag("a", "other:2"));
    CHECK(store.find("other:2")->id() == a.id());
    CHECK(store.remove("a").value() == std::vector<std::string>{"Untagged: a:latest"});
    CHECK(store.remove("other:2").value() == std::vector<std::string>{"Untagged: other:2", "Deleted: " + a.id()});
    CHECK(blobs_in(store) == 4);
    CHECK(store.find("b"));
    REQUIRE(store.tag("b", "taken"));
    REQUIRE(store.add({one("new", "taken:latest")})); // the name moves to the new image
    CHECK(store.find("taken")->id() == one("new", "").id());
    CHECK(store.find("b")->id() == b.id());
    REQUIRE(store.add({one("newer", "taken:latest")}));
    CHECK(store.list()->size() == 3); // the one before stays without a name, as in Docker
}

TEST_CASE("image store: a blob that was changed is told, not used") {
    RootFolder folder;
    ImageStore store(folder.path());
    const Image a = one("a", "a:latest");
    REQUIRE(store.add({a}));
    const std::string path = store.folder() + "/blobs/sha256/" + hex_of(a.layers[1].digest);
    std::ofstream(path, std::ios::binary) << "something else";
    CHECK(mentions(store.find("a").error(), "the blob does not have the digest that is its name"));
    REQUIRE(store.add({a})); // loading it again mends it
    CHECK(store.find("a"));
    RootFolder broken;
    broken.file("index.json", "{}");
    CHECK(mentions(ImageStore(broken.path()).list().error(), "it is no index of images"));
}

TEST_CASE("image store: whoever is killed at any system call leaves the images as they were before, or after") {
    RootFolder scratch;
    const Image old = one("old", "name:latest"), fresh = one("fresh", "name:latest");
    unsigned before = 0, after = 0;
    for (unsigned step = 0;; ++step) {
        const std::string path = scratch.path() + "/" + std::to_string(step);
        ImageStore store(path);
        REQUIRE(store.add({old}));
        const bool killed = killed_at(step, [&] { (void)store.add({fresh}); });
        auto found = store.find("name"); // verifies every digest
        REQUIRE_MESSAGE(found, "killed at call ", step, ": ", (found ? std::string() : found.error()));
        REQUIRE((found->id() == old.id() || found->id() == fresh.id()));
        ++(found->id() == old.id() ? before : after);
        REQUIRE(store.add({fresh})); // the next writer goes on, and clears what was left
        REQUIRE(store.find("name")->id() == fresh.id());
        for (const std::string& name : names_in_host_folder(path)) REQUIRE_FALSE(name.starts_with(".part-"));
        for (const std::string& name : names_in_host_folder(path + "/blobs/sha256")) REQUIRE_FALSE(name.starts_with(".part-"));
        fs::remove_all(path);
        if (!killed) break;
    }
    CHECK(before > 20);
    CHECK(after > 0);
}
