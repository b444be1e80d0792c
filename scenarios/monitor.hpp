// The debugger's prompt of `trapeze boot` (Ctrl+A c), as QEMU's monitor: looks at the guest where it stands, and goes on.
#pragma once

#include "scenarios/session.hpp"

#include <string>

namespace trapeze::scenarios {

/// What a line at the prompt led to.
struct MonitorAnswer {
    enum class Then { Ask, Continue, Quit };
    std::string text; ///< to be printed; lines end in "\n"
    Then then = Then::Ask;
};
/// Carries out one line; one that is not understood is answered with a sentence, like everything a user types.
MonitorAnswer monitor(Session& session, const std::string& line);

} // namespace trapeze::scenarios
