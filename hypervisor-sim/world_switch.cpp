// The world switch: the guest's registers go onto the real hart before it runs there, and come back when it has trapped. What the
// guest may do directly in U-mode is set up here: its translation (the shadow root of its view), floating point, and reading time.
#include "hypervisor-sim/vmm.hpp"

#include <algorithm>

namespace trapeze::vmm {

namespace {
constexpr u64 kTimeCounter = u64{1} << 1; // the bit of xcounteren for `time`
constexpr int kMostInjections = 4;        // each one masks what could follow it, so this is never reached by rights
} // namespace

bool Vmm::mprv_in_force() const {
    const HartState& v = vhart_.state;
    return v.priv == Priv::M && v[Csr::mstatus] & mstatus::MPRV && static_cast<Priv>(get_field(v[Csr::mstatus], mstatus::MPP)) != Priv::M;
}

ShadowKey Vmm::view() const {
    const HartState& v = vhart_.state;
    ShadowKey key;
    key.priv = v.priv;
    key.replay = mprv_in_force();
    if (translating()) key.window = cache_.leaf_table(cache_.cursor.space);
    const u64 table = v[Csr::satp];
    if (v.priv == Priv::M || get_field(table, satp::MODE) == satp::kBare) return key;
    key.satp = table;
    key.sum = v.priv == Priv::S && v[Csr::mstatus] & mstatus::SUM;
    key.mxr = v[Csr::mstatus] & mstatus::MXR;
    return key;
}

/// The state that a guest can change without the VMM: x, f, fcsr and the dirtiness of FS, pc, and its reservation; in VS-mode also its
/// supervisor registers and its privilege.
void Vmm::copy_from_real(HartState& to, const HartState& real) const {
    to.x = real.x;
    to.f = real.f;
    to.pc = real.pc;
    to[Csr::fcsr] = real[Csr::fcsr];
    if (hardware_assisted()) copy_guest_csrs(to, real);
    else to[Csr::mstatus] = (to[Csr::mstatus] & ~mstatus::FS) | (real[Csr::mstatus] & mstatus::FS);
    to.reserved = real.reserved;
    to.reservation = real.reservation - ram_offset_;
    to.reserved_value = real.reserved_value;
    to.retired += real.retired - entry_retired_;
    to.cycles = real.cycles;
}

HartState Vmm::guest_state(const Machine& machine) const {
    HartState state = vhart_.state;
    if (!entered_) return state;
    copy_from_real(state, machine.hart().state);
    if (cache_.cursor.inside) recover(state, machine.ram, vhart_.state.pc, vhart_.state[Csr::mstatus]);
    return state;
}

void Vmm::set_guest_state(Machine& machine, const HartState& state) {
    if (entered_) save_real_hart(machine, state.pc);
    pending_ = false;
    vhart_.state = state;
    vhart_.flush_all();
    shadow_.drop_all();
    tracker_.clear();
    machine.hart().flush_translations();
    if (config_.mode == Mode::Translate) cache_.clear(machine.ram);
}

u64 Vmm::guest_instructions(const Machine& machine) const {
    return vhart_.state.retired + (entered_ ? machine.hart().state.retired - entry_retired_ : 0);
}

void Vmm::save_real_hart(Machine& machine, u64 pc) {
    HartState& real = machine.hart().state;
    HartState& v = vhart_.state;
    const u64 entered_at = v.pc, status = v[Csr::mstatus];
    copy_from_real(v, real);
    v.pc = pc;
    if (cache_.cursor.inside) recover(v, machine.ram, entered_at, status);
    if (hardware_assisted()) vhart_.flush_translations(); // it has not seen what the guest did to its tables
    real[Csr::mip] &= ~irq_bit(Irq::Ssi);
    entered_ = false;
}

/// Tick at which the next timer of the guest's that it has enabled becomes due, or one of its devices acts by itself; those that are due already do not count. ~0: none.
u64 Vmm::next_timer() const {
    const HartState& v = vhart_.state;
    const u64 now = ticks_of(v.cycles), machine_timer = board_.next_tick(0), supervisor_timer = v[Csr::stimecmp];
    u64 next = board_.next_event(now);
    if (v[Csr::mie] & irq_bit(Irq::Mti) && machine_timer > now) next = std::min(next, machine_timer);
    const bool by_hart = hardware_assisted() && !config_.switches.trapped_timer; // compares vstimecmp
    const bool enabled = v[Csr::mie] & irq_bit(Irq::Sti) || hardware_assisted(); // in VS-mode the guest enables it without an exit
    if (!by_hart && enabled && v[Csr::menvcfg] & menvcfg::STCE && supervisor_timer > now) next = std::min(next, supervisor_timer);
    return next;
}

/// What the guest may do by itself in U-mode: floating point, reading time, and touching what its view of memory maps. Where the hart goes on.
u64 Vmm::load_deprivileged(Machine& machine, ExitDossier* dossier) {
    Hart& hart = machine.hart();
    HartState& real = hart.state;
    real[Csr::mstatus] = float_status() | mstatus::SPIE; // SPP = U
    real[Csr::hstatus] &= ~hstatus::SPV; // which another VM may have left
    real[Csr::senvcfg] = 0;
    real[Csr::scounteren] = vhart_.csr_fault(static_cast<u16>(Csr::time), false) ? 0 : kTimeCounter;
    cache_.cursor.inside = translating();
    const u64 pc = translating() ? enter_cache(machine, dossier) : vhart_.state.pc;
    if (translating()) load_csr_page(machine);
    if (synced()) tracker_.check(machine.ram, shadow_);
    const u64 root = paravirt_.started ? direct_.satp_for(vhart_.state.priv) : shadow_.select(machine.ram, view());
    const bool stale = paravirt_.started ? direct_.take_stale() : shadow_.take_dropped();
    if (stale || real[Csr::satp] != root) hart.flush_translations();
    real[Csr::satp] = root;
    return pc;
}

void Vmm::load_real_hart(Machine& machine, ExitDossier* dossier) {
    const HartState& v = vhart_.state;
    Hart& hart = machine.hart();
    HartState& real = hart.state;
    real.x = v.x;
    real.f = v.f;
    real[Csr::fcsr] = v[Csr::fcsr];
    real.reserved = v.reserved;
    real.reservation = v.reservation + ram_offset_;
    real.reserved_value = v.reserved_value;
    // The machine's timer stands in for the guest's next one. What is due already is either injected or masked by the guest.
    real[Csr::stimecmp] = next_timer();

    if (hardware_assisted()) load_guest_csrs(machine), real[Csr::sepc] = v.pc;
    else real[Csr::sepc] = load_deprivileged(machine, dossier);
    hart.return_from_trap(Priv::S);
    entry_retired_ = real.retired;
    entered_ = true;
    kick(machine);
}

/// Makes the real hart trap at once when something is pending for the guest that no trap will announce: a typed key, for one. A
/// software interrupt to oneself, as another thread of a host would send it.
void Vmm::kick(Machine& machine) {
    Bus host = machine.bus(), guest = guest_bus(machine);
    vhart_.state.cycles = machine.cycles();
    Hart& hart = machine.hart();
    const bool news = hardware_assisted() ? virtual_interrupts(machine) != hart.state[Csr::hvip] || machine_interrupt_pending(guest)
                                          : interrupt_waits(machine) && !hart.pending_interrupt(host);
    if (news) hart.state[Csr::mip] |= irq_bit(Irq::Ssi);
}

/// Ends a wait when an interrupt that the guest has enabled is pending, or will be by a timer. False: it goes on.
bool Vmm::wake(Machine& machine, ExitDossier* dossier) {
    Bus bus = guest_bus(machine);
    HartState& v = vhart_.state;
    if (!(vhart_.mip(bus) & v[Csr::mie])) {
        const u64 wait = time_to_wakeup(machine);
        if (wait == ~u64{0} || config_.place.shares_hart) return false;
        machine.charge(wait);
        v.cycles = machine.cycles();
        if (dossier) dossier->add(StepKind::Idle, 0, wait);
        if (!(vhart_.mip(bus) & v[Csr::mie])) return false;
    }
    v.waiting = false;
    return true;
}

void Vmm::inject_pending(Machine& machine, ExitDossier* dossier) {
    if (paravirt_.started) return deliver_events(machine, *dossier);
    Bus bus = guest_bus(machine);
    // In VS-mode the hart itself delivers what hvip says, so only interrupts for the guest's M-mode are the VMM's.
    const auto pending = [&] { return hardware_assisted() ? machine_interrupt_pending(bus) : vhart_.pending_interrupt(bus) != 0; };
    for (int i = 0; i < kMostInjections && pending(); ++i) {
        const auto before = vhart_.state.csrs;
        const Hart::StepResult taken = vhart_.step(bus);
        machine.charge(config_.costs.inject);
        vhart_.state.cycles = machine.cycles();
        if (taken.trap.to == Priv::M && firmware_.enabled) firmware_.serve(taken.trap, std::span(&vhart_, 1), 0, bus);
        if (!dossier) continue;
        note_delivery(machine, *dossier, taken.trap);
        note_changes(*dossier, before);
    }
}

/// Puts the guest onto the real hart, with what is pending for it delivered. False: it waits for an interrupt that nothing scheduled
/// will bring, or has been switched off.
bool Vmm::enter(Machine& machine) {
    ExitDossier* const dossier = ledger_.empty() ? nullptr : &ledger_.back();
    vhart_.state.cycles = machine.cycles();
    if (board_.halt || !runnable()) return false;
    if (vhart_.state.waiting && !wake(machine, dossier)) return false;
    // The way back is charged before looking for interrupts, so that none can become due unseen in between.
    machine.charge(config_.costs.resume);
    vhart_.state.cycles = machine.cycles();
    inject_pending(machine, dossier);
    if (interprets_machine_mode()) {
        if (dossier) dossier->add(StepKind::MachineMode, config_.costs.resume, vhart_.state.pc), note_resumption(*dossier);
        return true;
    }
    load_real_hart(machine, dossier);
    if (dossier && hardware_assisted() && machine.hart().state[Csr::hvip]) dossier->add(StepKind::SetPending, 0, machine.hart().state[Csr::hvip]);

    Event event;
    event.kind = EventKind::VmEntry;
    event.time = machine.cycles(), event.pc = vhart_.state.pc, event.tag = trace_tag();
    event.a = static_cast<u64>(vhart_.state.priv); // readers draw the lane that the guest believes to be in
    event.set_from({Priv::S, false}), event.set_to(machine.hart().state.mode());
    const std::string believed = std::string("virtual ") + priv_letter(vhart_.state.priv) + "-mode";
    if (machine.trace.wants(event.kind)) event.detail = machine.trace.text(hardware_assisted() ? std::string(mode_text(machine.hart().state.mode())) + "-mode" : believed);
    machine.trace.add(event);
    if (!dossier) return true;
    dossier->add(StepKind::Resume, config_.costs.resume, vhart_.state.pc, static_cast<u64>(vhart_.state.priv));
    note_resumption(*dossier);
    return true;
}

void Vmm::note_resumption(ExitDossier& dossier) const {
    dossier.resume_pc = vhart_.state.pc;
    dossier.believed_after = vhart_.state.priv;
}

} // namespace trapeze::vmm
