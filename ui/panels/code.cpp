// Guest code around the program counter, with two stripes: the privilege that the guest believes it has, and the one it really has.
#include "ui/panels.hpp"
#include "ui/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace trapeze::ui {

namespace {

const char* privilege_name(PrivMode mode) {
    if (mode.virt) return mode.priv == Priv::U ? tr("VU, virtual user mode") : tr("VS, virtual supervisor mode");
    return mode.priv == Priv::U ? tr("U, user mode") : mode.priv == Priv::S ? tr("S, supervisor mode") : tr("M, machine mode");
}

struct Columns {
    float stripe = ImGui::GetFontSize() * 1.5f;
    float text = stripe * 2 + ImGui::GetFontSize() * 0.6f;
    float height = ImGui::GetTextLineHeightWithSpacing();
};

void draw_stripe(ImVec2 at, const Columns& columns, const Theme& theme, PrivMode mode, const char* whose) {
    ImDrawList* list = ImGui::GetWindowDrawList();
    const ImVec4 colour = theme.privilege(mode.priv);
    const ImVec2 end{at.x + columns.stripe, at.y + columns.height};
    list->AddRectFilled(at, end, ImGui::GetColorU32(ImVec4(colour.x, colour.y, colour.z, 0.26f)));
    const char* const letter = mode_text(mode);
    const ImVec2 size = ImGui::CalcTextSize(letter);
    list->AddText({at.x + (columns.stripe - size.x) / 2, at.y + (columns.height - size.y) / 2}, ImGui::GetColorU32(colour), letter);
    if (ImGui::IsWindowHovered() && ImGui::IsMouseHoveringRect(at, end)) ImGui::SetTooltip("%s %s", whose, privilege_name(mode));
}

bool has_breakpoint(const Debugger& debugger, u64 pc) {
    for (const auto& breakpoint : debugger.session().breakpoints())
        if (breakpoint.kind == scenarios::Breakpoint::Kind::Address && breakpoint.value == pc) return true;
    return false;
}

void draw_line(const Debugger& debugger, const Theme& theme, PanelState& state, const Session::CodeLine& line, Commands& commands) {
    const Columns columns;
    const ImVec2 origin = ImGui::GetCursorScreenPos(), local = ImGui::GetCursorPos();
    ImDrawList* list = ImGui::GetWindowDrawList();
    const float width = ImGui::GetContentRegionAvail().x;
    draw_stripe(origin, columns, theme, {line.believed}, tr("The guest believes that it is in"));
    draw_stripe({origin.x + columns.stripe + 2, origin.y}, columns, theme, line.real, tr("Really it is in"));
    if (line.current) {
        const ImVec2 low{origin.x + columns.text - 4, origin.y}, high{origin.x + width, origin.y + columns.height};
        list->AddRectFilled(low, high, ImGui::GetColorU32(theme.current_line), 3);
        list->AddRect(low, high, ImGui::GetColorU32(theme.accent), 3);
    }
    ImGui::SetCursorPosX(local.x + columns.text);
    ImGui::PushID(static_cast<int>(line.pc & 0x7fffffff));
    if (ImGui::Selectable("##line", debugger.selected_line() == line.pc && !line.current, ImGuiSelectableFlags_AllowDoubleClick)) {
        commands.push_back({Action::SelectLine, line.pc});
        if (ImGui::IsMouseDoubleClicked(0)) commands.push_back({Action::ToggleBreakpoint});
    }
    ImGui::PopID();
    context_menu(state, {ThingKind::Line, line.pc, 0, fmt::format("{:x} {}", line.pc, line.text)});
    if (line.sensitive) tooltip(theme, tr("Sensitive (Popek and Goldberg): it depends on the privilege, or it changes the machine's resources."));
    const float baseline = local.y + (columns.height - ImGui::GetTextLineHeight()) / 2;
    ImGui::SetCursorPos({local.x + columns.text, baseline});
    ImGui::TextColored(theme.bad, "%s", has_breakpoint(debugger, line.pc) ? "\u25cf" : " ");
    ImGui::SameLine(0, 0);
    ImGui::TextColored(line.current ? theme.text : theme.dim, "%s %8llx ", line.current ? "\u25b6" : " ", static_cast<unsigned long long>(line.pc));
    ImGui::SameLine(0, 0);
    ImGui::TextColored(line.sensitive ? theme.sensitive : theme.text, "%s%s", line.sensitive ? "! " : "  ", line.text.c_str());
    ImGui::SetCursorPos({local.x, local.y + columns.height});
}

/// "main.c:12  x = y;" where a line's code begins, as far as the lines that are in view tell; else empty. Assembly is its own source.
std::string source_before(const scenarios::SourceLines& source, const std::vector<Session::CodeLine>& lines, std::size_t index) {
    const auto place = source.at(lines[index].pc);
    if (!place || place->file.ends_with(".S") || place->file.ends_with(".s") || (index && source.at(lines[index - 1].pc) == place)) return {};
    return fmt::format("{}:{}  {}", place->file.substr(place->file.find_last_of('/') + 1), place->line, source.text(*place).value_or(""));
}

/// The line to begin with, so that `above` rows are above the current one: names and lines of source take rows of their own.
std::size_t first_line(const Debugger& debugger, const std::vector<Session::CodeLine>& lines, std::size_t above) {
    const auto current = static_cast<std::size_t>(std::find_if(lines.begin(), lines.end(), [](const auto& line) { return line.current; }) - lines.begin());
    std::size_t first = std::min(current, lines.size()), taken = 0;
    for (; first > 0; --first) {
        taken += 1 + !lines[first - 1].symbol.empty() + !source_before(debugger.source(), lines, first - 1).empty();
        if (taken > above) break;
    }
    return first;
}

} // namespace

void draw_code(const Debugger& debugger, const Theme& theme, PanelState& state, Commands& commands) {
    prose(theme, theme.dim, tr("stripes: believed, real    ! sensitive    \u25cf breakpoint (F9)"));
    // Where there is no room for whole lines, Shift and the wheel go sideways.
    ImGui::BeginChild("lines", {0, 0}, false, ImGuiWindowFlags_NoScrollbar | ImGuiWindowFlags_HorizontalScrollbar);
    ImGui::PushStyleVar(ImGuiStyleVar_ItemSpacing, {ImGui::GetStyle().ItemSpacing.x, std::round(ImGui::GetFontSize() * 0.15f)});
    const auto rows = static_cast<unsigned>(std::max(4.0f, ImGui::GetContentRegionAvail().y / ImGui::GetTextLineHeightWithSpacing()));
    const auto lines = debugger.session().code(rows * 2 / 5, rows);
    if (lines.empty()) prose(theme, theme.text, trf("Nothing is mapped at pc 0x{:x}.", debugger.session().guest_state().pc));
    for (std::size_t i = first_line(debugger, lines, rows * 2 / 5); i < lines.size(); ++i) {
        if (!lines[i].symbol.empty()) {
            ImGui::SetCursorPosX(ImGui::GetCursorPosX() + Columns().text);
            ImGui::TextColored(theme.accent, "%s:", lines[i].symbol.c_str());
        }
        if (const std::string source = source_before(debugger.source(), lines, i); !source.empty()) {
            ImGui::SetCursorPosX(ImGui::GetCursorPosX() + Columns().text);
            ImGui::TextColored(theme.good, "%s", source.c_str());
        }
        draw_line(debugger, theme, state, lines[i], commands);
    }
    ImGui::PopStyleVar();
    ImGui::EndChild();
}

Sheet sheet_code(const Debugger& debugger, const PanelState&) {
    constexpr unsigned kBefore = 12, kAfter = 24;
    Table table{{"", tr("believed"), tr("real"), tr("address"), tr("symbol"), tr("instruction"), "", tr("source")}};
    const auto lines = debugger.session().code(kBefore, kAfter);
    for (std::size_t i = 0; i < lines.size(); ++i) {
        const auto& line = lines[i];
        table.rows.push_back({line.current ? ">" : has_breakpoint(debugger, line.pc) ? "*" : "", std::string(1, priv_letter(line.believed)), mode_text(line.real), hex(line.pc), line.symbol,
                              line.text, line.sensitive ? tr("sensitive") : "", source_before(debugger.source(), lines, i)});
    }
    if (table.rows.empty()) return Sheet().say(trf("Nothing is mapped at pc 0x{:x}.", debugger.session().guest_state().pc));
    return Sheet().say(tr("> the next instruction, * a breakpoint")).add(std::move(table));
}

} // namespace trapeze::ui
