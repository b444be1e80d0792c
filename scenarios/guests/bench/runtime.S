# Start of a benchmark guest: stack, memory protection open to all, floating point on, any unexpected trap ends the program.
.text                              # first in the file, so that it lands on the first byte of RAM
.globl _start
_start:
    bnez a0, park                  # one hart is enough
    la sp, stack_end
    la t0, unexpected
    csrw mtvec, t0
    li t0, -1
    csrw pmpaddr0, t0
    li t0, 0x1f                    # NAPOT, read, write, execute
    csrw pmpcfg0, t0
    li t0, 1 << 13                 # mstatus.FS
    csrs mstatus, t0
    call run_rounds                # does not return
park:
    wfi
    j park
.balign 4
unexpected:
    csrr a0, mcause
    addi a0, a0, 32
    call end                       # does not return

# u64 in_supervisor(u64 (*function)(void))
.globl in_supervisor
in_supervisor:
    addi sp, sp, -16
    sd ra, 0(sp)
    la t0, back
    csrw mtvec, t0
    li t0, 3 << 11
    csrc mstatus, t0
    li t0, 1 << 11                 # mstatus.MPP = S
    csrs mstatus, t0
    csrw mepc, a0
    la ra, done
    mret
done:
    ecall
.balign 4
back:                              # the call from done, or a fault
    csrr t0, mcause
    li t1, 9
    bne t0, t1, unexpected
    la t0, unexpected
    csrw mtvec, t0
    ld ra, 0(sp)
    addi sp, sp, 16
    ret

.bss
.balign 16
    .space 16384
stack_end:
