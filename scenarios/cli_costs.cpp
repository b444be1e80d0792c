// trapeze costs: the cost models, and where each of their numbers is from.
#include "scenarios/cli.hpp"
#include "scenarios/cost_model.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace trapeze::scenarios {

namespace {

std::string source_of(const CostFile& file, const CostField& field) {
    const auto source = file.sources.find(field.name);
    return source == file.sources.end() ? "no source is given" : source->second;
}

nlohmann::ordered_json json_of(const CostFile& file) {
    nlohmann::ordered_json costs = nlohmann::ordered_json::array();
    for (const CostField& field : cost_fields())
        costs.push_back({{"name", field.name}, {"cycles", file.model.*field.value}, {"source", source_of(file, field)}, {"sentence", field.sentence}});
    return {{"name", file.model.name}, {"sentence", file.sentence}, {"costs", costs}};
}

void print_model(const CostFile& file) {
    fmt::print("{}: {}\n\n", file.model.name, file.sentence);
    for (const CostField& field : cost_fields())
        fmt::print("{:<14}{:>6}  {}\n{:<22}{}\n", field.name, file.model.*field.value, field.sentence, "", source_of(file, field));
}

int costs(const std::string& name, bool json) {
    std::vector<CostFile> files;
    for (const std::string& one : name.empty() ? shipped_cost_models() : std::vector{name}) {
        auto file = read_cost_file(one);
        if (!file) return complain(file.error(), kUsage);
        files.push_back(std::move(*file));
    }
    nlohmann::ordered_json list = nlohmann::ordered_json::array();
    for (const CostFile& file : files) {
        if (json) list.push_back(json_of(file));
        else if (!name.empty()) print_model(file);
        else fmt::print("{:<18}{}\n", file.model.name, file.sentence);
    }
    if (json) fmt::print("{}\n", list.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
    return 0;
}

} // namespace

void add_costs(Verbs verbs) {
    auto* verb = verbs.app.add_subcommand("costs", "list the cost models, or say where each number of one is from");
    auto name = std::make_shared<std::string>();
    auto json = std::make_shared<bool>(false);
    verb->add_option("model", *name, "a cost model: a file, or the name of a shipped one; without it, all that are shipped");
    verb->add_flag("--json", *json, "a list of objects: name, sentence, costs (name, cycles, source, sentence)");
    verb->callback([=, status = &verbs.status] { *status = costs(*name, *json); });
}

} // namespace trapeze::scenarios
