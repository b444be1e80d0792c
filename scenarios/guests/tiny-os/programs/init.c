// init: the first process. Without an argument it keeps a shell running; with "test" it runs the self-test and switches off; with
// "run=PROGRAM" it runs that program and switches off.
#include "../libc/libc.h"

static long run(const char *path) {
    char *arguments[] = {(char *)path, 0}, *environment[] = {0};
    int status = -1;
    long pid = fork();
    if (pid == 0) {
        long error = execve(path, arguments, environment);
        print("init: %s cannot be started: error %d\n", path, -error);
        exit(127);
    }
    while (waitpid(-1, &status, 0) != pid) {} // orphans end here, too
    return status;
}

int main(int count, char **arguments) {
    const char *wish = count > 1 ? arguments[1] : "";
    if (!strcmp(wish, "test")) {
        run("/bin/selftest");
        power_off();
    }
    if (!strncmp(wish, "run=", 4)) {
        run(wish + 4);
        power_off();
    }
    for (;;) {
        run("/bin/sh");
        print("init: the shell ended; starting another\n");
    }
}
