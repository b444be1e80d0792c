// Dividing a window among panels: nothing overlaps, nothing is lost, and what is moved is where it was put.
#include "ui/layouts.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <vector>

using namespace trapeze;
using namespace trapeze::ui;

namespace {

std::vector<Frame> frames() {
    std::vector<Frame> all;
    for (const float scale : {0.5f, 1.0f, 1.5f, 2.0f, 3.0f, 4.0f})
        for (const auto& [width, height] : {std::pair{320.f, 240.f}, {800.f, 600.f}, {1024.f, 700.f}, {1280.f, 800.f}, {1366.f, 768.f}, {1920.f, 1080.f}, {3840.f, 2160.f}}) {
            const float top = std::round(21 * scale), strip = std::round(37 * scale);
            if (height > (top + strip) * 1.5f) all.push_back({width, height, top, strip, 15 * scale});
        }
    return all;
}

struct Parts {
    bool lesson, dossier;
};
bool shown(const Parts& parts, PanelId panel) {
    const PanelNeeds needs = panel_names(panel).needs;
    return needs == PanelNeeds::Nothing || (needs == PanelNeeds::Lesson ? parts.lesson : parts.dossier);
}

Division shipped(LayoutId id, const Frame& frame, const Parts& parts) {
    return divide(shipped_tree(id, frame.wide()), frame.area(), {frame.em, [&](PanelId panel) { return shown(parts, panel); }, {}});
}

bool overlap(const Rectangle& a, const Rectangle& b) { return a.x < b.right() && b.x < a.right() && a.y < b.bottom() && b.y < a.bottom(); }

void check_fills(const Division& division, const Frame& frame) {
    CAPTURE(frame.width);
    CAPTURE(frame.height);
    CAPTURE(frame.em);
    const Rectangle all = frame.area();
    double area = 0;
    for (const PlacedLeaf& leaf : division.leaves) {
        CHECK(leaf.place.width > 0);
        CHECK(leaf.place.height > 0);
        CHECK(leaf.place.x >= all.x);
        CHECK(leaf.place.y >= all.y);
        CHECK(leaf.place.right() <= all.right());
        CHECK(leaf.place.bottom() <= all.bottom());
        for (const PlacedLeaf& other : division.leaves) CHECK_FALSE((&other != &leaf && overlap(leaf.place, other.place)));
        area += static_cast<double>(leaf.place.width) * static_cast<double>(leaf.place.height);
    }
    CHECK(area == doctest::Approx(static_cast<double>(all.width) * static_cast<double>(all.height)));
}

SplitNode leaf(PanelId panel) { return {.tabs = {panel}}; }

const DivideTerms kAll{10, {}, {}};

} // namespace

TEST_CASE("Every layout fills the window without overlaps at every size and scale, and each of its panels has a place") {
    for (std::size_t i = 0; i < kLayouts; ++i)
        for (const Frame& frame : frames())
            for (const Parts parts : {Parts{false, false}, {false, true}, {true, true}}) {
                const auto id = static_cast<LayoutId>(i);
                const Division division = shipped(id, frame, parts);
                check_fills(division, frame);
                for (PanelId panel : panels_of(shipped_tree(id, frame.wide()))) CHECK((division.leaf_of(panel) != nullptr) == shown(parts, panel));
            }
}

TEST_CASE("No panel is squeezed below what a few lines of text need") {
    for (const Frame& frame : frames())
        for (const PlacedLeaf& placed : shipped(LayoutId::Trap, frame, {true, true}).leaves) {
            CAPTURE(frame.width);
            CAPTURE(frame.em);
            CHECK(placed.place.width >= std::min(frame.area().width, kLeastWidth * frame.em) - 1);
            CHECK(placed.place.height >= std::min(frame.area().height, kLeastHeight * frame.em) - 1);
        }
}

TEST_CASE("Code, CSRs, lanes and ledger are in view together, down to 26 by 20 letters") {
    for (const Frame& frame : frames()) {
        if (frame.width < 26 * frame.em || frame.height < 20 * frame.em) continue;
        for (const bool lesson : {false, true}) {
            const Division division = shipped(LayoutId::Trap, frame, {lesson, true});
            for (const PanelId id : {PanelId::Code, PanelId::Csrs, PanelId::Lanes, PanelId::Ledger, PanelId::Dossier}) CHECK(division[id].width > 0);
            CHECK((division[PanelId::Lesson].width > 0) == lesson);
        }
    }
}

TEST_CASE("At 1280 x 800 real and virtual CSRs fit beside each other, and there is a console") {
    const Division division = shipped(LayoutId::Trap, {1280, 800, 21, 37, 15}, {true, true});
    CHECK(division[PanelId::Csrs].width >= 26 * 15);
    CHECK(division[PanelId::Console].width > 0);
    CHECK(division[PanelId::Registers].width > 0);
}

TEST_CASE("What does not fit goes on tabs, of which the one used last is in front") {
    const SplitNode tree{.axis = Axis::Row, .parts = {leaf(PanelId::Code), leaf(PanelId::Csrs)}};
    const Rectangle narrow{0, 0, 10 * kLeastWidth * 1.9f, 500};
    CHECK(divide(tree, {0, 0, 10 * kLeastWidth * 2.1f, 500}, kAll).leaves.size() == 2);
    const PanelId used[] = {PanelId::Csrs, PanelId::Code};
    const Division division = divide(tree, narrow, {10, {}, used});
    REQUIRE(division.leaves.size() == 1);
    CHECK(division.leaves[0].tabs == std::vector{PanelId::Code, PanelId::Csrs});
    CHECK(division.leaves[0].front == PanelId::Csrs);
    CHECK(division[PanelId::Code].width == 0);
}

TEST_CASE("A panel is put on each side of another one, and taken out again") {
    const SplitNode before{.axis = Axis::Row, .parts = {leaf(PanelId::Code), leaf(PanelId::Csrs)}};
    for (const Side side : {Side::Tab, Side::Left, Side::Right, Side::Above, Side::Below}) {
        SplitNode tree = before;
        insert_panel(tree, PanelId::Console, PanelId::Csrs, side);
        CHECK(panels_of(tree).size() == 3);
        const Division division = divide(tree, {0, 0, 900, 600}, kAll);
        const Rectangle target = division[PanelId::Csrs], placed = division[PanelId::Console];
        if (side == Side::Tab) CHECK(division.leaf_of(PanelId::Console) == division.leaf_of(PanelId::Csrs));
        if (side == Side::Left) CHECK(placed.right() == target.x);
        if (side == Side::Right) CHECK(placed.x == target.right());
        if (side == Side::Above) CHECK(placed.bottom() == target.y);
        if (side == Side::Below) CHECK(placed.y == target.bottom());
        remove_panel(tree, PanelId::Console);
        CHECK(panels_of(tree) == panels_of(before));
        CHECK(tree.parts.size() == 2);
    }
}

TEST_CASE("Taking out the last panel leaves an empty leaf, to which another can come") {
    SplitNode tree = leaf(PanelId::Code);
    remove_panel(tree, PanelId::Code);
    CHECK(panels_of(tree).empty());
    CHECK(divide(tree, {0, 0, 900, 600}, kAll).leaves.empty());
    insert_panel(tree, PanelId::Csrs, PanelId::Code, Side::Left);
    CHECK(panels_of(tree) == std::vector{PanelId::Csrs});
}

TEST_CASE("A border moves between the two parts beside it, also when another part is not shown") {
    SplitNode tree{.axis = Axis::Column, .parts = {leaf(PanelId::Code), leaf(PanelId::Lesson), leaf(PanelId::Csrs)}};
    const DivideTerms terms{10, [](PanelId panel) { return panel != PanelId::Lesson; }, {}};
    Division division = divide(tree, {0, 100, 500, 600}, terms);
    REQUIRE(division.borders.size() == 1);
    const PlacedBorder border = division.borders[0];
    CHECK(border.at == 400);
    std::vector<float> sizes = border.sizes;
    sizes[border.part] += 100, sizes[border.next] -= 100;
    set_sizes(tree, border.split, sizes);
    division = divide(tree, {0, 100, 500, 600}, terms);
    CHECK(division.borders[0].at == 500);
    set_sizes(tree, 7, sizes); // there is no such split
    set_sizes(tree, border.split, std::vector<float>{1});
    CHECK(divide(tree, {0, 100, 500, 600}, terms).borders[0].at == 500);
}
