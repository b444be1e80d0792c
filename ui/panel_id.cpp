#include "ui/panel_id.hpp"

namespace trapeze::ui {

const PanelNames& panel_names(PanelId id) {
    static constexpr PanelNames kNames[] = {
#define PANEL(id, name, title, function, needs, sentence) {name, title, PanelNeeds::needs, sentence},
#include "ui/panels.def"
    };
    return kNames[static_cast<std::size_t>(id)];
}

std::optional<PanelId> panel_by_name(const std::string& name) {
    for (std::size_t i = 0; i < kPanels; ++i)
        if (name == panel_names(static_cast<PanelId>(i)).name) return static_cast<PanelId>(i);
    return std::nullopt;
}

std::string all_panel_names() {
    std::string names;
    for (std::size_t i = 0; i < kPanels; ++i) names += (i ? ", " : "") + std::string(panel_names(static_cast<PanelId>(i)).name);
    return names;
}

} // namespace trapeze::ui
