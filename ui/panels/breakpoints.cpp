// Breakpoints: all of them, whether they are on, how often they were met, what they are called; and a place to add one.
#include "ui/panels.hpp"
#include "ui/text.hpp"

#include <fmt/format.h>

#include <cstring>

namespace trapeze::ui {

namespace {

constexpr const char* kNone = later("No breakpoint. F9 sets one at the selected line; or type a place below.");

void draw_row(const Debugger& debugger, const Theme& theme, PanelState& state, Commands& commands, u64 index) {
    const Session& session = debugger.session();
    const auto& breakpoint = session.breakpoints()[index];
    ImGui::TableNextRow();
    ImGui::TableNextColumn();
    bool enabled = breakpoint.enabled;
    if (ImGui::Checkbox("##on", &enabled)) commands.push_back({Action::EnableBreakpoint, index, enabled ? "on" : "off"});
    tooltip(theme, enabled ? tr("It stops the guest. Click to turn it off.") : tr("It is off. Click to turn it on."));
    ImGui::TableNextColumn();
    const bool stopped = session.stopped_by() == &breakpoint && !debugger.running();
    ImGui::AlignTextToFramePadding();
    ImGui::TextColored(stopped ? theme.bad : breakpoint.enabled ? theme.text : theme.dim, "%s%s", stopped ? "\u25b6 " : "", session.breakpoint_text(breakpoint).c_str());
    const std::pair<scenarios::Breakpoint::Kind, ThingKind> kKinds[] = {{scenarios::Breakpoint::Kind::Address, ThingKind::Code}, {scenarios::Breakpoint::Kind::CsrWrite, ThingKind::Csr},
                                                                        {scenarios::Breakpoint::Kind::Memory, ThingKind::Address}};
    for (const auto& [kind, thing] : kKinds)
        if (breakpoint.kind == kind) context_menu(state, {thing, breakpoint.value, 0, session.breakpoint_text(breakpoint)});
    ImGui::TableNextColumn();
    ImGui::AlignTextToFramePadding();
    ImGui::Text("%llu", static_cast<unsigned long long>(breakpoint.hits));
    for (const bool label : {true, false}) {
        ImGui::TableNextColumn();
        const std::string& text = label ? breakpoint.label : breakpoint.condition;
        char bytes[128] = "";
        std::strncpy(bytes, text.c_str(), sizeof bytes - 1);
        ImGui::SetNextItemWidth(-1);
        ImGui::InputTextWithHint(label ? "##label" : "##condition", label ? tr("label") : tr("always"), bytes, sizeof bytes);
        if (!label) tooltip(theme, tr("A condition in Lua, such as reg(\"a0\") == 7: the guest stops only where it is true."));
        if (ImGui::IsItemDeactivatedAfterEdit() && text != bytes) commands.push_back({label ? Action::LabelBreakpoint : Action::ConditionBreakpoint, index, bytes});
    }
    ImGui::TableNextColumn();
    if (ImGui::SmallButton("\u00d7")) commands.push_back({Action::RemoveBreakpoint, index});
    tooltip(theme, tr("Remove this breakpoint."));
}

} // namespace

void draw_breakpoints(const Debugger& debugger, const Theme& theme, PanelState& state, Commands& commands) {
    const auto& breakpoints = debugger.session().breakpoints();
    const float line = ImGui::GetFrameHeightWithSpacing();
    if (breakpoints.empty()) prose(theme, theme.text, tr(kNone));
    else if (ImGui::BeginTable("breakpoints", 6, ImGuiTableFlags_ScrollY | ImGuiTableFlags_RowBg | ImGuiTableFlags_SizingFixedFit, {0, std::max(line, ImGui::GetContentRegionAvail().y - line)})) {
        ImGui::TableSetupScrollFreeze(0, 1);
        ImGui::TableSetupColumn(tr("on"));
        ImGui::TableSetupColumn(tr("stops at"));
        ImGui::TableSetupColumn(tr("hits"));
        ImGui::TableSetupColumn(tr("label"), ImGuiTableColumnFlags_WidthStretch);
        ImGui::TableSetupColumn(tr("if"), ImGuiTableColumnFlags_WidthStretch);
        ImGui::TableSetupColumn("");
        ImGui::TableHeadersRow();
        for (u64 i = 0; i < breakpoints.size(); ++i) {
            ImGui::PushID(static_cast<int>(i));
            draw_row(debugger, theme, state, commands, i);
            ImGui::PopID();
        }
        ImGui::EndTable();
    }
    ImGui::SetNextItemWidth(std::max(ImGui::GetFontSize() * 6, ImGui::GetContentRegionAvail().x - ImGui::GetFontSize() * 4));
    const bool entered = ImGui::InputTextWithHint("##new", tr("main+8, csr satp, cause 13, exit csr access, write ADDRESS"), state.breakpoint_text, sizeof state.breakpoint_text,
                                                  ImGuiInputTextFlags_EnterReturnsTrue);
    ImGui::SameLine();
    if ((ImGui::Button(tr("Add")) || entered) && state.breakpoint_text[0]) {
        commands.push_back({Action::AddBreakpoint, 0, state.breakpoint_text});
        state.breakpoint_text[0] = 0;
    }
}

Sheet sheet_breakpoints(const Debugger& debugger, const PanelState&) {
    const Session& session = debugger.session();
    if (session.breakpoints().empty()) return Sheet().say(tr("There is no breakpoint."));
    Table table{{tr("on"), tr("stops at"), tr("hits"), tr("label"), tr("condition")}};
    for (const auto& breakpoint : session.breakpoints())
        table.rows.push_back({breakpoint.enabled ? tr("yes") : tr("no"), session.breakpoint_text(breakpoint), std::to_string(breakpoint.hits), breakpoint.label, breakpoint.condition});
    return Sheet().add(std::move(table));
}

} // namespace trapeze::ui
