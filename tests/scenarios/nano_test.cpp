// The nanobenchmarks: exits of one operation, exact, in every mode; and what they cost under a cost model, worked out by hand.
#include "scenarios/cost_model.hpp"
#include "scenarios/nano.hpp"
#include "tests/scenarios/child_process.hpp"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <map>
#include <sstream>

using namespace trapeze;
using namespace trapeze::test;
using scenarios::ModeCost;
using vmm::Mode;

namespace {

constexpr u64 kRounds = 10;
using Exits = std::map<std::string, u64>;

scenarios::NanoCost measure(const std::string& operation, Mode mode, const vmm::CostModel& costs = {}) {
    const auto known = scenarios::nano_operation(operation);
    REQUIRE(known);
    const auto measured = scenarios::measure_nano(known.value(), mode, costs, kRounds);
    if (!measured) FAIL(measured.error());
    return measured.value();
}

/// Exits of one operation; each reason must divide evenly among the rounds.
Exits exits_of(const scenarios::NanoCost& nano) {
    Exits exits;
    for (const auto& [reason, count] : nano.cost.exits_by_reason) {
        CAPTURE(reason);
        CHECK(count % kRounds == 0);
        exits[reason] = count / kRounds;
    }
    return exits;
}

} // namespace

TEST_CASE("nano: trap-and-emulate exits for whatever is sensitive, and for each shadow entry that a fence took away") {
    const std::pair<const char*, Exits> expected[] = {
        {"syscall", {{"system call", 1}, {"csr access", 2}, {"sret or mret", 1}}}, // the handler reads and writes sepc
        {"csr-write", {{"csr access", 1}}},
        {"call-return", {}},
        {"page-fault", {{"guest page fault", 1}, {"csr access", 2}, {"sret or mret", 1}}},
        {"entry-write", {{"sfence.vma", 1}}},
        {"remap", {{"sfence.vma", 1}, {"shadow page fault", 1}}},
        {"device-read", {{"device access", 1}}},
        {"hypercall", {{"sbi call", 1}}},
        {"context-switch", {{"csr access", 1}, {"sfence.vma", 1}, {"shadow page fault", 4}}}, // the code twice, the registers, the page
    };
    for (const auto& [operation, exits] : expected) {
        CAPTURE(std::string(operation));
        CHECK(exits_of(measure(operation, Mode::TrapAndEmulate)) == exits);
    }
}

TEST_CASE("nano: translated, registers cost no exit, and what is called out costs one") {
    const std::pair<const char*, Exits> expected[] = {
        {"syscall", {{"system call", 1}, {"call-out", 1}}}, // sepc is read and written in place; the sret calls out
        {"csr-write", {}},
        {"call-return", {}},
        {"page-fault", {{"guest page fault", 1}, {"call-out", 1}}},
        {"entry-write", {{"call-out", 1}}}, // the sfence.vma
        {"remap", {{"call-out", 1}, {"shadow page fault", 1}}},
        {"device-read", {{"call-out", 1}}}, // it has faulted often enough to be translated so
        {"hypercall", {{"call-out", 1}}},
        {"context-switch", {{"call-out", 2}, {"shadow page fault", 2}}}, // satp and sfence.vma; the registers, the page: code needs no shadow entry
    };
    for (const auto& [operation, exits] : expected) {
        CAPTURE(std::string(operation));
        CHECK(exits_of(measure(operation, Mode::Translate)) == exits);
    }
}

TEST_CASE("nano: hardware-assisted, only a device and the hypervisor itself are exits") {
    const std::map<std::string, Exits> expected = {{"device-read", {{"device access", 1}}}, {"hypercall", {{"sbi call", 1}}}};
    for (const scenarios::NanoOperation& operation : scenarios::nano_operations()) {
        CAPTURE(std::string(operation.name));
        const auto known = expected.find(operation.name);
        CHECK(exits_of(measure(operation.name, Mode::HardwareAssisted)) == (known == expected.end() ? Exits{} : known->second));
    }
}

TEST_CASE("nano: bare and interpreted there are no exits, and the guest runs the same instructions in every mode") {
    for (const scenarios::NanoOperation& operation : scenarios::nano_operations()) {
        CAPTURE(std::string(operation.name));
        const auto bare = measure(operation.name, Mode::Bare), interpreted = measure(operation.name, Mode::Interpret);
        CHECK(exits_of(bare).empty());
        CHECK(exits_of(interpreted).empty());
        CHECK(bare.cost.instructions > 0);
        CHECK(interpreted.cost.instructions == bare.cost.instructions);
        CHECK(measure(operation.name, Mode::TrapAndEmulate).cost.instructions == bare.cost.instructions);
        CHECK(measure(operation.name, Mode::HardwareAssisted).cost.instructions == bare.cost.instructions);
    }
}

TEST_CASE("nano: the cycles of a CSR write and of a device read are those of the cost model, added up") {
    const auto early = scenarios::load_cost_model("early-vt-x");
    REQUIRE(early);
    const vmm::CostModel& c = early.value();
    const auto more = [](const scenarios::NanoCost& nano, const scenarios::NanoCost& bare) { return (nano.cost.cycles - bare.cost.cycles) / kRounds; };
    const auto write = measure("csr-write", Mode::Bare), read = measure("device-read", Mode::Bare);
    CHECK(write.cost.cycles == 3 * kRounds); // csrw, addi, bnez
    CHECK(more(measure("csr-write", Mode::TrapAndEmulate, c), write) == c.trap + c.decode + c.emulate + c.resume);
    CHECK(more(measure("csr-write", Mode::HardwareAssisted, c), write) == 0);
    CHECK(more(measure("device-read", Mode::HardwareAssisted, c), read) == c.vm_exit + c.decode + c.device + c.emulate + c.vm_entry);
    const u64 walked = c.walk_entry; // one entry: the guest maps its devices with a page of 1 GiB
    CHECK(more(measure("device-read", Mode::TrapAndEmulate, c), read) == c.trap + c.decode + walked + c.device + c.emulate + c.resume);
}

TEST_CASE("nano: the published shape: hardware wins system calls by far, and its first exits cost device reads more than a later one's") {
    const auto costs = [](const char* name) { return scenarios::load_cost_model(name).value(); };
    const auto cycles = [&](const char* operation, Mode mode, const char* model) { return measure(operation, mode, costs(model)).per_operation(&ModeCost::cycles); };
    CHECK(cycles("syscall", Mode::HardwareAssisted, "early-vt-x") == cycles("syscall", Mode::Bare, "early-vt-x"));
    CHECK(cycles("syscall", Mode::TrapAndEmulate, "early-vt-x") > 10 * cycles("syscall", Mode::HardwareAssisted, "early-vt-x"));
    CHECK(cycles("device-read", Mode::HardwareAssisted, "early-vt-x") > 2 * cycles("device-read", Mode::HardwareAssisted, "recent-x86"));
    CHECK(cycles("device-read", Mode::HardwareAssisted, "arm-split-mode") > cycles("device-read", Mode::HardwareAssisted, "early-vt-x"));
}

TEST_CASE("nano prints a table, JSON and CSV, and names the cost model") {
    const std::vector<std::string> some{"nano", "csr-write", "hypercall", "--modes", "bare,trap-and-emulate", "--rounds", "5", "--costs", "recent-x86"};
    const auto with = [&](std::vector<std::string> words, const char* more) { return words.push_back(more), run_trapeze(words); };
    const Ended table = run_trapeze(some);
    CHECK(table.status == 0);
    CHECK(table.out.find("cost model recent-x86") != std::string::npos);
    CHECK(table.out.find("Adams and Agesen 2006") != std::string::npos);
    CHECK(table.out.find("\ncsr-write ") != std::string::npos);
    const auto json = nlohmann::json::parse(with(some, "--json").out, nullptr, false);
    REQUIRE(json.size() == 4);
    CHECK(json[1]["operation"] == "csr-write");
    CHECK(json[1]["mode"] == "trap-and-emulate");
    CHECK(json[1]["costs"] == "recent-x86");
    CHECK(json[1]["exits"]["csr access"] == 5);
    CHECK(json[1]["exits_per_operation"] == 1);
    std::istringstream csv(with(some, "--csv").out);
    std::string line;
    unsigned lines = 0;
    while (std::getline(csv, line)) {
        CHECK(std::count(line.begin(), line.end(), ',') == 8);
        ++lines;
    }
    CHECK(lines == 5);
    CHECK(run_trapeze({"nano", "no-such"}).status == 2);
    CHECK(run_trapeze({"nano", "csr-write", "--rounds", "0"}).status == 2);
    CHECK(run_trapeze({"nano", "csr-write", "--csv", "--json"}).status == 2);
    const Ended unknown = run_trapeze({"boot", "nano", "--append", "no-such 5"});
    CHECK(unknown.status == 1); // the guest itself knows its operations
}
