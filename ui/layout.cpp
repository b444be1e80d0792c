#include "ui/layout.hpp"

#include <cmath>

namespace trapeze::ui {

Layout container_layout(float width, float height, float top, float strip) {
    Layout layout;
    const auto at = [&](PanelId id) -> Rectangle& { return layout.panels[static_cast<std::size_t>(id)]; };
    const float bottom = height - strip, middle = std::floor(top + (bottom - top) * 0.42f), left = std::floor(width * 0.5f);
    at(PanelId::Containers) = {0, top, width, middle - top};
    at(PanelId::Ledger) = {0, middle, left, bottom - middle};
    at(PanelId::Console) = {left, middle, width - left, bottom - middle};
    at(PanelId::Timeline) = {0, bottom, width, strip};
    return layout;
}

Layout trap_layout(float width, float height, float top, float strip, bool with_lesson) {
    Layout layout;
    const auto at = [&](PanelId id) -> Rectangle& { return layout.panels[static_cast<std::size_t>(id)]; };
    const float bottom = height - strip, middle = std::floor(top + (bottom - top) * 0.63f);
    const float left = std::floor(width * 0.36f), right = std::floor(width * 0.69f);
    const float lanes = with_lesson ? std::floor(top + (middle - top) * 0.74f) : top;
    const float registers = std::floor(top + (middle - top) * 0.46f);
    const float dossier = std::floor(width * 0.36f), console = std::floor(width * 0.69f);
    at(PanelId::Code) = {0, top, left, middle - top};
    at(PanelId::Lesson) = with_lesson ? Rectangle{left, top, right - left, lanes - top} : Rectangle{};
    at(PanelId::Lanes) = {left, lanes, right - left, middle - lanes};
    at(PanelId::Registers) = {right, top, width - right, registers - top};
    at(PanelId::Csrs) = {right, registers, width - right, middle - registers};
    at(PanelId::Ledger) = {0, middle, dossier, bottom - middle};
    at(PanelId::Dossier) = {dossier, middle, console - dossier, bottom - middle};
    at(PanelId::Console) = {console, middle, width - console, bottom - middle};
    at(PanelId::Timeline) = {0, bottom, width, strip};
    return layout;
}

} // namespace trapeze::ui
