// Recordings of sessions with containers: images are in them, folders of the host are only named, and what is played again is the same.
#include "container-sim/engine/engine.hpp"
#include "scenarios/shipped_images.hpp"
#include "tests/container-sim/container.hpp"
#include "tests/scenarios/container_store.hpp"
#include "tests/scenarios/sessions.hpp"

using namespace trapeze;
using namespace trapeze::test;

namespace {

SessionConfig tiny_containers() {
    auto image = scenarios::shipped_image("tiny:latest");
    REQUIRE(image);
    auto layers = container::layers_of(*image, {});
    REQUIRE(layers);
    SessionConfig config;
    for (const char* name : {"web", "db"}) {
        container::RunConfig run;
        run.image = "tiny", run.image_id = image->id(), run.layers = *layers, run.defaults = image->config, run.name = name, run.hostname = name, run.interactive = true;
        run.command = {"sh", "-c", "echo $NAME > /tmp/file; cat /tmp/file; cat; hostname"}, run.environment = {std::string("NAME=") + name}, run.labels = {{"tier", name}};
        run.volumes = {{"data", "/data", false}}, run.pids_limit = 50, run.ports = {{static_cast<u16>(name[0]), 80, 6}}, run.entrypoint = std::vector<std::string>{};
        container::ContainerSpec spec;
        spec.rootfs = "tiny", spec.hostname = name, spec.arguments = run.command;
        config.containers.push_back(spec), config.runs.push_back(std::make_shared<const container::RunConfig>(run));
    }
    config.memory_bytes = u64{64} << 20, config.when_idle = container::WhenIdle::Return;
    return config;
}

void check_alike(const Session& a, const Session& b) {
    CHECK(a.position() == b.position());
    CHECK(a.machine() == b.machine());
    CHECK(a.trace() == b.trace());
    CHECK(a.console() == b.console());
    for (u32 i = 1; i <= 2; ++i) CHECK(a.container_status(i) == b.container_status(i));
}

} // namespace

TEST_CASE("A session with containers of images is recorded whole, and plays again byte for byte") {
    Session session = open(tiny_containers());
    session.run(300'000); // both wait for input
    session.type_to(2, "typed to db\n");
    session.run(300'000);
    session.close_input();
    session.run(5'000);
    auto recording = session.record(true);
    REQUIRE_MESSAGE(recording, (recording ? "" : recording.error()));
    auto replay = Session::replay(*recording, "file", false);
    REQUIRE_MESSAGE(replay, (replay ? "" : replay.error()));
    REQUIRE(replay->session.go_to(replay->position));
    check_alike(replay->session, session);
    for (Session* one : {&replay->session, &session}) one->run(10'000'000);
    check_alike(replay->session, session);
    CHECK(session.console_of(2) == "db\ntyped to db\ndb\n");
    CHECK(session.console_of(1) == "web\nweb\n");
    CHECK(session.container_status(1) == 0);
    const auto back = replay->session.go_to(60'000); // its past is there too
    REQUIRE_MESSAGE(back, (back ? "" : back.error()));
    auto again = replay->session.record(true);
    REQUIRE(again);
    CHECK(again->size() == recording->size());
}

TEST_CASE("container run --record and play: the same output and status, and damage is told") {
    Store store;
    const std::string path = store.folder.path() + "/session.trapeze";
    const Ended ran = store.run({"run", "--record", path, "-i", "--rm", "tiny", "sh", "-c", "cat; ls /; exit 4"}, "one\ntwo\n");
    CHECK(ran.status == 4);
    CHECK(ran.err == "");
    const Ended played = store.run({"play", path});
    CHECK(played.out == ran.out);
    CHECK(played.status == 4);
    CHECK(store.run({"play", "--trace", path}).err.find("execve") != std::string::npos);
    const std::string bytes = read_text(path);
    store.folder.file("cut.trapeze", bytes.substr(0, bytes.size() / 2));
    const Ended cut = store.run({"play", store.folder.path() + "/cut.trapeze"});
    CHECK(cut.status == 1);
    CHECK(contains(cut.err, "cut.trapeze"));
    RootFolder root; // a folder of the host is only named, and must be what it was
    root.program("linux/whoami", "whoami");
    CHECK(store.run({"run", "--record", path, root.path(), "/whoami"}).status == 0);
    CHECK(store.run({"play", path}).status == 0);
    root.file("more", "x");
    CHECK(contains(store.run({"play", path}).err, "are others now"));
}
