// The panels: each draws a const view of the debugger into the current window, and sends commands. They keep window state only. What a
// panel says can also be had as a sheet of text. The table is panels.def.
#pragma once

#include "ui/debugger.hpp"
#include "ui/sheet.hpp"
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
    PanelId focus = PanelId::Code;         ///< the panel that keys about panels mean
    u64 focus_seen = 0;                    ///< of Debugger::focus_requests
    std::optional<PanelId> dragged;        ///< a panel on its way to another place
    std::optional<PlacedBorder> border;    ///< on its way
};

using DrawPanel = void (*)(const Debugger&, const Theme&, PanelState&, Commands&);
using SheetOfPanel = Sheet (*)(const Debugger&, const PanelState&);
struct PanelRow {
    DrawPanel draw;
    SheetOfPanel sheet;
};
const PanelRow& panel_row(PanelId id);

#define PANEL(id, name, title, function, ...)                             \
    void draw_##function(const Debugger&, const Theme&, PanelState&, Commands&); \
    Sheet sheet_##function(const Debugger&, const PanelState&);
#include "ui/panels.def"

/// What the panel is called for this session.
const char* panel_title(PanelId id, const Session& session);
/// The menu bar; returns its height in pixels.
float draw_menu(const Debugger&, const Theme&, Commands&);
/// Help, command palette or the card to start from, above everything.
void draw_overlays(const Debugger&, const Theme&, PanelState&, Commands&);
/// Where the panels are below a menu bar that is `top` pixels high.
Division window_layout(const Debugger&, float top);
/// The panels of the layout in their places, each with its title or tabs; with the layout unlocked also what moves them.
void draw_leaves(const Debugger&, const Theme&, PanelState&, Commands&, const Division&);
/// Everything, between ImGui::NewFrame and ImGui::Render.
void draw_window(const Debugger&, const Theme&, PanelState&, Commands&);

} // namespace trapeze::ui
