# Trap round trips from U to S, delegated: 10 000 environment calls, each handled and returned from.
.text
.globl bench_setup, bench_round
bench_setup:
    li t0, 1 << 8                  # environment call from U
    csrw medeleg, t0
    ret
bench_round:
    la a0, supervisor
    tail in_supervisor
supervisor:                        # ra is kept: neither the program nor the handler touches it
    la t0, handler
    csrw stvec, t0
    li t0, 1 << 8                  # sstatus.SPP = U
    csrc sstatus, t0
    la t0, program
    csrw sepc, t0
    sret
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
    csrr t0, sepc
    addi t0, t0, 4
    csrw sepc, t0
    addi a0, a0, 1
    sret
leave:
    ret
