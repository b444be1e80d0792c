// The guest's console: what it printed, and a place to type. And the timeline.
#include "ui/panels.hpp"

#include <fmt/format.h>

namespace trapeze::ui {

namespace {

/// Printable text: carriage returns and other controls would show as boxes.
std::string printable(const std::string& text, std::size_t most) {
    std::string out;
    for (char c : std::string_view(text).substr(text.size() > most ? text.size() - most : 0)) {
        if (c == '\b' && !out.empty()) out.pop_back();
        else if (c == '\n' || static_cast<unsigned char>(c) >= 0x20) out += c;
    }
    return out;
}

void take_keys(Commands& commands) {
    const ImGuiIO& io = ImGui::GetIO();
    std::string typed;
    for (int i = 0; i < io.InputQueueCharacters.Size; ++i)
        if (io.InputQueueCharacters[i] < 0x80) typed += static_cast<char>(io.InputQueueCharacters[i]);
    if (ImGui::IsKeyPressed(ImGui::GetKeyIndex(ImGuiKey_Enter))) typed += '\n';
    if (ImGui::IsKeyPressed(ImGui::GetKeyIndex(ImGuiKey_Backspace))) typed += '\b';
    if (!typed.empty()) commands.push_back({Action::Type, 0, typed});
}

} // namespace

void draw_console(const Debugger& debugger, const Theme& theme, PanelState& state, Commands& commands) {
    const float hint = ImGui::GetTextLineHeightWithSpacing();
    ImGui::BeginChild("output", {0, -hint});
    ImGui::PushTextWrapPos(0);
    constexpr std::size_t kShown = 16 << 10;
    ImGui::TextUnformatted((printable(debugger.session().console(), kShown) + (state.console_focused ? "\u2588" : "")).c_str());
    ImGui::PopTextWrapPos();
    if (state.console_seen != debugger.session().printed()) ImGui::SetScrollHereY(1.0f);
    state.console_seen = debugger.session().printed();
    const bool clicked = ImGui::IsWindowHovered() && ImGui::IsMouseClicked(0);
    ImGui::EndChild();
    if (clicked) state.console_focused = true;
    else if (ImGui::IsMouseClicked(0) || ImGui::IsKeyPressed(ImGui::GetKeyIndex(ImGuiKey_Escape))) state.console_focused = false;
    ImGui::TextColored(theme.dim, "%s", state.console_focused ? "typing goes to the guest; Esc leaves" : "click here, then type to the guest");
    if (state.console_focused) take_keys(commands);
}

void draw_timeline(const Debugger& debugger, const Theme& theme, PanelState& state, Commands& commands) {
    const Session& session = debugger.session();
    const std::string summary =
        fmt::format("{}  step {}  {} instructions  {} exits", debugger.running() ? "running " : session.halted() ? "ended   " : "paused  ", session.position(),
                    session.vmm() ? session.vmm()->guest_instructions(session.machine()) : session.machine().hart().state.retired, session.vmm() ? session.vmm()->exits() : 0);
    ImGui::TextColored(debugger.running() ? theme.good : theme.accent, "%s", summary.c_str());
    ImGui::SameLine();
    ImGui::SetNextItemWidth(ImGui::GetContentRegionAvail().x * 0.35f);
    const double farthest = static_cast<double>(std::max<u64>(debugger.farthest(), 1));
    float place = state.drag_position >= 0 ? state.drag_position : static_cast<float>(static_cast<double>(session.position()) / farthest);
    if (ImGui::SliderFloat("##timeline", &place, 0, 1, "drag to go back")) state.drag_position = place;
    if (ImGui::IsItemDeactivated() && state.drag_position >= 0) {
        commands.push_back({Action::GoTo, static_cast<u64>(static_cast<double>(state.drag_position) * farthest)});
        state.drag_position = -1;
    }
    ImGui::SameLine();
    ImGui::TextColored(theme.dim, "%s", debugger.message().empty() ? "F5 run  F7 next trap  F11 step  Shift+F10 back  F1 help" : debugger.message().c_str());
}

} // namespace trapeze::ui
