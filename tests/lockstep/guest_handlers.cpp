// How traps go on in programs with guests. The handlers of HS- and VS-mode call upward and return; M-mode's alone looks at what happened: it
// skips the instruction that trapped, in whichever mode that was, and lets the handlers in between return. Calls and faults of the fetch go
// on in M-mode, and so does what cannot return because sret traps.
#include "tests/lockstep/generator.hpp"

namespace trapeze::lockstep {

namespace {

constexpr unsigned kEpc = kScratch, kCause = kScratch2, kLink = kScratch3, kTemporary = kScratch4;
enum Place : unsigned { Step, Lost, Raise, SupervisorCalls, SupervisorStuck, SupervisorCallsForGuest, GuestCalls, GuestStuck, GuestLost };

void compare_place(Assembly& a, u64 address, unsigned label) {
    a.code.load_constant(kLink, address);
    a.branch(Op::beq, kEpc, kLink, label);
}
void write_constant(Assembly& a, Csr csr, u64 value) {
    a.code.load_constant(kLink, value);
    a.code.word(csr_write(csr, kLink));
}
/// kEpc after the instruction; kCause: not zero when the program is to go on in M-mode.
void add_step(Assembly& a) {
    a.place(Step);
    a.code.load_constant(kTemporary, cause_bit(Cause::InstructionAccess) | cause_bit(Cause::InstructionPageFault) |
                                         cause_bit(Cause::InstructionGuestPageFault) | cause_bit(Cause::EcallFromU) | cause_bit(Cause::EcallFromS) |
                                         cause_bit(Cause::EcallFromVs) | cause_bit(Cause::EcallFromM));
    a.code.words({encode(Op::srl, {.rd = kTemporary, .rs1 = kTemporary, .rs2 = kCause}), encode(Op::andi, {.rd = kCause, .rs1 = kTemporary, .imm = 1})});
    a.code.words({encode(Op::srli, {.rd = kTemporary, .rs1 = kEpc, .imm = 24}), add_immediate(kTemporary, kTemporary, -0x80)});
    a.branch(Op::bne, kTemporary, 0, Lost);
    a.code.words({encode(Op::lhu, {.rd = kTemporary, .rs1 = kEpc}), encode(Op::andi, {.rd = kTemporary, .rs1 = kTemporary, .imm = 3}),
                  add_immediate(kTemporary, kTemporary, -3), add_immediate(kEpc, kEpc, 2), encode(Op::bne, {.rs1 = kTemporary, .imm = 8}),
                  add_immediate(kEpc, kEpc, 2), encode(Op::jalr, {.rs1 = kLink})});
    a.place(Lost); // a return to nowhere ends the program
    a.code.load_constant(kEpc, kEndPointer);
    a.code.word(encode(Op::ld, {.rd = kEpc, .rs1 = kEpc}));
    a.place(Raise);
    a.code.word(csr_write(Csr::mepc, kEpc));
    a.code.load_constant(kLink, mstatus::MPV); // with MPP, QEMU 7.2 would take it for a guest of M-mode
    a.code.word(csr_clear(Csr::mstatus, kLink));
    a.code.load_constant(kLink, mstatus::MPP);
    a.code.words({csr_set(Csr::mstatus, kLink), add_immediate(kEpc, 0, 0), encode(Op::mret, {})});
}
/// Skips the instruction whose trap these registers tell of.
void skip_trap_of(Assembly& a, Csr epc, Csr cause) {
    a.code.words({csr_read(kEpc, epc), csr_read(kCause, cause)});
    a.jump(Step, kLink);
    a.branch(Op::bne, kCause, 0, Raise);
    a.code.word(csr_write(epc, kEpc));
}
/// Goes on where the guest's handler did call; where it trapped for something else, the program goes on in M-mode.
void require_call_of_guest(Assembly& a) {
    a.code.word(add_immediate(kCause, kCause, -static_cast<i64>(Cause::EcallFromVs)));
    a.branch(Op::bne, kCause, 0, GuestLost);
}

} // namespace

Code guest_program_handler() {
    Code c;
    c.words({encode(Op::ecall, {}), encode(Op::sret, {})});
    return c;
}

Code guest_program_machine_handler() {
    Assembly a;
    a.code.load_constant(kLink, mstatus::MPRV);
    a.code.words({csr_clear(Csr::mstatus, kLink), csr_read(kEpc, Csr::mepc), csr_read(kCause, Csr::mcause)});
    compare_place(a, kSupervisorHandler, SupervisorCalls);
    compare_place(a, kSupervisorHandler + 4, SupervisorStuck);
    compare_place(a, kGuestHandler, GuestCalls);
    compare_place(a, kGuestHandler + 4, GuestStuck);
    skip_trap_of(a, Csr::mepc, Csr::mcause);
    a.code.word(encode(Op::mret, {}));

    a.place(SupervisorCalls);
    a.code.words({csr_read(kEpc, Csr::sepc), csr_read(kCause, Csr::scause)});
    compare_place(a, kGuestHandler, SupervisorCallsForGuest);
    compare_place(a, kGuestHandler + 4, GuestStuck);
    skip_trap_of(a, Csr::sepc, Csr::scause);
    write_constant(a, Csr::mepc, kSupervisorHandler + 4);
    a.code.word(encode(Op::mret, {}));

    a.place(SupervisorCallsForGuest);
    require_call_of_guest(a);
    skip_trap_of(a, Csr::vsepc, Csr::vscause);
    write_constant(a, Csr::sepc, kGuestHandler + 4);
    write_constant(a, Csr::mepc, kSupervisorHandler + 4);
    a.code.word(encode(Op::mret, {}));

    a.place(GuestCalls);
    require_call_of_guest(a);
    skip_trap_of(a, Csr::vsepc, Csr::vscause);
    write_constant(a, Csr::mepc, kGuestHandler + 4);
    a.code.word(encode(Op::mret, {}));

    a.place(SupervisorStuck); // what was to return may have been for a guest
    a.code.word(csr_read(kEpc, Csr::sepc));
    a.code.load_constant(kLink, kGuestHandler + 4);
    a.branch(Op::bne, kEpc, kLink, Raise);
    a.place(GuestStuck);
    a.code.word(csr_read(kEpc, Csr::vsepc));
    a.jump(Raise);
    a.place(GuestLost);
    a.code.words({csr_read(kEpc, Csr::vsepc), csr_read(kCause, Csr::vscause)});
    a.jump(Step, kLink);
    a.jump(Raise);
    add_step(a);
    return a.finish();
}

} // namespace trapeze::lockstep
