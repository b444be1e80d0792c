// tiny-os, typed at: the same console in every mode; and its programs against real Linux's semantics (qemu-riscv64-static), and against
// the container kernel, since they are Linux programs.
#include "container-sim/kernel.hpp"
#include "scenarios/session.hpp"
#include "tests/scenarios/child_process.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>

using namespace trapeze;
using namespace trapeze::test;
using scenarios::RunEnd;
using scenarios::Session;
using scenarios::SessionConfig;
using vmm::Mode;

namespace {

constexpr Mode kModes[] = {Mode::Bare, Mode::Interpret, Mode::Translate, Mode::TrapAndEmulate, Mode::Paravirtual, Mode::HardwareAssisted};
constexpr const char* kLinux = "/usr/bin/qemu-riscv64-static";
constexpr const char* kPrompt = "$ ";

/// tiny-os at its shell.
class Shell {
  public:
    explicit Shell(Mode mode) : session_(open(mode)) { wait(); }

    /// Types a line; what is printed until the next prompt, without the line's own echo.
    std::string type(const std::string& line) {
        const std::size_t before = session_.console().size();
        session_.type(line + "\n");
        wait();
        std::string printed = session_.console().substr(before);
        std::erase(printed, '\r');
        REQUIRE(printed.starts_with(line + "\n"));
        printed.erase(0, line.size() + 1);
        if (printed.ends_with(kPrompt)) printed.erase(printed.size() - 2);
        return printed;
    }
    Session& session() { return session_; }
    RunEnd wait() {
        RunEnd why = RunEnd::Budget;
        for (int i = 0; why == RunEnd::Budget && i < 1000; ++i) why = session_.run(1'000'000);
        CAPTURE(session_.console());
        REQUIRE(why != RunEnd::Budget);
        return why;
    }

  private:
    static Session open(Mode mode) {
        SessionConfig config;
        config.guest = "tiny-os";
        config.mode = mode;
        config.checkpoint_every = 0;
        config.record = 0;
        auto session = Session::create(config);
        if (!session) FAIL(session.error());
        return std::move(*session);
    }
    Session session_;
};

/// A program with arguments, as tiny-os has it in /bin.
struct Program {
    std::vector<std::string> words;
    std::string input = {}; ///< what a pipe gives it; empty: nothing
    std::string line() const {
        std::string line = input.empty() ? "" : "echo " + input + " | ";
        for (const std::string& word : words) line += (&word == &words[0] ? "" : " ") + word;
        return line;
    }
};

const Program kPrograms[] = {
    {{"hello"}}, {{"echo"}}, {{"echo", "a", "b c", "d"}}, {{"cat"}, "through a pipe"}, {{"cat", "/no/such/file"}}, {{"cat", "/no/such", "/bin"}}, {{"cat", "/bin"}},
    {{"pipetest"}}, {{"forktest"}}, {{"forktest", "3"}}, {{"primes"}}, {{"primes", "1000"}}, {{"syscalls", "50"}}, {{"pagefault"}}, {{"pagefault", "20"}},
    {{"sleep", "0"}}, {{"ls", "/no/such/folder"}},
};

Ended on_linux(const Program& program) {
    Child child;
    child.arguments = {kLinux, built("guests/programs/" + program.words[0])};
    child.arguments.insert(child.arguments.end(), program.words.begin() + 1, program.words.end());
    child.input = program.input.empty() ? "" : program.input + "\n";
    return run_child(child);
}

} // namespace

TEST_CASE("tiny-os prints the same in every mode, whatever is typed") {
    std::string expected;
    for (const Mode mode : kModes) {
        CAPTURE(vmm::mode_row(mode).name);
        Shell shell(mode);
        CHECK(shell.session().console().find("paging is on") != std::string::npos);
        CHECK(shell.type("echo one two") == "one two\n");
        CHECK(shell.type("hello | cat | cat") == "hello, world\n");
        CHECK(shell.type("cat /etc/motd") == read_text(built("guests/root/etc/motd")));
        CHECK(shell.type("cat < /etc/motd") == read_text(built("guests/root/etc/motd")));
        CHECK(shell.type("echo a; echo b; echo c") == "a\nb\nc\n");
        CHECK(shell.type("crash").find("signal 11") != std::string::npos);
        CHECK(shell.type("nonsense").find("sh: nonsense: no such program") != std::string::npos);
        CHECK(shell.type("") == "");
        CHECK(shell.type("   |  ; & ") == "");
        shell.session().type("echo " + std::string(300, 'x') + "\n"); // more than a line has
        shell.wait();
        CHECK(shell.type("echo after it") == "after it\n");
        CHECK(shell.type("ls /").find("bin/\n") != std::string::npos);
        CHECK(shell.type("hostname lab; hostname; uname").starts_with("lab\ntiny-os lab"));
        CHECK(shell.type("selftest").find("tiny-os: self-test passed") != std::string::npos);
        shell.session().type("poweroff\n");
        CHECK(shell.wait() == RunEnd::Halted);
        CHECK(shell.session().exit_code() == 0);
        if (expected.empty()) expected = shell.session().console();
        CHECK(shell.session().console() == expected);
    }
}

TEST_CASE("The shell goes on behind what it sends to the background") {
    Shell shell(Mode::Bare);
    const std::string printed = shell.type("sleep 1 & echo b ; echo c");
    CHECK(printed == "b\nc\n");
    CHECK(shell.type("sleep 1 & sleep 1 & echo d") == "d\n");
}

TEST_CASE("Keys edit the line: backspace takes back, end of file ends a program's input") {
    for (const Mode mode : kModes) {
        CAPTURE(vmm::mode_row(mode).name);
        Shell shell(mode);
        shell.session().type("echoo\x7f wrong\b\b\b\b\bright\n");
        shell.wait();
        CHECK(shell.session().console().find("\nright") != std::string::npos);
        shell.session().type("cat\n");
        shell.wait();
        shell.session().type("line\n\x04");
        shell.wait();
        std::string console = shell.session().console();
        std::erase(console, '\r');
        CHECK(console.ends_with("line\nline\n$ "));
    }
}

TEST_CASE("tiny-os's programs print on Linux what they print on tiny-os") {
    REQUIRE(std::filesystem::exists(kLinux));
    Shell shell(Mode::Bare);
    for (const Program& program : kPrograms) {
        const std::string line = program.line();
        CAPTURE(line);
        const Ended linux = on_linux(program);
        REQUIRE_FALSE(linux.timed_out);
        std::string printed = shell.type(line);
        CHECK(printed == linux.out + linux.err);
    }
    // What differs is what the systems are: their names, and who ends with a signal.
    const Ended name = on_linux({{"uname"}});
    CHECK(name.out.starts_with("Linux "));
    CHECK(name.out.ends_with(" riscv64\n"));
    CHECK(shell.type("uname").starts_with("tiny-os "));
    CHECK(shell.type("uname").ends_with(" riscv64\n"));
    CHECK(on_linux({{"crash"}}).signal == 11);
    CHECK(shell.type("crash").ends_with("sh: ended by signal 11\n"));
}

TEST_CASE("tiny-os's programs do in a container what they do on Linux, their exit status included") {
    REQUIRE(std::filesystem::exists(kLinux));
    for (const Program& program : kPrograms) {
        const std::string line = program.line();
        CAPTURE(line);
        const Ended linux = on_linux(program);
        SessionConfig config;
        container::ContainerSpec spec;
        spec.rootfs = built("guests/root");
        spec.arguments = program.words;
        spec.arguments[0] = "/bin/" + spec.arguments[0];
        config.containers = {spec};
        config.checkpoint_every = 0;
        auto session = Session::create(config);
        if (!session) FAIL(session.error());
        if (!program.input.empty()) session->type_to(1, program.input + "\n");
        session->close_input();
        for (int i = 0; !session->halted() && i < 1000; ++i) session->run(1'000'000);
        REQUIRE(session->halted());
        std::string printed = session->console_of(1);
        std::erase(printed, '\r');
        CHECK(printed == linux.out + linux.err);
        REQUIRE(session->kernel()->exit_status(1));
        CHECK(*session->kernel()->exit_status(1) == linux.status << 8);
    }
}
