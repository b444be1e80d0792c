// The C library of tiny-os's programs: as much as they need. System calls are Linux's, so the programs run on Linux as well.
#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned long u64;
typedef long i64;

long system_call(long number, ...);

long read(int fd, void *to, u64 bytes);
long write(int fd, const void *from, u64 bytes);
long open(const char *path, int flags);
long close(int fd);
long pipe(int fds[2]);
long dup2(int from, int to);
long fork(void);
long execve(const char *path, char *const arguments[], char *const environment[]);
long wait(int *status);
long waitpid(long pid, int *status, int options);
void exit(int code) __attribute__((noreturn));
long getpid(void);
long getppid(void);
long kill(long pid, int signal);
void *sbrk(i64 bytes);
void sleep_ms(u64 milliseconds);
u64 time_ns(void);
long sched_yield(void);
long sethostname(const char *name, u64 bytes);
struct utsname { char system[65], node[65], release[65], version[65], machine[65], domain[65]; };
long uname(struct utsname *to);
struct dirent { u64 inode; i64 offset; u16 length; u8 type; char name[]; } __attribute__((packed));
long getdents64(int fd, void *to, u64 bytes);
long power_off(void);

u64 strlen(const char *text);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, u64 most);
void *memcpy(void *to, const void *from, u64 bytes);
void *memset(void *to, int value, u64 bytes);
long number_of(const char *text);
void print(const char *format, ...);            // %s %d %x %c, to standard output in one write
void print_to(int fd, const char *format, ...);
