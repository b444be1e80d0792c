// The panels' names and places, without drawing: one table (panels.def).
#pragma once

#include "emulator/base/types.hpp"

#include <cstddef>
#include <optional>
#include <string>

namespace trapeze::ui {

enum class PanelId : u8 {
#define PANEL(id, ...) id,
#include "ui/panels.def"
    Count,
};
inline constexpr std::size_t kPanels = static_cast<std::size_t>(PanelId::Count);

/// Without what a panel has nothing to show, and is left out of the layouts.
enum class PanelNeeds : u8 { Nothing, Lesson, Hypervisor, Script, Containers };

struct PanelNames {
    const char *name, *title;
    PanelNeeds needs;
    const char* sentence;
};
const PanelNames& panel_names(PanelId id);
std::optional<PanelId> panel_by_name(const std::string& name);
/// All names, separated by commas.
std::string all_panel_names();

/// A part of the window. Units: pixels.
struct Rectangle {
    float x = 0, y = 0, width = 0, height = 0;
    float right() const { return x + width; }
    float bottom() const { return y + height; }
    bool has(float px, float py) const { return px >= x && px < right() && py >= y && py < bottom(); }
};

} // namespace trapeze::ui
