// A page walk, entry by entry, for people: through the guest's own table, and as the machine's hart walks it: two stages when the guest is
// hardware-assisted, shadow tables when it is deprivileged.
#pragma once

#include "scenarios/session.hpp"

#include <string>

namespace trapeze::scenarios {

/// One walk as lines, an entry each with its stage and level, and what came of it.
std::string walk_text(const PageWalk& walk, u64 address);
/// The walk of the guest's own table for a load, in the mode that the guest is in (for a program's page: as the program's load).
PageWalk guest_walk(const Session& session, unsigned hart, u64 address);
/// The walk that the machine's hart does for the guest's load. Pre: the session has a VMM, and its mode is not interpret.
PageWalk machine_walk(const Session& session, u64 address);
/// Both, as far as there are both.
std::string describe_walks(const Session& session, unsigned hart, u64 address);

} // namespace trapeze::scenarios
