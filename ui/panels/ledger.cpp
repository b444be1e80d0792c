// The trap ledger: every exit with who handled it and what it cost; without a hypervisor, every trap. And the dossier of one exit.
#include "ui/panels.hpp"
#include "ui/text.hpp"

#include <fmt/format.h>

namespace trapeze::ui {

namespace {

std::string instruction_text(const vmm::ExitDossier& exit) { return exit.word ? disassemble(exit.word, exit.guest_pc) : std::string("-"); }

void draw_exit_rows(const Debugger& debugger, const Theme& theme, PanelState& state, Commands& commands) {
    const vmm::Vmm& vmm = *debugger.session().vmm();
    if (vmm.ledger().empty())
        return prose(theme, theme.text, vmm.mode() == vmm::Mode::Interpret ? tr("An interpreted guest never runs on the hart, so it never exits.")
                                                                           : tr("No exit yet. F7 runs to the next one."));
    constexpr ImGuiTableFlags kFlags = ImGuiTableFlags_ScrollY | ImGuiTableFlags_RowBg | ImGuiTableFlags_SizingFixedFit | ImGuiTableFlags_Hideable;
    const bool roomy = ImGui::GetContentRegionAvail().x > ImGui::GetFontSize() * 22;
    if (!ImGui::BeginTable("exits", 5, kFlags)) return;
    ImGui::TableSetColumnEnabled(1, roomy); // the dossier says it as well
    ImGui::TableSetupScrollFreeze(0, 1);
    for (const char* title : {tr("no."), tr("from > to"), tr("why"), tr("instruction"), tr("cost")})
        ImGui::TableSetupColumn(title, std::string_view(title) == tr("instruction") ? ImGuiTableColumnFlags_WidthStretch : ImGuiTableColumnFlags_WidthFixed);
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
            context_menu(state, {ThingKind::Exit, exit.number, 0, fmt::format("{} {} {} {}", exit.number, vmm::exit_reason_row(exit.reason).name, hex(exit.guest_pc), instruction_text(exit))});
            ImGui::TableNextColumn();
            ImGui::TextColored(theme.privilege(exit.believed), "%c(%s)", priv_letter(exit.believed), mode_text(exit.real));
            tooltip(theme, trf("The guest ran in {} and believed to be in {}. {}", mode_text(exit.real), priv_letter(exit.believed),
                                       exit.injected ? tr("The hypervisor passed the trap on to the guest's own kernel.") : tr("The hypervisor handled it.")));
            ImGui::SameLine(0, 0);
            ImGui::TextColored(theme.hypervisor, exit.injected ? ">H>g" : ">H");
            ImGui::TableNextColumn();
            {
                const WithFont font(theme.fonts.prose);
                ImGui::TextUnformatted(vmm::exit_reason_row(exit.reason).name);
            }
            ImGui::TableNextColumn();
            ImGui::TextUnformatted(instruction_text(exit).c_str());
            ImGui::TableNextColumn();
            if (exit.complete) ImGui::Text("%llu", static_cast<unsigned long long>(exit.cost));
            else ImGui::TextColored(theme.hypervisor, "%s", tr("now"));
        }
    // The table knows its new height a frame later.
    if (state.ledger_seen != vmm.exits()) state.ledger_follow = 2;
    state.ledger_seen = vmm.exits();
    if (state.ledger_follow) --state.ledger_follow, ImGui::SetScrollY(ImGui::GetScrollMaxY() + ImGui::GetWindowHeight());
    ImGui::EndTable();
}

bool is_trap(const Event& event) { return event.kind == EventKind::TrapTaken || event.kind == EventKind::TrapReturn; }
bool is_call(const Event& event) {
    return event.kind == EventKind::SyscallEnter || event_row(event.kind).event_class == EventClass::Namespace || event.kind == EventKind::ProcessStart ||
           event.kind == EventKind::ProcessExit;
}

/// The newest events that `wanted` takes, oldest first; of so many at the end of the trace, because this is done for each frame.
template <class Wanted> std::vector<u64> newest(const Trace& trace, Wanted wanted) {
    constexpr std::size_t kMost = 300;
    constexpr u64 kLookedAt = 20'000;
    std::vector<u64> shown;
    for (u64 i = trace.total(); i > trace.first() && trace.total() - i < kLookedAt && shown.size() < kMost; --i)
        if (wanted(trace.at(i - 1))) shown.push_back(i - 1);
    return {shown.rbegin(), shown.rend()};
}

Thing thing_of(const Trace& trace, u64 index) { return {ThingKind::Event, index, 0, event_text(trace, trace.at(index))}; }

void follow(PanelState& state, u64 seen) {
    if (state.ledger_seen != seen) ImGui::SetScrollHereY(1.0f);
    state.ledger_seen = seen;
}

void draw_traps(const Debugger& debugger, const Theme& theme, PanelState& state) {
    const Trace& trace = debugger.session().trace();
    ImGui::BeginChild("traps");
    const auto shown = newest(trace, is_trap);
    if (shown.empty()) prose(theme, theme.text, tr("No trap yet. F7 runs to the next one."));
    ImGui::PushTextWrapPos(0);
    for (const u64 index : shown) {
        ImGui::TextColored(trace.at(index).kind == EventKind::TrapTaken ? theme.text : theme.dim, "%s", event_text(trace, trace.at(index)).c_str());
        context_menu(state, thing_of(trace, index));
    }
    ImGui::PopTextWrapPos();
    follow(state, trace.total());
    ImGui::EndChild();
}

/// In a container session the ledger is what processes asked of the kernel, and what namespaces decided.
void draw_calls(const Debugger& debugger, const Theme& theme, PanelState& state) {
    const Trace& trace = debugger.session().trace();
    ImGui::BeginChild("calls");
    const auto shown = newest(trace, is_call);
    if (shown.empty()) prose(theme, theme.text, tr("No system call yet. F7 runs to the next one, F5 runs on."));
    ImGui::PushTextWrapPos(0);
    for (const u64 index : shown) {
        const Event* event = &trace.at(index);
        const bool decided = event->kind == EventKind::NamespaceLookup;
        const bool life = event->kind == EventKind::ProcessStart || event->kind == EventKind::ProcessExit;
        ImGui::TextColored(decided ? theme.changed : life ? theme.accent : theme.text, "%s%s", decided ? "  \u2514 " : life ? "\u25cf " : "", event_text(trace, *event).c_str());
        context_menu(state, thing_of(trace, index));
    }
    ImGui::PopTextWrapPos();
    follow(state, trace.total());
    ImGui::EndChild();
}

void field(const Theme& theme, const char* name, const std::string& value) {
    ImGui::TextColored(theme.dim, "%s", name);
    ImGui::SameLine(ImGui::GetFontSize() * 6);
    ImGui::PushTextWrapPos(0);
    ImGui::TextUnformatted(value.c_str());
    ImGui::PopTextWrapPos();
}

/// One thing that the hypervisor did; the bar behind its cost shows the part of the whole.
void draw_step(const Theme& theme, const vmm::DossierStep& step, u64 whole) {
    const ImVec2 at = ImGui::GetCursorScreenPos();
    const float width = ImGui::CalcTextSize("00000 ").x, part = whole ? static_cast<float>(step.cost) / static_cast<float>(whole) : 0;
    const ImVec4 colour = theme.hypervisor;
    ImGui::GetWindowDrawList()->AddRectFilled(at, {at.x + width * part, at.y + ImGui::GetTextLineHeight()}, ImGui::GetColorU32(ImVec4(colour.x, colour.y, colour.z, 0.45f)), 2);
    ImGui::Text("%5llu", static_cast<unsigned long long>(step.cost));
    ImGui::SameLine(0, ImGui::GetFontSize());
    prose(theme, theme.text, vmm::step_text(step));
}

void draw_exit(const Debugger& debugger, const Theme& theme, PanelState& state, const vmm::ExitDossier& exit) {
    const vmm::ExitReasonRow& reason = vmm::exit_reason_row(exit.reason);
    {
        const WithFont font(theme.fonts.bold);
        ImGui::TextColored(theme.hypervisor, "%s", trf("Exit {}: {}", exit.number, reason.name).c_str());
    }
    prose(theme, theme.text, tr(reason.sentence));
    prose(theme, theme.dim, reason.section);
    ImGui::Separator();
    field(theme, tr("hardware"), trf("{}, value 0x{:x}", cause_name(exit.hardware.cause), exit.hardware.tval));
    field(theme, tr("guest"), trf("{} at 0x{:x} {}", instruction_text(exit), exit.guest_pc, debugger.session().guest().elf.describe(exit.guest_pc)));
    context_menu(state, {ThingKind::Code, exit.guest_pc, 0, hex(exit.guest_pc)});
    field(theme, tr("privilege"), trf("believed {}, really {}", priv_letter(exit.believed), mode_text(exit.real)));
    for (const vmm::CsrChange& change : exit.changes) {
        const char* name = csr_row(change.number) ? csr_row(change.number)->name : "?";
        field(theme, tr("virtual"), fmt::format("{}: 0x{:x} \u2192 0x{:x}", name, change.before, change.after));
        context_menu(state, {ThingKind::Csr, change.number, change.after, fmt::format("{} = {}", name, hex(change.after))});
    }
    ImGui::Separator();
    if (!exit.complete) prose(theme, theme.hypervisor, tr("Not handled yet. F11 lets the hypervisor do it."));
    else prose(theme, theme.accent, trf("What it cost: {} cycles (cost model \"{}\")", exit.cost, debugger.session().config().costs.name));
    for (const vmm::DossierStep& step : exit.steps) draw_step(theme, step, exit.cost);
}

} // namespace

void draw_ledger(const Debugger& debugger, const Theme& theme, PanelState& state, Commands& commands) {
    if (debugger.session().kernel()) return draw_calls(debugger, theme, state);
    if (debugger.session().vmm()) draw_exit_rows(debugger, theme, state, commands);
    else draw_traps(debugger, theme, state);
}

void draw_dossier(const Debugger& debugger, const Theme& theme, PanelState& state, Commands&) {
    ImGui::BeginChild("dossier");
    const vmm::ExitDossier* exit = debugger.selected_exit();
    if (exit) draw_exit(debugger, theme, state, *exit);
    else prose(theme, theme.text, debugger.session().vmm() ? tr("Every exit has a dossier: what the hart saw, what the guest believed, what the hypervisor did. There is none yet.")
                                                           : tr("Without a hypervisor there are no exits: traps go to the guest's own kernel."));
    if (exit && state.dossier_seen != exit->number) ImGui::SetScrollY(0);
    state.dossier_seen = exit ? exit->number : 0;
    ImGui::EndChild();
}

Sheet sheet_ledger(const Debugger& debugger, const PanelState&) {
    const Session& session = debugger.session();
    Table table;
    if (session.vmm()) {
        table.columns = {tr("no."), tr("believed"), tr("real"), tr("to"), tr("why"), tr("instruction"), "pc", tr("cost")};
        for (const vmm::ExitDossier& exit : session.vmm()->ledger())
            table.rows.push_back({std::to_string(exit.number), std::string(1, priv_letter(exit.believed)), mode_text(exit.real), exit.injected ? tr("hypervisor, guest") : tr("hypervisor"),
                                  vmm::exit_reason_row(exit.reason).name, instruction_text(exit), hex(exit.guest_pc), exit.complete ? std::to_string(exit.cost) : tr("now")});
        return Sheet().say(trf("{} exits; the newest {}:", session.vmm()->exits(), table.rows.size())).add(std::move(table));
    }
    const Trace& trace = session.trace();
    const bool containers = session.kernel() != nullptr;
    table.columns = {tr("cycle"), tr("event"), tr("what")};
    for (const u64 index : newest(trace, [&](const Event& e) { return containers ? is_call(e) : is_trap(e); }))
        table.rows.push_back({std::to_string(trace.at(index).time), event_row(trace.at(index).kind).name, event_text(trace, trace.at(index))});
    return Sheet().say(containers ? tr("System calls, and what namespaces decided:") : tr("Traps and returns:")).add(std::move(table));
}

Sheet sheet_dossier(const Debugger& debugger, const PanelState&) {
    const vmm::ExitDossier* exit = debugger.selected_exit();
    if (!exit) return Sheet().say(tr("There is no exit to tell of."));
    const vmm::ExitReasonRow& reason = vmm::exit_reason_row(exit->reason);
    Sheet sheet;
    sheet.say(trf("Exit {}: {}", exit->number, reason.name)).say(tr(reason.sentence)).say(reason.section);
    sheet.say(trf("hardware: {}, value 0x{:x}", cause_name(exit->hardware.cause), exit->hardware.tval));
    sheet.say(trf("guest: {} at 0x{:x} {}", instruction_text(*exit), exit->guest_pc, debugger.session().guest().elf.describe(exit->guest_pc)));
    sheet.say(trf("privilege: believed {}, really {}", priv_letter(exit->believed), mode_text(exit->real)));
    for (const vmm::CsrChange& change : exit->changes)
        sheet.say(trf("virtual {}: 0x{:x} -> 0x{:x}", csr_row(change.number) ? csr_row(change.number)->name : "?", change.before, change.after));
    sheet.say(exit->complete ? trf("cost: {} cycles (cost model \"{}\")", exit->cost, debugger.session().config().costs.name) : tr("not handled yet"));
    Table table{{tr("cost"), tr("step")}};
    for (const vmm::DossierStep& step : exit->steps) table.rows.push_back({std::to_string(step.cost), vmm::step_text(step)});
    return sheet.add(std::move(table));
}

} // namespace trapeze::ui
