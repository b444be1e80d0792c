// The controller io of cgroups, cpu.max.burst, and real-time policies.
#include "tests/container-sim/eaters.hpp"

using namespace trapeze;
using namespace trapeze::test;
using container::IoGroup;

namespace {

constexpr u64 kSecond = 100'000'000; ///< in cycles

IoGroup& io_of(Eaters& eaters, u32 own) { return eaters.world.kernel.cgroups[eaters.group_of(own)].io; }

} // namespace

TEST_CASE("io controller: what is read of a file for the first time comes from the disk, and is in memory for the next") {
    Eaters eaters;
    const u32 first = eaters.start({"read:/big", "nap:1", "read:/big", "nap:1", "map:/big"});
    IoGroup& io = io_of(eaters, first);
    const u64 before = io.bytes[0];
    eaters.world.run();
    CHECK(eaters.output(first).starts_with("read 4194304\nread 4194304\nsum"));
    CHECK(io.bytes[0] - before >= u64{4} << 20);
    CHECK(io.bytes[0] - before < u64{5} << 20); // the program's own pages
    CHECK(eaters.memory(eaters.group_of(first)).files >= 4 * kMegabyte);
}

TEST_CASE("io controller: io.max makes who reads and writes more wait, which counts as pressure, and nobody else") {
    Eaters eaters;
    const u32 slow = eaters.start({"read:/big", "say:read", "write:/made:1024", "say:written"}), quick = eaters.start({"read:/big", "say:quick"});
    io_of(eaters, slow).most_bytes = {u64{2} << 20, u64{1} << 20};
    eaters.world.run(kSecond / 2);
    CHECK(eaters.output(quick) == "read 4194304\nquick\n");
    eaters.world.run();
    CHECK(eaters.output(slow) == "read 4194304\nread\nwritten\n");
    const double seconds = static_cast<double>(eaters.world.machine.cycles()) / kSecond;
    CHECK(seconds == doctest::Approx(3.1).epsilon(0.1)); // 2 for reading, 1 for writing, and the program's own pages
    const container::Pressure& pressure = eaters.world.kernel.cgroups[eaters.group_of(slow)].io_pressure;
    CHECK(static_cast<double>(pressure.some) / kSecond == doctest::Approx(3.1).epsilon(0.1));
    CHECK(eaters.world.kernel.cgroups[eaters.group_of(quick)].io_pressure.some == 0);
    CHECK(io_of(eaters, slow).bytes[1] == u64{1} << 20);
}

TEST_CASE("io controller: operations are limited, too, and files in memory are no input or output") {
    Eaters eaters;
    const u32 own = eaters.start({"write:/made:640", "write:/dev/here:1024", "read:/dev/here"});
    io_of(eaters, own).most_operations[1] = 5;
    eaters.world.run();
    CHECK(static_cast<double>(eaters.world.machine.cycles()) / kSecond == doctest::Approx(2).epsilon(0.05)); // ten writes of 64 KiB
    CHECK(io_of(eaters, own).operations[1] == 10);
    CHECK(io_of(eaters, own).bytes[1] == u64{640} << 10);
}

TEST_CASE("cpu controller: what of a quota is left over may be used later, as far as cpu.max.burst has it") {
    const auto used_in_a_burst = [](u64 burst) {
        Eaters eaters;
        eaters.root.program("programs/spin", "spin");
        const u32 own = eaters.world.start({.rootfs = eaters.root.path(), .arguments = {"/spin"}});
        container::CpuGroup& cpu = eaters.world.kernel.cgroups[eaters.group_of(own)].cpu;
        cpu.quota = 500'000, cpu.period = 5'000'000, cpu.burst = burst;
        cpu.left = cpu.left_first = cpu.quota + burst; // as after a quiet period
        const u64 begin = eaters.world.machine.cycles();
        u64 done = 0;
        while (eaters.world.machine.cycles() - begin < cpu.period) done += eaters.world.kernel.run(eaters.world.machine, 1'000).executed;
        return std::pair(done, cpu.bursts);
    };
    const auto [plain, no_bursts] = used_in_a_burst(0);
    const auto [more, bursts] = used_in_a_burst(400'000);
    CHECK(plain == doctest::Approx(500'000).epsilon(0.01));
    CHECK(more == doctest::Approx(900'000).epsilon(0.01));
    CHECK(no_bursts == 0);
    CHECK(bursts <= 1);
}

TEST_CASE("scheduler: SCHED_FIFO goes before all others, and takes the hart when it wakes") {
    Eaters eaters;
    eaters.root.program("programs/spin", "spin");
    const u32 spinner = eaters.world.start({.rootfs = eaters.root.path(), .arguments = {"/spin"}});
    const u32 urgent = eaters.start({"nap:3", "anon:1024", "say:first"});
    Kernel& kernel = eaters.world.kernel;
    container::Task& task = kernel.tasks[kernel.processes[kernel.ttys[urgent].init].leader];
    kernel.dequeue(kernel.processes[kernel.ttys[urgent].init].leader);
    task.policy = 1, task.priority = 10;
    kernel.enqueue(kernel.processes[kernel.ttys[urgent].init].leader);
    eaters.world.run(200'000); // it sleeps by now
    CHECK(eaters.output(urgent).empty());
    const u64 before = task.run_cycles;
    eaters.world.run(500'000);
    CHECK(eaters.output(urgent) == "first\n");
    CHECK(before < 100'000);
    CHECK(kernel.tasks[kernel.processes[kernel.ttys[spinner].init].leader].run_cycles > 100'000);
}
