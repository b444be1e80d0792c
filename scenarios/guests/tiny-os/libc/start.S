# _start: the kernel left argc, argv and envp on the stack. system_call: the number first, then up to six arguments.
.text
.globl _start
_start:
    ld a0, 0(sp)
    addi a1, sp, 8
    slli a2, a0, 3
    add a2, a2, a1
    addi a2, a2, 8
    andi sp, sp, -16
    call main
    call exit

.globl system_call
system_call:
    mv t0, a0
    mv a0, a1
    mv a1, a2
    mv a2, a3
    mv a3, a4
    mv a4, a5
    mv a5, a6
    mv a7, t0
    ecall
    ret
