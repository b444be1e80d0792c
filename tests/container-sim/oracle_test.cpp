// The same programs on our kernel, under QEMU's emulation of user programs, and, built for it, on the kernel of this machine: the same
// output, line by line, and the same end.
#include "tests/container-sim/container.hpp"

#include <sys/wait.h>

#include <csignal>
#include <sstream>

using namespace trapeze;
using namespace trapeze::test;

namespace {

constexpr const char* kQemu = "/usr/bin/qemu-riscv64-static";

/// Runs a program of the host's in a folder of its own.
Outcome run_outside(const std::string& launcher, const std::string& program, const std::string& name) {
    RootFolder folder;
    fs::copy_file(program, folder.path() + "/" + name);
    const std::string command = "cd '" + folder.path() + "' && exec timeout 60 " + launcher + " ./" + name + " 2>/dev/null";
    const auto before = std::signal(SIGPIPE, SIG_DFL); // programs are begun with the signals of a fresh process, whatever other tests ignore
    FILE* pipe = popen(command.c_str(), "r");
    std::signal(SIGPIPE, before);
    REQUIRE(pipe);
    Outcome outcome;
    char buffer[4096];
    for (std::size_t count; (count = fread(buffer, 1, sizeof buffer, pipe)) > 0;) outcome.output.append(buffer, count);
    outcome.status = pclose(pipe);
    return outcome;
}

void compare(const Outcome& ours, const Outcome& theirs) {
    std::istringstream own(ours.output), other(theirs.output);
    std::string a, b;
    std::size_t lines = 0;
    for (; std::getline(other, b); ++lines) {
        std::getline(own, a);
        CHECK(a == b);
    }
    CHECK((lines > 0 || theirs.status != 0)); // the other side did run
    CHECK(ours == theirs);
}

Outcome run_here(const std::string& built, const std::string& name) {
    RootFolder root;
    root.program(built, name);
    return run_in(root, {"./" + name});
}

} // namespace

TEST_CASE("container kernel: programs print and end as under qemu-riscv64") {
    if (!fs::exists(kQemu)) {
        MESSAGE("skipped: qemu-riscv64-static is not installed (Debian: qemu-user-static)");
        return;
    }
    for (const char* program : {"probes/files", "probes/processes", "probes/memory", "probes/system", "linux/float", "linux/forkwait", "programs/hello", "programs/primes",
                                "programs/forktest", "programs/pipetest", "programs/pagefault", "programs/crash", "programs/syscalls"}) {
        CAPTURE(std::string(program));
        const std::string name = fs::path(program).filename().string();
        compare(run_here(program, name), run_outside(kQemu, guest(program), name));
    }
}

TEST_CASE("container kernel: programs print and end as on the kernel of this machine") {
    for (const char* name : {"files", "processes", "memory", "system", "exec", "seccomp"}) {
        CAPTURE(std::string(name));
        const std::string built = guest(std::string("probes/host/") + name);
        if (!fs::exists(built)) {
            MESSAGE("skipped: probes are built for x86-64 hosts only");
            return;
        }
        compare(run_here(std::string("probes/") + name, name), run_outside("", built, name));
    }
}
