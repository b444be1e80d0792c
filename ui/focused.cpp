#include "ui/focused.hpp"

#include "container-sim/kernel.hpp"

namespace trapeze::ui {

namespace {

std::string selected_instruction(const Debugger& debugger) {
    const Session& session = debugger.session();
    u8 bytes[4] = {};
    if (session.peek(debugger.selected_line(), bytes) < 2) return {};
    const u32 word = bytes[0] | bytes[1] << 8 | bytes[2] << 16 | static_cast<u32>(bytes[3]) << 24;
    // A compressed instruction is explained as what it stands for.
    const u32 whole = is_long(static_cast<u16>(word)) ? word : expand_compressed(static_cast<u16>(word));
    return disassemble_by_table(whole, debugger.selected_line()); // its own mnemonic, not a short name
}

/// The newest answer of a namespace: what its text begins with.
std::string newest_answer(const Trace& trace) {
    for (u64 i = trace.total(); i > trace.first(); --i) {
        const Event& event = trace.at(i - 1);
        if (event.kind != EventKind::NamespaceLookup) continue;
        const std::string text = event_text(trace, event);
        const std::size_t begin = text.find(": "), end = text.find(':', begin + 2);
        if (begin != std::string::npos && end != std::string::npos) return text.substr(begin + 2, end - begin - 2);
        return {};
    }
    return {};
}

} // namespace

std::string focused_things(const Debugger& debugger, const PanelState& state) {
    const Session& session = debugger.session();
    switch (state.focus) {
    case PanelId::Csrs: return csr_row(static_cast<u16>(state.csr))->name;
    case PanelId::Ledger: case PanelId::Dossier:
        if (session.kernel()) return newest_answer(session.trace());
        if (const vmm::ExitDossier* exit = debugger.selected_exit())
            return std::string(vmm::exit_reason_row(exit->reason).name) + "\n" + cause_name(exit->hardware.cause) + (exit->word ? "\n" + disassemble_by_table(exit->word, exit->guest_pc) : std::string());
        return vmm::mode_row(session.config().mode).name;
    case PanelId::Containers: return "pid\nuts\nmnt\nipc\nnet\nuser\ncgroup\ntime";
    case PanelId::Lanes: return vmm::mode_row(session.config().mode).name;
    default: break;
    }
    if (session.kernel()) return newest_answer(session.trace());
    return selected_instruction(debugger);
}

} // namespace trapeze::ui
