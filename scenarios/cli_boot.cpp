// trapeze boot: runs a guest with the terminal as its console.
#include "scenarios/cli.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <poll.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>

namespace trapeze::scenarios {

namespace {

constexpr u64 kSlice = 2'000'000;

/// The terminal without line editing while it exists, so that each key reaches the guest.
class RawTerminal {
  public:
    RawTerminal() : active_(isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &before_) == 0) {
        if (!active_) return;
        termios raw = before_;
        raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO | ISIG);
        raw.c_iflag &= ~static_cast<tcflag_t>(IXON | ICRNL);
        tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    }
    ~RawTerminal() {
        if (active_) tcsetattr(STDIN_FILENO, TCSANOW, &before_);
    }
    RawTerminal(const RawTerminal&) = delete;
    RawTerminal& operator=(const RawTerminal&) = delete;
    bool active() const { return active_; }

  private:
    termios before_{};
    bool active_;
};

/// Keys of the terminal. Ctrl+A x leaves.
class Keyboard {
  public:
    bool at_end() const { return at_end_; }
    bool leave() const { return leave_; }
    /// What was typed; waits up to `milliseconds` for it (-1: until something comes).
    std::string read(int milliseconds) {
        pollfd ready{STDIN_FILENO, POLLIN, 0};
        if (at_end_ || poll(&ready, 1, milliseconds) <= 0) return {};
        char buffer[4096];
        const ssize_t count = ::read(STDIN_FILENO, buffer, sizeof buffer);
        if (count <= 0) return at_end_ = true, std::string();
        std::string text;
        for (char c : std::string_view(buffer, static_cast<std::size_t>(count))) {
            if (escaped_) {
                escaped_ = false;
                if (c == 'x') leave_ = true;
                if (c == 'a' - 'a' + 1) text += c;
            } else if (c == 1 && isatty(STDIN_FILENO)) {
                escaped_ = true;
            } else {
                text += c;
            }
        }
        return text;
    }

  private:
    bool at_end_ = false, leave_ = false, escaped_ = false;
};

struct BootOptions {
    GuestOptions guest;
    u64 max_instructions = ~u64{0};
    std::string exit_on;
    bool json = false;
};

/// Writes the guest's disks to their files now and then. A failure is said once, and tried again.
class DiskWriter {
  public:
    explicit DiskWriter(Session& session) : session_(session) {}
    void write_back() {
        const auto written = session_.write_back();
        const std::string sentence = written ? "" : written.error();
        if (!sentence.empty() && sentence != said_) fmt::print(stderr, "trapeze: {}\r\n", sentence);
        said_ = sentence;
    }
    /// At the end: what cannot be written goes elsewhere. False: it did not get into its file.
    bool finish() {
        write_back();
        if (said_.empty()) return true;
        fmt::print(stderr, "trapeze: {}\n", session_.rescue_disks());
        return false;
    }

  private:
    Session& session_;
    std::string said_;
};

/// Writes the capture, when one is asked for. False: it could not be written.
bool write_capture(const Session& session, const std::string& path) {
    if (path.empty()) return true;
    const auto written = write_whole_file(path, session.capture());
    if (!written) complain(written.error(), kFailed);
    if (const u64 missing = session.not_captured()) fmt::print(stderr, "trapeze: {}: the capture was full; {} later frames are not in it\n", path, missing);
    return static_cast<bool>(written);
}

struct Outcome {
    const char* end = "limit";
    int status = kLimit;
};

/// A guest's code as an exit status: 1..255, and never 0 for a failure.
int exit_status(u32 code) { return code == 0 ? 0 : code > 255 ? 1 : static_cast<int>(code); }

Outcome run_console(Session& session, DiskWriter& disks, const BootOptions& options) {
    RawTerminal terminal;
    Keyboard keyboard;
    u64 shown = 0;
    std::string seen; // the end of the output, for --exit-on
    if (terminal.active()) fmt::print(stderr, "trapeze: Ctrl+A x leaves\r\n");
    while (true) {
        const u64 left = options.max_instructions - std::min(options.max_instructions, session.position());
        if (left == 0) return {"limit", kLimit};
        const RunEnd why = session.run(std::min(left, kSlice));
        disks.write_back();
        const std::string fresh = session.console().substr(session.console().size() - std::min<u64>(session.console().size(), session.printed() - shown));
        shown = session.printed();
        if (!options.json) {
            std::fwrite(fresh.data(), 1, fresh.size(), stdout);
            std::fflush(stdout);
        }
        seen += fresh;
        if (!options.exit_on.empty() && seen.find(options.exit_on) != std::string::npos) return {"text", 0};
        if (seen.size() > options.exit_on.size()) seen.erase(0, seen.size() - options.exit_on.size());
        if (why == RunEnd::Halted) return {"halted", exit_status(session.exit_code())};
        const bool idle = why == RunEnd::Idle;
        const std::string keys = keyboard.read(idle ? -1 : 0);
        if (!keys.empty()) session.type(keys);
        if (keyboard.leave()) return {"left", 0};
        if (idle && keyboard.at_end() && keys.empty()) return {"idle", 0};
    }
}

int boot(const BootOptions& options) {
    auto config = options.guest.config();
    if (!config) return complain(config.error(), kUsage);
    config->checkpoint_every = 0;
    config->record = 0;
    config->write_disks = true;
    auto session = Session::create(*config);
    if (!session) return complain(session.error(), kFailed);
    DiskWriter disks(*session);
    Outcome outcome = run_console(*session, disks, options);
    const bool disks_written = disks.finish(), capture_written = write_capture(*session, options.guest.devices.capture);
    if (!disks_written || !capture_written) outcome.status = kFailed;
    if (options.json) {
        nlohmann::ordered_json json{{"guest", options.guest.guest}, {"mode", options.guest.mode}, {"end", outcome.end}, {"status", outcome.status},
                                    {"position", session->position()}, {"console", session->console()}};
        fmt::print("{}\n", json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
    } else if (outcome.status == kLimit && std::string_view(outcome.end) == "limit") {
        fmt::print(stderr, "trapeze: {} instructions have run, which is the limit (--max-instructions)\n", session->position());
    } else if (std::string_view(outcome.end) == "idle") {
        fmt::print(stderr, "trapeze: the guest waits for input, and there is no more\n");
    }
    return outcome.status;
}

} // namespace

void add_boot(Verbs verbs) {
    auto* verb = verbs.app.add_subcommand("boot", "run a guest with this terminal as its console (Ctrl+A x leaves)");
    auto options = std::make_shared<BootOptions>();
    options->guest.add_to(*verb, true);
    verb->add_option("--max-instructions", options->max_instructions, "stop after this many, with exit status 3");
    verb->add_option("--exit-on", options->exit_on, "end with status 0 when the console prints this text");
    verb->add_flag("--json", options->json, "print one JSON object at the end instead of the console");
    verb->footer("Exit status: the guest's own (0 for a tohost or finisher pass, else its code), 3 when the limit was reached, 0 when it waits\n"
                 "for input that has ended.");
    verb->callback([=, status = &verbs.status] { *status = boot(*options); });
}

} // namespace trapeze::scenarios
