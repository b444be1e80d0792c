// Processes: fork, the forms of wait, exit codes, signals that end, pipes between them.
#include "probe.h"

#include <sys/resource.h>

static void show_status(const char *what, int status) {
    if (WIFEXITED(status)) printf("%s: exit %d\n", what, WEXITSTATUS(status));
    else if (WIFSIGNALED(status)) printf("%s: signal %d\n", what, WTERMSIG(status));
    else printf("%s: status %x\n", what, status);
}

static void show_child(const char *what, void (*body)(void)) {
    int status = -1;
    pid_t child = fork();
    if (child == 0) {
        struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
        body();
        _exit(0);
    }
    printf("waited %d\n", waitpid(child, &status, 0) == child);
    show_status(what, status);
}

static void exits_257(void) { _exit(257); }
static void stores_to_null(void) { *(volatile int *)0 = 1; }
static void jumps_away(void) { ((void (*)(void))0x1000)(); }
static void reads_code_as_data(void) { *(volatile char *)(void *)stores_to_null = 1; }
static void traps(void) { BREAK; }
static void is_illegal(void) { ILLEGAL; }
static void aborts(void) { abort(); }
static void kills_itself(void) { kill(getpid(), SIGTERM); }
static void kills_itself_hard(void) { kill(getpid(), SIGKILL); }
static void ignores(void) {
    signal(SIGTERM, SIG_IGN);
    kill(getpid(), SIGTERM);
    _exit(7);
}
static void takes_a_harmless_one(void) {
    kill(getpid(), SIGCHLD);
    kill(getpid(), SIGWINCH);
    _exit(8);
}
static void writes_without_reader(void) {
    int ends[2];
    if (pipe(ends)) _exit(1);
    close(ends[0]);
    _exit(write(ends[1], "x", 1) == 1 ? 2 : 3);
}
static void writes_and_ignores(void) {
    int ends[2];
    signal(SIGPIPE, SIG_IGN);
    if (pipe(ends)) _exit(1);
    close(ends[0]);
    _exit(write(ends[1], "x", 1) == -1 && errno == EPIPE ? 4 : 5);
}
static void overflows_the_stack(void) {
    volatile char frame[4096];
    frame[0] = 1;
    if (frame[0]) overflows_the_stack();
    frame[1] = frame[0];
}

static void show_wait(void) {
    int status = 0;
    struct rusage usage;
    SHOW(waitpid(-1, &status, 0));
    SHOW(waitpid(1234567, &status, 0));
    SHOW(waitpid(-1, &status, 0x100));
    pid_t slow = fork();
    if (slow == 0) {
        usleep(50000);
        _exit(1);
    }
    pid_t quick = fork();
    if (quick == 0) _exit(2);
    printf("nothing yet %d\n", waitpid(slow, &status, WNOHANG));
    printf("the slow one %d\n", waitpid(slow, &status, 0) == slow); // though the quick one ended first
    show_status("slow", status);
    printf("any %d\n", wait4(-1, &status, 0, &usage) == quick);
    show_status("quick", status);
    SHOW(wait(&status));
}

static void show_kill(void) {
    SHOW(kill(1234567, 0));
    SHOW(kill(getpid(), 0));
    SHOW(kill(getpid(), 65));
    pid_t child = fork();
    if (child == 0) {
        pause();
        _exit(0);
    }
    int status = 0;
    SHOW(kill(child, SIGHUP));
    waitpid(child, &status, 0);
    show_status("paused", status);
}

static void show_pipes(void) {
    int ends[2];
    static char block[100000];
    char buffer[16];
    SHOW(pipe2(ends, O_CLOEXEC));
    SHOW(fcntl(ends[0], F_GETFD));
    SHOW(pipe2(ends, 1));
    SHOW(syscall(SYS_pipe2, BAD, 0));
    SHOW(pipe2(ends, O_NONBLOCK));
    SHOW(read(ends[0], buffer, sizeof buffer));
    SHOW(read(ends[0], buffer, 0));
    SHOW(write(ends[0], "x", 1));
    SHOW(read(ends[1], buffer, 1));
    SHOW(lseek(ends[0], 0, SEEK_SET));
    SHOW(pread(ends[0], buffer, 1, 0));
    SHOW(write(ends[1], block, 65536));
    SHOW(write(ends[1], "x", 1));
    SHOW(read(ends[0], block, 4096));
    SHOW(write(ends[1], "x", 1));
    SHOW(close(ends[1]));
    long total = 0, got;
    while ((got = read(ends[0], block, sizeof block)) > 0) total += got;
    printf("then %ld bytes and %ld\n", total, got);
    // A block that does not fit is written whole; the reader takes its time.
    if (pipe(ends)) return;
    if (fork() == 0) {
        close(ends[0]);
        memset(block, 'b', sizeof block);
        _exit(write(ends[1], block, sizeof block) != sizeof block);
    }
    close(ends[1]);
    for (total = 0; (got = read(ends[0], buffer, sizeof buffer)) > 0; total += got)
        if (memcmp(buffer, "bbbbbbbbbbbbbbbb", (size_t)got)) printf("torn\n");
    int status = 0;
    wait(&status);
    printf("%ld bytes, ", total);
    show_status("the writer", status);
}

void *volatile bad_pointer = (void *)8;

int main(void) {
    setvbuf(stdout, 0, _IONBF, 0);
    show_child("exit 257", exits_257);
    show_child("store to null", stores_to_null);
    show_child("jump away", jumps_away);
    show_child("store to code", reads_code_as_data);
    show_child("ebreak", traps);
    show_child("illegal", is_illegal);
    show_child("abort", aborts);
    show_child("TERM", kills_itself);
    show_child("KILL", kills_itself_hard);
    show_child("ignored", ignores);
    show_child("harmless", takes_a_harmless_one);
    show_child("pipe", writes_without_reader);
    show_child("pipe ignored", writes_and_ignores);
    show_child("stack", overflows_the_stack);
    show_wait();
    show_kill();
    show_pipes();
    return 3;
}
