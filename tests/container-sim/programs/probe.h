// What the probes share: each prints a line for every call, its result and its errno, so that two kernels can be compared.
#ifndef PROBE_H
#define PROBE_H

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern void *volatile bad_pointer;
#define BAD bad_pointer

#ifdef __riscv
#define BREAK __asm__ volatile("ebreak")
#define ILLEGAL __asm__ volatile(".word 0")
#define CODE_THAT_RETURNS_42 {0x13, 0x05, 0xa0, 0x02, 0x67, 0x80, 0x00, 0x00} // li a0, 42; ret
#define SYNCHRONIZE_CODE __asm__ volatile("fence.i")
#else // x86-64, for the kernel of the machine that the tests run on
#define BREAK __asm__ volatile("int3")
#define ILLEGAL __asm__ volatile("ud2")
#define CODE_THAT_RETURNS_42 {0xb8, 0x2a, 0x00, 0x00, 0x00, 0xc3, 0x90, 0x90} // mov $42, %eax; ret
#define SYNCHRONIZE_CODE
#endif

/* Prints the call's own text, then what it gave. */
#define SHOW(call)                                                                                            \
    do {                                                                                                      \
        errno = 0;                                                                                            \
        long result_ = (long)(call);                                                                          \
        printf("%s = %ld%s%s\n", #call, result_, errno ? " " : "", errno ? strerrorname_np(errno) : "");      \
    } while (0)
/* The same for calls whose result is an address or a number that differs: only whether it went well. */
#define WENT(call)                                                                                            \
    do {                                                                                                      \
        errno = 0;                                                                                            \
        long result_ = (long)(call);                                                                          \
        printf("%s %s%s\n", #call, result_ == -1 ? "failed " : "went well", result_ == -1 ? strerrorname_np(errno) : ""); \
    } while (0)

#endif
