// The layouts at many sizes: no panel overlaps another or leaves the window, and together they fill it.
#include "ui/layout.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

using namespace trapeze::ui;

namespace {

std::vector<Frame> frames() {
    std::vector<Frame> all;
    for (const float scale : {0.5f, 1.0f, 1.5f, 2.0f, 4.0f})
        for (const auto& [width, height] : {std::pair{320.f, 240.f}, {800.f, 600.f}, {1024.f, 700.f}, {1280.f, 800.f}, {1366.f, 768.f}, {1920.f, 1080.f}, {3840.f, 2160.f}}) {
            const float top = std::round(21 * scale), strip = std::round(37 * scale);
            if (height > (top + strip) * 1.5f) all.push_back({width, height, top, strip, 15 * scale});
        }
    return all;
}

bool there(const Rectangle& panel) { return panel.width > 0; }

bool overlap(const Rectangle& a, const Rectangle& b) {
    return a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;
}

void check_fills(const Layout& layout, const Frame& frame) {
    CAPTURE(frame.width);
    CAPTURE(frame.height);
    CAPTURE(frame.em);
    double area = 0;
    for (std::size_t i = 0; i < layout.panels.size(); ++i) {
        const Rectangle& panel = layout.panels[i];
        if (!there(panel)) continue;
        CAPTURE(i);
        CHECK(panel.height > 0);
        CHECK(panel.x >= 0);
        CHECK(panel.y >= frame.top);
        CHECK(panel.x + panel.width <= frame.width);
        CHECK(panel.y + panel.height <= frame.height);
        for (std::size_t j = 0; j < i; ++j) CHECK_FALSE((there(layout.panels[j]) && overlap(panel, layout.panels[j])));
        area += static_cast<double>(panel.width) * static_cast<double>(panel.height);
    }
    CHECK(area == doctest::Approx(static_cast<double>(frame.width) * static_cast<double>(frame.height - frame.top)));
}

} // namespace

TEST_CASE("The trap layout fills the window without overlaps at every size and scale") {
    for (const Frame& frame : frames())
        for (const Parts parts : {Parts{false, false}, {false, true}, {true, false}, {true, true}}) check_fills(trap_layout(frame, parts), frame);
}

TEST_CASE("The container layout fills the window without overlaps at every size and scale") {
    for (const Frame& frame : frames()) {
        const Layout layout = container_layout(frame);
        check_fills(layout, frame);
        CHECK(there(layout[PanelId::Containers]));
        CHECK(there(layout[PanelId::Console]));
    }
}

TEST_CASE("Code, CSRs, lanes and ledger are in view together, whatever the size") {
    for (const Frame& frame : frames())
        for (const bool lesson : {false, true}) {
            const Layout layout = trap_layout(frame, {lesson, true});
            for (const PanelId id : {PanelId::Code, PanelId::Csrs, PanelId::Lanes, PanelId::Ledger, PanelId::Dossier}) CHECK(there(layout[id]));
            CHECK(there(layout[PanelId::Lesson]) == lesson);
        }
}

TEST_CASE("At 1280 x 800 real and virtual CSRs fit beside each other, and there is a console") {
    const Layout layout = trap_layout({1280, 800, 21, 37, 15}, {true, true});
    CHECK(layout[PanelId::Csrs].width >= 26 * 15);
    CHECK(there(layout[PanelId::Console]));
    CHECK(there(layout[PanelId::Registers]));
}
