#include "scenarios/session_back.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace trapeze::scenarios {

namespace {

using Kind = Sought::Kind;

constexpr u64 kFirstStretch = 2000, kGrowth = 4;
constexpr u64 kLongestStretch = 4'000'000; // so that a search that is cancelled or drawn has not long to wait
constexpr u64 kSamples = 1024;             // units between looks at physical memory

/// Runs the instruction at which the session stands, and the exits that it takes.
void pass_instruction(Session& session) {
    constexpr unsigned kMostUnits = 64;
    const u64 pc = session.guest_state().pc;
    for (unsigned i = 0; i < kMostUnits && (session.guest_state().pc == pc || (session.vmm() && session.vmm()->in_hypervisor())); ++i)
        if (const RunEnd why = session.step(); why == RunEnd::Halted || why == RunEnd::Idle) break;
}

} // namespace

BackSearch::BackSearch(const Session& session, const Sought& sought) : sought_(sought), origin_(session.position()), end_(origin_), length_(kFirstStretch) {}

u64 BackSearch::sample(const Session& session) const {
    if (sought_.kind == Kind::Register) return session.guest_state().x[sought_.value & 31];
    if (sought_.kind == Kind::Csr) return session.csr(session.guest_state(), static_cast<Csr>(sought_.value));
    u64 value = 0;
    Bus bus = const_cast<Session&>(session).guest_bus(); // reading changes nothing
    if (bus.in_ram(sought_.value, sizeof value)) bus.ram.read(bus.ram_offset(sought_.value), value);
    return value;
}

BackSearch::State BackSearch::advance(Session& session, u64 units) {
    if (origin_ <= session.earliest()) return State::Nothing;
    if (!placed_) {
        begin_ = end_ - std::min(end_ - session.earliest(), length_);
        found_.reset();
        placed_ = true, running_ = false;
        if (!session.go_before(begin_)) return cancel(session), State::Nothing;
    }
    if (!running_) {
        const auto there = session.approach(begin_, units);
        if (!there) return cancel(session), State::Nothing;
        if (!there.value()) return State::Looking;
        running_ = true;
        seen_ = sample(session);
        if (sought_.kind == Kind::Breakpoint && session.stopped_by() && begin_ < origin_) found_ = begin_;
    }
    run_stretch(session, std::min(end_, session.position() + std::min(units, end_ - session.position())));
    if (session.position() < end_) return State::Looking;
    if (found_ && sought_.kind == Kind::Physical && !narrowed_) { // it lies in the units before the look that saw it
        narrowed_ = true;
        end_ = *found_, length_ = kSamples, placed_ = false;
        return State::Looking;
    }
    if (found_) return (void)session.go_to(*found_), State::Found; // it was there, so it is reached
    if (begin_ == session.earliest()) return cancel(session), State::Nothing;
    end_ = begin_;
    length_ = std::min(length_ * kGrowth, kLongestStretch);
    placed_ = false;
    return State::Looking;
}

/// A position where the session stops is a hit, if it is before the one where the search began.
void BackSearch::note(Session& session, RunEnd why, u64 before) {
    const u64 here = session.position();
    switch (sought_.kind) {
    case Kind::Breakpoint:
    case Kind::Memory: if (why == RunEnd::Breakpoint && here < origin_) found_ = here; break;
    case Kind::Trap: if ((why == RunEnd::Trap || why == RunEnd::Exit) && here < origin_) found_ = here; break;
    default: {
        const u64 value = sample(session);
        const bool by_trap = sought_.kind == Kind::Csr && (why == RunEnd::Trap || why == RunEnd::Exit);
        if (value != seen_) found_ = by_trap && here < origin_ ? here : sought_.kind == Kind::Physical && !narrowed_ ? here : before;
        seen_ = value;
        if (sought_.kind == Kind::Csr && why == RunEnd::Breakpoint && here < origin_) found_ = here;
    }
    }
}

void BackSearch::run_stretch(Session& session, u64 last) {
    const bool memory = sought_.kind == Kind::Memory, csr = sought_.kind == Kind::Csr;
    const bool unit_by_unit = sought_.kind == Kind::Register || (sought_.kind == Kind::Physical && narrowed_);
    const bool traps = sought_.kind == Kind::Trap || csr;
    // Its own breakpoints: those of the session count no hits, and do not stop what looks for something else.
    std::vector<Breakpoint> kept = session.breakpoints();
    if (sought_.kind != Kind::Breakpoint) session.breakpoints().clear();
    if (memory) session.breakpoints().push_back({Breakpoint::Kind::Memory, sought_.value, "", true, 0, sought_.bytes, false, true});
    if (csr) session.breakpoints().push_back({Breakpoint::Kind::CsrWrite, sought_.value, "", true, 0});
    while (session.position() < last) {
        const u64 before = session.position();
        const u64 units = unit_by_unit ? 1 : sought_.kind == Kind::Physical ? std::min(kSamples, last - before) : last - before;
        const RunEnd why = session.run_until(traps ? Session::Target::Trap : Session::Target::Units, units);
        note(session, why, before);
        if (csr && why == RunEnd::Breakpoint) pass_instruction(session), seen_ = sample(session); // its write is noted already
        if (why == RunEnd::Idle || why == RunEnd::Halted) end_ = session.position(); // there is nothing after this
        if (session.position() >= end_) break;
    }
    session.breakpoints().swap(kept);
}

std::string describe(const Sought& sought) {
    switch (sought.kind) {
    case Kind::Breakpoint: return "a breakpoint";
    case Kind::Trap: return "a trap";
    case Kind::Register: return fmt::format("a change of {}", register_name(static_cast<unsigned>(sought.value & 31)));
    case Kind::Csr: {
        const CsrRow* const row = csr_row(static_cast<u16>(sought.value));
        return fmt::format("a write of {}", row ? row->name : fmt::format("CSR {:#x}", sought.value));
    }
    case Kind::Memory: return fmt::format("a store to {:#x}", sought.value);
    case Kind::Physical: return fmt::format("a change of physical memory at {:#x}", sought.value);
    }
    return {};
}

Result<void> go_back_to(Session& session, const Sought& sought) {
    if (!session.config().checkpoint_every) return Error{"this session keeps no checkpoints, so it cannot go back; start it with checkpoints"};
    BackSearch search(session, sought);
    BackSearch::State state;
    do state = search.advance(session, ~u64{0} >> 1);
    while (state == BackSearch::State::Looking);
    if (state == BackSearch::State::Found) return {};
    return Error{fmt::format("before position {} there is no {}; going back reaches to {}", session.position(), describe(sought).substr(2), session.earliest())};
}

} // namespace trapeze::scenarios
