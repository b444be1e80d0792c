// The equivalence property of Popek and Goldberg (hypervisor-sim/equivalence.hpp), in each mode; and what holds for every VMM that runs
// random guests: the same end however a run is cut, copies that go on alike, dossiers that add up.
#include "hypervisor-sim/equivalence.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <random>

using namespace trapeze;
using vmm::EquivalenceCheck;
using vmm::GuestInMode;
using vmm::Mode;

namespace {

std::optional<vmm::Divergence> run_check(const EquivalenceCheck& check) {
    auto found = vmm::check_equivalence(check);
    REQUIRE(found);
    return std::move(*found);
}

void compare(const EquivalenceCheck& check) {
    if (const auto found = run_check(check)) FAIL_CHECK(vmm::describe(*found));
}

GuestInMode open(Mode mode, u64 seed) {
    auto guest = vmm::random_guest({.mode = mode, .seed = seed}, mode);
    REQUIRE(guest);
    return std::move(*guest);
}

/// Some hundreds; $TRAPEZE_EQUIVALENCE_PROGRAMS asks for more.
u64 programs() {
    const char* wanted = std::getenv("TRAPEZE_EQUIVALENCE_PROGRAMS");
    return wanted ? std::strtoull(wanted, nullptr, 10) : 400;
}

} // namespace

TEST_CASE("random states and instructions behave alike bare and interpreted") {
    for (u64 seed = 1; seed <= programs() / 4; ++seed) compare({.mode = Mode::Interpret, .seed = seed});
}

TEST_CASE("random states and instructions behave alike bare and under trap-and-emulate") {
    for (u64 seed = 1; seed <= programs(); ++seed) compare({.mode = Mode::TrapAndEmulate, .seed = seed});
}

TEST_CASE("random states and instructions behave alike when the shadow follows each write of the guest's tables") {
    for (u64 seed = 1; seed <= programs(); ++seed) compare({.seed = seed, .switches = {.shadow_policy = vmm::ShadowPolicy::WriteProtect}});
}

TEST_CASE("random states and instructions behave alike when one exit emulates several") {
    for (u64 seed = 1; seed <= programs(); ++seed) compare({.seed = seed, .switches = {.clustering = true}});
}

TEST_CASE("random states and instructions behave alike bare and translated") {
    for (u64 seed = 1; seed <= programs(); ++seed) compare({.mode = Mode::Translate, .seed = seed});
}

TEST_CASE("random states and instructions behave alike bare and hardware-assisted") {
    for (u64 seed = 1; seed <= programs(); ++seed) compare({.mode = Mode::HardwareAssisted, .seed = seed});
}

TEST_CASE("run(a) and run(b) leave the same as run(a + b) in each mode") {
    for (Mode mode : {Mode::TrapAndEmulate, Mode::Translate, Mode::HardwareAssisted}) for (u64 seed = 1; seed <= 40; ++seed) {
        GuestInMode whole = open(mode, seed), parts = open(mode, seed);
        whole.run(200);
        std::mt19937_64 random(seed);
        for (u64 used = 0; used < 200;) used += std::max<u64>(1, parts.run(std::min<u64>(1 + random() % 7, 200 - used)));
        CAPTURE(seed);
        CHECK(whole.state() == parts.state());
        CHECK(whole.machine == parts.machine);
        CHECK(std::equal(whole.vm->ledger().begin(), whole.vm->ledger().end(), parts.vm->ledger().begin(), parts.vm->ledger().end()));
    }
}

TEST_CASE("a copy of a machine and its VMM goes on as the original does") {
    for (Mode mode : {Mode::TrapAndEmulate, Mode::Translate, Mode::HardwareAssisted}) for (u64 seed = 1; seed <= 40; ++seed) {
        GuestInMode original = open(mode, seed);
        original.run(97);
        GuestInMode copy = original;
        original.run(100);
        copy.run(100);
        CAPTURE(seed);
        CHECK(original.state() == copy.state());
        CHECK(original.machine == copy.machine);
    }
}

TEST_CASE("the steps of every dossier add up to its cost") {
    for (Mode mode : {Mode::TrapAndEmulate, Mode::Translate, Mode::HardwareAssisted}) for (u64 seed = 1; seed <= 40; ++seed) {
        GuestInMode running = open(mode, seed);
        const u64 start = running.machine.cycles();
        running.run(300);
        u64 charged = 0, complete = 0;
        for (const vmm::ExitDossier& dossier : running.vm->ledger()) {
            u64 sum = 0;
            for (const vmm::DossierStep& step : dossier.steps) {
                sum += step.cost;
                CHECK(step_text(step).find('{') == std::string::npos);
            }
            CHECK(sum == dossier.cost);
            charged += dossier.cost;
            complete += dossier.complete;
        }
        CHECK(complete + running.vm->in_hypervisor() == running.vm->exits());
        CHECK(running.machine.cycles() - start >= charged);
    }
}

TEST_CASE("a hart that is silent about a sensitive operation makes trap-and-emulate diverge, and nothing else") {
    for (unsigned i = 0; i < static_cast<unsigned>(SilentOp::Count); ++i) {
        CAPTURE(i);
        const SilentRow& row = silent_row(static_cast<SilentOp>(i));
        const u8 silent = silent_bit(static_cast<SilentOp>(i));
        u64 diverged = 0, by_it = 0;
        for (u64 seed = 1; seed <= 400; ++seed) {
            const auto found = run_check({.mode = Mode::TrapAndEmulate, .seed = seed, .silent = silent});
            if (!found) continue;
            ++diverged;
            const Instruction insn = decode(found->word);
            by_it += static_cast<u16>(insn.imm) == static_cast<u16>(row.csr);
        }
        CHECK(diverged > 0);
        CHECK(by_it > 0); // it is seen at once, except where what it left undone shows later
        for (Mode mode : {Mode::Interpret, Mode::Translate, Mode::HardwareAssisted})
            for (u64 seed = 1; seed <= 60; ++seed) compare({.mode = mode, .seed = seed, .silent = silent});
    }
}
