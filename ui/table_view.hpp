// Drawing what a sheet says: tables whose rows are clipped to what is to be seen, and sentences.
#pragma once

#include "ui/sheet.hpp"
#include "ui/theme.hpp"

#include <functional>
#include <optional>

namespace trapeze::ui {

/// How a table is drawn.
struct TableLook {
    std::size_t stretch = ~std::size_t{0};  ///< the column that takes what room is left; ~0: the last
    std::size_t selected = ~std::size_t{0}; ///< row
    float height = 0;                       ///< pixels; 0: all that is left
    bool clickable = false;
    std::function<std::optional<ImVec4>(std::size_t row, std::size_t column)> colour{}; ///< of a cell; none: the text's
    std::function<void(std::size_t row)> menu{};                                        ///< for a clickable row, once its item was drawn: says what thing it is
    std::function<void(std::size_t row)> behind{};                                      ///< draws into the first cell, before its text
};
/// Returns the row that was clicked or chosen by key.
std::optional<std::size_t> draw_table(const Theme& theme, const char* id, const Table& table, const TableLook& look = {});
/// The same for rows that are made when they are seen.
std::optional<std::size_t> draw_rows(const Theme& theme, const char* id, const std::vector<std::string>& columns, std::size_t rows,
                                     const std::function<std::vector<std::string>(std::size_t)>& row, const TableLook& look = {});

} // namespace trapeze::ui
