// The debugger without its window: what commands do to the session.
#include "container-sim/kernel.hpp"
#include "ui/debugger.hpp"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

using namespace trapeze;
using namespace trapeze::ui;

namespace {

Debugger open(vmm::Mode mode) {
    scenarios::SessionConfig config;
    config.guest = "tiny-os";
    config.mode = mode;
    auto session = Session::create(config);
    REQUIRE_MESSAGE(session, (session ? "" : session.error()));
    return Debugger(std::move(*session), std::nullopt);
}

nlohmann::json state(const Debugger& debugger) { return nlohmann::json::parse(debugger.state_json()); }

void run_until_idle(Debugger& debugger) {
    debugger.apply({Action::Run});
    for (int i = 0; i < 10000 && debugger.running(); ++i) debugger.tick(10);
    REQUIRE_FALSE(debugger.running());
}

} // namespace

TEST_CASE("Step out stops where the function returns to, as ra said at its entry") {
    for (const vmm::Mode mode : {vmm::Mode::Bare, vmm::Mode::TrapAndEmulate})
        for (const char* function : {"memory_start", "native_enable_paging"}) {
            Debugger debugger = open(mode);
            const auto address = debugger.session().resolve(function);
            REQUIRE(address);
            debugger.apply({Action::SelectLine, address.value()});
            debugger.apply({Action::RunToLine});
            REQUIRE(debugger.session().guest_state().pc == address.value());
            const u64 ra = debugger.session().guest_state().x[1];
            debugger.apply({Action::StepOut});
            CHECK(debugger.session().guest_state().pc == ra);
        }
}

TEST_CASE("A step marks what it changed, and a step back restores it") {
    Debugger debugger = open(vmm::Mode::TrapAndEmulate);
    debugger.apply({Action::NextTrap});
    debugger.apply({Action::Step});
    const HartState before = debugger.session().guest_state();
    const u64 position = debugger.session().position();
    debugger.apply({Action::Step});
    CHECK(debugger.guest_before() == before);
    CHECK_FALSE(debugger.session().guest_state() == before);
    debugger.apply({Action::StepBack});
    CHECK(debugger.session().position() == position);
    CHECK(debugger.session().guest_state() == before);
    CHECK(debugger.farthest() == position + 1);
}

TEST_CASE("Typing reaches the guest, and running stops by itself when the guest waits") {
    Debugger debugger = open(vmm::Mode::TrapAndEmulate);
    run_until_idle(debugger);
    CHECK(state(debugger)["message"] == "The guest waits for input.");
    debugger.apply({Action::Type, 0, "echo one two\n"});
    CHECK(debugger.running());
    for (int i = 0; i < 10000 && debugger.running(); ++i) debugger.tick(10);
    CHECK(state(debugger)["console"].get<std::string>().find("\none two") != std::string::npos);
}

TEST_CASE("Lesson commands that come too early do nothing") {
    auto lesson = scenarios::load_lesson("watch-a-trap");
    REQUIRE(lesson);
    std::optional<Session> session;
    LessonRun run(std::move(*lesson));
    REQUIRE(run.start(session));
    Debugger debugger(std::move(*session), std::move(run));
    const auto before = state(debugger);
    debugger.apply({Action::LessonNext});
    debugger.apply({Action::LessonAct});
    debugger.apply({Action::Answer, 17});
    CHECK(state(debugger) == before);
    debugger.apply({Action::Answer, 1});
    debugger.apply({Action::Answer, 0}); // an answer stands
    CHECK(state(debugger)["lesson"]["answered"] == 2);
}

TEST_CASE("Free play opens another session, and a mode that is not there is said") {
    Debugger debugger = open(vmm::Mode::Bare);
    debugger.apply({Action::FreePlay, 0, "trap-and-emulate"});
    CHECK(state(debugger)["mode"] == "trap-and-emulate");
    CHECK(state(debugger)["position"] == 0);
    debugger.apply({Action::FreePlay, 0, "sideways"});
    CHECK(debugger.message().find("sideways") != std::string::npos);
    CHECK(state(debugger)["mode"] == "trap-and-emulate");
}

TEST_CASE("In containers the next trap is the next system call") {
    scenarios::SessionConfig config;
    container::ContainerSpec spec;
    spec.hostname = "web", spec.rootfs = scenarios::build_folder() + "/guests/linux", spec.arguments = {"/whoami"};
    config.containers = {spec, spec};
    auto session = Session::create(config);
    REQUIRE_MESSAGE(session, (session ? "" : session.error()));
    Debugger debugger(std::move(*session), std::nullopt);
    for (u64 calls = 1; calls <= 3; ++calls) {
        debugger.apply({Action::NextTrap});
        CHECK(debugger.session().kernel()->system_calls() == calls);
    }
}
