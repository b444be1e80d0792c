// The console: a 16550 UART, polled for output, by interrupt for input; a hypervisor that we know prints for us. Input is edited by line:
// backspace, ^D for end of file, ^C.
#include "kernel.h"

enum { UART = 0x10000000 };
enum { DATA = 0, INTERRUPT_ENABLE = 1, FIFO = 2, LINE_CONTROL = 3, LINE_STATUS = 5 };
enum { DATA_READY = 1, CAN_SEND = 0x20 };

static char line[256];  // the line being typed
static u64 typed, taken;
static int complete, end_of_file;
enum console_kind console_wanted; // by the boot argument console=
static int on_virtio;

static u8 uart(int reg) { return (u8)privileged.device_read(UART + (u64)reg, 1); }
static void set_uart(int reg, u8 value) { privileged.device_write(UART + (u64)reg, 1, value); }

void console_start(void) {
    set_uart(LINE_CONTROL, 3); // 8 bits
    set_uart(FIFO, 1);
    set_uart(INTERRUPT_ENABLE, 1); // tell when something was typed
    if (console_wanted != CONSOLE_UART) on_virtio = virtio_console_start(console_wanted == CONSOLE_VIRTIO_KICK);
}

void uart_write(const char *text, u64 bytes) {
    for (u64 i = 0; i < bytes; i++) {
        while (!(uart(LINE_STATUS) & CAN_SEND)) {}
        set_uart(DATA, (u8)text[i]);
    }
}

void console_write(const char *text, u64 bytes) {
    char out[64];
    u64 count = 0;
    for (u64 i = 0; i < bytes; i++) {
        if (text[i] == '\n') out[count++] = '\r';
        out[count++] = text[i];
        if (count + 2 <= sizeof out && i + 1 < bytes) continue;
        if (on_virtio) virtio_console_write(out, count);
        else privileged.console_write(out, count);
        count = 0;
    }
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
        if (typed + 1 < sizeof line || c == '\n') line[typed++] = c, console_write(&c, 1);
        if (c == '\n' || typed == sizeof line) complete = 1;
    }
    if (complete) wake(line);
}

static void take_characters(void) {
    char c;
    while (!complete && on_virtio && virtio_console_take(&c)) take_character(c);
    while (!complete && !on_virtio && uart(LINE_STATUS) & DATA_READY) take_character((char)uart(DATA));
}

void console_flush(void) {
    if (on_virtio) virtio_console_flush();
}

void console_interrupt(u64 events) {
    virtio_console_interrupt(events);
    if (events & ~1ul) take_characters();
}

i64 console_read(char *to, u64 bytes) {
    while (!complete) sleep_on(line);
    u64 count = typed - taken < bytes ? typed - taken : bytes;
    memcpy(to, line + taken, count);
    taken += count;
    if (taken == typed) {
        typed = taken = 0;
        complete = end_of_file = 0;
        take_characters(); // typed ahead
    }
    return (i64)count;
}
