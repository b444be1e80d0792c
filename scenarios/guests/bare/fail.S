# Ends through tohost with code 7.
.include "end.inc"
.text
.globl _start
_start:
    finish 7
