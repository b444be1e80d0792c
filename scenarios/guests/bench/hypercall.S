# Hypercall round trips: 10 000 environment calls from VS-mode to HS-mode, each handled and returned from.
.text
.globl bench_setup, bench_round
bench_setup:
    li t0, 1 << 10                 # environment call from VS
    csrw medeleg, t0
    ret
bench_round:
    la a0, hypervisor
    tail in_supervisor
hypervisor:                        # ra is kept: neither the guest nor the handler touches it
    la t0, handler
    csrw stvec, t0
    li t0, 1 << 7                  # hstatus.SPV: sret enters the guest
    csrs 0x600, t0
    li t0, 1 << 8                  # sstatus.SPP = S: the guest's supervisor
    csrs sstatus, t0
    la t0, guest
    csrw sepc, t0
    sret
guest:
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
