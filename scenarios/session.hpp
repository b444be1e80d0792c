// A session: one running experiment. Machine, whoever sits in its seat, trace, input log, checkpoints. The debugger draws it, the
// command line drives it, lessons script it. Everything is deterministic: the same config and input give byte-equal traces.
//
// Usage:
//   auto session = Session::create({.guest = "tiny-os", .mode = Mode::TrapAndEmulate});
//   session->run(1'000'000);
//   session->step_back();
#pragma once

#include "container-sim/spec.hpp"
#include "emulator/base/boxed.hpp"
#include "emulator/base/result.hpp"
#include "emulator/machine.hpp"
#include "hypervisor-sim/vmm.hpp"
#include "scenarios/disk_file.hpp"
#include "scenarios/files.hpp"

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace trapeze::container {
class Engine;
class Kernel;
struct RunConfig;
}

namespace trapeze::scenarios {

using vmm::Mode;

struct SessionConfig {
    std::string guest;              ///< a file, or the name of a shipped guest such as "tiny-os"
    Mode mode = Mode::Bare;
    u64 memory_bytes = u64{128} << 20; ///< of the guest
    std::string append;             ///< kernel command line
    std::string initrd;             ///< file of the initial RAM disk; empty: none
    std::string device_tree;        ///< file of a flattened device tree to give to the guest; empty: the board's own
    std::string firmware_file;      ///< M-mode firmware to run below the guest, which may then be empty; empty: none
    bool firmware = true;           ///< built-in SBI firmware; false: --bios none or a file
    bool trap_misaligned = false;   ///< misaligned loads and stores trap; only bare
    vmm::VmSwitches switches;       ///< how the mode is done
    u8 silent = 0;                  ///< sensitive operations on which the hart does not trap in U-mode: bits of silent_bit
    DeviceSpec devices;             ///< disks and other virtio devices
    bool write_disks = false;       ///< write_back brings changes of disks to their files; else they stay with the session. Needs checkpoint_every = 0
    unsigned harts = 1;
    u32 record = kAllClasses;       ///< event classes kept on the trace
    bool dossiers = true;           ///< of each exit the steps and what they changed are recorded (VmConfig::dossiers)
    vmm::CostModel costs;
    std::vector<container::ContainerSpec> containers; ///< when not empty the container kernel sits in the seat; guest and mode are not used
    std::vector<std::shared_ptr<const container::RunConfig>> runs; ///< of the containers, by their order: what the engine is to make of them; null or missing: the kernel starts it by itself
    container::WhenIdle when_idle = container::WhenIdle::PassTime;
    static constexpr u64 kByMode = ~u64{0};
    u64 checkpoint_every = kByMode; ///< units of progress between checkpoints; 0: none, and no going back; kByMode: as many as run in a fraction of a frame
    /// Contents of the files named above, by those names: used in place of reading them. Null: they are read.
    std::shared_ptr<const std::map<std::string, std::vector<u8>>> files;
};

inline constexpr const char* kNoGuest = "no guest is given; name a RISC-V ELF file, a Linux image or a shipped guest such as tiny-os";

/// Why Session::run returned.
enum class RunEnd : u8 { Budget, Idle, Halted, Breakpoint, Trap, Exit };

/// Who is running, for the swim lanes.
enum class Lane : u8 { GuestUser, GuestKernel, Hypervisor, Hardware };

/// A stretch of time in one lane; `time` is in cycles of the machine.
struct LaneChange {
    u64 time = 0;
    Lane lane = Lane::GuestKernel;
    u64 pc = 0;
};

struct Breakpoint {
    enum class Kind : u8 { Address, CsrWrite, Cause, Exit, Memory };
    Kind kind = Kind::Address;
    u64 value = 0;       ///< address, CSR number, cause, ExitReason, or the first address of watched memory
    std::string label;
    bool enabled = true;
    u64 hits = 0;
    u64 bytes = 1;       ///< of watched memory
    bool on_loads = false, on_stores = true; ///< for watched memory
    std::string condition{}; ///< for the debugger, which asks it: an expression in Lua; empty: always
};

class BackSearch;

class Session {
  public:
    static Result<Session> create(const SessionConfig& config);

    /// Progress since the start: instructions run or trapped, plus exits and system calls handled. Steps count in this unit.
    u64 position() const { return now_.position; }
    RunEnd run(u64 budget) { return run_until(Target::Units, budget); } ///< until budget, breakpoint, idle, halt
    RunEnd step() { return run(1); }              ///< F11: one unit
    RunEnd step_over();                      ///< F10: to the next instruction of this function, calls and traps included
    RunEnd step_out();                       ///< Shift+F11: until the function that runs now has returned
    RunEnd run_to(u64 pc, u64 budget = kSearchBudget); ///< until the guest is about to execute pc again, or for the first time
    RunEnd run_to_trap(u64 budget = kSearchBudget) { return run_until(Target::Trap, budget); } ///< F7: until the next trap (or exit) was taken
    RunEnd run_to_return(u64 budget = kSearchBudget);                 ///< Shift+F7: until that trap's return
    Result<void> step_back() { return go_to(position() == 0 ? 0 : position() - 1); } ///< Shift+F10
    /// Goes to any earlier or later position by restoring a checkpoint and running forward; input typed before it is replayed.
    Result<void> go_to(u64 position);
    /// The same in parts, for who must not wait: go_before restores a checkpoint before `position`, when that is earlier than here; each
    /// approach runs at most `units` towards it, and says whether it is reached.
    Result<void> go_before(u64 position);
    Result<bool> approach(u64 position, u64 units);
    void reset() { (void)go_to(0); }
    /// What a reboot does: devices and harts are reset, the files are loaded anew, disks keep what was written to them. Time goes on. For
    /// sessions without checkpoints.
    Result<void> reboot();
    /// The guest asked for a reboot when it halted.
    bool wants_reboot() const;
    static constexpr u64 kSearchBudget = 200'000'000;

    /// Keys typed at the guest's console; logged with the position.
    void type(const std::string& text);
    /// Everything printed so far (the last megabyte).
    const std::string& console() const { return now_.console; }

    // What the panels draw. "real" is the machine's hart; "guest" what the guest believes (the same when bare).
    const SessionConfig& config() const { return config_; }
    Machine& machine() { return now_.machine; }
    const Machine& machine() const { return now_.machine; }
    const vmm::Vmm* vmm() const { return now_.vmm ? &*now_.vmm : nullptr; }
    const container::Kernel* kernel() const { return now_.kernel ? &*now_.kernel : nullptr; }
    const container::Engine* engine() const { return now_.engine ? &*now_.engine : nullptr; }
    /// As a shell tells it: how a container's first program has ended; nullopt while it runs.
    std::optional<int> container_status(u32 container) const;
    const LoadedGuest& guest() const { return guest_; }
    HartState real_state() const;
    HartState guest_state() const;
    Lane lane() const;
    /// A CSR of one of the states above, as software would read it.
    u64 csr(const HartState& state, Csr csr) const;
    const std::vector<LaneChange>& lanes() const { return now_.lanes; } ///< the newest 10,000
    const Trace& trace() const { return now_.machine.trace; }
    bool halted() const { return now_.halted; }
    u32 exit_code() const { return now_.exit_code; } ///< the guest's own, once halted
    /// Reads what the guest sees at a virtual address. Returns the number of bytes that are mapped.
    std::size_t peek(u64 va, std::span<u8> out) const;
    /// One line of code as the guest sees it.
    struct CodeLine {
        u64 pc = 0;
        u32 word = 0;
        unsigned length = 4;
        std::string text;
        std::string symbol; ///< "name" at a symbol's first instruction, else empty
        Priv believed = Priv::S;
        PrivMode real;          ///< where its instructions really run
        bool sensitive = false; ///< would trap (or misbehave) in U-mode: Popek and Goldberg
        bool current = false;
    };
    /// `before` lines before and `after` lines after the current instruction.
    std::vector<CodeLine> code(unsigned before, unsigned after) const;

    std::vector<Breakpoint>& breakpoints() { return breakpoints_; }
    const std::vector<Breakpoint>& breakpoints() const { return breakpoints_; }
    /// Adds a breakpoint; refused with the reason when it cannot fire.
    Result<void> add_breakpoint(const Breakpoint& breakpoint);
    void toggle_breakpoint(u64 address);
    /// The breakpoint that an expression means; the error says how it is written. "main+8" or "pc main+8", "csr satp" (a write of it), "cause 13"
    /// or "cause load page fault", "exit csr access", "write counter", "read 0x80400000", "access counter".
    Result<Breakpoint> parse_breakpoint(const std::string& text) const;
    /// The expression of a breakpoint, as parse_breakpoint reads it.
    std::string breakpoint_text(const Breakpoint& breakpoint) const;
    /// The breakpoint that stops the session where it is; null when none does.
    const Breakpoint* stopped_by() const;

    // For debuggers that know several harts, and change what they see.
    /// The hart whose turn it is, which a stop is about.
    unsigned current_hart() const { return now_.machine.current_hart; }
    PrivMode real_mode() const;
    HartState guest_state(unsigned hart) const { return now_.vmm ? guest_state() : now_.machine.hart(hart).state; }
    /// A hart like the guest's, in its state, for looking at its CSRs and translation on guest_bus().
    Hart guest_view(unsigned hart) const;
    /// What translates the guest's virtual addresses, for looking at its memory: a hart and the bus on which it finds its page tables.
    Hart walk_view(unsigned hart) const;
    Bus walk_bus() { return now_.vmm ? now_.vmm->walk_bus(now_.machine) : now_.machine.bus(); }
    /// The guest's memory and devices.
    Bus guest_bus() { return now_.vmm ? now_.vmm->guest_bus(now_.machine) : now_.machine.bus(); }
    void set_guest_state(unsigned hart, const HartState& state);
    /// To be called after the guest's memory was changed by hand. The log of input does not have that, so going back ends here.
    void note_edit();
    /// The position before which there is no going back.
    std::size_t checkpoints() const { return checkpoints_.size(); }
    u64 earliest() const { return checkpoints_.begin()->first; }
    /// Positions of the checkpoints that are kept now, in order.
    std::vector<u64> checkpoint_positions() const;
    /// A session that goes on from here by itself: what is done to one is not seen in the other. Pages are shared until written.
    Session fork() const { return *this; }
    /// The guest as it is here, going on in another mode from now on: its registers, memory and devices are put into a new machine or VM.
    /// Refused, with the reason, where the guest could tell that it has changed, other than by time.
    Result<Session> in_mode(Mode mode) const;

    /// Resolves "enable_paging_satp", "0x80200000", "main+8". The error names the text and how symbols are listed.
    Result<u64> resolve(const std::string& expression) const;

    /// What one container has printed (the last megabyte). Range: 1 .. number of containers.
    const std::string& console_of(u32 container) const { return now_.outputs.at(container); }
    /// Keys typed at one container's terminal; and the end of its input.
    void type_to(u32 container, const std::string& text);
    void close_input();

    /// Brings what the guest wrote to its disks home to their files, as far as they are to be written; to be called from time to time
    /// and at the end. The error says what could not be written; nothing of it is lost as long as the session lives.
    Result<void> write_back();
    /// For the end, after write_back failed: whole copies of the disks go into new files. What happened, in sentences.
    std::string rescue_disks();
    /// What passed the guest's network so far, as a pcapng file.
    std::vector<u8> capture() const;
    u64 not_captured() const; ///< frames that passed after the capture was full
    /// Saves all of the session to a file: whole, or not at all (what the file held before stays). Container sessions cannot be saved.
    Result<void> save(const std::string& path);
    /// The session that was saved with the same configuration. The error names what is different, or says that the file is damaged.
    static Result<Session> restore(const SessionConfig& config, const std::string& path);
    /// The same from the file's bytes; `name` is for the error's sentence.
    static Result<Session> restore_bytes(const SessionConfig& config, std::span<const u8> file, const std::string& name);
    Result<std::vector<u8>> save_bytes();

    /// A recording: what the session was made of, and its input, so that it can be played again, byte for byte, up to here. With files it holds
    /// the guest's files and the layers of images too, and can be played anywhere; disks, and folders that containers use, are refused then.
    Result<std::vector<u8>> record(bool with_files) const;
    struct Replay;
    /// The session of a recording, at its beginning; `position` is where it was recorded. Trusted: it may name files to be read.
    static Result<Replay> replay(std::span<const u8> recording, const std::string& name, bool trusted);

    /// Bytes of console output ever printed; console() holds the end of it.
    u64 printed() const { return now_.printed; }

  private:
    friend class BackSearch;
    enum class Target : u8 { Units, Trap };
    /// Everything that changes while a session runs, and so everything that going back restores.
    struct Situation {
        explicit Situation(Machine m) : machine(std::move(m)) {}
        Machine machine;
        std::optional<vmm::Vmm> vmm;
        Boxed<container::Kernel> kernel;
        Boxed<container::Engine> engine;  ///< when a container is one of an engine's
        u64 position = 0;
        bool halted = false;
        u32 exit_code = 0;
        u64 printed = 0;
        std::string console;
        std::vector<std::string> outputs; ///< by container
        std::vector<LaneChange> lanes;
        u64 lanes_seen = 0; ///< trace events that `lanes` knows
    };
    struct Input {
        u64 position;
        std::string text{};
        u32 container = 1;
        bool end = false; ///< no more input will come
    };

    explicit Session(Machine machine) : now_(std::move(machine)) {}
    Result<void> load();
    Board& board() { return now_.vmm ? now_.vmm->board() : now_.machine.board; }
    const Board& board() const { return now_.vmm ? now_.vmm->board() : now_.machine.board; }
    template <class Action> void for_disks(Action action);
    RunEnd run_until(Target target, u64 budget);
    static Result<Session> create_containers(const SessionConfig& config);
    Result<void> start_container(const container::ContainerSpec& spec, const container::RunConfig* run);
    RunEnd advance(Target target, u64 units);
    void input(Input input);
    void settle();
    void note_lanes();
    void note_lane(u64 time, Lane lane, u64 pc);
    void pass_checkpoint();
    void take_checkpoint();
    void thin_checkpoints();
    void forget_checkpoints_from(u64 position);
    bool sparse(u64 position) const { return position / config_.checkpoint_every % stride_ == 0; }
    void flush_caches();
    /// Bare and interpreted guests take their traps themselves; otherwise the VMM takes them, as exits.
    bool traps_are_watched() const { return !now_.kernel && (!now_.vmm || config_.mode == Mode::Interpret); }
    std::string state(StateArchive& archive);
    void apply_input();
    Watch watch(Target target) const;
    bool stops_at(const Breakpoint& breakpoint) const;

    SessionConfig config_;
    LoadedGuest guest_;
    u64 disk_bytes_ = 0;
    u32 guest_checksum_ = 0, disk_checksum_ = 0; ///< CRC-32 of the guest's file and of the disk's image, as they were read
    Situation now_;
    std::map<u64, std::shared_ptr<const Situation>> checkpoints_; ///< by position, shared by forks; the first is the start, or where history was cut off
    bool pristine_ = true;               ///< the first checkpoint is the start; not another state that was put there
    u64 stride_ = 1;                     ///< every so many intervals there is a checkpoint that stays; the others are near the last places
    std::vector<Input> inputs_;          ///< in order of position
    std::size_t next_input_ = 0;         ///< of inputs_, the first that is not applied yet
    std::vector<Breakpoint> breakpoints_;
    u64 advanced_from_ = 0;              ///< trace events before the last stretch that was run
    std::vector<std::shared_ptr<DiskFile>> disks_; ///< in the order of the board's
};

struct Session::Replay {
    Session session;
    u64 position;
};

/// Opens the files of the disks that a session asks for; `disks` gets one each. The board that it is to have.
Result<BoardConfig> open_devices(const SessionConfig& config, std::vector<std::shared_ptr<DiskFile>>& disks);

} // namespace trapeze::scenarios
