// Exec: the machine `m` that the bodies of instructions.def run on in the interpreter. Values are u64; memory goes through the
// hart's TLB; what traps is left in `trap` and Flow::Trap returned.
#pragma once

#include "emulator/cpu/fpu.hpp"
#include "emulator/cpu/hart_cache.hpp"

#include <cstring>
#include <type_traits>

namespace trapeze {

using f16 = fpu::Half;
using f32 = float;
using f64 = double;

/// How control goes on after a body.
enum class Flow : u8 {
    Next,  ///< the next instruction of the block
    Jump,  ///< Exec::target
    Leave, ///< the next instruction, after looking again at interrupts, privilege and time
    LeaveTo, ///< Exec::target, after the same
    Trap,  ///< Exec::trap is to be delivered; the instruction has not retired
};
enum class AmoOp : u8 { Swap, Add, Xor, And, Or, Min, Max, MinU, MaxU };
enum class CsrOp : u8 { Write, Set, Clear };
using FpOp = fpu::Operation;
enum class FpSign : u8 { Copy, Negate, Xor };
enum class FpCompare : u8 { Le, Lt, Eq };

struct Exec {
    Hart& hart;
    HartState& s;
    HartCache& cache;
    Bus& bus;
    HartCache::Bank* bank;               ///< data TLB of the effective privilege
    const DecodedInsn* d = nullptr;      ///< the current instruction
    const DecodedInsn* first = nullptr;  ///< first instruction of the block
    u64 block_pc = 0;
    u64 done = 0;                        ///< instructions completed before this block, since `retired_start`
    u64 retired_start, cycles_start;
    u64 target = 0;
    Trap trap{};

    Exec(Hart& h, Bus& b) : hart(h), s(h.state), cache(*h.cache_), bus(b), retired_start(s.retired), cycles_start(s.cycles) { select_bank(); }

    void select_bank() {
        const u64 status = s[Csr::mstatus];
        PrivMode mode = s.mode();
        if (status & mstatus::MPRV && s.priv == Priv::M) {
            mode.priv = static_cast<Priv>(get_field(status, mstatus::MPP));
            mode.virt = mode.priv != Priv::M && status & mstatus::MPV;
        }
        bank = &cache.banks[HartCache::bank_of(mode, status, s[Csr::vsstatus])];
    }
    /// Instructions completed before the current one.
    u64 completed() const { return done + static_cast<u64>(d - first); }
    /// Makes the state's counters exact for what can read them.
    void sync() {
        s.retired = retired_start + completed();
        s.cycles = cycles_start + completed();
    }

    // Operands.
    u64 rs1() const { return s.x[d->rs1]; }
    u64 rs2() const { return s.x[d->rs2]; }
    u64 imm() const { return static_cast<u64>(static_cast<i64>(d->imm)); }
    u64 zimm() const { return d->rs1; }
    u64 pc() const { return block_pc + d->offset; }
    u64 next_pc() const { return pc() + d->length; }
    void rd(u64 value) { s.x[d->rd] = value; }

    // Values.
    static u64 sext32(u64 v) { return static_cast<u64>(static_cast<i64>(static_cast<i32>(v))); }
    static u64 zext32(u64 v) { return static_cast<u32>(v); }
    static u64 sra(u64 v, u64 n) { return static_cast<u64>(static_cast<i64>(v) >> n); }
    static u64 eq(u64 a, u64 b) { return a == b; }
    static u64 ne(u64 a, u64 b) { return a != b; }
    static u64 lt(u64 a, u64 b) { return static_cast<i64>(a) < static_cast<i64>(b); }
    static u64 ge(u64 a, u64 b) { return static_cast<i64>(a) >= static_cast<i64>(b); }
    static u64 ltu(u64 a, u64 b) { return a < b; }
    static u64 geu(u64 a, u64 b) { return a >= b; }
    static u64 mulh(u64 a, u64 b) { return static_cast<u64>(static_cast<i128>(static_cast<i64>(a)) * static_cast<i64>(b) >> 64); }
    static u64 mulhsu(u64 a, u64 b) { return static_cast<u64>(static_cast<i128>(static_cast<i64>(a)) * static_cast<i128>(b) >> 64); }
    static u64 mulhu(u64 a, u64 b) { return static_cast<u64>(static_cast<u128>(a) * b >> 64); }
    // Division never traps: by zero gives all ones (rem: the dividend), overflow the dividend (rem: 0).
    template <class T> static u64 divide(u64 a, u64 b) {
        const T x = static_cast<T>(a), y = static_cast<T>(b);
        if (y == 0) return ~u64{0};
        if (std::is_signed_v<T> && x == std::numeric_limits<T>::min() && y == static_cast<T>(-1)) return widen(x);
        return widen(static_cast<T>(x / y));
    }
    template <class T> static u64 remainder(u64 a, u64 b) {
        const T x = static_cast<T>(a), y = static_cast<T>(b);
        if (y == 0) return widen(x);
        if (std::is_signed_v<T> && x == std::numeric_limits<T>::min() && y == static_cast<T>(-1)) return 0;
        return widen(static_cast<T>(x % y));
    }
    /// 32-bit results are sign-extended, also the unsigned ones.
    template <class T> static u64 widen(T v) { return sizeof(T) == 4 ? sext32(static_cast<u64>(v)) : static_cast<u64>(v); }
    static u64 div(u64 a, u64 b) { return divide<i64>(a, b); }
    static u64 divu(u64 a, u64 b) { return divide<u64>(a, b); }
    static u64 rem(u64 a, u64 b) { return remainder<i64>(a, b); }
    static u64 remu(u64 a, u64 b) { return remainder<u64>(a, b); }
    static u64 divw(u64 a, u64 b) { return divide<i32>(a, b); }
    static u64 divuw(u64 a, u64 b) { return divide<u32>(a, b); }
    static u64 remw(u64 a, u64 b) { return remainder<i32>(a, b); }
    static u64 remuw(u64 a, u64 b) { return remainder<u32>(a, b); }

    // Bits (Zba, Zbb, Zbc, Zbs).
    static u64 select(u64 condition, u64 yes, u64 no) { return condition ? yes : no; }
    static u64 sext(u64 v, unsigned width) { return sign_extend(v, width); }
    static u64 clz(u64 v) { return static_cast<u64>(std::countl_zero(v)); }
    static u64 ctz(u64 v) { return static_cast<u64>(std::countr_zero(v)); }
    static u64 cpop(u64 v) { return static_cast<u64>(std::popcount(v)); }
    static u64 rotate_right(u64 v, u64 n) { return std::rotr(v, static_cast<int>(n & 63)); }
    static u64 rotate_right_word(u64 v, u64 n) { return sext32(std::rotr(static_cast<u32>(v), static_cast<int>(n & 31))); }
    static u64 byte_reverse(u64 v) { return __builtin_bswap64(v); }
    /// Each byte that has a one becomes 255.
    static u64 or_combine(u64 v) {
        v |= v >> 4 & 0x0f0f0f0f0f0f0f0f, v |= v >> 2 & 0x3333333333333333, v |= v >> 1 & 0x5555555555555555;
        return (v & 0x0101010101010101) * 255;
    }
    /// The product of polynomials over one bit: 127 bits.
    static u128 carryless(u64 a, u64 b) {
        u128 product = 0;
        for (; b; b &= b - 1) product ^= static_cast<u128>(a) << std::countr_zero(b);
        return product;
    }
    static u64 clmul(u64 a, u64 b) { return static_cast<u64>(carryless(a, b)); }
    static u64 clmulh(u64 a, u64 b) { return static_cast<u64>(carryless(a, b) >> 64); }
    static u64 clmulr(u64 a, u64 b) { return static_cast<u64>(carryless(a, b) >> 63); }

    // Control.
    Flow jump(u64 to) { return target = to, Flow::Jump; }
    Flow branch(u64 taken) { return jump(taken ? pc() + imm() : next_pc()); }
    Flow raise(Cause cause, u64 tval) {
        trap = {};
        trap.cause = static_cast<u64>(cause);
        trap.tval = tval;
        return Flow::Trap;
    }
    /// The instruction may not be executed: as an illegal or a virtual instruction.
    Flow refused(Cause cause) { return raise(cause, d->word); }
    Flow illegal() { return refused(Cause::IllegalInstruction); }
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
    Flow fence_i() { return Flow::Leave; } // decoded code is kept coherent with RAM by Ram::mark_code
    Flow sfence_vma(u64 address, u64 asid);
    Flow hfence();
    Flow order_invalidations() { return Flow::Leave; } // sinval.vma has taken effect at once
    Flow csr(CsrOp op, u64 operand);

    // Memory. The fast path hits a TLB entry; everything else is in memory_access.cpp.
    template <class T> static constexpr u64 kTagMask = ~kPageMask | (sizeof(T) - 1);
    template <class T> Flow load(u64 address) {
        const TlbEntry& entry = bank->load[HartCache::index_of(address)];
        if (((address ^ entry.tag) & kTagMask<T>) == 0) [[likely]] {
            T value;
            std::memcpy(&value, reinterpret_cast<const void*>(address + entry.delta), sizeof value);
            rd(static_cast<u64>(static_cast<i64>(value)));
            return Flow::Next;
        }
        u64 raw = 0;
        const Flow flow = load_slow(address, sizeof(T), Access::Load, raw);
        if (flow != Flow::Trap) rd(static_cast<u64>(static_cast<i64>(static_cast<T>(raw))));
        return flow;
    }
    template <class T> Flow store(u64 address, u64 value) {
        const TlbEntry& entry = bank->store[HartCache::index_of(address)];
        if (((address ^ entry.tag) & kTagMask<T>) == 0) [[likely]] {
            const T narrow = static_cast<T>(value);
            std::memcpy(reinterpret_cast<void*>(address + entry.delta), &narrow, sizeof narrow);
            return Flow::Next;
        }
        return store_slow(address, sizeof(T), static_cast<T>(value));
    }
    Flow misaligned(Cause cause, u64 address);
    static constexpr u64 kCacheBlock = 64; ///< bytes; the device tree says so
    /// cbo.clean, cbo.flush and cbo.inval: as a store to what may be loaded; memory is coherent, so nothing else happens.
    Flow manage_block(u64 address);
    Flow zero_block(u64 address);
    Flow load_slow(u64 address, unsigned bytes, Access access, u64& value);
    Flow store_slow(u64 address, unsigned bytes, u64 value);

    template <class T> Flow load_reserved(u64 address) {
        if (address & (sizeof(T) - 1)) return misaligned(Cause::LoadMisaligned, address);
        u64 raw = 0;
        const Flow flow = load_for_reserve(address, sizeof(T), raw);
        if (flow != Flow::Trap) rd(static_cast<u64>(static_cast<i64>(static_cast<T>(raw))));
        return flow;
    }
    template <class T> Flow store_conditional(u64 address, u64 value) {
        if (address & (sizeof(T) - 1)) return misaligned(Cause::StoreMisaligned, address);
        bool stored = false;
        const Flow flow = store_if_reserved(address, sizeof(T), static_cast<T>(value), stored);
        if (flow != Flow::Trap) rd(!stored);
        return flow;
    }
    template <class T, AmoOp op> Flow amo(u64 address, u64 operand) {
        if (address & (sizeof(T) - 1)) return misaligned(Cause::StoreMisaligned, address);
        u64 raw = 0;
        const Flow read = load_slow(address, sizeof(T), Access::Store, raw); // faults as a store
        if (read == Flow::Trap) return read;
        using U = std::make_unsigned_t<T>;
        const T old = static_cast<T>(raw), by = static_cast<T>(operand);
        U result = 0;
        if constexpr (op == AmoOp::Swap) result = static_cast<U>(by);
        if constexpr (op == AmoOp::Add) result = static_cast<U>(old) + static_cast<U>(by);
        if constexpr (op == AmoOp::Xor) result = static_cast<U>(old ^ by);
        if constexpr (op == AmoOp::And) result = static_cast<U>(old & by);
        if constexpr (op == AmoOp::Or) result = static_cast<U>(old | by);
        if constexpr (op == AmoOp::Min) result = static_cast<U>(old < by ? old : by);
        if constexpr (op == AmoOp::Max) result = static_cast<U>(old > by ? old : by);
        if constexpr (op == AmoOp::MinU) result = static_cast<U>(old) < static_cast<U>(by) ? old : by;
        if constexpr (op == AmoOp::MaxU) result = static_cast<U>(old) > static_cast<U>(by) ? old : by;
        const Flow written = store<U>(address, result);
        if (written != Flow::Trap) rd(static_cast<u64>(static_cast<i64>(old)));
        return written == Flow::Next ? read : written;
    }
    template <class T> Flow guest_load(u64 address, bool execute_read = false) {
        u64 raw = 0;
        const Flow flow = guest_access(address, sizeof(T), Access::Load, raw, execute_read);
        if (flow != Flow::Trap) rd(static_cast<u64>(static_cast<i64>(static_cast<T>(raw))));
        return flow;
    }
    template <class T> Flow guest_load_code(u64 address) { return guest_load<T>(address, true); }
    template <class T> Flow guest_store(u64 address, u64 value) {
        u64 raw = static_cast<T>(value);
        return guest_access(address, sizeof(T), Access::Store, raw, false);
    }
    Flow guest_access(u64 address, unsigned bytes, Access access, u64& value, bool execute_read);
    Flow load_for_reserve(u64 address, unsigned bytes, u64& value);
    Flow store_if_reserved(u64 address, unsigned bytes, u64 value, bool& stored);

    // Floating point.
    template <class F> F freg(u8 index) const { return fpu::unbox<F>(s.f[index]); }
    void set_freg(u64 raw) {
        s.f[d->rd & 31] = raw;
        set_fs_dirty(s);
    }
    u64 fbits_rs2() const { return s.f[d->rs2]; }
    void accrue(u32 flags) {
        if (!flags) [[likely]] return;
        s[Csr::fcsr] |= flags;
        set_fs_dirty(s);
    }
    /// The rounding mode of this instruction; false when it is reserved (the instruction is illegal).
    bool rounding(u8& mode) const {
        mode = d->rm == 7 ? static_cast<u8>(bits(s[Csr::fcsr], 7, 5)) : d->rm;
        return mode <= fpu::RMM;
    }
    template <class T> Flow fload(u64 address) {
        u64 raw = 0;
        const TlbEntry& entry = bank->load[HartCache::index_of(address)];
        Flow flow = Flow::Next;
        if (((address ^ entry.tag) & kTagMask<T>) == 0) [[likely]] {
            std::memcpy(&raw, reinterpret_cast<const void*>(address + entry.delta), sizeof(T));
        } else if ((flow = load_slow(address, sizeof(T), Access::Load, raw)) == Flow::Trap) {
            return flow;
        }
        set_freg(fpu::box_bits(static_cast<T>(raw)));
        return flow;
    }
    /// Keeps a result, boxed, and its flags; the host accrues its own.
    template <class F> Flow keep(fpu::Outcome<F> outcome) {
        set_freg(fpu::box(outcome.value));
        accrue(outcome.flags);
        return Flow::Next;
    }
    template <class F, FpOp op> Flow farith() {
        u8 mode = 0;
        if (!rounding(mode)) return illegal();
        return keep(fpu::compute<op>(freg<F>(d->rs1), freg<F>(d->rs2), F{}, mode));
    }
    template <class F> Flow fsqrt() {
        u8 mode = 0;
        if (!rounding(mode)) return illegal();
        return keep(fpu::compute<FpOp::Sqrt>(freg<F>(d->rs1), F{}, F{}, mode));
    }
    template <class F, bool negate_product, bool subtract> Flow fma() {
        u8 mode = 0;
        if (!rounding(mode)) return illegal();
        const F a = freg<F>(d->rs1), c = freg<F>(d->rs3);
        return keep(fpu::compute<FpOp::Fma>(negate_product ? fpu::negate(a) : a, freg<F>(d->rs2), subtract ? fpu::negate(c) : c, mode));
    }
    template <class F, FpSign how> Flow fsgnj() {
        constexpr auto kSign = fpu::Traits<F>::kSign;
        const auto a = fpu::to_bits(freg<F>(d->rs1)), b = fpu::to_bits(freg<F>(d->rs2));
        const auto sign = how == FpSign::Copy ? b : how == FpSign::Negate ? ~b : a ^ b;
        set_freg(fpu::box_bits((a & ~kSign) | (sign & kSign)));
        return Flow::Next;
    }
    template <class F, bool maximum> Flow fminmax() {
        const F a = freg<F>(d->rs1), b = freg<F>(d->rs2);
        if (fpu::is_signaling(a) || fpu::is_signaling(b)) accrue(fpu::kNV);
        // -0 is less than +0; a NaN operand gives the other one (section 21.6).
        const bool a_less = fpu::is_nan(b) || (!fpu::is_nan(a) && (a < b || (a == b && fpu::is_negative(a))));
        const bool take_a = fpu::is_nan(a) ? fpu::is_nan(b) : fpu::is_nan(b) ? true : a_less != maximum;
        set_freg(fpu::box(take_a ? a : b));
        return Flow::Next;
    }
    template <class F, FpCompare how> Flow fcompare() {
        const F a = freg<F>(d->rs1), b = freg<F>(d->rs2);
        if (__builtin_isunordered(a, b)) { // the host raises invalid for signaling NaNs, which is right
            if (how != FpCompare::Eq || fpu::is_signaling(a) || fpu::is_signaling(b)) accrue(fpu::kNV);
            rd(0);
        } else {
            rd(how == FpCompare::Le ? a <= b : how == FpCompare::Lt ? a < b : a == b);
        }
        return Flow::Next;
    }
    template <class F> Flow fclass() { return rd(fpu::classify(freg<F>(d->rs1))), Flow::Next; }
    template <class F, class Int> Flow fcvt_to_int() {
        u8 mode = 0;
        if (!rounding(mode)) return illegal();
        u32 flags = 0;
        rd(widen(fpu::to_int<Int>(freg<F>(d->rs1), mode, flags)));
        accrue(flags);
        return Flow::Next;
    }
    template <class F, class Int> Flow fcvt_from_int() {
        u8 mode = 0;
        if (!rounding(mode)) return illegal();
        fpu::Outcome<F> outcome{};
        outcome.value = fpu::from_int<F>(static_cast<Int>(rs1()), mode, outcome.flags);
        return keep(outcome);
    }
    template <class To, class From> Flow fcvt() {
        u8 mode = 0;
        if (!rounding(mode)) return illegal();
        fpu::Outcome<To> outcome{};
        outcome.value = fpu::convert<To>(freg<From>(d->rs1), mode, outcome.flags);
        return keep(outcome);
    }
    template <class T> Flow fmv_to_int() { return rd(sign_extend(s.f[d->rs1], 8 * sizeof(T))), Flow::Next; }
    template <class T> Flow fmv_from_int() { return set_freg(fpu::box_bits(static_cast<T>(rs1()))), Flow::Next; }
};

} // namespace trapeze
