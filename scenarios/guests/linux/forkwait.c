// fork, pipe and wait with glibc: the child reports its pid as it sees it.
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
    int ends[2];
    if (pipe(ends)) return 1;
    pid_t child = fork();
    if (child == 0) {
        pid_t me = getpid();
        return write(ends[1], &me, sizeof me) != sizeof me;
    }
    pid_t told = 0;
    int status = 0;
    if (read(ends[0], &told, sizeof told) != sizeof told || waitpid(child, &status, 0) != child) return 1;
    printf("the child says %s\n", told == child ? "the same" : "something else");
    return status;
}
