// What the user looks at: the thing that F1 explains.
#pragma once

#include "ui/panels.hpp"

namespace trapeze::ui {

/// Names that scenarios::explain knows, one a line: of what is selected in the panel that has the focus.
std::string focused_things(const Debugger& debugger, const PanelState& state);

/// The same for a thing that a panel shows; empty: there is nothing to tell.
std::string things_of(const Thing& thing, const Debugger& debugger);

} // namespace trapeze::ui
