// Starting programs: glibc's, tiny-os's own, scripts; and what is said when one does not start.
#include "tests/container-sim/container.hpp"

using namespace trapeze;
using namespace trapeze::test;

TEST_CASE("exec: a static glibc program runs, with its floating point") {
    RootFolder root;
    root.program("linux/float", "bin/float");
    CHECK(run_in(root, {"/bin/float"}) == Outcome{"1.4142135623730951 0.90929742682568171 0.666666687\n", 0});
}

TEST_CASE("exec: tiny-os's programs run unchanged, its self-test but for the read-only file system") {
    RootFolder root;
    for (const char* name : {"hello", "forktest", "pipetest", "pagefault", "crash", "selftest", "cat", "echo", "sh"}) root.program(std::string("programs/") + name, std::string("bin/") + name);
    root.file("etc/motd", "welcome\n");
    CHECK(run_in(root, {"/bin/echo", "a", "b c"}) == Outcome{"a b c\n", 0});
    CHECK(run_in(root, {"/bin/cat", "/etc/motd"}) == Outcome{"welcome\n", 0});
    CHECK(run_in(root, {"/bin/crash"}).status == 11);
    const Outcome selftest = run_in(root, {"/bin/selftest"});
    CHECK(selftest.output.find("self-test: FAILED: the file system is read-only\n") != std::string::npos); // this one can be written, in memory
    CHECK(selftest.output.find("FAILED in 1 points") != std::string::npos);
}

TEST_CASE("exec: a terminal's lines reach the shell, and the end of input ends it") {
    RootFolder root;
    root.program("programs/sh", "bin/sh").program("programs/echo", "bin/echo").program("programs/cat", "bin/cat");
    World world;
    const u32 own = world.start({.hostname = "web", .rootfs = root.path(), .arguments = {"/bin/sh"}, .terminal = true});
    world.kernel.type(own, "echo onf\x7f" "e\recho two | cat\n");
    world.kernel.close_input(own);
    CHECK(world.run() == RunState::Finished);
    const std::string output = world.kernel.take_output(own);
    CHECK(output.find("echo onf\b \be\r\n") != std::string::npos); // echoed as it was edited
    CHECK(output.find("one\r\n") != std::string::npos);
    CHECK(output.find("two\r\n") != std::string::npos);
    CHECK(world.kernel.exit_status(own) == 0);
}

TEST_CASE("exec: a name without a slash is looked for in PATH; a script runs by its first line") {
    RootFolder root;
    root.program("programs/echo", "usr/bin/echo").file("bin/say", "#!/usr/bin/echo said\n", true);
    CHECK(run_in(root, {"echo", "found"}) == Outcome{"found\n", 0});
    CHECK(run_in(root, {"say", "it"}) == Outcome{"said /bin/say it\n", 0});
}

TEST_CASE("exec: a program that does not start is named with the mend, and has a shell's status") {
    RootFolder root;
    const std::string whole = file_text(guest("programs/echo")), foreign = file_text("/proc/self/exe").substr(0, 100'000);
    root.program("programs/echo", "bin/echo").file("text", "no program", true).file("plain", whole).file("cut", whole.substr(0, 200), true);
    root.file("header", whole.substr(0, 40), true).file("foreign", foreign, true).file("empty", "", true).file("lost", "#!/bin/none\n", true).link("round", "round");
    const struct {
        const char* program;
        int status;
        const char* says;
    } cases[] = {
        {"/bin/none", 127, "there is no such program"}, {"none", 127, "folder of PATH"},     {"/bin/echo/x", 127, "no such program"}, {"/bin", 126, "this is a folder"},
        {"/plain", 126, "chmod +x"},                    {"/text", 126, "neither an ELF"},    {"/cut", 126, "/cut"},                   {"/header", 126, "/header"},
        {"/foreign", 126, "RISC-V"},                    {"/empty", 126, "neither an ELF"},   {"/lost", 126, "interpreter"},           {"/round", 126, "circle"},
    };
    for (const auto& c : cases) {
        CAPTURE(std::string(c.program));
        World world;
        const auto started = world.kernel.start_container(world.machine, {.rootfs = root.path(), .arguments = {c.program}});
        REQUIRE_FALSE(started);
        CHECK(started.status() == c.status);
        CHECK(started.error().find(c.says) != std::string::npos);
        CHECK(started.error().find(root.path()) != std::string::npos);
        CHECK(world.kernel.processes_seen().empty());
    }
    World world;
    CHECK(world.start_error({.rootfs = "/no/such/folder", .arguments = {"x"}}).find("/no/such/folder: there is no such folder") == 0);
    CHECK(world.start_error({.hostname = std::string(65, 'h'), .rootfs = root.path(), .arguments = {"x"}}).find("host name") != std::string::npos);
    CHECK(world.start_error({.rootfs = root.path(), .arguments = {"/bin/echo", std::string(200'000, 'x')}}).find("128 KiB") != std::string::npos);
}

TEST_CASE("exec: an ELF whose bytes are changed at random never harms the host") {
    const std::string whole = file_text(guest("programs/hello"));
    u64 random = 1;
    unsigned refused = 0;
    for (unsigned i = 0; i < 60; ++i) {
        std::string changed = whole;
        for (unsigned j = 0; j < 6; ++j) {
            random = random * 6364136223846793005 + 1442695040888963407;
            changed[(random >> 33) % 0x140] = static_cast<char>(random >> 56); // the headers
        }
        RootFolder root;
        root.file("p", changed, true);
        World world(u64{16} << 20);
        const auto started = world.kernel.start_container(world.machine, {.rootfs = root.path(), .arguments = {"/p"}});
        refused += !started;
        world.run(5'000'000);
        CHECK(world.kernel.containers() <= 1);
    }
    CHECK(refused > 10);
    CHECK(refused < 60);
}
