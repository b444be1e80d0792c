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
    config.ports = {{8080, 80}}, config.volumes = {{"", "/data", false}}, config.memory = 8 << 20, config.remove = true;
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
