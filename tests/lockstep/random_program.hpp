// Random programs for lock-step tests: a seed gives a program in M-mode that ends for certain, whatever an implementation makes
// of single instructions.
//
// Instructions come from the instruction table, with random operands, and from a list of compressed forms. What would let a
// program run away is confined: loads and stores go through four pointers that nothing else writes, control only goes forward, and
// a trap handler skips the instruction that trapped. A handler in M-mode and one in S-mode clobber x29 and x30.
// With `privileged`, programs also enter S and U; with `paging`, they switch between two random Sv39 tables and none. With `guests`, they
// enter VS and VU as well, x27 and x28 are clobbered too, and `paging` means two random tables of any depth for each of two stages.
//
// Memory (physical; code is mapped to itself, so an address is the same in every mode):
//   0x8000'0000  prologue and handlers     0x8000'2000  initial registers     0x8001'0000  the program
//   0x8010'0000  two Sv39 tables           0x8020'0000  tables of two stages
//   0x8040'0000  data: four pages, a 2 MiB page of its own
//
// Not generated: what QEMU 7.2 does not have (Zicond, Zicbom, Zicboz, Zawrs), lr and sc that are misaligned or of two widths, a trap
// between them, wfi that would wait, interrupts, counters and time, writes to PMP after the prologue.
#pragma once

#include "emulator/base/types.hpp"

#include <vector>

namespace trapeze::lockstep {

struct ProgramOptions {
    u64 seed = 1;
    unsigned groups = 400;   ///< groups of 1 to 20 instructions. Range: 1..3000 (the code has 16 pages)
    bool floating = true;
    unsigned arithmetic = 0; ///< percent of groups that are one instruction on floating-point registers, or of Zba, Zbb, Zbc, Zbs
    bool privileged = true;
    bool paging = true;      ///< needs `privileged`
    bool guests = false;     ///< VS- and VU-mode too, with `paging` under two stages; needs `privileged`
};

struct Segment {
    u64 address = 0; ///< physical
    std::vector<u8> bytes;
};

struct Program {
    ProgramOptions options;
    u64 entry = 0; ///< in M-mode
    u64 begin = 0; ///< after the prologue; state before does not count, as it is what an earlier program left
    u64 end = 0;   ///< a jump to itself; the program is over when pc is here
    std::vector<Segment> segments; ///< every one is to be equal on both sides at the end as well
};

/// The program of these options; the same on every host.
Program random_program(const ProgramOptions& options);

} // namespace trapeze::lockstep
