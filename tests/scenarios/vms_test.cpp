// The verbs `vms` and `equivalence` as a user types them, and what they refuse.
#include "tests/scenarios/child_process.hpp"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

using namespace trapeze::test;
using Json = nlohmann::json;

namespace {

void refuses(const std::vector<std::string>& words, const std::vector<std::string>& named) {
    const Ended ended = run_trapeze(words);
    CAPTURE(ended.err);
    CHECK(ended.status == 2);
    for (const std::string& word : named) CHECK(ended.err.find(word) != std::string::npos);
}

} // namespace

TEST_CASE("vms: every mode side by side comes to its end, and the hart's time is all accounted for") {
    const Ended ended = run_trapeze({"vms", "tiny-os:interpret", "tiny-os:translate", "tiny-os", "tiny-os:paravirtual", "tiny-os:hardware-assisted:300", "--append",
                                     "run=/bin/hello", "--json"});
    CHECK(ended.status == 0);
    const Json whole = Json::parse(ended.out, nullptr, false);
    REQUIRE(whole.is_object());
    REQUIRE(whole["vms"].size() == 5);
    std::uint64_t used = whole["idle"].get<std::uint64_t>();
    for (const Json& vm : whole["vms"]) {
        CHECK(vm["state"] == "off");
        used += vm["used"].get<std::uint64_t>();
    }
    CHECK(used == whole["cycles"].get<std::uint64_t>());
    CHECK(whole["vms"][2]["mode"] == "trap-and-emulate");
    CHECK(whole["vms"][4]["weight"] == 300);
}

TEST_CASE("vms: each line of a console stands behind the number of its VM, and two runs print the same bytes") {
    const std::vector<std::string> words{"vms", "tiny-os:hardware-assisted", "--copies", "3", "--append", "run=/bin/hello", "--console"};
    const Ended first = run_trapeze(words), second = run_trapeze(words);
    CHECK(first.status == 0);
    for (const char* line : {"vm1  | tiny-os: hello from hart 0", "vm2  | tiny-os: hello from hart 0", "vm3  | tiny-os: hello from hart 0"})
        CHECK(first.out.find(line) != std::string::npos);
    CHECK((first.out == second.out));
}

TEST_CASE("vms: what cannot be run together is refused in a sentence") {
    refuses({"vms"}, {"no guest is given"});
    refuses({"vms", "tiny-os:bare"}, {"VM 1", "bare has no hypervisor"});
    refuses({"vms", "tiny-os:interpret:0"}, {"weight 0", "1 to 10000"});
    refuses({"vms", "tiny-os:interpret:x"}, {"tiny-os:interpret:x", "whole number"});
    refuses({"vms", "tiny-os", "--copies", "1000", "-m", "8G"}, {"cannot be had"});
    refuses({"vms", "no-such-guest"}, {"no-such-guest"});
}

TEST_CASE("equivalence: the modes agree, a silent operation is found out, and the command that repeats it does") {
    const Ended agrees = run_trapeze({"equivalence", "--programs", "20"});
    CHECK(agrees.status == 0);
    for (const char* mode : {"interpret: 20", "translate: 20", "trap-and-emulate: 20", "hardware-assisted: 20"}) CHECK(agrees.out.find(mode) != std::string::npos);
    const Ended differs = run_trapeze({"equivalence", "--modes", "trap-and-emulate", "--silent", "status-read", "--programs", "2000"});
    CHECK(differs.status == 1);
    const std::size_t seed = differs.out.find("--seed ");
    REQUIRE(seed != std::string::npos);
    const std::string number = differs.out.substr(seed + 7, differs.out.find(' ', seed + 7) - seed - 7);
    const Ended again = run_trapeze({"equivalence", "--modes", "trap-and-emulate", "--seed", number, "--programs", "1", "--steps", "60", "--silent", "status-read"});
    CHECK((again.out == differs.out));
    refuses({"equivalence", "--modes", "paravirtual"}, {"paravirtual", "hardware-assisted"});
    refuses({"equivalence", "--silent", "everything"}, {"everything", "status-read"});
    refuses({"boot", "tiny-os", "--gstage-page", "3M"}, {"3M", "4K, 2M and 1G"});
    refuses({"boot", "tiny-os", "--shadow-policy", "none"}, {"none", "write-protect"});
}
