#include "ui/layout.hpp"

#include <algorithm>
#include <cmath>
#include <initializer_list>

namespace trapeze::ui {

namespace {

constexpr float kThreeColumns = 74; // em: below it code and CSRs would not fit beside the lesson
constexpr float kCsrColumns = 27;   // em: name, real and virtual value
constexpr float kTall = 24;         // em: below it the second column has no room for a console

struct Slot {
    PanelId id;
    float weight; ///< its part of the column's height; 0: it is not there
};

/// Puts the panels of a column below each other.
void stack(Layout& layout, const Frame& frame, float left, float right, std::initializer_list<Slot> slots) {
    float sum = 0, above = 0;
    for (const Slot& slot : slots) sum += slot.weight;
    const float height = frame.height - frame.strip - frame.top;
    const auto edge = [&](float weight) { return std::floor(frame.top + height * weight / sum); };
    for (const Slot& slot : slots) {
        if (slot.weight <= 0) continue;
        const float y = edge(above);
        above += slot.weight;
        layout.panels[static_cast<std::size_t>(slot.id)] = {left, y, right - left, edge(above) - y};
    }
}

void put_timeline(Layout& layout, const Frame& frame) {
    layout.panels[static_cast<std::size_t>(PanelId::Timeline)] = {0, frame.height - frame.strip, frame.width, frame.strip};
}

} // namespace

Layout container_layout(const Frame& frame) {
    Layout layout;
    const float middle = std::floor(frame.width / 2);
    const float height = frame.height - frame.strip - frame.top, matrix = std::floor(height * 0.36f);
    layout.panels[static_cast<std::size_t>(PanelId::Containers)] = {0, frame.top, frame.width, matrix};
    Frame below = frame;
    below.top += matrix;
    stack(layout, below, 0, middle, {{PanelId::Ledger, 1}});
    stack(layout, below, middle, frame.width, {{PanelId::Console, 1}});
    put_timeline(layout, frame);
    return layout;
}

Layout trap_layout(const Frame& frame, const Parts& parts) {
    Layout layout;
    put_timeline(layout, frame);
    const float lesson = parts.lesson ? 1 : 0, dossier = parts.dossier ? 1 : 0;
    if (frame.width < kThreeColumns * frame.em) {
        const float middle = std::floor(frame.width / 2);
        const float console = !parts.lesson || frame.height >= kTall * 2 * frame.em ? 3 : 0;
        stack(layout, frame, 0, middle, {{PanelId::Code, 8}, {PanelId::Ledger, 4}, {PanelId::Dossier, 7 * dossier}});
        stack(layout, frame, middle, frame.width,
              {{PanelId::Lesson, 8 * lesson}, {PanelId::Lanes, 3}, {PanelId::Csrs, parts.lesson ? 4.f : 6.f}, {PanelId::Registers, parts.lesson ? 0.f : 3.f}, {PanelId::Console, console}});
        return layout;
    }
    const float right = std::floor(frame.width - std::max(frame.width * 0.30f, kCsrColumns * frame.em));
    const float left = std::floor(right * 0.51f);
    stack(layout, frame, 0, left, {{PanelId::Code, 60}, {PanelId::Ledger, 40}});
    stack(layout, frame, left, right, {{PanelId::Lesson, 44 * lesson}, {PanelId::Lanes, parts.lesson ? 17.f : 20.f}, {PanelId::Dossier, (parts.lesson ? 39.f : 80.f) * dossier}});
    stack(layout, frame, right, frame.width, {{PanelId::Csrs, 40}, {PanelId::Registers, 34}, {PanelId::Console, 26}});
    return layout;
}

} // namespace trapeze::ui
