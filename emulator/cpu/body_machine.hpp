// BodyMachine: the machine `m` that the bodies of instructions.def run on in the interpreter. Values are u64; memory goes through the
// hart's TLB. It lives in the host's registers, so it must never be passed by address: what is done out of line goes through Exec.
#pragma once

#include "emulator/cpu/exec.hpp"
#include "emulator/cpu/values.hpp"

#include <type_traits>

namespace trapeze {

using f16 = fpu::Half;
using f32 = float;
using f64 = double;

enum class AmoOp : u8 { Swap, Add, Xor, And, Or, Min, Max, MinU, MaxU };
using FpOp = fpu::Operation;
enum class FpSign : u8 { Copy, Negate, Xor };
enum class FpCompare : u8 { Le, Lt, Eq };

struct BodyMachine : Values {
    Exec& e;
    HartState& s;
    const DecodedInsn* d = nullptr; ///< the current instruction
    u64 target = 0;                 ///< of Flow::Jump
    bool taken = false;             ///< ... which is not the next instruction

    explicit BodyMachine(Exec& exec) : e(exec), s(exec.s) {}
    /// For what must know which instruction it is.
    Exec& out_of_line() { return e.d = d, e; }

    // Operands.
    u64 rs1() const { return s.x[d->rs1]; }
    u64 rs2() const { return s.x[d->rs2]; }
    u64 imm() const { return static_cast<u64>(static_cast<i64>(d->imm)); }
    u64 zimm() const { return d->rs1; }
    u64 pc() const { return e.block_pc + d->offset; }
    u64 next_pc() const { return pc() + d->length; }
    void rd(u64 value) { s.x[d->rd] = value; }

    // Control.
    Flow jump(u64 to) { return target = to, taken = true, Flow::Jump; }
    Flow fall_through() { return target = next_pc(), taken = false, Flow::Jump; }
    Flow branch(u64 condition) { return condition ? jump(pc() + imm()) : fall_through(); }
    Flow illegal() { return out_of_line().illegal(); }
    Flow ecall() { return out_of_line().ecall(); }
    Flow ebreak() { return out_of_line().ebreak(); }
    Flow mret() { return out_of_line().mret(); }
    Flow sret() { return out_of_line().sret(); }
    Flow wfi() { return out_of_line().wfi(); }
    Flow fence_i() { return Flow::Leave; } // decoded code is kept coherent with RAM by Ram::mark_code
    Flow sfence_vma(u64 address, u64 asid) { return out_of_line().sfence_vma(address, asid), fall_through(); }
    Flow hfence() { return out_of_line().hfence(); }
    Flow order_invalidations() { return Flow::Leave; } // sinval.vma has taken effect at once
    Flow csr(CsrOp op, u64 operand) { return out_of_line().csr(op, operand); }

    // Memory. The fast path hits a TLB entry; everything else is out of line.
    template <class T> Flow load(u64 address) {
        const Tlb::Entry& entry = e.bank->load.entry(address);
        if (entry.hit<T>(address)) [[likely]] {
            rd(static_cast<u64>(static_cast<i64>(entry.load<T>(address))));
            return Flow::Next;
        }
        u64 raw = 0;
        const Flow flow = out_of_line().load_slow(address, sizeof(T), Access::Load, raw);
        if (flow != Flow::Trap) rd(static_cast<u64>(static_cast<i64>(static_cast<T>(raw))));
        return flow;
    }
    template <class T> Flow store(u64 address, u64 value) {
        const Tlb::Entry& entry = e.bank->store.entry(address);
        if (entry.hit<T>(address)) [[likely]] {
            entry.store(address, static_cast<T>(value));
            return Flow::Next;
        }
        return out_of_line().store_slow(address, sizeof(T), static_cast<T>(value));
    }
    Flow manage_block(u64 address) { return out_of_line().manage_block(address); }
    Flow zero_block(u64 address) { return out_of_line().zero_block(address); }

    template <class T> Flow load_reserved(u64 address) {
        if (address & (sizeof(T) - 1)) return out_of_line().misaligned(Cause::LoadMisaligned, address);
        u64 raw = 0;
        const Flow flow = out_of_line().load_for_reserve(address, sizeof(T), raw);
        if (flow != Flow::Trap) rd(static_cast<u64>(static_cast<i64>(static_cast<T>(raw))));
        return flow;
    }
    template <class T> Flow store_conditional(u64 address, u64 value) {
        if (address & (sizeof(T) - 1)) return out_of_line().misaligned(Cause::StoreMisaligned, address);
        bool stored = false;
        const Flow flow = out_of_line().store_if_reserved(address, sizeof(T), static_cast<T>(value), stored);
        if (flow != Flow::Trap) rd(!stored);
        return flow;
    }
    template <class T, AmoOp op> Flow amo(u64 address, u64 operand) {
        const Tlb::Entry& entry = e.bank->store.entry(address); // what may be written may be read
        if (entry.hit<T>(address)) [[likely]] {
            const T old = entry.load<T>(address);
            entry.store(address, combine<T, op>(old, static_cast<T>(operand)));
            rd(static_cast<u64>(static_cast<i64>(old)));
            return Flow::Next;
        }
        if (address & (sizeof(T) - 1)) return out_of_line().misaligned(Cause::StoreMisaligned, address);
        u64 raw = 0;
        const Flow read = out_of_line().load_slow(address, sizeof(T), Access::Store, raw); // faults as a store
        if (read == Flow::Trap) return read;
        const T old = static_cast<T>(raw);
        const Flow written = store<T>(address, static_cast<u64>(combine<T, op>(old, static_cast<T>(operand))));
        if (written != Flow::Trap) rd(static_cast<u64>(static_cast<i64>(old)));
        return written == Flow::Next ? read : written;
    }
    /// What an AMO writes.
    template <class T, AmoOp op> static T combine(T old, T by) {
        using U = std::make_unsigned_t<T>;
        const U a = static_cast<U>(old), b = static_cast<U>(by);
        switch (op) {
        case AmoOp::Swap: return by;
        case AmoOp::Add: return static_cast<T>(a + b);
        case AmoOp::Xor: return old ^ by;
        case AmoOp::And: return old & by;
        case AmoOp::Or: return old | by;
        case AmoOp::Min: return old < by ? old : by;
        case AmoOp::Max: return old > by ? old : by;
        case AmoOp::MinU: return a < b ? old : by;
        case AmoOp::MaxU: return a > b ? old : by;
        }
        return old;
    }
    template <class T> Flow guest_load(u64 address, bool execute_read = false) {
        u64 raw = 0;
        const Flow flow = out_of_line().guest_access(address, sizeof(T), Access::Load, raw, execute_read);
        if (flow != Flow::Trap) rd(static_cast<u64>(static_cast<i64>(static_cast<T>(raw))));
        return flow;
    }
    template <class T> Flow guest_load_code(u64 address) { return guest_load<T>(address, true); }
    template <class T> Flow guest_store(u64 address, u64 value) {
        u64 raw = static_cast<T>(value);
        return out_of_line().guest_access(address, sizeof(T), Access::Store, raw, false);
    }

    // Floating point.
    template <class F> F freg(u8 index) const { return fpu::unbox<F>(s.f[index]); }
    void set_freg(u64 raw) {
        s.f[d->rd & 31] = raw;
        e.dirty_floats();
    }
    u64 fbits_rs2() const { return s.f[d->rs2]; }
    void accrue(u32 flags) { e.accrue(flags); }
    bool rounding(u8& mode) const { return e.rounding(d->rm, mode); }
    template <class T> Flow fload(u64 address) {
        const Tlb::Entry& entry = e.bank->load.entry(address);
        if (entry.hit<T>(address)) [[likely]] {
            set_freg(fpu::box_bits(entry.load<T>(address)));
            return Flow::Next;
        }
        u64 raw = 0;
        const Flow flow = out_of_line().load_slow(address, sizeof(T), Access::Load, raw);
        if (flow != Flow::Trap) set_freg(fpu::box_bits(static_cast<T>(raw)));
        return flow;
    }
    /// Keeps a result, boxed, and its flags; the host accrues its own.
    template <class F> Flow keep(fpu::Outcome<F> outcome) { return out_of_line().keep(outcome); }
    /// The operation as the host does it, when it does; a NaN, and all else, is done out of line.
    template <FpOp op, class F> Flow compute(F a, F b, F c) {
        if (e.host_rounds >> d->rm & 1 && fpu::host_does<op>()) [[likely]] {
            const F value = fpu::on_host<op>(a, b, c);
            if (value == value) [[likely]] {
                s.f[d->rd & 31] = fpu::box_bits(fpu::to_bits(value));
                return Flow::Next;
            }
        }
        return out_of_line().compute<op>(a, b, c);
    }
    template <class F, FpOp op> Flow farith() { return compute<op>(freg<F>(d->rs1), freg<F>(d->rs2), F{}); }
    template <class F> Flow fsqrt() { return compute<FpOp::Sqrt>(freg<F>(d->rs1), F{}, F{}); }
    template <class F, bool negate_product, bool subtract> Flow fma() {
        const F a = freg<F>(d->rs1), c = freg<F>(d->rs3);
        return compute<FpOp::Fma>(negate_product ? fpu::negate(a) : a, freg<F>(d->rs2), subtract ? fpu::negate(c) : c);
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
