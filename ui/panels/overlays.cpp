// Help and command palette, both drawn from the key table.
#include "ui/panels.hpp"

#include <algorithm>
#include <cctype>

namespace trapeze::ui {

namespace {

void begin_overlay(const char* title) {
    const ImVec2 size = ImGui::GetIO().DisplaySize;
    ImGui::SetNextWindowPos({size.x / 2, size.y * 0.12f}, ImGuiCond_Always, {0.5f, 0});
    ImGui::SetNextWindowSize({std::min(size.x * 0.9f, ImGui::GetFontSize() * 48), 0});
    ImGui::SetNextWindowFocus();
    ImGui::Begin(title, nullptr, ImGuiWindowFlags_NoCollapse | ImGuiWindowFlags_NoMove | ImGuiWindowFlags_NoResize | ImGuiWindowFlags_NoSavedSettings);
}

void draw_help(const Theme& theme) {
    begin_overlay("Help");
    for (const KeyRow& row : key_rows()) {
        ImGui::TextColored(theme.accent, "%-14s", row.chord);
        ImGui::SameLine();
        ImGui::Text("%-16s", row.name);
        ImGui::SameLine();
        ImGui::TextColored(theme.dim, "%s", row.sentence);
    }
    ImGui::Separator();
    for (Priv priv : {Priv::U, Priv::S, Priv::M}) {
        ImGui::TextColored(theme.privilege(priv), "%c", priv_letter(priv));
        ImGui::SameLine();
        ImGui::TextUnformatted(priv == Priv::U ? "user mode  " : priv == Priv::S ? "supervisor mode  " : "machine mode");
        if (priv != Priv::M) ImGui::SameLine();
    }
    ImGui::TextUnformatted("In the code, the left stripe is the privilege that the guest believes it has, the right one the one it has.");
    ImGui::TextColored(theme.changed, "value*");
    ImGui::SameLine();
    ImGui::TextUnformatted("was changed by the last step.");
    ImGui::TextColored(theme.dim, "Disassembly by %s. F1 or Esc closes this.", disassembler_name());
    ImGui::End();
}

bool matches(std::string name, std::string wanted) {
    const auto lower = [](std::string& text) { std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); }); };
    lower(name), lower(wanted);
    return name.find(wanted) != std::string::npos;
}

bool draw_palette(const Theme& theme, PanelState& state, Commands& commands) {
    begin_overlay("Command palette");
    bool chosen = false;
    if (ImGui::IsWindowAppearing()) ImGui::SetKeyboardFocusHere();
    const bool entered = ImGui::InputText("##find", state.palette_text, sizeof state.palette_text, ImGuiInputTextFlags_EnterReturnsTrue);
    for (const KeyRow& row : key_rows()) {
        if (row.action == Action::ShowPalette || !matches(row.name, state.palette_text)) continue;
        const bool first = !chosen && entered;
        if (ImGui::Selectable(row.name) || first) {
            commands.push_back({row.action});
            chosen = true;
        }
        ImGui::SameLine(ImGui::GetFontSize() * 12);
        ImGui::TextColored(theme.dim, "%-14s %s", row.chord, row.sentence);
        if (first) break;
    }
    ImGui::End();
    return chosen;
}

} // namespace

void draw_overlays(Debugger& debugger, const Theme& theme, PanelState& state, Commands& commands) {
    if (debugger.help_shown()) draw_help(theme);
    if (debugger.palette_shown() && draw_palette(theme, state, commands)) {
        debugger.hide_overlays();
        state.palette_text[0] = 0;
    }
    if (ImGui::IsKeyPressed(ImGui::GetKeyIndex(ImGuiKey_Escape))) debugger.hide_overlays();
}

} // namespace trapeze::ui
