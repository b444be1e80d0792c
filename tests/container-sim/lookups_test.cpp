// The audit of lookups: what a namespace, a cgroup or a capability decided is on the trace, with the answer and what it would be outside.
#include "tests/container-sim/engine_world.hpp"

using namespace trapeze;
using namespace trapeze::container;
using namespace trapeze::test;

namespace {

struct Audited : EngineWorld {
    std::vector<std::string> lookups;
    explicit Audited(const std::string& script, const std::function<void(RunConfig&)>& change = {}) : EngineWorld(u64{64} << 20, class_bit(EventClass::Namespace)) {
        RunConfig config = config_of({"sh", "-c", script});
        config.name = config.hostname = "web";
        if (change) change(config);
        start_image(config);
        go();
        lookups = events(EventKind::NamespaceLookup);
    }
    bool told(const std::string& part) const { return any_contains(lookups, part); }
};

} // namespace

TEST_CASE("lookups: a capability that was asked for is told with the user namespace over which it counts, and the answer") {
    const Audited root("hostname changed", [](RunConfig& config) { config.seccomp = "unconfined"; });
    CHECK(root.told("CAP_SYS_ADMIN over the host's user namespace 4026531837: no")); // sethostname: not among Docker's
    const Audited plain("mkdir /etc/new", [](RunConfig& config) { config.user = "1000"; });
    CHECK(plain.told("CAP_DAC_OVERRIDE over the host's user namespace 4026531837: no"));
    const Audited own("hostname changed", [](RunConfig& config) { config.userns = "private", config.cap_add = {"SYS_ADMIN"}; });
    CHECK(own.told(": yes; outside, over the host's, it would be no"));
}

TEST_CASE("lookups: an id, an owner and a file of a cgroup are told inside and outside") {
    const Audited ids("id; cat /sys/fs/cgroup/cgroup.procs; ls -l /etc", [](RunConfig& config) { config.userns = "private"; });
    CHECK(ids.told("getuid: 0 in user namespace "));
    CHECK(ids.told("/sys/fs/cgroup/cgroup.procs: of cgroup / in cgroup namespace "));
    CHECK(ids.told("; outside it is /docker/"));
}

TEST_CASE("lookups: a port and a key are told with what they mean outside") {
    RootFolder root;
    root.program("linux/lab", "lab").program("linux/tiny", "tiny");
    World world(u64{64} << 20, class_bit(EventClass::Namespace));
    world.start({.hostname = "web", .rootfs = root.path(), .arguments = {"/tiny", "sh", "-c", "/lab key; /lab unshare i /lab key; /lab port 80 /lab unshare n /lab port 80; /lab unshare n /lab devices"}});
    CHECK(world.run() == RunState::Finished);
    const auto lookups = world.events(EventKind::NamespaceLookup);
    CHECK(any_contains(lookups, "key 0x1234: no object in ipc namespace "));
    CHECK(any_contains(lookups, "bind: port 80 of net namespace "));
    CHECK(any_contains(lookups, "; outside it is taken"));
    CHECK(any_contains(lookups, "CAP_NET_BIND_SERVICE over the host's user namespace 4026531837: yes"));
}

TEST_CASE("lookups: chroot's escape leads to the real root, and out of a root that pivot_root made nowhere") {
    RootFolder root;
    root.program("linux/lab", "lab").program("linux/tiny", "tiny").program("linux/lab", "jail/lab").program("linux/tiny", "jail/tiny").file("secret", "treasure\n");
    CHECK(run_in(root, {"/lab", "chroot", "/jail", "/lab", "escape", "/tiny", "cat", "/secret"}).output == "treasure\n");
    CHECK(run_in(root, {"/lab", "pivot", "/jail", "/lab", "escape", "/tiny", "cat", "/secret"}).output != "treasure\n");
}
