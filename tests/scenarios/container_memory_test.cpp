// `--memory` at the command line: what Docker's users see of a container that wants more memory than it may have.
#include "tests/scenarios/container_store.hpp"

using namespace trapeze;
using namespace trapeze::test;

TEST_CASE("container run --memory: who wants more is killed with status 137, and inspect says why") {
    const Store store;
    CHECK(store.run({"run", "-m", "8m", "tiny", "sh", "-c", "cat /dev/zero > /dev/shm/all"}).status == 137);
    const std::string out = store.shell("run --name hog -m 8m tiny sh -c 'cat /dev/zero > /dev/shm/all'\nrun -d --name killed -m 8m --memory-swap 8m tiny sleep 100\nkill killed\nwait killed\n"
                                        "inspect -f '{{.Name}} {{.State.OOMKilled}} {{.State.ExitCode}} {{.HostConfig.Memory}} {{.HostConfig.MemorySwap}}' hog killed\n");
    CHECK(contains(out, "/hog true 137 8388608 8388608\n"));
    CHECK(contains(out, "/killed false 137 8388608 8388608\n"));
}

TEST_CASE("container stats: memory is what the cgroup is charged for, beside its limit") {
    const Store store;
    const std::string out = store.shell("run -d --name small -m 16m tiny sleep 100\nrun -d --name large -m 16m tiny sh -c 'cat /etc/passwd /etc/group > /dev/shm/x; sleep 100'\nrun -d --name free tiny sleep 100\n"
                                        "exec large sh -c 'cat /bin/cat /bin/cat /bin/cat > /dev/shm/y'\nstats --no-stream --format '{{.Name}} {{.MemUsage}} {{.MemPerc}}'\n");
    const auto row = [&](const std::string& name) {
        const std::size_t at = out.find("\n" + name + " ");
        REQUIRE_MESSAGE(at != std::string::npos, out);
        return out.substr(at + 1, out.find('\n', at + 1) - at - 1);
    };
    CHECK(contains(row("small"), "KiB / 16MiB "));
    CHECK(contains(row("large"), "MiB / 16MiB ")); // a file in memory counts
    CHECK(contains(row("free"), "KiB / 256MiB ")); // no limit: the machine's
}

TEST_CASE("container run --memory-swap: there is no swap, so no more than --memory can be given") {
    const Store store;
    for (const Words& options : {Words{"--memory-swap", "64m"}, {"-m", "64m", "--memory-swap", "128m"}, {"-m", "64m", "--memory-swap", "-1"}, {"-m", "64m", "--memory-swap", "much"}}) {
        Words all{"run"};
        all.insert(all.end(), options.begin(), options.end());
        all.insert(all.end(), {"tiny", "true"});
        const Ended refused = store.run(all);
        CHECK(refused.status == 2);
        CHECK(contains(refused.err, "this machine has no swap space"));
    }
    CHECK(store.run({"run", "-m", "64m", "--memory-swap", "64m", "tiny", "true"}).status == 0);
}
