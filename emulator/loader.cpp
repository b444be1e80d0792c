#include "emulator/loader.hpp"

#include "emulator/firmware_rom.hpp"

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
constexpr unsigned kA0 = 10, kA1 = 11, kA2 = 12;

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
    loaded.begin = loaded.entry;
    for (const auto& s : elf.segments) {
        loaded.begin = std::min(loaded.begin, s.physical_address);
        loaded.end = std::max(loaded.end, s.physical_address + s.memory_size);
    }
    loaded.elf = std::move(elf);
    return loaded;
}

/// What a packed kernel is packed with, by its first bytes; null for everything else.
const char* packed_format(std::span<const u8> bytes) {
    const auto begins = [&](std::initializer_list<u8> magic) { return bytes.size() >= magic.size() && std::equal(magic.begin(), magic.end(), bytes.begin()); };
    if (begins({0x1f, 0x8b})) return "packed with gzip";
    if (begins({0xfd, '7', 'z', 'X', 'Z', 0})) return "packed with xz";
    if (begins({0x28, 0xb5, 0x2f, 0xfd})) return "packed with zstd";
    if (begins({'M', 'Z', 0, 0, 'z', 'i', 'm', 'g'})) return "a packed kernel for EFI (zboot)";
    return nullptr;
}
} // namespace

std::optional<LinuxImage> linux_image(std::span<const u8> bytes) {
    constexpr std::size_t kHeaderBytes = 64, kOffset = 8, kSize = 16, kFlags = 24, kMagic = 56;
    constexpr u64 kMaxBytes = u64{1} << 40; // beyond any memory, so that sums do not wrap
    const auto field = [&]<class T>(std::size_t at, T) {
        T value;
        std::memcpy(&value, bytes.data() + at, sizeof value);
        return value;
    };
    if (bytes.size() < kHeaderBytes || std::memcmp(bytes.data() + kMagic, "RSC\x05", 4) != 0) return std::nullopt;
    const LinuxImage image{field(kOffset, u64{}), field(kSize, u64{})};
    const bool big_endian = field(kFlags, u64{}) & 1;
    if (big_endian || image.load_offset > kMaxBytes || image.memory_size > kMaxBytes) return std::nullopt;
    return image;
}

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

namespace {

/// Copies an image into memory. `flat_address` is for images that do not say where they go.
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
    if (const char* packed = packed_format(bytes))
        return Error{fmt::format("{}: this is {}; unpack it, and give what is inside", name, packed)};
    const auto linux_header = linux_image(bytes);
    const u64 address = linux_header ? bus.base + linux_header->load_offset : flat_address;
    const u64 size = std::max<u64>(bytes.size(), linux_header ? linux_header->memory_size : 0);
    if (!bus.in_ram(address, size))
        return Error{fmt::format("{}: the image has {} MiB and goes to {:#x}, so it needs {} MiB of RAM, and the machine has {} MiB; give it "
                                 "more with --memory", name, mebibytes(size), address, mebibytes(address - bus.base + size), mebibytes(bus.size))};
    bus.ram.write(bus.ram_offset(address), bytes);
    bus.board.tohost.reset();
    LoadedGuest loaded;
    loaded.entry = loaded.begin = address;
    loaded.end = address + size;
    return loaded;
}

/// Writes a device tree as high in RAM as it fits. Returns its address.
Result<u64> place_tree_blob(Bus& bus, const std::vector<u8>& blob) {
    if (blob.size() > bus.size) return Error{fmt::format("the device tree has {} bytes and RAM only {}; give the machine more with --memory", blob.size(), bus.size)};
    const u64 align = bus.size >= 4 * kDeviceTreeAlign ? kDeviceTreeAlign : kPageSize;
    const u64 address = (bus.base + bus.size - blob.size()) & ~(align - 1);
    bus.ram.write(bus.ram_offset(address), blob);
    return address;
}

Error bootargs_too_long(const std::string& bootargs) {
    return Error{fmt::format("the device tree cannot be made: the kernel's command line of {} bytes is too long; shorten it", bootargs.size())};
}
} // namespace

void start_bare(std::span<Hart> harts, u64 entry, u64 device_tree) {
    for (Hart& hart : harts) {
        hart.reset(entry);
        hart.state.x[kA0] = hart.id();
        hart.state.x[kA1] = device_tree;
    }
}

namespace {

/// Loads the files of one boot, one after the other, and keeps them apart.
class FileLoader {
  public:
    FileLoader(BootPlace place, GuestFiles files)
        : place_(place), bus_(place_.bus), files_(std::move(files)), has_kernel_(files_.kernel.given()), has_firmware_(files_.firmware.given()) {}
    Result<LoadedGuest> load();

  private:
    const std::string& main_name() const { return has_kernel_ || !has_firmware_ ? files_.kernel.name : files_.firmware.name; }
    std::optional<Error> place_firmware();
    std::optional<Error> place_kernel();
    std::optional<Error> place_high();
    Result<std::vector<u8>> tree(InitrdRange initrd);
    void start();

    BootPlace place_;
    Bus& bus_;
    GuestFiles files_; ///< images are gone once they are placed
    bool has_kernel_, has_firmware_;
    LoadedGuest kernel_, firmware_;
};

Result<LoadedGuest> FileLoader::load() {
    if (!has_kernel_ && !has_firmware_) return Error{fmt::format("{}: the file is empty; there is nothing to load", main_name())};
    for (const auto step : {&FileLoader::place_firmware, &FileLoader::place_kernel, &FileLoader::place_high})
        if (auto error = (this->*step)()) return *error;
    start();
    return std::move(has_kernel_ ? kernel_ : firmware_);
}

std::optional<Error> FileLoader::place_firmware() {
    if (!has_firmware_) return std::nullopt;
    if (place_.builtin_firmware) return Error{fmt::format("{}: the machine has built-in firmware already; create it without", files_.firmware.name)};
    auto placed = place_image(bus_, std::move(files_.firmware.bytes), files_.firmware.name, kFlatBare);
    if (!placed) return Error{placed.error()};
    firmware_ = std::move(placed.value());
    return std::nullopt;
}

std::optional<Error> FileLoader::place_kernel() {
    if (!has_kernel_) return std::nullopt;
    const bool above_firmware = has_firmware_ || place_.builtin_firmware;
    auto placed = place_image(bus_, std::move(files_.kernel.bytes), files_.kernel.name, above_firmware ? kFlatWithFirmware : kFlatBare);
    if (!placed) return Error{placed.error()};
    kernel_ = std::move(placed.value());
    if (kernel_.begin < firmware_.end && kernel_.end > firmware_.begin)
        return Error{fmt::format("{}: it lies at {:#x} to {:#x}, and the firmware {} occupies {:#x} to {:#x}; link the kernel higher, at {:#x}",
                                 files_.kernel.name, kernel_.begin, kernel_.end, files_.firmware.name, firmware_.begin, firmware_.end, kFlatWithFirmware)};
    return std::nullopt;
}

Result<std::vector<u8>> FileLoader::tree(InitrdRange initrd) {
    const std::string& bootargs = place_.bootargs;
    if (files_.device_tree.given()) {
        auto completed = complete_device_tree(files_.device_tree.bytes, bootargs, initrd);
        if (!completed) return Error{fmt::format("{}: {}; compile it again with dtc -O dtb", files_.device_tree.name, completed.error())};
        return completed;
    }
    const auto harts = static_cast<unsigned>(place_.harts.size());
    auto blob = make_device_tree(bus_.board, harts, bus_.base, bus_.size, bootargs, place_.harts[0].features(), initrd);
    if (blob.empty()) return Error{fmt::format("{}: {}", main_name(), bootargs_too_long(bootargs).message)};
    return blob;
}

/// Device tree and initrd go to the top of RAM, where kernels keep clear of them. The tree names the initrd's place, and its own size does
/// not depend on which, so it is made twice.
std::optional<Error> FileLoader::place_high() {
    const u64 end = std::max(kernel_.end, firmware_.end);
    const u64 initrd_bytes = files_.initrd.bytes.size();
    const auto blank = tree({bus_.base, bus_.base + initrd_bytes});
    if (!blank) return Error{blank.error()};
    const auto top = place_tree_blob(bus_, blank.value());
    if (!top) return Error{fmt::format("{}: {}", main_name(), top.error())};
    if (top.value() < end)
        return Error{fmt::format("{}: it ends at {:#x} and leaves no room for the device tree at {:#x}; give the machine more RAM with --memory",
                                 main_name(), end, top.value())};
    kernel_.device_tree = firmware_.device_tree = top.value();
    if (!initrd_bytes) return std::nullopt;
    if (initrd_bytes > top.value() - end || ((top.value() - initrd_bytes) & ~kPageMask) < end)
        return Error{fmt::format("{}: the initial RAM disk of {} MiB does not fit between the kernel's end at {:#x} and the device tree at {:#x}; give "
                                 "the machine more RAM with --memory", files_.initrd.name, mebibytes(initrd_bytes), end, top.value())};
    const u64 initrd = (top.value() - initrd_bytes) & ~kPageMask;
    bus_.ram.write(bus_.ram_offset(initrd), files_.initrd.bytes);
    const auto blob = tree({initrd, initrd + initrd_bytes});
    if (!blob) return Error{blob.error()};
    bus_.ram.write(bus_.ram_offset(top.value()), blob.value());
    return std::nullopt;
}

void FileLoader::start() {
    const u64 entry = has_firmware_ ? firmware_.entry : kernel_.entry, next = has_firmware_ ? kernel_.entry : 0;
    const u64 device_tree = kernel_.device_tree; // one for both
    if (auto* rom = dynamic_cast<ResetRom*>(bus_.board.find("rom"))) rom->fill(reset_rom_image(entry, device_tree, next));
    if (place_.builtin_firmware) place_.firmware.start(place_.harts, entry, device_tree, bus_);
    else start_bare(place_.harts, entry, device_tree);
    if (!has_firmware_) return;
    for (Hart& hart : place_.harts) hart.state.x[kA2] = ResetRom::kDynamicInfo;
}

} // namespace

Result<LoadedGuest> load_guest_files(BootPlace place, GuestFiles files) { return FileLoader(place, std::move(files)).load(); }

Result<LoadedGuest> load_guest_files(Machine& machine, GuestFiles files) {
    return load_guest_files({machine.bus(), machine.harts, machine.firmware, machine.firmware.enabled, machine.config().bootargs}, std::move(files));
}

Result<LoadedGuest> load_guest_bytes(Machine& machine, std::vector<u8> bytes, const std::string& name) {
    GuestFiles files;
    files.kernel = {name, std::move(bytes)};
    return load_guest_files(machine, std::move(files));
}

Result<LoadedGuest> load_guest(Machine& machine, const std::string& path) {
    auto bytes = read_file(path, kMaxGuestFile);
    if (!bytes) return Error{bytes.error()};
    return load_guest_bytes(machine, std::move(bytes.value()), path);
}

} // namespace trapeze
