// Starting programs: what execve keeps and what it refuses, vfork and posix_spawn.
#include "probe.h"

#include <spawn.h>

void *volatile bad_pointer = (void *)8;

static void show_status(const char *what, int status) {
    if (WIFEXITED(status)) printf("%s: exit %d\n", what, WEXITSTATUS(status));
    else if (WIFSIGNALED(status)) printf("%s: signal %d\n", what, WTERMSIG(status));
    else printf("%s: status %x\n", what, status);
}

static void show_exec(char *self) {
    char *const environment[] = {"GREETING=hello", 0};
    SHOW(execve("missing", (char *[]){"x", 0}, environment));
    SHOW(execve(".", (char *[]){"x", 0}, environment));
    SHOW(execve(BAD, (char *[]){"x", 0}, environment));
    SHOW(execve(self, BAD, environment));
    int text = open("text", O_RDWR | O_CREAT, 0600);
    SHOW(execve("text", (char *[]){"x", 0}, environment));
    SHOW(fchmod(text, 0700));
    SHOW(write(text, "no program", 10));
    close(text);
    SHOW(execve("text", (char *[]){"x", 0}, environment));
    signal(SIGUSR1, SIG_IGN);
    signal(SIGUSR2, (void (*)(int))0x1234);
    fcntl(dup2(1, 60), F_SETFD, FD_CLOEXEC);
    dup2(1, 61);
    int status = 0;
    if (fork() == 0) {
        execve(self, (char *[]){self, "second", "two words", 0}, environment);
        _exit(99);
    }
    wait(&status);
    show_status("exec", status);
}

static int second(int count, char **arguments) {
    struct sigaction action;
    printf("%d arguments, the last is %s; GREETING is %s\n", count, arguments[count - 1], getenv("GREETING"));
    sigaction(SIGUSR1, 0, &action);
    printf("what was ignored is %s\n", action.sa_handler == SIG_IGN ? "ignored" : "not");
    sigaction(SIGUSR2, 0, &action);
    printf("what was handled is %s\n", action.sa_handler == SIG_DFL ? "default" : "not");
    SHOW(fcntl(60, F_GETFD));
    SHOW(fcntl(61, F_GETFD));
    return 42;
}

/* vfork and posix_spawn: the child works in the parent's memory, which waits for it. */
static void show_vfork(char *self) {
    volatile int told = 0;
    int status = 0;
    pid_t child = vfork();
    if (child == 0) {
        told = 5;
        _exit(6);
    }
    printf("the child told %d\n", told);
    waitpid(child, &status, 0);
    show_status("vfork", status);
    printf("spawn: %d\n", posix_spawn(&child, "missing", 0, 0, (char *[]){"x", 0}, (char *[]){0}));
    printf("spawn: %d\n", posix_spawn(&child, self, 0, 0, (char *[]){self, "nothing", 0}, (char *[]){0}));
    waitpid(child, &status, 0);
    show_status("spawn", status);
}

/* What the emulator of user programs does not do as Linux does. */
static void show_rest(void) {
    const size_t page = 4096;
    void *heap_end = sbrk(0);
    int file = open("text", O_RDONLY);
    char *area = mmap(0, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    SHOW(lseek(file, 0, SEEK_END));
    SHOW(read(file, BAD, 4)); // at the end nothing is copied
    WENT(mmap(area, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0));
    SHOW(mprotect(area, 0, PROT_READ));
    SHOW(syscall(SYS_nanosleep, BAD, 0));
    SHOW(syscall(SYS_prlimit64, 0, 3, BAD, 0));
    SHOW(read(open(".", O_RDONLY), heap_end, 1));
    SHOW(syscall(9999));
    char *heap = sbrk((long)(4 * page));
    heap[2 * page] = 1;
    brk(heap);
    int status = 0;
    if (fork() == 0) _exit(((volatile char *)heap)[3 * page]);
    wait(&status);
    show_status("below the break again", status);
}

int main(int count, char **arguments) {
    setvbuf(stdout, 0, _IONBF, 0);
    if (count > 1) return strcmp(arguments[1], "second") ? 11 : second(count, arguments);
    show_exec(arguments[0]);
    show_vfork(arguments[0]);
    show_rest();
    return 0;
}
