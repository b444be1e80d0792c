// Notices that a guest can never get on: it traps in its own trap handler for ever, or jumps to itself with no interrupt to end it.
#pragma once

#include "scenarios/session.hpp"

namespace trapeze::scenarios {

/// To be asked after each stretch of kSlice units.
class StuckGuard {
  public:
    /// Short enough that the trace, if it records traps, still holds the first of the traps that repeat.
    static constexpr u64 kSlice = Trace::kDefaultCapacity / 3;

    /// What holds the guest, where, and the mend; nothing while it may still get on.
    std::optional<std::string> look(const Session& session);

  private:
    u64 retired_ = ~u64{0};
};

} // namespace trapeze::scenarios
