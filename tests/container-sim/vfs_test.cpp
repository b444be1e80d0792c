// Paths and files of containers: nothing leads out of the root file system, and the host's files are never written.
#include "container-sim/fs/types.hpp"
#include "tests/container-sim/container.hpp"

#include <sys/stat.h>

using namespace trapeze;
using namespace trapeze::test;

namespace {
/// What tiny-os's cat prints for a path: the file, or a complaint.
std::string cat(const RootFolder& root, const std::string& path) { return run_in(root, {"/bin/cat", path}).output; }
} // namespace

TEST_CASE("path_resolution(7): neither .. nor links lead out of the root file system") {
    RootFolder outside, root;
    outside.file("secret", "the host's secret");
    root.program("programs/cat", "bin/cat").file("secret", "the container's own");
    root.link(outside.path() + "/secret", "absolute").link("../../../../../../.." + outside.path() + "/secret", "upward").link("/", "root").link("/secret", "own");
    root.link(outside.path(), "folder");
    CHECK(cat(root, "/own") == "the container's own");
    CHECK(cat(root, "/../../secret") == "the container's own");
    CHECK(cat(root, "root/root/../root/secret") == "the container's own");
    for (const std::string& path : {std::string("/absolute"), std::string("/upward"), std::string("/folder/secret"), outside.path() + "/secret", std::string("/proc/../../../etc/passwd"),
                                    "/bin/../../" + outside.path() + "/secret"}) {
        CAPTURE(path);
        const std::string output = cat(root, path);
        CHECK(output.find("the host") == std::string::npos);
        CHECK(output.find("the container's own") == std::string::npos);
        CHECK(output.find("root:") == std::string::npos);
    }
}

TEST_CASE("path_resolution(7): links that multiply end in ELOOP at once") {
    RootFolder root;
    root.program("programs/cat", "bin/cat").file("end", "reached");
    std::string target = "/end";
    for (int i = 0; i < 12; ++i) { // each names the one before many times: 40 levels of them would never end
        root.link(target, "l" + std::to_string(i));
        target.clear();
        for (int j = 0; j < 100; ++j) target += "l" + std::to_string(i) + "/../";
        target += "l" + std::to_string(i);
    }
    CHECK(cat(root, "/l0") == "reached");
    CHECK(cat(root, "/l11").find("reached") == std::string::npos);
}

TEST_CASE("vfs: the host's files are never written") {
    RootFolder root;
    for (const char* probe : {"files", "processes", "memory"}) root.program(std::string("probes/") + probe, probe);
    root.file("made", "host text").file("folder/inner/file", "deep").file("text", "kept");
    const std::string before = root.picture();
    for (const char* probe : {"/files", "/processes", "/memory"}) run_in(root, {probe});
    CHECK(root.picture() == before);
}

TEST_CASE("vfs: devices of the host and sockets are not taken along; unreadable trees are refused") {
    RootFolder root;
    root.program("programs/ls", "bin/ls");
    REQUIRE(mkfifo((root.path() + "/pipe").c_str(), 0600) == 0);
    const std::string names = run_in(root, {"/bin/ls", "/"}).output;
    CHECK(names.find("bin") != std::string::npos);
    CHECK(names.find("pipe") == std::string::npos);
    std::string deep = root.path();
    for (int i = 0; i < 80; ++i) deep += "/d";
    fs::create_directories(deep);
    World world;
    CHECK(world.start_error({.rootfs = root.path(), .arguments = {"/bin/ls"}}).find("nested too deeply") != std::string::npos);
}

TEST_CASE("vfs: files without name and user are given back: one may come and go any number of times") {
    const container::Credentials root;
    container::Viewer viewer;
    viewer.credentials = &root;
    container::Vfs vfs;
    const u32 super = static_cast<u32>(vfs.make_super(viewer, container::kTmpfs, {"tmpfs", "size=1m", 0, false, {}}));
    const u32 mount = vfs.new_mount(super, vfs.root_of(super), "tmpfs", 0);
    vfs.start_namespace(0, 0);
    vfs.set_root_mount(0, mount);
    viewer.root = viewer.cwd = vfs.namespace_root(0);
    const std::vector<u8> bytes(512 << 10, 1);
    for (unsigned i = 0; i < 20'000; ++i) {
        const i64 file = vfs.create(viewer, vfs.walk(viewer, viewer.cwd, "f", container::kParent), {container::mode::kFile | 0644, 0, {}});
        REQUIRE(file > 0);
        if (i % 100 == 0) REQUIRE(vfs.write_data(vfs.dentries.get(static_cast<u32>(file)).inode, 0, bytes, 0) == static_cast<i64>(bytes.size()));
        REQUIRE(vfs.remove(viewer, vfs.walk(viewer, viewer.cwd, "f", container::kParent), false) == 0);
        if (i % 100 == 0 || vfs.wants_sweep()) vfs.sweep({});
    }
    vfs.sweep({});
    CHECK(vfs.inodes.live() < 10);
    CHECK(vfs.pages == 0);
    const i64 large = vfs.create(viewer, vfs.walk(viewer, viewer.cwd, "large", container::kParent), {container::mode::kFile | 0644, 0, {}});
    const u32 inode = vfs.dentries.get(static_cast<u32>(large)).inode;
    CHECK(vfs.write_data(inode, container::kMaxFileOffset, bytes, 0) == -container::kEFBIG);
    CHECK(vfs.write_data(inode, 0, std::vector<u8>(1 << 20), 0) == 1 << 20);
    CHECK(vfs.write_data(inode, 1 << 20, bytes, 0) == -container::kENOSPC);
    CHECK(vfs.walk(viewer, viewer.cwd, std::string(256, 'n'), 0).error == -container::kENAMETOOLONG);
}
