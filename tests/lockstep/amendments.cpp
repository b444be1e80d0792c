// Where QEMU 7.2 is known to differ although the emulator is right, or both are: docs/oracles.md lists the same.
#include "tests/lockstep/lockstep.hpp"

#include "emulator/cpu/state.hpp"

#include <algorithm>

namespace trapeze::lockstep {

namespace {

/// One step as both sides show it, and what has been amended of it so far.
struct Step {
    u32 word;
    Instruction insn;
    const HartView& before;
    const HartView& ours;
    const HartView& theirs;
    std::vector<Amendment> list;

    bool hidden(Csr csr) const { return ours.hidden[compared_index(csr)] || theirs.hidden[compared_index(csr)]; }
    /// What QEMU has, with the amendments so far.
    u64 their(Csr csr) const {
        for (auto a = list.rbegin(); a != list.rend(); ++a)
            if (a->csr == csr) return a->value;
        return theirs[csr];
    }
    /// QEMU's value becomes this one, if that is ours.
    void amend(Csr csr, u64 theirs_would_be) {
        if (!hidden(csr) && ours[csr] != their(csr) && ours[csr] == theirs_would_be) list.push_back({csr, ours[csr]});
    }
    /// The same for some bits of a register, whatever the others are.
    void amend_bits(Csr csr, u64 among) {
        if (!hidden(csr) && (ours[csr] ^ their(csr)) & among) list.push_back({csr, (their(csr) & ~among) | (ours[csr] & among)});
    }
};

/// A load or store that is made as the guest's from outside of it: hlv and hsv, and M-mode's with MPRV.
bool reaches_into_guest(const InstructionRow& r, const HartView& before) {
    constexpr u64 kBoth = mstatus::MPRV | mstatus::MPV;
    return r.format == Format::HLoad || r.format == Format::HStore || (before.priv == 3 && (before[Csr::mstatus] & kBoth) == kBoth);
}
/// Section 15.3.1: such an access raises a guest's page fault. QEMU 7.2 looks at whether satp translates, not vsatp, to tell it from an access fault.
bool is_page_fault_of_guest(const InstructionRow& r, const HartView& before, u64 mine, u64 other) {
    const bool alike = (mine == 13 && other == 5) || (mine == 15 && (other == 7 || other == 5));
    return reaches_into_guest(r, before) && get_field(before[Csr::satp], satp::MODE) == satp::kBare && alike;
}

/// Registers that hold what they may not.
void amend_values(Step& s) {
    // Section 3.1.14: bit 0 of xepc is always zero. QEMU 7.2 clears it when returning, not when it is written.
    for (Csr epc : {Csr::mepc, Csr::sepc, Csr::vsepc}) s.amend(epc, s.their(epc) & ~u64{1});
    // Section 3.1.11: counter enables are 32 bits. QEMU 7.2 keeps 64.
    for (Csr enables : {Csr::scounteren, Csr::hcounteren}) s.amend(enables, s.their(enables) & 0xffffffff);
    // Section 3.1.6.3: a return to a mode below M clears MPRV. QEMU 7.2 leaves it.
    if ((s.insn.op == Op::mret || s.insn.op == Op::sret) && s.ours.priv != 3) s.amend(Csr::mstatus, s.their(Csr::mstatus) & ~mstatus::MPRV);
    // Section 3.1.6.6: flags are part of the state that FS describes. QEMU 7.2 does not mark it dirty when only flags can change.
    const Format format = row(s.insn.op).format;
    if (format == Format::FToXRm || format == Format::FCmp)
        for (Csr status : {Csr::mstatus, Csr::sstatus}) s.amend(status, s.their(status) | mstatus::FS | mstatus::SD);
}

/// The cause that a trap into the mode of a view has written.
u64 trap_cause(const HartView& view) { return view[view.priv == 3 ? Csr::mcause : Csr::scause]; }

/// Whether the step was a trap that both sides took to the same place; then what they write of it is compared.
bool trapped_alike(const Step& s, Csr epc) {
    return s.ours.pc == s.theirs.pc && s.ours.priv == s.theirs.priv && s.ours[epc] == s.before.pc && s.their(epc) == s.before.pc && s.ours.pc != s.before.pc;
}

/// Section 15.6.3: xtinst may be zero, but for a guest-page fault of an implicit access. QEMU 7.2 transforms few instructions.
bool may_be_zero(u64 transformed) {
    constexpr u64 kPseudoRead = 0x3000, kPseudoWrite = 0x3020;
    return transformed != kPseudoRead && transformed != kPseudoWrite;
}

void amend_trap(Step& s) {
    const bool machine = s.ours.priv == 3;
    const Csr cause_csr = machine ? Csr::mcause : Csr::scause, value_csr = machine ? Csr::mtval : Csr::stval;
    if (!trapped_alike(s, machine ? Csr::mepc : Csr::sepc)) return;
    const InstructionRow& r = row(s.insn.op);
    const u64 cause = s.ours[cause_csr], value = s.ours[value_csr];
    const auto is = [&](std::initializer_list<Cause> causes) {
        return std::ranges::any_of(causes, [&](Cause one) { return cause == static_cast<u64>(one); });
    };
    const Csr address_csr = machine ? Csr::mstatus : Csr::hstatus;
    const u64 guest_address = machine ? mstatus::GVA : hstatus::GVA;
    // Section 3.1.16: for a breakpoint, xtval is zero or the address. QEMU 7.2 writes zero, which is no guest's address either.
    if (s.insn.op == Op::ebreak && is({Cause::Breakpoint}) && value == s.before.pc && s.their(value_csr) == 0) {
        s.amend(value_csr, s.before.pc);
        if (!s.ours.virt) s.amend_bits(address_csr, guest_address);
    }
    const bool refused = is({Cause::IllegalInstruction, Cause::VirtualInstruction});
    // Section 3.1.16: for an illegal or virtual instruction, xtval is zero or its bits. QEMU 7.2 has lost those of these extensions.
    const bool invalidates = r.extension == Extension::Svinval || s.insn.op == Op::hinval_vvma || s.insn.op == Op::hinval_gvma;
    if (refused && invalidates && s.their(value_csr) == 0) s.amend(value_csr, s.word);
    // ... and leaves those of an earlier instruction for these.
    if (refused && (r.format == Format::HLoad || r.format == Format::HStore)) s.amend(value_csr, s.word);
    // Section 15.6.1: what HS-mode could do is a virtual instruction in VU-mode. QEMU 7.2 has it illegal.
    if (is({Cause::VirtualInstruction}) && s.before.mode() == PrivMode{Priv::U, true} && s.their(cause_csr) == static_cast<u64>(Cause::IllegalInstruction))
        s.amend(cause_csr, cause);
    // ... but wfi is illegal there when TW is set. QEMU 7.2 has it virtual.
    if (s.insn.op == Op::wfi && is({Cause::IllegalInstruction}) && s.their(cause_csr) == static_cast<u64>(Cause::VirtualInstruction)) s.amend(cause_csr, cause);
    // Section 15.4.1: GVA says whether mtval holds a guest virtual address. QEMU 7.2 looks at whether V was 1 and mtval is not zero, as if the
    // bits of an instruction were an address and MPRV could not name a guest, and never clears it.
    if (machine && (!(s.ours[Csr::mstatus] & mstatus::GVA) || !s.before.virt)) s.amend_bits(Csr::mstatus, mstatus::GVA);
    if (is_page_fault_of_guest(r, s.before, cause, s.their(cause_csr))) s.amend(cause_csr, cause);
    // Section 15.2.1: hstatus.GVA is written by a trap into HS-mode. QEMU 7.2 clears it by one into VS-mode as well.
    if (s.ours.virt) s.amend_bits(Csr::hstatus, hstatus::GVA);
    // Section 15.2.2: the numbers of a guest's interrupts are one less to itself. QEMU 7.2 does so to exceptions of the same numbers.
    if (s.ours.virt && is({Cause::IllegalInstruction, Cause::StoreMisaligned}) && s.their(cause_csr) == cause - 1) s.amend(cause_csr, cause);
    if (machine && may_be_zero(s.ours[Csr::mtinst]) && s.their(Csr::mtinst) == 0) s.amend(Csr::mtinst, s.ours[Csr::mtinst]);
    // Section 14.4: AMOs raise store/AMO exceptions, never load exceptions. In QEMU 7.2 the load of an AMO may notice first.
    const bool their_load = s.their(cause_csr) == 4 || s.their(cause_csr) == 5 || s.their(cause_csr) == 13 || s.their(cause_csr) == 21;
    if (r.format == Format::Amo && their_load && is({Cause::StoreMisaligned, Cause::StoreAccess, Cause::StorePageFault, Cause::StoreGuestPageFault})) {
        s.amend(cause_csr, cause);
        if (!s.ours.virt) s.amend_bits(machine ? Csr::mtval2 : Csr::htval, ~u64{0}); // and so may be its address
    }
    // Section 3.1.16: the address is that of the portion that faulted. QEMU 7.2 splits a misaligned access in two aligned ones.
    const u64 their_value = s.their(value_csr);
    if (is({Cause::LoadAccess, Cause::StoreAccess}) && cause == s.their(cause_csr) && their_value < value && value - their_value < 8) s.amend(value_csr, value);
}

} // namespace

void hide_what_cannot_be_written(const HartView& before, const HartView& ours, HartView& theirs) {
    const bool trapped = ours.mode() == PrivMode{Priv::S, false} && ours[Csr::sepc] == before.pc && ours.pc == (ours[Csr::stvec] & ~u64{3});
    const bool zero = may_be_zero(ours[Csr::htinst]) && theirs[Csr::htinst] == 0;
    theirs.hidden[compared_index(Csr::htinst)] = !trapped || zero;
}

bool parts(u32 word, const HartView& before, const HartView& ours, const HartView& theirs) {
    if (ours.pc == theirs.pc && ours.priv == theirs.priv) return false;
    const u64 mine = trap_cause(ours), other = trap_cause(theirs);
    const auto is = [](u64 cause, std::initializer_list<Cause> causes) {
        return std::ranges::any_of(causes, [&](Cause one) { return cause == static_cast<u64>(one); });
    };
    const InstructionRow& r = row(decode(word).op);
    // Section 15.6.1 again, where VS-mode has illegal instructions delegated (with a cause that is one less): the two causes lead to different modes.
    const bool illegal = is(other, {Cause::IllegalInstruction, Cause::InstructionAccess});
    if (before.mode() == PrivMode{Priv::U, true} && is(mine, {Cause::VirtualInstruction}) && illegal) return true;
    if (before.mode() == PrivMode{Priv::U, true} && is(mine, {Cause::IllegalInstruction}) && is(other, {Cause::VirtualInstruction})) return true;
    // Section 15.4.1: TSR and TVM are for HS-mode, not for VS-mode. QEMU 7.2 refuses both.
    const bool machine_refuses = before[Csr::mstatus] & (r.gate == Gate::Tsr ? mstatus::TSR : mstatus::TVM);
    if (before.mode() == PrivMode{Priv::S, true} && machine_refuses && illegal) return true;
    // Section 15.3.1: hlv and hsv obey vsstatus.SUM. QEMU 7.2 does as if it were set.
    const bool in_guest = r.format == Format::HLoad || r.format == Format::HStore;
    if (in_guest && before[Csr::hstatus] & hstatus::SPVP && !(before[Csr::vsstatus] & mstatus::SUM) && is(mine, {Cause::LoadPageFault, Cause::StorePageFault}))
        return true;
    if (is_page_fault_of_guest(r, before, mine, other)) return true;
    // ... and hlvx needs pages that may be executed, in both stages. To QEMU 7.2 it is a load like others.
    const Op op = decode(word).op;
    if (op == Op::hlvx_hu || op == Op::hlvx_wu) return true;
    // Section 14.4 again, where the two causes lead to different modes.
    return r.format == Format::Amo && is(mine, {Cause::StoreAccess, Cause::StorePageFault, Cause::StoreGuestPageFault}) &&
           is(other, {Cause::LoadAccess, Cause::LoadPageFault, Cause::LoadGuestPageFault});
}

std::vector<Amendment> amendments(u32 word, const HartView& before, const HartView& ours, const HartView& theirs) {
    if (theirs.detail != Detail::All) return {};
    Step step{word, decode(word), before, ours, theirs, {}};
    amend_values(step);
    amend_trap(step);
    return std::move(step.list);
}

} // namespace trapeze::lockstep
