// trace --syscalls: lines as strace writes them, filters, and what a namespace decided below the call that asked.
#include "scenarios/session.hpp"
#include "scenarios/syscall_trace.hpp"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <algorithm>

using namespace trapeze;
using scenarios::SyscallFilter;
using scenarios::SyscallTrace;

namespace {

std::vector<std::string> traced(const std::vector<std::string>& program, const SyscallFilter& filter) {
    scenarios::SessionConfig config;
    config.containers = {{.hostname = "web", .rootfs = scenarios::build_folder() + "/guests/linux", .arguments = program}};
    config.checkpoint_every = 0;
    config.record = class_bit(EventClass::Syscall) | class_bit(EventClass::Namespace) | class_bit(EventClass::Process);
    auto session = scenarios::Session::create(config);
    REQUIRE(session);
    auto trace = SyscallTrace::create(filter);
    REQUIRE(trace);
    std::vector<std::string> lines;
    const auto keep = [&](const std::string& line) { lines.push_back(line); };
    for (auto why = scenarios::RunEnd::Budget; why == scenarios::RunEnd::Budget;) why = session->run(20'000), trace->take(session->trace(), keep);
    trace->finish(keep);
    return lines;
}

bool has(const std::vector<std::string>& lines, const std::string& part) {
    return std::any_of(lines.begin(), lines.end(), [&](const std::string& line) { return line.find(part) != std::string::npos; });
}

} // namespace

TEST_CASE("A traced container shows its calls with strings, names of flags, results and what was written") {
    const auto lines = traced({"/whoami"}, {});
    CHECK(has(lines, "getpid() = 1"));
    CHECK(has(lines, "uname({sysname=\"Linux\", nodename=\"web\", ...}) = 0"));
    CHECK(has(lines, "openat(AT_FDCWD, \"/\", O_RDONLY|"));
    CHECK(has(lines, "O_DIRECTORY"));
    CHECK(has(lines, "write(1, \"pid 1, parent 0, host web, in /\\n"));
    CHECK(has(lines, "exit_group(0) = ?"));
    const auto pid = std::find_if(lines.begin(), lines.end(), [](const std::string& line) { return line.find("getpid()") != std::string::npos; });
    REQUIRE(pid + 1 < lines.end());
    CHECK((pid + 1)->starts_with("        getpid: 1 in pid namespace "));
}

TEST_CASE("Errors have their name and their text, and a call that waits is resumed by name") {
    const auto lines = traced({"/tiny", "sh", "-c", "/tiny cat /nowhere; /tiny kill -15 99"}, {});
    CHECK(has(lines, "openat(AT_FDCWD, \"/nowhere\", O_RDONLY, 00) = -1 ENOENT (No such file or directory)"));
    CHECK(has(lines, "kill(99, SIGTERM) = -1 ESRCH (No such process)"));
    CHECK(has(lines, "execve(\"/tiny\", [\"/tiny\", \"cat\", \"/nowhere\"], ["));
    CHECK(has(lines, "<unfinished ...>"));
    CHECK(has(lines, "<... wait4 resumed>) = "));
}

TEST_CASE("Filters by name, class and exception choose calls; what is no call is refused with the mend") {
    for (const std::string& line : traced({"/whoami"}, {.calls = {"getpid", "uname"}, .lookups = false})) {
        CAPTURE(line);
        CHECK((line.find("getpid(") != std::string::npos || line.find("uname(") != std::string::npos));
    }
    CHECK(has(traced({"/whoami"}, {.calls = {"%file"}}), "openat("));
    CHECK_FALSE(has(traced({"/whoami"}, {.calls = {"!write"}}), "write("));
    CHECK(SyscallTrace::create({.calls = {"nonsense"}}).error().find("trapeze isa --syscalls") != std::string::npos);
}

TEST_CASE("A traced call is one JSON object a line, with the lookups that it made") {
    bool found = false;
    for (const std::string& line : traced({"/whoami"}, {.calls = {"getpid"}, .json = true})) {
        const auto json = nlohmann::json::parse(line);
        found = found || (json["call"] == "getpid" && json["result"] == "1" && json["lookups"].size() == 1);
    }
    CHECK(found);
}
