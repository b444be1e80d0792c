// Filters and threads, programs and handlers: what a filter decides for whom. Calls are judged by their first argument, so that the same
// program runs on any kind of machine.
#include "probe.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/prctl.h>

/* A call of that number whose second argument is `mark` gets the answer; all others are allowed. */
static long answer_to(int number, unsigned mark, unsigned answer, unsigned flags) {
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, mark, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, answer),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {6, code};
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
}
static long marked(unsigned mark) { return syscall(SYS_dup3, -1, mark, 0); } // EBADF or, for equal ones, EINVAL when it is let through

/* What the filter over `code` gives as error number, by a filter whose last instruction returns A | SECCOMP_RET_ERRNO. */
static int computed(struct sock_filter *code, unsigned length) {
    int status, pid = fork();
    if (pid == 0) {
        struct sock_filter all[32] = {
            BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_dup3, 1, 0),
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
            BPF_STMT(BPF_LD | BPF_IMM, 0),
        };
        memcpy(all + 4, code, length * sizeof *code);
        all[length + 4] = (struct sock_filter)BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xff);
        all[length + 5] = (struct sock_filter)BPF_STMT(BPF_ALU | BPF_OR | BPF_K, SECCOMP_RET_ERRNO);
        all[length + 6] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_A, 0);
        struct sock_fprog program = {length + 7, all};
        if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) _exit(255);
        _exit(marked(0) == -1 ? errno : 0);
    }
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}
#define COMPUTED(...)                                                                                      \
    do {                                                                                                   \
        struct sock_filter code_[] = {__VA_ARGS__};                                                        \
        printf("%s: %d\n", #__VA_ARGS__, computed(code_, sizeof code_ / sizeof *code_));                   \
    } while (0)

static void arithmetic(void) {
    COMPUTED(BPF_STMT(BPF_LD | BPF_IMM, 200), BPF_STMT(BPF_ALU | BPF_DIV | BPF_K, 7));
    COMPUTED(BPF_STMT(BPF_LD | BPF_IMM, 200), BPF_STMT(BPF_LDX | BPF_IMM, 9), BPF_STMT(BPF_ALU | BPF_DIV | BPF_X, 0));
    COMPUTED(BPF_STMT(BPF_LD | BPF_IMM, 200), BPF_STMT(BPF_LDX | BPF_IMM, 0), BPF_STMT(BPF_ALU | BPF_DIV | BPF_X, 0)); // ends the thread
    COMPUTED(BPF_STMT(BPF_LD | BPF_IMM, 3), BPF_STMT(BPF_ALU | BPF_MUL | BPF_K, 41), BPF_STMT(BPF_ALU | BPF_SUB | BPF_K, 1));
    COMPUTED(BPF_STMT(BPF_LD | BPF_IMM, 3), BPF_STMT(BPF_MISC | BPF_TAX, 0), BPF_STMT(BPF_ALU | BPF_LSH | BPF_X, 0), BPF_STMT(BPF_ALU | BPF_XOR | BPF_K, 0x81));
    COMPUTED(BPF_STMT(BPF_LD | BPF_IMM, 0xf0000000), BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 28), BPF_STMT(BPF_ALU | BPF_NEG, 0));
    COMPUTED(BPF_STMT(BPF_LD | BPF_IMM, 77), BPF_STMT(BPF_ST, 15), BPF_STMT(BPF_LD | BPF_IMM, 0), BPF_STMT(BPF_LDX | BPF_MEM, 15), BPF_STMT(BPF_MISC | BPF_TXA, 0));
    COMPUTED(BPF_STMT(BPF_LD | BPF_LEN, 0), BPF_STMT(BPF_LDX | BPF_LEN, 0), BPF_STMT(BPF_ALU | BPF_ADD | BPF_X, 0));
    COMPUTED(BPF_STMT(BPF_LD | BPF_IMM, 5), BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 2, 0, 1), BPF_STMT(BPF_LD | BPF_IMM, 90));
    COMPUTED(BPF_STMT(BPF_LD | BPF_IMM, 0x80000000), BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, 1, 1, 0), BPF_STMT(BPF_LD | BPF_IMM, 91)); // unsigned
    COMPUTED(BPF_STMT(BPF_LD | BPF_IMM, 6), BPF_STMT(BPF_LDX | BPF_IMM, 6), BPF_JUMP(BPF_JMP | BPF_JGE | BPF_X, 0, 1, 0), BPF_STMT(BPF_LD | BPF_IMM, 92));
    COMPUTED(BPF_STMT(BPF_LD | BPF_IMM, 9), BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, 4)); // there is none for seccomp
}

static pthread_barrier_t together;
static void *waits_then_calls(void *mark) {
    pthread_barrier_wait(&together);
    pthread_barrier_wait(&together);
    return (void *)(marked((unsigned)(long)mark) == -1 ? (long)errno : 0);
}
static long of_thread(unsigned mark, unsigned answer, unsigned flags) {
    pthread_t thread;
    void *result;
    pthread_barrier_init(&together, 0, 2);
    pthread_create(&thread, 0, waits_then_calls, (void *)(long)mark);
    pthread_barrier_wait(&together);
    SHOW(answer_to(SYS_dup3, mark, answer, flags));
    pthread_barrier_wait(&together);
    pthread_join(thread, &result);
    return (long)result;
}
static void *diverges(void *mark) {
    (void)mark;
    answer_to(SYS_dup3, 300, SECCOMP_RET_ERRNO | EXDEV, 0);
    pthread_barrier_wait(&together);
    pthread_barrier_wait(&together);
    return 0;
}
static void *dies(void *mark) {
    marked((unsigned)(long)mark);
    return (void *)1;
}

static void threads(void) {
    printf("a thread: %ld\n", of_thread(100, SECCOMP_RET_ERRNO | ENOTTY, 0));
    printf("all threads: %ld\n", of_thread(101, SECCOMP_RET_ERRNO | ENOTTY, SECCOMP_FILTER_FLAG_TSYNC));
    pthread_t thread;
    pthread_barrier_init(&together, 0, 2);
    pthread_create(&thread, 0, diverges, 0);
    pthread_barrier_wait(&together);
    printf("diverged: %d\n", answer_to(SYS_dup3, 102, SECCOMP_RET_ERRNO | ENOTTY, SECCOMP_FILTER_FLAG_TSYNC) > getpid());
    SHOW(answer_to(SYS_dup3, 102, SECCOMP_RET_ERRNO | ENOTTY, SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_TSYNC_ESRCH));
    SHOW(marked(102));
    pthread_barrier_wait(&together);
    pthread_join(thread, 0);
}

static volatile long trap_address_known;
static void on_trap(int number, siginfo_t *info, void *context) {
    (void)context;
    trap_address_known = number == SIGSYS && info->si_call_addr != 0 && info->si_syscall == SYS_dup3;
}
static void traps(void) {
    struct sigaction action = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO};
    sigaction(SIGSYS, &action, 0);
    SHOW(answer_to(SYS_dup3, 400, SECCOMP_RET_TRAP | 1, 0));
    marked(400);
    SHOW(trap_address_known);
}

int main(int argc, char **argv) {
    setvbuf(stdout, 0, _IONBF, 0);
    if (argc > 1) { // what was begun after a filter was set
        SHOW(marked(500));
        return 0;
    }
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    arithmetic();
    if (fork() == 0) threads(), _exit(0);
    wait(0);
    if (fork() == 0) traps(), _exit(0);
    wait(0);
    if (fork() == 0) { // one thread ends, the other goes on
        pthread_t thread;
        SHOW(answer_to(SYS_dup3, 600, SECCOMP_RET_KILL_THREAD, 0));
        pthread_create(&thread, 0, dies, (void *)600l);
        usleep(100000);
        printf("the first thread is here\n");
        _exit(0);
    }
    wait(0);
    if (fork() == 0) {
        pthread_t thread;
        int status;
        if (fork() == 0) {
            SHOW(answer_to(SYS_dup3, 600, SECCOMP_RET_KILL_PROCESS, 0));
            pthread_create(&thread, 0, dies, (void *)600l);
            pthread_join(thread, 0);
            printf("never\n");
        }
        wait(&status);
        printf("the process: %s\n", WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS ? "SIGSYS" : "something else");
        _exit(0);
    }
    wait(0);
    fflush(stdout);
    SHOW(answer_to(SYS_dup3, 500, SECCOMP_RET_ERRNO | EXDEV, 0));
    execl(argv[0], argv[0], "again", (char *)0);
    return 1;
}
