#include "libc.h"

#include <stdarg.h>

#define AT_FDCWD -100

long read(int fd, void *to, u64 bytes) { return system_call(63, fd, to, bytes); }
long write(int fd, const void *from, u64 bytes) { return system_call(64, fd, from, bytes); }
long open(const char *path, int flags) { return system_call(56, AT_FDCWD, path, flags, 0); }
long close(int fd) { return system_call(57, fd); }
long pipe(int fds[2]) { return system_call(59, fds, 0); }
long dup2(int from, int to) { return from == to ? to : system_call(24, from, to, 0); }
long fork(void) { return system_call(220, 17L, 0L, 0L, 0L, 0L); } // clone with SIGCHLD alone
long execve(const char *path, char *const arguments[], char *const environment[]) { return system_call(221, path, arguments, environment); }
long waitpid(long pid, int *status, int options) { return system_call(260, pid, status, (long)options, 0L); }
long wait(int *status) { return waitpid(-1, status, 0); }
void exit(int code) {
    for (;;) system_call(94, (long)code);
}
long getpid(void) { return system_call(172); }
long getppid(void) { return system_call(173); }
long kill(long pid, int signal) { return system_call(129, pid, (long)signal); }
long sched_yield(void) { return system_call(124); }
long sethostname(const char *name, u64 bytes) { return system_call(161, name, bytes); }
long uname(struct utsname *to) { return system_call(160, to); }
long getdents64(int fd, void *to, u64 bytes) { return system_call(61, (long)fd, to, bytes); }
long power_off(void) { return system_call(142, 0xfee1deadL, 672274793L, 0x4321fedcL, 0L); }

void *sbrk(i64 bytes) {
    static u64 end;
    if (!end) end = (u64)system_call(214, 0L);
    u64 old = end, wanted = end + (u64)bytes;
    if ((u64)system_call(214, wanted) != wanted) return 0;
    end = wanted;
    return (void *)old;
}

struct timespec { i64 seconds, nanoseconds; };

void sleep_ms(u64 milliseconds) {
    struct timespec time = {(i64)(milliseconds / 1000), (i64)(milliseconds % 1000 * 1000000)};
    system_call(101, &time, 0L);
}

u64 time_ns(void) {
    struct timespec time = {0, 0};
    system_call(113, 1L, &time);
    return (u64)time.seconds * 1000000000 + (u64)time.nanoseconds;
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

int strncmp(const char *a, const char *b, u64 most) {
    while (most && *a && *a == *b) a++, b++, most--;
    return most ? (u8)*a - (u8)*b : 0;
}

void *memcpy(void *to, const void *from, u64 bytes) {
    for (u64 i = 0; i < bytes; i++) ((char *)to)[i] = ((const char *)from)[i];
    return to;
}

void *memset(void *to, int value, u64 bytes) {
    for (u64 i = 0; i < bytes; i++) ((char *)to)[i] = (char)value;
    return to;
}

long number_of(const char *text) {
    long value = 0, sign = *text == '-' ? text++, -1 : 1;
    while (*text >= '0' && *text <= '9') value = value * 10 + (*text++ - '0');
    return sign * value;
}

struct line { char text[512]; u64 used; };

static void put(struct line *line, char c) {
    if (line->used < sizeof line->text) line->text[line->used++] = c;
}

static void put_number(struct line *line, u64 value, unsigned base) {
    char digits[24];
    int count = 0;
    do digits[count++] = "0123456789abcdef"[value % base];
    while (value /= base);
    while (count) put(line, digits[--count]);
}

static void print_list(int fd, const char *format, va_list arguments) {
    struct line line;
    line.used = 0;
    for (; *format; format++) {
        if (*format != '%') {
            put(&line, *format);
            continue;
        }
        switch (*++format) {
        case 's':
            for (const char *s = va_arg(arguments, const char *); *s; s++) put(&line, *s);
            break;
        case 'c': put(&line, (char)va_arg(arguments, int)); break;
        case 'x': put_number(&line, va_arg(arguments, u64), 16); break;
        case 'd': {
            i64 value = va_arg(arguments, i64);
            if (value < 0) put(&line, '-'), value = -value;
            put_number(&line, (u64)value, 10);
            break;
        }
        default: put(&line, *format);
        }
    }
    write(fd, line.text, line.used);
}

void print(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    print_list(1, format, arguments);
    va_end(arguments);
}

void print_to(int fd, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    print_list(fd, format, arguments);
    va_end(arguments);
}
