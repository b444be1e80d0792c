// The panels: each draws a const view of the debugger into the current window, and sends commands. They keep window state only.
#pragma once

#include "ui/debugger.hpp"
#include "ui/layout.hpp"
#include "ui/theme.hpp"

namespace trapeze::ui {

/// What belongs to the window alone.
struct PanelState {
    u64 console_seen = 0; ///< bytes printed when it was drawn last: new ones scroll down
    bool console_typing = false;
    u32 terminal = 1;     ///< which container's keys go to
    u64 ledger_seen = 0, dossier_seen = 0;
    unsigned ledger_follow = 0; ///< frames that the ledger scrolls to its end
    std::size_t lesson_seen = 0;
    Csr csr = Csr::satp;  ///< whose fields are shown
    char palette_text[64] = "";
    float drag_position = -1;
};

using DrawPanel = void (*)(const Debugger&, const Theme&, PanelState&, Commands&);
struct PanelRow {
    PanelId id;
    const char* title;
    DrawPanel draw;
};
const std::vector<PanelRow>& panel_rows();

void draw_code(const Debugger&, const Theme&, PanelState&, Commands&);
void draw_lesson(const Debugger&, const Theme&, PanelState&, Commands&);
void draw_lanes(const Debugger&, const Theme&, PanelState&, Commands&);
void draw_registers(const Debugger&, const Theme&, PanelState&, Commands&);
void draw_csrs(const Debugger&, const Theme&, PanelState&, Commands&);
void draw_ledger(const Debugger&, const Theme&, PanelState&, Commands&);
void draw_dossier(const Debugger&, const Theme&, PanelState&, Commands&);
void draw_console(const Debugger&, const Theme&, PanelState&, Commands&);
void draw_containers(const Debugger&, const Theme&, PanelState&, Commands&);
void draw_timeline(const Debugger&, const Theme&, PanelState&, Commands&);
/// The menu bar; returns its height in pixels.
float draw_menu(const Debugger&, const Theme&, Commands&);
/// Help, command palette or the card to start from, above everything.
void draw_overlays(const Debugger&, const Theme&, PanelState&, Commands&);
/// Where the panels are below a menu bar that is `top` pixels high.
Layout window_layout(const Debugger&, float top);
/// Everything, between ImGui::NewFrame and ImGui::Render.
void draw_window(const Debugger&, const Theme&, PanelState&, Commands&);

} // namespace trapeze::ui
