#include "emulator/isa/encode.hpp"

namespace trapeze {

u32 encode(Op op, const Operands& o) {
    const InstructionRow& r = row(op);
    const u32 imm = static_cast<u32>(o.imm), rd = o.rd << 7, rs1 = o.rs1 << 15, rs2 = o.rs2 << 20;
    const auto field = [imm](unsigned high, unsigned low, unsigned at) { return static_cast<u32>(bits(imm, high, low)) << at; };
    switch (r.format) {
    case Format::None: case Format::Fence: return r.match;
    case Format::I: case Format::Load: case Format::FLoad: case Format::Jalr: case Format::Csr: case Format::CsrI:
    case Format::Shift5: case Format::Shift6: return r.match | rd | rs1 | imm << 20;
    case Format::Store: case Format::FStore: return r.match | rs1 | rs2 | field(11, 5, 25) | field(4, 0, 7);
    case Format::B: return r.match | rs1 | rs2 | field(12, 12, 31) | field(10, 5, 25) | field(4, 1, 8) | field(11, 11, 7);
    case Format::U: return r.match | rd | (imm & 0xfffff000);
    case Format::J: return r.match | rd | field(20, 20, 31) | field(10, 1, 21) | field(11, 11, 20) | field(19, 12, 12);
    case Format::FRm: case Format::FRm1: case Format::FR4: case Format::FToXRm: case Format::XToFRm: return r.match | rd | rs1 | rs2 | 7u << 12;
    default: return r.match | rd | rs1 | rs2;
    }
}

} // namespace trapeze
