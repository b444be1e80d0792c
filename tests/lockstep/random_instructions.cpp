#include "tests/lockstep/generator.hpp"

namespace trapeze::lockstep {

namespace {

/// QEMU 7.2 does not know these.
bool is_unknown_to_peer(Extension extension) {
    return extension == Extension::Zicond || extension == Extension::Zicbom || extension == Extension::Zicboz || extension == Extension::Zawrs;
}
/// QEMU 7.2's ctzw counts beyond the word where that is zero; the specification's result is 32 (Zbb, ctzw).
bool is_wrong_in_peer(Op op) { return op == Op::ctzw; }
/// Instructions on floating-point registers, and on bits.
bool is_arithmetic(const InstructionRow& r) {
    const bool floating = r.gate == Gate::Fs && r.format != Format::FLoad && r.format != Format::FStore;
    return floating || r.extension == Extension::Zba || r.extension == Extension::Zbb || r.extension == Extension::Zbc || r.extension == Extension::Zbs;
}

} // namespace

u64 Generator::interesting_value() {
    static constexpr u64 special[] = {0, 1, 2, ~u64{0}, ~u64{1}, u64{1} << 63, ~u64{0} >> 1, 0x80000000, 0x7fffffff, 0xffffffff80000000,
        0xffffffff, 0x100000000, 0x3ff0000000000000, 0xbff0000000000000, 0x7ff0000000000000, 0xfff0000000000000, 0x7ff8000000000000,
        0x7ff0000000000001, 0x8000000000000000, 0x0000000000000001, 0x000fffffffffffff, 0x0010000000000000, 0x7fefffffffffffff,
        0xffffffff3f800000, 0xffffffff7f800000, 0xffffffffff800000, 0xffffffff7fc00000, 0xffffffff7f800001, 0xffffffff00000001,
        0xffffffff007fffff, 0xffffffff7f7fffff, 0xffffffff00800000, 0xffffffff80000000, 0xffffffffff800001, 0xffffffffffc12345,
        0xfffffffe3f800000, 0x000000007f800000, 0xffffffffffff3c00, 0xffffffffffff7c00, 0xfffffffffffffc01, 0xffffffffffff0001,
        0xffffffffffff8000, 0xffffffffffff03ff, 0xffffffffffff7bff, 0xffffffffffff7e01, 0xfffffffffffe3c00, 0x7ff0000000000000 | 0xfff,
        0x3ca0000000000000, 0x3ff0000000000001, 0x41efffffffe00000, 0x41e0000000000000, 0xbfe0000000000000, 0x3fe0000000000000,
        0x3f00000000000000, 0x3e70000000000000, 0x40effc0000000000, 0xffffffff4b800000, 0xffffffff5f000000, 0xffffffffcf000000, 0x43e0000000000000, 0xc3e0000000000000, 0x41dfffffffc00000, 0xffffffff4f000000};
    if (random_.chance(50)) return random_.pick(special);
    if (random_.chance(30)) return 0xffffffff00000000 | random_.next();
    return random_.next() >> random_.below(64);
}

u32 Generator::some_csr_word(Op op) {
    static constexpr Csr any[] = {Csr::mscratch, Csr::mepc, Csr::mcause, Csr::mtval, Csr::sscratch, Csr::sepc, Csr::scause, Csr::stval,
        Csr::fflags, Csr::frm, Csr::fcsr, Csr::scounteren};
    static constexpr Csr read_only[] = {Csr::mtvec, Csr::stvec, Csr::mhartid, Csr::medeleg, Csr::mideleg, Csr::mstatus, Csr::sstatus, Csr::satp,
        Csr::pmpcfg0, Csr::pmpaddr0, Csr::mie, Csr::sie};
    static constexpr Csr of_hypervisor[] = {Csr::hstatus, Csr::hedeleg, Csr::hideleg, Csr::hie, Csr::hvip, Csr::hip, Csr::hgatp, Csr::hgeie, Csr::hgeip,
        Csr::vsie, Csr::vsip, Csr::vsatp, Csr::vstvec};
    const bool immediate = row(op).format == Format::CsrI;
    if (options_.guests && random_.chance(20)) return csr_word(random_.chance(50) ? Op::csrrs : Op::csrrc, destination(), random_.pick(of_hypervisor), 0);
    if (random_.chance(20)) return csr_word(random_.chance(50) ? Op::csrrs : Op::csrrc, destination(), random_.pick(read_only), 0);
    if (random_.chance(5)) { // the mode bit of a vector: exceptions go to the base in both modes
        const Csr vector = random_.chance(50) ? Csr::mtvec : Csr::stvec;
        return csr_word(random_.chance(50) ? Op::csrrsi : Op::csrrci, destination(), vector, 1);
    }
    Csr csr = random_.pick(any);
    if (options_.guests && random_.chance(30)) csr = some_guest_csr();
    if (!options_.floating && (csr == Csr::fflags || csr == Csr::frm || csr == Csr::fcsr)) csr = Csr::mscratch;
    return csr_word(op, destination(), csr, immediate ? static_cast<unsigned>(random_.below(32)) : any_register());
}

/// A word of this row with random operands; nothing when the row is one that groups of their own take care of.
std::optional<u32> Generator::from_table(Op op) {
    const InstructionRow& r = row(op);
    const u32 noise = static_cast<u32>(random_.next()) & ~r.mask;
    const auto with = [&](unsigned rd, unsigned rs1) { return r.match | (((noise & ~0xf8f80u) | rd << 7 | rs1 << 15) & ~r.mask); };
    const bool floating = r.gate == Gate::Fs;
    if ((floating && !options_.floating) || is_unknown_to_peer(r.extension) || is_wrong_in_peer(op)) return std::nullopt;
    switch (r.format) {
    case Format::None: case Format::B: case Format::J: case Format::Jalr: return std::nullopt;
    case Format::Csr: case Format::CsrI: return some_csr_word(op);
    case Format::Load: return with(destination(), random_.pick(kPointers));
    case Format::Store: case Format::FStore: return (noise & ~0xf8000u) | r.match | random_.pick(kPointers) << 15;
    case Format::FLoad: return with(any_register(), random_.pick(kPointers));
    case Format::Lr: return std::nullopt;
    case Format::Amo:
        if (op == Op::sc_w || op == Op::sc_d) return std::nullopt;
        return with(destination(), random_.pick(kPointers));
    case Format::HLoad:
        if (options_.guests && !parts_ && (op == Op::hlvx_hu || op == Op::hlvx_wu)) return std::nullopt;
        return with(destination(), options_.guests ? random_.pick(kPointers) : any_register());
    case Format::HStore: return (noise & ~0xf8000u) | r.match | random_.pick(kPointers) << 15;
    case Format::SfenceVma: return options_.privileged ? std::optional(r.match | noise) : std::nullopt;
    case Format::FR: case Format::FRm: case Format::FRm1: case Format::FR4: case Format::XToF: case Format::XToFRm: {
        u32 word = r.match | noise;
        const bool has_rounding = !(r.mask & 0x7000);
        if (has_rounding && random_.chance(90)) word = (word & ~0x7000u) | (random_.chance(40) ? 7u : static_cast<u32>(random_.below(5))) << 12;
        return word;
    }
    case Format::FToXRm: {
        u32 word = with(destination(), any_register());
        if (random_.chance(90)) word = (word & ~0x7000u) | (random_.chance(40) ? 7u : static_cast<u32>(random_.below(5))) << 12;
        return word;
    }
    default: return with(destination(), any_register());
    }
}

/// Words that no extension of either side claims, most of them close to ones that are claimed.
u32 Generator::illegal_word() {
    static constexpr u32 always[] = {0xffffffff, 0x0000707f, 0x00007003, 0x00007023, 0x00002063, 0x00003063, 0x00001067, 0x00004073,
        0xfe000033, 0xfe00003b, 0xfc001013 | 1 << 26, 0x0000002f, 0xf800202f, 0x0000001f, 0x30200073 | 1 << 7, 0x00200073, 0x7c101073,
        0xfff01073, 0xf1401073};
    return random_.pick(always);
}

u16 Generator::compressed() {
    const auto field = [&](unsigned width) { return static_cast<u32>(random_.below(u64{1} << width)); };
    const u32 rd = destination(), rds = small_destination() - 8, rs = small_register() - 8;
    const u32 pointer = field(1); // x8 or x9
    const u32 imm6 = field(1) << 12 | field(5) << 2;
    const u32 nonzero_imm6 = imm6 ? imm6 : 4;
    const u32 memory = field(3) << 10 | field(2) << 5 | pointer << 7;
    const u32 nonzero_rd = rd ? rd : 5, nonzero_rs = 1 + field(5) % 31;
    u32 word = 0x0001;
    switch (random_.below(options_.floating ? 31 : 27)) {
    case 0: word = 0x0000 | (1 + field(8) % 255) << 5 | rds << 2; break;                  // addi4spn
    case 1: word = 0x4000 | memory | rds << 2; break;                                     // lw
    case 2: word = 0x6000 | memory | rds << 2; break;                                     // ld
    case 3: word = 0xc000 | memory | rs << 2; break;                                      // sw
    case 4: word = 0xe000 | memory | rs << 2; break;                                      // sd
    case 5: word = 0x0001 | rd << 7 | imm6; break;                                        // addi, nop, hints
    case 6: word = 0x2001 | nonzero_rd << 7 | imm6; break;                                // addiw
    case 7: word = 0x4001 | rd << 7 | imm6; break;                                        // li
    case 8: word = 0x6001 | rd << 7 | nonzero_imm6; break;                                // lui (rd is never sp here)
    case 9: word = 0x8001 | rds << 7 | imm6; break;                                       // srli
    case 10: word = 0x8401 | rds << 7 | imm6; break;                                      // srai
    case 11: word = 0x8801 | rds << 7 | imm6; break;                                      // andi
    case 12: case 13: word = 0x8c01 | rds << 7 | field(2) << 5 | rs << 2; break;          // sub xor or and
    case 14: case 15: word = 0x9c01 | rds << 7 | field(1) << 5 | rs << 2; break;          // subw addw
    case 16: word = 0x0002 | rd << 7 | imm6; break;                                       // slli
    case 17: word = 0x4002 | nonzero_rd << 7 | imm6; break;                               // lwsp
    case 18: word = 0x6002 | nonzero_rd << 7 | imm6; break;                               // ldsp
    case 19: case 20: word = 0x8002 | rd << 7 | nonzero_rs << 2; break;                   // mv
    case 21: case 22: word = 0x9002 | rd << 7 | nonzero_rs << 2; break;                   // add
    case 23: word = 0xc002 | field(6) << 7 | field(5) << 2; break;                        // swsp
    case 24: word = 0xe002 | field(6) << 7 | field(5) << 2; break;                        // sdsp
    case 25: word = 0x9002; break;                                                        // ebreak
    case 26: word = random_.pick({u32{0}, u32{0x8000}, u32{0x2001}, u32{0x6001}, u32{0x9c41}, u32{0x4002}, u32{0x6002}, u32{0x8002}}); break; // reserved
    case 27: word = 0x2000 | memory | field(3) << 2; break;                               // fld
    case 28: word = 0xa000 | memory | field(3) << 2; break;                               // fsd
    case 29: word = 0x2002 | field(5) << 7 | imm6; break;                                 // fldsp
    case 30: word = 0xa002 | field(6) << 7 | field(5) << 2; break;                        // fsdsp
    }
    return static_cast<u16>(word);
}

/// One instruction of arithmetic, sometimes after new operands, as results soon are all infinities and NaNs.
Group Generator::arithmetic() {
    Group g;
    if (random_.chance(40)) {
        const unsigned reg = any_register();
        g.code.load_constant(kScratch, interesting_value());
        g.code.word(encode(Op::fmv_d_x, {.rd = reg, .rs1 = kScratch}));
    }
    if (random_.chance(5)) g.code.word(csr_word(Op::csrrwi, destination(), Csr::frm, static_cast<unsigned>(random_.below(5))));
    if (random_.chance(10)) g.code.word(csr_word(Op::csrrwi, destination(), Csr::fflags, 0));
    for (;;) {
        const Op op = static_cast<Op>(random_.below(kOpCount));
        if (!is_arithmetic(row(op))) continue;
        if (const auto word = from_table(op)) return g.code.word(*word), g;
    }
}

} // namespace trapeze::lockstep
