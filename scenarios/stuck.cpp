#include "container-sim/kernel.hpp"
#include "scenarios/stuck.hpp"

#include <fmt/format.h>

namespace trapeze::scenarios {

namespace {

u64 retired(const Session& session) {
    if (session.vmm()) return session.vmm()->guest_instructions(session.machine());
    u64 sum = 0;
    for (const Hart& hart : session.machine().harts) sum += hart.state.retired;
    return sum;
}

/// True when no interrupt can end what the guest does now.
bool uninterruptible(const HartState& state) {
    return state[Csr::mie] == 0 || (state.priv == Priv::M && !(state[Csr::mstatus] & mstatus::MIE));
}

/// Of the traps at the end of the trace, the one before they all came from the trap handler.
const Event* first_fall(const Session& session, u64 handler) {
    const Trace& trace = session.trace();
    const unsigned tag = session.vmm() ? 1 : 0; // the guest's own traps, not those of the hart under it
    for (u64 i = trace.total(); i > trace.first(); --i) {
        const Event& event = trace.at(i - 1);
        if (event.kind == EventKind::TrapTaken && event.tag == tag && event.pc != handler) return &event;
    }
    return nullptr;
}

std::string trap_loop(const Session& session) {
    const HartState state = session.guest_state();
    const char* vector = state.priv == Priv::M ? "mtvec" : "stvec";
    const char* cause = cause_name(state[state.priv == Priv::M ? Csr::mcause : Csr::scause]);
    const Event* first = first_fall(session, state.pc);
    if (!first)
        return fmt::format("the guest is stuck: its trap handler at 0x{:x} ({}) takes the trap \"{}\" itself, for ever; set {} to a handler that can run", state.pc,
                           vector, cause, vector);
    return fmt::format("the guest is stuck: at 0x{:x} it took the trap \"{}\", and its trap handler at 0x{:x} ({}) takes \"{}\" itself, for ever; mend what "
                       "leads to 0x{:x}, or set {} to a handler that can run",
                       first->pc, cause_name(unpack_cause(first->detail)), state.pc, vector, cause, first->pc, vector);
}

} // namespace

std::optional<std::string> StuckGuard::look(const Session& session) {
    if (session.kernel() || session.halted()) return std::nullopt;
    const u64 before = retired_;
    retired_ = retired(session);
    if (retired_ == before) return trap_loop(session);
    const HartState state = session.guest_state();
    if (session.machine().harts.size() > 1 || !uninterruptible(state)) return std::nullopt;
    const auto lines = session.code(0, 0);
    if (lines.empty()) return std::nullopt;
    const Instruction insn = decode(lines.front().word);
    if (insn.op != Op::jal || insn.imm != 0) return std::nullopt;
    const std::string place = session.guest().elf.describe(state.pc);
    return fmt::format("the guest is stuck: the instruction at 0x{:x}{} jumps to itself, and no interrupt is enabled that would end that; end a program through "
                       "tohost or the test finisher, or enable an interrupt first",
                       state.pc, place.empty() ? "" : " (" + place + ")");
}

} // namespace trapeze::scenarios
