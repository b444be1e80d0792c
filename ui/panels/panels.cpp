// The table of panels, the menu bar with its tool buttons, and how all are put into the window.
#include "ui/panels.hpp"

#include <fmt/format.h>

namespace trapeze::ui {

const std::vector<PanelRow>& panel_rows() {
    static const std::vector<PanelRow> rows = {
        {PanelId::Code, "Code", draw_code},
        {PanelId::Lesson, "Lesson", draw_lesson},
        {PanelId::Lanes, "Who runs", draw_lanes},
        {PanelId::Csrs, "Control and status registers", draw_csrs},
        {PanelId::Registers, "Registers", draw_registers},
        {PanelId::Ledger, "Trap ledger", draw_ledger},
        {PanelId::Dossier, "Dossier of the selected exit", draw_dossier},
        {PanelId::Console, "Console", draw_console},
        {PanelId::Containers, "Processes and their namespaces", draw_containers},
        {PanelId::Timeline, "Timeline", draw_timeline},
    };
    return rows;
}

namespace {

const KeyRow& row_of(Action action) {
    for (const KeyRow& row : key_rows())
        if (row.action == action) return row;
    return key_rows().front();
}

void menu_item(const Theme& theme, Action action, Commands& commands) {
    const KeyRow& row = row_of(action);
    if (ImGui::MenuItem(row.name, row.chord)) commands.push_back({action});
    tooltip(theme, row.sentence);
}

void menu(const Theme& theme, const char* name, std::initializer_list<Action> actions, Commands& commands) {
    if (!ImGui::BeginMenu(name)) return;
    for (Action action : actions) menu_item(theme, action, commands);
    ImGui::EndMenu();
}

std::string what_runs(const Session& session) {
    const auto& config = session.config();
    if (!config.containers.empty()) return fmt::format("{} container{}, one kernel", config.containers.size(), config.containers.size() == 1 ? "" : "s");
    return fmt::format("{} / {}", config.guest.substr(config.guest.find_last_of('/') + 1), vmm::mode_row(config.mode).name);
}

/// The steps as buttons that name their keys, as many as there is room for, the most used ones first.
void tool_buttons(const Theme& theme, bool running, float end, Commands& commands) {
    const ImGuiStyle& style = ImGui::GetStyle();
    for (Action action : {running ? Action::Pause : Action::Run, Action::NextTrap, Action::Step, Action::StepBack, Action::ToReturn, Action::StepOver, Action::ToggleBreakpoint}) {
        const KeyRow& row = row_of(action);
        const std::string text = fmt::format("{}  {}", row.chord, row.name);
        if (ImGui::GetCursorPosX() + ImGui::CalcTextSize(text.c_str()).x + style.FramePadding.x * 2 > end) return;
        if (ImGui::SmallButton(text.c_str())) commands.push_back({action});
        tooltip(theme, row.sentence);
        ImGui::SameLine(0, style.ItemSpacing.x / 2);
    }
}

const char* title_of(const PanelRow& panel, const Session& session) {
    if (panel.id == PanelId::Ledger && session.kernel()) return "System calls, and what namespaces decided";
    if (panel.id == PanelId::Csrs && session.vmm()) return "CSRs: real beside virtual";
    if (panel.id == PanelId::Registers && session.vmm()) return "Registers of the guest";
    return panel.title;
}

} // namespace

float draw_menu(const Debugger& debugger, const Theme& theme, Commands& commands) {
    const WithFont font(theme.fonts.prose);
    if (!ImGui::BeginMainMenuBar()) return 0;
    menu(theme, "Start", {Action::ShowStart, Action::Reset, Action::Quit}, commands);
    menu(theme, "Go",
         {Action::Run, Action::Pause, Action::Stop, Action::NextTrap, Action::ToReturn, Action::Step, Action::StepOver, Action::StepOut, Action::StepBack, Action::RunToLine,
          Action::ToggleBreakpoint, Action::ToggleTyping},
         commands);
    menu(theme, "View", {Action::ToggleTheme, Action::ZoomIn, Action::ZoomOut, Action::ZoomReset, Action::ShowPalette}, commands);
    menu(theme, "Help", {Action::ShowHelp}, commands);
    const std::string what = what_runs(debugger.session());
    const float place = ImGui::GetWindowWidth() - ImGui::CalcTextSize(what.c_str()).x - ImGui::GetStyle().WindowPadding.x * 2;
    ImGui::SameLine(0, ImGui::GetFontSize() * 1.5f);
    tool_buttons(theme, debugger.running(), place - ImGui::GetFontSize(), commands);
    if (ImGui::GetCursorPosX() < place) {
        ImGui::SetCursorPosX(place);
        ImGui::TextColored(theme.accent, "%s", what.c_str());
    }
    const float height = ImGui::GetWindowHeight();
    ImGui::EndMainMenuBar();
    return height;
}

Layout window_layout(const Debugger& debugger, float top) {
    Frame frame;
    frame.width = ImGui::GetIO().DisplaySize.x, frame.height = ImGui::GetIO().DisplaySize.y;
    frame.top = top, frame.em = ImGui::GetFontSize();
    frame.strip = ImGui::GetFrameHeight() + ImGui::GetStyle().WindowPadding.y * 2;
    if (debugger.session().kernel()) return container_layout(frame);
    return trap_layout(frame, {debugger.lesson() != nullptr, debugger.session().vmm() != nullptr});
}

void draw_window(const Debugger& debugger, const Theme& theme, PanelState& state, Commands& commands) {
    const Layout layout = window_layout(debugger, draw_menu(debugger, theme, commands));
    for (const PanelRow& panel : panel_rows()) {
        const Rectangle& place = layout[panel.id];
        if (place.width <= 0) continue; // not in this layout
        ImGui::SetNextWindowPos({place.x, place.y});
        ImGui::SetNextWindowSize({place.width, place.height});
        ImGuiWindowFlags flags = ImGuiWindowFlags_NoMove | ImGuiWindowFlags_NoResize | ImGuiWindowFlags_NoCollapse | ImGuiWindowFlags_NoSavedSettings | ImGuiWindowFlags_NoScrollbar |
                                 ImGuiWindowFlags_NoScrollWithMouse | ImGuiWindowFlags_NoBringToFrontOnFocus;
        if (panel.id == PanelId::Timeline) flags |= ImGuiWindowFlags_NoTitleBar;
        const WithFont title(theme.fonts.bold);
        if (ImGui::Begin(fmt::format("{}###{}", title_of(panel, debugger.session()), panel.title).c_str(), nullptr, flags)) {
            const WithFont code(ImGui::GetIO().Fonts->Fonts[0]);
            panel.draw(debugger, theme, state, commands);
        }
        ImGui::End();
    }
    draw_overlays(debugger, theme, state, commands);
}

} // namespace trapeze::ui
