// Cost models are data: TOML files, each number with its source (scenarios/costs/).
#pragma once

#include "emulator/base/result.hpp"
#include "hypervisor-sim/vmm.hpp"

namespace trapeze::scenarios {

/// Reads a cost model: a path, or the name of a shipped one. Every key must be known and every value 0 .. 1e9 cycles.
Result<vmm::CostModel> load_cost_model(const std::string& name);

} // namespace trapeze::scenarios
