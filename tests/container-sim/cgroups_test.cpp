// cgroup v2 and the sharing of the hart. What files answer is compared with Debian's kernel (probes cgroups and cgroup_limits); here is what
// that cannot say: shares in numbers, that nothing of a removed group is left, fork bombs from a shell.
#include "tests/container-sim/container.hpp"

using namespace trapeze;
using namespace trapeze::test;
using container::Cgroup;
using container::kNoLimit;

namespace {

/// Containers that compute for ever, one for each weight or quota; their cgroups are the root's children.
struct Spinners {
    RootFolder root;
    World world;
    std::vector<u32> groups;

    explicit Spinners(std::size_t count) {
        root.program("programs/spin", "spin");
        for (std::size_t i = 0; i < count; ++i) {
            const u32 own = world.start({.rootfs = root.path(), .arguments = {"/spin"}});
            groups.push_back(world.kernel.processes[world.kernel.ttys[own].init].cgroup);
        }
    }
    Cgroup& at(std::size_t index) { return world.kernel.cgroups[groups[index]]; }
    u64 used(std::size_t index) {
        world.kernel.account_current();
        return at(index).cpu.used;
    }
};

/// Debian's busybox-static for riscv64, if the peers have been fetched.
std::string busybox() {
    const char* peers = std::getenv("TRAPEZE_PEERS_DIR");
    return (peers ? std::string(peers) : scenarios::build_folder() + "/peers") + "/root/usr/bin/busybox";
}

} // namespace

TEST_CASE("cgroups: the hart is shared by cpu.weight, and what is used adds up in the root") {
    Spinners spinners(3);
    spinners.at(0).cpu.weight = 300;
    constexpr u64 kBudget = 50'000'000;
    spinners.world.run(kBudget);
    const u64 heavy = spinners.used(0), first = spinners.used(1), second = spinners.used(2);
    CHECK(static_cast<double>(heavy) / static_cast<double>(first) == doctest::Approx(3).epsilon(0.05));
    CHECK(static_cast<double>(first) / static_cast<double>(second) == doctest::Approx(1).epsilon(0.05));
    CHECK(heavy + first + second == kBudget);
    CHECK(spinners.world.kernel.cgroups[0].cpu.used == kBudget);
}

TEST_CASE("cgroups: nice values share the hart as sched(7) has it") {
    Spinners spinners(1);
    World& world = spinners.world;
    const u32 second = world.start({.rootfs = spinners.root.path(), .arguments = {"/spin"}});
    const u32 init = world.kernel.ttys[second].init, task = world.kernel.processes[init].leader;
    world.kernel.move_to_cgroup(task, spinners.groups[0]); // else each container has half
    world.kernel.processes[init].nice = 5;
    world.run(40'000'000);
    world.kernel.account_current();
    const u64 nice = world.kernel.tasks[task].run_cycles, other = world.kernel.tasks[world.kernel.processes[world.kernel.ttys[1].init].leader].run_cycles;
    CHECK(static_cast<double>(other) / static_cast<double>(nice) == doctest::Approx(1024.0 / 335).epsilon(0.05));
}

TEST_CASE("cgroups: cpu.max keeps a group to its quota, and the hart idles for the rest") {
    Spinners spinners(1);
    Cgroup& group = spinners.at(0);
    group.cpu.quota = group.cpu.left = 500'000, group.cpu.period = 5'000'000; // 5 ms of 50 ms
    spinners.world.run(5'000'000);
    CHECK(spinners.used(0) == 5'000'000);
    CHECK(group.cpu.throttles >= 9);
    CHECK(spinners.world.machine.cycles() >= 45'000'000);
    CHECK(group.cpu.throttled_cycles >= 40'000'000);
    CHECK(group.cpu_pressure.full >= 40'000'000);
}

TEST_CASE("cgroups: a throttled group leaves the hart to others") {
    Spinners spinners(2);
    Cgroup& group = spinners.at(0);
    group.cpu.quota = group.cpu.left = 500'000, group.cpu.period = 5'000'000;
    spinners.world.run(50'000'000);
    CHECK(spinners.used(0) <= 5'500'000);
    CHECK(spinners.used(0) + spinners.used(1) == 50'000'000);
}

TEST_CASE("cgroups: two runs in pieces are one run") {
    Spinners whole(2), pieces(2);
    for (Spinners* one : {&whole, &pieces}) one->at(0).cpu.weight = 700;
    whole.world.run(9'000'000);
    for (int i = 0; i < 9; ++i) pieces.world.run(1'000'000);
    CHECK(whole.used(0) == pieces.used(0));
    CHECK(whole.used(1) == pieces.used(1));
}

TEST_CASE("cgroups: a fork bomb ends at pids.max, and leaves nothing behind") {
    RootFolder root;
    root.program("probes/bomb", "bomb").program("programs/hello", "hello");
    World world(u64{32} << 20, kAllClasses);
    const u32 bomb = world.start({.rootfs = root.path(), .arguments = {"/bomb"}});
    const u32 group = world.kernel.processes[world.kernel.ttys[bomb].init].cgroup;
    world.kernel.cgroups[group].pids.most = 20;
    world.run();
    CHECK(world.kernel.take_output(bomb) == "refused\n");
    CHECK(world.kernel.cgroups[group].pids.peak == 20);
    CHECK(world.kernel.cgroups[group].pids.refused >= 3);
    CHECK(any_contains(world.events(EventKind::NamespaceLookup), "refused, pids.max of cgroup /container-1"));
    CHECK_FALSE(world.kernel.cgroups[group].populated());
    CHECK(world.kernel.cgroups[group].pids.current <= 1); // its init, which nobody has waited for
}

TEST_CASE("cgroups: a busybox shell makes groups, moves itself, limits and kills") {
    if (!fs::exists(busybox())) {
        MESSAGE("skipped: ", busybox(), " is not there; tests/golden/linux/make.sh fetches it");
        return;
    }
    RootFolder root;
    for (const char* folder : {"/bin", "/sys"}) fs::create_directories(root.path() + folder);
    fs::copy_file(busybox(), root.path() + "/bin/busybox");
    const std::string script = "cd /sys/fs/cgroup; mkdir init box; echo 0 >init/cgroup.procs; cat /proc/self/cgroup\n"
                               "echo '+pids' >cgroup.subtree_control; echo 3 >box/pids.max\n"
                               "busybox sh -c 'echo 0 >box/cgroup.procs; for i in 1 2 3 4; do busybox sleep 100 & done' 2>/dev/null\n"
                               "cat box/pids.events; rmdir box 2>/dev/null || echo busy\n"
                               "echo 1 >box/cgroup.kill; busybox sleep 1; cat box/cgroup.events; rmdir box && ls -d box 2>/dev/null || echo gone\n";
    World world;
    const u32 own = world.start({.rootfs = root.path(), .arguments = {"/bin/busybox", "sh", "-c",
                                 "alias cat='busybox cat' mkdir='busybox mkdir' rmdir='busybox rmdir' ls='busybox ls'\n" + script}});
    world.kernel.close_input(own);
    world.run();
    const std::string output = world.kernel.take_output(own);
    CHECK(output.find("0::/init\n") != std::string::npos);
    CHECK(output.find("busy\npopulated 0\nfrozen 0\ngone\n") != std::string::npos);
    CHECK(output.find("max 0\n") == std::string::npos);
    CAPTURE(output);
    CHECK(world.kernel.exit_status(own) == 0);
}
