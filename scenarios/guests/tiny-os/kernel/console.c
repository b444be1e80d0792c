// The console: a 16550 UART, polled for output, by interrupt for input. Input is edited by line: backspace, ^D for end of file, ^C.
#include "kernel.h"

enum { UART = 0x10000000, PLIC = 0x0c000000, UART_IRQ = 10 };
enum { DATA = 0, INTERRUPT_ENABLE = 1, FIFO = 2, LINE_CONTROL = 3, LINE_STATUS = 5 };
enum { DATA_READY = 1, CAN_SEND = 0x20 };
// PLIC registers of context 1: hart 0 in S-mode.
enum { PLIC_PRIORITY = PLIC, PLIC_ENABLE = PLIC + 0x2080, PLIC_THRESHOLD = PLIC + 0x201000, PLIC_CLAIM = PLIC + 0x201004 };

static u64 device_base; // 0 while paging is off
static char line[256];  // the line being typed
static u64 typed, taken;
static int complete, end_of_file;

static volatile u8 *uart(u64 reg) { return (volatile u8 *)(device_base + UART + reg); }
static volatile u32 *plic(u64 reg) { return (volatile u32 *)(device_base + reg); }

void devices_moved(u64 base) { device_base = base; }

void console_start(void) {
    *uart(LINE_CONTROL) = 3; // 8 bits
    *uart(FIFO) = 1;
    *uart(INTERRUPT_ENABLE) = 1; // tell when something was typed
    *plic(PLIC_PRIORITY + 4 * UART_IRQ) = 1;
    *plic(PLIC_ENABLE) = 1u << UART_IRQ;
    *plic(PLIC_THRESHOLD) = 0;
}

void console_put(char c) {
    if (c == '\n') console_put('\r');
    while (!(*uart(LINE_STATUS) & CAN_SEND)) {}
    *uart(DATA) = (u8)c;
}

static void take_character(char c) {
    if (complete) return; // the line before was not read yet
    switch (c) {
    case 4: // ^D
        end_of_file = typed == 0;
        complete = 1;
        break;
    case 3: // ^C: forget the line
        print("^C\n");
        typed = 0;
        line[typed++] = '\n';
        complete = 1;
        break;
    case 8: case 127:
        if (typed) typed--, print("\b \b");
        break;
    case '\r': c = '\n'; // fall through
    default:
        if (typed + 1 < sizeof line || c == '\n') line[typed++] = c, console_put(c);
        if (c == '\n' || typed == sizeof line) complete = 1;
    }
    if (complete) wake(line);
}

void console_interrupt(void) {
    u32 source = *plic(PLIC_CLAIM);
    if (source == UART_IRQ)
        while (!complete && *uart(LINE_STATUS) & DATA_READY) take_character((char)*uart(DATA));
    if (source) *plic(PLIC_CLAIM) = source;
}

i64 console_read(char *to, u64 bytes) {
    while (!complete) sleep_on(line);
    u64 count = typed - taken < bytes ? typed - taken : bytes;
    memcpy(to, line + taken, count);
    taken += count;
    if (taken == typed) {
        typed = taken = 0;
        complete = end_of_file = 0;
        while (!complete && *uart(LINE_STATUS) & DATA_READY) take_character((char)*uart(DATA)); // typed ahead
    }
    return (i64)count;
}
