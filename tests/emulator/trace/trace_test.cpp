#include "emulator/trace/trace.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

using namespace trapeze;

namespace {
Event trap_event(u64 time) {
    Event e{.time = time, .pc = 0x8000'0010, .a = 0x40, .detail = pack_cause(static_cast<u64>(Cause::LoadPageFault)), .kind = EventKind::TrapTaken};
    e.from = static_cast<u8>(Priv::U), e.to = static_cast<u8>(Priv::S);
    return e;
}
} // namespace

TEST_CASE("Events are counted always and kept only when their class is recorded") {
    Trace trace(8);
    trace.add(trap_event(1));
    CHECK(trace.count(EventKind::TrapTaken) == 1);
    CHECK(trace.total() == 0);
    trace.record(class_bit(EventClass::Trap));
    trace.add(trap_event(2));
    trace.add({.kind = EventKind::CsrWrite});
    CHECK(trace.total() == 1);
    CHECK(trace.at(0).time == 2);
    CHECK(trace.count(EventKind::CsrWrite) == 1);
}

TEST_CASE("The ring keeps the newest events") {
    Trace trace(4);
    trace.record(kAllClasses);
    for (u64 t = 0; t < 10; ++t) trace.add(trap_event(t));
    CHECK(trace.total() == 10);
    REQUIRE(trace.first() == 6);
    for (u64 i = trace.first(); i < trace.total(); ++i) CHECK(trace.at(i).time == i);
    trace.clear();
    CHECK(trace.total() == 0);
    CHECK(trace.first() == 0);
}

TEST_CASE("A ring of no capacity holds one event instead of failing") {
    Trace trace(0);
    trace.record(kAllClasses);
    trace.add(trap_event(1));
    trace.add(trap_event(2));
    CHECK(trace.at(trace.first()).time == 2);
}

TEST_CASE("Texts are interned once, cut at their limit and bounded in number") {
    Trace trace;
    const u32 first = trace.text("mret");
    CHECK(trace.text("sret") != first);
    CHECK(trace.text("mret") == first);
    CHECK(trace.text_of(first) == "mret");
    CHECK(trace.text_of(1'000'000).empty());
    const std::string& cut = trace.text_of(trace.text(std::string(10'000, 'x')));
    CHECK(cut.size() == Trace::kMaxTextBytes);
    CHECK(cut.ends_with("..."));
    u32 last = 0;
    for (std::size_t i = 0; i < Trace::kMaxTexts + 10; ++i) last = trace.text(fmt::format("text {}", i));
    CHECK(trace.text_of(last) == "...");
    CHECK(last < Trace::kMaxTexts);
    CHECK(trace.text_of(trace.text("mret")) == "mret"); // known ones stay
}

TEST_CASE("An event reads as its row's sentence") {
    Trace trace;
    CHECK(event_text(trace, trap_event(5)) == "trap U->S: load page fault at pc 0x80000010, tval 0x40");
    Event interrupt = trap_event(5);
    interrupt.detail = pack_cause(kInterruptBit | 5);
    CHECK(event_text(trace, interrupt).find("supervisor timer interrupt") != std::string::npos);
    Event halted{.a = 3, .kind = EventKind::Halted};
    CHECK(event_text(trace, halted) == "the machine was switched off with code 3");
    CHECK_FALSE(event_text(trace, Event{}).empty()); // a kind that does not exist
}

TEST_CASE("An event is one JSON object, whatever its text holds") {
    Trace trace;
    Event e{.time = 9, .pc = ~u64{0}, .detail = trace.text("a \"quoted\" \xff byte"), .kind = EventKind::FirmwareCall};
    e.hart = 3, e.tag = 2;
    const auto json = nlohmann::json::parse(event_json(trace, e));
    CHECK(json["kind"] == "FirmwareCall");
    CHECK(json["time"] == 9);
    CHECK(json["pc"] == "0xffffffffffffffff");
    CHECK(json["hart"] == 3);
    CHECK(json["vm"] == 2);
    CHECK(json["detail"].get<std::string>().starts_with("a \"quoted\""));
}

TEST_CASE("Two traces with the same history are equal") {
    Trace a(4), b(4);
    for (Trace* t : {&a, &b}) t->record(kAllClasses), t->add(trap_event(1)), t->text("x");
    CHECK(a == b);
    b.add(trap_event(2));
    CHECK_FALSE(a == b);
}
