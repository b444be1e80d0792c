#include "scenarios/cost_model.hpp"

#include "scenarios/session.hpp"

#include <fmt/format.h>
#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

#include <filesystem>

namespace trapeze::scenarios {

namespace {

struct Field {
    const char* name;
    u64 vmm::CostModel::* value;
};
constexpr Field kFields[] = {
    {"trap", &vmm::CostModel::trap},           {"decode", &vmm::CostModel::decode},         {"emulate", &vmm::CostModel::emulate},
    {"shadow_fill", &vmm::CostModel::shadow_fill}, {"walk_entry", &vmm::CostModel::walk_entry}, {"shadow_flush", &vmm::CostModel::shadow_flush},
    {"device", &vmm::CostModel::device},       {"inject", &vmm::CostModel::inject},         {"resume", &vmm::CostModel::resume},
    {"interpret", &vmm::CostModel::interpret}, {"gstage_fill", &vmm::CostModel::gstage_fill}, {"call_out", &vmm::CostModel::call_out},
    {"translate", &vmm::CostModel::translate}, {"chain", &vmm::CostModel::chain},
    {"interpret", &vmm::CostModel::interpret}, {"hypercall", &vmm::CostModel::hypercall},     {"check_entry", &vmm::CostModel::check_entry},
};
constexpr i64 kMostCycles = 1'000'000'000;

} // namespace

Result<vmm::CostModel> load_cost_model(const std::string& name) {
    std::error_code failed;
    std::string path = name;
    if (!std::filesystem::exists(path, failed)) path = root_folder() + "/scenarios/costs/" + name + ".toml";
    if (!std::filesystem::exists(path, failed)) return Error{fmt::format("there is no cost model \"{}\"; give a TOML file, or the name of one in scenarios/costs", name)};
    const auto bytes = read_file(path, 1 << 20);
    if (!bytes) return Error{bytes.error()};
    const auto& raw = bytes.value();
    const toml::parse_result parsed = toml::parse(std::string_view(reinterpret_cast<const char*>(raw.data()), raw.size()), path);
    if (!parsed) return Error{fmt::format("{}:{}: {}", path, parsed.error().source().begin.line, parsed.error().description())};
    vmm::CostModel model;
    model.name = parsed.table()["name"].value_or(std::filesystem::path(path).stem().string());
    const toml::table* cycles = parsed.table()["cycles"].as_table();
    if (!cycles) return Error{path + ": there is no table [cycles]; see scenarios/costs/flat.toml"};
    for (const auto& [key, value] : *cycles) {
        const Field* field = nullptr;
        for (const Field& candidate : kFields)
            if (key.str() == candidate.name) field = &candidate;
        const auto number = value.value<i64>();
        if (!field) return Error{fmt::format("{}:{}: \"{}\" is no cost; the costs are in scenarios/costs/flat.toml", path, value.source().begin.line, key.str())};
        if (!number || *number < 0 || *number > kMostCycles)
            return Error{fmt::format("{}:{}: {} must be a whole number of cycles, 0 to {}", path, value.source().begin.line, key.str(), kMostCycles)};
        model.*field->value = static_cast<u64>(*number);
    }
    return model;
}

} // namespace trapeze::scenarios
