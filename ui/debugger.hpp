// The debugger without its window: a session, a lesson, and what commands do to them. Panels draw it and send commands; nothing here
// knows how it is drawn.
#pragma once

#include "scenarios/cli.hpp"
#include "scenarios/explain.hpp"
#include "scenarios/guest_memory.hpp"
#include "scenarios/lanes.hpp"
#include "scenarios/lesson_lua.hpp"
#include "scenarios/session_units.hpp"
#include "scenarios/lua_console.hpp"
#include "scenarios/session_back.hpp"
#include "scenarios/source_lines.hpp"
#include "ui/keys.hpp"
#include "ui/workspace.hpp"

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace trapeze::ui {

using scenarios::LessonRun;
using scenarios::RunEnd;
using scenarios::Session;

struct Command {
    Command(Action what, u64 value = 0, std::string words = {}) : action(what), number(value), text(std::move(words)) {}
    Action action;
    u64 number;
    std::string text;
};
using Commands = std::vector<Command>;
Command move_panel(PanelId panel, PanelId target, Side side);
Command resize_parts(unsigned split, const std::vector<float>& sizes);
/// Actions of the key table that mean a panel: Command::number says which, the one that has the focus.
bool concerns_panel(Action action);
/// Actions that take the session to another place, or would be about one: not while it is on its way, or a line of Lua has it.
bool moves_session(Action action);

/// What lies above the panels.
enum class Overlay : u8 { None, Help, Palette, Start, Explanation };

class Debugger {
  public:
    Debugger(Session session, std::optional<LessonRun> lesson);

    /// Carries out one command. Pre: none; what cannot be done is said in message().
    void apply(const Command& command);
    /// While running: goes on for about `milliseconds` of the host's time.
    void tick(double milliseconds);

    const Session& session() const { return *session_; }
    const LessonRun* lesson() const { return lesson_ ? &*lesson_ : nullptr; }
    bool running() const { return running_; }
    /// Something goes on that tick() is to be called for: the guest runs, or the session is on its way to another position.
    bool busy() const { return running_ || journey_; }
    bool busy_travelling() const { return journey_.has_value(); }
    /// A recording that a process which is no more has left: offered to the user, who opens it with RecoverSession.
    void offer(const std::string& file);
    /// Opens a recording and goes to where it was made.
    Result<void> open_recording(const std::string& file, bool trusted);
    /// Where SaveSession writes; empty: "session.trapeze" in the current folder.
    void set_session_file(std::string file) { session_file_ = std::move(file); }
    /// How much of a way to another position is done, 0 to 1; nullopt: there is none. Pause and Esc cancel it.
    std::optional<float> progress() const;
    /// The other branches of this run, each where it was left, and the name of the one that is shown.
    struct Branch {
        std::string name;
        Session session;
    };
    const std::vector<Branch>& branches() const { return branches_; }
    const std::string& branch() const { return branch_; }
    /// The mode flip: lanes that began at the session's place; null: there are none. And how often they have changed.
    const scenarios::Lanes* flip() const { return flip_ ? &*flip_ : nullptr; }
    u64 flips() const { return flips_; }
    /// Units a second that Run goes at most; 0: as many as there can be.
    u64 speed() const;
    /// Runs as fast as it can whatever was chosen: for pictures and texts, where nobody waits.
    void hurry() { hurries_ = true; }
    bool quit() const { return quit_; }
    bool light() const { return light_; }
    void set_light(bool light) { light_ = light; }
    bool contrast() const { return contrast_; }
    void set_contrast(bool contrast) { contrast_ = contrast; }
    void set_reduced_motion(bool reduced) { reduced_motion_ = reduced; }
    float own_scale() const { return scale_; } ///< without the layout's
    void set_own_scale(float scale) { set_scale(scale); }
    float scale() const { return std::min(4.0f, scale_ * layout_zoom(workspace_.layout())); }
    /// The scale at the start, which ZoomReset comes back to.
    void set_first_scale(float scale) { first_scale_ = scale, set_scale(scale); }
    /// What the overlay Explanation tells.
    const std::vector<scenarios::Explanation>& explained() const { return explained_; }
    Overlay overlay() const { return overlay_; }
    /// Keys go to the guest's console.
    bool typing() const { return typing_; }
    const std::string& message() const { return message_; }
    /// The exit whose dossier is shown: the one that was selected, else the newest. Null when there is none.
    const vmm::ExitDossier* selected_exit() const;
    /// Lines of source of what the session runs, where its file has them.
    const scenarios::SourceLines& source() const { return source_; }
    u64 selected_line() const { return selected_line_.value_or(session_->guest_state().pc); }
    /// The states as they were before the last command that moved the session: what differs is marked.
    const HartState& guest_before() const { return guest_before_; }
    const HartState& real_before() const { return real_before_; }
    /// The farthest position that was reached: the end of the timeline.
    u64 farthest() const { return farthest_; }
    const Workspace& workspace() const { return workspace_; }
    Workspace& workspace() { return workspace_; }
    /// The panel has something to show here.
    bool shows(PanelId panel) const;
    /// Counts how often the focus was to be given to focus_wanted().
    u64 focus_requests() const { return focus_requests_; }
    PanelId focus_wanted() const { return focus_wanted_; }
    /// Counts the sessions that were opened, and the changes of history: what was remembered about another one is void.
    u64 sessions() const { return sessions_; }
    u64 histories() const { return histories_; }
    /// How fast the guest runs, by the host's clock; 0 before it has run.
    double units_per_second() const { return units_per_second_; }
    /// The virtio queue that is looked at; address 0: none was chosen.
    u64 ring_device() const { return ring_device_; }
    unsigned ring_queue() const { return ring_queue_; }
    /// What the memory panel shows; none: around the stack pointer.
    struct MemoryPlace {
        u64 address;
        bool physical; ///< guest physical; else as the guest's software sees it
        bool operator==(const MemoryPlace&) const = default;
    };
    const std::optional<MemoryPlace>& memory_place() const { return memory_place_; }
    /// The field of the memory panel that a key asks for, and how often one was asked for.
    std::pair<Action, u64> text_wanted() const { return {text_wanted_, text_requests_}; }
    /// A search of memory is under way; `tick` goes on with it.
    bool searching() const { return search_ && !search_->done() && search_running_; }
    /// Whose walk is shown; none: the program counter's. And how many of its reads.
    const std::optional<u64>& walk_address() const { return walk_address_; }
    u64 walk_reads() const { return walk_reads_; }
    bool walk_playing() const { return walk_playing_; }
    static constexpr double kReadMilliseconds = 450; ///< that a read of the walk is in view before the next, while it plays
    /// No movement that nobody asked for: what plays shows its end at once.
    bool reduced_motion() const { return reduced_motion_; }
    /// Something moves by itself, so that frames are to be drawn.
    bool moving() const { return running_ || walk_playing_ || searching() || lua_busy() || journey_; }
    /// The Lua console; what is typed there goes on in tick() while lua_busy(). Pause, Stop and Esc end that.
    const scenarios::LuaConsole& lua_console() const { return *console_; }
    bool lua_busy() const { return console_->busy(); }
    /// Which of the panels that scripts define this is; nullopt: another one.
    static std::optional<std::size_t> scripted(PanelId panel);
    /// Has the console run a file. The error says why it cannot be read.
    Result<void> run_script(const std::string& file);
    /// For the user to read.
    void say(std::string sentence) { message_ = std::move(sentence); }
    /// The state as JSON, the text twin of the window; `console` is the end of what was printed.
    std::string state_json() const;

  private:
    void move(const Command& command);
    void arrived(RunEnd why);
    void lesson_command(const Command& command);
    void open(Session session, std::optional<LessonRun> lesson);
    void say(Result<void> result);
    void set_scale(float scale) { scale_ = std::min(4.0f, std::max(0.5f, scale)); }
    void toggle(Overlay overlay) { overlay_ = overlay_ == overlay ? Overlay::None : overlay; }
    void arrange(const Command& command);
    void show_panel(PanelId panel) { workspace_.show(panel, focus_wanted_), focus(panel); }
    void focus(PanelId panel) { focus_wanted_ = panel, ++focus_requests_; }
    void explain(const std::string& things);
    void look_around(const Command& command);
    void show_memory(u64 address, bool physical);
    void start_search(const std::string& text);
    void go_on_searching();
    unsigned longest_walk() const;
    void play_walk(double milliseconds);
    void edit_breakpoint(const Command& command);
    bool condition_holds();
    bool talk_lua(const Command& command); // debugger_lua.cpp
    void begin_lua();
    void go_on_lua(double milliseconds);
    void adopt_session();
    void refresh_scripted();
    // debugger_back.cpp
    bool go_back(const Command& command);
    void travel(u64 position, bool in_slices = false);
    void look_back(const scenarios::Sought& sought);
    void go_on_travelling(u64 units);
    void cancel_journey();
    void fork(const std::string& name);
    void save_session(const std::string& name);
    void recover();
    void switch_branch(std::size_t index);
    // debugger_units.cpp
    void begin_unit(Action action);
    void change_speed(int by);
    RunEnd run_slice(u64 units);
    u64 allowed(u64 most);
    void allow(double milliseconds);
    void flip_here(const std::string& modes);
    void flip_command(const Command& command);
    void mark_now(); ///< what differs from now on is marked
    void free_play(const std::string& mode);

    /// A way to another position that is gone in slices: to a known one, or to the one that a search finds.
    struct Journey {
        u64 origin, begin, target;
        std::optional<scenarios::Sought> sought;
        std::optional<scenarios::BackSearch> search;
    };

    std::optional<Session> session_;
    std::optional<Journey> journey_;
    std::vector<Branch> branches_;
    scenarios::SourceLines source_;
    std::optional<scenarios::Lanes> flip_;
    u64 flips_ = 0;
    std::optional<scenarios::UnitStep> unit_; ///< what Run runs to; none: on and on
    std::size_t speed_ = 0;                   ///< rungs below as fast as it can be
    double allowance_ = 0;                    ///< units that may be run now, at a limited speed
    bool hurries_ = false;
    std::string branch_ = "main";
    u64 forks_ = 0;
    std::string offered_, session_file_;
    std::optional<LessonRun> lesson_;
    bool running_ = false, quit_ = false, light_ = false, typing_ = false, contrast_ = false;
    Overlay overlay_ = Overlay::None;
    float scale_ = 1.0f, first_scale_ = 1.0f;
    std::vector<scenarios::Explanation> explained_;
    std::string message_, condition_error_;
    std::optional<u64> selected_exit_, selected_line_;
    HartState guest_before_, real_before_;
    u64 farthest_ = 0;
    Workspace workspace_;
    PanelId focus_wanted_ = PanelId::Code;
    u64 focus_requests_ = 0;
    u64 sessions_ = 0, histories_ = 0;
    double units_per_second_ = 0;
    u64 ring_device_ = 0;
    unsigned ring_queue_ = 0;
    std::optional<MemoryPlace> memory_place_;
    std::vector<MemoryPlace> memory_past_; ///< where its cursor was, the newest last
    std::optional<scenarios::MemorySearch> search_;
    bool search_running_ = false;
    Action text_wanted_ = Action::HideOverlay;
    u64 text_requests_ = 0;
    std::optional<u64> walk_address_;
    u64 walk_reads_ = ~u64{0};
    bool walk_playing_ = false, reduced_motion_ = false;
    double walk_waited_ = 0;
    std::chrono::steady_clock::time_point last_tick_{};
    std::unique_ptr<scenarios::LessonLua> lua_; ///< for conditions of breakpoints; made when one is met
    /// What the panels of scripts were drawn from, when, and how long that took.
    struct ScriptedSeen {
        u64 sessions = 0, histories = 0, cycles = 0, console = 0;
        std::size_t breakpoints = 0;
        bool operator==(const ScriptedSeen&) const = default;
    } scripted_seen_;
    std::chrono::steady_clock::time_point scripted_at_{};
    std::chrono::steady_clock::duration scripted_took_{};
    std::unique_ptr<scenarios::LuaConsole> console_ = std::make_unique<scenarios::LuaConsole>();
};

} // namespace trapeze::ui
