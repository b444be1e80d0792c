// Cost models: every number of every shipped one has a source, and what a mode charges is what the model says.
#include "scenarios/cost_model.hpp"
#include "scenarios/session.hpp"
#include "tests/scenarios/child_process.hpp"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <algorithm>

using namespace trapeze;
using namespace trapeze::test;
using scenarios::CostField;
using vmm::Mode;
using vmm::StepKind;

namespace {

scenarios::Session boot(Mode mode, const vmm::CostModel& costs) {
    scenarios::SessionConfig config;
    config.guest = "tiny-os";
    config.mode = mode;
    config.costs = costs;
    config.checkpoint_every = 0;
    auto session = scenarios::Session::create(config);
    REQUIRE(session);
    session->run(2'000'000);
    return std::move(*session);
}

} // namespace

TEST_CASE("Every number of every shipped cost model has a source, and only the flat one is assumed as a whole") {
    const auto names = scenarios::shipped_cost_models();
    for (const char* name : {"arm-split-mode", "early-vt-x", "flat", "recent-x86"}) CHECK(std::find(names.begin(), names.end(), name) != names.end());
    for (const std::string& name : names) {
        CAPTURE(name);
        const auto file = scenarios::read_cost_file(name);
        REQUIRE(file);
        CHECK(file.value().model.name == name);
        CHECK(file.value().sentence != "");
        unsigned published = 0;
        for (const CostField& field : scenarios::cost_fields()) {
            CAPTURE(std::string(field.name));
            const auto source = file.value().sources.find(field.name);
            const bool known = source != file.value().sources.end();
            CHECK_MESSAGE(known, "give the number and its source in scenarios/costs, or \"assumed\"");
            published += known && !source->second.starts_with("assumed");
        }
        CHECK((published == 0) == (name == "flat"));
    }
}

TEST_CASE("The shipped cost models keep the published order: an early x86's exits cost more than a later one's, split mode's the most") {
    const auto round_trip = [](const char* name) {
        const auto model = scenarios::load_cost_model(name);
        REQUIRE(model);
        return model.value().vm_exit + model.value().vm_entry;
    };
    CHECK(round_trip("recent-x86") == 784);
    CHECK(round_trip("early-vt-x") == 1931 + 2409);
    CHECK(round_trip("arm-split-mode") == 6500);
}

TEST_CASE("Hardware-assisted, a trap costs a VM exit and resuming a VM entry; elsewhere an exception and its return") {
    vmm::CostModel costs;
    costs.trap = 11, costs.resume = 13, costs.vm_exit = 1700, costs.vm_entry = 1900;
    for (const Mode mode : {Mode::TrapAndEmulate, Mode::HardwareAssisted}) {
        CAPTURE(std::string(vmm::mode_row(mode).name));
        const auto session = boot(mode, costs);
        const bool assisted = mode == Mode::HardwareAssisted;
        unsigned seen = 0;
        for (const vmm::ExitDossier& dossier : session.vmm()->ledger()) {
            u64 sum = 0;
            for (const vmm::DossierStep& step : dossier.steps) {
                sum += step.cost;
                if (step.kind == StepKind::Trap) CHECK(step.cost == (assisted ? 1700 : 11));
                if (step.kind == StepKind::Resume) CHECK(step.cost == (assisted ? 1900 : 13));
                seen += step.kind == StepKind::Trap;
            }
            CHECK(sum == dossier.cost);
        }
        CHECK(seen > 10);
    }
}

TEST_CASE("costs lists the models, and says where each number of one is from") {
    const Ended list = run_trapeze({"costs"});
    CHECK(list.status == 0);
    for (const std::string& name : scenarios::shipped_cost_models()) CHECK(list.out.find(name + " ") != std::string::npos);
    CHECK(run_trapeze({"costs", "early-vt-x"}).out.find("Adams and Agesen 2006") != std::string::npos);
    const auto json = nlohmann::json::parse(run_trapeze({"costs", "recent-x86", "--json"}).out, nullptr, false);
    REQUIRE(json.size() == 1);
    CHECK(json[0]["costs"].size() == scenarios::cost_fields().size());
    const Ended unknown = run_trapeze({"costs", "no-such-model"});
    CHECK(unknown.status == 2);
    CHECK(unknown.err.find("early-vt-x, flat") != std::string::npos);
    const Folder folder;
    const Ended wrong = run_trapeze({"costs", folder.write("wrong.toml", "[cycles]\ntrap = 1\n[sources]\ntarp = \"x\"\n")});
    CHECK(wrong.status == 2);
    CHECK(wrong.err.find("wrong.toml:4") != std::string::npos);
    CHECK(wrong.err.find("\"tarp\"") != std::string::npos);
}
