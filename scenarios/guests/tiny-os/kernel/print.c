// Printing, and the few functions that a C compiler takes for granted.
#include <stdarg.h>

#include "kernel.h"
#include "sbi.h"

// What is printed at once goes to the console at once.
struct output { char text[96]; u64 count; };

static void send(struct output *out) {
    console_write(out->text, out->count);
    out->count = 0;
}

static void put(struct output *out, char c) {
    out->text[out->count++] = c;
    if (out->count == sizeof out->text) send(out);
}

static void put_number(struct output *out, u64 value, unsigned base) {
    char digits[24];
    int count = 0;
    do digits[count++] = "0123456789abcdef"[value % base];
    while (value /= base);
    while (count) put(out, digits[--count]);
}

void print(const char *format, ...) {
    struct output out;
    out.count = 0;
    va_list arguments;
    va_start(arguments, format);
    for (; *format; format++) {
        if (*format != '%') {
            put(&out, *format);
            continue;
        }
        switch (*++format) {
        case 's':
            for (const char *s = va_arg(arguments, const char *); *s; s++) put(&out, *s);
            break;
        case 'c': put(&out, (char)va_arg(arguments, int)); break;
        case 'x': put_number(&out, va_arg(arguments, u64), 16); break;
        case 'd': {
            i64 value = va_arg(arguments, i64);
            if (value < 0) put(&out, '-'), value = -value;
            put_number(&out, (u64)value, 10);
            break;
        }
        default: put(&out, *format);
        }
    }
    va_end(arguments);
    send(&out);
}

void panic(const char *why) {
    print("tiny-os: panic: %s\n", why);
    sbi_shutdown(1);
}

void *memcpy(void *to, const void *from, u64 bytes) {
    u64 *to8 = to;
    const u64 *from8 = from;
    if ((((u64)to | (u64)from) & 7) == 0)
        for (; bytes >= 8; bytes -= 8) *to8++ = *from8++;
    u8 *t = (u8 *)to8;
    const u8 *f = (const u8 *)from8;
    while (bytes--) *t++ = *f++;
    return to;
}

void *memset(void *to, int value, u64 bytes) {
    u64 *to8 = to;
    if (((u64)to & 7) == 0)
        for (u64 word = (u8)value * 0x0101010101010101ul; bytes >= 8; bytes -= 8) *to8++ = word;
    u8 *t = (u8 *)to8;
    while (bytes--) *t++ = (u8)value;
    return to;
}

int memcmp(const void *a, const void *b, u64 bytes) {
    const u8 *x = a, *y = b;
    for (; bytes; bytes--, x++, y++)
        if (*x != *y) return *x - *y;
    return 0;
}

u64 strlen(const char *text) {
    u64 length = 0;
    while (text[length]) length++;
    return length;
}

int strcmp(const char *a, const char *b) {
    while (*a && *a == *b) a++, b++;
    return (u8)*a - (u8)*b;
}
