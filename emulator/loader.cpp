#include "emulator/loader.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

namespace trapeze {

namespace {
constexpr u64 kFlatBare = kRamBase, kFlatWithFirmware = kRamBase + 0x20'0000;
constexpr u64 kMaxGuestFile = u64{1} << 30;
constexpr u64 kLargestRam = u64{8} << 30; // Machine::create's limit
constexpr u64 kDeviceTreeAlign = u64{2} << 20;

u64 mebibytes(u64 bytes) { return (bytes + (1 << 20) - 1) >> 20; }

/// Where the processor starts: the ELF's entry is virtual, and a kernel starts at its physical place, as on QEMU.
std::optional<u64> physical_entry(const ElfImage& elf) {
    for (const auto& s : elf.segments)
        if (elf.entry - s.virtual_address < s.memory_size) return elf.entry - s.virtual_address + s.physical_address;
    for (const auto& s : elf.segments)
        if (elf.entry - s.physical_address < s.memory_size) return elf.entry;
    return std::nullopt;
}

std::optional<Error> place_segment(Bus& bus, const ElfImage& elf, const ElfImage::Segment& s, const std::string& name) {
    if (s.physical_address < bus.base || s.physical_address - bus.base >= kLargestRam)
        return Error{fmt::format("{}: it is linked to be loaded at {:#x}, but RAM begins at {:#x} and has {} MiB; link it there (a program "
                                 "for Linux is not a kernel and needs a container or a guest kernel)",
                                 name, s.physical_address, bus.base, mebibytes(bus.size))};
    if (!bus.in_ram(s.physical_address, s.memory_size))
        return Error{fmt::format("{}: it needs {} MiB of RAM and the machine has {} MiB; give it more with --memory", name,
                                 mebibytes(s.physical_address - bus.base + s.memory_size), mebibytes(bus.size))};
    const u64 offset = bus.ram_offset(s.physical_address);
    bus.ram.write(offset, std::span(elf.bytes).subspan(s.file_offset, s.file_size));
    bus.ram.fill(offset + s.file_size, s.memory_size - s.file_size, 0);
    return std::nullopt;
}

std::optional<Error> check_physical_overlap(const ElfImage& elf, const std::string& name) {
    auto order = elf.segments;
    std::sort(order.begin(), order.end(), [](const auto& a, const auto& b) { return a.physical_address < b.physical_address; });
    for (std::size_t i = 1; i < order.size(); ++i)
        if (order[i].physical_address - order[i - 1].physical_address < order[i - 1].memory_size)
            return Error{fmt::format("{}: two of its segments are to be loaded over each other at {:#x}; mend the linker script", name,
                                     order[i].physical_address)};
    return std::nullopt;
}

Result<LoadedGuest> place_elf(Bus& bus, ElfImage elf, const std::string& name) {
    if (auto error = check_physical_overlap(elf, name)) return *error;
    for (const auto& s : elf.segments)
        if (auto error = place_segment(bus, elf, s, name)) return *error;
    const auto entry = physical_entry(elf);
    if (!entry)
        return Error{fmt::format("{}: its entry {:#x} lies in none of its segments; name the first instruction with ENTRY in the linker "
                                 "script or -e", name, elf.entry)};
    bus.board.tohost = elf.symbol("tohost");
    if (bus.board.tohost && !bus.in_ram(*bus.board.tohost, 8)) bus.board.tohost.reset();
    LoadedGuest loaded;
    loaded.entry = *entry;
    loaded.elf = std::move(elf);
    return loaded;
}
} // namespace

Result<std::vector<u8>> read_file(const std::string& path, u64 limit) {
    std::error_code error;
    const auto status = std::filesystem::status(path, error);
    if (status.type() == std::filesystem::file_type::not_found)
        return Error{fmt::format("{}: there is no such file; check the path", path)};
    if (error) return Error{fmt::format("{}: cannot be examined: {}", path, error.message())};
    if (status.type() == std::filesystem::file_type::directory)
        return Error{fmt::format("{}: this is a folder; name a file in it", path)};
    if (status.type() != std::filesystem::file_type::regular)
        return Error{fmt::format("{}: this is not a regular file; copy it to one", path)};
    const u64 size = std::filesystem::file_size(path, error);
    if (error) return Error{fmt::format("{}: its size cannot be read: {}", path, error.message())};
    if (size > limit) return Error{fmt::format("{}: the file has {} bytes, more than the {} accepted here", path, size, limit)};
    errno = 0;
    std::ifstream in(path, std::ios::binary);
    if (!in) return Error{fmt::format("{}: cannot be opened: {}; check its permissions", path, std::strerror(errno))};
    std::vector<u8> bytes(size);
    in.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(size));
    if (static_cast<u64>(in.gcount()) != size)
        return Error{fmt::format("{}: only {} of its {} bytes could be read; is it being written?", path, in.gcount(), size)};
    return bytes;
}

Result<LoadedGuest> place_image(Bus& bus, std::vector<u8> bytes, const std::string& name, u64 flat_address) {
    if (bytes.empty()) return Error{fmt::format("{}: the file is empty; there is nothing to load", name)};
    if (looks_like_elf(bytes)) {
        auto elf = parse_elf(std::move(bytes), name);
        if (!elf) return Error{elf.error()};
        if (!elf->interpreter.empty())
            return Error{fmt::format("{}: this is a dynamically linked Linux program; it runs in `trapeze container run`, not as a machine's "
                                     "guest", name)};
        return place_elf(bus, std::move(elf.value()), name);
    }
    if (!bus.in_ram(flat_address, bytes.size()))
        return Error{fmt::format("{}: the image has {} MiB and goes to {:#x}, so it needs {} MiB of RAM, and the machine has {} MiB; give it "
                                 "more with --memory", name, mebibytes(bytes.size()), flat_address,
                                 mebibytes(flat_address - bus.base + bytes.size()), mebibytes(bus.size))};
    bus.ram.write(bus.ram_offset(flat_address), bytes);
    bus.board.tohost.reset();
    LoadedGuest loaded;
    loaded.entry = flat_address;
    return loaded;
}

Result<u64> place_device_tree(Bus& bus, unsigned harts, const std::string& bootargs, const HartFeatures& features) {
    const std::vector<u8> blob = make_device_tree(bus.board, harts, bus.base, bus.size, bootargs, features);
    if (blob.empty()) return Error{fmt::format("the device tree cannot be made: the kernel's command line of {} bytes is too long; shorten it", bootargs.size())};
    if (blob.size() > bus.size) return Error{fmt::format("the device tree has {} bytes and RAM only {}; give the machine more with --memory", blob.size(), bus.size)};
    const u64 align = bus.size >= 4 * kDeviceTreeAlign ? kDeviceTreeAlign : kPageSize;
    const u64 address = (bus.base + bus.size - blob.size()) & ~(align - 1);
    bus.ram.write(bus.ram_offset(address), blob);
    return address;
}

void start_bare(std::span<Hart> harts, u64 entry, u64 device_tree) {
    for (Hart& hart : harts) {
        hart.reset(entry);
        hart.state.x[10] = hart.id();
        hart.state.x[11] = device_tree;
    }
}

Result<LoadedGuest> load_guest_bytes(Machine& machine, std::vector<u8> bytes, const std::string& name) {
    Bus bus = machine.bus();
    const u64 image_bytes = bytes.size();
    auto loaded = place_image(bus, std::move(bytes), name, machine.firmware.enabled ? kFlatWithFirmware : kFlatBare);
    if (!loaded) return loaded;
    u64 end = loaded->entry + image_bytes; // of a flat image; an ELF says it by its segments
    if (!loaded->elf.segments.empty()) {
        end = 0;
        for (const auto& s : loaded->elf.segments) end = std::max(end, s.physical_address + s.memory_size);
    }
    const auto tree = place_device_tree(bus, static_cast<unsigned>(machine.harts.size()), machine.config().bootargs, machine.hart().features());
    if (!tree) return Error{fmt::format("{}: {}", name, tree.error())};
    if (tree.value() < end)
        return Error{fmt::format("{}: it ends at {:#x} and leaves no room for the device tree at {:#x}; give the machine more RAM with --memory",
                                 name, end, tree.value())};
    loaded->device_tree = tree.value();
    if (machine.firmware.enabled) machine.firmware.start(machine.harts, loaded->entry, loaded->device_tree, bus);
    else start_bare(machine.harts, loaded->entry, loaded->device_tree);
    return loaded;
}

Result<LoadedGuest> load_guest(Machine& machine, const std::string& path) {
    auto bytes = read_file(path, kMaxGuestFile);
    if (!bytes) return Error{bytes.error()};
    return load_guest_bytes(machine, std::move(bytes.value()), path);
}

} // namespace trapeze
