# Loops for ever in its first instruction.
.text
.globl _start
_start:
    j _start
