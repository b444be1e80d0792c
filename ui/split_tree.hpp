// A window divided among panels, as a tree: splits, whose parts stand beside each other or below each other, and leaves with one panel, or
// several on tabs. A value, without drawing.
//
// What does not fit is not squeezed: a split that cannot give each of its parts the least size puts the last ones on tabs together, as long
// as the window is that small.
#pragma once

#include "ui/panel_id.hpp"

#include <functional>
#include <span>
#include <vector>

namespace trapeze::ui {

enum class Axis : u8 { Row, Column }; ///< parts beside each other, below each other

struct SplitNode {
    std::vector<PanelId> tabs{};       ///< of a leaf
    float weight = 1;                  ///< its part of what its split divides. Range: above 0
    float ems = 0;                     ///< not 0: it has this size along its split's axis, in em, as long as there is room
    float least = 0;                   ///< at least this, in em, as long as there is room
    Axis axis = Axis::Row;
    std::vector<SplitNode> parts{};    ///< of a split; empty: a leaf
    bool is_leaf() const { return parts.empty(); }
    bool operator==(const SplitNode&) const = default;
};

/// Where a panel is put beside another one.
enum class Side : u8 { Tab, Left, Right, Above, Below };

/// What decides the sizes.
struct DivideTerms {
    float em = 15;                              ///< pixels
    std::function<bool(PanelId)> shown;         ///< panels that have something to show
    std::span<const PanelId> front = {};        ///< of panels on tabs the one that stands first here is in front
};
struct PlacedLeaf {
    std::vector<PanelId> tabs;
    PanelId front;
    Rectangle place;
};
/// Between two parts of a split; it can be dragged.
struct PlacedBorder {
    unsigned split;            ///< number of the split in the tree, from the root on
    std::size_t part;          ///< that stands before the border
    std::size_t next;          ///< that stands behind it
    Axis axis;
    float at;                  ///< pixels, along the axis
    Rectangle across;          ///< of the split
    std::vector<float> sizes;  ///< of all parts, pixels; negative: nothing of it is shown
};
struct Division {
    std::vector<PlacedLeaf> leaves;
    std::vector<PlacedBorder> borders;
    /// The leaf that has the panel on a tab; null when there is none.
    const PlacedLeaf* leaf_of(PanelId panel) const;
    /// Where a panel is to be seen; no width when it is not.
    Rectangle operator[](PanelId panel) const;
};
/// Least size of a leaf, in em.
inline constexpr float kLeastWidth = 12, kLeastHeight = 5;

/// Divides the area; the leaves cover it, and do not overlap.
Division divide(const SplitNode& root, const Rectangle& area, const DivideTerms& terms);

bool contains(const SplitNode& root, PanelId panel);
/// All panels, in the order of the tree.
std::vector<PanelId> panels_of(const SplitNode& root);
/// The panels on the leaf of this one, itself among them; none when it is not in the tree.
std::vector<PanelId> panels_sharing(const SplitNode& root, PanelId panel);
/// Takes a panel out; what is left of its split closes up.
void remove_panel(SplitNode& root, PanelId panel);
/// Puts a panel in, beside `target` or on a tab with it. Pre: the tree does not contain the panel. Without `target` in the tree it goes
/// to the last leaf.
void insert_panel(SplitNode& root, PanelId panel, PanelId target, Side side);
/// Gives the parts of a split these sizes, in any unit; those that are negative stay as they are in relation to the others. Ignored
/// when there is no such split, or not so many parts.
void set_sizes(SplitNode& root, unsigned split, std::span<const float> sizes);
/// Makes the leaf of a panel larger or smaller in its split by a factor.
void grow_panel(SplitNode& root, PanelId panel, float factor);

} // namespace trapeze::ui
