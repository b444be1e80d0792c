// What is measured: one row for each workload.
#pragma once

#include "emulator/base/types.hpp"

#include <string>

namespace trapeze::bench {

struct Workload {
    const char* name;
    /// ELF file; relative to the build folder's guests/, or to the folder that $`folder_variable` names.
    const char* guest;
    const char* disk = "";            ///< image of the virtio disk, beside the guest
    const char* folder_variable = ""; ///< environment variable that names the folder of guest and disk; empty: a shipped guest
    bool firmware = false;            ///< starts in S-mode above SBI firmware: the built-in one here, OpenSBI in QEMU
    const char* until = "";           ///< ends when the console prints this; empty: a guest of scenarios/guests/bench, which ends itself
    double target = 0;                ///< wanted speed, as a multiple of QEMU's; 0: none
    const char* what = "";
};

/// True for guests whose amount of work is chosen by the number of rounds.
inline bool in_rounds(const Workload& workload) { return *workload.until == 0; }

inline constexpr Workload kWorkloads[] = {
    {.name = "int_loop", .guest = "bench/int_loop.elf", .what = "integer loop, 8 instructions"},
    {.name = "integer", .guest = "bench/integer.elf", .target = 0.18, .what = "lists, a matrix, a state machine, a crc"},
    {.name = "mem_loop", .guest = "bench/mem_loop.elf", .what = "copy, link and follow 1 MiB"},
    {.name = "pointer_chase", .guest = "bench/pointer_chase.elf", .what = "a random cycle through 2 MiB"},
    {.name = "copy", .guest = "bench/copy.elf", .what = "256 KiB by double-words"},
    {.name = "matrix", .guest = "bench/matrix.elf", .what = "48 x 48 product of 64-bit integers"},
    {.name = "double", .guest = "bench/double.elf", .target = 1.0, .what = "double precision: product, series, roots, quotients"},
    {.name = "trap_loop", .guest = "bench/trap_loop.elf", .what = "environment calls from M to M"},
    {.name = "trap_user_machine", .guest = "bench/trap_user_machine.elf", .target = 2, .what = "environment calls from U to M"},
    {.name = "trap_user_supervisor", .guest = "bench/trap_user_supervisor.elf", .target = 2, .what = "environment calls from U to S"},
    {.name = "hypercall", .guest = "bench/hypercall.elf", .target = 20, .what = "environment calls from VS to HS"},
    {.name = "page_touch", .guest = "bench/page_touch.elf", .what = "loads from 256 pages under Sv39"},
    {.name = "page_touch_sfence", .guest = "bench/page_touch_sfence.elf", .target = 4, .what = "each after a remapping and sfence.vma"},
    {.name = "page_touch_sfence_address", .guest = "bench/page_touch_sfence_address.elf", .what = "the same, sfence.vma of the address"},
    {.name = "boot_tiny_os", .guest = "tiny-os.elf", .firmware = true, .until = "$ ", .what = "tiny-os to its shell (QEMU: through OpenSBI)"},
    {.name = "boot_xv6", .guest = "kernel/kernel", .disk = "fs.img", .folder_variable = "TRAPEZE_XV6", .until = "init: starting sh",
     .what = "xv6-riscv, built in the folder $TRAPEZE_XV6, to its shell"},
};

} // namespace trapeze::bench
