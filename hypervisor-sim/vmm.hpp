// The VMM: host code in seat S of the machine that runs one guest machine in a chosen mode. It presents to the guest what the
// hart presents to it: harts, a board at QEMU virt's addresses, firmware. A value: copies together with its Machine.
//
// Usage:
//   auto vmm = Vmm::create(machine, {.mode = Mode::TrapAndEmulate});
//   auto guest = vmm->load(machine, bytes, "tiny-os.elf");
//   VmmStop stop = vmm->run(machine, 1'000'000);
#pragma once

#include "emulator/base/result.hpp"
#include "emulator/loader.hpp"
#include "emulator/machine.hpp"

#include <array>
#include <deque>
#include <optional>
#include <string>
#include <vector>

namespace trapeze::vmm {

enum class Mode : u8 {
#define MODE(id, ...) id,
#include "hypervisor-sim/modes.def"
    Count,
};
struct ModeRow {
    const char* name;
    bool available;
    const char* kernel_privilege;
    const char* sentence;
};
const ModeRow& mode_row(Mode mode);
/// The mode with this name; the error lists the names that exist and says when one is not available.
Result<Mode> mode_by_name(const std::string& name);

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

/// What one operation of the VMM costs, in cycles. Data: scenarios ship several (TOML files with a source for each number).
struct CostModel {
    std::string name = "flat";
    u64 trap = 200;             ///< hardware trap into the VMM and register save
    u64 decode = 50;            ///< fetch and decode the guest's instruction
    u64 emulate = 100;          ///< execute it on the virtual hart
    u64 shadow_fill = 150;      ///< install one shadow entry
    u64 walk_entry = 20;        ///< read one entry of a guest table
    u64 shadow_flush = 300;     ///< drop a shadow root
    u64 device = 400;           ///< one virtual device access
    u64 inject = 100;           ///< deliver a trap or interrupt into the guest
    u64 resume = 200;           ///< register restore and sret
    u64 interpret = 30;         ///< one instruction interpreted
};

/// One thing that the VMM did about an exit.
struct DossierStep {
    std::string text;    ///< "decode csrw satp, t0", "virtual satp: 0x0 -> 0x8000000000080300"
    u64 cost = 0;        ///< modelled cycles
};
/// A CSR of the virtual hart that an exit changed.
struct CsrChange {
    u16 number = 0;
    u64 before = 0, after = 0;
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
    Priv real = Priv::U;      ///< the privilege that it had
    Priv believed_after = Priv::S;
    u64 resume_pc = 0;
    bool injected = false;    ///< a trap was delivered into the guest
    Trap injection;           ///< which, when injected
    std::vector<DossierStep> steps;
    std::vector<CsrChange> changes;
    u64 cost = 0;
    bool complete = false;    ///< false while the VMM has not handled it yet
};

struct VmConfig {
    Mode mode = Mode::TrapAndEmulate;
    u64 ram_bytes = u64{128} << 20; ///< of the guest; must fit in the machine beside the VMM's own tables
    std::string bootargs;
    std::vector<u8> disk;
    bool firmware = true;           ///< the VMM offers SBI; false: the guest starts in (virtual) M-mode
    CostModel costs;
};

enum class VmmStopKind : u8 { Budget, Exit, Idle, Halted, Breakpoint };
struct VmmStop {
    VmmStopKind kind = VmmStopKind::Budget;
    u64 executed = 0; ///< units of budget used: guest instructions run or interpreted, and exits handled
};
/// When `run` returns before its budget is spent.
enum class Until : u8 { Budget, NextExit, ExitHandled };

class Vmm {
  public:
    /// Occupies seat S of the machine (which must have been created without built-in firmware) and sets up the VM.
    static Result<Vmm> create(Machine& machine, const VmConfig& config);
    /// Machine RAM that a VM of this size needs, in bytes.
    static u64 machine_bytes(const VmConfig& config);
    Result<LoadedGuest> load(Machine& machine, std::vector<u8> bytes, const std::string& name);

    /// Runs the guest. A unit of budget is one guest instruction, or the handling of one exit. With NextExit it returns when the hart
    /// has trapped and the exit is not handled yet (in_hypervisor() is true); with ExitHandled when an exit has been handled.
    /// Invariant: run(a) then run(b) leaves the same state as run(a + b).
    VmmStop run(Machine& machine, u64 budget, Until until = Until::Budget, const Watch& watch = {});

    /// The exit at the end of the ledger waits to be handled; the hart is in the VMM.
    bool in_hypervisor() const { return pending_; }
    /// What the guest believes: its virtual hart, in step with the real one.
    HartState guest_state(const Machine& machine) const;
    /// The virtual hart, for translation and peeking with the guest's own tables on guest_bus().
    const Hart& guest_hart() const { return vhart_; }
    Bus guest_bus(Machine& machine);
    HostPhys to_host(GuestPhys address) const { return HostPhys(kRamBase + ram_offset_ + (address.value - kRamBase)); }

    Mode mode() const { return config_.mode; }
    const VmConfig& config() const { return config_; }
    /// The newest exits (at most kLedgerSize), and counts of all.
    static constexpr std::size_t kLedgerSize = 4096;
    const std::deque<ExitDossier>& ledger() const { return ledger_; }
    u64 exits() const { return exits_; }
    u64 exits(ExitReason reason) const { return exit_counts_[static_cast<std::size_t>(reason)]; }
    u64 interpreted() const { return interpreted_; }   ///< instructions that the VMM executed itself
    u64 guest_instructions(const Machine& machine) const; ///< retired by the guest, directly or emulated
    u64 table_entries_read() const { return table_entries_read_; }
    u64 shadow_fills() const { return shadow_fills_; }
    u64 shadow_flushes() const { return shadow_flushes_; }
    u64 vmm_bytes() const;                             ///< machine memory that the VMM uses for this VM (shadow tables)
    const Board& board() const { return board_; }
    Board& board() { return board_; }

  private:
    // Its owner completes this: virtual hart, virtual board and firmware, shadow tables, pending exit.
    explicit Vmm(const VmConfig& config);
    VmConfig config_;
    Hart vhart_;
    Board board_;
    Firmware firmware_;
    u64 ram_offset_ = 0;
    bool pending_ = false;
    std::deque<ExitDossier> ledger_;
    std::array<u64, static_cast<std::size_t>(ExitReason::Count)> exit_counts_{};
    u64 exits_ = 0, interpreted_ = 0, table_entries_read_ = 0, shadow_fills_ = 0, shadow_flushes_ = 0;
};

} // namespace trapeze::vmm
