#include "ui/layout.hpp"

#include <algorithm>
#include <cmath>
#include <initializer_list>

namespace trapeze::ui {

namespace {

constexpr float kThreeColumns = 74; // em: below it code and CSRs would not fit beside the lesson
constexpr float kCsrColumns = 27;   // em: name, real and virtual value
constexpr float kTall = 44;         // em: below it the second column has no room for a console

constexpr float kLanes = 7.6f;      // em: a title and four lanes

struct Slot {
    PanelId id;
    float weight;  ///< its part of the height that is left; 0: it is not there
    float ems = 0; ///< not 0: it has this height, whatever is left, as long as there is room
};

/// Puts the panels of a column below each other.
void stack(Layout& layout, const Frame& frame, float left, float right, std::initializer_list<Slot> slots) {
    const float height = frame.height - frame.strip - frame.top;
    const auto fixed = [&](const Slot& slot) { return slot.ems > 0 ? std::min(slot.ems * frame.em, height * 0.35f) : 0; };
    float sum = 0, rest = height;
    for (const Slot& slot : slots) slot.ems > 0 ? rest -= fixed(slot) : sum += slot.weight;
    float y = frame.top;
    for (const Slot& slot : slots) {
        if (slot.weight <= 0) continue;
        const float end = y + (slot.ems > 0 ? fixed(slot) : sum > 0 ? rest * slot.weight / sum : 0);
        layout.panels[static_cast<std::size_t>(slot.id)] = {left, std::round(y), right - left, std::round(end) - std::round(y)};
        y = end;
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
        const float console = !parts.lesson || frame.height >= kTall * frame.em ? 3 : 0;
        stack(layout, frame, 0, middle, {{PanelId::Code, 8}, {PanelId::Ledger, 4}, {PanelId::Dossier, 7 * dossier}});
        stack(layout, frame, middle, frame.width,
              {{PanelId::Lesson, 10 * lesson}, {PanelId::Lanes, 1, kLanes}, {PanelId::Csrs, parts.lesson ? 4.f : 6.f}, {PanelId::Registers, parts.lesson ? 0.f : 3.f}, {PanelId::Console, console}});
        return layout;
    }
    const float right = std::floor(frame.width - std::max(frame.width * 0.30f, kCsrColumns * frame.em));
    const float left = std::floor(right * 0.51f);
    const bool ledger_left = parts.lesson || parts.dossier; // else the middle has room for it
    stack(layout, frame, 0, left, {{PanelId::Code, 60}, {PanelId::Ledger, ledger_left ? 40.f : 0.f}});
    stack(layout, frame, left, right,
          {{PanelId::Lesson, 49 * lesson}, {PanelId::Lanes, 1, kLanes}, {PanelId::Dossier, 51 * dossier}, {PanelId::Ledger, ledger_left ? 0.f : 1.f}});
    stack(layout, frame, right, frame.width, {{PanelId::Csrs, 41}, {PanelId::Registers, 33}, {PanelId::Console, 26}});
    return layout;
}

} // namespace trapeze::ui
