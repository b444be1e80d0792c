// Colours and fonts. The palette is Okabe and Ito's (2008), which the common colour-vision deficiencies leave distinct; a letter or a mark
// always says the same as the colour.
#pragma once

#include "emulator/cpu/trap.hpp"
#include "scenarios/session.hpp"

#include <imgui.h>

namespace trapeze::ui {

struct Theme {
    ImVec4 text, dim, changed, current_line, good, bad, accent, sensitive;
    ImVec4 user, supervisor, machine, hypervisor, hardware;
    ImVec4 privilege(Priv priv) const;
    ImVec4 lane(scenarios::Lane lane) const;
};
Theme dark_theme();
Theme light_theme();
/// Sets Dear ImGui's own colours and sizes to match.
void apply_theme(bool light, float scale);
/// Loads a monospaced vector font of `pixels` height from the system, or keeps the built-in one.
void load_font(float pixels);

} // namespace trapeze::ui
