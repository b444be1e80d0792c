// Hardware-assisted: the guest runs in VS- and VU-mode. It has supervisor registers of its own (vsstatus, vstvec, vsatp, ...), takes its
// own traps, and its addresses are translated twice, the second time through the G-stage tables of nested_paging.hpp. What is left for
// the VMM: calls to the firmware, devices, the first touch of a page, wfi, a few registers, and the machine's own interrupts.
//
// No hart can virtualize M-mode: a guest that has it (one without firmware) is interpreted while it is there, and runs on the hart in its
// other modes.
//
// Known inaccuracy: `cycle` and `instret` trap and show the virtual hart's counters, as under trap-and-emulate; a hypervisor on real
// hardware would often let the guest read the machine's.
#include "hypervisor-sim/exits.hpp"
#include "hypervisor-sim/vmm.hpp"

namespace trapeze::vmm {

namespace {

constexpr u64 kSupervisorIrqs = irq_bit(Irq::Ssi) | irq_bit(Irq::Sti) | irq_bit(Irq::Sei);
constexpr u64 kGuestStatus = mstatus::SIE | mstatus::SPIE | mstatus::SPP | mstatus::FS | mstatus::SUM | mstatus::MXR;
constexpr u64 kTimeCounter = u64{1} << 1; // the bit of xcounteren for `time`
constexpr u64 kXlen64 = 2;

/// Registers of VS-mode that stand in for the guest's of S-mode without any difference (section 15.2.11 and following).
struct Twin {
    Csr guest, real;
};
constexpr Twin kTwins[] = {{Csr::stvec, Csr::vstvec},   {Csr::sscratch, Csr::vsscratch}, {Csr::sepc, Csr::vsepc},
                           {Csr::scause, Csr::vscause}, {Csr::stval, Csr::vstval},       {Csr::scounteren, Csr::scounteren}};
constexpr Twin kStateEnables[] = {{Csr::mstateen0, Csr::hstateen0}, {Csr::mstateen1, Csr::hstateen1}, {Csr::mstateen2, Csr::hstateen2},
                                  {Csr::mstateen3, Csr::hstateen3}};

void merge(u64& to, u64 from, u64 among) { to = (to & ~among) | (from & among); }

/// Guest physical address of a guest-page fault (section 15.6.3): htval lacks the two lowest bits, which an explicit access's own
/// address has.
u64 faulting_address(const Trap& trap) { return trap.tval2 << 2 | (trap.tval & 3); }

/// The fault was an access to an entry of the guest's own tables: htinst holds a pseudo-instruction (table 15.9).
bool is_implicit(const Trap& trap) { return trap.tinst && !(trap.tinst & 1) && (trap.tinst & 0xfff) == 0; }

} // namespace

void Vmm::set_up_hypervisor_extension(Machine& machine) {
    Bus bus = machine.bus();
    machine.hart().write_csr(Csr::menvcfg, menvcfg::STCE | menvcfg::ADUE | menvcfg::PBMTE | envcfg::CBIE | envcfg::CBCFE | envcfg::CBZE, bus);
}

// --- Registers -----------------------------------------------------------------------------------------------------------------

void Vmm::load_guest_csrs(Machine& machine) {
    const HartState& v = vhart_.state;
    Hart& hart = machine.hart();
    HartState& real = hart.state;
    Bus bus = machine.bus();

    hart.write_csr(Csr::hedeleg, v[Csr::medeleg], bus);
    hart.write_csr(Csr::hideleg, (v[Csr::mideleg] & kSupervisorIrqs) << 1, bus);
    hart.write_csr(Csr::henvcfg, v[Csr::menvcfg] & ~(config_.switches.trapped_timer ? menvcfg::STCE : 0), bus);
    hart.write_csr(Csr::senvcfg, v[Csr::senvcfg], bus);
    for (const Twin& twin : kStateEnables) hart.write_csr(twin.real, v[twin.guest], bus); // what its own M-mode closes exits
    real[Csr::hcounteren] = v[Csr::mcounteren] & kTimeCounter;

    real[Csr::vsstatus] = v[Csr::mstatus] & kGuestStatus;
    hart.write_csr(Csr::vsie, v[Csr::mie], bus);
    real[Csr::hvip] = virtual_interrupts(machine);
    real[Csr::vstimecmp] = v[Csr::stimecmp];
    for (const Twin& twin : kTwins) real[twin.real] = v[twin.guest];
    hart.write_csr(Csr::vsatp, v[Csr::satp], bus);
    hart.write_csr(Csr::hgatp, gstage_.hgatp(config_.place.id), bus);
    if (gstage_.take_dropped()) hart.flush_translations();

    // What the guest's own M-mode takes from its S-mode exits, and so does satp when the hart has deeper tables than the guest may see, and
    // sret when it is to clear MPRV, which vsstatus does not have.
    const bool hides_tables = vhart_.features().paging_levels < hart.features().paging_levels;
    u64 status = hstatus::SPV | hstatus::VTW | set_field(u64{0}, hstatus::VSXL, kXlen64) | (v.priv == Priv::S ? hstatus::SPVP : 0);
    if (v[Csr::mstatus] & mstatus::TVM || hides_tables) status |= hstatus::VTVM;
    if (v[Csr::mstatus] & (mstatus::TSR | mstatus::MPRV)) status |= hstatus::VTSR;
    real[Csr::hstatus] = status;
    real[Csr::mstatus] = mstatus::FS | mstatus::SPIE | (v.priv == Priv::S ? mstatus::SPP : 0);
}

void Vmm::copy_guest_csrs(HartState& to, const HartState& real) const {
    const u64 delegated = to[Csr::mideleg] & kSupervisorIrqs;
    to.priv = real.virt ? real.priv : static_cast<Priv>(get_field(real[Csr::mstatus], mstatus::SPP));
    merge(to[Csr::mstatus], real[Csr::vsstatus], kGuestStatus);
    merge(to[Csr::mie], real[Csr::mie] >> 1, delegated);
    merge(to[Csr::mip], real[Csr::hvip] >> 1, delegated & irq_bit(Irq::Ssi));
    to[Csr::stimecmp] = real[Csr::vstimecmp];
    for (const Twin& twin : kTwins) to[twin.guest] = real[twin.real];
    to[Csr::satp] = real[Csr::vsatp];
    to[Csr::senvcfg] = real[Csr::senvcfg];
}

/// What is pending for the guest in S-mode, as bits of hvip. Its timer is not among them where the hart itself compares vstimecmp.
u64 Vmm::virtual_interrupts(Machine& machine) {
    Bus bus = guest_bus(machine);
    const HartState& v = vhart_.state;
    u64 pending = vhart_.mip(bus) & v[Csr::mideleg] & kSupervisorIrqs;
    if (v[Csr::menvcfg] & menvcfg::STCE && !config_.switches.trapped_timer) pending &= ~irq_bit(Irq::Sti);
    return pending << 1;
}

bool Vmm::machine_interrupt_pending(Bus& bus) {
    const HartState& v = vhart_.state;
    const bool open = v.priv != Priv::M || v[Csr::mstatus] & mstatus::MIE;
    return open && vhart_.mip(bus) & v[Csr::mie] & ~v[Csr::mideleg];
}

// --- Exits ---------------------------------------------------------------------------------------------------------------------

ExitReason Vmm::classify_virtualized(const Trap& trap, u32 word, Bus& bus) const {
    if (trap.is_interrupt()) return ExitReason::Interrupt;
    if (is_guest_page_fault(trap)) return classify_guest_page_fault(trap, bus);
    if (trap.is(Cause::EcallFromVs)) return firmware_.enabled ? ExitReason::SbiCall : ExitReason::GuestSyscall;
    if (trap.is(Cause::EcallFromU)) return ExitReason::GuestSyscall;
    if (trap.is(Cause::VirtualInstruction)) return classify_instruction(word);
    return ExitReason::GuestException;
}

ExitReason Vmm::classify_guest_page_fault(const Trap& trap, Bus& bus) const {
    const u64 guest = faulting_address(trap);
    const Access access = access_of(trap);
    const bool implicit = is_implicit(trap);
    if (!bus.in_ram(guest, 1)) return has_device(board_, guest) && !implicit ? ExitReason::Mmio : ExitReason::GuestException;
    if (access == Access::Store && bus.watched_page(guest)) return ExitReason::Mmio;
    const Hart::Protection protection = vhart_.protection(guest, 1, implicit ? Access::Load : access, implicit ? Priv::S : vhart_.state.priv);
    if (!protection.allowed) return ExitReason::GuestException;
    return protection.whole_page ? ExitReason::GStageMiss : ExitReason::Replay;
}

/// What the guest may do directly with the page of this level at `guest` (aligned to it), as bits of an entry. 0: not with all of it alike.
u64 Vmm::gstage_permissions(u64 guest, unsigned level, Bus& bus) const {
    const u64 bytes = kPageSize << (9 * level);
    if (!bus.in_ram(guest, bytes)) return 0;
    u64 common = 0;
    for (u64 page = guest; page < guest + bytes; page += kPageSize) {
        const auto allowed = [&](Access access, u64 permission) {
            const Hart::Protection protection = vhart_.protection(page, 1, access, Priv::S);
            return protection.allowed && protection.whole_page ? permission : 0;
        };
        u64 permissions = allowed(Access::Fetch, pte::X) | allowed(Access::Load, pte::R);
        if (permissions & pte::R && !bus.watched_page(page)) permissions |= allowed(Access::Store, pte::W);
        if (page == guest) common = permissions;
        if (permissions != common) return 0;
    }
    return common;
}

void Vmm::fill_gstage(Machine& machine, ExitDossier& dossier) {
    const u64 fault = faulting_address(dossier.hardware);
    const Access access = access_of(dossier.hardware);
    dossier.add(StepKind::GuestPhysical, 0, fault, dossier.hardware.tinst);
    const u64 needed = is_implicit(dossier.hardware) || access == Access::Load ? pte::R : access == Access::Fetch ? pte::X : pte::W;
    Bus bus = guest_bus(machine);
    for (unsigned level = std::min(config_.switches.gstage_level, GStageTables::kLevels - 1) + 1; level-- > 0;) {
        const u64 guest = fault & ~((kPageSize << (9 * level)) - 1);
        const u64 permissions = gstage_permissions(guest, level, bus);
        const HostPhys host = to_host(GuestPhys(guest));
        if (!(permissions & needed) || host.value & ((kPageSize << (9 * level)) - 1)) continue;
        if (!gstage_.map(machine.ram, GuestPhys(guest), host, permissions, level)) continue;
        dossier.add(static_cast<StepKind>(static_cast<unsigned>(StepKind::Map4K) + level), config_.costs.gstage_fill, guest, host.value);
        Event event;
        event.kind = EventKind::GStageFill;
        event.time = machine.cycles(), event.pc = guest, event.a = host.value, event.tag = trace_tag();
        if (machine.trace.wants(event.kind)) event.detail = machine.trace.text(page_size_name(level));
        machine.trace.add(event);
        return;
    }
    emulate(machine, dossier); // an entry would not help
}

// --- M-mode --------------------------------------------------------------------------------------------------------------------

/// Until the guest leaves M-mode. `resumed`: the guest has run before in this stretch, so its first instruction may be watched.
VmmStop Vmm::interpret_machine_mode(Machine& machine, u64 budget, const Watch& watch, bool resumed) {
    Bus bus = guest_bus(machine);
    VmmStop result;
    const auto end = [&](VmmStopKind kind) { return vhart_.state.cycles = machine.cycles(), result.kind = kind, result; };
    while (interprets_machine_mode() && result.executed < budget && !board_.halt) {
        if (vhart_.state.waiting && !wake(machine, nullptr)) return end(VmmStopKind::Idle);
        if ((resumed || result.executed) && !watch.empty() && watch_hits(watch, vhart_, bus)) return end(VmmStopKind::Breakpoint);
        vhart_.state.cycles = machine.cycles();
        const Hart::StepResult step = vhart_.step(bus);
        ++result.executed, ++interpreted_;
        machine.charge(config_.costs.interpret);
        if (step.trapped && watch.every_trap) return end(VmmStopKind::Breakpoint);
        if (step.trapped) continue;
        const InstructionRow& executed = row(step.instruction.op);
        if (step.instruction.op == Op::sfence_vma) machine.hart().flush_translations();
        const bool csr = executed.format == Format::Csr || executed.format == Format::CsrI;
        if (csr && decides_permissions(static_cast<Csr>(step.instruction.imm))) gstage_.drop_all(machine.ram);
    }
    return end(VmmStopKind::Budget);
}

} // namespace trapeze::vmm
