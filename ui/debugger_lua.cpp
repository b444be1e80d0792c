// The Lua console's part of the debugger: what is typed there moves and changes the session that the panels show.
#include "ui/debugger.hpp"
#include "ui/text.hpp"

#include <fmt/format.h>

namespace trapeze::ui {

/// What the console has to do with a command. Returns whether nothing else has.
bool Debugger::talk_lua(const Command& command) {
    const bool stops = command.action == Action::Pause || command.action == Action::Stop || command.action == Action::HideOverlay;
    if (lua_busy() && stops) return console_->stop(tr("It was stopped. Its variables stay as they are.")), true;
    if (lua_busy() && moves_session(command.action)) return say(tr("The Lua console is at work; F6 or Esc stops it.")), true;
    switch (command.action) {
    case Action::ShowLua: show_panel(PanelId::Lua); return true;
    case Action::ClearLua: console_->clear(); return true;
    case Action::EnterLua:
        begin_lua();
        console_->enter(command.text);
        return true;
    default: return false;
    }
}

Result<void> Debugger::run_script(const std::string& file) {
    constexpr u64 kLargest = 1 << 20;
    auto bytes = read_file(file, kLargest);
    if (!bytes) return Error{bytes.error()};
    begin_lua();
    console_->enter_file(file, std::string(bytes->begin(), bytes->end()));
    workspace_.show(PanelId::Lua, focus_wanted_);
    return {};
}

/// What differs from now on is marked; the guest stands while Lua has it.
void Debugger::begin_lua() {
    mark_now();
    running_ = false;
    selected_exit_.reset(), selected_line_.reset();
    message_.clear();
}

void Debugger::go_on_lua(double milliseconds) {
    const u64 before = session_->position();
    const unsigned opened = console_->opened();
    const std::size_t panels = console_->panels().size();
    console_->go_on(session_, milliseconds);
    if (console_->opened() != opened) adopt_session();
    if (!lua_busy() || session_->position() < before) ++histories_; // it may have gone back, or changed something by hand
    farthest_ = std::max(farthest_, session_->position());
    for (std::size_t i = panels; i < console_->panels().size(); ++i) workspace_.show(static_cast<PanelId>(static_cast<std::size_t>(PanelId::Scripted1) + i), PanelId::Lua);
    if (!lua_busy()) arrived(RunEnd::Budget);
}

/// A line of Lua has opened another session, which stands where the one before did.
void Debugger::adopt_session() {
    const LayoutId layout = workspace_.layout();
    auto lesson = std::move(lesson_);
    auto console = std::exchange(console_, std::make_unique<scenarios::LuaConsole>());
    Session session = std::move(*session_);
    open(std::move(session), std::move(lesson));
    console_ = std::move(console);
    if (layout != LayoutId::Trap && layout != LayoutId::Containers) workspace_.choose(layout);
}

std::optional<std::size_t> Debugger::scripted(PanelId panel) {
    if (panel < PanelId::Scripted1 || panel > PanelId::Scripted4) return std::nullopt;
    return static_cast<std::size_t>(panel) - static_cast<std::size_t>(PanelId::Scripted1);
}

/// Has the panels of scripts say anew what they show when something has changed; while the guest runs, in a fifth of the time at most.
void Debugger::refresh_scripted() {
    if (console_->panels().empty() || lua_busy()) return;
    const ScriptedSeen now{sessions_, histories_, session_->machine().cycles(), console_->changes(), session_->breakpoints().size()};
    const auto begin = std::chrono::steady_clock::now();
    const auto rest = std::max<std::chrono::steady_clock::duration>(scripted_took_ * 4, std::chrono::milliseconds(100));
    if (now == scripted_seen_ || (running_ && begin - scripted_at_ < rest)) return;
    console_->draw_panels(session_);
    scripted_seen_ = now;
    scripted_at_ = std::chrono::steady_clock::now(), scripted_took_ = scripted_at_ - begin;
}

} // namespace trapeze::ui
