#include "hypervisor-sim/equivalence.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace trapeze::vmm {

Result<GuestInMode> GuestInMode::create(const VmConfig& config) {
    const bool bare = config.mode == Mode::Bare;
    MachineConfig machine_config;
    machine_config.builtin_firmware = bare && config.firmware;
    machine_config.features = config.features;
    machine_config.features.hypervisor = config.mode == Mode::HardwareAssisted || (bare && config.features.hypervisor);
    machine_config.ram_bytes = bare ? config.ram_bytes : Vmm::machine_bytes(config);
    machine_config.bootargs = config.bootargs;
    if (bare) machine_config.board = config.board;
    auto machine = Machine::create(machine_config);
    if (!machine) return Error{machine.error()};
    GuestInMode guest{config.mode, std::move(*machine), {}};
    if (bare) return guest;
    auto vm = Vmm::create(guest.machine, config);
    if (!vm) return Error{vm.error()};
    guest.vm = std::move(*vm);
    return guest;
}

Result<LoadedGuest> GuestInMode::load(std::vector<u8> bytes, const std::string& name) {
    return vm ? vm->load(machine, std::move(bytes), name) : load_guest_bytes(machine, std::move(bytes), name);
}

u64 GuestInMode::read(u64 physical) {
    u64 value = 0;
    Bus b = bus();
    if (b.in_ram(physical, sizeof value)) b.ram.read(b.ram_offset(physical), value);
    return value;
}

std::string difference(const HartState& a, const HartState& b) {
    for (unsigned i = 0; i < 32; ++i) {
        if (a.x[i] != b.x[i]) return std::string("register ") + register_name(i);
        if (a.f[i] != b.f[i]) return std::string("register ") + fp_register_name(i);
    }
    if (a.pc != b.pc) return "pc";
    if (a.priv != b.priv) return "privilege";
    if (a.waiting != b.waiting) return "waiting";
    if (a.reserved != b.reserved || (a.reserved && (a.reservation != b.reservation || a.reserved_value != b.reserved_value))) return "reservation";
    if (a.retired != b.retired) return "retired instructions";
    for (std::size_t i = 0; i < kCsrCount; ++i)
        if (a.csrs[i] != b.csrs[i]) return std::string("CSR ") + csr_row_at(i).name;
    return {};
}

namespace {

using namespace random_guest_layout;

/// Number of the last exit that ended with a trap delivered into the guest.
u64 last_injection(const GuestInMode& running) {
    const auto& ledger = running.vm->ledger();
    const auto last = std::find_if(ledger.rbegin(), ledger.rend(), [](const ExitDossier& d) { return d.complete && d.injected; });
    return last == ledger.rend() ? 0 : last->number;
}

/// Takes every interrupt that is due. (A VMM does so before it lets the guest go on.)
void take_interrupts(GuestInMode& running) {
    Bus bus = running.bus();
    Hart probe(0, kCommonFeatures);
    while (!running.board().halt && (probe.state = running.state(), probe.pending_interrupt(bus))) running.run(1);
}

/// One instruction retired or trapped, and every interrupt taken that is due then. False: the guest waits, or is off; nullopt: it makes no
/// progress.
/// `before` is the state that a translated guest must leave to have made progress.
std::optional<bool> step(GuestInMode& running, const HartState& before) {
    if (running.mode == Mode::Bare || running.mode == Mode::Interpret) {
        if (!running.run(1)) return false;
        take_interrupts(running);
        return !running.board().halt;
    }
    constexpr unsigned kMostUnits = 100; // of one instruction
    const u64 retired = running.vm->guest_instructions(running.machine), injected = last_injection(running), emulated = running.vm->interpreted();
    for (unsigned i = 0; i < kMostUnits; ++i) {
        const bool handles_exit = running.vm->in_hypervisor();
        const VmmStop stop = running.vm->run(running.machine, 1);
        if (!stop.executed || running.board().halt) return false;
        if (running.vm->in_hypervisor()) continue;
        if (running.mode == Mode::HardwareAssisted && !handles_exit) { // the guest ran by itself, or took a trap of its own
            take_interrupts(running);
            return !running.board().halt;
        }
        if (running.mode == Mode::Translate) {
            // An instruction is several of the hart's. Between any two of them the guest has or has not done it.
            HartState now = running.state();
            now.retired = before.retired;
            if (difference(before, now).empty() && running.vm->interpreted() == emulated && last_injection(running) == injected) continue;
            return true;
        }
        if (running.vm->guest_instructions(running.machine) == retired && last_injection(running) == injected) continue;
        if (running.mode == Mode::HardwareAssisted) take_interrupts(running);
        return !running.board().halt;
    }
    return std::nullopt;
}

std::string memory_difference(GuestInMode& a, GuestInMode& b) {
    for (u64 address = kRamBase; address < kRamBase + 0x1'9000; address += 8)
        if (a.read(address) != b.read(address)) return fmt::format("memory at 0x{:x}", address);
    for (u64 address = kTables; address < kTables + 0x1'4000; address += 8)
        if (a.read(address) != b.read(address)) return fmt::format("table entry at 0x{:x}", address);
    for (u64 address = kBig; address < kBig + 0x5000; address += 8)
        if (a.read(address) != b.read(address)) return fmt::format("memory at 0x{:x}", address);
    return {};
}

/// The instruction that a guest is about to execute; 0: it cannot be fetched.
u32 word_at(const HartState& state, Bus bus) {
    Hart probe(0, kCommonFeatures);
    probe.state = state;
    return probe.fetch_word(state.pc, bus).value_or(0);
}

/// True when the next instruction touches the part of the address space where a translated kernel meets the VMM's own pages: the known
/// inaccuracy at the head of hypervisor-sim/translate.cpp.
bool touches_the_window(const HartState& state, Bus bus) {
    const Instruction insn = decode(word_at(state, bus));
    const Format format = row(insn.op).format;
    const bool offset = format == Format::Load || format == Format::Store || format == Format::FLoad || format == Format::FStore;
    if (!offset && format != Format::Amo && format != Format::Lr) return false;
    constexpr u64 kWidest = 8;
    return state.priv != Priv::U && state.x[insn.rs1] + (offset ? static_cast<u64>(static_cast<i64>(insn.imm)) : 0) >= window::kHash - kWidest;
}

/// A silent operation of a program that runs directly under translation sees the hypervisor's values, as on x86: not compared.
bool runs_silently(const HartState& state, Bus bus, u8 silent) {
    if (!silent || state.priv != Priv::U) return false;
    const Format format = row(decode(word_at(state, bus)).op).format;
    return format == Format::Csr || format == Format::CsrI;
}

} // namespace

Result<std::optional<Divergence>> check_equivalence(const EquivalenceCheck& check) {
    using Found = std::optional<Divergence>;
    const bool translated = check.mode == Mode::Translate, counted = !translated, enters = check.mode == Mode::TrapAndEmulate || translated;
    const unsigned most = check.switches.clustering ? 100 : 1; // instructions that one exit may emulate
    auto native = random_guest(check, Mode::Bare), virtualised = random_guest(check, check.mode);
    if (!native) return Error{native.error()};
    if (!virtualised) return Error{virtualised.error()};
    take_interrupts(*native);
    if (!enters) take_interrupts(*virtualised);
    Divergence found;
    found.check = check;
    for (; found.step < check.steps; ++found.step) {
        found.before = native->state();
        if (translated && (touches_the_window(found.before, native->bus()) || runs_silently(found.before, native->bus(), check.silent))) return Found{};
        found.word = word_at(found.before, native->bus());
        const std::optional<bool> goes_on_too = step(*virtualised, found.before);
        found.virtualised = virtualised->state();
        bool goes_on = true;
        found.what = goes_on_too ? "whether it goes on" : "that it makes no progress";
        std::string differs = found.what;
        for (unsigned done = 0; done < most && goes_on && !differs.empty(); ++done) {
            goes_on = step(*native, found.before).value_or(false);
            found.bare = native->state();
            if (!counted) found.virtualised.retired = found.bare.retired;
            differs = difference(found.bare, found.virtualised);
        }
        if (!differs.empty()) found.what = differs;
        if (!differs.empty() || goes_on_too != goes_on) return Found{found};
        if (!goes_on) break;
    }
    found.what = memory_difference(*native, *virtualised);
    found.bare = native->state(), found.virtualised = virtualised->state();
    return found.what.empty() ? Found{} : Found{found};
}

std::string describe(const Divergence& d) {
    const auto mode = [](const HartState& state) { return priv_letter(state.priv); };
    std::string text = fmt::format("seed {}, mode {}: after {} instructions that agreed, {} differs.\n", d.check.seed, mode_row(d.check.mode).name, d.step, d.what);
    text += fmt::format("  the instruction: {} (0x{:x}) at 0x{:x}, in {}-mode\n", d.word ? disassemble(d.word, d.before.pc) : "none can be fetched", d.word, d.before.pc,
                        mode(d.before));
    text += fmt::format("  {:<12} {:>18} {:>18} {:>18}\n", "", "before", "bare", mode_row(d.check.mode).name);
    const auto line = [&](const std::string& name, u64 before, u64 bare, u64 virtualised, bool always) {
        if (always || bare != virtualised) text += fmt::format("  {:<12} {:>#18x} {:>#18x} {:>#18x}{}\n", name, before, bare, virtualised, bare != virtualised ? "  <" : "");
    };
    line("pc", d.before.pc, d.bare.pc, d.virtualised.pc, true);
    line("privilege", static_cast<u64>(d.before.priv), static_cast<u64>(d.bare.priv), static_cast<u64>(d.virtualised.priv), true);
    line("retired", d.before.retired, d.bare.retired, d.virtualised.retired, false);
    for (unsigned i = 0; i < 32; ++i) line(register_name(i), d.before.x[i], d.bare.x[i], d.virtualised.x[i], false);
    for (unsigned i = 0; i < 32; ++i) line(fp_register_name(i), d.before.f[i], d.bare.f[i], d.virtualised.f[i], false);
    for (std::size_t i = 0; i < kCsrCount; ++i) line(csr_row_at(i).name, d.before.csrs[i], d.bare.csrs[i], d.virtualised.csrs[i], false);
    return text;
}

} // namespace trapeze::vmm
