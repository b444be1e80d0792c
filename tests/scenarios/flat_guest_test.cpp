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

constexpr unsigned long kPages = 32768;
/// Writes to each of kPages pages.
const std::string kToucher = image_of({
    0x000082b7, 0x00100317, 0x000013b7,                         // lui t0, 8; auipc t1, 0x100; lui t2, 1
    0x00632023, 0x00730333, 0xfff28293, 0xfe029ae3,             // sw t1, 0(t1); add t1, t1, t2; addi t0, t0, -1; bnez t0, the sw
    0x00005537, 0x5555051b, 0x001005b7, 0x00a5a023, 0x0000006f, // the test finisher: pass; j .
});

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
TEST_CASE("The program takes the pages that a guest touches, and at most 64 MiB besides") {
    const Folder folder;
    const std::string guest = folder.write("toucher.bin", kToucher);
    const Ended ended = run_trapeze({"boot", guest, "--bios", "none", "--memory", "512M"});
    REQUIRE(ended.status == 0);
    const unsigned long touched = kPages * 4; // KiB
    MESSAGE(ended.peak_kib, " KiB at most, of which the guest touched ", touched, ": ", ended.peak_kib - touched, " besides");
    CHECK(ended.peak_kib > touched);
    CHECK(ended.peak_kib - touched <= 64 << 10);
}
#endif
