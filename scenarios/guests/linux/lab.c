// lab: what the lessons on containers try out, one system call after the other, in one program (plain Linux calls; glibc, static).
//   lab unshare KINDS PROGRAM...      new namespaces: p pid, u uts, m mnt, n net, i ipc, c cgroup, t time, U user; pid and time count for a child
//   lab chroot FOLDER PROGRAM...      another root folder, and nothing else
//   lab escape PROGRAM...             out of a chroot, as its manual page tells
//   lab pivot FOLDER PROGRAM...       a mnt namespace whose only root is the folder: pivot_root, the old root taken off
//   lab cgroup NAME [FILE=VALUE...] -- PROGRAM...   a cgroup of its own with these limits
//   lab overlay PROGRAM...            layers /o/lower1, /o/lower2 and /o/upper merged at /m
//   lab fork NUMBER [SECONDS]         so many children at once, as far as the kernel lets it, for so long
//   lab work ROUNDS                   so much work on the hart; says how long it took
//   lab memory MIB                    fills so much memory, in a child; says how that ended
//   lab key | port NUMBER | devices   an ipc key, a TCP port, the network devices
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mount.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int fail(const char *what) {
    fprintf(stderr, "lab: %s: %s\n", what, strerror(errno));
    return 1;
}
static int begin(char **words) {
    fflush(stdout);
    execv(words[0], words);
    return fail(words[0]);
}
static int put(const char *path, const char *text) {
    int file = open(path, O_WRONLY | O_CREAT, 0644);
    long done = file < 0 ? -1 : write(file, text, strlen(text));
    if (file >= 0) close(file);
    return done < 0 ? -1 : 0;
}
static int status_of(pid_t child) {
    int status = 0;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int kinds_of(const char *letters) {
    static const struct {
        char letter;
        int flag;
    } kinds[] = {{'p', CLONE_NEWPID}, {'u', CLONE_NEWUTS}, {'m', CLONE_NEWNS}, {'n', CLONE_NEWNET}, {'i', CLONE_NEWIPC}, {'c', CLONE_NEWCGROUP}, {'t', 0x80}, {'U', CLONE_NEWUSER}};
    int flags = 0;
    for (; *letters; letters++)
        for (unsigned i = 0; i < sizeof kinds / sizeof *kinds; i++)
            if (kinds[i].letter == *letters) flags |= kinds[i].flag;
    return flags;
}
static int do_unshare(char **words) {
    int flags = kinds_of(words[0]);
    if (syscall(SYS_unshare, flags)) return fail("unshare");
    if (flags & CLONE_NEWNS && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL)) return fail("make / private");
    if (!(flags & (CLONE_NEWPID | 0x80))) return begin(words + 1);
    fflush(stdout);
    pid_t child = fork();
    if (child < 0) return fail("fork");
    if (child == 0) _exit(begin(words + 1));
    return status_of(child);
}

static int do_chroot(char **words) {
    if (chroot(words[0]) || chdir("/")) return fail(words[0]);
    return begin(words + 1);
}
/// chroot(2), "this call does not change the current working directory": whoever stands outside of the root walks up freely.
static int do_escape(char **words) {
    mkdir("/deeper", 0755);
    if (chroot("/deeper")) return fail("chroot");
    for (int i = 0; i < 64; i++)
        if (chdir("..")) return fail("..");
    if (chroot(".")) return fail("chroot .");
    return begin(words);
}
static int do_pivot(char **words) {
    if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL)) return fail("unshare");
    if (mount(words[0], words[0], NULL, MS_BIND | MS_REC, NULL)) return fail("bind");
    if (chdir(words[0]) || syscall(SYS_pivot_root, ".", ".") || umount2(".", MNT_DETACH) || chdir("/")) return fail("pivot_root");
    return begin(words + 1);
}

static int do_cgroup(char **words) {
    char path[300], *name = *words++;
    mkdir("/cg", 0755);
    if (access("/cg/cgroup.procs", F_OK) && mount("cgroup2", "/cg", "cgroup2", 0, NULL)) return fail("mount cgroup2");
    mkdir("/cg/rest", 0755);
    if (put("/cg/rest/cgroup.procs", "0")) return fail("leave the group above"); // no processes where controllers are given on
    put("/cg/cgroup.subtree_control", "+cpu +pids");
    put("/cg/cgroup.subtree_control", "+memory");
    snprintf(path, sizeof path, "/cg/%s", name);
    if (mkdir(path, 0755) && errno != EEXIST) return fail(path);
    for (; *words && strcmp(*words, "--"); words++) {
        char *equals = strchr(*words, '=');
        if (!equals) return errno = EINVAL, fail(*words);
        *equals = 0;
        snprintf(path, sizeof path, "/cg/%s/%s", name, *words);
        if (put(path, equals + 1)) return fail(path);
    }
    snprintf(path, sizeof path, "/cg/%s/cgroup.procs", name);
    if (!*words || put(path, "0")) return fail("enter the group");
    return begin(words + 1);
}

static int do_overlay(char **words) {
    mkdir("/o", 0755), mkdir("/m", 0755);
    if (mount("layers", "/o", "tmpfs", 0, NULL)) return fail("mount tmpfs");
    mkdir("/o/lower1", 0755), mkdir("/o/lower2", 0755), mkdir("/o/upper", 0755), mkdir("/o/work", 0755);
    if (put("/o/lower2/base", "of the lowest layer\n") || put("/o/lower2/both", "lower2\n") || put("/o/lower1/both", "lower1\n") || put("/o/lower1/tool", "a tool\n")) return fail("layers");
    if (mount("overlay", "/m", "overlay", 0, "lowerdir=/o/lower1:/o/lower2,upperdir=/o/upper,workdir=/o/work")) return fail("mount overlay");
    return begin(words);
}

static int do_fork(char **words) {
    int wanted = atoi(words[0]), made = 0, why = 0;
    pid_t *children = calloc((size_t)wanted, sizeof *children);
    while (made < wanted && (children[made] = fork()) >= 0)
        if (children[made++] == 0) pause();
    if (made < wanted) why = errno;
    printf("%d of %d children%s%s\n", made, wanted, why ? ", then: " : "", why ? strerror(why) : "");
    fflush(stdout);
    if (words[1]) sleep((unsigned)atoi(words[1]));
    for (int i = 0; i < made; i++) kill(children[i], SIGKILL), waitpid(children[i], NULL, 0);
    return 0;
}

static long milliseconds(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}
static int do_work(char **words) {
    long rounds = atol(words[0]), began = milliseconds(CLOCK_MONOTONIC), own = milliseconds(CLOCK_PROCESS_CPUTIME_ID);
    volatile unsigned long sum = 0;
    for (long i = 0; i < rounds; i++) sum += (unsigned long)i * sum + 1;
    own = milliseconds(CLOCK_PROCESS_CPUTIME_ID) - own;
    printf("%ld ms of work took %ld ms\n", own, milliseconds(CLOCK_MONOTONIC) - began);
    return 0;
}
static int do_memory(char **words) {
    long wanted = atol(words[0]);
    fflush(stdout);
    pid_t child = fork();
    if (child < 0) return fail("fork");
    for (long i = 0; child == 0 && i <= wanted; i++) {
        if (i == wanted) _exit(0);
        char *memory = malloc(1 << 20);
        if (!memory) _exit(1);
        memset(memory, 1, 1 << 20);
    }
    int status = status_of(child);
    printf("%s\n", status == 0 ? "there was room" : status == 128 + SIGKILL ? "killed: out of memory" : "no memory");
    return 0;
}

static int do_key(void) {
    int id = semget(0x1234, 1, IPC_CREAT | 0600);
    if (id < 0) return fail("semget");
    printf("key 0x1234 has value %d\n", semctl(id, 0, GETVAL));
    union {
        int value;
        void *pointer;
    } seven = {7};
    return semctl(id, 0, SETVAL, seven) ? fail("semctl") : 0;
}
static int do_port(char **words) {
    int on = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(words[0]))};
    if (on < 0 || bind(on, (struct sockaddr *)&at, sizeof at) || listen(on, 1)) return fail("port");
    printf("listens at port %s\n", words[0]);
    fflush(stdout);
    return words[1] ? begin(words + 1) : 0; // which has the socket
}
static int do_devices(void) {
    struct if_nameindex *all = if_nameindex();
    if (!all) return fail("devices");
    for (struct if_nameindex *each = all; each->if_index; each++) printf("%s%s", each == all ? "" : " ", each->if_name);
    printf("\n");
    return 0;
}

int main(int argc, char **argv) {
    static const struct {
        const char *name;
        int words;
        int (*run)(char **);
    } commands[] = {{"unshare", 2, do_unshare}, {"chroot", 2, do_chroot}, {"escape", 1, do_escape}, {"pivot", 2, do_pivot}, {"cgroup", 3, do_cgroup}, {"overlay", 1, do_overlay},
                    {"fork", 1, do_fork}, {"work", 1, do_work}, {"memory", 1, do_memory}, {"port", 1, do_port}};
    for (unsigned i = 0; i < sizeof commands / sizeof *commands; i++)
        if (argc > 1 + commands[i].words && !strcmp(argv[1], commands[i].name)) return commands[i].run(argv + 2);
    if (argc == 2 && !strcmp(argv[1], "key")) return do_key();
    if (argc == 2 && !strcmp(argv[1], "devices")) return do_devices();
    fprintf(stderr, "lab: unshare, chroot, escape, pivot, cgroup, overlay, fork, work, memory, key, port, devices\n");
    return 2;
}
