// The checks of tests/container-sim/probes on our kernel, each in a container of its own, beside what Debian's riscv64 kernel answered
// (tests/golden/linux/PROGRAM.txt, made by make.sh there). A check in which we still differ stands in tests/golden/linux/gaps.txt as
// `PROGRAM NAME: what we say  # why it stays so`. The test fails when a check differs that is not in the list, and when one in the list agrees.
//
//   ./trapeze test --test-case='*golden*'                            compares
//   TRAPEZE_WRITE_GAPS=1 ./trapeze test --test-case='*golden*'       writes gaps.txt again, as it is now
//   TRAPEZE_PROBE=mount-11 ./trapeze test --test-case='*golden*'     only the checks whose `PROGRAM NAME` contains the text; shows both answers
#include "tests/container-sim/container.hpp"

#include <sys/wait.h>

#include <map>
#include <sstream>

using namespace trapeze;
using namespace trapeze::test;

namespace {

constexpr u64 kBudget = 300'000'000;       ///< instructions of one check; those that agree take far less
constexpr const char* kTimeout = "10000";  ///< virtual milliseconds, after which the program itself says `timeout`

struct Check {
    std::string program, name, golden; ///< golden: the whole line
    std::string key() const { return program + " " + name; }
};

std::string golden_folder() {
    const char* root = std::getenv("TRAPEZE_ROOT");
    return (root ? std::string(root) : fs::current_path().string()) + "/tests/golden/linux";
}

std::vector<Check> goldens() {
    std::vector<fs::path> files;
    for (const auto& entry : fs::directory_iterator(golden_folder()))
        if (entry.path().extension() == ".txt" && entry.path().stem() != "gaps") files.push_back(entry.path());
    std::sort(files.begin(), files.end());
    std::vector<Check> checks;
    for (const fs::path& file : files) {
        std::istringstream lines(file_text(file));
        for (std::string line; std::getline(lines, line);) checks.push_back({file.stem().string(), line.substr(0, line.find(':')), line});
    }
    return checks;
}

/// Keys of gaps.txt with why each gap stays, when it is said: `  # REASON` behind our answer.
std::map<std::string, std::string> known_gaps() {
    std::map<std::string, std::string> gaps;
    std::istringstream lines(file_text(golden_folder() + "/gaps.txt"));
    for (std::string line; std::getline(lines, line);) {
        const std::size_t colon = line.find(':'), reason = std::min(line.find("  # "), line.size());
        if (!line.empty() && line[0] != '#' && colon != std::string::npos) gaps[line.substr(0, colon)] = line.substr(reason);
    }
    return gaps;
}

/// The number of instructions that it took, a space, and the line.
std::string run_check(const RootFolder& root, const Check& check) {
    World world(u64{128} << 20);
    const u32 own = world.start({.hostname = "web", .rootfs = root.path(), .arguments = {"/bin/" + check.program, "--timeout", kTimeout, check.name}});
    world.kernel.close_input(own);
    const auto [end, executed] = world.kernel.run(world.machine, kBudget);
    std::string line = world.kernel.take_output(own);
    std::erase(line, '\r');
    if (!line.empty() && line.back() == '\n') line.pop_back();
    std::replace(line.begin(), line.end(), '\n', '|');
    if (line.empty()) line = check.name + (end == RunState::Budget ? ": (does not end)" : end == RunState::Idle ? ": (all wait for ever)" : ": (no answer)");
    return std::to_string(executed) + " " + line;
}

/// In a process of its own: a check that brings down the emulator is one answer, and the others are still asked.
std::string run_apart(const RootFolder& root, const Check& check) {
    int ends[2];
    REQUIRE(pipe(ends) == 0);
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        std::string line;
        try {
            line = run_check(root, check);
        } catch (...) {
            line = "0 " + check.name + ": (the container does not start)";
        }
        const bool written = write(ends[1], line.data(), line.size()) == static_cast<ssize_t>(line.size());
        _exit(written ? 0 : 1);
    }
    close(ends[1]);
    std::string line;
    char buffer[4096];
    for (ssize_t count; (count = read(ends[0], buffer, sizeof buffer)) > 0;) line.append(buffer, static_cast<std::size_t>(count));
    close(ends[0]);
    int status = 0;
    waitpid(child, &status, 0);
    return status == 0 ? line : "0 " + check.name + ": (ends the emulator, status " + std::to_string(status) + ")";
}

/// What differs now; the reasons stay.
void write_gaps(const std::map<std::string, std::string>& gaps, const std::map<std::string, std::string>& reasons) {
    std::ofstream out(golden_folder() + "/gaps.txt");
    out << "# Checks in which our kernel still differs from Debian's: PROGRAM NAME: what ours says. Written by tests/container-sim/probes_test.cpp,\n"
           "# whose head says how. A line that is not true any more fails the test. Behind it, why the gap stays.\n";
    for (const auto& [key, words] : gaps) out << key << ":" << words << (reasons.contains(key) ? reasons.at(key) : "") << "\n";
    REQUIRE(out.flush());
}

} // namespace

TEST_CASE("container kernel: checks answer as the golden answers of Debian's kernel") {
    const char* const only = std::getenv("TRAPEZE_PROBE");
    const auto gaps = known_gaps();
    std::map<std::string, std::string> differing;
    const std::vector<Check> checks = goldens();
    REQUIRE(checks.size() >= 400);
    RootFolder root;
    for (const char* folder : {"dev", "etc", "proc", "root", "sys/fs/cgroup", "tmp"}) fs::create_directories(root.path() + "/" + folder);
    std::string copied;
    std::size_t asked = 0, agreeing = 0;
    std::pair<u64, std::string> longest;
    for (const Check& check : checks) {
        if (only && check.key().find(only) == std::string::npos) continue;
        if (check.program != copied) root.program("oracle/" + check.program, "bin/" + check.program), copied = check.program;
        const std::string answer = run_apart(root, check), ours = answer.substr(answer.find(' ') + 1);
        if (ours == check.golden) longest = std::max(longest, std::pair<u64, std::string>(std::stoull(answer), check.key()));
        ++asked, agreeing += ours == check.golden;
        if (ours != check.golden) differing[check.key()] = ours.substr(std::min(ours.size(), check.name.size() + 1));
        if (only) MESSAGE("Debian  ", check.golden, "\n  ours    ", ours);
        if (std::getenv("TRAPEZE_WRITE_GAPS")) continue;
        CHECK_MESSAGE((ours == check.golden || gaps.count(check.key())), "Debian: ", check.golden, "\n  ours:   ", ours);
        CHECK_MESSAGE((ours != check.golden || !gaps.count(check.key())), check.key(), " agrees now: take it out of gaps.txt");
    }
    for (const auto& [key, words] : gaps) {
        const bool known = std::any_of(checks.begin(), checks.end(), [&](const Check& check) { return check.key() == key; });
        CHECK_MESSAGE((known || std::getenv("TRAPEZE_WRITE_GAPS")), "gaps.txt names a check that is not there: ", key);
    }
    MESSAGE(agreeing, " of ", asked, " checks answer as Debian's kernel does; the longest of them, ", longest.second, ", takes ", longest.first, " instructions");
    if (std::getenv("TRAPEZE_WRITE_GAPS") && !only) write_gaps(differing, gaps);
}
