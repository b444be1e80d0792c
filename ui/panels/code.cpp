// Guest code around the program counter, with two stripes: the privilege that the guest believes it has, and the one it really has.
#include "ui/panels.hpp"

#include <fmt/format.h>

namespace trapeze::ui {

namespace {

void draw_stripe(ImDrawList* list, ImVec2 at, float width, float height, const Theme& theme, Priv priv) {
    const ImVec4 colour = theme.privilege(priv);
    list->AddRectFilled(at, {at.x + width, at.y + height}, ImGui::GetColorU32(ImVec4(colour.x, colour.y, colour.z, 0.30f)));
    const char letter[2] = {priv_letter(priv), 0};
    const ImVec2 size = ImGui::CalcTextSize(letter);
    list->AddText({at.x + (width - size.x) / 2, at.y}, ImGui::GetColorU32(colour), letter);
}

bool has_breakpoint(const Debugger& debugger, u64 pc) {
    for (const auto& breakpoint : debugger.session().breakpoints())
        if (breakpoint.kind == scenarios::Breakpoint::Kind::Address && breakpoint.value == pc) return true;
    return false;
}

void draw_line(const Debugger& debugger, const Theme& theme, const Session::CodeLine& line, Commands& commands) {
    const float height = ImGui::GetTextLineHeightWithSpacing(), stripe = ImGui::GetFontSize() * 1.25f;
    const ImVec2 origin = ImGui::GetCursorScreenPos();
    ImDrawList* list = ImGui::GetWindowDrawList();
    const float width = ImGui::GetContentRegionAvail().x;
    if (!line.symbol.empty()) {
        ImGui::SetCursorPosX(ImGui::GetCursorPosX() + stripe * 2 + 12);
        ImGui::TextColored(theme.accent, "%s:", line.symbol.c_str());
        return draw_line(debugger, theme, {line.pc, line.word, line.length, line.text, "", line.believed, line.real, line.sensitive, line.current}, commands);
    }
    if (line.current) list->AddRectFilled({origin.x, origin.y - 1}, {origin.x + width, origin.y + height - 2}, ImGui::GetColorU32(theme.current_line));
    draw_stripe(list, origin, stripe, height, theme, line.believed);
    draw_stripe(list, {origin.x + stripe + 2, origin.y}, stripe, height, theme, line.real);
    ImGui::SetCursorPosX(ImGui::GetCursorPosX() + stripe * 2 + 12);
    const std::string label = fmt::format("{}{} {:>8x}  ", has_breakpoint(debugger, line.pc) ? "\u25cf" : " ", line.current ? ">" : " ", line.pc);
    ImGui::PushID(static_cast<int>(line.pc & 0x7fffffff));
    if (ImGui::Selectable("##line", debugger.selected_line() == line.pc && !line.current, ImGuiSelectableFlags_AllowDoubleClick)) {
        commands.push_back({Action::SelectLine, line.pc});
        if (ImGui::IsMouseDoubleClicked(0)) commands.push_back({Action::ToggleBreakpoint});
    }
    ImGui::PopID();
    ImGui::SameLine(0, 0);
    ImGui::SetCursorPosX(stripe * 2 + 12 + ImGui::GetStyle().WindowPadding.x);
    ImGui::TextColored(theme.dim, "%s", label.c_str());
    ImGui::SameLine(0, 0);
    ImGui::TextColored(line.sensitive ? theme.sensitive : theme.text, "%s", line.text.c_str());
    if (line.sensitive) {
        ImGui::SameLine();
        ImGui::TextColored(theme.sensitive, "!");
        if (ImGui::IsItemHovered()) ImGui::SetTooltip("Sensitive (Popek and Goldberg): it depends on the privilege or changes the machine's resources.");
    }
}

} // namespace

void draw_code(const Debugger& debugger, const Theme& theme, PanelState& state, Commands& commands) {
    ImGui::TextColored(theme.dim, "believed | real privilege      ! sensitive      F9 breakpoint");
    ImGui::Separator();
    ImGui::BeginChild("lines");
    const float line_height = ImGui::GetTextLineHeightWithSpacing();
    const auto rows = static_cast<unsigned>(std::max(6.0f, ImGui::GetContentRegionAvail().y / line_height));
    const auto lines = debugger.session().code(rows * 2 / 5, rows + 8);
    if (lines.empty()) ImGui::TextWrapped("Nothing is mapped at pc 0x%llx.", static_cast<unsigned long long>(debugger.session().guest_state().pc));
    for (const auto& line : lines) draw_line(debugger, theme, line, commands);
    if (state.code_pc != debugger.session().guest_state().pc) {
        state.code_pc = debugger.session().guest_state().pc;
        ImGui::SetScrollY(0);
    }
    ImGui::EndChild();
}

} // namespace trapeze::ui
