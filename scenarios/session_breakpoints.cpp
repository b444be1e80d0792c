// Breakpoints of a session: which can fire, what they make a run watch, and which of them has stopped it.
#include "scenarios/session.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace trapeze::scenarios {

namespace {

constexpr u64 kCsrNumbers = 4096;

/// True for what can end up in xcause (Privileged specification, table of mcause).
bool is_cause(u64 cause, const HartFeatures& features) {
    constexpr u64 kExceptions = 0xbbff, kInterrupts = irq_bit(Irq::Ssi) | irq_bit(Irq::Msi) | irq_bit(Irq::Sti) | irq_bit(Irq::Mti) | irq_bit(Irq::Sei) | irq_bit(Irq::Mei);
    constexpr u64 kOfHypervisor = 0xf00400, kInterruptsOfHypervisor = irq_bit(Irq::Vssi) | irq_bit(Irq::Vsti) | irq_bit(Irq::Vsei) | irq_bit(Irq::Sgei);
    const u64 code = cause & ~kInterruptBit;
    const u64 exceptions = kExceptions | (features.hypervisor ? kOfHypervisor : 0), interrupts = kInterrupts | (features.hypervisor ? kInterruptsOfHypervisor : 0);
    return code < 64 && bit(cause & kInterruptBit ? interrupts : exceptions, static_cast<unsigned>(code));
}

DataWatch watched_memory(const Breakpoint& breakpoint) {
    return {breakpoint.value, breakpoint.value + breakpoint.bytes, breakpoint.on_loads, breakpoint.on_stores};
}

} // namespace

Watch Session::watch(Target target) const {
    Watch watch;
    watch.every_trap = target == Target::Trap && traps_are_watched();
    for (const Breakpoint& breakpoint : breakpoints_) {
        if (!breakpoint.enabled) continue;
        if (breakpoint.kind == Breakpoint::Kind::Address) watch.pcs.push_back(breakpoint.value);
        if (breakpoint.kind == Breakpoint::Kind::CsrWrite) watch.csr_writes.push_back(static_cast<u16>(breakpoint.value));
        if (breakpoint.kind == Breakpoint::Kind::Cause && traps_are_watched()) watch.every_trap = true;
        if (breakpoint.kind == Breakpoint::Kind::Memory) watch.data.push_back(watched_memory(breakpoint));
    }
    return watch;
}

bool Session::stops_at(const Breakpoint& breakpoint) const {
    if (!breakpoint.enabled) return false;
    const bool in_hypervisor = now_.vmm && now_.vmm->in_hypervisor(); // then the guest's instruction has begun already
    switch (breakpoint.kind) {
    case Breakpoint::Kind::Address: return !in_hypervisor && guest_state(current_hart()).pc == breakpoint.value;
    case Breakpoint::Kind::Memory: {
        if (in_hypervisor) return false;
        Watch watch;
        watch.data.push_back(watched_memory(breakpoint));
        const Hart view = walk_view(current_hart());
        Bus bus = const_cast<Session&>(*this).walk_bus(); // reading changes nothing
        return watch_hits(watch, view, bus);
    }
    case Breakpoint::Kind::CsrWrite: {
        const auto lines = code(0, 0);
        if (in_hypervisor || lines.empty()) return false;
        const Instruction insn = decode(lines.front().word);
        const Format format = row(insn.op).format;
        const bool writes = insn.op == Op::csrrw || insn.op == Op::csrrwi || insn.rs1 != 0;
        return (format == Format::Csr || format == Format::CsrI) && writes && static_cast<u64>(insn.imm) == breakpoint.value;
    }
    case Breakpoint::Kind::Cause:
        if (!traps_are_watched()) return in_hypervisor && now_.vmm->ledger().back().hardware.cause == breakpoint.value;
        for (u64 i = std::max(advanced_from_, trace().first()); i < trace().total(); ++i)
            if (trace().at(i).kind == EventKind::TrapTaken && unpack_cause(trace().at(i).detail) == breakpoint.value) return true;
        return false;
    case Breakpoint::Kind::Exit:
        return in_hypervisor && now_.vmm->ledger().back().reason == static_cast<vmm::ExitReason>(breakpoint.value);
    }
    return false;
}

const Breakpoint* Session::stopped_by() const {
    const auto found = std::find_if(breakpoints_.begin(), breakpoints_.end(), [this](const Breakpoint& b) { return stops_at(b); });
    return found == breakpoints_.end() ? nullptr : &*found;
}

Result<void> Session::add_breakpoint(const Breakpoint& breakpoint) {
    const auto refuse = [](const std::string& why) { return Error{fmt::format("this breakpoint cannot fire: {}", why)}; };
    if (now_.kernel) return refuse("programs in containers are not watched yet; step by system call instead");
    switch (breakpoint.kind) {
    case Breakpoint::Kind::Address:
        if (breakpoint.value & 1) return refuse(fmt::format("instructions begin at even addresses, 0x{:x} is odd", breakpoint.value));
        break;
    case Breakpoint::Kind::CsrWrite: {
        const CsrRow* csr = breakpoint.value < kCsrNumbers ? csr_row(static_cast<u16>(breakpoint.value)) : nullptr;
        if (!csr) return refuse(fmt::format("there is no CSR with number 0x{:x}; `trapeze isa` lists them", breakpoint.value));
        if (csr_read_only(static_cast<u16>(csr->csr))) return refuse(fmt::format("{} is read-only, so nothing writes it", csr->name));
        break;
    }
    case Breakpoint::Kind::Cause:
        if (!is_cause(breakpoint.value, traps_are_watched() && now_.vmm ? now_.vmm->guest_hart().features() : now_.machine.hart().features())) return refuse(fmt::format("no trap has cause 0x{:x} (Privileged specification, table of scause)", breakpoint.value));
        if (traps_are_watched() && !trace().wants(EventKind::TrapTaken)) return refuse("this session does not record traps; record the class trap");
        break;
    case Breakpoint::Kind::Exit:
        if (!now_.vmm) return refuse("exits leave a guest for its hypervisor, and this session has none");
        if (config_.mode == Mode::Interpret) return refuse("an interpreted guest never runs on the hart, so it never exits");
        if (breakpoint.value >= static_cast<u64>(vmm::ExitReason::Count)) return refuse(fmt::format("there is no exit reason number {}", breakpoint.value));
        break;
    case Breakpoint::Kind::Memory:
        if (!breakpoint.bytes || (!breakpoint.on_loads && !breakpoint.on_stores)) return refuse("it watches no memory, or neither loads nor stores");
        if (breakpoint.value + (breakpoint.bytes - 1) < breakpoint.value) return refuse("the watched memory reaches beyond the last address");
        break;
    }
    breakpoints_.push_back(breakpoint);
    return {};
}

void Session::toggle_breakpoint(u64 address) {
    const auto same = [&](const Breakpoint& b) { return b.kind == Breakpoint::Kind::Address && b.value == address; };
    if (std::erase_if(breakpoints_, same) == 0) (void)add_breakpoint({Breakpoint::Kind::Address, address, {}, true, 0});
}

} // namespace trapeze::scenarios
