// Hart: construction, trap delivery and return. deliver() is the one function that decides where a trap goes.
#include "emulator/cpu/hart.hpp"
#include "emulator/cpu/exec.hpp"

#include <algorithm>

namespace trapeze {

namespace {
constexpr u64 kGuestIrqs = irq_bit(Irq::Vssi) | irq_bit(Irq::Vsti) | irq_bit(Irq::Vsei);
}

Hart::Hart(u32 id, HartFeatures features) : id_(id), features_(features), cache_(std::make_unique<HartCache>()) { reset(0); }
Hart::Hart(const Hart& other) : state(other.state), seats(other.seats), translations(other.translations), id_(other.id_), features_(other.features_), cache_(std::make_unique<HartCache>()) {}
Hart& Hart::operator=(const Hart& other) {
    if (this == &other) return *this;
    state = other.state;
    seats = other.seats;
    translations = other.translations;
    id_ = other.id_;
    features_ = other.features_;
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
    state[Csr::vstimecmp] = ~u64{0};
    state[Csr::henvcfg] = menvcfg::ADUE;
    if (features_.hypervisor) state[Csr::mideleg] = kGuestIrqs; // read-only ones (section 15.4.2)
    if (cache_) cache_->flush_all();
}

void Hart::flush_translations() {
    ++translations.flushes;
    cache_->flush_translations();
}
void Hart::flush_all() { cache_->flush_all(); }

namespace {

Event hart_event(const Hart& hart, const Bus& bus, EventKind kind) {
    Event event{.time = hart.state.cycles, .pc = hart.state.pc, .kind = kind};
    event.hart = hart.id() & 7;
    event.tag = bus.trace_tag & 31;
    event.set_from(hart.state.mode());
    event.set_to(hart.state.mode());
    return event;
}

u64 vector_address(u64 tvec, u64 cause) {
    const u64 base = tvec & ~u64{3};
    return cause & kInterruptBit && bits(tvec, 1, 0) == 1 ? base + 4 * (cause & ~kInterruptBit) : base;
}

/// The status register's stack of one: interrupt enable and previous privilege are pushed.
u64 push_status(u64 status, Priv to, Priv from) {
    const u64 ie = to == Priv::S ? mstatus::SIE : mstatus::MIE, previous_ie = to == Priv::S ? mstatus::SPIE : mstatus::MPIE;
    status = set_field(status, previous_ie, get_field(status, ie));
    return set_field(status, to == Priv::S ? mstatus::SPP : mstatus::MPP, static_cast<u64>(from)) & ~ie;
}

/// ... and popped; the previous privilege becomes the least.
u64 pop_status(u64 status, Priv level) {
    const u64 ie = level == Priv::S ? mstatus::SIE : mstatus::MIE, previous_ie = level == Priv::S ? mstatus::SPIE : mstatus::MPIE;
    status = set_field(status, ie, get_field(status, previous_ie)) | previous_ie;
    return status & ~(level == Priv::S ? mstatus::SPP : mstatus::MPP);
}

void take_into_guest(HartState& s, const Trap& trap) {
    // A guest knows its interrupts by the supervisor's numbers (section 15.2.2).
    const u64 cause = trap.is_interrupt() ? trap.cause - 1 : trap.cause;
    s[Csr::vscause] = cause, s[Csr::vsepc] = trap.epc, s[Csr::vstval] = trap.tval;
    s[Csr::vsstatus] = push_status(s[Csr::vsstatus], Priv::S, trap.from);
    s.pc = vector_address(s[Csr::vstvec], cause);
}

void take_into_supervisor(HartState& s, const Trap& trap) {
    s[Csr::scause] = trap.cause, s[Csr::sepc] = trap.epc, s[Csr::stval] = trap.tval;
    s[Csr::htval] = trap.tval2, s[Csr::htinst] = trap.tinst;
    u64& status = s[Csr::hstatus];
    status = set_field(status, hstatus::SPV, trap.from_virt);
    if (trap.from_virt) status = set_field(status, hstatus::SPVP, static_cast<u64>(trap.from));
    status = set_field(status, hstatus::GVA, trap.guest_address);
    s[Csr::mstatus] = push_status(s[Csr::mstatus], Priv::S, trap.from);
    s.pc = vector_address(s[Csr::stvec], trap.cause);
}

void take_into_machine(HartState& s, const Trap& trap) {
    s[Csr::mcause] = trap.cause, s[Csr::mepc] = trap.epc, s[Csr::mtval] = trap.tval;
    s[Csr::mtval2] = trap.tval2, s[Csr::mtinst] = trap.tinst;
    u64 status = push_status(s[Csr::mstatus], Priv::M, trap.from);
    status = set_field(status, mstatus::MPV, trap.from_virt);
    s[Csr::mstatus] = set_field(status, mstatus::GVA, trap.guest_address);
    s.pc = vector_address(s[Csr::mtvec], trap.cause);
}

} // namespace

Trap Hart::deliver(Trap trap, Bus& bus) {
    HartState& s = state;
    trap.from = s.priv, trap.from_virt = s.virt;
    if (!features_.hypervisor) trap.tval2 = trap.tinst = 0; // there are no registers for them
    const unsigned code = static_cast<unsigned>(std::min<u64>(trap.code(), 63));
    const auto delegated = [&](Csr exceptions, Csr interrupts) { return bit(s[trap.is_interrupt() ? interrupts : exceptions], code); };
    trap.to = s.priv != Priv::M && delegated(Csr::medeleg, Csr::mideleg) ? Priv::S : Priv::M;
    trap.to_virt = trap.to == Priv::S && s.virt && delegated(Csr::hedeleg, Csr::hideleg);

    Event event = hart_event(*this, bus, EventKind::TrapTaken);
    event.pc = trap.epc;
    event.a = trap.tval;
    event.detail = pack_cause(trap.cause);
    event.set_to({trap.to, trap.to_virt});
    bus.trace.add(event);

    if (trap.to == Priv::M) take_into_machine(s, trap);
    else if (trap.to_virt) take_into_guest(s, trap);
    else take_into_supervisor(s, trap);
    s.priv = trap.to, s.virt = trap.to_virt;
    s.waiting = false;
    return trap;
}

void Hart::return_from_trap(Priv level) {
    HartState& s = state;
    if (level == Priv::S && s.virt) { // the guest's own return: it stays in the guest
        u64& status = s[Csr::vsstatus];
        s.priv = static_cast<Priv>(get_field(status, mstatus::SPP));
        status = pop_status(status, Priv::S);
        s.pc = s[Csr::vsepc];
        return;
    }
    u64 status = s[Csr::mstatus];
    Priv to = static_cast<Priv>(get_field(status, level == Priv::S ? mstatus::SPP : mstatus::MPP));
    status = pop_status(status, level);
    if (level == Priv::S) {
        s.virt = s[Csr::hstatus] & hstatus::SPV;
        s[Csr::hstatus] &= ~hstatus::SPV;
        s.pc = s[Csr::sepc];
    } else {
        s.virt = status & mstatus::MPV && to != Priv::M;
        status &= ~mstatus::MPV;
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
    const auto open = [&](Priv level, u64 status, u64 enable) { return s.priv < level || (s.priv == level && status & enable); };
    const u64 to_supervisor = s[Csr::mideleg], to_guest = s[Csr::hideleg];
    // Interrupts for M-mode go first, then those for HS-mode, which is always open to a guest's, then the guest's own.
    u64 chosen = s.priv != Priv::M || s[Csr::mstatus] & mstatus::MIE ? ready & ~to_supervisor : 0;
    if (!chosen && s.priv != Priv::M && (s.virt || open(Priv::S, s[Csr::mstatus], mstatus::SIE))) chosen = ready & to_supervisor & ~to_guest;
    if (!chosen && s.virt && open(Priv::S, s[Csr::vsstatus], mstatus::SIE)) chosen = ready & to_supervisor & to_guest;
    for (Irq irq : {Irq::Mei, Irq::Msi, Irq::Mti, Irq::Sei, Irq::Ssi, Irq::Sti, Irq::Sgei, Irq::Vsei, Irq::Vssi, Irq::Vsti})
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
    event.set_to(m.s.mode());
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

void Exec::sfence_vma(u64 address, u64) { // of all address spaces: more than asked for is allowed
    ++hart.translations.flushes;
    if (d->rs1) cache.flush_page(address);
    else cache.flush_translations();
}

Flow Exec::hfence() {
    hart.flush_translations(); // of all guests: more than asked for is allowed
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
