// One operation of the kernel, so many times: what the benchmarks measure here, on the machine's own kernel and in qemu-user.
//   calls getpid|pipe|fork|exec|open|fault|namespaces|nothing ROUNDS
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void check(long result, const char *what) {
    if (result < 0) perror(what), exit(1);
}
static void wait_for(pid_t child) {
    int status = 0;
    check(child, "fork"), check(waitpid(child, &status, 0), "wait");
    if (status) exit(1);
}
static void ping_pong(long rounds) {
    int there[2], back[2];
    char byte = 0;
    check(pipe(there), "pipe"), check(pipe(back), "pipe");
    pid_t child = fork();
    for (long i = 0; child == 0 && i < rounds; i++)
        if (read(there[0], &byte, 1) != 1 || write(back[1], &byte, 1) != 1) _exit(1);
    if (child == 0) _exit(0);
    for (long i = 0; i < rounds; i++) check(write(there[1], &byte, 1), "write"), check(read(back[0], &byte, 1), "read");
    wait_for(child);
}
static void touch(long rounds) {
    enum { kPages = 256, kPage = 4096 };
    for (long i = 0; i < rounds; i += kPages) {
        char *memory = mmap(NULL, kPages * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED) exit(1);
        madvise(memory, kPages * kPage, MADV_NOHUGEPAGE);
        for (int page = 0; page < kPages; page++) memory[page * kPage] = 1;
        munmap(memory, kPages * kPage);
    }
}

int main(int argc, char **argv) {
    const char *what = argc > 1 ? argv[1] : "";
    const long rounds = argc > 2 ? atol(argv[2]) : 0;
    if (!strcmp(what, "pipe")) ping_pong(rounds);
    else if (!strcmp(what, "fault")) touch(rounds);
    else
        for (long i = 0; i < rounds; i++) {
            if (!strcmp(what, "getpid")) syscall(SYS_getpid);
            else if (!strcmp(what, "open")) {
                char byte;
                int file = open(argv[0], O_RDONLY);
                check(file, "open"), check(read(file, &byte, 1), "read"), close(file);
            } else if (!strcmp(what, "fork") || !strcmp(what, "exec") || !strcmp(what, "namespaces")) {
                fflush(stdout);
                pid_t child = fork();
                if (child == 0 && *what == 'e') execl(argv[0], argv[0], "nothing", "0", NULL);
                if (child == 0 && *what == 'n') _exit(unshare(CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWPID | CLONE_NEWCGROUP) != 0);
                if (child == 0) _exit(*what == 'e');
                wait_for(child);
            }
        }
    if (strcmp(what, "nothing")) printf("done %s\n", what);
    return 0;
}
