// The page walker by itself: tables in a map, every read counted.
#include "emulator/mem/page_walk.hpp"
#include "tests/emulator/mem/tables.hpp"

#include <doctest/doctest.h>

using namespace trapeze;
using namespace trapeze::testing;

namespace {
constexpr u64 kLeaf = pte::V | pte::R | pte::W | pte::X | pte::U | pte::A | pte::D;
constexpr u64 kVa = 0x12'3456'7abc & ((u64{1} << 38) - 1);
}

TEST_CASE("10.4: one stage reads one entry a level") {
    for (unsigned levels : {3u, 4u, 5u}) {
        Tables tables;
        const u64 root = tables.root(levels);
        tables.map(root, levels, kVa, 0x8000'0000, 0, kLeaf);
        const PageWalk walk = tables.walk({.first = root, .rights = {.priv = Priv::U}}, kVa, Access::Load);
        CHECK(walk.outcome == PageWalk::Outcome::Ok);
        CHECK(walk.physical == 0x8000'0abc);
        CHECK(walk.steps == levels);
        CHECK(walk.updates == 0);
        for (unsigned i = 0; i < levels; ++i) CHECK(walk.read[i].level == levels - 1 - i);
    }
}

TEST_CASE("15.5: two stages read (n + 1)(m + 1) - 1 entries: 15 for Sv39 over Sv39x4, 24 for Sv48, 35 for Sv57") {
    for (unsigned first : {3u, 4u, 5u})
        for (unsigned second : {3u, 4u, 5u}) {
            TwoStages guest(first, second);
            guest.map(kVa, 0x9000'0000, 0, kLeaf);
            const PageWalk walk = guest.walk(kVa, Access::Load);
            CHECK(walk.outcome == PageWalk::Outcome::Ok);
            CHECK(walk.guest_physical == 0x9000'0abc);
            CHECK(walk.physical == guest.host(0x9000'0abc));
            CHECK(walk.steps == (first + 1) * (second + 1) - 1);
        }
}

TEST_CASE("15.5: superpages in either stage save reads") {
    TwoStages guest(3, 3);
    guest.map(kVa, 0x9000'0000, 1, kLeaf); // one level less of the first stage: one entry and its translation
    CHECK(guest.walk(kVa, Access::Load).steps == 15 - 4);
    CHECK(guest.walk(kVa, Access::Load).page_size == kPageSize);
    CHECK(guest.walk(kVa, Access::Load).fenced_size == 2 << 20); // what a guest's fence of one address covers
    TwoStages large(3, 3, 1);
    large.map(kVa, 0x9000'0000, 0, kLeaf); // one level less of each second-stage walk
    CHECK(large.walk(kVa, Access::Load).steps == 15 - 4);
    CHECK(large.walk(kVa, Access::Load).fenced_size == kPageSize);
}

TEST_CASE("15.6.3: a fault of the second stage for a table's entry says so, and where") {
    TwoStages guest(3, 3);
    guest.map(kVa, 0x9000'0000, 0, kLeaf);
    const PageWalk good = guest.walk(kVa, Access::Load);
    const u64 table = guest.first_table_guest(1); // of the middle level
    guest.unmap_guest(table);
    const PageWalk walk = guest.walk(kVa, Access::Store);
    CHECK(walk.outcome == PageWalk::Outcome::GuestPageFault);
    CHECK(walk.implicit);
    CHECK_FALSE(walk.implicit_write);
    CHECK((walk.guest_physical & ~kPageMask) == table);
    CHECK(walk.steps < good.steps);
}

TEST_CASE("15.5: a first-stage entry whose accessed bit is clear needs its page writable in the second stage") {
    TwoStages guest(3, 3);
    guest.map(kVa, 0x9000'0000, 0, kLeaf & ~(pte::A | pte::D));
    const PageWalk good = guest.walk(kVa, Access::Store);
    CHECK(good.outcome == PageWalk::Outcome::Ok);
    REQUIRE(good.updates == 1);
    CHECK(good.update[0].entry == good.leaf);
    CHECK((good.leaf & (pte::A | pte::D)) == (pte::A | pte::D));
    CHECK(good.steps == 15); // the check costs no read
    guest.protect_guest(guest.first_table_guest(0), kLeaf & ~pte::W);
    const PageWalk walk = guest.walk(kVa, Access::Load);
    CHECK(walk.outcome == PageWalk::Outcome::GuestPageFault);
    CHECK(walk.implicit_write);
}

TEST_CASE("15.5.1: the second stage's root has 2048 entries, and what lies above faults") {
    Tables tables;
    const u64 root = tables.root(3, true);
    const u64 high = (u64{1} << 40) + 0x5000;
    tables.map(root, 3, high, 0x8000'0000, 0, kLeaf, true);
    const Translation t{.first = 0, .second = root, .rights = {}, .second_rights = {.priv = Priv::U}};
    CHECK(tables.walk(t, high, Access::Load).physical == 0x8000'0000);
    const PageWalk beyond = tables.walk(t, high + (u64{1} << 41), Access::Load);
    CHECK(beyond.outcome == PageWalk::Outcome::GuestPageFault);
    CHECK(beyond.steps == 0);
    CHECK_FALSE(beyond.implicit);
}

TEST_CASE("15.5.1: to the second stage every access is a user's") {
    TwoStages guest(3, 3);
    guest.map(kVa, 0x9000'0000, 0, kLeaf);
    guest.protect_guest(0x9000'0000, kLeaf & ~pte::U);
    CHECK(guest.walk(kVa, Access::Load).outcome == PageWalk::Outcome::GuestPageFault);
}

TEST_CASE("11: Svnapot's 64 KiB page translates with the low bits of the address; other sizes are reserved") {
    Tables tables;
    const u64 root = tables.root(3);
    for (u64 page = 0; page < 16; ++page) tables.map(root, 3, kVa + page * kPageSize, 0x8004'8000, 0, kLeaf | pte::N);
    const Translation t{.first = root, .rights = {.priv = Priv::U}};
    const u64 page = (kVa >> kPageShift) % 16;
    const PageWalk walk = tables.walk(t, kVa, Access::Load);
    CHECK(walk.physical == 0x8004'0000 + page * kPageSize + 0xabc);
    CHECK(walk.page_size == 64 << 10);
    tables.map(root, 3, kVa, 0x8004'4000, 0, kLeaf | pte::N);
    CHECK(tables.walk(t, kVa, Access::Load).outcome == PageWalk::Outcome::PageFault);
}

TEST_CASE("12: a memory type is reserved where it is not enabled, and its fourth value always") {
    Tables tables;
    const u64 root = tables.root(3);
    for (u64 type = 0; type < 4; ++type) {
        tables.map(root, 3, kVa, 0x8000'0000, 0, kLeaf | type << 61);
        Translation t{.first = root, .rights = {.priv = Priv::U}};
        CHECK((tables.walk(t, kVa, Access::Load).outcome == PageWalk::Outcome::Ok) == (type != 3));
        t.rights.page_types = false;
        CHECK((tables.walk(t, kVa, Access::Load).outcome == PageWalk::Outcome::Ok) == (type == 0));
    }
}

TEST_CASE("15.3.1: hlvx needs X in both stages, and R in neither") {
    TwoStages guest(3, 3);
    guest.map(kVa, 0x9000'0000, 0, kLeaf & ~(pte::R | pte::W));
    guest.protect_guest(0x9000'0000, kLeaf & ~(pte::R | pte::W));
    CHECK(guest.walk(kVa, Access::Load).outcome == PageWalk::Outcome::PageFault);
    CHECK(guest.walk(kVa, Access::Load, true).outcome == PageWalk::Outcome::Ok);
    guest.protect_guest(0x9000'0000, kLeaf & ~pte::X);
    CHECK(guest.walk(kVa, Access::Load, true).outcome == PageWalk::Outcome::GuestPageFault);
}

TEST_CASE("10.4: an address whose upper bits are not copies of the highest translated one faults without a read") {
    for (unsigned levels : {3u, 4u, 5u}) {
        Tables tables;
        const u64 root = tables.root(levels);
        const PageWalk walk = tables.walk({.first = root, .rights = {}}, u64{1} << (11 + 9 * levels), Access::Load);
        CHECK(walk.outcome == PageWalk::Outcome::PageFault);
        CHECK(walk.steps == 0);
    }
}
