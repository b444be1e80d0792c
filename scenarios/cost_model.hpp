// Cost models are data: TOML files in scenarios/costs/. Each number has a source, a published figure; one without says "assumed".
#pragma once

#include "emulator/base/result.hpp"
#include "hypervisor-sim/vmm.hpp"

#include <map>
#include <span>
#include <string>
#include <vector>

namespace trapeze::scenarios {

/// One number of a cost model, by the name that it has in the file.
struct CostField {
    const char* name;
    u64 vmm::CostModel::* value;
    const char* sentence;
};
std::span<const CostField> cost_fields();

/// A cost model, and where its numbers are from.
struct CostFile {
    vmm::CostModel model;
    std::string sentence;                       ///< what it is like
    std::map<std::string, std::string> sources; ///< by field
};

/// Reads a cost model: a path, or the name of a shipped one. Every key must be known and every value 0 .. 1e9 cycles.
Result<CostFile> read_cost_file(const std::string& name);
Result<vmm::CostModel> load_cost_model(const std::string& name);
/// The names of those that are shipped, sorted.
std::vector<std::string> shipped_cost_models();

} // namespace trapeze::scenarios
