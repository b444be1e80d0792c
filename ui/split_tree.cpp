#include "ui/split_tree.hpp"

#include <algorithm>
#include <cmath>

namespace trapeze::ui {

namespace {

constexpr float kMostFixed = 0.35f, kMostLeast = 0.5f; // parts of a split that a fixed size, a least size may take

unsigned splits_in(const SplitNode& node) {
    unsigned count = node.is_leaf() ? 0 : 1;
    for (const SplitNode& part : node.parts) count += splits_in(part);
    return count;
}

void collect(const SplitNode& node, std::vector<PanelId>& panels) {
    panels.insert(panels.end(), node.tabs.begin(), node.tabs.end());
    for (const SplitNode& part : node.parts) collect(part, panels);
}

class Divider {
  public:
    explicit Divider(const DivideTerms& terms) : terms_(terms) {}

    void place(const SplitNode& node, const Rectangle& area, unsigned number) {
        const auto shown = shown_in(node);
        if (shown.empty()) return;
        const std::size_t room = room_for(node, area);
        if (node.is_leaf() || room < 2) return place_leaf(shown, area);
        const auto there = static_cast<std::size_t>(std::count_if(node.parts.begin(), node.parts.end(), [&](const SplitNode& part) { return !shown_in(part).empty(); }));
        if (there > room) return place_parts(with_tabs(node, room), area, number, false);
        place_parts(node, area, number, true);
    }
    Division take() { return std::move(division_); }

  private:
    void place_parts(const SplitNode& node, const Rectangle& area, unsigned number, bool movable) {
        const std::vector<float> sizes = sizes_of(node, node.axis == Axis::Row ? area.width : area.height);
        float at = node.axis == Axis::Row ? area.x : area.y;
        std::size_t before = node.parts.size();
        unsigned next = number + 1;
        for (std::size_t i = 0; i < node.parts.size(); next += splits_in(node.parts[i]), ++i) {
            if (sizes[i] < 0) continue;
            if (movable && before < i) division_.borders.push_back({number, before, i, node.axis, at, area, sizes});
            Rectangle part = area;
            if (node.axis == Axis::Row) part.x = at, part.width = sizes[i];
            else part.y = at, part.height = sizes[i];
            place(node.parts[i], part, next);
            at += sizes[i], before = i;
        }
    }

    /// How many parts have room beside each other along the split's axis.
    std::size_t room_for(const SplitNode& node, const Rectangle& area) const {
        const float extent = node.axis == Axis::Row ? area.width / kLeastWidth : area.height / kLeastHeight;
        return static_cast<std::size_t>(std::max(0.0f, extent / terms_.em));
    }
    /// The split with its last parts on tabs of one leaf, so that `room` parts are shown. Pre: more are shown, room > 0.
    SplitNode with_tabs(const SplitNode& node, std::size_t room) const {
        SplitNode tabbed = node, rest;
        tabbed.parts.clear();
        rest.weight = 0;
        for (const SplitNode& part : node.parts) {
            if (shown_in(part).empty()) continue;
            if (tabbed.parts.size() + 1 < room) {
                tabbed.parts.push_back(part);
                continue;
            }
            collect(part, rest.tabs);
            rest.weight += part.weight;
        }
        tabbed.parts.push_back(std::move(rest));
        return tabbed;
    }

    std::vector<PanelId> shown_in(const SplitNode& node) const {
        std::vector<PanelId> panels;
        collect(node, panels);
        if (terms_.shown) std::erase_if(panels, [&](PanelId panel) { return !terms_.shown(panel); });
        return panels;
    }

    /// The least size of what is shown of a node, in pixels.
    float least(const SplitNode& node, Axis axis) const {
        if (shown_in(node).empty()) return 0;
        if (node.is_leaf()) return terms_.em * (axis == Axis::Row ? kLeastWidth : kLeastHeight);
        float sum = 0, most = 0;
        for (const SplitNode& part : node.parts) {
            const float size = least(part, axis);
            sum += size, most = std::max(most, size);
        }
        return node.axis == axis ? sum : most;
    }
    /// Sizes of the parts in whole pixels, which fill the extent; -1 for parts of which nothing is shown.
    std::vector<float> sizes_of(const SplitNode& node, float extent) const {
        const std::size_t count = node.parts.size();
        std::vector<float> low(count, -1), size(count, -1);
        const float least_leaf = terms_.em * (node.axis == Axis::Row ? kLeastWidth : kLeastHeight);
        float sum_low = 0;
        for (std::size_t i = 0; i < count; ++i)
            if (!shown_in(node.parts[i]).empty()) sum_low += low[i] = least(node.parts[i], node.axis);
        if (sum_low > extent) // what is inside of some part will go on tabs
            for (float& value : low)
                if (value >= 0) value = least_leaf;
        std::vector<bool> fixed(count, false);
        const auto sum = [&](const std::vector<float>& values) {
            float total = 0;
            for (float value : values) total += std::max(value, 0.0f);
            return total;
        };
        std::vector<float> wished = low;
        for (std::size_t i = 0; i < count; ++i) {
            if (low[i] < 0) continue;
            if (node.parts[i].ems > 0) wished[i] = std::max(low[i], std::min(node.parts[i].ems * terms_.em, extent * kMostFixed)), fixed[i] = true;
            if (node.parts[i].least > 0) wished[i] = std::max(low[i], std::min(node.parts[i].least * terms_.em, extent * kMostLeast));
        }
        if (sum(wished) <= extent) low = wished;
        if (std::all_of(fixed.begin(), fixed.end(), [](bool f) { return f; })) fixed.assign(count, false);
        share(node, extent, low, fixed, size);
        return size;
    }

    /// What the fixed parts leave is shared by weight; parts that would get less than their least size get that.
    static void share(const SplitNode& node, float extent, const std::vector<float>& low, std::vector<bool> fixed, std::vector<float>& size) {
        for (bool again = true; again;) {
            again = false;
            float rest = extent, weights = 0;
            for (std::size_t i = 0; i < low.size(); ++i) {
                if (low[i] < 0) continue;
                if (fixed[i]) rest -= low[i];
                else weights += node.parts[i].weight;
            }
            for (std::size_t i = 0; i < low.size(); ++i) {
                if (low[i] < 0) continue;
                size[i] = fixed[i] ? low[i] : weights > 0 ? rest * node.parts[i].weight / weights : 0;
                if (!fixed[i] && size[i] < low[i] - 0.01f) fixed[i] = again = true;
            }
        }
        // Whole pixels, of which none is lost; the last part takes what is left.
        float exact = 0, used = 0;
        std::size_t last = low.size();
        for (std::size_t i = 0; i < low.size(); ++i) {
            if (low[i] < 0) continue;
            exact += size[i];
            size[i] = std::round(exact) - used;
            used += size[i], last = i;
        }
        if (last < low.size()) size[last] += extent - used;
    }

    void place_leaf(const std::vector<PanelId>& shown, const Rectangle& area) {
        PanelId front = shown.front();
        for (PanelId panel : terms_.front)
            if (std::find(shown.begin(), shown.end(), panel) != shown.end()) {
                front = panel;
                break;
            }
        division_.leaves.push_back({shown, front, area});
    }

    const DivideTerms& terms_;
    Division division_;
};

/// The split that has this number, counted from the root on.
SplitNode* split_by_number(SplitNode& node, unsigned& number) {
    if (node.is_leaf()) return nullptr;
    if (number-- == 0) return &node;
    for (SplitNode& part : node.parts)
        if (SplitNode* found = split_by_number(part, number)) return found;
    return nullptr;
}

bool holds(const SplitNode& leaf, PanelId panel) { return std::find(leaf.tabs.begin(), leaf.tabs.end(), panel) != leaf.tabs.end(); }

SplitNode* leaf_with(SplitNode& node, PanelId panel) {
    if (node.is_leaf()) return holds(node, panel) ? &node : nullptr;
    for (SplitNode& part : node.parts)
        if (SplitNode* leaf = leaf_with(part, panel)) return leaf;
    return nullptr;
}

SplitNode* parent_of(SplitNode& node, const SplitNode* child) {
    for (SplitNode& part : node.parts) {
        if (&part == child) return &node;
        if (SplitNode* parent = parent_of(part, child)) return parent;
    }
    return nullptr;
}

/// Parts without panels go, and a split with one part becomes that part.
void close_up(SplitNode& node) {
    for (SplitNode& part : node.parts) close_up(part);
    const bool was_split = !node.is_leaf();
    std::erase_if(node.parts, [](const SplitNode& part) { return part.is_leaf() && part.tabs.empty(); });
    if (!was_split || node.parts.size() != 1) return;
    SplitNode only = std::move(node.parts.front());
    only.weight = node.weight, only.ems = node.ems, only.least = node.least;
    node = std::move(only);
}

} // namespace

const PlacedLeaf* Division::leaf_of(PanelId panel) const {
    for (const PlacedLeaf& leaf : leaves)
        if (std::find(leaf.tabs.begin(), leaf.tabs.end(), panel) != leaf.tabs.end()) return &leaf;
    return nullptr;
}

Rectangle Division::operator[](PanelId panel) const {
    const PlacedLeaf* leaf = leaf_of(panel);
    return leaf && leaf->front == panel ? leaf->place : Rectangle{};
}

Division divide(const SplitNode& root, const Rectangle& area, const DivideTerms& terms) {
    Divider divider(terms);
    divider.place(root, area, 0);
    return divider.take();
}

bool contains(const SplitNode& root, PanelId panel) {
    const auto panels = panels_of(root);
    return std::find(panels.begin(), panels.end(), panel) != panels.end();
}

std::vector<PanelId> panels_of(const SplitNode& root) {
    std::vector<PanelId> panels;
    collect(root, panels);
    return panels;
}

std::vector<PanelId> panels_sharing(const SplitNode& root, PanelId panel) {
    if (root.is_leaf()) return holds(root, panel) ? root.tabs : std::vector<PanelId>{};
    for (const SplitNode& part : root.parts)
        if (auto found = panels_sharing(part, panel); !found.empty()) return found;
    return {};
}

void remove_panel(SplitNode& root, PanelId panel) {
    SplitNode* leaf = leaf_with(root, panel);
    if (!leaf) return;
    std::erase(leaf->tabs, panel);
    close_up(root);
}

void insert_panel(SplitNode& root, PanelId panel, PanelId target, Side side) {
    SplitNode* leaf = leaf_with(root, target);
    if (!leaf)
        for (leaf = &root; !leaf->is_leaf();) leaf = &leaf->parts.back();
    if (side == Side::Tab || leaf->tabs.empty()) return leaf->tabs.push_back(panel);
    const Axis axis = side == Side::Left || side == Side::Right ? Axis::Row : Axis::Column;
    const bool behind = side == Side::Right || side == Side::Below;
    SplitNode fresh{{panel}};
    if (SplitNode* parent = parent_of(root, leaf); parent && parent->axis == axis) {
        fresh.weight = leaf->weight /= 2;
        parent->parts.insert(parent->parts.begin() + (leaf - parent->parts.data()) + (behind ? 1 : 0), fresh);
        return;
    }
    SplitNode old = std::move(*leaf), split;
    split.axis = axis, split.weight = old.weight, split.ems = old.ems, split.least = old.least;
    old.weight = 1, old.ems = old.least = 0;
    split.parts = behind ? std::vector{old, fresh} : std::vector{fresh, old};
    *leaf = std::move(split);
}

void set_sizes(SplitNode& root, unsigned split, std::span<const float> sizes) {
    SplitNode* node = split_by_number(root, split);
    if (!node || node->parts.size() != sizes.size()) return;
    float before = 0, now = 0;
    for (std::size_t i = 0; i < sizes.size(); ++i)
        if (sizes[i] > 0) before += node->parts[i].weight, now += sizes[i];
    if (!(before > 0) || !(now > 0)) return;
    for (std::size_t i = 0; i < sizes.size(); ++i) {
        SplitNode& part = node->parts[i];
        if (sizes[i] > 0) part.weight = sizes[i] / now, part.ems = part.least = 0;
        else part.weight /= before;
    }
}

void grow_panel(SplitNode& root, PanelId panel, float factor) {
    SplitNode* leaf = leaf_with(root, panel);
    if (!leaf) return;
    leaf->weight = std::clamp(leaf->weight * factor, 0.001f, 1000.0f);
    leaf->ems *= factor;
}

} // namespace trapeze::ui
