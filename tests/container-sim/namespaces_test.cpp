// pid, uts and mnt namespaces: two containers each see their own, the outside sees both, and each lookup that a namespace decided is an
// event. What nested namespaces answer was measured on Linux 6.18 with the same program.
#include "tests/container-sim/container.hpp"

using namespace trapeze;
using namespace trapeze::test;

namespace {
struct TwoContainers {
    RootFolder a, b;
    World world{u64{64} << 20, kAllClasses};
    TwoContainers() {
        a.program("linux/whoami", "bin/whoami").file("only-in-a", "A");
        b.program("linux/whoami", "bin/whoami").file("only-in-b", "B");
        world.start({.hostname = "web", .rootfs = a.path(), .arguments = {"/bin/whoami"}});
        world.start({.hostname = "db", .rootfs = b.path(), .arguments = {"/bin/whoami"}});
    }
};
} // namespace

TEST_CASE("namespaces: two containers each see themselves as pid 1, their own host name and their own root") {
    TwoContainers two;
    CHECK(two.world.run() == RunState::Finished);
    CHECK(two.world.kernel.take_output(1) == "pid 1, parent 0, host web, in /\nthe root holds: /bin, /dev, /only-in-a, /proc\n");
    CHECK(two.world.kernel.take_output(2) == "pid 1, parent 0, host db, in /\nthe root holds: /bin, /dev, /only-in-b, /proc\n");
}

TEST_CASE("namespaces: the outside view shows both containers with their pids inside and outside") {
    TwoContainers two;
    const auto views = two.world.kernel.processes_seen();
    REQUIRE(views.size() == 2);
    CHECK(views[0].pids == std::vector<i32>{2, 1});
    CHECK(views[1].pids == std::vector<i32>{3, 1});
    CHECK(views[0].hostname == "web");
    CHECK(views[1].hostname == "db");
    CHECK(views[0].root == two.a.path());
    CHECK(views[1].root == two.b.path());
    CHECK(views[0].namespaces.pid != views[1].namespaces.pid);
    CHECK(views[0].namespaces.uts != views[1].namespaces.uts);
    CHECK(views[0].namespaces.mnt != views[1].namespaces.mnt);
}

TEST_CASE("namespaces: each lookup that one decided is an event that says what the outside would have answered") {
    TwoContainers two;
    two.world.run();
    const auto lookups = two.world.events(EventKind::NamespaceLookup);
    CHECK(any_contains(lookups, "getpid: 1 in pid namespace 4026532200; outside it is 2"));
    CHECK(any_contains(lookups, "getpid: 1 in pid namespace 4026532203; outside it is 3"));
    CHECK(any_contains(lookups, "getppid: 0 in pid namespace 4026532200; outside it is 1"));
    CHECK(any_contains(lookups, "uname: nodename \"web\" in uts namespace 4026532201; outside it is \"host\""));
    CHECK(any_contains(lookups, "uname: nodename \"db\" in uts namespace 4026532204; outside it is \"host\""));
    CHECK(any_contains(lookups, "path \"/\": from the root of mnt namespace 4026532202, which is " + two.a.path()));
    CHECK(any_contains(lookups, "path \"/\": from the root of mnt namespace 4026532205, which is " + two.b.path()));
}

TEST_CASE("namespaces: /proc shows the processes of its own pid namespace, and says what they are outside") {
    RootFolder root;
    root.program("programs/cat", "bin/cat");
    World world(u64{64} << 20, kAllClasses);
    world.start({.hostname = "other", .rootfs = root.path(), .arguments = {"/bin/cat"}}); // waits for its terminal
    world.start({.hostname = "web", .rootfs = root.path(), .arguments = {"/bin/cat", "/proc/1/status", "/proc/sys/kernel/hostname", "/proc/2/stat"}});
    CHECK(world.run() == RunState::Idle);
    const std::string output = world.kernel.take_output(2);
    CHECK(output.find("Pid:\t1\nPPid:\t0\n") != std::string::npos);
    CHECK(output.find("NSpid:\t1\n") != std::string::npos);
    CHECK(output.find("web\n") != std::string::npos);
    CHECK(output.find("(cat)") == std::string::npos); // there is no process 2 here
    const auto lookups = world.events(EventKind::NamespaceLookup);
    CHECK(any_contains(lookups, "/proc/1/status: process 1 of pid namespace 4026532203, for which this /proc was mounted; outside it is 3"));
    CHECK(any_contains(lookups, "/proc/sys/kernel/hostname: \"web\" in uts namespace 4026532204; outside it is \"host\""));
}

TEST_CASE("pid_namespaces(7): nested namespaces, unshare and init's privileges answer as Linux does") {
    RootFolder root;
    root.program("probes/nested", "nested");
    const Outcome outcome = run_in(root, {"/nested"});
    CHECK(outcome.status == 0);
    CHECK(outcome.output == R"(outside: the child is 2
inside: pid 1, parent 0
inside: host inner
kill(1, SIGKILL) = 0
kill(1, SIGTERM) = 0
inside: the orphan's parent is 1
inside: 2 ended
outside: exit 5
outside: host web
kill(child, SIGTERM) = 0
still there: 0
kill(child, SIGKILL) = 0
signal 9
unshare(CLONE_NEWPID) = 0
same 1
unshare(CLONE_NEWPID) = -1 EINVAL
the first is 1
fork() = -1 ENOMEM
unshare(CLONE_NEWUTS) = 0
sethostname("0123456789012345678901234567890123456789012345678901234567890123456789", 65) = -1 EINVAL
sethostname("renamed", 7) = 0
unshare(CLONE_VM) = 0
unshare(1) = -1 EINVAL
)");
}

TEST_CASE("namespaces: a container's end ends every process in it, and nothing outside") {
    RootFolder root;
    root.program("probes/bomb", "bomb").program("programs/cat", "bin/cat");
    World world;
    world.start({.rootfs = root.path(), .arguments = {"/bin/cat"}});
    const u32 bomb = world.start({.rootfs = root.path(), .arguments = {"/bomb"}});
    world.run();
    CHECK(world.kernel.exit_status(bomb) == 0);
    CHECK_FALSE(world.kernel.exit_status(1));
    const auto views = world.kernel.processes_seen();
    CHECK(std::count_if(views.begin(), views.end(), [](const auto& view) { return view.state != "ended"; }) == 1);
}
