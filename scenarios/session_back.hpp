// Going back to the last time that something happened: a trap, an exit, a change of a register or a CSR, a store, a breakpoint. What lies
// before is run through again, in stretches that begin farther and farther back, and the last hit in a stretch is the one.
//
// Usage:
//   BackSearch search(session, {Sought::Kind::Register, 10});
//   while (search.advance(session, 1'000'000) == BackSearch::State::Looking) {}   // or cancel(session)
//
// Known inaccuracies: a place in physical memory is looked at every 1024 units; a store of what was there before is no change.
#pragma once

#include "scenarios/session.hpp"

namespace trapeze::scenarios {

struct Sought {
    enum class Kind : u8 {
        Breakpoint, ///< where the session would have stopped at one of its breakpoints
        Trap,       ///< just after a trap, exit or system call was taken
        Register,   ///< before the instruction that changed x[value]
        Csr,        ///< before the instruction that wrote the CSR with this number, or after the trap that changed it
        Memory,     ///< before the store to `bytes` bytes at this virtual address
        Physical,   ///< before the store that changed the 8 bytes at this physical address, such as a page-table entry's
    };
    Kind kind = Kind::Trap;
    u64 value = 0;
    u64 bytes = 8;
};

class BackSearch {
  public:
    enum class State : u8 { Looking, Found, Nothing };
    /// Pre: the same session for all calls, which nobody else moves meanwhile.
    BackSearch(const Session& session, const Sought& sought);
    /// Goes on for about so many units. Found: the session is there. Nothing: it is where the search began.
    State advance(Session& session, u64 units);
    /// Back to where it began.
    void cancel(Session& session) { (void)session.go_to(origin_); }
    /// Position that all after was looked through, for showing how far it is.
    u64 looked_from() const { return end_; }
    u64 origin() const { return origin_; }

  private:
    void run_stretch(Session& session, u64 last);
    void note(Session& session, RunEnd why, u64 before);
    u64 sample(const Session& session) const;

    Sought sought_;
    u64 origin_, begin_ = 0, end_, length_;
    bool placed_ = false, running_ = false;
    std::optional<u64> found_; ///< the last in this stretch
    u64 seen_ = 0;             ///< the value, when it was last looked at
    bool narrowed_ = false;    ///< a change of physical memory is looked for unit by unit now
};

/// The whole search at once. The error says what was not found; the session stays then.
Result<void> go_back_to(Session& session, const Sought& sought);
/// "the last trap", "the last change of a0": for sentences.
std::string describe(const Sought& sought);

} // namespace trapeze::scenarios
