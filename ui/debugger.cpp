#include "ui/debugger.hpp"

#include "ui/text.hpp"
#include "container-sim/kernel.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <sstream>

namespace trapeze::ui {

namespace {

const char* end_sentence(RunEnd why, bool containers) {
    switch (why) {
    case RunEnd::Idle: return containers ? tr("Every process waits for input.") : tr("The guest waits for input.");
    case RunEnd::Halted: return containers ? tr("Every process has ended.") : tr("The guest has switched its machine off.");
    case RunEnd::Breakpoint: return tr("Stopped at a breakpoint.");
    case RunEnd::Trap: return containers ? tr("A process made a system call.") : tr("A trap was taken.");
    case RunEnd::Exit: return tr("The guest fell: the hypervisor has the hart.");
    case RunEnd::Budget: return "";
    }
    return "";
}

/// A layout's key: they stand in the order of the layouts.
std::optional<LayoutId> layout_of(Action action) {
    if (action < Action::LayoutTrap || action > Action::LayoutCustom3) return std::nullopt;
    return static_cast<LayoutId>(static_cast<u8>(action) - static_cast<u8>(Action::LayoutTrap));
}

PanelId panel_of(u64 number) { return number < kPanels ? static_cast<PanelId>(number) : PanelId::Code; }

} // namespace

Command move_panel(PanelId panel, PanelId target, Side side) {
    return {Action::MovePanel, static_cast<u64>(panel) | static_cast<u64>(target) << 8 | static_cast<u64>(side) << 16};
}

Command resize_parts(unsigned split, const std::vector<float>& sizes) { return {Action::ResizeParts, split, fmt::format("{}", fmt::join(sizes, " "))}; }

bool concerns_panel(Action action) {
    return action >= Action::NextPanel && action <= Action::SaveTable;
}

/// Commands that would pull the session away from where it is going.
bool moves_session(Action action) {
    switch (action) {
    case Action::Run: case Action::NextBlock: case Action::NextSystemCall: case Action::NextSwitch: case Action::NextOfKind: case Action::Type: case Action::Step: case Action::StepOver: case Action::StepOut: case Action::StepBack: case Action::NextTrap: case Action::ToReturn:
    case Action::RunToLine: case Action::Reset: case Action::GoTo: case Action::BackToTrap: case Action::ReverseRun: case Action::BackToOperand: case Action::BackToCsr:
    case Action::BackToStore: case Action::BackToEntry: case Action::BackToRegister: case Action::BackToCsrWrite: case Action::BackToMemory: case Action::BackToPhysical:
    case Action::Fork: case Action::NextBranch: case Action::SwitchBranch: case Action::CompareBranches: case Action::Answer: case Action::LessonAct: case Action::LessonNext:
    case Action::OpenLesson: case Action::FreePlay: case Action::OpenSession: case Action::RecoverSession: case Action::SaveSession: case Action::EnterLua:
        return true;
    default: return false;
    }
}

Debugger::Debugger(Session session, std::optional<LessonRun> lesson) { open(std::move(session), std::move(lesson)); }

void Debugger::open(Session session, std::optional<LessonRun> lesson) {
    console_->stop(tr("It was stopped: another session was opened."));
    session_ = std::move(session);
    lesson_ = std::move(lesson);
    ++sessions_, ++histories_;
    flip_.reset(), unit_.reset(), ++flips_;
    source_ = scenarios::SourceLines::of(*session_);
    ring_device_ = 0, memory_place_.reset(), memory_past_.clear(), search_.reset(), walk_address_.reset();
    walk_reads_ = ~u64{0}, walk_playing_ = search_running_ = false;
    mark_now();
    farthest_ = session_->position();
    running_ = typing_ = false;
    journey_.reset(), branches_.clear(), branch_ = "main", forks_ = 0;
    overlay_ = Overlay::None;
    selected_exit_.reset(), selected_line_.reset();
    message_.clear();
    workspace_.choose(session_->kernel() ? LayoutId::Containers : LayoutId::Trap);
}

bool Debugger::shows(PanelId panel) const {
    switch (panel_names(panel).needs) {
    case PanelNeeds::Lesson: return lesson_.has_value();
    case PanelNeeds::Hypervisor: return session_->vmm() != nullptr;
    case PanelNeeds::Containers: return session_->kernel() != nullptr;
    case PanelNeeds::Script: return *scripted(panel) < console_->panels().size();
    case PanelNeeds::Nothing: return panel != PanelId::Timeline; // it has a place of its own
    }
    return true;
}

/// The commands that arrange the panels.
void Debugger::arrange(const Command& command) {
    const PanelId panel = panel_of(command.number);
    const auto shown = [&](PanelId id) { return shows(id); };
    const auto unlocked = [&] {
        if (workspace_.locked()) message_ = tr("The layout is locked; Ctrl+Shift+U unlocks it.");
        return !workspace_.locked();
    };
    if (const auto layout = layout_of(command.action)) {
        workspace_.choose(*layout);
        message_ = trf("Layout {}: {}", tr(layout_row(*layout).title), tr(layout_row(*layout).sentence));
        return;
    }
    switch (command.action) {
    case Action::ToggleLock:
        workspace_.set_locked(!workspace_.locked());
        message_ = workspace_.locked() ? tr("The layout is locked.") : tr("The layout is unlocked: drag panels by their titles, move borders. Ctrl+Shift+U locks it.");
        break;
    case Action::ResetLayout: workspace_.reset(), message_ = tr("The layout is as it was shipped."); break;
    case Action::NextPanel: focus(workspace_.next(panel, 1, shown)); break;
    case Action::PreviousPanel: focus(workspace_.next(panel, -1, shown)); break;
    case Action::GrowPanel: if (unlocked()) workspace_.grow(panel, 1.15f); break;
    case Action::ShrinkPanel: if (unlocked()) workspace_.grow(panel, 1 / 1.15f); break;
    case Action::MovePanelOn: if (unlocked()) workspace_.move(panel, workspace_.next(panel, 1, shown), Side::Tab), focus(panel); break;
    case Action::SplitPanelOff: if (unlocked()) workspace_.split_off(panel), focus(panel); break;
    case Action::ClosePanel: say(workspace_.close(panel)); break;
    case Action::ShowPanel:
        if (!shows(panel)) return void(message_ = trf("{}: there is nothing to show in this session.", tr(panel_names(panel).title)));
        show_panel(panel);
        break;
    case Action::MovePanel: workspace_.move(panel_of(command.number & 0xff), panel_of(command.number >> 8 & 0xff), static_cast<Side>(std::min<u64>(command.number >> 16, 4))); break;
    case Action::ResizeParts: {
        std::vector<float> sizes;
        for (const char* at = command.text.c_str(); *at;) {
            char* end = nullptr;
            sizes.push_back(std::strtof(at, &end));
            if (end == at) break;
            at = end;
        }
        workspace_.resize(static_cast<unsigned>(command.number), sizes);
        break;
    }
    default: break;
    }
}

/// Tells of things, one a line; again, or of nothing: ends that.
void Debugger::explain(const std::string& things) {
    const bool again = overlay_ == Overlay::Explanation;
    explained_.clear();
    std::istringstream lines(things);
    for (std::string thing; std::getline(lines, thing);)
        for (scenarios::Explanation& entry : scenarios::explain(thing)) explained_.push_back(std::move(entry));
    overlay_ = again || explained_.empty() ? Overlay::None : Overlay::Explanation;
    if (!again && explained_.empty()) message_ = tr("Nothing is written about what has the focus; choose a line of code, a register or an exit. Shift+F1 tells of the keys.");
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
    if (why == RunEnd::Breakpoint && running_ && !condition_holds()) why = RunEnd::Budget;
    if (why != RunEnd::Budget) {
        unit_.reset();
        message_ = condition_error_.empty() ? end_sentence(why, session_->kernel() != nullptr) : std::exchange(condition_error_, {});
        running_ = false;
    }
    if (lesson_) say(lesson_->update(session_));
}

/// Asks the breakpoint that stops the session. One whose condition cannot be asked stops, and says why.
bool Debugger::condition_holds() {
    const scenarios::Breakpoint* breakpoint = session_->stopped_by();
    if (!breakpoint || breakpoint->condition.empty()) return true;
    const std::string name = session_->breakpoint_text(*breakpoint), condition = breakpoint->condition;
    const u64 position = session_->position();
    if (!lua_) lua_ = std::make_unique<scenarios::LessonLua>();
    std::vector<std::string> said;
    auto holds = lua_->run({.code = "return (" + condition + ")", .line = 1}, "condition", session_, said);
    if (holds && session_->position() != position) holds = Error{tr("it moves the session, which a condition must not")};
    if (!holds) condition_error_ = trf("The condition of breakpoint {} cannot be asked: {}", name, holds.error());
    return !holds || *holds;
}

void Debugger::edit_breakpoint(const Command& command) {
    auto& breakpoints = session_->breakpoints();
    if (command.action == Action::AddBreakpoint) {
        auto parsed = session_->parse_breakpoint(command.text);
        if (!parsed) return say(parsed.error());
        const auto same = [&](const scenarios::Breakpoint& other) { return other.kind == parsed->kind && other.value == parsed->value && other.on_loads == parsed->on_loads && other.on_stores == parsed->on_stores; };
        if (std::any_of(breakpoints.begin(), breakpoints.end(), same)) return say(trf("There is a breakpoint at {} already.", session_->breakpoint_text(*parsed)));
        if (const auto added = session_->add_breakpoint(*parsed); !added) return say(added.error());
        return say(trf("Breakpoint: {}.", session_->breakpoint_text(*parsed)));
    }
    if (command.number >= breakpoints.size()) return;
    scenarios::Breakpoint& breakpoint = breakpoints[command.number];
    if (command.action == Action::EnableBreakpoint) breakpoint.enabled = command.text == "on";
    else if (command.action == Action::LabelBreakpoint) breakpoint.label = command.text;
    else if (command.action == Action::ConditionBreakpoint) breakpoint.condition = command.text;
    else breakpoints.erase(breakpoints.begin() + static_cast<std::ptrdiff_t>(command.number));
}

/// The commands that move the session.
void Debugger::move(const Command& command) {
    mark_now();
    const u64 line = selected_line();
    running_ = false;
    unit_.reset();
    selected_exit_.reset(), selected_line_.reset();
    message_.clear();
    switch (command.action) {
    case Action::Step: return arrived(session_->step());
    case Action::StepOver: return arrived(session_->step_over());
    case Action::NextTrap: return arrived(session_->run_to_trap());
    case Action::ToReturn: return arrived(session_->run_to_return());
    case Action::StepOut: return arrived(session_->step_out());
    case Action::RunToLine: return arrived(session_->run_to(line));
    case Action::StepBack: ++histories_; return travel(std::max(session_->position(), u64{1}) - 1);
    case Action::Reset: ++histories_; return travel(0);
    case Action::GoTo: ++histories_; return travel(command.number, !command.text.empty());
    default: break;
    }
    arrived(RunEnd::Budget);
}

void Debugger::lesson_command(const Command& command) {
    if (command.action == Action::OpenLesson) {
        auto lesson = scenarios::load_lesson(scenarios::lesson_in(command.text, language_code(language())));
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
    const bool cancels = command.action == Action::Pause || command.action == Action::Stop || command.action == Action::HideOverlay;
    if (journey_ && cancels) return cancel_journey();
    if (journey_ && command.action == Action::Quit) cancel_journey();
    const bool goes_elsewhere = journey_ && !journey_->search && command.action == Action::GoTo; // the timeline is being dragged
    if (journey_ && !goes_elsewhere && moves_session(command.action)) return void(message_ = tr("The session is on its way; F6 or Esc cancels that."));
    if (talk_lua(command)) return;
    if (go_back(command)) return;
    switch (command.action) {
    case Action::NextBlock: case Action::NextSystemCall: case Action::NextSwitch: case Action::NextOfKind: begin_unit(command.action); break;
    case Action::Slower: change_speed(1); break;
    case Action::Faster: change_speed(-1); break;
    case Action::Flip: case Action::FlipStep: case Action::FlipMany: case Action::FlipExit: flip_command(command); break;
    case Action::Run:
        unit_.reset();
        mark_now();
        selected_exit_.reset(), selected_line_.reset();
        running_ = !session_->halted();
        message_ = running_ ? "" : tr("The guest has ended; Ctrl+Shift+F5 goes back to the start.");
        break;
    case Action::Pause: case Action::Stop: running_ = false; break;
    case Action::ToggleBreakpoint: session_->toggle_breakpoint(selected_line()); break;
    case Action::Explain: case Action::ExplainThing: explain(command.text); break;
    case Action::ShowHelp: toggle(Overlay::Help); break;
    case Action::ShowPalette: toggle(Overlay::Palette); break;
    case Action::ShowStart: toggle(Overlay::Start); break;
    case Action::HideOverlay: overlay_ = Overlay::None; break;
    case Action::ToggleTyping: typing_ = !typing_; break;
    case Action::ZoomIn: set_scale(scale_ * 1.1f); break;
    case Action::ZoomOut: set_scale(scale_ / 1.1f); break;
    case Action::ZoomReset: set_scale(first_scale_); break;
    case Action::ToggleTheme: light_ = !light_; break;
    case Action::ToggleContrast: contrast_ = !contrast_, say(contrast_ ? tr("High contrast.") : tr("Usual contrast.")); break;
    case Action::ToggleMotion: reduced_motion_ = !reduced_motion_, say(reduced_motion_ ? tr("Nothing moves by itself.") : tr("What plays is shown step by step.")); break;
    case Action::NextLanguage:
        set_language(language() == Language::English ? Language::Korean : Language::English);
        say(language() == Language::Korean ? tr("The window speaks Korean.") : tr("The window speaks English."));
        break;
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
    case Action::AddBreakpoint: case Action::RemoveBreakpoint: case Action::EnableBreakpoint: case Action::LabelBreakpoint: case Action::ConditionBreakpoint:
        edit_breakpoint(command);
        break;
    case Action::ShowRing:
        ring_device_ = command.number & ~kPageMask, ring_queue_ = static_cast<unsigned>(command.number & kPageMask);
        show_panel(PanelId::Rings);
        break;
    case Action::ShowMemory: case Action::GoToMemory: case Action::SearchMemory: case Action::WriteMemory: case Action::ShowWalk: case Action::GoToWalk: case Action::ShowWalkReads:
    case Action::MemoryGoTo: case Action::MemoryFind: case Action::FindNext: case Action::FollowPointer: case Action::MemoryBack: case Action::MemoryEdit: case Action::WalkNext:
    case Action::WalkBack: case Action::WalkPlay:
        look_around(command);
        break;
    case Action::CopyPanel: case Action::SaveTable: case Action::SaveDrawing: case Action::SavePicture: case Action::ShowMenu: case Action::TakeOffer: break; // the window's own
    case Action::ToggleLock: case Action::ResetLayout: case Action::NextPanel: case Action::PreviousPanel: case Action::GrowPanel: case Action::ShrinkPanel:
    case Action::MovePanelOn: case Action::SplitPanelOff: case Action::ClosePanel: case Action::ShowPanel: case Action::MovePanel: case Action::ResizeParts:
        arrange(command);
        break;
    default: layout_of(command.action) ? arrange(command) : move(command);
    }
}

void Debugger::tick(double milliseconds) {
    const auto begin = std::chrono::steady_clock::now();
    const auto elapsed = [&] { return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count(); };
    constexpr u64 kSlice = 50'000;
    if (searching()) go_on_searching();
    if (lua_busy()) go_on_lua(milliseconds);
    if (walk_playing_) play_walk(std::min(std::chrono::duration<double, std::milli>(begin - last_tick_).count(), kReadMilliseconds));
    allow(std::chrono::duration<double, std::milli>(begin - last_tick_).count());
    last_tick_ = begin;
    while (journey_ && elapsed() < milliseconds) go_on_travelling(kSlice);
    const u64 before = session_->position();
    while (running_ && elapsed() < milliseconds) {
        const u64 units = allowed(kSlice);
        if (!units) break;
        arrived(run_slice(units));
    }
    if (session_->position() > before) units_per_second_ = static_cast<double>(session_->position() - before) / (elapsed() / 1000);
    refresh_scripted();
}

std::string Debugger::state_json() const {
    const HartState guest = session_->guest_state();
    const std::string& console = session_->console();
    static constexpr const char* kOverlays[] = {"", "help", "palette", "start", "explanation"};
    constexpr std::size_t kConsole = 4096;
    static constexpr const char* kLanes[] = {"guest user", "guest kernel", "hypervisor", "hardware"};
    nlohmann::ordered_json json{
        {"mode", vmm::mode_row(session_->config().mode).name},
        {"position", session_->position()},
        {"pc", guest.pc},
        {"lane", kLanes[static_cast<std::size_t>(session_->lane())]},
        {"exits", session_->vmm() ? session_->vmm()->exits() : 0},
        {"running", running_},
        {"travelling", journey_.has_value()},
        {"branch", branch_},
        {"halted", session_->halted()},
        {"breakpoints", nlohmann::ordered_json::array()},
        {"light", light_},
        {"contrast", contrast_},
        {"reduced motion", reduced_motion_},
        {"message", message_},
        {"layout", layout_row(workspace_.layout()).name},
        {"locked", workspace_.locked()},
        {"overlay", kOverlays[static_cast<std::size_t>(overlay_)]},
        {"explained", overlay_ == Overlay::Explanation && !explained_.empty() ? explained_.front().key : std::string()},
        {"typing", typing_},
        {"scale", scale_},
        {"language", language_code(language())},
        {"lua", {{"busy", lua_busy()}, {"entries", console_->entries().size()}}},
        {"panels", nlohmann::ordered_json::array()},
        {"satp", {{"guest", session_->csr(guest, Csr::satp)}, {"real", session_->csr(session_->real_state(), Csr::satp)}}},
        {"console", console.substr(console.size() - std::min(console.size(), kConsole))},
    };
    for (PanelId panel : panels_of(workspace_.tree()))
        if (shows(panel)) json["panels"].push_back(panel_names(panel).name);
    for (const auto& breakpoint : session_->breakpoints()) json["breakpoints"].push_back(breakpoint.value);
    if (const vmm::ExitDossier* exit = selected_exit())
        json["exit"] = {{"number", exit->number}, {"reason", vmm::exit_reason_row(exit->reason).name}, {"handled", exit->complete}, {"cost", exit->cost}};
    if (!console_->entries().empty()) {
        const auto& newest = console_->entries().back();
        json["lua"]["input"] = newest.input, json["lua"]["output"] = newest.output, json["lua"]["error"] = newest.error;
    }
    if (lesson_) {
        json["lesson"] = {{"title", lesson_->lesson().title}, {"step", lesson_->index() + 1}, {"complete", lesson_->complete()}, {"finished", lesson_->finished()},
                          {"answered", lesson_->answered() ? static_cast<int>(*lesson_->answered()) + 1 : 0},
                          {"right", lesson_->right()}, {"questions", lesson_->questions()}};
    }
    return json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

} // namespace trapeze::ui
