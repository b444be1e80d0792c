// The debugger's commands that go by larger units than an instruction, how fast Run runs, and the mode flip: lanes that begin where the session is and
// are stepped together, while the session itself stays.
#include "ui/debugger.hpp"
#include "ui/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace trapeze::ui {

namespace {

using scenarios::StepUnit;

constexpr u64 kSpeeds[] = {0, 1'000'000, 100'000, 10'000, 1'000, 100, 10, 1}; // units a second; 0: as many as there can be
constexpr u64 kManyInstructions = 100, kSearched = 1'000'000;                  // of the lanes
constexpr double kMostCatchUp = 250;                                           // ms: a window that was not drawn for long does not jump

StepUnit unit_of(Action action) {
    switch (action) {
    case Action::NextBlock: return StepUnit::Block;
    case Action::NextSystemCall: return StepUnit::SystemCall;
    case Action::NextSwitch: return StepUnit::Switch;
    default: return StepUnit::ExitKind;
    }
}

} // namespace

u64 Debugger::speed() const { return kSpeeds[speed_]; }

void Debugger::change_speed(int by) {
    speed_ = static_cast<std::size_t>(std::clamp(static_cast<int>(speed_) + by, 0, static_cast<int>(std::size(kSpeeds)) - 1));
    allowance_ = 0;
    message_ = speed() ? trf("Instructions a second: at most {}.", speed()) : tr("As many instructions a second as there can be.");
}

void Debugger::begin_unit(Action action) {
    const vmm::ExitDossier* const exit = selected_exit();
    auto unit = scenarios::UnitStep::create(*session_, unit_of(action), exit ? exit->reason : vmm::ExitReason::Count);
    if (!unit) return void(message_ = unit.error());
    mark_now();
    selected_exit_.reset(), selected_line_.reset();
    running_ = !session_->halted();
    unit_ = running_ ? std::optional(*unit) : std::nullopt;
    message_ = running_ ? "" : tr("The guest has ended; Ctrl+Shift+F5 goes back to the start.");
}

RunEnd Debugger::run_slice(u64 units) { return unit_ ? unit_->advance(*session_, units) : session_->run(units); }

/// So much of the host's time has passed since it was asked last.
void Debugger::allow(double milliseconds) {
    const double rate = static_cast<double>(speed()) / 1000;
    allowance_ = std::min(allowance_ + rate * milliseconds, std::max(rate * kMostCatchUp, 1.0));
}

/// How many units may be run now, at the speed that was chosen.
u64 Debugger::allowed(u64 most) {
    if (!speed() || hurries_) return most;
    const u64 units = std::min(most, static_cast<u64>(allowance_));
    allowance_ -= static_cast<double>(units);
    return units;
}

/// Begins lanes in the modes that are named, separated by commas; in all that the guest can go on in, when none is.
void Debugger::flip_here(const std::string& names) {
    std::vector<vmm::Mode> modes;
    std::string refused;
    for (std::size_t i = 0; i < static_cast<std::size_t>(vmm::Mode::Count); ++i) {
        const auto mode = static_cast<vmm::Mode>(i);
        if (!names.empty() && ("," + names + ",").find("," + std::string(vmm::mode_row(mode).name) + ",") == std::string::npos) continue;
        const auto lane = mode == session_->config().mode && !session_->kernel() ? Result<Session>(session_->fork()) : session_->in_mode(mode);
        if (lane) modes.push_back(mode);
        else refused = lane.error();
    }
    auto lanes = scenarios::Lanes::create(*session_, modes);
    if (!lanes) return void(message_ = refused.empty() ? lanes.error() : refused);
    flip_ = std::move(*lanes);
    show_panel(PanelId::Flip);
    message_ = refused.empty() ? trf("{} lanes. F8 steps all of them by one instruction.", modes.size()) : trf("{} lanes; {}.", modes.size(), refused);
}

void Debugger::flip_command(const Command& command) {
    ++flips_;
    if (command.action == Action::Flip) {
        if (!flip_ || !command.text.empty()) return flip_here(command.text);
        flip_.reset();
        return void(message_ = tr("The lanes are gone; the session is where it was."));
    }
    if (!flip_) return void(message_ = tr("There are no lanes; Ctrl+Shift+F8 lets the guest go on from here in several modes at once."));
    message_.clear();
    if (command.action == Action::FlipStep) flip_->step_together(1);
    else if (command.action == Action::FlipMany) flip_->step_together(kManyInstructions);
    else if (!flip_->step_to_exit(kSearched)) message_ = tr("No lane exits any more: its guest waits, has ended, or needs no hypervisor.");
    if (message_.empty() && flip_->diverged_at()) message_ = trf("The lanes differ, first seen after {} instructions.", *flip_->diverged_at());
}

} // namespace trapeze::ui
