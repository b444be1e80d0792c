// What nobody should ask for: specifications with absurd numbers, containers that print without end, memory beyond all bounds, Containerfiles with
// errors. Each is refused by a sentence or does what Linux does; nothing grows without end, and the engine goes on.
#include "container-sim/abi.hpp"
#include "container-sim/engine/containerfile.hpp"
#include "container-sim/errno.hpp"
#include "tests/container-sim/engine_world.hpp"

#include <nlohmann/json.hpp>

using namespace trapeze;
using namespace trapeze::test;
using namespace trapeze::container;

TEST_CASE("engine: a container that prints without end has a log of bounded size, and so has what is not read yet") {
    EngineWorld world;
    const std::string id = world.start_image(config_of({"/bin/cat", "/dev/zero"}));
    for (int i = 0; i < 4; ++i) {
        world.kernel.run(world.machine, 300'000);
        if (i) world.engine.settle(world.machine, world.kernel);
    }
    CHECK(world.of(id).log.size() > Engine::kMaxLog / 4);
    CHECK(world.of(id).log.size() <= Engine::kMaxLog);
    CHECK(world.engine.take_output(world.kernel, world.of(id).console).size() <= Engine::kMaxLog);
    CHECK(world.of(id).runs());
    REQUIRE(world.engine.remove(world.machine, world.kernel, id, true));
    CHECK(world.sh("echo on") == "on\n");
}

TEST_CASE("engine: absurd numbers in config.json are refused or harmless, and leave nothing behind") {
    using Json = nlohmann::ordered_json;
    EngineWorld world;
    RunConfig config = config_of({});
    RuntimeSpec spec = default_spec();
    spec.arguments = {"/bin/true"}, spec.environment = {"PATH=/bin"}, spec.limits = {{7, 1024, 1024}, {3, 1 << 20, 1 << 20}}, spec.oom_score_adjust = 0, spec.cgroup = "/docker/x";
    spec.resources = {{"pids.max", "100"}, {"cpu.weight", "100"}, {"cpu.max", "50000 100000"}};
    spec.namespaces.push_back({NamespaceKind::User, ""});
    spec.uids = spec.gids = {{0, 0, 65536}};
    const Json good = Json::parse(spec_json(spec));
    const auto try_spec = [&](const Json& json) {
        auto parsed = parse_spec(json.dump(), "config.json");
        if (!parsed) {
            CHECK_MESSAGE(parsed.error().starts_with("config.json: "), parsed.error());
            return false;
        }
        config.bundle = std::make_shared<const RuntimeSpec>(std::move(*parsed));
        auto id = world.try_run(config);
        if (!id) {
            CHECK(id.error().size() > 10);
            return true;
        }
        world.go(2'000'000);
        REQUIRE(world.engine.remove(world.machine, world.kernel, *id, true));
        return true;
    };
    REQUIRE(try_spec(good));
    const Resources before = world.resources();
    unsigned numbers = 0, taken = 0;
    const Json members = good.flatten();
    for (const auto& [path, value] : members.items()) {
        if (!value.is_number() || path.find("/seccomp/") != std::string::npos) continue;
        ++numbers;
        for (const char* absurd : {"18446744073709551615", "9223372036854775807", "-9223372036854775808", "4294967296", "-1", "0", "1e300", "0.5"}) {
            CAPTURE(path);
            CAPTURE(absurd);
            Json json = good;
            json[Json::json_pointer(path)] = Json::parse(absurd);
            taken += try_spec(json);
        }
    }
    CHECK(numbers > 10);
    CHECK(taken > 0);
    CHECK(world.resources() == before);
    CHECK(world.sh("echo on") == "on\n");
}

TEST_CASE("engine: memory beyond the address space is refused, as Linux does") {
    EngineWorld world;
    Runtime runtime(world.machine, world.kernel, world.engine.runtime());
    constexpr u64 kReadWrite = 3, kPrivateAnonymous = 0x22, kNoFile = ~u64{0};
    const auto map = [&](u64 size) { return runtime.call(engine_call("mmap", {null(), number(size), number(kReadWrite), number(kPrivateAnonymous), number(kNoFile), number(0)}, "")); };
    for (const u64 size : {u64{1} << 46, u64{1} << 63, ~u64{0}, ~u64{0} - 4096}) CHECK(map(size) == -kENOMEM);
    CHECK(map(0) == -kEINVAL);
    const i64 page = map(4096);
    REQUIRE(page > 0);
    constexpr u64 kMayMove = 1;
    CHECK(runtime.call(engine_call("mremap", {number(static_cast<u64>(page)), number(4096), number(u64{1} << 46), number(kMayMove), null()}, "")) == -kENOMEM);
    CHECK(runtime.call(engine_call("munmap", {number(static_cast<u64>(page)), number(u64{1} << 46)}, "")) == -kEINVAL);
}

TEST_CASE("Containerfile: each error is told with the file and the line where its instruction begins") {
    const std::pair<const char*, const char*> wrong[] = {
        {"FROM tiny\nRUN\n", "Containerfile:2: "}, {"COPI a b\n", "Containerfile:1: "}, {"RUN true\n", "Containerfile:1: "}, {"FROM tiny\nCOPY alone\n", "Containerfile:2: "},
        {"FROM tiny\n\n# a comment\nUSER\n", "Containerfile:4: "}, {"FROM tiny\nENV =x\n", "Containerfile:2: "},
        {"FROM tiny\nRUN a \\\n  b \\\n  c\nWORKDIR\n", "Containerfile:5: "}, {"FROM tiny\nFROM hello\n", "Containerfile:2: "}, {"FROM tiny\nCMD [1, 2]\n", "Containerfile:2: "},
        {"FROM tiny\nCOPY --chown=x --fly=1 a b\n", "Containerfile:2: "}, {"FROM tiny\nENV A=\"open\n", "Containerfile:2: "}};
    for (const auto& [text, begin] : wrong) {
        CAPTURE(std::string(text));
        const auto parsed = parse_containerfile(text, "Containerfile");
        REQUIRE_FALSE(parsed);
        CHECK_MESSAGE(parsed.error().starts_with(begin), parsed.error());
        CHECK(parsed.error().size() > std::string(begin).size() + 10);
    }
    CHECK_FALSE(parse_containerfile("", "Containerfile"));
    CHECK_FALSE(parse_containerfile(std::string(100, '\0'), "Containerfile"));
    CHECK_FALSE(parse_containerfile("FROM tiny\nRUN " + std::string(10 << 20, 'x'), "Containerfile"));
}
