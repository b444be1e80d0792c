// Memory of processes: what is shared, what is counted, and that nobody takes more than there is.
#include "container-sim/memory_sharing.hpp"
#include "tests/container-sim/container.hpp"

using namespace trapeze;
using namespace trapeze::test;

TEST_CASE("memory: frames that containers have mapped are counted once each, and those that another has mapped, too, are shared") {
    RootFolder root;
    root.program("probes/idle", "idle");
    World world;
    const u32 first = world.start({.rootfs = root.path(), .arguments = {"/idle"}});
    world.run(5'000'000);
    const auto alone = container::memory_of_containers(world.kernel, world.machine);
    REQUIRE(alone.size() == 1);
    CHECK(alone[0].container == first);
    CHECK(alone[0].cached > 0);
    CHECK(alone[0].mapped > alone[0].cached);
    const u64 shared_alone = alone[0].shared;
    CHECK(shared_alone == 0);
    world.start({.rootfs = root.path(), .arguments = {"/idle"}});
    world.run(5'000'000);
    const auto both = container::memory_of_containers(world.kernel, world.machine);
    REQUIRE(both.size() == 2);
    // Each container imports the folder for itself: what they have in common is the kernel's own page.
    CHECK(both[0].shared == 1);
    CHECK(both[0].shared == both[1].shared);
    CHECK(both[0].mapped == alone[0].mapped);
}
