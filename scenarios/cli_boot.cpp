// trapeze boot: runs a guest with the terminal as its console.
#include "scenarios/cli.hpp"
#include "emulator/replace_file.hpp"
#include "scenarios/monitor.hpp"
#include "scenarios/stuck.hpp"
#include "scenarios/terminal.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>

namespace trapeze::scenarios {

namespace {

constexpr u64 kSlice = 2'000'000;
constexpr u64 kCyclesPerMillisecond = kTimebaseHz * kCyclesPerTick / 1000;
constexpr u64 kNoLimit = ~u64{0};

/// Keeps a guest at a terminal from running ahead of its user: when it only waits for its timers, their time passes on the user's clock
/// too, and the host rests. What is run does not depend on it.
class Pace {
  public:
    /// Instructions to run in one go: few while the guest mostly waits, for a go should not be longer than a key press.
    u64 slice() const { return slice_; }
    void begin() { begin_ = std::chrono::steady_clock::now(); }
    /// After a go: for how many milliseconds the guest's clock is ahead.
    int ahead(u64 instructions, u64 cycles) {
        constexpr u64 kShortest = 1000; // instructions
        constexpr u64 kLongestGo = 20, kLongestWait = 1000; // milliseconds
        const auto taken = std::chrono::steady_clock::now() - begin_;
        const u64 real = static_cast<u64>(std::chrono::duration_cast<std::chrono::milliseconds>(taken).count());
        const u64 guest = cycles / kCyclesPerMillisecond;
        const bool waits = cycles > 2 * instructions;
        slice_ = waits && guest > kLongestGo ? std::max(slice_ / 2, kShortest) : std::min(slice_ * 2, kSlice);
        if (!waits || guest <= real) return 0;
        return static_cast<int>(std::min(guest - real, kLongestWait));
    }

  private:
    u64 slice_ = kSlice;
    std::chrono::steady_clock::time_point begin_{};
};

struct BootOptions {
    GuestOptions guest;
    u64 max_instructions = kNoLimit;
    std::string exit_on, save, restore;
    bool json = false;
    bool no_reboot = false;
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
    const auto written = replace_file(path, session.capture());
    if (!written) complain(written.error(), kFailed);
    if (const u64 missing = session.not_captured()) fmt::print(stderr, "trapeze: {}: the capture was full; {} later frames are not in it\n", path, missing);
    return static_cast<bool>(written);
}

struct Outcome {
    const char* end = "limit";
    int status = kLimit;
    std::string stuck = {}; ///< why the guest cannot get on
};

/// A guest's code as an exit status: 1..255, and never 0 for a failure.
int exit_status(u32 code) { return code == 0 ? 0 : code > 255 ? 1 : static_cast<int>(code); }

/// Asks at the debugger's prompt until the guest is to go on (true) or to end.
bool ask(Session& session, RawTerminal& terminal, Keyboard& keyboard) {
    terminal.pause();
    fmt::print("\ntrapeze: the guest stands still; help lists what can be asked\n");
    std::string line;
    while (true) {
        fmt::print("(trapeze) ");
        std::fflush(stdout);
        if (!keyboard.read_line(line)) return false;
        const MonitorAnswer answer = monitor(session, line);
        fmt::print("{}", answer.text);
        if (answer.then == MonitorAnswer::Then::Ask) continue;
        terminal.resume();
        return answer.then == MonitorAnswer::Then::Continue;
    }
}

/// Runs for `units`, and looks on the way whether the guest can still get on; `stuck` says so when not.
RunEnd run_guarded(Session& session, u64 units, StuckGuard& guard, std::string& stuck) {
    if (!stuck.empty()) return session.run(units);
    const u64 end = session.position() + units;
    RunEnd why = RunEnd::Budget;
    while (why == RunEnd::Budget && stuck.empty() && session.position() < end) {
        why = session.run(std::min(end - session.position(), StuckGuard::kSlice));
        if (why == RunEnd::Budget) stuck = guard.look(session).value_or("");
    }
    return why;
}

Outcome run_console(Session& session, DiskWriter& disks, const BootOptions& options) {
    RawTerminal terminal;
    Keyboard keyboard;
    Pace pace;
    StuckGuard guard;
    std::string stuck;
    const u64 begin = session.position();
    u64 shown = session.printed();
    std::string seen; // the end of the output, for --exit-on
    if (terminal.active()) fmt::print(stderr, "trapeze: Ctrl+A x leaves, Ctrl+A c asks the debugger\r\n");
    while (true) {
        const u64 left = options.max_instructions - std::min(options.max_instructions, session.position() - begin);
        if (left == 0) return {"limit", kLimit, stuck};
        pace.begin();
        const u64 position = session.position(), cycles = session.machine().cycles();
        const RunEnd why = run_guarded(session, std::min(left, terminal.active() ? pace.slice() : kSlice), guard, stuck);
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
        const bool reboots = why == RunEnd::Halted && session.wants_reboot() && !options.no_reboot;
        if (reboots) {
            if (const auto again = session.reboot(); !again) return {"failed", complain(again.error(), kFailed)};
        } else if (why == RunEnd::Halted) {
            return {"halted", exit_status(session.exit_code())};
        }
        const bool idle = why == RunEnd::Idle;
        if (!stuck.empty() && options.max_instructions == kNoLimit) return {"stuck", kFailed, stuck};
        const int ahead = terminal.active() ? pace.ahead(session.position() - position, session.machine().cycles() - cycles) : 0;
        const std::string keys = keyboard.read(idle ? -1 : ahead);
        if (!keys.empty()) session.type(keys);
        if (RawTerminal::signal()) return {"signal", 128 + RawTerminal::signal()};
        if (keyboard.leave() || (keyboard.take_prompt() && !ask(session, terminal, keyboard))) return {"left", 0};
        if (idle && keyboard.at_end() && keys.empty()) return {"idle", 0};
    }
}

int boot(const BootOptions& options) {
    auto config = options.guest.config();
    if (!config) return complain(config.error(), kUsage);
    config->checkpoint_every = 0;
    config->record = class_bit(EventClass::Trap); // for StuckGuard
    config->write_disks = true;
    auto session = options.restore.empty() ? Session::create(*config) : Session::restore(*config, options.restore);
    if (!session) return complain(session.error(), kFailed);
    DiskWriter disks(*session);
    Outcome outcome = run_console(*session, disks, options);
    const bool disks_written = disks.finish(), capture_written = write_capture(*session, options.guest.devices.capture);
    if (!disks_written || !capture_written) outcome.status = kFailed;
    if (options.json) {
        nlohmann::ordered_json json{{"guest", options.guest.guest}, {"mode", options.guest.mode}, {"end", outcome.end}, {"status", outcome.status},
                                    {"position", session->position()}, {"stuck", outcome.stuck}, {"console", session->console()}};
        fmt::print("{}\n", json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
    } else if (outcome.status == kLimit && std::string_view(outcome.end) == "limit") {
        fmt::print(stderr, "trapeze: {} instructions have run, which is the limit (--max-instructions)\n", session->position());
    } else if (std::string_view(outcome.end) == "idle") {
        fmt::print(stderr, "trapeze: the guest waits for input, and there is no more\n");
    }
    if (!options.save.empty())
        if (const auto saved = session->save(options.save); !saved) return complain(saved.error(), kFailed);
    if (!outcome.stuck.empty()) return complain(fmt::format("{}: {}", options.guest.guest, outcome.stuck), outcome.status);
    return outcome.status;
}

} // namespace

void add_boot(Verbs verbs) {
    auto* verb = verbs.app.add_subcommand("boot", "run a guest with this terminal as its console (Ctrl+A x leaves, Ctrl+A c asks the debugger)");
    auto options = std::make_shared<BootOptions>();
    options->guest.add_to(*verb, true);
    verb->add_option("--max-instructions", options->max_instructions, "stop after this many, with exit status 3")->check(CLI::NonNegativeNumber);
    verb->add_option("--exit-on", options->exit_on, "end with status 0 when the console prints this text");
    verb->add_flag("--no-reboot", options->no_reboot, "end when the guest reboots");
    verb->add_option("--save", options->save, "at the end, save the whole machine to this file");
    verb->add_option("--restore", options->restore, "go on with a machine that was saved; give the same guest and options as then");
    verb->add_flag("--json", options->json, "print one JSON object at the end instead of the console");
    verb->footer("Takes what users of qemu-system-riscv64 type: -kernel, -initrd, -append, -bios, -drive, -dtb, -smp, -m, -nographic, -no-reboot, ...\n"
                 "Exit status: the guest's own (0 for a tohost or finisher pass, else its code), 3 when the limit was reached, 0 when it waits\n"
                 "for input that has ended, 1 when it is stuck for ever.");
    verb->callback([=, status = &verbs.status] { *status = boot(*options); });
}

} // namespace trapeze::scenarios
