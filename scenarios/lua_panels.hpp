// Panels that scripts define: panel{title =, draw = function(p) ... end}. The function says what is to be shown, as texts, tables and plots; it is called anew
// when the session has changed, and can look at the session but not change it. The values are kept here; who shows them draws them.
#pragma once

#include "emulator/base/types.hpp"

#include <string>
#include <vector>

namespace trapeze::scenarios {

inline constexpr std::size_t kMostLuaPanels = 4;

struct LuaPanelPart {
    enum class Kind : u8 { Text, Table, Lines, Bars };
    Kind kind = Kind::Text;
    std::string text;                           ///< of a plot its name
    std::vector<std::string> columns;           ///< of a table
    std::vector<std::vector<std::string>> rows; ///< as wide as the columns
    std::vector<float> values;                  ///< of a plot, from left to right
};

struct LuaPanel {
    std::string title;
    std::vector<LuaPanelPart> parts;
    std::string error; ///< why `parts` is not all; with file and line. Empty: it is
};

/// A plot in one line of text: eight heights, at most `columns` of them.
std::string plot_text(const std::vector<float>& values, std::size_t columns);

} // namespace trapeze::scenarios
