// pcapng files, read back by the rules of draft-ietf-opsawg-pcapng.
#include "emulator/trace/pcapng.hpp"

#include <doctest/doctest.h>

#include <cstring>

using namespace trapeze;

namespace {
u32 word(const std::vector<u8>& file, std::size_t at) {
    u32 value = 0;
    REQUIRE(at + 4 <= file.size());
    std::memcpy(&value, file.data() + at, 4);
    return value;
}
} // namespace

TEST_CASE("pcapng: blocks follow each other, each with its length at both ends") {
    const std::vector<u8> one = {1, 2, 3, 4, 5}, two(60, 9);
    const CapturedFrame frames[] = {{0x1'0000'0007, 1, one}, {0x2'0000'0000, 0, two}};
    const auto file = pcapng(frames, {"gateway", "net0"});
    std::vector<u32> types;
    std::vector<std::size_t> starts;
    for (std::size_t at = 0; at < file.size();) {
        const u32 length = word(file, at + 4);
        REQUIRE(length % 4 == 0);
        REQUIRE(length >= 12);
        CHECK(word(file, at + length - 4) == length);
        types.push_back(word(file, at)), starts.push_back(at);
        at += length;
    }
    CHECK(types == std::vector<u32>{0x0a0d0d0a, 1, 1, 6, 6});
    CHECK(word(file, 8) == 0x1a2b3c4d);
    CHECK(word(file, starts[1] + 8) == 1); // Ethernet
    const std::size_t packet = starts[3];
    CHECK(word(file, packet + 8) == 1); // interface
    CHECK(word(file, packet + 12) == 1); // time, high half first
    CHECK(word(file, packet + 16) == 7);
    CHECK(word(file, packet + 20) == 5);
    CHECK(word(file, packet + 24) == 5);
    CHECK(std::equal(one.begin(), one.end(), file.begin() + static_cast<long>(packet) + 28));
    CHECK(word(file, starts[4] + 20) == 60);
}

TEST_CASE("pcapng: a capture of nothing is a file with its interfaces") {
    CHECK(word(pcapng({}, {}), 0) == 0x0a0d0d0a);
    CHECK(pcapng({}, {"a"}).size() > pcapng({}, {}).size());
}
