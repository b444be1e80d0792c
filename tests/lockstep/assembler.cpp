#include "tests/lockstep/assembler.hpp"

#include <algorithm>

namespace trapeze::lockstep {

u32 encode(Op op, Operands o) {
    const InstructionRow& r = row(op);
    const u32 imm = static_cast<u32>(o.imm);
    u32 word = 0;
    switch (r.format) {
    case Format::Store: case Format::FStore: word = (imm & 0x1f) << 7 | (imm >> 5 & 0x7f) << 25; break;
    case Format::B: word = (imm >> 11 & 1) << 7 | (imm >> 1 & 15) << 8 | (imm >> 5 & 63) << 25 | (imm >> 12 & 1) << 31; break;
    case Format::U: word = imm & 0xfffff000; break;
    case Format::J: word = (imm & 0xff000) | (imm >> 11 & 1) << 20 | (imm >> 1 & 0x3ff) << 21 | (imm >> 20 & 1) << 31; break;
    case Format::R: case Format::Amo: case Format::Lr: case Format::SfenceVma: break;
    default: word = imm << 20; break;
    }
    const bool has_rd = r.format != Format::Store && r.format != Format::FStore && r.format != Format::B;
    const bool has_rs1 = r.format != Format::U && r.format != Format::J;
    const bool has_rs2 = r.format == Format::R || r.format == Format::Amo || r.format == Format::Store || r.format == Format::FStore ||
                         r.format == Format::B || r.format == Format::SfenceVma;
    if (has_rd) word |= o.rd << 7;
    if (has_rs1) word |= o.rs1 << 15;
    if (has_rs2) word |= o.rs2 << 20;
    return r.match | (word & ~r.mask);
}

void Code::load_constant(unsigned rd, u64 value) {
    const i64 low = static_cast<i64>(sign_extend(value, 12));
    if (static_cast<u64>(low) == value) return word(add_immediate(rd, 0, low));
    if (sign_extend(value, 32) == value) {
        word(encode(Op::lui, {.rd = rd, .imm = static_cast<i64>(value - static_cast<u64>(low))}));
        if (low) word(encode(Op::addiw, {.rd = rd, .rs1 = rd, .imm = low}));
        return;
    }
    u64 high = (value - static_cast<u64>(low)) >> 12;
    unsigned shift = 12;
    while (!(high & 1)) high >>= 1, ++shift;
    load_constant(rd, sign_extend(high, 64 - shift));
    word(encode(Op::slli, {.rd = rd, .rs1 = rd, .imm = shift}));
    if (low) word(add_immediate(rd, rd, low));
}

void Assembly::branch(Op op, unsigned rs1, unsigned rs2, unsigned label) {
    uses_.push_back({{label, code.bytes.size()}, op, {.rs1 = rs1, .rs2 = rs2}});
    code.word(0);
}
void Assembly::jump(unsigned label, unsigned link) {
    uses_.push_back({{label, code.bytes.size()}, Op::jal, {.rd = link}});
    code.word(0);
}

Code Assembly::finish() {
    for (Use& use : uses_) {
        const auto place = std::ranges::find(places_, use.at.label, &Mark::label);
        use.operands.imm = static_cast<i64>(place->offset) - static_cast<i64>(use.at.offset);
        const u32 word = encode(use.op, use.operands);
        for (unsigned i = 0; i < 4; ++i) code.bytes[use.at.offset + i] = static_cast<u8>(word >> (8 * i));
    }
    return code;
}

} // namespace trapeze::lockstep
