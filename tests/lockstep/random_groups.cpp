#include "tests/lockstep/generator.hpp"

namespace trapeze::lockstep {

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
    g.code.load_constant(kScratch, machine && options_.guests ? previous | mstatus::MPV : previous);
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
    const bool refusing = options_.privileged && (!options_.guests || parts_);
    if (options_.privileged) allowed |= mstatus::TW | mstatus::MPRV;
    if (refusing) allowed |= mstatus::TVM;
    if (options_.guests) allowed |= mstatus::MPV;
    // The handler in S-mode ends with sret, and then calls M-mode: where either would come back to it, TSR stays clear.
    if (refusing && !(delegated_ & (cause_bit(Cause::IllegalInstruction) | cause_bit(Cause::EcallFromS)))) allowed |= mstatus::TSR;
    u64 wanted = random_.next() & allowed;
    if (random_.chance(50)) wanted &= random_.next();
    const Op how = random_.pick({Op::csrrw, Op::csrrs, Op::csrrs, Op::csrrc});
    if (options_.guests && waits_ == Waits::BelowMachine) // TW stays set
        wanted = how == Op::csrrc ? wanted & ~mstatus::TW : wanted | mstatus::TW;
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
    const u64 table = options_.guests ? first_stages_[random_.below(first_stages_.size())] : satp::kSv39 << 60 | root;
    const u64 value = random_.chance(15) ? 0 : table;
    g.code.load_constant(kScratch, value);
    g.code.words({csr_word(Op::csrrw, destination(), Csr::satp, kScratch), encode(Op::sfence_vma, {})});
    return g;
}

Group Generator::aim_pointer() {
    Group g;
    u64 where = kData + 0x800;
    if (random_.chance(80)) where = kData + random_.below(kDataPages - 1) * kPageSize + 0x800 + (random_.chance(30) ? random_.below(0x1000) : random_.below(0x200) * 8);
    if (options_.paging && random_.chance(20)) where = kSuperpageAddress + 0x800 + random_.below(0x300) * 8;
    if (options_.guests && options_.paging && random_.chance(15)) where = kGigapageAddress + 0x800 + random_.below(0x300) * 8;
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

Group Generator::group(std::size_t index) {
    Group g;
    if (options_.guests && random_.chance(20)) return guest_group();
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

} // namespace trapeze::lockstep
