// What the tables of instructions and CSRs say, as values: ids, rows, decoding, disassembly.
// Usage: `decode(word)` gives an Instruction; `row(insn.op)` its row; `csr_row(number)` a CSR's, or null.
#pragma once

#include "emulator/base/types.hpp"
#include "emulator/cpu/trap.hpp"

#include <array>
#include <string>

namespace trapeze {

/// Operand layout of an instruction; the letter forms are the specification's.
enum class Format : u8 {
    None, R, I, Load, Store, Shift6, Shift5, B, U, J, Jalr, Fence, Lr, Amo, Csr, CsrI, SfenceVma,
    HLoad, HStore, FLoad, FStore, FR, FRm, FRm1, FR4, FCmp, FToX, FToXRm, XToF, XToFRm,
    R1,  ///< one source: rd, rs1
    Cbo, ///< a cache block: (rs1)
};
enum class Extension : u8 {
    I, M, A, F, D, Zicsr, Zifencei, H, Svinval, Zihintpause, Zawrs, Zicond, Zicbom, Zicbop, Zicboz, Zfhmin, Zba, Zbb, Zbc, Zbs,
};
/// A status bit that can make an instruction or CSR access trap at a privilege that is otherwise sufficient.
enum class Gate : u8 { None, Tvm, Tw, Tsr, Hu, Fs, Counter, Stce, Mcfg, Cbie, Cbcfe, Cbze, StateEnable, Environment };
/// Popek and Goldberg (1974): control-sensitive changes resources or mode, behaviour-sensitive depends on them.
enum class Sensitivity : u8 { Innocuous, Control, Behaviour, ByCsr };

/// One value per row of instructions.def, in order; Illegal is any word that no row matches.
enum class Op : u16 {
#define INSN(id, ...) id,
#include "emulator/isa/instructions.def"
    Illegal,
};
inline constexpr std::size_t kOpCount = static_cast<std::size_t>(Op::Illegal);

struct InstructionRow {
    const char* mnemonic;
    u32 match;
    u32 mask;
    Format format;
    Extension extension;
    Priv lowest;
    Gate gate;
    Sensitivity sensitivity;
};
/// Row of `op`; the row of Op::Illegal has the mnemonic "illegal".
const InstructionRow& row(Op op);

/// A hint: encodings of another row that have a name of their own and no effect.
struct HintRow {
    const char* mnemonic;
    u32 match;
    u32 mask;
    Extension extension;
    Op base; ///< the instruction that it is executed as
};
/// The hint that `word` is, or null.
const HintRow* hint_row(u32 word);

/// A decoded instruction. Register operands are numbers 0..31.
struct Instruction {
    Op op = Op::Illegal;
    u8 rd = 0;
    u8 rs1 = 0;
    u8 rs2 = 0;
    u8 rs3 = 0;
    u8 rm = 0;      ///< floating-point rounding mode field, else 0
    u8 length = 4;  ///< bytes: 2 or 4
    i32 imm = 0;    ///< immediate, sign-extended; shift amount; for Csr and CsrI the CSR number
    u32 word = 0;   ///< as fetched: the low half-word alone when compressed
};

/// Decodes `word`, whose low half-word is the one at the program counter. Total: any word decodes, some to Op::Illegal.
Instruction decode(u32 word);
/// The 32-bit form of a compressed instruction (Unprivileged specification, chapter 26); 0 where it is illegal.
u32 expand_compressed(u16 half);
/// True when the low half-word begins a 32-bit instruction.
constexpr bool is_long(u16 half) { return (half & 3) == 3; }

/// CSR numbers by the specification's name: Csr::satp == 0x180.
enum class Csr : u16 {
#define CSR(number, name, ...) name = number,
#include "emulator/isa/csrs.def"
};
enum class CsrKind : u8 { Stored, Custom, Constant };
struct CsrRow {
    Csr csr;
    const char* name;
    CsrKind kind;
    u64 write_mask;
    Gate gate;
    Sensitivity sensitivity;
    const char* sentence;
    u16 slot; ///< its place in HartState::csrs
};
enum class CsrSlot : u16 {
#define CSR(number, name, ...) name,
#include "emulator/isa/csrs.def"
    Count,
};
inline constexpr std::size_t kCsrCount = static_cast<std::size_t>(CsrSlot::Count);

/// Row of the CSR with this number, or null when there is none.
const CsrRow* csr_row(u16 number);
/// Row in table order. Range: index < kCsrCount.
const CsrRow& csr_row_at(std::size_t index);
/// Row of the CSR with this name, or null.
const CsrRow* csr_by_name(const char* name);
inline constexpr std::array<u16, 4096> kSlotOfCsr = [] {
    std::array<u16, 4096> slots{};
#define CSR(number, name, ...) slots[number] = static_cast<u16>(CsrSlot::name);
#include "emulator/isa/csrs.def"
    return slots;
}();
/// Slot of a CSR that the table has. The compiler folds it where the CSR is a constant, so an access costs an index.
constexpr std::size_t slot(Csr csr) { return kSlotOfCsr[static_cast<u16>(csr) & 0xfff]; }
constexpr Priv csr_lowest_priv(u16 number) { return static_cast<Priv>(bits(number, 9, 8)); }
constexpr bool csr_read_only(u16 number) { return bits(number, 11, 10) == 3; }

/// ABI names: "zero", "ra", ... and "ft0", ...
const char* register_name(unsigned index);
const char* fp_register_name(unsigned index);

/// Text of the instruction at `pc`, such as "csrw satp, t0". Capstone's where it knows the instruction, else the table's own.
std::string disassemble(u32 word, u64 pc);
/// The table's own text; used where Capstone has none, and by its test.
std::string disassemble_by_table(u32 word, u64 pc);
/// Says which disassembler is in use: "Capstone 5.0" or "the instruction table".
const char* disassembler_name();

/// A sensitive operation that a hart can be built to not trap on in U-mode (silent.def).
enum class SilentOp : u8 {
#define SILENT(id, ...) id,
#include "emulator/isa/silent.def"
    Count,
};
enum class SilentAccess : u8 { Read, Write };
struct SilentRow {
    const char* name;
    Csr csr;
    SilentAccess access;
    const char* model; ///< what x86 had like it
    const char* sentence;
};
const SilentRow& silent_row(SilentOp op);
constexpr u8 silent_bit(SilentOp op) { return static_cast<u8>(1u << static_cast<unsigned>(op)); }

} // namespace trapeze
