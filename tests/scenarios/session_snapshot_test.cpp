// Sessions saved to files and restored: the trace goes on byte for byte, and a file is written whole or not at all.
#include "scenarios/session.hpp"
#include "tests/scenarios/child_process.hpp"

#include <doctest/doctest.h>

#include <sys/resource.h>

#include <csignal>
#include <filesystem>

using namespace trapeze;
using namespace trapeze::scenarios;
using trapeze::test::Folder;
using trapeze::test::read_text;
using trapeze::test::run_trapeze;

namespace {

const char* const kModeNames[] = {"bare", "interpret", "translate", "trap-and-emulate", "paravirtual"};
constexpr u64 kRunning = 50'000, kHalf = 300'000; // while it starts; and when its shell waits for input

SessionConfig tiny_os(Mode mode) {
    SessionConfig config;
    config.guest = "tiny-os", config.mode = mode, config.memory_bytes = 32 << 20;
    return config;
}

std::string all_events(const Session& session) {
    std::string text = std::to_string(session.trace().total()) + "\n";
    for (u64 i = session.trace().first(); i < session.trace().total(); ++i) text += event_json(session.trace(), session.trace().at(i)) + "\n";
    return text;
}

} // namespace

TEST_CASE("A restored session goes on with the same trace, byte for byte, as one that was never saved") {
    for (const auto& [mode, position] : {std::pair(Mode::Bare, kRunning), {Mode::Bare, kHalf}, {Mode::Interpret, kHalf}, {Mode::TrapAndEmulate, kRunning},
                                         {Mode::TrapAndEmulate, kHalf}, {Mode::Translate, kRunning}, {Mode::Translate, kHalf}, {Mode::Paravirtual, kRunning}, {Mode::Paravirtual, kHalf}}) {
        CAPTURE(static_cast<int>(mode));
        CAPTURE(position);
        const Folder folder;
        const std::string file = folder.path("tiny.snap");
        auto whole = Session::create(tiny_os(mode)), first = Session::create(tiny_os(mode));
        REQUIRE(whole);
        REQUIRE(first);
        for (Session* session : {&*whole, &*first}) {
            session->run(position);
            session->type("ls\n");
        }
        const auto saved = first->save(file);
        REQUIRE_MESSAGE(saved, (saved ? std::string() : saved.error()));
        auto second = Session::restore(tiny_os(mode), file);
        REQUIRE_MESSAGE(second, (second ? std::string() : second.error()));
        CHECK(second->position() == whole->position());
        CHECK(second->console() == whole->console());
        for (Session* session : {&*whole, &*first, &*second}) session->run(kHalf);
        CHECK(second->position() == whole->position());
        CHECK(second->console() == whole->console());
        CHECK(second->machine() == whole->machine());
        CHECK(second->guest_state() == whole->guest_state());
        CHECK(all_events(*second) == all_events(*whole));
        CHECK(all_events(*first) == all_events(*whole));
        if (whole->vmm()) CHECK(second->vmm()->ledger() == whole->vmm()->ledger());
    }
}

TEST_CASE("A session that is saved between an exit and its handling is restored there") {
    auto session = Session::create(tiny_os(Mode::TrapAndEmulate));
    REQUIRE(session);
    REQUIRE(session->run_to_trap() == RunEnd::Exit);
    REQUIRE(session->vmm()->in_hypervisor());
    const auto file = session->save_bytes();
    REQUIRE(file);
    auto again = Session::restore_bytes(tiny_os(Mode::TrapAndEmulate), file.value(), "bytes");
    REQUIRE(again);
    CHECK(again->vmm()->in_hypervisor());
    session->run(kHalf), again->run(kHalf);
    CHECK(all_events(*session) == all_events(*again));
}

TEST_CASE("A restored session goes back as far as where it was restored, and says so") {
    auto session = Session::create(tiny_os(Mode::Bare));
    REQUIRE(session);
    session->run(kRunning);
    const auto file = session->save_bytes();
    auto again = Session::restore_bytes(tiny_os(Mode::Bare), file.value(), "bytes");
    REQUIRE(again);
    again->run(1000);
    CHECK(again->go_to(kRunning + 10));
    CHECK(again->position() == kRunning + 10);
    CHECK(again->go_to(kRunning));
    const auto before = again->go_to(kRunning - 1);
    REQUIRE_FALSE(before);
    CHECK(before.error().find(std::to_string(kRunning)) != std::string::npos);
}

TEST_CASE("A session is restored only as what it was saved as; the refusal names the difference") {
    auto session = Session::create(tiny_os(Mode::Interpret));
    REQUIRE(session);
    const auto file = session->save_bytes();
    const auto refusal = [&](auto change) {
        SessionConfig config = tiny_os(Mode::Interpret);
        change(config);
        const auto restored = Session::restore_bytes(config, file.value(), "tiny.snap");
        REQUIRE_FALSE(restored);
        return restored.error();
    };
    CHECK(refusal([](auto& c) { c.mode = Mode::TrapAndEmulate; }).find("another mode: \"interpret\" then, \"trap-and-emulate\" now") != std::string::npos);
    CHECK(refusal([](auto& c) { c.memory_bytes = 64 << 20; }).find("another memory") != std::string::npos);
    CHECK(refusal([](auto& c) { c.append = "quiet"; }).find("another kernel command line") != std::string::npos);
    CHECK(refusal([](auto& c) { c.costs.trap = 1; }).find("another costs") != std::string::npos);
    CHECK(refusal([](auto& c) { c.guest = "hello", c.firmware = false; }).find("another firmware") != std::string::npos);
}

TEST_CASE("boot saves and restores: the second run prints what the first had left") {
    for (const char* mode : kModeNames) {
        CAPTURE(mode);
        const Folder folder;
        const std::string file = folder.path("tiny.snap");
        const std::vector<std::string> boot = {"boot", "tiny-os", "--mode", mode, "-m", "32M"};
        const auto with = [&](std::vector<std::string> more) {
            more.insert(more.begin(), boot.begin(), boot.end());
            return more;
        };
        const auto whole = run_trapeze(with({"--max-instructions", "600000"}));
        const auto first = run_trapeze(with({"--max-instructions", "15000", "--save", file}));
        CHECK(first.status == 3);
        const auto second = run_trapeze(with({"--max-instructions", "585000", "--restore", file}));
        CHECK(second.status == whole.status);
        CHECK(first.out + second.out == whole.out);
        CHECK(whole.out.size() > first.out.size());
    }
}

TEST_CASE("A snapshot is replaced whole or not at all: no room leaves the old one, and nothing beside it") {
    const Folder folder;
    const std::string file = folder.write("tiny.snap", "the old one");
    auto session = Session::create(tiny_os(Mode::Bare));
    REQUIRE(session);
    rlimit before{};
    REQUIRE(getrlimit(RLIMIT_FSIZE, &before) == 0);
    rlimit small = before;
    small.rlim_cur = 1000;
    const auto handler = std::signal(SIGXFSZ, SIG_IGN);
    REQUIRE(setrlimit(RLIMIT_FSIZE, &small) == 0);
    const auto saved = session->save(file);
    setrlimit(RLIMIT_FSIZE, &before);
    std::signal(SIGXFSZ, handler);
    REQUIRE_FALSE(saved);
    CHECK(saved.error().find(file) != std::string::npos);
    CHECK(saved.error().find("make room") != std::string::npos);
    CHECK(read_text(file) == "the old one");
    CHECK(std::distance(std::filesystem::directory_iterator(folder.path("")), {}) == 1);

    REQUIRE(session->save(file));
    CHECK(Session::restore(tiny_os(Mode::Bare), file));
    CHECK(std::distance(std::filesystem::directory_iterator(folder.path("")), {}) == 1);
    CHECK(session->save(folder.path("no-such-folder/tiny.snap")).error().find("cannot be written") != std::string::npos);
    CHECK(Session::restore(tiny_os(Mode::Bare), folder.path("missing.snap")).error().find("missing.snap") != std::string::npos);
}
