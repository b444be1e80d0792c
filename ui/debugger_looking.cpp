// The commands that look around without moving the session: memory and page walks.
#include "scenarios/walk.hpp"
#include "ui/debugger.hpp"
#include "ui/text.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace trapeze::ui {

namespace {

constexpr std::size_t kMostPast = 100;
constexpr unsigned kPagesAtOnce = 400; // of a search: some milliseconds

scenarios::AddressSpace space_of(bool physical) { return physical ? scenarios::AddressSpace::Physical : scenarios::AddressSpace::Virtual; }

} // namespace

void Debugger::show_memory(u64 address, bool physical) {
    const MemoryPlace place{address, physical};
    if (memory_place_ && !(*memory_place_ == place)) {
        memory_past_.push_back(*memory_place_);
        if (memory_past_.size() > kMostPast) memory_past_.erase(memory_past_.begin());
    }
    memory_place_ = place;
    show_panel(PanelId::Memory);
}

void Debugger::start_search(const std::string& text) {
    auto bytes = scenarios::parse_bytes(text);
    if (!bytes) return say(bytes.error());
    const MemoryPlace from = memory_place_.value_or(MemoryPlace{session_->guest_state().x[2], false});
    search_ = scenarios::MemorySearch{.at = from.address, .bytes = *bytes, .space = space_of(from.physical)};
    search_running_ = true;
    say(tr("Searching; any other search ends this one."));
    go_on_searching();
}

void Debugger::go_on_searching() {
    if (const auto found = search_->go_on(*session_, kPagesAtOnce)) {
        show_memory(*found, search_->space == scenarios::AddressSpace::Physical);
        search_running_ = false;
        return say(trf("Found at 0x{:x}; F3 looks for the next one.", *found));
    }
    if (search_->done()) {
        search_running_ = false;
        say(tr("Not found in the next GiB."));
    }
}

/// Reads of the longer one of the walks that are shown.
unsigned Debugger::longest_walk() const {
    const u64 address = walk_address_.value_or(session_->guest_state().pc);
    const unsigned own = scenarios::guest_walk(*session_, 0, address).steps;
    const bool machine = session_->vmm() && session_->config().mode != vmm::Mode::Interpret;
    return std::max<unsigned>(own, machine ? scenarios::machine_walk(*session_, address).steps : 0);
}

void Debugger::play_walk(double milliseconds) {
    const unsigned reads = longest_walk();
    if (reduced_motion_) walk_reads_ = reads;
    walk_waited_ += milliseconds;
    for (; walk_waited_ >= kReadMilliseconds && walk_reads_ < reads; walk_waited_ -= kReadMilliseconds) ++walk_reads_;
    walk_playing_ = walk_reads_ < reads;
}

void Debugger::look_around(const Command& command) {
    if (session_->kernel()) return say(tr("Processes in containers are not looked into here."));
    const auto resolved = [&](auto then) {
        auto address = session_->resolve(command.text);
        if (address) then(*address);
        else say(address.error());
    };
    const bool physical = memory_place_ && memory_place_->physical;
    switch (command.action) {
    case Action::ShowMemory: return show_memory(command.number, command.text == "physical");
    case Action::GoToMemory: return resolved([&](u64 address) { show_memory(address, physical); });
    case Action::SearchMemory: return start_search(command.text);
    case Action::FindNext:
        if (!search_) return say(tr("There is no search to go on with; Ctrl+F begins one."));
        if (search_->done()) search_->left = u64{1} << 30;
        search_running_ = true;
        return go_on_searching();
    case Action::FollowPointer: {
        const MemoryPlace at = memory_place_.value_or(MemoryPlace{session_->guest_state().x[2], false});
        u64 pointer = 0;
        if (scenarios::read_guest_memory(*session_, 0, at.address, space_of(at.physical), std::span(reinterpret_cast<u8*>(&pointer), sizeof pointer)) != sizeof pointer)
            return say(trf("0x{:x}: no memory is mapped there, so it points nowhere.", at.address));
        memory_place_ = at;
        return show_memory(pointer, at.physical);
    }
    case Action::MemoryBack:
        if (memory_past_.empty()) return say(tr("The cursor has not been anywhere else."));
        memory_place_ = memory_past_.back();
        memory_past_.pop_back();
        return show_panel(PanelId::Memory);
    case Action::WriteMemory: {
        auto bytes = scenarios::parse_bytes(command.text);
        if (!bytes) return say(bytes.error());
        auto written = scenarios::write_guest_memory(*session_, 0, command.number, space_of(physical), std::span(reinterpret_cast<const u8*>(bytes->data()), bytes->size()));
        ++histories_;
        return say(written ? trf("{} bytes written at 0x{:x}. Going back ends here.", bytes->size(), command.number) : written.error());
    }
    case Action::MemoryGoTo: case Action::MemoryFind: case Action::MemoryEdit:
        text_wanted_ = command.action, ++text_requests_;
        return show_panel(PanelId::Memory);
    case Action::ShowWalk: case Action::GoToWalk: {
        const auto show = [&](u64 address) { walk_address_ = address, walk_reads_ = ~u64{0}, walk_playing_ = false, show_panel(PanelId::Walk); };
        return command.action == Action::ShowWalk ? show(command.number) : resolved(show);
    }
    case Action::ShowWalkReads: walk_reads_ = command.number; break;
    case Action::WalkNext: walk_reads_ = walk_reads_ >= longest_walk() ? 1 : walk_reads_ + 1; break;
    case Action::WalkBack: walk_reads_ = std::min<u64>(walk_reads_, longest_walk()), walk_reads_ -= walk_reads_ > 0; break;
    case Action::WalkPlay:
        if (walk_playing_) return void(walk_playing_ = false);
        walk_reads_ = 0, walk_waited_ = 0, walk_playing_ = true;
        return show_panel(PanelId::Walk);
    default: break;
    }
    walk_playing_ = false;
    show_panel(PanelId::Walk);
}

} // namespace trapeze::ui
