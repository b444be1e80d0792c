// Memory as a hart sees it: translation, physical memory protection, the slow paths behind the TLB.
#include "emulator/cpu/exec.hpp"

#include <algorithm>

namespace trapeze {

// --- Caches -----------------------------------------------------------------------------------------------------------

void HartCache::Bank::clear() {
    if (!used) return;
    for (std::size_t i = 0; i < kTlbEntries; ++i) load[i].tag = store[i].tag = (i ^ 1) << kPageShift;
    used = false;
}
HartCache::HartCache() {
    for (Bank& bank : banks) bank.clear();
}
void HartCache::flush_translations() {
    for (Bank& bank : banks) bank.clear();
    epoch += 4;
    superpages = false;
}
void HartCache::flush_page(u64 va) {
    if (superpages) return flush_translations();
    const std::size_t i = index_of(va);
    for (Bank& bank : banks) bank.load[i].tag = bank.store[i].tag = (i ^ 1) << kPageShift;
    epoch += 4;
}
void HartCache::flush_stores() {
    for (Bank& bank : banks)
        for (std::size_t i = 0; i < kTlbEntries; ++i) bank.store[i].tag = (i ^ 1) << kPageShift;
}
void HartCache::flush_loads() {
    for (Bank& bank : banks)
        for (std::size_t i = 0; i < kTlbEntries; ++i) bank.load[i].tag = (i ^ 1) << kPageShift;
}
void HartCache::flush_blocks() {
    blocks.clear();
    epoch += 4;
}
void HartCache::flush_all() {
    flush_blocks();
    flush_translations();
}
void HartCache::follow(const Bus& bus) {
    if (ram != &bus.ram || bus_base != bus.base || bus_offset != bus.offset || bus_size != bus.size) {
        flush_all();
        ram = &bus.ram, bus_base = bus.base, bus_offset = bus.offset, bus_size = bus.size;
        map_generation = bus.ram.map_generation(), code_generation = bus.ram.code_generation();
        mark_generation = bus.ram.mark_generation();
    }
    follow_ram(bus.ram);
}
void HartCache::follow_ram(const Ram& now) {
    if (map_generation != now.map_generation()) {
        for (Bank& bank : banks) bank.clear();
        map_generation = now.map_generation();
    }
    if (mark_generation != now.mark_generation()) {
        flush_stores();
        mark_generation = now.mark_generation();
    }
    if (code_generation != now.code_generation()) {
        epoch += 4; // jumps go through the block table again, which looks at versions
        code_generation = now.code_generation();
    }
}

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

PmpVerdict pmp_check(const HartState& s, u64 address, unsigned bytes, Access access, Priv priv) {
    const u64 page = address & ~kPageMask;
    bool whole_page = true;
    if ((s[Csr::pmpcfg0] | s[Csr::pmpcfg2]) == 0) return {priv == Priv::M, true};
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

Priv effective_priv(const HartState& s, Access access) {
    const u64 status = s[Csr::mstatus];
    if (access != Access::Fetch && s.priv == Priv::M && status & mstatus::MPRV) return static_cast<Priv>(get_field(status, mstatus::MPP));
    return s.priv;
}

Cause fault_cause(Access access, bool page_fault) {
    switch (access) {
    case Access::Fetch: return page_fault ? Cause::InstructionPageFault : Cause::InstructionAccess;
    case Access::Load: return page_fault ? Cause::LoadPageFault : Cause::LoadAccess;
    default: return page_fault ? Cause::StorePageFault : Cause::StoreAccess;
    }
}

bool translates(const HartState& s, Priv priv) { return priv != Priv::M && get_field(s[Csr::satp], satp::MODE) != satp::kBare; }

PageWalk walk(const HartState& s, Priv priv, u64 va, Access access, const Bus& bus) {
    PageWalk result;
    if (!translates(s, priv)) {
        result.outcome = PageWalk::Outcome::Ok;
        result.physical = va;
        result.page_size = kPageSize;
        return result;
    }
    const u64 status = s[Csr::mstatus];
    const AccessRights rights{priv, (status & mstatus::SUM) != 0, (status & mstatus::MXR) != 0, (s[Csr::menvcfg] & menvcfg::ADUE) != 0};
    return walk_sv39(s[Csr::satp], va, access, rights, [&](u64 address, u64& entry) {
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
    u64 page_size = 0;
    Cause fault = Cause::LoadAccess;
};

Place locate(const HartState& s, u64 va, unsigned bytes, Access access, Bus& bus) {
    const Priv priv = effective_priv(s, access);
    const PageWalk result = walk(s, priv, va, access, bus);
    Place place;
    if (result.outcome != PageWalk::Outcome::Ok) {
        place.fault = fault_cause(access, result.outcome == PageWalk::Outcome::PageFault);
        return place;
    }
    const PmpVerdict verdict = pmp_check(s, result.physical, bytes, access, priv);
    place.fault = fault_cause(access, false);
    if (!verdict.allowed) return place;
    if (result.update_ad) {
        if (!pmp_check(s, result.leaf_address, sizeof(u64), Access::Store, Priv::S).allowed) return place;
        bus.ram.write_value(bus.ram_offset(result.leaf_address), result.leaf);
    }
    place.ok = true;
    place.physical = result.physical;
    place.page_size = result.page_size;
    place.whole_page = verdict.whole_page;
    return place;
}

} // namespace

Hart::Protection Hart::protection(u64 physical, unsigned bytes, Access access, Priv priv) const {
    const PmpVerdict verdict = pmp_check(state, physical, bytes, access, priv);
    return {verdict.allowed, verdict.whole_page};
}
PageWalk Hart::translate_as(Priv priv, u64 va, Access access, Bus& bus) const { return walk(state, priv, va, access, bus); }
PageWalk Hart::translate(u64 va, Access access, Bus& bus) const { return walk(state, effective_priv(state, access), va, access, bus); }

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

std::optional<Cause> Hart::fetch_fault(u64 va, Bus& bus, u64& physical, bool& whole_page) {
    const Place place = locate(state, va, 2, Access::Fetch, bus);
    if (!place.ok) return place.fault;
    if (!bus.in_ram(place.physical, 2)) return Cause::InstructionAccess;
    physical = place.physical;
    whole_page = place.whole_page && bus.in_ram(place.physical & ~kPageMask, kPageSize);
    return std::nullopt;
}

// --- Slow paths -----------------------------------------------------------------------------------------------------------

namespace {

/// Remembers a data page that may be touched in place.
void remember(Exec& m, u64 va, const Place& place, Access access) {
    if (!place.whole_page || !m.bus.in_ram(place.physical & ~kPageMask, kPageSize)) return;
    const u64 page = m.bus.ram_offset(place.physical) >> kPageShift;
    if (m.bus.ram_offset(place.physical & ~kPageMask) & kPageMask) return;
    m.bank->used = true;
    m.cache.superpages |= place.page_size > kPageSize;
    const std::size_t index = HartCache::index_of(va);
    const u64 va_page = va & ~kPageMask;
    if (access == Access::Load) {
        m.bank->load[index] = {va_page, reinterpret_cast<u64>(m.bus.ram.page_for_read(page)) - va_page};
    } else if (!m.bus.ram.has_code(page) && !m.bus.watched_page(place.physical)) {
        u8* const host = m.bus.ram.page_for_write(page);
        m.cache.follow_ram(m.bus.ram); // the page may have moved
        m.bank->used = true;
        m.bank->store[index] = {va_page, reinterpret_cast<u64>(host) - va_page};
    }
}

/// One access that does not cross a page.
Flow access_within_page(Exec& m, u64 va, unsigned bytes, Access access, u64& value, bool write) {
    const Place place = locate(m.s, va, bytes, access, m.bus);
    if (!place.ok) return m.raise(place.fault, va);
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
    m.sync();
    const bool answered = write ? m.bus.write(place.physical, bytes, value, m.s.cycles) : m.bus.read(place.physical, bytes, value, m.s.cycles);
    if (!answered) return m.raise(place.fault, va);
    m.cache.follow_ram(m.bus.ram); // the device may have written memory
    return Flow::Leave;
}

bool crosses_page(u64 va, unsigned bytes) { return (va & kPageMask) + bytes > kPageSize; }

/// Both pages of a crossing access must be there before anything happens; the fault names the first byte that is not.
Flow check_both(Exec& m, u64 va, unsigned bytes, Access access) {
    const unsigned head = static_cast<unsigned>(kPageSize - (va & kPageMask));
    const Place low = locate(m.s, va, head, access, m.bus);
    if (!low.ok) return m.raise(low.fault, va);
    const Place high = locate(m.s, va + head, bytes - head, access, m.bus);
    if (!high.ok) return m.raise(high.fault, va + head);
    return Flow::Next;
}

} // namespace

Flow Exec::load_slow(u64 address, unsigned bytes, Access access, u64& value) {
    if (!crosses_page(address, bytes)) return access_within_page(*this, address, bytes, access, value, false);
    if (const Flow checked = check_both(*this, address, bytes, access); checked == Flow::Trap) return checked;
    value = 0;
    Flow flow = Flow::Next;
    for (unsigned i = 0; i < bytes; ++i) {
        u64 byte = 0;
        const Flow one = access_within_page(*this, address + i, 1, access, byte, false);
        if (one == Flow::Trap) return one;
        if (one == Flow::Leave) flow = one;
        value |= (byte & 0xff) << (8 * i);
    }
    return flow;
}

Flow Exec::store_slow(u64 address, unsigned bytes, u64 value) {
    if (!crosses_page(address, bytes)) return access_within_page(*this, address, bytes, Access::Store, value, true);
    if (const Flow checked = check_both(*this, address, bytes, Access::Store); checked == Flow::Trap) return checked;
    Flow flow = Flow::Next;
    for (unsigned i = 0; i < bytes; ++i) {
        u64 byte = value >> (8 * i) & 0xff;
        const Flow one = access_within_page(*this, address + i, 1, Access::Store, byte, true);
        if (one == Flow::Trap) return one;
        if (one == Flow::Leave) flow = one;
    }
    return flow;
}

Flow Exec::load_for_reserve(u64 address, unsigned bytes, u64& value) {
    const Place place = locate(s, address, bytes, Access::Load, bus);
    if (!place.ok) return raise(place.fault, address);
    if (!bus.in_ram(place.physical, bytes)) return raise(Cause::LoadAccess, address); // devices have no reservations
    bus.ram.read(bus.ram_offset(place.physical), std::span(reinterpret_cast<u8*>(&value), bytes));
    s.reserved = true;
    s.reservation = place.physical;
    s.reserved_value = value;
    return Flow::Next;
}

Flow Exec::store_if_reserved(u64 address, unsigned bytes, u64 value, bool& stored) {
    const Place place = locate(s, address, bytes, Access::Store, bus);
    if (!place.ok) return raise(place.fault, address);
    if (!bus.in_ram(place.physical, bytes)) return raise(Cause::StoreAccess, address);
    u64 now = 0;
    bus.ram.read(bus.ram_offset(place.physical), std::span(reinterpret_cast<u8*>(&now), bytes));
    // Another hart that wrote in between is seen by the value (as QEMU does it); rewriting the same value goes unseen.
    stored = s.reserved && s.reservation == place.physical && now == (s.reserved_value & (~u64{0} >> (64 - 8 * bytes)));
    s.reserved = false;
    return stored ? store_slow(address, bytes, value) : Flow::Next;
}

} // namespace trapeze
