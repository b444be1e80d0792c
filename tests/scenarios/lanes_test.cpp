// One guest that goes on in several modes: what it sees is the same in each, but for time.
#include "scenarios/lanes.hpp"
#include "tests/scenarios/child_process.hpp"
#include "tests/scenarios/sessions.hpp"

#include <nlohmann/json.hpp>

using namespace trapeze;
using namespace trapeze::test;
using scenarios::Lanes;

TEST_CASE("A guest that is flipped before it turns paging on goes on in each mode, instruction by instruction alike") {
    Session session = open(tiny_os(Mode::Bare));
    REQUIRE(session.run_to(resolved(session, "enable_paging_satp")) == RunEnd::Budget);
    auto lanes = Lanes::create(session, {Mode::Bare, Mode::Interpret, Mode::TrapAndEmulate, Mode::HardwareAssisted});
    REQUIRE_MESSAGE(lanes, (lanes ? "" : lanes.error()));
    CHECK(lanes->divergences().empty());
    for (int i = 0; i < 40; ++i) {
        lanes->step_together(1);
        for (std::size_t lane = 0; lane < lanes->size(); ++lane) CHECK(lanes->instructions(lane) == static_cast<u64>(i) + 1);
        const auto differences = lanes->divergences();
        CAPTURE(i);
        REQUIRE_MESSAGE(differences.empty(), (differences.empty() ? "" : differences[0].what));
    }
    const auto costs = lanes->costs();
    CHECK(costs[0].exits == 0);
    CHECK(costs[0].cycles == 40);
    CHECK(costs[2].exits > 0); // csrw satp at least
    CHECK(costs[2].cycles > costs[3].cycles);
    CHECK(lanes->session(2).guest_state()[Csr::satp] != 0);
}

TEST_CASE("A flipped guest runs to its end in the other mode") {
    for (const Mode from : {Mode::Bare, Mode::TrapAndEmulate})
        for (const Mode to : {Mode::Bare, Mode::Interpret, Mode::Translate, Mode::TrapAndEmulate, Mode::HardwareAssisted}) {
            CAPTURE(vmm::mode_row(from).name);
            CAPTURE(vmm::mode_row(to).name);
            Session session = open(tiny_os(from));
            session.run(40'000); // in the middle of its start
            auto other = session.in_mode(to);
            REQUIRE_MESSAGE(other, (other ? "" : other.error()));
            CHECK(other->config().mode == to);
            REQUIRE(run_until_idle(*other) == RunEnd::Idle);
            other->type("echo on the other side\n");
            REQUIRE(run_until_idle(*other) == RunEnd::Idle);
            CHECK(other->console().find("\non the other side") != std::string::npos);
        }
}

TEST_CASE("Lanes are refused with the reason where the guest would notice") {
    Session session = open(tiny_os(Mode::Paravirtual));
    CHECK(Lanes::create(session, {Mode::Paravirtual}).error().find("give 2 to 6") != std::string::npos);
    run_until_idle(session);
    const auto refused = Lanes::create(session, {Mode::Paravirtual, Mode::Bare});
    REQUIRE_FALSE(refused);
    CHECK(refused.error().find("made itself paravirtual") != std::string::npos);
}

TEST_CASE("flip prints the lanes as text and as JSON") {
    const auto text = run_trapeze({"flip", "tiny-os", "--at", "enable_paging_satp", "--modes", "bare,trap-and-emulate", "--instructions", "20"});
    CHECK(text.status == 0);
    CHECK(text.out.find("All lanes' guests are alike.") != std::string::npos);
    const auto json = run_trapeze({"flip", "tiny-os", "--at", "enable_paging_satp", "--modes", "bare,trap-and-emulate", "--instructions", "20", "--json"});
    const auto parsed = nlohmann::json::parse(json.out);
    CHECK(parsed["lanes"].size() == 2);
    CHECK(parsed["lanes"][0]["exits"] == 0);
    CHECK(parsed["lanes"][1]["exits"] > 0);
    CHECK(run_trapeze({"flip", "tiny-os", "--modes", "bare,sideways"}).status == 2);
}
