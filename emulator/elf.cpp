// The ELF reader. Every offset, size and count of the file is checked before it is used, and each refusal is a sentence.
#include "emulator/loader.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace trapeze {

namespace {

// ELF-64 Object File Format, version 1.5, and the RISC-V ELF psABI.
struct FileHeader {
    u8 ident[16];
    u16 type, machine;
    u32 version;
    u64 entry, program_offset, section_offset;
    u32 flags;
    u16 header_size, program_entry_size, program_count, section_entry_size, section_count, section_names;
};
static_assert(sizeof(FileHeader) == 64);
struct ProgramHeader {
    u32 type, flags;
    u64 offset, virtual_address, physical_address, file_size, memory_size, align;
};
static_assert(sizeof(ProgramHeader) == 56);
struct SectionHeader {
    u32 name, type;
    u64 flags, address, offset, size;
    u32 link, info;
    u64 align, entry_size;
};
static_assert(sizeof(SectionHeader) == 64);
struct Symbol {
    u32 name;
    u8 info, other;
    u16 section;
    u64 value, size;
};
static_assert(sizeof(Symbol) == 24);

constexpr u8 kMagic[4] = {0x7f, 'E', 'L', 'F'};
constexpr u8 kClass64 = 2, kLittleEndian = 1;
constexpr u16 kExecutable = 2, kShared = 3, kMachineRiscv = 243;
constexpr u32 kLoad = 1, kInterpreter = 3, kSymbolTable = 2, kFlagExecute = 1, kFlagWrite = 2, kFlagRead = 4;
constexpr u16 kUndefined = 0, kAbsolute = 0xfff1;

// Bounds far above any real guest, so that a file of garbage costs little.
constexpr u16 kMaxProgramHeaders = 512;
constexpr u64 kMaxSegmentBytes = u64{64} << 30;
constexpr u64 kMaxSymbols = 1 << 20, kMaxSymbolBytes = u64{64} << 20, kMaxSymbolName = 1024, kMaxInterpreter = 4096;

const char* machine_name(u16 machine) {
    switch (machine) {
    case 3: return "x86 (32-bit)";
    case 8: return "MIPS";
    case 20: return "PowerPC";
    case 21: return "PowerPC 64";
    case 22: return "S/390";
    case 40: return "ARM (32-bit)";
    case 62: return "x86-64";
    case 183: return "AArch64 (64-bit ARM)";
    case 247: return "BPF";
    case 258: return "LoongArch";
    default: return nullptr;
    }
}

const char* type_name(u16 type) {
    switch (type) {
    case 0: return "of no type";
    case 1: return "an object file that is not linked";
    case 4: return "a core dump";
    default: return "of an unknown type";
    }
}

/// Reads one file; `image_` fills up as the steps succeed.
class ElfReader {
  public:
    ElfReader(std::vector<u8> bytes, const std::string& name) : name_(name) { image_.bytes = std::move(bytes); }
    Result<ElfImage> read();

  private:
    template <class... Args> Error refuse(fmt::format_string<Args...> text, Args&&... args) const {
        return Error{fmt::format("{}: {}", name_, fmt::format(text, std::forward<Args>(args)...))};
    }
    u64 size() const { return image_.bytes.size(); }
    bool inside(u64 offset, u64 bytes) const { return bytes <= size() && offset <= size() - bytes; }
    template <class T> T at(u64 offset) const { ///< Pre: inside
        T value;
        std::memcpy(&value, image_.bytes.data() + offset, sizeof value);
        return value;
    }
    std::optional<Error> check_header() const;
    std::optional<Error> read_segments();
    std::optional<Error> read_segment(const ProgramHeader& header, unsigned index);
    std::optional<Error> check_overlap();
    std::optional<Error> read_sections();
    std::optional<Error> read_symbols(const SectionHeader& table);
    void locate_program_headers();

    std::string name_;
    ElfImage image_;
    FileHeader header_{};
};

std::optional<Error> ElfReader::check_header() const {
    const std::vector<u8>& b = image_.bytes;
    if (!looks_like_elf(b)) return refuse("this is not an ELF file; a flat image needs no ELF parser, anything else must be linked to ELF");
    if (b.size() < sizeof(FileHeader))
        return refuse("the file is cut short: an ELF header has {} bytes, the file only {}; copy or build it again", sizeof(FileHeader), b.size());
    if (b[4] != kClass64)
        return refuse("this is a 32-bit ELF file and the machine has 64 bits; build it with riscv64-linux-gnu-gcc -march=rv64gc");
    if (b[5] != kLittleEndian)
        return refuse("this is a big-endian ELF file and the machine is little-endian; build it with riscv64-linux-gnu-gcc");
    const auto header = at<FileHeader>(0);
    if (header.machine != kMachineRiscv) {
        const char* known = machine_name(header.machine);
        return refuse("this is a program for {}, not for RISC-V; build it with riscv64-linux-gnu-gcc",
                      known ? std::string(known) : fmt::format("machine number {}", header.machine));
    }
    if (header.type != kExecutable && header.type != kShared)
        return refuse("the file is {}, not an executable; link it with riscv64-linux-gnu-gcc or -ld", type_name(header.type));
    return std::nullopt;
}

std::optional<Error> ElfReader::read_segments() {
    if (header_.program_count == 0) return refuse("the file has no program headers, so there is nothing to load; link it as an executable");
    if (header_.program_count > kMaxProgramHeaders)
        return refuse("the file claims {} program headers, more than the {} that are accepted; it is damaged; copy or build it again", header_.program_count, kMaxProgramHeaders);
    if (header_.program_entry_size != sizeof(ProgramHeader))
        return refuse("its program headers have {} bytes each, not {}; the file is damaged; copy or build it again", header_.program_entry_size, sizeof(ProgramHeader));
    if (!inside(header_.program_offset, u64{header_.program_count} * sizeof(ProgramHeader)))
        return refuse("its program headers (at offset {:#x}) lie outside the file of {} bytes; it is cut short or damaged; copy or build it again", header_.program_offset, size());
    image_.program_header_count = header_.program_count;
    for (unsigned i = 0; i < header_.program_count; ++i) {
        const auto header = at<ProgramHeader>(header_.program_offset + i * sizeof(ProgramHeader));
        if (auto error = read_segment(header, i)) return error;
    }
    if (image_.segments.empty()) return refuse("no program header asks for anything to be loaded; link it as an executable");
    return check_overlap();
}

std::optional<Error> ElfReader::read_segment(const ProgramHeader& h, unsigned index) {
    if (h.type != kLoad && h.type != kInterpreter) return std::nullopt;
    if (!inside(h.offset, h.file_size))
        return refuse("segment {} takes {} bytes from offset {:#x}, outside the file of {} bytes; the file is cut short or damaged; copy or build it again", index,
                      h.file_size, h.offset, size());
    if (h.type == kInterpreter) {
        if (h.file_size > kMaxInterpreter) return refuse("the name of its interpreter has {} bytes; the file is damaged; copy or build it again", h.file_size);
        const auto* text = reinterpret_cast<const char*>(image_.bytes.data() + h.offset);
        image_.interpreter.assign(text, strnlen(text, h.file_size));
        return std::nullopt;
    }
    if (h.memory_size == 0 && h.file_size == 0) return std::nullopt;
    if (h.file_size > h.memory_size)
        return refuse("segment {} has {} bytes in the file but only {} in memory; the file is damaged; copy or build it again", index, h.file_size, h.memory_size);
    if (h.memory_size > kMaxSegmentBytes)
        return refuse("segment {} asks for {} bytes of memory, more than any machine here has ({} GiB); the file is damaged; copy or build it again", index,
                      h.memory_size, kMaxSegmentBytes >> 30);
    if (h.virtual_address + h.memory_size < h.virtual_address || h.physical_address + h.memory_size < h.physical_address)
        return refuse("segment {} runs over the end of the address space; the file is damaged; copy or build it again", index);
    image_.segments.push_back({h.virtual_address, h.physical_address, h.memory_size, h.offset, h.file_size,
                               (h.flags & kFlagRead) != 0, (h.flags & kFlagWrite) != 0, (h.flags & kFlagExecute) != 0});
    return std::nullopt;
}

std::optional<Error> ElfReader::check_overlap() {
    auto& segments = image_.segments;
    std::stable_sort(segments.begin(), segments.end(), [](const auto& a, const auto& b) { return a.virtual_address < b.virtual_address; });
    for (std::size_t i = 1; i < segments.size(); ++i) {
        const auto& before = segments[i - 1];
        if (segments[i].virtual_address - before.virtual_address < before.memory_size)
            return refuse("two of its segments overlap at {:#x}; mend the linker script", segments[i].virtual_address);
    }
    return std::nullopt;
}

void ElfReader::locate_program_headers() {
    const u64 bytes = u64{header_.program_count} * sizeof(ProgramHeader);
    for (const auto& s : image_.segments)
        if (header_.program_offset >= s.file_offset && header_.program_offset - s.file_offset + bytes <= s.file_size)
            image_.program_headers_address = s.virtual_address + (header_.program_offset - s.file_offset);
}

std::optional<Error> ElfReader::read_sections() {
    if (header_.section_count == 0 || header_.section_offset == 0) return std::nullopt; // stripped of them
    if (header_.section_entry_size != sizeof(SectionHeader))
        return refuse("its section headers have {} bytes each, not {}; the file is damaged; copy or build it again", header_.section_entry_size, sizeof(SectionHeader));
    if (!inside(header_.section_offset, u64{header_.section_count} * sizeof(SectionHeader)))
        return refuse("its section headers (at offset {:#x}) lie outside the file of {} bytes; the file is cut short, copy or build it again",
                      header_.section_offset, size());
    for (unsigned i = 0; i < header_.section_count; ++i) {
        const auto section = at<SectionHeader>(header_.section_offset + i * sizeof(SectionHeader));
        if (section.type != kSymbolTable) continue;
        return read_symbols(section); // there is at most one
    }
    return std::nullopt;
}

std::optional<Error> ElfReader::read_symbols(const SectionHeader& table) {
    if (table.link >= header_.section_count || table.entry_size != sizeof(Symbol) || !inside(table.offset, table.size))
        return refuse("its symbol table does not lie in the file; the file is damaged; copy or build it again");
    const auto strings = at<SectionHeader>(header_.section_offset + u64{table.link} * sizeof(SectionHeader));
    if (!inside(strings.offset, strings.size)) return refuse("the names of its symbols do not lie in the file; the file is damaged; copy or build it again");
    u64 name_bytes = 0;
    const u64 count = std::min(table.size / sizeof(Symbol), kMaxSymbols);
    for (u64 i = 0; i < count && name_bytes < kMaxSymbolBytes; ++i) {
        const auto symbol = at<Symbol>(table.offset + i * sizeof(Symbol));
        const u8 type = symbol.info & 15; // 0: label, 1: object, 2: function
        if (type > 2 || symbol.section == kUndefined || symbol.name >= strings.size) continue;
        const auto* text = reinterpret_cast<const char*>(image_.bytes.data() + strings.offset + symbol.name);
        const u64 length = strnlen(text, std::min(strings.size - symbol.name, kMaxSymbolName));
        // "$x" and the like mark code for tools, ".L" are the compiler's own.
        if (length == 0 || text[0] == '$' || (length > 1 && text[0] == '.' && text[1] == 'L')) continue;
        std::string name(text, length);
        name_bytes += length;
        if (symbol.section != kAbsolute) image_.by_address.emplace(symbol.value, name);
        image_.symbols.emplace(std::move(name), symbol.value);
    }
    return std::nullopt;
}

Result<ElfImage> ElfReader::read() {
    if (auto error = check_header()) return *error;
    header_ = at<FileHeader>(0);
    image_.entry = header_.entry;
    image_.is_executable = header_.type == kExecutable;
    if (auto error = read_segments()) return *error;
    locate_program_headers();
    if (auto error = read_sections()) return *error;
    return std::move(image_);
}

} // namespace

bool looks_like_elf(std::span<const u8> bytes) { return bytes.size() >= 4 && std::equal(kMagic, kMagic + 4, bytes.begin()); }

Result<ElfImage> parse_elf(std::vector<u8> bytes, const std::string& name) {
    if (bytes.empty()) return Error{fmt::format("{}: the file is empty", name)};
    return ElfReader(std::move(bytes), name).read();
}

std::optional<u64> ElfImage::symbol(const std::string& name) const {
    const auto found = symbols.find(name);
    return found != symbols.end() ? std::optional(found->second) : std::nullopt;
}

std::string ElfImage::describe(u64 address) const {
    const bool loaded = std::any_of(segments.begin(), segments.end(), [&](const Segment& s) { return address - s.virtual_address < s.memory_size; });
    auto after = by_address.upper_bound(address);
    if (!loaded || after == by_address.begin()) return {};
    const auto& [start, name] = *std::prev(after);
    return start == address ? name : fmt::format("{}+{:#x}", name, address - start);
}

} // namespace trapeze
