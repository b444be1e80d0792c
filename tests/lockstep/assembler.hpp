// A small assembler for what the generator writes: words of the instruction table, and code that grows.
#pragma once

#include "emulator/isa/isa.hpp"

#include <initializer_list>
#include <vector>

namespace trapeze::lockstep {

/// The word of a row with these operands. Fields that the row's mask fixes stay as they are.
struct Operands {
    unsigned rd = 0, rs1 = 0, rs2 = 0;
    i64 imm = 0;
};
u32 encode(Op op, Operands o);
inline u32 csr_word(Op op, unsigned rd, Csr csr, unsigned rs1) { return encode(op, {.rd = rd, .rs1 = rs1, .imm = static_cast<u16>(csr)}); }
inline u32 csr_read(unsigned rd, Csr csr) { return csr_word(Op::csrrs, rd, csr, 0); }
inline u32 csr_write(Csr csr, unsigned rs1) { return csr_word(Op::csrrw, 0, csr, rs1); }
inline u32 csr_set(Csr csr, unsigned rs1) { return csr_word(Op::csrrs, 0, csr, rs1); }
inline u32 csr_clear(Csr csr, unsigned rs1) { return csr_word(Op::csrrc, 0, csr, rs1); }
inline u32 add_immediate(unsigned rd, unsigned rs1, i64 imm) { return encode(Op::addi, {.rd = rd, .rs1 = rs1, .imm = imm}); }

/// Bytes of code, growing.
struct Code {
    std::vector<u8> bytes;
    void half(u16 h) { bytes.insert(bytes.end(), {static_cast<u8>(h), static_cast<u8>(h >> 8)}); }
    void word(u32 w) { half(static_cast<u16>(w)), half(static_cast<u16>(w >> 16)); }
    void words(std::initializer_list<u32> all) { for (u32 w : all) word(w); }
    /// rd = value, in 1 to 8 instructions.
    void load_constant(unsigned rd, u64 value);
    void append(const Code& other) { bytes.insert(bytes.end(), other.bytes.begin(), other.bytes.end()); }
};

/// Code whose branches name places: small numbers of its writer's.
class Assembly {
  public:
    Code code;
    void place(unsigned label) { places_.push_back({label, code.bytes.size()}); }
    void branch(Op op, unsigned rs1, unsigned rs2, unsigned label);
    void jump(unsigned label, unsigned link = 0);
    /// The code with its branches filled in. Pre: every label that is named has its place.
    Code finish();

  private:
    struct Mark {
        unsigned label;
        std::size_t offset;
    };
    struct Use {
        Mark at;
        Op op;
        Operands operands;
    };
    std::vector<Mark> places_;
    std::vector<Use> uses_;
};

} // namespace trapeze::lockstep
