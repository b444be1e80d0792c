#include "hypervisor-sim/translator.hpp"

#include "emulator/cpu/state.hpp"

#include <algorithm>

namespace trapeze::vmm {

namespace {

constexpr unsigned kT6 = 31, kT5 = 30, kT4 = 29, kT3 = 28;

// Builders of the base forms; opcodes are the table's.
u32 r_form(Op op, unsigned rd, unsigned rs1, unsigned rs2) { return row(op).match | rd << 7 | rs1 << 15 | rs2 << 20; }
u32 i_form(Op op, unsigned rd, unsigned rs1, i64 imm) { return row(op).match | rd << 7 | rs1 << 15 | (static_cast<u32>(imm) & 0xfff) << 20; }
u32 s_form(Op op, unsigned rs1, unsigned rs2, i64 imm) {
    const u32 i = static_cast<u32>(imm);
    return row(op).match | rs1 << 15 | rs2 << 20 | (i & 0x1f) << 7 | (i >> 5 & 0x7f) << 25;
}
u32 u_form(Op op, unsigned rd, u64 value) { return row(op).match | rd << 7 | (static_cast<u32>(value) & 0xfffff000); }
u32 b_immediate(i64 imm) {
    const u32 i = static_cast<u32>(imm);
    return (i >> 11 & 1) << 7 | (i >> 1 & 15) << 8 | (i >> 5 & 63) << 25 | (i >> 12 & 1) << 31;
}
u32 j_form(Op op, unsigned rd, i64 imm) {
    const u32 i = static_cast<u32>(imm);
    return row(op).match | rd << 7 | (i & 0xff000) | (i >> 11 & 1) << 20 | (i >> 1 & 0x3ff) << 21 | (i >> 20 & 1) << 31;
}
i64 slot_offset(unsigned slot) { return static_cast<i64>(slot) * 8 - static_cast<i64>(kPageSize / 2); }
u32 load_slot(unsigned reg, unsigned slot) { return i_form(Op::ld, reg, 0, slot_offset(slot)); }
u32 store_slot(unsigned reg, unsigned slot) { return s_form(Op::sd, 0, reg, slot_offset(slot)); }

void append_li(std::vector<u32>& words, unsigned rd, u64 value) {
    const i64 low = static_cast<i64>(sign_extend(value, 12));
    if (static_cast<u64>(low) == value) return words.push_back(i_form(Op::addi, rd, 0, low));
    const u64 high = value - static_cast<u64>(low);
    if (sign_extend(value, 32) == value) {
        words.push_back(u_form(Op::lui, rd, high));
        if (low) words.push_back(i_form(Op::addiw, rd, rd, low));
        return;
    }
    const unsigned shift = static_cast<unsigned>(std::countr_zero(high));
    append_li(words, rd, static_cast<u64>(static_cast<i64>(high) >> shift));
    words.push_back(i_form(Op::slli, rd, rd, shift));
    if (low) words.push_back(i_form(Op::addi, rd, rd, low));
}

u32 full_word(const Instruction& insn) { return insn.length == 2 ? expand_compressed(static_cast<u16>(insn.word)) : insn.word; }

std::optional<unsigned> csr_slot(Csr csr) {
    const auto found = std::find(std::begin(slots::kCsrs), std::end(slots::kCsrs), csr);
    if (found == std::end(slots::kCsrs)) return std::nullopt;
    return slots::kFirstCsr + static_cast<unsigned>(found - std::begin(slots::kCsrs));
}

/// True for what may run in U-mode as it is: it means there what it means to the guest's kernel, or traps.
bool may_be_copied(const Instruction& insn) {
    switch (row(insn.op).format) {
    case Format::None: case Format::SfenceVma: case Format::HLoad: case Format::HStore: case Format::Cbo: return false;
    // What a register does not move would reach the virtual CSR page by itself.
    case Format::Load: case Format::Store: case Format::FLoad: case Format::FStore: case Format::Lr: case Format::Amo: return insn.rs1 != 0;
    default: return insn.op != Op::Illegal && row(insn.op).lowest == Priv::U && row(insn.op).sensitivity == Sensitivity::Innocuous;
    }
}

/// Registers of U-mode that are the guest's own on the real hart.
bool is_own_csr(Csr csr) { return csr == Csr::fflags || csr == Csr::frm || csr == Csr::fcsr || csr == Csr::time; }

} // namespace

u32 call_out_word() { return row(Op::ecall).match; }

std::array<u32, kExitWords> unlinked_exit() { return {call_out_word(), call_out_word(), call_out_word()}; }

std::array<u32, kExitWords> linked_exit(u64 from, u64 entry) {
    constexpr i64 kReach = i64{1} << 20;
    const i64 distance = static_cast<i64>(entry + 4 - from); // past the word that gives t6 back
    if (distance >= -kReach && distance < kReach) return {j_form(Op::jal, 0, distance), call_out_word(), call_out_word()};
    const i64 low = static_cast<i64>(sign_extend(entry, 12));
    return {store_slot(kT6, kT6), u_form(Op::lui, kT6, entry - static_cast<u64>(low)), i_form(Op::jalr, 0, kT6, low)};
}

Translator::Translator(u64 pc, Priv priv) : priv_(priv) {
    block_.pc = pc;
    note_.saved = u32{1} << kT6;
    put(load_slot(kT6, kT6));
    note_.saved = 0;
}

void Translator::put(u32 word) {
    block_.words.push_back(word);
    block_.notes.push_back(note_);
    note_.kind = 0;
}

/// Borrows a register: from the next word on, the guest's value of it is in its slot.
void Translator::save(unsigned reg) {
    put(store_slot(reg, reg));
    note_.saved |= u32{1} << reg;
}
void Translator::reload(unsigned reg) {
    put(load_slot(reg, reg));
    note_.saved &= ~(u32{1} << reg);
}

/// The last word had the instruction's visible effect: the guest is at the next one.
void Translator::commit() { note_.at = static_cast<u16>(block_.guest_bytes / 2); }

/// A value that depends on the guest's pc. While it takes shape, the old one is in its slot.
void Translator::put_li(unsigned rd, u64 value) {
    std::vector<u32> words;
    append_li(words, rd, value);
    if (words.size() > 1 && !(note_.saved >> rd & 1)) save(rd);
    for (u32 word : words) put(word);
}

void Translator::call_out() {
    note_.kind |= WordNote::CallOut;
    put(call_out_word());
}

/// Leaves it to the VMM when the register is not zero. The branch leads to the end of the block.
void Translator::call_out_unless_zero(unsigned reg) {
    WordNote note = note_;
    note.kind = WordNote::CallOut;
    pending_.push_back({block_.words.size(), note, 0});
    put(r_form(Op::bne, 0, reg, 0));
}

void Translator::exit_to(u64 target) {
    block_.exits.push_back({target, static_cast<u32>(block_.words.size())});
    note_.exit = static_cast<u8>(block_.exits.size() - 1);
    const u8 boundary = note_.kind & WordNote::Boundary;
    for (unsigned i = 0; i < kExitWords; ++i) {
        note_.kind = WordNote::Exit;
        note_.kind |= i || !boundary ? u8{WordNote::Committed} : boundary;
        note_.saved = i == 2 ? u32{1} << kT6 : 0;
        put(unlinked_exit()[i]);
    }
    note_.saved = 0;
}

/// From the next word to an instruction of this block, in bytes: a loop need not leave it.
std::optional<i64> Translator::own_distance(u64 target) const {
    for (std::size_t word = 0; word < block_.words.size(); ++word)
        if (block_.notes[word].kind & WordNote::Boundary && block_.pc + 2 * u64{block_.notes[word].at} == target)
            return (static_cast<i64>(word) - static_cast<i64>(block_.words.size())) * 4;
    return std::nullopt;
}

void Translator::branch(const Instruction& insn) {
    WordNote note;
    note.kind = WordNote::Exit | WordNote::Committed;
    const u64 target = block_.pc + 2 * u64{note_.at} + static_cast<u64>(static_cast<i64>(insn.imm));
    if (const auto distance = own_distance(target)) return put(r_form(insn.op, 0, insn.rs1, insn.rs2) | b_immediate(*distance));
    pending_.push_back({block_.words.size(), note, target});
    put(r_form(insn.op, 0, insn.rs1, insn.rs2));
}

void Translator::jump(const Instruction& insn) {
    const u64 pc = block_.pc + 2 * u64{note_.at}, target = pc + static_cast<u64>(static_cast<i64>(insn.imm));
    if (const auto distance = own_distance(target); distance && !insn.rd) return put(j_form(Op::jal, 0, *distance));
    if (insn.rd) {
        put_li(insn.rd, pc + insn.length);
        note_.kind = 0, note_.saved = 0;
    }
    exit_to(target);
}

/// jalr: looks the target up in the table of indirect targets; the VMM fills in what is missed.
void Translator::indirect(const Instruction& insn) {
    if (insn.rd == kT6) return call_out();
    const unsigned u = insn.rd == kT5 ? kT3 : kT5, v = insn.rd == kT4 ? kT3 : kT4;
    constexpr unsigned kBits = std::bit_width(window::kHashEntries - 1) + 1; // of the pc; the lowest one is 0
    save(kT6);
    put(i_form(Op::addi, kT6, insn.rs1, insn.imm));
    put(i_form(Op::andi, kT6, kT6, -2));
    save(u), save(v);
    if (insn.rd) save(insn.rd);
    put(i_form(Op::slli, u, kT6, 64 - kBits));
    put(i_form(Op::srli, u, u, 64 - kBits - 3));
    put(u_form(Op::lui, v, window::kHash));
    put(r_form(Op::add, u, u, v));
    put(i_form(Op::ld, v, u, 0));
    WordNote miss = note_;
    miss.kind = WordNote::Miss;
    pending_.push_back({block_.words.size(), miss, 0});
    put(r_form(Op::bne, 0, v, kT6));
    put(i_form(Op::ld, kT6, u, 8));
    if (insn.rd) put_li(insn.rd, block_.pc + 2 * u64{note_.at} + insn.length);
    put(load_slot(v, v));
    put(load_slot(u, u));
    put(i_form(Op::jalr, 0, kT6, 0));
}

/// A register to borrow that the instruction does not name.
unsigned Translator::scratch(const Instruction& insn) const {
    for (const unsigned reg : {kT6, kT5})
        if (insn.rd != reg && insn.rs1 != reg) return reg;
    return kT4;
}

/// csrrw of a register that is written in place. `even`: its lowest bit is 0.
void Translator::read_write(const Instruction& insn, unsigned slot, bool even) {
    const unsigned t = scratch(insn), rd = insn.rd, rs = insn.rs1;
    if (!even && rd == 0) {
        put(store_slot(rs, slot));
        return commit();
    }
    if (!even && rd != rs) {
        save(rd);
        put(load_slot(rd, slot));
        put(store_slot(rs, slot));
        note_.saved = 0;
        return commit();
    }
    if (rd) save(rd);
    save(t);
    if (rd) put(load_slot(rd, slot));
    if (rd == rs && rd) put(load_slot(t, rs));
    if (even) put(i_form(Op::andi, t, rd == rs && rd ? t : rs, -2));
    put(store_slot(t, slot));
    note_.saved = u32{1} << t;
    commit();
    reload(t);
}

/// What changes SIE alone. Nothing may become due by it: the slot kPending says whether that is so. False: not of this kind.
bool Translator::status(const Instruction& insn, unsigned slot) {
    constexpr i64 kOthers = ~static_cast<i64>(mstatus::SIE);
    const bool immediate = row(insn.op).format == Format::CsrI;
    const bool sets = insn.op == Op::csrrs || insn.op == Op::csrrsi, writes = insn.op == Op::csrrw;
    const unsigned rd = insn.rd, rs = insn.rs1;
    if (insn.op == Op::csrrwi || (immediate && rs != mstatus::SIE)) return false;
    if (!immediate && (rd == rs || (writes && rd))) return false;
    Instruction named = insn;
    if (immediate) named.rs1 = 0;
    const unsigned t = scratch(named);
    save(t);
    if (writes) {
        put(load_slot(t, slot));
        put(r_form(Op::xor_, t, t, rs));
        put(i_form(Op::andi, t, t, kOthers));
        call_out_unless_zero(t);
    } else if (!immediate) {
        put(i_form(Op::andi, t, rs, kOthers));
        call_out_unless_zero(t);
    }
    if (sets || writes) {
        put(load_slot(t, slots::kPending));
        if (!immediate) put(r_form(Op::and_, t, t, rs));
        call_out_unless_zero(t);
    }
    if (rd) save(rd);
    if (!writes) {
        const unsigned old = rd ? rd : t;
        put(load_slot(old, slot));
        if (immediate) put(i_form(sets ? Op::ori : Op::andi, t, old, sets ? static_cast<i64>(mstatus::SIE) : kOthers));
        else put(r_form(Op::or_, t, old, rs));
        if (!immediate && !sets) put(r_form(Op::xor_, t, t, rs));
    }
    put(store_slot(writes ? rs : t, slot));
    note_.saved = u32{1} << t;
    commit();
    reload(t);
    return true;
}

/// Emulation in place. False: the VMM must do it.
bool Translator::csr(const Instruction& insn) {
    const Csr number = static_cast<Csr>(insn.imm);
    const bool writes = insn.op == Op::csrrw || insn.op == Op::csrrwi || insn.rs1 != 0;
    if (is_own_csr(number)) return put(full_word(insn)), commit(), true;
    const auto slot = csr_slot(number);
    const bool allowed = slot && csr_lowest_priv(static_cast<u16>(insn.imm)) <= priv_ && !(writes && csr_read_only(static_cast<u16>(insn.imm)));
    if (!allowed) return false;
    if (!writes) {
        put(insn.rd ? load_slot(insn.rd, *slot) : i_form(Op::addi, 0, 0, 0));
        return commit(), true;
    }
    if (number == Csr::sstatus) return status(insn, *slot);
    if (!slots::written(number)) return false;
    const bool even = number == Csr::sepc || number == Csr::mepc;
    if (insn.op == Op::csrrwi && !insn.rd) {
        save(kT6);
        put(i_form(Op::addi, kT6, 0, even ? insn.rs1 & ~1 : insn.rs1));
        put(store_slot(kT6, *slot));
        commit();
        return reload(kT6), true;
    }
    if (insn.op != Op::csrrw) return false;
    read_write(insn, *slot, even);
    return true;
}

bool Translator::add(const Instruction& insn, bool as_call_out) {
    const u64 pc = next_pc();
    note_ = {0, static_cast<u16>(block_.guest_bytes / 2), WordNote::Boundary, 0};
    block_.guest_bytes += insn.length;
    ++block_.guest_instructions;
    const Format format = row(insn.op).format;
    open_ = true;
    switch (format) {
    case Format::B: branch(insn); break;
    case Format::J: jump(insn), open_ = false; break;
    case Format::Jalr: indirect(insn), open_ = false; break;
    case Format::U:
        if (insn.op == Op::auipc && insn.rd) put_li(insn.rd, pc + static_cast<u64>(static_cast<i64>(insn.imm)));
        else put(full_word(insn));
        break;
    case Format::Csr: case Format::CsrI:
        if (csr(insn)) break;
        call_out();
        break;
    default:
        if (may_be_copied(insn) && !as_call_out) {
            put(full_word(insn));
            break;
        }
        open_ = format == Format::Load || format == Format::Store || format == Format::FLoad || format == Format::FStore || format == Format::Amo || format == Format::Lr;
        call_out();
    }
    note_ = {0, static_cast<u16>(block_.guest_bytes / 2), 0, 0};
    return open_ && !full();
}

Translation Translator::finish() {
    if (open_) exit_to(next_pc());
    for (const Pending& pending : pending_) {
        const std::size_t here = block_.words.size();
        block_.words[pending.branch] |= b_immediate(static_cast<i64>((here - pending.branch) * 4));
        note_ = pending.note;
        if (note_.kind & WordNote::Exit) note_.kind = 0, exit_to(pending.target);
        else put(call_out_word());
    }
    return std::move(block_);
}

} // namespace trapeze::vmm
