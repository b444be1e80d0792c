#include "scenarios/walk.hpp"

#include "scenarios/looking.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace trapeze::scenarios {

namespace {

std::string entry_flags(u64 entry) {
    constexpr char kLetters[] = "VRWXUGAD";
    std::string text;
    for (unsigned i = 0; i < 8; ++i) text += bit(entry, i) ? kLetters[i] : '-';
    return text;
}

unsigned second_stage_steps(const PageWalk& walk) {
    return static_cast<unsigned>(std::count_if(walk.read.begin(), walk.read.begin() + walk.steps, [](const PageWalk::Step& step) { return step.second; }));
}

std::string end_text(const PageWalk& walk, u64 address) {
    switch (walk.outcome) {
    case PageWalk::Outcome::GuestPageFault: return fmt::format("{:#x}: a load would be a guest-page fault at guest physical {:#x}\n", address, walk.guest_physical);
    case PageWalk::Outcome::PageFault: return fmt::format("{:#x}: a load would be a page fault\n", address);
    case PageWalk::Outcome::AccessFault: return fmt::format("{:#x}: a load would be an access fault\n", address);
    case PageWalk::Outcome::Ok: break;
    }
    return fmt::format("{:#x} is physical {:#x}{}\n", address, walk.physical, walk.steps ? "" : " (no translation is in force)");
}

} // namespace

std::string walk_text(const PageWalk& walk, u64 address) {
    std::string text;
    for (unsigned i = 0; i < walk.steps; ++i) {
        const PageWalk::Step& step = walk.read[i];
        text += fmt::format("{}level {}: entry at {:#x} is {:#x} ({})\n", step.second ? "G-stage " : "", step.level, step.entry_address, step.entry, entry_flags(step.entry));
    }
    text += end_text(walk, address);
    if (const unsigned second = second_stage_steps(walk))
        text += fmt::format("{} entries read: {} of the guest's table, {} of the G-stage\n", walk.steps, walk.steps - second, second);
    else if (walk.steps) text += fmt::format("{} {} read\n", walk.steps, walk.steps == 1 ? "entry" : "entries");
    return text;
}

namespace {

/// A load in the mode that the guest is in; where its kernel may not touch the page because it is a program's, as that program's load.
PageWalk walk_as_guest(const Hart& hart, PrivMode mode, u64 address, Bus& bus) {
    const PageWalk walk = hart.translate_as(mode, address, Access::Load, bus);
    if (walk.outcome != PageWalk::Outcome::PageFault || mode.priv != Priv::S || !walk.steps) return walk;
    const u64 last = walk.read[walk.steps - 1u].entry;
    return pte::is_leaf(last) && last & pte::U ? hart.translate_as({Priv::U, mode.virt}, address, Access::Load, bus) : walk;
}

} // namespace

PageWalk guest_walk(const Session& session, unsigned hart, u64 address) {
    const Hart view = session.walk_view(hart); // with direct paging the table holds machine addresses
    Bus bus = look_as_walker(session);
    return walk_as_guest(view, view.state.mode(), address, bus);
}

PageWalk machine_walk(const Session& session, u64 address) {
    const bool assisted = session.config().mode == Mode::HardwareAssisted;
    Bus bus = look_at_machine(session);
    return walk_as_guest(session.machine().hart(), {assisted ? session.guest_state().priv : Priv::U, assisted}, address, bus);
}

std::string describe_walks(const Session& session, unsigned hart, u64 address) {
    const std::string own = walk_text(guest_walk(session, hart, address), address);
    const bool runs_on_hart = session.vmm() && session.config().mode != Mode::Interpret;
    if (!runs_on_hart) return own;
    const bool assisted = session.config().mode == Mode::HardwareAssisted;
    return "The guest's own table, at guest physical addresses:\n" + own +
           (assisted ? "\nWhat the machine's hart walks, two stages:\n" : "\nWhat the machine's hart walks, the VMM's tables:\n") +
           walk_text(machine_walk(session, address), address);
}

} // namespace trapeze::scenarios
