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

TEST_CASE("The memory panel's cursor follows pointers, comes back, finds bytes and writes them") {
    Debugger debugger = open(vmm::Mode::TrapAndEmulate);
    run_until_idle(debugger);
    const u64 stack = debugger.session().guest_state().x[2];
    debugger.apply({Action::ShowMemory, stack});
    debugger.apply({Action::WriteMemory, stack, "0x0000000080200000"});
    debugger.apply({Action::FollowPointer});
    CHECK(debugger.memory_place()->address == 0x80200000);
    debugger.apply({Action::MemoryBack});
    CHECK(debugger.memory_place()->address == stack);
    debugger.apply({Action::GoToMemory, 0, "kernel_main"});
    CHECK(debugger.memory_place()->address == debugger.session().resolve("kernel_main").value());
    debugger.apply({Action::SearchMemory, 0, "0x0000000080200000"});
    for (int i = 0; i < 1000 && debugger.searching(); ++i) debugger.tick(1);
    CHECK(debugger.memory_place()->address <= stack);
    debugger.apply({Action::WriteMemory, 0x4000'0000'0000, "12"});
    CHECK(debugger.message().find("0x400000000000") != std::string::npos);
    debugger.apply({Action::GoToMemory, 0, "nowhere"});
    CHECK(debugger.message().find("nowhere") != std::string::npos);
}

TEST_CASE("The walk is shown read by read, and plays to its end") {
    Debugger debugger = open(vmm::Mode::HardwareAssisted);
    run_until_idle(debugger);
    debugger.apply({Action::WalkPlay});
    CHECK(debugger.walk_reads() == 0);
    CHECK(debugger.moving());
    debugger.apply({Action::WalkNext});
    CHECK_FALSE(debugger.walk_playing());
    CHECK(debugger.walk_reads() == 1);
    debugger.apply({Action::WalkBack});
    CHECK(debugger.walk_reads() == 0);
    debugger.apply({Action::WalkBack});
    CHECK(debugger.walk_reads() == 0);
}

TEST_CASE("A breakpoint with a condition stops only where it holds, and one that cannot be asked says why") {
    Debugger debugger = open(vmm::Mode::Bare);
    debugger.apply({Action::AddBreakpoint, 0, "put_number"});
    REQUIRE(debugger.session().breakpoints().size() == 1);
    const auto stops = [&](const char* condition) {
        debugger.apply({Action::Reset});
        debugger.apply({Action::ConditionBreakpoint, 0, condition});
        u64 count = 0;
        for (int i = 0; i < 40; ++i) {
            debugger.apply({Action::Run});
            while (debugger.running()) debugger.tick(10);
            if (!debugger.session().stopped_by()) break;
            ++count;
        }
        return count;
    };
    const u64 all = stops("");
    REQUIRE(all > 1);
    CHECK(stops("false") == 0);
    CHECK(stops("true") == all);
    debugger.apply({Action::Reset});
    debugger.apply({Action::ConditionBreakpoint, 0, "nonsense("});
    debugger.apply({Action::Run});
    while (debugger.running()) debugger.tick(10);
    CHECK(debugger.session().stopped_by());
    CHECK(debugger.message().find("put_number") != std::string::npos);
}

TEST_CASE("Breakpoints are added by their text, turned off, named and removed; one that cannot fire is refused with the reason") {
    Debugger debugger = open(vmm::Mode::TrapAndEmulate);
    debugger.apply({Action::AddBreakpoint, 0, "exit csr access"});
    debugger.apply({Action::AddBreakpoint, 0, "exit csr access"});
    CHECK(debugger.session().breakpoints().size() == 1);
    debugger.apply({Action::LabelBreakpoint, 0, "the first"});
    CHECK(debugger.session().breakpoints()[0].label == "the first");
    debugger.apply({Action::EnableBreakpoint, 0, "off"});
    run_until_idle(debugger);
    CHECK_FALSE(debugger.session().stopped_by());
    debugger.apply({Action::AddBreakpoint, 0, "csr mhartid"});
    CHECK(debugger.message().find("read-only") != std::string::npos);
    debugger.apply({Action::RemoveBreakpoint, 0});
    debugger.apply({Action::RemoveBreakpoint, 7});
    CHECK(debugger.session().breakpoints().empty());
}
