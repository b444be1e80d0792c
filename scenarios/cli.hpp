// The command line: one program, a verb for each job. Everything that the window does can be done here.
#pragma once

#include "scenarios/device_options.hpp"
#include "scenarios/lesson.hpp"
#include "scenarios/session.hpp"

#include <optional>
#include <string>

namespace CLI {
class App;
}

namespace trapeze::scenarios {

/// How the window is opened and drawn.
struct DebuggerOptions {
    std::string screenshot;   ///< file of a PNG to write instead of opening a window; empty: open it
    unsigned width = 1280, height = 800; ///< pixels
    unsigned frames = 4;      ///< drawn before the screenshot
    std::string keys;         ///< pressed before the screenshot, such as "F7,F11"
    std::string text;         ///< name of a panel whose text is printed instead of opening a window; empty: open it
    std::string language;     ///< code of the window's language, such as "ko"; empty: the user's, or the environment's
    std::string script;       ///< file of Lua that the debugger's console runs at the start; empty: none
    std::string save;         ///< file that the key for saving writes the session to; empty: session.trapeze
    std::optional<u64> go_to; ///< position where the session is shown first; it runs there in the window
    std::string state_file;   ///< always holds the session's state as JSON; empty: none
    bool light = false, high_contrast = false, reduced_motion = false;
    float scale = 1.0f;
    void add_to(CLI::App& verb);
    bool needs_display() const { return screenshot.empty() && text.empty(); }
};
/// The debugger window, which lives in a layer above: opens on a session, with a lesson when there is one. Returns the exit status.
using DebuggerEntry = int (*)(Session session, std::optional<LessonRun> lesson, const DebuggerOptions& options);

/// Exit statuses: 0 done, 1 failed, 2 wrong usage, 3 the instruction limit was reached.
inline constexpr int kFailed = 1, kUsage = 2, kLimit = 3;

/// Runs the verb in argv. Guests' own exit codes are passed on by `boot`.
int run_command_line(int argc, char** argv, DebuggerEntry debugger);

// The verbs; each adds its subcommand, and sets `status` when it runs.
struct Verbs {
    CLI::App& app;
    DebuggerEntry debugger;
    int& status;
};
void add_boot(Verbs verbs);
void add_trace(Verbs verbs);
void add_compare(Verbs verbs);
void add_translation(Verbs verbs);
void add_lesson(Verbs verbs);
void add_debug(Verbs verbs);
void add_isa(Verbs verbs);
void add_costs(Verbs verbs);
void add_walk(Verbs verbs);
void add_nano(Verbs verbs);
void add_container(Verbs verbs);
void add_gdb(Verbs verbs);
void add_flip(Verbs verbs);
void add_vms(Verbs verbs);
void add_equivalence(Verbs verbs);
int run_default(const std::string& picture, bool headless, DebuggerEntry debugger, DebuggerOptions options);

/// Options that choose a guest and how it runs, shared by several verbs.
struct GuestOptions {
    std::string guest, mode = "bare", memory = "128M", append, initrd, device_tree, bios = "builtin", costs = "flat";
    unsigned harts = 1;
    std::string gstage_page = "2M", shadow_policy = "virtual-tlb";
    std::vector<std::string> silent;
    bool trap_misaligned = false, trapped_timer = false, clustering = false, no_dossiers = false;
    DeviceOptions devices;
    void add_to(CLI::App& verb, bool with_mode);
    /// The session that these ask for; the error is one of usage.
    Result<SessionConfig> config() const;
};
/// The value of --memory ("128M", "1G", "1048576") in bytes.
/// The operations of silent.def, separated by commas; and those named, as bits of silent_bit.
std::string silent_names();
Result<u8> parse_silent(const std::vector<std::string>& names);
Result<vmm::ShadowPolicy> parse_shadow_policy(const std::string& name);
/// Bytes; "128M" and the like.
Result<u64> parse_memory(const std::string& text);
/// True when the environment names a display.
bool has_display();
/// Why a window that is asked for cannot be opened, and what to do instead; empty when it can, or when only a picture is wanted.
std::string missing_display(const DebuggerOptions& options);
/// Prints "trapeze: SENTENCE" to standard error and returns `status`.
int complain(const std::string& sentence, int status);

} // namespace trapeze::scenarios
