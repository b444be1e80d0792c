#include "ui/debugger.hpp"
#include "container-sim/kernel.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>

namespace trapeze::ui {

namespace {

const char* end_sentence(RunEnd why, bool containers) {
    switch (why) {
    case RunEnd::Idle: return containers ? "Every process waits for input." : "The guest waits for input.";
    case RunEnd::Halted: return containers ? "Every process has ended." : "The guest has switched its machine off.";
    case RunEnd::Breakpoint: return "Stopped at a breakpoint.";
    case RunEnd::Trap: return containers ? "A process made a system call." : "A trap was taken.";
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
    mark_now();
    farthest_ = session_->position();
    running_ = typing_ = false;
    overlay_ = Overlay::None;
    selected_exit_.reset(), selected_line_.reset();
    message_.clear();
}

void Debugger::mark_now() {
    guest_before_ = session_->guest_state();
    real_before_ = session_->real_state();
}

void Debugger::free_play(const std::string& mode) {
    scenarios::SessionConfig config;
    config.guest = "tiny-os";
    const auto chosen = vmm::mode_by_name(mode);
    if (!chosen) return void(message_ = chosen.error());
    config.mode = chosen.value();
    auto session = Session::create(config);
    if (session) open(std::move(*session), std::nullopt);
    else message_ = session.error();
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
        message_ = end_sentence(why, session_->kernel() != nullptr);
        running_ = false;
    }
    if (lesson_) say(lesson_->update(session_));
}

/// The commands that move the session.
void Debugger::move(const Command& command) {
    mark_now();
    const u64 line = selected_line();
    running_ = false;
    selected_exit_.reset(), selected_line_.reset();
    message_.clear();
    switch (command.action) {
    case Action::Step: return arrived(session_->step());
    case Action::StepOver: return arrived(session_->step_over());
    case Action::NextTrap: return arrived(session_->run_to_trap());
    case Action::ToReturn: return arrived(session_->run_to_return());
    case Action::StepOut: return arrived(session_->step_out());
    case Action::RunToLine: return arrived(session_->run_to(line));
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
    mark_now();
    if (command.action == Action::Answer && !lesson_->answered() && command.number < lesson_->step().answers.size()) {
        lesson_->answer(command.number);
        say(lesson_->update(session_));
    }
    if (command.action == Action::LessonAct && (lesson_->answered() || lesson_->step().answers.empty())) say(lesson_->act(session_));
    if (command.action == Action::LessonNext && lesson_->complete()) {
        say(lesson_->advance(session_));
        mark_now();
    }
    selected_exit_.reset(), selected_line_.reset();
    farthest_ = std::max(farthest_, session_->position());
}

void Debugger::apply(const Command& command) {
    switch (command.action) {
    case Action::Run:
        mark_now();
        selected_exit_.reset(), selected_line_.reset();
        running_ = !session_->halted();
        message_ = running_ ? "" : "The guest has ended; Ctrl+Shift+F5 goes back to the start.";
        break;
    case Action::Pause: case Action::Stop: running_ = false; break;
    case Action::ToggleBreakpoint: session_->toggle_breakpoint(selected_line()); break;
    case Action::ShowHelp: toggle(Overlay::Help); break;
    case Action::ShowPalette: toggle(Overlay::Palette); break;
    case Action::ShowStart: toggle(Overlay::Start); break;
    case Action::HideOverlay: overlay_ = Overlay::None; break;
    case Action::ToggleTyping: typing_ = !typing_; break;
    case Action::ZoomIn: set_scale(scale_ * 1.1f); break;
    case Action::ZoomOut: set_scale(scale_ / 1.1f); break;
    case Action::ZoomReset: set_scale(first_scale_); break;
    case Action::ToggleTheme: light_ = !light_; break;
    case Action::Quit: quit_ = true; break;
    case Action::SelectExit: selected_exit_ = command.number; break;
    case Action::SelectLine: selected_line_ = command.number; break;
    case Action::Type:
        if (session_->kernel()) session_->type_to(std::clamp<u32>(static_cast<u32>(command.number), 1, session_->kernel()->containers()), command.text);
        else session_->type(command.text);
        message_.clear();
        running_ = !session_->halted();
        break;
    case Action::Answer: case Action::LessonAct: case Action::LessonNext: case Action::OpenLesson: lesson_command(command); break;
    case Action::FreePlay: free_play(command.text); break;
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
    const std::string& console = session_->console();
    static constexpr const char* kOverlays[] = {"", "help", "palette", "start"};
    constexpr std::size_t kConsole = 4096;
    static constexpr const char* kLanes[] = {"guest user", "guest kernel", "hypervisor", "hardware"};
    nlohmann::ordered_json json{
        {"mode", vmm::mode_row(session_->config().mode).name},
        {"position", session_->position()},
        {"pc", guest.pc},
        {"lane", kLanes[static_cast<std::size_t>(session_->lane())]},
        {"exits", session_->vmm() ? session_->vmm()->exits() : 0},
        {"running", running_},
        {"halted", session_->halted()},
        {"breakpoints", nlohmann::ordered_json::array()},
        {"light", light_},
        {"message", message_},
        {"overlay", kOverlays[static_cast<std::size_t>(overlay_)]},
        {"typing", typing_},
        {"scale", scale_},
        {"satp", {{"guest", session_->csr(guest, Csr::satp)}, {"real", session_->csr(session_->real_state(), Csr::satp)}}},
        {"console", console.substr(console.size() - std::min(console.size(), kConsole))},
    };
    for (const auto& breakpoint : session_->breakpoints()) json["breakpoints"].push_back(breakpoint.value);
    if (const vmm::ExitDossier* exit = selected_exit())
        json["exit"] = {{"number", exit->number}, {"reason", vmm::exit_reason_row(exit->reason).name}, {"handled", exit->complete}, {"cost", exit->cost}};
    if (lesson_) {
        json["lesson"] = {{"title", lesson_->lesson().title}, {"step", lesson_->index() + 1}, {"complete", lesson_->complete()}, {"finished", lesson_->finished()},
                          {"answered", lesson_->answered() ? static_cast<int>(*lesson_->answered()) + 1 : 0},
                          {"right", lesson_->right()}, {"questions", lesson_->questions()}};
    }
    return json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

} // namespace trapeze::ui
