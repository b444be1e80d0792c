// The console: what the guest printed, and a place to type; with containers, each has its own. And the timeline.
#include "ui/panels.hpp"
#include "ui/text.hpp"
#include "container-sim/kernel.hpp"

#include <fmt/format.h>

#include <algorithm>

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

void take_keys(Commands& commands, u64 target) {
    const ImGuiIO& io = ImGui::GetIO();
    std::string typed;
    for (int i = 0; i < io.InputQueueCharacters.Size; ++i)
        if (io.InputQueueCharacters[i] < 0x80) typed += static_cast<char>(io.InputQueueCharacters[i]);
    if (ImGui::IsKeyPressed(ImGui::GetKeyIndex(ImGuiKey_Enter)) || ImGui::IsKeyPressed(ImGui::GetKeyIndex(ImGuiKey_KeyPadEnter))) typed += '\n';
    if (ImGui::IsKeyPressed(ImGui::GetKeyIndex(ImGuiKey_Backspace))) typed += '\b';
    if (!typed.empty()) commands.push_back({Action::Type, target, typed});
}

/// What one terminal shows. Returns whether it was clicked.
bool draw_output(const std::string& text, bool typing, bool fresh, ImVec2 size) {
    constexpr std::size_t kShown = 16 << 10;
    ImGui::BeginChild("output", size);
    ImGui::PushTextWrapPos(0);
    ImGui::TextUnformatted((printable(text, kShown) + (typing ? "\u2588" : "")).c_str());
    ImGui::PopTextWrapPos();
    if (fresh) ImGui::SetScrollHereY(1.0f);
    const bool clicked = ImGui::IsWindowHovered() && ImGui::IsMouseClicked(0);
    ImGui::EndChild();
    return clicked;
}

bool draw_terminals(const Debugger& debugger, const Theme& theme, PanelState& state, bool fresh, float hint) {
    const Session& session = debugger.session();
    const std::size_t containers = session.config().containers.size();
    if (containers < 2) {
        state.terminal = 1;
        return draw_output(session.console(), debugger.typing(), fresh, {0, -hint});
    }
    bool clicked = false;
    if (!ImGui::BeginTable("terminals", static_cast<int>(std::min<std::size_t>(containers, 4)), ImGuiTableFlags_BordersInner, {0, 0})) return false;
    const std::size_t rows = (containers + 3) / 4;
    const float height = (ImGui::GetContentRegionAvail().y - hint) / static_cast<float>(rows) - ImGui::GetTextLineHeightWithSpacing() - ImGui::GetStyle().CellPadding.y * 2;
    for (u32 i = 1; i <= containers; ++i) {
        ImGui::TableNextColumn();
        ImGui::PushID(static_cast<int>(i));
        const bool typing = debugger.typing() && state.terminal == i;
        prose(theme, typing ? theme.good : theme.accent, trf("{} (container {})", session.config().containers[i - 1].hostname, i));
        if (draw_output(session.console_of(i), typing, fresh, {0, std::max(height, ImGui::GetTextLineHeight())})) state.terminal = i, clicked = true;
        ImGui::PopID();
    }
    ImGui::EndTable();
    return clicked;
}

/// The run so far, as a slider that goes to any point of it, already while it is dragged.
void draw_timeline_slider(const Debugger& debugger, const Theme& theme, PanelState& state, Commands& commands, float width) {
    ImGui::SetNextItemWidth(width);
    const u64 first = debugger.session().earliest(), last = std::max<u64>(debugger.farthest(), first + 1);
    u64 place = state.dragged_to.value_or(debugger.session().position());
    if (ImGui::SliderScalar("##timeline", ImGuiDataType_U64, &place, &first, &last, "") && place != state.dragged_to) {
        state.dragged_to = std::clamp(place, first, last);
        commands.push_back({Action::GoTo, *state.dragged_to, "in slices"});
    }
    tooltip(theme, trf("The run so far, {} steps. Drag to go back, or forward again; Ctrl and a click let a step be typed.", debugger.farthest()));
    if (!ImGui::IsItemActive()) state.dragged_to.reset();
}

/// One line, cut where the room ends, whole in its tooltip.
void cut_line(const Theme& theme, const ImVec4& colour, std::string text) {
    while (!text.empty() && text.back() == '\n') text.pop_back();
    const std::string whole = text;
    for (std::size_t at; (at = text.find('\n')) != std::string::npos;) text.replace(at, 1, "; ");
    const float room = ImGui::GetContentRegionAvail().x;
    if (ImGui::CalcTextSize(text.c_str()).x <= room) return ImGui::TextColored(colour, "%s", text.c_str());
    while (!text.empty() && ImGui::CalcTextSize((text + "...").c_str()).x > room) {
        while (!text.empty() && (text.back() & 0xc0) == 0x80) text.pop_back(); // the rest of a letter
        if (!text.empty()) text.pop_back();
    }
    ImGui::TextColored(colour, "%s", (text + "...").c_str());
    tooltip(theme, whole);
}

} // namespace

void draw_console(const Debugger& debugger, const Theme& theme, PanelState& state, Commands& commands) {
    const float hint = ImGui::GetTextLineHeightWithSpacing() + 2;
    const bool fresh = state.console_seen != debugger.session().printed() || state.console_typing != debugger.typing();
    state.console_seen = debugger.session().printed();
    state.console_typing = debugger.typing();
    const bool clicked = draw_terminals(debugger, theme, state, fresh, hint);
    const bool leave = debugger.typing() && (ImGui::IsKeyPressed(ImGui::GetKeyIndex(ImGuiKey_Escape)) || (ImGui::IsMouseClicked(0) && !clicked));
    if ((clicked && !debugger.typing()) || leave) commands.push_back({Action::ToggleTyping});
    prose(theme, debugger.typing() ? theme.good : theme.dim, debugger.typing() ? tr("\u25cf Keys go to the guest. Esc leaves.") : tr("Click here, or Ctrl+T, to type to the guest."));
    if (debugger.typing() && !leave && debugger.overlay() == Overlay::None) take_keys(commands, state.terminal);
}

void draw_timeline(const Debugger& debugger, const Theme& theme, PanelState& state, Commands& commands) {
    const Session& session = debugger.session();
    const WithFont font(theme.fonts.prose);
    const float em = ImGui::GetFontSize();
    ImGui::AlignTextToFramePadding();
    const bool travels = debugger.progress().has_value();
    const char* how = travels ? tr("\u25c0 on its way") : debugger.running() ? tr("\u25b6 running") : session.halted() ? tr("\u25a0 ended") : tr("\u2016 paused");
    ImGui::TextColored(debugger.running() || travels ? theme.good : theme.accent, "%s", how);
    ImGui::SameLine(em * 6.5f);
    std::string summary = trf("step {}", session.position());
    if (session.vmm()) summary += trf("   exits {}", session.vmm()->exits());
    if (session.kernel()) summary += trf("   system calls {}", session.kernel()->system_calls());
    if (debugger.speed()) summary += fmt::format("   {}/s", debugger.speed());
    if (!debugger.branches().empty()) summary += fmt::format("   {}", debugger.branch());
    ImGui::TextUnformatted(summary.c_str());
    ImGui::SameLine(0, em);
    ImGui::TextColored(theme.dim, "%s", tr("timeline"));
    ImGui::SameLine(0, em * 0.5f);
    const float width = std::max(em * 6, ImGui::GetContentRegionAvail().x * 0.34f);
    if (travels && !state.dragged_to) {
        ImGui::ProgressBar(*debugger.progress(), {width, 0});
        tooltip(theme, tr("How much of the way is gone. Esc or F6 cancels it."));
    } else draw_timeline_slider(debugger, theme, state, commands, width);
    ImGui::SameLine(0, em);
    if (debugger.message().empty()) cut_line(theme, theme.dim, tr("Shift+F10 goes back one step. F1 explains what has the focus, Shift+F1 keys and colours."));
    else cut_line(theme, theme.text, debugger.message());
}

Sheet sheet_console(const Debugger& debugger, const PanelState&) {
    constexpr std::size_t kMost = 1 << 20;
    const Session& session = debugger.session();
    const std::size_t containers = session.config().containers.size();
    if (containers < 2) return Sheet().say(printable(session.console(), kMost));
    Sheet sheet;
    for (u32 i = 1; i <= containers; ++i) sheet.say(trf("--- container {}, {}", i, session.config().containers[i - 1].hostname)).say(printable(session.console_of(i), kMost));
    return sheet;
}

Sheet sheet_timeline(const Debugger& debugger, const PanelState&) {
    const Session& session = debugger.session();
    Table table{{tr("step"), tr("farthest"), tr("cycles"), tr("exits"), tr("system calls")}};
    table.rows.push_back({std::to_string(session.position()), std::to_string(debugger.farthest()), std::to_string(session.machine().cycles()),
                          session.vmm() ? std::to_string(session.vmm()->exits()) : "-", session.kernel() ? std::to_string(session.kernel()->system_calls()) : "-"});
    return Sheet().say(debugger.running() ? tr("running") : session.halted() ? tr("ended") : tr("paused")).add(std::move(table));
}

} // namespace trapeze::ui
