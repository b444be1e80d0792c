// `trapeze isa --syscalls`: docs/syscalls.md is what it prints.
#include "container-sim/syscalls.hpp"
#include "scenarios/files.hpp"
#include "scenarios/syscall_tables.hpp"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <fstream>
#include <iterator>

using namespace trapeze;

TEST_CASE("docs/syscalls.md is what `trapeze isa --syscalls --format markdown` prints") {
    std::ifstream file(scenarios::root_folder() + "/docs/syscalls.md");
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    const bool same = scenarios::syscalls_markdown() == text;
    CHECK_MESSAGE(same, "the table has changed; renew the file: ./trapeze isa --syscalls --format markdown > docs/syscalls.md");
}

TEST_CASE("the JSON of the system calls has each row of the table, with an argument for each letter of its format") {
    const auto list = nlohmann::json::parse(scenarios::syscalls_json());
    REQUIRE(list.size() == container::syscall_rows().size());
    for (std::size_t i = 0; i < list.size(); ++i) {
        const container::SyscallRow& row = container::syscall_rows()[i];
        CHECK(list[i]["name"] == row.name);
        CHECK(list[i]["number"] == row.number);
        CHECK(list[i]["arguments"].size() == std::string(row.format).size());
    }
}
