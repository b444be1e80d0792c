// The machine: harts, RAM, board, firmware seat and trace. A value: it copies cheaply (pages shared until written) and compares.
//
// Usage:
//   auto machine = Machine::create({.ram_bytes = 128 << 20});
//   auto loaded = load_guest(*machine, "kernel.elf", {});
//   Stop stop = machine->run(1'000'000);
#pragma once

#include "emulator/base/result.hpp"
#include "emulator/cpu/hart.hpp"
#include "emulator/devices/board.hpp"
#include "emulator/firmware.hpp"
#include "emulator/mem/ram.hpp"
#include "emulator/trace/trace.hpp"

#include <string>
#include <vector>

namespace trapeze {

struct MachineConfig {
    u64 ram_bytes = u64{128} << 20; ///< 1 MiB .. 8 GiB, a multiple of 4096
    unsigned harts = 1;             ///< 1..8
    std::string bootargs = {};      ///< /chosen/bootargs of the device tree
    BoardConfig board = {};         ///< disks and other virtio devices
    HartFeatures features = {};     ///< of every hart
    bool builtin_firmware = true;   ///< SBI firmware sits in M-mode; false: the program starts in M-mode
};

class Machine {
  public:
    static Result<Machine> create(const MachineConfig& config);

    /// Runs all harts, in turns, for at most `budget` instructions in all. The firmware's seat is served inside; any other stop returns.
    /// Wfi with a scheduled timer skips the time; Wfi without returns StopKind::Wfi (the machine waits for input).
    /// Invariant: run(a) followed by run(b) leaves the same state as run(a + b); Stop::executed says how much was used.
    Stop run(u64 budget, const Watch& watch = {});

    /// One instruction of the current hart (firmware calls served). The stop says what happened.
    Stop step() { return run(1); }

    Bus bus() { return {ram, board, trace, kRamBase, 0, ram.size(), 0}; }
    Hart& hart(unsigned index = 0) { return harts[index]; }
    const Hart& hart(unsigned index = 0) const { return harts[index]; }
    u64 cycles() const { return harts[0].state.cycles; }
    /// Adds `cycles` of modelled time to every hart: what the occupant of a seat costs.
    void charge(u64 cycles);

    const MachineConfig& config() const { return config_; }
    /// Resets harts and devices; RAM stays, and time goes on.
    void reset();
    bool operator==(const Machine& other) const;
    /// Saves or loads everything but the configuration; loading fails when that is another. emulator/snapshot makes files of it.
    void state(StateArchive& archive);

    Ram ram;
    Board board;
    std::vector<Hart> harts;
    Firmware firmware;
    Trace trace;
    u32 current_hart = 0;

  private:
    explicit Machine(const MachineConfig& config);
    bool runnable(const Hart& hart) const;
    void next_turn();
    bool skip_to_wakeup();
    void trace_halt();

    MachineConfig config_;
    u64 turn_used_ = 0; ///< instructions that the current hart has run in its turn
    bool halt_traced_ = false;
};

/// Runs one hart of a bus and serves its calls to the firmware on the way. Any other stop returns.
Stop run_with_firmware(Hart& hart, std::span<Hart> harts, Firmware& firmware, Bus& bus, u64 budget, const Watch& watch = {});
/// Cycle at which a timer that this hart has enabled will wake it; ~0: none.
u64 next_wakeup(const Hart& hart, const Board& board);

} // namespace trapeze
