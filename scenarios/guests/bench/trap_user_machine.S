# Trap round trips from U to M: 10 000 environment calls, each handled and returned from.
.text
.globl bench_setup, bench_round
bench_setup:
    ret
bench_round:                       # ra is kept: neither the program nor the handler touches it
    la t0, handler
    csrw mtvec, t0
    li t0, 3 << 11                 # mstatus.MPP = U
    csrc mstatus, t0
    la t0, program
    csrw mepc, t0
    mret
program:
    li a0, 0
    li a1, 10000
    li a7, 0
1:  ecall
    addi a1, a1, -1
    bnez a1, 1b
    li a7, 1
    ecall
.balign 4
handler:
    bnez a7, leave
    csrr t0, mepc
    addi t0, t0, 4
    csrw mepc, t0
    addi a0, a0, 1
    mret
leave:
    ret
