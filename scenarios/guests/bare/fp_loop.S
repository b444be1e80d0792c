# Double precision: a damped oscillator and a running root, 10 million rounds of 12 instructions, 9 of them floating point.
.include "end.inc"
.option arch, +d
.text
.globl _start
_start:
    li t0, 0x2000           # mstatus.FS
    csrs mstatus, t0
    li s0, 10000000
    li t1, 1
    fcvt.d.l fa0, t1        # position
    fcvt.d.l fa1, zero      # velocity
    li t1, 1000
    fcvt.d.l fa2, t1
    fdiv.d fa3, fa0, fa2    # step: a thousandth
    fmv.d fa4, fa0
1:  fneg.d fa5, fa0
    fmadd.d fa1, fa5, fa3, fa1
    fmadd.d fa0, fa1, fa3, fa0
    fmul.d fa6, fa0, fa0
    fadd.d fa4, fa4, fa6
    fsqrt.d fa7, fa4
    fsub.d fa6, fa7, fa6
    fcvt.w.d t2, fa6, rtz
    flt.d t3, fa6, fa0
    add a0, a0, t2
    addi s0, s0, -1
    bnez s0, 1b
    finish 0
