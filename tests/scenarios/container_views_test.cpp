// The views of the container kernel as the command line prints them: `trapeze container view`.
#include "scenarios/container_views.hpp"
#include "scenarios/files.hpp"
#include "tests/scenarios/command_line.hpp"

#include <doctest/doctest.h>

using namespace trapeze;
using namespace trapeze::test;

namespace {

std::vector<std::string> view(std::vector<std::string> words, const std::string& root = scenarios::build_folder() + "/guests/linux") {
    words.insert(words.begin(), {"container", "view"});
    for (const char* word : {root.c_str(), "/tiny", "sleep", "1000"}) words.push_back(word); // a folder: no engine, and so no network of its own
    return words;
}

} // namespace

TEST_CASE("container view: every view is printed as text and as JSON that parses") {
    for (const char* what : {"processes", "namespaces", "mounts", "overlay", "cgroups", "network"}) {
        CAPTURE(what);
        const auto text = run_trapeze(view({what}));
        CHECK(text.status == 0);
        CHECK_FALSE(text.out.empty());
        const auto json = run_trapeze(view({what, "--json"}));
        CHECK(json.status == 0);
        CHECK_FALSE(nlohmann::json::parse(json.out, nullptr, false).is_discarded());
    }
}

TEST_CASE("container view: the JSON of processes has the ids inside and outside, and eight namespaces") {
    const auto json = nlohmann::json::parse(run_trapeze(view({"processes", "--json"})).out);
    const auto& process = json.at("processes").at(0);
    CHECK(process.at("pids").size() == 2);
    CHECK(process.at("pids").at(1) == 1);
    CHECK(process.at("namespaces").size() == 8);
    CHECK(process.at("uid").at("inside") == 0);
    CHECK(process.at("state") == "waiting");
}

TEST_CASE("container view: what cannot be shown is refused with the mend") {
    CHECK(run_trapeze(view({"cgroup"})).err.find("there are processes, namespaces, mounts") != std::string::npos);
    CHECK(run_trapeze(view({"mounts", "--of", "4444"})).err.find("no process 4444 runs") != std::string::npos);
    CHECK(run_trapeze(view({"packet", "--to", "there"})).err.find("give an address and a port") != std::string::npos);
    CHECK(run_trapeze(view({"packet", "--to", "10.0.0.1:0"})).err.find("from 1 to 65535") != std::string::npos);
    CHECK(run_trapeze(view({"packet", "--to", "10.0.0.1:80"})).out.find("ENETUNREACH") != std::string::npos);
}
