// Sessions: going forward and back must be the same as having run there from the start, in every mode and with what was typed; two
// sessions are the same to the last byte of their traces.
#include "tests/scenarios/sessions.hpp"

#include <algorithm>
#include <map>
#include <random>

using namespace trapeze;
using namespace trapeze::test;

namespace {

std::vector<u8> board_bytes(const Board& board) {
    Board copy = board;
    StateArchive archive;
    copy.state(archive);
    return archive.bytes();
}

/// Where tiny-os is about to turn paging on: natively the instruction, else the function that asks its hypervisor.
const char* paging_begins(Mode mode) { return mode == Mode::Paravirtual ? "pv_enable_paging" : "enable_paging_satp"; }

/// The first thing that tells two sessions apart; empty when nothing does.
std::string difference(const Session& a, const Session& b) {
    if (a.position() != b.position()) return "position";
    if (const std::string where = vmm::difference(a.guest_state(), b.guest_state()); !where.empty()) return "guest: " + where;
    if (!(a.real_state() == b.real_state())) return "the real hart";
    if (!(a.machine() == b.machine())) return "the machine";
    if (a.console() != b.console() || a.printed() != b.printed()) return "console";
    if (a.halted() != b.halted() || a.exit_code() != b.exit_code()) return "end";
    if (!(a.trace() == b.trace())) return "trace";
    if (a.lane() != b.lane()) return "lane";
    if (!a.vmm()) return {};
    if (board_bytes(a.vmm()->board()) != board_bytes(b.vmm()->board())) return "virtual devices";
    if (a.vmm()->exits() != b.vmm()->exits() || a.vmm()->in_hypervisor() != b.vmm()->in_hypervisor()) return "exits";
    if (a.vmm()->ledger().size() != b.vmm()->ledger().size()) return "ledger";
    return {};
}

std::string trace_text(const Trace& trace, bool json) {
    std::string text;
    for (u64 i = trace.first(); i < trace.total(); ++i) text += (json ? event_json(trace, trace.at(i)) : event_text(trace, trace.at(i))) + "\n";
    return text;
}

void run_to(Session& session, const std::string& place) {
    REQUIRE(session.add_breakpoint({Breakpoint::Kind::Address, resolved(session, place), "", true, 0}));
    REQUIRE(session.run(50'000'000) == RunEnd::Breakpoint);
    session.breakpoints().clear();
}

} // namespace

TEST_CASE("Going to any position, back or forward, is the same as having run there from the start, with what was typed") {
    for (const Mode mode : kModes) {
        CAPTURE(vmm::mode_row(mode).name);
        Session session = open(tiny_os(mode));
        std::map<u64, std::string> typed; // at a position
        REQUIRE(run_until_idle(session) == RunEnd::Idle);
        for (const char* text : {"echo one\n", "pipetest; uname\n", "forktest 3 | cat\n"}) {
            session.run(777);
            typed[session.position()] += text;
            session.type(text);
            REQUIRE(run_until_idle(session) == RunEnd::Idle);
        }
        CHECK(session.console().find("the pipe carried 500500") != std::string::npos);
        const u64 end = session.position();

        // The other session never goes back, keeps no checkpoints, and is stopped at every point on the way.
        std::mt19937 random(20 + static_cast<unsigned>(mode));
        std::vector<u64> points{0, 1, 99'999, 100'000, 100'001, end};
        for (const auto& [position, text] : typed) points.insert(points.end(), {position - 1, position, position + 1});
        for (int i = 0; i < 25; ++i) points.push_back(random() % end);
        std::sort(points.begin(), points.end());
        points.erase(std::unique(points.begin(), points.end()), points.end());
        Session straight = open(tiny_os(mode, 0));
        std::vector<Session> at_points;
        for (const u64 point : points) {
            while (straight.position() < point) {
                const auto next = typed.lower_bound(straight.position() + 1);
                straight.run(std::min(point, next == typed.end() ? point : next->first) - straight.position());
                if (const auto here = typed.find(straight.position()); here != typed.end()) straight.type(here->second);
            }
            REQUIRE(straight.position() == point);
            at_points.push_back(straight);
        }
        CHECK(difference(session, straight) == "");

        std::vector<std::size_t> order(points.size());
        for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
        std::shuffle(order.begin(), order.end(), random);
        for (const std::size_t i : order) {
            CAPTURE(points[i]);
            REQUIRE(session.go_to(points[i]));
            CHECK(difference(session, at_points[i]) == "");
        }
    }
}

TEST_CASE("One step back after another is one instruction, or one exit, earlier each time") {
    for (const Mode mode : kModes) {
        CAPTURE(vmm::mode_row(mode).name);
        Session session = open(tiny_os(mode, 50'000));
        run_to(session, paging_begins(mode));
        const u64 start = session.position();
        std::vector<Session> on_the_way{session};
        for (int i = 0; i < 40; ++i) {
            session.step();
            REQUIRE(session.position() == start + static_cast<u64>(i) + 1);
            on_the_way.push_back(session);
        }
        for (on_the_way.pop_back(); !on_the_way.empty(); on_the_way.pop_back()) {
            REQUIRE(session.step_back());
            CHECK(difference(session, on_the_way.back()) == "");
        }
        session.reset();
        CHECK(difference(session, open(tiny_os(mode))) == "");
        REQUIRE(session.step_back()); // there is nothing before the start
        CHECK(session.position() == 0);
    }
}

TEST_CASE("What is typed after going back begins another history") {
    for (const Mode mode : kModes) {
        CAPTURE(vmm::mode_row(mode).name);
        Session session = open(tiny_os(mode));
        run_until_idle(session);
        const u64 prompt = session.position();
        session.type("echo first\n");
        run_until_idle(session);
        CHECK(session.console().find("\nfirst") != std::string::npos);
        REQUIRE(session.go_to(prompt - 1));
        session.type("echo second\n");
        run_until_idle(session);
        CHECK(session.console().find("\nsecond") != std::string::npos);
        CHECK(session.console().find("\nfirst") == std::string::npos);
    }
}

TEST_CASE("Positions that a run does not reach, and sessions without checkpoints, say so") {
    Session session = open(tiny_os(Mode::Bare));
    run_until_idle(session);
    const auto beyond = session.go_to(session.position() + 1000);
    REQUIRE_FALSE(beyond);
    CHECK(beyond.error().find("waits for input") != std::string::npos);
    Session ended = open(tiny_os(Mode::Bare, 100'000, "run=/bin/hello"));
    REQUIRE(run_until_idle(ended) == RunEnd::Halted);
    const auto after = ended.go_to(ended.position() + 1);
    REQUIRE_FALSE(after);
    CHECK(after.error().find("the run ends at") != std::string::npos);
    REQUIRE(ended.go_to(1000));
    CHECK_FALSE(ended.halted());
    Session forgetful = open(tiny_os(Mode::Bare, 0));
    forgetful.run(10);
    const auto back = forgetful.step_back();
    REQUIRE_FALSE(back);
    CHECK(back.error().find("checkpoints") != std::string::npos);
}

TEST_CASE("Two sessions of the same configuration give the same bytes of trace, however they are cut into runs") {
    for (const Mode mode : kModes) {
        CAPTURE(vmm::mode_row(mode).name);
        std::string text, json;
        for (const u64 stretch : {u64{100'000'000}, u64{100'000'000}, u64{12'345}}) {
            Session session = open(tiny_os(mode, stretch == 12'345 ? 0 : 250'000, "run=/bin/pipetest"));
            while (!session.halted()) session.run(stretch);
            CHECK(session.exit_code() == 0);
            const std::string own_text = trace_text(session.trace(), false), own_json = trace_text(session.trace(), true);
            CHECK(own_text.size() > 10'000);
            if (text.empty()) text = own_text, json = own_json;
            CHECK((own_text == text));
            CHECK((own_json == json));
        }
    }
}

TEST_CASE("The swim lanes are the same whether one steps or runs") {
    for (const Mode mode : kModes) {
        CAPTURE(vmm::mode_row(mode).name);
        Session whole = open(tiny_os(mode)), single = open(tiny_os(mode));
        run_to(whole, paging_begins(mode));
        REQUIRE(single.go_to(whole.position()));
        whole.run(3000);
        for (int i = 0; i < 3000; ++i) single.step();
        REQUIRE(whole.lanes().size() == single.lanes().size());
        for (std::size_t i = 0; i < whole.lanes().size(); ++i) {
            CAPTURE(i);
            CHECK(whole.lanes()[i].lane == single.lanes()[i].lane);
            CHECK(whole.lanes()[i].time == single.lanes()[i].time);
        }
        if (mode == Mode::TrapAndEmulate) CHECK(whole.lanes().size() > 2);
    }
}

TEST_CASE("The next trap is the next one, and its return is its own, also when the handler traps") {
    // The handler calls the environment itself, once.
    Program p;
    const u64 handler = kRamBase + 0x100, inner = kRamBase + 0x140;
    p.csrw(Csr::mtvec, handler, t0).li(s0, 0);
    const u64 call = p.here();
    p.op(Op::ecall).op(Op::addi, {s1, 0, 0, 7}).finish();
    p.at(handler).op(Op::bne, {0, s0, 0, static_cast<i64>(inner - handler)}).op(Op::addi, {s0, s0, 0, 1}).csrr(s2, Csr::mepc);
    const u64 nested = p.here();
    p.op(Op::ecall).op(Op::addi, {s2, s2, 0, 4}).csrw(Csr::mepc, s2).csrs(Csr::mstatus, mstatus::MPP, t0).op(Op::mret);
    p.at(inner).csrr(t1, Csr::mepc).op(Op::addi, {t1, t1, 0, 4}).csrw(Csr::mepc, t1).op(Op::mret);
    const Folder folder;
    for (const Mode mode : {Mode::Bare, Mode::Interpret}) {
        CAPTURE(vmm::mode_row(mode).name);
        Session session = open(p, folder, mode);
        CHECK(session.run_to_trap() == RunEnd::Trap);
        CHECK(session.guest_state().pc == handler);
        CHECK(session.guest_state()[Csr::mepc] == call);
        CHECK(session.run_to_return() == RunEnd::Budget);
        CHECK(session.guest_state().pc == call + 4);
        CHECK(session.guest_state().x[s1] == 0); // nothing behind it has run
        session.reset();
        session.run_to_trap();
        CHECK(session.run_to_trap() == RunEnd::Trap);
        CHECK(session.guest_state()[Csr::mepc] == nested);
        CHECK(session.run_to_return() == RunEnd::Budget);
        CHECK(session.guest_state().pc == nested + 4);
        CHECK(session.run_to_trap() == RunEnd::Halted);
    }
    Session trapped = open(tiny_os(Mode::TrapAndEmulate));
    CHECK(trapped.run_to_trap() == RunEnd::Exit);
    CHECK(trapped.lane() == scenarios::Lane::Hypervisor);
    CHECK(trapped.run_to_return() == RunEnd::Budget);
    CHECK(trapped.lane() == scenarios::Lane::GuestKernel);
    CHECK(trapped.vmm()->ledger().back().complete);
}

TEST_CASE("A system call's return leads back into the program, and looking for it takes no minutes") {
    for (const Mode mode : {Mode::Bare, Mode::Interpret}) {
        CAPTURE(vmm::mode_row(mode).name);
        Session session = open(tiny_os(mode));
        REQUIRE(session.add_breakpoint({Breakpoint::Kind::Cause, static_cast<u64>(Cause::EcallFromU), "", true, 0}));
        REQUIRE(session.run(50'000'000) == RunEnd::Breakpoint);
        session.breakpoints().clear();
        CHECK(session.run_to_return() == RunEnd::Budget);
        CHECK(session.guest_state().priv == Priv::U);
        CHECK(session.lane() == scenarios::Lane::GuestUser);
        const u64 total = session.trace().total();
        CHECK(session.trace().at(total - 1).kind == EventKind::TrapReturn);
    }
    Session idle = open(tiny_os(Mode::Bare));
    run_until_idle(idle);
    CHECK(idle.run_to_return() == RunEnd::Idle); // nothing is to come
}

TEST_CASE("A step over a call comes back in the same call of a function that calls itself") {
    Program p;
    const u64 function = kRamBase + 0x80;
    p.li(sp, kRamBase + 0x10000).li(a0, 4);
    p.op(Op::jal, {ra, 0, 0, static_cast<i64>(function - p.here())}).finish();
    p.at(function).op(Op::addi, {sp, sp, 0, -16}).op(Op::sd, {0, sp, ra});
    const u64 branch = p.here();
    p.op(Op::beq, {0, a0, 0, 12}).op(Op::addi, {a0, a0, 0, -1});
    const u64 inner = p.here();
    p.op(Op::jal, {ra, 0, 0, static_cast<i64>(function - inner)});
    CHECK(p.here() == branch + 12);
    p.op(Op::ld, {ra, sp, 0, 0}).op(Op::addi, {sp, sp, 0, 16}).op(Op::jalr, {0, ra, 0, 0});
    const Folder folder;
    for (const Mode mode : kModes) {
        CAPTURE(vmm::mode_row(mode).name);
        Session session = open(p, folder, mode);
        REQUIRE(session.add_breakpoint({Breakpoint::Kind::Address, inner, "", true, 0}));
        REQUIRE(session.run(10'000) == RunEnd::Breakpoint);
        session.breakpoints().clear();
        const u64 stack = session.guest_state().x[sp];
        CHECK(session.step_over() == RunEnd::Budget);
        CHECK(session.guest_state().pc == inner + 4);
        CHECK(session.guest_state().x[sp] == stack);
        CHECK(session.guest_state().x[a0] == 0); // all four have been called
        CHECK(session.breakpoints().empty());
        // One's own breakpoint inside of what is stepped over stops.
        session.reset();
        session.breakpoints() = {{Breakpoint::Kind::Address, inner, "", true, 0}};
        REQUIRE(session.run(10'000) == RunEnd::Breakpoint);
        CHECK(session.step_over() == RunEnd::Breakpoint);
        CHECK(session.guest_state().pc == inner);
    }
}

TEST_CASE("A step over an instruction that exits comes to the next instruction of the guest") {
    for (const Mode mode : kModesThatWriteSatp) {
        CAPTURE(vmm::mode_row(mode).name);
        Session session = open(tiny_os(mode));
        run_to(session, "enable_paging_satp");
        const auto lines = session.code(0, 1);
        REQUIRE(lines.size() == 2);
        CHECK(lines[0].current);
        CHECK(lines[0].sensitive);
        CHECK(resolved(session, lines[0].symbol) == lines[0].pc);
        CHECK(lines[0].pc == resolved(session, "enable_paging_satp"));
        CHECK(session.step_over() == RunEnd::Budget);
        CHECK(session.guest_state().pc == lines[1].pc);
        CHECK(session.guest_state()[Csr::satp] != 0);
    }
}

TEST_CASE("Places are numbers, symbols, and symbols with a distance") {
    const Session session = open(tiny_os(Mode::Bare));
    const u64 place = resolved(session, "kernel_main");
    CHECK(place >= 0x80200000);
    CHECK(resolved(session, "kernel_main+8") == place + 8);
    CHECK(resolved(session, "kernel_main+0x10") == place + 16);
    CHECK(resolved(session, "0x80200000") == 0x80200000);
    CHECK(resolved(session, "42") == 42);
    for (const char* wrong : {"", "kernel_mian", "kernel_main+", "kernel_main+x", "kernel_main + 8", "0x", "12ab", "-8", "0x123456789abcdef01"}) {
        CAPTURE(wrong);
        const auto none = session.resolve(wrong);
        REQUIRE_FALSE(none);
        CHECK(none.error().find(std::string("\"") + wrong + "\"") != std::string::npos);
        CHECK(none.error().find("trapeze symbols") != std::string::npos);
    }
}

TEST_CASE("A guest that rewrites all its memory does not fill the host's with checkpoints") {
    // Stores one double-word to each page of 256 MiB, over and over.
    Program p;
    p.li(s0, kRamBase + 0x10000).li(s1, u64{256} << 20).op(Op::add, {s1, s0, s1}).li(t1, kPageSize);
    const u64 round = p.here();
    p.op(Op::addi, {t0, s0, 0, 0});
    p.op(Op::sd, {0, t0, t0}).op(Op::add, {t0, t0, t1}).op(Op::bltu, {0, t0, s1, -8}).jump(round);
    const Folder folder;
    const std::vector<u8> bytes = p.bytes();
    SessionConfig config;
    config.guest = folder.write("guest.bin", std::string(bytes.begin(), bytes.end()));
    config.firmware = false;
    config.memory_bytes = u64{272} << 20;
    config.checkpoint_every = 200'000;
    Session session = open(config);
    const auto resident = [] {
        const std::string status = read_text("/proc/self/status");
        return std::strtoull(status.c_str() + status.find("VmRSS:") + 6, nullptr, 10) >> 10; // MiB
    };
    const u64 before = resident();
    session.run(4'000'000);
    CHECK(session.machine().ram.touched_pages() > 60'000);
    CHECK(resident() - before < 1600); // 20 checkpoints of 256 MiB were due
    REQUIRE(session.go_to(1'500'000));
    CHECK(session.position() == 1'500'000);
}
