#include "ui/focused.hpp"

#include "container-sim/kernel.hpp"
#include "scenarios/page_tables.hpp"
#include "scenarios/walk.hpp"

#include <algorithm>

namespace trapeze::ui {

namespace {

constexpr std::size_t kMostReasons = 4; // of a histogram

std::string instruction_at(const Session& session, u64 address) {
    u8 bytes[4] = {};
    if (session.peek(address, bytes) < 2) return {};
    const u32 word = bytes[0] | bytes[1] << 8 | bytes[2] << 16 | static_cast<u32>(bytes[3]) << 24;
    // A compressed instruction is explained as what it stands for.
    const u32 whole = is_long(static_cast<u16>(word)) ? word : expand_compressed(static_cast<u16>(word));
    return disassemble_by_table(whole, address); // its own mnemonic, not a short name
}

/// "pid 7: getpid: 1, ..." or "pid 7: write(1, ...": the word after the pid.
std::string word_of(const std::string& text) {
    const std::size_t begin = text.find(": ");
    if (begin == std::string::npos) return {};
    return text.substr(begin + 2, text.find_first_of("(: =", begin + 2) - begin - 2);
}

/// What an event is about.
std::string things_of(const Trace& trace, const Event& event) {
    switch (event.kind) {
    case EventKind::TrapTaken: case EventKind::VmInject: return cause_name(unpack_cause(event.detail));
    case EventKind::TrapReturn: case EventKind::CsrWrite: case EventKind::VmExit: return trace.text_of(event.detail);
    case EventKind::WaitForInterrupt: return "wfi";
    case EventKind::FirmwareCall: return "sbi call";
    case EventKind::ShadowFill: return "shadow page fault";
    case EventKind::GStageFill: return "g-stage page fault";
    case EventKind::ShadowFlush: return "sfence.vma";
    case EventKind::HypercallRefused: return "hypercall";
    case EventKind::BlockTranslated: case EventKind::BlockChained: return "translate";
    case EventKind::CodeInvalidated: return "store to code";
    case EventKind::NamespaceLookup: case EventKind::SyscallEnter: case EventKind::SyscallExit: return word_of(event_text(trace, event));
    case EventKind::CopyUp: case EventKind::Whiteout: case EventKind::MergedLookup: return "mnt";
    default: return {};
    }
}

/// The newest answer of a namespace, else the newest system call.
std::string newest_answer(const Trace& trace) {
    std::string call;
    for (u64 i = trace.total(); i > trace.first(); --i) {
        const Event& event = trace.at(i - 1);
        if (event.kind == EventKind::NamespaceLookup) return things_of(trace, event);
        if (call.empty() && (event.kind == EventKind::SyscallEnter || event.kind == EventKind::SyscallExit)) call = things_of(trace, event);
    }
    return call;
}

std::string things_of(const vmm::ExitDossier& exit) {
    return std::string(vmm::exit_reason_row(exit.reason).name) + "\n" + cause_name(exit.hardware.cause) + (exit.word ? "\n" + disassemble_by_table(exit.word, exit.guest_pc) : std::string());
}

/// The reasons that came most often.
std::string frequent_exits(const vmm::Vmm& vmm) {
    std::vector<vmm::ExitReason> reasons;
    for (std::size_t i = 0; i < static_cast<std::size_t>(vmm::ExitReason::Count); ++i)
        if (vmm.exits(static_cast<vmm::ExitReason>(i))) reasons.push_back(static_cast<vmm::ExitReason>(i));
    std::stable_sort(reasons.begin(), reasons.end(), [&](auto a, auto b) { return vmm.exits(a) > vmm.exits(b); });
    std::string things;
    for (std::size_t i = 0; i < std::min(reasons.size(), kMostReasons); ++i) things += std::string(vmm::exit_reason_row(reasons[i]).name) + "\n";
    return things;
}

/// The bits that are set in a page-table entry, one a line.
std::string bits_of(u64 entry) {
    std::string things;
    for (const char letter : scenarios::entry_letters(entry))
        if (letter != '-') things += std::string(1, letter) + "\n";
    return things + "PPN";
}

/// The entry of the walk that is shown last; where nothing is translated, what would turn that on.
std::string walked_entry(const Debugger& debugger) {
    const Session& session = debugger.session();
    const PageWalk walk = scenarios::guest_walk(session, 0, debugger.walk_address().value_or(session.guest_state().pc));
    const u64 shown = std::min<u64>(debugger.walk_reads(), walk.steps);
    return shown ? bits_of(walk.read[shown - 1].entry) : "satp";
}

/// What the breakpoint is about that stops the session, else the first one.
std::string breakpoint_things(const Session& session) {
    const scenarios::Breakpoint* breakpoint = session.stopped_by();
    if (!breakpoint && !session.breakpoints().empty()) breakpoint = &session.breakpoints().front();
    if (!breakpoint) return "breakpoint";
    switch (breakpoint->kind) {
    case scenarios::Breakpoint::Kind::Address: return instruction_at(session, breakpoint->value);
    case scenarios::Breakpoint::Kind::CsrWrite: return csr_row(static_cast<u16>(breakpoint->value))->name;
    case scenarios::Breakpoint::Kind::Cause: return cause_name(breakpoint->value);
    case scenarios::Breakpoint::Kind::Exit: return vmm::exit_reason_row(static_cast<vmm::ExitReason>(breakpoint->value)).name;
    default: return "breakpoint";
    }
}

/// In a session of a kernel and its containers.
std::string container_things(const Session& session, const PanelState& state) {
    const Trace& trace = session.trace();
    if (state.focus == PanelId::Containers) return "pid\nuts\nmnt\nipc\nnet\nuser\ncgroup\ntime";
    if (state.focus == PanelId::Mounts || state.focus == PanelId::Overlay) return "mnt";
    if (state.focus == PanelId::Cgroups) return "cgroup";
    if (state.focus == PanelId::Network) return "net";
    if (state.focus == PanelId::Csrs) return csr_row(static_cast<u16>(state.csr))->name;
    if (state.focus == PanelId::Events && state.event_chosen >= trace.first() && state.event_chosen < trace.total()) return things_of(trace, trace.at(state.event_chosen));
    if (state.focus == PanelId::Code || state.focus == PanelId::Registers || state.focus == PanelId::CallStack) return instruction_at(session, session.guest_state().pc);
    return newest_answer(trace);
}

} // namespace

std::string things_of(const Thing& thing, const Debugger& debugger) {
    const Session& session = debugger.session();
    switch (thing.kind) {
    case ThingKind::Csr: return csr_row(static_cast<u16>(thing.number)) ? csr_row(static_cast<u16>(thing.number))->name : "";
    case ThingKind::Code: case ThingKind::Line: return instruction_at(session, thing.number);
    case ThingKind::Exit:
        if (session.vmm())
            for (const vmm::ExitDossier& exit : session.vmm()->ledger())
                if (exit.number == thing.number) return things_of(exit);
        return {};
    case ThingKind::Event: return thing.number >= session.trace().first() && thing.number < session.trace().total() ? things_of(session.trace(), session.trace().at(thing.number)) : std::string();
    case ThingKind::Entry: case ThingKind::HostEntry: return "V\nR\nW\nX\nU\nG\nA\nD\nPPN";
    case ThingKind::Process: case ThingKind::Container: return "pid\nuts\nmnt\nipc\nnet\nuser\ncgroup\ntime";
    default: return {};
    }
}

std::string focused_things(const Debugger& debugger, const PanelState& state) {
    const Session& session = debugger.session();
    const Trace& trace = session.trace();
    if (session.kernel()) return container_things(session, state);
    const auto mode = [&] { return vmm::mode_row(session.config().mode).name; };
    switch (state.focus) {
    case PanelId::Csrs: return csr_row(static_cast<u16>(state.csr))->name;
    case PanelId::Ledger: case PanelId::Dossier: return debugger.selected_exit() ? things_of(*debugger.selected_exit()) : mode();
    case PanelId::Exits: return session.vmm() && session.vmm()->exits() ? frequent_exits(*session.vmm()) : mode();
    case PanelId::Flip: {
        std::string modes;
        for (std::size_t i = 0; debugger.flip() && i < debugger.flip()->size(); ++i) modes += std::string(vmm::mode_row(debugger.flip()->mode(i)).name) + "\n";
        return modes.empty() ? mode() : modes;
    }
    case PanelId::Lanes: case PanelId::Vms: case PanelId::Host: return mode();
    case PanelId::Translations: return "translate\n" + instruction_at(session, debugger.selected_line());
    case PanelId::GuestTable: case PanelId::Walk: return walked_entry(debugger);
    case PanelId::MachineTable: return session.config().mode == vmm::Mode::HardwareAssisted ? "hgatp\ng-stage page fault" : "satp\nshadow page fault";
    case PanelId::Rings: return "descriptor table\navailable ring\nused ring\nkick\nindirect\nevent index";
    case PanelId::Devices: return "supervisor external interrupt\nsupervisor timer interrupt\nsupervisor software interrupt\ndevice access";
    case PanelId::Breakpoints: return breakpoint_things(session);
    case PanelId::Memory: return instruction_at(session, debugger.memory_place() && !debugger.memory_place()->physical ? debugger.memory_place()->address : debugger.selected_line());
    case PanelId::Events:
        if (state.event_chosen >= trace.first() && state.event_chosen < trace.total()) return things_of(trace, trace.at(state.event_chosen));
        return trace.total() ? things_of(trace, trace.at(trace.total() - 1)) : mode();
    default: return instruction_at(session, debugger.selected_line());
    }
}

} // namespace trapeze::ui
