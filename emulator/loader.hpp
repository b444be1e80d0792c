// Loads guests: ELF64 RISC-V files, Linux images and flat images, with firmware, initial RAM disk and device tree. Everything in a file
// is checked before it is used.
#pragma once

#include "emulator/base/result.hpp"
#include "emulator/base/types.hpp"
#include "emulator/machine.hpp"

#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace trapeze {

/// An ELF file, checked: every offset and size is inside the file, segments do not overlap.
struct ElfImage {
    struct Segment {
        u64 virtual_address, physical_address, memory_size;
        u64 file_offset, file_size;
        bool read, write, execute;
    };
    u64 entry = 0;
    bool is_executable = true; ///< ET_EXEC; false: ET_DYN (static-pie)
    u64 program_headers_address = 0; ///< virtual address of the program headers, 0 when no segment holds them
    u16 program_header_count = 0;
    std::vector<Segment> segments; ///< PT_LOAD, in order of virtual address
    std::map<std::string, u64> symbols;    ///< functions, objects and labels, by name
    std::map<u64, std::string> by_address; ///< the same by address; of several names the first
    std::vector<u8> bytes;         ///< the whole file
    std::string interpreter;       ///< PT_INTERP, empty for static programs
    std::optional<u64> symbol(const std::string& name) const;
    /// Name of the last symbol at or before `address` and the distance to it, such as "main+0x10"; empty when none.
    std::string describe(u64 address) const;
};

/// True when the bytes begin as an ELF file does.
bool looks_like_elf(std::span<const u8> bytes);
/// Parses ELF64 little-endian RISC-V. `name` is for the error's sentence.
Result<ElfImage> parse_elf(std::vector<u8> bytes, const std::string& name);
/// Reads a whole file; at most `limit` bytes.
Result<std::vector<u8>> read_file(const std::string& path, u64 limit = u64{4} << 30);

/// The header of a RISC-V Linux "Image" (Documentation/arch/riscv/boot-image-header.rst of Linux).
struct LinuxImage {
    u64 load_offset = 0; ///< from the start of RAM
    u64 memory_size = 0; ///< bytes from there that the kernel uses, those beyond the file included
};
/// The header, when the bytes begin with one.
std::optional<LinuxImage> linux_image(std::span<const u8> bytes);

/// What was loaded, and where it starts.
struct LoadedGuest {
    u64 entry = 0;
    u64 begin = 0, end = 0; ///< physical addresses that the image occupies; end is exclusive
    u64 device_tree = 0; ///< physical address of the flattened device tree
    ElfImage elf;        ///< empty for a flat image
};

/// A file of the user's, read. Without bytes: not given.
struct GuestFile {
    std::string name;
    std::vector<u8> bytes;
    bool given() const { return !bytes.empty(); }
};
/// What a machine boots from, as QEMU's -kernel, -initrd, -bios and -dtb name it. Either kernel or firmware must be given.
struct GuestFiles {
    GuestFile kernel;
    GuestFile initrd;      ///< placed high in RAM, named in /chosen
    GuestFile firmware;    ///< starts in M-mode at the start of RAM, on every hart; the machine must be without built-in firmware
    GuestFile device_tree; ///< instead of the board's own; command line and initrd are written into its /chosen
};

/// Loads a guest file into the machine and makes its harts ready to run it: through the firmware when the machine has one (S-mode
/// at the ELF's entry or 0x8020'0000 for a flat image), else in M-mode (at the entry or 0x8000'0000). ELF segments go to their
/// physical addresses. The device tree is placed near the top of RAM.
Result<LoadedGuest> load_guest(Machine& machine, const std::string& path);
Result<LoadedGuest> load_guest_bytes(Machine& machine, std::vector<u8> bytes, const std::string& name);
/// Where a boot takes place: a machine, or a VM with its window of one.
struct BootPlace {
    Bus bus;
    std::span<Hart> harts;
    Firmware& firmware;
    bool builtin_firmware = true; ///< `firmware` serves the guest
    const std::string& bootargs;
};
/// The same with everything else that a machine can boot from. With firmware of the user's, the kernel (a flat one at 0x8020'0000) is its
/// next stage, named in the reset ROM's dynamic information. Highest in RAM is the device tree, below it the initrd.
Result<LoadedGuest> load_guest_files(BootPlace place, GuestFiles files);
Result<LoadedGuest> load_guest_files(Machine& machine, GuestFiles files);
/// Resets harts to run a program without firmware: M-mode, a0 = hart id, a1 = device tree (as QEMU virt with -bios none).
void start_bare(std::span<Hart> harts, u64 entry, u64 device_tree);

/// Where the initial RAM disk lies, for /chosen; none when empty.
struct InitrdRange {
    u64 begin = 0, end = 0;
};
/// The flattened device tree of a board, as QEMU virt's: cpus, memory, chosen, soc with every device.
std::vector<u8> make_device_tree(const Board& board, unsigned harts, u64 ram_base, u64 ram_bytes, const std::string& bootargs,
                                 const HartFeatures& features = {}, InitrdRange initrd = {});
/// A tree of the user's with command line (unless empty) and initrd written into its /chosen.
Result<std::vector<u8>> complete_device_tree(std::span<const u8> blob, const std::string& bootargs, InitrdRange initrd);
/// Checks a device tree blob and returns its text form (dts); the error says where it does not parse.
Result<std::string> device_tree_text(std::span<const u8> blob);

} // namespace trapeze
