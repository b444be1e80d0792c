// The VMM: host code in seat S of the machine that runs one guest machine in a chosen mode. It presents to the guest what the
// hart presents to it: a hart, a board at QEMU virt's addresses, firmware. A value: copies together with its Machine.
//
// Time: where the guest runs on the hart its time is the machine's, so it sees what its exits cost. Under interpret it is the virtual
// hart's own (a cycle an instruction, idle time skipped), so that the guest runs exactly as bare; the machine's cycles say the cost.
//
// Usage:
//   auto vmm = Vmm::create(machine, {.mode = Mode::TrapAndEmulate});
//   auto guest = vmm->load(machine, bytes, "tiny-os.elf");
//   VmmStop stop = vmm->run(machine, 1'000'000);
#pragma once

#include "emulator/base/result.hpp"
#include "emulator/loader.hpp"
#include "emulator/machine.hpp"
#include "hypervisor-sim/direct_paging.hpp"
#include "hypervisor-sim/dossier.hpp"
#include "hypervisor-sim/nested_paging.hpp"
#include "hypervisor-sim/paravirt.hpp"
#include "hypervisor-sim/shadow_paging.hpp"
#include "hypervisor-sim/table_tracker.hpp"
#include "hypervisor-sim/translation_cache.hpp"

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
    const char* kernel_privilege;
    const char* sentence;
};
const ModeRow& mode_row(Mode mode);
/// The mode with this name; the error lists the names that exist.
Result<Mode> mode_by_name(const std::string& name);

/// What one operation of the VMM costs, in cycles. Data: scenarios ship several (TOML files with a source for each number).
struct CostModel {
    std::string name = "flat";
    u64 trap = 200;             ///< hardware trap into the VMM and register save
    u64 decode = 50;            ///< fetch and decode the guest's instruction
    u64 emulate = 100;          ///< execute it on the virtual hart
    u64 shadow_fill = 150;      ///< install one shadow entry
    u64 walk_entry = 20;        ///< read one entry of a guest table
    u64 shadow_flush = 300;     ///< drop a shadow root
    u64 gstage_fill = 150;      ///< install one entry of the G-stage
    u64 device = 400;           ///< one virtual device access
    u64 inject = 100;           ///< deliver a trap or interrupt into the guest
    u64 resume = 200;           ///< register restore and sret
    u64 interpret = 30;         ///< one instruction interpreted
    u64 hypercall = 50;         ///< find out which one, and look at its arguments
    u64 check_entry = 10;       ///< check one entry of a guest's table, with direct paging
    u64 vm_exit = 200;          ///< in place of `trap` where the hart itself virtualizes (hardware-assisted)
    u64 vm_entry = 200;         ///< in place of `resume` there
    u64 call_out = 60;          ///< translated code calls the VMM, and register save: no fault to be understood
    u64 translate = 40;         ///< translate one instruction
    u64 chain = 30;             ///< find a block; link one; drop one
};

/// Where a VM is among others on one machine.
struct VmPlace {
    u64 offset = 0;           ///< of its part of the machine's RAM, in bytes: the VMM's tables for it, then its own memory
    u32 id = 1;               ///< its VMID, and Event::tag of its events; 1 to VmPlace::kMostIds
    bool shares_hart = false; ///< idle time is not skipped by this VM, because another one may use it
    static constexpr u32 kMostIds = 1000;
};

/// Ways in which one technique can be done.
struct VmSwitches {
    ShadowPolicy shadow_policy = ShadowPolicy::VirtualTlb; ///< where the guest runs in U-mode
    bool clustering = false;      ///< trap-and-emulate: trapping instructions that follow one another are emulated in one exit
    unsigned gstage_level = 1;    ///< hardware-assisted: largest page of the G-stage; 0, 1, 2 for 4 KiB, 2 MiB, 1 GiB
    bool trapped_timer = false;   ///< hardware-assisted: each write of the guest's timer exits, instead of going to vstimecmp
    bool operator==(const VmSwitches&) const = default;
};

struct VmConfig {
    Mode mode = Mode::TrapAndEmulate;
    u64 ram_bytes = u64{128} << 20; ///< of the guest; must fit in the machine beside the VMM's own tables
    std::string bootargs;
    BoardConfig board;              ///< of the guest
    bool firmware = true;           ///< the VMM offers SBI; false: the guest starts in (virtual) M-mode
    CostModel costs;
    HartFeatures features = {};     ///< of the virtual hart, as far as the mode can offer them (Vmm::features)
    VmSwitches switches;
    VmPlace place;
    bool dossiers = true;           ///< each exit's steps and the state that it changed are recorded; exits, costs and counts are the same without
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
    /// What the operations cost in this mode: with hardware assistance a trap is a VM exit, and resuming a VM entry.
    static CostModel costs(const VmConfig& config);
    /// What the virtual hart has: on a real hart no hypervisor extension; under shadow paging no tables deeper than the shadow's, Sv39.
    static HartFeatures features(const VmConfig& config);
    /// Machine RAM that a VM of this size needs, in bytes.
    static u64 machine_bytes(const VmConfig& config);
    /// Alignment of a VM's part of the RAM, in bytes.
    static u64 machine_alignment(const VmConfig& config);
    /// Puts the files into the guest's memory and makes its hart ready, as load_guest_files does for a machine.
    Result<LoadedGuest> load(Machine& machine, GuestFiles files);
    Result<LoadedGuest> load(Machine& machine, std::vector<u8> bytes, const std::string& name);
    /// Switches the guest's machine off and on again; its memory and disks stay. To be loaded anew.
    void reset(Machine& machine);

    /// Runs the guest. Watches are the guest's: virtual addresses of its code, CSRs that it writes, traps that it takes. A unit of budget is one guest instruction, or the handling of one exit. With NextExit it returns when the hart
    /// has trapped and the exit is not handled yet (in_hypervisor() is true); with ExitHandled when an exit has been handled.
    /// Invariant: run(a) then run(b) leaves the same state as run(a + b).
    VmmStop run(Machine& machine, u64 budget, Until until = Until::Budget, const Watch& watch = {});

    /// Takes the guest off the hart, so that another VM can use it.
    void leave(Machine& machine);
    /// The guest has something to do now: it is not off, and does not wait for an interrupt that is yet to come.
    bool ready(Machine& machine);
    /// Tells the guest, if it has asked, how many cycles it had work but not the hart, in all, and whether that is so from now on.
    void tell_stolen(Machine& machine, u64 cycles, bool preempted);
    /// Cycles until a timer that the guest has enabled; ~0: none.
    u64 time_to_wakeup(const Machine& machine) const;

    /// The exit at the end of the ledger waits to be handled; the hart is in the VMM.
    bool in_hypervisor() const { return pending_; }
    /// What the guest believes: its virtual hart, in step with the real one.
    HartState guest_state(const Machine& machine) const;
    /// Puts the guest into this state, as a debugger that edits registers or a test does; an exit that waits is forgotten.
    void set_guest_state(Machine& machine, const HartState& state);
    /// The virtual hart, for translation and peeking with the guest's own tables on guest_bus().
    const Hart& guest_hart() const { return vhart_; }
    Bus guest_bus(Machine& machine);
    /// What translates the guest's addresses: guest_state and guest_bus, or with direct paging the hart's own mode and the guest's memory at
    /// its machine addresses, because the guest's tables hold those.
    HartState walk_state(const Machine& machine) const;
    Bus walk_bus(Machine& machine);
    HostPhys to_host(GuestPhys address) const { return HostPhys(kRamBase + ram_offset_ + (address.value - kRamBase)); }

    Mode mode() const { return config_.mode; }
    const VmConfig& config() const { return config_; }
    /// The newest exits (at most kLedgerSize; without dossiers the newest one, without its steps), and counts of all.
    static constexpr std::size_t kLedgerSize = 4096;
    const std::deque<ExitDossier>& ledger() const { return ledger_; }
    u64 exits() const { return exits_; }
    u64 exits(ExitReason reason) const { return exit_counts_[static_cast<std::size_t>(reason)]; }
    u64 interpreted() const { return interpreted_; }   ///< instructions that the VMM executed itself, on the virtual hart
    u64 guest_instructions(const Machine& machine) const; ///< retired by the guest, directly or emulated
    u64 table_entries_read() const { return table_entries_read_; }
    u64 shadow_fills() const { return shadow_fills_; }
    u64 shadow_flushes() const { return shadow_flushes_; }
    u64 clustered() const { return clustered_; } ///< trapping instructions that were emulated in another one's exit
    const TableTracker& tracker() const { return tracker_; }
    const ShadowTables& shadow() const { return shadow_; }
    const GStageTables& gstage() const { return gstage_; }
    /// Mode translate: blocks, links, and what is counted about them.
    const TranslationCache& translations() const { return cache_; }
    /// Machine memory that the VMM uses for this VM: shadow tables or G-stage, translated code, what direct paging knows of each page.
    u64 vmm_bytes() const { return (shadow_.pages_used() + gstage_.pages_used()) * kPageSize + cache_.bytes_used() + (paravirt_.started ? direct_.bytes() : 0); }
    /// The guest's side of the mode paravirtual; `started` says whether the guest knows its hypervisor.
    const Paravirt& paravirt() const { return paravirt_; }
    const DirectPaging& direct() const { return direct_; }
    u64 hypercalls(Hypercall call) const { return paravirt_.calls[static_cast<std::size_t>(call)]; }
    /// Drops what the harts remember besides their state, so that a restored copy and the original go on alike.
    void flush_caches(Machine& machine);
    /// Saves or loads everything but the configuration and the machine; loading fails when the configuration is another.
    void state(StateArchive& archive);
    const Board& board() const { return board_; }
    Board& board() { return board_; }

  private:
    explicit Vmm(const VmConfig& config);
    void set_up_host(Machine& machine);

    // vmm.cpp: what the techniques share
    VmmStop interpret(Machine& machine, u64 budget, const Watch& watch);
    bool runnable() const { return !firmware_.enabled || firmware_.status[0] == Firmware::HartStatus::Started; }
    u8 trace_tag() const { return static_cast<u8>((config_.place.id - 1) % 31 + 1); }

    bool hardware_assisted() const { return config_.mode == Mode::HardwareAssisted; }

    // trap_and_emulate.cpp
    VmmStop run_on_hart(Machine& machine, u64 budget, Until until, const Watch& watch);
    void begin_exit(Machine& machine, const Trap& trap);
    void handle_exit(Machine& machine);
    ExitReason classify(const Trap& trap, u32 word, Bus& bus) const;
    ExitReason classify_page_fault(const Trap& trap, Bus& bus) const;
    ExitReason classify_instruction(u32 word) const;
    bool memory_rules_changed(const std::array<u64, kCsrCount>& before) const;
    void emulate(Machine& machine, ExitDossier& dossier);
    void fill_shadow(Machine& machine, ExitDossier& dossier);
    u64 shadow_permissions(u64 va, Bus& bus) const;
    Hart::StepResult execute(Machine& machine, ExitDossier& dossier);
    void emulate_cluster(Machine& machine, ExitDossier& dossier);
    unsigned distance_to_trap(Bus& bus) const;
    void follow_table_store(Machine& machine, ExitDossier& dossier, const PageWalk& walk);
    bool synced() const { return config_.switches.shadow_policy == ShadowPolicy::WriteProtect; }
    void follow_fence(Machine& machine, ExitDossier& dossier, const Instruction& instruction);
    void flush_shadow(Machine& machine, ExitDossier& dossier, unsigned roots, const char* why);
    void note_delivery(Machine& machine, ExitDossier& dossier, const Trap& trap);
    void note_changes(ExitDossier& dossier, const std::array<u64, kCsrCount>& before) const;
    bool mprv_in_force() const;
    ShadowKey view() const;

    // hardware_assist.cpp
    void set_up_hypervisor_extension(Machine& machine);
    ExitReason classify_virtualized(const Trap& trap, u32 word, Bus& bus) const;
    ExitReason classify_guest_page_fault(const Trap& trap, Bus& bus) const;
    void fill_gstage(Machine& machine, ExitDossier& dossier);
    u64 gstage_permissions(u64 guest, unsigned level, Bus& bus) const;
    void load_guest_csrs(Machine& machine);
    void copy_guest_csrs(HartState& to, const HartState& real) const;
    u64 virtual_interrupts(Machine& machine);
    bool machine_interrupt_pending(Bus& bus);
    /// The guest is in M-mode, which no hart can virtualize: the VMM interprets it.
    bool interprets_machine_mode() const { return hardware_assisted() && !firmware_.enabled && vhart_.state.priv == Priv::M; }
    VmmStop interpret_machine_mode(Machine& machine, u64 budget, const Watch& watch, bool resumed);
    // translate.cpp
    bool translating() const { return config_.mode == Mode::Translate && vhart_.state.priv != Priv::U; }
    void choose_space(Machine& machine, ExitDossier* dossier);
    u32 block_at_pc(Machine& machine, ExitDossier* dossier);
    u64 enter_cache(Machine& machine, ExitDossier* dossier);
    void load_csr_page(Machine& machine);
    u64 float_status() const;
    void recover(HartState& to, const Ram& ram, u64 entered_at, u64 status) const;
    ExitReason leave_cache(const Trap& trap);
    bool interrupt_waits(Machine& machine);
    void follow_exit(Machine& machine, ExitDossier& dossier);
    void follow_translated(Machine& machine, ExitDossier& dossier, const Hart::StepResult& result, const std::array<u64, 33>& before);
    void note_dropped(Machine& machine, ExitDossier& dossier, unsigned blocks);
    unsigned verify_code(Machine& machine);
    void drop_all_code(Machine& machine, ExitDossier& dossier);
    void adapt(Machine& machine, ExitDossier& dossier, ExitReason reason);
    ExitReason look_at_access(Machine& machine, ExitDossier& dossier);
    Stop run_hart(Machine& machine, u64 budget, const Watch& watch);
    void charge(Machine& machine, ExitDossier* dossier, StepKind kind, u64 cycles, u64 a = 0, u64 b = 0);
    void note_code(Machine& machine, EventKind kind, u64 pc, u64 count);
    // paravirt.cpp
    u64 shared(const Machine& machine, Shared field) const;
    void set_shared(Machine& machine, Shared field, u64 value) const;
    u32 word_in_direct_tables(Machine& machine, u64 pc) const;
    bool calls_hypervisor(const Trap& trap) const;
    ExitReason classify_paravirtual(const Trap& trap) const;
    void handle_paravirtual(Machine& machine, ExitDossier& dossier);
    void serve_firmware_call(Machine& machine, ExitDossier& dossier);
    void enter_handler(Machine& machine, ExitDossier& dossier, const Trap& trap);
    void collect_events(Machine& machine);
    bool event_deliverable(const Machine& machine) const;
    void deliver_events(Machine& machine, ExitDossier& dossier);
    void serve_hypercall(Machine& machine, ExitDossier& dossier);
    HypercallAnswer answer_hypercall(Machine& machine, ExitDossier& dossier, u64 number);
    HypercallAnswer refused_table(ExitDossier& dossier, Refusal refusal, u64 done) const;
    HypercallAnswer start_paravirtual(Machine& machine, ExitDossier& dossier, u64 page, u64 handler, u64 root);
    HypercallAnswer update_tables(Machine& machine, ExitDossier& dossier, u64 address, u64 count);
    Refusal update_table(Ram& ram, u64 target, u64 value);
    HypercallAnswer switch_tables(Machine& machine, ExitDossier& dossier, u64 kernel, u64 user);
    void poll_console(u64 ticks);
    void return_from_handler(Machine& machine, ExitDossier& dossier);
    HypercallAnswer write_console(Machine& machine, ExitDossier& dossier, u64 address, u64 count);
    HypercallAnswer access_device(Machine& machine, ExitDossier& dossier, u64 address, u64 bytes, const u64* value);

    // world_switch.cpp: between the virtual hart and the real one
    u64 load_deprivileged(Machine& machine, ExitDossier* dossier);
    bool enter(Machine& machine);
    bool wake(Machine& machine, ExitDossier* dossier);
    void inject_pending(Machine& machine, ExitDossier* dossier);
    void note_resumption(ExitDossier& dossier) const;
    void load_real_hart(Machine& machine, ExitDossier* dossier);
    void save_real_hart(Machine& machine, u64 pc);
    void kick(Machine& machine);
    u64 next_timer() const;
    void copy_from_real(HartState& to, const HartState& real) const;

    VmConfig config_;
    Hart vhart_;
    Board board_;
    Firmware firmware_;
    ShadowTables shadow_;    ///< where the guest runs in U-mode
    TableTracker tracker_;   ///< under ShadowPolicy::WriteProtect
    GStageTables gstage_;    ///< where it runs in VS-mode
    DirectPaging direct_;    ///< where it is paravirtual
    Paravirt paravirt_;
    TranslationCache cache_; ///< where its kernel is translated
    u64 ram_offset_ = 0;
    bool pending_ = false;   ///< an exit waits to be handled
    bool entered_ = false;   ///< the guest's registers are on the real hart
    u64 entry_retired_ = 0;  ///< the real hart's retired instructions at the last entry
    std::deque<ExitDossier> ledger_;
    std::array<u64, static_cast<std::size_t>(ExitReason::Count)> exit_counts_{};
    u64 exits_ = 0, interpreted_ = 0, table_entries_read_ = 0, shadow_fills_ = 0, shadow_flushes_ = 0, clustered_ = 0;
};

} // namespace trapeze::vmm
