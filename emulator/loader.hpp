// Loads guests: ELF64 RISC-V files and flat images; makes the device tree. Everything in a file is checked before it is used.
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

/// What was loaded, and where it starts.
struct LoadedGuest {
    u64 entry = 0;
    u64 device_tree = 0; ///< physical address of the flattened device tree
    ElfImage elf;        ///< empty for a flat image
};

/// Loads a guest file into the machine and makes its harts ready to run it: through the firmware when the machine has one (S-mode
/// at the ELF's entry or 0x8020'0000 for a flat image), else in M-mode (at the entry or 0x8000'0000). ELF segments go to their
/// physical addresses. The device tree is placed near the top of RAM.
Result<LoadedGuest> load_guest(Machine& machine, const std::string& path);
Result<LoadedGuest> load_guest_bytes(Machine& machine, std::vector<u8> bytes, const std::string& name);
/// Copies an image into a memory window (`bus`), for loaders of VMs. Returns the entry.
Result<LoadedGuest> place_image(Bus& bus, std::vector<u8> bytes, const std::string& name, u64 flat_address);

/// Writes the board's device tree near the top of the bus's RAM. Returns its address.
Result<u64> place_device_tree(Bus& bus, unsigned harts, const std::string& bootargs, const HartFeatures& features = {});
/// Resets harts to run a program without firmware: M-mode, a0 = hart id, a1 = device tree (as QEMU virt with -bios none).
void start_bare(std::span<Hart> harts, u64 entry, u64 device_tree);

/// The flattened device tree of a board, as QEMU virt's: cpus, memory, chosen, soc with every device.
std::vector<u8> make_device_tree(const Board& board, unsigned harts, u64 ram_base, u64 ram_bytes, const std::string& bootargs,
                                  const HartFeatures& features = {});
/// Checks a device tree blob and returns its text form (dts); the error says where it does not parse.
Result<std::string> device_tree_text(std::span<const u8> blob);

} // namespace trapeze
