// ELF64 for RISC-V (System V ABI; RISC-V ELF psABI). Every offset, size and count is checked before it is used.
#include "emulator/loader.hpp"

#include <elf.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace trapeze {

namespace {

constexpr std::size_t kMaxSymbols = 1 << 20;

/// A value at an offset of the file; nullopt when it is not all inside.
template <class T> std::optional<T> at(const std::vector<u8>& bytes, u64 offset) {
    if (sizeof(T) > bytes.size() || offset > bytes.size() - sizeof(T)) return std::nullopt;
    T value;
    std::memcpy(&value, bytes.data() + offset, sizeof value);
    return value;
}

const char* machine_name(u16 machine) {
    switch (machine) {
    case EM_X86_64: return "x86-64";
    case EM_386: return "x86 (32-bit)";
    case EM_AARCH64: return "Arm (64-bit)";
    case EM_ARM: return "Arm (32-bit)";
    case EM_PPC64: return "PowerPC";
    case EM_S390: return "s390";
    default: return "another machine";
    }
}

Result<Elf64_Ehdr> check_header(const std::vector<u8>& bytes, const std::string& name) {
    if (!looks_like_elf(bytes)) return Error{name + ": this is not an ELF file; give a RISC-V ELF program or kernel"};
    if (bytes.size() > EI_CLASS && bytes[EI_CLASS] != ELFCLASS64)
        return Error{name + ": this ELF file is 32-bit; the machine is RV64, build it with -march=rv64gc -mabi=lp64d"};
    const auto header = at<Elf64_Ehdr>(bytes, 0);
    if (!header) return Error{fmt::format("{}: the ELF header is cut off after {} bytes; the file is truncated, copy it again", name, bytes.size())};
    if (header->e_ident[EI_DATA] != ELFDATA2LSB) return Error{name + ": this ELF file is big-endian; RISC-V here is little-endian"};
    if (header->e_machine != EM_RISCV)
        return Error{fmt::format("{}: this program is for {} (ELF machine {}), not for RISC-V; build it with riscv64-linux-gnu-gcc", name,
                                 machine_name(header->e_machine), header->e_machine)};
    if (header->e_type != ET_EXEC && header->e_type != ET_DYN)
        return Error{fmt::format("{}: ELF type {} cannot be run; link it to an executable (ET_EXEC) first", name, header->e_type)};
    if (header->e_phentsize != sizeof(Elf64_Phdr) || header->e_phnum == 0)
        return Error{name + ": the file has no usable program headers; link it to an executable first"};
    return *header;
}

Result<void> read_segments(ElfImage& elf, const Elf64_Ehdr& header, const std::string& name) {
    for (unsigned i = 0; i < header.e_phnum; ++i) {
        const u64 offset = header.e_phoff + u64{i} * sizeof(Elf64_Phdr);
        const auto program = header.e_phoff <= elf.bytes.size() ? at<Elf64_Phdr>(elf.bytes, offset) : std::nullopt;
        if (!program) return Error{fmt::format("{}: program header {} lies outside the file ({} bytes); the file is truncated, copy it again", name, i, elf.bytes.size())};
        const bool inside = program->p_filesz <= elf.bytes.size() && program->p_offset <= elf.bytes.size() - program->p_filesz;
        if (program->p_type == PT_INTERP && inside) {
            elf.interpreter.assign(reinterpret_cast<const char*>(elf.bytes.data() + program->p_offset), program->p_filesz);
            elf.interpreter = elf.interpreter.substr(0, elf.interpreter.find('\0'));
        }
        if (program->p_type != PT_LOAD || program->p_memsz == 0) continue;
        if (!inside) return Error{fmt::format("{}: segment {} lies outside the file ({} bytes); the file is truncated, copy it again", name, i, elf.bytes.size())};
        if (program->p_filesz > program->p_memsz) return Error{fmt::format("{}: segment {} is larger in the file than in memory; the file is damaged", name, i)};
        if (program->p_vaddr + program->p_memsz < program->p_vaddr || program->p_paddr + program->p_memsz < program->p_paddr)
            return Error{fmt::format("{}: segment {} wraps around the end of the address space; the file is damaged", name, i)};
        if (header.e_phoff >= program->p_offset && header.e_phoff + u64{header.e_phnum} * sizeof(Elf64_Phdr) <= program->p_offset + program->p_filesz)
            elf.program_headers_address = program->p_vaddr + (header.e_phoff - program->p_offset);
        elf.segments.push_back({program->p_vaddr, program->p_paddr, program->p_memsz, program->p_offset, program->p_filesz,
                                (program->p_flags & PF_R) != 0, (program->p_flags & PF_W) != 0, (program->p_flags & PF_X) != 0});
    }
    if (elf.segments.empty()) return Error{name + ": the file has nothing to load (no PT_LOAD segment)"};
    std::sort(elf.segments.begin(), elf.segments.end(), [](const auto& a, const auto& b) { return a.virtual_address < b.virtual_address; });
    for (std::size_t i = 1; i < elf.segments.size(); ++i)
        if (elf.segments[i - 1].virtual_address + elf.segments[i - 1].memory_size > elf.segments[i].virtual_address)
            return Error{fmt::format("{}: the segments at 0x{:x} and 0x{:x} overlap; check the linker script", name, elf.segments[i - 1].virtual_address,
                                     elf.segments[i].virtual_address)};
    return {};
}

/// Symbols are a convenience: a damaged table is left out, not an error.
void read_symbols(ElfImage& elf, const Elf64_Ehdr& header) {
    for (unsigned i = 0; i < header.e_shnum && header.e_shoff <= elf.bytes.size(); ++i) {
        const auto section = at<Elf64_Shdr>(elf.bytes, header.e_shoff + u64{i} * sizeof(Elf64_Shdr));
        if (!section || section->sh_type != SHT_SYMTAB || section->sh_offset > elf.bytes.size()) continue;
        const auto strings = at<Elf64_Shdr>(elf.bytes, header.e_shoff + u64{section->sh_link} * sizeof(Elf64_Shdr));
        if (!strings || strings->sh_offset > elf.bytes.size() || strings->sh_size > elf.bytes.size() - strings->sh_offset) continue;
        const char* text = reinterpret_cast<const char*>(elf.bytes.data() + strings->sh_offset);
        const std::size_t count = std::min<std::size_t>(section->sh_size / sizeof(Elf64_Sym), kMaxSymbols);
        for (std::size_t n = 0; n < count; ++n) {
            const auto symbol = at<Elf64_Sym>(elf.bytes, section->sh_offset + n * sizeof(Elf64_Sym));
            if (!symbol) return;
            const unsigned type = ELF64_ST_TYPE(symbol->st_info);
            if ((type != STT_FUNC && type != STT_NOTYPE && type != STT_OBJECT) || symbol->st_shndx == SHN_UNDEF || symbol->st_name >= strings->sh_size) continue;
            const std::size_t room = strings->sh_size - symbol->st_name;
            const std::string symbol_name(text + symbol->st_name, strnlen(text + symbol->st_name, std::min<std::size_t>(room, 256)));
            // Mapping symbols ($x, $d) and local labels say nothing to people.
            if (!symbol_name.empty() && symbol_name[0] != '$' && symbol_name[0] != '.') elf.symbols.emplace(symbol_name, symbol->st_value);
        }
    }
    for (const auto& [symbol_name, address] : elf.symbols) elf.by_address.emplace(address, symbol_name);
}

} // namespace

bool looks_like_elf(std::span<const u8> bytes) { return bytes.size() >= SELFMAG && !std::memcmp(bytes.data(), ELFMAG, SELFMAG); }

Result<ElfImage> parse_elf(std::vector<u8> bytes, const std::string& name) {
    const auto header = check_header(bytes, name);
    if (!header) return Error{header.error()};
    ElfImage elf;
    elf.bytes = std::move(bytes);
    elf.entry = header.value().e_entry;
    elf.is_executable = header.value().e_type == ET_EXEC;
    elf.program_header_count = header.value().e_phnum;
    if (const auto segments = read_segments(elf, header.value(), name); !segments) return Error{segments.error()};
    read_symbols(elf, header.value());
    return elf;
}

std::optional<u64> ElfImage::symbol(const std::string& name) const {
    const auto found = symbols.find(name);
    return found == symbols.end() ? std::nullopt : std::optional(found->second);
}

std::string ElfImage::describe(u64 address) const {
    auto next = by_address.upper_bound(address);
    if (next == by_address.begin()) return {};
    --next;
    constexpr u64 kFarthest = 1 << 20; // beyond that the name would mislead
    if (address - next->first > kFarthest) return {};
    return address == next->first ? next->second : fmt::format("{}+0x{:x}", next->second, address - next->first);
}

} // namespace trapeze
