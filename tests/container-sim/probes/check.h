// What the probes of the oracle share. A program is a list of checks; each check prints one line, `name: result`, that is the same on every
// right kernel: values and names of errors, no addresses, times or pids of the outer world. Programs run as root in a privileged container:
// as init of a pid namespace, with mount, uts, ipc, net and cgroup namespaces of their own, /proc, /sys/fs/cgroup, /dev with pts, and /tmp.
//
//   CHECK(pid_05_setns_to_an_ancestor) { SHOW("setns", setns(parent, CLONE_NEWPID)); }     prints `pid-05-setns-to-an-ancestor: setns=EINVAL`
//
// PROGRAM [--timeout MILLISECONDS] [--list | NAME]: runs all checks or one, each in a child of its own; a check that does not end prints
// `timeout`, one that is killed `died SIGSEGV`, each after what it had said so far.
#ifndef CHECK_H
#define CHECK_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

// Memory that a check and all its descendants share: what they have said, and what they tell each other.
struct shared {
    char line[8192];
    int length;
    volatile int flags[16];
    volatile long numbers[16];
};
extern struct shared *shared;

void add_check(const char *name, void (*body)(void));
#define CHECK(name)                                                                                           \
    static void name(void);                                                                                   \
    __attribute__((constructor)) static void add_##name(void) { add_check(#name, name); }                     \
    static void name(void)

void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
void show(const char *label, long result); // label=value, or label=EPERM for -1
void show_ok(const char *label, long result); // label=ok for what is not negative
void show_status(const char *label, int status); // label=exit3, label=SIGKILL, label=stopped-SIGTSTP
void show_text(const char *label, const char *text); // label=[text], line ends as |
void show_file(const char *label, const char *path); // the same for what is in a file, or the error
#define SHOW(label, call) show(label, (errno = 0, (long)(call)))
#define OK(label, call) show_ok(label, (errno = 0, (long)(call)))
#define OPENS(label, call) ({ int opened_ = (errno = 0, (call)); show_ok(label, opened_); if (opened_ >= 0) close(opened_); })

// A child that does `...` and exits with 0. START gives its pid, RUN its wait status. FLAGS are clone's.
pid_t clone_child(unsigned long flags);
int wait_for(pid_t pid);
#define START_WITH(flags, ...) ({ pid_t pid_ = clone_child(flags); if (pid_ == 0) { __VA_ARGS__; _exit(0); } pid_; })
#define START(...) START_WITH(0, __VA_ARGS__)
#define RUN_WITH(flags, ...) ({ pid_t run_ = START_WITH(flags, __VA_ARGS__); run_ < 0 ? -1 : wait_for(run_); })
#define RUN(...) RUN_WITH(0, __VA_ARGS__)

void set_flag(int flag);
void await_flag(int flag);
void nap(long milliseconds);
void await_sleep(pid_t pid); // until a process sleeps in the kernel, as /proc/PID/stat says
char state_of(pid_t pid);
bool vanishes(pid_t pid); // whether a process is gone within a second (not a child of the caller)

long put(const char *path, const char *text); // writes in one write; -1 and errno
long get(const char *path, char *text, size_t size); // reads all; the length, or -1
void must(const char *what, long result); // for steps before the one that is checked: ends the check with the step's error
#define MUST(call) must(#call, (long)(call))
void touch(const char *path, const char *text);

void own_mounts(void); // a private mount namespace, with a fresh tmpfs as the current folder
void own_network(void); // a net namespace, lo up
void become(unsigned id); // setresuid and setresgid, no groups
void map_ids(pid_t pid, unsigned inside, unsigned outside, unsigned count); // writes uid_map and gid_map
void enter_user_namespace(void); // a new one with root mapped to the caller, by the caller itself
int send_fd(int socket, int fd);
int receive_fd(int socket);
const char *signal_name(int number);
long ns_open(pid_t pid, const char *name);
bool same_file(const char *a, const char *b); // same device and inode, through symlinks

#endif
