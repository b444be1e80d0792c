// The table of panels, the menu bar with its tool buttons, and how all are put into the window.
#include "ui/panels.hpp"
#include "ui/text.hpp"

#include <fmt/format.h>

namespace trapeze::ui {

const PanelRow& panel_row(PanelId id) {
    static constexpr PanelRow kRows[] = {
#define PANEL(id, name, title, function, ...) {draw_##function, sheet_##function},
#include "ui/panels.def"
    };
    return kRows[static_cast<std::size_t>(id)];
}

namespace {

const KeyRow& row_of(Action action) {
    for (const KeyRow& row : key_rows())
        if (row.action == action) return row;
    return key_rows().front();
}

void menu_item(const Theme& theme, Action action, Commands& commands) {
    const KeyRow& row = row_of(action);
    if (ImGui::MenuItem(tr(row.name), row.chord)) commands.push_back({action});
    tooltip(theme, tr(row.sentence));
}

void menu(const Theme& theme, const char* name, std::initializer_list<Action> actions, Commands& commands) {
    if (!ImGui::BeginMenu(name)) return;
    for (Action action : actions) menu_item(theme, action, commands);
    ImGui::EndMenu();
}

std::string what_runs(const Session& session) {
    const auto& config = session.config();
    if (!config.containers.empty()) return trf(config.containers.size() == 1 ? later("{} container, one kernel") : later("{} containers, one kernel"), config.containers.size());
    return fmt::format("{} / {}", config.guest.substr(config.guest.find_last_of('/') + 1), vmm::mode_row(config.mode).name);
}

/// The steps as buttons that name their keys, as many as there is room for, the most used ones first.
void tool_buttons(const Theme& theme, bool running, float end, Commands& commands) {
    const ImGuiStyle& style = ImGui::GetStyle();
    for (Action action : {running ? Action::Pause : Action::Run, Action::NextTrap, Action::Step, Action::StepBack, Action::ToReturn, Action::StepOver, Action::ToggleBreakpoint}) {
        const KeyRow& row = row_of(action);
        const std::string text = fmt::format("{}  {}", row.chord, tr(row.name));
        if (ImGui::GetCursorPosX() + ImGui::CalcTextSize(text.c_str()).x + style.FramePadding.x * 2 > end) return;
        if (ImGui::SmallButton(text.c_str())) commands.push_back({action});
        tooltip(theme, tr(row.sentence));
        ImGui::SameLine(0, style.ItemSpacing.x / 2);
    }
}

/// The layouts, and what changes the one that is shown.
void layout_menu(const Debugger& debugger, const Theme& theme, Commands& commands) {
    if (!ImGui::BeginMenu(tr("Layout"))) return;
    for (std::size_t i = 0; i < kLayouts; ++i) {
        const KeyRow& row = row_of(static_cast<Action>(static_cast<std::size_t>(Action::LayoutTrap) + i));
        if (ImGui::MenuItem(tr(layout_row(static_cast<LayoutId>(i)).title), row.chord, debugger.workspace().layout() == static_cast<LayoutId>(i))) commands.push_back({row.action});
        tooltip(theme, tr(row.sentence));
    }
    ImGui::Separator();
    for (Action action : {Action::ToggleLock, Action::ResetLayout, Action::NextPanel, Action::PreviousPanel, Action::GrowPanel, Action::ShrinkPanel, Action::MovePanelOn,
                          Action::SplitPanelOff, Action::ClosePanel})
        menu_item(theme, action, commands);
    ImGui::EndMenu();
}

void panel_menu(const Debugger& debugger, const Theme& theme, Commands& commands) {
    if (!ImGui::BeginMenu(tr("Panel"))) return;
    for (Action action : {Action::CopyPanel, Action::SaveTable, Action::SaveDrawing, Action::SavePicture}) menu_item(theme, action, commands);
    ImGui::Separator();
    for (std::size_t i = 0; i < kPanels; ++i) {
        const auto panel = static_cast<PanelId>(i);
        if (panel == PanelId::Timeline) continue;
        if (ImGui::MenuItem(panel_title(panel, debugger), nullptr, contains(debugger.workspace().tree(), panel), debugger.shows(panel))) commands.push_back({Action::ShowPanel, i});
        tooltip(theme, tr(panel_names(panel).sentence));
    }
    ImGui::EndMenu();
}

} // namespace

const char* panel_title(PanelId id, const Debugger& debugger) {
    const Session& session = debugger.session();
    if (const auto index = Debugger::scripted(id); index && *index < debugger.lua_console().panels().size()) return debugger.lua_console().panels()[*index].title.c_str();
    if (id == PanelId::Ledger && session.kernel()) return tr("System calls, and what namespaces decided");
    if (id == PanelId::Csrs && session.vmm()) return tr("CSRs: real beside virtual");
    if (id == PanelId::Registers && session.vmm()) return tr("Registers of the guest");
    return tr(panel_names(id).title);
}

float draw_menu(const Debugger& debugger, const Theme& theme, Commands& commands) {
    const WithFont font(theme.fonts.prose);
    if (!ImGui::BeginMainMenuBar()) return 0;
    menu(theme, tr("Start"), {Action::ShowStart, Action::SaveSession, Action::RecoverSession, Action::Reset, Action::Quit}, commands);
    menu(theme, tr("Go"),
         {Action::Run, Action::Pause, Action::Stop, Action::NextTrap, Action::ToReturn, Action::Step, Action::StepOver, Action::StepOut, Action::RunToLine, Action::NextBlock, Action::NextSystemCall, Action::NextSwitch,
          Action::NextOfKind, Action::Slower, Action::Faster,
          Action::ToggleBreakpoint, Action::ToggleTyping},
         commands);
    menu(theme, tr("Back"),
         {Action::StepBack, Action::BackToTrap, Action::ReverseRun, Action::BackToOperand, Action::BackToCsr, Action::BackToStore, Action::BackToEntry, Action::Fork, Action::NextBranch,
          Action::CompareBranches, Action::Flip, Action::FlipStep, Action::FlipMany, Action::FlipExit},
         commands);
    menu(theme, tr("View"), {Action::ToggleTheme, Action::ToggleContrast, Action::ToggleMotion, Action::NextLanguage, Action::ZoomIn, Action::ZoomOut, Action::ZoomReset, Action::ShowPalette}, commands);
    layout_menu(debugger, theme, commands);
    panel_menu(debugger, theme, commands);
    menu(theme, tr("Help"), {Action::Explain, Action::ShowHelp}, commands);
    const bool locked = debugger.workspace().locked();
    const std::string what = what_runs(debugger.session());
    const float lock = ImGui::CalcTextSize(tr("Unlock layout")).x + ImGui::GetStyle().FramePadding.x * 2 + ImGui::GetFontSize();
    const float place = ImGui::GetWindowWidth() - ImGui::CalcTextSize(what.c_str()).x - ImGui::GetStyle().WindowPadding.x * 2;
    ImGui::SameLine(0, ImGui::GetFontSize() * 1.5f);
    tool_buttons(theme, debugger.running(), place - lock - ImGui::GetFontSize(), commands);
    if (ImGui::GetCursorPosX() < place - lock) {
        ImGui::SetCursorPosX(place - lock);
        if (ImGui::SmallButton(locked ? tr("Unlock layout") : tr("Lock layout"))) commands.push_back({Action::ToggleLock});
        tooltip(theme, row_of(Action::ToggleLock).sentence);
    }
    if (ImGui::GetCursorPosX() < place) {
        ImGui::SetCursorPosX(place);
        ImGui::TextColored(theme.accent, "%s", what.c_str());
    }
    const float height = ImGui::GetWindowHeight();
    ImGui::EndMainMenuBar();
    return height;
}

namespace {

Frame window_frame(float top) {
    Frame frame;
    frame.width = ImGui::GetIO().DisplaySize.x, frame.height = ImGui::GetIO().DisplaySize.y;
    frame.top = top, frame.em = ImGui::GetFontSize();
    frame.strip = ImGui::GetFrameHeight() + ImGui::GetStyle().WindowPadding.y * 2;
    return frame;
}

void draw_strip(const Debugger& debugger, const Theme& theme, PanelState& state, Commands& commands, const Frame& frame) {
    ImGui::SetNextWindowPos({0, frame.height - frame.strip});
    ImGui::SetNextWindowSize({frame.width, frame.strip});
    constexpr ImGuiWindowFlags kFlags = ImGuiWindowFlags_NoDecoration | ImGuiWindowFlags_NoMove | ImGuiWindowFlags_NoSavedSettings | ImGuiWindowFlags_NoScrollWithMouse |
                                        ImGuiWindowFlags_NoBringToFrontOnFocus;
    if (ImGui::Begin("Timeline###timeline", nullptr, kFlags)) draw_timeline(debugger, theme, state, commands);
    ImGui::End();
}

} // namespace

Division window_layout(const Debugger& debugger, float top) {
    return debugger.workspace().divide(window_frame(top), [&](PanelId panel) { return debugger.shows(panel); });
}

void draw_window(const Debugger& debugger, const Theme& theme, PanelState& state, Commands& commands) {
    const float top = draw_menu(debugger, theme, commands);
    draw_leaves(debugger, theme, state, commands, window_layout(debugger, top));
    draw_strip(debugger, theme, state, commands, window_frame(top));
    draw_menu_of_thing(debugger, theme, state, commands);
    draw_overlays(debugger, theme, state, commands);
}

} // namespace trapeze::ui
