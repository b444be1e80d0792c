# Integer work: a linear congruential generator with mixing, 25 million rounds of 8 instructions.
.include "end.inc"
.text
.globl _start
_start:
    li s0, 25000000
    li s1, 6364136223846793005
    li s2, 1442695040888963407
    li a0, 1
1:  mul a0, a0, s1
    add a0, a0, s2
    srli a1, a0, 29
    xor a0, a0, a1
    slli a2, a0, 7
    add a3, a3, a2
    addi s0, s0, -1
    bnez s0, 1b
    finish 0
