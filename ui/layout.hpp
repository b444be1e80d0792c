// Where the panels are: rectangles of the window. No drawing here, so it can be tested.
#pragma once

#include <array>
#include <cstddef>

namespace trapeze::ui {

struct Rectangle {
    float x = 0, y = 0, width = 0, height = 0;
};
enum class PanelId { Code, Lesson, Lanes, Registers, Csrs, Ledger, Dossier, Console, Containers, Timeline, Count };

struct Layout {
    std::array<Rectangle, static_cast<std::size_t>(PanelId::Count)> panels;
    /// A panel that is not in the layout has no width.
    const Rectangle& operator[](PanelId id) const { return panels[static_cast<std::size_t>(id)]; }
};

/// What there is to divide. Units: pixels.
struct Frame {
    float width = 0, height = 0;
    float top = 0;   ///< height of the menu bar
    float strip = 0; ///< height of the timeline at the bottom
    float em = 15;   ///< height of the font: says how much text fits
};
/// Which panels have something to show.
struct Parts {
    bool lesson = false;
    bool dossier = false; ///< there is a hypervisor
};

/// The container layout: the process x namespace matrix above, what happened and the console below.
Layout container_layout(const Frame& frame);
/// The trap layout: three columns, or two where three would be too narrow for their text. It covers [0, width) x [top, height).
Layout trap_layout(const Frame& frame, const Parts& parts);

} // namespace trapeze::ui
