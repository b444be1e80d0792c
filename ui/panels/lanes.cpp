// Swim lanes: who had the hart, stretch by stretch. Each stretch has the same width, whatever it took; its time is in the tooltip.
#include "ui/panels.hpp"
#include "ui/text.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace trapeze::ui {

namespace {

struct LaneRow {
    const char *name, *letter;
};
constexpr LaneRow kRows[] = {{later("guest user"), "u"}, {later("guest kernel"), "k"}, {later("hypervisor"), "H"}, {later("firmware"), "F"}};
constexpr int kLanes = 4;

void centred(ImDrawList* list, ImVec2 low, ImVec2 high, const ImVec4& colour, const char* text) {
    const ImVec2 size = ImGui::CalcTextSize(text);
    list->AddText({(low.x + high.x - size.x) / 2, (low.y + high.y - size.y) / 2}, ImGui::GetColorU32(colour), text);
}

} // namespace

void draw_lanes(const Debugger& debugger, const Theme& theme, PanelState&, Commands&) {
    const Session& session = debugger.session();
    const auto& changes = session.lanes();
    ImDrawList* list = ImGui::GetWindowDrawList();
    const float em = ImGui::GetFontSize();
    const ImVec2 origin = ImGui::GetCursorScreenPos(), room = ImGui::GetContentRegionAvail();
    const float label = std::max(ImGui::CalcTextSize(tr("guest kernel")).x, ImGui::CalcTextSize(tr("guest user")).x) + em, lane_height = std::clamp(room.y / kLanes, em, em * 2.2f);
    const float step = em * 1.5f;
    const std::size_t fit = static_cast<std::size_t>(std::max(1.0f, (room.x - label) / step));
    const std::size_t first = changes.size() > fit ? changes.size() - fit : 0;
    for (int lane = 0; lane < kLanes; ++lane) {
        const float y = origin.y + lane_height * static_cast<float>(lane);
        const bool now = static_cast<int>(session.lane()) == lane;
        if (now) list->AddRectFilled({origin.x - 4, y}, {origin.x + room.x, y + lane_height}, ImGui::GetColorU32(theme.current_line), 3);
        list->AddText({origin.x, y + (lane_height - ImGui::GetTextLineHeight()) / 2}, ImGui::GetColorU32(now ? theme.text : theme.dim), tr(kRows[lane].name));
        if (lane) list->AddLine({origin.x, y}, {origin.x + room.x, y}, ImGui::GetColorU32(ImGuiCol_Border));
    }
    const auto box = [&](std::size_t i) {
        const float x = origin.x + label + step * static_cast<float>(i - first), y = origin.y + lane_height * static_cast<float>(changes[i].lane);
        return std::pair(ImVec2{x, y + lane_height * 0.12f}, ImVec2{x + step - 3, y + lane_height * 0.88f});
    };
    for (std::size_t i = first + 1; i < changes.size(); ++i) { // the way from one stretch to the next
        const auto from = box(i - 1), to = box(i);
        const float x = to.first.x - 1.5f;
        list->AddLine({x, std::min(from.first.y, to.first.y)}, {x, std::max(from.second.y, to.second.y)}, ImGui::GetColorU32(theme.dim), 1.5f);
    }
    for (std::size_t i = first; i < changes.size(); ++i) {
        const auto& change = changes[i];
        const auto [low, high] = box(i);
        const bool newest = i + 1 == changes.size();
        const ImVec4 colour = theme.lane(change.lane);
        list->AddRectFilled(low, high, ImGui::GetColorU32(ImVec4(colour.x, colour.y, colour.z, newest ? 1.0f : 0.75f)), 3);
        centred(list, low, high, ImGui::GetStyle().Colors[ImGuiCol_WindowBg], kRows[static_cast<int>(change.lane)].letter);
        if (newest) list->AddRect({low.x - 2, low.y - 2}, {high.x + 2, high.y + 2}, ImGui::GetColorU32(theme.text), 4, 0, 2);
        if (!ImGui::IsWindowHovered() || !ImGui::IsMouseHoveringRect(low, high)) continue;
        const u64 end = newest ? session.machine().cycles() : changes[i + 1].time;
        ImGui::SetTooltip("%s", trf("{} for {} cycles, from pc 0x{:x} {}", tr(kRows[static_cast<int>(change.lane)].name), end - change.time, change.pc,
                                            session.guest().elf.describe(change.pc)).c_str());
    }
    ImGui::Dummy({room.x, lane_height * kLanes - ImGui::GetStyle().ItemSpacing.y});
}

Sheet sheet_lanes(const Debugger& debugger, const PanelState&) {
    constexpr std::size_t kMost = 1000;
    const Session& session = debugger.session();
    const auto& changes = session.lanes();
    Table table{{tr("from cycle"), tr("cycles"), tr("lane"), "pc", tr("place")}};
    for (std::size_t i = changes.size() - std::min(changes.size(), kMost); i < changes.size(); ++i) {
        const u64 end = i + 1 == changes.size() ? session.machine().cycles() : changes[i + 1].time;
        table.rows.push_back({std::to_string(changes[i].time), std::to_string(end - changes[i].time), tr(kRows[static_cast<int>(changes[i].lane)].name), hex(changes[i].pc),
                              session.guest().elf.describe(changes[i].pc)});
    }
    return Sheet().say(trf("Now: {}", tr(kRows[static_cast<int>(session.lane())].name))).add(std::move(table));
}

} // namespace trapeze::ui
