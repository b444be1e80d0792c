// What Dear ImGui has drawn, as SVG: shapes as paths, and text as text, so that it can be printed at any size and searched.
#pragma once

#include "ui/panel_id.hpp"

#include <imgui.h>

#include <string>

namespace trapeze::ui {

/// The part of a drawing that lies in `place`, of the windows whose names begin with `owner` (empty: of all). Units: pixels.
/// Known inaccuracies: soft edges of shapes are sharp, and a letter that is cut off at an edge is whole or not there.
std::string svg_of(const ImDrawData& drawing, const std::string& owner, const Rectangle& place);

} // namespace trapeze::ui
