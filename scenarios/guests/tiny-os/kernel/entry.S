#include "paravirt.h"
#define SHARED_FIELD(id, offset, ...) .set .Lshared_##id, offset
#include "hypervisor-sim/shared_page.def"
#define HYPERCALL(number, id, ...) .set .Lhypercall_##id, number
#include "hypervisor-sim/hypercalls.def"
.set .Lshared_x2, .Lshared_Sp
.set .Lshared_x10, .Lshared_A0
.set .Lshared_x16, .Lshared_A6
.set .Lshared_x17, .Lshared_A7

# Where the firmware hands over: S-mode, paging off, interrupts off, a0 = hart id, a1 = device tree (SBI specification, section 9.1).
.section .text.entry
.globl _entry
_entry:
    la sp, boot_stack_top
    call kernel_main
1:  wfi
    j 1b

# trap_entry: every trap comes here (stvec). sscratch holds the kernel stack of the running process while it is in user mode, and 0
# while the kernel runs. All registers go to a struct trap_frame on the kernel stack; trap.c does the rest.
.text
.align 2
.globl trap_entry
trap_entry:
    csrrw sp, sscratch, sp
    bnez sp, from_user
    csrr sp, sscratch              # from the kernel: go on on its stack
    addi sp, sp, -FRAME_SIZE
    sd t0, 5*8(sp)
    addi t0, sp, FRAME_SIZE
    j save
from_user:
    addi sp, sp, -FRAME_SIZE
    sd t0, 5*8(sp)
    csrr t0, sscratch              # the user's sp
save:
    sd t0, 2*8(sp)
    csrw sscratch, zero
    sd ra, 1*8(sp)
    sd gp, 3*8(sp)
    sd tp, 4*8(sp)
    .irp n, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
    sd x\n, \n*8(sp)
    .endr
    csrr t0, sepc
    sd t0, 32*8(sp)
    csrr t0, sstatus
    sd t0, 33*8(sp)
    mv a0, sp
    call handle_trap

# trap_return: a new process starts here, too, with its frame at sp.
.globl trap_return
trap_return:
    ld t0, 33*8(sp)
    csrw sstatus, t0
    andi t0, t0, 0x100             # SPP: back to the kernel?
    bnez t0, 1f
    addi t0, sp, FRAME_SIZE        # to the user: remember the kernel stack
    csrw sscratch, t0
1:  ld t0, 32*8(sp)
    csrw sepc, t0
    ld ra, 1*8(sp)
    ld gp, 3*8(sp)
    ld tp, 4*8(sp)
    .irp n, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
    ld x\n, \n*8(sp)
    .endr
    ld sp, 2*8(sp)
    sret

# paravirtual_trap_entry: under a hypervisor that we know, every trap comes here. It has put sp on the kernel stack and what it
# changed into the shared page; the rest is as above. paravirtual_trap_return is the way back: what the hypercall itself needs goes
# through the shared page.
.align 2
.globl paravirtual_trap_entry
paravirtual_trap_entry:
    addi sp, sp, -FRAME_SIZE
    sd ra, 1*8(sp)
    sd gp, 3*8(sp)
    sd tp, 4*8(sp)
    .irp n, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
    sd x\n, \n*8(sp)
    .endr
    la t1, shared_page
    ld t0, .Lshared_Sp(t1)
    sd t0, 2*8(sp)
    ld t0, .Lshared_Pc(t1)
    sd t0, 32*8(sp)
    ld t0, .Lshared_Status(t1)
    sd t0, 33*8(sp)
    mv a0, sp
    call handle_trap

.globl paravirtual_trap_return
paravirtual_trap_return:
    la t1, shared_page
    .irp n, 2, 10, 16, 17
    ld t0, \n*8(sp)
    sd t0, .Lshared_x\n(t1)
    .endr
    ld t0, 32*8(sp)
    sd t0, .Lshared_Pc(t1)
    ld t0, 33*8(sp)
    sd t0, .Lshared_Status(t1)
    addi t0, sp, FRAME_SIZE        # where the next trap from the user begins
    sd t0, .Lshared_KernelStack(t1)
    ld ra, 1*8(sp)
    ld gp, 3*8(sp)
    ld tp, 4*8(sp)
    .irp n, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
    ld x\n, \n*8(sp)
    .endr
    li a7, HYPERCALL_EXTENSION
    li a6, .Lhypercall_Return
    ecall

# switch_context(struct context *from, struct context *to): saves what a C function must preserve, and loads the other's.
.globl switch_context
switch_context:
    sd ra, 0(a0)
    sd sp, 8(a0)
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
    sd s\n, (16+\n*8)(a0)
    .endr
    ld ra, 0(a1)
    ld sp, 8(a1)
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
    ld s\n, (16+\n*8)(a1)
    .endr
    ret

# The file system: a tar archive of the user programs, made by the build.
.section .rodata
.balign 512
.globl archive, archive_end
archive:
    .incbin ARCHIVE
archive_end:

.bss
.balign 16
    .space 8192
.globl boot_stack_top
boot_stack_top:
