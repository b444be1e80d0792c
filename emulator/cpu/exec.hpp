// Exec: what the instructions of one run share, and all that they do out of line: system instructions, and memory that misses the
// TLB. The instruction at hand is `d`; what traps is left in `trap` and Flow::Trap returned.
#pragma once

#include "emulator/cpu/fpu.hpp"
#include "emulator/cpu/hart_cache.hpp"

namespace trapeze {

/// How control goes on after a body.
enum class Flow : u8 {
    Next,  ///< the next instruction of the block
    Jump,  ///< `target`
    Leave, ///< the next instruction, after looking again at interrupts, privilege and time
    LeaveTo, ///< `target`, after the same
    Trap,  ///< Exec::trap is to be delivered; the instruction has not retired
};
enum class CsrOp : u8 { Write, Set, Clear };

struct Exec {
    static constexpr u64 kCacheBlock = 64; ///< bytes; the device tree says so

    Hart& hart;
    HartState& s;
    HartCache& cache;
    Bus& bus;
    HartCache::Bank* bank;               ///< data TLB of the effective privilege
    const DecodedInsn* d = nullptr;      ///< the current instruction; in a block up to date only out of line
    const DecodedInsn* first = nullptr;  ///< first instruction of the block
    u64 block_pc = 0;
    const u64 limit;                     ///< instructions that the run may take
    u64 left;                            ///< ... of which this many were left before this block
    u64 retired_start, cycles_start;
    u64 target = 0;
    Trap trap{};
    // The floating-point unit. Whatever else changes what these are taken from ends a run.
    bool floats_off;      ///< its instructions are illegal
    bool floats_dirty;    ///< FS says so already
    u8 host_rounds = 0;   ///< bit n: an instruction whose rm is n rounds as the host does, and floats_dirty

    Exec(Hart& h, Bus& b, u64 most) : hart(h), s(h.state), cache(*h.cache_), bus(b), limit(most), left(most), retired_start(s.retired), cycles_start(s.cycles) {
        select_bank();
        floats_off = fs_off(s), floats_dirty = fs_dirty(s);
        if (floats_dirty) select_host_rounding();
    }

    void select_bank() {
        const u64 status = s[Csr::mstatus];
        PrivMode mode = s.mode();
        if (status & mstatus::MPRV && s.priv == Priv::M) {
            mode.priv = static_cast<Priv>(get_field(status, mstatus::MPP));
            mode.virt = mode.priv != Priv::M && status & mstatus::MPV;
        }
        bank = &cache.bank(HartCache::bank_of(mode, status, s[Csr::vsstatus]));
    }
    /// Instructions completed before the current one.
    u64 completed() const { return limit - left + static_cast<u64>(d - first); }
    /// Makes the state's counters exact for what can read them.
    void sync() {
        s.retired = retired_start + completed();
        s.cycles = cycles_start + completed();
    }
    u64 pc() const { return block_pc + d->offset; }
    void rd(u64 value) { s.x[d->rd] = value; }

    // Traps.
    Flow raise(Cause cause, u64 tval) {
        trap = {};
        trap.cause = static_cast<u64>(cause);
        trap.tval = tval;
        return Flow::Trap;
    }
    /// The instruction may not be executed: as an illegal or a virtual instruction.
    Flow refused(Cause cause) { return raise(cause, d->word); }
    Flow illegal() { return refused(Cause::IllegalInstruction); }
    Flow misaligned(Cause cause, u64 address);

    // System instructions.
    Flow ecall() {
        if (s.virt && s.priv == Priv::S) return raise(Cause::EcallFromVs, 0);
        return raise(static_cast<Cause>(static_cast<u64>(Cause::EcallFromU) + static_cast<u64>(s.priv)), 0);
    }
    Flow ebreak() {
        const Flow flow = raise(Cause::Breakpoint, pc());
        trap.guest_address = s.virt;
        return flow;
    }
    Flow mret();
    Flow sret();
    Flow wfi();
    void sfence_vma(u64 address, u64 asid);
    Flow hfence();
    Flow csr(CsrOp op, u64 operand);

    // Floating point.
    void select_host_rounding() {
        constexpr u8 kStatic = 1 << fpu::RNE, kDynamic = 1 << fpu::kDynamic;
        host_rounds = bits(s[Csr::fcsr], 7, 5) == fpu::RNE ? kStatic | kDynamic : kStatic;
    }
    /// A register or a flag was written.
    void dirty_floats() {
        if (floats_dirty) [[likely]] return;
        set_fs_dirty(s);
        floats_dirty = true;
        select_host_rounding();
    }
    void accrue(u32 flags) {
        if (!flags) [[likely]] return;
        s[Csr::fcsr] |= flags;
        dirty_floats();
    }
    /// The rounding mode of an instruction; false when it is reserved (the instruction is illegal).
    bool rounding(u8 rm, u8& mode) const {
        mode = rm == fpu::kDynamic ? static_cast<u8>(bits(s[Csr::fcsr], 7, 5)) : rm;
        return mode <= fpu::RMM;
    }
    /// Keeps a result, boxed, and its flags; the host accrues its own.
    template <class F> Flow keep(fpu::Outcome<F> outcome) {
        s.f[d->rd & 31] = fpu::box(outcome.value);
        dirty_floats();
        accrue(outcome.flags);
        return Flow::Next;
    }
    template <fpu::Operation op, class F> [[gnu::noinline]] Flow compute(F a, F b, F c) {
        u8 mode = 0;
        if (!rounding(d->rm, mode)) return illegal();
        return keep(fpu::compute<op>(a, b, c, mode));
    }

    // Memory behind the TLB (memory_access.cpp).
    Flow load_slow(u64 address, unsigned bytes, Access access, u64& value);
    Flow store_slow(u64 address, unsigned bytes, u64 value);
    /// cbo.clean, cbo.flush and cbo.inval: as a store to what may be loaded; memory is coherent, so nothing else happens.
    Flow manage_block(u64 address);
    Flow zero_block(u64 address);
    Flow load_for_reserve(u64 address, unsigned bytes, u64& value);
    Flow store_if_reserved(u64 address, unsigned bytes, u64 value, bool& stored);
    Flow guest_access(u64 address, unsigned bytes, Access access, u64& value, bool execute_read);
};

} // namespace trapeze
