// The table of panels, and the menu bar.
#include "ui/panels.hpp"

#include <fmt/format.h>

namespace trapeze::ui {

const std::vector<PanelRow>& panel_rows() {
    static const std::vector<PanelRow> rows = {
        {PanelId::Code, "Code", draw_code},
        {PanelId::Lesson, "Lesson", draw_lesson},
        {PanelId::Lanes, "Who runs", draw_lanes},
        {PanelId::Registers, "Registers", draw_registers},
        {PanelId::Csrs, "CSRs: real beside virtual", draw_csrs},
        {PanelId::Ledger, "Trap ledger", draw_ledger},
        {PanelId::Dossier, "Dossier of the selected exit", draw_dossier},
        {PanelId::Console, "Console", draw_console},
        {PanelId::Containers, "Processes and their namespaces", draw_containers},
        {PanelId::Timeline, "Timeline", draw_timeline},
    };
    return rows;
}

namespace {

void menu_item(Action action, Commands& commands) {
    for (const KeyRow& row : key_rows()) {
        if (row.action != action) continue;
        if (ImGui::MenuItem(row.name, row.chord)) commands.push_back({action});
        if (ImGui::IsItemHovered()) ImGui::SetTooltip("%s", row.sentence);
    }
}

void start_menu(Commands& commands) {
    if (!ImGui::BeginMenu("Start")) return;
    ImGui::TextDisabled("Lessons");
    for (const std::string& name : scenarios::shipped_lessons())
        if (ImGui::MenuItem(name == "01-watch-a-trap" ? "Watch a trap (60 s)" : name.c_str())) commands.push_back({Action::OpenLesson, 0, name});
    ImGui::Separator();
    ImGui::TextDisabled("Free play: tiny-os");
    for (std::size_t i = 0; i < static_cast<std::size_t>(vmm::Mode::Count); ++i) {
        const vmm::ModeRow& mode = vmm::mode_row(static_cast<vmm::Mode>(i));
        if (ImGui::MenuItem(mode.name, nullptr, false, mode.available)) commands.push_back({Action::FreePlay, 0, mode.name});
        if (ImGui::IsItemHovered()) ImGui::SetTooltip("%s", mode.sentence);
    }
    ImGui::Separator();
    menu_item(Action::Quit, commands);
    ImGui::EndMenu();
}

} // namespace

float draw_menu(const Debugger& debugger, const Theme& theme, Commands& commands) {
    if (!ImGui::BeginMainMenuBar()) return 0;
    start_menu(commands);
    if (ImGui::BeginMenu("Go")) {
        for (Action action : {Action::Run, Action::Pause, Action::NextTrap, Action::ToReturn, Action::Step, Action::StepOver, Action::StepBack, Action::Reset,
                              Action::ToggleBreakpoint})
            menu_item(action, commands);
        ImGui::EndMenu();
    }
    if (ImGui::BeginMenu("View")) {
        for (Action action : {Action::ToggleTheme, Action::ZoomIn, Action::ZoomOut, Action::ZoomReset, Action::ShowPalette}) menu_item(action, commands);
        ImGui::EndMenu();
    }
    if (ImGui::BeginMenu("Help")) {
        menu_item(Action::ShowHelp, commands);
        ImGui::EndMenu();
    }
    const auto& config = debugger.session().config();
    const std::string mode = config.containers.empty() ? fmt::format("{} on {}", config.guest, vmm::mode_row(config.mode).name)
                                                       : fmt::format("{} containers on one kernel", config.containers.size());
    const float width = ImGui::CalcTextSize(mode.c_str()).x;
    ImGui::SameLine(ImGui::GetWindowWidth() - width - ImGui::GetStyle().WindowPadding.x * 2);
    ImGui::TextColored(theme.accent, "%s", mode.c_str());
    const float height = ImGui::GetWindowHeight();
    ImGui::EndMainMenuBar();
    return height;
}

} // namespace trapeze::ui
