// The debugger without its window: a session, a lesson, and what commands do to them. Panels draw it and send commands; nothing here
// knows how it is drawn.
#pragma once

#include "scenarios/cli.hpp"
#include "ui/keys.hpp"
#include "ui/workspace.hpp"

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

/// What lies above the panels.
enum class Overlay : u8 { None, Help, Palette, Start };

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
    bool quit() const { return quit_; }
    bool light() const { return light_; }
    void set_light(bool light) { light_ = light; }
    float scale() const { return std::min(4.0f, scale_ * layout_zoom(workspace_.layout())); }
    /// The scale at the start, which ZoomReset comes back to.
    void set_first_scale(float scale) { first_scale_ = scale, set_scale(scale); }
    Overlay overlay() const { return overlay_; }
    /// Keys go to the guest's console.
    bool typing() const { return typing_; }
    const std::string& message() const { return message_; }
    /// The exit whose dossier is shown: the one that was selected, else the newest. Null when there is none.
    const vmm::ExitDossier* selected_exit() const;
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
    void focus(PanelId panel) { focus_wanted_ = panel, ++focus_requests_; }
    void mark_now(); ///< what differs from now on is marked
    void free_play(const std::string& mode);

    std::optional<Session> session_;
    std::optional<LessonRun> lesson_;
    bool running_ = false, quit_ = false, light_ = false, typing_ = false;
    Overlay overlay_ = Overlay::None;
    float scale_ = 1.0f, first_scale_ = 1.0f;
    std::string message_;
    std::optional<u64> selected_exit_, selected_line_;
    HartState guest_before_, real_before_;
    u64 farthest_ = 0;
    Workspace workspace_;
    PanelId focus_wanted_ = PanelId::Code;
    u64 focus_requests_ = 0;
};

} // namespace trapeze::ui
