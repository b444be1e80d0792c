// The debugger's commands that go back, and the branches of a run. What may take long is gone in slices (Debugger::tick), and can be cancelled.
#include "emulator/loader.hpp"
#include "emulator/replace_file.hpp"
#include "scenarios/lanes.hpp"
#include "ui/debugger.hpp"
#include "ui/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <utility>

namespace trapeze::ui {

using scenarios::BackSearch;
using scenarios::Sought;

namespace {

constexpr u64 kAtOnce = 4'000'000; // units that a command goes before it leaves the rest to tick
constexpr u64 kSlice = 50'000;                // of a way that is asked for again and again
constexpr std::size_t kMostBranches = 16;

Instruction next_instruction(const Session& session) {
    const auto lines = session.code(0, 0);
    return lines.empty() ? Instruction{} : decode(lines.front().word);
}

/// The address that a load or a store is about to touch.
std::optional<u64> touched(const Session& session) {
    const Instruction insn = next_instruction(session);
    const Format format = row(insn.op).format;
    const bool offset = format == Format::Load || format == Format::Store || format == Format::FLoad || format == Format::FStore;
    if (!offset && format != Format::Amo && format != Format::Lr) return std::nullopt;
    return session.guest_state().x[insn.rs1] + (offset ? static_cast<u64>(static_cast<i64>(insn.imm)) : 0);
}

/// Where the last entry is that is read to translate an address.
std::optional<u64> entry_of(Session session, u64 address) {
    const Hart view = session.walk_view(0);
    Bus bus = session.walk_bus();
    const PageWalk walk = view.translate(address, Access::Load, bus);
    return walk.steps ? std::optional(walk.read[walk.steps - 1].entry_address) : std::nullopt;
}

} // namespace

std::optional<float> Debugger::progress() const {
    if (!journey_) return std::nullopt;
    const auto share = [](u64 done, u64 all) { return all ? std::min(1.0f, static_cast<float>(done) / static_cast<float>(all)) : 1.0f; };
    if (journey_->search) return share(journey_->origin - journey_->search->looked_from(), journey_->origin - session_->earliest());
    return share(session_->position() - std::min(journey_->begin, session_->position()), journey_->target - std::min(journey_->begin, journey_->target));
}

/// `in_slices`: leaves all but a little to tick(), for who asks again and again.
void Debugger::travel(u64 position, bool in_slices) {
    const u64 origin = journey_ ? journey_->origin : session_->position();
    if (const auto placed = session_->go_before(position); !placed) return say(placed);
    journey_ = Journey{origin, session_->position(), position, {}, {}};
    go_on_travelling(in_slices ? kSlice : kAtOnce);
}

void Debugger::look_back(const Sought& sought) {
    if (!session_->config().checkpoint_every) return void(message_ = tr("This session keeps no checkpoints, so it cannot go back."));
    journey_ = Journey{session_->position(), session_->position(), session_->position(), sought, BackSearch(*session_, sought)};
    go_on_travelling(kAtOnce);
}

void Debugger::go_on_travelling(u64 units) {
    if (journey_->search) {
        const auto state = journey_->search->advance(*session_, units);
        if (state == BackSearch::State::Found && journey_->sought->kind == Sought::Kind::Breakpoint && !condition_holds())
            return void(journey_->search = BackSearch(*session_, *journey_->sought)); // its condition says no: what lies before that
        if (state == BackSearch::State::Nothing) (void)session_->go_to(journey_->origin);
        if (state == BackSearch::State::Looking) return void(message_ = trf("Looking back for {} ... Esc cancels.", describe(*journey_->sought)));
        message_ = state == BackSearch::State::Found ? trf("Back at {}.", describe(*journey_->sought))
                                                     : trf("There was no {} before; going back reaches to position {}.", describe(*journey_->sought).substr(2), session_->earliest());
    } else {
        const auto there = session_->approach(journey_->target, units);
        if (there && !there.value()) return void(message_ = trf("On the way to position {} ... Esc cancels.", journey_->target));
        message_ = there ? "" : there.error();
    }
    if (!condition_error_.empty()) message_ = std::exchange(condition_error_, {});
    journey_.reset();
    arrived(RunEnd::Budget);
}

void Debugger::cancel_journey() {
    const u64 origin = journey_->origin;
    journey_.reset();
    (void)session_->go_to(origin); // it was there, so it is reached
    message_ = trf("Cancelled: position {}, as before.", origin);
    arrived(RunEnd::Budget);
    message_ = trf("Cancelled: position {}, as before.", origin);
}

void Debugger::fork(const std::string& name) {
    if (branches_.size() + 1 >= kMostBranches) return void(message_ = trf("There are {} branches already.", kMostBranches));
    branches_.push_back({branch_, session_->fork()});
    branch_ = name.empty() ? trf("branch {}", ++forks_) : name;
    message_ = trf("This is \"{}\" now; \"{}\" is kept as it was at position {}. Ctrl+Shift+N switches.", branch_, branches_.back().name, session_->position());
}

void Debugger::switch_branch(std::size_t index) {
    if (index >= branches_.size()) return void(message_ = tr("There is no other branch; Ctrl+B begins one here."));
    // The order goes round: what was shown comes last.
    Branch next = std::move(branches_[index]);
    branches_.erase(branches_.begin() + static_cast<std::ptrdiff_t>(index));
    branches_.push_back({branch_, std::move(*session_)});
    session_.emplace(std::move(next.session));
    branch_ = next.name;
    mark_now();
    running_ = false;
    ++histories_;
    selected_exit_.reset(), selected_line_.reset();
    message_ = trf("This is \"{}\", at position {}.", branch_, session_->position());
}

Result<void> Debugger::open_recording(const std::string& file, bool trusted) {
    const auto bytes = read_file(file);
    if (!bytes) return Error{bytes.error()};
    auto replay = Session::replay(bytes.value(), file, trusted);
    if (!replay) return Error{replay.error()};
    open(std::move(replay->session), std::nullopt);
    travel(replay->position);
    return {};
}

void Debugger::save_session(const std::string& name) {
    const std::string file = !name.empty() ? name : session_file_.empty() ? "session.trapeze" : session_file_;
    const auto recording = session_->record(true);
    if (!recording) return void(message_ = recording.error());
    const auto written = replace_file(file, recording.value());
    message_ = written ? trf("Saved to {}; `trapeze debug --open {}` plays it again.", file, file) : written.error();
}

void Debugger::offer(const std::string& file) {
    offered_ = file;
    message_ = tr("A session was not closed when it ended. Ctrl+Shift+R opens it as it was.");
}

void Debugger::recover() {
    const std::string file = std::exchange(offered_, {});
    if (const auto opened = open_recording(file, true); !opened) return say(opened);
    std::error_code failed;
    std::filesystem::remove(file, failed); // this process's own journal has it from now on
    if (!journey_) message_ = tr("This is the session as it was.");
}

/// Carries out a command that goes back or is about branches; false: it is none.
bool Debugger::go_back(const Command& command) {
    std::optional<Sought> sought;
    const Instruction insn = next_instruction(*session_);
    const Format format = row(insn.op).format;
    switch (command.action) {
    case Action::BackToTrap: sought = Sought{Sought::Kind::Trap}; break;
    case Action::ReverseRun: sought = Sought{Sought::Kind::Breakpoint}; break;
    case Action::BackToRegister: sought = Sought{Sought::Kind::Register, command.number}; break;
    case Action::BackToCsrWrite: sought = Sought{Sought::Kind::Csr, command.number}; break;
    case Action::BackToMemory: sought = Sought{Sought::Kind::Memory, command.number}; break;
    case Action::BackToPhysical: sought = Sought{Sought::Kind::Physical, command.number}; break;
    case Action::BackToOperand:
        if (!insn.rs1) return message_ = tr("The next instruction reads no register."), true;
        sought = Sought{Sought::Kind::Register, insn.rs1};
        break;
    case Action::BackToCsr:
        if (format != Format::Csr && format != Format::CsrI) return message_ = tr("The next instruction names no CSR."), true;
        sought = Sought{Sought::Kind::Csr, static_cast<u64>(insn.imm)};
        break;
    case Action::BackToStore:
    case Action::BackToEntry: {
        const auto address = touched(*session_);
        if (!address) return message_ = tr("The next instruction neither loads nor stores."), true;
        const auto entry = command.action == Action::BackToEntry ? entry_of(*session_, *address) : std::nullopt;
        if (command.action == Action::BackToEntry && !entry) return message_ = tr("No page table translates that address."), true;
        sought = entry ? Sought{Sought::Kind::Physical, *entry} : Sought{Sought::Kind::Memory, *address};
        break;
    }
    case Action::SaveSession: return save_session(command.text), true;
    case Action::OpenSession: return say(open_recording(command.text, false)), true;
    case Action::RecoverSession:
        if (offered_.empty()) return message_ = tr("No session was left behind."), true;
        return recover(), true;
    case Action::Fork: return fork(command.text), true;
    case Action::NextBranch: return switch_branch(0), true;
    case Action::SwitchBranch: return switch_branch(command.number), true;
    case Action::CompareBranches:
        if (branches_.empty()) return message_ = tr("There is no other branch; Ctrl+B begins one here."), true;
        message_ = trf("\"{}\" and \"{}\": {}", branch_, branches_[0].name, scenarios::compare_branches(*session_, branches_[0].session));
        return true;
    default: return false;
    }
    mark_now();
    running_ = false;
    ++histories_;
    selected_exit_.reset(), selected_line_.reset();
    look_back(*sought);
    return true;
}

} // namespace trapeze::ui
