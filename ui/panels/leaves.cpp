// The panels in their places: each leaf of the layout a window with its title, or with tabs. With the layout unlocked, titles can be
// dragged onto another leaf (its middle: a tab with it; an edge: beside it) and borders moved.
#include "ui/panels.hpp"
#include "ui/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace trapeze::ui {

namespace {

constexpr float kGap = 3; // pixels on each side of an unlocked border

float strip_height() { return std::round(ImGui::GetFontSize() * 1.45f); }

/// One title on the strip. Returns whether it was clicked.
bool draw_tab(const Theme& theme, const char* title, const Rectangle& place, bool front, bool alone) {
    ImGui::SetCursorScreenPos({place.x, place.y});
    const bool clicked = ImGui::InvisibleButton(title, {std::max(place.width, 1.0f), std::max(place.height, 1.0f)});
    ImDrawList* list = ImGui::GetWindowDrawList();
    const ImVec2 low{place.x, place.y}, high{place.right(), place.bottom()};
    if (!alone && front) list->AddRectFilled(low, high, ImGui::GetColorU32(ImGuiCol_WindowBg));
    else if (ImGui::IsItemHovered() && !alone) list->AddRectFilled(low, high, ImGui::GetColorU32(ImGuiCol_HeaderHovered));
    if (!alone && front) list->AddRectFilled(low, {high.x, low.y + 2}, ImGui::GetColorU32(theme.accent));
    const float pad = ImGui::GetFontSize() * 0.6f;
    list->PushClipRect(low, high, true);
    list->AddText({place.x + pad, place.y + (place.height - ImGui::GetFontSize()) / 2}, ImGui::GetColorU32(front || alone ? theme.text : theme.dim), title);
    list->PopClipRect();
    if (ImGui::IsItemHovered() && ImGui::CalcTextSize(title).x + pad > place.width) ImGui::SetTooltip("%s", title);
    return clicked;
}

struct Strip {
    const Debugger& debugger;
    const Theme& theme;
    PanelState& state;
    Commands& commands;
    const PlacedLeaf& leaf;

    const char* title(PanelId panel) const { return panel_title(panel, debugger); }
    float width(PanelId panel) const { return std::round(ImGui::CalcTextSize(title(panel)).x + ImGui::GetFontSize() * 1.2f); }

    void tab(PanelId panel, const Rectangle& place) {
        if (draw_tab(theme, title(panel), place, panel == leaf.front, leaf.tabs.size() == 1) && panel != leaf.front)
            commands.push_back({Action::ShowPanel, static_cast<u64>(panel)});
        if (!debugger.workspace().locked() && ImGui::IsItemActive() && ImGui::IsMouseDragging(0, 6)) state.dragged = panel;
    }

    /// Tabs that have no room are in a list behind the others.
    void more(const Rectangle& place, std::size_t count) {
        ImGui::SetCursorScreenPos({place.x, place.y});
        const std::string text = fmt::format("+{} \u25be", count);
        if (ImGui::InvisibleButton("more", {place.width, place.height})) ImGui::OpenPopup("tabs");
        ImGui::GetWindowDrawList()->AddText({place.x + ImGui::GetFontSize() * 0.3f, place.y + (place.height - ImGui::GetFontSize()) / 2},
                                            ImGui::GetColorU32(ImGui::IsItemHovered() ? theme.text : theme.accent), text.c_str());
        if (!ImGui::BeginPopup("tabs")) return;
        for (PanelId panel : leaf.tabs)
            if (ImGui::Selectable(title(panel), panel == leaf.front)) commands.push_back({Action::ShowPanel, static_cast<u64>(panel)});
        ImGui::EndPopup();
    }

    void close_button(const Rectangle& place) {
        ImGui::SetCursorScreenPos({place.x, place.y});
        if (ImGui::InvisibleButton("close", {place.width, place.height})) commands.push_back({Action::ClosePanel, static_cast<u64>(leaf.front)});
        ImGui::GetWindowDrawList()->AddText({place.x + (place.width - ImGui::CalcTextSize("\u00d7").x) / 2, place.y + (place.height - ImGui::GetFontSize()) / 2},
                                            ImGui::GetColorU32(ImGui::IsItemHovered() ? theme.bad : theme.dim), "\u00d7");
        tooltip(theme, tr("Take this panel out of the layout (Ctrl+W). Ctrl+Shift+P finds it again."));
    }

    void draw(bool focused) {
        const WithFont font(theme.fonts.bold);
        const ImVec2 at = ImGui::GetWindowPos();
        const float height = strip_height(), end = at.x + ImGui::GetWindowWidth() - (debugger.workspace().locked() ? 0 : height);
        ImDrawList* list = ImGui::GetWindowDrawList();
        ImGui::PushClipRect(at, {at.x + ImGui::GetWindowWidth(), at.y + height}, false); // the window's own leaves out its padding
        list->AddRectFilled(at, {at.x + ImGui::GetWindowWidth(), at.y + height}, ImGui::GetColorU32(focused ? ImGuiCol_TitleBgActive : ImGuiCol_TitleBg));
        float all = 0;
        for (PanelId panel : leaf.tabs) all += width(panel);
        const float behind = at.x + all > end && leaf.tabs.size() > 1 ? ImGui::GetFontSize() * 2.6f : 0;
        float x = at.x;
        std::size_t hidden = 0;
        // The one in front always has its place; what stands before it, as far as there is room beside it.
        const float reserved = width(leaf.front);
        bool passed = false;
        for (PanelId panel : leaf.tabs) {
            passed = passed || panel == leaf.front;
            const float need = panel == leaf.front ? std::min(width(panel), end - behind - x) : width(panel);
            if (panel != leaf.front && x + need + (passed ? 0 : reserved) > end - behind) {
                ++hidden;
                continue;
            }
            tab(panel, {x, at.y, need, height});
            x += need;
        }
        if (hidden) more({end - behind, at.y, behind, height}, hidden);
        if (!debugger.workspace().locked()) close_button({end, at.y, height, height});
        ImGui::PopClipRect();
        ImGui::SetCursorScreenPos({at.x + ImGui::GetStyle().WindowPadding.x, at.y + height + std::round(ImGui::GetStyle().WindowPadding.y * 0.6f)});
    }
};

void draw_leaf(const Debugger& debugger, const Theme& theme, PanelState& state, Commands& commands, const PlacedLeaf& leaf) {
    const float gap = debugger.workspace().locked() ? 0 : kGap;
    ImGui::SetNextWindowPos({leaf.place.x + gap, leaf.place.y + gap});
    ImGui::SetNextWindowSize({std::max(1.0f, leaf.place.width - gap * 2), std::max(1.0f, leaf.place.height - gap * 2)});
    if (state.focus_seen != debugger.focus_requests() && debugger.focus_wanted() == leaf.front) {
        state.focus_seen = debugger.focus_requests();
        ImGui::SetNextWindowFocus();
    }
    constexpr ImGuiWindowFlags kFlags = ImGuiWindowFlags_NoTitleBar | ImGuiWindowFlags_NoMove | ImGuiWindowFlags_NoResize | ImGuiWindowFlags_NoCollapse | ImGuiWindowFlags_NoSavedSettings |
                                        ImGuiWindowFlags_NoScrollbar | ImGuiWindowFlags_NoScrollWithMouse | ImGuiWindowFlags_NoBringToFrontOnFocus;
    const std::string name = fmt::format("{}###{}", panel_title(leaf.front, debugger), panel_names(leaf.front).name);
    if (ImGui::Begin(name.c_str(), nullptr, kFlags)) {
        const bool focused = ImGui::IsWindowFocused(ImGuiFocusedFlags_RootAndChildWindows);
        if (focused) state.focus = leaf.front;
        Strip{debugger, theme, state, commands, leaf}.draw(focused);
        const WithFont code(ImGui::GetIO().Fonts->Fonts[0]);
        state.drawn = leaf.front;
        panel_row(leaf.front).draw(debugger, theme, state, commands);
    }
    ImGui::End();
}

Side side_at(const Rectangle& place, ImVec2 mouse) {
    const float x = (mouse.x - place.x) / place.width, y = (mouse.y - place.y) / place.height;
    const float edge = std::min(std::min(x, 1 - x), std::min(y, 1 - y));
    if (edge > 0.28f) return Side::Tab;
    return edge == x ? Side::Left : edge == 1 - x ? Side::Right : edge == y ? Side::Above : Side::Below;
}

Rectangle part_at(const Rectangle& place, Side side) {
    Rectangle part = place;
    if (side == Side::Left || side == Side::Right) part.width /= 2;
    if (side == Side::Above || side == Side::Below) part.height /= 2;
    if (side == Side::Right) part.x += part.width;
    if (side == Side::Below) part.y += part.height;
    return part;
}

/// Shows where a panel that is dragged would go, and lets it go there.
void drag_panel(const Theme& theme, PanelState& state, Commands& commands, const Division& division) {
    const ImVec2 mouse = ImGui::GetIO().MousePos;
    for (const PlacedLeaf& leaf : division.leaves) {
        if (!leaf.place.has(mouse.x, mouse.y) || (leaf.tabs.size() == 1 && leaf.front == *state.dragged)) continue;
        const Side side = side_at(leaf.place, mouse);
        const Rectangle part = part_at(leaf.place, side);
        ImDrawList* list = ImGui::GetForegroundDrawList();
        list->AddRectFilled({part.x, part.y}, {part.right(), part.bottom()}, ImGui::GetColorU32(ImVec4(theme.accent.x, theme.accent.y, theme.accent.z, 0.28f)), 4);
        list->AddRect({part.x, part.y}, {part.right(), part.bottom()}, ImGui::GetColorU32(theme.accent), 4, 0, 2);
        const PanelId target = leaf.front != *state.dragged ? leaf.front : leaf.tabs[leaf.tabs[0] == leaf.front ? 1 : 0];
        if (!ImGui::IsMouseDown(0)) commands.push_back(move_panel(*state.dragged, target, side));
    }
    if (!ImGui::IsMouseDown(0)) state.dragged.reset();
}

/// Borders can be grabbed in the gap between two windows.
void drag_borders(const Theme& theme, PanelState& state, Commands& commands, const Division& division) {
    const ImVec2 mouse = ImGui::GetIO().MousePos;
    const auto along = [](Axis axis, ImVec2 at) { return axis == Axis::Row ? at.x : at.y; };
    if (!state.border)
        for (const PlacedBorder& border : division.borders) {
            if (!border.across.has(mouse.x, mouse.y) || std::abs(along(border.axis, mouse) - border.at) > kGap || ImGui::IsAnyItemActive()) continue;
            ImGui::SetMouseCursor(border.axis == Axis::Row ? ImGuiMouseCursor_ResizeEW : ImGuiMouseCursor_ResizeNS);
            const bool row = border.axis == Axis::Row;
            ImGui::GetForegroundDrawList()->AddLine({row ? border.at : border.across.x, row ? border.across.y : border.at},
                                                    {row ? border.at : border.across.right(), row ? border.across.bottom() : border.at}, ImGui::GetColorU32(theme.accent), 3);
            if (ImGui::IsMouseClicked(0)) state.border = border;
        }
    if (!state.border) return;
    const PlacedBorder& border = *state.border;
    ImGui::SetMouseCursor(border.axis == Axis::Row ? ImGuiMouseCursor_ResizeEW : ImGuiMouseCursor_ResizeNS);
    const float both = border.sizes[border.part] + border.sizes[border.next];
    const float moved = along(border.axis, mouse) - border.at, first = std::clamp(border.sizes[border.part] + moved, both * 0.05f, both * 0.95f);
    std::vector<float> sizes = border.sizes;
    sizes[border.part] = first, sizes[border.next] = both - first;
    if (ImGui::GetIO().MouseDelta.x != 0 || ImGui::GetIO().MouseDelta.y != 0) commands.push_back(resize_parts(border.split, sizes));
    if (!ImGui::IsMouseDown(0)) state.border.reset();
}

} // namespace

void draw_leaves(const Debugger& debugger, const Theme& theme, PanelState& state, Commands& commands, const Division& division) {
    for (const PlacedLeaf& leaf : division.leaves) draw_leaf(debugger, theme, state, commands, leaf);
    if (debugger.workspace().locked()) return void((state.dragged.reset(), state.border.reset()));
    if (state.dragged) drag_panel(theme, state, commands, division);
    else drag_borders(theme, state, commands, division);
}

} // namespace trapeze::ui
