#include "tests/lockstep/generator.hpp"

namespace trapeze::lockstep {

namespace {

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
    c.append(skip);
    c.append(raise);
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
    for (const Code* part : {&skip, &call, &finish}) c.append(*part);
    return c;
}

} // namespace

void Generator::draw_delegation() {
    // Loads and stores go together: QEMU 7.2 takes the fault of an AMO for a load's, and it must not go elsewhere for that.
    static constexpr u64 delegable[] = {
        cause_bit(Cause::IllegalInstruction), cause_bit(Cause::Breakpoint), cause_bit(Cause::EcallFromU), cause_bit(Cause::EcallFromS),
        cause_bit(Cause::LoadMisaligned) | cause_bit(Cause::StoreMisaligned), cause_bit(Cause::LoadAccess) | cause_bit(Cause::StoreAccess),
        cause_bit(Cause::LoadPageFault) | cause_bit(Cause::StorePageFault),
    };
    static constexpr u64 with_guests[] = {
        cause_bit(Cause::InstructionAccess), cause_bit(Cause::InstructionPageFault), cause_bit(Cause::EcallFromVs), cause_bit(Cause::VirtualInstruction),
        cause_bit(Cause::InstructionGuestPageFault), cause_bit(Cause::LoadGuestPageFault) | cause_bit(Cause::StoreGuestPageFault),
    };
    const auto draw = [&](auto& from) {
        for (u64 causes : from)
            if (random_.chance(50)) delegated_ |= causes;
    };
    if (options_.privileged) draw(delegable);
    if (!options_.guests) return;
    draw(with_guests);
    delegated_ &= ~cause_bit(Cause::EcallFromS); // how the handler of HS-mode calls that of M-mode
    // QEMU 7.2 takes what is virtual in VU-mode for illegal, and it must not go elsewhere for that.
    delegated_ = set_field(delegated_, cause_bit(Cause::VirtualInstruction), get_field(delegated_, cause_bit(Cause::IllegalInstruction)));
}

/// What the hypervisor extension adds to the state at the start.
void Generator::set_up_guests(Code& c) {
    const auto set = [&](Csr csr, u64 value) {
        c.load_constant(kScratch, value);
        c.word(csr_write(csr, kScratch));
    };
    for (Csr zero : {Csr::hgatp, Csr::vsatp, Csr::hvip, Csr::hie, Csr::hedeleg, Csr::hideleg, Csr::htimedelta, Csr::hcounteren, Csr::htval, Csr::htinst, Csr::mtval2,
                     Csr::mtinst, Csr::vsscratch, Csr::vsepc, Csr::vscause, Csr::vstval})
        set(zero, 0);
    set(Csr::henvcfg, menvcfg::ADUE);
    set(Csr::vstvec, kGuestHandler);
    set(Csr::hstatus, u64{2} << 32 | (waits_ == Waits::InGuests ? hstatus::VTW : 0)); // VSXL: 64 bits
    set(Csr::vsstatus, u64{2} << 32 | mstatus::FS);
    if (waits_ == Waits::BelowMachine) {
        c.load_constant(kScratch, mstatus::TW);
        c.word(csr_set(Csr::mstatus, kScratch));
    }
    c.words({encode(Op::hfence_gvma, {}), encode(Op::hfence_vvma, {})});
}

Segment Generator::prologue() {
    draw_delegation();
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
    if (options_.guests) set_up_guests(c);
    c.word(encode(Op::sfence_vma, {}));
    c.load_constant(31, kRegisters);
    c.words({add_immediate(kScratch, 31, 0x300), encode(Op::lr_w, {.rd = 1, .rs1 = kScratch}),
             encode(Op::sc_w, {.rd = 1, .rs1 = kScratch})}); // no reservation is held from here on
    for (unsigned reg = 0; reg < 32; ++reg) c.word(encode(Op::fld, {.rd = reg, .rs1 = 31, .imm = 256 + 8 * reg}));
    for (unsigned reg = 1; reg < 32; ++reg) c.word(encode(Op::ld, {.rd = reg, .rs1 = 31, .imm = 8 * reg}));
    const u64 here = kPrologue + c.bytes.size();
    c.word(encode(Op::jal, {.imm = static_cast<i64>(kCode - here)}));
    c.bytes.resize(kMachineHandler - kPrologue);
    c.append(options_.guests ? guest_program_machine_handler() : machine_handler());
    c.bytes.resize(kSupervisorHandler - kPrologue);
    c.append(options_.guests ? guest_program_handler() : supervisor_handler());
    c.bytes.resize(kGuestHandler - kPrologue);
    if (options_.guests) c.append(guest_program_handler());
    return {kPrologue, std::move(c.bytes)};
}

} // namespace trapeze::lockstep
