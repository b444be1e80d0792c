// What readers of a session see: states, lanes, memory and code as the guest has them, and places by name.
#include "scenarios/session.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdlib>

namespace trapeze::scenarios {

namespace {
constexpr std::size_t kMaxLanes = 10000;
}

HartState Session::real_state() const { return now_.machine.hart().state; }
HartState Session::guest_state() const { return now_.vmm ? now_.vmm->guest_state(now_.machine) : real_state(); }

u64 Session::csr(const HartState& state, Csr csr) const {
    auto& self = const_cast<Session&>(*this); // reading changes nothing
    const bool guests = now_.vmm && !(state == real_state());
    Hart view(0, guests ? now_.vmm->guest_hart().features() : now_.machine.hart().features());
    view.state = state;
    Bus bus = guests ? self.guest_bus() : self.now_.machine.bus();
    return view.read_csr(csr, bus);
}

Lane Session::lane() const {
    if (now_.vmm && now_.vmm->in_hypervisor()) return Lane::Hypervisor;
    const Priv priv = guest_state().priv;
    if (priv == Priv::U) return Lane::GuestUser;
    return !now_.vmm && priv == Priv::M && now_.machine.firmware.enabled ? Lane::Hardware : Lane::GuestKernel;
}

/// The mode in which the guest's instructions run, whatever it believes.
PrivMode Session::real_mode() const {
    if (!now_.vmm || config_.mode == Mode::Interpret) return real_state().mode();
    const Priv believed = guest_state().priv;
    if (config_.mode == Mode::HardwareAssisted && believed != Priv::M) return {believed, true};
    return {config_.mode == Mode::HardwareAssisted ? Priv::S : Priv::U};
}

void Session::note_lane(u64 time, Lane lane, u64 pc) {
    if (!now_.lanes.empty() && now_.lanes.back().lane == lane) return;
    if (now_.lanes.size() >= kMaxLanes) now_.lanes.erase(now_.lanes.begin(), now_.lanes.begin() + kMaxLanes / 2);
    now_.lanes.push_back({time, lane, pc});
}

/// Changes of lane are in the trace: traps, returns, exits and entries.
void Session::note_lanes() {
    const Trace& events = trace();
    const auto guest_lane = [&](unsigned priv) { return static_cast<Priv>(priv) == Priv::U ? Lane::GuestUser : Lane::GuestKernel; };
    for (u64 i = std::max(now_.lanes_seen, events.first()); i < events.total(); ++i) {
        const Event& event = events.at(i);
        switch (event.kind) {
        case EventKind::TrapTaken:
        case EventKind::TrapReturn:
            if (now_.vmm && event.tag == 0) { // the real hart's: VmExit and VmEntry tell it, unless the guest took the trap itself
                if (event.to_virt) note_lane(event.time, guest_lane(event.to), event.pc);
                break;
            }
            if (!now_.vmm && static_cast<Priv>(event.to) == Priv::M && now_.machine.firmware.enabled) note_lane(event.time, Lane::Hardware, event.pc);
            else if (now_.vmm && config_.mode != Mode::Interpret) break; // delivered while the VMM works
            else note_lane(event.time, guest_lane(event.to), event.pc);
            break;
        case EventKind::VmExit: note_lane(event.time, Lane::Hypervisor, event.pc); break;
        case EventKind::VmEntry: note_lane(event.time, guest_lane(static_cast<unsigned>(event.a)), event.pc); break;
        default: break;
        }
    }
    now_.lanes_seen = events.total();
    note_lane(now_.machine.cycles(), lane(), guest_state().pc);
}

std::size_t Session::peek(u64 va, std::span<u8> out) const {
    Bus bus = const_cast<Session&>(*this).walk_bus(); // reading through translation changes nothing; a bus only holds references
    if (!now_.vmm) return now_.machine.hart().peek(va, out, bus);
    return walk_view(0).peek(va, out, bus);
}

std::vector<Session::CodeLine> Session::code(unsigned before, unsigned after) const {
    constexpr unsigned kWindow = 256; // bytes looked at before the current instruction
    const HartState state = guest_state();
    const PrivMode real = real_mode();
    const auto read_line = [&](u64 pc, CodeLine& line) {
        u8 bytes[4] = {};
        const std::size_t got = peek(pc, std::span(bytes, 4));
        if (got < 2) return false;
        line.pc = pc;
        line.word = static_cast<u32>(bytes[0] | bytes[1] << 8);
        line.length = is_long(static_cast<u16>(line.word)) ? 4 : 2;
        if (line.length == 4 && got < 4) return false;
        if (line.length == 4) line.word |= static_cast<u32>(bytes[2]) << 16 | static_cast<u32>(bytes[3]) << 24;
        line.text = disassemble(line.word, pc);
        const auto symbol = guest_.elf.by_address.find(pc);
        if (symbol != guest_.elf.by_address.end()) line.symbol = symbol->second;
        line.believed = state.priv, line.real = real;
        const Instruction insn = decode(line.word);
        const InstructionRow& r = row(insn.op);
        line.sensitive = r.sensitivity != Sensitivity::Innocuous;
        if (r.sensitivity == Sensitivity::ByCsr) {
            const CsrRow* csr = csr_row(static_cast<u16>(insn.imm));
            line.sensitive = !csr || csr->sensitivity != Sensitivity::Innocuous;
        }
        line.current = pc == state.pc;
        return true;
    };
    // Instructions have two lengths: begin at a symbol, or far enough back that the boundaries have settled.
    std::vector<CodeLine> lines;
    u64 start = state.pc - std::min<u64>(state.pc, std::min(kWindow, before * 4));
    auto symbol = guest_.elf.by_address.upper_bound(state.pc);
    if (symbol != guest_.elf.by_address.begin() && state.pc - (--symbol)->first <= kWindow) start = std::min(start, symbol->first);
    start &= ~u64{1};
    for (u64 pc = start; before && pc < state.pc;) {
        CodeLine line;
        if (!read_line(pc, line)) {
            pc += 2;
            lines.clear();
            continue;
        }
        if (pc + line.length > state.pc) break;
        lines.push_back(line);
        pc += line.length;
    }
    if (lines.size() > before) lines.erase(lines.begin(), lines.end() - before);
    u64 pc = state.pc;
    for (unsigned i = 0; i <= after; ++i) {
        CodeLine line;
        if (!read_line(pc, line)) break;
        lines.push_back(line);
        pc += line.length;
    }
    return lines;
}

Result<u64> Session::resolve(const std::string& expression) const {
    const auto number = [](const std::string& text) -> std::optional<u64> {
        if (text.empty() || !std::isdigit(static_cast<unsigned char>(text[0]))) return std::nullopt;
        char* end = nullptr;
        errno = 0;
        const u64 value = std::strtoull(text.c_str(), &end, 0);
        return *end || errno ? std::nullopt : std::optional(value);
    };
    if (const auto value = number(expression)) return *value;
    const std::size_t plus = expression.find('+');
    const auto symbol = guest_.elf.symbol(expression.substr(0, plus));
    const auto offset = plus == std::string::npos ? std::optional<u64>(0) : number(expression.substr(plus + 1));
    if (symbol && offset) return *symbol + *offset;
    return Error{fmt::format("\"{}\" is neither a number nor a symbol of {}; `trapeze symbols {}` lists them", expression, config_.guest, config_.guest)};
}

} // namespace trapeze::scenarios
