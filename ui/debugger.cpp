#include "ui/debugger.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>

namespace trapeze::ui {

namespace {

const char* end_sentence(RunEnd why) {
    switch (why) {
    case RunEnd::Idle: return "The guest waits for input.";
    case RunEnd::Halted: return "The guest has switched its machine off.";
    case RunEnd::Breakpoint: return "Stopped at a breakpoint.";
    case RunEnd::Trap: return "A trap was taken.";
    case RunEnd::Exit: return "The guest fell: the hypervisor has the hart.";
    case RunEnd::Budget: return "";
    }
    return "";
}

} // namespace

Debugger::Debugger(Session session, std::optional<LessonRun> lesson) { open(std::move(session), std::move(lesson)); }

void Debugger::open(Session session, std::optional<LessonRun> lesson) {
    session_ = std::move(session);
    lesson_ = std::move(lesson);
    guest_before_ = session_->guest_state();
    real_before_ = session_->real_state();
    farthest_ = session_->position();
    running_ = false;
    selected_exit_.reset(), selected_line_.reset();
    message_.clear();
}

void Debugger::say(Result<void> result) {
    if (!result) message_ = result.error();
}

const vmm::ExitDossier* Debugger::selected_exit() const {
    if (!session_->vmm() || session_->vmm()->ledger().empty()) return nullptr;
    const auto& ledger = session_->vmm()->ledger();
    if (selected_exit_)
        for (const vmm::ExitDossier& exit : ledger)
            if (exit.number == *selected_exit_) return &exit;
    return &ledger.back();
}

void Debugger::arrived(RunEnd why) {
    farthest_ = std::max(farthest_, session_->position());
    if (why != RunEnd::Budget) {
        message_ = end_sentence(why);
        running_ = false;
    }
    if (lesson_) say(lesson_->update(session_));
}

/// The commands that move the session.
void Debugger::move(const Command& command) {
    guest_before_ = session_->guest_state();
    real_before_ = session_->real_state();
    running_ = false;
    selected_exit_.reset(), selected_line_.reset();
    message_.clear();
    switch (command.action) {
    case Action::Step: return arrived(session_->step());
    case Action::StepOver: return arrived(session_->step_over());
    case Action::NextTrap: return arrived(session_->run_to_trap());
    case Action::ToReturn: return arrived(session_->run_to_return());
    case Action::StepBack: say(session_->step_back()); break;
    case Action::Reset: say(session_->go_to(0)); break;
    case Action::GoTo: say(session_->go_to(command.number)); break;
    default: break;
    }
    arrived(RunEnd::Budget);
}

void Debugger::lesson_command(const Command& command) {
    if (command.action == Action::OpenLesson) {
        auto lesson = scenarios::load_lesson(command.text);
        if (!lesson) return void(message_ = lesson.error());
        LessonRun run(std::move(*lesson));
        std::optional<Session> session;
        if (const auto started = run.start(session); !started) return void(message_ = started.error());
        if (session) open(std::move(*session), std::move(run));
        return;
    }
    if (!lesson_ || lesson_->finished()) return;
    guest_before_ = session_->guest_state();
    real_before_ = session_->real_state();
    if (command.action == Action::Answer && !lesson_->answered() && command.number < lesson_->step().answers.size()) {
        lesson_->answer(command.number);
        say(lesson_->update(session_));
    }
    if (command.action == Action::LessonAct) say(lesson_->act(session_));
    if (command.action == Action::LessonNext) {
        say(lesson_->advance(session_));
        guest_before_ = session_->guest_state(), real_before_ = session_->real_state();
    }
    selected_exit_.reset(), selected_line_.reset();
    farthest_ = std::max(farthest_, session_->position());
}

void Debugger::apply(const Command& command) {
    switch (command.action) {
    case Action::Run:
        guest_before_ = session_->guest_state(), real_before_ = session_->real_state();
        running_ = !session_->halted();
        message_ = running_ ? "" : "The guest has ended; Ctrl+Shift+F5 goes back to the start.";
        break;
    case Action::Pause: case Action::Stop: running_ = false; break;
    case Action::ToggleBreakpoint: session_->toggle_breakpoint(selected_line()); break;
    case Action::ShowHelp: help_ = !help_; break;
    case Action::ShowPalette: palette_ = !palette_; break;
    case Action::ZoomIn: set_scale(scale_ * 1.1f); break;
    case Action::ZoomOut: set_scale(scale_ / 1.1f); break;
    case Action::ZoomReset: set_scale(first_scale_); break;
    case Action::ToggleTheme: light_ = !light_; break;
    case Action::Quit: quit_ = true; break;
    case Action::SelectExit: selected_exit_ = command.number; break;
    case Action::SelectLine: selected_line_ = command.number; break;
    case Action::Type:
        session_->type(command.text);
        running_ = !session_->halted();
        break;
    case Action::Answer: case Action::LessonAct: case Action::LessonNext: case Action::OpenLesson: lesson_command(command); break;
    case Action::FreePlay: {
        scenarios::SessionConfig config;
        config.guest = "tiny-os";
        const auto mode = vmm::mode_by_name(command.text);
        auto session = mode ? (config.mode = mode.value(), Session::create(config)) : Result<Session>(Error{mode.error()});
        if (session) open(std::move(*session), std::nullopt);
        else message_ = session.error();
        break;
    }
    default: move(command);
    }
}

void Debugger::tick(double milliseconds) {
    const auto begin = std::chrono::steady_clock::now();
    const auto elapsed = [&] { return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count(); };
    constexpr u64 kSlice = 50'000;
    while (running_ && elapsed() < milliseconds) arrived(session_->run(kSlice));
}

std::string Debugger::state_json() const {
    const HartState guest = session_->guest_state();
    static constexpr const char* kLanes[] = {"guest user", "guest kernel", "hypervisor", "hardware"};
    nlohmann::ordered_json json{
        {"mode", vmm::mode_row(session_->config().mode).name},
        {"position", session_->position()},
        {"pc", guest.pc},
        {"lane", kLanes[static_cast<std::size_t>(session_->lane())]},
        {"exits", session_->vmm() ? session_->vmm()->exits() : 0},
        {"running", running_},
        {"halted", session_->halted()},
        {"breakpoints", session_->breakpoints().size()},
        {"light", light_},
        {"message", message_},
        {"console", session_->console()},
    };
    if (lesson_) {
        json["lesson"] = {{"title", lesson_->lesson().title}, {"step", lesson_->index() + 1}, {"complete", lesson_->complete()},
                          {"right", lesson_->right()}, {"questions", lesson_->questions()}};
    }
    return json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

} // namespace trapeze::ui
