#include "sbi.h"

enum { SBI_TIME = 0x54494d45, SBI_RESET = 0x53525354 };

struct sbi_answer sbi_call(u64 extension, u64 function, u64 arg0, u64 arg1, u64 arg2) {
    register u64 a0 asm("a0") = arg0;
    register u64 a1 asm("a1") = arg1;
    register u64 a2 asm("a2") = arg2;
    register u64 a6 asm("a6") = function;
    register u64 a7 asm("a7") = extension;
    asm volatile("ecall" : "+r"(a0), "+r"(a1) : "r"(a2), "r"(a6), "r"(a7) : "memory");
    return (struct sbi_answer){(i64)a0, (i64)a1};
}

void sbi_set_timer(u64 tick) { sbi_call(SBI_TIME, 0, tick, 0, 0); }

void sbi_shutdown(int failed) {
    console_flush();
    for (;;) sbi_call(SBI_RESET, 0, 0, failed ? 1 : 0, 0);
}

void sbi_reboot(void) {
    console_flush();
    for (;;) sbi_call(SBI_RESET, 0, 1, 0, 0);
}
