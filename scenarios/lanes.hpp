// Mode flip: one guest, at one point of its run, goes on in several modes at once. A lane is a session of its own; all are stepped together by
// guest instruction. What a guest sees of time depends on the mode, so after a timer's interrupt lanes may rightly differ.
//
// Usage:
//   auto lanes = Lanes::create(session, {Mode::Bare, Mode::TrapAndEmulate, Mode::HardwareAssisted});
//   lanes->step_together(100);
//   for (const Lanes::Cost& cost : lanes->costs()) ...
#pragma once

#include "scenarios/session.hpp"

#include <optional>
#include <string>
#include <vector>

namespace trapeze::scenarios {

class Lanes {
  public:
    static constexpr std::size_t kFewest = 2, kMost = 6;
    /// The error says which mode the guest cannot go on in, and why. In its own mode a lane is a fork.
    static Result<Lanes> create(const Session& session, const std::vector<Mode>& modes);

    /// Lets every lane's guest execute so many more instructions, exits on the way included, unless it waits or ends before.
    void step_together(u64 instructions);

    /// Steps all lanes together until the next exit of one of them is handled in it. False: none exits within `most` instructions.
    bool step_to_exit(u64 most);

    std::size_t size() const { return lanes_.size(); }
    Mode mode(std::size_t lane) const { return lanes_[lane].mode; }
    const Session& session(std::size_t lane) const { return lanes_[lane].session; }
    /// Guest instructions since the flip.
    u64 instructions(std::size_t lane) const;

    /// What happened in a lane since the flip.
    struct Cost {
        Mode mode;
        u64 instructions = 0; ///< of the guest; in mode translate what the hart ran for it
        u64 cycles = 0;       ///< of the machine, by the session's cost model
        u64 exits = 0;
        RunEnd end = RunEnd::Budget; ///< Idle: the guest waits; Halted: it has ended
        u64 pc = 0;
    };
    std::vector<Cost> costs() const;

    struct Divergence {
        std::size_t lane = 0;      ///< that differs from lane 0
        std::string what;          ///< "register a0", "memory at 0x80001000", "console"
        u64 first = 0, other = 0;  ///< the two values, where there are such
    };
    /// Where a lane's guest differs now from the first lane's, a line for each such lane; time and counts of instructions are left out.
    std::vector<Divergence> divergences() const;
    /// Instructions since the flip after which a difference was first seen by step_together; nullopt: none was.
    std::optional<u64> diverged_at() const { return diverged_at_; }

  private:
    struct Lane {
        Mode mode;
        Session session;
        u64 retired = 0, cycles = 0, exits = 0; ///< at the flip
        RunEnd end = RunEnd::Budget;
    };
    std::vector<Lane> lanes_;
    std::optional<u64> diverged_at_;
    u64 stepped_ = 0;
};

/// The first difference between two guests, of those that Lanes::divergences lists; nullopt: none.
std::optional<Lanes::Divergence> guest_difference(const Session& a, const Session& b);
/// What differs between two branches of a run, in lines of text: registers, memory by pages, console, exits, positions.
std::string compare_branches(const Session& a, const Session& b);
/// Lanes as text for a terminal, and as JSON.
std::string lanes_text(const Lanes& lanes);
std::string lanes_json(const Lanes& lanes);

} // namespace trapeze::scenarios
