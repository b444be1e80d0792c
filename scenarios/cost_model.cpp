#include "scenarios/cost_model.hpp"

#include "scenarios/session.hpp"

#include <fmt/format.h>
#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

#include <algorithm>
#include <filesystem>

namespace trapeze::scenarios {

namespace {

constexpr CostField kFields[] = {
    {"trap", &vmm::CostModel::trap, "hardware trap into the VMM, and saving the guest's registers"},
    {"resume", &vmm::CostModel::resume, "restoring the guest's registers, and sret"},
    {"vm_exit", &vmm::CostModel::vm_exit, "in place of trap where the hart itself virtualizes (hardware-assisted)"},
    {"vm_entry", &vmm::CostModel::vm_entry, "in place of resume there"},
    {"decode", &vmm::CostModel::decode, "fetching and decoding the guest's instruction in software"},
    {"emulate", &vmm::CostModel::emulate, "executing one privileged instruction on the virtual hart"},
    {"inject", &vmm::CostModel::inject, "delivering a trap or an interrupt into the guest"},
    {"device", &vmm::CostModel::device, "one access to a virtual device"},
    {"walk_entry", &vmm::CostModel::walk_entry, "reading one entry of a guest's table in software"},
    {"shadow_fill", &vmm::CostModel::shadow_fill, "installing one shadow entry"},
    {"shadow_flush", &vmm::CostModel::shadow_flush, "dropping a shadow root"},
    {"gstage_fill", &vmm::CostModel::gstage_fill, "installing one entry of the G-stage"},
    {"interpret", &vmm::CostModel::interpret, "interpreting one instruction in software"},
    {"call_out", &vmm::CostModel::call_out, "translated code calls the VMM, and saving the guest's registers: there is no fault to be understood"},
    {"translate", &vmm::CostModel::translate, "translating one instruction of guest code"},
    {"chain", &vmm::CostModel::chain, "finding a translated block, linking one, or dropping one"},
    {"hypercall", &vmm::CostModel::hypercall, "finding out which hypercall it is, and looking at its arguments"},
    {"check_entry", &vmm::CostModel::check_entry, "checking one entry of a guest's page table, with direct paging"},
};
constexpr i64 kMostCycles = 1'000'000'000;

std::string costs_folder() { return root_folder() + "/scenarios/costs"; }

const CostField* field_named(std::string_view name) {
    for (const CostField& field : kFields)
        if (name == field.name) return &field;
    return nullptr;
}

Error at(const std::string& path, const toml::source_region& where, const std::string& sentence) {
    return Error{fmt::format("{}:{}: {}", path, where.begin.line, sentence)};
}

Result<void> read_cycles(const std::string& path, const toml::table& cycles, vmm::CostModel& model) {
    for (const auto& [key, value] : cycles) {
        const CostField* const field = field_named(key.str());
        const auto number = value.value<i64>();
        if (!field) return at(path, value.source(), fmt::format("\"{}\" is no cost; the costs are in scenarios/costs/flat.toml", key.str()));
        if (!number || *number < 0 || *number > kMostCycles)
            return at(path, value.source(), fmt::format("{} must be a whole number of cycles, 0 to {}", key.str(), kMostCycles));
        model.*field->value = static_cast<u64>(*number);
    }
    return {};
}

Result<void> read_sources(const std::string& path, const toml::table& sources, std::map<std::string, std::string>& to) {
    for (const auto& [key, value] : sources) {
        const auto text = value.value<std::string>();
        if (!field_named(key.str())) return at(path, value.source(), fmt::format("\"{}\" is no cost that could have a source", key.str()));
        if (!text || text->empty()) return at(path, value.source(), fmt::format("the source of {} must be a sentence: a publication, or \"assumed\"", key.str()));
        to[std::string(key.str())] = *text;
    }
    return {};
}

} // namespace

std::span<const CostField> cost_fields() { return kFields; }

std::vector<std::string> shipped_cost_models() {
    std::vector<std::string> names;
    std::error_code failed;
    for (const auto& entry : std::filesystem::directory_iterator(costs_folder(), failed))
        if (entry.path().extension() == ".toml") names.push_back(entry.path().stem().string());
    std::sort(names.begin(), names.end());
    return names;
}

Result<CostFile> read_cost_file(const std::string& name) {
    std::error_code failed;
    std::string path = name;
    if (!std::filesystem::exists(path, failed)) path = costs_folder() + "/" + name + ".toml";
    if (!std::filesystem::exists(path, failed))
        return Error{fmt::format("there is no cost model \"{}\"; give a TOML file, or the name of one in scenarios/costs: {}", name, fmt::join(shipped_cost_models(), ", "))};
    const auto bytes = read_file(path, 1 << 20);
    if (!bytes) return Error{bytes.error()};
    const auto& raw = bytes.value();
    const toml::parse_result parsed = toml::parse(std::string_view(reinterpret_cast<const char*>(raw.data()), raw.size()), path);
    if (!parsed) return at(path, parsed.error().source(), std::string(parsed.error().description()));
    CostFile file;
    file.model.name = parsed.table()["name"].value_or(std::filesystem::path(path).stem().string());
    file.sentence = parsed.table()["sentence"].value_or(std::string());
    const toml::table* cycles = parsed.table()["cycles"].as_table();
    if (!cycles) return Error{path + ": there is no table [cycles]; see scenarios/costs/flat.toml"};
    if (const auto read = read_cycles(path, *cycles, file.model); !read) return Error{read.error()};
    if (const toml::table* sources = parsed.table()["sources"].as_table())
        if (const auto read = read_sources(path, *sources, file.sources); !read) return Error{read.error()};
    return file;
}

Result<vmm::CostModel> load_cost_model(const std::string& name) {
    auto file = read_cost_file(name);
    if (!file) return Error{file.error()};
    return std::move(file->model);
}

} // namespace trapeze::scenarios
