// The mode paravirtual: the guest kernel runs in U-mode and knows it. It calls the VMM instead of executing what would trap, shares a page
// with it for what is asked often, and hands it its page tables (direct_paging.hpp). Until it makes the hypercall "start" it is run by
// trap-and-emulate, and so is a guest for good that does not know this VMM.
//
// Events: bit 0 of Pending is the timer, bit n the PLIC's source n. The VMM drives the virtual PLIC in the guest's place: it claims a
// source when it sets the event's bit, and completes it once the guest has cleared the bit.
// Nothing that a guest says here is trusted: a call that cannot be is answered with an SBI error code and an event, and changes nothing.
#include "emulator/devices/virtio_console.hpp"
#include "hypervisor-sim/exits.hpp"
#include "hypervisor-sim/vmm.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace trapeze::vmm {

namespace {

constexpr HypercallRow kHypercalls[] = {
#define HYPERCALL(number, id, name, sentence) {name, sentence},
#include "hypervisor-sim/hypercalls.def"
};

// SBI specification, table 1.
constexpr i64 kSuccess = 0, kNotSupported = -2, kInvalidParam = -3, kDenied = -4, kInvalidAddress = -5, kAlreadyAvailable = -6;
constexpr unsigned kSp = 2, kA0 = 10, kA1 = 11, kA6 = 16, kA7 = 17;

constexpr u64 kEventsPending = kInterruptBit | static_cast<u64>(Irq::Ssi); // the cause of the upcall
constexpr u64 kWakes = irq_bit(Irq::Sti) | irq_bit(Irq::Sei);
constexpr u64 kTimerEvent = 1;
constexpr u64 kConsolePoll = 10'000; // ticks: 1 ms
constexpr unsigned kEvents = 64;

// PLIC registers of context 1: hart 0 in S-mode.
constexpr u64 kPlicEnable = kPlicBase + 0x2080, kPlicThreshold = kPlicBase + 0x20'1000, kPlicClaim = kPlicBase + 0x20'1004;

/// A record of the hypercall "update".
struct UpdateRecord {
    u64 target, value;
    static constexpr u64 kKind = 7;
};

} // namespace

const HypercallRow& hypercall_row(u64 number) {
    static constexpr HypercallRow kUnknown{"unknown", "There is no such hypercall."};
    return number < std::size(kHypercalls) ? kHypercalls[number] : kUnknown;
}

// --- The shared page ---------------------------------------------------------------------------------------------------------

u64 Vmm::shared(const Machine& machine, Shared field) const {
    u64 value = 0;
    machine.ram.read(to_host(GuestPhys(paravirt_.shared)).value - kRamBase + static_cast<u64>(field), value);
    return value;
}

void Vmm::set_shared(Machine& machine, Shared field, u64 value) const {
    machine.ram.write_value(to_host(GuestPhys(paravirt_.shared)).value - kRamBase + static_cast<u64>(field), value);
}

// --- Exits -------------------------------------------------------------------------------------------------------------------

/// The word at a virtual address, as the hart fetches it in U-mode.
u32 Vmm::word_in_direct_tables(Machine& machine, u64 pc) const {
    Bus host = machine.bus();
    u16 halves[2] = {0, 0};
    for (unsigned i = 0; i < 2; ++i) {
        const PageWalk place = machine.hart().translate_as({Priv::U, false}, pc + 2 * i, Access::Fetch, host);
        if (place.outcome != PageWalk::Outcome::Ok || !host.in_ram(place.physical, 2)) return 0;
        host.ram.read(host.ram_offset(place.physical), halves[i]);
        if (!is_long(halves[0])) break;
    }
    return halves[0] | static_cast<u32>(halves[1]) << 16;
}

bool Vmm::calls_hypervisor(const Trap& trap) const {
    return config_.mode == Mode::Paravirtual && trap.is(Cause::EcallFromU) && vhart_.state.priv == Priv::S && firmware_.enabled &&
           vhart_.state.x[kA7] == kHypercallExtension;
}

/// Once the guest has started, only what it asks for is emulated; all else is its own.
ExitReason Vmm::classify_paravirtual(const Trap& trap) const {
    if (trap.is_interrupt()) return ExitReason::Interrupt;
    if (trap.is(Cause::EcallFromU)) return vhart_.state.priv == Priv::S ? ExitReason::SbiCall : ExitReason::GuestSyscall;
    return is_page_fault(trap) ? ExitReason::GuestPageFault : ExitReason::GuestException;
}

void Vmm::handle_paravirtual(Machine& machine, ExitDossier& dossier) {
    switch (dossier.reason) {
    case ExitReason::Hypercall: case ExitReason::TableUpdate: return serve_hypercall(machine, dossier);
    case ExitReason::Interrupt: return dossier.add(StepKind::HostInterrupt, 0, dossier.hardware.cause);
    case ExitReason::SbiCall: return serve_firmware_call(machine, dossier);
    default: {
        Trap trap;
        trap.cause = dossier.hardware.cause, trap.epc = dossier.guest_pc, trap.tval = dossier.hardware.tval;
        return enter_handler(machine, dossier, trap);
    }
    }
}

/// The calls that any SBI firmware answers. The guest's tables are no place for what is typed at the console.
void Vmm::serve_firmware_call(Machine& machine, ExitDossier& dossier) {
    HartState& v = vhart_.state;
    dossier.add(StepKind::Firmware, config_.costs.emulate, v.x[kA7], v.x[kA6]);
    if (v.x[kA7] == Firmware::kDebugConsole && v.x[kA6] == Firmware::kDebugConsoleRead) {
        v.pc += 4;
        v.x[kA0] = static_cast<u64>(kDenied), v.x[kA1] = 0;
        return;
    }
    Bus bus = guest_bus(machine);
    Trap trap;
    trap.cause = static_cast<u64>(Cause::EcallFromS), trap.epc = v.pc;
    if (v.x[kA7] == Firmware::kRemoteFence) direct_.set_stale();
    firmware_.serve(vhart_.deliver(trap, bus), std::span(&vhart_, 1), 0, bus);
}

/// Delivers a trap into the guest's kernel: its handler is entered with the frame in the shared page.
void Vmm::enter_handler(Machine& machine, ExitDossier& dossier, const Trap& trap) {
    HartState& v = vhart_.state;
    Bus bus = guest_bus(machine);
    const bool from_user = v.priv == Priv::U;
    v[Csr::mstatus] = set_field(v[Csr::mstatus], mstatus::SIE, shared(machine, Shared::Masked) == 0);
    const Trap taken = vhart_.deliver(trap, bus);
    note_delivery(machine, dossier, taken);
    if (taken.to == Priv::M) return firmware_.serve(taken, std::span(&vhart_, 1), 0, bus);
    set_shared(machine, Shared::Cause, taken.cause), set_shared(machine, Shared::Value, taken.tval);
    set_shared(machine, Shared::Pc, taken.epc), set_shared(machine, Shared::Sp, v.x[kSp]);
    set_shared(machine, Shared::Status, v[Csr::mstatus] & (mstatus::SPP | mstatus::SPIE));
    set_shared(machine, Shared::Masked, 1);
    if (from_user) v.x[kSp] = shared(machine, Shared::KernelStack);
    v[Csr::satp] = direct_.satp_for(Priv::S);
}

// --- Events ------------------------------------------------------------------------------------------------------------------

/// Sets the bits of what has become pending, and completes what the guest has cleared.
void Vmm::collect_events(Machine& machine) {
    Bus bus = guest_bus(machine);
    HartState& v = vhart_.state;
    const u64 before = shared(machine, Shared::Pending);
    u64 pending = before;
    for (u64 done = paravirt_.claimed & ~pending; done; done &= done - 1) {
        const auto source = static_cast<unsigned>(std::countr_zero(done));
        bus.write(kPlicClaim, 4, source, v.cycles);
        paravirt_.claimed &= ~(u64{1} << source);
    }
    for (unsigned i = 0; i < kEvents && vhart_.mip(bus) & irq_bit(Irq::Sei); ++i) {
        u64 source = 0;
        if (!bus.read(kPlicClaim, 4, source, v.cycles) || source == 0 || source >= kEvents) break;
        pending |= u64{1} << source, paravirt_.claimed |= u64{1} << source;
    }
    if (vhart_.mip(bus) & irq_bit(Irq::Sti)) {
        pending |= kTimerEvent;
        v[Csr::stimecmp] = ~u64{0}; // it rings once
    }
    if (pending != before) set_shared(machine, Shared::Pending, pending);
}

/// Programs see no events, so that nothing can be masked while one runs.
bool Vmm::event_deliverable(const Machine& machine) const {
    const bool open = vhart_.state.priv == Priv::U || !shared(machine, Shared::Masked);
    return open && shared(machine, Shared::Pending) & shared(machine, Shared::Enabled);
}

void Vmm::deliver_events(Machine& machine, ExitDossier& dossier) {
    collect_events(machine);
    if (!event_deliverable(machine)) return;
    machine.charge(config_.costs.inject);
    vhart_.state.cycles = machine.cycles();
    collect_events(machine); // what has come meanwhile
    const auto before = vhart_.state.csrs;
    dossier.add(StepKind::Events, 0, shared(machine, Shared::Pending) & shared(machine, Shared::Enabled));
    Trap trap;
    trap.cause = kEventsPending, trap.epc = vhart_.state.pc;
    enter_handler(machine, dossier, trap);
    note_changes(dossier, before);
}

// --- Hypercalls --------------------------------------------------------------------------------------------------------------

void Vmm::serve_hypercall(Machine& machine, ExitDossier& dossier) {
    HartState& v = vhart_.state;
    const u64 number = v.x[kA6];
    dossier.add(StepKind::Hypercall, config_.costs.hypercall, number);
    if (number < paravirt_.calls.size()) ++paravirt_.calls[number];
    v.pc += 4; // an ecall is never compressed
    if (number == static_cast<u64>(Hypercall::Return) && paravirt_.started) return return_from_handler(machine, dossier);
    const HypercallAnswer answer = answer_hypercall(machine, dossier, number);
    v.x[kA0] = static_cast<u64>(answer.error), v.x[kA1] = answer.value;
    if (answer.error == kSuccess) return;
    ++paravirt_.refused;
    Event event;
    event.kind = EventKind::HypercallRefused;
    event.time = machine.cycles(), event.pc = dossier.guest_pc, event.a = answer.value, event.tag = trace_tag();
    if (machine.trace.wants(event.kind))
        event.detail = machine.trace.text(fmt::format("{}: {}", hypercall_row(number).name, answer.why ? answer.why : "its arguments cannot be"));
    machine.trace.add(event);
}

HypercallAnswer Vmm::answer_hypercall(Machine& machine, ExitDossier& dossier, u64 number) {
    HartState& v = vhart_.state;
    const u64 a0 = v.x[kA0], a1 = v.x[kA1], a2 = v.x[kA1 + 1];
    const auto call = static_cast<Hypercall>(std::min<u64>(number, static_cast<u64>(Hypercall::Count)));
    switch (call) {
    case Hypercall::Null: return {};
    case Hypercall::MachineOffset: return {kSuccess, ram_offset_};
    case Hypercall::Start: return start_paravirtual(machine, dossier, a0, a1, a2);
    case Hypercall::SetTimer:
        v[Csr::stimecmp] = a0;
        dossier.add(StepKind::Timer, 0, a0);
        return {};
    case Hypercall::ConsoleWrite: return write_console(machine, dossier, a0, a1);
    case Hypercall::DeviceRead: return access_device(machine, dossier, a0, a1, nullptr);
    case Hypercall::DeviceWrite: return access_device(machine, dossier, a0, a1, &a2);
    case Hypercall::Count: return {kNotSupported, 0, "there is no such hypercall"};
    default: break;
    }
    if (!paravirt_.started) return {kDenied, 0, "the guest has not made the call start yet"};
    switch (call) {
    case Hypercall::Update: return update_tables(machine, dossier, a0, a1);
    case Hypercall::Switch: return switch_tables(machine, dossier, a0, a1);
    case Hypercall::Wait:
        set_shared(machine, Shared::Masked, 0);
        collect_events(machine);
        v.waiting = !event_deliverable(machine);
        return {};
    default: return {}; // Events: those that are pending are delivered at the entry
    }
}

HypercallAnswer Vmm::refused_table(ExitDossier& dossier, Refusal refusal, u64 done) const {
    if (refusal == Refusal::None) return {kSuccess, done};
    dossier.add(StepKind::Refused, 0, done, static_cast<u64>(refusal));
    return {refusal_row(refusal).error, done, refusal_row(refusal).sentence};
}

HypercallAnswer Vmm::start_paravirtual(Machine& machine, ExitDossier& dossier, u64 page, u64 handler, u64 root) {
    Bus bus = guest_bus(machine), host = machine.bus();
    if (paravirt_.started) return {kAlreadyAvailable, 0, "the guest has started already"};
    if (page & kPageMask || !bus.in_ram(page, kPageSize)) return {kInvalidAddress, 0, "the shared page is no page of the guest's memory"};
    if (handler & 3) return {kInvalidParam, 0, "the trap handler is not aligned to 4 bytes"};
    Refusal refusal = direct_.start(machine.ram, HostPhys(root));
    if (refusal == Refusal::None) refusal = direct_.hold_writable(machine.ram, to_host(GuestPhys(page)));
    const u64 checked = direct_.take_checked();
    dossier.add(StepKind::CheckTables, config_.costs.check_entry * checked, checked);
    const trapeze::Translation tables{direct_.satp_for(Priv::S), 0, {.priv = Priv::U}, {}};
    const PageWalk walk = walk_page_tables(tables, handler, Access::Fetch, [&](u64 address, u64& entry) {
        return host.in_ram(address, sizeof entry) && host.ram.read(host.ram_offset(address), entry);
    });
    const bool executable = walk.outcome == PageWalk::Outcome::Ok;
    if (refusal != Refusal::None || !executable) direct_.forget(machine.ram);
    if (refusal != Refusal::None) return refused_table(dossier, refusal, 0);
    if (!executable) return {kInvalidAddress, 0, "the trap handler is not mapped executable by the root table"};
    shadow_.drop_all();
    paravirt_.started = true, paravirt_.shared = page;
    HartState& v = vhart_.state;
    v[Csr::satp] = direct_.satp_for(Priv::S);
    v[Csr::stvec] = handler;
    v[Csr::mstatus] &= ~mstatus::SIE;
    v[Csr::mie] = kWakes;
    set_shared(machine, Shared::Masked, 1), set_shared(machine, Shared::Pending, 0);
    for (unsigned source = 1; source < kEvents; ++source) bus.write(kPlicBase + 4 * source, 4, 1, v.cycles);
    for (u64 word = 0; word < kEvents / 32; ++word) bus.write(kPlicEnable + 4 * word, 4, ~u32{0}, v.cycles);
    bus.write(kPlicThreshold, 4, 0, v.cycles);
    poll_console(kConsolePoll);
    dossier.add(StepKind::Tables, 0, v[Csr::satp]);
    return {};
}

/// A virtio console's backend looks into the ring by itself while there is something, so that its driver need not kick.
void Vmm::poll_console(u64 ticks) {
    if (Device* const console = board_.find("virtio-console")) static_cast<VirtioConsole*>(console)->poll(VirtioConsole::kTransmit, ticks);
}

HypercallAnswer Vmm::update_tables(Machine& machine, ExitDossier& dossier, u64 address, u64 count) {
    Bus bus = guest_bus(machine);
    if (count > kMostUpdates) return {kInvalidParam, 0, "it has more than 512 records"};
    if (address % sizeof(u64) || (count && !bus.in_ram(address, count * sizeof(UpdateRecord))))
        return {kInvalidAddress, 0, "its records are not aligned, or not all in the guest's memory"};
    std::vector<UpdateRecord> records(count); // a copy: an update may change the page that holds them
    bus.ram.read(bus.ram_offset(address), std::span(reinterpret_cast<u8*>(records.data()), count * sizeof(UpdateRecord)));
    u64 done = 0;
    Refusal refusal = Refusal::None;
    for (; done < count; ++done) {
        refusal = update_table(machine.ram, records[done].target, records[done].value);
        if (refusal != Refusal::None) break;
    }
    paravirt_.updates += done;
    dossier.add(StepKind::UpdateTables, config_.costs.check_entry * direct_.take_checked(), done, count);
    return refused_table(dossier, refusal, done);
}

Refusal Vmm::update_table(Ram& ram, u64 target, u64 value) {
    const HostPhys at(target & ~UpdateRecord::kKind);
    switch (target & UpdateRecord::kKind) {
    case static_cast<u64>(TableUpdate::Write): return direct_.write_entry(ram, at, value);
    case static_cast<u64>(TableUpdate::Pin): return direct_.pin(ram, at, value);
    case static_cast<u64>(TableUpdate::Unpin): return direct_.unpin(ram, at);
    case static_cast<u64>(TableUpdate::Flush): return direct_.set_stale(), Refusal::None;
    default: return Refusal::UnknownUpdate;
    }
}

HypercallAnswer Vmm::switch_tables(Machine& machine, ExitDossier& dossier, u64 kernel, u64 user) {
    const Refusal refusal = direct_.load(machine.ram, HostPhys(kernel), HostPhys(user));
    if (refusal != Refusal::None) return refused_table(dossier, refusal, 0);
    vhart_.state[Csr::satp] = direct_.satp_for(Priv::S);
    dossier.add(StepKind::Tables, 0, vhart_.state[Csr::satp]);
    return {};
}

void Vmm::return_from_handler(Machine& machine, ExitDossier& dossier) {
    HartState& v = vhart_.state;
    v.x[kSp] = shared(machine, Shared::Sp), v.x[kA0] = shared(machine, Shared::A0);
    v.x[kA6] = shared(machine, Shared::A6), v.x[kA7] = shared(machine, Shared::A7);
    constexpr u64 kStack = mstatus::SPP | mstatus::SPIE;
    v[Csr::mstatus] = (v[Csr::mstatus] & ~kStack) | (shared(machine, Shared::Status) & kStack);
    v[Csr::sepc] = shared(machine, Shared::Pc) & ~u64{1};
    vhart_.return_from_trap(Priv::S);
    set_shared(machine, Shared::Masked, v.priv == Priv::S && !(v[Csr::mstatus] & mstatus::SIE));
    v[Csr::satp] = direct_.satp_for(v.priv);
    dossier.add(StepKind::Return, 0, v.pc, static_cast<u64>(v.priv));
}

HypercallAnswer Vmm::write_console(Machine& machine, ExitDossier& dossier, u64 address, u64 count) {
    Bus bus = guest_bus(machine);
    if (count > kMostConsoleBytes) return {kInvalidParam, 0, "it has more than 4096 bytes"};
    if (count && !bus.in_ram(address, count)) return {kInvalidAddress, 0, "its bytes are not all in the guest's memory"};
    std::string text(count, '\0');
    bus.ram.read(bus.ram_offset(address), std::span(reinterpret_cast<u8*>(text.data()), count));
    board_.print(text);
    dossier.add(StepKind::Print, config_.costs.device, count);
    return {kSuccess, count};
}

HypercallAnswer Vmm::access_device(Machine& machine, ExitDossier& dossier, u64 address, u64 bytes, const u64* value) {
    Bus bus = guest_bus(machine);
    if (bytes != 1 && bytes != 2 && bytes != 4 && bytes != 8) return {kInvalidParam, 0, "registers have 1, 2, 4 or 8 bytes"};
    if (bus.in_ram(address, 1)) return {kInvalidAddress, 0, "memory is no device register"};
    DeviceContext context = bus.device_context(vhart_.state.cycles);
    u64 answer = 0;
    const auto size = static_cast<unsigned>(bytes);
    if (value ? !board_.write(address, size, *value, context) : !board_.read(address, size, answer, context))
        return {kInvalidAddress, 0, "there is no device register"};
    dossier.add(StepKind::Device, config_.costs.device, address);
    return {kSuccess, answer};
}

} // namespace trapeze::vmm
