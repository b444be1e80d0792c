// Looking at a guest: its memory, page tables, calls, rings, and breakpoints as people write them.
#include "scenarios/call_stack.hpp"
#include "scenarios/guest_memory.hpp"
#include "scenarios/page_tables.hpp"
#include "scenarios/rings.hpp"
#include "scenarios/walk.hpp"

#include <doctest/doctest.h>

#include <set>

using namespace trapeze;
using namespace trapeze::scenarios;

namespace {

Session open(Mode mode, bool console = false) {
    SessionConfig config;
    config.guest = "tiny-os", config.mode = mode;
    config.devices.console = console;
    if (console) config.append = "console=virtio";
    auto session = Session::create(config);
    REQUIRE_MESSAGE(session, (session ? "" : session.error()));
    return std::move(*session);
}

/// Collects the leaves of a table.
void leaves_of(const Session& session, const PageTable& table, u64 address, unsigned level, u64 va, std::vector<TableLine>& leaves) {
    for (const TableLine& line : table_lines(session, table, address, level, va)) {
        if (line.leaf()) leaves.push_back(line);
        else if (line.entry & pte::V && level) leaves_of(session, table, line.target(), level - 1, line.va, leaves);
    }
}

} // namespace

TEST_CASE("Every leaf that the tree shows is what a walk of its addresses finds") {
    for (const Mode mode : {Mode::Bare, Mode::TrapAndEmulate, Mode::Paravirtual, Mode::HardwareAssisted}) {
        Session session = open(mode);
        session.run(100'000'000);
        const PageTable table = guest_table(session);
        REQUIRE(table.levels == 3);
        std::vector<TableLine> leaves;
        leaves_of(session, table, table.root, table.levels - 1, 0, leaves);
        REQUIRE(leaves.size() > 3);
        for (const TableLine& line : leaves)
            for (const u64 page : {u64{0}, line.count - 1}) {
                const u64 va = line.va + page * line.size() + 8;
                const PageWalk walk = guest_walk(session, 0, va);
                CAPTURE(va);
                if (walk.outcome != PageWalk::Outcome::Ok) continue; // not readable
                CHECK(walk.physical == line.target() + page * line.size() + 8);
                CHECK(walk.steps == table.levels - line.level);
            }
    }
}

TEST_CASE("The machine's table is the shadow table or the G-stage, and maps where the guest's memory really is") {
    Session shadowed = open(Mode::TrapAndEmulate), assisted = open(Mode::HardwareAssisted), bare = open(Mode::Bare);
    for (Session* session : {&shadowed, &assisted, &bare}) session->run(100'000'000);
    CHECK(machine_table(bare).levels == 0);
    CHECK_FALSE(machine_table(bare).off.empty());
    CHECK(machine_table(shadowed).name == "shadow table");
    const PageTable gstage = machine_table(assisted);
    CHECK(gstage.name == "G-stage table");
    std::vector<TableLine> leaves;
    leaves_of(assisted, gstage, gstage.root, gstage.levels - 1, 0, leaves);
    REQUIRE(leaves.size() > 0);
    u64 mapped = 0;
    for (const TableLine& line : leaves) {
        mapped += line.count;
        CHECK(line.target() == assisted.vmm()->to_host(GuestPhys(line.va)).value);
    }
    u64 counted = 0;
    for (u64 level : assisted.vmm()->gstage().mapped()) counted += level;
    CHECK(mapped == counted);
}

TEST_CASE("The caller in the call stack is where stepping out arrives") {
    for (const char* function : {"memory_start", "native_enable_paging", "put_number"}) {
        Session session = open(Mode::Bare);
        const auto address = session.resolve(function);
        REQUIRE(address);
        session.run_to(address.value());
        REQUIRE(session.guest_state().pc == address.value());
        const auto frames = call_stack(session);
        REQUIRE(frames.size() >= 2);
        CHECK(frames[0].pc == address.value());
        CHECK(frames[1].how == CallFrame::How::Link);
        session.step_out();
        CHECK(session.guest_state().pc == frames[1].pc);
    }
}

TEST_CASE("A frame found on the stack is returned to, deep in a call") {
    Session session = open(Mode::Bare);
    const auto address = session.resolve("native_enable_paging");
    REQUIRE(address);
    session.run_to(address.value());
    const auto frames = call_stack(session);
    REQUIRE(frames.size() >= 3);
    CHECK(frames[2].at != 0);
    session.run_to(frames[2].pc);
    CHECK(session.guest_state().pc == frames[2].pc);
    CHECK(session.guest_state().x[2] > frames[2].at); // its frame is gone
}

TEST_CASE("Memory is written whole or not at all, and going back ends there") {
    Session session = open(Mode::TrapAndEmulate);
    session.run(100'000'000);
    const u64 stack = session.guest_state().x[2];
    const std::array<u8, 4> bytes{1, 2, 3, 4};
    std::array<u8, 4> read{};
    const u64 before = session.earliest();
    CHECK(write_guest_memory(session, 0, stack, AddressSpace::Virtual, bytes));
    CHECK(read_guest_memory(session, 0, stack, AddressSpace::Virtual, read) == 4);
    CHECK(read == bytes);
    CHECK(session.earliest() == session.position());
    CHECK(before < session.earliest());
    const auto at = ram_address(session, 0, stack, AddressSpace::Virtual);
    REQUIRE(at);
    read = {};
    CHECK(read_guest_memory(session, 0, *at, AddressSpace::Physical, read) == 4);
    CHECK(read == bytes);
    const auto nowhere = write_guest_memory(session, 0, 0x4000'0000'0000, AddressSpace::Virtual, bytes);
    REQUIRE_FALSE(nowhere);
    CHECK(nowhere.error().find("0x400000000000") != std::string::npos);
}

TEST_CASE("A search finds what was put there, across a page's edge, and ends when there is nothing") {
    Session session = open(Mode::Bare);
    const std::string wanted = "somewhere in memory";
    const u64 edge = kRamBase + (u64{3} << 20) - 7;
    REQUIRE(write_guest_memory(session, 0, edge, AddressSpace::Physical, std::span(reinterpret_cast<const u8*>(wanted.data()), wanted.size())));
    MemorySearch search{.at = kRamBase, .bytes = wanted, .space = AddressSpace::Physical};
    std::optional<u64> found;
    while (!found && !search.done()) found = search.go_on(session, 64);
    CHECK(found == edge);
    found.reset();
    search.left = u64{4} << 20;
    while (!found && !search.done()) found = search.go_on(session, 64);
    CHECK_FALSE(found);
}

TEST_CASE("Bytes are written as digits, as a number or as text") {
    CHECK(parse_bytes("de ad be ef").value() == "\xde\xad\xbe\xef");
    CHECK(parse_bytes("0x1234").value() == "\x34\x12");
    CHECK(parse_bytes("0xf").value() == "\x0f");
    CHECK(parse_bytes("\"abc\"").value() == "abc");
    for (const char* wrong : {"", "d", "xy", "0x", "\"\"", "de a"}) CHECK_FALSE(parse_bytes(wrong));
    CHECK_FALSE(parse_bytes(std::string(200, 'a')));
}

TEST_CASE("A breakpoint's text reads back as the same breakpoint") {
    const Session session = open(Mode::TrapAndEmulate);
    for (const char* text : {"kernel_main", "csr satp", "exit csr access", "cause load page fault", "write current+0x8", "read 0x80400000", "access kernel_main"}) {
        CAPTURE(text);
        auto breakpoint = session.parse_breakpoint(text);
        REQUIRE_MESSAGE(breakpoint, (breakpoint ? "" : breakpoint.error()));
        const std::string told = session.breakpoint_text(*breakpoint);
        auto again = session.parse_breakpoint(told);
        REQUIRE_MESSAGE(again, told);
        CHECK(again->kind == breakpoint->kind);
        CHECK(again->value == breakpoint->value);
        CHECK(again->on_loads == breakpoint->on_loads);
        CHECK(again->on_stores == breakpoint->on_stores);
    }
    CHECK(session.parse_breakpoint("cause 13")->value == 13);
    CHECK(session.parse_breakpoint("kernel_main+2")->value == session.parse_breakpoint("pc kernel_main")->value + 2);
    for (const char* wrong : {"", "   ", "no_such_symbol", "csr nonsense", "exit because", "cause maybe", "write nowhere"}) {
        CAPTURE(wrong);
        const auto refused = session.parse_breakpoint(wrong);
        REQUIRE_FALSE(refused);
        CHECK(refused.error().find("csr NAME") != std::string::npos);
    }
}

TEST_CASE("The rings of a virtio console show what the guest printed through them") {
    Session session = open(Mode::HardwareAssisted, true);
    session.run(100'000'000);
    u64 printed = 0;
    for (const RingPlace& place : rings_of(session)) {
        CHECK(place.device == "virtio-console");
        const Ring ring = read_ring(session, place);
        REQUIRE(ring.readable);
        CHECK(ring.used_index == ring.queue.next_used);
        if (place.queue != 1) continue; // transmit
        CHECK(ring.queue.kicks > 0);
        CHECK(ring.available_index == ring.used_index);
        CHECK(ring.waiting() == 0);
        const u16 newest = static_cast<u16>(ring.used_index - 1);
        const auto chain = ring.chain(static_cast<u16>(ring.used[newest % ring.queue.size].id));
        REQUIRE_FALSE(chain.empty());
        std::string text(ring.descriptors[chain[0]].bytes, ' ');
        read_guest_memory(session, 0, ring.descriptors[chain[0]].address, AddressSpace::Physical, std::span(reinterpret_cast<u8*>(text.data()), text.size()));
        CHECK(session.console().ends_with(text));
        printed += text.size();
    }
    CHECK(printed > 0);
}

TEST_CASE("A chain that loops or leaves the table ends") {
    Ring ring{.queue = {}};
    ring.descriptors = {{0, 0, 1, 1}, {0, 0, 1, 0}, {0, 0, 1, 77}};
    CHECK(ring.chain(0) == std::vector<u16>{0, 1});
    CHECK(ring.chain(2) == std::vector<u16>{2});
    CHECK(ring.chain(99).empty());
}
