// Recordings: a session that is played again from one file is the one that was recorded, byte for byte, without its guest's files.
#include "tests/scenarios/sessions.hpp"

#include "container-sim/kernel.hpp"

#include <random>

using namespace trapeze;
using namespace trapeze::test;

namespace {

std::vector<u8> recorded(const Session& session) {
    auto bytes = session.record(true);
    if (!bytes) FAIL(bytes.error());
    return bytes.value();
}

Session played(const std::vector<u8>& recording) {
    auto replay = Session::replay(recording, "file", false);
    if (!replay) FAIL(replay.error());
    const auto there = replay->session.go_to(replay->position);
    if (!there) FAIL(there.error());
    return std::move(replay->session);
}

void check_alike(const Session& a, const Session& b) {
    CHECK(a.position() == b.position());
    CHECK(a.machine() == b.machine());
    CHECK(a.trace() == b.trace());
    CHECK(a.console() == b.console());
    CHECK(a.guest_state() == b.guest_state());
}

} // namespace

TEST_CASE("A recording plays again byte for byte in every mode, from its own copy of the guest") {
    const std::string kernel = read_text(built("guests/tiny-os.elf"));
    for (const Mode mode : kModes) {
        CAPTURE(vmm::mode_row(mode).name);
        std::vector<u8> recording;
        std::optional<Session> original;
        {
            const Folder folder; // gone when it is played
            SessionConfig config = tiny_os(mode);
            config.guest = folder.write("kernel.elf", kernel);
            original = open(config);
            run_until_idle(*original);
            original->type("echo recorded\n");
            original->run(5000);
            recording = recorded(*original);
        }
        Session again = played(recording);
        check_alike(again, *original);
        for (Session* session : {&again, &*original}) run_until_idle(*session);
        check_alike(again, *original);
        CHECK(again.console().find("\nrecorded") != std::string::npos);
        REQUIRE(again.go_to(1000)); // its past is there too
        check_alike(played(recorded(again)), again);
    }
}

TEST_CASE("A session that was flipped or restored is recorded with the state that it began with") {
    Session session = open(tiny_os(Mode::Bare));
    session.run(40'000);
    auto flipped = session.in_mode(Mode::HardwareAssisted);
    REQUIRE_MESSAGE(flipped, (flipped ? "" : flipped.error()));
    flipped->run(20'000);
    const Session again = played(recorded(*flipped));
    check_alike(again, *flipped);
    CHECK(again.config().mode == Mode::HardwareAssisted);
}

TEST_CASE("Recordings that are damaged, foreign, or not to be had are refused in sentences") {
    Session session = open(tiny_os(Mode::Bare));
    session.run(1000);
    const std::vector<u8> good = recorded(session);
    std::mt19937 random(6);
    for (int i = 0; i < 40; ++i) {
        std::vector<u8> bad = good;
        if (i % 2) bad.resize(random() % bad.size());
        else bad[random() % bad.size()] ^= static_cast<u8>(1 + random() % 255);
        const auto refused = Session::replay(bad, "bad.trapeze", false);
        REQUIRE_FALSE(refused);
        CHECK(refused.error().starts_with("bad.trapeze: "));
    }
    const auto snapshot = session.save_bytes();
    CHECK(Session::replay(snapshot.value(), "x", false).error().find("something else") != std::string::npos);
    SessionConfig forgetful = tiny_os(Mode::Bare, 0);
    CHECK(open(forgetful).record(true).error().find("keeps no log") != std::string::npos);
    SessionConfig containers;
    container::ContainerSpec spec;
    spec.hostname = "web", spec.rootfs = built("guests/linux"), spec.arguments = {"/whoami"};
    containers.containers = {spec};
    CHECK(open(containers).record(true).error().find("a recording does not hold folders") != std::string::npos);
}

TEST_CASE("A recording without files finds them where they are, and says when they are others") {
    const Folder folder;
    SessionConfig config = tiny_os(Mode::Bare);
    config.guest = folder.write("kernel.elf", read_text(built("guests/tiny-os.elf")));
    Session session = open(config);
    session.run(3000);
    const auto recording = session.record(false);
    REQUIRE(recording);
    CHECK(recording.value().size() < 4096);
    auto replay = Session::replay(recording.value(), "journal", true);
    REQUIRE(replay);
    REQUIRE(replay->session.go_to(replay->position));
    check_alike(replay->session, session);
    folder.write("kernel.elf", read_text(built("guests/nano.elf")));
    const auto other = Session::replay(recording.value(), "journal", true);
    REQUIRE_FALSE(other);
    CHECK(other.error().find("others now") != std::string::npos);
}
