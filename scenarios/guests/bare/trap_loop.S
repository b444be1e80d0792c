# Trap work: 1 million environment calls from M to M, each handled and returned from.
.include "end.inc"
.text
.globl _start
_start:
    la t0, handler
    csrw mtvec, t0
    li s0, 1000000
1:  ecall
    addi s0, s0, -1
    bnez s0, 1b
    finish 0
.balign 4
handler:
    csrr t0, mepc
    addi t0, t0, 4
    csrw mepc, t0
    mret
