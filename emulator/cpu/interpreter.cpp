// The interpreter: decodes straight-line code once into blocks and runs them by threaded dispatch. Instruction counts and interrupt
// points are exact: a run ends after precisely the instructions it was given.
#include "emulator/cpu/body_machine.hpp"

#include <algorithm>

namespace trapeze {

namespace {

// Every body of the table, instantiated for integers. Privilege and gates are checked here, from the row.
template <Op op> struct Body;
#define INSN(id, mnemonic, match, mask, format, extension, lowest_priv, gate_name, sensitivity, ...)                       \
    template <> struct Body<Op::id> {                                                                                     \
        static constexpr bool kChecked = Priv::lowest_priv != Priv::U || Gate::gate_name != Gate::None;                    \
        static constexpr bool kFloat = Gate::gate_name == Gate::Fs;                                                       \
        template <class M> [[gnu::always_inline]] static inline Flow run([[maybe_unused]] M& m) __VA_ARGS__              \
    };
#include "emulator/isa/instructions.def"

template <Op op> [[gnu::always_inline]] inline Flow execute(BodyMachine& m) {
    if constexpr (Body<op>::kFloat) {
        if (m.e.floats_off) [[unlikely]] return m.illegal();
    } else if constexpr (Body<op>::kChecked) {
        if (const auto fault = m.e.hart.instruction_fault(op)) [[unlikely]] return m.out_of_line().refused(*fault);
    }
    return Body<op>::run(m);
}

using StepFunction = Flow (*)(BodyMachine&);
template <Op op> Flow step_function(BodyMachine& m) { return execute<op>(m); }
Flow step_illegal(BodyMachine& m) { return m.illegal(); }
constexpr StepFunction kSteps[] = {
#define INSN(id, ...) step_function<Op::id>,
#include "emulator/isa/instructions.def"
    step_illegal,
};

/// True for instructions after which the next one is not at pc + length, or must be fetched anew: a block ends with them.
bool ends_block(const Instruction& insn) {
    switch (row(insn.op).format) {
    case Format::B: case Format::J: case Format::Jalr: return true;
    case Format::None: case Format::SfenceVma: return true;
    default: return insn.op == Op::Illegal;
    }
}

DecodedInsn prepare(const Instruction& insn) {
    DecodedInsn d;
    d.imm = insn.imm, d.word = insn.word, d.op = insn.op, d.length = insn.length, d.rm = insn.rm;
    d.rd = insn.rd ? insn.rd : 32;
    d.rs1 = insn.rs1, d.rs2 = insn.rs2, d.rs3 = insn.rs3;
    const Format format = row(insn.op).format;
    const bool float_destination = format == Format::FLoad || format == Format::FR || format == Format::FRm || format == Format::FRm1 ||
                                   format == Format::FR4 || format == Format::XToF || format == Format::XToFRm;
    if (float_destination) d.rd = insn.rd;
    return d;
}

/// Where an instruction fetch goes in RAM, or the trap.
struct FetchPlace {
    bool ok = false;
    u64 ram_offset = 0;
    Trap trap;
};

class Interpreter {
  public:
    Interpreter(Hart& hart, HartCache& cache, Bus& bus, u64 limit) : hart_(hart), cache_(cache), bus_(bus), e_(hart, bus, limit) {
        cache_.set_mode(hart.state.mode());
    }

    enum class End : u8 { Limit, Leave, Trap };
    /// Runs up to `limit` instructions. Trap: in trap(), the state's pc is its epc.
    End run();
    /// Instructions that completed.
    u64 executed() const { return e_.limit - e_.left; }
    /// The same for a single instruction, without blocks; what it was is in `last`.
    [[gnu::noinline]] End single(Instruction& last);
    const Trap& trap() const { return e_.trap; }

  private:
    FetchPlace place_fetch(u64 pc);
    [[gnu::noinline]] Block* find(u64 pc);
    Block* look_up(u64 pc);
    [[gnu::noinline]] Block* find_next(Block& block, bool taken, u64 pc);
    Block* decode_block(u64 ram_offset);
    [[gnu::noinline]] End finish(Flow flow, const DecodedInsn* insn);

    Hart& hart_;
    HartCache& cache_;
    Bus& bus_;
    Exec e_;
    const void* const* labels_ = nullptr;
};

FetchPlace Interpreter::place_fetch(u64 pc) {
    const u64 page = pc >> kPageShift;
    HartCache::FetchEntry& entry = cache_.fetch[page % HartCache::kFetchEntries];
    if (entry.page == page && entry.context == cache_.context) return {true, entry.ram_page << kPageShift | (pc & kPageMask), {}};
    FetchPlace place;
    u64 physical = 0;
    bool whole_page = false;
    if (const auto fault = hart_.fetch_fault(pc, bus_, physical, whole_page)) {
        place.trap = *fault;
        return place;
    }
    place.ok = true;
    place.ram_offset = bus_.ram_offset(physical);
    if (whole_page && (bus_.ram_offset(physical & ~kPageMask) & kPageMask) == 0)
        entry = {page, place.ram_offset >> kPageShift, cache_.context};
    return place;
}

/// Null: its first instruction crosses into the next page.
Block* Interpreter::decode_block(u64 ram_offset) {
    std::array<DecodedInsn, Block::kMaxInsns + 1> insns;
    Block block;
    block.ram_offset = ram_offset;
    const u64 page_end = (ram_offset & ~kPageMask) + kPageSize;
    u64 at = ram_offset;
    while (block.count < Block::kMaxInsns && at < page_end) {
        u16 low = 0;
        bus_.ram.read(at, low);
        u32 word = low;
        if (is_long(low)) {
            if (at + 4 > page_end) break; // crosses into the next page: done one by one
            bus_.ram.read(at, word);
        }
        const Instruction insn = decode(word);
        DecodedInsn& d = insns[block.count++] = prepare(insn);
        d.offset = static_cast<u16>(at - ram_offset);
        d.handler = labels_[static_cast<std::size_t>(insn.op)];
        at += insn.length;
        if (ends_block(insn)) break;
    }
    if (!block.count) return nullptr;
    block.bytes = static_cast<u16>(at - ram_offset);
    DecodedInsn& sentinel = insns[block.count];
    sentinel.offset = block.bytes;
    sentinel.length = 0;
    sentinel.handler = labels_[kOpCount + 1];
    bus_.ram.mark_code(ram_offset, block.bytes);
    block.version = bus_.ram.code_version(ram_offset >> kPageShift);
    cache_.follow_ram(bus_.ram);
    return cache_.block_memory.add(block, std::span(insns).first(block.count + 1u));
}

/// The block that starts at `pc`, decoded if need be; null when one must step (page crossing, or the fetch faults).
Block* Interpreter::find(u64 pc) {
    Block*& jump = cache_.jump(pc);
    if (jump && jump->is_at(pc, cache_.context)) [[likely]] return jump;
    const FetchPlace place = place_fetch(pc);
    if (!place.ok) return nullptr;
    const u32 version = bus_.ram.code_version(place.ram_offset >> kPageShift);
    const auto holds = [&](const Block* block) { return block && block->ram_offset == place.ram_offset && block->version == version; };
    Block* block = jump; // a fence may have passed, and the code be where it was
    if (!holds(block)) {
        if (cache_.block_memory.full()) cache_.flush_blocks();
        Block*& known = cache_.blocks[place.ram_offset];
        if (!holds(known)) known = decode_block(place.ram_offset);
        block = known;
        if (!block) return nullptr;
    }
    block->pc = pc, block->context = cache_.context;
    return jump = block;
}

/// What follows a block, noted in it.
Block* Interpreter::find_next(Block& block, bool taken, u64 pc) {
    const u64 before = cache_.context;
    Block* const next = find(pc);
    if (cache_.context == before) block.next[taken] = next; // else all blocks may be gone, this one with them
    return next;
}

/// Leaves the state exact after instruction `insn` ended with `flow`.
Interpreter::End Interpreter::finish(Flow flow, const DecodedInsn* insn) {
    const bool completed = flow != Flow::Trap;
    const u64 pc = e_.block_pc + insn->offset;
    hart_.state.pc = flow == Flow::Trap ? pc : flow == Flow::Jump || flow == Flow::LeaveTo ? e_.target : pc + insn->length;
    e_.left -= static_cast<u64>(insn - e_.first) + completed;
    e_.first = e_.d = insn;
    if (flow == Flow::Trap) e_.trap.epc = pc;
    return flow == Flow::Trap ? End::Trap : flow == Flow::Next || flow == Flow::Jump ? End::Limit : End::Leave;
}

Interpreter::End Interpreter::single(Instruction& last) {
    HartState& s = hart_.state;
    DecodedInsn insn;
    e_.block_pc = s.pc;
    e_.first = e_.d = &insn;
    last = {};
    last.length = 0;
    const FetchPlace low_place = place_fetch(s.pc);
    if (!low_place.ok) return e_.trap = low_place.trap, finish(Flow::Trap, &insn);
    u16 low = 0;
    bus_.ram.read(low_place.ram_offset, low);
    u32 word = low;
    if (is_long(low)) {
        const FetchPlace high_place = (s.pc & kPageMask) == kPageSize - 2 ? place_fetch(s.pc + 2) : FetchPlace{true, low_place.ram_offset + 2, {}};
        if (!high_place.ok) return e_.trap = high_place.trap, finish(Flow::Trap, &insn);
        u16 high = 0;
        bus_.ram.read(high_place.ram_offset, high);
        word |= static_cast<u32>(high) << 16;
    }
    last = decode(word);
    insn = prepare(last);
    BodyMachine m(e_);
    m.d = &insn;
    const Flow flow = kSteps[static_cast<std::size_t>(insn.op)](m);
    if (flow == Flow::Jump) e_.target = m.target;
    return finish(flow, &insn);
}

// Flattened: a body that were called would need the machine in memory, and each instruction would wait for it.
[[gnu::flatten]] Interpreter::End Interpreter::run() {
    static const void* const kLabels[] = {
#define INSN(id, ...) &&op_##id,
#include "emulator/isa/instructions.def"
        &&op_illegal,
        &&block_end,
    };
    labels_ = kLabels;
    Exec& e = e_;
    BodyMachine m(e);
    m.target = e.s.pc;
    Block* block = nullptr;
    u64 left = e.left; // after the block at hand
    Flow flow = Flow::Next;

next_block:
    if (!left) goto one_by_one;
    block = find(m.target);
    if (!block) [[unlikely]] goto one_by_one;
enter:
    if (block->count > left) [[unlikely]] goto one_by_one;
    e.left = left;
    left -= block->count;
    e.block_pc = m.target;
    e.first = m.d = block->insns();
    goto *m.d->handler;

    // One label a row. What a body can return is known to the compiler, so most of these tests vanish.
#define INSN(id, ...)                                                                                                     \
    op_##id : flow = execute<Op::id>(m);                                                                                  \
    if (flow == Flow::Next) [[likely]] {                                                                                   \
        ++m.d;                                                                                                            \
        goto *m.d->handler;                                                                                               \
    }                                                                                                                     \
    if (flow == Flow::Jump) goto jump;                                                                                    \
    goto leave;
#include "emulator/isa/instructions.def"

op_illegal:
    flow = m.illegal();
    goto leave;
block_end:
    m.target = m.pc();
    m.taken = false;
jump:
    if (Block* const next = block->next[m.taken]; next && next->is_at(m.target, cache_.context)) [[likely]] {
        block = next;
        goto enter;
    }
    if (!left) goto one_by_one;
    block = find_next(*block, m.taken, m.target);
    if (block) [[likely]] goto enter;
one_by_one: { // what is left is shorter than the block, or there is none
    e.left = left;
    e.s.pc = m.target;
    if (!left) return End::Limit;
    Instruction last;
    if (const End end = single(last); end != End::Limit) return end;
    m.target = e.s.pc, left = e.left;
    goto next_block;
}
leave:
    return finish(flow, m.d);
}

/// Cycles until the next timer line of this hart rises, or a device acts by itself; at least 1.
u64 cycles_to_timer(const Hart& hart, const Bus& bus) {
    const HartState& s = hart.state;
    const u64 now = ticks_of(s.cycles);
    u64 next = bus.board.next_event(now);
    if (const u64 tick = bus.board.next_tick(hart.id()); tick > now) next = std::min(next, tick);
    if (const u64 tick = s[Csr::stimecmp]; s[Csr::menvcfg] & menvcfg::STCE && tick > now) next = std::min(next, tick);
    if (const u64 tick = guest_timer_tick(s); tick > now) next = std::min(next, tick);
    if (next > ~u64{0} / kCyclesPerTick) return ~u64{0};
    return next * kCyclesPerTick - s.cycles;
}

bool writes_watched_csr(const Watch& watch, const Instruction& insn) {
    const Format format = row(insn.op).format;
    if (format != Format::Csr && format != Format::CsrI) return false;
    const bool writes = insn.op == Op::csrrw || insn.op == Op::csrrwi || insn.rs1 != 0;
    return writes && std::find(watch.csr_writes.begin(), watch.csr_writes.end(), static_cast<u16>(insn.imm)) != watch.csr_writes.end();
}

/// The bytes that an instruction would load or store, and which of both; nothing for one that does neither.
std::optional<DataWatch> data_access(const Instruction& insn, const HartState& s) {
    const InstructionRow& r = row(insn.op);
    const u64 base = s.x[insn.rs1], offset = base + static_cast<u64>(static_cast<i64>(insn.imm));
    const u64 bytes = u64{1} << bits(r.match, 13, 12); // the width is in funct3's low bits
    switch (r.format) {
    case Format::Load: case Format::FLoad: return DataWatch{offset, offset + bytes, true, false};
    case Format::Store: case Format::FStore: return DataWatch{offset, offset + bytes, false, true};
    case Format::Lr: return DataWatch{base, base + bytes, true, false};
    case Format::Amo: return DataWatch{base, base + bytes, insn.op != Op::sc_w && insn.op != Op::sc_d, true};
    case Format::Cbo: {
        const u64 block = base & ~(Exec::kCacheBlock - 1);
        return insn.op == Op::cbo_zero ? std::optional(DataWatch{block, block + Exec::kCacheBlock, false, true}) : std::nullopt;
    }
    default: return std::nullopt;
    }
}

bool touches_watched_data(const Watch& watch, const Instruction& insn, const HartState& s) {
    const auto access = data_access(insn, s);
    return access && std::any_of(watch.data.begin(), watch.data.end(), [&](const DataWatch& d) {
        return ((d.loads && access->loads) || (d.stores && access->stores)) && access->begin < d.end && d.begin < access->end;
    });
}

Trap interrupt_trap(u64 cause, u64 pc) {
    Trap trap;
    trap.cause = cause;
    trap.epc = pc;
    return trap;
}

/// Host floating-point flags belong to the guest while it runs.
class FloatScope {
  public:
    explicit FloatScope(HartState& s) : s_(s) {}
    ~FloatScope() { s_[Csr::fcsr] |= fpu::HostFloats::take_flags(); }
    FloatScope(const FloatScope&) = delete;
    FloatScope& operator=(const FloatScope&) = delete;

  private:
    HartState& s_;
    fpu::HostFloats host_;
};

} // namespace

bool watch_hits(const Watch& watch, const Hart& hart, Bus& bus) {
    if (std::find(watch.pcs.begin(), watch.pcs.end(), hart.state.pc) != watch.pcs.end()) return true;
    if (watch.csr_writes.empty() && watch.data.empty()) return false;
    const auto word = hart.fetch_word(hart.state.pc, bus);
    if (!word) return false;
    const Instruction insn = decode(*word);
    return writes_watched_csr(watch, insn) || touches_watched_data(watch, insn, hart.state);
}

Stop Hart::run(Bus& bus, u64 budget, const Watch& watch) {
    FloatScope floats(state);
    cache_->follow(bus);
    Stop stop;
    stop.hart = id_;
    const bool watched = !watch.empty();
    const auto trapped = [&](Trap trap) {
        trap = deliver(trap, bus);
        ++stop.executed;
        ++state.cycles;
        stop.trap = trap;
        if (!trap.to_virt && occupied(trap.to)) return stop.kind = StopKind::SeatTrap, true;
        if (watch.every_trap) return stop.kind = StopKind::Breakpoint, true;
        return false;
    };
    while (stop.executed < budget) {
        if (bus.board.halt) return stop.kind = StopKind::Halted, stop;
        if (state.waiting) {
            if (!(mip(bus) & state[Csr::mie])) return stop.kind = StopKind::Wfi, stop;
            state.waiting = false;
        }
        if (const u64 cause = pending_interrupt(bus)) {
            if (trapped(interrupt_trap(cause, state.pc))) return stop;
            continue;
        }
        cache_->follow_ram(bus.ram); // a device that was due may have written memory
        u64 limit = std::min(budget - stop.executed, cycles_to_timer(*this, bus));
        if (watched) {
            if (stop.executed && watch_hits(watch, *this, bus)) return stop.kind = StopKind::Breakpoint, stop;
            limit = 1;
        }
        const u64 retired = state.retired, cycles = state.cycles;
        Interpreter interpreter(*this, *cache_, bus, limit);
        const Interpreter::End end = interpreter.run();
        state.retired = retired + interpreter.executed();
        state.cycles = cycles + interpreter.executed();
        state.x[32] = 0;
        stop.executed += interpreter.executed();
        if (end == Interpreter::End::Trap && trapped(interpreter.trap())) return stop;
    }
    if (bus.board.halt) stop.kind = StopKind::Halted;
    return stop;
}

Hart::StepResult Hart::step(Bus& bus) {
    FloatScope floats(state);
    cache_->follow(bus);
    StepResult result;
    state.waiting = false;
    if (const u64 cause = pending_interrupt(bus)) {
        result.trapped = true;
        result.trap = deliver(interrupt_trap(cause, state.pc), bus);
        ++state.cycles;
        return result;
    }
    cache_->follow_ram(bus.ram); // a device that was due may have written memory
    const u64 retired = state.retired, cycles = state.cycles;
    Interpreter interpreter(*this, *cache_, bus, 1);
    const Interpreter::End end = interpreter.single(result.instruction);
    state.retired = retired + (end != Interpreter::End::Trap);
    state.cycles = cycles + 1;
    state.x[32] = 0;
    if (end == Interpreter::End::Trap) {
        result.trapped = true;
        result.trap = deliver(interpreter.trap(), bus);
    }
    return result;
}

} // namespace trapeze
