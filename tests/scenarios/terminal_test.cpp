// `trapeze boot` and `trapeze container run --tty` at a terminal: keys, the debugger's prompt, and the terminal restored on every way out. Runs the real program on a
// pseudo-terminal.
#include "scenarios/files.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <poll.h>
#include <pty.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

namespace {

using namespace std::chrono_literals;

std::optional<std::string> program() {
    const char* folder = std::getenv("TRAPEZE_BIN");
    const std::string path = std::string(folder ? folder : "build/bin") + "/trapeze";
    return std::filesystem::exists(path) ? std::optional(path) : std::nullopt;
}

/// The program with a pseudo-terminal as its console: `trapeze boot tiny-os`, or what the arguments say.
class Booted {
  public:
    explicit Booted(const std::string& path, std::vector<std::string> arguments = {"boot", "tiny-os", "-nographic"}, winsize size = {30, 90, 0, 0}) {
        std::vector<char*> words{const_cast<char*>(path.c_str())};
        for (std::string& argument : arguments) words.push_back(argument.data());
        words.push_back(nullptr);
        pid_ = forkpty(&terminal_, nullptr, nullptr, &size);
        if (pid_ != 0) return;
        execv(path.c_str(), words.data());
        _exit(127);
    }
    ~Booted() {
        if (!ended_) ::kill(pid_, SIGKILL), waitpid(pid_, nullptr, 0);
        close(terminal_);
    }
    void type(const std::string& keys) { REQUIRE(::write(terminal_, keys.data(), keys.size()) == static_cast<ssize_t>(keys.size())); }
    void signal(int number) { ::kill(pid_, number); }
    /// Waits until this has been printed since the last call.
    bool prints(const std::string& text) {
        const auto limit = std::chrono::steady_clock::now() + 60s;
        while (std::chrono::steady_clock::now() < limit) {
            if (const auto at = seen_.find(text); at != std::string::npos) return seen_.erase(0, at + text.size()), true;
            pollfd ready{terminal_, POLLIN, 0};
            if (poll(&ready, 1, 100) <= 0) continue;
            char buffer[4096];
            const ssize_t count = ::read(terminal_, buffer, sizeof buffer);
            if (count <= 0) break;
            seen_.append(buffer, static_cast<std::size_t>(count));
        }
        MESSAGE(seen_);
        return false;
    }
    bool is_raw() const {
        termios now{};
        REQUIRE(tcgetattr(terminal_, &now) == 0);
        return !(now.c_lflag & (ECHO | ICANON));
    }
    /// The wait status, when the program has ended.
    int end() {
        int status = 0;
        waitpid(pid_, &status, 0);
        ended_ = true;
        return status;
    }

  private:
    int terminal_ = -1;
    pid_t pid_ = -1;
    bool ended_ = false;
    std::string seen_;
};
constexpr const char* kShellPrompt = "$ ";
} // namespace

TEST_CASE("Ctrl+A c asks the debugger with line editing, cont goes on raw, Ctrl+A x leaves and restores the terminal") {
    const auto path = program();
    if (!path) return;
    Booted booted(*path);
    REQUIRE(booted.prints("Ctrl+A x leaves"));
    REQUIRE(booted.prints(kShellPrompt));
    CHECK(booted.is_raw());
    booted.type("\x01" "c");
    REQUIRE(booted.prints("(trapeze) "));
    CHECK_FALSE(booted.is_raw());
    booted.type("info registers\n");
    CHECK(booted.prints("sstatus"));
    booted.type("walk 0x80200000\n");
    CHECK(booted.prints("is at physical address 0x80200000"));
    booted.type("nonsense\n");
    CHECK(booted.prints("there is no command \"nonsense\""));
    booted.type("cont\n");
    booted.type("echo swing\r");
    CHECK(booted.prints("\nswing")); // not the echo of what was typed
    CHECK(booted.is_raw());
    booted.type("\x01" "x");
    const int status = booted.end();
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 0);
    CHECK_FALSE(booted.is_raw());
}

TEST_CASE("Signals that end the program restore the terminal first") {
    const auto path = program();
    if (!path) return;
    for (int number : {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGSEGV}) {
        CAPTURE(number);
        Booted booted(*path);
        REQUIRE(booted.prints(kShellPrompt));
        CHECK(booted.is_raw());
        booted.signal(number);
        const int status = booted.end();
        if (number == SIGSEGV) CHECK((WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV));
        else CHECK((WIFEXITED(status) && WEXITSTATUS(status) == 128 + number));
        CHECK_FALSE(booted.is_raw());
    }
}

TEST_CASE("The debugger's prompt is left by the end of its input, which ends the guest") {
    const auto path = program();
    if (!path) return;
    Booted booted(*path);
    REQUIRE(booted.prints(kShellPrompt));
    booted.type("\x01" "c");
    REQUIRE(booted.prints("(trapeze) "));
    booted.type("\x04"); // end of file, as the terminal's line editing knows it
    const int status = booted.end();
    CHECK((WIFEXITED(status) && WEXITSTATUS(status) == 0));
    CHECK_FALSE(booted.is_raw());
}

TEST_CASE("A container's terminal edits lines, echoes, sends SIGINT for Ctrl+C, which an init survives, and ends input with Ctrl+D") {
    const auto path = program();
    if (!path) return;
    const std::filesystem::path root = std::filesystem::temp_directory_path() / ("trapeze-terminal-" + std::to_string(getpid()));
    std::filesystem::create_directories(root / "bin");
    std::filesystem::copy_file(trapeze::scenarios::build_folder() + "/guests/programs/cat", root / "bin/cat", std::filesystem::copy_options::overwrite_existing);
    {
        Booted cat(*path, {"container", "run", "--tty", root.string(), "/bin/cat"});
        REQUIRE(cat.prints("Ctrl+A x leaves"));
        CHECK(cat.is_raw());
        cat.type("swinx\x7fg\r");
        CHECK(cat.prints("swinx\b \bg")); // the echo, with the erased letter
        CHECK(cat.prints("\nswing"));          // what cat has read
        cat.type("\x03");
        CHECK(cat.prints("^C"));
        cat.type("on\r"); // an init is not ended by a signal that it does not handle
        CHECK((cat.prints("on") && cat.prints("\non")));
        cat.type("\x04");
        const int status = cat.end();
        CHECK((WIFEXITED(status) && WEXITSTATUS(status) == 0));
        CHECK_FALSE(cat.is_raw());
    }
    std::filesystem::remove_all(root);
}
