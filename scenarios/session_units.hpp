// Stepping units: how far one step goes. All are made of Session's own ways to run, so that going back and recordings know them too.
#pragma once

#include "scenarios/session.hpp"

namespace trapeze::scenarios {

enum class StepUnit : u8 {
    Block,      ///< to behind the next jump, branch, trap or return: a basic block
    SystemCall, ///< to where the guest's kernel, or the container kernel, takes a program's system call
    Switch,     ///< to another address space, or another process of the containers: a context switch
    ExitKind,   ///< to the next exit for one reason
};
const char* step_unit_name(StepUnit unit); ///< "block", "system call"

/// A step by a unit that is gone in slices.
class UnitStep {
  public:
    /// `reason` is for ExitKind. Refused, with the reason, where it cannot end.
    static Result<UnitStep> create(const Session& session, StepUnit unit, vmm::ExitReason reason = vmm::ExitReason::Count);
    /// Goes on for at most `units`. Budget: it has not ended. Trap: it has. Anything else has stopped it before, such as a breakpoint.
    /// Pre: the same session for all calls.
    RunEnd advance(Session& session, u64 units);
    StepUnit unit() const { return unit_; }

  private:
    UnitStep(StepUnit unit, vmm::ExitReason reason, const Session& session);
    RunEnd block(Session& session, u64 units) const;
    RunEnd until_process_changes(Session& session, u64 units) const;
    RunEnd until_system_call(Session& session, u64 units) const;
    RunEnd until_table_changes(Session& session, u64 units) const;

    StepUnit unit_;
    vmm::ExitReason reason_;
    u64 table_ = 0, switches_ = 0; ///< satp, and context switches, where it began
};

} // namespace trapeze::scenarios
