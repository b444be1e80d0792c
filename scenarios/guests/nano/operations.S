# The operations that are measured, each in a loop of its own. No compressed instructions: a trap handler goes on 4 bytes further.
.option norvc

# Where the firmware hands over: S-mode, a0 = hart id, a1 = device tree.
.section .text.entry
.globl _entry
_entry:
    la sp, stack_top
    j nano_main

.text
.balign 4096                       # all loops lie in one page

# void write_csr(u64 rounds)
.globl write_csr
write_csr:
1:  csrw sscratch, a0
    addi a0, a0, -1
    bnez a0, 1b
    ret

# void call_and_return(u64 rounds)
.globl call_and_return
call_and_return:
    mv t1, ra
1:  call leaf
    addi a0, a0, -1
    bnez a0, 1b
    jr t1
leaf:
    ret

# void read_device(u64 rounds, u64 address)
.globl read_device
read_device:
1:  lbu t0, 0(a1)
    addi a0, a0, -1
    bnez a0, 1b
    ret

# void null_hypercall(u64 rounds): SBI base extension, function 0
.globl null_hypercall
null_hypercall:
    mv t1, a0
1:  li a7, 0x10
    li a6, 0
    ecall
    addi t1, t1, -1
    bnez t1, 1b
    ret

# void write_entry(u64 rounds, u64 *entry, u64 value, u64 other, u64 address): changes a page-table entry to and fro, and fences the page
.globl write_entry
write_entry:
1:  sd a2, 0(a1)
    sfence.vma a4, zero
    xor a2, a2, a3                 # swap
    xor a3, a2, a3
    xor a2, a2, a3
    addi a0, a0, -1
    bnez a0, 1b
    ret

# void remap(u64 rounds, u64 *entry, u64 value, u64 other, u64 address): the same, and touches the page
.globl remap
remap:
1:  sd a2, 0(a1)
    sfence.vma a4, zero
    ld t0, 0(a4)
    xor a2, a2, a3
    xor a3, a2, a3
    xor a2, a2, a3
    addi a0, a0, -1
    bnez a0, 1b
    ret

# void switch_context(u64 rounds, u64 satp, u64 other, u64 *registers, u64 address): saves registers, goes to the other address space,
# loads registers, touches one of its pages
.globl switch_context
switch_context:
1:
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
    sd s\n, (\n*8)(a3)
    .endr
    csrw satp, a2
    sfence.vma
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
    ld s\n, (\n*8)(a3)
    .endr
    ld t0, 0(a4)
    xor a1, a1, a2
    xor a2, a1, a2
    xor a1, a1, a2
    addi a0, a0, -1
    bnez a0, 1b
    ret

# void run_user(u64 entry, u64 rounds, u64 address): runs a loop of the user page in U-mode, until it calls with a7 = 1
.globl run_user
run_user:
    addi sp, sp, -16               # no loop touches sp
    sd ra, 0(sp)
    la t0, handler
    csrw stvec, t0
    li t0, 0x100                   # sstatus.SPP = U
    csrc sstatus, t0
    csrw sepc, a0
    li a7, 0
    sret
.balign 4
handler:
    bnez a7, leave
    csrr t6, sepc                  # go on after the instruction
    addi t6, t6, 4
    csrw sepc, t6
    sret
leave:
    ld ra, 0(sp)
    addi sp, sp, 16
    ret

# The page that U-mode runs: what lies here is position-independent.
.balign 4096
.globl user_code, user_syscall, user_fault, user_touch
user_code:
user_syscall:                      # a1 = rounds
1:  ecall
    addi a1, a1, -1
    bnez a1, 1b
    j user_end
user_fault:                        # a1 = rounds, a2 = an address that is not mapped
1:  ld t0, 0(a2)
    addi a1, a1, -1
    bnez a1, 1b
    j user_end
user_touch:                        # a1 = pages, a2 = the first
    li t1, 4096
1:  sd a1, 0(a2)
    add a2, a2, t1
    addi a1, a1, -1
    bnez a1, 1b
user_end:
    li a7, 1
    ecall
.balign 4096

.bss
.balign 4096
    .space 4096
stack_top:
