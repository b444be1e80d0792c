#include "ui/table_view.hpp"

#include <algorithm>

namespace trapeze::ui {

std::optional<std::size_t> draw_rows(const Theme& theme, const char* id, const std::vector<std::string>& columns, std::size_t rows,
                                     const std::function<std::vector<std::string>(std::size_t)>& row, const TableLook& look) {
    constexpr ImGuiTableFlags kFlags = ImGuiTableFlags_ScrollY | ImGuiTableFlags_ScrollX | ImGuiTableFlags_RowBg | ImGuiTableFlags_SizingFixedFit | ImGuiTableFlags_Resizable |
                                       ImGuiTableFlags_BordersInnerV;
    std::optional<std::size_t> chosen;
    if (!ImGui::BeginTable(id, static_cast<int>(columns.size()), kFlags, {0, look.height})) return chosen;
    ImGui::TableSetupScrollFreeze(0, 1);
    for (const std::string& title : columns) ImGui::TableSetupColumn(title.c_str());
    ImGui::TableHeadersRow();
    ImGuiListClipper clipper;
    clipper.Begin(static_cast<int>(std::min<std::size_t>(rows, 0x7fffffff)));
    while (clipper.Step())
        for (int i = clipper.DisplayStart; i < clipper.DisplayEnd; ++i) {
            const auto index = static_cast<std::size_t>(i);
            const std::vector<std::string> cells = row(index);
            ImGui::TableNextRow();
            for (std::size_t column = 0; column < std::min(cells.size(), columns.size()); ++column) {
                ImGui::TableNextColumn();
                if (column == 0 && look.behind) look.behind(index);
                if (column == 0 && look.clickable) {
                    ImGui::PushID(i);
                    if (ImGui::Selectable("##row", look.selected == index, ImGuiSelectableFlags_SpanAllColumns | ImGuiSelectableFlags_AllowItemOverlap)) chosen = index;
                    ImGui::PopID();
                    if (look.menu) look.menu(index);
                    ImGui::SameLine(0, 0);
                }
                const auto colour = look.colour ? look.colour(index, column) : std::nullopt;
                ImGui::PushStyleColor(ImGuiCol_Text, colour.value_or(theme.text));
                ImGui::TextUnformatted(cells[column].c_str());
                ImGui::PopStyleColor();
            }
        }
    ImGui::EndTable();
    return chosen;
}

std::optional<std::size_t> draw_table(const Theme& theme, const char* id, const Table& table, const TableLook& look) {
    return draw_rows(theme, id, table.columns, table.rows.size(), [&](std::size_t row) { return table.rows[row]; }, look);
}

} // namespace trapeze::ui
