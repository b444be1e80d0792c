// Reading and writing CSRs: who may (rows and gates), views, and fields that refuse values (WARL). The table is isa/csrs.def.
#include "emulator/cpu/exec.hpp"

namespace trapeze {

namespace {

constexpr u64 kSupervisorIrqs = irq_bit(Irq::Ssi) | irq_bit(Irq::Sti) | irq_bit(Irq::Sei);
constexpr unsigned kPmpEntries = 16;

constexpr u64 misa_value() {
    u64 value = u64{2} << 62; // MXL: 64 bits
    for (char letter : {'A', 'C', 'D', 'F', 'I', 'M', 'S', 'U'}) value |= u64{1} << (letter - 'A');
    return value;
}

u64 status_with_derived(u64 stored) {
    const u64 fixed = (stored & ~(mstatus::UXL | mstatus::SXL)) | u64{2} << 32 | u64{2} << 34;
    return get_field(stored, mstatus::FS) == 3 ? fixed | mstatus::SD : fixed;
}

/// The counter that a user-level CSR shows, as a bit of xcounteren.
constexpr unsigned counter_bit(u16 number) { return number & 31; }

bool counter_traps(const HartState& s, u16 number) {
    if (s.priv == Priv::M) return false;
    if (!bit(s[Csr::mcounteren], counter_bit(number))) return true;
    return s.priv == Priv::U && !bit(s[Csr::scounteren], counter_bit(number));
}

bool gate_closed(const HartState& s, Gate gate, u16 number) {
    switch (gate) {
    case Gate::None: case Gate::Mcfg: return false;
    case Gate::Fs: return (s[Csr::mstatus] & mstatus::FS) == 0;
    case Gate::Tvm: return s.priv == Priv::S && s[Csr::mstatus] & mstatus::TVM;
    case Gate::Tw: return s.priv != Priv::M && s[Csr::mstatus] & mstatus::TW;
    case Gate::Tsr: return s.priv == Priv::S && s[Csr::mstatus] & mstatus::TSR;
    case Gate::Counter: return counter_traps(s, number);
    case Gate::Stce:
        return s.priv != Priv::M && (!(s[Csr::menvcfg] & menvcfg::STCE) || !bit(s[Csr::mcounteren], 1));
    }
    return false;
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

u64 legal_tvec(u64 old, u64 value) { return bits(value, 1, 0) >= 2 ? old : value; }

} // namespace

bool Hart::instruction_traps(Op op) const {
    const InstructionRow& r = row(op);
    return state.priv < r.lowest || gate_closed(state, r.gate, 0);
}

bool Hart::csr_access_traps(u16 number, bool write) const {
    const CsrRow* r = csr_row(number);
    return !r || state.priv < csr_lowest_priv(number) || (write && csr_read_only(number)) || gate_closed(state, r->gate, number);
}

u64 Hart::mip(Bus& bus) const {
    u64 pending = state[Csr::mip] | bus.board.lines(id_, ticks_of(state.cycles));
    if (state[Csr::menvcfg] & menvcfg::STCE) {
        pending &= ~irq_bit(Irq::Sti);
        if (ticks_of(state.cycles) >= state[Csr::stimecmp]) pending |= irq_bit(Irq::Sti);
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
    case Csr::misa: return misa_value();
    case Csr::fflags: return bits(s[Csr::fcsr], 4, 0);
    case Csr::frm: return bits(s[Csr::fcsr], 7, 5);
    case Csr::mstatus: return status_with_derived(s[Csr::mstatus]);
    case Csr::sstatus: return status_with_derived(s[Csr::mstatus]) & (r->write_mask | mstatus::UXL | mstatus::SD);
    case Csr::mip: return mip(bus);
    case Csr::sip: return mip(bus) & s[Csr::mideleg] & kSupervisorIrqs;
    case Csr::sie: return s[Csr::mie] & s[Csr::mideleg] & kSupervisorIrqs;
    case Csr::time: return ticks_of(s.cycles);
    case Csr::cycle: case Csr::mcycle: return bit(s[Csr::mcountinhibit], 0) ? s[Csr::mcycle] : s.cycles + s.cycles_offset;
    case Csr::instret: case Csr::minstret: return bit(s[Csr::mcountinhibit], 2) ? s[Csr::minstret] : s.retired + s.retired_offset;
    default: return s.csrs[r->slot];
    }
}

void Hart::write_csr(u16 number, u64 value, Bus& bus) {
    const CsrRow* r = csr_row(number);
    if (!r || r->kind == CsrKind::Constant) return;
    HartState& s = state;
    u64& stored = s.csrs[r->slot];
    const u64 merged = (stored & ~r->write_mask) | (value & r->write_mask);
    if (r->kind == CsrKind::Stored) {
        if (r->csr == Csr::mcountinhibit) { // a counter that stops keeps its value in its slot; one that starts goes on from it
            const u64 was = stored;
            const u64 cycles = read_csr(Csr::mcycle, bus), retired = read_csr(Csr::minstret, bus);
            if (!bit(was, 0) && bit(merged, 0)) s[Csr::mcycle] = cycles;
            if (!bit(was, 2) && bit(merged, 2)) s[Csr::minstret] = retired;
            if (bit(was, 0) && !bit(merged, 0)) s.cycles_offset = cycles - s.cycles;
            if (bit(was, 2) && !bit(merged, 2)) s.retired_offset = retired - s.retired;
        }
        if (r->csr == Csr::menvcfg && merged != stored) flush_translations();
        stored = merged;
        return;
    }
    switch (r->csr) {
    case Csr::fflags: s[Csr::fcsr] = (s[Csr::fcsr] & ~u64{0x1f}) | (value & 0x1f), s[Csr::mstatus] |= mstatus::FS; break;
    case Csr::frm: s[Csr::fcsr] = (s[Csr::fcsr] & 0x1f) | (value & 7) << 5, s[Csr::mstatus] |= mstatus::FS; break;
    case Csr::fcsr: stored = value & 0xff, s[Csr::mstatus] |= mstatus::FS; break;
    case Csr::mstatus: case Csr::sstatus: s[Csr::mstatus] = legal_mstatus(s[Csr::mstatus], value, r->write_mask); break;
    case Csr::mip: case Csr::sip: {
        u64 mask = r->write_mask;
        if (r->csr == Csr::sip) mask &= s[Csr::mideleg];
        if (s[Csr::menvcfg] & menvcfg::STCE) mask &= ~irq_bit(Irq::Sti);
        s[Csr::mip] = (s[Csr::mip] & ~mask) | (value & mask);
        break;
    }
    case Csr::sie: {
        const u64 mask = s[Csr::mideleg] & kSupervisorIrqs;
        s[Csr::mie] = (s[Csr::mie] & ~mask) | (value & mask);
        break;
    }
    case Csr::mtvec: case Csr::stvec: stored = legal_tvec(stored, value); break;
    case Csr::stimecmp: stored = value; break;
    case Csr::satp: {
        const u64 mode = get_field(value, satp::MODE);
        if (mode != satp::kBare && mode != satp::kSv39) return; // not written at all (section 10.1.11)
        if (stored != value) flush_translations();
        stored = value;
        break;
    }
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
        }
    }
}

Flow Exec::csr(CsrOp op, u64 operand) {
    const u16 number = static_cast<u16>(d->imm);
    const bool writes = op == CsrOp::Write || d->rs1 != 0;
    if (hart.csr_access_traps(number, writes)) return illegal();
    const CsrRow& r = *csr_row(number);
    sync();
    if (r.gate == Gate::Fs) {
        accrue(fpu::host_flags());
        fpu::clear_host_flags();
    }
    const bool reads = op != CsrOp::Write || d->rd != 32;
    const u64 old = reads ? hart.read_csr(number, bus) : 0;
    if (writes) {
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
    return writes ? Flow::Leave : Flow::Next;
}

} // namespace trapeze
