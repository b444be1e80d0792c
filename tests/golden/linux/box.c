// Runs a program as a privileged container on a real kernel: init of its pid namespace, with mount, uts, ipc, net and cgroup namespaces of
// its own, a tmpfs as its root with /proc, /sys, /sys/fs/cgroup, /dev and /tmp, in a cgroup of its own, with all capabilities.
// box PROGRAM [ARGUMENT...]; standard input is /dev/null.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

static void check(long result, const char *what) {
    if (result != -1) return;
    fprintf(stderr, "box: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void copy(const char *from, const char *to) {
    static char buffer[65536];
    int in = open(from, O_RDONLY), out = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0755);
    check(in, from), check(out, to);
    for (long part; (part = read(in, buffer, sizeof buffer)) > 0;) check(write(out, buffer, part), to);
    close(in), close(out);
}

static void device(const char *path, int major, int minor) {
    check(mknod(path, S_IFCHR | 0666, makedev(major, minor)), path);
    chmod(path, 0666);
}

static void make_devices(void) {
    check(mount("tmpfs", "dev", "tmpfs", MS_NOSUID, "mode=755"), "dev");
    device("dev/null", 1, 3), device("dev/zero", 1, 5), device("dev/full", 1, 7), device("dev/random", 1, 8), device("dev/urandom", 1, 9), device("dev/tty", 5, 0);
    mkdir("dev/pts", 0755), mkdir("dev/shm", 01777);
    check(mount("devpts", "dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620"), "dev/pts");
    check(mount("shm", "dev/shm", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=1777"), "dev/shm");
    check(symlink("pts/ptmx", "dev/ptmx"), "dev/ptmx");
}

static void make_root(const char *program) {
    static const char *const folders[] = {"bin", "dev", "etc", "proc", "root", "sys", "tmp"};
    check(mount(0, "/", 0, MS_REC | MS_PRIVATE, 0), "/");
    check(mount("box", "/box", "tmpfs", 0, "mode=755"), "/box");
    check(chdir("/box"), "/box");
    for (unsigned i = 0; i < sizeof folders / sizeof *folders; i++) mkdir(folders[i], 0755);
    copy(program, "bin/probe");
    check(mount("proc", "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, 0), "proc");
    check(mount("sysfs", "sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, 0), "sys");
    check(mount("cgroup2", "sys/fs/cgroup", "cgroup2", MS_NOSUID | MS_NODEV | MS_NOEXEC, 0), "sys/fs/cgroup");
    check(mount("tmpfs", "tmp", "tmpfs", 0, "mode=1777"), "tmp");
    make_devices();
    check(syscall(SYS_pivot_root, ".", "."), "pivot_root");
    check(umount2(".", MNT_DETACH), "umount2");
    check(chdir("/"), "/");
}

int main(int argc, char **argv) {
    if (argc < 2) return fprintf(stderr, "box PROGRAM [ARGUMENT...]\n"), 1;
    int start[2];
    check(pipe(start), "pipe");
    mkdir("/sys/fs/cgroup/box", 0755);
    pid_t pid = syscall(SYS_clone, CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID | CLONE_NEWNET | SIGCHLD, 0, 0, 0, 0);
    check(pid, "clone");
    if (pid == 0) {
        char byte;
        read(start[0], &byte, 1);
        close(start[0]), close(start[1]);
        check(unshare(CLONE_NEWCGROUP), "unshare");
        check(sethostname("web", 3), "sethostname");
        make_root(argv[1]);
        setsid();
        dup2(open("/dev/null", O_RDWR), 0);
        execv("/bin/probe", argv + 1);
        check(-1, argv[1]);
    }
    FILE *procs = fopen("/sys/fs/cgroup/box/cgroup.procs", "w");
    if (!procs || fprintf(procs, "%d", pid) < 0 || fclose(procs) != 0) check(-1, "cgroup.procs");
    write(start[1], "x", 1);
    int status;
    waitpid(pid, &status, 0);
    return system("find /sys/fs/cgroup/box -depth -type d -exec rmdir {} + 2>/dev/null"), WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
