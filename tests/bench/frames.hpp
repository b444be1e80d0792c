// What a frame of the debugger takes.
#pragma once

#include "tests/bench/measure.hpp"

namespace trapeze::bench {

/// Processor time, in milliseconds, of building one frame of the window's panels at 1920 x 1080 with `events` events on the trace; without the
/// drawing of the pixels. `log`: with the event log in view, filtered.
Result<Spread> panel_frame(u64 events, bool log);
/// The same of the whole program with software OpenGL, in the trap layout: what further frames add.
Result<Spread> drawn_frame();

} // namespace trapeze::bench
