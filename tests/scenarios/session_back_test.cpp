// Going back to the last time that something happened, and which checkpoints are kept for it. The oracle is a run forward that is watched at
// every unit.
#include "scenarios/session_back.hpp"
#include "tests/scenarios/sessions.hpp"

#include <algorithm>

using namespace trapeze;
using namespace trapeze::test;
using scenarios::BackSearch;
using scenarios::go_back_to;
using scenarios::Sought;

namespace {

using Kind = Sought::Kind;

/// The last position before `end` before whose unit `value` was another than after it, found by looking at each unit from `from` on.
template <class Value> std::optional<u64> last_change(const SessionConfig& config, u64 from, u64 end, Value value) {
    Session session = open(config);
    REQUIRE(session.go_to(from));
    std::optional<u64> found;
    u64 before = value(session);
    while (session.position() < end) {
        const u64 position = session.position();
        session.step();
        const u64 after = value(session);
        if (after != before) found = position;
        before = after;
    }
    return found;
}

} // namespace

TEST_CASE("Going back to the last change of a register stops before the instruction that made it, in every mode") {
    for (const Mode mode : kModes) {
        CAPTURE(vmm::mode_row(mode).name);
        Session session = open(tiny_os(mode, 20'000));
        session.run(61'234);
        const u64 end = session.position();
        for (const unsigned number : {2u, 15u}) {
            CAPTURE(number);
            REQUIRE(session.go_to(end));
            const auto expected = last_change(tiny_os(mode, 20'000), end - 4000, end, [&](const Session& s) { return s.guest_state().x[number]; });
            if (!expected) continue; // longer ago than was looked at
            const auto went = go_back_to(session, {Kind::Register, number});
            REQUIRE_MESSAGE(went, (went ? "" : went.error()));
            CHECK(session.position() == *expected);
        }
    }
}

TEST_CASE("Going back to the last trap is where running to the traps one by one has stopped last") {
    for (const Mode mode : kModes) {
        CAPTURE(vmm::mode_row(mode).name);
        Session forward = open(tiny_os(mode, 20'000));
        std::vector<u64> traps;
        while (traps.size() < 5) {
            const RunEnd why = forward.run_to_trap(2'000'000);
            if (why != RunEnd::Trap && why != RunEnd::Exit) break;
            traps.push_back(forward.position());
        }
        REQUIRE(traps.size() == 5);
        Session back = open(tiny_os(mode, 20'000));
        REQUIRE(back.go_to(traps.back() + 10));
        for (auto at = traps.rbegin(); at != traps.rend(); ++at) {
            REQUIRE(go_back_to(back, {Kind::Trap}));
            CHECK(back.position() == *at);
        }
        const auto none = go_back_to(back, {Kind::Trap});
        REQUIRE_FALSE(none);
        CHECK(none.error().find("there is no trap") != std::string::npos);
        CHECK(back.position() == traps.front());
    }
}

TEST_CASE("Going back to the last write of a CSR, store to an address and change of a page-table entry stops before what did it") {
    for (const Mode mode : {Mode::Bare, Mode::TrapAndEmulate, Mode::HardwareAssisted}) {
        CAPTURE(vmm::mode_row(mode).name);
        Session session = open(tiny_os(mode, 20'000));
        REQUIRE(session.run_to(resolved(session, "enable_paging_satp")) == RunEnd::Budget);
        session.step_over();
        const u64 satp = session.guest_state()[Csr::satp];
        REQUIRE(satp != 0);
        session.run(20'000);
        REQUIRE(go_back_to(session, {Kind::Csr, static_cast<u64>(Csr::satp)}));
        CHECK(session.guest_state().pc == resolved(session, "enable_paging_satp"));
        CHECK(session.guest_state()[Csr::satp] == 0);

        // An entry of the root table that paging began with, found by its contents.
        Bus bus = session.guest_bus();
        const u64 root = (satp & 0xfff'ffff'ffff) << kPageShift;
        u64 entry = root, value = 0;
        for (; entry < root + kPageSize; entry += 8)
            if (bus.ram.read(bus.ram_offset(entry), value), value) break;
        REQUIRE(value != 0);
        const u64 end = session.position();
        for (const Sought& sought : {Sought{Kind::Physical, entry}, Sought{Kind::Memory, entry}}) {
            REQUIRE(session.go_to(end));
            REQUIRE(go_back_to(session, sought));
            const auto now = [&] { Bus view = session.guest_bus(); u64 word = 0; view.ram.read(view.ram_offset(entry), word); return word; };
            CHECK(now() != value);
            for (int i = 0; i < 4 && now() != value; ++i) session.step(); // an exit may come before it
            CHECK(now() == value);
        }
    }
}

TEST_CASE("Reverse-continue stops at the breakpoints that a run forward stops at, the last one first, and leaves their counts alone") {
    Session session = open(tiny_os(Mode::TrapAndEmulate, 20'000));
    REQUIRE(session.add_breakpoint({Breakpoint::Kind::Exit, static_cast<u64>(ExitReason::CsrAccess), "", true, 0}));
    std::vector<u64> stops;
    while (stops.size() < 4 && session.run(50'000'000) == RunEnd::Breakpoint) stops.push_back(session.position());
    REQUIRE(stops.size() == 4);
    const u64 hits = session.breakpoints()[0].hits;
    for (int i = 2; i >= 0; --i) {
        REQUIRE(go_back_to(session, {Kind::Breakpoint}));
        CHECK(session.position() == stops[static_cast<std::size_t>(i)]);
    }
    CHECK(session.breakpoints().size() == 1);
    CHECK(session.breakpoints()[0].hits == hits);
    CHECK_FALSE(go_back_to(session, {Kind::Breakpoint}));
    CHECK(session.position() == stops[0]);
}

TEST_CASE("A search that is cancelled leaves the session where it began") {
    Session session = open(tiny_os(Mode::Bare, 20'000));
    session.run(100'000);
    const HartState state = session.guest_state();
    BackSearch search(session, {Kind::Physical, kRamBase}); // nothing stores there
    CHECK(search.advance(session, 500) == BackSearch::State::Looking);
    CHECK(session.position() != 100'000);
    search.cancel(session);
    CHECK(session.position() == 100'000);
    CHECK(session.guest_state() == state);
}

TEST_CASE("However long a run is, its checkpoints are few, and the farthest apart ones lie even") {
    constexpr u64 kInterval = 100, kMostSparse = 320, kMostDense = 16;
    Session session = open(tiny_os(Mode::Bare, kInterval));
    run_until_idle(session);
    const u64 places = session.position() / kInterval;
    REQUIRE(places > 2 * kMostSparse);
    u64 stride = 1;
    while (places / stride >= kMostSparse) stride *= 2;
    auto kept = session.checkpoint_positions();
    CHECK(kept.front() == 0);
    CHECK(kept.size() <= kMostSparse + kMostDense);
    u64 gap = 0;
    for (std::size_t i = 1; i < kept.size(); ++i) gap = std::max(gap, kept[i] - kept[i - 1]);
    CHECK(gap == stride * kInterval);
    // A jump leaves checkpoints at each place on the last part of its way.
    const u64 target = (places / 2 / stride + 1) * stride * kInterval - 1;
    REQUIRE(session.go_to(target));
    kept = session.checkpoint_positions();
    CHECK(std::count_if(kept.begin(), kept.end(), [&](u64 at) { return at <= target && at > target - stride * kInterval; }) == static_cast<std::ptrdiff_t>(std::min(stride, kMostDense)));
    CHECK(std::find(kept.begin(), kept.end(), target / kInterval * kInterval) != kept.end());
}
