#include "emulator/loader.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <fstream>

namespace trapeze {

Result<std::vector<u8>> read_file(const std::string& path, u64 limit) {
    std::ifstream file(path, std::ios::binary | std::ios::ate);
    if (!file) return Error{fmt::format("{}: {}; check the name and the permissions", path, std::strerror(errno))};
    const std::streamoff size = file.tellg();
    if (size < 0) return Error{path + ": its size cannot be read; is it a regular file?"};
    if (static_cast<u64>(size) > limit) return Error{fmt::format("{}: {} bytes are more than the {} allowed", path, size, limit)};
    std::vector<u8> bytes(static_cast<std::size_t>(size));
    file.seekg(0);
    if (!bytes.empty() && !file.read(reinterpret_cast<char*>(bytes.data()), size)) return Error{path + ": reading stopped early; is it a regular file?"};
    return bytes;
}

namespace {

Error too_large(const Bus& bus, const std::string& name, u64 begin, u64 end) {
    return Error{fmt::format("{}: the image needs memory 0x{:x}..0x{:x}, but RAM is 0x{:x}..0x{:x} ({} MiB); give it more with --memory, or link it "
                             "to another address",
                             name, begin, end, bus.base, bus.base + bus.size, bus.size >> 20)};
}

Result<void> place_segment(Bus& bus, const ElfImage& elf, const ElfImage::Segment& segment, const std::string& name) {
    if (!bus.in_ram(segment.physical_address, segment.memory_size))
        return too_large(bus, name, segment.physical_address, segment.physical_address + segment.memory_size);
    const u64 offset = bus.ram_offset(segment.physical_address);
    bus.ram.write(offset, std::span(elf.bytes).subspan(segment.file_offset, segment.file_size));
    bus.ram.fill(offset + segment.file_size, segment.memory_size - segment.file_size, 0);
    return {};
}

} // namespace

Result<LoadedGuest> place_image(Bus& bus, std::vector<u8> bytes, const std::string& name, u64 flat_address) {
    LoadedGuest guest;
    if (bytes.empty()) return Error{name + ": the file is empty; give a RISC-V ELF file or a flat image"};
    if (!looks_like_elf(bytes)) {
        if (!bus.in_ram(flat_address, bytes.size())) return too_large(bus, name, flat_address, flat_address + bytes.size());
        bus.ram.write(bus.ram_offset(flat_address), bytes);
        guest.entry = flat_address;
        return guest;
    }
    auto elf = parse_elf(std::move(bytes), name);
    if (!elf) return Error{elf.error()};
    if (!elf->interpreter.empty())
        return Error{fmt::format("{}: this is a dynamically linked Linux program; it runs in `trapeze container run`, not as a machine's guest", name)};
    for (const ElfImage::Segment& segment : elf->segments)
        if (const auto placed = place_segment(bus, *elf, segment, name); !placed) return Error{placed.error()};
    guest.entry = elf->entry;
    // Kernels are often linked to virtual addresses: the entry is physical.
    for (const ElfImage::Segment& segment : elf->segments)
        if (guest.entry - segment.virtual_address < segment.memory_size) {
            guest.entry = segment.physical_address + (guest.entry - segment.virtual_address);
            break;
        }
    bus.board.tohost = elf->symbol("tohost");
    if (bus.board.tohost && !bus.in_ram(*bus.board.tohost, 8)) bus.board.tohost.reset();
    guest.elf = std::move(*elf);
    return guest;
}

Result<u64> place_device_tree(Bus& bus, unsigned harts, const std::string& bootargs) {
    const std::vector<u8> tree = make_device_tree(bus.board, harts, bus.base, bus.size, bootargs);
    constexpr u64 kBelowTop = u64{2} << 20; // as QEMU: near the end of RAM, on a 2 MiB boundary
    const u64 top = bus.base + bus.size;
    if (bus.size < 2 * kBelowTop) return Error{"the machine has too little memory for a device tree; give it at least 4 MiB with --memory"};
    const u64 address = (top - kBelowTop) & ~(kBelowTop - 1);
    bus.ram.write(bus.ram_offset(address), tree);
    return address;
}

Result<LoadedGuest> load_guest_bytes(Machine& machine, std::vector<u8> bytes, const std::string& name) {
    Bus bus = machine.bus();
    const bool firmware = machine.config().builtin_firmware;
    auto guest = place_image(bus, std::move(bytes), name, firmware ? kRamBase + 0x20'0000 : kRamBase);
    if (!guest) return guest;
    const auto tree = place_device_tree(bus, machine.config().harts, machine.config().bootargs);
    if (!tree) return Error{tree.error()};
    guest->device_tree = tree.value();
    if (firmware) machine.firmware.start(machine.harts, guest->entry, guest->device_tree, bus);
    else start_bare(machine.harts, guest->entry, guest->device_tree);
    return guest;
}

void start_bare(std::span<Hart> harts, u64 entry, u64 device_tree) {
    for (Hart& hart : harts) {
        hart.reset(entry);
        hart.state.x[10] = hart.id();
        hart.state.x[11] = device_tree;
    }
}

Result<LoadedGuest> load_guest(Machine& machine, const std::string& path) {
    auto bytes = read_file(path);
    if (!bytes) return Error{bytes.error()};
    return load_guest_bytes(machine, std::move(*bytes), path);
}

} // namespace trapeze
