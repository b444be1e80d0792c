// trapeze script.
#pragma once

#include "scenarios/cli.hpp"

namespace trapeze::scenarios {

void add_script(Verbs verbs);

} // namespace trapeze::scenarios
