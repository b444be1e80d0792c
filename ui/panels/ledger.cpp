// The trap ledger: every exit with who handled it and what it cost; without a hypervisor, every trap. And the dossier of one exit.
#include "ui/panels.hpp"

#include <fmt/format.h>

namespace trapeze::ui {

namespace {

std::string instruction_text(const vmm::ExitDossier& exit) { return exit.word ? disassemble(exit.word, exit.guest_pc) : std::string("-"); }

void draw_exits(const Debugger& debugger, const Theme& theme, PanelState& state, Commands& commands) {
    const vmm::Vmm& vmm = *debugger.session().vmm();
    if (vmm.ledger().empty()) {
        ImGui::TextWrapped("%s", vmm.mode() == vmm::Mode::Interpret ? "An interpreted guest never runs on the hart, so it never exits."
                                                                    : "No exit yet. F7 runs to the next one.");
        return;
    }
    constexpr ImGuiTableFlags kFlags = ImGuiTableFlags_ScrollY | ImGuiTableFlags_RowBg | ImGuiTableFlags_SizingFixedFit;
    if (!ImGui::BeginTable("exits", 5, kFlags)) return;
    ImGui::TableSetupScrollFreeze(0, 1);
    for (const char* title : {"no.", "from>to", "why", "instruction", "cost"}) ImGui::TableSetupColumn(title);
    ImGui::TableHeadersRow();
    ImGuiListClipper clipper;
    clipper.Begin(static_cast<int>(vmm.ledger().size()));
    while (clipper.Step())
        for (int i = clipper.DisplayStart; i < clipper.DisplayEnd; ++i) {
            const vmm::ExitDossier& exit = vmm.ledger()[static_cast<std::size_t>(i)];
            ImGui::TableNextRow();
            ImGui::TableNextColumn();
            const bool selected = debugger.selected_exit() == &exit;
            if (ImGui::Selectable(fmt::format("{}", exit.number).c_str(), selected, ImGuiSelectableFlags_SpanAllColumns)) commands.push_back({Action::SelectExit, exit.number});
            ImGui::TableNextColumn();
            ImGui::TextColored(theme.privilege(exit.believed), "%c(%c)>%c", priv_letter(exit.believed), priv_letter(exit.real), priv_letter(exit.hardware.to));
            ImGui::TableNextColumn();
            ImGui::TextUnformatted(vmm::exit_reason_row(exit.reason).name);
            ImGui::TableNextColumn();
            ImGui::TextUnformatted(instruction_text(exit).c_str());
            ImGui::TableNextColumn();
            if (exit.complete) ImGui::Text("%llu", static_cast<unsigned long long>(exit.cost));
            else ImGui::TextColored(theme.hypervisor, "now");
        }
    if (state.ledger_seen != vmm.exits()) ImGui::SetScrollY(ImGui::GetTextLineHeightWithSpacing() * static_cast<float>(vmm.ledger().size() + 4));
    state.ledger_seen = vmm.exits();
    ImGui::EndTable();
}

void draw_traps(const Debugger& debugger, PanelState& state) {
    const Trace& trace = debugger.session().trace();
    ImGui::BeginChild("traps");
    std::vector<const Event*> shown;
    constexpr std::size_t kMost = 200;
    for (u64 i = trace.total(); i > trace.first() && shown.size() < kMost; --i) {
        const Event& event = trace.at(i - 1);
        if (event.kind == EventKind::TrapTaken || event.kind == EventKind::TrapReturn) shown.push_back(&event);
    }
    if (shown.empty()) ImGui::TextWrapped("No trap yet. F7 runs to the next one.");
    for (auto event = shown.rbegin(); event != shown.rend(); ++event) ImGui::TextUnformatted(event_text(trace, **event).c_str());
    if (state.ledger_seen != trace.total()) ImGui::SetScrollHereY(1.0f);
    state.ledger_seen = trace.total();
    ImGui::EndChild();
}

/// In a container session the ledger is what processes asked of the kernel, and what namespaces decided.
void draw_calls(const Debugger& debugger, const Theme& theme, PanelState& state) {
    const Trace& trace = debugger.session().trace();
    ImGui::BeginChild("calls");
    std::vector<const Event*> shown;
    constexpr std::size_t kMost = 300;
    for (u64 i = trace.total(); i > trace.first() && shown.size() < kMost; --i) {
        const Event& event = trace.at(i - 1);
        const EventClass kind = event_row(event.kind).event_class;
        if ((kind == EventClass::Syscall && event.kind == EventKind::SyscallEnter) || kind == EventClass::Namespace || event.kind == EventKind::ProcessStart || event.kind == EventKind::ProcessExit)
            shown.push_back(&event);
    }
    if (shown.empty()) ImGui::TextWrapped("No system call yet. F11 runs one instruction, F5 runs on.");
    ImGui::PushTextWrapPos(0);
    for (auto event = shown.rbegin(); event != shown.rend(); ++event) {
        const bool decided = (*event)->kind == EventKind::NamespaceLookup;
        ImGui::TextColored(decided ? theme.changed : theme.text, "%s%s", decided ? "  namespace: " : "", event_text(trace, **event).c_str());
    }
    ImGui::PopTextWrapPos();
    if (state.ledger_seen != trace.total()) ImGui::SetScrollHereY(1.0f);
    state.ledger_seen = trace.total();
    ImGui::EndChild();
}

void field(const Theme& theme, const char* name, const std::string& value) {
    ImGui::TextColored(theme.dim, "%-10s", name);
    ImGui::SameLine();
    ImGui::PushTextWrapPos(0);
    ImGui::TextUnformatted(value.c_str());
    ImGui::PopTextWrapPos();
}

} // namespace

void draw_ledger(const Debugger& debugger, const Theme& theme, PanelState& state, Commands& commands) {
    if (debugger.session().kernel()) return draw_calls(debugger, theme, state);
    if (debugger.session().vmm()) draw_exits(debugger, theme, state, commands);
    else draw_traps(debugger, state);
}

void draw_dossier(const Debugger& debugger, const Theme& theme, PanelState&, Commands&) {
    const vmm::ExitDossier* exit = debugger.selected_exit();
    ImGui::BeginChild("dossier");
    if (!exit) {
        ImGui::TextWrapped("%s", debugger.session().vmm() ? "Select an exit in the ledger." : "Without a hypervisor there are no exits: traps go to the guest's own kernel.");
        ImGui::EndChild();
        return;
    }
    const vmm::ExitReasonRow& reason = vmm::exit_reason_row(exit->reason);
    ImGui::TextColored(theme.hypervisor, "exit %llu: %s", static_cast<unsigned long long>(exit->number), reason.name);
    ImGui::PushTextWrapPos(0);
    ImGui::TextUnformatted(reason.sentence);
    ImGui::TextColored(theme.dim, "%s", reason.section);
    ImGui::PopTextWrapPos();
    ImGui::Separator();
    field(theme, "hardware", fmt::format("{}, value 0x{:x}", cause_name(exit->hardware.cause), exit->hardware.tval));
    field(theme, "guest", fmt::format("{} at 0x{:x} {}", instruction_text(*exit), exit->guest_pc, debugger.session().guest().elf.describe(exit->guest_pc)));
    field(theme, "privilege", fmt::format("believed {}, really {}", priv_letter(exit->believed), priv_letter(exit->real)));
    ImGui::Separator();
    for (const vmm::DossierStep& step : exit->steps) {
        ImGui::TextColored(theme.dim, "%6llu ", static_cast<unsigned long long>(step.cost));
        ImGui::SameLine();
        ImGui::PushTextWrapPos(0);
        ImGui::TextUnformatted(vmm::step_text(step).c_str());
        ImGui::PopTextWrapPos();
    }
    if (exit->complete) ImGui::TextColored(theme.accent, "%6llu  cycles in all (cost model %s)", static_cast<unsigned long long>(exit->cost), debugger.session().config().costs.name.c_str());
    else ImGui::TextColored(theme.hypervisor, "not handled yet: F11 lets the hypervisor do it");
    for (const vmm::CsrChange& change : exit->changes)
        field(theme, "virtual", fmt::format("{}: 0x{:x} -> 0x{:x}", csr_row(change.number) ? csr_row(change.number)->name : "?", change.before, change.after));
    ImGui::EndChild();
}

} // namespace trapeze::ui
