// Groups of programs with guests: entering VS- and VU-mode, what a hypervisor sets for them, and its accesses to their memory.
#include "tests/lockstep/generator.hpp"

namespace trapeze::lockstep {

namespace {

constexpr u64 kGuestIrqs = irq_bit(Irq::Vssi) | irq_bit(Irq::Vsti) | irq_bit(Irq::Vsei);

} // namespace

/// Not htinst: QEMU 7.2 ignores what is written there.
Csr Generator::some_guest_csr() {
    static constexpr Csr any[] = {Csr::vsscratch, Csr::vsepc, Csr::vscause, Csr::vstval, Csr::htval, Csr::mtval2, Csr::mtinst,
        Csr::htimedelta, Csr::hcounteren};
    return random_.pick(any);
}

/// Goes on at the next group in a guest or out of one, by mret with MPV or by sret with SPV.
Group Generator::change_world() {
    Group g;
    const bool machine = random_.chance(50), guest = random_.chance(80), supervisor = random_.chance(65);
    const Csr status = machine ? Csr::mstatus : Csr::sstatus, epc = machine ? Csr::mepc : Csr::sepc;
    const u64 previous = machine ? mstatus::MPP : mstatus::SPP;
    g.code.load_constant(kScratch, machine ? previous | mstatus::MPV : previous);
    g.code.word(csr_clear(status, kScratch));
    g.code.load_constant(kScratch, set_field(machine && guest ? mstatus::MPV : 0, previous, supervisor));
    g.code.word(csr_set(status, kScratch));
    if (!machine) {
        g.code.load_constant(kScratch, hstatus::SPV);
        g.code.word(guest ? csr_set(Csr::hstatus, kScratch) : csr_clear(Csr::hstatus, kScratch));
    }
    g.code.words({encode(Op::auipc, {.rd = kScratch}), add_immediate(kScratch, kScratch, 16), csr_write(epc, kScratch),
                  encode(machine ? Op::mret : Op::sret, {})});
    return g;
}

/// hstatus, vsstatus. QEMU keeps translations for hlv and hsv, so that they are fenced after what decides permissions.
Group Generator::change_guest_status() {
    Group g;
    const bool host = random_.chance(50);
    u64 allowed = host ? hstatus::VTVM | hstatus::VTSR | hstatus::HU | hstatus::SPVP | hstatus::SPV | hstatus::GVA
                       : mstatus::SIE | mstatus::SPIE | mstatus::SPP | mstatus::FS | mstatus::SUM | mstatus::MXR;
    if (host && waits_ != Waits::InGuests) allowed |= hstatus::VTW;
    g.code.load_constant(kScratch, random_.next() & random_.next() & allowed);
    g.code.word(csr_word(random_.chance(50) ? Op::csrrs : Op::csrrc, host ? destination() : 0, host ? Csr::hstatus : Csr::vsstatus, kScratch));
    if (random_.chance(70)) {
        g.code.load_constant(kScratch, mstatus::FS);
        g.code.words({csr_set(Csr::sstatus, kScratch), csr_set(Csr::vsstatus, kScratch)});
    }
    g.code.word(encode(Op::hfence_vvma, {}));
    return g;
}

/// Delegation, interrupts and the environment.
Group Generator::change_guest_registers() {
    Group g;
    const Op set_or_clear = random_.chance(50) ? Op::csrrs : Op::csrrc;
    const u64 some = random_.next();
    const auto change = [&](Op how, Csr csr, u64 value) {
        g.code.load_constant(kScratch, value);
        g.code.word(csr_word(how, csr == Csr::henvcfg ? 0 : destination(), csr, kScratch)); // QEMU 7.2 has no ADUE to show
    };
    switch (random_.below(4)) {
    case 0: {
        // Loads and stores go together, as in medeleg.
        u64 causes = some & (cause_bit(Cause::InstructionAccess) | (parts_ ? cause_bit(Cause::IllegalInstruction) : 0) | cause_bit(Cause::Breakpoint) |
                             cause_bit(Cause::EcallFromU) | cause_bit(Cause::InstructionPageFault));
        for (u64 pair : {cause_bit(Cause::LoadMisaligned) | cause_bit(Cause::StoreMisaligned), cause_bit(Cause::LoadAccess) | cause_bit(Cause::StoreAccess),
                         cause_bit(Cause::LoadPageFault) | cause_bit(Cause::StorePageFault)})
            if (random_.chance(50)) causes |= pair;
        change(Op::csrrw, Csr::hedeleg, causes);
        break;
    }
    case 1: change(Op::csrrw, Csr::hideleg, some); break;
    case 2: { // QEMU 7.2 takes the hypervisor's positions in a guest's registers for the guest's, so that only the guest's own are written there
        const Op how = random_.pick({Op::csrrw, Op::csrrs, Op::csrrc});
        const bool own = random_.chance(50);
        const Csr csr = injects_ ? (own ? random_.pick({Csr::vsip, Csr::sip}) : random_.pick({Csr::hvip, Csr::hvip, Csr::hip})) : own ? Csr::vsie : Csr::hie;
        change(how, csr, some & (own ? kGuestIrqs >> 1 : kGuestIrqs));
        break;
    }
    default: change(set_or_clear, Csr::henvcfg, some & (1 | envcfg::CBCFE | envcfg::CBZE) | (some >> 32 & 1 ? envcfg::CBIE : 0));
    }
    return g;
}

Group Generator::change_guest_tables() {
    Group g;
    const bool second = random_.chance(50);
    const std::vector<u64>& values = second ? second_stages_ : first_stages_;
    const u64 value = random_.chance(25) ? 0 : values[random_.below(values.size())];
    g.code.load_constant(kScratch, value);
    g.code.word(csr_word(Op::csrrw, destination(), second ? Csr::hgatp : Csr::vsatp, kScratch));
    g.code.words({encode(Op::hfence_gvma, {}), encode(Op::hfence_vvma, {})}); // either does both in QEMU, and hfence.gvma may be refused
    return g;
}

/// hlv, hlvx and hsv, where the hart may set SUM with it: QEMU 7.2 never looks at it. It keeps translations, so that they are fenced.
Group Generator::reach_into_guest() {
    static constexpr Op loads[] = {Op::hlv_b, Op::hlv_bu, Op::hlv_h, Op::hlv_hu, Op::hlv_w, Op::hlv_wu, Op::hlv_d, Op::hlvx_hu, Op::hlvx_wu};
    static constexpr Op stores[] = {Op::hsv_b, Op::hsv_h, Op::hsv_w, Op::hsv_d};
    Group g;
    g.code.load_constant(kScratch, mstatus::SUM);
    g.code.words({csr_set(Csr::vsstatus, kScratch), encode(Op::hfence_vvma, {})});
    const Op op = random_.chance(60) ? random_.pick(loads) : random_.pick(stores);
    if (const auto word = from_table(op)) g.code.word(*word);
    return g;
}

/// wfi where it must trap. A probe leaves an address in kScratch where it traps itself: in every mode below M, or in guests (and U).
/// Whichever of the instructions cannot be fetched, so that the next goes on in M-mode: that one is never wfi.
Group Generator::wait() {
    Group g;
    g.code.words({add_immediate(kScratch, 0, 0), csr_read(0, waits_ == Waits::BelowMachine ? Csr::mhartid : Csr::htimedelta),
                  encode(Op::bne, {.rs1 = kScratch, .imm = 12}), encode(Op::jal, {.imm = 12}), encode(Op::jal, {.imm = 8}), encode(Op::wfi, {})});
    return g;
}

Group Generator::guest_group() {
    const u64 kind = random_.below(100);
    if (kind < 30) return change_world();
    if (kind < 45) return change_guest_status();
    if (kind < 60) return change_guest_registers();
    if (kind < 75 && options_.paging) return change_guest_tables();
    if (kind < 92) return reach_into_guest();
    return wait();
}

} // namespace trapeze::lockstep
