// The VMM: set-up, the mode table, and the mode interpret. trap_and_emulate.cpp and world_switch.cpp hold the rest.
#include "hypervisor-sim/vmm.hpp"

#include "emulator/firmware_rom.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace trapeze::vmm {

namespace {

constexpr ModeRow kModes[] = {
#define MODE(id, name, kernel_privilege, sentence) {name, kernel_privilege, sentence},
#include "hypervisor-sim/modes.def"
};

std::string mode_names() {
    std::string names;
    for (const ModeRow& mode : kModes) names += (names.empty() ? "" : ", ") + std::string(mode.name);
    return names;
}

constexpr u64 kSmallestGuest = u64{4} << 20;
constexpr u64 kAlignment = u64{2} << 20, kGigabyte = u64{1} << 30; // so that a page of the G-stage can be as large
constexpr u64 kSupervisorIrqs = irq_bit(Irq::Ssi) | irq_bit(Irq::Sti) | irq_bit(Irq::Sei);
constexpr u64 kPmpAllNapot = 0x1f; // A = NAPOT, X, W, R

/// Machine RAM before the guest's: the VMM's own pages. First those of shadow tables or G-stage, then the translation cache's.
u64 shadow_bytes(const VmConfig& config) {
    const u64 wanted = std::max(u64{4} << 20, config.ram_bytes / 64), alignment = Vmm::machine_alignment(config);
    return (wanted + alignment - 1) & ~(alignment - 1);
}
u64 own_bytes(const VmConfig& config) {
    const u64 cache = config.mode == Mode::Translate ? TranslationCache::kPages * kPageSize : 0;
    return shadow_bytes(config) + ((cache + kAlignment - 1) & ~(kAlignment - 1));
}

/// The last of them, which direct paging needs.
u64 info_pages(const VmConfig& config) { return config.mode == Mode::Paravirtual ? DirectPaging::info_pages(config.ram_bytes / kPageSize) : 0; }

Result<void> check(const Machine& machine, const VmConfig& config) {
    if (config.mode == Mode::Bare) return Error{"mode bare has no hypervisor; run the guest on the machine itself"};
    if (machine.config().builtin_firmware)
        return Error{"the machine has firmware of its own, so the VMM cannot set it up; create it with builtin_firmware = false"};
    if (machine.harts.size() != 1)
        return Error{fmt::format("the machine has {} harts, but a VM runs on one so far; create it with 1", machine.harts.size())};
    if (config.mode == Mode::HardwareAssisted && !machine.hart().features().hypervisor)
        return Error{"mode hardware-assisted needs a hart with the hypervisor extension, and this machine's has none; create it with features.hypervisor = true"};
    if (config.switches.gstage_level >= GStageTables::kLevels) return Error{fmt::format("there is no G-stage page of level {}; give 0, 1 or 2", config.switches.gstage_level)};
    if (config.ram_bytes < kSmallestGuest || config.ram_bytes & kPageMask)
        return Error{fmt::format("{} bytes cannot be a guest's memory; give at least 4 MiB in whole pages of 4 KiB", config.ram_bytes)};
    if (config.place.offset & (Vmm::machine_alignment(config) - 1) || config.place.id == 0 || config.place.id > VmPlace::kMostIds)
        return Error{fmt::format("a VM cannot have the number {} and its memory at {:#x} of the machine's; number them from 1 to {}, and align to {:#x}",
                                 config.place.id, config.place.offset, VmPlace::kMostIds, Vmm::machine_alignment(config))};
    const u64 room = machine.ram.size() - std::min(machine.ram.size(), config.place.offset);
    if (config.ram_bytes > room || room - config.ram_bytes < own_bytes(config))
        return Error{fmt::format("a guest of {} MiB needs a machine of {} MiB, this one has {}; give the machine more, or the guest less",
                                 config.ram_bytes >> 20, (config.place.offset + Vmm::machine_bytes(config)) >> 20, machine.ram.size() >> 20)};
    return check_board(config.board);
}

} // namespace

const ModeRow& mode_row(Mode mode) {
    static constexpr ModeRow kNone{"none", "none", "No such mode."};
    const auto index = static_cast<std::size_t>(mode);
    return index < std::size(kModes) ? kModes[index] : kNone;
}

Result<Mode> mode_by_name(const std::string& name) {
    for (std::size_t i = 0; i < std::size(kModes); ++i) {
        if (name == kModes[i].name) return static_cast<Mode>(i);
    }
    return Error{fmt::format("there is no mode \"{}\"; the modes are: {}", name, mode_names())};
}

Vmm::Vmm(const VmConfig& config)
    : config_(config), vhart_(0, features(config)), board_(1, config.board),
      shadow_(config.place.offset / kPageSize + 1, shadow_bytes(config) / kPageSize - 1 - info_pages(config)),
      gstage_(config.place.offset / kPageSize + 1, shadow_bytes(config) / kPageSize - 1),
      direct_((config.place.offset + shadow_bytes(config)) / kPageSize - info_pages(config), (config.place.offset + own_bytes(config)) / kPageSize,
              config.ram_bytes / kPageSize),
      cache_((config.place.offset + shadow_bytes(config)) / kPageSize), ram_offset_(config.place.offset + own_bytes(config)) {
    board_.attach(std::make_unique<ResetRom>(), ResetRom::kBase, ResetRom::kSize, 0); // as a machine has it
    firmware_.offers_steal_time = true;
    if (config.mode == Mode::Paravirtual) firmware_.hypervisor_extension = kHypercallExtension;
    config_.costs = costs(config);
}

CostModel Vmm::costs(const VmConfig& config) {
    CostModel costs = config.costs;
    if (config.mode == Mode::HardwareAssisted) costs.trap = costs.vm_exit, costs.resume = costs.vm_entry;
    return costs;
}

HartFeatures Vmm::features(const VmConfig& config) {
    HartFeatures features = config.features;
    if (config.mode == Mode::Interpret) return features;
    features.hypervisor = false;
    if (config.mode == Mode::HardwareAssisted) return features;
    features.paging_levels = std::min(features.paging_levels, 3u);
    return features;
}

u64 Vmm::machine_alignment(const VmConfig& config) {
    return config.mode == Mode::HardwareAssisted && config.switches.gstage_level == 2 ? kGigabyte : kAlignment;
}
u64 Vmm::machine_bytes(const VmConfig& config) { return config.ram_bytes + own_bytes(config); }

Result<Vmm> Vmm::create(Machine& machine, const VmConfig& config) {
    if (const auto checked = check(machine, config); !checked) return Error{checked.error()};
    Vmm vmm(config);
    vmm.set_up_host(machine);
    if (config.mode == Mode::Translate) vmm.cache_.set_up(machine.ram);
    return vmm;
}

/// Does what M-mode firmware and the start of a hypervisor would: every trap comes to S, and S is the VMM's seat.
void Vmm::set_up_host(Machine& machine) {
    Hart& hart = machine.hart();
    Bus bus = machine.bus();
    if (hart.occupied(Priv::S)) { // for a VM before this one
        if (hardware_assisted()) set_up_hypervisor_extension(machine);
        return;
    }
    hart.reset(0);
    hart.write_csr(Csr::medeleg, ~u64{0}, bus);
    hart.write_csr(Csr::mideleg, kSupervisorIrqs, bus);
    hart.write_csr(Csr::mcounteren, ~u64{0}, bus);
    hart.write_csr(Csr::menvcfg, menvcfg::STCE | menvcfg::ADUE, bus);
    for (Csr opened : {Csr::mstateen0, Csr::mstateen1, Csr::mstateen2, Csr::mstateen3}) hart.write_csr(opened, ~u64{0}, bus);
    hart.write_csr(Csr::pmpaddr0, ~u64{0}, bus);
    hart.write_csr(Csr::pmpcfg0, kPmpAllNapot, bus);
    hart.write_csr(Csr::mie, irq_bit(Irq::Sti) | irq_bit(Irq::Ssi), bus);
    hart.state.priv = Priv::S;
    hart.occupy(Priv::S);
    if (hardware_assisted()) set_up_hypervisor_extension(machine);
}

Result<LoadedGuest> Vmm::load(Machine& machine, GuestFiles files) {
    return load_guest_files({guest_bus(machine), std::span(&vhart_, 1), firmware_, config_.firmware, config_.bootargs}, std::move(files));
}

Result<LoadedGuest> Vmm::load(Machine& machine, std::vector<u8> bytes, const std::string& name) {
    GuestFiles files;
    files.kernel = {name, std::move(bytes)};
    return load(machine, std::move(files));
}

void Vmm::reset(Machine& machine) {
    if (entered_) save_real_hart(machine, machine.hart().state.pc);
    pending_ = false;
    board_.reset();
    vhart_.reset(kRamBase);
    vhart_.state.cycles = machine.cycles();
    vhart_.flush_all();
    shadow_.drop_all();
    tracker_.clear();
    gstage_.drop_all(machine.ram);
    if (paravirt_.started) direct_.forget(machine.ram);
    paravirt_ = {};
    poll_console(0);
}

Bus Vmm::guest_bus(Machine& machine) {
    const u64 guard = paravirt_.started ? direct_.types_offset() : 0;
    return {machine.ram, board_, machine.trace, kRamBase, ram_offset_, config_.ram_bytes, trace_tag(), guard};
}

HartState Vmm::walk_state(const Machine& machine) const {
    HartState state = guest_state(machine);
    if (paravirt_.started) state.priv = Priv::U; // its kernel's pages are U-mode's as well
    return state;
}

Bus Vmm::walk_bus(Machine& machine) {
    Bus bus = guest_bus(machine);
    if (paravirt_.started) bus.base += ram_offset_;
    return bus;
}

void Vmm::flush_caches(Machine& machine) {
    vhart_.flush_all();
    for (Hart& hart : machine.harts) hart.flush_all();
}

VmmStop Vmm::run(Machine& machine, u64 budget, Until until, const Watch& watch) {
    if (config_.mode == Mode::Interpret) return interpret(machine, budget, watch);
    const VmmStop stop = run_on_hart(machine, budget, until, watch);
    // A guest in VS-mode changes its own registers; readers of guest_hart() see them.
    if (entered_ && hardware_assisted()) copy_guest_csrs(vhart_.state, machine.hart().state);
    return stop;
}

u64 Vmm::time_to_wakeup(const Machine& machine) const {
    const u64 wakeup = next_wakeup(vhart_, board_), now = config_.mode == Mode::Interpret ? vhart_.state.cycles : machine.cycles();
    return wakeup == ~u64{0} ? wakeup : wakeup - std::min(wakeup, now);
}

void Vmm::leave(Machine& machine) {
    if (!entered_) return;
    HartState& real = machine.hart().state;
    save_real_hart(machine, real.pc);
    real.priv = Priv::S, real.virt = false;
}

void Vmm::tell_stolen(Machine& machine, u64 cycles, bool preempted) {
    constexpr u64 kNanosecondsPerCycle = 1'000'000'000 / (kTimebaseHz * kCyclesPerTick);
    Bus bus = guest_bus(machine);
    firmware_.tell_stolen(cycles * kNanosecondsPerCycle, preempted, bus);
}

bool Vmm::ready(Machine& machine) {
    if (board_.halt || !runnable()) return false;
    if (!vhart_.state.waiting || pending_ || entered_) return true;
    if (config_.mode == Mode::Interpret) return time_to_wakeup(machine) != ~u64{0};
    Bus bus = guest_bus(machine);
    vhart_.state.cycles = machine.cycles();
    return (vhart_.mip(bus) & vhart_.state[Csr::mie]) != 0;
}

/// Runs the virtual hart alone. There is no hardware under the guest, so there are no exits.
VmmStop Vmm::interpret(Machine& machine, u64 budget, const Watch& watch) {
    Bus bus = guest_bus(machine);
    VmmStop result;
    while (true) {
        if (board_.halt) return result.kind = VmmStopKind::Halted, result;
        if (result.executed >= budget) return result.kind = VmmStopKind::Budget, result;
        if (!runnable()) return result.kind = VmmStopKind::Idle, result;
        const u64 retired = vhart_.state.retired;
        const Stop stop = run_with_firmware(vhart_, std::span(&vhart_, 1), firmware_, bus, budget - result.executed, watch);
        result.executed += stop.executed;
        interpreted_ += vhart_.state.retired - retired;
        machine.charge(stop.executed * config_.costs.interpret);
        if (stop.kind == StopKind::Breakpoint) return result.kind = VmmStopKind::Breakpoint, result;
        if (stop.kind != StopKind::Wfi) continue;
        const u64 wait = time_to_wakeup(machine);
        if (wait == ~u64{0}) return result.kind = VmmStopKind::Idle, result;
        vhart_.state.cycles += wait;
        if (!config_.place.shares_hart) machine.charge(wait);
    }
}

} // namespace trapeze::vmm
