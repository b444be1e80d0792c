#include "emulator/mem/ram.hpp"

#include <doctest/doctest.h>

#include <numeric>

using namespace trapeze;

TEST_CASE("RAM reads as zero and holds no page until it is written") {
    Ram ram(16 * kPageSize);
    u64 value = 1;
    CHECK(ram.read(kPageSize, value));
    CHECK(value == 0);
    CHECK(ram.touched_pages() == 0);
    CHECK(ram.fill(0, 16 * kPageSize, 0));
    CHECK(ram.touched_pages() == 0);
    CHECK(ram.write_value(kPageSize, u64{7}));
    CHECK(ram.touched_pages() == 1);
}

TEST_CASE("RAM refuses ranges that are not all inside, and does nothing then") {
    Ram ram(2 * kPageSize);
    std::vector<u8> bytes(16, 0xaa);
    for (u64 offset : {2 * kPageSize - 15, 2 * kPageSize, ~u64{0} - 3, ~u64{0}}) {
        CHECK_FALSE(ram.write(offset, bytes));
        CHECK_FALSE(ram.read(offset, bytes));
        CHECK_FALSE(ram.fill(offset, 16, 1));
    }
    CHECK_FALSE(ram.fill(1, ~u64{0}, 1));
    CHECK(ram.touched_pages() == 0);
    CHECK(ram.write(2 * kPageSize - 16, bytes));
}

TEST_CASE("Writes cross pages") {
    Ram ram(3 * kPageSize);
    std::vector<u8> bytes(kPageSize + 100), back(kPageSize + 100);
    std::iota(bytes.begin(), bytes.end(), u8{0});
    CHECK(ram.write(kPageSize - 50, bytes));
    CHECK(ram.read(kPageSize - 50, back));
    CHECK(back == bytes);
    CHECK(ram.touched_pages() == 3);
}

TEST_CASE("Copies share pages until one of them writes, and never see each other's writes") {
    Ram a(4 * kPageSize);
    a.write_value(0, u32{1});
    Ram b = a;
    CHECK(a == b);
    b.write_value(0, u32{2});
    u32 in_a = 0, in_b = 0;
    a.read(0, in_a), b.read(0, in_b);
    CHECK(in_a == 1);
    CHECK(in_b == 2);
    CHECK_FALSE(a == b);
    a.write_value(0, u32{2});
    CHECK(a == b); // contents count, not pages
}

TEST_CASE("Copies of copies keep what each of them wrote, and pages that nobody has any more are used again") {
    constexpr u64 kPages = 1100; // more than two groups, the last one not full
    const u64 held_before = page_store::held_bytes();
    u64 held_once = 0;
    for (int round = 0; round < 20; ++round) {
        Ram first(kPages * kPageSize);
        for (u64 page = 0; page < kPages; ++page) first.write_value(page * kPageSize, page);
        Ram second = first, third(kPageSize);
        second.write_value((kPages - 1) * kPageSize, u64{7});
        third = second;
        first.write_value(0, u64{8});
        u64 value = 0;
        CHECK((third.read(0, value) && value == 0));
        CHECK((third.read((kPages - 1) * kPageSize, value) && value == 7));
        CHECK((first.read((kPages - 1) * kPageSize, value) && value == kPages - 1));
        CHECK(third == second);
        CHECK_FALSE(first == second);
        CHECK(third.touched_pages() == kPages);
        if (round == 0) held_once = page_store::held_bytes();
        CHECK(page_store::held_bytes() == held_once);
    }
    CHECK(held_once - held_before <= (16 << 20));
    CHECK(page_store::held_bytes() <= held_once);
}

TEST_CASE("A copy's code marks are its own") {
    Ram ram(600 * kPageSize);
    ram.mark_code(0, 64);
    Ram copy = ram;
    copy.write_value(0, u8{1});
    CHECK(copy.code_version(0) != ram.code_version(0));
    CHECK_FALSE(copy.has_code(0));
    CHECK(ram.has_code(0));
    CHECK_FALSE(copy.has_code(599));
    copy.mark_code(599 * kPageSize, 4);
    CHECK(copy.has_code(599));
    CHECK_FALSE(ram.has_code(599));
}

TEST_CASE("A host pointer goes stale, and says so, when its page is copied or shared") {
    Ram ram(2 * kPageSize);
    const u64 before = ram.map_generation();
    const u8* shared_zero = ram.page_for_read(0);
    CHECK(ram.map_generation() == before);
    u8* own = ram.page_for_write(0); // leaves the zero page
    CHECK(own != shared_zero);
    CHECK(ram.map_generation() != before);
    const u64 owned = ram.map_generation();
    CHECK(ram.page_for_write(0) == own);
    CHECK(ram.map_generation() == owned);

    const Ram copy = ram; // `own` now leads to a page that both have
    CHECK(ram.map_generation() != owned);
    ram.page_for_write(0)[0] = 9;
    u8 in_copy = 1;
    copy.read(0, in_copy);
    CHECK(in_copy == 0);
}

TEST_CASE("Two RAMs never have the same generation, so no cache can match the wrong one") {
    Ram a(kPageSize), b(kPageSize);
    CHECK(a.map_generation() != b.map_generation());
    CHECK(a.code_generation() != b.code_generation());
    Ram c = a;
    CHECK(c.map_generation() != a.map_generation());
}

TEST_CASE("Overwriting decoded code changes its page's version; writing beside it does not") {
    Ram ram(2 * kPageSize);
    const u64 unmarked = ram.mark_generation();
    ram.mark_code(128, 64);
    CHECK(ram.mark_generation() != unmarked);
    CHECK(ram.has_code(0));
    const u64 generation = ram.code_generation();
    const u32 version = ram.code_version(0);

    ram.write_value(64, u64{1});
    ram.write_value(192, u64{1});
    ram.write_value(kPageSize + 128, u64{1});
    CHECK(ram.code_generation() == generation);

    ram.write_value(124, u64{1}); // its last four bytes are in the line
    CHECK(ram.code_generation() != generation);
    CHECK(ram.code_version(0) != version);
    CHECK_FALSE(ram.has_code(0)); // nothing decoded from it is valid any longer
}

TEST_CASE("Code marked across two pages is found in both") {
    Ram ram(2 * kPageSize);
    ram.mark_code(kPageSize - 2, 4);
    CHECK(ram.has_code(0));
    CHECK(ram.has_code(1));
    const u32 version = ram.code_version(1);
    ram.fill(kPageSize, 1, 0);
    CHECK(ram.code_version(1) != version);
}

TEST_CASE("Assignment gives every page a version that neither side had") {
    Ram a(kPageSize), b(kPageSize);
    a.mark_code(0, 64), b.mark_code(0, 64);
    a.write_value(0, u8{1}), b.write_value(0, u8{2}); // both at the same version, with other contents
    const u32 seen = a.code_version(0);
    REQUIRE(seen == b.code_version(0));
    a = b;
    CHECK(a.code_version(0) > seen);
    CHECK(a == b);
}
