// The built-in SBI firmware: host code in the M seat (RISC-V SBI specification 2.0: Base, TIME, IPI, RFENCE, HSM, SRST, DBCN, PMU for the
// cycle and instruction counters, the legacy calls, and STA where a VMM offers it). It works on the same registers and memory as firmware in the machine would, and ends with mret.
#pragma once

#include "emulator/cpu/trap.hpp"
#include "emulator/mem/bus.hpp"

#include <array>
#include <span>

namespace trapeze {

class Hart;

class Firmware {
  public:
    bool enabled = false;
    u64 hypervisor_extension = 0; ///< extension id that a VMM serves itself, so that a guest's probe finds it; 0: none
    /// Extension id (a7) of remote fences: after such a call a VMM's shadow tables are as stale as a TLB.
    static constexpr u64 kRemoteFence = 0x52464e43;
    /// Extension id of the debug console, and its function that writes what was typed into the guest's memory.
    static constexpr u64 kDebugConsole = 0x4442434e, kDebugConsoleRead = 1;

    /// Steal-time accounting (STA, chapter 16), which a VMM offers a guest that may have to wait for the hart.
    bool offers_steal_time = false;
    static constexpr u64 kNoRecord = ~u64{0};
    u64 steal_record = kNoRecord; ///< guest physical address of hart 0's record in shared memory; kNoRecord: the guest has named none
    /// Brings the record up to date: how long the guest had work but not the hart, in all, and whether that is so now. Nothing is written to
    /// memory that the guest could not write itself.
    void tell_stolen(u64 nanoseconds, bool preempted, Bus& bus);

    /// Puts the harts where a kernel expects them: hart 0 at `entry` in S-mode with a0 = hart id, a1 = device tree; others stopped.
    void start(std::span<Hart> harts, u64 entry, u64 device_tree, Bus& bus);
    /// Puts one hart at `entry` in S-mode, with a0 = its id and a1 = `opaque` (HSM hart_start, section 9.1).
    void launch(Hart& hart, u64 entry, u64 opaque, Bus& bus);
    /// Serves a trap that was delivered into M-mode, and returns from it. What a kernel cannot handle (an exception that is not
    /// delegated) switches the machine off with a sentence on the console.
    void serve(const Trap& trap, std::span<Hart> harts, u32 hart, Bus& bus);

    /// State of a hart in the HSM extension.
    enum class HartStatus : u8 { Started = 0, Stopped = 1, StartPending = 2, Suspended = 4 };
    std::array<HartStatus, 8> status{};
    std::array<u64, 8> suspended_at{}; ///< instructions retired at each hart's last hart_suspend: it is suspended while it waits there
    bool operator==(const Firmware&) const = default;
};

} // namespace trapeze
