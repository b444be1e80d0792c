// Memory as a hart sees it: translation, physical memory protection, the slow paths behind the TLB.
#include "emulator/cpu/exec.hpp"

#include <algorithm>

namespace trapeze {

// --- Physical memory protection (section 3.7) ---------------------------------------------------------------------------

namespace {

struct PmpEntry {
    u8 config;
    u64 begin, end; ///< byte addresses; end is exclusive, and saturated
};
enum PmpMode : u8 { kOff = 0, kTor = 1, kNa4 = 2, kNapot = 3 };
constexpr u8 kPmpRead = 1, kPmpWrite = 2, kPmpExecute = 4, kPmpLock = 0x80;

PmpEntry pmp_entry(const HartState& s, unsigned index) {
    const std::size_t config_slot = index < 8 ? slot(Csr::pmpcfg0) : slot(Csr::pmpcfg2);
    const std::size_t first = slot(Csr::pmpaddr0);
    const u64 address = s.csrs[first + index];
    PmpEntry entry{static_cast<u8>(s.csrs[config_slot] >> (index % 8 * 8)), 0, 0};
    switch (bits(entry.config, 4, 3)) {
    case kTor:
        entry.begin = index ? s.csrs[first + index - 1] << 2 : 0;
        entry.end = address << 2;
        break;
    case kNa4: entry.begin = address << 2, entry.end = entry.begin + 4; break;
    case kNapot: {
        const u64 ones = address ^ (address + 1); // the low ones and the zero above them
        entry.begin = (address & ~ones) << 2;
        const u64 size = ones > (~u64{0} >> 2) / 2 ? 0 : (ones + 1) << 2;
        entry.end = size == 0 || entry.begin + size < entry.begin ? ~u64{0} : entry.begin + size;
        break;
    }
    default: break;
    }
    return entry;
}

struct PmpVerdict {
    bool allowed;
    bool whole_page; ///< holds for every byte of the page
};

PmpVerdict pmp_check_entries(const HartState& s, u64 address, unsigned bytes, Access access, Priv priv) {
    const u64 page = address & ~kPageMask;
    bool whole_page = true;
    for (unsigned i = 0; i < 16; ++i) {
        const PmpEntry entry = pmp_entry(s, i);
        if (bits(entry.config, 4, 3) == kOff || entry.begin >= entry.end) continue;
        const bool touches_page = entry.begin < page + kPageSize && entry.end > page;
        const bool covers_page = entry.begin <= page && entry.end >= page + kPageSize;
        if (touches_page && !covers_page) whole_page = false;
        const bool touches = entry.begin < address + bytes && entry.end > address;
        if (!touches) continue;
        const bool covers = entry.begin <= address && entry.end >= address + bytes;
        if (!covers) return {false, false};
        if (priv == Priv::M && !(entry.config & kPmpLock)) return {true, whole_page};
        const u8 wanted = access == Access::Fetch ? kPmpExecute : access == Access::Load ? kPmpRead : kPmpWrite;
        return {(entry.config & wanted) != 0, whole_page};
    }
    return {priv == Priv::M, whole_page};
}

inline PmpVerdict pmp_check(const HartState& s, u64 address, unsigned bytes, Access access, Priv priv) {
    if ((s[Csr::pmpcfg0] | s[Csr::pmpcfg2]) == 0) return {priv == Priv::M, true};
    return pmp_check_entries(s, address, bytes, access, priv);
}

/// The mode that an access is made in: loads and stores of M-mode may borrow another (section 3.1.6.3).
PrivMode effective_mode(const HartState& s, Access access) {
    const u64 status = s[Csr::mstatus];
    if (access == Access::Fetch || s.priv != Priv::M || !(status & mstatus::MPRV)) return s.mode();
    const Priv priv = static_cast<Priv>(get_field(status, mstatus::MPP));
    return {priv, priv != Priv::M && status & mstatus::MPV};
}

Cause fault_cause(Access access, PageWalk::Outcome outcome) {
    using Outcome = PageWalk::Outcome;
    const unsigned kind = access == Access::Fetch ? 0 : access == Access::Load ? 1 : 2;
    constexpr Cause kPage[] = {Cause::InstructionPageFault, Cause::LoadPageFault, Cause::StorePageFault};
    constexpr Cause kGuest[] = {Cause::InstructionGuestPageFault, Cause::LoadGuestPageFault, Cause::StoreGuestPageFault};
    constexpr Cause kAccess[] = {Cause::InstructionAccess, Cause::LoadAccess, Cause::StoreAccess};
    return outcome == Outcome::PageFault ? kPage[kind] : outcome == Outcome::GuestPageFault ? kGuest[kind] : kAccess[kind];
}

Translation translation_of(const HartState& s, PrivMode mode) {
    if (mode.priv == Priv::M) return {};
    const u64 machine = s[Csr::menvcfg], status = s[Csr::mstatus];
    const auto rights = [&](u64 view, u64 environment) {
        return AccessRights{mode.priv, (view & mstatus::SUM) != 0, ((view | status) & mstatus::MXR) != 0, (environment & menvcfg::ADUE) != 0,
                            (environment & menvcfg::PBMTE) != 0};
    };
    if (!mode.virt) return {s[Csr::satp], 0, rights(status, machine), {}};
    Translation t{s[Csr::vsatp], s[Csr::hgatp], rights(s[Csr::vsstatus], machine & s[Csr::henvcfg]), rights(status, machine)};
    t.second_rights.priv = Priv::U; // to the second stage every access is a user's
    return t;
}

PageWalk walk(const HartState& s, PrivMode mode, u64 va, Access access, const Bus& bus, bool execute_read = false) {
    Translation t = translation_of(s, mode);
    t.rights.execute_read = t.second_rights.execute_read = execute_read;
    return walk_page_tables(t, va, access, [&](u64 address, u64& entry) {
        // Implicit accesses are S-mode's to PMP; tables are in RAM.
        return bus.in_ram(address, sizeof entry) && pmp_check(s, address, sizeof entry, Access::Load, Priv::S).allowed &&
               bus.ram.read(bus.ram_offset(address), entry);
    });
}

/// A translated, checked place in physical memory, or the fault.
struct Place {
    bool ok = false;
    bool whole_page = false;
    u64 physical = 0;
    u64 fenced_size = 0; ///< PageWalk::fenced_size
    Trap fault;
};

/// What a guest-page fault says besides its address (sections 15.2.8, 15.6.3): where, and whether a table's entry was meant.
void describe_fault(Trap& trap, const PageWalk& walk, Access access, PrivMode mode, u64 va) {
    trap.cause = static_cast<u64>(fault_cause(access, walk.outcome));
    trap.tval = va;
    trap.guest_address = mode.virt;
    if (walk.outcome == PageWalk::Outcome::GuestPageFault) trap.tval2 = walk.guest_physical >> 2;
    constexpr u64 kEntryRead = 0x3000, kEntryWrite = 0x3020;
    if (walk.implicit) trap.tinst = walk.implicit_write ? kEntryWrite : kEntryRead;
}

/// Writes the accessed and dirty bits that a walk asks for. False: memory protection forbids one.
bool write_updates(const HartState& s, const PageWalk& walk, Bus& bus) {
    for (unsigned i = 0; i < walk.updates; ++i)
        if (!pmp_check(s, walk.update[i].address, sizeof(u64), Access::Store, Priv::S).allowed) return false;
    for (unsigned i = 0; i < walk.updates; ++i) bus.ram.write_value(bus.ram_offset(walk.update[i].address), walk.update[i].entry);
    return true;
}

void count(TranslationCounts& counts, const HartState& s, PrivMode mode, const PageWalk& walk) {
    if (!walk.steps) return;
    const bool nested = mode.virt && satp::levels(s[Csr::hgatp]);
    ++(nested ? counts.nested_walks : counts.walks);
    (nested ? counts.nested_entries : counts.entries) += walk.steps;
}

Place locate_as(Hart& hart, PrivMode mode, u64 va, unsigned bytes, Access access, Bus& bus, bool execute_read = false) {
    const HartState& s = hart.state;
    PageWalk result = walk(s, mode, va, access, bus, execute_read);
    count(hart.translations, s, mode, result);
    Place place;
    if (result.outcome == PageWalk::Outcome::Ok) {
        const PmpVerdict verdict = pmp_check(s, result.physical, bytes, access, mode.priv);
        place.ok = verdict.allowed && write_updates(s, result, bus);
        place.physical = result.physical;
        place.fenced_size = result.fenced_size;
        place.whole_page = verdict.whole_page;
        result.outcome = PageWalk::Outcome::AccessFault; // if it is none here, it may be one on the bus
    }
    describe_fault(place.fault, result, access, mode, va);
    return place;
}

Place locate(Hart& hart, u64 va, unsigned bytes, Access access, Bus& bus) {
    return locate_as(hart, effective_mode(hart.state, access), va, bytes, access, bus);
}

} // namespace

Hart::Protection Hart::protection(u64 physical, unsigned bytes, Access access, Priv priv) const {
    const PmpVerdict verdict = pmp_check(state, physical, bytes, access, priv);
    return {verdict.allowed, verdict.whole_page};
}
PageWalk Hart::translate_as(PrivMode mode, u64 va, Access access, Bus& bus) const { return walk(state, mode, va, access, bus); }
PageWalk Hart::translate(u64 va, Access access, Bus& bus) const { return walk(state, effective_mode(state, access), va, access, bus); }

std::size_t Hart::peek(u64 va, std::span<u8> out, Bus& bus) const {
    std::size_t done = 0;
    while (done < out.size()) {
        const PageWalk place = translate(va + done, Access::Load, bus);
        const PageWalk code = place.outcome == PageWalk::Outcome::Ok ? place : translate(va + done, Access::Fetch, bus);
        const std::size_t chunk = std::min<std::size_t>(out.size() - done, kPageSize - ((va + done) & kPageMask));
        if (code.outcome != PageWalk::Outcome::Ok || !bus.in_ram(code.physical, chunk)) break;
        bus.ram.read(bus.ram_offset(code.physical), out.subspan(done, chunk));
        done += chunk;
    }
    return done;
}

std::optional<u32> Hart::fetch_word(u64 va, Bus& bus) const {
    u16 halves[2] = {0, 0};
    for (unsigned i = 0; i < 2; ++i) {
        const PageWalk place = translate(va + 2 * i, Access::Fetch, bus);
        if (place.outcome != PageWalk::Outcome::Ok || !bus.in_ram(place.physical, 2)) return std::nullopt;
        bus.ram.read(bus.ram_offset(place.physical), halves[i]);
        if (!is_long(halves[0])) break;
    }
    return halves[0] | static_cast<u32>(halves[1]) << 16;
}

std::optional<Trap> Hart::fetch_fault(u64 va, Bus& bus, u64& physical, bool& whole_page) {
    const Place place = locate(*this, va, 2, Access::Fetch, bus);
    if (!place.ok || !bus.in_ram(place.physical, 2)) return place.fault;
    physical = place.physical;
    whole_page = place.whole_page && bus.in_ram(place.physical & ~kPageMask, kPageSize);
    cache_->note_fetched(va, place.fenced_size);
    return std::nullopt;
}

// --- Slow paths -----------------------------------------------------------------------------------------------------------

namespace {

/// Remembers a data page that may be touched in place.
void remember(Exec& m, u64 va, const Place& place, Access access) {
    if (!place.whole_page || !m.bus.in_ram(place.physical & ~kPageMask, kPageSize)) return;
    const u64 page = m.bus.ram_offset(place.physical) >> kPageShift;
    if (m.bus.ram_offset(place.physical & ~kPageMask) & kPageMask) return;
    m.cache.note_translated(va, place.fenced_size);
    if (access == Access::Load) {
        m.bank->load.keep(va, m.bus.ram.page_for_read(page), place.physical);
    } else if (!m.bus.ram.has_code(page) && !m.bus.watched_page(place.physical)) {
        u8* const host = m.bus.ram.page_for_write(page);
        m.cache.follow_ram(m.bus.ram); // the page may have moved
        m.bank->store.keep(va, host, place.physical);
    }
}

/// The instruction as htinst has it (section 15.6.3): 32 bits long, immediates 0, and in rs1's place the distance of the fault from the
/// address that was asked for. Bit 1 is 0 when the instruction was compressed.
u64 transformed(const DecodedInsn& d, u64 distance) {
    const u32 word = d.length == 2 ? expand_compressed(static_cast<u16>(d.word)) : d.word;
    const u32 offset = static_cast<u32>(distance & 31) << 15, shorter = d.length == 2 ? 2 : 0;
    constexpr u32 kRs1 = 0x000f8000, kLoadImmediate = 0xfff00000, kStoreImmediate = 0xfe000f80;
    switch (row(d.op).format) {
    case Format::Load: case Format::FLoad: return ((word & ~(kRs1 | kLoadImmediate)) | offset) & ~shorter;
    case Format::Store: case Format::FStore: return ((word & ~(kRs1 | kStoreImmediate)) | offset) & ~shorter;
    case Format::Amo: case Format::Lr: case Format::HLoad: case Format::HStore: case Format::Cbo: return (word & ~kRs1) | offset;
    default: return 0;
    }
}

/// Raises the fault of a load or store whose first byte is at `begin`.
Flow raise_memory(Exec& m, const Trap& fault, u64 begin) {
    m.trap = fault;
    if (!fault.tinst) m.trap.tinst = transformed(*m.d, fault.tval - begin);
    return Flow::Trap;
}

/// Faults of cache-block operations are a store's, and name the address in the register.
Flow raise_block(Exec& m, Trap fault, u64 address) {
    const bool guest_page = fault.is(Cause::LoadGuestPageFault) || fault.is(Cause::StoreGuestPageFault);
    if (guest_page && !fault.tinst) fault.tval2 |= bits(address & (Exec::kCacheBlock - 1), 5, 2);
    for (Cause load : {Cause::LoadAccess, Cause::LoadPageFault, Cause::LoadGuestPageFault})
        if (fault.is(load)) return fault.cause += 2, fault.tval = address, raise_memory(m, fault, address); // the store's is the next but one
    fault.tval = address;
    return raise_memory(m, fault, address);
}

Flow access_device(Exec& m, const Place& place, unsigned bytes, u64& value, bool write, u64 begin) {
    m.sync();
    const bool answered = write ? m.bus.write(place.physical, bytes, value, m.s.cycles) : m.bus.read(place.physical, bytes, value, m.s.cycles);
    if (!answered) return raise_memory(m, place.fault, begin);
    m.cache.follow_ram(m.bus.ram); // the device may have written memory
    return Flow::Leave;
}

/// One access that does not cross a page, of a load or store that begins at `begin`.
Flow access_within_page(Exec& m, u64 va, unsigned bytes, Access access, u64& value, bool write, u64 begin) {
    const Place place = locate(m.hart, va, bytes, access, m.bus);
    if (!place.ok) return raise_memory(m, place.fault, begin);
    if (m.bus.in_ram(place.physical, bytes) && !(write && m.bus.watched_page(place.physical))) {
        const u64 offset = m.bus.ram_offset(place.physical);
        if (write) {
            const u64 code_before = m.bus.ram.code_generation();
            m.bus.ram.write(offset, std::span(reinterpret_cast<const u8*>(&value), bytes));
            remember(m, va, place, access);
            m.cache.follow_ram(m.bus.ram);
            return m.bus.ram.code_generation() != code_before ? Flow::Leave : Flow::Next;
        }
        value = 0;
        m.bus.ram.read(offset, std::span(reinterpret_cast<u8*>(&value), bytes));
        remember(m, va, place, access);
        return Flow::Next;
    }
    return access_device(m, place, bytes, value, write, begin);
}

bool crosses_page(u64 va, unsigned bytes) { return (va & kPageMask) + bytes > kPageSize; }

/// Both pages of a crossing access must be there before anything happens; the fault names the first byte that is not.
Flow check_both(Exec& m, u64 va, unsigned bytes, Access access) {
    const unsigned head = static_cast<unsigned>(kPageSize - (va & kPageMask));
    const Place low = locate(m.hart, va, head, access, m.bus);
    if (!low.ok) return raise_memory(m, low.fault, va);
    const Place high = locate(m.hart, va + head, bytes - head, access, m.bus);
    if (!high.ok) return raise_memory(m, high.fault, va);
    return Flow::Next;
}

} // namespace

Flow Exec::misaligned(Cause cause, u64 address) {
    Trap fault;
    fault.cause = static_cast<u64>(cause), fault.tval = address;
    fault.guest_address = effective_mode(s, Access::Load).virt;
    return raise_memory(*this, fault, address);
}

Flow Exec::load_slow(u64 address, unsigned bytes, Access access, u64& value) {
    if (hart.features().misaligned_traps && address & (bytes - 1)) [[unlikely]] return misaligned(Cause::LoadMisaligned, address);
    if (!crosses_page(address, bytes)) return access_within_page(*this, address, bytes, access, value, false, address);
    if (const Flow checked = check_both(*this, address, bytes, access); checked == Flow::Trap) return checked;
    value = 0;
    Flow flow = Flow::Next;
    for (unsigned i = 0; i < bytes; ++i) {
        u64 byte = 0;
        const Flow one = access_within_page(*this, address + i, 1, access, byte, false, address);
        if (one == Flow::Trap) return one;
        if (one == Flow::Leave) flow = one;
        value |= (byte & 0xff) << (8 * i);
    }
    return flow;
}

Flow Exec::store_slow(u64 address, unsigned bytes, u64 value) {
    if (hart.features().misaligned_traps && address & (bytes - 1)) [[unlikely]] return misaligned(Cause::StoreMisaligned, address);
    if (!crosses_page(address, bytes)) return access_within_page(*this, address, bytes, Access::Store, value, true, address);
    if (const Flow checked = check_both(*this, address, bytes, Access::Store); checked == Flow::Trap) return checked;
    Flow flow = Flow::Next;
    for (unsigned i = 0; i < bytes; ++i) {
        u64 byte = value >> (8 * i) & 0xff;
        const Flow one = access_within_page(*this, address + i, 1, Access::Store, byte, true, address);
        if (one == Flow::Trap) return one;
        if (one == Flow::Leave) flow = one;
    }
    return flow;
}

// Only RAM has cache blocks.
Flow Exec::manage_block(u64 address) {
    const Place place = locate(hart, address & ~(kCacheBlock - 1), kCacheBlock, Access::Load, bus);
    return place.ok && bus.in_ram(place.physical, kCacheBlock) ? Flow::Next : raise_block(*this, place.fault, address);
}

Flow Exec::zero_block(u64 address) {
    const u64 block = address & ~(kCacheBlock - 1);
    const Place place = locate(hart, block, kCacheBlock, Access::Store, bus);
    if (!place.ok || !bus.in_ram(place.physical, kCacheBlock)) return raise_block(*this, place.fault, address);
    Flow flow = Flow::Next;
    for (u64 offset = 0; offset < kCacheBlock && flow != Flow::Trap; offset += 8)
        if (const Flow one = store_slow(block + offset, 8, 0); one != Flow::Next) flow = one;
    return flow;
}

namespace {

/// Where an aligned access for lr and sc goes in RAM: as the TLB has it, or translated anew. Devices have no reservations.
std::optional<u64> place_reservation(Exec& m, const Tlb& tlb, u64 address, unsigned bytes, Access access, Trap& fault) {
    if (const auto known = tlb.physical(address)) return known;
    const Place place = locate(m.hart, address, bytes, access, m.bus);
    if (place.ok && m.bus.in_ram(place.physical, bytes)) return place.physical;
    fault = place.fault;
    return std::nullopt;
}

} // namespace

Flow Exec::load_for_reserve(u64 address, unsigned bytes, u64& value) {
    Trap fault;
    const auto physical = place_reservation(*this, bank->load, address, bytes, Access::Load, fault);
    if (!physical) return raise_memory(*this, fault, address);
    bus.ram.read(bus.ram_offset(*physical), std::span(reinterpret_cast<u8*>(&value), bytes));
    s.reserved = true;
    s.reservation = *physical;
    s.reserved_value = value;
    return Flow::Next;
}

Flow Exec::store_if_reserved(u64 address, unsigned bytes, u64 value, bool& stored) {
    Trap fault;
    const auto physical = place_reservation(*this, bank->store, address, bytes, Access::Store, fault);
    if (!physical) return raise_memory(*this, fault, address);
    u64 now = 0;
    bus.ram.read(bus.ram_offset(*physical), std::span(reinterpret_cast<u8*>(&now), bytes));
    // Another hart that wrote in between is seen by the value (as QEMU does it); rewriting the same value goes unseen.
    stored = s.reserved && s.reservation == *physical && now == (s.reserved_value & (~u64{0} >> (64 - 8 * bytes)));
    s.reserved = false;
    return stored ? store_slow(address, bytes, value) : Flow::Next;
}

// --- A hypervisor's accesses to its guest's memory (section 15.3.1) -----------------------------------------------------

Flow Exec::guest_access(u64 address, unsigned bytes, Access access, u64& value, bool execute_read) {
    if (hart.features().misaligned_traps && address & (bytes - 1)) {
        const Flow flow = misaligned(access == Access::Store ? Cause::StoreMisaligned : Cause::LoadMisaligned, address);
        trap.guest_address = true;
        return flow;
    }
    const PrivMode guest{s[Csr::hstatus] & hstatus::SPVP ? Priv::S : Priv::U, true};
    const u64 first_page = address & ~kPageMask;
    const unsigned head = crosses_page(address, bytes) ? static_cast<unsigned>(kPageSize - (address & kPageMask)) : bytes;
    const Place low = locate_as(hart, guest, address, head, access, bus, execute_read);
    if (!low.ok) return raise_memory(*this, low.fault, address);
    const Place high = head == bytes ? low : locate_as(hart, guest, first_page + kPageSize, bytes - head, access, bus, execute_read);
    if (!high.ok) return raise_memory(*this, high.fault, address);
    const bool write = access == Access::Store;
    const auto in_memory = [&](const Place& place, unsigned count) { return bus.in_ram(place.physical, count) && !(write && bus.watched_page(place.physical)); };
    if (head == bytes && !in_memory(low, bytes)) return access_device(*this, low, bytes, value, write, address);
    if (!in_memory(low, head) || !in_memory(high, head == bytes ? bytes : bytes - head)) return raise_memory(*this, low.fault, address);
    const auto bytes_of_value = std::span(reinterpret_cast<u8*>(&value), bytes);
    if (write) {
        bus.ram.write(bus.ram_offset(low.physical), bytes_of_value.first(head));
        if (head != bytes) bus.ram.write(bus.ram_offset(high.physical), bytes_of_value.subspan(head));
        cache.follow_ram(bus.ram);
        return Flow::Leave;
    }
    bus.ram.read(bus.ram_offset(low.physical), bytes_of_value.first(head));
    if (head != bytes) bus.ram.read(bus.ram_offset(high.physical), bytes_of_value.subspan(head));
    return Flow::Next;
}

} // namespace trapeze
