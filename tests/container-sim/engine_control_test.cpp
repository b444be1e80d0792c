// What is done to containers that run: signals, further processes, networks, volumes, commit, and an engine that is killed.
#include "tests/container-sim/engine_world.hpp"

#include "container-sim/abi.hpp"

using namespace trapeze;
using namespace trapeze::test;
using namespace trapeze::container;

namespace {
RunConfig sleeper(const std::string& name = "") {
    RunConfig config = config_of({"/bin/cat"});
    config.name = name, config.interactive = true;
    return config;
}
} // namespace

TEST_CASE("engine: exec joins a container's namespaces, and its status is its own") {
    EngineWorld world;
    world.start_image(sleeper("web"));
    world.go();
    ExecConfig config;
    config.command = {"/bin/sh", "-c", "ps; hostname; exit 7"}, config.environment = {"A=1"};
    auto process = world.engine.exec(world.machine, world.kernel, "web", config);
    REQUIRE_MESSAGE(process, (process ? std::string() : process.error()));
    world.go();
    CHECK(world.engine.exit_code(process->console) == 7);
    const std::string seen = world.engine.take_output(world.kernel, process->console);
    CHECK(seen.find("    1     0 cat\n") != std::string::npos);
    CHECK(seen.find(world.of("web").id.substr(0, 12)) != std::string::npos);
    CHECK(world.of("web").runs());
    CHECK_FALSE(world.engine.exec(world.machine, world.kernel, "web", {}));
    REQUIRE(world.engine.kill(world.machine, world.kernel, "web", kSigKill));
    world.go();
    CHECK(world.of("web").exit_code == 137);
    CHECK_FALSE(world.engine.exec(world.machine, world.kernel, "web", config));
}

TEST_CASE("engine: a container that has ended starts again with what it wrote, and goes with all it had") {
    EngineWorld world;
    const Resources before = world.resources();
    const std::string id = world.start_image(config_of({"/bin/sh", "-c", "cat /count; echo x >> /count"}));
    world.go();
    REQUIRE(world.engine.start_container(world.machine, world.kernel, id));
    world.go();
    CHECK(world.of(id).log == "cat: /count: No such file or directory\nx\n");
    CHECK_FALSE(world.engine.rename(id, "not a name"));
    REQUIRE(world.engine.remove(world.machine, world.kernel, id, false));
    CHECK_FALSE(world.engine.find(id));
    const Resources after = world.resources();
    for (std::size_t i = 0; i < before.counts.size(); ++i) // layers stay mounted; the console's number is free
        if (const std::string& kind = before.counts[i].first; kind == "tasks" || kind == "mnt" || kind == "net" || kind == "files" || kind == "devices" || kind == "sockets")
            CHECK_MESSAGE(after.counts[i] == before.counts[i], kind);
}

TEST_CASE("engine: containers share namespaces, volumes and networks as they are told") {
    EngineWorld world;
    RunConfig web = sleeper("web");
    web.volumes = {{"data", "/data", false}};
    world.start_image(web);
    RunConfig beside = config_of({"/bin/sh", "-c", "ps; hostname; cat /proc/net/dev; cat /proc/net/route; echo kept > /data/file"});
    beside.pid = beside.uts = beside.network = "container:web", beside.ipc = "host", beside.volumes = {{"data", "/data", false}};
    const std::string seen = world.output_of(beside);
    CHECK(seen.find("    1     0 cat") != std::string::npos);
    CHECK(seen.find(world.of("web").id.substr(0, 12) + "\n") != std::string::npos);
    CHECK(seen.find("eth0") != std::string::npos);
    RunConfig reader = config_of({"/bin/sh", "-c", "cat /data/file; echo no > /data/file; cat /etc/hosts"});
    reader.volumes = {{"data", "/data", true}}, reader.network = "inner";
    REQUIRE(world.engine.create_network(world.machine, world.kernel, "inner"));
    const std::string read = world.output_of(reader);
    CHECK(read.starts_with("kept\n"));
    CHECK(read.find("Read-only file system") != std::string::npos);
    CHECK(read.find("172.18.0.2\t") != std::string::npos);
    CHECK_FALSE(world.engine.remove_volume(world.machine, world.kernel, "data"));
    CHECK_FALSE(world.engine.create_network(world.machine, world.kernel, "inner"));
    CHECK(world.engine.remove_network(world.machine, world.kernel, "inner"));
}

TEST_CASE("engine: killed, it leaves its containers running, and a new one finds what has become of them") {
    EngineWorld world;
    world.start_image(sleeper("stays"));
    world.start_image(sleeper("ends"));
    world.go();
    const i32 pid = world.of("stays").pid;
    world.engine.crash(world.machine, world.kernel);
    CHECK_FALSE(world.engine.is_alive(world.machine, world.kernel));
    CHECK(world.try_run(sleeper()).error().find("engine start") != std::string::npos);
    world.kernel.type(world.of("stays").console, "still here\n");
    world.kernel.close_input(world.of("ends").console);
    world.go();
    REQUIRE(world.engine.restart(world.machine, world.kernel));
    CHECK(world.of("stays").runs());
    CHECK(world.of("stays").pid == pid);
    CHECK(world.of("stays").log == "still here\n");
    CHECK(world.of("ends").state == ContainerState::Exited);
    CHECK(world.of("ends").exit_code == 0);
    world.kernel.close_input(world.of("stays").console);
    world.go();
    CHECK(world.of("stays").state == ContainerState::Exited);
    world.start_image(sleeper("more"));
}

TEST_CASE("engine: with the kernel it is a value: a copy goes the same way") {
    EngineWorld world;
    world.start_image(config_of({"/bin/sh", "-c", "echo a; sleep 1; echo b"}));
    world.kernel.run(world.machine, 20'000);
    EngineWorld copy = world;
    world.go(), copy.go();
    CHECK(world.engine.containers()[0].log == "a\nb\n");
    CHECK(copy.engine.containers()[0].log == "a\nb\n");
    CHECK(copy.machine.cycles() == world.machine.cycles());
}

TEST_CASE("runtime specification: what is written is read again, and wrong members are named") {
    RuntimeSpec spec = default_spec();
    spec.hostname = "web", spec.uid = 7, spec.limits = {{7, 10, 20}}, spec.seccomp = default_profile(spec.bounding), spec.cgroup = "/docker/x", spec.resources = {{"memory.max", "1000"}};
    const auto again = parse_spec(spec_json(spec), "config.json");
    REQUIRE_MESSAGE(again, (again ? std::string() : again.error()));
    CHECK(spec_json(again.value()) == spec_json(spec));
    CHECK(compile_profile(*again.value().seccomp).value() == compile_profile(*spec.seccomp).value());
    const auto wrong = [&](const std::string& from, const std::string& to) {
        std::string text = spec_json(spec);
        REQUIRE(text.find(from) != std::string::npos);
        text.replace(text.find(from), from.size(), to);
        const auto parsed = parse_spec(text, "config.json");
        return parsed ? std::string("taken") : parsed.error();
    };
    CHECK(wrong("\"cwd\": \"/\"", "\"cwd\": \"here\"") == "config.json: process: \"cwd\" should be an absolute path");
    CHECK(wrong("\"CAP_CHOWN\"", "\"CAP_FLY\"").find("capabilities: \"bounding\" names CAP_FLY") != std::string::npos);
    CHECK(wrong("\"type\": \"mount\"", "\"type\": \"mind\"").find("namespaces[0]: \"type\" is mind") != std::string::npos);
    CHECK(wrong("\"uid\": 7", "\"uid\": -7").find("\"uid\"") != std::string::npos);
    CHECK(wrong("\"destination\": \"/proc\"", "\"destination\": \"proc\"").find("mounts[0]: \"destination\"") != std::string::npos);
    CHECK(wrong("SCMP_ACT_ALLOW", "SCMP_ACT_HOPE").find("SCMP_ACT_HOPE") != std::string::npos);
}

TEST_CASE("seccomp profiles: conditions on 64-bit arguments decide as they say") {
    const auto answer = [](SeccompCondition condition, u64 value) {
        SeccompProfile profile;
        profile.otherwise = static_cast<u32>(SeccompAction::Allow);
        profile.rules = {{{"read"}, static_cast<u32>(SeccompAction::Errno) | 7, {condition}}};
        const auto code = compile_profile(profile);
        REQUIRE(code);
        REQUIRE(valid_filter(code.value()));
        SeccompData data{63, kAuditArchRiscv64, 0, {0, value}};
        return run_filter(code.value(), data) == (static_cast<u32>(SeccompAction::Errno) | 7);
    };
    using Compare = SeccompCondition::Compare;
    const u64 values[] = {0, 1, 5, 6, u64{5} << 32, (u64{5} << 32) + 5, (u64{5} << 32) + 6, u64{6} << 32, ~u64{0}};
    for (u64 bound : values)
        for (u64 value : values) {
            CHECK(answer({Compare::Equal, 1, bound, 0}, value) == (value == bound));
            CHECK(answer({Compare::NotEqual, 1, bound, 0}, value) == (value != bound));
            CHECK(answer({Compare::Less, 1, bound, 0}, value) == (value < bound));
            CHECK(answer({Compare::LessOrEqual, 1, bound, 0}, value) == (value <= bound));
            CHECK(answer({Compare::Greater, 1, bound, 0}, value) == (value > bound));
            CHECK(answer({Compare::GreaterOrEqual, 1, bound, 0}, value) == (value >= bound));
            CHECK(answer({Compare::MaskedEqual, 1, bound, 5}, value) == ((value & bound) == 5));
        }
}

TEST_CASE("engine: who passes --memory is killed with status 137, and it is told that memory was the reason") {
    RootFolder programs;
    programs.program("probes/eater", "eater");
    EngineWorld world(u64{64} << 20);
    const auto run = [&](const char* kilobytes) {
        RunConfig config = config_of({"/programs/eater", kilobytes, "say:done"});
        config.volumes = {{programs.path(), "/programs", true}}, config.memory = u64{8} << 20;
        const std::string id = world.start_image(config);
        world.go();
        return id;
    };
    const std::string modest = run("anon:4096"), hog = run("anon:16384");
    CHECK(world.of(modest).log == "done\n");
    CHECK_FALSE(world.of(modest).killed_by_memory);
    CHECK(world.of(hog).log == "");
    CHECK(world.of(hog).exit_code == 137);
    CHECK(world.of(hog).killed_by_memory);
}
