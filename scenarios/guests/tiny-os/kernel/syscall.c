// System calls: numbers and arguments are those of Linux on RISC-V (asm-generic/unistd.h), so the programs run there as well.
// The number is in a7, arguments in a0..a5, the result or a negative error in a0.
#include "kernel.h"

#define PATH_ROOM 128
#define STRINGS_ROOM 1024
#define AT_FDCWD -100

typedef i64 (*handler)(u64 a0, u64 a1, u64 a2, u64 a3);
#define CALL(name) static i64 name(u64 a0 __attribute__((unused)), u64 a1 __attribute__((unused)), u64 a2 __attribute__((unused)), \
                                   u64 a3 __attribute__((unused)))

static char host_name[65] = "tiny";

static struct file *file_at(u64 fd) { return fd < FILES_PER_PROCESS ? current->files[fd] : 0; }

CALL(call_read) { return file_at(a0) ? file_read(file_at(a0), a1, a2) : -EBADF; }
CALL(call_write) { return file_at(a0) ? file_write(file_at(a0), a1, a2) : -EBADF; }
CALL(call_getdents64) { return file_at(a0) ? file_list(file_at(a0), a1, a2) : -EBADF; }

CALL(call_openat) {
    char path[PATH_ROOM];
    int length = copy_text_from_user(path, a1, sizeof path);
    if (length < 0) return length;
    if ((a2 & 3) && strcmp(path, "/dev/console") && strcmp(path, "/dev/tty")) return -EROFS;
    return file_open(path);
}

CALL(call_close) {
    struct file *file = file_at(a0);
    if (!file) return -EBADF;
    current->files[a0] = 0;
    file_close(file);
    return 0;
}

CALL(call_pipe2) {
    struct file *ends[2];
    i64 result = file_pipe(&ends[0], &ends[1]);
    if (result < 0) return result;
    int fds[2] = {-1, -1};
    for (int fd = 0, end = 0; fd < FILES_PER_PROCESS && end < 2; fd++)
        if (!current->files[fd]) current->files[fd] = ends[end], fds[end++] = fd;
    if (fds[1] >= 0 && copy_to_user(a0, fds, sizeof fds) == 0) return 0;
    for (int end = 0; end < 2; end++) {
        if (fds[end] >= 0) current->files[fds[end]] = 0;
        file_close(ends[end]);
    }
    return fds[1] < 0 ? -EMFILE : -EFAULT;
}

static i64 duplicate(struct file *file, u64 to) {
    if (!file) return -EBADF;
    if (current->files[to]) file_close(current->files[to]);
    current->files[to] = file;
    file->users++;
    return (i64)to;
}

CALL(call_dup3) {
    if (a1 >= FILES_PER_PROCESS) return -EBADF;
    return a0 == a1 ? -EINVAL : duplicate(file_at(a0), a1);
}

CALL(call_dup) {
    for (u64 fd = 0; fd < FILES_PER_PROCESS; fd++)
        if (!current->files[fd]) return duplicate(file_at(a0), fd);
    return -EMFILE;
}

CALL(call_exit) { process_exit((int)(a0 & 0xff) << 8); }
CALL(call_clone) { return (a0 & ~0xfful) ? -EINVAL : process_fork(); } // fork: only the signal number is given
CALL(call_wait4) { return process_wait((i64)(int)a0, a1, a2 & 1); }
CALL(call_kill) { return process_kill((int)a0, (int)a1); }
CALL(call_getpid) { return current->pid; }
CALL(call_getppid) { return current->parent; }
CALL(call_user_id) { return 0; }
CALL(call_brk) { return process_break(a0); }
CALL(call_sched_yield) { yield(); return 0; }

// Copies a null-terminated array of strings, one after the other. Returns how many, or an error.
static i64 copy_strings(u64 array, char *strings, u64 *used) {
    for (i64 count = 0; array && count < 32; count++) {
        u64 pointer;
        if (copy_from_user(&pointer, array + (u64)count * 8, sizeof pointer) < 0) return -EFAULT;
        if (!pointer) return count;
        i64 length = copy_text_from_user(strings + *used, pointer, STRINGS_ROOM - *used);
        if (length < 0) return length == -ENAMETOOLONG ? -E2BIG : length;
        *used += (u64)length + 1;
    }
    return array ? -E2BIG : 0;
}

CALL(call_execve) {
    char path[PATH_ROOM];
    static char strings[STRINGS_ROOM]; // the kernel is not preempted here
    u64 used = 0;
    int length = copy_text_from_user(path, a0, sizeof path);
    if (length < 0) return length;
    i64 arguments = copy_strings(a1, strings, &used);
    if (arguments < 0) return arguments;
    i64 environment = copy_strings(a2, strings, &used);
    if (environment < 0) return environment;
    i64 result = process_exec(path, strings, (int)arguments, (int)environment);
    return result < 0 ? result : (i64)frame_of(current)->x[10];
}

struct timespec { i64 seconds, nanoseconds; };

CALL(call_nanosleep) {
    struct timespec time;
    if (copy_from_user(&time, a0, sizeof time) < 0) return -EFAULT;
    if (time.seconds < 0 || time.nanoseconds < 0 || time.nanoseconds >= 1000000000) return -EINVAL;
    sleep_until(read_time() + (u64)time.seconds * TICKS_PER_SECOND + (u64)time.nanoseconds / 100);
    return 0;
}

CALL(call_clock_nanosleep) { return call_nanosleep(a2, 0, 0, 0); }

CALL(call_clock_gettime) {
    u64 now = read_time();
    struct timespec time = {(i64)(now / TICKS_PER_SECOND), (i64)(now % TICKS_PER_SECOND * 100)};
    return copy_to_user(a1, &time, sizeof time);
}

CALL(call_uname) {
    static struct { char system[65], node[65], release[65], version[65], machine[65], domain[65]; } name = {
        "tiny-os", "", "1.0", "#1", "riscv64", "(none)"};
    memcpy(name.node, host_name, sizeof host_name);
    return copy_to_user(a0, &name, sizeof name);
}

CALL(call_sethostname) {
    char name[65] = "";
    if (a1 > 64) return -EINVAL;
    if (copy_from_user(name, a0, a1) < 0) return -EFAULT;
    memcpy(host_name, name, sizeof name);
    return 0;
}

CALL(call_reboot) {
    if (a2 == 0x4321fedc) sbi_shutdown(0);
    if (a2 == 0x01234567) sbi_reboot();
    return -EINVAL;
}

// Number of free pages, for tests and the curious; not a call of Linux.
CALL(call_tiny_free_pages) { return (i64)pages_free(); }

static const struct { u16 number; handler handle; } calls[] = {
    {23, call_dup},       {24, call_dup3},       {56, call_openat},       {57, call_close},
    {59, call_pipe2},     {61, call_getdents64}, {63, call_read},         {64, call_write},
    {93, call_exit},      {94, call_exit},       {101, call_nanosleep},   {113, call_clock_gettime},
    {115, call_clock_nanosleep}, {124, call_sched_yield}, {129, call_kill}, {142, call_reboot},
    {160, call_uname},    {161, call_sethostname}, {172, call_getpid},    {173, call_getppid},
    {174, call_user_id},  {175, call_user_id},   {176, call_user_id},     {177, call_user_id},
    {178, call_getpid},   {214, call_brk},       {220, call_clone},       {221, call_execve},
    {260, call_wait4},    {2000, call_tiny_free_pages},
};

void system_call(struct trap_frame *frame) {
    u64 *x = frame->x;
    i64 result = -ENOSYS;
    for (u64 i = 0; i < sizeof calls / sizeof *calls; i++)
        if (calls[i].number == x[17]) {
            result = calls[i].handle(x[10], x[11], x[12], x[13]);
            break;
        }
    x[10] = (u64)result;
}
