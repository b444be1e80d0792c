// Disassembly: Capstone 5 where it knows the instruction and every name in it, else the instruction table's own text.
#include "emulator/isa/isa.hpp"

#include <fmt/format.h>

#ifndef TRAPEZE_NO_CAPSTONE
#include <capstone/capstone.h>
#endif

namespace trapeze {

namespace {

std::string csr_text(u32 number) {
    const CsrRow* row = csr_row(static_cast<u16>(number));
    return row ? row->name : fmt::format("0x{:x}", number);
}

std::string rounding_text(u8 rm) {
    static constexpr const char* kModes[] = {", rne", ", rtz", ", rdn", ", rup", ", rmm", ", rm5", ", rm6", ""};
    return kModes[rm & 7];
}

std::string fence_set(unsigned set) {
    std::string text;
    for (unsigned i = 0; i < 4; ++i)
        if (set >> (3 - i) & 1) text += "iorw"[i];
    return text.empty() ? "0" : text;
}

/// Hints of loads to come name an address; the low five bits of its immediate say which hint it is.
std::string hint_text(const HintRow& hint, const Instruction& insn) {
    if (hint.extension != Extension::Zicbop) return hint.mnemonic;
    return fmt::format("{} {}({})", hint.mnemonic, insn.imm & ~31, register_name(insn.rs1));
}

} // namespace

std::string disassemble_by_table(u32 word, u64 pc) {
    const Instruction insn = decode(word);
    if (const HintRow* hint = insn.length == 4 ? hint_row(word) : nullptr) return hint_text(*hint, insn);
    const InstructionRow& r = row(insn.op);
    if (insn.op == Op::Illegal) return fmt::format("illegal 0x{:x}", insn.word);
    const char *rd = register_name(insn.rd), *rs1 = register_name(insn.rs1), *rs2 = register_name(insn.rs2);
    const char *fd = fp_register_name(insn.rd), *fs1 = fp_register_name(insn.rs1), *fs2 = fp_register_name(insn.rs2);
    const std::string target = fmt::format("0x{:x}", pc + static_cast<u64>(static_cast<i64>(insn.imm)));
    const auto text = [&](const auto&... operands) {
        std::string out = r.mnemonic;
        const char* separator = " ";
        ((out += fmt::format("{}{}", separator, operands), separator = ", "), ...);
        return out;
    };
    switch (r.format) {
    case Format::None: return r.mnemonic;
    case Format::R: return text(rd, rs1, rs2);
    case Format::R1: return text(rd, rs1);
    case Format::Cbo: return text(fmt::format("({})", rs1));
    case Format::I: case Format::Shift6: case Format::Shift5: return text(rd, rs1, insn.imm);
    case Format::Load: return text(rd, fmt::format("{}({})", insn.imm, rs1));
    case Format::Store: return text(rs2, fmt::format("{}({})", insn.imm, rs1));
    case Format::FLoad: return text(fd, fmt::format("{}({})", insn.imm, rs1));
    case Format::FStore: return text(fs2, fmt::format("{}({})", insn.imm, rs1));
    case Format::B: return text(rs1, rs2, target);
    case Format::U: return text(rd, fmt::format("0x{:x}", bits(static_cast<u32>(insn.imm), 31, 12)));
    case Format::J: return text(rd, target);
    case Format::Jalr: return text(rd, fmt::format("{}({})", insn.imm, rs1));
    case Format::Fence: return text(fence_set(bits(insn.word, 27, 24)), fence_set(bits(insn.word, 23, 20)));
    case Format::Lr: return text(rd, fmt::format("({})", rs1));
    case Format::Amo: return text(rd, rs2, fmt::format("({})", rs1));
    case Format::Csr: return text(rd, csr_text(static_cast<u32>(insn.imm)), rs1);
    case Format::CsrI: return text(rd, csr_text(static_cast<u32>(insn.imm)), static_cast<unsigned>(insn.rs1));
    case Format::SfenceVma: return text(rs1, rs2);
    case Format::HLoad: return text(rd, fmt::format("({})", rs1));
    case Format::HStore: return text(rs2, fmt::format("({})", rs1));
    case Format::FR: return text(fd, fs1, fs2);
    case Format::FRm: return text(fd, fs1, fs2) + rounding_text(insn.rm);
    case Format::FRm1: return text(fd, fs1) + rounding_text(insn.rm);
    case Format::FR4: return text(fd, fs1, fs2, fp_register_name(insn.rs3)) + rounding_text(insn.rm);
    case Format::FCmp: return text(rd, fs1, fs2);
    case Format::FToX: return text(rd, fs1);
    case Format::FToXRm: return text(rd, fs1) + rounding_text(insn.rm);
    case Format::XToF: return text(fd, rs1);
    case Format::XToFRm: return text(fd, rs1) + rounding_text(insn.rm);
    }
    return r.mnemonic;
}

#ifdef TRAPEZE_NO_CAPSTONE

std::string disassemble(u32 word, u64 pc) { return disassemble_by_table(word, pc); }
const char* disassembler_name() { return "the instruction table (Capstone 5 was not found)"; }

#else

namespace {

/// Opens Capstone once; 0 when this build of it has no RISC-V.
csh capstone_handle() {
    static const csh handle = [] {
        csh opened = 0;
        if (cs_open(CS_ARCH_RISCV, static_cast<cs_mode>(CS_MODE_RISCV64 | CS_MODE_RISCVC), &opened) != CS_ERR_OK) return csh{0};
        return opened;
    }();
    return handle;
}

} // namespace

std::string disassemble(u32 word, u64 pc) {
    const Instruction insn = decode(word);
    // Capstone prints branch targets as distances, does not know every CSR, and knows no extension after these; there the table says it better.
    const Format format = row(insn.op).format;
    const bool known_to_capstone = row(insn.op).extension <= Extension::Svinval && !(insn.length == 4 && hint_row(word));
    const bool table_is_better = insn.op == Op::Illegal || !known_to_capstone || format == Format::B || format == Format::J || format == Format::Csr ||
                                 format == Format::CsrI;
    const bool csr_has_short_form = format == Format::Csr || format == Format::CsrI;
    if (csr_has_short_form && insn.op != Op::Illegal) {
        const std::string csr = csr_text(static_cast<u32>(insn.imm));
        const std::string source = format == Format::Csr ? register_name(insn.rs1) : fmt::format("{}", insn.rs1);
        if (insn.rs1 == 0 && insn.op == Op::csrrs) return fmt::format("csrr {}, {}", register_name(insn.rd), csr);
        if (insn.rd == 0) { // csrrw zero, csr, rs is written csrw csr, rs
            std::string shorter = row(insn.op).mnemonic;
            shorter.erase(3, 1);
            return fmt::format("{} {}, {}", shorter, csr, source);
        }
    }
    if (table_is_better || !capstone_handle()) return disassemble_by_table(word, pc);
    const u8 bytes[4] = {static_cast<u8>(word), static_cast<u8>(word >> 8), static_cast<u8>(word >> 16), static_cast<u8>(word >> 24)};
    cs_insn* decoded = nullptr;
    if (cs_disasm(capstone_handle(), bytes, insn.length, pc, 1, &decoded) != 1) return disassemble_by_table(word, pc);
    std::string text = decoded->op_str[0] ? fmt::format("{} {}", decoded->mnemonic, decoded->op_str) : decoded->mnemonic;
    cs_free(decoded, 1);
    return text;
}

const char* disassembler_name() {
    static const std::string name = fmt::format("Capstone {}.{}", CS_API_MAJOR, CS_API_MINOR);
    return capstone_handle() ? name.c_str() : "the instruction table (this Capstone has no RISC-V)";
}

#endif

} // namespace trapeze
