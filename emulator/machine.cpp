#include "emulator/machine.hpp"

#include "emulator/firmware_rom.hpp"
#include "emulator/snapshot.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace trapeze {

namespace {
constexpr u64 kSmallestRam = u64{1} << 20, kLargestRam = u64{8} << 30;
constexpr u64 kTurn = 1000; // instructions that a hart runs before the next one's turn
} // namespace

Result<Machine> Machine::create(const MachineConfig& config) {
    if (config.harts < 1 || config.harts > kMaxHarts) return Error{fmt::format("{} harts cannot be had; give 1 to {}", config.harts, kMaxHarts)};
    if (config.ram_bytes < kSmallestRam || config.ram_bytes > kLargestRam || config.ram_bytes & kPageMask)
        return Error{fmt::format("{} bytes of memory cannot be had; give 1 MiB to 8 GiB in whole pages of 4 KiB", config.ram_bytes)};
    if (const auto checked = check_board(config.board); !checked) return Error{checked.error()};
    return Machine(config);
}

Machine::Machine(const MachineConfig& config) : ram(config.ram_bytes), board(config.harts, config.board), config_(config) {
    for (u32 id = 0; id < config.harts; ++id) harts.emplace_back(id, config.features);
    board.attach(std::make_unique<ResetRom>(), ResetRom::kBase, ResetRom::kSize, 0);
    firmware.enabled = config.builtin_firmware;
    firmware.status.fill(config.builtin_firmware ? Firmware::HartStatus::Stopped : Firmware::HartStatus::Started);
}

void Machine::charge(u64 cycles) {
    for (Hart& hart : harts) hart.state.cycles += cycles;
}

void Machine::reset() {
    board.reset();
    for (Hart& hart : harts) {
        const u64 cycles = hart.state.cycles;
        hart.reset(kRamBase);
        hart.state.cycles = cycles;
    }
    firmware.status.fill(config_.builtin_firmware ? Firmware::HartStatus::Stopped : Firmware::HartStatus::Started);
    current_hart = 0, turn_used_ = 0;
    halt_traced_ = false;
}

bool Machine::operator==(const Machine& other) const {
    const auto board_bytes = [](Board copy) {
        StateArchive archive;
        copy.state(archive);
        return archive.bytes();
    };
    return std::equal(harts.begin(), harts.end(), other.harts.begin(), other.harts.end(),
                      [](const Hart& a, const Hart& b) { return a.state == b.state; }) &&
           current_hart == other.current_hart && turn_used_ == other.turn_used_ && firmware == other.firmware && board_bytes(board) == board_bytes(other.board) && ram == other.ram;
}

void Machine::state(StateArchive& archive) {
    u64 count = harts.size();
    HartFeatures features = config_.features;
    archive(count), archive(features.hypervisor), archive(features.paging_levels), archive(features.misaligned_traps);
    if (count != harts.size() || features != config_.features) return archive.fail();
    for (Hart& hart : harts) {
        hart_state(archive, hart.state), archive(hart.seats);
        hart.flush_all();
    }
    ram.state(archive);
    board.state(archive);
    firmware_state(archive, firmware);
    trace.state(archive);
    u64 current = current_hart;
    archive.at_most(current, harts.size() - 1), archive.at_most(turn_used_, harts.size() > 1 ? kTurn : ~u64{0}), archive(halt_traced_); // alone, a hart has no turns
    current_hart = static_cast<u32>(current);
}

Stop run_with_firmware(Hart& hart, std::span<Hart> harts, Firmware& firmware, Bus& bus, u64 budget, const Watch& watch) {
    u64 executed = 0;
    while (true) {
        if (executed && !watch.empty() && watch_hits(watch, hart, bus)) return {StopKind::Breakpoint, {}, hart.id(), executed};
        Stop stop = hart.run(bus, budget - executed, watch);
        executed += stop.executed;
        stop.executed = executed;
        const bool for_firmware = stop.kind == StopKind::SeatTrap && firmware.enabled && stop.trap.to == Priv::M;
        if (!for_firmware) return stop;
        const u32 index = static_cast<u32>(&hart - harts.data());
        firmware.serve(stop.trap, harts, index, bus);
        if (bus.board.halt) return stop.kind = StopKind::Halted, stop;
        const bool stopped = firmware.status[hart.id()] != Firmware::HartStatus::Started;
        if (watch.every_trap || executed >= budget || stopped)
            return stop.kind = watch.every_trap ? StopKind::Breakpoint : StopKind::Budget, stop;
    }
}

u64 next_wakeup(const Hart& hart, const Board& board) {
    const HartState& s = hart.state;
    u64 tick = ~u64{0};
    if (s[Csr::mie] & irq_bit(Irq::Mti)) tick = board.next_tick(hart.id());
    if (s[Csr::menvcfg] & menvcfg::STCE && s[Csr::mie] & irq_bit(Irq::Sti)) tick = std::min(tick, s[Csr::stimecmp]);
    if (s[Csr::mie] & irq_bit(Irq::Vsti)) tick = std::min(tick, guest_timer_tick(s));
    if (s[Csr::mie] & (irq_bit(Irq::Sei) | irq_bit(Irq::Mei))) tick = std::min(tick, board.next_event(ticks_of(s.cycles)));
    return tick > ~u64{0} / kCyclesPerTick ? ~u64{0} : tick * kCyclesPerTick;
}

bool Machine::runnable(const Hart& hart) const { return firmware.status[hart.id()] == Firmware::HartStatus::Started; }

Stop Machine::run(u64 budget, const Watch& watch) {
    u64 executed = 0;
    unsigned idle = 0; // harts in a row that had nothing to do
    bool first = true; // only the run that this call begins with may stand at a breakpoint that was reported already
    Stop stop;
    while (true) {
        Hart& hart = harts[current_hart];
        if (board.halt) stop.kind = StopKind::Halted;
        else if (executed >= budget) stop.kind = StopKind::Budget;
        if (board.halt || executed >= budget) break;
        if (runnable(hart)) {
            const u64 turn = harts.size() == 1 ? budget - executed : std::min(kTurn - turn_used_, budget - executed);
            Bus view = bus();
            const bool at_watch = !first && !watch.empty() && !hart.state.waiting && !hart.pending_interrupt(view) && watch_hits(watch, hart, view);
            first = false;
            stop = at_watch ? Stop{StopKind::Breakpoint, {}, hart.id(), 0} : run_with_firmware(hart, harts, firmware, view, turn, watch);
            executed += stop.executed;
            turn_used_ += stop.executed;
            if (stop.executed) idle = 0;
            if (stop.kind == StopKind::SeatTrap || stop.kind == StopKind::Breakpoint || stop.kind == StopKind::Halted) break;
        } else {
            stop.kind = StopKind::Wfi;
        }
        if (stop.kind == StopKind::Wfi) ++idle;
        if (idle >= harts.size()) { // all wait: time passes to the first timer, or nothing will ever happen
            if (!skip_to_wakeup()) break;
            idle = 0;
        } else if (harts.size() > 1 && (turn_used_ >= kTurn || stop.kind == StopKind::Wfi)) {
            next_turn();
        }
    }
    if (board.halt && !halt_traced_) trace_halt();
    stop.executed = executed;
    return stop;
}

/// Harts take turns within one stretch of time; it ends when each has had its turn.
void Machine::next_turn() {
    turn_used_ = 0;
    current_hart = static_cast<u32>((current_hart + 1) % harts.size());
    if (current_hart != 0) return;
    u64 latest = 0;
    for (const Hart& hart : harts) latest = std::max(latest, hart.state.cycles);
    for (Hart& hart : harts) hart.state.cycles = latest;
}

bool Machine::skip_to_wakeup() {
    u64 earliest = ~u64{0};
    for (const Hart& hart : harts)
        if (runnable(hart)) earliest = std::min(earliest, next_wakeup(hart, board));
    if (earliest == ~u64{0}) return false;
    for (Hart& hart : harts) hart.state.cycles = std::max(hart.state.cycles, earliest);
    return true;
}

void Machine::trace_halt() {
    halt_traced_ = true;
    Event event;
    event.kind = EventKind::Halted;
    event.time = cycles(), event.pc = harts[current_hart].state.pc, event.a = board.halt->code;
    trace.add(event);
}

} // namespace trapeze
