// Hart: construction, trap delivery and return. deliver() is the one function that decides where a trap goes.
#include "emulator/cpu/hart.hpp"
#include "emulator/cpu/exec.hpp"

namespace trapeze {

Hart::Hart(u32 id) : id_(id), cache_(std::make_unique<HartCache>()) { reset(0); }
Hart::Hart(const Hart& other) : state(other.state), seats(other.seats), id_(other.id_), cache_(std::make_unique<HartCache>()) {}
Hart& Hart::operator=(const Hart& other) {
    if (this == &other) return *this;
    state = other.state;
    seats = other.seats;
    id_ = other.id_;
    cache_ = std::make_unique<HartCache>();
    return *this;
}
Hart::Hart(Hart&&) noexcept = default;
Hart& Hart::operator=(Hart&&) noexcept = default;
Hart::~Hart() = default;

void Hart::reset(u64 pc) {
    state = HartState{};
    state.pc = pc;
    state[Csr::stimecmp] = ~u64{0};
    state[Csr::menvcfg] = menvcfg::ADUE; // accessed and dirty bits are the hardware's, as on QEMU virt
    if (cache_) cache_->flush_all();
}

void Hart::flush_translations() { cache_->flush_translations(); }
void Hart::flush_all() { cache_->flush_all(); }

namespace {

Event hart_event(const Hart& hart, const Bus& bus, EventKind kind) {
    Event event{.time = hart.state.cycles, .pc = hart.state.pc, .kind = kind};
    event.hart = hart.id() & 7;
    event.tag = bus.trace_tag & 31;
    event.from = event.to = static_cast<u8>(hart.state.priv) & 3;
    return event;
}

u64 vector_address(u64 tvec, const Trap& trap) {
    const u64 base = tvec & ~u64{3};
    return trap.is_interrupt() && bits(tvec, 1, 0) == 1 ? base + 4 * trap.code() : base;
}

} // namespace

Trap Hart::deliver(Trap trap, Bus& bus) {
    HartState& s = state;
    trap.from = s.priv;
    const u64 delegated = trap.is_interrupt() ? s[Csr::mideleg] : s[Csr::medeleg];
    trap.to = s.priv != Priv::M && trap.code() < 64 && bit(delegated, static_cast<unsigned>(trap.code())) ? Priv::S : Priv::M;

    Event event = hart_event(*this, bus, EventKind::TrapTaken);
    event.pc = trap.epc;
    event.a = trap.tval;
    event.detail = pack_cause(trap.cause);
    event.to = static_cast<u8>(trap.to) & 3;
    bus.trace.add(event);

    u64 status = s[Csr::mstatus];
    const u64 from = static_cast<u64>(trap.from);
    if (trap.to == Priv::S) {
        s[Csr::scause] = trap.cause, s[Csr::sepc] = trap.epc, s[Csr::stval] = trap.tval;
        status = set_field(status, mstatus::SPIE, get_field(status, mstatus::SIE));
        status = set_field(status, mstatus::SPP, from);
        status &= ~mstatus::SIE;
        s.pc = vector_address(s[Csr::stvec], trap);
    } else {
        s[Csr::mcause] = trap.cause, s[Csr::mepc] = trap.epc, s[Csr::mtval] = trap.tval;
        status = set_field(status, mstatus::MPIE, get_field(status, mstatus::MIE));
        status = set_field(status, mstatus::MPP, from);
        status &= ~mstatus::MIE;
        s.pc = vector_address(s[Csr::mtvec], trap);
    }
    s[Csr::mstatus] = status;
    s.priv = trap.to;
    s.waiting = false;
    return trap;
}

void Hart::return_from_trap(Priv level) {
    HartState& s = state;
    u64 status = s[Csr::mstatus];
    Priv to;
    if (level == Priv::S) {
        to = static_cast<Priv>(get_field(status, mstatus::SPP));
        status = set_field(status, mstatus::SIE, get_field(status, mstatus::SPIE)) | mstatus::SPIE;
        status &= ~mstatus::SPP;
        s.pc = s[Csr::sepc];
    } else {
        to = static_cast<Priv>(get_field(status, mstatus::MPP));
        status = set_field(status, mstatus::MIE, get_field(status, mstatus::MPIE)) | mstatus::MPIE;
        status &= ~mstatus::MPP;
        s.pc = s[Csr::mepc];
    }
    if (to != Priv::M) status &= ~mstatus::MPRV;
    s[Csr::mstatus] = status;
    s.priv = to;
}

u64 Hart::pending_interrupt(Bus& bus) {
    const HartState& s = state;
    const u64 ready = mip(bus) & s[Csr::mie];
    if (!ready) return 0;
    const u64 status = s[Csr::mstatus];
    const bool machine_open = s.priv != Priv::M || status & mstatus::MIE;
    const bool supervisor_open = s.priv == Priv::U || (s.priv == Priv::S && status & mstatus::SIE);
    u64 chosen = machine_open ? ready & ~s[Csr::mideleg] : 0; // interrupts for M-mode go first
    if (!chosen && s.priv != Priv::M && supervisor_open) chosen = ready & s[Csr::mideleg];
    for (Irq irq : {Irq::Mei, Irq::Msi, Irq::Mti, Irq::Sei, Irq::Ssi, Irq::Sti})
        if (chosen & irq_bit(irq)) return kInterruptBit | static_cast<u64>(irq);
    return 0;
}

// --- Privileged instructions ----------------------------------------------------------------------------------------------

namespace {

Flow leave_by_return(Exec& m, Priv level, const char* name) {
    m.sync();
    Event event = hart_event(m.hart, m.bus, EventKind::TrapReturn);
    event.pc = m.pc();
    m.hart.return_from_trap(level);
    event.a = m.s.pc;
    event.to = static_cast<u8>(m.s.priv) & 3;
    if (m.bus.trace.wants(EventKind::TrapReturn)) event.detail = m.bus.trace.text(name);
    m.bus.trace.add(event);
    m.target = m.s.pc;
    return Flow::LeaveTo;
}

} // namespace

Flow Exec::mret() { return leave_by_return(*this, Priv::M, "mret"); }
Flow Exec::sret() { return leave_by_return(*this, Priv::S, "sret"); }

Flow Exec::wfi() {
    sync();
    if (hart.mip(bus) & s[Csr::mie]) return Flow::Leave;
    s.waiting = true;
    Event event = hart_event(hart, bus, EventKind::WaitForInterrupt);
    event.pc = pc();
    bus.trace.add(event);
    return Flow::Leave;
}

Flow Exec::sfence_vma(u64 address, u64) {
    if (d->rs1) cache.flush_page(address);
    else cache.flush_translations();
    return Flow::Leave;
}

const char* cause_name(u64 cause) {
    if (cause & kInterruptBit) {
        switch (static_cast<Irq>(cause & 0xff)) {
        case Irq::Ssi: return "supervisor software interrupt";
        case Irq::Vssi: return "virtual supervisor software interrupt";
        case Irq::Msi: return "machine software interrupt";
        case Irq::Sti: return "supervisor timer interrupt";
        case Irq::Vsti: return "virtual supervisor timer interrupt";
        case Irq::Mti: return "machine timer interrupt";
        case Irq::Sei: return "supervisor external interrupt";
        case Irq::Vsei: return "virtual supervisor external interrupt";
        case Irq::Mei: return "machine external interrupt";
        case Irq::Sgei: return "supervisor guest external interrupt";
        }
        return "unknown interrupt";
    }
    switch (static_cast<Cause>(cause)) {
    case Cause::InstructionMisaligned: return "instruction address misaligned";
    case Cause::InstructionAccess: return "instruction access fault";
    case Cause::IllegalInstruction: return "illegal instruction";
    case Cause::Breakpoint: return "breakpoint";
    case Cause::LoadMisaligned: return "load address misaligned";
    case Cause::LoadAccess: return "load access fault";
    case Cause::StoreMisaligned: return "store address misaligned";
    case Cause::StoreAccess: return "store access fault";
    case Cause::EcallFromU: return "environment call from U-mode";
    case Cause::EcallFromS: return "environment call from S-mode";
    case Cause::EcallFromVs: return "environment call from VS-mode";
    case Cause::EcallFromM: return "environment call from M-mode";
    case Cause::InstructionPageFault: return "instruction page fault";
    case Cause::LoadPageFault: return "load page fault";
    case Cause::StorePageFault: return "store page fault";
    case Cause::InstructionGuestPageFault: return "instruction guest-page fault";
    case Cause::LoadGuestPageFault: return "load guest-page fault";
    case Cause::VirtualInstruction: return "virtual instruction";
    case Cause::StoreGuestPageFault: return "store guest-page fault";
    }
    return "unknown exception";
}

} // namespace trapeze
