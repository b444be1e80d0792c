// Reading and writing CSRs: who may (rows and gates), views, and fields that refuse values (WARL). The table is isa/csrs.def.
#include "emulator/cpu/exec.hpp"

namespace trapeze {

namespace {

constexpr u64 kSupervisorIrqs = irq_bit(Irq::Ssi) | irq_bit(Irq::Sti) | irq_bit(Irq::Sei);
constexpr u64 kGuestIrqs = irq_bit(Irq::Vssi) | irq_bit(Irq::Vsti) | irq_bit(Irq::Vsei);
constexpr unsigned kPmpEntries = 16;

u64 misa_value(const HartFeatures& features) {
    u64 value = u64{2} << 62; // MXL: 64 bits
    for (char letter : {'A', 'B', 'C', 'D', 'F', 'I', 'M', 'S', 'U'}) value |= u64{1} << (letter - 'A');
    return features.hypervisor ? value | u64{1} << ('H' - 'A') : value;
}

/// Registers that only a hart with the hypervisor extension has.
bool is_hypervisor_csr(u16 number) {
    return csr_lowest_priv(number) == Priv::Hs || number == static_cast<u16>(Csr::mtinst) || number == static_cast<u16>(Csr::mtval2);
}
/// Bits that a register has only with the hypervisor extension (section 15.4).
u64 hypervisor_bits(Csr csr) {
    switch (csr) {
    case Csr::mstatus: return mstatus::MPV | mstatus::GVA;
    case Csr::medeleg: return u64{0xf} << 20 | u64{1} << 10;
    case Csr::mie: case Csr::mip: return kGuestIrqs | irq_bit(Irq::Sgei);
    default: return 0;
    }
}

u64 status_with_derived(u64 stored) {
    const u64 fixed = (stored & ~(mstatus::UXL | mstatus::SXL)) | u64{2} << 32 | u64{2} << 34;
    return get_field(stored, mstatus::FS) == 3 ? fixed | mstatus::SD : fixed;
}

/// The counter that a user-level CSR shows, as a bit of xcounteren.
constexpr unsigned counter_bit(u16 number) { return number & 31; }

/// How an access or instruction is refused: not at all, as illegal, or as one that a hypervisor is to emulate (section 15.6.1).
enum class Refusal : u8 { None, Illegal, Virtual };

Refusal counter_refusal(const HartState& s, PrivMode mode, u16 number) {
    const unsigned index = counter_bit(number);
    if (mode.priv == Priv::M) return Refusal::None;
    if (!bit(s[Csr::mcounteren], index)) return Refusal::Illegal;
    if (mode.virt && !bit(s[Csr::hcounteren], index)) return Refusal::Virtual;
    if (mode.priv == Priv::U && !bit(s[Csr::scounteren], index)) return mode.virt ? Refusal::Virtual : Refusal::Illegal;
    return Refusal::None;
}

Refusal timer_refusal(const HartState& s, PrivMode mode) {
    constexpr unsigned kTime = 1; // its bit in xcounteren
    if (mode.priv == Priv::M) return Refusal::None;
    if (!(s[Csr::menvcfg] & menvcfg::STCE) || !bit(s[Csr::mcounteren], kTime)) return Refusal::Illegal;
    const bool open = !mode.virt || (s[Csr::henvcfg] & menvcfg::STCE && bit(s[Csr::hcounteren], kTime));
    return open ? Refusal::None : Refusal::Virtual;
}

/// What xenvcfg of every more privileged mode must allow (cache-management operations, CSR controls).
Refusal environment_refusal(const HartState& s, PrivMode mode, u64 field) {
    if (mode.priv == Priv::M) return Refusal::None;
    if (!(s[Csr::menvcfg] & field)) return Refusal::Illegal;
    if (mode.virt && !(s[Csr::henvcfg] & field)) return Refusal::Virtual;
    if (mode.priv == Priv::U && !(s[Csr::senvcfg] & field)) return mode.virt ? Refusal::Virtual : Refusal::Illegal;
    return Refusal::None;
}

/// State that mstateen opens to lower modes and hstateen, of the same place, to guests (Smstateen). No state of the hart is U-mode's to be closed.
Refusal state_refusal(const HartState& s, PrivMode mode, unsigned place, u64 state) {
    if (mode.priv == Priv::M) return Refusal::None;
    if (!(s.csrs[slot(Csr::mstateen0) + place] & state)) return Refusal::Illegal;
    return mode.virt && !(s.csrs[slot(Csr::hstateen0) + place] & state) ? Refusal::Virtual : Refusal::None;
}

/// A bit of mstatus closes S-mode, its counterpart in hstatus VS-mode.
Refusal status_refusal(const HartState& s, PrivMode mode, u64 machine_bit, u64 hypervisor_bit) {
    if (mode.priv != Priv::S) return Refusal::None;
    if (mode.virt) return s[Csr::hstatus] & hypervisor_bit ? Refusal::Virtual : Refusal::None;
    return s[Csr::mstatus] & machine_bit ? Refusal::Illegal : Refusal::None;
}

Refusal gate_refusal(const HartState& s, PrivMode mode, Gate gate, u16 number) {
    switch (gate) {
    case Gate::None: case Gate::Mcfg: return Refusal::None;
    case Gate::Fs: return fs_off(s) ? Refusal::Illegal : Refusal::None;
    case Gate::Tvm: return status_refusal(s, mode, mstatus::TVM, hstatus::VTVM);
    case Gate::Tw:
        if (mode.priv != Priv::M && s[Csr::mstatus] & mstatus::TW) return Refusal::Illegal;
        return mode.virt && s[Csr::hstatus] & hstatus::VTW ? Refusal::Virtual : Refusal::None;
    case Gate::Tsr: return status_refusal(s, mode, mstatus::TSR, hstatus::VTSR);
    case Gate::Hu:
        if (mode.virt) return Refusal::Virtual;
        return mode.priv == Priv::U && !(s[Csr::hstatus] & hstatus::HU) ? Refusal::Illegal : Refusal::None;
    case Gate::Counter: return counter_refusal(s, mode, number);
    case Gate::Stce: return timer_refusal(s, mode);
    case Gate::Cbie: return environment_refusal(s, mode, envcfg::CBIE);
    case Gate::Cbcfe: return environment_refusal(s, mode, envcfg::CBCFE);
    case Gate::Cbze: return environment_refusal(s, mode, envcfg::CBZE);
    case Gate::StateEnable: return state_refusal(s, mode, bits(number, 1, 0), stateen::SE);
    case Gate::Environment: return state_refusal(s, mode, 0, stateen::ENVCFG);
    }
    return Refusal::None;
}

/// Privilege first, then the gate. What a guest may not do but HS-mode could (were TVM and TSR 0) is the hypervisor's to emulate.
Refusal refusal(const HartState& s, Priv lowest, Gate gate, u16 number) {
    const Priv needed = lowest == Priv::Hs ? Priv::S : lowest;
    const bool enough = s.priv >= needed && !(s.virt && lowest == Priv::Hs);
    if (enough) return gate_refusal(s, s.mode(), gate, number);
    if (!s.virt || lowest == Priv::M) return Refusal::Illegal;
    if (gate == Gate::Tvm || gate == Gate::Tsr) return Refusal::Virtual;
    return gate_refusal(s, {Priv::S, false}, gate, number) == Refusal::None ? Refusal::Virtual : Refusal::Illegal;
}

std::optional<Cause> cause_of(Refusal refused) {
    if (refused == Refusal::None) return std::nullopt;
    return refused == Refusal::Illegal ? Cause::IllegalInstruction : Cause::VirtualInstruction;
}

bool pmp_locked(const HartState& s, unsigned entry) {
    const Csr config = entry < 8 ? Csr::pmpcfg0 : Csr::pmpcfg2;
    return s[config] >> (entry % 8 * 8 + 7) & 1;
}

u64 write_pmp_config(const HartState& s, unsigned first_entry, u64 old, u64 value) {
    u64 result = 0;
    for (unsigned i = 0; i < 8; ++i) {
        u64 byte = value >> (8 * i) & 0x9f;
        if ((byte & 3) == 2) byte &= ~u64{3}; // W without R is reserved
        if (pmp_locked(s, first_entry + i)) byte = old >> (8 * i) & 0xff;
        result |= byte << (8 * i);
    }
    return result;
}

bool pmp_address_locked(const HartState& s, unsigned entry) {
    if (pmp_locked(s, entry)) return true;
    if (entry + 1 >= kPmpEntries || !pmp_locked(s, entry + 1)) return false;
    const Csr config = entry + 1 < 8 ? Csr::pmpcfg0 : Csr::pmpcfg2;
    return bits(s[config] >> ((entry + 1) % 8 * 8), 4, 3) == 1; // the base of a locked TOR range
}

u64 legal_mstatus(u64 old, u64 value, u64 mask) {
    u64 merged = (old & ~mask) | (value & mask);
    if (get_field(merged, mstatus::MPP) == 2) merged = set_field(merged, mstatus::MPP, 0);
    return merged;
}

/// CBIE has a reserved value, which a write does not change it to.
u64 legal_environment(u64 old, u64 value) {
    return get_field(value, envcfg::CBIE) == 2 ? (value & ~envcfg::CBIE) | (old & envcfg::CBIE) : value;
}

/// Registers that keep what is written and nothing more: no interrupt, translation or time depends on them.
bool only_records(Csr csr) {
    switch (csr) {
    case Csr::sscratch: case Csr::sepc: case Csr::scause: case Csr::stval:
    case Csr::vsscratch: case Csr::vsepc: case Csr::vscause: case Csr::vstval:
    case Csr::mscratch: case Csr::mepc: case Csr::mcause: case Csr::mtval: return true;
    default: return false;
    }
}

u64 legal_tvec(u64 old, u64 value) { return bits(value, 1, 0) >= 2 ? old : value; }

} // namespace

std::optional<Cause> Hart::instruction_fault(Op op) const {
    const InstructionRow& r = row(op);
    if (r.extension == Extension::H && !features_.hypervisor) return Cause::IllegalInstruction;
    return cause_of(refusal(state, r.lowest, r.gate, 0));
}

std::optional<Cause> Hart::csr_fault(u16 number, bool write) const {
    const CsrRow* r = csr_row(number);
    if (!r || (write && csr_read_only(number)) || (is_hypervisor_csr(number) && !features_.hypervisor)) return Cause::IllegalInstruction;
    return cause_of(refusal(state, csr_lowest_priv(number), r->gate, number));
}

bool Hart::csr_silent(u16 number, bool read, bool write) const {
    if (!features_.silent || state.priv != Priv::U) return false;
    const auto is_silent = [&](SilentAccess access) {
        for (unsigned i = 0; i < static_cast<unsigned>(SilentOp::Count); ++i) {
            const SilentRow& r = silent_row(static_cast<SilentOp>(i));
            if (features_.silent >> i & 1 && static_cast<u16>(r.csr) == number && r.access == access) return true;
        }
        return false;
    };
    return (!read || is_silent(SilentAccess::Read)) && (!write || is_silent(SilentAccess::Write));
}

u16 Hart::csr_in_mode(u16 number) const {
    if (!state.virt) return number;
    switch (static_cast<Csr>(number)) {
    case Csr::sstatus: case Csr::sie: case Csr::stvec: case Csr::sscratch: case Csr::sepc: case Csr::scause: case Csr::stval: case Csr::sip:
    case Csr::stimecmp: case Csr::satp: return static_cast<u16>(number + 0x100);
    default: return number;
    }
}

u64 Hart::mip(Bus& bus) const {
    const u64 now = ticks_of(state.cycles);
    u64 pending = state[Csr::mip] | state[Csr::hvip] | bus.lines(id_, state.cycles);
    if (state[Csr::menvcfg] & menvcfg::STCE) {
        pending &= ~irq_bit(Irq::Sti);
        if (now >= state[Csr::stimecmp]) pending |= irq_bit(Irq::Sti);
        if (state[Csr::henvcfg] & menvcfg::STCE && now + state[Csr::htimedelta] >= state[Csr::vstimecmp]) pending |= irq_bit(Irq::Vsti);
    }
    return pending;
}

u64 Hart::read_csr(u16 number, Bus& bus) const {
    const CsrRow* r = csr_row(number);
    if (!r) return 0;
    const HartState& s = state;
    if (r->kind == CsrKind::Stored) return s.csrs[r->slot];
    switch (r->csr) {
    case Csr::mhartid: return id_;
    case Csr::misa: return misa_value(features_);
    case Csr::fflags: return bits(s[Csr::fcsr], 4, 0);
    case Csr::frm: return bits(s[Csr::fcsr], 7, 5);
    case Csr::mstatus: return status_with_derived(s[Csr::mstatus]);
    case Csr::sstatus: return status_with_derived(s[Csr::mstatus]) & (r->write_mask | mstatus::UXL | mstatus::SD);
    case Csr::vsstatus: return status_with_derived(s[Csr::vsstatus]) & (r->write_mask | mstatus::UXL | mstatus::SD);
    case Csr::hstatus: return (s[Csr::hstatus] & ~hstatus::VSXL) | u64{2} << 32;
    case Csr::mip: return mip(bus);
    case Csr::sip: return mip(bus) & s[Csr::mideleg] & kSupervisorIrqs;
    case Csr::sie: return s[Csr::mie] & s[Csr::mideleg] & kSupervisorIrqs;
    case Csr::hip: return mip(bus) & (kGuestIrqs | irq_bit(Irq::Sgei));
    case Csr::hie: return s[Csr::mie] & (kGuestIrqs | irq_bit(Irq::Sgei));
    case Csr::vsip: return (mip(bus) & s[Csr::hideleg] & kGuestIrqs) >> 1;
    case Csr::vsie: return (s[Csr::mie] & s[Csr::hideleg] & kGuestIrqs) >> 1;
    // What menvcfg does not grant reads as not granted here.
    case Csr::henvcfg: return s[Csr::henvcfg] & ~(~s[Csr::menvcfg] & (menvcfg::STCE | menvcfg::PBMTE | menvcfg::ADUE));
    case Csr::hstateen0: case Csr::hstateen1: case Csr::hstateen2: case Csr::hstateen3: // what mstateen does not open reads as closed here
        return s.csrs[r->slot] & s.csrs[slot(Csr::mstateen0) + bits(number, 1, 0)];
    case Csr::time: return ticks_of(s.cycles) + (s.virt ? s[Csr::htimedelta] : 0);
    case Csr::cycle: case Csr::mcycle: return bit(s[Csr::mcountinhibit], 0) ? s[Csr::mcycle] : s.cycles + s.cycles_offset;
    case Csr::instret: case Csr::minstret: return bit(s[Csr::mcountinhibit], 2) ? s[Csr::minstret] : s.retired + s.retired_offset;
    default: return s.csrs[r->slot];
    }
}

/// A counter that stops keeps its value in its slot; one that starts goes on from it.
void Hart::inhibit_counters(u64 value, Bus& bus) {
    HartState& s = state;
    const u64 was = s[Csr::mcountinhibit], cycles = read_csr(Csr::mcycle, bus), retired = read_csr(Csr::minstret, bus);
    if (!bit(was, 0) && bit(value, 0)) s[Csr::mcycle] = cycles;
    if (!bit(was, 2) && bit(value, 2)) s[Csr::minstret] = retired;
    if (bit(was, 0) && !bit(value, 0)) s.cycles_offset = cycles - s.cycles;
    if (bit(was, 2) && !bit(value, 2)) s.retired_offset = retired - s.retired;
    s[Csr::mcountinhibit] = value;
}

/// A register that selects a table keeps its value when the mode is not one that the hart has (sections 10.1.11, 15.2.10, 15.2.18).
void Hart::write_translation(Csr csr, u64 value) {
    const u64 mode = get_field(value, satp::MODE);
    const unsigned levels = satp::levels(value);
    if (mode != satp::kBare && (!levels || levels > features_.paging_levels)) return;
    u64& stored = state[csr];
    if (stored == value) return;
    stored = value;
    flush_translations();
}

/// Interrupt bits: pending ones that software may set, and the views of enabled ones.
void Hart::write_interrupt_bits(Csr csr, u64 value, u64 mask) {
    HartState& s = state;
    const auto merge = [](u64& to, u64 bits, u64 among) { to = (to & ~among) | (bits & among); };
    switch (csr) {
    case Csr::mip: case Csr::sip:
        merge(s[Csr::hvip], value, csr == Csr::mip ? mask & irq_bit(Irq::Vssi) : 0);
        mask &= ~irq_bit(Irq::Vssi);
        if (csr == Csr::sip) mask &= s[Csr::mideleg];
        if (s[Csr::menvcfg] & menvcfg::STCE) mask &= ~irq_bit(Irq::Sti);
        return merge(s[Csr::mip], value, mask);
    case Csr::sie: return merge(s[Csr::mie], value, mask & s[Csr::mideleg]);
    case Csr::hie: return merge(s[Csr::mie], value, mask);
    case Csr::hip: return merge(s[Csr::hvip], value, mask);
    case Csr::vsip: return merge(s[Csr::hvip], value << 1, s[Csr::hideleg] & irq_bit(Irq::Vssi));
    case Csr::vsie: return merge(s[Csr::mie], value << 1, s[Csr::hideleg] & kGuestIrqs);
    default: return;
    }
}

void Hart::write_csr(u16 number, u64 value, Bus& bus) {
    const CsrRow* r = csr_row(number);
    if (!r || r->kind == CsrKind::Constant) return;
    HartState& s = state;
    u64& stored = s.csrs[r->slot];
    const u64 mask = features_.hypervisor ? r->write_mask : r->write_mask & ~hypervisor_bits(r->csr);
    const u64 merged = (stored & ~mask) | (value & mask);
    if (r->kind == CsrKind::Stored) return void(stored = merged);
    switch (r->csr) {
    case Csr::fflags: s[Csr::fcsr] = (s[Csr::fcsr] & ~u64{0x1f}) | (value & 0x1f), set_fs_dirty(s); break;
    case Csr::frm: s[Csr::fcsr] = (s[Csr::fcsr] & 0x1f) | (value & 7) << 5, set_fs_dirty(s); break;
    case Csr::fcsr: stored = value & 0xff, set_fs_dirty(s); break;
    case Csr::mstatus: case Csr::sstatus: s[Csr::mstatus] = legal_mstatus(s[Csr::mstatus], value, mask); break;
    case Csr::mip: case Csr::sip: case Csr::sie: case Csr::hie: case Csr::hip: case Csr::vsip: case Csr::vsie: write_interrupt_bits(r->csr, value, mask); break;
    case Csr::mtvec: case Csr::stvec: case Csr::vstvec: stored = legal_tvec(stored, value); break;
    case Csr::mcountinhibit: inhibit_counters(merged, bus); break;
    case Csr::menvcfg: case Csr::henvcfg: case Csr::senvcfg:
        if (merged != stored) flush_translations();
        stored = legal_environment(stored, merged);
        break;
    case Csr::hstateen0: case Csr::hstateen1: case Csr::hstateen2: case Csr::hstateen3: {
        const u64 open = s.csrs[slot(Csr::mstateen0) + bits(number, 1, 0)];
        stored = (stored & ~open) | (merged & open);
        break;
    }
    case Csr::satp: case Csr::vsatp: case Csr::hgatp: write_translation(r->csr, merged); break;
    // A counter written now reads back as written by the next instruction.
    case Csr::mcycle:
        s.cycles_offset = value - (s.cycles + 1);
        stored = value;
        break;
    case Csr::minstret:
        s.retired_offset = value - (s.retired + 1);
        stored = value;
        break;
    case Csr::pmpcfg0: stored = write_pmp_config(s, 0, stored, value), flush_translations(); break;
    case Csr::pmpcfg2: stored = write_pmp_config(s, 8, stored, value), flush_translations(); break;
    default:
        if (r->csr >= Csr::pmpaddr0 && r->csr <= Csr::pmpaddr15) {
            const unsigned entry = r->slot - static_cast<unsigned>(slot(Csr::pmpaddr0));
            if (!pmp_address_locked(s, entry)) stored = merged, flush_translations();
            break;
        }
        stored = merged;
    }
}

Flow Exec::csr(CsrOp op, u64 operand) {
    const bool writes = op == CsrOp::Write || d->rs1 != 0;
    const bool wanted = d->rd != 32, reads = op != CsrOp::Write || wanted;
    const auto fault = hart.csr_fault(static_cast<u16>(d->imm), writes);
    const bool silent = fault && hart.csr_silent(static_cast<u16>(d->imm), wanted, writes);
    if (fault && !silent) return refused(*fault);
    const u16 number = hart.csr_in_mode(static_cast<u16>(d->imm));
    const CsrRow& r = *csr_row(number);
    sync();
    if (r.gate == Gate::Fs) s[Csr::fcsr] |= fpu::HostFloats::take_flags(); // FS became dirty with the result that raised them
    const u64 old = reads ? hart.read_csr(number, bus) : 0;
    if (writes && !silent) {
        // Read-modify-write of pending bits works on the software bit, not on the wire (section 3.1.9).
        const bool pending = r.csr == Csr::mip || r.csr == Csr::sip;
        const u64 base = pending ? (old & ~irq_bit(Irq::Sei)) | (s[Csr::mip] & irq_bit(Irq::Sei)) : old;
        const u64 value = op == CsrOp::Write ? operand : op == CsrOp::Set ? base | operand : base & ~operand;
        hart.write_csr(number, value, bus);
        if (bus.trace.wants(EventKind::CsrWrite)) {
            Event event{.time = s.cycles, .pc = pc(), .a = value, .detail = bus.trace.text(r.name), .kind = EventKind::CsrWrite};
            event.hart = hart.id() & 7, event.tag = bus.trace_tag & 31, event.from = event.to = static_cast<u8>(s.priv) & 3;
            bus.trace.add(event);
        }
    }
    rd(old);
    return writes && !only_records(r.csr) ? Flow::Leave : Flow::Next;
}

} // namespace trapeze
