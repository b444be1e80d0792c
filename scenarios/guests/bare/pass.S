# Ends through tohost with a pass.
.include "end.inc"
.text
.globl _start
_start:
    finish 0
