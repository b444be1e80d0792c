#include "tests/lockstep/random_program.hpp"

#include "emulator/cpu/state.hpp"
#include "emulator/isa/isa.hpp"
#include "emulator/mem/page_walk.hpp"

#include <algorithm>
#include <initializer_list>
#include <optional>

namespace trapeze::lockstep {

namespace {

constexpr u64 kPrologue = 0x8000'0000, kMachineHandler = 0x8000'0800, kSupervisorHandler = 0x8000'0c00;
constexpr u64 kRegisters = 0x8000'2000, kCode = 0x8001'0000, kTables = 0x8010'0000, kData = 0x8040'0000;
constexpr u64 kDataPages = 4, kTablePages = 5, kSuperpageAddress = 0x1'4040'0000, kNotCanonical = 0x80'0000'0000;
constexpr u64 kWidths = u64{2} << 32 | u64{2} << 34; // UXL and SXL: 64 bits; QEMU lets software write what is reserved
constexpr unsigned kPointers[] = {2, 8, 9, 31}; // sp and two of x8..x15, as compressed loads need them
constexpr unsigned kScratch = 30, kScratch2 = 29;

/// SplitMix64: the same numbers on every host, unlike the standard library's distributions.
class Random {
  public:
    explicit Random(u64 seed) : state_(seed) {}
    u64 next() {
        u64 z = state_ += 0x9e3779b97f4a7c15;
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
        z = (z ^ z >> 27) * 0x94d049bb133111eb;
        return z ^ z >> 31;
    }
    u64 below(u64 limit) { return next() % limit; }
    bool chance(unsigned percent) { return below(100) < percent; }
    template <class T, std::size_t N> T pick(const T (&from)[N]) { return from[below(N)]; }
    template <class T> T pick(std::initializer_list<T> from) { return from.begin()[below(from.size())]; }

  private:
    u64 state_;
};

constexpr u64 cause_bit(Cause cause) { return u64{1} << static_cast<u64>(cause); }

bool is_pointer(unsigned reg) { return std::ranges::find(kPointers, reg) != std::end(kPointers); }

/// The word of a row with these operands. Fields that the row's mask fixes stay as they are.
struct Operands {
    unsigned rd = 0, rs1 = 0, rs2 = 0;
    i64 imm = 0;
};
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
u32 csr_word(Op op, unsigned rd, Csr csr, unsigned rs1) { return encode(op, {.rd = rd, .rs1 = rs1, .imm = static_cast<u16>(csr)}); }
u32 csr_read(unsigned rd, Csr csr) { return csr_word(Op::csrrs, rd, csr, 0); }
u32 csr_write(Csr csr, unsigned rs1) { return csr_word(Op::csrrw, 0, csr, rs1); }
u32 csr_set(Csr csr, unsigned rs1) { return csr_word(Op::csrrs, 0, csr, rs1); }
u32 csr_clear(Csr csr, unsigned rs1) { return csr_word(Op::csrrc, 0, csr, rs1); }
u32 add_immediate(unsigned rd, unsigned rs1, i64 imm) { return encode(Op::addi, {.rd = rd, .rs1 = rs1, .imm = imm}); }

/// Bytes of code, growing.
struct Code {
    std::vector<u8> bytes;
    void half(u16 h) { bytes.insert(bytes.end(), {static_cast<u8>(h), static_cast<u8>(h >> 8)}); }
    void word(u32 w) { half(static_cast<u16>(w)), half(static_cast<u16>(w >> 16)); }
    void words(std::initializer_list<u32> all) { for (u32 w : all) word(w); }
    /// rd = value, in 1 to 8 instructions.
    void load_constant(unsigned rd, u64 value) {
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
};

/// A group: instructions that only make sense together; branches go to the beginnings of groups.
struct Group {
    enum class Target : u8 { None, Branch, Jump, Register, CompressedBranch, CompressedJump };
    Code code;
    Target kind = Target::None;
    std::size_t fixup = 0;  ///< offset of the instruction to patch
    std::size_t target = 0; ///< index of a group
};

class Generator {
  public:
    explicit Generator(const ProgramOptions& options) : options_(options), random_(options.seed) {}
    Program generate();

  private:
    unsigned destination() {
        unsigned reg = 0;
        do reg = static_cast<unsigned>(random_.below(31)); while (is_pointer(reg));
        return reg;
    }
    unsigned any_register() { return static_cast<unsigned>(random_.below(32)); }
    unsigned small_destination() { return 10 + static_cast<unsigned>(random_.below(6)); }
    unsigned small_register() { return 8 + static_cast<unsigned>(random_.below(8)); }
    u64 interesting_value();

    std::optional<u32> from_table(Op op);
    u32 some_csr_word(Op op);
    u32 illegal_word();
    u16 compressed();
    Group group(std::size_t index);
    Group jump(std::size_t index);
    Group change_mode();
    Group change_status();
    Group change_tables();
    Group aim_pointer();
    Group reserve();
    Group arithmetic();

    Segment prologue();
    Segment tables();
    Segment program_code(u64& end);
    static Segment registers(std::vector<u64> values);

    ProgramOptions options_;
    Random random_;
    u64 delegated_ = 0;
};

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
    const bool immediate = row(op).format == Format::CsrI;
    if (random_.chance(20)) return csr_word(random_.chance(50) ? Op::csrrs : Op::csrrc, destination(), random_.pick(read_only), 0);
    if (random_.chance(5)) { // the mode bit of a vector: exceptions go to the base in both modes
        const Csr vector = random_.chance(50) ? Csr::mtvec : Csr::stvec;
        return csr_word(random_.chance(50) ? Op::csrrsi : Op::csrrci, destination(), vector, 1);
    }
    Csr csr = random_.pick(any);
    if (!options_.floating && (csr == Csr::fflags || csr == Csr::frm || csr == Csr::fcsr)) csr = Csr::mscratch;
    return csr_word(op, destination(), csr, immediate ? static_cast<unsigned>(random_.below(32)) : any_register());
}

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

Group Generator::jump(std::size_t index) {
    Group g;
    const unsigned link = destination();
    g.target = index + 1 + random_.below(6);
    static constexpr Op branches[] = {Op::beq, Op::bne, Op::blt, Op::bge, Op::bltu, Op::bgeu};
    switch (random_.below(6)) {
    case 0: case 1:
        g.kind = Group::Target::Branch;
        g.code.word(encode(random_.pick(branches), {.rs1 = any_register(), .rs2 = any_register()}));
        break;
    case 2:
        g.kind = Group::Target::Jump;
        g.code.word(encode(Op::jal, {.rd = link}));
        break;
    case 3: {
        const unsigned drawn = destination(), safe = drawn ? drawn : kScratch;
        g.code.word(encode(Op::auipc, {.rd = safe}));
        g.kind = Group::Target::Register;
        g.fixup = 4;
        g.code.word(encode(Op::jalr, {.rd = link, .rs1 = safe}));
        break;
    }
    case 4:
        g.kind = Group::Target::CompressedBranch;
        g.code.half(static_cast<u16>((random_.chance(50) ? 0xc001 : 0xe001) | (small_register() - 8) << 7));
        break;
    default:
        g.kind = Group::Target::CompressedJump;
        g.code.half(0xa001);
    }
    return g;
}

/// Goes on at the next group, in the privilege that MPP or SPP names. Where the hart may not do this, each instruction traps and is skipped.
Group Generator::change_mode() {
    Group g;
    const bool machine = random_.chance(60);
    const Csr status = machine ? Csr::mstatus : Csr::sstatus, epc = machine ? Csr::mepc : Csr::sepc;
    const u64 previous = machine ? mstatus::MPP : mstatus::SPP;
    const u64 level = machine ? random_.pick({u64{0}, u64{1}, u64{1}, u64{3}}) : random_.below(2);
    g.code.load_constant(kScratch, previous);
    g.code.word(csr_clear(status, kScratch));
    g.code.load_constant(kScratch, set_field(0, previous, level));
    g.code.words({csr_set(status, kScratch), encode(Op::auipc, {.rd = kScratch}), add_immediate(kScratch, kScratch, 16),
                  csr_write(epc, kScratch), encode(machine ? Op::mret : Op::sret, {})});
    return g;
}

Group Generator::change_status() {
    Group g;
    constexpr u64 refused = 1u << 6 | 3u << 15; // UBE and XS: read-only zero here
    u64 allowed = refused | mstatus::SIE | mstatus::MIE | mstatus::SPIE | mstatus::MPIE | mstatus::SPP | mstatus::FS | mstatus::SUM |
                  mstatus::MXR;
    if (options_.privileged) allowed |= mstatus::TVM | mstatus::TW | mstatus::MPRV;
    // The handler in S-mode ends with sret, and then calls M-mode: where either would come back to it, TSR stays clear.
    if (options_.privileged && !(delegated_ & (cause_bit(Cause::IllegalInstruction) | cause_bit(Cause::EcallFromS)))) allowed |= mstatus::TSR;
    u64 wanted = random_.next() & allowed;
    if (random_.chance(50)) wanted &= random_.next();
    const Op how = random_.pick({Op::csrrw, Op::csrrs, Op::csrrs, Op::csrrc});
    // Setting or clearing single bits of MPP could make the reserved value 2, where implementations may differ.
    if (how == Op::csrrw) wanted = set_field(wanted, mstatus::MPP, random_.pick({u64{0}, u64{1}, u64{3}}));
    if (how == Op::csrrw) wanted |= kWidths;
    g.code.load_constant(kScratch, wanted);
    g.code.word(csr_word(how, destination(), random_.chance(60) ? Csr::mstatus : Csr::sstatus, kScratch));
    if (random_.chance(70)) { // mostly with floating point on, or little of it would run
        g.code.load_constant(kScratch, mstatus::FS);
        g.code.word(csr_set(Csr::sstatus, kScratch));
    }
    return g;
}

Group Generator::change_tables() {
    Group g;
    const u64 root = (kTables + random_.below(2) * kTablePages * kPageSize) >> kPageShift;
    const u64 value = random_.chance(15) ? 0 : satp::kSv39 << 60 | root;
    g.code.load_constant(kScratch, value);
    g.code.words({csr_word(Op::csrrw, destination(), Csr::satp, kScratch), encode(Op::sfence_vma, {})});
    return g;
}

Group Generator::aim_pointer() {
    Group g;
    u64 where = kData + 0x800;
    if (random_.chance(80)) where = kData + random_.below(kDataPages - 1) * kPageSize + 0x800 + (random_.chance(30) ? random_.below(0x1000) : random_.below(0x200) * 8);
    if (options_.paging && random_.chance(20)) where = kSuperpageAddress + 0x800 + random_.below(0x300) * 8;
    if (options_.privileged && random_.chance(4)) where = kNotCanonical + 0x1000;
    g.code.load_constant(random_.pick(kPointers), where);
    return g;
}

/// lr and sc of one width to the same place with little between them; in M-mode alone sometimes to another place, or unpaired.
/// Aligned, and skipped where the lr trapped: QEMU looks at the reservation first, so an sc that fails for it does not trap.
Group Generator::reserve() {
    Group g;
    const bool alone = !options_.privileged;
    const unsigned pointer = random_.pick(kPointers), other = !alone || random_.chance(70) ? pointer : random_.pick(kPointers);
    const auto aim = [&](unsigned reg) { g.code.load_constant(reg, kData + random_.below(kDataPages) * kPageSize + random_.below(512) * 8); };
    aim(pointer);
    if (other != pointer) aim(other);
    const bool wide = random_.chance(50), paired = !alone || random_.chance(90), twice = alone && random_.chance(20);
    unsigned loaded = 0;
    do loaded = destination(); while (loaded == kScratch);
    const u32 conditional = encode(wide ? Op::sc_d : Op::sc_w, {.rd = destination(), .rs1 = other, .rs2 = any_register()});
    g.code.word(add_immediate(kScratch, 0, 0)); // a handler leaves an address here
    if (paired) g.code.word(encode(wide ? Op::lr_d : Op::lr_w, {.rd = loaded, .rs1 = pointer}));
    g.code.word(encode(Op::bne, {.rs1 = kScratch, .imm = 8}));
    g.code.word(conditional);
    if (twice) g.code.word(conditional);
    return g;
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

Group Generator::group(std::size_t index) {
    Group g;
    if (options_.arithmetic && random_.chance(options_.arithmetic)) return arithmetic();
    const u64 kind = random_.below(100);
    if (kind < 10) return jump(index);
    if (kind < 15) return aim_pointer();
    if (kind < 17) return reserve();
    if (kind < 19) return change_status();
    if (options_.privileged && kind < 22) return change_mode();
    if (options_.paging && options_.privileged && kind < 24) return change_tables();
    if (kind < 26) return g.code.word(random_.chance(50) ? encode(Op::ecall, {}) : encode(Op::ebreak, {})), g;
    if (kind < 28) return g.code.word(illegal_word()), g;
    if (kind < 45) return g.code.half(compressed()), g;
    if (kind < 46) { // addi16sp there and back
        g.code.half(0x6105); // c.addi16sp sp, 32
        g.code.half(0x1101); // c.addi sp, -32
        return g;
    }
    for (;;)
        if (const auto word = from_table(static_cast<Op>(random_.below(kOpCount)))) return g.code.word(*word), g;
}

// --- Prologue, handlers, tables, layout ---------------------------------------------------------------------------------

/// Skips the instruction that trapped. Calls to the environment and faults of the fetch go on in M-mode.
Code machine_handler() {
    Code c;
    c.load_constant(kScratch, mstatus::MPRV);
    c.words({csr_clear(Csr::mstatus, kScratch), csr_read(kScratch, Csr::mepc), csr_read(kScratch2, Csr::mcause)});
    Code skip; // 24 bytes
    skip.words({encode(Op::lhu, {.rd = kScratch2, .rs1 = kScratch}), encode(Op::andi, {.rd = kScratch2, .rs1 = kScratch2, .imm = 3}),
                add_immediate(kScratch2, kScratch2, -3), add_immediate(kScratch, kScratch, 2),
                encode(Op::bne, {.rs1 = kScratch2, .rs2 = 0, .imm = 8}), add_immediate(kScratch, kScratch, 2),
                csr_write(Csr::mepc, kScratch), encode(Op::mret, {})});
    Code raise;
    raise.words({add_immediate(kScratch, kScratch, 4), csr_write(Csr::mepc, kScratch)});
    const i64 to_fetch_fault = static_cast<i64>(skip.bytes.size() + raise.bytes.size());
    const i64 to_raise = static_cast<i64>(skip.bytes.size());
    raise.load_constant(kScratch2, mstatus::MPP);
    raise.words({csr_set(Csr::mstatus, kScratch2), encode(Op::mret, {})});
    c.words({add_immediate(kScratch2, kScratch2, -12), encode(Op::beq, {.rs1 = kScratch2, .imm = to_fetch_fault + 24}),
             add_immediate(kScratch2, kScratch2, 11), encode(Op::beq, {.rs1 = kScratch2, .imm = to_fetch_fault + 16}),
             add_immediate(kScratch2, kScratch2, -7), encode(Op::sltiu, {.rd = kScratch2, .rs1 = kScratch2, .imm = 4}),
             encode(Op::bne, {.rs1 = kScratch2, .imm = to_raise + 4})});
    c.bytes.insert(c.bytes.end(), skip.bytes.begin(), skip.bytes.end());
    c.bytes.insert(c.bytes.end(), raise.bytes.begin(), raise.bytes.end());
    return c;
}

/// Skips the instruction that trapped; a call from U goes on in S. What follows its sret goes on in M-mode where TSR is set.
Code supervisor_handler() {
    Code finish;
    finish.word(csr_write(Csr::sepc, kScratch));
    finish.load_constant(kScratch2, mstatus::SUM | mstatus::MXR);
    finish.words({csr_clear(Csr::sstatus, kScratch2), encode(Op::sret, {}), encode(Op::ecall, {}), csr_read(kScratch, Csr::sepc),
                  csr_write(Csr::mepc, kScratch), encode(Op::mret, {})});
    Code skip;
    skip.words({encode(Op::lhu, {.rd = kScratch2, .rs1 = kScratch}), encode(Op::andi, {.rd = kScratch2, .rs1 = kScratch2, .imm = 3}),
                add_immediate(kScratch2, kScratch2, -3), add_immediate(kScratch, kScratch, 2),
                encode(Op::bne, {.rs1 = kScratch2, .rs2 = 0, .imm = 8}), add_immediate(kScratch, kScratch, 2)});
    Code call;
    call.word(add_immediate(kScratch, kScratch, 4));
    call.load_constant(kScratch2, mstatus::SPP);
    call.word(csr_set(Csr::sstatus, kScratch2));
    skip.word(encode(Op::jal, {.imm = static_cast<i64>(call.bytes.size()) + 4}));

    Code c;
    c.load_constant(kScratch, mstatus::SUM | mstatus::MXR);
    c.words({csr_set(Csr::sstatus, kScratch), csr_read(kScratch, Csr::sepc), csr_read(kScratch2, Csr::scause),
             add_immediate(kScratch2, kScratch2, -8), encode(Op::beq, {.rs1 = kScratch2, .imm = static_cast<i64>(skip.bytes.size()) + 4})});
    for (const Code* part : {&skip, &call, &finish}) c.bytes.insert(c.bytes.end(), part->bytes.begin(), part->bytes.end());
    return c;
}

Segment Generator::prologue() {
    // Loads and stores go together: QEMU 7.2 takes the fault of an AMO for a load's, and it must not go elsewhere for that.
    static constexpr u64 delegable[] = {
        cause_bit(Cause::IllegalInstruction), cause_bit(Cause::Breakpoint), cause_bit(Cause::EcallFromU), cause_bit(Cause::EcallFromS),
        cause_bit(Cause::LoadMisaligned) | cause_bit(Cause::StoreMisaligned), cause_bit(Cause::LoadAccess) | cause_bit(Cause::StoreAccess),
        cause_bit(Cause::LoadPageFault) | cause_bit(Cause::StorePageFault),
    };
    if (options_.privileged)
        for (u64 causes : delegable)
            if (random_.chance(50)) delegated_ |= causes;
    Code c;
    const auto set = [&](Csr csr, u64 value) {
        c.load_constant(kScratch, value);
        c.word(csr_write(csr, kScratch));
    };
    set(Csr::mstatus, kWidths | mstatus::FS | mstatus::MPP);
    for (Csr zero : {Csr::satp, Csr::mie, Csr::mideleg, Csr::mscratch, Csr::sscratch, Csr::mepc, Csr::sepc, Csr::mcause, Csr::scause,
                     Csr::mtval, Csr::stval, Csr::scounteren, Csr::fcsr})
        set(zero, 0);
    set(Csr::mtvec, kMachineHandler);
    set(Csr::stvec, kSupervisorHandler);
    set(Csr::medeleg, delegated_);
    set(Csr::pmpaddr0, ~u64{0} >> 10);
    set(Csr::pmpcfg0, 0x0f); // the first entry: everything below its address may be read, written, executed
    c.word(encode(Op::sfence_vma, {}));
    c.load_constant(31, kRegisters);
    c.words({add_immediate(kScratch, 31, 0x300), encode(Op::lr_w, {.rd = 1, .rs1 = kScratch}),
             encode(Op::sc_w, {.rd = 1, .rs1 = kScratch})}); // no reservation is held from here on
    for (unsigned reg = 0; reg < 32; ++reg) c.word(encode(Op::fld, {.rd = reg, .rs1 = 31, .imm = 256 + 8 * reg}));
    for (unsigned reg = 1; reg < 32; ++reg) c.word(encode(Op::ld, {.rd = reg, .rs1 = 31, .imm = 8 * reg}));
    const u64 here = kPrologue + c.bytes.size();
    c.word(encode(Op::jal, {.imm = static_cast<i64>(kCode - here)}));
    c.bytes.resize(kMachineHandler - kPrologue);
    const Code machine = machine_handler(), supervisor = supervisor_handler();
    c.bytes.insert(c.bytes.end(), machine.bytes.begin(), machine.bytes.end());
    c.bytes.resize(kSupervisorHandler - kPrologue);
    c.bytes.insert(c.bytes.end(), supervisor.bytes.begin(), supervisor.bytes.end());
    return {kPrologue, std::move(c.bytes)};
}

/// Two tables of five pages: root, a middle for 0x8000'0000, one for the superpage's gigabyte, leaves for code, leaves for data.
Segment Generator::tables() {
    std::vector<u64> entries(2 * kTablePages * 512);
    const auto rights = [&] {
        u64 flags = pte::V | pte::R | pte::W | pte::X | pte::A | pte::D;
        if (random_.chance(40)) flags &= ~(u64{1} << random_.pick({0, 1, 2, 2, 3, 6, 7})); // W without R is reserved: a fault as well
        if (random_.chance(10)) flags &= ~(random_.next() & 0xce);
        if (random_.chance(40)) flags |= pte::U;
        if (random_.chance(20)) flags |= pte::G;
        if (random_.chance(10)) flags |= (random_.next() & 3) << 8; // for software
        if (random_.chance(3)) flags |= u64{1} << (54 + random_.below(7)); // reserved
        return flags;
    };
    const auto leaf = [](u64 physical, u64 flags) { return physical >> kPageShift << 10 | flags; };
    for (u64 table = 0; table < 2; ++table) {
        u64* const root = entries.data() + table * kTablePages * 512;
        const u64 root_address = kTables + table * kTablePages * kPageSize;
        u64 *middle = root + 512, *high = root + 1024, *code = root + 1536, *data = root + 2048;
        const auto pointer = [&](u64 page) { return leaf(root_address + page * kPageSize, pte::V); };
        root[bits(kCode, 38, 30)] = pointer(1);
        root[bits(kSuperpageAddress, 38, 30)] = pointer(2);
        middle[bits(kCode, 29, 21)] = pointer(3);
        middle[bits(kData, 29, 21)] = pointer(4);
        high[bits(kSuperpageAddress, 29, 21)] = leaf(kData, rights()) | (random_.chance(5) ? u64{1} << 10 : 0); // misaligned
        code[0] = leaf(kPrologue, pte::V | pte::R | pte::X | pte::A | pte::D);
        for (u64 page = 0; page < 16; ++page) {
            u64 flags = rights();
            if (random_.chance(70)) flags |= pte::V | pte::R | pte::X; // mostly code that can run
            code[bits(kCode, 20, 12) + page] = leaf(kCode + page * kPageSize, flags);
        }
        for (u64 page = 0; page < kDataPages; ++page)
            data[bits(kData, 20, 12) + page] = leaf(kData + random_.below(kDataPages) * kPageSize, rights());
    }
    Segment segment{kTables, {}};
    for (u64 entry : entries)
        for (unsigned i = 0; i < 8; ++i) segment.bytes.push_back(static_cast<u8>(entry >> (8 * i)));
    return segment;
}

Segment Generator::registers(std::vector<u64> values) {
    Segment segment{kRegisters, {}};
    for (u64 value : values)
        for (unsigned i = 0; i < 8; ++i) segment.bytes.push_back(static_cast<u8>(value >> (8 * i)));
    return segment;
}

/// Patches the branch of a group that is `distance` bytes before its target.
void patch(Group& g, i64 distance) {
    const auto merge = [&](u32 word, unsigned bytes) {
        for (unsigned i = 0; i < bytes; ++i) g.code.bytes[g.fixup + i] |= static_cast<u8>(word >> (8 * i));
    };
    const u32 d = static_cast<u32>(distance);
    switch (g.kind) {
    case Group::Target::None: return;
    case Group::Target::Branch: return merge(encode(Op::beq, {.imm = distance}), 4);
    case Group::Target::Jump: return merge(encode(Op::jal, {.imm = distance}), 4);
    case Group::Target::Register: return merge((d + 4) << 20, 4); // counted from the auipc before
    case Group::Target::CompressedBranch:
        return merge((d >> 8 & 1) << 12 | (d >> 3 & 3) << 10 | (d >> 6 & 3) << 5 | (d >> 1 & 3) << 3 | (d >> 5 & 1) << 2, 2);
    case Group::Target::CompressedJump:
        return merge((d >> 11 & 1) << 12 | (d >> 4 & 1) << 11 | (d >> 8 & 3) << 9 | (d >> 10 & 1) << 8 | (d >> 6 & 1) << 7 | (d >> 7 & 1) << 6 |
                         (d >> 1 & 7) << 3 | (d >> 5 & 1) << 2, 2);
    }
}

Segment Generator::program_code(u64& end) {
    std::vector<Group> groups;
    for (std::size_t i = 0; i < options_.groups; ++i) groups.push_back(group(i));
    groups.emplace_back().code.word(encode(Op::jal, {}));
    std::vector<u64> at;
    u64 offset = 0;
    for (const Group& g : groups) at.push_back(offset), offset += g.code.bytes.size();
    Segment segment{kCode, {}};
    for (std::size_t i = 0; i < groups.size(); ++i) {
        Group& g = groups[i];
        if (g.kind != Group::Target::None) {
            const i64 reach = g.kind == Group::Target::CompressedBranch ? 250 : 1800;
            const auto distance = [&](std::size_t to) { return static_cast<i64>(at[to] - at[i] - g.fixup); };
            std::size_t to = std::min(g.target, groups.size() - 1);
            while (to > i + 1 && distance(to) > reach) --to;
            patch(g, distance(std::max(to, i + 1)));
        }
        segment.bytes.insert(segment.bytes.end(), g.code.bytes.begin(), g.code.bytes.end());
    }
    end = kCode + at.back();
    return segment;
}

Program Generator::generate() {
    Program program;
    program.options = options_;
    program.entry = kPrologue;
    program.begin = kCode;
    program.segments.push_back(prologue());
    program.segments.push_back(tables());
    program.segments.push_back(program_code(program.end));
    std::vector<u64> initial(64 + 64);
    for (u64& value : initial) value = interesting_value();
    for (unsigned pointer : kPointers) initial[pointer] = kData + 0x800 + pointer % 3 * kPageSize;
    program.segments.push_back(registers(std::move(initial)));
    Segment data{kData, {}};
    while (data.bytes.size() < kDataPages * kPageSize) {
        const u64 value = interesting_value();
        for (unsigned i = 0; i < 8; ++i) data.bytes.push_back(static_cast<u8>(value >> (8 * i)));
    }
    program.segments.push_back(std::move(data));
    return program;
}

} // namespace

Program random_program(const ProgramOptions& options) { return Generator(options).generate(); }

} // namespace trapeze::lockstep
