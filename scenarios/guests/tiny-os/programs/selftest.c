// selftest: what the kernel promises, tried out by a program. Ends with one line that says how it went.
#include "../libc/libc.h"

static int failures;

static void check(int holds, const char *what) {
    if (!holds) failures++, print("self-test: FAILED: %s\n", what);
}

static int run(const char *path, char *argument) {
    char *arguments[] = {(char *)path, argument, 0}, *environment[] = {0};
    int status = -1;
    long pid = fork();
    if (pid == 0) {
        execve(path, arguments, environment);
        exit(127);
    }
    return waitpid(pid, &status, 0) == pid ? status : -1;
}

static void check_preemption(void) {
    int ends[2];
    pipe(ends);
    for (int child = 0; child < 2; child++)
        if (fork() == 0) { // neither gives the hart up, yet both get on
            u64 end = time_ns() + 60000000;
            int switches = 0;
            while (time_ns() < end) switches++;
            write(ends[1], &switches, sizeof switches);
            exit(0);
        }
    int counts[2] = {0, 0};
    for (int i = 0; i < 2; i++) read(ends[0], &counts[i], sizeof counts[i]), wait(0);
    check(counts[0] > 10 && counts[1] > 10, "two busy children share the hart");
    close(ends[0]), close(ends[1]);
}

static void check_files(void) {
    char text[6] = "";
    long fd = open("/etc/motd", 0);
    check(fd >= 0 && read((int)fd, text, 5) == 5, "a file of the archive can be read");
    check(close((int)fd) == 0 && close((int)fd) == -9, "a closed descriptor is gone");
    check(open("/no/such/file", 0) == -2, "a missing file is ENOENT");
    check(open("/etc/motd", 1) == -30, "the file system is read-only");
    check(read(99, text, 1) == -9, "a wrong descriptor is EBADF");
    check(write(1, (void *)8, 1) == -14, "a wrong pointer is EFAULT");
}

int main(void) {
    check(run("/bin/hello", 0) == 0, "fork, exec and wait");
    check(run("/bin/forktest", "40") == 0, "forty children");
    check(run("/bin/pipetest", 0) == 0, "a pipe between processes");
    check(run("/bin/pagefault", "300") == 0, "demand paging");
    check((run("/bin/crash", 0) & 0x7f) == 11, "a wild store ends its process only");
    check(run("/bin/no-such-program", 0) == 127 << 8, "exec of what is not there");
    check_files();
    check_preemption();
    u64 before = time_ns();
    sleep_ms(50);
    check(time_ns() - before >= 50000000, "sleep sleeps long enough");
    check(system_call(9999) == -38, "an unknown system call is ENOSYS");
    check(wait(0) == -10, "nobody left to wait for");
    if (failures == 0) print("tiny-os: self-test passed\n");
    else print("tiny-os: self-test FAILED in %d points\n", (long)failures);
    return failures != 0;
}
