// trapeze explain.
#pragma once

#include "scenarios/cli.hpp"

namespace trapeze::scenarios {

void add_explain(Verbs verbs);

} // namespace trapeze::scenarios
