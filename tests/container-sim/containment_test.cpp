// What a process does to itself stays its own affair: fork bombs, memory hogs, endless loops; and two runs are one.
#include "tests/container-sim/container.hpp"

using namespace trapeze;
using namespace trapeze::test;

TEST_CASE("containment: a fork bomb ends in EAGAIN or ENOMEM, and another container goes on") {
    RootFolder root;
    root.program("probes/bomb", "bomb").program("linux/whoami", "whoami");
    World world(u64{32} << 20);
    const u32 bomb = world.start({.rootfs = root.path(), .arguments = {"/bomb"}});
    world.run(20'000'000);
    CHECK(world.kernel.processes_seen().size() <= Kernel::kMaxTasks);
    world.run();
    CHECK(world.kernel.exit_status(bomb).has_value());
    const u32 next = world.start({.rootfs = root.path(), .arguments = {"/whoami"}});
    world.run();
    CHECK(world.kernel.exit_status(next) == 0);
}

TEST_CASE("containment: who takes all memory is ended by SIGKILL, and its memory can be used again") {
    RootFolder root;
    root.program("probes/hog", "hog").program("programs/cat", "cat");
    World world(u64{32} << 20, kAllClasses);
    const u32 bystander = world.start({.rootfs = root.path(), .arguments = {"/cat"}});
    const u32 hog = world.start({.rootfs = root.path(), .arguments = {"/hog"}});
    world.run();
    CHECK(world.kernel.take_output(hog) == "signal 9\nroom 1\n");
    CHECK(any_contains(world.events(EventKind::ProcessExit), "memory is full: hog holds the most"));
    world.kernel.type(bystander, "still here\n");
    world.run();
    CHECK(world.kernel.take_output(bystander) == "still here\n");
}

TEST_CASE("containment: when all processes have ended, only pages of files are kept") {
    RootFolder root;
    root.program("probes/processes", "processes").program("probes/memory", "memory");
    World world;
    const auto run_once = [&](const char* program) {
        world.start({.rootfs = root.path(), .arguments = {program}});
        world.run();
        return world.kernel.frames_used();
    };
    run_once("/processes"), run_once("/memory");
    const u64 file_pages = 2 * (fs::file_size(root.path() + "/processes") + fs::file_size(root.path() + "/memory")) / kPageSize;
    CHECK(world.kernel.frames_used() < file_pages);
}

TEST_CASE("containment: a loop uses its budget and no more; a sleeping one lets time pass") {
    RootFolder root;
    root.program("programs/spin", "spin").program("programs/sleep", "sleep");
    World spinning, sleeping;
    spinning.start({.rootfs = root.path(), .arguments = {"/spin"}});
    const auto stop = spinning.kernel.run(spinning.machine, 1'000'000);
    CHECK(stop.state == RunState::Budget);
    CHECK(stop.executed == 1'000'000);
    sleeping.start({.rootfs = root.path(), .arguments = {"/sleep", "5000"}});
    const auto slept = sleeping.kernel.run(sleeping.machine, 1'000'000);
    CHECK(slept.state == RunState::Finished);
    CHECK(slept.executed < 100'000);
    CHECK(sleeping.machine.cycles() >= 5 * 100'000'000ull);
}

TEST_CASE("determinism: two runs have byte-equal traces, in whatever portions they run") {
    RootFolder root;
    root.program("probes/processes", "processes").program("probes/system", "system").program("linux/whoami", "whoami");
    const auto run = [&](u64 portion) {
        World world(u64{64} << 20, kAllClasses);
        world.start({.hostname = "a", .rootfs = root.path(), .arguments = {"/processes"}});
        world.start({.hostname = "b", .rootfs = root.path(), .arguments = {"/system"}});
        world.start({.hostname = "c", .rootfs = root.path(), .arguments = {"/whoami"}});
        while (world.run(portion) == RunState::Budget) {}
        return std::pair(world.trace_text(), world.kernel.take_output(1) + world.kernel.take_output(2));
    };
    const auto once = run(1'000'000'000), again = run(1'000'000'000), pieces = run(777);
    CHECK(once.first.size() > 100'000);
    CHECK(once == again);
    CHECK(once == pieces);
}

TEST_CASE("value state: a copy of machine and kernel goes on as the original does") {
    RootFolder root;
    root.program("probes/processes", "processes");
    World world(u64{64} << 20, kAllClasses);
    world.start({.rootfs = root.path(), .arguments = {"/processes"}});
    world.run(300'000);
    World copy = world;
    world.run(), copy.run();
    CHECK(world.trace_text() == copy.trace_text());
    CHECK(world.machine == copy.machine);
}

TEST_CASE("containment: a timer that wakes nobody does not keep the kernel for ever") {
    RootFolder root;
    root.program("probes/idle", "idle");
    World world;
    const u32 own = world.start({.rootfs = root.path(), .arguments = {"/idle"}});
    CHECK(world.run() == RunState::Idle);
    CHECK_FALSE(world.kernel.exit_status(own));
}

TEST_CASE("containment: epoll instances nest only so far that looking through them stays short") {
    RootFolder root;
    root.program("probes/idle", "idle");
    CHECK(run_in(root, {"/idle", "nest"}).output == "4 nested\n");
}
