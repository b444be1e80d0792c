// Where the panels are: the trap layout, as rectangles of the window. No drawing here, so it can be tested.
#pragma once

#include <array>

namespace trapeze::ui {

struct Rectangle {
    float x = 0, y = 0, width = 0, height = 0;
};
enum class PanelId { Code, Lesson, Lanes, Registers, Csrs, Ledger, Dossier, Console, Containers, Timeline, Count };

struct Layout {
    std::array<Rectangle, static_cast<std::size_t>(PanelId::Count)> panels;
    const Rectangle& operator[](PanelId id) const { return panels[static_cast<std::size_t>(id)]; }
};
/// The container layout: the process x namespace matrix above, what happened and the console below.
Layout container_layout(float width, float height, float top, float strip);
/// Divides [0, width) x [top, height) among the panels. Without a lesson its place is the lanes'. `strip` is the timeline's height.
/// Units: pixels.
Layout trap_layout(float width, float height, float top, float strip, bool with_lesson);

} // namespace trapeze::ui
