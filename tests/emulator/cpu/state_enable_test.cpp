// Smstateen: mstateen opens state to every lower mode, hstateen to guests; what neither opens is refused, and reads as zero below.
#include "tests/emulator/cpu/guest_bench.hpp"

#include <doctest/doctest.h>

using namespace trapeze;

namespace {

constexpr Csr kMachine[] = {Csr::mstateen0, Csr::mstateen1, Csr::mstateen2, Csr::mstateen3};
constexpr Csr kHypervisor[] = {Csr::hstateen0, Csr::hstateen1, Csr::hstateen2, Csr::hstateen3};
constexpr Csr kSupervisor[] = {Csr::sstateen0, Csr::sstateen1, Csr::sstateen2, Csr::sstateen3};
constexpr PrivMode kModeM{Priv::M, false};

} // namespace

TEST_CASE("Smstateen: bits of state that the hart does not have are read-only zeros, and so are reserved ones") {
    Bench bench({}, kModeM);
    for (unsigned i = 0; i < 4; ++i) {
        const u64 known = i ? stateen::SE : stateen::SE | stateen::ENVCFG;
        for (Csr csr : {kMachine[i], kHypervisor[i]}) {
            bench.write(csr, ~u64{0});
            CHECK(bench.read(csr) == known);
        }
        bench.write(kSupervisor[i], ~u64{0}); // U-mode may always use what there is
        CHECK(bench.read(kSupervisor[i]) == 0);
    }
}

TEST_CASE("Smstateen: after reset nothing is open") {
    Bench bench({}, kModeM);
    bench.machine.hart().reset(kRamBase);
    for (Csr csr : kMachine) CHECK(bench.read(csr) == 0);
    bench.s.priv = Priv::S;
    for (Csr csr : {Csr::senvcfg, Csr::henvcfg, Csr::sstateen0, Csr::hstateen3}) CHECK(bench.refused(csr) == kIllegal);
}

TEST_CASE("Smstateen: a bit that is zero in mstateen is a read-only zero in hstateen") {
    Bench bench({}, kModeM);
    for (unsigned i = 0; i < 4; ++i) {
        bench.write(kHypervisor[i], ~u64{0});
        bench.write(kMachine[i], 0);
        CHECK(bench.read(kHypervisor[i]) == 0);
        bench.write(kHypervisor[i], 0); // changes nothing, as the bits cannot be written
        bench.write(kMachine[i], ~u64{0});
        CHECK((bench.read(kHypervisor[i]) & stateen::SE) != 0);
    }
    bench.write(Csr::hstateen0, 0);
    bench.write(Csr::mstateen0, stateen::SE);
    bench.write(Csr::hstateen0, ~u64{0});
    CHECK(bench.read(Csr::hstateen0) == stateen::SE);
}

TEST_CASE("Smstateen: bit 63 of each mstateen controls access to the hstateen and sstateen of its number") {
    for (unsigned closed = 0; closed < 4; ++closed) {
        Bench host({}, kModeS), guest({}, kModeVs);
        for (Bench* bench : {&host, &guest}) {
            for (Csr csr : kHypervisor) bench->write(csr, ~u64{0});
            bench->write(kMachine[closed], stateen::ENVCFG);
        }
        for (unsigned i = 0; i < 4; ++i) {
            const auto expected = i == closed ? kIllegal : kAllowed;
            CHECK(host.refused(kSupervisor[i], true) == expected);
            CHECK(host.refused(kHypervisor[i], true) == expected);
            CHECK(guest.refused(kSupervisor[i]) == expected);
            CHECK(guest.refused(kHypervisor[i]) == (i == closed ? kIllegal : kVirtual)); // HS-mode's, where it is open at all
        }
    }
}

TEST_CASE("Smstateen: bit 63 of each hstateen controls a guest's access to the sstateen of its number") {
    for (unsigned closed = 0; closed < 4; ++closed) {
        Bench guest({}, kModeVs), host({}, kModeS);
        for (Bench* bench : {&guest, &host}) {
            for (Csr csr : kHypervisor) bench->write(csr, ~u64{0});
            bench->write(kHypervisor[closed], stateen::ENVCFG);
        }
        for (unsigned i = 0; i < 4; ++i) {
            CHECK(guest.refused(kSupervisor[i]) == (i == closed ? kVirtual : kAllowed));
            CHECK(host.refused(kSupervisor[i]) == kAllowed); // its own level is never closed
        }
    }
}

TEST_CASE("Smstateen: ENVCFG of mstateen0 controls henvcfg and senvcfg, that of hstateen0 a guest's senvcfg") {
    Bench host({}, kModeS), guest({}, kModeVs), machine({}, kModeM);
    for (Bench* bench : {&host, &guest}) bench->write(Csr::hstateen0, ~u64{0});
    for (Csr csr : {Csr::henvcfg, Csr::senvcfg}) CHECK(host.refused(csr, true) == kAllowed);
    CHECK(guest.refused(Csr::senvcfg, true) == kAllowed);
    CHECK(guest.refused(Csr::henvcfg) == kVirtual);

    guest.write(Csr::hstateen0, stateen::SE);
    CHECK(guest.refused(Csr::senvcfg) == kVirtual);
    for (Bench* bench : {&host, &guest, &machine}) bench->write(Csr::mstateen0, stateen::SE);
    for (Csr csr : {Csr::henvcfg, Csr::senvcfg}) {
        CHECK(host.refused(csr) == kIllegal);
        CHECK(guest.refused(csr) == kIllegal);
        CHECK(machine.refused(csr) == kAllowed);
    }
}

TEST_CASE("Smstateen: in VU-mode a supervisor's register is a virtual instruction where HS-mode could access it, else illegal") {
    Bench bench({}, kModeVu);
    for (Csr csr : {Csr::sstateen0, Csr::sstateen2, Csr::senvcfg, Csr::hstateen0}) CHECK(bench.refused(csr) == kVirtual); // hstateen is not asked
    for (Csr csr : kMachine) bench.write(csr, 0);
    for (Csr csr : {Csr::sstateen0, Csr::sstateen2, Csr::senvcfg, Csr::hstateen0}) CHECK(bench.refused(csr) == kIllegal);
    CHECK(bench.refused(Csr::mstateen0) == kIllegal);
    CHECK(Bench({}, kModeU).refused(Csr::sstateen0) == kIllegal);
}

TEST_CASE("Smstateen: what is closed traps when it runs, with the instruction as xtval") {
    Bench bench({csrw(Csr::senvcfg, kA0)}, kModeVs);
    bench.write(Csr::hstateen0, 0);
    const Trap trap = bench.step().trap;
    CHECK(trap.is(Cause::VirtualInstruction));
    CHECK(trap.tval == csrw(Csr::senvcfg, kA0));
    CHECK(bench.s.mode() == kModeS);
    CHECK(bench.read(Csr::senvcfg) == 0);
}

TEST_CASE("Smstateen: without the hypervisor extension there is no hstateen") {
    Bench bench({}, kModeS, {.hypervisor = false});
    for (Csr csr : kHypervisor) CHECK(bench.refused(csr) == kIllegal);
    for (Csr csr : kSupervisor) CHECK(bench.refused(csr) == kAllowed);
}
