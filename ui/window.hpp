// The window: SDL2 and OpenGL 3 around Dear ImGui. Opens, draws frames, writes pictures.
#pragma once

#include "scenarios/cli.hpp"

namespace trapeze::ui {

/// Opens the debugger (scenarios::DebuggerEntry). Returns the exit status.
int run_debugger(scenarios::Session session, std::optional<scenarios::LessonRun> lesson, const scenarios::DebuggerOptions& options);

} // namespace trapeze::ui
