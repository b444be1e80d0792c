# Memory work: copies 1 MiB by double-words, then chases pointers through it; 20 rounds.
.include "end.inc"
.text
.globl _start
_start:
    li s0, 20
    li s1, 0x80200000              # source, then the chain
    li s2, 0x80400000              # destination
    li s3, 0x100000                # bytes
round:
    mv a0, s1
    mv a1, s2
    add a2, s1, s3
1:  ld a3, 0(a0)
    ld a4, 8(a0)
    sd a3, 0(a1)
    sd a4, 8(a1)
    addi a0, a0, 16
    addi a1, a1, 16
    bltu a0, a2, 1b
    # Each element points 4160 bytes on, around the megabyte.
    mv a0, s1
    li a5, 4160
    addi a6, s3, -1
2:  sub a1, a0, s1
    add a1, a1, a5
    and a1, a1, a6
    add a1, a1, s1
    sd a1, 0(a0)
    addi a0, a0, 64
    bltu a0, a2, 2b
    mv a0, s1
    li a1, 16384
3:  ld a0, 0(a0)
    addi a1, a1, -1
    bnez a1, 3b
    addi s0, s0, -1
    bnez s0, round
    finish 0
