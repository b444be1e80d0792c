#include "tests/scenarios/child_process.hpp"

#include "scenarios/session.hpp"

#include <doctest/doctest.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <poll.h>
#include <pty.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

namespace trapeze::test {

namespace {

using Clock = std::chrono::steady_clock;

struct Pipe {
    int ends[2] = {-1, -1};
    Pipe() { REQUIRE(pipe2(ends, O_CLOEXEC) == 0); }
    ~Pipe() { close_end(0), close_end(1); }
    Pipe(const Pipe&) = delete;
    Pipe& operator=(const Pipe&) = delete;
    void close_end(int which) {
        if (ends[which] >= 0) ::close(ends[which]);
        ends[which] = -1;
    }
};

[[noreturn]] void start(const Child& child) {
    signal(SIGPIPE, SIG_DFL);
    for (const auto& [name, value] : child.environment) value.empty() ? unsetenv(name.c_str()) : setenv(name.c_str(), value.c_str(), 1);
    if (!child.folder.empty() && chdir(child.folder.c_str()) != 0) _exit(126);
    std::vector<char*> words;
    for (const std::string& word : child.arguments) words.push_back(const_cast<char*>(word.c_str()));
    words.push_back(nullptr);
    execv(words[0], words.data());
    _exit(127);
}

void finish(pid_t pid, Ended& ended) {
    if (ended.timed_out) kill(pid, SIGKILL);
    int status = 0;
    rusage used{};
    wait4(pid, &status, 0, &used);
    ended.peak_kib = static_cast<unsigned long>(used.ru_maxrss);
    if (WIFEXITED(status)) ended.status = WEXITSTATUS(status);
    else ended.signal = WTERMSIG(status);
}

[[noreturn]] void become(const Child& child, const Pipe& in, const Pipe& out, const Pipe& err) {
    dup2(in.ends[0], STDIN_FILENO), dup2(out.ends[1], STDOUT_FILENO), dup2(err.ends[1], STDERR_FILENO);
    start(child);
}

void drain(Pipe& pipe, std::string& text) {
    char buffer[65536];
    const ssize_t count = read(pipe.ends[0], buffer, sizeof buffer);
    if (count > 0) text.append(buffer, static_cast<std::size_t>(count));
    else pipe.close_end(0);
}

/// Feeds and drains the pipes until both outputs are at their end. False when the time is over.
bool serve(const Child& child, Pipe& in, Pipe& out, Pipe& err, Ended& ended) {
    const auto limit = Clock::now() + std::chrono::seconds(child.seconds);
    std::size_t written = 0;
    fcntl(in.ends[1], F_SETFL, O_NONBLOCK);
    while (out.ends[0] >= 0 || err.ends[0] >= 0) {
        if (in.ends[1] >= 0 && written == child.input.size()) in.close_end(1);
        pollfd ready[3] = {{in.ends[1], POLLOUT, 0}, {out.ends[0], POLLIN, 0}, {err.ends[0], POLLIN, 0}};
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(limit - Clock::now()).count();
        if (left <= 0 || poll(ready, 3, static_cast<int>(left)) == 0) return false;
        if (ready[0].revents) {
            const ssize_t count = write(in.ends[1], child.input.data() + written, child.input.size() - written);
            if (count < 0 && errno != EAGAIN) in.close_end(1); // it does not read
            if (count > 0) written += static_cast<std::size_t>(count);
        }
        if (ready[1].revents) drain(out, ended.out);
        if (ready[2].revents) drain(err, ended.err);
    }
    return true;
}

/// A person at a terminal, who types everything at once.
Ended run_on_terminal(const Child& child) {
    Ended ended;
    int master = -1;
    const pid_t pid = forkpty(&master, nullptr, nullptr, nullptr);
    REQUIRE(pid >= 0);
    if (pid == 0) start(child);
    CHECK(write(master, child.input.data(), child.input.size()) == static_cast<ssize_t>(child.input.size()));
    const auto limit = Clock::now() + std::chrono::seconds(child.seconds);
    char buffer[65536];
    while (true) {
        pollfd ready{master, POLLIN, 0};
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(limit - Clock::now()).count();
        ended.timed_out = left <= 0 || poll(&ready, 1, static_cast<int>(left)) == 0;
        const ssize_t count = ended.timed_out ? 0 : read(master, buffer, sizeof buffer);
        if (count <= 0) break; // Linux reports an error when the other end is closed
        ended.out.append(buffer, static_cast<std::size_t>(count));
    }
    finish(pid, ended);
    close(master);
    return ended;
}

} // namespace

Ended run_child(const Child& child) {
    if (child.terminal) return run_on_terminal(child);
    signal(SIGPIPE, SIG_IGN);
    Pipe in, out, err;
    const pid_t pid = fork();
    REQUIRE(pid >= 0);
    if (pid == 0) become(child, in, out, err);
    in.close_end(0), out.close_end(1), err.close_end(1);
    Ended ended;
    ended.timed_out = !serve(child, in, out, err, ended);
    finish(pid, ended);
    return ended;
}

Ended run_trapeze(std::vector<std::string> arguments, Child child) {
    const char* folder = std::getenv("TRAPEZE_BIN");
    const std::string program = (folder ? std::string(folder) : std::filesystem::read_symlink("/proc/self/exe").parent_path().string()) + "/trapeze";
    std::string line = "trapeze";
    for (const std::string& word : arguments) line += " " + word;
    CAPTURE(line);
    REQUIRE(access(program.c_str(), X_OK) == 0);
    child.arguments = std::move(arguments);
    child.arguments.insert(child.arguments.begin(), program);
    Ended ended = run_child(child);
    CAPTURE(ended.err);
    REQUIRE_FALSE(ended.timed_out);
    REQUIRE(ended.signal == 0);
    REQUIRE(ended.err.find("Sanitizer") == std::string::npos);
    return ended;
}

std::string built(const std::string& path) { return scenarios::build_folder() + "/" + path; }

Folder::Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "trapeze-test-XXXXXX").string();
    REQUIRE(mkdtemp(name.data()));
    path_ = name;
}
Folder::~Folder() {
    std::error_code failed;
    std::filesystem::remove_all(path_, failed);
}
std::string Folder::write(const std::string& name, const std::string& content) const {
    std::ofstream file(path(name), std::ios::binary);
    file << content;
    REQUIRE(file.good());
    return path(name);
}

std::string read_text(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

} // namespace trapeze::test
