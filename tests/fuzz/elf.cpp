// Fuzz target: the ELF loader. Seeds: a small well-formed file made by hand.
#include "emulator/loader.hpp"
#include "tests/fuzz/fuzz.hpp"

#include <elf.h>

#include <cstring>

namespace {

using namespace trapeze;

std::vector<std::vector<u8>> seeds() {
    Elf64_Ehdr header{};
    std::memcpy(header.e_ident, ELFMAG, SELFMAG);
    header.e_ident[EI_CLASS] = ELFCLASS64, header.e_ident[EI_DATA] = ELFDATA2LSB;
    header.e_type = ET_EXEC, header.e_machine = EM_RISCV, header.e_entry = kRamBase;
    header.e_phoff = sizeof header, header.e_phentsize = sizeof(Elf64_Phdr), header.e_phnum = 2;
    Elf64_Phdr segments[2]{};
    for (unsigned i = 0; i < 2; ++i) {
        segments[i].p_type = PT_LOAD, segments[i].p_flags = PF_R | PF_X;
        segments[i].p_vaddr = segments[i].p_paddr = kRamBase + i * 0x1000;
        segments[i].p_offset = 0, segments[i].p_filesz = 64, segments[i].p_memsz = 128;
    }
    std::vector<u8> file(sizeof header + sizeof segments + 64);
    std::memcpy(file.data(), &header, sizeof header);
    std::memcpy(file.data() + sizeof header, segments, sizeof segments);
    return {file};
}

void run(const std::vector<u8>& input) {
    static Machine machine = std::move(Machine::create({.ram_bytes = 4 << 20})).value();
    (void)load_guest_bytes(machine, input, "fuzzed");
}

const fuzz::Registration registration({"elf", run, seeds});

} // namespace
