// Containers from images: what they see, and that a start that fails leaves nothing behind.
#include "tests/container-sim/engine_world.hpp"

using namespace trapeze;
using namespace trapeze::test;
using namespace trapeze::container;

TEST_CASE("engine: a container of an image runs its program and ends with its status") {
    EngineWorld world;
    const std::string id = world.start_image(config_of({"/bin/sh", "-c", "echo hello; exit 3"}));
    CHECK(world.of(id).state == ContainerState::Running);
    world.go();
    CHECK(world.of(id).log == "hello\n");
    CHECK(world.of(id).state == ContainerState::Exited);
    CHECK(world.of(id).exit_code == 3);
    CHECK(world.engine.take_output(world.kernel, world.of(id).console) == "hello\n");
}

TEST_CASE("engine: a start that fails at any of its calls leaves nothing behind") {
    EngineWorld world;
    RunConfig config = config_of({"/bin/echo", "hi"});
    config.ports = {{8080, 80}}, config.volumes = {{"", "/data", false}}, config.pids_limit = 20, config.remove = true;
    for (bool terminal : {false, true}) {
        config.terminal = terminal;
        world.start_image(config); // layers are mounted when they are first needed, and stay
        world.go();
        const Resources before = world.resources();
        u64 failures = 0;
        for (bool started = false; !started; ++failures) {
            world.engine.runtime().count = 0, world.engine.runtime().fail_at = failures;
            const auto id = world.try_run(config);
            started = bool{id};
            world.engine.runtime().fail_at.reset();
            if (started) world.go();
            CAPTURE(failures);
            REQUIRE(world.resources() == before);
            REQUIRE(world.engine.containers().empty());
            if (!id) REQUIRE_MESSAGE((id.error().find("EIO") != std::string::npos || id.error().find("/bin/echo: its segments") != std::string::npos), id.error());
        }
        CHECK(failures > 100);
    }
}

TEST_CASE("engine: a container has Docker's capabilities, filter, mounts and addresses") {
    EngineWorld world;
    const std::string seen = world.sh("cat /proc/self/status /proc/mounts /etc/hosts /proc/net/route; hostname; ls /dev; ps");
    const auto has = [&](const char* part) { CHECK_MESSAGE(seen.find(part) != std::string::npos, part, " is not in\n", seen); };
    has("CapBnd:\t00000000a80425fb"), has("CapEff:\t00000000a80425fb"), has("Seccomp:\t2"), has("NoNewPrivs:\t0");
    has("overlay / overlay rw"), has("sysfs /sys sysfs ro,nosuid,nodev,noexec"), has("proc /proc/sys proc ro,"), has("tmpfs /sys/firmware tmpfs ro,");
    has("172.17.0.2\t"), has("eth0\t00000000\t010011AC"), has("urandom"), has("    1     0 sh");
    CHECK(seen.find(world.engine.containers()[0].id.substr(0, 12) + "\n") != std::string::npos); // its host name
}

TEST_CASE("engine: user, folder, variables, capabilities, read-only root and privileges are as the options say") {
    EngineWorld world;
    const auto run = [&](auto change, const std::string& script) {
        RunConfig config = config_of({"/bin/sh", "-c", script});
        change(config);
        return world.output_of(config);
    };
    CHECK(run([](RunConfig& c) { c.user = "user", c.working_dir = "/new/place"; }, "id; pwd").starts_with("uid=1000 gid=1000 euid=1000 egid=1000"));
    CHECK(run([](RunConfig& c) { c.user = "user"; }, "cat /proc/self/status").find("CapEff:\t0000000000000000") != std::string::npos);
    CHECK(run([](RunConfig& c) { c.user = "7:8"; }, "id; cat /proc/self/status").find("uid=7 gid=8 euid=7 egid=8") == 0);
    CHECK(run([](RunConfig& c) { c.environment = {"A=b"}, c.hostname = "web"; }, "echo $A $HOSTNAME; hostname") == "b web\nweb\n");
    CHECK(run([](RunConfig& c) { c.read_only = true; }, "touch /x; echo $?") == "touch: /x: Read-only file system\n1\n");
    CHECK(run([](RunConfig& c) { c.cap_drop = {"ALL"}, c.cap_add = {"CHOWN"}; }, "cat /proc/self/status").find("CapBnd:\t0000000000000001") != std::string::npos);
    CHECK(run([](RunConfig& c) { c.no_new_privileges = true, c.seccomp = "unconfined"; }, "cat /proc/self/status").find("NoNewPrivs:\t1\nSeccomp:\t0") != std::string::npos);
    const std::string privileged = run([](RunConfig& c) { c.privileged = true; }, "cat /proc/self/status /proc/mounts");
    CHECK(privileged.find("CapEff:\t000001ffffffffff") != std::string::npos);
    CHECK(privileged.find("/sys/firmware") == std::string::npos);
    CHECK(run([](RunConfig& c) { c.network = "none"; }, "cat /proc/net/dev").find("eth0") == std::string::npos);
    CHECK(run([](RunConfig& c) { c.network = "host"; }, "cat /proc/net/dev").find("docker0") != std::string::npos);
    CHECK(run([](RunConfig& c) { c.pid = "host"; }, "ps").find("engine") != std::string::npos);
    CHECK(run([](RunConfig& c) { c.terminal = true, c.rows = 30; }, "ls /proc/self/fd; echo done").find("done\r\n") != std::string::npos);
    CHECK(run([](RunConfig& c) { c.userns = "private"; }, "cat /proc/self/uid_map; touch /made; ls /made").find("65536") != std::string::npos);
}

TEST_CASE("engine: wrong names are told by sentences, with Docker's statuses") {
    EngineWorld world;
    const auto fails = [&](auto change, int status, const std::string& part) {
        RunConfig config = config_of({"/bin/true"});
        change(config);
        const auto id = world.try_run(config);
        REQUIRE_FALSE(id);
        CHECK(id.status() == status);
        CHECK_MESSAGE(id.error().find(part) != std::string::npos, id.error());
        CHECK(world.engine.containers().empty());
    };
    fails([](RunConfig& c) { c.command = {"nothing"}; }, 127, "tiny:latest: nothing: there is no such program");
    fails([](RunConfig& c) { c.command = {"/etc/passwd"}; }, 126, "may not be executed");
    fails([](RunConfig& c) { c.user = "nobody"; }, 125, "has no user nobody");
    fails([](RunConfig& c) { c.network = "lost"; }, 125, "--network lost: there is no such network");
    fails([](RunConfig& c) { c.cap_add = {"FLY"}; }, 125, "--cap-add FLY");
    fails([](RunConfig& c) { c.seccomp = "{}", c.seccomp_name = "p.json"; }, 125, "p.json: \"defaultAction\" is missing");
    fails([](RunConfig& c) { c.volumes = {{"", "/etc/passwd", false}}; }, 125, "fails with");
    fails([](RunConfig& c) { c.pid = "container:x"; }, 125, "x: there is no such container");
}

TEST_CASE("engine: containers of one image share its pages, and what one writes no other sees") {
    EngineWorld world;
    RunConfig config = config_of({"/bin/sh", "-c", "cat /etc/motd; echo mine > /etc/motd; cat /etc/motd; cat"});
    config.interactive = true;
    const std::string first = world.start_image(config);
    world.go();
    const u64 with_one = world.kernel.frames_used(), cached = world.kernel.page_cache.size();
    const std::string second = world.start_image(config);
    world.go();
    CHECK(world.of(first).log == "cat: /etc/motd: No such file or directory\nmine\n");
    CHECK(world.of(second).log == world.of(first).log);
    CHECK(world.kernel.page_cache.size() == cached + 1); // its own /etc/motd
    CHECK(world.kernel.frames_used() - with_one < cached);
    const Layer layer = world.engine.changes(world.machine, world.kernel, world.of(first)).value();
    CHECK(change_lines(merge_layers(unpack(tiny_image(), {}).value()).value(), layer) == std::vector<std::string>{"C /etc", "A /etc/motd"});
}
