#include "scenarios/gdb_target.hpp"

#include "scenarios/guest_memory.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace trapeze::scenarios {

using debug::BreakKind;
using debug::Motion;
using debug::StopReport;
using Why = StopReport::Why;

namespace {

constexpr u64 kSlice = 200'000;          // units between looks at what GDB sends
constexpr u64 kStepSlice = 10'000;       // units that one hart's step waits for its turn, in one slice
constexpr u64 kAccessUnits = 64;         // units in which a watched access completes: the exits on the way count too
constexpr std::size_t kMaxBreaks = 1000;
constexpr u64 kVirtualBit = 4;           // of the register priv (Debug specification, section 4.10)

bool is_watch(BreakKind kind) { return kind != BreakKind::Software && kind != BreakKind::Hardware; }
DataWatch data_watch(BreakKind kind, u64 address, u64 bytes) {
    return {address, address + bytes, kind != BreakKind::Write, kind != BreakKind::Read};
}

} // namespace

// --- Registers and memory -------------------------------------------------------------------------------------------------------

std::string GdbTarget::describe(unsigned hart) const {
    const HartState state = session_.guest_state(hart);
    const Firmware& firmware = session_.machine().firmware;
    if (!session_.vmm() && firmware.enabled && firmware.status[hart] != Firmware::HartStatus::Started) return "not started";
    return fmt::format("{}-mode{}", mode_text(state.mode()), state.waiting ? ", waits for an interrupt" : "");
}

std::optional<u64> GdbTarget::read_register(unsigned hart, unsigned number) const {
    const HartState state = session_.guest_state(hart);
    if (number < debug::kRegisterPc) return state.x[number];
    if (number == debug::kRegisterPc) return state.pc;
    if (number < debug::kRegisterCsr0) return state.f[number - debug::kRegisterF0];
    if (number == debug::kRegisterPriv) return static_cast<u64>(state.priv) | (state.virt ? kVirtualBit : 0);
    const u16 csr = static_cast<u16>(number - debug::kRegisterCsr0);
    if (!csr_row(csr)) return std::nullopt;
    const Hart view = session_.guest_view(hart);
    Bus bus = session_.guest_bus();
    return view.read_csr(csr, bus);
}

bool GdbTarget::write_register(unsigned hart, unsigned number, u64 value) {
    HartState state = session_.guest_state(hart);
    if (number < debug::kRegisterPc) {
        if (number) state.x[number] = value;
    } else if (number == debug::kRegisterPc) {
        state.pc = value & ~u64{1};
    } else if (number < debug::kRegisterCsr0) {
        state.f[number - debug::kRegisterF0] = value;
    } else if (number == debug::kRegisterPriv) {
        const PrivMode mode{static_cast<Priv>(value & 3), value == (value & 3) + kVirtualBit};
        const bool possible = mode.priv != Priv::Hs && (value & ~u64{kVirtualBit | 3}) == 0;
        if (!possible || (mode.virt && (mode.priv == Priv::M || !session_.guest_view(hart).features().hypervisor))) return false;
        state.priv = mode.priv, state.virt = mode.virt;
    } else {
        const u16 csr = static_cast<u16>(number - debug::kRegisterCsr0);
        const CsrRow* const row = csr_row(csr);
        if (!row || csr_read_only(csr) || row->kind == CsrKind::Constant) return false;
        Hart view = session_.guest_view(hart);
        Bus bus = session_.guest_bus();
        view.write_csr(csr, value, bus);
        state = view.state;
    }
    session_.set_guest_state(hart, state);
    return true;
}

std::size_t GdbTarget::read_memory(unsigned hart, u64 address, bool physical, std::span<u8> out) {
    return read_guest_memory(session_, hart, address, physical ? AddressSpace::Physical : AddressSpace::Virtual, out);
}

bool GdbTarget::write_memory(unsigned hart, u64 address, bool physical, std::span<const u8> in) {
    return static_cast<bool>(write_guest_memory(session_, hart, address, physical ? AddressSpace::Physical : AddressSpace::Virtual, in));
}

// --- Breakpoints ----------------------------------------------------------------------------------------------------------------

bool GdbTarget::insert_breakpoint(BreakKind kind, u64 address, u64 bytes) {
    const Break wanted{kind, address, bytes};
    const bool possible = is_watch(kind) ? bytes && address + (bytes - 1) >= address : !(address & 1);
    if (!possible || breaks_.size() >= kMaxBreaks) return false;
    if (std::find(breaks_.begin(), breaks_.end(), wanted) == breaks_.end()) breaks_.push_back(wanted);
    give_breakpoints();
    return true;
}

bool GdbTarget::remove_breakpoint(BreakKind kind, u64 address, u64 bytes) {
    const bool found = std::erase(breaks_, Break{kind, address, bytes}) != 0;
    give_breakpoints();
    return found;
}

void GdbTarget::give_breakpoints() {
    session_.breakpoints().clear();
    for (const Break& b : breaks_) {
        Breakpoint breakpoint{is_watch(b.kind) ? Breakpoint::Kind::Memory : Breakpoint::Kind::Address, b.address, "gdb", true, 0, b.bytes, false, true};
        if (is_watch(b.kind)) breakpoint.on_loads = b.kind != BreakKind::Write, breakpoint.on_stores = b.kind != BreakKind::Read;
        session_.breakpoints().push_back(breakpoint);
    }
}

bool GdbTarget::watches(const Break& b, unsigned hart) const {
    if (!is_watch(b.kind)) return false;
    Watch watch;
    watch.data.push_back(data_watch(b.kind, b.address, b.bytes));
    const Hart view = session_.walk_view(hart);
    Bus bus = session_.walk_bus();
    return watch_hits(watch, view, bus);
}

const GdbTarget::Break* GdbTarget::watched(unsigned hart) const {
    const auto found = std::find_if(breaks_.begin(), breaks_.end(), [&](const Break& b) { return watches(b, hart); });
    return found == breaks_.end() ? nullptr : &*found;
}

// --- Forward --------------------------------------------------------------------------------------------------------------------

GdbTarget::Mark GdbTarget::mark(unsigned hart) const {
    const HartState state = session_.guest_state(hart);
    return {state.pc, state.retired, state.waiting};
}

void GdbTarget::begin(Motion motion, unsigned hart) {
    motion_ = motion, hart_ = hart;
    start_ = mark(hart);
    origin_ = session_.position();
    idle_ = false;
    search_ = {};
    search_.length = 1;
    back_.reset();
    search_.end = origin_ ? origin_ - 1 : 0;
}

GdbTarget::Report GdbTarget::run_slice() {
    switch (motion_) {
    case Motion::Continue: return run_on();
    case Motion::Step: return step();
    default: return go_back();
    }
}

unsigned GdbTarget::interrupt() {
    if (motion_ == Motion::BackContinue || motion_ == Motion::BackStep) (void)session_.go_to(origin_); // it was there, so it is reached
    return motion_ == Motion::Continue ? session_.current_hart() : hart_;
}

GdbTarget::Report GdbTarget::run_on() {
    // A session never stops at the instruction that it begins with, but GDB may go on from before an access that it watches.
    if (session_.position() == origin_)
        if (const Break* const watch = watched(session_.current_hart()))
            if (const Report report = finish_access(*watch, session_.current_hart())) return report;
    const RunEnd why = session_.run(kSlice);
    idle_ = why == RunEnd::Idle;
    if (why == RunEnd::Halted) return StopReport{Why::Exited, 0, BreakKind::Software, 0, session_.exit_code()};
    return why == RunEnd::Breakpoint ? stop_here() : std::nullopt;
}

/// The report about the breakpoint where the session stands. Watched memory is reported after the access, as GDB expects of this
/// architecture; nothing when the access trapped, because it will come again.
GdbTarget::Report GdbTarget::stop_here() {
    const unsigned hart = session_.current_hart();
    const u64 pc = session_.guest_state(hart).pc;
    for (const Break& b : breaks_)
        if (!is_watch(b.kind) && b.address == pc) return StopReport{Why::Breakpoint, hart, b.kind, 0, 0};
    const Break* const watch = watched(hart);
    return watch ? finish_access(*watch, hart) : std::nullopt;
}

GdbTarget::Report GdbTarget::finish_access(const Break& watch, unsigned hart) {
    const Mark before = mark(hart);
    for (u64 i = 0; i < kAccessUnits && mark(hart) == before; ++i)
        if (session_.step() == RunEnd::Halted) break;
    const StopReport report{Why::Watchpoint, hart, watch.kind, watch.address, 0};
    return mark(hart).retired == before.retired + 1 ? Report(report) : std::nullopt;
}

GdbTarget::Report GdbTarget::step() {
    for (u64 i = 0; i < kStepSlice; ++i) {
        const bool turn = session_.current_hart() == hart_;
        const Break* const watch = turn ? watched(hart_) : nullptr;
        const RunEnd why = session_.step();
        idle_ = why == RunEnd::Idle;
        if (why == RunEnd::Halted) return StopReport{Why::Exited, hart_, BreakKind::Software, 0, session_.exit_code()};
        const Mark now = mark(hart_);
        if (now != start_) {
            if (watch && now.retired == start_.retired + 1) return StopReport{Why::Watchpoint, hart_, watch->kind, watch->address, 0};
            return StopReport{Why::Stepped, hart_, BreakKind::Software, 0, 0};
        }
        if (why == RunEnd::Breakpoint && session_.current_hart() != hart_) return stop_here();
        if (idle_) break;
    }
    return std::nullopt;
}

// --- Back -----------------------------------------------------------------------------------------------------------------------

/// One part of the search for the last place where a breakpoint stops.
GdbTarget::Report GdbTarget::run_back() {
    if (!back_) back_.emplace(session_, Sought{Sought::Kind::Breakpoint});
    const BackSearch::State state = back_->advance(session_, kSlice);
    if (state == BackSearch::State::Looking) return std::nullopt;
    if (state == BackSearch::State::Nothing) (void)session_.go_to(session_.earliest());
    if (session_.position() == session_.earliest()) return history_begins(); // nothing has run up to there, so nothing has stopped
    const unsigned hart = session_.current_hart();
    if (const Break* const watch = watched(hart)) return StopReport{Why::Watchpoint, hart, watch->kind, watch->address, 0};
    return stop_here();
}

/// One part of the search for the last position where the hart stood elsewhere.
GdbTarget::Report GdbTarget::go_back() {
    if (origin_ == session_.earliest()) return history_begins();
    if (motion_ == Motion::BackContinue) return run_back();
    if (!search_.placed) {
        const u64 first = session_.earliest();
        search_.begin = search_.end - std::min(search_.end - first, search_.length);
        search_.found.reset();
        search_.placed = true;
        if (!session_.go_to(search_.begin)) return history_begins();
        if (mark(hart_) != start_) search_.found = search_.begin;
    }
    run_stretch();
    if (session_.position() < search_.end) return std::nullopt;

    if (search_.found) {
        (void)session_.go_to(*search_.found); // it was there, so it is reached
        return StopReport{Why::Stepped, hart_, BreakKind::Software, 0, 0};
    }
    if (search_.begin == session_.earliest()) {
        (void)session_.go_to(search_.begin);
        return history_begins();
    }
    search_.end = search_.begin;
    search_.length *= 2;
    search_.placed = false;
    return std::nullopt;
}

void GdbTarget::run_stretch() {
    const u64 last = std::min(search_.end, session_.position() + kStepSlice);
    while (session_.position() < last) {
        const RunEnd why = session_.step();
        if (mark(hart_) != start_) search_.found = session_.position();
        if (why == RunEnd::Idle || why == RunEnd::Halted) search_.end = session_.position(); // there is nothing after this
        if (session_.position() >= search_.end) break;
    }
}

std::string GdbTarget::monitor(const std::string& command, unsigned hart, bool& physical) {
    return answer_monitor(session_, command, hart, physical);
}

} // namespace trapeze::scenarios
