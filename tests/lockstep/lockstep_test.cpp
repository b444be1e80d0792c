// Random programs on our machine and on QEMU's, compared after every instruction.
//   TRAPEZE_LOCKSTEP_SEED=n   runs that program alone
//   TRAPEZE_LOCKSTEP_COUNT=n  runs that many of each kind (else 3)
#include "tests/lockstep/lockstep.hpp"
#include "tests/lockstep/machine_side.hpp"
#include "tests/lockstep/qemu_peer.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <cstdlib>
#include <string>

using namespace trapeze;
using namespace trapeze::lockstep;

namespace {

u64 number_from(const char* variable, u64 otherwise) {
    const char* const text = std::getenv(variable);
    return text ? std::strtoull(text, nullptr, 10) : otherwise;
}

/// Runs programs of one kind; seeds follow each other.
void run_programs(ProgramOptions options) {
    if (!QemuPeer::available()) {
        MESSAGE("skipped: qemu-system-riscv64 is not installed (Debian: qemu-system-misc)");
        return;
    }
    QemuOptions qemu;
    qemu.hypervisor = options.guests;
    if (options.guests) qemu.cpu = "rv64,h=true,Zfhmin=true,svinval=true";
    auto peer = QemuPeer::start(qemu);
    REQUIRE_MESSAGE(peer, peer.error());
    const u64 only = number_from("TRAPEZE_LOCKSTEP_SEED", 0), count = only ? 1 : number_from("TRAPEZE_LOCKSTEP_COUNT", 3);
    if (only) options.seed = only;
    u64 steps = 0, amended = 0, parted = 0;
    const auto begin = std::chrono::steady_clock::now();
    for (u64 i = 0; i < count; ++i, ++options.seed) {
        const Program program = random_program(options);
        MachineSide ours;
        const Report report = run_lockstep(ours, *peer, program);
        CHECK_MESSAGE(report.agreed(), report.disagreement, report.host_error);
        CHECK((report.parted || report.compared > options.groups / 8));
        steps += report.compared, amended += report.amended, parted += report.parted;
        if (!report.agreed() || report.parted) {
            peer = QemuPeer::start(qemu); // it may have been left in a guest, from where its debugger does not get it out
            REQUIRE_MESSAGE(peer, peer.error());
            continue;
        }
        auto whole = machine_with(program);
        REQUIRE(whole);
        whole->run(report.steps);
        CHECK_MESSAGE(*whole == ours.machine(), "seed ", options.seed, ": run(", report.steps, ") differs from as many steps");
    }
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    MESSAGE(count, " programs, ", steps, " steps compared (", amended, " amended, ", parted, " programs cut short), ", static_cast<u64>(static_cast<double>(steps) / seconds), " a second");
}

} // namespace

TEST_CASE("lock step: a program depends on its seed alone") {
    const Program a = random_program({.seed = 5}), b = random_program({.seed = 5}), c = random_program({.seed = 6});
    REQUIRE(a.segments.size() == b.segments.size());
    for (std::size_t i = 0; i < a.segments.size(); ++i) CHECK(a.segments[i].bytes == b.segments[i].bytes);
    CHECK(a.segments[2].bytes != c.segments[2].bytes);
}

TEST_CASE("lock step: programs of the generator end") {
    for (u64 seed = 1; seed <= 50; ++seed) {
        const Program program = random_program({.seed = seed, .guests = seed % 2 == 0});
        auto machine = machine_with(program);
        REQUIRE(machine);
        Watch watch;
        watch.pcs = {program.end};
        const Stop stop = machine->run(200'000, watch);
        CHECK_MESSAGE(stop.kind == StopKind::Breakpoint, "seed ", seed, " is at pc ", machine->hart().state.pc);
    }
}

TEST_CASE("lock step: integer programs in M-mode agree with QEMU") { run_programs({.seed = 1000, .floating = false, .privileged = false, .paging = false}); }
TEST_CASE("lock step: floating-point programs in M-mode agree with QEMU") { run_programs({.seed = 2000, .privileged = false, .paging = false}); }
TEST_CASE("lock step: arithmetic in F, D, Zfhmin, Zba, Zbb, Zbc and Zbs agrees with QEMU") {
    run_programs({.seed = 5000, .groups = 800, .arithmetic = 90, .privileged = false, .paging = false});
}
TEST_CASE("lock step: programs in M, S and U agree with QEMU") { run_programs({.seed = 3000, .paging = false}); }
TEST_CASE("lock step: programs under Sv39 agree with QEMU") { run_programs({.seed = 4000}); }

TEST_CASE("lock step: programs in HS, VS and VU agree with QEMU") { run_programs({.seed = 6000, .paging = false, .guests = true}); }
TEST_CASE("lock step: programs under two stages of Sv39, Sv48 and Sv57 agree with QEMU") { run_programs({.seed = 7000, .guests = true}); }

TEST_CASE("lock step: a wrong result is found and named") {
    /// A machine that shows a wrong value once.
    struct Wrong : MachineSide {
        u64 steps = 0;
        Result<HartView> view(Detail detail) {
            auto view = MachineSide::view(detail);
            if (++steps == 300) view->x[5] ^= 1;
            return view;
        }
    };
    static_assert(Side<Wrong>);
    MachineSide ours;
    Wrong theirs;
    const Report report = run_lockstep(ours, theirs, random_program({.seed = 9}));
    CHECK(report.disagreement.find("seed 9, ") != std::string::npos);
    CHECK(report.disagreement.find("t0 ") != std::string::npos);
}

TEST_CASE("lock step: a peer that cannot start is an error with its words") {
    if (!QemuPeer::available()) return;
    QemuOptions options;
    options.cpu = "no-such-hart";
    const auto peer = QemuPeer::start(options);
    REQUIRE(!peer);
    CHECK(peer.error().find("no-such-hart") != std::string::npos);
}
