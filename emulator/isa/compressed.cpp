// Compressed instructions expand to the 32-bit instruction that they abbreviate (Unprivileged specification, chapter 26, RV64C).
// Reserved encodings give 0; hints expand to the instruction that they are, which changes nothing.
#include "emulator/isa/isa.hpp"

namespace trapeze {

namespace {

// Builders of the base forms. Opcodes are taken from the rows, so that no encoding is written outside the table.
constexpr u32 match_of(Op op) {
    constexpr u32 kMatches[] = {
#define INSN(id, mnemonic, match, ...) match,
#include "emulator/isa/instructions.def"
    };
    return kMatches[static_cast<std::size_t>(op)];
}
constexpr u32 r_type(Op op, u32 rd, u32 rs1, u32 rs2) { return match_of(op) | rd << 7 | rs1 << 15 | rs2 << 20; }
constexpr u32 i_type(Op op, u32 rd, u32 rs1, u32 imm) { return match_of(op) | rd << 7 | rs1 << 15 | (imm & 0xfff) << 20; }
constexpr u32 s_type(Op op, u32 rs1, u32 rs2, u32 imm) {
    return match_of(op) | rs1 << 15 | rs2 << 20 | (imm & 0x1f) << 7 | (imm >> 5 & 0x7f) << 25;
}
constexpr u32 b_type(Op op, u32 rs1, u32 imm) {
    return match_of(op) | rs1 << 15 | (imm >> 11 & 1) << 7 | (imm >> 1 & 15) << 8 | (imm >> 5 & 63) << 25 | (imm >> 12 & 1) << 31;
}
constexpr u32 j_type(Op op, u32 imm) {
    return match_of(op) | (imm & 0xff000) | (imm >> 11 & 1) << 20 | (imm >> 1 & 0x3ff) << 21 | (imm >> 20 & 1) << 31;
}

constexpr u32 f(u32 h, unsigned high, unsigned low) { return static_cast<u32>(bits(h, high, low)); }
constexpr u32 sx(u32 value, unsigned width) { return static_cast<u32>(sign_extend(value, width)); }

// Immediates by their names in the specification's tables.
constexpr u32 imm6(u32 h) { return sx(f(h, 12, 12) << 5 | f(h, 6, 2), 6); }
constexpr u32 shamt(u32 h) { return f(h, 12, 12) << 5 | f(h, 6, 2); }
constexpr u32 offset_w(u32 h) { return f(h, 12, 10) << 3 | f(h, 6, 6) << 2 | f(h, 5, 5) << 6; }
constexpr u32 offset_d(u32 h) { return f(h, 12, 10) << 3 | f(h, 6, 5) << 6; }
constexpr u32 offset_wsp(u32 h) { return f(h, 12, 12) << 5 | f(h, 6, 4) << 2 | f(h, 3, 2) << 6; }
constexpr u32 offset_dsp(u32 h) { return f(h, 12, 12) << 5 | f(h, 6, 5) << 3 | f(h, 4, 2) << 6; }
constexpr u32 store_wsp(u32 h) { return f(h, 12, 9) << 2 | f(h, 8, 7) << 6; }
constexpr u32 store_dsp(u32 h) { return f(h, 12, 10) << 3 | f(h, 9, 7) << 6; }
constexpr u32 addi4spn(u32 h) { return f(h, 12, 11) << 4 | f(h, 10, 7) << 6 | f(h, 6, 6) << 2 | f(h, 5, 5) << 3; }
constexpr u32 addi16sp(u32 h) {
    return sx(f(h, 12, 12) << 9 | f(h, 6, 6) << 4 | f(h, 5, 5) << 6 | f(h, 4, 3) << 7 | f(h, 2, 2) << 5, 10);
}
constexpr u32 jump_offset(u32 h) {
    return sx(f(h, 12, 12) << 11 | f(h, 11, 11) << 4 | f(h, 10, 9) << 8 | f(h, 8, 8) << 10 | f(h, 7, 7) << 6 | f(h, 6, 6) << 7 |
                  f(h, 5, 3) << 1 | f(h, 2, 2) << 5,
              12);
}
constexpr u32 branch_offset(u32 h) {
    return sx(f(h, 12, 12) << 8 | f(h, 11, 10) << 3 | f(h, 6, 5) << 6 | f(h, 4, 3) << 1 | f(h, 2, 2) << 5, 9);
}

u32 quadrant0(u32 h) {
    const u32 rd = f(h, 4, 2) + 8, rs1 = f(h, 9, 7) + 8;
    switch (f(h, 15, 13)) {
    case 0: return addi4spn(h) ? i_type(Op::addi, rd, 2, addi4spn(h)) : 0;
    case 1: return i_type(Op::fld, rd, rs1, offset_d(h));
    case 2: return i_type(Op::lw, rd, rs1, offset_w(h));
    case 3: return i_type(Op::ld, rd, rs1, offset_d(h));
    case 5: return s_type(Op::fsd, rs1, rd, offset_d(h));
    case 6: return s_type(Op::sw, rs1, rd, offset_w(h));
    case 7: return s_type(Op::sd, rs1, rd, offset_d(h));
    default: return 0;
    }
}

u32 arithmetic(u32 h) { // quadrant 1, function 4
    const u32 rd = f(h, 9, 7) + 8, rs2 = f(h, 4, 2) + 8;
    switch (f(h, 11, 10)) {
    case 0: return i_type(Op::srli, rd, rd, shamt(h));
    case 1: return i_type(Op::srai, rd, rd, shamt(h));
    case 2: return i_type(Op::andi, rd, rd, imm6(h));
    default: break;
    }
    static constexpr Op kWords[] = {Op::sub, Op::xor_, Op::or_, Op::and_, Op::subw, Op::addw};
    const u32 index = f(h, 12, 12) << 2 | f(h, 6, 5);
    return index < 6 ? r_type(kWords[index], rd, rd, rs2) : 0;
}

u32 quadrant1(u32 h) {
    const u32 rd = f(h, 11, 7), short_rs1 = f(h, 9, 7) + 8;
    switch (f(h, 15, 13)) {
    case 0: return i_type(Op::addi, rd, rd, imm6(h));
    case 1: return rd ? i_type(Op::addiw, rd, rd, imm6(h)) : 0;
    case 2: return i_type(Op::addi, rd, 0, imm6(h));
    case 3:
        if (rd == 2) return addi16sp(h) ? i_type(Op::addi, 2, 2, addi16sp(h)) : 0;
        return imm6(h) ? match_of(Op::lui) | rd << 7 | imm6(h) << 12 : 0;
    case 4: return arithmetic(h);
    case 5: return j_type(Op::jal, jump_offset(h));
    case 6: return b_type(Op::beq, short_rs1, branch_offset(h));
    default: return b_type(Op::bne, short_rs1, branch_offset(h));
    }
}

u32 quadrant2(u32 h) {
    const u32 rd = f(h, 11, 7), rs2 = f(h, 6, 2);
    switch (f(h, 15, 13)) {
    case 0: return i_type(Op::slli, rd, rd, shamt(h));
    case 1: return i_type(Op::fld, rd, 2, offset_dsp(h));
    case 2: return rd ? i_type(Op::lw, rd, 2, offset_wsp(h)) : 0;
    case 3: return rd ? i_type(Op::ld, rd, 2, offset_dsp(h)) : 0;
    case 4:
        if (!f(h, 12, 12)) return rs2 ? r_type(Op::add, rd, 0, rs2) : rd ? i_type(Op::jalr, 0, rd, 0) : 0;
        if (rs2) return r_type(Op::add, rd, rd, rs2);
        return rd ? i_type(Op::jalr, 1, rd, 0) : match_of(Op::ebreak);
    case 5: return s_type(Op::fsd, 2, rs2, store_dsp(h));
    case 6: return s_type(Op::sw, 2, rs2, store_wsp(h));
    default: return s_type(Op::sd, 2, rs2, store_dsp(h));
    }
}

} // namespace

u32 expand_compressed(u16 half) {
    switch (half & 3) {
    case 0: return quadrant0(half);
    case 1: return quadrant1(half);
    case 2: return quadrant2(half);
    default: return 0;
    }
}

} // namespace trapeze
