# Memory loop: copies a megabyte by double-words, links a chain through it, and follows the chain.
.text
.globl bench_setup, bench_round
bench_setup:
    ret
bench_round:
    li t0, 0x81000000              # source, then the chain
    li t1, 0x81200000              # destination
    li t2, 0x100000                # bytes
    mv a0, t0
    mv a1, t1
    add a2, t0, t2
1:  ld a3, 0(a0)
    ld a4, 8(a0)
    sd a3, 0(a1)
    sd a4, 8(a1)
    addi a0, a0, 16
    addi a1, a1, 16
    bltu a0, a2, 1b
    # Each element points 4160 bytes on, around the megabyte.
    mv a0, t0
    li a5, 4160
    addi a6, t2, -1
2:  sub a1, a0, t0
    add a1, a1, a5
    and a1, a1, a6
    add a1, a1, t0
    sd a1, 0(a0)
    addi a0, a0, 64
    bltu a0, a2, 2b
    mv a0, t0
    li a1, 16385
3:  ld a0, 0(a0)
    addi a1, a1, -1
    bnez a1, 3b
    ret
