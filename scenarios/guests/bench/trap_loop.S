# Trap loop: 10 000 environment calls from M to M, each handled and returned from.
.text
.globl bench_setup, bench_round
bench_setup:
    ret
bench_round:
    la t0, handler
    csrw mtvec, t0
    li a1, 10000
    li a0, 0
1:  ecall
    addi a1, a1, -1
    bnez a1, 1b
    ret
.balign 4
handler:
    csrr t0, mepc
    addi t0, t0, 4
    csrw mepc, t0
    addi a0, a0, 1
    mret
