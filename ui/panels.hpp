// The panels: each draws a const view of the debugger into the current window, and sends commands. They keep window state only. What a
// panel says can also be had as a sheet of text. The table is panels.def.
#pragma once

#include "ui/debugger.hpp"
#include "ui/event_index.hpp"
#include "ui/sheet.hpp"
#include "ui/theme.hpp"
#include "ui/things.hpp"

namespace trapeze::ui {

/// What the window measures about itself.
struct HostFigures {
    double frame_ms = 0; ///< processor time of the newest frame, without the guest's
    double start_ms = 0; ///< from the program's start to its first frame
    u64 resident_bytes = 0;
    std::array<float, 120> frames{}; ///< ms; `next` is the oldest
    std::size_t next = 0;
    void add(double ms) { frame_ms = ms, frames[next] = static_cast<float>(ms), next = (next + 1) % frames.size(); }
};

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
    std::optional<u64> dragged_to;         ///< where the timeline is dragged to
    PanelId focus = PanelId::Code;         ///< the panel that keys about panels mean
    u64 focus_seen = 0;                    ///< of Debugger::focus_requests
    std::optional<PanelId> dragged;        ///< a panel on its way to another place
    std::optional<PlacedBorder> border;    ///< on its way
    char breakpoint_text[128] = "";
    std::size_t block = ~std::size_t{0};   ///< of the translation cache; ~0: where the guest is
    Table vms;                             ///< as it was at these cycles of that session
    u64 vms_at = 0, vms_of = 0;
    unsigned vms_skipped = 0;
    HostFigures host;
    char memory_text[128] = "", search_text[128] = "", edit_text[128] = "", walk_text[128] = "";
    u64 memory_top = 0, memory_across = 16; ///< first address shown, bytes in a row
    /// The bytes that the memory panel shows, and what they were before the session moved.
    struct MemorySeen {
        u64 first = 0, cycles = 0, sessions = 0;
        bool physical = false;
        std::vector<u8> bytes, before;
    } memory;
    std::optional<Action> text_wanted; ///< the field that is to get the keyboard
    u64 text_wanted_seen = 0;
    EventFilter events;
    EventIndex event_index;
    char events_text[64] = "";
    u64 event_top = 0, event_chosen = ~u64{0}; ///< first row in view; index of the event that was clicked
    bool events_follow = true;                 ///< the newest stays in view
    /// The Lua console's prompt.
    struct Prompt {
        char text[8192] = "";
        std::size_t entry = 0;            ///< of the history, counted from the newest; 0: what is typed now
        std::string typed;                ///< kept while the history is looked through
        std::vector<std::string> words;   ///< that the word can become, after Tab
        std::optional<std::string> take;  ///< is to stand there from the next frame on
        bool want = false, was_first = true, was_last = true;
        bool returning = false;           ///< the keyboard is on its way back to it, after Enter
        u64 seen = 0, asked = 0;
    } lua;
    PanelId drawn = PanelId::Code;             ///< the panel that is being drawn
    std::optional<Thing> thing;                ///< that was clicked last, with either button, and where
    PanelId thing_panel = PanelId::Code;
    bool menu_wanted = false;                  ///< of that thing
    std::shared_ptr<struct SeenViews> seen;    ///< of the container kernel, as it is here (panels/seen_views.hpp)
    i32 seen_process = 0;                      ///< whose mounts and network are shown, by its pid outside; 0: the newest container's
    bool overlay_changes = false, packet_tcp = false;
    char packet_text[64] = "";
    u64 flip_seen = ~u64{0};                   ///< Debugger::flips of what follows
    std::vector<scenarios::Lanes::Cost> flip_costs;
    std::vector<scenarios::Lanes::Divergence> flip_differences;
    bool moving = false;                       ///< a panel has not done its work yet: another frame is due
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
const char* panel_title(PanelId id, const Debugger& debugger);
/// For the item that was drawn last: a click chooses the thing, a right click opens its menu (offers.def).
void context_menu(PanelState& state, const Thing& thing);
/// The same for what is drawn without an item; `hovered`: the mouse is on it.
void note_thing(PanelState& state, const Thing& thing, bool hovered);
/// The thing that keys and the palette mean.
std::optional<Thing> focused_thing(const Debugger& debugger, const PanelState& state);
/// Does what an offer says.
void take_offer(Offer offer, const Thing& thing, const Debugger& debugger, PanelState& state, Commands& commands);
void draw_menu_of_thing(const Debugger&, const Theme&, PanelState&, Commands&);
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
