// The layouts as they are shipped: a table (layouts.def) of split trees, each wide for windows with room for three columns, and narrow.
#pragma once

#include "ui/split_tree.hpp"

namespace trapeze::ui {

enum class LayoutId : u8 {
#define LAYOUT(id, ...) id,
#include "ui/layouts.def"
    Count,
};
inline constexpr std::size_t kLayouts = static_cast<std::size_t>(LayoutId::Count);

struct LayoutRow {
    const char *name, *title, *sentence;
};
const LayoutRow& layout_row(LayoutId id);
std::optional<LayoutId> layout_by_name(const std::string& name);

/// What there is to divide. Units: pixels.
struct Frame {
    float width = 0, height = 0;
    float top = 0;   ///< height of the menu bar
    float strip = 0; ///< height of the timeline at the bottom
    float em = 15;   ///< height of the font: says how much text fits
    bool wide() const;
    /// What is left for the tree.
    Rectangle area() const { return {0, top, width, height - top - strip}; }
};

/// A layout as it is shipped.
SplitNode shipped_tree(LayoutId id, bool wide);
/// How much larger than elsewhere text is in this layout.
float layout_zoom(LayoutId id);

} // namespace trapeze::ui
