// Trap-and-emulate: the guest, kernel and programs alike, runs in real U-mode. What is sensitive traps; the VMM executes that one
// instruction on the virtual hart, whose privilege is the one the guest believes it has, with the same row of the instruction table
// that the real hart would have used. An exception of the guest's own is thereby delivered to its own handler.
//
// Known inaccuracy: a page fault that only a stale shadow entry hides is seen when the guest fences, as with a TLB.
#include "hypervisor-sim/exits.hpp"
#include "hypervisor-sim/vmm.hpp"

#include <algorithm>
#include <cstring>

namespace trapeze::vmm {

namespace {

bool is_csr_access(Op op) { return row(op).format == Format::Csr || row(op).format == Format::CsrI; }
bool writes_csr(const Instruction& insn) { return insn.op == Op::csrrw || insn.op == Op::csrrwi || insn.rs1 != 0; }

/// Translated code called the VMM, instead of faulting.
bool is_call(ExitReason reason) {
    return reason == ExitReason::CallOut || reason == ExitReason::Dispatch || reason == ExitReason::IndirectMiss || reason == ExitReason::Outside;
}

bool is_hypercall(ExitReason reason) { return reason == ExitReason::Hypercall || reason == ExitReason::TableUpdate; }

unsigned guest_level(u64 page_size) { return page_size >= u64{1} << 30 ? 2 : page_size >= u64{1} << 21 ? 1 : 0; }

} // namespace

// --- The loop ----------------------------------------------------------------------------------------------------------------

VmmStop Vmm::run_on_hart(Machine& machine, u64 budget, Until until, const Watch& watch) {
    VmmStop result;
    const auto end = [&](VmmStopKind kind) { return result.kind = kind, result; };
    if (entered_) kick(machine);
    while (true) {
        if (board_.halt) return end(VmmStopKind::Halted);
        if (result.executed >= budget) return end(VmmStopKind::Budget);
        if (pending_) {
            handle_exit(machine);
            ++result.executed;
            if (until == Until::ExitHandled) return end(VmmStopKind::Exit);
            if (watch.every_trap && ledger_.back().injected) return end(VmmStopKind::Breakpoint);
            continue;
        }
        if (interprets_machine_mode() && !entered_) {
            const VmmStop stop = interpret_machine_mode(machine, budget - result.executed, watch, result.executed != 0);
            result.executed += stop.executed;
            if (stop.kind != VmmStopKind::Budget) return end(stop.kind);
            continue;
        }
        if (!entered_ && !enter(machine)) {
            if (!board_.halt) return end(VmmStopKind::Idle);
            continue;
        }
        if (!entered_) { // an interrupt led the guest into its M-mode, which is a unit as it is on a hart
            ++result.executed;
            continue;
        }
        Bus bus = guest_bus(machine);
        const bool from_exit = result.executed != 0 && machine.hart().state.retired == entry_retired_;
        if (from_exit && !watch.empty() && watch_hits(watch, vhart_, bus)) return end(VmmStopKind::Breakpoint);
        const Stop stop = run_hart(machine, budget - result.executed, watch);
        result.executed += stop.executed;
        if (stop.kind == StopKind::SeatTrap) {
            begin_exit(machine, stop.trap);
            if (until == Until::NextExit) return end(VmmStopKind::Exit);
        } else if (stop.kind != StopKind::Budget) {
            return end(stop.kind == StopKind::Breakpoint ? VmmStopKind::Breakpoint : VmmStopKind::Halted);
        }
    }
}

// --- Why: the exit as it arrives ---------------------------------------------------------------------------------------------

void Vmm::begin_exit(Machine& machine, const Trap& trap) {
    const bool translated = cache_.cursor.inside;
    save_real_hart(machine, trap.epc);
    pending_ = true;
    const u64 pc = vhart_.state.pc;
    Bus bus = guest_bus(machine);

    ExitDossier dossier;
    dossier.recorded = config_.dossiers;
    if (!dossier.recorded) {
        ledger_.clear();
    } else if (ledger_.size() < kLedgerSize) {
        dossier.steps.reserve(6);
    } else { // its vectors' memory is used again
        dossier.steps = std::move(ledger_.front().steps), dossier.steps.clear();
        dossier.changes = std::move(ledger_.front().changes), dossier.changes.clear();
        ledger_.pop_front();
    }
    dossier.number = ++exits_;
    dossier.time = machine.cycles();
    dossier.hardware = trap;
    dossier.guest_pc = pc;
    dossier.believed = dossier.believed_after = vhart_.state.priv;
    dossier.real = {trap.from, trap.from_virt};
    dossier.resume_pc = pc;
    if (!trap.is_interrupt()) dossier.word = paravirt_.started ? word_in_direct_tables(machine, pc) : vhart_.fetch_word(pc, bus).value_or(0);
    const ExitReason from_cache = translated ? leave_cache(trap) : ExitReason::Count;
    if (translated && trap.is(Cause::EcallFromU)) dossier.reason = from_cache;
    else dossier.reason = hardware_assisted() ? classify_virtualized(trap, dossier.word, bus) : classify(trap, dossier.word, bus);
    ++exit_counts_[static_cast<std::size_t>(dossier.reason)];

    Event event;
    event.kind = EventKind::VmExit;
    event.time = dossier.time, event.pc = pc, event.a = trap.tval, event.tag = trace_tag();
    event.set_from(dossier.real), event.set_to({trap.to, trap.to_virt});
    if (machine.trace.wants(event.kind)) event.detail = machine.trace.text(exit_reason_row(dossier.reason).name);
    machine.trace.add(event);
    ledger_.push_back(std::move(dossier));
}

ExitReason Vmm::classify(const Trap& trap, u32 word, Bus& bus) const {
    if (calls_hypervisor(trap)) return vhart_.state.x[16] == static_cast<u64>(Hypercall::Update) ? ExitReason::TableUpdate : ExitReason::Hypercall;
    if (paravirt_.started) return classify_paravirtual(trap);
    if (trap.is_interrupt()) return ExitReason::Interrupt;
    if (is_page_fault(trap)) return classify_page_fault(trap, bus);
    if (trap.is(Cause::EcallFromU)) return vhart_.state.priv == Priv::S && firmware_.enabled ? ExitReason::SbiCall : ExitReason::GuestSyscall;
    if (trap.is(Cause::IllegalInstruction)) return classify_instruction(word);
    return ExitReason::GuestException;
}

ExitReason Vmm::classify_page_fault(const Trap& trap, Bus& bus) const {
    const Access access = access_of(trap);
    if (access != Access::Fetch && mprv_in_force()) return ExitReason::Replay;
    const PageWalk walk = vhart_.translate(trap.tval, access, bus);
    if (walk.outcome != PageWalk::Outcome::Ok) return ExitReason::GuestPageFault;
    if (!bus.in_ram(walk.physical, 1)) return has_device(board_, walk.physical) ? ExitReason::Mmio : ExitReason::GuestException;
    if (access == Access::Store && bus.watched_page(walk.physical)) return ExitReason::Mmio;
    if (access == Access::Store && tracker_.tracks(to_host(GuestPhys(walk.physical)))) return ExitReason::TableWrite;
    const Hart::Protection protection = vhart_.protection(walk.physical, 1, access, vhart_.state.priv);
    const bool may_mark = !walk.updates || vhart_.protection(walk.leaf_address, sizeof(u64), Access::Store, Priv::S).allowed;
    if (!protection.allowed || !may_mark) return ExitReason::GuestException;
    if (access == Access::Store && cache_.has_code(walk.physical)) return ExitReason::CodeWrite;
    return protection.whole_page ? ExitReason::ShadowMiss : ExitReason::Replay;
}

ExitReason Vmm::classify_instruction(u32 word) const {
    const Instruction insn = decode(word);
    const InstructionRow& r = row(insn.op);
    const bool fpu_off = !(vhart_.state[Csr::mstatus] & mstatus::FS);
    if (is_csr_access(insn.op)) {
        const u16 number = static_cast<u16>(insn.imm);
        const CsrRow* csr = csr_row(number);
        if (csr && csr->gate == Gate::Fs && fpu_off) return ExitReason::FpuEnable;
        if (csr && csr->gate == Gate::Fs && float_status() == 0) return ExitReason::FpuClean;
        return vhart_.csr_fault(number, writes_csr(insn)) ? ExitReason::GuestException : ExitReason::CsrAccess;
    }
    if (r.gate == Gate::Fs && fpu_off) return ExitReason::FpuEnable;
    if (r.gate == Gate::Fs && float_status() == 0) return ExitReason::FpuClean;
    if (insn.op == Op::Illegal || vhart_.instruction_fault(insn.op)) return ExitReason::GuestException;
    if (r.format == Format::Cbo) return ExitReason::Replay; // the host's environment allows none
    switch (insn.op) {
    case Op::sret: case Op::mret: return ExitReason::TrapReturn;
    case Op::sfence_vma: return ExitReason::Fence;
    case Op::wfi: return ExitReason::Wfi;
    default: return ExitReason::GuestException;
    }
}

// --- What is done about it -----------------------------------------------------------------------------------------------------

void Vmm::handle_exit(Machine& machine) {
    ExitDossier& dossier = ledger_.back();
    const CostModel& costs = config_.costs;
    const auto before = vhart_.state.csrs;
    if (is_call(dossier.reason)) dossier.add(StepKind::CallOut, costs.call_out, dossier.hardware.cause, dossier.hardware.epc);
    else dossier.add(StepKind::Trap, costs.trap, dossier.hardware.cause, dossier.hardware.tval);
    if (dossier.reason == ExitReason::Dispatch || dossier.reason == ExitReason::IndirectMiss) follow_exit(machine, dossier);
    else if (paravirt_.started || is_hypercall(dossier.reason)) handle_paravirtual(machine, dossier);
    else if (dossier.reason == ExitReason::Interrupt) dossier.add(StepKind::HostInterrupt, 0, dossier.hardware.cause);
    else if (dossier.reason == ExitReason::ShadowMiss) fill_shadow(machine, dossier);
    else if (dossier.reason == ExitReason::GStageMiss) fill_gstage(machine, dossier);
    else emulate(machine, dossier);
    if (config_.switches.clustering && !paravirt_.started) emulate_cluster(machine, dossier);
    note_changes(dossier, before);
    const bool rules_changed = memory_rules_changed(before);
    if (rules_changed) tracker_.clear();
    if (rules_changed && !hardware_assisted()) flush_shadow(machine, dossier, shadow_.drop_all(), "memory protection or environment changed");
    if (rules_changed && config_.mode == Mode::Translate) drop_all_code(machine, dossier);
    machine.charge(dossier.cost);
    pending_ = false;
    const bool resumed = enter(machine);
    if (!resumed) dossier.resume_pc = vhart_.state.pc, dossier.believed_after = vhart_.state.priv;
    dossier.complete = true;
}

bool Vmm::memory_rules_changed(const std::array<u64, kCsrCount>& before) const {
    static const std::vector<std::size_t> kDeciding = [] {
        std::vector<std::size_t> slots;
        for (std::size_t i = 0; i < kCsrCount; ++i)
            if (decides_permissions(csr_row_at(i).csr)) slots.push_back(i);
        return slots;
    }();
    return std::any_of(kDeciding.begin(), kDeciding.end(), [&](std::size_t i) { return before[i] != vhart_.state.csrs[i]; });
}

/// Executes the instruction on the virtual hart, as the guest believes it to be executed.
void Vmm::emulate(Machine& machine, ExitDossier& dossier) {
    const CostModel& costs = config_.costs;
    Bus bus = guest_bus(machine);
    HartState& v = vhart_.state;
    const bool decoded = dossier.reason == ExitReason::CallOut || dossier.reason == ExitReason::IndirectMiss; // when it was translated
    const bool from_translated = config_.mode == Mode::Translate && dossier.believed != Priv::U;
    const ExitReason reason = dossier.reason == ExitReason::CallOut ? look_at_access(machine, dossier) : dossier.reason;
    const auto registers = v.x;
    std::optional<PageWalk> stored;
    if (dossier.word && !decoded) dossier.add(StepKind::Decode, costs.decode, dossier.word, dossier.guest_pc);
    if (is_page_fault(dossier.hardware) && dossier.reason != ExitReason::Replay) {
        const PageWalk walk = vhart_.translate(dossier.hardware.tval, access_of(dossier.hardware), bus);
        table_entries_read_ += walk.steps;
        if (walk.steps) dossier.add(StepKind::Walk, costs.walk_entry * walk.steps, dossier.hardware.tval, walk.steps);
        if (dossier.reason == ExitReason::Mmio) dossier.add(StepKind::Device, costs.device, walk.physical);
        if (dossier.reason == ExitReason::TableWrite) stored = walk;
    }
    if (is_guest_page_fault(dossier.hardware) && dossier.reason == ExitReason::Mmio) { // the hart has translated already
        const u64 guest = dossier.hardware.tval2 << 2 | (dossier.hardware.tval & 3);
        dossier.add(StepKind::GuestPhysical, 0, guest, dossier.hardware.tinst);
        dossier.add(StepKind::Device, costs.device, guest);
    }
    if (dossier.reason == ExitReason::Replay) dossier.add(StepKind::Replay, 0, dossier.hardware.tval);

    v.cycles = machine.cycles() - 1; // the trap's own cycle is the instruction's
    const Hart::StepResult result = execute(machine, dossier);
    if (stored) follow_table_store(machine, dossier, *stored);
    if (config_.mode == Mode::Translate) follow_translated(machine, dossier, result, registers);
    if (from_translated) adapt(machine, dossier, reason);
}

/// One instruction on the virtual hart, and what follows from it.
Hart::StepResult Vmm::execute(Machine& machine, ExitDossier& dossier) {
    const CostModel& costs = config_.costs;
    Bus bus = guest_bus(machine);
    HartState& v = vhart_.state;
    const Hart::StepResult result = vhart_.step(bus);
    v.cycles = machine.cycles();
    if (result.trapped && result.trap.to == Priv::M && firmware_.enabled) {
        const u64 extension = v.x[17], function = v.x[16];
        dossier.add(StepKind::Firmware, costs.emulate, extension, function);
        firmware_.serve(result.trap, std::span(&vhart_, 1), 0, bus);
        if (extension == Firmware::kRemoteFence && hardware_assisted()) machine.hart().flush_translations();
        else if (extension == Firmware::kRemoteFence && synced()) dossier.add(StepKind::InSync, 0);
        else if (extension == Firmware::kRemoteFence) flush_shadow(machine, dossier, shadow_.drop_translated(), "remote fence");
    } else if (result.trapped) {
        note_delivery(machine, dossier, result.trap);
    } else {
        ++interpreted_;
        dossier.add(StepKind::Emulate, costs.emulate, v.pc, static_cast<u64>(v.priv));
        if (result.instruction.op == Op::sfence_vma) follow_fence(machine, dossier, result.instruction);
    }
    return result;
}

/// Instructions between this one and the next that would trap, when only plain ones are between: those that compute in registers.
unsigned Vmm::distance_to_trap(Bus& bus) const {
    constexpr unsigned kNone = 0, kLongest = 4;
    u64 pc = vhart_.state.pc;
    for (unsigned distance = 0; distance <= kLongest; ++distance) {
        const auto word = vhart_.fetch_word(pc, bus);
        if (!word) return kNone;
        const Instruction insn = decode(*word);
        const ExitReason reason = classify_instruction(*word);
        if (reason == ExitReason::CsrAccess || reason == ExitReason::TrapReturn || reason == ExitReason::Fence) return distance + 1;
        const Format format = row(insn.op).format;
        const bool plain = format == Format::I || format == Format::R || format == Format::U || format == Format::Shift5 || format == Format::Shift6;
        if (!plain || insn.op == Op::Illegal) return kNone;
        pc += insn.length;
    }
    return kNone;
}

/// Agesen et al., "Software techniques for avoiding hardware virtualization exits" (2012): a trap that is about to follow is spared when its
/// instruction is emulated now, together with the few between.
void Vmm::emulate_cluster(Machine& machine, ExitDossier& dossier) {
    constexpr unsigned kLongest = 16;
    if (config_.mode != Mode::TrapAndEmulate || dossier.reason == ExitReason::ShadowMiss) return;
    Bus bus = guest_bus(machine);
    for (unsigned i = 0; i < kLongest; ++i) {
        if (dossier.injected || board_.halt || !runnable() || vhart_.state.waiting || vhart_.state.priv == Priv::U || vhart_.pending_interrupt(bus)) return;
        const unsigned distance = distance_to_trap(bus);
        if (!distance) return;
        for (unsigned plain = 1; plain < distance; ++plain, ++interpreted_) vhart_.step(bus);
        if (distance > 1) dossier.add(StepKind::Between, config_.costs.interpret * (distance - 1), distance - 1);
        const u64 pc = vhart_.state.pc;
        dossier.add(StepKind::Decode, config_.costs.decode, vhart_.fetch_word(pc, bus).value_or(0), pc);
        execute(machine, dossier);
        ++clustered_;
    }
}

/// The guest has written an entry of its tables, and the shadow follows. A store may touch two entries.
void Vmm::follow_table_store(Machine& machine, ExitDossier& dossier, const PageWalk& walk) {
    constexpr u64 kWidest = sizeof(u64);
    const u64 first = walk.physical & ~(kWidest - 1), last = (walk.physical + kWidest - 1) & ~(kWidest - 1);
    unsigned cleared = tracker_.stored(machine.ram, shadow_, to_host(GuestPhys(first)));
    if (last != first) cleared += tracker_.stored(machine.ram, shadow_, to_host(GuestPhys(last)));
    dossier.add(StepKind::Sync, cleared ? config_.costs.shadow_flush : 0, first, cleared);
}

/// A fence with an address forgets the guest's page there, whatever its size; one without forgets everything. The ASID operand only
/// allows less to be forgotten, so it is not needed for correctness.
void Vmm::follow_fence(Machine& machine, ExitDossier& dossier, const Instruction& instruction) {
    if (synced()) return dossier.add(StepKind::InSync, 0);
    if (instruction.rs1 == 0) return flush_shadow(machine, dossier, shadow_.drop_translated(), "sfence.vma");
    const u64 va = vhart_.state.x[instruction.rs1];
    const unsigned cleared = shadow_.drop_address(machine.ram, va);
    dossier.add(StepKind::FlushAddress, cleared ? config_.costs.shadow_flush : 0, va, cleared);
}

void Vmm::flush_shadow(Machine& machine, ExitDossier& dossier, unsigned roots, const char* why) {
    dossier.add(StepKind::FlushAll, config_.costs.shadow_flush * roots, roots);
    if (!roots) return;
    ++shadow_flushes_;
    Event event;
    event.kind = EventKind::ShadowFlush;
    event.time = machine.cycles(), event.pc = dossier.guest_pc, event.a = roots, event.tag = trace_tag();
    if (machine.trace.wants(event.kind)) event.detail = machine.trace.text(why);
    machine.trace.add(event);
}

/// What the current view may do with the page at `va` without asking the VMM: what the guest's tables and protection allow, but
/// no store before the guest's own entry is dirty.
u64 Vmm::shadow_permissions(u64 va, Bus& bus) const {
    const auto allowed = [&](Access access) {
        const PageWalk walk = vhart_.translate_as(vhart_.state.mode(), va, access, bus);
        if (walk.outcome != PageWalk::Outcome::Ok || walk.updates || !bus.in_ram(walk.physical & ~kPageMask, kPageSize)) return false;
        if (access == Access::Store && (bus.watched_page(walk.physical) || cache_.has_code(walk.physical))) return false;
        if (access == Access::Store && tracker_.tracks(to_host(GuestPhys(walk.physical)))) return false;
        const Hart::Protection protection = vhart_.protection(walk.physical, 1, access, vhart_.state.priv);
        return protection.allowed && protection.whole_page;
    };
    u64 permissions = !translating() && allowed(Access::Fetch) ? pte::X : 0;
    if (mprv_in_force()) return permissions;
    if (allowed(Access::Load)) permissions |= pte::R | (allowed(Access::Store) ? pte::W : 0);
    return permissions;
}

void Vmm::fill_shadow(Machine& machine, ExitDossier& dossier) {
    const CostModel& costs = config_.costs;
    Bus bus = guest_bus(machine);
    const u64 va = dossier.hardware.tval;
    const Access access = access_of(dossier.hardware);
    const PageWalk walk = vhart_.translate(va, access, bus);
    table_entries_read_ += walk.steps;
    if (walk.steps) dossier.add(StepKind::Walk, costs.walk_entry * walk.steps, va, walk.steps);
    if (walk.updates) {
        bus.ram.write_value(bus.ram_offset(walk.leaf_address), walk.leaf);
        tracker_.marked(bus.ram, to_host(GuestPhys(walk.leaf_address)));
        dossier.add(StepKind::SetAccessed, costs.walk_entry, walk.leaf_address, walk.leaf);
    }
    for (unsigned i = 0; synced() && i < walk.steps; ++i) {
        const HostPhys table = to_host(GuestPhys(walk.read[i].entry_address));
        if (tracker_.add(machine.ram, shadow_, table, view(), walk.read[i].level, va)) shadow_.write_protect(machine.ram, table);
    }
    const u64 permissions = shadow_permissions(va, bus);
    const u64 needed = access == Access::Fetch ? pte::X : access == Access::Load ? pte::R : pte::W;
    if (!(permissions & needed) || (view().window && va >= ShadowTables::kWindow)) return emulate(machine, dossier); // an entry would not help, so nothing is lost but this one's speed

    const HostPhys page = to_host(GuestPhys(walk.physical & ~kPageMask));
    shadow_.install(machine.ram, view(), va & ~kPageMask, page, permissions, guest_level(walk.page_size));
    ++shadow_fills_;
    dossier.add(StepKind::Fill, costs.shadow_fill, va & ~kPageMask, page.value);
    if (shadow_.take_exhausted()) {
        dossier.add(StepKind::Exhausted, costs.shadow_flush);
        flush_shadow(machine, dossier, 1, "no page is left for tables");
    }
    Event event;
    event.kind = EventKind::ShadowFill;
    event.time = machine.cycles(), event.pc = va & ~kPageMask, event.a = page.value, event.tag = trace_tag();
    machine.trace.add(event);
}

// --- The dossier -----------------------------------------------------------------------------------------------------------------

void Vmm::note_delivery(Machine& machine, ExitDossier& dossier, const Trap& trap) {
    dossier.injected = true;
    dossier.injection = trap;
    dossier.add(StepKind::Deliver, config_.costs.inject, trap.cause, vhart_.state.pc);
    Event event;
    event.kind = EventKind::VmInject;
    event.time = machine.cycles(), event.pc = trap.epc, event.a = trap.tval, event.detail = pack_cause(trap.cause), event.tag = trace_tag();
    event.from = static_cast<u8>(trap.from) & 3, event.to = static_cast<u8>(trap.to) & 3;
    machine.trace.add(event);
}

void Vmm::note_changes(ExitDossier& dossier, const std::array<u64, kCsrCount>& before) const {
    if (!dossier.recorded) return;
    constexpr std::size_t kStride = 16;
    for (std::size_t i = 0; i < kCsrCount; ++i) {
        if (i % kStride == 0 && i + kStride <= kCsrCount && std::memcmp(&before[i], &vhart_.state.csrs[i], kStride * sizeof(u64)) == 0) {
            i += kStride - 1;
            continue;
        }
        if (before[i] == vhart_.state.csrs[i]) continue;
        const u16 number = static_cast<u16>(csr_row_at(i).csr);
        const auto known = std::find_if(dossier.changes.begin(), dossier.changes.end(), [&](const CsrChange& c) { return c.number == number; });
        if (known != dossier.changes.end()) known->after = vhart_.state.csrs[i];
        else dossier.changes.push_back({number, before[i], vhart_.state.csrs[i]});
    }
}

} // namespace trapeze::vmm
