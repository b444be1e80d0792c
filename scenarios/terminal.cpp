#include "scenarios/terminal.hpp"

#include <algorithm>
#include <csignal>

#include <poll.h>
#include <termios.h>
#include <unistd.h>

namespace trapeze::scenarios {

namespace {

// Signal handlers can reach nothing else, and there is one terminal.
termios saved, raw;
volatile std::sig_atomic_t is_raw = 0, asked_to_end = 0, has_terminal = 0;

constexpr int kEnding[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
constexpr int kCrashing[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};
constexpr char kCtrlA = 1;
constexpr std::size_t kMaxLine = 4096;

void to_saved() {
    if (has_terminal) tcsetattr(STDIN_FILENO, TCSANOW, &saved);
}

/// The first signal lets the program end in order; the second ends it at once.
void on_ending(int signal) {
    if (asked_to_end) {
        to_saved();
        _exit(128 + signal);
    }
    asked_to_end = signal;
}

void on_crash(int signal) {
    to_saved();
    std::signal(signal, SIG_DFL);
    raise(signal);
}

void on_stop(int) {
    to_saved();
    kill(getpid(), SIGSTOP);
    if (is_raw) tcsetattr(STDIN_FILENO, TCSANOW, &raw); // continued
}

template <class Signals> void handle(const Signals& signals, void (*handler)(int)) {
    struct sigaction action {};
    action.sa_handler = handler; // without SA_RESTART: waiting for keys ends
    for (int signal : signals) sigaction(signal, &action, nullptr);
}

} // namespace

RawTerminal::RawTerminal() {
    handle(kEnding, on_ending);
    if (!isatty(STDIN_FILENO) || tcgetattr(STDIN_FILENO, &saved) != 0) return;
    raw = saved;
    raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO | ISIG | IEXTEN);
    raw.c_iflag &= ~static_cast<tcflag_t>(IXON | ICRNL | INLCR | IGNCR | ISTRIP);
    has_terminal = 1;
    handle(kCrashing, on_crash);
    handle(std::initializer_list<int>{SIGTSTP}, on_stop);
    resume();
}

RawTerminal::~RawTerminal() {
    pause();
    has_terminal = 0;
    handle(kEnding, SIG_DFL);
    handle(kCrashing, SIG_DFL);
    handle(std::initializer_list<int>{SIGTSTP}, SIG_DFL);
}

bool RawTerminal::active() const { return has_terminal; }
int RawTerminal::signal() { return asked_to_end; }

void RawTerminal::pause() {
    is_raw = 0;
    to_saved();
}

void RawTerminal::resume() {
    if (!has_terminal) return;
    is_raw = 1;
    tcsetattr(STDIN_FILENO, TCSANOW, &raw);
}

namespace {
/// Waits for the terminal. In short stretches: a signal that came just before one would not end it.
bool readable(int milliseconds) {
    constexpr int kStretch = 100; // milliseconds
    pollfd ready{STDIN_FILENO, POLLIN, 0};
    for (int left = milliseconds; !RawTerminal::signal(); left -= kStretch) {
        const bool forever = milliseconds < 0, last = !forever && left <= kStretch;
        if (poll(&ready, 1, last ? left : kStretch) > 0) return true;
        if (last) return false;
    }
    return false;
}
} // namespace

void Keyboard::fill(int milliseconds) {
    if (at_end_ || !readable(milliseconds)) return;
    char buffer[4096];
    const ssize_t count = ::read(STDIN_FILENO, buffer, sizeof buffer);
    if (count > 0) pending_.append(buffer, static_cast<std::size_t>(count));
    else if (count == 0 || !RawTerminal::signal()) at_end_ = true;
}

std::string Keyboard::read(int milliseconds) {
    fill(pending_.empty() ? milliseconds : 0);
    const bool has_commands = isatty(STDIN_FILENO); // what comes from a file or a pipe is all the guest's
    std::string text;
    std::size_t used = 0;
    while (used < pending_.size() && !leave_ && !prompt_) {
        const char c = pending_[used++];
        if (escaped_) {
            escaped_ = false;
            leave_ = c == 'x', prompt_ = c == 'c';
            if (c == kCtrlA) text += c;
        } else if (c == kCtrlA && has_commands) {
            escaped_ = true;
        } else {
            text += c;
        }
    }
    pending_.erase(0, used);
    return text;
}

bool Keyboard::read_line(std::string& line) {
    while (pending_.find_first_of("\r\n") == std::string::npos && pending_.size() < kMaxLine && !at_end_ && !RawTerminal::signal()) fill(-1);
    const std::size_t end = std::min(pending_.find_first_of("\r\n"), pending_.size());
    if (pending_.empty() || RawTerminal::signal()) return false;
    line = pending_.substr(0, end);
    pending_.erase(0, std::min(end + 1, pending_.size()));
    return true;
}

} // namespace trapeze::scenarios
