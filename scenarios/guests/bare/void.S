# Jumps to where nothing is, without a trap handler.
.text
.globl _start
_start:
    li t0, 0x4000
    jr t0
