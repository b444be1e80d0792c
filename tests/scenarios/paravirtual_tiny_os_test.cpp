// tiny-os on a hypervisor that it knows: the same console as bare, fewer hypercalls with larger batches, fewer kicks when the device says
// that it looks by itself.
#include "scenarios/session.hpp"

#include <doctest/doctest.h>

#include <algorithm>

using namespace trapeze;
using scenarios::RunEnd;
using scenarios::Session;
using scenarios::SessionConfig;
using vmm::ExitReason;
using vmm::Hypercall;
using vmm::Mode;

namespace {

Session open(const std::string& append, Mode mode = Mode::Paravirtual, bool virtio = false) {
    SessionConfig config;
    config.guest = "tiny-os", config.mode = mode, config.append = append, config.memory_bytes = u64{32} << 20, config.checkpoint_every = 0;
    config.devices.console = virtio;
    auto session = Session::create(config);
    if (!session) FAIL(session.error());
    return std::move(*session);
}

Session ended(const std::string& append, Mode mode = Mode::Paravirtual, bool virtio = false) {
    Session session = open(append, mode, virtio);
    REQUIRE(session.run(300'000'000) == RunEnd::Halted);
    return session;
}

} // namespace

TEST_CASE("tiny-os installs its other operations under a hypervisor that it knows, and its self-test passes") {
    const Session bare = ended("test", Mode::Bare), session = ended("test");
    CHECK(session.console() == bare.console());
    CHECK(session.exit_code() == 0);
    CHECK(session.console().find("self-test passed") != std::string::npos);
    const vmm::Vmm& vmm = *session.vmm();
    CHECK(vmm.paravirt().started);
    CHECK(vmm.paravirt().refused == 0);
    for (ExitReason reason : {ExitReason::CsrAccess, ExitReason::TrapReturn, ExitReason::Fence, ExitReason::Wfi, ExitReason::Mmio}) CHECK(vmm.exits(reason) == 0);
    CHECK(vmm.hypercalls(Hypercall::Start) == 1);
    // Every trap of a program, and every event, is returned from by one call.
    CHECK(vmm.hypercalls(Hypercall::Return) >= vmm.exits(ExitReason::GuestSyscall));
    u64 wrong = 0;
    for (const vmm::ExitDossier& dossier : vmm.ledger()) {
        u64 sum = 0;
        for (const vmm::DossierStep& step : dossier.steps) sum += step.cost, wrong += step_text(step).find('{') != std::string::npos;
        wrong += sum != dossier.cost;
    }
    CHECK(wrong == 0);
}

TEST_CASE("the kernel's own boot arguments do not reach the first process") {
    const Session session = ended("pv-batch=8 run=/bin/uname console=virtio"), bare = ended("run=/bin/uname", Mode::Bare);
    CHECK(session.console() == bare.console());
}

TEST_CASE("larger batches of page-table updates take fewer hypercalls and change nothing else") {
    constexpr u64 kPages = 512, kChildren = 8; // what forkpages touches and how often it forks, if nobody says otherwise
    std::string console;
    u64 updates = 0, previous = ~u64{0}, previous_cycles = ~u64{0};
    for (u64 batch : {u64{1}, u64{8}, u64{64}, u64{512}}) {
        CAPTURE(batch);
        const Session session = ended("run=/bin/forkpages pv-batch=" + std::to_string(batch));
        const vmm::Vmm& vmm = *session.vmm();
        if (console.empty()) console = session.console(), updates = vmm.paravirt().updates;
        CHECK(session.console() == console);
        CHECK(vmm.paravirt().updates == updates);
        const u64 calls = vmm.exits(ExitReason::TableUpdate);
        CHECK(calls == vmm.hypercalls(Hypercall::Update));
        if (batch == 1) CHECK(calls == updates);
        // Each first touch of a page needs its entry at once; each child's entries can wait for each other, but for those of a new table.
        CHECK(calls >= kPages + kChildren * kPages / batch);
        CHECK(calls <= kPages + kChildren * (kPages / batch + 1) + 300 * (batch < 8 ? 4 : 1));
        CHECK(calls < previous);
        CHECK(session.machine().cycles() < previous_cycles);
        previous = calls, previous_cycles = session.machine().cycles();
    }
}

TEST_CASE("a paravirtual session cut into pieces is the session in one piece, and a copy goes on alike") {
    Session whole = open(""), parts = open("");
    for (Session* session : {&whole, &parts}) {
        session->run(400'000);
        session->type("echo one two | cat\nprimes\n");
    }
    whole.run(600'000);
    for (u64 done = 0, piece = 1; done < 600'000; done += piece, piece = piece * 3 % 7919 + 1) parts.run(std::min(piece, 600'000 - done));
    CHECK(whole.position() == parts.position());
    CHECK(whole.console() == parts.console());
    CHECK(whole.machine() == parts.machine());
    CHECK(whole.vmm()->paravirt() == parts.vmm()->paravirt());
    CHECK(whole.vmm()->direct() == parts.vmm()->direct());
    Machine machine = whole.machine();
    vmm::Vmm copy = *whole.vmm();
    copy.run(machine, 100'000), whole.run(100'000);
    CHECK(copy.guest_state(machine) == whole.guest_state());
    CHECK(machine.ram == whole.machine().ram);
}

TEST_CASE("a virtio console prints what the UART prints, in every mode, and takes what is typed") {
    for (Mode mode : {Mode::Bare, Mode::TrapAndEmulate, Mode::Paravirtual}) {
        CAPTURE(vmm::mode_row(mode).name);
        CHECK(ended("test console=virtio", mode, true).console() == ended("test", mode).console());
        Session session = open("console=virtio", mode, true);
        session.run(3'000'000);
        session.type("echo from outside\npoweroff\n");
        CHECK(session.run(10'000'000) == RunEnd::Halted);
        CHECK(session.console().find("\nfrom outside\r\n") != std::string::npos);
    }
}

TEST_CASE("a driver that looks whether the device wants to be told kicks it less, and prints the same") {
    const auto lists = [](const std::string& append) { // many lines, one soon after the other
        Session session = open(append, Mode::Paravirtual, true);
        session.run(3'000'000);
        session.type("ls /bin\nls /bin\npoweroff\n");
        REQUIRE(session.run(10'000'000) == RunEnd::Halted);
        return session;
    };
    const Session always = lists("console=virtio-kick"), asked = lists("console=virtio");
    CHECK(always.console() == asked.console());
    const u64 kicks = always.vmm()->hypercalls(Hypercall::DeviceWrite), fewer = asked.vmm()->hypercalls(Hypercall::DeviceWrite);
    CAPTURE(kicks);
    CAPTURE(fewer);
    CHECK(kicks >= 2 * 20);         // a line each, of twenty programs
    CHECK(fewer + 30 <= kicks);
    CHECK(asked.vmm()->exits() < always.vmm()->exits()); // what the backend's looking costs is less
    CHECK(always.vmm()->hypercalls(Hypercall::ConsoleWrite) == 0);
    CHECK(asked.vmm()->hypercalls(Hypercall::ConsoleWrite) == 0);
    // Printing through the hypervisor takes a call for each piece.
    CHECK(ended("test").vmm()->hypercalls(Hypercall::ConsoleWrite) > 0);
}
