// Binary translation: the guest's kernel (virtual S and M) runs as a translated copy in the translation cache, its programs (virtual U)
// directly. Memory is shadow paging, as under trap-and-emulate; so are exits, which translated code makes fewer and cheaper.
// docs/translation.md tells the design.
//
// Known inaccuracies:
// - The last 68 KiB of the address space hold the table of indirect targets and the virtual CSR page. A guest kernel that reads there reads
//   these; what it writes to the last page changes its own registers. (Linux and xv6 map nothing there.) The rest of the window can only be
//   executed: what a guest's load or store does there is replayed with the guest's own tables.
// - minstret counts what the hart retired for the guest, translated code's additional instructions included.
// - What a device writes into code is seen at the next fence.i, as the architecture allows (Unprivileged specification, Zifencei).
// - The accessed bit of a page that holds code is set when code is translated from it or its mapping is looked at again after a fence.
// - CSRs that translated code writes in place make no CsrWrite event.
#include "hypervisor-sim/vmm.hpp"

#include <algorithm>
#include <span>

namespace trapeze::vmm {

namespace {

bool is_memory_access(Op op) {
    switch (row(op).format) {
    case Format::Load: case Format::Store: case Format::FLoad: case Format::FStore: case Format::Amo: case Format::Lr: return true;
    default: return false;
    }
}

/// The bytes that an instruction stores to, by the registers before it.
std::optional<std::pair<u64, u64>> stored_bytes(const Instruction& insn, const std::array<u64, 33>& x) {
    const u64 base = x[insn.rs1], width = u64{1} << bits(row(insn.op).match, 13, 12);
    switch (row(insn.op).format) {
    case Format::Store: case Format::FStore: return std::pair(base + static_cast<u64>(static_cast<i64>(insn.imm)), width);
    case Format::Amo: return std::pair(base, width);
    case Format::Cbo: return std::pair(base & ~u64{63}, u64{64});
    default: return std::nullopt;
    }
}

/// The fault that an access would raise if the shadow tables had nothing for it.
Trap as_page_fault(const Instruction& insn, const HartState& state) {
    const Format format = row(insn.op).format;
    const bool offset = format != Format::Amo && format != Format::Lr;
    Trap trap;
    trap.cause = static_cast<u64>(format == Format::Load || format == Format::FLoad || format == Format::Lr ? Cause::LoadPageFault : Cause::StorePageFault);
    trap.tval = state.x[insn.rs1] + (offset ? static_cast<u64>(static_cast<i64>(insn.imm)) : 0);
    return trap;
}

constexpr u32 kMostLimit = 1 << 16; // of HotAccess
constexpr u32 kMostQuiet = 16;

} // namespace

// --- Into the cache -------------------------------------------------------------------------------------------------------------

/// The space of the guest's current tables, looking at them where that is needed.
void Vmm::choose_space(Machine& machine, ExitDossier* dossier) {
    Bus bus = guest_bus(machine);
    const HartState& v = vhart_.state;
    const u64 table = v.priv == Priv::M || get_field(v[Csr::satp], satp::MODE) == satp::kBare ? 0 : v[Csr::satp];
    u64 asked = 0;
    cache_.cursor.space = cache_.choose(machine.ram, v.priv, table, asked, [&](const CodePage& page) {
        const PageWalk walk = vhart_.translate_as(v.mode(), page.va, Access::Fetch, bus);
        table_entries_read_ += walk.steps;
        return walk.outcome == PageWalk::Outcome::Ok && !walk.updates && walk.physical == page.physical;
    });
    if (!table) asked = 0; // nothing to look at
    if (asked) charge(machine, dossier, StepKind::VerifyCode, asked * config_.costs.walk_entry, asked);
}

void Vmm::charge(Machine& machine, ExitDossier* dossier, StepKind kind, u64 cycles, u64 a, u64 b) {
    machine.charge(cycles);
    if (dossier) dossier->add(kind, cycles, a, b);
}

void Vmm::note_code(Machine& machine, EventKind kind, u64 pc, u64 count) {
    Event event;
    event.kind = kind;
    event.time = machine.cycles(), event.pc = pc, event.a = count, event.tag = trace_tag();
    machine.trace.add(event);
}

/// The block at the guest's pc, translated if it is not known. kNoBlock: there is none, for the fetch faults or memory protection divides
/// the page; the instruction must be executed by the VMM.
u32 Vmm::block_at_pc(Machine& machine, ExitDossier* dossier) {
    const u64 pc = vhart_.state.pc;
    const u32 space = cache_.cursor.space;
    if (const u32 known = cache_.find(space, pc); known != kNoBlock) return known;
    Bus bus = guest_bus(machine);
    std::vector<CodePage> pages;
    std::vector<u8> source;
    const auto add_page = [&](u64 va) { // as a fetch does it
        u64 physical = 0;
        bool whole_page = false;
        if (vhart_.fetch_fault(va, bus, physical, whole_page) || !whole_page || bus.watched_page(physical)) return false;
        pages.push_back({va & ~kPageMask, physical & ~kPageMask});
        return true;
    };
    if (pc & 1 || !add_page(pc)) return kNoBlock;
    Translator translator(pc, vhart_.state.priv);
    for (bool goes_on = true; goes_on;) {
        const u64 at = translator.next_pc();
        if (at >> kPageShift != pc >> kPageShift) break;
        u16 halves[2] = {};
        const u64 physical = pages[0].physical | (at & kPageMask);
        bus.ram.read(bus.ram_offset(physical), halves[0]);
        const bool crosses = is_long(halves[0]) && (at & kPageMask) == kPageSize - 2;
        if (crosses) {
            // Only when it is executed may its second page be touched for good.
            const PageWalk walk = vhart_.translate(at + 2, Access::Fetch, bus);
            if (at != pc && (walk.outcome != PageWalk::Outcome::Ok || walk.updates)) break;
            if (!add_page(at + 2)) {
                if (at == pc) return kNoBlock;
                break;
            }
            bus.ram.read(bus.ram_offset(pages[1].physical), halves[1]);
        } else if (is_long(halves[0])) {
            bus.ram.read(bus.ram_offset(physical + 2), halves[1]);
        }
        const Instruction insn = decode(halves[0] | static_cast<u32>(halves[1]) << 16);
        goes_on = translator.add(insn, cache_.is_call_out(physical));
        const auto* bytes = reinterpret_cast<const u8*>(halves);
        source.insert(source.end(), bytes, bytes + insn.length);
    }
    const Translation translation = translator.finish();
    for (const CodePage& page : pages)
        if (!cache_.has_code(page.physical)) shadow_.write_protect(machine.ram, to_host(GuestPhys(page.physical)));
    const u64 emptied = cache_.counts.emptied;
    const u32 block = cache_.add(machine.ram, space, translation, pages, source);
    cache_.watch_source(machine.ram, block, bus.ram_offset(0));
    if (cache_.counts.emptied != emptied) {
        charge(machine, dossier, StepKind::EmptyCache, config_.costs.shadow_flush);
        note_code(machine, EventKind::CodeInvalidated, pc, 0);
    }
    charge(machine, dossier, StepKind::Translate, config_.costs.translate * translation.guest_instructions, pc, translation.guest_instructions);
    note_code(machine, EventKind::BlockTranslated, pc, translation.guest_instructions);
    return block;
}

/// Where in the cache the guest goes on. What the last exit left open is done: a way out is linked, a target put into the table.
u64 Vmm::enter_cache(Machine& machine, ExitDossier* dossier) {
    auto& cursor = cache_.cursor;
    const u64 pc = vhart_.state.pc;
    const u32 space_before = cursor.space;
    choose_space(machine, dossier);
    const bool wanted = cursor.exit != kNoBlock || cursor.fill;
    if (!wanted)
        if (const auto at = cache_.boundary(cursor.block, cursor.space, pc)) return *at;
    const u32 block = block_at_pc(machine, dossier);
    const u32 exit = std::exchange(cursor.exit, kNoBlock);
    const bool fill = std::exchange(cursor.fill, false);
    if (block == kNoBlock) return cache_.outside();
    if (exit != kNoBlock && cursor.space == space_before && cache_.exit(exit).target == pc) {
        cache_.link(machine.ram, exit, block);
        charge(machine, dossier, StepKind::Chain, config_.costs.chain, pc);
        note_code(machine, EventKind::BlockChained, pc, cache_.counts.chained);
    }
    if (fill && cursor.space == space_before) {
        cache_.fill_table(machine.ram, block);
        charge(machine, dossier, StepKind::FillTable, config_.costs.chain, pc);
    }
    return cache_.entry(block);
}

/// The virtual CSR page says what the virtual hart says.
void Vmm::load_csr_page(Machine& machine) {
    Bus bus = guest_bus(machine);
    TranslationCache::Slots values{};
    const bool waits = vhart_.mip(bus) & vhart_.state[Csr::mie];
    values[slots::kPending] = waits ? mstatus::SIE : 0;
    for (std::size_t i = 0; i < std::size(slots::kCsrs); ++i) values[slots::kFirstCsr + i] = vhart_.read_csr(slots::kCsrs[i], bus);
    cache_.write_csr_slots(machine.ram, values);
}

/// What the hart may do in translated code that is not as in the guest: floating point is off unless its state is dirty already, so that the
/// copy of sstatus stays right.
u64 Vmm::float_status() const {
    const u64 fs = vhart_.state[Csr::mstatus] & mstatus::FS;
    return !translating() || fs == mstatus::FS ? fs : 0;
}

// --- Out of the cache -----------------------------------------------------------------------------------------------------------

/// Makes the guest's state from the hart's, which stands at `to.pc` in the cache. `entered_at` and `status` are the guest's pc and mstatus at
/// the entry.
void Vmm::recover(HartState& to, const Ram& ram, u64 entered_at, u64 status) const {
    const TranslationCache::Slots values = cache_.read_slots(ram);
    for (std::size_t i = 0; i < std::size(slots::kCsrs); ++i)
        if (slots::written(slots::kCsrs[i])) to[slots::kCsrs[i]] = values[slots::kFirstCsr + i];
    to[Csr::sepc] &= ~u64{1}, to[Csr::mepc] &= ~u64{1};
    to[Csr::mstatus] = (to[Csr::mstatus] & ~(mstatus::SIE | mstatus::FS)) | (values[slots::kFirstCsr] & mstatus::SIE) | (status & mstatus::FS);
    const auto word = cache_.word_at(to.pc);
    to.pc = entered_at;
    if (!word) return;
    const WordNote& note = cache_.note(*word);
    for (unsigned reg = 1; reg < 32; ++reg)
        if (note.saved >> reg & 1) to.x[reg] = values[reg];
    const u32 block = cache_.block_of(*word);
    if (note.kind & WordNote::Outside || block == kNoBlock) return;
    const CodeBlock& b = cache_.blocks()[block];
    to.pc = note.kind & WordNote::Committed ? cache_.exit(b.first_exit + note.exit).target : b.pc + 2 * u64{note.at};
}

/// Translated code trapped at an address in the cache. Why it called the VMM, if it did so by an ecall.
ExitReason Vmm::leave_cache(const Trap& trap) {
    auto& cursor = cache_.cursor;
    cursor.exit = kNoBlock, cursor.fill = false;
    const auto word = cache_.word_at(trap.epc);
    cursor.block = word ? cache_.block_of(*word) : kNoBlock;
    if (!word || !trap.is(Cause::EcallFromU)) return ExitReason::Outside;
    const WordNote& note = cache_.note(*word);
    if (note.kind & WordNote::CallOut) return ++cache_.counts.call_outs, ExitReason::CallOut;
    if (note.kind & WordNote::Miss) return ++cache_.counts.misses, ExitReason::IndirectMiss;
    if (note.kind & WordNote::Exit && cursor.block != kNoBlock) {
        cursor.exit = cache_.blocks()[cursor.block].first_exit + note.exit;
        return ++cache_.counts.dispatches, ExitReason::Dispatch;
    }
    return ExitReason::Outside;
}

/// Handles an exit that is the cache's own business.
void Vmm::follow_exit(Machine& machine, ExitDossier& dossier) {
    HartState& v = vhart_.state;
    if (dossier.reason == ExitReason::Dispatch) {
        if (cache_.cursor.exit != kNoBlock) v.pc = cache_.exit(cache_.cursor.exit).target;
        dossier.add(StepKind::Lookup, config_.costs.chain, v.pc);
        return;
    }
    emulate(machine, dossier);
    cache_.cursor.fill = !dossier.injected;
    dossier.add(StepKind::Lookup, config_.costs.chain, v.pc);
}

/// After the VMM has executed an instruction of the guest's: what follows from it for translated code. `before` are the registers before.
void Vmm::follow_translated(Machine& machine, ExitDossier& dossier, const Hart::StepResult& result, const std::array<u64, 33>& before) {
    Bus bus = guest_bus(machine);
    unsigned dropped = 0;
    const Instruction& insn = result.instruction;
    if (result.trapped) {
        if (result.trap.to == Priv::M && firmware_.enabled && before[17] == Firmware::kRemoteFence) cache_.fence(std::nullopt), dropped = verify_code(machine);
    } else if (insn.op == Op::fence_i) {
        dropped = verify_code(machine);
    } else if (row(insn.op).format == Format::SfenceVma) {
        cache_.fence(insn.rs1 ? std::optional(before[insn.rs1]) : std::nullopt);
    } else if (const auto stored = stored_bytes(insn, before)) {
        for (u64 at = stored->first, end = at + stored->second; at != end;) { // a page each
            const u64 part = std::min(end - at, kPageSize - (at & kPageMask));
            const PageWalk walk = vhart_.translate(at, Access::Store, bus);
            if (walk.outcome == PageWalk::Outcome::Ok && bus.in_ram(walk.physical, part)) dropped += cache_.invalidate(machine.ram, walk.physical, part);
            at += part;
        }
    }
    if (dropped) note_dropped(machine, dossier, dropped);
}

void Vmm::note_dropped(Machine& machine, ExitDossier& dossier, unsigned blocks) {
    dossier.add(StepKind::Invalidate, config_.costs.chain * blocks, blocks);
    note_code(machine, EventKind::CodeInvalidated, dossier.guest_pc, blocks);
}

unsigned Vmm::verify_code(Machine& machine) {
    Bus bus = guest_bus(machine);
    return cache_.verify_sources(machine.ram, bus.ram_offset(0));
}

void Vmm::drop_all_code(Machine& machine, ExitDossier& dossier) {
    if (const unsigned dropped = cache_.clear(machine.ram)) note_dropped(machine, dossier, dropped);
}

/// Adaptation: a load or store that keeps faulting for the VMM to act becomes a call-out; one that does so no longer becomes plain again.
/// `reason` is why the VMM would act on it, ShadowMiss when it need not.
void Vmm::adapt(Machine& machine, ExitDossier& dossier, ExitReason reason) {
    const Instruction insn = decode(dossier.word);
    if (!is_memory_access(insn.op) || insn.rs1 == 0) return;
    Bus bus = guest_bus(machine);
    const PageWalk code = vhart_.translate_as({dossier.believed, false}, dossier.guest_pc, Access::Fetch, bus);
    if (code.outcome != PageWalk::Outcome::Ok || !bus.in_ram(code.physical, 2)) return;
    const bool called = dossier.reason == ExitReason::CallOut, needed = reason != ExitReason::ShadowMiss;
    if (!called && !needed) return;
    HotAccess& hot = cache_.hot(code.physical);
    if (!called) ++hot.hits;
    hot.quiet = needed ? 0 : hot.quiet + 1;
    const bool want = called ? hot.quiet < kMostQuiet : hot.hits >= hot.limit;
    if (want == static_cast<bool>(hot.call_out)) return;
    hot.call_out = want, hot.hits = hot.quiet = 0;
    if (!want) hot.limit = std::min(hot.limit * 4, kMostLimit);
    ++cache_.counts.adapted;
    const unsigned dropped = cache_.invalidate(machine.ram, code.physical, 2);
    dossier.add(want ? StepKind::AdaptCallOut : StepKind::AdaptPlain, 0, dossier.guest_pc);
    if (dropped) note_dropped(machine, dossier, dropped);
}

/// Why the VMM acts on the access that a call-out stands for, with the steps that say so.
ExitReason Vmm::look_at_access(Machine& machine, ExitDossier& dossier) {
    const Instruction insn = decode(dossier.word);
    if (!is_memory_access(insn.op)) return ExitReason::CallOut;
    Bus bus = guest_bus(machine);
    const Trap fault = as_page_fault(insn, vhart_.state);
    const ExitReason reason = classify_page_fault(fault, bus);
    const PageWalk walk = vhart_.translate(fault.tval, fault.is(Cause::LoadPageFault) ? Access::Load : Access::Store, bus);
    table_entries_read_ += walk.steps;
    if (walk.steps) dossier.add(StepKind::Walk, config_.costs.walk_entry * walk.steps, fault.tval, walk.steps);
    if (reason == ExitReason::Mmio) dossier.add(StepKind::Device, config_.costs.device, walk.physical);
    return reason;
}

/// True when something is pending for the guest that no trap of the hart's will announce. In translated code SIE is in the virtual CSR page,
/// and what waits for it must be known there.
bool Vmm::interrupt_waits(Machine& machine) {
    if (paravirt_.started) return collect_events(machine), event_deliverable(machine);
    Bus bus = guest_bus(machine);
    if (!cache_.cursor.inside) return vhart_.pending_interrupt(bus);
    const TranslationCache::Slots values = cache_.read_slots(machine.ram);
    u64& status = vhart_.state[Csr::mstatus];
    const u64 kept = status;
    status = (status & ~mstatus::SIE) | (values[slots::kFirstCsr] & mstatus::SIE);
    const bool due = vhart_.pending_interrupt(bus) || (!values[slots::kPending] && vhart_.mip(bus) & vhart_.state[Csr::mie]);
    status = kept;
    return due;
}

// --- Watching -------------------------------------------------------------------------------------------------------------------

/// The debugger's watches are the guest's, so in translated code they are looked at where a guest instruction begins.
Stop Vmm::run_hart(Machine& machine, u64 budget, const Watch& watch) {
    if (!cache_.cursor.inside || watch.empty()) return machine.run(budget, watch);
    Bus bus = guest_bus(machine);
    Stop total;
    while (total.executed < budget) {
        Stop one = machine.run(1);
        one.executed += total.executed;
        total = one;
        if (total.kind != StopKind::Budget) return total;
        const auto word = cache_.word_at(machine.hart().state.pc);
        if (!word || !(cache_.note(*word).kind & WordNote::Boundary)) continue;
        HartState kept = guest_state(machine);
        std::swap(kept, vhart_.state);
        const bool hit = watch_hits(watch, vhart_, bus);
        std::swap(kept, vhart_.state);
        if (hit) return total.kind = StopKind::Breakpoint, total;
    }
    return total;
}

} // namespace trapeze::vmm
