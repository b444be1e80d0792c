#include "hypervisor-sim/scheduler.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace trapeze::vmm {

namespace {

u64 aligned(u64 offset, const VmConfig& config) {
    const u64 alignment = Vmm::machine_alignment(config);
    return (offset + alignment - 1) & ~(alignment - 1);
}

} // namespace

u64 VmScheduler::machine_bytes(std::span<const VmConfig> configs) {
    u64 end = 0;
    for (const VmConfig& config : configs) end = aligned(end, config) + Vmm::machine_bytes(config);
    return end;
}

Result<VmScheduler> VmScheduler::create(Machine& machine, std::vector<VmConfig> configs, std::span<const u64> weights) {
    if (configs.empty() || configs.size() > VmPlace::kMostIds)
        return Error{fmt::format("{} VMs cannot run together; give 1 to {}", configs.size(), VmPlace::kMostIds)};
    VmScheduler scheduler;
    u64 end = 0;
    for (std::size_t i = 0; i < configs.size(); ++i) {
        VmConfig& config = configs[i];
        const u64 weight = i < weights.size() ? weights[i] : VmShare{}.weight;
        if (weight == 0 || weight > kMostWeight) return Error{fmt::format("VM {} has the weight {}; give 1 to {}", i + 1, weight, kMostWeight)};
        config.place = {aligned(end, config), static_cast<u32>(i + 1), true};
        end = config.place.offset + Vmm::machine_bytes(config);
        auto vm = Vmm::create(machine, config);
        if (!vm) return Error{fmt::format("VM {}: {}", i + 1, vm.error())};
        scheduler.vms_.push_back(std::move(*vm));
        scheduler.shares_.push_back({.weight = weight});
    }
    return scheduler;
}

/// Gives the hart to the VM with the least progress among those that have work. False: there is none.
bool VmScheduler::choose(Machine& machine) {
    std::size_t best = count();
    bool best_slept = false;
    u64 least_of_others = ~u64{0};
    for (std::size_t i = 0; i < count(); ++i) {
        const bool slept = i != current_ && !shares_[i].kept_waiting;
        shares_[i].kept_waiting = vms_[i].ready(machine);
        if (shares_[i].kept_waiting && (best == count() || shares_[i].progress() < shares_[best].progress())) best = i, best_slept = slept;
    }
    if (best == count()) return false;
    shares_[best].kept_waiting = false;
    for (const VmShare& share : shares_)
        if (share.kept_waiting) least_of_others = std::min(least_of_others, share.progress());
    // One that has slept does not get back all that it did not use.
    constexpr u64 kCredit = kSlice * VmShare::kScale / VmShare{}.weight;
    if (best_slept && least_of_others != ~u64{0}) {
        const u64 least = least_of_others - std::min(least_of_others, kCredit), own = shares_[best].progress();
        shares_[best].lead += least - std::min(least, own);
    }
    if (best != current_) {
        vms_[current_].leave(machine);
        vms_[current_].tell_stolen(machine, shares_[current_].stolen, shares_[current_].kept_waiting);
    }
    current_ = best;
    vms_[best].tell_stolen(machine, shares_[best].stolen, false);
    slice_left_ = kSlice;
    ++shares_[best].slices;
    return true;
}

void VmScheduler::account(u64 cycles) {
    VmShare& own = shares_[current_];
    own.used += cycles;
    for (VmShare& share : shares_)
        if (share.kept_waiting) share.stolen += cycles;
}

VmmStop VmScheduler::run(Machine& machine, u64 budget) {
    VmmStop result;
    const auto end = [&](VmmStopKind kind) { return result.kind = kind, result; };
    while (result.executed < budget) {
        if ((slice_left_ == 0 || !vms_[current_].ready(machine)) && !choose(machine)) {
            slice_left_ = 0;
            if (std::all_of(vms_.begin(), vms_.end(), [](const Vmm& vm) { return vm.board().halt.has_value(); })) return end(VmmStopKind::Halted);
            u64 wait = ~u64{0};
            for (const Vmm& vm : vms_)
                if (!vm.board().halt) wait = std::min(wait, vm.time_to_wakeup(machine));
            if (wait == ~u64{0}) return end(VmmStopKind::Idle);
            machine.charge(std::max<u64>(wait, 1));
            idle_ += std::max<u64>(wait, 1);
            continue;
        }
        const u64 before = machine.cycles();
        const VmmStop stop = vms_[current_].run(machine, std::min(budget - result.executed, slice_left_));
        result.executed += stop.executed;
        slice_left_ -= std::min(slice_left_, stop.executed);
        account(machine.cycles() - before);
        if (stop.kind != VmmStopKind::Budget) slice_left_ = 0;
    }
    return end(VmmStopKind::Budget);
}

} // namespace trapeze::vmm
