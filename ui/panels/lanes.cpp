// Swim lanes: who had the hart, stretch by stretch. Each stretch has the same width, whatever it took; its time is in the tooltip.
#include "ui/panels.hpp"

#include <algorithm>

namespace trapeze::ui {

namespace {
constexpr const char* kNames[] = {"guest user", "guest kernel", "hypervisor", "firmware"};
constexpr int kLanes = 4;
} // namespace

void draw_lanes(const Debugger& debugger, const Theme& theme, PanelState&, Commands&) {
    const Session& session = debugger.session();
    const auto& changes = session.lanes();
    ImDrawList* list = ImGui::GetWindowDrawList();
    const ImVec2 origin = ImGui::GetCursorScreenPos(), room = ImGui::GetContentRegionAvail();
    const float label = ImGui::CalcTextSize("guest kernel").x + 12, lane_height = std::max(room.y / kLanes, ImGui::GetTextLineHeight());
    const float step = ImGui::GetFontSize() * 1.1f;
    const std::size_t fit = static_cast<std::size_t>(std::max(1.0f, (room.x - label) / step));
    const std::size_t first = changes.size() > fit ? changes.size() - fit : 0;
    for (int lane = 0; lane < kLanes; ++lane) {
        const float y = origin.y + lane_height * static_cast<float>(lane);
        const bool now = static_cast<int>(session.lane()) == lane;
        list->AddText({origin.x, y + (lane_height - ImGui::GetTextLineHeight()) / 2}, ImGui::GetColorU32(now ? theme.lane(session.lane()) : theme.dim), kNames[lane]);
        list->AddLine({origin.x + label, y + lane_height}, {origin.x + room.x, y + lane_height}, ImGui::GetColorU32(ImGuiCol_Border));
    }
    ImVec2 previous{};
    for (std::size_t i = first; i < changes.size(); ++i) {
        const auto& change = changes[i];
        const float x = origin.x + label + step * static_cast<float>(i - first);
        const float y = origin.y + lane_height * static_cast<float>(change.lane);
        const ImVec2 low{x, y + lane_height * 0.2f}, high{x + step - 2, y + lane_height * 0.8f};
        const ImVec2 centre{(low.x + high.x) / 2, (low.y + high.y) / 2};
        if (i > first) list->AddLine(previous, centre, ImGui::GetColorU32(theme.dim));
        list->AddRectFilled(low, high, ImGui::GetColorU32(theme.lane(change.lane)), 2);
        if (i + 1 == changes.size()) list->AddRect({low.x - 2, low.y - 2}, {high.x + 2, high.y + 2}, ImGui::GetColorU32(theme.text), 3, 0, 2);
        previous = centre;
        if (ImGui::IsMouseHoveringRect(low, high) && ImGui::IsWindowHovered()) {
            const u64 end = i + 1 < changes.size() ? changes[i + 1].time : session.machine().cycles();
            ImGui::SetTooltip("%s for %llu cycles, from pc 0x%llx %s", kNames[static_cast<int>(change.lane)], static_cast<unsigned long long>(end - change.time),
                              static_cast<unsigned long long>(change.pc), session.guest().elf.describe(change.pc).c_str());
        }
    }
    ImGui::Dummy(room);
}

} // namespace trapeze::ui
