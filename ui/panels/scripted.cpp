// The panels that scripts define: texts, tables and plots that their draw functions have said (scenarios/lua_panels.hpp).
#include "ui/panels.hpp"
#include "ui/text.hpp"
#include "ui/table_view.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace trapeze::ui {

namespace {

using scenarios::LuaPanel;
using scenarios::LuaPanelPart;

constexpr const char* kNothing = later("It shows nothing yet.");

const LuaPanel* panel_at(const Debugger& debugger, std::size_t index) {
    const auto& panels = debugger.lua_console().panels();
    return index < panels.size() ? &panels[index] : nullptr;
}

std::string plot_title(const LuaPanelPart& part) {
    if (part.values.empty()) return trf("{}: no value", part.text);
    const auto [least, most] = std::minmax_element(part.values.begin(), part.values.end());
    return trf("{}: {} values, {:.6g} to {:.6g}", part.text, part.values.size(), *least, *most);
}

void draw_plot(const Theme& theme, const LuaPanelPart& part) {
    prose(theme, theme.dim, plot_title(part));
    if (part.values.empty()) return;
    const auto [least, most] = std::minmax_element(part.values.begin(), part.values.end());
    const float from = std::min(0.0f, *least), to = *most > from ? *most : from + 1;
    const ImVec2 size{ImGui::GetContentRegionAvail().x, ImGui::GetFontSize() * 5};
    const auto count = static_cast<int>(part.values.size());
    ImGui::PushStyleColor(ImGuiCol_PlotLines, theme.accent);
    ImGui::PushStyleColor(ImGuiCol_PlotHistogram, theme.accent);
    if (part.kind == LuaPanelPart::Kind::Lines && count > 1) ImGui::PlotLines("##plot", part.values.data(), count, 0, nullptr, from, to, size);
    else ImGui::PlotHistogram("##plot", part.values.data(), count, 0, nullptr, from, to, size);
    ImGui::PopStyleColor(2);
}

void draw_part(const Theme& theme, const LuaPanelPart& part, bool last) {
    constexpr float kRows = 12; // of a table with something below it
    switch (part.kind) {
    case LuaPanelPart::Kind::Text:
        ImGui::PushTextWrapPos(0);
        ImGui::TextUnformatted(part.text.c_str());
        ImGui::PopTextWrapPos();
        return;
    case LuaPanelPart::Kind::Table: {
        const float line = ImGui::GetTextLineHeight() + ImGui::GetStyle().CellPadding.y * 2, all = line * static_cast<float>(part.rows.size() + 1) + ImGui::GetStyle().ScrollbarSize;
        TableLook look;
        look.height = std::min(all, last ? std::max(line * 3, ImGui::GetContentRegionAvail().y) : line * kRows);
        draw_table(theme, "##table", {part.columns, part.rows}, look);
        return;
    }
    case LuaPanelPart::Kind::Lines: case LuaPanelPart::Kind::Bars: draw_plot(theme, part);
    }
}

void draw_scripted(const Debugger& debugger, const Theme& theme, std::size_t index) {
    const LuaPanel* panel = panel_at(debugger, index);
    if (!panel) return prose(theme, theme.text, tr(kNothing));
    ImGui::BeginChild("parts");
    if (!panel->error.empty()) prose(theme, theme.bad, "! " + panel->error);
    if (panel->parts.empty() && panel->error.empty()) prose(theme, theme.dim, tr(kNothing));
    for (std::size_t i = 0; i < panel->parts.size(); ++i) {
        ImGui::PushID(static_cast<int>(i));
        draw_part(theme, panel->parts[i], i + 1 == panel->parts.size());
        ImGui::PopID();
    }
    ImGui::EndChild();
}

Sheet scripted_sheet(const Debugger& debugger, std::size_t index) {
    constexpr std::size_t kColumns = 64; // of a plot
    const LuaPanel* panel = panel_at(debugger, index);
    if (!panel) return Sheet().say(tr("No script has defined this panel; docs/scripts.md tells how."));
    Sheet sheet;
    sheet.say(panel->title);
    for (const LuaPanelPart& part : panel->parts) {
        if (part.kind == LuaPanelPart::Kind::Text) sheet.say(part.text);
        else if (part.kind == LuaPanelPart::Kind::Table) sheet.add({part.columns, part.rows});
        else sheet.say(plot_title(part)).say(scenarios::plot_text(part.values, kColumns));
    }
    return panel->error.empty() ? sheet : sheet.say("! " + panel->error);
}

} // namespace

void draw_scripted_1(const Debugger& debugger, const Theme& theme, PanelState&, Commands&) { draw_scripted(debugger, theme, 0); }
void draw_scripted_2(const Debugger& debugger, const Theme& theme, PanelState&, Commands&) { draw_scripted(debugger, theme, 1); }
void draw_scripted_3(const Debugger& debugger, const Theme& theme, PanelState&, Commands&) { draw_scripted(debugger, theme, 2); }
void draw_scripted_4(const Debugger& debugger, const Theme& theme, PanelState&, Commands&) { draw_scripted(debugger, theme, 3); }
Sheet sheet_scripted_1(const Debugger& debugger, const PanelState&) { return scripted_sheet(debugger, 0); }
Sheet sheet_scripted_2(const Debugger& debugger, const PanelState&) { return scripted_sheet(debugger, 1); }
Sheet sheet_scripted_3(const Debugger& debugger, const PanelState&) { return scripted_sheet(debugger, 2); }
Sheet sheet_scripted_4(const Debugger& debugger, const PanelState&) { return scripted_sheet(debugger, 3); }

} // namespace trapeze::ui
