#include "scenarios/session_units.hpp"

#include "container-sim/kernel.hpp"

namespace trapeze::scenarios {

namespace {

u64 guest_table(const Session& session) { return session.csr(session.guest_state(), Csr::satp); }

/// Runs with breakpoints of its own beside the session's, which stay as they were. A stop at one of its own is RunEnd::Trap.
RunEnd run_to_own(Session& session, const std::vector<Breakpoint>& own, u64 units) {
    std::vector<Breakpoint>& all = session.breakpoints();
    const std::size_t kept = all.size();
    all.insert(all.end(), own.begin(), own.end());
    const RunEnd why = session.run(units);
    const Breakpoint* const by = session.stopped_by(); // the user's come first
    const bool is_own = why == RunEnd::Breakpoint && by && static_cast<std::size_t>(by - all.data()) >= kept;
    all.resize(kept);
    return is_own ? RunEnd::Trap : why;
}

Breakpoint at(Breakpoint::Kind kind, u64 value) { return {kind, value, "step", true, 0}; }

bool ends_block(const Instruction& insn) {
    const Format format = row(insn.op).format;
    return format == Format::B || format == Format::J || format == Format::Jalr || insn.op == Op::sret || insn.op == Op::mret;
}

Instruction next_instruction(const Session& session) {
    u8 bytes[4] = {};
    if (session.peek(session.guest_state().pc, bytes) < 2) return {};
    const u32 word = bytes[0] | bytes[1] << 8 | bytes[2] << 16 | static_cast<u32>(bytes[3]) << 24;
    return decode(is_long(static_cast<u16>(word)) ? word : expand_compressed(static_cast<u16>(word)));
}

} // namespace

const char* step_unit_name(StepUnit unit) {
    switch (unit) {
    case StepUnit::Block: return "block";
    case StepUnit::SystemCall: return "system call";
    case StepUnit::Switch: return "context switch";
    case StepUnit::ExitKind: return "exit of this kind";
    }
    return "";
}

UnitStep::UnitStep(StepUnit unit, vmm::ExitReason reason, const Session& session)
    : unit_(unit), reason_(reason), table_(session.kernel() ? 0 : guest_table(session)), switches_(session.trace().count(EventKind::ContextSwitch)) {}

Result<UnitStep> UnitStep::create(const Session& session, StepUnit unit, vmm::ExitReason reason) {
    if (unit == StepUnit::ExitKind && (!session.vmm() || session.config().mode == Mode::Interpret)) return Error{"this guest never exits: it has no hypervisor that the hart would exit to"};
    if (unit == StepUnit::ExitKind && reason >= vmm::ExitReason::Count) return Error{"there is no exit yet whose kind could be waited for; F7 runs to the first one"};
    return UnitStep(unit, reason, session);
}

RunEnd UnitStep::advance(Session& session, u64 units) {
    switch (unit_) {
    case StepUnit::Block: return block(session, units);
    case StepUnit::SystemCall: return session.kernel() ? session.run_to_trap(units) : until_system_call(session, units);
    case StepUnit::Switch: return session.kernel() ? until_process_changes(session, units) : until_table_changes(session, units);
    case StepUnit::ExitKind: return run_to_own(session, {at(Breakpoint::Kind::Exit, static_cast<u64>(reason_))}, units);
    }
    return RunEnd::Budget;
}

/// A trap ends a block too: what runs next is another lane's.
RunEnd UnitStep::block(Session& session, u64 units) const {
    const Lane lane = session.lane();
    for (u64 i = 0; i < units; ++i) {
        const bool last = !session.kernel() && lane != Lane::Hypervisor && ends_block(next_instruction(session));
        const u64 pc = session.guest_state().pc;
        if (const RunEnd why = session.step(); why != RunEnd::Budget) return why;
        if ((last && session.guest_state().pc != pc) || session.lane() != lane) return RunEnd::Trap;
    }
    return RunEnd::Budget;
}

/// The guest's kernel takes system calls where its stvec points to, in every mode.
RunEnd UnitStep::until_system_call(Session& session, u64 units) const {
    const u64 end = session.position() + units;
    while (session.position() < end) {
        const u64 vector = session.csr(session.guest_state(), Csr::stvec) & ~u64{3};
        const RunEnd why = run_to_own(session, {at(Breakpoint::Kind::Address, vector), at(Breakpoint::Kind::CsrWrite, static_cast<u64>(Csr::stvec))}, end - session.position());
        if (why != RunEnd::Trap) return why;
        const HartState guest = session.guest_state();
        if (guest.pc == vector && session.csr(guest, Csr::scause) == static_cast<u64>(Cause::EcallFromU)) return RunEnd::Trap;
        if (const RunEnd passed = session.step(); passed != RunEnd::Budget) return passed;
    }
    return RunEnd::Budget;
}

RunEnd UnitStep::until_table_changes(Session& session, u64 units) const {
    const u64 end = session.position() + units;
    std::vector<Breakpoint> own{at(Breakpoint::Kind::CsrWrite, static_cast<u64>(Csr::satp))};
    if (session.config().mode == Mode::Paravirtual) own.push_back(at(Breakpoint::Kind::Exit, static_cast<u64>(vmm::ExitReason::Hypercall)));
    while (session.position() < end) {
        if (guest_table(session) != table_) return RunEnd::Trap;
        if (const RunEnd why = run_to_own(session, own, end - session.position()); why != RunEnd::Trap) return why;
        if (const RunEnd passed = session.step(); passed != RunEnd::Budget) return passed;
    }
    return guest_table(session) != table_ ? RunEnd::Trap : RunEnd::Budget;
}

RunEnd UnitStep::until_process_changes(Session& session, u64 units) const {
    for (u64 i = 0; i < units; ++i) {
        if (const RunEnd why = session.step(); why != RunEnd::Budget) return why;
        if (session.trace().count(EventKind::ContextSwitch) != switches_) return RunEnd::Trap;
    }
    return RunEnd::Budget;
}

} // namespace trapeze::scenarios
