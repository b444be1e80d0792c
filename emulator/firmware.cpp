#include "emulator/firmware.hpp"

#include "emulator/cpu/hart.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

namespace trapeze {

namespace {

// SBI specification 2.0: extension ids (each chapter's title) and error codes (table 1).
namespace eid {
constexpr u64 kSetTimer = 0, kPutchar = 1, kGetchar = 2, kClearIpi = 3, kSendIpi = 4, kFenceI = 5, kFenceVma = 6, kFenceVmaAsid = 7, kShutdown = 8, kBase = 0x10, kTime = 0x54494d45, kIpi = 0x735049, kRfence = Firmware::kRemoteFence,
              kHsm = 0x48534d, kReset = 0x53525354, kConsole = Firmware::kDebugConsole, kPmu = 0x504d55, kStealTime = 0x535441;
}
constexpr i64 kSuccess = 0, kFailed = -1, kNotSupported = -2, kInvalidParam = -3, kInvalidAddress = -5, kAlreadyAvailable = -6, kAlreadyStarted = -7, kAlreadyStopped = -8;

// What a kernel handles itself: every exception but calls from S-mode and M-mode. With the hypervisor extension also its guests' (calls from
// VS-mode, guest-page faults, virtual instructions); without it those bits are read-only zero.
constexpr u64 kDelegatedExceptions = (0xb3ff & ~(u64{1} << 9)) | u64{1} << 10 | u64{0xf} << 20;
constexpr u64 kSupervisorIrqs = irq_bit(Irq::Ssi) | irq_bit(Irq::Sti) | irq_bit(Irq::Sei);
constexpr u64 kPmpAllNapot = 0x1f; // A = NAPOT, X, W, R
constexpr unsigned kA0 = 10, kA1 = 11, kA6 = 16, kA7 = 17;

struct Answer {
    i64 error = kSuccess;
    u64 value = 0;
};

const char* extension_name(u64 id) {
    switch (id) {
    case eid::kSetTimer: return "legacy set_timer";
    case eid::kPutchar: return "legacy console_putchar";
    case eid::kGetchar: return "legacy console_getchar";
    case eid::kClearIpi: return "legacy clear_ipi";
    case eid::kSendIpi: return "legacy send_ipi";
    case eid::kFenceI: return "legacy remote_fence_i";
    case eid::kFenceVma: return "legacy remote_sfence_vma";
    case eid::kFenceVmaAsid: return "legacy remote_sfence_vma_asid";
    case eid::kShutdown: return "legacy shutdown";
    case eid::kBase: return "base";
    case eid::kTime: return "TIME";
    case eid::kIpi: return "IPI";
    case eid::kRfence: return "RFENCE";
    case eid::kHsm: return "HSM";
    case eid::kReset: return "SRST";
    case eid::kConsole: return "DBCN";
    case eid::kPmu: return "PMU";
    case eid::kStealTime: return "STA";
    default: return "unknown";
    }
}

bool is_known(u64 id) { return std::string_view(extension_name(id)) != "unknown"; }

/// One call, with everything that it may touch.
struct Call {
    Firmware& firmware;
    std::span<Hart> harts;
    Hart& hart;
    Bus& bus;
    u64 extension, function;
    u64 arg(unsigned index) const { return hart.state.x[kA0 + index]; }

    Answer dispatch();
    Answer base();
    Answer set_timer(u64 tick);
    template <class Action> Answer for_harts(u64 mask, u64 first, Action action);
    Answer rfence();
    Answer hart_state();
    Answer system_reset();
    Answer console();
    Answer counters();
    Answer counter_info(u64 counter);
    Answer match_counter();
    Answer switch_counters(bool on);
    Answer set_steal_record();
};

Answer Call::base() {
    switch (function) {
    case 0: return {kSuccess, u64{2} << 24}; // specification 2.0
    case 1: return {kSuccess, 0x54};         // implementation id: not registered
    case 2: return {kSuccess, 1};
    case 3:
        if (arg(0) == eid::kStealTime) return {kSuccess, firmware.offers_steal_time};
        return {kSuccess, is_known(arg(0)) || (arg(0) && arg(0) == firmware.hypervisor_extension)};
    case 4: case 5: case 6: return {kSuccess, 0}; // mvendorid, marchid, mimpid
    default: return {kNotSupported};
    }
}

Answer Call::set_timer(u64 tick) {
    hart.write_csr(Csr::stimecmp, tick, bus);
    return {};
}

/// Does `action` to each hart of an SBI hart mask (section 3.1): bit i is hart first + i; first = -1 means all.
template <class Action> Answer Call::for_harts(u64 mask, u64 first, Action action) {
    if (first != ~u64{0} && first >= harts.size()) return {kInvalidParam};
    for (u64 i = 0; first != ~u64{0} && i < 64; ++i)
        if (bit(mask, static_cast<unsigned>(i)) && first + i >= harts.size()) return {kInvalidParam};
    for (std::size_t i = 0; i < harts.size(); ++i)
        if (first == ~u64{0} || (i >= first && i - first < 64 && bit(mask, static_cast<unsigned>(i - first)))) action(harts[i]);
    return {};
}

Answer Call::rfence() {
    constexpr u64 kFirstOfGuests = 3, kLast = 6; // hfence.gvma and hfence.vvma, with and without a VMID or ASID
    const bool has_guests = bit(hart.read_csr(Csr::misa, bus), 'H' - 'A');
    if (function > kLast || (function >= kFirstOfGuests && !has_guests)) return {kNotSupported};
    return for_harts(arg(0), arg(1), [](Hart& target) { target.flush_translations(); });
}

Answer Call::hart_state() {
    using Status = Firmware::HartStatus;
    const u64 target = arg(0);
    switch (function) {
    case 0: // hart_start(hartid, start address, opaque)
        if (target >= harts.size()) return {kInvalidParam};
        if (firmware.status[target] != Status::Stopped) return {kAlreadyAvailable};
        if (!bus.in_ram(arg(1), 4)) return {kInvalidAddress};
        firmware.launch(harts[target], arg(1), arg(2), bus);
        return {};
    case 1: // hart_stop
        firmware.status[hart.id()] = Status::Stopped;
        return {};
    case 2: // hart_get_status
        if (target >= harts.size()) return {kInvalidParam};
        return {kSuccess, static_cast<u64>(harts[target].state.waiting && firmware.suspended_at[target] == harts[target].state.retired
                                               ? Status::Suspended : firmware.status[target])};
    case 3: { // hart_suspend: the default retentive kind is a wfi; the default non-retentive and the platform's own kinds are not offered
        constexpr u32 kRetentive = 0, kNonRetentive = 0x8000'0000, kPlatform = 0x1000'0000;
        const u32 kind = static_cast<u32>(arg(0)); // section 9.4: 32 bits
        if (kind != kRetentive) return {(kind & ~kNonRetentive) == 0 || (kind & ~kNonRetentive) >= kPlatform ? kNotSupported : kInvalidParam};
        hart.state.waiting = true;
        firmware.suspended_at[hart.id()] = hart.state.retired;
        return {};
    }
    default: return {kNotSupported};
    }
}

Answer Call::system_reset() {
    constexpr u32 kShutdown = 0, kWarmReboot = 2, kSystemFailure = 1;
    const u32 kind = static_cast<u32>(arg(0)), reason = static_cast<u32>(arg(1)); // section 10.1: 32 bits each
    if (function != 0) return {kNotSupported};
    if (kind > kWarmReboot || reason > kSystemFailure) return {kInvalidParam}; // reserved, or another platform's
    bus.board.halt = Halt{reason == kSystemFailure ? 1u : 0u, kind != kShutdown};
    return {};
}

// PMU (chapter 11): two hardware counters, each for one event, that never overflow into an interrupt. What runs is mcountinhibit's to say.

/// A counter: its CSR for S-mode, its number in mcountinhibit, and the event that it counts (table 11.4: type 0, code).
struct Counter {
    Csr shown, written;
    unsigned inhibit;
    u64 event;
};
constexpr Counter kCounters[] = {{Csr::cycle, Csr::mcycle, 0, 1}, {Csr::instret, Csr::minstret, 2, 2}};

Answer Call::counter_info(u64 counter) {
    if (counter >= std::size(kCounters)) return {kInvalidParam};
    constexpr u64 kWidthMinusOne = 63;
    return {kSuccess, static_cast<u64>(kCounters[counter].shown) | kWidthMinusOne << 12};
}

/// counter_config_matching(base, mask, flags, event, data).
Answer Call::match_counter() {
    constexpr u64 kSkipMatch = 1, kClear = 2, kStart = 4;
    const u64 base = arg(0), mask = arg(1), flags = arg(2), event = arg(3);
    for (u64 i = base; i < std::size(kCounters); ++i) {
        const Counter& counter = kCounters[i];
        if (!bit(mask, static_cast<unsigned>(i - base)) || (!(flags & kSkipMatch) && counter.event != event)) continue;
        const u64 inhibited = hart.read_csr(Csr::mcountinhibit, bus);
        if (flags & kClear) hart.write_csr(counter.written, 0, bus);
        if (flags & kStart) hart.write_csr(Csr::mcountinhibit, inhibited & ~(u64{1} << counter.inhibit), bus);
        return {kSuccess, i};
    }
    if (base >= std::size(kCounters) || (mask << base) >> std::size(kCounters)) return {kInvalidParam}; // counters that do not exist
    return {kNotSupported};
}

/// counter_start(base, mask, flags, value) and counter_stop(base, mask, flags).
Answer Call::switch_counters(bool on) {
    const u64 base = arg(0), mask = arg(1), flags = arg(2);
    if (base >= std::size(kCounters) || base + 64 - static_cast<u64>(std::countl_zero(mask)) > std::size(kCounters)) return {kInvalidParam};
    Answer answer;
    for (u64 i = base; i < std::size(kCounters); ++i) {
        if (!bit(mask, static_cast<unsigned>(i - base))) continue;
        const Counter& counter = kCounters[i];
        const u64 inhibited = hart.read_csr(Csr::mcountinhibit, bus), own = u64{1} << counter.inhibit;
        if (on == !(inhibited & own)) answer.error = on ? kAlreadyStarted : kAlreadyStopped;
        if (on && flags & 1) hart.write_csr(counter.written, arg(3), bus);
        hart.write_csr(Csr::mcountinhibit, on ? inhibited & ~own : inhibited | own, bus);
    }
    return answer;
}

Answer Call::counters() {
    switch (function) {
    case 0: return {kSuccess, std::size(kCounters)};
    case 1: return counter_info(arg(0));
    case 2: return match_counter();
    case 3: return switch_counters(true);
    case 4: return switch_counters(false);
    case 5: case 6: return {kInvalidParam}; // counter_fw_read, counter_fw_read_hi: none of the counters is the firmware's
    default: return {kNotSupported};        // also snapshot_set_shmem
    }
}

Answer Call::console() {
    constexpr u64 kMost = 4096; // bytes a call; the kernel asks again for the rest
    const u64 count = std::min(arg(0), kMost), address = arg(1);
    if (function == 2) {
        const char c = static_cast<char>(arg(0));
        bus.board.print({&c, 1});
        return {};
    }
    if (function > 1) return {kNotSupported};
    if (arg(2) != 0 || (count && !bus.in_ram(address, count))) return {kInvalidParam};
    if (function == 0) {
        std::string text(count, '\0');
        bus.ram.read(bus.ram_offset(address), std::span(reinterpret_cast<u8*>(text.data()), count));
        bus.board.print(text);
        return {kSuccess, count};
    }
    const std::string typed = bus.board.take_typed(count);
    bus.ram.write(bus.ram_offset(address), std::span(reinterpret_cast<const u8*>(typed.data()), typed.size()));
    return {kSuccess, typed.size()};
}

constexpr u64 kRecordBytes = 64; // of which 17 mean something (table 41)

Answer Call::set_steal_record() {
    if (!firmware.offers_steal_time || function != 0) return {kNotSupported};
    const u64 address = arg(0), high = arg(1), flags = arg(2);
    constexpr u64 kNone = ~u64{0};
    if (flags != 0) return {kInvalidParam};
    if (address == kNone && high == kNone) return firmware.steal_record = Firmware::kNoRecord, Answer{};
    if (address & (kRecordBytes - 1)) return {kInvalidParam};
    const std::array<u8, kRecordBytes> zeros{};
    if (high != 0 || !bus.device_context(hart.state.cycles).memory.write(address, zeros)) return {kInvalidAddress};
    firmware.steal_record = address;
    return {};
}

Answer Call::dispatch() {
    switch (extension) {
    case eid::kBase: return base();
    case eid::kTime: return function == 0 ? set_timer(arg(0)) : Answer{kNotSupported};
    case eid::kIpi:
        if (function != 0) return {kNotSupported};
        return for_harts(arg(0), arg(1), [](Hart& target) { target.state[Csr::mip] |= irq_bit(Irq::Ssi); });
    case eid::kRfence: return rfence();
    case eid::kHsm: return hart_state();
    case eid::kReset: return system_reset();
    case eid::kConsole: return console();
    case eid::kPmu: return counters();
    case eid::kStealTime: return set_steal_record();
    default: return {kNotSupported};
    }
}

/// The hart mask of a legacy call lies in memory, at a virtual address of the caller; address 0 means all harts. Nullopt: it cannot be read.
std::optional<u64> legacy_hart_mask(Call& call) {
    const u64 every = ~u64{0} >> (64 - call.harts.size());
    if (call.arg(0) == 0) return every;
    std::array<u8, sizeof(u64)> bytes{};
    call.hart.state.priv = Priv::S; // the mask is read with the caller's rights
    const std::size_t got = call.hart.peek(call.arg(0), bytes, call.bus);
    call.hart.state.priv = Priv::M;
    if (got != bytes.size()) return std::nullopt;
    return std::bit_cast<u64>(bytes) & every;
}

u64 legacy_to_harts(Call& call) {
    const auto mask = legacy_hart_mask(call);
    if (!mask) return static_cast<u64>(kInvalidAddress);
    return static_cast<u64>(call.for_harts(*mask, 0, [&](Hart& target) {
        if (call.extension == eid::kSendIpi) target.state[Csr::mip] |= irq_bit(Irq::Ssi);
        else target.flush_translations();
    }).error);
}

/// The legacy calls answer in a0 alone (chapter 5). False when it is none of them.
bool serve_legacy(Call& call) {
    u64& a0 = call.hart.state.x[kA0];
    switch (call.extension) {
    case eid::kSetTimer: call.set_timer(a0), a0 = 0; return true;
    case eid::kPutchar: {
        const char c = static_cast<char>(a0);
        call.bus.board.print({&c, 1});
        a0 = 0;
        return true;
    }
    case eid::kGetchar: {
        const std::string typed = call.bus.board.take_typed(1);
        a0 = typed.empty() ? static_cast<u64>(kFailed) : static_cast<u8>(typed[0]);
        return true;
    }
    case eid::kClearIpi:
        a0 = (call.hart.state[Csr::mip] & irq_bit(Irq::Ssi)) != 0;
        call.hart.state[Csr::mip] &= ~irq_bit(Irq::Ssi);
        return true;
    case eid::kSendIpi: case eid::kFenceI: case eid::kFenceVma: case eid::kFenceVmaAsid: a0 = legacy_to_harts(call); return true;
    case eid::kShutdown: call.bus.board.halt = Halt{0, false}; return true;
    default: return false;
    }
}

} // namespace

void Firmware::launch(Hart& hart, u64 entry, u64 opaque, Bus& bus) {
    HartState& s = hart.state;
    const u64 retired = s.retired, cycles = s.cycles;
    hart.reset(entry);
    s.retired = retired, s.cycles = cycles;
    s.priv = Priv::S;
    s.x[kA0] = hart.id();
    s.x[kA1] = opaque;
    hart.write_csr(Csr::medeleg, kDelegatedExceptions, bus);
    hart.write_csr(Csr::mideleg, kSupervisorIrqs, bus);
    hart.write_csr(Csr::mcounteren, 7, bus);
    hart.write_csr(Csr::menvcfg, menvcfg::STCE | menvcfg::PBMTE | menvcfg::ADUE | envcfg::CBIE | envcfg::CBCFE | envcfg::CBZE, bus);
    for (Csr opened : {Csr::mstateen0, Csr::mstateen1, Csr::mstateen2, Csr::mstateen3}) hart.write_csr(opened, ~u64{0}, bus);
    hart.write_csr(Csr::pmpaddr0, ~u64{0}, bus);
    hart.write_csr(Csr::pmpcfg0, kPmpAllNapot, bus);
    hart.occupy(Priv::M);
    status[hart.id() % status.size()] = HartStatus::Started;
}

void Firmware::start(std::span<Hart> harts, u64 entry, u64 device_tree, Bus& bus) {
    enabled = true;
    steal_record = kNoRecord;
    for (Hart& hart : harts) {
        hart.occupy(Priv::M);
        status[hart.id() % status.size()] = HartStatus::Stopped;
    }
    launch(harts[0], entry, device_tree, bus);
}

void Firmware::tell_stolen(u64 nanoseconds, bool preempted, Bus& bus) {
    if (steal_record == kNoRecord) return;
    struct Record { // section 16.1
        u32 sequence, flags;
        u64 steal;
        u8 preempted;
    } record{};
    constexpr std::size_t kUsed = offsetof(Record, preempted) + 1;
    const DmaMemory memory = bus.device_context(0).memory;
    const auto bytes = std::span(reinterpret_cast<u8*>(&record), kUsed);
    if (!memory.read(steal_record, bytes)) return;
    record.sequence = (record.sequence | 1) + 1; // odd while it is written, which the guest cannot see here
    record.steal = nanoseconds, record.preempted = preempted;
    memory.write(steal_record, bytes);
}

void Firmware::serve(const Trap& trap, std::span<Hart> harts, u32 index, Bus& bus) {
    Hart& hart = harts[index];
    HartState& s = hart.state;
    if (!trap.is(Cause::EcallFromS)) {
        bus.board.print(fmt::format("firmware: {} at pc 0x{:x} (tval 0x{:x}) has no handler; the machine stops\n", cause_name(trap.cause), trap.epc,
                                    trap.tval));
        bus.board.halt = Halt{1, false};
        return;
    }
    Call call{*this, harts, hart, bus, s.x[kA7], s.x[kA6]};
    Event event;
    event.kind = EventKind::FirmwareCall;
    event.time = s.cycles, event.pc = trap.epc, event.a = s.x[kA0];
    event.hart = hart.id() & 7, event.tag = bus.trace_tag & 31;
    event.from = static_cast<u8>(trap.from) & 3, event.to = static_cast<u8>(trap.to) & 3;
    if (bus.trace.wants(event.kind)) event.detail = bus.trace.text(fmt::format("{}, function {}", extension_name(call.extension), call.function));
    bus.trace.add(event);
    if (!serve_legacy(call)) {
        const Answer answer = call.dispatch();
        s.x[kA0] = static_cast<u64>(answer.error);
        s.x[kA1] = answer.value;
    }
    s[Csr::mepc] += 4; // an ecall is never compressed
    hart.return_from_trap(Priv::M);
}

} // namespace trapeze
