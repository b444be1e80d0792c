// The dossier of an exit: why the guest gave up the hart, what the hardware saw, what the guest believed, and each step that the VMM
// took, with its cost. Steps are numbers until somebody looks: `step_text` makes the sentence.
#pragma once

#include "emulator/cpu/trap.hpp"

#include <string>
#include <vector>

namespace trapeze::vmm {

enum class ExitReason : u8 {
#define EXIT_REASON(id, ...) id,
#include "hypervisor-sim/exit_reasons.def"
    Count,
};
struct ExitReasonRow {
    const char* name;
    const char* section;
    const char* sentence;
};
const ExitReasonRow& exit_reason_row(ExitReason reason);

enum class StepKind : u8 {
#define DOSSIER_STEP(id, ...) id,
#include "hypervisor-sim/dossier_steps.def"
    Count,
};
/// One thing that the VMM did about an exit; what `a` and `b` are is in dossier_steps.def.
struct DossierStep {
    StepKind kind = StepKind::Trap;
    u64 cost = 0; ///< modelled cycles
    u64 a = 0, b = 0;
    bool operator==(const DossierStep&) const = default;
};
/// The step as a sentence, such as "decode csrw satp, t0".
std::string step_text(const DossierStep& step);

/// A CSR of the virtual hart that an exit changed. Views (sstatus, sie, sip) show as the register behind them.
struct CsrChange {
    u16 number = 0;
    u64 before = 0, after = 0;
    bool operator==(const CsrChange&) const = default;
};

/// Everything about one exit. The steps' costs add up to `cost`.
struct ExitDossier {
    u64 number = 0;           ///< 1 for the first exit of the run
    u64 time = 0;             ///< cycles of the machine at the trap
    ExitReason reason = ExitReason::CsrAccess;
    Trap hardware;            ///< the trap as the hart delivered it to the VMM
    u64 guest_pc = 0;
    u32 word = 0;             ///< the instruction, 0 when there is none (interrupts, fetch faults)
    Priv believed = Priv::S;  ///< the privilege that the guest believes it had
    PrivMode real{Priv::U};   ///< the mode that it had
    Priv believed_after = Priv::S;
    u64 resume_pc = 0;
    bool injected = false;    ///< a trap was delivered into the guest
    Trap injection;           ///< the last one, when injected
    std::vector<DossierStep> steps;
    std::vector<CsrChange> changes;
    u64 cost = 0;
    bool complete = false;    ///< false while the VMM has not handled it yet
    bool recorded = true;     ///< false: steps and changes are not kept, only their cost

    void add(StepKind kind, u64 cycles, u64 a = 0, u64 b = 0) {
        if (recorded) steps.push_back({kind, cycles, a, b});
        cost += cycles;
    }
    bool operator==(const ExitDossier&) const = default;
};

} // namespace trapeze::vmm
