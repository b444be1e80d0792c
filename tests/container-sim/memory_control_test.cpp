// The memory controller of cgroups: who pays for a page, what goes when there is too little, and who has to end. What its files answer is
// compared with Debian's kernel (probes cgroup_limits and cgroup_memory).
#include "tests/container-sim/eaters.hpp"

#include <numeric>

using namespace trapeze;
using namespace trapeze::test;

namespace {

/// What is charged, counted again from the frames themselves.
void check_charges(const Kernel& kernel) {
    std::map<u32, std::array<u64, container::kFrameKinds>> own;
    u64 used = 0;
    for (std::size_t i = Kernel::kReservedFrames; i < kernel.frame_users.size(); ++i)
        if (kernel.frame_users[i]) ++own[kernel.frame_charges[i].group][kernel.frame_charges[i].kind], ++used;
    for (const container::Task& task : kernel.tasks)
        if (task.stack_group) own[*task.stack_group][static_cast<std::size_t>(FrameKind::Stack)] += Kernel::kStackPages;
    CHECK(used == kernel.used_frames);
    std::map<u32, u64> files;
    for (const auto& [place, page] : kernel.reclaimable) {
        ++files[place.first];
        const auto cached = kernel.page_cache.find(page);
        REQUIRE(cached != kernel.page_cache.end());
        CHECK(cached->second.turn == place.second);
        CHECK(kernel.frame_charges[kernel.frame_index(cached->second.frame)].group == place.first);
    }
    for (u32 group = 0; group < kernel.cgroups.end(); ++group) {
        if (!kernel.cgroups.contains(group)) continue;
        std::array<u64, container::kFrameKinds> all{};
        for (const auto& [other, kinds] : own)
            for (std::size_t i = 0; i < kinds.size(); ++i) all[i] += kernel.cgroup_within(other, group) ? kinds[i] : 0;
        const MemoryGroup& memory = kernel.cgroups[group].memory;
        CHECK(memory.kinds == all);
        CHECK(memory.pages == std::accumulate(all.begin(), all.end(), u64{0}));
        CHECK(memory.own == std::accumulate(own[group].begin(), own[group].end(), u64{0}));
        CHECK(memory.files == files[group]);
    }
    for (u32 i = 1; i < kernel.spaces.end(); ++i)
        if (kernel.spaces.contains(i)) CHECK(kernel.spaces[i].most_resident >= kernel.spaces[i].resident);
}

} // namespace

TEST_CASE("memory controller: a hog is killed at its memory.max, and its neighbour is not") {
    Eaters eaters;
    const u32 neighbour = eaters.start({"anon:2048", "nap:10", "say:fine"}), hog = eaters.start({"say:on", "anon:8192", "say:never"});
    const u32 group = eaters.group_of(hog);
    eaters.memory(group).most = 4 * kMegabyte;
    eaters.world.run();
    CHECK(eaters.output(hog) == "on\n");
    CHECK(eaters.world.kernel.exit_status(hog) == 9);
    CHECK(eaters.output(neighbour) == "fine\n");
    CHECK(eaters.event(group, MemoryEvent::OomKill) == 1);
    CHECK(eaters.event(group, MemoryEvent::Max) >= 1);
    CHECK(eaters.memory(group).peak == 4 * kMegabyte + 1); // the page at which it was found to be full
    CHECK(any_contains(eaters.world.events(EventKind::ProcessExit), "memory of cgroup /container-2 is full (1024 pages): eater holds the most"));
    check_charges(eaters.world.kernel);
}

TEST_CASE("memory controller: a limit above binds those below, and the one that holds the most ends, wherever it is below") {
    Eaters eaters;
    const u32 own = eaters.start({"fork", "anon:3072", "pause", "then", "say:left"});
    const u32 group = eaters.group_of(own);
    const u32 more = eaters.start({"anon:512", "nap:5", "anon:2048", "say:finished"});
    Kernel& kernel = eaters.world.kernel;
    kernel.cgroups[group].subtree_control = container::kAllControllers;
    const u32 inner = static_cast<u32>(kernel.make_cgroup(group, "inner", 0, 0));
    REQUIRE(kernel.make_cgroup_folder(inner, 0755, 0) > 0);
    kernel.move_to_cgroup(kernel.processes[kernel.ttys[more].init].leader, inner);
    eaters.memory(group).most = 5 * kMegabyte;
    eaters.world.run();
    CHECK(eaters.output(own) == "child: signal 9\nleft\n");
    CHECK(eaters.output(more) == "finished\n");
    CHECK(eaters.event(group, MemoryEvent::OomKill) == 1);
    CHECK(eaters.event(inner, MemoryEvent::OomKill) == 0);
    CHECK(eaters.memory(group).local_events[static_cast<std::size_t>(MemoryEvent::Oom)] == 1);
    check_charges(kernel);
}

TEST_CASE("memory controller: memory.oom.group ends all of a group, but not who may never be ended") {
    Eaters eaters;
    const u32 own = eaters.start({"adj:-1000", "fork", "adj:0", "fork", "anon:64", "fork", "anon:8192", "then", "pause", "then", "pause", "then", "say:alive"});
    const u32 group = eaters.group_of(own);
    eaters.memory(group).most = 4 * kMegabyte, eaters.memory(group).oom_group = true;
    eaters.world.run();
    CHECK(eaters.output(own) == "child: signal 9\nalive\n");
    CHECK(eaters.event(group, MemoryEvent::OomKill) == 3);
    CHECK(eaters.event(group, MemoryEvent::OomGroupKill) == 1);
    CHECK(any_contains(eaters.world.events(EventKind::ProcessExit), "memory.oom.group: eater has to end with it"));
}

TEST_CASE("memory controller: pages of files go before anybody has to end, those in address spaces too") {
    Eaters eaters;
    const u32 own = eaters.start({"map:/big", "anon:1024", "map:/big"});
    const u32 group = eaters.group_of(own);
    eaters.memory(group).most = 3 * kMegabyte;
    eaters.world.run();
    const std::string sum = std::to_string(1024 * 'x');
    CHECK(eaters.output(own) == "sum " + sum + "\nsum " + sum + "\n");
    CHECK(eaters.event(group, MemoryEvent::Oom) == 0);
    CHECK(eaters.event(group, MemoryEvent::Max) > 10);
    CHECK(eaters.memory(group).reclaimed >= 5 * kMegabyte);
    CHECK(eaters.memory(group).major_faults >= 8 * kMegabyte);
    CHECK(eaters.memory(group).peak <= 3 * kMegabyte);
    check_charges(eaters.world.kernel);
}

TEST_CASE("memory controller: a page that several groups use is paid for by the first") {
    Eaters eaters;
    Kernel& kernel = eaters.world.kernel;
    const u32 first = eaters.start({"shared:1024", "fork", "nap:20", "free", "say:freed", "pause", "then", "say:over"});
    eaters.world.run(3'000'000);
    const u32 group = eaters.group_of(first), init = kernel.ttys[first].init;
    CHECK(eaters.kind(group, FrameKind::Shared) == kMegabyte);
    const u32 other = static_cast<u32>(kernel.make_cgroup(0, "other", 0, 0));
    REQUIRE(kernel.make_cgroup_folder(other, 0755, 0) > 0);
    for (u32 child : kernel.processes[init].children) kernel.move_to_cgroup(kernel.processes[child].leader, other);
    eaters.world.run();
    CHECK(eaters.output(first) == "freed\n");
    CHECK(eaters.kind(group, FrameKind::Shared) == kMegabyte); // the parent has it still; moving has moved no charges
    CHECK(eaters.kind(other, FrameKind::Shared) == 0);
    check_charges(kernel);
}

TEST_CASE("memory controller: files in memory count, and cannot take more than the limit or the machine has") {
    Eaters eaters;
    const u32 own = eaters.start({"write:/dev/one:1024", "fork", "write:/dev/two:8192", "then", "unlink:/dev/two", "say:room", "write:/dev/three:1024", "unlink:/dev/one", "unlink:/dev/three"});
    const u32 group = eaters.group_of(own);
    eaters.memory(group).most = 4 * kMegabyte;
    eaters.world.run();
    CHECK(eaters.output(own) == "child: signal 9\nroom\n");
    CHECK(eaters.world.kernel.exit_status(own) == 0);
    CHECK(eaters.memory(group).peak <= 4 * kMegabyte + 65536 / kPageSize + 2);
    CHECK(eaters.kind(group, FrameKind::Shared) == 0);
    const u32 greedy = eaters.start({"write:/dev/all:65536"});
    eaters.world.run();
    CHECK(eaters.output(greedy) == "ENOSPC after 16384\n"); // half of the memory, as tmpfs has it
    check_charges(eaters.world.kernel);
}

TEST_CASE("memory controller: a fork bomb ends at memory.max") {
    Eaters eaters(u64{64} << 20);
    const u32 own = eaters.start({"adj:-1000", "fill"});
    const u32 group = eaters.group_of(own);
    eaters.memory(group).most = 4 * kMegabyte;
    eaters.world.run();
    CHECK(eaters.output(own) == "refused: ENOMEM\n"); // its children have inherited that they may not be ended
    CHECK(eaters.memory(group).peak <= 4 * kMegabyte);
    check_charges(eaters.world.kernel);
}

TEST_CASE("memory controller: beyond memory.high a task is slowed down, which counts as pressure, and nobody is ended") {
    Eaters eaters;
    const u32 own = eaters.start({"anon:3072", "say:slowly"});
    const u32 group = eaters.group_of(own);
    eaters.memory(group).high = 2 * kMegabyte;
    eaters.world.run();
    CHECK(eaters.output(own) == "slowly\n");
    CHECK(eaters.event(group, MemoryEvent::High) >= 4);
    CHECK(eaters.event(group, MemoryEvent::OomKill) == 0);
    CHECK(eaters.world.machine.cycles() > 500'000'000); // 5 seconds
    const container::Pressure& pressure = eaters.world.kernel.cgroups[group].memory_pressure;
    CHECK(pressure.some > 500'000'000);
    CHECK(pressure.full == pressure.some);
    CHECK(eaters.memory(group).stalled == 0);
}

TEST_CASE("memory controller: memory.min and memory.low keep a group's pages when the machine is full") {
    Eaters eaters;
    eaters.root.file("other", std::string(u64{4} << 20, 'y'));
    const u32 kept = eaters.start({"map:/big", "unmap", "pause"}), lost = eaters.start({"map:/other", "unmap", "pause"});
    eaters.world.run();
    const u32 keeper = eaters.group_of(kept), loser = eaters.group_of(lost);
    eaters.memory(keeper).least = 4 * kMegabyte;
    const u64 before = eaters.memory(keeper).files;
    eaters.start({"anon:25600", "say:all"});
    eaters.world.run();
    CHECK(before >= 4 * kMegabyte);
    CHECK(eaters.memory(keeper).pages >= 4 * kMegabyte);
    CHECK(eaters.memory(loser).files < 3 * kMegabyte);
    check_charges(eaters.world.kernel);
}

TEST_CASE("memory controller: what a removed group was charged counts in its parent") {
    Eaters eaters;
    Kernel& kernel = eaters.world.kernel;
    const u32 own = eaters.start({"write:/dev/left:512", "say:left"});
    const u32 group = eaters.group_of(own);
    kernel.cgroups[group].subtree_control = container::kAllControllers;
    const u32 inner = static_cast<u32>(kernel.make_cgroup(group, "inner", 0, 0));
    REQUIRE(kernel.make_cgroup_folder(inner, 0755, 0) > 0);
    kernel.move_to_cgroup(kernel.processes[kernel.ttys[own].init].leader, inner);
    eaters.world.run();
    const u64 inside = eaters.memory(inner).own, all = eaters.memory(group).pages;
    CHECK(eaters.kind(inner, FrameKind::Shared) == 128);
    CHECK(kernel.remove_cgroup(inner) == 0);
    CHECK(eaters.memory(group).own >= inside);
    CHECK(eaters.memory(group).pages == all);
    check_charges(kernel);
}

TEST_CASE("memory controller: when all have ended and all files are gone, nothing is charged any more") {
    Eaters eaters;
    const u32 own = eaters.start({"write:/dev/a:100", "fork", "open:/dev/a", "map:/dev/a", "unlink:/dev/a", "shared:64", "fork", "anon:100", "execute", "then", "then", "map:/big"});
    eaters.world.run();
    const u32 group = eaters.group_of(own);
    check_charges(eaters.world.kernel);
    eaters.world.kernel.drop_cached_pages(eaters.world.machine);
    check_charges(eaters.world.kernel);
    CHECK(eaters.memory(group).pages == 0);
}

TEST_CASE("memory controller: whatever programs do, charges are what frames say, and nothing is left of them") {
    static const std::vector<std::string> kWords = {"anon:40", "anon:200", "free", "shared:60", "map:/big", "unmap", "read:/big", "write:/dev/a:96", "write:/dev/b:300", "open:/dev/a",
                                                    "map:/dev/a", "unlink:/dev/a", "unlink:/dev/b", "fork", "fork", "then", "adj:300", "nap:1", "execute"};
    Eaters eaters;
    Kernel& kernel = eaters.world.kernel;
    u64 state = 20;
    for (int round = 0; round < 12; ++round) {
        std::vector<std::string> words;
        for (int i = 0; i < 24; ++i) {
            state = state * 6364136223846793005 + 1442695040888963407;
            words.push_back(kWords[(state >> 33) % kWords.size()]);
        }
        words.insert(words.begin(), "fork"), words.insert(words.end(), {"then", "unlink:/dev/a", "unlink:/dev/b"});
        const u32 own = eaters.start(words), group = eaters.group_of(own);
        eaters.memory(group).most = round % 2 ? kMegabyte : 4 * kMegabyte;
        eaters.world.run(1'500'000);
        check_charges(kernel);
        eaters.world.run(100'000'000);
        check_charges(kernel);
        kernel.drop_cached_pages(eaters.world.machine);
        CAPTURE(round);
        CHECK(kernel.exit_status(own).has_value());
        CHECK(eaters.memory(group).pages == eaters.kind(group, FrameKind::Shared)); // files that it has left in its /dev
        CHECK(eaters.kind(group, FrameKind::Shared) <= 99);
    }
}

TEST_CASE("memory controller: two runs end the same one at the same time") {
    const auto run = [] {
        Eaters eaters;
        const u32 own = eaters.start({"fork", "anon:2000", "fork", "anon:1500", "fork", "anon:2000", "pause", "then", "pause", "then", "pause", "then", "say:over"});
        eaters.memory(eaters.group_of(own)).most = 5 * kMegabyte;
        eaters.world.run(200'000'000);
        std::string text = eaters.output(own) + std::to_string(eaters.world.machine.cycles());
        for (const std::string& line : eaters.world.events(EventKind::ProcessExit)) text += "\n" + line;
        return text;
    };
    const std::string once = run();
    CHECK(once.find("has to end") != std::string::npos);
    CHECK(run() == once);
}
