// Filtering the trace piece by piece: in the end the same as looking at all of it.
#include "ui/event_index.hpp"

#include <doctest/doctest.h>

#include <vector>

using namespace trapeze;
using namespace trapeze::ui;

namespace {

void add(Trace& trace, u64 count) {
    constexpr EventKind kKinds[] = {EventKind::TrapTaken, EventKind::CsrWrite, EventKind::VmExit, EventKind::ShadowFill, EventKind::VmEntry};
    for (u64 i = 0; i < count; ++i) {
        Event event;
        event.kind = kKinds[(trace.total() * 7 + trace.total() / 3) % std::size(kKinds)];
        event.time = event.pc = trace.total();
        trace.add(event);
    }
}

std::vector<u64> all_of(const Trace& trace, const EventFilter& filter) {
    std::vector<u64> found;
    for (u64 i = trace.first(); i < trace.total(); ++i)
        if (filter.takes(trace, trace.at(i))) found.push_back(i);
    return found;
}

std::vector<u64> contents(const EventIndex& index) {
    std::vector<u64> found;
    for (u64 i = 0; i < index.size(); ++i) found.push_back(index.at(i));
    return found;
}

} // namespace

TEST_CASE("What is found piece by piece, while events come and old ones go, is what a look at all finds") {
    const EventFilter filters[] = {{}, {.classes = class_bit(EventClass::Exit)}, {.classes = 0}, {.text = "pc 0x1"}, {.classes = class_bit(EventClass::Exit), .text = "entry"}};
    for (const EventFilter& filter : filters) {
        Trace trace(500);
        trace.record(kAllClasses);
        EventIndex index;
        for (int round = 0; round < 60; ++round) {
            if (round < 40) add(trace, 37);
            index.advance(trace, filter, 1, 6000);
        }
        CHECK(index.done() == 1);
        CHECK(contents(index) == all_of(trace, filter));
    }
}

TEST_CASE("The newest events are found first, and a budget bounds the work") {
    Trace trace(100'000);
    trace.record(kAllClasses);
    add(trace, 50'000);
    const EventFilter filter{.classes = class_bit(EventClass::Csr)};
    EventIndex index;
    index.advance(trace, filter, 1, 1000);
    REQUIRE(index.size() > 0);
    CHECK(index.size() <= 1001);
    CHECK(index.at(index.size() - 1) == all_of(trace, filter).back());
    CHECK(index.done() < 0.1);
}

TEST_CASE("Another history or another filter begins anew") {
    Trace trace(1000);
    trace.record(kAllClasses);
    add(trace, 100);
    EventIndex index;
    const EventFilter exits{.classes = class_bit(EventClass::Exit)}, writes{.classes = class_bit(EventClass::Csr)};
    index.advance(trace, exits, 1, 10'000);
    CHECK(contents(index) == all_of(trace, exits));
    index.advance(trace, writes, 1, 10'000);
    CHECK(contents(index) == all_of(trace, writes));
    Trace other(1000);
    other.record(kAllClasses);
    add(other, 3);
    add(other, 100);
    index.advance(other, writes, 2, 10'000);
    CHECK(contents(index) == all_of(other, writes));
}
