// The same program in a container and in VMs, side by side: `trapeze compare --container`.
#include "scenarios/container_comparison.hpp"
#include "tests/scenarios/command_line.hpp"

using namespace trapeze;
using namespace trapeze::test;
using namespace trapeze::scenarios;

TEST_CASE("compare --container: the program prints the same in both, and a VM's start is many times the container's") {
    const auto places = measure_places({.program = "hello", .modes = {Mode::Bare, Mode::TrapAndEmulate, Mode::HardwareAssisted}});
    REQUIRE_MESSAGE(places, (places ? "" : places.error()));
    REQUIRE(places.value().size() == 4);
    const PlaceCost& container = places.value()[0];
    CHECK(container.place == "container");
    CHECK(container.output == "hello, world\n");
    CHECK(container.start_instructions > 0);
    CHECK(container.crossings >= container.system_calls);
    CHECK(container.table_reads > 0);
    for (std::size_t i = 1; i < 4; ++i) {
        const PlaceCost& vm = places.value()[i];
        CAPTURE(vm.place);
        CHECK(vm.output.find(container.output) != std::string::npos);
        CHECK(vm.end == "halted");
        CHECK(vm.start_instructions > 10 * container.start_instructions);
        CHECK(vm.instructions >= vm.start_instructions);
        CHECK((vm.crossings > 0) == (i > 1));
        CHECK(vm.system_calls == 0);
    }
    const Json json = Json::parse(places_json(places.value()));
    CHECK(json.at(0).at("place") == "container");
    CHECK(json.at(3).at("crossings") == places.value()[3].crossings);
    const std::string csv = places_csv(places.value());
    CHECK(std::count(csv.begin(), csv.end(), '\n') == 5);
    CHECK(places_text(places.value()).find("the same everywhere") != std::string::npos);
    auto again = measure_places({.program = "hello", .modes = {Mode::HardwareAssisted}});
    REQUIRE(again);
    CHECK(again->at(1).instructions == places.value()[3].instructions); // exact
}

TEST_CASE("compare --container: a program that is not there, and options that it does not have, are refused") {
    refused({"compare", "nothing-such", "--container"}, 2, {"nothing-such"});
    refused({"compare", "/bin/hello", "--container"}, 2, {"name a program of tiny-os's /bin"});
    refused({"compare", "hello", "--container", "--exits"}, 2, {"leave these away"});
}
