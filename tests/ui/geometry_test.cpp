// Every layout at every size and scale that is promised: nothing lies outside the window, panels do not overlap, and no line of a panel is cut off
// at its edge, unless the panel can be scrolled there. What Dear ImGui placed is looked at, not pictures.
#include "tests/ui/headless.hpp"

#include <imgui_internal.h>

using namespace trapeze;
using namespace trapeze::test;
using namespace trapeze::ui;

namespace {

constexpr float kRounding = 1.5f; // pixels

/// Windows that were drawn in the last frame.
std::vector<const ImGuiWindow*> windows() {
    std::vector<const ImGuiWindow*> drawn;
    for (const ImGuiWindow* window : ImGui::GetCurrentContext()->Windows)
        if (window->WasActive && !window->Hidden && std::string(window->Name) != "Debug##Default") drawn.push_back(window);
    return drawn;
}

void check_inside(const ImGuiWindow& window) {
    const ImVec2 display = ImGui::GetIO().DisplaySize;
    CAPTURE(std::string(window.Name));
    if (window.Flags & ImGuiWindowFlags_ChildWindow) return; // they are clipped by what they are in
    CHECK(window.Pos.x >= -kRounding);
    CHECK(window.Pos.y >= -kRounding);
    CHECK(window.Pos.x + window.Size.x <= display.x + kRounding);
    CHECK(window.Pos.y + window.Size.y <= display.y + kRounding);
}

/// What is wider than its window is cut off, unless it can be scrolled.
void check_not_cut(const ImGuiWindow& window) {
    CAPTURE(std::string(window.Name));
    if (window.Flags & ImGuiWindowFlags_HorizontalScrollbar) return;
    if (std::string(window.Name).find("##") != std::string::npos && window.ScrollMax.x > 0 && window.ScrollbarX) return;
    CAPTURE(window.ContentSize.x);
    CAPTURE(window.InnerRect.GetWidth());
    CHECK(window.ContentSize.x <= window.InnerRect.GetWidth() - window.WindowPadding.x + kRounding);
}

} // namespace

TEST_CASE("At every size and scale that is promised nothing lies outside the window or is cut off") {
    Debugger sessions[] = {Debugger(guest(vmm::Mode::TrapAndEmulate), std::nullopt), lesson()};
    for (Debugger& debugger : sessions) {
        for (int i = 0; i < 30; ++i) debugger.apply({Action::NextTrap});
        for (const auto& [width, height] : {std::pair{1024.f, 700.f}, {1280.f, 800.f}, {1600.f, 900.f}, {1920.f, 1080.f}})
            for (const float scale : {1.0f, 1.5f, 2.0f}) {
                Headless screen(width, height, scale, false);
                for (std::size_t layout = 0; layout < static_cast<std::size_t>(LayoutId::Custom1); ++layout) {
                    CAPTURE(width);
                    CAPTURE(scale);
                    CAPTURE(std::string(layout_row(static_cast<LayoutId>(layout)).name));
                    debugger.apply({static_cast<Action>(static_cast<std::size_t>(Action::LayoutTrap) + layout)});
                    for (int frame = 0; frame < 3; ++frame) screen.frame(debugger);
                    for (const ImGuiWindow* window : windows()) check_inside(*window), check_not_cut(*window);
                }
            }
    }
}
