# Integer loop: a linear congruential generator with mixing; a round is 250 000 times 8 instructions.
.text
.globl bench_setup, bench_round
bench_setup:
    ret
bench_round:
    li t0, 250000
    li t1, 6364136223846793005
    li t2, 1442695040888963407
    li a0, 1
    li a3, 0
1:  mul a0, a0, t1
    add a0, a0, t2
    srli a1, a0, 29
    xor a0, a0, a1
    slli a2, a0, 7
    add a3, a3, a2
    addi t0, t0, -1
    bnez t0, 1b
    mv a0, a3
    ret
