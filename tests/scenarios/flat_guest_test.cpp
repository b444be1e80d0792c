// Flat images of a few instructions, run by the real program: what its switches do to a guest, and how much memory of the host it takes.
#include "tests/scenarios/child_process.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <initializer_list>

using namespace trapeze::test;

namespace {

std::string image_of(std::initializer_list<std::uint32_t> words) {
    std::string bytes;
    for (std::uint32_t word : words)
        for (unsigned i = 0; i < 4; ++i) bytes.push_back(static_cast<char>(word >> (8 * i)));
    return bytes;
}

/// Loads from a misaligned address; ends with 0 when that was done, else with mcause.
const std::string kMisalignedLoad = image_of({
    0x00000297, 0x02428293, 0x30529073,                         // la t0, handler; csrw mtvec, t0
    0x0012a303,                                                 // lw t1, 1(t0)
    0x00005537, 0x5555051b, 0x001005b7, 0x00a5a023, 0x0000006f, // the test finisher: pass; j .
    0x34202573, 0x01051513, 0x00003637, 0x3336061b, 0x00c56533, // handler: fails with mcause
    0x001005b7, 0x00a5a023, 0x0000006f,
});

/// Writes to each of so many pages, from 1 MiB on. Range: a multiple of 4096.
std::string toucher(std::uint32_t pages) {
    return image_of({
        0x000002b7 | pages, 0x00100317, 0x000013b7, 0x00028a63,             // lui t0, pages >> 12; auipc t1, 0x100; lui t2, 1; beqz t0, the end
        0x00632023, 0x00730333, 0xfff28293, 0xfe029ae3,             // sw t1, 0(t1); add t1, t1, t2; addi t0, t0, -1; bnez t0, the sw
        0x00005537, 0x5555051b, 0x001005b7, 0x00a5a023, 0x0000006f, // the test finisher: pass; j .
    });
}

} // namespace

TEST_CASE("--trap-misaligned makes a misaligned load trap, which otherwise is done") {
    const Folder folder;
    const std::string guest = folder.write("misaligned.bin", kMisalignedLoad);
    CHECK(run_trapeze({"boot", guest, "--bios", "none"}).status == 0);
    CHECK(run_trapeze({"boot", guest, "--bios", "none", "--trap-misaligned"}).status == 4); // load address misaligned
    for (const char* mode : {"interpret", "trap-and-emulate"}) {
        const Ended refused = run_trapeze({"boot", guest, "--bios", "none", "--trap-misaligned", "--mode", mode});
        CHECK(refused.status == 2);
        CHECK(refused.err.find(mode) != std::string::npos);
        CHECK(refused.err.find("leave --trap-misaligned away") != std::string::npos);
    }
}

#ifndef __SANITIZE_ADDRESS__ // which takes memory of its own
TEST_CASE("The program takes the pages that a guest touches, and at most 64 MiB besides: 16 bytes a page, and what it is itself") {
    const Folder folder;
    const auto besides = [&folder](std::uint32_t pages) { // KiB
        const Ended ended = run_trapeze({"boot", folder.write("toucher.bin", toucher(pages)), "--bios", "none", "--memory", "5G"});
        REQUIRE(ended.status == 0);
        return static_cast<long>(ended.peak_kib) - pages * 4l;
    };
    constexpr long kFew = 131072, kMany = 262144; // more than the tests themselves have, which a child counts until it is the program
    const long few = besides(kFew), many = besides(kMany);
    MESSAGE(few, " KiB besides 512 MiB, ", many, " KiB besides 1 GiB");
    CHECK(few > 0);
    CHECK(few <= 48 << 10); // so that with 4 GiB, 1 Mi pages, all of it stays below 64 MiB
    CHECK((many - few) * 1024 <= 16 * (kMany - kFew) + (1 << 20)); // from run to run the program itself varies by some hundred KiB
}
#endif
