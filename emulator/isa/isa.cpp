// The tables as values: rows, lookup, decoding. The table proves itself here, at compile time.
#include "emulator/isa/isa.hpp"

#include <algorithm>
#include <array>
#include <cstring>

namespace trapeze {

namespace {

constexpr InstructionRow kRows[] = {
#define INSN(id, mnemonic, match, mask, format, extension, priv, gate, sensitivity, ...)                                   \
    {mnemonic, match, mask, Format::format, Extension::extension, Priv::priv, Gate::gate, Sensitivity::sensitivity},
#include "emulator/isa/instructions.def"
    {"illegal", 0, 0, Format::None, Extension::I, Priv::U, Gate::None, Sensitivity::Innocuous},
};

constexpr HintRow kHints[] = {
#define INSN(...)
#define HINT(mnemonic, match, mask, extension, base) {mnemonic, match, mask, Extension::extension, Op::base},
#include "emulator/isa/instructions.def"
};

// Rows by major opcode (bits 6:2): a word is only compared with the rows of its bucket.
constexpr std::size_t kBuckets = 32;
constexpr std::size_t bucket_of(u32 word) { return bits(word, 6, 2); }

struct Buckets {
    std::array<u16, kBuckets + 1> first{};
    std::array<u16, kOpCount> ops{};
};
constexpr Buckets make_buckets() {
    Buckets buckets;
    std::size_t next = 0;
    for (std::size_t bucket = 0; bucket < kBuckets; ++bucket) {
        buckets.first[bucket] = static_cast<u16>(next);
        for (std::size_t op = 0; op < kOpCount; ++op)
            if (bucket_of(kRows[op].match) == bucket) buckets.ops[next++] = static_cast<u16>(op);
    }
    buckets.first[kBuckets] = static_cast<u16>(next);
    return buckets;
}
constexpr Buckets kLookup = make_buckets();

constexpr bool masks_cover_matches() {
    for (std::size_t op = 0; op < kOpCount; ++op)
        if ((kRows[op].match & ~kRows[op].mask) || (kRows[op].match & 3) != 3 || (kRows[op].mask & 0x7f) != 0x7f) return false;
    return true;
}
/// Two rows of one bucket overlap when some word would match both.
constexpr bool bucket_overlaps(std::size_t bucket) {
    for (std::size_t i = kLookup.first[bucket]; i < kLookup.first[bucket + 1]; ++i)
        for (std::size_t j = i + 1; j < kLookup.first[bucket + 1]; ++j) {
            const InstructionRow &a = kRows[kLookup.ops[i]], &b = kRows[kLookup.ops[j]];
            if (((a.match ^ b.match) & a.mask & b.mask) == 0) return true;
        }
    return false;
}
template <std::size_t... Bucket> constexpr bool any_overlap(std::index_sequence<Bucket...>) {
    return (std::bool_constant<bucket_overlaps(Bucket)>::value || ...);
}
constexpr bool hints_are_of_their_base() {
    for (const HintRow& hint : kHints) {
        const InstructionRow& base = kRows[static_cast<std::size_t>(hint.base)];
        if ((hint.match & ~hint.mask) || (base.mask & ~hint.mask) || (hint.match & base.mask) != base.match) return false;
    }
    return true;
}
static_assert(hints_are_of_their_base(), "instructions.def: a hint is no encoding of the instruction that it names");
static_assert(masks_cover_matches(), "instructions.def: a match has bits that its mask ignores");
static_assert(!any_overlap(std::make_index_sequence<kBuckets>()), "instructions.def: two rows match the same word");

constexpr CsrRow kCsrRows[] = {
#define CSR(number, name, kind, mask, gate, sensitivity, sentence)                                                        \
    {Csr::name, #name, CsrKind::kind, mask, Gate::gate, Sensitivity::sensitivity, sentence, static_cast<u16>(CsrSlot::name)},
#include "emulator/isa/csrs.def"
};
constexpr auto kCsrSlots = [] {
    std::array<u16, 4096> slots{};
    slots.fill(0xffff);
    for (const CsrRow& row : kCsrRows) slots[static_cast<u16>(row.csr)] = row.slot;
    return slots;
}();
constexpr bool csr_numbers_are_unique() {
    for (const CsrRow& row : kCsrRows)
        if (kCsrSlots[static_cast<u16>(row.csr)] != row.slot) return false;
    return true;
}
constexpr bool read_only_csrs_have_no_write_mask() {
    for (const CsrRow& row : kCsrRows)
        if ((csr_read_only(static_cast<u16>(row.csr)) || row.kind == CsrKind::Constant) && row.write_mask) return false;
    return true;
}
static_assert(csr_numbers_are_unique(), "csrs.def: two rows have the same number");
static_assert(read_only_csrs_have_no_write_mask(), "csrs.def: a read-only register has a write mask");

// Immediates (Unprivileged specification, section 2.3).
constexpr i32 imm_i(u32 w) { return static_cast<i32>(w) >> 20; }
constexpr i32 imm_s(u32 w) { return (static_cast<i32>(w & 0xfe000000) >> 20) | static_cast<i32>(bits(w, 11, 7)); }
constexpr i32 imm_b(u32 w) {
    return (static_cast<i32>(w & 0x80000000) >> 19) | static_cast<i32>(bits(w, 7, 7) << 11 | bits(w, 30, 25) << 5 | bits(w, 11, 8) << 1);
}
constexpr i32 imm_u(u32 w) { return static_cast<i32>(w & 0xfffff000); }
constexpr i32 imm_j(u32 w) {
    return (static_cast<i32>(w & 0x80000000) >> 11) |
           static_cast<i32>(bits(w, 19, 12) << 12 | bits(w, 20, 20) << 11 | bits(w, 30, 21) << 1);
}

i32 immediate(Format format, u32 w) {
    switch (format) {
    case Format::I: case Format::Load: case Format::Jalr: case Format::FLoad: return imm_i(w);
    case Format::Store: case Format::FStore: return imm_s(w);
    case Format::B: return imm_b(w);
    case Format::U: return imm_u(w);
    case Format::J: return imm_j(w);
    case Format::Shift6: return static_cast<i32>(bits(w, 25, 20));
    case Format::Shift5: return static_cast<i32>(bits(w, 24, 20));
    case Format::Csr: case Format::CsrI: return static_cast<i32>(bits(w, 31, 20));
    default: return 0;
    }
}

} // namespace

const InstructionRow& row(Op op) { return kRows[std::min(static_cast<std::size_t>(op), kOpCount)]; }

const HintRow* hint_row(u32 word) {
    for (const HintRow& hint : kHints)
        if ((word & hint.mask) == hint.match) return &hint;
    return nullptr;
}

Instruction decode(u32 word) {
    Instruction insn;
    insn.word = word;
    u32 full = word;
    if (!is_long(static_cast<u16>(word))) {
        insn.length = 2;
        insn.word = word & 0xffff;
        full = expand_compressed(static_cast<u16>(word));
        if (!full) return insn;
    }
    const std::size_t bucket = bucket_of(full);
    for (std::size_t i = kLookup.first[bucket]; i < kLookup.first[bucket + 1]; ++i) {
        const InstructionRow& candidate = kRows[kLookup.ops[i]];
        if ((full & candidate.mask) != candidate.match) continue;
        insn.op = static_cast<Op>(kLookup.ops[i]);
        insn.rd = static_cast<u8>(bits(full, 11, 7));
        insn.rs1 = static_cast<u8>(bits(full, 19, 15));
        insn.rs2 = static_cast<u8>(bits(full, 24, 20));
        insn.rs3 = static_cast<u8>(bits(full, 31, 27));
        insn.rm = static_cast<u8>(bits(full, 14, 12));
        insn.imm = immediate(candidate.format, full);
        break;
    }
    return insn;
}

const SilentRow& silent_row(SilentOp op) {
    static constexpr SilentRow kRows[] = {
#define SILENT(id, name, csr, access, model, sentence) {name, Csr::csr, SilentAccess::access, model, sentence},
#include "emulator/isa/silent.def"
    };
    return kRows[static_cast<std::size_t>(op) % std::size(kRows)];
}

const CsrRow* csr_row(u16 number) {
    const u16 slot = kCsrSlots[number & 0xfff];
    return number < 4096 && slot != 0xffff ? &kCsrRows[slot] : nullptr;
}
const CsrRow& csr_row_at(std::size_t index) { return kCsrRows[std::min(index, kCsrCount - 1)]; }
const CsrRow* csr_by_name(const char* name) {
    for (const CsrRow& row : kCsrRows)
        if (!std::strcmp(row.name, name)) return &row;
    return nullptr;
}

const char* register_name(unsigned index) {
    static constexpr const char* kNames[] = {"zero", "ra", "sp", "gp", "tp",  "t0",  "t1", "t2", "s0", "s1", "a0",
                                             "a1",   "a2", "a3", "a4", "a5",  "a6",  "a7", "s2", "s3", "s4", "s5",
                                             "s6",   "s7", "s8", "s9", "s10", "s11", "t3", "t4", "t5", "t6"};
    return index < 32 ? kNames[index] : "?";
}
const char* fp_register_name(unsigned index) {
    static constexpr const char* kNames[] = {"ft0", "ft1", "ft2", "ft3", "ft4",  "ft5",  "ft6", "ft7", "fs0",  "fs1",  "fa0",
                                             "fa1", "fa2", "fa3", "fa4", "fa5",  "fa6",  "fa7", "fs2", "fs3",  "fs4",  "fs5",
                                             "fs6", "fs7", "fs8", "fs9", "fs10", "fs11", "ft8", "ft9", "ft10", "ft11"};
    return index < 32 ? kNames[index] : "?";
}

} // namespace trapeze
