// Names, clocks, randomness, identity, limits, waiting.
#include "probe.h"

#include <poll.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/utsname.h>
#include <time.h>

void *volatile bad_pointer = (void *)8;

static void show_names(void) {
    struct utsname name;
    char comm[16];
    SHOW(uname(&name));
    printf("%s\n", name.sysname);
    SHOW(syscall(SYS_uname, BAD));
    SHOW(prctl(PR_SET_NAME, "a name that is too long"));
    SHOW(prctl(PR_GET_NAME, comm));
    printf("%s\n", comm);
    printf("pid %d, tid %d\n", getpid() > 0, getpid() == gettid());
}

static void show_clocks(void) {
    struct timespec before, after, wrong = {0, 1000000000}, negative = {-1, 0}, brief = {0, 2000000};
    struct timeval day;
    SHOW(clock_gettime(CLOCK_MONOTONIC, &before));
    SHOW(nanosleep(&brief, 0));
    clock_gettime(CLOCK_MONOTONIC, &after);
    printf("slept %d\n", (after.tv_sec - before.tv_sec) * 1000000000L + after.tv_nsec - before.tv_nsec >= 2000000);
    SHOW(syscall(SYS_clock_gettime, 99, &before));
    SHOW(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, BAD));
    SHOW(nanosleep(&wrong, 0));
    SHOW(nanosleep(&negative, 0));
    SHOW(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &before, 0));
    SHOW(clock_nanosleep(99, 0, &brief, 0));
    SHOW(gettimeofday(&day, 0));
    SHOW(syscall(SYS_gettimeofday, 0, 0));
}

static void show_random(void) {
    static unsigned char bytes[1000];
    int differ = 0;
    SHOW(getrandom(bytes, sizeof bytes, 0));
    for (int i = 1; i < 1000; i++) differ += bytes[i] != bytes[0];
    printf("random %d\n", differ > 900);
    SHOW(getrandom(bytes, 4, GRND_NONBLOCK));
    SHOW(getrandom(bytes, 4, 0x100));
    SHOW(syscall(SYS_getrandom, BAD, 4, 0));
}

static void show_limits(void) {
    struct rlimit limit;
    SHOW(getrlimit(RLIMIT_STACK, &limit));
    printf("%ld\n", (long)limit.rlim_cur);
    SHOW(syscall(SYS_prlimit64, 0, 99, 0, &limit));
    SHOW(syscall(SYS_prlimit64, 0, RLIMIT_STACK, 0, BAD));
    SHOW(getgroups(-1, 0));
}

static void show_poll(void) {
    int ends[2];
    if (pipe(ends)) return;
    struct pollfd fds[3] = {{ends[0], POLLIN, 0}, {ends[1], POLLOUT, 0}, {99, POLLIN, 0}};
    SHOW(poll(fds, 3, 0));
    printf("%x %x %x\n", fds[0].revents, fds[1].revents, fds[2].revents);
    SHOW(poll(fds, 1, 5));
    if (fork() == 0) {
        usleep(3000);
        _exit(write(ends[1], "x", 1) != 1);
    }
    SHOW(poll(fds, 1, 60000));
    close(ends[1]);
    char byte;
    SHOW(read(ends[0], &byte, 1));
    SHOW(poll(fds, 1, 60000));
    printf("%x\n", fds[0].revents);
    SHOW(syscall(SYS_ppoll, BAD, 1, 0, 0, 0));
    wait(0);
}

static void show_signals(void) {
    struct sigaction action = {.sa_handler = SIG_IGN}, old;
    sigset_t set;
    SHOW(sigaction(SIGUSR1, &action, 0));
    SHOW(sigaction(SIGUSR1, 0, &old));
    printf("%d\n", old.sa_handler == SIG_IGN);
    SHOW(sigaction(SIGKILL, &action, 0));
    SHOW(sigaction(65, &action, 0));
    SHOW(syscall(SYS_rt_sigaction, SIGUSR1, BAD, 0, 8));
    SHOW(syscall(SYS_rt_sigaction, SIGUSR1, &action, 0, 4));
    sigemptyset(&set), sigaddset(&set, SIGUSR2);
    SHOW(sigprocmask(SIG_BLOCK, &set, 0));
    SHOW(sigprocmask(SIG_BLOCK, 0, &set));
    printf("%d %d\n", sigismember(&set, SIGUSR2), sigismember(&set, SIGUSR1));
    SHOW(sigprocmask(77, &set, 0));
    SHOW(syscall(SYS_rt_sigprocmask, SIG_BLOCK, BAD, 0, 8));
}

int main(void) {
    setvbuf(stdout, 0, _IONBF, 0);
    show_names();
    show_clocks();
    show_random();
    show_limits();
    show_poll();
    show_signals();
    return 0;
}
