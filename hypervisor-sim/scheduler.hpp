// Several VMs on one machine. Each has its own part of the machine's RAM, its own devices and its own technique; the scheduler gives the
// hart to one after the other, by weight. A VM that has work but not the hart is being stolen from; the time is counted, and the guest is told
// when it gets the hart, if it has asked (SBI's extension STA).
//
// Fair in cycles: the VM that has had least of the hart for its weight goes next (as stride scheduling; Waldspurger and Weihl 1995). Idle
// time is skipped only when every VM waits. A value: copies together with its Machine.
//
// Known inaccuracy: an interpreted VM has a clock of its own, which does not pass while another one runs.
//
// Usage:
//   auto vms = VmScheduler::create(machine, configs);
//   vms->vm(0).load(machine, bytes, "tiny-os");
//   VmmStop stop = vms->run(machine, 1'000'000);
#pragma once

#include "hypervisor-sim/vmm.hpp"

#include <span>

namespace trapeze::vmm {

/// What a VM has had of the hart, in cycles of the machine.
struct VmShare {
    u64 weight = 100;  ///< relative to the others
    u64 used = 0;      ///< it ran, or the VMM worked for it
    u64 stolen = 0;    ///< it had work, and another one had the hart
    u64 slices = 0;    ///< times that it got the hart
    u64 lead = 0;      ///< added to its progress, because it slept
    bool kept_waiting = false; ///< it had work when another one was chosen
    /// What it has used, by weight: the VM with the least goes next.
    u64 progress() const { return lead + used * kScale / weight; }
    static constexpr u64 kScale = 1 << 10;
    bool operator==(const VmShare&) const = default;
};

class VmScheduler {
  public:
    static constexpr u64 kSlice = 20'000;   ///< units of budget that a VM runs before another one is looked at
    static constexpr u64 kMostWeight = 10'000;

    /// Occupies seat S of the machine and sets up the VMs, one after the other in its RAM; `place` of each is filled in.
    static Result<VmScheduler> create(Machine& machine, std::vector<VmConfig> configs, std::span<const u64> weights = {});
    /// Machine RAM that these VMs need together, in bytes.
    static u64 machine_bytes(std::span<const VmConfig> configs);

    std::size_t count() const { return vms_.size(); }
    Vmm& vm(std::size_t index) { return vms_[index]; }
    const Vmm& vm(std::size_t index) const { return vms_[index]; }
    const VmShare& share(std::size_t index) const { return shares_[index]; }
    std::size_t current() const { return current_; }

    /// Runs for at most `budget` units. Idle: all wait for something that no timer brings. Halted: all are off.
    /// Invariant: run(a) then run(b) leaves the same state as run(a + b).
    VmmStop run(Machine& machine, u64 budget);
    /// Cycles during which no VM had anything to do.
    u64 idle() const { return idle_; }

  private:
    VmScheduler() = default;
    bool choose(Machine& machine);
    void account(u64 cycles);

    std::vector<Vmm> vms_;
    std::vector<VmShare> shares_;
    std::size_t current_ = 0;
    u64 slice_left_ = 0; ///< units; 0: another VM is to be chosen
    u64 idle_ = 0;
};

} // namespace trapeze::vmm
